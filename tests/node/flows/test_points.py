"""The register of points at the gate: whose data leave, by the household's rule, and what moving out ends."""

from __future__ import annotations

import pytest

from ledger.consent.reasons import Reason
from ledger.consent.tenure import Register, Rule, Tenure
from node.core import Turn
from tests.node.flows.world import SHORT, World, terms

POINT = SHORT.key.point
MIDDLE = SHORT.starts[len(SHORT) // 2]


def register(world: World, rule: Rule, *tenures: Tenure) -> None:
    """Have the holder register who lives behind the point."""
    side = world.holder

    def act(turn: Turn) -> None:
        if any(hosted.name == "anna" for hosted in side.flows.wallets.listing(turn.vault)):
            side.flows.points.know(turn, "anna")
        side.flows.points.rows.put(turn.vault, POINT, Register(rule, tenures))

    side.act(act)


def reason(world: World, grant: bytes, **what: object) -> Reason:
    """Return why the holder's gate decides as it does."""
    _, decision = world.send(grant=grant, **what)
    return decision.reason


def test_a_point_that_is_not_registered_goes_by_the_consent_alone() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    assert reason(world, grant.id) is Reason.ALLOWED


def test_a_wallet_is_known_before_and_after_its_grant() -> None:
    for early in (True, False):
        world = World()
        world.import_series(SHORT)
        if early:
            register(world, "holder", Tenure("anna", "contract_holder", 0))
        grant, _ = world.grant(terms(SHORT))
        if not early:
            register(world, "holder", Tenure("anna", "contract_holder", 0))
        assert reason(world, grant.id) is Reason.ALLOWED


def test_who_does_not_live_there_disposes_of_nothing() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    register(world, "holder", Tenure("ben", "contract_holder", 0))
    assert reason(world, grant.id) is Reason.NOT_ENTITLED
    world.holder.act(lambda turn: world.holder.flows.points.rows.link(turn.vault, grant.kid, "ben"))
    assert reason(world, grant.id) is Reason.ALLOWED, "the operator checked whose key it is"


def test_one_adult_alone_does_not_speak_for_all() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    both = (Tenure("anna", "contract_holder", 0), Tenure("ben", "household_member", 0))
    register(world, "adults", *both)
    assert reason(world, grant.id) is Reason.NOT_ENTITLED
    register(world, "holder", *both)
    assert reason(world, grant.id) is Reason.ALLOWED


@pytest.mark.covers("R91")
def test_after_moving_out_only_what_came_before_goes() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    register(world, "holder", Tenure("anna", "contract_holder", 0, MIDDLE), Tenure("chloe", "contract_holder", MIDDLE))
    assert reason(world, grant.id) is Reason.MOVED_OUT
    assert reason(world, grant.id, window=(SHORT.starts[0], MIDDLE)) is Reason.ALLOWED
    assert reason(world, grant.id, window=(MIDDLE, SHORT.stop)) is Reason.MOVED_OUT


def test_the_register_is_asked_for_each_pack() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    transfer, decision = world.send(grant=grant.id)
    assert decision.allowed
    world.drop(world.holder)
    register(world, "holder", Tenure("ben", "contract_holder", 0))
    world.restart(world.holder)
    world.pump()
    assert world.recipient.packs(transfer) == []
