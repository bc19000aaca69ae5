"""The engine: one owner, durable before told, whole or not at all, bounded, and honest about what fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gossip import events as gossip
from gossip.vocabulary import Runs, encode
from ledger.errors import LocalError
from ledger.replica import Run, decode
from node.core import Turn, Verified, Verify
from node.engine import INBOX_MAX, OUTBOX_BYTES_MAX, RETRY_SECONDS, VERIFYING_MAX, Engine, Outbox
from node.portions import in_portions
from node.turn import BULK_LEAVES_MIN
from simulations.daemons import quiet
from simulations.people import person
from storage.memory import MemoryStore, MemoryWriter
from tests.node.sites import NOW, SEED, Site, sites


class Watched(MemoryStore):
    """A store that says when it has committed, and can be full."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.full = False

    def write(self) -> MemoryWriter:
        """Return the one transaction."""
        return _WatchedWriter(self)


class _WatchedWriter(MemoryWriter):
    __slots__ = ("_watched",)

    def __init__(self, store: Watched) -> None:
        super().__init__(store)
        self._watched = store

    def __exit__(self, *told: Any) -> None:
        if told[0] is None and self._watched.full:
            error = LocalError("DISK_FULL", "no room")
            super().__exit__(LocalError, error, None)
            raise error
        super().__exit__(*told)
        self._watched.commits += told[0] is None


class Running:
    """A site whose engine runs."""

    def __init__(self, site: Site, engine: Engine, store: Watched) -> None:
        self.site, self.engine, self.store = site, engine, store

    def connect(self, peer: Site) -> Outbox:
        """Connect a peer's outbox."""
        outbox = Outbox(lambda: None)
        self.engine.connect(peer.kid, outbox)
        return outbox


@asynccontextmanager
async def running(site: Site, verifier: Any = None) -> AsyncIterator[Running]:
    """Run an engine over a site's ledger, in virtual time."""
    store = Watched()
    with site.store.read() as source, store.write() as target:
        for table in ("meta", "entries", "ids", "feeds", "heads", "things", "maps", "nodes", "outbox"):
            for key, value in source.scan(table, b""):
                target.put(table, key, value)
    store.commits = 0
    engine = Engine(site.core, store, None, lambda: NOW * 1_000 + round(trio.current_time() * 1_000), verifier=verifier)
    with quiet():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.run)
            await engine.started.wait()
            yield Running(site, engine, store)
            nursery.cancel_scope.cancel()


def grant(turn: Turn) -> bytes:
    """State something small; return its id."""
    return person(SEED, 1).grant(turn, turn.core.party, turn.core.party).id


def granted(count: int) -> list[Run]:
    """Return runs of one leaf each of the first founder's feed."""
    (one, _) = sites(2)
    runs = []
    for _ in range(count):
        start = one.core.replica.position(one.kid).size
        one.act(grant)
        with one.store.read() as rows:
            run = one.core.replica.run(rows, one.kid, start, 1 << 20)
        assert run is not None
        runs.append(run)
    return runs


async def test_an_act_returns_once_it_is_durable(autojump_clock: MockClock) -> None:
    one, two = sites(2)
    async with running(one) as node:
        outbox = node.connect(two)
        await node.engine.put(gossip.PeerUp(two.kid, True))
        await trio.sleep(1)
        outbox.drain()
        before = node.store.commits
        found = await node.engine.act(grant)
        assert node.store.commits == before + 1
        assert len(outbox.drain()) == 1
        assert await node.engine.read(lambda turn: turn.core.replica.places(turn.rows, found))


async def test_nothing_leaves_when_the_disk_is_full_and_all_goes_on_afterwards(autojump_clock: MockClock) -> None:
    one, two = sites(2)
    async with running(two) as node:
        outbox = node.connect(one)
        await node.engine.put(gossip.PeerUp(one.kid, True))
        await trio.sleep(1)
        outbox.drain()
        node.store.full = True
        (run,) = granted(1)
        await node.engine.put(gossip.Message(one.kid, encode(Runs(7, (run,)))))
        with pytest.raises(LocalError, match="room"):
            await node.engine.act(grant)
        await trio.sleep(60)
        assert outbox.drain() == []
        assert two.core.replica.position(one.kid).size == run.start
        node.store.full = False
        await trio.sleep(RETRY_SECONDS + 1)
        assert outbox.drain()  # a summary: gossip began anew with whoever is connected
        assert two.core.member_peers == [one.kid]
        await node.engine.put(gossip.Message(one.kid, encode(Runs(7, (run,)))))
        await trio.sleep(1)
        assert two.core.replica.position(one.kid).size == run.stop
        beats = two.core.replica.signed_head(two.kid)
        await trio.sleep(120)
        assert two.core.replica.signed_head(two.kid) != beats  # the heartbeat's timer lives


