"""The process of a node: its lock, its keys, its signals.

How it works
    `run` takes the lock of the data directory before anything else (the HTTP server would unlink a live socket), opens
    the keys, and runs the node (node/daemon.py) until SIGTERM or Ctrl-C. SIGHUP has it read its settings again.

What it does not do
    It starts no service and keeps no process of its own beside the node's.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import structlog
import trio

from ledger.errors import LocalError
from node import collector
from node.config import Home
from node.daemon import Node
from node.exits import first_of
from node.keystore import Keystore
from node.logs import set_up
from node.rekeying import finish


def run(home: Home, passphrase: Callable[[], str | None], kind: type[Node] = Node) -> str:
    """Run a node in the foreground until it is told to stop; return the signal's name. `passphrase` is asked if needed.

    `kind`: of node (node/turncoat.py has another).
    Raises LocalError NODE_RUNNING, NOT_FOUND, CONFIG_INVALID, KEY_LOCKED, LISTEN_REFUSED.
    """
    config = home.config()
    with home.lock():
        keys = Keystore(home.keys, os.urandom)
        keys.unlock(passphrase() if keys.sealed else None)
        node = kind(home, config, keys)
        set_up(config.log_format, config.log_level, node.events.note)
        finish(home, keys)  # a change of the vaults' key that a crash cut off
        collector.calm()
        home.socket.unlink(missing_ok=True)  # ours alone while we hold the lock; left by a crash
        try:
            return trio.run(_run_until_signal, node)
        except* LocalError as group:
            raise _told(home, _only(group)) from None
        finally:
            home.socket.unlink(missing_ok=True)


def _only(group: BaseExceptionGroup[LocalError]) -> LocalError:
    found = first_of(group)
    if isinstance(found, LocalError):
        return found
    raise found


def _told(home: Home, error: LocalError) -> LocalError:
    """Return the error that ends a start: of a full disk, with the room that it needs; nothing ends a run so."""
    from node.checkup import too_full_to_start

    full = too_full_to_start(home) if error.code == "DISK_FULL" else None
    return error if full is None else LocalError(full.code, f"{full.message} {full.why} {full.fix}")


async def _run_until_signal(node: Node) -> str:
    caught: list[str] = []

    async def watch() -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    await _read_again(node)
                    continue
                caught.append(signal.Signals(number).name)
                node.stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await node.run()
        nursery.cancel_scope.cancel()
    return caught[0] if caught else "stopped"


async def _read_again(node: Node) -> None:
    """Take over changed settings, as systemd's `reload` asks for by a signal; a fault is logged and changes nothing."""
    from node.settings import reload

    try:
        await reload(node, node.home.config())
    except LocalError as error:
        structlog.get_logger("node").error("settings not taken over", code=error.code, reason=error.message)
