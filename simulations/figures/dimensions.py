"""How large a node must be: bytes, storage and processor time for each entry, measured, and a year of them (R7, R146).

How it works
    Real cores in the exact world are left alone for a while (what heartbeats cost), then make one entry a second. For
    each number of nodes that gives what one node received, stored and computed for one entry, and while nothing was
    said. A `Load` says how many entries a year an organisation makes; the mesh hears all of them, so the figures of a
    year are those of one node that holds everything. Points of measurement and their readings are counted by `Load`
    too: they stay at their holder and with whom they were sent to, and grow with nothing else.

What it does not do
    Processor time is of this machine and of Python with gossip and the ledger alone, without LMDB, noise or sockets.
    A checkpoint, an epoch or a compaction is not in it. The costs in euros are those of simulations/figures/costs.py.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl

from ledger.governance.members import Party
from ledger.rows import TABLES
from node.core import Turn
from simulations.engine import SECOND
from simulations.links import Link, uniform
from simulations.people import Person, person
from simulations.signatures import remembered
from simulations.world import World
from storage.store import Store

SIZES: Final = (2, 5, 15, 30)
YEAR_SECONDS: Final = 31_557_600
SETTLED_SECONDS: Final = 120
"""Simulated seconds after which a new mesh has come to rest."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is assumed of each organisation; all are judgements, yours to replace.

    `people`: who consent there; `entries_a_person`: entries a year about each (a grant, acknowledgements, receipts'
    batches, a withdrawal now and then); `points`: of measurement; `readings_a_day`: of each point; `reading_bytes`: of
    one reading in the vault.
    """

    people: int = 100
    entries_a_person: float = 12.0
    points: int = 150
    readings_a_day: int = 48
    reading_bytes: float = 4.0


def dimensions(
    sizes: tuple[int, ...] = SIZES, *, load: Load | None = None, seed: int = 1, entries: int = 60
) -> pl.DataFrame:
    """Return (nodes, idle_bytes_s, entry_bytes, entry_stored, entry_cpu_ms, and a year of one node under the load).

    The year: `traffic_gb`, `ledger_gb`, `readings_gb` and `cpu_hours`. Each size is one run in the exact world.
    """
    assumed = load or Load()
    return pl.DataFrame([_row(nodes, assumed, seed, entries) for nodes in sizes])


def _row(nodes: int, load: Load, seed: int, entries: int) -> dict[str, float]:
    heard = [0]

    def note(_from: int, _to: int, message: bytes) -> None:
        heard[0] += len(message)

    with remembered():
        world = World(seed, link=Link(uniform(10, 50)))
        world.found(nodes)
        world.run_for(SETTLED_SECONDS * SECOND)
        world.on_deliver = note
        idle, idle_cpu = _spent(world, 0, heard)
        before = sum(_stored(node.store) for node in world.nodes)
        busy, busy_cpu = _spent(world, entries, heard)
        stored = sum(_stored(node.store) for node in world.nodes) - before
    quiet = idle / nodes / 60
    said = {
        "entry_bytes": max(0.0, busy / nodes - quiet * entries) / entries,
        "entry_stored": stored / nodes / entries,
        "entry_cpu_ms": max(0.0, busy_cpu - idle_cpu * entries / 60) / nodes / entries * 1_000,
    }
    year = nodes * load.people * load.entries_a_person
    readings = load.points * load.readings_a_day * 365.25 * load.reading_bytes
    return {
        "nodes": nodes,
        "idle_bytes_s": quiet,
        **said,
        "traffic_gb": (quiet * YEAR_SECONDS + said["entry_bytes"] * year) / 1e9,
        "ledger_gb": said["entry_stored"] * year / 1e9,
        "readings_gb": readings / 1e9,
        "cpu_hours": (idle_cpu / nodes / 60 * YEAR_SECONDS + said["entry_cpu_ms"] / 1_000 * year) / 3_600,
    }


def _spent(world: World, entries: int, heard: list[int]) -> tuple[int, float]:
    """Run a second for each entry (a minute for none); return bytes that all received, and their processor seconds."""
    heard[0], began = 0, time.process_time()
    for second in range(entries or 60):
        if entries:
            parties = [node.who.party for node in world.nodes[:2]]
            world.act(second % len(world.nodes), partial(_grant, person(world.seed, second), parties))
        world.run_for(SECOND)
    return heard[0], time.process_time() - began


def _grant(who: Person, parties: Sequence[Party], turn: Turn) -> None:
    who.grant(turn, *parties)


def _stored(store: Store) -> int:
    """Return the bytes of all keys and values that a store holds."""
    with store.read() as rows:
        return sum(len(key) + len(value) for table in TABLES for key, value in rows.scan(table, b""))
