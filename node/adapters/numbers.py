"""Numbers as texts: exactly what the digits say, whole numbers as int.

How it works
    A number has at most 19 digits before the point and 18 behind, what a series can hold. Nothing is rounded.

What it does not do
    It knows no thousands and no decimal comma: the exports of portals have those (`node.adapters.rows.number`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,19}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_DIGITS_MAX: Final = 18


def exact_number(text: str) -> int | Decimal | None:
    """Return what a text says, or None where it is no number, or one that no series holds."""
    if _NUMBER.fullmatch(text) is None:
        return None
    value = Decimal(text)
    return None if abs(value.adjusted()) > _DIGITS_MAX else plain(value)


def whole_number(text: str | None) -> int | None:
    """Return a whole number of at most 15 digits, or None where the text is none."""
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def plain(value: Decimal) -> int | Decimal:
    """Return a decimal, whole ones as int."""
    return int(value) if value == value.to_integral_value() else value.normalize()
