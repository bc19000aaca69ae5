"""COSE receipts (RFC 9942) of entries, and entries with receipts attached (transparent statements, RFC 9943).

How it works
    A receipt is a COSE_Sign1 over the root of a feed's tree, which the verifier rebuilds from the leaf and the
    inclusion proof in the unprotected header (396). The leaf's entry is the entry's id, SHA-256 of its bytes with an
    empty unprotected header, as everywhere in the ledger. Protected: alg, kid, CWT claims (the issuing device, the
    feed's origin, the time), typ, 395 = 1 (RFC9162_SHA256), and LABEL_TREE_SIZE.

    RFC 9942 signs the root alone, and a proof may give the same root under another size: index 2 of 8 leaves does so
    for 5, 6 and 7 too. So the size stands beside it under a private label, signed. A verifier that does not know that
    label verifies inclusion, and must not rely on the size.

    The owner's own checkpoints are C2SP cosignatures and no COSE: a receipt is signed afresh, by the device that
    exports it, for its own feed or as a witness of another's that it holds whole.

What it does not do
    It does not look whether the entry counts. A receipt is no statement of the ledger: it has another alg, no mesh id,
    and can be taken for no entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ledger import codec, merkle
from ledger.checkpoint import Head, origin
from ledger.errors import LocalError, RemoteError
from ledger.keys import SigningKey, did_key

ALG_EDDSA: Final = -8
"""EdDSA as RFC 9053 has it. RFC 9864 deprecates it for -19, which the verifiers of receipts do not know yet."""
LABEL_RECEIPTS: Final = 394
LABEL_VDS: Final = 395
LABEL_VDP: Final = 396
VDS_RFC9162_SHA256: Final = 1
VDP_INCLUSION: Final = -1
LABEL_TREE_SIZE: Final = -70003
"""Private: the signed size of the tree, in leaves."""
RECEIPT_TYP: Final = "application/scitt-receipt+cose"


def cose_receipt(
    key: SigningKey, mesh_id: bytes, entry_id: bytes, head: Head, index: int, path: Sequence[bytes], now: int
) -> bytes:
    """Return a receipt by `key` that the entry is leaf `index` below `head`. `now`: unix seconds.

    Raises LocalError BAD_RECEIPT unless the path leads from the entry to the head's root.
    """
    leaf = merkle.leaf_hash(entry_id)
    if not merkle.verify_inclusion(leaf, index, head.size, path, head.root):
        raise LocalError("BAD_RECEIPT", "the path does not lead from the entry to this head")
    protected = codec.encode(
        {
            1: ALG_EDDSA,
            4: key.kid,
            15: {1: did_key(key.public), 2: origin(mesh_id, head.feed), 6: now},
            16: RECEIPT_TYP,
            LABEL_VDS: VDS_RFC9162_SHA256,
            LABEL_TREE_SIZE: head.size,
        }
    )
    signature = key.sign(codec.encode(["Signature1", protected, b"", head.root]))
    proof = codec.encode([head.size, index, list(path)])
    return codec.encode_sign1([protected, {LABEL_VDP: {VDP_INCLUSION: [proof]}}, None, signature])


def transparent_statement(raw: bytes, receipts: Sequence[bytes]) -> bytes:
    """Return an entry with receipts in its unprotected header. The entry's id is that of the bytes without them.

    Raises RemoteError BAD_STATEMENT when `raw` is no entry, or has an unprotected header already.
    """
    try:
        parts: list[Any] = list(codec.decode_sign1(raw))
    except RemoteError as error:
        raise RemoteError("BAD_STATEMENT", f"this is no entry: {error.message}") from None
    if parts[1] != {}:
        raise RemoteError("BAD_STATEMENT", "the entry has an unprotected header already")
    parts[1] = {LABEL_RECEIPTS: list(receipts)}
    return codec.encode_sign1(parts)
