"""Nodes seal by themselves: alone and together, through partitions, crashes at every step, loss, and double voters."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossip.messages import SEALS, Envelope
from gossip.seals import Word, encode
from ledger import keys
from ledger.errors import LocalError
from ledger.governance.certificate import Step
from ledger.governance.rounds import Message, open_message, sign_message
from node.core import Core, Turn
from node.seal_entries import STAGGER_MS
from node.seal_instance import RECORD
from node.sealable import Pace
from node.sealing import Sealer
from simulations.links import LAN, Link, uniform
from simulations.world import MS, SECOND, START_US, World
from tests.conftest import PROFILE
from tests.node.electorates import (
    LEAST,
    PACE,
    POLICY,
    Electorate,
    certificates,
    electorate_of,
    epochs,
    sealed,
    sealer,
    sealer_of,
    stir,
    words,
    world_of,
)

EXAMPLES = 300 if PROFILE == "nightly" else 25


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_a_mesh_seals_when_it_is_time_and_rests_until_something_waits(count: int) -> None:
    world = world_of(count)
    world.run_for(LEAST - MS)
    assert epochs(world) == [0] * count
    assert world.run_for(SECOND, lambda: sealed(world, 1))
    assert certificates(world) == 1  # the proposer's alone
    world.run_for(20 * LEAST)
    assert epochs(world) == [1] * count
    first = electorate_of(world, 0).steps[1]
    assert all(first.frontier[node.kid].size >= 2 for node in world.nodes)
    world.act(count - 1, stir)
    assert world.run_for(SECOND, lambda: sealed(world, 2))
    world.act(0, stir)
    assert not world.run_for(LEAST // 2, lambda: sealed(world, 3))
    assert world.run_for(LEAST, lambda: sealed(world, 3))
    times = [step.context.as_of for step in electorate_of(world, 0).steps]
    assert all(after - before >= PACE.least_seconds for before, after in pairwise(times))
    assert certificates(world) == 3


def test_without_governance_a_mesh_seals_after_the_longest_time_if_anything_happened() -> None:
    def daily(core: Core) -> Sealer:
        return Sealer(Electorate(core.replica), pace=Pace(10, 60))

    world = World(2, link=LAN, policy=POLICY, sealing=daily)
    world.found(3)
    assert world.run_for(20 * SECOND, lambda: sealed(world, 1))
    at = world.now_us
    assert not world.run_for(58 * SECOND, lambda: sealed(world, 2))
    assert world.run_for(5 * SECOND, lambda: sealed(world, 2))  # the entries of the seal itself had happened
    assert world.now_us - at < 62 * SECOND


def test_the_same_seed_gives_the_same_trace() -> None:
    traces = set()
    for _ in range(2):
        world = world_of(5, seed=9, link=Link(uniform(5, 300), loss=0.1, reorder=True))
        world.run_for(60 * SECOND)
        traces.add((world.trace, tuple(epochs(world))))
    assert len(traces) == 1


# No quorum


def test_split_two_and_two_nothing_is_sealed_and_healing_is_enough() -> None:
    world = world_of(4)
    world.partition([[0, 1], [2, 3]])
    world.run_for(20 * LEAST)
    assert epochs(world) == [0] * 4
    status = world.act(0, lambda turn: sealer_of(world, 0).status(turn))
    assert (status.code, status.needed, status.open, status.role) == ("NO_QUORUM", 3, True, "voter")
    assert len(status.spoken) == 2
    world.act(0, stir)  # all else goes on
    assert world.run_for(SECOND, lambda: len(world.nodes[1].entries("vote.default")) == 1)
    world.heal()
    assert world.run_for(30 * SECOND, lambda: sealed(world, 1))


def test_the_smaller_side_follows_when_it_is_back() -> None:
    world = world_of(4)
    world.partition([[0, 1, 2], [3]])
    assert world.run_for(60 * SECOND, lambda: epochs(world) == [1, 1, 1, 0])
    world.act(3, stir)
    world.heal()
    assert world.run_for(30 * SECOND, lambda: sealed(world, 2))


def test_voters_in_a_line_carry_what_the_others_say() -> None:
    world = World(3, link=LAN, policy=POLICY, sealing=sealer, dials=0)
    world.found(5)
    for one in range(4):
        world.connect(one, one + 1)
    assert world.run_for(60 * SECOND, lambda: sealed(world, 1))


def test_a_member_without_a_vote_carries_what_voters_say_and_says_nothing() -> None:
    world = World(4, link=LAN, policy=POLICY, sealing=sealer, dials=0)
    world.found(2)
    world.connect(0, 1)
    number = world.join(0, [1])
    world.run_for(2 * SECOND, world.agree)
    world.disconnect(0, 1)
    assert world.run_for(60 * SECOND, lambda: sealed(world, 1))
    assert electorate_of(world, number).epoch_context().size == 2
    with world.nodes[number].store.read() as rows:
        assert list(rows.scan("outbox", RECORD, RECORD + b"\xff")) == []


def test_a_late_certificate_answers_whoever_still_talks_of_the_epoch_before() -> None:
    world = world_of(4)
    world.partition([[0, 1, 2], [3]])
    world.run_for(30 * SECOND)
    assert epochs(world) == [1, 1, 1, 0]
    told: list[int] = []

    def watch(_source: int, target: int, data: bytes) -> None:
        if data[1] == SEALS and target == 3:
            told.append(data[3])

    world.on_deliver = watch
    world.heal()
    assert world.run_for(30 * SECOND, lambda: sealed(world, 1))
    assert 5 in told  # Sealed


# Crashes


def crashes_and_seals(victim: int, point: int, link: Link) -> bool:
    """Crash a voter once it dealt with so many messages of others, and say whether it came to that. All seal."""
    world, count = world_of(4, seed=point, link=link), 0

    def crash(_source: int, target: int, data: bytes) -> None:
        nonlocal count
        if target == victim and words(data) is not None:
            count += 1
            if count == point:
                world.at(world.now_us, lambda: world.crash(victim))
                world.at(world.now_us + SECOND, lambda: world.restart(victim))

    world.on_deliver = crash
    assert world.run_for(120 * SECOND, lambda: sealed(world, 1) and len(world.alive()) == 4), (victim, point)
    assert "SEAL_DOUBLE_VOTE" not in {note.code for _, _, note in world.notes}
    return count >= point


@pytest.mark.parametrize("victim", [0, 1, 2])
@pytest.mark.parametrize("lossy", [False, True], ids=["sound", "lossy"])
def test_a_voter_that_crashes_after_any_message_goes_on_from_its_record(victim: int, lossy: bool) -> None:
    link = Link(uniform(1, 200), loss=0.1, reorder=True) if lossy else LAN
    point = 1
    while crashes_and_seals(victim, point, link):
        point += 1
    assert point > 8  # proposal, prepares and commits, each from several neighbours


@pytest.mark.parametrize("step", [Step.PREPARE, Step.COMMIT])
def test_a_voter_that_was_heard_and_crashed_does_not_say_another_thing_alone(step: Step) -> None:
    """Right after its vote was heard all are cut off; restarted alone, time would make it vote for nothing."""
    world = world_of(4)
    heard: list[int] = []

    def watch(source: int, target: int, data: bytes) -> None:
        word = words(data)
        if word is None or heard:
            return
        said = open_message(word.raw, electorate_of(world, target).epoch_context())
        number = next(n.number for n in world.nodes if n.who.root.kid == voter_id(world, said.voter))
        if said.step is step and said.digest is not None and source == number:
            heard.append(source)
            world.at(world.now_us, lambda: world.crash(source))
            world.at(world.now_us, lambda: world.partition([[number] for number in range(4)]))

    world.on_deliver = watch
    world.run_for(LEAST + SECOND)
    (victim,) = heard
    world.restart(victim)
    world.run_for(60 * SECOND)
    assert epochs(world) == [0] * 4
    world.heal()
    assert world.run_for(120 * SECOND, lambda: sealed(world, 1))
    assert "SEAL_DOUBLE_VOTE" not in {note.code for _, _, note in world.notes}


def voter_id(world: World, place: int) -> bytes:
    """Return the id of the voter with an index, in the first epoch."""
    return electorate_of(world, 0).steps[0].context.voters[place][0]


def test_all_crash_at_once_and_go_on() -> None:
    for after in range(0, 24, 2):
        world = world_of(4, seed=after, link=Link(uniform(10, 30)))
        world.run_for(LEAST + after * 4 * MS)
        for number in range(4):
            world.crash(number)
        for number in range(4):
            world.restart(number)
        assert world.run_for(120 * SECOND, lambda w=world: sealed(w, 1)), after  # type: ignore[misc]


def test_when_the_proposer_dies_with_its_decision_another_publishes() -> None:
    world = world_of(4)
    proposer = electorate_of(world, 0).epoch_context().proposer(0)
    ident = electorate_of(world, 0).epoch_context().voters[proposer][0]
    number = next(node.number for node in world.nodes if node.who.root.kid == ident)
    dead: list[int] = []

    def watch(source: int, _target: int, data: bytes) -> None:
        """End the proposer once its commit is on its way: it never decides."""
        word = words(data)
        if word is not None and source == number and not dead:
            context = electorate_of(world, (number + 1) % 4).epoch_context()
            if open_message(word.raw, context).step is Step.COMMIT:
                dead.append(world.now_us)
                world.at(world.now_us, lambda: world.crash(number))

    world.on_deliver = watch
    world.run_for(LEAST + (STAGGER_MS - 500) * MS)
    assert dead
    assert epochs(world) == [0] * 3
    assert world.run_for(4 * SECOND, lambda: sealed(world, 1))
    assert certificates(world) == 1


def test_a_damaged_record_makes_a_voter_look_on_until_the_next_epoch() -> None:
    world = world_of(4)
    world.partition([[0, 1], [2, 3]])
    world.run_for(LEAST + 30 * SECOND)
    reference = electorate_of(world, 3).epoch_context().reference
    world.crash(3)
    with world.nodes[3].store.write() as rows:
        record = rows.get("outbox", RECORD + reference)
        assert record is not None
        rows.put("outbox", RECORD + reference, record[:-1])
    world.restart(3)
    assert [note.code for _, number, note in world.notes if number == 3] == ["SEAL_RECORD"]
    assert world.act(3, lambda turn: sealer_of(world, 3).status(turn)).code == "RECORD_DAMAGED"
    world.heal()
    assert world.run_for(60 * SECOND, lambda: sealed(world, 1))  # the other three are enough
    certificate = electorate_of(world, 0).steps[1].certificate
    assert certificate is not None
    voter = electorate_of(world, 0).steps[0].context.index(world.nodes[3].who.root.kid)
    assert voter not in dict(certificate.commits)
    world.act(3, stir)
    assert world.run_for(60 * SECOND, lambda: sealed(world, 2))
    assert world.act(3, lambda turn: sealer_of(world, 3).status(turn)).role == "voter"


def test_a_turn_that_is_undone_undoes_what_the_machine_did_in_it() -> None:
    world = world_of(2)
    world.run_for(LEAST - SECOND)
    node = world.nodes[0]
    world.engine.now_us += 2 * SECOND

    def fail(turn: Turn) -> None:
        sealer_of(world, 0).timer(turn, "seal:look")
        raise LocalError("DISK_FULL", "no space")

    with pytest.raises(LocalError):
        world.act(0, fail)
    with node.store.read() as rows:
        assert rows.get("outbox", RECORD + electorate_of(world, 0).epoch_context().reference) is None
    assert sealer_of(world, 0)._instance is None
    assert world.run_for(30 * SECOND, lambda: sealed(world, 1))


def test_an_open_agreement_that_an_undone_turn_forgot_is_opened_again() -> None:
    world = world_of(2)
    world.partition([[0], [1]])
    world.run_for(LEAST + SECOND)  # open at both; one of them waits for the other's proposal and has said nothing

    def fail(turn: Turn) -> None:
        sealer_of(world, turn_number(world, turn)).timer(turn, "seal:retry")
        raise LocalError("DISK_FULL", "no space")

    for number in range(2):
        with pytest.raises(LocalError):
            world.act(number, fail)
        assert sealer_of(world, number)._instance is None
    world.run_for(5 * SECOND)
    assert all(world.act(n, lambda turn, n=n: sealer_of(world, n).status(turn)).open for n in range(2))  # type: ignore[misc]
    world.heal()
    assert world.run_for(30 * SECOND, lambda: sealed(world, 1))


# Loss, disorder, double voters


@settings(max_examples=EXAMPLES)
@given(
    seed=st.integers(0, 2**32),
    count=st.sampled_from([2, 3, 4, 7]),
    loss=st.sampled_from([0.0, 0.1, 0.3]),
    slow=st.sampled_from([5, 300, 2_000]),
    skew=st.lists(st.integers(-3_000, 3_000), min_size=7, max_size=7),
    faults=st.lists(st.tuples(st.sampled_from(["split", "crash"]), st.integers(0, 6), st.integers(0, 20)), max_size=3),
)
def test_honest_voters_never_certify_two_epochs_and_seal_once_all_is_well(
    seed: int, count: int, loss: float, slow: int, skew: list[int], faults: list[tuple[str, int, int]]
) -> None:
    link = Link(uniform(1, slow), loss=loss, duplication=0.2, reorder=True)
    world = World(
        seed, link=link, policy=POLICY, sealing=sealer, silence_us=5 * SECOND, skew_ms=lambda number: skew[number]
    )
    world.found(count)
    for kind, number, seconds in faults:
        world.run_for(seconds * SECOND // 2 + LEAST // 2)
        if kind == "split":
            world.partition([range(number % count)])
        elif world.nodes[number % count].core is not None:
            world.crash(number % count)
    world.run_for(10 * SECOND)
    world.heal()
    for node in world.nodes:
        if node.core is None:
            world.restart(node.number)
    world.link = LAN
    before = max(epochs(world))
    world.act(0, stir)
    assert world.run_for(300 * SECOND, lambda: sealed(world, before + 1))  # Electorate refuses two seals of one epoch
    assert "SEAL_DOUBLE_VOTE" not in {note.code for _, _, note in world.notes}


def test_a_double_voter_is_found_and_registered_by_those_who_see_both() -> None:
    world = world_of(4)
    world.partition([[0, 1], [2, 3]])
    world.run_for(LEAST + 12 * SECOND)  # round 0: all have prepared nothing, for want of a quorum
    context = electorate_of(world, 0).epoch_context()
    liar = world.nodes[3]
    voter = context.index(liar.who.root.kid)
    assert voter is not None
    for other, digest in ((0, b"a" * 32), (1, b"b" * 32)):
        unsigned = Message(voter, 0, Step.COMMIT, digest, -1, b"")
        raw = sign_message(liar.who.device.sign, context, unsigned).encode(context)
        world.act(other, lambda turn, raw=raw: say(turn, world.nodes[1 - turn_number(world, turn)].kid, raw, context.n))  # type: ignore[misc]
    assert world.run_for(5 * SECOND, lambda: len(world.nodes[0].entries("seal.evidence")) >= 1)
    entry = world.nodes[0].entries("seal.evidence")[0]
    assert entry.thing == ("feed", keys.thumbprint(liar.who.device.public))
    assert entry.payload["epoch"] == context.reference
    read = [open_message(raw, context) for raw in entry.payload["messages"]]
    assert {one.digest for one in read} == {b"a" * 32, b"b" * 32}
    world.heal()
    assert world.run_for(60 * SECOND, lambda: sealed(world, 1))
    world.run_for(60 * SECOND)
    signers = [e.kid for e in world.nodes[0].entries("seal.evidence")]
    assert len(signers) == len(set(signers)) <= 3
    assert liar.kid not in signers


def turn_number(world: World, turn: Turn) -> int:
    """Return the number of the node whose turn it is."""
    return next(node.number for node in world.nodes if node.core is turn.core)


def say(turn: Turn, peer: bytes, raw: bytes, n: int) -> None:
    """Let a node hear a voter's message from a peer."""
    assert turn.core.sealing is not None
    turn.core.sealing.handle(turn, peer, Envelope.open(encode(Word(n, raw))))


def test_a_world_begins_in_epoch_zero() -> None:
    world = world_of(1)
    status = world.act(0, lambda turn: sealer_of(world, 0).status(turn))
    assert (status.n, status.code, status.open) == (0, "PACE", False)
    assert status.next_at == START_US // SECOND + PACE.least_seconds
    world.run_for(LEAST + SECOND)
    status = world.act(0, lambda turn: sealer_of(world, 0).status(turn))
    assert (status.n, status.code, status.waits) == (1, "IDLE", False)
