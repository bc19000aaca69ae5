"""Agreement on the next epoch: one instance of Tendermint consensus, as a machine without input or output.

How it works
    Buchman, Kwon, Milosevic, arXiv:1807.04938, Algorithm 1 (line numbers L.. below are its). Rounds; in each a
    proposer, prepares, commits. A quorum of prepares (a polka) locks a voter on the seal, and the lock yields
    only to a polka of a later round. A quorum of commits decides. Time moves a voter to the next step or round
    and does nothing else. `Sealing.handle` takes an event and returns effects, to be carried out in their order:
    a `Persist` must be on disk before the next effect. A voter that is given its last record when it starts again
    is where it was, and never signs against itself.

Where it differs from the paper, and why that is safe
    * The quorum is that of the seal, and only voters that remain in it count (certificate.py has the proof that
      any two quorums share an honest voter). For nil it is the quorum of all voters: it only saves time.
    * A proposal carries its polka, so L28 needs no votes of old rounds. Prepares count together only if they
      name one valid round; a prepare against the signer's lock is then visible.
    * "Enough voters spoke" (L34, L47, L55) moves timers and rounds only; voters that this node's own fold knows
      to be gone are left out of that count, or the rest would wait for them.
    * A proposal this node cannot confirm is not refused at once: entries may be under way (`Folded`). The
      proposal's time-out refuses it.
    * `check(seal, now_ms, fresh)`: clock and "omits an expulsion that I hold complete" are asked of a fresh seal
      only. A seal with a polka has passed them before a quorum; asked again, they could hold some voters locked
      on a seal that all the others refuse for ever.
    * One message a voter, round and step counts: the first. A polka that needs a double voter's other vote
      reaches everybody in the next proposal.

What it does not do
    It reads no clock, draws nothing, verifies no signature (`rounds.open_message` does) and finds no peers: the
    driver offers `held()` to peers until the instance is over, and publishes the certificate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from ledger.errors import LocalError
from ledger.governance.certificate import Certificate, EpochContext, Seal, Step, quorum
from ledger.governance.record import Lock, Record, Valid
from ledger.governance.rounds import (
    Broadcast,
    Candidate,
    Certified,
    Decided,
    Effect,
    Event,
    Evidence,
    Folded,
    Message,
    NeedCandidate,
    Persist,
    Polka,
    Received,
    SetTimer,
    Start,
    TimerFired,
    Timing,
    convicts,
    sign_message,
)

ROUNDS_BEHIND: Final = 2  # whose commits may still decide
ROUNDS_AHEAD: Final = 2  # of which all is kept; beyond, only what a voter says in its newest round

Check = Callable[[Seal, int, bool], bool]
"""(seal, now in ms, fresh) -> whether this node's own fold yields this seal; see the module on `fresh`."""


