"""Adversaries: plugins of the world of real nodes, never of production code.

How it works
    A scenario names them under [[adversaries]]; `plan` chooses the nodes that each leads (by the seed, or those named),
    takes them out of the honest ones, and lets each lay its plan. Another one can be brought: a function that takes a
    `Plot`, named as `module:function`.

What it does not do
    It judges nothing: simulations.checks does.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from ledger.errors import LocalError
from simulations.adversaries import gossip, ledger
from simulations.adversaries.stage import Plot, Stage

KNOWN: Final = {**gossip.ATTACKS, **ledger.ATTACKS}
"""Every attack that comes with maille, by name."""


def plan(stage: Stage) -> int:
    """Let every adversary lay its plan; return when the last is over. Raises LocalError NO_ADVERSARY."""
    begun = over = stage.world.now_us
    plots = []
    for place, spec in enumerate(stage.scenario.adversaries):
        source = stage.seed.stream(-1, f"adversary/{place}/{spec.kind}")
        spared = {spec.target, *stage.scenario.load.publishers, 0, 1}  # 0 and 1 hold and receive data
        others = [number for number in sorted(stage.honest) if number not in spared]
        count = min(len(others), max(1, round(spec.share * stage.scenario.nodes)))
        led = spec.nodes or tuple(sorted(source.sample(others, count)))
        stage.honest.difference_update(led)
        plots.append((_find(spec.kind, place), Plot(stage, spec, led, source, begun)))
    for attack, plot in plots:
        attack(plot)
        over = max(over, plot.until_us)
    return over


def _find(name: str, place: int) -> Callable[[Plot], None]:
    if name in KNOWN:
        return KNOWN[name]
    module, _, attribute = name.partition(":")
    try:
        found: Any = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        told = f"no adversary {name!r}; known are {', '.join(sorted(KNOWN))}, or give module:function"
        raise LocalError("NO_ADVERSARY", told, field=f"adversaries.{place}.kind") from None
    return found  # type: ignore[no-any-return]
