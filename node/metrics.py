"""The metrics of a node, in Prometheus' text format.

How it works
    At each request the figures are read from the node as it is: nothing is counted twice, and a node that nobody asks
    pays nothing. What only grows has a name that ends in `_total` and begins anew with the process. `NAMES` lists every
    family with what it says; the documentation, the alerts and the dashboard in deploy/ are held against it by tests.

What it does not do
    No label names a person, a point or a consent, and none grows without bound: meshes, codes, and states alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from node.upkeep import read_upkeep

if TYPE_CHECKING:
    from node.daemon import Node
    from node.ops.node import MeshState, Status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

NAMES: Final = {
    "maille_build_info": "Which release runs; always 1.",
    "maille_uptime_seconds": "How long the process runs.",
    "maille_ready": "1 when the node can do its work, as /readyz says.",
    "maille_problems": "Problems that `maille node status` shows, by code.",
    "maille_events_total": "Lines of the log since the start, by event and level.",
    "maille_members": "Members of the mesh now.",
    "maille_peers": "Devices of other members, by state (connected, unreachable).",
    "maille_requests_waiting": "Applications that wait for an answer.",
    "maille_proposals_open": "Proposals that are voted on.",
    "maille_voters_silent": "Voters without a sign of life for long.",
    "maille_governance_halted": "1 when the node permits nothing, as it cannot follow the governance.",
    "maille_governance_branches": "Ends of rival branches; 0 unless governance has forked.",
    "maille_epoch": "Number of the newest sealed epoch.",
    "maille_epoch_timestamp_seconds": "Governance time of the newest epoch.",
    "maille_tick_timestamp_seconds": "Time of the newest tick computed here.",
    "maille_tick_attestations": "Devices that attested exactly our state at that tick.",
    "maille_ledger_entries": "Entries held.",
    "maille_ledger_feeds": "Feeds held.",
    "maille_consents": "Consents in the committed state.",
    "maille_ledger_bytes": "Size of the ledger's store.",
    "maille_vault_bytes": "Size of the vault.",
    "maille_store_map_used_ratio": "Part of the store's address space in use, 0 to 1.",
    "maille_gossip_dropped_total": "Messages of peers that were dropped or cut short, by reason.",
    "maille_channel_bytes_total": "Bytes over encrypted channels, by direction.",
    "maille_backup_timestamp_seconds": "When a backup was last made here.",
    "maille_drill_timestamp_seconds": "When a backup was last restored as an exercise.",
}
"""Every family of metrics and what it says."""

Row = tuple[tuple[str, ...], float]


def _family(name: str, labels: tuple[str, ...], rows: Iterable[Row]) -> Metric:
    if name.endswith("_total"):
        counter = CounterMetricFamily(name, NAMES[name], labels=labels)
        for values, figure in rows:
            counter.add_metric(values, figure)
        return counter
    gauge = GaugeMetricFamily(name, NAMES[name], labels=labels)
    for values, figure in rows:
        gauge.add_metric(values, figure)
    return gauge


def _of_meshes(states: tuple[MeshState, ...]) -> Iterator[Metric]:
    """Yield what has one figure a mesh."""
    figures: dict[str, list[Row]] = {}
    for state in states:
        stats, tick, rules = state.stats, state.roots.tick, state.governed
        own: dict[str, float] = {
            "maille_members": stats.members,
            "maille_requests_waiting": state.requests,
            "maille_proposals_open": rules.open,
            "maille_voters_silent": len(rules.silent),
            "maille_governance_halted": bool(rules.halted),
            "maille_governance_branches": len(rules.branches),
            "maille_epoch": rules.n,
            "maille_epoch_timestamp_seconds": rules.as_of.timestamp(),
            "maille_tick_attestations": len(state.roots.attested_by),
            "maille_ledger_entries": stats.entries,
            "maille_ledger_feeds": stats.feeds,
            "maille_consents": stats.consents,
            "maille_ledger_bytes": stats.ledger_bytes,
            "maille_vault_bytes": stats.vault_bytes,
            "maille_store_map_used_ratio": stats.map_used,
        }
        if tick is not None:
            own["maille_tick_timestamp_seconds"] = tick.timestamp()
        for name, figure in own.items():
            figures.setdefault(name, []).append(((state.mesh.name,), figure))
    for name, rows in figures.items():
        yield _family(name, ("mesh",), rows)
    peers = [
        ((state.mesh.name, kind), sum(row.state == kind for row in state.peers))
        for state in states
        for kind in ("connected", "unreachable")
    ]
    yield _family("maille_peers", ("mesh", "state"), peers)


class _Figures(Collector):
    """What is told once; the registry of the library is not needed for it."""

    def __init__(self, node: Node, status: Status, ready: bool) -> None:
        self._node, self._status, self._ready = node, status, ready

    def collect(self) -> Iterator[Metric]:
        """Yield each family."""
        node, status = self._node, self._status
        yield _family("maille_build_info", ("version",), [((node.version,), 1)])
        yield _family("maille_uptime_seconds", (), [((), status.node.up_seconds)])
        yield _family("maille_ready", (), [((), self._ready)])
        codes = [problem.code for problem in status.problems]
        yield _family("maille_problems", ("code",), [((code,), codes.count(code)) for code in sorted(set(codes))])
        counts = sorted(node.events.counts.items())
        yield _family("maille_events_total", ("event", "level"), counts)
        yield from _of_meshes(status.meshes)
        dropped = [
            ((name, reason), figure)
            for name, mesh in sorted(node.meshes.items())
            for reason, figure in sorted(mesh.core.swarm.counters.items())
        ]
        yield _family("maille_gossip_dropped_total", ("mesh", "reason"), dropped)
        sizes = node.net.bytes_total()
        yield _family("maille_channel_bytes_total", ("direction",), [(("in",), sizes[0]), (("out",), sizes[1])])
        upkeep = read_upkeep(node.home.path)
        yield _family("maille_backup_timestamp_seconds", ("mesh",), [((n,), t) for n, t in upkeep.backups.items()])
        yield _family("maille_drill_timestamp_seconds", ("mesh",), [((n,), t) for n, t in upkeep.drills.items()])


def exposition(node: Node, status: Status, *, ready: bool) -> bytes:
    """Return the metrics as text. `status`: of the node now; `ready`: as /readyz says."""
    return generate_latest(_Figures(node, status, ready))
