"""Live pages: server-sent events that say that something moved; the page then fetches itself anew.

How it works
    While somebody looks, one task asks every `BEAT_SECONDS`, or as soon as the node's log says something, how the node
    is; when that differs from before, the number goes up and every stream says so. With it goes a sentence for the
    page's status line, which changes only when problems or channels do: a screen reader is not told every entry.
    A stream ends by itself before the server takes it for idle, and the browser opens the next one behind the number
    that it saw. It ends at once when its session does, and when the node stops.

What it does not do
    No stream carries what a page shows: whoever may not see a page learns at most that something moved.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import trio
from starlette.types import Message, Receive, Scope, Send

from node.operation import Nothing
from node.pages.settings import Language

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from node.checkup import Finding
    from node.console.checks import Checks
    from node.daemon import Node
    from node.ops.node import Status

BEAT_SECONDS: Final = 2.0
GAP_SECONDS: Final = 0.5
"""Between two looks: a storm of events makes one."""
STREAM_SECONDS: Final = 25
"""Below the time after which the server hangs up on a client that sends nothing (READ_SECONDS)."""
STREAMS_MAX: Final = 32
STREAMS_SESSION_MAX: Final = 3
"""Browsers open six connections to a host at most: the oldest stream ends, so that pages still load."""
RETRY_MS: Final = 500


class Live:
    """See the module. `run` is a task of the server."""

    def __init__(self, node: Node, checks: Checks) -> None:
        self._node, self._checks = node, checks
        self._open: OrderedDict[trio.CancelScope, str] = OrderedDict()  # a stream -> the cookie of its session
        self._opened = trio.Event()
        self._moved = trio.Event()
        self._seen: Hashable = None
        self._counts = (0, 0, 0)
        self.number = 0

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._open)

    async def run(self) -> None:
        """Look as long as somebody listens."""
        while True:
            if not self._open:
                self._opened = trio.Event()
                await self._opened.wait()
            await self.look()
            last = self._node.events.last
            await trio.sleep(GAP_SECONDS)
            with trio.move_on_after(BEAT_SECONDS):
                await self._node.events.wait(last)

    async def look(self) -> None:
        """Ask once how the node is, and tell the streams when that has changed."""
        from node.ops.node import node_status

        status = await node_status.handler(self._node, Nothing())
        self.note(status, await self._checks.findings())
        seen = (self._node.events.last, self._counts, *_mark(status))
        if seen != self._seen:
            self._seen, self.number = seen, self.number + 1
            moved, self._moved = self._moved, trio.Event()
            moved.set()

    def note(self, status: Status, findings: Sequence[Finding]) -> None:
        """Remember the counts that the status line tells: notes of the doctor are no problems."""
        rows = [row for state in status.meshes for row in state.peers]
        problems = sum(one.severity != "note" for one in findings)
        self._counts = problems, sum(row.state == "connected" for row in rows), len(rows)

    def sentence(self, lang: Language) -> str:
        """Return the status line."""
        problems, up, of = self._counts
        if lang == "fr":
            first = f"{problems} problème{'s' if problems > 1 else ''}" if problems else "Aucun problème"
            return f"{first}. {up} appareil{'s' if up > 1 else ''} sur {of} joint{'s' if up > 1 else ''}."
        first = f"{problems} problem{'s' if problems > 1 else ''}" if problems else "No problem"
        return f"{first}. {up} of {of} devices connected."

    def end(self, cookie: str) -> None:
        """End the streams of a session, at once."""
        for scope in [scope for scope, of in self._open.items() if of == cookie]:
            scope.cancel()

    def end_all(self) -> None:
        """End every stream: the node stops."""
        for scope in list(self._open):
            scope.cancel()

    def stream(self, cookie: str, lang: Language, after: int) -> Stream | None:
        """Return the answer for one listener, who saw `after`; None: there are too many."""
        own = [scope for scope, of in self._open.items() if of == cookie]
        if len(own) >= STREAMS_SESSION_MAX:
            own[0].cancel()
        elif len(self._open) >= STREAMS_MAX:
            return None
        return Stream(self, cookie, lang, after)

    # Of a stream

    def enter(self, scope: trio.CancelScope, cookie: str) -> None:
        """Count a stream."""
        self._open[scope] = cookie
        self._opened.set()

    def leave(self, scope: trio.CancelScope) -> None:
        """Count it no more."""
        self._open.pop(scope, None)

    async def wait(self, after: int) -> int:
        """Wait until the number is another; return it."""
        while self.number == after:
            await self._moved.wait()
        return self.number


class Stream:
    """One stream of events, as an ASGI answer."""

    def __init__(self, live: Live, cookie: str, lang: Language, after: int) -> None:
        self._live, self._cookie, self._lang, self._after = live, cookie, lang, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Send events until the time is over, the browser goes, or the session ends: then it is told to stop."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        over = True
        with trio.CancelScope() as whole:
            self._live.enter(whole, self._cookie)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_gone, receive, nursery.cancel_scope)
                    with trio.move_on_after(STREAM_SECONDS):
                        await self._events(send)
                    nursery.cancel_scope.cancel()
                over = whole.cancel_called
            finally:
                self._live.leave(whole)
        last = b"event: over\ndata:\n\n" if over else b""
        with trio.move_on_after(1):
            await send({"type": "http.response.body", "body": last})

    async def _events(self, send: Send) -> None:
        number = self._after or self._live.number
        await send(_part(f"retry: {RETRY_MS}\n\n"))
        while True:
            number = await self._live.wait(number)
            told = self._live.sentence(self._lang)
            await send(_part(f"id: {number}\nevent: moved\ndata: {told}\n\n"))


async def _gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _part(text: str) -> Message:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


def _mark(status: Status) -> tuple[Hashable, ...]:
    """Return what a page shows of a node, without what moves all the time."""
    return tuple(
        (
            state.mesh,
            tuple((row.device, row.state) for row in state.peers),
            state.roots.frontier,
            state.roots.tick,
            state.roots.attested_by,
            state.requests,
        )
        for state in status.meshes
    )
