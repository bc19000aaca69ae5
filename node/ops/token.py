"""Operations on tokens, with which programs use the control API over TCP.

How it works
    A token may read, operate or do everything (admin), until it expires; it may be for one tenant or one mesh alone.
    It is shown once; the node keeps its hash. `[api]` in config.toml says where the API listens on TCP.

What it does not do
    The unix socket needs no token: its file mode lets the owner in.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from ledger.errors import LocalError
from node.naming import moment
from node.operation import Args, Nothing, Result, operation, said
from node.tokens import DAYS_MAX

if TYPE_CHECKING:
    from node.daemon import Node
    from node.tokens import Token


class MakeTokenArgs(Args, frozen=True):
    """What the token is for."""

    name: Annotated[Annotated[str, Meta(min_length=1, max_length=100)], said("What it is for.", positional=True)]
    permission: Annotated[Literal["read", "operate", "admin"], said("What its bearer may do.")] = "read"
    days: Annotated[Annotated[int, Meta(ge=1, le=DAYS_MAX)], said("How long it lasts.")] = 90
    tenant: Annotated[str, said("For this tenant alone, whose key this node keeps: its name here.")] = ""
    mesh: Annotated[str, said("For this mesh alone: its name here.")] = ""


class TokenArgs(Args, frozen=True):
    """Which token."""

    id: Annotated[str, said("The token's id, as `token list` shows it.", positional=True)]


class TokenRow(Result, frozen=True):
    """A token, without its secret."""

    id: Annotated[str, said("Its id: the middle part of the token.")]
    name: Annotated[str, said("What it is for.")]
    permission: Annotated[str, said("What its bearer may do.")]
    tenant: Annotated[str, said("The tenant that it is for alone.")]
    mesh: Annotated[str, said("The mesh that it is for alone.")]
    created: Annotated[datetime, said("When it was made.")]
    expires: Annotated[datetime, said("When it ends.")]
    state: Annotated[str, said("valid or expired.")]


class TokenMade(Result, frozen=True):
    """A new token."""

    row: Annotated[TokenRow, said("What it may.")]
    token: Annotated[str, said("The token itself, this once. Keep it as a password.", content=True)]


class TokenRows(Result, frozen=True):
    """The tokens there are."""

    tokens: Annotated[tuple[TokenRow, ...], said("Each token.")]


def _row(token: Token, now: int) -> TokenRow:
    times = (moment(token.created), moment(token.expires))
    state = "valid" if now < token.expires else "expired"
    return TokenRow(token.id, token.name, token.permission, token.tenant, token.mesh, *times, state)


@operation("token", "make", permission="admin")
async def token_make(node: Node, args: MakeTokenArgs) -> TokenMade:
    """Make a token for the control API over TCP; it is shown this once (--to writes it to a file of mode 0600)."""
    if args.tenant and args.tenant not in node.tenants:
        told = f"No key of a tenant {args.tenant!r} is kept here; `maille tenant list` shows them."
        raise LocalError("NOT_FOUND", told, field="tenant")
    mesh = node.mesh(args.mesh).name if args.mesh else ""
    token, shown = node.tokens.make(args.name, args.permission, node.now, args.days, tenant=args.tenant, mesh=mesh)
    return TokenMade(_row(token, node.now), shown)


@operation("token", "list", permission="admin")
async def token_list(node: Node, args: Nothing) -> TokenRows:  # noqa: ARG001 - an operation without arguments
    """List the tokens: what each may, and until when."""
    return TokenRows(tuple(_row(token, node.now) for token in node.tokens.listing()))


@operation("token", "revoke", permission="admin")
async def token_revoke(node: Node, args: TokenArgs) -> TokenRow:
    """Revoke a token, at once."""
    return _row(node.tokens.revoke(args.id), node.now)
