"""Plumtree: broadcast trees that grow out of a flood and mend themselves (Leitão, Pereira, Rodrigues 2007).

How it works
    Each node has eager and lazy neighbours, at first all eager. A message goes to the eager ones; the lazy ones are
    told that it is there. Whoever gets it twice makes the second sender lazy and tells it so (PRUNE). Whoever is told
    and does not get it in time asks (GRAFT), and both ends are eager again. Events run in the order of time. It is
    plain Python: a tree of 10^3 nodes takes few events.

What it does not do
    Nothing is lost and nobody leaves; trees are not made shorter once they stand.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

from simulations.kernels.dice import Nodes
from simulations.randomness import Seed

GRAFT_FIRST_S, GRAFT_AGAIN_S = 0.08, 0.04
"""Seconds from an announcement until the message is asked for, and until the next announcer is asked."""
_GOSSIP, _HAVE, _PRUNE, _GRAFT, _TIMER = range(5)
_Event = tuple[float, int, int, int, int, int, int]  # at, order, kind, target, source, message, hops


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One round. `rmr`: copies a node beyond the first (Leitão 2007); `last_hop`: the longest way; `missed`: nodes."""

    rmr: float
    last_hop: float
    missed: int


class Plumtree:
    """The trees of one overlay. They are kept from round to round."""

    def __init__(self, table: Nodes, low: float, high: float, *, seed: int) -> None:
        """`table`: neighbours; a message takes `low` to `high` seconds over each edge, always the same."""
        source = Seed(seed, "plumtree").stream(-1, "delays")
        self._peers: Final = [[int(peer) for peer in row if peer >= 0] for row in table]
        self._eager: Final = [dict.fromkeys(peers) for peers in self._peers]
        self._delays: Final[dict[tuple[int, int], float]] = {}
        for node, peers in enumerate(self._peers):
            for peer in peers:
                if node < peer:
                    self._delays[node, peer] = self._delays[peer, node] = source.uniform(low, high)
        self._events: list[_Event] = []
        self._made = 0

    def round(self, sources: list[int]) -> Broadcast:
        """Let these nodes send a message each, all at once; return the means over the messages."""
        count = len(self._peers)
        got: list[dict[int, int]] = [{} for _ in sources]  # node -> hops
        told: list[dict[int, list[int]]] = [{} for _ in sources]  # node -> who announced it
        copies = 0
        for message, node in enumerate(sources):
            got[message][node] = 0
            self._pass_on(0.0, node, -1, message, 0)
        while self._events:
            at, _, kind, node, peer, message, hops = heapq.heappop(self._events)
            if kind == _GOSSIP:
                copies += 1
                if node in got[message]:
                    self._eager[node].pop(peer, None)
                    self._send(at, _PRUNE, peer, node, message, 0)
                else:
                    got[message][node] = hops
                    self._eager[node][peer] = None
                    self._pass_on(at, node, peer, message, hops)
            elif kind == _HAVE:
                if node not in got[message]:
                    waiting = told[message].setdefault(node, [])
                    waiting.append(peer)
                    if len(waiting) == 1:
                        self._push(at + GRAFT_FIRST_S, _TIMER, node, node, message, 0)
            elif kind == _PRUNE:
                self._eager[node].pop(peer, None)
            elif kind == _GRAFT:
                self._eager[node][peer] = None
                self._send(at, _GOSSIP, peer, node, message, got[message][node] + 1)
            elif node not in got[message] and told[message][node]:
                asked = told[message][node].pop(0)
                self._eager[node][asked] = None
                self._send(at, _GRAFT, asked, node, message, 0)
                self._push(at + GRAFT_AGAIN_S, _TIMER, node, node, message, 0)
        reached = [len(nodes) for nodes in got]
        rmr = sum(copies / len(sources) / (each - 1) - 1 for each in reached) / len(reached)
        last = sum(max(nodes.values()) for nodes in got) / len(got)
        return Broadcast(rmr, last, count * len(sources) - sum(reached))

    def _pass_on(self, at: float, node: int, source: int, message: int, hops: int) -> None:
        for peer in self._peers[node]:
            if peer != source:
                kind = _GOSSIP if peer in self._eager[node] else _HAVE
                self._send(at, kind, peer, node, message, hops + 1)

    def _send(self, at: float, kind: int, target: int, source: int, message: int, hops: int) -> None:
        self._push(at + self._delays[source, target], kind, target, source, message, hops)

    def _push(self, at: float, kind: int, target: int, source: int, message: int, hops: int) -> None:
        self._made += 1
        heapq.heappush(self._events, (at, self._made, kind, target, source, message, hops))
