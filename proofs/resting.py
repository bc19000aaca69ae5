"""What the grants of a bundle rest on, as far as it is carried: delegations upwards, the call of a group, the parent.

How it works
    `follow_rests` goes from each grant to the entries that it names, and marks what it finds as serving. What is named
    and not carried is noted: the verdict says so. `check_opened` holds the sealed content of delegations, calls and
    amendments to their slots, whatever row asks for it: nothing that is opened stands unchecked.

What it does not do
    It does not say whether one lies within the other, or whether they stood (chains).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.consent import bounds, disclosure
from ledger.consent.disclosure import Disclosures
from ledger.consent.record import FIELDS
from ledger.consent.standing import carried_delegation, carried_grant
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.keys import thumbprint
from ledger.shapes import Field
from proofs.bundle import Disclosure
from proofs.reasons import Reason
from proofs.state import Refused

if TYPE_CHECKING:
    from proofs.evidence import Evidence

NAMES: Final = ("delegation", "call", "parent")
"""Fields of a grant that name what it rests on."""
CHAIN_MAX: Final = 16
"""Delegations above one grant, consents above one, that are followed at all; fewer may be sound."""
KINDS: Final = {"delegation": "delegation.give", "call": "group.call", "parent": "consent.grant"}


@dataclass(frozen=True, slots=True)
class Rests:
    """What one grant rests on, by number of the entry: `delegations` from the nearest up.

    `missing`: the names of `NAMES` that lead to an entry which is not carried.
    """

    delegations: tuple[int, ...] = ()
    call: int | None = None
    parent: int | None = None
    missing: frozenset[str] = frozenset()


def ended_by(entry: Entry) -> bytes:
    """Return the id of what an entry ends or refuses. Raises RemoteError where its signer may not."""
    named: bytes
    match entry.kind:
        case "consent.withdraw":
            named = carried_grant(entry).id
        case "delegation.revoke":
            named = carried_delegation(entry).id
        case "group.refuse":
            named = entry.payload["call"]
        case _:
            named = entry.payload["grant"]
    return named


def follow_rests(evidence: Evidence) -> tuple[Rests, ...]:
    """Return what each grant rests on; every entry that is found serves by it. Raises Refused for a longer chain."""
    found = tuple(_follow(evidence, evidence.numbers, grant) for grant in evidence.grants)
    heights: dict[int, int] = {}
    for at in range(len(found)):
        line, above = [at], found[at].parent
        while above is not None and above not in heights:
            line.append(above)
            above = found[above].parent
        for place in reversed(line):
            heights[place] = 0 if above is None else heights[above] + 1
            above = place
    if max(heights.values(), default=0) > CHAIN_MAX:
        raise Refused(Reason.MALFORMED, f"more than {CHAIN_MAX} consents above a grant")
    return found


def _follow(evidence: Evidence, by_id: Mapping[bytes, int], grant: Entry) -> Rests:
    missing = set()

    def find(name: str, ident: bytes | None) -> int | None:
        at = by_id.get(ident) if ident is not None else None
        if at is not None and evidence.entries[at].kind == KINDS[name]:
            evidence.use(at)
            return at
        if ident is not None:
            missing.add(name)
        return None

    delegations = []
    at = find("delegation", grant.payload.get("delegation"))
    while at is not None:  # an entry names what was there before it: no chain comes back to itself
        delegations.append(at)
        if len(delegations) > CHAIN_MAX:
            raise Refused(Reason.MALFORMED, f"more than {CHAIN_MAX} delegations above a grant")
        at = find("delegation", evidence.entries[at].payload.get("parent"))
    call, parent = (find(name, grant.payload.get(name)) for name in ("call", "parent"))
    return Rests(tuple(delegations), call, parent, frozenset(missing))


def speaker(evidence: Evidence, at: int) -> bytes:
    """Return the id of the key in whose name grant `at` was signed: who gave the first delegation, else its own."""
    above = evidence.rests[at].delegations
    return evidence.entries[above[-1] if above else at].kid


def signers(evidence: Evidence, at: int) -> bytes:
    """Return the id of the key in whose name the first consent above grant `at` was signed: the person's."""
    parent = evidence.rests[at].parent
    return speaker(evidence, at) if parent is None else signers(evidence, parent)


def is_by_another(evidence: Evidence, at: int) -> bool:
    """Say whether another key than the person's own signed grant `at`.

    A delegate's, a group's, the holder's who passes on, or whose who transcribed her paper; what passes on with the
    key of such a one is by another too.
    """
    payload, parent = evidence.grants[at].payload, evidence.rests[at].parent
    if "parent" not in payload or any(name in payload for name in ("transcribed", "delegation", "call")):
        return any(name in payload for name in ("transcribed", "delegation", "call"))
    if parent is None or evidence.grants[parent].kid != evidence.grants[at].kid:
        return True
    return is_by_another(evidence, parent)


def keys_of(delegation: Entry) -> frozenset[bytes]:
    """Return the ids of the two keys by which who gave a delegation refuses a call for herself."""
    return frozenset((delegation.kid, thumbprint(delegation.payload["withdraw_key"])))


def check_opened(evidence: Evidence) -> None:
    """Hold what opens calls, amendments and delegations to their slots. Raises Refused."""
    count = len(evidence.grants)
    tables: list[tuple[int, tuple[Disclosure, ...], Mapping[str, Field]]] = [
        (at, shown, FIELDS) for at, shown in evidence.bundle.disclosures if at >= count
    ]
    tables += [(at, shown, bounds.FIELDS) for at, shown in evidence.bundle.bounds]
    for at, shown, fields in tables:
        entry = evidence.entries[at]
        try:
            check_slots(entry, shown)
        except RemoteError as error:
            raise Refused(Reason.DISCLOSURE_MISMATCH, f"entry {at}, a {entry.kind}: {error}") from None
        values = {name: value for _, value, name in shown}
        wrong = [name for name, value in values.items() if not fields[name].shape.ok(value)]
        if wrong:
            raise Refused(Reason.MALFORMED, f"entry {at}, a {entry.kind}, is out of shape: {', '.join(wrong)}")
        evidence.contents[at] = values


def shown_values(evidence: Evidence, at: int) -> dict[str, Any]:
    """Return the disclosed values of a grant, where all are those that were signed and in shape; else none."""
    if at not in evidence.contents:
        disclosed = dict(evidence.bundle.disclosures).get(at, ())
        values = {name: value for _, value, name in disclosed}
        try:
            check_slots(evidence.grants[at], disclosed)
        except RemoteError:
            values = {}
        fits = all(FIELDS[name].shape.ok(value) for name, value in values.items())
        evidence.contents[at] = values if fits else {}
    return evidence.contents[at]


def check_slots(entry: Entry, disclosed: Sequence[Disclosure]) -> None:
    """Hold what is disclosed of an entry to its slots. Raises RemoteError DISCLOSURE_MISMATCH."""
    opened = Disclosures({name: (salt, shown) for salt, shown, name in disclosed})
    disclosure.check(opened, entry.payload["slots"])
