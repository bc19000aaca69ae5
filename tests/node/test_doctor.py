"""The doctor: each thing that can be amiss is found, with why and what mends it; a healthy node has no errors."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from node import checkup
from node.checkup import Finding, certificate_end, look, mend
from node.cli.app import run
from node.cli.terminal import Terminal
from node.config import Api, Home, as_toml
from node.keystore import Keystore
from node.operations import find
from node.upkeep import note_upkeep, read_upkeep
from tests.node.nodes import LIGHT, command, do, make_home, running, until

NOW = 1_800_000_000


def codes(home: Home, now: int = NOW) -> dict[str, Finding]:
    return {finding.code: finding for finding in look(home, now)}


def certificate(folder: Path, days: int) -> tuple[Path, Path]:
    """Make a certificate that ends in so many days; a negative number: it has ended."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    end = datetime.now(UTC) + timedelta(days=days, hours=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(end - timedelta(days=90)).not_valid_after(end)
    made = builder.sign(key, hashes.SHA256())
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(pem, form, plain))
    files[1].chmod(0o600)
    return files


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "node", "Ours")


def test_a_new_node_has_no_error(home: Home) -> None:
    found = codes(home)
    assert set(found) <= {"KEYS_UNSEALED", "ROOT_KEY_HERE", "DISK_SLOW", "DISK_LOW", "FILES_LIMIT"}
    assert {"KEYS_UNSEALED", "ROOT_KEY_HERE"} <= set(found)
    assert all(finding.severity != "error" for finding in found.values())


def test_files_that_others_can_reach_are_found_and_mended(home: Home) -> None:
    root = home.keys / "root.key"
    root.chmod(0o644)
    home.path.chmod(0o755)
    home.socket.touch()
    assert codes(home)["FILE_MODE"].severity == "error"
    done = mend(home)
    assert len(done) == 3
    assert "FILE_MODE" not in codes(home)
    assert root.stat().st_mode & 0o777 == 0o600
    assert not home.socket.exists()
    assert mend(home) == []


def test_the_socket_of_a_running_node_is_left_alone(home: Home) -> None:
    home.socket.touch()
    with home.lock():
        assert mend(home) == []
    assert home.socket.exists()


def test_settings_and_keys_that_cannot_be_read(home: Home) -> None:
    home.config_file.write_text("litsen = []")
    (home.keys / "root.key").write_bytes(b"no key")
    found = codes(home)
    assert found["CONFIG_INVALID"].severity == "error"
    assert found["KEY_DAMAGED"].severity == "error"


def test_a_device_key_grows_old(home: Home) -> None:
    store = Keystore(home.keys, os.urandom, LIGHT)
    store.unlock(None)
    store.new_device("maillons")
    made = int((home.keys / "device-maillons.key").stat().st_mtime)
    assert "DEVICE_KEY_OLD" not in codes(home, made + 700 * 86_400)
    assert codes(home, made + 740 * 86_400)["DEVICE_KEY_OLD"].fix == "maille device certify"


def test_what_cannot_be_read_counts_as_never_done(home: Home) -> None:
    for raw in (b"", b"[]", b'{"backups":{"m\xff":5}}'):
        (home.path / "upkeep.json").write_bytes(raw)
        assert read_upkeep(home.path).backups == {}


def test_backups_and_drills_grow_old(home: Home) -> None:
    (home.mesh("maillons") / "ledger").mkdir(parents=True)
    assert "never" in codes(home)["BACKUP_OLD"].message
    note_upkeep(home.path, "backups", "maillons", NOW)
    note_upkeep(home.path, "drills", "maillons", NOW)
    assert not {"BACKUP_OLD", "DRILL_OLD"} & set(codes(home, NOW + 7 * 86_400))
    assert "8 days" in codes(home, NOW + 8 * 86_400)["BACKUP_OLD"].message
    assert codes(home, NOW + 91 * 86_400)["DRILL_OLD"].severity == "note"


@pytest.mark.parametrize(("days", "severity"), [(-1, "error"), (0, "error"), (1, "error"), (20, "warning"), (60, "")])
def test_certificates_that_end(home: Home, days: int, severity: str) -> None:
    certificate(home.path, days)
    api = Api("127.0.0.1:0", "cert.pem", "key.pem")
    home.config_file.write_text(as_toml(msgspec.structs.replace(home.config(), api=api)))
    found = codes(home, int(time.time())).get("CERTIFICATE_ENDS")
    assert (found.severity if found else "") == severity
    if days > 0:
        assert (certificate_end(home.path / "cert.pem", home.path / "key.pem") - time.time()) // 86_400 == days


