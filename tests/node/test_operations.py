"""The table: every operation is documented, typed, and fits the command line and the API."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from ledger.errors import LocalError
from ledger.schema import TIME_MAX
from node import exits
from node.cli.app import build
from node.naming import moment, seconds_of
from node.openapi import describe, schema_of
from node.operation import Operation, fields
from node.operations import ALONE, NOUNS, OPERATIONS, find

ROOT = Path(__file__).resolve().parents[2]
ARGUMENT_TYPES = (str, int, float, bool, bytes)

each = pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name.replace(" ", "-"))


def structs(kind: type[msgspec.Struct], seen: set[type]) -> Iterator[type[msgspec.Struct]]:
    """Yield a Struct and every Struct inside it."""
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    for row in fields(kind):
        for inner in inside(row.type):
            yield from structs(inner, seen)


def inside(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for argument in get_args(kind):
        yield from inside(argument)


def test_there_is_one_of_each() -> None:
    names = [row.name for row in OPERATIONS]
    assert len(set(names)) == len(names)
    assert {row.noun for row in OPERATIONS if row.noun} == set(NOUNS)
    assert [row.verb for row in OPERATIONS if row.noun is None] == list(ALONE)
    assert find("mesh", "create") is not None
    assert find("mesh", "vanish") is None


@each
def test_it_is_documented(row: Operation) -> None:
    assert re.match(r"[A-Z].{10,}[.]$", row.summary), row.summary
    for struct in (one for kind in (row.args, row.result) for one in structs(kind, set())):
        assert struct.__doc__
        for field in fields(struct):
            assert re.match(r".{5,}[.]", field.text), f"{struct.__name__}.{field.name}"


@each
def test_its_arguments_fit_a_command_line(row: Operation) -> None:
    for field in fields(row.args):
        kind = field.plain
        if get_origin(kind) is tuple:
            kind = get_args(kind)[0]
        plain = kind in ARGUMENT_TYPES or get_origin(kind) is not None or hasattr(kind, "fromisoformat")
        assert plain, field.name
        assert (kind is bytes) <= ("content" in field.marks), f"{field.name}: bytes are the content of a file"
        assert "secret" not in field.marks or "positional" not in field.marks
        assert not re.search("pass(word|phrase)|secret", field.name) or "secret" in field.marks, field.name


@each
def test_a_reading_one_asks_nothing(row: Operation) -> None:
    assert not (row.reads and row.confirm)


@each
def test_its_schemas_stand_alone(row: Operation) -> None:
    for kind in (row.args, row.result):
        schema = schema_of(kind)
        assert set(re.findall(r"#/\$defs/(\w+)", str(schema))) <= set(schema["$defs"])


def test_the_command_line_has_every_operation() -> None:
    app = build()
    for row in OPERATIONS:
        command = app[row.noun][row.verb] if row.noun else app[row.verb]
        assert command.default_command is not None


@pytest.mark.covers("R53")
def test_openapi_has_every_operation_of_the_node_and_no_loose_reference() -> None:
    document = describe(OPERATIONS, "1")
    assert set(document["paths"]) == {row.path for row in OPERATIONS if not row.local}
    for row in OPERATIONS:
        if not row.local:
            assert ("get" in document["paths"][row.path]) == row.reads
    referred = set(re.findall(r"#/components/schemas/([\w\[\]]+)", str(document)))
    assert referred <= set(document["components"]["schemas"])


def test_names_of_schemas_differ() -> None:
    by_name: dict[str, set[type]] = {}
    for row in OPERATIONS:
        for kind in (row.args, row.result):
            for struct in structs(kind, set()):
                by_name.setdefault(struct.__name__, set()).add(struct)
    assert {name for name, found in by_name.items() if len(found) > 1} == set()


def test_every_exit_has_a_status_and_every_code_is_raised_somewhere() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("ledger", "gossip", "storage", "node", "proofs")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "exits.py"
    )
    for code, number in exits._EXITS.items():
        assert number == exits.OK or number in exits.STATUS
        assert f'"{code}"' in source or code in {"USAGE", "NOT_FOUND"}, code


def test_nothing_heavy_is_imported_by_the_table() -> None:
    script = "import sys, node.cli.app, node.client; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"lmdb", "hypercorn", "starlette", "structlog", "numpy", "segno", "node.daemon", "node.engine"}
    assert not heavy & set(found)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90s", 90), ("30m", 1_800), ("24h", 86_400), ("7d", 604_800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert seconds_of(text, "ttl") == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "0s", "-1s", "1.5h", "1 h", "1w", "9999999999s", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(LocalError) as caught:
        seconds_of(text, "ttl")
    assert exits.exit_of(caught.value.code) == exits.USAGE


def test_every_time_that_an_entry_may_name_can_be_shown() -> None:
    assert moment(TIME_MAX).year == 9999  # the last that datetime has
    assert moment(TIME_MAX).timestamp() > moment(2**37).timestamp()
