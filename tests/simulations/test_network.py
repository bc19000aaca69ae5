"""Network models: matrices, graphs, backbones and regions are read as they are; overlays are what they are called."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from ledger.errors import LocalError
from simulations import api
from simulations.network import REGIONS, Modelled, terrain_of
from simulations.randomness import Seed
from simulations.spec import NetworkSpec, OverlaySpec, load
from simulations.topologies import gml, matrix, overlay

GML = """graph [
 node [ id 0 ] node [ id 7 ] node [ id 9 ]
 edge [ source 0 target 7 latency "5 ms" ]
 edge [ source 7 target 9 latency "7000 us" packet_loss 0.0 ]
 edge [ source 0 target 9 latency 20 ]
]"""


def anybody(_: int) -> bool:
    """Say that a node can be dialled."""
    return True


def test_a_matrix_is_read_with_and_without_names(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("0,10,20\n10,0,\n20,-1,0\n")
    assert matrix(path).ms == [[0, 10, 20], [10, 0, 20], [20, 20, 0]]
    path.write_text("city,a,b\na,0,10\nb,12,0\n")
    assert matrix(path, rtt=True).ms == [[0, 5], [6, 0]]
    assert matrix(path).names == ("a", "b")


@pytest.mark.parametrize("text", ["", "1", "1,2\n3\n", "0,x\n1,0\n", "a,b\nc,d\n", "0,inf\ninf,0\n", ",\n,\n"])
def test_a_table_that_is_no_matrix_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(LocalError) as caught:
        matrix(path)
    assert caught.value.code == "BAD_TOPOLOGY"


def test_a_graph_gives_the_shortest_ways(tmp_path: Path) -> None:
    path = tmp_path / "g.gml"
    path.write_text(GML)
    assert gml(path, 1.0).ms == [[2, 7, 14], [7, 2, 9], [14, 9, 2]]
    path.write_text(
        GML.replace("source 7 target 9", "source 7 target 7").replace("source 0 target 9", "source 0 target 7")
    )
    with pytest.raises(LocalError, match="not connected"):
        gml(path, 1.0)
    path.write_text("graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 ] ]")
    with pytest.raises(LocalError, match="lacks"):
        gml(path, 1.0)
    with pytest.raises(LocalError, match="cannot be read"):
        gml(tmp_path / "none.gml", 1.0)


def test_renater_is_as_long_as_it_is_said_to_be() -> None:
    """37 nodes and a mean link of 143 km, as `reference/simulation.md` A.5 has it of the Topology Zoo."""
    terrain = terrain_of(NetworkSpec(latency="topohub", graph="topozoo/Renater2010", ms_per_km=0.005, access_ms=0.0))
    assert terrain is not None
    assert len(terrain.names) in range(30, 50)
    assert 100 < terrain.km / terrain.links < 200
    assert 4.0 < max(map(max, terrain.ms)) < 12.0  # one way across France and back by detours, at 200 km a ms
    with pytest.raises(LocalError) as caught:
        terrain_of(NetworkSpec(latency="topohub", graph="topozoo/Nowhere"))
    assert caught.value.code == "NO_TOPOLOGY"


@pytest.mark.parametrize("name", REGIONS)
def test_tables_of_regions_are_square_symmetric_and_whole(name: str) -> None:
    names, weights, table = REGIONS[name]
    assert len(names) == len(weights) == len(table)
    assert abs(sum(weights) - 1.0) < 0.01
    assert all(table[i][j] == table[j][i] > 0 for i in range(len(names)) for j in range(len(names)))
    network = Modelled(Seed(1), NetworkSpec(latency="regions", regions=name), 500)
    share = sum(place == 1 for place in network.places) / 500
    assert abs(share - weights[1]) < 0.08


def test_nodes_behind_nat_are_dialled_by_nobody_and_clocks_are_wrong_within_bounds() -> None:
    network = Modelled(Seed(3), NetworkSpec(behind_nat=0.5, skew_ms=700), 40)
    assert len(network.behind_nat) == 20
    found = overlay(OverlaySpec(degree=4), 40, Random(1), network.can_dial)
    assert all(found[number] for number in range(40))
    for number in network.behind_nat:
        assert not network.behind_nat & set(found[number])
    assert max(abs(network.skew_ms(number)) for number in range(40)) <= 700
    assert len({network.skew_ms(number) for number in range(40)}) > 10


def test_a_node_has_one_uplink_for_all_its_paths() -> None:
    network = Modelled(Seed(1), NetworkSpec(latency="constant", low_ms=0, uplink_mbit=8, burst_kib=0), 3)
    first, second = network.path(0, 1), network.path(0, 2)
    assert first.arrivals(0, 1_000) == (1_000,)  # a byte a microsecond
    assert second.arrivals(0, 1_000) == (2_000,)
    assert network.path(1, 0).arrivals(0, 1_000) == (1_000,)


def test_jitter_is_around_the_distance(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("0,100\n100,0\n")
    network = Modelled(Seed(1), NetworkSpec(latency="matrix", file=str(path), jitter=0.1, reorder=True), 2)
    way = network.path(0, 1)
    drawn = sorted(way.draw() for _ in range(2_001))
    assert 98_000 < drawn[1_000] < 102_000
    assert drawn[100] < 90_000
    assert drawn[1_900] > 110_000


@pytest.mark.parametrize("kind", ["dials", "regular", "complete", "ring", "random", "small-world", "scale-free"])
def test_overlays_are_symmetric_and_as_dense_as_asked(kind: str) -> None:
    found = overlay(OverlaySpec(kind=kind, degree=6), 60, Random(5), anybody)  # type: ignore[arg-type]
    assert all(one in found[other] for one in range(60) for other in found[one])
    assert all(one not in found[one] for one in range(60))
    mean = sum(map(len, found)) / 60
    expected = {"complete": 59, "ring": 2, "dials": 11.4}.get(kind, 6)
    assert abs(mean - expected) < 1.2
    assert found == overlay(OverlaySpec(kind=kind, degree=6), 60, Random(5), anybody)  # type: ignore[arg-type]


def test_no_graph_of_odd_degree_sum_is_drawn() -> None:
    with pytest.raises(LocalError, match="even"):
        overlay(OverlaySpec(kind="regular", degree=3), 5, Random(1), anybody)


def test_a_topology_is_summed_up() -> None:
    shown = api.topology(load("renater"))
    assert shown.components == 1
    assert shown.nodes == 37
    assert 10 < shown.p50_ms < shown.p95_ms <= shown.max_ms < 40
    assert api.topology(api.changed(load("behind-nat"), {"nodes": "10"})).behind_nat == 6


@pytest.mark.parametrize("latency", ["constant", "uniform", "exponential"])
def test_without_distance_a_topology_shows_the_median_that_messages_draw(latency: str) -> None:
    scenario = api.changed(load("baseline"), {"network.latency": latency})
    way = Modelled(Seed(1), scenario.network, 2).path(0, 1)
    drawn = sorted(way.draw() for _ in range(4_001))[2_000] / 1_000
    assert api.topology(scenario).p50_ms == pytest.approx(drawn, rel=0.05)
