"""Crowds at the door: those who say nothing, those who say it slowly, and thousands of keys that nobody knows."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from gossip.handshake import Opening
from gossip.knock import GenesisRequest, Knock, encode
from gossip.noise import XX
from ledger.errors import LocalError
from node.connection import STRANGER_SECONDS_MAX
from node.doorway import (
    CONNECTIONS_A_HOST_MAX,
    CONNECTIONS_MAX,
    HANDSHAKES_MAX,
    STRANGERS_MAX,
    Doorway,
    host_of,
)
from simulations.daemons import address
from tests.node.hostile.attackers import Rogue, held, mesh_of, outside, spread, stranger

HOSTS = 8
JOIN_SECONDS = 15.0
"""Within which a member that comes in the middle of an attack is connected: a few dials, with their pauses."""


async def test_slow_words_of_many_keep_no_member_out(autojump_clock: MockClock) -> None:
    """Slow-loris: more than fill all places, byte by byte, and come again at once when they are turned away."""
    async with mesh_of(4) as mesh:
        await mesh.kill(3)
        opening = Opening.to(mesh.nodes[0].runtime.mesh_id, XX, 1, bytes(16)).encode()
        async with trio.open_nursery() as nursery:

            async def trickle(host: int) -> None:
                while True:
                    stream = await outside(mesh, host).dial(address(0))
                    try:
                        for byte in opening:
                            await stream.send_all(bytes([byte]))
                            await trio.sleep(0.5)
                    except trio.BrokenResourceError:
                        await trio.sleep(0.2)

            for number in range(2 * HANDSHAKES_MAX):
                nursery.start_soon(trickle, number % HOSTS)
            await trio.sleep(5)
            assert held(mesh.nodes[0])["unproven"] <= HANDSHAKES_MAX
            assert await spread(mesh, 1, seconds=5, to=0) <= 1.0
            back = await mesh.restart(3)
            assert await mesh.until(lambda: back.kid in mesh.nodes[0].core.peers, JOIN_SECONDS)
            nursery.cancel_scope.cancel()
        await trio.sleep(20)
        assert held(mesh.nodes[0])["unproven"] == 0


async def test_thousands_of_strangers_leave_room_for_members(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        await mesh.kill(3)
        before = held(mesh.nodes[0])
        let_in = 0
        for number in range(HOSTS * CONNECTIONS_A_HOST_MAX):
            try:
                await Rogue.enter(mesh, stranger(number), host=number % HOSTS)
                let_in += 1
            except (LocalError, trio.BrokenResourceError):
                continue
        await trio.sleep(1)
        during = held(mesh.nodes[0])
        assert during["strangers"] <= STRANGERS_MAX
        assert during["connections"] <= CONNECTIONS_MAX
        assert during["statics"] == before["statics"]  # nothing is remembered of those who are nobody
        assert let_in >= STRANGERS_MAX
        back = await mesh.restart(3)
        assert await mesh.until(lambda: back.kid in mesh.nodes[0].core.peers, JOIN_SECONDS)
        assert await spread(mesh, 1, seconds=5, to=0) <= 1.0
        await trio.sleep(STRANGER_SECONDS_MAX + 30)
        assert held(mesh.nodes[0])["strangers"] == 0


async def test_strangers_who_knock_without_end_are_hung_up_on(autojump_clock: MockClock) -> None:
    async with mesh_of(2) as mesh:
        rogue = await Rogue.enter(mesh, stranger(1))
        with pytest.raises((trio.BrokenResourceError, LocalError)):  # noqa: PT012 - one flood
            for _ in range(300):
                await rogue.say([encode(GenesisRequest()), encode(Knock(b"wrong", (), bytes(32)))])
                await trio.sleep(0.01)
        assert await spread(mesh, 1, seconds=5, to=0) <= 1.0
        assert stranger(1).device.kid not in mesh.nodes[0].core.peers


async def test_half_open_connections_end_by_themselves(autojump_clock: MockClock) -> None:
    async with mesh_of(2) as mesh:
        streams = [await outside(mesh, number % HOSTS).dial(address(0)) for number in range(40)]
        for stream in streams[::2]:
            await stream.send_all(Opening.to(mesh.nodes[0].runtime.mesh_id, XX, 1, bytes(16)).encode())
        await trio.sleep(15)
        assert held(mesh.nodes[0])["unproven"] == 0
        assert held(mesh.nodes[0])["connections"] <= 2
        for stream in streams:
            await stream.aclose()


async def test_the_place_of_whoever_has_most_is_taken() -> None:
    door = Doorway(Random(1))
    crowd = [trio.CancelScope() for _ in range(HANDSHAKES_MAX - 4)]
    for scope in crowd:
        door.prove("192.0.2.1", scope)
    alone = [trio.CancelScope() for _ in range(4)]
    for number, scope in enumerate(alone):
        door.prove(f"198.51.100.{number}", scope)
    newcomer = trio.CancelScope()
    door.prove("203.0.113.1", newcomer)
    assert door.unproven == HANDSHAKES_MAX
    assert sum(scope.cancel_called for scope in crowd) == 1
    assert not any(scope.cancel_called for scope in (*alone, newcomer))
    door.proven(newcomer)
    door.proven(newcomer)
    assert door.unproven == HANDSHAKES_MAX - 1


def test_one_host_is_one_network_of_ipv6() -> None:
    assert host_of("2001:db8::1") == host_of("2001:db8:0:0:ffff::2") != host_of("2001:db8:0:1::1")
    assert host_of("::ffff:192.0.2.1") == host_of("192.0.2.1") == "192.0.2.1"
    assert host_of("fe80::1%eth0") == host_of("fe80::2")
    assert host_of("n3") == "n3"
    door = Doorway(Random(1))
    assert sum(door.enter(f"2001:db8::{number:x}") for number in range(2 * CONNECTIONS_A_HOST_MAX)) == (
        CONNECTIONS_A_HOST_MAX
    )
    assert sum(door.enter(f"10.0.{number >> 8}.{number & 255}") for number in range(2 * CONNECTIONS_MAX)) == (
        CONNECTIONS_MAX - CONNECTIONS_A_HOST_MAX
    )
    door.leave("2001:db8::1")
    assert door.enter("2001:db8::9")
