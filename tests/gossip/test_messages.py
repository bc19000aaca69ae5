"""The envelope and the messages of gossip: they come back as they went, and nothing else is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip import vocabulary
from gossip.messages import DATA, FAMILY_BYTES_MAX, GOSSIP, Envelope, Unsupported, seal
from gossip.reconcile import ITEM_BYTES, SYMBOL_BYTES
from gossip.vocabulary import (
    Branch,
    Got,
    Heads,
    Leaves,
    Listed,
    Marks,
    Message,
    More,
    Runs,
    Same,
    Summary,
    Symbols,
    Tick,
    Want,
)
from ledger import codec
from ledger.errors import LocalError, RemoteError
from ledger.feed import Run, SignedHead

ids = st.binary(min_size=32, max_size=32)
sizes = st.integers(0, 2**40)
numbers = st.integers(0, 2**32 - 1)
heads = st.builds(SignedHead, sizes, ids, st.integers(0, 2**63 - 1), st.binary(min_size=64, max_size=64))
places = st.lists(st.tuples(ids, sizes), max_size=5).map(tuple)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    raws = tuple(draw(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4)))
    start = draw(st.integers(0, 2**39))
    stop = start + len(raws)
    head = SignedHead(stop + draw(st.integers(0, 9)), draw(ids), draw(numbers), bytes(64))
    return Run(draw(ids), start, raws, head, tuple(draw(st.lists(ids, max_size=3))))


def pieces(size: int, most: int = 4) -> st.SearchStrategy[bytes]:
    return st.integers(0, most).flatmap(lambda n: st.binary(min_size=n * size, max_size=n * size))


messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Runs, numbers, st.lists(runs(), max_size=3).map(tuple)),
    st.builds(Heads, st.lists(st.tuples(ids, heads), max_size=3).map(tuple)),
    st.builds(Want, places),
    st.builds(Got, numbers, places),
    st.builds(Summary, numbers, ids, sizes, ids | st.just(b""), sizes, ids | st.just(b"")),
    st.builds(Same, numbers),
    st.builds(Symbols, numbers, st.binary(min_size=16, max_size=64), st.integers(0, 8192), pieces(SYMBOL_BYTES)),
    st.builds(More, numbers, st.integers(0, 8192)),
    st.builds(Listed, numbers, numbers, st.booleans(), st.booleans(), pieces(ITEM_BYTES)),
    st.integers(0, 2**39).flatmap(lambda at: st.builds(Branch, ids, st.just(at), st.integers(at + 1, at + 8192))),
    st.builds(Leaves, ids, sizes, pieces(32)),
    st.builds(Tick, sizes),
    st.builds(Marks, sizes, st.booleans(), st.lists(st.tuples(ids, sizes, sizes), max_size=3).map(tuple)),
)


CODES = ("BAD_MESSAGE", "MESSAGE_TOO_LARGE")


def attempt(data: bytes) -> Message | str | None:
    """Return what a message of any family says when it is read as gossip, or the code of its refusal."""
    try:
        return vocabulary.decode(Envelope.open(data))
    except RemoteError as error:
        return error.code


@given(messages)
def test_messages_come_back(message: Message) -> None:
    data = vocabulary.encode(message)
    envelope = Envelope.open(data)
    assert (envelope.family, envelope.version, envelope.kind) == (1, 1, message.KIND)
    assert vocabulary.decode(envelope) == message


@given(messages, st.data())
def test_a_changed_byte_is_refused_or_means_something_else(message: Message, data: st.DataObject) -> None:
    whole = bytearray(vocabulary.encode(message))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    read = attempt(bytes(whole))
    assert read in CODES or read != message or whole[1:3] != b"\x01\x01"


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_with_a_code(data: bytes) -> None:
    assert attempt(data) in CODES or 0x83 <= data[0] <= 0x97


FEED = bytes(32)
HEAD = [FEED, 1, FEED, 5, bytes(64)]
BAD: dict[str, list[Any]] = {
    "no body": [1],
    "a token too large": [1, 2**32, []],
    "a run without leaves": [1, 0, [[*HEAD, 0, b"", []]]],
    "a run beyond its head": [1, 0, [[*HEAD, 1, b"", [b"x"]]]],
    "a leaf too long": [1, 0, [[*HEAD, 0, b"", [bytes(65_537)]]]],
    "an empty leaf": [1, 0, [[*HEAD, 0, b"", [b""]]]],
    "a crooked path": [1, 0, [[*HEAD, 0, b"x", [b"x"]]]],
    "too many heads": [2, [HEAD] * 513],
    "a head without signature": [2, [HEAD[:4]]],
    "a short feed id": [3, [[b"x", 0]]],
    "a negative index": [3, [[FEED, -1]]],
    "an index above 2^40": [3, [[FEED, 2**40 + 1]]],
    "too many wants": [3, [[FEED, 0]] * 4097],
    "a true for a number": [4, True, []],
    "a short digest": [5, 1, b"x", 0, b"", 0, b""],
    "a short base": [5, 1, FEED, 0, b"x", 0, b""],
    "a short key": [7, 1, b"x", 0, bytes(81)],
    "half a symbol": [7, 1, bytes(16), 0, bytes(80)],
    "a start beyond all symbols": [8, 1, 8193],
    "half an item": [9, 1, 0, True, False, bytes(71)],
    "a number for a truth": [9, 1, 0, 1, False, b""],
    "no leaves asked": [10, FEED, 5, 5],
    "too many leaves asked": [10, FEED, 0, 8193],
    "too many leaves": [11, FEED, 0, bytes(8193 * 32)],
    "a text for a boundary": [12, "now"],
    "half a mark": [13, 5, True, bytes(47)],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bodies_are_refused(name: str) -> None:
    data = codec.encode([1, 1, *BAD[name]])
    with pytest.raises(RemoteError) as caught:
        vocabulary.decode(Envelope.open(data))
    assert caught.value.code == "BAD_MESSAGE"


def test_unknown_kinds_are_none() -> None:
    assert vocabulary.decode(Envelope.open(seal(GOSSIP, 1, 23, [1, "anything"]))) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"\x83\x01\x01", b"\x82\x01\x01\x01", b"\x98\x18\x01\x01", b"\xa3\x01\x01\x01", b"\x83\x18\x20\x01\x01"],
)
def test_bad_envelopes_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteError, match="list"):
        Envelope.open(data)


@pytest.mark.parametrize("family", sorted(FAMILY_BYTES_MAX))
def test_each_family_has_its_largest_message(family: int) -> None:
    most = FAMILY_BYTES_MAX[family]
    assert Envelope.open(bytes((0x84, family, 1, 1)) + bytes(most - 4)).family == family
    with pytest.raises(RemoteError) as caught:
        Envelope.open(bytes((0x84, family, 1, 1)) + bytes(most - 3))
    assert caught.value.code == "MESSAGE_TOO_LARGE"


def test_only_strict_cbor_is_a_body() -> None:
    assert Envelope.open(b"\x84\x03\x01\x05\x18\x18").body() == [24]
    for data in (b"\x84\x03\x01\x05\x18\x17", b"\x84\x03\x01\x05", b"\x83\x03\x01\x05\x00"):
        with pytest.raises(RemoteError) as caught:
            Envelope.open(data).body()
        assert caught.value.code == "BAD_MESSAGE"


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda: seal(24, 1, 1, []), "BAD_MESSAGE_HEADER"),
        (lambda: seal(1, 1, -1, []), "BAD_MESSAGE_HEADER"),
        (lambda: seal(GOSSIP, 1, 1, [bytes(1 << 20)]), "MESSAGE_TOO_LARGE"),
    ],
)
def test_own_mistakes_are_named(act: Callable[[], bytes], code: str) -> None:
    with pytest.raises(LocalError) as caught:
        act()
    assert caught.value.code == code


def test_data_passes_unread() -> None:
    data = seal(DATA, 7, 9, [bytes(2 << 20)])
    assert Envelope.open(data) == Envelope(DATA, 7, 9, data)


def test_unsupported_comes_back() -> None:
    told = Unsupported(3, (1, 2))
    assert Unsupported.read(Envelope.open(told.encode()).body()) == told
    with pytest.raises(RemoteError):
        Unsupported.read([3, [24]])


def test_a_run_costs_little_beside_its_leaves() -> None:
    raws = tuple(bytes(500) for _ in range(500))
    run = Run(FEED, 0, raws, SignedHead(500, FEED, 1_800_000_000, bytes(64)))
    assert len(vocabulary.encode(Runs(1, (run,)))) < 1.01 * 500 * 500
