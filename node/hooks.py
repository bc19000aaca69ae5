"""Tells web-hooks what happened to consents and data: signed, at least once, with the same id each time.

How it works
    What is to be told waits in the vault (node/vaults/changes.py). One task a mesh posts it, one change after the
    other for each hook, and several hooks at once; a failure puts the hook off, longer each time, by the table
    BACK_OFF_SECONDS with chance on top; after ATTEMPTS_MAX a change is given up and shown by `webhook list`. A
    receiver has a change when it answers 2xx; 410 ends the hook. The scheme is that of Standard Webhooks
    (github.com/standard-webhooks): headers webhook-id, webhook-timestamp and webhook-signature, the signature over
    "id.timestamp.body", `v1` HMAC-SHA256 or `v1a` Ed25519 by the node's device key.
    Addresses of this machine and of private networks are refused unless the settings permit them; a name is looked up
    first, and the very address that was looked at is connected to. No redirect is followed.
    The same task notices when a consent expires.

What it does not do
    It tells nothing personal: ids, state, reason.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
import structlog
import trio

from ledger.errors import LocalError
from ledger.keys import SigningKey
from node.exits import first_of
from node.vaults.changes import Change, Hook

if TYPE_CHECKING:
    import random

    import httpx

    from node.core import Turn
    from node.engine import Clock
    from node.mesh import Mesh

BACK_OFF_SECONDS: Final = (5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long is waited after the first failure, the second, and so on: about three days in all."""
ATTEMPTS_MAX: Final = len(BACK_OFF_SECONDS) + 1
JITTER: Final = 0.2
"""A wait is longer by up to this part, by chance: those that failed together do not come back together."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
ANSWER_SECONDS_MAX: Final = 15
IDLE_SECONDS: Final = 60
"""So often the task looks by itself: clocks move, and consents expire."""
HOOKS_AT_ONCE: Final = 8
ERROR_CHARACTERS_MAX: Final = 200
GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Job:
    """One change to be told to one hook. `attempts`: those made before."""

    hook: Hook
    change: Change
    attempts: int


def body_of(change: Change) -> bytes:
    """Return what a receiver is told, in JSON: type, timestamp, data."""
    data = {
        "number": change.number,
        "consent": change.grant.hex(),
        "state": change.state,
        "reason": change.reason,
        "transfer": change.transfer.hex(),
    }
    at = datetime.fromtimestamp(change.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return msgspec.json.encode({"type": change.kind, "timestamp": at, "data": data})


def headers_of(identity: str, at: int, body: bytes, key: bytes, device: SigningKey) -> dict[str, str]:
    """Return the headers that sign a body. `key`: of the HMAC; b"": the device key signs."""
    signed = f"{identity}.{at}.".encode() + body
    if key:
        signature = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    else:
        signature = "v1a," + base64.b64encode(device.sign(signed)).decode()
    return {
        "content-type": "application/json",
        "user-agent": "maille-webhook",
        "webhook-id": identity,
        "webhook-timestamp": str(at),
        "webhook-signature": signature,
    }


def check_url(url: str) -> None:
    """Refuse an address that no hook may have. Raises LocalError BAD_HOOK."""
    good = len(url) <= 500 and url.isascii() and " " not in url
    try:
        parts = urlsplit(url)  # reads the brackets of an IPv6 address
        good = good and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != -1
        good = good and parts.username is None and not parts.fragment
    except ValueError:
        good = False
    if not good:
        told = "A hook's address is http(s)://host/path, without a user, a password or a fragment."
        raise LocalError("BAD_HOOK", told, field="url")


async def look_up(url: str, *, private: bool) -> str:
    """Return the address to connect to. Raises LocalError HOOK_PRIVATE, HOOK_UNREACHABLE."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LocalError("HOOK_UNREACHABLE", f"{host} is not known ({error}).") from None
    addresses = [str(row[4][0]).partition("%")[0] for row in found]
    if not private and not all(map(_is_public, addresses)):
        told = f"{host} is an address of this machine or of a private network; `[webhooks] private = true` permits it."
        raise LocalError("HOOK_PRIVATE", told, field="url")
    return addresses[0]


