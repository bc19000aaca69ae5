"""Policies as data: predicates that say who gets in (governance.md §1).

How it works
    A `Predicate` is a small tree of values: leaves ask for one thing (`Bilateral`, `Sponsors`, `Authority`, `Charter`,
    `Ballot`), nodes combine them (`AllOf`, `AnyOf`, `Threshold`). `admissible` holds a predicate against `Evidence`
    (what stands after every cut) and says which leaves decided, by which entries. There is no negation: more evidence
    never takes an admission back; only cuts do, by taking evidence away. One value has one byte form: a node sorts its
    parts, and `decode` refuses any other bytes. Affiliated members sponsor with one voice.

What it does not do
    It reads no entry and checks no signature: which endorsements, credentials and ballots stand is the fold's to say.
    It does not know the time: `Evidence.as_of` is governance time. The mesh's other settings are in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, NoReturn, TypeAlias, assert_never

from ledger import codec
from ledger.errors import LocalError, RemoteError
from ledger.governance.roster import Party
from ledger.schema import HASH, KEY, TIME, TIME_MAX
from ledger.shapes import Shape, integer, list_of, octets_upto, tuple_of

PREDICATE_DEPTH_MAX: Final = 5  # a lone leaf has depth 1
PREDICATE_BYTES_MAX: Final = 16_384
PARTS_MAX: Final = 16  # of one node
SPONSORS_MAX: Final = 1_000
KEYS_MAX: Final = 32  # authority keys of one leaf
REVOKED_MAX: Final = 512  # serials of one leaf
SERIAL_BYTES_MAX: Final = 16
SHARE_PARTS_MAX: Final = 1_000

Share: TypeAlias = tuple[int, int]
"""(n, d): strictly more than n/d, at least one half and less than all."""

MAJORITY: Final[Share] = (1, 2)


def refuse(words: str, name: str) -> NoReturn:
    """Raise LocalError BAD_POLICY with the field."""
    raise LocalError("BAD_POLICY", words, field=name)


def hold(shape: Shape, value: Any, name: str) -> None:
    """Refuse a value that is out of shape, with LocalError BAD_POLICY."""
    if not shape.ok(value):
        refuse(f"this must be {shape.words}", name)


def hold_share(share: Share, name: str) -> None:
    """Refuse a share below one half, or of all, with LocalError BAD_POLICY."""
    hold(SHARE, list(share), name)
    if not Fraction(1, 2) <= Fraction(*share) < 1:
        refuse("a share is at least one half and less than all, else two contrary ballots could pass, or none", name)


SHARE: Final = tuple_of(integer(1, SHARE_PARTS_MAX), integer(2, SHARE_PARTS_MAX))
"""The shape of a share in bytes."""
_COUNT: Final = integer(1, SPONSORS_MAX)


@dataclass(frozen=True, slots=True)
class Bilateral:
    """One member's acceptance."""


@dataclass(frozen=True, slots=True)
class Sponsors:
    """Acceptances by `k` members with different voices."""

    k: int

    def __post_init__(self) -> None:
        """Refuse none, or too many, with LocalError BAD_POLICY."""
        hold(_COUNT, self.k, "k")


