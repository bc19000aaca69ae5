"""A workshop for false bundles: feeds, maps and attestations made from nothing, with members' real keys."""

from __future__ import annotations

import random
from typing import Any

from ledger import codec, merkle
from ledger.checkpoint import Head, sign_head
from ledger.entry import Entry, sign_entry
from ledger.governance.members import possession_message
from ledger.keys import SigningKey
from ledger.maps import CONSENTS, MEMBERS, CommittedMap, state_root
from ledger.replica import digest_of
from proofs.bundle import Attestation, Bundle, Logged, Presence, SignedCheckpoint, TickProof
from proofs.policy import MemberQuorum
from proofs.report import Report
from storage.memory import MemoryStore
from tests.proofs.both import verify
from tests.proofs.mesh import Mesh, Party

NOW = 1_800_000_500
BOUNDARY = NOW - 100


class Forge:
    """One lying founder, Aube, with her own feed and maps; tests bend one thing before `bundle` puts it together."""

    def __init__(self) -> None:
        self.mesh = Mesh()
        self.random = random.Random(7)
        self.mesh_id = self.mesh.genesis.mesh_id
        grant = self.mesh.grant()
        self.disclosures = grant.disclosures
        self.withdraw_key = grant.withdraw
        self.grant = grant.entry
        self.leaves: list[bytes] = [self.grant.raw, self.certify(self.mesh.a)]  # of Aube's feed
        self.carried: list[bytes] = list(self.leaves)
        self.members: dict[bytes, list[Any]] = {
            party.root.kid: [1, True, True, [party.device.kid]] for party in (self.mesh.a, self.mesh.b)
        }
        self.shown = sorted(self.members)
        self.consent: list[Any] = [1, self.grant.thing[1], self.grant.payload["valid_until"], [self.grant.id], []]
        self.told: dict[str, Any] = {}
        self.attested_at = BOUNDARY + 5
        self.attested_from: Head | None = None
        self.head_time = BOUNDARY - 5
        self.evaluator = 1
        self.more_heads: list[Head] = []
        self.late: list[bytes] = []  # logged after the tick, and carried
        self.more_checkpoints: list[SignedCheckpoint] = []

    def entry(
        self,
        key: SigningKey,
        kind: str,
        thing: tuple[str, bytes],
        payload: dict[str, Any],
        *,
        mesh_id: bytes | None = None,
        at: int | None = None,
        iat: int = BOUNDARY - 50,
        governs: bool = False,
        epoch: bytes | None = None,
        seen: Head | None = None,
    ) -> bytes:
        """Sign an entry; `at`: the place in Aube's feed that it names, unless it has `seen` another head.

        `governs`: it names an epoch, the mesh itself unless it is another.
        """
        mesh = mesh_id or self.mesh_id
        head = seen or Head(self.mesh.a.device.kid, at if at is not None else 1, bytes(32))
        made = sign_entry(
            key,
            kind,
            thing,
            payload,
            iat=iat,
            cti=self.random.randbytes(16),
            seen=[head],
            mesh_id=mesh,
            epoch=(epoch or mesh) if governs else None,
        )
        return made.raw

    def certify(
        self, party: Party, *, by: SigningKey | None = None, possession: bytes | None = None, **how: Any
    ) -> bytes:
        """Certify a device, soundly unless told otherwise."""
        root = by or party.root
        held = possession or party.device.sign(possession_message(self.mesh_id, root.kid, 1))
        payload = {"device": party.device.public, "incarnation": 1, "possession": held}
        return self.entry(root, "device.certify", ("device", party.device.kid), payload, governs=True, **how)

    def carry(self, raw: bytes) -> None:
        """Log an entry in Aube's feed and carry it."""
        self.leaves.append(raw)
        self.carried.append(raw)

    def bundle(self) -> bytes:
        """Put it all together, signed by Aube."""
        return self.parts().encode()

    def parts(self) -> Bundle:
        """Put it all together, as values."""
        a = self.mesh.a.device
        ids = [Entry.parse(raw).id for raw in self.leaves]
        first = Head(a.kid, len(ids), merkle.root_of([merkle.leaf_hash(ident) for ident in ids]))
        members, consents = CommittedMap(MEMBERS), CommittedMap(CONSENTS)
        with MemoryStore().write() as rows:
            members.update(rows, {kid: codec.encode(value) for kid, value in self.members.items()})
            consents.update(rows, {self.grant.id: codec.encode(self.consent)})
            places = [(kid, presence(*members.prove(rows, kid))) for kid in self.shown]
            consent = presence(*consents.prove(rows, self.grant.id))
        frontier = tuple(sorted([first, *self.more_heads], key=lambda head: head.feed))
        payload = {
            "boundary": BOUNDARY,
            "frontier": digest_of(frontier),
            "state_root": state_root(members.root(), consents.root(), self.evaluator),
            **self.told,
        }
        seen = self.attested_from or Head(a.kid, len(ids), first.root)
        attestation = self.entry(
            a, "state.attestation", ("tick", BOUNDARY.to_bytes(8, "big")), payload, iat=self.attested_at, seen=seen
        )
        told = Entry.parse(attestation)
        small = Attestation(a.kid, told.iat, told.cti, told.seen, told.signature)
        below = list(ids)
        ids.extend(Entry.parse(raw).id for raw in self.late)
        second = Head(a.kid, len(ids), merkle.root_of([merkle.leaf_hash(ident) for ident in ids]))
        heads = [(first, self.head_time), (second, BOUNDARY + 6)] if self.late else [(first, self.head_time)]
        signed = [SignedCheckpoint(head, time, sign_head(a, self.mesh_id, head, time, a.kid)) for head, time in heads]
        signed.extend(self.more_checkpoints)
        signed.sort(key=lambda item: (item.head.feed, item.head.size, item.head.root))
        numbers = [item.head for item in signed]
        logged = [self._logged(raw, below, numbers.index(first)) for raw in self.carried]
        logged += [self._logged(raw, ids, numbers.index(second)) for raw in self.late]
        grants = [item for item in logged if Entry.parse(item.raw).kind == "consent.grant"]
        entries = [item for item in logged if item not in grants]
        entries = [*sorted(grants, key=lambda item: item.id), *sorted(entries, key=lambda item: item.id)]
        tick = TickProof(
            BOUNDARY,
            frontier,
            members.root(),
            consents.root(),
            self.evaluator,
            ((0, consent),),
            tuple(places),
            (small,),
        )
        names = sorted(self.disclosures.fields, key=lambda name: list(self.disclosures.fields).index(name))
        return Bundle(
            self.mesh.genesis.entry.raw,
            tuple(entries),
            tuple(signed),
            (tick,),
            ((0, tuple((*self.disclosures.fields[name], name) for name in names)),),
        )

    def _logged(self, raw: bytes, ids: list[bytes], checkpoint: int) -> Logged:
        index = ids.index(Entry.parse(raw).id)
        path = merkle.inclusion_path([merkle.leaf_hash(ident) for ident in ids], index)
        return Logged(raw, checkpoint, index, tuple(path))

    def verify(self, bundle: bytes | None = None) -> Report:
        """Verify what was forged, as an auditor who asks for one member."""
        trust = self.mesh.trust(policy=MemberQuorum(1))
        return verify(bundle if bundle is not None else self.bundle(), trust, NOW)


def presence(value: bytes | None, proof: Any) -> Presence:
    """Return a map's proof as it stands in a bundle."""
    assert value is not None
    index, _, _, path = proof.leaves[0]
    return Presence(value, index, proof.bucket_size, path, proof.top_path)
