"""The operation `maille sim validate`: the simulator proves itself against theory first.

How it works
    The experiments are in simulations/validation; this module gives them their command and the schema of the result.
    The exit code is 0 if all hold, else 1. With --out, validation.json and a figure of each experiment are written.

What it does not do
    It needs no node and touches none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from node.exits import OK, REFUSED
from node.operation import Args, Local, Result, local_operation, said

Verdict = Literal["pass", "fail"]


class ValidateArgs(Args, frozen=True):
    """Which experiments, and how long they may take."""

    quick: Annotated[bool, said("Smaller sizes and fewer runs: under 45 seconds.")] = False
    only: Annotated[tuple[str, ...], said("Only these, as V1 or V1,V2.")] = ()
    seed: Annotated[int, said("The seed of all runs.")] = 1
    workers: Annotated[Annotated[int, Meta(ge=0)], said("Processes side by side; 0: one for each core, at most 4.")] = 0
    out: Annotated[str | None, said("A directory for validation.json and a figure of each.", path=True)] = None


class NumberChecked(msgspec.Struct, frozen=True):
    """One number of an experiment."""

    name: Annotated[str, said("What it is.")]
    expected: Annotated[float, said("What theory or a published table says.")]
    measured: Annotated[float, said("What was measured.")]
    tolerance: Annotated[float, said("How far apart they may be.")]
    kind: Annotated[str, said("Within the tolerance, at least, or at most.")]
    verdict: Annotated[Verdict, said("Whether it holds: pass or fail.")]


class ExperimentRow(msgspec.Struct, frozen=True):
    """One experiment; its own numbers are those of the check that came nearest to failing."""

    id: Annotated[str, said("Its number, as V1.")]
    title: Annotated[str, said("What it is about.")]
    source: Annotated[str, said("Where the expected numbers come from.")]
    check: Annotated[str, said("The check that came nearest to failing.")]
    expected: Annotated[float, said("What theory or a published table says.")]
    measured: Annotated[float, said("What was measured.")]
    tolerance: Annotated[float, said("How far apart they may be.")]
    kind: Annotated[str, said("Within the tolerance, at least, or at most.")]
    verdict: Annotated[Verdict, said("Whether all its checks hold: pass or fail.")]
    seconds: Annotated[float, said("How long it took.")]
    checks: Annotated[tuple[NumberChecked, ...], said("All its numbers.")]


class Validated(Result, frozen=True):
    """The table of experiments."""

    experiments: Annotated[tuple[ExperimentRow, ...], said("Each experiment, in order.")]
    holds: Annotated[bool, said("Whether all hold.")]
    seed: Annotated[int, said("The seed of all runs.")]
    quick: Annotated[bool, said("Whether sizes were smaller.")]


def _exit(validated: Validated) -> int:
    return OK if validated.holds else REFUSED


def _table(validated: Validated) -> str:
    lines = [f"{'':4} {'verdict':7}  {'expected':>12} {'measured':>12} {'tolerance':>10}  check nearest to failing"]
    for row in validated.experiments:
        numbers = f"{row.expected:12.5g} {row.measured:12.5g} {row.tolerance:10.3g}"
        lines.append(f"{row.id:4} {row.verdict:7}  {numbers}  {row.title}: {row.check} ({row.kind})")
        lines += [
            f"     {one.verdict:7}  {one.expected:12.5g} {one.measured:12.5g} {one.tolerance:10.3g}  {one.name}"
            for one in row.checks
            if one.verdict == "fail"
        ]
    held = sum(row.verdict == "pass" for row in validated.experiments)
    return "\n".join([*lines, f"{held} of {len(validated.experiments)} experiments hold."])


@local_operation("sim", "validate", permission="read", exit_of=_exit, render=_table)
def sim_validate(local: Local, args: ValidateArgs) -> Validated:
    """Hold the simulator against theory and published tables: expected, measured, verdict.

    The kernels must give what is proved or printed; so must the real nodes where the question is theirs.
    """
    from simulations.extra import needs

    for library in ("numba", "rustworkx"):
        needs(library)
    from simulations.validation.table import cores, validate

    def told(row: dict[str, Any]) -> None:
        local.say(f"{row['id']:4} {row['verdict']} ({row['seconds']:.1f} s)")

    names = [name for each in args.only for name in each.split(",") if name]
    rows = validate(names, quick=args.quick, seed=args.seed, workers=args.workers or cores(), told=told)
    validated = Validated(
        tuple(msgspec.convert(row, ExperimentRow) for row in rows),
        all(row["verdict"] == "pass" for row in rows),
        args.seed,
        args.quick,
    )
    if args.out is not None:
        from simulations.figures.validation import draw
        from simulations.files import write_whole

        folder = Path(args.out)
        draw(rows, folder)
        write_whole(folder / "validation.json", msgspec.json.format(msgspec.json.encode(validated), indent=2))
        local.say(f"validation.json and {len(rows)} figures are in {args.out}")
    return validated
