"""Traitors in the exact world: the revenge of an expelled node, and feeds that fork where seals hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import pytest

from ledger.consent.acts import Shown
from ledger.consent.kinds import BOUND_COUNT, DELEGATE_ROLES, SLOT_COUNT
from ledger.consent.status import State
from ledger.entry import Entry, sign_entry
from ledger.keys import SigningKey
from ledger.replica import decode
from ledger.schema import DAY
from node.core import Turn
from node.events import Verified
from node.mesh import certify
from simulations.founding import copy_store
from simulations.people import Person, person
from simulations.world import SECOND, World
from tests.simulations.governing import cast_vote
from tests.simulations.sealed import expel, mesh, reach, standings, stir
from tests.simulations.test_world import grant_at, state


def revenge(world: World, number: int, old: Sequence[Entry]) -> list[Entry]:
    """Let an expelled node state all that it can think of, as if nothing had happened; return what it stated."""
    node = world.nodes[number]
    made: list[Entry] = []

    def strike(turn: Turn) -> None:
        core, replica = turn.core, turn.core.replica
        first = replica.head_at(turn.rows, node.kid, 1)
        assert first is not None
        for rank, other in enumerate(other for other in world.nodes if other.number != number):
            cut = [[other.kid, 1, first.root]]
            payload = {"act": "expel", "deadline": replica.members.as_of + DAY, "target": list(other.who.party)}
            entry = sign_entry(
                node.who.device,
                "proposal",
                ("ballot", core.random_bytes(16)),
                {**payload, "cut": cut, "reason": "revenge"},
                iat=max(turn.now - 100 + rank, replica.closure_iat(turn.rows, [replica.position(node.kid)])),
                cti=core.random_bytes(16),
                seen=[replica.position(node.kid)],
                mesh_id=replica.mesh_id,
                epoch=replica.mesh_id,
            )
            made.append(turn.register(entry))
            made.append(cast_vote(turn, entry.id))
        made.extend(cast_vote(turn, entry.id, "no") for entry in old)
        fresh = SigningKey.from_seed(bytes(range(32)))
        made.append(
            turn.register(certify(node.who.root, fresh, replica, turn.rows, 1, turn.now, core.random_bytes, node.kid))
        )

    world.act(number, strike)
    return made


def smuggle(world: World, source: int, friend: int) -> None:
    """Hand all that an expelled node's feed holds to a friend, which takes it in and passes it on."""
    node = world.nodes[source]
    with node.store.read() as rows:
        run = node.running.replica.run(rows, node.kid, 0, 1 << 20)
    assert run is not None
    decoded = [decode(raw) for raw in run.raws]

    def take(turn: Turn) -> None:
        turn.core.verifying[node.kid] += 1
        turn.handle(Verified(world.nodes[friend].kid, run, decoded))

    world.act(friend, take)


def test_the_revenge_of_an_expelled_node_changes_nothing() -> None:
    world = mesh(9, 5)
    reach(world, 1)
    kid, honest = world.nodes[4].kid, range(4)
    before = standings(world)[0]
    proposal = expel(world, 4, [0, 1, 2, 3])
    reach(world, before.n + 1, numbers=honest)
    after = standings(world)[0]
    reaches = {world.nodes[number].running.replica.members.reach(kid) for number in honest}
    made = revenge(world, 4, [proposal])
    smuggle(world, 4, 2)
    held = partial(holds_all, world, honest, kid, len(made))
    assert world.run_for(60 * SECOND, until=held)
    world.run_for(90 * SECOND)
    reach(world, after.n, numbers=honest)
    for each in standings(world, honest):
        assert (each.members, each.voters, each.expelled) == (after.members, after.voters, after.expelled)
    assert {world.nodes[number].running.replica.members.reach(kid) for number in honest} == reaches
    assert all(kid not in world.nodes[number].running.member_peers for number in honest)
    fresh = SigningKey.from_seed(bytes(range(32))).kid
    assert not any(world.nodes[number].running.replica.members.speaks(fresh) for number in honest)


def holds_all(world: World, numbers: Iterable[int], feed: bytes, least: int) -> bool:
    """Say whether nodes hold as much of a feed as its owner, and no less than so many leaves."""
    owner = next(node for node in world.nodes if node.kid == feed)
    size = owner.running.replica.size(feed)
    return size > least and all(world.nodes[number].running.replica.size(feed) == size for number in numbers)


