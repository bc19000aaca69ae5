"""No public reader of what others bring is missing from the table: each is reached by a seed of some parser.

How it works
    A reader is a public function or method of the layers that takes bytes or text and is named as one, or says that it
    raises RemoteError. Every parser reads its seeds under a profile of calls; a reader that was not called is in no
    parser, or in `NOT_OF_OTHERS` with a reason. Nothing is listed by hand but what is left out.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pytest

from ledger.errors import RemoteError
from tests.benchmarks.measure import forget_caches
from tests.fuzz.parsers import PARSERS
from tests.fuzz.seeds import seeds

ROOT: Final = Path(__file__).parents[2]
LAYERS: Final = ("ledger", "gossip", "proofs", "storage", "node", "simulations")
NAMES: Final = ("decode", "read", "parse", "open_", "unpack", "from_", "split_")
GIVEN: Final = {"bytes", "str", "str | bytes", "bytes | str"}
OWN_ROWS: Final = (
    "a row that this node wrote into its own store: `maille ledger verify` and the vault's checks cover it"
)
OPENED: Final = "it is handed what another parser of the table has read"
OURS: Final = "it is told by our own code or by the operator's command, and by no bytes of others"
NOT_OF_OTHERS: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            *("ledger.moves:Move.decode", "ledger.tables:read_positions", "ledger.tables:FactRow.decode"),
            *("ledger.ticks:Tick.decode", "ledger.witnessing:Newest.decode"),
            *("node.vaults.erasures:Erasure.decode", "node.vaults.probes:Probe.decode"),
            *("node.vaults.receipts:Receipt.decode", "node.vaults.receipts:Refusal.decode"),
            *("node.vaults.releases:Release.decode", "node.vaults.series:SeriesRow.decode"),
            *("node.vaults.tables:Handed.decode", "node.vaults.transfers:Incoming.decode"),
            "node.vaults.transfers:Outgoing.decode",
        ),
        OWN_ROWS,
    ),
    **dict.fromkeys(
        (
            *("storage.transactions:from_errno", "node.cli.terminal:read_content", "node.client.calls:readings"),
            *("node.mesh:open_mesh", "node.vaults.deliveries:DeliveryRows.readers", "node.verifying:unpack"),
        ),
        OURS,
    ),
    **dict.fromkeys(("node.flows.consenting:Consenting.open_request", "node.flows.letters:Letters.read"), OPENED),
}
"""Name -> why no parser of the table reaches it."""


def _readers(layer: str) -> Iterator[tuple[str, str, int]]:
    """Yield (name with its module, file, line) of every public reader of a layer."""
    for path in sorted((ROOT / layer).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name, found in _functions(ast.parse(path.read_text(encoding="utf-8")).body):
            given = [one.annotation for one in (*found.args.posonlyargs, *found.args.args, *found.args.kwonlyargs)]
            takes = any(one is not None and ast.unparse(one) in GIVEN for one in given)
            named = found.name.startswith(NAMES) or found.name == "open"
            if takes and named and not isinstance(found, ast.AsyncFunctionDef):
                yield f"{module}:{name}", str(path), found.lineno


def _functions(body: list[ast.stmt], outer: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _functions(node.body, f"{outer}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield f"{outer}{node.name}", node


@pytest.fixture(scope="module")
def called() -> set[tuple[str, str]]:
    """Return (file, qualified name) of every function that the parsers call on their seeds."""
    found: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            found.add(frame.f_code)

    forget_caches()  # what is remembered is not called
    for name, parser in PARSERS.items():
        good = seeds(name)
        sys.setprofile(note)
        try:
            for seed in good:
                with suppress(RemoteError):
                    parser(seed)
        finally:
            sys.setprofile(None)
    return {(code.co_filename, code.co_qualname) for code in found}


@pytest.mark.parametrize("layer", LAYERS)
def test_every_public_reader_is_reached(layer: str, called: set[tuple[str, str]]) -> None:
    missing = [
        name
        for name, file, _ in _readers(layer)
        if name not in NOT_OF_OTHERS and (file, name.partition(":")[2]) not in called
    ]
    assert not missing, f"in no parser of tests/fuzz (add a case, or a reason here): {', '.join(missing)}"


def test_what_is_left_out_is_there_and_is_not_reached(called: set[tuple[str, str]]) -> None:
    known = {name: file for layer in LAYERS for name, file, _ in _readers(layer)}
    assert set(NOT_OF_OTHERS) <= set(known), sorted(set(NOT_OF_OTHERS) - set(known))
    reached = [name for name in NOT_OF_OTHERS if (known[name], name.partition(":")[2]) in called]
    assert not reached, f"reached by a parser, so no longer to be left out: {', '.join(reached)}"
