"""The network shell: one channel a pair, deadlines for those who say nothing, bounds for those who come in numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from gossip.channel import Channel
from gossip.handshake import Identity
from gossip.vocabulary import Summary, encode
from ledger.governance.epoch import Genesis
from node.admission import Admission
from node.connection import SEND_SECONDS_MAX, STRANGER_SECONDS_MAX
from node.core import Turn
from node.doorway import CONNECTIONS_A_HOST_MAX, HANDSHAKES_MAX
from node.joining import Visit
from node.net import (
    DIALS_IN_VAIN_MAX,
    NEIGHBOURS_MAX,
)
from node.network import Tcp, join_address, split_address
from simulations.daemons import Daemon, Daemons, address, quiet
from simulations.founding import POLICY, copy_store, found, persona
from simulations.links import LAN
from simulations.memory_network import PIPE_BYTES_MAX, Host
from simulations.mesh_run import Ears
from tests.node.sites import NOW, SEED, key, people

FAR = 900
"""Host numbers from here on are no daemon's."""


@asynccontextmanager
async def mesh_of(count: int) -> AsyncIterator[Daemons]:
    """Run a mesh of whole daemons in virtual time."""
    with quiet():
        async with trio.open_nursery() as nursery:
            mesh = Daemons(SEED, nursery, POLICY, LAN.delay)
            await mesh.found(count)
            yield mesh
            nursery.cancel_scope.cancel()


def outsider(mesh: Daemons, number: int = 0) -> Host:
    """Return the network as seen by a host that runs no daemon."""
    return Host(mesh.board, FAR + number)


async def visit(mesh: Daemons, number: int, identity: Identity, *, mesh_id: bytes | None = None) -> Visit:
    """Open a channel to a daemon by hand."""
    daemon = mesh.nodes[number]
    stream = await outsider(mesh).dial(address(number))
    channel = Channel.initiator(
        identity, mesh_id or daemon.runtime.mesh_id, SEED.stream(FAR, "visit").randbytes, expected_device_kid=daemon.kid
    )
    found_visit = Visit(stream, channel)
    await found_visit.begin()
    return found_visit


async def ends(stream: trio.abc.Stream) -> float:
    """Read to the end; return when it came."""
    while await stream.receive_some():
        pass
    return trio.current_time()


