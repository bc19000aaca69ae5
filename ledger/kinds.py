"""The kinds of entries: who signs each, what it is about, and the schema of its payload.

How it works
    `KINDS` is the one table. An entry's `typ` selects a row; `check` holds the payload to it and names the
    field that breaks it. `cddl()` prints the same table as CDDL (RFC 8610). A party is [key id, incarnation]:
    members count from 1, a tenant (a key without a node) is [key id, 0].

What it does not do
    It says nothing of effect: whether a well-formed entry counts is the fold's to say (state, governance).
    Kinds that are not in the table are stored and relayed, and have no effect here (ledger.md §3).
"""

from __future__ import annotations

from typing import Any, Final

from ledger.consent.kinds import CONSENT_KINDS
from ledger.errors import RemoteError
from ledger.schema import (
    CHOICE,
    COLLEGE,
    DAY,
    DEFAULT_CHOICE,
    DELEGATE,
    HASH,
    HEAD,
    INCARNATION_MAX,
    KEY,
    MEMBER,
    NAMED_CHOICES,
    REASON,
    SIGNED_HEAD,
    TIME,
    Kind,
    Signer,
)
from ledger.shapes import (
    Field,
    cddl_of,
    check_fields,
    constant,
    integer,
    list_of,
    octets,
    octets_upto,
    one_of,
    record,
    text,
    tuple_of,
)

FRAMES: Final = ("none", "weak", "strong")
ACTS: Final = ("admit", "charter", "evaluator", "expel", "policy", "suspend")
DOCUMENT_TYPES: Final = ("agreement", "card", "charter", "glossary", "notice", "terms")
FRONTIER_PARTS_MAX: Final = 64  # entries that carry one frontier
FRONTIER_HEADS_MAX: Final = 700  # heads in one of them: fits an entry
LEAF_PROOF: Final = tuple_of(HASH, list_of(HASH, 0, 48))  # leaf hash, inclusion path

POLICY: Final = record(
    {
        "frame": Field(one_of(*FRAMES)),
        "tick_seconds": Field(integer(1, DAY)),
        "heartbeat_seconds": Field(integer(1, 3_600)),
        "max_staleness_seconds": Field(integer(1, DAY)),
        "consent_days_max": Field(integer(1, 3_653)),
        "invitations_a_day": Field(integer(1, 1_000)),
        "attestation_quorum": Field(integer(1, 1_000), optional=True),
        "seal_seconds": Field(integer(1, DAY), optional=True),
        "forbidden_purposes": Field(list_of(text(200), 0, 64), optional=True),
        "rules": Field(octets_upto(49_152), optional=True),  # governance.rules: what a ballot may change later
    }
)
TERMS: Final = record(
    {
        "green_button": Field(constant(value=True, cddl="true")),  # R30: participation is not negotiable
        "tariff": Field(text(500), optional=True),
        "storage_bytes": Field(integer(0, 2**50), optional=True),
        "requests_a_minute": Field(integer(0, 10**6), optional=True),
    }
)
LINK: Final[dict[str, Field]] = {"from": Field(MEMBER), "to": Field(MEMBER)}
APPLICATION: Final[dict[str, Field]] = {
    "incarnation": Field(integer(1, INCARNATION_MAX)),
    "inviter": Field(MEMBER),
    "device": Field(HASH),
    "expires": Field(TIME),
    "name": Field(text(100), optional=True),
    "charter": Field(HASH, optional=True),
    "college": COLLEGE,
}
ENDORSEMENT: Final[dict[str, Field]] = {
    "application": Field(HASH),
    "incarnation": Field(integer(1, INCARNATION_MAX)),
}

