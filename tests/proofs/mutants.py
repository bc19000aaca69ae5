"""Mutant verifiers: our own, each with one check that always says yes.

How it works
    `sites` walks the source of the verifier's modules and names every place where something is refused, failed,
    doubted or passed over. `mutant` loads the package a second time with one place changed: a refusal's condition is
    never met, or not by one of the alternatives in it; a failed row passes, a returned reason is None, a no is a yes.
    The modules whose values go in and out (policy, trust, bundle, reasons, report) stay the same ones.

What it does not do
    It mutates nothing in `ledger`, whose checks have their own tests, and nothing on disk.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from proofs.report import Report
from proofs.trust import Trust

FOLDER: Final = Path(__file__).resolve().parents[2] / "proofs"
MUTATED: Final = (
    *("reading", "evidence", "state", "epochs", "frontiers", "transfers", "conduct", "presentation"),
    *("resting", "within", "consents", "additions", "chains", "flows", "verify"),
)
"""The modules with checks."""
RELOADED: Final = (*MUTATED, "attested", "brackets")
"""Those that must be loaded again around a mutated one, in an order that imports allow."""
_REFUSALS: Final = ("_bad", "_ascending")
_ROWS: Final = ("failed", "erased", "skipped")

Verify = Callable[[bytes, Trust, int], Report]
Site = tuple[str, int, int, int]
"""Module, line, column of a check; which of the alternatives that it refuses, -1 for all."""


def _raises(body: list[ast.stmt]) -> bool:
    """Say whether a block ends in a refusal."""
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    return isinstance(last, ast.Expr) and _called(last.value) in _REFUSALS


def _called(node: ast.expr | None) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _stands_in_the_way(node: ast.AST) -> bool:
    """Say whether a call notes a row that does not pass."""
    if not isinstance(node, ast.Call) or _called(node) not in _ROWS:
        return False
    names = [ast.unparse(each) for each in (*node.args, *(word.value for word in node.keywords))]
    return any("Reason." in name or name in ("reason", "doubt") for name in names)


def is_site(node: ast.AST) -> bool:
    """Say whether a node is a check."""
    if isinstance(node, ast.If):
        return _raises(node.body) or isinstance(node.body[0], ast.Continue)
    if isinstance(node, ast.Expr):
        return _called(node.value) == "_ascending" or _stands_in_the_way(node.value)
    if not isinstance(node, ast.Return):
        return False
    return _is_no(node.value) or ("Reason." in ast.unparse(node) and isinstance(node.value, ast.Tuple))


def _is_no(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def sites() -> Iterator[tuple[Site, str]]:
    """Yield every check, with its first line of source."""
    for name in MUTATED:
        source = (FOLDER / f"{name}.py").read_text()
        for node in ast.walk(ast.parse(source)):
            if is_site(node):
                assert isinstance(node, ast.stmt)
                line = source.splitlines()[node.lineno - 1].strip()
                yield (name, node.lineno, node.col_offset, -1), line
                for part in range(len(_alternatives(node))):
                    yield (name, node.lineno, node.col_offset, part), f"{line} [{part + 1}]"


def _alternatives(node: ast.stmt) -> list[ast.expr]:
    """Return the conditions any of which a check refuses; none where there is only one."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.Or):
        return node.test.values
    return []


class _Change(ast.NodeTransformer):
    """Say yes at one place."""

    def __init__(self, site: Site) -> None:
        self.at, self.part = site[1:3], site[3]

    def visit(self, node: ast.AST) -> Any:
        """Change the node at the place; walk on elsewhere."""
        here = isinstance(node, ast.stmt) and (node.lineno, node.col_offset) == self.at and is_site(node)
        if not here:
            return self.generic_visit(node)
        match node:
            case ast.If(test=ast.BoolOp(values=values)) if self.part >= 0:
                values[self.part] = ast.copy_location(ast.Constant(value=False), node.test)
                return node
            case ast.If():
                node.test = ast.copy_location(ast.Constant(value=False), node.test)
                return node
            case ast.Return(value=ast.Constant()):
                return ast.copy_location(ast.Return(ast.Constant(value=True)), node)
            case ast.Return():
                return ast.copy_location(ast.parse("return None, '', 0").body[0], node)
            case _:
                return ast.copy_location(ast.Pass(), node)


def mutant(site: Site) -> Verify:
    """Return `verify` of a verifier in which one check always says yes."""
    kept = {name: sys.modules.pop(f"proofs.{name}") for name in RELOADED if f"proofs.{name}" in sys.modules}
    package = sys.modules["proofs"]
    try:
        _load(site)
        verify: Verify = importlib.import_module("proofs.verify").verify
    finally:
        for name in RELOADED:
            sys.modules.pop(f"proofs.{name}", None)
        for name, module in kept.items():
            sys.modules[f"proofs.{name}"] = module
            setattr(package, name, module)
    return verify


def _load(site: Site) -> None:
    """Put the mutated module in its place; the others import it as they are loaded anew."""
    name = f"proofs.{site[0]}"
    path = FOLDER / f"{site[0]}.py"
    tree = ast.fix_missing_locations(_Change(site).visit(ast.parse(path.read_text())))
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(tree, str(path), "exec"), module.__dict__)
    setattr(sys.modules["proofs"], site[0], module)
