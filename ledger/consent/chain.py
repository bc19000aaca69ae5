"""What a consent rests on, followed upwards and held together: delegations, parent consents, the call of a group.

How it works
    `chain` begins at a grant and goes from entry to entry. What it checks never changes, since it lies in signed
    entries and their sealed content:
      a delegation was given to the key that signed below it, ends no earlier than what rests on it, allows as many
      links below it as there are, and bounds all of it: the grant lies within the bounds of the nearest link, and each
      link's within those of the one above;
      a parent's recipient is the child's holder; the parent allows to be passed on so; the child lies within it, and
      within its amendments; it was signed by the person (with a key that the parent had or was handed to), or by the
      parent's recipient;
      a group's call was made by the key that signed the grant, for this recipient, and its terms cover the grant's.
    The result is the links with their ends, or the first fault. What the ledger says of each link changes, and is
    filled in later (`Candidate.as_of`): `delegation_stands` and `parent_stands` put that into the gate's words.

What it does not do
    It reads no store: `Source` finds entries and their content. It does not say whether a link still stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ledger.consent import disclosure
from ledger.consent.bounds import Bounds, beyond, wider_bounds
from ledger.consent.delegation import Delegation
from ledger.consent.disclosure import Disclosures
from ledger.consent.grant import OWN_INFORMATION, RecipientClass, read_party, read_recipient, wider_fields
from ledger.consent.kinds import BY_LAW, PARENTS_MAX
from ledger.consent.reasons import Reason
from ledger.consent.record import Terms
from ledger.consent.scope import STANDS, Link, Proof, Rest, Scope, Standing, compile_terms, proof_of
from ledger.consent.status import Party, State, Status
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.schema import TIME_MAX

LINKS_MAX: Final = 9
"""Delegations from a grant up to the person: the first and DELEGATION_DEPTH_MAX below it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a chain is found. `entry(id)`: a verified entry; `content(id)`: what opens it; None for what is not here.

    `amended(id)`: the amendments of a grant that the ledger knows. `party_of(kid)`: whom a signer speaks for.
    `keys(id)`: ids of the keys that a grant was handed to, up to a key that handed it on twice (C7).
    """

    entry: Callable[[bytes], Entry | None]
    content: Callable[[bytes], Disclosures | None]
    amended: Callable[[bytes], tuple[bytes, ...]]
    party_of: Callable[[bytes], Party]
    keys: Callable[[bytes], tuple[bytes, ...]] = lambda _: ()


@dataclass(frozen=True, slots=True)
class Chain:
    """What a grant rests on: links upwards, the key ids that it speaks for, and what narrows it from above."""

    links: tuple[Link, ...]
    signers: tuple[bytes, ...]
    narrowing: tuple[Scope, ...] = ()


def opened(entry: Entry, disclosures: Disclosures | None) -> Terms | Reason:
    """Return the terms of a grant, an amendment or a call, or why they are not to be had."""
    if disclosures is None:
        return Reason.DISCLOSURE_MISSING
    try:
        disclosure.check(disclosures, entry.payload["slots"])
        return disclosures.terms()
    except RemoteError as error:
        return Reason.DISCLOSURE_MISSING if error.code == "DISCLOSURE_MISSING" else Reason.BAD_TERMS


def chain(grant: Entry, terms: Terms, source: Source, *, depth: int = 0) -> Chain | Reason:
    """Return what a grant rests on, or the first fault. `terms`: of the grant itself, without its amendments."""
    links: list[Link] = []
    speaker, role = grant.kid, ""
    if "delegation" in grant.payload:
        delegated = _delegations(grant, terms, source)
        if isinstance(delegated, Reason):
            return delegated
        links, speaker, role = delegated
    call = _call(grant, terms, source, role)
    if isinstance(call, Reason):
        return call
    if "parent" not in grant.payload:
        return Chain((*links, *call), (speaker,))
    parent = _parent(grant, terms, source, speaker, depth)
    if isinstance(parent, Reason):
        return parent
    return Chain((*links, *call, *parent.links), parent.signers, parent.narrowing)


def _delegations(grant: Entry, terms: Terms, source: Source) -> tuple[list[Link], bytes, str] | Reason:
    """Return the delegations from the grant up, the id of the key that gave the first one, and the nearest's role."""
    links: list[Link] = []
    ident, signer, ends = grant.payload["delegation"], grant.signer, grant.payload["valid_until"]
    below: Bounds | None = None
    role, root, holder = "", grant, read_party(grant.payload["holder"])
    while ident is not None:
        entry = source.entry(ident)
        if entry is None or entry.kind != "delegation.give" or entry.mesh_id != grant.mesh_id:
            return Reason.CHAINED
        payload = entry.payload
        if payload["delegate"] != signer:
            return Reason.DELEGATION_NOT_YOURS
        if payload["valid_until"] < ends or payload["depth"] < len(links) or len(links) >= LINKS_MAX:
            return Reason.DELEGATION_WIDER
        bounds = _bounds(entry, source.content(ident))
        if bounds is None:
            return Reason.DELEGATION_HIDDEN
        recipient = read_recipient(grant.payload["recipient"])
        if beyond(terms, recipient, bounds) if below is None else wider_bounds(below, bounds):
            return Reason.DELEGATION_WIDER
        needed = tuple(payload.get("evidence", ())) if payload["role"] in BY_LAW else None
        links.append(Link(Rest.DELEGATION, ident, payload["valid_until"], evidence=needed, checker=holder))
        role = role or payload["role"]
        below, signer, ends, root = bounds, entry.signer, payload["valid_until"], entry
        ident = payload.get("parent")
    return links, root.kid, role


