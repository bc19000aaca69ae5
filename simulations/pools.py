"""Worker processes for what is computed side by side: runs of a sweep, cells of a figure, experiments.

How it works
    Workers are spawned: what they compute must not depend on what the parent had in memory. Ctrl-C reaches every
    process of a terminal; a worker then just ends, and the parent alone has something to say. What was not begun is
    dropped.

What it does not do
    It hands out no work, and knows nothing of clusters (simulations/sweeps.py).
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Final


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Run `workers` processes for as long as the block lasts; on leaving it, wait for those that compute."""
    made = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=signal.signal, initargs=_ENDS
    )
    try:
        yield made
    finally:
        made.shutdown(wait=True, cancel_futures=True)


_ENDS: Final = (signal.SIGINT, signal.SIG_DFL)
"""What each worker does first: Ctrl-C ends it, as it ends any program."""
