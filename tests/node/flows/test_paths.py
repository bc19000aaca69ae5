"""No path to data avoids the gate: which modules may read readings and packs at all, and which may send anything.

How it works
    Over the source of node/: calls that return readings or packs from the vault (`READS`) stand in the functions of
    `READERS` and nowhere else, each with its reason; modules that send messages to peers stand in `SENDERS`. What is in
    both must decide first. Rows of the vault are touched by node/vaults alone.

What it does not do
    It follows no values: tests/node/flows/test_forged.py attacks live nodes.
"""

from __future__ import annotations

import ast

from tests.node.flows.test_attacks import NODE, functions

READS = {
    "piece": {"_series", "series"},
    "pieces": {"_series", "series", "self"},
    "load": {"_series", "series"},
    "pack": {"_rows", "outgoing", "_outgoing"},
    "packs": {"_rows", "incoming", "_incoming"},
}
"""Method -> the names that rows of readings or packs go by."""

READERS = {
    ("node/flows/sending.py", "_pump"): "packs on their way, each of which passes _emit again",
    ("node/flows/packing.py", "packs"): "cuts packs for sending._pump, which hands each to _emit",
    ("node/flows/passing.py", "_newest_first"): "plans what came under a parent, for packing.plan",
    ("node/flows/passing.py", "piece"): "cuts what came under a parent for packing.packs, which hands each to _emit",
    ("node/flows/computing.py", "granted"): "to compute here; results pass _emit as flows of their own",
    ("node/flows/rights.py", "_meet"): "whether anything received is left, before erasure is called done",
    ("node/flows/hosting.py", "used"): "counts the bytes that are kept for a tenant, and sends nothing",
    ("node/audit/gathering.py", "_account"): "whether anything is held, for the node's own audit",
    ("node/ops/data_compare.py", "*"): "to the operator of this node, of what it holds itself",
    ("node/ops/data_export.py", "*"): "to the operator of this node, of what it holds itself",
    ("node/ops/data.py", "*"): "to the operator of this node, of what it holds itself",
    ("node/ops/readings.py", "*"): "to the operator of this node, of what it holds itself",
    ("node/vaults/series.py", "*"): "the rows themselves",
    (
        "node/ops/aggregate.py",
        "*",
    ): "sums, which are held to thresholds; a file for the operator, of which nothing is sent",
    ("node/ops/compute.py", "*"): "computes here; results pass _emit as flows of their own",
    ("node/ops/pseudonym.py", "*"): "to the operator of this node, of what it holds itself",
}
"""Who may read readings or packs: (module, function or "*") -> why."""


TOUCH = {
    "node/audit/gathering.py": "pages through the accounts of transfers, which hold no readings",
    "node/console/holdings.py": "shows the operator a page of the same accounts, and sends nothing",
}
"""Who touches rows of the vault outside node/vaults -> why."""


def _reads(tree: ast.AST) -> bool:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in READS:
            receiver = call.func.value
            name = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
            if name in READS[call.func.attr]:
                return True
    return False


def _sends(tree: ast.AST) -> bool:
    """Whether something is sent to a peer: `turn.send`, or a message into an outbox."""
    named = (call.func for call in ast.walk(tree) if isinstance(call, ast.Call))
    return any(isinstance(f, ast.Attribute) and f.attr == "send" and ast.unparse(f.value) == "turn" for f in named)


def _readers() -> set[tuple[str, str]]:
    found = set()
    for path, tree in NODE.items():
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)  # each of them: several may have one name
        inside = {node.name for node in ast.walk(tree) if isinstance(node, kinds) and _reads(node)}
        found |= {(path, "*")} if (path, "*") in READERS and inside else {(path, name) for name in inside}
    return found


def test_readings_and_packs_are_read_where_it_is_said_and_nowhere_else() -> None:
    beyond = _readers() - READERS.keys()
    assert not beyond, f"these read readings or packs; ask the gate there, or say here why they need not: {beyond}"
    assert _reads(ast.parse("self._series.piece(vault, b'', 0, 1)"))
    assert not _reads(ast.parse("U32.pack(1)"))


def test_who_reads_readings_and_sends_messages_asks_the_gate_first() -> None:
    both = {path for path, name in _readers() if _sends(NODE[path])}
    assert both <= {"node/flows/sending.py", "node/flows/rights.py"}
    rights = functions(NODE["node/flows/rights.py"])
    assert not any(_reads(function) and _sends(function) for function in rights.values())


def test_rows_of_the_vault_are_touched_by_its_own_modules_alone() -> None:
    """Who could read a row by its table's name would need neither `SeriesRows` nor `IncomingRows`."""
    touched = set()
    for path, tree in NODE.items():
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                receiver = ast.unparse(call.func.value)
                verbs = ("get", "scan", "scan_back", "put", "delete", "erase")
                if call.func.attr in verbs and (receiver == "vault" or receiver.endswith(".vault")):
                    touched.add(path)
    assert {path for path in touched if not path.startswith("node/vaults/")} <= TOUCH.keys()
    assert "node/vaults/series.py" in touched


def test_the_layers_below_know_no_vault_and_no_readings() -> None:
    """gossip, ledger, proofs and storage could not send readings if they wanted: they cannot name them."""
    below = [path for path in NODE if path in ("node/engine.py", "node/net.py", "node/core.py")]
    for path in below:
        names = {node.module or "" for node in ast.walk(NODE[path]) if isinstance(node, ast.ImportFrom)}
        assert not any(
            name.startswith(("node.vaults.series", "node.vaults.transfers", "node.readings")) for name in names
        )
