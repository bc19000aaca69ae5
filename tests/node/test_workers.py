"""Worker processes: what they say is what this process would find; many runs at a time; order; wide pipes."""

from __future__ import annotations

import pytest
import trio

from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.replica import Run, decode
from node.core import Verified, Verify
from node.verifying import pack, unpack, verdict
from node.workers import BATCH_ENTRIES, WorkerPool, ask_of, settled
from simulations.people import person
from tests.node.sites import SEED, sites


def a_run(count: int) -> Run:
    """Return a run of so many leaves of the first founder's feed."""
    (one, _) = sites(2)
    start, someone = one.core.replica.position(one.kid).size, person(SEED, 1)
    one.act(lambda turn: [someone.grant(turn, turn.core.party, turn.core.party) for _ in range(count)])
    with one.store.read() as rows:
        run = one.core.replica.run(rows, one.kid, start, 1 << 24)
    assert run is not None
    return run


def test_frames_come_back_whole() -> None:
    items = [b"", b"x", bytes(70_000)]
    assert unpack(pack(items)[4:]) == items


def test_what_workers_say_is_what_decoding_here_finds() -> None:
    sound, other, *_ = a_run(8).raws
    raws = [sound, sound[:-1] + bytes((sound[-1] ^ 1,)), sound[:-1], other, b"", other[:-64] + sound[-64:]]
    read, items = ask_of(raws)
    found = settled(read, [verdict(item) for item in items])
    here = [decode(raw) for raw in raws]
    assert [item for item in found if isinstance(item, Entry)] == [Entry.decode(sound), Entry.decode(other)]
    assert [getattr(item, "code", "") for item in found] == [getattr(item, "code", "") for item in here]
    assert [str(item) for item in found] == [str(item) for item in here]


def test_a_weak_key_is_refused_by_name() -> None:
    assert verdict(bytes(32 + 64) + b"signed").startswith(b"WEAK_KEY\n")


async def test_many_runs_at_a_time_each_get_their_own_answer() -> None:
    raws = a_run(8).raws
    broken = raws[0][:-1] + bytes((raws[0][-1] ^ 1,))
    run = a_run(1)
    told: dict[int, Verified] = {}

    async def one(pool: WorkerPool, number: int) -> None:
        mixed = tuple(broken if place % 9 == number else raws[place % 8] for place in range(BATCH_ENTRIES + 40))
        told[number] = await pool.verify(Verify(b"peer", Run(run.feed, 0, mixed, run.head, ())))

    async with WorkerPool(2) as pool, trio.open_nursery() as nursery:
        for number in range(9):
            nursery.start_soon(one, pool, number)
    for number, verified in told.items():
        decoded = verified.decoded
        assert decoded is not None
        assert [isinstance(item, Entry) for item in decoded] == [place % 9 != number for place in range(len(decoded))]


async def test_a_worker_that_died_is_an_error_and_no_silence() -> None:
    run = a_run(1)
    async with WorkerPool(1) as pool:
        await pool.verify(Verify(b"peer", run))
        pool._started[0].process.kill()
        await pool._started[0].process.wait()
        with pytest.raises((LocalError, trio.BrokenResourceError, BaseExceptionGroup)):
            await pool.verify(Verify(b"peer", run))
