"""A mesh of real `maille node run` processes over loopback, for the benchmarks of operating it.

How it works
    Each node has a data directory of its own under one folder, keys without a passphrase, and a control socket. The
    first founds the mesh, the others join by ticket; everything is asked through the control API, as a person would.

What it does not do
    It measures nothing but what /proc tells of a process.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from node.client import Client
from node.config import Config, Home
from node.keystore import ROOT, Keystore
from node.operations import find
from node.tables import Wallets
from tests.benchmarks import measure
from tests.benchmarks.startup import COMMAND

READY_SECONDS_MAX: Final = 120
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Daemon:
    """One process, and a client of it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.client = Client(home.socket)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        told = self.home.path / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(str(told))
            listening.settimeout(READY_SECONDS_MAX)
            command = [sys.executable, "-c", COMMAND, "node", "run", "--data-dir", str(self.home.path)]
            env = os.environ | {"NOTIFY_SOCKET": str(told)}
            log = (self.home.path / "log").open("ab")
            self._process = subprocess.Popen(command, cwd=measure.ROOT, env=env, stdout=log, stderr=log)
            log.close()
            try:
                while listening.recv(100) != b"READY=1":
                    pass
            except TimeoutError:
                self.stop(signal.SIGKILL)
                raise TimeoutError(f"not ready within {READY_SECONDS_MAX} s; see {self.home.path / 'log'}") from None
            finally:
                told.unlink()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """End it with a signal; return the seconds that took."""
        process, self._process = self._process, None
        if process is None:
            return 0.0
        begun = time.perf_counter()
        process.send_signal(number)
        process.wait()
        return time.perf_counter() - begun

    @property
    def pid(self) -> int:
        """The id of its process, 0 for none."""
        return self._process.pid if self._process is not None else 0

    def call(self, words: str, **values: Any) -> Any:
        """Run an operation: `call("mesh create", name="x")`."""
        noun, _, verb = words.rpartition(" ")
        operation = find(noun or None, verb)
        assert operation is not None, words
        return self.client.call(operation, operation.args(**values))

    def rss_bytes(self) -> int:
        """Return its resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE

    def cpu_seconds(self) -> float:
        """Return the processor time that it and the children it has waited for have used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS


class Town:
    """A mesh of so many daemons, for a with-block."""

    def __init__(self, place: Path, count: int) -> None:
        self.daemons = [self._made(place / f"node{number}", number) for number in range(count)]

    @staticmethod
    def _made(path: Path, number: int) -> Daemon:
        home = Home(path)
        listen, wallets = ("127.0.0.1:0",), Wallets(spread_seconds=0)  # what is measured begins at once
        home.create(Config(name=f"node{number}", listen=listen, workers=0, log_level="warning", wallets=wallets))
        Keystore.create(home.keys, None, os.urandom)
        return Daemon(home)

    def __enter__(self) -> Town:
        """Start all, found the mesh, have all join, and wait until all know each other."""
        try:
            for daemon in self.daemons:
                daemon.start()
            first, *others = self.daemons
            first.call("mesh create", name="town")
            for daemon in others:
                measure.progress(f"{daemon.home.path.name} joins")
                daemon.call("join", ticket=first.call("invite create", to=self._did(daemon)).ticket)
            self.until_met()
        except BaseException:
            self._end()
            raise
        return self

    @staticmethod
    def _did(daemon: Daemon) -> str:
        return Keystore(daemon.home.keys, os.urandom).signing(ROOT).did

    def until_met(self) -> None:
        """Wait until every daemon has a channel to every other."""
        wanted, until = len(self.daemons) - 1, time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < until:
            rows = [
                [row for row in daemon.call("peers list").peers if row.state == "connected"] for daemon in self.daemons
            ]
            if all(len(found) >= wanted for found in rows):
                return
            time.sleep(0.5)
        raise TimeoutError("the daemons have not met")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop all."""
        self._end()

    def _end(self) -> None:
        for daemon in self.daemons:
            daemon.client.close()
            daemon.stop(signal.SIGKILL)
