"""Rules removed one at a time, in this process: does any case notice?

How it works
    `without(function, change)` gives a function of the code under test another body for a with-block, made of its own
    source with one rule changed. Its code object is swapped, so whoever imported the function has the changed one.
    `reasons_removed` takes one reason of the gate out of a module: an `if` that ends in it never holds, and elsewhere
    it is None, which is what these functions say when nothing is wrong. `fails` runs the tests of a module that need
    no fixture, one case after the other, until one turns red.

What it does not do
    It changes no file. A rule that is spread over several places is removed from one alone, as a slip would do.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType
from typing import Any

from _pytest.fixtures import FixtureFunctionDefinition
from _pytest.mark import ParameterSet

from ledger.consent.reasons import Reason
from ledger.consent.scope import STANDS, Standing

TELLING = ("_refuse",)
"""Functions of the gate that put a refusal into words, and decide nothing."""
Change = Callable[[ast.FunctionDef], ast.FunctionDef]


@contextmanager
def without(function: Any, change: Change) -> Iterator[None]:
    """Let a function run with a changed body for a with-block. It must be a plain one, without a closure."""
    assert isinstance(function, FunctionType)
    assert not function.__closure__
    parsed = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (defined,) = parsed.body
    assert isinstance(defined, ast.FunctionDef)
    changed = change(defined)
    changed.decorator_list = []
    parsed.body = [changed]
    made: dict[str, Any] = {}
    exec(
        compile(ast.fix_missing_locations(parsed), f"<{function.__name__} without a rule>", "exec"),
        {**function.__globals__},
        made,
    )
    before = function.__code__
    function.__code__ = made[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = before


def replaced(before: str, after: str) -> Change:
    """Return the change that puts one expression, as `ast.unparse` prints it, in another's place, once."""

    def change(defined: ast.FunctionDef) -> ast.FunctionDef:
        text = ast.unparse(defined)
        wanted = ast.unparse(ast.parse(before))
        assert text.count(wanted) == 1, f"{wanted!r} stands {text.count(wanted)} times in {defined.name}"
        (found,) = ast.parse(text.replace(wanted, after)).body
        assert isinstance(found, ast.FunctionDef)
        return found

    return change


class _Forget(ast.NodeTransformer):
    """Takes one member of `Reason` out of a function. `total`: the function has no None to say that all is well."""

    def __init__(self, name: str, *, total: bool) -> None:
        self.name, self.total, self.found = name, total, 0

    def _is_it(self, node: ast.AST | None) -> bool:
        return isinstance(node, ast.Attribute) and ast.unparse(node) == f"Reason.{self.name}"

    def visit_If(self, node: ast.If) -> ast.AST:
        """Let an `if` that does nothing but return the reason never hold."""
        self.generic_visit(node) if not self.total else None
        last = node.body[-1]
        said = last.value if isinstance(last, ast.Return) else None
        first = said.elts[0] if isinstance(said, ast.Tuple) and said.elts else said
        if self._is_it(first) or (isinstance(first, ast.Constant) and first.value is None and self.found):
            self.found += 1
            node.test = ast.Constant(value=False)
            return node
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Say nothing where the reason would be said."""
        if not self._is_it(node):
            return self.generic_visit(node)
        self.found += 1
        return ast.Name("_ALLOWED", ast.Load()) if self.total else ast.Constant(value=None)


@contextmanager
def reason_removed(module: ModuleType, name: str, total: tuple[str, ...] = ()) -> Iterator[int]:
    """Take a reason out of a module's functions and tables for a with-block; yield in how many places it stood.

    `total`: the functions that always return a reason, `_ALLOWED` when nothing is wrong.
    """
    places = 0
    with ExitStack() as stack:
        for called, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and value.__module__ == module.__name__ and called not in TELLING:
                if f"Reason.{name}" not in inspect.getsource(value).replace(f"Reason.{name}_", ""):
                    continue
                forget = _Forget(name, total=value.__name__ in total)
                stack.enter_context(without(value, forget.visit))
                places += forget.found
            elif isinstance(value, dict):
                for key, said in list(value.items()):
                    if said is Reason[name]:
                        stack.callback(value.__setitem__, key, said)
                        value[key] = None
                        places += 1
            elif isinstance(value, Standing) and value.fault is Reason[name]:
                stack.callback(setattr, module, called, value)
                setattr(module, called, STANDS)
                places += 1
        yield places


def fails(*modules: ModuleType) -> str:
    """Return the first test of these modules that turns red, or "". Tests that need fixtures are left out."""
    for module in modules:
        for name, test in vars(module).items():
            if not name.startswith("test_") or not callable(test) or getattr(test, "is_hypothesis_test", False):
                continue
            for arguments in cases_of(test, module):
                try:
                    test(**arguments)
                except Exception:
                    return f"{module.__name__}.{name}"
    return ""


def cases_of(test: Any, module: ModuleType) -> Iterator[dict[str, Any]]:
    """Yield the arguments of each case of a test; none where it needs a fixture that is not its module's own."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    wanted = set(inspect.signature(test).parameters)
    fixtures = {
        name: found for name in wanted if isinstance(found := vars(module).get(name), FixtureFunctionDefinition)
    }
    wanted -= fixtures.keys()

    def made() -> dict[str, Any]:
        return {name: found._get_wrapped_function()() for name, found in fixtures.items()}

    if not marks:
        if not wanted:
            yield made()
        return
    names = marks[0].args[0]
    listed = [each.strip() for each in names.split(",")] if isinstance(names, str) else list(names)
    if len(marks) > 1 or set(listed) != wanted:
        return
    for case in marks[0].args[1]:
        values = case.values if isinstance(case, ParameterSet) else case if len(listed) > 1 else (case,)
        yield made() | dict(zip(listed, values, strict=True))
