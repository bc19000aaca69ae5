"""Attackers of a daemon in virtual time, and what a daemon holds for its peers.

How it works
    A `Rogue` runs the real handshake, with a member's keys or a stranger's, and then says what it likes. It reads only
    when it is told to. `held` counts the bytes and rows that a daemon keeps for whoever is connected: everything an
    attacker could make grow.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from gossip.channel import Channel, Closed, Received
from gossip.handshake import Identity, Versions
from node.joining import Visit
from simulations.daemons import Daemon, Daemons, address, quiet
from simulations.founding import POLICY
from simulations.links import LAN
from simulations.memory_network import Host
from simulations.people import person
from tests.node.sites import SEED, key

FAR = 900
"""Host numbers from here on are no daemon's."""


@asynccontextmanager
async def mesh_of(count: int) -> AsyncIterator[Daemons]:
    """Run a mesh of whole daemons in virtual time, connected."""
    with quiet():
        async with trio.open_nursery() as nursery:
            mesh = Daemons(SEED, nursery, POLICY, LAN.delay)
            await mesh.found(count)
            await trio.sleep(10)
            yield mesh
            nursery.cancel_scope.cancel()


def stranger(number: int) -> Identity:
    """Return keys that nobody of the mesh has."""
    return Identity(key(number), bytes([number % 251 + 1, number // 251]) * 16)


def outside(mesh: Daemons, number: int = 0) -> Host:
    """Return the network as a host sees it that runs no daemon."""
    return Host(mesh.board, FAR + number)


@dataclass(slots=True)
class Rogue:
    """A channel in the hands of an attacker."""

    visit: Visit

    @classmethod
    async def enter(
        cls, mesh: Daemons, who: Identity, *, host: int = 0, target: int = 0, versions: Versions | None = None
    ) -> Rogue:
        """Open a channel to a daemon. Raises LocalError, OSError, BrokenResourceError when it is not let in."""
        daemon = mesh.nodes[target]
        stream = await outside(mesh, host).dial(address(target))
        channel = Channel.initiator(
            who,
            daemon.runtime.mesh_id,
            SEED.stream(FAR + host, f"rogue/{who.device.kid.hex()}").randbytes,
            versions=versions or Versions(1, 1),
            protocol_version=1,
        )
        visit = Visit(stream, channel)
        await visit.begin()
        return cls(visit)

    async def say(self, messages: Iterable[bytes]) -> None:
        """Send messages, in frames as full as they get. Raises BrokenResourceError once the node has hung up."""
        for effect in self.visit._channel.send(list(messages)):
            await self.visit._stream.send_all(effect.data)  # type: ignore[union-attr]

    async def raw(self, data: bytes) -> None:
        """Send bytes past the channel."""
        await self.visit._stream.send_all(data)

    async def hear(self, seconds: float) -> tuple[list[bytes], str]:
        """Read for so long; return the messages, and the code with which the channel ended, or ""."""
        found: list[bytes] = []
        with trio.move_on_after(seconds):
            while data := await self.visit._stream.receive_some(65_536):
                for effect in self.visit._channel.receive(bytes(data), round(trio.current_time() * 1_000)):
                    match effect:
                        case Received(message):
                            found.append(message)
                        case Closed(code):
                            return found, code
            return found, "STREAM_ENDED"
        return found, ""


def held(daemon: Daemon) -> dict[str, int]:
    """Return what a daemon holds for its peers: see the module."""
    engine, peers, doorway = daemon.engine, daemon.core.swarm._peers, daemon.net.doorway
    return {
        "connections": doorway.hosts.total(),
        "unproven": doorway.unproven,
        "strangers": doorway.strangers,
        "inbox": engine._receive.statistics().current_buffer_used,
        "outbox bytes": sum(outbox.waiting_bytes for outbox in engine._outboxes.values()),
        "flying bytes": sum(peer.flying_bytes for peer in peers),
        "rows of peers": sum(
            len(rows) for peer in peers for rows in (peer.known, peer.deferred, peer.stuck, peer.sending, peer.batches)
        ),
        "statics": len(daemon.runtime.statics),
        "failures": len(daemon.net.failures),
        "timers": len(engine._timers),
        "waiting": sum(len(buffer) for buffer in (engine._gone, engine._planned)),
    }


async def spread(mesh: Daemons, number: int, *, seconds: float, to: int) -> float:
    """Have an honest daemon state something; return after how many seconds another one holds it."""
    begun = trio.current_time()
    one, other = mesh.nodes[number], mesh.nodes[to]
    ident = await one.engine.act(lambda turn: person(SEED, number).grant(turn, turn.core.party, turn.core.party).id)

    async def there() -> bool:
        return bool(await other.engine.read(lambda turn: turn.core.replica.places(turn.rows, ident)))

    with trio.fail_after(seconds):
        while not await there():
            await trio.sleep(0.02)
    return trio.current_time() - begun
