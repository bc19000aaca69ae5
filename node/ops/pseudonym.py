"""Operations on pseudonyms: export readings under random ids of one recipient, look at the table, erase it.

How it works
    Each point gets a random id for each recipient, kept in the vault (node/vaults/pseudonyms.py). An export for a
    recipient names the ids in the place of the points, and says that it is pseudonymised: the table that leads back
    stays here. Once it is erased, nobody can go back by it, and the next export draws other ids.

What it does not do
    It sends nothing: an export is a file on this machine. The table is shown to whoever runs the node, and never
    written into a file for others.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from node.exits import not_found
from node.naming import find_party, moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH
from node.ops.readings import POINT

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.readings import Series

RECIPIENT = "The recipient: its name, did:key, or the beginning of its id."


class PseudonymArgs(Args, frozen=True):
    """Whose pseudonyms."""

    recipient: Annotated[str, said(RECIPIENT, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class PseudonymExportArgs(PseudonymArgs, frozen=True):
    """For whom, and which readings."""

    point: Annotated[tuple[str, ...], said(f"{POINT} Without any: all that are held.")] = ()
    since: Annotated[datetime | None, said("Readings from this moment on.")] = None
    until: Annotated[datetime | None, said("Readings until this moment.")] = None


class PseudonymRow(Result, frozen=True):
    """What a recipient calls a point. It leads back to the person: it is not for anybody else."""

    point: Annotated[str, said("The point of measurement.")]
    pseudonym: Annotated[str, said("The random id.")]
    drawn: Annotated[datetime, said("When it was drawn.")]


class Pseudonyms(Result, frozen=True):
    """The table of one recipient."""

    pseudonyms: Annotated[tuple[PseudonymRow, ...], said("Each point.")]


class PseudonymsErased(Result, frozen=True):
    """What was erased."""

    erased: Annotated[int, said("How many pseudonyms are forgotten.")]


class PseudonymisedReadings(Result, frozen=True):
    """Readings as a file, under pseudonyms."""

    records: Annotated[int, said("How many records.")]
    points: Annotated[int, said("Of how many points.")]
    label: Annotated[str, said("How near they are to a person: pseudonymised.")]
    meaning: Annotated[str, said("What that means.")]
    file: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]


@operation("pseudonym", "export", permission="operate")
async def pseudonym_export(node: Node, args: PseudonymExportArgs) -> PseudonymisedReadings:
    """Export one's own readings as CSV for one recipient, under random ids in the place of the points."""
    from node.adapters.plain_csv import to_csv
    from node.labels import MEANINGS, Level
    from node.naming import unix_of

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    since = unix_of(args.since) if args.since is not None else 0
    until = unix_of(args.until) if args.until is not None else 1 << 40

    def act(turn: Turn) -> tuple[list[Series], dict[str, str]]:
        recipient = find_party(turn.core.replica.members, args.recipient, "recipient", flows.tenants)
        series, names = [], {}
        for row in flows.series.listing(turn.vault):
            if args.point and row.key.point not in args.point:
                continue
            found = flows.series.load(turn.vault, row.key).window(since, until)
            if len(found):
                drawn = flows.pseudonyms.draw(turn.vault, recipient, row.key.point, turn.core.random_bytes, turn.now)
                names[row.key.point] = drawn.hex()
                series.append(found)
        return series, names

    series, names = await mesh.engine.act(act)
    if not series:
        raise not_found("There are no such readings here.", "point")
    level = Level.PSEUDONYMISED
    return PseudonymisedReadings(sum(map(len, series)), len(names), level.value, MEANINGS[level], to_csv(series, names))


@operation("pseudonym", "list", permission="admin")
async def pseudonym_list(node: Node, args: PseudonymArgs) -> Pseudonyms:
    """Show the table that leads from a recipient's pseudonyms back to the points. It never leaves this node."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> Pseudonyms:
        recipient = find_party(turn.core.replica.members, args.recipient, "recipient", flows.tenants)
        rows = flows.pseudonyms.listing(turn.vault, recipient)
        return Pseudonyms(tuple(PseudonymRow(point, drawn.hex(), moment(at)) for point, drawn, at in rows))

    return await mesh.engine.read(look)


@operation(
    "pseudonym",
    "erase",
    permission="admin",
    confirm="Erase the table? Nobody will find the points by these pseudonyms again.",
)
async def pseudonym_erase(node: Node, args: PseudonymArgs) -> PseudonymsErased:
    """Erase the table of one recipient: its pseudonyms lead nowhere from then on.

    What it received stays pseudonymised: a load curve can be recognised without a table. For the disk, see
    `storage/vault.py` on what erasing leaves behind.
    """
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> PseudonymsErased:
        recipient = find_party(turn.core.replica.members, args.recipient, "recipient", flows.tenants)
        return PseudonymsErased(flows.pseudonyms.erase(turn.vault, recipient))

    return await mesh.engine.act(act)
