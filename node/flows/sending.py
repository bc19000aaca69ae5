"""The holder's side of transfers: what leaves, pack by pack, each one let out by the gate (consent.md §3, §4).

How it works
    A transfer rests on one grant; `packing` says what it sends, in which order. Each pack is first described (`Piece`),
    then held against the gate as the flow it is, then kept in `outgoing`, then signed and sent: `_emit` is the one
    place from which readings leave. A pack that is sent again passes the gate again. At most WINDOW_PACKS are
    unacknowledged.

    A refusal that may pass (STALE, or a consent the other end does not know yet) lets the transfer wait; any other
    stops it: the packs are forgotten, the recipient is told the code, and its last word closes the receipt. A
    transfer to a peer that is away waits, and is judged again when it goes.

    Packs go again where nothing moves, after pauses that grow (`pauses`): to a recipient that said "not now" the first
    one alone, and the others once it was taken. All go again when the recipient comes back, or says once more where it
    stands, which counts once in ANEW_MS. So whatever it asks, however often, costs a bounded rate.

    Results of computations (node/compute/) go the same way, one a pack, computed before the transfer begins, by the
    holder's own wish or on request; each is held against the gate as what it was computed on, and by which computation.

What it does not do
    It changes no readings: gaps stay gaps, finer data are never made coarser, and what is not wholly inside a
    granted window stays. Nothing but a code is told to who is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ledger.consent.gate import Decision, Flow
from ledger.consent.reasons import Reason
from ledger.errors import LocalError
from ledger.governance.members import Party
from ledger.schema import DAY
from node.flows.accounts import Accounts
from node.flows.answers import sign_refusal, sign_served
from node.flows.door import LATER, Door, device_at, node_of
from node.flows.packing import Packing
from node.flows.passing import Received
from node.flows.pauses import Pauses
from node.flows.wire import Ask, Done, Got, Refuse, encode
from node.vaults.receipts import HOLDER, Receipt
from node.vaults.series import SeriesRows
from node.vaults.transfers import (
    SENDING,
    STOPPING,
    TRANSFER_BYTES,
    WAITING,
    IncomingRows,
    Outgoing,
    OutgoingRows,
    Piece,
    Tally,
    Wanted,
)

if TYPE_CHECKING:
    from node.core import Turn

WINDOW_PACKS: Final = 8
"""Packs of one transfer that are on their way at once."""
FLIGHT_BYTES_MAX: Final = 8 << 20
"""Bytes of packs on their way to one peer, over all transfers; a peer's outbox holds four times as much."""
OPEN_MAX: Final = 10_000
"""Transfers to one recipient that wait."""
WAIT_DAYS_MAX: Final = 30
"""After so many days a transfer that could not go is given up."""
NO_READINGS: Final = "NO_READINGS"
BAD_ACK: Final = "BAD_ACK"
GIVEN_UP: Final = "GIVEN_UP"
ENDED_EARLY: Final = "ENDED_EARLY"
STALL_MS: Final = 5_000
"""A transfer in which nothing moved for so long sends again what is on its way, unless its pause is longer."""
FOLLOWING: Final = 32
"""Waiting transfers that are looked at when one has ended."""


@dataclass(frozen=True, slots=True)
class Started:
    """What `begin` did: the transfer, or the decision that refused it (`transfer` is b"")."""

    transfer: bytes
    decision: Decision


