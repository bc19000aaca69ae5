"""Whose word is enough: the auditor's quorum, as C2SP `tlog-policy` text or as a number of members.

How it works
    `parse_policy` reads the text strictly (tlog-policy): log, witness, group and quorum lines, names as opaque
    octets. A witness line holds the verifier key of a device; its key name is the origin of that device's feed, so
    the policy itself says which mesh it is for. What a witness does here is attest a tick: it signs the digest of
    the whole frontier and the state root. `MemberQuorum(k)` asks for any k members which the bundle itself proves
    to descend from the pinned genesis. Both answer two questions: are these witnesses enough (`enough`), and by
    what time were they (`earliest`).

What it does not do
    It checks no signature and knows no time but those it is given. URLs are read and left alone. It does not judge
    whether k is wise: with n witnesses of which f may lie, k > (n + f) / 2.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NoReturn, TypeAlias

from ledger.checkpoint import origin, parse_vkey, vkey
from ledger.errors import LocalError, RemoteError
from ledger.keys import thumbprint

POLICY_BYTES_MAX: Final = 262_144
LINES_MAX: Final = 4_096
KEYS_MAX: Final = 256
"""Logs, and witnesses, that one policy may list."""
GROUPS_MAX: Final = 256
MEMBERS_MAX: Final = 256
"""The largest number of members that `MemberQuorum` may ask for."""
NONE: Final = b"none"
"""The predefined name of an empty quorum."""


@dataclass(frozen=True, slots=True)
class Witness:
    """One attestation that was checked: the device's Ed25519 key, the member's root key id, and the time (seconds).

    `voice`: who speaks for the member where it is affiliated; empty: itself.
    """

    public: bytes
    member: bytes
    time: int
    voice: bytes = b""


@dataclass(frozen=True, slots=True)
class Group:
    """At least `threshold` of `members` (names of witnesses and of groups defined before)."""

    threshold: int
    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """A `tlog-policy` file. `logs`, `witnesses`: Ed25519 keys, by key name and by name; `sha256`: of the text."""

    logs: Mapping[str, bytes]
    witnesses: Mapping[bytes, tuple[str, bytes]]  # name -> (key name, public key)
    groups: Mapping[bytes, Group]
    quorum: bytes
    sha256: bytes

    def words(self) -> str:
        """Return what was used, in a sentence for a report."""
        count, name = len(self.witnesses), self.quorum.decode(errors="replace")
        return f"tlog-policy {self.sha256.hex()[:16]}: quorum {name!r} over {count} listed witnesses"

    def enough(self, witnesses: AbstractSet[Witness], mesh_id: bytes) -> bool:
        """Say whether these witnesses meet the quorum. `none` is met by nobody: no one would vouch for the state."""
        keys = {witness.public for witness in witnesses}
        met = {
            name
            for name, (key_name, public) in self.witnesses.items()
            if public in keys and key_name == origin(mesh_id, thumbprint(public))
        }
        for name, group in self.groups.items():  # in the order of the file: members come before their group
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(name)
        return self.quorum in met

    def listed(self, name: str, public: bytes) -> bool:
        """Say whether the feed with this origin and key is a log to accept: any, when the policy lists none."""
        return not self.logs or self.logs.get(name) == public


@dataclass(frozen=True, slots=True)
class MemberQuorum:
    """Any `k` members that the bundle proves under the pinned genesis. Raises LocalError BAD_POLICY unless 1 ≤ k."""

    k: int

    def __post_init__(self) -> None:
        """Refuse a quorum of nobody."""
        if type(self.k) is not int or not 1 <= self.k <= MEMBERS_MAX:
            raise LocalError("BAD_POLICY", f"a quorum is 1 to {MEMBERS_MAX} members", field="k")

    def words(self) -> str:
        """Return what was used, in a sentence for a report."""
        return f"any {self.k} member(s) that the bundle proves under the pinned genesis, affiliates counted once"

    def enough(self, witnesses: AbstractSet[Witness], mesh_id: bytes) -> bool:  # noqa: ARG002 - one shape for both
        """Say whether these are k different members; devices of one member, and affiliated members, are one."""
        return len({witness.voice or witness.member for witness in witnesses}) >= self.k

    def listed(self, name: str, public: bytes) -> bool:  # noqa: ARG002 - one shape for both
        """Accept any feed: the attested frontier says which there are."""
        return True


Policy: TypeAlias = LogPolicy | MemberQuorum
"""The auditor's quorum."""


def earliest(policy: Policy, witnesses: AbstractSet[Witness], mesh_id: bytes) -> int | None:
    """Return the first time by which the witnesses met the quorum (unix seconds), or None."""
    times = sorted({witness.time for witness in witnesses})

    def met(time: int) -> bool:
        return policy.enough({witness for witness in witnesses if witness.time <= time}, mesh_id)

    first = bisect_left(times, True, key=met)  # more witnesses never meet it less
    return times[first] if first < len(times) else None


