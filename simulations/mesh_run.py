"""One run of real nodes: a scenario and a seed in, what was measured and what was violated out.

How it works
    The mesh is founded and its channels are opened; then the load, the faults and the adversaries are laid into the
    future, and the world runs second by second, sampled and watched (simulations.checks). After the scenario's time and
    its last fault, nothing more happens, and the honest nodes have `settle` seconds to agree. What a node holds is seen
    where its core takes entries in; a message's way is counted from node to node.

What it does not do
    It writes nothing: simulations.runs does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from gossip.messages import GOSSIP, Envelope
from gossip.vocabulary import Runs
from ledger.entry import Entry
from ledger.governance.epoch import Policy
from node.core import Core, Turn
from simulations import adversaries, faults
from simulations.checks import Watchman
from simulations.crashing import CrashingStore
from simulations.engine import SECOND, mark_of
from simulations.flowing import HOLDER_NODE, RECIPIENT_NODE, Trade, equip
from simulations.network import Modelled
from simulations.nodes import Node
from simulations.people import person
from simulations.randomness import Seed
from simulations.records import Records
from simulations.spec import FaultSpec, Scenario
from simulations.topologies import overlay
from simulations.world import World

Progress = Callable[[float], object]
"""Told how much of the run is done, from 0 to 1."""
SAMPLES_MAX: Final = 600
"""Moments at which a run is sampled, at most."""
STEPS_MAX: Final = 40
"""A node whose write is torn dies within so many puts and commits."""
PATIENCE_US: Final = 5 * SECOND
"""If it writes less than that in so long, it is ended anyway."""


class Ears:
    """What a node without data has in place of flows: it only tells of entries as they take effect."""

    def __init__(self, told: Callable[[Turn, Sequence[Entry]], None]) -> None:
        self.entries = told

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Leave a message of data alone."""

    def peer_up(self, turn: Turn, peer: bytes) -> None:
        """Do nothing."""

    def peer_down(self, turn: Turn, peer: bytes) -> None:
        """Do nothing."""

    def timer(self, turn: Turn, name: str) -> None:
        """Do nothing."""

    def partners(self, turn: Turn) -> frozenset[bytes]:  # noqa: ARG002 - as DataFamily says
        """Want nobody: who has a channel to whom is the scenario's."""
        return frozenset()


