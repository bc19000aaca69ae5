"""What every parser owes to every input."""

from __future__ import annotations

from collections.abc import Callable

from ledger.errors import RemoteError


class SilentNothingError(Exception):
    """A parser read nothing out of an input and did not say so."""


def check(parser: Callable[[bytes], object], data: bytes) -> bool:
    """Run a parser. Return whether it read something; any other end than that, or a RemoteError, is raised."""
    try:
        found = parser(data)
    except RemoteError as error:
        if not error.code.replace("_", "").isalnum() or not error.message:
            raise SilentNothingError(repr(error)) from error
        return False
    if not found:
        raise SilentNothingError(repr(found))
    return True
