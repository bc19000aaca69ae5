"""Worlds to test the ledger in: members, devices, subjects and tenants who act, honestly or not.

How it works
    A `Scribe` is one feed as its owner writes it: it takes any bytes, right or wrong, and signs a checkpoint whenever
    it is told, so an adversary is written as easily as an honest node. A `World` holds the scribes of one mesh and
    makes sound entries for them. `deliver` brings what scribes wrote to a replica, in any order and in any pieces.
    Everything follows from numbers: the same calls give the same bytes.

What it does not do
    It has no opinion on what an entry means; the tests have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger import merkle
from ledger.checkpoint import Head, sign_head
from ledger.consent.kinds import SLOT_COUNT
from ledger.entry import Entry, sign_entry
from ledger.errors import RemoteError
from ledger.feed import Registration, Run, SignedHead
from ledger.governance.chain import fold
from ledger.governance.epoch import Genesis, Policy, make_genesis
from ledger.governance.members import Members, Party, link_id, possession_message
from ledger.keys import SigningKey
from ledger.kinds import KINDS
from ledger.merkle import PeaksBuilder, leaf_hash
from ledger.replica import Replica
from ledger.schema import DAY
from storage.memory import MemoryStore

NOW = 1_800_000_000
LATER = NOW + 10**7  # a clock by which nothing of a world lies ahead


def octets(*label: object, size: int = 32) -> bytes:
    """Return bytes that follow from a label."""
    return hashlib.shake_256(repr(label).encode()).digest(size)


def key(*label: object) -> SigningKey:
    """Return the key that follows from a label."""
    return SigningKey.from_seed(octets("key", *label))


class Scribe:
    """One feed as its owner writes it: bodies, tree, and the checkpoints signed so far."""

    def __init__(self, device: SigningKey, mesh_id: bytes) -> None:
        self.device, self.mesh_id = device, mesh_id
        self.raws: list[bytes] = []
        self.tree = PeaksBuilder()
        self.heads: list[SignedHead] = []

    @property
    def feed(self) -> bytes:
        """The feed's id."""
        return self.device.kid

    @property
    def leaves(self) -> list[bytes]:
        """The leaf hashes."""
        return [leaf_hash(hashlib.sha256(raw).digest()) for raw in self.raws]

    def head(self) -> Head:
        """Return where the feed stands."""
        return Head(self.feed, self.tree.size, self.tree.root())

    def add(self, *raws: bytes) -> None:
        """Add leaves, whatever they are."""
        self.raws += raws
        self.tree.extend(leaf_hash(hashlib.sha256(raw).digest()) for raw in raws)

    def sign(self, time: int, size: int | None = None) -> SignedHead:
        """Sign a checkpoint of the feed's first `size` leaves, and remember it."""
        size = len(self.raws) if size is None else size
        root = merkle.root_of(self.leaves[:size])
        head = Head(self.feed, size, root)
        signed = SignedHead(size, root, time, sign_head(self.device, self.mesh_id, head, time, self.feed))
        self.heads.append(signed)
        return signed

    def run(self, start: int, stop: int, head: SignedHead) -> Run:
        """Return a run under a checkpoint of size `stop` or more."""
        path = merkle.consistency_path(self.leaves, stop, head.size) if 0 < stop < head.size else []
        return Run(self.feed, start, tuple(self.raws[start:stop]), head, tuple(path))

    def branch(self, size: int) -> Scribe:
        """Return a second feed of the same device that shares the first `size` leaves: a fork."""
        twin = Scribe(self.device, self.mesh_id)
        twin.add(*self.raws[:size])
        twin.heads = [head for head in self.heads if head.size <= size]
        return twin


@dataclass
class Member:
    """An organisation: root key, party, and the feeds of its devices, the newest last."""

    root: SigningKey
    party: Party
    scribes: list[Scribe] = field(default_factory=list)

    @property
    def scribe(self) -> Scribe:
        """The feed it writes now."""
        return self.scribes[-1]


@dataclass
class Consent:
    """A grant with the keys that end it."""

    grant: Entry
    subject: SigningKey
    withdraw: SigningKey


