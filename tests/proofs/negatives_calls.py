"""Negatives about calls of groups: votes, refusals, terms.

How it works
    As in `negatives`: one fault each, everything else sound and signed. `CALLS` is the table.

What it does not do
    It verifies nothing: `test_negatives` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ledger.schema import DAY
from proofs.reasons import Reason
from tests.proofs.mesh import START
from tests.proofs.negatives import Made, Negative
from tests.proofs.negatives_rests import Bend, as_made, ended_later, lying, put, rewritten, told, without_kind
from tests.proofs.rests import CLOSES, Chains, line, shareable

# Calls


def decided(
    joining: tuple[str, ...] = ("mia", "noa", "ola"),
    votes: Mapping[str, str] | None = None,
    bend: Bend = as_made,
    *,
    call: Mapping[str, Any] | None = None,
    called: Any = None,
    signer: str = "group",
    refused: str = "",
    named: bool = True,
    later: int = 10,
    lie: Callable[[list[Any]], None] | None = None,
    rules: Mapping[str, Any] | None = None,
    **grant: Any,
) -> Made:
    """A group of three votes on a call, and consents for Mia under it."""
    mesh = Chains()
    joined = mesh.group(*joining, **(rules or {}))
    made = mesh.call(called, **(call or {}))
    mesh.vote(made, **(votes if votes is not None else {"mia": "yes", "noa": "yes"}))
    if refused:
        mesh.refuse(refused, made)
    mesh.now = CLOSES + later
    named_ = {"call": made.id} if named else {}
    consent = mesh.consent(signer, **{"delegation": joined[0].id, **named_, **grant})
    if lie is None:
        return told(mesh, consent, bend)
    with lying(lambda: made.id, lie):
        return told(mesh, consent, bend)


def outside_a_group() -> Made:
    """A delegate of Mia's consents under a group's call."""
    mesh = Chains()
    mesh.group("mia", "noa")
    (given,) = line(mesh, ("mia", "ola"))
    call = mesh.call()
    mesh.vote(call, mia="yes", noa="yes")
    mesh.now = CLOSES + 10
    return told(mesh, mesh.consent("ola", delegation=given.id, call=call.id))


def of_another_group() -> Made:
    """The call is by another group than the one that consents."""
    mesh = Chains()
    joined = mesh.group("mia", "noa")
    call = mesh.call()
    mesh.vote(call, mia="yes", noa="yes")
    other = mesh.give("mia", "others", role="group")
    assert joined
    mesh.now = CLOSES + 10
    return told(mesh, mesh.consent("others", delegation=other.id, call=call.id))


def by_other_rules(signer: str, about: str) -> Made:
    """Witnesses decide by the word of another key, or about another group."""
    mesh = Chains()
    joined = mesh.group("mia", "noa", "ola")
    honest = {"name": "x", "decides": "persons", "majority_percent": 50, "quorum_percent": 60, "critical_mass": 2}
    other = mesh.state(signer, "group.open", honest, mesh.key(about).kid)
    call = mesh.call()
    mesh.vote(call, mia="yes", noa="yes")
    mesh.now = CLOSES + 10
    consent = mesh.consent("group", delegation=joined[0].id, call=call.id)
    with lying(lambda: call.id, put(0, other.id)):
        return told(mesh, consent)


def called_late() -> Made:
    """The call is registered only after the tick that speaks."""
    mesh, twin = Chains(), Chains()
    joined = mesh.group("mia", "noa")
    call = twin.call()
    mesh.contents.update(twin.contents)
    mesh.vote(call, mia="yes", noa="yes")
    mesh.now = CLOSES + 10
    consent = mesh.consent("group", delegation=joined[0].id, call=call.id)
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.log(mesh.a, call)
    mesh.sign(mesh.a)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return mesh.prove(consent, first=first), mesh.trust(at=first), mesh.now


def refused_later(*, after: int, asked: int = 0) -> Made:
    """Mia refuses once the group has decided, and consented for her."""
    mesh = Chains()
    joined = mesh.group("mia", "noa", "ola")
    call = mesh.call()
    mesh.vote(call, mia="yes", noa="yes")
    mesh.now = CLOSES + 10
    consent = mesh.consent("group", delegation=joined[0].id, call=call.id)
    return ended_later(mesh, consent, lambda: mesh.refuse("mia", call), after=after, asked=asked)


def many_refused(value: list[Any]) -> None:
    """More refused than a state names."""
    value[6], value[7] = 200, sorted([at.to_bytes(32, "big"), bytes(32)] for at in range(128))


def asked_while_open(*, before: bool) -> Made:
    """She asks for a time when the call was open; or the tick that speaks for a later time is of then."""
    mesh = Chains()
    joined = mesh.group("mia", "noa", "ola")
    call = mesh.call()
    mesh.vote(call, mia="yes", noa="yes")
    consent = mesh.consent("group", delegation=joined[0].id, call=call.id)
    mesh.now = CLOSES - 5
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.now = CLOSES + 60
    mesh.tick(mesh.a, mesh.b)
    return mesh.prove(consent, first=first), mesh.trust(at=first if before else CLOSES + 5), mesh.now


def turned(value: list[Any]) -> None:
    """Later the votes come to something else."""
    value[2], value[3], value[5] = 1, 1, ["majority"]


def outcome_changed() -> Made:
    """By the newest tick the group had not agreed after all."""
    mesh = Chains()
    joined = mesh.group("mia", "noa", "ola")
    call = mesh.call()
    mesh.vote(call, mia="yes", noa="yes")
    mesh.now = CLOSES + 10
    consent = mesh.consent("group", delegation=joined[0].id, call=call.id)
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 30
    mesh.vote(call, pia="yes")  # it says nothing, but the state of the call is computed anew
    with lying(lambda: call.id, turned, beyond=first.sizes):
        mesh.now += 5
        mesh.tick(mesh.a, mesh.b)
        return mesh.prove(consent, first=first.boundary), mesh.trust(at=first.boundary), mesh.now


GAP: Final = 300
"""Seconds between a tick and a later one, where an end lies in between."""
OURS, R = "ledger.md §7", Reason
_THREE = {"mia": "yes", "noa": "yes", "ola": "yes"}
CALLS: Final = [
    Negative("too few voted", OURS, R.QUORUM_SHORT, partial(decided, votes={"mia": "yes"})),
    Negative("too few agreed", OURS, R.MAJORITY_SHORT, partial(decided, votes={"mia": "yes", "noa": "no"})),
    Negative(
        "too small a group", OURS, R.CRITICAL_MASS_SHORT, partial(decided, ("mia", "noa"), rules={"critical_mass": 3})
    ),
    Negative(
        "not all agreed",
        OURS,
        R.MAJORITY_SHORT,
        partial(decided, votes={**_THREE, "ola": "no"}, rules={"majority_percent": 100}),
    ),
    Negative(
        "colleges did not agree",
        OURS,
        R.MAJORITY_SHORT,
        partial(decided, votes={"mia": "no", "noa": "no"}, rules={"decides": "colleges", "colleges": [["a", 1]]}),
    ),
    Negative("decided by another's rules", OURS, R.BAD_STATE_PROOF, partial(by_other_rules, "eve", "group")),
    Negative("decided by another group's rules", OURS, R.BAD_STATE_PROOF, partial(by_other_rules, "group", "eve")),
    Negative("a call registered late", OURS, R.CALL_NOT_SHOWN, called_late),
    Negative("the person refused", OURS, R.CALL_REFUSED, partial(decided, refused="mia")),
    Negative("the person refused by her slip", OURS, R.CALL_REFUSED, partial(decided, refused="slip of mia")),
    Negative("refused, and long known", OURS, R.CALL_REFUSED, partial(refused_later, after=5, asked=100)),
    Negative("refused beside", OURS, R.CONCURRENT_WITHDRAWAL, partial(refused_later, after=20, asked=22)),
    Negative("more refused than are named", OURS, R.CALL_NOT_SHOWN, partial(decided, lie=many_refused)),
    Negative("while the call was open", OURS, R.CALL_OPEN, partial(asked_while_open, before=True)),
    Negative("a tick before the close", OURS, R.CALL_NOT_SHOWN, partial(asked_while_open, before=False)),
    Negative("an outcome that changed", OURS, R.MAJORITY_SHORT, outcome_changed),
    Negative("a group's key without a call", OURS, R.CALL_OTHER, partial(decided, named=False)),
    Negative("a call for a delegate of another role", OURS, R.CALL_OTHER, outside_a_group),
    Negative("a call of another group", OURS, R.CALL_OTHER, of_another_group),
    Negative(
        "another recipient than the call's", OURS, R.CALL_WIDER, partial(decided, call={"recipient": [bytes(32), 1]})
    ),
    Negative(
        "longer than the call allows",
        OURS,
        R.CALL_WIDER,
        partial(decided, call={"valid_until": (START // DAY + 20) * DAY}),
    ),
    Negative("finer than the call", OURS, R.CALL_WIDER, partial(decided, called=shareable(granularity="P1D"))),
    Negative(
        "a call withheld",
        OURS,
        R.CALL_HIDDEN,
        partial(decided, bend=lambda made: replace(made, disclosures=made.disclosures[:1])),
    ),
    Negative(
        "a call left out",
        OURS,
        R.NOT_CARRIED,
        partial(decided, bend=lambda made: without_kind("group.open")(without_kind("group.call")(made))),
    ),
    Negative("a group's rules left out", OURS, R.NOT_CARRIED, partial(decided, bend=without_kind("group.open"))),
    Negative("a quorum that was not", OURS, R.BAD_STATE_PROOF, partial(decided, votes={"mia": "yes"}, lie=put(5, []))),
    Negative(
        "a majority that was not",
        OURS,
        R.BAD_STATE_PROOF,
        partial(decided, votes={"mia": "yes", "noa": "no"}, lie=put(5, [])),
    ),
    Negative(
        "a mass that was not",
        OURS,
        R.BAD_STATE_PROOF,
        partial(decided, ("mia", "noa"), rules={"critical_mass": 3}, lie=put(5, [])),
    ),
    Negative("more votes than voters", OURS, R.BAD_STATE_PROOF, partial(decided, lie=put(2, 9))),
    Negative("refusals that are not named", OURS, R.BAD_STATE_PROOF, partial(decided, lie=put(6, 3))),
    Negative(
        "a refusal that is not carried",
        OURS,
        R.BAD_STATE_PROOF,
        partial(decided, refused="mia", bend=without_kind("group.refuse")),
    ),
    Negative(
        "terms of a call made up",
        OURS,
        R.DISCLOSURE_MISMATCH,
        partial(
            decided,
            bend=lambda made: replace(
                made, disclosures=(made.disclosures[0], *rewritten(made.disclosures[1:], retention="P9Y"))
            ),
        ),
    ),
]
"""The part of the catalogue that is made here."""
HONEST: Final[tuple[Callable[[], Made], ...]] = (
    decided,
    partial(decided, votes=_THREE, rules={"majority_percent": 100}),
    partial(decided, refused="noa"),
    partial(refused_later, after=GAP),
)
"""The same, with nothing wrong: each passes."""
