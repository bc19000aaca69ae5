"""Crafted messages on live nodes: whatever a member says, no pack leaves that a consent does not cover then and there.

How it works
    A holder has readings of several points and kinds, and a few narrow consents. A recipient, and a third member who
    has none, send whatever they like: questions for more, acknowledgements of what never came, refusals, packs and
    "that was all", repeated and reordered, while consents are withdrawn between them. Every message that leaves the
    holder is read on the wire: each pack must lie within a consent in force at that very moment.

What it does not do
    Messages of other families (gossip, sealing) carry no readings; their tests are elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gossip.messages import DATA, Envelope
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.schema import DAY
from node.adapters import household, senml
from node.flows import wire
from node.vaults.transfers import Wanted
from tests.conftest import PROFILE
from tests.node.flows.probes import signed_pack
from tests.node.flows.world import DAILY, LOAD_CURVE, NOW, SHORT, Side, World, terms

RUNS = {"ci": 12, "nightly": 400}[PROFILE]
STEPS = 60
OTHER_POINT = household.load_curve(2, SHORT.starts[0], 10)
TOTALS = household.daily_totals(1, SHORT.starts[0], 10)
WINDOW = (SHORT.starts[0], SHORT.starts[0] + 3 * DAY)


@dataclass
class Watch:
    """Reads what leaves the holder, and holds each pack to the consents in force."""

    world: World
    grants: dict[bytes, tuple[Entry, Any]] = field(default_factory=dict)
    packs: int = 0
    refusals: int = 0

    def __post_init__(self) -> None:
        post: Callable[[Side, bytes, bytes], None] = self.world.post

        def watched(source: Side, peer: bytes, data: bytes) -> None:
            if source is self.world.holder and data[1] == DATA:
                self.read(peer, data)
            post(source, peer, data)

        self.world.post = watched  # type: ignore[method-assign]

    def read(self, peer: bytes, data: bytes) -> None:
        """Hold one message to the rule."""
        message = wire.decode(Envelope.open(data))
        self.refusals += isinstance(message, wire.Refuse)
        if not isinstance(message, wire.Chunk):
            assert SHORT.key.point.encode() not in data or isinstance(message, wire.Disclose)
            return
        self.packs += 1
        assert message.grant in self.grants
        entry, granted = self.grants[message.grant]
        assert peer == self.world.recipient.device.kid
        with self.world.holder.ledger.read() as rows:  # as it was before the turn that sends
            status = self.world.holder.core.replica.consent(rows, entry.id)
        assert status is not None
        assert status.state is State.GRANTED
        for series in senml.decode_cbor(message.pack):
            assert series.key.point in granted.points
            assert series.key.kind == granted.pii_type.kind
            assert series.key.granularity == granted.granularity
            start, stop = granted.data_period[0]
            assert all(start <= at < stop for at in series.starts)


def _world(seed: int, *, turned: bool = False) -> tuple[World, Watch]:
    world = World(3, seed=seed, turned=turned)
    world.import_series(SHORT, OTHER_POINT, TOTALS)
    watch = Watch(world)
    for given in (terms(SHORT, data_period=(WINDOW,)), terms(TOTALS, data_period=(WINDOW,))):
        grant, _ = world.grant(given)
        watch.grants[grant.id] = (grant, given)
    return world, watch


def _wanted(world: World, watch: Watch, source: random.Random) -> Wanted:
    who = [world.holder.party, world.recipient.party, world.sides[2].party]
    usual = (world.holder.party, world.recipient.party)
    parties = usual if source.random() < 0.7 else (source.choice(who), source.choice(who))
    return Wanted(
        *parties,
        source.choice([None, None, *watch.grants, bytes(32)]),
        source.choice([None, None, SHORT.key.point, OTHER_POINT.key.point]),
        source.choice([None, None, LOAD_CURVE, DAILY]),
        source.choice([None, None, "PT30M", "PT10M", "P1D"]),
        source.choice([None, None, WINDOW, (WINDOW[0], WINDOW[1] + DAY), (0, NOW)]),
        source.choice([None, None, "Advice on insulation", "Research"]),
    )


def _message(world: World, watch: Watch, source: random.Random, transfers: list[bytes]) -> wire.Message:
    transfer = source.choice(transfers) if transfers and source.random() < 0.6 else source.randbytes(16)
    number = source.randrange(4)
    match source.randrange(7):
        case 0 | 1 | 2:
            transfers.append(transfer)
            return wire.Ask(transfer, _wanted(world, watch, source))
        case 3:
            return wire.Got(transfer, number, source.choice([bytes(32), source.randbytes(32)]), source.random() < 0.3)
        case 4:
            return wire.Done(transfer, number)
        case 5:
            return wire.Refuse(transfer, source.choice(["STALE", "ALLOWED", "X"]), source.random() < 0.5, number)
        case _:
            grant = source.choice([*watch.grants, bytes(32)])
            return signed_pack(world.recipient, world.holder, transfer, grant, SHORT)


def _attack(seed: int, *, turned: bool = False) -> Watch:
    source = random.Random(seed)
    world, watch = _world(seed, turned=turned)
    transfers: list[bytes] = []
    for _ in range(STEPS):
        match source.randrange(12):
            case 0 if source.random() < 0.3:
                gone = source.choice(list(watch.grants))
                world.withdraw(watch.grants[gone][0])
            case 1:
                world.pass_time(source.choice([1, 30, 700]))
            case 2:
                for way in world.waiting():
                    if source.random() < 0.3:
                        world.lose(way, 0)
            case 3:
                side = source.choice(world.sides[1:])
                world.disconnect(side)
                world.connect(side)
            case _:
                attacker = source.choice(world.sides[1:])
                attacker.say(world.holder, _message(world, watch, source, transfers))
        for way in world.waiting():
            if world.queues[way] and source.random() < 0.7:
                world.step(way, source.randrange(len(world.queues[way])) if source.random() < 0.2 else 0)
    world.pump()
    return watch


@pytest.mark.parametrize("run", range(RUNS))
def test_no_message_gets_more_than_is_granted(run: int, request: pytest.FixtureRequest) -> None:
    assert _attack(int(request.config.getoption("hypothesis_seed")) + run).refusals > 0


def test_a_holder_without_a_gate_is_caught_by_the_same_watch() -> None:
    caught = 0
    for seed in range(5):
        try:
            _attack(seed, turned=True)
        except AssertionError:
            caught += 1
    assert caught > 0


def test_what_is_asked_for_well_does_leave() -> None:
    """The watch would see a pack if there were one."""
    world, watch = _world(1)
    for grant in watch.grants:
        world.ask(grant=grant)
    world.pump()
    assert watch.packs >= 2
    before = watch.packs
    for entry, _ in list(watch.grants.values()):
        world.withdraw(entry)
    world.pump()
    for grant in watch.grants:
        world.ask(grant=grant)
    world.recipient.say(world.holder, wire.Ask(b"z" * 16, replace(world.wanted(), point=SHORT.key.point)))
    world.pump()
    assert watch.packs == before
