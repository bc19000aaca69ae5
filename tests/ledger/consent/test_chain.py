"""Chains: each link within the one above; parents allow what children pass on; one fault anywhere denies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.consent.bounds import Bounds
from ledger.consent.chain import LINKS_MAX, Chain, chain
from ledger.consent.grant import RecipientClass
from ledger.consent.reasons import Reason
from ledger.consent.record import Actor, OnwardSharing, Terms
from ledger.consent.resting import prepare
from ledger.consent.scope import Rest, Scope
from ledger.entry import Entry
from ledger.schema import DAY
from tests.ledger.consent.cases import DAILY, HOLDER, LOAD_CURVE, OTHER, PAST, POINT, POINT_TOO, RECIPIENT, TERMS, but
from tests.ledger.consent.chains import END, Book, key

ANNA, BEN, CARL, DORA, GROUP = (key(number) for number in range(1, 6))
ONWARD = Actor("Advisers", "recipient", "", OTHER)


def _of(book: Book, entry: Entry, terms: Terms = TERMS) -> Chain | Reason:
    return chain(entry, terms, book.source())


def test_a_grant_that_rests_on_nothing_speaks_for_its_signer() -> None:
    book = Book()
    assert _of(book, book.grant(ANNA)) == Chain((), (ANNA.kid,))


def test_a_chain_of_three_speaks_for_the_person_at_its_top() -> None:
    book = Book()
    nearest = book.line([ANNA, BEN, CARL, DORA])
    found = _of(book, book.grant(DORA, delegation=nearest.id))
    assert isinstance(found, Chain)
    assert found.signers == (ANNA.kid,)
    assert [link.kind for link in found.links] == [Rest.DELEGATION] * 3
    assert found.links[0].entry == nearest.id


@pytest.mark.covers("R68", "system:ParcelER")
def test_only_the_key_that_was_delegated_to_may_sign() -> None:
    book = Book()
    nearest = book.line([ANNA, BEN])
    assert _of(book, book.grant(CARL, delegation=nearest.id)) is Reason.DELEGATION_NOT_YOURS
    false = book.delegation(CARL, DORA, parent=nearest)
    assert _of(book, book.grant(DORA, delegation=false.id)) is Reason.DELEGATION_NOT_YOURS


BEYOND: list[dict[str, Any]] = [
    {"points": frozenset({POINT})},
    {"kinds": frozenset({DAILY})},
    {"purposes": frozenset({"Research"})},
    {"recipients": frozenset({OTHER})},
    {"granularity": "PT1H"},
    {"data_period": ((PAST, PAST + DAY),)},
]
WITHIN = Bounds(
    points=frozenset({POINT, POINT_TOO}),
    kinds=frozenset({LOAD_CURVE, DAILY}),
    purposes=frozenset({"advice on  insulation"}),
    recipients=frozenset({RECIPIENT, OTHER}),
    granularity="PT30M",
    data_period=((PAST, PAST + 40 * DAY),),
    sharing_depth=0,
)


@pytest.mark.parametrize("bound", BEYOND, ids=lambda bound: next(iter(bound)))
@pytest.mark.parametrize("place", [0, 1, 2])
def test_each_bound_of_each_link_counts(bound: dict[str, Any], place: int) -> None:
    book = Book()
    people = [ANNA, BEN, CARL, DORA]
    link = None
    for number in range(3):
        limits = replace(WITHIN, **bound) if number == place else WITHIN
        link = book.delegation(people[number], people[number + 1], limits, parent=link, depth=2 - number)
    assert link is not None
    assert _of(book, book.grant(DORA, delegation=link.id)) is Reason.DELEGATION_WIDER
    fine = book.line(people, WITHIN)
    assert isinstance(_of(book, book.grant(DORA, delegation=fine.id)), Chain)


def test_no_link_outlasts_the_one_above_nor_goes_deeper_than_allowed() -> None:
    book = Book()
    short = book.line([ANNA, BEN], valid_until=END - DAY)
    assert _of(book, book.grant(BEN, delegation=short.id)) is Reason.DELEGATION_WIDER
    assert isinstance(_of(book, book.grant(BEN, delegation=short.id, valid_until=END - DAY)), Chain)
    first = book.delegation(ANNA, BEN, depth=0)
    second = book.delegation(BEN, CARL, parent=first, depth=0)
    assert _of(book, book.grant(CARL, delegation=second.id)) is Reason.DELEGATION_WIDER


def test_a_chain_has_an_end() -> None:
    book = Book()
    people = [key(100 + number) for number in range(LINKS_MAX + 2)]
    link = None
    for giver, delegate in pairwise(people):
        link = book.delegation(giver, delegate, parent=link, depth=8)
    assert link is not None
    assert _of(book, book.grant(people[-1], delegation=link.id)) is Reason.DELEGATION_WIDER


def test_what_is_not_here_denies() -> None:
    book = Book()
    nearest = book.line([ANNA, BEN, CARL])
    grant = book.grant(CARL, delegation=nearest.id)
    top = nearest.payload["parent"]
    hidden = book.contents.pop(top)
    assert _of(book, grant) is Reason.DELEGATION_HIDDEN
    book.contents[top] = book.contents[nearest.id]
    assert _of(book, grant) is Reason.DELEGATION_HIDDEN  # another one's content is none
    book.contents[top] = hidden
    del book.entries[top]
    assert _of(book, grant) is Reason.CHAINED
    assert _of(book, book.grant(CARL, delegation=grant.id)) is Reason.CHAINED


def test_a_guardians_evidence_is_asked_for() -> None:
    book = Book()
    for role, needed in [("guardian", (b"e" * 32,)), ("delegate", None)]:
        link = book.delegation(ANNA, BEN, role=role, evidence=[b"e" * 32])
        found = _of(book, book.grant(BEN, delegation=link.id))
        assert isinstance(found, Chain)
        assert found.links[0].evidence == needed


# Calls of a group


def _called(book: Book, terms: Terms = TERMS, **call: Any) -> Entry:
    joined = book.delegation(ANNA, GROUP, role="group")
    asked = book.call(GROUP, terms, **call)
    return book.grant(GROUP, delegation=joined.id, call=asked.id)


def test_a_group_grants_under_its_call_alone() -> None:
    book = Book()
    found = _of(book, _called(book))
    assert isinstance(found, Chain)
    assert [link.kind for link in found.links] == [Rest.DELEGATION, Rest.CALL]
    assert found.signers == (ANNA.kid,)
    joined = book.delegation(ANNA, GROUP, role="group")
    assert _of(book, book.grant(GROUP, delegation=joined.id)) is Reason.DELEGATION_WIDER
    assert _of(book, _called(book, recipient=OTHER)) is Reason.DELEGATION_WIDER
    assert _of(book, _called(book, valid_until=END - DAY)) is Reason.DELEGATION_WIDER
    assert _of(book, _called(book, but(granularity="PT1H"))) is Reason.DELEGATION_WIDER
    assert isinstance(_of(book, _called(book, but(granularity="PT10M", points=("prm:00000000000001",)))), Chain)


def test_a_call_by_another_or_for_a_person_is_none() -> None:
    book = Book()
    joined = book.delegation(ANNA, GROUP, role="group")
    others = book.call(BEN, TERMS)
    assert _of(book, book.grant(GROUP, delegation=joined.id, call=others.id)) is Reason.DELEGATION_NOT_YOURS
    own = book.call(ANNA, TERMS)
    assert _of(book, book.grant(ANNA, call=own.id)) is Reason.DELEGATION_NOT_YOURS


# Parents


SHARING = OnwardSharing("depth", 2)


def _child(
    book: Book, above: Terms, terms: Terms = TERMS, by: Any = ANNA, above_by: Any = ANNA, **child: Any
) -> Chain | Reason:
    parent = book.grant(above_by, above, holder=OTHER, recipient=HOLDER)
    return _of(book, book.grant(by, terms, parent=parent.id, **child), terms)


def test_a_child_lies_within_its_parent() -> None:
    book = Book()
    found = _child(book, but(onward_sharing=SHARING))
    assert isinstance(found, Chain)
    assert [link.kind for link in found.links] == [Rest.PARENT]
    assert found.signers == (ANNA.kid,)


NARROWER: list[dict[str, Any]] = [
    {"points": (POINT,)},
    {"granularity": "PT1H"},
    {"data_period": ((PAST, PAST + DAY),)},
    {"purpose": "Research"},
    {"pii_type": LOAD_CURVE._replace(direction="production")},
    {"retention": "P1M"},
    {"jurisdiction": "CH"},
    {"legal_basis": "contract"},
    {"freshness": (b"a" * 32,)},
    {"computation": b"c" * 32},
    {"access_period": (TERMS.access_period[0], TERMS.access_period[0] + DAY)},
]


@pytest.mark.parametrize("above", NARROWER, ids=lambda above: next(iter(above)))
def test_a_child_that_is_wider_in_one_field_is_denied(above: dict[str, Any]) -> None:
    assert _child(Book(), but(onward_sharing=SHARING, **above)) is Reason.PARENT_WIDER


def test_a_child_ends_no_later_than_its_parent() -> None:
    assert _child(Book(), but(onward_sharing=SHARING), valid_until=END + DAY) is Reason.PARENT_WIDER


LISTED = OnwardSharing("listed", 0, (ONWARD,))
CONTRACT = OnwardSharing("depth", 2, source_contract="R-12")


@pytest.mark.covers("R66", "R69", "system:MyCo")
@pytest.mark.parametrize(
    ("rule", "own", "recipient", "allowed"),
    [
        (OnwardSharing(), OnwardSharing(), RECIPIENT, False),
        (OnwardSharing("depth", 1), OnwardSharing(), RECIPIENT, True),
        (OnwardSharing("depth", 1), OnwardSharing("depth", 1), RECIPIENT, False),
        (OnwardSharing("depth", 2), OnwardSharing("depth", 1), RECIPIENT, True),
        (OnwardSharing("depth", 2), OnwardSharing("listed", 0, (ONWARD,)), RECIPIENT, False),
        (OnwardSharing("depth", 2, aggregate_only=True), OnwardSharing(), RECIPIENT, False),
        (LISTED, OnwardSharing(), RECIPIENT, False),
        (LISTED, OnwardSharing(), OTHER, True),
        (LISTED, OnwardSharing(), RecipientClass("members"), False),
        (LISTED, LISTED, OTHER, True),
        (CONTRACT, OnwardSharing(), RECIPIENT, False),
        (CONTRACT, OnwardSharing(source_contract="R-12"), RECIPIENT, True),
    ],
)
def test_the_parent_says_how_it_may_be_passed_on(rule: Any, own: Any, recipient: Any, allowed: bool) -> None:
    found = _child(Book(), but(onward_sharing=rule), but(onward_sharing=own), recipient=recipient)
    assert isinstance(found, Chain) if allowed else found is Reason.SHARING_FORBIDDEN


@pytest.mark.covers("R88")
def test_a_child_is_signed_by_the_person_or_by_who_received() -> None:
    book = Book()
    above = but(onward_sharing=SHARING)
    assert _child(book, above, by=BEN) is Reason.PARENT_OTHER
    book.parties[BEN.kid] = HOLDER
    assert isinstance(_child(book, above, by=BEN), Chain)


def test_what_was_received_under_another_consent_is_not_passed_on() -> None:
    book = Book()
    parent = book.grant(ANNA, but(onward_sharing=SHARING), holder=OTHER, recipient=RECIPIENT)
    assert _of(book, book.grant(ANNA, parent=parent.id)) is Reason.PARENT_OTHER
    hidden = book.grant(ANNA, but(onward_sharing=SHARING), holder=OTHER, recipient=HOLDER)
    del book.contents[hidden.id]
    assert _of(book, book.grant(ANNA, parent=hidden.id)) is Reason.PARENT_HIDDEN
    assert _of(book, book.grant(ANNA, parent=b"?" * 32)) is Reason.CHAINED


def test_a_parents_own_chain_is_the_childs_too() -> None:
    book = Book()
    nearest = book.line([ANNA, BEN, CARL])
    above = but(onward_sharing=SHARING)
    parent = book.grant(CARL, above, holder=OTHER, recipient=HOLDER, delegation=nearest.id)
    found = _of(book, book.grant(ANNA, parent=parent.id))
    assert isinstance(found, Chain)
    assert [link.kind for link in found.links] == [Rest.PARENT, Rest.DELEGATION, Rest.DELEGATION]
    assert found.signers == (ANNA.kid,)
    del book.contents[nearest.payload["parent"]]
    assert _of(book, book.grant(ANNA, parent=parent.id)) is Reason.DELEGATION_HIDDEN


def test_what_narrows_the_parent_narrows_the_child() -> None:
    book = Book()
    parent = book.grant(ANNA, but(onward_sharing=SHARING), holder=OTHER, recipient=HOLDER)
    amendment = book.amend(ANNA, parent, but(points=(POINT,), onward_sharing=SHARING), valid_until=END - DAY)
    child = book.grant(ANNA, parent=parent.id)
    rests = _of(book, child)
    assert isinstance(rests, Chain)
    assert rests.links[0].amended == {amendment.id}
    content = prepare(child, None, book.contents[child.id], rests=rests).content
    assert isinstance(content, Scope)
    assert content.points == {POINT}
    del book.contents[amendment.id]
    assert _of(book, child) is Reason.PARENT_HIDDEN


WINDOWS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), min_size=1, max_size=3).map(
    lambda drawn: tuple(
        (PAST + 6 * DAY * place + start % 3 * DAY, PAST + 6 * DAY * place + (start % 3 + length % 3 + 1) * DAY)
        for place, (start, length) in enumerate(drawn)
    )
)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "points": st.sampled_from([(POINT,), (POINT_TOO,), (POINT, POINT_TOO)]),
    "granularity": st.sampled_from(["PT10M", "PT30M", "PT1H", "P1D", "P1M", "P30D"]),
    "data_period": WINDOWS,
}


@settings(max_examples=40)
@given(st.fixed_dictionaries({}, optional=CHANGES), st.lists(st.fixed_dictionaries({}, optional=CHANGES), max_size=3))
def test_a_child_covers_nothing_that_its_parents_do_not(own: dict[str, Any], above: list[dict[str, Any]]) -> None:
    """However deep it is passed on, and however it was amended, every reading is covered at every step."""
    book = Book()
    covers: list[Callable[[Scope], bool]] = []
    parent: Entry | None = None
    for depth, changes in enumerate([*above, own]):
        terms = but(**changes, onward_sharing=OnwardSharing("depth", 8 - depth))
        more: dict[str, Any] = {} if parent is None else {"parent": parent.id}
        parent = book.grant(ANNA, terms, holder=HOLDER, recipient=HOLDER, **more)
        covers.append(lambda scope, t=terms: set(scope.points) <= set(t.points) and _inside(scope, t))  # type: ignore[misc]
    assert parent is not None
    rests = chain(parent, book.contents[parent.id].terms(), book.source())
    if isinstance(rests, Chain):
        content = prepare(parent, None, book.contents[parent.id], rests=rests).content
        assert isinstance(content, Scope)
        assert all(check(content) for check in covers)
    else:
        assert rests is Reason.PARENT_WIDER


def _inside(scope: Scope, terms: Terms) -> bool:
    return all(
        any(a <= hour < b for a, b in terms.data_period)
        for start, stop in scope.windows
        for hour in range(start, stop, 3_600)
    )
