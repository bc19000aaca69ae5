"""Running a node for years: its unit, upgrades and the way back, a report that names nobody, man page, completion."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rows import Writer
from node.cli.app import run
from node.config import Home, as_toml
from node.operations import OPERATIONS
from node.ops.bugreport import Redactor
from node.unit import NAME, unit
from storage import disk
from tests.node.nodes import command, do, make_home, running

SYSTEMD = shutil.which("systemd-analyze")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "node", "Citoyens du Jura")


# The service


def test_the_unit_is_installed_checked_and_removed(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    units = tmp_path / "units"
    units.mkdir()
    where = ("--directory", str(units))
    assert command(home, "service", "check", *where, capsys=capsys)[0] == 5
    code, told = command(home, "service", "install", *where, capsys=capsys)
    assert (code, told["changed"], told["next"][0]) == (0, True, "systemctl daemon-reload")
    text = (units / NAME).read_text()
    assert f"--data-dir {home.path}" in text
    assert "LoadCredentialEncrypted" not in text
    assert not command(home, "service", "install", *where, capsys=capsys)[1]["changed"]
    assert command(home, "service", "check", *where, capsys=capsys)[0] == 0
    (units / NAME).write_text(text.replace("NoNewPrivileges=yes", "NoNewPrivileges=no"))
    code, told = command(home, "service", "check", *where, capsys=capsys)
    assert (code, told["differs"]) == (1, ["-NoNewPrivileges=no", "+NoNewPrivileges=yes"])
    assert command(home, "service", "uninstall", "--yes", *where, capsys=capsys)[0] == 0
    assert not (units / NAME).exists()


def test_the_unit_asks_for_what_the_node_needs_alone(tmp_path: Path) -> None:
    system = unit("/usr/bin/maille", Path("/var/lib/maille"), sealed=True, low_ports=False)
    assert "DynamicUser=yes\n" in system
    assert "StateDirectory=maille\n" in system
    assert "LoadCredentialEncrypted=maille-passphrase:" in system
    assert "CapabilityBoundingSet=\n" in system
    other = unit("/usr/bin/maille", tmp_path, sealed=False, low_ports=True)
    assert f"ReadWritePaths={tmp_path}\n" in other
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n" in other
    assert "DynamicUser" not in other
    for place, private in (
        ("/var/lib/maille", True),
        ("/srv/tmp/maille", True),
        ("/tmp/a", False),
        ("/var/tmp/a", False),
    ):
        text = unit("/usr/bin/maille", Path(place), sealed=False, low_ports=False)
        assert ("\nPrivateTmp=yes\n" in text) is private, place
        assert ("\n# PrivateTmp stays off: the data directory lies in a temporary place" in text) is not private
    assert "NETLINK" not in system + other
    assert " AF_NETLINK\n" in unit("/usr/bin/maille", tmp_path, sealed=False, low_ports=False, lan=True)


@pytest.mark.skipif(
    SYSTEMD is None, reason="systemd-analyze is not installed: the unit is not judged by systemd itself"
)
def test_systemd_understands_the_unit_and_finds_little_exposed(tmp_path: Path) -> None:
    file = tmp_path / NAME
    file.write_text(unit("/bin/true", Path("/var/lib/maille"), sealed=False, low_ports=False))
    judged = subprocess.run(
        [str(SYSTEMD), "verify", "--man=no", "--recursive-errors=no", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Unknown" not in judged.stderr
    assert NAME not in judged.stderr
    exposed = subprocess.run(
        [str(SYSTEMD), "security", "--offline=true", "--threshold=20", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposed.returncode == 0, exposed.stdout[-300:] + exposed.stderr


# Upgrades


def next_release(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From here on it is the next release, with one migration; return what it notes."""
    ran: list[int] = []

    def migration(_: Writer) -> None:
        ran.append(1)

    monkeypatch.setattr(disk, "MIGRATIONS", (migration,))
    defaults = {**(disk.DiskStore.__init__.__kwdefaults__ or {}), "migrations": (migration,)}
    monkeypatch.setattr(disk.DiskStore.__init__, "__kwdefaults__", defaults)
    return ran


