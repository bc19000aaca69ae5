"""What the network knows of a mesh and of a channel that is up; `node/net.py` keeps both.

What it does not do
    It opens and sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from gossip.channel import Identity
from node.engine import Engine, Outbox


@dataclass(slots=True)
class MeshRuntime:
    """One mesh of this node, running: its engine, who we are in it, and whom to dial."""

    name: str
    engine: Engine
    identity: Identity
    hints: dict[bytes, tuple[str, ...]] = field(default_factory=dict)  # addresses told by tickets or the operator
    near: dict[bytes, str] = field(default_factory=dict)  # addresses found in the local network
    partners: frozenset[bytes] = frozenset()  # devices that data or content is to go to, as of the last look
    statics: dict[bytes, bytes] = field(default_factory=dict)  # static keys of known devices, for IK
    wake: trio.Event = field(default_factory=trio.Event)

    @property
    def mesh_id(self) -> bytes:
        """The mesh's id."""
        return self.engine.core.replica.mesh_id


@dataclass(slots=True)
class Peering:
    """One established channel, for `peers` and `status`."""

    kid: bytes
    address: str
    dialed: bool
    relayed: bool
    outbox: Outbox
    since: float  # trio time, seconds
    gone: trio.Event = field(default_factory=trio.Event)
    bytes_in: int = 0
    bytes_out: int = 0
