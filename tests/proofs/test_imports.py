"""What the verifier stands on: an auditor can run it where nothing but cbor2 and PyNaCl is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.covers("R100")
def test_the_verifier_reaches_no_network_storage_or_clock() -> None:
    program = (
        "import sys; before = set(sys.modules); import proofs.verify, proofs.presentation, proofs.stamps;"
        "print('\\n'.join(sorted({name.split('.')[0] for name in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    tops = set(done.stdout.split())
    assert {"proofs", "ledger", "cbor2", "nacl"} <= tops
    foreign = (
        tops - sys.stdlib_module_names - {"proofs", "ledger", "cbor2", "_cbor2", "nacl", "_sodium", "_cffi_backend"}
    )
    assert not foreign, foreign
    assert not tops & {
        "socket",
        "_socket",
        "ssl",
        "asyncio",
        "selectors",
        "http",
        "threading",
        "random",
        "lmdb",
        "trio",
    }
