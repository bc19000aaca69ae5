"""Members that misbehave: data without consent, false words, and paths around the gate."""

from __future__ import annotations

from dataclasses import replace

from node.adapters import household, senml
from node.flows import wire
from node.vaults.receipts import HOLDER, Refusal
from tests.node.flows.world import LONG, SHORT, World, terms


def test_what_a_holder_sends_without_consent_is_refused() -> None:
    """The holder misbehaves: it sends packs past its own gate, under a consent for something else."""
    world = World()
    other = household.load_curve(2, SHORT.starts[0], 10)
    daily = household.daily_totals(1, SHORT.starts[0], 10)
    window = (SHORT.starts[0], SHORT.starts[100])
    grant, _ = world.grant(terms(SHORT, data_period=(window,)))
    fine = replace(SHORT, key=replace(SHORT.key, granularity="PT10M"))
    later = SHORT.window(SHORT.starts[99], SHORT.stop)
    refusals: list[Refusal] = []
    for number, series, reason in [
        (1, other, "OTHER_POINT"),
        (2, daily, "OTHER_KIND"),
        (3, fine, "OTHER_GRANULARITY"),
        (4, later, "OTHER_PERIOD"),
    ]:
        transfer = bytes([number]) * 16
        chunk = wire.Chunk(transfer, 0, grant.id, senml.encode_cbor(series))
        world.holder.say(world.recipient, chunk)
        world.pump()
        assert world.recipient.packs(transfer) == []
        refusals = world.recipient.refusals()
        assert (refusals[0].code, refusals[0].here, refusals[0].outgoing) == (reason, True, False)
    assert len(refusals) == 4


def test_a_third_member_can_neither_send_nor_fetch_under_a_consent_of_others() -> None:
    world = World(3)
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    third = world.sides[2]
    ask = wire.Ask(b"x" * 16, world.wanted(grant=grant.id))
    third.say(world.holder, ask)
    chunk = wire.Chunk(b"y" * 16, 0, grant.id, senml.encode_cbor(SHORT))
    third.say(world.recipient, chunk)
    world.pump()
    refusals = world.holder.refusals()
    assert [refusal.code for refusal in refusals] == ["OTHER_RECIPIENT"]
    assert world.recipient.received(b"y" * 16) is None


def test_a_false_acknowledgement_ends_the_transfer() -> None:
    world = World()
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    transfer, _ = world.send(grant=grant.id)
    lie = wire.Got(transfer, 3, bytes(32), final=False)
    world.recipient.say(world.holder, lie)
    way = (world.recipient.device.kid, world.holder.device.kid)
    world.step(way, len(world.queues[way]) - 1)
    receipt = world.holder.account(HOLDER, transfer)
    assert receipt is not None
    assert (receipt.reason, receipt.tally.packs) == ("BAD_ACK", 0)
