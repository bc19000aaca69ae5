"""startup: how soon a fresh process is a node again, and the memory it needs, with 100 000 and 1 000 000 entries.

How it works
    A store of each size is made once and kept. Three kinds of children then open it, in turns:
      bare    imports the modules of this benchmark, opens the store, reads one row: the limit;
      core    opens store, replica, ticker and core as well, and says how long each took;
      daemon  is `maille node run` on a data directory with that ledger: the figure. It is ready when it says so to
              systemd (READY=1), which this benchmark plays; then its RssAnon is read.
    Seconds count from the start of the process. The store is in the page cache, but for one run of the core.

What it does not do
    Keys are not sealed: argon2id would add its half second. The memory of pages of the store that are mapped is not
    RssAnon: the system takes it back when it wants.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from ledger.keys import SigningKey
from ledger.replica import Replica
from node.config import Config, Home
from node.core import Core
from node.keystore import Keystore
from node.mesh import Standing, write_standing
from storage.disk import DiskStore
from storage.vault import VAULT_TABLES, Vault
from tests.benchmarks import measure
from tests.benchmarks.corpus import Mesh, Shape, kept_store, with_tick
from tests.benchmarks.measure import Result

READY_SECONDS: Final = 2.0
MEMORY_MB: Final = 150.0
READY_SECONDS_MAX: Final = 120.0  # a daemon that takes longer is given up
MESH: Final = "bench"
COMMAND: Final = "from node.cli import main; main()"


def opened(path: Path, *, whole: bool) -> None:
    """Open a store in this process, barely or as a core; print what it took (the whole life of a child)."""
    parts, begun = {}, time.perf_counter()

    def mark(part: str) -> None:
        nonlocal begun
        parts[part], begun = time.perf_counter() - begun, time.perf_counter()

    store = DiskStore(path, read_only=True)
    with store.read() as rows:
        rows.get("meta", b"mesh")
        mark("store")
        if whole:
            replica = Replica.load(rows)
            mark("replica")
            source = random.Random(1)
            device = SigningKey.from_seed(bytes(32))
            core = Core(replica, device, (bytes(32), 1), random_source=source, random_bytes=source.randbytes)
            core.ticker.load(rows)
            mark("core")
    print(json.dumps({"parts": parts, "anonymous": measure.anonymous_bytes()}), flush=True)


def start(path: Path, mode: str) -> dict[str, Any]:
    """Start a child and return what it told, with the seconds from its start to that."""
    begun = time.perf_counter()
    process = measure.child("startup", mode, str(path))
    told: dict[str, Any] = json.loads(process.stdout.readline() if process.stdout else "{}")
    told["ready"] = time.perf_counter() - begun
    process.communicate()
    return told


def data_directory(path: Path, store: Path, mesh: Mesh) -> Home:
    """Make a node's data directory around a store: it is the mesh's last founder, who stated little."""
    home = Home(path)
    home.create(Config(name="benchmark", listen=("127.0.0.1:0",)))
    keys = Keystore.create(home.keys, None, os.urandom)
    Keystore(home.keys, lambda _: mesh.devices[-1].seed).new_device(MESH)  # not a new one: the founder's
    place = home.mesh(MESH)
    place.mkdir(mode=0o700)
    vault = DiskStore(place / "vault", VAULT_TABLES)
    Vault(vault, keys.secret("vault"), os.urandom)
    vault.close()
    (place / "ledger").symlink_to(store, target_is_directory=True)
    write_standing(place, Standing(mesh.roots[-1].kid.hex(), 1, mesh.genesis.mesh_id.hex()))
    return home


def daemon(home: Home) -> dict[str, Any]:
    """Run the node's own command until it is ready, then stop it; return the seconds and its memory."""
    told = home.path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(told))
        listening.settimeout(READY_SECONDS_MAX)
        command = [sys.executable, "-c", COMMAND, "node", "run", "--data-dir", str(home.path)]
        env = os.environ | {"NOTIFY_SOCKET": str(told)}
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=measure.ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while listening.recv(100) != b"READY=1":
                pass
            ready = time.perf_counter() - begun
            return {"ready": ready, "anonymous": measure.anonymous_bytes(process.pid)}
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            told.unlink()


def forget_pages(path: Path) -> bool:
    """Drop the store's file from the page cache; False where the system cannot."""
    if not hasattr(os, "posix_fadvise"):
        return False
    descriptor = os.open(path / "data.mdb", os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return True


def one_size(entries: int, feeds: int, rounds: int) -> dict[str, Any]:
    """Measure one size."""
    mesh, path = kept_store(Shape(entries, feeds, idle=1))
    with_tick(path)
    found: dict[str, list[dict[str, Any]]] = {"bare": [], "core": [], "daemon": []}
    with measure.workspace() as folder:
        home = data_directory(folder / "home", path, mesh)
        for number in range(rounds):
            measure.progress(f"{entries} entries, round {number + 1} of {rounds}")
            found["bare"].append(start(path, "--bare"))
            found["core"].append(start(path, "--core"))
            found["daemon"].append(daemon(home))
    best = {kind: min(told, key=lambda one: float(one["ready"])) for kind, told in found.items()}
    cold = start(path, "--core")["ready"] if forget_pages(path) else None
    return {
        "entries": entries,
        "feeds": feeds,
        "ready_s": {kind: told["ready"] for kind, told in best.items()} | {"core_cold": cold},
        "core_parts_s": best["core"]["parts"],
        "rss_anon_mb": {kind: _megabytes(told["anonymous"]) for kind, told in best.items()},
        "store_mb": (path / "data.mdb").stat().st_size / 1e6,
    }


def _megabytes(count: int | None) -> float | None:
    return None if count is None else count / 1e6


def bench(options: argparse.Namespace) -> Result:
    """Measure readiness and memory at each size."""
    found = [one_size(int(size), options.feeds, options.rounds) for size in options.entries.split(",")]
    largest = found[-1]
    slow = max(told["ready_s"]["daemon"] for told in found)
    memory, ready, bare = largest["rss_anon_mb"]["daemon"], largest["ready_s"]["daemon"], largest["ready_s"]["bare"]
    met = None if memory is None else slow < READY_SECONDS and memory < MEMORY_MB
    return Result(
        name="startup",
        what=f"`maille node run` holding {' and '.join(str(told['entries']) for told in found)} entries, until ready",
        figure=ready,
        unit="s",
        limit=bare,
        limit_is="the interpreter, the imports, the same store opened, one row read",
        ratio=ready / bare,
        reach="ready in less than 2 s, RssAnon less than 150 MB at 1 000 000 entries",
        aim="the same",
        met=met if largest["entries"] >= 1_000_000 else None,
        peers={"hypercore 11.37.1": "395 MB RSS after replicating 100 000 (both sides in one process)"},
        method=f"{options.rounds} rounds of bare, core and daemon in turns, best of each; store in the page cache",
        details={"rss_anon_mb": memory, "sizes": found},
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--entries", default="100000,1000000", help="sizes, separated by commas")
    parser.add_argument("--feeds", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    parser.add_argument("--core", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> Result:
    """Measure, unless this is a child."""
    if options.bare or options.core:
        opened(Path(options.bare or options.core), whole=options.core is not None)
        raise SystemExit(0)
    return bench(options)


if __name__ == "__main__":
    measure.main(run, describe)
