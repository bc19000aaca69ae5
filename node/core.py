"""One mesh of a node, sans-IO: ledger, ticks, gossip, admission and data flows behind one door.

How it works
    A driver (the trio engine, the whole-daemon test driver, the discrete-event world) owns the transactions and the
    clock. Inside one write transaction it calls `take(rows, vault, now_ms)` to open a `Turn`, gives the turn network
    events (`handle`) or runs one local act on it, and ends it with `finish`, which signs our feed once if it grew and
    returns every effect. The driver commits, and only then lets the effects out: what leaves is always durable.

        swarm says Ingest -> replica.ingest (inline, or after worker processes verified) -> swarm is told Accepted

    Timers are effects and come back as events. Times are milliseconds where a name says so, else unix seconds.

What it does not do
    It opens no socket, store or file and reads no clock. Encryption is the channel's, in the driver.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gossip import swarm as gossip
from gossip.messages import Envelope
from ledger import fork, tree
from ledger.checkpoint import Head
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import SignedHead
from ledger.governance.members import Party
from ledger.keys import SigningKey
from ledger.kinds import KINDS
from ledger.replica import Decoded, ForkSeen, Replica, Run
from ledger.rows import Reader, Writer
from ledger.ticks import TICK_WAIT_SECONDS, Tick, Ticker, heads_at, prune_heads
from node.directory import KIND_CARDS, Directory

BULK_LEAVES_MIN: Final = 64  # runs at least this long are verified by worker processes, where there are any
TICK_ASKED_WAIT_SECONDS: Final = 1  # after a tick on demand, before it is attested
TIMER_HEARTBEAT: Final = "heartbeat"
TIMER_TICK: Final = "tick"
TIMER_TICK_ASKED: Final = "tick-asked"

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Verify:
    """Effect: verify this run's entries in worker processes, then hand `Verified` back."""

    source: bytes
    run: Run


@dataclass(frozen=True, slots=True)
class Verified:
    """Event: what worker processes made of a run's entries."""

    source: bytes
    run: Run
    decoded: Sequence[Decoded]


@dataclass(frozen=True, slots=True)
class MembershipMoved:
    """Effect: members, links or devices may differ from before; the driver reviews its live channels."""


@dataclass(frozen=True, slots=True)
class Noted:
    """Effect: something an operator may want to know. `code` is stable; `fields` hold no personal data."""

    code: str
    fields: Mapping[str, Any]


Event = gossip.Event | Verified
Effect = gossip.Effect | Verify | MembershipMoved | Noted


class Stranger(Protocol):
    """What answers family 2 (applications of keys that are no members yet); node/admission.py."""

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Act on one message from a peer that may be a stranger."""


class DataFamily(Protocol):
    """What answers family 3 (transfers and disclosures between members); node/flows.py."""

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Act on one message from a member."""

    def peer_up(self, turn: Turn, peer: bytes) -> None:
        """A member's channel is up: send what waited for it."""

    def peer_down(self, turn: Turn, peer: bytes) -> None:
        """A member's channel is gone."""

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """New entries took effect: a consent began or ended."""

    def timer(self, turn: Turn, name: str) -> None:
        """A timer whose name begins with "data:" fired."""


class Core:
    """One mesh of a node. `device` is our device key; `random_source` and `random_bytes` are injected."""

    def __init__(
        self,
        replica: Replica,
        device: SigningKey,
        party: Party,
        *,
        random_source: random.Random,
        random_bytes: RandomBytes,
        workers: bool = False,
    ) -> None:
        self.replica = replica
        self.ticker = Ticker(replica)
        self.device = device
        self.party = party
        self.random_bytes = random_bytes
        self.strangers: Stranger | None = None
        self.data: DataFamily | None = None
        self.directory = Directory()
        self._workers = workers
        self._rows: Reader | None = None
        self._boundaries: list[int] = []
        self.swarm = gossip.Swarm(_Sight(self), own=device.kid, rng=random_source, random_bytes=random_bytes)

    def load(self, rows: Reader) -> None:
        """Read what memory mirrors from the rows: at start, and after a rolled-back transaction."""
        self.replica.reload(rows)
        self.ticker.load(rows)

    def take(self, rows: Writer, vault: Any, now_ms: int) -> Turn:
        """Open a turn inside the caller's write transactions (`vault` may be None where no data flows)."""
        self._rows = rows
        return Turn(self, rows, vault, now_ms)

    def sight(self) -> Reader:
        """Return the rows of the open turn."""
        if self._rows is None:
            raise LocalError("NO_TURN", "the ledger is read inside a turn")
        return self._rows

    def is_member_device(self, kid: bytes) -> bool:
        """Say whether a device speaks for a member now, or is a founder's first device."""
        members = self.replica.members
        device = members.devices.get(kid)
        if device is not None and device.party[0] in members.members:
            return members.is_member(device.party)
        return self.replica.public_of(kid) is not None

    @property
    def policy(self) -> Any:
        """The policy in force."""
        return self.replica.genesis.policy


