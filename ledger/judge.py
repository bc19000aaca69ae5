"""The verdict on one leaf: sound, or void with a code (ledger.md §3, §4).

How it works
    Every rule is a pure function of the entry's bytes and of its own feed below it, so the verdict is the same on
    every node and for ever, whatever else a node holds and in whatever order it came:
      F1 an entry belongs to this mesh (a genesis is the mesh's own);
      F2 an entry that a device signs stands in that device's own feed, and names the feed's size and root at
         signing: the signature fixes the position, so a device cannot claim an older view without a fork;
      F3 a permissive entry of the feed's own device is not dated before any sound entry below it, and a certificate
         not before the epoch that it certifies (`as_of`): whoever has seen it is dated after both;
      F4 what an entry carries is sound: a withdrawal its grant and what makes another key hers, a revocation its
         delegation, a fork proof its checkpoints, a certificate the
         device key's own signature.
    The rest of "no `iat` before any in its closure" looks at other feeds, which may not be held yet: the fold asks
    it where it asks whether `seen` is held (`Held.resolves`), and of permissive entries alone; there too it asks that a
    governance entry is not dated before the epoch that it names (`members.Counting`).

What it does not do
    Whether a sound leaf has an effect is the fold's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger import fork, keys
from ledger.checkpoint import Head
from ledger.consent.standing import carried_delegation, carried_grant
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.members import possession_message
from ledger.governance.register import seal_of
from ledger.kinds import KINDS, is_restrictive
from ledger.schema import Signer

SOUND: Final = ""  # the verdict of a leaf that is not void


def judge(
    entry: Entry,
    mesh_id: bytes,
    feed: bytes,
    index: int,
    root: bytes,
    iat_max: int,
    is_verified: Callable[[bytes], bool] = lambda _: False,
) -> str:
    """Return SOUND, or the code of the first rule that the entry breaks as leaf `index` of `feed`.

    `entry`: its signature is verified. `root`: the feed's root at size `index`; asked for only where the feed's own
    device signed. `iat_max`: the largest iat of the sound leaves below. `is_verified(id)`: whether an
    entry with that id was verified before: it changes the cost of F4, never the verdict.
    """
    if (entry.mesh_id or entry.id) != mesh_id:
        return "VOID_OTHER_MESH"
    row = KINDS.get(entry.kind)
    own = entry.kid == feed
    if row is not None and row.signer is Signer.DEVICE and not own:
        return "VOID_NOT_SELF_REGISTERED"
    if own and Head(feed, index, root) not in entry.seen:
        return "VOID_WRONG_POSITION"
    if own and entry.iat < iat_max and not is_restrictive(entry.kind):
        return "VOID_BACKDATED"
    return _carried(entry, mesh_id, is_verified)


def _carried(entry: Entry, mesh_id: bytes, is_verified: Callable[[bytes], bool]) -> str:
    match entry.kind:
        case "consent.withdraw":
            try:
                carried_grant(entry, is_verified)
            except RemoteError:
                return "VOID_WITHDRAWAL"
        case "delegation.revoke":
            try:
                carried_delegation(entry, is_verified)
            except RemoteError:
                return "VOID_REVOCATION"
        case "fork.proof":
            try:
                hold = fork.check(entry.payload, mesh_id)
            except RemoteError:
                return "VOID_FORK_PROOF"
            if entry.thing[1] != hold.feed:
                return "VOID_FORK_PROOF"
        case "device.certify":
            device, incarnation = entry.payload["device"], entry.payload["incarnation"]
            message = possession_message(mesh_id, entry.kid, incarnation)
            if entry.thing[1] != keys.thumbprint(device) or not _signed(device, message, entry.payload["possession"]):
                return "VOID_POSSESSION"
        case "seal.certificate":
            seal = seal_of(entry)
            if seal is not None and entry.iat < seal.epoch.as_of:
                return "VOID_BEFORE_EPOCH"
        case _:
            pass
    return SOUND


def _signed(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        keys.check_public_key(public)
    except RemoteError:
        return False
    return keys.verify(public, message, signature)
