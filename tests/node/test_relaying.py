"""Relayed channels of whole daemons: two that nobody can dial reach each other; a relay can only end that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gossip.circuits import Circuits, Out
from gossip.messages import seal
from gossip.relay import PIECE_BYTES_MAX, WINDOW_BYTES, Credit, Open, Piece, RelayMessage, encode
from ledger.governance.members import Party
from node.config import as_toml
from node.core import Turn
from node.network import RELAY_PREFIX
from node.peering import Peering
from node.relaying import CircuitStream
from node.tables import Relay
from simulations.daemons import Daemon, Daemons, address, quiet
from simulations.founding import POLICY
from simulations.links import LAN
from tests.node.nodes import do, make_home, running
from tests.node.sites import SEED
from tests.node.test_data_operations import pair

SERVES = Relay(serve=True)


def member(daemon: Daemon) -> bytes:
    """Return a daemon's member id."""
    party: Party = daemon.core.party
    return party[0]


def between(one: Daemon, other: Daemon) -> Peering | None:
    """Return the channel from one daemon to another, or None."""
    return one.net.peerings.get((one.runtime.mesh_id, other.kid))


async def hide(mesh: Daemons, daemon: Daemon, relay: Daemon) -> None:
    """Put a daemon behind a router that lets nobody in, with a relay."""

    async def refuse(stream: trio.abc.Stream, _: str) -> None:
        await trio.aclose_forcefully(stream)

    number, _, nursery = mesh.board.listeners[address(daemon.number)]
    mesh.board.listeners[address(daemon.number)] = (number, refuse, nursery)
    daemon.net.relay = lambda: Relay(use=(member(relay).hex(),))
    told = daemon.net.relay_addresses(daemon.runtime.mesh_id)
    assert told == (RELAY_PREFIX + member(relay).hex(),)
    await daemon.engine.act(lambda turn: daemon.core.directory.announce(turn, told))


@asynccontextmanager
async def hidden(settings: Relay = SERVES) -> AsyncIterator[tuple[Daemons, Daemon, Daemon, Daemon]]:
    """Run a relay and two daemons behind routers, whose direct channel is cut."""
    with quiet():
        async with trio.open_nursery() as nursery:
            mesh = Daemons(SEED, nursery, POLICY, LAN.delay)
            await mesh.found(3)
            relay, ada, bob = (mesh.nodes[number] for number in range(3))
            relay.net.relay = lambda: settings
            await trio.sleep(5)
            for daemon in (ada, bob):
                await hide(mesh, daemon, relay)
            await trio.sleep(1)
            ada.engine.hang_up(bob.kid, "TEST", "for this test")
            yield mesh, relay, ada, bob
            nursery.cancel_scope.cancel()


def relayed(one: Daemon, other: Daemon) -> bool:
    """Say whether two daemons have a channel through a relay."""
    found = between(one, other), between(other, one)
    return all(peering is not None and peering.relayed for peering in found)


async def test_two_that_nobody_can_dial_have_a_channel(autojump_clock: MockClock) -> None:
    async with hidden() as (mesh, relay, ada, bob):
        assert await mesh.until(lambda: relayed(ada, bob), 180)
        await trio.sleep(10)
        assert relayed(ada, bob)  # and no direct one is in its place
        assert ada.core.peers[bob.kid]
        switch = relay.net.switches[relay.runtime.mesh_id]
        assert len(switch.circuits) == 1
        assert switch.circuits.passed > 500
        relay_sees = between(relay, ada)
        assert relay_sees is not None
        assert not relay_sees.relayed


async def test_what_is_said_through_a_relay_arrives_at_its_rate(autojump_clock: MockClock) -> None:
    async with hidden() as (mesh, _, ada, bob):
        assert await mesh.until(lambda: relayed(ada, bob), 180)
        channel, other, begun = between(ada, bob), between(bob, ada), trio.current_time()
        assert channel is not None
        assert other is not None
        for _ in range(20):
            channel.outbox.put(seal(9, 1, 1, [bytes(100_000)]))  # of a family that nobody knows: counted, and ignored
        channel.outbox.flush()
        assert await mesh.until(lambda: other.bytes_in > 2_000_000, 60)
        assert trio.current_time() - begun > 2_000_000 / SERVES.bytes_a_second - 2
        assert not channel.gone.is_set()