class Turn:
    """One act of the core inside one transaction. Gathers effects; nothing leaves before the driver commits."""

    def __init__(self, core: Core, rows: Writer, vault: Any, now_ms: int) -> None:
        self.core, self.rows, self.vault, self.now_ms = core, rows, vault, now_ms
        self.now = now_ms // 1_000
        self.effects: list[Effect] = []
        self._own_start = core.replica.position(core.device.kid).size
        self._fresh: list[Entry] = []
        self._moved = False
        self._sign_at: int | None = None

    # Local acts

    def state(self, kind: str, thing: tuple[str, bytes], payload: Mapping[str, Any]) -> Entry:
        """Sign a statement with our device key and register it in our feed."""
        replica, device = self.core.replica, self.core.device
        governance = KINDS[kind].governance
        seen = replica.governance_heads(device.kid) if governance else (replica.position(device.kid),)
        entry = sign_entry(
            device,
            kind,
            thing,
            payload,
            iat=max(self.now, replica.closure_iat(self.rows, seen)),
            cti=self.core.random_bytes(16),
            seen=seen,
            mesh_id=replica.mesh_id,
            epoch=replica.members.epoch if governance else None,
        )
        return self.register(entry)

    def register(self, entry: Entry) -> Entry:
        """Register a verified entry (a subject's, a tenant's, a root key's, or our own) in our feed, once."""
        replica, device = self.core.replica, self.core.device
        own = replica.feeds.get(device.kid)
        places = replica.places(self.rows, entry.id)
        if own is not None and any(number == own.number for number, _ in places):
            return entry
        accepted = replica.append(self.rows, device.public, [entry])
        self._fresh.extend(accepted.entries)
        self._moved |= accepted.governance
        return entry

    def shown_head(self) -> Head:
        """Return the newest checkpoint of our feed that a subject may be shown: signed, so that others hold it."""
        head = self.core.replica.signed_head(self.core.device.kid)
        if head is None:
            return Head(self.core.device.kid, 0, self.core.replica.position(self.core.device.kid).root)
        return Head(self.core.device.kid, head.size, head.root)

    def heartbeat(self, at: int | None = None) -> None:
        """Sign our checkpoint afresh at the end of the turn; `at`: unix seconds, not before the last one."""
        self._sign_at = self.now if at is None else at

    def ask_tick(self, boundary: int) -> None:
        """Ask every member to mark `boundary` (unix seconds), mark it ourselves, and attest when it has passed."""
        self._extend(self.core.swarm.tick(boundary, self.now_ms))
        self.mark(boundary)

    def mark(self, boundary: int) -> None:
        """Sign our checkpoint at `boundary` and plan our attestation of it."""
        self.heartbeat(boundary)
        self.core._boundaries.append(boundary)
        self.timer(TIMER_TICK_ASKED, (boundary + TICK_ASKED_WAIT_SECONDS) * 1_000)

    def attest(self, boundary: int) -> Tick | None:
        """Move the committed maps to a boundary and attest it; None while leaves below it are missing."""
        ticker, replica = self.core.ticker, self.core.replica
        if ticker.tick is not None and ticker.tick.boundary >= boundary:
            return None
        if not ticker.ready(self.rows, boundary):
            self.note("TICK_NOT_READY", boundary=boundary)
            return None
        tick = ticker.move(self.rows, boundary)
        prune_heads(replica, self.rows, boundary)
        if replica.members.is_member(self.core.party):
            payload = {"boundary": boundary, "frontier": tick.frontier, "state_root": tick.state_root}
            self.state("state.attestation", ("tick", boundary.to_bytes(8, "big")), payload)
        return tick

    def send(self, peer: bytes, data: bytes) -> None:
        """Send one application message to a connected peer, after the commit."""
        self.effects.append(gossip.Send(peer, data))

    def timer(self, name: str, at_ms: int) -> None:
        """Ask for a timer."""
        self.effects.append(gossip.SetTimer(name, at_ms))

    def note(self, code: str, **fields: Any) -> None:
        """Tell the operator something."""
        self.effects.append(Noted(code, fields))

    # Network events

    def start(self) -> None:
        """Begin: heartbeat now, and the steady timers."""
        self.heartbeat()
        self._plan()
        self._extend(self.core.swarm.start(self.now_ms))

    def _plan(self) -> None:
        policy = self.core.policy
        beat = policy.heartbeat_seconds
        self.timer(TIMER_HEARTBEAT, (self.now // beat + 1) * beat * 1_000)
        step = policy.tick_seconds
        wait = min(TICK_WAIT_SECONDS, max(1, step // 5))
        boundary = self.now // step * step
        due = boundary + wait if self.now < boundary + wait else boundary + step + wait
        self.timer(TIMER_TICK, due * 1_000)

    def handle(self, event: Event) -> None:
        """Take one event in. Never raises for a peer's fault: that becomes effects."""
        match event:
            case Verified(source, run, decoded):
                self._ingest(source, run, decoded)
            case gossip.TimerFired(name) if name == TIMER_HEARTBEAT:
                self.heartbeat()
                self._plan()
            case gossip.TimerFired(name) if name == TIMER_TICK:
                step = self.core.policy.tick_seconds
                wait = min(TICK_WAIT_SECONDS, max(1, step // 5))
                self.attest((self.now - wait) // step * step)
                self._plan()
            case gossip.TimerFired(name) if name == TIMER_TICK_ASKED:
                self._asked_ticks()
            case gossip.TimerFired(name) if name.startswith("data:"):
                if self.core.data is not None:
                    self.core.data.timer(self, name)
            case gossip.PeerUp(peer, _):
                self._extend(self.core.swarm.handle(event, self.now_ms))
                if event.member:
                    self.core.directory.peer_up(self, peer)
                    if self.core.data is not None:
                        self.core.data.peer_up(self, peer)
            case gossip.PeerDown(peer):
                self._extend(self.core.swarm.handle(event, self.now_ms))
                if self.core.data is not None:
                    self.core.data.peer_down(self, peer)
            case _:
                self._extend(self.core.swarm.handle(event, self.now_ms))

    def _asked_ticks(self) -> None:
        due = [b for b in self.core._boundaries if b + TICK_ASKED_WAIT_SECONDS <= self.now]
        self.core._boundaries = [b for b in self.core._boundaries if b not in due]
        for boundary in sorted(due):
            self.attest(boundary)

    def _extend(self, effects: Sequence[gossip.Effect]) -> None:
        for effect in effects:
            match effect:
                case gossip.Ingest(source, run):
                    if self.core._workers and len(run.raws) >= BULK_LEAVES_MIN:
                        self.effects.append(Verify(source, run))
                    else:
                        self._ingest(source, run, None)
                case gossip.Observe(source, feed, head):
                    self._observe(source, feed, head)
                case gossip.ForkCandidate():
                    self._fork_found(effect)
                case gossip.TickAsked(boundary, _):
                    self.mark(boundary)
                case gossip.Stranger(peer, envelope):
                    if self.core.strangers is not None:
                        self.core.strangers.handle(self, peer, envelope)
                case gossip.Data(peer, envelope):
                    if envelope.kind == KIND_CARDS:
                        self.core.directory.handle(self, peer, envelope)
                    elif self.core.data is not None:
                        self.core.data.handle(self, peer, envelope)
                case _:
                    self.effects.append(effect)

    def _ingest(self, source: bytes, run: Run, decoded: Sequence[Decoded] | None) -> None:
        try:
            accepted = self.core.replica.ingest(self.rows, run, self.now, decoded)
        except ForkSeen as seen:
            self._fork_seen(source, seen)
            return
        except RemoteError as error:
            self._extend(self.core.swarm.handle(gossip.Refused(source, run.feed, error.code), self.now_ms))
            return
        self._fresh.extend(accepted.entries)
        self._moved |= accepted.governance
        self._extend(self.core.swarm.handle(gossip.Accepted(run, source), self.now_ms))

    def _observe(self, source: bytes, feed: bytes, head: SignedHead) -> None:
        try:
            news = self.core.replica.observe(self.rows, feed, head, self.now)
        except ForkSeen as seen:
            self._fork_seen(source, seen)
            return
        except RemoteError as error:
            self._tell(gossip.HeadRefused(source, feed, head, error.code))
            return
        self._tell(gossip.HeadAccepted(feed, head, source) if news else gossip.HeadRefused(source, feed, head, ""))

    def _tell(self, event: gossip.Event) -> None:
        self._extend(self.core.swarm.handle(event, self.now_ms))

    # Forks

    def _fork_seen(self, source: bytes, seen: ForkSeen) -> None:
        self.note("FEED_FORKED", feed=seen.feed.hex())
        public = self.core.replica.public_of(seen.feed)
        regression = seen.theirs.size < seen.ours.size and seen.theirs.time > seen.ours.time
        if public is not None and regression:
            self._prove(seen.feed, fork.prove_regression(public, seen.ours, seen.theirs))
            return
        self._extend(self.core.swarm.handle(gossip.Refused(source, seen.feed, seen.code), self.now_ms))

    def _fork_found(self, found: gossip.ForkCandidate) -> None:
        replica = self.core.replica
        public, ours = replica.public_of(found.feed), replica.signed_head(found.feed)
        if public is None or ours is None:
            return
        mine = tree.leaf_hashes(self.rows, replica.number(found.feed), 0, ours.size)
        try:
            payload = fork.prove_branches(public, ours, mine, found.theirs, list(found.their_leaf_hashes))
            fork.check(payload, replica.mesh_id)
        except (LocalError, RemoteError) as error:
            self.note("FORK_NOT_PROVEN", feed=found.feed.hex(), code=error.code)
            return
        self._prove(found.feed, payload)

    def _prove(self, feed: bytes, payload: dict[str, Any]) -> None:
        """Publish a fork proof, unless one that holds the feed as low is known."""
        hold = fork.check(payload, self.core.replica.mesh_id)
        if feed != self.core.device.kid and hold.size < self.core.replica.members.reach(feed):
            self.state("fork.proof", ("feed", feed), payload)

    # End

    def finish(self) -> list[Effect]:
        """End the turn: sign our feed if it grew or a heartbeat is due, tell gossip, and return the effects."""
        core = self.core
        replica, device = core.replica, core.device
        if self._fresh and core.data is not None:
            while self._fresh:
                fresh, self._fresh = self._fresh, []
                core.data.entries(self, fresh)
        held = replica.position(device.kid)
        if held.size > self._own_start:
            head = replica.sign_feed(self.rows, device, self._sign_at or self.now)
            raws = replica.leaves(self.rows, device.kid, self._own_start, 1 << 30)
            run = Run(device.kid, self._own_start, raws, head)
            self._extend(core.swarm.handle(gossip.Accepted(run, None), self.now_ms))
        elif self._sign_at is not None and replica.public_of(device.kid) is not None:
            head = replica.sign_feed(self.rows, device, self._sign_at)
            self._extend(core.swarm.handle(gossip.HeadAccepted(device.kid, head, None), self.now_ms))
        if self._moved:
            self._extend(core.swarm.handle(gossip.MembersChanged(), self.now_ms))
            self.effects.append(MembershipMoved())
        return self.effects


class _Sight:
    """The ledger as gossip sees it (gossip's LedgerView), through the rows of the open turn."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def digest(self) -> bytes:
        return self._core.replica.frontier_digest()

    def signed_head(self, feed: bytes) -> SignedHead | None:
        return self._core.replica.signed_head(feed)

    def signed_heads(self) -> Mapping[bytes, SignedHead]:
        feeds = self._core.replica.feeds
        return {feed: row.signed for feed, row in feeds.items() if row.signed is not None}

    def size(self, feed: bytes) -> int:
        return self._core.replica.position(feed).size

    def accepts(self, feed: bytes) -> bool:
        return self._core.replica.public_of(feed) is not None

    def run(self, feed: bytes, start: int, bytes_max: int) -> Run | None:
        return self._core.replica.run(self._core.sight(), feed, start, bytes_max)

    def leaf_hashes(self, feed: bytes, start: int, stop: int) -> Sequence[bytes]:
        replica = self._core.replica
        return tree.leaf_hashes(self._core.sight(), replica.number(feed), start, stop)

    def heads_at(self, boundary: int) -> Mapping[bytes, SignedHead]:
        return heads_at(self._core.replica, self._core.sight(), boundary)
