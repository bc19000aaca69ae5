"""What a release could tell of a person: the three questions of the WP29 and the CNIL, asked of a table, with results.

How it works
    `report` runs tests on what is published and says what was found, under the question each belongs to: can one
    person be singled out, can data of one person be linked, can something be inferred of one person. Each line is a
    question and a number.

What it does not do
    It claims nothing: no line says that a table is anonymous, or safe. It knows only what is held here; an outsider
    may know more. What was not tested is said in the last lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.consent.aggregate import Verdict, fewest_people, shares_of
from ledger.consent.thresholds import Profile
from node.aggregates.table import Built, Request, concerned
from node.vaults.releases import Release

SINGLING_OUT = "singling out"
LINKABILITY = "linkability"
INFERENCE = "inference"
NOT_TESTED = "not tested"

Line = tuple[str, str, str]
"""The test, what was asked, what was found."""


def report(
    request: Request, built: Built, profile: Profile, verdicts: Sequence[Verdict], history: Sequence[Release]
) -> tuple[Line, ...]:
    """Return the lines of the report on a table that was judged; `history`: every release before."""
    pairs = list(zip(built.cells, verdicts, strict=True))
    out = [cell.parts for cell, verdict in pairs if verdict.released]
    smallest = min((len(shares_of(parts, built.material)) for parts in out), default=0)
    fewest = fewest_people([*built.earlier, *out], built.material)
    largest, second = _shares(built, verdicts)
    return (
        (SINGLING_OUT, "Figures published, and kept back", f"{len(out)}, {len(pairs) - len(out)}"),
        (SINGLING_OUT, "Fewest people in a published figure", str(smallest)),
        (SINGLING_OUT, "Fewest people that any combination of figures can speak of, at least", str(fewest)),
        (SINGLING_OUT, "Times a point was left out because its readings are not whole", str(built.left_out)),
        (LINKABILITY, "Earlier releases over some of the same people and time", str(len(concerned(request, history)))),
        (
            LINKABILITY,
            f"Groups that differ from an earlier one by 1 to {profile.min_holders.value - 1} points, at another time",
            str(_alike(request, profile, history)),
        ),
        (INFERENCE, "Largest share of one person in a published figure", f"{largest} %"),
        (INFERENCE, "The same, for the person with the largest share, who knows her own part", f"{second} %"),
        (NOT_TESTED, "What outsiders know of a person besides: her own meter, the power of her contract", ""),
        (NOT_TESTED, "Figures on the same people that others have published", ""),
        (NOT_TESTED, "How alike one month is to the next where a group has changed a little", ""),
    )


def _shares(built: Built, verdicts: Sequence[Verdict]) -> tuple[int, int]:
    """Return the largest share of one person, and of the second in what the first does not make up; rounded up."""
    largest = second = 0
    for cell, verdict in zip(built.cells, verdicts, strict=True):
        if not verdict.released:
            continue
        shares = shares_of(cell.parts, built.material)
        total = sum(shares)
        largest = max(largest, _percent(shares[0], total))
        if len(shares) > 1:
            second = max(second, _percent(shares[1], total - shares[0]))
    return largest, second


def _percent(part: int, whole: int) -> int:
    return -(-part * 100 // whole) if whole else 0


def _alike(request: Request, profile: Profile, history: Sequence[Release]) -> int:
    """Count the groups that were published at another time with a few people more or less."""
    found = 0
    for group, points in request.groups.items():
        for release in history:
            same = release.window == request.window or release.source != request.source
            before = {
                release.points[place]
                for figure in release.figures
                if figure.group == group and figure.released
                for run in figure.runs
                for place in run[2]
            }
            apart = len(before ^ points)
            found += bool(before) and not same and 0 < apart < profile.min_holders.value
    return found
