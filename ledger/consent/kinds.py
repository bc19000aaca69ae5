"""The kinds of entries about consents and what flows under them: rows of the one table of kinds.

How it works
    `CONSENT_KINDS` is part of `kinds.KINDS`, which says how a row is read. What stands here in clear is all that the
    ledger shows; `slots` are salted digests, one a sealed field (disclosure).

What it does not do
    It says nothing of effect: status, delegation and group do.
"""

from __future__ import annotations

from typing import Final

from ledger.schema import (
    CHOICE,
    COLLEGE,
    DAY,
    FRONTIER,
    HASH,
    KEY,
    MEMBER,
    PARTY,
    REASON,
    RECIPIENT,
    TIME,
    TIME_MAX,
    Kind,
    Signer,
)
from ledger.shapes import (
    Field,
    constant,
    integer,
    list_of,
    multiple_of,
    octets,
    octets_upto,
    one_of,
    record,
    text,
    tuple_of,
)

SLOT_COUNT: Final = 24  # sealed fields of a consent (consent.record.FIELDS says which slot is whose)
BOUND_COUNT: Final = 8  # sealed fields of a delegation (consent.delegation)
GRANT_BYTES_MAX: Final = 8_192  # of a grant's entry, so that a withdrawal can always carry it whole
LINK_BYTES_MAX: Final = 4_096  # of an entry by which one key stands for another: it is carried too
VIA_MAX: Final = 12  # such entries carried in one
CARRIED_BYTES_MAX: Final = {
    "consent.grant": GRANT_BYTES_MAX,
    "consent.rekey": LINK_BYTES_MAX,
    "delegation.give": LINK_BYTES_MAX,
}
"""Size of the kinds that other entries carry whole."""
_NAMES: Final = list_of(text(200), 1, 64)  # as people know them
DELEGATION_DEPTH_MAX: Final = 8  # links below the first
PARENTS_MAX: Final = 8  # consents from one that is passed on up to the person's own
EVIDENCE_STATES: Final = ("pending", "checked_ok", "checked_ko")
DELEGATE_ROLES: Final = (
    "delegate",
    "mandate",
    "guardian",
    "carer",
    "contract_carrier",
    "adviser",
    "group",
    "custodian",
)
BY_LAW: Final = frozenset({"guardian", "carer"})
"""Roles that the person did not give herself: their evidence must have been found good."""
RIGHTS: Final = ("access", "rectification", "objection", "erasure", "portability")
RIGHTS_OUTCOMES: Final = ("done", "partly", "refused", "extended")
IDENTITY_LEVELS: Final = ("weak", "substantial", "high")
REVOCATION_REASONS: Final = (
    "subject_request",  # an identified person without her keys asked (consent.md §5)
    "purpose_ended",
    "contract_ended",
    "moved_out",
    "source_refused",
    "error",
    "legal_duty",
)

