"""Operations on tenants: services with a key and no node, each hosted by a member.

How it works
    A tenant's key is made here, or taken over from another member's node, and lies with the other keys. A tenant is
    hosted once its host and itself have both said so; where the node that hosts keeps the key, `tenant host` says
    both. It moves by its own word, which names a new host that has agreed: its consents stay as they are, and nobody is
    asked again. A host that is gone need not agree.

What it does not do
    It hosts nobody without the tenant's own signature. A key that is kept here is in this operator's hands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from ledger.errors import LocalError
from ledger.keys import SigningKey, public_from_did_key, thumbprint
from node.exits import not_found, usage
from node.naming import DID_KEY, PREFIX_DIGITS_MIN, SHORT_DIGITS, find_member, member_name
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.governance.members import Party
    from node.core import Turn
    from node.daemon import Node
    from node.tenants import Said, Tenants

TENANT = "The tenant: its name on this node, its did:key, or the beginning of its id."
KEPT = "kept by this node, whose operator could use it"
Text = Annotated[str, Meta(max_length=500)]


class InitTenantArgs(Args, frozen=True):
    """What the tenant is called here, and its key if it has one."""

    name: Annotated[str, said("What it is called on this node: small letters, digits, hyphens.", positional=True)]
    key: Annotated[bytes | None, said("Its key file from another node (`maille key export`).", content=True)] = None
    key_passphrase: Annotated[str | None, said("Passphrase of that key file.", secret=True, beside="key")] = None


class HostArgs(Args, frozen=True):
    """Which tenant, where, and on what terms. Both take part in the green button: that is not negotiable."""

    tenant: Annotated[str, said(TENANT, positional=True)]
    at: Annotated[str, said("The member that is to host it: a name, did:key, or id. Default: this node.")] = ""
    tariff: Annotated[Text, said("What hosting costs, in words; all will read it.")] = ""
    storage_bytes: Annotated[Annotated[int, Meta(ge=0, le=2**50)] | None, said("Storage it may use, in bytes.")] = None
    requests_a_minute: Annotated[
        Annotated[int, Meta(ge=0, le=10**6)] | None, said("Requests it may make in a minute.")
    ] = None
    mesh: Annotated[str, said(WHICH)] = ""


class UnhostArgs(Args, frozen=True):
    """Which tenant, and who ends it."""

    tenant: Annotated[str, said(TENANT, positional=True)]
    by: Annotated[
        Literal["", "tenant", "host"],
        said("Who says so. The host's word is final: it cannot host this tenant again. Default: tenant."),
    ] = ""
    reason: Annotated[Text, said("A word on it; all will read it.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class TenantsArgs(Args, frozen=True):
    """Which mesh, and whether all of it."""

    mesh: Annotated[str, said(WHICH)] = ""
    all: Annotated[bool, said("Tenants that other members host too.")] = False


class TenantKey(Result, frozen=True):
    """A tenant whose key is kept here."""

    name: Annotated[str, said("What it is called on this node.")]
    id: Annotated[str, said("Its id: that of its key.")]
    did: Annotated[str, said("The did:key of its key.")]
    sealed: Annotated[bool, said("Whether the key's file is sealed with the passphrase.")]
    custody: Annotated[str, said("Who holds its key.")]


class TenantRow(Result, frozen=True):
    """A tenant."""

    name: Annotated[str, said("What it is called on this node; empty if its key is not kept here.")]
    id: Annotated[str, said("Its id.")]
    state: Annotated[str, said("hosted, offered (the host agreed), asked (the tenant did), or none.")]
    host: Annotated[str, said("Who hosts it, or would.")]
    host_id: Annotated[str, said("Id of that member's root key.")]
    here: Annotated[bool, said("Whether that is this node.")]
    tariff: Annotated[str, said("What hosting costs.")]
    storage_bytes: Annotated[int | None, said("Storage it may use, in bytes; null: nothing was said.")]
    requests_a_minute: Annotated[int | None, said("Requests it may make in a minute; null: nothing was said.")]


class TenantRows(Result, frozen=True):
    """The tenants of a mesh."""

    tenants: Annotated[tuple[TenantRow, ...], said("Each tenant.")]


class TenantStated(Result, frozen=True):
    """What was said of a tenant, and how it stands now."""

    tenant: Annotated[TenantRow, said("The tenant.")]
    entries: Annotated[tuple[str, ...], said("Ids of the entries that say so; none if nothing had to be said.")]


@operation("tenant", "init", permission="admin")
async def tenant_init(node: Node, args: InitTenantArgs) -> TenantKey:
    """Make a tenant's key, or take over one with --key. It is sealed as the other keys of this node are."""
    from node.config import check_name
    from node.keyfile import KeyFile
    from node.keystore import tenant_name

    seed = None
    if args.key is not None:
        file = KeyFile.decode(args.key)
        if file.purpose != "tenant":
            told = f"This is a {file.purpose} key; a tenant's is asked for."
            raise LocalError("KEY_WRONG", told, field="key")
        seed = file.unlock(args.key_passphrase)
        kept = node.tenants.name_of(thumbprint(file.public))
        if kept:
            raise LocalError("KEY_EXISTS", f"This key is kept here already, as {kept!r}.", field="key")
    key = node.keys.new_tenant(check_name(args.name), seed)
    node.tenants.add(args.name, key)
    sealed = node.keys.file(tenant_name(args.name)).sealed
    return TenantKey(args.name, key.kid.hex(), key.did, sealed, KEPT)


