"""One act of a mesh's core inside one transaction: an event taken in, or something stated (node.core).

How it works
    A turn gathers effects; nothing leaves before the driver has committed. Whatever gossip asks of the ledger is
    done at once, inside the turn. `finish` signs our feed once if it grew, or if a heartbeat or a mark is due, and
    tells gossip what is new.

    Ticks (ledger.md §5): when a boundary of the policy passes, gossip compares the marks of it with others for a
    while, then the committed maps move to it and we attest. For a tick on demand each member dates a checkpoint at
    the boundary, a little ahead, so that all that was stated before is in it.

What it does not do
    It commits nothing, and decides nothing about rights: the ledger's fold does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from gossip import events as gossip
from gossip.messages import Envelope
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.feed import AHEAD_SECONDS_MAX, SignedHead
from ledger.held import PIN
from ledger.replica import Decoded, ForkSeen, Run
from ledger.rows import Writer
from ledger.ticks import TICK_WAIT_SECONDS, Tick, contradictions, prune_heads
from node import forks
from node.directory import KIND_CARDS
from node.events import Effect, Event, MembershipMoved, Noted, Verified, Verify
from node.stating import statement
from node.witness import TIMER as TIMER_WITNESS

if TYPE_CHECKING:
    from node.core import Core

BULK_LEAVES_MIN: Final = 16  # runs at least this long are verified by worker processes, where there are any
TICK_ASKED_WAIT_SECONDS: Final = 1  # after a tick on demand, before it is attested
MARK_AHEAD_SECONDS: Final = 3  # a checkpoint is dated ahead for a tick on demand by no more than this
BOUNDARIES_MAX: Final = 16  # ticks on demand that wait
RUN_BYTES: Final = 4 << 20  # leaves of our own feed that gossip is told of at once
TIMER_HEARTBEAT: Final = "heartbeat"
TIMER_TICK: Final = "tick"
TIMER_TICK_ASKED: Final = "tick-asked"
TIMER_MOVE: Final = "move"


class Turn:
    """One act of the core inside one transaction. Gathers effects; nothing leaves before the driver commits."""

    def __init__(self, core: Core, rows: Writer, vault: Any, now_ms: int) -> None:
        self.core, self.rows, self.vault, self.now_ms = core, rows, vault, now_ms
        self.now = now_ms // 1_000
        self.effects: list[Effect] = []
        self._own_start = self._own_size()
        self._fresh: list[Entry] = []
        self._moved = False
        self._sign_at: int | None = None

    def _own_size(self) -> int:
        row = self.core.replica.feeds.get(self.core.device.kid)
        return row.peaks.size if row is not None else 0

    # Local acts

    def state(self, kind: str, thing: tuple[str, bytes], payload: Mapping[str, Any], *, not_before: int = 0) -> Entry:
        """Sign a statement with our device key and register it, dated by our clock, its closure or `not_before`."""
        return self.register(statement(self, self.core.device, kind, thing, payload, not_before))

    def register(self, entry: Entry) -> Entry:
        """Register a verified entry (a subject's, a tenant's, a root key's, or our own) in our feed, once.

        Raises RemoteError DATED_AHEAD: nobody would take our feed from there on, before that time has come.
        LocalError with a void code: it would be void in our feed.
        """
        replica, device = self.core.replica, self.core.device
        if entry.iat > self.now + AHEAD_SECONDS_MAX and entry.kid != device.kid:
            raise RemoteError("DATED_AHEAD", "this entry is dated ahead of our clock; set your clock", field="iat")
        own = replica.feeds.get(device.kid)
        places = replica.places(self.rows, entry.id)
        if own is not None and any(number == own.number for number, _ in places):
            return entry
        accepted = replica.append(self.rows, device.public, [entry])
        self._fresh.extend(accepted.entries)
        self._moved |= accepted.governance
        return entry

    def vouch(self, reference: bytes) -> None:
        """Follow the branch of rival seals that holds this epoch, from now on."""
        self.rows.put("meta", PIN + reference, b"")
        self.core.replica.reload(self.rows)
        self._moved = True

    def shown_head(self) -> Head:
        """Return the newest checkpoint of our feed that a subject may be shown: signed, so that others hold it."""
        head = self.core.replica.signed_head(self.core.device.kid)
        if head is None:
            return Head(self.core.device.kid, 0, self.core.replica.position(self.core.device.kid).root)
        return Head(self.core.device.kid, head.size, head.root)

    def heartbeat(self, at: int = 0) -> None:
        """Sign our checkpoint afresh at the end of the turn, as of now or of `at` (unix seconds) if that is later."""
        self._sign_at = max(at, self.now, self._sign_at or 0)

    def ask_tick(self, boundary: int) -> None:
        """Ask every member to mark `boundary` (unix seconds), mark it ourselves, and attest when it has passed.

        A boundary a second ahead lets every mark arrive in time. Raises LocalError TICK_TOO_FAR.
        """
        self.core._told = True
        self._carry(self.core.swarm.tick(boundary, self.now_ms))
        self._asked(boundary)

    def _asked(self, boundary: int) -> None:
        """Plan our mark and our attestation of a boundary; a near one is marked at once, dated ahead."""
        boundaries = self.core.boundaries
        if boundary not in boundaries and len(boundaries) < BOUNDARIES_MAX:
            boundaries.append(boundary)
            if self.now <= boundary <= self.now + MARK_AHEAD_SECONDS:
                self.heartbeat(boundary)
            self._plan_asked()

    def _plan_asked(self) -> None:
        due = [b if b > self.now else b + TICK_ASKED_WAIT_SECONDS for b in self.core.boundaries]
        if due:
            self.timer(TIMER_TICK_ASKED, min(due) * 1_000)

    def _ticks_asked(self) -> None:
        boundaries = sorted(self.core.boundaries)
        self.core.boundaries = [b for b in boundaries if b + TICK_ASKED_WAIT_SECONDS > self.now]
        for boundary in boundaries:
            if boundary + TICK_ASKED_WAIT_SECONDS <= self.now:
                self.attest(boundary)
            elif boundary <= self.now:
                self.heartbeat(boundary)
                self._tell(gossip.BoundaryPassed(boundary))
        self._plan_asked()

    def attest(self, boundary: int) -> Tick | None:
        """Move the committed maps to a boundary and attest it; None while leaves below it are missing.

        None too when so much was named since the last tick that the move takes several turns; it is attested then.
        """
        ticker = self.core.ticker
        if ticker.moving is None:
            if ticker.tick is not None and ticker.tick.boundary >= boundary:
                return None
            if not ticker.ready(self.rows, boundary):
                self.note("TICK_NOT_READY", boundary=boundary)
                return None
            ticker.begin(self.rows, boundary)
        elif ticker.moving.boundary != boundary:
            self.note("TICK_NOT_READY", boundary=boundary)
        return self._move_on()

    def _move_on(self) -> Tick | None:
        """Go on with the move of the maps, a part a turn; attest the boundary once they stand at it."""
        core = self.core
        tick = core.ticker.step(self.rows) if core.ticker.moving is not None else None
        if tick is None:
            if core.ticker.moving is not None:
                self.timer(TIMER_MOVE, self.now_ms)
            return None
        prune_heads(core.replica, self.rows, tick.boundary)
        if core.replica.members.is_member(core.party) and tick.boundary >= core.since:
            payload = {"boundary": tick.boundary, "frontier": tick.frontier, "state_root": tick.state_root}
            self.state("state.attestation", ("tick", tick.boundary.to_bytes(8, "big")), payload)
        core.witness.arrived(self, tick)
        for device in contradictions(self.rows, core.replica, tick):
            self._differs(tick, device)
        return tick

    def _differs(self, tick: Tick, device: bytes) -> None:
        self.note("STATE_DIFFERS", boundary=tick.boundary, feed=device.hex())

    def send(self, peer: bytes, data: bytes) -> None:
        """Send one application message to a connected peer, or to ourselves, after the commit."""
        self.effects.append(gossip.Send(peer, data))

    def timer(self, name: str, at_ms: int) -> None:
        """Ask for a timer."""
        self.effects.append(gossip.SetTimer(name, at_ms))

    def note(self, code: str, /, **fields: Any) -> None:
        """Tell the operator something."""
        self.effects.append(Noted(code, fields))

    # Network events

    def start(self) -> None:
        """Begin: heartbeat now, and the steady timers."""
        self.core._told = True
        self.core.since = self.core.since or self.now
        self.heartbeat()
        self._beat()
        self._tick()
        if self.core.ticker.moving is not None:  # begun before we were stopped
            self.timer(TIMER_MOVE, self.now_ms)
        self._carry(self.core.swarm.start(self.now_ms))
        if self.core.sealing is not None:
            self.core.sealing.start(self)

    def _beat(self) -> None:
        beat = self.core.policy.heartbeat_seconds
        self.timer(TIMER_HEARTBEAT, (self.now // beat + 1) * beat * 1_000)

    def _tick(self) -> None:
        """Pass the policy's last boundary, attest it once late checkpoints had their time, and plan the next step.

        A boundary from before we began is not attested: we may still lack what others held then.
        """
        step = self.core.policy.tick_seconds
        wait = min(TICK_WAIT_SECONDS, max(1, step // 5))
        boundary = self.now // step * step
        self._tell(gossip.BoundaryPassed(boundary))
        if self.now >= boundary + wait:
            if boundary >= self.core.since:
                self.attest(boundary)
            self.timer(TIMER_TICK, (boundary + step) * 1_000)
        else:
            self.timer(TIMER_TICK, (boundary + wait) * 1_000)

    def handle(self, event: Event) -> None:
        """Take one event in. Never raises for a peer's fault: that becomes effects."""
        data, sealing = self.core.data, self.core.sealing
        match event:
            case Verified(source, run, decoded):
                self.core.verifying[run.feed] -= 1
                self._ingest(source, run, decoded)
            case gossip.TimerFired(name) if name == TIMER_HEARTBEAT:
                self.heartbeat()
                self._beat()
            case gossip.TimerFired(name) if name == TIMER_TICK:
                self._tick()
            case gossip.TimerFired(name) if name == TIMER_TICK_ASKED:
                self._ticks_asked()
            case gossip.TimerFired(name) if name == TIMER_MOVE:
                self._move_on()
            case gossip.TimerFired(name) if name == TIMER_WITNESS:
                self.core.witness.timer(self)
            case gossip.TimerFired(name) if name == forks.TIMER_RESCUE:
                forks.rescue(self)
            case gossip.TimerFired(name) if name.startswith("data:"):
                if data is not None:
                    data.timer(self, name)
            case gossip.TimerFired(name) if name.startswith("seal:"):
                if sealing is not None:
                    sealing.timer(self, name)
            case gossip.PeerUp(peer, _):
                self._peer_up(peer)
            case gossip.PeerDown(peer):
                member = self.core.peers.pop(peer, False)
                self._tell(event)
                self.core.witness.peer_down(peer)
                if member and data is not None:
                    data.peer_down(self, peer)
                if member and sealing is not None:
                    sealing.peer_down(peer)
            case gossip.Message(peer, raw) if peer == self.core.device.kid:
                if data is not None:  # of one party on this node to another
                    data.handle(self, peer, Envelope.open(raw))
            case _:
                self._tell(event)

    def _peer_up(self, peer: bytes) -> None:
        """Present a peer to gossip, as a member or as a stranger: that is ours to say, not the driver's."""
        member = self.core.is_member_device(peer)
        self.core.peers[peer] = member
        self._tell(gossip.PeerUp(peer, member))
        if member:
            if self.core.strangers is not None:
                self.core.strangers.introduce(self, peer)
            self.core.directory.peer_up(self, peer)
            if self.core.data is not None:
                self.core.data.peer_up(self, peer)
            if self.core.sealing is not None:
                self.core.sealing.peer_up(self, peer)

    def _review(self) -> None:
        """After membership moved: present anew those who came in, and end the channels of those who are out."""
        for peer, member in list(self.core.peers.items()):
            if self.core.is_member_device(peer) == member:
                continue
            if member:
                self.core.peers[peer] = False
                if self.core.data is not None:
                    self.core.data.peer_down(self, peer)
                if self.core.sealing is not None:
                    self.core.sealing.peer_down(peer)
                told = "this device speaks for no member of the mesh any more"
                self.effects.append(gossip.Disconnect(peer, "NOT_A_MEMBER", told))
            else:
                self._peer_up(peer)

    def _tell(self, event: gossip.Event) -> None:
        self._carry(self.core.tell(event, self.now_ms))

    def _carry(self, effects: Sequence[gossip.Effect]) -> None:
        """Do what gossip asks of the ledger; pass on what it asks of the driver."""
        for effect in effects:
            match effect:
                case gossip.Ingest(source, run):
                    self._verify(source, run)
                case gossip.Observe(source, feed, head):
                    self._observe(source, feed, head)
                case gossip.ForkCandidate():
                    forks.candidate(self, effect)
                case gossip.TickAsked(boundary, _):
                    self._asked(boundary)
                case gossip.Stranger(peer, envelope):
                    if self.core.strangers is not None:
                        self.core.strangers.handle(self, peer, envelope)
                case gossip.Data(peer, envelope):
                    if envelope.kind == KIND_CARDS:
                        self.core.directory.handle(self, peer, envelope)
                    elif self.core.data is not None:
                        self.core.data.handle(self, peer, envelope)
                case gossip.SealMessage(peer, envelope):
                    if self.core.sealing is not None:
                        self.core.sealing.handle(self, peer, envelope)
                case gossip.WitnessMessage(peer, envelope):
                    self.core.witness.handle(self, peer, envelope)
                case _:
                    self.effects.append(effect)

    def _verify(self, source: bytes, run: Run) -> None:
        """Take a run in, by way of the workers when it is long, or when earlier runs of its feed are there."""
        busy = self.core.verifying[run.feed] > 0
        if self.core.workers and (busy or len(run.raws) >= BULK_LEAVES_MIN):
            self.core.verifying[run.feed] += 1
            self.effects.append(Verify(source, run))
        else:
            self._ingest(source, run, None)

    def _ingest(self, source: bytes, run: Run, decoded: Sequence[Decoded] | None) -> None:
        try:
            accepted = self.core.replica.ingest(self.rows, run, self.now, decoded)
        except RemoteError as error:
            if isinstance(error, ForkSeen):
                forks.seen(self, error)
            self._tell(gossip.Refused(source, run.feed, error.code))
            return
        self._fresh.extend(accepted.entries)
        self._moved |= accepted.governance
        tick = self.core.ticker.tick
        for entry in accepted.entries:
            if tick is not None and entry.kind == "state.attestation" and tick.is_contradicted(entry.payload):
                self._differs(tick, entry.kid)
        self._tell(gossip.Accepted(run, source))
        if accepted.fault is not None:
            forks.seen(self, accepted.fault)

    def _observe(self, source: bytes, feed: bytes, head: SignedHead) -> None:
        code = ""
        try:
            news = self.core.replica.observe(self.rows, feed, head, self.now)
        except RemoteError as error:
            if isinstance(error, ForkSeen):
                forks.seen(self, error)
            news, code = False, error.code
        self._tell(gossip.HeadAccepted(feed, head, source) if news else gossip.HeadRefused(source, feed, head, code))

    # End

    def finish(self) -> list[Effect]:
        """End the turn: sign our feed if it grew or a heartbeat is due, tell gossip, and return the effects."""
        core = self.core
        replica, device = core.replica, core.device
        if self._moved or replica.members.forks:
            forks.settle(self)
        if self._fresh and core.data is not None:
            while self._fresh:
                fresh, self._fresh = self._fresh, []
                core.data.entries(self, fresh)
        if self._own_size() > self._own_start:
            replica.sign_feed(self.rows, device, max(self._sign_at or 0, self.now))
            self._publish()
        elif self._sign_at is not None and replica.feed_key(device.kid) is not None:
            head = replica.sign_feed(self.rows, device, self._sign_at)
            self._tell(gossip.HeadAccepted(device.kid, head, None))
        if self._moved:
            if core.sealing is not None:
                core.sealing.moved(self)
            self._review()
            self._tell(gossip.MembersChanged())
            self.effects.append(MembershipMoved())
        return self.effects

    def _publish(self) -> None:
        """Tell gossip what our feed grew by, in runs."""
        start, feed = self._own_start, self.core.device.kid
        while (run := self.core.replica.run(self.rows, feed, start, RUN_BYTES)) is not None:
            self._tell(gossip.Accepted(run, None))
            start = run.stop