@pytest.mark.parametrize("leaves", [1, 2, 9])
@pytest.mark.parametrize("publisher", [True, False])
def test_whoever_holds_the_other_branch_of_a_sealed_feed_gets_the_sealed_one(leaves: int, publisher: bool) -> None:
    """A seal covers three leaves of a branch; one node holds fewer, or more, of another branch, with a withdrawal.

    Where the one that forked had published the seal, its certificate stands beyond the fork too.
    """
    world = mesh(14, 5)
    earlier = grant_at(world, 0, 5)
    reach(world, 1)
    old, n = [copy_store(node.store) for node in world.nodes], standings(world)[0].n
    world.partition([[3]])
    kept = [entry for number in (0, 1, 2, 4) for entry in (grant_at(world, number, number), stir(world, number))]
    together = (0, 1, 2, 4)
    reach(world, n + 1, numbers=together)
    told = {number for number in together if published(world, number, n + 1)}
    assert len(told) == 1
    forker = min(told if publisher else set(together) - told)
    world.crash(forker)
    world.partition([[3, forker]])
    world.restart(forker, store=old[forker])
    withdrawal = world.act(forker, lambda turn: person(world.seed, 5).withdraw(turn, earlier))
    for who in range(leaves - 2):
        grant_at(world, forker, 10 + who)
    given = [register(world, forker, partial(give, person(world.seed, 5), earlier))] if leaves > 1 else []
    world.run_for(5 * SECOND)
    assert states_at(world, [3], earlier) == {State.WITHDRAWN}
    world.crash(forker)
    world.heal()
    rest = [number for number in range(5) if number != forker]
    reach(world, n + 2, numbers=rest, seconds=400)
    for grant in kept[::2]:
        assert states_at(world, rest, grant) == {State.GRANTED}
    assert states_at(world, rest, earlier) == {State.WITHDRAWN}
    assert withdrawal in world.nodes[rest[0]].entries("consent.withdraw")
    assert given == world.nodes[rest[0]].entries("delegation.give")
    n = standings(world)[0].n
    stir(world, 3)
    reach(world, n + 1, numbers=rest)
    assert world.run_for(150 * SECOND, until=lambda: len(set(world.ticks())) == 1 and None not in world.ticks())
    fresh = {tick.sizes[world.nodes[forker].kid] for node in world.alive() if (tick := node.running.ticker.tick)}
    assert fresh == {world.nodes[3].running.replica.members.forks[world.nodes[forker].kid]}
    world.crash(3)
    world.restart(3)  # what it dropped is gone from its store too
    reach(world, n + 1, numbers=rest)


def register(world: World, number: int, make: Callable[[Turn], Entry]) -> Entry:
    """Make an entry at a node and register it there."""
    return world.act(number, lambda turn: turn.register(make(turn)))


def published(world: World, number: int, n: int) -> bool:
    """Say whether a node registered the certificate of epoch `n`."""
    noted = [note for _, who, note in world.notes if who == number and note.code == "SEALED"]
    return any(note.fields["n"] == n for note in noted)


def states_at(world: World, numbers: Iterable[int], grant: Entry) -> set[State | None]:
    """Return the states that some nodes hold a consent to be in."""
    return {state(world.nodes[number], grant) for number in numbers}


def test_an_expelled_node_that_forks_beyond_its_cut_keeps_nobody_from_sealing() -> None:
    """It shows one half of the voters another feed than the other half."""
    world = mesh(15, 5)
    reach(world, 1)
    honest, n = range(4), standings(world)[0].n
    proposal = expel(world, 4, [0, 1, 2, 3])
    reach(world, n + 1, numbers=honest)
    old = copy_store(world.nodes[4].store)
    revenge(world, 4, [proposal])
    smuggle(world, 4, 0)
    world.partition([[0, 1], [2, 3]])
    world.run_for(5 * SECOND)
    world.crash(4)
    world.restart(4, store=old)
    for who in range(30):
        grant_at(world, 4, who)
    smuggle(world, 4, 2)
    world.run_for(5 * SECOND)
    sizes = {world.nodes[number].running.replica.size(world.nodes[4].kid) for number in honest}
    assert len(sizes) == 2
    world.heal()
    n = standings(world)[0].n
    stir(world, 1)
    reach(world, n + 1, numbers=honest)
    stir(world, 2)
    reach(world, n + 2, numbers=honest)


