"""Passing on under a consent that was narrowed since: what is left of it binds both ends of the child."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.record import OnwardSharing, Terms
from ledger.errors import LocalError
from node.vaults.transfers import Wanted
from tests.node.flows.test_passing import OTHER, POINT, Scene


def narrowed(narrow: Callable[[Terms], Terms], reason: str, **above: Any) -> Scene:
    """Pass on, narrow the parent, and see that both ends of the child refuse for `reason`."""
    scene = Scene(**above)
    scene.receive()
    child = scene.pass_on()
    assert scene.flows(child)[1] == ""
    scene.ada.act(lambda turn: scene.ada.flows.life.amend(turn, scene.parent, narrow, None))
    scene.world.pump()
    assert scene.flows(child) == (0, reason)
    wanted = Wanted(scene.bob.party, scene.cyd.party, child.id)
    entering = scene.cyd.look(lambda turn: scene.cyd.flows.door.judge(turn, wanted).decision)
    assert entering.reason.value == reason  # cyd knows what the amendment says
    return scene


def test_a_parent_that_is_narrowed_narrows_the_child_at_both_ends() -> None:
    narrowed(lambda held: replace(held, points=(OTHER,)), "OTHER_POINT", points=(POINT, OTHER))


def test_a_parent_that_may_be_passed_on_no_more_stops_its_child_at_both_ends_and_has_no_other() -> None:
    scene = narrowed(lambda held: replace(held, onward_sharing=OnwardSharing()), "SHARING_FORBIDDEN")
    with pytest.raises(LocalError, match="SHARING_FORBIDDEN"):
        scene.pass_on()
