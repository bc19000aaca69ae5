"""What grants rest on, by README.md and RULES.md: finding it, opening it, and its values in the consent map.

How it works
    `follow` finds delegations upwards, the call and the parent of a grant; `opened` holds what opens them, and
    amendments, to their slots; `delegation` and `call` read values of the map.

What it does not do
    It compares nothing (within) and asks nothing of ticks (standing).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.proofs.second import cbor, curve
from tests.proofs.second.entries import Entry, need, read_entry
from tests.proofs.second.shapes import BOUND, BOUNDS, CALL_VALUE, DELEGATION_VALUE, FIELDS, SLOT
from tests.proofs.second.state import of_map

if TYPE_CHECKING:
    from tests.proofs.second.evidence import Evidence


class Rests(NamedTuple):
    """Numbers of entries; `missing`: names of fields that lead nowhere."""

    delegations: list[int]
    call: int | None
    parent: int | None
    missing: set[str]


class Call(NamedTuple):
    """The value of a call."""

    opened: bytes
    electors: int
    yes: int
    no: int
    abstained: int
    missing: list[str]
    refusals: int
    refused: list[list[bytes]]


def follow(evidence: Evidence, grant: Entry) -> Rests:
    """Find what a grant rests on; it serves."""
    ids = {entry.id: at for at, entry in enumerate(evidence.entries)}
    missing: set[str] = set()

    def find(field: str, kind: str, ident: bytes | None) -> int | None:
        if ident is None:
            return None
        at = ids.get(ident)
        if at is None or evidence.entries[at].kind != kind:
            missing.add(field)
            return None
        evidence.used.add(at)
        return at

    line: list[int] = []
    at = find("delegation", "delegation.give", grant.payload.get("delegation"))
    while at is not None:
        line.append(at)
        need(len(line) <= 16, "MALFORMED", "too long a chain")
        at = find("delegation", "delegation.give", evidence.entries[at].payload.get("parent"))
    call = find("call", "group.call", grant.payload.get("call"))
    return Rests(line, call, find("parent", "consent.grant", grant.payload.get("parent")), missing)


def first_of(rests: list[Rests], selection: str) -> int:
    """Return the grant that a consent is about: the one that no other passes on."""
    for each in rests:
        parent, steps = each.parent, 0
        while parent is not None:
            parent, steps = rests[parent].parent, steps + 1
            need(steps <= 16, "MALFORMED", "too long a line")
    above = {each.parent for each in rests}
    first = [at for at in range(len(rests)) if at not in above]
    need(selection != "consent" or len(first) == 1, "MALFORMED", "a consent has one grant")
    return first[0] if first else 0


def ended(entry: Entry) -> bytes:
    """Return the id of what an entry ends or refuses."""
    named: bytes = entry.payload.get("grant", b"")
    if entry.kind == "delegation.revoke":
        return _revoked(entry)
    if entry.kind == "group.refuse":
        named = entry.payload["call"]
    elif entry.kind == "consent.withdraw":
        grant = read_entry(named)
        same = (grant.kind, grant.thing, grant.mesh) == ("consent.grant", entry.thing, entry.mesh)
        need(same, "BAD_SIGNATURE", "another grant")
        need(entry.signer in _ending_keys(grant, entry.payload.get("via", ())), "BAD_SIGNATURE", "a stranger")
        named = grant.id
    return named


def _ending_keys(grant: Entry, via: list[bytes]) -> set[bytes]:
    handed, above = {grant.signer}, grant.payload.get("delegation")
    ending = {grant.signer, grant.payload["withdraw_key"]}
    for each in [read_entry(raw) for raw in via]:
        told = each.payload
        if each.kind == "consent.rekey":
            good = each.mesh == grant.mesh and told["grant"] == grant.id and each.signer in handed
            need(good, "BAD_SIGNATURE", "a rekey of another consent")
            handed.add(told["key"])
            ending |= {told["key"], told["withdraw_key"]}
        else:
            good = each.kind == "delegation.give" and each.mesh == grant.mesh and each.id == above
            need(good, "BAD_SIGNATURE", "what gives no key")
            above = told.get("parent")
            ending |= {each.signer, told["withdraw_key"]}
    return ending


def _revoked(entry: Entry) -> bytes:
    keys: set[bytes] = set()
    links = [read_entry(raw) for raw in entry.payload["links"]]
    above: bytes | None = links[0].id
    for at, link in enumerate(links):
        good = link.kind == "delegation.give" and link.id == above and link.mesh == entry.mesh
        need(good, "BAD_SIGNATURE", "a link that is none")
        above = link.payload.get("parent")
        keys |= {link.signer, link.payload["withdraw_key"]} | ({link.payload["delegate"]} if not at else set())
    need(links[0].thing == entry.thing and entry.signer in keys, "BAD_SIGNATURE", "a stranger revokes")
    return links[0].id


def opened(evidence: Evidence) -> dict[int, dict[str, Any]]:
    """Hold what opens amendments, calls and delegations to their slots."""
    found: dict[int, dict[str, Any]] = {}
    terms = [each for each in evidence.bundle.disclosed if each[0] >= evidence.grants]
    for listed, place, shapes in ((terms, SLOT, FIELDS), (evidence.bundle.bounds, BOUND, BOUNDS)):
        for at, shown in listed:
            slots = evidence.entries[at].payload["slots"]
            for salt, value, name in shown:
                digest = sha256(cbor.write(cbor.write([salt, value, name]))).digest()
                need(digest == slots[32 * place[name] :][:32], "DISCLOSURE_MISMATCH", name)
            need(all(shapes[name](value) for _, value, name in shown), "MALFORMED", "out of shape")
            found[at] = {name: value for _, value, name in shown}
    return found


def keys_of(entry: Entry) -> set[bytes]:
    """Return the ids of the keys of who gave a delegation."""
    return {entry.kid, curve.key_id(entry.payload["withdraw_key"])}


def delegation(value: bytes, given: Entry) -> tuple[bool, list[bytes], list[Any]]:
    """Read the value of a delegation: whether it is revoked, what decided, words on evidence."""
    told = of_map(value)
    good = DELEGATION_VALUE(told) and told[1] == given.payload["valid_until"]
    need(good and (told[0] == 0 or told[2] == [given.id]), "BAD_STATE_PROOF", "a delegation's value")
    return not told[0], told[2], told[3]


def call(value: bytes) -> Call:
    """Read the value of a call."""
    told = of_map(value)
    need(CALL_VALUE(told), "BAD_STATE_PROOF", "a call's value")
    found = Call(*told)
    good = len(found.refused) == min(found.refusals, 128) and found.yes + found.no + found.abstained <= found.electors
    need(good, "BAD_STATE_PROOF", "a call's value")
    return found


def fits_rules(value: Call, opened_: Entry, called: Entry) -> None:
    """Hold the counts of a call to the rules of its group."""
    rules, said = opened_.payload, value.yes + value.no
    voted = said + value.abstained
    short = {
        "quorum": voted == 0 or voted * 100 < rules["quorum_percent"] * value.electors,
        "critical_mass": value.electors < rules["critical_mass"],
    }
    if rules["decides"] == "persons":
        all_ = rules["majority_percent"] == 100
        short["majority"] = said == 0 or (
            value.yes < said if all_ else value.yes * 100 <= rules["majority_percent"] * said
        )
    same = all((name in value.missing) == lacks for name, lacks in short.items())
    need(same and (opened_.kid, opened_.thing) == (called.kid, called.thing), "BAD_STATE_PROOF", "the rules of a group")
