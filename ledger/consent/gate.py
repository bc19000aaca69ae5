"""The gate: one pure function that decides every flow of data, on both ends, and denies by default (consent.md §3).

How it works
    `permit` holds a flow against what the fold knows (`Context`) and against the consents that may cover it
    (`Candidate`, compiled once by `prepare`). The first check that fails gives the reason:

    | about the flow            | no when                                                      | reason               |
    |---------------------------|--------------------------------------------------------------|----------------------|
    | request                   | window empty or negative, granularity not a duration         | BAD_FLOW             |
    | door                      | not the consent door                                         | DOOR_CLOSED          |
    | holder, recipient         | not a member now, nor hosted by one                          | NOT_MEMBER_…         |
    | link                      | not up between the nodes of both (one node needs none)       | NO_LINK              |
    | candidates                | there is none                                                | NO_CONSENT           |
    | about each consent        |                                                              |                      |
    | holder, recipient         | another; a class of recipients                               | OTHER_…, CLASS_…     |
    | point, kind, purpose      | not equal: a daily total never opens the load curve          | OTHER_…              |
    | content                   | breaks schema 1, or is not the signed one                    | BAD_TERMS            |
    | content                   | not all disclosed here                                       | DISCLOSURE_MISSING   |
    | prior information         | any item missing                                             | NOT_INFORMED         |
    | delegation, parent        | the grant rests on another entry                             | CHAINED              |
    | purpose                   | forbidden by the policy, by name or category                 | FORBIDDEN_PURPOSE    |
    | computation               | named: only its result may go                                | COMPUTATION_ONLY     |
    | stages                    | transmission switched off                                    | STAGE_OFF            |
    | granularity               | finer than granted                                           | OTHER_GRANULARITY    |
    | window                    | not wholly within the granted data                           | OTHER_PERIOD         |
    | status on the ledger      | none, incomplete, withdrawn, revoked                         | UNREGISTERED, …      |
    | time                      | past the end, before the beginning, end beyond the maximum   | EXPIRED, NOT_YET, …  |
    | freshness                 | the measure that this consent asks for is not met            | STALE                |

    A flow is allowed if one consent allows it. Otherwise the reason is that of the consent that came nearest:
    the one that failed last in this order; among equals the one granted last, then the greater id. A consent
    whose content is not known here is ranked at DISCLOSURE_MISSING, yet where its status or its end alone denies,
    the decision says so: that rests on clear fields, and stays true after erasure.

What it does not do
    It reads no store and no clock. It grants nothing in part: a window that is granted in part is refused, and
    the decision names the part that would pass. Aggregates, classes of recipients, delegated and onward grants
    and computations have their reasons here and no way through.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from ledger.consent import disclosure
from ledger.consent.disclosure import Disclosures
from ledger.consent.grant import (
    Notice,
    Recipient,
    RecipientClass,
    forbidden_names,
    missing_information,
    purpose_names,
    read_party,
    read_recipient,
)
from ledger.consent.granularity import Duration, covers, parse_duration
from ledger.consent.reasons import Reason, sentence
from ledger.consent.record import DataKind, Terms, Window
from ledger.consent.status import Party, State, Status
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.epoch import Policy
from ledger.governance.members import Members
from ledger.schema import DAY

AHEAD_MAX: Final = 120  # seconds: a checkpoint dated further ahead of our clock counts for nothing


class Door(Enum):
    """Which way data may leave. Only `CONSENT` opens here; checked aggregates are denied as DOOR_CLOSED."""

    CONSENT = "consent"
    AGGREGATE = "aggregate"


@dataclass(frozen=True, slots=True)
class Flow:
    """Data that would move: from whom, to whom, of which point and kind, how fine, over which window, what for."""

    holder: Party
    recipient: Party
    point: str
    pii_type: DataKind
    granularity: str | None
    window: Window
    purpose: str
    door: Door = Door.CONSENT


@dataclass(frozen=True, slots=True)
class Context:
    """What is known now: the fold's members, links and tenants; the policy; and how fresh it all is.

    `fresh(home)`: whether `freshness` is met, by the quorum for (), else by the home feeds named.
    """

    members: Members
    policy: Policy
    fresh: Callable[[tuple[bytes, ...]], bool]


@dataclass(frozen=True, slots=True)
class Scope:
    """The terms of one consent, compiled: what `permit` compares a flow with. Windows that touch are joined."""

    points: frozenset[str]
    pii_type: DataKind | None
    purpose: str
    purpose_names: frozenset[str]
    granularity_text: str | None
    granularity: Duration | None
    windows: tuple[Window, ...]
    begins: int
    ends: int
    transmit: bool
    computation: bool
    informed: bool
    chained: bool
    home: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A consent that may cover a flow: its clear fields, what the ledger says of it, and its content.

    `grant`: entry id. `status`: None while the ledger says nothing of it. `content`: or the reason why it is not
    to be had.
    """

    grant: bytes
    holder: Party
    recipient: Recipient
    valid_until: int
    granted_at: int
    status: Status | None
    content: Scope | Reason

    def in_status(self, status: Status | None) -> Candidate:
        """Return the same consent after the fold has moved: the content need not be compiled again."""
        return replace(self, status=status)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says. `consent`: id of the grant it rests on, or of the nearest one; `entries`: of its state.

    `window`, `granularity`: what is permitted; when refused for one of them, what this consent would permit.
    """

    reason: Reason
    consent: bytes | None = None
    entries: tuple[bytes, ...] = ()
    window: Window | None = None
    granularity: str | None = None

    @property
    def allowed(self) -> bool:
        """Whether the flow may happen."""
        return self.reason is Reason.ALLOWED

    def sentence(self, lang: str = "en") -> str:
        """Return the reason in plain words, in "en" or "fr"."""
        return sentence(self.reason, lang)


def prepare(grant: Entry, status: Status | None, disclosures: Disclosures | None) -> Candidate:
    """Compile a consent for the gate. `grant`: the verified entry; `status`: what the fold says of it.

    It never raises for what the disclosures hold: their faults become the reason why the gate will deny.
    """
    payload = grant.payload
    return Candidate(
        grant.id,
        read_party(payload["holder"]),
        read_recipient(payload["recipient"]),
        payload["valid_until"],
        grant.iat,
        status,
        _content(grant, disclosures),
    )


def _content(grant: Entry, disclosures: Disclosures | None) -> Scope | Reason:
    if disclosures is None:
        return Reason.DISCLOSURE_MISSING
    try:
        disclosure.check(disclosures, grant.payload["slots"])
        terms = disclosures.terms()
    except RemoteError as error:
        return Reason.DISCLOSURE_MISSING if error.code == "DISCLOSURE_MISSING" else Reason.BAD_TERMS
    valid_until = grant.payload["valid_until"]
    notice = Notice.read(grant.payload["notice"])
    missing = missing_information(terms, valid_until=valid_until, notice=notice, granted_at=grant.iat)
    chained = "delegation" in grant.payload or "parent" in grant.payload
    return _compile(terms, valid_until, informed=not missing, chained=chained)


def _compile(terms: Terms, valid_until: int, *, informed: bool, chained: bool) -> Scope:
    windows: list[Window] = []
    for start, stop in terms.data_period:
        if windows and windows[-1][1] == start:
            windows[-1] = (windows[-1][0], stop)
        else:
            windows.append((start, stop))
    begins, until = terms.access_period
    return Scope(
        points=frozenset(terms.points),
        pii_type=terms.pii_type,
        purpose=terms.purpose,
        purpose_names=purpose_names(terms),
        granularity_text=terms.granularity,
        granularity=None if terms.granularity is None else parse_duration(terms.granularity),
        windows=tuple(windows),
        begins=begins,
        ends=valid_until if until is None else min(valid_until, until),
        transmit=terms.stages.transmit,
        computation=terms.computation is not None,
        informed=informed,
        chained=chained,
        home=terms.freshness,
    )


def permit(flow: Flow, context: Context, candidates: Sequence[Candidate], now: int) -> Decision:
    """Decide one flow; `now` in unix seconds. The order of `candidates` does not matter. Denies by default.

    The table in this module's docstring is the rule. It never raises for what a flow or a consent holds.
    """
    refused, asked = _judge_flow(flow, context)
    if refused is not None:
        return Decision(refused)
    nearest: tuple[tuple[int, int, bytes], Reason, Candidate] | None = None
    allowing: Candidate | None = None
    for candidate in candidates:
        reason = _judge(flow, asked, context, candidate, now)
        if reason is Reason.ALLOWED:
            if allowing is None or _newer(candidate, allowing):
                allowing = candidate
        elif allowing is None:
            rank = (_RANK[reason], candidate.granted_at, candidate.grant)
            if nearest is None or rank > nearest[0]:
                nearest = (rank, reason, candidate)
    if allowing is not None:
        return Decision(Reason.ALLOWED, allowing.grant, _entries(allowing), flow.window, flow.granularity)
    if nearest is None:
        return Decision(Reason.NO_CONSENT)
    return _refuse(flow, context, nearest[2], nearest[1], now)


_RANK: Final = {reason: rank for rank, reason in enumerate(Reason)}


def _newer(one: Candidate, other: Candidate) -> bool:
    return (one.granted_at, one.grant) > (other.granted_at, other.grant)


def _judge_flow(flow: Flow, context: Context) -> tuple[Reason | None, Duration | None]:
    """Return why the flow is refused whatever was consented, if it is; and the granularity it asks for."""
    start, stop = flow.window
    if not 0 <= start < stop:
        return Reason.BAD_FLOW, None
    try:
        asked = None if flow.granularity is None else parse_duration(flow.granularity)
    except RemoteError:
        return Reason.BAD_FLOW, None
    if flow.door is not Door.CONSENT:
        return Reason.DOOR_CLOSED, asked
    members = context.members
    sender = _node_of(flow.holder, members)
    if sender is None:
        return Reason.NOT_MEMBER_HOLDER, asked
    receiver = _node_of(flow.recipient, members)
    if receiver is None:
        return Reason.NOT_MEMBER_RECIPIENT, asked
    return (None if members.link_up(sender, receiver) else Reason.NO_LINK), asked


def _node_of(party: Party, members: Members) -> Party | None:
    """Return the member on whose node a party lives now: itself, or a tenant's host."""
    if party[1] == 0:
        tenancy = members.tenants.get(party[0])
        if tenancy is None:
            return None
        party = tenancy.host
    return party if members.is_member(party) else None


