"""One epoch's agreement at this node: the machine of ledger.governance.seal inside turns.

How it works
    `give` hands an event to the machine and carries out what it asks: its record becomes a row of this very turn, so
    it is durable before a message leaves; messages go to the talk, timers to the driver. A proposal is confirmed by
    asking our own ledger for the seal of the same frontier, time and silent voters: both must be the same bytes. What
    the ledger answers to that never changes, so each answer is asked for once; the clock, and expulsions that it
    leaves out, matter to a fresh proposal alone (see seal.Sealing on `fresh`).

What it does not do
    It does not choose when to begin and publishes nothing: node.sealing does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gossip.peers import Recent
from gossip.seals import Word
from ledger.errors import LocalError
from ledger.governance.certificate import Certificate, EpochContext, Seal, Step
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
    Received,
    SetTimer,
    Start,
    Timing,
)
from ledger.governance.seal import Sealing
from ledger.governance.sealing import frontier_digest
from node.seal_lists import Lists
from node.seal_talk import Talk
from node.sealable import CLOCK_SECONDS_MAX, Pace, Sealable

if TYPE_CHECKING:
    from node.core import Turn

RECORD: Final = b"seal/record/"
"""Rows (table `outbox`): RECORD ‖ reference of the epoch -> this voter's record."""
ANSWERS_MAX: Final = 256
"""Seals that are remembered as confirmed or refused."""


@dataclass(frozen=True, slots=True)
class Obstacles:
    """Why a proposal could not be confirmed when it was looked at last."""

    missing_list: bytes | None = None
    missing_entries: bool = False
    differs: bool = False

    @property
    def may_pass(self) -> bool:
        """Whether what is under way may remove it."""
        return self.missing_list is not None or self.missing_entries


