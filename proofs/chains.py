"""The questions about what a consent rests on: delegations, the call of a group, a parent consent; a row each.

How it works
    `audit_structure` asks what lies in signed entries and their opened content, and never changes: a delegation was
    given to the key that signed below it, ends no earlier, allows as many links and all that rests on it; a call was
    made by the group whose key signed, for this recipient, and its terms cover the grant's; a parent's recipient is the
    child's holder, it allows to be passed on so, and the child lies within it.
    `audit_standing` asks what the ticks say: the delegation stood, the group had agreed and the person had not refused,
    no amendment of the parent forbade to pass it on; and what has been since, by the brackets of consents. A parent has
    all the rows of a consent. `doubt` and `all_ends` give the same for a transfer, from the grant to the first consent
    above it. Bundles of older makers do not open the onward sharing of amendments: a transfer is in doubt then, the
    standing of the consent alone is told as not looked at.

What it does not do
    It counts no votes: the witnesses did, and the counts are held to the group's rules (frontiers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ledger.consent.group import ROLE
from ledger.consent.kinds import BY_LAW, PARENTS_MAX
from ledger.consent.status import DECIDED_MAX
from ledger.entry import Entry
from ledger.keys import did_key
from proofs.consents import ConsentAudit, Ended, bracket
from proofs.reasons import Reason
from proofs.report import utc
from proofs.resting import NAMES, keys_of, signers, speaker
from proofs.state import TickEvidence
from proofs.values import plain_value
from proofs.within import OF_CALL, OF_PARENT, Compared, beyond, passes_on, wider_bounds, wider_terms

GIVEN: Final = "the delegation was given to the key that signed below it, and allows all that rests on it"
CALLED: Final = "the consent was given under a call of the group that signed it, and within it"
PASSED_ON: Final = "the consent lies within the one that it passes on, which allows that"
STOOD: Final = "the delegation stood at the time asked for, as the witnesses knew it"
SINCE: Final = "the delegation has not been revoked since"
AGREED: Final = "the group had agreed, and the person had not refused, at the time asked for"
LEFT: Final = "the consent that it passes on, as narrowed by then, let it be passed on so at the time asked for"
STILL: Final = "the person has not refused since, nor has the outcome changed"
TOLD: Final = "what the newest tick says of it"
COUNTED: Final = "how each member of the group voted, and that each is one person: the witnesses attest the counts"
SHORT: Final = {
    "quorum": Reason.QUORUM_SHORT,
    "majority": Reason.MAJORITY_SHORT,
    "critical_mass": Reason.CRITICAL_MASS_SHORT,
}

Doubt = tuple[Reason, str, int]
"""Why something does not stand, in which words, and a time."""
NOT_HERE: Final = "the {} that it names is not carried"


# What never changes


def audit_structure(audit: ConsentAudit, shown: dict[str, Any]) -> None:
    """Ask whether a grant lies within what it rests on. `shown`: its disclosed values."""
    payload, note = audit.grant.payload, audit.note
    if not any(name in payload for name in NAMES):
        return
    rests: list[dict[str, Any]] = []
    audit.claims["rests_on"] = rests
    role = _delegations(audit, shown, rests)
    if "call" in payload or role == ROLE:
        doubt = _call(audit, shown, role, rests)
        audit.row("call", CALLED, doubt, f"entry {payload.get('call', b'').hex()}")
    if "parent" in payload:
        doubt = _parent(audit, shown)
        rests.append({"parent": payload["parent"].hex()})
        audit.row("parent", PASSED_ON, doubt, f"entry {payload['parent'].hex()}")
    if "delegation" in audit.rests.missing:
        name = f"delegation.{len(audit.rests.delegations) + 1}"
        note.failed(name, GIVEN, Reason.NOT_CARRIED, NOT_HERE.format("delegation"))


def _delegations(audit: ConsentAudit, shown: dict[str, Any], rests: list[dict[str, Any]]) -> str:
    """Ask about each delegation, from the nearest up; return the role of the nearest, "" where there is none."""
    evidence, grant = audit.evidence, audit.grant
    below, inner = grant, None
    role = ""
    for links, at in enumerate(audit.rests.delegations):
        entry, bounds = evidence.entries[at], evidence.contents.get(at, {})
        payload = entry.payload
        role = role or payload["role"]
        found = beyond(shown, grant.payload["recipient"], bounds) if inner is None else wider_bounds(inner, bounds)
        doubt = _link(entry, below, links) or _compared(found, Reason.DELEGATION_WIDER, Reason.DELEGATION_HIDDEN)
        told = {"role": payload["role"], "from": did_key(entry.signer), "to": did_key(payload["delegate"])}
        limits = {name: plain_value(value) for name, value in bounds.items() if value is not None}
        clear = {"valid_until": payload["valid_until"], "depth": payload["depth"], "evidence": papers(payload)}
        rests.append({"delegation": entry.id.hex(), **told, **clear, "bounds": limits})
        words = f"as {payload['role']} until {utc(payload['valid_until'])}, {payload['depth']} more may follow"
        words += f", bounded by {', '.join(limits) or 'nothing'}; entry {entry.id.hex()}"
        audit.row(f"delegation.{links + 1}", GIVEN, doubt, words, entry.iat)
        below, inner = entry, bounds
    return role


def papers(payload: Mapping[str, Any]) -> list[str]:
    """Return the hashes of the papers that a delegation names: a mandate, a judgment."""
    return [digest.hex() for digest in payload.get("evidence", ())]


def _link(entry: Entry, below: Entry, links: int) -> tuple[Reason, str] | None:
    """Hold what rests on a delegation, a grant or another one, to its clear fields. `links`: how many follow."""
    payload, ends = entry.payload, below.payload["valid_until"]
    if payload["delegate"] != below.signer:
        return Reason.DELEGATION_NOT_YOURS, f"given to {did_key(payload['delegate'])}, used by {below.kid.hex()}"
    if payload["depth"] < links:
        return Reason.DELEGATION_TOO_DEEP, f"{links} follow, it allows {payload['depth']}"
    if payload["valid_until"] < ends:
        return Reason.DELEGATION_EXPIRED, f"it ends {utc(payload['valid_until'])}, what rests on it {utc(ends)}"
    return None


def _compared(found: Compared, wider: Reason, hidden: Reason) -> tuple[Reason, str] | None:
    if found.wider:
        return wider, f"wider: {', '.join(found.wider)}"
    if found.hidden:
        return hidden, f"not disclosed: {', '.join(found.hidden)}"
    return None


def _call(
    audit: ConsentAudit, shown: dict[str, Any], role: str, rests: list[dict[str, Any]]
) -> tuple[Reason, str] | None:
    """Hold a grant to the call of its group. A group's delegation is good for nothing else."""
    payload, at = audit.grant.payload, audit.rests.call
    if "call" not in payload:
        return Reason.CALL_OTHER, "a delegation to a group is good for its calls alone"
    rests.append({"call": payload["call"].hex()})
    if at is None or (not role and "delegation" in audit.rests.missing):
        return Reason.NOT_CARRIED, NOT_HERE.format("call" if at is None else "delegation to the group")
    call = audit.evidence.entries[at]
    rests[-1].update({name: call.payload[name] for name in ("title", "opens", "closes")})
    if COUNTED not in audit.note.unshown:
        audit.note.unshown.append(COUNTED)
    if role != ROLE or call.signer != audit.grant.signer or call.thing[1] != call.kid:
        return Reason.CALL_OTHER, f"the call is by {did_key(call.signer)}"
    if call.payload["recipient"] != payload["recipient"]:
        return Reason.CALL_WIDER, "wider: recipient"
    if payload["valid_until"] > call.payload["valid_until"]:
        return Reason.CALL_WIDER, "wider: valid_until"
    found = wider_terms(shown, audit.evidence.contents.get(at, {}), OF_CALL)
    return _compared(found, Reason.CALL_WIDER, Reason.CALL_HIDDEN)


