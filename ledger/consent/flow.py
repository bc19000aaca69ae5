"""What the gate is asked and what it answers: flows, doors, what is known now, and decisions (consent.md §3).

How it works
    A `Flow` is what would move, as it is. Without a consent it carries a `Release`, which says what was checked for
    the door it takes. `Context` is the mesh as it stands: membership, links, freshness, the register of points.
    A `Decision` carries a reason, and the entries that it rests on.

What it does not do
    It decides nothing (gate).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from ledger.consent.reasons import Reason, sentence
from ledger.consent.record import DataKind, Window
from ledger.consent.status import Party
from ledger.consent.token import Limits
from ledger.governance.epoch import Policy
from ledger.governance.members import Members


class Door(Enum):
    """Which way data may leave: under a consent, as a checked aggregate, or as open data."""

    CONSENT = "consent"
    AGGREGATE = "aggregate"
    OPEN = "open"


LABELS: Final = {Door.CONSENT: "", Door.AGGREGATE: "threshold-checked", Door.OPEN: "open data"}
"""What is said of what leaves by each door. Nothing is ever called anonymous."""


@dataclass(frozen=True, slots=True)
class Release:
    """What leaves without a consent, and whether its check passed. `digest`: SHA-256 of what leaves.

    It says itself what it is, so that a verdict about one release never opens the door to another. `recipient`: None
    for anybody, which open data alone may have. `points`: those of persons which it shows, each by itself: none.
    """

    door: Door
    holder: Party
    recipient: Party | None
    place: str
    pii_type: DataKind
    granularity: str | None
    window: Window
    digest: bytes
    passed: bool
    points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """Data that would move: from whom, to whom, of which point and kind, how fine, over which window, what for.

    `release`: for the doors other than consent, where `point` names an area or a data set. `limits`: of the token
    that was shown, if one was. `computation`: hash of the named computation whose result this is (node/compute/), None
    for readings; the rest then says what was computed on.
    """

    holder: Party
    recipient: Party
    point: str
    pii_type: DataKind
    granularity: str | None
    window: Window
    purpose: str
    door: Door = Door.CONSENT
    release: Release | None = None
    limits: Limits | None = None
    computation: bytes | None = None


Entitled: TypeAlias = Callable[[tuple[bytes, ...], str], tuple[Window, ...] | None]
"""(key ids that signed, point) -> windows of data that they may speak for together; None: no register of the point."""


def _unregistered(signers: tuple[bytes, ...], point: str) -> tuple[Window, ...] | None:  # noqa: ARG001 (an Entitled)
    return None


NO_REGISTER: Final[Entitled] = _unregistered
"""Where no point is registered: the gate goes on without."""


def _holds_none(party: Party) -> bool:  # noqa: ARG001 (a Context.holds)
    return False


def _no_feeds(party: Party) -> tuple[bytes, ...]:  # noqa: ARG001 (a Context.feeds_of)
    return ()


@dataclass(frozen=True, slots=True)
class Context:
    """What is known now: the fold's members, links and tenants; the policy; and how fresh it all is.

    `fresh(home)`: whether `freshness` is met, by the quorum for (), else by the home feeds named. `entitled`: the
    register of points. `colleges`: of members; `holds(party)`: whether it holds data under a consent that is
    registered: both for classes of recipients. `pending_evidence`: this node's rule: evidence that nobody has checked
    yet will do. `feeds_of(party)`: the feed that speaks for a member now; () for others.
    """

    members: Members
    policy: Policy
    fresh: Callable[[tuple[bytes, ...]], bool]
    entitled: Entitled = NO_REGISTER
    colleges: Mapping[Party, str] = field(default_factory=dict)
    holds: Callable[[Party], bool] = _holds_none
    pending_evidence: bool = False
    feeds_of: Callable[[Party], tuple[bytes, ...]] = _no_feeds


class Decision(NamedTuple):
    """What the gate says. `consent`: id of the grant it rests on, or of the nearest one; `entries`: of its state.

    `entries` names what decided of the grant, then what it rests on. `window`, `granularity`: what is permitted; when
    refused for one of them, what this consent would permit. `label`: of what left without a consent. (A tuple, since
    one is made for every pack: it takes a fourth of the time.)
    """

    reason: Reason
    consent: bytes | None = None
    entries: tuple[bytes, ...] = ()
    window: Window | None = None
    granularity: str | None = None
    label: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the flow may happen."""
        return self.reason is Reason.ALLOWED

    def sentence(self, lang: str = "en") -> str:
        """Return the reason in plain words, in "en" or "fr"."""
        return sentence(self.reason, lang)
