"""The gate against a naive oracle, and the laws it may never break: deny by default, restrictive beats permissive.

The oracle was written from consent.md §3, not from the gate: it holds every rule against the terms as they were
granted, by brute force.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from ledger.consent.gate import (
    Candidate,
    Context,
    Flow,
    permit,
    prepare,
)
from ledger.consent.grant import RecipientClass
from ledger.consent.reasons import Reason
from ledger.consent.record import Stages, Terms
from ledger.consent.status import State
from ledger.governance.epoch import Policy
from ledger.governance.members import Members
from ledger.schema import DAY
from tests.ledger.consent.cases import (
    HOLDER,
    LOAD_CURVE,
    NOW,
    OTHER,
    PAST,
    POINT,
    POLICY,
    RECIPIENT,
    TERMS,
    but,
    grant,
    members,
    status,
)

HOME = b"a" * 32

COARSER = ("PT10M", "PT30M", "PT1H", "P1D", "P1W", "P1M", "P1Y")

Case = tuple[Terms, Any, bool, dict[str, Any]]  # terms, state or None, disclosed?, clear fields of the grant


def _faults(flow: Flow, context: Context, case: Case, now: int) -> list[Reason]:
    """Return every reason that speaks against this consent for this flow, in the order in which they matter."""
    terms, state, disclosed, clear = case
    recipient = clear.get("recipient", RECIPIENT)
    end = clear.get("valid_until", NOW + 200 * DAY) // DAY * DAY
    if not disclosed:
        content = [(Reason.DISCLOSURE_MISSING, True)]
    else:
        hours = range(flow.window[0], flow.window[1], 3_600)
        names = {terms.purpose.lower(), terms.purpose_category.lower()}
        end = min(end, terms.access_period[1] or end)
        content = [
            (Reason.OTHER_POINT, flow.point not in terms.points),
            (Reason.OTHER_KIND, list(flow.pii_type) != list(terms.pii_type or ())),
            (Reason.OTHER_PURPOSE, flow.purpose != terms.purpose),
            (Reason.FORBIDDEN_PURPOSE, bool(names & {"selling the data", "dpv:marketing"})),
            (Reason.COMPUTATION_ONLY, terms.computation is not None),
            (Reason.STAGE_OFF, not terms.stages.transmit),
            (Reason.OTHER_GRANULARITY, COARSER.index(str(flow.granularity)) < COARSER.index(str(terms.granularity))),
            (Reason.OTHER_PERIOD, not all(any(a <= hour < b for a, b in terms.data_period) for hour in hours)),
            (Reason.NOT_YET, now < terms.access_period[0]),
            (Reason.STALE, not context.fresh(terms.freshness)),
        ]
    checks = [
        (Reason.OTHER_HOLDER, clear.get("holder", HOLDER) != flow.holder),
        (Reason.CLASS_RECIPIENT, isinstance(recipient, RecipientClass)),
        (Reason.OTHER_RECIPIENT, not isinstance(recipient, RecipientClass) and recipient != flow.recipient),
        *content,
        (Reason.UNREGISTERED, state is None),
        (Reason.INCOMPLETE, state is State.INCOMPLETE),
        (Reason.WITHDRAWN, state is State.WITHDRAWN),
        (Reason.REVOKED, state is State.REVOKED),
        (Reason.EXPIRED, now >= end),
        (Reason.TOO_LONG, clear.get("valid_until", NOW + 200 * DAY) // DAY > (now + 1_096 * DAY) / DAY),
    ]
    return sorted((reason for reason, against in checks if against), key=list(Reason).index)


def _oracle(flow: Flow, context: Context, cases: list[Case], now: int) -> set[Reason]:
    """Return the reasons a decision may give: exactly one, save that an unknown content may show its status."""
    up = context.members.links
    for party, reason in ((flow.holder, Reason.NOT_MEMBER_HOLDER), (flow.recipient, Reason.NOT_MEMBER_RECIPIENT)):
        if party[0] not in context.members.members or context.members.members[party[0]].party != party:
            return {reason}
    if flow.holder != flow.recipient and not ({(flow.holder, flow.recipient), (flow.recipient, flow.holder)} & set(up)):
        return {Reason.NO_LINK}
    if not cases:
        return {Reason.NO_CONSENT}
    everything = [_faults(flow, context, case, now) for case in cases]
    if [] in everything:
        return {Reason.ALLOWED}
    nearest = max((faults[0] for faults in everything), key=list(Reason).index)
    if nearest is not Reason.DISCLOSURE_MISSING:
        return {nearest}
    unknown = [faults for faults in everything if faults[0] is nearest]
    return {faults[1] if len(faults) > 1 else nearest for faults in unknown}


def _mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([usual] * (25 * len(others)) + list(others))


TERMS_DRAWN = st.builds(
    but,
    purpose=_mostly(TERMS.purpose, "Selling the data", "Research"),
    purpose_category=_mostly(TERMS.purpose_category, "dpv:Marketing"),
    points=_mostly(TERMS.points, ("prm:00000000000000",)),
    pii_type=_mostly(LOAD_CURVE, LOAD_CURVE._replace(direction="production"), LOAD_CURVE._replace(kind="index")),
    granularity=st.sampled_from(COARSER),
    data_period=_mostly(
        TERMS.data_period, ((PAST, PAST + DAY),), ((PAST + DAY, PAST + 2 * DAY), (PAST + 3 * DAY, NOW))
    ),
    access_period=_mostly((NOW, None), (NOW + DAY, None), (NOW - 9 * DAY, NOW), (0, NOW + 1)),
    stages=_mostly(TERMS.stages, Stages(local=True, upload=True, transmit=False)),
    freshness=_mostly((), (HOME,)),
    computation=_mostly(None, b"c" * 32),
)
CASES = st.tuples(
    TERMS_DRAWN,
    _mostly(State.GRANTED, *list(State)[1:], None),
    _mostly(True, False),
    st.fixed_dictionaries(
        {},
        optional={
            "holder": _mostly(HOLDER, OTHER),
            "recipient": _mostly(RECIPIENT, OTHER, RecipientClass("holders only")),
            "valid_until": _mostly(NOW + 3 * DAY, NOW + DAY, NOW + 1_096 * DAY),
        },
    ),
)
FLOWS = st.builds(
    Flow,
    holder=_mostly(HOLDER, OTHER, (HOLDER[0], 2)),
    recipient=_mostly(RECIPIENT, OTHER, HOLDER),
    point=_mostly(POINT, "prm:00000000000000"),
    pii_type=_mostly(LOAD_CURVE, LOAD_CURVE._replace(kind="index")),
    granularity=st.sampled_from(COARSER),
    window=_mostly((PAST + DAY, PAST + 2 * DAY), (PAST, PAST + 15 * DAY), (PAST + 19 * DAY, PAST + 31 * DAY)),
    purpose=_mostly(TERMS.purpose, "Selling the data", "Research"),
)
PEOPLE = st.builds(
    members,
    _mostly(HOLDER, (HOLDER[0], 2)),
    _mostly(RECIPIENT, OTHER),
    _mostly(OTHER, RECIPIENT),
    links=_mostly(((HOLDER, RECIPIENT), (HOLDER, OTHER)), ((OTHER, RECIPIENT),), ()),
)
CONTEXTS = st.builds(
    lambda people, fresh: Context(people, POLICY, lambda home: home in fresh),
    PEOPLE,
    _mostly({(), (HOME,)}, {()}, {(HOME,)}, set()),
)
LATER = _mostly(NOW, NOW + DAY, NOW + 3 * DAY, NOW - 1)


def _prepared(cases: list[Case]) -> list[Candidate]:
    prepared = []
    for seed, (terms, state, disclosed, clear) in enumerate(cases):
        entry, opened = grant(terms, seed=seed, **clear)
        found = None if state is None else status(entry, state)
        prepared.append(prepare(entry, found, opened if disclosed else None))
    return prepared


@settings(max_examples=400)
@given(FLOWS, CONTEXTS, st.lists(CASES, max_size=3), LATER)
def test_the_gate_agrees_with_the_oracle(flow: Flow, context: Context, cases: list[Case], now: int) -> None:
    decision = permit(flow, context, _prepared(cases), now)
    event(decision.reason.name)
    assert decision.reason in _oracle(flow, context, cases, now)
    assert decision.allowed is (decision.reason is Reason.ALLOWED)
    if decision.allowed:
        assert (decision.window, decision.granularity) == (flow.window, flow.granularity)
        assert decision.consent is not None
        assert decision.entries == (decision.consent,)


@given(FLOWS, CONTEXTS, st.lists(CASES, min_size=1, max_size=3), LATER, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(
    flow: Flow, context: Context, cases: list[Case], now: int, random: Any
) -> None:
    candidates = _prepared(cases)
    shuffled = [*candidates, candidates[0]]
    random.shuffle(shuffled)
    assert permit(flow, context, candidates, now) == permit(flow, context, shuffled, now)


@given(FLOWS, CONTEXTS, st.lists(CASES, min_size=1, max_size=3), LATER, st.data())
def test_whatever_restricts_can_only_shrink_what_is_permitted(
    flow: Flow, context: Context, cases: list[Case], now: int, data: st.DataObject
) -> None:
    """Take away a member, a link, freshness, a disclosure or a consent's force: no denial turns into a yes."""
    candidates = _prepared(cases)
    before = permit(flow, context, candidates, now)
    at = data.draw(st.integers(0, len(candidates) - 1))
    terms, state, _, clear = cases[at]
    entry, _ = grant(terms, seed=at, **clear)
    worse = {
        "withdrawn": candidates[at].in_status(status(entry, State.WITHDRAWN)),
        "revoked": candidates[at].in_status(status(entry, State.REVOKED)),
        "unregistered": candidates[at].in_status(None),
        "erased": prepare(entry, None if state is None else status(entry, state), None),
    }
    poorer: dict[str, Context] = {
        "no links": replace(context, members=replace(context.members, links={})),
        "nobody": replace(context, members=Members(b"e" * 32)),
        "stale": replace(context, fresh=lambda _: False),
        "forbidden": replace(context, policy=Policy(forbidden_purposes=(*POLICY.forbidden_purposes, flow.purpose))),
    }
    for candidate in worse.values():
        changed = [*candidates[:at], candidate, *candidates[at + 1 :]]
        after = permit(flow, context, changed, now)
        assert before.allowed or not after.allowed
        assert after.consent != candidate.grant or not after.allowed
    for less in poorer.values():
        assert not permit(flow, less, candidates, now).allowed or less.members.links == context.members.links != {}
        assert before.allowed or not permit(flow, less, candidates, now).allowed
    assert before.allowed or not permit(flow, context, candidates[:at], now).allowed
