"""What consents cover, compiled for the gate: terms, what narrowed them, and the links that a consent rests on.

How it works
    `compile_terms` turns terms into a `Scope`, sets and windows that a flow is compared with. `narrowed` intersects
    two: a consent with amendments covers what its grant and every amendment cover, and an amendment that is wider in
    a field narrows nothing there. `Candidate` joins a grant's clear fields, what the ledger says of it, its content
    and its `Link`s: delegations, parent consents, the call of a group, each with what the ledger says of it.
    `Candidate.as_of` brings all of them up to date at once and gives back the same object when nothing has moved.

What it does not do
    It judges no flow (gate). It opens nothing and finds no entries: `resting` compiles from entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeAlias

from ledger.consent.grant import Recipient, purpose_names
from ledger.consent.granularity import Duration, covers, parse_duration
from ledger.consent.reasons import Reason
from ledger.consent.record import DataKind, Terms, Window
from ledger.consent.status import Party, Status
from ledger.consent.token import Limits

NEVER: Final = ""
"""The granularity of a scope that has not one: no flow has it."""
NO_COMPUTATION: Final = b""
"""The computation of a scope that no result fits: no computation has this hash."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The content of one consent, compiled: what the gate compares a flow with. Windows that touch are joined.

    `computation`: hash of the one whose result alone may go, None for readings. `granularity_text` None: data that are
    no series; NEVER: readings must be as coarse as each of `steps`, of which none is the coarsest. `ends`: of the right
    of access, by the content alone.
    """

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
    computation: bytes | None
    informed: bool
    home: tuple[bytes, ...]
    steps: tuple[str, ...] = ()

    def fits(self, text: str | None, asked: Duration | None) -> bool:
        """Say whether readings of this granularity are as coarse as granted. `asked`: what `text` means."""
        if text == self.granularity_text:
            return True
        if asked is None:
            return False
        if self.granularity is not None:
            return covers(self.granularity, asked)
        return bool(self.steps) and all(covers(parse_duration(step), asked) for step in self.steps)


def compile_terms(terms: Terms, valid_until: int, *, informed: bool) -> Scope:
    """Compile terms. `valid_until`: of the grant, unix seconds; `informed`: whether the person was told all."""
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
        computation=terms.computation,
        informed=informed,
        home=terms.freshness,
    )


def narrowed(scope: Scope, by: Scope) -> Scope | None:
    """Return what both cover; None when they are about another purpose or kind of data: nothing is left.

    What the person was told is the grant's matter: `informed` stays.
    """
    if scope.purpose != by.purpose or scope.pii_type != by.pii_type:
        return None
    text, steps = _coarsest(scope, by)
    return replace(
        scope,
        points=scope.points & by.points,
        purpose_names=scope.purpose_names | by.purpose_names,
        granularity_text=text,
        granularity=parse_duration(text) if text else None,
        steps=steps,
        windows=tuple(_shared(scope.windows, by.windows)),
        begins=max(scope.begins, by.begins),
        ends=min(scope.ends, by.ends),
        transmit=scope.transmit and by.transmit,
        computation=_same_computation(scope.computation, by.computation),
        home=tuple(sorted({*scope.home, *by.home})),
    )


def limited(scope: Scope, limits: Limits) -> Scope:
    """Return what a scope and a token cover together."""
    text, steps = scope.granularity_text, scope.steps
    if limits.granularity is not None and text is not None:
        text, steps = _coarsest(scope, replace(scope, granularity_text=limits.granularity))
    return replace(
        scope,
        points=scope.points if limits.points is None else scope.points & limits.points,
        windows=scope.windows if limits.windows is None else tuple(_shared(scope.windows, limits.windows)),
        granularity_text=text,
        granularity=parse_duration(text) if text else None,
        steps=steps,
        ends=min(scope.ends, limits.expires),
    )


def _coarsest(one: Scope, other: Scope) -> tuple[str | None, tuple[str, ...]]:
    """Return the granularity that both cover: the coarsest of all, or NEVER and all that readings must fit.

    Of P1M and P30D neither covers the other; P1Y fits both. The order of amendments must not matter, so all are kept.
    """
    ones, others = _steps(one), _steps(other)
    if not ones or not others:
        no_series = one.granularity_text is None and other.granularity_text is None
        return (None if no_series else NEVER), ()
    steps = {*ones, *others}
    coarsest = sorted(step for step in steps if not any(_says_more(other, step) for other in steps))
    return (coarsest[0], ()) if len(coarsest) == 1 else (NEVER, tuple(coarsest))


def _says_more(step: str, other: str) -> bool:
    """Say whether readings that fit `step` fit `other` anyway; of two that mean the same, the lesser text stays."""
    return step != other and _as_coarse(step, other) and (step < other or not _as_coarse(other, step))


def _steps(scope: Scope) -> tuple[str, ...]:
    if scope.granularity_text == NEVER:
        return scope.steps
    return () if scope.granularity_text is None else (scope.granularity_text,)


def _as_coarse(asked: str, finest: str) -> bool:
    return covers(parse_duration(finest), parse_duration(asked))


def _same_computation(one: bytes | None, other: bytes | None) -> bytes | None:
    """Return the computation that is left; of two that differ, neither."""
    if one is None or other is None or one == other:
        return other if one is None else one
    return NO_COMPUTATION


def _shared(ones: tuple[Window, ...], others: tuple[Window, ...]) -> list[Window]:
    pairs = ((max(a, c), min(b, d)) for a, b in ones for c, d in others)
    return sorted(window for window in pairs if window[0] < window[1])


class Rest(Enum):
    """What a consent may rest on."""

    DELEGATION = "delegation"
    PARENT = "parent"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger says of a link. `fault`: why it does not stand, None while it does; `decided_by`: entry ids."""

    fault: Reason | None
    decided_by: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """One entry that a consent rests on. `ends`: unix seconds, from its clear fields and, for a parent, its content.

    `standing`: None while the ledger says nothing of it, which denies. `amended`: of a parent, the amendments that the
    child's content has taken in. `evidence`: digests of which `checker`, the holder of the data, must have found one
    good (a guardian's authority); None where none is needed. `under`: of a call, the delegation that made the person a
    member of the group.
    """

    kind: Rest
    entry: bytes
    ends: int
    standing: Standing | None = None
    amended: frozenset[bytes] = frozenset()
    evidence: tuple[bytes, ...] | None = None
    checker: Party | None = None
    under: bytes | None = None


