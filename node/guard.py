"""What stands before the control API on TCP: whose request it is, and whether it may do what it asks.

How it works
    `Guard` looks at the headers alone, before any body is read: the name by which we are asked (Host, against DNS
    rebinding), the page that asks (Origin, against a browser that is lured), then the bearer token. Whoever shows a
    wrong token too often is told to wait; a right one always passes. `permit` then holds an operation against the
    token: its permission, and the tenant or mesh it is for alone, which it sets in the arguments.

What it does not do
    It encrypts nothing (node/listening.py), and does not guard the unix socket, which lets the owner alone in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from ledger.errors import LocalError
from node.operation import Args, Operation, fields
from node.tokens import RANK, Token, Tokens

BEARER: Final = "maille.token"
"""Where the token of a request stands in its ASGI scope."""
TRIES_MAX: Final = 10
"""Wrong tokens from one address in TRIES_SECONDS; then it is told to wait."""
TRIES_SECONDS: Final = 60
ADDRESSES_MAX: Final = 1_024
CONCURRENT_MAX: Final = 64
"""Requests that are worked on at once; an answer may take minutes."""


class Guard:
    """The door of the control API on TCP: an ASGI application around another.

    `hosts`: names by which this node may be asked, without a port. `origins`: of pages that may ask. `refuse`: makes
    the answer of a refusal with its status. `clock`: unix milliseconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        hosts: frozenset[str],
        origins: frozenset[str],
        clock: Callable[[], int],
        refuse: Callable[[LocalError, int], ASGIApp],
    ) -> None:
        self._app, self._tokens, self._hosts, self._origins = app, tokens, hosts, origins
        self._clock, self._refuse = clock, refuse
        self._wrong: dict[str, tuple[int, int]] = {}  # address -> (minute, wrong tokens in it)
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on to the application."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close"})  # before it was accepted: 403
            return
        refusal = self._look(scope)
        if refusal is not None:
            await self._refuse(*refusal)(scope, receive, send)
            return
        self._busy += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._busy -= 1

    def _look(self, scope: Scope) -> tuple[LocalError, int] | None:
        """Return why a request does not pass, with its status; None: it does, and its token is in the scope."""
        headers = _headers(scope)
        if _host(headers.get(b"host", [])) not in self._hosts:
            told = "This node is not asked by that name; add it to `hosts` under [api] in config.toml."
            return LocalError("OTHER_HOST", told, field="host"), 421
        for origin in headers.get(b"origin", []):
            if origin.decode("latin-1") not in self._origins:
                told = "No page of that origin may ask this node; `origins` under [api] in config.toml names those."
                return LocalError("OTHER_ORIGIN", told, field="origin"), 403
        shown = headers.get(b"authorization", [])
        if not shown:
            return LocalError("TOKEN_MISSING", "Show a token (`maille token make`) as `Authorization: Bearer`."), 401
        token = self._bearer(shown)
        if token is None:
            return self._wrong_token(scope)
        if self._busy >= CONCURRENT_MAX:
            return LocalError("TEMPORARY", f"{CONCURRENT_MAX} requests are being worked on; ask again soon."), 503
        scope[BEARER] = token
        return None

    def _bearer(self, shown: list[bytes]) -> Token | None:
        scheme, _, value = shown[0].decode("latin-1").partition(" ")
        if len(shown) != 1 or scheme.lower() != "bearer":
            return None
        return self._tokens.bearer(value.strip(), self._clock() // 1_000)

    def _wrong_token(self, scope: Scope) -> tuple[LocalError, int]:
        address = (scope.get("client") or ("",))[0]
        span = self._clock() // (TRIES_SECONDS * 1_000)
        before, count = self._wrong.get(address, (span, 0))
        count = count + 1 if before == span else 1
        if address not in self._wrong and len(self._wrong) >= ADDRESSES_MAX:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[address] = (span, count)
        if count > TRIES_MAX:
            return LocalError("TOO_MANY_TRIES", f"Too many wrong tokens; wait {TRIES_SECONDS} s."), 429
        structlog.get_logger("api").warning("wrong token", address=address)
        told = "This token is unknown here, was revoked, or has expired; make another with `maille token make`."
        return LocalError("TOKEN_WRONG", told), 401


def permit(token: Token, row: Operation, args: Args) -> Args:
    """Return the arguments with which a bearer may run an operation. Raises LocalError NOT_PERMITTED.

    A token for one tenant or mesh runs those operations alone that can be held to it, and is held to it there.
    Names of files of the node's machine are for the permission admin.
    """
    check_rank(token, row)
    for field in fields(row.args):
        if "path" in field.marks and getattr(args, field.name) and token.permission != "admin":
            told = "A file of the node's machine is named by a token with the permission 'admin' alone."
            raise LocalError("NOT_PERMITTED", told, field=field.name)
    given: dict[str, Any] = {}
    for name, only in (("as_tenant", token.tenant), ("mesh", token.mesh)):
        if not only:
            continue
        if name not in row.args.__struct_fields__:
            told = f"This token is for one {name.removeprefix('as_')} alone, and `{row.name}` is not."
            raise LocalError("NOT_PERMITTED", told)
        if getattr(args, name) not in ("", only):
            told = f"This token is for {only!r} alone; leave `{name}` out."
            raise LocalError("NOT_PERMITTED", told, field=name)
        given[name] = only
    return msgspec.structs.replace(args, **given) if given else args


def check_rank(token: Token, row: Operation) -> None:
    """Hold an operation against a token's permission alone. Raises LocalError NOT_PERMITTED."""
    if RANK[token.permission] < RANK[row.permission]:
        told = f"`{row.name}` needs the permission {row.permission!r}; this token has {token.permission!r}."
        raise LocalError("NOT_PERMITTED", told)


def _headers(scope: Scope) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.lower(), []).append(value)
    return found


def _host(values: list[bytes]) -> str:
    """Return the name in the one Host header, without its port; "" where there is none, or several."""
    if len(values) != 1:
        return ""
    text = values[0].decode("latin-1").strip().lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0]
