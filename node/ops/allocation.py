"""Operations on allocation keys: how a loop of collective self-consumption shares its energy, and from which day on.

How it works
    `state` takes a file of shares, which must sum to exactly 1, states the next version from a day on, and sends the
    table sealed to the members that are named. `show` gives the version of a day, of one organiser.

What it does not do
    It bills nobody.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from node.exits import not_found, usage
from node.naming import find_party, member_name, moment, unix_of
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import AS_TENANT, MEMBER
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.allocation import Shares, Statement
    from ledger.governance.members import Party
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows

LOOP_DIGITS = 32


class StateSharesArgs(Args, frozen=True):
    """Which shares, from when on."""

    shares: Annotated[bytes, said('A JSON file: {"prm:…": "1/3", …}; the shares sum to 1.', content=True)]
    effective: Annotated[datetime, said("From which day on (UTC).")]
    loop: Annotated[str, said("The loop's id, 32 digits; empty: a new loop.")] = ""
    to: Annotated[tuple[str, ...], said(f"Who may read the table: {MEMBER}.")] = ()
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ShowSharesArgs(Args, frozen=True):
    """Which loop, at which day."""

    loop: Annotated[str, said("The loop's id.", positional=True)]
    organiser: Annotated[str, said(f"Who organises it: {MEMBER}. Default: this node.")] = ""
    at: Annotated[datetime | None, said("The shares of this day. Default: now.")] = None
    mesh: Annotated[str, said(WHICH)] = ""


class SharesShown(Result, frozen=True):
    """One version of a loop's shares."""

    loop: Annotated[str, said("The loop's id.")]
    organiser: Annotated[str, said("Who stated it.")]
    version: Annotated[int, said("The version's number.")]
    effective: Annotated[datetime, said("From when on it holds.")]
    shares: Annotated[dict[str, str], said("The share of each point, as a fraction.")]
    entry: Annotated[str, said("The statement on the ledger.")]


@operation("allocation", "state", permission="operate")
async def allocation_state(node: Node, args: StateSharesArgs) -> SharesShown:
    """State how a loop shares its energy from a day on. Refused unless the shares sum to exactly 1."""
    from ledger.consent.allocation import SALT_BYTES, payload
    from ledger.schema import DAY
    from node.tenants import state

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    shares = _read(args.shares)

    def act(turn: Turn) -> SharesShown:
        voice = flows.tenants.voice(turn, args.as_tenant)
        loop = _loop(args.loop) if args.loop else turn.core.random_bytes(LOOP_DIGITS // 2)
        version = 1 + max((one.version for one, _ in _known(turn, flows, loop) if one.by == voice.party), default=0)
        salt = turn.core.random_bytes(SALT_BYTES)
        effective = unix_of(args.effective) // DAY * DAY
        entry = state(turn, voice, "allocation.state", ("allocation", loop), payload(version, effective, shares, salt))
        to = [find_party(turn.core.replica.members, name, "to", flows.tenants) for name in args.to]
        flows.letters.keep(turn, entry, [salt, shares.value()], to)
        return _shown(turn, flows, loop, voice.party, effective)

    return await mesh.engine.act(act)


def _read(data: bytes) -> Shares:
    from fractions import Fraction

    from ledger.consent.allocation import Shares

    try:
        texts = msgspec.json.decode(data, type=dict[str, str])
        return Shares.of({point: Fraction(text) for point, text in texts.items()})
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, ZeroDivisionError) as error:
        raise usage(f"The shares are no JSON object of fractions: {error}.", "shares") from None


def _loop(text: str) -> bytes:
    try:
        loop = bytes.fromhex(text)
    except ValueError:
        loop = b""
    if len(loop) != LOOP_DIGITS // 2:
        raise usage(f"A loop's id has {LOOP_DIGITS} hexadecimal digits.", "loop")
    return loop


@operation("allocation", "show", permission="read")
async def allocation_show(node: Node, args: ShowSharesArgs) -> SharesShown:
    """Show how a loop shares its energy on a day, where the table is known here."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> SharesShown:
        members = turn.core.replica.members
        party = find_party(members, args.organiser, "organiser", flows.tenants) if args.organiser else turn.core.party
        return _shown(turn, flows, _loop(args.loop), party, turn.now if args.at is None else unix_of(args.at))

    return await mesh.engine.read(look)


def _known(turn: Turn, flows: Flows, loop: bytes) -> list[tuple[Statement, Any]]:
    """Return the statements about a loop whose table is known here, each with its table."""
    from ledger.consent.allocation import Statement

    replica, found = turn.core.replica, []
    for entry_id, value in flows.letters.rows.listing(turn.vault, "allocation.state"):
        entry = replica.entry(turn.rows, entry_id)
        if entry is not None and entry.thing == ("allocation", loop):
            said_in = entry.payload
            what = (said_in["version"], said_in["effective"], said_in["digest"])
            found.append((Statement(entry_id, replica.members.party_of(entry.kid), *what), value))
    return found


def _shown(turn: Turn, flows: Flows, loop: bytes, organiser: Party, at: int) -> SharesShown:
    from ledger.consent.allocation import Shares, in_force

    known = _known(turn, flows, loop)
    statement = in_force((one for one, _ in known), organiser, at)
    if statement is None:
        raise not_found("No shares of this loop, organiser and day are known here.", "loop")
    shares = next(Shares.read(value[1]) for one, value in known if one == statement)
    return SharesShown(
        loop.hex(),
        member_name(turn.core.replica.members, organiser),
        statement.version,
        moment(statement.effective),
        {point: str(shares.share(point)) for point in shares.parts},
        statement.entry.hex(),
    )
