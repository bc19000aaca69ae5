"""What sealing asks of the ledger, how often it seals, and what it tells the operator.

How it works
    `Sealable` is the ledger's side: pure questions about the newest epoch held and what would follow it. `Pace` says
    how often epochs are sealed; a policy may shorten it. `SealingStatus` is what `status` and `epoch` show.

What it does not do
    It folds nothing and speaks to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.governance.certificate import EpochContext, Seal
from ledger.governance.epoch import Policy
from ledger.rows import Reader

LEAST_SECONDS: Final = 600
MOST_SECONDS: Final = 86_400
CLOCK_SECONDS_MAX: Final = 300
"""A voter refuses a fresh seal whose time is further than this from its own clock (governance.md §2)."""


class Sealable(Protocol):
    """The ledger, as sealing asks it. Answers may change only between two turns, or by what a turn registers."""

    def epoch_context(self) -> EpochContext:
        """Return what judges the successor of the newest epoch held. A voter's id is its root key's."""
        ...

    def governance_waits(self) -> bool:
        """Say whether governance entries lie beyond the sealed frontier; those of seals never count."""
        ...

    def lapses_at(self) -> int | None:
        """Return when time alone next changes something (unix seconds): a ballot's deadline, a suspension's end."""
        ...

    def anything_waits(self, rows: Reader) -> bool:
        """Say whether anything lies beyond the sealed frontier but what nodes state when nothing happens."""
        ...

    def sealed_frontier(self) -> Mapping[bytes, Head]:
        """Return the frontier of the newest epoch held, by feed."""
        ...

    def heads_now(self) -> Mapping[bytes, Head]:
        """Return what a seal made now would cover: where every feed's checkpoint stands, at its hold if forked."""
        ...

    def ungrounded(self, rows: Reader) -> Entry | None:
        """Return the certificate of our epoch if no seal made now could cover it, else None."""
        ...

    def next_seal(self, rows: Reader, frontier: Mapping[bytes, Head], as_of: int, silent: Sequence[int]) -> Seal | None:
        """Return the seal that our own fold yields at a frontier; None if it is not held whole, or goes back.

        It depends on nothing but these arguments and the newest epoch, so the same question has one answer for ever
        (None apart). `as_of`: unix seconds. `silent`: voters, by index, that become non-voting.
        """
        ...

    def silent_voters(self, rows: Reader, as_of: int) -> Sequence[int]:
        """Return the indexes of the voters without a heartbeat for 30 days of `as_of`."""
        ...

    def gone(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (left, expelled): indexes of the epoch's voters that are gone by the live fold."""
        ...

    def omits_expulsion(self, rows: Reader, seal: Seal) -> bool:
        """Say whether a seal leaves out an expulsion that is held complete."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often epochs are sealed, in seconds of their `as_of`.

    `least_seconds`: at most one seal in so long, when governance entries wait. `most_seconds`: after so long one is
    made if anything happened at all.
    """

    least_seconds: int = LEAST_SECONDS
    most_seconds: int = MOST_SECONDS

    @classmethod
    def of(cls, policy: Policy) -> Pace:
        """Return the pace that a policy sets."""
        return cls(policy.seal_seconds) if policy.seal_seconds is not None else cls()

    def due_at(self, ledger: Sealable, as_of: int) -> int:
        """Return when the successor of the epoch of `as_of` may be due (both unix seconds)."""
        if ledger.governance_waits():
            return as_of + self.least_seconds
        lapse = ledger.lapses_at()
        at = as_of + self.most_seconds
        return at if lapse is None else min(at, max(lapse, as_of + self.least_seconds))


@dataclass(frozen=True, slots=True)
class SealingStatus:
    """Where the agreement on the next epoch stands, as this node sees it.

    `n`, `reference`, `as_of`: of the newest epoch held. `role`: "voter" or "onlooker". `open`: whether an agreement
    is under way; else round, step and proposer say nothing. `spoken`: ids of the voters heard in this round.
    `needed`: how many must agree. `waits`: whether governance entries wait. `next_at`: when a seal may be due, unix
    seconds. `code`: IDLE, PACE, SEALING, NO_QUORUM, LIST_MISSING, ENTRIES_MISSING, DISAGREES, RECORD_DAMAGED, DECIDED;
    `reason` says it in a sentence.
    """

    n: int
    reference: bytes
    as_of: int
    role: str
    open: bool
    round: int
    step: str
    proposer: bytes | None
    spoken: tuple[bytes, ...]
    voters: int
    needed: int
    waits: bool
    next_at: int
    code: str
    reason: str
