"""Steps of a load curve found from the distances between end stamps: nothing is ever filled in."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.adapters.steps import STEPS, NoStepError, durations_from

M = 60


@pytest.mark.parametrize(
    ("distances", "durations"),
    [
        ([30, 30, 30], [30, 30, 30, 30]),
        ([60, 60, 30, 30], [60, 60, 60, 30, 30]),  # finer: at once
        ([30, 30, 60, 60, 60], [30, 30, 30, 60, 60, 60]),  # coarser: when seen twice
        ([30, 60, 30], [30, 30, 30, 30]),  # one row is missing
        ([60, 30, 30], [30, 30, 30, 30]),  # the second row is missing
        ([30, 30, 60], [30, 30, 30, 30]),  # one hour at the end proves nothing
        ([60, 750, 30, 30], [60, 60, 30, 30, 30]),  # the step changed while rows were missing
        ([30, 750, 60, 60], [30, 30, 60, 60, 60]),
        ([30, 750, 60, 30], [30, 30, 30, 30, 30]),
        ([60, 120, 60], [60, 60, 60, 60]),
        ([120, 60, 60], [60, 60, 60, 60]),
        ([60, 45, 30], [60, 60, 30, 30]),
        ([10], [10, 10]),
    ],
)
def test_the_step_of_each_row(distances: list[int], durations: list[int]) -> None:
    assert [d // M for d in durations_from([d * M for d in distances])] == durations


@pytest.mark.parametrize(("distances", "row"), [([], 0), ([120], 0), ([5, 10], 1), ([60, 60, 45], 3)])
def test_a_row_that_no_step_explains_is_named(distances: list[int], row: int) -> None:
    with pytest.raises(NoStepError) as error:
        durations_from([d * M for d in distances])
    assert error.value.index == row


@given(st.lists(st.sampled_from([300, *STEPS, 2700, 7200, 45_000]), max_size=40))
def test_no_two_steps_overlap(distances: list[int]) -> None:
    try:
        durations = durations_from(distances)
    except NoStepError:
        return
    assert set(durations) <= set(STEPS)
    assert all(duration <= distance for distance, duration in zip(distances, durations[1:], strict=True))


@given(st.sampled_from(STEPS), st.sets(st.integers(3, 200)), st.integers(4, 200))
def test_missing_rows_of_a_regular_curve_never_change_its_step(step: int, missing: set[int], n: int) -> None:
    """Alone or in stretches; two lone ones in a row would look like a coarser step, and are left out here."""
    missing -= {m for m in missing if m - 2 in missing or m - 4 in missing}
    kept = [i for i in range(n) if i not in missing]
    distances = [(b - a) * step for a, b in pairwise(kept)]
    assert set(durations_from(distances)) == {step}
    assert list(accumulate(distances))[-1] == (kept[-1] - kept[0]) * step
