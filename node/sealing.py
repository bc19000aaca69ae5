"""Nodes seal epochs by themselves: when to begin, what peers say, and how what was decided enters the ledger.

How it works
    A `Sealer` follows the newest epoch that the ledger holds, one `Instance` at a time. It begins when something
    waits and the last seal is old enough (`Pace`), or when a sound message of another voter arrives; no operator acts.
    Every member takes part in carrying messages and looks on; voters also sign. What was lost is found again: while
    an agreement is open, every OFFER_MS each neighbour is told what we hold and sends what we lack.
    What is decided is registered by one voter, or by the others after it (seal_entries); then the ledger holds the
    next epoch, and the instance ends.
    Whatever may state entries runs in a turn of its own (the timer `seal:look`), so that a candidate covers what an
    earlier turn signed.

What it does not do
    It folds nothing (`Sealable` does) and decides nothing about rounds (ledger.governance.seal). Where no quorum is
    to be had nothing is sealed, and all else goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from gossip.events import Disconnect
from gossip.messages import Envelope
from gossip.seals import Ask, Have, Part, Sealed, Word, decode, encode
from ledger.errors import RemoteError
from ledger.governance.certificate import Certificate, EpochContext, Step, verify_certificate
from ledger.governance.rounds import Received, TimerFired, Timing, open_message
from ledger.rows import prefix_stop
from node import seal_entries
from node.seal_instance import RECORD, Instance
from node.seal_lists import ASK_MS
from node.seal_lists import PREFIX as LIST
from node.seal_status import status
from node.seal_talk import tells_more
from node.sealable import CLOCK_SECONDS_MAX, Pace, Sealable, SealingStatus

if TYPE_CHECKING:
    from node.core import Turn

OFFER_MS: Final = 3_000
"""How often neighbours are told what we hold while an agreement is open."""
RETRY_MS: Final = 250
"""How soon a proposal whose entries or list were missing is looked at again."""
MOVED_MS: Final = 100
"""How long governance entries gather before an open agreement looks at them: each look may be a fold."""
CERTIFICATE_WORK: Final = 64
"""What a peer pays for a certificate, in signatures to verify."""
TIMER: Final = "seal:"
"""Timers of this module begin so; those of a round are "seal:<n>:<round>:<step>"."""

_LOOK: Final = "seal:look"
_OFFER: Final = "seal:offer"
_RETRY: Final = "seal:retry"
_PUBLISH: Final = "seal:publish"
_RESTATE: Final = "seal:restate"


class Sealer:
    """Sealing of one mesh (node.core.SealFamily). `pace`: where it is not the policy's."""

    def __init__(self, ledger: Sealable, *, pace: Pace | None = None, timing: Timing | None = None) -> None:
        self._ledger, self._pace, self._timing = ledger, pace, timing or Timing()
        self._instance: Instance | None = None
        self._touched = False  # in the turn that is open: a rolled-back turn must not leave the machine ahead
        self._look_ms = 0  # when it was last planned to look at what moved, unix ms

    # What the core calls

    def begin(self) -> None:
        """A turn opens."""
        self._touched = False

    def rolled_back(self) -> None:
        """A turn was undone, or a node starts: forget what only memory knew."""
        if self._touched:
            self._instance = None
        self._touched, self._look_ms = False, 0

    def start(self, turn: Turn) -> None:
        """Gossip begins, or begins anew: go on with an agreement that a former life had joined."""
        self._instance = None
        self._enter(turn)
        self.moved(turn)

    def moved(self, turn: Turn) -> None:
        """Membership may have moved: look at it in a turn of its own, soon."""
        if not turn.now_ms < self._look_ms <= turn.now_ms + MOVED_MS:
            is_open = self._instance is not None and self._instance.machine is not None
            self._look_ms = turn.now_ms + (MOVED_MS if is_open else 0)
            turn.timer(_LOOK, self._look_ms)

    def peer_up(self, turn: Turn, peer: bytes) -> None:
        """Tell a member that came up what we hold, if an agreement is open."""
        instance = self._instance
        if instance is not None and instance.machine is not None:
            instance.talk.say_have(turn, instance.held(), instance.round, [peer], anew=True)

    def peer_down(self, peer: bytes) -> None:
        """Forget what a peer's channel cost."""
        if self._instance is not None:
            self._instance.talk.down(peer)

    def timer(self, turn: Turn, name: str) -> None:
        """Take a timer whose name begins with TIMER."""
        instance = self._enter(turn)
        if name == _LOOK:
            self._look(turn, instance)
        elif name == _OFFER:
            self._offer(turn, instance)
        elif name == _RETRY:
            instance.retry(turn)
        elif name == _PUBLISH:
            self._publish(turn, instance)
        elif name == _RESTATE:
            self._restate(turn, instance, self._role(turn, instance.context))
        else:
            n, round_, step = map(int, name.removeprefix(TIMER).split(":"))
            if n == instance.context.n and instance.machine is not None:
                instance.give(turn, TimerFired(round_, Step(step)))
        self._settle(turn, instance)

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Take a message of family 4 from a member."""
        instance = self._enter(turn)
        try:
            told = decode(envelope)
        except RemoteError as error:
            turn.effects.append(Disconnect(peer, error.code, error.message))
            return
        if told is None:
            return
        if told.n != instance.context.n:
            if told.n == instance.context.n - 1:
                self._answer_late(turn, instance, peer)
            return
        match told:
            case Word(_, raw):
                self._hear(turn, instance, peer, raw)
            case Have():
                self._compare(turn, instance, peer, told)
            case Ask(_, digest):
                instance.lists.serve(turn, peer, digest)
            case Part():
                whole = instance.lists.take(turn, peer, told)
                if whole is False:
                    instance.talk.fault(turn, peer, RemoteError("SEAL_LIST", "the frontier list is not the one named"))
                if whole is not None:
                    instance.retry(turn)
            case Sealed(_, raw):
                self._take_certificate(turn, instance, peer, raw)
            case _:
                assert_never(told)
        self._settle(turn, instance)

    # What the node asks

    def check_leave(self, turn: Turn) -> None:
        """Refuse a `member.leave` that would break a promise. Raises LocalError SEAL_IN_PROGRESS.

        A voter that has voted for a seal waits for its end: another seal would count its leave as an agreement.
        """
        machine = self._enter(turn).machine
        if machine is not None and not machine.may_leave:
            raise seal_entries.refuse_leave()

    def status(self, turn: Turn) -> SealingStatus:
        """Return where the agreement on the next epoch stands; the turn may be a reading one."""
        pace = self._pace or Pace.of(turn.core.policy)
        votes = self._role(turn, self._ledger.epoch_context()) is not None
        return status(self._ledger, self._instance, pace, turn.now, votes=votes)

    # Following the newest epoch

    def _enter(self, turn: Turn) -> Instance:
        """Return the instance of the newest epoch, made anew if that moved."""
        self._touched = True
        context = self._ledger.epoch_context()
        instance = self._instance
        if instance is not None and instance.context.reference == context.reference:
            if instance.context.heirs != context.heirs:  # what was heard stands: else any voter could end the talk
                instance.inherit(context)
                self.moved(turn)
        else:
            pace = self._pace or Pace.of(turn.core.policy)
            instance = self._instance = Instance(self._ledger, context, turn, pace, self._timing)
            turn.timer(_LOOK, turn.now_ms)
            for prefix in (RECORD, LIST):
                for key, _ in list(turn.rows.scan("outbox", prefix, prefix_stop(prefix))):
                    if not key.startswith(prefix + context.reference):
                        turn.rows.delete("outbox", key)
            done = seal_entries.decided_here(turn.rows, context)
            if done is not None or turn.rows.get("outbox", RECORD + context.reference) is not None:
                instance.open(turn, self._role(turn, context))
                self._offer_later(turn)
            if done is not None:
                instance.certify(turn, done)
            self._settle(turn, instance)
        return instance

    def _role(self, turn: Turn, context: EpochContext) -> int | None:
        """Return our index as a voter; None where we have none, left, or hold another device than the governing one."""
        own = context.index(turn.core.party[0])
        if own is None or turn.core.device.public not in context.keys_of(own) or own in self._ledger.gone()[0]:
            return None
        return own

    def _look(self, turn: Turn, instance: Instance) -> None:
        """Begin if it is time to, go on if the ledger moved, and plan the next look."""
        self._look_ms = 0
        role = self._role(turn, instance.context)
        self._restate(turn, instance, role)
        if instance.machine is None:
            if role is not None and instance.is_due(turn, turn.now):
                self._open(turn, instance)
            else:
                turn.timer(_LOOK, self._next_look(turn, instance) * 1_000)
        elif instance.decided is None and not instance.damaged and role != instance.own:
            instance.open(turn, role)
        else:
            instance.retry(turn)

    def _restate(self, turn: Turn, instance: Instance, role: int | None) -> None:
        """See to it that the next seal can cover what made our epoch, though the feed that tells it has forked.

        One voter after another does it, until it stands elsewhere.
        """
        certificate = self._ledger.ungrounded(turn.rows) if role is not None else None
        if role is None or certificate is None:
            instance.ungrounded_ms = None
            return
        instance.ungrounded_ms = instance.ungrounded_ms or turn.now_ms
        order = (role - instance.context.n) % instance.context.size
        at = instance.ungrounded_ms + (1 + order) * seal_entries.STAGGER_MS
        if turn.now_ms < at:
            turn.timer(_RESTATE, at)
        else:
            seal_entries.restate(turn, instance.context, certificate, self._ledger.sealed_frontier())

    def _next_look(self, turn: Turn, instance: Instance) -> int:
        """Return when a seal may be due (unix seconds); where nothing had happened by then, a while later."""
        pace = instance.pace
        at = pace.due_at(self._ledger, instance.context.as_of)
        return at if at > turn.now else turn.now + max(1, pace.least_seconds)

    def _open(self, turn: Turn, instance: Instance) -> None:
        instance.open(turn, self._role(turn, instance.context))
        self._offer_later(turn)

    def _settle(self, turn: Turn, instance: Instance) -> None:
        """Do what an event led to: register evidence, publish or plan to, look again soon."""
        for found in instance.evidence:
            seal_entries.accuse(turn, instance.context, found)
        instance.evidence.clear()
        if instance.decided is not None:
            self._plan_to_publish(turn, instance, instance.decided)
        elif instance.obstacles.may_pass:
            instance.seek(turn)
            turn.timer(_RETRY, turn.now_ms + RETRY_MS)

    # What was decided

    def _plan_to_publish(self, turn: Turn, instance: Instance, certificate: Certificate) -> None:
        """Keep what was decided, and register it when it is our turn."""
        if not seal_entries.note_done(turn, instance.context, certificate) or instance.publish_at is not None:
            return
        delay = seal_entries.delay_ms(instance.context, certificate, instance.own)
        if delay is None:
            return
        early = seal_entries.early_until(certificate) * 1_000
        instance.publish_at = max(turn.now_ms, early) + delay
        if instance.publish_at > turn.now_ms:
            turn.timer(_PUBLISH, instance.publish_at)
        else:
            self._publish(turn, instance)

    def _publish(self, turn: Turn, instance: Instance) -> None:
        """Register what was decided: the ledger does not hold the next epoch, or this instance were over."""
        if instance.publish_at is None or instance.decided is None or turn.now_ms < instance.publish_at:
            return
        if not seal_entries.publish(turn, instance.context, instance.decided, instance.lists):
            instance.seek(turn)
            turn.timer(_PUBLISH, turn.now_ms + ASK_MS)

    # Talk

    def _hear(self, turn: Turn, instance: Instance, peer: bytes, raw: bytes) -> None:
        """Take one voter's message: verify it, begin if need be, pass it on if it counts."""
        known = instance.talk.heard(raw)
        if known is not None and instance.machine is not None and instance.machine.keeps(known):
            return
        early = instance.context.as_of + instance.pace.least_seconds - CLOCK_SECONDS_MAX
        if instance.decided is not None or (instance.machine is None and turn.now < early):
            return
        if not instance.talk.pays(turn, peer, 1):
            return
        try:
            message = open_message(raw, instance.context)
        except RemoteError as error:
            if not seal_entries.is_foreign(error):
                instance.talk.fault(turn, peer, error)
            return
        if message.polka is not None:
            instance.talk.pays(turn, peer, len(message.polka.prepares))
        if known is None and not instance.talk.may_say(turn, message.voter):
            return
        if instance.machine is None:
            self._open(turn, instance)
        assert instance.machine is not None  # opened just now
        instance.talk.hear(message, raw)
        instance.proposed(message, peer)
        instance.give(turn, Received(message))
        if known is None and (instance.machine.keeps(message) or instance.evidence):
            instance.talk.tell(turn, Word(instance.context.n, raw), peer)

    def _compare(self, turn: Turn, instance: Instance, peer: bytes, told: Have) -> None:
        """Send a peer what it lacks, and tell it what we hold if it has more."""
        if told.reference != instance.context.reference or not instance.talk.may_ask(turn, peer):
            return
        if instance.decided is not None:
            turn.send(peer, encode(Sealed(told.n, instance.decided.encode(instance.context.size))))
            return
        held = instance.held()
        instance.talk.answer(turn, peer, told, held)
        if tells_more(told, held, instance.round, instance.context.size):
            instance.talk.say_have(turn, held, instance.round, [peer], anew=False)

    def _answer_late(self, turn: Turn, instance: Instance, peer: bytes) -> None:
        """Show the certificate of our epoch to whoever still talks of the one before."""
        done = seal_entries.read_done(turn.rows)
        if done is not None and done.n == instance.context.n - 1 and instance.talk.may_ask(turn, peer):
            turn.send(peer, encode(Sealed(done.n, done.raw)))

    def _take_certificate(self, turn: Turn, instance: Instance, peer: bytes, raw: bytes) -> None:
        if instance.decided is not None or not instance.talk.pays(turn, peer, CERTIFICATE_WORK):
            return
        try:
            certificate = Certificate.decode(raw, instance.context.size)
            verify_certificate(certificate, instance.context)
        except RemoteError as error:
            if not seal_entries.is_foreign(error):
                instance.talk.fault(turn, peer, error)
            return
        if instance.machine is None:
            self._open(turn, instance)
        instance.certify(turn, certificate)

    def _offer_later(self, turn: Turn) -> None:
        turn.timer(_OFFER, turn.now_ms + OFFER_MS)

    def _offer(self, turn: Turn, instance: Instance) -> None:
        """While an agreement is open: tell every neighbour what we hold, and look again at what waits."""
        if instance.machine is not None:
            peers = turn.core.member_peers
            instance.talk.say_have(turn, instance.held(), instance.round, peers, anew=True)
            instance.retry(turn)
            self._offer_later(turn)
