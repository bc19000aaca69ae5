"""A rolling upgrade across one version of the protocol: a node of the next release in a mesh of today's.

The next release speaks versions 1 and 2 of the channel, and says things that today's does not know: kinds of messages,
a family, a kind of entry.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gossip.handshake import Versions
from gossip.messages import GOSSIP, PROTOCOL, Envelope, Unsupported, seal
from ledger.entry import Entry, sign_entry
from node.core import Turn
from simulations.daemons import Daemon, Daemons
from tests.node.hostile.attackers import Rogue, mesh_of, spread

NEXT = Versions(1, 2)
LATER = Versions(2, 3)


async def upgraded(mesh: Daemons, number: int, versions: Versions) -> Daemon:
    """Stop a daemon and start it again as one of another release."""
    await mesh.kill(number)
    daemon = await mesh.restart(number)
    daemon.net._versions = versions
    for peer in daemon.engine.connected:
        daemon.engine.hang_up(peer, "UPGRADED", "for this test")
    return daemon


def stated(turn: Turn, kind: str, payload: dict[str, Any]) -> Entry:
    """State what today's release would not."""
    core = turn.core
    return turn.register(
        sign_entry(
            core.device,
            kind,
            ("thing", bytes(32)),
            payload,
            iat=turn.now,
            cti=core.random_bytes(16),
            seen=(core.replica.position(core.device.kid),),
            mesh_id=core.replica.mesh_id,
        )
    )


def channels(daemon: Daemon) -> int:
    """Return how many members a daemon has a channel to."""
    return sum(daemon.core.peers.values())


@pytest.mark.parametrize("young", [0, 3])
async def test_a_node_of_the_next_release_is_one_of_the_mesh(autojump_clock: MockClock, young: int) -> None:
    """Whichever side dials: it opens with its newest version, is refused politely, and comes again with the other's."""
    async with mesh_of(4) as mesh:
        new = await upgraded(mesh, young, NEXT)
        await trio.sleep(30)
        assert channels(new) == 3
        ident = await new.engine.act(lambda turn: stated(turn, "weather.report", {"rain": True}).id)
        assert await mesh.until(mesh.agree, 30)
        for daemon in mesh.nodes.values():  # what is unknown is kept and passed on
            with daemon.store.read() as rows:
                assert daemon.core.replica.places(rows, ident)
        ticks = await mesh.until(lambda: len({tick for tick in mesh.ticks() if tick}) == 1 and all(mesh.ticks()), 400)
        assert ticks, "the committed maps do not depend on what one release does not know"
        assert await spread(mesh, young, seconds=5, to=(young + 1) % 4) <= 1.0
        for number in range(4):  # the others follow, one by one, and the mesh never falls apart
            if number != young:
                await upgraded(mesh, number, NEXT)
                await trio.sleep(15)
                assert await mesh.until(mesh.agree, 60)
        assert all(channels(daemon) == 3 for daemon in mesh.nodes.values())


async def test_two_releases_apart_are_told_so_and_nothing_breaks(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        far = await upgraded(mesh, 3, LATER)
        await trio.sleep(60)
        assert channels(far) == 0
        assert any("VERSION_UNSUPPORTED" in why for why in far.net.failures.values())
        assert all(channels(mesh.nodes[number]) == 2 for number in range(3))
        assert await spread(mesh, 0, seconds=5, to=1) <= 1.0
        assert sum(mesh.nodes[number].net.doorway.unproven for number in range(3)) <= 3


async def test_what_the_next_release_says_is_ignored_or_refused_politely(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        await mesh.kill(3)
        await trio.sleep(1)
        new = await Rogue.enter(mesh, mesh._dead[3].who.identity, versions=NEXT)
        await new.say([seal(GOSSIP, 1, 21, [{"a": 1}]), seal(9, 1, 1, [1, 2]), seal(GOSSIP, 2, 1, [])])
        heard, code = await new.hear(5)
        assert code == ""
        refused = [Unsupported.read(one.body()) for one in map(Envelope.open, heard) if one.family == PROTOCOL]
        assert refused == [Unsupported(GOSSIP, (1,))]
        assert await spread(mesh, 0, seconds=5, to=1) <= 1.0
