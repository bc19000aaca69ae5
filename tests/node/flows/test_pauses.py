"""Pauses between tries: what waits costs less and less, goes on when something changes, and nobody can make it dear."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.messages import DATA, Envelope
from ledger.entry import Entry
from node.adapters import senml
from node.flows import wire
from node.flows.pauses import ANEW_MS, PAUSE_FIRST_MS, PAUSE_MAX_MS, Pauses, pause_ms
from node.flows.sending import WINDOW_PACKS
from node.vaults.transfers import ASKED, DONE, Tally
from tests.node.flows.probes import deliver
from tests.node.flows.world import LONG, Side, World, terms

MINUTES = 4
LOOKED = 60 * MINUTES


class Counting(World):
    """A mesh that counts what is said in family 3, by who says it."""

    def __init__(self) -> None:
        self.said: Counter[tuple[bytes, str]] = Counter()
        super().__init__(3)
        self.import_series(LONG)

    def post(self, source: Side, peer: bytes, data: bytes) -> None:
        """Count a message, and put it on its way."""
        if data[1] == DATA and (message := wire.decode(Envelope.open(data))) is not None:
            self.said[source.device.kid, type(message).__name__] += 1
        super().post(source, peer, data)

    def count(self, side: Side, what: type[wire.Message]) -> int:
        """Return how often a side has said something."""
        return self.said[side.device.kid, what.__name__]

    def unheard(self) -> Entry:
        """Return a consent whose content the recipient does not have; the host that has it is away."""
        host = self.sides[2]
        grant, _ = self.grant(terms(LONG), at=host, pump=False)
        mute = (host.device.kid, self.recipient.device.kid)
        while ways := self.waiting():
            self.queues[mute].clear()
            for way in ways:
                deliver(self, self.side(way[0]), self.side(way[1]))
        self.leave(host)
        self.pump()
        self.pass_time(1)
        assert self.recipient.entry(grant.id) is not None, "the ledger goes another way"
        return grant

    def minutes(self) -> None:
        """Let time pass, second by second."""
        for _ in range(LOOKED):
            self.pass_time(1)

    def whole(self, transfer: bytes) -> list[object]:
        """Return the records that the recipient holds of a transfer."""
        packs = self.recipient.packs(transfer)
        return [(r.start, r.value) for pack in packs for series in senml.decode_cbor(pack) for r in series]


@pytest.mark.parametrize("pull", [True, False])
def test_content_that_does_not_come_costs_less_and_less(pull: bool) -> None:
    world = Counting()
    grant = world.unheard()
    transfer = world.ask(grant=grant.id) if pull else world.send(grant=grant.id)[0]
    world.minutes()
    tries = 6 + LOOKED * 1_000 // (PAUSE_MAX_MS // 2)
    assert 6 <= world.count(world.holder, wire.Chunk) <= WINDOW_PACKS + tries
    assert world.count(world.recipient, wire.Ask) <= (tries if pull else 0)
    row = world.recipient.received(transfer)
    assert row.state == ASKED if row is not None else not pull

    world.come_back(world.sides[2])  # and with it, what the consent says
    world.pump()
    world.pass_time(1)
    row = world.recipient.received(transfer)
    assert row is not None
    assert row.state == DONE
    assert world.whole(transfer) == [(r.start, r.value) for r in LONG]


def test_what_waited_goes_on_after_either_end_began_anew() -> None:
    world = Counting()
    transfer = world.ask(grant=world.unheard().id)
    for side in (world.recipient, world.holder):
        world.restart(side)
        world.minutes()
    world.restart(world.recipient)
    world.come_back(world.sides[2])
    world.pump()
    for _ in range(PAUSE_MAX_MS // 1_000):
        world.pass_time(1)
    assert world.whole(transfer) == [(r.start, r.value) for r in LONG]


@pytest.mark.parametrize("how", ["asks", "refuses", "stands", "reconnects"])
def test_a_recipient_that_asks_again_and_again_is_served_at_a_bounded_rate(how: str) -> None:
    world = Counting()
    grant = world.unheard()
    transfer = world.ask(grant=grant.id)
    world.pump()
    tally = Tally.begin(transfer)
    bad: dict[str, list[wire.Message]] = {
        "asks": [wire.Ask(transfer, world.wanted(grant=grant.id))],
        "refuses": [wire.Refuse(transfer, "STALE", False, 0, tally.chain)],
        "stands": [
            wire.Refuse(transfer, "STALE", False, 0, tally.chain),
            wire.Got(transfer, 0, tally.chain, final=False),
        ],
        "reconnects": [],
    }
    for _ in range(LOOKED):
        for message in bad[how] * 5:
            world.recipient.say(world.holder, message)
        if how == "reconnects":
            world.disconnect(world.recipient)
            world.connect(world.recipient)
        world.pass_time(1)
    rounds = 2 + LOOKED * 1_000 // ANEW_MS
    tries = rounds * 5  # pauses begin again with each
    assert world.count(world.holder, wire.Chunk) <= rounds * WINDOW_PACKS + tries


def test_no_message_puts_off_the_next_look() -> None:
    world = Counting()
    world.send(grant=world.unheard().id)
    world.pump()
    planned = world.holder.timers["data:retry"]
    world.now += 0
    world.recipient.say(world.holder, wire.Got(bytes(16), 0, bytes(32), final=False))
    world.pump()
    assert world.holder.timers["data:retry"] == planned


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**40))
def test_pauses_grow_to_their_cap_and_no_two_transfers_are_alike(name: bytes, tries: int) -> None:
    pause = pause_ms(name, tries)
    longest = min(PAUSE_FIRST_MS << min(tries, 10), PAUSE_MAX_MS)
    assert longest // 2 <= pause <= longest
    assert len({pause_ms(name + bytes([n]), tries) for n in range(8)}) > 1


@given(st.lists(st.tuples(st.sampled_from("tam"), st.integers(0, 20_000)), max_size=60))
def test_whatever_is_said_tries_stay_rare(steps: list[tuple[str, int]]) -> None:
    pauses, name, now, tried, anew = Pauses(), b"n", 0, 0, 0
    for what, pause in steps:
        now += pause
        if what == "a" and pauses.anew(name, now):
            anew += 1
            assert pauses.due(name, now)
        elif what == "t" and pauses.due(name, now):
            pauses.tried(name, now)
            assert not pauses.due(name, now)
            tried += 1
    assert anew <= 1 + now // ANEW_MS
    few = 6  # until the cap
    assert tried <= (anew + 1) * few + now // (PAUSE_MAX_MS // 2)


def test_a_clock_that_is_set_back_stops_no_tries() -> None:
    pauses, name, ahead = Pauses(), b"n", 10**9
    assert pauses.anew(name, ahead)
    pauses.tried(name, ahead)
    assert pauses.due(name, 0)
    assert pauses.anew(name, 0)
    pauses.tried(name, 0)
    assert not pauses.due(name, 1)
    assert not pauses.anew(name, 1)
