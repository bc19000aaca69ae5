"""Passing on under a consent that was narrowed since: what is left of it binds both ends of the child."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.consent.record import OnwardSharing, Terms
from ledger.errors import LocalError
from node.vaults.transfers import Wanted
from tests.node.flows.test_passing import OTHER, POINT, Scene


def test_a_parent_that_is_narrowed_narrows_the_child_at_both_ends() -> None:
    scene = Scene(points=(POINT, OTHER))
    scene.receive()
    child = scene.pass_on()
    assert scene.flows(child)[1] == ""
    scene.ada.act(lambda turn: scene.ada.flows.life.amend(turn, scene.parent, _only_other, None))
    scene.world.pump()
    assert scene.flows(child) == (0, "OTHER_POINT")
    narrowed = scene.cyd.look(
        lambda turn: scene.cyd.flows.door.judge(turn, Wanted(scene.bob.party, scene.cyd.party, child.id)).decision
    )
    assert narrowed.reason.value == "OTHER_POINT"  # cyd knows what the amendment says


def _only_other(held: Terms) -> Terms:
    return replace(held, points=(OTHER,))


def test_a_parent_that_may_be_passed_on_no_more_stops_its_child_at_both_ends_and_has_no_other() -> None:
    scene = Scene()
    scene.receive()
    child = scene.pass_on()
    assert scene.flows(child)[1] == ""
    scene.ada.act(lambda turn: scene.ada.flows.life.amend(turn, scene.parent, _nobody_else, None))
    scene.world.pump()
    assert scene.flows(child) == (0, "SHARING_FORBIDDEN")
    entered = scene.cyd.look(
        lambda turn: scene.cyd.flows.door.judge(turn, Wanted(scene.bob.party, scene.cyd.party, child.id)).decision
    )
    assert entered.reason.value == "SHARING_FORBIDDEN"
    with pytest.raises(LocalError, match="SHARING_FORBIDDEN"):
        scene.pass_on()


def _nobody_else(held: Terms) -> Terms:
    return replace(held, onward_sharing=OnwardSharing())