def _parent(audit: ConsentAudit, shown: dict[str, Any]) -> tuple[Reason, str] | None:
    """Hold a child to its parent."""
    evidence, payload, above = audit.evidence, audit.grant.payload, audit.above()
    if above is None:
        return Reason.NOT_CARRIED, NOT_HERE.format("parent")
    parent, values = above.grant.payload, above.values()
    if parent["recipient"] != payload["holder"]:
        return Reason.PARENT_OTHER, "its recipient is not the holder of this one"
    spoken, (had, named) = speaker(evidence, audit.at), _handed(above)
    if spoken not in {above.grant.kid, signers(evidence, above.at), *had} and not _speaks_for_holder(audit, spoken):
        if named:
            return Reason.NOT_CARRIED, "its parent was handed on, and no tick says whether to whoever signed it"
        if "delegation" in audit.rests.missing or _is_incomplete(above):
            return Reason.NOT_CARRIED, "in whose name it was signed, an entry says that is not carried"
        return Reason.PARENT_OTHER, f"signed in the name of {spoken.hex()}"
    if len(list(_line(audit))) > PARENTS_MAX:
        return Reason.SHARING_FORBIDDEN, f"it was passed on more than {PARENTS_MAX} times"
    own, rule = shown.get("onward_sharing"), values.get("onward_sharing")
    if own is not None and rule is not None and not passes_on(own, payload["recipient"], rule):
        return Reason.SHARING_FORBIDDEN, f"onward sharing: {rule['mode']}"
    if payload["valid_until"] > parent["valid_until"]:
        return Reason.PARENT_WIDER, "wider: valid_until"
    found = wider_terms(shown, values, OF_PARENT)
    hidden = found.hidden if own is not None and rule is not None else (*found.hidden, "onward_sharing")
    return _compared(Compared(found.wider, hidden), Reason.PARENT_WIDER, Reason.PARENT_HIDDEN)


