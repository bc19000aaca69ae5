"""The operator pages of one real node without a socket: a client that holds a token, and forms as a browser sends them.

What it does not do
    It has no browser (`test_browser` has).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio

from node.console.application import make_console
from node.console.desk import Desk
from node.console.service import tasks
from node.console.settings import Console
from node.daemon import Node
from node.operation import Permission
from tests.node.nodes import do, make_home, running

URL = "http://127.0.0.1:9480"
PATHS = (
    "/",
    "/map",
    "/members",
    "/peers",
    "/links",
    "/links?all=1",
    "/proposals",
    "/proposals?all=1",
    "/ledger",
    "/consents",
    "/transfers",
    "/alerts",
    "/alerts?level=info",
    "/audits",
    "/proof",
    "/accessibility",
)
"""Every page that one opens by a link from the menu."""


@dataclass
class Visiting:
    """A client of the pages of a node, in a language. Cookies travel over plain HTTP here, as on a loopback address."""

    node: Node
    desk: Desk
    client: httpx.AsyncClient
    cookies: dict[str, str]
    language: str = "en"

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Open a page."""
        return self._kept(await self.client.get(path, headers=self._headers(headers)))

    async def post(self, path: str, form: dict[str, str], *, seen: str, files: Any = None) -> httpx.Response:
        """Send a form as a browser does that was shown the page `seen`."""
        data = {"token": token_in(await self.get(seen)), **form}
        return await self.send(path, data, files=files, origin=URL)

    async def send(self, path: str, form: dict[str, str], *, files: Any = None, **headers: str) -> httpx.Response:
        """Send a form as it is."""
        return self._kept(await self.client.post(path, data=form, files=files, headers=self._headers(headers)))

    async def log_in(self, permission: Permission = "operate") -> str:
        """Log in with a new token; return its id."""
        made = await do(self.node, "token make", name="Nora", permission=permission)
        answer = await self.post("/login", {"token_shown": made.token, "following": "/"}, seen="/login")
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
        return str(made.row.id)

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"accept-language": self.language, **({"cookie": cookies} if cookies else {}), **more}

    def _kept(self, answer: httpx.Response) -> httpx.Response:
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition("=")
            self.cookies[name] = value.partition(";")[0]
        return answer


def token_in(page: httpx.Response) -> str:
    """Return the token of the first form of a page."""
    found = re.search(r'name="token" value="([0-9a-f]{64})"', page.text)
    assert found is not None, page.text[:2_000]
    return found[1]


@asynccontextmanager
async def visiting(tmp_path: Path, *, mesh: bool = True) -> AsyncIterator[Visiting]:
    """Run a node with operator pages in this process."""
    async with running(make_home(tmp_path / "node", "Host")) as node, trio.open_nursery() as nursery:
        if mesh:
            await do(node, "mesh create", name="street")
        desk = Desk(node, Console())
        for task in tasks(desk):
            nursery.start_soon(task)
        transport = httpx.ASGITransport(make_console(desk), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            yield Visiting(node, desk, client, {})
        nursery.cancel_scope.cancel()
