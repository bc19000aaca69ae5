"""Scopes: narrowing in any order gives one result and never more; what is up to date stays the very same object."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.chain import delegation_stands, parent_stands
from ledger.consent.delegation import Delegation
from ledger.consent.gate import Context, Flow, permit
from ledger.consent.granularity import parse_duration
from ledger.consent.reasons import Reason
from ledger.consent.record import Stages
from ledger.consent.resting import prepare
from ledger.consent.scope import STANDS, Link, Proof, Rest, Scope, Standing, compile_terms, limited, narrowed, proof_of
from ledger.consent.status import Checked, State
from ledger.consent.token import Limits
from ledger.schema import DAY
from tests.ledger.consent.cases import (
    HOLDER,
    LOAD_CURVE,
    NOW,
    OTHER,
    PAST,
    POINT,
    POINT_TOO,
    POLICY,
    RECIPIENT,
    TERMS,
    but,
    grant,
    members,
    resigned,
    status,
)

STEPS = ("PT10M", "PT30M", "PT1H", "P1D", "P1W", "P30D", "P1M", "P1Y")
SCOPES = st.builds(
    lambda **changes: compile_terms(but(**changes), NOW + 200 * DAY, informed=True),
    points=st.sampled_from([(POINT,), (POINT_TOO,), (POINT, POINT_TOO)]),
    granularity=st.sampled_from(STEPS),
    data_period=st.sampled_from(
        [
            ((PAST, PAST + 20 * DAY),),
            ((PAST, PAST + 5 * DAY), (PAST + 8 * DAY, PAST + 30 * DAY)),
            ((PAST + 4 * DAY, PAST + 9 * DAY),),
        ]
    ),
    access_period=st.sampled_from([(NOW, None), (NOW - DAY, NOW + DAY), (NOW + DAY, None)]),
    stages=st.sampled_from([TERMS.stages, Stages(local=True, upload=True, transmit=False)]),
    computation=st.sampled_from([None, None, b"c" * 32, b"d" * 32]),
    freshness=st.sampled_from([(), (b"a" * 32,), (b"b" * 32,)]),
)


def _all(scopes: list[Scope]) -> Scope:
    return reduce(lambda one, other: narrowed(one, other) or one, scopes)


@given(st.lists(SCOPES, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_amendments_does_not_matter(scopes: list[Scope], source: Any) -> None:
    whole = _all(scopes)
    shuffled = [*scopes, scopes[0]]
    source.shuffle(shuffled)
    assert _all(shuffled) == whole
    for step in STEPS:
        fits = whole.fits(step, parse_duration(step))
        assert fits is all(one.fits(step, parse_duration(step)) for one in scopes)


def test_another_purpose_or_kind_leaves_nothing() -> None:
    scope = compile_terms(TERMS, NOW, informed=True)
    other = compile_terms(but(purpose="Research"), NOW, informed=True)
    assert narrowed(scope, other) is None


@given(SCOPES, st.sampled_from(STEPS), st.sampled_from([None, frozenset({POINT})]))
def test_a_token_takes_away_only(scope: Scope, step: str, points: frozenset[str] | None) -> None:
    limits = Limits(b"g" * 32, NOW, points, ((PAST, PAST + 6 * DAY),), step)
    less = limited(scope, limits)
    assert less.points <= scope.points
    assert less.ends <= min(scope.ends, NOW)
    for asked in STEPS:
        duration = parse_duration(asked)
        assert not less.fits(asked, duration) or (scope.fits(asked, duration))
    for start, stop in less.windows:
        assert any(a <= start and stop <= b for a, b in scope.windows)
        assert stop <= PAST + 6 * DAY


# Up to date


def test_nothing_is_made_anew_while_nothing_moves() -> None:
    entry, disclosed = grant()
    told = status(entry)
    candidate = replace(prepare(entry, told, disclosed), links=(Link(Rest.DELEGATION, b"d" * 32, NOW, STANDS),))
    assert candidate.as_of(told, lambda _: STANDS) is candidate
    assert candidate.as_of(told, lambda _: Standing(None)) is candidate  # as good as the same
    ended = candidate.as_of(told, lambda _: Standing(Reason.DELEGATION_REVOKED, (b"r" * 32,)))
    assert ended.links == (Link(Rest.DELEGATION, b"d" * 32, NOW, Standing(Reason.DELEGATION_REVOKED, (b"r" * 32,))),)
    assert candidate.as_of(None, lambda _: STANDS).status is None


@pytest.mark.covers("R51", "R62")
@pytest.mark.parametrize(
    ("words", "proof"),
    [
        ([], Proof.PENDING),
        ([(HOLDER, "pending")], Proof.PENDING),
        ([(RECIPIENT, "checked_ok")], Proof.PENDING),
        ([(HOLDER, "checked_ok")], Proof.CHECKED),
        ([(HOLDER, "checked_ok"), (RECIPIENT, "checked_ko")], Proof.REJECTED),
    ],
)
def test_a_transcribed_paper_needs_its_holders_word(words: list[tuple[Any, str]], proof: Proof) -> None:
    entry, disclosed = grant()
    paper = resigned(entry, transcribed=True, evidence=[b"e" * 32])
    told = replace(status(paper), checked=tuple(Checked(b"e" * 32, party, state) for party, state in words))
    assert proof_of(told) is proof
    candidate = prepare(paper, None, disclosed).as_of(told, lambda _: STANDS)
    assert candidate.proof is proof
    context = Context(members(HOLDER, RECIPIENT, links=((HOLDER, RECIPIENT),)), POLICY, lambda _: True)
    flow = Flow(HOLDER, RECIPIENT, POINT, LOAD_CURVE, "PT30M", (PAST, PAST + DAY), TERMS.purpose)
    assert permit(flow, context, [candidate], NOW).allowed is (proof is Proof.CHECKED)
    own_rule = replace(context, pending_evidence=True)
    assert permit(flow, own_rule, [candidate], NOW).allowed is (proof is not Proof.REJECTED)


def test_who_signs_with_her_speaks_for_the_point_too() -> None:
    entry, disclosed = grant()
    both = (entry.kid, b"s" * 32)
    candidate = prepare(entry, replace(status(entry), signed=(b"s" * 32,)), disclosed)
    asked: list[tuple[bytes, ...]] = []

    def entitled(signers: tuple[bytes, ...], point: str) -> tuple[tuple[int, int], ...]:
        asked.append(signers)
        return ((0, NOW),) if point == POINT and signers == both else ()

    people = members(HOLDER, RECIPIENT, links=((HOLDER, RECIPIENT),))
    context = Context(people, POLICY, lambda _: True, entitled)
    flow = Flow(HOLDER, RECIPIENT, POINT, LOAD_CURVE, "PT30M", (PAST, PAST + DAY), TERMS.purpose)
    assert permit(flow, context, [candidate], NOW).allowed
    assert permit(flow, context, [candidate.in_status(status(entry))], NOW).reason is Reason.NOT_ENTITLED
    assert asked == [both, (entry.kid,)]


def test_what_the_ledger_says_of_a_link_in_the_gates_words() -> None:
    link = Link(Rest.DELEGATION, b"d" * 32, NOW)
    live = Delegation(b"d" * 32, True, NOW, (b"d" * 32,))
    assert delegation_stands(link, None) is None
    assert delegation_stands(link, live) is STANDS
    ended = replace(live, live=False, decided_by=(b"r" * 32,))
    assert delegation_stands(link, ended) == Standing(Reason.DELEGATION_REVOKED, (b"r" * 32,))
    by_law = replace(link, evidence=(b"e" * 32,), checker=HOLDER)
    for words, stands in [
        ((), False),
        ((Checked(b"e" * 32, HOLDER, "checked_ok"),), True),
        ((Checked(b"e" * 32, OTHER, "checked_ok"),), False),
        ((Checked(b"f" * 32, HOLDER, "checked_ok"),), False),
        ((Checked(b"e" * 32, HOLDER, "checked_ko"),), False),
    ]:
        found = delegation_stands(by_law, replace(live, checked=words))
        assert found is STANDS if stands else found == Standing(Reason.DELEGATION_UNPROVEN)
    entry, _ = grant()
    parent, told = Link(Rest.PARENT, entry.id, NOW), status(entry)
    assert parent_stands(parent, told) is STANDS
    assert parent_stands(parent, None) is None
    for state in (State.WITHDRAWN, State.REVOKED, State.INCOMPLETE):
        found = parent_stands(parent, status(entry, state))
        assert found is not None
        assert found.fault is Reason.PARENT_ENDED
    amended = replace(told, amended=(b"a" * 32,))
    assert parent_stands(parent, amended) == Standing(Reason.PARENT_HIDDEN)
    assert parent_stands(replace(parent, amended=frozenset({b"a" * 32})), amended) is STANDS
