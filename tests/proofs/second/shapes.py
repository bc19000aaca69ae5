"""The shapes of payloads and of disclosed values, by proofs/entries.cddl and the words of README.md beside it.

How it works
    A shape is a predicate; `form` takes a map with text keys, where "?name" may be absent and unknown keys pass.

What it does not do
    It knows only the kinds that a bundle may carry.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

Shape = Callable[[Any], bool]

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_POINT: Final = re.compile(r"(prm|pce):[0-9]{14}|(water|heat):[0-9A-Za-z._-]{1,32}")
_DURATION: Final = re.compile(r"P([1-9][0-9]{0,4}[YMWD]|T[1-9][0-9]{0,4}[HMS])")
DAY: Final = 86_400
TIME: Final = 2**40


def octets(low: int, high: int | None = None) -> Shape:
    """A byte string of so many bytes, or of `low` to `high`."""
    return lambda v: type(v) is bytes and low <= len(v) <= (low if high is None else high)


def number(low: int, high: int) -> Shape:
    """A whole number, both ends included."""
    return lambda v: type(v) is int and low <= v <= high


def text(most: int, low: int = 1) -> Shape:
    """Text of so many bytes of UTF-8 without control characters."""
    return lambda v: type(v) is str and low <= len(v.encode()) <= most and not _CONTROL.search(v)


def word(*words: Any) -> Shape:
    """One of these values, of the same type."""
    return lambda v: any(type(v) is type(each) and v == each for each in words)


def many(item: Shape, low: int, high: int) -> Shape:
    """A list of so many items."""
    return lambda v: type(v) is list and low <= len(v) <= high and all(map(item, v))


def row(*items: Shape) -> Shape:
    """A list with one shape a place."""
    return lambda v: type(v) is list and len(v) == len(items) and all(ok(x) for ok, x in zip(items, v, strict=True))


def either(*shapes: Shape) -> Shape:
    """A value of one of these shapes."""
    return lambda v: any(ok(v) for ok in shapes)


def form(**fields: Shape) -> Shape:
    """A map with text keys; a field whose name ends in "_" may be absent."""

    def ok(value: Any) -> bool:
        if type(value) is not dict or any(type(key) is not str for key in value):
            return False
        for name, shape in fields.items():
            key = name.removesuffix("_")
            if key in value and not shape(value[key]):
                return False
            if key not in value and key == name:
                return False
        return True

    return ok


HASH: Final = octets(32)
NULL: Final = word(None)
FLAG: Final = word(True, False)
WHEN: Final = number(0, TIME)
SIZE: Final = number(0, 2**48)
HEAD: Final = row(HASH, SIZE, HASH)
MEMBER: Final = row(HASH, number(1, 2**31))
PARTY: Final = row(HASH, number(0, 2**31))
SIGNED_HEAD: Final = row(SIZE, HASH, WHEN, octets(64))
COUNT: Final = number(1, 2**31)
_LEAF: Final = row(HASH, many(HASH, 0, 48))
_POLICY: Final = form(
    frame=word("none", "weak", "strong"),
    tick_seconds=number(1, DAY),
    heartbeat_seconds=number(1, 3_600),
    max_staleness_seconds=number(1, DAY),
    consent_days_max=number(1, 3_653),
    invitations_a_day=number(1, 1_000),
    attestation_quorum_=number(1, 1_000),
    seal_seconds_=number(1, DAY),
    forbidden_purposes_=many(text(200), 0, 64),
    rules_=octets(1, 49_152),
)
_NOTICE: Final = form(sha256=HASH, dated=WHEN, document_=octets(16), heads_=many(HASH, 1, 16))
_REASONS: Final = word(
    *("subject_request", "purpose_ended", "contract_ended", "moved_out", "source_refused", "error", "legal_duty")
)
_GRANT: Final = form(
    schema=word(1),
    holder=PARTY,
    recipient=either(PARTY, row(text(100))),
    valid_until=lambda v: WHEN(v) and v % DAY == 0,
    notice=_NOTICE,
    slots=octets(768),
    evidence_=many(HASH, 1, 16),
    withdraw_key=HASH,
    request_=HASH,
    supersedes_=HASH,
    delegation_=HASH,
    parent_=HASH,
    required_parties_=many(HASH, 1, 8),
    required_quorum_=number(1, 8),
    call_=HASH,
    transcribed_=word(True),
)
_APPLY: Final = form(
    incarnation=COUNT,
    inviter=MEMBER,
    device=HASH,
    expires=WHEN,
    name_=text(100),
    charter_=HASH,
    college_=text(100),
)
_FORK: Final = form(
    feed_key=HASH,
    first=SIGNED_HEAD,
    second=SIGNED_HEAD,
    index_=SIZE,
    leaves_=row(_LEAF, _LEAF),
)
_PROBE: Final = form(
    probe=octets(16),
    asked=word("consented", "unconsented"),
    outcome=word("served", "refused", "silent"),
    code_=text(64),
    evidence_=octets(1, 16_384),
)
_GENESIS: Final = form(
    name=text(200),
    founders=many(row(HASH, HASH), 1, 1_000),
    policy=_POLICY,
    evaluator_version=COUNT,
    parent_=HASH,
)
_RECEIPT: Final = row(octets(16), HASH, HASH, either(HASH, NULL))
_EVIDENCE: Final = form(epoch=HASH, messages=row(octets(1, 25_000), octets(1, 25_000)))

_REKEY: Final = form(grant=HASH, key=HASH, withdraw_key=HASH, host_=MEMBER)
_DELEGATION: Final = form(
    delegate=HASH,
    withdraw_key=HASH,
    role=word(*("delegate", "mandate", "guardian", "carer", "contract_carrier", "adviser", "group", "custodian")),
    valid_until=lambda v: WHEN(v) and v % DAY == 0,
    depth=number(0, 8),
    slots=octets(256),
    parent_=HASH,
    college_=text(100),
    evidence_=many(HASH, 1, 16),
)
_REASON: Final = text(500)
_UNTIL: Final = lambda v: WHEN(v) and v % DAY == 0  # noqa: E731
_OPEN_GROUP: Final = form(
    name=text(200),
    decides=word("persons", "colleges"),
    colleges_=many(row(text(100), number(1, 1_000)), 1, 16),
    majority_percent=number(50, 100),
    quorum_percent=number(0, 100),
    critical_mass=number(1, 10**6),
    trust_=form(trustees=many(text(200), 1, 64), beneficiaries=many(text(200), 1, 64)),
)
_CALL: Final = form(
    title=text(200),
    opens=WHEN,
    closes=WHEN,
    recipient=either(PARTY, row(text(100))),
    valid_until=_UNTIL,
    notice=_NOTICE,
    slots=octets(768),
)
_WORD: Final = row(HASH, HASH, number(0, 2**31), number(0, 2))
DELEGATION_VALUE: Final = row(number(0, 1), WHEN, many(HASH, 1, 8), many(_WORD, 0, 800))
"""The value of a delegation in the consent map."""
_COUNT: Final = number(0, 2**31)
CALL_VALUE: Final = row(
    *(HASH, _COUNT, _COUNT, _COUNT, _COUNT, many(word("quorum", "majority", "critical_mass"), 0, 3)),
    *(_COUNT, many(row(HASH, HASH), 0, 128)),
)
"""The value of a call in the consent map."""
STANDING: Final[dict[str, Shape]] = {
    "amended": many(HASH, 1, 64),
    "signed": many(HASH, 1, 8),
    "key": HASH,
    "host": PARTY,
    "checked": many(_WORD, 1, 32),
    "contested": HASH,
}
"""What a consent's value may say beside its five items."""

