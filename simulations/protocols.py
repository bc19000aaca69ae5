"""Protocols for the light world that come with it: flooding, rumours, push-pull. The plugin's interface in use.

How it works
    Each is a class as simulations.protocol says. `flood` sends on whatever is new to every neighbour but the one it
    came from. `rumor` sends it on once, to `fanout` neighbours chosen anew ("infect and die"). `push-pull` tells
    nothing by itself: every `interval_ms` it exchanges the set of what it has with one neighbour.

What it does not do
    These are textbook protocols, to compare with; what maille's nodes do is gossip/, in the world of real nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final

from simulations.protocol import (
    Deliver,
    Effect,
    Event,
    NodeProtocol,
    Publish,
    Received,
    Send,
    SetTimer,
    Started,
    TimerFired,
)

_NOTHING: Final = ()


class Flood:
    """Send what is new to every other neighbour."""

    __slots__ = ("_others", "_peers", "_seen")

    def __init__(self, node: int, peers: Sequence[int], options: Mapping[str, Any]) -> None:  # noqa: ARG002 (the interface has it)
        """Begin with nothing seen."""
        self._peers = tuple(peers)
        self._others = {peer: tuple(other for other in peers if other != peer) for peer in peers}
        self._seen: set[bytes] = set()

    def handle(self, event: Event, now: int, rng: Random) -> Iterable[Effect]:  # noqa: ARG002 (the interface has it)
        """Deliver and send on what is new."""
        if type(event) is Received:
            payload = event.payload
            if payload in self._seen:
                return _NOTHING
            self._seen.add(payload)
            return Deliver(payload), Send(self._others.get(event.source, self._peers), payload)
        if isinstance(event, Publish):
            self._seen.add(event.payload)
            return Deliver(event.payload), Send(self._peers, event.payload)
        return _NOTHING


class Rumor:
    """Send what is new to `fanout` neighbours, once. Options: fanout (4)."""

    def __init__(self, node: int, peers: Sequence[int], options: Mapping[str, Any]) -> None:  # noqa: ARG002 (the interface has it)
        """Begin with nothing seen."""
        self._peers = tuple(peers)
        self._fanout = min(int(options.get("fanout", 4)), len(self._peers))
        self._seen: set[bytes] = set()

    def handle(self, event: Event, now: int, rng: Random) -> Iterable[Effect]:  # noqa: ARG002 (the interface has it)
        """Deliver and send on what is new."""
        match event:
            case Publish(payload) | Received(payload=payload) if payload not in self._seen:
                self._seen.add(payload)
                return Deliver(payload), Send(rng.sample(self._peers, self._fanout), payload)
            case _:
                return _NOTHING


class PushPull:
    """Exchange everything with one neighbour every interval. Options: interval_ms (1000)."""

    def __init__(self, node: int, peers: Sequence[int], options: Mapping[str, Any]) -> None:  # noqa: ARG002 (the interface has it)
        """Begin with nothing held."""
        self._peers = tuple(peers)
        self._interval_us = round(float(options.get("interval_ms", 1_000)) * 1_000)
        self._held: dict[bytes, bytes] = {}  # short digest -> payload

    def handle(self, event: Event, now: int, rng: Random) -> Iterable[Effect]:  # noqa: ARG002 (the interface has it)
        """Begin an exchange when the timer fires; answer one with what the other lacks and the ids of what we have."""
        match event:
            case Started():
                return (SetTimer("round", int(rng.random() * self._interval_us)),)
            case Publish(payload):
                return self._take(payload)
            case TimerFired():
                asked = Send((rng.choice(self._peers),), b"?" + b"".join(self._held), control=True)
                return asked, SetTimer("round", self._interval_us)
            case Received(source, payload, _):
                return self._heard(source, payload)
            case _:
                return _NOTHING

    def _heard(self, source: int, payload: bytes) -> Iterable[Effect]:
        kind, body = payload[:1], payload[1:]
        if kind == b"+":
            return self._take(body)
        theirs = {body[at : at + 8] for at in range(0, len(body), 8)}
        found: list[Effect] = [Send((source,), b"+" + held) for key, held in self._held.items() if key not in theirs]
        if kind == b"?" and theirs - self._held.keys():
            found.append(Send((source,), b"!" + b"".join(self._held), control=True))
        return found

    def _take(self, payload: bytes) -> Iterable[Effect]:
        key = hashlib.sha256(payload).digest()[:8]
        if key in self._held:
            return _NOTHING
        self._held[key] = payload
        return (Deliver(payload),)


BUILT_IN: Final[dict[str, type[NodeProtocol]]] = {"flood": Flood, "rumor": Rumor, "push-pull": PushPull}
"""The protocols that need no plugin, by name."""
