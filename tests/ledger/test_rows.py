"""The functions of `ledger/rows.py`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.rows import META, distinct, portion, prefix_stop
from storage.memory import MemoryStore


@given(prefix=st.binary(max_size=3), key=st.binary(min_size=1, max_size=4))
def test_prefix_stop_bounds_exactly_the_prefix(prefix: bytes, key: bytes) -> None:
    stop = prefix_stop(prefix)
    assert key.startswith(prefix) == (key >= prefix and (stop is None or key < stop))


@given(
    keys=st.sets(st.binary(min_size=1, max_size=3), max_size=20),
    prefix=st.binary(min_size=1, max_size=2),
    limit=st.integers(1, 4),
)
def test_portions_make_the_whole_once_each(keys: set[bytes], prefix: bytes, limit: int) -> None:
    store = MemoryStore((META,))
    with store.write() as rows:
        for key in keys:
            rows.put(META, key, b"x")
    read: list[bytes] = []
    start = b""
    with store.read() as rows:
        while True:
            found, start = portion(rows, META, prefix, start, limit)
            assert len(found) <= limit
            read += [key for key, _ in found]
            if not start:
                break
    assert read == sorted(key for key in keys if key.startswith(prefix))


@given(keys=st.sets(st.binary(min_size=3, max_size=5), max_size=20), start=st.binary(max_size=2))
def test_each_name_in_keys_comes_once(keys: set[bytes], start: bytes) -> None:
    store = MemoryStore((META,))
    with store.write() as rows:
        for key in {*keys, *(b"p" + key for key in keys)}:
            rows.put(META, key, b"x")
    with store.read() as rows:
        names = list(distinct(rows, META, b"p", 2, start))
        every = [key for key, _ in rows.scan(META, b"p", b"q")]
    assert names == sorted({key[1:3] for key in every if key[1:] >= start})
