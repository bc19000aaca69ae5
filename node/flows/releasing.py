"""Checked aggregates that go to another member, through the aggregate door, with a record at both ends (consent.md §3).

How it works
    A holder hands over a table that it has published (`offer`), or answers a member that asks for one (`ask`). What
    goes is `node.aggregates.handing.Table`, signed by the holder; `_emit` is the one place from which it leaves, and
    asks the gate for the aggregate door each time. The recipient holds it to its own thresholds, asks its own gate, and
    keeps it with the signature. Each end then states a `processing.record` under the transfer's id: the holder's is the
    receipt, the recipient's the acknowledgement; the ledger shows a salted digest of either.

    A table goes again whenever the peer comes up, until it is answered; a second one of a transfer is answered alike.
    The vault is durable before the ledger is: a record that a crash or a full disk kept from the ledger is stated again
    (`state_again`).

    What a member begins itself (a table sent unasked, a question for one) leaves a row here for good, and a record in
    our feed, which every member keeps. Each is charged to it, up to WISHES_BYTES_MAX; beyond, it is refused, with
    nothing kept but the line of it among the newest refusals. What the operator of this node asks for or offers is
    charged to nobody. Tables come in only while there is room (`full`); else they wait at their holder.

What it does not do
    It computes nothing: what may be published is judged before (node.ops.aggregate), against all that ever was. It
    tells who asks no more than that there is no such table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ledger import codec
from ledger.consent.flow import Door as Way
from ledger.consent.flow import Flow, Release
from ledger.consent.processing import SALT_BYTES, Record, payload
from ledger.consent.reasons import Reason
from ledger.consent.thresholds import STRICTEST, Profile
from ledger.errors import LocalError, RemoteError
from ledger.governance.members import Party
from ledger.keys import verify
from node.aggregates.handing import Table, fault
from node.flows.answers import CLOCKS_SECONDS_MAX, UNSIGNED
from node.flows.door import LATER, Door, node_of
from node.flows.letters import Letters
from node.flows.wire import AskTable, Got, Refuse, Tabled, encode
from node.room import QUOTA_FULL
from node.vaults.receipts import ReceiptRows, Refusal
from node.vaults.releases import Release as Published
from node.vaults.releases import ReleaseRows
from node.vaults.tables import DONE, IN, OPEN, OUT, REFUSED, Handed, TableRows
from node.vaults.transfers import TRANSFER_BYTES, chained

if TYPE_CHECKING:
    from node.core import Turn

OPEN_MAX: Final = 1_000
"""Tables on their way to one party, or asked of one, at once."""
WISH_BYTES: Final = 16 << 10
"""Bytes that a table counts for which a member sent, or asked for, by its own wish, beside the table's: what its row
takes, and its record at every member."""
WISHES_BYTES_MAX: Final = 64 << 20
"""Bytes that one member may be charged with, at each end: a table of 30 lines each day for eleven years. A hostile
member fills no vault with it. Whoever needs more has it asked for, or offered, by the operator of the other end."""
NO_SUCH_TABLE: Final = "NO_SUCH_TABLE"
TOO_MANY_TABLES: Final = "TOO_MANY_TABLES"
_WORDS: Final = {OUT: "table handed over", IN: "table received"}


class Releasing:
    """See the module. One for each mesh. `own`: the thresholds that what comes must meet."""

    def __init__(
        self, door: Door, releases: ReleaseRows, receipts: ReceiptRows, letters: Letters, own: Profile = STRICTEST
    ) -> None:
        self._door, self._releases, self._receipts, self._letters, self._own = door, releases, receipts, letters, own
        self.rows = TableRows()
        self.full: Callable[[], bool] = lambda: False  # the node has no room for more; see node/room.py

    # The holder's end

    def offer(self, turn: Turn, release: Published, recipient: Party, transfer: bytes | None = None) -> Handed:
        """Hand a published table to a member, now or when it is there; return how it stands.

        Raises LocalError RELEASE_TOO_LARGE, TOO_MANY_TRANSFERS.
        """
        self._check_room(turn, OUT, recipient)
        chosen = transfer or turn.core.random_bytes(TRANSFER_BYTES)
        row = Handed(OUT, chosen, recipient, release.id, turn.now, _place(turn), OPEN)
        Table.of(release).encode()
        reason = self._emit(turn, row, release)
        if reason is not Reason.ALLOWED and reason not in LATER:
            row = self._ended(turn, row, reason.value)
        self.rows.put(turn.vault, row)
        return row

    def _emit(self, turn: Turn, row: Handed, release: Published) -> Reason:
        """Hold a table against the gate and, if it may go, send it. The only way out for tables."""
        table = Table.of(release)
        data = table.encode()
        decision = self._door.decide(turn, flow_of(table, turn.core.party, row.party, fault(table, self._own) == ""))
        peer = self._peer(turn, row.party)
        if decision.allowed and peer is not None:
            said = _said(turn, row.transfer, turn.core.party, row.party, turn.now, data)
            turn.send(peer, encode(Tabled(row.transfer, data, turn.now, turn.core.device.sign(said))))
        return decision.reason

    def asked(self, turn: Turn, peer: bytes, message: AskTable) -> None:
        """Answer a member that asks for a table by the beginning of its id, or by its name."""
        members = turn.core.replica.members
        party = members.party_of(peer)
        row = self.rows.get(turn.vault, OUT, message.transfer)
        if row is not None:
            if row.party == party:
                self._again(turn, row)
            return
        found = [one for one in self._releases.listing(turn.vault) if message.table in (one.name, one.id.hex())]
        try:
            self._check_room(turn, OUT, party)
            if not found:
                raise LocalError(NO_SUCH_TABLE, "there is no table of this name")
            if not self._may_wish(turn, OUT, party, 0):
                raise LocalError(TOO_MANY_TABLES, "this member has asked for as many tables as it may")
            row = self.offer(turn, found[-1], party, message.transfer)
            self.rows.charge(turn.vault, OUT, party, WISH_BYTES)
        except LocalError as error:
            turn.send(peer, encode(Refuse(message.transfer, error.code, final=True)))
            return
        if row.state == REFUSED:
            turn.send(peer, encode(Refuse(message.transfer, row.reason, final=True)))

    def got(self, turn: Turn, peer: bytes, got: Got) -> bool:
        """Take the recipient's answer in; False when the transfer is none of ours."""
        row = self._own_row(turn, peer, OUT, got.transfer)
        if row is None:
            return False
        if row.state == OPEN and got.final:
            release = self._find(turn, row.release)
            data = b"" if release is None else Table.of(release).encode()
            if got.chain == chained(hashlib.sha256(row.transfer).digest(), data):
                self.rows.put(turn.vault, self._recorded(turn, replace(row, state=DONE), data))
            else:
                self.rows.put(turn.vault, self._ended(turn, row, "BAD_ACK"))
        return True

    # The recipient's end

    def ask(self, turn: Turn, holder: Party, table: str) -> Handed:
        """Ask a holder for a table by its id or its name, now or when it is there. Raises LocalError TOO_MANY_ASKS."""
        self._check_room(turn, IN, holder)
        row = Handed(IN, turn.core.random_bytes(TRANSFER_BYTES), holder, table.encode(), turn.now, _place(turn), OPEN)
        self.rows.put(turn.vault, row)
        self._again(turn, row)
        return row

    def came(self, turn: Turn, peer: bytes, message: Tabled) -> None:
        """Take a table in, or refuse it. Raises RemoteError for one that is not what its sender signed."""
        members = turn.core.replica.members
        party = members.party_of(peer)
        row = self.rows.get(turn.vault, IN, message.transfer)
        if row is not None and (row.party != party or row.state == REFUSED):
            turn.send(peer, encode(Refuse(message.transfer, row.reason or NO_SUCH_TABLE, final=True)))
            return
        if row is None or row.state == OPEN:
            if self.full():
                turn.send(peer, encode(Refuse(message.transfer, QUOTA_FULL, final=False)))
                return
            unasked = row is None
            row = row or Handed(IN, message.transfer, party, b"", turn.now, _place(turn), OPEN)
            if unasked and not self._may_wish(turn, IN, party, len(message.data)):
                self._ended(turn, row, TOO_MANY_TABLES)
                turn.send(peer, encode(Refuse(message.transfer, TOO_MANY_TABLES, final=True)))
                return
            row = self._judged(turn, peer, row, message)
            if row.state == OPEN:  # not now: it is sent again
                return
            self.rows.put(turn.vault, row)
            if unasked:
                self.rows.charge(turn.vault, IN, party, WISH_BYTES + len(row.data))
        if row.state == REFUSED:
            turn.send(peer, encode(Refuse(row.transfer, row.reason, final=True)))
        else:
            chain = chained(hashlib.sha256(row.transfer).digest(), row.data)
            turn.send(peer, encode(Got(row.transfer, 1, chain, final=True)))

    def _judged(self, turn: Turn, peer: bytes, row: Handed, message: Tabled) -> Handed:
        said = _said(turn, message.transfer, row.party, turn.core.party, message.at, message.data)
        near = abs(message.at - turn.now) <= CLOCKS_SECONDS_MAX
        if not near or not verify(turn.core.replica.members.devices[peer].public, said, message.signature):
            raise RemoteError(UNSIGNED, "this table is not signed by its sender, or not now", field="signature")
        table = Table.decode(message.data)
        wrong = fault(table, self._own)
        if wrong:
            return self._ended(turn, row, wrong)
        decision = self._door.decide(turn, flow_of(table, row.party, turn.core.party, passed=True))
        if decision.reason in LATER:
            return row
        if not decision.allowed:
            return self._ended(turn, row, decision.reason.value)
        kept = replace(row, release=table.id, state=DONE, data=message.data, signature=message.signature)
        return self._recorded(turn, replace(kept, signed_at=message.at), message.data)

    def refused(self, turn: Turn, peer: bytes, refuse: Refuse) -> bool:
        """Take a refusal in, at either end; False when the transfer is none of ours."""
        for role in (OUT, IN):
            row = self._own_row(turn, peer, role, refuse.transfer)
            if row is not None:
                if row.state == OPEN and refuse.final:
                    self.rows.put(turn.vault, self._ended(turn, row, refuse.code, here=False))
                return True
        return False

    # Both ends

    def go_on(self, turn: Turn, peer: bytes) -> bool:
        """Send a member what waits for it, or ask it once more; say whether anything waits."""
        party = turn.core.replica.members.party_of(peer)
        waiting = [row for role in (OUT, IN) for row in self.rows.listing(turn.vault, role) if row.party == party]
        for row in waiting:
            if row.state == OPEN:
                self._again(turn, row)
        return any(row.state == OPEN for row in waiting)

    def _again(self, turn: Turn, row: Handed) -> None:
        peer = self._peer(turn, row.party)
        if peer is None:
            return
        if row.role == IN:
            turn.send(peer, encode(AskTable(row.transfer, row.release.decode())))
            return
        release = self._find(turn, row.release)
        reason = self._emit(turn, row, release) if release is not None else Reason.RELEASE_REFUSED
        if reason is not Reason.ALLOWED and reason not in LATER:
            self.rows.put(turn.vault, self._ended(turn, row, reason.value))
            turn.send(peer, encode(Refuse(row.transfer, reason.value, final=True)))

    def state_again(self, turn: Turn) -> None:
        """State once more the records that the ledger has lost."""
        rows = [row for role in (OUT, IN) for row in self.rows.listing(turn.vault, role) if row.entry]
        for row in rows:
            if turn.core.replica.places(turn.rows, row.entry):
                continue
            release = self._find(turn, row.release) if row.role == OUT else None
            data = row.data if release is None else Table.of(release).encode()
            if data:
                self._letters.rows.erase(turn.vault, row.entry)
                self.rows.put(turn.vault, self._recorded(turn, row, data))

    def _recorded(self, turn: Turn, row: Handed, data: bytes) -> Handed:
        """State this end's record: of what went out, or of what came in."""
        digest = (hashlib.sha256(data).digest(),)
        parts = ((), digest) if row.role == OUT else (digest, ())
        salt = turn.core.random_bytes(SALT_BYTES)
        record = Record(row.transfer, salt, turn.now, _WORDS[row.role], (), *parts)
        thing = ("transfers", turn.core.device.kid)
        entry = turn.state("processing.record", thing, payload([record]))
        self._letters.keep(turn, entry, [record.value()])
        turn.note("TABLE_HANDED_OVER", transfer=row.transfer.hex(), outgoing=row.role == OUT)
        return replace(row, entry=entry.id)

    def _ended(self, turn: Turn, row: Handed, reason: str, *, here: bool = True) -> Handed:
        refusal = Refusal(turn.now, here, row.role == OUT, row.party, None, reason)
        self._receipts.refuse(turn.vault, refusal)
        turn.note("FLOW_REFUSED", reason=reason, here=here, outgoing=row.role == OUT)
        return replace(row, state=REFUSED, reason=reason)

    def _check_room(self, turn: Turn, role: bytes, party: Party) -> None:
        waiting = sum(row.party == party and row.state == OPEN for row in self.rows.listing(turn.vault, role))
        if waiting >= OPEN_MAX:
            code = "TOO_MANY_TRANSFERS" if role == OUT else "TOO_MANY_ASKS"
            raise LocalError(code, f"{OPEN_MAX} tables wait for this member; let some of them end first")

    def _may_wish(self, turn: Turn, role: bytes, party: Party, size: int) -> bool:
        return self.rows.charged(turn.vault, role, party) + WISH_BYTES + size <= WISHES_BYTES_MAX

    def _own_row(self, turn: Turn, peer: bytes, role: bytes, transfer: bytes) -> Handed | None:
        row = self.rows.get(turn.vault, role, transfer)
        return row if row is not None and row.party == turn.core.replica.members.party_of(peer) else None

    def _find(self, turn: Turn, ident: bytes) -> Published | None:
        return next((one for one in self._releases.listing(turn.vault) if one.id == ident), None)

    def _peer(self, turn: Turn, party: Party) -> bytes | None:
        members = turn.core.replica.members
        node = node_of(party, members)
        return next((kid for kid in turn.core.member_peers if members.party_of(kid) == node), None)


def flow_of(table: Table, holder: Party, recipient: Party, passed: bool) -> Flow:
    """Return the flow that handing a table over is. `passed`: whether it was held to the thresholds here."""
    digest = hashlib.sha256(table.encode()).digest()
    what = (table.place, table.kind, table.step or None, table.window)
    release = Release(Way.AGGREGATE, holder, recipient, *what, digest, passed)
    return Flow(holder, recipient, *what, "", Way.AGGREGATE, release)


def _place(turn: Turn) -> int:
    """Return how long our own feed is: each table that ends well adds a record to it."""
    return turn.core.replica.size(turn.core.device.kid)


def _said(turn: Turn, transfer: bytes, holder: Party, recipient: Party, at: int, data: bytes) -> bytes:
    """Return what a holder signs of a table: nothing else that is signed here begins so."""
    digest = hashlib.sha256(data).digest()
    mesh = turn.core.replica.mesh_id
    return codec.encode(["maille table 1", mesh, transfer, list(holder), list(recipient), at, digest])
