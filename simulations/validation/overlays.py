"""V11 to V14: the overlay of HyParView, massive failure, Plumtree on it, and GossipSub with and without attackers.

How it works
    The overlay is held against the table of the HyParView paper, failures against percolation theory and the paper's
    figure, Plumtree against the flood that its first round is, the tree that the later ones are, and the ceilings of
    iroh-gossip's own tests. GossipSub's hops follow from branching; under attack the hardened protocol must deliver,
    and the unhardened one must visibly fail: else the attack would prove nothing.

What it does not do
    maille's own nodes keep no partial views: what they do is V10, V16 and V20.
"""

from __future__ import annotations

import math

import numpy as np

from simulations.kernels.dice import Nodes
from simulations.kernels.floods import largest, regular, sizes
from simulations.kernels.meshes import CONNECTIONS, JITTER, attacked
from simulations.kernels.overlays import overlay, shape, struck
from simulations.kernels.trees import Plumtree
from simulations.randomness import Seed
from simulations.validation.checks import Check, Experiment, at_least, at_most, near
from simulations.validation.theory import regular_component

NODES = 10_000
CYCLES = 50
LATENCY = 0.025
"""Seconds one way, as in 1k.json."""
SYBILS = 400
"""Connections of an honest node to Sybils: 4 000 Sybils of degree 100 on 1 000 nodes, 20 to each honest connection."""
DEADLINE = 6.0
ROUNDS = 30


def quality(seed: int, quick: bool) -> list[Check]:
    """V11."""
    active, _ = overlay(NODES, cycles=CYCLES, seed=seed)
    table = active
    found = shape(table, 100 if quick else 1_000)
    components = sizes(table, np.ones(NODES, np.bool_), np.zeros(NODES, np.int64))
    return [
        near("components", 1, components, 0),
        near("mean shortest path, hops (paper: 6.385)", 6.385, found.distance, 0.05),
        near("mean longest path, hops (paper: 9.0)", 9.0, found.farthest, 1.0),
        at_most("mean clustering (paper: 0.0009)", 0.002, found.clustering),
        at_least("part with a full active view", 0.97, float((active >= 0).all(axis=1).mean())),
    ]


def failure(seed: int, quick: bool) -> list[Check]:
    """V12."""
    found = []
    graphs = 6 if quick else 20
    for degree, fractions in ((5, (0.3, 0.5, 0.6, 0.8)), (8, (0.5, 0.7))):
        tables = [regular(NODES, degree, seed=seed + number) for number in range(graphs)]
        for fraction in fractions:
            reach = sum(largest(table, fraction, seed=seed + n)[1] for n, table in enumerate(tables)) / graphs
            expected = regular_component(degree, 1 - fraction) ** 2
            found.append(near(f"no repair, r={degree}, {fraction:.0%} fail: mean reach", expected, reach, 0.012))
    views = overlay(NODES, cycles=CYCLES, seed=seed)
    for fraction, bound in ((0.3, 0.999), (0.5, 0.999), (0.8, 0.999), (0.9, 0.99), (0.95, 0.93)):
        active, living = struck(views, fraction, seed=seed)
        out = np.zeros(NODES, np.int64)
        sizes(active, living, out)
        name = f"HyParView, one cycle of repair, {fraction:.0%} fail: largest component"
        found.append(at_least(name, bound, float(out.max()) / float(living.sum())))
    return found


