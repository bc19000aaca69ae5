"""A second gate, written naively, to hold the first one to.

How it works
    A `Case` is a flow, a mesh and some consents as plain values. `flow_of`, `context_of` and `candidates_of` make of
    it what the gate takes. `expected` says what the gate must answer, by going through the
    rules of consent.md §3 one by one, without anything compiled: windows hour by hour, amendments one after the other.

What it does not do
    It signs nothing: that disclosures and entries become these values is tested in test_resting and test_gate.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from ledger.consent.flow import Context, Door, Flow, Release
from ledger.consent.grant import RecipientClass
from ledger.consent.reasons import Reason
from ledger.consent.record import Terms, Window
from ledger.consent.scope import STANDS, Candidate, Link, Proof, Rest, Scope, Standing, compile_terms, narrowed
from ledger.consent.status import Party, State, Status
from ledger.consent.token import Limits
from ledger.governance.epoch import Policy
from ledger.schema import DAY
from tests.ledger.consent.cases import HOLDER, NOW, OTHER, PAST, POINT, RECIPIENT, TENANT, TERMS, members

HOME: Final = b"a" * 32
ME: Final = b"p" * 32
END: Final = (NOW // DAY + 200) * DAY
HOURS: Final = {  # shortest and longest, over all calendars
    "PT10M": (1 / 6, 1 / 6),
    "PT30M": (0.5, 0.5),
    "PT1H": (1, 1),
    "P1D": (23, 25),
    "P1W": (7 * 24 - 1, 7 * 24 + 1),
    "P30D": (30 * 24 - 1, 30 * 24 + 1),
    "P1M": (28 * 24 - 1, 31 * 24 + 1),
    "P1Y": (336 * 24 - 1, 372 * 24 + 1),
}


@lru_cache(maxsize=4_096)
def variant(*changes: tuple[str, Any]) -> Terms:
    """Return the usual terms with some fields changed."""
    windows = ((PAST, PAST + 20 * DAY), (PAST + 30 * DAY, PAST + 40 * DAY))
    return replace(TERMS, **{"data_period": windows, **dict(changes)})


@dataclass(slots=True)
class Rested:
    """One link of a chain."""

    kind: Rest
    told: bool = True
    fault: Reason | None = None
    ends: int = END + 5 * DAY


@dataclass(slots=True)
class Given:
    """One consent. `terms`: of the grant, then of each amendment."""

    number: int
    terms: list[Terms] = field(default_factory=lambda: [variant()])
    content: Reason | None = None
    informed: bool = True
    holder: Party = HOLDER
    recipient: Party | RecipientClass = RECIPIENT
    valid_until: int = END
    granted_at: int = NOW - DAY
    state: State | None = State.GRANTED
    other_status: bool = False
    brought_forward: int = END
    chain: list[Rested] = field(default_factory=list)
    chain_fault: Reason | None = None
    proof: Proof = Proof.NOT_NEEDED
    unseen: bool = False

    @property
    def id(self) -> bytes:
        """The grant's id."""
        return bytes([self.number]) * 32


@dataclass(slots=True)
class Case:
    """A flow, the mesh as it stands, and the consents there are."""

    given: list[Given]
    flow: dict[str, Any]
    release: dict[str, Any] | None = None
    limits: dict[str, Any] | None = None
    who: tuple[Party, ...] = (HOLDER, RECIPIENT, OTHER)
    links: tuple[tuple[Party, Party], ...] = ((HOLDER, RECIPIENT),)
    tenants: dict[bytes, Party] = field(default_factory=lambda: {TENANT[0]: HOLDER})
    fresh: set[tuple[bytes, ...]] = field(default_factory=lambda: {(), (HOME,)})
    forbidden: tuple[str, ...] = ("Marketing",)
    days_max: int = 1_096
    tenure: tuple[Window, ...] | None = None
    colleges: dict[Party, str] = field(default_factory=dict)
    holders: set[Party] = field(default_factory=set)
    pending_will_do: bool = False
    now: int = NOW


# From a case to what the gate takes


def flow_of(case: Case) -> Flow:
    """Return the flow."""
    release = None if case.release is None else Release(**case.release)
    limits = None
    if case.limits is not None:
        limits = Limits(case.limits["grant"], case.limits["expires"])
        for name, value in case.limits["caveats"]:
            limits = limits.with_caveat(name, value)
    return Flow(**case.flow, release=release, limits=limits)


