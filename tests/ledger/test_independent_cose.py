"""Entries are plain COSE: python-cwt verifies ours, and what it signs is an entry to us.

The first test that needs it builds an environment with python-cwt, which pins an older cbor2 than ours. Without a
package index these tests are skipped, and say so; `pytest -m "not oracle"` leaves them out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger import codec
from ledger.entry import Entry, sign_entry
from tests.golden import samples
from tests.worlds import key

pytestmark = pytest.mark.oracle

PACKAGE = "cwt==3.3.0"
SAMPLES = samples()
Ask = Callable[[dict[str, str]], dict[str, str]]


@pytest.fixture(scope="session")
def cwt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Return a way to ask python-cwt, in an environment made for it."""
    folder = tmp_path_factory.mktemp("cwt")
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]
    installed = subprocess.run(pip, check=False, capture_output=True, text=True)
    if installed.returncode:
        reason = (installed.stderr.strip() or "pip failed").splitlines()[-1]
        pytest.skip(f"needs {PACKAGE}, an independent COSE implementation, which pip cannot install here: {reason}")
    script = Path(__file__).with_name("cose_oracle.py")
    with subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        to, of = process.stdin, process.stdout

        def ask(question: dict[str, str]) -> dict[str, str]:
            to.write(json.dumps(question) + "\n")
            to.flush()
            answer: dict[str, str] = json.loads(of.readline())
            return answer

        yield ask


def verify(ask: Ask, entry: Entry, raw: bytes) -> dict[str, str]:
    """Ask for the verdict on bytes under an entry's key."""
    return ask({"verify": raw.hex(), "public": entry.signer.hex(), "kid": entry.kid.hex()})


def parts(entry: Entry) -> tuple[bytes, bytes]:
    """Return protected header and payload."""
    protected, _, payload, _ = codec.decode_sign1(entry.raw)
    assert isinstance(protected, bytes)
    assert isinstance(payload, bytes)
    return protected, payload


@pytest.mark.parametrize("kind", SAMPLES)
def test_our_entries_verify_there(cwt: Ask, kind: str) -> None:
    entry = SAMPLES[kind]
    assert verify(cwt, entry, entry.raw) == {"payload": parts(entry)[1].hex()}


def test_what_is_changed_is_refused_there_too(cwt: Ask) -> None:
    entry = SAMPLES["consent.refuse"]
    protected, payload = parts(entry)
    assert "error" in verify(cwt, entry, entry.raw[:-1] + bytes((entry.raw[-1] ^ 1,)))
    others: list[list[codec.Value]] = [[protected, {}, payload + b"\x00"], [parts(SAMPLES["genesis"])[0], {}, payload]]
    for changed in others:
        raw = codec.encode_sign1([*changed, entry.signature])
        assert "error" in verify(cwt, entry, raw)


def test_entries_signed_there_are_ours_byte_for_byte(cwt: Ask) -> None:
    signer, entry = key("golden", "subject"), SAMPLES["consent.refuse"]
    protected, payload = parts(entry)
    question = {"sign": protected, "payload": payload, "seed": signer.seed, "public": signer.public}
    signed = bytes.fromhex(cwt({name: data.hex() for name, data in question.items()})["entry"])
    assert signed == entry.raw
    assert Entry.decode(signed) == entry
    again = sign_entry(
        signer,
        entry.kind,
        entry.thing,
        entry.payload,
        iat=entry.iat,
        cti=entry.cti,
        seen=entry.seen,
        mesh_id=entry.mesh_id,
    )
    assert again == entry
