"""The order of a consent's timeline: what came first stands first, whatever the hour that a signature bears."""

from __future__ import annotations

from itertools import permutations

import pytest

from node.pages.reading import Step, in_order

HOUR = 3_600


def told(steps: tuple[Step, ...]) -> list[str]:
    """Return what happened, in the order of the page."""
    return [step.what for step in in_order(steps)]


@pytest.mark.parametrize("given", [0, HOUR], ids=["dated back before the request", "of the request's second"])
@pytest.mark.parametrize("what", ["given", "allowed"])
def test_a_yes_stands_after_the_request_that_it_answers(what: str, given: int) -> None:
    steps = (Step(given, what), Step(HOUR, "asked", "adviser"), Step(HOUR, "acknowledged", "bob"))
    for some in permutations(steps):
        assert told(some) == ["asked", what, "acknowledged"]
    assert {step.at for step in in_order(steps)} == {given, HOUR}  # the times are shown as they were signed


def test_what_ends_a_consent_stands_after_what_it_ended_and_before_who_confirmed_it() -> None:
    wanted = ["asked", "given", "acknowledged", "used", "withdrawn", "end_acknowledged", "erased"]
    assert told(tuple(Step(HOUR, what) for what in reversed(wanted))) == wanted


def test_a_use_after_the_end_is_never_moved_before_it() -> None:
    assert told((Step(HOUR + 1, "used"), Step(HOUR, "withdrawn"), Step(1, "given"))) == ["given", "withdrawn", "used"]
