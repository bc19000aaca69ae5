"""Pages about what is recorded: the ledger and its agreement, consents, transfers and refusals.

How it works
    Each page reads as many rows as it shows, whatever the ledger holds (`holdings`); the count of consents is that of
    the committed map at the newest tick.

What it does not do
    No page shows a point, a purpose or a reading: a consent's content is its person's (`maille consent show`).
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from node.console.desk import Look
from node.console.holdings import AccountRow, accounts, consents, ticks
from node.core import Turn
from node.exits import usage
from node.naming import find_entry
from node.ops.checkpoint import CheckpointsArgs, checkpoint_list
from node.ops.data import DataArgs, data_refusals
from node.ops.ledger import LedgerArgs, Roots, Stats, ledger_root, ledger_stats

REFUSALS_SHOWN: Final = 50
FEEDS_SHOWN: Final = 100
CURSOR_BYTES_MAX: Final = 64
PAGES_MAX: Final = 1_000_000


async def ledger(look: Look) -> Response:
    """Show the roots, who attests which state at the newest ticks, and the heads of the feeds."""
    mesh = look.mesh
    roots: Roots = await look.run(ledger_root, LedgerArgs(mesh.name))
    stats: Stats = await look.run(ledger_stats, LedgerArgs(mesh.name))
    cosigned = {row.feed: row for row in (await look.run(checkpoint_list, CheckpointsArgs(mesh.name))).checkpoints}
    found = await mesh.engine.read(ticks)
    pages = max(1, -(-len(roots.feeds) // FEEDS_SHOWN))
    number = look.number("page", pages)
    feeds = roots.feeds[(number - 1) * FEEDS_SHOWN : number * FEEDS_SHOWN]
    values = {"roots": roots, "stats": stats, "ticks": found, "cosigned": cosigned, "feeds": feeds}
    return look.page("ledger.html", **values, number=number, pages=pages)


async def consents_page(look: Look) -> Response:
    """Show how many consents there are, and a page of them."""
    mesh, start = look.mesh, _cursor(look, "after")
    named = look.request.query_params.get("id", "").strip().lower()
    stats: Stats = await look.run(ledger_stats, LedgerArgs(mesh.name))

    def read(turn: Turn) -> tuple[list[object], str]:
        if named:
            rows, _ = consents(turn, find_entry(turn.rows, named))
            return [row for row in rows[:1] if row.id.startswith(named)], ""
        rows, following = consents(turn, start)
        return list(rows), following

    rows, following = await mesh.engine.read(read)
    return look.page("console_consents.html", rows=rows, following=following, stats=stats, start=start, named=named)


async def transfers(look: Look) -> Response:
    """Show the accounts of transfers, and what was refused."""
    mesh, start, number = look.mesh, _cursor(look, "after"), look.number("page", PAGES_MAX)

    def read(turn: Turn) -> tuple[list[AccountRow], str, int]:
        return accounts(turn, start, number)

    rows, following, pages = await mesh.engine.read(read)
    refused = await look.run(data_refusals, DataArgs(mesh.name))
    values = {"rows": rows, "following": following, "start": start, "ever": refused.ever}
    return look.page("transfers.html", **values, number=number, pages=pages, refusals=refused.refusals[:REFUSALS_SHOWN])


def _cursor(look: Look, name: str) -> bytes:
    try:
        found = bytes.fromhex(look.request.query_params.get(name, ""))
    except ValueError:
        found = bytes(CURSOR_BYTES_MAX + 1)
    if len(found) > CURSOR_BYTES_MAX:
        raise usage("This address was not made by our page.", name)
    return found
