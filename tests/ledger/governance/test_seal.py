"""Sealing: every interleaving of small worlds; what one machine does with hostile, late and double messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.errors import LocalError
from ledger.governance import certificate as certificates
from ledger.governance.certificate import Certificate, Seal, Step
from ledger.governance.record import Lock
from ledger.governance.rounds import (
    Broadcast,
    Candidate,
    Evidence,
    Folded,
    Message,
    Persist,
    Polka,
    Received,
    SetTimer,
    Start,
    TimerFired,
    Timing,
)
from ledger.governance.seal import Sealing
from tests.conftest import PROFILE
from tests.ledger.governance.meshes import NO_SIGNATURE, confirms, context_of, seal_of, unsigned, vote
from tests.ledger.governance.model import Explorer, World

NIGHTLY = PROFILE == "nightly"
nightly = pytest.mark.skipif(not NIGHTLY, reason="a larger world: MAILLE_PROFILE=nightly")


# Every interleaving


def world(
    voters: int,
    traitors: tuple[int, ...] = (),
    expelled: tuple[tuple[int, ...], tuple[int, ...]] = ((), ()),
    gone: tuple[int, ...] = (),
    rounds: int = 2,
    exact: bool = False,
) -> World:
    """Return a world in which voter 0 would seal one thing and all others another."""
    context = context_of(voters)
    first, second = (seal_of(context, name, expelled=who) for name, who in enumerate(expelled, 1))
    candidates = {0: (first,), **dict.fromkeys(range(1, voters), (second,))}
    return World(context, frozenset(traitors), (first, second), candidates, gone, {}, rounds, exact)


WORLDS = [
    (world(1, exact=True), 3),
    (world(2, exact=True), 744),
    (world(2, rounds=4), 4_327),
    (world(3), 397),
    (world(3, (2,), ((2,), (2,)), gone=(2,)), 73),  # two voted the third out
    (world(4, (3,)), 469),  # the traitor proposes in neither round (as voter 2 would), in the first, in the second
    (world(4, (0,)), 937),
    (world(4, (1,)), 976),
    (world(4, (3,), rounds=1, exact=True), 2_071),
    (world(4, (3,), ((3,), ())), 469),  # one seal expels the traitor, the other does not
    (world(4, (0,), ((0,), (0,)), gone=(0,)), 865),
    (world(6, (4, 5), ((4, 5), (4,)), gone=(4, 5)), 2_845),  # two expelled: all of the remaining four
    *(
        pytest.param(of, states, marks=nightly)
        for of, states in [
            (world(3, exact=True), 12_686),
            (world(4, (0,), rounds=1, exact=True), 9_335),
            (world(4, (3,), rounds=3), 7_144),
        ]
    ),
]


@pytest.mark.parametrize(("of", "states"), WORLDS, ids=range(len(WORLDS)))
def test_no_two_seals_and_no_deadlock(of: World, states: int) -> None:
    result = Explorer(of).run()
    assert (result.two_seals, result.stuck) == (0, 0)
    assert (result.states, result.certifiable <= {seal.digest() for seal in of.seals}) == (states, True)
    assert result.certifiable
    assert result.last > 0


def test_the_model_finds_two_seals_where_there_are() -> None:
    assert Explorer(world(4, (0, 3))).run().two_seals  # two traitors of four


def test_the_model_finds_the_want_of_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lock, "allows", lambda *_: True)
    assert Explorer(world(4, (3,))).run().two_seals


def test_the_model_finds_deadlocks() -> None:
    """Three that confirm one seal and one that confirms another, where four are needed: nothing is ever sealed."""
    apart = world(5, (4,))
    first, second = (seal.digest() for seal in apart.seals)
    refuses = {0: frozenset([second]), **{voter: frozenset([first]) for voter in (1, 2, 3)}}
    result = Explorer(replace(apart, refuses=refuses, rounds=1)).run()
    assert (result.two_seals, result.stuck) == (0, result.last)


def test_a_lock_on_a_seal_that_counts_the_expelled_can_hold_the_instance() -> None:
    """The limit: with more traitors than a third, expelling them comes too late once some honest voter is locked.

    Two of six prepare a seal, so that it gets its polka, and fall silent. It may have been decided: no lock may yield.
    """
    late = Explorer(world(6, (4, 5), ((), (4, 5)), gone=(4, 5), rounds=1)).run()
    assert late.two_seals == 0
    assert 0 < late.stuck < late.last


def test_q_alone_lets_six_honest_voters_seal_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """{4,5} and {0,2} were voted out at once; three voters know of the one, three of the other; no one lies."""
    honest = world(6, (), ((4, 5), (0, 2)))
    first, second = (seal.digest() for seal in honest.seals)
    refuses = {**dict.fromkeys((0, 2, 3), frozenset([second])), **dict.fromkeys((1, 4, 5), frozenset([first]))}
    split = replace(honest, refuses=refuses)
    assert Explorer(split).run(100).two_seals == 0
    monkeypatch.setattr(certificates, "quorum", lambda n, left=0, expelled=0: 2 * (n - left - expelled) // 3 + 1)
    assert Explorer(split).run(1_000).two_seals


def test_one_traitor_among_five_can_use_two_rival_expulsions_of_honest_voters() -> None:
    """The bound that `least_double_voters` gives, 1, is reached; with no traitor there are never two seals."""
    rivals = world(5, (2,), ((4,), (0,)))
    assert certificates.least_double_voters(5, *rivals.seals) == 1
    first, second = (seal.digest() for seal in rivals.seals)
    refuses = {**dict.fromkeys((0, 3), frozenset([second])), **dict.fromkeys((1, 4), frozenset([first]))}
    split = replace(rivals, refuses=refuses)
    assert Explorer(split).run().two_seals
    assert Explorer(replace(split, traitors=frozenset())).run().two_seals == 0


def started(voters: int = 4, own: int = 3) -> Sealing:
    machine = Sealing(unsigned, confirms())
    context = context_of(voters)
    machine.handle(Start(context, context.voters[own][0]), 0)
    return machine


def test_one_voter_cannot_fill_the_store_nor_move_the_round() -> None:
    machine = started()
    for round_ in range(2_000):
        for step in (Step.PREPARE, Step.COMMIT):
            for digest in (None, round_.to_bytes(32, "big")):
                machine.handle(Received(vote(1, round_, step, digest)), 0)
    assert (machine.round, len(machine.held())) == (0, 2 * 3 + 2)  # rounds 0 to 2, and its newest
    for round_ in range(1_900, 1_000, -1):
        machine.handle(Received(vote(1, round_, Step.COMMIT, None)), 0)
    assert len(machine.held()) == 2 * 3 + 2
    effects = machine.handle(Received(vote(2, 1_500, Step.PREPARE, None)), 0)
    assert machine.round == 1_500  # two voters of four: one of them is honest
    assert SetTimer(1_500, Step.PROPOSE, Timing().after(1_500, Step.PROPOSE)) in effects
    assert Timing().after(10**9, Step.COMMIT) == 600_000


def test_those_who_are_gone_do_not_move_this_voter() -> None:
    machine = started(6, 5)
    machine.handle(Folded((0,), (1,)), 0)  # four remain; three of them are enough for time to count, one of two to lie
    for voter in (0, 1, 2):
        machine.handle(Received(vote(voter, 9, Step.PREPARE, None)), 0)
    assert machine.round == 0
    effects = [machine.handle(Received(vote(voter, 0, Step.COMMIT, None)), 0) for voter in (0, 1, 2, 3, 4)]
    assert effects == [[], [], [], [], [SetTimer(0, Step.COMMIT, Timing().after(0, Step.COMMIT))]]


def test_double_voters_are_reported_once() -> None:
    machine = started()
    one, two = b"1" * 32, b"2" * 32
    assert machine.handle(Received(vote(1, 0, Step.PREPARE, one)), 0) == []
    assert machine.handle(Received(vote(1, 0, Step.PREPARE, one)), 0) == []
    found = machine.handle(Received(vote(1, 0, Step.PREPARE, two)), 0)
    assert found == [Evidence(vote(1, 0, Step.PREPARE, one), vote(1, 0, Step.PREPARE, two))]
    assert machine.handle(Received(vote(1, 0, Step.PREPARE, None)), 0) == []
    machine.handle(Received(vote(2, 0, Step.COMMIT, one)), 0)
    found = machine.handle(Received(vote(2, 2, Step.PREPARE, two, -1)), 0)
    assert found == [Evidence(vote(2, 0, Step.COMMIT, one), vote(2, 2, Step.PREPARE, two))]
    assert {(m.voter, m.round, m.digest) for m in machine.held()} == {(1, 0, one), (2, 0, one), (2, 2, two)}


def test_late_and_foreign_events_have_no_effect() -> None:
    machine = started()
    for round_, step in ((0, Step.PREPARE), (0, Step.COMMIT), (1, Step.PROPOSE), (7, Step.COMMIT)):
        assert machine.handle(TimerFired(round_, step), 0) == []
    assert machine.handle(Candidate(0, seal_of(context_of(4), 1)), 0) == []  # another voter's turn
    with pytest.raises(LocalError):
        machine.handle(Candidate(0, seal_of(context_of(4), 0)), 0)
    with pytest.raises(LocalError):
        machine.handle(Start(context_of(4), None), 0)
    with pytest.raises(LocalError):
        Sealing(unsigned, confirms()).handle(Folded(), 0)
    with pytest.raises(LocalError):
        Sealing(unsigned, confirms()).handle(Start(context_of(4), b"nobody"), 0)


def test_an_onlooker_signs_nothing_and_sees_the_decision() -> None:
    def never(_message: bytes) -> bytes:
        raise AssertionError

    context = context_of(4)
    seal = seal_of(context, 1)
    machine = Sealing(never, confirms())
    effects = machine.handle(Start(context, None), 0)
    proposal = Message(0, 0, Step.PROPOSE, seal.digest(), -1, NO_SIGNATURE, seal)
    steps = [proposal, *(vote(voter, 0, step, seal.digest()) for step in list(Step)[1:] for voter in range(3))]
    for message in steps:
        effects += machine.handle(Received(message), 0)
    assert not any(isinstance(effect, Persist | Broadcast) for effect in effects)
    assert machine.decided == Certificate(seal, 0, tuple((voter, NO_SIGNATURE) for voter in range(3)))
    assert machine.may_leave
    assert machine.handle(Received(vote(3, 0, Step.COMMIT, None)), 0) == []


def test_a_seal_with_a_polka_is_not_asked_whether_it_is_fresh() -> None:
    """Else some would be locked on a seal which the others refuse for its age, or for what it lacks, for ever."""
    asked = []
    context = context_of(4)
    seal = seal_of(context, 1)

    def check(_seal: Seal, _now_ms: int, fresh: bool) -> bool:
        asked.append(fresh)
        return not fresh

    machine = Sealing(unsigned, check)
    machine.handle(Start(context, context.voters[3][0]), 0)
    proposal = Message(0, 0, Step.PROPOSE, seal.digest(), -1, NO_SIGNATURE, seal)
    assert machine.handle(Received(proposal), 0) == []
    assert asked == [True]
    refused = machine.handle(TimerFired(0, Step.PROPOSE), 0)
    assert [one.message.digest for one in refused if isinstance(one, Broadcast)] == [None]
    before = machine.may_leave
    for voter in range(2):
        machine.handle(Received(vote(voter, 0, Step.PREPARE, seal.digest())), 0)
    effects = machine.handle(Received(vote(2, 0, Step.PREPARE, seal.digest())), 0)
    assert [one.message.digest for one in effects if isinstance(one, Broadcast)] == [seal.digest()]
    assert (before, machine.may_leave) == (True, False)
    for voter in range(3):
        machine.handle(Received(vote(voter, 0, Step.COMMIT, None)), 0)
    machine.handle(TimerFired(0, Step.COMMIT), 0)
    assert machine.round == 1
    again = Message(1, 1, Step.PROPOSE, seal.digest(), 0, NO_SIGNATURE, seal, Polka(0, -1, ()))
    prepared = machine.handle(Received(again), 0)
    assert [one.message.says for one in prepared if isinstance(one, Broadcast)] == [(1, Step.PREPARE, seal.digest(), 0)]
    assert not any(asked[1:])
