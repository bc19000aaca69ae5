"""Live streams: what they say and when they end, and that they are bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from node.console.live import STREAMS_MAX, STREAMS_SESSION_MAX, Live
from tests.console.visiting import Visiting, visiting
from tests.node.nodes import do, until


class Listener:
    """A browser that listens: what it was sent, and whether the answer has ended."""

    def __init__(self, live: Live, cookie: str, after: int = 0) -> None:
        self._stream = live.stream(cookie, "en", after)
        self.accepted = self._stream is not None
        self.heard = b""
        self.over = False
        self.gone = trio.Event()

    async def run(self) -> None:
        """Listen until the stream ends."""

        async def send(message: Any) -> None:
            self.heard += message.get("body", b"")

        async def receive() -> Any:
            await self.gone.wait()
            return {"type": "http.disconnect"}

        assert self._stream is not None
        await self._stream({}, receive, send)
        self.over = True


@asynccontextmanager
async def listening(tmp_path: Path) -> AsyncIterator[tuple[Visiting, trio.Nursery]]:
    """Give the pages of a node, and a nursery for listeners."""
    async with visiting(tmp_path) as visit, trio.open_nursery() as nursery:
        yield visit, nursery
        visit.desk.live.end_all()


async def test_a_stream_says_that_something_moved_and_how_the_node_is(tmp_path: Path) -> None:
    async with listening(tmp_path) as (visit, nursery):
        live = visit.desk.live
        listener = Listener(live, "a")
        nursery.start_soon(listener.run)
        await until(lambda: live.streams == 1 and live.number > 0)
        first = live.number
        await do(visit.node, "mesh create", name="avenue")
        await until(lambda: f"id: {live.number}\n".encode() in listener.heard and live.number > first)
        assert b"event: moved\ndata: " in listener.heard
        assert b"0 of 0 devices connected." in listener.heard
        again = Listener(live, "a", after=first)  # it saw an older number: it is told at once
        nursery.start_soon(again.run)
        await until(lambda: f"id: {live.number}\n".encode() in again.heard)


async def test_what_rests_is_not_told_again(tmp_path: Path) -> None:
    async with listening(tmp_path) as (visit, _):
        await visit.desk.checks.look()
        await visit.desk.live.look()
        number = visit.desk.live.number
        await visit.desk.live.look()
        assert visit.desk.live.number == number


async def test_a_stream_ends_with_its_session_and_says_so(tmp_path: Path) -> None:
    async with listening(tmp_path) as (visit, nursery):
        await visit.log_in()
        own, other = Listener(visit.desk.live, visit.cookies["__Host-maille-console"]), Listener(visit.desk.live, "b")
        nursery.start_soon(own.run)
        nursery.start_soon(other.run)
        await until(lambda: visit.desk.live.streams == 2)
        await visit.post("/logout", {}, seen="/")
        await until(lambda: own.over)
        assert own.heard.endswith(b"event: over\ndata:\n\n")
        assert not other.over
        other.gone.set()
        await until(lambda: other.over)
        assert visit.desk.live.streams == 0


async def test_there_are_so_many_streams_and_no_more(tmp_path: Path) -> None:
    async with listening(tmp_path) as (visit, nursery):
        live = visit.desk.live
        own = []
        for number in range(STREAMS_SESSION_MAX + 1):
            own.append(Listener(live, "a"))
            nursery.start_soon(own[-1].run)
            await until(lambda number=number: live.streams == min(number + 1, STREAMS_SESSION_MAX))  # type: ignore[misc]
        await until(lambda: own[0].over)  # the oldest made room
        assert not own[-1].over
        for number in range(STREAMS_MAX - STREAMS_SESSION_MAX):
            nursery.start_soon(Listener(live, f"other {number}").run)
        await until(lambda: live.streams == STREAMS_MAX)
        assert not Listener(live, "one more").accepted