@dataclass(frozen=True, slots=True)
class Authority:
    """A credential by one of `keys` (Ed25519), in time, its serial not among `revoked`.

    `valid`: (from, until) of the keys, unix seconds of governance time, the end excluded. Keys and serials are a set:
    they are kept in order. A serial is revoked whichever of the keys gave it.
    """

    keys: tuple[bytes, ...]
    valid: tuple[int, int] = (0, TIME_MAX)
    revoked: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Put keys and serials in order. Raises LocalError BAD_POLICY."""
        for name in ("keys", "revoked"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        hold(list_of(KEY, 1, KEYS_MAX), list(self.keys), "keys")
        hold(list_of(octets_upto(SERIAL_BYTES_MAX), 0, REVOKED_MAX), list(self.revoked), "revoked")
        hold(tuple_of(TIME, TIME), list(self.valid), "valid")
        if self.valid[0] >= self.valid[1]:
            refuse("the keys are valid from one time until a later one", "valid")


@dataclass(frozen=True, slots=True)
class Charter:
    """Adherence to this very version of the charter (SHA-256 that pins it)."""

    version: bytes

    def __post_init__(self) -> None:
        """Refuse what is not a hash, with LocalError BAD_POLICY."""
        hold(HASH, self.version, "version")


@dataclass(frozen=True, slots=True)
class Ballot:
    """A ballot on the application that won strictly more than `share` of its electorate."""

    share: Share = MAJORITY

    def __post_init__(self) -> None:
        """Refuse less than half, or all, with LocalError BAD_POLICY."""
        hold_share(self.share, "share")


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Predicate, ...]

    def __post_init__(self) -> None:
        """Put the parts in order. Raises LocalError BAD_POLICY."""
        _normalise(self)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Predicate, ...]

    def __post_init__(self) -> None:
        """Put the parts in order. Raises LocalError BAD_POLICY."""
        _normalise(self)


@dataclass(frozen=True, slots=True)
class Threshold:
    """At least `k` of the parts hold."""

    k: int
    parts: tuple[Predicate, ...]

    def __post_init__(self) -> None:
        """Put the parts in order. Raises LocalError BAD_POLICY."""
        _normalise(self)
        hold(integer(1, len(self.parts)), self.k, "k")


Predicate: TypeAlias = Bilateral | Sponsors | Authority | Charter | Ballot | AllOf | AnyOf | Threshold
"""Who gets in. Equal values have equal bytes."""


def _normalise(node: AllOf | AnyOf | Threshold) -> None:
    if not 1 <= len(node.parts) <= PARTS_MAX:
        refuse(f"a combination has 1 to {PARTS_MAX} parts", "parts")
    if 1 + max(map(_depth, node.parts)) > PREDICATE_DEPTH_MAX:
        refuse(f"a policy is at most {PREDICATE_DEPTH_MAX} levels deep", "parts")
    ordered = sorted({codec.encode(form_of(part)): part for part in node.parts}.items())
    if len(ordered) < len(node.parts):
        refuse("two parts of a combination are the same, and one fact would count twice", "parts")
    object.__setattr__(node, "parts", tuple(part for _, part in ordered))


def _depth(predicate: Predicate) -> int:
    match predicate:
        case AllOf(parts) | AnyOf(parts) | Threshold(_, parts):
            return 1 + max(map(_depth, parts))
        case _:
            return 1


def form_of(predicate: Predicate) -> list[Any]:
    """Return the predicate as the lists and numbers that are encoded."""
    match predicate:
        case Bilateral():
            return ["bilateral"]
        case Sponsors(k):
            return ["sponsors", k]
        case Authority(keys, valid, revoked):
            return ["authority", list(keys), list(valid), list(revoked)]
        case Charter(version):
            return ["charter", version]
        case Ballot(share):
            return ["ballot", list(share)]
        case AllOf(parts):
            return ["all", [form_of(part) for part in parts]]
        case AnyOf(parts):
            return ["any", [form_of(part) for part in parts]]
        case Threshold(k, parts):
            return ["threshold", k, [form_of(part) for part in parts]]
        case never:
            assert_never(never)


def read(form: Any, depth: int = PREDICATE_DEPTH_MAX) -> Predicate:
    """Read what `form_of` returned, of at most `depth` levels. Raises LocalError BAD_POLICY."""
    if depth == 0:
        refuse(f"a policy is at most {PREDICATE_DEPTH_MAX} levels deep", "policy")
    match form:
        case ["bilateral"]:
            return Bilateral()
        case ["sponsors", k]:
            return Sponsors(k)
        case ["authority", [*keys], [start, end], [*revoked]] if all(type(v) is bytes for v in (*keys, *revoked)):
            return Authority(tuple(keys), (start, end), tuple(revoked))
        case ["charter", version]:
            return Charter(version)
        case ["ballot", [more_than, of]]:
            return Ballot((more_than, of))
        case ["all", [*parts]]:
            return AllOf(tuple(read(part, depth - 1) for part in parts))
        case ["any", [*parts]]:
            return AnyOf(tuple(read(part, depth - 1) for part in parts))
        case ["threshold", k, [*parts]]:
            return Threshold(k, tuple(read(part, depth - 1) for part in parts))
    refuse("this is no predicate that evaluator 1 knows", "policy")


def encode(predicate: Predicate) -> bytes:
    """Return the canonical CBOR. Raises LocalError BAD_POLICY beyond `PREDICATE_BYTES_MAX`."""
    raw = codec.encode(form_of(predicate))
    if len(raw) > PREDICATE_BYTES_MAX:
        refuse(f"a policy has at most {PREDICATE_BYTES_MAX} bytes, this one {len(raw)}", "policy")
    return raw


def decode(raw: bytes) -> Predicate:
    """Read what `encode` wrote. Raises RemoteError BAD_POLICY, POLICY_NOT_CANONICAL or CBOR_*."""
    form = codec.decode(raw, max_bytes=PREDICATE_BYTES_MAX)
    try:
        predicate = read(form)
    except LocalError as error:
        raise RemoteError(error.code, error.message, field=error.field) from None
    if codec.encode(form_of(predicate)) != raw:
        raise RemoteError("POLICY_NOT_CANONICAL", "the parts, keys or serials of the policy are not in order")
    return predicate


# Evidence and verdicts


@dataclass(frozen=True, slots=True)
class Endorsement:
    """A member's acceptance of the application that stands: `member.admit` or `member.sponsor`, by its entry id."""

    id: bytes
    member: Party


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential for the applicant that is well signed: entry id, authority's key, serial, (from, until) seconds."""

    id: bytes
    authority: bytes
    serial: bytes
    valid: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A ballot on the application: the proposal's entry id, and the part of its electorate that said yes (0 to 1)."""

    id: bytes
    support: Fraction


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands for one application. `as_of`: governance time, unix seconds; `voices`: see the function."""

    application: bytes
    charter: bytes | None = None
    endorsements: tuple[Endorsement, ...] = ()
    credentials: tuple[Credential, ...] = ()
    ballots: tuple[Outcome, ...] = ()
    as_of: int = 0
    voices: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf that decided: its place (child numbers from the root) and a sentence."""

    path: tuple[int, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a predicate holds, the leaves that decided, and the entries they rest on (ascending)."""

    holds: bool
    why: tuple[Leaf, ...]
    ids: tuple[bytes, ...]


def admissible(predicate: Predicate, evidence: Evidence) -> Verdict:
    """Hold a predicate against the evidence: a pure function of both, whatever the order of the evidence.

    A combination that holds names the first parts that suffice; one that fails names the first parts without which
    it cannot hold (all failing parts of `AnyOf` and `Threshold`, the first of `AllOf`).
    """
    match predicate:
        case AllOf(parts):
            return _at_least(len(parts), parts, evidence)
        case AnyOf(parts):
            return _at_least(1, parts, evidence)
        case Threshold(k, parts):
            return _at_least(k, parts, evidence)
        case leaf:
            holds, words, ids = _leaf(leaf, evidence)
            return Verdict(holds, (Leaf((), words),), tuple(sorted(set(ids))))


def _at_least(k: int, parts: tuple[Predicate, ...], evidence: Evidence) -> Verdict:
    verdicts = [(place, admissible(part, evidence)) for place, part in enumerate(parts)]
    good = [item for item in verdicts if item[1].holds]
    bad = [item for item in verdicts if not item[1].holds]
    holds = len(good) >= k
    deciding = good[:k] if holds else bad[: len(parts) - k + 1]
    why = tuple(Leaf((place, *leaf.path), leaf.words) for place, verdict in deciding for leaf in verdict.why)
    return Verdict(holds, why, tuple(sorted({ident for _, verdict in deciding for ident in verdict.ids})))


def _leaf(
    leaf: Bilateral | Sponsors | Authority | Charter | Ballot, evidence: Evidence
) -> tuple[bool, str, Iterable[bytes]]:
    match leaf:
        case Bilateral():
            return _sponsored(1, evidence)
        case Sponsors(k):
            return _sponsored(k, evidence)
        case Authority():
            return _credited(leaf, evidence)
        case Charter(version):
            if evidence.charter == version:
                return True, f"the application accepts charter {version.hex()[:8]}", [evidence.application]
            return False, f"the application does not accept charter {version.hex()[:8]}", [evidence.application]
        case Ballot(share):
            won = [ballot.id for ballot in evidence.ballots if ballot.support > Fraction(*share)]
            words = f"more than {share[0]}/{share[1]} of the electorate"
            if won:
                return True, f"a ballot won {words}", [min(won)]
            return False, f"no ballot won {words}", [ballot.id for ballot in evidence.ballots]
        case never:
            assert_never(never)


def _sponsored(k: int, evidence: Evidence) -> tuple[bool, str, Iterable[bytes]]:
    """The first k voices by entry id, each with its first endorsement: enough to check, and the same everywhere."""
    by_voice: dict[bytes, bytes] = {}
    for endorsement in sorted(evidence.endorsements, key=lambda each: each.id):
        by_voice.setdefault(voice(endorsement.member, evidence.voices), endorsement.id)
    ids = list(by_voice.values())
    if len(ids) >= k:
        return True, f"{k} member(s) with different voices endorse the application", ids[:k]
    return False, f"{len(ids)} of {k} endorsements by members with different voices", ids


def _credited(leaf: Authority, evidence: Evidence) -> tuple[bool, str, Iterable[bytes]]:
    if not leaf.valid[0] <= evidence.as_of < leaf.valid[1]:
        return False, "the authority's keys are not valid at this governance time", []
    faults: list[tuple[bytes, str]] = []
    for credential in sorted(evidence.credentials, key=lambda each: each.id):
        if credential.authority not in leaf.keys:
            faults.append((credential.id, "a credential is by no listed authority"))
        elif not credential.valid[0] <= evidence.as_of < credential.valid[1]:
            faults.append((credential.id, "a credential is not valid at this governance time"))
        elif credential.serial in leaf.revoked:
            faults.append((credential.id, "a credential's serial is revoked"))
        else:
            return True, "a listed authority gave a credential that is in time and not revoked", [credential.id]
    words = "; ".join(sorted({words for _, words in faults})) or "there is no credential"
    return False, words, [ident for ident, _ in faults]


def voice(party: Party, groups: Mapping[bytes, bytes]) -> bytes:
    """Return under whose key id a party counts as a voter and as a witness. `groups`: what `voices` returned."""
    return groups.get(party[0], party[0])


def requires(predicate: Predicate, leaf: type[Charter] | type[Authority]) -> bool:
    """Say whether no evidence can meet the predicate without a leaf of this type."""
    match predicate:
        case AllOf(parts):
            return any(requires(part, leaf) for part in parts)
        case AnyOf(parts):
            return all(requires(part, leaf) for part in parts)
        case Threshold(k, parts):
            return sum(not requires(part, leaf) for part in parts) < k
        case _:
            return isinstance(predicate, leaf)
