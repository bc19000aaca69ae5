"""Operations of `maille sim` on one run: run a scenario, replay it, shrink it, look at networks and scenarios.

How it works
    Everything is done by simulations/api.py, in this process; this module gives it commands and the schemas of its
    results. Exit code 1: a run broke a check (it says its seed and commit), a replay differs, a gate was exceeded.
    Progress goes to standard error, and only to a terminal.

What it does not do
    Many runs are in sim_sweep. It needs no node and touches none. What is kept or drawn needs the research libraries:
    `pip install 'maille[sim]'`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from node.exits import OK, REFUSED, usage
from node.operation import Args, Local, Result, local_operation, said

Count = Annotated[int, Meta(ge=0)]
NAME = "A named scenario (`maille sim scenarios`), or a TOML file."
SET = "Set one field: network.loss=0.1. May be given again."
OUT = "The folder of all runs."


class SimRunArgs(Args, frozen=True):
    """What to run."""

    scenario: Annotated[str, said(NAME, positional=True)]
    seed: Annotated[int, said("The run's seed.")] = 1
    set: Annotated[tuple[str, ...], said(SET)] = ()
    out: Annotated[str | None, said(f"{OUT} Default: nothing is kept.", path=True)] = None
    events: Annotated[bool, said("Keep every message too (events.parquet).")] = False
    again: Annotated[bool, said("Run even if the folder holds this run already.")] = False


class ReplayArgs(Args, frozen=True):
    """Which run to replay."""

    run: Annotated[str, said("A run's folder.", positional=True, path=True)]
    html: Annotated[str | None, said("Write the diagram of its messages to this file.", path=True)] = None
    start: Annotated[float | None, said("Second at which the diagram begins. Default: the first publication.")] = None
    seconds: Annotated[float, said("How many seconds it shows.")] = 1.0


class ShrinkArgs(Args, frozen=True):
    """Which failing run to shrink."""

    scenario: Annotated[str, said(NAME, positional=True)]
    seed: Annotated[int, said("The seed with which it fails.")] = 1
    set: Annotated[tuple[str, ...], said(SET)] = ()
    runs: Annotated[Count, said("Runs at most.")] = 60
    out: Annotated[str | None, said("Write the smallest scenario to this file.", path=True)] = None


class TopologyArgs(Args, frozen=True):
    """Which network to look at."""

    scenario: Annotated[str, said(NAME, positional=True)]
    seed: Annotated[int, said("The seed that puts nodes at places.")] = 1
    set: Annotated[tuple[str, ...], said(SET)] = ()


class ScenariosArgs(Args, frozen=True):
    """Which scenario to show."""

    name: Annotated[str, said("Show all fields of this one. Default: list them all.", positional=True)] = ""


class Spread(msgspec.Struct, frozen=True):
    """Quantiles of something measured; null where nothing was."""

    p50: Annotated[float | None, said("The smallest that more than half do not exceed.")]
    p90: Annotated[float | None, said("The smallest that more than nine in ten do not exceed.")]
    p99: Annotated[float | None, said("The smallest that more than 99 in 100 do not exceed; of 100 or fewer, the max.")]
    max: Annotated[float | None, said("The greatest.")]
    count: Annotated[int, said("How many there are.")]


class Broken(msgspec.Struct, frozen=True):
    """A check that a run broke."""

    check: Annotated[str, said("Its name.")]
    at_s: Annotated[float, said("When it was noticed, seconds since the run began.")]
    node: Annotated[int, said("Where; -1: about all.")]
    told: Annotated[str, said("What was seen.")]


class RunDone(Result, frozen=True):
    """What a run came to."""

    scenario: Annotated[str, said("Its name.")]
    params: Annotated[str, said("Hash of its parameters.")]
    seed: Annotated[int, said("Its seed.")]
    commit: Annotated[str, said("The commit of the code; + means changed since.")]
    world: Annotated[str, said("maille (real nodes) or light.")]
    nodes: Annotated[int, said("How many nodes.")]
    signatures: Annotated[str, said("memoised, real or none.")]
    trace: Annotated[str, said("SHA-256 over everything that happened.")]
    publications: Annotated[int, said("Consents, withdrawals or payloads.")]
    reached: Annotated[float, said("Which part of honest nodes that are up holds them in the end.")]
    redundancy: Annotated[float | None, said("Copies of content beyond the first, per node that took it in.")]
    honest: Annotated[int, said("Nodes that no adversary leads and whose disks kept their word.")]
    arrival_s: Annotated[Spread, said("From a publication until a node held it, seconds.")]
    hops: Annotated[Spread, said("How often it was sent by then.")]
    revocation_s: Annotated[Spread, said("From a withdrawal until a node held it, seconds.")]
    refused_s: Annotated[Spread, said("From a withdrawal until the last pack that left under it, seconds.")]
    leaked_packs: Annotated[float, said("Packs that left after the withdrawal was made.")]
    converged_s: Annotated[
        float | None, said("From the end until all honest nodes agreed; null: never, or light nodes.")
    ]
    counts: Annotated[dict[str, int], said("What was counted: sent, bytes, lost and so on.")]
    violations: Annotated[tuple[Broken, ...], said("Each check that was broken.")]
    expected_but_held: Annotated[tuple[str, ...], said("Checks that the scenario is meant to break, and did not.")]
    ok: Annotated[bool, said("Whether all that must hold did.")]
    shrink: Annotated[str, said("The command that shrinks this run, where it broke a check.")] = ""


class ReplayDone(Result, frozen=True):
    """A run that was run again."""

    trace: Annotated[str, said("Its trace now.")]
    same: Annotated[bool, said("Whether it is that of the folder.")]
    messages: Annotated[int, said("Messages that were delivered.")]
    html: Annotated[str | None, said("Where the diagram is.")]


class ShrinkDone(Result, frozen=True):
    """The smallest scenario that still fails."""

    checks: Annotated[tuple[str, ...], said("What it breaks.")]
    seed: Annotated[int, said("With which seed.")]
    runs: Annotated[int, said("Runs that were made.")]
    toml: Annotated[str, said("The scenario.")]


class TopologyShown(Result, frozen=True):
    """A network and its overlay. Latencies are one-way between neighbours, before jitter.

    Where distance does not matter, each is the median of what messages will draw.
    """

    name: Annotated[str, said("The model, matrix or graph.")]
    places: Annotated[int, said("Places where nodes may be; 0: distance does not matter.")]
    links: Annotated[int, said("Links of the graph.")]
    km: Annotated[float, said("Kilometres of all links.")]
    nodes: Annotated[int, said("Nodes of the scenario.")]
    channels: Annotated[int, said("Pairs of neighbours.")]
    degree_min: Annotated[int, said("Fewest neighbours.")]
    degree_max: Annotated[int, said("Most neighbours.")]
    components: Annotated[int, said("Parts that are not connected to each other.")]
    behind_nat: Annotated[int, said("Nodes that nobody can dial.")]
    p50_ms: Annotated[float, said("Half of the latencies are not above, in ms.")]
    p95_ms: Annotated[float, said("95 in 100 are not above.")]
    max_ms: Annotated[float, said("The greatest.")]


class StudyRow(msgspec.Struct, frozen=True):
    """One named scenario."""

    name: Annotated[str, said("Its name.")]
    world: Annotated[str, said("maille (real nodes) or light.")]
    nodes: Annotated[int, said("How many nodes.")]
    about: Annotated[str, said("What it asks.")]


class StudyList(Result, frozen=True):
    """The named scenarios."""

    scenarios: Annotated[tuple[StudyRow, ...], said("Each of them.")]
    toml: Annotated[str, said("All fields of the one that was named.")] = ""


def _exit_of_run(done: RunDone) -> int:
    return OK if done.ok else REFUSED


def _converged(done: RunDone) -> str:
    if done.world == "light":
        return "not measured: light nodes hold no state to agree on"
    return "never" if done.converged_s is None else f"{done.converged_s}"


def _render_run(done: RunDone) -> str:
    def spread(name: str, one: Spread) -> list[str]:
        if not one.count:
            return []
        return [f"{name:<14} p50 {one.p50:g}  p90 {one.p90:g}  p99 {one.p99:g}  max {one.max:g}"]

    lines = [
        f"{done.scenario}: {done.nodes} nodes ({done.world}), seed {done.seed}, signatures {done.signatures}",
        f"{'reached':<14} {done.reached:.4%} of {done.publications} publications at {done.honest} honest nodes",
        *spread("arrival (s)", done.arrival_s),
        *spread("hops", done.hops),
        *spread("revocation (s)", done.revocation_s),
        *spread("last pack (s)", done.refused_s),
        f"{'redundancy':<14} {done.redundancy if done.redundancy is not None else '-'}",
        f"{'converged (s)':<14} {_converged(done)}",
        f"{'trace':<14} {done.trace}",
    ]
    if unmade := done.counts.get("not_published"):
        lines.insert(2, f"{'not published':<14} {unmade}: the scenario was over, or no node was up")
    lines += [f"BROKEN {one.check} at {one.at_s:g} s, node {one.node}: {one.told}" for one in done.violations]
    lines += [f"HELD {check}, which this scenario is meant to break" for check in done.expected_but_held]
    if not done.ok:
        lines.append(f"To repeat: seed {done.seed}, commit {done.commit or 'unknown'}, parameters {done.params}.")
        lines.append(f"To shrink: {done.shrink}")
    return "\n".join(lines)


def from_here() -> None:
    """Let a protocol or an adversary be a file of the current directory, here and in the processes of a sweep."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def bar(what: str, part: float) -> None:
    """Show progress on a terminal's standard error; at the end, take it away."""
    if sys.stderr.isatty():
        end = "" if part < 1.0 else "\r\033[K"
        print(f"\r\033[K{what} {part:.0%}{end}", end="", file=sys.stderr, flush=True)


