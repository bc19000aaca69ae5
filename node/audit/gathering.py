"""Reads what an audit is made of from a running node, a page at a time: ledger rows and this node's own vault.

How it works
    `page` answers one question (`What`) from a cursor on and returns the rows with the next cursor ("": the end), so
    that a long audit never keeps the node from its other work. `collect` asks until all is there; it is handed
    whatever asks, and so runs in the command's own process. Rows travel as JSON.

    Accounts come from the vault; statements from every sound leaf of a kind that states transfers; consents with all
    that ends them; faults from the results of probes, verified anew; adopted versions of documents.

What it does not do
    It judges nothing (`auditing`) and changes nothing. Between two pages the node moves on: what began after the first
    page may be in the audit or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import msgspec

from ledger.consent import disclosure
from ledger.consent.fault import endings, examine
from ledger.consent.grant import Notice
from ledger.consent.record import Terms
from ledger.entry import Entry, typ_of_kind
from ledger.errors import RemoteError
from ledger.feed import AHEAD_SECONDS_MAX
from ledger.governance.members import Party
from ledger.index import document_places, documents, facts_of
from ledger.rows import distinct, prefix_stop
from ledger.schema import DAY
from ledger.tables import (
    CONSENT,
    LEAF_ELSEWHERE,
    LEAF_VOID,
    PROBE,
    TICK,
    LeafRow,
    head_key,
    position,
    read_head,
    read_leaf,
    read_position,
)
from node.audit.rows import (
    Account,
    Adoption,
    Amendment,
    Consent,
    End,
    Ended,
    Frame,
    Proven,
    Role,
    Rows,
    Series,
    Statement,
)
from node.flows.disclosing import parties_of
from node.flows.standing import above
from node.naming import member_name
from node.vaults.receipts import HOLDER, RECIPIENT, Receipt
from node.vaults.transfers import IncomingRows

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

What: TypeAlias = Literal["frame", "consents", "accounts", "statements", "proven"]
"""What a page holds. `frame` comes with the adopted versions of documents, whole."""

ACCOUNTS_MAX: Final = 500
CONSENTS_MAX: Final = 32
LEAVES_MAX: Final = 2_000
PROBES_MAX: Final = 50
"""Rows that one page looks at: some tens of milliseconds of the node's time."""
TICKS_LOOKED_MAX: Final = 2_000
"""Attestations looked through, backwards, for the tick that a receipt rests on."""
APART_SECONDS: Final = 31 * DAY
"""So far apart may the two ends of a transfer state it: each in its next day's batch, once it runs again."""
_ROLES: Final[dict[bytes, Role]] = {RECIPIENT: "recipient", HOLDER: "holder"}
_KINDS: Final[dict[str, Role]] = {"transfer.receipt": "holder", "transfer.ack": "recipient"}
_TYPES: Final = tuple(typ_of_kind(kind).encode() for kind in _KINDS)
_ENDS: Final[dict[str, Ended]] = {"consent.withdraw": "withdrawn", "consent.revoke": "revoked"}

Page: TypeAlias = tuple[Rows, str]
Ask: TypeAlias = Callable[[What, str], tuple[bytes, str]]
"""Asks for one page from a cursor on; returns its rows as JSON, and the next cursor."""


def write(rows: Rows) -> bytes:
    """Return rows as JSON."""
    return msgspec.json.encode(rows)


def read(data: bytes) -> Rows:
    """Read what `write` wrote. Raises RemoteError BAD_ANSWER."""
    try:
        return msgspec.json.decode(data, type=Rows)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RemoteError("BAD_ANSWER", f"The node answers in another way than this command knows ({error}).") from None


def collect(ask: Ask, tell: Callable[[int], None] = lambda _rows: None) -> Rows:
    """Ask for every page and return all rows. `tell` is told how many are there."""
    found: dict[str, list[Any]] = {name: [] for name in ("consents", "accounts", "statements", "proven", "adoptions")}
    frame: Frame | None = None
    for what in get_args(What):
        cursor = ""
        while True:
            data, cursor = ask(what, cursor)
            rows = read(data)
            frame = frame or rows.frame
            for name, rest in found.items():
                rest.extend(getattr(rows, name))
            tell(sum(map(len, found.values())))
            if not cursor:
                break
    assert frame is not None  # the first page is the frame's
    return Rows(frame, **{name: tuple(rest) for name, rest in found.items()})


def page(turn: Turn, flows: Flows, what: What, cursor: str, since: int, until: int) -> Page:
    """Return one page; accounts and statements that cannot be of [since, until) are left out."""
    start = bytes.fromhex(cursor)
    frame = _frame(turn, flows)
    match what:
        case "frame":
            return Rows(frame, adoptions=tuple(_adoptions(turn))), ""
        case "consents":
            consents, following = _consents(turn, flows, start)
            return Rows(frame, consents=tuple(consents)), following
        case "accounts":
            accounts, following = _accounts(turn, flows, start, since, until)
            return Rows(frame, accounts=tuple(accounts)), following
        case "statements":
            statements, following = _statements(turn, start, since)
            return Rows(frame, statements=tuple(statements)), following
        case "proven":
            proven, following = _proven(turn, start)
            return Rows(frame, proven=tuple(proven)), following