def _is_public(text: str) -> bool:
    """Say whether an address is of the public internet. What carries an IPv4 address within it is what that one is."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return _is_public(str(inner))
    return address.is_global and not address.is_multicast and not address.is_reserved


class Deliverer:
    """Tells the hooks of one mesh. `run` is its task."""

    def __init__(self, mesh: Mesh, clock: Clock, random_source: random.Random, *, private: Callable[[], bool]) -> None:
        """`clock`: unix milliseconds. `private`: says whether private addresses may be told."""
        self._mesh, self._clock, self._random, self._private = mesh, clock, random_source, private
        self._log = structlog.get_logger("hooks").bind(mesh=mesh.name)

    @property
    def _now(self) -> int:
        return self._clock() // 1_000

    async def run(self) -> None:
        """Tell what is to be told, until cancelled."""
        while True:
            rung = self._mesh.bell.listen()
            try:
                wait = await self._round()
            except* LocalError as group:  # the disk is full or read-only: what waits is still there afterwards
                self._log.error("hooks wait", reason=str(first_of(group)))
                wait = IDLE_SECONDS
            with trio.move_on_after(wait):
                await rung.wait()

    async def _round(self) -> float:
        """Tell each hook all that is due; return the seconds until something may be due again."""
        end = await self._mesh.engine.read(self._mesh.flows.changing.next_end)
        if end is not None and end <= self._now:
            await self._mesh.engine.act(self._mesh.flows.changing.expire)
            return 0
        slots = trio.Semaphore(HOOKS_AT_ONCE)
        due, later = await self._mesh.engine.read(self._due)
        if due:
            async with trio.open_nursery() as nursery:
                for hook in due:
                    nursery.start_soon(self._tell, hook, slots)
            return 0
        soonest = min([*later, *([end] if end is not None else [])], default=self._now + IDLE_SECONDS)
        return float(min(max(soonest - self._now, 0.05), IDLE_SECONDS))

    def _due(self, turn: Turn) -> tuple[list[Hook], list[int]]:
        """Return the hooks with something to be told now, and when the others are due."""
        rows = self._mesh.flows.changing.rows
        waiting = [hook for hook in rows.hooks(turn.vault) if rows.count(turn.vault, hook.id) and not hook.gone]
        due = [hook for hook in waiting if hook.next_at <= turn.now]
        return due, [hook.next_at for hook in waiting if hook.next_at > turn.now]

    async def _tell(self, hook: Hook, slots: trio.Semaphore) -> None:
        """Tell one hook what waits for it, until it fails."""
        async with slots:
            while (job := await self._mesh.engine.read(lambda turn: self._next(turn, hook.id))) is not None:
                status, error = await self.post(job.hook, f"msg_{job.change.id.hex()}", body_of(job.change))
                made = job
                await self._mesh.engine.act(lambda turn: self._note(turn, made, status, error))  # noqa: B023
                if error:
                    return

    def _next(self, turn: Turn, identity: bytes) -> Job | None:
        rows = self._mesh.flows.changing.rows
        hook = rows.hook(turn.vault, identity)
        if hook is None or hook.gone or hook.next_at > turn.now:
            return None
        for number, attempts in rows.waiting(turn.vault, identity, 1):
            change = rows.get(turn.vault, number)
            return Job(hook, change or _lost(number), attempts)
        return None

    async def post(self, hook: Hook, identity: str, body: bytes) -> tuple[int, str]:
        """Post once; return the status (0: none) and what was wrong, "" for nothing."""
        import httpx

        try:
            headers = headers_of(identity, self._now, body, hook.key, self._mesh.core.device)
            with trio.fail_after(ANSWER_SECONDS_MAX):
                address = await look_up(hook.url, private=self._private())
                status = await _post(httpx.URL(hook.url), address, headers, body)
        except LocalError as error:
            return 0, error.message[:ERROR_CHARACTERS_MAX]
        except trio.TooSlowError:
            return 0, f"No answer within {ANSWER_SECONDS_MAX} s."
        except (httpx.HTTPError, OSError) as error:
            return 0, f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS_MAX]
        return status, "" if 200 <= status < 300 else f"It answered {status}."

    def _note(self, turn: Turn, job: Job, status: int, error: str) -> None:
        """Keep what came of an attempt."""
        rows = self._mesh.flows.changing.rows
        hook = rows.hook(turn.vault, job.hook.id)
        if hook is None:  # removed meanwhile
            return
        number, attempts = job.change.number, job.attempts + 1
        if not error:
            rows.confirmed(turn.vault, hook.id, number)
            if hook.failures:
                rows.put_hook(turn.vault, replace(hook, failures=0, next_at=0, last_error=""))
            return
        wait = BACK_OFF_SECONDS[min(hook.failures, len(BACK_OFF_SECONDS) - 1)]
        next_at = turn.now + round(wait * (1 + JITTER * self._random.random()))
        gone = status == GONE
        rows.put_hook(
            turn.vault, replace(hook, failures=hook.failures + 1, next_at=next_at, last_error=error, gone=gone)
        )
        if attempts >= ATTEMPTS_MAX or gone:
            rows.give_up(turn.vault, hook.id, number, error)
        else:
            rows.attempted(turn.vault, hook.id, number, attempts)
        self._log.warning("hook failed", hook=hook.id.hex(), reason=error, attempts=attempts, gone=gone)


def _lost(number: int) -> Change:
    """Return what stands for a change that is kept no more: the receiver learns that it has missed one."""
    identity = hashlib.sha256(b"lost" + number.to_bytes(8, "big")).digest()[:16]
    return Change(number, identity, "change.lost", 0, b"", "", "TOO_OLD", b"", ())


async def _post(url: httpx.URL, address: str, headers: dict[str, str], body: bytes) -> int:
    """Post to an address that was looked up, by the name in the URL; return the status, and read nothing else."""
    import httpx

    named = {"host": url.netloc.decode()}
    extensions: dict[str, Any] = {"sni_hostname": url.host}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS_MAX, follow_redirects=False) as client,
        client.stream(
            "POST", url.copy_with(host=address), headers=headers | named, content=body, extensions=extensions
        ) as answer,
    ):
        return answer.status_code
