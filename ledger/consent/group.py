"""Groups: who belongs, and whether a call to share has passed. A pure function of entries and of where they stand.

How it works
    A group is a key. `group.open` says how it decides; joining is a delegation to that key (role "group"), which the
    group admits. A call (`group.call`) is open for a time and says what shall be shared. Rule C10:
      the group's first `group.open` counts, by its own key (of several, the oldest);
      in the electorate is who was admitted, had joined, and had not left, when the call opened;
      a vote counts from the key that joined, dated while the call was open and registered by its close; a key's oldest
      vote counts, whatever came later;
      the call passes when its quorum took part, more than its majority of the votes cast said yes (at 100 percent, all
      of them), and its electorate has the critical mass. By colleges, each college that voted has its share of yes,
      weighed;
      one person's refusal is hers alone, and always wins: however late it comes.
    When something was registered is bounded by its feed: an entry stands there no earlier than the largest `iat` at or
    below its place (`Placed.since`). Who passes votes off as early must hold back a whole feed for it.

What it does not do
    It reads no clock: a call that is still open has no outcome yet, and the gate asks whether it is over. It does not
    know persons: the group admits each of its members once, and answers for that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import Any, Final

from ledger import codec
from ledger.entry import Entry
from ledger.keys import thumbprint

ROLE: Final = "group"
"""The role of a delegation that joins a group."""
REFUSALS_MAX: Final = 128
"""Refusals of one call that a committed map names; how many there are, it says beside them."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry that counts, and since when at the earliest it can have been registered (unix seconds)."""

    entry: Entry
    since: int