class Instance:
    """The agreement on the successor of one epoch. `own`: our index in it as a voter, None to look on."""

    def __init__(self, ledger: Sealable, context: EpochContext, turn: Turn, pace: Pace, timing: Timing) -> None:
        self.context, self.pace = context, pace
        self.lists = Lists(context, ledger.sealed_frontier(), turn.rows)
        self.talk = Talk(context)
        self.machine: Sealing | None = None
        self.own: int | None = None
        self.damaged = False
        self.evidence: list[Evidence] = []  # found, for node.sealing to register
        self.obstacles = Obstacles()
        self.publish_at: int | None = None  # when we register what was decided, unix ms
        self.ungrounded_ms: int | None = None  # since when what made this epoch lies where no seal can cover it
        self._ledger, self._timing = ledger, timing
        self._turn = turn
        self._answers: Recent[bytes, bool] = Recent(ANSWERS_MAX)  # seal's digest -> whether our ledger yields it
        self._waiting: dict[tuple[bytes, bool], Obstacles] = {}  # (seal's digest, fresh) -> why not, until `retry`
        self._wanted: int | None = None  # the round that wants a candidate of ours
        self._from: dict[bytes, bytes] = {}  # frontier digest -> the peer that proposed it to us

    @property
    def decided(self) -> Certificate | None:
        """The certificate, once there is one."""
        return self.machine.decided if self.machine is not None else None

    def held(self) -> list[Message]:
        """Return the messages kept; none before it is open."""
        return self.machine.held() if self.machine is not None else []

    @property
    def round(self) -> int:
        """The round we are in; 0 before it is open."""
        return self.machine.round if self.machine is not None else 0

    # Opening

    def inherit(self, context: EpochContext) -> None:
        """Go on with further devices that may sign for their voters; what they or others said stands."""
        self.context = context
        self.talk.context = context
        if self.machine is not None:
            self.machine.inherit(context)

    def open(self, turn: Turn, own: int | None) -> None:
        """Begin, or begin again in another role; `own` is None for a voter that has left, or has another device.

        A voter whose record is damaged looks on: it might contradict itself.
        """
        known = self.held()
        self.own = None if self.damaged else own
        record = turn.rows.get("outbox", RECORD + self.context.reference) if self.own is not None else None
        try:
            self._start(turn, record)
        except LocalError as error:
            if error.code != "SEAL_RECORD":
                raise
            self.damaged, self.own = True, None
            turn.note("SEAL_RECORD", reason=error.message)
            self._start(turn, None)
        for message in known:
            self.give(turn, Received(message))

    def _start(self, turn: Turn, record: bytes | None) -> None:
        self._wanted = None
        voter = self.context.voters[self.own][0] if self.own is not None else None
        self.machine = Sealing(turn.core.device.sign, self._check, self._timing)
        self.give(turn, Start(self.context, voter, record))
        self.give(turn, Folded(*self._ledger.gone()))

    # Events and effects

    def give(self, turn: Turn, event: Event) -> None:
        """Hand an event to the machine, and do what it asks for."""
        assert self.machine is not None  # opened before
        self._turn = turn
        events: list[Event] = [event]
        while events:
            self.obstacles = Obstacles()
            for effect in self.machine.handle(events.pop(0), turn.now_ms):
                candidate = self._carry_out(turn, effect)
                if candidate is not None:
                    events.append(candidate)

    def _carry_out(self, turn: Turn, effect: Effect) -> Candidate | None:
        match effect:
            case Persist(record):
                turn.rows.put("outbox", RECORD + self.context.reference, record)
            case Broadcast(message):
                raw = message.encode(self.context)
                self.talk.hear(message, raw)
                self.talk.tell(turn, Word(self.context.n, raw))
            case SetTimer(round_, step, after_ms):
                turn.timer(f"seal:{self.context.n}:{round_}:{step.value}", turn.now_ms + after_ms)
            case NeedCandidate(round_):
                self._wanted = round_
                return self._candidate(turn)
            case Evidence():
                self.evidence.append(effect)
            case Decided():
                pass  # `decided` says it
        return None

    def retry(self, turn: Turn) -> None:
        """Look again at what could not be confirmed or proposed: the ledger moved, or a list came."""
        if self.machine is None or self.decided is not None:
            return
        self._waiting.clear()
        self.give(turn, Folded(*self._ledger.gone()))
        if self._wanted == self.round:
            candidate = self._candidate(turn)
            if candidate is not None:
                self.give(turn, candidate)
        self.seek(turn)

    def certify(self, turn: Turn, certificate: Certificate) -> None:
        """End with a certificate that was verified."""
        self.give(turn, Certified(certificate))

    # Lists

    def proposed(self, message: Message, peer: bytes) -> None:
        """Note who has told us of a proposal: it is asked first for the list."""
        if message.seal is not None:
            self._from.setdefault(message.seal.epoch.frontier_digest, peer)

    def needed(self) -> set[bytes]:
        """Return the digests of the lists that may still be asked for: by proposals kept, a lock, or the decision."""
        seals = [one.seal for one in self.held() if one.round <= self.round + 1]
        if self.machine is not None:
            seals.append(self.machine.valid)
        if self.decided is not None:
            seals.append(self.decided.seal)
        return {seal.epoch.frontier_digest for seal in seals if seal is not None}

    def seek(self, turn: Turn) -> None:
        """Ask for lists that are missing, and forget those that nobody needs."""
        needed = self.needed()
        self.lists.keep(turn, needed)
        self._from = {digest: peer for digest, peer in self._from.items() if digest in needed}
        wanted = self.obstacles.missing_list
        if wanted is None and self.decided is not None:
            wanted = self.decided.seal.epoch.frontier_digest
        if wanted is None or self.lists.frontier(wanted) is not None:
            return
        peers = turn.core.member_peers
        first = self._from.get(wanted)
        self.lists.seek(turn, wanted, sorted(peers, key=lambda peer: (peer != first, peer)))

    # Seals

    def is_due(self, turn: Turn, now: int) -> bool:
        """Say whether we would seal now (unix seconds): something waits, and the last seal is old enough."""
        as_of, pace, ledger = self.context.as_of, self.pace, self._ledger
        lapse = ledger.lapses_at()
        if now >= as_of + pace.least_seconds and ((lapse is not None and lapse <= now) or ledger.governance_waits()):
            return True
        return now >= as_of + pace.most_seconds and ledger.anything_waits(turn.rows)

    def _candidate(self, turn: Turn) -> Candidate | None:
        """Return what we propose in this round, if there is anything."""
        as_of = max(turn.now, self.context.as_of + max(1, self.pace.least_seconds))
        if self._wanted is None or as_of > turn.now + CLOCK_SECONDS_MAX or not self.is_due(turn, as_of):
            return None
        frontier = self.lists.fitting(self._ledger.heads_now(), self._wanted)
        silent = self._ledger.silent_voters(turn.rows, as_of)
        seal = self._ledger.next_seal(turn.rows, frontier, as_of, silent)
        if seal is None or seal.fault(self.context) is not None:
            turn.note("SEAL_NOT_POSSIBLE", round=self._wanted)
            return None
        self.lists.add(turn, frontier)
        self._answers.set(seal.digest(), True)
        round_, self._wanted = self._wanted, None
        return Candidate(round_, seal)

    def _check(self, seal: Seal, now_ms: int, fresh: bool) -> bool:
        """Say whether our own ledger yields this seal (ledger.governance.seal.Check)."""
        key = (seal.digest(), fresh)
        if key not in self._waiting:
            obstacles = self._look_at(seal, now_ms, fresh)
            if obstacles is None:
                return True
            self._waiting[key] = obstacles
        self.obstacles = self._waiting[key]
        return False

    def _look_at(self, seal: Seal, now_ms: int, fresh: bool) -> Obstacles | None:
        """Return what keeps us from confirming a seal, or None."""
        turn, epoch, differs = self._turn, seal.epoch, Obstacles(differs=True)
        if epoch.as_of < self.context.as_of + self.pace.least_seconds:
            return differs
        if fresh and abs(epoch.as_of - now_ms // 1_000) > CLOCK_SECONDS_MAX:
            return differs
        if fresh and (self._ledger.omits_expulsion(turn.rows, seal) or not self._are_silent(turn, seal)):
            return differs
        known = self._answers.get(seal.digest())
        if known is None:
            return self._compare(turn, seal)
        return None if known else differs

    def _are_silent(self, turn: Turn, seal: Seal) -> bool:
        return not seal.silent or set(seal.silent) <= set(self._ledger.silent_voters(turn.rows, seal.epoch.as_of))

    def _compare(self, turn: Turn, seal: Seal) -> Obstacles | None:
        """Ask our ledger for the seal; what it says is remembered, unless something is missing to ask it."""
        digest = seal.epoch.frontier_digest
        frontier = self.lists.frontier(digest)
        if frontier is None:
            ours = self.lists.fitting(self._ledger.heads_now(), self.round)
            if frontier_digest(ours.values()) == digest:
                self.lists.add(turn, ours)
                frontier = ours
        if frontier is None:
            return Obstacles(missing_list=digest)
        found = self._ledger.next_seal(turn.rows, frontier, seal.epoch.as_of, seal.silent)
        if found is None:
            return Obstacles(missing_entries=True)
        same = found.encode() == seal.encode()
        self._answers.set(seal.digest(), same)
        return None if same else Obstacles(differs=True)

    # What came of it

    def spoken(self) -> Sequence[int]:
        """Return the voters heard in this round, by index."""
        return sorted({one.voter for one in self.held() if one.round == self.round})

    @property
    def step(self) -> Step:
        """The step of the round we are in."""
        return self.machine.step if self.machine is not None else Step.PROPOSE
