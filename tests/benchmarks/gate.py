"""gate: decisions a second of the gate, many consents in the store, each on a chain of delegations, from the ledger.

How it works
    Two founders with a link hold as many consents as asked for, each for its own point, with real disclosures, in a
    store on disk. Every consent rests on a chain of LINKS delegations, sealed bounds and all; CONSENTS_A_CHAIN of them
    on the same chain. Every tenth consent was withdrawn, and the topmost link of every tenth chain was revoked. The
    gate is asked as a node asks it: the consents that name the point are looked up, each is brought up to date with
    what the replica says of it and of each link, then `permit` decides. What it must know of the mesh is put together
    anew every DECISIONS_A_TURN decisions, as in a turn of the node, freshness included. Of ten flows about six are
    allowed; one asks for a withdrawn consent, one for another kind of data, one for a point without consent; points
    are drawn at random.
    The limit is the same look-up with a decision that checks nothing. First what the ledger says comes from the rows
    (cold), then from the replica's memory (warm, the figure), limit and figure in turns.

What it does not do
    Nothing is sent, and no receipt is written: a decision only.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ledger.consent.bounds import Bounds
from ledger.consent.chain import chain, delegation_stands
from ledger.consent.gate import Candidate, Context, Decision, Flow, freshness, permit, prepare
from ledger.consent.reasons import Reason
from ledger.consent.record import DataKind
from ledger.consent.scope import Link, Standing
from ledger.entry import Entry
from ledger.merkle import leaf_hash
from ledger.replica import Replica
from ledger.rows import Reader
from storage.disk import DiskStore
from tests.benchmarks import measure
from tests.benchmarks.consents import BATCH, DAY, NOW, point
from tests.benchmarks.corpus import Mesh
from tests.benchmarks.measure import Result
from tests.ledger.consent.cases import TERMS
from tests.ledger.consent.chains import Book, key

REACH: Final = 50_000.0
LINKS: Final = 3
CONSENTS_A_CHAIN: Final = 100
DECISIONS_A_TURN: Final = 8  # as many packs of one transfer are on their way at once
OTHER: Final = DataKind("electricity", "consumption", "daily")
END: Final = (NOW // DAY + 200) * DAY


class Ledger:
    """What the benchmark states: chains of delegations, grants under them, and what ended some. `book` has the rest."""

    def __init__(self, path: Path, mesh: Mesh) -> None:
        self.mesh, self.feed = mesh, mesh.feeds[0]
        self.store = DiskStore(path)
        with self.store.write() as rows:
            self.replica = Replica.create(rows, mesh.genesis)
            for run, entries in mesh.founding():
                self.replica.ingest(rows, run, NOW, entries)
        self.book = Book(mesh.genesis.mesh_id, self.feed.shown(), NOW, mesh.random)

    def state(self, entries: Sequence[Entry]) -> None:
        """Register entries."""
        for first in range(0, len(entries), BATCH):
            batch = entries[first : first + BATCH]
            for entry in batch:
                self.feed.tree.append(leaf_hash(entry.id))
            with self.store.write() as rows:
                self.replica.ingest(rows, self.feed.close(self.mesh.genesis.mesh_id, batch, NOW), NOW, batch)

    def chain(self, number: int) -> list[Entry]:
        """Give a chain of delegations; the nearest is the last."""
        links: list[Entry] = []
        for place in range(LINKS):
            giver, delegate = (key(1_000_000 + number * 10 + place + step) for step in (0, 1))
            above = links[-1] if links else None
            depth = LINKS - 1 - place
            links.append(self.book.delegation(giver, delegate, BOUNDS, parent=above, depth=depth, valid_until=END))
        return links

    def grant(self, number: int, chain: int, nearest: Entry) -> Entry:
        """Grant under a chain."""
        return self.book.grant(
            key(1_000_000 + chain * 10 + LINKS),
            replace(TERMS, points=(point(number),)),
            holder=self.mesh.parties[0],
            recipient=self.mesh.parties[1],
            valid_until=END,
            delegation=nearest.id,
        )

    def ended(self, grant: Entry, chain: int) -> Entry:
        """Withdraw a grant, with its own key."""
        signer = key(1_000_000 + chain * 10 + LINKS)
        return self.book.sign(signer, "consent.withdraw", {"grant": grant.raw}, about=grant)

    def revoked(self, top: Entry, chain: int) -> Entry:
        """Revoke the topmost link of a chain, by the person."""
        return self.book.sign(key(1_000_000 + chain * 10), "delegation.revoke", {"links": [top.raw]}, about=top)


BOUNDS: Final = Bounds(kinds=frozenset({TERMS.pii_type} if TERMS.pii_type else ()), granularity="PT10M")


def granted(path: Path, mesh: Mesh, count: int) -> tuple[Book, list[Entry]]:
    """Make a store with `count` grants under chains, some ended; return the grants and the book with all content."""
    ledger = Ledger(path, mesh)
    grants: list[Entry] = []
    for first in range(0, count, CONSENTS_A_CHAIN):
        if first % 10_000 == 0:
            measure.progress(f"signed {first} of {count} consents")
        number = first // CONSENTS_A_CHAIN
        links = ledger.chain(number)
        own = [ledger.grant(n, number, links[-1]) for n in range(first, min(first + CONSENTS_A_CHAIN, count))]
        ends = [ledger.ended(own[place], number) for place in range(0, len(own), 10)]
        tops = [ledger.revoked(links[0], number)] if number % 10 == 9 else []
        ledger.state([*links, *own, *ends, *tops])
        grants += own
    ledger.store.close()
    return ledger.book, grants


def flows(mesh: Mesh, consents: int, count: int) -> list[Flow]:
    """Return the flows to decide, drawn at random: mostly allowed, some refused for each of three reasons."""
    draw, holder, recipient = random.Random(3), mesh.parties[0], mesh.parties[1]
    window = (TERMS.data_period[0][0], TERMS.data_period[0][1])
    drawn = []
    for number in range(count):
        digit, place = number % 10, draw.randrange(consents)
        place = place // 10 * 10 if digit == 0 else place + (place % 10 == 0)
        named = point(consents + place) if digit == 1 else point(min(place, consents - 1))
        kind = OTHER if digit == 2 else TERMS.pii_type
        assert kind is not None
        drawn.append(Flow(holder, recipient, named, kind, TERMS.granularity, window, TERMS.purpose))
    return drawn


Decide = Callable[[Flow], Decision]


def gate(replica: Replica, rows: Reader, mesh: Mesh, by_point: dict[str, list[Candidate]]) -> Decide:
    """Return the gate as a node asks it."""
    policy = replica.genesis.policy
    feeds = [device.kid for device in mesh.devices]
    newest = dict.fromkeys(feeds, NOW)
    bound = policy.max_staleness_seconds

    def fresh(home: tuple[bytes, ...]) -> bool:
        return freshness(home, feeds[0], feeds, newest, now=NOW, max_staleness=bound).fresh

    def turn() -> Context:
        met: dict[tuple[bytes, ...], bool] = {}

        def asked(home: tuple[bytes, ...]) -> bool:
            if home not in met:
                met[home] = fresh(home)
            return met[home]

        return Context(replica.members, policy, asked)

    context = turn()
    left = DECISIONS_A_TURN
    nothing: list[Candidate] = []

    def stands(link: Link) -> Standing | None:
        return delegation_stands(link, replica.delegations.now(replica, rows, link.entry))

    def decide(flow: Flow) -> Decision:
        nonlocal context, left
        left -= 1
        if not left:
            context, left = turn(), DECISIONS_A_TURN
        found = by_point.get(flow.point, nothing)
        for place, candidate in enumerate(found):
            found[place] = candidate.as_of(replica.consent(rows, candidate.grant), stands)
        return permit(flow, context, found, NOW)

    return decide


def unchecked(by_point: dict[str, list[Candidate]]) -> Decide:
    """Return a gate that looks the consents up and allows everything: the limit."""

    def decide(flow: Flow) -> Decision:
        grants = [candidate.grant for candidate in by_point.get(flow.point, ())]
        return Decision(Reason.ALLOWED, grants[0] if grants else None, (), flow.window, flow.granularity)

    return decide


def compiled(book: Book, grant: Entry) -> Candidate:
    """Compile a consent with what it rests on, as a node does once."""
    content = book.contents[grant.id]
    return prepare(grant, None, content, rests=chain(grant, content.terms(), book.source()))


def rate(decide: Decide, asked: Sequence[Flow]) -> float:
    """Return decisions a second."""
    begun = time.perf_counter()
    for flow in asked:
        decide(flow)
    return len(asked) / (time.perf_counter() - begun)


def bench(options: argparse.Namespace) -> Result:
    """Measure the gate's decisions a second."""
    mesh = Mesh(2, 7)
    count = options.consents
    with measure.workspace() as folder:
        book, grants = granted(folder / "store", mesh, count)
        measure.progress("preparing the consents")
        begun = time.perf_counter()
        by_point = {point(number): [compiled(book, grant)] for number, grant in enumerate(grants)}
        preparing = count / (time.perf_counter() - begun)
        del grants, book
        asked = flows(mesh, count, options.decisions)
        store = DiskStore(folder / "store")
        with store.read() as rows:
            replica = Replica.load(rows)
            decide, limit = gate(replica, rows, mesh, by_point), unchecked(by_point)
            cold = rate(decide, asked)
            for flow in asked:
                decide(flow)
            reasons: dict[str, int] = {}
            for flow in asked:
                code = decide(flow).reason.value
                reasons[code] = reasons.get(code, 0) + 1
            rounds = [(rate(limit, asked), rate(decide, asked)) for _ in range(options.rounds)]
        store.close()
    best, most = max(r for _, r in rounds), max(r for r, _ in rounds)
    return Result(
        name="gate",
        what=f"decisions of the gate with {count} consents on chains of {LINKS}, {reasons.get('ALLOWED', 0)} of "
        f"{len(asked)} flows allowed",
        figure=best,
        unit="decisions/s",
        limit=most,
        limit_is="the same look-up, and a decision that checks nothing",
        ratio=best / most,
        reach="50 000 decisions/s",
        aim="50 000 decisions/s",
        met=best >= REACH if count >= 100_000 else None,
        peers={},
        method=f"best of {options.rounds} rounds, limit and figure in turns; statuses warm",
        details={"cold_statuses_from_rows": cold, "prepared_a_second": preparing, "reasons": reasons},
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--consents", type=int, default=100_000)
    parser.add_argument("--decisions", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)


if __name__ == "__main__":
    measure.main(bench, describe)
