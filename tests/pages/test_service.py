"""The listeners of pages: where a place is taken, the node is told which table of its settings to change."""

from __future__ import annotations

import gc
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from ledger.errors import LocalError
from node.console import service as console
from node.console.settings import Console
from node.pages import service as pages
from node.pages.settings import Pages
from tests.node.nodes import do, make_home, running

SERVED = ((pages.serve, Pages, "[pages]"), (console.serve, Console, "[console]"))


@pytest.mark.filterwarnings("ignore:Exception ignored in. .socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("serve", "kind", "table"), SERVED)
async def test_a_place_that_is_taken_is_refused_with_its_table(
    tmp_path: Path, serve: Any, kind: Any, table: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        async with running(make_home(tmp_path, "Alba")) as node:
            await do(node, "mesh create", name="m")
            with pytest.raises(ExceptionGroup) as caught:
                async with trio.open_nursery() as nursery:
                    await nursery.start(serve, node, kind(listen=where, url=f"http://{where}"))
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, LocalError)
    assert error.code == "LISTEN_REFUSED"
    assert table in str(error)
    del caught, error
    gc.collect()  # hypercorn leaves the socket open that it could not bind


@pytest.mark.parametrize(("serve", "kind", "table"), SERVED)
async def test_pages_end_with_their_node(tmp_path: Path, serve: Any, kind: Any, table: str) -> None:
    async with running(make_home(tmp_path, "Alba")) as node:
        await do(node, "mesh create", name="m")
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                address = await nursery.start(serve, node, kind(listen="127.0.0.1:0", url="http://127.0.0.1:1"))
                assert address.startswith("http://127.0.0.1:"), table
                host, port = address.removeprefix("http://").split(":")
                await (await trio.open_tcp_stream(host, int(port))).aclose()
                node.stop.set()
