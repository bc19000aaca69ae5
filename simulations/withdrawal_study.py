"""How long after a withdrawal data can still flow: real nodes, real consents, real gates, in the exact world.

How it works
    `count` organisations form a mesh over links that lose messages. Some of them hold data, some receive them, and
    persons whose wallets are kept by others consent: once with a home (the host of the wallet), once by the quorum.
    Then everybody withdraws at once, at the hosts, and if a partition is asked for, the hosts and a part of the mesh
    have just been cut off from the holders and recipients, who are in the larger part: the worst place to be. From then
    on each holder's own gate is asked, all the time, whether it would let a record go. The last time that it says yes
    is the row's `last_flow_s`; `leaked` counts the records of a meter that speaks every RECORD_SECONDS.

    A row is (nodes, loss, partition_s, max_staleness_s, mode, seed, consent, last_flow_s, leaked).

What it does not do
    The packs themselves are not carried: what is measured is the gate, which every pack must pass. Clocks agree and
    hosts are honest. Hosts have no channel to holder or recipient when the withdrawal is made: it comes by gossip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, NamedTuple

from ledger.consent.reasons import Reason
from ledger.consent.record import DataKind
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.governance.epoch import Policy
from ledger.governance.members import Party
from ledger.schema import DAY
from node.core import Core
from node.flows.consenting import Offer
from node.flows.family import Flows
from node.vaults.transfers import Wanted
from simulations.agreements import give_consent, offer_link, terms
from simulations.engine import MS, SECOND
from simulations.links import Link, uniform
from simulations.nodes import Node
from simulations.randomness import Seed
from simulations.signatures import remembered
from simulations.world import World
from storage.memory import MemoryStore
from storage.vault import VAULT_TABLES, Vault

MODES: Final = ("home", "quorum")
CUT_PART: Final = 0.4
"""The part of the mesh that a partition cuts off with the hosts of the wallets."""
RECORD_SECONDS: Final = 10
FINE_SECONDS: Final = 10
"""After the withdrawals and after the heal gates are asked every FINE_MS for so long, and every COARSE_MS else."""
FINE_MS: Final = 20
COARSE_MS: Final = 1_000
READY_SECONDS_MAX: Final = 900


class Case(NamedTuple):
    """One cell of the study. `loss`: probability of each message; `partition_s` 0: none."""

    nodes: int
    loss: float
    partition_s: int
    max_staleness_s: int
    seed: int = 1


class Row(NamedTuple):
    """One consent of one cell: seconds from the withdrawal to the last flow that was allowed, and records leaked."""

    nodes: int
    loss: float
    partition_s: int
    max_staleness_s: int
    mode: str
    seed: int
    consent: int
    last_flow_s: float
    leaked: int


@dataclass(slots=True)
class _Consent:
    home: int
    holder: int
    recipient: int
    mode: str
    grant: Entry
    last_us: int = 0
    leaked: int = 0
    ended: bool = False


class Study:
    """One mesh with consents in force, about to lose them."""

    def __init__(self, case: Case) -> None:
        self.case = case
        seed = Seed(case.seed, f"withdrawal/{case.nodes}/{case.loss}/{case.partition_s}/{case.max_staleness_s}")
        policy = Policy(max_staleness_seconds=case.max_staleness_s, invitations_a_day=1_000)
        self._flows: dict[int, Flows] = {}
        self.world = World(seed, link=Link(uniform(10, 50), loss=case.loss), policy=policy, equip=self._equip)
        self.world.found(case.nodes)
        self.consents: list[_Consent] = []

    def _equip(self, node: Node, core: Core) -> None:
        random = self.world.seed.stream(node.number, "vault")
        node.vault = Vault(MemoryStore(VAULT_TABLES), random.randbytes(32), random.randbytes)
        core.data = self._flows[node.number] = Flows(node.vault.blind, Random(node.number))

    # Before

    def prepare(self) -> None:
        """Link the parties, let everybody consent, and wait until every gate opens. Raises LocalError NOT_READY."""
        trios = self._trios()
        for home, holder, recipient in trios:
            for one, other in ((home, holder), (home, recipient), (holder, recipient)):
                self.world.connect(one, other)
        self.world.run_for(5 * SECOND)
        for _, holder, recipient in trios:
            for one, other in ((holder, recipient), (recipient, holder)):
                self.world.act(one, partial(offer_link, self._party(one), self._party(other)))
        self.world.run_for(5 * SECOND)
        for trio in trios:
            for mode in MODES:
                self.consents.append(self._granted(*trio, mode))
        if not self.world.run_for(READY_SECONDS_MAX * SECOND, until=self._all_open, every_us=SECOND):
            raise LocalError("NOT_READY", "some gate never opened; is the loss too high for this mesh?")
        for home, holder, recipient in trios:
            for other in (holder, recipient):
                self.world.disconnect(home, other)

    def _trios(self) -> list[tuple[int, int, int]]:
        """Return (host, holder, recipient) of each person: hosts in the part that will be cut off, the others not."""
        cut = self._cut()
        others = [number for number in range(self.case.nodes) if number not in cut]
        return list(zip(cut, others[::2], others[1::2], strict=False))

    def _cut(self) -> range:
        return range(max(1, int(self.case.nodes * CUT_PART)))

    def _party(self, number: int) -> Party:
        return self.world.nodes[number].who.party

    def _granted(self, home: int, holder: int, recipient: int, mode: str) -> _Consent:
        flows, kid = self._flows[home], self.world.nodes[home].kid
        now, kind = self.world.now_us // SECOND, DataKind("electricity", "consumption", "load_curve")
        period, until = (now - 300 * DAY, now + 300 * DAY), now + 300 * DAY
        given = terms(f"prm:{holder:014d}", kind, "PT30M", period, now, (kid,) if mode == "home" else ())
        offer = Offer(self._party(holder), self._party(recipient), given, until)
        grant = self.world.act(home, lambda turn: give_consent(turn, flows.acts, mode, offer))
        return _Consent(home, holder, recipient, mode, grant)

    # Asking

    def _opens(self, consent: _Consent) -> bool:
        if consent.ended:
            return False
        node = self.world.nodes[consent.holder]
        wanted = Wanted(self._party(consent.holder), self._party(consent.recipient), grant=consent.grant.id)
        vault = node.vault
        if vault is None:
            raise LocalError("NOT_READY", f"node {consent.holder} keeps no data")
        with node.store.read() as rows, vault.read() as kept:
            turn = node.running.take(rows, kept, self.world.now_us // MS)  # type: ignore[arg-type]
            decision = self._flows[consent.holder].door.judge(turn, wanted).decision
        consent.ended = decision.reason is Reason.WITHDRAWN  # for good: no withdrawal is taken back
        return decision.allowed

    def _all_open(self) -> bool:
        return all(self._opens(consent) for consent in self.consents)

    def _ask(self, since_us: int, step_us: int) -> None:
        now = self.world.now_us
        due = (now - since_us) // (RECORD_SECONDS * SECOND) > (now - step_us - since_us) // (RECORD_SECONDS * SECOND)
        for consent in self.consents:
            if self._opens(consent):
                consent.last_us = now - since_us
                consent.leaked += due

    # Withdrawing

    def run(self) -> list[Row]:
        """Withdraw everything, ask all gates until the bounds have passed, and return the rows."""
        world, case = self.world, self.case
        if case.partition_s:
            world.partition([self._cut()])
            world.run_for(SECOND)
        for consent in self.consents:
            acts = self._flows[consent.home].acts
            world.act(consent.home, lambda turn, c=consent, a=acts: a.withdraw(turn, c.grant, c.mode))  # type: ignore[misc]
        since = world.now_us
        heal = since + case.partition_s * SECOND
        end = heal + max(FINE_SECONDS, 3 * case.max_staleness_s // 2 - case.partition_s) * SECOND
        healed = not case.partition_s
        while world.now_us < end:
            if not healed and world.now_us >= heal:
                world.heal()
                healed = True
            fine = min(abs(world.now_us - since), abs(world.now_us - heal)) < FINE_SECONDS * SECOND
            step = FINE_MS * MS if fine else COARSE_MS * MS
            world.run_for(step)
            self._ask(since, step)
            if healed and all(consent.ended for consent in self.consents):
                break
        return [
            Row(*case[:4], consent.mode, case.seed, number, consent.last_us / SECOND, consent.leaked)
            for number, consent in enumerate(self.consents)
        ]


def study(case: Case) -> list[Row]:
    """Run one cell from its beginning. Signatures are checked once each (simulations.signatures)."""
    with remembered():
        made = Study(case)
        made.prepare()
        return made.run()
