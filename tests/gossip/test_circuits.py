"""A relay's circuits: pieces go where they belong, and whoever floods, lies about credits or overstays is cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.circuits import IDLE_MS_MAX, MESSAGE_COST, Circuits, Numbers, Out, RelayLimits
from gossip.messages import RELAY, Envelope, seal
from gossip.relay import (
    CIRCUITS_MAX,
    PIECE_BYTES_MAX,
    WINDOW_BYTES,
    Call,
    Credit,
    End,
    Open,
    Piece,
    RelayMessage,
    decode,
    encode,
    is_relayed,
)
from ledger.errors import RemoteError

OWN, ADA, BOB, EVE = (bytes([n]) * 32 for n in (5, 1, 9, 3))
LIMITS = RelayLimits(4, 2, 100_000, 600_000)

numbers = st.integers(0, CIRCUITS_MAX)
devices = st.sampled_from([ADA, BOB, EVE])
small = st.integers(0, 12)
messages: st.SearchStrategy[RelayMessage] = st.one_of(
    st.builds(Open, small, devices),
    st.builds(Call, small, devices),
    st.builds(Piece, small, st.binary(min_size=1, max_size=20)),
    st.builds(Piece, small, st.just(b"x" * PIECE_BYTES_MAX)),
    st.builds(Credit, small, st.integers(1, WINDOW_BYTES)),
    st.builds(End, small, st.just("CLOSED")),
)


def relay(limits: RelayLimits | None = LIMITS) -> Circuits:
    return Circuits(Numbers(lambda: OWN), lambda: limits)


def opened(circuits: Circuits, number: int = 2, now: int = 0) -> int:
    """Have ada open a circuit to bob; return its number there."""
    ((device, call),) = circuits.handle(ADA, ADA, Open(number, BOB), True, now)
    assert (device, type(call)) == (BOB, Call)
    assert isinstance(call, Call)
    assert call.device == ADA
    return call.circuit


@given(messages)
def test_messages_come_back(message: RelayMessage) -> None:
    data = encode(message)
    assert is_relayed(data)
    assert Envelope.open(data).family == RELAY
    assert decode(data) == message


@pytest.mark.parametrize(
    "body",
    [
        (1, [2]),
        (1, [-1, ADA]),
        (1, [2, b"short"]),
        (2, [2, ADA, 1]),
        (3, [2, b""]),
        (3, [2, b"x" * (PIECE_BYTES_MAX + 1)]),
        (4, [2, 0]),
        (4, [2, WINDOW_BYTES + 1]),
        (5, [2, "small letters"]),
        (5, [CIRCUITS_MAX + 1, "CODE"]),
    ],
)
def test_what_is_not_so_is_refused(body: tuple[int, list[object]]) -> None:
    with pytest.raises(RemoteError) as refused:
        decode(seal(RELAY, 1, *body))
    assert refused.value.code == "BAD_MESSAGE"


def test_unknown_kinds_and_versions_are_ignored() -> None:
    assert decode(seal(RELAY, 1, 9, [])) is None
    assert decode(seal(RELAY, 2, 1, [])) is None
    with pytest.raises(RemoteError):
        decode(seal(1, 1, 1, []))


def test_pieces_and_credits_go_to_the_other_end() -> None:
    circuits = relay()
    there = opened(circuits)
    assert circuits.handle(ADA, ADA, Piece(2, b"hello"), False, 1) == [(BOB, Piece(there, b"hello"))]
    assert circuits.handle(BOB, BOB, Piece(there, b"hi"), False, 1) == [(ADA, Piece(2, b"hi"))]
    assert circuits.handle(BOB, BOB, Credit(there, 5), False, 2) == [(ADA, Credit(2, 5))]
    assert circuits.handle(BOB, BOB, End(there, "CLOSED"), False, 2) == [(ADA, End(2, "CLOSED"))]
    assert len(circuits) == 0
    assert circuits.handle(ADA, ADA, Piece(2, b"late"), False, 3) == []
    assert circuits.passed == 7


def test_who_cannot_open() -> None:
    assert relay(None).handle(ADA, ADA, Open(2, BOB), True, 0) == [(ADA, End(2, "NO_RELAY"))]
    circuits = relay()
    assert circuits.handle(ADA, ADA, Open(3, BOB), True, 0) == [(ADA, End(3, "BAD_CIRCUIT"))]  # our side's number
    assert circuits.handle(ADA, ADA, Open(2, ADA), True, 0) == [(ADA, End(2, "BAD_CIRCUIT"))]
    assert circuits.handle(ADA, ADA, Open(2, BOB), False, 0) == [(ADA, End(2, "NOT_HERE"))]
    opened(circuits, 2)
    assert circuits.handle(ADA, ADA, Open(2, BOB), True, 0) == [(ADA, End(2, "BAD_CIRCUIT"))]
    opened(circuits, 4)
    assert circuits.handle(ADA, ADA, Open(6, BOB), True, 0) == [(ADA, End(6, "RELAY_BUSY"))]
    assert len(circuits) == 2


def test_beyond_the_window_a_circuit_ends() -> None:
    circuits = relay()
    there = opened(circuits)
    piece = Piece(2, b"x" * PIECE_BYTES_MAX)
    for _ in range(WINDOW_BYTES // PIECE_BYTES_MAX):
        assert circuits.handle(ADA, ADA, piece, False, 1) == [(BOB, Piece(there, piece.data))]
    assert circuits.handle(ADA, ADA, piece, False, 1) == [(ADA, End(2, "FLOODED")), (BOB, End(there, "FLOODED"))]


def test_credit_for_what_never_came_ends_it() -> None:
    circuits = relay()
    there = opened(circuits)
    circuits.handle(ADA, ADA, Piece(2, b"12345"), False, 1)
    assert circuits.handle(BOB, BOB, Credit(there, 6), False, 1)[0] == (ADA, End(2, "BAD_CREDIT"))


def test_a_member_in_debt_waits_and_opens_no_more() -> None:
    circuits = relay(RelayLimits(4, 4, 16_384, 600_000))
    there = opened(circuits)
    for _ in range(4):
        circuits.handle(ADA, ADA, Piece(2, b"x" * PIECE_BYTES_MAX), False, 1)
    assert circuits.handle(BOB, BOB, Credit(there, 4 * PIECE_BYTES_MAX), False, 2) == []
    assert circuits.handle(ADA, ADA, Open(4, BOB), True, 3) == [(ADA, End(4, "RELAY_BUSY"))]
    assert circuits.handle(EVE, EVE, Open(2, BOB), True, 3)[0][0] == BOB  # nobody pays for another
    assert circuits.tick(1_000) == []
    assert circuits.tick(3_200) == [(ADA, Credit(2, 4 * PIECE_BYTES_MAX))]
    assert circuits.tick(3_300) == []


def test_what_is_too_long_too_silent_or_gone_ends() -> None:
    circuits = relay()
    there = opened(circuits)
    assert (BOB, End(there, "IDLE")) in circuits.tick(IDLE_MS_MAX)
    there = opened(circuits, 4)
    for now in range(0, LIMITS.circuit_ms, IDLE_MS_MAX // 2):
        circuits.handle(ADA, ADA, Piece(4, b"x"), False, now)
        assert circuits.tick(now) == []
    assert (ADA, End(4, "TIME_UP")) in circuits.tick(LIMITS.circuit_ms)
    there = opened(circuits, 6)
    assert circuits.gone(ADA) == [(BOB, End(there, "GONE"))]
    assert circuits.gone(ADA) == []


@given(st.lists(st.tuples(devices, messages, st.booleans(), st.integers(0, 2_000)), max_size=60))
def test_whatever_peers_say_the_relay_stays_within_its_bounds(
    told: list[tuple[bytes, RelayMessage, bool, int]],
) -> None:
    circuits, now = relay(), 0
    on_way: dict[tuple[bytes, int], int] = {}
    for peer, message, reach, passed in told:
        now += passed
        out: list[Out] = circuits.handle(peer, peer, message, reach, now) + circuits.tick(now)
        for device, said in out:
            assert decode(encode(said)) == said
            if isinstance(said, Piece):
                on_way[device, said.circuit] = on_way.get((device, said.circuit), 0) + len(said.data)
                assert isinstance(message, Piece)
                assert said.data == message.data
        assert len(circuits) <= LIMITS.circuits
        for circuit in circuits._all():
            assert all(
                0 <= owed <= flight <= WINDOW_BYTES for owed, flight in zip(circuit.owed, circuit.flight, strict=True)
            )
    for device in (ADA, BOB, EVE):
        circuits.gone(device)
    assert len(circuits) == 0
    assert MESSAGE_COST > 0
