"""Sealing as voters come to an end: leaves, expulsions, silence; and proposals whose frontier list is missing."""

from __future__ import annotations

from gossip.messages import SEALS, Envelope
from gossip.seals import Ask, Part, decode
from ledger.errors import LocalError
from ledger.governance.epoch import Policy
from node.core import Core, Turn
from node.sealing import Sealer
from simulations.links import LAN
from simulations.world import MS, SECOND, World
from tests.node.electorates import (
    LEAST,
    PACE,
    Electorate,
    electorate_of,
    epochs,
    sealed,
    sealer_of,
    stir,
    world_of,
)


def test_a_voter_leaves_after_the_seal_it_voted_for() -> None:
    world = world_of(3)
    world.act(1, lambda turn: sealer_of(world, 1).check_leave(turn))  # nothing is under way
    world.partition([[0], [1], [2]])
    world.run_for(LEAST + SECOND)
    voted = [number for number in range(3) if refuses_leave(world, number)]
    assert len(voted) == 1  # the proposer; the others have seen no seal
    world.heal()
    assert world.run_for(60 * SECOND, lambda: sealed(world, 1))
    world.run_for(SECOND)
    assert not any(refuses_leave(world, number) for number in range(3))
    world.act(1, lambda turn: turn.state("member.leave", ("member", turn.core.party[0]), {}))
    assert world.run_for(60 * SECOND, lambda: epochs(world)[::2] == [2, 2])  # its channels end with its membership
    step = electorate_of(world, 0).steps[2]
    assert step.context.size == 2
    assert step.certificate is not None
    assert len(step.certificate.seal.left) == 1
    assert world.act(1, lambda turn: sealer_of(world, 1).status(turn)).role == "onlooker"
    world.act(0, stir)
    assert world.run_for(60 * SECOND, lambda: epochs(world)[::2] == [3, 3])


def test_a_quiet_mesh_seals_once_where_time_alone_changes_something() -> None:
    world = world_of(3)
    lapse = electorate_of(world, 0).epoch_context().as_of + 100
    for number in range(3):
        electorate_of(world, number).lapse = lapse
    assert world.run_for(LEAST + SECOND, lambda: sealed(world, 1))
    assert not world.run_for(80 * SECOND, lambda: sealed(world, 2))
    assert world.act(0, lambda turn: sealer_of(world, 0).status(turn)).next_at == lapse
    assert world.run_for(15 * SECOND, lambda: sealed(world, 2))
    assert electorate_of(world, 0).steps[2].context.as_of >= lapse
    world.run_for(20 * LEAST)
    assert epochs(world) == [2] * 3


def refuses_leave(world: World, number: int) -> bool:
    """Say whether a node may not leave now."""
    try:
        world.act(number, lambda turn: sealer_of(world, number).check_leave(turn))
    except LocalError as error:
        return error.code == "SEAL_IN_PROGRESS"
    return False


def test_two_vote_the_third_out_while_it_is_silent() -> None:
    world = world_of(3)
    assert world.run_for(60 * SECOND, lambda: sealed(world, 1))
    world.crash(2)
    target = list(world.nodes[2].who.party)

    def expel(turn: Turn) -> None:
        payload = {"act": "expel", "target": target, "deadline": turn.now + 86_400, "cut": []}
        turn.state("proposal", ("ballot", bytes(16)), payload)

    world.act(0, expel)
    assert world.run_for(120 * SECOND, lambda: sealed(world, 2))
    assert electorate_of(world, 0).steps[2].context.size == 2


def test_voters_without_a_heartbeat_stop_voting_and_do_not_hold_the_others() -> None:
    def quick(core: Core) -> Sealer:
        return Sealer(Electorate(core.replica, silent_seconds=100), pace=PACE)

    policy = Policy(tick_seconds=86_400, heartbeat_seconds=20)
    world = World(4, link=LAN, policy=policy, sealing=quick, silence_us=SECOND)
    world.found(4)
    assert world.run_for(60 * SECOND, lambda: sealed(world, 1))
    world.crash(2)
    world.run_for(60 * SECOND)
    world.act(0, stir)
    assert world.run_for(60 * SECOND, lambda: sealed(world, 2))
    world.run_for(60 * SECOND)
    world.act(0, stir)
    assert world.run_for(120 * SECOND, lambda: sealed(world, 3))
    _, first, second, third = electorate_of(world, 0).steps
    assert (first.context.size, second.context.size, third.context.size) == (4, 4, 3)
    assert third.certificate is not None
    silent = [second.context.voters[place][0] for place in third.certificate.seal.silent]
    assert silent == [world.nodes[2].who.root.kid]
    world.restart(2)
    assert world.run_for(60 * SECOND, lambda: sealed(world, 3))  # it is back, and looks on
    assert world.act(2, lambda turn: sealer_of(world, 2).status(turn)).role == "onlooker"


# Lists


def test_a_proposal_whose_list_is_missing_waits_for_it() -> None:
    world = world_of(4)
    context = electorate_of(world, 0).epoch_context()
    first = context.voters[context.proposer(0)][0]
    proposer = next(node.number for node in world.nodes if node.who.root.kid == first)
    others = [number for number in range(4) if number != proposer]
    heard: list[int] = []

    def watch(_source: int, _target: int, data: bytes) -> None:
        envelope = Envelope.open(data)
        told = decode(envelope) if envelope.family == SEALS else None
        if isinstance(told, Ask | Part):
            heard.append(told.KIND)

    world.on_deliver = watch
    world.run_for(LEAST - 500 * MS)
    world.partition([others, [proposer]])
    for number in others:
        world.act(number, lambda turn: turn.state("state.attestation", ("tick", bytes(8)), attested(turn)))
    world.run_for(300 * MS)
    assert not world.agree()  # the proposer lacks what the others hold
    world.run_for(190 * MS)
    world._cut = frozenset()  # the channels were never given up: messages pass again, the entries come later
    assert world.run_for(5 * SECOND, lambda: sealed(world, 1))
    certificate = electorate_of(world, 0).steps[1].certificate
    assert certificate is not None
    assert certificate.round == 0
    assert {Ask.KIND, Part.KIND} <= set(heard)


def attested(turn: Turn) -> dict[str, object]:
    """Return the payload of an entry that is no governance."""
    return {"boundary": turn.now, "frontier": bytes(32), "state_root": bytes(32)}
