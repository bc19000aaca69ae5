"""The operation that says a capability token in the fields of another system's token.

How it works
    A token that was made here, or that another gave us, is told by its caveats; the kind of data is that of its
    consent, whose content must be known here (`node.adapters.warp10_token`).

What it does not do
    It makes no token of that system: whoever runs the store signs it with its own keys, and ends it when this one ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from ledger.errors import LocalError
from node.exits import not_found
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.token import Token
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows


class ShareExportArgs(Args, frozen=True):
    """Which token, and for which system."""

    token: Annotated[str, said("The token's id, or the beginning of it.", positional=True)]
    as_: Annotated[Literal["warp10"], said("The system.")] = "warp10"
    application: Annotated[str, said("What the application is called there. Default: the recipient's name.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ShareExported(Result, frozen=True):
    """A token in another system's fields."""

    token: Annotated[str, said("The token's id.")]
    format: Annotated[str, said("The system.")]
    file: Annotated[bytes, said("The fields as JSON; base64 in JSON, empty when --to took it.", content=True)]


@operation("share", "export", permission="read")
async def share_export(node: Node, args: ShareExportArgs) -> ShareExported:
    """Say a token in the fields of a Warp 10 read token: whose data, which, how fine, until when."""
    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> ShareExported:
        token = _token(turn, mesh.flows, args.token)
        return ShareExported(token.id.hex(), args.as_, _fields(turn, mesh.flows, token, args.application))

    return await mesh.engine.read(look)


def _token(turn: Turn, flows: Flows, text: str) -> Token:
    """Return the token that an id, or the beginning of it, names. Raises LocalError NOT_FOUND, NAME_UNCLEAR."""
    from ledger.consent.token import Token

    rows = flows.sharing.rows
    shares = [rows.share(turn.vault, one.share) for one in rows.listing(turn.vault)]
    known = [share.token for share in shares if share is not None] + [one.token for one in rows.held(turn.vault)]
    found = [token for token in map(Token.decode, known) if token.id.hex().startswith(text.lower())]
    if not found:
        raise not_found("No token with this id is kept here; see `maille share list`.", "token")
    if len(found) > 1:
        raise LocalError("NAME_UNCLEAR", "several tokens begin so; give more digits", field="token")
    return found[0]


def _fields(turn: Turn, flows: Flows, token: Token, application: str) -> bytes:
    from ledger.consent.record import DATE_MAX
    from ledger.consent.token import Limits
    from node.adapters.strict_json import encoded
    from node.adapters.warp10_token import Grant, fields
    from node.flows.disclosing import parties_of
    from node.naming import member_name

    replica = turn.core.replica
    row, grant = flows.consents.get(turn.vault, token.grant), replica.grant(turn.rows, token.grant)
    kind = row.disclosures.terms().pii_type if row is not None else None
    if grant is None or kind is None:
        raise not_found("The content of this token's consent is not known here, or was erased.", "token")
    limits = Limits(token.grant, DATE_MAX)
    for name, value in token.caveats:
        limits = limits.with_caveat(name, value)
    holder, recipient = parties_of(grant)
    who = member_name(replica.members, recipient) if recipient is not None else ""
    told = Grant(kind, holder[0].hex(), grant.kid.hex(), application or who)
    return encoded(fields(limits, told, turn.now), indent=1)
