"""The page of scenario files: every table and field, and what a run leaves, from the code that reads and writes them.

What it does not do
    It explains no field: the docstrings of simulations/spec.py do.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.inspect import type_info

from node.shapes import shape
from simulations import runs, spec
from simulations.adversaries import gossip, ledger
from simulations.records import METRICS


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _fields(struct: type[msgspec.Struct]) -> str:
    rows = []
    for field in type_info(struct).fields:  # type: ignore[attr-defined]
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        shown = "needed" if default is msgspec.NODEFAULT else f"`{msgspec.json.encode(default).decode()}`"
        if field.name not in spec.TABLES:
            rows.append((f"`{field.name}`", shape(field.type), shown))
    return _table(("field", "value", "default"), rows)


def page() -> str:
    """Return the page."""
    parts = [
        "# Scenarios and runs",
        "A scenario is a TOML file: `maille sim run FILE`. Only `name` is needed; `maille sim scenarios NAME` shows "
        "one of maille's, every field filled in, and `--set network.loss=0.1` changes one field. Times are seconds "
        "since the run began, unless a name ends in `_ms`. What makes no sense is refused, with its field.",
        "## At the top",
        inspect.cleandoc(spec.Scenario.__doc__ or ""),
        _fields(spec.Scenario),
    ]
    for name, table in spec.TABLES.items():
        heading = f"## `[[{name}]]`, any number" if name in {"faults", "adversaries"} else f"## `[{name}]`"
        parts += [heading, inspect.cleandoc(table.__doc__ or ""), _fields(table)]
    named = [", ".join(f"`{one}`" for one in attacks) for attacks in (gossip.ATTACKS, ledger.ATTACKS)]
    parts += [
        "## Adversaries",
        f"On gossip: {named[0]}. On the ledger: {named[1]}. One of your own is `module:function`.",
        "## What a run leaves",
        inspect.cleandoc((runs.__doc__ or "").partition("How it works\n")[2].partition("What it does not do")[0]),
        "In `metrics.parquet`, `t` is seconds since the run began, and `node` a number, or -1 for all.",
        _table(("metric", "value"), [(f"`{name}`", text) for name, text in METRICS.items()]),
    ]
    return "\n\n".join(parts)
