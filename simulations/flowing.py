"""Data under consents in the exact world: the real flows of nodes, real gates, and every pack that leaves a holder.

How it works
    `equip` gives a node a vault in memory and `node.flows.family.Flows`, as a real node has. Node 0 holds a fictitious
    household's readings, node 1 asks for them; their link is up. Each person's wallet is kept at the node where she
    consents, which keeps a channel to both from then on: over it they are told what she consents to. Her consent asks
    for the measure of freshness that the scenario names: `home` (that node's feed) or `quorum`. Packs are counted as
    they leave the holder: a pack that leaves after the withdrawal was made has leaked, and one that leaves later than
    the bound of consent.md §3 breaks a promise.

What it does not do
    It asks for no data by itself: the run does, at its intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final, Literal

from gossip.messages import DATA, Envelope
from ledger.consent.record import DataKind, Terms
from ledger.entry import Entry
from ledger.errors import MailleError
from ledger.schema import DAY
from node.adapters import household
from node.core import Core, Turn
from node.flows import wire
from node.flows.consenting import Offer
from node.flows.family import Flows
from node.readings import Series
from node.vaults.receipts import HOLDER, RECIPIENT
from node.vaults.transfers import Wanted
from simulations.agreements import give_consent, offer_link, terms
from simulations.nodes import Node
from simulations.randomness import Seed
from simulations.world import SECOND, START_US, World
from storage.memory import MemoryStore
from storage.vault import VAULT_TABLES, Vault

HOLDER_NODE: Final = 0
RECIPIENT_NODE: Final = 1
_START: Final = START_US // SECOND


class ObservedFlows(Flows):
    """The flows of a node, with somebody who is told of entries as they take effect there."""

    told: Callable[[Turn, Sequence[Entry]], None]

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """Tell the observer, then do what a node does."""
        self.told(turn, entries)
        super().entries(turn, entries)


def equip(seed: Seed, node: Node, core: Core, told: Callable[[Turn, Sequence[Entry]], None]) -> None:
    """Give a node a vault, kept over restarts, and flows."""
    if node.vault is None:
        random_bytes = seed.stream(node.number, "vault").randbytes
        node.vault = Vault(MemoryStore(VAULT_TABLES), seed.bytes(node.number, "vault key"), random_bytes)
    flows = ObservedFlows(node.vault.blind, Random(seed.bytes(node.number, f"flows/{node.life}")))
    flows.told = told
    core.data = flows


@dataclass(slots=True)
class Flow:
    """One consent under which data are asked for. Times in microseconds; `packs`: when packs left the holder."""

    grant: Entry
    wallet: str
    home: int
    withdrawal: Entry | None = None
    withdrawn_us: int | None = None
    standing_us: int | None = None  # since when the withdrawal stands in half of the voters' feeds
    packs: list[int] = field(default_factory=list)


class Trade:
    """All consents of one run between its holder and its recipient. `freshness`: home or quorum."""

    def __init__(self, world: World, freshness: Literal["home", "quorum"]) -> None:
        self.world, self.freshness = world, freshness
        self.flows: dict[bytes, Flow] = {}
        self.series: Series = household.daily_totals(1, _START - 40 * DAY, 30)
        self._asked: list[bytes] = []

    def begin(self) -> None:
        """Put the readings in place and agree on the link."""
        world = self.world
        holder, recipient = (world.nodes[number] for number in (HOLDER_NODE, RECIPIENT_NODE))
        world.connect(HOLDER_NODE, RECIPIENT_NODE)
        world.act(HOLDER_NODE, lambda turn: self._at(HOLDER_NODE).series.add(turn.vault, self.series))
        for one, other in ((holder, recipient), (recipient, holder)):
            world.act(one.number, partial(offer_link, one.who.party, other.who.party))

    def _at(self, number: int) -> Flows:
        found = self.world.nodes[number].running.data
        if not isinstance(found, Flows):
            raise TypeError("the node was not equipped for data")
        return found

    def _terms(self, home: tuple[bytes, ...]) -> Terms:
        key, period = self.series.key, (self.series.starts[0], self.series.stop + 1)
        kind = DataKind(key.energy, "consumption", key.kind)
        about = {"who": "Adviser", "purpose": "Advice on insulation", "contact": "dpo@example.org"}
        return terms(key.point, kind, key.granularity, period, _START, home, **about)

    def grant(self, number: int, who: int) -> Entry:
        """Have a person whose wallet is kept at a node consent."""
        world = self.world
        for other in (HOLDER_NODE, RECIPIENT_NODE):
            if other != number and (min(number, other), max(number, other)) not in world.edges:
                world.connect(number, other)
        holder, recipient = (world.nodes[each].who.party for each in (HOLDER_NODE, RECIPIENT_NODE))
        home = (world.nodes[number].kid,) if self.freshness == "home" else ()
        wallet = f"person {who}"

        def act(turn: Turn) -> Entry:
            offer = Offer(holder, recipient, self._terms(home), turn.now + 300 * DAY)
            return give_consent(turn, self._at(number).acts, wallet, offer)

        entry = world.act(number, act)
        self.flows[entry.id] = Flow(entry, wallet, number)
        return entry

    def withdraw(self, grant: bytes) -> Entry:
        """Have the person withdraw where her wallet is kept."""
        flow = self.flows[grant]
        acts = self._at(flow.home).acts
        flow.withdrawal = self.world.act(flow.home, lambda turn: acts.withdraw(turn, flow.grant, flow.wallet))
        flow.withdrawn_us = self.world.now_us
        return flow.withdrawal

    def ask(self) -> None:
        """Have the recipient ask for data under every consent, as far as it would itself."""
        parties = [self.world.nodes[number].who.party for number in (HOLDER_NODE, RECIPIENT_NODE)]
        for grant in self.flows:
            wanted = Wanted(parties[0], parties[1], grant=grant)
            try:
                self.world.act(
                    RECIPIENT_NODE,
                    lambda turn, wanted=wanted: self._at(RECIPIENT_NODE).receiving.ask(turn, wanted),  # type: ignore[misc]
                )
            except MailleError:
                self.world.counts["asks_refused_here"] += 1
            else:
                self.world.counts["asks"] += 1

    def sent(self, source: int, target: int, message: bytes) -> None:
        """Note a pack that leaves the holder."""
        if source == HOLDER_NODE and target == RECIPIENT_NODE and message[1] == DATA:
            found = wire.decode(Envelope.open(message))
            if isinstance(found, wire.Chunk) and found.grant in self.flows:
                self.flows[found.grant].packs.append(self.world.now_us)

    def look(self) -> None:
        """Note which withdrawals now stand in half of the voters' feeds, as those who write the feeds hold them."""
        waiting = [flow for flow in self.flows.values() if flow.withdrawal is not None and flow.standing_us is None]
        if not waiting:
            return
        nodes = self.world.alive()
        half = (len(self.world.nodes) + 1) // 2
        for flow in waiting:
            if flow.withdrawal is not None and sum(_registered(node, flow.withdrawal.id) for node in nodes) >= half:
                flow.standing_us = self.world.now_us

    def receipts(self) -> list[tuple[int, bytes, bytes]]:
        """Return what both ends have on the ledger: (node, digest of the account, id of the entry that states it)."""
        found = []
        for number, role in ((HOLDER_NODE, HOLDER), (RECIPIENT_NODE, RECIPIENT)):
            node = self.world.nodes[number]
            if node.core is None or node.vault is None:
                continue
            flows = self._at(number)
            with node.vault.read() as vault:
                found += [
                    (number, receipt.digest(), receipt.stated)
                    for receipt in flows.receipts.listing(vault, role)
                    if receipt.stated is not None
                ]
        return found


def _registered(node: Node, entry_id: bytes) -> bool:
    """Say whether an entry stands in a node's own feed, as it holds it."""
    replica = node.running.replica
    row = replica.feeds.get(node.kid)
    with node.store.read() as rows:
        return row is not None and any(number == row.number for number, _ in replica.places(rows, entry_id))
