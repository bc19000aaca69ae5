"""C2SP tlog-proof@v1: that an entry stands in a feed, and which members have cosigned a tree that holds it.

How it works
    A text file: the index, the inclusion path from the leaf up, and the checkpoint with its cosignature lines. What is
    logged is the entry's id (32 bytes); the entry itself goes along as `extra`, so that a reader hashes it to the
    record. A C2SP verifier needs a `tlog-policy` beside it (`maille trust policy --logs`).

What it does not do
    It does not look whether the entry counts, and verifies no signature: whoever reads it does.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final

from ledger import merkle
from ledger.checkpoint import Checkpoint, Head, cosignature, origin
from ledger.errors import LocalError

VERSION_LINE: Final = "c2sp.org/tlog-proof@v1"

Line = tuple[bytes, int, bytes]
"""A signature of a head: device feed, unix seconds, 64 bytes."""


def tlog_proof(raw: bytes, entry_id: bytes, index: int, path: Sequence[bytes], note: Checkpoint) -> str:
    """Return the `.tlog-proof` of an entry under a checkpoint. `raw`: its bytes; they may be b"", then none go along.

    Raises LocalError BAD_PROOF unless the path leads from the entry to the checkpoint's root.
    """
    if not merkle.verify_inclusion(merkle.leaf_hash(entry_id), index, note.size, path, note.root):
        raise LocalError("BAD_PROOF", "the path does not lead from the entry to this checkpoint")
    lines = [VERSION_LINE, *([f"extra {_base64(raw)}"] if raw else []), f"index {index}", *map(_base64, path), ""]
    return "\n".join(lines) + "\n" + note.text()


def note_of(mesh_id: bytes, head: Head, lines: Sequence[Line], keys: Mapping[bytes, bytes]) -> Checkpoint:
    """Return a head as a signed note. `keys`: feed -> Ed25519 key; lines of a feed without one are left out."""
    known = [(feed, time, signature) for feed, time, signature in lines if feed in keys]
    made = [cosignature(mesh_id, feed, keys[feed], time, signature) for feed, time, signature in known]
    return Checkpoint(origin(mesh_id, head.feed), head.size, head.root, tuple(made))


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