async def test_what_is_read_in_portions_lets_others_act_between(autojump_clock: MockClock) -> None:
    (one,) = sites(1)
    async with running(one) as node:
        told: list[str] = []
        begun = trio.Event()

        def read(turn: Turn, start: bytes) -> tuple[list[int], bytes]:
            begun.set()
            told.append("read")
            size = turn.core.replica.position(one.kid).size
            return [size], b"" if len(start) == 20 else start + b"x"

        async def state() -> None:
            await begun.wait()
            await node.engine.act(grant)
            told.append("stated")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(state)
            sizes = await in_portions(node.engine, read)
        assert told[0] == told[-1] == "read"
        assert told.count("stated") == 1
        assert sizes[-1] == sizes[0] + 1  # each portion sees what stands by then


async def test_a_refused_act_changes_nothing_and_says_why(autojump_clock: MockClock) -> None:
    (one,) = sites(1)
    async with running(one) as node:
        held = one.core.replica.position(one.kid)

        def refused(turn: Turn) -> None:
            grant(turn)
            raise LocalError("NOT_NOW", "come back tomorrow")

        with pytest.raises(LocalError, match="tomorrow"):
            await node.engine.act(refused)
        assert one.core.replica.position(one.kid) == held
        await node.engine.act(grant)
        assert one.core.replica.position(one.kid).size == held.size + 1


async def test_a_fault_of_the_code_ends_the_node_and_the_caller_gets_no_answer(autojump_clock: MockClock) -> None:
    (one,) = sites(1)
    answered: list[None] = []

    def broken(turn: Turn) -> None:
        raise ZeroDivisionError

    async def ask(engine: Engine) -> None:
        await engine.act(broken)
        answered.append(None)

    with pytest.raises(BaseExceptionGroup) as caught:
        async with running(one) as node, trio.open_nursery() as nursery:
            nursery.start_soon(ask, node.engine)
    assert caught.group_contains(ZeroDivisionError)
    assert not answered


async def test_many_events_are_one_transaction(autojump_clock: MockClock) -> None:
    one, two = sites(2)
    async with running(two) as node:
        node.connect(one)
        await node.engine.put(gossip.PeerUp(one.kid, True))
        await trio.sleep(0.1)
        runs = granted(20)
        await trio.sleep(1)
        before = node.store.commits
        for run in runs:
            await node.engine.put(gossip.Message(one.kid, encode(Runs(0, (run,)))))
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        assert two.core.replica.position(one.kid).size == runs[-1].stop
        assert node.store.commits <= before + 2


