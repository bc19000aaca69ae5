"""`Client` waits for each answer; `AsyncClient` is awaited, under trio or asyncio. Both have the same calls.

How it works
    Each call of node/client/calls.py becomes a method of both classes, with its signature. A client drives the call's
    generator: it carries out an exchange through httpx, or waits, and hands back what came. Over the unix socket each
    call has a connection of its own; over TCP connections are kept for a moment.

What it does not do
    It follows no redirect and uses no proxy of the environment.
"""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from ledger.errors import MailleError
from node.client import calls
from node.client.calls import Flow, Pause, Settings
from node.client.exchange import ANSWER_SECONDS_MAX, Call, find_place, read_answer, too_late, unreachable
from node.operation import Args, Operation

if TYPE_CHECKING:
    import httpx

    from node.ops.changes import ConsentChange

CONNECT_SECONDS_MAX: Final = 10
KEPT_SECONDS: Final = 2
"""How long an idle connection is kept: less than the node keeps it, so that no request meets a closing one."""

P = ParamSpec("P")
T = TypeVar("T")


class _Peer(Settings):
    """What both clients have: where the node is, how long to wait, and which mesh is spoken of."""

    def __init__(
        self,
        at: Path | str | None = None,
        *,
        token: str | None = None,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        timeout: float = ANSWER_SECONDS_MAX,
        mesh: str = "",
        as_tenant: str = "",
    ) -> None:
        """`at`: a control socket's path or https://host:port; by default MAILLE_URL, else this machine's node.

        `token`, `token_file`: for TCP (by default the file that MAILLE_TOKEN_FILE names). `ca_file`: of the authority
        that signed the node's certificate, where it is no public one. `timeout`: seconds an answer may take.
        `mesh`, `as_tenant`: given along with every call. Raises LocalError USAGE, TLS_NEEDED, TOKEN_MISSING.
        """
        super().__init__(mesh, as_tenant)
        self._place = find_place(at, token, token_file)
        self._timeout = timeout
        self._ca_file = ca_file

    def _options(self) -> dict[str, Any]:
        import httpx

        kept = 0 if self._place.socket is not None else 4
        transport: dict[str, Any] = {
            "limits": httpx.Limits(max_keepalive_connections=kept, keepalive_expiry=KEPT_SECONDS),
            "trust_env": False,
            "uds": str(self._place.socket) if self._place.socket is not None else None,
            "verify": self._trust(),
        }
        wait = httpx.Timeout(self._timeout, connect=min(self._timeout, CONNECT_SECONDS_MAX))
        return {"transport": transport, "timeout": wait, "base_url": self._place.url, "headers": self._place.headers}

    def _trust(self) -> Any:
        if not self._place.url.startswith("https:"):
            return False  # there is no certificate to look at
        import ssl

        return ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file is not None else None)

    def _error(self, error: Exception) -> MailleError:
        import httpx

        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return too_late(self._timeout)
        return unreachable(self._place, error)


