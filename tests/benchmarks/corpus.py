"""Ledgers of any size for the benchmarks: real keys, real signatures, the same bytes for the same parameters.

How it works
    `Shape` says how many entries, feeds and signers. `Mesh` derives the founders' keys from a seed and writes the
    genesis; `founding` yields the runs that make every founder a member, each linked with the next. `runs` then yields
    the entries, feed after feed in turns, `batch` leaves a run, each run under a checkpoint signed by its owner. Of ten
    entries seven are grants, two withdrawals of earlier grants of the same feed (they carry the grant whole), one an
    acknowledgement by the feed's device, which names its own position. Half of the signers grant, half withdraw.
    `kept_runs` and `kept_store` keep what they made, under a name that changes with the parameters and with the
    sources that decide the bytes.

What it does not do
    The slots of its grants are random bytes: as long as real ones, but nothing can be disclosed (the gate's benchmark
    makes its own). Times are invented, one second an entry.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger import checkpoint, kinds
from ledger.checkpoint import Head
from ledger.consent.kinds import SLOT_COUNT
from ledger.entry import Entry, sign_entry
from ledger.feed import Run, SignedHead
from ledger.governance.epoch import Genesis, Policy, make_genesis
from ledger.governance.members import Party, link_id, possession_message
from ledger.keys import SigningKey
from ledger.merkle import PeaksBuilder, leaf_hash
from ledger.replica import Replica
from ledger.tables import TICK_KEY
from ledger.ticks import Ticker
from storage.disk import DiskStore
from tests.benchmarks import measure

BEGUN: Final = 1_760_000_000  # unix seconds: the genesis
YEARS: Final = 3 * 365 * 86_400
LATER: Final = BEGUN + YEARS  # a clock that no entry is ahead of
QUIET: Final = Policy(tick_seconds=86_400, heartbeat_seconds=3_600)  # no beat and no tick falls into a measurement
_RENEWED_WITH: Final = ("entry", "kinds", "checkpoint", "merkle")
_STORED_BY: Final = (*_RENEWED_WITH, "tables", "index", "tree", "replica", "ticks", "maps")


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a ledger: entries beyond the founding, feeds they are spread over, keys of subjects, leaves a run.

    `idle`: founders beyond these feeds, who state nothing but their founding.
    """

    entries: int
    feeds: int = 10
    signers: int = 1_000
    batch: int = 1_000
    seed: int = 1
    idle: int = 0

    def mesh(self) -> Mesh:
        """Return a fresh mesh with the founders of this shape: one a feed, and `idle` ones whose feeds stay short."""
        return Mesh(self.feeds + self.idle, self.seed)


@dataclass(slots=True)
class Feed:
    """A feed being written: its device, its tree, and the newest checkpoint of it."""

    device: SigningKey
    party: Party
    tree: PeaksBuilder = field(default_factory=PeaksBuilder)
    signed: Head | None = None

    def head(self) -> Head:
        """Return the head as it is now: what its device names as its position."""
        return Head(self.device.kid, self.tree.size, self.tree.root())

    def shown(self) -> Head:
        """Return the newest checkpoint: what a subject was shown."""
        return self.signed or Head(self.device.kid, 0, PeaksBuilder().root())

    def close(self, mesh_id: bytes, entries: Sequence[Entry], time: int) -> Run:
        """Sign a checkpoint over entries that were added since the last one, and return the run."""
        head = self.signed = self.head()
        signature = checkpoint.sign_head(self.device, mesh_id, head, time, self.device.kid)
        signed = SignedHead(head.size, head.root, time, signature)
        return Run(self.device.kid, head.size - len(entries), tuple(entry.raw for entry in entries), signed)


