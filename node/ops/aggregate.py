"""Operations on aggregates: publish a table over several people, list what was published, export it, check it.

How it works
    Groups come from a file (`group,point,holder`, one a line), or the points named, or all points held make one. Whose
    a point is stands in the file, or in the register of points; people who share a point count as one. The table is
    built and judged in a thread, on a snapshot; it is kept, and so published, only if nothing else was meanwhile.
    A release that keeps nothing back and one that keeps all back are both answers.

What it does not do
    Nothing leaves by these commands: an export is a file on this machine. `aggregate send` and `aggregate request`
    hand published tables to members (aggregate_channel).
"""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

import trio
from msgspec import Meta

from ledger.errors import LocalError
from node.exits import OK, REFUSED, usage
from node.naming import moment, unix_of
from node.operation import Args, Result, operation, said
from node.ops.aggregate_channel import aggregate_received, aggregate_request, aggregate_send, aggregate_tables
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ledger.consent.aggregate import Verdict
    from node.aggregates.table import Built, Request
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows
    from node.readings import Series
    from node.vaults.releases import Release, Source
    from node.vaults.series import SeriesRow

__all__ = ("aggregate_received", "aggregate_request", "aggregate_send", "aggregate_tables")
GROUPS_BYTES_MAX: Final = 4 << 20
NAME_LETTERS_MAX: Final = 100
_GROUP: Final = re.compile(r"[\w][\w .()/-]{0,63}")
Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class ReleaseArgs(Args, frozen=True):
    """Which table, and under which thresholds."""

    since: Annotated[datetime, said("Readings from this moment on.")]
    until: Annotated[datetime, said("Readings until this moment.")]
    groups: Annotated[bytes | None, said("A file of groups: group,point,holder a line.", content=True)] = None
    point: Annotated[tuple[str, ...], said("A point of the one group that there is, instead of a file.")] = ()
    kind: Annotated[Literal["load_curve", "daily"], said("Which readings.")] = "load_curve"
    energy: Annotated[Literal["electricity", "gas", "water"], said("The energy.")] = "electricity"
    direction: Annotated[Literal["consumption", "injection"], said("The direction.")] = "consumption"
    readings: Annotated[str, said("The step of the readings, where several are held: PT30M.")] = ""
    granularity: Annotated[str, said("The step of the table: PT60M, P1D, P1M; empty for the whole window.")] = ""
    no_margins: Annotated[bool, said("Without totals by step, by group, and over all.")] = False
    profile: Annotated[str, said("The profile of thresholds.")] = "strictest"
    min_holders: Annotated[Count, said("At least so many people, where that is stricter.")] = 0
    min_points: Annotated[Count, said("At least so many points, where that is stricter.")] = 0
    each_its_own: Annotated[bool, said("You know that each point without a holder is a person's of her own.")] = False
    name: Annotated[str, said("A name for the table: an area, a campaign.")] = ""
    dry_run: Annotated[bool, said("Judge it, and keep and publish nothing.")] = False
    mesh: Annotated[str, said(WHICH)] = ""


class ReleasesArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class ReleaseWhichArgs(Args, frozen=True):
    """Which release."""

    release: Annotated[str, said("Its id, or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class ReleaseExportArgs(ReleaseWhichArgs, frozen=True):
    """Which release, and in which form."""

    format: Annotated[Literal["csv", "json"], said("The format.")] = "csv"


class ReleaseLine(Result, frozen=True):
    """What was found for one line of the table. For the holder of the data: it is not for publishing."""

    group: Annotated[str, said("The group; empty for all.")]
    start: Annotated[datetime, said("Where its step begins.")]
    stop: Annotated[datetime, said("Where it ends.")]
    code: Annotated[str, said("RELEASED, or a stable code that says why not.")]
    message: Annotated[str, said("The same in a sentence.")]
    missing: Annotated[int, said("How many people or points it lacks; 0 where that is not the reason.")]
    value: Annotated[str, said("The figure; empty where it is kept back, and after a dry run.")]


class RiskRow(Result, frozen=True):
    """One line of the report."""

    test: Annotated[str, said("singling out, linkability, inference; or not tested.")]
    question: Annotated[str, said("What was asked.")]
    found: Annotated[str, said("What was found.")]


class TableReleased(Result, frozen=True):
    """A table that was judged, and published unless it was a dry run."""

    release: Annotated[str, said("Its id; empty after a dry run.")]
    label: Annotated[str, said("What it is called.")]
    profile: Annotated[str, said("The profile of thresholds.")]
    released: Annotated[int, said("How many lines have a figure.")]
    kept_back: Annotated[int, said("How many have none.")]
    lines: Annotated[tuple[ReleaseLine, ...], said("Each line.")]
    report: Annotated[tuple[RiskRow, ...], said("What it could tell of a person: results, and no claim.")]


class ReleaseRow(Result, frozen=True):
    """One release."""

    release: Annotated[str, said("Its id.")]
    name: Annotated[str, said("Its name.")]
    at: Annotated[datetime, said("When it was published.")]
    readings: Annotated[str, said("Of which readings.")]
    since: Annotated[datetime, said("Where its window begins.")]
    until: Annotated[datetime, said("Where it ends.")]
    step: Annotated[str, said("The step of its lines.")]
    profile: Annotated[str, said("Under which thresholds.")]
    released: Annotated[int, said("Lines with a figure.")]
    kept_back: Annotated[int, said("Lines without.")]


class ReleaseList(Result, frozen=True):
    """What was published."""

    releases: Annotated[tuple[ReleaseRow, ...], said("Each release, the oldest first.")]


class ReleaseFile(Result, frozen=True):
    """A release as a file."""

    label: Annotated[str, said("What it is called; never anonymous.")]
    meaning: Annotated[str, said("What the label means.")]
    file: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]


class ReleaseChecked(Result, frozen=True):
    """The report on a release, as of when it was published."""

    release: Annotated[str, said("Its id.")]
    report: Annotated[tuple[RiskRow, ...], said("Results; nothing is claimed.")]


def _exit(done: TableReleased) -> int:
    return OK if done.released else REFUSED


@operation("aggregate", "release", permission="operate", exit_of=_exit)
async def aggregate_release(node: Node, args: ReleaseArgs) -> TableReleased:
    """Publish a table of sums over several people, after the thresholds and all that was published before.

    What would tell of too few people, by itself or together with other figures, is kept back. Exit code 1: nothing
    could be published.
    """
    from ledger.consent.thresholds import find_profile
    from node.aggregates.release import publish
    from node.aggregates.table import build, concerned

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    profile = find_profile(args.profile).at_least(args.min_holders, args.min_points)
    ident, now = mesh.core.random_bytes(16), node.now
    request, history, series = await mesh.engine.read(lambda turn: _asked(flows, turn, args))

    def judge() -> tuple[Release, list[Verdict], Built]:
        built = build(request, concerned(request, history), series)
        release, verdicts = publish(request, built, profile, history, ident=ident, name=args.name, at=now)
        return release, verdicts, built

    release, verdicts, _ = await trio.to_thread.run_sync(judge)

    def keep(turn: Turn) -> None:
        if flows.releases.count(turn.vault) != len(history):
            raise LocalError("TEMPORARY", "another release was published meanwhile; try again")
        flows.releases.add(turn.vault, release)

    if not args.dry_run and any(verdict.released for verdict in verdicts):
        await mesh.engine.act(keep)
        return _told(release, verdicts, release.id.hex())
    return _told(release, verdicts, "")  # not kept, so no figure is told: it would go round what was published


def _told(release: Release, verdicts: Sequence[Verdict], ident: str) -> TableReleased:
    from ledger.consent.aggregate import SENTENCES
    from node.labels import Level

    lines = tuple(
        ReleaseLine(
            figure.group,
            moment(figure.window[0]),
            moment(figure.window[1]),
            verdict.check.value,
            SENTENCES[verdict.check],
            verdict.missing,
            figure.value if ident else "",
        )
        for figure, verdict in zip(release.figures, verdicts, strict=True)
    )
    out = sum(verdict.released for verdict in verdicts)
    report = tuple(RiskRow(*line) for line in release.report)
    return TableReleased(ident, Level.AGGREGATED.value, release.profile, out, len(lines) - out, lines, report)


def _asked(flows: Flows, turn: Turn, args: ReleaseArgs) -> tuple[Request, list[Release], dict[str, list[Series]]]:
    """Return the table that is asked for, all that was published, and the readings it takes to judge it."""
    from node.aggregates.holders import persons
    from node.aggregates.table import Request, concerned

    groups, named = _groups(args.groups) if args.groups is not None else ({}, {})
    history = list(flows.releases.listing(turn.vault))
    window = unix_of(args.since), unix_of(args.until)
    if window[0] >= window[1]:
        raise usage("The window ends before it begins.", "until")
    if len(args.name) > NAME_LETTERS_MAX or not args.name.isprintable():
        raise usage(f"A name is one line of at most {NAME_LETTERS_MAX} letters.", "name")
    points = frozenset().union(*groups.values()) if groups else frozenset(args.point)
    source = _source(flows, turn, args, points)
    held = _held(flows, turn, source)
    if not points:
        points = frozenset(held)
    if not groups:
        groups = {args.name if _GROUP.fullmatch(args.name) else "all": points}
    holders = persons(flows, turn, points, named, history, window, each_its_own=args.each_its_own)
    request = Request(groups, holders, source, args.granularity, window, not args.no_margins)
    request.check()
    near = concerned(request, history)
    since = min([window[0], *(one.window[0] for one in near)])
    until = max([window[1], *(one.window[1] for one in near)])
    wanted = points.union(*(one.points for one in near))
    series = {
        point: [piece.window(since, until) for piece in flows.series.pieces(turn.vault, held[point].key)]
        for point in sorted(wanted & held.keys())
    }
    return request, history, series


def _groups(data: bytes) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    """Read a file of groups: name -> points, and point -> holder. Raises LocalError BAD_GROUPS with the line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LocalError("BAD_GROUPS", "the file of groups is not UTF-8", field="groups") from None
    if len(data) > GROUPS_BYTES_MAX:
        raise LocalError("BAD_GROUPS", f"a file of groups has at most {GROUPS_BYTES_MAX} bytes", field="groups")
    groups: dict[str, set[str]] = {}
    holders: dict[str, str] = {}
    seen: set[str] = set()
    for number, row in enumerate(csv.reader(io.StringIO(text)), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and cells[:2] == ["group", "point"]):
            continue
        if len(cells) not in (2, 3) or not _GROUP.fullmatch(cells[0]) or ":" not in cells[1] or cells[1] in seen:
            told = "a line is group,point,holder: a plain name, a point that stands once, and whose it is"
            raise LocalError("BAD_GROUPS", told, field=f"line {number}")
        seen.add(cells[1])
        groups.setdefault(cells[0], set()).add(cells[1])
        if len(cells) == 3 and cells[2]:
            holders[cells[1]] = cells[2]
    if not groups:
        raise LocalError("BAD_GROUPS", "the file of groups names no point", field="groups")
    return {name: frozenset(points) for name, points in groups.items()}, holders


def _source(flows: Flows, turn: Turn, args: ReleaseArgs, points: frozenset[str]) -> Source:
    """Return which readings are summed: those held of the points, which must be of one step, unit and kind."""
    from node.vaults.releases import Source

    found = {
        Source(key.energy, key.direction, key.kind, key.granularity, key.unit, key.fictitious)
        for key in (row.key for row in flows.series.listing(turn.vault))
        if (key.energy, key.direction, key.kind, key.stage) == (args.energy, args.direction, args.kind, "raw")
        and args.readings in ("", key.granularity)
        and (not points or key.point in points)
    }
    if not found:
        raise LocalError("NOT_FOUND", "no such readings of these points are held here", field="kind")
    if len(found) > 1:
        kinds = ", ".join(sorted(f"{one.granularity} in {one.unit}{' (fictitious)' * one.fictitious}" for one in found))
        raise usage(
            f"Readings of several kinds are held: {kinds}. Sum one kind: --readings, or other points.", "readings"
        )
    return found.pop()


def _held(flows: Flows, turn: Turn, source: Source) -> Mapping[str, SeriesRow]:
    from node.vaults.releases import Source as Kind

    return {
        row.key.point: row
        for row in flows.series.listing(turn.vault)
        if row.key.stage == "raw"
        and source
        == Kind(row.key.energy, row.key.direction, row.key.kind, row.key.granularity, row.key.unit, row.key.fictitious)
    }


@operation("aggregate", "list", permission="read")
async def aggregate_list(node: Node, args: ReleasesArgs) -> ReleaseList:
    """List the tables that were published. What is published next is held against all of them."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    return await mesh.engine.read(
        lambda turn: ReleaseList(tuple(_row(one) for one in flows.releases.listing(turn.vault)))
    )


