"""The text with which a consent is handed on: it comes back whole, and no damaged one is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.heir import Heir, parse_heir
from ledger.errors import LocalError

KEY = st.binary(min_size=32, max_size=32)
HEIRS = st.builds(Heir, KEY, KEY, KEY, st.none() | st.tuples(KEY, st.integers(1, 99))).filter(
    lambda heir: heir.key != heir.withdraw_key
)


@given(HEIRS)
def test_a_text_comes_back(heir: Heir) -> None:
    code = heir.code()
    assert parse_heir(f"  {code[:50]}\n{code[50:]} ") == heir


@given(HEIRS, st.data())
def test_a_damaged_text_is_not_read(heir: Heir, data: st.DataObject) -> None:
    code = heir.code()
    place = data.draw(st.integers(0, len(code) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_.=é"))
    damaged = data.draw(
        st.sampled_from([code[:place], code[:place] + code[place + 1 :], code[:place] + letter + code[place + 1 :]])
    )
    if damaged != code:
        with pytest.raises(LocalError, match="BAD_HEIR"):
            parse_heir(damaged)


def test_one_key_for_both_is_refused() -> None:
    key = bytes(32)
    with pytest.raises(LocalError, match="BAD_HEIR"):
        parse_heir(Heir(b"g" * 32, key, key).code())
