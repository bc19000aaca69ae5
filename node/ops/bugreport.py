"""A report for whoever helps: how the node is, without anything secret or personal.

How it works
    One JSON document: release and machine, settings, what the doctor finds, the newest events, the figures of
    /metrics. Names, addresses and ids are replaced by words that stand for them throughout (mesh-1, host-2, id-3), so
    that it can still be read, and nobody in it can be found.

What it does not do
    It holds no key, no entry, no reading, no content of a consent. It is sent nowhere: look at it, then send it.
"""

from __future__ import annotations

import platform
import re
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from ledger.errors import MailleError
from node.config import Home, socket_path
from node.operation import Local, Nothing, Result, local_operation, said


class Report(Result, frozen=True):
    """The report."""

    report: Annotated[bytes, said("JSON; base64 in JSON, empty when --to took it.", content=True)]


_ID: Final = re.compile(r"did:key:z[1-9A-HJ-NP-Za-km-z]+|\b[0-9a-f]{12,}\b|\bprm:[0-9]+|\bpce:[0-9]+|\b[0-9]{14}\b")
_HOST: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}|\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)(?=:[0-9]+)"
)
_URL: Final = re.compile(r"https?://[^\s\"'/]+")
_PATH: Final = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)+[\w.+-]+")


class Redactor:
    """Replaces what names somebody by words, the same for the same throughout one report."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names`: texts to replace wherever they stand, and the kind of each."""
        self._words: dict[str, str] = {}
        self._names = {name: kind for name, kind in names.items() if name}

    def _word(self, kind: str, found: str) -> str:
        if found not in self._words:
            self._words[found] = f"{kind}-{1 + sum(word.startswith(kind + '-') for word in self._words.values())}"
        return self._words[found]

    def text(self, value: str) -> str:
        """Return a text without names, addresses, ids and paths."""
        for name in sorted(self._names, key=len, reverse=True):
            value = value.replace(name, self._word(self._names[name], name))
        for kind, pattern in (("url", _URL), ("host", _HOST), ("id", _ID), ("path", _PATH)):
            value = pattern.sub(lambda match, kind=kind: self._word(kind, match[0]), value)  # type: ignore[misc]
        return value

    def all(self, value: Any) -> Any:
        """Return a JSON value of which every text, keys too, went through `text`."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.all(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.all(inner) for inner in value]
        return value


def names_of(status: Any) -> dict[str, str]:
    """Return what names somebody in a node's status, with the kind of each."""
    found = {status["node"]["name"]: "node"}
    for state in status["meshes"]:
        found |= {state["mesh"]["name"]: "mesh", state["mesh"]["title"]: "mesh"}
        found |= {row["member"]: "member" for row in state["peers"]}
    return found


@local_operation(None, "bugreport", permission="read")
def bugreport(local: Local, args: Nothing) -> Report:
    """Write a report of how this node is, for whoever helps: nothing secret, nobody named. Look before you send it."""
    from importlib.metadata import distributions

    from node.client import Client
    from node.ops.config import config_show
    from node.ops.doctor import DoctorArgs, doctor
    from node.ops.events import NodeEventsArgs, node_events
    from node.ops.node import node_status

    home = Home(local.data_dir)
    client = Client(socket_path(local.data_dir))
    parts: dict[str, Any] = {
        "made": int(time.time()),
        "python": sys.version,
        "system": platform.platform(),
        "packages": {one.name.lower(): one.version for one in distributions()},
        "meshes": len(home.mesh_names()),
        "settings": msgspec.to_builtins(config_show.handler(local, args).settings),
        "doctor": msgspec.to_builtins(doctor.handler(local, DoctorArgs())),
    }
    names = {str(home.path): "path", home.config().name: "node", **dict.fromkeys(home.mesh_names(), "mesh")}
    try:
        status = msgspec.to_builtins(client.call(node_status, args))
        parts["status"] = status
        parts["events"] = msgspec.to_builtins(client.call(node_events, NodeEventsArgs()))
        names |= names_of(status)
    except MailleError as error:
        parts["status"] = {"code": error.code, "message": error.message}
    redacted = Redactor(names).all({name: part for name, part in parts.items() if name != "packages"})
    redacted["packages"] = parts["packages"]
    return Report(msgspec.json.format(msgspec.json.encode(redacted), indent=1))