def _row(one: Release) -> ReleaseRow:
    source = one.source
    words = "/".join((source.energy, source.direction, source.kind, source.granularity))
    out = sum(figure.released for figure in one.figures)
    times = (moment(one.window[0]), moment(one.window[1]))
    counts = (out, len(one.figures) - out)
    return ReleaseRow(one.id.hex(), one.name, moment(one.at), words, *times, one.step, one.profile, *counts)


@operation("aggregate", "export", permission="read")
async def aggregate_export(node: Node, args: ReleaseExportArgs) -> ReleaseFile:
    """Export a table that was published, as CSV or JSON, with its label, the thresholds and their sources."""
    from node.aggregates.release import to_csv, to_json
    from node.labels import MEANINGS, Level

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    release = await mesh.engine.read(lambda turn: flows.releases.find(turn.vault, args.release))
    data = to_csv(release) if args.format == "csv" else to_json(release)
    return ReleaseFile(Level.AGGREGATED.value, MEANINGS[Level.AGGREGATED], data)


@operation("aggregate", "check", permission="read")
async def aggregate_check(node: Node, args: ReleaseWhichArgs) -> ReleaseChecked:
    """Show what a table could tell of a person: singling out, linkability, inference. Results, and no claim."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    release = await mesh.engine.read(lambda turn: flows.releases.find(turn.vault, args.release))
    return ReleaseChecked(release.id.hex(), tuple(RiskRow(*line) for line in release.report))
