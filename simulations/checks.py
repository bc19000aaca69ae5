"""What must hold in every run of real nodes, whatever the network and the adversaries do. Always on.

How it works
    `watch` is asked while the run goes on, `judge` at its end. Honest nodes are those that no adversary leads and
    whose disk kept its word.

    | check            | what must hold                                                                      |
    |------------------|-------------------------------------------------------------------------------------|
    | one-state        | equal frontiers at a boundary give equal state roots                                |
    | convergence      | after the last fault all honest nodes that are up come to one frontier              |
    | durability       | what an honest node acknowledged, it and in the end all honest nodes hold            |
    | withdrawal-bound | no pack leaves later than the bound of consent.md §3                                |
    | expelled-rights  | no honest node lets an expelled member's key speak or gossip                        |
    | no-honest-expelled | no honest member is expelled, and none is held for forking                        |
    | receipts         | every stored ledger verifies anew from its bytes, and holds what receipts refer to  |
    | status           | all honest nodes say the same of every consent, and withdrawn stays withdrawn       |

What it does not do
    It repairs nothing and stops nothing: a violation is noted with its time, once for each node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from ledger.consent.status import State
from ledger.verify import verify_ledger
from simulations.flowing import Trade
from simulations.nodes import Node
from simulations.records import Publication, Records
from simulations.world import SECOND, World

CHECKS: Final = (
    "one-state",
    "convergence",
    "durability",
    "withdrawal-bound",
    "expelled-rights",
    "no-honest-expelled",
    "receipts",
    "status",
)
VERIFIED_MAX: Final = 3
"""Ledgers that are verified anew at the end of a run."""
GRACE_US: Final = SECOND
"""A pack that left so shortly after the bound was decided before it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be. `at_s`: seconds since the run began; `node`: -1 where it is about all."""

    check: str
    at_s: float
    node: int
    told: str


class Watchman:
    """Holds one run against the checks. `honest`: numbers of the honest nodes; may shrink while it runs."""

    def __init__(self, world: World, records: Records, honest: set[int]) -> None:
        self.world, self.records, self.honest = world, records, honest
        self.violations: dict[tuple[str, int], Violation] = {}
        self._roots: dict[tuple[int, bytes], bytes] = {}

    def add(self, check: str, node: int, told: str) -> None:
        """Note a violation, unless this check has one of this node already."""
        at = (self.world.now_us - self.records.start_us) / SECOND
        self.violations.setdefault((check, node), Violation(check, at, node, told))

    def running(self) -> list[Node]:
        """Return the honest nodes that are up."""
        return [node for node in self.world.alive() if node.number in self.honest]

    def agree(self) -> bool:
        """Say whether all honest nodes that are up have one frontier."""
        return len({node.running.replica.frontier_digest() for node in self.running()}) <= 1

    def watch(self) -> None:
        """Look at what must hold at any moment."""
        for node in self.running():
            tick = node.running.ticker.tick
            if tick is not None:
                root = self._roots.setdefault((tick.boundary, tick.frontier), tick.state_root)
                if root != tick.state_root:
                    self.add("one-state", node.number, f"another state root at boundary {tick.boundary}")
            self._expelled(node)

    def _expelled(self, node: Node) -> None:
        core = node.running
        members = core.replica.members
        for party in members.expelled:
            for kid, device in members.devices.items():
                if device.party == party and (members.speaks(kid) or kid in core.member_peers):
                    self.add("expelled-rights", node.number, f"{kid.hex()[:8]} is expelled and still speaks")
        for other in self.running():
            if other.who.party in members.expelled or other.kid in members.forks:
                self.add("no-honest-expelled", other.number, f"node {node.number} holds an honest member for out")

    def judge(self, trade: Trade | None, max_staleness: int) -> None:
        """Look at what must hold at the end."""
        self.watch()
        if not self.agree():
            count = len({node.running.replica.frontier_digest() for node in self.running()})
            self.add("convergence", -1, f"{count} different frontiers remain")
        for one in self.records.publications.values():
            self._durable(one)
        self._status()
        if trade is not None:
            self._bound(trade, max_staleness)
        self._verified(trade)

    def _durable(self, one: Publication) -> None:
        if one.node not in self.honest:
            return
        for node in self.running():
            with node.store.read() as rows:
                held = node.running.replica.entry(rows, one.name)
            if held is None:
                self.add("durability", node.number, f"a {one.kind} that node {one.node} acknowledged is not here")

    def _status(self) -> None:
        """Hold what all honest nodes say of each consent against each other and against its withdrawal."""
        endings = [one for one in self.records.publications.values() if one.kind == "withdrawal"]
        withdrawn = {one.about for one in endings if one.node in self.honest}
        ended = {one.about for one in endings}
        for one in self.records.publications.values():
            if one.kind != "consent" or one.name in self.records.doubtful or not self.agree():
                continue
            for node in self.running():
                with node.store.read() as rows:
                    status = node.running.replica.consent(rows, one.name)
                state = status.state if status is not None else None
                if one.name in withdrawn and state is not State.WITHDRAWN:
                    self.add("status", node.number, "a consent that was withdrawn is not withdrawn here")
                if one.name not in ended and one.node in self.honest and state is not State.GRANTED:
                    self.add("status", node.number, "a consent that nobody withdrew does not stand here")

    def _bound(self, trade: Trade, max_staleness: int) -> None:
        for flow in trade.flows.values():
            since = flow.withdrawn_us if trade.freshness == "home" else flow.standing_us
            late = [at for at in flow.packs if since is not None and at > since + max_staleness * SECOND + GRACE_US]
            if late:
                over = (late[-1] - (since or 0)) / SECOND
                self.add(
                    "withdrawal-bound", 0, f"a pack left {over:.1f} s after the withdrawal; {max_staleness} s allowed"
                )

    def _verified(self, trade: Trade | None) -> None:
        for node in self.running()[:VERIFIED_MAX]:
            with node.store.read() as rows:
                report = verify_ledger(rows, lambda _, __: None)
            for fault in report.faults:
                self.add("receipts", node.number, f"the stored ledger does not verify: {fault.code}")
        for number, digest, stated in trade.receipts() if trade is not None else ():
            node = self.world.nodes[number]
            with node.store.read() as rows:
                entry = node.running.replica.entry(rows, stated)
            if entry is None or digest not in entry.raw:
                self.add("receipts", number, "a receipt is not what the ledger says")


def names(violations: Iterable[Violation], expected: Collection[str]) -> tuple[list[Violation], list[str]]:
    """Return the violations that were not expected, and the expected checks that held after all."""
    found = list(violations)
    broken = {one.check for one in found}
    return [one for one in found if one.check not in expected], sorted(set(expected) - broken)
