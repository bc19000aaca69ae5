"""What the ledger says of one consent: a pure function of the entries that name it (ledger.md §5, §6).

How it works
    `resolve(grant, facts, reach)` takes the grant, every entry that names it with its places, and how far each
    feed counts, and returns a `Status`. Rules:
      C1 a grant counts once it is registered, sound and with its `seen` held, within the reach of a feed;
      C2 a withdrawal counts wherever it is found: signed by the grant's key or its withdraw key, by a key that was put
         in their place, or by one above in the delegation that it was given under; it carries the grant, and what
         makes another key hers (`standing`); it never loses to anything;
      C3 a revocation counts wherever it is found, from a party the grant names (holder or recipient), or from a key
         whose signature it requires: where all must sign, any leaves alone; where a quorum of them suffices, the
         consent ends when no quorum is left;
      C4 an acknowledgement counts within the reach of a feed, a device's in its own alone, from a party the grant
         names, and of the decision that stands: who acknowledged the grant has not acknowledged its withdrawal;
      C5 a grant that needs other signatures (`required_parties`) is incomplete until all of them have signed, or
         `required_quorum`; a signature counts within the reach of a feed, and not from one who has left;
      C6 an amendment counts wherever it is found, from any key that the consent ever had: it only narrows. What it
         narrows is sealed, but for an earlier end; `AMENDED_MAX` is the most that are told apart, and beyond it the
         consent is incomplete: what cannot be read cannot be allowed;
      C7 a rekey counts within the reach of a feed, by the key in force. A key hands a consent on once: where rekeys by
         it are found, wherever, that name different successors, none of them counts, and no key is in force any more;
         the consent itself goes on as granted. No date decides, since a date is its signer's word. Every key that was
         ever named withdraws and narrows for ever; none takes the consent back;
      C8 of the evidence that the grant names, each of its parties has a newest word within the reach of a feed.
    The status rests on clear fields alone. It never reads a clock: expiry is the gate's and the verifier's.

What it does not do
    It opens no disclosure and judges no content (gate). What a grant rests on (a delegation, a parent, a call) has a
    standing of its own, and is put together where it is judged (delegation, sharing, group).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final

from ledger import codec
from ledger.consent.kinds import EVIDENCE_STATES
from ledger.entry import Entry
from ledger.keys import thumbprint
from ledger.tables import FactRow

Party = tuple[bytes, int]
Place = tuple[bytes, int]  # (feed id, leaf index)


VIA_MARK: Final = b"via"  # of the fact of a withdrawal by a key that the grant itself does not name
DECIDED_MAX: Final = 8  # entries a status names: one who may withdraw may do so many times over
AMENDED_MAX: Final = 64  # amendments of one consent: more of them, and nothing is permitted any more


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
class Checked:
    """The newest word of a party on a piece of evidence; `state`: one of `EVIDENCE_STATES`."""

    evidence: bytes
    party: Party
    state: str


@dataclass(frozen=True, slots=True)
class Status:
    """What the ledger knows of one consent.

    `decided_by`: ids of the withdrawals, else of the revocations (of either the `DECIDED_MAX` smallest), else of the
    grant. `acknowledged`: the parties that acknowledged what decided. `valid_until`: of the grant, or the earliest of
    its amendments. `amended`: their ids; the content of each narrows. `signed`: key ids of required parties that have
    signed and not left. `key`: id of the key in force, where it is another than the grant's own; `host`: the member
    that was named last on the way to it. `checked`: what parties say of the evidence. `contested`: id of the key that
    handed the consent on to different successors; then no key is in force, and `key` is None.
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
    amended: tuple[bytes, ...] = ()
    signed: tuple[bytes, ...] = ()
    key: bytes | None = None
    host: Party | None = None
    checked: tuple[Checked, ...] = ()
    contested: bytes | None = None

    def committed(self) -> bytes:
        """Return the value that stands for this consent in the committed map.

        A list of five, and a map with what else there is: "amended", "signed", "key", "host", "checked",
        "contested".
        """
        more: dict[str, Any] = {
            "amended": list(self.amended),
            "signed": list(self.signed),
            "key": self.key,
            "host": None if self.host is None else list(self.host),
            "checked": [[each.evidence, *each.party, EVIDENCE_STATES.index(each.state)] for each in self.checked],
            "contested": self.contested,
        }
        present = {name: value for name, value in more.items() if value}
        return codec.encode(
            [
                int(self.state),
                self.record_id,
                self.valid_until,
                list(self.decided_by),
                [list(party) for party in self.acknowledged],
                *([present] if present else []),
            ]
        )


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
    payload = grant.payload
    parties = (_party(payload["holder"]), _party(payload["recipient"]))
    by_kind: dict[str, list[Fact]] = {}
    for fact in facts:
        by_kind.setdefault(fact.row.kind, []).append(fact)

    def inside(fact: Fact) -> bool:
        return any(index < reach(feed) for feed, index in fact.places)

    rows = {kind: [fact.row for fact in of_kind] for kind, of_kind in by_kind.items()}
    keys = _Keys.of(grant, rows.get("consent.rekey", ()))
    withdrawals = {row.entry_id for row in rows.get("consent.withdraw", ()) if row.kid in keys.ending or row.about}
    required = {thumbprint(key) for key in payload.get("required_parties", ())}
    needed = min(payload.get("required_quorum", len(required)), len(required))
    left = {row.kid for row in rows.get("consent.revoke", ()) if row.kid in required}
    lost = len(required - left) < needed  # no quorum is left
    revocations = {
        row.entry_id
        for row in rows.get("consent.revoke", ())
        if party_of(row.kid) in parties or (lost and row.kid in left)
    }
    registered = tuple(place for fact in by_kind.get("consent.grant", ()) for place in fact.places)
    granted = bool(registered) and counts(grant, registered)
    if not (granted or withdrawals or revocations):
        return None
    signed = {fact.row.kid for fact in by_kind.get("consent.sign", ()) if inside(fact)} & required - left
    amendments = [row for row in rows.get("consent.amend", ()) if row.kid in keys.narrowing]
    state, decided = State.GRANTED, {grant.id}
    if withdrawals:
        state, decided = State.WITHDRAWN, withdrawals
    elif revocations:
        state, decided = State.REVOKED, revocations
    elif len(signed) < needed or len(amendments) > AMENDED_MAX:
        state = State.INCOMPLETE
    ends = [int.from_bytes(row.about, "big") for row in amendments if row.about]
    handed = handing(grant.kid, by_kind.get("consent.rekey", ()), reach)
    said = [fact.row for fact in by_kind.get("consent.evidence", ()) if inside(fact)]
    return Status(
        grant.id,
        grant.thing[1],
        state,
        grant.kid,
        parties[0],
        parties[1] if len(payload["recipient"]) == 2 else None,
        grant.iat,
        min([payload["valid_until"], *ends]),
        tuple(sorted(decided)[:DECIDED_MAX]),
        _acknowledged(by_kind.get("consent.acknowledge", ()), parties, decided, reach, party_of),
        tuple(sorted(row.entry_id for row in amendments)[:AMENDED_MAX]),
        tuple(sorted(signed)),
        None if handed.contested is not None or handed.last == grant.kid else handed.last,
        handed.host,
        checked_by(said, payload.get("evidence", ()), parties, party_of),
        handed.contested,
    )


