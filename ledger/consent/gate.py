"""The gate: one pure function that decides every flow of data, on both ends, and denies by default (consent.md §3).

How it works
    `permit` holds a flow against what the fold knows (`Context`) and against the consents that may cover it
    (`Candidate`, compiled once, see scope and resting). The first check that fails gives the reason:

    | about the flow | no when                                                         | reason                    |
    |----------------|-----------------------------------------------------------------|---------------------------|
    | request        | window empty or negative, granularity not a duration            | BAD_FLOW                  |
    | door           | not the consent door, and nothing checked for another           | DOOR_CLOSED               |
    | other doors    | the place is a person's point of measurement                    | PERSONAL_POINT            |
    | other doors    | what was checked is not this, or was checked for another door   | OTHER_RELEASE             |
    | holder         | not a member now, nor hosted by one                             | NOT_MEMBER_HOLDER         |
    | recipient      | not a member now, nor hosted by one                             | NOT_MEMBER_RECIPIENT      |
    | link           | not up between the nodes of both (one node, open data: no need) | NO_LINK                   |
    | other doors    | the check did not pass                                          | RELEASE_REFUSED           |
    | token          | past its end                                                    | TOKEN_EXPIRED             |
    | token          | allows less: point, window, step, recipient, or only a result   | TOKEN_NARROWER            |
    | candidates     | there is none                                                   | NO_CONSENT                |
    | about each consent | | |
    | token          | made under another consent                                      | OTHER_TOKEN               |
    | holder         | another                                                         | OTHER_HOLDER              |
    | recipient      | another                                                         | OTHER_RECIPIENT           |
    | recipient      | a class by a name without a rule                                | CLASS_RECIPIENT           |
    | recipient      | not of the class                                                | NOT_IN_CLASS              |
    | point          | not among the granted                                           | OTHER_POINT               |
    | kind of data   | another: a daily total never opens the load curve               | OTHER_KIND                |
    | purpose        | another                                                         | OTHER_PURPOSE             |
    | content        | breaks schema 1, or is not the signed one                       | BAD_TERMS                 |
    | content        | not all disclosed here, of the grant or of an amendment         | DISCLOSURE_MISSING        |
    | prior info     | any item missing                                                | NOT_INFORMED              |
    | chain          | rests on an entry that is not known here                        | CHAINED                   |
    | delegation     | its bounds are not disclosed here                               | DELEGATION_HIDDEN         |
    | delegation     | signed by another key than the delegate's                       | DELEGATION_NOT_YOURS      |
    | delegation     | grant or link beyond its bounds, its end or its depth           | DELEGATION_WIDER          |
    | parent         | its content is not disclosed here                               | PARENT_HIDDEN             |
    | parent         | its recipient is not the holder of the child                    | PARENT_OTHER              |
    | parent         | forbids this sharing: mode, depth, list, aggregate, contract    | SHARING_FORBIDDEN         |
    | parent         | the child is wider in some field                                | PARENT_WIDER              |
    | purpose        | forbidden by the policy, by name or category                    | FORBIDDEN_PURPOSE         |
    | computation    | named: only its result may go                                   | COMPUTATION_ONLY          |
    | computation    | the result of another, or of one where none is named            | OTHER_COMPUTATION         |
    | stages         | transmission switched off                                       | STAGE_OFF                 |
    | granularity    | finer than granted                                              | OTHER_GRANULARITY         |
    | window         | not wholly within the granted data                              | OTHER_PERIOD              |
    | register       | it knows the point, and not those who signed                    | NOT_ENTITLED              |
    | register       | window not wholly within their tenure                           | MOVED_OUT                 |
    | status         | the ledger says nothing                                         | UNREGISTERED              |
    | status         | lacks a required signature                                      | INCOMPLETE                |
    | status         | withdrawn                                                       | WITHDRAWN                 |
    | status         | revoked                                                         | REVOKED                   |
    | time           | past the end                                                    | EXPIRED                   |
    | time           | before the beginning                                            | NOT_YET                   |
    | time           | ends beyond the policy's maximum                                | TOO_LONG                  |
    | evidence       | needed, checked and not good                                    | EVIDENCE_REJECTED         |
    | evidence       | needed, and not checked good (nodes may be set to accept this)  | EVIDENCE_PENDING          |
    | delegation     | the ledger says nothing                                         | DELEGATION_UNREGISTERED   |
    | delegation     | revoked                                                         | DELEGATION_REVOKED        |
    | delegation     | a guardian's or carer's, and its evidence not checked good      | DELEGATION_UNPROVEN       |
    | delegation     | past its end                                                    | DELEGATION_EXPIRED        |
    | parent         | the ledger says nothing                                         | PARENT_UNREGISTERED       |
    | parent         | withdrawn, revoked or incomplete                                | PARENT_ENDED              |
    | parent         | past its end                                                    | PARENT_EXPIRED            |
    | call           | the ledger says nothing                                         | CALL_UNREGISTERED         |
    | call           | not closed                                                      | CALL_OPEN                 |
    | call           | quorum, majority or critical mass not reached                   | CALL_NOT_PASSED           |
    | call           | the person refused for herself                                  | CALL_REFUSED              |
    | freshness      | the measure that this consent, or a release, asks for: not met  | STALE                     |
    | otherwise      |                                                                 | ALLOWED                   |

    Two doors and a path. CONSENT: as above. AGGREGATE and OPEN: a `Release` that was checked elsewhere goes out; no
    consent is asked for. An aggregate needs both members, the link, and freshness by the quorum; open data, which is
    anybody's, both members alone. Links of a chain are looked at from the grant upwards; the first that fails, tells.

    A flow is allowed if one consent allows it. Otherwise the reason is that of the consent that came nearest:
    the one that failed last in this order; among equals the one granted last, then the greater id. A consent
    whose content is not known here is ranked at DISCLOSURE_MISSING, yet where its status, its end or a link alone
    denies, the decision says so: that rests on clear fields, and stays true after erasure.

What it does not do
    It reads no store and no clock. It grants nothing in part: a window that is granted in part is refused, and
    the decision names the part that would pass. It checks no aggregate (aggregate) and no token's seal (token).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.consent.flow import LABELS, Context, Decision, Door, Entitled, Flow, Release
from ledger.consent.freshness import AHEAD_MAX, Freshness, freshness
from ledger.consent.grant import RecipientClass, forbidden_names
from ledger.consent.granularity import Duration, covers, parse_duration
from ledger.consent.reasons import Reason
from ledger.consent.record import POINT_SCHEMES
from ledger.consent.resting import prepare
from ledger.consent.scope import Candidate, Link, Proof, Rest, Scope
from ledger.consent.status import Party, State, Status
from ledger.consent.token import Limits
from ledger.errors import RemoteError
from ledger.governance.members import Members
from ledger.schema import DAY

__all__ = (
    "AHEAD_MAX",
    "LABELS",
    "Candidate",
    "Context",
    "Decision",
    "Door",
    "Entitled",
    "Flow",
    "Freshness",
    "Release",
    "Scope",
    "freshness",
    "in_class",
    "permit",
    "prepare",
)


# Looking a member up in its enumeration takes ten times as long as looking up a constant.
_ALLOWED: Final = Reason.ALLOWED
_CONSENT: Final = Door.CONSENT
_GRANTED: Final = State.GRANTED
_REJECTED: Final = Proof.REJECTED
_PENDING: Final = Proof.PENDING


def permit(flow: Flow, context: Context, candidates: Sequence[Candidate], now: int) -> Decision:
    """Decide one flow; `now` in unix seconds. The order of `candidates` does not matter. Denies by default.

    The table in this module's docstring is the rule. It never raises for what a flow or a consent holds.
    """
    refused, asked = _judge_flow(flow, context, now)
    if refused is not None:
        return Decision(refused)
    if flow.door is not _CONSENT:
        if flow.door is Door.AGGREGATE and not context.fresh(()):
            return Decision(Reason.STALE)
        return Decision(_ALLOWED, None, (), flow.window, flow.granularity, LABELS[flow.door])
    nearest: tuple[tuple[int, int, bytes], Reason, Candidate] | None = None
    allowing: Candidate | None = None
    for candidate in candidates:
        reason = _judge(flow, asked, context, candidate, now)
        if reason is _ALLOWED:
            if allowing is None or _newer(candidate, allowing):
                allowing = candidate
        elif allowing is None:
            rank = (_RANK[reason], candidate.granted_at, candidate.grant)
            if nearest is None or rank > nearest[0]:
                nearest = (rank, reason, candidate)
    if allowing is not None:
        return Decision(_ALLOWED, allowing.grant, _entries(allowing), flow.window, flow.granularity)
    if nearest is None:
        return Decision(Reason.NO_CONSENT)
    return _refuse(flow, context, nearest[2], nearest[1], now)


_RANK: Final = {reason: rank for rank, reason in enumerate(Reason)}


def _newer(one: Candidate, other: Candidate) -> bool:
    return (one.granted_at, one.grant) > (other.granted_at, other.grant)


def _judge_flow(flow: Flow, context: Context, now: int) -> tuple[Reason | None, Duration | None]:
    """Return why the flow is refused whatever was consented, if it is; and the granularity it asks for."""
    start, stop = flow.window
    if not 0 <= start < stop:
        return Reason.BAD_FLOW, None
    try:
        asked = None if flow.granularity is None else parse_duration(flow.granularity)
    except RemoteError:
        return Reason.BAD_FLOW, None
    release = flow.release
    if flow.door is not _CONSENT and (fault := _release_fault(flow, release)) is not None:
        return fault, asked
    members = context.members
    sender = _node_of(flow.holder, members)
    if sender is None:
        return Reason.NOT_MEMBER_HOLDER, asked
    receiver = _node_of(flow.recipient, members)
    if receiver is None:
        return Reason.NOT_MEMBER_RECIPIENT, asked
    if flow.door is not Door.OPEN and not members.link_up(sender, receiver):
        return Reason.NO_LINK, asked
    if flow.door is not _CONSENT:
        return (None if release is not None and release.passed else Reason.RELEASE_REFUSED), asked
    return (None if flow.limits is None else _limited(flow, asked, flow.limits, now)), asked


def _release_fault(flow: Flow, release: Release | None) -> Reason | None:
    """Return why what was checked does not open this door to this flow, or None."""
    if release is None:
        return Reason.DOOR_CLOSED
    if release.points or flow.point.partition(":")[0] in POINT_SCHEMES:
        return Reason.PERSONAL_POINT
    anybody = release.recipient is None and flow.door is Door.OPEN
    same = (release.door, release.holder, release.place, release.pii_type, release.granularity, release.window) == (
        flow.door,
        flow.holder,
        flow.point,
        flow.pii_type,
        flow.granularity,
        flow.window,
    )
    return None if same and (anybody or release.recipient == flow.recipient) else Reason.OTHER_RELEASE


def _limited(flow: Flow, asked: Duration | None, limits: Limits, now: int) -> Reason | None:
    """Return why the token that was shown does not allow the flow, or None. The consent must allow it as well."""
    if now >= limits.expires:
        return Reason.TOKEN_EXPIRED
    start, stop = flow.window
    finest = None if limits.granularity is None else parse_duration(limits.granularity)
    allowed = (
        (limits.points is None or flow.point in limits.points)
        and (limits.windows is None or any(begin <= start and stop <= end for begin, end in limits.windows))
        and (finest is None or (asked is not None and covers(finest, asked)))
        and (limits.aggregation is None or (flow.computation or b"").hex() == limits.aggregation)
        and limits.recipient in (None, flow.recipient)
    )
    return None if allowed else Reason.TOKEN_NARROWER


def _node_of(party: Party, members: Members) -> Party | None:
    """Return the member on whose node a party lives now: itself, or a tenant's host."""
    if party[1] == 0:
        tenancy = members.tenants.get(party[0])
        if tenancy is None:
            return None
        party = tenancy.host
    return party if members.is_member(party) else None


