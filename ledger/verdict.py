"""What is said of an entry when somebody asks why: a verdict, the rule by number, a sentence, the entries that decided.

How it works
    Every rule of the ledger has a number: F0 to F4 whether a leaf is sound (`judge`), M1 to M8 membership, G1
    admission, G2 seals, G4 ballots (`governance.explain` lists them), C1 to C10 consents (`consent.status`,
    `consent.delegation`, `consent.group`). A void
    leaf keeps its reason: the code with which `judge` or the decoding refused it, which anybody can compute again.

What it does not do
    It judges nothing: it gives verdicts a form.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

WHY_MAX: Final = 64  # ids that one account names


class Verdict(Enum):
    """Whether an entry has an effect here and now."""

    COUNTS = "counts"
    SUPERSEDED = "superseded"  # it counted, and something later took its place or ended it
    WAITS = "waits"  # what it needs may still come
    VOID = "void"  # it has no effect


_ORDER: Final = (Verdict.VOID, Verdict.WAITS, Verdict.SUPERSEDED, Verdict.COUNTS)


@dataclass(frozen=True, slots=True)
class Account:
    """Why an entry counts or not. `rule`: its number. `why`: ids of the entries that decided, held here or not."""

    verdict: Verdict
    rule: str
    words: str
    why: tuple[bytes, ...] = ()

    @property
    def rank(self) -> int:
        """How much the entry has an effect: of several places the best counts, of several branches the worst."""
        return _ORDER.index(self.verdict)


def counts(rule: str, words: str, *why: bytes) -> Account:
    """Return the account of an entry that counts."""
    return _account(Verdict.COUNTS, rule, words, why)


def superseded(rule: str, words: str, *why: bytes) -> Account:
    """Return the account of an entry that something later ended."""
    return _account(Verdict.SUPERSEDED, rule, words, why)


def waits(rule: str, words: str, *why: bytes) -> Account:
    """Return the account of an entry that may count later."""
    return _account(Verdict.WAITS, rule, words, why)


def void(rule: str, words: str, *why: bytes) -> Account:
    """Return the account of an entry that has no effect."""
    return _account(Verdict.VOID, rule, words, why)


def _account(verdict: Verdict, rule: str, words: str, why: tuple[bytes, ...]) -> Account:
    return Account(verdict, rule, words, tuple(ident for ident in dict.fromkeys(why) if ident)[:WHY_MAX])


_VOID_LEAVES: Final = {
    "VOID_OTHER_MESH": ("F1", "it belongs to another mesh"),
    "VOID_NOT_SELF_REGISTERED": ("F2", "a device's statement stands in that device's own feed, and nowhere else"),
    "VOID_WRONG_POSITION": ("F2", "it does not name its own feed as that stood when it was registered"),
    "VOID_BACKDATED": ("F3", "it is dated before an entry that stands below it"),
    "VOID_BEFORE_EPOCH": ("F3", "it is dated before the time of the epoch that it certifies"),
    "VOID_WITHDRAWAL": ("F4", "it does not carry a grant that its signer may withdraw"),
    "VOID_FORK_PROOF": ("F4", "what it carries proves no fork"),
    "VOID_POSSESSION": ("F4", "the device that it certifies did not sign that it agrees"),
}


def void_leaf(code: str, words: str = "") -> Account:
    """Return the account of a void leaf. `code`: of `judge`, or of the error that decoding raised, with its words."""
    rule, told = _VOID_LEAVES.get(code, ("F0", words or "its bytes are no well-formed, signed entry"))
    return void(rule, f"{told} [{code}]")