class Mesh:
    """A mesh of `feeds` founders whose keys follow from `seed`."""

    def __init__(self, feeds: int, seed: int) -> None:
        self.random = random.Random(f"maille benchmark {seed}")
        self.roots = [self.key() for _ in range(feeds)]
        self.devices = [self.key() for _ in range(feeds)]
        self.parties: list[Party] = [(root.kid, 1) for root in self.roots]
        pairs = [(root.public, device.public) for root, device in zip(self.roots, self.devices, strict=True)]
        bytes16 = self.random.randbytes(16)
        self.genesis: Genesis = make_genesis(self.roots[0], "benchmark", pairs, QUIET, now=BEGUN, random16=bytes16)
        self.feeds = [Feed(device, party) for device, party in zip(self.devices, self.parties, strict=True)]

    def key(self) -> SigningKey:
        """Return the next key of this mesh's stream of randomness."""
        return SigningKey.from_seed(self.random.randbytes(32))

    def sign(
        self, key: SigningKey, kind: str, thing: tuple[str, bytes], payload: dict[str, Any], iat: int, seen: Head
    ) -> Entry:
        """Sign one entry of this mesh."""
        epoch = self.genesis.mesh_id if kinds.KINDS[kind].governance else None
        cti = self.random.randbytes(16)
        mesh_id = self.genesis.mesh_id
        return sign_entry(key, kind, thing, payload, iat=iat, cti=cti, seen=[seen], mesh_id=mesh_id, epoch=epoch)

    def founding(self) -> Iterator[tuple[Run, list[Entry]]]:
        """Yield one run a founder: its device certified, the genesis accepted, a link with the next founder."""
        mesh_id, count = self.genesis.mesh_id, len(self.feeds)
        for place, (root, feed) in enumerate(zip(self.roots, self.feeds, strict=True)):
            device = feed.device
            possession = device.sign(possession_message(mesh_id, *feed.party))
            said: list[tuple[SigningKey, str, tuple[str, bytes], dict[str, Any]]] = [
                (
                    root,
                    "device.certify",
                    ("device", device.kid),
                    {"device": device.public, "incarnation": 1, "possession": possession},
                ),
                (device, "genesis.accept", ("member", root.kid), {}),
            ]
            for other in sorted({(place + 1) % count, (place - 1) % count} - {place}):
                peer = self.parties[other]
                ends = {"from": list(feed.party), "to": list(peer)}
                said.append((device, "link.offer", ("link", link_id(feed.party, peer)), ends))
            entries = []
            for key, kind, thing, payload in said:
                entries.append(self.sign(key, kind, thing, payload, BEGUN, feed.head()))
                feed.tree.append(leaf_hash(entries[-1].id))
            yield feed.close(mesh_id, entries, BEGUN), entries