def _judge(flow: Flow, asked: Duration | None, context: Context, candidate: Candidate, now: int) -> Reason:
    if flow.limits is not None and flow.limits.grant != candidate.grant:
        return Reason.OTHER_TOKEN
    if candidate.holder != flow.holder:
        return Reason.OTHER_HOLDER
    if candidate.recipient != flow.recipient:
        if not isinstance(candidate.recipient, RecipientClass):
            return Reason.OTHER_RECIPIENT
        inside = in_class(candidate.recipient.name, flow.recipient, context)
        if not inside:
            return Reason.CLASS_RECIPIENT if inside is None else Reason.NOT_IN_CLASS
    scope = candidate.content
    if isinstance(scope, Reason):
        return scope
    if flow.point not in scope.points:
        return Reason.OTHER_POINT
    if scope.pii_type is not None and flow.pii_type != scope.pii_type:
        return Reason.OTHER_KIND
    if flow.purpose != scope.purpose:
        return Reason.OTHER_PURPOSE
    status = candidate.status
    if status is not None and status.amended and not candidate.amended.issuperset(status.amended):
        return Reason.DISCLOSURE_MISSING
    if not scope.informed or scope.pii_type is None:
        return Reason.NOT_INFORMED
    links = candidate.links
    if isinstance(links, Reason):
        return links
    return (
        _judge_terms(flow, asked, context, candidate, scope)
        or _judge_state(candidate, scope.begins, scope.ends, context, now)
        or _judge_links(links, now)
        or (_ALLOWED if _is_fresh(scope, status, context) else Reason.STALE)
    )


