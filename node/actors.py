"""The actors of the demo: node processes, spoken to over their control sockets as any user would.

How it works
    An `Actor` makes a node directory, runs `maille node run` on it, calls operations through the control API, and
    can be killed without warning. `until` waits for what others bring about, with a bound and a sentence.

What it does not do
    It plays nothing: `node/demo.py` has the acts.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ledger.errors import LocalError, MailleError
from node.client import Client
from node.operation import Operation
from node.operations import find
from node.settings import with_setting

Say = Callable[[str], None]
"""Tells the audience one line."""

READY_SECONDS_MAX: Final = 30.0
SETTLE_SECONDS_MAX: Final = 20.0
POLL_SECONDS: Final = 0.02
_COMMAND: Final = (sys.executable, "-c", "from node.cli import main; main()")
_TURNED: Final = (sys.executable, "-m", "node.turncoat")


class Actor:
    """One node of the demo: its directory, its process, its control socket."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._client = Client(path / "control.sock")
        self._process: subprocess.Popen[bytes] | None = None
        self.did = ""

    def init(self) -> None:
        """Begin to make the node, with keys that are not sealed; `made` waits for it."""
        command = ["node", "init", "--name", self.name, "--unsealed", "--listen", "127.0.0.1:0"]
        made = subprocess.Popen(
            [*_COMMAND, *command, "--json", *self._place()], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._making = made

    def made(self) -> None:
        """Wait until `init` is done, and learn who the node is."""
        said, complaint = self._making.communicate()
        if self._making.returncode:
            raise LocalError("DEMO_FAILED", f"`maille node init` said: {complaint.decode().strip()}")
        self.did = str(json.loads(said)["did"])
        file = self.path / "config.toml"  # whoever watches waits for nothing: consents are published at once
        file.write_bytes(with_setting(file.read_bytes(), "wallets.spread_seconds", "0", str(file)))

    def _place(self) -> list[str]:
        return ["--data-dir", str(self.path)]

    def start(self, *, turned: bool = False) -> None:
        """Start the node's process; `ready` waits for it. `turned`: it serves without consent (node/turncoat.py)."""
        command = _TURNED if turned else (*_COMMAND, "node", "run")
        with (self.path / "node.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._place()], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def probe(self, member: str, way: str = "") -> Any:
        """Have the node ask another without consent (node/ops/probe.py); return what came of it.

        `member`: name, did:key or id. `way`: "" for any. `entry` is the id of the result on the ledger, `fault` what
        it proves.
        """
        return self.call("probe", "run", member=member, way=way)

    def ready(self) -> None:
        """Wait until the node answers."""
        until(self._answers, f"the node of the {self.name} does not start", READY_SECONDS_MAX)

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            last = (self.path / "node.log").read_text(errors="replace").strip().splitlines()[-1:]
            raise LocalError("DEMO_FAILED", f"the node of the {self.name} ended: {' '.join(last)}")
        try:
            self.call("node", "status")
        except MailleError as error:
            if error.code == "NODE_UNREACHABLE":
                return False
            raise
        return True

    def call(self, noun: str | None, verb: str, /, **values: Any) -> Any:
        """Run an operation in the node and return its result."""
        operation = operation_of(noun, verb)
        return self._client.call(operation, operation.args(**values))

    def kill(self) -> None:
        """End the process with SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """Ask the process to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def join(self) -> None:
        """Wait for the process's end; insist when it does not come."""
        if self._process is not None:
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.kill()


def operation_of(noun: str | None, verb: str) -> Operation:
    """Return one operation of the table. Raises LocalError NOT_FOUND."""
    operation = find(noun, verb)
    if operation is None:
        raise LocalError("NOT_FOUND", f"there is no operation {noun} {verb}")
    return operation


def until(check: Callable[[], Any], otherwise: str, seconds: float = SETTLE_SECONDS_MAX) -> Any:
    """Ask again until something true comes back; raise LocalError DEMO_FAILED with `otherwise` when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise LocalError("DEMO_FAILED", f"{otherwise} (waited {seconds:.0f} s)")
        time.sleep(POLL_SECONDS)
