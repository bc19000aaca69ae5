"""The client, blocking and under both event loops, over the unix socket and TCP; and what it makes of bad answers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from ledger.errors import LocalError, MailleError, RemoteError
from node.client import AsyncClient, Client
from node.client.exchange import Call, find_place, read_answer
from node.operation import Nothing
from node.ops.node import node_status
from simulations.sandbox import Sandbox, sandbox


@pytest.fixture(scope="module")
def mesh() -> Iterator[Sandbox]:
    """Run two nodes, each also on TCP."""
    with sandbox("operator", "adviser", api=True) as running:
        yield running


@pytest.fixture(scope="module")
def consent(mesh: Sandbox) -> str:
    """Give a consent from the one to the other."""
    point = mesh.meter("operator", seed=3, days=5)
    anna = mesh.person("anna", at="operator")
    made = anna.grant(holder="operator", recipient="adviser", point=point)
    mesh.client("adviser").wait_for(made)
    return made


async def play(mesh: Sandbox, consent: str) -> list[Any]:
    """Use every kind of call under whichever loop runs."""
    async with AsyncClient(mesh.socket("adviser")) as node:
        found: list[Any] = [(await node.status()).node.name]
        found.append([line.id for line in await node.consents(state="active")])
        found.append((await node.consent(consent)).line.purpose)
        (series,) = await node.fetch(consent)
        found.append(len(series))
        found.append([row.role for row in await node.receipts(consent=consent)][:1])
        async for change in node.changes(0):
            found.append(change.kind)
            break
        with pytest.raises(LocalError) as caught:
            await node.ask(holder="operator", point="prm:99999999999999", kind="daily")
        return [*found, caught.value.code]


@pytest.mark.covers("R53", "R151")
def test_trio_asyncio_and_blocking_are_the_same(mesh: Sandbox, consent: str) -> None:
    wanted = ["adviser", [consent], "advice on saving energy", 5, ["received"], "consent.began", "OTHER_POINT"]
    assert asyncio.run(play(mesh, consent)) == wanted
    assert trio.run(play, mesh, consent) == wanted
    with Client(mesh.socket("adviser")) as node:
        found: list[Any] = [node.status().node.name, [line.id for line in node.consents(state="active")]]
        found += [node.consent(consent).line.purpose, len(node.fetch(consent)[0])]
        found.append([row.role for row in node.receipts(consent=consent)][:1])
        found.append(next(iter(node.changes(0))).kind)
        with pytest.raises(LocalError) as caught:
            node.ask(holder="operator", point="prm:99999999999999", kind="daily")
        assert [*found, caught.value.code] == wanted


def test_both_clients_have_the_same_calls_with_the_same_signatures() -> None:
    calls = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    assert calls == {name for name in vars(AsyncClient) if not name.startswith("_")} - {"aclose"}
    assert len(calls) >= 12
    for name in calls:
        assert getattr(Client, name).__doc__
        one, other = inspect.signature(getattr(Client, name)), inspect.signature(getattr(AsyncClient, name))
        assert list(one.parameters) == list(other.parameters), name


@pytest.mark.covers("R53", "R152")
def test_what_the_holder_holds_is_read_and_sent(mesh: Sandbox, consent: str) -> None:
    with mesh.client("operator") as node:
        (line,) = [line for line in node.series() if line.point == "prm:00000000000003"]
        assert (line.count, line.fictitious) == (5, True)
        assert len(node.readings(line.point)[0]) == 5
        assert node.send(consent).records == 5
        with pytest.raises(RemoteError):
            node.import_readings(b"not a file of readings")


def test_over_tcp_with_a_token(mesh: Sandbox, consent: str) -> None:
    with Client(mesh.url("adviser"), token=mesh.token("adviser", "operate")) as node:
        assert len(node.fetch(consent)[0]) == 5
    with Client(mesh.url("adviser"), token=mesh.token("adviser", "read")) as node:
        assert node.received(consent=consent)
        with pytest.raises(LocalError) as caught:
            node.fetch(consent)
        assert caught.value.code == "NOT_PERMITTED"
    with (
        Client(mesh.url("adviser"), token="maille_000000000000_" + "A" * 43) as node,
        pytest.raises(LocalError) as caught,
    ):
        node.status()
    assert caught.value.code == "TOKEN_WRONG"


def test_a_token_from_a_file_of_the_environment(mesh: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(mesh.token("adviser", "read") + "\n")
    monkeypatch.setenv("MAILLE_URL", mesh.url("adviser"))
    monkeypatch.setenv("MAILLE_TOKEN_FILE", str(file))
    file.chmod(0o644)
    with pytest.raises(LocalError, match="Others can read"):
        Client()
    file.chmod(0o600)
    with Client() as node:
        assert node.status().node.name == "adviser"


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ("http://node.example:8480", "TLS_NEEDED"),
        ("http://127.0.0.1.example:8480", "TLS_NEEDED"),
        ("ftp://node.example", "USAGE"),
        ("https://node.example/path", "USAGE"),
        ("https://", "USAGE"),
    ],
)
def test_addresses_that_are_refused(at: str, code: str) -> None:
    with pytest.raises(LocalError) as caught:
        find_place(at, "token", None)
    assert caught.value.code == code


def test_a_token_is_needed_for_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILLE_TOKEN_FILE", raising=False)
    with pytest.raises(LocalError) as caught:
        Client("https://node.example:8480")
    assert caught.value.code == "TOKEN_MISSING"


def test_a_node_that_is_not_there(tmp_path: Path) -> None:
    async def ask() -> None:
        async with AsyncClient(tmp_path / "control.sock") as node:
            await node.status()

    for run in (lambda: Client(tmp_path / "control.sock").status(), lambda: asyncio.run(ask()), lambda: trio.run(ask)):
        with pytest.raises(LocalError) as caught:
            run()
        assert caught.value.code == "NODE_UNREACHABLE"
        assert "maille node init" in caught.value.message
        (tmp_path / "config.toml").touch()
        with pytest.raises(LocalError, match="maille node run"):
            run()
        (tmp_path / "config.toml").unlink()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"{", "BAD_ANSWER"),
        (200, b'{"other": 1}', "BAD_ANSWER"),
        (500, b"<html>", "BAD_ANSWER"),
        (409, b'{"code": "WITHDRAWN", "message": "m", "theirs": true}', "WITHDRAWN"),
    ],
)
def test_answers_that_are_no_result(status: int, body: bytes, code: str) -> None:
    with pytest.raises(MailleError) as caught:
        read_answer(Call(node_status, Nothing()), status, body)
    assert caught.value.code == code


def test_a_consent_without_readings_yields_none_until_it_has_ended(mesh: Sandbox) -> None:
    anna = mesh.person("berta", at="operator")
    made = anna.grant(holder="operator", recipient="adviser", point="prm:00000000000018")
    with mesh.client("adviser") as node:
        node.wait_for(made)
        assert node.fetch(made) == ()
        with pytest.raises(LocalError, match="no readings of this kind"):  # a program that asks itself is told why
            node.ask(consent=made)
        anna.withdraw(made)
        with pytest.raises(LocalError) as caught:
            node.fetch(made)
        assert caught.value.code == "WITHDRAWN"
