"""What the ledger says of one consent: a pure function of the entries that name it (ledger.md §5, §6).

How it works
    `resolve(grant, facts, reach)` takes the grant, every entry that names it with its places, and how far each
    feed counts, and returns a `Status`. Rules:
      C1 a grant counts once it is registered, sound and with its `seen` held, within the reach of a feed;
      C2 a withdrawal counts wherever it is found: signed by the grant's key or its withdraw key, carrying the
         grant; it never loses to anything;
      C3 a revocation counts wherever it is found, from a party the grant names (holder or recipient);
      C4 an acknowledgement counts within the reach of a feed, a device's in its own alone, from a party the grant
         names, and of the decision that stands: who acknowledged the grant has not acknowledged its withdrawal;
      C5 a grant that needs other signatures (`required_parties`) is incomplete until their kinds exist.
    The status rests on clear fields alone. It never reads a clock: expiry is the gate's and the verifier's.

What it does not do
    It opens no disclosure and judges no content (gate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final

from ledger import codec
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.keys import thumbprint
from ledger.tables import FactRow

Party = tuple[bytes, int]
Place = tuple[bytes, int]  # (feed id, leaf index)


VIA_MARK: Final = b"via"  # of the fact of a withdrawal by a key that the grant itself does not name
DECIDED_MAX: Final = 8  # entries a status names: one who may withdraw may do so many times over


class State(IntEnum):
    """The state of a consent; the numbers stand in committed maps and never change."""

    GRANTED = 1
    INCOMPLETE = 2
    WITHDRAWN = 3
    REVOKED = 4


@dataclass(frozen=True, slots=True)
class Fact:
    """An entry that names a consent, and every place where it is registered soundly."""

    row: FactRow
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """What the ledger knows of one consent.

    `decided_by`: ids of the withdrawals, else of the revocations (of either the `DECIDED_MAX` smallest), else of the
    grant. `acknowledged`: the parties that acknowledged what decided.
    """

    grant: bytes
    record_id: bytes
    state: State
    principal: bytes
    holder: Party
    recipient: Party | None
    granted_at: int
    valid_until: int
    decided_by: tuple[bytes, ...]
    acknowledged: tuple[Party, ...]

    def committed(self) -> bytes:
        """Return the value that stands for this consent in the committed map."""
        return codec.encode(
            [
                int(self.state),
                self.record_id,
                self.valid_until,
                list(self.decided_by),
                [list(party) for party in self.acknowledged],
            ]
        )


def carried_grant(withdrawal: Entry, is_verified: Callable[[bytes], bool] = lambda _: False) -> Entry:
    """Return the grant a withdrawal carries, verified, if the withdrawal's signer may withdraw it.

    `is_verified(id)`: whether an entry with these very bytes was verified before, which spares doing it again.
    Raises RemoteError with the grant's own fault, or WITHDRAW_NOT_YOURS.
    """
    raw = withdrawal.payload["grant"]
    grant = Entry.vouched(raw) if is_verified(sha256(raw).digest()) else Entry.decode(raw)
    if grant.kind != "consent.grant" or grant.thing != withdrawal.thing or grant.mesh_id != withdrawal.mesh_id:
        raise RemoteError("WITHDRAW_NOT_YOURS", "the entry carried is not the grant that is named", field="grant")
    if withdrawal.signer not in (grant.signer, grant.payload["withdraw_key"]):
        raise RemoteError(
            "WITHDRAW_NOT_YOURS", "only the person's key or the withdraw key of this grant may withdraw it"
        )
    return grant


def resolve(
    grant: Entry,
    facts: Iterable[Fact],
    reach: Callable[[bytes], int],
    party_of: Callable[[bytes], Party],
    counts: Callable[[Entry, Sequence[Place]], bool],
) -> Status | None:
    """Return the status of a grant, or None while it does not count and nothing ends it.

    `reach(feed)`: how far a feed counts. `party_of(kid)`: whom a signer speaks for. `counts(grant, places)`: C1,
    asked once, since it must look at what the grant has seen.
    """
    holder, recipient = _party(grant.payload["holder"]), _party(grant.payload["recipient"])
    parties = (holder, recipient)
    withdrawals: set[bytes] = set()
    revocations: set[bytes] = set()
    acks: set[tuple[Party, bytes]] = set()  # who acknowledged what
    registered: tuple[Place, ...] = ()
    for fact in facts:
        row = fact.row
        if row.kind == "consent.grant":
            registered = fact.places
        elif row.kind == "consent.withdraw":
            if row.kid in (grant.kid, thumbprint(grant.payload["withdraw_key"])):
                withdrawals.add(row.entry_id)
        elif row.kind == "consent.revoke":
            if party_of(row.kid) in parties:
                revocations.add(row.entry_id)
        elif row.kind == "consent.acknowledge":
            party = party_of(row.kid)
            places = [place for place in fact.places if party[1] == 0 or place[0] == row.kid]
            if party in parties and any(index < reach(feed) for feed, index in places):
                acks.add((party, row.about))
    granted = bool(registered) and counts(grant, registered)
    if not (granted or withdrawals or revocations):
        return None
    state = State.GRANTED
    decided: set[bytes] = {grant.id}
    if withdrawals:
        state, decided = State.WITHDRAWN, withdrawals
    elif revocations:
        state, decided = State.REVOKED, revocations
    elif "required_parties" in grant.payload:
        state = State.INCOMPLETE
    return Status(
        grant.id,
        grant.thing[1],
        state,
        grant.kid,
        holder,
        recipient if len(grant.payload["recipient"]) == 2 else None,
        grant.iat,
        grant.payload["valid_until"],
        tuple(sorted(decided)[:DECIDED_MAX]),
        tuple(sorted({party for party, about in acks if about in decided})),
    )


def _party(value: Sequence[object]) -> Party:
    if len(value) == 2 and type(value[0]) is bytes and type(value[1]) is int:
        return (value[0], value[1])
    return (b"", -1)  # a class of recipients: nobody speaks for it
