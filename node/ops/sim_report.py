"""The operations `maille sim figure` and `maille sim report`: figures by name, and a page about runs.

How it works
    The figures are in simulations/figures. A figure is written as SVG, PDF and CSV. A report reads the folders that
    `maille sim run` and `sweep` left, draws what their metrics allow, and puts all of it on one HTML page.

What it does not do
    Neither needs a node or touches one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from ledger.errors import LocalError
from node.operation import Args, Local, Result, local_operation, said

LIBRARIES: Final = ("matplotlib", "polars", "numba")
Probability = Annotated[float, Meta(ge=0, lt=1)]


class FigureArgs(Args, frozen=True):
    """Which figure, and of what."""

    name: Annotated[str, said("Its name; without one, the figures there are.", positional=True)] = ""
    out: Annotated[str, said("The directory to write to.", path=True)] = "figures"
    nodes: Annotated[int | None, said("How many nodes; without it, what suits the figure.")] = None
    loss: Annotated[Probability, said("Part of the messages that real nodes lose.")] = 0.1
    partition: Annotated[tuple[int, ...], said("Seconds of a partition (withdrawal, leaked); repeat it for more.")] = ()
    max_staleness: Annotated[tuple[int, ...], said("Seconds of the gate's bound (likewise).")] = ()
    seed: Annotated[tuple[int, ...], said("A seed; those of withdrawals may be several.")] = ()
    workers: Annotated[Annotated[int, Meta(ge=0)], said("Processes side by side; 0: one for each core, at most 4.")] = 0


class FigureName(Result, frozen=True):
    """One figure that there is."""

    name: Annotated[str, said("Its name.")]
    about: Annotated[str, said("What it shows.")]


class FigureMade(Result, frozen=True):
    """What was drawn."""

    figures: Annotated[tuple[FigureName, ...], said("The figures there are, where none was asked for.")]
    files: Annotated[tuple[str, ...], said("The files written.")]
    rows: Annotated[int, said("Rows of the table it was drawn from.")]
    summary: Annotated[tuple[str, ...], said("The table in a few lines, where that says something.")]


class ReportArgs(Args, frozen=True):
    """Which runs."""

    runs: Annotated[str, said("The folder of runs: SCENARIO/PARAMETERS/SEED below it.", positional=True, path=True)]
    out: Annotated[str | None, said("The directory to write to. Default: report, in the folder.", path=True)] = None


class Reported(Result, frozen=True):
    """What was written."""

    page: Annotated[str, said("The HTML page.")]
    runs: Annotated[int, said("Runs that it is about.")]
    figures: Annotated[tuple[str, ...], said("The names of the figures.")]


def _drawn(made: FigureMade) -> str:
    if made.figures:
        return "\n".join(f"{one.name:13} {one.about}" for one in made.figures)
    return "\n".join([*made.summary, *(f"{file}" for file in made.files)])


@local_operation("sim", "figure", permission="read", render=_drawn)
def sim_figure(local: Local, args: FigureArgs) -> FigureMade:
    """Draw a named figure: run what it needs, write SVG, PDF and the table as CSV.

    The figures withdrawal and leaked ask real gates how long data can still flow after a withdrawal.
    """
    from simulations.extra import needs

    for library in LIBRARIES:
        needs(library)
    from simulations.figures.catalogue import FIGURES, Options, make
    from simulations.figures.summary import lines
    from simulations.validation.table import cores

    if not args.name:
        return FigureMade(tuple(FigureName(name, figure.about) for name, figure in FIGURES.items()), (), 0, ())
    default = Options()
    asked = Options(
        args.nodes,
        args.loss,
        args.partition or default.partitions,
        args.max_staleness or default.staleness,
        args.seed or default.seeds,
        args.workers or cores(),
    )
    local.say(f"{args.name}: running, some seconds to some minutes")
    with local.waiting(args.name):
        table, paths = make(args.name, Path(args.out), asked)
    return FigureMade((), tuple(map(str, paths)), table.height, tuple(lines(args.name, table)))


@local_operation("sim", "report", permission="read")
def sim_report(local: Local, args: ReportArgs) -> Reported:
    """Draw the runs below a folder, and put the figures on an HTML page."""
    from simulations.extra import needs

    for library in LIBRARIES[:2]:
        needs(library)
    from simulations.figures.report import report

    runs = Path(args.runs)
    if not runs.is_dir():
        raise LocalError("NOT_FOUND", "that folder of runs is not there", field="runs")
    made = report(runs, Path(args.out) if args.out else runs / "report")
    local.say(f"{made.runs} runs, {len(made.figures)} figures")
    return Reported(str(made.page), made.runs, made.figures)
