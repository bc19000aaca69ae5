"""When a sum over several people may be published: profiles of thresholds, each number with where it comes from.

How it works
    A `Profile` is a row of `PROFILES`. Each of its numbers is a `Number`: the value, the text that states it, and how
    sure we are of that: "read" (the text itself was read), "secondary" (told by others), "own" (no text states it; it
    is this project's choice). `STRICTEST`, the default, takes of each number the strictest that was found.

What it does not do
    It is no legal advice, and no profile makes data anonymous: whether an anonymisation is good is for the CNIL to
    judge. What passes is called "threshold-checked".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from ledger.errors import LocalError

Confidence = Literal["read", "secondary", "own"]
LABEL: Final = "aggregated, threshold-checked"
"""What a release is called. It is never called anonymous."""
COUNT_MAX: Final = 1_000_000
"""Largest count that a profile may demand."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a rule, with its source."""

    value: int
    source: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Profile:
    """What a published sum must meet.

    `min_holders`, `min_points`: at least so many people, and points of measurement, in it. `dominance_percent`: no
    person's part is more of it. `nearness_percent`: the bounds that can be told for a suppressed figure stay so far
    from it: the lower at most this share of it, it at most this share of the upper.
    """

    name: str
    says: str
    min_holders: Number
    min_points: Number
    dominance_percent: Number
    nearness_percent: Number

    def numbers(self) -> dict[str, Number]:
        """Return every number by its name, for what goes along with a release."""
        return {
            "min_holders": self.min_holders,
            "min_points": self.min_points,
            "dominance_percent": self.dominance_percent,
            "nearness_percent": self.nearness_percent,
        }

    def at_least(self, holders: int, points: int) -> Profile:
        """Return a stricter profile. A lower count changes nothing: a profile is never softened.

        Raises LocalError BAD_PROFILE for counts that no profile may have.
        """
        if not (0 <= holders <= COUNT_MAX and 0 <= points <= COUNT_MAX):
            raise LocalError("BAD_PROFILE", f"a minimum lies between 0 and {COUNT_MAX}", field="min")
        asked = "asked for with this release"
        more_holders = Number(holders, asked, "own") if holders > self.min_holders.value else self.min_holders
        more_points = Number(points, asked, "own") if points > self.min_points.value else self.min_points
        return replace(self, min_holders=more_holders, min_points=more_points)


_MANUAL: Final = "INSEE, manuel-protection-tableaux, chapters/annexes/regles.qmd"
_DOMINANCE: Final = Number(85, f"{_MANUAL}: the largest contributor holds at most 85 %", "read")
_NEARNESS: Final = Number(85, "follows the dominance rule: no published text states it for suppressed figures", "own")
_FISCAL: Final = Number(11, f"{_MANUAL}: fiscal data on natural persons, at least 11 units", "read")
_TEN: Final = "code de l'energie D.111-52 ff., decret 2020-196: 10 points since 2020 (told as < 10 and as <= 10)"
_ELEVEN: Final = "code de l'energie D.111-52 ff. in the version of 2016: 11 points (AMORCE and FNCCR notes)"


def _people(count: int, source: str, confidence: Confidence = "own") -> Number:
    return Number(count, source, confidence)


STRICTEST: Final = Profile(
    "strictest",
    "Of each number the strictest that was found in published rules on data of natural persons.",
    _FISCAL,
    Number(11, _ELEVEN, "secondary"),
    _DOMINANCE,
    _NEARNESS,
)
"""The default."""

PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        STRICTEST,
        Profile(
            "insee-fiscal",
            "INSEE's rule for fiscal data on natural persons.",
            _FISCAL,
            _people(11, "as many points as people; the text counts units"),
            _DOMINANCE,
            _NEARNESS,
        ),
        Profile(
            "insee-business",
            "INSEE's rule for statistics on businesses; not meant for people at home.",
            Number(3, f"{_MANUAL}: business statistics, at least 3 units per cell", "read"),
            _people(3, "as many points as businesses; the text counts units"),
            _DOMINANCE,
            _NEARNESS,
        ),
        Profile(
            "energy-residential",
            "Residential aggregates by address or building of the energy code, as of 2020.",
            _people(10, "as many people as points; the text counts points alone"),
            Number(10, _TEN, "secondary"),
            _DOMINANCE,
            _NEARNESS,
        ),
        Profile(
            "building-owner",
            "Totals of a building for its owner: more than 10 subscribers.",
            Number(11, "decret 2016-447, as told by coussyavocats.com: more than 10 subscribers", "secondary"),
            _people(11, "as many points as subscribers"),
            _DOMINANCE,
            _NEARNESS,
        ),
        Profile(
            "wealth-tax",
            "The table of the wealth tax; the strictest count that was read.",
            Number(50, f"{_MANUAL}: wealth tax, at least 50 taxpayers", "read"),
            _people(50, "as many points as taxpayers"),
            _DOMINANCE,
            _NEARNESS,
        ),
    )
}
"""Every profile by its name."""


def find_profile(name: str) -> Profile:
    """Return a profile by its name. Raises LocalError NO_SUCH_PROFILE, naming those there are."""
    if name not in PROFILES:
        told = f"there is no such profile of thresholds; there are {', '.join(PROFILES)}"
        raise LocalError("NO_SUCH_PROFILE", told, field="profile")
    return PROFILES[name]