class Sealing:
    """One voter's (or onlooker's) part in one instance. Not shared between threads.

    `sign`: makes 64 bytes with the governing device's key. After `Decided` it does nothing more.
    """

    def __init__(self, sign: Callable[[bytes], bytes], check: Check, timing: Timing | None = None) -> None:
        self._sign = sign
        self._check = check
        self._timing = timing or Timing()
        self._context: EpochContext | None = None
        self._own: int | None = None
        self._round = 0
        self._step = Step.PROPOSE
        self._locked: Lock | None = None
        self._valid: Valid | None = None
        self._sent: dict[Step, Message] = {}  # own messages of this round
        self._voted = False  # for a seal, in any round
        self._kept: defaultdict[tuple[int, Step], dict[int, Message]] = defaultdict(dict)
        self._newest: dict[int, int] = {}  # voter -> highest round it spoke in
        self._timers: set[Step] = set()  # set in this round
        self._asked = False  # for a candidate, in this round
        self._left: tuple[int, ...] = ()
        self._expelled: tuple[int, ...] = ()
        self._accused: set[int] = set()
        self._decided: Certificate | None = None
        self._effects: list[Effect] = []

    @property
    def round(self) -> int:
        """The round this voter is in."""
        return self._round

    @property
    def step(self) -> Step:
        """The step of the round that this voter is in."""
        return self._step

    @property
    def valid(self) -> Seal | None:
        """The seal of the newest polka seen: it may be proposed again, and what it rests on is still needed."""
        return self._valid.seal if self._valid is not None else None

    @property
    def decided(self) -> Certificate | None:
        """The certificate, once there is one."""
        return self._decided

    @property
    def may_leave(self) -> bool:
        """Whether a `member.leave` signed now keeps the promise that two seals need a double voter.

        A voter that voted for a seal waits for the end of the instance: its leave would be counted by another seal.
        """
        return self._decided is not None or not self._voted

    def held(self) -> list[Message]:
        """Return what peers may lack: at most 3 messages a voter and round, of a bounded number of rounds."""
        return [message for kept in self._kept.values() for message in kept.values()]

    def keeps(self, message: Message) -> bool:
        """Say whether `held` has a message that says the same."""
        kept = self._kept.get((message.round, message.step), {}).get(message.voter)
        return kept is not None and kept.says == message.says

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """Take one event and return what is to be done, in order. Bad or late events have no effect.

        `now_ms`: unix time in milliseconds, for `check` alone. Raises LocalError SEAL_RECORD (the record is
        damaged: do not vote in this instance), SEAL_STATE (not started, or started twice), SEAL_CANDIDATE.
        """
        if isinstance(event, Start) != (self._context is None):
            raise LocalError("SEAL_STATE", "an instance starts once, with Start, before anything else")
        if self._decided is not None:
            return []
        match event:
            case Start():
                self._start(event)
            case Received(message):
                self._keep(message)
            case TimerFired(round_, step):
                self._time_out(round_, step)
            case Candidate(round_, seal):
                self._propose_candidate(round_, seal)
            case Folded(left, expelled):
                self._left, self._expelled = left, expelled
            case Certified(certificate):
                self._decide(certificate)
        while self._advance(now_ms):
            pass
        effects, self._effects = self._effects, []
        return effects

    def inherit(self, context: EpochContext) -> None:
        """Go on with the same epoch and further devices that may sign for its voters (`EpochContext.heirs`).

        Raises LocalError SEAL_STATE for another epoch, or before `Start`.
        """
        if self._context is None or replace(context, heirs=self._context.heirs) != self._context:
            raise LocalError("SEAL_STATE", "an instance goes on with its own epoch alone")
        self._context = context

    @property
    def _epoch(self) -> EpochContext:
        assert self._context is not None  # handle() refuses every event before Start
        return self._context

    # Starting, and starting again

    def _start(self, event: Start) -> None:
        own = None if event.own is None else event.context.index(event.own)
        if event.own is not None and own is None:
            raise LocalError("SEAL_STATE", "only a voter of the epoch, or an onlooker without key, can start")
        record = None
        if event.record is not None and own is not None:
            record = Record.decode(event.record, event.context, own)
        self._context, self._own = event.context, own
        if record is None:
            self._enter(0)
            return
        self._round, self._step, self._voted = record.round, record.step, record.voted
        self._locked, self._valid = record.locked, record.valid
        for message in record.sent:
            self._sent[message.step] = message
            self._store(message)
            self._effects.append(Broadcast(message))
        self._set_timer(Step.PROPOSE)

    def _persist(self) -> None:
        if self._own is not None:
            sent = tuple(self._sent.values())
            record = Record(self._round, self._step, self._voted, self._locked, self._valid, sent)
            self._effects.append(Persist(record.encode(self._epoch, self._own)))

    # Messages

    def _keep(self, message: Message) -> None:
        """Take a message into the store, if it is the first of its voter, round and step and not too far off."""
        self._look_for_evidence(message)
        if message.round < self._round - ROUNDS_BEHIND or (
            message.round < self._round and message.step is not Step.COMMIT
        ):
            return
        newest = self._newest.get(message.voter, -1)
        far = self._round + ROUNDS_AHEAD
        if message.round > far and message.round != newest:
            if message.round < newest:
                return
            if newest > far:
                self._drop(lambda round_, _: round_ == newest, message.voter)
        self._store(message)

    def _store(self, message: Message) -> None:
        self._kept[message.round, message.step].setdefault(message.voter, message)
        self._newest[message.voter] = max(message.round, self._newest.get(message.voter, -1))

    def _drop(self, when: Callable[[int, Step], bool], voter: int | None = None) -> None:
        """Forget kept messages: those of one voter, or of all."""
        for key in [key for key in self._kept if when(*key)]:
            if voter is not None:
                self._kept[key].pop(voter, None)
            if voter is None or not self._kept[key]:
                del self._kept[key]

    def _look_for_evidence(self, message: Message) -> None:
        if message.voter in self._accused:
            return
        for kept in self._kept.values():
            other = kept.get(message.voter)
            if other is not None and convicts(other, message):
                self._accused.add(message.voter)
                self._effects.append(Evidence(other, message))
                return

    def _send(
        self,
        step: Step,
        digest: bytes | None,
        valid_round: int = -1,
        seal: Seal | None = None,
        polka: Polka | None = None,
    ) -> None:
        """Sign, persist, keep and send one message of this round; an onlooker does none of it."""
        self._step = step
        if self._own is None:
            return
        unsigned = Message(self._own, self._round, step, digest, valid_round, b"", seal, polka)
        message = sign_message(self._sign, self._epoch, unsigned)
        self._sent[step] = message
        self._voted = self._voted or digest is not None
        self._store(message)
        self._persist()
        self._effects.append(Broadcast(message))

    # Rounds and time

    def _enter(self, round_: int) -> None:
        """Begin a round (L11-L21)."""
        self._round, self._step = round_, Step.PROPOSE
        self._sent, self._timers, self._asked = {}, set(), False
        self._drop(lambda of, step: of < round_ - ROUNDS_BEHIND or (of < round_ and step is not Step.COMMIT))
        self._set_timer(Step.PROPOSE)

    def _set_timer(self, step: Step) -> None:
        if step not in self._timers:
            self._timers.add(step)
            self._effects.append(SetTimer(self._round, step, self._timing.after(self._round, step)))

    def _time_out(self, round_: int, step: Step) -> None:
        """Let time move this voter on (L57-L67); a timer that was not set, or of another round, does nothing."""
        if round_ != self._round or step not in self._timers:
            return
        if step is Step.COMMIT:
            self._enter(round_ + 1)
        elif step is Step.PROPOSE and self._step is Step.PROPOSE:
            self._send(Step.PREPARE, None)
        elif step is Step.PREPARE and self._step is Step.PREPARE:
            self._send(Step.COMMIT, None)

    def _enough_spoke(self, step: Step) -> bool:
        """Say whether a quorum of the voters that are still there sent this step, whatever they said."""
        voters = self._here(self._kept.get((self._round, step), {}))
        return len(voters) >= quorum(self._epoch.size, len(self._left), len(self._expelled))

    def _here(self, voters: Iterable[int]) -> set[int]:
        return set(voters).difference(self._left, self._expelled)

    def _catch_up(self) -> bool:
        """Enter the highest round that some honest voter has reached (L55)."""
        present = len(self._here(range(self._epoch.size)))
        reached = sorted((self._newest[voter] for voter in self._here(self._newest)), reverse=True)
        traitors = max(0, present - 1) // 3
        if len(reached) <= traitors or reached[traitors] <= self._round:
            return False
        self._enter(reached[traitors])
        return True

    # The rules

    def _advance(self, now_ms: int) -> bool:
        """Apply the first rule that has something to do; say whether there was one."""
        if self._decided is not None:
            return False
        if self._decide_by_commits() or self._catch_up():
            return True
        if self._enough_spoke(Step.COMMIT):
            self._set_timer(Step.COMMIT)  # L47
        if self._step is Step.PROPOSE:
            return self._propose() or self._prepare(now_ms)
        if self._lock(now_ms) or self._refuse():
            return True
        if self._step is Step.PREPARE and self._enough_spoke(Step.PREPARE):
            self._set_timer(Step.PREPARE)  # L34
        return False

    def _proposal(self) -> Message | None:
        return self._kept.get((self._round, Step.PROPOSE), {}).get(self._epoch.proposer(self._round))

    def _propose(self) -> bool:
        """Propose what is valid, or ask for a candidate (L14-L19)."""
        if self._own != self._epoch.proposer(self._round) or self._proposal() is not None:
            return False
        if self._valid is None:
            if not self._asked:
                self._asked = True
                self._effects.append(NeedCandidate(self._round))
            return False
        self._send(Step.PROPOSE, self._valid.digest, self._valid.polka.round, self._valid.seal, self._valid.polka)
        return True

    def _propose_candidate(self, round_: int, seal: Seal) -> None:
        if fault := seal.fault(self._epoch):
            raise LocalError("SEAL_CANDIDATE", f"the candidate cannot follow this epoch: {fault}")
        waiting = self._step is Step.PROPOSE and self._asked and self._proposal() is None
        if round_ == self._round and waiting:
            self._send(Step.PROPOSE, seal.digest(), seal=seal)

    def _prepare(self, now_ms: int) -> bool:
        """Prepare the proposal of this round, or nil where the lock forbids it (L22-L33)."""
        proposal = self._proposal()
        if proposal is None or proposal.seal is None:
            return False
        if self._locked is not None and not self._locked.allows(proposal.digest, proposal.valid_round):
            self._send(Step.PREPARE, None)
            return True
        fresh = proposal.valid_round == -1 and self._locked is None
        if not self._check(proposal.seal, now_ms, fresh):
            return False
        self._send(Step.PREPARE, proposal.digest, proposal.valid_round)
        return True

    def _lock(self, now_ms: int) -> bool:
        """Lock on a polka of this round and commit; later in the round, take note of it (L36-L43)."""
        proposal = self._proposal()
        if proposal is None or proposal.seal is None or proposal.digest is None:
            return False
        if self._valid is not None and self._valid.polka.round == self._round:
            return False
        prepares = self._agreeing(proposal.seal, Step.PREPARE, self._round, proposal.digest, proposal.valid_round)
        if len(prepares) < proposal.seal.quorum(self._epoch.size) or not self._check(proposal.seal, now_ms, False):
            return False
        polka = Polka(self._round, proposal.valid_round, tuple((one.voter, one.signature) for one in prepares))
        self._valid = Valid(proposal.digest, proposal.seal, polka)
        if self._step is Step.PREPARE:
            self._locked = Lock.on(proposal.digest, self._round, self._locked)
            self._send(Step.COMMIT, proposal.digest)
        else:
            self._persist()
        return True

    def _refuse(self) -> bool:
        """Commit nil as soon as a quorum of all voters prepared nil (L44)."""
        kept = self._kept.get((self._round, Step.PREPARE), {})
        nil = sum(message.digest is None for message in kept.values())
        if self._step is not Step.PREPARE or nil < quorum(self._epoch.size):
            return False
        self._send(Step.COMMIT, None)
        return True

    def _decide_by_commits(self) -> bool:
        """Decide on a quorum of commits for a seal that is known, in any round (L49)."""
        seals = {
            one.digest: one.seal
            for (_, step), kept in self._kept.items()
            if step is Step.PROPOSE
            for one in kept.values()
        }
        if self._valid is not None:
            seals[self._valid.digest] = self._valid.seal
        for (round_, step), kept in self._kept.items():
            if step is not Step.COMMIT:
                continue
            for digest in {message.digest for message in kept.values()}:
                seal = seals.get(digest)
                if digest is None or seal is None:
                    continue
                commits = self._agreeing(seal, Step.COMMIT, round_, digest, -1)
                if len(commits) >= seal.quorum(self._epoch.size):
                    self._decide(Certificate(seal, round_, tuple((one.voter, one.signature) for one in commits)))
                    return True
        return False

    def _agreeing(self, seal: Seal, step: Step, round_: int, digest: bytes, valid_round: int) -> list[Message]:
        """Return the messages of voters that remain in `seal` and say exactly this, by voter."""
        remaining = seal.remaining(self._epoch.size)
        kept = self._kept.get((round_, step), {})
        said = (round_, step, digest, valid_round)
        return [kept[voter] for voter in sorted(remaining & set(kept)) if kept[voter].says == said]

    def _decide(self, certificate: Certificate) -> None:
        self._decided = certificate
        self._effects.append(Decided(certificate))