STANDS: Final = Standing(None)
"""What the ledger says of a link with which all is well."""


class Proof(Enum):
    """How the evidence of a consent stands, where it needs any: a transcribed paper, a guardian's authority."""

    NOT_NEEDED = "not_needed"
    PENDING = "pending"
    CHECKED = "checked"
    REJECTED = "rejected"


Stand: TypeAlias = Callable[[Link], Standing | None]
"""What the ledger says of a link now."""


def proof_of(status: Status) -> Proof:
    """Return how the evidence of a consent stands: good once its holder found it so, and nobody found it wanting."""
    if any(word.state == "checked_ko" for word in status.checked):
        return Proof.REJECTED
    found = any(word.state == "checked_ok" and word.party == status.holder for word in status.checked)
    return Proof.CHECKED if found else Proof.PENDING


@dataclass(frozen=True, slots=True)
class Candidate:
    """A consent that may cover a flow: its clear fields, what the ledger says of it, its content, what it rests on.

    `grant`: entry id. `status`: None while the ledger says nothing of it. `content`: what grant and amendments cover
    together, or the reason why it is not to be had. `amended`: the amendments that are in it. `links`: from the grant
    upwards, or the reason why the chain is wrong or not known. `signers`: key ids in whose name it was given: the
    person's, and of those who signed with her. `transcribed`: from a paper, which somebody must have checked.
    """

    grant: bytes
    holder: Party
    recipient: Recipient
    valid_until: int
    granted_at: int
    status: Status | None
    content: Scope | Reason
    amended: frozenset[bytes] = frozenset()
    links: tuple[Link, ...] | Reason = ()
    signers: tuple[bytes, ...] = ()
    proof: Proof = Proof.NOT_NEEDED
    transcribed: bool = False

    def as_of(self, status: Status | None, stand: Stand) -> Candidate:
        """Return the same consent as the ledger has it now; itself when nothing has moved. Nothing is compiled anew."""
        links = self.links
        if not isinstance(links, Reason):
            for link in links:
                now = stand(link)
                if now is not link.standing and now != link.standing:
                    links = tuple(replace(link, standing=stand(link)) for link in links)
                    break
        if status is self.status and links is self.links:
            return self
        proof = proof_of(status) if self.transcribed and status is not None else self.proof
        return replace(self, status=status, links=links, proof=proof)

    def in_status(self, status: Status | None) -> Candidate:
        """Return the same consent with another status, all else being as it was."""
        return self if status is self.status else replace(self, status=status)