def parse_policy(text: str | bytes) -> LogPolicy:
    """Read a `tlog-policy` file; verifier keys must be of type 0x04 (cosignature/v1, Ed25519).

    Raises RemoteError BAD_POLICY, with the line as its field.
    """
    data = text.encode() if isinstance(text, str) else bytes(text)
    if len(data) > POLICY_BYTES_MAX:
        _bad("policy", f"the policy is longer than {POLICY_BYTES_MAX} bytes")
    if any((octet < 0x20 and octet not in (0x09, 0x0A)) or octet == 0x7F for octet in data):
        _bad("policy", "the only control characters of a policy are tab and newline")
    lines = data.split(b"\n")
    if lines.pop() != b"" or len(lines) > LINES_MAX:
        _bad("policy", f"each of at most {LINES_MAX} lines must end with a newline")
    reading = _Reading()
    for at, line in enumerate(lines, 1):
        words = line.replace(b"\t", b" ").split(b" ")
        items = [word for word in words if word]
        if items and not items[0].startswith(b"#"):
            reading.line(f"line {at}", items)
    if reading.quorum is None:
        _bad("policy", "a policy needs exactly one quorum line")
    return LogPolicy(reading.logs, reading.witnesses, reading.groups, reading.quorum, sha256(data).digest())


def policy_text(
    mesh_id: bytes, members: Sequence[tuple[str, Sequence[bytes]]], k: int, *, logs: Sequence[bytes] = ()
) -> str:
    """Return a `tlog-policy` that any `k` of these members meet, which `parse_policy` reads.

    `members`: a name for each (any text; it is made plain) and the Ed25519 keys of its devices. `logs`: keys of the
    feeds whose checkpoints count, all when there are none. Raises LocalError BAD_POLICY.
    """
    if not 1 <= k <= len(members):
        raise LocalError("BAD_POLICY", f"a quorum is 1 to {len(members)} of these members", field="quorum")
    lines = [f"log {vkey(origin(mesh_id, thumbprint(public)), public)}" for public in logs]
    groups = []
    for at, (name, publics) in enumerate(members, 1):
        plain = re.sub(r"[^0-9A-Za-z]+", "-", name).strip("-") or "member"
        names = [f"{at}-{plain}"] if len(publics) == 1 else [f"{at}-{plain}-{device}" for device in range(len(publics))]
        for device, public in zip(names, publics, strict=True):
            lines.append(f"witness {device} {vkey(origin(mesh_id, thumbprint(public)), public)}")
        if len(names) > 1:
            lines.append(f"group {at}-{plain} any {' '.join(names)}")
        groups.append(f"{at}-{plain}")
    text = "\n".join([*lines, f"group members {k} {' '.join(groups)}", "quorum members", ""])
    try:
        parse_policy(text)
    except RemoteError as error:
        raise LocalError("BAD_POLICY", f"this mesh does not fit into a policy: {error.message}") from None
    return text


class _Reading:
    """What the lines so far have defined."""

    def __init__(self) -> None:
        self.logs: dict[str, bytes] = {}
        self.witnesses: dict[bytes, tuple[str, bytes]] = {}
        self.groups: dict[bytes, Group] = {}
        self.quorum: bytes | None = None
        self._grouped: set[bytes] = set()

    def line(self, field: str, items: list[bytes]) -> None:
        match items:
            case [b"log", key] | [b"log", key, _]:
                name, public = _vkey(field, key)
                if public in self.logs.values() or name in self.logs or len(self.logs) >= KEYS_MAX:
                    _bad(field, f"a log stands there twice, or is one more than {KEYS_MAX}")
                self.logs[name] = public
            case [b"witness", name, key] | [b"witness", name, key, _]:
                self._fresh(field, name)
                named = _vkey(field, key)
                if any(public == named[1] for _, public in self.witnesses.values()) or len(self.witnesses) >= KEYS_MAX:
                    _bad(field, f"a witness' key stands there twice, or is one more than {KEYS_MAX}")
                self.witnesses[name] = named
            case [b"group", name, threshold, *members]:
                self._group(field, name, threshold, members)
            case [b"quorum", name]:
                if self.quorum is not None:
                    _bad(field, "a policy has exactly one quorum line")
                if name != NONE and name not in self.witnesses and name not in self.groups:
                    _bad(field, "the quorum names no witness or group that was defined before")
                self.quorum = name
            case _:
                _bad(field, "a line is: log VKEY [URL], witness NAME VKEY [URL], group NAME K NAME…, or quorum NAME")

    def _fresh(self, field: str, name: bytes) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            _bad(field, "this name is taken; witnesses and groups share one set of names, and none is predefined")

    def _group(self, field: str, name: bytes, threshold: bytes, members: list[bytes]) -> None:
        self._fresh(field, name)
        for member in members:
            if member not in self.witnesses and member not in self.groups:
                _bad(field, "a group lists witnesses and groups that were defined before")
            if member in self._grouped:
                _bad(field, "a name may be listed once, in one group only")
            self._grouped.add(member)
        count = {b"all": len(members), b"any": 1}.get(threshold)
        if count is None:
            count = int(threshold) if threshold.isdigit() and len(threshold) <= 4 else 0
            if str(count).encode() != threshold:
                _bad(field, "a threshold is all, any or a decimal number")
        if not 1 <= count <= len(members) or len(self.groups) >= GROUPS_MAX:
            _bad(field, f"a threshold lies from 1 to the number of members; at most {GROUPS_MAX} groups")
        self.groups[name] = Group(count, tuple(members))


def _vkey(field: str, text: bytes) -> tuple[str, bytes]:
    try:
        return parse_vkey(text.decode("ascii"))
    except (RemoteError, UnicodeDecodeError):
        return _bad(field, "this is not a verifier key of type 4: <name>+<key id>+<base64 of the key>")


def _bad(field: str, message: str) -> NoReturn:
    raise RemoteError("BAD_POLICY", f"{message}; see C2SP tlog-policy", field=field)