async def test_timers_fire_at_their_time_and_the_newest_of_a_name_counts(autojump_clock: MockClock) -> None:
    (one,) = sites(1)
    async with running(one) as node:
        heads = []
        for _ in range(3):
            await trio.sleep_until((trio.current_time() // 60 + 1) * 60 + 0.5)
            head = one.core.replica.signed_head(one.kid)
            assert head is not None
            heads.append(head.time - NOW)
        assert heads == [60, 120, 180]
        assert node.store.commits < 60


async def test_a_peer_that_does_not_read_is_hung_up_on_and_costs_no_more(autojump_clock: MockClock) -> None:
    one, two = sites(2)
    async with running(one) as node:
        outbox = node.connect(two)
        chunk = bytes(OUTBOX_BYTES_MAX // 4)

        def flood(turn: Turn) -> None:
            for _ in range(8):
                turn.send(two.kid, chunk)

        await node.engine.act(flood)
        assert outbox.closing is not None
        assert outbox.closing[0] == "SLOW_PEER"
        assert sum(map(len, outbox.drain())) <= OUTBOX_BYTES_MAX


async def test_a_newer_channel_replaces_an_older_one(autojump_clock: MockClock) -> None:
    one, two = sites(2)
    async with running(one) as node:
        first = node.connect(two)
        await node.engine.put(gossip.PeerUp(two.kid, True))
        second = node.connect(two)
        assert first.closing is not None
        assert first.closing[0] == "REPLACED"
        assert not node.engine.disconnect(two.kid, first)
        await trio.sleep(1)
        assert one.core.member_peers == [two.kid]
        assert node.engine.connected == [two.kid]
        assert node.engine.disconnect(two.kid, second)
        await trio.sleep(1)
        assert one.core.member_peers == []


async def test_a_peer_that_left_while_the_inbox_was_full_is_not_kept(autojump_clock: MockClock) -> None:
    one, two = sites(2)
    async with running(one) as node:
        outbox = node.connect(two)
        for _ in range(INBOX_MAX):
            node.engine._send.send_nowait(gossip.PeerUp(two.kid, True))
        assert node.engine.disconnect(two.kid, outbox)
        await trio.sleep(1)
        assert one.core.peers == {}


class Slow:
    """A verifier that takes its time, in order."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def verify(self, effect: Verify) -> Verified:
        """Verify here."""
        self.asked.append(effect.run.start)
        await trio.sleep(3)

        return Verified(effect.source, effect.run, [decode(raw) for raw in effect.run.raws])


async def test_the_engine_goes_on_while_workers_verify(autojump_clock: MockClock) -> None:
    one, two = sites(2)
    two.core.workers = True
    start = one.core.replica.position(one.kid).size
    someone = person(SEED, 1)
    one.act(lambda turn: [someone.grant(turn, turn.core.party, turn.core.party) for _ in range(BULK_LEAVES_MIN)])
    with one.store.read() as rows:
        run = one.core.replica.run(rows, one.kid, start, 1 << 24)
    assert run is not None
    verifier = Slow()
    async with running(two, verifier) as node:
        node.connect(one)
        await node.engine.put(gossip.PeerUp(one.kid, True))
        await node.engine.put(gossip.Message(one.kid, encode(Runs(0, (run,)))))
        await trio.sleep(1)
        with trio.fail_after(1):
            await node.engine.act(grant)
        assert two.core.replica.position(one.kid).size == start
        await trio.sleep(3)
        assert verifier.asked == [start]
        assert two.core.replica.position(one.kid).size == run.stop


class Uneven:
    """A verifier that takes longest for what came first."""

    def __init__(self) -> None:
        self.busy = self.busiest = 0

    async def verify(self, effect: Verify) -> Verified:
        """Verify here."""
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        await trio.sleep(100 / (effect.run.start + 1))
        self.busy -= 1
        return Verified(effect.source, effect.run, [decode(raw) for raw in effect.run.raws])


async def test_runs_are_verified_side_by_side_and_taken_in_in_order(autojump_clock: MockClock) -> None:
    one, two = sites(2)
    two.core.workers = True
    runs = []
    for count in [BULK_LEAVES_MIN, 1, BULK_LEAVES_MIN, 2, *[1] * VERIFYING_MAX]:  # short ones must not overtake
        start = one.core.replica.position(one.kid).size
        for _ in range(count):
            one.act(grant)
        with one.store.read() as rows:
            run = one.core.replica.run(rows, one.kid, start, 1 << 24)
        assert run is not None
        runs.append(run)
    verifier = Uneven()
    async with running(two, verifier) as node:
        node.connect(one)
        await node.engine.put(gossip.PeerUp(one.kid, True))
        for run in runs:
            await node.engine.put(gossip.Message(one.kid, encode(Runs(0, (run,)))))
        await trio.sleep(500)
        assert two.core.replica.position(one.kid).size == runs[-1].stop
        assert two.core.swarm.counters.get("refused_FEED_GAP", 0) == 0
        assert verifier.busiest == VERIFYING_MAX


def test_an_outbox_is_drained_in_parts() -> None:
    outbox = Outbox(lambda: None)
    messages = [bytes((number,)) * 10 for number in range(5)]
    for message in messages:
        outbox.put(message)
    assert [outbox.drain(11), outbox.drain(1), outbox.drain(11), outbox.drain(1)] == [
        messages[:2], messages[2:3], messages[3:], []
    ]  # fmt: skip
    assert outbox.put(bytes(OUTBOX_BYTES_MAX))  # nothing counts any more


def test_an_outbox_ends_after_what_is_queued() -> None:
    woken: list[None] = []
    outbox = Outbox(lambda: woken.append(None))
    assert outbox.put(b"one")
    outbox.close("DONE", "the visit is over")
    outbox.close("OTHER", "too late")
    assert outbox.put(b"two")  # not an overflow, but not sent either
    assert outbox.closing == ("DONE", "the visit is over")
    assert outbox.drain() == [b"one"]
    assert len(woken) >= 2