@dataclass(slots=True)
class Consents:
    """Grants, withdrawals and acknowledgements in one mesh, in a fixed order."""

    mesh: Mesh
    subjects: list[tuple[SigningKey, SigningKey]]
    standing: dict[bytes, list[tuple[Entry, SigningKey]]] = field(default_factory=dict)
    at: int = 0

    def next(self, feed: Feed) -> Entry:
        """Sign the next entry of a feed and add it to its tree."""
        step, self.at = self.at, self.at + 1
        granted = self.standing.setdefault(feed.device.kid, [])
        digit = step % 10
        if digit == 9 and granted:
            entry = self._acknowledge(feed, granted[-1][0])
        elif digit in (4, 8) and granted:
            entry = self._withdraw(feed, *granted.pop(0))
        else:
            entry, key = self._grant(feed)
            granted.append((entry, key))
        feed.tree.append(leaf_hash(entry.id))
        return entry

    def _grant(self, feed: Feed) -> tuple[Entry, SigningKey]:
        mesh, rng = self.mesh, self.mesh.random
        grants, withdraws = self.subjects[self.at % len(self.subjects)]
        payload = {
            "schema": 1,
            "holder": list(feed.party),
            "recipient": list(mesh.parties[self.at % len(mesh.parties)]),
            "valid_until": (BEGUN // 86_400 + 365) * 86_400,
            "notice": {"sha256": rng.randbytes(32), "dated": BEGUN},
            "slots": rng.randbytes(32 * SLOT_COUNT),
            "withdraw_key": withdraws.public,
        }
        thing = ("consent", rng.randbytes(16))
        return mesh.sign(grants, "consent.grant", thing, payload, BEGUN + self.at, feed.shown()), withdraws

    def _withdraw(self, feed: Feed, grant: Entry, key: SigningKey) -> Entry:
        payload = {"grant": grant.raw}
        return self.mesh.sign(key, "consent.withdraw", grant.thing, payload, BEGUN + self.at, feed.shown())

    def _acknowledge(self, feed: Feed, grant: Entry) -> Entry:
        payload = {"grant": grant.id, "entry": grant.id}
        return self.mesh.sign(feed.device, "consent.acknowledge", grant.thing, payload, BEGUN + self.at, feed.head())


def runs(mesh: Mesh, shape: Shape) -> Iterator[tuple[Run, list[Entry]]]:
    """Yield the entries of a shape as runs, the feeds in turns; call it after `mesh.founding()` has ended."""
    subjects = [(mesh.key(), mesh.key()) for _ in range(max(1, shape.signers // 2))]
    consents = Consents(mesh, subjects)
    each, rest = divmod(shape.entries, shape.feeds)
    left = [each + (place < rest) for place in range(shape.feeds)]
    while any(left):
        for place, feed in enumerate(mesh.feeds[: shape.feeds]):
            size = min(shape.batch, left[place])
            if size:
                left[place] -= size
                entries = [consents.next(feed) for _ in range(size)]
                yield feed.close(mesh.genesis.mesh_id, entries, BEGUN + consents.at), entries


# What is kept between runs of a benchmark


def kept_runs(shape: Shape) -> tuple[Mesh, list[Run], list[Run]]:
    """Return a fresh mesh, its founding runs and its runs; generated once, then read from the kept file."""
    mesh = shape.mesh()
    founding = [run for run, _ in mesh.founding()]
    file = measure.kept() / f"runs-{_name(shape, _RENEWED_WITH)}.msgpack"
    if not file.exists():
        measure.progress(f"signing {shape.entries} entries")
        made = [run for run, _ in runs(mesh, shape)]
        young = file.with_suffix(".partial")
        young.write_bytes(msgspec.msgpack.encode([[r.feed, r.start, r.raws, r.head.as_list()] for r in made]))
        young.replace(file)
    listed = msgspec.msgpack.decode(file.read_bytes())
    return mesh, founding, [Run(feed, start, tuple(raws), SignedHead(*head)) for feed, start, raws, head in listed]


def kept_store(shape: Shape) -> tuple[Mesh, Path]:
    """Return a fresh mesh and the folder of a store that holds all of its entries; do not write to it."""
    path = measure.kept() / f"store-{_name(shape, _STORED_BY)}"
    if not path.exists():
        young = path.with_suffix(".partial")
        shutil.rmtree(young, ignore_errors=True)
        fill(young, shape.mesh(), shape)
        young.rename(path)
    return shape.mesh(), path


def with_tick(path: Path) -> None:
    """Move a kept store's committed maps to a tick behind all of its entries, once: a real node has such a tick."""
    store = DiskStore(path)
    with store.read() as rows:
        done = rows.get("meta", TICK_KEY) is not None
        replica = Replica.load(rows)
    if not done:
        measure.progress("moving the committed maps")
        with store.write() as writer:
            Ticker(replica).move(writer, LATER)
    store.close()


def fill(path: Path, mesh: Mesh, shape: Shape) -> None:
    """Make a store and ingest a whole shape into it. The signatures were made here: they are not verified again."""
    store = DiskStore(path)
    with store.write() as rows:
        replica = Replica.create(rows, mesh.genesis)
        for run, entries in mesh.founding():
            replica.ingest(rows, run, LATER, entries)
    done = 0
    for run, entries in runs(mesh, shape):
        with store.write() as rows:
            replica.ingest(rows, run, LATER, entries)
        done += len(entries)
        if done % 50_000 < len(entries):
            measure.progress(f"stored {done} of {shape.entries} entries")
    store.close()


def _name(shape: Shape, modules: Sequence[str]) -> str:
    """Return a file name that changes with the shape, this module, and the ledger's modules that decide the bytes."""
    sources = [Path(__file__), *(measure.ROOT / "ledger" / f"{module}.py" for module in modules)]
    digest = hashlib.sha256(repr(sorted(asdict(shape).items())).encode())
    for source in sources:
        digest.update(source.read_bytes())
    return f"{shape.entries}-{shape.feeds}-{digest.hexdigest()[:16]}"
