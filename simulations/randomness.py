"""Streams of randomness that depend on names alone, so that adding a node or an observer shifts no other stream.

How it works
    A stream is `random.Random` seeded with SHA-256 of (seed, scenario, run, node, purpose). Nothing in a simulation
    draws from a shared stream, from the operating system, or from the order of a set.

What it does not do
    It is not fit for real keys: whoever knows the seed knows every secret of a simulated node.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seed:
    """What names a run: the user's seed, the scenario, the number of the run."""

    seed: int
    scenario: str = "world"
    run: int = 0

    def bytes(self, node: int, purpose: str) -> bytes:
        """Return 32 bytes for one node (-1: the world itself) and purpose."""
        name = f"{self.seed}/{self.scenario}/{self.run}/{node}/{purpose}"
        return hashlib.sha256(name.encode()).digest()

    def stream(self, node: int, purpose: str) -> random.Random:
        """Return the stream of one node and purpose."""
        return random.Random(int.from_bytes(self.bytes(node, purpose), "big"))
