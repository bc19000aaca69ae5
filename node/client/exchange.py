"""One exchange with a node's control API, sans-IO: where it is, what is sent, what an answer means.

How it works
    A `Call` is an operation with its arguments. `Place` says where the node is and which headers go with a request;
    `read_answer` makes a result or an error of an answer. A refusal comes back as the error it was inside the node:
    same family, code, sentence and field.

What it does not do
    It opens no connection (clients) and knows no single operation (calls).
"""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from ledger.errors import LocalError, MailleError, RemoteError
from node.config import Home, data_directory, socket_path
from node.openapi import API_VERSION, Refusal
from node.operation import Args, Operation, Result

ANSWER_SECONDS_MAX: Final = 600
"""How long an answer may take: a join waits for a member to admit, a large ledger to be verified."""
URL_VARIABLE: Final = "MAILLE_URL"
TOKEN_VARIABLE: Final = "MAILLE_TOKEN_FILE"
"""The environment: the node's address where it is not this machine's socket, and the file that holds the token."""

R = TypeVar("R", bound=Result)


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with its arguments."""

    operation: Operation
    args: Args

    @property
    def body(self) -> bytes:
        """The arguments, in JSON."""
        return msgspec.json.encode(self.args)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is: `socket`, or else `url`. `token`: the bearer token that TCP asks for."""

    url: str
    socket: Path | None = None
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        found = {"content-type": "application/json", "maille-api": str(API_VERSION)}
        return found | ({"authorization": f"Bearer {self.token}"} if self.token else {})

    @property
    def name(self) -> str:
        """The place in a sentence."""
        return str(self.socket.parent) if self.socket is not None else self.url


def find_place(at: Path | str | None, token: str | None, token_file: Path | None) -> Place:
    """Return the place that the arguments name; without any, that of the environment, else this machine's node.

    `at`: the path of a control socket, or an address http(s)://host:port. Raises LocalError USAGE, TLS_NEEDED,
    TOKEN_MISSING, SECRET_MODE, PATH_TOO_LONG.
    """
    at = at if at is not None else os.environ.get(URL_VARIABLE) or socket_path(data_directory())
    if isinstance(at, Path) or "://" not in at:
        return Place("http://localhost", Path(at))
    parts = urlsplit(at)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise LocalError("USAGE", f"{at!r} is no node's address; write https://host:port, or a socket's path.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        told = f"{at} would carry the token in clear; write https://, or reach the node through a tunnel."
        raise LocalError("TLS_NEEDED", told)
    return Place(at.rstrip("/"), None, token or _read_token(token_file))


def _read_token(file: Path | None) -> str:
    from node.cli.terminal import read_secret

    named = file or (Path(os.environ[TOKEN_VARIABLE]) if os.environ.get(TOKEN_VARIABLE) else None)
    if named is None:
        told = f"A node over TCP asks for a token (`maille token make`); name its file in {TOKEN_VARIABLE}."
        raise LocalError("TOKEN_MISSING", told)
    return read_secret(named)


def is_loopback(host: str) -> bool:
    """Say whether a host's name or address can only be this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_answer(call: Call, status: int, body: bytes) -> Any:
    """Return the operation's result. Raises what the node refused with; RemoteError BAD_ANSWER."""
    if status != 200:
        raise _refusal(body, status)
    try:
        return msgspec.json.decode(body, type=call.operation.result)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        told = f"The node answers in another way than this program knows ({error}); use one release for both."
        raise RemoteError("BAD_ANSWER", told) from None


def _refusal(body: bytes, status: int) -> MailleError:
    told: Refusal | None = None
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        told = msgspec.json.decode(body, type=Refusal)
    if told is None or not told.message or not told.code.replace("_", "").isalnum():
        return RemoteError("BAD_ANSWER", f"The node answered with status {status}; use one release for both.")
    family = RemoteError if told.theirs else LocalError
    return family(told.code, told.message, field=told.field)


def unreachable(place: Place, error: BaseException) -> LocalError:
    """Return the error of a node that could not be asked, by what the system said."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if place.socket is None:
        told = f"No node answers at {place.url} ({cause or error}); look whether it runs and listens there."
    elif isinstance(cause, FileNotFoundError) and not Home(place.socket.parent).config_file.exists():
        told = f"There is no node in {place.name}; name its place with --data-dir, or make one: `maille node init`."
    elif isinstance(cause, FileNotFoundError | ConnectionRefusedError):
        told = f"No node runs on {place.name}; start it with `maille node run`, or name its place with --data-dir."
    elif isinstance(cause, PermissionError):
        told = f"The control socket {place.socket} belongs to another user; run the command as that user."
    else:
        told = f"The node on {place.name} ended the connection ({cause or error}); look at its log."
    return LocalError("NODE_UNREACHABLE", told)


def too_late(seconds: float) -> LocalError:
    """Return the error of an answer that did not come in time."""
    return LocalError("TEMPORARY", f"The node gave no answer within {seconds:g} s; it may still be at it.")