def _find(turn: Turn, tenants: Tenants, text: str) -> bytes:
    """Return the id of the tenant that `text` names: kept here, hosted, or whatever a did:key says."""
    if text in tenants:
        return tenants.keys()[text].kid
    if text.startswith(DID_KEY):
        return thumbprint(public_from_did_key(text))
    known = {kid for kid in _stated(turn) if kid.hex().startswith(text.lower()) and len(text) >= PREFIX_DIGITS_MIN}
    if len(known) == 1:
        return known.pop()
    if known:
        told = f"{len(known)} tenants' ids begin with {text}; give more digits."
        raise LocalError("NAME_UNCLEAR", told, field="tenant")
    raise not_found(f"No tenant is called {text!r}; `maille tenant list --all` shows them.", "tenant")


def _stated(turn: Turn) -> set[bytes]:
    """Return the ids of every tenant of which something was stated."""
    return {r.entry.thing[1] for r in turn.core.replica.registrations if r.entry.thing[0] == "tenant"}


def _terms(args: HostArgs, agreed: Said, host: Party, *, both: bool) -> dict[str, Any]:
    """Return the terms to state: those of the options, else those that the other half has stated already."""
    terms: dict[str, Any] = {"green_button": True}
    if args.tariff:
        terms["tariff"] = args.tariff
    for name in ("storage_bytes", "requests_a_minute"):
        if getattr(args, name) is not None:
            terms[name] = getattr(args, name)
    halves = [
        half
        for half in (agreed.by_hosts.get(host), agreed.by_tenant)
        if half is not None and half.kind == "tenant.host"
    ]
    other = next((half.payload["terms"] for half in halves if tuple(half.payload["host"]) == host), None)
    if other is None or (both and len(terms) > 1):
        return terms
    if len(terms) > 1 and terms != other:
        told = "The other end has agreed to other terms; leave the options out to take them, or let it host anew."
        raise LocalError("TERMS_DIFFER", told, field="terms")
    return dict(other)


@operation("tenant", "host", permission="operate")
async def tenant_host(node: Node, args: HostArgs) -> TenantStated:
    """Host a tenant here, or (--at) let a tenant whose key is kept here name its host.

    As its host, this node agrees; for a tenant whose key is kept here, it signs the tenant's own word too. A tenant
    that has a host already moves by that word, and every consent stays as it is.
    """
    from node.tenants import said_of

    mesh = node.mesh(args.mesh)
    tenants = mesh.flows.tenants

    def act(turn: Turn) -> TenantStated:
        members, own = turn.core.replica.members, turn.core.party
        kid = _find(turn, tenants, args.tenant)
        host = find_member(members, args.at, "at").party if args.at else own
        key = tenants.key_of(kid)
        if not members.is_member(own) or not members.is_member(host):
            raise LocalError("NOT_A_MEMBER", "A member hosts tenants; this one is none now.", field="at")
        if host != own and key is None:
            raise usage("The tenant itself names another host, and its key is not kept here.", "tenant")
        agreed = said_of(turn, kid)
        if host in agreed.by_hosts and agreed.by_hosts[host].kind == "tenant.unhost":
            told = f"{member_name(members, host)} has ended hosting this tenant for good; let another member host it."
            raise LocalError("TENANT_REFUSED", told, field="at")
        terms = _terms(args, agreed, host, both=host == own and key is not None)
        return _host(turn, tenants, kid, key, host, agreed, terms)

    return await mesh.engine.act(act)


