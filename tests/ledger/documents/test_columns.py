"""Columns: one coding for each list of values, and no expansion beyond the bound."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.documents.columns import NUMBER_MAX, deltas, flags, runs, signed, unsigned
from ledger.errors import RemoteError
from tests.ledger.documents.crafting import boolean, delta, rle, sleb, uleb

values = st.lists(st.none() | st.integers(0, 5) | st.integers(0, NUMBER_MAX), max_size=60).filter(
    lambda listed: not listed or any(value is not None for value in listed)
)


@given(values)
def test_runs_are_read_back(listed: list[int | None]) -> None:
    assert runs(rle(listed), len(listed)) == listed


@given(values)
def test_differences_are_read_back(listed: list[int | None]) -> None:
    assert deltas(delta(listed), len(listed)) == listed


@given(st.lists(st.booleans(), max_size=60))
def test_flags_are_read_back(listed: list[bool]) -> None:
    assert flags(boolean(listed), len(listed)) == bytes(listed)


@given(st.binary(max_size=12), st.integers(0, 40))
def test_whatever_is_read_has_one_coding_and_keeps_to_the_bound(data: bytes, bound: int) -> None:
    for read, write in ((runs, rle), (deltas, delta)):
        try:
            found = read(data, bound)
        except RemoteError:
            continue
        assert len(found) <= bound
        assert write(found) == data
    with suppress(RemoteError):
        assert boolean(map(bool, flags(data, bound))) == data


@given(st.integers(0, NUMBER_MAX), st.integers(-(2**33), 2**33 - 1))
def test_numbers_are_read_back(positive: int, whole: int) -> None:
    assert unsigned(uleb(positive), 0) == (positive, len(uleb(positive)))
    assert signed(sleb(whole), 0) == (whole, len(sleb(whole)))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff\xff\xff\xff\x1f", b"\xff" * 9 + b"\x01"])
def test_numbers_in_another_form_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteError, match="CHANGE_MALFORMED"):
        unsigned(data, 0)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\x7f", b"\x80\x00", b"\xff" * 9 + b"\x01"])
def test_signed_numbers_in_another_form_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteError, match="CHANGE_MALFORMED"):
        signed(data, 0)


@pytest.mark.parametrize("head", [sleb(2**33 - 1) + b"\x01", b"\x00" + uleb(NUMBER_MAX), sleb(-(2**33)) + b"\x01"])
def test_a_few_bytes_that_claim_billions_of_rows_are_refused_unexpanded(head: bytes) -> None:
    with pytest.raises(RemoteError, match="CHANGE_TOO_MANY_OPS"):
        runs(head, 16_384)
    assert len(head) < 8