class Sending:
    """See the module. One for each mesh."""

    def __init__(
        self, door: Door, series: SeriesRows, rows: OutgoingRows, accounts: Accounts, received: IncomingRows
    ) -> None:
        self._door, self._rows, self._accounts = door, rows, accounts
        self._packing = Packing(series, rows, Received(received))
        self._flight: dict[bytes, dict[bytes, int]] = {}  # peer -> transfer -> bytes on their way
        self.compute: Callable[[Turn, Ask], str | None] = lambda _turn, _ask: None
        """Puts a request for results aside (node.flows.computing): "" then, a code that refuses it, None: readings."""
        self.content_for: Callable[[Turn, bytes, Party], None] = lambda _turn, _grant, _recipient: None
        """Sends the content of a consent for a class of recipients to one of them, who must judge it too."""
        self._moved: dict[bytes, int] = {}  # transfer -> when something last moved, unix milliseconds
        self._pauses = Pauses()  # transfer -> when packs go again

    # Beginning

    def begin(
        self, turn: Turn, wanted: Wanted, transfer: bytes | None = None, results: Sequence[bytes] = ()
    ) -> Started:
        """Begin a transfer of what is wanted, if a consent is found; it goes now, or when the recipient is there.

        `results`: where a computation is wanted, what it gave. A refusal is counted. Raises LocalError
        TOO_MANY_TRANSFERS.
        """
        decision = self._door.judge(turn, wanted).decision
        grant = decision.consent
        if not decision.allowed and (decision.reason not in LATER or grant is None or transfer is not None):
            self._accounts.refused(turn, wanted.recipient, grant, decision.reason.value, here=True, outgoing=True)
            return Started(b"", decision)
        if len(self._rows.waiting(turn.vault, wanted.recipient, OPEN_MAX)) >= OPEN_MAX:
            raise LocalError("TOO_MANY_TRANSFERS", f"{OPEN_MAX} transfers to this recipient wait; let them end first")
        chosen = transfer or turn.core.random_bytes(TRANSFER_BYTES)
        row = Outgoing(chosen, wanted, grant or b"", turn.now, WAITING, "", -1, 0, False, Tally.begin(chosen), ())
        self._rows.begin(turn.vault, row)
        self._rows.put_results(turn.vault, chosen, results)
        self._accounts.begin(turn, HOLDER, chosen, wanted, row.acked, row.grant)
        self.go_on(turn, chosen)
        return Started(chosen, decision)

    def asked(self, turn: Turn, peer: bytes, ask: Ask) -> None:
        """Answer a recipient that asks for data: packs, or a code."""
        members = turn.core.replica.members
        wanted = ask.wanted
        if node_of(wanted.recipient, members) != members.party_of(peer):
            self._say_no(turn, peer, ask, Reason.OTHER_RECIPIENT.value)
        elif node_of(wanted.holder, members) != turn.core.party:
            self._say_no(turn, peer, ask, Reason.OTHER_HOLDER.value)
        elif self._rows.get(turn.vault, ask.transfer) is not None:
            self.go_on(turn, ask.transfer)
        elif (account := self._accounts.closed(turn, HOLDER, ask.transfer)) is not None:
            self._say_again(turn, peer, ask, account)
        elif (code := self.compute(turn, ask)) is not None:
            if code:
                self._say_no(turn, peer, ask, code)
        else:
            try:
                started = self.begin(turn, wanted, ask.transfer)
            except LocalError as error:
                self._say_no(turn, peer, ask, error.code)
                return
            if not started.transfer:
                self._answer_no(turn, peer, ask.transfer, wanted, started.decision.reason.value)

    def computed(self, turn: Turn, transfer: bytes, wanted: Wanted, results: Sequence[bytes], code: str) -> None:
        """Send the results that a recipient asked for, or say why there are none (`code`)."""
        if self._rows.get(turn.vault, transfer) is not None or self._accounts.closed(turn, HOLDER, transfer):
            return
        if not code:
            started = self.begin(turn, wanted, transfer, results)
            code = "" if started.transfer else started.decision.reason.value
        peer = self._peer(turn, wanted.recipient)
        if code and peer is not None:
            self._answer_no(turn, peer, transfer, wanted, code)

    def _say_again(self, turn: Turn, peer: bytes, ask: Ask, account: Receipt) -> None:
        """Tell how a transfer ended to a recipient that asks once more."""
        if account.recipient != ask.wanted.recipient:
            self._say_no(turn, peer, ask, Reason.OTHER_RECIPIENT.value)
        elif account.reason:
            self._answer_no(turn, peer, ask.transfer, ask.wanted, account.reason)
        else:
            turn.send(peer, encode(Done(ask.transfer, account.tally.packs)))

    def _say_no(self, turn: Turn, peer: bytes, ask: Ask, code: str) -> None:
        party = turn.core.replica.members.party_of(peer)
        self._accounts.refused(turn, party, ask.wanted.grant, code, here=True, outgoing=True)
        self._answer_no(turn, peer, ask.transfer, ask.wanted, code)

    def _answer_no(self, turn: Turn, peer: bytes, transfer: bytes, wanted: Wanted, code: str) -> None:
        turn.send(peer, encode(sign_refusal(turn, transfer, wanted, code)))

    # Going on

    def go_on(self, turn: Turn, transfer: bytes, *, again: int = 0) -> None:
        """Send what may be sent now. `again`: so many packs that are on their way may be lost, send them again."""
        row = self._rows.get(turn.vault, transfer)
        if row is None:
            return
        if turn.now - row.created > WAIT_DAYS_MAX * DAY:
            self._finish(turn, row, row.acked, GIVEN_UP)
            return
        peer = self._peer(turn, row.wanted.recipient)
        if row.state == STOPPING:
            if again and peer is not None:
                self._answer_no(turn, peer, transfer, row.wanted, row.reason)
            return
        if row.item < 0:
            row = self._planned(turn, row)
        elif peer is None:
            judged = self._door.judge(turn, replace(row.wanted, grant=row.grant))
            if not judged.decision.allowed:
                row = self._refused(row, judged.decision.reason)
        if peer is not None and row.item >= 0 and row.state != STOPPING:
            row = self._pump(turn, peer, row, again=again)
            self._flight.setdefault(peer, {})[transfer] = sum(piece.size for piece in row.flight)
        self._rows.put(turn.vault, row)
        if row.state == STOPPING:
            self._drop(turn, peer, row)

    def _planned(self, turn: Turn, row: Outgoing) -> Outgoing:
        """Choose series and windows once the consent allows it."""
        judged = self._door.judge(turn, replace(row.wanted, grant=row.grant))
        if judged.scope is None:
            return self._refused(row, judged.decision.reason)
        self.content_for(turn, row.grant, row.wanted.recipient)
        if row.wanted.computation is not None:
            return replace(row, item=0, at=0, state=SENDING, reason="")
        grant = self._door.grant_entry(turn, row.grant)
        parent = grant.payload.get("parent") if grant is not None else None
        plan, finer = self._packing.plan(turn, row.wanted, judged.scope, parent)
        if not plan:
            return replace(row, state=STOPPING, reason=Reason.OTHER_GRANULARITY.value if finer else NO_READINGS)
        self._rows.put_plan(turn.vault, row.transfer, plan)
        return replace(row, item=0, at=plan[0][1], state=SENDING, reason="")

    def _pump(self, turn: Turn, peer: bytes, row: Outgoing, *, again: int) -> Outgoing:
        if again:
            self._pauses.tried(row.transfer, turn.now_ms)
        for piece in row.flight[:again]:
            pack = self._rows.pack(turn.vault, row.transfer, piece.number)
            decision = self._emit(turn, peer, row, piece, pack or b"")
            if not decision.allowed:
                return self._refused(row, decision.reason)
        again = again if again >= len(row.flight) else 0  # all went
        if again:
            row = replace(row, state=SENDING, reason="")
        ended = row.complete
        sent = self._flight.get(peer, {})
        room = FLIGHT_BYTES_MAX - sum(size for other, size in sent.items() if other != row.transfer)
        room -= sum(piece.size for piece in row.flight)
        packs = self._packing.packs(turn, row)
        while not row.complete and len(row.flight) < WINDOW_PACKS and room > 0:
            step = next(packs, None)
            if step is None:
                row = replace(row, complete=True)
                break
            piece, pack, item, at = step
            decision = self._emit(turn, peer, row, piece, pack)
            if not decision.allowed:
                return self._refused(row, decision.reason)
            self._rows.put_pack(turn.vault, row.transfer, piece.number, pack)
            room -= piece.size
            row = replace(row, item=item, at=at, flight=(*row.flight, piece), state=SENDING, reason="")
        if row.complete and not row.next_number:
            return replace(row, state=STOPPING, reason=NO_READINGS)
        if row.complete and (again or not ended):
            turn.send(peer, encode(Done(row.transfer, row.next_number)))
        return row

    def _emit(self, turn: Turn, peer: bytes, row: Outgoing, piece: Piece, pack: bytes) -> Decision:
        """Hold one pack against the gate and, if it may go, send it. The only way out for readings."""
        purpose = row.wanted.purpose
        if purpose is None:
            purpose = self._door.purpose(turn, row.grant)
        parties = (row.wanted.holder, row.wanted.recipient)
        flow = Flow(*parties, piece.point, piece.kind, piece.granularity, piece.window, purpose)
        flow = replace(flow, computation=piece.computation)
        decision = self._door.decide(turn, flow, row.grant, row.wanted.token)
        if decision.allowed:
            self._accounts.note(turn, HOLDER, row.transfer, row.wanted, row.acked, decision, SENDING)
            self._moved[row.transfer] = turn.now_ms
            turn.send(peer, encode(sign_served(turn, row, piece, pack)))
        return decision

    def _refused(self, row: Outgoing, reason: Reason) -> Outgoing:
        if reason in LATER:
            return replace(row, state=WAITING, reason=reason.value)
        return replace(row, state=STOPPING, reason=reason.value)

    def _drop(self, turn: Turn, peer: bytes | None, row: Outgoing) -> None:
        """Stop: forget the packs, tell the recipient the code; its last word will close the receipt."""
        self._rows.drop_packs(turn.vault, row.transfer, row.acked.packs, row.next_number)
        self._accounts.refused(turn, row.wanted.recipient, row.grant, row.reason, here=True, outgoing=True)
        if peer is not None:
            self._flight.get(peer, {}).pop(row.transfer, None)
            self._answer_no(turn, peer, row.transfer, row.wanted, row.reason)
        if not row.next_number:
            self._finish(turn, row, row.acked, row.reason)

    # What the recipient says

    def got(self, turn: Turn, peer: bytes, got: Got) -> None:
        """Take an acknowledgement in, and send on."""
        row = self._own(turn, peer, got.transfer)
        if row is None or got.next < row.acked.packs:
            return
        settled = self._settled(turn, row, got.next, got.chain)
        if settled is None:
            self._finish(turn, row, row.acked, BAD_ACK)
        elif got.final:
            whole = settled.complete and not settled.flight and settled.state != STOPPING
            self._finish(turn, settled, settled.acked, "" if whole else settled.reason or ENDED_EARLY)
        else:
            told = row.state == WAITING and (settled is not row or self._pauses.anew(row.transfer, turn.now_ms))
            self.go_on(turn, settled.transfer, again=WINDOW_PACKS if told else 0)
        self._others(turn, row)

    def _settled(self, turn: Turn, row: Outgoing, number: int, chain: bytes) -> Outgoing | None:
        """Count the packs below `number` as passed for good; None when the recipient cannot hold them as it says."""
        taken = number - row.acked.packs
        if not 0 <= taken <= len(row.flight):
            return None
        tally = row.acked
        for piece in row.flight[:taken]:
            tally = tally.plus(piece)
        if tally.chain != chain:
            return None
        if taken:
            self._moved[row.transfer] = turn.now_ms
            self._pauses.moved(row.transfer)
            self._rows.drop_packs(turn.vault, row.transfer, row.acked.packs, number)
            self._accounts.settle(turn, HOLDER, row.transfer, tally)
            row = replace(row, acked=tally, flight=row.flight[taken:])
            self._rows.put(turn.vault, row)
        return row

    def refused(self, turn: Turn, peer: bytes, refuse: Refuse) -> bool:
        """Take the recipient's refusal in; False when the transfer is not one of ours."""
        row = self._own(turn, peer, refuse.transfer)
        if row is None:
            return False
        row = self._settled(turn, row, refuse.next, refuse.chain) or row
        if refuse.final:
            self._accounts.refused(turn, row.wanted.recipient, row.grant, refuse.code, here=False, outgoing=True)
            self._finish(turn, row, row.acked, refuse.code)
            self._others(turn, row)
        elif row.state != STOPPING:
            self._rows.put(turn.vault, replace(row, state=WAITING, reason=refuse.code))
        return True

    def _own(self, turn: Turn, peer: bytes, transfer: bytes) -> Outgoing | None:
        row = self._rows.get(turn.vault, transfer)
        members = turn.core.replica.members
        if row is None or node_of(row.wanted.recipient, members) != members.party_of(peer):
            return None
        return row

    def _finish(self, turn: Turn, row: Outgoing, tally: Tally, reason: str) -> None:
        self._accounts.close(turn, HOLDER, row.transfer, tally, reason, handed=row.next_number > 0)
        self._rows.end(turn.vault, row)
        self._moved.pop(row.transfer, None)
        self._pauses.forget(row.transfer)
        for sent in self._flight.values():
            sent.pop(row.transfer, None)
        turn.note("TRANSFER_ENDED", transfer=row.transfer.hex(), reason=reason)

    def _others(self, turn: Turn, row: Outgoing) -> None:
        """When a transfer has ended, give those that had no room their turn."""
        if self._rows.get(turn.vault, row.transfer) is None:
            for other in self._rows.waiting(turn.vault, row.wanted.recipient, FOLLOWING):
                self.go_on(turn, other)

    # Peers

    def go_on_all(self, turn: Turn, parties: list[Party], *, again: bool) -> bool:
        """Go on with what waits for these parties; say whether anything still does.

        `again`: their node has just come up. Otherwise what is on its way is sent again only where nothing moved
        for STALL_MS, or the recipient has said "not now", and its pause is over.
        """
        anything = False
        for party in parties:
            for transfer in self._rows.waiting(turn.vault, party, OPEN_MAX):
                back = again and self._pauses.anew(transfer, turn.now_ms)
                self.go_on(turn, transfer, again=WINDOW_PACKS if back else self._due(turn, transfer))
                anything = True
        return anything

    def _due(self, turn: Turn, transfer: bytes) -> int:
        """Return how many packs that are on their way are to be sent again by now."""
        row = self._rows.get(turn.vault, transfer)
        if row is None or not self._pauses.due(transfer, turn.now_ms):
            return 0
        if row.state == WAITING:
            return 1
        return WINDOW_PACKS if turn.now_ms - self._moved.get(transfer, 0) >= STALL_MS else 0

    def forget(self, peer: bytes) -> None:
        """Forget what was on its way to a peer: its channel is new, or gone."""
        self._flight.pop(peer, None)

    def review(self, turn: Turn, grant: bytes) -> None:
        """A consent changed: go on with, or stop, what rests on it."""
        for transfer in self._rows.under(turn.vault, grant):
            self.go_on(turn, transfer)

    def _peer(self, turn: Turn, recipient: Party) -> bytes | None:
        """Return a connected device of the recipient's node, or our own."""
        return device_at(recipient, turn)