@local_operation("sim", "run", permission="read", exit_of=_exit_of_run, render=_render_run)
def sim_run(local: Local, args: SimRunArgs) -> RunDone:
    """Run a scenario once: figures, and whether everything held that must.

    Real nodes in one process and in virtual time, or light ones with a protocol; equal seeds give equal traces.
    """
    from simulations import api
    from simulations.spec import RunName

    from_here()
    scenario = api.load(args.scenario, settings(args.set))
    out = None if args.out is None else Path(args.out)
    if out is not None and not args.again and api.kept(RunName(scenario, args.seed), out, events=args.events):
        local.say("This run is complete already and was read, not run; --again runs it anew.")
    summary = api.run(
        scenario,
        args.seed,
        out,
        events=args.events,
        again=args.again,
        progress=lambda part: bar(scenario.name, part),
    )
    if not summary["ok"]:
        fields = [word for one in args.set for word in ("--set", one)]
        summary["shrink"] = shlex.join(["maille", "sim", "shrink", args.scenario, "--seed", str(args.seed), *fields])
    return msgspec.convert(summary, RunDone)


@local_operation("sim", "replay", permission="read", exit_of=lambda done: OK if done.same else REFUSED)
def sim_replay(local: Local, args: ReplayArgs) -> ReplayDone:  # noqa: ARG001 (every operation has it)
    """Run a folder's run again: is its trace the same? With --html, draw its messages over time."""
    from simulations import api
    from simulations.files import write_whole

    from_here()
    found = api.replay(Path(args.run), start_s=args.start, seconds=args.seconds)
    if args.html is not None:
        write_whole(Path(args.html), found.html)
    return ReplayDone(found.trace, found.same, found.messages, args.html)