def trees(seed: int, quick: bool) -> list[Check]:
    """V13."""
    found: list[Check] = []
    for count in (20, 100, 1_000):
        active = overlay(count, cycles=CYCLES, seed=seed)[0]
        degree = float((active >= 0).sum()) / count
        single = Plumtree(active, 0.010, 0.050, seed=seed)
        rounds = [single.round([count // 2]) for _ in range(ROUNDS)]
        flooded = (degree * count - count + 1) / (count - 1) - 1
        found.append(near(f"n={count} first round RMR: a flood's", flooded, rounds[0].rmr, 0.01))
        found.append(at_most(f"n={count} later RMR: a tree's", 0.01, float(np.mean([one.rmr for one in rounds[1:]]))))
        found.append(near(f"n={count} missed", 0, sum(one.missed for one in rounds), 0))
        if count == 100:
            found += _ceilings(active, seed, float(np.mean([one.last_hop for one in rounds])), quick)
    return found


def _ceilings(active: Nodes, seed: int, last_hop: float, quick: bool) -> list[Check]:
    """Hold 100 nodes against what iroh-gossip's tests (tests/sim.rs) allow there."""
    source = Seed(seed, "plumtree").stream(-1, "senders")
    tree = Plumtree(active, 0.010, 0.050, seed=seed)
    rounds = [tree.round([source.randrange(100)]) for _ in range(ROUNDS)]
    burst = Plumtree(active, 0.010, 0.050, seed=seed)
    bursts = [burst.round(list(range(100))) for _ in range(2 if quick else 10)]
    return [
        at_most("one sender: last hop", 15, last_hop),
        at_most("random senders: RMR", 1, float(np.mean([one.rmr for one in rounds]))),
        at_most("random senders: last hop", 18, float(np.mean([one.last_hop for one in rounds]))),
        at_most("all at once: RMR", 3, float(np.mean([one.rmr for one in bursts]))),
        at_most("all at once: last hop", 30, float(np.mean([one.last_hop for one in bursts]))),
        near("random senders and all at once: missed", 0, sum(one.missed for one in (*rounds, *bursts)), 0),
    ]


def branching(count: int, degree: float) -> list[float]:
    """Return the part reached within 1, 2, ... hops: CONNECTIONS at first, then degree - 1 each, chosen evenly.

    A node is not reached in a hop by the new ones of the last with probability exp(-(degree - 1) new).
    """
    reached, fresh = (1 + CONNECTIONS) / count, CONNECTIONS / count
    parts = [reached]
    while reached < 1 - 1e-6 and len(parts) < 12:
        after = 1 - (1 - reached) * math.exp(-(degree - 1) * fresh)
        reached, fresh = after, after - reached
        parts.append(reached)
    return parts


def meshes(seed: int, quick: bool) -> list[Check]:
    """V14."""
    count = 1_000
    calm = attacked(
        count,
        sybils=0,
        silent_from=10,
        hardened=True,
        messages=20,
        beats=5 if quick else 30,
        seed=seed,
        latency=LATENCY,
    )
    hops = branching(count, calm.degree)
    found = [
        near("calm: part within 2 hops", hops[1], float((calm.delays < LATENCY * 2 * (1 + JITTER)).mean()), 0.05),
        near("calm: part within 3 hops", hops[2], float((calm.delays < LATENCY * 3 * (1 + JITTER)).mean()), 0.08),
        at_most("calm: slowest, in hops", 5, float(calm.delays.max()) / LATENCY),
        # a flood's 2E - n + 1 copies, and those that the publisher sends beyond its mesh
        near(
            "calm: RMR",
            calm.degree - 2 + (CONNECTIONS - calm.degree) / count,
            calm.copies.mean() / (count - 1) - 1,
            0.1,
        ),
    ]
    for name, silent_from in (("cold boot", 0), ("covert flash", 30)):
        for hardened in (True, False):
            told = attacked(
                count,
                sybils=SYBILS,
                silent_from=silent_from,
                hardened=hardened,
                messages=1 if quick else 4,
                beats=20,
                seed=seed,
                latency=LATENCY,
            )
            timely = float((told.delays < DEADLINE).mean())
            if hardened:
                found.append(at_least(f"{name}, hardened: delivered within {DEADLINE:g} s", 0.999, timely))
            else:
                # published: messages late by up to 17 s, about 4 % of them lost
                found.append(at_most(f"{name}, unhardened: delivered within {DEADLINE:g} s", 0.96, timely))
    return found


EXPERIMENTS = (
    Experiment("V11", "Quality of the overlay", "Leitão, Pereira, Rodrigues 2007 (HyParView), table 1", quality),
    Experiment("V12", "Massive failure", "Site percolation: S^2, S = 1 - u^r; HyParView, figure 3", failure),
    Experiment("V13", "Broadcast trees", "Plumtree 2007: flood, then tree; ceilings of iroh-gossip's tests", trees),
    Experiment("V14", "GossipSub, calm and attacked", "Branching; Vyzovitis et al. 2020 (arXiv:2007.02754)", meshes),
)
"""The rows of this module."""
