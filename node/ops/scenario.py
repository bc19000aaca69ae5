"""Operations on scenarios: play the stories that come with maille, or one's own, and see what they bear out.

How it works
    A scenario is a TOML file (simulations/scenario.py says how to write one). `run` plays it on real nodes in this
    process and in virtual time, tells it step by step, and has an auditor verify the nodes' bundles. `matrix` says
    which requirements and systems of the founding documents are borne out by something that ran.

Exit codes
    0: all that was expected happened, and the auditor agrees; 1: not so; 2: the file is no scenario.

What it does not do
    It speaks to no running node and leaves nothing on disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from node.exits import OK, REFUSED
from node.operation import Args, Local, Nothing, Result, local_operation, said

ALL: Final = "all"
WHICH_ONE = "Its name, as `scenario list` shows it, or a TOML file of one's own."


class PlayArgs(Args, frozen=True):
    """Which scenario."""

    name: Annotated[str, said(f"{WHICH_ONE} all: each that comes with maille.", positional=True)] = ALL


class ScenarioArgs(Args, frozen=True):
    """Which scenario."""

    name: Annotated[str, said(WHICH_ONE, positional=True)]


class MatrixArgs(Args, frozen=True):
    """What counts as having run."""

    record: Annotated[
        str, said("A record of `pytest --cover=FILE`, tests and scenarios. Default: play all scenarios.", path=True)
    ] = ""


class ScenarioStep(Result, frozen=True):
    """One step of a play."""

    number: Annotated[int, said("Its number.")]
    act: Annotated[str, said("What kind of step.")]
    say: Annotated[str, said("What happened, in plain words.")]
    expected: Annotated[str, said("What must come of it.")]
    found: Annotated[str, said("What did.")]
    passed: Annotated[bool, said("Whether they agree.")]


class ScenarioProof(Result, frozen=True):
    """What the auditor says of one flow."""

    step: Annotated[int, said("The step of the flow.")]
    flow: Annotated[str, said("From whom to whom.")]
    verdict: Annotated[
        str, said("TOTAL-PASSED, TOTAL-FAILED, INDETERMINATE, or NOTHING-TO-SHOW where no bundle tells.")
    ]
    reason: Annotated[str, said("Stable code of the verifier's reason.")]
    words: Annotated[str, said("The reason in words.")]
    passed: Annotated[bool, said("Whether the bundles bear out what happened.")]


class ScenarioRole(Result, frozen=True):
    """What one party is."""

    party: Annotated[str, said("Its name in the story.")]
    roles: Annotated[tuple[str, ...], said("By the ledger at the end: member, voter, tenant, host, holder, recipient.")]


class ScenarioPlayed(Result, frozen=True):
    """One scenario, played."""

    name: Annotated[str, said("Its name.")]
    title: Annotated[str, said("Its title.")]
    passed: Annotated[bool, said("Whether all that was expected happened, and the auditor agrees.")]
    allowed: Annotated[int, said("Flows that were allowed, as expected.")]
    refused: Annotated[int, said("Flows that were refused, as expected.")]
    nodes: Annotated[int, said("Nodes that played.")]
    virtual_seconds: Annotated[int, said("How long it took in the story, in seconds.")]
    steps: Annotated[tuple[ScenarioStep, ...], said("Each step.")]
    proofs: Annotated[tuple[ScenarioProof, ...], said("What the auditor says of each flow.")]
    roles: Annotated[tuple[ScenarioRole, ...], said("Who has which role, out of the ledger.")] = ()


class ScenariosPlayed(Result, frozen=True):
    """Scenarios, played."""

    passed: Annotated[bool, said("Whether all passed.")]
    scenarios: Annotated[tuple[ScenarioPlayed, ...], said("Each scenario.")]


class ScenarioRow(Result, frozen=True):
    """One scenario."""

    name: Annotated[str, said("Its name.")]
    title: Annotated[str, said("Its title.")]
    about: Annotated[str, said("What it is about.")]
    parties: Annotated[tuple[str, ...], said("Who takes part, and as what.")]
    steps: Annotated[int, said("How many steps it has.")]
    covers: Annotated[tuple[str, ...], said("The requirements and systems that it bears out.")]


class ScenarioRows(Result, frozen=True):
    """Scenarios."""

    scenarios: Annotated[tuple[ScenarioRow, ...], said("Each scenario.")]


class ScenarioShown(Result, frozen=True):
    """One scenario, unplayed."""

    scenario: Annotated[ScenarioRow, said("The scenario.")]
    text: Annotated[str, said("Its file.")]


class DiagramArgs(Args, frozen=True):
    """Of which scenario."""

    name: Annotated[str, said(f"{WHICH_ONE} Without: the model of a consent.", positional=True)] = ""


class ScenarioDiagram(Result, frozen=True):
    """A diagram."""

    mermaid: Annotated[str, said("The diagram as Mermaid text.")]


class CoverRow(Result, frozen=True):
    """One requirement, or one system."""

    name: Annotated[str, said("Its number or name.")]
    title: Annotated[str, said("What it is about.")]
    by: Annotated[tuple[str, ...], said("The scenarios and tests that bear it out.")]


class ExcuseRow(Result, frozen=True):
    """A row that nothing can bear out."""

    name: Annotated[str, said("Its number or name.")]
    reason: Annotated[str, said("Why nothing covers it.")]


class CoverMatrix(Result, frozen=True):
    """What is borne out, and by what."""

    scenarios: Annotated[tuple[str, ...], said("The scenarios that ran and passed.")]
    requirements: Annotated[tuple[CoverRow, ...], said("Each requirement.")]
    systems: Annotated[tuple[CoverRow, ...], said("Each system.")]
    uncovered: Annotated[tuple[str, ...], said("Rows that nothing bears out.")]
    excused: Annotated[tuple[ExcuseRow, ...], said("Rows that are excused, and why.")]
    record: Annotated[str, said("Commit and time of the record that was read; empty where the scenarios were played.")]


def _told(played: ScenariosPlayed) -> str:
    lines: list[str] = []
    for one in played.scenarios:
        lines += [f"{one.title} ({one.name})", ""]
        for step in one.steps:
            lines.append(f"  {'ok    ' if step.passed else 'FAILED'} {step.number:>2}. {step.say}")
            if not step.passed:
                lines.append(f"             expected {step.expected}; found {step.found}")
            for each in (proof for proof in one.proofs if proof.step == step.number):
                lines.append(f"             auditor: {each.words} ({each.verdict} {each.reason})")
        lines += ["", "  roles, out of the ledger:", *(f"    {r.party}: {', '.join(r.roles)}" for r in one.roles)]
        verdict = "passed" if one.passed else "FAILED"
        lines += ["", f"  {verdict}: {one.allowed} flows allowed, {one.refused} refused, {one.nodes} nodes", ""]
    good = sum(one.passed for one in played.scenarios)
    return "\n".join([*lines, f"{good} of {len(played.scenarios)} scenarios passed."])


@local_operation(
    "scenario", "run", permission="read", exit_of=lambda played: OK if played.passed else REFUSED, render=_told
)
def scenario_run(local: Local, args: PlayArgs) -> ScenariosPlayed:
    """Play a scenario on real nodes in virtual time, and have an auditor verify its bundles. Exit code 1: it failed."""
    from simulations import scenario

    names = scenario.names() if args.name == ALL else [args.name]
    found = []
    for name in names:
        local.say(f"playing {name} …") if len(names) > 1 else None
        found.append(_play(name))
    return ScenariosPlayed(all(one.passed for one in found), tuple(found))


def _play(name: str) -> ScenarioPlayed:
    from simulations import scenario, scenario_play

    played = scenario_play.play(Path(name).stem, scenario.load(name))
    steps = tuple(
        ScenarioStep(one.number, one.act, one.say, one.expected, one.found, one.passed) for one in played.steps
    )
    proofs = tuple(
        ScenarioProof(one.step, one.flow, one.verdict, one.reason, one.words, one.passed) for one in played.proofs
    )
    counts = (played.allowed, played.refused, played.nodes, played.virtual_seconds)
    roles = tuple(ScenarioRole(one.party, one.roles) for one in played.roles)
    return ScenarioPlayed(played.name, played.title, played.passed, *counts, steps, proofs, roles)


@local_operation("scenario", "list", permission="read")
def scenario_list(local: Local, args: Nothing) -> ScenarioRows:  # noqa: ARG001 - an operation without arguments
    """List the scenarios that come with maille."""
    from simulations import scenario

    return ScenarioRows(tuple(_row(name) for name in scenario.names()))


def _row(name: str) -> ScenarioRow:
    from simulations import scenario

    found = scenario.load(name)
    parties = tuple(f"{party.name} ({party.kind}{f', at {party.at}' if party.at else ''})" for party in found.party)
    return ScenarioRow(Path(name).stem, found.title, found.about, parties, len(found.step), found.covers)


@local_operation("scenario", "show", permission="read", render=lambda shown: shown.text)
def scenario_show(local: Local, args: ScenarioArgs) -> ScenarioShown:  # noqa: ARG001 - it needs no surroundings
    """Show a scenario's file, unplayed."""
    from simulations import scenario

    row = _row(args.name)
    path = Path(args.name) if args.name.endswith(".toml") else scenario.PLACE / f"{args.name}.toml"
    return ScenarioShown(row, path.read_text(encoding="utf-8"))


