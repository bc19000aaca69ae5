"""What stands before every page, in plain ASGI: hosts, methods, sizes, and the headers that each answer carries.

How it works
    A request for another host than the settings name is refused, so that no other name can be made to serve our
    cookies. Bodies that say that they are too large are refused unread. Each answer gets a content policy that allows
    our own files and nothing inline, and headers against framing, sniffing, and leaks of addresses.

What it does not do
    It knows no person and no form (`application`, `forms`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.pages.forms import BODY_BYTES_MAX
from node.pages.settings import Served

METHODS: Final = ("GET", "HEAD", "POST")
PATH_BYTES_MAX: Final = 2_000
QUERY_BYTES_MAX: Final = 4_000
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()"),
    ("x-robots-tag", "noindex, nofollow"),
)
HSTS: Final = ("strict-transport-security", "max-age=63072000")


class Guard:
    """See the module. `uploads`: paths that take larger bodies, with how many bytes."""

    def __init__(self, app: ASGIApp, settings: Served, uploads: Mapping[str, int] = MappingProxyType({})) -> None:
        self._app, self._host, self._uploads = app, settings.host, uploads
        headers = [*HEADERS, *([HSTS] if settings.secure else [])]
        self._headers = [(name.encode(), value.encode()) for name, value in headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                added = [*self._headers, *([] if b"cache-control" in names else [(b"cache-control", b"no-store")])]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await _refuse(with_headers, *refused)
            return
        await self._app(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if scope["method"] not in METHODS:
            return 405, "This method is not used here."
        if len(scope.get("raw_path") or scope["path"].encode()) > PATH_BYTES_MAX:
            return 414, "The address is too long."
        if len(scope["query_string"]) > QUERY_BYTES_MAX:
            return 414, "The address is too long."
        if len(headers.getlist("host")) > 1 or headers.get("host", "").lower() != self._host:
            return 421, "This host is not served here."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._uploads.get(scope["path"], BODY_BYTES_MAX):
            return 413, "The form is too large."
        return None


async def _refuse(send: Send, status: int, told: str) -> None:
    body = f"{told}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def client_address(scope: Scope, trusted: Sequence[str]) -> str:
    """Return who really asks: the peer, or behind trusted proxies the last address that is none of theirs."""
    peer = (scope.get("client") or ("", 0))[0]
    networks = [ip_network(one, strict=False) for one in trusted]

    def is_trusted(address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in networks)

    if not is_trusted(peer):
        return str(peer)
    told = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
    for address in reversed([one.strip() for one in told.split(",") if one.strip()]):
        if not is_trusted(address):
            return address
    return str(peer)
