"""Passing on: a consent given on the ground of another, and what its parties must know to judge it (consent.md §2).

How it works
    A parent's recipient, or the person herself, consents that what came under the parent goes on to another party:
    `pass_on` signs the child and refuses one that does not lie within its parent. Both parties of a child are sent the
    content of all that it rests on (`rests`): the parent, what narrows it, and what it rests on in turn; a later
    amendment follows as soon as it is known here. A node takes such content in only while a child names the parent and
    makes it a party (`concerns`), and lists it as no consent of its own.

    A child's data are what was received under its parent (`Received`), cut to the child's windows, the newest
    transfer first where several brought the same time. Where nothing was received, one's own readings go, as ever.

    The person's withdraw key, or whose it became, ends the child alone; the end of the parent ends every child.

What it does not do
    It widens nothing, and keeps no second copy: what was received and erased is not passed on any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Final

from ledger.consent.acts import make_child
from ledger.consent.grant import Notice
from ledger.consent.record import DataKind, Terms, Window
from ledger.consent.status import Party
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.index import resting_on
from ledger.keys import SigningKey
from node.adapters import senml
from node.compute.result import is_result
from node.flows.compiling import Compiling
from node.flows.custody import handing_of, in_force, links_of, shown
from node.flows.disclosing import Disclosing, parties_of
from node.flows.door import kind_of, node_of
from node.flows.spreading import Spreading
from node.readings import Series
from node.series_key import SeriesKey
from node.tenants import Voice
from node.vaults.consents import ConsentRows
from node.vaults.transfers import TRANSFER_BYTES, IncomingRows, PlanItem
from node.vaults.wallets import WalletRows

if TYPE_CHECKING:
    from node.core import Turn

PARENTS_MAX: Final = 8
"""Consents from one that is passed on up to the person's own."""
CHILDREN_MAX: Final = 1_000
"""Children of one consent that are looked at."""
_PLACE_BYTES: Final = 4
_MARK: Final = b"received"


class Received:
    """What came under a consent, as a plan of what may be passed on. `rows`: transfers received."""

    def __init__(self, rows: IncomingRows) -> None:
        self._rows = rows

    def series(self, turn: Turn, parent: bytes, points: Sequence[str], kind: DataKind | None) -> list[SeriesKey]:
        """Return which series of these points and kind came under a consent."""
        rows = (self._rows.get(turn.vault, transfer) for transfer in self._rows.under(turn.vault, parent))
        found = {key for row in rows if row is not None for key in row.series}
        return sorted((key for key in found if key.point in points and kind_of(key) == kind), key=astuple)

    def plan(self, turn: Turn, parent: bytes, key: SeriesKey, windows: Sequence[Window]) -> list[PlanItem]:
        """Return where the records of a series in these windows lie, each time once, in order of time."""
        left, found = list(windows), list[PlanItem]()
        for name, series in self._newest_first(turn, parent):
            if series.key == key and len(series) and left:
                covered = series.starts[0], max(series.stop, series.starts[-1] + 1)
                shared = ((max(one[0], covered[0]), min(one[1], covered[1])) for one in left)
                found += [(name, start, stop) for start, stop in shared if start < stop]
                left = [rest for one in left for rest in _without(one, covered)]
        return sorted(found, key=lambda item: item[1:])

    def _newest_first(self, turn: Turn, parent: bytes) -> Iterator[tuple[bytes, Series]]:
        rows = (self._rows.get(turn.vault, transfer) for transfer in self._rows.under(turn.vault, parent))
        for row in sorted((row for row in rows if row is not None), key=lambda row: -row.created):
            for number, pack in enumerate(self._rows.packs(turn.vault, row.transfer)):
                for place, series in enumerate(_series_in(pack)):
                    yield _MARK + row.transfer + _place(number) + _place(place), series

    def piece(self, turn: Turn, name: bytes, start: int, stop: int) -> Series | None:
        """Return the records of one place of a plan; None when they are gone, or the name is not of a plan of ours."""
        if not is_received(name):
            return None
        place = name[len(_MARK) + TRANSFER_BYTES :]
        packs = self._rows.packs(turn.vault, name[len(_MARK) : len(_MARK) + TRANSFER_BYTES])
        for number, pack in enumerate(packs):
            if _place(number) == place[:_PLACE_BYTES]:
                for order, series in enumerate(_series_in(pack)):
                    if _place(order) == place[_PLACE_BYTES:]:
                        found = series.window(start, stop)
                        return found if len(found) else None
        return None


def is_received(name: bytes) -> bool:
    """Say whether a name in a plan stands for something received."""
    return name.startswith(_MARK) and len(name) == len(_MARK) + TRANSFER_BYTES + 2 * _PLACE_BYTES


def _place(number: int) -> bytes:
    return number.to_bytes(_PLACE_BYTES, "big")


def _series_in(pack: bytes) -> list[Series]:
    return [] if is_result(pack) else list(senml.decode_cbor(pack))


def _without(window: Window, covered: Window) -> list[Window]:
    """Return what is left of a window outside another."""
    parts = (window[0], min(window[1], covered[0])), (max(window[0], covered[1]), window[1])
    return [part for part in parts if part[0] < part[1]]


