"""Family 3 of one mesh: disclosures, registrations, transfers (node.core.DataFamily).

How it works
    `Flows` puts the parts together and routes what comes: messages to the part they are for, new entries to all that
    wait for them, peers and timers to whatever is left to do. Everything it must remember is in the vault; what it
    keeps in memory (compiled consents, bytes on their way) may be lost at any moment and is only slower then.

What it does not do
    It opens no transaction and no channel, and lets nothing in or out: `Door` is asked by `Sending` and `Receiving`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from gossip.messages import Envelope
from ledger.entry import Entry
from ledger.errors import RemoteError
from node.flows.accounts import TIMER, Accounts
from node.flows.calling import Calling
from node.flows.carrying import TIMER as CARRY
from node.flows.carrying import Carrying
from node.flows.changing import Changing
from node.flows.compiling import TAKEN
from node.flows.computing import Computing
from node.flows.consenting import Consenting
from node.flows.disclosing import Disclosing, devices_of, ended_grant
from node.flows.door import Door, parties_at
from node.flows.erasing import Erasing
from node.flows.letters import Letters
from node.flows.living import Living
from node.flows.passing import Passing, concerns
from node.flows.points import Points
from node.flows.probing import TIMER as PROBES
from node.flows.probing import TIMER_NEXT as PROBE_NEXT
from node.flows.probing import Probing
from node.flows.receiving import Receiving
from node.flows.registering import Registering
from node.flows.releasing import Releasing
from node.flows.rights import Rights
from node.flows.sending import Sending
from node.flows.sharing import Sharing
from node.flows.spreading import TIMER as WAITING
from node.flows.spreading import Spreading
from node.flows.trail import Stated
from node.flows.wire import (
    Ask,
    AskTable,
    Chunk,
    Disclose,
    Done,
    Got,
    Redeem,
    Redeemed,
    Refuse,
    Register,
    Tabled,
    Taken,
    decode,
)
from node.linking import TIMER as LINKS
from node.linking import Linking
from node.tables import Links
from node.tenants import Tenants
from node.vaults import Blind
from node.vaults.changes import ChangeRows
from node.vaults.computations import ComputationRows
from node.vaults.consents import ConsentRows
from node.vaults.deliveries import DeliveryRows
from node.vaults.erasures import ErasureRows
from node.vaults.letters import LetterRows
from node.vaults.points import PointRows
from node.vaults.pseudonyms import PseudonymRows
from node.vaults.receipts import ReceiptRows
from node.vaults.releases import ReleaseRows
from node.vaults.series import SeriesRows
from node.vaults.shares import ShareRows
from node.vaults.transfers import IncomingRows, OutgoingRows
from node.vaults.waiting import WaitingRows
from node.vaults.wallets import WalletRows

if TYPE_CHECKING:
    from node.core import Turn

READERS_LOOKED_MAX: Final = 256
"""Readers for whom content waits that a channel is wanted to."""
RETRY: Final = "data:retry"
RETRY_FIRST_MS: Final = 1_000
"""After so long what waits for a connected peer is looked at again; then after twice as long, and so on."""
RETRY_MAX_MS: Final = 15_000

WayOut: TypeAlias = Callable[[ConsentRows, SeriesRows], Door]
"""Makes the door that what leaves must pass."""


class Flows:
    """See the module. `blind`: storage.vault.Vault.blind; `chooser`: picks members to register withdrawals.

    `tenants`: those whose keys are kept here. `links`: whose offers are taken.
    `probes_a_day`: conformance probes that are made by themselves.
    `pending_evidence`: whether evidence that nobody has checked yet will do. `spread_seconds`: within which a wallet's
    grants are published apart (node.flows.spreading); 0: all at once. `way_out`: the door that what leaves must
    pass, by default `Door`. No setting of a node changes it: node/turncoat.py says who does.
    """

    def __init__(
        self,
        blind: Blind,
        chooser: random.Random,
        tenants: Tenants | None = None,
        *,
        probes_a_day: int = 0,
        way_out: WayOut | None = None,
        pending_evidence: bool = False,
        links: Links | None = None,
        spread_seconds: int = 0,
    ) -> None:
        self.tenants = tenants if tenants is not None else Tenants()
        self.series = SeriesRows(blind)
        self.consents = ConsentRows(blind)
        self.wallets = WalletRows(blind)
        self.outgoing = OutgoingRows(blind)
        self.incoming = IncomingRows()
        self.receipts = ReceiptRows()
        self.deliveries = deliveries = DeliveryRows()
        self.door = Door(self.consents)
        self.sharing = Sharing(self.door, ShareRows())
        self.accounts = Accounts(self.receipts, blind, self.tenants)
        out = self.door if way_out is None else way_out(self.consents, self.series)
        out.pending_evidence = self.door.pending_evidence = pending_evidence
        out.open_token = self.door.open_token = self.sharing.limits
        self.sending = Sending(out, self.series, self.outgoing, self.accounts, self.incoming)
        self.receiving = Receiving(self.door, self.incoming, self.accounts)
        self.probing = Probing(self.door, self.consents, self.receiving, chooser, probes_a_day)
        self.points = Points(PointRows(blind), self.wallets)
        self.disclosing = Disclosing(self.door, self.consents, deliveries, self.tenants, self.points.rows, self.wallets)
        self.disclosing.takers |= dict.fromkeys(TAKEN, self._take)
        self.door.compiling.call_stands = Calling().stands
        self.sending.content_for = self.disclosing.content_for
        self.registering = Registering(deliveries, chooser)
        self.registering.look_later = self.retry_later
        self.changing = Changing(ChangeRows(), self.consents, self.incoming)
        self.erasures = ErasureRows()
        self.erasing = Erasing(self.erasures, self.incoming, self.consents, self.disclosing, self.tenants)
        self.erasing.stop = self.receiving.give_up
        self.disclosing.is_erased = self.erasing.is_erased
        out.entitled = self.door.entitled = self.points.entitled
        self.letters = Letters(LetterRows(blind), self.disclosing)
        self.rights = Rights(self.letters, self.wallets, self.consents, self.incoming)
        self.releases, self.computations, self.pseudonyms = ReleaseRows(), ComputationRows(), PseudonymRows(blind)
        self.stated = Stated()
        self.releasing = Releasing(self.door, self.releases, self.receipts, self.letters)
        self.computing = Computing(self.door, self.computations, self.series)
        self.sending.compute = self.computing.asked
        self._pause_ms, self._look_ms = RETRY_FIRST_MS, 0  # of the next look: after how long, and when it is planned
        waiting = WaitingRows(blind)
        self.spreading = Spreading(waiting, self.consents, self.wallets, self.disclosing, spread_seconds)
        parts = (self.wallets, self.consents, self.disclosing, self.registering)
        self.acts = Consenting(*parts, self.computations, self.spreading)
        self.passing = Passing(self.wallets, self.consents, self.disclosing, self.door.compiling, self.spreading)
        self.spreading.published = self.passing.tell
        self.disclosing.concerns = concerns
        self.life = Living(*parts, self.door, self.tenants, self.passing)
        self.life.acted = self.spreading.acted
        self.carrying = Carrying(self.life.calls, self.life)
        self.linking = Linking(links)

    def _take(self, turn: Turn, entry: Entry, blob: bytes) -> None:
        """Take in what consents rest on, or are narrowed by; whoever else must know the latter is told once."""
        fresh = not self.consents.holds(turn.vault, entry.id)
        self.door.compiling.take(turn, entry, blob)
        if fresh and entry.kind == "consent.amend":
            self.passing.narrowed(turn, entry)

    # node.core.DataFamily

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Act on one message from a member. Its faults become notes; nothing of it is kept then."""
        try:
            self._route(turn, peer, envelope)
        except RemoteError as error:
            turn.note("DATA_REFUSED", peer=peer.hex(), code=error.code)

    def _route(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        message = decode(envelope)
        match message:
            case None:
                turn.note("DATA_KIND_UNKNOWN", kind=envelope.kind)
            case Disclose():
                self._disclosed(turn, peer, message)
            case Register():
                self.registering.received(turn, peer, message)
            case Taken(entry_id):
                if self.disclosing.taken(turn, peer, entry_id):
                    self.retry_later(turn)  # more may wait for it
                self.registering.taken(turn, peer, entry_id)
            case Ask():
                self.sending.asked(turn, peer, message)
            case Chunk(transfer):
                if not self.probing.chunk(turn, peer, message):
                    self.receiving.chunk(turn, peer, message)
                    self.probing.look(turn, transfer)
            case Got():
                if not self.releasing.got(turn, peer, message):
                    self.sending.got(turn, peer, message)
            case AskTable():
                self.releasing.asked(turn, peer, message)
            case Tabled():
                self.releasing.came(turn, peer, message)
            case Done(transfer):
                self.receiving.done(turn, peer, message)
                self.changing.arrived(turn, transfer)
            case Redeem():
                self.sharing.shown(turn, peer, message)
            case Redeemed():
                self.sharing.answered(turn, peer, message)
            case Refuse():
                ours = peer == turn.core.device.kid and message.signature  # a holder here says no to a recipient here
                mine = not ours and self.sending.refused(turn, peer, message)
                mine = mine or self.probing.refused(turn, peer, message)
                mine = mine or self.releasing.refused(turn, peer, message)
                if not mine:
                    self.receiving.refused(turn, peer, message)
            case _:
                assert_never(message)
        self._look_later(turn)

    def _disclosed(self, turn: Turn, peer: bytes, message: Disclose) -> None:
        """Take content in; whatever waited for it goes on."""
        ident = hashlib.sha256(message.entry).digest()
        held, resting = self.consents.holds(turn.vault, ident), self.door.resting_on(ident)
        self.disclosing.received(turn, peer, message)
        self.changing.look(turn, ident)
        if not held and self.consents.holds(turn.vault, ident):
            self.receiving.look_anew(turn, resting)
            self.retry_later(turn)

    def peer_up(self, turn: Turn, peer: bytes) -> None:
        """Send a member what waited for it."""
        self.accounts.plan(turn)
        self.probing.plan(turn)
        self.carrying.plan(turn)
        self.spreading.plan(turn)
        self.sending.forget(peer)
        self._send(turn, peer, again=True)
        self.retry_later(turn)

    def peer_down(self, turn: Turn, peer: bytes) -> None:  # noqa: ARG002 (the protocol has it)
        """Forget what was on its way."""
        self.sending.forget(peer)

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """Look anew at what rests on consents that began or ended."""
        self.linking.entries(turn, entries)
        resting = {
            ident for one in entries if one.kind in ("consent.grant", *TAKEN) for ident in self.door.resting_on(one.id)
        }
        self.disclosing.entries(turn, entries)
        self.changing.entries(turn, entries)
        self.erasing.entries(turn, entries)
        for grant in self.door.came(entries):
            self.sending.review(turn, grant)
            self.receiving.review(turn, grant)
        for entry in entries:
            if entry.kind == "consent.grant":
                self.sending.review(turn, entry.id)
            elif entry.kind == "group.call":
                self.carrying.plan(turn)
            elif entry.kind == "consent.rekey":
                self.life.named_host(turn, entry)
            elif entry.kind in ("consent.amend", "consent.evidence"):
                if entry.kind == "consent.amend":
                    self.passing.narrowed(turn, entry)
                self.sending.review(turn, entry.payload["grant"])
                self.receiving.review(turn, entry.payload["grant"])
            elif entry.kind in ("consent.withdraw", "consent.revoke"):
                grant = ended_grant(entry)
                self.door.forget(grant)
                self.sending.review(turn, grant)
                self.receiving.review(turn, grant)
        self.receiving.look_anew(turn, resting)

    def partners(self, turn: Turn) -> frozenset[bytes]:
        """Return the devices of members with a link to us, and of those for whom content waits here."""
        members, own = turn.core.replica.members, turn.core.party
        up = (ends for ends, state in members.links.items() if state == "up" and own in ends)
        linked = {kid for ends in up for party in ends if party != own for kid in devices_of(party, members)}
        waited = self.deliveries.waited_for(turn.vault, READERS_LOOKED_MAX)
        now = (kid for was in waited for kid in (was, *devices_of(members.party_of(was), members)))
        return frozenset(linked.union(kid for kid in now if members.speaks(kid)))

    def timer(self, turn: Turn, name: str) -> None:
        """Do what was put off."""
        if name == TIMER:
            self.erasing.state_again(turn)
            self.releasing.state_again(turn)
            self.probing.state_again(turn)
            self.accounts.state(turn)
            self.accounts.plan(turn)
        elif name == LINKS:
            self.linking.look(turn)
        elif name == CARRY:
            if self.carrying.carry(turn):
                self.retry_later(turn)
            self.carrying.plan(turn)
        elif name == WAITING:
            self.spreading.look(turn)
            self.retry_later(turn)
        elif name == PROBES:
            self.probing.timer(turn)
        elif name == PROBE_NEXT:
            self.probing.by_itself(turn)
        elif name == RETRY:
            waits = False
            for peer in turn.core.member_peers:
                waits |= self._send(turn, peer, again=False)
            waits |= self.receiving.ask_again(turn)
            waits |= self.sending.go_on_all(turn, parties_at(turn.core.party, turn.core.replica.members), again=False)
            self._look_ms = 0
            self._pause_ms = min(2 * self._pause_ms, RETRY_MAX_MS) if waits else RETRY_FIRST_MS
            if waits:
                self._look_later(turn)

    def _send(self, turn: Turn, peer: bytes, *, again: bool) -> bool:
        """Send a peer what waits for it; say whether anything does."""
        members = turn.core.replica.members
        waits = self.disclosing.send(turn, peer)
        waits |= self.registering.send(turn, peer, again=again)
        waits |= self.releasing.go_on(turn, peer)
        waits |= self.sending.go_on_all(turn, parties_at(members.party_of(peer), members), again=again)
        if again:
            waits |= self.receiving.ask_again(turn, peer)
        return waits

    def retry_later(self, turn: Turn) -> None:
        """Have what waits looked at soon: after something was begun, a peer came up, or content came."""
        self._pause_ms, self._look_ms = RETRY_FIRST_MS, 0
        self._look_later(turn)

    def _look_later(self, turn: Turn) -> None:
        """Have what waits looked at after the pause, or when that is planned already: no message puts it off."""
        at = turn.now_ms + self._pause_ms
        if not turn.now_ms < self._look_ms <= at:
            self._look_ms = at
            turn.timer(RETRY, at)