def test_a_withdrawal_hidden_beyond_a_fork_that_nothing_sealed_is_told_to_all() -> None:
    """One node alone was shown the branch in which a person withdrew; it tells the others."""
    world = mesh(16, 5)
    reach(world, 1)
    grant, forked = grant_at(world, 0, 5), world.nodes[4].kid
    world.run_for(2 * SECOND)
    old = copy_store(world.nodes[4].store)
    world.partition([[3]])
    grant_at(world, 4, 1)
    world.run_for(2 * SECOND)
    world.crash(4)
    world.partition([[3, 4]])
    world.restart(4, store=old)
    withdrawal = world.act(4, lambda turn: person(world.seed, 5).withdraw(turn, grant))
    others = world.act(4, partial(restrict, person(world.seed, 5), grant))
    world.run_for(2 * SECOND)
    world.crash(4)
    world.heal()
    assert world.run_for(200 * SECOND, until=lambda: states_at(world, range(4), grant) == {State.WITHDRAWN})
    assert all(forked in node.running.replica.members.forks for node in world.alive())
    reach(world, standings(world)[0].n)
    world.run_for(60 * SECOND)
    for entry in (withdrawal, *others):
        places = sum(held_in(world, 0, entry, node.number) for node in world.nodes[:4])
        assert places == 1, entry.kind  # one node registered it, and the others saw that
    assert len(set(world.ticks())) == 1


def restrict(who: Person, grant: Entry, turn: Turn) -> list[Entry]:
    """Let a person and a tenant say all else that takes something away."""
    shown = Shown(turn.shown_head(), turn.now, turn.now, turn.core.replica.mesh_id, who.random_bytes)
    key, party = who.wallet.consent_key(grant.thing[1]), turn.core.party
    given = give(who, grant, turn)
    said: dict[str, tuple[tuple[str, bytes], dict[str, Any]]] = {
        "consent.amend": (grant.thing, {"grant": grant.id, "slots": bytes(32 * SLOT_COUNT)}),
        "delegation.revoke": (given.thing, {"links": [given.raw]}),
        "group.refuse": (("group", key.kid), {"call": grant.id}),
    }
    made = [turn.register(shown.sign(key, kind, *each, exact=True)) for kind, each in said.items()]
    fact = ("fact", bytes(16)), {"fact": grant.id}
    tenant = ("tenant", key.kid), {"host": list(party), "serial": 1}
    made.append(turn.register(shown.sign(key, "fact.revoke", *fact, exact=True)))
    unhost = sign_entry(
        key,
        "tenant.unhost",
        *tenant,
        iat=turn.now,
        cti=bytes(16),
        seen=[shown.head],
        mesh_id=shown.mesh_id,
        epoch=turn.core.replica.members.epoch,
    )
    made.append(turn.register(unhost))
    return made


def give(who: Person, grant: Entry, turn: Turn) -> Entry:
    """Let a person delegate by the key of a grant; return what she signed, which is registered nowhere."""
    shown = Shown(turn.shown_head(), turn.now, turn.now, turn.core.replica.mesh_id, who.random_bytes)
    key = who.wallet.consent_key(grant.thing[1])
    payload = {
        "delegate": SigningKey.from_seed(bytes(32)).public,
        "withdraw_key": key.public,
        "role": DELEGATE_ROLES[0],
        "valid_until": grant.payload["valid_until"],
        "depth": 0,
        "slots": bytes(32 * BOUND_COUNT),
    }
    return shown.sign(key, "delegation.give", ("delegation", bytes(16)), payload, exact=True)


def held_in(world: World, number: int, entry: Entry, other: int) -> bool:
    """Say whether a node holds an entry in the feed of another."""
    node = world.nodes[number]
    replica = node.running.replica
    with node.store.read() as rows:
        return any(replica.feed_of(feed) == world.nodes[other].kid for feed, _ in replica.places(rows, entry.id))
