"""How people name things to a node: members, entries, durations; and how the node names them to people.

How it works
    A member is named by its name, its did:key, or the beginning of its id (hexadecimal); a tenant by the name that it
    has on this node, its did:key, or the beginning of its id; an entry by the beginning of its id. A name that fits
    several things is refused with what it could mean. A duration is a number and a unit: "90s", "30m", "24h", "7d".

What it does not do
    It reads no clock and changes nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ledger.consent.record import DATE_MAX
from ledger.errors import LocalError
from ledger.governance.members import Member, Members, Party
from ledger.keys import did_key, public_from_did_key, thumbprint
from ledger.rows import Reader, prefix_stop
from node.exits import not_found, usage
from node.tenants import Tenants
from node.vaults.waiting import Waiting, waiting_grants

if TYPE_CHECKING:
    from ledger.entry import Entry
    from node.core import Turn

PREFIX_DIGITS_MIN: Final = 4
DID_KEY: Final = "did:key:"
SHORT_DIGITS: Final = 12
"""Digits by which an id is shown where there is little room."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds_of(text: str, field: str) -> int:
    """Return the seconds of a duration such as "24h". Raises LocalError USAGE."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if not found or not int(found[1]):
        raise usage(f"{text!r} is no duration; write 90s, 30m, 24h or 7d.", field)
    return int(found[1]) * _UNITS[found[2]]


def moment(seconds: int) -> datetime:
    """Return unix seconds as a time in UTC; what lies after the year 9999, as the end of that year.

    An entry may name such an end, and `datetime` has none: a stranger's entry must not break a listing.
    """
    return datetime.fromtimestamp(min(seconds, DATE_MAX), UTC)


def unix_of(at: datetime) -> int:
    """Return a time as unix seconds; one without a zone is in UTC."""
    return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp())


def find_member(members: Members, text: str, field: str = "member") -> Member:
    """Return the member that `text` names. Raises LocalError NOT_FOUND, NAME_UNCLEAR."""
    found = [member for member in members.members.values() if _is_named(member, text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise not_found(f"No member is called {text!r}; `maille member list` shows them.", field)
    listed = ", ".join(f"{member.name or 'unnamed'} ({member.party[0].hex()[:SHORT_DIGITS]})" for member in found)
    raise LocalError("NAME_UNCLEAR", f"{text!r} could be {listed}; name it by its id.", field=field)


def find_party(members: Members, text: str, field: str, kept: Tenants) -> Party:
    """Return the member or the hosted tenant that `text` names. Raises LocalError NOT_FOUND, NAME_UNCLEAR.

    `kept`: the tenants whose keys are here, by name; such a name comes first.
    """
    own = kept.kid_of(text)
    if own is not None and own in members.tenants:
        return own, 0
    did = thumbprint(public_from_did_key(text)) if text.startswith(DID_KEY) else b""
    digits = text.lower() if len(text) >= PREFIX_DIGITS_MIN else "-"
    tenants = [kid for kid in sorted(members.tenants) if kid == did or kid.hex().startswith(digits)]
    if len(tenants) == 1 and not any(_is_named(member, text) for member in members.members.values()):
        return tenants[0], 0
    if tenants:
        raise LocalError("NAME_UNCLEAR", f"{text!r} fits more than one party; give its whole did:key.", field=field)
    return find_member(members, text, field).party


def _is_named(member: Member, text: str) -> bool:
    kid = member.party[0].hex()
    prefix = len(text) >= PREFIX_DIGITS_MIN and kid.startswith(text.lower())
    return text in (member.name, did_key(member.root_public)) or prefix


def member_name(members: Members, party: Party) -> str:
    """Return a short name of a party for people; of a tenant, where it is hosted."""
    if not party[1]:
        tenancy = members.tenants.get(party[0])
        where = f"hosted by {member_name(members, tenancy.host)}" if tenancy is not None else "hosted by nobody"
        return f"tenant {party[0].hex()[:SHORT_DIGITS]}, {where}"
    member = members.members.get(party[0])
    return (member.name if member is not None else "") or party[0].hex()[:SHORT_DIGITS]


def device_owner(members: Members, device: bytes) -> str:
    """Return a short name of the member whose device this is, or the beginning of the device's id."""
    found = members.devices.get(device)
    return member_name(members, found.party) if found is not None else device.hex()[:SHORT_DIGITS]


def find_entry(rows: Reader, text: str, field: str = "id") -> bytes:
    """Return the id of the entry whose id begins with `text`. Raises LocalError NOT_FOUND, NAME_UNCLEAR, USAGE."""
    digits = text.lower()
    if not re.fullmatch(r"[0-9a-f]{4,64}", digits):
        raise usage(f"{text!r} is no entry's id: 4 to 64 hexadecimal digits, as other commands show it.", field)
    prefix = bytes.fromhex(digits[: len(digits) // 2 * 2])
    found = [key for key, _ in rows.scan("ids", prefix, prefix_stop(prefix), limit=512) if key.hex().startswith(digits)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise not_found(f"No entry with id {text} is held here.", field)
    raise LocalError("NAME_UNCLEAR", f"{len(found)} entries begin with {text}; give more digits.", field=field)


def root_kid(text: str) -> bytes:
    """Return the id of the root key that a did:key names. Raises RemoteError BAD_DID_KEY."""
    return thumbprint(public_from_did_key(text))


def find_waiting(turn: Turn, text: str) -> list[Waiting]:
    """Return the grants of wallets kept here whose ids begin with `text`, and that wait to be published."""
    digits, places = text.lower(), turn.core.replica.places
    rows = waiting_grants(turn.vault) if len(digits) >= PREFIX_DIGITS_MIN else []
    return [row for row in rows if row.grant.id.hex().startswith(digits) and not places(turn.rows, row.grant.id)]


def find_grant(turn: Turn, text: str, field: str = "consent") -> Entry:
    """Return the grant whose id begins with `text`. Raises LocalError NOT_FOUND, NAME_UNCLEAR, WAITS."""
    try:
        ident = find_entry(turn.rows, text, field)
    except LocalError:
        row = next(iter(find_waiting(turn, text)), None)
        if row is None:
            raise
        told = f"this consent waits to be published, by {moment(row.by):%H:%M} UTC; until then it can be shown"
        raise LocalError("WAITS", f"{told} and withdrawn, and nothing else", field=field) from None
    grant = turn.core.replica.grant(turn.rows, ident)
    if grant is None:
        raise LocalError("NOT_FOUND", "this entry is no consent; `maille consent list` shows them", field=field)
    return grant