@local_operation("sim", "shrink", permission="read", render=lambda done: done.toml.removesuffix("\n"))
def sim_shrink(local: Local, args: ShrinkArgs) -> ShrinkDone:
    """Find the smallest scenario that still fails as this one does, with the same seed."""
    from simulations import api
    from simulations.files import write_whole

    from_here()
    scenario = api.load(args.scenario, settings(args.set))
    found = api.shrink(scenario, args.seed, runs_max=args.runs, told=local.say)
    if args.out is not None:
        write_whole(Path(args.out), found.toml())
    return ShrinkDone(found.checks, found.seed, found.runs, found.toml())


@local_operation("sim", "topology", permission="read")
def sim_topology(local: Local, args: TopologyArgs) -> TopologyShown:  # noqa: ARG001 (every operation has it)
    """Show what a scenario's network and overlay come to: places, latencies, neighbours."""
    from dataclasses import asdict

    from simulations import api

    return msgspec.convert(asdict(api.topology(api.load(args.scenario, settings(args.set)), args.seed)), TopologyShown)


@local_operation("sim", "scenarios", permission="read", render=lambda found: found.toml or _render_list(found))
def sim_scenarios(local: Local, args: ScenariosArgs) -> StudyList:  # noqa: ARG001 (every operation has it)
    """List the named scenarios, or show all fields of one."""
    from simulations import spec

    chosen = [args.name] if args.name else spec.names()
    found = [spec.load(name) for name in chosen]
    rows = tuple(StudyRow(one.name, one.world, one.nodes, one.about) for one in found)
    return StudyList(rows, spec.to_toml(found[0]).removesuffix("\n") if args.name else "")


def _render_list(found: StudyList) -> str:
    width = max((len(row.name) for row in found.scenarios), default=0)
    return "\n".join(f"{row.name:<{width}}  {row.nodes:>5} {row.world:<6}  {row.about}" for row in found.scenarios)


def pairs(given: Sequence[str], option: str = "set") -> list[tuple[str, str]]:
    """Return names and values of NAME=VALUE. Raises LocalError USAGE."""
    found = [tuple(one.split("=", 1)) for one in given]
    if any(len(pair) != 2 for pair in found):
        shown = "A field is set as network.loss=0.1." if option == "set" else "Values are network.loss=0,0.1,0.2."
        raise usage(shown, option)
    return [(pair[0], pair[1]) for pair in found]


def settings(given: Sequence[str]) -> dict[str, str]:
    """Return the fields that --set sets. Raises LocalError USAGE."""
    return dict(pairs(given))
