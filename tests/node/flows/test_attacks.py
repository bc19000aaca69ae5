"""Members that misbehave: data without consent, false words, and paths around the gate."""

from __future__ import annotations

import ast
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.schema import DAY
from node.adapters import household
from node.flows import wire
from node.flows.contents import step_of
from node.readings import Series
from node.vaults.receipts import HOLDER, Refusal
from tests.node.flows.probes import signed_pack
from tests.node.flows.world import LONG, NOW, SHORT, World, terms


@pytest.mark.covers("R98")
def test_what_a_holder_sends_without_consent_is_refused() -> None:
    """The holder misbehaves: it sends packs past its own gate, under a consent for something else."""
    world = World()
    other = household.load_curve(2, SHORT.starts[0], 10)
    daily = household.daily_totals(1, SHORT.starts[0], 10)
    window = (SHORT.starts[0], SHORT.starts[100])
    grant, _ = world.grant(terms(SHORT, data_period=(window,)))
    fine = replace(SHORT, key=replace(SHORT.key, granularity="PT10M"))
    later = SHORT.window(SHORT.starts[99], SHORT.stop)
    refusals: list[Refusal] = []
    for number, series, reason in [
        (1, other, "OTHER_POINT"),
        (2, daily, "OTHER_KIND"),
        (3, fine, "OTHER_GRANULARITY"),
        (4, later, "OTHER_PERIOD"),
    ]:
        transfer = bytes([number]) * 16
        world.holder.say(world.recipient, signed_pack(world.holder, world.recipient, transfer, grant.id, series))
        world.pump()
        assert world.recipient.packs(transfer) == []
        refusals = world.recipient.refusals()
        assert (refusals[0].code, refusals[0].here, refusals[0].outgoing) == (reason, True, False)
    assert len(refusals) == 4


@pytest.mark.parametrize("kind", ["load_curve", "daily", "max_power"])
@pytest.mark.parametrize("pushed", [True, False])
def test_half_hours_under_a_coarser_name_are_half_hours(kind: str, *, pushed: bool) -> None:
    """The label of a pack lies, at the holder by a wrong import (not `pushed`), or past the holder's own gate."""
    world = World()
    key = replace(SHORT.key, kind=kind, granularity="P1D", unit={"daily": "Wh", "max_power": "VA"}.get(kind, "W"))
    instants = array("i", [0]) * len(SHORT) if kind == "max_power" else SHORT.durations
    named = replace(SHORT, key=key, durations=instants)
    assert named.fault() is None
    grant, _ = world.grant(terms(named))
    if pushed:
        transfer = bytes(16)
        world.holder.say(world.recipient, signed_pack(world.holder, world.recipient, transfer, grant.id, named))
    else:
        world.import_series(named)
        transfer, _ = world.send(grant=grant.id)
    world.pump()
    assert world.recipient.packs(transfer) == []
    told = (world.recipient if pushed else world.holder).refusals()[0]
    assert (told.code, told.here, told.outgoing) == ("OTHER_GRANULARITY", True, not pushed)


@pytest.mark.parametrize(
    ("durations", "granularity"),
    [
        ([86_400, 82_800, 90_000], "P1D"),  # days on which the clocks change
        ([3_600, 1_800], "PT30M"),  # a step that changes: by its key as fine as the finest
        ([5 * DAY, 31 * DAY], "P1M"),  # a contract began within the month
    ],
)
def test_what_is_named_as_it_is_stays_so(durations: list[int], granularity: str) -> None:
    starts = [SHORT.starts[0] + sum(durations[:number]) for number in range(len(durations))]
    columns = array("q", starts), array("i", durations), array("q", [1] * len(starts)), bytes(len(starts))
    assert step_of(Series(replace(SHORT.key, granularity=granularity), *columns)) == granularity


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": bytes(32)},
        {"number": 1},
        {"grant": bytes(32)},
        {"code": "WITHDRAWN"},
        {"recipient": (bytes(32), 1)},
        {"at": NOW - 10_000},
        {"at": NOW + 10_000},
    ],
    ids=str,
)
def test_a_pack_that_is_not_signed_for_what_it_is_is_not_taken_in(changes: dict[str, Any]) -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    transfer = b"t" * 16
    world.holder.say(world.recipient, signed_pack(world.holder, world.recipient, transfer, grant.id, SHORT, **changes))
    world.pump()
    assert world.recipient.packs(transfer) == []
    assert [one.code for one in world.recipient.refusals()] == ["UNSIGNED"]


