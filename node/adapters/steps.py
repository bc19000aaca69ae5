"""How long the step of each row of a load curve is, when only the ends of the steps are known.

How it works
    A distance is the time from one end stamp to the next. A legal step is 10, 15, 30 or 60 minutes.
      * A distance equal to the step in force: the step goes on.
      * A finer legal distance puts that step in force at once: a longer step would overlap the row before.
      * A coarser legal distance does so only if the next distance is the same. One missing half-hour looks
        just like one hour, and taking it for an hour would fill in what is missing.
      * Any other distance is a jump: rows are missing. The row keeps the step in force, unless the distance
        to the next row shows a finer one, or the next two a coarser one.
    The first row has the step that the two distances after it agree on, else the finer of them.

What it does not do
    It fills nothing in, and does not read the declared step of a file ("Pas en minutes"): where there is one,
    that is the step of every row and nothing is left to find out.
"""

from __future__ import annotations

from array import array
from typing import Final

STEPS: Final = (600, 900, 1800, 3600)
"""The steps that a load curve may have, in seconds."""


class NoStepError(Exception):
    """No legal step explains row `index` (from 0): it would overlap the one before, or none shows."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def durations_from(distances: list[int]) -> array[int]:
    """Return the duration in seconds of each of the len(distances) + 1 rows, by the rules above.

    `distances`: seconds between successive end stamps, all positive. Raises NoStepError.
    """
    step = _first_step(distances)
    durations: array[int] = array("i")
    since = 0  # the row from which `step` is in force
    for row, distance in enumerate(distances, 1):
        if distance == step:
            continue
        found = _step_after(distances, row, step)
        if found != step:
            durations.extend(array("i", [step]) * (row - since))
            step, since = found, row
    durations.extend(array("i", [step]) * (len(distances) + 1 - since))
    return durations


def _first_step(distances: list[int]) -> int:
    for index, distance in enumerate(distances):
        if distance in STEPS:
            following = distances[index + 1 : index + 2]
            return min([distance, *(d for d in following if d in STEPS)])
    raise NoStepError(0)


def _step_after(distances: list[int], row: int, step: int) -> int:
    """Return the step of `row`, whose distance to the row before is not the step in force."""
    before = distances[row - 1]
    after, then = (*distances[row : row + 2], 0, 0)[:2]
    if before in STEPS and (before < step or after == before):
        return before
    if before not in STEPS and after in STEPS and (after < step or then == after):
        found = after
    elif before > step and after in STEPS:
        found = min(step, after)
    else:
        found = step
    if found > before:
        raise NoStepError(row)
    return found
