"""Attestations of a tick, small: a bundle carries what the tick does not say already (README, attestation).

How it works
    Every `state.attestation` of one tick has the same payload and thing, and names the same mesh. So a bundle holds
    signer, time, random id, heads seen and signature, and the signed bytes are built again here: any other byte, and
    the signature fails.

What it does not do
    It does not ask where the attestation is logged: the signature alone binds its signer to it.
"""

from __future__ import annotations

from ledger import codec
from ledger.entry import Entry
from ledger.header import Header, encode_header
from ledger.keys import did_key, thumbprint
from proofs.bundle import Attestation

KIND = "state.attestation"


def raw_of(
    attestation: Attestation, public: bytes, mesh_id: bytes, boundary: int, frontier: bytes, state_root: bytes
) -> bytes:
    """Return the bytes of the entry. `public`: the signer's device key; `frontier`: the tick's digest."""
    thing = ("tick", boundary.to_bytes(8, "big"))
    kid, did = thumbprint(public), did_key(public)
    header = Header(KIND, public, kid, thing, attestation.iat, attestation.cti, attestation.seen, mesh_id, None)
    payload = codec.encode({"boundary": boundary, "frontier": frontier, "state_root": state_root})
    return codec.encode_sign1([encode_header(header, did), {}, payload, attestation.signature])


def of_entry(entry: Entry, feed: bytes) -> Attestation | None:
    """Return the small form of an attestation; None for one that could not be built again from it."""
    small = Attestation(feed, entry.iat, entry.cti, entry.seen, entry.signature)
    told = entry.payload
    if entry.kind != KIND or entry.mesh_id is None or entry.kid != feed:
        return None
    raw = raw_of(small, entry.signer, entry.mesh_id, told["boundary"], told["frontier"], told["state_root"])
    return small if raw == entry.raw else None