async def test_an_upgrade_is_planned_tried_done_and_undone(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(home) as node:
        await do(node, "mesh create", name="Les Maillons", local_name="maillons")
    code, plan = command(home, "upgrade", "plan", capsys=capsys)
    assert (code, plan["ready"], [row["action"] for row in plan["stores"]]) == (0, True, ["none", "none"])

    with monkeypatch.context() as patch:
        ran = next_release(patch)
        plan = command(home, "upgrade", "plan", capsys=capsys)[1]
        assert [(row["store"], row["schema"], row["known"], row["action"]) for row in plan["stores"]] == [
            ("ledger", 1, 2, "migrate"),
            ("vault", 1, 2, "migrate"),
        ]
        before = {path: path.read_bytes() for path in home.meshes.rglob("data.mdb")}
        code, told = command(home, "upgrade", "migrate", "--dry-run", capsys=capsys)
        assert (code, told["stores"], told["sound"]) == (0, ["maillons/ledger", "maillons/vault"], True)
        assert told["entries"] >= 2
        assert len(ran) == 2
        assert before == {path: path.read_bytes() for path in home.meshes.rglob("data.mdb")}
        with home.lock():
            assert "Process" in command(home, "upgrade", "migrate", capsys=capsys)[1]
        assert command(home, "upgrade", "migrate", capsys=capsys)[1]["stores"] == ["maillons/ledger", "maillons/vault"]
        assert command(home, "upgrade", "migrate", capsys=capsys)[1]["stores"] == []
        plan = command(home, "upgrade", "plan", capsys=capsys)[1]
        assert [(row["action"], row["back_to"]) for row in plan["stores"]] == [("none", [1]), ("none", [1])]

    code, plan = command(home, "upgrade", "plan", capsys=capsys)  # the older release again
    assert (code, [row["action"] for row in plan["stores"]]) == (1, ["newer", "newer"])
    assert command(home, "upgrade", "rollback", capsys=capsys)[0] == 2
    code, told = command(home, "upgrade", "rollback", "--yes", capsys=capsys)
    assert (code, told["stores"]) == (0, ["maillons/ledger", "maillons/vault"])
    async with running(home) as node:
        assert (await do(node, "mesh show")).mesh.name == "maillons"


async def test_no_way_back_once_this_device_has_signed(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(home) as node:
        await do(node, "mesh create", name="Les Maillons", local_name="maillons")
    with monkeypatch.context() as patch:
        next_release(patch)
        assert command(home, "upgrade", "migrate", capsys=capsys)[0] == 0
        async with running(home) as node:
            await do(node, "mesh leave")
        before = {path: path.read_bytes() for path in home.meshes.rglob("*.mdb")}
        code, told = command(home, "upgrade", "rollback", "--yes", capsys=capsys)
        assert (code, "fork" in told) == (1, True)
        assert before == {path: path.read_bytes() for path in home.meshes.rglob("*.mdb")}


# A report, the manual, completion


async def test_a_report_names_nobody(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.config_file.write_text(as_toml(msgspec.structs.replace(home.config(), advertise=("node.jura.example:8470",))))
    async with running(home) as node:
        await do(node, "mesh create", name="Maillage du Haut-Jura", local_name="haut-jura")
    to = tmp_path / "report.json"
    assert run(["bugreport", "--data-dir", str(home.path), "--to", str(to)]) == 0
    said = capsys.readouterr()
    assert said.err.endswith(f"Written to {to}.\n")
    assert "Nothing." not in said.out
    text = to.read_text()
    report = json.loads(text)
    assert {"settings", "doctor", "status", "packages", "python"} <= set(report)
    assert report["packages"]["pynacl"]
    for secret in ("Jura", "jura", str(home.path), "node.jura.example"):
        assert secret not in text
    assert "KEYS_UNSEALED" in {one["code"] for one in report["doctor"]["findings"]}


@given(st.text(st.characters(codec="ascii"), max_size=20), st.integers(0, 10**14 - 1))
def test_the_same_is_replaced_by_the_same(around: str, number: int) -> None:
    point, key = f"prm:{number:014}", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    redact = Redactor({"Régie du Doubs": "member"})
    text = redact.text(f"{around} {point} Régie du Doubs 10.1.2.3:8470 {key} {point} {'ab' * 32}")
    assert f"{number:014}" not in text
    assert not [found for found in ("Doubs", "10.1.2.3", key, "ab" * 32) if found in text]
    assert text == redact.text(f"{around} {point} Régie du Doubs 10.1.2.3:8470 {key} {point} {'ab' * 32}")


def test_the_manual_has_every_command(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = command(home, "man", capsys=capsys)[1]["page"]
    for operation in OPERATIONS:
        assert f".SS maille {operation.name}".replace("-", r"\-") in page
    man = shutil.which("man")
    if man is not None and shutil.which("groff") is not None:
        (tmp_path / "maille.1").write_text(page)
        shown = subprocess.run(
            [man, "--warnings=w", "-l", str(tmp_path / "maille.1")], capture_output=True, text=True, check=True
        )
        assert "warning" not in shown.stderr
        assert "consent grant" in shown.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path, shell: str) -> None:
    script = command(home, "completion", shell, capsys=capsys)[1]["script"]
    assert "withdraw" in script
    found = shutil.which(shell)
    if found is not None:
        file = tmp_path / "script"
        file.write_text(script)
        subprocess.run([found, "-n", str(file)], check=True, capture_output=True)
