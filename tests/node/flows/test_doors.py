"""The doors beside consent, asked at a node: a checked aggregate, and open data, each for what was checked alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.consent.gate import Decision, Door, Flow, Release
from ledger.consent.record import DataKind
from tests.node.flows.world import NOW, World

KIND = DataKind("electricity", "consumption", "load_curve")
WINDOW = (NOW - 86_400, NOW)


def _flow(world: World, door: Door = Door.AGGREGATE, *, passed: bool = True, to_all: bool = False) -> Flow:
    holder, recipient = world.holder.party, world.recipient.party
    to = None if to_all else recipient
    release = Release(door, holder, to, "iris:693830101", KIND, "PT1H", WINDOW, b"d" * 32, passed)
    return Flow(holder, recipient, "iris:693830101", KIND, "PT1H", WINDOW, "", door, release)


def _decide(world: World, flow: Flow) -> Decision:
    return world.holder.look(lambda turn: world.holder.flows.door.decide(turn, flow))


@pytest.mark.covers("R104", "R107", "R158", "system:Open Food Facts, Plume Lab, ADEME referential, data.gouv.fr")
def test_what_was_checked_goes_out_labelled_and_without_a_consent() -> None:
    world = World()
    allowed = _decide(world, _flow(world))
    assert (allowed.allowed, allowed.consent, allowed.label) == (True, None, "threshold-checked")
    opened = _decide(world, _flow(world, Door.OPEN, to_all=True))
    assert (opened.allowed, opened.label) == (True, "open data")


@pytest.mark.parametrize(
    ("door", "passed", "to_all", "reason"),
    [
        (Door.AGGREGATE, False, False, "RELEASE_REFUSED"),
        (Door.AGGREGATE, True, True, "OTHER_RELEASE"),
        (Door.OPEN, False, True, "RELEASE_REFUSED"),
    ],
)
def test_what_did_not_pass_stays(door: Door, passed: bool, to_all: bool, reason: str) -> None:
    world = World()
    assert _decide(world, _flow(world, door, passed=passed, to_all=to_all)).reason.value == reason


@pytest.mark.covers("R104")
def test_a_verdict_opens_the_door_to_nothing_else() -> None:
    world = World()
    flow = _flow(world)
    for other, reason in [
        (replace(flow, window=(WINDOW[0] - 1, WINDOW[1])), "OTHER_RELEASE"),
        (replace(flow, granularity="PT10M"), "OTHER_RELEASE"),
        (replace(flow, point="iris:693830102"), "OTHER_RELEASE"),
        (replace(flow, point="prm:12345678901234"), "PERSONAL_POINT"),
        (replace(flow, door=Door.OPEN), "OTHER_RELEASE"),
        (replace(flow, release=None), "DOOR_CLOSED"),
        (replace(flow, door=Door.CONSENT), "NO_CONSENT"),
    ]:
        assert _decide(world, other).reason.value == reason


def test_a_node_that_is_cut_off_lets_no_aggregate_out() -> None:
    world = World(3)
    flow = _flow(world)
    world.leave(world.holder)
    world.pass_time(601)
    assert _decide(world, flow).reason.value == "STALE"
    assert _decide(world, _flow(world, Door.OPEN, to_all=True)).allowed