def _judge(flow: Flow, asked: Duration | None, context: Context, candidate: Candidate, now: int) -> Reason:
    if candidate.holder != flow.holder:
        return Reason.OTHER_HOLDER
    if candidate.recipient != flow.recipient:
        named = isinstance(candidate.recipient, RecipientClass)
        return Reason.CLASS_RECIPIENT if named else Reason.OTHER_RECIPIENT
    scope = candidate.content
    if isinstance(scope, Reason):
        return scope
    if flow.point not in scope.points:
        return Reason.OTHER_POINT
    if scope.pii_type is not None and flow.pii_type != scope.pii_type:
        return Reason.OTHER_KIND
    if flow.purpose != scope.purpose:
        return Reason.OTHER_PURPOSE
    if not scope.informed or scope.pii_type is None:
        return Reason.NOT_INFORMED
    if scope.chained:
        return Reason.CHAINED
    policy = context.policy
    if policy.forbidden_purposes and not forbidden_names(policy.forbidden_purposes).isdisjoint(scope.purpose_names):
        return Reason.FORBIDDEN_PURPOSE
    if scope.computation:
        return Reason.COMPUTATION_ONLY
    if not scope.transmit:
        return Reason.STAGE_OFF
    if flow.granularity != scope.granularity_text and not (
        asked is not None and scope.granularity is not None and covers(scope.granularity, asked)
    ):
        return Reason.OTHER_GRANULARITY
    start, stop = flow.window
    for begin, end in scope.windows:
        if begin <= start and stop <= end:
            break
    else:
        return Reason.OTHER_PERIOD
    return _judge_state(candidate, scope.begins, scope.ends, policy, now) or (
        Reason.ALLOWED if context.fresh(scope.home) else Reason.STALE
    )


