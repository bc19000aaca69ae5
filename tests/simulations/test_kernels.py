"""Kernels: equal dice, equal outcomes; graphs are what they say; overlays hold together; trees reach everybody."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from simulations.kernels.cascades import detections, heard, reunions
from simulations.kernels.dice import below, compiled, dice, poisson, unit
from simulations.kernels.floods import flood, largest, random_delays, regular, sizes
from simulations.kernels.overlays import overlay, shape, struck
from simulations.kernels.rounds import rounds
from simulations.kernels.trees import Plumtree


def test_dice_depend_on_names_alone_and_are_even() -> None:
    one, same, other = dice(1, "a"), dice(1, "a"), dice(1, "b")
    drawn = [below(one, 6) for _ in range(6_000)]
    assert drawn == [below(same, 6) for _ in range(6_000)]
    assert drawn != [below(other, 6) for _ in range(6_000)]
    assert min(np.bincount(drawn)) > 900
    assert set(drawn) == set(range(6))
    assert 0.48 < np.mean([unit(one) for _ in range(5_000)]) < 0.52
    assert 2.9 < np.mean([poisson(one, 3.0) for _ in range(5_000)]) < 3.1


@pytest.mark.parametrize("kind", ["rounds", "cascade", "detect", "reunite"])
def test_a_seed_is_a_run(kind: str) -> None:
    def run(seed: int) -> list[int]:
        match kind:
            case "rounds":
                return rounds(300, pushes=1, pulls=1, success=0.9, runs=20, seed=seed).tolist()  # type: ignore[no-any-return]
            case "cascade":
                return heard(300, 2.0, runs=20, seed=seed).tolist()  # type: ignore[no-any-return]
            case "detect":
                return detections(50, runs=20, seed=seed).tolist()  # type: ignore[no-any-return]
            case _:
                return reunions(300, runs=20, seed=seed).tolist()  # type: ignore[no-any-return]

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize("degree", [3, 4, 5, 8])
def test_a_regular_graph_is_simple_symmetric_and_not_the_circle_it_began_as(degree: int) -> None:
    table = regular(200, degree, seed=3)
    rows = [set(row) for row in table.tolist()]
    assert all(len(row) == degree and node not in row for node, row in enumerate(rows))
    assert all(node in rows[peer] for node, row in enumerate(rows) for peer in row)
    assert sum((node + 1) % 200 in row for node, row in enumerate(rows)) < 40


def test_a_flood_stays_where_edges_are() -> None:
    table = np.full((6, 2), -1)
    for one, other in ((0, 1), (1, 2), (3, 4)):
        table[one, table[one].argmin()] = other
        table[other, table[other].argmin()] = one
    arrival, hops = np.empty(6), np.empty(6, np.int64)
    copies = flood(table, np.full(table.shape, 2.5), 0, arrival, hops)
    assert arrival.tolist() == [0.0, 2.5, 5.0, np.inf, np.inf, np.inf]
    assert hops.tolist() == [0, 1, 2, -1, -1, -1]
    assert copies == 2
    out = np.zeros(6, np.int64)
    assert sizes(table, np.ones(6, np.bool_), out) == 3
    assert sorted(out.tolist()) == [0, 0, 0, 1, 2, 3]


def test_delays_are_the_same_both_ways() -> None:
    table = regular(50, 4, seed=1)
    delays = random_delays(table, 10.0, 50.0, seed=1)
    for node, row in enumerate(table):
        for place, peer in enumerate(row):
            back = int(np.flatnonzero(table[peer] == node)[0])
            assert delays[node, place] == delays[peer, back]
    assert 10.0 <= delays.min() < delays.max() <= 50.0


def test_nothing_is_cut_off_where_nobody_is_silent() -> None:
    table = regular(500, 5, seed=1)
    assert largest(table, 0.0, seed=1) == (1.0, 1.0)
    assert largest(table, 0.6, seed=1)[0] < 1.0


def test_views_of_an_overlay_are_sound() -> None:
    active, passive = overlay(400, cycles=20, seed=1)
    for node, row in enumerate(active.tolist()):
        peers = [peer for peer in row if peer >= 0]
        kept = [peer for peer in passive[node].tolist() if peer >= 0]
        assert len(set(peers)) == len(peers)
        assert len(set(kept)) == len(kept)
        assert node not in peers + kept
        assert not set(peers) & set(kept)
        assert all(node in active[peer] for peer in peers)
    assert sizes(active, np.ones(400, np.bool_), np.zeros(400, np.int64)) == 1
    assert 1.0 < shape(active).distance < 6.0


def test_survivors_drop_the_dead_and_come_together_again() -> None:
    views = overlay(400, cycles=20, seed=1)
    before = views[0].copy()
    out = np.zeros(400, np.int64)
    reached = []
    for repairs in (0, 2):
        active, living = struck(views, 0.6, seed=1, repairs=repairs)
        assert living.sum() == 160
        assert not (active[~living] >= 0).any()
        assert living[active[active >= 0]].all()
        sizes(active, living, out)
        reached.append(int(out.max()))
    assert reached[0] < reached[1] == 160
    assert (views[0] == before).all()


def test_a_tree_grows_out_of_a_flood_and_reaches_everybody() -> None:
    tree = Plumtree(regular(60, 4, seed=1), 0.01, 0.05, seed=1)
    first, second = tree.round([0]), tree.round([0])
    assert first.missed == second.missed == 0
    assert first.rmr > 1.5 > second.rmr == 0.0
    assert tree.round(list(range(60))).missed == 0


def test_machine_code_older_than_any_kernel_file_is_dropped(tmp_path: Path) -> None:
    def kernel() -> int:
        return 1

    folder = tmp_path / "__pycache__"
    folder.mkdir()
    kernel.__code__ = kernel.__code__.replace(co_filename=str(tmp_path / "some.py"))
    old, fresh, other = (
        folder / f"some.{name}.nbi" for name in ("kernel-1.py311", "kernel-2.py311", "another-1.py311")
    )
    for index in (old, fresh, other):
        index.touch()
    for index in (old, other):
        os.utime(index, (0, 0))
    compiled(kernel)
    assert not old.exists()
    assert fresh.exists()
    assert other.exists()
