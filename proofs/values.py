"""Values of a grant as reports show them: in JSON, and in a line for people.

How it works
    Bytes become hex; lists and maps are walked. In a line, what steers a terminal becomes an escape: whoever makes a
    bundle may put any text where a shape lets unknown names pass, or is not met. Nothing is translated:
    `ledger.consent.words` speaks to the person, this to an auditor who compares fields.

What it does not do
    It checks nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any


def party(value: list[Any]) -> dict[str, Any]:
    """Return a party, or a class of parties, of a payload for JSON."""
    return {"key": value[0].hex(), "incarnation": value[1]} if len(value) == 2 else {"class": value[0]}


def plain_value(value: Any) -> Any:
    """Return a disclosed value for JSON: bytes as hex."""
    match value:
        case bytes():
            return value.hex()
        case list():
            return [plain_value(item) for item in value]
        case dict():
            return {str(key): plain_value(item) for key, item in value.items()}
        case _:
            return value


def in_a_line(value: Any) -> str:
    """Return a disclosed value in a line for people."""
    match plain_value(value):
        case list(items):
            return _joined(str(in_a_line(item)) for item in items)
        case dict(items):
            return _joined(f"{_plain(name)}: {in_a_line(item)}" for name, item in items.items())
        case None | "":
            return "(nothing)"
        case other:
            return _plain(str(other))


def _plain(text: str) -> str:
    """Return text of others with all that steers a terminal, breaks a line or turns the direction as escapes."""
    return "".join(each if _is_plain(each) else each.encode("unicode_escape").decode() for each in text)


def _is_plain(character: str) -> bool:
    category = unicodedata.category(character)
    return category == "Zs" or category[0] not in "CZ"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts) or "(nothing)"
