"""Operations on devices: list them, certify a successor of ours, retire one, recover after a restore.

How it works
    One feed of a member governs at a time. `certify` makes a fresh device, whose certificate is the last entry of the
    old one's feed, and goes on with it; links and consents name the member and stay. `retire` ends a device where it
    stands: also from elsewhere, with the root key, when a machine was stolen.

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
from ledger.governance.roster import UNBOUNDED
from ledger.keys import did_key
from node.exits import not_found
from node.naming import PREFIX_DIGITS_MIN, find_member, member_name
from node.operation import Args, Result, operation, said
from node.ops.mesh import ROOT_KEY, ROOT_PASSPHRASE, WHICH
from node.stating import statement

if TYPE_CHECKING:
    from ledger.governance.roster import Device
    from ledger.replica import Replica
    from node.core import Turn
    from node.daemon import Node
    from node.mesh import Mesh, Standing


class DeviceRow(Result, frozen=True):
    """A device, which is a feed."""

    id: Annotated[str, said("Its id, which is its feed's.")]
    did: Annotated[str, said("Its did:key.")]
    member: Annotated[str, said("Whose it is.")]
    state: Annotated[
        str, said("speaks; ended (retired, succeeded, left, cut or forked); waits (its member is not in).")
    ]
    counts: Annotated[int | None, said("For how many of its entries the feed counts; none: for all there will be.")]
    held: Annotated[int, said("How many of them are held here.")]
    sealed: Annotated[int, said("How many of them a seal covers.")]
    own: Annotated[bool, said("Whether it is this node's.")]


class DevicesArgs(Args, frozen=True):
    """Which mesh, and whose."""

    member: Annotated[str, said("The devices of this member alone: name, did:key, or the beginning of its id.")] = ""
    all: Annotated[bool, said("The devices of all members.")] = False
    mesh: Annotated[str, said(WHICH)] = ""


class Devices(Result, frozen=True):
    """Devices."""

    devices: Annotated[tuple[DeviceRow, ...], said("Each device.")]


class CertifyArgs(Args, frozen=True):
    """In which mesh."""

    mesh: Annotated[str, said(WHICH, positional=True)] = ""
    root_key: Annotated[bytes | None, said(ROOT_KEY, content=True)] = None
    root_passphrase: Annotated[str | None, said(ROOT_PASSPHRASE, secret=True, beside="root_key")] = None


class Certified(Result, frozen=True):
    """The device that this node goes on with."""

    mesh: Annotated[str, said("The mesh's name here.")]
    device: Annotated[str, said("The new device, which is our new feed.")]
    predecessor: Annotated[str, said("The device it took over from.")]
    size: Annotated[int, said("How many entries of the old device count.")]


class RetireArgs(Args, frozen=True):
    """Which device."""

    device: Annotated[str, said("A device of ours: its id, or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""
    root_key: Annotated[bytes | None, said(ROOT_KEY, content=True)] = None
    root_passphrase: Annotated[str | None, said(ROOT_PASSPHRASE, secret=True, beside="root_key")] = None


class Retired(Result, frozen=True):
    """The device that was retired."""

    entry: Annotated[str, said("Id of the entry.")]
    device: Annotated[DeviceRow, said("How it stands now.")]


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


def device_row(mesh: Mesh, device: Device) -> DeviceRow:
    """Return a device's row."""
    replica = mesh.core.replica
    speaks = replica.members.speaks(device.feed)
    bounded = device.reach != UNBOUNDED
    return DeviceRow(
        device.feed.hex(),
        did_key(device.public),
        member_name(replica.members, device.party),
        "speaks" if speaks else "ended" if bounded else "waits",
        device.reach if bounded else None,
        replica.size(device.feed),
        replica.chain.newest.floor(device.feed),
        device.feed == mesh.core.device.kid,
    )


@operation("device", "list", permission="read")
async def device_list(node: Node, args: DevicesArgs) -> Devices:
    """List our devices, or those of others: which speak, and how far each feed counts."""
    mesh = node.mesh(args.mesh)
    members = mesh.core.replica.members
    party = find_member(members, args.member).party if args.member else mesh.core.party
    found = [d for _, d in sorted(members.devices.items()) if args.all or d.party[0] == party[0]]
    return Devices(tuple(device_row(mesh, device) for device in found))


@operation("device", "certify", permission="admin", confirm="Replace this node's device? The old one speaks no more.")
async def device_certify(node: Node, args: CertifyArgs) -> Certified:
    """Replace this node's device by a fresh one, which takes over where the old one ends.

    What the node is as a member, its links and its consents stay. To be done where a device's key may be known.
    """
    from node.governing import Scene, check_voice
    from node.keystore import device_name
    from node.mesh import certify, rejoining

    mesh, root = node.mesh(args.mesh), node.root_key(args.root_key, args.root_passphrase)
    core, standing = mesh.core, mesh.standing
    if root.kid != core.party[0]:
        raise LocalError("KEY_WRONG", "This is not the root key with which the mesh was joined.", field="root_key")
    young = f"succeeding-{mesh.name}"
    held = node.keys.has(device_name(young))
    device = node.keys.signing(device_name(young)) if held else node.keys.new_device(young)
    old = core.device.kid

    def say(turn: Turn) -> int:
        replica = turn.core.replica
        if device.kid not in replica.members.devices:  # else a former try was interrupted after this
            check_voice(Scene(turn))
            args_of = (root, device, replica, turn.rows, core.party[1], turn.now, turn.core.random_bytes)
            turn.register(certify(*args_of, predecessor=old))
        return replica.size(old)

    size = await mesh.engine.act(say)
    node.keys.rename(device_name(young), device_name(rejoining(mesh.name, core.party[1])))
    await node.rejoin_mesh(mesh, standing)
    return Certified(mesh.name, device.kid.hex(), old.hex(), size)


@operation("device", "retire", permission="admin", confirm="Retire this device? It will never speak for us again.")
async def device_retire(node: Node, args: RetireArgs) -> Retired:
    """Retire a device of ours: its feed counts as far as this node holds it, and no further.

    It is registered in the feed of the device that this node uses. A node does not retire that one: it certifies a
    successor instead.
    """

    mesh, root = node.mesh(args.mesh), node.root_key(args.root_key, args.root_passphrase)
    if root.kid != mesh.core.party[0]:
        raise LocalError("KEY_WRONG", "This is not the root key with which the mesh was joined.", field="root_key")

    def say(turn: Turn) -> Retired:
        replica, core = turn.core.replica, turn.core
        own = [d for d in replica.members.devices.values() if d.party[0] == core.party[0]]
        named = [d.feed for d in own if len(args.device) >= PREFIX_DIGITS_MIN and d.feed.hex().startswith(args.device)]
        if len(named) != 1:
            raise not_found(f"No device of ours, or more than one, is called {args.device!r}.", "device")
        if named[0] == core.device.kid:
            told = "This node speaks through this device; replace it with `maille device certify`."
            raise LocalError("DEVICE_IN_USE", told, field="device")
        head = replica.position(named[0])
        final = {"final": [head.feed, head.size, head.root]}
        entry = turn.register(statement(turn, root, "device.retire", ("device", named[0]), final))
        return Retired(entry.id.hex(), device_row(mesh, replica.members.devices[named[0]]))

    return await mesh.engine.act(say)


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
    node.keys.complete()
    young = device_name(f"recovering-{args.mesh}")
    device = node.keys.signing(young) if node.keys.has(young) else node.keys.new_device(f"recovering-{args.mesh}")
    store = DiskStore(path / "ledger", create=False, journal=True)
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