def context_of(case: Case) -> Context:
    """Return what is known."""
    return Context(
        members(*case.who, links=case.links, tenants=case.tenants),
        Policy(forbidden_purposes=case.forbidden, consent_days_max=case.days_max),
        lambda home: home in case.fresh,
        lambda signers, point: case.tenure if (signers, point) == ((ME,), POINT) else None,
        case.colleges,
        lambda party: party in case.holders,
        case.pending_will_do,
    )


def candidates_of(case: Case) -> list[Candidate]:
    """Return the consents, compiled."""
    return [_candidate(given) for given in case.given]


def _candidate(given: Given) -> Candidate:
    content: Scope | Reason | None = given.content
    if content is None:
        scope: Scope | None = compile_terms(given.terms[0], given.valid_until, informed=given.informed)
        for terms in given.terms[1:]:
            narrower = compile_terms(terms, given.valid_until, informed=True)
            scope = None if scope is None else narrowed(scope, narrower)
        content = scope or Reason.BAD_TERMS
    links = tuple(
        Link(
            rest.kind,
            bytes([n]) * 32,
            rest.ends,
            (Standing(rest.fault) if rest.fault else STANDS) if rest.told else None,
        )
        for n, rest in enumerate(given.chain, 100)
    )
    return Candidate(
        given.id,
        given.holder,
        given.recipient,
        given.valid_until,
        given.granted_at,
        _status(given),
        content,
        frozenset(),
        given.chain_fault or links,
        (ME,),
        given.proof,
    )


def _status(given: Given) -> Status | None:
    if given.state is None:
        return None
    return Status(
        grant=b"?" * 32 if given.other_status else given.id,
        record_id=b"r" * 16,
        state=given.state,
        principal=ME,
        holder=given.holder,
        recipient=None,
        granted_at=given.granted_at,
        valid_until=given.brought_forward,
        decided_by=(given.id,),
        acknowledged=(),
        amended=(b"a" * 32,) if given.unseen else (),
    )


# What the gate must say


def expected(case: Case) -> tuple[Reason, bytes | None]:
    """Return the reason, and the consent it rests on or that came nearest."""
    refused = _about_flow(case)
    if refused is not None:
        return refused, None
    if case.flow["door"] is not Door.CONSENT:
        stale = case.flow["door"] is Door.AGGREGATE and () not in case.fresh
        return (Reason.STALE if stale else Reason.ALLOWED), None
    if not case.given:
        return Reason.NO_CONSENT, None
    order = list(Reason)
    judged = [(order.index(faults[0]), g.granted_at, g.id, faults) for g in case.given for faults in [_faults(case, g)]]
    _, _, nearest, faults = max(judged, key=lambda one: one[:3])
    unknown = faults[0] in (Reason.DISCLOSURE_MISSING, Reason.BAD_TERMS) and len(faults) > 2
    return faults[unknown], nearest  # where the content is not known, what clear fields say is told


def _about_flow(case: Case) -> Reason | None:
    flow, release = case.flow, case.release
    start, stop = flow["window"]
    if start < 0 or stop <= start or flow["granularity"] not in (None, *HOURS):
        return Reason.BAD_FLOW
    other_door = flow["door"] is not Door.CONSENT
    if other_door:
        if release is None:
            return Reason.DOOR_CLOSED
        if release["points"] or flow["point"].startswith(("prm:", "pce:", "water:", "heat:")):
            return Reason.PERSONAL_POINT
        names = {"door": "door", "holder": "holder", "place": "point", "pii_type": "pii_type"}
        names |= {"granularity": "granularity", "window": "window"}
        fits = all(release[ours] == flow[theirs] for ours, theirs in names.items())
        to = (flow["recipient"], None) if flow["door"] is Door.OPEN else (flow["recipient"],)
        if not fits or release["recipient"] not in to:
            return Reason.OTHER_RELEASE
    nodes = []
    for end, reason in (("holder", Reason.NOT_MEMBER_HOLDER), ("recipient", Reason.NOT_MEMBER_RECIPIENT)):
        node = case.tenants.get(flow[end][0]) if flow[end][1] == 0 else flow[end]
        if node not in case.who:
            return reason
        nodes.append(node)
    up = {*case.links, *((b, a) for a, b in case.links)}
    if flow["door"] is not Door.OPEN and nodes[0] != nodes[1] and tuple(nodes) not in up:
        return Reason.NO_LINK
    if other_door:
        return None if release is not None and release["passed"] else Reason.RELEASE_REFUSED
    return _about_token(case)


