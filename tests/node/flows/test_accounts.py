"""Receipts and acknowledgements: the same account at both ends, and its digest on the ledger."""

from __future__ import annotations

from functools import partial

import pytest

from gossip.messages import DATA, Envelope
from ledger.entry import Entry
from ledger.schema import DAY
from node.core import Turn
from node.flows import wire
from node.flows.trail import Passed, Stated, trail
from node.readings import Series
from node.vaults.receipts import HOLDER, RECIPIENT, Receipt
from node.vaults.transfers import STOPPED, Tally, chained
from tests.node.flows.losing import half_written
from tests.node.flows.world import LONG, SHORT, Side, World, terms


def accounts(world: World, transfer: bytes) -> tuple[Receipt, Receipt]:
    """Return the receipt and the acknowledgement of a transfer."""
    receipt = world.holder.account(HOLDER, transfer)
    ack = world.recipient.account(RECIPIENT, transfer)
    assert receipt is not None
    assert ack is not None
    return receipt, ack


@pytest.mark.covers("R96")
def test_both_ends_keep_the_same_account_and_state_it_on_the_ledger() -> None:
    world = World()
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    receipt, ack = accounts(world, transfer)
    assert receipt.tally == ack.tally
    assert receipt.tally.count == len(LONG)
    assert receipt.tally.window == (LONG.starts[0], LONG.stop)
    tally = Tally.begin(transfer).chain
    for pack in world.recipient.packs(transfer):
        tally = chained(tally, pack)
    assert tally == receipt.tally.chain
    assert receipt.grant == ack.grant == grant.id
    assert receipt.salt != ack.salt
    for side, role, kind in ((world.holder, HOLDER, "transfer.receipt"), (world.recipient, RECIPIENT, "transfer.ack")):
        assert side.act(side.flows.accounts.state) == 1
        assert side.act(side.flows.accounts.state) == 0
        held = side.account(role, transfer)
        assert held is not None
        assert held.stated is not None
        entry = side.entry(held.stated)
        assert entry is not None
        assert entry.kind == kind
        rows = entry.payload["receipts" if role == HOLDER else "acks"]
        assert rows[0][0] == transfer
        assert held.digest() in rows[0]
    world.pump()


def test_receipts_are_stated_once_a_day_at_a_moment_of_the_nodes_own() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    due = world.holder.timers["data:receipts"]
    assert world.now * 1_000 < due <= (world.now + 2 * DAY) * 1_000
    assert due != world.recipient.timers["data:receipts"]
    world.pass_time(2 * DAY)
    receipt, ack = accounts(world, transfer)
    assert receipt.stated is not None
    assert ack.stated is not None


@pytest.mark.parametrize("ahead", [None, 0, DAY])
def test_a_receipt_rests_on_the_newest_attested_tick_whatever_others_attest(ahead: int | None) -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    world.now = world.now // 300 * 300 + 400
    for side in world.sides:
        side.act(lambda turn: turn.heartbeat())
    world.pump()
    tick = world.holder.act(lambda turn: turn.attest(world.now // 300 * 300))
    assert tick is not None
    if ahead is not None:  # the recipient attests a frontier that is none, now or at a time to come
        boundary = tick.boundary + ahead
        lie = {"boundary": boundary, "frontier": bytes(32), "state_root": tick.state_root}
        thing = ("tick", boundary.to_bytes(8, "big"))
        world.recipient.act(lambda turn: turn.state("state.attestation", thing, lie))
        world.pump()
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    receipt, _ = accounts(world, transfer)
    assert receipt.frontier == tick.frontier


@pytest.mark.parametrize("role", [HOLDER, RECIPIENT])
def test_what_the_vault_alone_calls_stated_is_stated_again(role: bytes) -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    side = world.holder if role == HOLDER else world.recipient
    assert half_written(world, side, side.flows.accounts.state) == 1
    lost = side.account(role, transfer)
    assert lost is not None
    assert lost.stated is not None
    assert side.entry(lost.stated) is None
    assert [side.act(side.flows.accounts.state) for _ in range(3)] == [1, 0, 0]
    held = side.account(role, transfer)
    assert held is not None
    assert held.digest() == lost.digest()
    assert held.stated is not None
    entry = side.entry(held.stated)
    assert entry is not None
    assert entry.payload["receipts" if role == HOLDER else "acks"][0][0] == transfer


@pytest.mark.parametrize("denial", [wire.Refuse, wire.Got])
def test_data_that_a_recipient_takes_and_denies_are_on_the_ledger_all_the_same(denial: type) -> None:
    world = World(3)
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    transfer, _ = world.send(grant=grant.id)
    queue = world.queues[world.holder.device.kid, world.recipient.device.kid]
    taken = [data for data in queue if data[1] == DATA and isinstance(wire.decode(Envelope.open(data)), wire.Chunk)]
    assert len(taken) == 8  # read, and kept from its own node
    for data in taken:
        queue.remove(data)
    chain = Tally.begin(transfer).chain
    no: wire.Message = wire.Got(transfer, 0, chain, final=True)
    if denial is wire.Refuse:
        no = wire.Refuse(transfer, "NO_CONSENT", True, 0, chain)
    world.recipient.say(world.holder, no)
    world.pump()
    receipt = world.holder.account(HOLDER, transfer)
    assert receipt is not None
    assert (receipt.state, receipt.tally.count) == (STOPPED, 0)
    for stated, side in ((False, world.holder), (True, world.sides[2])):
        if stated:
            assert world.holder.act(world.holder.flows.accounts.state) == 1
            world.pump()
        (told,) = side.look(partial(_trail, side, grant))
        assert (told.transfer, told.stated, told.account) == (transfer, stated, None)


def _trail(side: Side, grant: Entry, turn: Turn) -> list[Passed]:
    return trail(turn, Stated(), side.flows.receipts, side.flows.incoming, [grant])


def withdrawn_while_it_waits(series: Series) -> tuple[World, bytes]:
    """Return a world in which a consent was withdrawn while its transfer waited for who receives, and the transfer."""
    world = World()
    world.import_series(series)
    grant, _ = world.grant(terms(series))
    world.leave(world.recipient)
    transfer, _ = world.send(grant=grant.id)
    world.withdraw(grant)
    return world, transfer


def test_a_transfer_of_which_no_pack_left_is_not_on_the_ledger() -> None:
    world, transfer = withdrawn_while_it_waits(LONG)
    assert world.holder.sent(transfer) is None
    assert world.holder.act(world.holder.flows.accounts.state) == 0