def _is_fresh(scope: Scope, status: Status | None, context: Context) -> bool:
    """Say whether the measure is met that a consent asks for: where that is a home, of the host she named since.

    Then the quorum must be met as well: who names another home never gets less than where none was asked for. So too
    where a consent was handed on twice: which home is hers now is not known, and a thief may have chosen the old one.
    """
    if not scope.home or status is None or (status.host is None and status.contested is None):
        return context.fresh(scope.home)
    named = () if status.host is None else context.feeds_of(status.host)
    if not named and status.contested is None:
        return context.fresh(scope.home)
    return context.fresh(named or scope.home) and context.fresh(())


def in_class(name: str, party: Party, context: Context) -> bool | None:
    """Say whether a recipient is of a class; None for a class without a rule. The flow's own checks came before.

    "members": members themselves, not those hosted by one. "linked": whoever has the link that every flow needs.
    "holders": who holds data under a registered consent. "college:NAME": members of that college.
    """
    if name == "linked":
        return True
    if name == "members":
        return context.members.is_member(party)
    if name == "holders":
        return context.holds(party)
    kind, _, college = name.partition(":")
    if kind == "college" and college:
        return context.colleges.get(party) == college
    return None


def _judge_terms(
    flow: Flow, asked: Duration | None, context: Context, candidate: Candidate, scope: Scope
) -> Reason | None:
    """Return why the content does not allow the flow, or None."""
    forbidden = context.policy.forbidden_purposes
    if forbidden and not forbidden_names(forbidden).isdisjoint(scope.purpose_names):
        return Reason.FORBIDDEN_PURPOSE
    if flow.computation != scope.computation:
        return Reason.COMPUTATION_ONLY if flow.computation is None else Reason.OTHER_COMPUTATION
    if not scope.transmit:
        return Reason.STAGE_OFF
    if not scope.fits(flow.granularity, asked):
        return Reason.OTHER_GRANULARITY
    start, stop = flow.window
    for begin, end in scope.windows:
        if begin <= start and stop <= end:
            break
    else:
        return Reason.OTHER_PERIOD
    signers, status = candidate.signers, candidate.status
    tenure = context.entitled(
        (*signers, *status.signed) if status is not None and status.signed else signers, flow.point
    )
    if tenure is None:
        return None
    if not tenure:
        return Reason.NOT_ENTITLED
    return None if any(begin <= start and stop <= end for begin, end in tenure) else Reason.MOVED_OUT


