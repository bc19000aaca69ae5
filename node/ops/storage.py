"""Operations on the room that a node takes: how much, and giving back what it does not need.

How it works
    `show` reads the sizes of files, beside a running node or without one. `compact` works on a node that is stopped
    (node/compacting.py): the files of a running one are in use.

What it does not do
    It shortens no ledger and destroys no data: `maille erasure run` destroys what is due.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated

from node.config import Home
from node.operation import Args, Local, Nothing, Result, local_operation, said
from node.ops.ledger import one_mesh
from node.room import Room, mesh_bytes

if TYPE_CHECKING:
    from pathlib import Path


class CompactArgs(Args, frozen=True):
    """What to compact."""

    dry_run: Annotated[bool, said("Only say what would go; nothing is changed.")] = False
    mesh: Annotated[str, said("One mesh alone, by its local name.")] = ""


class RoomRow(Result, frozen=True):
    """The room that one mesh takes."""

    mesh: Annotated[str, said("The mesh's name here.")]
    ledger_bytes: Annotated[int, said("Files of the ledger.")]
    vault_bytes: Annotated[int, said("Files of the vault.")]
    free_bytes: Annotated[int, said("Free pages in both: about what compacting gives back.")]


class RoomTaken(Result, frozen=True):
    """The room that a node takes."""

    quota_bytes: Annotated[int, said("What all may take together; 0: no quota is set.")]
    used_bytes: Annotated[int, said("What all take together.")]
    share: Annotated[float, said("Which part of the quota that is; 0 without one.")]
    full: Annotated[bool, said("Whether readings and others' packs are refused with QUOTA_FULL.")]
    meshes: Annotated[tuple[RoomRow, ...], said("Each mesh.")]


class CompactedRow(Result, frozen=True):
    """What compacting did to one mesh."""

    mesh: Annotated[str, said("The mesh's name here.")]
    ledger_before: Annotated[int, said("Bytes of the ledger's file before.")]
    ledger_after: Annotated[int, said("Bytes of it after; when rehearsed, about.")]
    vault_before: Annotated[int, said("Bytes of the vault's file before.")]
    vault_after: Annotated[int, said("Bytes of it after; when rehearsed, about, and at most.")]
    cosignatures: Annotated[int, said("Superseded cosignatures that went.")]
    checkpoints: Annotated[int, said("Checkpoints that no later tick needs.")]
    disclosures: Annotated[int, said("Sealed contents of erased consents that waited for a reader.")]
    transfers: Annotated[int, said("Rows of transfers of which nothing is held any more.")]
    frontier: Annotated[str, said("Digest of the frontier: the same before and after.")]
    state_root: Annotated[str, said("Root of the committed state: the same before and after.")]


class Compacted(Result, frozen=True):
    """What compacting did."""

    rehearsed: Annotated[bool, said("Whether nothing was changed.")]
    before_bytes: Annotated[int, said("The files of all meshes before.")]
    after_bytes: Annotated[int, said("The files of all meshes after.")]
    meshes: Annotated[tuple[CompactedRow, ...], said("Each mesh.")]


@local_operation("storage", "show", permission="read")
def storage_show(local: Local, args: Nothing) -> RoomTaken:  # noqa: ARG001 - an operation without arguments
    """Show how much room the ledgers and vaults take, of which quota, and how much of it is free inside the files."""
    home = Home(local.data_dir)
    config = home.config()
    room = Room(home, lambda: config.storage.quota_bytes)
    rows = tuple(RoomRow(name, *mesh_bytes(home, name), _free(home.mesh(name))) for name in home.mesh_names())
    used = room.used
    return RoomTaken(room.quota, used, round(used / room.quota, 4) if room.quota else 0.0, room.full, rows)


def _free(path: Path) -> int:
    """Return how many bytes of a mesh's files are free pages."""
    from ledger.rows import TABLES
    from storage.disk import DiskStore
    from storage.vault import VAULT_TABLES

    total = 0
    for part, tables in (("ledger", TABLES), ("vault", VAULT_TABLES)):
        store = DiskStore(path / part, tables, create=False, read_only=True)
        try:
            with store.read() as rows:
                total += max(0, store.size_bytes() - rows.used_bytes())
        finally:
            store.close()
    return total


@local_operation("storage", "compact", permission="admin", keys=True)
def storage_compact(local: Local, args: CompactArgs) -> Compacted:
    """Drop what is superseded or was erased, and rewrite the files without free pages. The node must be stopped.

    Roots and proofs are the same before and after. It needs as much free room as the largest file while it works.
    """
    from node.compacting import compact
    from node.keystore import VAULT, Keystore
    from node.rekeying import finish

    home = Home(local.data_dir)
    names = [one_mesh(home, args.mesh)] if args.mesh else home.mesh_names()
    made = []
    with home.lock():
        keys = Keystore(home.keys, os.urandom)
        keys.unlock(local.passphrase() if keys.sealed else None)
        finish(home, keys)  # a change of the vaults' key that a crash cut off
        for name in names:
            one = compact(home.mesh(name), keys.secret(VAULT), int(time.time()), rehearse=args.dry_run)
            rows = (one.cosignatures, one.checkpoints, one.disclosures, one.transfers)
            made.append(CompactedRow(name, *one.ledger, *one.vault, *rows, one.frontier, one.state_root))
    before = sum(row.ledger_before + row.vault_before for row in made)
    after = sum(row.ledger_after + row.vault_after for row in made)
    return Compacted(args.dry_run, before, after, tuple(made))