class World:
    """One mesh: two founders, and whoever they let in. Times go up by themselves, a second an entry."""

    def __init__(self, label: object = 0, *, policy: Policy | None = None, founders: int = 2) -> None:
        self.label, self.now, self._count = label, NOW, 0
        pairs = [(key(label, "root", i), key(label, "device", i, 1)) for i in range(founders)]
        self.genesis: Genesis = make_genesis(
            pairs[0][0],
            "a world",
            [(root.public, device.public) for root, device in pairs],
            policy or Policy(),
            now=self.now,
            random16=octets(label, "mesh", size=16),
        )
        self.mesh_id = self.genesis.mesh_id
        self.epoch = self.mesh_id  # what governance entries name
        self.members: list[Member] = []
        self.consents: list[Consent] = []
        for root, device in pairs:
            member = Member(root, (root.kid, 1), [Scribe(device, self.mesh_id)])
            if not self.members:
                member.scribe.add(self.genesis.entry.raw)
            self.members.append(member)
            member.scribe.add(self.certificate(member, device).raw)
            self.write(member.scribe, "genesis.accept", ("member", root.kid), {})

    # Making entries

    def random(self, size: int) -> bytes:
        """Return the next bytes that nobody used."""
        self._count += 1
        return octets(self.label, "random", self._count, size=size)

    def sign(
        self,
        signer: SigningKey,
        kind: str,
        thing: tuple[str, bytes],
        payload: Mapping[str, Any],
        *,
        seen: Sequence[Head],
        iat: int | None = None,
        mesh_id: bytes | None = None,
    ) -> Entry:
        """Sign a statement of any kind."""
        self.now += 1
        governance = kind in KINDS and KINDS[kind].governance
        return sign_entry(
            signer,
            kind,
            thing,
            payload,
            iat=self.now if iat is None else iat,
            cti=self.random(16),
            seen=seen,
            mesh_id=mesh_id or self.mesh_id,
            epoch=self.epoch if governance else None,
        )

    def write(
        self, scribe: Scribe, kind: str, thing: tuple[str, bytes], payload: Mapping[str, Any], *others: Head
    ) -> Entry:
        """Let a device state something in its own feed, having seen that feed and `others`."""
        entry = self.sign(scribe.device, kind, thing, payload, seen=(scribe.head(), *others))
        scribe.add(entry.raw)
        return entry

    def certificate(
        self, member: Member, device: SigningKey, predecessor: Head | None = None, incarnation: int | None = None
    ) -> Entry:
        """Certify a device of a member."""
        number = member.party[1] if incarnation is None else incarnation
        payload: dict[str, Any] = {
            "device": device.public,
            "incarnation": number,
            "possession": device.sign(possession_message(self.mesh_id, member.root.kid, number)),
        }
        if predecessor is not None:
            payload["predecessor"] = [predecessor.feed, predecessor.size, predecessor.root]
        start = Head(device.kid, 0, merkle.EMPTY_ROOT)
        return self.sign(member.root, "device.certify", ("device", device.kid), payload, seen=(start,))

    def application(self, member: Member, inviter: Party, device: bytes, *, expires: int = LATER) -> Entry:
        """Let an applicant ask a member to admit it."""
        payload = {"incarnation": member.party[1], "inviter": list(inviter), "device": device, "expires": expires}
        start = Head(device, 0, merkle.EMPTY_ROOT)
        return self.sign(member.root, "member.apply", ("member", member.root.kid), payload, seen=(start,))

    def admission(self, scribe: Scribe, application: Entry, *others: Head) -> Entry:
        """Let a member's device admit an applicant, having seen `others` too."""
        payload = {"application": application.id, "incarnation": application.payload["incarnation"]}
        return self.write(scribe, "member.admit", ("member", application.kid), payload, *others)

    def join(
        self, inviter: Member, *, incarnation: int = 1, again: Member | None = None, admission_sees: Iterable[Head] = ()
    ) -> Member:
        """Bring in a new member, or one that left as a new incarnation."""
        number = len(self.members)
        root = again.root if again is not None else key(self.label, "root", number)
        member = Member(root, (root.kid, incarnation))
        device = key(self.label, "device", number, incarnation)
        application = self.application(member, inviter.party, device.kid)
        inviter.scribe.add(application.raw, self.certificate(member, device).raw)
        self.admission(inviter.scribe, application, *admission_sees)
        member.scribes.append(Scribe(device, self.mesh_id))
        self.members.append(member)
        return member

    def succeed(self, member: Member, registrar: Scribe, *, claim: int | None = None) -> Scribe:
        """Replace a member's device; `claim`: the size it says its predecessor ended at."""
        old = member.scribe
        size = len(old.raws) if claim is None else min(claim, len(old.raws))
        device = key(self.label, "heir", old.feed, self.random(4))
        final = Head(old.feed, size, merkle.root_of(old.leaves[:size]))
        registrar.add(self.certificate(member, device, final).raw)
        member.scribes.append(Scribe(device, self.mesh_id))
        return member.scribe

    def link(self, kind: str, source: Member, target: Member) -> Entry:
        """Let a member state something of the edge to another."""
        payload = {"from": list(source.party), "to": list(target.party)}
        return self.write(source.scribe, kind, ("link", link_id(source.party, target.party)), payload)

    def grant(
        self, holder: Party, recipient: Sequence[Any], seen: Sequence[Head], *, iat: int | None = None, **fields: Any
    ) -> Consent:
        """Let a new subject grant."""
        number = len(self.consents)
        subject, withdraw = key(self.label, "subject", number), key(self.label, "withdraw", number)
        payload = {**grant_payload(holder, recipient, withdraw.public), **fields}
        thing = ("consent", octets(self.label, "record", number, size=16))
        consent = Consent(self.sign(subject, "consent.grant", thing, payload, seen=seen, iat=iat), subject, withdraw)
        self.consents.append(consent)
        return consent

    def withdrawal(self, consent: Consent, seen: Sequence[Head], *, by: SigningKey | None = None) -> Entry:
        """Let a subject withdraw, by her withdraw key unless told otherwise."""
        payload = {"grant": consent.grant.raw}
        return self.sign(by or consent.withdraw, "consent.withdraw", consent.grant.thing, payload, seen=seen)

    def registrations(self) -> list[Registration]:
        """Return every well-formed governance entry at its place, as if every leaf were sound."""
        found = []
        for scribe in self.scribes():
            for index, raw in enumerate(scribe.raws):
                entry = parsed(raw)
                if entry is not None and entry.kind in KINDS and KINDS[entry.kind].governance:
                    found.append(Registration(entry, scribe.feed, index))
        return found

    def scribes(self) -> list[Scribe]:
        """Return every feed of the world."""
        return [scribe for member in self.members for scribe in member.scribes]

    def folded(self, view: Everything | None = None) -> Members:
        """Fold the governance entries of the world."""
        return fold(self.genesis, self.registrations(), view or Everything())


