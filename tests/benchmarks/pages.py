"""pages: how long a person waits for the first paint of her dashboard, with many consents in her wallet.

How it works
    Four whole nodes run in this process; one serves pages over TLS and keeps a wallet with as many consents as asked
    for. Chromium, in processes of its own, opens the dashboard; the figure is `first-contentful-paint` of its
    performance API, from the start of navigation, at the median of the rounds. The limit is the same for a page that
    reads nothing.

What it does not do
    Server and browser share this machine, so no network is in it. Without Chromium it cannot run.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any, Final

import trio
from playwright.sync_api import Page, sync_playwright

from node.core import Turn
from node.flows.consenting import Offer
from node.flows.offers import terms_of
from node.logs import set_up
from tests.benchmarks import measure
from tests.benchmarks.measure import Result
from tests.pages.browsing import CHROMIUM, enter, visitor
from tests.pages.town import ADVISER, CONTACT, HOLDER, HOST, PRM, Town

REACH_MS: Final = 300.0
REACH_CONSENTS: Final = 1_000
BATCH: Final = 100
SETTLE_SECONDS: Final = 20
DAY: Final = 86_400
PAINT: Final = """() => new Promise(done => new PerformanceObserver(list => {
  const found = list.getEntriesByName("first-contentful-paint")[0];
  if (found) done(found.startTime);
}).observe({type: "paint", buffered: true}))"""
SERVED: Final = "performance.getEntriesByType('navigation')[0].responseEnd"


def fill(town: Town, wallet: str, count: int) -> None:
    """Give consents from a wallet at the host."""
    from ledger.consent.record import Actor

    mesh = town.nodes[HOST].mesh()
    holder, recipient = (town.nodes[name].mesh().core.party for name in (HOLDER, ADVISER))

    async def give(first: int) -> None:
        def act(turn: Turn) -> None:
            for number in range(first, min(first + BATCH, count)):
                values: dict[str, Any] = {
                    "purpose": f"Advice no. {number}",
                    "points": [PRM],
                    "pii_type": "electricity/consumption/daily",
                    "contact": CONTACT,
                }
                until = turn.now + (30 + number % 300) * DAY
                terms = terms_of(values, Actor(ADVISER, "recipient", "", recipient), now=turn.now, valid_until=until)
                offer = Offer(holder, recipient, terms, until)
                mesh.flows.acts.grant(turn, wallet, offer, mesh.flows.acts.notice(turn, offer, (HOLDER, ADVISER)))

        await mesh.engine.act(act)

    for first in range(0, count, BATCH):
        town.run(give, first)
        measure.progress(f"{first + BATCH} of {count} consents given")


def settle(town: Town, wallet: str) -> None:
    """Wait until holder and recipient have acknowledged all, or a while: until then four nodes work in this process."""
    mesh = town.nodes[HOST].mesh()

    def acknowledged(turn: Turn) -> bool:
        own = mesh.flows.wallets.get(turn.vault, wallet).wallet.consents
        found = (turn.core.replica.consent(turn.rows, one.grant_id) for one in own)
        return all(status is not None and len(status.acknowledged) == 2 for status in found)

    async def wait() -> None:
        with trio.move_on_after(SETTLE_SECONDS):
            while not await mesh.engine.read(acknowledged):
                await trio.sleep(0.2)

    town.run(wait)


def paint(page: Page, url: str) -> tuple[float, float]:
    """Open a page; return when it was first painted and when the answer was complete, in milliseconds."""
    page.goto(url)
    return float(page.evaluate(PAINT)), float(page.evaluate(SERVED))


def bench(options: argparse.Namespace) -> Result:
    """Measure the first paint of the dashboard."""
    set_up("json", "error")  # nodes tell what they do; standard output is for the result
    with (
        measure.workspace() as folder,
        Town(Path(folder)).living() as town,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = enter(town, visitor(browser), "anna")
        fill(town, "anna", options.consents)
        settle(town, "anna")
        first, _ = paint(page, f"{town.url}/consents")
        rounds = [paint(page, f"{town.url}/consents") for _ in range(options.rounds)]
        shown = page.locator("li.consent").count()
        plain = [paint(page, f"{town.url}/about")[0] for _ in range(options.rounds)]
        browser.close()
    assert shown == min(25, options.consents)
    paints = [one for one, _ in rounds]
    figure, limit = statistics.median(paints), statistics.median(plain)
    return Result(
        name="pages",
        what=f"first paint of the dashboard of a person with {options.consents} consents",
        figure=figure,
        unit="ms",
        limit=limit,
        limit_is="first paint of a page that reads nothing",
        ratio=figure / limit,
        reach=f"{REACH_MS:g} ms with {REACH_CONSENTS} consents",
        aim=f"{REACH_MS:g} ms",
        met=max(*paints, first) < REACH_MS if options.consents >= REACH_CONSENTS else None,
        peers={},
        method=f"median of {options.rounds} loads in Chromium over TLS, all on this machine; met only if the worst is",
        details={"first_load_ms": first, "worst_ms": max(paints), "served_ms": statistics.median(s for _, s in rounds)},
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--consents", type=int, default=REACH_CONSENTS)
    parser.add_argument("--rounds", type=int, default=10)


if __name__ == "__main__":
    measure.main(bench, describe)
