"""The values of the committed maps, as a verifier reads them, and their places in the maps.

How it works
    Each of the readers takes what the ledger's `committed` wrote, and holds it to the entry that it is about: a grant,
    a delegation, a call of a group. `check_presence` holds a place to a map's root. What does not fit is `Refused`.

What it does not do
    It does not say whether anybody attested the maps (evidence).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from ledger import codec
from ledger.checkpoint import Head
from ledger.consent.delegation import WORDS_MAX
from ledger.consent.group import REFUSALS_MAX
from ledger.consent.kinds import EVIDENCE_STATES
from ledger.consent.status import DECIDED_MAX, Party, State
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.keys import thumbprint
from ledger.maps import verify_value
from ledger.schema import HASH
from ledger.shapes import Field, integer, list_of, one_of, record, tuple_of
from proofs.bundle import Presence
from proofs.policy import Witness
from proofs.reasons import Reason

AMENDED_MAX: Final = 64
"""Amendments that a state names."""
CHECKED_MAX: Final = 32
"""Words on evidence that a state names: two parties', on sixteen documents."""


class Refused(Exception):
    """A step failed: the reason, and which item it was."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class ConsentValue:
    """What a tick's state says of the consent (the value in the consent map).

    `until`: its end, unix seconds. `amended`: ids of the entries that narrow it. `checked`: (evidence, party, state)
    for each word of a party on a document that the grant names. `signed`: ids of required keys that signed.
    `contested`: id of the key that handed it on to different successors (C7), so that no key decides on it.
    `key`: id of the key in force, where it was handed on to it.
    """

    state: State
    decided_by: tuple[bytes, ...]
    until: int
    amended: tuple[bytes, ...] = ()
    checked: tuple[tuple[bytes, Party, str], ...] = ()
    signed: tuple[bytes, ...] = ()
    contested: bytes | None = None
    key: bytes | None = None

    @property
    def ended(self) -> bool:
        """Whether it was withdrawn or revoked: for ever."""
        return self.state in (State.WITHDRAWN, State.REVOKED)


@dataclass(frozen=True, slots=True)
class DelegationValue:
    """What a tick's state says of a delegation. `checked`: as of a consent."""

    ended: bool
    decided_by: tuple[bytes, ...]
    checked: tuple[tuple[bytes, Party, str], ...]


@dataclass(frozen=True, slots=True)
class CallValue:
    """What a tick's state says of a call: the `group.open` it follows, how many may vote and said yes, no, abstained.

    `missing`: what it lacks, in words. `refusals`: how many there are; `refused`: the first of them, (key id of who
    refused, entry id).
    """

    opened: bytes
    electors: int
    yes: int
    no: int
    abstained: int
    missing: tuple[str, ...]
    refusals: int
    refused: tuple[tuple[bytes, bytes], ...]

    @property
    def voted(self) -> int:
        """How many took part."""
        return self.yes + self.no + self.abstained


@dataclass(frozen=True, slots=True)
class MemberValue:
    """What a tick's state says of a member (the value in the member map). `feeds`: of all its devices."""

    incarnation: int
    is_member: bool
    feeds: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TickEvidence:
    """One tick, its maps checked. `consents`, `delegations`, `calls`: by the entry's number.

    `rooted`: those of `witnesses` that are rooted.
    """

    boundary: int
    frontier: dict[bytes, Head]
    digest: bytes
    root: bytes
    consents: dict[int, ConsentValue]
    members: dict[bytes, MemberValue]
    witnesses: frozenset[Witness]
    rooted: frozenset[Witness]
    delegations: dict[int, DelegationValue] = field(default_factory=dict)
    calls: dict[int, CallValue] = field(default_factory=dict)

    def holds(self, head: Head) -> bool:
        """Say whether this very head stands in the frontier."""
        return self.frontier.get(head.feed) == head


def digest_of(frontier: Iterable[Head]) -> bytes:
    """Return the digest by which attestations name a frontier, as ledger/held.py does, whose fold an auditor spares."""
    listed = sorted([head.feed, head.size, head.root] for head in frontier)
    return sha256(b"".join(codec.encode(item) for item in listed)).digest()


def check_presence(ident: bytes, presence: Presence, root: bytes, what: str) -> None:
    """Hold a place in a map to the map's root. `what`: words for the refusal."""
    try:
        proven = verify_value(ident, presence.value, presence.proof(ident), root)
    except RemoteError:
        proven = False
    if not proven:
        raise Refused(Reason.BAD_STATE_PROOF, f"{what} is not in the map as stated")


