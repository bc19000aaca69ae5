"""withdrawal: from a person's withdrawal to its being refused at a holder three hops away, in processes of their own.

How it works
    Four founders in a line, a process each, joined by loopback TCP, every node with the next one alone: ledger and
    vault on disk, the whole family of data flows. Before anything is withdrawn the last node's door allows each flow.
    The clock runs from the signing of a withdrawal at the first node until the last one's transaction with it has
    ended, in which its door refused that flow with WITHDRAWN. The limit is four durable commits, one a node.

What it does not do
    One withdrawal at a time, after the mesh's first seal. Processes compare their monotonic clocks, which is right on
    one machine alone.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import trio

from gossip.messages import Envelope
from ledger.consent.disclosure import Disclosures
from ledger.consent.gate import Flow
from ledger.consent.wallet import Wallet, make_grant, make_withdrawal
from ledger.entry import Entry
from ledger.governance.epoch import Policy
from node.flows.disclosing import ended_grant
from node.flows.family import Flows
from node.turn import Turn
from node.vaults.consents import GRANT, ConsentRow
from storage.disk import DiskStore
from storage.vault import VAULT_TABLES, Vault
from tests.benchmarks import measure, nodes
from tests.benchmarks.corpus import LATER, Mesh
from tests.benchmarks.latency import Commits
from tests.benchmarks.measure import Result
from tests.ledger.consent.cases import NOTICE, TERMS

SEED: Final = 17
HOPS: Final = 3
REACH_MS: Final = 60.0
WARM_UP: Final = 10
DAY: Final = 86_400
SEAL_SECONDS: Final = 60.0  # the mesh's first seal is waited for so long
PAUSE_SECONDS: Final = 0.05  # between two withdrawals: acknowledgements have gone round


class Judging:
    """The family of data flows, which notes when the door refuses what it allowed: stands where `Flows` would."""

    def __init__(self, flows: Flows, heard: nodes.Heard, asked: dict[bytes, Flow]) -> None:
        self.flows, self.heard, self.asked = flows, heard, asked
        self.reasons: list[str] = []

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Pass on."""
        self.flows.handle(turn, peer, envelope)

    def peer_up(self, turn: Turn, peer: bytes) -> None:
        """Pass on."""
        self.flows.peer_up(turn, peer)

    def peer_down(self, turn: Turn, peer: bytes) -> None:
        """Pass on."""
        self.flows.peer_down(turn, peer)

    def timer(self, turn: Turn, name: str) -> None:
        """Pass on."""
        self.flows.timer(turn, name)

    def partners(self, turn: Turn) -> frozenset[bytes]:
        """Pass on."""
        return self.flows.partners(turn)

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """Pass on, then ask the door about each consent that was withdrawn; note it if it refuses."""
        self.flows.entries(turn, entries)
        for entry in entries:
            if entry.kind == "consent.withdraw" and (flow := self.asked.get(ended_grant(entry))) is not None:
                decision = self.flows.door.decide(turn, flow)
                self.reasons.append(decision.reason.value)
                if not decision.allowed:
                    self.heard.fresh.append(ended_grant(entry))


def granted(mesh: Mesh, count: int) -> list[tuple[Entry, Disclosures, Flow]]:
    """Return the consents of this benchmark: the same in every process. The last node holds, the first receives."""
    holder, recipient, made = mesh.parties[-1], mesh.parties[0], []
    for number in range(count):
        terms = replace(TERMS, points=(f"prm:{number:014}",), access_period=(0, None))
        entry, disclosures = make_grant(
            Wallet(number.to_bytes(32, "big")),
            terms,
            holder=holder,
            recipient=recipient,
            valid_until=LATER + 200 * DAY,
            notice=NOTICE,
            request=None,
            head=mesh.feeds[0].shown(),
            closure_iat=0,
            now=LATER,
            mesh_id=mesh.genesis.mesh_id,
            policy=Policy(),
            random_bytes=mesh.random.randbytes,
        )
        assert terms.pii_type is not None
        kind, window = terms.pii_type, terms.data_period[0]
        flow = Flow(holder, recipient, terms.points[0], kind, terms.granularity, window, terms.purpose)
        made.append((entry, disclosures, flow))
    return made


