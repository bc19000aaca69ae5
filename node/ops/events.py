"""The events of the running node: what its log says, the newest ones, and those to come.

How it works
    The node keeps its newest events in memory (node/event_log.py) under numbers that go up. `node events` asks for
    those behind a number; `maille events --follow` goes on asking, and prints each as it happens.

What it does not do
    It tells nothing of a time before the node's start: the log itself does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal

import trio
from msgspec import Meta

from node.naming import seconds_of
from node.operation import Args, Local, Result, local_operation, operation, said

if TYPE_CHECKING:
    from node.daemon import Node

WAIT_SECONDS_MAX: Final = 60
FOLLOWED: Final = "30s"
"""How long one question of `--follow` waits."""

Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Level = Literal["debug", "info", "warning", "error"]


class NodeEventsArgs(Args, frozen=True):
    """Which events."""

    after: Annotated[Number, said("Those behind this number.")] = 0
    level: Annotated[Level, said("The least grave ones: debug, info, warning or error.")] = "info"
    wait: Annotated[str, said("How long to wait for the first one: 30s, at most 60s. Default: not at all.")] = ""


class EventsArgs(Args, frozen=True):
    """Which events."""

    follow: Annotated[bool, said("Go on: print each event as it happens, until Ctrl-C.")] = False
    level: Annotated[Level, said("The least grave ones: debug, info, warning or error.")] = "info"


class EventRow(Result, frozen=True):
    """Something that happened in the node."""

    number: Annotated[int, said("Its number since the start.")]
    at: Annotated[str, said("When, in UTC.")]
    level: Annotated[str, said("debug, info, warning or error.")]
    event: Annotated[str, said("What happened.")]
    fields: Annotated[Mapping[str, str], said("More of it: codes, ids, counts. Nothing personal.")]


class EventList(Result, frozen=True):
    """What happened."""

    events: Annotated[tuple[EventRow, ...], said("Each event, the oldest first.")]
    last: Annotated[int, said("Ask for what is behind this number next.")]


def drawn(event: EventRow) -> str:
    """Return an event as one line."""
    more = "".join(f" {name}={value}" for name, value in event.fields.items())
    return f"{event.at}  {event.level:<7}  {event.event}{more}"


@operation("node", "events", permission="read")
async def node_events(node: Node, args: NodeEventsArgs) -> EventList:
    """List the newest events of the running node. With --wait it answers as soon as one happens."""
    seconds = min(seconds_of(args.wait, "wait"), WAIT_SECONDS_MAX) if args.wait else 0
    with trio.move_on_after(seconds):
        await node.events.wait(args.after)
    from node.logs import LEVELS

    least = LEVELS[args.level]
    found = node.events.after(args.after)
    rows = [EventRow(e.number, e.at, e.level, e.event, e.fields) for e in found if LEVELS.get(e.level, least) >= least]
    return EventList(tuple(rows), max(node.events.last, args.after))


@local_operation(None, "events", permission="read", render=lambda found: "\n".join(map(drawn, found.events)))
def events(local: Local, args: EventsArgs) -> EventList:
    """Show what the node's log says: its newest events, or with --follow each as it happens."""
    from node.client import Client
    from node.config import socket_path

    client = Client(socket_path(local.data_dir))
    found: EventList = client.call(node_events, NodeEventsArgs(level=args.level))
    while args.follow:
        for event in found.events:
            local.emit(event, drawn(event))
        found = client.call(node_events, NodeEventsArgs(found.last, args.level, FOLLOWED))
    return found
