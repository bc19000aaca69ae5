"""The messages of family 5: they come back as they went, within their bounds, and nothing else is taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.messages import FAMILY_BYTES_MAX, WITNESS, Envelope, seal
from gossip.witness import LACKING_MAX, LINES_MAX, Cosigned, Lacking, decode, encode
from ledger.checkpoint import Head
from ledger.errors import RemoteError
from ledger.witnessing import Cosigned as Line

ids = st.binary(min_size=32, max_size=32)
sizes = st.integers(0, 2**40)
heads = st.builds(Head, ids, sizes, ids)
lines = st.builds(Line, ids, st.integers(0, 2**62), heads, st.binary(min_size=64, max_size=64))
LINE = Line(b"d" * 32, 5, Head(b"f" * 32, 7, b"r" * 32), b"s" * 64)


@given(st.lists(lines, max_size=6).map(tuple))
def test_cosignatures_come_back(told: tuple[Line, ...]) -> None:
    message = Cosigned(told)
    envelope = Envelope.open(encode(message))
    assert (envelope.family, envelope.version, envelope.kind) == (WITNESS, 1, 1)
    assert decode(envelope) == message


@given(st.lists(st.tuples(ids, sizes, st.integers(0, 2**64 - 1)), max_size=6).map(tuple))
def test_questions_come_back(items: tuple[tuple[bytes, int, int], ...]) -> None:
    assert decode(Envelope.open(encode(Lacking(items)))) == Lacking(items)


def test_the_largest_messages_fit_and_those_of_one_device_share_its_name() -> None:
    apart = tuple(Line(bytes((number % 251,)) * 32, number, LINE.head, LINE.signature) for number in range(LINES_MAX))
    for message in (Cosigned(apart), Lacking(((b"f" * 32, 2**40, 2**64 - 1),) * LACKING_MAX)):
        data = encode(message)
        assert len(data) <= FAMILY_BYTES_MAX[WITNESS]
        assert decode(Envelope.open(data)) == message
    assert len(encode(Cosigned((LINE, LINE)))) - len(encode(Cosigned((LINE,)))) < 32 + 8 + 32 + 64 + 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (1, []),
        (1, [[], []]),
        (1, [b""]),
        (1, [[[b"d" * 31, 5, b""]]]),
        (1, [[[b"d" * 32, -1, b""]]]),
        (1, [[[b"d" * 32, 5, b"x" * 135]]]),
        (1, [[[b"d" * 32, 5, b"\xff" * 136]]]),
        (1, [[[b"d" * 32, 5, b"\x00" * 136 * (LINES_MAX + 1)]]]),
        (1, [[[b"d" * 32, 5, b"\x00" * 136 * LINES_MAX], [b"d" * 32, 5, b"\x00" * 136]]]),
        (2, []),
        (2, [b"x" * 47]),
        (2, [b"\xff" * 48]),
        (2, [b"\x00" * 48 * (LACKING_MAX + 1)]),
    ],
)
def test_what_is_not_as_it_must_be_is_refused(kind: int, body: list[Any]) -> None:
    with pytest.raises(RemoteError, match="BAD_MESSAGE"):
        decode(Envelope.open(seal(WITNESS, 1, kind, body)))


def test_another_kind_is_nobodys_fault() -> None:
    assert decode(Envelope.open(seal(WITNESS, 1, 9, []))) is None