async def test_two_nodes_keep_the_channel_that_the_smaller_id_dialed(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        await trio.sleep(20)
        for daemon in mesh.nodes.values():
            assert len(daemon.net.peerings) == len(daemon.engine.connected) == 3
            for (_, kid), peering in daemon.net.peerings.items():
                assert peering.dialed == (daemon.kid < kid)
            assert not daemon.net.failures
            assert daemon.net.doorway.unproven == 0


async def test_a_channel_that_breaks_is_dialed_again(autojump_clock: MockClock) -> None:
    async with mesh_of(3) as mesh:
        await trio.sleep(10)
        one, two = mesh.nodes[0], mesh.nodes[1]
        before = one.net.peerings[one.runtime.mesh_id, two.kid]
        one.engine.hang_up(two.kid, "TEST", "for this test")
        await trio.sleep(10)
        after = one.net.peerings[one.runtime.mesh_id, two.kid]
        assert after is not before
        assert before.gone.is_set()
        assert one.core.peers[two.kid]


@pytest.mark.parametrize("said", [b"", b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5_000])
async def test_whoever_speaks_something_else_is_dropped(autojump_clock: MockClock, said: bytes) -> None:
    async with mesh_of(1) as mesh:
        stream = await outsider(mesh).dial(address(0))
        begun = trio.current_time()
        if said:
            await stream.send_all(said)
        with trio.fail_after(15):
            assert await ends(stream) <= begun + 11  # the handshake's deadline, at the latest
        await trio.sleep(1)
        assert mesh.nodes[0].net.doorway.unproven == 0
        assert not mesh.nodes[0].net.doorway.hosts


async def test_those_who_say_nothing_are_bounded_in_number(autojump_clock: MockClock) -> None:
    async with mesh_of(1) as mesh:
        net = mesh.nodes[0].net
        from_one = [await outsider(mesh).dial(address(0)) for _ in range(CONNECTIONS_A_HOST_MAX + 5)]
        await trio.sleep(0.5)
        assert net.doorway.hosts[f"n{FAR}"] == net.doorway.unproven == CONNECTIONS_A_HOST_MAX
        others = [await outsider(mesh, number).dial(address(0)) for number in range(1, HANDSHAKES_MAX + 5)]
        await trio.sleep(0.5)
        assert net.doorway.unproven == HANDSHAKES_MAX
        await trio.sleep(15)
        assert net.doorway.unproven == 0
        for stream in from_one + others:
            await stream.aclose()


async def test_another_mesh_is_not_served(autojump_clock: MockClock) -> None:
    async with mesh_of(1) as mesh:
        with pytest.raises(Exception, match=r"(?i)mesh|ended"):
            await visit(mesh, 0, persona(SEED, 77).identity, mesh_id=bytes(32))
        assert mesh.nodes[0].engine.connected == []


async def test_a_stranger_who_says_nothing_is_asked_to_leave(autojump_clock: MockClock) -> None:
    async with mesh_of(1) as mesh:
        who = Identity(key(3), bytes(range(32)))
        caller = await visit(mesh, 0, who)
        await trio.sleep(1)
        assert mesh.nodes[0].core.peers == {who.device.kid: False}
        begun = trio.current_time()
        with trio.fail_after(STRANGER_SECONDS_MAX + 10):
            assert await ends(caller._stream) - begun < STRANGER_SECONDS_MAX + 5
        await trio.sleep(1)
        assert mesh.nodes[0].core.peers == {}


async def test_a_stranger_who_was_admitted_meanwhile_may_stay(autojump_clock: MockClock) -> None:
    async with mesh_of(2) as mesh:
        await trio.sleep(5)
        who = persona(SEED, 60)
        caller = await visit(mesh, 0, who.identity)
        await trio.sleep(10)
        ticket = await mesh.nodes[1].engine.act(
            lambda turn: Admission().invite(turn, [address(1)], ttl_seconds=60, bound_to=who.root.kid)
        )
        assert (await mesh.knock(60, ticket)).code == "ADMITTED"
        await trio.sleep(2)
        assert mesh.nodes[0].core.peers[who.device.kid]  # promoted by what gossip brought
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                while True:
                    await caller._pump()
                    await caller._carry_out(caller._channel.tick(round(trio.current_time() * 1_000)))

            nursery.start_soon(listen)
            await trio.sleep(STRANGER_SECONDS_MAX + 5)
            assert who.device.kid in mesh.nodes[0].core.peers
            nursery.cancel_scope.cancel()


async def test_a_peer_that_does_not_read_is_given_up(autojump_clock: MockClock) -> None:
    async with mesh_of(2) as mesh:
        await mesh.kill(1)
        daemon = mesh.nodes[0]
        dead = mesh._dead[1]
        await visit(mesh, 0, dead.who.identity)  # a member that reads no further
        await trio.sleep(1)
        assert daemon.core.peers == {dead.kid: True}
        begun = trio.current_time()
        chunk = bytes(1 << 20)

        def flood(turn: Turn) -> None:
            for _ in range(4):
                turn.send(dead.kid, chunk)

        await daemon.engine.act(flood)
        assert 4 * len(chunk) > PIPE_BYTES_MAX
        assert await mesh.until(lambda: not daemon.core.peers, SEND_SECONDS_MAX + 5)
        assert trio.current_time() - begun > 10


async def test_an_unreachable_member_does_not_keep_a_reachable_one_from_being_dialed(
    autojump_clock: MockClock,
) -> None:
    count = NEIGHBOURS_MAX + 8
    who = people(count)
    genesis, store = found(SEED, who, POLICY, NOW)

    async def start(mesh: Daemons, genesis: Genesis, number: int) -> Daemon:
        hints = {one.device.kid: (address(one.number),) for one in who} if number == 0 else {}
        return await mesh.start(who[number], genesis, copy_store(store), hints)

    with quiet():
        async with trio.open_nursery() as nursery:
            mesh = Daemons(SEED, nursery, POLICY, LAN.delay)
            one = await start(mesh, genesis, 0)
            for number in range(1, 4):
                await start(mesh, genesis, number)
            assert await mesh.until(lambda: len(one.net.peerings) == 3, 60 * DIALS_IN_VAIN_MAX)
            assert one.net.failures
            nursery.cancel_scope.cancel()


class Wishes(Ears):
    """A family 3 that says nothing, and wants channels to these devices."""

    def __init__(self, wanted: frozenset[bytes]) -> None:
        super().__init__(lambda _turn, _entries: None)
        self._wanted = wanted

    def partners(self, turn: Turn) -> frozenset[bytes]:  # noqa: ARG002 - as DataFamily says
        """Return those."""
        return self._wanted


async def test_whom_data_go_to_is_dialed_however_many_neighbours_there_are(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.net.NEIGHBOURS_MAX", 1)
    async with mesh_of(12) as mesh:
        await trio.sleep(60)
        one = mesh.nodes[0]
        far = {node.kid for node in mesh.nodes.values() if node.kid not in one.engine.connected} - {one.kid}
        assert len(far) > 4, "with one neighbour each, most are not connected"
        wanted = frozenset(sorted(far)[:3])
        one.core.data = Wishes(wanted)
        await trio.sleep(60)
        assert wanted <= set(one.engine.connected)
        assert not far <= set(one.engine.connected), "and nobody else beside them"


async def test_a_node_behind_nat_is_met_because_it_dials(autojump_clock: MockClock) -> None:
    who = people(3)
    genesis, store = found(SEED, who, POLICY, NOW)
    with quiet():
        async with trio.open_nursery() as nursery:
            mesh = Daemons(SEED, nursery, POLICY, LAN.delay)
            hub = {who[0].device.kid: (address(0),)}
            for one in who:
                await mesh.start(one, genesis, copy_store(store), hub if one.number else {})
            await trio.sleep(60)
            assert len(mesh.nodes[0].net.peerings) == 2
            nursery.cancel_scope.cancel()


async def test_gossip_over_a_channel_by_hand_is_answered(autojump_clock: MockClock) -> None:
    async with mesh_of(2) as mesh:
        await mesh.kill(1)
        caller = await visit(mesh, 0, mesh._dead[1].who.identity)
        digest = mesh.nodes[0].core.replica.frontier_digest()
        await caller._carry_out(caller._channel.send([encode(Summary(1, digest, 2, b"", 0, b""))]))
        before = mesh.board.bytes
        await trio.sleep(1)
        assert mesh.board.bytes > before
        await caller.leave()
        await trio.sleep(1)
        assert mesh.nodes[0].core.peers == {}


async def test_tcp_carries_bytes_both_ways() -> None:
    heard: list[tuple[str, bytes]] = []

    async def handler(stream: trio.abc.Stream, host: str) -> None:
        heard.append((host, bytes(await stream.receive_some(100))))
        await stream.send_all(b"back")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        bound: str = await nursery.start(Tcp().listen, "127.0.0.1:0", handler)
        stream = await Tcp().dial(bound)
        await stream.send_all(b"there")
        assert await stream.receive_some(100) == b"back"
        await stream.aclose()
        nursery.cancel_scope.cancel()
    assert heard == [("127.0.0.1", b"there")]


@pytest.mark.parametrize("text", ["", "host", ":1", "host:", "host:65536", "host:x", "host:-1"])
async def test_an_address_that_is_none_is_a_dial_that_fails(text: str) -> None:
    with pytest.raises(OSError, match="host:port"):
        await Tcp().dial(text)


@pytest.mark.parametrize(("text", "host", "port"), [("a.example:1", "a.example", 1), ("[::1]:65535", "::1", 65_535)])
def test_addresses_come_back(text: str, host: str, port: int) -> None:
    assert split_address(text) == (host, port)
    assert join_address(host, port) == text
