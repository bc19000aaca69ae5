"""Scratch tables: they behave as a store's do, and nothing below is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from ledger.overlay import Overlay
from storage.memory import MemoryStore

KEYS = st.binary(min_size=1, max_size=3)
PUT = st.tuples(st.just("put"), KEYS, st.binary(max_size=3))
DELETE = st.tuples(st.just("delete"), KEYS, st.just(b""))


@given(st.lists(PUT | DELETE), KEYS, KEYS, st.booleans(), st.none() | st.integers(0, 5))
def test_a_scratch_table_is_a_table(
    steps: list[tuple[str, bytes, bytes]], start: bytes, stop: bytes, reverse: bool, limit: int | None
) -> None:
    twin, below = MemoryStore(), MemoryStore()
    with below.write() as rows:
        rows.put("maps", b"below", b"hidden")
        rows.put("meta", b"through", b"seen")
    with twin.write() as rows, below.read() as snapshot:
        scratch = Overlay(snapshot, ("maps",))
        for act, key, value in steps:
            for table in (rows, scratch):
                if act == "put":
                    table.put("maps", key, value)
                else:
                    table.delete("maps", key)
        assert scratch.count("maps") == rows.count("maps")
        assert scratch.get("maps", start) == rows.get("maps", start)
        assert scratch.last("maps", start[:1]) == rows.last("maps", start[:1])
        for end in (stop, None):
            found = scratch.scan("maps", start, end, limit=limit, reverse=reverse)
            assert list(found) == list(rows.scan("maps", start, end, limit=limit, reverse=reverse))


def test_other_tables_are_read_through_and_not_written() -> None:
    below = MemoryStore()
    with below.write() as rows:
        rows.put("meta", b"a", b"1")
    with below.read() as snapshot:
        scratch = Overlay(snapshot, ("maps",))
        assert scratch.get("meta", b"a") == b"1"
        assert list(scratch.scan("meta", b"")) == [(b"a", b"1")]
        assert scratch.count("meta") == 1
        with pytest.raises(LocalError, match="READ_ONLY"):
            scratch.put("meta", b"a", b"2")
        with pytest.raises(LocalError, match="READ_ONLY"):
            scratch.delete("meta", b"a")
