"""Passphrases of accounts: rules for a new one, argon2id, and how many are worked on at a time.

How it works
    Hashing runs in one thread at a time, so that a crowd of logins queues instead of taking all memory; beyond
    `WAITING_MAX` callers it answers BUSY. An unknown name costs as much as a wrong passphrase: it is checked against a
    hash that nothing fits.

What it does not do
    It does not slow down guessing by itself: `limits` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import trio
from nacl import pwhash
from nacl.exceptions import CryptoError

from ledger.errors import LocalError
from node.keyfile import Cost

T = TypeVar("T")

CHARACTERS_MIN: Final = 12
CHARACTERS_MAX: Final = 200
WAITING_MAX: Final = 20
"""Callers that wait for their turn."""
COST: Final = Cost(3, 64 * 2**20)
"""RFC 9106 §4, second choice, in memory: 64 MiB, three passes."""
_KNOWN: Final = ("password", "passphrase", "motdepasse", "azertyuiop", "qwertyuiop", "123456789", "consent")


class Passphrases:
    """See the module. `cost`: of new hashes; old ones say their own."""

    def __init__(self, cost: Cost = COST) -> None:
        self._cost = cost
        self._limiter = trio.CapacityLimiter(1)
        self._waiting = 0
        self._dummy = ""

    async def make(self, passphrase: str) -> str:
        """Return the hash to keep. Raises LocalError BUSY."""
        return await self._work(lambda: self._hash(passphrase))

    async def fits(self, hashed: str, passphrase: str) -> bool:
        """Say whether a passphrase fits a hash; "" fits nothing and takes as long. Raises LocalError BUSY."""

        def check() -> bool:
            if not self._dummy:
                self._dummy = self._hash("\x00 nothing fits this")
            try:
                found = pwhash.verify((hashed or self._dummy).encode(), passphrase.encode()[: 4 * CHARACTERS_MAX])
            except CryptoError:
                return False
            return bool(found and hashed)

        return await self._work(check)

    def _hash(self, passphrase: str) -> str:
        made = pwhash.argon2id.str(passphrase.encode(), opslimit=self._cost.operations, memlimit=self._cost.memory)
        return made.decode()

    async def _work(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise LocalError("BUSY", "too many people log in at this moment; try again in a minute")
        self._waiting += 1
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._waiting -= 1


def check_new(passphrase: str, again: str, name: str) -> None:
    """Refuse a new passphrase that is too short, too easy or mistyped. Raises LocalError with the field."""
    if len(passphrase) < CHARACTERS_MIN:
        raise LocalError("PASSPHRASE_SHORT", f"it has at least {CHARACTERS_MIN} characters", field="passphrase")
    if len(passphrase) > CHARACTERS_MAX:
        raise LocalError("PASSPHRASE_LONG", f"it has at most {CHARACTERS_MAX} characters", field="passphrase")
    plain = "".join(passphrase.casefold().split())
    easy = len(set(plain)) < 5 or any(plain.replace(word, "") in ("", "1", "!", "123") for word in (*_KNOWN, name))
    if easy or plain == "".join(name.casefold().split()):
        raise LocalError("PASSPHRASE_EASY", "it is too easy to guess: take four words or more", field="passphrase")
    if passphrase != again:
        raise LocalError("PASSPHRASE_DIFFERS", "the two are not the same", field="again")