def _about_token(case: Case) -> Reason | None:
    if case.limits is None:
        return None
    caveats, flow = case.limits["caveats"], case.flow
    ends = [case.limits["expires"], *(value for name, value in caveats if name == "expires")]
    if any(case.now >= end for end in ends):
        return Reason.TOKEN_EXPIRED
    if not all(_caveat_met(name, value, flow) for name, value in caveats):
        return Reason.TOKEN_NARROWER
    steps = [value for name, value in caveats if name == "granularity"]
    return None if _comparable(steps) else Reason.TOKEN_NARROWER


def _caveat_met(name: str, value: Any, flow: dict[str, Any]) -> bool:
    match name:
        case "points":
            return flow["point"] in value
        case "windows":
            return _hours_in(flow["window"], value)
        case "granularity":
            return flow["granularity"] is not None and _covers(value, flow["granularity"])
        case "aggregation":
            return flow["computation"] is not None and flow["computation"].hex() == value
        case "recipient":
            return list(flow["recipient"]) == list(value)
        case _:
            return name == "expires"


def _covers(granted: str | None, asked: str | None) -> bool:
    if granted is None or asked is None or granted == asked:
        return granted == asked
    return HOURS[asked][0] >= HOURS[granted][1]


def _comparable(steps: list[Any]) -> bool:
    """Whether of each two steps one covers the other: else no reading fits."""
    return all(_covers(a, b) or _covers(b, a) for a in steps for b in steps)


def _hours_in(window: Window, windows: Any) -> bool:
    return all(any(a <= hour < b for a, b in windows) for hour in range(*window, 3_600))


def _faults(case: Case, given: Given) -> list[Reason]:
    """Return every reason that speaks against one consent, in the order in which they are given; at last ALLOWED."""
    known = given.content is None
    checks = [*_parties(case, given), *(_content(case, given) if known else [(given.content, True)])]
    if known and given.unseen and given.state is not None and not _at_odds(given):
        known = False  # what is known of it is not all: an amendment narrows it, nobody here knows how
        about = (Reason.OTHER_POINT, Reason.OTHER_KIND, Reason.OTHER_PURPOSE)
        checks = [*_parties(case, given), *(one for one in _content(case, given) if one[0] in about)]
        checks.append((Reason.DISCLOSURE_MISSING, True))
    checks += [*_in_force(case, given, known=known)]
    if known:
        checks += [*_chain(case, given), (Reason.STALE, _home(given) not in case.fresh and not _at_odds(given))]
    order = list(Reason)
    told = sorted((reason for reason, against in checks if against and reason is not None), key=order.index)
    first = [reason for reason, against in _chain(case, given) if against]
    if first and told[0] is first[0]:
        return [told[0]]
    links = {reason for reason, _ in _chain(case, given)}
    kept = [reason for reason in told if reason not in links]
    beyond = [reason for reason in kept if reason is not Reason.STALE]
    return [*beyond, *first[:1], *(reason for reason in kept if reason is Reason.STALE), Reason.ALLOWED]


def _at_odds(given: Given) -> bool:
    """Whether an amendment is about something else than its grant: then there is no content."""
    return len({(terms.purpose, terms.pii_type) for terms in given.terms}) > 1


def _home(given: Given) -> tuple[bytes, ...]:
    return tuple(sorted({home for terms in given.terms for home in terms.freshness}))


