"""Who may stand at the door of a node: how many connections at once, in all and of one host, before and after.

How it works
    A host is an IPv4 address or the first 64 bits of an IPv6 one, which whoever has one has all of. When the places of
    those who have not shown who they are are taken, a newcomer takes the place of one of the host that has most of
    them, drawn by lot: a handshake takes three messages, so whoever means it is seldom hit, and a crowd that says
    nothing keeps nobody out. Strangers, who did show a key, have places of their own: they leave room for members.

What it does not do
    It reads nothing and keeps no list of hosts that are gone. Deadlines are the channel's and the net's.
"""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from typing import Final

import trio

CONNECTIONS_MAX: Final = 512
"""Connections that were accepted, in any state."""
STRANGERS_MAX: Final = 128
"""Of these, by keys that are no member's."""
HANDSHAKES_MAX: Final = 64
"""Of these, that have not shown who they are."""
CONNECTIONS_A_HOST_MAX: Final = 32


class Doorway:
    """Counts those at the door. `random_source` draws whose place is taken."""

    def __init__(self, random_source: random.Random) -> None:
        self._random = random_source
        self.hosts: Counter[str] = Counter()
        self.strangers = 0
        self._unproven: dict[trio.CancelScope, str] = {}

    @property
    def unproven(self) -> int:
        """How many have not shown who they are."""
        return len(self._unproven)

    def enter(self, address: str) -> bool:
        """Count a connection from an address. False: it has to go, and is not counted."""
        host = host_of(address)
        if self.hosts.total() >= CONNECTIONS_MAX or self.hosts[host] >= CONNECTIONS_A_HOST_MAX:
            return False
        self.hosts[host] += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection that `enter` counted no more."""
        host = host_of(address)
        self.hosts[host] -= 1
        if not self.hosts[host]:
            del self.hosts[host]

    def prove(self, address: str, scope: trio.CancelScope) -> None:
        """Wait for somebody to show who they are; `scope` is cancelled when somebody else takes the place."""
        if len(self._unproven) >= HANDSHAKES_MAX:
            held = Counter(self._unproven.values())
            most = max(held.values())
            drawn = self._random.choice([one for one, host in self._unproven.items() if held[host] == most])
            del self._unproven[drawn]
            drawn.cancel()
        self._unproven[scope] = host_of(address)

    def proven(self, scope: trio.CancelScope) -> None:
        """Wait no more: they have shown it, or are gone."""
        self._unproven.pop(scope, None)


def host_of(address: str) -> str:
    """Return what counts as one host: see the module. What is no IP address stands for itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found) >> 64 << 64, 64)))
