"""Worlds in turmoil: what Hypothesis draws to try the fold of governance, honest acts and attacks alike.

How it works
    A world is drawn as a list of acts, each a name and three small numbers that choose who, what and when; `build`
    carries them out over a `Polity`, so every entry is signed and stands in its author's feed. Shrinking a failing
    world drops acts and lowers numbers.

What it does not do
    It has no opinion on the outcome: the tests have.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.ledger.governance.attacks import ATTACKS
from tests.ledger.governance.honest import HONEST, Cached

Drawn = tuple[str, int, int, int]

ACTS = {**HONEST, **ATTACKS}

BUSY = ("ballot", "ballot", "ballot", "vote", "vote", "propose", "seal", "seal", "seal", "join", "backdate", "sponsor")
SMALL = st.integers(0, 13)


def worlds(*without: str, most: int = 20) -> st.SearchStrategy[list[Drawn]]:
    """Return the strategy of worlds, of so many acts at most, without some acts."""
    names = [name for name in (*BUSY, *ACTS) if name not in without]
    return st.lists(st.tuples(st.sampled_from(names), SMALL, SMALL, SMALL), min_size=1, max_size=most)


def build(drawn: Sequence[Drawn], *, founders: int = 4) -> Cached:
    """Carry out acts in a new world."""
    world = Cached(founders=founders)
    for name, i, j, k in drawn:
        ACTS[name](world, i, j, k)
    return world
