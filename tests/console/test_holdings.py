"""Pages of what the ledger and the vault hold: everything is shown once, page by page, and no page reads more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from node.console import holdings
from node.console.holdings import accounts, consents, ticks
from node.core import Turn
from node.daemon import Node
from node.vaults.receipts import HOLDER, RECIPIENT, Receipt
from node.vaults.transfers import Tally
from tests.benchmarks.console import fill
from tests.node.nodes import do, make_home, running


class Counting:
    """Rows that count how many of them are looked at."""

    def __init__(self, rows: Any) -> None:
        self._rows, self.looked = rows, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def scan(self, *args: Any, **more: Any) -> Any:
        """Count what a scan yields."""
        for row in self._rows.scan(*args, **more):
            self.looked += 1
            yield row


async def paged(node: Node) -> list[list[str]]:
    """Return the ids of every page of consents."""
    mesh, start, found = node.mesh(), b"", list[list[str]]()
    while True:
        rows, following = await mesh.engine.read(lambda turn, start=start: consents(turn, start))  # type: ignore[misc]
        found.append([row.id for row in rows])
        if not following:
            return found
        start = bytes.fromhex(following)


async def test_consents_come_page_by_page_each_once(tmp_path: Path) -> None:
    count = 2 * holdings.CONSENTS_SHOWN + 3
    async with running(make_home(tmp_path, "Host")) as node:
        await do(node, "mesh create", name="street")
        assert await paged(node) == [[]]
        await fill(node, count)
        pages = await paged(node)
        assert [len(page) for page in pages] == [holdings.CONSENTS_SHOWN, holdings.CONSENTS_SHOWN, 3]
        ids = [one for page in pages for one in page]
        assert ids == sorted(set(ids))

        def looked(turn: Turn) -> int:
            rows = Counting(turn.rows)
            turn.rows = rows
            consents(turn, b"")
            return rows.looked

        few = await node.mesh().engine.read(looked)
        assert few <= 10 * holdings.CONSENTS_SHOWN  # whatever the ledger holds


async def test_a_tick_says_who_attested_which_state(tmp_path: Path) -> None:
    async with running(make_home(tmp_path, "Host")) as node:
        await do(node, "mesh create", name="street")
        made = await do(node, "tick run")
        (row,) = await node.mesh().engine.read(ticks)
        assert row.boundary == int(made.boundary.timestamp())
        (state,) = row.states
        assert (state.root, state.frontier, state.by) == (made.state_root, made.frontier, ("Host",))


async def test_accounts_are_sorted_by_time_while_they_are_few_and_read_by_id_beyond(tmp_path: Path) -> None:
    few, many = holdings.ACCOUNTS_SHOWN + 5, holdings.SORTED_MAX + 30
    async with running(make_home(tmp_path, "Host")) as node:
        await do(node, "mesh create", name="street")
        mesh = node.mesh()
        own = mesh.core.party

        def keep(turn: Turn, first: int, stop: int) -> None:
            for number in range(first, stop):
                ident = (number * 7_919 % 65_521).to_bytes(16, "big")
                role = RECIPIENT if number % 3 else HOLDER
                at = turn.now - number * 977 % 10_000
                tally = Tally(1, number, 0, (at, at + 1), bytes(32))
                mesh.flows.receipts.put(
                    turn.vault,
                    Receipt(role, ident, bytes(32), own, own, None, (), tally, at, at, "done", "", bytes(16)),
                )

        await mesh.engine.act(lambda turn: keep(turn, 0, few))
        first, following, pages = await mesh.engine.read(lambda turn: accounts(turn, b"", 1))
        rest, _, _ = await mesh.engine.read(lambda turn: accounts(turn, b"", 2))
        assert (following, pages, len(first), len(rest)) == ("", 2, holdings.ACCOUNTS_SHOWN, 5)
        times = [row.ended for row in (*first, *rest)]
        assert times == sorted(times, reverse=True)
        await mesh.engine.act(lambda turn: keep(turn, few, many))
        seen, start = list[tuple[str, bool]](), b""
        while True:
            rows, following, pages = await mesh.engine.read(lambda turn, start=start: accounts(turn, start, 1))  # type: ignore[misc]
            assert (pages, len(rows) <= holdings.ACCOUNTS_SHOWN) == (0, True)
            seen += [(row.transfer, row.sent) for row in rows]
            if not following:
                break
            start = bytes.fromhex(following)
        assert (len(seen), len(set(seen))) == (many, many)
