"""The exact world: it is exact, it repeats itself, and meshes in it come back together after what it does to them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ledger.consent.status import State, Status
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.feed import AHEAD_SECONDS_MAX
from ledger.governance.epoch import Policy
from simulations.founding import copy_store
from simulations.links import LAN, WAN, Link, uniform
from simulations.nodes import Node
from simulations.people import person
from simulations.randomness import Seed
from simulations.signatures import remembered
from simulations.world import MS, SECOND, START_US, World

POLICY = Policy(tick_seconds=60, heartbeat_seconds=20, invitations_a_day=1_000)
ROUGH = Link(uniform(10, 50), loss=0.10, duplication=0.05, reorder=True)
ROOT = Path(__file__).resolve().parents[2]


def status(node: Node, grant: Entry) -> Status | None:
    """Return what a node holds a consent to be."""
    with node.store.read() as rows:
        return node.running.replica.consent(rows, grant.id)


def state(node: Node, grant: Entry) -> State | None:
    """Return the state that a node holds a consent to be in."""
    found = status(node, grant)
    return found.state if found is not None else None


def states(world: World, grant: Entry) -> set[State | None]:
    """Return the states that the running nodes hold a consent to be in."""
    return {state(node, grant) for node in world.alive()}


def roots(world: World) -> set[tuple[int, bytes, bytes] | None]:
    """Return the newest ticks of the running nodes."""
    return set(world.ticks())


def grant_at(world: World, number: int, who: int = 0) -> Entry:
    """Let a person grant at a node."""
    parties = [node.who.party for node in world.nodes[:2]]
    return world.act(number, lambda turn: person(world.seed, who).grant(turn, *parties))


def test_a_statement_reaches_everybody_within_a_few_link_delays() -> None:
    world = World(1, link=LAN)
    world.found(15)
    world.run_for(5 * SECOND)
    grant = grant_at(world, 7)
    assert not world.agree()
    assert world.run_for(100 * MS, until=world.agree, every_us=MS)
    assert states(world, grant) == {State.GRANTED}


@pytest.mark.covers("R7")
def test_every_message_is_traced_and_counted() -> None:
    world = World(1, link=replace(WAN, loss=0.2, duplication=0.1))
    world.found(6)
    heard: Counter[int] = Counter()
    world.on_deliver = lambda _, target, __: heard.update([target])
    world.run_for(30 * SECOND)
    counts = world.counts
    assert heard.total() == counts["delivered"] > 0
    assert counts["lost"] > 0
    assert counts["duplicated"] > 0
    in_flight = counts["sent"] - counts["lost"] + counts["duplicated"] - counts["delivered"] - counts["swallowed"]
    assert 0 <= in_flight < 50


def scene(seed: int) -> World:
    """Run a small world through everything it has."""
    world = World(seed, link=ROUGH, policy=POLICY, skew_ms=lambda number: number * 7)
    world.found(6)
    world.run_for(3 * SECOND)
    grant_at(world, 1)
    world.join(2, neighbours=[0, 3])
    world.partition([[0, 1, 2]])
    world.run_for(20 * SECOND)
    world.crash(4)
    world.heal()
    world.run_for(5 * SECOND)
    world.restart(4)
    world.run_for(100 * SECOND)
    return world


def test_a_seed_is_a_run() -> None:
    one, same, other = scene(1), scene(1), scene(2)
    assert one.trace == same.trace
    assert one.counts == same.counts
    assert one.trace != other.trace


def test_an_observer_shifts_nothing() -> None:
    plain = scene(3).trace
    with remembered():
        assert scene(3).trace == plain


def test_two_processes_with_other_hash_seeds_run_the_same() -> None:
    command = [sys.executable, "-c", "from tests.simulations.test_world import scene; print(scene(5).trace)"]
    traces = [
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert traces[0] == traces[1]
    assert traces[0].strip() == scene(5).trace


@pytest.mark.covers("R8", "R146")
def test_fifteen_nodes_come_together_after_a_partition() -> None:
    world = World(4, policy=POLICY)
    world.found(15)
    world.run_for(5 * SECOND)
    grant = grant_at(world, 0)
    world.run_for(SECOND)
    left, right = range(7), range(7, 15)
    world.partition([left])
    later = [grant_at(world, number, number) for number in (2, 9)]
    withdrawal = world.act(12, lambda turn: person(world.seed, 0).withdraw(turn, grant))
    world.run_for(100 * SECOND)  # beyond the silence after which channels end
    assert {state(world.nodes[number], grant) for number in left} == {State.GRANTED}
    assert {state(world.nodes[number], grant) for number in right} == {State.WITHDRAWN}
    assert len(set(world.frontiers())) == 2
    world.heal()
    assert world.run_for(15 * SECOND, until=world.agree)
    assert states(world, grant) == {State.WITHDRAWN}
    assert all(states(world, entry) == {State.GRANTED} for entry in later)
    assert world.nodes[3].entries("consent.withdraw") == [withdrawal]
    world.run_for(75 * SECOND)
    assert len(roots(world)) == 1
    assert None not in roots(world)


@pytest.mark.parametrize("one_way", [False, True])
def test_a_channel_that_is_made_across_a_partition_is_there_when_it_ends(one_way: bool) -> None:
    world = World(1, dials=0)
    world.found(4, [[1], [], [3], []])
    world.run_for(SECOND)
    world.partition([[0, 1]], one_way=one_way)
    world.connect(1, 2)
    world.connect(0, 3)
    heard = Counter[tuple[int, int]]()
    world.on_deliver = lambda source, target, _: heard.update([(source, target)])
    grant_at(world, 0)
    grant_at(world, 2)
    world.run_for(20 * SECOND)
    across = {(1, 2), (2, 1), (0, 3), (3, 0)}
    assert not heard.keys() & across
    world.heal()
    world.run_for(20 * SECOND)
    assert heard.keys() >= across
    assert world.agree()


def test_a_short_partition_that_nobody_noticed_is_repaired() -> None:
    world = World(5, policy=POLICY)
    world.found(10)
    world.run_for(5 * SECOND)
    world.partition([range(5)])
    grant = grant_at(world, 1)
    world.run_for(10 * SECOND)
    world.heal()
    assert world.run_for(30 * SECOND, until=world.agree)
    assert states(world, grant) == {State.GRANTED}


def test_what_one_side_cannot_say_arrives_once_the_way_is_open_again() -> None:
    world = World(6, policy=POLICY)
    world.found(8)
    world.run_for(5 * SECOND)
    world.partition([range(4)], one_way=True)
    grant = grant_at(world, 0)
    other = grant_at(world, 6, 1)
    world.run_for(20 * SECOND)
    assert status(world.nodes[0], other) is not None
    assert status(world.nodes[6], grant) is None
    world.heal()
    assert world.run_for(30 * SECOND, until=world.agree)


@pytest.mark.covers("R8")
def test_loss_duplication_reordering_and_a_crash_are_survived() -> None:
    world = World(7, link=ROUGH, policy=POLICY)
    world.found(15)
    world.run_for(5 * SECOND)
    grants = [grant_at(world, number, number) for number in range(5)]
    world.partition([range(6)])
    world.crash(3)
    world.run_for(10 * SECOND)
    grants += [grant_at(world, number, number) for number in range(5, 10)]
    world.run_for(60 * SECOND)
    world.heal()
    world.run_for(SECOND)
    world.restart(3)
    assert world.run_for(120 * SECOND, until=world.agree)
    assert all(states(world, grant) == {State.GRANTED} for grant in grants)
    assert world.run_for(300 * SECOND, until=lambda: len(roots(world)) == 1 and None not in roots(world))


def test_a_crash_loses_memory_and_keeps_the_store() -> None:
    world = World(8, policy=POLICY)
    world.found(4)
    world.run_for(5 * SECOND)
    world.partition([[2]])
    grant = grant_at(world, 2)
    world.crash(2)
    with pytest.raises(LocalError, match="down"):
        world.act(2, lambda turn: turn.heartbeat())
    world.run_for(5 * SECOND)
    world.restart(2)
    with pytest.raises(LocalError, match="running"):
        world.restart(2)
    assert status(world.nodes[2], grant) is not None
    world.heal()
    assert world.run_for(30 * SECOND, until=world.agree)
    assert states(world, grant) == {State.GRANTED}


def test_a_chain_of_newcomers_is_admitted_by_entries() -> None:
    world = World(9, policy=POLICY)
    world.found(2)
    world.run_for(SECOND)
    first = world.join(0)
    world.run_for(5 * SECOND)
    second = world.join(first)  # its only neighbour is no founder: it must be believed before the ledger is there
    assert world.run_for(30 * SECOND, until=world.agree)
    for node in world.nodes:
        assert len(node.running.replica.members.members) == 4
    grant = grant_at(world, second)
    assert world.run_for(10 * SECOND, until=world.agree)
    assert states(world, grant) == {State.GRANTED}


def test_every_node_attests_the_same_at_a_boundary() -> None:
    world = World(10, policy=POLICY)
    world.found(9)
    for number in range(9):
        world.at(START_US + (10 + 5 * number) * SECOND, partial(grant_at, world, number, number))
    world.run_for(60 * SECOND + 13 * SECOND)
    (tick,) = roots(world)
    assert tick is not None
    assert tick[0] == START_US // SECOND + 60
    world.run_for(5 * SECOND)
    attestations = world.nodes[4].entries("state.attestation")
    said = [(e.payload["boundary"], e.payload["frontier"], e.payload["state_root"]) for e in attestations]
    assert [one for one in said if one[0] == tick[0]] == [tick] * 9


def test_a_tick_on_demand_takes_two_seconds() -> None:
    world = World(11)
    world.found(20)
    world.run_for(7 * SECOND + 300 * MS)
    grant_at(world, 3)
    boundary = world.now_us // SECOND + 1
    world.act(5, lambda turn: turn.ask_tick(boundary))
    world.run_for(2 * SECOND)
    (tick,) = roots(world)
    assert tick is not None
    assert tick[0] == boundary
    consents = {node.running.ticker.tick.consents for node in world.nodes if node.running.ticker.tick is not None}
    assert len(consents) == 1
    assert consents.pop()[0] == 1  # what was stated just before is in it
    world.run_for(SECOND)
    assert len(world.nodes[0].entries("state.attestation")) == 20


def test_ticks_on_demand_may_overlap() -> None:
    world = World(12)
    world.found(5)
    world.run_for(5 * SECOND)
    now = world.now_us // SECOND
    world.act(1, lambda turn: turn.ask_tick(now + 1))
    world.act(2, lambda turn: turn.ask_tick(now + 2))
    world.act(3, lambda turn: turn.ask_tick(now + 30))
    world.run_for(33 * SECOND)
    boundaries = Counter(entry.payload["boundary"] for entry in world.nodes[0].entries("state.attestation"))
    assert boundaries == {now + 1: 5, now + 2: 5, now + 30: 5}
    assert len({tuple(sorted(e.payload.items())) for e in world.nodes[0].entries("state.attestation")}) == 3
    with pytest.raises(LocalError, match="within"):
        world.act(0, lambda turn: turn.ask_tick(turn.now + 1_000))


def test_slow_and_skewed_nodes_do_not_diverge() -> None:
    slow = Link(uniform(2_000, 4_000))
    world = World(13, skew_ms=lambda number: (-20_000, 0, 900, 20_000, 5)[number % 5])  # ticks wait for 60 s
    world.found(10)
    world.links |= {(a, b): slow for a in range(10) for b in range(10) if 4 in {a, b}}
    for number in range(10):
        world.at(START_US + (270 + 5 * number) * SECOND, partial(grant_at, world, number, number))
    world.run_for(1_000 * SECOND)
    assert world.agree()
    attested: dict[int, tuple[bytes, bytes]] = {}
    for entry in world.nodes[4].entries("state.attestation"):
        told = (entry.payload["frontier"], entry.payload["state_root"])
        assert attested.setdefault(entry.payload["boundary"], told) == told
    assert len(attested) == 4  # at 0, 300, 600 and 900 seconds


def test_a_clock_far_ahead_is_not_believed_until_it_is_set_and_its_time_has_come() -> None:
    ahead = AHEAD_SECONDS_MAX + 60
    world = World(14, policy=POLICY, skew_ms=lambda number: ahead * 1_000 if number == 2 else 0)
    world.found(4)
    fast, other = world.nodes[2], world.nodes[0]
    grant, sound = grant_at(world, 2), grant_at(world, 1, 1)
    world.run_for(100 * SECOND)
    assert status(other, grant) is None
    assert status(fast, sound) is not None
    fast.skew_us = 0
    assert world.run_for(ahead * SECOND, until=lambda: status(other, grant) is not None)
    assert world.run_for(30 * SECOND, until=world.agree)


def test_a_node_that_came_back_from_an_old_copy_and_signed_is_held() -> None:
    world = World(15, policy=POLICY)
    world.found(8)
    world.run_for(5 * SECOND)
    old = copy_store(world.nodes[3].store)
    base = world.nodes[3].running.replica.position(world.nodes[3].kid).size
    grant_at(world, 3, 1)
    grant_at(world, 3, 2)
    world.run_for(5 * SECOND)
    world.crash(3)
    world.partition([[3]])  # it signs before it hears of what it forgot
    world.restart(3, store=old)
    forked = grant_at(world, 3, 3)
    assert world.nodes[3].running.replica.position(world.nodes[3].kid).size == base + 1
    world.heal()
    world.run_for(120 * SECOND)
    for node in world.alive():
        assert node.running.replica.members.reach(world.nodes[3].kid) == base
        assert node.entries("fork.proof")
        assert not Counter(entry.kid for entry in node.entries("fork.proof"))[world.nodes[3].kid]
    assert State.GRANTED not in states(world, forked)


def test_a_fork_that_overtakes_is_found_by_its_leaves() -> None:
    world = World(16, policy=POLICY)
    world.found(8)
    world.run_for(5 * SECOND)
    old = copy_store(world.nodes[3].store)
    base = world.nodes[3].running.replica.position(world.nodes[3].kid).size
    grant_at(world, 3, 1)
    world.run_for(5 * SECOND)
    world.crash(3)
    world.partition([[3]])
    world.restart(3, store=old)
    for who in range(10, 14):
        grant_at(world, 3, who)  # one branch has one leaf beyond the base, the other four
        world.run_for(SECOND)
    world.heal()
    world.run_for(120 * SECOND)
    assert {node.running.replica.members.reach(world.nodes[3].kid) for node in world.alive()} == {base}


def test_a_bad_seed_name_is_another_run() -> None:
    assert Seed(1).bytes(0, "root") != Seed(1, run=1).bytes(0, "root")
    assert Seed(1).bytes(0, "root") != Seed(1, "other").bytes(0, "root")
    assert Seed(1).stream(3, "a").random() == Seed(1).stream(3, "a").random()
