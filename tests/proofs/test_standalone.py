"""`maille-verify.pyz`: one file, the same verdicts, and nothing in it that reaches network, store or node."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.consent.disclosure import hide
from proofs.policy import MemberQuorum
from proofs.trust import Card
from proofs.verify import verify
from tests.proofs.mesh import Mesh, terms

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application, built afresh."""
    target = tmp_path_factory.mktemp("verifier") / "maille-verify.pyz"
    build = [sys.executable, "verifier/build.py", str(target)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return target


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the application in an empty place, with no path to the project."""
    command = [sys.executable, "-I", str(program), *arguments]
    return subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False)


def test_it_holds_the_verifier_and_no_more(program: Path) -> None:
    with zipfile.ZipFile(program) as archive:
        names = archive.namelist()
    packages = {name.partition("/")[0] for name in names}
    assert packages == {"__main__.py", "LICENSE", "ledger", "proofs"}
    for absent in ("held", "replica", "ticks", "chain", "members", "make", "gather"):
        assert not [name for name in names if name.endswith(f"/{absent}.py")], absent
    text = b"".join(zipfile.ZipFile(program).read(name) for name in names if name.endswith(".py"))
    for library in (b"import trio", b"import lmdb", b"import socket", b"import ssl", b"import msgspec"):
        assert library not in text


def test_it_imports_no_network_storage_or_threads(program: Path) -> None:
    code = (
        "import runpy, sys\nprogram = sys.argv[1]\nsys.argv[1:] = ['--explain', 'ACTIVE']\n"
        "try:\n    runpy.run_path(program, run_name='__main__')\nexcept SystemExit:\n    pass\n"
        "print(sys.modules['proofs.verify'].__file__)\n"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    command = [sys.executable, "-I", "-c", code, str(program)]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=True)
    *_, file, loaded = done.stdout.splitlines()
    assert str(program) in file
    network = {"socket", "_socket", "ssl", "asyncio", "selectors", "http", "threading"}
    assert not (network | {"trio", "lmdb", "node", "storage", "gossip"}) & set(loaded.split())


def test_the_same_sources_give_the_same_bytes(program: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pyz"
    subprocess.run([sys.executable, "verifier/build.py", str(other)], cwd=ROOT, check=True, capture_output=True)
    assert other.read_bytes() == program.read_bytes()


def test_it_says_what_the_library_says(program: Path, tmp_path: Path) -> None:
    mesh = Mesh()
    grant = mesh.grant()
    epoch = mesh.seal(mesh.a, mesh.b)
    mesh.tick(mesh.a, mesh.b)
    good = mesh.prove(grant, epoch=epoch)
    (tmp_path / "good.mailleproof").write_bytes(good)
    (tmp_path / "bad.mailleproof").write_bytes(good[:-1])
    name = mesh.genesis.name
    card = Card(name, mesh.genesis.mesh_id, epoch, 1, mesh.now, "")
    (tmp_path / "card.json").write_text(card.encode())
    trusted = ["--card", str(tmp_path / "card.json"), "--members", "2", "--json"]
    done = run(program, str(tmp_path / "good.mailleproof"), *trusted)
    told = json.loads(done.stdout)
    here = verify(good, mesh.trust(policy=MemberQuorum(2), epoch=epoch), told["trust"]["now"]).as_json()
    assert {**told, "trust": here["trust"]} == {"file": str(tmp_path / "good.mailleproof"), **here}
    assert card.fingerprint() in done.stderr
    assert done.returncode == here["exit_code"]
    both = run(program, str(tmp_path), *trusted)
    assert json.loads(both.stdout.splitlines()[0])["reason"] == "MALFORMED"
    assert both.returncode == 1


def test_wrong_usage_is_2(program: Path, tmp_path: Path) -> None:
    for arguments in (
        (),
        ("absent", "--genesis", "00" * 32),
        (str(program),),
        (str(program), "--genesis", "00"),
        (str(program), "--genesis", "00" * 32, "--max-age", "long"),
        (str(program), "--genesis", "00" * 32, "--members", "0"),
        (str(program), "--genesis", "00" * 32, "--members", "2", "--policy", str(program)),
    ):
        assert run(program, *arguments).returncode == 2, arguments
    absent = run(program, "absent.mailleproof", "--genesis", "00" * 32)
    assert absent.stderr == "maille-verify: absent.mailleproof cannot be read: No such file or directory\n"
    assert run(program, str(program), "--genesis", "00" * 32).returncode == 1
    assert "TRY_LATER" in run(program, "--explain", "try_later").stdout


def test_of_several_the_worst_is_told_whole(program: Path, tmp_path: Path) -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    good, trusted = mesh.prove(grant), ["--genesis", mesh.genesis.mesh_id.hex(), "--members", "2"]
    (tmp_path / "good.mailleproof").write_bytes(good)
    (tmp_path / "more.mailleproof").write_bytes(good[:-1])
    done = run(program, str(tmp_path), *trusted)
    lines = done.stdout.splitlines()
    assert ["MALFORMED" in line for line in lines[:2]] == [False, True]
    assert done.returncode == 1
    assert "Trusted, because you said so:" in lines
    assert "TOTAL-FAILED MALFORMED" in lines
    assert "  - that no copy of the data travelled outside the ledger" in lines, "it is printed with every verdict"


def test_a_folder_without_proofs_is_wrong_usage(program: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.mailleproof").write_bytes(b"")
    done = run(program, str(tmp_path / "one.mailleproof"), str(tmp_path / "empty"), "--genesis", "00" * 32)
    assert done.returncode == 2
    assert "no file in" in done.stderr


def test_letters_that_a_terminal_does_not_know_change_no_verdict(program: Path, tmp_path: Path) -> None:
    mesh = Mesh()
    slots, opened = hide(replace(terms(mesh.now), purpose="Conseil d’été"), mesh.random.randbytes)
    grant = mesh.grant(slots=slots)
    grant.disclosures = opened
    mesh.tick(mesh.a, mesh.b)
    (tmp_path / "one.mailleproof").write_bytes(mesh.prove(grant))
    command = [sys.executable, "-s", str(program), str(tmp_path / "one.mailleproof")]
    done = subprocess.run(
        [*command, "--genesis", mesh.genesis.mesh_id.hex(), "--members", "2"],
        cwd=program.parent,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert "Conseil d\\u2019\\xe9t\\xe9" in done.stdout
    assert done.returncode == 3, "those are times ahead of the clock"
