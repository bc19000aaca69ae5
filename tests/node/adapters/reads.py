"""How tests of adapters read: all series of a file, or the refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ledger.errors import MailleError
from node.adapters.adapter import Found, LeftOut, Parsed, Source
from node.readings import Series

Read = Callable[[bytes, Source], Iterator[Found]]


def all_series(read: Read, data: bytes, source: Source | None = None) -> list[Series]:
    """Return the series of a file, in order; what was left out is not asked for."""
    return [one.series for one in read(data, source or Source()) if isinstance(one, Parsed)]


def left_out(read: Read, data: bytes, source: Source | None = None) -> dict[str, int]:
    """Return what a file had that is not kept here."""
    return {one.what: one.records for one in read(data, source or Source()) if isinstance(one, LeftOut)}


def refusal(read: Read, data: bytes, source: Source | None = None) -> MailleError:
    """Return the error with which a file is refused; fail when it is not."""
    with pytest.raises(MailleError) as error:
        list(read(data, source or Source()))
    return error.value


def whole_or_refused(read: Read, data: bytes, source: Source | None = None) -> bool:
    """Say whether bytes are read as series that are whole, or refused by a code with a sentence: nothing else."""
    try:
        found = list(read(data, source or Source()))
    except MailleError as error:
        return error.code.isupper() and bool(error.message)
    series = [one.series for one in found if isinstance(one, Parsed)]
    return all(len(one) and one.fault() is None for one in series)
