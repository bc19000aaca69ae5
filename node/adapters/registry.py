"""The closed list of formats, and how a file finds its own.

How to add one
    Write node/adapters/NAME.py with a constant `ADAPTERS: Final = (Adapter(...), ...)` (`node.adapters.adapter` says
    what the fields mean) and add NAME to `MODULES`. That is all: `maille readings import` finds the format by its
    content or by --format, `maille readings formats` lists it, `maille readings export --format` writes it where it
    has `write`, and tests/node/adapters/test_registry.py holds it to the rules of all. Give its parser a line in
    tests/fuzz/parsers.py.

How it works
    `read` goes by the content of a file: every adapter's `sniff` sees the head, and exactly one must say yes. An
    archive (zip) is read member by member, each found by its own content, one level deep. A file that yields no
    series is refused; so is a series of another point than the one that was said.

What it does not do
    It never guesses by a file's name, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Final, assert_never

from ledger.errors import LocalError, RemoteError
from node.adapters.adapter import Adapter, Found, Head, LeftOut, Parsed, Source, refused
from node.adapters.archive import members
from node.readings import Series

MODULES: Final = (
    "enedis_csv",
    "data_connect",
    "sge_soap",
    "flux_xml",
    "grdf_pygazpar",
    "plain_csv",
    "senml",
    "adict",
    "green_button",
    "quoalise",
    "consoherozh",
    "sen1",
    "warp10",
    "zabbix",
    "cozy",
)
"""Modules of node/adapters that have adapters, in the order in which they are listed."""
MAX_TOTAL_RECORDS: Final = 4_000_000
"""Records in one archive."""
AUTO: Final = "auto"
"""Stands for the format that the content shows."""


@cache
def adapters() -> tuple[Adapter, ...]:
    """Return every adapter, in order."""
    return tuple(one for name in MODULES for one in import_module(f"node.adapters.{name}").ADAPTERS)


def find(name: str) -> Adapter:
    """Return the adapter of a name. Raises LocalError UNKNOWN_FORMAT, which lists the names."""
    for adapter in adapters():
        if adapter.name == name:
            return adapter
    known = ", ".join(one.name for one in adapters())
    raise LocalError("UNKNOWN_FORMAT", f"there is no such format; there are {known}", field="format")


def detect(data: bytes, source: Source) -> Adapter:
    """Return the adapter whose format the content shows. Raises RemoteError UNKNOWN_FORMAT, AMBIGUOUS_FORMAT."""
    head = Head.of(data)
    claims = [one for one in adapters() if one.read is not None and one.sniff is not None and one.sniff(head)]
    if len(claims) == 1:
        return claims[0]
    if claims:
        names = ", ".join(one.name for one in claims)
        raise refused("AMBIGUOUS_FORMAT", source, "content", f"The file may be {names}; name its format (--format)")
    raise refused(
        "UNKNOWN_FORMAT",
        source,
        "content",
        "The content is of no format that is known here; see `maille readings formats`",
    )


def read(data: bytes, source: Source, name: str = AUTO) -> Iterator[Found]:
    """Yield what a file says, a series at a time. `name`: of its format, or AUTO.

    Raises LocalError UNKNOWN_FORMAT, WRITE_ONLY; RemoteError UNKNOWN_FORMAT, AMBIGUOUS_FORMAT, NOTHING_READ,
    OTHER_POINT, TOO_MANY_RECORDS, BAD_ZIP, and the adapter's codes: possibly after some series were yielded, so keep
    nothing before the end.
    """
    if Head.of(data).kind != "zip":
        yield from _read_one(data, source, name)
        return
    records = 0
    for member, content in members(data, source):
        inside = replace(source, name=f"{source.name}: {member}")
        for found in _read_one(content, inside, name):
            records += len(found.series) if isinstance(found, Parsed) else 0
            if records > MAX_TOTAL_RECORDS:
                told = f"An archive has at most {MAX_TOTAL_RECORDS} records"
                raise refused("TOO_MANY_RECORDS", inside, "content", told)
            yield found
    if not records:
        raise nothing_read(source)


def _read_one(data: bytes, source: Source, name: str) -> Iterator[Found]:
    adapter = detect(data, source) if name == AUTO else find(name)
    if adapter.read is None:
        raise LocalError("WRITE_ONLY", f"{adapter.name} is written here, not read", field="format")
    records = 0
    for found in adapter.read(data, source):
        match found:
            case Parsed(series):
                records += len(series)
                if source.point and series.key.point != source.point:
                    raise refused("OTHER_POINT", source, "point", "The file is of another point than the one named")
            case LeftOut():
                pass
            case _:
                assert_never(found)
        yield found
    if not records:
        raise nothing_read(source)


def write(series: Sequence[Series], name: str) -> bytes:
    """Return series as a file of a format. Raises LocalError UNKNOWN_FORMAT, READ_ONLY, and what the adapter says."""
    adapter = find(name)
    if adapter.write is None:
        raise LocalError("READ_ONLY", f"{adapter.name} is read here, not written", field="format")
    return adapter.write(series)


def nothing_read(source: Source) -> RemoteError:
    """Return the error for a file in which there was nothing to keep: never a silent zero."""
    return refused("NOTHING_READ", source, "content", "The file holds no reading that is kept here")
