"""Consents for the tests: one set of terms that everything allows, and how to sign it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ledger.checkpoint import Head
from ledger.consent.disclosure import Disclosures
from ledger.consent.grant import Notice, RecipientClass
from ledger.consent.record import Actor, DataKind, Rights, Stages, Terms
from ledger.consent.status import Party, State, Status
from ledger.consent.wallet import OpenRequest, Wallet, make_grant
from ledger.entry import Entry, sign_entry
from ledger.governance.epoch import Policy
from ledger.governance.members import Member, Members, Tenancy
from ledger.keys import SigningKey
from ledger.schema import DAY

NOW = 1_760_001_800  # in the middle of an hour
MESH = b"m" * 32
HEAD = Head(b"f" * 32, 7, b"r" * 32)
HOLDER: Party = (b"h" * 32, 1)
RECIPIENT: Party = (b"c" * 32, 1)
OTHER: Party = (b"o" * 32, 1)
TENANT: Party = (b"t" * 32, 0)
LOAD_CURVE = DataKind("electricity", "consumption", "load_curve")
DAILY = DataKind("electricity", "consumption", "daily")
POINT = "prm:12345678901234"
POINT_TOO = "prm:12345678901235"
PAST = NOW - 1_000 * DAY
NOTICE = Notice(b"n" * 32, NOW - 500 * DAY)
POLICY = Policy(forbidden_purposes=("Selling  the data", "dpv:Marketing"))

TERMS = Terms(
    purpose="Advice on insulation",
    purpose_category="dpv:ServiceProvision",
    legal_basis="consent",
    points=(POINT, POINT_TOO),
    pii_type=LOAD_CURVE,
    granularity="PT30M",
    data_period=((PAST, PAST + 10 * DAY), (PAST + 10 * DAY, PAST + 20 * DAY), (PAST + 30 * DAY, PAST + 40 * DAY)),
    access_period=(NOW - 10 * DAY, NOW + 100 * DAY),
    controllers=(Actor("City of Lyon", "controller", "dpo@lyon.example", RECIPIENT),),
    processors=(Actor("Hosting Ltd", "processor"), Actor("Backup Ltd", "sub_processor")),
    recipients=(Actor("City of Lyon", "recipient"),),
    retention="P1Y",
    storage="in Lyon, encrypted",
    jurisdiction="FR",
    withdrawal_method="press Withdraw, or use your slip",
    rights=Rights("write to dpo@lyon.example", "write to dpo@lyon.example", "write to dpo@lyon.example"),
    authority="CNIL",
    dpo_contact="dpo@lyon.example",
    stages=Stages(local=True, upload=True, transmit=True),
    principal_role="contract_holder",
)

RandomBytes = Callable[[int], bytes]


def seeded(seed: int) -> RandomBytes:
    """Return a source of random bytes that repeats for the same seed."""
    return random.Random(seed).randbytes


def wallet(number: int = 1) -> Wallet:
    """Return a wallet; the same number gives the same one."""
    return Wallet(number.to_bytes(32, "big"))


def grant(
    terms: Terms = TERMS,
    *,
    seed: int = 0,
    by: Wallet | None = None,
    holder: Party = HOLDER,
    recipient: Party | RecipientClass = RECIPIENT,
    valid_until: int = NOW + 200 * DAY,
    notice: Notice = NOTICE,
    request: OpenRequest | None = None,
    closure_iat: int = 0,
    now: int = NOW,
    policy: Policy | None = None,
    random_bytes: RandomBytes | None = None,
) -> tuple[Entry, Disclosures]:
    """Sign a grant of `terms`, all else being as it should be."""
    return make_grant(
        by or wallet(),
        terms,
        holder=holder,
        recipient=recipient,
        valid_until=valid_until,
        notice=notice,
        request=request,
        head=HEAD,
        closure_iat=closure_iat,
        now=now,
        mesh_id=MESH,
        policy=policy or Policy(),
        random_bytes=random_bytes or seeded(seed),
    )


def resigned(entry: Entry, **payload: Any) -> Entry:
    """Return the grant with other payload fields, signed by `wallet()`: what a wallet that skips checks would make."""
    return sign_entry(
        wallet().consent_key(entry.thing[1]),
        entry.kind,
        entry.thing,
        {**entry.payload, **payload},
        iat=entry.iat,
        cti=entry.cti,
        seen=entry.seen,
        mesh_id=MESH,
    )


def status(entry: Entry, state: State = State.GRANTED) -> Status:
    """Return what the fold would say of a grant in this state."""
    decided = entry.id if state is State.GRANTED else b"w" * 32
    holder, recipient = entry.payload["holder"], entry.payload["recipient"]
    return Status(
        grant=entry.id,
        record_id=entry.thing[1],
        state=state,
        principal=entry.kid,
        holder=(holder[0], holder[1]),
        recipient=(recipient[0], recipient[1]) if len(recipient) == 2 else None,
        granted_at=entry.iat,
        valid_until=entry.payload["valid_until"],
        decided_by=(decided,),
        acknowledged=(),
    )


def members(
    *who: Party, links: tuple[tuple[Party, Party], ...] = (), tenants: dict[bytes, Party] | None = None
) -> Members:
    """Return a fold in which these are members and these links are up."""
    return Members(
        b"e" * 32,
        members={party[0]: Member(party, b"k" * 32, "name", "member", True, (), ()) for party in who},
        links={(min(pair), max(pair)): "up" for pair in links},
        tenants={tenant: Tenancy(tenant, host, {}) for tenant, host in (tenants or {}).items()},
    )


def device(number: int) -> SigningKey:
    """Return a device's key."""
    return SigningKey.from_seed(number.to_bytes(32, "little"))


def but(terms: Terms = TERMS, **changes: Any) -> Terms:
    """Return the terms with some fields changed."""
    return replace(terms, **changes)
