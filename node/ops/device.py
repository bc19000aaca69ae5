"""The operation `device recover`: put a mesh that was restored from a backup to work again.

How it works
    A backup may be older than what its device has signed since; signing on with that device would show two histories,
    a fork. So the root key certifies a new device that takes over where the backup ends, and a member that can be
    reached registers the certificate. Then the mesh runs, and fetches from the others what the backup does not hold.

What it does not do
    What the old device permitted after the backup was made counts no longer: the successor begins where the backup
    ends. What it restricted (withdrawals, refusals) counts as ever. A mesh of one has nobody who could register the
    certificate, and cannot be recovered: make another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ledger.errors import LocalError
from node.exits import not_found
from node.operation import Args, Result, operation, said
from node.ops.mesh import ROOT_KEY, ROOT_PASSPHRASE

if TYPE_CHECKING:
    from ledger.replica import Replica
    from node.daemon import Node
    from node.mesh import Standing


class RecoverArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said("Its name on this node.", positional=True)]
    root_key: Annotated[bytes | None, said(ROOT_KEY, content=True)] = None
    root_passphrase: Annotated[str | None, said(ROOT_PASSPHRASE, secret=True, beside="root_key")] = None


class Recovered(Result, frozen=True):
    """The new device."""

    mesh: Annotated[str, said("The mesh's name here.")]
    device: Annotated[str, said("The new device, which is our new feed.")]
    predecessor: Annotated[str, said("The device it takes over from.")]
    size: Annotated[int, said("How many entries of the old device the new one takes over.")]
    registered_by: Annotated[str, said("The device of the member that registered the certificate.")]


def _predecessor(replica: Replica, standing: Standing) -> bytes:
    """Return our last device. Raises LocalError NOT_A_MEMBER."""
    devices = [device for device in replica.members.devices.values() if device.party == standing.party]
    if not devices or not replica.members.is_member(standing.party):
        told = "The backup does not hold our membership; apply for a new one with a ticket."
        raise LocalError("NOT_A_MEMBER", told)
    return max(devices, key=lambda device: (device.reach, device.feed)).feed


@operation("device", "recover", permission="admin")
async def device_recover(node: Node, args: RecoverArgs) -> Recovered:
    """Have a new device certified for a mesh that was restored from a backup, and run the mesh again."""
    from gossip.handshake import Identity
    from ledger.replica import Replica
    from node.admission import CERTIFIED
    from node.directory import Directory
    from node.joining import hand_in
    from node.keystore import STATIC, device_name
    from node.mesh import certify, read_standing
    from storage.backup import clear_restored
    from storage.disk import DiskStore

    if args.mesh not in node.waiting:
        raise not_found(f"No restored mesh {args.mesh!r} waits here; see `maille node status`.", "mesh")
    path = node.home.mesh(args.mesh)
    standing, root = read_standing(path), node.root_key(args.root_key, args.root_passphrase)
    if root.kid.hex() != standing.root:
        raise LocalError("KEY_WRONG", "This is not the root key with which the mesh was joined.", field="root_key")
    young = device_name(f"recovering-{args.mesh}")
    device = node.keys.signing(young) if node.keys.has(young) else node.keys.new_device(f"recovering-{args.mesh}")
    store = DiskStore(path / "ledger", create=False)
    try:
        with store.read() as rows:
            replica = Replica.load(rows)
            old = _predecessor(replica, standing)
            head = replica.position(old)
            certificate = certify(
                root, device, replica, rows, standing.incarnation, node.now, node.random_bytes, predecessor=old
            )
            doors = {card.device: card.addresses for card in Directory().cards(rows) if card.device != old}
            if standing.guide:
                doors.setdefault(bytes.fromhex(standing.guide), standing.addresses)
        identity = Identity(device, node.keys.secret(STATIC))
        by = await hand_in(node.network, doors, identity, replica.mesh_id, [certificate], CERTIFIED, node.random_bytes)
        node.keys.rename(young, device_name(args.mesh))
        with store.write() as writer:
            clear_restored(writer)
    finally:
        store.close()
    del node.waiting[args.mesh]
    await node.add_mesh(args.mesh)
    return Recovered(args.mesh, device.kid.hex(), old.hex(), head.size, by.hex())
