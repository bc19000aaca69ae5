"""The client of the control API: asks a running node over its unix socket. Plain and blocking, for the command line.

How it works
    `Client(socket).call(operation, args)` sends the arguments as JSON and returns the result as the operation's
    own Struct. A refusal comes back as the error it was inside the node: same family, code, sentence and field.

What it does not do
    It starts no node, keeps no connection, and retries nothing.
"""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.errors import LocalError, MailleError, RemoteError
from node.openapi import API_VERSION, Refusal
from node.operation import Args, Operation, Result

ANSWER_SECONDS_MAX: Final = 600
"""How long an answer may take: a join waits for a member to admit, a large ledger to be verified."""


class Client:
    """Calls operations of the node that serves `path`, its control socket."""

    def __init__(self, path: Path, *, timeout: float = ANSWER_SECONDS_MAX) -> None:
        """`timeout`: seconds an answer may take."""
        self._path, self._timeout = path, timeout

    def call(self, operation: Operation, args: Args) -> Result:
        """Run an operation in the node. Raises LocalError NODE_UNREACHABLE, and whatever the node refuses with."""
        body = msgspec.json.encode(args)
        headers = {"content-type": "application/json", "maille-api": str(API_VERSION)}
        status, answer = self._request("POST", operation.path, body, headers)
        if status != 200:
            raise _refusal(answer, status)
        try:
            return msgspec.json.decode(answer, type=operation.result)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            told = f"The node answers in another way than this command knows ({error}); use one release for both."
            raise RemoteError("BAD_ANSWER", told) from None

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = _UnixConnection(self._path, self._timeout)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except TimeoutError:
            told = f"The node gave no answer within {self._timeout:g} s; it may still be at it."
            raise LocalError("TEMPORARY", told) from None
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(self._path, error) from None
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock: Any = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _unreachable(path: Path, error: Exception) -> LocalError:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        told = f"No node runs on {path.parent}; start it with `maille node run`, or name its place with --data-dir."
    elif isinstance(error, PermissionError):
        told = f"The control socket {path} belongs to another user; run the command as that user."
    else:
        told = f"The node on {path.parent} ended the connection ({error}); look at its log."
    return LocalError("NODE_UNREACHABLE", told)


def _refusal(answer: bytes, status: int) -> MailleError:
    try:
        told = msgspec.json.decode(answer, type=Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return RemoteError("BAD_ANSWER", f"The node answered with status {status}; use one release for both.")
    family = RemoteError if told.theirs else LocalError
    return family(told.code, told.message, field=told.field)
