"""One mesh of a node on disk and in memory: who we are in it, its stores, its engine.

| in `meshes/NAME` | what |
|---|---|
| `standing.json` | who we are in this mesh, and whom we know from the ticket (`Standing`) |
| `ledger/`, `vault/` | the stores (storage/disk.py) |

How it works
    A mesh is made beside its place, whole, with its first entries signed and durable, and renamed into it: it is there
    or it is not. `open_mesh` opens the stores and builds the core and its engine; the daemon runs them.
    A store that came from a backup is not run: its device may have signed more than the backup knows, and signing on
    would fork its feed. Such a mesh waits for `maille device recover`.

What it does not do
    It dials nobody and starts no task.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from gossip.handshake import Identity
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError
from ledger.governance.epoch import Genesis
from ledger.governance.members import Party, possession_message
from ledger.keys import SigningKey
from ledger.replica import Replica
from node.admission import Admission
from node.bell import Bell
from node.core import Core, Noted, RandomBytes
from node.directory import NEWS
from node.engine import Clock, Engine, Verifier
from node.flows.changing import NOTE
from node.flows.computing import NOTE as RESULT_ASKED
from node.flows.family import Flows, WayOut
from node.peering import MeshRuntime
from node.tables import Links
from node.tenants import Tenants
from storage.backup import is_restored
from storage.disk import DiskStore
from storage.pages import sync_directory
from storage.vault import VAULT_TABLES, Vault

STANDING: Final = "standing.json"
STANDING_BYTES_MAX: Final = 65_536


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who we are in one mesh. Keys in hexadecimal. Written when we join, and again when we join anew.

    `guide`: the device that let us in, with its addresses: it is dialed while we know no member yet.
    """

    root: str
    incarnation: int
    mesh_id: str
    guide: str = ""
    addresses: tuple[str, ...] = ()

    @property
    def party(self) -> Party:
        """Ourselves, as entries name us."""
        return bytes.fromhex(self.root), self.incarnation


def rejoining(name: str, incarnation: int) -> str:
    """Return under which name the device key of a coming incarnation waits until its standing is written."""
    return f"rejoining-{name}.{incarnation}"


@dataclass(slots=True)
class Mesh:
    """One mesh, open. `engine.act` and `engine.read` are the way to its state; `flows` its data.

    `bell` rings when a consent began or ended, or data arrived: once that is durable.
    """

    name: str
    path: Path
    standing: Standing
    store: DiskStore
    vault_store: DiskStore
    vault: Vault
    core: Core
    flows: Flows
    engine: Engine
    runtime: MeshRuntime
    bell: Bell

    @property
    def mesh_id(self) -> bytes:
        """The mesh's id."""
        return self.core.replica.mesh_id

    @property
    def signed_at(self) -> int:
        """When our device last signed its feed, unix seconds by the clock of then; 0 for never."""
        head = self.core.replica.signed_head(self.core.device.kid)
        return 0 if head is None else head.time

    def vouch(self) -> None:
        """Trust the device that let us in, until the ledger says who is a member, and know where it is."""
        if self.standing.guide:
            guide = bytes.fromhex(self.standing.guide)
            self.core.vouched.add(guide)
            self.runtime.hints[guide] = self.standing.addresses

    def close(self) -> None:
        """Close the stores."""
        self.vault.close()
        self.store.close()


@dataclass(frozen=True, slots=True)
class Making:
    """What every mesh of a node is opened with. `tenants`: those whose keys the node keeps. The rest: see `Flows`."""

    vault_key: bytes
    clock: Clock
    random_source: random.Random
    random_bytes: RandomBytes
    tenants: Tenants
    probes_a_day: int = 0
    pending_evidence: bool = False
    links: Links | None = None
    spread_seconds: int = 0
    way_out: WayOut | None = None


