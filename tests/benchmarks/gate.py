"""gate: decisions a second of the gate with many consents in the store, allowed and refused, statuses from the ledger.

How it works
    Two founders with a link hold as many consents as asked for, each for its own point, with real disclosures, in a
    store on disk; every tenth was withdrawn. The gate is asked as a node asks it: the consents that name the point are
    looked up, each takes its status from the replica, then `permit` decides. Of ten flows about seven are allowed, one
    asks for a withdrawn consent, one for another kind of data, one for a point without consent; points are drawn at
    random. The limit is the same look-up with a decision that checks nothing. First the statuses come from the rows
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

from ledger.consent.disclosure import Disclosures
from ledger.consent.gate import Candidate, Context, Decision, Flow, freshness, permit, prepare
from ledger.consent.reasons import Reason
from ledger.consent.record import DataKind
from ledger.consent.wallet import Wallet, make_grant, make_withdrawal
from ledger.entry import Entry
from ledger.governance.epoch import Policy
from ledger.merkle import leaf_hash
from ledger.replica import Replica
from ledger.rows import Reader
from storage.disk import DiskStore
from tests.benchmarks import measure
from tests.benchmarks.corpus import BEGUN, Feed, Mesh
from tests.benchmarks.measure import Result
from tests.ledger.consent.cases import NOTICE, TERMS

DAY: Final = 86_400
NOW: Final = BEGUN + 30 * DAY
REACH: Final = 50_000.0
BATCH: Final = 1_000
OTHER: Final = DataKind("electricity", "consumption", "daily")

Grants = list[tuple[Entry, Disclosures]]


def point(number: int) -> str:
    """Return the point of consent `number`."""
    return f"prm:{number:014}"


def granted(path: Path, mesh: Mesh, count: int) -> Grants:
    """Make a store with `count` grants, every tenth of them withdrawn; return the grants with their disclosures."""
    store = DiskStore(path)
    with store.write() as rows:
        replica = Replica.create(rows, mesh.genesis)
        for run, entries in mesh.founding():
            replica.ingest(rows, run, NOW, entries)
    feed, grants = mesh.feeds[0], list[tuple[Entry, Disclosures]]()
    for first in range(0, count, BATCH):
        if first % 10_000 == 0:
            measure.progress(f"signed {first} of {count} consents")
        batch = [_grant(mesh, feed, number) for number in range(first, min(first + BATCH, count))]
        withdrawn = [_withdraw(mesh, feed, first + place, batch[place][0]) for place in range(0, len(batch), 10)]
        for signed in ([grant for grant, _ in batch], withdrawn):
            for entry in signed:
                feed.tree.append(leaf_hash(entry.id))
            with store.write() as rows:
                replica.ingest(rows, feed.close(mesh.genesis.mesh_id, signed, NOW), NOW, signed)
        grants += batch
    store.close()
    return grants


def _grant(mesh: Mesh, feed: Feed, number: int) -> tuple[Entry, Disclosures]:
    return make_grant(
        _wallet(number),
        replace(TERMS, points=(point(number),)),
        holder=mesh.parties[0],
        recipient=mesh.parties[1],
        valid_until=(NOW // DAY + 200) * DAY,
        notice=NOTICE,
        request=None,
        head=feed.shown(),
        closure_iat=NOW,
        now=NOW,
        mesh_id=mesh.genesis.mesh_id,
        policy=Policy(),
        random_bytes=mesh.random.randbytes,
    )


def _withdraw(mesh: Mesh, feed: Feed, number: int, grant: Entry) -> Entry:
    draw = mesh.random.randbytes
    return make_withdrawal(_wallet(number), grant, head=feed.shown(), closure_iat=0, now=NOW, random_bytes=draw)


def _wallet(number: int) -> Wallet:
    return Wallet(number.to_bytes(32, "big"))


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

    context = Context(replica.members, policy, fresh)
    nothing: list[Candidate] = []

    def decide(flow: Flow) -> Decision:
        found = by_point.get(flow.point, nothing)
        return permit(flow, context, [c.in_status(replica.consent(rows, c.grant)) for c in found], NOW)

    return decide


def unchecked(by_point: dict[str, list[Candidate]]) -> Decide:
    """Return a gate that looks the consents up and allows everything: the limit."""

    def decide(flow: Flow) -> Decision:
        grants = [candidate.grant for candidate in by_point.get(flow.point, ())]
        return Decision(Reason.ALLOWED, grants[0] if grants else None, (), flow.window, flow.granularity)

    return decide


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
        grants = granted(folder / "store", mesh, count)
        measure.progress("preparing the consents")
        begun = time.perf_counter()
        by_point = {point(n): [prepare(grant, None, told)] for n, (grant, told) in enumerate(grants)}
        preparing = count / (time.perf_counter() - begun)
        del grants
        asked = flows(mesh, count, options.decisions)
        store = DiskStore(folder / "store")
        with store.read() as rows:
            replica = Replica.load(rows)
            decide, limit = gate(replica, rows, mesh, by_point), unchecked(by_point)
            cold = rate(decide, asked)
            for chosen in by_point.values():
                replica.consent(rows, chosen[0].grant)
            reasons: dict[str, int] = {}
            for flow in asked:
                code = decide(flow).reason.value
                reasons[code] = reasons.get(code, 0) + 1
            rounds = [(rate(limit, asked), rate(decide, asked)) for _ in range(options.rounds)]
        store.close()
    best, most = max(r for _, r in rounds), max(r for r, _ in rounds)
    return Result(
        name="gate",
        what=f"decisions of the gate with {count} consents in the store, {reasons.get('ALLOWED', 0)} of "
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
