"""The gate: each denial has its reason, nothing is allowed by default, and freshness is what counting gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import contains, eq
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.disclosure import Disclosures, hide, slot_digest
from ledger.consent.gate import (
    Candidate,
    Context,
    Decision,
    Door,
    Flow,
    Freshness,
    freshness,
    permit,
    prepare,
)
from ledger.consent.grant import RecipientClass
from ledger.consent.reasons import Reason
from ledger.consent.record import DataKind, Rights, Stages, Terms
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.governance.epoch import Policy
from ledger.governance.members import Members
from ledger.schema import DAY
from tests.ledger.consent.cases import (
    DAILY,
    HOLDER,
    LOAD_CURVE,
    NOTICE,
    NOW,
    OTHER,
    PAST,
    POINT,
    POLICY,
    RECIPIENT,
    TENANT,
    TERMS,
    but,
    grant,
    members,
    resigned,
    seeded,
    status,
)

HOME = b"a" * 32
END = TERMS.access_period[1]
MEMBERS = members(HOLDER, RECIPIENT, links=((HOLDER, RECIPIENT),))
CONTEXT = Context(MEMBERS, POLICY, lambda _: True)
FLOW = Flow(HOLDER, RECIPIENT, POINT, LOAD_CURVE, "PT30M", (PAST + DAY, PAST + 2 * DAY), TERMS.purpose)
GRANT, DISCLOSED = grant()
CANDIDATE = prepare(GRANT, status(GRANT), DISCLOSED)


def _decide(
    flow: Flow = FLOW, context: Context = CONTEXT, candidate: Candidate = CANDIDATE, now: int = NOW
) -> Decision:
    return permit(flow, context, [candidate], now)


def _candidate(terms: Terms = TERMS, **clear: Any) -> Candidate:
    entry, disclosed = grant(terms, **clear)
    return prepare(entry, status(entry), disclosed)


def test_what_was_granted_is_allowed_and_accounted_for() -> None:
    decision = _decide()
    assert decision == Decision(Reason.ALLOWED, GRANT.id, (GRANT.id,), FLOW.window, "PT30M")
    assert decision.allowed
    assert decision.sentence("fr") == "Un consentement en vigueur le permet."


def test_the_result_of_the_named_computation_may_go() -> None:
    decision = _decide(replace(FLOW, computation=b"c" * 32), candidate=_candidate(COMPUTED))
    assert decision.allowed


COMPUTED = but(computation=b"c" * 32)
DARK = but(stages=Stages(local=True, upload=True, transmit=False))


@pytest.mark.covers("R98")
@pytest.mark.parametrize(
    ("reason", "decide"),
    [
        (Reason.BAD_FLOW, lambda: _decide(replace(FLOW, window=(5, 5)))),
        (Reason.BAD_FLOW, lambda: _decide(replace(FLOW, window=(-5, 5)))),
        (Reason.BAD_FLOW, lambda: _decide(replace(FLOW, granularity="half an hour"))),
        (Reason.DOOR_CLOSED, lambda: _decide(replace(FLOW, door=Door.AGGREGATE))),
        (Reason.NOT_MEMBER_HOLDER, lambda: _decide(context=replace(CONTEXT, members=members(RECIPIENT)))),
        (Reason.NOT_MEMBER_HOLDER, lambda: _decide(replace(FLOW, holder=(HOLDER[0], 2)))),
        (Reason.NOT_MEMBER_RECIPIENT, lambda: _decide(context=replace(CONTEXT, members=members(HOLDER)))),
        (Reason.NO_LINK, lambda: _decide(context=replace(CONTEXT, members=members(HOLDER, RECIPIENT)))),
        (Reason.NO_CONSENT, lambda: permit(FLOW, CONTEXT, [], NOW)),
        (Reason.OTHER_HOLDER, lambda: _decide(candidate=_candidate(holder=OTHER))),
        (Reason.OTHER_RECIPIENT, lambda: _decide(candidate=_candidate(recipient=OTHER))),
        (Reason.CLASS_RECIPIENT, lambda: _decide(candidate=_candidate(recipient=RecipientClass("the good")))),
        (Reason.NOT_IN_CLASS, lambda: _decide(candidate=_candidate(recipient=RecipientClass("holders")))),
        (Reason.OTHER_POINT, lambda: _decide(replace(FLOW, point="prm:12345678901236"))),
        (Reason.OTHER_KIND, lambda: _decide(replace(FLOW, pii_type=DAILY))),
        (Reason.OTHER_KIND, lambda: _decide(candidate=_candidate(but(pii_type=DAILY, granularity="P1D")))),
        (Reason.OTHER_PURPOSE, lambda: _decide(replace(FLOW, purpose="Advice on heating"))),
        (Reason.DISCLOSURE_MISSING, lambda: _decide(candidate=prepare(GRANT, status(GRANT), None))),
        (Reason.FORBIDDEN_PURPOSE, lambda: _forbidden("Selling the DATA", "dpv:ServiceProvision")),
        (Reason.FORBIDDEN_PURPOSE, lambda: _forbidden("Fine words", "dpv:marketing")),
        (Reason.COMPUTATION_ONLY, lambda: _decide(candidate=_candidate(COMPUTED))),
        (
            Reason.OTHER_COMPUTATION,
            lambda: _decide(replace(FLOW, computation=b"d" * 32), candidate=_candidate(COMPUTED)),
        ),
        (Reason.OTHER_COMPUTATION, lambda: _decide(replace(FLOW, computation=b"c" * 32))),
        (Reason.STAGE_OFF, lambda: _decide(candidate=_candidate(DARK))),
        (Reason.OTHER_GRANULARITY, lambda: _decide(replace(FLOW, granularity="PT10M"))),
        (Reason.OTHER_GRANULARITY, lambda: _decide(replace(FLOW, granularity=None))),
        (Reason.OTHER_PERIOD, lambda: _decide(replace(FLOW, window=(PAST, PAST + 21 * DAY)))),
        (Reason.UNREGISTERED, lambda: _decide(candidate=CANDIDATE.in_status(None))),
        (Reason.INCOMPLETE, lambda: _in_state(State.INCOMPLETE)),
        (Reason.WITHDRAWN, lambda: _in_state(State.WITHDRAWN)),
        (Reason.REVOKED, lambda: _in_state(State.REVOKED)),
        (Reason.EXPIRED, lambda: _decide(now=END or 0)),
        (Reason.NOT_YET, lambda: _decide(now=TERMS.access_period[0] - 1)),
        (Reason.TOO_LONG, lambda: _decide(context=replace(CONTEXT, policy=Policy(consent_days_max=100)))),
        (Reason.STALE, lambda: _decide(context=replace(CONTEXT, fresh=lambda _: False))),
    ],
)
def test_each_denial_has_its_own_reason(reason: Reason, decide: Callable[[], Decision]) -> None:
    decision = decide()
    assert decision.reason is reason
    assert not decision.allowed
    assert decision.sentence("en") != decision.sentence("fr")


def _in_state(state: State) -> Decision:
    return _decide(candidate=CANDIDATE.in_status(status(GRANT, state)))


def _forbidden(purpose: str, category: str) -> Decision:
    candidate = _candidate(but(purpose=purpose, purpose_category=category))
    return _decide(replace(FLOW, purpose=purpose), candidate=candidate)


def test_a_withdrawal_is_what_a_refusal_rests_on() -> None:
    assert _in_state(State.WITHDRAWN).entries == (b"w" * 32,)
    assert _in_state(State.WITHDRAWN).consent == GRANT.id


def test_the_status_of_another_consent_is_no_status() -> None:
    other, _ = grant(seed=4)
    assert _decide(candidate=CANDIDATE.in_status(status(other))).reason is Reason.UNREGISTERED


def test_a_refused_window_or_step_tells_what_would_pass() -> None:
    window = (PAST + 15 * DAY, PAST + 35 * DAY)
    part = _decide(replace(FLOW, window=window)).window
    assert part == (PAST + 15 * DAY, PAST + 20 * DAY)
    assert _decide(replace(FLOW, window=part)).allowed
    assert _decide(replace(FLOW, window=(0, 5))).window is None
    assert _decide(replace(FLOW, granularity="PT1M")).granularity == "PT30M"


def test_windows_that_touch_are_one() -> None:
    assert _decide(replace(FLOW, window=(PAST + 5 * DAY, PAST + 15 * DAY))).allowed


def test_a_consent_asks_for_its_own_freshness() -> None:
    at_home = _candidate(but(freshness=(HOME,)))
    only_home = replace(CONTEXT, fresh=lambda home: home == (HOME,))
    assert _decide(context=only_home, candidate=at_home).allowed
    assert _decide(context=only_home).reason is Reason.STALE
    only_quorum = replace(CONTEXT, fresh=lambda home: home == ())
    assert _decide(context=only_quorum).allowed
    assert _decide(context=only_quorum, candidate=at_home).reason is Reason.STALE


def test_a_home_is_where_she_said_last_that_her_keys_are() -> None:
    at_home, host, its = _candidate(but(freshness=(HOME,))), (b"h" * 32, 1), b"f" * 32
    assert at_home.status is not None
    moved = replace(at_home, status=replace(at_home.status, host=host))
    there = replace(CONTEXT, fresh=lambda home: home in ((its,), ()), feeds_of=lambda p: (its,) if p == host else ())
    assert _decide(context=there, candidate=moved).allowed
    assert _decide(context=there, candidate=at_home).reason is Reason.STALE
    for heard in ((its,), ()):  # the host alone, or the quorum alone, is not enough
        partly = replace(there, fresh=partial(eq, heard))
        assert _decide(context=partly, candidate=moved).reason is Reason.STALE
    gone = replace(there, feeds_of=lambda _: ())
    assert _decide(context=gone, candidate=moved).reason is Reason.STALE  # a host that is no member opens nothing


def test_of_a_consent_that_was_handed_on_twice_the_quorum_is_asked_for_beside_the_last_home() -> None:
    at_home, host, its = _candidate(but(freshness=(HOME,))), (b"h" * 32, 1), b"f" * 32
    assert at_home.status is not None
    twice = replace(at_home, status=replace(at_home.status, contested=b"k" * 32))
    there = replace(CONTEXT, feeds_of=lambda p: (its,) if p == host else ())
    assert twice.status is not None
    for candidate, home in ((twice, HOME), (replace(twice, status=replace(twice.status, host=host)), its)):
        both = replace(there, fresh=partial(contains, ((home,), ())))
        assert _decide(context=both, candidate=candidate).allowed
        for heard in ((home,), ()):
            partly = replace(there, fresh=partial(eq, heard))
            assert _decide(context=partly, candidate=candidate).reason is Reason.STALE
    quorum = _candidate()
    assert quorum.status is not None
    quorum = replace(quorum, status=replace(quorum.status, contested=b"k" * 32))
    assert _decide(context=replace(CONTEXT, fresh=partial(eq, ())), candidate=quorum).allowed


def test_tenants_send_through_their_hosts() -> None:
    candidate = _candidate(holder=TENANT)
    flow = replace(FLOW, holder=TENANT)
    hosted = members(HOLDER, RECIPIENT, links=((HOLDER, RECIPIENT),), tenants={TENANT[0]: HOLDER})
    assert _decide(flow, replace(CONTEXT, members=hosted), candidate).allowed
    at_recipient = members(RECIPIENT, tenants={TENANT[0]: RECIPIENT})
    assert _decide(flow, replace(CONTEXT, members=at_recipient), candidate).allowed  # one node needs no link
    left = members(RECIPIENT, tenants={TENANT[0]: HOLDER})
    assert _decide(flow, replace(CONTEXT, members=left), candidate).reason is Reason.NOT_MEMBER_HOLDER
    assert _decide(flow, CONTEXT, candidate).reason is Reason.NOT_MEMBER_HOLDER


def test_a_coarser_reading_of_the_same_kind_is_covered() -> None:
    for step in ("PT30M", "PT1H", "P1D", "P1M"):
        assert _decide(replace(FLOW, granularity=step)).allowed


def test_data_that_are_no_series_have_no_step() -> None:
    kind = DataKind("electricity", "consumption", "contract")
    candidate = _candidate(but(pii_type=kind, granularity=None))
    assert _decide(replace(FLOW, pii_type=kind, granularity=None), candidate=candidate).allowed
    refused = _decide(replace(FLOW, pii_type=kind), candidate=candidate)
    assert refused.reason is Reason.OTHER_GRANULARITY


def test_a_grant_that_rests_on_another_is_not_followed() -> None:
    for link in ("delegation", "parent"):
        entry = resigned(GRANT, **{link: b"x" * 32})
        assert _decide(candidate=prepare(entry, status(entry), DISCLOSED)).reason is Reason.CHAINED


def _lawless(**changes: Any) -> tuple[Entry, Disclosures]:
    """Return a grant as a wallet that checks nothing would sign it."""
    slots, disclosed = hide(but(**changes), seeded(6))
    return resigned(GRANT, slots=slots), disclosed


@pytest.mark.covers("R71")
@pytest.mark.parametrize(
    "untold",
    [
        {"rights": Rights("a", "b", "")},
        {"recipients": ()},
        {"withdrawal_method": ""},
        {"pii_type": None, "granularity": None},
        {"granularity": None},
    ],
)
def test_a_grant_of_someone_not_told_is_denied(untold: dict[str, Any]) -> None:
    entry, disclosed = _lawless(**untold)
    assert _decide(candidate=prepare(entry, status(entry), disclosed)).reason is Reason.NOT_INFORMED


@pytest.mark.covers("R71")
def test_a_notice_dated_after_the_grant_is_denied() -> None:
    entry = resigned(GRANT, notice={"sha256": NOTICE.sha256, "dated": GRANT.iat + 1})
    assert _decide(candidate=prepare(entry, status(entry), DISCLOSED)).reason is Reason.NOT_INFORMED


def test_content_that_is_not_the_signed_one_or_breaks_the_schema_is_denied() -> None:
    salt, _ = DISCLOSED.fields["granularity"]
    forged = Disclosures({**DISCLOSED.fields, "granularity": (salt, "PT1M")})
    assert _decide(candidate=prepare(GRANT, status(GRANT), forged)).reason is Reason.BAD_TERMS
    slots = GRANT.payload["slots"]
    wrong = slot_digest(salt, 30, "granularity")
    entry = resigned(GRANT, slots=slots[: 5 * 32] + wrong + slots[6 * 32 :])
    signed = Disclosures({**DISCLOSED.fields, "granularity": (salt, 30)})
    assert _decide(candidate=prepare(entry, status(entry), signed)).reason is Reason.BAD_TERMS


def test_any_field_kept_back_denies() -> None:
    for name in DISCLOSED.fields:
        part = DISCLOSED.only(other for other in DISCLOSED.fields if other != name)
        assert _decide(candidate=prepare(GRANT, status(GRANT), part)).reason is Reason.DISCLOSURE_MISSING


def test_after_erasure_the_status_is_still_said() -> None:
    erased = prepare(GRANT, status(GRANT, State.WITHDRAWN), None)
    assert _decide(candidate=erased).reason is Reason.WITHDRAWN
    assert _decide(candidate=prepare(GRANT, status(GRANT), None), now=NOW + 300 * DAY).reason is Reason.EXPIRED
    # … and does not hide a consent that came nearer.
    near = _candidate(seed=1)
    assert permit(replace(FLOW, granularity="PT10M"), CONTEXT, [erased, near], NOW).reason is Reason.OTHER_GRANULARITY


TEXTS = st.text(max_size=12) | st.sampled_from(["PT30M", POINT, TERMS.purpose])
PARTIES = st.tuples(st.sampled_from([HOLDER[0], RECIPIENT[0], TENANT[0], b""]), st.integers(0, 2))


@pytest.mark.covers("R98")
@given(
    st.builds(
        Flow,
        holder=PARTIES,
        recipient=PARTIES,
        point=TEXTS,
        pii_type=st.builds(DataKind, TEXTS, TEXTS, TEXTS),
        granularity=st.none() | TEXTS,
        window=st.tuples(st.integers(), st.integers()),
        purpose=TEXTS,
        door=st.sampled_from(Door),
    ),
    st.lists(st.sampled_from([CANDIDATE, CANDIDATE.in_status(None), prepare(GRANT, status(GRANT), None)]), max_size=2),
    st.sampled_from([CONTEXT, Context(Members(b"e" * 32), Policy(), lambda _: False)]),
    st.integers(),
)
def test_anything_missing_or_odd_is_denied_and_never_raises(
    flow: Flow, candidates: list[Candidate], context: Context, now: int
) -> None:
    decision = permit(flow, context, candidates, now)
    assert not decision.allowed  # no drawn kind of data is the granted one
    assert decision.window is None or decision.reason is Reason.OTHER_PERIOD


# Freshness.

FEEDS = [bytes([number]) * 32 for number in range(1, 8)]
OWN = FEEDS[0]


def _measure(home: list[bytes], voters: list[bytes], ages: dict[bytes, int]) -> Freshness:
    newest = {feed: NOW - age for feed, age in ages.items()}
    return freshness(home, OWN, voters, newest, now=NOW, max_staleness=600)


@given(
    st.sets(st.sampled_from(FEEDS)),
    st.dictionaries(st.sampled_from(FEEDS), st.integers(-300, 1_200)),
    st.sets(st.sampled_from(FEEDS), max_size=2),
)
def test_freshness_agrees_with_counting(voters: set[bytes], ages: dict[bytes, int], home: set[bytes]) -> None:
    good = {OWN} | {feed for feed, age in ages.items() if -120 <= age <= 600}
    expected = home <= good if home else 2 * len(voters & good) > len(voters)
    measured = _measure(sorted(home), sorted(voters), ages)
    assert measured.fresh is expected
    assert measured.fresh is (measured.have >= measured.need)
    if measured.as_of is not None:
        assert measured.as_of <= NOW
        assert measured.fresh is (NOW - measured.as_of <= 600)
    else:
        assert not measured.fresh


def test_freshness_by_hand() -> None:
    assert _measure([], [OWN], {}) == Freshness(fresh=True, have=1, need=1, as_of=NOW)
    assert not _measure([], [], {}).fresh
    assert not _measure([], FEEDS[:2], {}).fresh  # of two voters, half is not more than half
    assert _measure([], FEEDS[:3], {FEEDS[1]: 600}) == Freshness(fresh=True, have=2, need=2, as_of=NOW - 600)
    assert _measure([], FEEDS[:3], {FEEDS[1]: 601}) == Freshness(fresh=False, have=1, need=2, as_of=NOW - 601)
    assert not _measure([], FEEDS[:3], {FEEDS[1]: -121}).fresh  # a clock that far ahead counts for nothing
    assert not _measure([], FEEDS[1:3], {FEEDS[1]: 0}).fresh  # an own feed that is no voter's counts for nothing
    assert _measure([FEEDS[3]], FEEDS[:3], {FEEDS[3]: 5}).as_of == NOW - 5
    assert not _measure(FEEDS[3:5], FEEDS, dict.fromkeys(FEEDS[:4], 0)).fresh