def sharing(status: Status, known: Callable[[Party], Party]) -> Status:
    """Return a status that is to be kept in memory: its parties by the bytes that memory holds already (`known`)."""
    recipient = known(status.recipient) if status.recipient is not None else None
    return replace(status, holder=known(status.holder), recipient=recipient)


def _acknowledged(
    facts: Iterable[Fact],
    parties: tuple[Party, Party],
    decided: set[bytes],
    reach: Callable[[bytes], int],
    party_of: Callable[[bytes], Party],
) -> tuple[Party, ...]:
    """Return the parties that acknowledged one of the entries that decided (C4)."""
    found: set[Party] = set()
    for fact in facts:
        party = party_of(fact.row.kid)
        places = [place for place in fact.places if party[1] == 0 or place[0] == fact.row.kid]
        if party in parties and fact.row.about in decided and any(index < reach(feed) for feed, index in places):
            found.add(party)
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class _Keys:
    """Key ids that a consent ever had: those that may narrow it, and those that may end it as well."""

    narrowing: frozenset[bytes]
    ending: frozenset[bytes]

    @classmethod
    def of(cls, grant: Entry, rekeys: Sequence[FactRow]) -> _Keys:
        """Follow every sound rekey, whether or not it counts: they only take away here."""
        narrowing, ending = {grant.kid}, {grant.kid, thumbprint(grant.payload["withdraw_key"])}
        grown = bool(rekeys)
        while grown:
            fresh = [row for row in rekeys if row.kid in narrowing and not {*_kids(row)} <= ending]
            grown = bool(fresh)
            for row in fresh:
                narrowing.add(_kids(row)[0])
                ending.update(_kids(row))
        return cls(frozenset(narrowing), frozenset(ending))