def _parties(case: Case, given: Given) -> list[tuple[Reason, bool]]:
    to, asked = given.recipient, case.flow["recipient"]
    classed = isinstance(to, RecipientClass)
    name = to.name if isinstance(to, RecipientClass) else ""
    inside = {
        "linked": True,
        "members": asked in case.who,
        "holders": asked in case.holders,
        f"college:{case.colleges.get(asked)}": asked in case.colleges,
    }
    unknown = name not in ("linked", "members", "holders") and not name.startswith("college:")
    return [
        (Reason.OTHER_TOKEN, case.limits is not None and case.limits["grant"] != given.id),
        (Reason.OTHER_HOLDER, given.holder != case.flow["holder"]),
        (Reason.OTHER_RECIPIENT, not classed and to != asked),
        (Reason.CLASS_RECIPIENT, classed and unknown),
        (Reason.NOT_IN_CLASS, classed and not unknown and not inside.get(name, False)),
    ]


def _content(case: Case, given: Given) -> list[tuple[Reason, bool]]:
    flow, grant = case.flow, given.terms[0]
    names = {
        " ".join(text.lower().split()) for terms in given.terms for text in (terms.purpose, terms.purpose_category)
    }
    steps = [terms.granularity for terms in given.terms]
    if _at_odds(given):
        return [(Reason.BAD_TERMS, True)]
    fine = not all(_covers(step, flow["granularity"]) for step in steps)
    named = {terms.computation for terms in given.terms} - {None}
    tenure = case.tenure if flow["point"] == POINT else None
    return [
        (Reason.OTHER_POINT, any(flow["point"] not in terms.points for terms in given.terms)),
        (Reason.OTHER_KIND, flow["pii_type"] != grant.pii_type),
        (Reason.OTHER_PURPOSE, flow["purpose"] != grant.purpose),
        (Reason.NOT_INFORMED, not given.informed),
        (given.chain_fault or Reason.CHAINED, given.chain_fault is not None),
        (Reason.FORBIDDEN_PURPOSE, bool(names & {name.lower() for name in case.forbidden})),
        (Reason.COMPUTATION_ONLY, flow["computation"] is None and bool(named)),
        (Reason.OTHER_COMPUTATION, flow["computation"] is not None and named != {flow["computation"]}),
        (Reason.STAGE_OFF, not all(terms.stages.transmit for terms in given.terms)),
        (Reason.OTHER_GRANULARITY, fine),
        (Reason.OTHER_PERIOD, not all(_hours_in(flow["window"], terms.data_period) for terms in given.terms)),
        (Reason.NOT_ENTITLED, tenure == ()),
        (Reason.MOVED_OUT, bool(tenure) and not _hours_in(flow["window"], tenure)),
        (Reason.NOT_YET, any(case.now < terms.access_period[0] for terms in given.terms)),
        (Reason.EXPIRED, any(case.now >= (terms.access_period[1] or 2 * END) for terms in given.terms)),
    ]


def _in_force(case: Case, given: Given, *, known: bool) -> list[tuple[Reason, bool]]:
    """Return what clear fields alone say. Without content, evidence and end still speak."""
    registered = given.state is not None and not given.other_status
    speaks = registered and given.state is State.GRANTED
    quiet = known or speaks  # what comes after the status is told only where the status is good
    return [
        (Reason.UNREGISTERED, not registered),
        (Reason.INCOMPLETE, registered and given.state is State.INCOMPLETE),
        (Reason.WITHDRAWN, registered and given.state is State.WITHDRAWN),
        (Reason.REVOKED, registered and given.state is State.REVOKED),
        (Reason.EXPIRED, quiet and case.now >= min(given.valid_until, given.brought_forward)),
        (Reason.TOO_LONG, quiet and given.valid_until > case.now + case.days_max * DAY),
        (Reason.EVIDENCE_REJECTED, quiet and given.proof is Proof.REJECTED),
        (Reason.EVIDENCE_PENDING, quiet and given.proof is Proof.PENDING and not case.pending_will_do),
    ]


def _chain(case: Case, given: Given) -> list[tuple[Reason, bool]]:
    """Return what speaks against the links, from the grant upwards."""
    checks = []
    for rest in () if given.chain_fault else given.chain:
        name = rest.kind.name
        checks.append((Reason[f"{name}_UNREGISTERED"], not rest.told))
        if rest.told and rest.fault is not None:
            checks.append((rest.fault, True))
        ended = Reason.CALL_NOT_PASSED if rest.kind is Rest.CALL else Reason[f"{name}_EXPIRED"]
        checks.append((ended, rest.told and case.now >= rest.ends))
    return checks
