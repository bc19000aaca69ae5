"""Sentences in two languages with values in them, and rows that keep the other language's beside the wire.

How it works
    A catalogue holds pairs: the English sentence and the French one, with the same named places (`{mesh}`). Code asks
    `english` for what commands and the control API say. A row of an operation that is made by `beside` keeps, for each
    field named, the French template and its values in memory: the operator pages ask `french_of` for them. They are no
    field of the row, so no JSON holds them.

What it does not do
    It chooses no language, and marks nothing up: node/console/french.py does. A row that came over the control API
    keeps nothing. Words of others go into the place `error`, which pages mark as English.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import msgspec

Pair: TypeAlias = tuple[str, str]
"""The same words in English and in French."""
Value: TypeAlias = object
"""What stands in a place. A pair is taken in the language of the sentence; its French may be a list of sentences."""

ERROR: Final = "error"
"""The place of words that are not ours: of the system, of a peer. They are English in both languages."""
_KEPT: Final = "french"


@dataclass(frozen=True, slots=True)
class French:
    """A French sentence: its template, and the values for its places, in French where they have words."""

    template: str
    values: Mapping[str, Value]


R = TypeVar("R", bound=msgspec.Struct)


def english(pair: Pair, values: Mapping[str, Value]) -> str:
    """Return the English sentence."""
    return pair[0].format(**_taken(values, 0))


def french(pair: Pair, values: Mapping[str, Value]) -> French:
    """Return the French sentence, not yet put together."""
    return French(pair[1], _taken(values, 1))


def _taken(values: Mapping[str, Value], language: int) -> dict[str, Value]:
    return {name: value[language] if isinstance(value, tuple) else value for name, value in values.items()}


def beside(row: R, **fields: French) -> R:
    """Keep French sentences for fields of a row (of a type made with `dict=True`); return the row."""
    row.__dict__[_KEPT] = fields
    return row


def same_french(row: object, other: R) -> R:
    """Keep beside another row what a row keeps; return the other."""
    return beside(other, **getattr(row, "__dict__", {}).get(_KEPT, {}))


def french_of(row: object, field: str) -> French | None:
    """Return the French sentence that a row keeps for a field, or None."""
    kept: Mapping[str, French] = getattr(row, "__dict__", {}).get(_KEPT, {})
    return kept.get(field)
