"""What the independent model is given, and what seals make final in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ledger.entry import Entry

DAY = 86_400
FAR = 2**62
Party = tuple[bytes, int]
Place = tuple[bytes, int]  # feed, index


class Leaf(Protocol):
    """An entry at its place."""

    @property
    def entry(self) -> Entry:
        """What is said."""

    @property
    def feed(self) -> bytes:
        """In which feed."""

    @property
    def index(self) -> int:
        """At which leaf."""


class Held(Protocol):
    """What is held of every feed."""

    def size(self, feed: bytes) -> int:
        """Return how much of a feed is held."""

    def root(self, feed: bytes, size: int) -> bytes | None:
        """Return a feed's root, or None."""


def akin(rules: Mapping[str, Any], one: Party, other: Party) -> bool:
    """Say whether rules count two parties for one."""
    return one[0] == other[0] or any({one[0], other[0]} <= set(group) for group in rules.get("affiliations", ()))


@dataclass(frozen=True)
class Final:
    """What the seals so far made final. `rules`: by epoch; `taken`: places of permissive entries that have counted."""

    n: int
    ref: bytes
    as_of: int
    voters: Mapping[Party, bytes]  # with the key that seals
    keys: Mapping[Party, bytes]
    known: Mapping[bytes, tuple[int, int]]
    electorates: Mapping[bytes, tuple[int, frozenset[Party], Mapping[str, Any]]]
    rules: Mapping[str, Any]
    sizes: Mapping[bytes, int] = field(default_factory=dict)
    roots: Mapping[bytes, bytes] = field(default_factory=dict)
    taken: frozenset[Place] = frozenset()
    members: Mapping[Party, int] = field(default_factory=dict)  # since
    active: frozenset[bytes] = frozenset()
    cuts: Mapping[Party, Mapping[bytes, int]] = field(default_factory=dict)
    holds: Mapping[bytes, int] = field(default_factory=dict)  # by proofs that a seal held, at the floor of then
    bounds: Mapping[bytes, int] = field(default_factory=dict)
    bounded: frozenset[bytes] = frozenset()  # claims of successors that were heard, at the floor of then
    closed: frozenset[bytes] = frozenset()
    suspended: Mapping[Party, int] = field(default_factory=dict)
    added: tuple[tuple[int, int], ...] = ()
    resting: frozenset[Party] = frozenset()  # whose vote an affiliate has
