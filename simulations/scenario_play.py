"""A scenario played: its steps on real nodes, what came of each, and what the auditor says of its flows.

How it works
    `play` makes a stage (simulations/scenario_stage.py) in a directory of its own, runs the steps in order, lets the
    nodes come to one ledger after each, and holds what happened against what the scenario expects. After each
    flow the nodes make bundles and the auditor verifies them (simulations/scenario_auditor.py), in the same run. A seed
    is fixed, so a play repeats itself. The first step that fails ends it.

What it does not do
    It measures nothing. It changes no rule of a node: only clocks, streams and randomness are the simulation's.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, assert_never

import msgspec
import trio
import trio.testing

from ledger.errors import LocalError, MailleError
from ledger.keys import public_from_did_key, thumbprint
from simulations.daemons import deterministic, quiet
from simulations.randomness import Seed
from simulations.scenario import (
    AnyStep,
    Consent,
    Do,
    Expel,
    Flow,
    Heal,
    Join,
    Partition,
    Scenario,
    Start,
    Stop,
    Wait,
    Withdraw,
)
from simulations.scenario_acts import Acts, Outcome
from simulations.scenario_stage import MESH, Stage

SEED: Final = 1
STEP_SECONDS_MAX: Final = 3_600
"""Virtual seconds that a step may take."""

MEMORY: Final = Path("/dev/shm")
"""Where Linux keeps files in memory: the stores of a play need to outlive nothing, and sync some thousand times."""


class StepTold(msgspec.Struct, frozen=True):
    """One step, and what came of it. `from_`, `to`, `label`: the arrow that a diagram draws of it."""

    number: int
    act: str
    say: str
    expected: str
    found: str
    passed: bool
    from_: str = ""
    to: str = ""
    label: str = ""


class ProofTold(msgspec.Struct, frozen=True):
    """What the auditor says of one flow."""

    step: int
    flow: str
    verdict: str
    reason: str
    words: str
    passed: bool


class RoleTold(msgspec.Struct, frozen=True):
    """What a party is by the ledger of the play's end: member, voter, tenant, host, holder, recipient, linked."""

    party: str
    roles: tuple[str, ...]


class Played(msgspec.Struct, frozen=True):
    """One scenario, played."""

    name: str
    title: str
    passed: bool
    steps: tuple[StepTold, ...]
    proofs: tuple[ProofTold, ...]
    allowed: int
    refused: int
    nodes: int
    virtual_seconds: int
    roles: tuple[RoleTold, ...] = ()


def play(name: str, scenario: Scenario) -> Played:
    """Play a scenario and return what came of it. Raises LocalError SCENARIO_FAILED where the stage cannot be set."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    with _place() as place, deterministic(SEED), quiet():
        stage = Stage(scenario, place, Seed(SEED, name), clock)
        try:
            return trio.run(functools.partial(_run, name, scenario, stage), clock=clock)
        except* MailleError as group:
            raise _first(group) from None


@contextmanager
def _place() -> Iterator[Path]:
    memory = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="maille-scenario-", dir=memory) as place:
        yield Path(place)


def _first(group: BaseExceptionGroup[MailleError]) -> MailleError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found if isinstance(found, MailleError) else LocalError("SCENARIO_FAILED", str(found))


async def _run(name: str, scenario: Scenario, stage: Stage) -> Played:
    told: list[StepTold] = []
    async with stage.running():
        await stage.found()
        acts = Acts(stage)
        for number, step in enumerate(scenario.step, 1):
            told.append(await _step(acts, number, step))
            if not told[-1].passed:
                break
        virtual = int(stage.now_ms() / 1_000) - acts.names.began
        nodes, roles = sum(party.has_node for party in scenario.party), await _roles(acts)
    proofs = tuple(
        ProofTold(number, words, said.verdict, said.reason, said.words, said.clear)
        for number, (words, said) in acts.verified.items()
    )
    flows = [one for one, step in zip(told, scenario.step, strict=False) if isinstance(step, Flow)]
    allowed = sum(one.passed and one.expected.startswith("allowed") for one in flows)
    refused = sum(one.passed and one.expected.startswith("refused") for one in flows)
    passed = all(one.passed for one in told) and all(one.passed for one in proofs) and len(told) == len(scenario.step)
    return Played(name, scenario.title, passed, tuple(told), proofs, allowed, refused, nodes, virtual, roles)


async def _step(acts: Acts, number: int, step: AnyStep) -> StepTold:
    acts.number = number
    with trio.move_on_after(STEP_SECONDS_MAX) as scope:
        try:
            outcome = await _act(acts, step)
            await acts.stage.settle()
        except MailleError as error:
            outcome = Outcome(_words(step), f"{error.code}: {error.message}", "", False)
    if scope.cancelled_caught:
        outcome = Outcome("an end", "none within an hour", "", False)
    act = type(step).__name__.lower()
    say = step.say or outcome.say
    return StepTold(number, act, say, outcome.expected, outcome.found, outcome.passed, *outcome.arrow)


def _words(step: AnyStep) -> str:
    return step.say or type(step).__name__.lower()


async def _act(acts: Acts, step: AnyStep) -> Outcome:
    match step:
        case Consent():
            return await acts.consent(step)
        case Flow():
            return await acts.flow(step)
        case Withdraw():
            return await acts.withdraw(step)
        case Do():
            return await acts.do(step)
        case Join():
            return await acts.join(step)
        case Expel():
            return await acts.expel(step)
        case Wait() | Partition() | Heal() | Stop() | Start():
            return await acts.weather(step)
        case _:
            assert_never(step)


async def _roles(acts: Acts) -> tuple[RoleTold, ...]:
    """Return who has which role, as the ledger of the first running member has it (R156)."""
    stage = acts.stage
    node = next((stage.nodes[name] for name in stage.nodes if stage.member_of(name)), None)
    if node is None:
        return ()
    mesh = node.mesh(MESH)
    replica = mesh.core.replica
    members, found = replica.members, defaultdict[str, set[str]](set)
    called = {thumbprint(public_from_did_key(did)): name for name, did in stage.dids.items()}
    for kid, member in members.members.items():
        found[called.get(kid, member.name)].update([member.state, *(["voter"] if member.voter else [])])
    for kid, tenancy in members.tenants.items():
        found[called.get(kid, kid.hex()[:12])].add("tenant")
        found[called.get(tenancy.host[0], "")].add("host")
    for (one, other), state in members.links.items():
        for kid, _ in (one, other) if state == "up" else ():
            found[called.get(kid, "")].add("linked")
    ids = [bytes.fromhex(one.id) for one in acts.given]
    for entry in await mesh.engine.read(lambda turn: [replica.entry(turn.rows, ident) for ident in ids]):
        if entry is not None:
            found[called.get(entry.payload["holder"][0], "")].add("holder")
            found[called.get(entry.payload["recipient"][0], "a class")].add("recipient")
    found.pop("", None)
    return tuple(RoleTold(name, tuple(sorted(roles))) for name, roles in sorted(found.items()))
