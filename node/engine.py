"""The engine of one mesh: the one owner of its state, in trio (design.md §1).

How it works
    Everything that changes a mesh passes through one bounded inbox. The engine takes what waits (network events up
    to BATCH_MAX, or one local act), opens one write transaction, lets the core work, commits, and only then carries
    the effects out: what a peer or a caller is told is always durable. Reading acts run in a snapshot between
    turns. A turn that fails (disk full, a refused local act) is rolled back whole and the core reloads its memory.

    Peers are queues: the net puts a peer's messages into the inbox and takes what the core sends from the peer's
    own bounded outbox. A peer that does not drain its outbox is disconnected.

What it does not do
    It decides nothing about the ledger (core) and touches no socket (net).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast

import structlog
import trio

from gossip import events as gossip
from ledger.errors import LocalError, MailleError
from ledger.rows import Writer
from node.core import Core, Effect, Event, MembershipMoved, Noted, Turn, Verified, Verify
from storage.store import Store, snapshot

T = TypeVar("T")

BATCH_MAX: Final = 256  # network events in one transaction
INBOX_MAX: Final = 4_096  # events waiting; a full inbox stops the reading of sockets
RETRY_SECONDS: Final = 5.0  # after a refused turn, until gossip begins anew at the latest
VERIFYING_MAX: Final = 16  # runs that worker processes have at a time
VERIFIED_LEAVES: Final = 1_024  # verified ones that wait for each other, to be taken in by one transaction
OUTBOX_BYTES_MAX: Final = 32 * 2**20  # bytes waiting for one peer; more is a peer that does not read

Clock = Callable[[], int]  # unix milliseconds


class VaultStore(Protocol):
    """The vault as the engine opens it (storage.vault.Vault)."""

    def read(self) -> AbstractContextManager[Any]:
        """Open a snapshot."""

    def write(self) -> AbstractContextManager[Any]:
        """Open the one write transaction."""


class Verifier(Protocol):
    """Worker processes that verify bulk runs (node/workers.py)."""

    async def verify(self, effect: Verify) -> Verified:
        """Return what the workers made of the run's entries."""