def local_name(name: str, taken: Callable[[str], bool]) -> str:
    """Return a free local name made from a mesh's own name: small letters, digits, hyphens."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:30] or "mesh"
    found, number = plain, 2
    while taken(found):
        found, number = f"{plain}-{number}", number + 1
    return found


def make_mesh(
    path: Path,
    standing: Standing,
    genesis: Genesis,
    making: Making,
    founding: tuple[SigningKey, SigningKey, str] | None,
) -> None:
    """Make the directory of a mesh, whole or not at all.

    `founding`: (root, device, name) of a founder, who certifies the device and accepts; the genesis' signer registers
    it. None for a member that joins and will be sent everything. Raises LocalError MESH_EXISTS, and as the store does.
    """
    if path.exists():
        raise LocalError("MESH_EXISTS", f"There is a mesh in {path} already; choose another name.")
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(mode=0o700)
        _write_standing(partial, standing)
        store = DiskStore(partial / "ledger")
        vault_store = DiskStore(partial / "vault", VAULT_TABLES)
        try:
            Vault(vault_store, making.vault_key, making.random_bytes)
            with store.write() as rows:
                replica = Replica.create(rows, genesis)
                if founding is not None:
                    _found(rows, replica, *founding, standing, making)
        finally:
            vault_store.close()
            store.close()
        sync_directory(partial)
        partial.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        raise LocalError("DISK_IO", f"{path} cannot be made: {error.strerror}.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _found(
    rows: Any, replica: Replica, root: SigningKey, device: SigningKey, name: str, standing: Standing, making: Making
) -> None:
    core = Core(replica, device, standing.party, random_source=making.random_source, random_bytes=making.random_bytes)
    turn = core.take(rows, None, making.clock())
    if replica.genesis.entry.kid == root.kid:
        turn.register(replica.genesis.entry)
    turn.register(certify(root, device, replica, rows, standing.incarnation, turn.now, making.random_bytes))
    turn.state("genesis.accept", ("member", root.kid), {"name": name} if name else {})
    turn.finish()


def certify(
    root: SigningKey,
    device: SigningKey,
    replica: Replica,
    rows: Any,
    incarnation: int,
    now: int,
    random_bytes: RandomBytes,
    predecessor: bytes | None = None,
) -> Entry:
    """Return the root key's certificate of a device; `predecessor`: the feed whose last held state it succeeds."""
    payload: dict[str, Any] = {
        "device": device.public,
        "incarnation": incarnation,
        "possession": device.sign(possession_message(replica.mesh_id, root.kid, incarnation)),
    }
    seen = [replica.position(predecessor or device.kid)]
    if predecessor is not None:
        payload["predecessor"] = [seen[0].feed, seen[0].size, seen[0].root]
    return sign_entry(
        root,
        "device.certify",
        ("device", device.kid),
        payload,
        iat=max(now, replica.closure_iat(rows, seen, replica.members.epoch)),
        cti=random_bytes(16),
        seen=seen,
        mesh_id=replica.mesh_id,
        epoch=replica.members.epoch,
    )


def read_standing(path: Path) -> Standing:
    """Read who we are in the mesh at `path`. Raises LocalError MESH_DAMAGED."""
    file = path / STANDING
    try:
        with file.open("rb") as reading:
            return msgspec.json.decode(reading.read(STANDING_BYTES_MAX), type=Standing)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        told = f"{file} cannot be read ({error}); restore this mesh from a backup."
        raise LocalError("MESH_DAMAGED", told) from None


def write_standing(path: Path, standing: Standing) -> None:
    """Replace who we are in the mesh at `path`, whole."""
    _write_standing(path, standing)
    sync_directory(path)


def _write_standing(path: Path, standing: Standing) -> None:
    young = path / f".{STANDING}.partial"
    with young.open("wb") as file:
        file.write(msgspec.json.encode(standing))
        file.flush()
        os.fsync(file.fileno())
    young.replace(path / STANDING)


def restored(path: Path) -> bool:
    """Say whether the ledger at `path` came from a backup and its device may therefore not sign."""
    store = DiskStore(path / "ledger", create=False, journal=True)
    try:
        with store.read() as rows:
            return is_restored(rows)
    finally:
        store.close()


def open_mesh(
    name: str,
    path: Path,
    identity: Identity,
    making: Making,
    *,
    verifier: Verifier | None,
    on_membership: Callable[[Mesh], None],
) -> Mesh:
    """Open a mesh's stores and build its engine, which the caller runs. Raises LocalError as the stores do."""
    standing = read_standing(path)
    store = DiskStore(path / "ledger", create=False, journal=True)
    vault_store: DiskStore | None = None
    try:
        vault_store = DiskStore(path / "vault", VAULT_TABLES, create=False)
        vault = Vault(vault_store, making.vault_key, making.random_bytes)
        with store.read() as rows:
            replica = Replica.load(rows)
        core = Core(
            replica,
            identity.device,
            standing.party,
            random_source=making.random_source,
            random_bytes=making.random_bytes,
            workers=verifier is not None,
        )
        core.strangers = Admission()
        flows = Flows(
            vault.blind,
            making.random_source,
            making.tenants,
            probes_a_day=making.probes_a_day,
            way_out=making.way_out,
            pending_evidence=making.pending_evidence,
            links=making.links,
            spread_seconds=making.spread_seconds,
        )
        core.data = flows
        log = structlog.get_logger("mesh").bind(mesh=name)
        bell = Bell()

        def noted(effect: Noted) -> None:
            log.info(effect.code, **effect.fields)
            if effect.code in (NOTE, RESULT_ASKED):
                bell.ring()
            elif effect.code == NEWS and opened:
                opened[0].runtime.wake.set()  # whoever looks for members to dial looks now

        opened: list[Mesh] = []
        engine = Engine(
            core,
            store,
            vault,
            making.clock,
            verifier=verifier,
            on_membership=lambda: on_membership(opened[0]),
            on_noted=noted,
        )
    except BaseException:
        if vault_store is not None:
            vault_store.close()
        store.close()
        raise
    runtime = MeshRuntime(name, engine, identity)
    opened.append(Mesh(name, path, standing, store, vault_store, vault, core, flows, engine, runtime, bell))
    opened[0].vouch()
    return opened[0]
