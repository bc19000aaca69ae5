"""Cases for the gate and its oracle, drawn from a seed: a flow that everything allows, then spoilt a few times.

How it works
    `SPOILS` lists what can be done to a case. Each can bring about one reason by itself, which the tests demand.
    `drawn` does up to four of them to one to three consents.

What it does not do
    It says not what the gate must answer to several at once: `oracle` does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from ledger.consent.flow import Door
from ledger.consent.grant import RecipientClass
from ledger.consent.reasons import Reason
from ledger.consent.record import Stages
from ledger.consent.scope import Proof, Rest
from ledger.consent.status import State
from ledger.schema import DAY
from tests.ledger.consent.cases import HOLDER, LOAD_CURVE, NOW, OTHER, PAST, POINT, RECIPIENT, TENANT, TERMS
from tests.ledger.consent.oracle import END, HOME, HOURS, Case, Given, Rested, variant

NOBODY: Final = "prm:00000000000000"
PLACE: Final = "iris:693830101"
WINDOW: Final = (PAST + DAY, PAST + 2 * DAY)
COMPUTED: Final = b"c" * 32

Spoil = Callable[[Case, Given], None]


def usual() -> Case:
    """Return a case that everything allows."""
    flow = {"holder": HOLDER, "recipient": RECIPIENT, "point": POINT, "pii_type": LOAD_CURVE, "granularity": "PT30M"}
    return Case(
        [Given(1)], {**flow, "window": WINDOW, "purpose": TERMS.purpose, "door": Door.CONSENT, "computation": None}
    )


def _release(case: Case, door: Door = Door.AGGREGATE, **changes: Any) -> None:
    flow = case.flow
    flow.update(point=PLACE, door=door)
    own = {name: flow[name] for name in ("holder", "recipient", "pii_type", "granularity", "window")}
    base = {"door": door, "place": PLACE, "digest": b"d" * 32, "passed": True, "points": ()}
    case.release = {**own, **base, **changes}


def _terms(**changes: Any) -> Spoil:
    def spoil(_: Case, given: Given) -> None:
        given.terms[0] = variant(*changes.items())

    return spoil


def _amended(**changes: Any) -> Spoil:
    def spoil(_: Case, given: Given) -> None:
        given.terms.append(variant(*changes.items()))

    return spoil


def _set(**changes: Any) -> Spoil:
    def spoil(_: Case, given: Given) -> None:
        for name, value in changes.items():
            setattr(given, name, value)

    return spoil


def _case(**changes: Any) -> Spoil:
    def spoil(case: Case, _: Given) -> None:
        for name, value in changes.items():
            setattr(case, name, value)

    return spoil


def _flow(**changes: Any) -> Spoil:
    return lambda case, _: case.flow.update(changes)


def _token(*caveats: tuple[str, Any], expires: int = NOW + DAY, grant: bytes | None = None) -> Any:
    def spoil(case: Case, given: Given) -> None:
        case.limits = {"grant": grant or given.id, "expires": expires, "caveats": caveats}

    return spoil


def _link(kind: Rest, **changes: Any) -> Spoil:
    return lambda _, given: given.chain.append(Rested(kind, **changes))


def _aggregate(door: Door = Door.AGGREGATE, **changes: Any) -> Spoil:
    return lambda case, _: _release(case, door, **changes)


def _stale_aggregate(case: Case, _: Given) -> None:
    _release(case)
    case.fresh = {(HOME,)}


def _both(case: Case, given: Given, *spoils: Spoil) -> None:
    for spoil in spoils:
        spoil(case, given)


CLASS: Final = RecipientClass
DARK: Final = Stages(local=True, upload=True, transmit=False)
D, P, C = Rest.DELEGATION, Rest.PARENT, Rest.CALL

SPOILS: Final[list[tuple[Reason, Spoil]]] = [
    (Reason.BAD_FLOW, _flow(window=(5, 5))),
    (Reason.BAD_FLOW, _flow(window=(-5, 5))),
    (Reason.BAD_FLOW, _flow(granularity="half an hour")),
    (Reason.DOOR_CLOSED, _flow(door=Door.AGGREGATE)),
    (Reason.DOOR_CLOSED, _flow(door=Door.OPEN)),
    (Reason.PERSONAL_POINT, lambda case, g: _both(case, g, _aggregate(), _flow(point=POINT))),
    (Reason.PERSONAL_POINT, _aggregate(Door.OPEN, points=(POINT,))),
    (Reason.OTHER_RELEASE, _aggregate(door=Door.AGGREGATE, window=(1, 2))),
    (Reason.OTHER_RELEASE, _aggregate(recipient=OTHER)),
    (Reason.OTHER_RELEASE, _aggregate(recipient=None)),
    (Reason.OTHER_RELEASE, _aggregate(holder=OTHER)),
    (Reason.OTHER_RELEASE, _aggregate(granularity="P1D")),
    (Reason.NOT_MEMBER_HOLDER, _case(who=(RECIPIENT, OTHER))),
    (Reason.NOT_MEMBER_HOLDER, _flow(holder=(HOLDER[0], 2))),
    (Reason.NOT_MEMBER_RECIPIENT, _case(who=(HOLDER, OTHER))),
    (Reason.NO_LINK, _case(links=())),
    (Reason.RELEASE_REFUSED, _aggregate(passed=False)),
    (Reason.RELEASE_REFUSED, _aggregate(Door.OPEN, passed=False)),
    (Reason.TOKEN_EXPIRED, _token(expires=NOW)),
    (Reason.TOKEN_EXPIRED, _token(("expires", NOW - 1))),
    (Reason.TOKEN_NARROWER, _token(("points", [NOBODY]))),
    (Reason.TOKEN_NARROWER, _token(("windows", [[PAST, PAST + DAY]]))),
    (Reason.TOKEN_NARROWER, _token(("granularity", "P1D"))),
    (Reason.TOKEN_NARROWER, _token(("aggregation", "sum"))),
    (Reason.TOKEN_NARROWER, _token(("recipient", list(OTHER)))),
    (Reason.TOKEN_NARROWER, _token(("points", [POINT]), ("points", [NOBODY]))),
    (Reason.NO_CONSENT, lambda case, _: case.given.clear()),
    (Reason.OTHER_TOKEN, _token(grant=b"z" * 32)),
    (Reason.OTHER_HOLDER, _set(holder=OTHER)),
    (Reason.OTHER_RECIPIENT, _set(recipient=OTHER)),
    (Reason.CLASS_RECIPIENT, _set(recipient=CLASS("the good"))),
    (Reason.NOT_IN_CLASS, _set(recipient=CLASS("holders"))),
    (Reason.NOT_IN_CLASS, _set(recipient=CLASS("college:towns"))),
    (Reason.OTHER_POINT, _flow(point=NOBODY)),
    (Reason.OTHER_POINT, _amended(points=(NOBODY,))),
    (Reason.OTHER_KIND, _flow(pii_type=LOAD_CURVE._replace(direction="production"))),
    (Reason.OTHER_KIND, _terms(pii_type=LOAD_CURVE._replace(kind="index"))),
    (Reason.OTHER_PURPOSE, _flow(purpose="Research")),
    (Reason.BAD_TERMS, _set(content=Reason.BAD_TERMS)),
    (Reason.BAD_TERMS, _amended(purpose="Research")),
    (Reason.DISCLOSURE_MISSING, _set(content=Reason.DISCLOSURE_MISSING)),
    (Reason.DISCLOSURE_MISSING, _set(unseen=True)),
    (Reason.NOT_INFORMED, _set(informed=False)),
    *((r, _set(chain_fault=r)) for r in [Reason.CHAINED, Reason.DELEGATION_HIDDEN, Reason.DELEGATION_NOT_YOURS]),
    *((r, _set(chain_fault=r)) for r in [Reason.DELEGATION_WIDER, Reason.PARENT_HIDDEN, Reason.PARENT_OTHER]),
    *((r, _set(chain_fault=r)) for r in [Reason.SHARING_FORBIDDEN, Reason.PARENT_WIDER]),
    (Reason.FORBIDDEN_PURPOSE, _case(forbidden=("ADVICE on insulation",))),
    (Reason.FORBIDDEN_PURPOSE, _amended(purpose_category="marketing")),
    (Reason.COMPUTATION_ONLY, _terms(computation=COMPUTED)),
    (Reason.COMPUTATION_ONLY, _amended(computation=COMPUTED)),
    (Reason.OTHER_COMPUTATION, _flow(computation=COMPUTED)),
    (
        Reason.OTHER_COMPUTATION,
        lambda case, g: _both(case, g, _flow(computation=COMPUTED), _terms(computation=b"o" * 32)),
    ),
    (Reason.STAGE_OFF, _terms(stages=DARK)),
    (Reason.STAGE_OFF, _amended(stages=DARK)),
    (Reason.OTHER_GRANULARITY, _flow(granularity="PT10M")),
    (Reason.OTHER_GRANULARITY, _flow(granularity=None)),
    (Reason.OTHER_GRANULARITY, _amended(granularity="PT1H")),
    (Reason.OTHER_PERIOD, _flow(window=(PAST, PAST + 21 * DAY))),
    (Reason.OTHER_PERIOD, _flow(window=(PAST + 35 * DAY, PAST + 41 * DAY))),
    (Reason.OTHER_PERIOD, _amended(data_period=((PAST + DAY, PAST + DAY + 7_200),))),
    (Reason.NOT_ENTITLED, _case(tenure=())),
    (Reason.MOVED_OUT, _case(tenure=((0, PAST + 2 * DAY - 3_600),))),
    (Reason.UNREGISTERED, _set(state=None)),
    (Reason.UNREGISTERED, _set(other_status=True)),
    (Reason.INCOMPLETE, _set(state=State.INCOMPLETE)),
    (Reason.WITHDRAWN, _set(state=State.WITHDRAWN)),
    (Reason.REVOKED, _set(state=State.REVOKED)),
    (Reason.EXPIRED, _case(now=END)),
    (Reason.EXPIRED, _set(valid_until=NOW // DAY * DAY, brought_forward=NOW // DAY * DAY)),
    (Reason.EXPIRED, _set(brought_forward=NOW // DAY * DAY)),
    (Reason.EXPIRED, _amended(access_period=(0, NOW))),
    (Reason.NOT_YET, _terms(access_period=(NOW + 1, None))),
    (Reason.NOT_YET, _amended(access_period=(NOW + 1, None))),
    (Reason.TOO_LONG, _case(days_max=100)),
    (Reason.EVIDENCE_REJECTED, _set(proof=Proof.REJECTED)),
    (Reason.EVIDENCE_PENDING, _set(proof=Proof.PENDING)),
    (Reason.DELEGATION_UNREGISTERED, _link(D, told=False)),
    (Reason.DELEGATION_REVOKED, _link(D, fault=Reason.DELEGATION_REVOKED)),
    (Reason.DELEGATION_UNPROVEN, _link(D, fault=Reason.DELEGATION_UNPROVEN)),
    (Reason.DELEGATION_EXPIRED, _link(D, ends=NOW)),
    (Reason.PARENT_UNREGISTERED, _link(P, told=False)),
    (Reason.PARENT_ENDED, _link(P, fault=Reason.PARENT_ENDED)),
    (Reason.PARENT_EXPIRED, _link(P, ends=NOW)),
    (Reason.CALL_UNREGISTERED, _link(C, told=False)),
    (Reason.CALL_OPEN, _link(C, fault=Reason.CALL_OPEN)),
    (Reason.CALL_NOT_PASSED, _link(C, fault=Reason.CALL_NOT_PASSED)),
    (Reason.CALL_NOT_PASSED, _link(C, ends=NOW)),
    (Reason.CALL_REFUSED, _link(C, fault=Reason.CALL_REFUSED)),
    (Reason.STALE, _case(fresh={(HOME,)})),
    (Reason.STALE, _terms(freshness=(b"b" * 32,))),
    (Reason.STALE, _amended(freshness=(b"b" * 32,))),
    (Reason.STALE, _stale_aggregate),
    # What allows, or makes room for other faults.
    (Reason.ALLOWED, _case()),
    (Reason.ALLOWED, _aggregate()),
    (Reason.ALLOWED, _aggregate(Door.OPEN, recipient=None)),
    (Reason.ALLOWED, lambda case, g: _both(case, g, _aggregate(Door.OPEN), _case(links=()))),
    (Reason.ALLOWED, _set(recipient=CLASS("members"))),
    (Reason.ALLOWED, _set(recipient=CLASS("linked"))),
    (Reason.ALLOWED, lambda case, g: _both(case, g, _set(recipient=CLASS("holders")), _case(holders={RECIPIENT}))),
    (
        Reason.ALLOWED,
        lambda case, g: _both(case, g, _set(recipient=CLASS("college:towns")), _case(colleges={RECIPIENT: "towns"})),
    ),
    (Reason.ALLOWED, _token(("points", [POINT, NOBODY]), ("granularity", "PT10M"), ("recipient", list(RECIPIENT)))),
    (Reason.ALLOWED, _token(("windows", [[PAST, PAST + 3 * DAY]]), ("windows", [[PAST + DAY, PAST + 9 * DAY]]))),
    (Reason.ALLOWED, _case(tenure=((0, PAST + 3 * DAY),))),
    (Reason.ALLOWED, _set(proof=Proof.CHECKED)),
    (Reason.ALLOWED, lambda case, g: _both(case, g, _set(proof=Proof.PENDING), _case(pending_will_do=True))),
    (Reason.ALLOWED, _link(D)),
    (Reason.ALLOWED, _link(P)),
    (Reason.ALLOWED, _link(C)),
    (Reason.ALLOWED, lambda case, g: _both(case, g, _flow(computation=COMPUTED), _terms(computation=COMPUTED))),
    (Reason.ALLOWED, _flow(granularity="P1Y")),
    (Reason.ALLOWED, _terms(freshness=(HOME,))),
    (Reason.ALLOWED, _amended(points=(POINT,), granularity="PT10M")),
    (Reason.ALLOWED, lambda case, g: _both(case, g, _terms(granularity="PT10M"), _flow(granularity="PT10M"))),
]
"""What can be done to a case, and the reason that it brings about when nothing else was done."""

STEPS: Final = tuple(HOURS)


def drawn(source: random.Random) -> Case:
    """Draw a case: one to three consents, and up to four things done to them or to the rest."""
    case = usual()
    case.given = [Given(n, granted_at=NOW - source.randrange(3)) for n in range(1, source.choice((1, 1, 1, 2, 3)) + 1)]
    if source.random() < 0.2:
        case.flow["granularity"] = source.choice(STEPS)
        for given in case.given:
            given.terms = [variant(("granularity", source.choice(STEPS))) for _ in range(source.choice((1, 1, 2, 3)))]
    for _ in range(source.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        _, spoil = source.choice(SPOILS)
        if case.given:
            spoil(case, source.choice(case.given))
    if source.random() < 0.05:
        case.flow["holder"] = TENANT
        for given in case.given:
            given.holder = TENANT
    return case
