"""A small mesh in memory for the tests of proofs: founders Aube and Brume, and Cime whom Aube invited.

All three feeds are written through one replica, which is what each node holds once gossip is done. Time moves only
when a test says so, and randomness comes from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from ledger.consent.disclosure import Disclosures, hide
from ledger.consent.record import Actor, DataKind, Rights, Stages, Terms
from ledger.entry import Entry, sign_entry
from ledger.governance.epoch import Genesis, Policy, make_genesis
from ledger.governance.members import possession_message
from ledger.keys import SigningKey
from ledger.kinds import DAY
from ledger.replica import Replica
from ledger.ticks import Tick, Ticker
from proofs.make import make
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
        return self._sign(key, kind, thing, payload, own, self.replica.mesh_id)

    def certify(self, party: Party) -> Entry:
        """Certify a party's device with its root key."""
        message = possession_message(self.replica.mesh_id, party.root.kid, 1)
        payload = {"device": party.device.public, "incarnation": 1, "possession": party.device.sign(message)}
        return self.govern(party.root, "device.certify", ("device", party.device.kid), payload)

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
        subject, withdraw = (SigningKey.from_seed(self.random.randbytes(32)) for _ in range(2))
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
        entry = self._sign(subject, "consent.grant", thing, payload, self.a.device.kid)
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
    ) -> bytes:
        """Make the bundle at the newest tick; with `first`, at that earlier boundary, the newest tick beside it."""
        disclosures = None if erased else grant.disclosures
        rows = self.store.read()
        with rows:
            ticker = Ticker(self.replica)
            ticker.load(rows)
            if first is None:
                return make(rows, self.replica, ticker, grant.entry.id, disclosures, fields, witnesses=witnesses)
            past, newest = view_at(rows, self.replica, first), view_at(rows, self.replica, ticker_boundary(ticker))
            return make(
                past.rows,
                self.replica,
                past.ticker,
                grant.entry.id,
                disclosures,
                fields,
                newer=newest,
                witnesses=witnesses,
            )

    def trust(self, *, at: int | None = None, policy: Quorum | None = None, max_age: int = MAX_AGE) -> Trust:
        """Return what an auditor of this mesh brings: two members by default."""
        return Trust(self.genesis.mesh_id, policy or MemberQuorum(2), at, max_age)


class Grant:
    """A grant with what its subject keeps."""

    def __init__(self, entry: Entry, withdraw: SigningKey, disclosures: Disclosures) -> None:
        self.entry, self.withdraw, self.disclosures = entry, withdraw, disclosures


def ticker_boundary(ticker: Ticker) -> int:
    """Return where a ticker stands."""
    assert ticker.tick is not None
    return ticker.tick.boundary


def terms(now: int, access: tuple[int, int | None] | None = None) -> Terms:
    """Return the terms of a plain consent to a load curve."""
    return Terms(
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
