"""What makes no sense in a scenario though each field by itself does: times, numbers of nodes, what a world lacks.

How it works
    `faults` yields each field that does not go with the others, and why; simulations.spec refuses the first.

What it does not do
    Types and bounds of single fields stand with the fields, in simulations.spec.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from ledger.governance.epoch import FOUNDERS_MAX

if TYPE_CHECKING:
    from simulations.spec import Scenario


def faults(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield each field that makes no sense beside the others, and why."""
    network, load, light = scenario.network, scenario.load, scenario.world == "light"
    named = [("load.publishers", load.publishers)]
    named += [(f"faults.{place}.nodes", one.nodes) for place, one in enumerate(scenario.faults)]
    for place, plot in enumerate(scenario.adversaries):
        named += [(f"adversaries.{place}.nodes", plot.nodes), (f"adversaries.{place}.target", (plot.target,))]
    for field, numbers in named:
        if any(number >= scenario.nodes for number in numbers):
            yield field, f"nodes are numbered from 0 to {scenario.nodes - 1}"
    for table in ("faults", "adversaries"):
        for place, each in enumerate(getattr(scenario, table)):
            if 0 < each.until <= each.at:
                yield f"{table}.{place}.until", f"it ends at {each.until:g} s, before it begins ({each.at:g} s)"
    if network.latency == "uniform" and network.high_ms < network.low_ms:
        yield "network.high_ms", f"it is below low_ms ({network.low_ms:g})"
    cuts = [(place, one) for place, one in enumerate(scenario.faults) if one.kind in {"partition", "chaos"}]
    for (_, first), (place, one) in pairwise(sorted(cuts, key=lambda each: each[1].at)):
        if not first.until or one.at < first.until:
            yield f"faults.{place}.at", "another partition lasts then, and a world has one at a time"
    if light:
        yield from _only_of_real_nodes(scenario)
        return
    if scenario.checks.expect:
        from simulations.checks import CHECKS  # all the code of nodes, which most who read scenarios do without

        if unknown := set(scenario.checks.expect) - {*CHECKS}:
            yield "checks.expect", f"there is no check {min(unknown)!r}; there are {', '.join(CHECKS)}"
    if scenario.nodes > FOUNDERS_MAX:
        yield "nodes", f"a mesh of real nodes is founded by {FOUNDERS_MAX} at most; light nodes may be more"
    if scenario.protocol != type(scenario)(name="").protocol or scenario.protocol_options:
        yield "protocol", "real nodes speak maille's own; a protocol is for world = 'light'"
    if load.data and load.withdraw_at != "home":
        yield "load.withdraw_at", "where data flow, persons withdraw at home: their wallets are there"


def _only_of_real_nodes(scenario: Scenario) -> Iterator[tuple[str, str]]:
    told = "it is for the world of real nodes (world = 'maille')"
    if scenario.adversaries:
        yield "adversaries", f"{told}; write a protocol that lies"
    if scenario.checks.expect:
        yield "checks.expect", told
    for field in ("data", "withdraw"):
        if getattr(scenario.load, field):
            yield f"load.{field}", told
    if scenario.network.skew_ms:
        yield "network.skew_ms", told
    for place, fault in enumerate(scenario.faults):
        if fault.storage != "kept":
            yield f"faults.{place}.storage", told
