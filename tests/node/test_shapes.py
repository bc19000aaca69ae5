"""What is wrong with a setting is said in our words, for every field of every table, with a line that may stand."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.inspect import Field, StructType, type_info

from ledger.errors import LocalError
from node.config import Config, read_config
from node.shapes import example, line_of, table_of, toml_value

Path = tuple[str, ...]


def every_field(table: Path = (), kind: Any = Config) -> Iterator[tuple[Path, Field]]:
    """Yield each field of the settings with its tables and its name; tables as well."""
    found = type_info(kind)
    assert isinstance(found, StructType)
    for field in found.fields:
        yield (*table, field.name), field
        if (inner := table_of(field)) is not None:
            yield from every_field((*table, field.name), inner)


FIELDS = dict(every_field())
PLAIN = {path: field for path, field in FIELDS.items() if table_of(field) is None}
TABLES = [path for path in FIELDS if path not in PLAIN]


def whole(**changed: Any) -> str:
    """Return settings with every table and its needed fields; `changed`: "table__field" to its TOML, None: left out."""
    lines = dict[Path, dict[str, str]]()
    for path, field in PLAIN.items():
        lines.setdefault(path[:-1], {})
        told = changed.get("__".join(path), toml_value(example(field)) if field.required else None)
        if told is not None:
            lines[path[:-1]][path[-1]] = told
    return "\n".join(
        line
        for table, rows in lines.items()
        for line in ([f"[{'.'.join(table)}]"] if table else []) + [f"{name} = {told}" for name, told in rows.items()]
    )


def refused(text: str) -> LocalError:
    """Return why settings are refused."""
    with pytest.raises(LocalError) as caught:
        read_config(text.encode(), "config.toml")
    assert caught.value.code == "CONFIG_INVALID"
    return caught.value


def named(path: Path) -> str:
    """Return how a field is named."""
    table = ".".join(path[:-1])
    return f"The field {path[-1]} of the table [{table}] " if table else f"The setting {path[-1]} "


def test_all_tables_are_looked_at() -> None:
    assert {("pages", "oidc"), ("console",), ("relay",), ("links",)} <= set(TABLES)
    assert ("name",) in PLAIN
    assert tomllib.loads(whole())["pages"]["oidc"]["client_id"] == "maille"


@pytest.mark.parametrize("path", PLAIN, ids=".".join)
def test_a_field_of_the_wrong_kind_is_told_with_a_line_that_may_stand_there(path: Path) -> None:
    for wrong in ("1979-05-27", "{}"):
        error = refused(whole(**{"__".join(path): wrong}))
        found = re.fullmatch(
            rf"{re.escape(named(path))}must be .+, not a (date|table): write, for example: (\w+) = (.+)\.",
            error.message,
        )
        assert found is not None, error.message
        assert found[2] == path[-1]
        assert "`" not in error.message
        mended = whole(**{"__".join(path): found[3]})
        msgspec.convert(tomllib.loads(mended), Config)  # each by itself; what goes with what is another matter
        lines = whole(**{"__".join(path): wrong}).splitlines()
        assert error.field == f"config.toml, line {lines.index(f'{path[-1]} = {wrong}') + 1}", path


@pytest.mark.parametrize("path", [path for path, field in PLAIN.items() if field.required], ids=".".join)
def test_a_field_that_is_missing_is_told_with_a_line_that_may_stand_there(path: Path) -> None:
    error = refused(whole(**{"__".join(path): None}))
    assert (
        error.message
        == f"{named(path)}is missing: write, for example: {path[-1]} = {toml_value(example(PLAIN[path]))}."
    )
    assert error.field is not None
    assert ("line" in error.field) == (len(path) > 1)


@pytest.mark.parametrize("path", TABLES, ids=".".join)
def test_what_should_be_a_table_is_told_how_to_write_one(path: Path) -> None:
    above = f"[{'.'.join(path[:-1])}]\n" if path[:-1] else ""
    told = refused(f'name = "a"\n{above}{path[-1]} = 3\n').message
    heading = f"write [{'.'.join(path)}], and its fields on the lines below."
    assert told == f"{named(path)}must be a table, not a whole number: {heading}"


@pytest.mark.parametrize(
    ("text", "told", "line"),
    [
        ("litsen = []", "There is no setting litsen: write listen, or delete it.", 2),
        ("[webhook]\nprivate = true", "There is no setting webhook: write [webhooks], or delete it.", 2),
        ('[metrics]\nlisten = "127.0.0.1:1"\nurl = ""', "delete it, or write one of listen.", 4),
        ('[storage]\nlog_level = "debug"', "it belongs above the first table; move it there.", 3),
        ("[storage]\n[storage.relay]\nserve = true", "it belongs below its own heading [relay]; move it there.", 3),
        (
            'listen = ["127.0.0.1:1", 5]',
            "Item 2 of the setting listen must be text (host:port, or [v6]:port; a port is at most 65535, at most",
            2,
        ),
        (
            "workers = 65",
            "The setting workers must be a whole number from 0 to 64: write, for example: workers = 1.",
            2,
        ),
        ('"a\\nb" = 1', 'There is no setting "a\\nb": ', None),
        ("[pages]\n[metrics]\nlisten = 4", "The field listen of the table [pages] is missing", 2),
        (f"workers = {2**70}", "The setting workers must be a whole number from 0 to 64", 2),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, told: str, line: int | None) -> None:
    error = refused(f'name = "a"\n{text}\n')
    assert told in error.message
    assert error.field == ("config.toml" if line is None else f"config.toml, line {line}")


def test_a_line_is_that_of_its_own_table() -> None:
    text = 'listen = []\n[ api ]\nlisten = "a:1"\n[pages."oidc"]\n"issuer" = 1\n[metrics]\nlisten=2\nrelay.serve = 1\n'
    assert line_of(("listen",), text) == 1
    assert line_of(("api", "listen"), text) == 3
    assert line_of(("pages", "oidc", "issuer"), text) == 5
    assert line_of(("pages", "oidc", "client_id"), text) == 4
    assert line_of(("metrics", "listen"), text) == 7
    assert line_of(("console", "listen"), text) is None
    assert line_of(("relay", "serve"), "relay.serve = 1") == 1
    assert line_of(("relay", "serve"), "relay = {serve = 1}") == 1


values = st.recursive(
    st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab`$. -\"'é\n\x7f", max_size=12),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(PLAIN)), values)
def test_whatever_stands_there_is_taken_or_refused_in_our_words(path: Path, value: Any) -> None:
    text = whole(**{"__".join(path): toml_value(value)})
    told = LocalError("", "")
    try:
        read_config(text.encode(), "config.toml")
    except LocalError as error:
        told = error
    assert told.code in ("", "CONFIG_INVALID", "PAGES_INVALID")
    if told.code == "CONFIG_INVALID":
        assert f" {path[-1]} " in told.message
        assert "Expected" not in told.message
