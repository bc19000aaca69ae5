"""Values for the places of any sentence: tests put every finding together with them."""

from __future__ import annotations

from datetime import UTC, datetime
from string import Formatter

from node.saying import ERROR, Pair, Value

NAME = "Zénobie"
FAULT = "the disk is not there"
"""Words of the system: they stay English, and are marked so."""


def places(template: str) -> set[str]:
    """Return the named places of a sentence."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def sample(*pairs: Pair) -> dict[str, Value]:
    """Return a value for each place, of the kind that its format asks for."""
    found: dict[str, Value] = {}
    for _, name, spec, _ in (part for pair in pairs for part in Formatter().parse(pair[0] + pair[1])):
        if name is not None:
            found[name] = FAULT if name == ERROR else _value(spec or "", found.get(name, NAME))
    return found


def _value(spec: str, known: Value) -> Value:
    if "%Y" in spec:
        return datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    return 7 if spec else known