def _judge_state(candidate: Candidate, begins: int, ends: int, policy: Policy, now: int) -> Reason | None:
    """Return why the consent is not in force now, or None. It begins at `begins`: its `iat` decides nothing.

    A grant's `iat` must not lie before any in its closure, so one member with a clock far ahead could push it
    into the future; a gate that heeded it would let that member stop everyone's consents.
    """
    status = candidate.status
    if status is None or status.grant != candidate.grant:
        return Reason.UNREGISTERED
    if status.state is not State.GRANTED:
        return _STATE_REASON[status.state]
    if now >= ends:
        return Reason.EXPIRED
    if now < begins:
        return Reason.NOT_YET
    if candidate.valid_until > now + policy.consent_days_max * DAY:
        return Reason.TOO_LONG
    return None


_STATE_REASON: Final = {
    State.INCOMPLETE: Reason.INCOMPLETE,
    State.WITHDRAWN: Reason.WITHDRAWN,
    State.REVOKED: Reason.REVOKED,
}


def _refuse(flow: Flow, context: Context, candidate: Candidate, reason: Reason, now: int) -> Decision:
    scope = candidate.content
    window, granularity = None, None
    if isinstance(scope, Reason):
        if reason is scope:  # the content is not known: the clear fields may still tell more
            reason = _judge_state(candidate, 0, candidate.valid_until, context.policy, now) or reason
    elif reason is Reason.OTHER_PERIOD:
        start, stop = flow.window
        shared = ((max(begin, start), min(end, stop)) for begin, end in scope.windows)
        window = next((part for part in shared if part[0] < part[1]), None)
    elif reason is Reason.OTHER_GRANULARITY:
        granularity = scope.granularity_text
    return Decision(reason, candidate.grant, _entries(candidate), window, granularity)


