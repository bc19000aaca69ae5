"""The values of the committed maps, as a verifier reads them, and their places in the maps.

How it works
    `consent_value` and `member_value` read what `status.Status.committed` and `ticks.committed_member` wrote, and hold
    a consent's value to its grant. `check_presence` holds a place to a map's root. What does not fit is `Refused`.

What it does not do
    It does not say whether anybody attested the maps (evidence).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger import codec
from ledger.checkpoint import Head
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.maps import verify_value
from proofs.bundle import Presence
from proofs.policy import Witness
from proofs.reasons import Reason


class Refused(Exception):
    """A step failed: the reason, and which item it was."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class ConsentValue:
    """What a tick's state says of the consent (the value in the consent map)."""

    state: State
    decided_by: tuple[bytes, ...]

    @property
    def ended(self) -> bool:
        """Whether it was withdrawn or revoked: for ever."""
        return self.state in (State.WITHDRAWN, State.REVOKED)


@dataclass(frozen=True, slots=True)
class MemberValue:
    """What a tick's state says of a member (the value in the member map). `feeds`: of all its devices."""

    incarnation: int
    is_member: bool
    feeds: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TickEvidence:
    """One tick, its maps checked. `consents`: by the grant's number. `rooted`: those of `witnesses` that are rooted."""

    boundary: int
    frontier: dict[bytes, Head]
    digest: bytes
    root: bytes
    consents: dict[int, ConsentValue]
    members: dict[bytes, MemberValue]
    witnesses: frozenset[Witness]
    rooted: frozenset[Witness]

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
        case [state, bytes(record_id), until, list(decided), list()] if type(state) is type(until) is int:
            named = tuple(item for item in decided if type(item) is bytes)
            fits = record_id == grant.thing[1] and until == grant.payload["valid_until"]
            fits = fits and state in list(State)
            if fits and named and len(named) == len(decided) and (state > State.INCOMPLETE or named == (grant.id,)):
                return ConsentValue(State(state), named)
    raise Refused(Reason.BAD_STATE_PROOF, "the state's value for the consent does not fit the grant")


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
