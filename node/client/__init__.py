"""The client of a node, for integrators: a dozen calls, blocking or async, over the unix socket or TCP (R151, R152).

    from node.client import Client, AsyncClient

    with Client() as node:                                        # the socket of this machine's node
        for line in node.consents(state="active"):
            print(line.recipient, line.purpose)

    async with AsyncClient("https://node.example:8480", token=TOKEN) as node:     # trio or asyncio
        series = await node.fetch(consent)                        # raises when the consent has ended

How it works
    `exchange` builds requests and reads answers, without I/O. `calls` has each call once, as a generator that asks for
    one exchange after the other; `clients` runs such generators, in a thread that waits or in an event loop, through
    httpx. Results are the Structs of the operations; errors are the node's own, with their codes.

What it does not do
    It starts no node, keeps no readings, and retries nothing that changes something.
"""

from __future__ import annotations

from node.client.clients import AsyncClient, Client
from node.client.exchange import ANSWER_SECONDS_MAX

__all__ = ["ANSWER_SECONDS_MAX", "AsyncClient", "Client"]
