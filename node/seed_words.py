"""A wallet's seed as 24 words to write down (BIP 39), and back: so that a person can carry her wallet away.

How it works
    256 bits of seed and an 8-bit checksum make 24 words of 11 bits, in English or French; the lists are BIP 39's.

What it does not do
    It stretches no passphrase: the words are the seed itself, and whoever reads them has the wallet.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

from mnemonic import Mnemonic

from ledger.errors import LocalError
from ledger.keys import KEY_BYTES

WORDS: Final = 24
LANGUAGES: Final = ("english", "french")


@lru_cache(maxsize=len(LANGUAGES))
def _list(language: str) -> Mnemonic:
    if language not in LANGUAGES:
        raise LocalError("BAD_LANGUAGE", f"seed words come in {' and '.join(LANGUAGES)}", field="language")
    return Mnemonic(language)


def words_of_seed(seed: bytes, language: str = "english") -> str:
    """Return the 24 words of a 32-byte seed, in Unicode normal form C. Raises LocalError BAD_SEED, BAD_LANGUAGE."""
    if len(seed) != KEY_BYTES:
        raise LocalError("BAD_SEED", f"a seed has {KEY_BYTES} bytes", field="seed")
    return unicodedata.normalize("NFC", _list(language).to_mnemonic(seed))


def seed_of_words(text: str) -> bytes:
    """Return the seed of 24 words in any of the languages; case and spaces are free. Raises LocalError BAD_WORDS."""
    words = unicodedata.normalize("NFKD", text.casefold()).split()
    for language in LANGUAGES if len(words) == WORDS else ():
        book = _list(language)
        if book.check(" ".join(words)):
            return bytes(book.to_entropy(words))
    told = f"a wallet is {WORDS} words, each from the list, in their order; check each of them"
    raise LocalError("BAD_WORDS", told, field="words")


def unknown_words(text: str) -> list[int]:
    """Return which words are in no list, counted from 1; of the languages, by the one that knows most of them."""
    words = unicodedata.normalize("NFKD", text.casefold()).split()
    books = [set(_list(language).wordlist) for language in LANGUAGES]
    return min(([place for place, word in enumerate(words, 1) if word not in book] for book in books), key=len)