def consent_value(value: bytes, grant: Entry) -> ConsentValue:
    """Read what the consent map holds of the grant (status.Status.committed)."""
    match _decoded(value):
        case [state, bytes(record_id), until, list(decided), list(), *rest] if type(state) is type(until) is int:
            more = rest[0] if rest else {}
            if len(rest) > 1 or not _MORE.ok(more) or not more.keys() <= _NAMES or bool(rest) != bool(more):
                raise _unfit("consent")
            named = tuple(item for item in decided if type(item) is bytes)
            ends, amended = grant.payload["valid_until"], tuple(more.get("amended", ()))
            fits = record_id == grant.thing[1] and (until == ends or (bool(amended) and until < ends))
            fits = fits and not {"key", "contested"} <= more.keys()
            fits = fits and state in list(State) and (state != State.GRANTED or _enough(grant, more.get("signed", ())))
            if fits and named and len(named) == len(decided) and (state > State.INCOMPLETE or named == (grant.id,)):
                checked = ((each[0], (each[1], each[2]), EVIDENCE_STATES[each[3]]) for each in more.get("checked", ()))
                signed, handed = tuple(more.get("signed", ())), (more.get("contested"), more.get("key"))
                return ConsentValue(State(state), named, until, amended, tuple(checked), signed, *handed)
    raise _unfit("consent")


def signatures_needed(grant: Entry) -> tuple[frozenset[bytes], int]:
    """Return (ids of the keys that must sign beside the person, how many of them suffice)."""
    required = frozenset(map(thumbprint, grant.payload.get("required_parties", ())))
    return required, min(grant.payload.get("required_quorum", len(required)), len(required))


def _enough(grant: Entry, signed: Sequence[bytes]) -> bool:
    required, needed = signatures_needed(grant)
    return len(required & set(signed)) >= needed


def _unfit(what: str) -> Refused:
    return Refused(Reason.BAD_STATE_PROOF, f"the state's value for the {what} does not fit its entry")


def delegation_value(value: bytes, given: Entry) -> DelegationValue:
    """Read what the consent map holds of a delegation (delegation.Delegation.committed)."""
    match _decoded(value):
        case [live, until, decided, words] if type(live) is int and live in (0, 1) and until == given.payload[_UNTIL]:
            if _DECIDED.ok(decided) and (not live or decided == [given.id]) and _WORDS.ok(words):
                checked = ((each[0], (each[1], each[2]), EVIDENCE_STATES[each[3]]) for each in words)
                return DelegationValue(not live, tuple(decided), tuple(checked))
    raise _unfit("delegation")


def call_value(value: bytes) -> CallValue:
    """Read what the consent map holds of a call (group.Outcome.committed)."""
    match _decoded(value):
        case [opened, electors, yes, no, abstained, missing, refusals, refused] if (
            HASH.ok(opened)
            and all(_NUMBER.ok(each) for each in (electors, yes, no, abstained, refusals))
            and _MISSING.ok(missing)
            and _REFUSED.ok(refused)
            and len(refused) == min(refusals, REFUSALS_MAX)
            and yes + no + abstained <= electors
        ):
            named = tuple((kid, ident) for kid, ident in refused)
            return CallValue(opened, electors, yes, no, abstained, tuple(missing), refusals, named)
    raise _unfit("call")


_UNTIL: Final = "valid_until"
_NUMBER: Final = integer(0, 2**31)
_DECIDED: Final = list_of(HASH, 1, DECIDED_MAX)
_MISSING: Final = list_of(one_of("quorum", "majority", "critical_mass"), 0, 3)
_REFUSED: Final = list_of(tuple_of(HASH, HASH), 0, REFUSALS_MAX)
_CHECKED: Final = tuple_of(HASH, HASH, integer(0, 2**31), integer(0, len(EVIDENCE_STATES) - 1))
_WORDS: Final = list_of(_CHECKED, 0, WORDS_MAX)
_MORE: Final = record(
    {
        "amended": Field(list_of(HASH, 1, AMENDED_MAX), optional=True),
        "signed": Field(list_of(HASH, 1, 8), optional=True),
        "key": Field(HASH, optional=True),
        "host": Field(tuple_of(HASH, integer(0, 2**31)), optional=True),
        "checked": Field(list_of(_CHECKED, 1, CHECKED_MAX), optional=True),
        "contested": Field(HASH, optional=True),
    }
)
_NAMES: Final = {"amended", "signed", "key", "host", "checked", "contested"}


def member_value(value: bytes) -> MemberValue:
    """Read what the member map holds of a member (ticks.committed_member)."""
    match _decoded(value):
        case [incarnation, bool(is_member), bool(), list(feeds)] if type(incarnation) is int:
            if all(type(feed) is bytes for feed in feeds):
                return MemberValue(incarnation, is_member, tuple(feeds))
    raise Refused(Reason.BAD_STATE_PROOF, "the state's value for a member is not [incarnation, member, voter, feeds]")


def _decoded(value: bytes) -> Any:
    try:
        return codec.decode(value)
    except RemoteError as error:
        raise Refused(Reason.BAD_STATE_PROOF, f"a value of the state: {error}") from None
