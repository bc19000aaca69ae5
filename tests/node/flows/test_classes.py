"""Consents for a class of recipients: whoever is of it may ask, is told the content, and judges it too."""

from __future__ import annotations

import pytest

from ledger.consent.grant import RecipientClass
from ledger.consent.reasons import Reason
from ledger.entry import Entry
from ledger.governance.epoch import Policy
from ledger.schema import DAY
from node.core import Turn
from node.flows.consenting import Offer
from node.vaults.transfers import Wanted
from tests.node.flows.world import SHORT, Side, World, terms


def _granted(world: World, name: str) -> Entry:
    side = world.holder
    offer = Offer(side.party, RecipientClass(name), terms(SHORT), world.now + 300 * DAY)

    def act(turn: Turn) -> Entry:
        side.flows.acts.create_wallet(turn, "anna")
        return side.flows.acts.grant(turn, "anna", offer, side.flows.acts.notice(turn, offer, ("holder", name)))[0]

    grant = side.act(act)
    world.pump()
    return grant


def _asked(world: World, side: Side, grant: bytes | None) -> tuple[int, str]:
    wanted = Wanted(world.holder.party, side.party, grant, None if grant else SHORT.key.point)
    transfer = side.act(lambda turn: side.flows.receiving.ask(turn, wanted))
    world.pump()
    world.pass_time(2)
    world.pass_time(2)
    row = side.received(transfer)
    assert row is not None
    return row.tally.count, row.reason


@pytest.mark.parametrize("name", ["members", "linked"])
def test_each_of_the_class_gets_what_is_granted(name: str) -> None:
    world = World(3)
    world.import_series(SHORT)
    grant = _granted(world, name)
    for side in world.sides[1:]:
        count, reason = _asked(world, side, grant.id)
        assert reason == ""
        assert count >= len(SHORT.starts)
    world.withdraw(grant)
    world.pump()
    assert _asked(world, world.sides[2], grant.id) == (0, "WITHDRAWN")


@pytest.mark.covers("R72", "R87")
def test_who_is_not_of_the_class_gets_nothing() -> None:
    world = World(3)
    world.import_series(SHORT)
    for name, reason in [
        ("holders", "NOT_IN_CLASS"),
        ("college:towns", "NOT_IN_CLASS"),
        ("friends", "CLASS_RECIPIENT"),
    ]:
        world = World(3)
        world.import_series(SHORT)
        grant = _granted(world, name)
        assert _asked(world, world.sides[2], grant.id) == (0, reason)


def test_a_holder_of_data_under_another_consent_is_of_the_holders() -> None:
    world = World(3)
    world.import_series(SHORT)
    grant = _granted(world, "holders")
    third = world.sides[2]
    assert _asked(world, third, grant.id)[1] == "NOT_IN_CLASS"
    own = Offer(third.party, world.recipient.party, terms(SHORT), world.now + 300 * DAY)

    def act(turn: Turn) -> Entry:
        third.flows.acts.create_wallet(turn, "bea")
        return third.flows.acts.grant(turn, "bea", own, third.flows.acts.notice(turn, own, ("third", "recipient")))[0]

    witness = third.act(act)
    world.pump()
    assert _asked(world, third, grant.id)[1] == ""
    third.act(lambda turn: third.flows.acts.withdraw(turn, witness, "bea"))
    world.pump()
    assert _asked(world, third, grant.id)[1] == "NOT_IN_CLASS"


def test_what_a_consent_says_goes_to_one_of_its_class_only_once_data_may() -> None:
    world = World(3, policy=Policy(max_staleness_seconds=60))
    world.import_series(SHORT)
    grant = _granted(world, "members")
    holder, side = world.holder, world.recipient
    wanted = Wanted(holder.party, side.party, grant.id)
    for other in world.sides[1:]:
        world.leave(other)
    world.pass_time(61)
    begun = holder.act(lambda turn: holder.flows.sending.begin(turn, wanted))
    assert begun.decision.reason is Reason.STALE  # she may have withdrawn it: nobody is told yet what it says
    assert holder.look(lambda turn: list(turn.vault.scan("outgoing", b"d", b"e"))) == []
    for other in world.sides[1:]:
        world.come_back(other)
    for _ in range(3):
        world.pass_time(20)
    assert side.packs(begun.transfer)
