"""Operations on one's own readings: import, list, export.

How it works
    Files are read whole and refused whole, with the line that is wrong: Enedis CSV exports, SenML in JSON or CBOR. A
    record that is held already is skipped; one that contradicts what is held refuses the file, with its date. Gaps
    are kept as gaps; nothing is filled in.

What it does not do
    What was received from others is not here: `data export` has it. Nothing leaves the mesh by these commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from ledger.errors import LocalError
from node.exits import usage
from node.naming import moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.readings import Series
    from node.vaults.series import SeriesRow

POINT = "A point of measurement, such as prm:12345678901234."


class ImportArgs(Args, frozen=True):
    """What to read."""

    file: Annotated[bytes, said("The file.", positional=True, content=True)]
    format: Annotated[Literal["auto", "enedis", "senml-json", "senml-cbor"], said("Its format.")] = "auto"
    mesh: Annotated[str, said(WHICH)] = ""


class SelectArgs(Args, frozen=True):
    """Which readings."""

    point: Annotated[str, said(POINT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ReadingsExportArgs(Args, frozen=True):
    """Which readings, and in which form."""

    point: Annotated[str, said(POINT)] = ""
    series: Annotated[str, said("One series alone: its name, as `readings list` shows it.")] = ""
    format: Annotated[Literal["csv", "senml"], said("CSV, or SenML in JSON.")] = "csv"
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


class Imported(Result, frozen=True):
    """What was imported."""

    new: Annotated[int, said("Records that were new.")]
    same: Annotated[int, said("Records that were held already.")]
    series: Annotated[tuple[ImportedRow, ...], said("Each series of the file.")]


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


def _parsed(args: ImportArgs) -> list[Series]:
    from node.adapters import enedis_csv, senml

    form = args.format
    if form == "auto":
        start = args.file[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
        form = "senml-json" if start[:1] == b"[" else "senml-cbor" if args.file[:1] >= b"\x80" else "enedis"
        if args.file.startswith(b"\xef\xbb\xbf") and form == "senml-cbor":
            form = "enedis"
    if form == "senml-json":
        return senml.decode_json(args.file)
    return senml.decode_cbor(args.file) if form == "senml-cbor" else enedis_csv.parse(args.file)


async def keep(node: Node, mesh_name: str, series: Sequence[Series]) -> Imported:
    """Keep series in the vault, all or none, and tell what was new. Raises LocalError for what contradicts it."""
    mesh = node.mesh(mesh_name)
    flows = mesh.flows

    def act(turn: Turn) -> Imported:
        rows = []
        for one in series:
            added = flows.series.add(turn.vault, one)
            key = one.key
            counts = (added.new, added.same, one.gap_count, len(one.jumps()))
            rows.append(ImportedRow(key.name, key.granularity, *counts, key.fictitious))
        return Imported(sum(row.new for row in rows), sum(row.same for row in rows), tuple(rows))

    return await mesh.engine.act(act)


@operation("readings", "import", permission="operate")
async def readings_import(node: Node, args: ImportArgs) -> Imported:
    """Import a file of readings: an Enedis CSV export (load curve or index), or SenML."""
    return await keep(node, args.mesh, _parsed(args))


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
    """Export one's own readings as CSV, or as SenML in JSON."""

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    if not args.point and not args.series:
        raise usage("Say which readings: --point, or --series.", "point")

    def look(turn: Turn) -> list[Series]:
        rows = flows.series.listing(turn.vault, args.point or None)
        return [flows.series.load(turn.vault, row.key) for row in rows if args.series in ("", row.key.name)]

    return written(await mesh.engine.read(look), args.format)


def written(series: Sequence[Series], form: str) -> ExportedReadings:
    """Return series as a file, in "csv" or "senml". Raises LocalError NOT_FOUND when there are none."""
    from node.adapters import plain_csv, senml
    from node.labels import Level

    if not series:
        raise LocalError("NOT_FOUND", "there are no such readings here")
    data = plain_csv.to_csv(series) if form == "csv" else senml.encode_json(series)
    return ExportedReadings(sum(map(len, series)), len({one.key for one in series}), Level.IDENTIFIED.value, data)
