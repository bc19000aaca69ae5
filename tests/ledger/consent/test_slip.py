"""The printed slip: it comes back as it was, and a typing error never passes."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.consent.slip import Slip, parse_slip
from ledger.errors import LocalError

SLIPS = st.builds(Slip, st.binary(min_size=32, max_size=32), st.binary(min_size=5, max_size=5))
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SLIP = Slip(bytes(range(32)), b"grant")
CODE = SLIP.code().replace("-", "")


@given(SLIPS)
def test_a_slip_comes_back(slip: Slip) -> None:
    assert parse_slip(slip.code()) == slip


@given(SLIPS, st.randoms(use_true_random=False))
def test_a_slip_comes_back_however_it_is_typed(slip: Slip, random: object) -> None:
    typed = slip.code().lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert parse_slip(f"\n {typed}\t") == slip
    assert parse_slip(slip.code().replace("1", "I").replace("-", "–")) == slip


@given(SLIPS, st.integers(0, 66), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_found(slip: Slip, place: int, letter: str) -> None:
    code = slip.code().replace("-", "")
    assume(code[place] != letter)
    _typo(code[:place] + letter + code[place + 1 :])


@given(SLIPS, st.dictionaries(st.integers(0, 66), st.sampled_from(ALPHABET), min_size=1, max_size=4))
def test_up_to_four_wrong_characters_are_found(slip: Slip, wrong: dict[int, str]) -> None:
    code = slip.code().replace("-", "")
    typed = "".join(wrong.get(place, letter) for place, letter in enumerate(code))
    assume(typed != code)
    _typo(typed)


@given(SLIPS, st.integers(0, 65))
def test_two_swapped_characters_are_found(slip: Slip, place: int) -> None:
    code = slip.code().replace("-", "")
    assume(code[place] != code[place + 1])
    _typo(code[:place] + code[place + 1] + code[place] + code[place + 2 :])


def _typo(typed: str) -> None:
    with pytest.raises(LocalError) as error:
        parse_slip(typed)
    assert error.value.code == "SLIP_TYPO"


@pytest.mark.parametrize(
    ("typed", "code"),
    [("", "SLIP_LENGTH"), (CODE[:-1], "SLIP_LENGTH"), (CODE + "0", "SLIP_LENGTH"), ("U" + CODE[1:], "SLIP_CHARACTER")],
)
def test_what_is_no_code_is_refused(typed: str, code: str) -> None:
    with pytest.raises(LocalError) as error:
        parse_slip(typed)
    assert error.value.code == code


def test_a_wrong_character_is_placed() -> None:
    with pytest.raises(LocalError) as error:
        parse_slip(SLIP.code()[:7] + "U" + SLIP.code()[8:])
    assert error.value.field == "character 7"  # dashes are not counted


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_printed_slip_holds_the_code_and_names_the_grant(lang: str) -> None:
    lines = SLIP.lines(lang)
    assert parse_slip("".join(lines[-2:])) == SLIP
    assert SLIP.grant_prefix.hex() in lines[1]
    assert all(len(line) <= 120 for line in lines)


def test_a_log_line_shows_no_seed() -> None:
    assert SLIP.withdraw_seed.hex() not in repr(SLIP)
    assert repr(SLIP.withdraw_seed) not in repr(SLIP)
