"""Tenures: whose data they are at a time, by the household's rule; held against a plain model, second by second."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.record import DATE_MAX
from ledger.consent.tenure import CONTRACT_ROLES, ROLES, RULES, TENURES_MAX, Register, Tenure
from ledger.errors import LocalError

ANNA = Tenure("anna", "contract_holder", 100, 200)
BEN = Tenure("ben", "household_member", 150)
CHLOE = Tenure("chloe", "contract_holder", 200)


@pytest.mark.covers("R91")
def test_under_the_holders_rule_the_contract_decides() -> None:
    register = Register("holder", (ANNA, BEN, CHLOE))
    assert register.windows({"anna"}) == ((100, 200),)
    assert register.windows({"ben"}) == ()
    assert register.windows({"chloe"}) == ((200, DATE_MAX),)
    assert register.windows({"anna", "chloe"}) == ((100, DATE_MAX),)


@pytest.mark.covers("R91")
def test_under_the_adults_rule_all_who_live_there_must_sign() -> None:
    register = Register("adults", (ANNA, BEN, CHLOE))
    assert register.windows({"anna"}) == ((100, 150),)
    assert register.windows({"anna", "ben"}) == ((100, 200),)
    assert register.windows({"ben", "chloe"}) == ((200, DATE_MAX),)
    assert register.windows({"ben"}) == ()


def test_a_guardian_signs_in_the_persons_stead() -> None:
    ward = Tenure("ward", "contract_holder", 100, None, ("guardian",))
    assert Register("adults", (ward,)).windows({"guardian"}) == ((100, DATE_MAX),)
    assert Register("holder", (ward,)).windows({"stranger"}) == ()


def test_who_moves_out_keeps_what_was_and_gets_no_more() -> None:
    register = Register("holder", (Tenure("anna", "contract_holder", 100),))
    after = register.moved_out("anna", 300)
    assert after.windows({"anna"}) == ((100, 300),)
    for person, at in (("ben", 300), ("anna", 50)):
        with pytest.raises(LocalError) as refused:
            register.moved_out(person, at)
        assert refused.value.code == "NOT_FOUND"


@pytest.mark.parametrize(
    "tenures",
    [
        (Tenure("", "contract_holder", 1),),
        (Tenure("a", "neighbour", 1),),
        (Tenure("a", "contract_holder", 5, 5),),
        (Tenure("a", "contract_holder", -1),),
        (Tenure("a", "contract_holder", 1, DATE_MAX + 1),),
        (Tenure("a", "contract_holder", 1),) * (TENURES_MAX + 1),
    ],
)
def test_what_makes_no_sense_is_refused(tenures: tuple[Tenure, ...]) -> None:
    with pytest.raises(LocalError) as refused:
        Register("holder", tenures)
    assert refused.value.code == "BAD_TENURE"


PEOPLE = ("anna", "ben", "chloe", "guardian")
TENURES = st.lists(
    st.builds(
        lambda person, role, since, length, acts: Tenure(
            person, role, since, None if length == 0 else since + length, acts
        ),
        st.sampled_from(PEOPLE[:3]),
        st.sampled_from(ROLES),
        st.integers(0, 20),
        st.integers(0, 15),
        st.sampled_from([(), ("guardian",)]),
    ),
    max_size=6,
)


@given(TENURES, st.sampled_from(RULES), st.sets(st.sampled_from(PEOPLE)))
def test_each_second_is_as_the_plain_rule_says(tenures: list[Tenure], rule: str, signed: set[str]) -> None:
    register = Register(rule, tuple(tenures))  # type: ignore[arg-type]
    windows = register.windows(signed)
    assert list(windows) == sorted(windows)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(windows))
    for second in range(40):
        there = [one for one in tenures if one.since <= second and (one.until is None or second < one.until)]
        speaks = [one.person in signed or bool(set(one.represented_by) & signed) for one in there]
        if rule == "holder":
            may = any(yes for yes, one in zip(speaks, there, strict=True) if one.role in CONTRACT_ROLES)
        else:
            may = bool(there) and all(speaks)
        assert any(start <= second < stop for start, stop in windows) is may


@given(TENURES, st.sampled_from(RULES), st.sets(st.sampled_from(PEOPLE)), st.sets(st.sampled_from(PEOPLE)))
def test_more_signatures_never_take_anything_away(
    tenures: list[Tenure], rule: str, signed: set[str], more: set[str]
) -> None:
    register = Register(rule, tuple(tenures))  # type: ignore[arg-type]
    wider = register.windows(signed | more)
    for start, stop in register.windows(signed):
        assert any(begin <= start and stop <= end for begin, end in wider)
