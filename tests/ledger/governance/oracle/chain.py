"""Following certificates, as the independent model does it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import cbor2

from ledger import keys
from tests.ledger.governance.oracle.facts import FAR, Final, Held, Leaf
from tests.ledger.governance.oracle.members import Open


def _hash(value: Any) -> bytes:
    return hashlib.sha256(cbor2.dumps(value, canonical=True)).digest()


class Oracle:
    """The verdict on a set of entries. `founders`: (root, device) public keys."""

    def __init__(self, mesh_id: bytes, as_of: int, founders: Iterable[tuple[bytes, bytes]], leaves: Iterable[Leaf]):
        self.mesh_id, self.leaves = mesh_id, list(leaves)
        self.devices = {(keys.thumbprint(root), 1): device for root, device in founders}
        rules = {"admission": ["bilateral"], "shares": [], "ballot_days": 14, "suspenders": 2, "suspension_days": 14}
        voters = {party: keys.thumbprint(device) for party, device in self.devices.items()}
        self.first = Final(
            *(0, mesh_id, as_of, voters, self.devices, {mesh_id: (0, as_of)}),
            {mesh_id: (as_of, frozenset(voters), rules)},
            rules,
        )

    def verdict(self, held: Held) -> dict[str, Any]:
        """Return what stands: epoch, time, voters, who is in what state, who is out, and which links are up."""
        at = self.first
        while (after := self._next(at, held)) is not None:
            at = after
        sizes = {leaf.feed: held.size(leaf.feed) for leaf in self.leaves}
        return Open(self.devices, self.leaves, at, held, sizes).verdict()

    def _next(self, at: Final, held: Held) -> Final | None:
        for leaf in self.leaves:
            if leaf.entry.kind == "seal.certificate" and leaf.index < held.size(leaf.feed):
                after = self._follow(at, held, leaf.entry.payload["certificate"])
                if after is not None:
                    return after
        return None

    def _follow(self, at: Final, held: Held, raw: bytes) -> Final | None:
        _, sealed, round_, bitmap, blob = cbor2.loads(raw)
        epoch_raw, left, expelled, silent = cbor2.loads(sealed)
        epoch = cbor2.loads(epoch_raw)
        voters = sorted(at.voters)
        bits = int.from_bytes(bitmap, "little")
        if epoch["prev"] != at.ref or epoch["n"] != at.n + 1 or epoch["as_of"] <= at.as_of or bits >> len(voters):
            return None
        places = [place for place in range(len(voters)) if bits >> place & 1]
        digest = hashlib.sha256(b"maille/seal/value/v1\x00" + sealed).digest()
        said = [1, self.mesh_id, at.ref, at.n, round_, 2, digest, -1]
        message = b"maille/seal/vote/v1\x00" + cbor2.dumps(said, canonical=True)
        signed = [blob[64 * nth : 64 * nth + 64] for nth in range(len(places))]
        if not all(
            keys.verify(at.keys[voters[place]], message, each) for place, each in zip(places, signed, strict=True)
        ):
            return None
        frontier = self._frontier(at, held, epoch["frontier_digest"])
        if frontier is None:
            return None
        sizes = {feed: size for feed, (size, _) in frontier.items()}
        state = Open(self.devices, self.leaves, at, held, sizes)
        gone = [place for place, party in enumerate(voters) if party in state.left]
        out = [place for place, party in enumerate(voters) if party in state.cuts and place not in gone]
        out = out[: max(0, (len(voters) - len(gone) + 1) // 2 - 1)]
        rest = len(voters) - len(gone) - len(out)
        quorum = max(2 * rest // 3, (len(voters) - len(gone)) // 2) + 1
        if (left, expelled) != (gone, out) or len(places) < quorum or not set(places).isdisjoint({*gone, *out}):
            return None
        if any(size > state.holds.get(feed, FAR) for feed, size in sizes.items()):
            return None
        lost = {voters[place] for place in (*gone, *out, *silent)}
        ref = hashlib.sha256(epoch_raw).digest()
        return state.seal(ref, epoch["as_of"], lost, frontier)

    def _frontier(self, at: Final, held: Held, digest: bytes) -> dict[bytes, tuple[int, bytes]] | None:
        parts = [
            leaf for leaf in self.leaves if leaf.entry.kind == "seal.frontier" and leaf.index < held.size(leaf.feed)
        ]
        for feed in {leaf.feed for leaf in parts}:
            of_feed = [x.entry.payload for x in parts if x.feed == feed and x.entry.payload["digest"] == digest]
            for payload in of_feed:
                if payload["parts"] != 1:
                    continue  # small worlds have small frontiers
                heads = {**{f: (s, at.roots[f]) for f, s in at.sizes.items()}}
                heads |= {f: (size, root) for f, size, root in payload["heads"]}
                if _hash(sorted([f, size, root] for f, (size, root) in heads.items())) != digest:
                    continue
                whole = all(size <= held.size(f) and held.root(f, size) == root for f, (size, root) in heads.items())
                if whole and all(heads[f][0] >= size for f, size in at.sizes.items()) and self._grounded(at, heads):
                    return heads
        return None

    def _grounded(self, at: Final, heads: Mapping[bytes, tuple[int, bytes]]) -> bool:
        if at.n == 0:
            return True
        for leaf in self.leaves:
            if leaf.entry.kind == "seal.certificate" and leaf.index < heads.get(leaf.feed, (0, b""))[0]:
                epoch = cbor2.loads(cbor2.loads(leaf.entry.payload["certificate"])[1])[0]
                if hashlib.sha256(epoch).digest() == at.ref:
                    return True
        return False
