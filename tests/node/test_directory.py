"""Address cards: signed by their device, the newest counts, passed on once, and bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip import events as gossip
from gossip.messages import DATA, Envelope, seal
from ledger.errors import RemoteError
from ledger.feed import AHEAD_SECONDS_MAX
from node.core import Noted
from node.directory import ADDRESSES_MAX, CARDS_MAX, DATA_VERSION, KIND_CARDS, Card, message_of, read_card
from tests.node.sites import NOW, Site, key, sites


def cards(site: Site) -> dict[bytes, tuple[str, ...]]:
    """Return the addresses a site knows."""
    with site.store.read() as rows:
        return {card.device: card.addresses for card in site.core.directory.cards(rows)}


def signed(site: Site, addresses: tuple[str, ...], dated: int) -> Card:
    """Return a card of a site's device."""
    message = message_of(site.core.replica.mesh_id, site.kid, addresses, dated)
    return Card(site.kid, addresses, dated, site.who.device.sign(message))


def message(*told: Card) -> bytes:
    """Return the message that carries cards."""
    return seal(DATA, DATA_VERSION, KIND_CARDS, [[card.as_list() for card in told]])


def meet(*all_sites: Site) -> None:
    """Let every site have a channel to every other."""
    for site in all_sites:
        site.tell(*(gossip.PeerUp(other.kid, False) for other in all_sites if other is not site))


def card_messages(site: Site, peer: Site) -> list[bytes]:
    """Return the card messages that the last turn sent to a peer."""
    return [data for data in site.sent(peer.kid) if Envelope.open(data).family == DATA]


@pytest.mark.covers("R11")
def test_an_announcement_spreads_and_is_passed_on_once() -> None:
    one, two, three = sites(3)
    meet(one, two, three)
    one.act(lambda turn: turn.core.directory.announce(turn, ["192.0.2.1:7000"]))
    (data,) = card_messages(one, two)
    two.tell(gossip.Message(one.kid, data))
    assert cards(two) == {one.kid: ("192.0.2.1:7000",)}
    assert card_messages(two, three) == [data]
    assert card_messages(two, one) == []
    two.tell(gossip.Message(three.kid, data))
    assert card_messages(two, three) == card_messages(two, one) == []
    one.act(lambda turn: turn.core.directory.announce(turn, ["192.0.2.1:7000"]))
    assert card_messages(one, two) == []  # nothing changed


def test_a_member_that_comes_up_is_told_everything() -> None:
    one, two, three = sites(3)
    one.tell(gossip.Message(two.kid, b""))
    one.tell(gossip.PeerUp(two.kid, False))
    one.tell(gossip.Message(two.kid, message(signed(two, ("a:1",), NOW))))
    one.act(lambda turn: turn.core.directory.announce(turn, ["b:2"]))
    one.tell(gossip.PeerUp(three.kid, False))
    (data,) = card_messages(one, three)
    three.tell(gossip.PeerUp(one.kid, False), gossip.Message(one.kid, data))
    assert cards(three) == {two.kid: ("a:1",), one.kid: ("b:2",)}


def test_a_newer_card_replaces_an_older_one_even_with_a_clock_that_stepped_back() -> None:
    one, two = sites(2)
    meet(one, two)
    one.act(lambda turn: turn.core.directory.announce(turn, ["a:1"]))
    one.now_ms -= 60_000
    one.act(lambda turn: turn.core.directory.announce(turn, ["b:2"]))
    (newer,) = card_messages(one, two)
    two.tell(gossip.Message(one.kid, newer))
    assert cards(two) == {one.kid: ("b:2",)}
    two.tell(gossip.Message(one.kid, message(signed(one, ("c:3",), NOW - 5))))
    assert cards(two) == {one.kid: ("b:2",)}


def test_what_the_device_did_not_say_is_not_believed() -> None:
    one, two, three = sites(3)
    meet(one, two, three)
    good = signed(three, ("a:1",), NOW)
    stranger = key(1)
    foreign = Card(
        stranger.kid,
        ("x:1",),
        NOW,
        stranger.sign(message_of(one.core.replica.mesh_id, stranger.kid, ("x:1",), NOW)),
    )
    for bad in (
        Card(good.device, ("evil:1",), good.dated, good.signature),
        Card(good.device, good.addresses, good.dated + 1, good.signature),
        signed(three, ("a:1",), NOW + AHEAD_SECONDS_MAX + 1),
        foreign,
    ):
        one.tell(gossip.Message(two.kid, message(bad)))
        assert cards(one) == {}
        assert card_messages(one, three) == []


def test_many_cards_take_several_messages() -> None:
    one, two = sites(2)
    one.tell(gossip.PeerUp(two.kid, False))
    count = CARDS_MAX + 10

    def fill(turn: Any) -> None:
        own = signed(two, ("a:1",), NOW)
        kept = [Card(number.to_bytes(32, "big"), own.addresses, NOW, own.signature) for number in range(count)]
        turn.core.directory._keep(turn, kept, two.kid)

    one.act(fill)
    one.tell(gossip.PeerUp(two.kid, False))
    sizes = [len(Envelope.open(data).body()[0]) for data in card_messages(one, two)]
    assert sum(sizes) == count
    assert max(sizes) <= CARDS_MAX


@given(
    st.one_of(
        st.lists(st.one_of(st.binary(max_size=64), st.integers(), st.lists(st.text(max_size=5))), max_size=5),
        st.just([bytes(32), ["a:1"] * (ADDRESSES_MAX + 1), NOW, bytes(64)]),
        st.just([bytes(32), [""], NOW, bytes(64)]),
        st.just([bytes(32), ["a" * 129], NOW, bytes(64)]),
        st.just([bytes(32), ["a:1"], -1, bytes(64)]),
        st.just([bytes(32), ["a:1"], NOW, bytes(63)]),
    )
)
def test_a_card_of_another_shape_is_refused(value: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        read_card(value)
    assert caught.value.code == "BAD_CARD"


@pytest.mark.parametrize("body", [[], [5], [[1]], [[[]] * (CARDS_MAX + 1)], [[], []]])
def test_a_malformed_message_is_noted_and_costs_nothing(body: list[Any]) -> None:
    one, two = sites(2)
    meet(one, two)
    effects = one.tell(gossip.Message(two.kid, seal(DATA, DATA_VERSION, KIND_CARDS, body)))
    assert [e.code for e in effects if isinstance(e, Noted)] == ["BAD_CARD"]
    assert cards(one) == {}
