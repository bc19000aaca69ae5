"""Where members can be reached: address cards, signed by their device and dated (design.md §5).

How it works
    A card says "device K listens at these addresses, as of t", signed by K. A node signs its own, keeps the newest
    card of each device in its rows, sends all it has to a member whose channel comes up, and passes on each card
    that is news. Cards travel as kind 1 of the data family, between members alone.

What it does not do
    A card gives no right and proves no reachability. It never enters the ledger: addresses change and are forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gossip.messages import DATA, Envelope, a_list, parts, seal
from ledger import codec, keys
from ledger.errors import RemoteError
from ledger.feed import AHEAD_SECONDS_MAX
from ledger.rows import Reader, prefix_stop

if TYPE_CHECKING:
    from node.core import Turn

KIND_CARDS: Final = 1
DATA_VERSION: Final = 1
ADDRESSES_MAX: Final = 8
ADDRESS_LENGTH_MAX: Final = 128
CARDS_MAX: Final = 1_000  # cards in one message
NEWS: Final = "ADDRESSES"
"""Code of the note that says: some member can be reached elsewhere than before."""
_PREFIX: Final = b"card"
_CONTEXT: Final = b"maille-address-card-v1"


@dataclass(frozen=True, slots=True)
class Card:
    """One device's addresses ("host:port"), dated in unix seconds and signed (64 bytes)."""

    device: bytes
    addresses: tuple[str, ...]
    dated: int
    signature: bytes

    def as_list(self) -> list[Any]:
        """Return the card as it travels."""
        return [self.device, list(self.addresses), self.dated, self.signature]


def message_of(mesh_id: bytes, device: bytes, addresses: Sequence[str], dated: int) -> bytes:
    """Return what a device signs."""
    return _CONTEXT + codec.encode([mesh_id, device, list(addresses), dated])


def read_card(value: Any) -> Card:
    """Read a card's shape. Raises RemoteError BAD_CARD."""
    match value:
        case [bytes(device), list(addresses), int(dated), bytes(signature)]:
            sound = len(device) == 32 and len(signature) == 64 and len(addresses) <= ADDRESSES_MAX and dated >= 0
            if sound and all(type(a) is str and 0 < len(a) <= ADDRESS_LENGTH_MAX for a in addresses):
                return Card(device, tuple(addresses), dated, signature)
    raise RemoteError("BAD_CARD", "an address card is [device, addresses, time, signature]")


class Directory:
    """The cards of one mesh, kept in the rows of the open turn."""

    def announce(self, turn: Turn, addresses: Sequence[str]) -> None:
        """Sign our own card if the addresses differ from the last one, and tell every connected member."""
        own = self.card(turn.rows, turn.core.device.kid)
        if own is not None and own.addresses == tuple(addresses):
            return
        dated = max(turn.now, own.dated + 1 if own is not None else 0)
        device = turn.core.device
        signature = device.sign(message_of(turn.core.replica.mesh_id, device.kid, addresses, dated))
        self._keep(turn, [Card(device.kid, tuple(addresses), dated, signature)], None)

    def card(self, rows: Reader, device: bytes) -> Card | None:
        """Return the newest card of a device, or None."""
        row = rows.get("outbox", _PREFIX + device)
        return read_card(codec.decode(row)) if row is not None else None

    def cards(self, rows: Reader) -> list[Card]:
        """Return every card held."""
        scan = rows.scan("outbox", _PREFIX, prefix_stop(_PREFIX))
        return [read_card(codec.decode(row)) for _, row in scan]

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Take in cards from a member; those that are news are kept and passed on."""
        try:
            listed = a_list(parts(envelope.body(), 1)[0], CARDS_MAX, "cards")
            cards = [read_card(value) for value in listed]
        except RemoteError as error:
            turn.note("BAD_CARD", peer=peer.hex(), reason=error.message)
            return
        fresh = [card for card in cards if self._is_news(turn, card)]
        if fresh:
            self._keep(turn, fresh, peer)
            turn.note(NEWS, cards=len(fresh))

    def peer_up(self, turn: Turn, peer: bytes) -> None:
        """Send everything held to a member whose channel came up."""
        cards = self.cards(turn.rows)
        for at in range(0, len(cards), CARDS_MAX):
            turn.send(peer, _message(cards[at : at + CARDS_MAX]))

    def _is_news(self, turn: Turn, card: Card) -> bool:
        public = turn.core.replica.feed_key(card.device)
        held = self.card(turn.rows, card.device)
        if public is None or (held is not None and held.dated >= card.dated):
            return False
        if card.dated > turn.now + AHEAD_SECONDS_MAX:
            return False
        message = message_of(turn.core.replica.mesh_id, card.device, card.addresses, card.dated)
        return keys.verify(public, message, card.signature)

    def _keep(self, turn: Turn, cards: Iterable[Card], source: bytes | None) -> None:
        kept = list(cards)
        for card in kept:
            turn.rows.put("outbox", _PREFIX + card.device, codec.encode(card.as_list()))
        for peer in turn.core.member_peers:
            if peer != source:
                turn.send(peer, _message(kept))


def _message(cards: Iterable[Card]) -> bytes:
    return seal(DATA, DATA_VERSION, KIND_CARDS, [[card.as_list() for card in cards]])