@local_operation("scenario", "diagram", permission="read", render=lambda drawn: drawn.mermaid)
def scenario_diagram(local: Local, args: DiagramArgs) -> ScenarioDiagram:  # noqa: ARG001 - it needs no surroundings
    """Play a scenario and draw what happened as a sequence diagram; without a name, the model of a consent."""
    from simulations import scenario, scenario_drawing, scenario_play

    if not args.name:
        return ScenarioDiagram(scenario_drawing.model())
    played = scenario_play.play(Path(args.name).stem, scenario.load(args.name))
    return ScenarioDiagram(scenario_drawing.sequence(played))


@local_operation("scenario", "matrix", permission="read")
def scenario_matrix(local: Local, args: MatrixArgs) -> CoverMatrix:
    """Show which requirements and systems are borne out by something that ran, and which are not.

    Without a record every scenario is played first, and what tests bear out is not counted.
    """
    from simulations import scenario, scenario_cover

    table = scenario_cover.rows()
    if args.record:
        record = scenario_cover.read_record(Path(args.record))
        passed, told = dict(record.tests), f"{record.commit} {record.made}".strip()
    else:
        played = scenario_run.handler(local, PlayArgs())
        good = [one.name for one in played.scenarios if one.passed]
        passed, told = {f"scenario {name}": scenario.load(name).covers for name in good}, ""
    found = scenario_cover.matrix(table, passed)
    titles = {**table.requirements, **table.systems}

    def rows(by: dict[str, tuple[str, ...]]) -> tuple[CoverRow, ...]:
        return tuple(CoverRow(name, titles[name], who) for name, who in by.items())

    names = tuple(sorted(who.removeprefix("scenario ") for who in passed if who.startswith("scenario ")))
    excuses = tuple(ExcuseRow(name, reason) for name, reason in found.excused.items())
    return CoverMatrix(names, rows(dict(found.requirements)), rows(dict(found.systems)), found.uncovered, excuses, told)
