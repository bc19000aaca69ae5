"""The table of what reads bytes from strangers.

How to add one
    A parser is a function of bytes. It returns what it read, or raises RemoteError; anything else that it raises is a
    fault, and so is a result that is false (`None`, an empty list): never a silent nothing. Give it a line in
    `PARSERS`, and good bytes to start from in tests/fuzz/seeds.py. Adapters of files come by themselves, out of
    `node.adapters.registry`, and records of consent out of `node.adapters.consents.formats`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from node.adapters import registry, sge_accord
from node.adapters.adapter import Adapter, Parsed, Source
from node.adapters.consents import formats
from node.readings import decode, encode

Parser = Callable[[bytes], object]

_POINTS: Final = {"grdf-pygazpar": "pce:12345678901234", "sen1": "prm:12345678901234"}


def _records(data: bytes, source: Source, name: str) -> int:
    """Return how many records a file holds, each series checked against its own rules."""
    count = 0
    for found in registry.read(data, source, name):
        if isinstance(found, Parsed):
            assert found.series.fault() is None
            assert len(found.series)
            assert decode(encode(found.series)) == found.series
            count += len(found.series)
    return count


def _reader(adapter: Adapter) -> Parser:
    source = Source(point=_POINTS.get(adapter.name, ""))
    return lambda data: _records(data, source, adapter.name)


def _consents(form: formats.Format) -> Parser:
    return lambda data: formats.read(data, Source(), form.name)


PARSERS: Final[Mapping[str, Parser]] = {
    **{one.name: _reader(one) for one in registry.adapters() if one.read is not None},
    "auto": lambda data: _records(data, Source(), registry.AUTO),
    "zip": lambda data: _records(data, Source(), registry.AUTO),
    "enedis-csv-daily": lambda data: _records(data, Source(point="prm:12345678901234"), "enedis-csv"),
    "green-button-of-others": lambda data: _records(data, Source(point="prm:12345678901234"), "green-button"),
    **{f"consent-{form.name}": _consents(form) for form in formats.FORMATS if form.read is not None},
    "declaration": lambda data: sge_accord.read(data, Source()),
}
"""Name -> parser."""
