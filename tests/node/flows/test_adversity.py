"""Transfers under loss, repetition, reordering, restarts and crashes: exactly once, and never beyond the consent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.entry import Entry
from ledger.schema import DAY
from node.adapters import household, senml
from node.readings import Series
from node.vaults.receipts import HOLDER, RECIPIENT
from node.vaults.transfers import DONE, STOPPED
from simulations.crashing import Crash, CrashingStore
from tests.node.flows.world import NOW, Side, World, terms

SERIES = [household.load_curve(seed, NOW - 100 * DAY, 1, gaps=2) for seed in range(12)]  # one pack each
POINTS = tuple(series.key.point for series in SERIES)
WINDOW = (SERIES[0].starts[4], SERIES[0].stop - 3_600)
EXPECTED = [(s.key.point, r.start, r.value) for s in SERIES for r in s.window(*WINDOW)]


def ready(count: int = len(SERIES)) -> tuple[World, Entry]:
    """Return a world whose holder has readings, and a grant for a part of them."""
    world = World()
    world.import_series(*SERIES)
    grant, _ = world.grant(terms(SERIES[0], points=POINTS[:count], data_period=(WINDOW,)))
    return world, grant


def held(side: Side, transfer: bytes) -> list[tuple[str, int, object]]:
    """Return the records that a side holds of a transfer, in the order in which they came."""
    series: Iterator[Series] = (one for pack in side.packs(transfer) for one in senml.decode_cbor(pack))
    return [(one.key.point, reading.start, reading.value) for one in series for reading in one]


def heal(world: World) -> None:
    """Let all that waits go through."""
    for _ in range(8):
        world.pass_time(20)


STEPS = st.lists(
    st.tuples(st.sampled_from(["deliver", "deliver", "deliver", "lose", "repeat", "kill", "time"]), st.integers(0, 99)),
    max_size=60,
)


def play(world: World, steps: list[tuple[str, int]]) -> None:
    """Do what the adversary does; gossip itself is repaired elsewhere, and stays in order."""
    for what, number in steps:
        on_their_way = world.data_messages()
        if what == "kill":
            world.restart(world.sides[number % 2])
        elif what == "time":
            world.pass_time(number % 7)
        elif on_their_way:
            way, index = on_their_way[number % len(on_their_way)]
            {"deliver": world.step, "lose": world.lose, "repeat": world.repeat}[what](way, index)
        elif world.waiting():
            world.step(world.waiting()[0])


@pytest.mark.covers("R96", "system:SEN / SEN1 POC")
@given(steps=STEPS, pull=st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_every_record_arrives_exactly_once(steps: list[tuple[str, int]], pull: bool) -> None:
    world, grant = ready()
    transfer = world.ask(grant=grant.id) if pull else world.send(grant=grant.id)[0]
    play(world, steps)
    heal(world)
    row = world.recipient.received(transfer)
    assert row is not None
    assert row.state == DONE
    assert held(world.recipient, transfer) == EXPECTED
    receipt = world.holder.account(HOLDER, transfer)
    ack = world.recipient.account(RECIPIENT, transfer)
    assert receipt is not None
    assert ack is not None
    assert receipt.tally == ack.tally == row.tally
    assert receipt.state == ack.state == DONE
    left = world.holder.look(lambda turn: [key for key, _ in turn.vault.scan("outgoing", b"") if key[:1] != b"C"])
    assert left == []  # rows in "C" are changes, told to whoever follows them


@given(before=STEPS, after=STEPS, side=st.integers(0, 1))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_nothing_passes_once_the_withdrawal_is_known(
    before: list[tuple[str, int]], after: list[tuple[str, int]], side: int
) -> None:
    world, grant = ready()
    transfer, _ = world.send(grant=grant.id)
    play(world, before)
    slip = world.holder.look(lambda turn: world.holder.flows.wallets.get(turn.vault, "anna").wallet.slip(grant))
    at = world.sides[side]
    if at.look(lambda turn: at.core.replica.grant(turn.rows, grant.id)) is None:
        return
    world.withdraw(grant, slip, at=at)
    known = [s for s in world.sides if s is at]
    had = held(world.recipient, transfer)
    sent = world.holder.sent(transfer)
    limit = sent.next_number if sent is not None else 0
    play(world, after)
    if world.recipient in known:
        assert held(world.recipient, transfer) == had
    heal(world)
    now_held = held(world.recipient, transfer)
    assert now_held == EXPECTED[: len(now_held)]
    row = world.recipient.received(transfer)
    if row is not None and row.state != DONE:
        assert row.state == STOPPED
    if side == 0 and row is not None and limit:
        assert row.tally.packs <= limit  # what was on its way when it became known, and nothing after
    assert world.holder.sent(transfer) is None


def crash_points(which: int, store: str) -> Iterator[tuple[World, Entry, bytes, bool]]:
    """Yield worlds in which a side died at its n-th step of a store, for every n; then one where it did not."""
    crash_at = 0
    while True:
        world, grant = ready(3)
        victim = world.sides[which]
        real = victim.ledger if store == "ledger" else victim.vault_store
        crashing = CrashingStore(real, crash_at)
        if store == "ledger":
            victim.ledger = crashing
        else:
            victim.vault._store = crashing  # the vault reads its secret when it is opened: begin after that
        transfer, crashed = b"", False
        try:
            transfer, _ = world.send(grant=grant.id)
            world.pump()
            world.holder.act(world.holder.flows.accounts.state)
            world.recipient.act(world.recipient.flows.accounts.state)
        except Crash:
            crashed = True
        victim.ledger = real if store == "ledger" else victim.ledger
        victim.vault._store = victim.vault_store
        if crashed:
            world.restart(victim)
        yield world, grant, transfer, crashed
        if not crashed:
            return
        crash_at += 1


@pytest.mark.parametrize("store", ["vault", "ledger"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_crash_at_any_write_loses_and_repeats_nothing(which: int, store: str) -> None:
    points = 0
    for world, grant, begun, crashed in crash_points(which, store):
        heal(world)
        transfers = world.holder.transfers()
        assert len(transfers) == (1 if begun else len(transfers)) <= 1
        if begun:
            assert transfers == [begun]
        elif not transfers:  # it died before the transfer was there: the caller was not told otherwise
            transfers = [world.send(grant=grant.id)[0]]
            world.pump()
        expected = [one for one in EXPECTED if one[0] in POINTS[:3]]
        assert held(world.recipient, transfers[0]) == expected
        for side, role in ((world.holder, HOLDER), (world.recipient, RECIPIENT)):
            side.act(side.flows.accounts.state)
            account = side.account(role, transfers[0])
            assert account is not None
            assert (account.state, account.tally.count) == (DONE, len(expected))
            assert account.stated is not None
            assert side.entry(account.stated) is not None
        points += crashed
    assert points > 5
