"""Coming in and going out of the operator pages: with a token, as programs show it to the control API.

How it works
    The token is typed, or pasted, into a form; the session then knows its id alone. Wrong tokens are counted by
    address. Logging out ends the session and its live streams.

What it does not do
    It makes no token: `maille token make` does, on the machine of the node.
"""

from __future__ import annotations

from typing import Final

import structlog
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ledger.errors import LocalError
from node.console.desk import Look, opens
from node.console.live import Stream
from node.pages.limits import LOGIN_ADDRESS
from node.pages.visitor import local_path

NUMBER_DIGITS_MAX: Final = 15


async def login(look: Look) -> Response:
    """Show the log-in."""
    following = local_path(look.request.query_params.get("next", "/"))
    if look.token is not None:
        return look.go(following)
    return look.page("console_login.html", following=following, failed="")


async def log_in(look: Look) -> Response:
    """Log in with a token. Raises LocalError TOO_OFTEN."""
    if not look.may(LOGIN_ADDRESS):
        raise LocalError("TOO_OFTEN", "too many tries from one address")
    following = local_path(look.form.one("following"))
    token = look.node.tokens.bearer(look.form.one("token_shown").strip(), look.now)
    if token is None or not opens(token):
        failed = "wrong" if token is None else "bound"
        structlog.get_logger("console").warning("wrong token", address=look.address)
        return look.page("console_login.html", 422, following=following, failed=failed)
    look.log_in(token.id)
    structlog.get_logger("console").info("operator logged in", token=token.id)
    return look.go(following)


async def log_out(look: Look) -> Response:
    """Log out; live streams of the session end."""
    look.desk.live.end(look.cookie)
    look.log_out()
    look.token = None
    return look.page("console_goodbye.html")


async def accessibility(look: Look) -> Response:
    """Show the accessibility statement."""
    return look.page("console_accessibility.html")


async def live(look: Look) -> Response:
    """Open a stream of events."""
    told = look.request.headers.get("last-event-id", "")
    after = int(told) if told.isdecimal() and len(told) <= NUMBER_DIGITS_MAX else 0
    stream = look.desk.live.stream(look.cookie, look.lang, after)
    return PlainTextResponse("Too many pages are live.\n", 503) if stream is None else _Answer(stream)


class _Answer(Response):
    """A stream where an answer is expected."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._stream(scope, receive, send)