async def one_node(options: argparse.Namespace) -> None:
    """Run one node of the line; take orders from standard input, a line each (the whole life of a child).

    Orders: the number of a consent to be withdrawn here; "grant"; "speak"; "ask"; "epoch"; "end"; else whom to dial.
    """
    mesh = Mesh(options.nodes, SEED)
    folder = Path(options.node)
    store, vault_store = DiskStore(folder / "store"), DiskStore(folder / "vault", tables=VAULT_TABLES)
    nodes.founded(store, mesh)
    consents = granted(mesh, WARM_UP + options.withdrawals)
    vault = Vault(vault_store, bytes(32), mesh.random.randbytes)
    member = nodes.node(store, mesh, options.place, vault=vault)
    flows = Flows(vault.blind, random.Random(options.place))
    last = options.place == options.nodes - 1
    asked = {entry.id: flow for entry, _, flow in consents} if last else {}
    judging = Judging(flows, member.heard, asked)
    member.engine.core.data = judging
    commits = Commits(folder / "commits")

    def keep(turn: Turn) -> None:
        for entry, disclosures, _ in consents:
            row = ConsentRow(entry.id, GRANT, "", LATER, disclosures)
            flows.consents.put(turn.vault, row, mesh.parties[-1], mesh.parties[0])

    async with trio.open_nursery() as nursery:
        await member.start(nursery)
        if last:
            await member.engine.act(keep)
        _say({"kid": member.kid.hex(), "address": member.address})
        while True:
            order = json.loads(await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True))
            if order == "end":
                break
            _say(await _obey(order, member, judging, consents, commits))
        _say({"times": {i.hex(): at for i, at in member.heard.at.items()}, "reasons": judging.reasons})
        nursery.cancel_scope.cancel()


async def _obey(
    order: Any,
    member: nodes.Node,
    judging: Judging,
    consents: list[tuple[Entry, Disclosures, Flow]],
    commits: Commits,
) -> Any:
    if order == "grant":
        await member.engine.act(lambda turn: [turn.register(entry) for entry, _, _ in consents])
    elif order == "speak":  # a checkpoint of ours, so that the others' frontier is fresh
        random_bytes = member.engine.core.random_bytes
        payload = {"grant": random_bytes(32), "entry": random_bytes(32)}
        await member.engine.act(lambda turn: turn.state("consent.acknowledge", ("consent", random_bytes(16)), payload))
    elif order == "epoch":
        return await member.engine.read(lambda turn: turn.core.replica.chain.newest.n)
    elif order == "ask":
        door = judging.flows.door
        return await member.engine.act(lambda turn: [door.decide(turn, flow).reason.value for _, _, flow in consents])
    elif type(order) is int:
        grant = consents[order][0]
        commits.one()
        begun = time.monotonic()

        def withdraw(turn: Turn) -> None:
            wallet, head = Wallet(order.to_bytes(32, "big")), turn.shown_head()
            closure = turn.core.replica.closure_iat(turn.rows, [head])
            draw = turn.core.random_bytes
            turn.register(
                make_withdrawal(wallet, grant, head=head, closure_iat=closure, now=turn.now, random_bytes=draw)
            )

        await member.engine.act(withdraw)
        return {"at": begun, "commit": commits.seconds[-1]}
    else:
        member.know({bytes.fromhex(kid): address for kid, address in order["dial"].items()})
        await member.connected(order["count"])
    return "done"


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


class Line:
    """The children, and what they are told."""

    def __init__(self, folder: Path, withdrawals: int) -> None:
        self.children = []
        for place in range(HOPS + 1):
            (folder / str(place)).mkdir(parents=True)
            own = ("--node", str(folder / str(place)), "--place", str(place), "--nodes", str(HOPS + 1))
            told = ("--withdrawals", str(withdrawals))
            self.children.append(measure.child("withdrawal", *own, *told, stdin=measure.PIPE))
        hellos = [self.hear(place) for place in range(HOPS + 1)]
        for place in range(HOPS + 1):
            beside = [other for other in (place - 1, place + 1) if 0 <= other <= HOPS]
            # Of two, the smaller device dials: both are told, and `know` chooses.
            dial = {hellos[other]["kid"]: hellos[other]["address"] for other in beside}
            self.tell(place, {"dial": dial, "count": len(beside)})
        for place in range(HOPS + 1):
            self.hear(place)

    def tell(self, place: int, order: object) -> None:
        """Give an order."""
        pipe = self.children[place].stdin
        assert pipe is not None
        pipe.write(json.dumps(order) + "\n")
        pipe.flush()

    def hear(self, place: int) -> Any:
        """Wait for an answer."""
        pipe = self.children[place].stdout
        assert pipe is not None
        return json.loads(pipe.readline())

    def order(self, place: int, order: object) -> Any:
        """Give an order and wait for its answer."""
        self.tell(place, order)
        return self.hear(place)

    def close(self) -> None:
        """End the children."""
        for child in self.children:
            child.kill()
            child.communicate()


