"""GossipSub 1.1 at the level of heartbeats: meshes, gossip, scores, and Sybils that are in them and say nothing.

How it works
    Each honest node has connections to honest peers and to Sybils, and a mesh among them. A heartbeat prunes and
    grafts; Sybils ask to be grafted all the time. A message floods along meshes with a delay a hop; at each heartbeat
    those who got it lately announce it to some peers outside the mesh, who ask for it: three delays. From `silent_from`
    on Sybils pass nothing on (from 0: cold boot; later: covert flash); before, they cannot be told from honest peers.
    `hardened` is what version 1.1 added: peers that deliver nothing are pruned and shunned, a mesh keeps places for
    outbound peers and is never overfilled, publishers send to all peers, and gossip goes to a part of all peers.
    Constants are those of libp2p/gossipsub-hardening, 1k.json, where they are known (reference/simulation.md, V14).

What it does not do
    Scores are a verdict (silent for ACTIVATION heartbeats in the mesh), not a sum of weights; a message sees the mesh
    as it was when it was published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.kernels.dice import Dice, Floats, Ints, Nodes, below, compiled, dice, unit
from simulations.kernels.floods import regular
from simulations.kernels.heaps import pop, sift

DEGREE, LOW, HIGH, OUTBOUND, LAZY = 8, 6, 12, 2, 12
GOSSIP_PART, GOSSIP_BEATS = 0.25, 3
ACTIVATION, SHUNNED = 4, 100
"""Heartbeats in the mesh without a delivery until a peer is pruned, and for how many it is not grafted again."""
BACKOFF = 60
CONNECTIONS = 20
"""Honest peers of an honest node; the first half are those it dialled."""
SYBIL_ASKS = 40
"""Sybils that ask one node to graft them in a heartbeat."""
LAST_BEATS = 25
"""Heartbeats after which a message that has not arrived is lost."""
JITTER = 0.10

Meshes = npt.NDArray[np.bool_]


@compiled
def _unlink(mesh: Meshes, until: Ints, peers: Nodes, back: Nodes, node: int, place: int, then: int) -> None:
    mesh[node, place], until[node, place] = False, then
    if place < peers.shape[1]:
        other, there = peers[node, place], back[node, place]
        mesh[other, there], until[other, there] = False, then


@compiled
def _graft(mesh: Meshes, until: Ints, since: Ints, peers: Nodes, back: Nodes, node: int, place: int, now: int) -> None:
    if place < peers.shape[1]:
        other, there = peers[node, place], back[node, place]
        if mesh[other].sum() >= HIGH or until[other, there] > now:
            until[node, place] = now + BACKOFF
            return
        mesh[other, there], since[other, there] = True, now
    mesh[node, place], since[node, place] = True, now


@compiled
def beat(
    mesh: Meshes,
    times: Ints,
    peers: Nodes,
    back: Nodes,
    now: int,
    silent_from: int,
    hardened: bool,
    state: Dice,
) -> None:
    """Let every node have a heartbeat. `times`: for each place, not to be grafted until; in it since."""
    until, since = times[0], times[1]
    places, honest = mesh.shape[1], peers.shape[1]
    for node in range(len(mesh)):
        if hardened and now >= silent_from:
            for place in range(honest, places):
                if mesh[node, place] and now - max(since[node, place], silent_from) >= ACTIVATION:
                    _unlink(mesh, until, peers, back, node, place, now + SHUNNED)
        for _ in range(SYBIL_ASKS if places > honest else 0):
            place = honest + below(state, places - honest)
            full = hardened and mesh[node].sum() >= HIGH
            if not full and not mesh[node, place] and until[node, place] <= now:
                _graft(mesh, until, since, peers, back, node, place, now)
        kept = 0
        while mesh[node].sum() > HIGH or (kept and mesh[node].sum() > DEGREE):
            kept += 1
            place = below(state, places)
            outbound = place < honest // 2 and mesh[node, : honest // 2].sum() <= OUTBOUND
            if mesh[node, place] and not (hardened and outbound):
                _unlink(mesh, until, peers, back, node, place, now + BACKOFF)
        wanted = DEGREE if mesh[node].sum() < LOW else 0
        for _ in range(10 * DEGREE):
            short = hardened and mesh[node, : honest // 2].sum() < OUTBOUND
            if mesh[node].sum() >= wanted and not short:
                break
            place = below(state, honest // 2 if short else places)
            if not mesh[node, place] and until[node, place] <= now:
                _graft(mesh, until, since, peers, back, node, place, now)


@compiled
def _delay(latency: float, state: Dice) -> float:
    return latency * (1.0 + JITTER * (2.0 * unit(state) - 1.0))


@compiled
def deliver(
    mesh: Meshes, peers: Nodes, source: int, at: float, latency: float, hardened: bool, state: Dice, arrival: Floats
) -> int:
    """Publish at a time (seconds, as heartbeats are) and fill in arrivals, inf for lost; return copies sent."""
    count, honest = peers.shape
    keys, nodes = np.empty(count * (honest + 2) * 2), np.empty(count * (honest + 2) * 2, np.int64)
    came = np.full(count, -1, np.int64)
    arrival[:] = np.inf
    arrival[source], keys[0], nodes[0] = at, at, source
    size, copies, reached = 1, 0, 0
    tick = int(at) + 1
    while tick < int(at) + LAST_BEATS and (size or reached < count):
        while size and keys[0] <= tick:
            now, node = keys[0], nodes[0]
            size -= 1
            pop(keys, nodes, size)
            if now > arrival[node]:
                continue
            reached += 1
            for place in range(honest):
                peer = peers[node, place]
                if peer == came[node] or not (mesh[node, place] or (hardened and node == source)):
                    continue
                copies += 1
                then = now + _delay(latency, state)
                if then < arrival[peer]:
                    arrival[peer], came[peer] = then, node
                    sift(keys, nodes, size, then, peer)
                    size += 1
        if reached < count:
            for node in range(count):
                if not tick - GOSSIP_BEATS < arrival[node] <= tick:
                    continue
                outside = mesh.shape[1] - mesh[node].sum()
                asked = max(float(LAZY), GOSSIP_PART * outside) if hardened else float(LAZY)
                for place in range(honest):
                    peer = peers[node, place]
                    if mesh[node, place] or unit(state) * outside >= asked:
                        continue
                    then = tick + 3.0 * _delay(latency, state)
                    if then < arrival[peer] and size < len(keys) - 1:
                        copies += 1
                        arrival[peer], came[peer] = then, node
                        sift(keys, nodes, size, then, peer)
                        size += 1
        tick += 1
    return copies


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of some messages. `delays`: seconds, (messages, nodes), inf where lost; `copies` of each message.

    `degree`: the mean number of honest peers in a mesh at the end.
    """

    delays: Floats
    copies: Ints
    degree: float