def _frame(turn: Turn, flows: Flows) -> Frame:
    members, policy = turn.core.replica.members, turn.core.policy
    own = tuple(voice.party for voice in flows.tenants.voices(turn))
    parties: list[Party] = [member.party for member in members.members.values()]
    parties += [(tenant, 0) for tenant in members.tenants]
    names = tuple((party, member_name(members, party)) for party in sorted(parties))
    bound = policy.max_staleness_seconds
    return Frame(turn.core.replica.mesh_id, turn.now, own, names, bound, policy.consent_days_max)


# The vault


def _accounts(turn: Turn, flows: Flows, start: bytes, since: int, until: int) -> tuple[list[Account], str]:
    found: list[Account] = []
    receipts, following = flows.receipts.portion(turn.vault, start, ACCOUNTS_MAX)
    for receipt in receipts:
        role = _ROLES[receipt.role]
        in_time = receipt.began < until and (receipt.ended >= since or role == "recipient")  # it may still be held
        if receipt.tally.count and in_time:
            found.append(_account(turn, flows.incoming, role, receipt))
    return found, following.hex()


def _account(turn: Turn, incoming: IncomingRows, role: Role, receipt: Receipt) -> Account:
    held, series = False, tuple[Series, ...]()
    if role == "recipient":
        held = next(incoming.packs(turn.vault, receipt.transfer), None) is not None
        row = incoming.get(turn.vault, receipt.transfer)
        keys = row.series if row is not None else ()
        series = tuple(Series(key.point, (key.energy, key.direction, key.kind), key.granularity or "") for key in keys)
    tally = receipt.tally
    return Account(
        role,
        receipt.transfer,
        receipt.grant,
        receipt.holder,
        receipt.recipient,
        receipt.began,
        receipt.ended,
        tally.count,
        tally.gaps,
        tally.window,
        receipt.digest(),
        receipt.stated,
        held,
        series,
    )


# The ledger


def _consents(turn: Turn, flows: Flows, start: bytes) -> tuple[list[Consent], str]:
    found: list[Consent] = []
    idents = list(islice(distinct(turn.rows, "things", CONSENT, 32, start[len(CONSENT) :]), CONSENTS_MAX))
    for ident in idents:
        consent = _consent(turn, flows, ident)
        if consent is not None:
            found.append(consent)
    following = prefix_stop(CONSENT + idents[-1]) if len(idents) == CONSENTS_MAX else None
    return found, following.hex() if following is not None else ""


def _consent(turn: Turn, flows: Flows, ident: bytes) -> Consent | None:
    replica = turn.core.replica
    facts = facts_of(turn.rows, ident, replica.by_number, replica.size)
    grant = replica.grant(turn.rows, ident, facts)
    if grant is None:
        return None
    holder, recipient = parties_of(grant)
    status = replica.consent(turn.rows, ident)
    terms, wallet = _terms(turn, flows, grant)
    payload = grant.payload
    return Consent(
        ident,
        grant.thing[1],
        holder,
        recipient,
        grant.iat,
        payload["valid_until"],
        status.state.name.lower() if status is not None else "",
        Notice.read(payload["notice"]),
        "delegation" in payload or "parent" in payload,
        tuple(_ends(turn, grant, {holder, recipient})),
        status.acknowledged if status is not None else (),
        terms,
        wallet,
        _above(turn, ident),
        tuple(_amendments(turn, flows, status.amended if status is not None else ())),
    )


def _amendments(turn: Turn, flows: Flows, amended: Iterable[bytes]) -> Iterator[Amendment]:
    replica = turn.core.replica
    for ident in sorted(amended):
        entry = replica.entry(turn.rows, ident)
        if entry is not None:
            places = ((replica.feed_of(number), index) for number, index in replica.places(turn.rows, ident))
            registered = min(_covered(turn, feed, index, entry.iat) for feed, index in places)
            until, (terms, _) = entry.payload.get("valid_until"), _terms(turn, flows, entry)
            yield Amendment(ident, entry.iat, registered, until, terms)


def _above(turn: Turn, ident: bytes) -> int | None:
    """Return when the first consent ends that one rests on, or has ended; None where it rests on none."""
    ends: list[int] = []
    for status in above(turn, ident):
        parent = turn.core.replica.grant(turn.rows, status.grant)
        ends.append(status.valid_until)
        ends += [] if parent is None else [end.registered for end in _ends(turn, parent, set(parties_of(parent)))]
    return min(ends, default=None)


def _terms(turn: Turn, flows: Flows, grant: Entry) -> tuple[Terms | None, str]:
    """Return what this vault holds of the terms of a consent or an amendment, held to the slots anew.

    A vault may have been written to.
    """
    row = flows.consents.get(turn.vault, grant.id)
    if row is None:
        return None, ""
    try:
        disclosure.check(row.disclosures, grant.payload["slots"])
        return row.disclosures.terms(), row.wallet
    except RemoteError:
        return None, row.wallet


