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


class Explained(Result, frozen=True):
    """Whether an entry counts, and why."""

    id: Annotated[str, said("The entry.")]
    kind: Annotated[str, said("What kind of statement it is.")]
    verdict: Annotated[str, said("counts, waits or void.")]
    why: Annotated[tuple[str, ...], said("The reasons, in sentences.")]


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
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
            _plain(dict(entry.payload)),
            tuple(_places(turn, entry)),
        )

    return await mesh.engine.read(look)


@operation("entry", "explain", permission="read")
async def entry_explain(node: Node, args: EntryArgs) -> Explained:
    """Say whether an entry counts here and now, and why."""
    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> Explained:
        entry = _entry(turn, args.id)
        why = []
        for place in _places(turn, entry):
            where = f"At leaf {place.index} of the feed of {place.member}"
            if place.verdict == "void":
                why.append(f"{where} it is void: it breaks a rule that every node checks in the same way.")
            elif place.counts:
                why.append(f"{where} it is sound, and the feed counts that far.")
            else:
                why.append(f"{where} it is sound, but the feed does not count that far: only what restricts counts.")
        missing = [head.feed for head in entry.seen if turn.core.replica.held_iat(turn.rows, head) is None]
        if missing:
            names = ", ".join(feed.hex()[:12] for feed in missing)
            why.append(f"It waits for what it says it has seen: the feed(s) {names} are not held that far.")
        counts = any(place.counts for place in _places(turn, entry))
        verdict = "waits" if counts and missing else "counts" if counts else "void"
        return Explained(entry.id.hex(), entry.kind, verdict, tuple(why))

    return await mesh.engine.read(look)