def _waits(flow: Callable[Concatenate[Settings, P], Flow[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(flow)
    def method(self: Client, /, *args: P.args, **named: P.kwargs) -> T:
        return self._run(flow(self, *args, **named))

    return method


def _awaited(
    flow: Callable[Concatenate[Settings, P], Flow[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    @functools.wraps(flow)
    async def method(self: AsyncClient, /, *args: P.args, **named: P.kwargs) -> T:
        return await self._run(flow(self, *args, **named))

    return method


class Client(_Peer):
    """Asks a node and waits for each answer. A context manager; without it call `close` when TCP is used."""

    _http: httpx.Client | None = None

    status = _waits(calls.status)
    consents = _waits(calls.consents)
    consent = _waits(calls.consent)
    requests = _waits(calls.requests)
    request_consent = _waits(calls.request_consent)
    wait_for = _waits(calls.wait_for)
    withdraw = _waits(calls.withdraw)
    revoke = _waits(calls.revoke)
    import_readings = _waits(calls.import_readings)
    series = _waits(calls.series)
    readings = _waits(calls.readings)
    send = _waits(calls.send)
    ask = _waits(calls.ask)
    received = _waits(calls.received)
    fetch = _waits(calls.fetch)
    receipts = _waits(calls.receipts)
    next_changes = _waits(calls.next_changes)

    def changes(self, after: int | None = None) -> Iterator[ConsentChange]:
        """Yield what happens to consents and data from now on, for ever; `after`: from behind that change on."""
        place = self.next_changes(None, wait="").last if after is None else after
        while True:
            found = self.next_changes(place)
            yield from found.changes
            place = found.last

    def call(self, operation: Operation, args: Args) -> Any:
        """Run any operation. Raises LocalError NODE_UNREACHABLE, TEMPORARY, and whatever the node refuses with."""
        import httpx

        if self._http is None:
            options = self._options()
            transport = httpx.HTTPTransport(**options.pop("transport"))
            self._http = httpx.Client(transport=transport, trust_env=False, **options)
        call = Call(operation, args)
        try:
            if self._place.socket is not None:
                _knock(self._place.socket)
            answer = self._http.post(operation.path, content=call.body)
        except (httpx.HTTPError, OSError) as error:
            raise self._error(error) from None
        return read_answer(call, answer.status_code, answer.content)

    def _run(self, flow: Flow[T]) -> T:
        answer: Any = None
        while True:
            try:
                step = flow.throw(answer) if isinstance(answer, BaseException) else flow.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            try:
                answer = self._step(step)
            except MailleError as error:
                answer = error

    def _step(self, step: Call | Pause) -> Any:
        match step:
            case Call(operation, args):
                return self.call(operation, args)
            case Pause(seconds):
                time.sleep(seconds)
                return None

    def close(self) -> None:
        """Close what connections are kept."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def __enter__(self) -> Client:
        """Use it for a with-block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what connections are kept."""
        self.close()


def _knock(path: Path) -> None:
    """Connect to a socket and close again: where nobody answers httpcore 1.0 would leave its own socket open."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.connect(str(path))


class AsyncClient(_Peer):
    """Asks a node and is awaited, under trio or asyncio: an async context manager."""

    _http: httpx.AsyncClient | None = None

    status = _awaited(calls.status)
    consents = _awaited(calls.consents)
    consent = _awaited(calls.consent)
    requests = _awaited(calls.requests)
    request_consent = _awaited(calls.request_consent)
    wait_for = _awaited(calls.wait_for)
    withdraw = _awaited(calls.withdraw)
    revoke = _awaited(calls.revoke)
    import_readings = _awaited(calls.import_readings)
    series = _awaited(calls.series)
    readings = _awaited(calls.readings)
    send = _awaited(calls.send)
    ask = _awaited(calls.ask)
    received = _awaited(calls.received)
    fetch = _awaited(calls.fetch)
    receipts = _awaited(calls.receipts)
    next_changes = _awaited(calls.next_changes)

    def changes(self, after: int | None = None) -> AsyncIterator[ConsentChange]:
        """Yield what happens to consents and data from now on, for ever; `after`: from behind that change on."""
        return _Changes(self, after)

    async def call(self, operation: Operation, args: Args) -> Any:
        """Run any operation. Raises LocalError NODE_UNREACHABLE, TEMPORARY, and whatever the node refuses with."""
        import httpx

        if self._http is None:
            options = self._options()
            transport = httpx.AsyncHTTPTransport(**options.pop("transport"))
            self._http = httpx.AsyncClient(transport=transport, trust_env=False, **options)
        call = Call(operation, args)
        try:
            answer = await self._http.post(operation.path, content=call.body)
        except httpx.HTTPError as error:
            raise self._error(error) from None
        return read_answer(call, answer.status_code, answer.content)

    async def _run(self, flow: Flow[T]) -> T:
        answer: Any = None
        while True:
            try:
                step = flow.throw(answer) if isinstance(answer, BaseException) else flow.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            try:
                answer = await self._step(step)
            except MailleError as error:
                answer = error

    async def _step(self, step: Call | Pause) -> Any:
        import anyio

        match step:
            case Call(operation, args):
                return await self.call(operation, args)
            case Pause(seconds):
                await anyio.sleep(seconds)
                return None

    async def aclose(self) -> None:
        """Close what connections are kept."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def __aenter__(self) -> AsyncClient:
        """Use it for an async with-block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what connections are kept."""
        await self.aclose()


class _Changes(AsyncIterator["ConsentChange"]):
    # No async generator: one that is left in the middle would have to be closed by whoever loops over it.
    def __init__(self, client: AsyncClient, after: int | None) -> None:
        self._client, self._place = client, after
        self._found: list[ConsentChange] = []

    async def __anext__(self) -> ConsentChange:
        if self._place is None:
            self._place = (await self._client.next_changes(None, wait="")).last
        while not self._found:
            answer = await self._client.next_changes(self._place)
            self._found, self._place = list(answer.changes), answer.last
        return self._found.pop(0)
