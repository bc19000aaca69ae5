"""The rows about what a consent rests on, and about what was added to it, by RULES.md ("Rows").

How it works
    `structure` gives the rows that no tick is asked for, `added` those of amendments and signatures, `stood` those of
    a time; `doubt` and `ends` serve transfers. A row is (name, code or None).

What it does not do
    It decides no verdict (questions).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tests.proofs.second import within
from tests.proofs.second.rests import keys_of
from tests.proofs.second.state import Tick

if TYPE_CHECKING:
    from tests.proofs.second.evidence import Evidence
    from tests.proofs.second.questions import Auditor

Row = tuple[str, str | None]
SHORT: Final = {"quorum": "QUORUM_SHORT", "majority": "MAJORITY_SHORT", "critical_mass": "CRITICAL_MASS_SHORT"}


def values_of(evidence: Evidence, at: int) -> dict[str, Any]:
    """Return the disclosed values of a grant; none where one of them is false or out of shape."""
    from tests.proofs.second.flows import slot
    from tests.proofs.second.shapes import FIELDS, SLOT

    slots = evidence.entries[at].payload["slots"]
    shown = dict(evidence.bundle.disclosed).get(at, [])
    good = all(slot(salt, value, name) == slots[32 * SLOT[name] :][:32] for salt, value, name in shown)
    good = good and all(FIELDS[name](value) for _, value, name in shown)
    return {name: value for _, value, name in shown} if good else {}


def _code(found: within.Found, wider: str, hidden: str) -> str | None:
    return wider if found[0] else hidden if found[1] else None


def structure(evidence: Evidence, at: int, shown: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of delegations, call and parent."""
    payload, rests = evidence.entries[at].payload, evidence.rests[at]
    below, inner, role = evidence.entries[at], None, ""
    for links, number in enumerate(rests.delegations):
        entry, bounds = evidence.entries[number], evidence.contents.get(number, {})
        told = entry.payload
        role = role or told["role"]
        found = within.attenuates(inner, bounds) if links and inner is not None else None
        found = within.beyond(shown, payload["recipient"], bounds) if found is None else found
        code = _code(found, "DELEGATION_WIDER", "DELEGATION_HIDDEN")
        if told["valid_until"] < below.payload["valid_until"]:
            code = "DELEGATION_EXPIRED"
        if told["depth"] < links:
            code = "DELEGATION_TOO_DEEP"
        if told["delegate"] != below.signer:
            code = "DELEGATION_NOT_YOURS"
        yield f"delegation.{links + 1}", code
        below, inner = entry, bounds
    if "call" in payload or role == "group":
        yield "call", _call(evidence, at, shown, role)
    if "parent" in payload:
        yield "parent", _parent(evidence, at, shown)
    if "delegation" in rests.missing:
        yield "delegation", "NOT_CARRIED"


def _call(evidence: Evidence, at: int, shown: dict[str, Any], role: str) -> str | None:
    grant, rests = evidence.entries[at], evidence.rests[at]
    if "call" not in grant.payload:
        return "CALL_OTHER"
    if rests.call is None or (not role and "delegation" in rests.missing):
        return "NOT_CARRIED"
    call = evidence.entries[rests.call]
    if role != "group" or call.signer != grant.signer or call.thing[1] != call.kid:
        return "CALL_OTHER"
    same = call.payload["recipient"] == grant.payload["recipient"]
    if not same or grant.payload["valid_until"] > call.payload["valid_until"]:
        return "CALL_WIDER"
    return _code(within.terms(shown, evidence.contents.get(rests.call, {}), {"points"}), "CALL_WIDER", "CALL_HIDDEN")


def _speaker(evidence: Evidence, at: int) -> bytes:
    line = evidence.rests[at].delegations
    return evidence.entries[line[-1] if line else at].kid


def above(evidence: Evidence, at: int) -> list[int]:
    """Return the parents of a grant, upwards."""
    found: list[int] = []
    parent = evidence.rests[at].parent
    while parent is not None:
        found.append(parent)
        parent = evidence.rests[parent].parent
    return found


