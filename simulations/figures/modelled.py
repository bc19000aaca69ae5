"""Tables for figures out of kernels: coverage, redundancy, degrees, failures, silent nodes, eclipse.

How it works
    Each function runs kernels and returns a tidy table, one row an observation. Where theory gives the number, it
    stands beside it as `expected`.

What it does not do
    These are models. What maille's own nodes do is in `measured`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from simulations.kernels.dice import dice
from simulations.kernels.floods import flood, largest, random_delays, regular, sizes
from simulations.kernels.overlays import overlay, struck
from simulations.kernels.trees import Plumtree
from simulations.randomness import Seed
from simulations.validation.healing import eclipse
from simulations.validation.theory import regular_component

FRACTIONS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def coverage(nodes: int = 10_000, *, degree: int = 8, runs: int = 20, seed: int = 1) -> pl.DataFrame:
    """Return (run, t_ms, part): the part of the nodes that a flood has reached, each ms, on its own random graph."""
    found = []
    for run in range(runs):
        table = regular(nodes, degree, seed=seed * 1_000 + run)
        delays = random_delays(table, 10.0, 50.0, seed=seed * 1_000 + run)
        arrival, hops = np.empty(nodes), np.empty(nodes, np.int64)
        flood(table, delays, 0, arrival, hops)
        grid = np.arange(0, 200, 2)
        parts = np.searchsorted(np.sort(arrival), grid, side="right") / nodes
        found.append(pl.DataFrame({"run": run, "t_ms": grid, "part": parts}))
    return pl.concat(found)


def redundancy(seed: int = 1, *, rounds: int = 20) -> pl.DataFrame:
    """Return (nodes, senders, round, rmr, last_hop) of Plumtree on HyParView overlays."""
    found: list[dict[str, Any]] = []
    for nodes in (20, 100, 1_000):
        active, _ = overlay(nodes, cycles=50, seed=seed)
        for senders in ("one sender", "random senders"):
            tree, source = Plumtree(active, 0.010, 0.050, seed=seed), Seed(seed, "figures").stream(-1, senders)
            for number in range(rounds):
                told = tree.round([0 if senders == "one sender" else source.randrange(nodes)])
                row = {"nodes": nodes, "senders": senders, "round": number + 1}
                found.append({**row, "rmr": told.rmr, "last_hop": told.last_hop})
    return pl.DataFrame(found)


def degrees(nodes: int = 10_000, *, seed: int = 1) -> pl.DataFrame:
    """Return (view, degree, nodes, components): in-degrees of both views of HyParView; components of the active one."""
    active, passive = overlay(nodes, cycles=50, seed=seed)
    components = sizes(active, np.ones(nodes, np.bool_), np.zeros(nodes, np.int64))
    found = []
    for view, table in (("active", active), ("passive", passive)):
        counts = np.bincount(np.bincount(table[table >= 0], minlength=nodes))
        rows = {"view": view, "degree": np.arange(len(counts)), "nodes": counts, "components": components}
        found.append(pl.DataFrame(rows).filter(pl.col("nodes") > 0))
    return pl.concat(found)


def failures(nodes: int = 10_000, *, seed: int = 1, runs: int = 5) -> pl.DataFrame:
    """Return (overlay, failed, run, reach, expected): the part of the survivors that a survivor's message reaches."""
    found: list[dict[str, Any]] = []
    views = overlay(nodes, cycles=50, seed=seed)
    for failed in FRACTIONS:
        for degree in (5, 8):
            expected = regular_component(degree, 1 - failed) ** 2
            for run in range(runs):
                table = regular(nodes, degree, seed=seed * 100 + run)
                reach = largest(table, failed, seed=seed * 100 + run)[1]
                row = {"overlay": f"{degree}-regular, no repair", "failed": failed, "run": run}
                found.append({**row, "reach": reach, "expected": expected})
        for run in range(runs):
            active, living = struck(views, failed, seed=seed * 100 + run)
            out = np.zeros(nodes, np.int64)
            sizes(active, living, out)
            reach = float((out.astype(np.float64) ** 2).sum()) / float(living.sum()) ** 2
            found.append({"overlay": "HyParView, one cycle of repair", "failed": failed, "run": run, "reach": reach})
    return pl.DataFrame(found, infer_schema_length=None)


def byzantine(nodes: int = 10_000, *, seed: int = 1, runs: int = 5) -> pl.DataFrame:
    """Return (degree, silent, run, coverage, expected): the honest nodes in the largest honest component."""
    found = []
    for degree in (5, 8):
        for silent in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
            for run in range(runs):
                table = regular(nodes, degree, seed=seed * 100 + run)
                row = {"degree": degree, "silent": silent, "run": run}
                row["coverage"] = largest(table, silent, seed=seed * 100 + run)[0]
                found.append({**row, "expected": regular_component(degree, 1 - silent)})
    return pl.DataFrame(found)


def eclipses(*, seed: int = 1, runs: int = 20_000) -> pl.DataFrame:
    """Return (slots, pinned, sybils, eclipsed, expected): how often all neighbours are malicious.

    `pinned`: slots for peers that the operator named, here malicious too; with one honest among them it is never.
    """
    found = []
    for slots, pinned in ((5, 0), (8, 0), (8, 2), (16, 0)):
        for sybils in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
            out = np.zeros(runs, np.int64)
            eclipse(10_000, round(sybils * 10_000), slots, pinned, dice(seed, f"figure {slots} {pinned} {sybils}"), out)
            row = {"slots": slots, "pinned": pinned, "sybils": sybils, "eclipsed": float(out.mean())}
            found.append({**row, "expected": sybils ** (slots - pinned)})
    return pl.DataFrame(found)
