"""What the items of a bundle prove by themselves and about each other, before anybody's policy or clock is asked.

How it works
    `Evidence` is built in steps, in this order; a step that fails raises `Refused`, and the bundle is refused:
      mesh         the genesis has the pinned hash
      entries      every entry is well formed, signed, of this mesh; one grant, and ends of no other
      keys         a device's key is certified by its member's root key, and shows possession
      checkpoints  each is signed by the feed's own certified key
      inclusion    each entry is a leaf under its checkpoint
      state        each tick: maps, frontier and attestations bind one another; the second tick extends the first
      references   each item was used by one of these steps
    Every look-up marks the item it used. What was never marked serves nothing, and refuses the bundle.
    A member is *rooted* when the genesis lists its root key, or a rooted member's certified device admitted its
    signed application: nobody who was never let in can pose as a witness, whatever map it invents.

What it does not do
    It does not say how many witnesses are enough, what time it is, or what the person consented to (verify).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from typing import Final

from ledger import keys, merkle
from ledger.checkpoint import Head, verify_head
from ledger.consent.status import Party, State, carried_grant
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.epoch import EVALUATOR_VERSION, Genesis
from ledger.governance.members import possession_message
from ledger.maps import state_root
from ledger.replica import digest_of
from proofs.bundle import Bundle, SignedCheckpoint, TickProof
from proofs.policy import Witness
from proofs.report import Reason
from proofs.state import ConsentValue, MemberValue, Refused, check_presence, consent_value, member_value

_SIGNATURE_CODES: Final = frozenset({"BAD_SIGNATURE", "WEAK_KEY", "WITHDRAW_NOT_YOURS"})


@dataclass(frozen=True, slots=True)
class TickEvidence:
    """One tick, its maps checked. `witnesses`: who attested it; `rooted`: those among them that are rooted."""

    boundary: int
    frontier: dict[bytes, Head]
    digest: bytes
    root: bytes
    consent: ConsentValue
    members: dict[bytes, MemberValue]
    witnesses: frozenset[Witness]
    rooted: frozenset[Witness]

    def holds(self, head: Head) -> bool:
        """Say whether this very head stands in the frontier."""
        return self.frontier.get(head.feed) == head


class Evidence:
    """A bundle under examination; the steps are called in the order of the table above."""

    def __init__(self, bundle: Bundle) -> None:
        """Begin with a decoded bundle, nothing checked."""
        self.bundle = bundle
        self.entries: tuple[Entry, ...] = ()
        self.ticks: tuple[TickEvidence, ...] = ()
        self._certificates: dict[bytes, int] = {}
        self._admissions: dict[Party, list[tuple[int, int]]] = {}
        self._used: set[int] = {0}
        self._seen_by_endings: set[Head] = set()
        self._shown: set[tuple[int, bytes]] = set()

    @property
    def grant(self) -> Entry:
        """The grant."""
        return self.entries[0]

    @property
    def endings(self) -> list[Entry]:
        """The withdrawals and revocations carried, each checked."""
        return [entry for entry in self.entries if entry.kind in ("consent.withdraw", "consent.revoke")]

    # mesh, entries, keys, checkpoints, inclusion

    def check_mesh(self, pinned: bytes) -> None:
        """Read the genesis, which must have the pinned hash."""
        raw = self.bundle.genesis
        if sha256(raw).digest() != pinned:
            raise Refused(Reason.WRONG_MESH, f"the genesis is {sha256(raw).digest().hex()}, pinned is {pinned.hex()}")
        try:
            self.genesis = Genesis.read(Entry.decode(raw))
        except RemoteError as error:
            raise _refusal(error, "genesis") from None
        self._founders = {keys.thumbprint(root) for root, _ in self.genesis.founders}

    def check_entries(self) -> None:
        """Decode every entry, the signature included."""
        entries = []
        for at, item in enumerate(self.bundle.entries):
            try:
                entry = Entry.decode(item.raw)
            except RemoteError as error:
                raise _refusal(error, f"entry {at}") from None
            if entry.mesh_id != self.genesis.mesh_id:
                raise Refused(Reason.WRONG_MESH, f"entry {at} was made for another mesh")
            if (entry.kind == "consent.grant") != (at == 0):
                raise Refused(Reason.MALFORMED, f"entry {at} is a {entry.kind}; the grant comes first, and is one")
            entries.append(entry)
        self.entries = tuple(entries)
        for at, entry in enumerate(entries):
            if entry.kind in ("consent.withdraw", "consent.revoke"):
                self._check_ending(at, entry)

    def _check_ending(self, at: int, entry: Entry) -> None:
        try:
            named = carried_grant(entry).id if entry.kind == "consent.withdraw" else entry.payload["grant"]
        except RemoteError as error:
            raise _refusal(error, f"entry {at}") from None
        if named != self.grant.id:
            raise Refused(Reason.UNREFERENCED_ITEM, f"entry {at} ends another consent")
        self._seen_by_endings.update(entry.seen)

    def check_keys(self) -> None:
        """Check every device certificate, and sort the admissions."""
        applications: dict[bytes, int] = {}
        for at, entry in enumerate(self.entries):
            if entry.kind == "device.certify":
                self._certify(at, entry)
            elif entry.kind == "member.apply":
                applications[entry.id] = at
        admissions: dict[Party, list[tuple[int, int]]] = defaultdict(list)
        for at, entry in enumerate(self.entries):
            if entry.kind == "member.admit" and entry.payload["application"] in applications:
                found = applications[entry.payload["application"]]
                application = self.entries[found]
                party = (application.kid, application.payload["incarnation"])
                if entry.thing[1] == party[0] and entry.payload["incarnation"] == party[1]:
                    admissions[party].append((at, found))
        self._admissions = dict(admissions)

    def _certify(self, at: int, entry: Entry) -> None:
        device = entry.payload["device"]
        feed = keys.thumbprint(device)
        message = possession_message(self.genesis.mesh_id, entry.kid, entry.payload["incarnation"])
        try:
            keys.check_public_key(device)
        except RemoteError as error:
            raise _refusal(error, f"entry {at}") from None
        if entry.thing[1] != feed or not keys.verify(device, message, entry.payload["possession"]):
            raise Refused(Reason.BAD_SIGNATURE, f"entry {at} certifies a device key that did not agree to it")
        self._certificates[feed] = at  # a second one of the same device leaves the first without use

    def certificate(self, feed: bytes) -> Entry:
        """Return the certificate of a feed's device. Refuses when there is none."""
        at = self._certificates.get(feed)
        if at is None:
            raise Refused(Reason.BAD_SIGNATURE, f"no certificate proves the key of feed {feed.hex()[:16]}")
        self._used.add(at)
        return self.entries[at]

    def check_checkpoints(self) -> None:
        """Check the owner's signature of every checkpoint."""
        for at, item in enumerate(self.bundle.checkpoints):
            public = self.certificate(item.head.feed).payload["device"]
            head = item.head
            if not verify_head(
                public, self.genesis.mesh_id, head.feed, head.size, head.root, item.time, item.signature
            ):
                raise Refused(Reason.BAD_SIGNATURE, f"checkpoint {at} is not signed by its feed's key")

    def check_inclusion(self) -> None:
        """Check every entry's path."""
        for at, (item, entry) in enumerate(zip(self.bundle.entries, self.entries, strict=True)):
            head = self.checkpoint_of(at).head
            leaf = merkle.leaf_hash(entry.id)
            if not merkle.verify_inclusion(leaf, item.index, head.size, item.path, head.root):
                raise Refused(Reason.BAD_INCLUSION, f"entry {at} ({entry.kind}) is not under its checkpoint")

    def checkpoint_of(self, at: int) -> SignedCheckpoint:
        """Return the checkpoint that holds entry `at`."""
        return self.bundle.checkpoints[self.bundle.entries[at].checkpoint]

    # state

    def check_state(self) -> None:
        """Check every tick, that they follow each other, and that all they speak of is carried."""
        ticks: list[TickEvidence] = []
        for number, proof in enumerate(self.bundle.ticks):
            ticks.append(self._tick(number, proof))
        self.ticks = tuple(ticks)
        for older, newer in pairwise(ticks):
            check_extends(older, newer)
        if not ticks[0].holds(self.checkpoint_of(0).head):
            raise Refused(Reason.BAD_INCLUSION, "the grant is not under the frontier of the first tick")
        self._check_owners()
        self._check_endings()

    def _tick(self, number: int, proof: TickProof) -> TickEvidence:
        if proof.evaluator_version != self.genesis.evaluator_version or proof.evaluator_version > EVALUATOR_VERSION:
            raise Refused(Reason.BAD_STATE_PROOF, f"tick {number} was evaluated by rules that are not the mesh's")
        grant = self.grant
        check_presence(grant.id, proof.consent, proof.consent_map[1], f"tick {number}: the consent")
        members: dict[bytes, MemberValue] = {}
        for kid, presence in proof.members:
            check_presence(kid, presence, proof.member_map[1], f"tick {number}: member {kid.hex()[:16]}")
            members[kid] = member_value(presence.value)
        consent = consent_value(proof.consent.value, grant)
        digest = digest_of(proof.frontier)
        root = state_root(proof.member_map, proof.consent_map, proof.evaluator_version)
        frontier = {head.feed: head for head in proof.frontier}
        for checkpoint in self.bundle.checkpoints:
            if frontier.get(checkpoint.head.feed) == checkpoint.head and checkpoint.time > proof.boundary:
                raise Refused(Reason.BAD_STATE_PROOF, f"tick {number} counts a checkpoint that is dated after it")
        tick = TickEvidence(proof.boundary, frontier, digest, root, consent, members, frozenset(), frozenset())
        witnesses, rooted = set(), set()
        for at in proof.attestations:
            witness, party = self._attestation(number, at, tick)
            witnesses.add(witness)
            if self.is_rooted(party):
                rooted.add(witness)
        return replace(tick, witnesses=frozenset(witnesses), rooted=frozenset(rooted))

    def _attestation(self, number: int, at: int, tick: TickEvidence) -> tuple[Witness, Party]:
        """Return who attested the tick by entry `at`, and when: the time of the checkpoint that holds it."""
        entry, item, checkpoint = self.entries[at], self.bundle.entries[at], self.checkpoint_of(at)
        told = {"boundary": tick.boundary, "frontier": tick.digest, "state_root": tick.root}
        if entry.kind != "state.attestation" or any(entry.payload[name] != value for name, value in told.items()):
            raise Refused(Reason.BAD_STATE_PROOF, f"entry {at} does not attest tick {number}")
        own = any(head.feed == entry.kid and head.size == item.index for head in entry.seen)
        if checkpoint.head.feed != entry.kid or not own or entry.iat < tick.boundary:
            raise Refused(Reason.BAD_STATE_PROOF, f"entry {at} does not attest from its place in its signer's feed")
        certificate = self.certificate(entry.kid)
        party = self._owner(number, entry.kid, tick.members)
        if not tick.members[party[0]].is_member:
            raise Refused(Reason.BAD_STATE_PROOF, f"entry {at} attests tick {number} for one who was not a member")
        self._used.add(at)
        return Witness(certificate.payload["device"], party[0], max(entry.iat, checkpoint.time)), party

    def _owner(self, number: int, feed: bytes, members: dict[bytes, MemberValue]) -> Party:
        """Return whose feed it is under tick `number`: certificate and member map must agree."""
        certificate = self.certificate(feed)
        party = (certificate.kid, certificate.payload["incarnation"])
        member = members.get(party[0])
        if member is None or member.incarnation != party[1] or feed not in member.feeds:
            raise Refused(Reason.BAD_STATE_PROOF, f"tick {number} does not show whose feed {feed.hex()[:16]} is")
        self._shown.add((number, party[0]))
        return party

    def is_rooted(self, party: Party) -> bool:
        """Say whether the genesis, or a chain of admissions from it, made the party a member; marks the chain."""
        chain: set[int] = set()
        visited = {party}
        while not (party[1] == 1 and party[0] in self._founders):
            step = next(iter(self._inviters(party)), None)
            if step is None or step[0] in visited:
                return False
            party, used = step
            visited.add(party)
            chain.update(used)
        self._used |= chain
        return True

    def _inviters(self, party: Party) -> Iterator[tuple[Party, set[int]]]:
        for admit_at, application_at in self._admissions.get(party, ()):
            admit, application = self.entries[admit_at], self.entries[application_at]
            certified = self._certificates.get(admit.kid)
            if certified is None or application.payload["expires"] < admit.iat:
                continue
            certificate = self.entries[certified]
            inviter = (certificate.kid, certificate.payload["incarnation"])
            if tuple(application.payload["inviter"]) == inviter:
                yield inviter, {admit_at, application_at, certified}

    def _check_owners(self) -> None:
        """Every checkpoint's feed belongs to whom the state says: in each tick that counts it, else in any."""
        for at, item in enumerate(self.bundle.checkpoints):
            counting = [number for number, tick in enumerate(self.ticks) if tick.holds(item.head)]
            if not counting:
                kid = self.certificate(item.head.feed).kid
                counting = [number for number, tick in enumerate(self.ticks) if kid in tick.members][-1:]
            if not counting:
                raise Refused(Reason.BAD_STATE_PROOF, f"no tick shows whose checkpoint {at} is")
            for number in counting:
                self._owner(number, item.head.feed, self.ticks[number].members)

    def _check_endings(self) -> None:
        """What ends the consent is carried, logged below a tick that says so, and named by it."""
        for number, tick in enumerate(self.ticks):
            ended = tick.consent.ended
            kind = "consent.withdraw" if tick.consent.state is State.WITHDRAWN else "consent.revoke"
            found = 0
            for at, entry in enumerate(self.entries):
                if not ended or entry.kind != kind or entry.id not in tick.consent.decided_by:
                    continue
                if not any(older.holds(self.checkpoint_of(at).head) for older in self.ticks[: number + 1]):
                    raise Refused(Reason.BAD_INCLUSION, f"entry {at} is not under the frontier of tick {number}")
                if kind == "consent.revoke":
                    self._check_revoker(number, at, entry)
                self._used.add(at)
                found += 1
            if ended and found < len(set(tick.consent.decided_by)):
                raise Refused(Reason.BAD_STATE_PROOF, f"tick {number} names an end of the consent that is not carried")

    def _check_revoker(self, number: int, at: int, entry: Entry) -> None:
        for party in (self.grant.payload["holder"], self.grant.payload["recipient"]):
            if len(party) == 2:
                member = self.ticks[number].members.get(party[0])
                if entry.kid == party[0] or (member is not None and entry.kid in member.feeds):
                    return
        raise Refused(Reason.BAD_STATE_PROOF, f"entry {at} revokes, but is signed by no party of the consent")

    # references

    def check_references(self) -> None:
        """Refuse what no step used: entries, checkpoints, member proofs."""
        for at, entry in enumerate(self.entries):
            if at not in self._used:
                raise Refused(Reason.UNREFERENCED_ITEM, f"entry {at}: this {entry.kind} serves no check")
        holding = {item.checkpoint for item in self.bundle.entries}
        for at, item in enumerate(self.bundle.checkpoints):
            if at not in holding and item.head not in self._seen_by_endings:
                raise Refused(Reason.UNREFERENCED_ITEM, f"checkpoint {at} holds no entry")
        parties = {party[0] for party in (self.grant.payload["holder"], self.grant.payload["recipient"])}
        for number, tick in enumerate(self.ticks):
            for kid in tick.members:
                if kid not in parties and (number, kid) not in self._shown:
                    raise Refused(Reason.UNREFERENCED_ITEM, f"tick {number}: member {kid.hex()[:16]} serves no check")


def _refusal(error: RemoteError, item: str) -> Refused:
    reason = Reason.BAD_SIGNATURE if error.code in _SIGNATURE_CODES else Reason.MALFORMED
    return Refused(reason, f"{item}: {error}")


def check_extends(older: TickEvidence, newer: TickEvidence) -> None:
    """Refuse a second tick whose feeds shrank or changed, or in which the consent's end is gone."""
    for feed, head in older.frontier.items():
        later = newer.frontier.get(feed)
        if later is None or later.size < head.size or (later.size == head.size and later.root != head.root):
            raise Refused(Reason.BAD_STATE_PROOF, f"the second tick takes back what feed {feed.hex()[:16]} held")
    if older.consent.ended and not newer.consent.ended:
        raise Refused(Reason.BAD_STATE_PROOF, "the second tick takes back the end of the consent")
