"""The control API: what it answers, and what it refuses, without a node behind it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import httpx
import pytest

from ledger.errors import LocalError, RemoteError
from node.api import BODY_BYTES_MAX, make_app
from node.operation import Args, Operation, Result, operation, said


class EchoArgs(Args, frozen=True):
    """What to say."""

    word: Annotated[str, said("The word.", positional=True)]
    times: Annotated[int, said("How often.")] = 1
    marks: Annotated[tuple[str, ...], said("What to put behind.")] = ()


class Echoed(Result, frozen=True):
    """What was said."""

    text: Annotated[str, said("The words.")]


@operation("echo", "say", permission="read")
async def echo_say(node: Any, args: EchoArgs) -> Echoed:
    """Say a word a few times."""
    match args.word:
        case "refuse":
            raise LocalError("NOT_FOUND", "there is no such word", field="word")
        case "theirs":
            raise RemoteError("BAD_TICKET", "the ticket is cut")
        case "break":
            raise ZeroDivisionError
    return Echoed(node + args.word * args.times + "".join(args.marks))


@operation("echo", "shout", permission="operate")
async def echo_shout(node: Any, args: EchoArgs) -> Echoed:
    """Shout a word."""
    return Echoed(node + args.word.upper())


TABLE: tuple[Operation, ...] = (echo_say, echo_shout)


async def ask(method: str, path: str, **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app=make_app("> ", TABLE, "9.9"))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        return await client.request(method, path, **more)


@pytest.mark.covers("R53")
async def test_an_operation_answers() -> None:
    answer = await ask("POST", "/v1/echo/say", json={"word": "a", "times": 3})
    assert (answer.status_code, answer.json()) == (200, {"text": "> aaa"})
    assert answer.headers["maille-api"] == "1"
    assert answer.headers["cache-control"] == "no-store"


async def test_one_that_reads_answers_a_query() -> None:
    answer = await ask("GET", "/v1/echo/say", params=[("word", "a"), ("times", "2"), ("marks", "!"), ("marks", "?")])
    assert answer.json() == {"text": "> aa!?"}


async def test_one_that_changes_something_answers_no_query() -> None:
    assert (await ask("GET", "/v1/echo/shout", params={"word": "a"})).status_code == 405


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b"{}", "word"),
        (b'{"word": 1}', "word"),
        (b'{"word": "a", "times": "2"}', "times"),
        (b'{"word": "a", "tmies": 2}', "tmies"),
        (b'{"word": "\xff"}', "not JSON"),
        (b"", "word"),
    ],
)
async def test_wrong_arguments_are_refused(body: bytes, told: str) -> None:
    answer = await ask("POST", "/v1/echo/say", content=body)
    refusal = answer.json()
    assert (answer.status_code, refusal["code"], refusal["exit"]) == (422, "USAGE", 2)
    assert told in refusal["message"]


async def test_a_query_gives_an_argument_once() -> None:
    answer = await ask("GET", "/v1/echo/say", params=[("word", "a"), ("word", "b")])
    assert (answer.status_code, answer.json()["field"]) == (422, "word")


async def test_a_body_without_end_is_refused() -> None:
    read, sent = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b" " * 2**20, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/echo/say", "headers": [], "query_string": b""}
    await make_app("> ", TABLE, "9.9")(scope, receive, send)
    assert sent[0]["status"] == 422
    assert read == BODY_BYTES_MAX // 2**20 + 1


async def test_a_refusal_keeps_its_family_code_and_field() -> None:
    answer = await ask("POST", "/v1/echo/say", json={"word": "refuse"})
    assert answer.status_code == 404
    assert answer.json() == {
        "code": "NOT_FOUND",
        "message": "there is no such word",
        "field": "word",
        "theirs": False,
        "exit": 5,
    }
    theirs = await ask("POST", "/v1/echo/say", json={"word": "theirs"})
    assert (theirs.status_code, theirs.json()["theirs"], theirs.json()["exit"]) == (409, True, 1)


async def test_a_fault_of_the_program_is_told_without_its_innards(capsys: pytest.CaptureFixture[str]) -> None:
    answer = await ask("POST", "/v1/echo/say", json={"word": "break"})
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "ZeroDivision" not in answer.text
    assert "ZeroDivisionError" in "".join(capsys.readouterr())


async def test_another_version_is_refused() -> None:
    answer = await ask("POST", "/v1/echo/say", json={"word": "a"}, headers={"maille-api": "2"})
    assert answer.json()["code"] == "API_VERSION"


async def test_the_description_matches() -> None:
    document = (await ask("GET", "/openapi.json")).json()
    assert document["info"]["version"] == "9.9"
    assert set(document["paths"]) == {"/v1/echo/say", "/v1/echo/shout"}
    names = [parameter["name"] for parameter in document["paths"]["/v1/echo/say"]["get"]["parameters"]]
    assert names == ["word", "times", "marks"]
    assert json.dumps(document)


async def test_other_paths_are_not_there() -> None:
    assert (await ask("POST", "/v1/echo/vanish")).status_code == 404