NOTICE: Final = record(
    {
        "sha256": Field(HASH),
        "dated": Field(TIME),
        "document": Field(octets(16), optional=True),
        "heads": Field(list_of(HASH, 1, 16), optional=True),
    }
)
VIA: Final = list_of(octets_upto(LINK_BYTES_MAX), 1, VIA_MAX)
CONSENT_TERMS: Final[dict[str, Field]] = {
    "schema": Field(integer(1, 1)),
    "holder": Field(PARTY),
    "recipient": Field(RECIPIENT),
    "valid_until": Field(multiple_of(DAY, TIME_MAX)),
    "notice": Field(NOTICE),
    "slots": Field(octets(32 * SLOT_COUNT)),
    "evidence": Field(list_of(HASH, 1, 16), optional=True),
}
CONSENT_KINDS: Final[dict[str, Kind]] = {
    "consent.request": Kind("consent", Signer.DEVICE_OR_TENANT, {**CONSENT_TERMS, "expires": Field(TIME)}),
    "consent.grant": Kind(
        "consent",
        Signer.SUBJECT,
        {
            **CONSENT_TERMS,
            "withdraw_key": Field(KEY),
            "request": Field(HASH, optional=True),
            "supersedes": Field(HASH, optional=True),
            "delegation": Field(HASH, optional=True),
            "parent": Field(HASH, optional=True),
            "required_parties": Field(list_of(KEY, 1, 8), optional=True),
            "required_quorum": Field(integer(1, 8), optional=True),  # how many of them suffice; absent: all
            "call": Field(HASH, optional=True),  # the group.call that must have passed
            "transcribed": Field(constant(value=True, cddl="true"), optional=True),  # from a signed paper
        },
    ),
    "consent.refuse": Kind("consent", Signer.SUBJECT, {"request": Field(HASH), "reason": REASON}, restrictive=True),
    "consent.acknowledge": Kind(
        "consent", Signer.DEVICE_OR_TENANT, {"grant": Field(HASH), "entry": Field(HASH)}
    ),  # `entry`: the grant or the withdrawal that was seen
    "consent.withdraw": Kind(  # carries its grant whole: it can be judged anywhere
        "consent",
        Signer.SUBJECT,
        {
            "grant": Field(octets_upto(GRANT_BYTES_MAX)),
            "via": Field(VIA, optional=True),  # where another key than the grant's signs: what makes it hers (standing)
        },
        restrictive=True,
    ),
    "consent.revoke": Kind(
        "consent",
        Signer.DEVICE_OR_TENANT,
        {"grant": Field(HASH), "reason_code": Field(one_of(*REVOCATION_REASONS)), "reason": REASON},
        restrictive=True,
    ),
    "consent.remind": Kind("consent", Signer.DEVICE_OR_TENANT, {"request": Field(HASH)}),
    "consent.sign": Kind("consent", Signer.NAMED, {"grant": Field(HASH)}),  # by one of its required parties
    "consent.amend": Kind(  # narrows; several compose by intersection
        "consent",
        Signer.SUBJECT,
        {
            "grant": Field(HASH),
            "slots": Field(octets(32 * SLOT_COUNT)),
            "valid_until": Field(multiple_of(DAY, TIME_MAX), optional=True),
        },
        restrictive=True,
    ),
    "consent.rekey": Kind(  # by the key in force, once: new keys for the same consent, or another host
        "consent",
        Signer.SUBJECT,
        {"grant": Field(HASH), "key": Field(KEY), "withdraw_key": Field(KEY), "host": Field(MEMBER, optional=True)},
    ),
    "consent.evidence": Kind(
        "consent",
        Signer.DEVICE_OR_TENANT,
        {"grant": Field(HASH), "evidence": Field(HASH), "status": Field(one_of(*EVIDENCE_STATES))},
    ),
    "delegation.give": Kind(
        "delegation",
        Signer.SUBJECT,
        {
            "delegate": Field(KEY),  # a person's or organisation's key, or a group's
            "withdraw_key": Field(KEY),  # it can revoke this delegation, and withdraw what rests on it
            "role": Field(one_of(*DELEGATE_ROLES)),
            "valid_until": Field(multiple_of(DAY, TIME_MAX)),
            "depth": Field(integer(0, DELEGATION_DEPTH_MAX)),  # further links that may follow
            "slots": Field(octets(32 * BOUND_COUNT)),
            "parent": Field(HASH, optional=True),
            "college": COLLEGE,  # of the person, in a group
            "evidence": Field(list_of(HASH, 1, 16), optional=True),
        },
    ),
    "delegation.revoke": Kind(  # by a key of this link or of any above it, or by the delegate, who gives it up
        "delegation",
        Signer.SUBJECT,
        {
            "links": Field(VIA),
            "reason": REASON,
        },  # the delegation that ends, whole, and those above it up to the signer's
        restrictive=True,
    ),
    "group.open": Kind(  # about the kid of the group's key, to which people delegate when they join
        "group",
        Signer.NAMED,
        {
            "name": Field(text(200)),
            "decides": Field(one_of("persons", "colleges")),
            "colleges": Field(list_of(tuple_of(text(100), integer(1, 1_000)), 1, 16), optional=True),
            "majority_percent": Field(integer(50, 100)),  # more than this share of the votes cast; at 100, all
            "quorum_percent": Field(integer(0, 100)),
            "critical_mass": Field(integer(1, 10**6)),
            # A group with trustees acts for somebody, and says for whom: without beneficiaries it is refused whole.
            "trust": Field(record({"trustees": Field(_NAMES), "beneficiaries": Field(_NAMES)}), optional=True),
        },
    ),
    "group.admit": Kind(  # by the group's key: these delegations to it make members
        "group", Signer.NAMED, {"delegations": Field(list_of(HASH, 1, 1_000))}
    ),
    "group.call": Kind(  # by the group's key: shall the group share this?
        "group",
        Signer.NAMED,
        {
            "title": Field(text(200)),
            "opens": Field(TIME),
            "closes": Field(TIME),
            "recipient": Field(RECIPIENT),
            "valid_until": Field(multiple_of(DAY, TIME_MAX)),  # no grant under it lasts longer
            "notice": Field(NOTICE),
            "slots": Field(octets(32 * SLOT_COUNT)),
        },
    ),
    "group.vote": Kind("group", Signer.SUBJECT, {"call": Field(HASH), "choice": Field(CHOICE)}),
    "group.refuse": Kind(  # one person is left out, whatever the group decides
        "group", Signer.SUBJECT, {"call": Field(HASH), "reason": REASON}, restrictive=True
    ),
    "allocation.state": Kind(  # who has which share of a loop's energy from a day on; `digest`: salted, of the table
        "allocation",
        Signer.DEVICE_OR_TENANT,
        {"version": Field(integer(1, 2**31)), "effective": Field(multiple_of(DAY, TIME_MAX)), "digest": Field(HASH)},
    ),
    "rights.request": Kind(
        "rights",
        Signer.SUBJECT,
        {"grant": Field(HASH), "right": Field(one_of(*RIGHTS)), "to": Field(PARTY), "slots": Field(HASH)},
    ),  # `slots`: one, for the details
    "rights.answer": Kind(
        "rights",
        Signer.DEVICE_OR_TENANT,
        {"request": Field(HASH), "outcome": Field(one_of(*RIGHTS_OUTCOMES)), "slots": Field(HASH)},
    ),
    "identity.attest": Kind(  # about the kid of a key; `digest`: salted, of the identity that the issuer linked to it
        "identity",
        Signer.DEVICE_OR_TENANT,
        {
            "issuer": Field(text(100)),
            "level": Field(one_of(*IDENTITY_LEVELS)),
            "at": Field(TIME),
            "digest": Field(HASH),
        },
    ),
    "fact.attest": Kind(  # one fact about a person, hidden; `subject`: the kid of the key that may show it
        "fact",
        Signer.DEVICE_OR_TENANT,
        {"subject": Field(HASH), "valid_until": Field(multiple_of(DAY, TIME_MAX)), "slots": Field(octets(32 * 4))},
    ),
    "fact.revoke": Kind("fact", Signer.DEVICE_OR_TENANT, {"fact": Field(HASH)}, restrictive=True),
    "transfer.receipt": Kind(
        "transfers",
        Signer.DEVICE_OR_TENANT,
        {"receipts": Field(list_of(tuple_of(octets(16), HASH, HASH, FRONTIER), 1, 256))},
    ),  # each [transfer id, grant, salted digest of the full receipt, frontier digest of the tick it rests on]
    "transfer.ack": Kind(
        "transfers",
        Signer.DEVICE_OR_TENANT,
        {"acks": Field(list_of(tuple_of(octets(16), HASH), 1, 512))},
    ),  # each [transfer id, salted digest of the full acknowledgement]
    "processing.record": Kind(
        "transfers",
        Signer.DEVICE_OR_TENANT,
        {"records": Field(list_of(tuple_of(octets(16), HASH), 1, 512))},
    ),  # each [id, salted digest of the full record: inputs, operation, output]
    "erasure.state": Kind(  # what was received under this consent is destroyed
        "consent", Signer.DEVICE_OR_TENANT, {"grant": Field(HASH), "digest": Field(HASH)}
    ),
    "erasure.ack": Kind("consent", Signer.DEVICE_OR_TENANT, {"grant": Field(HASH), "entry": Field(HASH)}),
}
