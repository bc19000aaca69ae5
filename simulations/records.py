"""What a run measured: tidy rows, and the messages themselves where they are wanted.

How it works
    A row is (t, node, metric, value): seconds since the run began, a node's number or -1 for the whole mesh, a name
    from `METRICS`, a number. Publications are followed to every node. Messages are kept only on request (`trace`),
    since there are many: when each left, when it came, between whom, how long it was.

What it does not do
    It writes no file: simulations.runs does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

METRICS: Final = {
    "arrival_s": "from a publication until this node held it, but where it was published; t: when that was",
    "hops": "how often it had been sent by then",
    "missed": "honest nodes that never held it; node: where it was published, t: when",
    "revocation_s": "from a withdrawal until this node held it, 0 where it was made; t: when that was",
    "refused_s": "from a withdrawal until the last pack that left under it, 0: none did; where packs ever left",
    "leaked_packs": "packs that left after the withdrawal was made, sent again or not; t: when it was made",
    "frontiers": "different frontiers among honest nodes that are up",
    "state_roots": "different state roots among the newest ticks of honest nodes that are up",
    "up": "nodes that are up",
    "bytes_sent": "bytes that this node sent",
    "messages_sent": "messages that this node sent",
    "degree": "channels of this node at the end",
    "converged_s": "from the last fault or act until all honest nodes agreed",
}
"""Every metric that a run may have, with what it says."""


@dataclass(slots=True)
class Publication:
    """Something that was published. `seen`: node -> when it first held it, microseconds; `hops`: node -> times sent.

    `about`: what a withdrawal withdraws.
    """

    name: bytes
    kind: str
    node: int
    at_us: int
    seen: dict[int, int] = field(default_factory=dict)
    hops: dict[int, int] = field(default_factory=dict)
    about: bytes = b""


@dataclass(slots=True)
class Records:
    """The rows and messages of one run. `start_us`: when it began; `traced`: whether messages are kept.

    `doubtful`: consents whose withdrawal was begun and not acknowledged: it stands, or it does not.
    """

    start_us: int
    traced: bool = False
    rows: list[tuple[float, int, str, float]] = field(default_factory=list)
    messages: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    happenings: list[tuple[int, int, str]] = field(default_factory=list)
    publications: dict[bytes, Publication] = field(default_factory=dict)
    doubtful: set[bytes] = field(default_factory=set)
    _on_the_way: dict[tuple[int, int, int, int], deque[int]] = field(default_factory=dict)

    def note(self, at_us: int, node: int, metric: str, value: float) -> None:
        """Keep one row."""
        self.rows.append(((at_us - self.start_us) / 1_000_000, node, metric, value))

    def happened(self, at_us: int, node: int, what: str) -> None:
        """Keep what a person should see beside the messages: a publication, a crash."""
        self.happenings.append((at_us, node, what))

    def left(self, at_us: int, source: int, target: int, mark: int, comes_us: int) -> None:
        """Note that a message left, and when it will come (simulations.engine.Engine.laid)."""
        self._on_the_way.setdefault((source, target, mark, comes_us), deque()).append(at_us)

    def came(self, at_us: int, source: int, target: int, mark: int, size: int, kind: int) -> None:
        """Note that a message came. `kind`: family * 32 + kind, or 0 and 1 in the light world."""
        left = self._on_the_way[source, target, mark, at_us].popleft()
        self.messages.append((left, at_us, source, target, size, kind))

    def published(self, name: bytes, kind: str, node: int, at_us: int) -> Publication:
        """Follow a publication from now on."""
        found = Publication(name, kind, node, at_us, {node: at_us}, {node: 0})
        self.publications[name] = found
        self.happened(at_us, node, kind)
        return found

    def finish(self, nodes: Iterable[int]) -> None:
        """Turn what was followed into rows, of these nodes."""
        counted = set(nodes)
        for one in self.publications.values():
            for node, at in one.seen.items():
                if node in counted and node != one.node:
                    self.note(one.at_us, node, "arrival_s", (at - one.at_us) / 1_000_000)
                    self.note(one.at_us, node, "hops", one.hops[node])
                if node in counted and one.kind == "withdrawal":
                    self.note(one.at_us, node, "revocation_s", (at - one.at_us) / 1_000_000)
            self.note(one.at_us, one.node, "missed", len(counted.difference(one.seen)))

    def values(self, metric: str) -> list[float]:
        """Return all values of a metric, sorted."""
        return sorted(value for _, _, name, value in self.rows if name == metric)


def quantiles(values: list[float]) -> dict[str, Any]:
    """Return p50, p90, p99, the greatest and the count of sorted values; None where there are none.

    Each is a value that was measured: the smallest that more than 50, 90 or 99 in 100 do not exceed; of a hundred
    values or fewer, p99 is the greatest.
    """
    if not values:
        return {"p50": None, "p90": None, "p99": None, "max": None, "count": 0}
    pick = {f"p{percent}": values[min(len(values) - 1, len(values) * percent // 100)] for percent in (50, 90, 99)}
    return {
        **{name: round(value, 6) for name, value in pick.items()},
        "max": round(values[-1], 6),
        "count": len(values),
    }
