"""Whole meshes that seal: worked cases, crashes at every point, random worlds with traitors."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.governance import certificate as certificates
from ledger.governance.certificate import Step
from ledger.governance.rounds import Folded, Message, Received, TimerFired, open_message, sign_message
from tests.conftest import PROFILE
from tests.ledger.governance.meshes import key_of, mesh_of, run_in_step, seal_of

EXAMPLES = 5_000 if PROFILE == "nightly" else 300


class Chaos:
    """A schedule drawn at random: loss, duplication, reordering, early time-outs, crashes, and traitors."""

    def __init__(self, rng: random.Random, voters: int) -> None:
        traitors = rng.sample(range(voters), rng.randint(0, (voters - 1) // 3))
        self.rng = rng
        self.mesh = mesh_of(voters, tuple(traitors), rng.randrange(voters))
        self.traitors = traitors
        context = self.mesh.context
        expelled = tuple(sorted(traitors))[: certificates.expulsions_max(voters, 0)]
        self.bad = seal_of(context, 9)
        self.seals = [self.mesh.candidate, seal_of(context, 2, expelled=expelled), seal_of(context, 3)]
        for voter in self.mesh.honest:
            late = [seal.digest() for seal in self.seals if rng.random() < 0.3]
            self.mesh.refused[voter] = {self.bad.digest(), *late}

    def run(self, events: int) -> None:
        """Let things happen."""
        for _ in range(events):
            self.mesh.candidate = self.rng.choice(self.seals)
            voter = self.rng.choice(self.mesh.honest)
            match self.rng.choices(("deliver", "time", "lie", "crash", "learn"), (60, 12, 12, 4, 1))[0]:
                case "deliver":
                    self.deliver()
                case "time" if self.mesh.timers[voter]:
                    self.mesh.give(voter, TimerFired(*self.rng.choice(sorted(self.mesh.timers[voter], key=repr))))
                case "lie" if self.traitors:
                    self.lie(self.rng.choice(self.traitors))
                case "crash" if voter not in self.mesh.decided:
                    self.mesh.crash = (voter, self.mesh.effects[voter] + self.rng.randrange(4))
                case "learn":
                    self.mesh.refused[voter] = {self.bad.digest()}
                    self.mesh.give(voter, Folded())

    def deliver(self) -> None:
        """Deliver, lose or repeat one message, of any age."""
        underway = self.mesh.underway
        if underway:
            place = min(self.rng.randrange(len(underway)), self.rng.randrange(len(underway)))
            to, message = underway[place] if self.rng.random() < 0.1 else underway.pop(place)
            if self.rng.random() > 0.1:
                self.mesh.give(to, Received(message))

    def lie(self, voter: int) -> None:
        """Sign anything, and show it to some: one message, or to each another."""
        context = self.mesh.context
        reached = max(machine.round for machine in self.mesh.machines.values())
        round_ = self.rng.randint(max(0, reached - 1), reached + 1)
        step = self.rng.choice(list(Step)[1:] if context.proposer(round_) != voter else list(Step))
        for to in self.rng.sample(self.mesh.honest, self.rng.randint(1, len(self.mesh.honest))):
            seal = self.rng.choice([*self.seals, self.bad])
            message = Message(voter, round_, step, seal.digest(), -1, b"")
            if step is Step.PROPOSE:
                message = replace(message, seal=seal)
            elif self.rng.random() < 0.2:
                message = replace(message, digest=None)
            elif step is Step.PREPARE and self.rng.random() < 0.5:
                message = replace(message, valid_round=self.rng.randint(-1, round_ - 1))
            message = sign_message(key_of(voter).sign, context, message)
            self.mesh.give(to, Received(open_message(message.encode(context), context)))


@settings(max_examples=EXAMPLES)
@given(st.integers(0, 2**32), st.integers(1, 7))
def test_random_worlds_agree_and_then_decide(seed: int, voters: int) -> None:
    rng = random.Random(seed)
    chaos = Chaos(rng, voters)
    chaos.run(rng.choice((20, 100, 400)))
    mesh = chaos.mesh
    mesh.check_honest()
    assert all(one.seal != chaos.bad for one in mesh.decided.values())
    # Then all see the same; but the first seal has grown old, and the traitors are silent.
    mesh.crash = None
    mesh.stale.add(chaos.seals[0].digest())
    for voter in mesh.honest:
        mesh.refused[voter] = {chaos.bad.digest()}
        mesh.give(voter, Folded())
    machines = [mesh.machines[voter] for voter in mesh.honest]
    rounds_max = max(machine.round for machine in machines) + 3 * voters
    assert run_in_step(machines, [], [chaos.seals[1]] * len(machines), rounds_max)
    assert machines[0].decided is not None
    assert machines[0].decided.seal in chaos.seals


@pytest.mark.parametrize("voters", [1, 2, 3, 4, 7])
def test_a_mesh_seals_in_its_first_round(voters: int) -> None:
    mesh = mesh_of(voters)
    assert mesh.flow(0)
    assert {one.round for one in mesh.decided.values()} == {0}
    assert all(mesh.machines[voter].may_leave for voter in mesh.honest)


def test_two_vote_the_third_out_and_seal_without_it() -> None:
    mesh = mesh_of(3, traitors=(0,))  # which would have proposed first
    mesh.candidate = seal_of(mesh.context, 1, expelled=(0,))
    for voter in mesh.honest:
        mesh.give(voter, Folded((), (0,)))
    assert mesh.flow(2)
    assert [place for place, _ in mesh.decided[1].commits] == [1, 2]


def test_six_with_two_expelled_seal_by_the_four() -> None:
    mesh = mesh_of(6, traitors=(0, 1))
    mesh.candidate = seal_of(mesh.context, 1, expelled=(0, 1))
    assert not mesh_of(6, traitors=(0, 1)).machines[2].handle(TimerFired(0, Step.COMMIT), 0)
    for voter in mesh.honest:
        mesh.give(voter, Folded((), (0, 1)))
    assert mesh.flow(3)
    assert [place for place, _ in mesh.decided[2].commits] == [2, 3, 4, 5]


def test_split_two_and_two_the_next_round_decides() -> None:
    mesh = mesh_of(4)
    for voter in (2, 3):
        mesh.refused[voter].add(mesh.candidate.digest())  # they lack an entry
    first = mesh.candidate
    mesh.underway, waiting = [], list(mesh.underway)
    for to, message in waiting:
        mesh.give(to, Received(message))
    mesh.give(2, TimerFired(0, Step.PROPOSE))
    mesh.give(3, TimerFired(0, Step.PROPOSE))
    assert [mesh.sent[voter][-1].digest for voter in range(4)] == [first.digest(), first.digest(), None, None]
    for voter in (2, 3):
        mesh.refused[voter].clear()
        mesh.give(voter, Folded())
    assert mesh.flow(1)
    assert {one.round for one in mesh.decided.values()} == {1}


@pytest.mark.parametrize("refusing", [(), (1, 2)], ids=["at once", "in the next round"])
def test_a_crash_at_every_point(refusing: tuple[int, ...]) -> None:
    """Each voter crashes before each of its effects in turn, and starts from what was on its disk."""
    points = 0
    for voter in range(4):
        for effect in range(100):
            mesh = mesh_of(4, crash=(voter, effect))
            for other in refusing:
                mesh.refused[other].add(mesh.candidate.digest())
            for other in refusing:
                mesh.give(other, TimerFired(0, Step.PROPOSE))
                mesh.refused[other].clear()
            assert mesh.flow(8)
            mesh.check_honest()
            if mesh.crash == (voter, effect):
                break  # it has no more effects
            points += 1
    assert points >= 4 * 6


def test_the_lock_outlives_a_crash() -> None:
    mesh = mesh_of(4)
    mesh.underway, waiting = [], list(mesh.underway)
    while waiting:  # proposal and prepares arrive, no commit does
        to, message = waiting.pop(0)
        mesh.give(to, Received(message))
        waiting += [one for one in mesh.underway if one[1].step is not Step.COMMIT]
        mesh.underway.clear()
    assert [mesh.sent[3][-1].step, mesh.sent[3][-1].digest] == [Step.COMMIT, mesh.candidate.digest()]
    mesh.start(3)
    other = seal_of(mesh.context, 2)
    unsigned = Message(1, 1, Step.PROPOSE, other.digest(), -1, b"", other)
    mesh.give(3, Received(sign_message(key_of(1).sign, mesh.context, unsigned)))
    mesh.give(3, Received(sign_message(key_of(0).sign, mesh.context, Message(0, 1, Step.PREPARE, None, -1, b""))))
    assert mesh.sent[3][-1].says == (1, Step.PREPARE, None, -1)
    mesh.check_honest()
