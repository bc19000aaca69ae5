"""The messages of sealing, what convicts their signers, and the events and effects of the machine (governance.md §2).

How it works
    A message is [version, mesh, epoch, n, round, step, digest or nil, valid round] signed under a prefix of its
    own by the voter's governing device, so it means nothing in another mesh, epoch, round or protocol. A proposal
    carries its seal beside; one that repeats a seal of an earlier round also carries the `Polka`, the quorum of
    equal prepares of that round. So a proposal can be judged by itself: nobody has to keep or exchange the votes
    of past rounds, and a message lost in an old round cannot block a new one.
    `open_message` checks everything that bytes and the epoch's voters can show; a `Message` that exists is well
    formed, signed, by a voter, and a proposal by the proposer of its round.

What it does not do
    It keeps no state and knows no time: seal.py does. It does not say whether a seal is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger import codec
from ledger.errors import RemoteError
from ledger.governance.certificate import (
    ROUND_MAX,
    SEAL_BYTES_MAX,
    VERSION,
    VOTERS_MAX,
    Certificate,
    EpochContext,
    Seal,
    Signatures,
    Step,
    check_signatures,
    pack,
    unpack,
    vote_bytes,
)

MESSAGE_BYTES_MAX: Final = SEAL_BYTES_MAX + 65 * VOTERS_MAX + 1_024
"""The largest message, a proposal with a polka. A prepare or a commit has about 180 bytes."""
TIMER_MS_MAX: Final = 600_000


@dataclass(frozen=True, slots=True)
class Polka:
    """A quorum of equal prepares: those of `round` for one digest and one `valid_round`."""

    round: int
    valid_round: int
    prepares: Signatures


@dataclass(frozen=True, slots=True)
class Message:
    """One signed message. Made by `open_message` and `sign_message` only.

    `voter`: index in the epoch's voters. `digest`: of the seal, None for nil. `valid_round`: of the polka that a
    proposal, or a prepare of it, rests on; -1 for none. `seal`, `polka`: in proposals alone.
    """

    voter: int
    round: int
    step: Step
    digest: bytes | None
    valid_round: int
    signature: bytes
    seal: Seal | None = None
    polka: Polka | None = None

    @property
    def says(self) -> tuple[int, Step, bytes | None, int]:
        """What is signed, apart from the epoch: two messages of a voter that differ here are two statements."""
        return (self.round, self.step, self.digest, self.valid_round)

    def encode(self, context: EpochContext) -> bytes:
        """Return the deterministic CBOR that is sent and kept."""
        polka: codec.Value = None
        if self.polka is not None:
            polka = [self.polka.valid_round, *pack(self.polka.prepares, context.size)]
        return codec.encode(
            [
                *(VERSION, context.mesh_id, context.reference, context.n, self.round, self.step.value, self.digest),
                *(self.valid_round, self.voter, self.signature, self.seal.encode() if self.seal else None, polka),
            ]
        )


def sign_message(sign: Callable[[bytes], bytes], context: EpochContext, message: Message) -> Message:
    """Return `message` with its signature; `sign` makes 64 bytes with the key of the voter it names."""
    return replace(message, signature=sign(vote_bytes(context, *message.says)))


def open_message(raw: bytes, context: EpochContext) -> Message:
    """Check a message whole, signatures and polka included, and return it.

    Raises RemoteError SEAL_EPOCH (of another mesh or epoch), SEAL_MALFORMED, SEAL_VOTER, SEAL_PROPOSER,
    SEAL_REFUSED (the seal cannot follow this epoch), BAD_SIGNATURE, CERTIFICATE_SIGNERS (polka), CBOR_*.
    """
    match codec.decode(raw, max_bytes=MESSAGE_BYTES_MAX):
        case [version, mesh_id, reference, n, *rest] if len(rest) == 8:
            if (version, mesh_id, reference, n) != (VERSION, context.mesh_id, context.reference, context.n):
                raise RemoteError("SEAL_EPOCH", "the message is about another mesh, epoch or version")
            message = _read(rest, context)
        case _:
            raise _malformed("a seal message is a list of 12")
    signed = vote_bytes(context, *message.says)
    if not context.signed(message.voter, signed, message.signature):
        raise RemoteError("BAD_SIGNATURE", "the signature does not match the seal message")
    if message.seal is not None and message.polka is not None:
        polka = message.polka
        prepared = vote_bytes(context, polka.round, Step.PREPARE, message.digest, polka.valid_round)
        check_signatures(context, message.seal, prepared, polka.prepares)
    return message


def _read(fields: list[Any], context: EpochContext) -> Message:
    """Read all that is cheap to check: types, ranges, proposer, seal."""
    round_, step, digest, valid_round, voter, signature, seal, polka = fields
    if any(type(value) is not int for value in (round_, step, valid_round, voter)):
        raise _malformed("round, step, valid round and voter are whole numbers")
    if not (0 <= round_ <= ROUND_MAX and -1 <= valid_round < round_ and 0 <= step < len(Step)):
        # A first round has no valid round before it, so -1 < 0 is the only one it passes.
        raise _malformed("round, step or valid round is out of range")
    if not 0 <= voter < context.size:
        raise RemoteError("SEAL_VOTER", "the signer is no voter of this epoch")
    if type(signature) is not bytes or not (digest is None or (type(digest) is bytes and len(digest) == 32)):
        raise _malformed("the digest must be 32 bytes or null, the signature bytes")
    message = Message(voter, round_, Step(step), digest, valid_round, signature)
    if message.step is not Step.PROPOSE:
        may_rest = message.step is Step.PREPARE and digest is not None
        if seal is not None or polka is not None or (valid_round != -1 and not may_rest):
            raise _malformed("only proposals carry a seal, only they and prepares of a seal a valid round")
        return message
    if voter != context.proposer(round_):
        raise RemoteError("SEAL_PROPOSER", "the signer does not propose in this round")
    return _with_seal(message, seal, polka, context)


def _with_seal(message: Message, seal: Any, polka: Any, context: EpochContext) -> Message:
    if type(seal) is not bytes:
        raise _malformed("a proposal carries its seal")
    value = Seal.decode(seal)
    if value.digest() != message.digest:
        raise _malformed("the proposal names another digest than its seal has")
    if fault := value.fault(context):
        raise RemoteError("SEAL_REFUSED", f"the proposed seal is not acceptable: {fault}")
    if (polka is None) != (message.valid_round == -1):
        raise _malformed("a proposal carries a polka exactly when it names a valid round")
    if polka is None:
        return replace(message, seal=value)
    match polka:
        case [valid_round, bytes(bitmap), bytes(blob)] if (
            type(valid_round) is int and -1 <= valid_round < message.valid_round
        ):
            prepares = unpack(bitmap, blob, context.size)
            return replace(message, seal=value, polka=Polka(message.valid_round, valid_round, prepares))
    raise _malformed("a polka is [valid round, signers, signatures]")


def _malformed(reason: str) -> RemoteError:
    return RemoteError("SEAL_MALFORMED", f"the seal message is malformed: {reason}")


def convicts(first: Message, second: Message) -> bool:
    """Say whether two opened messages of one epoch prove that their signer broke the rules.

    Either they are two different prepares, or two different commits, of one round; or one commits to a seal and
    the other, in a later round, prepares another seal on the word of no polka since (a broken lock). No honest
    voter ever signs such a pair, whatever it is sent and however often it restarts.
    """
    if first.voter != second.voter or Step.PROPOSE in (first.step, second.step):
        return False
    if first.step is second.step:
        return first.round == second.round and first.says != second.says
    commit, prepare = (first, second) if first.step is Step.COMMIT else (second, first)
    return (
        commit.digest is not None
        and prepare.digest not in (None, commit.digest)
        and prepare.valid_round < commit.round < prepare.round
    )


def guilty(messages: Iterable[bytes], context: EpochContext) -> int | None:
    """Return the index of the voter whom two messages of one epoch convict; None where they show nothing."""
    try:
        first, second = (open_message(raw, context) for raw in messages)
    except RemoteError:
        return None
    return first.voter if convicts(first, second) else None


@dataclass(frozen=True, slots=True)
class Start:
    """Begin an instance. `own`: this node's voter id, None to look on. `record`: the last that was persisted."""

    context: EpochContext
    own: bytes | None
    record: bytes | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message that `open_message` passed, from anyone."""

    message: Message


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set by `SetTimer` ran out."""

    round: int
    step: Step


