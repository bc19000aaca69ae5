"""Withdrawals under partition: nothing flows later than the bound that each measure of freshness gives (consent.md §3).

How it works
    Five voters, one of whom holds data, exchange real messages; partitions are drawn anew every minute or so, and data
    are asked for all the time. A withdrawal is made somewhere. Every pack that leaves the holder is noted with the
    moment. `home`: none leaves later than max_staleness after the withdrawal was made at the home, whoever is cut off
    from whom. `quorum`: none leaves later than max_staleness after the withdrawal stood in half the voters' feeds.

What it does not do
    Clocks agree here, and hosts are honest: forged checkpoints are tested with the ledger.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from gossip.messages import DATA, Envelope
from ledger.entry import Entry
from ledger.governance.epoch import Policy
from ledger.schema import DAY
from node.core import Turn
from node.flows import wire
from node.flows.consenting import Offer
from tests.conftest import PROFILE
from tests.node.flows.world import SHORT, Side, World, terms

RUNS = {"ci": 4, "nightly": 150}[PROFILE]
STALENESS = 600
VOTERS = 5
STEP_SECONDS = 40
STEPS = 90
POLICY = Policy(max_staleness_seconds=STALENESS)
HALF = (VOTERS + 1) // 2


@dataclass
class Net:
    """A world whose messages pass within groups alone, and who sent packs when."""

    world: World
    groups: list[set[int]] = field(default_factory=lambda: [set(range(1, VOTERS + 1))])
    left: dict[bytes, list[int]] = field(default_factory=dict)  # grant -> moments at which packs left the holder

    def __post_init__(self) -> None:
        post = self.world.post

        def passed(source: Side, peer: bytes, data: bytes) -> None:
            if source is self.world.holder and data[1] == DATA:
                message = wire.decode(Envelope.open(data))
                if isinstance(message, wire.Chunk):
                    self.left.setdefault(message.grant, []).append(self.world.now)
            target = self.world.side(peer).number
            if any({source.number, target} <= group for group in self.groups):
                post(source, peer, data)

        self.world.post = passed  # type: ignore[method-assign]

    def cut(self, groups: list[set[int]]) -> None:
        """Partition the mesh so; channels that cross a cut end, those within a group are made anew."""
        self.groups = groups
        for side in self.world.sides:
            self.world.disconnect(side)
        for side in self.world.sides:
            self.world.connect(side)
        self.world.pump()

    def step(self) -> None:
        """Let some time pass in which everybody beats, and data are asked for."""
        self.world.pass_time(STEP_SECONDS)
        for grant in list(self.left):
            self.world.ask(grant=grant)
        self.world.pump()


def _granted(world: World, at: Side, home: bytes | None) -> Entry:
    given = terms(SHORT, freshness=() if home is None else (home,))
    offer = Offer(world.holder.party, world.recipient.party, given, world.now + 300 * DAY)

    def act(turn: Turn) -> Entry:
        acts = at.flows.acts
        if not any(hosted.name == "anna" for hosted in at.flows.wallets.listing(turn.vault)):
            acts.create_wallet(turn, "anna")
        return acts.grant(turn, "anna", offer, acts.notice(turn, offer, ("holder", "recipient")))[0]

    grant = at.act(act)
    world.pump()
    return grant


def _registered(world: World, withdrawal: bytes) -> int:
    """Return in how many voters' feeds a withdrawal stands, by what each of them holds of its own."""

    def own(side: Side, turn: Turn) -> bool:
        replica = turn.core.replica
        row = replica.feeds.get(side.device.kid)
        return row is not None and any(number == row.number for number, _ in replica.places(turn.rows, withdrawal))

    return sum(side.look(lambda turn, side=side: own(side, turn)) for side in world.sides)  # type: ignore[misc]


def _random_groups(source: random.Random) -> list[set[int]]:
    numbers = list(range(1, VOTERS + 1))
    source.shuffle(numbers)
    cut = source.choice([0, 0, 1, 2, 3])
    groups = [set(numbers[:cut]), set(numbers[cut:])]
    # Holder and recipient are mostly together: apart nothing flows anyway.
    if source.random() < 0.8:
        for group in groups:
            group.discard(2)
        next(group for group in groups if 1 in group).add(2)
    return [group for group in groups if group]


def _run(seed: int, *, home: bool) -> tuple[list[int], int, int | None]:
    """Return when packs left, when the withdrawal was made, and when it stood in half of the voters' feeds."""
    source = random.Random(f"{seed} {home}")
    world = World(VOTERS, seed=seed, policy=POLICY)
    world.import_series(SHORT)
    at = world.sides[source.choice([2, 3, 4])]
    grant = _granted(world, at, at.device.kid if home else None)
    net = Net(world)
    net.left[grant.id] = []
    end = source.randrange(10, STEPS // 2)
    withdrawal: Entry | None = None
    made, half = -1, None
    for number in range(STEPS):
        if source.random() < 0.25:
            net.cut(_random_groups(source))
        if number == end:
            if source.random() < 0.5:  # the worst case: who hears of it is cut off from the holder
                net.cut([{1, 2} | {n for n in (3, 4, 5) if n != at.number}, {at.number}])
            withdrawal = world.withdraw(grant, at=at)
            made = world.now
        net.step()
        if withdrawal is not None and half is None and _registered(world, withdrawal.id) >= HALF:
            half = world.now
    return net.left[grant.id], made, half


@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("home", [True, False], ids=["home", "quorum"])
def test_nothing_flows_later_than_the_bound(run: int, home: bool, request: pytest.FixtureRequest) -> None:
    seed = int(request.config.getoption("hypothesis_seed")) + run
    left, made, half = _run(seed, home=home)
    told = f"seed {seed}: made at {made}, in half the feeds at {half}"
    assert left, told  # before it, data did flow
    if home:
        assert max(left) <= made + STALENESS, told
    elif half is not None:
        assert max(left) <= half + STALENESS, told


def test_a_holder_cut_off_from_the_home_goes_on_until_the_bound_and_no_longer() -> None:
    """The bound is reached: packs do leave after the withdrawal, while nobody there can know of it."""
    world = World(VOTERS, seed=1, policy=POLICY)
    world.import_series(SHORT)
    at = world.sides[4]
    grants = [_granted(world, at, home) for home in (at.device.kid, None)]
    net = Net(world)
    for grant in grants:
        net.left[grant.id] = []
    for _ in range(3):
        net.step()
    net.cut([{1, 2, 3, 4}, {5}])
    for grant in grants:
        world.withdraw(grant, at=at)
    made = world.now
    for _ in range(STEPS // 2):
        net.step()
    home, quorum = (net.left[grant.id] for grant in grants)
    assert made < max(home) <= made + STALENESS
    assert max(quorum) > made + STALENESS  # it stands in one feed of five: the quorum bounds nothing yet
    healed = world.now
    net.cut([set(range(1, VOTERS + 1))])
    for _ in range(3):
        net.step()
    assert max(quorum) <= healed + STEP_SECONDS