class Everything:
    """A view that sees all and holds all heads."""

    def size(self, _feed: bytes) -> int:
        """Say that every leaf lies below the frontier."""
        return 2**40

    def holds(self, _entry: Entry, _forks: Mapping[bytes, int]) -> bool:
        """Say that whatever was seen is held."""
        return True

    def root(self, _feed: bytes, _size: int) -> bytes | None:
        """Say that no root is known: no seal is followed."""
        return None

    def below(self, _sizes: Mapping[bytes, int]) -> Everything:
        """Return the same view."""
        return self


def grant_payload(holder: Party, recipient: Sequence[Any], withdraw_key: bytes) -> dict[str, Any]:
    """Return the payload of a grant whose slots mean nothing."""
    return {
        "schema": 1,
        "holder": list(holder),
        "recipient": list(recipient),
        "valid_until": (NOW // DAY + 30) * DAY,
        "notice": {"sha256": octets("notice"), "dated": NOW},
        "slots": octets("slots", withdraw_key, size=32 * SLOT_COUNT),
        "withdraw_key": withdraw_key,
    }


def parsed(raw: bytes) -> Entry | None:
    """Return the entry in these bytes, or None."""
    try:
        return Entry.decode(raw)
    except RemoteError:
        return None


class Node:
    """A replica with its store."""

    def __init__(self, genesis: Genesis) -> None:
        self.store = MemoryStore()
        with self.store.write() as rows:
            self.replica = Replica.create(rows, genesis)

    def take(self, act: Callable[[Any], object]) -> str:
        """Do something in one transaction; return "" or the code of the refusal."""
        try:
            with self.store.write() as rows:
                act(rows)
        except RemoteError as error:
            return error.code
        return ""

    def ingest(self, run: Run, now: int = LATER) -> str:
        """Take in a run; return "" or the code of the refusal."""
        return self.take(lambda rows: self.replica.ingest(rows, run, now))

    def observe(self, feed: bytes, head: SignedHead, now: int = LATER) -> str:
        """Take in a checkpoint; return "" or the code of the refusal."""
        return self.take(lambda rows: self.replica.observe(rows, feed, head, now))


def deliver_all(node: Node, scribes: Iterable[Scribe], time: int = LATER) -> None:
    """Bring whole feeds, each under a checkpoint at `time`, in whatever order membership allows."""
    waiting = [scribe for scribe in scribes if scribe.raws]
    heads = {id(scribe): scribe.sign(time) for scribe in waiting}
    while waiting:
        runs = [(scribe, scribe.run(0, len(scribe.raws), heads[id(scribe)])) for scribe in waiting]
        left = [scribe for scribe, run in runs if node.ingest(run) == "UNKNOWN_FEED"]
        if len(left) == len(waiting):
            return  # feeds that nobody admitted
        waiting = left