def _entries(candidate: Candidate) -> tuple[bytes, ...]:
    return candidate.status.decided_by if candidate.status is not None else ()


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh the frontier is. `as_of`: unix seconds up to which enough feeds have spoken; None if too few have.

    `have` of the `need`ed feeds are within the bound. While nothing changes it is fresh until `as_of` + the bound.
    """

    fresh: bool
    have: int
    need: int
    as_of: int | None


def freshness(
    home: Collection[bytes],
    own_feed: bytes,
    voters: Collection[bytes],
    newest: Mapping[bytes, int],
    *,
    now: int,
    max_staleness: int,
) -> Freshness:
    """Measure freshness (consent.md §3). `newest`: feed -> time of its newest checkpoint whose whole prefix is held.

    `home` empty: more than half of the `voters`' feeds, own feed included, within `max_staleness` seconds.
    Otherwise: every feed of `home`. The own feed is always fresh. No voters at all is not fresh.
    """
    feeds = set(home or voters)
    need = len(feeds) if home else len(feeds) // 2 + 1
    spoken = [now if feed == own_feed else newest[feed] for feed in feeds if feed in newest or feed == own_feed]
    times = sorted((min(time, now) for time in spoken if time <= now + AHEAD_MAX), reverse=True)
    have = sum(now - time <= max_staleness for time in times)
    return Freshness(have >= need, have, need, times[need - 1] if len(times) >= need else None)