class Outbox:
    """What waits to be sent to one peer: messages in order, bounded in bytes. `notify` tells whoever sends."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self._messages: list[bytes] = []
        self._bytes = 0
        self._notify = notify
        self.closing: tuple[str, str] | None = None

    def put(self, message: bytes) -> bool:
        """Queue a message, unless the channel is ending. False, and not queued: the peer is too far behind."""
        if self.closing is not None or self._bytes + len(message) > OUTBOX_BYTES_MAX:
            return self.closing is not None
        self._messages.append(message)
        self._bytes += len(message)
        return True

    def flush(self) -> None:
        """Have what is queued sent: all that one turn said to a peer goes in one go."""
        self._notify()

    @property
    def waiting_bytes(self) -> int:
        """How many bytes are queued."""
        return self._bytes

    def close(self, code: str, message: str) -> None:
        """Ask the net to end the channel with a code after what is queued."""
        self.closing = self.closing or (code, message)
        self._notify()

    def drain(self, bytes_max: int = OUTBOX_BYTES_MAX) -> list[bytes]:
        """Return the messages that are queued, up to the one with which `bytes_max` are reached, and forget them."""
        messages, count, size = self._messages, 0, 0
        while count < len(messages) and size < bytes_max:
            size += len(messages[count])
            count += 1
        self._messages, self._bytes = messages[count:], self._bytes - size
        return messages[:count]


@dataclass(slots=True)
class _Call:
    """A local act: run `act` in a turn of its own (or a snapshot, when `reads`), and tell the caller."""

    act: Callable[[Turn], Any]
    reads: bool
    done: trio.Event = field(default_factory=trio.Event)
    value: Any = None
    error: BaseException | None = None


class _Alarm:
    """A timer or a retry is due."""


_Item: TypeAlias = Event | _Call | _Alarm


class Engine:
    """One mesh, running. `run` is its only task; everything else talks to it through the inbox."""

    def __init__(
        self,
        core: Core,
        store: Store,
        vault: VaultStore | None,
        clock: Clock,
        *,
        verifier: Verifier | None = None,
        on_membership: Callable[[], None] = lambda: None,
        on_noted: Callable[[Noted], None] = lambda _: None,
    ) -> None:
        self.core = core
        self._store, self._vault, self._clock = store, vault, clock
        self._verifier = verifier
        self._on_membership, self._on_noted = on_membership, on_noted
        self._send, self._receive = trio.open_memory_channel[_Item](INBOX_MAX)
        self._outboxes: dict[bytes, Outbox] = {}
        self._gone: list[bytes] = []
        self._timers: list[tuple[int, str]] = []
        self._planned: dict[str, int] = {}
        self._to_verify_send, self._to_verify = trio.open_memory_channel[Verify](math.inf)
        self._anew = True  # gossip begins, or begins anew after a rolled-back transaction
        self._alarmed = False  # an alarm is in the inbox
        self._replanned = trio.Event()
        self._log = structlog.get_logger("engine").bind(mesh=core.replica.mesh_id.hex()[:16])
        self.started = trio.Event()
        with store.read() as rows:
            core.load(rows)

    # What others call

    async def put(self, event: Event) -> None:
        """Put a network event into the inbox; waits while it is full, which slows the peer down.

        It does not yield while there is room, so all that one read of a socket brings is one turn.
        """
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            await self._send.send(event)

    async def act(self, act: Callable[[Turn], T]) -> T:
        """Run a local act in a transaction of its own and return its value once it is durable.

        Raises what the act raised; then nothing has changed.
        """
        return cast(T, await self._call(_Call(act, reads=False)))

    async def read(self, act: Callable[[Turn], T]) -> T:
        """Run a reading act in a snapshot. Its effects are dropped: it must not state anything."""
        return cast(T, await self._call(_Call(act, reads=True)))

    async def _call(self, call: _Call) -> Any:
        await self._send.send(call)
        await call.done.wait()
        if call.error is not None:
            raise call.error
        return call.value

    def connect(self, peer: bytes, outbox: Outbox) -> None:
        """Register a peer's outbox; the net then puts PeerUp. A former outbox is closed."""
        former = self._outboxes.get(peer)
        if former is not None:
            former.close("REPLACED", "a newer channel to this node took over")
        self._outboxes[peer] = outbox

    def disconnect(self, peer: bytes, outbox: Outbox) -> bool:
        """Forget a peer's outbox and tell the core; False when a newer one has taken its place."""
        if self._outboxes.get(peer) is not outbox:
            return False
        del self._outboxes[peer]
        try:
            self._send.send_nowait(gossip.PeerDown(peer))
        except trio.WouldBlock:
            self._gone.append(peer)  # the inbox is full, so a turn is near
        return True

    @property
    def connected(self) -> Sequence[bytes]:
        """The device ids of the peers whose channel is up."""
        return list(self._outboxes)

    def hang_up(self, peer: bytes, code: str, message: str) -> None:
        """End the channel to a peer with a code."""
        outbox = self._outboxes.get(peer)
        if outbox is not None:
            outbox.close(code, message)

    # The one task

    async def run(self) -> None:
        """Own the mesh until cancelled. An error that is not a refusal ends the node: nothing is hidden."""
        async with trio.open_nursery() as nursery:
            if self._verifier is not None:
                nursery.start_soon(self._verify_bulk, self._verifier)
            self._events([])
            nursery.start_soon(self._alarm)
            self.started.set()
            while True:
                await self._step()

    async def _step(self) -> None:
        item = await self._next()
        batch: list[Event] = [gossip.PeerDown(peer) for peer in self._gone]
        self._gone.clear()
        while item is not None:
            if isinstance(item, _Call):
                self._events(batch)
                batch = []
                self._local(item)
            else:
                batch.append(item)
            item = self._waiting() if len(batch) < BATCH_MAX else None
        self._events(batch)

    def _waiting(self) -> Event | _Call | None:
        try:
            while isinstance(item := self._receive.receive_nowait(), _Alarm):
                self._heard()  # `_next` looks at what is due before it waits
            return item
        except trio.WouldBlock:
            return None

    async def _next(self) -> Event | _Call | None:
        """Return the next event: a timer that is due, or what comes into the inbox. None: begin gossip anew."""
        while True:
            due = self._due()
            if due is not None:
                await trio.lowlevel.checkpoint()
                return due
            item = await self._receive.receive()
            if not isinstance(item, _Alarm):
                return item
            self._heard()
            if self._anew:
                return None

    async def _alarm(self) -> None:
        """Put an `_Alarm` into the inbox when a timer or a retry is due: a deadline for each wait there costs more."""
        while True:
            wait = (self._timers[0][0] - self._clock()) / 1_000 if self._timers else math.inf
            wait = min(max(wait, 0.0), RETRY_SECONDS if self._anew else math.inf)
            with trio.move_on_after(math.inf if self._alarmed else wait):
                await self._replanned.wait()
                self._replanned = trio.Event()
                continue
            self._alarmed = True
            await self._send.send(_Alarm())

    def _heard(self) -> None:
        self._alarmed = False  # the next alarm may be given
        self._replanned.set()

    def _due(self) -> Event | None:
        while self._timers:
            at, name = self._timers[0]
            if self._planned.get(name) != at:
                heapq.heappop(self._timers)  # replanned since
            elif at <= self._clock():
                heapq.heappop(self._timers)
                del self._planned[name]
                return gossip.TimerFired(name)
            else:
                return None
        return None

    def _turn(self, work: Callable[[Turn], Any]) -> list[Effect]:
        try:
            # The vault, entered last, commits first: a crash between the two may leave content of a consent that the
            # ledger does not know, which is harmless, and never a consent whose content is lost.
            content = self._vault.write() if self._vault is not None else nullcontext()
            with self._store.write() as rows, content as vault:
                turn = self.core.take(rows, vault, self._clock())
                anew = self._anew
                if anew:
                    self._begin(turn)
                work(turn)
                effects = turn.finish()
            self._anew = self._anew and not anew
        except BaseException:
            with self._store.write() as rows_again:  # no snapshot: on a full disk there may be no room to take one
                self._anew |= self.core.load(rows_again)
            self._replanned.set()
            raise
        return effects

    def _begin(self, turn: Turn) -> None:
        """Start gossip and present every peer that is connected."""
        turn.start()
        for peer in self._outboxes:
            turn.handle(gossip.PeerUp(peer, False))

    def _events(self, batch: Sequence[Event]) -> None:
        if not batch and not self._anew:
            return

        def work(turn: Turn) -> None:
            for event in batch:
                if not isinstance(event, gossip.PeerUp) or event.peer in self._outboxes:
                    turn.handle(event)

        try:
            self._carry_out(self._turn(work))
        except LocalError as error:  # the disk is full or read-only: peers will offer it all again
            self._log.error("turn refused", code=error.code, reason=error.message)
            self._anew = True  # timers among the batch are lost
            self._replanned.set()

    def _local(self, call: _Call) -> None:
        try:
            if call.reads:
                call.value = self._look(call.act)
            else:
                kept: list[Any] = []
                effects = self._turn(lambda turn: kept.append(call.act(turn)))
                call.value = kept[0]
                self._carry_out(effects)
        except MailleError as error:
            call.error = error
        except BaseException as error:
            call.error = error
            raise
        finally:
            call.done.set()

    def _look(self, act: Callable[[Turn], Any]) -> Any:
        content = self._vault.read() if self._vault is not None else nullcontext()
        with content as vault, snapshot(self._store) as rows:
            return act(self.core.take(cast(Writer, rows), vault, self._clock()))

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        filled: dict[bytes, Outbox] = {}
        for effect in effects:
            match effect:
                case gossip.Send(peer, data) if peer == self.core.device.kid:
                    with suppress(trio.WouldBlock):  # of one party here to another; it is said again
                        self._send.send_nowait(gossip.Message(peer, data))
                case gossip.Send(peer, data):
                    outbox = self._outboxes.get(peer)
                    if outbox is not None and outbox.put(data):
                        filled[peer] = outbox
                    elif outbox is not None:
                        outbox.close("SLOW_PEER", "too much waits for this peer; it will be offered again")
                case gossip.SetTimer(name, at_ms):
                    self._planned[name] = at_ms
                    heapq.heappush(self._timers, (at_ms, name))
                    if self._timers[0] == (at_ms, name):
                        self._replanned.set()
                case gossip.Disconnect(peer, code, message):
                    self.hang_up(peer, code, message)
                case Verify():
                    self._to_verify_send.send_nowait(effect)
                case MembershipMoved():
                    self._on_membership()
                case Noted():
                    self._on_noted(effect)
                case _:
                    self._log.error("unknown effect", effect=type(effect).__name__)
        for outbox in filled.values():
            outbox.flush()

    async def _verify_bulk(self, verifier: Verifier) -> None:
        """Have runs verified, a few at a time, and take them in in the order in which they were asked for.

        A commit costs as much as 50 leaves: they are taken in by the thousand, or when there is no more to verify. Not
        by more: a quarter of what a peer may have on its way at once, so that it sends, and workers verify, meanwhile.
        """
        slots = trio.Semaphore(VERIFYING_MAX)
        done: list[Verified] = []

        async def one(effect: Verify, former: trio.Event, ended: trio.Event) -> None:
            verified = await verifier.verify(effect)
            await former.wait()
            done.append(verified)
            slots.release()
            idle = slots.value == VERIFYING_MAX and not self._to_verify.statistics().current_buffer_used
            if idle or sum(len(each.run.raws) for each in done) >= VERIFIED_LEAVES:
                while done:
                    await self.put(done.pop(0))
            ended.set()

        async with trio.open_nursery() as nursery:
            last = trio.Event()
            last.set()
            async for effect in self._to_verify:
                await slots.acquire()
                former, last = last, trio.Event()
                nursery.start_soon(one, effect, former, last)
                await trio.lowlevel.checkpoint()  # tasks started together begin in any order, and this one is first
