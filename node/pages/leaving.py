"""Consents of others that a person had to sign, and leaving one: in two steps, as withdrawing is.

How it works
    Her wallet's list says what she signed here (node.vaults.wallets). Whoever must sign may leave alone: where all must
    sign, the consent ends with it; where some of them suffice, once too few are left (C3). A consent that she left, or
    that has ended, is shown as such.

What it does not do
    It shows nothing of what such a consent says: that was sealed for others. Who gave it can tell her.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from ledger.consent.status import State
from ledger.index import facts_of
from ledger.keys import thumbprint
from node.exits import not_found
from node.flows.disclosing import parties_of
from node.pages.dashboard import read_id
from node.pages.naming import names
from node.pages.visit import Visit

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows


@dataclass(frozen=True, slots=True)
class Signed:
    """A consent that she had to sign. `left`: whether she left it; `runs`: whether it may still be left.

    `ends`: whether it ends when she leaves; else others may still suffice. `recipient`: "" for a class of recipients.
    """

    id: bytes
    holder: str
    recipient: str
    granted: int
    until: int
    left: bool
    runs: bool
    ends: bool


def signed_of(visit: Visit, turn: Turn, flows: Flows) -> list[Signed]:
    """Return the consents of others that a person signed, newest first."""
    found = (_signed(visit, turn, flows, ident) for ident in flows.wallets.signed(turn.vault, visit.who.wallet))
    return sorted((one for one in found if one is not None), key=lambda one: (-one.granted, one.id))


def _signed(visit: Visit, turn: Turn, flows: Flows, ident: bytes) -> Signed | None:
    replica = turn.core.replica
    grant, status = replica.grant(turn.rows, ident), replica.consent(turn.rows, ident)
    if grant is None or status is None:
        return None
    holder, recipient = parties_of(grant)
    called, key = names(turn, visit.lang), thumbprint(flows.wallets.acting_key(turn.vault, visit.who.wallet))
    revoked = {
        fact.row.kid
        for fact in facts_of(turn.rows, ident, replica.by_number, replica.size)
        if fact.row.kind == "consent.revoke"
    }
    required = {thumbprint(one) for one in grant.payload.get("required_parties", ())}
    needed = min(grant.payload.get("required_quorum", len(required)), len(required))
    runs = status.state in (State.GRANTED, State.INCOMPLETE) and turn.now < status.valid_until
    return Signed(
        ident,
        called.of(holder),
        called.of(recipient) if recipient is not None else "",
        grant.iat,
        status.valid_until,
        key in revoked,
        runs and key in required - revoked,
        len(required - revoked - {key}) < needed,
    )


async def overview(visit: Visit) -> Response:
    """Show what she signed."""
    await visit.site.keep_up()
    return visit.page("signed.html", signed=await visit.site.read(lambda turn, flows: signed_of(visit, turn, flows)))


async def show(visit: Visit) -> Response:
    """Say what leaving does, and ask to confirm it; or that she left it."""
    await visit.site.keep_up()
    return visit.page("leave.html", one=await visit.site.read(lambda turn, flows: _named(visit, turn, flows)))


async def leave(visit: Visit) -> Response:
    """Leave a consent."""

    def act(turn: Turn, flows: Flows) -> str:
        one, grant = _named(visit, turn, flows), turn.core.replica.grant(turn.rows, _ident(visit))
        if one.runs and grant is not None:
            with visit.signing(turn, flows) as wallet:
                flows.life.leave(turn, grant, wallet)
            flows.retry_later(turn)
        return one.id.hex()

    return visit.go(f"/signed/{await visit.site.act(act)}")


def _ident(visit: Visit) -> bytes:
    return read_id(visit.request.path_params["consent"])


def _named(visit: Visit, turn: Turn, flows: Flows) -> Signed:
    """Return the consent that the address names, if she signed it. Raises LocalError NOT_FOUND."""
    ident = _ident(visit)
    known = ident in flows.wallets.signed(turn.vault, visit.who.wallet)
    one = _signed(visit, turn, flows, ident) if known else None
    if one is None:
        raise not_found("There is no such consent.")
    return one
