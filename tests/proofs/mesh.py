"""A small mesh in memory for the tests of proofs: founders Aube and Brume, and Cime whom Aube invited.

All three feeds are written through one replica, which is what each node holds once gossip is done. Time moves only
when a test says so, and randomness comes from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from ledger.consent.answer import After, Answer, Evidence
from ledger.consent.disclosure import Disclosures, hide, slot_digest
from ledger.consent.record import Actor, DataKind, Rights, Stages
from ledger.consent.record import Terms as ConsentTerms
from ledger.entry import Entry, sign_entry
from ledger.governance.certificate import Certificate, Step, vote_bytes
from ledger.governance.epoch import Genesis, Policy, make_genesis
from ledger.governance.members import possession_message
from ledger.governance.rules import Rules
from ledger.governance.sealing import Terms
from ledger.keys import SigningKey
from ledger.replica import Replica
from ledger.schema import DAY
from ledger.ticks import Tick, Ticker
from ledger.view import HeldView
from proofs.bundle import Account
from proofs.make import Extras, Moved, make
from proofs.past import view_at
from proofs.policy import MemberQuorum
from proofs.policy import Policy as Quorum
from proofs.verify import Trust
from storage.memory import MemoryStore

START = 1_800_000_000
MAX_AGE = 600


class Party:
    """A member: its root key and its device."""

    def __init__(self, name: str, random_bytes: random.Random) -> None:
        self.name = name
        self.root = SigningKey.from_seed(random_bytes.randbytes(32))
        self.device = SigningKey.from_seed(random_bytes.randbytes(32))


class Mesh:
    """Three members, one store; `now` is the tests' clock."""

    def __init__(self, seed: int = 1, **policy: Any) -> None:
        self.random = random.Random(seed)
        self.now = START
        self.subject: SigningKey  # of the newest grant
        self.a, self.b, self.c = (Party(name, self.random) for name in ("Aube", "Brume", "Cime"))
        founders = [(party.root.public, party.device.public) for party in (self.a, self.b)]
        rules = Policy(**{"attestation_quorum": 2, **policy})
        self.genesis: Genesis = make_genesis(
            self.a.root, "loop", founders, rules, now=self.now, random16=self.random.randbytes(16)
        )
        self.store = MemoryStore()
        with self.store.write() as rows:
            self.replica = Replica.create(rows, self.genesis)
            self.ticker = Ticker(self.replica)
            self.replica.append(rows, self.a.device.public, [self.genesis.entry])
        for party in (self.a, self.b):
            self.log(party, self.certify(party))
            self.log(party, self.govern(party.device, "genesis.accept", ("member", party.root.kid), {}))
        self.invite(self.a, self.c)
        self.sign(self.a, self.b, self.c)

    def invite(self, inviter: Party, newcomer: Party) -> None:
        """Let a newcomer in: certificate, application and admission stand in the inviter's feed."""
        applied = {
            "incarnation": 1,
            "inviter": [inviter.root.kid, 1],
            "device": newcomer.device.kid,
            "expires": self.now + 99,
            "name": newcomer.name,
        }
        thing = ("member", newcomer.root.kid)
        self.log(inviter, self.certify(newcomer))
        application = self.govern(newcomer.root, "member.apply", thing, applied)
        self.log(inviter, application)
        admission = {"application": application.id, "incarnation": 1}
        self.log(inviter, self.govern(inviter.device, "member.admit", thing, admission))

    # Entries

    def govern(self, key: SigningKey, kind: str, thing: tuple[str, bytes], payload: dict[str, Any]) -> Entry:
        """Sign a governance entry that names the signer's own position, or Aube's."""
        own = key.kid if key.kid in {party.device.kid for party in (self.a, self.b, self.c)} else self.a.device.kid
        return self._sign(key, kind, thing, payload, own, self.replica.chain.newest.reference)

    def certify(self, party: Party, predecessor: bytes | None = None) -> Entry:
        """Certify a party's device with its root key. `predecessor`: the feed that it succeeds."""
        message = possession_message(self.replica.mesh_id, party.root.kid, 1)
        payload: dict[str, Any] = {"device": party.device.public, "incarnation": 1}
        payload["possession"] = party.device.sign(message)
        if predecessor is not None:
            last = self.replica.position(predecessor)
            payload["predecessor"] = [last.feed, last.size, last.root]
        return self.govern(party.root, "device.certify", ("device", party.device.kid), payload)

    def succeed(self, party: Party, registrar: Party) -> None:
        """Give a party another device, successor of the one that it lost; the certificate stands in another's feed."""
        lost, party.device = party.device, SigningKey.from_seed(self.random.randbytes(32))
        self.log(registrar, self.certify(party, lost.kid))
        self.sign(registrar)

    def _sign(
        self,
        key: SigningKey,
        kind: str,
        thing: tuple[str, bytes],
        payload: dict[str, Any],
        seen: bytes,
        epoch: bytes | None = None,
    ) -> Entry:
        return sign_entry(
            key,
            kind,
            thing,
            payload,
            iat=self.now,
            cti=self.random.randbytes(16),
            seen=[self.replica.position(seen)],
            mesh_id=self.replica.mesh_id,
            epoch=epoch,
        )

    def log(self, party: Party, *entries: Entry) -> None:
        """Append entries to a party's feed, unsigned yet."""
        with self.store.write() as rows:
            self.replica.append(rows, party.device.public, entries)

    def sign(self, *parties: Party) -> None:
        """Sign the parties' checkpoints now."""
        with self.store.write() as rows:
            for party in parties:
                self.replica.sign_feed(rows, party.device, self.now)

    def grant(self, *, days: int = 30, access: tuple[int, int | None] | None = None, **extra: Any) -> Grant:
        """Log a grant from Aube to Brume in Aube's feed, and sign it."""
        self.subject, withdraw = (SigningKey.from_seed(self.random.randbytes(32)) for _ in range(2))
        slots, disclosures = hide(terms(self.now, access), self.random.randbytes)
        payload = {
            "schema": 1,
            "holder": [self.a.root.kid, 1],
            "recipient": [self.b.root.kid, 1],
            "valid_until": (self.now // DAY + days) * DAY,
            "notice": {"sha256": self.random.randbytes(32), "dated": self.now},
            "slots": slots,
            "withdraw_key": withdraw.public,
            **extra,
        }
        thing = ("consent", self.random.randbytes(16))
        entry = self._sign(self.subject, "consent.grant", thing, payload, self.a.device.kid)
        self.log(self.a, entry)
        self.sign(self.a)
        return Grant(entry, withdraw, disclosures)

    def withdraw(self, grant: Grant, at: Party, *, seen: Party | None = None) -> Entry:
        """Withdraw in the feed of `at`, having seen the newest head of `seen` (Aube by default)."""
        feed = (seen or self.a).device.kid
        entry = self._sign(grant.withdraw, "consent.withdraw", grant.entry.thing, {"grant": grant.entry.raw}, feed)
        self.log(at, entry)
        self.sign(at)
        return entry

    def revoke(self, grant: Grant, by: Party) -> Entry:
        """Revoke by a party's device, in its own feed."""
        payload = {"grant": grant.entry.id, "reason_code": "contract_ended"}
        entry = self._sign(by.device, "consent.revoke", grant.entry.thing, payload, by.device.kid)
        self.log(by, entry)
        self.sign(by)
        return entry

    def resolve(self, rules: Rules, *voters: Party) -> None:
        """Let voters agree on other rules; the next seal puts them in force."""
        payload = {"act": "policy", "deadline": self.now + 7 * DAY, "rules": rules.encode()}
        thing = ("ballot", self.random.randbytes(16))
        proposal = self.govern(voters[0].device, "proposal", thing, payload)
        self.log(voters[0], proposal)
        self.sign(voters[0])
        for voter in voters:
            feeds = {voters[0].device.kid, voter.device.kid}
            vote = sign_entry(
                voter.device,
                "vote",
                ("ballot", proposal.id),
                {"choice": "yes"},
                iat=self.now,
                cti=self.random.randbytes(16),
                seen=[self.replica.position(feed) for feed in sorted(feeds)],
                mesh_id=self.replica.mesh_id,
                epoch=self.replica.chain.newest.reference,
            )
            self.log(voter, vote)
            self.sign(voter)

    def acknowledge(self, grant: Grant, ended: Entry, by: Party) -> Entry:
        """Let a party acknowledge what ended a grant, in its own feed."""
        payload = {"grant": grant.entry.id, "entry": ended.id}
        entry = self._sign(by.device, "consent.acknowledge", grant.entry.thing, payload, by.device.kid)
        self.log(by, entry)
        self.sign(by)
        return entry

    def probe(self, grant: Grant, ended: Entry, holder: Party, prober: Party) -> Entry:
        """Let a holder serve after it signed its newest checkpoint, and the prober say so."""
        head = self.replica.signed_head(holder.device.kid)
        assert head is not None
        after = After(self.random.randbytes(16), ended.id, holder.device.kid, head)
        parties = ((holder.root.kid, 1), (self.b.root.kid, 1))
        answer = Answer(after.transfer(), 0, grant.entry.id, *parties, self.now, "", bytes(32))
        signature = answer.sign(holder.device, self.replica.mesh_id)
        evidence = Evidence(holder.device.public, signature, answer, after).encode()
        said = {"probe": self.random.randbytes(16), "asked": "unconsented", "outcome": "served", "evidence": evidence}
        own = prober.device.kid
        entry = self._sign(prober.device, "probe.result", ("member", holder.root.kid), said, own)
        self.log(prober, entry)
        self.sign(prober)
        return entry

    # Epochs

    def seal(self, *signers: Party) -> bytes:
        """Seal what is signed, by these voters' devices; return the new epoch's reference."""
        self.now += 10
        with self.store.read() as rows:
            view, chain = HeldView(self.replica, rows), self.replica.chain
            before = chain.newest
            heads = self.replica.frontier()
            composed = chain.compose(before, view, Terms(heads, self.now, (), bytes(32)))
        assert composed is not None, "no seal can have this frontier"
        seal, after = composed
        places = {kid: place for place, (kid, _) in enumerate(before.context.voters)}
        said = vote_bytes(before.context, 0, Step.COMMIT, seal.digest(), -1)
        commits = sorted((places[party.root.kid], party.device.sign(said)) for party in signers)
        certificate = Certificate(seal, 0, tuple(commits))
        changed = [[h.feed, h.size, h.root] for h in heads.values() if before.frontier.get(h.feed) != h]
        listed = {"digest": seal.epoch.frontier_digest, "part": 0, "parts": 1, "heads": changed}
        publisher = signers[0]
        self.log(publisher, self.govern(publisher.device, "seal.frontier", ("epoch", before.reference), listed))
        payload = {"certificate": certificate.encode(before.context.size)}
        thing = ("epoch", after.reference)
        self.log(publisher, self.govern(publisher.device, "seal.certificate", thing, payload))
        self.sign(publisher)
        assert self.replica.chain.newest.reference == after.reference, "the seal was not followed"
        return after.reference

    # Transfers

    def move(
        self, grant: Grant, frontier: bytes | None, /, *, began: int | None = None, acked: bool = True, **other: Any
    ) -> Moved:
        """State a transfer from Aube to Brume, at both ends unless told otherwise. `other`: of the receipt alone."""
        transfer, salt = self.random.randbytes(16), self.random.randbytes(16)
        start = self.now - 10 if began is None else began
        told: dict[str, Any] = {
            "salt": salt,
            "transfer": transfer,
            "grant": grant.entry.id,
            "holder": (self.a.root.kid, 1),
            "recipient": (self.b.root.kid, 1),
            "frontier": frontier,
            "entries": (grant.entry.id,),
            "chain": self.random.randbytes(32),
            "count": 48,
            "gaps": 1,
            "window": (self.now - 2 * DAY, self.now - DAY),
            "began": start,
            "ended": start,
        }
        sent = Account(**{**told, **other})
        received = Account(**{**told, "salt": self.random.randbytes(16), "frontier": None})
        digest = slot_digest(salt, sent.value(), "transfer.receipt")
        receipt = self._state(self.a, "receipts", [[transfer, grant.entry.id, digest, frontier]])
        ack = None
        if acked:
            digest = slot_digest(received.salt, received.value(), "transfer.ack")
            ack = self._state(self.b, "acks", [[transfer, digest]])
        return Moved(transfer, receipt.id, ack.id if ack is not None else None, sent, received if acked else None)

    def _state(self, party: Party, name: str, rows: list[list[Any]]) -> Entry:
        kind = {"receipts": "transfer.receipt", "acks": "transfer.ack"}[name]
        others = [[self.random.randbytes(16), *row[1:]] for row in rows]  # a batch holds others' too
        device, thing = party.device, ("transfers", party.device.kid)
        entry = self._sign(device, kind, thing, {name: [*others, *rows]}, device.kid)
        self.log(party, entry)
        self.sign(party)
        return entry

    # Ticks

    def tick(self, *attestors: Party) -> Tick:
        """Move the maps to now; the parties attest a second later, and sign."""
        with self.store.write() as rows:
            tick = self.ticker.move(rows, self.now)
        self.now += 1
        self.attest(tick, *attestors)
        return tick

    def attest(self, tick: Tick, *parties: Party) -> None:
        """Attest a tick by the parties' devices, and sign their feeds."""
        for party in parties:
            payload = {"boundary": tick.boundary, "frontier": tick.frontier, "state_root": tick.state_root}
            thing = ("tick", tick.boundary.to_bytes(8, "big"))
            self.log(party, self._sign(party.device, "state.attestation", thing, payload, party.device.kid))
        self.sign(*parties)

    # Proofs

    def prove(
        self,
        grant: Grant,
        *,
        first: int | None = None,
        fields: Iterable[str] | None = None,
        erased: bool = False,
        witnesses: int | None = None,
        between: Iterable[int] = (),
        **extra: Any,
    ) -> bytes:
        """Make the bundle at the newest tick; with `first`, at that earlier boundary, the newest tick beside it.

        `between`: boundaries of more ticks to show; `extra`: of `make.Extras`.
        """
        disclosures = None if erased else grant.disclosures
        rows = self.store.read()
        with rows:
            ticker = Ticker(self.replica)
            ticker.load(rows)
            extras = Extras(witnesses, **extra)
            fixed = (grant.entry.id, disclosures, fields)
            if first is None:
                return make(rows, self.replica, ticker, *fixed, extras=extras)
            past, newest = (view_at(rows, self.replica, at) for at in (first, ticker_boundary(ticker)))
            more = [view_at(rows, self.replica, at) for at in between]
            return make(past.rows, self.replica, past.ticker, *fixed, newer=newest, between=more, extras=extras)

    def trust(
        self, *, at: int | None = None, policy: Quorum | None = None, max_age: int = MAX_AGE, **more: Any
    ) -> Trust:
        """Return what an auditor of this mesh brings: two members by default."""
        return Trust(self.genesis.mesh_id, policy or MemberQuorum(2), at, max_age, **more)


class Grant:
    """A grant with what its subject keeps."""

    def __init__(self, entry: Entry, withdraw: SigningKey, disclosures: Disclosures) -> None:
        self.entry, self.withdraw, self.disclosures = entry, withdraw, disclosures


def ticker_boundary(ticker: Ticker) -> int:
    """Return where a ticker stands."""
    assert ticker.tick is not None
    return ticker.tick.boundary


def terms(now: int, access: tuple[int, int | None] | None = None) -> ConsentTerms:
    """Return the terms of a plain consent to a load curve."""
    return ConsentTerms(
        purpose="Advice on shifting consumption",
        purpose_category="dpv:ServiceProvision",
        legal_basis="consent",
        points=("prm:12345678901234",),
        pii_type=DataKind("electricity", "consumption", "load_curve"),
        granularity="PT30M",
        data_period=((now - 90 * DAY, now),),
        access_period=access or (0, None),
        controllers=(Actor("Brume", "controller", "dpo@brume.example"),),
        recipients=(Actor("Brume", "recipient"),),
        retention="P1Y",
        storage="servers in France",
        jurisdiction="France",
        withdrawal_method="one click in the customer space, or the paper slip",
        rights=Rights(*["write to dpo@brume.example"] * len(Rights.__dataclass_fields__)),
        authority="CNIL, Paris",
        dpo_contact="dpo@brume.example",
        stages=Stages(*[True] * len(Stages.__dataclass_fields__)),
        principal_role="contract_holder",
    )
