"""A consent with a transfer in the small mesh, its verified bundle, and where its grant is logged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ledger import tree
from ledger.checkpoint import Checkpoint, Head, sign_head
from ledger.entry import Entry
from ledger.keys import SigningKey
from proofs.exports.shown import Shown
from proofs.exports.tlog import note_of
from proofs.verify import verify
from tests.proofs.mesh import Grant, Mesh


@dataclass
class Scene:
    """The mesh; `path` leads from the grant, leaf `index`, to `head` of its feed."""

    mesh: Mesh = field(default_factory=Mesh)

    def __post_init__(self) -> None:
        """Grant, transfer, and attest before and after."""
        mesh = self.mesh
        self.grant: Grant = mesh.grant()
        mesh.now += 60
        self.first = mesh.tick(mesh.a, mesh.b)
        mesh.now += 100
        self.moved = mesh.move(self.grant, self.first.frontier)
        mesh.now += 60
        mesh.tick(mesh.a, mesh.b)
        replica = mesh.replica
        with mesh.store.read() as rows:
            ((number, self.index),) = replica.places(rows, self.grant.entry.id)
            self.feed = replica.feed_of(number)
            signed = replica.signed_head(self.feed)
            assert signed is not None
            self.signed, self.head = signed, Head(self.feed, signed.size, signed.root)
            self.path = tuple(tree.inclusion(rows, number, self.index, signed.size))

    @property
    def entry(self) -> Entry:
        """The grant's entry."""
        return self.grant.entry

    @property
    def mesh_id(self) -> bytes:
        """The mesh's id."""
        return self.mesh.genesis.mesh_id

    def devices(self) -> list[SigningKey]:
        """Return the members' device keys, the feed's owner first."""
        keys = [self.mesh.a.device, self.mesh.b.device, self.mesh.c.device]
        return sorted(keys, key=lambda key: key.kid != self.feed)

    def note(self, time: int = 1_800_000_500) -> Checkpoint:
        """Return the head's note, signed by its owner and cosigned by both others."""
        owner, *others = self.devices()
        lines = [(owner.kid, self.signed.time, self.signed.signature)]
        lines += [(key.kid, time, sign_head(key, self.mesh_id, self.head, time, key.kid)) for key in others]
        return note_of(self.mesh_id, self.head, lines, {key.kid: key.public for key in self.devices()})

    def shown(self, **how: Any) -> Shown:
        """Return the claims of a verified bundle. `how`: of `Mesh.prove`."""
        bundle = self.mesh.prove(self.grant, first=self.first.boundary, transfers=(self.moved,), **how)
        report = verify(bundle, self.mesh.trust(), self.mesh.now)
        return Shown.of(report.claims, self.mesh_id.hex(), report.bundle["sha256"])