async def test_a_relay_that_stops_serving_ends_the_circuits(autojump_clock: MockClock) -> None:
    async with hidden() as (mesh, relay, ada, bob):
        assert await mesh.until(lambda: relayed(ada, bob), 180)
        relay.net.relay = Relay
        assert await mesh.until(lambda: between(ada, bob) is None and between(bob, ada) is None, 30)
        await trio.sleep(60)
        assert between(ada, bob) is None
        why = [
            daemon.net.failures.get((daemon.runtime.mesh_id, kid), "")
            for daemon, kid in ((ada, bob.kid), (bob, ada.kid))
        ]
        assert any("NO_RELAY" in told for told in why)
        assert between(relay, ada) is not None
        relay.net.relay = lambda: SERVES
        assert await mesh.until(lambda: relayed(ada, bob), 300)


async def test_a_circuit_lasts_so_long_and_is_opened_again(autojump_clock: MockClock) -> None:
    async with hidden(msgspec.structs.replace(SERVES, seconds=60)) as (mesh, _, ada, bob):
        assert await mesh.until(lambda: relayed(ada, bob), 180)
        first = between(ada, bob)
        assert first is not None
        with trio.fail_after(90):
            await first.gone.wait()
        assert await mesh.until(lambda: relayed(ada, bob), 120)


async def test_when_one_end_is_no_member_any_more_its_circuits_end(autojump_clock: MockClock) -> None:
    async with hidden() as (mesh, relay, ada, bob):
        assert await mesh.until(lambda: relayed(ada, bob), 180)
        await bob.engine.act(lambda turn: turn.state("member.leave", ("member", member(bob)), {"reason": "moved"}))
        circuits = relay.net.switches[relay.runtime.mesh_id].circuits
        assert await mesh.until(lambda: between(ada, bob) is None and len(circuits) == 0, 30)
        await trio.sleep(60)
        assert between(ada, bob) is None
        assert between(relay, bob) is None or not relay.core.peers.get(bob.kid)
        assert len(circuits) == 0


class Hostile(Circuits):
    """A relay that does something to the pieces that pass."""

    def __init__(self, honest: Circuits, spoil: Callable[[list[Out]], list[Out]]) -> None:
        super().__init__(honest._numbers, honest._limits)
        self._spoil = spoil
        self.spoiled = 0
        self.armed = False

    def handle(self, peer: bytes, member: bytes, message: RelayMessage, reach: bool, now_ms: int) -> list[Out]:
        """Do what an honest relay does, and spoil it once armed."""
        out = super().handle(peer, member, message, reach, now_ms)
        if self.armed and isinstance(message, Piece):
            self.spoiled += 1
            return self._spoil(out)
        return out


def _injects(out: list[Out]) -> list[Out]:
    return [each for device, said in out for each in ((device, _other(said, bytes(64))), (device, said))]


def _changes(out: list[Out]) -> list[Out]:
    return [(device, _other(said, None)) for device, said in out]


def _other(said: RelayMessage, data: bytes | None) -> RelayMessage:
    """Return a piece with other bytes: those given, or its own with a bit of each flipped."""
    if not isinstance(said, Piece):
        return said
    return replace(said, data=data if data is not None else bytes(byte ^ 1 for byte in said.data))


def _reorders() -> Callable[[list[Out]], list[Out]]:
    held: list[Out] = []

    def spoil(out: list[Out]) -> list[Out]:
        held.extend(out)
        if len(held) < 2:
            return []
        turned = list(reversed(held))
        held.clear()
        return turned

    return spoil


HOSTILE: dict[str, Callable[[list[Out]], list[Out]]] = {
    "drops": lambda _: [],
    "replays": lambda out: [*out, *out],
    "injects": _injects,
    "changes": _changes,
    "reorders": _reorders(),
}


