"""Worlds of the exact driver that seal: founding them, what their nodes believe, and what must always hold.

How it works
    `mesh` founds a world that seals often. `reach` runs it until all hold an epoch and agree, and `check`s it: one seal
    an epoch, whoever holds its certificates, and nobody halted.

What it does not do
    It looks at nodes that run; who is expelled is left out by number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ledger import codec
from ledger.entry import Entry
from ledger.governance.certificate import Seal
from ledger.governance.epoch import Policy
from ledger.governance.members import Party
from simulations.links import WAN, Link
from simulations.world import SECOND, World
from tests.simulations.governing import Standing, cast_vote, propose_expulsion, standing, state_proposal

POLICY = Policy(tick_seconds=60, heartbeat_seconds=20, invitations_a_day=1_000, seal_seconds=30)
"""A mesh that seals twice a minute while something waits."""


def mesh(seed: int, count: int, *, link: Link = WAN, skew_ms: Callable[[int], int] = lambda _: 0) -> World:
    """Found a mesh whose nodes all know each other."""
    world = World(seed, policy=POLICY, dials=count, link=link, skew_ms=skew_ms)
    world.found(count)
    return world


def standings(world: World, numbers: Iterable[int] | None = None) -> list[Standing]:
    """Return what the running nodes, or those of these numbers, believe."""
    chosen = range(len(world.nodes)) if numbers is None else numbers
    return [standing(core) for number in chosen if (core := world.nodes[number].core) is not None]


def seals_by_epoch(world: World) -> dict[bytes, set[bytes]]:
    """Return the digests of all seals that anybody holds a certificate of, by the epoch before."""
    found: dict[bytes, set[bytes]] = {}
    for node in world.alive():
        for registration in node.running.replica.registrations:
            if registration.entry.kind == "seal.certificate":
                body = codec.decode(registration.entry.payload["certificate"], max_bytes=65_536)
                assert isinstance(body, list)
                assert isinstance(body[1], bytes)
                seal = Seal.decode(body[1])
                found.setdefault(seal.epoch.prev, set()).add(seal.digest())
    return found


def check(world: World) -> None:
    """One seal an epoch, and nobody is halted."""
    assert all(len(digests) == 1 for digests in seals_by_epoch(world).values())
    for node in world.alive():
        members = node.running.replica.members
        assert not members.halted
        assert not members.branches


def at_one(world: World, n: int = 0, numbers: Iterable[int] | None = None) -> bool:
    """Say whether the running nodes have one frontier and one epoch, the `n`th or a later one."""
    chosen = list(range(len(world.nodes)) if numbers is None else numbers)
    found = [node.running.replica for node in world.alive() if node.number in chosen]
    one = len({(replica.frontier_digest(), replica.members.epoch) for replica in found}) == 1
    return one and all(replica.members.n >= n for replica in found)


def reach(world: World, n: int, seconds: int = 180, numbers: Iterable[int] | None = None) -> None:
    """Run until epoch `n` is held everywhere, and all agree. Fails when it never is."""
    chosen = None if numbers is None else list(numbers)
    assert world.run_for(seconds * SECOND, until=lambda: at_one(world, n, chosen)), standings(world)
    check(world)


def expel(world: World, target: int, voters: Sequence[int]) -> Entry:
    """Let nodes vote another out; the first of them proposes."""
    party = world.nodes[target].who.party
    proposal = world.act(voters[0], lambda turn: propose_expulsion(turn, party))
    world.run_for(2 * SECOND)
    for number in voters:
        world.act(number, lambda turn: cast_vote(turn, proposal.id))
    return proposal


def parties(world: World, numbers: Iterable[int]) -> set[Party]:
    """Return the parties of nodes."""
    return {world.nodes[number].who.party for number in numbers}


def stir(world: World, number: int) -> Entry:
    """State something of governance that changes nothing."""
    return world.act(number, lambda turn: state_proposal(turn, "suspend", {"target": list(turn.core.party)}))


def sleep(world: World, seconds: int) -> None:
    """Let all nodes be off for a while."""
    running = [node.number for node in world.alive()]
    for number in running:
        world.crash(number)
    world.run_for(seconds * SECOND)
    for number in running:
        world.restart(number)