def _parent(evidence: Evidence, at: int, shown: dict[str, Any]) -> str | None:
    grant, parent = evidence.entries[at].payload, evidence.rests[at].parent
    if parent is None:
        return "NOT_CARRIED"
    told, values = evidence.entries[parent], values_of(evidence, parent)
    if told.payload["recipient"] != grant["holder"]:
        return "PARENT_OTHER"
    line, spoken = above(evidence, at), _speaker(evidence, at)
    signs = spoken in (told.kid, _speaker(evidence, line[-1])) or _of_holder(evidence, grant["holder"], spoken)
    listed = [tick.grants[parent] for tick in evidence.ticks if parent in tick.grants]
    handed = {each.key for each in listed} | {each.contested for each in listed}
    handed -= {None, told.kid}
    twice = listed[-1].contested
    if not signs and not (spoken in handed and twice in (None, spoken)):
        missing = evidence.rests[at].missing.union(*(evidence.rests[each].missing for each in line))
        first = "delegation" in evidence.rests[at].missing
        return "NOT_CARRIED" if handed or first or missing & {"delegation", "parent"} else "PARENT_OTHER"
    own, rule = shown.get("onward_sharing"), values.get("onward_sharing")
    open_ = own is not None and rule is not None
    if len(line) > 8 or (open_ and not within.passes_on(own or {}, grant["recipient"], rule or {})):
        return "SHARING_FORBIDDEN"
    if grant["valid_until"] > told.payload["valid_until"]:
        return "PARENT_WIDER"
    wider, hidden = within.terms(shown, values, within.INFORMATION)
    return _code((wider, hidden or not open_), "PARENT_WIDER", "PARENT_HIDDEN")


def _of_holder(evidence: Evidence, holder: list[Any], kid: bytes) -> bool:
    if holder[1] == 0:
        return bool(kid == holder[0])
    people = [tick.people[holder[0]] for tick in evidence.ticks if holder[0] in tick.people]
    return any(person[0] == holder[1] and kid in person[2] for person in people)


# What was added


def added(evidence: Evidence, at: int, shown: dict[str, Any], tick: Tick, newest: Tick) -> Iterator[Row]:
    """Yield the rows of amendments and signatures."""
    grant, entries = evidence.entries[at], evidence.entries
    numbers = {entry.id: n for n, entry in enumerate(entries) if entry.kind == "consent.amend"}
    contents = {ident: evidence.contents.get(numbers.get(ident, -1), {}) for ident in newest.grants[at].amended}
    if contents:
        code = None
        if any(name in shown and name not in told for told in contents.values() for name in within.NARROWED):
            code = "AMENDMENT_HIDDEN"
        if any(within.leaves_nothing(shown, contents.get(ident, {})) for ident in tick.grants[at].amended):
            code = "NOTHING_LEFT"
        if not contents.keys() <= numbers.keys():
            code = "NOT_CARRIED"
        yield "amended", code
    if "required_parties" in grant.payload and tick.grants[at].state == 1:
        own = [entry for entry in entries if entry.kind == "consent.sign" and entry.payload["grant"] == grant.id]
        yield "signed", None if set(tick.grants[at].signed) <= {entry.kid for entry in own} else "NOT_CARRIED"


def narrowing(evidence: Evidence, at: int, tick: Tick) -> list[dict[str, Any]]:
    """Return what opens the amendments of a grant and of its parents, as a tick knows them."""
    found = []
    for grant in (at, *above(evidence, at)):
        named = tick.grants[grant].amended if grant in tick.grants else []
        found += [evidence.contents.get(n, {}) for n, entry in enumerate(evidence.entries) if entry.id in named]
    return found


# What ticks say


def stood(auditor: Auditor, at: int, tick: Tick, newest: Tick, asked: int) -> Iterator[Row]:
    """Yield the rows of delegations and the call at a time."""
    rests = auditor.evidence.rests[at]
    for links, number in enumerate(rests.delegations, 1):
        yield f"delegation.{links}.active", _delegation(auditor.evidence, at, number, tick)
        known = tick.delegations.get(number)
        if known is None or not known[0]:
            end = _revoked(auditor, number, newest)
            yield f"delegation.{links}.status", None if end is None else auditor.placed(end, asked)
    if rests.call is not None:
        yield "call.active", _called(auditor.evidence, at, tick, asked)
        if not _refusals(auditor.evidence, at, tick):
            end, now = _refused(auditor, at, newest), _called(auditor.evidence, at, newest, asked)
            changed = now if now in SHORT.values() else None
            yield "call.status", changed if end is None else auditor.placed(end, asked)
    code = _narrowed(auditor.evidence, at, tick)
    yield "parent.active", None if code == "AMENDMENT_HIDDEN" else code


