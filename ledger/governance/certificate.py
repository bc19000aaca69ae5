"""The quorum of a seal, and the certificate that shows it was reached (governance.md §2, §4 Rivals).

How it works
    A `Seal` is what voters agree on: the next epoch, and which voters of the present one it removes. Its digest
    covers the removals, so nobody can claim a smaller quorum than the signers meant. With n voters, l of them
    left and e expelled in the seal, v = n - l - e remain; they alone count, and
        quorum = max(floor(2v/3), floor((n - l)/2)) + 1.
    The first term is Q of governance.md. The second one makes two seals of one epoch share a voter always: with
    Q alone, six voters of whom {1,2} and {5,6} voted each other out could seal twice, by {1,2,3} and {4,5,6},
    and no one would have voted twice. It binds only where more than a quarter is expelled at once, and the bound
    of ceil((n - l)/2) - 1 expulsions a seal leaves just enough voters to meet it.

Why two seals cannot be
    Support of a seal = its commits and those whose leave it holds. An honest voter that has voted for a seal
    signs no leave until the instance is over (`Sealing.may_leave`), and one that has left votes no more. Take two
    seals, strike the leaves common to both: each support exceeds half of the rest, so they share a voter, and
    that voter broke a rule. `least_double_voters` gives the exact number. It exceeds the number of traitors left
    in it whenever at most floor((n - 1)/3) voters are traitors and only traitors are expelled; if honest voters
    are being expelled by rival ballots it may be as low as 1, and then `status` has to say so.
    The lock rule (seal.py) carries the argument from commits of one round to those of all rounds.

What stays impossible
    Where more than floor((n - 1)/3) voters are traitors, expelling them helps only until an honest voter is locked
    on a seal that still counts them: it may have been decided, so no lock yields, and the instance waits for them.

What it does not do
    It does not say whether the epoch is right, nor whether the removals are true: that is the fold's work, and
    the signers vouch for it. It holds no voters' list: the caller has it from the epoch before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from ledger import codec, keys
from ledger.errors import LocalError, RemoteError
from ledger.governance.epoch import Epoch
from ledger.schema import HASH, TIME
from ledger.shapes import Field, Shape, check_fields, either, integer, list_of

VERSION: Final = 1  # of seal messages and certificates
VOTERS_MAX: Final = 512
OPEN_PROPOSALS_MAX: Final = 256
SEAL_BYTES_MAX: Final = 16_384
CERTIFICATE_BYTES_MAX: Final = 56_000  # fits an entry of 64 KiB with its header
ROUND_MAX: Final = 2**31
SEAL_DOMAIN: Final = b"maille/seal/value/v1\x00"
VOTE_DOMAIN: Final = b"maille/seal/vote/v1\x00"

Signatures = tuple[tuple[int, bytes], ...]
"""(index of the voter in `EpochContext.voters`, 64 bytes), ascending."""

_EPOCH_FIELDS: Final = {
    "n": Field(integer(1, ROUND_MAX)),
    "prev": Field(HASH),
    "as_of": Field(TIME),
    **{f"{name}_digest": Field(HASH) for name in ("members", "voters", "frontier", "cuts", "policy")},
    "state_root": Field(HASH),
    "charter": Field(either(HASH, Shape(lambda v: v is None, "null", "null"))),
    "thresholds": Field(list_of(integer(0, ROUND_MAX), 0, 16)),
    "evaluator_version": Field(integer(1, ROUND_MAX)),
    "open_proposals": Field(list_of(HASH, 0, OPEN_PROPOSALS_MAX)),
}


class Step(Enum):
    """The three messages of a round (Tendermint's proposal, prevote, precommit)."""

    PROPOSE = 0
    PREPARE = 1
    COMMIT = 2


@dataclass(frozen=True, slots=True)
class EpochContext:
    """What a verifier must know of E_n to judge E_(n+1).

    `reference`: how entries name E_n. `as_of`: its governance time, unix seconds. `voters`: (voter id, public
    key of its governing device), 32 bytes each, ascending by id; a voter's index is its place here. `heirs`: (index,
    public key) of devices that a voter's root key has since certified as successors: else a mesh of one that lost its
    device, or of two, could never seal again. Such a voter may have forgotten a vote of its former device; it then
    counts among the voters that broke a rule.
    """

    mesh_id: bytes
    reference: bytes
    n: int
    as_of: int
    voters: tuple[tuple[bytes, bytes], ...]
    heirs: tuple[tuple[int, bytes], ...] = ()

    @classmethod
    def of(cls, mesh_id: bytes, reference: bytes, n: int, as_of: int, voters: Mapping[bytes, bytes]) -> EpochContext:
        """Order the voters (id -> device key). Raises LocalError SEAL_VOTERS: none, too many, or a key twice."""
        if not 1 <= len(voters) <= VOTERS_MAX or len(set(voters.values())) != len(voters):
            raise LocalError("SEAL_VOTERS", f"an epoch has 1 to {VOTERS_MAX} voters, each with a key of its own")
        return cls(mesh_id, reference, n, as_of, tuple(sorted(voters.items())))

    @property
    def size(self) -> int:
        """How many voters E_n has."""
        return len(self.voters)

    def index(self, voter: bytes) -> int | None:
        """Return the place of a voter id, or None."""
        return next((place for place, (ident, _) in enumerate(self.voters) if ident == voter), None)

    def keys_of(self, place: int) -> tuple[bytes, ...]:
        """Return the public keys with which a voter may sign: its governing device's, and those of successors."""
        return (self.voters[place][1], *(public for heir, public in self.heirs if heir == place))

    def signed(self, place: int, message: bytes, signature: bytes) -> bool:
        """Say whether a voter signed a message."""
        return any(keys.verify(public, message, signature) for public in self.keys_of(place))

    def proposer(self, round_: int) -> int:
        """Return the index of the voter that proposes in a round."""
        return (self.n + round_) % self.size


def expulsions_max(voters: int, left: int) -> int:
    """Return how many voters one seal may expel: fewer than half of those that have not left."""
    return max(0, (voters - left + 1) // 2 - 1)


def quorum(voters: int, left: int = 0, expelled: int = 0) -> int:
    """Return how many of the remaining voters must agree to a seal with these removals (see the module)."""
    return max(2 * (voters - left - expelled) // 3, (voters - left) // 2) + 1


@dataclass(frozen=True, slots=True)
class Seal:
    """What is voted on: the next epoch, and the indexes of the voters of this one that left or are expelled.

    `silent`: of those that lose their vote for want of a heartbeat. They count as voters in this very seal.
    """

    epoch: Epoch
    left: tuple[int, ...] = ()
    expelled: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Return the CBOR [epoch, left, expelled, silent]; the epoch as the bytes that its reference hashes."""
        return codec.encode([self.epoch.encode(), list(self.left), list(self.expelled), list(self.silent)])

    def digest(self) -> bytes:
        """Return the 32 bytes that votes name."""
        return hashlib.sha256(SEAL_DOMAIN + self.encode()).digest()

    @classmethod
    def decode(cls, raw: bytes) -> Seal:
        """Read what `encode` wrote. Raises RemoteError SEAL_MALFORMED, PAYLOAD_SHAPE, PAYLOAD_MISSING, CBOR_*."""
        match codec.decode(raw, max_bytes=SEAL_BYTES_MAX):
            case [bytes(epoch), list(left), list(expelled), list(silent)]:
                return cls(_read_epoch(codec.decode(epoch)), _places(left), _places(expelled), _places(silent))
        raise RemoteError("SEAL_MALFORMED", "a seal is [epoch, left, expelled, silent]")

    def remaining(self, voters: int) -> frozenset[int]:
        """Return the indexes whose votes count for this seal, of `voters` in all."""
        return frozenset(range(voters)).difference(self.left, self.expelled)

    def quorum(self, voters: int) -> int:
        """Return how many of `remaining` must agree."""
        return quorum(voters, len(self.left), len(self.expelled))

    def fault(self, context: EpochContext) -> str | None:
        """Say why this cannot follow `context`, whatever the fold says; None when it can."""
        epoch, lists = self.epoch, (self.left, self.expelled, self.silent)
        places = [place for listed in lists for place in listed]
        if (epoch.n, epoch.prev) != (context.n + 1, context.reference):
            return "it does not follow the epoch that is being sealed"
        if epoch.as_of <= context.as_of:
            return "its time does not increase"
        ascending = all(list(listed) == sorted(listed) for listed in lists)
        if not ascending or not set(range(context.size)).issuperset(places) or len(set(places)) < len(places):
            return "its removals are not distinct, ascending indexes of voters"
        if len(self.left) == context.size:
            return "it leaves no voter"
        if len(self.expelled) > expulsions_max(context.size, len(self.left)):
            return "it expels half of the voters or more"
        return None


def least_double_voters(voters: int, first: Seal, second: Seal) -> int:
    """Return how many voters at least broke a rule if both seals of one epoch of `voters` were certified.

    They committed to both, or committed to one and let the other count their leave. For a pair that `Seal.fault`
    passes it is at least 1.
    """
    common = set(first.left) & set(second.left)
    support = sum(seal.quorum(voters) + len(set(seal.left) - common) for seal in (first, second))
    return support - (voters - len(common) - len(set(first.expelled) & set(second.expelled)))


def vote_bytes(context: EpochContext, round_: int, step: Step, digest: bytes | None, valid_round: int) -> bytes:
    """Return what a voter signs. `digest`: of the seal, None for nil. `valid_round`: -1 where there is none."""
    fields = [VERSION, context.mesh_id, context.reference, context.n, round_, step.value, digest, valid_round]
    return VOTE_DOMAIN + codec.encode(fields)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A seal and the commits of one round that decided it: at least its quorum, all by remaining voters."""

    seal: Seal
    round: int
    commits: Signatures

    @property
    def epoch(self) -> Epoch:
        """The epoch that is certified."""
        return self.seal.epoch

    def message(self, context: EpochContext) -> bytes:
        """Return what each commit signs."""
        return vote_bytes(context, self.round, Step.COMMIT, self.seal.digest(), -1)

    def encode(self, voters: int) -> bytes:
        """Return the CBOR [version, seal, round, bitmap of signers, signatures]; `voters`: how many E_n has."""
        return codec.encode([VERSION, self.seal.encode(), self.round, *pack(self.commits, voters)])

    @classmethod
    def decode(cls, raw: bytes, voters: int) -> Certificate:
        """Read what `encode` wrote; it still has to be verified. Raises RemoteError as `Seal.decode` does."""
        match codec.decode(raw, max_bytes=CERTIFICATE_BYTES_MAX):
            case [int(version), bytes(seal), int(round_), bytes(bitmap), bytes(blob)] if (
                type(version) is int and version == VERSION and type(round_) is int and 0 <= round_ <= ROUND_MAX
            ):
                return cls(Seal.decode(seal), round_, unpack(bitmap, blob, voters))
        raise RemoteError("SEAL_MALFORMED", "a certificate is [1, seal, round, signers, signatures]")


def verify_certificate(certificate: Certificate, context: EpochContext) -> None:
    """Hold a certificate to the voters of the epoch before: every signature, the quorum, the chain.

    Raises RemoteError CERTIFICATE_SEAL, CERTIFICATE_SIGNERS (too few, or a removed voter's), BAD_SIGNATURE.
    """
    if unsigned(certificate, context):
        raise _bad_signature()


def unsigned(certificate: Certificate, context: EpochContext) -> Signatures:
    """Return the commits that none of the context's keys made: none, in a certificate that is sound.

    Raises RemoteError as `verify_certificate` does for all that is no matter of signatures.
    """
    if fault := certificate.seal.fault(context):
        raise RemoteError("CERTIFICATE_SEAL", f"the certified seal is not acceptable: {fault}")
    _check_signers(context, certificate.seal, certificate.commits)
    message = certificate.message(context)
    return tuple(each for each in certificate.commits if not context.signed(each[0], message, each[1]))


def check_signatures(context: EpochContext, seal: Seal, message: bytes, signatures: Signatures) -> None:
    """Refuse unless a quorum for `seal` signed `message`, and nobody but voters that remain in it.

    Raises RemoteError CERTIFICATE_SIGNERS or BAD_SIGNATURE.
    """
    _check_signers(context, seal, signatures)
    if not all(context.signed(place, message, signature) for place, signature in signatures):
        raise _bad_signature()


def _check_signers(context: EpochContext, seal: Seal, signatures: Signatures) -> None:
    signers = [place for place, _ in signatures]
    if signers != sorted(set(signers)) or not seal.remaining(context.size).issuperset(signers):
        raise RemoteError("CERTIFICATE_SIGNERS", "signers must be distinct voters that remain in the seal")
    if len(signers) < seal.quorum(context.size):
        raise RemoteError(
            "CERTIFICATE_SIGNERS", f"{len(signers)} voters signed, {seal.quorum(context.size)} are needed"
        )


def _bad_signature() -> RemoteError:
    return RemoteError("BAD_SIGNATURE", "a signature does not match the vote it is said to be")


@dataclass(frozen=True, slots=True)
class Rivals:
    """Two certified seals of one epoch (governance.md §4).

    `double_voters`: ids whom their own signatures convict. `unclear`: ids that committed to both in different
    rounds, which an honest voter that was shown a traitors' quorum may do; prepares against their own lock
    (`rounds.convicts`) tell who is guilty. `stands`: the one that keeps its quorum without `double_voters`.
    """

    double_voters: frozenset[bytes]
    unclear: frozenset[bytes]
    stands: Certificate | None


def rivals(
    first: Certificate, second: Certificate, context: EpochContext, convicted: Iterable[bytes] = ()
) -> Rivals | None:
    """Compare two verified certificates that follow `context`; None where they certify the same seal.

    `convicted`: ids of voters known from other evidence to have voted twice. Those convicted are struck from
    both. If one seal alone still has the quorum it had to meet, it stands; else the ledger is governance-forked.
    Commits for one seal in one round may be joined before, with `joined`: more than a quorum survives more.
    """
    if first.seal == second.seal:
        return None
    both = {place for place, _ in first.commits} & {place for place, _ in second.commits}
    names = frozenset(context.voters[place][0] for place in both)
    double = frozenset(convicted) | (names if first.round == second.round else frozenset())
    standing = [
        one
        for one in (first, second)
        if sum(context.voters[place][0] not in double for place, _ in one.commits) >= one.seal.quorum(context.size)
    ]
    return Rivals(double, names - double, standing[0] if len(standing) == 1 else None)


def joined(first: Certificate, second: Certificate) -> Certificate:
    """Return one certificate with the commits of both. Raises LocalError unless seal and round are the same."""
    if (first.seal, first.round) != (second.seal, second.round):
        raise LocalError("CERTIFICATE_JOIN", "only certificates of one seal in one round can be joined")
    return Certificate(first.seal, first.round, tuple(sorted({**dict(second.commits), **dict(first.commits)}.items())))


def pack(signatures: Signatures, voters: int) -> tuple[bytes, bytes]:
    """Return the signers as a bitmap (bit i % 8 of byte i // 8) and the signatures in their order."""
    bitmap = sum(1 << place for place, _ in signatures).to_bytes((voters + 7) // 8, "little")
    return bitmap, b"".join(signature for _, signature in signatures)


def unpack(bitmap: bytes, blob: bytes, voters: int) -> Signatures:
    """Do the reverse of `pack`. Raises RemoteError CERTIFICATE_SIGNERS."""
    bits = int.from_bytes(bitmap, "little")
    wrong = len(bitmap) != (voters + 7) // 8 or bits >> voters
    if wrong or len(blob) != bits.bit_count() * keys.SIGNATURE_BYTES:
        raise RemoteError("CERTIFICATE_SIGNERS", "bitmap, signatures and the number of voters do not fit together")
    places = [place for place in range(voters) if bits >> place & 1]
    return tuple((place, blob[64 * nth : 64 * nth + 64]) for nth, place in enumerate(places))


def _places(values: list[Any]) -> tuple[int, ...]:
    if any(type(value) is not int for value in values):
        raise RemoteError("SEAL_MALFORMED", "removals are indexes of voters", field="seal")
    return tuple(values)


def _read_epoch(payload: Any) -> Epoch:
    """Build an epoch from its decoded map; a field more or fewer would change its reference unseen."""
    check_fields(_EPOCH_FIELDS, payload)
    if len(payload) != len(_EPOCH_FIELDS):
        raise RemoteError("SEAL_MALFORMED", "an epoch has exactly the fields of its version", field="epoch")
    lists = {name: tuple(payload[name]) for name in ("thresholds", "open_proposals")}
    return Epoch(**{**payload, **lists})
