"""What of gossip reads bytes of others: the handshake, frames, records, every family of messages, symbols of sets.

How it works
    `gossip-peer-…` hand a message to the whole core of a node, as a member's and as a stranger's: what a parser lets
    through must not break what comes after it. A core remembers; it is made anew after so many messages, so an input
    that breaks it may need those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gossip import events as gossip
from gossip import knock, relay, seals, vocabulary, witness
from gossip.channel import Channel, Closed, Phase
from gossip.framing import FRAME_BODY_MAX, FrameBuffer, RecordBuffer, control, frame, plaintexts
from gossip.handshake import OPENING_BYTES, REPLY_BYTES, Opening, introduce, read_introduction, read_reply, refuse
from gossip.handshake import Versions as Range
from gossip.messages import (
    DATA,
    GOSSIP,
    KNOCK,
    PROTOCOL,
    RELAY,
    SEALS,
    WITNESS,
    Envelope,
    Unsupported,
    a_list,
    parts,
)
from gossip.noise import XX
from gossip.reconcile import ITEM_BYTES, SYMBOL_BYTES, Decoder, Encoder
from ledger.checkpoint import Head
from ledger.errors import RemoteError
from ledger.feed import Run, SignedHead
from ledger.witnessing import Cosigned as Line
from node import directory
from node.flows import wire
from tests.fuzz.case import Case
from tests.gossip.ends import ALICE, BOB, MALLORY, MESH, initiator, raw, responder, rng, run_raw, static_public
from tests.node.flows.test_wire import MESSAGES as DATA_MESSAGES
from tests.node.sites import Site, sites

_ID: Final = bytes(range(32))
_HEAD: Final = SignedHead(3, _ID, 1_800_000_000, bytes(64))
_CORE_LIVES: Final = 200  # messages that one core is told
_GOSSIP: Final[tuple[vocabulary.Message, ...]] = (
    vocabulary.Runs(7, (Run(_ID, 1, (b"leaf", b"other"), _HEAD, (_ID, _ID)),)),
    vocabulary.Heads(((_ID, _HEAD),)),
    vocabulary.Want(((_ID, 5),)),
    vocabulary.Got(7, ((_ID, 5),)),
    vocabulary.Summary(1, _ID, 2, b"", 0, b""),
    vocabulary.Same(1),
    vocabulary.Symbols(1, bytes(16), 0, bytes(2 * SYMBOL_BYTES)),
    vocabulary.Listed(1, 0, True, False, bytes(ITEM_BYTES)),
    vocabulary.More(1, 16),
    vocabulary.Branch(_ID, 0, 8),
    vocabulary.Leaves(_ID, 0, bytes(64)),
    vocabulary.Tick(1_800_000_100),
    vocabulary.Marks(1_800_000_000, True, ((_ID, 3, 1_800_000_000),)),
)
_KNOCK: Final[tuple[knock.KnockMessage, ...]] = (
    knock.Knock(b"secret", (b"entry",), _ID),
    knock.KnockAnswer("PENDING", b"genesis", (b"entry",)),
    knock.GenesisRequest(),
)
_SEALS: Final[tuple[seals.Message, ...]] = (
    seals.Word(1, b"message"),
    seals.Have(1, _ID, 2, ((1, 2, b"\x07"),)),
    seals.Ask(1, _ID),
    seals.Part(1, _ID, 0, 1, (Head(_ID, 3, _ID),)),
    seals.Sealed(1, b"certificate"),
)
_WITNESS: Final[tuple[witness.Message, ...]] = (
    witness.Cosigned((Line(_ID, 5, Head(_ID, 7, _ID), bytes(64)),)),
    witness.Lacking(((_ID, 7, 3),)),
)

_RELAY: Final[tuple[relay.RelayMessage, ...]] = (
    *(relay.Open(2, _ID), relay.Call(3, _ID), relay.Piece(2, b"sealed")),
    *(relay.Credit(2, 6), relay.End(2, "CLOSED")),
)


def _cards() -> bytes:
    return directory._message([directory.Card(_ID, ("192.0.2.1:7000",), 5, bytes(64))])


def messages() -> tuple[bytes, ...]:
    """Return one message of every kind."""
    return (
        Unsupported(GOSSIP, (1, 2)).encode(),
        *map(vocabulary.encode, _GOSSIP),
        *map(knock.encode, _KNOCK),
        _cards(),
        *map(wire.encode, DATA_MESSAGES),
        *map(seals.encode, _SEALS),
        *map(witness.encode, _WITNESS),
        *map(relay.encode, _RELAY),
    )


def _message(data: bytes) -> object:
    envelope = Envelope.open(data)
    match envelope.family:
        case f if f == PROTOCOL:
            return envelope, Unsupported.read(envelope.body())
        case f if f == GOSSIP:
            return envelope, vocabulary.decode(envelope)
        case f if f == KNOCK:
            return envelope, knock.decode(envelope)
        case f if f == DATA and envelope.kind == directory.KIND_CARDS:
            return envelope, [
                directory.read_card(value) for value in a_list(parts(envelope.body(), 1)[0], 1_000, "cards")
            ]
        case f if f == DATA:
            return envelope, wire.decode(envelope)
        case f if f == SEALS:
            found = seals.decode(envelope)
            return envelope, found, seals.unpack_heads(data[4:]) if len(data) % 72 == 4 else ()
        case f if f == WITNESS:
            return envelope, witness.decode(envelope)
        case f if f == RELAY:
            return envelope, relay.decode(data)
        case _:
            return envelope, envelope.body()


def _fed(channel: Channel, data: bytes) -> object:
    """Feed a channel in two pieces, and end the stream: it must end with a code, and hold little."""
    found = channel.start(0)
    for piece in (data[: len(data) // 3], data[len(data) // 3 :]):
        found += channel.receive(piece, 1)
        assert channel.pending <= FRAME_BODY_MAX
    found += channel.end_of_stream()
    assert channel.phase is Phase.CLOSED
    ended = [effect for effect in found if isinstance(effect, Closed)]
    assert len(ended) == 1
    assert ended[0].code != "STREAM_TRUNCATED" or not data or channel.pending == 0
    return found


def _answering(data: bytes) -> object:
    return _fed(Channel.responder({MESH: BOB}, rng(8).randbytes), data)


def _dialing(data: bytes) -> object:
    return _fed(Channel.initiator(ALICE, MESH, rng(9).randbytes), data)


def _first_words() -> tuple[bytes, ...]:
    return (initiator().drain(), initiator(ik=True).drain(), Opening.to(MESH, XX, 9, bytes(16)).encode())


def _answers() -> tuple[bytes, ...]:
    bob = responder(seed=8)
    bob.feed(initiator(seed=9).drain())
    return (bob.drain(), refuse("VERSION_UNSUPPORTED", Range(2, 5)), refuse("UNKNOWN_MESH", Range(1, 1)))


def _introduction(data: bytes) -> object:
    return read_introduction(data, static_public(ALICE), MESH, initiator=True)


def _introductions() -> tuple[bytes, ...]:
    said = introduce(
        ALICE.device, static_public(ALICE), MESH, initiator=True, versions=Range(1, 1), payload=b"from alice"
    )
    return (said,)


def _frames(data: bytes) -> object:
    buffer, found = FrameBuffer(4_096), []
    for at in range(0, max(1, len(data)), 700):
        buffer.push(data[at : at + 700])
        while (body := buffer.next()) is not None:
            found.append(body)
        assert buffer.pending <= 4_098
    assert data.startswith(b"".join(map(frame, found)))
    return found, buffer.pending


def _records(data: bytes) -> object:
    """Read records in pieces and at once: both must come to the same."""
    whole, parts = _taken([data]), _taken([data[at : at + 5] for at in range(0, len(data), 5)])
    assert whole[:3] == parts[:3]
    if whole[3] is not None:
        raise whole[3]
    return whole


def _taken(pieces: list[bytes]) -> tuple[list[bytes], list[bytes], str, RemoteError | None]:
    buffer, found, controls = RecordBuffer(1_000), list[bytes](), list[bytes]()
    try:
        for piece in pieces:
            buffer.feed(piece, found, controls)
            assert buffer.pending <= 1_004
    except RemoteError as error:
        return found, controls, error.code, error
    return found, controls, "", None


def _symbols(data: bytes) -> object:
    decoder = Decoder([bytes([n]) * ITEM_BYTES for n in range(5)], bytes(16))
    known = decoder.add(data)
    return known, decoder.result() if known else None


def _symbol_seeds() -> tuple[bytes, ...]:
    encoder = Encoder([bytes([n]) * ITEM_BYTES for n in range(3, 9)], bytes(16))
    return (encoder.symbols(0, 16), encoder.symbols(0, 4))


def _sealed(data: bytes) -> object:
    """Open the frame of a peer who holds the keys: what is in it is its own affair."""
    bob, end = responder(), raw(XX)
    said = introduce(MALLORY.device, static_public(MALLORY), MESH, initiator=True, versions=Range(1, 1), payload=b"")
    transport = run_raw(end, bob, said)
    assert transport is not None
    assert bob.established
    for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
        bob.feed(frame(transport.encrypt(piece)))
    assert bob.channel.pending <= FRAME_BODY_MAX
    return bob.received, bob.code, "opened"


class _Told:
    """Tells a core messages of one peer, and makes it anew now and then."""

    def __init__(self, *, member: bool) -> None:
        self._member = member
        self._site: Site | None = None
        self._kid = b""
        self._told = 0

    def __call__(self, data: bytes) -> object:
        """Tell one message; return what came of it."""
        if self._site is None or self._told >= _CORE_LIVES:
            self._begin()
        site, self._told = self._site, self._told + 1
        assert site is not None
        try:
            found = site.tell(gossip.Message(self._kid, data))
        except BaseException:
            self._site = None
            raise
        if any(isinstance(effect, gossip.Disconnect) for effect in found):
            self._site = None
        return [*found, "told"]

    def _begin(self) -> None:
        site, other = sites(2)
        self._kid = other.kid if self._member else bytes(32)
        site.act(lambda turn: turn.start())
        site.tell(gossip.PeerUp(self._kid, self._member))
        self._site, self._told = site, 0


def _openings(read: Callable[[bytes], object], size: int) -> Callable[[bytes], object]:
    """Give a reader of so many bytes exactly those: the buffer before it sees to that."""
    return lambda data: [read((data + bytes(size))[:size])]


CASES: Final[Mapping[str, Case]] = {
    "gossip-message": Case(_message, messages),
    "gossip-peer-member": Case(_Told(member=True), messages),
    "gossip-peer-stranger": Case(_Told(member=False), messages),
    "gossip-answering": Case(_answering, _first_words),
    "gossip-dialing": Case(_dialing, _answers),
    "gossip-opening": Case(
        _openings(Opening.decode, OPENING_BYTES), lambda: (Opening.to(MESH, XX, 1, bytes(16)).encode(),)
    ),
    "gossip-reply": Case(_openings(read_reply, REPLY_BYTES), lambda: (refuse("UNKNOWN_MESH", Range(1, 1)),)),
    "gossip-introduction": Case(_introduction, _introductions),
    "gossip-frames": Case(_frames, lambda: (frame(b"one") + frame(b"") + frame(bytes(900)),)),
    "gossip-records": Case(_records, lambda: (b"".join(plaintexts([b"one", bytes(300)])) + control(b"\x02CODE"),)),
    "gossip-sealed": Case(_sealed, lambda: (b"".join(plaintexts([b"one", bytes(300)])) + control(b"\x02CODE"),)),
    "gossip-symbols": Case(_symbols, _symbol_seeds),
}
"""Name -> parser and seeds."""
