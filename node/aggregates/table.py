"""A table over several people, from the readings held here: groups by steps of time, with its totals.

How it works
    `Request` says which points are in which group, whose they are, which readings, and the step. `build` sums them:
    a point counts in a step only if its readings cover the step whole, without a gap, so nothing is filled in; who
    did not is counted as left out. Time is cut into elementary steps wherever a step of this table, or of an earlier
    figure over the same readings, begins or ends, so that figures of different steps can be held together.
    A load curve (W) is summed as energy (Wh). All arithmetic is in whole numbers.

What it does not do
    It decides nothing (ledger.consent.aggregate) and keeps nothing. Steps of days, months and years are those of UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from ledger.consent.aggregate import Cell, Material
from ledger.consent.record import Window
from ledger.errors import LocalError
from node.compute.computation import windows_of
from node.compute.operations import decimal
from node.readings import Series
from node.series_key import granularity_seconds
from node.vaults.releases import Figure, Release, Run, Source

STEPS_MAX: Final = 20_000
"""Steps of one table."""
GROUPS_MAX: Final = 200
RECORDS_MAX: Final = 4_000_000
"""Readings that go into one table."""
SUMMED: Final = ("load_curve", "daily")
"""Kinds of readings that can be summed."""
_HOUR: Final = 3_600


@dataclass(frozen=True, slots=True)
class Request:
    """What table is asked for. `groups`: name -> its points; `holders`: point -> the person. `margins`: with totals."""

    groups: Mapping[str, frozenset[str]]
    holders: Mapping[str, str]
    source: Source
    step: str
    window: Window
    margins: bool

    @property
    def points(self) -> frozenset[str]:
        """Every point, once."""
        return frozenset().union(*self.groups.values())

    def check(self) -> None:
        """Raise LocalError BAD_GROUPS, HOLDER_UNKNOWN, BAD_STEP."""
        if not 1 <= len(self.groups) <= GROUPS_MAX or not all(self.groups.values()):
            raise LocalError("BAD_GROUPS", f"a table has 1 to {GROUPS_MAX} groups, and none is empty", field="groups")
        if sum(map(len, self.groups.values())) != len(self.points):
            raise LocalError("BAD_GROUPS", "a point stands in one group alone", field="groups")
        unknown = len(self.points - self.holders.keys())
        if unknown:
            told = f"it is not known whose {unknown} of the points are: name the holders, or register them"
            raise LocalError("HOLDER_UNKNOWN", told, field="groups")
        if self.source.kind not in SUMMED:
            raise LocalError("NOT_FOR_KIND", f"only {', '.join(SUMMED)} can be summed", field="kind")
        self.steps()

    def steps(self) -> list[Window]:
        """Return the steps of the table, in order. Raises LocalError BAD_STEP, TOO_MANY_STEPS."""
        start, stop = self.window
        if not self.step or self.step in ("P1D", "P1M", "P1Y"):
            return windows_of(self.step, (self.window,), None)
        seconds = granularity_seconds(self.step)
        if seconds is None:
            raise LocalError("BAD_STEP", "a step is a duration such as PT60M, P1D or P1M, or none", field="granularity")
        first = -(-start // seconds) * seconds
        if (stop - first) // seconds > STEPS_MAX:
            raise LocalError("TOO_MANY_STEPS", f"a table has at most {STEPS_MAX} steps", field="window")
        return [(at, at + seconds) for at in range(first, stop - seconds + 1, seconds)]


@dataclass(frozen=True, slots=True)
class Built:
    """A table, ready to be judged. `cells`: one a line; `lines`: its group ("" for all) and window, in step.

    `earlier`, `kept_back`, `related`: of releases before, on the same elementary steps. `left_out`: how many times a
    point did not count in a step because its readings are not whole there. `bounds`: start -> stop of the steps.
    """

    cells: tuple[Cell, ...]
    lines: tuple[tuple[str, Window], ...]
    material: Material
    earlier: tuple[dict[int, frozenset[str]], ...]
    kept_back: tuple[dict[int, frozenset[str]], ...]
    related: tuple[dict[int, frozenset[str]], ...]
    left_out: int
    bounds: Mapping[int, int]
    scale: Fraction

    def value(self, cell: Cell) -> str:
        """Return the figure of a cell, as it would be published."""
        amounts = self.material.amounts
        total = sum(amounts[step][point] for step, points in cell.parts.items() for point in points)
        return decimal(total * self.scale)


def unit_of(source: Source) -> str:
    """Return the unit of figures over these readings."""
    return "Wh" if source.kind == "load_curve" else source.unit


def concerned(request: Request, history: Iterable[Release]) -> list[Release]:
    """Return the releases that bear on a table: over the same energy, time and points, directly or by others."""
    open_ends, found = [(request.window, request.points)], list[Release]()
    about = (request.source.energy, request.source.direction)
    waiting = [one for one in history if (one.source.energy, one.source.direction) == about]
    while open_ends:
        window, points = open_ends.pop()
        near = [one for one in waiting if _meets(one.window, window) and not points.isdisjoint(one.points)]
        for one in near:
            waiting.remove(one)
            found.append(one)
            open_ends.append((one.window, frozenset(one.points)))
    return found


def _meets(one: Window, other: Window) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def build(request: Request, history: Sequence[Release], series: Mapping[str, Sequence[Series]]) -> Built:
    """Sum a table. `history`: `concerned` releases; `series`: point -> the chunks of its readings, in order.

    `series` and `request.holders` cover the points of the history too, as far as they are held. Raises LocalError
    TOO_MANY_RECORDS, and what `Request.check` raises.
    """
    request.check()
    steps = request.steps()
    same = [one for one in history if one.source == request.source]
    edges = {edge for step in steps for edge in step}
    edges.update(edge for one in same for figure in one.figures for run in figure.runs for edge in run[:2])
    others = [one for one in history if one.source != request.source]
    bounds = dict(pairwise(sorted(edges)))
    exponent = min((chunk.exponent for chunks in series.values() for chunk in chunks), default=0)
    amounts = _amounts(request.source, series, bounds, exponent)
    parts, left_out = _counted(request, steps, amounts, bounds)
    scale = Fraction(10) ** exponent / (_HOUR if request.source.kind == "load_curve" else 1)
    cells, lines = _lines(request, steps, parts, amounts)
    return Built(
        cells,
        lines,
        Material(request.holders, amounts),
        tuple(_spread(one, figure.runs, bounds) for one in same for figure in one.figures if figure.released),
        tuple(_spread(one, figure.runs, bounds) for one in same for figure in one.figures if _secret(figure)),
        tuple(_spread(one, figure.runs, bounds) for one in others for figure in one.figures if figure.released),
        left_out,
        bounds,
        scale,
    )


def _secret(figure: Figure) -> bool:
    """Say whether a figure was kept back for its own sake."""
    return figure.check in ("FEW_HOLDERS", "FEW_POINTS", "ALL_ZERO", "DOMINATED")


def _amounts(
    source: Source, series: Mapping[str, Sequence[Series]], bounds: Mapping[int, int], exponent: int
) -> dict[int, dict[str, int]]:
    """Return step -> point -> amount, for the points whose readings cover an elementary step whole."""
    starts = list(bounds)
    amounts: dict[int, dict[str, int]] = defaultdict(dict)
    energy = source.kind == "load_curve"
    read = 0
    for point, chunks in series.items():
        covered: dict[int, int] = defaultdict(int)
        totals: dict[int, int] = defaultdict(int)
        for chunk in chunks:
            read += len(chunk)
            if read > RECORDS_MAX:
                told = f"a table is made of at most {RECORDS_MAX} readings; take a shorter window or fewer points"
                raise LocalError("TOO_MANY_RECORDS", told, field="window")
            factor = 10 ** (chunk.exponent - exponent)
            rows = zip(chunk.starts, chunk.durations, chunk.mantissas, chunk.gaps, strict=True)
            for start, seconds, mantissa, gap in rows:
                place = bisect_right(starts, start) - 1
                if gap or place < 0 or start + seconds > bounds[starts[place]]:
                    continue
                covered[starts[place]] += seconds
                totals[starts[place]] += mantissa * factor * (seconds if energy else 1)
        for step, seconds in covered.items():
            if seconds == bounds[step] - step:
                amounts[step][point] = totals[step]
    return amounts


def _counted(
    request: Request, steps: Sequence[Window], amounts: Mapping[int, Mapping[str, int]], bounds: Mapping[int, int]
) -> tuple[dict[tuple[str, Window], dict[int, frozenset[str]]], int]:
    """Return (group, step) -> elementary step -> the points that count, and how often one did not."""
    starts = list(bounds)
    parts: dict[tuple[str, Window], dict[int, frozenset[str]]] = {}
    left_out = 0
    for step in steps:
        inside = starts[bisect_right(starts, step[0] - 1) : bisect_right(starts, step[1] - 1)]
        whole = request.points.intersection(*(amounts.get(one, {}).keys() for one in inside))
        left_out += len(request.points) - len(whole)
        for group, points in request.groups.items():
            counted = points & whole
            parts[group, step] = dict.fromkeys(inside, counted)
    return parts, left_out


def _lines(
    request: Request,
    steps: Sequence[Window],
    parts: Mapping[tuple[str, Window], dict[int, frozenset[str]]],
    amounts: Mapping[int, Mapping[str, int]],
) -> tuple[tuple[Cell, ...], tuple[tuple[str, Window], ...]]:
    """Return the cells and what each line says. Of two cells that mend the same, the smaller group is given up."""
    weights = {
        group: sum(
            abs(amounts[one][point]) for step in steps for one, points in parts[group, step].items() for point in points
        )
        for group in request.groups
    }
    lines = [(group, step) for group in request.groups for step in steps]
    cells = [Cell(f"{group}@{step[0]}", parts[group, step], weights[group]) for group, step in lines]
    above = sum(weights.values()) + 1
    if request.margins:
        if len(steps) > 1:
            for group in request.groups:
                whole = {one: points for step in steps for one, points in parts[group, step].items()}
                lines.append((group, (steps[0][0], steps[-1][1])))
                cells.append(Cell(f"{group}@*", whole, above + weights[group]))
        if len(request.groups) > 1:
            everybody = {step: _joined(parts[group, step] for group in request.groups) for step in steps}
            lines += [("", step) for step in steps]
            cells += [Cell(f"*@{step[0]}", everybody[step], 2 * above) for step in steps]
            if len(steps) > 1:
                whole = {one: points for step in steps for one, points in everybody[step].items()}
                lines.append(("", (steps[0][0], steps[-1][1])))
                cells.append(Cell("*@*", whole, 3 * above))
    return tuple(cells), tuple(lines)


def _joined(all_parts: Iterable[Mapping[int, frozenset[str]]]) -> dict[int, frozenset[str]]:
    joined: dict[int, frozenset[str]] = {}
    for parts in all_parts:
        for step, points in parts.items():
            joined[step] = joined.get(step, frozenset()) | points
    return joined


def _spread(release: Release, runs: Iterable[Run], bounds: Mapping[int, int]) -> dict[int, frozenset[str]]:
    """Return what an earlier figure counted, on the elementary steps of now. A step it meets in part counts."""
    parts: dict[int, frozenset[str]] = {}
    steps = list(bounds)
    for start, stop, who in runs:
        points = frozenset(release.points[place] for place in who)
        first = max(0, bisect_right(steps, start) - 1)
        for step in steps[first : bisect_right(steps, stop - 1)]:
            if bounds[step] > start:
                parts[step] = parts.get(step, frozenset()) | points
    return parts


def runs_of(parts: Mapping[int, frozenset[str]], bounds: Mapping[int, int], places: Mapping[str, int]) -> Iterator[Run]:
    """Yield what a figure counted, as a release keeps it: stretches with the same points are joined."""
    held: Run | None = None
    for step in sorted(parts):
        who = tuple(sorted(places[point] for point in parts[step]))
        if held is not None and held[1] == step and held[2] == who:
            held = (held[0], bounds[step], who)
        else:
            if held is not None:
                yield held
            held = (step, bounds[step], who)
    if held is not None:
        yield held
