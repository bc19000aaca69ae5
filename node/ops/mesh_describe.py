"""The operation `mesh describe`: what this node does, in the nine functions of a MyData operator.

How it works
    Each function of MyData's reference model for operators is a row: how it is done here, and how much of it there is
    now, counted in ledger and vault. With a consent it adds the chain of its status records: each statement about it
    that the ledger holds, by date, with the id (a SHA-256 over the signed bytes) of the one before.

What it does not do
    It certifies nothing: it says what this software does on this node. How well its operator does, others judge.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from node.naming import find_grant, moment
from node.operation import Args, Result, operation, said
from node.portions import in_portions

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows


class DescribeArgs(Args, frozen=True):
    """Which mesh, and whether a consent's chain too."""

    mesh: Annotated[str, said("Which mesh: its name here, or the beginning of its id.")] = ""
    consent: Annotated[str, said("A consent whose status records are told too: its id, or the beginning of it.")] = ""


class FunctionRow(Result, frozen=True):
    """One function of an operator of personal data."""

    function: Annotated[str, said("Its name in MyData's reference model.")]
    how: Annotated[str, said("How this node does it.")]
    count: Annotated[int, said("How much of it there is here now.")]
    of: Annotated[str, said("What was counted.")]


class StatusRecord(Result, frozen=True):
    """One statement about a consent."""

    record_id: Annotated[str, said("Id of the entry: SHA-256 over its signed bytes.")]
    prev_record_id: Annotated[str, said("Id of the one before; empty for the first.")]
    iat: Annotated[datetime, said("When it was stated.")]
    status: Annotated[str, said("What was stated: the kind of entry.")]


class Described(Result, frozen=True):
    """What this node does."""

    functions: Annotated[tuple[FunctionRow, ...], said("The nine functions.")]
    chain: Annotated[tuple[StatusRecord, ...], said("The consent's status records, the oldest first.")]


def _line(row: FunctionRow) -> str:
    return f"{row.function:<27} {row.count:>6} {row.of}: {row.how}"


def _text(found: Described) -> str:
    chain = [f"{one.iat:%Y-%m-%d %H:%M} {one.status:<20} {one.record_id}" for one in found.chain]
    return "\n".join([*map(_line, found.functions), *chain])


@operation("mesh", "describe", permission="read", render=_text)
async def mesh_describe(node: Node, args: DescribeArgs) -> Described:
    """Say what this node does for people and services, in the nine functions of a MyData operator."""
    from node.vaults.consents import GRANT

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    consents = len(await in_portions(mesh.engine, lambda turn, start: flows.consents.ids(turn.vault, GRANT, start)))
    accounts = len(await in_portions(mesh.engine, lambda turn, start: flows.receipts.portion(turn.vault, start)))

    def look(turn: Turn) -> Described:
        functions = _functions(turn, flows, consents, accounts)
        return Described(functions, _chain(turn, args.consent) if args.consent else ())

    return await mesh.engine.read(look)


def _functions(turn: Turn, flows: Flows, consents: int, accounts: int) -> tuple[FunctionRow, ...]:
    from node.adapters.registry import adapters

    members, own = turn.core.replica.members, turn.core.party
    up = sum(own in ends and state == "up" for ends, state in members.links.items())
    hosted = [tenancy for tenancy in members.tenants.values() if tenancy.host == own]
    tariffs = sum("tariff" in tenancy.terms for tenancy in hosted)
    rows = (
        (
            "identity management",
            "a key for each consent, from a seed she keeps",
            len(flows.wallets.listing(turn.vault)),
            "wallets",
        ),
        (
            "permission management",
            "grant, narrow, withdraw, each signed",
            consents,
            "consents",
        ),
        ("service management", "links by both ends, tenants by contract", up + len(hosted), "links and tenants"),
        ("value exchange", "tariffs are said in public, and not collected", tariffs, "tariffs"),
        ("data model management", "formats are adapters onto one model", len(adapters()), "formats"),
        ("personal data transfer", "a gate at both ends, for each pack", accounts, "transfers"),
        (
            "personal data storage",
            "in a sealed vault, off the ledger",
            len(flows.series.listing(turn.vault)),
            "series",
        ),
        ("governance support", "charters, ballots, expulsions", len(members.members), "members"),
        (
            "logging and accountability",
            "an append-only signed log",
            turn.core.replica.size(turn.core.device.kid),
            "entries",
        ),
    )
    return tuple(FunctionRow(*row) for row in rows)


def _chain(turn: Turn, text: str) -> tuple[StatusRecord, ...]:
    from ledger.index import facts_of

    replica, grant = turn.core.replica, find_grant(turn, text)
    facts = facts_of(turn.rows, grant.id, replica.by_number, replica.size)
    ids = {fact.row.entry_id for fact in facts} | {grant.id}
    entries = [entry for ident in ids if (entry := replica.entry(turn.rows, ident)) is not None]
    chain: list[StatusRecord] = []
    for entry in sorted(entries, key=lambda one: (one.id != grant.id, one.iat, one.id)):
        before = chain[-1].record_id if chain else ""
        chain.append(StatusRecord(entry.id.hex(), before, moment(entry.iat), entry.kind))
    return tuple(chain)