KINDS: Final[dict[str, tuple[str, int, bool, Shape]]] = {
    "genesis": ("mesh", 16, False, _GENESIS),
    "device.certify": (
        *("device", 32, True),
        form(device=HASH, incarnation=COUNT, possession=octets(64), predecessor_=HEAD),
    ),
    "member.apply": ("member", 32, True, _APPLY),
    "member.admit": ("member", 32, True, form(application=HASH, incarnation=COUNT)),
    "member.leave": ("member", 32, True, form(reason_=text(500))),
    "fork.proof": ("feed", 32, True, _FORK),
    "seal.evidence": ("feed", 32, True, _EVIDENCE),
    "probe.result": ("member", 32, False, _PROBE),
    "consent.grant": ("consent", 16, False, _GRANT),
    "consent.acknowledge": ("consent", 16, False, form(grant=HASH, entry=HASH)),
    "consent.withdraw": ("consent", 16, False, form(grant=octets(1, 8_192), via_=many(octets(1, 4_096), 1, 12))),
    "consent.revoke": ("consent", 16, False, form(grant=HASH, reason_code=_REASONS, reason_=text(500))),
    "consent.rekey": ("consent", 16, False, _REKEY),
    "consent.sign": ("consent", 16, False, form(grant=HASH)),
    "consent.amend": ("consent", 16, False, form(grant=HASH, slots=octets(768), valid_until_=_UNTIL)),
    "delegation.give": ("delegation", 16, False, _DELEGATION),
    "delegation.revoke": ("delegation", 16, False, form(links=many(octets(1, 4_096), 1, 12), reason_=_REASON)),
    "group.open": ("group", 32, False, _OPEN_GROUP),
    "group.call": ("group", 32, False, _CALL),
    "group.refuse": ("group", 32, False, form(call=HASH, reason_=_REASON)),
    "transfer.receipt": ("transfers", 0, False, form(receipts=many(_RECEIPT, 1, 256))),
    "transfer.ack": ("transfers", 0, False, form(acks=many(row(octets(16), HASH), 1, 512))),
    "state.attestation": ("tick", 0, False, form(boundary=WHEN, frontier=HASH, state_root=HASH)),
}
"""Kind -> what it is about, the length of that id (0: any), whether it names an epoch, its payload."""