@dataclass(frozen=True, slots=True)
class Rules:
    """How a group decides. `colleges`: weights by name, empty where each person has one vote. `opened`: the entry."""

    name: str
    majority_percent: int
    quorum_percent: int
    critical_mass: int
    colleges: Mapping[str, int]
    opened: bytes = b""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to. `missing`: what it lacked, in words: "quorum", "majority", "critical_mass".

    `electors`: delegations that may vote; `yes`, `no`, `abstain`: votes that count, by entry id.
    """

    electors: tuple[bytes, ...]
    yes: tuple[bytes, ...]
    no: tuple[bytes, ...]
    abstain: tuple[bytes, ...]
    missing: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    def committed(self, rules: Rules, refusals: Collection[tuple[bytes, bytes]]) -> bytes:
        """Return the value that stands for the call in a committed map: all that a consent under it rests on.

        A list: the `group.open` that says how it is decided; how many may vote, said yes, no, abstained; what is
        missing; how many refusals there are, and the first of them. `refusals`: (kid of who refused, entry id).
        """
        counts = [len(each) for each in (self.electors, self.yes, self.no, self.abstain)]
        named = [list(each) for each in sorted(refusals)[:REFUSALS_MAX]]
        return codec.encode([rules.opened, *counts, list(self.missing), len(refusals), named])


def rules_of(group: bytes, opened: Iterable[Placed]) -> Rules | None:
    """Return how a group (by its kid) decides, or None while it has not said so."""
    own = [each.entry for each in opened if each.entry.kind == "group.open" and each.entry.kid == group]
    own = [entry for entry in own if entry.thing[1] == group]
    if not own:
        return None
    first = min(own, key=_oldest)
    payload: Any = first.payload
    weighed = payload["decides"] == "colleges"
    colleges = dict(payload.get("colleges", ())) if weighed else {}
    percents = payload["majority_percent"], payload["quorum_percent"]
    return Rules(payload["name"], *percents, payload["critical_mass"], colleges, first.id)


def _oldest(entry: Entry) -> tuple[int, bytes]:
    return entry.iat, entry.id


def members_of(
    group: bytes, joined: Iterable[Placed], admitted: Iterable[Placed], revoked: Iterable[Entry], at: int
) -> dict[bytes, Entry]:
    """Return the delegations to a group that were admitted and live at a time, by the kid of who gave them.

    `revoked`: sound revocations of any of them. Who joined twice by one key is counted once, by the oldest.
    """
    named: set[bytes] = set()
    for each in admitted:
        entry = each.entry
        if entry.kind == "group.admit" and entry.kid == group and max(entry.iat, each.since) <= at:
            named.update(entry.payload["delegations"])
    left = {
        sha256(entry.payload["links"][0]).digest()
        for entry in revoked
        if entry.kind == "delegation.revoke" and entry.iat <= at
    }
    found: dict[bytes, Entry] = {}
    candidates = [each.entry for each in joined if each.entry.id in named and max(each.entry.iat, each.since) <= at]
    for entry in sorted(candidates, key=_oldest):
        payload = entry.payload
        fits = entry.kind == "delegation.give" and payload["role"] == ROLE and thumbprint(payload["delegate"]) == group
        if fits and payload["valid_until"] > at and entry.id not in left:
            found.setdefault(entry.kid, entry)
    return found


def outcome(call: Entry, rules: Rules, members: Mapping[bytes, Entry], votes: Iterable[Placed]) -> Outcome:
    """Return what a call came to, or will come to with these votes. `members`: `members_of` when it opened."""
    opens, closes = call.payload["opens"], call.payload["closes"]
    cast: dict[bytes, Entry] = {}
    counting = [
        each.entry
        for each in votes
        if each.entry.kind == "group.vote"
        and each.entry.payload["call"] == call.id
        and each.entry.kid in members
        and opens <= each.entry.iat
        and max(each.entry.iat, each.since) <= closes
    ]
    for vote in sorted(counting, key=_oldest):
        cast.setdefault(vote.kid, vote)
    by_choice: dict[str, list[bytes]] = {"yes": [], "no": [], "abstain": []}
    for vote in cast.values():
        by_choice[vote.payload["choice"]].append(vote.id)
    lacks = {
        "quorum": len(cast) * 100 >= rules.quorum_percent * len(members) and bool(cast),
        "majority": _majority(rules, members, cast),
        "critical_mass": len(members) >= rules.critical_mass,
    }
    return Outcome(
        tuple(sorted(entry.id for entry in members.values())),
        tuple(sorted(by_choice["yes"])),
        tuple(sorted(by_choice["no"])),
        tuple(sorted(by_choice["abstain"])),
        tuple(name for name, met in lacks.items() if not met),
    )


def _majority(rules: Rules, members: Mapping[bytes, Entry], cast: Mapping[bytes, Entry]) -> bool:
    """Say whether more than the majority of the votes cast says yes; at 100 percent, whether all do."""
    said = {kid: vote.payload["choice"] for kid, vote in cast.items() if vote.payload["choice"] != "abstain"}
    if not rules.colleges:
        parts = {"": (1, list(said.values()))}
    else:
        parts = {name: (weight, list[str]()) for name, weight in rules.colleges.items()}
        for kid, choice in said.items():
            college = members[kid].payload.get("college")
            if college in parts:
                parts[college][1].append(choice)
    voted = [(weight, choices) for weight, choices in parts.values() if choices]
    total = sum(weight for weight, _ in voted)
    if not total:
        return False
    yes = sum((Fraction(weight * choices.count("yes"), len(choices)) for weight, choices in voted), Fraction(0))
    share = yes / total * 100
    return share == 100 if rules.majority_percent == 100 else share > rules.majority_percent


def refused(call: Entry, delegation: Entry, refusals: Iterable[Entry]) -> tuple[bytes, ...]:
    """Return the refusals of a call by who gave this delegation, by either of her keys. Any leaves her out."""
    keys = {delegation.kid, thumbprint(delegation.payload["withdraw_key"])}
    named = (entry for entry in refusals if entry.kind == "group.refuse" and entry.payload["call"] == call.id)
    return tuple(sorted(entry.id for entry in named if entry.kid in keys))
