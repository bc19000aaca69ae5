"""The one function of `ledger/rows.py`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.rows import prefix_stop


@given(prefix=st.binary(max_size=3), key=st.binary(min_size=1, max_size=4))
def test_prefix_stop_bounds_exactly_the_prefix(prefix: bytes, key: bytes) -> None:
    stop = prefix_stop(prefix)
    assert key.startswith(prefix) == (key >= prefix and (stop is None or key < stop))