def test_a_certificate_that_does_not_fit_its_key(home: Home, tmp_path: Path) -> None:
    certificate(home.path, 60)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(certificate(other, 60)[1], home.path / "key.pem")
    api = Api("127.0.0.1:0", "cert.pem", "key.pem")
    home.config_file.write_text(as_toml(msgspec.structs.replace(home.config(), api=api)))
    assert codes(home, int(time.time()))["CERTIFICATE_BAD"].severity == "error"


def test_a_disk_that_is_full_slow_or_refuses(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "FREE_BYTES_MIN", 1 << 62)
    monkeypatch.setattr(checkup, "SYNC_SECONDS_MAX", 0.0)
    assert {"DISK_LOW", "DISK_SLOW"} <= set(codes(home))
    assert list(home.path.glob(".probe*")) == []
    monkeypatch.setattr(os, "pwrite", _full)
    assert codes(home)["DISK_REFUSES"].severity == "error"
    assert list(home.path.glob(".probe*")) == []


def _full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_few_open_files(home: Home) -> None:
    script = (
        "import resource, sys; from pathlib import Path; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256));"
        "from node.checkup import look; from node.config import Home;"
        f"print(*(one.code for one in look(Home(Path({str(home.path)!r})), 0)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "FILES_LIMIT" in out.split()


@pytest.mark.covers("R102")
def test_the_command_without_a_running_node(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = command(home, "doctor", capsys=capsys)
    assert (code, told["node_runs"]) == (0, False)
    (home.keys / "root.key").chmod(0o640)
    code, told = command(home, "doctor", capsys=capsys)
    assert (code, told["findings"][0]["code"]) == (1, "FILE_MODE")
    code, told = command(home, "doctor", "--fix", capsys=capsys)
    assert (code, len(told["mended"])) == (0, 1)
    assert command(home, "doctor", "--peer", "x", capsys=capsys)[0] == 3
    assert run(["doctor", "--data-dir", str(home.path)]) == 0
    shown = capsys.readouterr().out
    assert "→" in shown
    assert "No node runs" in shown


async def aside(home: Home, words: str, **values: Any) -> Any:
    """Run an operation that asks a running node, in a thread beside it."""
    noun, _, verb = words.rpartition(" ")
    operation = find(noun or None, verb)
    assert operation is not None
    terminal = Terminal(home.path, quiet=True, passphrase_file=None, yes=False)
    args = operation.args(**values)
    return await trio.to_thread.run_sync(operation.handler, terminal, args)


async def test_a_running_node_is_asked(tmp_path: Path) -> None:
    home, other = make_home(tmp_path / "a", "Ours"), make_home(tmp_path / "b", "Other")
    async with running(home, serve=True) as node:
        await do(node, "mesh create", name="Les Maillons", local_name="maillons")
        ticket = (await do(node, "invite create", open=True)).ticket
        async with running(other) as second:
            await do(second, "join", ticket=ticket)
            (waits,) = (await do(node, "requests list")).requests
            found = {one.code: one for one in (await do(node, "node examine")).findings}
            assert found["REQUESTS_WAIT"].severity == "warning"
            await do(node, "requests approve", id=waits.id)
            await until(lambda: second.mesh().core.is_member_device(second.mesh().core.device.kid))
            held = [one.code for one in (await do(second, "node examine")).findings]
            assert "NO_PEERS" not in held
        await until(lambda: not node.net.peerings)
        found = {one.code: one for one in (await do(node, "node examine")).findings}
        assert found["NO_PEERS"].severity == "error"

        told = await aside(home, "doctor")
        assert told.node_runs
        assert {"NO_PEERS", "BACKUP_OLD", "KEYS_UNSEALED"} <= {one.code for one in told.findings}
        told = await aside(home, "doctor", peer="Other")
        assert {one.code for one in told.findings} == {"PEER_UNREACHABLE", "PEER_ADDRESS"}

        saved = str(tmp_path / "backup")
        await do(node, "backup create", to=saved)
        told = await aside(home, "backup drill", directory=saved)
        assert (told.sound, told.meshes) == (True, ("maillons",))
        upkeep = read_upkeep(home.path)
        assert set(upkeep.backups) == set(upkeep.drills) == {"maillons"}


def test_an_address_is_dialed(monkeypatch: pytest.MonkeyPatch) -> None:
    from node.ops.doctor import _dial

    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        assert _dial(f"{host}:{port}", "Other").severity == "note"
    assert _dial(f"{host}:{port}", "Other").severity == "warning"
    assert _dial("nonsense", "Other").message.startswith("nonsense, dialed from here: no answer (")
