"""Places and the ways between them: matrices, GML graphs and backbones; and overlays, who has a channel to whom.

How it works
    A `Terrain` is a table of one-way milliseconds between places. A matrix is read as it is. In a graph it is the
    shortest way over edges (their `latency` in ms, or kilometres times `ms_per_km`) and a way in and out
    (`access_ms`). Graphs come from topohub (Topology Zoo, SNDlib, CAIDA, national backbones), which the extra `sim`
    installs. Overlays are drawn with the run's seed and are symmetric.

What it does not do
    It downloads nothing. It checks no licence: a matrix that you bring is yours.
"""

from __future__ import annotations

import csv
import heapq
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from ledger.errors import LocalError
from simulations.extra import needs
from simulations.spec import OverlaySpec

PLACES_MAX: Final = 5_000
_GML_EDGE: Final = re.compile(r"\bedge\s*\[(.*?)\]", re.DOTALL)
_GML_NODE: Final = re.compile(r"\bnode\s*\[(.*?)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Terrain:
    """Places. `ms`: one-way milliseconds from place to place; `weights`: shares of the nodes, None: even."""

    name: str
    names: tuple[str, ...]
    ms: list[list[float]]
    weights: tuple[float, ...] | None = None
    links: int = 0
    km: float = 0.0


def matrix(path: Path, *, rtt: bool = False) -> Terrain:
    """Read a square table of milliseconds, with or without a head line and names. `rtt`: they are round trips.

    Empty and negative cells (no measurement) become the table's median. Raises LocalError NO_TOPOLOGY, BAD_TOPOLOGY.
    """
    rows = [row for row in csv.reader(_read(path).splitlines()) if row]
    names: tuple[str, ...] = ()
    if rows and not _is_number(rows[0][-1]):
        names = tuple(rows[0][1:])
        rows = rows[1:]
    if rows and len(rows[0]) == len(rows) + 1:
        rows = [row[1:] for row in rows]
    size = len(rows)
    if not 2 <= size <= PLACES_MAX or any(len(row) != size for row in rows):
        raise _bad(path, f"it must be a square table of 2 to {PLACES_MAX} rows")
    try:
        cells = [[float(cell) if cell.strip() else math.nan for cell in row] for row in rows]
    except ValueError as error:
        raise _bad(path, str(error)) from None
    known = sorted(cell for i, row in enumerate(cells) for j, cell in enumerate(row) if i != j and cell >= 0)
    if not known or math.isinf(known[-1]):
        raise _bad(path, "it holds no finite measurement")
    median, factor = known[len(known) // 2], 0.5 if rtt else 1.0
    ms = [[(cell if cell >= 0 else median) * factor for cell in row] for row in cells]
    return Terrain(path.name, names or tuple(str(number) for number in range(size)), ms)


def gml(path: Path, access_ms: float) -> Terrain:
    """Read a GML graph whose edges say `latency` ("5 ms", "5000 us" or a number of ms), as Shadow's do."""
    text = _read(path)
    ids = [found[1] for block in _GML_NODE.findall(text) if (found := re.search(r"\bid\s+(\d+)", block))]
    if not 2 <= len(ids) <= PLACES_MAX:
        raise _bad(path, f"it must have 2 to {PLACES_MAX} nodes")
    place = {each: number for number, each in enumerate(ids)}
    edges: list[tuple[int, int, float]] = []
    for block in _GML_EDGE.findall(text):
        named = [re.search(rf"\b{name}\s+(\S+)", block) for name in ("source", "target")]
        latency = re.search(r"\blatency\s+\"?([\d.]+)\s*(us|ms|s)?", block)
        source, target = (place.get(each[1]) if each else None for each in named)
        if source is None or target is None or latency is None:
            raise _bad(path, "an edge lacks source, target or latency")
        unit = {"us": 0.001, "s": 1_000.0}.get(latency[2] or "ms", 1.0)
        edges.append((source, target, float(latency[1]) * unit))
    return Terrain(path.name, tuple(ids), _shortest(len(ids), edges, access_ms, path.name), links=len(edges))


def backbone(name: str, ms_per_km: float, access_ms: float) -> Terrain:
    """Return a backbone of topohub. Raises LocalError EXTRA_MISSING, NO_TOPOLOGY, BAD_TOPOLOGY."""
    folder = Path(needs("topohub").__file__).parent / "data"  # its own `get` leaves the file open
    try:
        if not re.fullmatch(r"[\w-]+(/[\w-]+)*", name):
            raise ValueError(name)
        found: dict[str, Any] = json.loads((folder / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        told = f"topohub has no graph {name!r}; examples are topozoo/Renater2010 and backbone/europe"
        raise LocalError("NO_TOPOLOGY", told, field="network.graph") from None
    place = {str(node["id"]): number for number, node in enumerate(found["nodes"])}
    edges = [(place[str(e["source"])], place[str(e["target"])], float(e["dist"])) for e in found["edges"]]
    ms = _shortest(len(place), [(a, b, km * ms_per_km) for a, b, km in edges], access_ms, name)
    names = tuple(str(node.get("name", node["id"])) for node in found["nodes"])
    return Terrain(name, names, ms, links=len(edges), km=sum(km for _, _, km in edges))


def _shortest(size: int, edges: Sequence[tuple[int, int, float]], access_ms: float, name: str) -> list[list[float]]:
    """Return the shortest ways between all places (Dijkstra), each with a way in and a way out."""
    ways: list[list[tuple[int, float]]] = [[] for _ in range(size)]
    for a, b, cost in edges:
        ways[a].append((b, cost))
        ways[b].append((a, cost))
    table = []
    for start in range(size):
        best = [math.inf] * size
        heap = [(0.0, start)]
        while heap:
            cost, at = heapq.heappop(heap)
            if cost < best[at]:
                best[at] = cost
                for to, more in ways[at]:
                    if cost + more < best[to]:
                        heapq.heappush(heap, (cost + more, to))
        if math.inf in best:
            raise LocalError("BAD_TOPOLOGY", f"{name} is not connected", field="network")
        table.append([cost + 2 * access_ms for cost in best])
    return table


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        told = f"{path.name or 'network.file'} cannot be read; name a file"
        raise LocalError("NO_TOPOLOGY", told, field="network.file") from None


def _bad(path: Path, why: str) -> LocalError:
    return LocalError("BAD_TOPOLOGY", f"{path.name}: {why}", field="network.file")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*-?[\d.]*(e-?\d+)?\s*", text) is not None


# Overlays


def overlay(spec: OverlaySpec, count: int, source: Random, can_dial: Callable[[int], bool]) -> list[list[int]]:
    """Return each node's neighbours, both ways. `can_dial`: whether a node can be dialled; two that cannot never meet.

    Raises LocalError BAD_SCENARIO where no such graph exists, EXTRA_MISSING.
    """
    found: list[set[int]] = [set() for _ in range(count)]
    for one, other in _pairs(spec, count, source, can_dial):
        if one != other and (can_dial(one) or can_dial(other)):
            found[one].add(other)
            found[other].add(one)
    return [sorted(each) for each in found]


def _pairs(spec: OverlaySpec, count: int, source: Random, can_dial: Callable[[int], bool]) -> Sequence[tuple[int, int]]:
    degree = min(spec.degree, count - 1)
    match spec.kind:
        case "dials":
            open_ones = [number for number in range(count) if can_dial(number)]
            return [
                (number, other)
                for number in range(count)
                for other in source.sample(open_ones, min(degree, len(open_ones)))
            ]
        case "complete":
            return [(one, other) for one in range(count) for other in range(one)]
        case "ring":
            return [(one, (one + 1) % count) for one in range(count)]
        case "small-world":
            near = [(one, (one + step) % count) for one in range(count) for step in range(1, degree // 2 + 1)]
            return [(a, source.randrange(count)) if source.random() < 0.1 else (a, b) for a, b in near]
        case _:
            return _drawn(spec.kind, count, degree, source.getrandbits(32))


def _drawn(kind: str, count: int, degree: int, seed: int) -> Sequence[tuple[int, int]]:
    graphs = needs("rustworkx")
    if kind == "regular":
        if count * degree % 2:
            told = f"no graph of {count} nodes has degree {degree} everywhere; make one of them even"
            raise LocalError("BAD_SCENARIO", told, field="overlay.degree")
        graph = graphs.random_regular_graph(count, degree, seed=seed)
    elif kind == "random":
        graph = graphs.undirected_gnp_random_graph(count, degree / (count - 1), seed=seed)
    else:
        graph = graphs.barabasi_albert_graph(count, max(1, degree // 2), seed=seed)
    return sorted((min(a, b), max(a, b)) for a, b in graph.edge_list())
