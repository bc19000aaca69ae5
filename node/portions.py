"""How much is read without holding up the node: in portions, between which whatever waits has its turn.

How it works
    Each portion is read in a snapshot of its own, so the whole is of no single moment: what came or went meanwhile may
    be in it or not. Who needs one moment reads at once, and bounds what that may be.

What it does not do
    It does not bound how much is returned: that is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from node.core import Turn
    from node.engine import Engine

T = TypeVar("T")


async def in_portions(engine: Engine, portion: Callable[[Turn, bytes], tuple[Iterable[T], bytes]]) -> list[T]:
    """Return what `portion` reads: it takes the key to go on from (b"" at first), and returns rows and the next key.

    The next key is b"" at the end. Raises what `portion` raises.
    """
    found: list[T] = []
    start = b""
    while True:
        read, start = await engine.read(lambda turn, start=start: portion(turn, start))  # type: ignore[misc]
        found.extend(read)
        if not start:
            return found