def _kids(rekey: FactRow) -> tuple[bytes, bytes]:
    """Return the key ids that a rekey names: the new key's, the new withdraw key's."""
    return rekey.about[8:40], rekey.about[40:72]


@dataclass(frozen=True, slots=True)
class Handing:
    """How a consent went from key to key (C7).

    `rekeys`: those that count, one after another; of those that say the same, the one of the smallest id. `last`: id
    of the key that they lead to. `contested`: its id too, where it handed the consent on to different successors: it
    is in force no more then, and neither is any of them.
    """

    rekeys: tuple[FactRow, ...]
    last: bytes
    contested: bytes | None

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The ids of the keys that the consent was handed to so, one after another."""
        return tuple(_kids(row)[0] for row in self.rekeys)

    @property
    def host(self) -> Party | None:
        """The host that was named last."""
        named = [row.about[72:108] for row in self.rekeys if len(row.about) > 72]
        return (named[-1][:32], int.from_bytes(named[-1][32:], "big")) if named else None


def handing(kid: bytes, facts: Iterable[Fact], reach: Callable[[bytes], int]) -> Handing:
    """Follow a consent from its grant's key, by the `facts` of it (C7). `reach`: as for `resolve`."""
    said: dict[bytes, set[bytes]] = {}  # key id -> what it names as its successor, wherever it is found
    counting: dict[bytes, FactRow] = {}
    for fact in facts:
        if fact.row.kind == "consent.rekey":
            said.setdefault(fact.row.kid, set()).add(fact.row.about[8:])
            if any(index < reach(feed) for feed, index in fact.places):
                counting[fact.row.kid] = min(fact.row, counting.get(fact.row.kid, fact.row), key=_by_id)
    rekeys: list[FactRow] = []
    passed = set[bytes]()
    while kid in counting and kid not in passed and len(said[kid]) == 1:
        passed.add(kid)
        rekeys.append(counting[kid])
        kid = _kids(counting[kid])[0]
    return Handing(tuple(rekeys), kid, kid if len(said.get(kid, ())) > 1 else None)


def _by_id(row: FactRow) -> bytes:
    return row.entry_id


def keys_ever(grant: Entry, facts: Iterable[Fact]) -> frozenset[bytes]:
    """Return the ids of the keys that a consent ever had, in force or not: those that may narrow it (C6)."""
    return _Keys.of(grant, [fact.row for fact in facts if fact.row.kind == "consent.rekey"]).narrowing


def checked_by(
    rows: Iterable[FactRow],
    evidence: Sequence[bytes],
    parties: Sequence[Party],
    party_of: Callable[[bytes], Party],
) -> tuple[Checked, ...]:
    """Return the newest word of each of `parties` on each piece of `evidence` (C8); of two at once, the worse."""
    newest: dict[tuple[bytes, Party], tuple[bytes, int]] = {}
    for row in rows:
        named, party = row.about[8:40], party_of(row.kid)
        if named in evidence and party in parties:
            word = (row.about[:8], row.about[40])
            newest[named, party] = max(word, newest.get((named, party), word))
    return tuple(Checked(named, party, EVIDENCE_STATES[state]) for (named, party), (_, state) in sorted(newest.items()))


def _party(value: Sequence[object]) -> Party:
    if len(value) == 2 and type(value[0]) is bytes and type(value[1]) is int:
        return (value[0], value[1])
    return (b"", -1)  # a class of recipients: nobody speaks for it
