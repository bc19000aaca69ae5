"""The exact world seals epochs: under loss, crashes, wrong clocks, partitions; in meshes of one and more that grow."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import partial

import pytest

from gossip.messages import SEALS, Envelope
from ledger.consent.status import State
from ledger.errors import LocalError
from ledger.governance.epoch import Policy
from ledger.governance.members import Party
from ledger.governance.roster import link_id
from ledger.governance.sealing import RIVALS_SECONDS
from ledger.keys import SigningKey
from ledger.schema import DAY
from node.sealing import Sealer
from simulations.links import Link, uniform
from simulations.world import SECOND, START_US, World
from tests.conftest import PROFILE
from tests.simulations.governing import application_of, leave, sponsor, succeed
from tests.simulations.sealed import check, expel, mesh, parties, reach, sleep, standings, stir
from tests.simulations.test_world import grant_at, states

ROUGH = Link(uniform(10, 50), loss=0.10, duplication=0.05, reorder=True)


# Faults


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_voters_crash_and_restart_on_a_rough_net_while_they_seal(seed: int) -> None:
    world = mesh(seed, 7, link=ROUGH)
    source = world.seed.stream(-1, "crashes")
    down: dict[int, int] = {}
    for second in range(240):
        world.run_for(SECOND)
        for number, until in list(down.items()):
            if second >= until:
                del down[number]
                world.restart(number)
        if len(down) < 2 and source.random() < 0.3:
            victim = source.choice([number for number in range(7) if number not in down])
            down[victim] = second + source.randint(1, 12)
            world.crash(victim)
        if second % 10 == 0:
            speaker = source.choice([number for number in range(7) if number not in down])
            stir(world, speaker)
        check(world)
    for number in down:
        world.restart(number)
    reach(world, 3)
    assert world.counts["lost"]


@pytest.mark.parametrize("ahead", [600, -600])
def test_a_voter_whose_clock_is_ten_minutes_off_holds_nobody_up(ahead: int) -> None:
    world = mesh(4, 4, skew_ms=lambda number: ahead * 1_000 if number == 3 else 0)
    others = range(3)
    reach(world, 1, numbers=others)
    for number in (0, 1):
        stir(world, number)
    before = standings(world, others)[0].n
    assert world.run_for(120 * SECOND, until=lambda: min(each.n for each in standings(world, others)) > before)
    check(world)
    world.nodes[3].skew_us = 0
    reach(world, before + 1, seconds=900)


def test_split_two_and_two_nothing_is_sealed_and_all_else_goes_on() -> None:
    world = mesh(5, 4)
    reach(world, 1)
    sealed = standings(world)[0].n
    world.partition([[0, 1]])
    grant = grant_at(world, 0)
    one, other = (world.nodes[number].who.party for number in (0, 1))
    link = ("link", link_id(one, other))
    world.act(0, lambda turn: turn.state("link.offer", link, {"from": list(one), "to": list(other)}))
    world.run_for(SECOND)
    world.act(1, lambda turn: turn.state("link.accept", link, {"from": list(other), "to": list(one)}))
    world.run_for(200 * SECOND)
    assert {each.n for each in standings(world)} == {sealed}
    for number in (0, 1):
        assert world.nodes[number].running.replica.members.link_up(one, other)
    world.heal()
    reach(world, sealed + 1)
    assert states(world, grant) == {State.GRANTED}


# Expulsions


@pytest.mark.covers("R3", "R12")
def test_two_of_six_are_expelled_and_the_four_go_on() -> None:
    world = mesh(6, 6)
    reach(world, 1)
    expel(world, 4, [0, 1, 2, 3])
    expel(world, 5, [0, 1, 2, 3])
    reach(world, 2, numbers=range(4))
    for each in standings(world, range(4)):
        assert each.expelled == parties(world, (4, 5))
        assert set(each.voters) == parties(world, range(4))
    n = standings(world)[0].n
    stir(world, 2)
    reach(world, n + 1, numbers=range(4))


def test_two_of_three_vote_the_third_out_and_go_on() -> None:
    world = mesh(7, 3)
    reach(world, 1)
    expel(world, 1, [0, 2])
    reach(world, 2, numbers=(0, 2))
    for each in standings(world, (0, 2)):
        assert set(each.voters) == each.members == parties(world, (0, 2))
    n = standings(world)[0].n
    stir(world, 2)
    reach(world, n + 1, numbers=(0, 2))
    proposal = expel(world, 0, [2])  # two are left: they may only sever
    world.run_for(60 * SECOND)
    assert world.nodes[0].who.party in standings(world, (2,))[0].members
    assert proposal.kind == "proposal"


def test_two_seal_together_and_not_apart() -> None:
    world = mesh(8, 2)
    reach(world, 1)
    n = standings(world)[0].n
    world.crash(1)
    stir(world, 0)
    world.run_for(120 * SECOND)
    assert standings(world)[0].n == n
    world.restart(1)
    reach(world, n + 1)


# Growth and leaving


def test_a_mesh_grows_from_one_founder_and_its_voters_with_it() -> None:
    """Whoever is invited by the last newcomer gets a vote once enough voters endorse it, and one a day does."""
    world = mesh(10, 1)
    reach(world, 1)
    for number in range(1, 5):
        assert world.join(number - 1, neighbours=range(number - 1)) == number
        reach(world, 1)
    assert {len(each.members) for each in standings(world)} == {5}
    reach(world, 2)
    assert voters(world) == parties(world, (0, 1))  # the founder endorsed its own guest alone
    assert next_day(world) == parties(world, range(3))  # the first guest has a vote by now, and had invited the second
    assert next_day(world) == parties(world, range(3))  # three voters: one endorsement is too few
    endorse(world, 0, 3)
    assert next_day(world) == parties(world, range(4))
    endorse(world, 1, 4)
    assert next_day(world) == parties(world, range(5))
    for number in (0, 1):
        world.crash(number)
    n = standings(world)[0].n
    stir(world, 4)
    world.run_for(120 * SECOND)
    assert {each.n for each in standings(world)} == {n}  # five vote: three are no quorum
    world.restart(1)
    reach(world, n + 1)


def endorse(world: World, voter: int, guest: int) -> None:
    """Let a voter endorse a member, so that it may vote."""
    party = world.nodes[guest].who.party
    application = application_of(world.nodes[voter].running, party)
    world.act(voter, lambda turn: sponsor(turn, application, party))
    world.run_for(SECOND)


def voters(world: World) -> set[Party]:
    """Return the voters that all running nodes agree on."""
    (found,) = {each.voters for each in standings(world)}
    return set(found)


def next_day(world: World) -> set[Party]:
    """Let a day pass and an epoch be sealed; return its voters."""
    sleep(world, DAY)
    stir(world, 0)
    reach(world, standings(world)[0].n + 1)
    return voters(world)


def test_a_voter_silent_for_thirty_days_loses_its_vote_and_is_a_member_still() -> None:
    world = mesh(11, 4)
    reach(world, 1)
    world.crash(3)
    sleep(world, 30 * DAY)
    world.run_for(10 * SECOND)
    stir(world, 0)
    reach(world, standings(world)[0].n + 1)
    for each in standings(world):
        assert set(each.voters) == parties(world, range(3))
        assert each.members == parties(world, range(4))
    world.restart(3)
    n = standings(world, [0])[0].n
    stir(world, 3)
    reach(world, n + 1)


def test_voters_leave_one_after_another_down_to_one() -> None:
    world = mesh(12, 4)
    reach(world, 1)
    staying = list(range(4))
    for leaver in (3, 2, 1):
        n = standings(world)[0].n

        assert world.run_for(60 * SECOND, until=partial(leaves, world, leaver))
        staying.remove(leaver)
        reach(world, n + 1, numbers=staying)
        for each in standings(world, staying):
            assert set(each.voters) == each.members == parties(world, staying)
    stir(world, 0)
    reach(world, standings(world, [0])[0].n + 1, numbers=staying)


def test_a_voter_goes_on_with_another_device() -> None:
    world = mesh(13, 4)
    reach(world, 1)
    node = world.nodes[3]
    world.crash(3)
    world.run_for(5 * SECOND)
    device = SigningKey.from_seed(world.seed.bytes(3, "second device"))
    n = standings(world)[0].n
    former = node.kid
    world.act(0, lambda turn: succeed(turn, node.who.root, device, former))
    reach(world, n + 1, numbers=range(3))
    world.replace_device(3, device)
    world.restart(3)
    reach(world, n + 1)
    for each in standings(world):
        assert set(each.voters) == parties(world, range(4))
    world.crash(0)  # now nothing is sealed without the new device
    n = standings(world)[0].n
    stir(world, 3)
    reach(world, n + 1)


def leaves(world: World, number: int) -> bool:
    """Let a node leave, unless it has voted for a seal that is not there yet; say whether it has left."""
    with suppress(LocalError):
        world.act(number, leave)
    return not world.nodes[number].running.replica.members.is_member(world.nodes[number].who.party)


# Over long times


def live(world: World, days: int, statements: int, grants: int) -> list[tuple[int, int]]:
    """Let a mesh live for some days; return (seals made, bytes of seal messages that arrived) of each."""
    heard: Counter[int] = Counter()
    world.on_deliver = lambda _, __, message: heard.update({Envelope.open(message).family: len(message)})
    count, lived = len(world.nodes), []
    for day in range(days):
        n, before = standings(world)[0].n, heard[SEALS]
        for number in range(statements):
            stir(world, (day + number) % count)
            world.run_for(700 * SECOND)
        for number in range(grants):
            grant_at(world, (day + number) % count, grants * day + number)
            world.run_for(60 * SECOND)
        world.run_for((day + 1) * DAY * SECOND - (world.now_us - START_US))
        check(world)
        lived.append((standings(world)[0].n - n, heard[SEALS] - before))
    return lived


def slow(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a mesh of four with the pace of a real one, except that it compares frontiers rarely, for speed."""
    monkeypatch.setattr("gossip.antientropy.EXCHANGE_MS", (600_000, 1_200_000))
    world = World(16, policy=Policy(tick_seconds=3_600, heartbeat_seconds=600), dials=4)
    world.found(4)
    return world


def test_an_idle_mesh_seals_what_it_began_with_and_then_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lived = live(slow(monkeypatch), 4, 0, 0)
    assert [seals for seals, _ in lived] == [1, 0, 0, 0]
    assert [size for _, size in lived][1:] == [0, 0, 0]


def test_a_mesh_with_consents_alone_seals_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [seals for seals, _ in live(slow(monkeypatch), 3, 0, 2)] == [1, 1, 1]


def test_sealing_costs_the_same_however_long_a_mesh_has_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty days in the nightly profile, six else; two seals a day."""
    world = slow(monkeypatch)
    lived = live(world, 60 if PROFILE == "nightly" else 6, 2, 1)
    assert {seals for seals, _ in lived[1:]} == {2}
    least, most = (pick(size for _, size in lived[1:]) for pick in (min, max))
    assert most < 3 * least
    for node in world.nodes:
        sealer = node.running.sealing
        assert isinstance(sealer, Sealer)
        with node.store.read() as rows:
            kept = [key for key, _ in rows.scan("outbox", b"seal/", b"seal0")]
        assert len(kept) <= 3  # what was decided last, and at most a record and a list of the open epoch
        assert len(node.running.replica.chain.newest.history) <= RIVALS_SECONDS // DAY * 2 + 8
