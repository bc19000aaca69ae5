"""Operations on the ledger of a mesh: its roots, its size, and deriving all of it anew.

How it works
    `root` and `stats` ask the running node. `verify` reads the store itself, beside a running node or without one: it
    re-hashes every entry and re-derives every row (ledger/verify.py).

What it does not do
    Nothing is repaired: a damaged ledger is restored from a backup, or fetched anew from peers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from ledger.errors import LocalError
from ledger.ticks import attestations, contradictions
from node.config import Home
from node.exits import OK, REFUSED, not_found
from node.naming import device_owner, moment
from node.operation import Args, Local, Result, local_operation, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.mesh import Mesh


class LedgerArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class FeedRow(Result, frozen=True):
    """The head of one feed."""

    feed: Annotated[str, said("The feed, which is a device.")]
    member: Annotated[str, said("Whose it is.")]
    size: Annotated[int, said("How many leaves it has.")]
    root: Annotated[str, said("Its Merkle root.")]
    signed: Annotated[datetime | None, said("When its owner signed this head.")]


class Roots(Result, frozen=True):
    """What two nodes compare to know that they hold the same."""

    frontier: Annotated[str, said("Digest of every feed's head: equal digests, equal ledgers.")]
    feeds: Annotated[tuple[FeedRow, ...], said("The head of each feed.")]
    tick: Annotated[datetime | None, said("The newest tick computed here.")] = None
    state_root: Annotated[str, said("Hash of the committed state at that tick.")] = ""
    attested_by: Annotated[tuple[str, ...], said("Who attested exactly this state.")] = ()
    contradicted_by: Annotated[tuple[str, ...], said("Who attested another state of the same entries: a fault.")] = ()


class Stats(Result, frozen=True):
    """How large the ledger is."""

    entries: Annotated[int, said("Leaves, in all feeds together.")]
    feeds: Annotated[int, said("Feeds.")]
    members: Annotated[int, said("Members now.")]
    consents: Annotated[int, said("Consents in the committed state.")]
    ledger_bytes: Annotated[int, said("Size of the ledger's store.")]
    vault_bytes: Annotated[int, said("Size of the vault.")]
    map_used: Annotated[float, said("Which part of the store's address space is used, 0 to 1.")]


class Fault(Result, frozen=True):
    """Something that is not as it follows from the entries."""

    code: Annotated[str, said("Stable, in capital letters.")]
    message: Annotated[str, said("What is wrong.")]
    feed: Annotated[str, said("In which feed.")] = ""
    index: Annotated[int | None, said("At which leaf.")] = None


class Verified(Result, frozen=True):
    """What `ledger verify` found."""

    sound: Annotated[bool, said("Whether nothing was wrong.")]
    mesh: Annotated[str, said("The mesh's name here.")]
    feeds: Annotated[int, said("Feeds read.")]
    leaves: Annotated[int, said("Leaves re-hashed and verified.")]
    checkpoints: Annotated[int, said("Checkpoints verified.")]
    cosignatures: Annotated[int, said("Cosignatures of witnesses verified.")]
    state_root: Annotated[str, said("Of the committed state, rebuilt from nothing.")]
    faults: Annotated[tuple[Fault, ...], said("The first faults, if any.")]


def roots(turn: Turn, mesh: Mesh) -> Roots:
    """Return the roots of a mesh."""
    replica, tick = mesh.core.replica, mesh.core.ticker.tick
    rows = []
    for feed in sorted(replica.feeds):
        signed, held = replica.signed_head(feed), replica.position(feed)
        when = moment(signed.time) if signed is not None else None
        rows.append(FeedRow(feed.hex(), device_owner(replica.members, feed), held.size, held.root.hex(), when))
    digest = replica.frontier_digest().hex()
    if tick is None:
        return Roots(digest, tuple(rows))
    attested, others = (
        tuple(sorted(device_owner(replica.members, feed) for feed in found(turn.rows, replica, tick)))
        for found in (attestations, contradictions)
    )
    return Roots(digest, tuple(rows), moment(tick.boundary), tick.state_root.hex(), attested, others)


@operation("ledger", "root", permission="read")
async def ledger_root(node: Node, args: LedgerArgs) -> Roots:
    """Show the roots of the ledger: what two nodes compare."""
    mesh = node.mesh(args.mesh)
    return await mesh.engine.read(lambda turn: roots(turn, mesh))


@operation("ledger", "stats", permission="read")
async def ledger_stats(node: Node, args: LedgerArgs) -> Stats:
    """Show how large the ledger and the vault are."""
    mesh = node.mesh(args.mesh)
    return await mesh.engine.read(lambda turn: ledger_stats_of(turn, mesh))


def ledger_stats_of(turn: Turn, mesh: Mesh) -> Stats:
    """Return how large a mesh is."""
    members, tick = mesh.core.replica.members, mesh.core.ticker.tick
    return Stats(
        turn.rows.count("entries"),
        len(mesh.core.replica.feeds),
        sum(member.state == "member" for member in members.members.values()),
        tick.consents[0] if tick is not None else 0,
        mesh.store.size_bytes(),
        mesh.vault.size_bytes(),
        round(mesh.store.map_used_ratio(), 6),
    )


@local_operation("ledger", "verify", permission="read", exit_of=lambda found: OK if found.sound else REFUSED)
def ledger_verify(local: Local, args: LedgerArgs) -> Verified:
    """Derive the whole ledger anew from its entries, and name what does not fit. The node may run meanwhile."""
    from ledger.verify import verify_ledger
    from storage.disk import DiskStore

    home = Home(local.data_dir)
    name = one_mesh(home, args.mesh)
    store = DiskStore(home.mesh(name) / "ledger", create=False, read_only=True)
    try:
        with store.read() as rows:
            report = verify_ledger(rows, _progress(local))
    finally:
        store.close()
    faults = tuple(
        Fault(fault.code, fault.message, fault.feed.hex() if fault.feed else "", fault.index) for fault in report.faults
    )
    state_root = report.state_root.hex() if report.state_root else ""
    counts = report.feeds, report.leaves, report.checkpoints, report.cosignatures
    return Verified(report.sound, name, *counts, state_root, faults)


def _progress(local: Local) -> Callable[[int, int], None]:
    """Return what tells a person of each tenth that is done."""
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if total and done * 10 // total > told:
            told = done * 10 // total
            local.say(f"{done} of {total} entries verified")

    return tell


def one_mesh(home: Home, name: str) -> str:
    """Return the name of a mesh on disk: the one named, or the only one. Raises LocalError NOT_FOUND, MESH_UNCLEAR."""
    home.config()
    names = home.mesh_names()
    if name in names:
        return name
    if name or not names:
        known = f"; there are {', '.join(names)}" if names else ""
        raise not_found(f"There is no mesh {name!r} in {home.path}{known}.", "mesh")
    if len(names) > 1:
        raise LocalError("MESH_UNCLEAR", f"Say which mesh with --mesh; there are {', '.join(names)}.", field="mesh")
    return names[0]
