"""What happened to consents and data, numbered; and the web-hooks that are told of it: table `outgoing`.

| key | value |
|---|---|
| "Cn" | the last number given |
| "Ce", number (8) | a change (`Change`), the newest CHANGES_MAX |
| "Ci", id (16) | its number: a change is told once |
| "Cs", grant (32) | what was last told of a consent: [state, valid until] |
| "Cv", valid until (8), grant | empty: an active consent that will expire |
| "Hh", hook (8) | a web-hook (`Hook`) |
| "Hq", hook, number (8) | [1, attempts]: a change that the hook's receiver has not confirmed |
| "Hc", hook | how many wait for it (8 bytes) |
| "Hd", hook, number (8) | [1, why]: a change that was given up, the newest DEAD_MAX of a hook |

How it works
    A change and what waits for its hooks are written in the transaction that brings it about, so a crash loses
    neither and makes no second one. A queue is bounded: beyond QUEUE_MAX the oldest is given up.

What it does not do
    It sends nothing (node/hooks.py) and decides nothing (node/flows/changing.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.rows import Reader, Writer, prefix_stop

TABLE: Final = "outgoing"
CHANGES_MAX: Final = 10_000
"""Changes kept; whoever asks for older ones is told that they are lost."""
HOOKS_MAX: Final = 32
"""Web-hooks of one mesh of a node."""
QUEUE_MAX: Final = 1_000
"""Changes that wait for one hook."""
DEAD_MAX: Final = 100
"""Given-up changes that are kept to be shown, of one hook."""
HOOK_BYTES: Final = 8
_LAST, _CHANGE, _ID, _TOLD, _UNTIL = b"Cn", b"Ce", b"Ci", b"Cs", b"Cv"
_HOOK, _QUEUE, _COUNT, _DEAD = b"Hh", b"Hq", b"Hc", b"Hd"
_GRANT: Final = 32


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened. `parties`: ids of holder and recipient. `id`: 16 bytes, the same after a crash."""

    number: int
    id: bytes
    kind: str
    at: int
    grant: bytes
    state: str
    reason: str
    transfer: bytes
    parties: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Hook:
    """A web-hook. `key`: of its HMAC, or b"" where the node's device key signs. `party`: those of a tenant alone.

    `kinds`: of changes, none: all. `failures`: in a row; `next_at`: not before, unix seconds. `gone`: answered that
    it is no more.
    """

    id: bytes
    url: str
    key: bytes
    kinds: tuple[str, ...]
    party: bytes
    created: int
    failures: int = 0
    next_at: int = 0
    last_error: str = ""
    gone: bool = False


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


