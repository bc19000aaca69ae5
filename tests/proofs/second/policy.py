"""Quorums of README.md: any k members, or C2SP `tlog-policy` text.

How it works
    A quorum is asked two things: by what time witnesses meet it, and whether a feed is a log it takes.

What it does not do
    It expects a sound text: refusing false ones is `tests/proofs/test_policy.py`'s.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from tests.proofs.second import curve


class Quorum:
    """`members`: any so many; else `text` is a policy."""

    def __init__(self, members: int = 0, text: str = "") -> None:
        self.members = members
        self.logs: dict[str, bytes] = {}
        self.keys: dict[str, tuple[str, bytes]] = {}
        self.groups: list[tuple[str, int, list[str]]] = []
        self.quorum = ""
        for line in text.splitlines():
            match line.split():
                case ["log", key, *_]:
                    name, public = self._key(key)
                    self.logs[name] = public
                case ["witness", name, key, *_]:
                    self.keys[name] = self._key(key)
                case ["group", name, least, *names]:
                    count = {"all": len(names), "any": 1}.get(least)
                    self.groups.append((name, int(least) if count is None else count, names))
                case ["quorum", name]:
                    self.quorum = name
                case _:
                    pass

    @staticmethod
    def _key(text: str) -> tuple[str, bytes]:
        name, _, encoded = text.split("+", 2)
        return name, b64decode(encoded)[1:]

    @property
    def is_nobody(self) -> bool:
        """Whether it asks for no witness, so that nobody vouches."""
        return self.quorum == "none"

    def takes_log(self, mesh: bytes, feed: bytes, public: bytes) -> bool:
        """Say whether a feed is one that the policy lists; any, where it lists none."""
        return not self.logs or self.logs.get(f"maille/{mesh.hex()}/{feed.hex()}") == public

    def met(self, mesh: bytes, witnesses: Iterable[Any]) -> int | None:
        """Return the first time by which witnesses (key, voice, time, rooted) meet it."""
        known = list(witnesses)
        for time in sorted({each.time for each in known}):
            if self._enough(mesh, [each for each in known if each.time <= time]):
                return int(time)
        return None

    def _enough(self, mesh: bytes, witnesses: list[Any]) -> bool:
        if self.members:
            return len({each.voice for each in witnesses if each.rooted}) >= self.members
        keys = {each.key for each in witnesses}
        met = {
            name
            for name, (origin, public) in self.keys.items()
            if public in keys and origin == f"maille/{mesh.hex()}/{curve.key_id(public).hex()}"
        }
        for name, least, names in self.groups:
            if len(met.intersection(names)) >= least:
                met.add(name)
        return self.quorum in met
