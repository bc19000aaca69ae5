"""Operations on facts: attest one, show it, check it without a network, revoke it.

How it works
    `attest` hides a statement about the person of a consent; what opens it goes sealed to the member that keeps her
    wallet. `show` opens the statement for one audience, with the nonce that the audience gave, signed by her key.
    `verify` needs the issuer's key and the file alone; `check`, at a node, also says whether it was revoked.

What it does not do
    It makes no statement true: the issuer answers for it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from ledger.errors import LocalError, RemoteError
from node.exits import OK, REFUSED, usage
from node.naming import find_entry, find_grant, find_party, member_name, moment
from node.operation import Args, Local, Result, local_operation, operation, said
from node.ops.consent_terms import AS_TENANT, MEMBER
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.entry import Entry
    from ledger.keys import SigningKey
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows


class AttestFactArgs(Args, frozen=True):
    """What is attested, and about whom."""

    consent: Annotated[str, said("About the person of this consent: its id, or the beginning of it.", positional=True)]
    statement: Annotated[str, said("The statement: a file, or the text itself.", content=True)]
    value: Annotated[str, said("Its value: yes, no, a whole number or a text.")] = "yes"
    about: Annotated[str, said("What it is about; shown only when she chooses.", content=True)] = ""
    basis: Annotated[str, said("What it rests on; shown only when she chooses.", content=True)] = ""
    days: Annotated[int, said("How many days it holds, from today.")] = 30
    to: Annotated[str, said(f"Who keeps her wallet: {MEMBER}. Default: this node.")] = ""
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class FactArgs(Args, frozen=True):
    """Which fact."""

    id: Annotated[str, said("The fact's id, or the beginning of it.", positional=True)]
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class FactListArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class ShowFactArgs(Args, frozen=True):
    """Which fact, to whom."""

    id: Annotated[str, said("The fact's id, or the beginning of it.", positional=True)]
    wallet: Annotated[str, said("The wallet kept here that it is about.")]
    audience: Annotated[str, said("For whom, as it calls itself.")]
    nonce: Annotated[str, said("What the audience asked with: 32 hexadecimal digits.")]
    open: Annotated[tuple[str, ...], said("Further fields to open: about, basis.")] = ()
    mesh: Annotated[str, said(WHICH)] = ""


class VerifyFactArgs(Args, frozen=True):
    """What is shown, and whom one believes."""

    file: Annotated[bytes, said("The file that she shows.", positional=True, content=True)]
    issuer: Annotated[tuple[str, ...], said("The did:key of each issuer that you believe.")]
    audience: Annotated[str, said("Your own name, as she was told it.")]
    nonce: Annotated[str, said("What you asked with: 32 hexadecimal digits, used once.")]


class FactRow(Result, frozen=True):
    """One fact whose content is known here."""

    id: Annotated[str, said("The fact's id.")]
    statement: Annotated[str, said("The statement.")]
    value: Annotated[str, said("Its value.")]
    by: Annotated[str, said("Who attests it.")]
    issuer: Annotated[str, said("The did:key that signed it, which whoever checks it must believe.")]
    subject: Annotated[str, said("The id of the person's key.")]
    valid_until: Annotated[datetime, said("Until when it holds.")]
    revoked: Annotated[bool, said("Whether its issuer has revoked it, as far as this node knows.")]


class FactRows(Result, frozen=True):
    """Facts."""

    facts: Annotated[tuple[FactRow, ...], said("Each fact.")]


class FactFile(Result, frozen=True):
    """A fact as it is shown."""

    fact: Annotated[str, said("The fact's id.")]
    opened: Annotated[tuple[str, ...], said("The fields it opens.")]
    file: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]


class FactVerdict(Result, frozen=True):
    """What a check says."""

    holds: Annotated[bool, said("Whether it holds.")]
    code: Annotated[str, said("Why not; empty when it holds.")]
    message: Annotated[str, said("A sentence about it.")]
    fields: Annotated[dict[str, str], said("What was shown.")]
    valid_until: Annotated[datetime | None, said("Until when it holds.")]


@operation("fact", "attest", permission="operate")
async def fact_attest(node: Node, args: AttestFactArgs) -> FactRow:
    """Attest one fact about the person of a consent. The ledger shows who attests, and until when: nothing else."""
    from ledger.consent import facts
    from ledger.schema import DAY
    from node.tenants import state

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> FactRow:
        grant = find_grant(turn, args.consent)
        fact = facts.Fact(args.statement, _value(args.value), args.about, args.basis)
        slots, opened = facts.hide(fact, turn.core.random_bytes)
        to = [find_party(turn.core.replica.members, args.to, "to", flows.tenants)] if args.to else []
        payload = facts.payload(grant.kid, turn.now + (args.days + 1) * DAY, slots)
        thing = ("fact", turn.core.random_bytes(16))
        entry = state(turn, flows.tenants.voice(turn, args.as_tenant), "fact.attest", thing, payload)
        flows.letters.keep(turn, entry, [list(opened[name]) for name in facts.FIELDS], to)
        return _row(turn, flows, entry.id)

    return await mesh.engine.act(act)


def _value(text: str) -> bool | int | str:
    plain = {"yes": True, "no": False}.get(text.casefold())
    if plain is not None:
        return plain
    return int(text) if text.lstrip("-").isdecimal() and len(text) < 19 else text


@operation("fact", "list", permission="read")
async def fact_list(node: Node, args: FactListArgs) -> FactRows:
    """List the facts whose content is known here, and whether they were revoked."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> FactRows:
        ids = [entry for entry, _ in flows.letters.rows.listing(turn.vault, "fact.attest")]
        return FactRows(tuple(_row(turn, flows, one) for one in ids))

    return await mesh.engine.read(look)