def _judge_state(candidate: Candidate, begins: int, ends: int, context: Context, now: int) -> Reason | None:
    """Return why the consent is not in force now, or None. It begins at `begins`: its `iat` decides nothing.

    A grant's `iat` must not lie before any in its closure, so one member with a clock far ahead could push it
    into the future; a gate that heeded it would let that member stop everyone's consents.
    """
    status = candidate.status
    if status is None or status.grant != candidate.grant:
        return Reason.UNREGISTERED
    if status.state is not _GRANTED:
        return _STATE_REASON[status.state]
    if now >= ends or now >= status.valid_until:  # an amendment may have brought the end forward
        return Reason.EXPIRED
    if now < begins:
        return Reason.NOT_YET
    if candidate.valid_until > now + context.policy.consent_days_max * DAY:
        return Reason.TOO_LONG
    if candidate.proof is _REJECTED:
        return Reason.EVIDENCE_REJECTED
    if candidate.proof is _PENDING and not context.pending_evidence:
        return Reason.EVIDENCE_PENDING
    return None


def _judge_links(links: tuple[Link, ...], now: int) -> Reason | None:
    """Return why something that the consent rests on does not stand, or None."""
    for link in links:
        standing = link.standing
        if standing is None:
            return _UNREGISTERED[link.kind]
        if standing.fault is not None:
            return standing.fault
        if now >= link.ends:
            return _EXPIRED[link.kind]
    return None


