"""Tables for figures out of real nodes in the exact world: bytes, churn, a partition, withdrawals.

How it works
    Each function runs worlds and returns a tidy table. Withdrawals are simulations/withdrawal_study: a cell each, side
    by side in processes of their own.

What it does not do
    Scenarios of one's own are run by `maille sim run`, and drawn by `maille sim report`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import polars as pl

from gossip.messages import DATA, GOSSIP, WITNESS, Envelope
from simulations.engine import MS, SECOND
from simulations.links import Link, uniform
from simulations.people import person
from simulations.pools import pool
from simulations.signatures import remembered
from simulations.withdrawal_study import Case, Row, study
from simulations.world import World

FAMILIES: Final = {GOSSIP: "gossip", DATA: "data", WITNESS: "witnesses"}


def _register(world: World, number: int, who: int) -> None:
    parties = [node.who.party for node in world.nodes[:2]]
    world.act(number, lambda turn: person(world.seed, who).grant(turn, *parties))


def traffic(nodes: int = 30, *, loss: float = 0.0, seed: int = 1, minutes: int = 5) -> pl.DataFrame:
    """Return (node, family, bytes): what each node received in some minutes, in which one entry a second is made."""
    counts: Counter[tuple[int, str]] = Counter()
    with remembered():
        world = World(seed, link=Link(uniform(10, 50), loss=loss))
        world.found(nodes)
        world.run_for(30 * SECOND)

        def note(_: int, target: int, message: bytes) -> None:
            counts[target, FAMILIES.get(Envelope.open(message).family, "other")] += len(message)

        world.on_deliver = note
        for second in range(minutes * 60):
            _register(world, second % nodes, second)
            world.run_for(SECOND)
    rows = [{"node": node, "family": family, "bytes": size} for (node, family), size in sorted(counts.items())]
    return pl.DataFrame(rows)


def churn(nodes: int = 20, *, loss: float = 0.0, seed: int = 1, runs: int = 3) -> pl.DataFrame:
    """Return (restarts_a_minute, run, write, converged_s): nodes crash and come back; how soon all that are up agree.

    Every 5 seconds one node writes; `converged_s` is 5 where they did not agree before the next write.
    """
    found = []
    for rate in (0, 6, 12, 30, 60):
        for run in range(runs):
            with remembered():
                world = World(seed * 100 + run, link=Link(uniform(10, 50), loss=loss))
                world.found(nodes)
                world.run_for(20 * SECOND)
                source = world.seed.stream(-1, "churn")
                for write in range(12):
                    for _ in range(sum(source.random() < rate / 60 for _ in range(5))):
                        _bounce(world, source.randrange(nodes), source.randrange(3 * SECOND))
                    began = world.now_us
                    _register(world, source.choice([node.number for node in world.alive()]), write)
                    world.run_for(5 * SECOND, until=world.agree, every_us=20 * MS)
                    row = {"restarts_a_minute": rate, "run": run, "write": write}
                    found.append({**row, "converged_s": (world.now_us - began) / SECOND})
                    world.run_for(began + 5 * SECOND - world.now_us)
    return pl.DataFrame(found)


def _bounce(world: World, number: int, after_us: int) -> None:
    """Let a node crash in a while, and come back half a second later."""

    def crash() -> None:
        if world.nodes[number].core is not None:
            world.crash(number)
            world.at(world.now_us + 500 * MS, lambda: world.restart(number))

    world.at(world.now_us + after_us, crash)


def partition(nodes: int = 20, *, loss: float = 0.0, seed: int = 1, seconds: int = 120) -> pl.DataFrame:
    """Return (t, frontiers, apart): distinct frontiers, before, during and after a partition into halves that write."""
    found = []
    with remembered():
        world = World(seed, link=Link(uniform(10, 50), loss=loss))
        world.found(nodes)
        world.run_for(20 * SECOND)
        began = world.now_us
        for step in range(2 * (60 + seconds)):
            at = step / 2
            if at == 20:
                world.partition([range(nodes // 2)])
            if at == 20 + seconds:
                world.heal()
            if step % 10 == 0:
                _register(world, step % nodes, step)
            world.run_for(500 * MS)
            apart = 20 <= at < 20 + seconds
            row = {"t": (world.now_us - began) / SECOND, "frontiers": len(set(world.frontiers())), "apart": apart}
            found.append(row)
    return pl.DataFrame(found)


def withdrawals(
    nodes: int = 20,
    *,
    loss: float = 0.1,
    partitions: Sequence[int] = (0, 60, 300, 900),
    staleness: Sequence[int] = (300, 600),
    seeds: Sequence[int] = (1,),
    workers: int = 1,
) -> pl.DataFrame:
    """Return the rows of the study (simulations.withdrawal_study) over all cells."""
    cases = [Case(nodes, loss, cut, bound, seed) for cut in partitions for bound in staleness for seed in seeds]
    if workers == 1 or len(cases) == 1:
        found = [study(case) for case in cases]
    else:
        with pool(workers) as made:
            found = list(made.map(study, sorted(cases, key=lambda case: -case.partition_s)))
    return pl.DataFrame([row for rows in found for row in rows], schema=list(Row._fields), orient="row")
