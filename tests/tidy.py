"""The checks behind `test_tidy`: rules of style and structure that a machine can hold.

Each check takes the path of a file (relative to the project, with `/`) and its text or syntax tree, and
returns one sentence for each fault; no fault, an empty list. They read text only: nothing of what they check
is run.
What is not here: what ruff and mypy hold already, and anything that needs judgement.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

CORES = ("ledger", "proofs", "gossip")
"""Sans-IO: no clock, no randomness, no files, no sockets, no threads."""

MAY_IMPORT: dict[str, set[str]] = {
    "ledger": set(),
    "proofs": {"ledger"},
    "gossip": {"ledger"},
    "storage": {"ledger"},
    "node": {"ledger", "proofs", "gossip", "storage"},
    "simulations": {"ledger", "proofs", "gossip", "storage", "node"},
}
"""The layers: each folder imports only from folders to its left."""

SIMULATIONS_DOOR = re.compile(r"node/ops/(sim|scenario)(_\w+)?\.py")
"""The modules of `node` that may import `simulations`, inside functions only: the commands `sim` and `scenario`."""

TRIO_IN = {"node", "simulations", "tests"}

CORE_LIBRARIES = {
    *("__future__", "abc", "array", "base64", "binascii", "bisect", "calendar", "collections", "contextlib"),
    *("copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "graphlib"),
    *("hashlib", "heapq", "hmac", "html", "io", "ipaddress", "itertools", "json", "math", "numbers"),
    *("operator", "random", "re", "statistics", "string", "struct", "textwrap", "types", "typing"),
    *("unicodedata", "urllib.parse", "weakref", "xml.etree", "zlib"),
    *("automerge", "cbor2", "nacl"),
}
"""All that a core may import besides our own: pure libraries. Adding one is a decision; IO is never added."""

CORE_BANNED_NAMES = {
    *("SystemRandom", "urandom", "randombytes", "SealedBox", "crypto_box_seal", "crypto_sign_keypair"),
    *("crypto_box_keypair", "crypto_kx_keypair"),
}
"""Names out of allowed libraries which draw their own randomness."""

CORE_BANNED_CALLS = {
    *("open", "input", "print", "eval", "exec", "breakpoint", "__import__", "Random"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("SigningKey.generate", "PrivateKey.generate"),
}
"""Calls that read the world or write to it. `Random` is banned without a seed only."""

BANNED_MODULE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
LONG_MODULE_LINES = 40
"""A module of the packages beyond this needs a docstring of at least three lines."""

DOCSTRING_WORDS_MIN = 4

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
"""Either kind of function."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module: its full name, its line, whether inside a function, the names taken from it."""

    module: str
    line: int
    lazy: bool
    names: tuple[str, ...]


def imports(path: str, tree: ast.Module) -> Iterator[Import]:
    """Yield every import of a module, relative ones and constant `import_module("…")` calls resolved."""
    inside = {id(child) for node in ast.walk(tree) if isinstance(node, Function) for child in ast.walk(node)}
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        lazy = id(node) in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy, ())
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield Import(module, node.lineno, lazy, tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Call) and dotted(node.func).endswith(("import_module", "__import__")):
            match node.args:
                case [ast.Constant(value=str(name)), *_]:
                    yield Import(name, node.lineno, lazy, ())
                case _:
                    pass


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a chain of names, and "" for any other expression."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            before = dotted(value)
            return f"{before}.{attr}" if before else ""
        case _:
            return ""


def layer_faults(path: str, tree: ast.Module) -> list[str]:
    """Find imports against the layers, and trio outside its folders."""
    layer = path.split("/", maxsplit=1)[0]
    faults = []
    for found in imports(path, tree):
        top = found.module.split(".", maxsplit=1)[0]
        if top in {"trio", "trio_websocket"} and layer not in TRIO_IN:
            faults.append(f"{path}:{found.line}: imports trio, which only {sorted(TRIO_IN)} may")
        if layer in {"tests", top} or top not in {*MAY_IMPORT, "tests"}:
            continue
        through_door = top == "simulations" and SIMULATIONS_DOOR.fullmatch(path) and found.lazy
        if top not in MAY_IMPORT[layer] and not through_door:
            faults.append(f"{path}:{found.line}: {layer} may not import {found.module}")
    return faults


def purity_faults(path: str, tree: ast.Module) -> list[str]:
    """Find what ties a core to the world: IO, clocks, threads, ambient randomness."""
    if path.split("/", maxsplit=1)[0] not in CORES:
        return []
    faults = []
    for found in imports(path, tree):
        top = found.module.split(".", maxsplit=1)[0]
        pure = top in MAY_IMPORT or any(
            found.module == library or found.module.startswith(library + ".") for library in CORE_LIBRARIES
        )
        if not pure or found.module == "nacl.utils":
            faults.append(f"{path}:{found.line}: a core may not import {found.module}")
        for name in found.names:
            if name in CORE_BANNED_NAMES or (found.module == "random" and name != "Random"):
                faults.append(f"{path}:{found.line}: a core may not use {found.module}.{name}")
            if found.module == "nacl" and name == "utils":
                faults.append(f"{path}:{found.line}: a core may not import nacl.utils")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            ambient = name.startswith("random.") and name.split(".")[1] != "Random"
            if ambient or node.attr in CORE_BANNED_NAMES or name == "nacl.utils":
                faults.append(f"{path}:{node.lineno}: a core may not use {name or node.attr}")
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            banned = {name, ".".join(name.split(".")[-2:])} & CORE_BANNED_CALLS
            if name in {"Random", "random.Random"}:
                banned = set() if node.args or node.keywords else {name}
            if banned:
                faults.append(f"{path}:{node.lineno}: a core may not call {name}()")
    return faults


