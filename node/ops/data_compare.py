"""The operation that compares what several hold about one point: own readings, and what came from each holder.

How it works
    Each source's series of the point are put together as an export does; those of one kind and step are compared, the
    first source with every other.

What it does not do
    It asks nobody for data: what is compared has come before, under a consent.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from node.exits import OK, REFUSED, not_found
from node.naming import member_name, moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.comparing import Comparison
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows
    from node.readings import Series
    from node.series_key import SeriesKey

OWN = "this node"


class CompareArgs(Args, frozen=True):
    """Which point."""

    point: Annotated[str, said("The point of measurement.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class DifferenceRow(Result, frozen=True):
    """One period for which two sources say different things."""

    start: Annotated[datetime, said("Where the period begins.")]
    one: Annotated[str, said("What the first says; empty: no value.")]
    other: Annotated[str, said("What the second says; empty: no value.")]


class ComparisonRow(Result, frozen=True):
    """Two sources compared."""

    one: Annotated[str, said("The first source: this node, or the holder it came from.")]
    other: Annotated[str, said("The second source.")]
    kind: Annotated[str, said("The kind of data and its step.")]
    same: Annotated[int, said("Periods for which both say the same.")]
    different: Annotated[int, said("Periods for which they differ.")]
    only_one: Annotated[int, said("Periods that only the first has.")]
    only_other: Annotated[int, said("Periods that only the second has.")]
    differences: Annotated[tuple[DifferenceRow, ...], said("The first of the differences.")]


class Compared(Result, frozen=True):
    """What several say of one point."""

    comparisons: Annotated[tuple[ComparisonRow, ...], said("Each pair of sources.")]


@operation(
    "data",
    "compare",
    permission="read",
    exit_of=lambda found: REFUSED if any(one.different for one in found.comparisons) else OK,
)
async def data_compare(node: Node, args: CompareArgs) -> Compared:
    """Compare what this node and each holder say about one point. Exit code 1: they differ."""
    mesh = node.mesh(args.mesh)
    return await mesh.engine.read(lambda turn: _compared(turn, mesh.flows, args.point))


def _compared(turn: Turn, flows: Flows, point: str) -> Compared:
    from node.comparing import compare

    sources = _sources(turn, flows, point)
    rows: list[ComparisonRow] = []
    for key in sorted({key for found in sources.values() for key in found}):
        names = [name for name, found in sources.items() if key in found]
        for other in names[1:]:
            one, two = sources[names[0]][key], sources[other][key]
            rows.append(_row(names[0], other, f"{one.key.kind} {one.key.granularity}", compare(one, two)))
    if not rows:
        raise not_found("Nothing of this point is here from two sources.", "point")
    return Compared(tuple(rows))


def _sources(turn: Turn, flows: Flows, point: str) -> dict[str, dict[tuple[str, ...], Series]]:
    """Return the series of a point by source; a series by what makes it comparable."""
    from node.adapters import senml
    from node.compute.result import is_result
    from node.readings import Series

    pieces: dict[str, dict[SeriesKey, list[Series]]] = defaultdict(lambda: defaultdict(list))
    for held in flows.series.listing(turn.vault, point):
        pieces[OWN][held.key].append(flows.series.load(turn.vault, held.key))
    for row in flows.incoming.listing(turn.vault):
        name = member_name(turn.core.replica.members, row.wanted.holder)
        for pack in flows.incoming.packs(turn.vault, row.transfer):
            for one in [] if is_result(pack) else senml.decode_cbor(pack):
                if one.key.point == point:
                    pieces[name][one.key].append(one)
    found: dict[str, dict[tuple[str, ...], Series]] = {}
    for name, by_key in pieces.items():
        found[name] = {_alike(key): _joined(key, held, Series) for key, held in by_key.items()}
    return found


def _alike(key: SeriesKey) -> tuple[str, ...]:
    return (key.energy, key.direction, key.kind, key.granularity, key.unit, key.register, key.stage)


def _joined(key: SeriesKey, pieces: list[Series], series: type[Series]) -> Series:
    readings = {reading.start: reading for piece in pieces for reading in piece}
    return series.from_readings(key, (readings[start] for start in sorted(readings)))


def _row(one: str, other: str, kind: str, found: Comparison) -> ComparisonRow:
    def text(value: object) -> str:
        return "" if value is None else str(value)

    shown = tuple(DifferenceRow(moment(each.start), text(each.one), text(each.other)) for each in found.shown)
    return ComparisonRow(one, other, kind, found.same, found.different, found.only_one, found.only_other, shown)
