"""Operations on the citizen pages: invite people, list their accounts, end one.

How it works
    An invitation is a link that is used once: with it a person chooses her passphrase (or binds her identity of the
    OpenID provider) and gets an account, bound to a wallet kept here. For a name that has an account, the link chooses
    a new passphrase. The points of measurement are those that the operator has checked to be hers; requests about them
    are shown to her.

What it does not do
    It knows no passphrase, and ends no consent: a person's slips work without an account.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from node.exits import usage
from node.naming import moment, seconds_of
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.vaults.people import Invitation, Person


class InvitePersonArgs(Args, frozen=True):
    """Whom to invite."""

    name: Annotated[str, said("The name with which she will log in.", positional=True)]
    wallet: Annotated[str, said("Her wallet here; made with the account where there is none. Default: the name.")] = ""
    point: Annotated[tuple[str, ...], said("A point of measurement that you have checked to be hers.")] = ()
    valid: Annotated[str, said("For how long the link is good.")] = "7d"
    mesh: Annotated[str, said(WHICH)] = ""


class PersonArgs(Args, frozen=True):
    """Whose account."""

    name: Annotated[str, said("The login name.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class PeopleArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class Invited(Result, frozen=True):
    """An invitation."""

    name: Annotated[str, said("For whom.")]
    link: Annotated[str, said("The link; give it to her alone, by a way that you trust. It works once.")]
    expires: Annotated[datetime, said("Until when.")]


class PersonRow(Result, frozen=True):
    """An account, or an open invitation."""

    name: Annotated[str, said("The login name.")]
    wallet: Annotated[str, said("Her wallet here.")]
    points: Annotated[tuple[str, ...], said("Her points of measurement.")]
    state: Annotated[str, said("account, invited, or account+invited.")]
    custody: Annotated[str, said("Who has the keys of the wallet.")]
    identity: Annotated[str, said("Of which provider she uses an identity; empty: none.")]
    since: Annotated[datetime | None, said("Since when there is the account.")]


class People(Result, frozen=True):
    """Accounts and invitations."""

    people: Annotated[tuple[PersonRow, ...], said("Each person.")]


@operation("pages", "invite", permission="admin")
async def pages_invite(node: Node, args: InvitePersonArgs) -> Invited:
    """Make a link with which a person opens her account on the citizen pages, or chooses a new passphrase."""
    from node.pages.door import CODE_BYTES, link_of
    from node.vaults.people import Invitation, PeopleRows, check_points, plain_login

    settings = node.config.pages
    if settings is None:
        raise usage("This node serves no pages: write the table [pages] in config.toml first.")
    plain_login(args.name)
    points = check_points(args.point)
    seconds = seconds_of(args.valid, "valid")
    mesh = node.mesh(args.mesh or settings.mesh)
    people = PeopleRows(mesh.vault.blind)

    def act(turn: Turn) -> Invited:
        code = turn.core.random_bytes(CODE_BYTES)
        name = " ".join(args.name.split())
        invitation = Invitation(name, args.wallet or name, points, turn.now + seconds)
        people.invite(turn.vault, code, invitation, turn.now)
        return Invited(name, link_of(settings.url, code), moment(invitation.expires))

    return await mesh.engine.act(act)


@operation("pages", "people", permission="read")
async def pages_people(node: Node, args: PeopleArgs) -> People:
    """List the accounts of the citizen pages and the open invitations."""
    from node.vaults.people import PeopleRows

    mesh = node.mesh(args.mesh or (node.config.pages.mesh if node.config.pages is not None else ""))
    people = PeopleRows(mesh.vault.blind)

    def look(turn: Turn) -> People:
        invited = {one.name: one for one in people.invitations(turn.vault, turn.now)}
        rows = [_row(person, invited.pop(person.name, None)) for person in people.listing(turn.vault)]
        rows += [
            PersonRow(one.name, one.wallet, one.points, "invited", "", "", None)
            for one in sorted(invited.values(), key=lambda one: one.name)
        ]
        return People(tuple(rows))

    return await mesh.engine.read(look)


def _row(person: Person, invited: Invitation | None) -> PersonRow:
    from node.vaults.wallets import CUSTODY

    custody = f"{CUSTODY}, who has its words too" if person.own_keys else CUSTODY
    state = "account" if invited is None else "account+invited"
    identity = person.identity[0] if person.identity is not None else ""
    since = moment(person.created)
    return PersonRow(person.name, person.wallet, person.points, state, custody, identity, since)


@operation("pages", "remove", permission="admin", confirm="End this account? Her wallet and her consents stay.")
async def pages_remove(node: Node, args: PersonArgs) -> PersonRow:
    """End an account of the citizen pages; the wallet and its consents stay."""
    from node.vaults.people import PeopleRows

    mesh = node.mesh(args.mesh or (node.config.pages.mesh if node.config.pages is not None else ""))
    people = PeopleRows(mesh.vault.blind)
    removed = await mesh.engine.act(lambda turn: people.remove(turn.vault, args.name))
    return _row(removed, None)