def _handed(audit: ConsentAudit) -> tuple[set[bytes], set[bytes]]:
    """Return the ids of the keys that had a consent handed on to them, and of all that some tick names as such (C7).

    What came from a key that handed it on twice counts no more: then that key alone had it, by the newest tick.
    """
    values = [audit.value(tick) for tick in audit.ticks]
    named = {kid for value in values for kid in (value.key, value.contested) if kid not in (None, audit.grant.kid)}
    contested = values[-1].contested
    return named if contested is None else named & {contested}, named


def _line(audit: ConsentAudit) -> Iterator[ConsentAudit]:
    """Yield the consents above one, the nearest first."""
    above = audit.above()
    while above is not None:
        yield above
        above = above.above()


def _is_incomplete(audit: ConsentAudit) -> bool:
    return any(each.rests.missing & {"delegation", "parent"} for each in (audit, *_line(audit)))


def _speaks_for_holder(audit: ConsentAudit, kid: bytes) -> bool:
    """Say whether a key is a device of the holder's, as some tick lists it, or a tenant's own."""
    party = tuple(audit.grant.payload["holder"])
    if party[1] == 0:
        return bool(kid == party[0])
    members = (tick.members.get(party[0]) for tick in audit.evidence.ticks)
    return any(member is not None and member.incarnation == party[1] and kid in member.feeds for member in members)


# What the ticks say


def audit_standing(audit: ConsentAudit, tick: TickEvidence, asked: int) -> None:
    """Ask whether delegations and the call stood at the time asked for by a tick, and what has been since."""
    newest = audit.ticks[-1]
    for number, at in enumerate(audit.rests.delegations, 1):
        name = f"delegation.{number}"
        audit.stood(f"{name}.active", STOOD, _delegation(audit, at, tick), tick.boundary)
        known = tick.delegations.get(at)
        if known is None or not known.ended:
            audit.since(f"{name}.status", SINCE, _revoked(audit, at), asked)
    if audit.rests.call is not None:
        audit.stood("call.active", AGREED, _called(audit, tick, asked), tick.boundary, _counts(audit, tick))
        refused, now = _refused(audit), _called(audit, newest, asked)
        if not _refusals(audit, tick):
            changed = now if refused is None and now is not None and now[0] in SHORT.values() else None
            audit.since("call.status", STILL, refused, asked, changed)
    above = audit.above()
    if above is not None and above.amendments(tick):
        found = _narrowed(audit, above, tick)
        if found is not None and found[0] is Reason.AMENDMENT_HIDDEN:
            audit.note.skipped("parent.active", LEFT, found[1])
        else:
            audit.stood("parent.active", LEFT, found, tick.boundary)


def audit_told(audit: ConsentAudit) -> None:
    """Say what the newest tick says of delegations and calls, where no time is asked for."""
    newest = audit.ticks[-1]
    for number, at in enumerate(audit.rests.delegations, 1):
        audit.stood(f"delegation.{number}.status", TOLD, _delegation(audit, at, newest), newest.boundary, told=True)
    if audit.rests.call is not None:
        doubt = _called(audit, newest, newest.boundary)
        audit.stood("call.status", TOLD, doubt, newest.boundary, _counts(audit, newest), told=True)


def doubt(audit: ConsentAudit, tick: TickEvidence, began: int, at: int) -> Doubt | None:
    """Return why what a consent rests on did not stand at a time by a tick, or None. `began`: not after `at`."""
    for number in audit.rests.delegations:
        found = _delegation(audit, number, tick)
        if found is not None:
            return found
    if audit.rests.call is not None:
        found = _called(audit, tick, at)
        if found is not None:
            return found
    above = audit.above()
    if above is None:
        return None
    found = above.why_not(tick, above.values(), began, at) or _narrowed(audit, above, tick)
    return found or doubt(above, tick, began, at)


def _narrowed(audit: ConsentAudit, above: ConsentAudit, tick: TickEvidence) -> Doubt | None:
    """Return why a parent, as narrowed by a tick, does not let this consent pass its data on, or None."""
    own, recipient, when = audit.values().get("onward_sharing"), audit.grant.payload["recipient"], tick.boundary
    rules = [each.get("onward_sharing") for each in above.amendments(tick)]
    for rule in rules:
        if own is not None and rule is not None and not passes_on(own, recipient, rule):
            return Reason.SHARING_FORBIDDEN, f"onward sharing, narrowed as of {utc(when)}: {rule['mode']}", when
    if None in rules:
        return Reason.AMENDMENT_HIDDEN, "not disclosed of an amendment of the parent: onward_sharing", when
    return None