@pytest.mark.parametrize("how", HOSTILE)
async def test_a_hostile_relay_only_loses(autojump_clock: MockClock, how: str) -> None:
    async with hidden() as (mesh, relay, ada, bob):
        switch = relay.net.switches[relay.runtime.mesh_id]
        hostile = switch.circuits = Hostile(switch.circuits, HOSTILE[how])
        assert await mesh.until(lambda: relayed(ada, bob), 180)
        first = between(ada, bob)
        assert first is not None
        hostile.armed = True
        assert await mesh.until(first.gone.is_set, 300)
        assert hostile.spoiled
        await trio.sleep(30)
        if how != "reorders":  # a handshake, in which the ends take turns, may pass
            assert not relayed(ada, bob)
        assert between(relay, ada) is not None
        assert mesh.agree()
        hostile.armed = False
        assert await mesh.until(lambda: relayed(ada, bob), 600)


async def test_a_client_that_floods_loses_its_circuits_alone(autojump_clock: MockClock) -> None:
    async with hidden(msgspec.structs.replace(SERVES, circuits_a_member=4)) as (mesh, relay, ada, bob):
        assert await mesh.until(lambda: relayed(ada, bob), 180)
        switch = relay.net.switches[relay.runtime.mesh_id]
        flooder = between(bob, relay)
        assert flooder is not None
        odd = bob.kid > relay.kid
        for number in range(1_000, 1_400, 2):
            flooder.outbox.put(encode(Open(number + odd, ada.kid)))
            flooder.outbox.put(encode(Credit(number + odd, 5)))
            for _ in range(2 * WINDOW_BYTES // PIECE_BYTES_MAX):
                flooder.outbox.put(encode(Piece(number + odd, bytes(PIECE_BYTES_MAX))))
            flooder.outbox.flush()
            await trio.sleep(0.05)
            assert len(switch.circuits) <= 5
        await trio.sleep(5)
        assert between(relay, ada) is not None
        assert between(relay, bob) is not None
        assert await mesh.until(lambda: relayed(ada, bob), 300)
        assert mesh.agree()


async def test_calls_of_members_that_are_not_our_relays_are_refused(autojump_clock: MockClock) -> None:
    async with hidden() as (mesh, _, ada, bob):
        assert await mesh.until(lambda: relayed(ada, bob), 180)
        bob.net.relay = Relay
        first = between(ada, bob)
        assert first is not None
        ada.engine.hang_up(bob.kid, "TEST", "for this test")
        await first.gone.wait()
        await trio.sleep(20)
        assert between(bob, ada) is None or between(bob, ada).dialed  # type: ignore[union-attr]


async def test_the_settings_of_a_node_say_who_passes_on_to_it(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        told = as_toml(msgspec.structs.replace(bob.config, relay=Relay(use=("ada", "nobody"))))
        bob.home.config_file.write_text(told)
        assert (await do(bob, "config reload")).taken == ("relay.use",)
        expected, device = RELAY_PREFIX + ada.mesh().core.party[0].hex(), bob.mesh().core.device.kid

        def card(turn: Turn) -> tuple[str, ...]:
            found = turn.core.directory.card(turn.rows, device)
            return found.addresses if found is not None else ()

        with trio.fail_after(20):
            while expected not in (addresses := await ada.mesh().engine.read(card)):
                await trio.sleep(0.05)
        assert len(addresses) == 2  # after the one at which it listens
        assert not [one for one in (await do(bob, "node status")).problems if one.code == "NO_ADDRESS"]


async def test_a_stream_keeps_to_the_window_and_holds_the_other_end_to_it(autojump_clock: MockClock) -> None:
    said: list[RelayMessage] = []
    over: list[bool] = []
    stream = CircuitStream(2, said.append, lambda: over.append(True))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, bytes(WINDOW_BYTES + 10))
        await trio.sleep(1)
        assert sum(len(one.data) for one in said if isinstance(one, Piece)) == WINDOW_BYTES
        stream.take(Credit(2, 10))
    assert sum(len(one.data) for one in said if isinstance(one, Piece)) == WINDOW_BYTES + 10
    stream.take(Piece(2, b"abc"))
    assert await stream.receive_some(2) == b"ab"
    assert await stream.receive_some(2) == b"c"
    assert said[-1] == Credit(2, 3)
    for _ in range(WINDOW_BYTES // PIECE_BYTES_MAX + 1):
        stream.take(Piece(2, bytes(PIECE_BYTES_MAX)))
    assert stream.ended == "FLOODED"
    assert over == [True]
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"x")
    await stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()
