"""Signatures in a simulation: real, or real once and then remembered.

How it works
    A thousand simulated nodes read the same entry and verify the same signature a thousand times. Inside
    `remembered()` this process does each of them once and keeps the result: libsodium's verdict on each (key, signed
    bytes), and what the bytes of an entry or of a gossip message read as. All three are pure functions of bytes that
    give frozen values, so nothing but the time differs. Outputs say which of the two was used.

What it does not do
    It invents no verdict, remembers no refusal of malformed bytes, and lasts no longer than the with-block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

from nacl.exceptions import BadSignatureError

from gossip import swarm
from ledger import entry, keys

VERDICTS_MAX: Final = 1 << 18
"""Verdicts kept; about 1 kB each."""
ENTRIES_MAX: Final = 1 << 15
"""Entries kept; about 4 kB each."""
MESSAGES_MAX: Final = 1 << 12
"""Messages kept: those that are on their way at one time."""


@contextmanager
def remembered(*, use: bool = True) -> Iterator[None]:
    """Remember, inside the block, what is a pure function of bytes (`use` False: do nothing)."""
    with ExitStack() as stack:
        if use:
            real = vars(keys)["crypto_sign_open"]
            stack.enter_context(_replaced(keys, "crypto_sign_open", _opener(real)))
            stack.enter_context(_replaced(entry, "_open", lru_cache(ENTRIES_MAX)(vars(entry)["_open"])))
            stack.enter_context(_replaced(swarm, "decode", lru_cache(MESSAGES_MAX)(vars(swarm)["decode"])))
        yield


def _opener(real: Callable[[bytes, bytes], bytes]) -> Callable[[bytes, bytes], bytes]:
    @lru_cache(maxsize=VERDICTS_MAX)
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

    return opened


@contextmanager
def _replaced(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    before = vars(module)[name]
    vars(module)[name] = value
    try:
        yield
    finally:
        vars(module)[name] = before
