"""Small electorates for the tests of sealing: voters, seals, machines, whole meshes, messages that flow in step."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ledger.governance.certificate import Certificate, EpochContext, Seal, Step, verify_certificate
from ledger.governance.epoch import Epoch
from ledger.governance.rounds import (
    Broadcast,
    Candidate,
    Certified,
    Decided,
    Effect,
    Event,
    Evidence,
    Message,
    NeedCandidate,
    Persist,
    Received,
    SetTimer,
    Start,
    TimerFired,
    Timing,
    convicts,
    open_message,
)
from ledger.governance.seal import Check, Sealing
from ledger.keys import SigningKey

Core = tuple[Any, ...]

AS_OF = 1_000
HASH = bytes(32)
NO_SIGNATURE = bytes(64)


@lru_cache
def key_of(voter: int) -> SigningKey:
    """Return the governing device's key of the voter with this index."""
    return SigningKey.from_seed(voter.to_bytes(32, "big"))


@lru_cache
def context_of(voters: int, n: int = 0, reference: bytes = b"r" * 32) -> EpochContext:
    """Return an epoch with so many voters; a voter's id tells its index."""
    ids = {(voter + 1).to_bytes(32, "big"): key_of(voter).public for voter in range(voters)}
    return EpochContext.of(b"m" * 32, reference, n, AS_OF, ids)


def seal_of(
    context: EpochContext, name: int, left: tuple[int, ...] = (), expelled: tuple[int, ...] = (), proposals: int = 0
) -> Seal:
    """Return a seal that may follow; seals of different names differ."""
    epoch = Epoch(
        n=context.n + 1,
        prev=context.reference,
        as_of=AS_OF + name,
        members_digest=HASH,
        voters_digest=HASH,
        frontier_digest=HASH,
        cuts_digest=HASH,
        state_root=HASH,
        policy_digest=HASH,
        charter=None,
        thresholds=(1,),
        evaluator_version=1,
        open_proposals=tuple(number.to_bytes(32, "big") for number in range(proposals)),
    )
    return Seal(epoch, left, expelled)


def confirms(refused: frozenset[bytes] = frozenset()) -> Check:
    """Return a check that confirms every seal but those with these digests."""
    return lambda seal, _now_ms, _fresh: seal.digest() not in refused


def unsigned(_message: bytes) -> bytes:
    """Stand in for a signature: the model hands messages over without bytes."""
    return NO_SIGNATURE


def clone(machine: Sealing) -> Sealing:
    """Return a copy that shares nothing which changes."""
    other = copy.copy(machine)
    for name in ("_sent", "_newest"):
        setattr(other, name, dict(getattr(machine, name)))
    other._timers, other._accused, other._effects = set(machine._timers), set(machine._accused), []
    other._kept = defaultdict(dict, {key: dict(kept) for key, kept in machine._kept.items()})
    return other


class Forgetful(Sealing):
    """The machine without its record, which the model would never read."""

    def _persist(self) -> None:
        pass


def core_of(machine: Sealing) -> Core:
    """Return what a voter must remember, in a form that compares."""
    if machine.decided is not None:
        return ("decided", machine.decided.seal.digest())
    valid = None if machine._valid is None else (machine._valid.digest, machine._valid.polka.round)
    sent = tuple(message.says for message in machine._sent.values())
    return (machine.round, machine._step.value, machine._locked, valid, sent, machine._asked)


def plain(message: Message) -> Message:
    """Strip a polka of its signers."""
    return message if message.polka is None else replace(message, polka=None)


def messages_of(effects: list[Effect]) -> set[Message]:
    """Return what was sent."""
    return {plain(effect.message) for effect in effects if isinstance(effect, Broadcast)}


def run_in_step(
    machines: Sequence[Sealing], pool: Sequence[Message], candidates: Sequence[Seal], rounds_max: int
) -> bool:
    """Let messages flow: all reach all before any time-out. Say whether all decide alike."""
    known = dict.fromkeys(pool)
    for machine in machines:
        known.update(dict.fromkeys(plain(one) for one in machine.held()))
    asked = {place: one.round for place, one in enumerate(machines) if one.decided is None and one._asked}
    given = [(-1, 0)] * len(machines)  # (round, how many of `known`) at the last delivery to each
    while True:
        decided = [machine.decided for machine in machines if machine.decided is not None]
        if len(decided) == len(machines):
            return len({one.seal for one in decided}) == 1
        if max(machine.round for machine in machines) > rounds_max:
            return False
        before = [core_of(machine) for machine in machines]
        count = len(known)
        for place, machine in enumerate(machines):
            start = given[place][1] if given[place][0] == machine.round else 0
            given[place] = (machine.round, len(known))
            events: list[Event] = [Received(one) for one in list(known)[start:]]
            events += [Certified(one) for one in decided[:1]]
            if place in asked:
                events.append(Candidate(asked.pop(place), candidates[place]))
            for event in events:
                _carry_out(place, machine.handle(event, 0), known, asked)
        if len(known) == count and not asked and before == [core_of(machine) for machine in machines]:
            _time_passes(machines, known, asked)
            if before == [core_of(machine) for machine in machines]:
                return False