def test_a_third_member_can_neither_send_nor_fetch_under_a_consent_of_others() -> None:
    world = World(3)
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    third = world.sides[2]
    ask = wire.Ask(b"x" * 16, world.wanted(grant=grant.id))
    third.say(world.holder, ask)
    third.say(world.recipient, signed_pack(third, world.recipient, b"y" * 16, grant.id, SHORT))
    world.pump()
    refusals = world.holder.refusals()
    assert [refusal.code for refusal in refusals] == ["OTHER_RECIPIENT"]
    assert world.recipient.received(b"y" * 16) is None


def test_a_false_acknowledgement_ends_the_transfer() -> None:
    world = World()
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    transfer, _ = world.send(grant=grant.id)
    lie = wire.Got(transfer, 3, bytes(32), final=False)
    world.recipient.say(world.holder, lie)
    way = (world.recipient.device.kid, world.holder.device.kid)
    world.step(way, len(world.queues[way]) - 1)
    receipt = world.holder.account(HOLDER, transfer)
    assert receipt is not None
    assert (receipt.reason, receipt.tally.packs) == ("BAD_ACK", 0)


ROOT = Path(__file__).resolve().parents[3]
FLOWS = {path.name: ast.parse(path.read_text()) for path in sorted((ROOT / "node" / "flows").glob("*.py"))}
NODE = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in sorted((ROOT / "node").rglob("*.py"))
}


def calls(tree: ast.AST) -> list[str]:
    """Return the last name of everything that is called in a tree, in order of appearance."""
    found = sorted((n for n in ast.walk(tree) if isinstance(n, ast.Call)), key=lambda n: (n.lineno, n.col_offset))
    return [n.func.attr if isinstance(n.func, ast.Attribute) else getattr(n.func, "id", "") for n in found]


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """Return the functions of a module by name."""
    return {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


def users(trees: dict[str, ast.Module], name: str) -> set[str]:
    """Return the modules in which something of this name is called."""
    return {path for path, tree in trees.items() if name in calls(tree)}


@pytest.mark.covers("R98")
def test_the_gate_is_asked_in_one_place() -> None:
    asking = {
        path
        for path, tree in NODE.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "ledger.consent.gate"
        and any(name.name == "permit" for name in node.names)
    }
    assert asking == {"node/flows/door.py"}
    assert "node/flows/door.py" in users(NODE, "permit")


def test_readings_leave_by_one_function_and_only_after_the_gate() -> None:
    assert users(NODE, "Chunk") == {"node/flows/answers.py"}
    for name, function in functions(FLOWS["answers.py"]).items():
        assert ("Chunk" in calls(function)) == (name == "sign_served"), name
    assert users(NODE, "sign_served") == {"node/flows/sending.py"}
    for name, function in functions(FLOWS["sending.py"]).items():
        assert ("sign_served" in calls(function)) == (name == "_emit"), name
    emit = functions(FLOWS["sending.py"])["_emit"]
    guarded = next(n for n in ast.walk(emit) if isinstance(n, ast.If) and "sign_served" in calls(n))
    assert ast.unparse(guarded.test) == "decision.allowed"
    decided = next(n for n in ast.walk(emit) if isinstance(n, ast.Assign) and "decide" in calls(n))
    assert ast.unparse(decided.targets[0]) == "decision"
    assert decided.lineno < guarded.lineno


def test_readings_enter_by_one_function_and_only_after_the_gate() -> None:
    receiving = functions(FLOWS["receiving.py"])
    assert {name for name, function in receiving.items() if "put_pack" in calls(function)} == {"_keep"}
    assert {name for name, function in receiving.items() if "_keep" in calls(function)} == {"_open"}
    guarded = next(n for n in ast.walk(receiving["_open"]) if isinstance(n, ast.If) and "_keep" in calls(n.body[0]))
    assert ast.unparse(guarded.test) == "decision.allowed"
    assert "decide" in calls(receiving["_decide"])


def test_nothing_else_of_the_node_reads_readings_to_send_them() -> None:
    packers = {path for path in users(NODE, "encode_cbor") if not path.startswith("node/adapters/")}
    assert packers == {"node/flows/packing.py"}
    assert users(NODE, "packs") & users(NODE, "put_pack") <= {"node/flows/sending.py", "node/flows/receiving.py"}
    readers = users(NODE, "piece") | users(NODE, "pieces") | users(NODE, "load")
    of_series = {path for path in readers if "node.vaults.series" in (ROOT / path).read_text()}
    assert of_series <= {
        "node/flows/packing.py",
        "node/flows/family.py",
        "node/flows/computing.py",  # to compute here
        "node/ops/readings.py",
        "node/ops/aggregate.py",
    }
    assert "node/flows/computing.py" not in users(NODE, "send")
    senders = {path for path in users(NODE, "send") if path.startswith("node/ops/")}
    assert senders == set()  # an operation hands a file to whoever asks on this machine, never to a peer