def _bounds(entry: Entry, disclosures: Disclosures | None) -> Bounds | None:
    if disclosures is None:
        return None
    try:
        disclosure.check(disclosures, entry.payload["slots"])
        return disclosures.bounds()
    except RemoteError:
        return None


def _call(grant: Entry, terms: Terms, source: Source, role: str) -> tuple[Link, ...] | Reason:
    """Hold a grant to the call of the group that it was given under. A group's delegation is good for nothing else."""
    payload = grant.payload
    if "call" not in payload:
        return Reason.DELEGATION_WIDER if role == "group" else ()
    entry = source.entry(payload["call"])
    if entry is None or entry.kind != "group.call" or entry.mesh_id != grant.mesh_id:
        return Reason.CHAINED
    if role != "group" or entry.signer != grant.signer:
        return Reason.DELEGATION_NOT_YOURS
    asked = opened(entry, source.content(entry.id))
    if isinstance(asked, Reason):
        return Reason.DELEGATION_HIDDEN
    called = entry.payload
    clear = called["recipient"] != payload["recipient"] or payload["valid_until"] > called["valid_until"]
    # The call says what is asked of all; whose points they are is each member's own.
    if clear or wider_fields(terms, replace(asked, points=terms.points)):
        return Reason.DELEGATION_WIDER
    return (Link(Rest.CALL, entry.id, TIME_MAX, under=payload["delegation"]),)


def _parent(grant: Entry, terms: Terms, source: Source, speaker: bytes, depth: int) -> Chain | Reason:
    """Hold a child to its parent, and the parent to what it rests on itself."""
    entry = source.entry(grant.payload["parent"])
    if entry is None or entry.kind != "consent.grant" or entry.mesh_id != grant.mesh_id or depth >= PARENTS_MAX:
        return Reason.CHAINED
    recipient = read_recipient(entry.payload["recipient"])
    if recipient != read_party(grant.payload["holder"]):
        return Reason.PARENT_OTHER
    above = opened(entry, source.content(entry.id))
    if isinstance(above, Reason):
        return Reason.PARENT_HIDDEN
    rests = chain(entry, above, source, depth=depth + 1)
    if isinstance(rests, Reason):
        return rests
    if speaker not in (entry.kid, *rests.signers, *source.keys(entry.id)) and source.party_of(speaker) != recipient:
        return Reason.PARENT_OTHER
    if not may_pass_on(terms, grant, above):
        return Reason.SHARING_FORBIDDEN
    wider = set(wider_fields(terms, above)) - OWN_INFORMATION
    if wider or grant.payload["valid_until"] > entry.payload["valid_until"]:
        return Reason.PARENT_WIDER
    amendments = source.amended(entry.id)
    narrowing: list[Scope] = []
    ends = compile_terms(above, entry.payload["valid_until"], informed=True).ends
    for ident in amendments:
        amendment = source.entry(ident)
        also = Reason.DISCLOSURE_MISSING if amendment is None else opened(amendment, source.content(ident))
        if amendment is None or isinstance(also, Reason):
            return Reason.PARENT_HIDDEN
        if not may_pass_on(terms, grant, also):
            return Reason.SHARING_FORBIDDEN
        until = amendment.payload.get("valid_until", entry.payload["valid_until"])
        narrowing.append(compile_terms(also, until, informed=True))
        ends = min(ends, narrowing[-1].ends)
    paper = () if "transcribed" in entry.payload else None
    link = Link(Rest.PARENT, entry.id, ends, amended=frozenset(amendments), evidence=paper)
    return Chain((link, *rests.links), rests.signers, (*narrowing, *rests.narrowing))


def may_pass_on(child: Terms, grant: Entry, parent: Terms) -> bool:
    """Say whether a parent's terms allow that this child passes the data on: readings, so not `aggregate_only`."""
    rule, own = parent.onward_sharing, child.onward_sharing
    if rule.mode == "none" or rule.aggregate_only:
        return False
    if rule.source_contract and own.source_contract != rule.source_contract:
        return False
    if rule.mode == "listed":
        recipient = read_recipient(grant.payload["recipient"])
        listed = {actor.party for actor in rule.listed}
        inside = not isinstance(recipient, RecipientClass) and recipient in listed
        return inside and (own.mode == "none" or (own.mode == "listed" and set(own.listed) <= set(rule.listed)))
    return own.mode == "none" or (own.mode == "depth" and own.depth < rule.depth)


def delegation_stands(link: Link, told: Delegation | None) -> Standing | None:
    """Return what the ledger says of a link that is a delegation. `told`: of that delegation."""
    if told is None:
        return None
    if not told.live:
        return Standing(Reason.DELEGATION_REVOKED, told.decided_by)
    if link.evidence is not None:
        states = {word.state for word in told.checked if word.evidence in link.evidence and word.party == link.checker}
        if "checked_ok" not in states or "checked_ko" in states:
            return _UNPROVEN
    return STANDS


def parent_stands(link: Link, told: Status | None) -> Standing | None:
    """Return what the ledger says of a link that is a parent consent. `told`: of that consent."""
    if told is None:
        return None
    if told.state is not State.GRANTED:
        return Standing(Reason.PARENT_ENDED, told.decided_by)
    if not link.amended.issuperset(told.amended):
        return _NARROWED  # since the child was compiled
    if link.evidence is not None and proof_of(told) is not Proof.CHECKED:
        return _UNCHECKED
    return STANDS


_UNPROVEN: Final = Standing(Reason.DELEGATION_UNPROVEN)
_NARROWED: Final = Standing(Reason.PARENT_HIDDEN)
_UNCHECKED: Final = Standing(Reason.EVIDENCE_PENDING)