KINDS: Final[dict[str, Kind]] = {
    "genesis": Kind(
        "mesh",
        Signer.ROOT,
        {
            "name": Field(text(200)),
            "founders": Field(list_of(tuple_of(KEY, KEY), 1, 1_000)),  # [root public key, first device's public key]
            "policy": Field(POLICY),
            "evaluator_version": Field(integer(1, 2**31)),
            "parent": Field(HASH, optional=True),  # the mesh this one was re-founded from
        },
        governance=True,
    ),
    "genesis.accept": Kind(
        "member", Signer.DEVICE, {"name": Field(text(100), optional=True), "college": COLLEGE}, governance=True
    ),
    "device.certify": Kind(
        "device",
        Signer.ROOT,
        {
            "device": Field(KEY),
            "incarnation": Field(integer(1, INCARNATION_MAX)),
            "possession": Field(octets(64)),  # the device key's own signature: nobody certifies another's key
            "predecessor": Field(HEAD, optional=True),
        },
        governance=True,
    ),
    "device.retire": Kind("device", Signer.ROOT, {"final": Field(HEAD)}, governance=True, restrictive=True),
    "member.apply": Kind("member", Signer.ROOT, APPLICATION, governance=True),
    "member.repair": Kind(  # an application for a new incarnation; `fork`: the fork.proof that ended the one before
        "member", Signer.ROOT, {**APPLICATION, "fork": Field(HASH)}, governance=True
    ),
    "member.admit": Kind("member", Signer.DEVICE, ENDORSEMENT, governance=True),
    "member.sponsor": Kind("member", Signer.DEVICE, ENDORSEMENT, governance=True),
    "member.credential": Kind(
        "member", Signer.AUTHORITY, {"serial": Field(octets_upto(16)), "valid": Field(tuple_of(TIME, TIME))}, True
    ),
    "member.leave": Kind("member", Signer.DEVICE, {"reason": REASON}, governance=True, restrictive=True),
    "link.offer": Kind("link", Signer.DEVICE, {**LINK, "reason": REASON}, governance=True),
    "link.accept": Kind("link", Signer.DEVICE, {**LINK}, governance=True),
    "link.refuse": Kind("link", Signer.DEVICE, {**LINK, "reason": REASON}, governance=True, restrictive=True),
    "link.sever": Kind("link", Signer.DEVICE, {**LINK, "reason": REASON}, governance=True, restrictive=True),
    "tenant.host": Kind(
        "tenant",
        Signer.DEVICE_OR_TENANT,
        {"host": Field(MEMBER), "terms": Field(TERMS), "serial": Field(integer(0, 2**31))},
        governance=True,
    ),
    "tenant.unhost": Kind(
        "tenant",
        Signer.DEVICE_OR_TENANT,
        {"host": Field(MEMBER), "serial": Field(integer(0, 2**31)), "reason": REASON},
        governance=True,
        restrictive=True,
    ),
    "fork.proof": Kind(
        "feed",
        Signer.DEVICE,
        {
            "feed_key": Field(KEY),
            "first": Field(SIGNED_HEAD),
            "second": Field(SIGNED_HEAD),
            "index": Field(integer(0, 2**48), optional=True),  # of the first differing leaf; absent: time regression
            "leaves": Field(tuple_of(LEAF_PROOF, LEAF_PROOF), optional=True),
        },
        governance=True,
        restrictive=True,
    ),
    "proposal": Kind(  # about 16 random bytes; votes name the entry's id
        "ballot",
        Signer.DEVICE,
        {
            "act": Field(one_of(*ACTS)),
            "deadline": Field(TIME),
            "target": Field(MEMBER, optional=True),
            "cut": Field(list_of(HEAD, 0, 64), optional=True),
            "application": Field(HASH, optional=True),
            "rules": Field(octets_upto(49_152), optional=True),
            "charter": Field(HASH, optional=True),  # id of an adopted version (documents.version_id)
            "evaluator_version": Field(integer(1, 2**31), optional=True),
            "reason": REASON,
        },
        governance=True,
    ),
    "vote": Kind("ballot", Signer.DEVICE, {"choice": Field(CHOICE)}, governance=True),
    "vote.delegate": Kind("member", Signer.DEVICE, {"to": Field(DELEGATE)}, governance=True),
    "vote.default": Kind("member", Signer.DEVICE, {"choice": Field(DEFAULT_CHOICE)}, governance=True),
    "seal.frontier": Kind(  # about the epoch that is sealed next: what its frontier changes, in parts
        "epoch",
        Signer.DEVICE,
        {
            "digest": Field(HASH),
            "part": Field(integer(0, FRONTIER_PARTS_MAX - 1)),
            "parts": Field(integer(1, FRONTIER_PARTS_MAX)),
            "heads": Field(list_of(HEAD, 0, FRONTIER_HEADS_MAX)),
        },
        governance=True,
    ),
    "seal.certificate": Kind(  # about the epoch that it certifies
        "epoch",
        Signer.DEVICE,
        {"certificate": Field(octets_upto(56_000))},
        governance=True,
    ),
    "seal.evidence": Kind(  # two seal messages of one voter that convict it (governance.rounds)
        "feed",
        Signer.DEVICE,
        {"epoch": Field(HASH), "messages": Field(tuple_of(octets_upto(25_000), octets_upto(25_000)))},
        governance=True,
        restrictive=True,
    ),
    "document.open": Kind(
        "document",
        Signer.DEVICE,
        {
            "type": Field(one_of(*DOCUMENT_TYPES)),
            "title": Field(text(200)),
            "language": Field(text(35)),  # BCP 47
            "parent": Field(HASH, optional=True),  # the version that this one was forked from
            "licence": Field(text(100), optional=True),  # SPDX
        },
    ),
    "document.change": Kind("document", Signer.DEVICE, {"change": Field(octets_upto(57_344))}),
    "document.adopt": Kind(
        "document",
        Signer.DEVICE,
        {
            "heads": Field(list_of(HASH, 1, 16)),
            "version": Field(HASH),  # documents.version_id
            "text": Field(HASH),  # SHA-256 of the text as of the heads
            "parent": Field(HASH, optional=True),
            "licence": Field(text(100), optional=True),
        },
    ),
    "probe.result": Kind(  # a conformance probe of another member (never an expulsion by itself)
        "member",
        Signer.DEVICE,
        {
            "probe": Field(octets(16)),
            "asked": Field(one_of("consented", "unconsented")),
            "outcome": Field(one_of("served", "refused", "silent")),
            "code": Field(text(64), optional=True),
            "evidence": Field(octets_upto(16_384), optional=True),  # what the member signed
        },
    ),
    **CONSENT_KINDS,
    "state.attestation": Kind(
        "tick",
        Signer.DEVICE,
        {"boundary": Field(TIME), "frontier": Field(HASH), "state_root": Field(HASH)},
    ),
}


