"""Seed words: 24 of them are the seed, in either language, and no other words are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.seed_words import LANGUAGES, WORDS, seed_of_words, words_of_seed


@given(st.binary(min_size=32, max_size=32), st.sampled_from(LANGUAGES))
def test_words_and_seed_are_one(seed: bytes, language: str) -> None:
    words = words_of_seed(seed, language)
    assert len(words.split()) == WORDS
    assert seed_of_words(f"  {words.upper()} \n") == seed


def test_bip_39s_own_vector() -> None:
    assert words_of_seed(bytes(32)) == "abandon " * 23 + "art"


@given(st.binary(min_size=32, max_size=32), st.integers(0, 23))
def test_a_word_that_is_missing_or_wrong_is_noticed(seed: bytes, place: int) -> None:
    words = words_of_seed(seed).split()
    for wrong in ([*words[:place], *words[place + 1 :]], [*words[:place], "maille", *words[place + 1 :]]):
        with pytest.raises(LocalError, match="BAD_WORDS"):
            seed_of_words(" ".join(wrong))


def test_a_seed_has_its_size_and_a_language_is_known() -> None:
    with pytest.raises(LocalError, match="BAD_SEED"):
        words_of_seed(bytes(31))
    with pytest.raises(LocalError, match="BAD_LANGUAGE"):
        words_of_seed(bytes(32), "breton")