def _sealed(line: Line, seconds: float) -> bool:
    """Wait until the mesh has sealed its first epoch, and say whether it has.

    A mesh that is founded folds all that it ever stated for its first seal, a tenth of a second; later seals, at most
    one in ten minutes, look at what is new.
    """
    deadline = time.monotonic() + seconds
    while min(line.order(place, "epoch") for place in range(HOPS + 1)) < 1:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def one_round(folder: Path, count: int, seal_wait: float = SEAL_SECONDS) -> dict[str, Any]:
    """Withdraw one by one, and return how long each took to be refused at the far end."""
    line = Line(folder, count)
    try:
        line.order(0, "grant")
        for place in range(1, HOPS + 1):
            line.order(place, "speak")
        deadline = time.monotonic() + 120
        while set(allowed := line.order(HOPS, "ask")) != {"ALLOWED"}:
            if time.monotonic() > deadline:
                raise SystemExit(f"the holder allows not all before anything is withdrawn: {sorted(set(allowed))}")
            time.sleep(0.2)
        sealed = _sealed(line, seal_wait)
        begun, commits = {}, []
        for number in range(WARM_UP + count):
            told = line.order(0, number)
            if number >= WARM_UP:
                begun[number] = told["at"]
                commits.append(told["commit"])
            time.sleep(PAUSE_SECONDS)
        time.sleep(1.0)
        for place in range(HOPS + 1):
            line.tell(place, "end")
        end = [line.hear(place) for place in range(HOPS + 1)][HOPS]
    finally:
        line.close()
    mesh = Mesh(HOPS + 1, SEED)
    for _ in mesh.founding():
        pass
    ids = [entry.id.hex() for entry, _, _ in granted(mesh, WARM_UP + count)]
    taken = [end["times"][ids[number]] - at for number, at in begun.items() if ids[number] in end["times"]]
    reasons = {reason: end["reasons"].count(reason) for reason in set(end["reasons"])}
    four = {"four_commits_ms": 4_000 * sorted(commits)[len(commits) // 2]}
    return measure.quantiles(taken) | four | {"lost": count - len(taken), "reasons": reasons, "sealed_before": sealed}


def bench(options: argparse.Namespace) -> Result:
    """Measure how soon a withdrawal is obeyed at the end of the line."""
    rounds = []
    with measure.workspace() as folder:
        for number in range(options.rounds):
            measure.progress(f"round {number + 1} of {options.rounds}")
            rounds.append(one_round(folder / f"round-{number}", options.withdrawals, options.seal_wait))
    best = min(rounds, key=lambda one: float(one["p99_ms"]))
    whole = all(one["lost"] == 0 and set(one["reasons"]) == {"WITHDRAWN"} for one in rounds)
    figure, limit = best["p99_ms"], best["four_commits_ms"]
    return Result(
        name="withdrawal",
        what=f"a withdrawal at one end of a line of {HOPS} hops, to its being refused at the holder at the other, p99",
        figure=figure,
        unit="ms",
        limit=limit,
        limit_is="four durable commits of 1 KB, one a node, p50",
        ratio=figure / limit,
        reach=f"p99 at most {REACH_MS:.0f} ms",
        aim="the same",
        met=whole and figure <= REACH_MS,
        peers={},
        method=f"best of {options.rounds} rounds by p99, {options.withdrawals} withdrawals each, one at a time",
        details={"rounds": rounds, "p50_ms": best["p50_ms"]},
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--withdrawals", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seal-wait", type=float, default=SEAL_SECONDS)
    parser.add_argument("--nodes", type=int, default=HOPS + 1, help=argparse.SUPPRESS)
    parser.add_argument("--node", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=int, default=0, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> Result:
    """Measure, unless this is a child."""
    nodes.hush()
    if options.node:
        trio.run(one_node, options)
        raise SystemExit(0)
    return bench(options)


if __name__ == "__main__":
    measure.main(run, describe)