def docstring_faults(path: str, text: str, tree: ast.Module) -> list[str]:
    """Find modules without a telling docstring, and public names without any."""
    faults = []
    module_doc = ast.get_docstring(tree) or ""
    if len(re.findall(r"\w+", module_doc)) < DOCSTRING_WORDS_MIN:
        faults.append(f"{path}: the module's docstring is missing or says nothing")
    if not path.startswith("tests/"):
        if len(text.splitlines()) > LONG_MODULE_LINES and 0 < len(module_doc.splitlines()) < 3:
            faults.append(f"{path}: a long module says what it is, how it works, what it does not do")
        faults += [f"{path}:{node.lineno}: {name} has no docstring" for name, node in _undocumented(tree, "")]
    return faults


def _undocumented(tree: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
            continue
        marks = {dotted(mark).rsplit(".", maxsplit=1)[-1] for mark in node.decorator_list}
        if not ast.get_docstring(node) and not marks & {"overload", "setter", "deleter"}:
            yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node, f"{prefix}{node.name}.")


def module_lines(text: str, tree: ast.Module) -> int:
    """Count the lines of a module without its docstring."""
    return len(text.splitlines()) - _docstring_lines(tree)


def function_lines(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the name of every function and its lines, without decorators and docstring."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)


def _docstring_lines(node: ast.Module | Function) -> int:
    if ast.get_docstring(node, clean=False) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


def size_faults(path: str, text: str, tree: ast.Module, allowed: dict[str, tuple[int, str]]) -> list[str]:
    """Find modules and functions that are too long.

    `allowed` maps "path" or "path::function" to the lines it stays below and the reason.
    """
    sizes = [(path, module_lines(text, tree), MODULE_LINES_MAX)]
    sizes += [(f"{path}::{name}", lines, FUNCTION_LINES_MAX) for name, lines in function_lines(tree)]
    faults = []
    for name, lines, most in sizes:
        limit = allowed[name][0] if name in allowed else most
        if lines >= limit:
            faults.append(f"{name}: {lines} lines; keep below {limit}")
    return faults


def leftover_faults(path: str, text: str) -> list[str]:
    """Find notes to oneself, and code that was commented out."""
    faults = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, comment = token.start[0], token.string.lstrip("#").strip()
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", comment):
            faults.append(f"{path}:{line}: a leftover marker: {comment}")
        if _is_statement(comment):
            faults.append(f"{path}:{line}: commented-out code: {comment}")
    return faults


def _is_statement(comment: str) -> bool:
    """Tell whether a comment is a statement. Expressions and assignments pass: they explain formulas."""
    try:
        tree = ast.parse(comment + (" pass" if comment.endswith(":") else ""))
    except (SyntaxError, ValueError):
        return False
    kinds = (
        ast.Import,
        ast.ImportFrom,
        ast.Raise,
        ast.If,
        ast.For,
        ast.While,
        ast.With,
        ast.ClassDef,
        Function,
    )
    calls_return = (isinstance(node, ast.Return) and isinstance(node.value, ast.Call) for node in tree.body)
    return any(isinstance(node, kinds) for node in tree.body) or any(calls_return)


def name_faults(path: str) -> list[str]:
    """Find modules and folders whose name says nothing."""
    parts = path.removesuffix(".py").split("/")
    return [f"{path}: {part!r} names nothing; say what is inside" for part in parts if part in BANNED_MODULE_NAMES]


def machine_path_faults(path: str, text: str) -> list[str]:
    """Find paths of somebody's machine."""
    pattern = r"(?<![\w.~}$])/(?:work|root)(?![\w-])|(?<![\w.])/home/\w"
    return [
        f"{path}:{number}: the path of a machine: {line.strip()[:80]}"
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(pattern, line)
    ]


def toothless_faults(path: str, tree: ast.Module) -> list[str]:
    """Find tests that cannot fail.

    A test can fail by an assert, by `raises`, `warns` or `fail` of pytest, by calling a function named
    `check_…` or `assert_…`, or by calling a function of its own module that can fail in one of these ways.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    able: set[str] = set()
    while True:
        more = {function.name for function in functions if any(_can_fail(node, able) for node in ast.walk(function))}
        if more == able:
            break
        able = more
    return [
        f"{path}:{function.lineno}: {function.name} asserts nothing"
        for function in functions
        if function.name.startswith("test_") and function.name not in able
    ]


def _can_fail(node: ast.AST, able: set[str]) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    # The callee may hang from any expression, as in `world().check_all()`.
    called = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
    return called in {"raises", "fail", "warns"} | able or called.startswith(("check_", "assert_"))
