"""Operations on one's own readings: import, list, export, and the formats of files.

How it works
    A file finds its format by its content (`node.adapters.registry`); it is read whole and refused whole, with the line
    and the field that are wrong, in a thread beside the node. A record that is held already, or stands twice, is
    skipped and counted; one that contradicts what is held refuses the file, with its date. Gaps are kept as gaps;
    nothing is filled in. What a file holds and the node does not is named in the answer.

What it does not do
    What was received from others is not here: `data export` has it. Nothing leaves the mesh by these commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from node.exits import not_found, usage
from node.naming import moment
from node.operation import Args, Local, Nothing, Result, local_operation, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.adapters.adapter import Found
    from node.core import Turn
    from node.daemon import Node
    from node.readings import Series
    from node.vaults.series import SeriesRow

POINT = "A point of measurement, such as prm:12345678901234."


class ImportArgs(Args, frozen=True):
    """What to read."""

    file: Annotated[bytes, said("The file.", positional=True, content=True)]
    format: Annotated[str, said("Its format, as `readings formats` names it; by default as its content shows.")] = (
        "auto"
    )
    point: Annotated[str, said("The point of measurement, for formats that name none: prm:… or pce:….")] = ""
    direction: Annotated[
        Literal["consumption", "injection"], said("The direction, for formats that do not say it.")
    ] = "consumption"
    declaration: Annotated[
        bytes | None,
        said(
            "The request to Enedis with the customer's declared agreement; refuses what it does not cover.",
            content=True,
        ),
    ] = None
    mesh: Annotated[str, said(WHICH)] = ""


class SelectArgs(Args, frozen=True):
    """Which readings."""

    point: Annotated[str, said(POINT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ReadingsExportArgs(Args, frozen=True):
    """Which readings, and in which form."""

    point: Annotated[str, said(POINT)] = ""
    series: Annotated[str, said("One series alone: its name, as `readings list` shows it.")] = ""
    format: Annotated[str, said("Its format, as `readings formats` names it.")] = "csv"
    mesh: Annotated[str, said(WHICH)] = ""


class ImportedRow(Result, frozen=True):
    """One series of a file."""

    series: Annotated[str, said("Its name.")]
    granularity: Annotated[str, said("Its step.")]
    new: Annotated[int, said("Records that were new.")]
    same: Annotated[int, said("Records that were held already.")]
    gaps: Annotated[int, said("Records of the file without a value.")]
    jumps: Annotated[int, said("Places of the file where records are absent.")]
    fictitious: Annotated[bool, said("Made up, of no real meter.")]


class LeftOutRow(Result, frozen=True):
    """What a file holds and the node does not keep."""

    what: Annotated[str, said("What it is.")]
    records: Annotated[int, said("How many records of it.")]


class Imported(Result, frozen=True):
    """What was imported."""

    new: Annotated[int, said("Records that were new.")]
    same: Annotated[int, said("Records that were held already, or stood in the file again.")]
    series: Annotated[tuple[ImportedRow, ...], said("Each series of the file.")]
    left_out: Annotated[tuple[LeftOutRow, ...], said("What the file holds and is not kept here.")] = ()


class FormatRow(Result, frozen=True):
    """One format."""

    name: Annotated[str, said("What --format takes.")]
    title: Annotated[str, said("What it is.")]
    reads: Annotated[bool, said("Whether files of it are imported.")]
    writes: Annotated[bool, said("Whether files of it are exported.")]
    found: Annotated[bool, said("Whether the content of a file shows it, so that it need not be named.")]
    limits: Annotated[dict[str, int], said("The most that one file may hold.")]
    codes: Annotated[tuple[str, ...], said("The codes of its errors.")]


class Formats(Result, frozen=True):
    """The formats of files of readings."""

    formats: Annotated[tuple[FormatRow, ...], said("Each format.")]


class SeriesLine(Result, frozen=True):
    """One series."""

    series: Annotated[str, said("Its name.")]
    point: Annotated[str, said("The point of measurement.")]
    kind: Annotated[str, said("The kind of data, as consents name it.")]
    granularity: Annotated[str, said("Its step.")]
    unit: Annotated[str, said("Its unit.")]
    count: Annotated[int, said("Records, gaps included.")]
    gaps: Annotated[int, said("Records without a value.")]
    jumps: Annotated[int, said("Places where records are absent.")]
    first: Annotated[datetime, said("When the first period starts.")]
    until: Annotated[datetime, said("When the last period ends.")]
    fictitious: Annotated[bool, said("Made up, of no real meter.")]


class SeriesLines(Result, frozen=True):
    """The series held here."""

    series: Annotated[tuple[SeriesLine, ...], said("Each series.")]


class ExportedReadings(Result, frozen=True):
    """Readings as a file."""

    records: Annotated[int, said("How many records.")]
    series: Annotated[int, said("Of how many series.")]
    label: Annotated[str, said("How near they are to a person: identified, since they name the points.")]
    file: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]


def _found(args: ImportArgs) -> list[Found]:
    """Read the file. Raises RemoteError with its line and field."""
    from node.adapters import registry
    from node.adapters.adapter import Source

    source = Source("file", args.point, args.direction, args.declaration or b"")
    return list(registry.read(args.file, source, args.format))


async def keep(node: Node, mesh_name: str, series: Sequence[Series]) -> Imported:
    """Keep series in the vault, all or none, and tell what was new.

    Raises LocalError for what contradicts it, QUOTA_FULL.
    """
    from node.adapters.adapter import Parsed

    return await _keep(node, mesh_name, [Parsed(one) for one in series])


async def _keep(node: Node, mesh_name: str, found: Sequence[Found]) -> Imported:
    from node.adapters.adapter import LeftOut, Parsed

    mesh = node.mesh(mesh_name)
    node.room.require()
    flows = mesh.flows
    left_out = tuple(LeftOutRow(one.what, one.records) for one in found if isinstance(one, LeftOut))

    def act(turn: Turn) -> Imported:
        rows = []
        for one in (each for each in found if isinstance(each, Parsed)):
            added = flows.series.add(turn.vault, one.series)
            key = one.series.key
            counts = (added.new, added.same + one.repeated, one.series.gap_count, len(one.series.jumps()))
            rows.append(ImportedRow(key.name, key.granularity, *counts, key.fictitious))
        return Imported(sum(row.new for row in rows), sum(row.same for row in rows), tuple(rows), left_out)

    return await mesh.engine.act(act)


@operation("readings", "import", permission="operate")
async def readings_import(node: Node, args: ImportArgs) -> Imported:
    """Import a file of readings: Enedis, GRDF, SenML and others (`readings formats`), or a zip of such files.

    The content shows the format. What is there already is skipped; a fault anywhere refuses the whole file, with
    its line and field. An empty value is a gap, and never a zero.
    """
    import trio

    node.mesh(args.mesh)  # before a long file is read in vain
    node.room.require()
    return await _keep(node, args.mesh, await trio.to_thread.run_sync(_found, args))


@local_operation("readings", "formats", permission="read")
def readings_formats(local: Local, args: Nothing) -> Formats:  # noqa: ARG001 - an operation without arguments
    """List the formats that files of readings may have, what each may hold, and the codes of its errors."""
    from node.adapters import registry

    return Formats(
        tuple(
            FormatRow(
                one.name,
                one.title,
                one.read is not None,
                one.write is not None,
                one.sniff is not None,
                dict(one.limits),
                one.codes,
            )
            for one in registry.adapters()
        )
    )


@operation("readings", "list", permission="read")
async def readings_list(node: Node, args: SelectArgs) -> SeriesLines:
    """List the series held here, by point."""

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> SeriesLines:
        held = flows.series.listing(turn.vault, args.point or None)
        return SeriesLines(tuple(_line(row, len(flows.series.load(turn.vault, row.key).jumps())) for row in held))

    return await mesh.engine.read(look)


def _line(row: SeriesRow, jumps: int) -> SeriesLine:
    from node.flows.door import kind_of

    key = row.key
    times = (moment(row.first), moment(row.stop))
    counts = (row.count, row.gaps, jumps)
    kind = "/".join(kind_of(key))
    return SeriesLine(key.name, key.point, kind, key.granularity, key.unit, *counts, *times, key.fictitious)


@operation("readings", "export", permission="read")
async def readings_export(node: Node, args: ReadingsExportArgs) -> ExportedReadings:
    """Export one's own readings in one of the formats of `readings formats`: CSV by default."""

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    if not args.point and not args.series:
        raise usage("Say which readings: --point, or --series.", "point")

    def look(turn: Turn) -> list[Series]:
        rows = flows.series.listing(turn.vault, args.point or None)
        return [flows.series.load(turn.vault, row.key) for row in rows if args.series in ("", row.key.name)]

    return written(await mesh.engine.read(look), args.format)


def written(series: Sequence[Series], form: str) -> ExportedReadings:
    """Return series as a file in a format by its name. Raises LocalError NOT_FOUND when there are none."""
    from node.adapters import registry
    from node.labels import Level

    registry.find(form)
    if not series:
        raise not_found(
            "There are no such readings here: `maille readings list` and `maille data receipts` show what is."
        )
    data = registry.write(series, form)
    return ExportedReadings(sum(map(len, series)), len({one.key for one in series}), Level.IDENTIFIED.value, data)
