"""Grants: payloads, prior information with each missing item named, and "never wider than requested"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.disclosure import hide
from ledger.consent.grant import (
    NOT_TOLD,
    Notice,
    RecipientClass,
    check_grant_against_request,
    check_informed,
    day_before,
    grant_payload,
    missing_information,
    read_recipient,
    request_payload,
    wider_fields,
    window_within,
)
from ledger.consent.record import Actor, DataKind, OnwardSharing, Rights, Stages, Terms
from ledger.errors import LocalError
from ledger.kinds import KINDS
from ledger.schema import DAY
from ledger.shapes import check_fields
from tests.ledger.consent.cases import (
    DAILY,
    HOLDER,
    NOTICE,
    NOW,
    PAST,
    POINT,
    RECIPIENT,
    TERMS,
    but,
    seeded,
)

SLOTS, _ = hide(TERMS, seeded(1))


def _payload(**changes: Any) -> dict[str, Any]:
    clear = {"holder": HOLDER, "recipient": RECIPIENT, "valid_until": NOW, "notice": NOTICE, "slots": SLOTS}
    return grant_payload(**{**clear, "withdraw_key": b"w" * 32, **changes})


def test_payloads_keep_to_their_schema() -> None:
    full = _payload(
        recipient=RecipientClass("holders only"),
        notice=replace(NOTICE, document=b"d" * 16, heads=(b"h" * 32,)),
        request=b"q" * 32,
        supersedes=b"s" * 32,
        delegation=b"d" * 32,
        parent=b"p" * 32,
        required_parties=[b"k" * 32],
        evidence=[b"e" * 32],
    )
    for payload in (full, _payload()):
        check_fields(KINDS["consent.grant"].fields, payload)
    assert read_recipient(full["recipient"]) == RecipientClass("holders only")
    assert read_recipient(_payload()["recipient"]) == RECIPIENT
    assert Notice.read(full["notice"]).heads == (b"h" * 32,)
    assert set(_payload()) == {"schema", "holder", "recipient", "valid_until", "notice", "slots", "withdraw_key"}
    request = request_payload(
        holder=HOLDER, recipient=RECIPIENT, valid_until=NOW, notice=NOTICE, slots=SLOTS, expires=NOW
    )
    check_fields(KINDS["consent.request"].fields, request)


@given(st.integers(0, 2**39))
def test_an_end_is_rounded_down_to_a_day_and_never_up(time: int) -> None:
    end = _payload(valid_until=time)["valid_until"]
    assert end == day_before(time)
    assert end % DAY == 0
    assert 0 <= time - end < DAY


UNTOLD: dict[str, dict[str, Any]] = {
    "purpose": {"purpose": "  "},
    "categories": {"pii_type": None, "granularity": None},
    "recipients": {"recipients": ()},
    "access": {"access": ""},
    "rectification": {"rectification": ""},
    "objection": {"objection": " "},
    "duration": {},
    "withdrawal": {"withdrawal_method": ""},
    "notice": {},
}


@pytest.mark.covers("R71", "R72")
@given(st.sets(st.sampled_from(list(NOT_TOLD))))
def test_each_missing_item_is_named_and_no_other(items: set[str]) -> None:
    changes: dict[str, Any] = {}
    rights = TERMS.rights
    for item in items & {"access", "rectification", "objection"}:
        rights = replace(rights, **UNTOLD[item])
    for item in items - {"access", "rectification", "objection"}:
        changes |= UNTOLD[item]
    terms = but(rights=rights, **changes)
    end = NOW if "duration" in items else NOW + DAY
    notice = replace(NOTICE, dated=NOW + 1) if "notice" in items else NOTICE
    missing = missing_information(terms, valid_until=end, notice=notice, granted_at=NOW)
    assert set(missing) == items
    if items:
        with pytest.raises(LocalError) as error:
            check_informed(terms, valid_until=end, notice=notice, granted_at=NOW)
        assert error.value.code == "CONSENT_NOT_INFORMED"
        assert all(NOT_TOLD[item] in error.value.message for item in items)
        assert all(NOT_TOLD[item] not in error.value.message for item in set(NOT_TOLD) - items)
    else:
        check_informed(terms, valid_until=end, notice=notice, granted_at=NOW)


def test_no_notice_is_a_missing_notice_and_a_kind_without_granularity_a_missing_category() -> None:
    assert missing_information(TERMS, valid_until=NOW + DAY, notice=None, granted_at=NOW) == ("notice",)
    vague = but(granularity=None)
    assert missing_information(vague, valid_until=NOW + DAY, notice=NOTICE, granted_at=NOW) == ("categories",)


LISTED = OnwardSharing("listed", 0, (Actor("A", "recipient"), Actor("B", "recipient")))

NARROWER: list[dict[str, Any]] = [
    {"points": (POINT,)},
    {"granularity": "P1D"},
    {"data_period": ((PAST + DAY, PAST + 15 * DAY),)},  # over two windows that touch
    {"access_period": (NOW, NOW + DAY)},
    {"processors": TERMS.processors[:1]},
    {"retention": "P6M"},
    {"stages": Stages(local=False, upload=True, transmit=True)},
    {"freshness": (b"a" * 32,)},
    {"computation": b"c" * 32},
    {"principal_role": "household_member"},
]

WIDER: list[dict[str, Any]] = [
    {"points": (*TERMS.points, "prm:99999999999999")},
    {"granularity": "PT10M"},
    {"data_period": ((PAST, PAST + 35 * DAY),)},  # over a gap
    {"access_period": (NOW - 10 * DAY, None)},
    {"access_period": (NOW - 11 * DAY, NOW)},
    {"processors": (*TERMS.processors, Actor("More", "sub_processor"))},
    {"retention": "P2Y"},
    {"onward_sharing": LISTED},
    {"purpose": "Another"},
    {"purpose_category": "dpv:Other"},
    {"legal_basis": "contract"},
    {"recipients": (Actor("Another", "recipient"),)},
    {"controllers": (Actor("Another", "controller"),)},
    {"withdrawal_method": "none"},
    {"rights": Rights("a", "b", "c")},
]


@pytest.mark.parametrize("change", NARROWER)
def test_a_grant_may_narrow(change: dict[str, Any]) -> None:
    assert wider_fields(but(**change), TERMS) == ()


@pytest.mark.covers("R85")
@pytest.mark.parametrize("change", WIDER)
def test_a_grant_may_not_widen(change: dict[str, Any]) -> None:
    assert wider_fields(but(**change), TERMS) == tuple(change)


def test_another_kind_is_wider_both_ways() -> None:
    daily = but(pii_type=DAILY, granularity="P1D")
    assert "pii_type" in wider_fields(daily, TERMS)
    assert "pii_type" in wider_fields(TERMS, daily)
    assert "pii_type" in wider_fields(but(pii_type=DataKind("electricity", "production", "load_curve")), TERMS)


def test_stricter_conditions_of_the_outer_terms_bind_the_inner_ones() -> None:
    outer = but(
        freshness=(b"a" * 32,),
        computation=b"c" * 32,
        stages=Stages(local=False, upload=False, transmit=True),
        onward_sharing=replace(LISTED, aggregate_only=True),
        recipients=TERMS.recipients,
    )
    assert set(wider_fields(but(onward_sharing=LISTED), outer)) == {
        "freshness",
        "computation",
        "stages",
        "onward_sharing",
    }
    assert wider_fields(outer, outer) == ()


@given(st.lists(st.sampled_from(NARROWER), max_size=4), st.lists(st.sampled_from(NARROWER), max_size=4))
def test_within_is_transitive(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    def apply(terms: Terms, changes: list[dict[str, Any]]) -> Terms:
        for change in changes:
            terms = but(terms, **change)
        return terms

    middle = apply(TERMS, first)
    inner = apply(middle, second)
    if not wider_fields(inner, middle) and not wider_fields(middle, TERMS):
        assert not wider_fields(inner, TERMS)


@given(
    st.tuples(st.integers(0, 30), st.integers(1, 10)),
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 8)), max_size=4),
)
def test_window_within_is_containment_of_instants(window: tuple[int, int], steps: list[tuple[int, int]]) -> None:
    windows, at = [], 0
    for gap, length in steps:
        windows.append((at + gap, at + gap + length))
        at += gap + length
    start, stop = window[0], sum(window)
    instants = {time for begin, end in windows for time in range(begin, end)}
    assert window_within((start, stop), windows) is (set(range(start, stop)) <= instants)


def test_the_clear_half_may_not_widen_either() -> None:
    request = request_payload(
        holder=HOLDER, recipient=RECIPIENT, valid_until=NOW + 9 * DAY, notice=NOTICE, slots=SLOTS, expires=NOW + 5
    )
    check_grant_against_request(_payload(valid_until=NOW + 8 * DAY), TERMS, request, TERMS, now=NOW)
    wider = _payload(valid_until=NOW + 11 * DAY, holder=RECIPIENT, notice=replace(NOTICE, dated=1))
    with pytest.raises(LocalError) as error:
        check_grant_against_request(wider, but(retention="P2Y"), request, TERMS, now=NOW)
    assert error.value.code == "GRANT_WIDER"
    assert error.value.field == "holder, notice, valid_until, retention"
    with pytest.raises(LocalError) as late:
        check_grant_against_request(_payload(), TERMS, request, TERMS, now=NOW + 6)
    assert late.value.code == "REQUEST_EXPIRED"
