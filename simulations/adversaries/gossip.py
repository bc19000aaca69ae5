"""The twelve attacks on gossip of libp2p/gossipsub-hardening, against meshes of real nodes.

How it works
    | attack               | what the led nodes do                                                              |
    |----------------------|------------------------------------------------------------------------------------|
    | eclipse-single       | they take all channels of the target, and are silent                               |
    | eclipse-publishers   | the same to every node that publishes                                              |
    | eclipse-net          | they take half of all channels between honest nodes, and are silent                |
    | eclipse-colocation   | the same, from one place: all of them are gone at once at the end                   |
    | censor-single        | they pass on nothing of the target's feed                                          |
    | censor-all           | they are silent                                                                    |
    | degrade              | they pass on a quarter of what they should                                         |
    | cold-boot            | the mesh starts among them: all honest nodes restart with silent neighbours alone   |
    | cold-boot-recovery   | the same, and the honest channels come back half-way                                |
    | covert-flash         | they are honest, and then silent all at once                                       |
    | dawn                 | honest nodes come up one after another, each finding silent neighbours first        |
    | colocation           | each of them has a channel to every honest node, and is silent                     |

    Channels that were taken come back when the attack ends. Names and intents are those of the published test plans
    (github.com/libp2p/gossipsub-hardening); maille has no peer scores, so what defends it is anti-entropy with members
    chosen at random, and channels that the node dialled itself.

What it does not do
    It adds no nodes: those that it leads are members already, which no Sybil is in a mesh with governed admission.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from simulations.adversaries.stage import Censor, Drip, Plot, Silence
from simulations.engine import SECOND

Edge = tuple[int, int]


def _take(plot: Plot, edges: Iterable[Edge]) -> list[Edge]:
    """End channels between honest nodes, and give each end one with a led node in its place; return what was ended."""
    world = plot.stage.world
    taken = sorted(edges)
    for one, other in taken:
        world.disconnect(one, other)
        for number in (one, other):
            world.connect(number, plot.random.choice(plot.led))
    return taken


def _give_back(plot: Plot, taken: list[Edge]) -> None:
    for one, other in taken:
        plot.stage.world.connect(one, other)
    taken.clear()


def _honest_edges(plot: Plot) -> list[Edge]:
    honest = plot.stage.honest
    return [edge for edge in sorted(plot.stage.world.edges) if edge[0] in honest and edge[1] in honest]


def _taking(plot: Plot, choose: Callable[[], list[Edge]]) -> None:
    """Take channels at the beginning, silently; give them back at the end."""
    taken: list[Edge] = []
    plot.lead(Silence())
    plot.during(lambda: taken.extend(_take(plot, choose())), lambda: _give_back(plot, taken))


def eclipse_single(plot: Plot) -> None:
    """Take all channels of the target."""
    _taking(plot, lambda: [edge for edge in _honest_edges(plot) if plot.spec.target in edge])


def eclipse_publishers(plot: Plot) -> None:
    """Take all channels of those who publish."""
    publishers = set(plot.stage.scenario.load.publishers) or {plot.spec.target}
    _taking(plot, lambda: [edge for edge in _honest_edges(plot) if publishers & {*edge}])


def eclipse_net(plot: Plot) -> None:
    """Take half of the honest channels."""

    def half() -> list[Edge]:
        edges = _honest_edges(plot)
        return plot.random.sample(edges, len(edges) // 2)

    _taking(plot, half)


def eclipse_colocation(plot: Plot) -> None:
    """Take half of the honest channels, from one place that is lost at the end."""
    eclipse_net(plot)
    world = plot.stage.world

    def vanish() -> None:
        for number in plot.led:
            if world.is_up(number):
                world.crash(number)

    world.at(plot.until_us, vanish)


def censor_single(plot: Plot) -> None:
    """Pass on nothing of the target's feed."""
    plot.lead(Censor(plot.stage.world.nodes[plot.spec.target].kid))


def censor_all(plot: Plot) -> None:
    """Be silent."""
    plot.lead(Silence())


def degrade(plot: Plot) -> None:
    """Pass on a quarter."""
    plot.lead(Drip(0.25, plot.random))


def cold_boot(plot: Plot) -> None:
    """Restart all honest nodes among silent neighbours; honest channels come back at the end."""
    _cold(plot, plot.until_us)


def cold_boot_recovery(plot: Plot) -> None:
    """Restart all honest nodes among silent neighbours; honest channels come back half-way."""
    _cold(plot, (plot.at_us + plot.until_us) // 2)


def _cold(plot: Plot, back_us: int) -> None:
    world = plot.stage.world
    taken: list[Edge] = []
    plot.lead(Silence())

    def begin() -> None:
        running = [node.number for node in world.alive() if node.number in plot.stage.honest]
        for number in running:
            world.crash(number)
        taken.extend(_take(plot, _honest_edges(plot)))
        for number in running:
            world.restart(number)

    world.at(plot.at_us, begin)
    world.at(back_us, lambda: _give_back(plot, taken))


def covert_flash(plot: Plot) -> None:
    """Be honest until the beginning, then silent all at once."""
    plot.lead(Silence())


def dawn(plot: Plot) -> None:
    """Restart honest nodes one after another, each first among silent neighbours for ten seconds."""
    world = plot.stage.world
    plot.lead(Silence())

    def rise(number: int) -> None:
        if world.is_up(number):
            world.crash(number)
        taken = _take(plot, [edge for edge in _honest_edges(plot) if number in edge])
        world.restart(number)
        world.at(world.now_us + 10 * SECOND, lambda: _give_back(plot, taken))

    for place, number in enumerate(sorted(plot.stage.honest)):
        world.at(plot.at_us + place * SECOND, partial(rise, number))


def colocation(plot: Plot) -> None:
    """Have a channel to everybody, and be silent."""
    world = plot.stage.world
    plot.lead(Silence())
    everybody = [(led, number) for led in plot.led for number in sorted(plot.stage.honest)]
    added = [edge for edge in everybody if (min(edge), max(edge)) not in world.edges]

    def each(act: Callable[[int, int], None]) -> None:
        for edge in added:
            act(*edge)

    plot.during(lambda: each(world.connect), lambda: each(world.disconnect))


ATTACKS: Final[dict[str, Callable[[Plot], None]]] = {
    "eclipse-single": eclipse_single,
    "eclipse-publishers": eclipse_publishers,
    "eclipse-net": eclipse_net,
    "eclipse-colocation": eclipse_colocation,
    "censor-single": censor_single,
    "censor-all": censor_all,
    "degrade": degrade,
    "cold-boot": cold_boot,
    "cold-boot-recovery": cold_boot_recovery,
    "covert-flash": covert_flash,
    "dawn": dawn,
    "colocation": colocation,
}
"""Attacks on gossip by name."""
