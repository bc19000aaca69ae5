"""Cozy: sharings (`io.cozy.sharings`), members, rules and permissions; read as evidence, and written for ours.

How it works
    A sharing has members, the first of whom is its owner, each with a status, and rules that say which documents. It
    becomes a record for each member but the owner: one recipient a record, as everywhere here. Rules name doctypes,
    and those of Ecolyo are kinds of data. `expires_at` of its permissions is the end.
    Written: one sharing with its owner, the recipient as a member, and one rule for the doctype of the data.

What it does not do
    A sharing is access that an owner has given: it says no purpose. Credentials that an export may hold are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from node.adapters.adapter import Source
from node.adapters.consents.record import RECORDS_MAX, Foreign, Ours, Standing, no_place
from node.adapters.cozy import DOCTYPES
from node.adapters.stamps import exact, in_utc
from node.adapters.strict_json import Fields, documents, encoded

SYSTEM: Final = "cozy"
CODE: Final = "BAD_SHARING"
MAX_BYTES: Final = 16 << 20
"""Largest file, in bytes."""
STATUSES: Final = {
    "mail-not-sent": Standing.REQUESTED,
    "pending": Standing.REQUESTED,
    "seen": Standing.REQUESTED,
    "ready": Standing.GIVEN,
    "revoked": Standing.REVOKED,
}
"""Status of a member -> how the consent stands towards it. "owner" is who shares."""
OWNER: Final = "owner"
MEMBERS_MAX: Final = 1_000
"""Members of one sharing."""
_DIRECTION: Final = "consumption"


def read(data: bytes, source: Source) -> Iterator[Foreign]:
    """Yield a record for each recipient of each sharing. Raises RemoteError BAD_SHARING, naming record and field."""
    for one in documents(data, source, CODE, MAX_BYTES, RECORDS_MAX):
        attributes = one.object("attributes") if one.has("attributes") else one
        members = attributes.objects("members")
        if not 1 < len(members) <= MEMBERS_MAX or members[0].text("status") != OWNER:
            told = f"A sharing has its owner as the first member, and at most {MEMBERS_MAX} in all"
            raise attributes.bad("members", told)
        rules = [rule.text("doctype") for rule in attributes.objects("rules")]
        if not rules:
            raise attributes.bad("rules", "A sharing has at least one rule")
        for number, member in enumerate(members[1:], 2):
            yield _record(one, attributes, member, number, rules, members[0])


def _record(one: Fields, attributes: Fields, member: Fields, number: int, rules: list[str], owner: Fields) -> Foreign:
    status = member.text("status")
    if status not in STATUSES:
        raise member.bad("status", f"A status is one of {OWNER}, {', '.join(STATUSES)}")
    held = [DOCTYPES[rule] for rule in rules if rule in DOCTYPES]
    groups = [group for group in attributes.objects("groups") if group.flag("revoked", default=False)]
    active = attributes.flag("active", default=True)
    standing = STATUSES[status]
    if standing is Standing.GIVEN and (not active or _in_revoked_group(member, groups)):
        standing = Standing.REVOKED
    return Foreign(
        system=SYSTEM,
        reference=f"{one.text('_id', '') or one.text('id', '')}:{number}",
        state=status,
        standing=standing,
        kinds=tuple(dict.fromkeys(f"{each.energy}/{_DIRECTION}/{each.kind}" for each in held)),
        granularity=held[0].granularity if held else "",
        valid_from=attributes.moment("created_at", exact),
        valid_until=attributes.moment("expires_at", exact),
        purpose="",
        subject=owner.text("public_name", "") or owner.text("name", ""),
        recipient=member.text("public_name", "") or member.text("name", "") or member.text("instance", ""),
        ended_at=attributes.moment("updated_at", exact) if standing is Standing.REVOKED else None,
    )


def _in_revoked_group(member: Fields, groups: list[Fields]) -> bool:
    """Say whether all that a member is in the sharing by are groups that were revoked."""
    held = member.values.get("groups")
    return bool(held) and member.flag("only_in_groups", default=False) and bool(groups)


def write(consent: Ours) -> bytes:
    """Return a consent of ours as a sharing. Raises LocalError NO_PLACE where no doctype holds its data."""
    kind = consent.terms.pii_type
    names = {(each.energy, each.kind, each.granularity): name for name, each in DOCTYPES.items()}
    doctype = names.get((kind.energy, kind.kind, consent.terms.granularity or "")) if kind is not None else None
    if doctype is None:
        raise no_place("No doctype of a Cozy holds this kind of data in this step")
    statuses = {standing: status for status, standing in STATUSES.items()} | {Standing.REQUESTED: "pending"}
    status = statuses.get(consent.standing, "revoked")
    return encoded(
        {
            "_id": consent.record,
            "_type": "io.cozy.sharings",
            "description": consent.terms.purpose,
            "active": consent.standing is Standing.GIVEN,
            "owner": True,
            "created_at": in_utc(consent.granted_at),
            "updated_at": in_utc(consent.ended_at or consent.granted_at),
            "expires_at": in_utc(consent.valid_until),
            "members": [
                {"status": OWNER, "public_name": consent.principal},
                {"status": status, "public_name": consent.recipient, "read_only": True},
            ],
            "rules": [
                {
                    "title": consent.terms.purpose,
                    "doctype": doctype,
                    "values": list(consent.terms.points),
                    "add": "sync",
                    "update": "sync",
                    "remove": "sync",
                }
            ],
        },
        indent=1,
    )
