"""The garbage collector of a long-lived process: rarer, and not over what stays for ever.

How it works
    Entries, rows and messages hold no cycles, so reference counting frees them. The collector is left the cycles that
    frames and tasks make; it looks for them after so many more objects than Python's default, and never at what was
    there at the start.

What it does not do
    It turns nothing off.
"""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (50_000, 20, 50)
"""Objects made, less freed, before the youngest are looked at; then how often older ones are."""


def calm() -> None:
    """Collect once, leave what is there alone from now on, and collect more rarely. For a process's start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