class ChangeRows:
    """The rows of this module."""

    # Changes

    def last(self, vault: Reader) -> int:
        """Return the number of the newest change; 0: there was none."""
        held = vault.get(TABLE, _LAST)
        return int.from_bytes(held, "big") if held is not None else 0

    def add(self, vault: Writer, change: Change) -> Change | None:
        """Number and keep a change, and queue it for the hooks it concerns; None if it was told before."""
        if vault.get(TABLE, _ID + change.id) is not None:
            return None
        number = self.last(vault) + 1
        c = Change(number, *(getattr(change, name) for name in Change.__slots__[1:]))
        vault.put(TABLE, _LAST, _number(number))
        vault.put(TABLE, _ID + c.id, _number(number))
        value = [1, c.id, c.kind, c.at, c.grant, c.state, c.reason, c.transfer, list(c.parties)]
        vault.put(TABLE, _CHANGE + _number(number), codec.encode(value))
        old = self.get(vault, number - CHANGES_MAX)
        if old is not None:
            vault.delete(TABLE, _CHANGE + _number(old.number))
            vault.delete(TABLE, _ID + old.id)
        for hook in self.hooks(vault):
            if concerns(hook, c):
                self.queue(vault, hook, number)
        return c

    def get(self, vault: Reader, number: int) -> Change | None:
        """Return one change, or None (not yet, or too old)."""
        held = vault.get(TABLE, _CHANGE + _number(number)) if number > 0 else None
        return _change(number, held) if held is not None else None

    def after(self, vault: Reader, number: int, limit: int) -> list[Change]:
        """Return the changes behind a number, in order."""
        start = _CHANGE + _number(number + 1)
        rows = vault.scan(TABLE, start, prefix_stop(_CHANGE), limit=limit)
        return [_change(int.from_bytes(key[len(_CHANGE) :], "big"), value) for key, value in rows]

    def oldest(self, vault: Reader) -> int:
        """Return the number of the oldest change that is kept; 0: none is."""
        for key, _ in vault.scan(TABLE, _CHANGE, prefix_stop(_CHANGE), limit=1):
            return int.from_bytes(key[len(_CHANGE) :], "big")
        return 0

    # What was told of a consent

    def told(self, vault: Reader, grant: bytes) -> tuple[str, int] | None:
        """Return the state and the end (unix seconds) last told of a consent, or None."""
        held = vault.get(TABLE, _TOLD + grant)
        if held is None:
            return None
        fields: Any = codec.decode(held)
        return fields[0], fields[1]

    def tell(self, vault: Writer, grant: bytes, state: str, until: int, *, expires: bool) -> None:
        """Note what was told of a consent. `expires`: look at it again when it ends by itself."""
        former = self.told(vault, grant)
        if former is not None:
            vault.delete(TABLE, _UNTIL + _number(former[1]) + grant)
        vault.put(TABLE, _TOLD + grant, codec.encode([state, until]))
        if expires:
            vault.put(TABLE, _UNTIL + _number(until) + grant, b"\x00")

    def expiring(self, vault: Reader, limit: int) -> list[tuple[int, bytes]]:
        """Return (end, grant) of the active consents that end first."""
        found = vault.scan(TABLE, _UNTIL, prefix_stop(_UNTIL), limit=limit)
        return [(int.from_bytes(key[2:10], "big"), key[-_GRANT:]) for key, _ in found]

    def looked_at(self, vault: Writer, until: int, grant: bytes) -> None:
        """A consent's end has come and was told of: look at it no more, even if nothing could be told."""
        vault.delete(TABLE, _UNTIL + _number(until) + grant)

    # Hooks

    def hooks(self, vault: Reader) -> list[Hook]:
        """Return every hook."""
        return [_hook(key[2:], value) for key, value in vault.scan(TABLE, _HOOK, prefix_stop(_HOOK))]

    def hook(self, vault: Reader, hook: bytes) -> Hook | None:
        """Return one hook, or None."""
        held = vault.get(TABLE, _HOOK + hook)
        return _hook(hook, held) if held is not None else None

    def put_hook(self, vault: Writer, h: Hook) -> None:
        """Keep a hook."""
        value = [1, h.url, h.key, list(h.kinds), h.party, h.created, h.failures, h.next_at, h.last_error, h.gone]
        vault.put(TABLE, _HOOK + h.id, codec.encode(value))

    def remove_hook(self, vault: Writer, hook: bytes) -> None:
        """Forget a hook with all that waits for it."""
        for prefix in (_QUEUE + hook, _DEAD + hook):
            for key in [key for key, _ in vault.scan(TABLE, prefix, prefix_stop(prefix))]:
                vault.delete(TABLE, key)
        vault.delete(TABLE, _COUNT + hook)
        vault.delete(TABLE, _HOOK + hook)

    def queue(self, vault: Writer, hook: Hook, number: int) -> None:
        """Have a hook told of a change."""
        if self.count(vault, hook.id) >= QUEUE_MAX:
            for oldest, _ in list(self.waiting(vault, hook.id, 1)):
                self.give_up(vault, hook.id, oldest, "QUEUE_FULL")
        vault.put(TABLE, _QUEUE + hook.id + _number(number), codec.encode([1, 0]))
        vault.put(TABLE, _COUNT + hook.id, _number(self.count(vault, hook.id) + 1))

    def count(self, vault: Reader, hook: bytes) -> int:
        """Return how many changes wait for a hook."""
        held = vault.get(TABLE, _COUNT + hook)
        return int.from_bytes(held, "big") if held is not None else 0

    def waiting(self, vault: Reader, hook: bytes, limit: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield (number, attempts) of what waits for a hook, the oldest first."""
        prefix = _QUEUE + hook
        for key, value in vault.scan(TABLE, prefix, prefix_stop(prefix), limit=limit):
            fields: Any = codec.decode(value)
            yield int.from_bytes(key[-8:], "big"), fields[1]

    def attempted(self, vault: Writer, hook: bytes, number: int, attempts: int) -> None:
        """Note how often a change was tried."""
        vault.put(TABLE, _QUEUE + hook + _number(number), codec.encode([1, attempts]))

    def confirmed(self, vault: Writer, hook: bytes, number: int) -> None:
        """Forget a change that the receiver has."""
        if vault.get(TABLE, _QUEUE + hook + _number(number)) is not None:
            vault.delete(TABLE, _QUEUE + hook + _number(number))
            vault.put(TABLE, _COUNT + hook, _number(self.count(vault, hook) - 1))

    def give_up(self, vault: Writer, hook: bytes, number: int, why: str) -> None:
        """Put a change among those that were given up."""
        self.confirmed(vault, hook, number)
        dead = self.dead(vault, hook)
        for old, _ in dead[: max(0, len(dead) + 1 - DEAD_MAX)]:
            vault.delete(TABLE, _DEAD + hook + _number(old))
        vault.put(TABLE, _DEAD + hook + _number(number), codec.encode([1, why]))

    def dead(self, vault: Reader, hook: bytes) -> list[tuple[int, str]]:
        """Return (number, why) of what was given up, the oldest first."""
        prefix = _DEAD + hook
        found: list[tuple[int, str]] = []
        for key, value in vault.scan(TABLE, prefix, prefix_stop(prefix)):
            fields: Any = codec.decode(value)
            found.append((int.from_bytes(key[-8:], "big"), fields[1]))
        return found


def concerns(hook: Hook, change: Change) -> bool:
    """Say whether a hook is to be told of a change."""
    wanted = not hook.kinds or change.kind in hook.kinds
    return wanted and not hook.gone and (not hook.party or hook.party in change.parties)


def _change(number: int, held: bytes) -> Change:
    fields: Any = codec.decode(held)
    _, identity, kind, at, grant, state, reason, transfer, parties = fields
    return Change(number, identity, kind, at, grant, state, reason, transfer, tuple(parties))


def _hook(identity: bytes, held: bytes) -> Hook:
    fields: Any = codec.decode(held)
    _, url, key, kinds, party, created, failures, next_at, last_error, gone = fields
    return Hook(identity, url, key, tuple(kinds), party, created, failures, next_at, last_error, gone)
