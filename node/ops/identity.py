"""Operations on identities: a provider says that a key belongs to someone it knows.

How it works
    `attest` puts on the ledger who checked, how well, and a salted digest; the identity itself goes sealed to the
    members that are named, and stays in their vaults.

What it does not do
    It checks no papers and asks no provider: whoever runs it has done so.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from ledger.errors import LocalError
from node.exits import usage
from node.naming import find_entry, find_grant, find_party, member_name, moment
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import AS_TENANT, MEMBER
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node


class AttestIdentityArgs(Args, frozen=True):
    """Whose key it is."""

    consent: Annotated[str, said("The consent whose key it is: its id, or the beginning of it.", positional=True)]
    issuer: Annotated[str, said("Who vouches, such as franceconnect, or the counter of the town hall.")]
    level: Annotated[Literal["weak", "substantial", "high"], said("How well it was checked.")]
    fields: Annotated[bytes, said("A JSON file: sub, family_name, given_name, birthdate, … or siren.", content=True)]
    to: Annotated[tuple[str, ...], said(f"Who may read it: {MEMBER}. The holder, as a rule.")] = ()
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class IdentityListArgs(Args, frozen=True):
    """Which mesh."""

    consent: Annotated[str, said("Of one consent's key alone.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class IdentityRow(Result, frozen=True):
    """One attestation whose content is known here."""

    id: Annotated[str, said("The attestation's id.")]
    key: Annotated[str, said("The id of the key that it is about.")]
    by: Annotated[str, said("The member or tenant that attests it.")]
    issuer: Annotated[str, said("Who vouches.")]
    level: Annotated[str, said("weak, substantial or high; weak says little.")]
    at: Annotated[datetime, said("When it was checked.")]
    fields: Annotated[dict[str, str], said("The identity: personal data.")]


class IdentityRows(Result, frozen=True):
    """Attestations."""

    identities: Annotated[tuple[IdentityRow, ...], said("Each attestation.")]


@operation("identity", "attest", permission="operate")
async def identity_attest(node: Node, args: AttestIdentityArgs) -> IdentityRow:
    """Attest that the key of a consent belongs to a person or an organisation that was checked."""
    from ledger.consent import identity
    from node.tenants import state

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    try:
        fields = msgspec.json.decode(args.fields, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise usage(f"The identity is no JSON object of texts: {error}.", "fields") from None

    def act(turn: Turn) -> IdentityRow:
        members = turn.core.replica.members
        grant = find_grant(turn, args.consent)
        voice = flows.tenants.voice(turn, args.as_tenant)
        salt = turn.core.random_bytes(identity.SALT_BYTES)
        payload = identity.payload(args.issuer, args.level, turn.now, fields, salt)
        to = [find_party(members, name, "to", flows.tenants) for name in args.to]
        entry = state(turn, voice, "identity.attest", ("identity", grant.kid), payload)
        value = [salt, fields]
        flows.letters.keep(turn, entry, value, to)
        return _row(turn, entry.id, value)

    return await mesh.engine.act(act)


@operation("identity", "list", permission="read")
async def identity_list(node: Node, args: IdentityListArgs) -> IdentityRows:
    """List the attestations whose identity is known here."""
    mesh = node.mesh(args.mesh)
    rows = mesh.flows.letters.rows

    def look(turn: Turn) -> IdentityRows:
        found = [_row(turn, entry, value) for entry, value in rows.listing(turn.vault, "identity.attest")]
        if args.consent:
            grant = turn.core.replica.grant(turn.rows, find_entry(turn.rows, args.consent, "consent"))
            found = [one for one in found if grant is not None and one.key == grant.kid.hex()]
        return IdentityRows(tuple(sorted(found, key=lambda one: (one.at, one.id))))

    return await mesh.engine.read(look)


def _row(turn: Turn, entry_id: bytes, value: Any) -> IdentityRow:
    replica = turn.core.replica
    entry = replica.entry(turn.rows, entry_id)
    if entry is None:
        raise LocalError("NOT_FOUND", "the attestation is not on the ledger here", field="id")
    by = member_name(replica.members, replica.members.party_of(entry.kid))
    said_in = entry.payload
    return IdentityRow(
        entry_id.hex(), entry.thing[1].hex(), by, said_in["issuer"], said_in["level"], moment(said_in["at"]), value[1]
    )
