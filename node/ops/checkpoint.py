"""Operations on checkpoints: which head of a feed members have cosigned, and its note for other tools.

How it works
    Shown is the newest head of a feed that members cosign (ledger/witnessing.py); where there is none yet, or with
    --newest, the newest that its owner signed. The note is a C2SP checkpoint (a signed note): its lines are
    cosignature/v1, the owner's first, so any tool that reads those verifies it with the keys of `maille trust policy`.

What it does not do
    It does not say how many witnesses are enough.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from ledger import checkpoint, witnessing
from ledger.checkpoint import Checkpoint, Head
from ledger.errors import LocalError
from node.exits import not_found, usage
from node.naming import device_owner, find_member, moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node


class CheckpointsArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class CheckpointRow(Result, frozen=True):
    """The newest head of one feed that members cosign."""

    feed: Annotated[str, said("The feed, which is a device.")]
    member: Annotated[str, said("Whose it is.")]
    size: Annotated[int, said("How many leaves the head covers.")]
    root: Annotated[str, said("Its Merkle root.")]
    signed: Annotated[datetime, said("When its owner signed it.")]
    witnesses: Annotated[int, said("How many devices of other members cosigned it, as far as we know.")]
    of: Annotated[int, said("How many are to cosign it.")]


class Checkpoints(Result, frozen=True):
    """The heads that members cosign."""

    checkpoints: Annotated[tuple[CheckpointRow, ...], said("The newest of each feed.")]


class CheckpointArgs(Args, frozen=True):
    """Which feed."""

    feed: Annotated[str, said("The feed's id, or the beginning of it; or its member's name.", positional=True)]
    note: Annotated[bool, said("Print the signed note alone, as other C2SP tools read it.")] = False
    newest: Annotated[bool, said("The newest head that its owner signed, though nobody may have cosigned it.")] = False
    mesh: Annotated[str, said(WHICH)] = ""


class CosignerRow(Result, frozen=True):
    """One member's cosignature."""

    member: Annotated[str, said("Who cosigned.")]
    device: Annotated[str, said("With which device.")]
    time: Annotated[datetime, said("When: by then it had checked this head.")]


class CheckpointShown(Result, frozen=True):
    """A checkpoint."""

    feed: Annotated[str, said("The feed, which is a device.")]
    member: Annotated[str, said("Whose it is.")]
    size: Annotated[int, said("How many leaves it covers.")]
    root: Annotated[str, said("Its Merkle root.")]
    signed: Annotated[datetime, said("When its owner signed it.")]
    cosigned: Annotated[tuple[CosignerRow, ...], said("Who cosigned it.")]
    note: Annotated[str, said("The signed note: origin, size, root, then a line for each signature.")]
    alone: Annotated[bool, said("Whether the note alone was asked for.")] = False


def _drawn(shown: CheckpointShown) -> str:
    from node.cli.render import lines

    if shown.alone:
        return shown.note.removesuffix("\n")
    head = [line for line in lines(shown)[: len(shown.__struct_fields__)] if not line.startswith(("note", "alone"))]
    names = [f"  {row.time:%Y-%m-%dT%H:%M:%SZ}  {row.member} ({row.device[:12]})" for row in shown.cosigned]
    return "\n".join([*(line for line in head if line and not line.startswith(" ")), *names])


@operation("checkpoint", "list", permission="read")
async def checkpoint_list(node: Node, args: CheckpointsArgs) -> Checkpoints:
    """Show of each feed the newest head that members cosign, and how many did."""
    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> Checkpoints:
        members = turn.core.replica.members
        witnesses, rows = witnessing.Witnesses(members), []
        for newest in witnessing.newest(turn.rows):
            feed, signed = newest.feed, newest.signed
            found = len(witnessing.cosignatures(turn.rows, feed, newest.head))
            who, when = device_owner(members, feed), moment(signed.time)
            count = len(witnesses.of(feed))
            rows.append(CheckpointRow(feed.hex(), who, signed.size, signed.root.hex(), when, found, count))
        return Checkpoints(tuple(rows))

    return await mesh.engine.read(look)


@operation("checkpoint", "show", permission="read", render=_drawn)
async def checkpoint_show(node: Node, args: CheckpointArgs) -> CheckpointShown:
    """Show a feed's checkpoint and who cosigned it; with --note as a signed note for other tools."""
    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> CheckpointShown:
        replica = turn.core.replica
        feed = find_feed(turn, args.feed)
        newest = None if args.newest else witnessing.newest_of(turn.rows, feed)
        signed, public = newest.signed if newest is not None else replica.signed_head(feed), replica.feed_key(feed)
        if signed is None or public is None:
            raise not_found(f"No checkpoint of feed {feed.hex()[:12]} is held here.", "feed")
        held = witnessing.cosignatures(turn.rows, feed, Head(feed, signed.size, signed.root))
        lines = [checkpoint.cosignature(replica.mesh_id, feed, public, signed.time, signed.signature)]
        who = []
        for device, time, signature in held:
            key = replica.feed_key(device)
            if key is not None:
                lines.append(checkpoint.cosignature(replica.mesh_id, device, key, time, signature))
                who.append(CosignerRow(device_owner(replica.members, device), device.hex(), moment(time)))
        note = Checkpoint(checkpoint.origin(replica.mesh_id, feed), signed.size, signed.root, tuple(lines)).text()
        owner, when = device_owner(replica.members, feed), moment(signed.time)
        return CheckpointShown(
            feed.hex(), owner, signed.size, signed.root.hex(), when, tuple(who), note, alone=args.note
        )

    return await mesh.engine.read(look)


def find_feed(turn: Turn, text: str) -> bytes:
    """Return the feed that `text` names: the beginning of its id, or its member, if that has one device.

    Raises LocalError NOT_FOUND, NAME_UNCLEAR.
    """
    replica = turn.core.replica
    found = [feed for feed in sorted(replica.feeds) if feed.hex().startswith(text.lower())]
    if not re.fullmatch(r"[0-9a-f]{4,64}", text.lower()) or not found:
        member = find_member(replica.members, text, "feed")
        found = [feed for feed in member.feeds if feed in replica.feeds]
    if len(found) == 1:
        return found[0]
    if not found:
        raise usage(f"No feed of {text!r} is held here.", "feed")
    listed = ", ".join(feed.hex()[:12] for feed in found)
    raise LocalError("NAME_UNCLEAR", f"{text!r} could be {listed}; name the feed by its id.", field="feed")