def rests(turn: Turn, grant: Entry) -> list[Entry]:
    """Return all that a grant rests on and that the ledger here holds: links, calls, parents, and what narrows them."""
    replica, found = turn.core.replica, list[Entry]()
    for _ in range(PARENTS_MAX + 1):
        found += links_of(turn, grant.payload.get("delegation"))
        named = [grant.payload[name] for name in ("call", "parent") if name in grant.payload]
        held = [entry for ident in named if (entry := replica.entry(turn.rows, ident)) is not None]
        found += held
        parent = next((entry for entry in held if entry.kind == "consent.grant"), None)
        if parent is None:
            break
        status = replica.consent(turn.rows, parent.id)
        amended = (replica.entry(turn.rows, ident) for ident in (status.amended if status is not None else ()))
        found += [entry for entry in amended if entry is not None]
        grant = parent
    return found


def children_of(turn: Turn, parent: bytes) -> list[Entry]:
    """Return the consents that were given on the ground of another, that the ledger here holds."""
    replica = turn.core.replica
    facts = resting_on(turn.rows, parent, replica.by_number, replica.size)[:CHILDREN_MAX]
    grants = (replica.entry(turn.rows, fact.row.entry_id) for fact in facts if fact.row.kind == "consent.grant")
    return [entry for entry in grants if entry is not None and entry.payload.get("parent") == parent]


def descendants(turn: Turn, parent: bytes) -> list[Entry]:
    """Return the consents given on the ground of another, theirs, and so on, the nearest first."""
    found: list[Entry] = []
    level = [parent]
    for _ in range(PARENTS_MAX):
        below = [child for ident in level for child in children_of(turn, ident)]
        found += below
        level = [child.id for child in below]
    return found[:CHILDREN_MAX]


def concerns(turn: Turn, parent: Entry) -> bool:
    """Say whether this node is a party of a consent that rests on another, and so must know what that one says."""
    members = turn.core.replica.members
    for child in descendants(turn, parent.id):
        if any(party is not None and node_of(party, members) == turn.core.party for party in parties_of(child)):
            return True
    return False


def withdraw_key_of(turn: Turn, parent: Entry) -> bytes:
    """Return the withdraw key (32 bytes, public) of whom a consent was handed to last: what passes on names it."""
    rekeys = handing_of(turn, parent).rekeys
    last = turn.core.replica.entry(turn.rows, rekeys[-1].entry_id) if rekeys else None
    named: bytes = (last or parent).payload["withdraw_key"]
    return named


class Passing:
    """See the module. One for each mesh."""

    def __init__(
        self,
        wallets: WalletRows,
        consents: ConsentRows,
        disclosing: Disclosing,
        compiling: Compiling,
        spreading: Spreading,
    ) -> None:
        self._wallets, self._consents, self._spreading = wallets, consents, spreading
        self._disclosing, self._compiling = disclosing, compiling

    def pass_on(
        self, turn: Turn, parent: Entry, terms: Terms, recipient: Party, notice: Notice, *, until: int, by: Voice | None
    ) -> Entry:
        """Consent that what came under `parent` goes on. `by`: its recipient; None: the person, whose wallet is here.

        What the person passes on may wait to be published, as her other grants do. `terms`: those of the child;
        `until`: its end, unix seconds, at most the parent's. Raises LocalError NOT_A_PARTY, NOT_YOUR_CONSENT,
        TOO_MANY_WAIT, and the gate's code for a child that is not within its parent.
        """
        hosted = in_force(turn, self._wallets, parent) if by is None else None
        if by is not None and by.party != parties_of(parent)[1]:
            raise LocalError("NOT_A_PARTY", "only the recipient of a consent, or its person, passes on", field="id")
        if by is None and hosted is None:
            raise LocalError("NOT_YOUR_CONSENT", "no wallet kept here has the key of this consent", field="id")
        due = self._spreading.due(turn, hosted[0].name) if hosted is not None else None
        entry, told = make_child(
            hosted[1] if hosted is not None else self._key(turn, by),
            parent,
            terms,
            shown(turn) if hosted is None else self._spreading.shown(turn, due),
            self._compiling.source(turn, parent.id),
            recipient=recipient,
            valid_until=min(until, parent.payload["valid_until"]),
            notice=notice,
            policy=turn.core.policy,
            withdraw_key=withdraw_key_of(turn, parent),
        )
        if hosted is not None:
            self._spreading.submit(turn, entry, told, hosted[0].name, due)
        else:
            turn.register(entry)
            self._disclosing.publish(turn, entry, told)
            self.tell(turn, entry)
        return entry

    def _key(self, turn: Turn, by: Voice | None) -> SigningKey:
        return by.key if by is not None and by.key is not None else turn.core.device

    def tell(self, turn: Turn, child: Entry) -> None:
        """Send both parties of a grant the content of all that it rests on, so far as it is known here."""
        parties = [party for party in parties_of(child) if party is not None]
        for entry in rests(turn, child):
            row = self._consents.get(turn.vault, entry.id)
            if row is not None:
                self._disclosing.tell(turn, entry, row.disclosures, parties)

    def narrowed(self, turn: Turn, amendment: Entry) -> None:
        """Send the content of an amendment, where it is known, to the parties of all that rests on what it narrows."""
        row = self._consents.get(turn.vault, amendment.id)
        if row is None:
            return
        children = [child for child in descendants(turn, amendment.payload["grant"]) if self._ours(turn, child)]
        parties = {party: None for child in children for party in parties_of(child) if party is not None}
        if parties:
            self._disclosing.tell(turn, amendment, row.disclosures, list(parties))

    def _ours(self, turn: Turn, child: Entry) -> bool:
        """Say whether what a child says is known here: then it is ours to see that its parties can judge it."""
        return self._consents.holds(turn.vault, child.id)
