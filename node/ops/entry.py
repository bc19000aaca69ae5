"""Operations on single entries: what one says, where it stands, and whether it counts.

How it works
    An entry is found by the beginning of its id. Its payload is shown as values, byte strings in hexadecimal. For
    each place where it is registered: whether the leaf is sound there, and whether the feed still counts there.

What it does not do
    It shows what is public in the ledger; nothing of the vault.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from ledger.entry import Entry
from node.exits import not_found
from node.naming import device_owner, find_entry, moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node


class EntryArgs(Args, frozen=True):
    """Which entry."""

    id: Annotated[str, said("Its id, or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class Place(Result, frozen=True):
    """Where an entry is registered."""

    feed: Annotated[str, said("The feed, which is a device.")]
    member: Annotated[str, said("Whose feed it is.")]
    index: Annotated[int, said("Its leaf, counted from 0.")]
    verdict: Annotated[str, said("sound, or void: it has no effect from there.")]
    counts: Annotated[bool, said("Whether the feed counts that far for what permits.")]


class EntryShown(Result, frozen=True):
    """An entry."""

    id: Annotated[str, said("SHA-256 of its bytes.")]
    kind: Annotated[str, said("What kind of statement it is.")]
    signer: Annotated[str, said("Who signed: a member's name, or the id of the key.")]
    key: Annotated[str, said("The id of the key that signed.")]
    about: Annotated[str, said("What it is about: the kind of thing and its id.")]
    dated: Annotated[datetime, said("When it says it was signed.")]
    size: Annotated[int, said("Its size.")]
    payload: Annotated[dict[str, Any], said("What it says; byte strings in hexadecimal.")]
    places: Annotated[tuple[Place, ...], said("Where it is registered.")]


class Decider(Result, frozen=True):
    """An entry that decided."""

    id: Annotated[str, said("Its id.")]
    kind: Annotated[str, said("What kind of statement it is; empty where it is not held here.")]
    signer: Annotated[str, said("Who signed it.")]


class Explained(Result, frozen=True):
    """Whether an entry counts, and why."""

    id: Annotated[str, said("The entry.")]
    kind: Annotated[str, said("What kind of statement it is; empty where its bytes are none.")]
    verdict: Annotated[str, said("counts, superseded (it counted, and something ended it), waits or void.")]
    rule: Annotated[str, said("The number of the rule that decided (ledger/README.md lists them).")]
    why: Annotated[tuple[str, ...], said("The reasons, in sentences.")]
    decided_by: Annotated[tuple[Decider, ...], said("The entries that decided.")]


def plain(value: Any) -> Any:
    """Return a payload as JSON values: byte strings in hexadecimal."""
    match value:
        case bytes():
            return value.hex()
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case _:
            return value


def _places(turn: Turn, entry: Entry) -> list[Place]:
    replica = turn.core.replica
    found = []
    for number, index in replica.places(turn.rows, entry.id):
        feed = replica.feed_of(number)
        void = replica.leaf(turn.rows, feed, index).void
        owner = device_owner(replica.members, feed)
        counts = not void and index < replica.members.reach(feed)
        found.append(Place(feed.hex(), owner, index, "void" if void else "sound", counts))
    return found


def _entry(turn: Turn, text: str) -> Entry:
    entry = turn.core.replica.entry(turn.rows, find_entry(turn.rows, text))
    if entry is None:
        raise not_found(f"What is held under {text} is no well-formed entry: a void leaf.", "id")
    return entry


@operation("entry", "show", permission="read")
async def entry_show(node: Node, args: EntryArgs) -> EntryShown:
    """Show an entry of the ledger: who signed what, when, and where it stands."""
    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> EntryShown:
        entry = _entry(turn, args.id)
        return EntryShown(
            entry.id.hex(),
            entry.kind,
            device_owner(turn.core.replica.members, entry.kid),
            entry.kid.hex(),
            f"{entry.thing[0]} {entry.thing[1].hex()}",
            moment(entry.iat),
            len(entry.raw),
            plain(dict(entry.payload)),
            tuple(_places(turn, entry)),
        )

    return await mesh.engine.read(look)


def drawn(found: Explained) -> str:
    """Return an explanation as a person reads it."""
    from node.cli.render import table

    lines = [f"{found.kind or 'entry'} {found.id[:12]} {found.verdict}, by rule {found.rule}.", *found.why]
    return "\n".join([*lines, "", *table(found.decided_by)] if found.decided_by else lines)


async def explained(node: Node, args: EntryArgs) -> Explained:
    """Say whether an entry counts here and now, and why."""
    from ledger.explained import explain_entry

    def look(turn: Turn) -> Explained:
        replica, rows = turn.core.replica, turn.rows
        ident = find_entry(rows, args.id)
        account, entry = explain_entry(replica, rows, ident), replica.entry(rows, ident)
        deciders = []
        for each in account.why:
            decider = replica.entry(rows, each)
            kind, signer = ("", "") if decider is None else (decider.kind, device_owner(replica.members, decider.kid))
            deciders.append(Decider(each.hex(), kind, signer))
        told = f"{account.words[:1].upper()}{account.words[1:]}."
        kind = entry.kind if entry is not None else ""
        return Explained(ident.hex(), kind, account.verdict.value, account.rule, (told,), tuple(deciders))

    return await node.mesh(args.mesh).engine.read(look)


@operation("entry", "explain", permission="read", render=drawn)
async def entry_explain(node: Node, args: EntryArgs) -> Explained:
    """Say whether an entry counts here and now, by which rule, and which entries decided; as `maille explain`."""
    return await explained(node, args)
