"""Every parser of the table under mutated seeds, the same ones each time: no crash, and never a silent nothing.

Under MAILLE_PROFILE=nightly each gets many more; `python -m tests.fuzz NAME` searches with coverage.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import PROFILE
from tests.fuzz.check import SilentNothingError, check
from tests.fuzz.parsers import PARSERS
from tests.fuzz.seeds import seeds

INPUTS = {"ci": 300, "nightly": 100_000}[PROFILE]
TOKENS = (
    *(b"", b"\x00", b"\xff", b"\n", b"\r\n", b";", b",", b'"', b"<", b">", b"&", b"&#0;", b"<!DOCTYPE", b"]]>", b"-1"),
    *(b"0", b"9" * 20, b"1e999", b"NaN", b"null", b"[]", b"{}", b"[" * 99, b"2021-02-30", b"PT0M", b"\xed\xa0\x80"),
)


def mutated(chance: random.Random, seed: bytes) -> bytes:
    """Return a seed with one to four small changes."""
    data = bytearray(seed)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((0, 1, 1, 4, 40)))
        match chance.randrange(4):
            case 0:
                data[at:end] = chance.choice(TOKENS)
            case 1:
                data[at:end] = bytes(byte ^ 1 << chance.randrange(8) for byte in data[at:end])
            case 2:
                data[at:at] = data[chance.randrange(len(data) + 1) :][: chance.randrange(80)]
            case _:
                del data[at:end]
    return bytes(data)


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_a_parser_reads_its_seeds_and_survives_their_mutants(name: str) -> None:
    chance = random.Random(f"mutants of {name}")
    good = seeds(name) or (b"",)
    if good != (b"",):
        assert sum(check(PARSERS[name], seed) for seed in good)
    for _ in range(INPUTS):
        data = mutated(chance, chance.choice(good))
        try:
            check(PARSERS[name], data)
        except Exception as error:
            raise AssertionError(f"{name} on {data!r}") from error


@given(st.sampled_from(sorted(PARSERS)), st.binary(max_size=200), st.data())
def test_a_parser_survives_what_is_put_into_its_seeds(name: str, junk: bytes, data: st.DataObject) -> None:
    """Hypothesis chooses the seed, the place, and what stands there instead: it shrinks what it finds."""
    seed = data.draw(st.sampled_from(seeds(name) or (b"",)))
    at = data.draw(st.integers(0, len(seed)))
    assert check(PARSERS[name], seed[:at] + junk + seed[at + data.draw(st.integers(0, 200)) :]) in {True, False}


def test_the_check_can_fail() -> None:
    with pytest.raises(SilentNothingError):
        check(lambda _: [], b"")
    with pytest.raises(ZeroDivisionError):
        check(lambda data: 1 // len(data), b"")
