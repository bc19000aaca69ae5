"""The rules of a mesh: the settings that its members may vote on, as one value (governance.md §1, §4).

How it works
    `Rules` holds the frame, the predicate of admission, the electorate's settings (colleges, affiliation, shares,
    deadlines) and what is forbidden; a ballot replaces it whole. `none`, `weak` and `strong` are the ready frames. A
    frame is held to its name: `weak` takes nobody in without a charter, `strong` nobody without an authority. One
    value has one byte form, as for predicates (`policy`).

What it does not do
    It counts no votes (`ballots`) and decides on nobody (`policy.admissible`). Who sits in which college is said by
    the members' own entries, not here. The pace of ticks and heartbeats is `epoch.Policy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from ledger import codec
from ledger.errors import LocalError, RemoteError
from ledger.governance.policy import (
    MAJORITY,
    SHARE,
    SPONSORS_MAX,
    AllOf,
    Authority,
    Bilateral,
    Charter,
    Predicate,
    Share,
    Sponsors,
    encode,
    form_of,
    hold,
    hold_share,
    read,
    refuse,
    requires,
    voice,
)
from ledger.governance.roster import Party
from ledger.kinds import FRAMES
from ledger.schema import HASH, TIME_MAX
from ledger.shapes import Field, Shape, check_fields, integer, list_of, one_of, text, tuple_of

RULES_BYTES_MAX: Final = 49_152  # fits a proposal's entry
COLLEGES_MAX: Final = 16
WEIGHT_MAX: Final = 1_000
AFFILIATES_MAX: Final = 512  # member ids in all groups together
BALLOT_DAYS_MAX: Final = 90  # else one proposal would keep an old electorate alive for ever
ACTS: Final = ("admit", "charter", "evaluator", "policy")
"""The acts for which a share can be asked. Expulsion has a threshold of its own (governance.md §4)."""


def voices(groups: Iterable[Iterable[bytes]]) -> dict[bytes, bytes]:
    """Map every affiliated member's key id to the smallest of its group. Groups that share a member are one."""
    smallest: dict[bytes, bytes] = {}

    def root(member: bytes) -> bytes:
        while smallest.setdefault(member, member) != member:
            member = smallest[member]
        return member

    for group in groups:
        roots = {root(member) for member in group}
        for each in roots:
            smallest[each] = min(roots)
    return {member: root(member) for member in sorted(smallest)}


def first_of_each(parties: Iterable[Party], groups: Mapping[bytes, bytes]) -> dict[bytes, Party]:
    """Return the first party of each voice, by voice. `groups`: what `voices` returned."""
    found: dict[bytes, Party] = {}
    for party in parties:
        found.setdefault(voice(party, groups), party)
    return found


def endorsements_for_voter(voters: int) -> int:
    """Return how many voters of an epoch of `voters` must endorse a member before a seal adds its vote."""
    return voters // 3 + 1


