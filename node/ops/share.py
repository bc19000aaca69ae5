"""Operations on shares: give out, with a one-time code, a part of what a consent allows.

How it works
    `make` is for the holder of the data: it derives a token from a consent, narrowed as the options say, and shows a
    code, this once. Whoever shows the code first, with `redeem`, has the token, and asks with it:
    `maille data request --token`. `end` ends a token at once, whoever has it.

What it does not do
    A token gives nothing that its consent does not give to that very recipient: it only gives less.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import trio

from ledger.errors import LocalError
from node.exits import OK, REFUSED, TEMPORARY, not_found, usage
from node.naming import find_entry, find_party, member_name, moment, seconds_of, unix_of
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import AS_TENANT
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.core import Turn
    from node.daemon import Node
    from node.vaults.shares import Held, Minted

LOOK_SECONDS = 0.02
DIGITS = 16  # of a share's id


class MakeShareArgs(Args, frozen=True):
    """A part of which consent, and for how long."""

    consent: Annotated[str, said("The consent's id, or the beginning of it.", positional=True)]
    lasts: Annotated[str, said("How long the code and the token are good: 30m, 24h, 7d.")] = "24h"
    point: Annotated[tuple[str, ...], said("Only these points of measurement.")] = ()
    since: Annotated[datetime | None, said("Data from this moment on.")] = None
    until: Annotated[datetime | None, said("Data until this moment.")] = None
    granularity: Annotated[str, said("No finer than this, such as P1D.")] = ""
    computation: Annotated[str, said("Only the result of this computation: its hash, 64 digits.")] = ""
    short: Annotated[bool, said("A code of 8 letters to be read out: five wrong tries, and it is dead.")] = False
    mesh: Annotated[str, said(WHICH)] = ""


class RedeemArgs(Args, frozen=True):
    """Which share, and its code."""

    share: Annotated[str, said("The share's id: 16 digits.", positional=True)]
    code: Annotated[str, said("Its code; spaces and hyphens do not matter.", positional=True)]
    holder: Annotated[str, said("Who holds the data: its name, did:key, or the beginning of its id.")]
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    wait: Annotated[str, said("How long to wait for the holder: 30s, 2m.")] = "30s"
    mesh: Annotated[str, said(WHICH)] = ""


class SharesArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class EndShareArgs(Args, frozen=True):
    """Which token."""

    token: Annotated[str, said("The token's id, or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class ShareMade(Result, frozen=True):
    """What the recipient must be told."""

    share: Annotated[str, said("The share's id.")]
    code: Annotated[str, said("Its code, shown this once. Tell it by another way than the id.")]
    token: Annotated[str, said("The token's id, by which it is ended.")]
    expires: Annotated[datetime, said("Until when.")]


class ShareRow(Result, frozen=True):
    """One token."""

    token: Annotated[str, said("The token's id.")]
    consent: Annotated[str, said("The consent it is derived from.")]
    role: Annotated[str, said("made (here) or held (from another).")]
    other: Annotated[str, said("Whose data: the holder; empty for our own.")]
    state: Annotated[str, said("Of the code: open, redeemed, dead; held, or expired.")]
    expires: Annotated[datetime | None, said("Until when; empty where the holder alone knows.")]


class ShareRows(Result, frozen=True):
    """Tokens."""

    shares: Annotated[tuple[ShareRow, ...], said("Each token.")]


class Redemption(Result, frozen=True):
    """What came of a code."""

    token: Annotated[str, said("The token's id, for `maille data request --token`; empty when it did not open.")]
    reason: Annotated[str, said("A stable code; empty when all is well.")]


class ShareEnded(Result, frozen=True):
    """What was ended."""

    token: Annotated[str, said("The token's id.")]


def _caveats(args: MakeShareArgs) -> list[tuple[str, Any]]:
    from ledger.consent.record import DATE_MAX

    caveats: list[tuple[str, Any]] = []
    if args.point:
        caveats.append(("points", sorted(args.point)))
    if args.since is not None or args.until is not None:
        start = 0 if args.since is None else unix_of(args.since)
        caveats.append(("windows", [[start, DATE_MAX if args.until is None else unix_of(args.until)]]))
    if args.granularity:
        caveats.append(("granularity", args.granularity))
    if args.computation:
        caveats.append(("aggregation", args.computation.lower()))
    return caveats


@operation("share", "make", permission="operate")
async def share_make(node: Node, args: MakeShareArgs) -> ShareMade:
    """Derive a token from a consent under which data are held here, and show a code for it, this once."""
    from ledger.consent.token import Share, Token

    mesh = node.mesh(args.mesh)
    sharing = mesh.flows.sharing
    caveats, lasts = _caveats(args), seconds_of(args.lasts, "lasts")

    def act(turn: Turn) -> tuple[Share, str]:
        grant = find_entry(turn.rows, args.consent, "consent")
        return sharing.make(turn, grant, caveats, expires=turn.now + lasts, short=args.short)

    share, code = await mesh.engine.act(act)
    token = Token.decode(share.token)
    return ShareMade(share.id.hex(), code, token.id.hex(), moment(share.ends))


def _exit(redeemed: Redemption) -> int:
    return OK if not redeemed.reason else TEMPORARY if redeemed.reason == "NO_ANSWER" else REFUSED


@operation("share", "redeem", permission="operate", exit_of=_exit)
async def share_redeem(node: Node, args: RedeemArgs) -> Redemption:
    """Show a code to the holder of the data, and keep the token it opens.

    Exit code 1: the holder refuses it, with the reason; 75: it has not answered.
    """
    try:
        share = bytes.fromhex(args.share)
    except ValueError:
        share = b""
    if len(share) * 2 != DIGITS:
        raise usage(f"A share's id has {DIGITS} hexadecimal digits.", "share")
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    before: set[bytes] = set()

    def act(turn: Turn) -> None:
        holder = find_party(turn.core.replica.members, args.holder, "holder", flows.tenants)
        party = flows.tenants.voice(turn, args.as_tenant).party
        before.update(held.id for held in flows.sharing.rows.held(turn.vault))
        flows.sharing.redeem(turn, holder, share, args.code, party)

    await mesh.engine.act(act)
    with trio.move_on_after(seconds_of(args.wait, "wait")):
        while share not in flows.sharing.answers:
            await trio.sleep(LOOK_SECONDS)
    reason = flows.sharing.answers.pop(share, "NO_ANSWER")
    held = await mesh.engine.read(lambda turn: list(flows.sharing.rows.held(turn.vault)))
    fresh = [one.id.hex() for one in held if one.id not in before]
    return Redemption("" if reason or not fresh else fresh[0], reason)


@operation("share", "list", permission="read")
async def share_list(node: Node, args: SharesArgs) -> ShareRows:
    """List the tokens made here and not ended, and those that others gave us."""
    mesh = node.mesh(args.mesh)
    rows = mesh.flows.sharing.rows

    def look(turn: Turn) -> ShareRows:
        members, vault = turn.core.replica.members, turn.vault
        made = [_made(one, _state(one, turn)) for one in rows.listing(vault)]
        held = [
            ShareRow(one.id.hex(), one.grant.hex(), "held", member_name(members, one.holder), "held", None)
            for one in rows.held(vault)
        ]
        return ShareRows((*made, *held))

    def _state(one: Minted, turn: Turn) -> str:
        share = rows.share(turn.vault, one.share)
        return "expired" if turn.now >= one.expires else share.state if share is not None else "redeemed"

    return await mesh.engine.read(look)


def _made(one: Minted, state: str) -> ShareRow:
    return ShareRow(one.id.hex(), one.grant.hex(), "made", "", state, moment(one.expires))


@operation("share", "end", permission="operate")
async def share_end(node: Node, args: EndShareArgs) -> ShareEnded:
    """End a token that was made here, at once: nothing made of it opens anything from now on."""
    mesh = node.mesh(args.mesh)
    sharing = mesh.flows.sharing

    def act(turn: Turn) -> ShareEnded:
        found = [one for one in sharing.rows.listing(turn.vault) if one.id.hex().startswith(args.token.lower())]
        if not found:
            raise not_found("No token with this id was made here, or it was ended; see `maille share list`.", "token")
        if len(found) > 1:
            raise LocalError("NAME_UNCLEAR", "several tokens begin so; give more digits", field="token")
        sharing.end(turn, found[0])
        return ShareEnded(found[0].id.hex())

    return await mesh.engine.act(act)


def held_token(held: Iterable[Held], text: str) -> bytes:
    """Return the token of ours whose id begins with `text`. Raises LocalError NOT_FOUND, NAME_UNCLEAR."""
    found = [one for one in held if one.id.hex().startswith(text.lower())]
    if not found:
        raise not_found("No token with this id was given to us; see `maille share list`.", "token")
    if len(found) > 1:
        raise LocalError("NAME_UNCLEAR", "several tokens begin so; give more digits", field="token")
    return found[0].token
