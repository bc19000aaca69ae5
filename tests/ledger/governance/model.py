"""An explicit-state model checker of sealing, over the real machine: every interleaving of a small world.

How it works
    Honest voters are `Sealing` machines; traitors may say anything well formed at any time, to some and not to
    others. A message may reach some and never others; time-outs fire at any moment; a voter may stop anywhere. A
    global state is what each honest voter must remember (its core) and the set of messages honest voters sent.

Reductions, and why none hides a behaviour
    * Receiving is invisible to others, and every message stays available. So receipts can be put off until just
      before the visible step (send, polka noted, next round, decision) that needs them, and be forgotten after:
      a voter that has forgotten can be given the same again, so it can do whatever one that remembers can. All
      orders and choices of receipts that lead to one visible step are searched (`_batches`). Receipts that no rule
      uses together are searched apart: proposals with prepares; commits.
    * Phases are closed: proposals of round r are phase 3r, prepares 3r + 1, commits and notes of a polka 3r + 2. A
      step of phase k needs messages of phases below k alone. So any run, its steps sorted by phase, is a run with
      the same end, and only sorted runs are searched. The one exception, catching up with a later round on the
      word of others, is granted for nothing at any time: the model does more than the machine ever could.
    * With `World.exact` off, time-outs too are granted for nothing, once a step; then messages for nil, which serve
      nothing else, are left out, and so are voters that stop and voters that decide: both are matched by voters
      whose votes for nil nobody hears, and what could be decided is read from the commits. Again the model can only
      do more. Exact worlds serve to look for deadlocks, the others for two seals in more rounds.
    * Rounds end at a bound: a voter that enters the first round beyond it stops there.
    * Who prepared is left out of a polka: `open_message` has checked that a quorum did.

What it checks
    In no state can two seals be certified, counting every traitor for both. From every last state (no voter can
    move within the bound) the honest voters decide alike once messages flow, the traitors being silent; as every
    state leads to a last one, there is no deadlock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ledger.governance.certificate import EpochContext, Seal, Step
from ledger.governance.rounds import Candidate, Event, Message, Received, Start, TimerFired
from ledger.governance.seal import Sealing
from tests.ledger.governance.meshes import (
    NO_SIGNATURE,
    Core,
    Forgetful,
    clone,
    confirms,
    core_of,
    messages_of,
    run_in_step,
    unsigned,
)

Pool = frozenset[int]
State = tuple[tuple[int, ...], Pool]
"""For each honest voter the number of its core; the numbers of the messages sent."""

EVERYBODY = -1  # as the voter of a message: a quorum said it


@dataclass(frozen=True)
class World:
    """A small world. `candidates`: honest voter -> the seals it may propose. `rounds`: how many are explored."""

    context: EpochContext
    traitors: frozenset[int]
    seals: tuple[Seal, ...]
    candidates: Mapping[int, tuple[Seal, ...]]
    gone: tuple[int, ...] = ()  # voters that the honest ones know to be expelled
    refuses: Mapping[int, frozenset[bytes]] = field(default_factory=dict)  # voter -> digests it cannot confirm
    rounds: int = 2
    exact: bool = False

    @property
    def honest(self) -> tuple[int, ...]:
        """The indexes of the machines."""
        return tuple(sorted(set(range(self.context.size)) - self.traitors))


@dataclass
class Result:
    """What an exploration found. `two_seals`: states in which two seals can be certified."""

    states: int = 0
    layers: list[int] = field(default_factory=list)
    last: int = 0
    two_seals: int = 0
    stuck: int = 0
    certifiable: set[bytes] = field(default_factory=set)


class Explorer:
    """Search of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.result = Result()
        self._machines: list[Sealing] = []  # one for each core, by number
        self._cores: dict[tuple[int, Core], int] = {}
        self._messages: list[Message] = []
        self._numbers: dict[tuple[int, Any], int] = {}
        self._named = [(seal, seal.digest()) for seal in world.seals]
        self._memo: dict[tuple[int, Pool], list[tuple[int, int, Pool]]] = {}

    def run(self, states_max: int = 10**7) -> Result:
        """Explore every state and check each. Fails if there are more than `states_max`: never a partial answer."""
        layer = {self._first()}
        for phase in range(3 * self.world.rounds + 1):
            for place in range(len(self.world.honest)):
                layer = self._spread(layer, phase, place)
                assert len(layer) <= states_max, "the exploration is not complete"
            if not self.world.exact and phase % 3 == 0:
                layer = {(cores, self._gist(pool, phase // 3)) for cores, pool in layer}
            self.result.layers.append(len(layer))
        self.result.states = len(layer)
        ends: set[State] = set()
        for state in layer:
            self._check(state)
            if not self.world.exact:
                ends.add((state[0], frozenset()))  # what was said in past rounds could only help
            elif not any(self._steps(place, state) for place in range(len(self.world.honest))):
                ends.add(state)
        self.result.last = len(ends)
        self.result.stuck = sum(not self.flows(state) for state in ends)
        return self.result

    def _spread(self, layer: set[State], phase: int, place: int) -> set[State]:
        """Let one voter do nothing, or any sequence of its steps of one phase, in each state."""
        stack = list(layer)
        seen = set(layer)
        while stack:
            cores, pool = stack.pop()
            for of, core, sent in self._steps(place, (cores, pool)):
                after = ((*cores[:place], core, *cores[place + 1 :]), pool | sent)
                if of == phase and after not in seen:
                    seen.add(after)
                    stack.append(after)
        if self.world.exact:
            return seen
        return {state for state in seen if self._due(self._machines[state[0][place]]) > phase}

    @staticmethod
    def _due(machine: Sealing) -> int:
        """Return the phase in which a voter moves on at the latest, where time-outs are granted."""
        return 3 * machine.round + 1 + machine._step.value

    def _gist(self, pool: Pool, round_: int) -> Pool:
        """Keep, of the rounds before, commits and which polkas there were: all that any rule or check still uses."""
        kept = {one for one in pool if self._messages[one].round >= round_ or self._messages[one].step is Step.COMMIT}
        for seal, digest in self._named:
            for of in range(round_):
                for rests in range(-1, of):
                    says = (of, Step.PREPARE, digest, rests)
                    if self._support(pool, seal, says):
                        kept.add(self._number(Message(EVERYBODY, *says, NO_SIGNATURE)))
        return frozenset(kept)

    def _first(self) -> State:
        cores = []
        sent: Pool = frozenset()
        for voter in self.world.honest:
            own = self.world.context.voters[voter][0]
            refused = self.world.refuses.get(voter, frozenset())
            machine = Forgetful(unsigned, confirms(refused))
            sent |= self._number_all(messages_of(machine.handle(Start(self.world.context, own), 0)))
            machine._expelled = self.world.gone
            cores.append(self._remember(voter, machine))
        return tuple(cores), sent

    def _remember(self, voter: int, machine: Sealing) -> int:
        """Forget receipts, keep one machine for each core, and return the core's number."""
        key = (voter, core_of(machine))
        if key not in self._cores:
            kept = clone(machine)
            kept._kept = defaultdict(dict)
            kept._newest = {}
            kept._timers = {Step.PROPOSE} if self.world.exact else set(Step)
            for message in kept._sent.values():
                kept._store(message)
            self._cores[key] = len(self._machines)
            self._machines.append(kept)
        return self._cores[key]

    def _number(self, message: Message) -> int:
        key = (message.voter, message.says)
        if key not in self._numbers:
            self._numbers[key] = len(self._messages)
            self._messages.append(message)
        return self._numbers[key]

    def _number_all(self, messages: Iterable[Message]) -> Pool:
        counts = [one for one in messages if one.round < self.world.rounds]
        return frozenset(self._number(one) for one in counts if self.world.exact or one.digest is not None)

    # What may be said and received

    def _of_traitors(self, round_: int, step: Step, proposals: list[Message]) -> Iterator[Message]:
        """Yield what traitors can say in a step, as far as any rule could tell it apart."""
        rests = {(one.digest, one.valid_round) for one in proposals}
        if step is Step.COMMIT:
            rests = {(digest, -1) for _, digest in self._named}
        for voter in sorted(self.world.traitors):
            for digest, valid_round in sorted({*rests, (None, -1)} if self.world.exact else rests, key=repr):
                yield Message(voter, round_, step, digest, valid_round, NO_SIGNATURE)

    def _proposals_of_traitors(self, round_: int, pool: Pool) -> Iterator[Message]:
        context = self.world.context
        proposer = context.proposer(round_)
        if proposer not in self.world.traitors:
            return
        for seal, digest in self._named:
            fresh = Message(proposer, round_, Step.PROPOSE, digest, -1, NO_SIGNATURE, seal)
            yield fresh
            for of in range(round_):
                if any(self._support(pool, seal, (of, Step.PREPARE, digest, rests)) for rests in range(-1, of)):
                    yield replace(fresh, valid_round=of)

    def _support(self, pool: Pool, seal: Seal, says: tuple[Any, ...]) -> bool:
        """Say whether honest voters and all traitors make a quorum that says this."""
        size = self.world.context.size
        if self._numbers.get((EVERYBODY, says)) in pool:
            return True
        voters = {voter for voter in self.world.honest if self._numbers.get((voter, says)) in pool}
        return len((voters | self.world.traitors) & seal.remaining(size)) >= seal.quorum(size)

    # Steps

    def _steps(self, place: int, state: State) -> list[tuple[int, int, Pool]]:
        """Return (phase, core, messages) for each visible step of one voter."""
        cores, pool = state
        machine, voter = self._machines[cores[place]], self.world.honest[place]
        round_ = machine.round
        if machine.decided is not None or round_ >= self.world.rounds:
            return []
        heard = [self._messages[one] for one in sorted(pool) if self._messages[one].round == round_]
        heard += self._proposals_of_traitors(round_, pool)
        families = self._families(machine, [one for one in heard if one.voter != voter])
        found = {step: None for family in families for step in self._searched(voter, cores[place], family)}
        if self.world.exact:
            found.update(dict.fromkeys(self._catches_up(voter, cores[place])))
        return list(found)

    def _families(self, machine: Sealing, heard: list[Message]) -> Iterator[list[Message]]:
        """Yield sets of messages of this round, such that no rule uses messages of two sets together."""
        of = {step: [one for one in heard if one.step is step] for step in Step}
        own = [one for one in machine.held() if one.step is Step.PROPOSE]
        prepares = of[Step.PREPARE] + list(self._of_traitors(machine.round, Step.PREPARE, of[Step.PROPOSE] + own))
        if machine._step is Step.PROPOSE:
            yield of[Step.PROPOSE]
        elif self.world.exact:
            yield of[Step.PROPOSE] + prepares
        else:
            yield []  # the time-outs
            # Without the counts of "whatever they said", a proposal and its own prepares alone are used together.
            for one in of[Step.PROPOSE] + own:
                rests = (one.digest, one.valid_round)
                same = [prepare for prepare in prepares if (prepare.digest, prepare.valid_round) == rests]
                yield same if one in own else [one, *same]
        if self.world.exact:
            yield of[Step.COMMIT] + list(self._of_traitors(machine.round, Step.COMMIT, []))

    def _searched(self, voter: int, core: int, family: list[Message]) -> list[tuple[int, int, Pool]]:
        key = (core, frozenset(map(self._number, family)))
        if key not in self._memo:
            self._memo[key] = list(dict.fromkeys(self._batches(voter, self._machines[core], family)))
        return self._memo[key]

    def _catches_up(self, voter: int, core: int) -> Iterator[tuple[int, int, Pool]]:
        """Yield the steps into later rounds, granted as if all others had been heard there."""
        machine = self._machines[core]
        for later in range(machine.round + 1, self.world.rounds):
            there = clone(machine)
            sent: set[Message] = set()
            for other in range(self.world.context.size):
                if other != voter:
                    nil = Message(other, later, Step.COMMIT, None, -1, NO_SIGNATURE)
                    sent |= messages_of(there.handle(Received(nil), 0))
            yield 3 * later, self._remember(voter, there), self._number_all(sent)

    def _batches(self, voter: int, machine: Sealing, family: list[Message]) -> Iterator[tuple[int, int, Pool]]:
        """Yield every visible step that receiving some of `family`, in any order, or a time-out, leads to."""
        before = core_of(machine)
        seen: set[frozenset[int]] = {frozenset()}
        stack: list[tuple[frozenset[int], Sealing]] = [(frozenset(), machine)]
        said = [(one.voter, one.step) for one in family]
        while stack:
            received, here = stack.pop()
            events: list[tuple[int | None, Event]] = [(None, TimerFired(here.round, step)) for step in here._timers]
            if here._asked:
                events += [(None, Candidate(here.round, seal)) for seal in self.world.candidates.get(voter, ())]
            full = {said[nth] for nth in received}
            events += [(nth, Received(one)) for nth, one in enumerate(family) if said[nth] not in full]
            for number, event in events:
                there = clone(here)
                sent = messages_of(there.handle(event, 0))
                if core_of(there) != before:
                    yield self._phase(here, there), self._remember(voter, there), self._number_all(sent)
                elif number is not None and received | {number} not in seen:
                    seen.add(received | {number})
                    stack.append((received | {number}, there))

    @staticmethod
    def _phase(before: Sealing, after: Sealing) -> int:
        """Return the phase of a visible step: see the module."""
        if after.decided is not None:
            return 3 * before.round + 3
        if after.round != before.round:
            return 3 * after.round
        if Step.PROPOSE in after._sent and Step.PROPOSE not in before._sent:
            return 3 * after.round  # its own prepare goes with it
        return 3 * after.round + after._step.value

    # Checks

    def _check(self, state: State) -> None:
        """Count the seals that can be certified: by commits in the pool, or decided by a machine."""
        cores, pool = state
        decided = [self._machines[core].decided for core in cores]
        certifiable = {one.seal.digest() for one in decided if one is not None}
        for seal, digest in self._named:
            says = [(round_, Step.COMMIT, digest, -1) for round_ in range(self.world.rounds)]
            if any(self._support(pool, seal, one) for one in says):
                certifiable.add(digest)
        self.result.certifiable |= certifiable
        self.result.two_seals += len(certifiable) > 1

    def flows(self, state: State, rounds_more: int = 8) -> bool:
        """Say whether all honest voters decide one seal once messages flow, the traitors keeping silent."""
        cores, pool = state
        machines = [clone(self._machines[core]) for core in cores]
        candidates = [self.world.candidates.get(voter, self.world.seals)[0] for voter in self.world.honest]
        messages = [self._messages[one] for one in sorted(pool)]
        return run_in_step(machines, messages, candidates, self.world.rounds + rounds_more)