def new_voters_max(voters: int) -> int:
    """Return how many voters may be added a day to an epoch of `voters` (governance.md §1)."""
    return max(1, voters // 3)


@dataclass(frozen=True, slots=True)
class College:
    """A part of the electorate that decides with a fixed weight, shared evenly among its voices."""

    name: str
    weight: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What the members vote on: one value, changed whole by a ballot.

    `admission`: who gets in. `shares`: (act, share) where more than a majority is asked. `colleges`: none means one
    member, one vote. `affiliations`: groups of member key ids; each has one vote, in ballots and in seals (`seats`).
    `ballot_days`: how long a proposal stays open unless it says less. `suspenders`, `suspension_days`: how many members
    suspend one, and for how long at most.
    Raises LocalError BAD_POLICY with the field.
    """

    frame: str = "none"
    admission: Predicate = field(default_factory=Bilateral)
    invitations_a_day: int = 10
    forbidden_purposes: tuple[str, ...] = ()
    colleges: tuple[College, ...] = ()
    affiliations: tuple[tuple[bytes, ...], ...] = ()
    shares: tuple[tuple[str, Share], ...] = ()
    ballot_days: int = 14
    suspenders: int = 2
    suspension_days: int = 14

    def __post_init__(self) -> None:
        """Put sets in order and hold every field to its bounds."""
        groups = sorted(tuple(sorted(set(group))) for group in self.affiliations)
        object.__setattr__(self, "affiliations", tuple(groups))
        object.__setattr__(self, "forbidden_purposes", tuple(sorted(set(self.forbidden_purposes))))
        object.__setattr__(self, "shares", tuple(sorted(self.shares)))
        object.__setattr__(self, "colleges", tuple(sorted(self.colleges, key=lambda college: college.name)))
        form = self._form()
        for name, each in _RULES.items():
            hold(each.shape, form[name], name)
        for act, share in self.shares:
            hold_share(share, f"shares.{act}")
        if len({act for act, _ in self.shares}) < len(self.shares):
            refuse("one act has one share", "shares")
        if len({college.name for college in self.colleges}) < len(self.colleges):
            refuse("two colleges have one name", "colleges")
        listed = [member for group in self.affiliations for member in group]
        if len(listed) > AFFILIATES_MAX or len(set(listed)) < len(listed):
            refuse(f"a member is in one group, and {AFFILIATES_MAX} are in any", "affiliations")
        if (needed := _FRAME_NEEDS[self.frame]) and not requires(self.admission, needed):
            refuse(f"frame {self.frame} takes nobody in without {needed.__name__.lower()}", "admission")

    def _form(self) -> dict[str, Any]:
        return {
            "version": 1,
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "admission": form_of(self.admission),
            "forbidden_purposes": list(self.forbidden_purposes),
            "colleges": [[college.name, college.weight] for college in self.colleges],
            "affiliations": [list(group) for group in self.affiliations],
            "shares": [[act, list(share)] for act, share in self.shares],
        }

    def share(self, act: str) -> Share:
        """Return the share of the electorate that a ballot on this act has to exceed."""
        return dict(self.shares).get(act, MAJORITY)

    def encode(self) -> bytes:
        """Return the canonical CBOR. Raises LocalError BAD_POLICY beyond `RULES_BYTES_MAX`."""
        encode(self.admission)
        raw = codec.encode(self._form())
        if len(raw) > RULES_BYTES_MAX:
            refuse(f"rules have at most {RULES_BYTES_MAX} bytes, these {len(raw)}", "rules")
        return raw

    @classmethod
    def decode(cls, raw: bytes) -> Rules:
        """Read what `encode` wrote. Raises RemoteError BAD_POLICY, POLICY_NOT_CANONICAL, PAYLOAD_* or CBOR_*."""
        form: Any = codec.decode(raw, max_bytes=RULES_BYTES_MAX)
        check_fields(_RULES, form)
        if set(form) != set(_RULES):
            raise RemoteError("BAD_POLICY", "the rules hold a field that evaluator 1 does not know", field="rules")
        try:
            rules = cls(
                **{name: form[name] for name in ("frame", "invitations_a_day", "ballot_days", "suspenders")},
                suspension_days=form["suspension_days"],
                admission=read(form["admission"]),
                forbidden_purposes=tuple(form["forbidden_purposes"]),
                colleges=tuple(College(name, weight) for name, weight in form["colleges"]),
                affiliations=tuple(map(tuple, form["affiliations"])),
                shares=tuple((act, (share[0], share[1])) for act, share in form["shares"]),
            )
            canonical = rules.encode()
        except LocalError as error:
            raise RemoteError(error.code, error.message, field=error.field) from None
        if canonical != raw:
            raise RemoteError("POLICY_NOT_CANONICAL", "a list of the rules is not in order", field="rules")
        return rules


_ANY_LIST: Final = Shape(lambda v: type(v) is list, "a list", "[* any]")
_RULES: Final = {
    "version": Field(integer(1, 1)),
    "frame": Field(one_of(*FRAMES)),
    "admission": Field(_ANY_LIST),
    "invitations_a_day": Field(integer(1, 1_000)),
    "forbidden_purposes": Field(list_of(text(200), 0, 64)),
    "colleges": Field(list_of(tuple_of(text(100), integer(1, WEIGHT_MAX)), 0, COLLEGES_MAX)),
    "affiliations": Field(list_of(list_of(HASH, 2, AFFILIATES_MAX), 0, AFFILIATES_MAX)),
    "shares": Field(list_of(tuple_of(one_of(*ACTS), SHARE), 0, len(ACTS))),
    "ballot_days": Field(integer(1, BALLOT_DAYS_MAX)),
    "suspenders": Field(integer(1, SPONSORS_MAX)),
    "suspension_days": Field(integer(1, BALLOT_DAYS_MAX)),
}
_FRAME_NEEDS: Final[dict[str, type[Charter] | type[Authority] | None]] = {
    "none": None,
    "weak": Charter,
    "strong": Authority,
}


def none() -> Rules:
    """Return the frame `none`: any member's acceptance."""
    return Rules()


def weak(charter: bytes, sponsors: int | None = None) -> Rules:
    """Return the frame `weak`: adherence to a charter's exact version, and one member's acceptance or k sponsors."""
    way = Bilateral() if sponsors is None else Sponsors(sponsors)
    return Rules(frame="weak", admission=AllOf((way, Charter(charter))))


def strong(
    authorities: Iterable[bytes], valid: tuple[int, int] = (0, TIME_MAX), revoked: Iterable[bytes] = ()
) -> Rules:
    """Return the frame `strong`: a credential signed by a listed authority."""
    return Rules(frame="strong", admission=Authority(tuple(authorities), valid, tuple(revoked)))
