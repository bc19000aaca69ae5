"""The table of what reads bytes from strangers.

How to add one
    A parser is a function of bytes. It returns what it read, or raises RemoteError; anything else that it raises is a
    fault, and so is a result that is false (`None`, an empty list): never a silent nothing. Give it a line in
    `CASES` of the module of its layer (tests/fuzz/of_*.py), with good bytes to start from. Adapters of files come by
    themselves, out of `node.adapters.registry`, and records of consent out of `node.adapters.consents.formats`; their
    seeds are in tests/fuzz/seeds.py. tests/fuzz/test_complete.py fails when a public reader is reached by no seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.adapters import enedis_csv, registry, sge_accord
from node.adapters.adapter import Adapter, Parsed, Source
from node.adapters.consents import formats
from node.readings import decode, encode
from tests.fuzz import of_gossip, of_ledger, of_node, of_proofs
from tests.fuzz.case import Case, Parser

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


CASES: Final[Mapping[str, Case]] = {**of_ledger.CASES, **of_gossip.CASES, **of_proofs.CASES, **of_node.CASES}
"""The cases of all layers but the adapters."""
PARSERS: Final[Mapping[str, Parser]] = {
    **{name: case.parse for name, case in CASES.items()},
    **{one.name: _reader(one) for one in registry.adapters() if one.read is not None},
    "auto": lambda data: _records(data, Source(), registry.AUTO),
    "zip": lambda data: _records(data, Source(), registry.AUTO),
    "enedis-csv-daily": lambda data: _records(data, Source(point="prm:12345678901234"), "enedis-csv"),
    "green-button-of-others": lambda data: _records(data, Source(point="prm:12345678901234"), "green-button"),
    "enedis-export": lambda data: [enedis_csv.read(data), enedis_csv.parse(data)],
    **{f"consent-{form.name}": _consents(form) for form in formats.FORMATS if form.read is not None},
    "declaration": lambda data: sge_accord.read(data, Source()),
}
"""Name -> parser."""