def doubt(auditor: Auditor, at: int, tick: Tick, began: int, ended: int) -> str | None:
    """Return why what a grant rests on did not stand for a transfer, by a tick."""
    evidence, rests = auditor.evidence, auditor.evidence.rests[at]
    for number in rests.delegations:
        code = _delegation(evidence, at, number, tick)
        if code is not None:
            return code
    code = None if rests.call is None else _called(evidence, at, tick, ended)
    if code is not None or rests.parent is None:
        return code
    why = auditor.why_not(rests.parent, values_of(evidence, rests.parent), tick, ended, began)
    return why or _narrowed(evidence, at, tick) or doubt(auditor, rests.parent, tick, began, ended)


def _narrowed(evidence: Evidence, at: int, tick: Tick) -> str | None:
    """Return whether the parent's amendments, as a tick knows them, keep a child from passing on, or hide it."""
    parent = evidence.rests[at].parent
    told = tick.grants.get(parent) if parent is not None else None
    amended = [n for n, entry in enumerate(evidence.entries) if told is not None and entry.id in told.amended]
    contents = [evidence.contents.get(n, {}) for n in amended]
    own, recipient = values_of(evidence, at).get("onward_sharing"), evidence.entries[at].payload["recipient"]
    ruled = [each["onward_sharing"] for each in contents if "onward_sharing" in each]
    if own is not None and not all(within.passes_on(own, recipient, rule) for rule in ruled):
        return "SHARING_FORBIDDEN"
    return "AMENDMENT_HIDDEN" if len(ruled) < len(contents) else None


End = tuple[int, int, str]
"""Lower bound, upper bound, the code of one long past."""


def ends(auditor: Auditor, at: int, newest: Tick) -> Iterator[End]:
    """Yield the ends of a grant and of all that it rests on, as the newest tick names them."""
    rests = auditor.evidence.rests[at]
    if newest.grants[at].state in (3, 4):
        yield (*auditor.end(at, newest), "REVOKED")
    found = [_revoked(auditor, number, newest) for number in rests.delegations]
    found += [_refused(auditor, at, newest)] if rests.call is not None else []
    yield from (each for each in found if each is not None)
    if rests.parent is not None:
        yield from ends(auditor, rests.parent, newest)


def _delegation(evidence: Evidence, at: int, number: int, tick: Tick) -> str | None:
    value, payload = tick.delegations.get(number), evidence.entries[number].payload
    if value is None:
        return "DELEGATION_NOT_SHOWN"
    if value[0]:
        return "DELEGATION_REVOKED"
    if payload["role"] in ("guardian", "carer"):
        holder, papers = evidence.entries[at].payload["holder"], payload.get("evidence", [])
        words = {state for paper, *party, state in value[2] if paper in papers and party == holder}
        return None if 1 in words and 2 not in words else "DELEGATION_UNPROVEN"
    return None


def _revoked(auditor: Auditor, number: int, newest: Tick) -> End | None:
    value = newest.delegations.get(number)
    if value is None or not value[0]:
        return None
    return (*auditor.bracket(value[1], newest), "DELEGATION_REVOKED")


def _refusals(evidence: Evidence, at: int, tick: Tick) -> list[bytes]:
    rests = evidence.rests[at]
    value = None if rests.call is None else tick.calls.get(rests.call)
    if value is None or not rests.delegations:
        return []
    keys = keys_of(evidence.entries[rests.delegations[0]])
    return [ident for kid, ident in value.refused if kid in keys]


def _refused(auditor: Auditor, at: int, newest: Tick) -> End | None:
    named = _refusals(auditor.evidence, at, newest)
    return (*auditor.bracket(named, newest, complete=True), "CALL_REFUSED") if named else None


def _called(evidence: Evidence, at: int, tick: Tick, asked: int) -> str | None:
    number = evidence.rests[at].call
    value = None if number is None else tick.calls.get(number)
    if value is None or number is None:
        return "CALL_NOT_SHOWN"
    closes = evidence.entries[number].payload["closes"]
    if _refusals(evidence, at, tick):
        return "CALL_REFUSED"
    if asked <= closes:
        return "CALL_OPEN"
    if tick.boundary < closes:
        return "CALL_NOT_SHOWN"
    if value.opened not in {entry.id for entry in evidence.entries}:
        return "NOT_CARRIED"
    if value.missing:
        return SHORT[value.missing[0]]
    return "CALL_NOT_SHOWN" if value.refusals > len(value.refused) else None
