"""Nodes for tests: whole nodes in this process, over real sockets, with light or no sealing of keys."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from node.cli.app import run as main
from node.config import Config, Home
from node.daemon import Node
from node.keyfile import Cost
from node.keystore import Keystore
from node.operations import find
from node.tables import Wallets

LIGHT = Cost(1, 8_192)
"""The cheapest argon2id there is: for tests alone."""
WAIT_SECONDS_MAX = 20


def make_home(path: Path, name: str, *, passphrase: str | None = None) -> Home:
    """Make a data directory with keys. Its wallets' consents go at once: tests of other things wait for none."""
    home = Home(path)
    listen, wallets = ("127.0.0.1:0",), Wallets(spread_seconds=0)
    home.create(Config(name=name, listen=listen, workers=0, log_level="error", wallets=wallets))
    Keystore.create(home.keys, passphrase, os.urandom, LIGHT)
    return home


@asynccontextmanager
async def running(
    home: Home, *, serve: bool = False, passphrase: str | None = None, kind: type[Node] = Node
) -> AsyncIterator[Node]:
    """Run a node (whose keys are plain, without a passphrase) for a with-block, then stop it as a signal does."""
    keys = Keystore(home.keys, os.urandom, LIGHT)
    keys.unlock(passphrase)
    node = kind(home, home.config(), keys)
    async with trio.open_nursery() as nursery:

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            await node.run(serve=serve, task_status=task_status)

        await nursery.start(run)
        yield node
        node.stop.set()


async def do(node: Node, words: str, **values: Any) -> Any:
    """Run an operation inside a node: `do(node, "mesh create", name="x")`."""
    noun, _, verb = words.rpartition(" ")
    operation = find(noun or None, verb)
    assert operation is not None, words
    return await operation.handler(node, operation.args(**values))


def command(home: Home, *words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    """Run a command with --json; return its exit code and what it said."""
    capsys.readouterr()
    code = main([*words, "--data-dir", str(home.path), "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out) if out.out else out.err


async def until(check: Callable[[], bool]) -> None:
    """Wait until something is so; fail when it takes too long."""
    with trio.fail_after(WAIT_SECONDS_MAX):
        while not check():
            await trio.sleep(0.01)