def all_ends(audit: ConsentAudit) -> Iterator[Ended]:
    """Yield how a consent ended by the newest tick, and how what it rests on did."""
    ends = [audit.ended(), *(_revoked(audit, at) for at in audit.rests.delegations)]
    ends.append(_refused(audit) if audit.rests.call is not None else None)
    yield from (each for each in ends if each is not None)
    above = audit.above()
    if above is not None:
        yield from all_ends(above)


def _delegation(audit: ConsentAudit, at: int, tick: TickEvidence) -> Doubt | None:
    """Return why a delegation did not stand by a tick, or None."""
    value, payload = tick.delegations.get(at), audit.evidence.entries[at].payload
    when = utc(tick.boundary)
    if value is None:
        return Reason.DELEGATION_NOT_SHOWN, f"the tick of {when} does not show it", tick.boundary
    if value.ended:
        return Reason.DELEGATION_REVOKED, f"revoked as of {when}", tick.boundary
    if payload["role"] in BY_LAW:
        holder, papers = tuple(audit.grant.payload["holder"]), payload.get("evidence", ())
        words = {state for paper, party, state in value.checked if paper in papers and party == holder}
        if "checked_ok" not in words or "checked_ko" in words:
            return Reason.DELEGATION_UNPROVEN, f"the holder has not found its evidence good as of {when}", tick.boundary
    return None


def _revoked(audit: ConsentAudit, at: int) -> Ended | None:
    value = audit.ticks[-1].delegations.get(at)
    if value is None or not value.ended:
        return None
    named = [each for each in audit.evidence.endings(audit.evidence.entries[at].id) if _is_in(audit, each, value)]
    return Ended("REVOKED", *bracket(audit, named, len(value.decided_by) < DECIDED_MAX), Reason.DELEGATION_REVOKED)


def _is_in(audit: ConsentAudit, at: int, value: Any) -> bool:
    return audit.evidence.entries[at].id in value.decided_by


def _called(audit: ConsentAudit, tick: TickEvidence, asked: int) -> Doubt | None:
    """Return why a call did not allow the consent at a time, by a tick, or None."""
    at = audit.rests.call
    assert at is not None, "the caller has looked"
    value, closes, when = tick.calls.get(at), audit.evidence.entries[at].payload["closes"], tick.boundary
    if value is None:
        return Reason.CALL_NOT_SHOWN, f"the tick of {utc(when)} does not show it", when
    if _refusals(audit, tick):
        return Reason.CALL_REFUSED, f"she had refused as of {utc(when)}", when
    if asked <= closes:
        return Reason.CALL_OPEN, f"it closes {utc(closes)}, asked for {utc(asked)}", closes
    if when < closes:
        return Reason.CALL_NOT_SHOWN, f"it closes {utc(closes)}, the tick is of {utc(when)}", when
    if value.opened not in audit.evidence.numbers:
        return Reason.NOT_CARRIED, NOT_HERE.format("group's word on how it decides"), when
    if value.missing:
        return SHORT[value.missing[0]], _counts(audit, tick), when
    if value.refusals > len(value.refused):
        return Reason.CALL_NOT_SHOWN, f"{value.refusals} refused, the state names {len(value.refused)} of them", when
    return None


def _counts(audit: ConsentAudit, tick: TickEvidence) -> str:
    """Return what the votes came to, in words."""
    value = None if audit.rests.call is None else tick.calls.get(audit.rests.call)
    if value is None:
        return ""
    votes = f"{value.yes} yes, {value.no} no, {value.abstained} abstained"
    lacks = f"; short of {', '.join(value.missing)}" if value.missing else ""
    return f"of {value.electors} who may vote: {votes}; {value.refusals} refused{lacks}"


def _refusals(audit: ConsentAudit, tick: TickEvidence) -> list[bytes]:
    """Return the ids of the refusals of the call by the person of the grant that a tick names."""
    value = None if audit.rests.call is None else tick.calls.get(audit.rests.call)
    if value is None or not audit.rests.delegations:
        return []
    keys = keys_of(audit.evidence.entries[audit.rests.delegations[0]])
    return [ident for kid, ident in value.refused if kid in keys]


def _refused(audit: ConsentAudit) -> Ended | None:
    named = _refusals(audit, audit.ticks[-1])
    numbers = audit.evidence.numbers
    places = sorted({numbers[ident] for ident in named if ident in numbers})
    return Ended("REFUSED", *bracket(audit, places, True), Reason.CALL_REFUSED) if places else None
