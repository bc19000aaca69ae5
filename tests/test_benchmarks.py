"""Each benchmark runs at a tiny size and prints one object with the keys that its readers rely on. No times are judged.

They run in processes of their own, as a person runs them, in a folder of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.benchmarks.corpus import LATER, Shape, fill, runs
from tests.benchmarks.measure import DIRECTORY_VARIABLE, ROOT

TINY = {
    "audit": ("--transfers", "600", "--consents", "20", "--rounds", "1"),
    "channel": ("--mebibytes", "2", "--rounds", "1", "--trips", "3"),
    "console": ("--consents", "60", "--rounds", "1"),
    "operating": ("--nodes", "2", "--settle", "0", "--seconds", "1"),
    "soak": ("--minutes", "0.05", "--rate", "5"),
    "delta": ("--entries", "400", "--feeds", "20", "--missing", "10", "--spread", "5"),
    "gate": ("--consents", "30", "--decisions", "60", "--rounds", "1"),
    "imports": ("--rows", "500", "--rounds", "1"),
    "ingest": ("--entries", "200", "--feeds", "2", "--signers", "10", "--batch", "50", "--rounds", "1"),
    "kernels": ("--nodes", "200", "--sources", "2", "--rounds", "1"),
    "maps": ("--consents", "300", "--new", "20", "--rounds", "2"),
    "pages": ("--consents", "30", "--rounds", "2"),
    "proof": ("--entries", "140", "--consents", "60", "--rounds", "2"),
    "transfer": ("--records", "500", "--rounds", "1"),
    "withdrawal": ("--withdrawals", "3", "--rounds", "1", "--seal-wait", "0"),
    "latency": ("--nodes", "3", "--publications", "3", "--rounds", "1"),
    "startup": ("--entries", "100,200", "--feeds", "3", "--rounds", "1"),
    "world": ("--nodes=50", "--messages=3", "--entry-nodes=5", "--bulk=9", "--entries=3", "--rounds=1"),
    "sync": ("--entries", "300", "--feeds", "3", "--rounds", "1"),
}
KEYS = {"name", "figure", "unit", "limit", "limit_is", "ratio", "reach", "aim", "met", "peers", "method", "machine"}


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_benchmark_prints_one_object(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="maille-") as folder:  # its path is short: sockets lie in it
        _run_and_look(name, folder)


def _run_and_look(name: str, folder: str) -> None:
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--json", *TINY[name]]
    env = os.environ | {DIRECTORY_VARIABLE: folder}
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr  # progress is for terminals alone
    told = json.loads(ran.stdout)
    assert told.keys() >= KEYS
    assert told["name"] == name
    assert told["figure"] > 0
    assert told["limit"] > 0
    assert told["ratio"] == pytest.approx(told["figure"] / told["limit"], rel=0.01)
    assert told["machine"].keys() == {"cpu", "cores", "python", "os"}
    assert not re.search(rf"{re.escape(folder)}|{re.escape(str(ROOT))}", ran.stdout)


def test_a_ledger_is_the_same_each_time() -> None:
    shape = Shape(entries=60, feeds=3, signers=4, batch=7, idle=1)
    once, again = (_bytes(shape) for _ in range(2))
    assert once == again
    assert len(once) == 60
    assert _bytes(Shape(entries=60, feeds=3, signers=4, batch=7, idle=1, seed=2)) != once


def test_every_entry_of_a_ledger_counts(tmp_path: Path) -> None:
    """A benchmark over void leaves would measure less than it says."""
    from ledger.tables import read_leaf
    from storage.disk import DiskStore

    shape = Shape(entries=90, feeds=3, signers=6, batch=10)
    fill(tmp_path / "store", shape.mesh(), shape)
    store = DiskStore(tmp_path / "store")
    with store.read() as rows:
        leaves = [read_leaf(row) for _, row in rows.scan("entries", b"")]
    store.close()
    assert len(leaves) == 90 + 3 * 4
    assert not [leaf for leaf in leaves if leaf.void]
    assert max(leaf.iat_max for leaf in leaves) < LATER


def _bytes(shape: Shape) -> list[bytes]:
    mesh = shape.mesh()
    list(mesh.founding())
    return [raw for run, _ in runs(mesh, shape) for raw in run.raws]
