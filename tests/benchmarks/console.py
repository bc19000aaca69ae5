"""console: how long an operator waits for the first paint of a page, with many consents on the ledger.

How it works
    One whole node runs in this process and serves the operator pages on a loopback address. As many consents as asked
    for are signed by wallets and registered, and a tick commits them. Chromium, in processes of its own, opens the
    overview, then the pages of consents and of the ledger; the figure is `first-contentful-paint` of its performance
    API, from the start of navigation, at the median of the rounds of the slowest page. The limit is the same for a page
    that reads nothing.

What it does not do
    Server and browser share this machine. The contents of the consents are not kept here: no page reads them.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import trio
from playwright.sync_api import Page, sync_playwright

from ledger.consent.wallet import Wallet, make_grant
from node.console.desk import Desk
from node.console.service import serve
from node.console.settings import Console
from node.core import Turn
from node.daemon import Node
from node.logs import set_up
from tests.benchmarks import measure
from tests.benchmarks.measure import Result
from tests.benchmarks.pages import paint
from tests.ledger.consent.cases import NOTICE, TERMS
from tests.node.nodes import do, make_home, running
from tests.pages.browsing import CHROMIUM, visitor
from tests.pages.town import free_port

REACH_MS: Final = 300.0
REACH_CONSENTS: Final = 100_000
BATCH: Final = 500
PAGES: Final = ("/", "/consents", "/ledger")
PLAIN: Final = "/accessibility"
DAY: Final = 86_400
TICK_WAIT: Final = "30m"


class Served:
    """A node with its pages, in a thread of its own."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        self._ready = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._failed: BaseException | None = None
        self.url = self.token = ""

    @contextmanager
    def living(self) -> Iterator[None]:
        """Serve for a with-block."""
        thread = threading.Thread(target=self._thread)
        thread.start()
        try:
            self._ready.wait()
            if self._failed is not None:
                raise self._failed
            yield
        finally:
            self._stop()
            thread.join()

    def _thread(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # told by the thread that waits
            self._failed = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        settings = Console(f"127.0.0.1:{free_port()}")
        async with running(make_home(self._folder / "node", "Host")) as node, trio.open_nursery() as nursery:
            await do(node, "mesh create", name="street")
            await fill(node, self._count)
            await nursery.start(serve, node, settings, Desk(node, settings))
            self.token = (await do(node, "token make", name="benchmark")).token
            self.url = settings.origin
            stop, here = trio.Event(), trio.lowlevel.current_trio_token()
            self._stop = lambda: trio.from_thread.run_sync(stop.set, trio_token=here)
            self._ready.set()
            await stop.wait()
            nursery.cancel_scope.cancel()


async def fill(node: Node, count: int) -> None:
    """Register consents, each from a wallet of its own, and commit them by a tick."""
    mesh = node.mesh()
    own = mesh.core.party

    def give(turn: Turn, first: int) -> None:
        head, replica = turn.shown_head(), turn.core.replica
        closure = replica.closure_iat(turn.rows, [head])
        for number in range(first, min(first + BATCH, count)):
            grant, _ = make_grant(
                Wallet(number.to_bytes(32, "big")),
                TERMS,
                holder=own,
                recipient=(number.to_bytes(32, "big"), 1),
                valid_until=(turn.now // DAY + 200) * DAY,
                notice=NOTICE,
                request=None,
                head=head,
                closure_iat=closure,
                now=turn.now,
                mesh_id=replica.mesh_id,
                policy=turn.core.policy,
                random_bytes=turn.core.random_bytes,
            )
            turn.register(grant)

    for first in range(0, count, BATCH):
        await mesh.engine.act(lambda turn, first=first: give(turn, first))  # type: ignore[misc]
        if first % (BATCH * 10) == 0:
            measure.progress(f"{first} of {count} consents given")
    await do(node, "tick run", wait=TICK_WAIT)
    held = (await do(node, "ledger stats")).consents
    assert held == count, f"{held} of {count} consents are committed"


def measured(page: Page, url: str, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return when each page was painted and served, in milliseconds, round by round."""
    found: dict[str, list[tuple[float, float]]] = {path: [] for path in (*PAGES, PLAIN)}
    for _ in range(rounds):
        for path, told in found.items():
            told.append(paint(page, url + path))
    return found


def bench(options: argparse.Namespace) -> Result:
    """Measure the first paint of the operator pages."""
    set_up("json", "error")  # the node tells what it does; standard output is for the result
    with measure.workspace() as folder:
        served = Served(Path(folder), options.consents)
        with served.living(), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = visitor(browser, "en").new_page()
            page.goto(served.url)
            page.fill("#token", served.token)
            page.click("main form button")
            before = resource.getrusage(resource.RUSAGE_SELF)
            found = measured(page, served.url, options.rounds)
            after = resource.getrusage(resource.RUSAGE_SELF)
            rows = page.goto(served.url + "/consents") and page.locator("tbody tr").count()
            browser.close()
    assert rows == min(50, options.consents)
    medians = {path: statistics.median(painted for painted, _ in told) for path, told in found.items()}
    slowest = max(PAGES, key=medians.__getitem__)
    worst = max(painted for path in PAGES for painted, _ in found[path])
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    details: dict[str, Any] = {
        "painted_ms": medians,
        "served_ms": {path: statistics.median(done for _, done in told) for path, told in found.items()},
        "worst_ms": worst,
        "worst_plain_ms": max(painted for painted, _ in found[PLAIN]),
        "processor_ms_a_page": used * 1_000 / (options.rounds * len(found)),
    }
    return Result(
        name="console",
        what=f"first paint of operator pages with {options.consents} consents, the slowest page ({slowest})",
        figure=medians[slowest],
        unit="ms",
        limit=medians[PLAIN],
        limit_is="first paint of a page that reads nothing",
        ratio=medians[slowest] / medians[PLAIN],
        reach=f"{REACH_MS:g} ms with {REACH_CONSENTS} consents",
        aim=f"{REACH_MS:g} ms",
        met=worst < REACH_MS if options.consents >= REACH_CONSENTS else None,
        peers={},
        method=f"median of {options.rounds} loads in Chromium over loopback, all on this machine; met if the worst is",
        details=details,
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--consents", type=int, default=REACH_CONSENTS)
    parser.add_argument("--rounds", type=int, default=10)


if __name__ == "__main__":
    measure.main(bench, describe)
