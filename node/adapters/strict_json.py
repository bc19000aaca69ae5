"""JSON of others, read strictly: one object at a time, each field with its place, and nothing that is not there.

How it works
    `parse` and `lines` read bytes once: UTF-8, bounded in bytes and depth, no name twice in an object, no NaN; a
    decimal stays a decimal. `Fields` is one object of it with the place it stands in ("line 3, consommation"); asked
    for a field of a type it gives that, or refuses the file by code, place and name.

    `encoded` is the way back.

What it does not do
    It keeps no unknown fields from anybody: an adapter says which it knows (`only`). Errors never quote a value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import Any, Final, NoReturn, TypeVar

from ledger.errors import LocalError, RemoteError
from node.adapters.adapter import Source, refused
from node.adapters.numbers import plain

DEPTH_MAX: Final = 32
"""Brackets within brackets."""
LINE_BYTES_MAX: Final = 1 << 16
"""Bytes in one line of NDJSON."""
TEXT_MAX: Final = 2_000
"""Characters in one text."""
_DIGITS_MAX: Final = 40
_DECIMALS_MAX: Final = 18
_NUMBER_MAX: Final = 10**18

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object, the place where it stands, and how the file is refused."""

    values: Mapping[str, Any]
    where: str
    source: Source
    code: str

    def bad(self, name: str, message: str) -> RemoteError:
        """Return the error that refuses the file for one field."""
        return refused(self.code, self.source, f"{self.where}, {name}" if name else self.where, message)

    def only(self, known: frozenset[str] | set[str]) -> None:
        """Refuse the file if the object has a field that is not known: its meaning would be lost in silence."""
        if not self.values.keys() <= known:
            raise self.bad("", "The object has a field that is not known here; the format may have changed")

    def has(self, name: str) -> bool:
        """Say whether a field is there and is not null."""
        return self.values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; `default` where it is absent or null, else the field is required."""
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or len(value) > TEXT_MAX:
            raise self.bad(name, f"A text of at most {TEXT_MAX} characters was expected")
        return value

    def choice(self, name: str, choices: Mapping[str, T], default: str | None = None) -> T:
        """Return what a text stands for. `default`: where it is absent, a text that is among the choices."""
        value = self.text(name, default)
        if value not in choices:
            raise self.bad(name, f"One of {' | '.join(map(repr, choices))} was expected")
        return choices[value]

    def number(self, name: str) -> int | Decimal | None:
        """Return a number, or None where it is absent or null."""
        value = self.values.get(name)
        if value is None:
            return None
        match value:
            case bool():
                pass
            case int() if abs(value) < _NUMBER_MAX:
                return value
            case Decimal() if -_DECIMALS_MAX <= value.adjusted() <= _DECIMALS_MAX and len(str(value)) < _DIGITS_MAX:
                return plain(value)
        raise self.bad(name, "A number of at most 18 digits was expected")

    def whole(self, name: str, default: int | None = None) -> int:
        """Return a whole number."""
        value = self.values.get(name, default)
        if type(value) is not int or abs(value) >= 1 << 53:
            raise self.bad(name, "A whole number was expected")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.bad(name, "true or false was expected")
        return value

    def moment(self, name: str, read: Callable[[str], int]) -> int | None:
        """Return a time that `read` makes of a text (its ValueError refuses the file), or None where it is absent."""
        if not self.has(name):
            return None
        try:
            return read(self.text(name))
        except (ValueError, OverflowError) as error:
            raise self.bad(name, f"A time was expected: {error}") from None

    def object(self, name: str) -> Fields:
        """Return an object within; an empty one where it is absent or null."""
        value = self.values.get(name)
        if value is None:
            value = {}
        return self.of(value, name)

    def objects(self, name: str) -> list[Fields]:
        """Return a list of objects; an empty one where it is absent or null."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.bad(name, "A list was expected")
        return [self.of(one, f"{name} {number}") for number, one in enumerate(value, 1)]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; an empty one where it is absent or null."""
        value = self.values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) and len(one) <= TEXT_MAX for one in value):
            raise self.bad(name, "A list of texts was expected")
        return tuple(value)

    def of(self, value: Any, name: str) -> Fields:
        """Return a value of this object as an object."""
        if not isinstance(value, dict):
            raise self.bad(name, "An object was expected")
        return Fields(value, f"{self.where}, {name}" if self.where else name, self.source, self.code)


def parse(data: bytes, source: Source, code: str, max_bytes: int) -> Any:
    """Return what a whole file of JSON says. Raises RemoteError `code`."""
    if len(data) > max_bytes:
        raise refused(code, source, "file", f"The file has more than {max_bytes} bytes")
    return _loads(data, source, code, "file")


def document(data: bytes, source: Source, code: str, max_bytes: int) -> Fields:
    """Return the one object that a file is. Raises RemoteError `code`."""
    value = parse(data, source, code, max_bytes)
    if not isinstance(value, dict):
        raise refused(code, source, "file", "The file is one object of JSON")
    return Fields(value, "file", source, code)


def documents(data: bytes, source: Source, code: str, max_bytes: int, max_records: int) -> list[Fields]:
    """Return the objects of a file that is a list of them, or one alone. Raises RemoteError `code`."""
    value = parse(data, source, code, max_bytes)
    listed = value if isinstance(value, list) else [value]
    if len(listed) > max_records:
        raise refused(code, source, "file", f"The file has more than {max_records} records")
    if not all(isinstance(one, dict) for one in listed):
        raise refused(code, source, "file", "The file is a list of objects")
    return [Fields(one, f"record {number}", source, code) for number, one in enumerate(listed, 1)]


def lines(data: bytes, source: Source, code: str, max_bytes: int, max_lines: int) -> Iterator[Fields]:
    """Yield the objects of NDJSON, a line each; empty lines are passed over. Raises RemoteError `code`."""
    if len(data) > max_bytes:
        raise refused(code, source, "file", f"The file has more than {max_bytes} bytes")
    if data.count(b"\n") > max_lines:
        raise refused(code, source, "file", f"The file has more than {max_lines} lines")
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        if len(line) > LINE_BYTES_MAX:
            raise refused(code, source, where, f"The line has more than {LINE_BYTES_MAX} bytes")
        value = _loads(line, source, code, where)
        if not isinstance(value, dict):
            raise refused(code, source, where, "A line is one object of JSON")
        yield Fields(value, where, source, code)


def encoded(value: Any, indent: int | None = None) -> bytes:
    """Return a value as JSON in UTF-8, decimals exactly. Raises LocalError NO_PLACE for one with too many digits."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_double).encode() + b"\n"


def _double(value: Any) -> float:
    """Return a decimal as a double, where a double gives it back."""
    if not isinstance(value, Decimal) or Decimal(repr(float(value))) != value:
        raise LocalError("NO_PLACE", "A value has too many digits for JSON; choose another format", field="value")
    return float(value)


def _loads(data: bytes, source: Source, code: str, where: str) -> Any:
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError, DecimalException):
        told = "This is not JSON in UTF-8 with unique names and finite numbers"
        raise refused(code, source, where, told) from None
    if _depth(value) > DEPTH_MAX:
        raise refused(code, source, where, f"There are more than {DEPTH_MAX} brackets within brackets")
    return value


def _depth(value: Any) -> int:
    """Return how deep lists and objects lie within one another; beyond DEPTH_MAX it does not look further."""
    level, depth = [value], 0
    while level and depth <= DEPTH_MAX:
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level = [each for one in inner for each in one]
        depth += bool(inner)
    return depth


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError
