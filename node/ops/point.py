"""Operations on the register of points: who lives behind a meter, by which rule they decide, and who moved out.

How it works
    A point that is registered is asked about at the gate: a consent covers only data of the times for which those who
    signed it may speak (ledger/consent/tenure.py). A point that is not registered is let through on the consent alone.

What it does not do
    It tells nobody: the register lies in this node's vault, and only what this node lets out is held to it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from ledger.errors import LocalError
from node.exits import not_found
from node.naming import find_grant, moment, unix_of
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.tenure import Register
    from node.core import Turn
    from node.daemon import Node

PointRule = Literal["", "holder", "adults"]
Role = Literal["contract_holder", "organisation", "household_member"]


class AddTenureArgs(Args, frozen=True):
    """Who lives behind which point."""

    point: Annotated[str, said("The point: prm: or pce: and 14 digits, or water: and a name.", positional=True)]
    person: Annotated[str, said("A wallet kept here, or the name you gave to someone whose key you linked.")]
    role: Annotated[Role, said("contract_holder, organisation or household_member.")] = "contract_holder"
    since: Annotated[datetime | None, said("From when on. Default: from the beginning.")] = None
    until: Annotated[datetime | None, said("Until when. Default: still there.")] = None
    represented_by: Annotated[tuple[str, ...], said("Who may sign in this person's stead, by law.")] = ()
    rule: Annotated[PointRule, said("holder: the contract decides; adults: all together. Default: as it is.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class MoveOutArgs(Args, frozen=True):
    """Who moved out, and when."""

    point: Annotated[str, said("The point.", positional=True)]
    person: Annotated[str, said("Who moved out.")]
    at: Annotated[datetime | None, said("The day; data from it on are not covered. Default: now.")] = None
    mesh: Annotated[str, said(WHICH)] = ""


class LinkKeyArgs(Args, frozen=True):
    """Whose key signed a consent."""

    consent: Annotated[str, said("The consent: its id, or the beginning of it.", positional=True)]
    person: Annotated[str, said("Who the person is, by the name that the register uses.")]
    mesh: Annotated[str, said(WHICH)] = ""


class PointArgs(Args, frozen=True):
    """Which point."""

    point: Annotated[str, said("The point.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class PointListArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class TenureRow(Result, frozen=True):
    """One person's time behind a point."""

    person: Annotated[str, said("Who it is, as the register calls it.")]
    role: Annotated[str, said("contract_holder, organisation or household_member.")]
    since: Annotated[datetime, said("From when on.")]
    until: Annotated[datetime | None, said("Until when; null: still there.")]
    represented_by: Annotated[tuple[str, ...], said("Who may sign in this person's stead.")]


class PointRow(Result, frozen=True):
    """One registered point."""

    point: Annotated[str, said("The point.")]
    rule: Annotated[str, said("holder or adults.")]
    tenures: Annotated[tuple[TenureRow, ...], said("Who lives or lived there.")]


class PointList(Result, frozen=True):
    """The register."""

    points: Annotated[tuple[PointRow, ...], said("Each registered point.")]


class KeyLinked(Result, frozen=True):
    """A key that is known now."""

    consent: Annotated[str, said("The consent that it signed.")]
    key: Annotated[str, said("The key's id.")]
    person: Annotated[str, said("Whose it is.")]


@operation("point", "add", permission="operate")
async def point_add(node: Node, args: AddTenureArgs) -> PointRow:
    """Register who lives behind a point. From then on the gate asks whose data they are."""
    from ledger.consent.tenure import Register, Tenure

    mesh = node.mesh(args.mesh)
    points, wallets = mesh.flows.points, mesh.flows.wallets
    until = None if args.until is None else unix_of(args.until)
    since = 0 if args.since is None else unix_of(args.since)
    tenure = Tenure(args.person, args.role, since, until, args.represented_by)

    def act(turn: Turn) -> PointRow:
        held = points.rows.get(turn.vault, args.point)
        tenures = (*(held.tenures if held is not None else ()), tenure)
        register = Register(args.rule or (held.rule if held is not None else "holder"), tenures)
        for person in (args.person, *args.represented_by):
            if wallets.find(turn.vault, person) is not None:
                points.know(turn, person)
        points.rows.put(turn.vault, args.point, register)
        return _row(args.point, register)

    return await mesh.engine.act(act)


@operation("point", "move-out", permission="operate")
async def point_move_out(node: Node, args: MoveOutArgs) -> PointRow:
    """Note that somebody moved out: her consents do not cover data after that day any more."""
    mesh = node.mesh(args.mesh)
    points = mesh.flows.points

    def act(turn: Turn) -> PointRow:
        held = points.rows.get(turn.vault, args.point)
        if held is None:
            raise _unknown()
        register = held.moved_out(args.person, turn.now if args.at is None else unix_of(args.at))
        points.rows.put(turn.vault, args.point, register)
        return _row(args.point, register)

    return await mesh.engine.act(act)


@operation("point", "link", permission="operate")
async def point_link(node: Node, args: LinkKeyArgs) -> KeyLinked:
    """Note whose key signed a consent, after an identity or a paper was checked."""
    mesh = node.mesh(args.mesh)

    def act(turn: Turn) -> KeyLinked:
        grant = find_grant(turn, args.consent)
        mesh.flows.points.rows.link(turn.vault, grant.kid, args.person)
        return KeyLinked(grant.id.hex(), grant.kid.hex(), args.person)

    return await mesh.engine.act(act)


@operation("point", "forget", permission="operate", confirm="Take this point off the register?")
async def point_forget(node: Node, args: PointArgs) -> PointRow:
    """Take a point off the register: the gate goes by the consent alone again."""
    mesh = node.mesh(args.mesh)
    points = mesh.flows.points

    def act(turn: Turn) -> PointRow:
        held = points.rows.get(turn.vault, args.point)
        if held is None:
            raise _unknown()
        points.rows.forget(turn.vault, args.point)
        return _row(args.point, held)

    return await mesh.engine.act(act)


@operation("point", "list", permission="read")
async def point_list(node: Node, args: PointListArgs) -> PointList:
    """List the register: points, rules, and who lives or lived behind them."""
    mesh = node.mesh(args.mesh)
    rows = mesh.flows.points.rows

    def look(turn: Turn) -> PointList:
        return PointList(tuple(_row(*each) for each in sorted(rows.listing(turn.vault), key=lambda each: each[0])))

    return await mesh.engine.read(look)


def _row(point: str, register: Register) -> PointRow:
    tenures = tuple(
        TenureRow(
            one.person,
            one.role,
            moment(one.since),
            None if one.until is None else moment(one.until),
            one.represented_by,
        )
        for one in register.tenures
    )
    return PointRow(point, register.rule, tenures)


def _unknown() -> LocalError:
    return not_found("This point is not registered here; `maille point list` shows the register.", "point")
