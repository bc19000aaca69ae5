"""Reminders: by whoever asked, while the request is open, the three oldest, whatever order they come in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.reminding import REMINDERS_MAX, reminders
from ledger.entry import Entry
from tests.ledger.consent.cases import NOW
from tests.ledger.consent.chains import Book, key

ASKER, OTHER = key(1), key(2)
OPEN_SECONDS = 1_000


def scene() -> tuple[Book, Entry]:
    """Return a book with a request in it."""
    book = Book()
    grant = book.grant(ASKER)
    payload = {
        name: grant.payload[name] for name in ("schema", "holder", "recipient", "valid_until", "notice", "slots")
    }
    return book, book.sign(ASKER, "consent.request", {**payload, "expires": NOW + OPEN_SECONDS})


def remind(book: Book, request: Entry, at: int = NOW, by: Any = ASKER) -> Entry:
    """Return a reminder of a date."""
    book.now = at
    return book.sign(by, "consent.remind", {"request": request.id}, about=request)


def counting(request: Entry, said: list[Entry]) -> tuple[bytes, ...]:
    """Return the reminders that count; each key is a party of its own."""
    return reminders(request, said, lambda kid: (kid, 1))


def test_the_three_oldest_count() -> None:
    book, request = scene()
    said = [remind(book, request, NOW + after) for after in (50, 10, 40, 20, 30)]
    assert counting(request, said) == (said[1].id, said[3].id, said[4].id)


@pytest.mark.covers("R61")
def test_only_the_asker_reminds_and_only_while_the_request_is_open() -> None:
    book, request = scene()
    _, another = scene()
    assert counting(request, [remind(book, request, by=OTHER)]) == ()
    assert counting(request, [remind(book, request, NOW + OPEN_SECONDS + 1)]) == ()
    assert counting(request, [remind(book, request, NOW - 1)]) == ()
    assert counting(replace(another, id=b"x" * 32), [remind(book, request)]) == ()
    good = remind(book, request, NOW + OPEN_SECONDS)
    assert counting(request, [good, good]) == (good.id,)


@given(st.lists(st.tuples(st.integers(-5, 25), st.booleans()), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_what_comes_is_nothing_and_more_never_undo(drawn: list[tuple[int, bool]], random: Any) -> None:
    book, request = scene()
    said = [remind(book, request, NOW + after, ASKER if own else OTHER) for after, own in drawn]
    found = counting(request, said)
    assert len(found) <= REMINDERS_MAX
    random.shuffle(said)
    assert counting(request, said) == found
    own = sum(by and after >= 0 for after, by in drawn)
    assert len(found) == min(own, REMINDERS_MAX)
