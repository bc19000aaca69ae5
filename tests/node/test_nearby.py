"""Members in the local network: who hears a tag of its mesh dials it, and nothing else comes of what is heard."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from ledger.errors import LocalError
from node.core import Turn
from node.nearby import (
    ADDRESSES_MAX,
    AGAIN_SECONDS,
    HOUR,
    MEETINGS_MAX,
    Mdns,
    Nearby,
    Notice,
    Sighting,
    is_near,
    near_hosts,
    tag_of,
)
from simulations.daemons import Daemon, Daemons, address, now_ms, quiet
from simulations.founding import POLICY
from simulations.links import LAN
from tests.node.sites import SEED

MESH, OTHER = b"\x01" * 32, b"\x02" * 32


class Ether:
    """A local network in memory: everybody hears every notice."""

    def __init__(self) -> None:
        self.ears: list[Callable[[Sighting], None]] = []
        self.said: list[Sighting] = []

    def say(self, sighting: Sighting) -> None:
        """Let everybody hear it."""
        self.said.append(sighting)
        for ear in self.ears:
            ear(sighting)


class Fake:
    """One node's radio."""

    def __init__(self, ether: Ether) -> None:
        self.ether = ether
        self.closed = False

    async def open(self, seen: Callable[[Sighting], None]) -> None:
        """Hear what is said from now on, and what was said before."""
        self.ether.ears.append(seen)
        for sighting in self.ether.said:
            seen(sighting)

    async def announce(self, notices: Sequence[Notice]) -> None:
        """Say it."""
        for notice in notices:
            self.ether.say(Sighting(notice.instance, notice.tag, notice.listening))

    async def close(self) -> None:
        """Be silent."""
        self.closed = True