_UNREGISTERED: Final = {
    Rest.DELEGATION: Reason.DELEGATION_UNREGISTERED,
    Rest.PARENT: Reason.PARENT_UNREGISTERED,
    Rest.CALL: Reason.CALL_UNREGISTERED,
}
_EXPIRED: Final = {
    Rest.DELEGATION: Reason.DELEGATION_EXPIRED,
    Rest.PARENT: Reason.PARENT_EXPIRED,
    Rest.CALL: Reason.CALL_NOT_PASSED,
}
_STATE_REASON: Final = {
    State.INCOMPLETE: Reason.INCOMPLETE,
    State.WITHDRAWN: Reason.WITHDRAWN,
    State.REVOKED: Reason.REVOKED,
}


def _refuse(flow: Flow, context: Context, candidate: Candidate, reason: Reason, now: int) -> Decision:
    scope = candidate.content
    window, granularity = None, None
    if reason in (Reason.DISCLOSURE_MISSING, Reason.BAD_TERMS):  # the clear fields may still tell more
        links = () if isinstance(candidate.links, Reason) else candidate.links
        clear = _judge_state(candidate, 0, candidate.valid_until, context, now) or _judge_links(links, now)
        reason = clear or reason
    elif isinstance(scope, Reason):
        pass  # it failed before its content was looked at
    elif reason is Reason.OTHER_PERIOD:
        start, stop = flow.window
        shared = ((max(begin, start), min(end, stop)) for begin, end in scope.windows)
        window = next((part for part in shared if part[0] < part[1]), None)
    elif reason is Reason.OTHER_GRANULARITY:
        granularity = scope.granularity_text
    return Decision(reason, candidate.grant, _entries(candidate), window, granularity)


def _entries(candidate: Candidate) -> tuple[bytes, ...]:
    """Return what a decision rests on: what decided of the grant, then of each link."""
    decided = candidate.status.decided_by if candidate.status is not None else ()
    links = candidate.links
    if not links or isinstance(links, Reason):
        return decided
    found = list(decided)
    for link in links:
        found += (link.standing and link.standing.decided_by) or (link.entry,)
    return tuple(found)
