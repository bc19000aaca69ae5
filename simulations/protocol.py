"""A protocol as a plugin: what a researcher writes to see it run in the light world, and nothing else.

    class Flood:
        def __init__(self, node, peers, options):
            self.peers, self.seen = tuple(peers), set()

        def handle(self, event, now, rng):
            match event:
                case Publish(payload) | Received(payload=payload):
                    if payload in self.seen:
                        return ()
                    self.seen.add(payload)
                    return (Deliver(payload), Send(self.peers, payload))
            return ()

How it works
    One object a node. `handle` is given an event, the time (microseconds) and the node's own randomness, and returns
    effects. It is named in a scenario as `module:Class`, or by an entry point of the group `maille.protocols`:
    nothing of maille is changed for it. Sending costs a message for each target; `Deliver` says that the node has it.

What it does not do
    A protocol reads no clock and draws no other randomness: runs would not repeat. Encryption, membership and the
    ledger are not here: the world of real nodes has them (simulations.world).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from random import Random
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from ledger.errors import LocalError

GROUP: Final = "maille.protocols"
"""The group of entry points under which installed packages name their protocols."""


@dataclass(frozen=True, slots=True)
class Started:
    """The node runs: at the beginning, and again after a crash, as a new object."""


@dataclass(frozen=True, slots=True)
class Publish:
    """The scenario has this node publish something."""

    payload: bytes


class Received(NamedTuple):
    """A message came. `hops`: how many times it was sent since it was published."""

    source: int
    payload: bytes
    hops: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that this node set."""

    name: str


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A channel to a neighbour is up."""

    peer: int


@dataclass(frozen=True, slots=True)
class PeerDown:
    """A channel to a neighbour is gone."""

    peer: int


Event: TypeAlias = Started | Publish | Received | TimerFired | PeerUp | PeerDown


class Send(NamedTuple):
    """Send to some neighbours. `control`: it carries no payload, so it counts as overhead and not as redundancy."""

    to: Sequence[int]
    payload: bytes
    control: bool = False


class SetTimer(NamedTuple):
    """Fire once, so many microseconds from now. A timer of the same name is replaced."""

    name: str
    after_us: int


class Deliver(NamedTuple):
    """The node has a published payload now. Said once for each."""

    payload: bytes


Effect: TypeAlias = Send | SetTimer | Deliver


class NodeProtocol(Protocol):
    """One node's side of a protocol."""

    def __init__(self, node: int, peers: Sequence[int], options: Mapping[str, Any]) -> None:
        """Begin. `peers`: the neighbours in the overlay; `options`: the scenario's table [protocol_options]."""

    def handle(self, event: Event, now: int, rng: Random) -> Iterable[Effect]:
        """Answer an event. `now` in microseconds."""


def load(name: str) -> type[NodeProtocol]:
    """Return a protocol by its name: built in, an entry point, or `module:Class`. Raises LocalError NO_PROTOCOL."""
    from simulations.protocols import BUILT_IN

    if name in BUILT_IN:
        return BUILT_IN[name]
    found: Any
    try:
        if ":" in name:
            module, _, attribute = name.partition(":")
            found = getattr(import_module(module), attribute)
        else:
            found = next(iter(entry_points(group=GROUP, name=name))).load()
    except (ImportError, AttributeError, StopIteration, ValueError) as error:
        known = sorted([*BUILT_IN, *entry_points(group=GROUP).names])
        told = (
            f"no protocol {name!r} ({str(error) or 'unknown name'}); known are {', '.join(known)}, or give module:Class"
        )
        raise LocalError("NO_PROTOCOL", told, field="protocol") from None
    if not callable(getattr(found, "handle", None)):
        raise LocalError("NO_PROTOCOL", f"{name} has no method handle(event, now, rng)", field="protocol")
    return found  # type: ignore[no-any-return]
