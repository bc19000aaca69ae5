"""Signatures in a simulation: real, or real once and then remembered.

How it works
    A thousand simulated nodes verify the same signature a thousand times. Inside `remembered()` the verdict of
    libsodium on each (key, signed bytes) is computed once in this process and kept. Every verdict is still
    libsodium's own; what a memory hides is only the time. Outputs say which of the two was used.

What it does not do
    It invents no verdict and lasts no longer than the with-block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from nacl.exceptions import BadSignatureError

from ledger import keys

REMEMBERED_MAX = 1 << 18
"""Verdicts kept; about 1 kB each."""


@contextmanager
def remembered(*, use: bool = True) -> Iterator[None]:
    """Remember libsodium's verdicts inside the block (`use` False: do nothing)."""
    if not use:
        yield
        return
    real = vars(keys)["crypto_sign_open"]

    @lru_cache(maxsize=REMEMBERED_MAX)
    def verdict(signed: bytes, public: bytes) -> bool:
        try:
            real(signed, public)
        except BadSignatureError:
            return False
        return True

    def opened(signed: bytes, public: bytes) -> bytes:
        if not verdict(signed, public):
            raise BadSignatureError
        return signed[keys.SIGNATURE_BYTES :]

    vars(keys)["crypto_sign_open"] = opened
    try:
        yield
    finally:
        vars(keys)["crypto_sign_open"] = real
