"""The list of formats: each row is whole, each file finds its own format, and nothing is read in silence."""

from __future__ import annotations

import pytest

from ledger.errors import LocalError, RemoteError
from node.adapters import household, registry
from node.adapters.adapter import Adapter, Head, Parsed, Source

GAS_ALONE = {"adict"}
"""Formats that hold no electricity."""


@pytest.mark.parametrize("adapter", registry.adapters(), ids=lambda adapter: adapter.name)
def test_a_row_says_what_it_is(adapter: Adapter) -> None:
    assert registry.find(adapter.name) is adapter
    assert adapter.title
    assert adapter.read or adapter.write
    if adapter.read is not None:
        assert adapter.limits
        assert adapter.codes


def test_names_are_unique_and_plain() -> None:
    names = [adapter.name for adapter in registry.adapters()]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and name.replace("-", "").isalnum() for name in names)


@pytest.mark.covers("R160")
def test_what_is_written_finds_its_format_again() -> None:
    series, gas = [household.load_curve(7, 1_600_000_000, 2, gaps=3)], [household.gas_totals(7, 1_600_000_000, 3)]
    for adapter in registry.adapters():
        if adapter.write is None or adapter.read is None or adapter.sniff is None:
            continue
        held = gas if adapter.name in GAS_ALONE else series
        data = adapter.write(held)
        assert registry.detect(data, Source()).name == adapter.name
        found = [one.series for one in registry.read(data, Source()) if isinstance(one, Parsed)]
        assert [list(one) for one in found] == [list(one) for one in held]


@pytest.mark.covers("R107", "R116")
def test_every_format_that_is_written_says_what_is_fictitious() -> None:
    """R116: what is made up is never taken for a person's, whoever reads the file."""
    series, gas = [household.load_curve(7, 1_600_000_000, 1)], [household.gas_totals(7, 1_600_000_000, 1)]
    written = [one for one in registry.adapters() if one.write is not None]
    assert len(written) > 8
    for adapter in written:
        assert adapter.write is not None
        assert b"fictitious" in adapter.write(gas if adapter.name in GAS_ALONE else series).lower(), adapter.name


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"hello", b"<a/>", b"{}", b"[]", b"\x00" * 9, b"PK\x03\x04", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80"],
)
def test_what_is_nothing_known_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteError):
        list(registry.read(data, Source("x")))


def test_a_name_that_is_none_is_said_with_those_that_are() -> None:
    with pytest.raises(LocalError, match="senml") as error:
        registry.find("xlsx")
    assert error.value.code == "UNKNOWN_FORMAT"


def test_a_format_that_is_only_written_is_not_read() -> None:
    with pytest.raises(LocalError) as error:
        list(registry.read(b"", Source(), "csv"))
    assert error.value.code == "WRITE_ONLY"


def test_another_point_than_the_one_named_is_refused() -> None:
    (written,) = [one.write for one in registry.adapters() if one.name == "senml"]
    assert written is not None
    data = written([household.load_curve(7, 1_600_000_000, 1)])
    with pytest.raises(RemoteError) as error:
        list(registry.read(data, Source(point="prm:99999999999999")))
    assert error.value.code == "OTHER_POINT"


def test_a_head_is_seen_for_what_it_is() -> None:
    assert Head.of(b"\xef\xbb\xbf<?xml version='1.0'?><!-- <b> --><s:Envelope xmlns:s='x'><a>").root == "Envelope"
    assert Head.of("<a/>".encode("utf-16")).kind == "xml"
    assert Head.of(b'{"meter_reading": {"unit": 1}}').members == {"meter_reading", "unit"}
    assert Head.of("Donn\xe9es;\n".encode("latin-1")).kind == "text"
    assert Head.of(b"PK\x03\x04...").kind == "zip"
    assert Head.of(b"\x9f\x00").kind == "binary"
