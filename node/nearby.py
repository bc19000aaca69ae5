"""Members in the same local network, by mDNS: opt-in, `[discovery] lan = true` and the extra `lan`.

How it works
    For each mesh an instance of the service SERVICE is announced: random, with the port we listen at and a tag, the
    keyed hash of the mesh's id, the hour and the instance. Whoever has the mesh's id recognises the tag; nobody else
    can tell which mesh it is, nor link the tags of two hours. Each hour all of it is announced anew. What is seen of
    others with a tag of ours is dialed (`Net.meet`): the handshake shows who answers, and only a member's address is
    kept, for the dialer.

    All is bounded: addresses of one instance, those that wait, those dialed at once, and how soon one is dialed again.

What it does not do
    It tells no name, no device and no member, changes no membership and believes nothing that it sees. What it shows
    to others in that network: docs/explanation/threats.md.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
import trio

from ledger.errors import LocalError
from node.core import RandomBytes
from node.network import join_address, split_address

if TYPE_CHECKING:
    from node.net import Net

SERVICE: Final = "_maille._tcp.local."
HOUR: Final = 3_600
TAG_BYTES: Final = 16
INSTANCE_BYTES: Final = 8
ADDRESSES_MAX: Final = 4
"""Addresses of one instance that are looked at."""
WAITING_MAX: Final = 64
"""Sightings that wait to be looked at; more are dropped, and seen again."""
MEETINGS_MAX: Final = 8
"""Addresses that are dialed at once."""
TRIED_MAX: Final = 1_024
"""Addresses that are remembered as dialed."""
AGAIN_SECONDS: Final = 300
"""How soon an address is dialed again."""
_CONTEXT: Final = b"maille-lan-v1"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen in the local network: an instance's name, its tag, and its addresses (host:port)."""

    instance: str
    tag: bytes
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """What we announce of one mesh."""

    instance: str
    tag: bytes
    listening: tuple[str, ...]


class Radio(Protocol):
    """The local network: mDNS in production, a fake in tests."""

    async def open(self, seen: Callable[[Sighting], None]) -> None:
        """Begin to listen. `seen` is called in the trio loop. Raises LocalError EXTRA_MISSING, LAN_REFUSED."""

    async def announce(self, notices: Sequence[Notice]) -> None:
        """Announce exactly these from now on. Raises LocalError LAN_REFUSED."""

    async def close(self) -> None:
        """Withdraw everything, and listen no more."""


def tag_of(mesh_id: bytes, hour: int, instance: str) -> bytes:
    """Return the tag of a mesh (id of 32 bytes) in an hour (unix seconds // HOUR) for one instance."""
    said = _CONTEXT + hour.to_bytes(8, "big") + instance.encode()
    return hashlib.blake2b(said, digest_size=TAG_BYTES, key=mesh_id).digest()


def is_near(address: str) -> bool:
    """Say whether host:port is an address of a local network, as IP: others are not dialed on such a word."""
    try:
        host = ipaddress.ip_address(split_address(address)[0].partition("%")[0])
    except (OSError, ValueError):
        return False
    return (host.is_private or host.is_link_local) and not host.is_unspecified and not host.is_multicast


class Nearby:
    """Announces a node's meshes in the local network and has the net dial what is seen of them there."""

    def __init__(self, net: Net, radio: Radio, now: Callable[[], int], random_bytes: RandomBytes) -> None:
        """`now`: unix seconds."""
        self._net, self._radio, self._now, self._random_bytes = net, radio, now, random_bytes
        self._own: dict[str, None] = {}  # our instances, the newest last
        self._tried: dict[str, float] = {}  # address -> when, trio time
        self._send, self._receive = trio.open_memory_channel[Sighting](WAITING_MAX)
        self._log = structlog.get_logger("nearby")

    async def run(self) -> None:
        """Announce and look until cancelled. A radio that refuses is logged: the node goes on without it."""
        try:
            await self._radio.open(self._seen)
        except LocalError as error:
            self._log.error("no discovery", code=error.code, reason=error.message)
            return
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._announce)
                slots = trio.Semaphore(MEETINGS_MAX)
                async for sighting in self._receive:
                    for mesh_id, address in self._wanted(sighting):
                        await slots.acquire()
                        nursery.start_soon(self._meet, mesh_id, address, slots)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await self._radio.close()

    async def _announce(self) -> None:
        while True:
            hour, notices = self._now() // HOUR, []
            for mesh_id in list(self._net.meshes):
                instance = self._random_bytes(INSTANCE_BYTES).hex()
                self._own[instance] = None
                notices.append(Notice(instance, tag_of(mesh_id, hour, instance), tuple(self._net.listening)))
            while len(self._own) > TRIED_MAX:
                del self._own[next(iter(self._own))]
            if self._net.listening:
                try:
                    await self._radio.announce(notices)
                except LocalError as error:
                    self._log.error("not announced", code=error.code, reason=error.message)
            await trio.sleep(HOUR - self._now() % HOUR)

    def _seen(self, sighting: Sighting) -> None:
        try:
            self._send.send_nowait(sighting)
        except (trio.WouldBlock, trio.BrokenResourceError):
            return

    def _wanted(self, sighting: Sighting) -> list[tuple[bytes, str]]:
        """Return (mesh, address) of what is to be dialed, and remember that."""
        hour, now = self._now() // HOUR, trio.current_time()
        if sighting.instance in self._own:
            return []
        tags = {tag_of(m, at, sighting.instance): m for m in self._net.meshes for at in (hour - 1, hour, hour + 1)}
        mesh_id = tags.get(sighting.tag)
        if mesh_id is None:
            return []
        found = []
        for address in sighting.addresses[:ADDRESSES_MAX]:
            last = self._tried.pop(address, None)
            fresh = last is None or now - last >= AGAIN_SECONDS
            self._tried[address] = now if last is None or fresh else last
            if fresh and is_near(address):
                found.append((mesh_id, address))
        while len(self._tried) > TRIED_MAX:
            del self._tried[next(iter(self._tried))]
        return found

    async def _meet(self, mesh_id: bytes, address: str, slots: trio.Semaphore) -> None:
        try:
            runtime = self._net.meshes.get(mesh_id)
            if runtime is not None:
                await self._net.meet(runtime, address)
        finally:
            slots.release()