def _actors(*roles: str, low: int = 0) -> Shape:
    told = form(name=text(200), role=word(*roles), contact=text(200, 0), party=either(PARTY, NULL))
    return many(told, low, 16)


def _matches(pattern: re.Pattern[str]) -> Shape:
    return lambda v: type(v) is str and pattern.fullmatch(v) is not None


_DATE: Final = number(0, 253_402_300_799)
_DATA: Final = row(
    word("electricity", "gas", "water", "heat"),
    word("consumption", "production"),
    word("index", "daily", "load_curve", "max_power", "contract", "technical"),
)
_SHARING: Final = form(
    mode=word("none", "listed", "depth"),
    depth=number(0, 8),
    listed=_actors("recipient", "category"),
    aggregate_only=FLAG,
    source_contract=text(200, 0),
)
_OPEN: Final = text(500, 0)
_RIGHTS: Final = form(access=_OPEN, rectification=_OPEN, objection=_OPEN, erasure=_OPEN, portability=_OPEN)
_BASES: Final = word(
    *("consent", "contract", "legal_obligation", "vital_interests", "public_interest", "legitimate_interest")
)
_ROLES: Final = word("contract_holder", "household_member", "organisation", "guardian", "carer", "trustee")

FIELDS: Final[dict[str, Shape]] = {
    "purpose": text(300, 0),
    "purpose_category": text(100),
    "legal_basis": _BASES,
    "points": many(_matches(_POINT), 1, 1_000),
    "pii_type": either(_DATA, NULL),
    "granularity": either(_matches(_DURATION), NULL),
    "data_period": many(row(_DATE, _DATE), 1, 32),
    "access_period": row(_DATE, either(_DATE, NULL)),
    "controllers": _actors("controller", "joint_controller", low=1),
    "processors": _actors("processor", "sub_processor"),
    "recipients": _actors("recipient", "category"),
    "onward_sharing": _SHARING,
    "retention": _matches(_DURATION),
    "storage": text(300),
    "jurisdiction": text(100),
    "withdrawal_method": _OPEN,
    "rights": _RIGHTS,
    "authority": text(200),
    "dpo_contact": text(200),
    "stages": form(local=FLAG, upload=FLAG, transmit=FLAG),
    "freshness": either(word("quorum"), form(home=many(HASH, 1, 2))),
    "principal_role": _ROLES,
    "computation": either(HASH, NULL),
}
"""The fields of schema 1; the n-th is hidden in slot n."""
SLOT: Final = {name: slot for slot, name in enumerate(FIELDS)}
BOUNDS: Final[dict[str, Shape]] = {
    "points": either(many(_matches(_POINT), 1, 1_000), NULL),
    "kinds": either(many(_DATA, 1, 48), NULL),
    "purposes": either(many(text(300), 1, 32), NULL),
    "recipients": either(many(PARTY, 1, 64), NULL),
    "granularity": either(_matches(_DURATION), NULL),
    "data_period": either(many(row(_DATE, _DATE), 1, 32), NULL),
    "sharing_depth": either(number(0, 8), NULL),
}
"""The sealed fields of a delegation; the n-th is hidden in slot n."""
BOUND: Final = {name: slot for slot, name in enumerate(BOUNDS)}