@operation("fact", "revoke", permission="operate", confirm="Revoke this fact? That cannot be undone.")
async def fact_revoke(node: Node, args: FactArgs) -> FactRow:
    """Revoke a fact that this node, or a tenant it hosts, attested."""
    from node.tenants import state

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> FactRow:
        entry = _entry(turn, find_entry(turn.rows, args.id))
        voice = flows.tenants.voice(turn, args.as_tenant)
        if turn.core.replica.members.party_of(entry.kid) != voice.party:
            raise LocalError("NOT_A_PARTY", "only whoever attested a fact revokes it", field="id")
        state(turn, voice, "fact.revoke", entry.thing, {"fact": entry.id})
        return _row(turn, flows, entry.id)

    return await mesh.engine.act(act)


@operation("fact", "show", permission="operate")
async def fact_show(node: Node, args: ShowFactArgs) -> FactFile:
    """Show a fact to one audience, with a signature of the person's key: a copy is worth nothing to others."""
    from ledger.consent import facts

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> FactFile:
        entry = _entry(turn, find_entry(turn.rows, args.id))
        value = flows.letters.read(turn, entry.id)
        if value is None:
            raise LocalError("NOT_FOUND", "what this fact says is not known here", field="id")
        opened = {name: (salt, field) for name, (salt, field) in zip(facts.FIELDS, value, strict=True)}
        key = _key(turn, flows, args.wallet, entry)
        shown = facts.show(entry, opened, args.open, key, args.audience, _nonce(args.nonce), turn.now)
        return FactFile(entry.id.hex(), tuple(name for name, _, _ in shown.opened), shown.encode())

    return await mesh.engine.read(look)


def _key(turn: Turn, flows: Flows, wallet: str, entry: Entry) -> SigningKey:
    hosted = flows.wallets.get(turn.vault, wallet)
    for own in hosted.wallet.consents:
        key = hosted.wallet.consent_key(own.record_id)
        if key.kid == entry.payload["subject"]:
            return key
    raise LocalError("NOT_YOUR_FACT", "the fact is about no key of this wallet", field="wallet")


def _nonce(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise usage("A nonce is 32 hexadecimal digits.", "nonce") from None


@local_operation("fact", "verify", permission="read", exit_of=lambda said: OK if said.holds else REFUSED)
def fact_verify(_local: Local, args: VerifyFactArgs) -> FactVerdict:
    """Check a fact that someone shows you, with the issuer's key alone and no network.

    Exit code 1: it does not hold. Whether it was revoked since is not shown: `maille fact list` at a node knows.
    """
    import time

    from ledger.consent import facts
    from ledger.keys import public_from_did_key

    issuers = [public_from_did_key(text) for text in args.issuer]
    nonce = _nonce(args.nonce)
    try:
        shown = facts.check(facts.Showing.read(args.file), issuers, args.audience, nonce, int(time.time()))
    except RemoteError as error:
        return FactVerdict(False, error.code, error.message, {}, None)
    fields = {name: _text(value) for name, value in shown.fields.items()}
    return FactVerdict(
        True, "", "The fact holds; whether it was revoked is not shown.", fields, moment(shown.valid_until)
    )


def _entry(turn: Turn, entry_id: bytes) -> Entry:
    entry = turn.core.replica.entry(turn.rows, entry_id)
    if entry is None or entry.kind != "fact.attest":
        raise LocalError("NOT_FOUND", "this entry attests no fact; `maille fact list` shows them", field="id")
    return entry


def _row(turn: Turn, flows: Flows, entry_id: bytes) -> FactRow:
    from ledger.index import facts_of
    from ledger.keys import did_key

    replica, entry = turn.core.replica, _entry(turn, entry_id)
    value = flows.letters.read(turn, entry_id) or [[b"", ""], [b"", ""]]
    party = replica.members.party_of(entry.kid)
    named = (fact.row for fact in facts_of(turn.rows, entry_id, replica.by_number, replica.size))
    revoked = any(one.kind == "fact.revoke" and replica.members.party_of(one.kid) == party for one in named)
    return FactRow(
        entry_id.hex(),
        value[0][1],
        _text(value[1][1]),
        member_name(replica.members, party),
        did_key(entry.signer),
        entry.payload["subject"].hex(),
        moment(entry.payload["valid_until"]),
        revoked,
    )


def _text(value: bool | int | str) -> str:
    return {True: "yes", False: "no"}[value] if type(value) is bool else str(value)
