"""The control API: every operation of the table over HTTP and JSON, on the node's unix socket (design.md §7).

How it works
    `POST /v1/NOUN/VERB` takes the arguments as a JSON object (none: no body) and answers with the result;
    an operation that only reads also answers GET with its arguments in the query. A refusal is a JSON object
    {code, message, field, theirs, exit} under the status that node/exits.py names. `/openapi.json` describes it all.
    Caller and node name the major version of the API in the header `maille-api`; another one is refused.

What it does not do
    No authentication on the socket: its mode (0600, in a directory of mode 0700) lets the owner alone in. On TCP
    node/guard.py stands before it. It binds nothing: node/daemon.py and node/listening.py serve it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, Final

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ledger.errors import LocalError, MailleError, RemoteError
from node.exits import REFUSED, STATUS, exit_of
from node.guard import BEARER, Guard, check_rank, permit
from node.openapi import API_VERSION, Refusal, describe
from node.operation import Operation, fields
from node.tokens import Token, Tokens

BODY_BYTES_MAX: Final = 64 * 2**20
"""Largest request, in bytes: a file of readings travels in one."""
VERSION_HEADER: Final = "maille-api"

_JSON: Final = "application/json"
_Endpoint = Callable[[Request], Awaitable[Response]]


READ_BODY_BYTES_MAX: Final = 1 * 2**20
"""Largest request of a token that may only read, in bytes."""


def make_guarded_app(
    node: Any,
    operations: Iterable[Operation],
    version: str,
    tokens: Tokens,
    hosts: frozenset[str],
    origins: frozenset[str],
    clock: Callable[[], int],
) -> Guard:
    """Return the ASGI application for TCP: every request needs a token. The rest: see `Guard`."""
    return Guard(make_app(node, operations, version, guarded=True), tokens, hosts, origins, clock, _refused)


def make_app(node: Any, operations: Iterable[Operation], version: str, *, guarded: bool = False) -> Starlette:
    """Return the ASGI application. `node`: handed to every handler. `version`: of the program.

    `guarded`: it stands behind a `Guard`, and answers nobody without a token.
    """
    rows = [row for row in operations if not row.local]
    document = msgspec.json.encode(describe(rows, version))

    async def openapi(_: Request) -> Response:
        return _response(document, 200)

    routes = [Route("/openapi.json", openapi, methods=["GET"])]
    if not guarded:
        from node.observing import routes as probes

        routes += probes(node)
    for row in rows:
        methods = ["GET", "POST"] if row.reads else ["POST"]
        routes.append(Route(row.path, _endpoint(node, row, guarded), methods=methods))
    return Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    told = "There is no such path" if status == 404 else f"This path takes no {request.method}"
    answer = _refused(LocalError("NO_SUCH_PATH", f"{told}; /openapi.json describes all."), status)
    answer.headers.update((error.headers if isinstance(error, HTTPException) else None) or {})
    return answer


def _endpoint(node: Any, row: Operation, guarded: bool) -> _Endpoint:
    decoder = msgspec.json.Decoder(row.args)

    async def answer(request: Request) -> Response:
        try:
            token: Token | None = request.scope[BEARER] if guarded else None
            _check_version(request)
            if token is not None:
                check_rank(token, row)
            most = READ_BODY_BYTES_MAX if token is not None and token.permission == "read" else BODY_BYTES_MAX
            query = request.method in ("GET", "HEAD")
            args = _from_query(row, request) if query else await _from_body(decoder, request, most)
            if token is not None:
                args = permit(token, row, args)
            return _response(msgspec.json.encode(await row.handler(node, args)), 200)
        except MailleError as error:
            return _refused(error, 403 if error.code == "NOT_PERMITTED" else None)
        except msgspec.ValidationError as error:
            return _refused(LocalError("USAGE", f"The arguments are not as they should be: {error}."))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refused(LocalError("USAGE", f"The body is not JSON: {error}."))
        except Exception:
            structlog.get_logger("api").exception("operation failed", operation=row.name)
            told = "The node failed at this; its log says more. It is a fault of the program, not of the request."
            return _refused(LocalError("INTERNAL", told), 500)

    return answer


def _check_version(request: Request) -> None:
    named = request.headers.get(VERSION_HEADER)
    if named is not None and named != str(API_VERSION):
        told = f"The command speaks version {named} of the control API, the node {API_VERSION}; use one release."
        raise LocalError("API_VERSION", told)


async def _from_body(decoder: msgspec.json.Decoder[Any], request: Request, most: int) -> Any:
    body = bytearray()
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            body += chunk
            if len(body) > most:
                raise LocalError("USAGE", f"A request has at most {most} bytes here; send less at once.")
    return decoder.decode(bytes(body) or b"{}")


def _from_query(row: Operation, request: Request) -> Any:
    values: dict[str, Any] = {}
    lists = {field.name for field in fields(row.args) if getattr(field.plain, "__origin__", None) is tuple}
    for name in request.query_params:
        found = request.query_params.getlist(name)
        if len(found) > 1 and name not in lists:
            raise LocalError("USAGE", "This argument is given more than once.", field=name)
        values[name] = found if name in lists else found[0]
    return msgspec.convert(values, row.args, strict=False)


def _refused(error: MailleError, status: int | None = None) -> Response:
    exit_code = exit_of(error.code)
    refusal = Refusal(error.code, error.message, error.field, isinstance(error, RemoteError), exit_code)
    return _response(msgspec.json.encode(refusal), status or STATUS.get(exit_code, STATUS[REFUSED]))


def _response(body: bytes, status: int) -> Response:
    headers = {VERSION_HEADER: str(API_VERSION), "cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(body, status, headers, _JSON)
