"""Web-hooks: what is told, signed how, again after failures and crashes, and to which addresses never."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trio
from nacl.signing import VerifyKey

from ledger.errors import LocalError
from node.hooks import ATTEMPTS_MAX, BACK_OFF_SECONDS, check_url, look_up
from node.vaults.changes import DEAD_MAX, QUEUE_MAX, Change, ChangeRows, Hook
from simulations.sandbox import Sandbox, sandbox
from storage.memory import MemoryStore
from storage.vault import VAULT_TABLES, Vault


@dataclass
class Receiver:
    """A local program that is told; it answers with `status`."""

    status: int = 204
    told: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.told]

    def of(self, kind: str) -> list[Any]:
        return [body for body in self.bodies if body["type"] == kind]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    mine = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            mine.told.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(mine.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mine.url = f"http://127.0.0.1:{server.server_port}/hook?for=us"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield mine
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mesh() -> Iterator[Sandbox]:
    """Run two nodes."""
    with sandbox("operator", "adviser") as running:
        yield running


def consented(mesh: Sandbox) -> tuple[Any, str]:
    """Have a person consent; return her and the consent."""
    point = mesh.meter("operator")
    anna = mesh.person("anna", at="operator")
    consent = anna.grant(holder="operator", recipient="adviser", point=point)
    mesh.client("adviser").wait_for(consent)
    return anna, consent


def add(mesh: Sandbox, receiver: Receiver, **more: Any) -> Any:
    return mesh.call("adviser", "webhook add", url=receiver.url, **more)


def row(mesh: Sandbox) -> Any:
    return mesh.call("adviser", "webhook list").hooks[0]


def test_told_when_it_begins_arrives_and_ends(mesh: Sandbox, receiver: Receiver) -> None:
    added = add(mesh, receiver)
    anna, consent = consented(mesh)
    mesh.client("adviser").fetch(consent)
    anna.withdraw(consent)
    mesh.until(lambda: len(receiver.told) >= 3, "the receiver is not told")
    kinds = [body["type"] for body in receiver.bodies]
    assert kinds == ["consent.began", "data.arrived", "consent.ended"]
    for body in receiver.bodies:
        assert set(body) == {"type", "timestamp", "data"}
        assert body["data"]["consent"] == consent
        assert set(body["data"]) == {"number", "consent", "state", "reason", "transfer"}
    assert receiver.bodies[-1]["data"] | {"number": 0} == {
        "number": 0,
        "consent": consent,
        "state": "withdrawn",
        "reason": "WITHDRAWN",
        "transfer": "",
    }
    key = base64.b64decode(added.secret.removeprefix("whsec_"))
    ids = set()
    for headers, body in receiver.told:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{wanted}"
        ids.add(headers["webhook-id"])
    assert len(ids) == 3
    mesh.until(lambda: row(mesh).waiting == 0, "something still waits")


def test_signed_by_the_device_for_chosen_kinds(mesh: Sandbox, receiver: Receiver) -> None:
    added = add(mesh, receiver, sign="ed25519", event=("consent.ended",))
    anna, consent = consented(mesh)
    anna.withdraw(consent)
    mesh.until(lambda: bool(receiver.told), "the receiver is not told")
    ((headers, body),) = receiver.told
    scheme, _, signature = headers["webhook-signature"].partition(",")
    assert scheme == "v1a"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = VerifyKey(base64.b64decode(added.secret.removeprefix("whpk_")))
    assert key.verify(signed, base64.b64decode(signature)) == signed


def test_told_again_after_failures_and_a_crash_with_the_same_id(mesh: Sandbox, receiver: Receiver) -> None:
    receiver.status = 500
    add(mesh, receiver)
    _, consent = consented(mesh)
    mesh.until(lambda: bool(receiver.told), "no attempt is made")
    mesh.until(lambda: row(mesh).state == "failing", "the failure is not shown")
    assert (row(mesh).waiting, row(mesh).error) == (1, "It answered 500.")
    mesh.kill("adviser")
    receiver.status = 200
    mesh.start("adviser")
    assert row(mesh).waiting == 1
    mesh.advance(seconds=2 * BACK_OFF_SECONDS[0])
    mesh.until(lambda: row(mesh).waiting == 0, "it is not told again")
    assert row(mesh).state == "ok"
    assert len(receiver.told) >= 2
    assert {headers["webhook-id"] for headers, _ in receiver.told} == {receiver.told[0][0]["webhook-id"]}
    assert {body["data"]["consent"] for body in receiver.bodies} == {consent}


def test_what_a_node_slept_through_is_told_when_it_wakes(mesh: Sandbox, receiver: Receiver) -> None:
    add(mesh, receiver)
    anna, consent = consented(mesh)
    mesh.until(lambda: len(receiver.of("consent.began")) == 1, "it is not told")
    mesh.kill("adviser")
    mesh.call("operator", "consent withdraw", id=consent)
    mesh.start("adviser")
    mesh.until(lambda: len(receiver.of("consent.ended")) == 1, "it is not told of the end")
    assert anna.name == "anna"


def test_expiry_is_told(mesh: Sandbox, receiver: Receiver) -> None:
    add(mesh, receiver, event=("consent.ended",))
    consented(mesh)
    mesh.advance(days=400)
    mesh.until(lambda: bool(receiver.told), "it is not told")
    assert receiver.bodies[0]["data"]["reason"] == "EXPIRED"


def put_off(mesh: Sandbox) -> bool:
    at = row(mesh).next_at
    return at is not None and at.timestamp() > mesh.now()


def test_given_up_after_its_attempts_and_shown(mesh: Sandbox, receiver: Receiver) -> None:
    receiver.status = 503
    add(mesh, receiver)
    consented(mesh)
    for attempt in range(ATTEMPTS_MAX):
        mesh.until(lambda: bool(row(mesh).given_up) or put_off(mesh), f"attempt {attempt} is not noted")
        mesh.advance(seconds=2 * BACK_OFF_SECONDS[min(attempt, len(BACK_OFF_SECONDS) - 1)])
    mesh.until(lambda: bool(row(mesh).given_up), "it is not given up")
    assert "503" in row(mesh).given_up[0]
    assert len(receiver.told) == ATTEMPTS_MAX


def test_a_receiver_that_is_gone_is_told_nothing_more(mesh: Sandbox, receiver: Receiver) -> None:
    receiver.status = 410
    add(mesh, receiver)
    anna, consent = consented(mesh)
    mesh.until(lambda: row(mesh).state == "gone", "it is not ended")
    anna.withdraw(consent)
    mesh.client("adviser").next_changes(1, wait="5s")
    assert len(receiver.told) == 1
    mesh.call("adviser", "webhook remove", id=row(mesh).id)
    assert mesh.call("adviser", "webhook list").hooks == ()


def test_a_trial(mesh: Sandbox, receiver: Receiver) -> None:
    hook = add(mesh, receiver).id
    tested = mesh.call("adviser", "webhook test", id=hook)
    assert (tested.status, tested.error, receiver.bodies[0]["type"]) == (204, "", "test")
    receiver.status = 302
    assert mesh.call("adviser", "webhook test", id=hook).error == "It answered 302."


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/x",
        "file:///etc/passwd",
        "https://",
        "https://user:secret@a.example/",
        "https://a.example/#x",
        "https://a.example:99999/",
        "https://a.example/ x",
        "https://a.example/é",
        "https://[[a.example/",
        "https://a.example[]:1/",
        "https://a.example/" + "x" * 500,
    ],
)
def test_addresses_that_no_hook_has(url: str) -> None:
    with pytest.raises(LocalError) as caught:
        check_url(url)
    assert caught.value.code == "BAD_HOOK"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "localhost", "2130706433", "0x7f.1"),
        *("[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "100.64.0.1"),
        *("[64:ff9b::7f00:1]", "[2002:a00:1::]", "[::127.0.0.1]", "224.0.0.1", "[ff02::1]"),
    ],
)
def test_private_addresses_are_told_where_the_settings_permit_it_alone(host: str) -> None:
    with pytest.raises(LocalError) as caught:
        trio.run(lambda: look_up(f"http://{host}/", private=False))
    assert caught.value.code == "HOOK_PRIVATE"


@pytest.mark.parametrize("host", ["9.9.9.9", "[2620:fe::fe]", "[64:ff9b::909:909]"])
def test_public_addresses_are_told(host: str) -> None:
    assert trio.run(lambda: look_up(f"http://{host}/", private=False)) == host.strip("[]")


def test_an_address_that_is_looked_up_is_the_one_used() -> None:
    assert trio.run(lambda: look_up("http://localhost:1/", private=True)) in ("127.0.0.1", "::1")
    with pytest.raises(LocalError) as caught:
        trio.run(lambda: look_up("http://nobody.invalid/", private=True))
    assert caught.value.code == "HOOK_UNREACHABLE"


def vault() -> Vault:
    return Vault(MemoryStore(VAULT_TABLES), bytes(32), bytes)


def change(number: int) -> Change:
    return Change(0, number.to_bytes(16, "big"), "consent.began", 1, bytes(32), "active", "", b"", (b"a" * 32,))


def test_queues_are_bounded_and_the_oldest_is_given_up() -> None:
    rows, store = ChangeRows(), vault()
    with store.write() as writer:
        rows.put_hook(writer, Hook(bytes(8), "u", b"k", (), b"", 1))
        rows.put_hook(writer, Hook(b"\x01" * 8, "u", b"k", (), b"b" * 32, 1))
        for number in range(QUEUE_MAX + DEAD_MAX + 5):
            assert rows.add(writer, change(number)) is not None
        assert rows.add(writer, change(3)) is None
        assert sum(1 for _ in rows.waiting(writer, bytes(8))) == rows.count(writer, bytes(8)) == QUEUE_MAX
        dead = rows.dead(writer, bytes(8))
        assert (len(dead), dead[-1]) == (DEAD_MAX, (DEAD_MAX + 5, "QUEUE_FULL"))
        assert list(rows.waiting(writer, b"\x01" * 8)) == []
