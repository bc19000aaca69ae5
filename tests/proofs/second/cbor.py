"""Deterministic CBOR of README.md ("The bytes"), read and written by hand.

How it works
    One pass reads a value and refuses, on the way, every head that could be shorter, every key out of order, and
    whatever is outside the data model. What it takes, `write` gives back byte for byte.

What it does not do
    It reads no tag, float or indefinite length: none occurs.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

DEPTH: Final = 16
_SAME_FOR_EVER: Final = (
    *((0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x1E9E, 0x1E9E), (0x20A0, 0x20CF), (0x2190, 0x2BFF)),
    *((0x2C60, 0x2C7F), (0xA720, 0xA7FF), (0x1F000, 0x1FAFF)),
)


class BadBytes(Exception):
    """The bytes are not deterministic CBOR of the data model."""


def read(data: bytes, most: int = 65_536) -> Any:
    """Return the value whose encoding is `data`, of at most so many bytes. Raises BadBytes."""
    if len(data) > most:
        raise BadBytes("too long")
    value, end = _value(data, 0, DEPTH)
    if end != len(data):
        raise BadBytes("bytes follow the value")
    return value


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return major type, argument, and the place after them."""
    if at >= len(data):
        raise BadBytes("it ends too early")
    major, low = data[at] >> 5, data[at] & 31
    if major == 7:
        return 7, low, at + 1
    if low < 24:
        return major, low, at + 1
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(low, 0)
    raw = data[at + 1 : at + 1 + size]
    number = int.from_bytes(raw, "big")
    if not size or len(raw) < size or number < {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[size] or number >= 1 << 63:
        raise BadBytes("a head is cut short, longer than needed, or too large")
    return major, number, at + 1 + size


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    major, number, at = _head(data, at)
    if major in (0, 1):
        return (number if major == 0 else -1 - number), at
    if major in (2, 3):
        raw = data[at : at + number]
        if len(raw) < number:
            raise BadBytes("it ends too early")
        return (raw if major == 2 else _text(raw)), at + number
    if major == 7 and number in (20, 21, 22):
        return {20: False, 21: True, 22: None}[number], at
    if major not in (4, 5) or depth == 0 or number > len(data):
        raise BadBytes("a tag, a float, too deep, or too long")
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _value(data, at, depth - 1)
            items.append(item)
        return items, at
    return _map(data, at, number, depth - 1)


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[Any, Any], int]:
    found: dict[Any, Any] = {}
    last = b""
    for _ in range(count):
        start = at
        key, at = _value(data, at, 0)
        raw = data[start:at]
        if type(key) not in (int, str) or raw <= last or len(raw) < len(last):
            raise BadBytes("keys are integers and texts, and ascend by their bytes as by their length")
        found[key], at = _value(data, at, depth)
        last = raw
    return found, at


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BadBytes("text is UTF-8") from None
    for letter in text:
        known = letter < "\u0300" or unicodedata.ucd_3_2_0.category(letter) not in ("Cn", "Cs")
        if not known and not any(low <= ord(letter) <= high for low, high in _SAME_FOR_EVER):
            raise BadBytes("a character that Unicode 3.2 does not know")
    if not unicodedata.is_normalized("NFC", text):
        raise BadBytes("text is in normal form C")
    return text


def _written(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    size = next(size for size in (1, 2, 4, 8) if number < 1 << 8 * size)
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + number.to_bytes(size, "big")


def write(value: Any) -> bytes:
    """Return the deterministic encoding of a value that `read` gave, or one like it."""
    if value is None or type(value) is bool:
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if type(value) is int:
        return _written(0, value) if value >= 0 else _written(1, -1 - value)
    if type(value) is bytes:
        return _written(2, len(value)) + value
    if type(value) is str:
        raw = value.encode()
        return _written(3, len(raw)) + raw
    if type(value) is list:
        return _written(4, len(value)) + b"".join(map(write, value))
    pairs = sorted((write(key), write(held)) for key, held in value.items())
    return _written(5, len(pairs)) + b"".join(key + held for key, held in pairs)
