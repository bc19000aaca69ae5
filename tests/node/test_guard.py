"""The control API on TCP: who gets in, with what, by which name; tokens on disk; settings that would open it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
import pytest

from ledger.errors import LocalError
from node.api import READ_BODY_BYTES_MAX, make_guarded_app
from node.client import Client
from node.config import Api
from node.guard import TRIES_MAX, TRIES_SECONDS, permit
from node.listening import check, hosts_of
from node.operation import Args, Nothing, Result, operation, said
from node.operations import OPERATIONS
from node.tokens import RANK, TOKENS_MAX, Token, Tokens
from simulations.sandbox import Sandbox, sandbox

NOW = 1_800_000_000
HOST = {"host": "127.0.0.1:8480"}


class ScopedArgs(Args, frozen=True):
    """For whom."""

    as_tenant: str = ""
    mesh: str = ""


class Told(Result, frozen=True):
    """What was told."""

    text: str


@operation("thing", "look", permission="read")
async def thing_look(node: Any, args: ScopedArgs) -> Told:
    """Look at a thing."""
    return Told(f"{node} {args.as_tenant} {args.mesh}")


@operation("thing", "move", permission="operate")
async def thing_move(node: Any, args: Nothing) -> Told:
    """Move a thing."""
    return Told(node)


@operation("thing", "own", permission="admin")
async def thing_own(node: Any, args: Nothing) -> Told:
    """Own a thing."""
    return Told(node)


class FileArgs(Args, frozen=True):
    """Which file."""

    file: Annotated[str, said("A file of the machine.", path=True)] = ""


@operation("thing", "hash", permission="operate")
async def thing_hash(node: Any, args: FileArgs) -> Told:
    """Hash a file."""
    return Told(args.file)


class Door:
    """The application behind a guard, with tokens in a directory and a clock that is set."""

    def __init__(self, path: Path) -> None:
        self.tokens = Tokens(path / "tokens.json", os.urandom)
        self.now = NOW
        table = (thing_look, thing_move, thing_own, thing_hash)
        hosts, origins = hosts_of(Api("127.0.0.1:8480", hosts=("node.example",))), frozenset({"https://app.example"})
        self.app = make_guarded_app("n", table, "1", self.tokens, hosts, origins, lambda: self.now * 1_000)

    def token(self, permission: Any = "admin", **more: Any) -> str:
        return self.tokens.make("t", permission, self.now, 30, **more)[1]

    async def ask(self, verb: str, token: str | None, headers: dict[str, str] = HOST, **more: Any) -> httpx.Response:
        given = headers | ({"authorization": f"Bearer {token}"} if token is not None else {})
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480") as client:
            return await client.post(f"/v1/thing/{verb}", headers=given, **more)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    """Make the application."""
    return Door(tmp_path)


@pytest.mark.covers("R10")
async def test_permissions(door: Door) -> None:
    for permission, rank in RANK.items():
        token = door.token(permission)
        for verb, needed in (("look", 0), ("move", 1), ("own", 2)):
            answer = await door.ask(verb, token)
            assert answer.status_code == (200 if rank >= needed else 403), (permission, verb)
            assert rank >= needed or answer.json()["code"] == "NOT_PERMITTED"


async def test_no_token_no_answer(door: Door) -> None:
    good = door.token()
    for shown in (
        None,
        "",
        good[:-1],
        good + "A",
        good.replace("maille", "Maille"),
        "maille_" + good[7:19] + "_" + "A" * 43,
    ):
        answer = await door.ask("look", shown)
        assert answer.status_code == 401, shown
        assert answer.json()["code"] in ("TOKEN_MISSING", "TOKEN_WRONG")
    twice = [("host", "127.0.0.1"), ("authorization", f"Bearer {good}"), ("authorization", f"Bearer {good}")]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=door.app), base_url="http://127.0.0.1") as client:
        assert (await client.post("/v1/thing/look", headers=twice)).status_code == 401
        assert (await client.get("/openapi.json")).status_code == 401
        assert (await client.get("/openapi.json", headers={"authorization": f"Bearer {good}"})).status_code == 200
    assert (await door.ask("look", good)).status_code == 200


async def test_revoked_and_expired_tokens(door: Door) -> None:
    token = door.token()
    door.now += 30 * 86_400 - 1
    assert (await door.ask("look", token)).status_code == 200
    door.now += 1
    assert (await door.ask("look", token)).status_code == 401
    other = door.token()
    door.tokens.revoke(other.split("_")[1])
    assert (await door.ask("look", other)).status_code == 401
    with pytest.raises(LocalError, match="no token"):
        door.tokens.revoke("000000000000")


async def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(door: Door) -> None:
    good = door.token()
    answers = [(await door.ask("look", "wrong")).status_code for _ in range(TRIES_MAX + 3)]
    assert answers == [401] * TRIES_MAX + [429] * 3
    assert (await door.ask("look", good)).status_code == 200
    door.now += TRIES_SECONDS
    assert (await door.ask("look", "wrong")).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:1", 200),
        ("[::1]:8480", 200),
        ("NODE.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
async def test_the_name_by_which_it_is_asked(door: Door, host: str, status: int) -> None:
    assert (await door.ask("look", door.token(), {"host": host})).status_code == status


async def test_pages_of_other_origins_may_not_ask(door: Door) -> None:
    token = door.token()
    for origin, status in (("https://app.example", 200), ("https://evil.example", 403), ("null", 403)):
        assert (await door.ask("look", token, HOST | {"origin": origin})).status_code == status


async def test_scopes_are_set_and_held(door: Door) -> None:
    scoped = door.token("admin", tenant="shop", mesh="m")
    assert (await door.ask("look", scoped)).json()["text"] == "n shop m"
    assert (await door.ask("look", scoped, json={"as_tenant": "shop"})).json()["text"] == "n shop m"
    for body in ({"as_tenant": "other"}, {"mesh": "other"}):
        assert (await door.ask("look", scoped, json=body)).status_code == 403
    for verb in ("move", "own"):
        assert (await door.ask(verb, scoped)).json()["code"] == "NOT_PERMITTED"


async def test_a_reader_sends_no_large_body(door: Door) -> None:
    chunks = 0

    async def receive() -> dict[str, Any]:
        nonlocal chunks
        chunks += 1
        more = chunks <= READ_BODY_BYTES_MAX // 2**16
        return {"type": "http.request", "body": b" " * 2**16 if more else b"{}", "more_body": more}

    for permission, status in (("read", 422), ("operate", 200)):
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        chunks = 0
        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {door.token(permission)}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/thing/look", "headers": headers, "query_string": b""}
        await door.app(scope, receive, send)
        assert sent[0]["status"] == status


@pytest.mark.covers("R10")
def test_a_token_for_a_tenant_runs_what_is_held_to_it_alone() -> None:
    token = Token("1", "t", "", "admin", 0, 1, tenant="shop")
    free = []
    for row in OPERATIONS:
        if row.local or "as_tenant" not in row.args.__struct_fields__:
            continue
        given = {f.name: "x" for f in msgspec.structs.fields(row.args) if f.required}
        try:
            args = row.args(**given)
        except TypeError:
            continue
        free.append(row.name)
        assert permit(token, row, args).as_tenant == "shop"  # type: ignore[attr-defined]
    assert {"data request", "data export", "changes list", "webhook add"} <= set(free)
    (make,) = [row for row in OPERATIONS if row.name == "token make"]
    with pytest.raises(LocalError) as caught:
        permit(token, make, make.args(name="x"))
    assert caught.value.code == "NOT_PERMITTED"


async def test_files_of_the_machine_are_named_by_its_owner_alone(door: Door) -> None:
    assert (await door.ask("hash", door.token("operate"))).status_code == 200
    answer = await door.ask("hash", door.token("operate"), json={"file": "/etc/hostname"})
    assert (answer.status_code, answer.json()["field"]) == (403, "file")
    assert (await door.ask("hash", door.token("admin"), json={"file": "/etc/hostname"})).status_code == 200


def test_the_file_holds_no_secret_and_is_ours_alone(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json", os.urandom)
    row, shown = tokens.make("t", "read", NOW, 1)
    file = tmp_path / "tokens.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert shown.split("_", 2)[2] not in file.read_text()
    assert Tokens(file, os.urandom).bearer(shown, NOW) == row
    file.chmod(0o640)
    with pytest.raises(LocalError) as caught:
        Tokens(file, os.urandom).bearer(shown, NOW)
    assert caught.value.code == "SECRET_MODE"
    file.chmod(0o600)
    file.write_text("{")
    with pytest.raises(LocalError) as caught:
        Tokens(file, os.urandom).listing()
    assert caught.value.code == "TOKENS_DAMAGED"


def test_tokens_are_bounded_and_expired_ones_make_room(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json", os.urandom)
    rows = [tokens.make("t", "read", NOW, 1)[0] for _ in range(4)]
    tokens._held = {str(i): row for i in range(TOKENS_MAX) for row in rows[:1]}
    with pytest.raises(LocalError) as caught:
        tokens.make("t", "read", NOW, 1)
    assert caught.value.code == "TOO_MANY_TOKENS"
    tokens.make("t", "read", NOW + 86_400, 1)
    assert len(tokens.listing()) == 1


@pytest.mark.parametrize(
    ("api", "code", "field"),
    [
        (Api("0.0.0.0:8480"), "TLS_NEEDED", "listen"),
        (Api("192.168.1.2:8480"), "TLS_NEEDED", "listen"),
        (Api("node.example:8480"), "TLS_NEEDED", "listen"),
        (Api("[::]:8480"), "TLS_NEEDED", "listen"),
        (Api("127.0.0.1:8480", certificate="cert.pem"), "CONFIG_INVALID", "key"),
        (Api("127.0.0.1:8480", certificate="cert.pem", key="absent.pem"), "CONFIG_INVALID", "key"),
        (Api("0.0.0.0:8480", certificate="cert.pem", key="key.pem"), "CONFIG_INVALID", "hosts"),
        (Api("127.0.0.1:8480", certificate="cert.pem", key="cert.pem"), "SECRET_MODE", "key"),
    ],
)
def test_settings_that_would_open_it_are_refused(tmp_path: Path, api: Api, code: str, field: str) -> None:
    for name, mode in (("cert.pem", 0o644), ("key.pem", 0o600)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    with pytest.raises(LocalError) as caught:
        check(api, tmp_path)
    assert (caught.value.code, caught.value.field) == (code, f"api.{field}")


@pytest.fixture
def mesh() -> Iterator[Sandbox]:
    """Run one node with its API on TCP."""
    with sandbox("node", api=True) as running:
        yield running


def test_a_whole_node_over_tls(mesh: Sandbox, tmp_path: Path) -> None:
    """A certificate of our own, as an operator would have; another authority's is not trusted."""
    token = mesh.token("node", "read")
    mesh.kill("node")
    home = mesh.home("node")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(home.path / "key.pem"), "-out", str(home.path / "cert.pem")]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    (home.path / "key.pem").chmod(0o600)
    text = home.config_file.read_text()
    text = text.replace('certificate = ""', 'certificate = "cert.pem"').replace('key = ""', 'key = "key.pem"')
    home.config_file.write_text(text)
    mesh.start("node")
    assert mesh.url("node").startswith("https://127.0.0.1:")
    with Client(mesh.url("node"), token=token, ca_file=home.path / "cert.pem") as node:
        assert node.status().node.name == "node"
    with Client(mesh.url("node"), token=token) as node, pytest.raises(LocalError) as caught:
        node.status()
    assert caught.value.code == "NODE_UNREACHABLE"


def test_tokens_by_the_operations(mesh: Sandbox) -> None:
    made = mesh.call("node", "token make", name="dashboard", permission="read", days=7)
    (row,) = [row for row in mesh.call("node", "token list").tokens if row.name == "dashboard"]
    assert (row.state, row.permission) == ("valid", "read")
    assert (row.expires - row.created).days == 7
    assert made.token not in json.dumps([str(row)])
    with Client(mesh.url("node"), token=made.token) as node:
        node.status()
        mesh.call("node", "token revoke", id=row.id)
        with pytest.raises(LocalError) as caught:
            node.status()
    assert caught.value.code == "TOKEN_WRONG"
    with pytest.raises(LocalError) as caught:
        mesh.call("node", "token make", name="x", tenant="nobody")
    assert caught.value.field == "tenant"