def is_governance(kind: str) -> bool:
    """Say whether a kind takes part in the membership fold; an unknown kind does not."""
    row = KINDS.get(kind)
    return row is not None and row.governance


def is_restrictive(kind: str) -> bool:
    """Say whether a kind only takes rights away; an unknown kind does not."""
    row = KINDS.get(kind)
    return row is not None and row.restrictive


THING_BYTES: Final = {
    **{"mesh": 16, "member": 32, "device": 32, "link": 32, "tenant": 32, "feed": 32, "consent": 16},
    **{"document": 16, "delegation": 16, "group": 32, "allocation": 16, "rights": 16, "identity": 32, "fact": 16},
}
"""Length of the id of each kind of thing; the others are free (1 to 64 bytes)."""


def check(kind: str, thing: tuple[str, bytes], payload: Any, has_epoch: bool) -> None:
    """Hold a payload to the schema of its kind. Unknown kinds pass: they have no effect here.

    Raises RemoteError PAYLOAD_SHAPE, PAYLOAD_MISSING (with the field), ENTRY_SUBJECT or ENTRY_EPOCH.
    """
    row = KINDS.get(kind)
    if row is None:
        if type(payload) is not dict or not all(type(key) is str for key in payload):
            raise RemoteError("PAYLOAD_SHAPE", "the payload must be a map with text keys", field="payload")
        return
    name, ident = thing
    if name != row.thing or len(ident) != THING_BYTES.get(name, len(ident)):
        raise RemoteError("ENTRY_SUBJECT", f"an entry of kind {kind} is about a {row.thing}, by its id", field="sub")
    if has_epoch != (row.governance and kind != "genesis"):
        raise RemoteError("ENTRY_EPOCH", "governance entries, and they alone, name their epoch", field="epoch")
    check_fields(row.fields, payload)


def cddl() -> str:
    """Return the CDDL of every payload, one rule a kind: "consent.grant" is the rule `consent-grant`."""
    rules = [f"{kind.replace('.', '-')} = {cddl_of(row.fields)}" for kind, row in KINDS.items()]
    choices = [f"{name} = {shape.cddl.removeprefix('(').removesuffix(')')}" for name, shape in NAMED_CHOICES.items()]
    return "\n".join([*rules, *choices]) + "\n"
