"""Shows a result to a person: lines and tables, made from its Struct alone.

How it works
    Simple fields become lines "name  value"; a list of Structs becomes a table; a Struct inside becomes an indented
    part. Times are shown in UTC (RFC 3339) and as how long ago. Tables go through rich, which honours NO_COLOR and
    uses no colour where standard output is no terminal; a table too wide for its terminal is shown row below row.

What it does not do
    No output for machines: that is --json.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import msgspec

from node.naming import SHORT_DIGITS
from node.operation import fields

WIDTH_PIPED: Final = 400  # columns where no terminal tells its own

_MOMENT: Final = "%Y-%m-%dT%H:%M:%SZ"
_STEPS: Final = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def show(result: Any) -> None:
    """Print a result (a Struct, or text that an operation rendered itself).

    A terminal or a pipe whose encoding lacks a letter gets a question mark in its place.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(result, str):
        if result:
            print(result)
        return
    print(drawn(result))


def drawn(result: msgspec.Struct) -> str:
    """Return the text that shows a Struct."""
    return "\n".join(lines(result)) or "Nothing."


def lines(result: msgspec.Struct, indent: int = 0) -> list[str]:
    """Return the lines that show a Struct."""
    values = {name: getattr(result, name) for name in result.__struct_fields__}
    plain = {name: value for name, value in values.items() if _is_plain(value)}
    width = max((len(name) for name in plain), default=0)
    margin = " " * indent
    found = []
    for name, value in plain.items():
        if value not in ("", b"", ()):
            between = "\n" + " " * (indent + width + 2) if _is_prose(value) else ", "
            found.append(f"{margin}{_title(name):<{width}}  {_field(result, name, between)}")
    for name, value in values.items():
        if isinstance(value, msgspec.Struct):
            found += ["", f"{margin}{_title(name)}", *lines(value, indent + 2)]
        elif not _is_plain(value) and value:
            found += ["", f"{margin}{_title(name)}", *(margin + line for line in table(value))]
    return found[1:] if found[:1] == [""] else found


def table(rows: Sequence[msgspec.Struct]) -> list[str]:
    """Return a list of Structs of one kind as the lines of a table; columns that are empty throughout are left out.

    For a terminal that is too narrow for it, each row is shown as lines "name  value", with a blank line between rows.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = [n for n in rows[0].__struct_fields__ if any(_field(row, n) for row in rows)]
    drawn = Table(*map(_title, names), box=SIMPLE_HEAD, pad_edge=False)
    cells = [[_short(_field(row, name)) for name in names] for row in rows]
    for row in cells:
        drawn.add_row(*(Text(cell, overflow="fold") for cell in row))
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if terminal else WIDTH_PIPED, markup=False, highlight=False)
    wanted = console.measure(drawn, options=console.options.update(max_width=WIDTH_PIPED)).maximum
    if terminal and wanted > console.width:
        return _one_below_another(names, cells)
    with console.capture() as capture:
        console.print(drawn)
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def _one_below_another(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    width = max(map(len, names))
    found = []
    for row in rows:
        filled = ((name, cell) for name, cell in zip(names, row, strict=True) if cell)
        found += ["", *(f" {_title(name):<{width}}  {cell}" for name, cell in filled)]
    return found[1:]


def ago(then: datetime, now: datetime | None = None) -> str:
    """Return how long ago (or ahead) a time is, in its largest unit: "3 min ago", "in 2 days"."""
    seconds = round(((now or datetime.now(UTC)) - then).total_seconds())
    for unit, length in _STEPS:
        count = abs(seconds) // length
        if count:
            name = unit + ("s" if unit == "day" and count > 1 else "")
            return f"{count} {name} ago" if seconds > 0 else f"in {count} {name}"
    return "now"


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return not any(isinstance(item, msgspec.Struct) for item in value)
    return not isinstance(value, msgspec.Struct)


def _is_prose(value: Any) -> bool:
    """Say whether these are sentences, which are shown one a line."""
    return isinstance(value, list | tuple) and any(isinstance(item, str) and item.endswith(".") for item in value)


def _short(text: str) -> str:
    """Return hashes as their first digits: enough to name a thing, and a table stays readable."""
    return re.sub(r"\b[0-9a-f]{64}\b", lambda found: found[0][:SHORT_DIGITS], text)


def _title(name: str) -> str:
    return name.replace("_", " ")


def _field(row: msgspec.Struct, name: str, between: str = ", ") -> str:
    value = getattr(row, name)
    if isinstance(value, datetime) and name in _coarse(type(row)):
        return f"{value.astimezone(UTC):{_MOMENT}}"
    return _text(value, between)


@cache
def _coarse(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Return the fields of a Struct that hold times which are rounded on purpose."""
    return frozenset(row.name for row in fields(kind) if "coarse" in row.marks)


def _text(value: Any, between: str = ", ") -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):{_MOMENT}} ({ago(value)})"
        case bytes():
            return f"{len(value)} bytes"
        case list() | tuple():
            return between.join(_text(item) for item in value)
        case dict():
            return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
        case msgspec.Struct():
            return "; ".join(f"{_title(n)} {_text(getattr(value, n))}" for n in value.__struct_fields__)
        case _:
            return str(value)