def _ends(turn: Turn, grant: Entry, parties: set[Party | None]) -> Iterator[End]:
    replica = turn.core.replica
    kinds, _ = endings(replica, turn.rows, grant, b"")
    if not kinds:
        return
    facts = facts_of(turn.rows, grant.id, replica.by_number, replica.size)
    for ident, kind in sorted(kinds.items()):
        entry = replica.entry(turn.rows, ident)
        if entry is None:
            continue
        registered: list[int] = []
        told: dict[Party, int] = {}
        for fact in facts:
            own = fact.row.entry_id == ident
            if not own and fact.row.about != ident:
                continue
            for feed, index in fact.places:
                at = _covered(turn, feed, index, entry.iat)
                registered.append(at)
                speaks = replica.members.party_of(feed if own else fact.row.kid)
                if speaks in parties and (own or speaks[1] == 0 or feed == fact.row.kid):
                    told[speaks] = min(at, told.get(speaks, at))
        signer = replica.members.party_of(entry.kid)
        yield End(ident, _ENDS[kind], signer, entry.iat, min(registered), tuple(sorted(told.items())))


def _covered(turn: Turn, feed: bytes, index: int, since: int) -> int:
    """Return the time of the first checkpoint kept here that covers a leaf; now, where none does."""
    for key, value in turn.rows.scan("heads", head_key(feed, since, 0), prefix_stop(feed)):
        head = read_head(key, value)
        if head.size > index:
            return head.time
    return turn.now


def _statements(turn: Turn, start: bytes, since: int) -> tuple[list[Statement], str]:
    found: list[Statement] = []
    boundaries: dict[bytes, int | None] = {}
    rows = turn.rows.scan("entries", start, None, limit=LEAVES_MAX)
    looked, last = 0, b""
    for key, value in rows:
        looked, last = looked + 1, key
        leaf = read_leaf(value)
        if leaf.void or not _may_state(turn, leaf):
            continue
        number, index = read_position(key)
        entry = turn.core.replica.leaf_entry(turn.rows, turn.core.replica.feed_of(number), index)
        role = _KINDS.get(entry.kind)
        if role is not None and entry.iat >= since - APART_SECONDS:
            found += _stated(turn, entry, role, boundaries)
    return found, (last + b"\x00").hex() if looked == LEAVES_MAX else ""


def _may_state(turn: Turn, leaf: LeafRow) -> bool:
    """Say whether a sound leaf may state transfers and is the first sound one of its entry."""
    if not leaf.flags & LEAF_ELSEWHERE:
        return any(typ in leaf.raw for typ in _TYPES)
    first = turn.core.replica.places(turn.rows, leaf.entry_id)[0]
    row = turn.rows.get("entries", position(*first))
    return row is not None and bool(read_leaf(row).flags & LEAF_VOID)


def _stated(turn: Turn, entry: Entry, role: Role, boundaries: dict[bytes, int | None]) -> Iterator[Statement]:
    signer, payload = turn.core.replica.members.party_of(entry.kid), entry.payload
    if role == "recipient":
        for transfer, digest in payload["acks"]:
            yield Statement(role, transfer, None, digest, entry.id, signer, entry.iat)
        return
    for transfer, grant, digest, frontier in payload["receipts"]:
        if frontier is not None and frontier not in boundaries:
            boundaries[frontier] = _boundary(turn, frontier, entry.iat)
        since = boundaries.get(frontier) if frontier is not None else None
        yield Statement(role, transfer, grant, digest, entry.id, signer, entry.iat, since)


def _boundary(turn: Turn, frontier: bytes, dated: int) -> int | None:
    """Return the boundary of the tick with this frontier, if an attestation of it is found soon enough."""
    newest = TICK + (dated + AHEAD_SECONDS_MAX).to_bytes(8, "big")
    for key, value in turn.rows.scan("things", TICK, newest, limit=TICKS_LOOKED_MAX, reverse=True):
        if value[:32] == frontier:
            return int.from_bytes(key[len(TICK) : len(TICK) + 8], "big")
    return None


def _proven(turn: Turn, start: bytes) -> tuple[list[Proven], str]:
    replica = turn.core.replica
    found: list[Proven] = []
    looked, last = 0, b""
    for key, _ in turn.rows.scan("things", start or PROBE, prefix_stop(PROBE), limit=PROBES_MAX):
        looked, last = looked + 1, key
        number, index = read_position(key)
        result = replica.leaf_entry(turn.rows, replica.feed_of(number), index)
        fault = examine(replica, turn.rows, result).fault
        if fault is not None:
            parties = (fault.member, fault.holder, fault.recipient)
            found.append(Proven(result.id, fault.wrong.value, *parties, fault.grant, fault.transfer, fault.at))
    return found, (last + b"\x00").hex() if looked == PROBES_MAX else ""


def _adoptions(turn: Turn) -> Iterator[Adoption]:
    replica = turn.core.replica
    for document in documents(turn.rows):
        for number, index in document_places(turn.rows, document, "document.adopt"):
            entry = replica.leaf_entry(turn.rows, replica.feed_of(number), index)
            said = entry.payload
            yield Adoption(document, tuple(said["heads"]), said["text"], entry.iat, entry.id)
