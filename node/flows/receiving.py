"""The recipient's side of transfers: every pack is opened, held against the gate as what it is, and only then kept.

How it works
    A transfer is asked for (`ask`), or begins with a holder's first pack. Packs come in order of their number: one
    that is held already is answered and dropped, one from too far ahead likewise, so each is kept exactly once,
    whatever is lost, repeated or reordered. The flow that is decided is made from the series in the pack, so a
    holder that sends what was not granted is refused, whatever it says of it; and so is a pack that the holder has
    not signed for (`answers`). What is kept is acknowledged after it is durable; the account of it is in the same
    transaction. While there is no room (`full`), packs are refused for now, and wait at their holder.

    What was asked and not answered is asked again after pauses that grow (`pauses`), from the first on when the holder
    comes back. A holder whose packs were refused for now is told when content of consents has come since (`look_anew`),
    so that neither end needs to try often.

What it does not do
    It does not mix what was received with one's own readings: packs stay apart, as they came, under their grant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ledger.consent.gate import Decision
from ledger.consent.grant import RecipientClass, read_party, read_recipient
from ledger.consent.reasons import Reason
from ledger.errors import LocalError, RemoteError
from ledger.governance.members import Party
from ledger.schema import DAY
from node.flows.accounts import Accounts
from node.flows.answers import served
from node.flows.contents import Content, kinds_in, read_pack
from node.flows.door import LATER, Door, device_at, node_of
from node.flows.hosting import TENANT_FULL, Stored
from node.flows.pauses import Pauses
from node.flows.sending import ENDED_EARLY
from node.flows.wire import Ask, Chunk, Done, Got, Refuse, encode
from node.room import QUOTA_FULL
from node.vaults.receipts import RECIPIENT
from node.vaults.transfers import (
    ASKED,
    DONE,
    RECEIVING,
    STOPPED,
    TRANSFER_BYTES,
    Incoming,
    IncomingRows,
    Tally,
    Wanted,
    chained,
)

if TYPE_CHECKING:
    from node.core import Turn

ASKS_MAX: Final = 1_000
"""Requests that wait for an answer."""
ASK_DAYS_MAX: Final = 7
"""After so many days without an answer a request is given up."""
HELD_UP_MAX: Final = 1_000
"""Transfers whose packs were refused for now that are remembered, to tell their holders when content has come."""
SERIES_MAX: Final = 64
"""Series in one pack."""
OTHER_TRANSFER: Final = "OTHER_TRANSFER"
NO_ANSWER: Final = "NO_ANSWER"


class Receiving:
    """See the module. One for each mesh."""

    def __init__(self, door: Door, rows: IncomingRows, accounts: Accounts) -> None:
        self._door, self._rows, self._accounts = door, rows, accounts
        self._stored = Stored(rows)
        self._pauses = Pauses()  # transfer -> when it is asked for again
        self._held_up: dict[bytes, tuple[bytes, bytes]] = {}  # transfer -> whose packs were refused for now, and grant
        self.full: Callable[[], bool] = lambda: False  # the node has no room for more; see node/room.py

    # Asking

    def ask(self, turn: Turn, wanted: Wanted) -> bytes:
        """Ask a holder for data, now or when it is there; return the transfer. Raises LocalError TOO_MANY_ASKS."""
        if len(self._rows.asked(turn.vault, ASKS_MAX)) >= ASKS_MAX:
            raise LocalError("TOO_MANY_ASKS", f"{ASKS_MAX} requests wait for an answer; let some end first")
        transfer = turn.core.random_bytes(TRANSFER_BYTES)
        row = Incoming(transfer, wanted, None, turn.now, ASKED, "", Tally.begin(transfer), ())
        self._rows.put(turn.vault, row)
        self._send_ask(turn, row)
        return transfer

    def ask_again(self, turn: Turn, peer: bytes | None = None) -> bool:
        """Send once more what was asked and not answered, where it is due; say whether anything waits.

        `peer`: only what is asked of it, which has just come up.
        """
        waiting = self._rows.asked(turn.vault, ASKS_MAX)
        for transfer in waiting:
            row = self._rows.get(turn.vault, transfer)
            if row is not None and turn.now - row.created > ASK_DAYS_MAX * DAY:
                self._rows.put(turn.vault, replace(row, state=STOPPED, reason=NO_ANSWER))
                self._forget(transfer)
            elif row is not None and (peer is None or self._is_of(turn, peer, row)):
                if peer is not None:
                    self._pauses.anew(transfer, turn.now_ms)
                self._send_ask(turn, row)
        return bool(waiting)

    def _send_ask(self, turn: Turn, row: Incoming) -> None:
        peer = device_at(row.wanted.holder, turn)
        if peer is not None and self._pauses.due(row.transfer, turn.now_ms):
            self._pauses.tried(row.transfer, turn.now_ms)
            turn.send(peer, encode(Ask(row.transfer, row.wanted)))

    def look_anew(self, turn: Turn, grants: Collection[bytes]) -> None:
        """Something has come that these consents rest on: tell the holders that we refused for now where we are."""
        for transfer, (peer, grant) in list(self._held_up.items()):
            if grant not in grants:
                continue
            del self._held_up[transfer]
            row = self._rows.get(turn.vault, transfer)
            if row is None or row.state in (ASKED, RECEIVING):
                tally = row.tally if row is not None else Tally.begin(transfer)
                turn.send(peer, encode(Got(transfer, tally.packs, tally.chain, final=False)))

    def row(self, turn: Turn, transfer: bytes) -> Incoming | None:
        """Return where a transfer stands, or None."""
        return self._rows.get(turn.vault, transfer)

    # Receiving

    def chunk(self, turn: Turn, peer: bytes, chunk: Chunk) -> None:
        """Take one pack in, or refuse it."""
        row = self._rows.get(turn.vault, chunk.transfer) or self._new(turn, chunk)
        if row is None:
            self._answer_no(turn, peer, chunk, Reason.UNREGISTERED.value)
            return
        if not self._is_of(turn, peer, row):
            turn.send(peer, encode(Refuse(chunk.transfer, OTHER_TRANSFER, final=True)))
        elif row.state in (DONE, STOPPED):
            self._say(turn, peer, row)
        elif row.tally.packs < chunk.number and chunk.transfer in self._held_up:
            return  # behind one that was refused for now
        elif row.tally.packs != chunk.number:
            turn.send(peer, encode(Got(row.transfer, row.tally.packs, row.tally.chain, final=False)))
        elif chunk.grant != (row.grant or row.wanted.grant or chunk.grant):
            self._stop(turn, peer, row, OTHER_TRANSFER, here=True)
        elif self.full():
            self._answer_no(turn, peer, chunk, QUOTA_FULL, row)
        elif self._stored.full(turn, row.wanted.recipient, len(chunk.pack)):
            self._answer_no(turn, peer, chunk, TENANT_FULL, row)
        else:
            self._open(turn, peer, row, chunk)

    def _new(self, turn: Turn, chunk: Chunk) -> Incoming | None:
        """Return the row of a transfer that a holder begins, from its grant's clear fields; None if it is unknown."""
        grant = self._door.grant_entry(turn, chunk.grant)
        if grant is None:
            return None
        recipient = read_recipient(grant.payload["recipient"])
        if isinstance(recipient, RecipientClass):
            recipient = turn.core.party  # whether we are of the class, the gate says
        wanted = Wanted(read_party(grant.payload["holder"]), recipient, chunk.grant)
        tally = Tally.begin(chunk.transfer)
        return Incoming(chunk.transfer, wanted, chunk.grant, turn.now, RECEIVING, "", tally, ())

    def _open(self, turn: Turn, peer: bytes, row: Incoming, chunk: Chunk) -> None:
        try:
            contents = read_pack(chunk.pack)
            served(turn, peer, row.wanted, chunk, (chained(row.tally.chain, chunk.pack), kinds_in(contents)))
        except RemoteError as error:
            self._stop(turn, peer, row, error.code, here=True)
            return
        if len(contents) > SERIES_MAX:
            self._stop(turn, peer, row, "BAD_SENML", here=True)
            return
        decision = self._decide(turn, row, chunk.grant, contents)
        if decision.allowed:
            self._keep(turn, peer, row, chunk, contents, decision)
        elif decision.reason in LATER:
            self._answer_no(turn, peer, chunk, decision.reason.value, row)
        else:
            self._stop(turn, peer, row, decision.reason.value, here=True, grant=chunk.grant)

    def _decide(self, turn: Turn, row: Incoming, grant: bytes, contents: list[Content]) -> Decision:
        """Hold everything in a pack against the gate; the first refusal is the answer."""
        members = turn.core.replica.members
        wanted = row.wanted
        if node_of(wanted.recipient, members) != turn.core.party:
            return Decision(Reason.OTHER_RECIPIENT, grant)
        purpose = self._door.purpose(turn, grant) if wanted.purpose is None else wanted.purpose
        decision = Decision(Reason.BAD_FLOW, grant)
        for one in contents:
            decision = self._door.decide(turn, one.flow(wanted.holder, wanted.recipient, purpose), grant)
            if not decision.allowed:
                return decision
        return decision

    def _keep(
        self, turn: Turn, peer: bytes, row: Incoming, chunk: Chunk, contents: list[Content], decision: Decision
    ) -> None:
        """Keep a pack that the gate let in, count it, and say so."""
        first, stop = min(one.window[0] for one in contents), max(one.window[1] for one in contents)
        held = row.tally
        if held.count:
            first, stop = min(first, held.window[0]), max(stop, held.window[1])
        count = held.count + sum(one.count for one in contents)
        gaps = held.gaps + sum(one.gaps for one in contents)
        tally = Tally(held.packs + 1, count, gaps, (first, stop), chained(held.chain, chunk.pack))
        keys = (*row.series, *(one.key for one in contents if one.key is not None and one.key not in row.series))
        row = replace(row, grant=chunk.grant, state=RECEIVING, reason="", tally=tally, series=keys)
        self._rows.put_pack(turn.vault, row.transfer, chunk.number, chunk.pack)
        self._rows.put(turn.vault, row)
        self._forget(row.transfer)
        self._accounts.note(turn, RECIPIENT, row.transfer, row.wanted, tally, decision, RECEIVING)
        turn.send(peer, encode(Got(row.transfer, tally.packs, tally.chain, final=False)))

    # Ending

    def done(self, turn: Turn, peer: bytes, done: Done) -> None:
        """The holder says that it sent everything."""
        row = self._own(turn, peer, done.transfer)
        if row is None:
            return
        if row.state == RECEIVING and row.tally.packs == done.packs:
            row = replace(row, state=DONE)
            self._rows.put(turn.vault, row)
            self._accounts.close(turn, RECIPIENT, row.transfer, row.tally, "")
            turn.note("TRANSFER_ENDED", transfer=row.transfer.hex(), reason="")
        self._say(turn, peer, row)

    def refused(self, turn: Turn, peer: bytes, refuse: Refuse) -> None:
        """The holder refuses, or stops in the middle: say what we hold, and close the account."""
        row = self._own(turn, peer, refuse.transfer)
        if row is None:  # it may wait for our word on packs that never came
            nothing = Tally.begin(refuse.transfer)
            turn.send(peer, encode(Got(refuse.transfer, 0, nothing.chain, final=True)))
            return
        if row.state in (ASKED, RECEIVING) and refuse.final:
            row = replace(row, state=STOPPED, reason=refuse.code)
            self._rows.put(turn.vault, row)
            self._forget(row.transfer)
            grant = row.grant or row.wanted.grant
            self._accounts.refused(turn, row.wanted.holder, grant, refuse.code, here=False, outgoing=False)
            self._accounts.close(turn, RECIPIENT, row.transfer, row.tally, refuse.code)
            turn.note("TRANSFER_ENDED", transfer=row.transfer.hex(), reason=refuse.code)
        if refuse.final:
            turn.send(peer, encode(Got(row.transfer, row.tally.packs, row.tally.chain, final=True)))

    def review(self, turn: Turn, grant: bytes) -> None:
        """A consent has ended: stop what is being received under it, and tell the holders that are there."""
        for transfer in self._rows.under(turn.vault, grant):
            row = self._rows.get(turn.vault, transfer)
            if row is None or row.state != RECEIVING:
                continue
            decision = self._door.judge(turn, replace(row.wanted, grant=grant)).decision
            if decision.allowed or decision.reason in LATER:
                continue
            peer = device_at(row.wanted.holder, turn)
            self._stop(turn, peer, row, decision.reason.value, here=True)

    def give_up(self, turn: Turn, grant: bytes, party: Party) -> None:
        """End what a party is still receiving under a consent: what came of it is about to be destroyed."""
        for transfer in self._rows.under(turn.vault, grant):
            row = self._rows.get(turn.vault, transfer)
            if row is not None and row.state == RECEIVING and row.wanted.recipient == party:
                self._stop(turn, device_at(row.wanted.holder, turn), row, ENDED_EARLY, here=True)

    def _own(self, turn: Turn, peer: bytes, transfer: bytes) -> Incoming | None:
        row = self._rows.get(turn.vault, transfer)
        return row if row is not None and self._is_of(turn, peer, row) else None

    def _is_of(self, turn: Turn, peer: bytes, row: Incoming) -> bool:
        """Say whether a peer is a device of the holder's node."""
        members = turn.core.replica.members
        return node_of(row.wanted.holder, members) == members.party_of(peer)

    def _stop(
        self, turn: Turn, peer: bytes | None, row: Incoming, code: str, *, here: bool, grant: bytes | None = None
    ) -> None:
        """End a transfer; nothing more of it is taken in. A transfer that never began leaves no row."""
        self._forget(row.transfer)
        named = grant or row.grant
        self._accounts.refused(turn, row.wanted.holder, named, code, here=here, outgoing=False)
        self._accounts.close(turn, RECIPIENT, row.transfer, row.tally, code)
        row = replace(row, state=STOPPED, reason=code)
        if row.tally.packs or self._rows.get(turn.vault, row.transfer) is not None:
            self._rows.put(turn.vault, row)
            turn.note("TRANSFER_ENDED", transfer=row.transfer.hex(), reason=code)
        if peer is not None:
            turn.send(peer, encode(Refuse(row.transfer, code, True, row.tally.packs, row.tally.chain)))

    def _answer_no(self, turn: Turn, peer: bytes, chunk: Chunk, code: str, row: Incoming | None = None) -> None:
        """Refuse a pack for now: nothing ends."""
        if chunk.transfer in self._held_up or len(self._held_up) < HELD_UP_MAX:
            self._held_up[chunk.transfer] = (peer, chunk.grant)
        tally = row.tally if row is not None else Tally.begin(chunk.transfer)
        turn.send(peer, encode(Refuse(chunk.transfer, code, False, tally.packs, tally.chain)))

    def _forget(self, transfer: bytes) -> None:
        """It moves, or has ended: nobody waits for it to be tried again."""
        self._pauses.forget(transfer)
        self._held_up.pop(transfer, None)

    def _say(self, turn: Turn, peer: bytes, row: Incoming) -> None:
        """Tell the holder where we are."""
        packs, chain = row.tally.packs, row.tally.chain
        if row.state == STOPPED:
            turn.send(peer, encode(Refuse(row.transfer, row.reason, True, packs, chain)))
        else:
            turn.send(peer, encode(Got(row.transfer, packs, chain, final=row.state == DONE)))
