"""The node's time: small steps and vouched ones are taken over, others are not, and time never stands still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.clock import STEP_MS_MAX, SteadyClock, is_synchronised, running_ms, wall_ms

HOUR = 3_600_000
YEAR = 8_760 * HOUR
BEGIN = 1_800_000_000_000


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.wall, self.ran, self.synchronised = BEGIN, 5_000, False
        self.clock = SteadyClock(lambda: self.wall, lambda: self.ran, lambda: self.synchronised)

    def passes(self, ms: int) -> int:
        """Let time pass; return the node's."""
        self.wall += ms
        self.ran += ms
        return self.clock()

    def set(self, ms: int) -> None:
        """Set the machine's clock ahead, or back."""
        self.wall += ms


@given(st.sampled_from((2 * HOUR, -2 * HOUR, 5 * YEAR, -5 * YEAR)), st.lists(st.integers(0, HOUR), max_size=20))
def test_a_jump_that_nobody_vouches_for_is_not_taken_over(jump: int, steps: list[int]) -> None:
    machine = Machine()
    machine.set(jump)
    passed = 0
    for step in steps:
        passed += step
        assert machine.passes(step) == BEGIN + passed
        assert machine.clock.held_ms == jump
    machine.set(-jump)
    assert machine.passes(7) == BEGIN + passed + 7
    assert machine.clock.held_ms == 0


@given(st.sampled_from((2 * HOUR, -2 * HOUR, 5 * YEAR)))
def test_a_jump_of_a_synchronised_clock_is_taken_over(jump: int) -> None:
    """A small machine without a battery begins in the past, and learns the time a little later."""
    machine = Machine()
    machine.set(jump)
    assert machine.passes(1_000) == BEGIN + 1_000
    machine.synchronised = True
    assert machine.passes(1_000) == BEGIN + jump + 2_000
    assert machine.clock.held_ms == 0
    machine.synchronised = False
    assert machine.passes(1_000) == BEGIN + jump + 3_000


@given(st.lists(st.tuples(st.integers(-STEP_MS_MAX, STEP_MS_MAX), st.integers(0, HOUR)), max_size=20))
def test_small_steps_are_taken_over(moves: list[tuple[int, int]]) -> None:
    machine = Machine()
    for step, passed in moves:
        machine.set(step)
        assert machine.passes(passed) == machine.wall


@given(st.integers(STEP_MS_MAX + 1, 30 * YEAR), st.lists(st.integers(0, HOUR), max_size=20))
def test_a_clock_that_is_behind_what_was_signed_goes_on_from_there(behind: int, steps: list[int]) -> None:
    machine = Machine()
    machine.clock.not_before(BEGIN + behind)
    passed = 0
    for step in steps:
        passed += step
        assert machine.passes(step) == BEGIN + behind + passed
        assert (machine.clock.behind, machine.clock.held_ms) == (True, -behind)
    machine.set(behind + 9 * HOUR)  # by hand, after nine hours without current
    assert machine.passes(7) == BEGIN + behind + 9 * HOUR + passed + 7
    assert (machine.clock.behind, machine.clock.held_ms) == (False, 0)
    machine.set(2 * HOUR)  # from now on as ever
    assert machine.passes(7) == BEGIN + behind + 9 * HOUR + passed + 14


@given(st.integers(STEP_MS_MAX + 1, 30 * YEAR))
def test_a_clock_that_is_vouched_for_is_believed_against_what_was_signed(behind: int) -> None:
    machine = Machine()
    machine.synchronised = True
    machine.clock.not_before(BEGIN + behind)
    assert (machine.clock(), machine.clock.behind) == (BEGIN, False)
    machine.synchronised = False
    machine.clock.not_before(BEGIN + behind)
    machine.synchronised = True
    assert (machine.passes(5), machine.clock.behind) == (BEGIN + 5, False)


@given(st.integers(-30 * YEAR, STEP_MS_MAX))
def test_what_was_signed_in_the_past_or_a_moment_ahead_changes_nothing(ahead: int) -> None:
    machine = Machine()
    machine.clock.not_before(BEGIN + ahead)
    assert (machine.passes(5), machine.clock.behind, machine.clock.held_ms) == (BEGIN + 5, False, 0)


def test_a_sleep_of_the_machine_is_no_jump() -> None:
    machine = Machine()
    assert machine.passes(9 * HOUR) == BEGIN + 9 * HOUR
    assert machine.clock.held_ms == 0


def test_this_machine_can_be_asked() -> None:
    assert is_synchronised() in {True, False}
    assert running_ms() <= running_ms()
    assert abs(SteadyClock()() - wall_ms()) < STEP_MS_MAX
