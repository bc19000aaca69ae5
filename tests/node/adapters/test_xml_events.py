"""XML from strangers: nothing is expanded, nothing is fetched, and every limit holds."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import RemoteError
from node.adapters import xml_events
from node.adapters.adapter import Source
from node.adapters.xml_events import Element, elements

WANTED = frozenset({"a"})


def read(data: bytes) -> list[Element]:
    return list(elements(data, Source("x.xml"), WANTED))


def test_wanted_elements_come_whole_with_their_line() -> None:
    first, second = read(b'<r xmlns:n="u">\n<n:a n:k="v"> t <b>u</b></n:a>\n<c><a/></c></r>')
    assert (first.name, first.parent, first.line, first.attributes, first.text) == ("a", "r", 2, {"k": "v"}, "t")
    assert (first.said("b"), first.said("c"), first.child("c")) == ("u", None, None)
    assert (second.parent, second.text, second.children) == ("c", "", [])


LAUGHS = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><r><a>&b;</a></r>'


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (LAUGHS.encode(), "document type"),
        (LAUGHS.encode("utf-16"), "document type"),
        (b'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><r/>', "document type"),
        (b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r><a>&a;</a></r>', "document type"),
        (b"<r><a>&undefined;</a></r>", "not XML"),
        (b"<r>" * 30, "nested"),
        (b"<r><a>" + b"<b/>" * 3000, "holds more"),
        (b"<r><a>" + b"x" * 9000 + b"</a></r>", "The text of a"),
        (b'<r k="' + b"x" * 9000 + b'"/>', "attributes"),
        (b'<?xml version="1.0" encoding="klingon"?><r/>', "encoding"),
        (b"<r><a></r>", "not XML"),
        (b"<r/><r/>", "not XML"),
        (b"", "not XML"),
        (b"<r><x:a/></r>", "not XML"),
    ],
)
def test_what_is_hostile_or_broken_is_refused_with_its_line(data: bytes, told: str) -> None:
    with pytest.raises(RemoteError, match=told) as error:
        read(data)
    assert error.value.code == "BAD_XML"
    assert (error.value.field or "").startswith("x.xml, line ")


def test_a_file_that_is_too_large_is_not_parsed() -> None:
    with pytest.raises(RemoteError, match="bytes"):
        read(b" " * (xml_events.MAX_XML_BYTES + 1))


def test_a_long_file_needs_the_memory_of_one_element() -> None:
    count = 0
    for one in elements(b"<r>" + b"<a>1</a>" * 100_000 + b"</r>", Source(), WANTED):
        count += one.text == "1"
    assert count == 100_000


@given(st.binary(max_size=200), st.sampled_from([b"", b"<r>", b"<r><a>", b'<?xml version="1.0"?>']))
def test_any_bytes_are_elements_or_a_refusal(junk: bytes, opening: bytes) -> None:
    with suppress(RemoteError):
        assert all(one.name == "a" for one in read(opening + junk))
