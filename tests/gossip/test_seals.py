"""The messages of family 4: they come back as they went, within their bounds, and nothing else is taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip import events as gossip
from gossip.messages import FAMILY_BYTES_MAX, SEALS, Envelope, seal
from gossip.seals import ROWS_MAX, Ask, Have, Message, Part, Sealed, Word, decode, encode, pack_heads, unpack_heads
from ledger.checkpoint import Head
from ledger.errors import RemoteError
from ledger.governance.certificate import CERTIFICATE_BYTES_MAX
from ledger.governance.rounds import MESSAGE_BYTES_MAX
from ledger.kinds import FRONTIER_HEADS_MAX, FRONTIER_PARTS_MAX
from tests.gossip.worlds import World

ids = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**31)
heads = st.lists(st.builds(Head, ids, st.integers(0, 2**48), ids), max_size=4).map(tuple)
rows = st.lists(st.tuples(numbers, st.integers(0, 2), st.binary(min_size=1, max_size=64)), max_size=4).map(tuple)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Word, numbers, st.binary(min_size=1, max_size=400)),
    st.builds(Have, numbers, ids, numbers, rows),
    st.builds(Ask, numbers, ids),
    st.builds(Part, numbers, ids, st.integers(0, 63), st.just(64), heads),
    st.builds(Sealed, numbers, st.binary(min_size=1, max_size=400)),
)


@given(messages)
def test_messages_come_back(message: Message) -> None:
    data = encode(message)
    envelope = Envelope.open(data)
    assert (envelope.family, envelope.version, envelope.kind) == (SEALS, 1, message.KIND)
    assert decode(envelope) == message


@given(heads)
def test_heads_come_back(listed: tuple[Head, ...]) -> None:
    assert unpack_heads(pack_heads(listed)) == listed


def test_the_largest_messages_fit() -> None:
    head = Head(b"f" * 32, 2**48, b"r" * 32)
    bits = b"\xff" * 64
    largest: list[Message] = [
        Word(2**31, bytes(MESSAGE_BYTES_MAX)),
        Have(2**31, bytes(32), 2**31, tuple((2**31, 2, bits) for _ in range(ROWS_MAX))),
        Part(2**31, bytes(32), FRONTIER_PARTS_MAX - 1, FRONTIER_PARTS_MAX, (head,) * FRONTIER_HEADS_MAX),
        Sealed(2**31, bytes(CERTIFICATE_BYTES_MAX)),
    ]
    for message in largest:
        data = encode(message)
        assert len(data) <= FAMILY_BYTES_MAX[SEALS]
        assert decode(Envelope.open(data)) == message


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (1, [0]),
        (1, [0, b""]),
        (1, [-1, b"x"]),
        (1, [True, b"x"]),
        (1, [0, bytes(MESSAGE_BYTES_MAX + 1)]),
        (2, [0, bytes(31), 0, []]),
        (2, [0, bytes(32), -1, []]),
        (2, [0, bytes(32), 0, [[0, 3, b"x"]]]),
        (2, [0, bytes(32), 0, [[0, 0, b""]]]),
        (2, [0, bytes(32), 0, [[0, 0, bytes(65)]]]),
        (2, [0, bytes(32), 0, [[0, 0, b"x"]] * (ROWS_MAX + 1)]),
        (3, [0, "x"]),
        (4, [0, bytes(32), 0, 0, b""]),
        (4, [0, bytes(32), 1, 1, b""]),
        (4, [0, bytes(32), 0, FRONTIER_PARTS_MAX + 1, b""]),
        (4, [0, bytes(32), 0, 1, bytes(71)]),
        (4, [0, bytes(32), 0, 1, bytes(72 * (FRONTIER_HEADS_MAX + 1))]),
        (5, [0, bytes(CERTIFICATE_BYTES_MAX + 1)]),
    ],
)
def test_other_values_are_refused(kind: int, body: list[Any]) -> None:
    with pytest.raises(RemoteError, match="BAD_MESSAGE"):
        decode(Envelope.open(seal(SEALS, 1, kind, body)))


def test_an_unknown_kind_is_ignored() -> None:
    assert decode(Envelope.open(seal(SEALS, 1, 9, [1, 2, 3]))) is None


@given(st.binary(max_size=80))
def test_noise_is_refused_or_read(noise: bytes) -> None:
    code, told = "", None
    try:
        told = decode(Envelope.open(bytes([0x87, SEALS, 1, 2]) + noise))
    except RemoteError as error:
        code = error.code
    assert code == "BAD_MESSAGE" or isinstance(told, Have)


def test_the_swarm_hands_on_what_members_say_and_ignores_strangers() -> None:
    world = World(2)
    node, member = world.nodes
    data = encode(Ask(0, bytes(32)))
    node.tell(gossip.PeerUp(b"s" * 32, False))
    node.tell(gossip.PeerUp(member.kid, True))
    assert node.swarm.handle(gossip.Message(b"s" * 32, data), world.now_ms) == []
    assert node.swarm.counters["not_a_member"] == 1
    (told,) = node.swarm.handle(gossip.Message(member.kid, data), world.now_ms)
    assert told == gossip.SealMessage(member.kid, Envelope.open(data))
