"""Whole nodes: several in this process over real sockets, and real processes that are stopped, killed and doubled."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from ledger.errors import LocalError, MailleError
from ledger.keys import SigningKey
from node import exits
from node.cli.app import run
from node.client import Client
from node.config import Home
from node.keyfile import KeyFile, Wrapping
from node.keystore import device_name
from node.operation import Nothing
from node.operations import OPERATIONS, find
from tests.node.nodes import LIGHT, do, make_home, running, until


def as_json(result: Any) -> Any:
    return json.loads(msgspec.json.encode(result))


async def found_and_join(one: Any, other: Any) -> None:
    """Make a mesh on one node and have the other join it with a ticket bound to its key."""
    await do(one, "mesh create", name="Les Maillons")
    ticket = await do(one, "invite create", to=other.root_key().did)
    joined = await do(other, "join", ticket=ticket.ticket)
    assert joined.answer == "ADMITTED"
    await until(lambda: len(other.mesh().core.replica.members.members) == 2)


@pytest.mark.covers("R2", "R9", "R97")
async def test_two_nodes_form_a_mesh_and_agree(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "a", "Ada")) as ada, running(make_home(tmp_path / "b", "Bob")) as bob:
        await found_and_join(ada, bob)
        assert {row.name for row in (await do(bob, "member list")).members} == {"Ada", "Bob"}
        assert (await do(ada, "link offer", member="Bob")).state == "offered"
        await until(lambda: "offered" in bob.mesh().core.replica.members.links.values())
        assert (await do(bob, "link accept", member="Ada")).state == "up"
        await until(lambda: "up" in ada.mesh().core.replica.members.links.values())
        ticked = await do(ada, "tick run")
        assert ticked.attested_by
        await until(lambda: bob.mesh().core.ticker.tick is not None)
        await until(lambda: bob.mesh().core.replica.frontier_digest() == ada.mesh().core.replica.frontier_digest())
        roots = [await do(node, "ledger root") for node in (ada, bob)]
        assert roots[0].frontier == roots[1].frontier
        assert roots[0].state_root == roots[1].state_root
        assert (await do(ada, "peers why", member="Bob")).state == "connected"
        for words in (
            "node status",
            "mesh list",
            "mesh show",
            "link list",
            "peers list",
            "invite list",
            "ledger stats",
        ):
            await check_result_fits_its_schema(ada, words)


async def check_result_fits_its_schema(node: Any, words: str) -> None:
    """Hold what an operation prints as JSON to its own schema: every field there, none besides, each of its type."""
    noun, _, verb = words.partition(" ")
    row = find(noun, verb)
    assert row is not None
    result = await do(node, words)
    text = msgspec.json.encode(result)
    assert msgspec.json.decode(text, type=row.result) == result
    properties = msgspec.json.schema(row.result)["$defs"][row.result.__name__]["properties"]
    assert set(json.loads(text)) == set(properties)


async def test_an_open_ticket_waits_for_approval(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "a", "Ada")) as ada, running(make_home(tmp_path / "b", "Bob")) as bob:
        await do(ada, "mesh create", name="M")
        ticket = await do(ada, "invite create", open=True, qr=True)
        assert "█" in ticket.qr
        assert "Of 2 voters 2 must be there to seal" in ticket.hint
        assert "until you have 4 voters" in ticket.hint
        assert (await do(bob, "join", ticket=ticket.ticket)).answer == "PENDING"
        assert {one.code for one in (await do(bob, "node status")).problems} >= {"NOT_A_MEMBER"}
        (waiting,) = (await do(ada, "requests list")).requests
        assert waiting.name == "Bob"
        assert (await do(ada, "requests approve", id=waiting.id)).hint == ticket.hint
        core = bob.mesh().core
        await until(lambda: core.replica.members.is_member(core.party))
        assert not (await do(ada, "requests list")).requests
        third = await do(ada, "invite create", open=True)
        await do(ada, "invite revoke", id=third.id)
        assert [row.state for row in (await do(ada, "invite list")).tickets] == ["used"]


def drawn_status(answer: Any) -> str:
    status = find("node", "status")
    assert status is not None
    assert status.render is not None
    return status.render(answer)


async def test_a_ticket_is_used_once_and_by_its_owner(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "a", "Ada")) as ada, running(make_home(tmp_path / "b", "Bob")) as bob:
        await do(ada, "mesh create", name="M")
        ticket = await do(ada, "invite create", to=ada.root_key().did)
        with pytest.raises(MailleError, match="maille key show root") as caught:
            await do(bob, "join", ticket=ticket.ticket)
        assert caught.value.code == "TICKET_NOT_YOURS"
        with pytest.raises(MailleError, match="nor a file") as caught:
            await do(bob, "join", ticket="tikcet")
        assert caught.value.code == "BAD_TICKET"
        assert "maille join TICKET" in drawn_status(await do(bob, "node status"))
        assert "maille join TICKET" not in drawn_status(await do(ada, "node status"))
        assert not bob.meshes
        assert not bob.home.mesh_names()
        with pytest.raises(MailleError) as caught:
            await do(bob, "join", ticket=ticket.ticket[:-3] + "AAA")
        assert caught.value.code == "BAD_TICKET"


@pytest.mark.covers("R1")
async def test_a_node_is_in_several_meshes_and_keeps_them(tmp_path: Path) -> None:
    home = make_home(tmp_path / "a", "Ada")
    async with running(home) as ada:
        first = await do(ada, "mesh create", name="Été")
        second = await do(ada, "mesh create", name="Été", tick_seconds=5)
        assert (first.name, second.name) == ("t", "t-2")
        with pytest.raises(LocalError) as caught:
            ada.mesh()
        assert caught.value.code == "MESH_UNCLEAR"
        assert ada.mesh(second.mesh_id[:8]).name == "t-2"
        with pytest.raises(LocalError) as caught:
            await do(ada, "mesh create", name="x", local_name="t")
        assert caught.value.code == "MESH_EXISTS"
        with pytest.raises(LocalError) as caught:
            await do(ada, "mesh create", name="x", local_name="../x")
        assert caught.value.code == "BAD_NAME"
    async with running(home) as ada:
        assert {row.name: row.mesh_id for row in (await do(ada, "mesh list")).meshes} == {
            "t": first.mesh_id,
            "t-2": second.mesh_id,
        }
        assert (await do(ada, "mesh show", mesh="t-2")).policy.tick_seconds == 5


async def test_a_root_key_from_elsewhere_founds_a_mesh(tmp_path: Path) -> None:
    home = make_home(tmp_path / "a", "Ada")
    root = home.keys / "root.key"
    sealed = KeyFile.make("root", bytes(32), Wrapping.derive("a passphrase", LIGHT, bytes(16)), os.urandom).encode()
    root.unlink()
    async with running(home) as ada:
        for given, code in (
            ({}, "KEY_MISSING"),
            ({"root_key": sealed}, "KEY_LOCKED"),
            ({"root_key": sealed, "root_passphrase": "another one"}, "KEY_LOCKED"),
            ({"root_key": (home.keys / "vault.key").read_bytes()}, "KEY_WRONG"),
            ({"root_key": b"no key"}, "KEY_DAMAGED"),
        ):
            with pytest.raises(MailleError) as caught:
                await do(ada, "mesh create", name="M", **given)
            assert caught.value.code == code
        assert not ada.home.mesh_names()
        await do(ada, "mesh create", name="M", root_key=sealed, root_passphrase="a passphrase")
        assert ada.mesh().core.party[0] == SigningKey.from_seed(bytes(32)).kid


@pytest.mark.covers("R3")
async def test_leaving_is_final_and_known(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "a", "Ada")) as ada, running(make_home(tmp_path / "b", "Bob")) as bob:
        await found_and_join(ada, bob)
        await do(bob, "mesh leave", reason="moved away")
        await until(lambda: {m.state for m in ada.mesh().core.replica.members.members.values()} == {"member", "left"})
        assert (await do(bob, "mesh list")).meshes[0].state == "left"
        with pytest.raises(LocalError) as caught:
            await do(bob, "mesh leave")
        assert caught.value.code == "NOT_A_MEMBER"
        with pytest.raises(LocalError) as caught:
            await do(ada, "link offer", member="Bob")
        assert caught.value.code == "NOT_A_MEMBER"


async def test_entries_are_shown_and_explained(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "a", "Ada")) as ada:
        made = await do(ada, "mesh create", name="M")
        shown = await do(ada, "entry show", id=made.mesh_id[:8])
        assert (shown.kind, shown.id, shown.payload["name"]) == ("genesis", made.mesh_id, "M")
        assert (await do(ada, "entry explain", id=made.mesh_id)).verdict == "counts"
        for text, code in (("0000", "NOT_FOUND"), ("xyz", "USAGE"), ("ab", "USAGE")):
            with pytest.raises(LocalError) as caught:
                await do(ada, "entry show", id=text)
            assert caught.value.code == code


async def test_a_restored_mesh_goes_on_with_a_new_device(tmp_path: Path) -> None:
    home = make_home(tmp_path / "b", "Bob")
    async with running(make_home(tmp_path / "a", "Ada")) as ada:
        async with running(home) as bob:
            await found_and_join(ada, bob)
            await until(lambda: bool(bob.net.peerings))
            old = bob.mesh().core.device.kid
            with pytest.raises(LocalError, match=r"There is no directory .*nowhere; make it first") as caught:
                await do(bob, "backup create", to=str(tmp_path / "nowhere" / "backup"))
            assert caught.value.code == "NOT_FOUND"
            kept = await do(bob, "backup create", to=str(tmp_path / "backup"))
            assert "root.key and vault.key" in kept.keep
            name = bob.mesh().name
        put = await trio.to_thread.run_sync(restore_in_place, home, name, tmp_path / "backup")
        assert put.next.startswith("maille node run")
        async with running(home) as bob:
            for asked in (name, ""):
                with pytest.raises(LocalError, match=f"maille device recover {name}") as caught:
                    bob.mesh(asked)
                assert caught.value.code == "MESH_RESTORED"
            standing = await do(bob, "node status")
            assert standing.problems[0].code == "MESH_RESTORED"
            assert "maille mesh create" not in drawn_status(standing)
            recovered = await do(bob, "device recover", mesh=name)
            assert (recovered.predecessor, bytes.fromhex(recovered.device) != old) == (old.hex(), True)
            await until(lambda: ada.mesh().core.replica.members.reach(bytes.fromhex(recovered.device)) > 0)
            await until(lambda: bob.mesh().core.is_member_device(bytes.fromhex(recovered.device)))
            stated = await do(bob, "link offer", member="Ada")
            await until(lambda: bool(ada.mesh().core.replica.members.links))
            assert stated.state == "offered"
            assert not ada.mesh().core.replica.members.links.keys() - bob.mesh().core.replica.members.links.keys()
        async with running(home) as bob:
            assert not bob.waiting
            assert "KEYS_UNSEALED" in {one.code for one in (await do(bob, "node status")).problems}
            for file in home.keys.glob("*.key"):
                file.unlink()
            assert "KEYS_UNSEALED" not in {one.code for one in (await do(bob, "node status")).problems}


def restore_in_place(home: Home, name: str, backup: Path) -> Any:
    """Lose a mesh and its device key, and put the backup in its place."""
    shutil.rmtree(home.mesh(name))
    (home.keys / f"{device_name(name)}.key").unlink()
    row = find("backup", "restore")
    assert row is not None

    class Place:
        data_dir = home.path

    return row.handler(Place(), row.args(directory=str(backup), local_name=name))


async def test_the_control_api_speaks_for_the_node(tmp_path: Path) -> None:
    home = make_home(tmp_path / "a", "Ada")
    async with running(home, serve=True) as ada:
        assert home.socket.stat().st_mode & 0o777 == 0o600
        client = Client(home.socket)
        create = find("mesh", "create")
        listing = find("mesh", "list")
        assert create is not None
        assert listing is not None

        def ask() -> Any:
            client.call(create, create.args(name="M"))
            return client.call(listing, Nothing())

        found = await trio.to_thread.run_sync(ask)
        assert as_json(found) == as_json(await do(ada, "mesh list"))

        def refused() -> None:
            client.call(create, create.args(name="x", local_name="m"))

        with pytest.raises(LocalError) as caught:
            await trio.to_thread.run_sync(refused)
        assert caught.value.code == "MESH_EXISTS"


# Real processes


def start(home: Home) -> subprocess.Popen[bytes]:
    """Start a node in a process of its own and wait until it answers."""
    script = [sys.executable, "-c", "from node.cli import main; main()", "node", "run", "--data-dir", str(home.path)]
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    listing = find("mesh", "list")
    assert listing is not None
    while process.poll() is None:
        try:
            Client(home.socket).call(listing, Nothing())
            return process
        except MailleError:
            time.sleep(0.02)
    pytest.fail(f"the node ended: {process.communicate()}")


def call(home: Home, words: str, **values: Any) -> Any:
    row = next(row for row in OPERATIONS if row.name == words)
    return Client(home.socket).call(row, row.args(**values))


@pytest.mark.covers("R4")
def test_processes_stop_gracefully_refuse_a_second_and_survive_kill(tmp_path: Path) -> None:
    home = make_home(tmp_path / "a", "Ada")
    process = start(home)
    try:
        made = call(home, "mesh create", name="M")
        second = subprocess.run(
            [sys.executable, "-c", "from node.cli import main; main()", "node", "run", "--data-dir", str(home.path)],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert second.returncode == exits.REFUSED
        assert f"Process {process.pid} runs on" in second.stderr
        assert "Traceback" not in second.stderr
        assert call(home, "mesh list").meshes == (made,), "the first one still answers on its socket"
        offered = call(home, "invite create", open=True)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        process = start(home)
        assert call(home, "mesh list").meshes == (made,)
        assert [row.id for row in call(home, "invite list").tickets] == [offered.id]
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate()
        assert process.returncode == exits.OK, told
        assert b"Traceback" not in told
        assert not home.socket.exists()
        assert run(["ledger", "verify", "--data-dir", str(home.path)]) == exits.OK
        assert run(["ledger", "verify", "--data-dir", str(home.path), "--mesh", "other"]) == exits.NOT_FOUND
    finally:
        process.kill()
        process.communicate()


def test_a_place_that_is_taken_is_said_so(tmp_path: Path) -> None:
    one, other = make_home(tmp_path / "a", "Ada"), make_home(tmp_path / "b", "Bob")
    process = start(one)
    try:
        taken = call(one, "node status").node.listening[0]
        text = other.config_file.read_text().replace("127.0.0.1:0", taken)
        other.config_file.write_text(text)
        script = [sys.executable, "-c", "from node.cli import main; main()", "node", "run"]
        found = subprocess.run(
            [*script, "--data-dir", str(other.path)],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert found.returncode == exits.REFUSED
        assert "LISTEN_REFUSED" in found.stderr
        assert ": Address already in use. " in found.stderr
        assert f"`maille config set --data-dir {other.path} listen '[" in found.stderr
        assert "Traceback" not in found.stderr
    finally:
        process.kill()
        process.communicate()