def _host(
    turn: Turn, tenants: Tenants, kid: bytes, key: SigningKey | None, host: Party, agreed: Said, terms: dict[str, Any]
) -> TenantStated:
    from node.tenants import Voice, state

    thing, payload = ("tenant", kid), {"host": list(host), "terms": terms, "serial": agreed.serial}

    def said_already(half: Any) -> bool:
        named = half is not None and half.kind == "tenant.host" and tuple(half.payload["host"]) == host
        return named and half.payload["terms"] == terms

    stated = []
    if host == turn.core.party and not said_already(agreed.by_hosts.get(host)):
        stated.append(turn.state("tenant.host", thing, payload))
    if key is not None and not said_already(agreed.by_tenant):
        stated.append(state(turn, Voice((kid, 0), key), "tenant.host", thing, payload))
    return TenantStated(_row(turn, tenants, kid), tuple(entry.id.hex() for entry in stated))


@operation("tenant", "unhost", permission="operate", confirm="End the hosting? What rests on it stops.")
async def tenant_unhost(node: Node, args: UnhostArgs) -> TenantStated:
    """End the hosting of a tenant: by its own word, or as its host (final for this host). Its consents stay."""
    from node.tenants import Voice, said_of, state

    mesh = node.mesh(args.mesh)
    tenants = mesh.flows.tenants

    def act(turn: Turn) -> TenantStated:
        kid, own = _find(turn, tenants, args.tenant), turn.core.party
        key = tenants.key_of(kid)
        by = args.by or ("tenant" if key is not None else "host")
        if by == "tenant" and key is None:
            raise usage("The tenant's key is not kept here; end it as its host with --by host.", "by")
        agreed = said_of(turn, kid)
        half = agreed.by_tenant if by == "tenant" else agreed.by_hosts.get(own)
        if half is None or half.kind != "tenant.host":
            raise LocalError("TENANT_NOT_HOSTED", "Nothing was agreed that could end so.", field="tenant")
        payload: dict[str, Any] = {"host": list(half.payload["host"]), "serial": agreed.serial}
        if args.reason:
            payload["reason"] = args.reason
        voice = Voice(own) if by == "host" else Voice((kid, 0), key)
        entry = state(turn, voice, "tenant.unhost", ("tenant", kid), payload)
        return TenantStated(_row(turn, tenants, kid), (entry.id.hex(),))

    return await mesh.engine.act(act)


def _row(turn: Turn, tenants: Tenants, kid: bytes) -> TenantRow:
    from node.tenants import said_of

    members, own = turn.core.replica.members, turn.core.party
    tenancy = members.tenants.get(kid)
    host: Party | None = None
    terms: Any = {}
    state = "none"
    if tenancy is not None:
        state, host, terms = "hosted", tenancy.host, tenancy.terms
    else:
        agreed = said_of(turn, kid)
        offers = sorted(agreed.by_hosts.items(), key=lambda one: (one[0] != own, one[0]))
        halves = [("asked", agreed.by_tenant)] if agreed.by_tenant is not None else []
        for word, half in (*halves, *(("offered", offer) for _, offer in offers)):
            if half.kind == "tenant.host":
                state, host, terms = word, tuple(half.payload["host"]), half.payload["terms"]
                break
    return TenantRow(
        tenants.name_of(kid),
        kid.hex(),
        state,
        member_name(members, host) if host is not None else "",
        host[0].hex() if host is not None else "",
        host == own,
        terms.get("tariff", ""),
        terms.get("storage_bytes"),
        terms.get("requests_a_minute"),
    )


def _line(row: TenantRow) -> str:
    where = "this node" if row.here else row.host
    return f"{row.name or '-':<20} {row.state:<7} {row.id[:SHORT_DIGITS]}  {where} {row.tariff}".rstrip()


@operation(
    "tenant", "list", permission="read", render=lambda found: "\n".join(map(_line, found.tenants)) or "No tenant."
)
async def tenant_list(node: Node, args: TenantsArgs) -> TenantRows:
    """List the tenants that this node hosts, or whose keys it keeps."""
    mesh = node.mesh(args.mesh)
    tenants = mesh.flows.tenants

    def look(turn: Turn) -> TenantRows:
        known = _stated(turn) | {key.kid for key in tenants.keys().values()}
        rows = [_row(turn, tenants, kid) for kid in sorted(known)]
        return TenantRows(tuple(row for row in rows if args.all or row.here or row.name))

    return await mesh.engine.read(look)