def _carry_out(place: int, effects: list[Effect], known: dict[Message, None], asked: dict[int, int]) -> None:
    known.update(dict.fromkeys(messages_of(effects)))
    asked.update((place, one.round) for one in effects if isinstance(one, NeedCandidate))


def _time_passes(machines: Sequence[Sealing], known: dict[Message, None], asked: dict[int, int]) -> None:
    """Fire the time-outs of all voters in the lowest round: they are the shortest and began first."""
    lowest = min(machine.round for machine in machines)
    for place, machine in enumerate(machines):
        if machine.round == lowest:
            step = machine._step if Step.COMMIT not in machine._timers else Step.COMMIT
            _carry_out(place, machine.handle(TimerFired(lowest, step), 0), known, asked)


def vote(voter: int, round_: int, step: Step, digest: bytes | None, valid_round: int = -1) -> Message:
    """Return an unsigned vote."""
    return Message(voter, round_, step, digest, valid_round, NO_SIGNATURE)


@dataclass
class Mesh:
    """Honest voters with disks and clocks, a network that may do anything, and what is known of all that was sent."""

    context: EpochContext
    honest: tuple[int, ...]
    candidate: Seal
    refused: dict[int, set[bytes]]
    stale: set[bytes] = field(default_factory=set)  # seals that nobody takes fresh any more
    crash: tuple[int, int] | None = None  # (voter, before which of its effects)
    machines: dict[int, Sealing] = field(default_factory=dict)
    disks: dict[int, bytes] = field(default_factory=dict)
    sent: defaultdict[int, list[Message]] = field(default_factory=lambda: defaultdict(list))
    underway: list[tuple[int, Message]] = field(default_factory=list)
    timers: defaultdict[int, set[tuple[int, Step]]] = field(default_factory=lambda: defaultdict(set))
    decided: dict[int, Certificate] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    effects: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def start(self, voter: int) -> None:
        """Start a voter, or start it again from its disk."""

        def check(seal: Seal, _now_ms: int, fresh: bool) -> bool:
            return seal.digest() not in self.refused[voter] | (self.stale if fresh else set())

        self.machines[voter] = Sealing(key_of(voter).sign, check)
        self.timers[voter].clear()
        own = self.context.voters[voter][0]
        self.give(voter, Start(self.context, own, self.disks.get(voter)))

    def give(self, voter: int, event: Event) -> None:
        """Hand over an event and carry out its effects in order, unless the voter crashes before one of them."""
        machine = self.machines[voter]
        for effect in machine.handle(event, 0):
            if self.crash == (voter, self.effects[voter]):
                self.crash = None
                self.start(voter)
                return
            self.effects[voter] += 1
            self.carry_out(voter, effect)
            if self.machines[voter] is not machine:
                return  # it crashed on the way

    def carry_out(self, voter: int, effect: Effect) -> None:
        """Do what a driver does."""
        match effect:
            case Persist(record):
                self.disks[voter] = record
            case Broadcast(message):
                assert open_message(message.encode(self.context), self.context) == message
                self.sent[voter].append(message)
                self.underway += [(other, message) for other in self.honest if other != voter]
            case SetTimer(round_, step, after_ms):
                assert after_ms >= Timing().after(0, step)
                self.timers[voter].add((round_, step))
            case NeedCandidate(round_):
                self.give(voter, Candidate(round_, self.candidate))
            case Decided(certificate):
                verify_certificate(certificate, self.context)
                self.decided[voter] = certificate
            case Evidence():
                self.evidence.append(effect)

    def flow(self, rounds_max: int) -> bool:
        """Deliver all that is under way, in order, and let time pass only in between; until all have decided."""
        while len(self.decided) < len(self.honest):
            while self.underway:
                to, message = self.underway.pop(0)
                self.give(to, Received(message))
            lowest = min(machine.round for machine in self.machines.values())
            if lowest > rounds_max:
                return False
            for voter, machine in self.machines.items():
                known = [one for other in self.machines.values() for one in other.held()]
                if machine.round == lowest and machine.decided is None:
                    for message in known:
                        self.give(voter, Received(message))
                    step = max((step for of, step in self.timers[voter] if of == lowest), key=lambda one: one.value)
                    self.give(voter, TimerFired(lowest, step))
        return len({one.seal for one in self.decided.values()}) == 1

    def check_honest(self) -> None:
        """No honest voter ever contradicted itself, whatever it was sent and however often it started again."""
        assert len({one.seal for one in self.decided.values()}) <= 1
        for voter in self.honest:
            said: dict[tuple[int, Step], Message] = {}
            for message in self.sent[voter]:
                assert said.setdefault((message.round, message.step), message).says == message.says
            for first in said.values():
                assert not any(convicts(first, second) for second in said.values())
        for found in self.evidence:
            assert found.first.voter not in self.honest
            assert convicts(found.first, found.second)


def mesh_of(voters: int, traitors: tuple[int, ...] = (), n: int = 0, crash: tuple[int, int] | None = None) -> Mesh:
    """Return a mesh in which every honest voter has started."""
    context = context_of(voters, n)
    honest = tuple(voter for voter in range(voters) if voter not in traitors)
    mesh = Mesh(context, honest, seal_of(context, 1), {voter: set() for voter in honest}, crash=crash)
    for voter in honest:
        mesh.start(voter)
    return mesh
