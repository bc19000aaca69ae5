"""The soak: three real daemons with churn, 50 entries a second, and the slope of their memory.

How it works
    Consents are granted at two daemons through their control API, paced to the rate; each makes three entries: itself,
    and what holder and recipient acknowledge. How many it were is read from the ledger. The third is killed and started
    again every CHURN_SECONDS. Every SAMPLE_SECONDS the memory of the two that no file backs is noted (RssAnon): the
    pages of the store, which the system takes back when it needs them, are told apart. The first part, in which caches
    fill, is left out; through the rest a line is laid by least squares, and its slope is the figure.

What it does not do
    A ledger grows by what is stated in it, and so does what a node must know of it: the slope is told beside the bytes
    an entry, so that one can tell that growth from a leak.
"""

from __future__ import annotations

import argparse
import signal
import time
from abc import abstractmethod
from threading import Thread
from typing import Any, Final

from ledger.errors import MailleError
from tests.benchmarks import measure
from tests.benchmarks.measure import Result
from tests.benchmarks.town import Daemon, Town

ENTRIES_A_CONSENT: Final = 3
WALLET_CONSENTS: Final = 50  # then the next person: a wallet is read and written whole
SAMPLE_SECONDS: Final = 2.0
CHURN_SECONDS: Final = 20.0
WARM_PART: Final = 0.3
"""Of the samples, so many are left out at the beginning."""
SLOPE_MB_HOUR: Final = 60.0
"""What counts as flat: with 180 000 entries an hour, 333 bytes an entry for what the ledger keeps of each in memory."""


def slope(samples: list[tuple[float, float]]) -> float:
    """Return the slope of the line through (x, y) by least squares; 0 for fewer than two."""
    count = len(samples)
    mean_x = sum(x for x, _ in samples) / max(1, count)
    mean_y = sum(y for _, y in samples) / max(1, count)
    below = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / below if below else 0.0


def _grant(daemon: Daemon, number: int, count: int) -> None:
    wallet = f"person{number}-{count // WALLET_CONSENTS}"
    if not count % WALLET_CONSENTS:
        daemon.call("wallet create", name=wallet)
    daemon.call(
        "consent grant",
        wallet=wallet,
        holder="node0",
        recipient="node1",
        point=(f"prm:{count:014d}",),
        kind="daily",
        purpose="advice on saving energy",
        contact="data@example.org",
    )


class _Acting(Thread):
    """Does something to a daemon until it is told to stop. `told`: how often; `failed`: what ended it before that."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__()
        self.told, self.stopped = 0, False
        self.failed: Exception | None = None
        self._daemon = daemon

    def run(self) -> None:
        """Act."""
        try:
            self.act()
        except (MailleError, OSError) as error:
            self.failed = error

    @abstractmethod
    def act(self) -> None:
        """Act until `stopped`. Raises LocalError or OSError."""


class _Stating(_Acting):
    """Grants consents at one daemon, paced (`rate`: a second)."""

    def __init__(self, daemon: Daemon, number: int, rate: float) -> None:
        super().__init__(daemon)
        self._number, self._rate = number, rate

    def act(self) -> None:
        """State."""
        begun = time.monotonic()
        while not self.stopped:
            if self.told >= (time.monotonic() - begun) * self._rate:
                time.sleep(0.005)
                continue
            _grant(self._daemon, self._number, self.told)
            self.told += 1


class _Churning(_Acting):
    """Kills a daemon, or stops it, and starts it again, in turns."""

    def act(self) -> None:
        """Churn."""
        until = time.monotonic() + CHURN_SECONDS
        while not self.stopped:
            if time.monotonic() < until:
                time.sleep(0.1)
                continue
            self._daemon.stop(signal.SIGTERM if self.told % 2 else signal.SIGKILL)
            self._daemon.start()
            self.told, until = self.told + 1, time.monotonic() + CHURN_SECONDS


def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Run it, and return what was measured."""
    rss: list[list[tuple[float, float]]] = [[], []]
    resident: list[list[tuple[float, float]]] = [[], []]
    with measure.workspace() as folder, Town(folder, 3) as town:
        steady = town.daemons[:2]
        each = options.rate / 2 / ENTRIES_A_CONSENT
        stating = [_Stating(daemon, number, each) for number, daemon in enumerate(steady)]
        churning = _Churning(town.daemons[2])
        threads: list[_Acting] = [*stating, churning]
        begun, before = time.monotonic(), sum(daemon.cpu_seconds() for daemon in steady)
        held = steady[0].call("ledger stats").entries
        for thread in threads:
            thread.start()
        try:
            while (now := time.monotonic()) < begun + 60 * options.minutes:
                if any(thread.failed is not None for thread in threads):
                    break
                for daemon, samples, whole in zip(steady, rss, resident, strict=True):
                    samples.append(((now - begun) / 3_600, (measure.anonymous_bytes(daemon.pid) or 0) / 1e6))
                    whole.append(((now - begun) / 3_600, daemon.rss_bytes() / 1e6))
                measure.progress(f"{sum(one.told for one in stating)} consents, {rss[0][-1][1]:.1f} MB")
                time.sleep(SAMPLE_SECONDS)
        finally:
            for thread in threads:
                thread.stopped = True
                thread.join()
        lasted, cpu = time.monotonic() - begun, sum(daemon.cpu_seconds() for daemon in steady) - before
        for thread in threads:
            if thread.failed is not None:
                raise thread.failed
        stated = steady[0].call("ledger stats").entries - held
    warm = [samples[int(WARM_PART * len(samples)) :] for samples in rss]
    return {
        "slopes_mb_hour": [slope(samples) for samples in warm],
        "resident_slopes_mb_hour": [slope(samples[int(WARM_PART * len(samples)) :]) for samples in resident],
        "resident_last_mb": [samples[-1][1] for samples in resident],
        "samples_mb": [[round(y, 1) for _, y in samples[:: max(1, len(samples) // 30)]] for samples in rss],
        "first_mb": [samples[0][1] for samples in warm],
        "last_mb": [samples[-1][1] for samples in warm],
        "consents": sum(one.told for one in stating),
        "entries": stated,
        "entries_a_second": stated / lasted,
        "restarts": churning.told,
        "cpu_ms_an_entry": 1_000 * cpu / max(1, stated),
        "minutes": lasted / 60,
    }


def run(options: argparse.Namespace) -> Result:
    """Measure."""
    found = soak(options)
    worst = max(found["slopes_mb_hour"])
    grown = max(0.001, worst) * 1e6 / (3_600 * max(0.001, found["entries_a_second"]))
    return Result(
        name="soak",
        what=f"memory of two daemons over {found['minutes']:.1f} minutes, a third killed {found['restarts']} times",
        figure=max(0.001, worst),
        unit="MB/hour",
        limit=SLOPE_MB_HOUR,
        limit_is=f"the slope that counts as flat at {options.rate} entries a second",
        ratio=max(0.001, worst) / SLOPE_MB_HOUR,
        reach=f"below {SLOPE_MB_HOUR:.0f} MB/hour",
        aim="the same",
        met=worst < SLOPE_MB_HOUR if options.minutes >= 5 else None,
        peers={},
        method=f"least squares over samples every {SAMPLE_SECONDS} s, the first {WARM_PART:.0%} left out",
        details={**found, "bytes_an_entry": grown},
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--minutes", type=float, default=2.0, help="how long (30 at night)")
    parser.add_argument("--rate", type=float, default=50.0, help="entries a second")


if __name__ == "__main__":
    measure.main(run, describe)