@dataclass(frozen=True, slots=True)
class Candidate:
    """The answer to `NeedCandidate`: what this node would seal. None is said by saying nothing."""

    round: int
    seal: Seal


@dataclass(frozen=True, slots=True)
class Folded:
    """The node's fold moved: look again at what could not be confirmed.

    `left`, `expelled`: indexes of the voters that are gone by this node's own fold. Say it after each `Start` too.
    """

    left: tuple[int, ...] = ()
    expelled: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate of this instance that `verify_certificate` passed: the instance is over."""

    certificate: Certificate


Event = Start | Received | TimerFired | Candidate | Folded | Certified


@dataclass(frozen=True, slots=True)
class Persist:
    """Put the record on disk, in place of the one before, and only then go on with the next effect."""

    record: bytes


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send a message of this voter to all."""

    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Return `TimerFired(round, step)` after so many milliseconds. Timers of past rounds may be dropped."""

    round: int
    step: Step
    after_ms: int


@dataclass(frozen=True, slots=True)
class Decided:
    """The instance is over."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two messages that convict their signer (`rounds.convicts`); reported once for each voter."""

    first: Message
    second: Message


@dataclass(frozen=True, slots=True)
class NeedCandidate:
    """This node proposes in `round` and needs a seal: answer with `Candidate`, if there is anything to seal."""

    round: int


Effect = Persist | Broadcast | SetTimer | Decided | Evidence | NeedCandidate


@dataclass(frozen=True, slots=True)
class Timing:
    """Length of the time-outs of round 0, and what each further round adds, in milliseconds."""

    propose_ms: int = 5_000
    vote_ms: int = 3_000
    growth_ms: int = 2_000

    def after(self, round_: int, step: Step) -> int:
        """Return the length of one time-out: it grows, so some round is long enough; it is bounded."""
        first = self.propose_ms if step is Step.PROPOSE else self.vote_ms
        return min(first + round_ * self.growth_ms, TIMER_MS_MAX)