class Mdns:
    """The local network by mDNS (zeroconf, in threads of its own). `interfaces`: IPs to speak on, none: all."""

    def __init__(self, interfaces: Sequence[str] = ()) -> None:
        self._interfaces = list(interfaces)
        self._radio: Any = None
        self._held: list[Any] = []

    async def open(self, seen: Callable[[Sighting], None]) -> None:
        """Begin to listen. Raises LocalError EXTRA_MISSING, LAN_REFUSED."""
        try:
            import zeroconf
        except ImportError:
            told = "discovery in the local network needs zeroconf: pip install 'maille[lan]'"
            raise LocalError("EXTRA_MISSING", told) from None
        token = trio.lowlevel.current_trio_token()

        class Listener(zeroconf.ServiceListener):
            """Looks each instance up, in zeroconf's thread, and tells the trio loop."""

            def add_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
                info = zc.get_service_info(type_, name, 1_000)
                if info is not None and info.port:
                    told = _sighting(name, info.properties, info.parsed_scoped_addresses(), info.port)
                    token.run_sync_soon(seen, told)

            update_service = add_service

            def remove_service(self, *_: object) -> None:
                return None

        def begin() -> Any:
            radio = zeroconf.Zeroconf(interfaces=self._interfaces or zeroconf.InterfaceChoice.All)
            zeroconf.ServiceBrowser(radio, SERVICE, listener=Listener())
            return radio

        try:
            self._radio = await trio.to_thread.run_sync(begin)
        except OSError as error:
            raise _refused(error) from None

    async def announce(self, notices: Sequence[Notice]) -> None:
        """Announce exactly these; what was announced before is withdrawn. Raises LocalError LAN_REFUSED."""
        import zeroconf

        try:
            await self._announce(notices)
        except (OSError, zeroconf.Error) as error:
            raise _refused(error) from None

    async def _announce(self, notices: Sequence[Notice]) -> None:
        import zeroconf

        former, self._held = self._held, []
        for notice in notices:
            hosts, port = near_hosts(notice.listening, self._interfaces)
            packed = [socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host) for host in hosts]
            if packed:
                name, server = f"{notice.instance}.{SERVICE}", f"{notice.instance}.local."
                text = {b"t": notice.tag}
                self._held.append(
                    zeroconf.ServiceInfo(SERVICE, name, port, addresses=packed, properties=text, server=server)
                )
        young = list(self._held)

        def change() -> None:
            for info in former:
                self._radio.unregister_service(info)
            for info in young:
                self._radio.register_service(info)

        await trio.to_thread.run_sync(change)

    async def close(self) -> None:
        """Withdraw everything, and listen no more."""
        if self._radio is not None:
            await trio.to_thread.run_sync(self._radio.close, abandon_on_cancel=True)


def _refused(error: Exception) -> LocalError:
    return LocalError("LAN_REFUSED", f"the system does not let us speak mDNS in the local network: {error}")


def _sighting(name: str, text: Any, hosts: Sequence[str], port: int) -> Sighting:
    tag = text.get(b"t") or b""
    addresses = tuple(join_address(host, port) for host in hosts[:ADDRESSES_MAX])
    return Sighting(name.partition(".")[0], tag, addresses)


def near_hosts(listening: Sequence[str], interfaces: Sequence[str] = ()) -> tuple[list[str], int]:
    """Return the hosts at which others in the local network reach what we listen at first, and its port.

    `interfaces`: IPs instead of those of this machine.
    """
    if not listening:
        return [], 0
    host, port = split_address(listening[0])
    if not ipaddress.ip_address(host).is_unspecified:
        hosts = [host]
    else:
        hosts = list(interfaces) or _own_hosts()
    loopback = bool(interfaces)
    return [one for one in hosts if is_near(join_address(one, port)) and (loopback or not _is_loopback(one))], port


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


def _own_hosts() -> list[str]:
    import ifaddr

    found = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return found[: 4 * ADDRESSES_MAX]