@pytest.fixture(autouse=True)
def _names_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the names of hosts in memory pass for addresses of a local network."""
    monkeypatch.setattr("node.nearby.is_near", lambda where: where.startswith("n") or is_near(where))


def _announce_nothing(turn: Turn) -> None:
    turn.core.directory.announce(turn, ())


@asynccontextmanager
async def strangers(count: int) -> AsyncIterator[tuple[Daemons, Ether, trio.Nursery]]:
    """Run members of one mesh that know no address of one another, and have no channel."""
    with quiet():
        async with trio.open_nursery() as nursery:
            mesh = Daemons(SEED, nursery, POLICY, LAN.delay)
            await mesh.found(count)
            await trio.sleep(2)
            for daemon in mesh.nodes.values():
                await daemon.engine.act(_announce_nothing)
            await trio.sleep(2)
            for daemon in mesh.nodes.values():
                daemon.runtime.hints.clear()
                for peer in daemon.engine.connected:
                    daemon.engine.hang_up(peer, "TEST", "for this test")
            await trio.sleep(30)
            assert not any(daemon.net.peerings for daemon in mesh.nodes.values())
            yield mesh, Ether(), nursery
            nursery.cancel_scope.cancel()


def nearby(daemon: Daemon, ether: Ether) -> Nearby:
    """Return what looks around for a daemon."""
    stream = SEED.stream(daemon.number, "nearby").randbytes
    return Nearby(daemon.net, Fake(ether), lambda: now_ms() // 1_000, stream)


async def test_members_who_know_no_address_meet(autojump_clock: MockClock) -> None:
    async with strangers(3) as (mesh, ether, nursery):
        for daemon in mesh.nodes.values():
            nursery.start_soon(nearby(daemon, ether).run)
        assert await mesh.until(lambda: all(len(d.net.peerings) == 2 for d in mesh.nodes.values()), 30)
        one, two = mesh.nodes[0], mesh.nodes[1]
        one.engine.hang_up(two.kid, "TEST", "for this test")
        await trio.sleep(1)
        assert await mesh.until(lambda: all(len(d.net.peerings) == 2 for d in mesh.nodes.values()), 240)
        assert {**one.runtime.near, **two.runtime.near}  # the dialer keeps the address, and nothing was heard anew


async def test_no_notice_names_anybody_and_each_hour_has_others(autojump_clock: MockClock) -> None:
    async with strangers(2) as (mesh, ether, nursery):
        daemon = mesh.nodes[0]
        nursery.start_soon(nearby(daemon, ether).run)
        await trio.sleep(2 * HOUR + 5)
        assert len(ether.said) == 3
        assert len({one.instance for one in ether.said}) == len({one.tag for one in ether.said}) == 3
        known = (daemon.kid, daemon.core.party[0], daemon.runtime.mesh_id, daemon.who.root.public)
        for one in ether.said:
            said = one.instance.encode() + one.tag
            assert not any(name[:8] in said or name.hex()[:8].encode() in said for name in known)


async def test_what_is_not_of_ours_is_not_dialed(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with strangers(2) as (mesh, ether, nursery):
        dialed: list[str] = []
        daemon = mesh.nodes[0]

        async def dial(where: str) -> trio.abc.Stream:
            dialed.append(where)
            raise OSError("nobody is there")

        monkeypatch.setattr(daemon.net._network, "dial", dial)
        nursery.start_soon(nearby(daemon, ether).run)
        await trio.sleep(1)
        hour = now_ms() // 1_000 // HOUR
        ours = daemon.runtime.mesh_id
        for number, (mesh_id, at) in enumerate(((OTHER, hour), (ours, hour - 2), (ours, hour + 2))):
            ether.say(Sighting(f"i{number}", tag_of(mesh_id, at, f"i{number}"), (address(7),)))
        ether.say(Sighting("i9", tag_of(ours, hour, "i8"), (address(7),)))  # the tag of another instance
        ether.say(Sighting("i8", tag_of(ours, hour, "i8"), ("8.8.8.8:7000", "example.org:80", "somewhere")))
        ether.say(ether.said[0])  # our own
        await trio.sleep(5)
        assert dialed == []
        ether.say(Sighting("i7", tag_of(ours, hour, "i7"), (address(7),)))
        ether.say(Sighting("i7", tag_of(ours, hour, "i7"), (address(7),)))
        await trio.sleep(5)
        assert dialed == [address(7)]
        await trio.sleep(AGAIN_SECONDS)
        ether.say(Sighting("i7", tag_of(ours, hour, "i7"), (address(7),)))
        await trio.sleep(5)
        assert dialed == 2 * [address(7)]


async def test_a_flood_of_notices_stays_within_its_bounds(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with strangers(2) as (mesh, ether, nursery):
        daemon, at_once, most = mesh.nodes[0], 0, 0

        async def dial(_: str) -> trio.abc.Stream:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            try:
                await trio.sleep(3)
                raise OSError("nobody is there")
            finally:
                at_once -= 1

        monkeypatch.setattr(daemon.net._network, "dial", dial)
        nursery.start_soon(nearby(daemon, ether).run)
        await trio.sleep(1)
        hour, ours = now_ms() // 1_000 // HOUR, daemon.runtime.mesh_id
        for number in range(500):
            name = f"x{number}"
            hosts = tuple(f"n{number}-{port}:7000" for port in range(20))
            ether.say(Sighting(name, tag_of(ours, hour, name), hosts))
        await trio.sleep(600)
        assert most == MEETINGS_MAX
        assert ADDRESSES_MAX < 20


async def test_who_is_no_member_stays_none(autojump_clock: MockClock) -> None:
    async with strangers(2) as (mesh, ether, nursery):
        one, two = mesh.nodes[0], mesh.nodes[1]
        before = dict(one.core.replica.members.members)
        nursery.start_soon(nearby(one, ether).run)
        await trio.sleep(1)
        hour, ours = now_ms() // 1_000 // HOUR, one.runtime.mesh_id
        ether.say(
            Sighting("me", tag_of(ours, hour, "me"), (address(0),))
        )  # our own address, from somebody else's mouth
        await trio.sleep(30)
        assert not one.net.peerings
        assert one.runtime.near == {}
        two.net.meshes.clear()  # there, and of no mesh of ours
        ether.say(Sighting("no", tag_of(ours, hour, "no"), (address(1),)))
        await trio.sleep(30)
        assert not one.net.peerings
        assert dict(one.core.replica.members.members) == before


class Refusing(Fake):
    """A radio that listens at most."""

    def __init__(self, ether: Ether, *, deaf: bool) -> None:
        super().__init__(ether)
        self.deaf = deaf

    async def open(self, seen: Callable[[Sighting], None]) -> None:
        """Listen, or refuse that too."""
        if self.deaf:
            raise LocalError("LAN_REFUSED", "no")
        await super().open(seen)

    async def announce(self, notices: Sequence[Notice]) -> None:  # noqa: ARG002 - a radio takes them
        """Refuse."""
        raise LocalError("LAN_REFUSED", "no")


@pytest.mark.parametrize("deaf", [True, False])
async def test_a_network_that_refuses_ends_nothing(autojump_clock: MockClock, deaf: bool) -> None:
    async with strangers(2) as (mesh, ether, nursery):
        one = mesh.nodes[0]
        refusing = Refusing(ether, deaf=deaf)
        look = Nearby(one.net, refusing, lambda: now_ms() // 1_000, SEED.stream(0, "nearby").randbytes)
        with structlog.testing.capture_logs() as logs:
            nursery.start_soon(look.run)
            await trio.sleep(5)
        assert [line["code"] for line in logs if "code" in line] == ["LAN_REFUSED"]
        nursery.start_soon(nearby(mesh.nodes[1], ether).run)
        assert await mesh.until(lambda: bool(one.net.peerings) is not deaf, 20)


async def test_without_its_library_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(LocalError) as refused:
        await Mdns().open(lambda _: None)
    assert refused.value.code == "EXTRA_MISSING"
    assert "maille[lan]" in refused.value.message


def test_tags_are_of_a_mesh_an_hour_and_an_instance() -> None:
    tags = {tag_of(mesh, hour, name) for mesh in (MESH, OTHER) for hour in (1, 2) for name in ("a", "b")}
    assert len(tags) == 8
    assert all(len(tag) == 16 for tag in tags)


@pytest.mark.parametrize(
    ("where", "near"),
    [
        ("192.168.1.5:80", True),
        ("10.0.0.1:1", True),
        ("[fe80::1%eth0]:7000", True),
        ("[fd00::2]:7000", True),
        ("8.8.8.8:53", False),
        ("example.org:80", False),
        ("0.0.0.0:80", False),
        ("224.0.0.251:5353", False),
        ("relay:ab", False),
    ],
)
def test_only_addresses_of_a_local_network_are_near(where: str, near: bool) -> None:
    assert is_near(where) is near


def test_what_is_announced_is_where_we_listen() -> None:
    assert near_hosts(()) == ([], 0)
    assert near_hosts(("192.168.1.5:7000",)) == (["192.168.1.5"], 7000)
    assert near_hosts(("127.0.0.1:7000",)) == ([], 7000)
    assert near_hosts(("0.0.0.0:7000",), ["127.0.0.1"]) == (["127.0.0.1"], 7000)


async def test_two_radios_hear_each_other_on_loopback() -> None:
    heard: list[Sighting] = []
    one, two = Mdns(["127.0.0.1"]), Mdns(["127.0.0.1"])
    notice = Notice("0123456789abcdef", tag_of(MESH, 1, "0123456789abcdef"), ("127.0.0.1:7000",))
    try:
        await two.open(heard.append)
        await one.open(lambda _: None)
    except OSError as error:
        pytest.skip(f"no multicast here: {error}")
    try:
        await one.announce([notice])
        with trio.move_on_after(10):
            while not heard:
                await trio.sleep(0.05)
        assert heard[0] == Sighting(notice.instance, notice.tag, notice.listening)
    finally:
        await one.close()
        await two.close()