class MeshRun:
    """A mesh of real nodes under one scenario (simulations.adversaries.Stage)."""

    def __init__(self, scenario: Scenario, seed: int, *, traced: bool = False) -> None:
        self.scenario = faults.resolved(scenario, seed)
        self.seed = Seed(seed, scenario.name)
        self.network = Modelled(self.seed, self.scenario.network, scenario.nodes)
        rules = scenario.policy
        policy = Policy(
            tick_seconds=rules.tick_seconds,
            heartbeat_seconds=rules.heartbeat_seconds,
            max_staleness_seconds=rules.max_staleness_seconds,
            invitations_a_day=rules.invitations_a_day,
            seal_seconds=rules.seal_seconds,
        )
        self.world = World(
            self.seed, network=self.network, policy=policy, skew_ms=self.network.skew_ms, equip=self._equip
        )
        self.network.counts = self.world.counts
        self.records = Records(self.world.now_us, traced)
        self.honest = set(range(scenario.nodes))
        self.watchman = Watchman(self.world, self.records, self.honest)
        self.trade = Trade(self.world, scenario.load.data) if scenario.load.data else None
        self.sent: Counter[int] = Counter()
        self.sent_bytes: Counter[int] = Counter()
        self.carried = self.fresh = 0
        self.grants: list[tuple[int, int, Entry]] = []  # (node, person, grant)
        self._source = -1
        self._over_us = 0  # when the load ends; what is planned for later does not happen
        self._choice, self._disks = self.seed.stream(-1, "load"), self.seed.stream(-1, "disks")

    # Parts

    def _equip(self, node: Node, core: Core) -> None:
        told = partial(self._took, node.number)
        if self.trade is not None:
            equip(self.seed, node, core, told)
        else:
            core.data = Ears(told)

    def _took(self, number: int, _: Turn, entries: Sequence[Entry]) -> None:
        self.fresh += self._source >= 0
        for entry in entries:
            one = self.records.publications.get(entry.id)
            if one is not None and number not in one.seen:
                one.seen[number] = self.world.now_us
                one.hops[number] = one.hops.get(self._source, 0) + 1

    def _heard(self, source: int, target: int, message: bytes) -> None:
        self.carried += message[1] == GOSSIP and message[3] == Runs.KIND
        if self.records.traced:
            kind = message[1] * 32 + message[3]
            self.records.came(self.world.now_us, source, target, mark_of(message), len(message), kind)

    def _saw(self, _: int, __: int, source: int, ___: Any) -> None:
        self._source = source  # of what happens next: -1 for a timer and for what the run itself does

    def _left(self, source: int, target: int, message: bytes) -> None:
        self.sent[source] += 1
        self.sent_bytes[source] += len(message)
        if self.trade is not None:
            self.trade.sent(source, target, message)

    # The run

    def run(self, progress: Progress = lambda _: None) -> None:
        """Run it all."""
        world, scenario = self.world, self.scenario
        world.on_send, world.on_deliver, world.engine.watch = self._left, self._heard, self._saw
        world.engine.laid = self.records.left if self.records.traced else None
        self._found()
        begun = world.now_us
        self._plan_load(begun)
        over = faults.plan(faults.Observed(world, self.records.happened), scenario, self.seed, self._spoil)
        over = self._over_us = max(over, adversaries.plan(self), begun + round(scenario.seconds * SECOND))
        every = max(SECOND, (over - begun) // SAMPLES_MAX)
        while world.now_us < over:
            world.run_for(min(every, over - world.now_us))
            self._sample()
            progress((world.now_us - begun) / (over - begun))
        self._settle(over, every)
        self.watchman.judge(self.trade, scenario.policy.max_staleness_seconds)
        self._account()

    def _found(self) -> None:
        count, world = self.scenario.nodes, self.world
        neighbours = overlay(self.scenario.overlay, count, self.seed.stream(-1, "overlay"), self.network.can_dial)
        world.found(count, neighbours)
        if any(fault.storage != "kept" for fault in self.scenario.faults):
            remember = max(fault.lost for fault in self.scenario.faults)
            for node in world.nodes:
                node.store = CrashingStore(node.store, remember=remember)
        if self.trade is not None:
            self.trade.begin()

    def _spoil(self, number: int, fault: FaultSpec) -> None:
        """Let a node die in the middle of a write: one of its next; where its disk lied, it is no honest node any more.

        `torn`: which write is drawn, so that it may be one of any turn, before, in or after its commit.
        """
        store = self.world.nodes[number].store
        if not isinstance(store, CrashingStore):
            raise TypeError("a node whose disk fails has a crashing store")
        self.records.happened(self.world.now_us, number, f"disk: {fault.storage}")
        if fault.storage == "torn":
            store.arm(self._disks.randrange(STEPS_MAX))
            self.world.at(
                self.world.now_us + PATIENCE_US, partial(self._unplug, number, self.world.nodes[number].life, fault)
            )
            return
        self.world.crash(number)
        self.world.counts["commits_lost"] += store.lose(fault.lost)
        self.honest.discard(number)

    def _unplug(self, number: int, life: int, fault: FaultSpec) -> None:
        """End a node that wrote less than it was to. It may be due to run again by now: then it soon does."""
        world = self.world
        if world.is_up(number) and world.nodes[number].life == life:
            world.crash(number)
            if fault.kind == "churn" or fault.until:
                world.at(world.now_us + SECOND, lambda: None if world.is_up(number) else world.restart(number))

    def _plan_load(self, begun: int) -> None:
        load = self.scenario.load
        for who in range(load.count):
            at = begun + round((load.start + who * load.every) * SECOND)
            self.world.at(at, partial(self.publish, who))
        if self.trade is not None:
            for number in range(int(self.scenario.seconds / load.every_ask)):
                at = begun + round((load.start + (number + 1) * load.every_ask) * SECOND)
                self.world.at(at, self._ask)

    def _ask(self) -> None:
        if self.trade is not None and self.world.is_up(RECIPIENT_NODE) and self.world.is_up(HOLDER_NODE):
            self.trade.ask()

    def publish(self, who: int) -> None:
        """Have a person consent at a node that is up, and plan her withdrawal."""
        load = self.scenario.load
        wanted = load.publishers or tuple(sorted(self.honest))
        running = [number for number in wanted if self.world.is_up(number)]
        chosen, withdraws = self._choice.random(), self._choice.random() < load.withdraw
        if not running or self.world.now_us >= self._over_us:
            return
        number = running[int(chosen * len(running))]
        if self.trade is not None:
            entry = self.trade.grant(number, who)
        else:
            parties = [self.world.nodes[each].who.party for each in (HOLDER_NODE, RECIPIENT_NODE)]
            entry = self.world.act(number, lambda turn: person(self.seed, who).grant(turn, *parties))
        self.records.published(entry.id, "consent", number, self.world.now_us)
        self.grants.append((number, who, entry))
        if withdraws:
            after = round(load.withdraw_after * SECOND)
            self.world.at(self.world.now_us + after, partial(self.withdraw, number, who, entry))

    def withdraw(self, number: int, who: int, grant: Entry) -> None:
        """Have a person withdraw: where she granted, or anywhere; again in a second while that node is down."""
        if self.world.now_us >= self._over_us:
            return
        anywhere = self.scenario.load.withdraw_at == "anywhere" and self.trade is None
        if anywhere:
            running = [each for each in sorted(self.honest) if self.world.is_up(each)]
            number = running[int(self._choice.random() * len(running))] if running else number
        if not self.world.is_up(number):
            self.world.at(self.world.now_us + SECOND, partial(self.withdraw, number, who, grant))
            return
        self.records.doubtful.add(grant.id)  # until the node says that it is durable: it may die in between
        if self.trade is not None:
            entry = self.trade.withdraw(grant.id)
        else:
            entry = self.world.act(number, lambda turn: person(self.seed, who).withdraw(turn, grant))
        self.records.published(entry.id, "withdrawal", number, self.world.now_us).about = grant.id
        self.records.doubtful.discard(grant.id)

    def _sample(self) -> None:
        now, running = self.world.now_us, self.watchman.running()
        ticks = {tick.state_root for node in running if (tick := node.running.ticker.tick) is not None}
        frontiers = {node.running.replica.frontier_digest() for node in running}
        self.records.note(now, -1, "frontiers", len(frontiers))
        self.records.note(now, -1, "state_roots", len(ticks))
        self.records.note(now, -1, "up", len(self.world.alive()))
        if self.trade is not None:
            self.trade.look()
        self.watchman.watch()

    def _settle(self, over: int, every: int) -> None:
        """Let the honest nodes agree, and note how long they took."""
        end = over + round(self.scenario.checks.settle * SECOND)
        self._agree(end, every)
        if self.watchman.agree():
            self.records.note(over, -1, "converged_s", (self.world.now_us - over) / SECOND)
        self.world.run_for(SECOND)
        self._agree(end, every)  # where that second held a boundary, each node has said something new

    def _agree(self, end: int, every: int) -> None:
        """Go on until all honest nodes that are up have one frontier, or the time is over."""
        while not self.watchman.agree() and self.world.now_us < end:
            self.world.run_for(min(every, SECOND, end - self.world.now_us))
            self._sample()

    def _account(self) -> None:
        """Turn what was counted into rows."""
        world, records = self.world, self.records
        records.finish(self.honest)
        if missing := self.scenario.load.count - len(self.grants):
            world.counts["not_published"] = missing
        for node in world.nodes:
            records.note(world.now_us, node.number, "messages_sent", self.sent[node.number])
            records.note(world.now_us, node.number, "bytes_sent", self.sent_bytes[node.number])
            if node.core is not None:
                records.note(world.now_us, node.number, "degree", len(node.core.peers))
        for flow in self.trade.flows.values() if self.trade is not None else ():
            if not flow.packs:
                world.counts["never_flowed"] += 1
            elif flow.withdrawn_us is not None:
                late = [at for at in flow.packs if at > flow.withdrawn_us]
                last = (late[-1] - flow.withdrawn_us) / SECOND if late else 0.0
                records.note(flow.withdrawn_us, HOLDER_NODE, "leaked_packs", len(late))
                records.note(flow.withdrawn_us, HOLDER_NODE, "refused_s", last)

    def summary(self) -> dict[str, Any]:
        """Return what a person wants to know first."""
        return {
            "publications": len(self.records.publications),
            "reached": round(self._reached(), 6),
            "redundancy": round(self.carried / self.fresh - 1, 4) if self.fresh else None,
            "counts": dict(sorted(self.world.counts.items())),
            "honest": len(self.honest),
        }

    def _reached(self) -> float:
        """Return which part of (publication of an honest node, honest node that is up) came together."""
        running = {node.number for node in self.watchman.running()}
        wanted = [one for one in self.records.publications.values() if one.node in self.honest]
        got = sum(len(running & one.seen.keys()) for one in wanted)
        return got / (len(wanted) * len(running)) if wanted and running else 1.0
