"""Shapes: what a payload field may hold, once for the check, the error sentence and the CDDL.

How it works
    A `Shape` pairs a predicate over a decoded CBOR value with the CDDL that says the same (RFC 8610) and with
    words for a person. Shapes compose (`list_of`, `record`). The payload schemas of all kinds (kinds) are
    written with them, and `kinds.cddl()` prints the CDDL that golden files are validated against, so the two
    cannot drift apart.

What it does not do
    It reads no bytes: encoding rules (depth, NFC, no floats) are codec's. Unknown text keys pass: older nodes
    keep what newer ones add (ledger.md §3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger.errors import RemoteError

Predicate = Callable[[Any], bool]

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Shape:
    """What one value may be. `ok` decides, `words` tells a person, `cddl` tells a validator."""

    ok: Predicate
    words: str
    cddl: str


@dataclass(frozen=True, slots=True)
class Field:
    """One named field of a payload or record: its shape, and whether it may be absent."""

    shape: Shape
    optional: bool = False


def octets(size: int) -> Shape:
    """A byte string of exactly `size` bytes."""
    return Shape(lambda v: type(v) is bytes and len(v) == size, f"{size} bytes", f"bstr .size {size}")


def octets_upto(size_max: int) -> Shape:
    """A byte string of 1 to `size_max` bytes."""
    return Shape(
        lambda v: type(v) is bytes and 1 <= len(v) <= size_max,
        f"1 to {size_max} bytes",
        f"bstr .size (1..{size_max})",
    )


def text(length_max: int) -> Shape:
    """Text of 1 to `length_max` UTF-8 bytes, without control characters (line breaks, bidirectional marks).

    The characters are listed here: `str.isprintable` would ask this Python's Unicode tables, and nodes would differ.
    """

    def ok(value: Any) -> bool:
        if type(value) is not str or not 1 <= len(value) <= length_max or _CONTROL.search(value):
            return False
        return value.isascii() or len(value.encode()) <= length_max

    return Shape(ok, f"text of 1 to {length_max} bytes without control characters", f"tstr .size (1..{length_max})")


def integer(low: int, high: int) -> Shape:
    """An integer from `low` to `high`, both included (and never a boolean)."""
    return Shape(
        lambda v: type(v) is int and low <= v <= high, f"a whole number from {low} to {high}", f"{low}..{high}"
    )


def multiple_of(step: int, high: int) -> Shape:
    """A multiple of `step` from 0 to `high`. CDDL cannot say it; the predicate does."""
    return Shape(
        lambda v: type(v) is int and 0 <= v <= high and v % step == 0,
        f"a multiple of {step} from 0 to {high}",
        f"0..{high}",
    )


def constant(value: Any, cddl: str) -> Shape:
    """Exactly one value."""
    return Shape(lambda v: type(v) is type(value) and v == value, f"exactly {value!r}", cddl)


def one_of(*words: str) -> Shape:
    """One of a closed list of texts."""
    allowed = frozenset(words)
    return Shape(
        lambda v: type(v) is str and v in allowed,
        "one of " + ", ".join(sorted(allowed)),
        " / ".join(f'"{word}"' for word in sorted(allowed)),
    )


def list_of(item: Shape, low: int, high: int) -> Shape:
    """A list of `low` to `high` items of one shape."""
    return Shape(
        lambda v: type(v) is list and low <= len(v) <= high and all(map(item.ok, v)),
        f"a list of {low} to {high}, each {item.words}",
        f"[{low}*{high} ({item.cddl})]",
    )


def tuple_of(*items: Shape) -> Shape:
    """A list with one shape a place."""
    count = len(items)
    return Shape(
        lambda v: type(v) is list and len(v) == count and all(s.ok(x) for s, x in zip(items, v, strict=True)),
        "a list of (" + "; ".join(item.words for item in items) + ")",
        "[" + ", ".join(item.cddl for item in items) + "]",
    )


def either(first: Shape, second: Shape) -> Shape:
    """A value of one shape or of another."""
    return Shape(
        lambda v: first.ok(v) or second.ok(v),
        f"{first.words}, or {second.words}",
        f"({first.cddl} / {second.cddl})",
    )


def record(fields: Mapping[str, Field]) -> Shape:
    """A map with text keys. Unknown keys are kept."""

    def ok(value: Any) -> bool:
        return type(value) is dict and wrong_field(fields, value) is None

    return Shape(ok, "a map of " + ", ".join(fields), cddl_of(fields))


def wrong_field(fields: Mapping[str, Field], value: Mapping[Any, Any]) -> str | None:
    """Return the name of the first field that is missing or out of shape, or None."""
    for name, field in fields.items():
        if name in value:
            if not field.shape.ok(value[name]):
                return name
        elif not field.optional:
            return name
    for key in value:
        if type(key) is not str:
            return "(a key that is not text)"
    return None


def check_fields(fields: Mapping[str, Field], value: Any) -> None:
    """Raise RemoteError PAYLOAD_SHAPE or PAYLOAD_MISSING, with the field and what it must be."""
    if type(value) is not dict:
        raise RemoteError("PAYLOAD_SHAPE", "the payload must be a map with text keys", field="payload")
    name = wrong_field(fields, value)
    if name is None:
        return
    if name not in fields:
        raise RemoteError("PAYLOAD_SHAPE", "every key of a payload is text", field=name)
    if name not in value:
        raise RemoteError("PAYLOAD_MISSING", "this field is required and missing", field=name)
    raise RemoteError("PAYLOAD_SHAPE", f"this field must be {fields[name].shape.words}", field=name)


def cddl_of(fields: Mapping[str, Field]) -> str:
    """Return the CDDL map of a set of fields, open to further text keys."""
    lines = [f"{'? ' if field.optional else ''}{name}: {field.shape.cddl}" for name, field in fields.items()]
    return "{ " + ", ".join([*lines, "* tstr => any"]) + " }"