def _backwards(peers: Nodes) -> Nodes:
    """Return in which place of its own row each neighbour has this node."""
    count, width = peers.shape
    found = np.zeros_like(peers)
    for node in range(count):
        for place in range(width):
            found[node, place] = int(np.flatnonzero(peers[peers[node, place]] == node)[0])
    return found


def attacked(
    count: int,
    *,
    sybils: int,
    silent_from: int,
    hardened: bool,
    messages: int,
    beats: int,
    seed: int,
    latency: float = 0.025,
    publishers: int = 100,
) -> Delivered:
    """Run a network and publish `messages` in each of `beats` heartbeats from `silent_from` on.

    `sybils`: connections of each honest node to Sybils; `latency`: seconds one way.
    """
    state = dice(seed, f"mesh {count} {sybils} {silent_from} {hardened}")
    peers = regular(count, CONNECTIONS, seed=seed)
    back = _backwards(peers)
    shape = (count, CONNECTIONS + sybils)
    mesh = np.zeros(shape, np.bool_)
    times = np.zeros((2, *shape), np.int64)
    delays, copies = np.zeros((messages * beats, count)), np.zeros(messages * beats, np.int64)
    row = 0
    for now in range(silent_from + beats):
        beat(mesh, times, peers, back, now, silent_from, hardened, state)
        for _ in range(messages if now >= silent_from else 0):
            at = now + unit(state)
            source = below(state, publishers)
            copies[row] = deliver(mesh, peers, source, at, latency, hardened, state, delays[row])
            delays[row] -= at
            row += 1
    return Delivered(delays, copies, float(mesh[:, :CONNECTIONS].sum(axis=1).mean()))
