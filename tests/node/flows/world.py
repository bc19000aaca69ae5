"""A mesh of real cores over stores in memory, with a message pump that can lose, repeat and reorder.

How it works
    Each `Side` is a node without sockets: a core with `Flows`, two stores in memory, one transaction a message, as
    the engine has it. `World.pump` carries messages until nothing is left. Time moves only when `World.pass_time`
    says so. Everything follows from a seed.

What it does not do
    There is no channel and no encryption between sides.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from gossip import events as gossip
from gossip.messages import DATA
from ledger.consent.gate import Decision
from ledger.consent.record import Actor, DataKind, Rights, Stages, Terms
from ledger.consent.slip import Slip
from ledger.consent.status import Status
from ledger.entry import Entry
from ledger.errors import MailleError
from ledger.governance.epoch import Policy, make_genesis
from ledger.governance.members import Party, link_id
from ledger.keys import SigningKey
from ledger.replica import Replica
from ledger.schema import DAY
from node.adapters import household
from node.core import Core, Noted, Turn
from node.flows import wire
from node.flows.consenting import Offer
from node.flows.family import Flows, WayOut
from node.mesh import certify
from node.readings import Series
from node.turncoat import OpenDoor
from node.vaults.receipts import HOLDER, Receipt, Refusal
from node.vaults.transfers import Incoming, Outgoing, Wanted
from storage.memory import MemoryStore
from storage.store import Store
from storage.vault import VAULT_TABLES, Vault

NOW = 1_760_000_000
LOAD_CURVE = DataKind("electricity", "consumption", "load_curve")
DAILY = DataKind("electricity", "consumption", "daily")
T = TypeVar("T")
LONG = household.load_curve(1, NOW - 900 * DAY, 800, gaps=5)  # 38 400 records: ten packs
SHORT = household.load_curve(1, NOW - 100 * DAY, 10, gaps=3)


class Side:
    """One node: its core, its stores, and what it has sent and not delivered."""

    def __init__(
        self,
        world: World,
        number: int,
        genesis: Any,
        root: SigningKey,
        device: SigningKey,
        way_out: WayOut | None = None,
    ) -> None:
        self.way_out = way_out
        self.world, self.number, self.root, self.device, self.genesis = world, number, root, device, genesis
        self.party: Party = (root.kid, 1)
        self.ledger: Store = MemoryStore()
        self.vault_store: Store = MemoryStore(VAULT_TABLES)
        self.timers: dict[str, int] = {}
        self.notes: list[Noted] = []
        self.up: set[bytes] = set()
        with self.ledger.write() as rows:
            Replica.create(rows, genesis)
        self.load()

    def load(self) -> None:
        """Start from what is durable, as after kill -9."""
        self.random = random.Random(f"{self.world.seed} {self.number} {self.world.steps}")
        self.timers.clear()
        self.up.clear()
        self.vault = Vault(self.vault_store, bytes([self.number]) * 32, self.random.randbytes)
        with self.ledger.read() as rows:
            replica = Replica.load(rows)
            self.core = Core(
                replica,
                self.device,
                self.party,
                random_source=random.Random(self.number),
                random_bytes=self.random.randbytes,
            )
            self.core.load(rows)
        chooser, seconds = random.Random(self.number), self.world.spread_seconds
        self.flows = Flows(self.vault.blind, chooser, way_out=self.way_out, spread_seconds=seconds)
        self.core.data = self.flows

    def act(self, act: Callable[[Turn], T]) -> T:
        """Run one act in transactions of its own; its messages go into the pump."""
        try:
            with self.ledger.write() as rows, self.vault.write() as vault:
                turn = self.core.take(rows, vault, self.world.now * 1_000)
                value = act(turn)
                effects = turn.finish()
        except MailleError:
            with self.ledger.read() as rows:
                self.core.load(rows)
            raise
        for effect in effects:
            match effect:
                case gossip.Send(peer, data):
                    if peer in self.up:
                        self.world.post(self, peer, data)
                case gossip.SetTimer(name, at_ms):
                    self.timers[name] = at_ms
                case Noted():
                    self.notes.append(effect)
                case _:
                    pass
        return value

    def handle(self, event: gossip.Event) -> None:
        """Take one event in."""
        self.act(lambda turn: turn.handle(event))

    def look(self, act: Callable[[Turn], T]) -> T:
        """Read in a snapshot."""
        with self.ledger.read() as rows, self.vault.read() as vault:
            return act(self.core.take(rows, vault, self.world.now * 1_000))  # type: ignore[arg-type]

    def say(self, peer: Side, message: wire.Message) -> None:
        """Send a message, whatever it is."""
        self.act(lambda turn: turn.send(peer.device.kid, wire.encode(message)))

    def account(self, role: bytes, transfer: bytes) -> Receipt | None:
        """Return this side's account of a transfer."""
        return self.look(lambda turn: self.flows.receipts.get(turn.vault, role, transfer))

    def transfers(self) -> list[bytes]:
        """Return the transfers that this side has ever begun to send."""
        return self.look(lambda turn: [one.transfer for one in self.flows.receipts.listing(turn.vault, HOLDER)])

    def refusals(self) -> list[Refusal]:
        """Return what this side knows to have been refused, the newest first."""
        return self.look(lambda turn: self.flows.receipts.refusals(turn.vault))

    def sent(self, transfer: bytes) -> Outgoing | None:
        """Return a transfer that this side is sending."""
        return self.look(lambda turn: self.flows.outgoing.get(turn.vault, transfer))

    def received(self, transfer: bytes) -> Incoming | None:
        """Return a transfer that this side asked for or receives."""
        return self.look(lambda turn: self.flows.incoming.get(turn.vault, transfer))

    def packs(self, transfer: bytes) -> list[bytes]:
        """Return the packs this side has received of a transfer."""
        return self.look(lambda turn: list(self.flows.incoming.packs(turn.vault, transfer)))

    def status(self, grant: bytes) -> Status | None:
        """Return what this side's ledger says of a grant."""
        return self.look(lambda turn: self.core.replica.consent(turn.rows, grant))

    def entry(self, entry_id: bytes) -> Entry | None:
        """Return an entry that this side holds."""
        return self.look(lambda turn: self.core.replica.entry(turn.rows, entry_id))

    def codes(self) -> list[str]:
        """Return the codes of what was noted."""
        return [note.code for note in self.notes]


class World:
    """A mesh of `count` founders, all linked, and its message pump. Policy times are short.

    `turned`: whether the holder serves without consent. `spread_seconds`: see `Flows`.
    """

    spread_seconds = 0

    def __init__(self, count: int = 2, *, seed: int = 0, policy: Policy | None = None, turned: bool = False) -> None:
        self.seed, self.now, self.steps = seed, NOW, 0
        self.queues: dict[tuple[bytes, bytes], deque[bytes]] = {}
        self.away: set[bytes] = set()
        keys = random.Random(f"keys {seed}")
        pairs = [(_key(keys), _key(keys)) for _ in range(count)]
        founders = [(root.public, device.public) for root, device in pairs]
        genesis = make_genesis(
            pairs[0][0], "world", founders, policy or Policy(), now=self.now, random16=keys.randbytes(16)
        )
        self.sides = [
            Side(self, n, genesis, root, device, OpenDoor if turned and n == 1 else None)
            for n, (root, device) in enumerate(pairs, 1)
        ]
        for side in self.sides:
            side.act(partial(_found, side))
        for one in self.sides:
            one.act(lambda turn: turn.start())
            self.connect(one)
        self.pump()
        for one in self.sides:
            for other in self.sides:
                if one is not other:
                    one.act(partial(_link, one.party, other.party))
        self.pump()
        self.pass_time(1)

    @property
    def holder(self) -> Side:
        """The side that holds readings."""
        return self.sides[0]

    @property
    def recipient(self) -> Side:
        """The side that receives them."""
        return self.sides[1]

    def side(self, kid: bytes) -> Side:
        """Return the side with this device."""
        return next(side for side in self.sides if side.device.kid == kid)

    # Network

    def post(self, source: Side, peer: bytes, data: bytes) -> None:
        """Put a message on its way."""
        self.queues.setdefault((source.device.kid, peer), deque()).append(data)

    def connect(self, side: Side) -> None:
        """Open channels between a side and every other one that is not away."""
        for other in self.sides:
            if other is not side and not {other.device.kid, side.device.kid} & self.away:
                for one, peer in ((side, other.device.kid), (other, side.device.kid)):
                    if peer not in one.up:
                        one.up.add(peer)
                        one.handle(gossip.PeerUp(peer, member=True))

    def disconnect(self, side: Side) -> None:
        """Close a side's channels; what was on its way is lost."""
        for other in self.sides:
            if side.device.kid in other.up:
                other.up.discard(side.device.kid)
                side.up.discard(other.device.kid)
                other.handle(gossip.PeerDown(side.device.kid))
                side.handle(gossip.PeerDown(other.device.kid))
        self.drop(side)

    def drop(self, side: Side) -> None:
        """Lose what is on its way to and from a side."""
        for (source, target), queue in self.queues.items():
            if side.device.kid in (source, target):
                queue.clear()

    def leave(self, side: Side) -> None:
        """Take a side off the net."""
        self.disconnect(side)
        self.away.add(side.device.kid)

    def come_back(self, side: Side) -> None:
        """Put a side on the net again."""
        self.away.discard(side.device.kid)
        self.connect(side)

    def restart(self, side: Side) -> None:
        """Kill a side and start it from what is durable."""
        for other in self.sides:
            if side.device.kid in other.up:
                other.up.discard(side.device.kid)
                other.handle(gossip.PeerDown(side.device.kid))
        self.drop(side)
        side.load()
        side.act(lambda turn: turn.start())
        self.connect(side)

    def waiting(self) -> list[tuple[bytes, bytes]]:
        """Return the directions in which something is on its way."""
        return sorted(key for key, queue in self.queues.items() if queue)

    def step(self, way: tuple[bytes, bytes], index: int = 0) -> None:
        """Deliver one message of a direction, the first unless `index` says otherwise."""
        self.steps += 1
        queue = self.queues[way]
        data = queue[index]
        del queue[index]
        target = self.side(way[1])
        if way[0] in target.up:
            target.handle(gossip.Message(way[0], data))

    def lose(self, way: tuple[bytes, bytes], index: int) -> None:
        """Lose one message."""
        del self.queues[way][index]

    def repeat(self, way: tuple[bytes, bytes], index: int) -> None:
        """Send one message twice."""
        self.queues[way].append(self.queues[way][index])

    def data_messages(self) -> list[tuple[tuple[bytes, bytes], int]]:
        """Return where messages of family 3 are on their way: direction and place."""
        return [(way, i) for way in self.waiting() for i, data in enumerate(self.queues[way]) if data[1] == DATA]

    def pump(self) -> None:
        """Deliver everything, in order, until nothing is left."""
        while ways := self.waiting():
            for way in ways:
                if self.queues[way]:
                    self.step(way)

    def pass_time(self, seconds: int) -> None:
        """Let time pass: heartbeats, timers that are due, and what follows from them."""
        self.now += seconds
        for side in self.sides:
            side.act(lambda turn: turn.heartbeat())
            for name, at_ms in sorted(side.timers.items()):
                if at_ms <= self.now * 1_000:
                    del side.timers[name]
                    side.handle(gossip.TimerFired(name))
        self.pump()

    # Acts

    def import_series(self, *series: Series) -> None:
        """Have the holder keep readings."""

        def act(turn: Turn) -> None:
            for one in series:
                self.holder.flows.series.add(turn.vault, one)

        self.holder.act(act)

    def grant(self, terms: Terms, *, at: Side | None = None, pump: bool = True) -> tuple[Entry, Slip]:
        """Grant from a wallet kept at a side (the holder's unless told)."""
        side = at or self.holder
        offer = Offer(self.holder.party, self.recipient.party, terms, self.now + 300 * DAY)

        def act(turn: Turn) -> tuple[Entry, Slip]:
            acts = side.flows.acts
            if not any(hosted.name == "anna" for hosted in side.flows.wallets.listing(turn.vault)):
                acts.create_wallet(turn, "anna")
            return acts.grant(turn, "anna", offer, acts.notice(turn, offer, ("holder", "recipient")))

        made = side.act(act)
        if pump:
            self.pump()
        return made

    def withdraw(self, grant: Entry, by: Slip | str = "anna", *, at: Side | None = None) -> Entry:
        """Withdraw at a side (the holder's unless told)."""
        side = at or self.holder
        return side.act(lambda turn: side.flows.acts.withdraw(turn, grant, by))

    def wanted(self, **what: Any) -> Wanted:
        """Return what the recipient may want of the holder."""
        return Wanted(self.holder.party, self.recipient.party, **what)

    def send(self, **what: Any) -> tuple[bytes, Decision]:
        """Have the holder begin to send."""
        started = self.holder.act(lambda turn: self.holder.flows.sending.begin(turn, self.wanted(**what)))
        return started.transfer, started.decision

    def ask(self, **what: Any) -> bytes:
        """Have the recipient ask."""
        return self.recipient.act(lambda turn: self.recipient.flows.receiving.ask(turn, self.wanted(**what)))


def terms(series: Series, **changes: Any) -> Terms:
    """Return terms that allow all of a series, but for what is changed."""
    key = series.key
    party = {"dpo": "dpo@city.example"}["dpo"]
    fields: dict[str, Any] = {
        "purpose": "Advice on insulation",
        "purpose_category": "dpv:ServiceProvision",
        "legal_basis": "consent",
        "points": (key.point,),
        "pii_type": DataKind(key.energy, "consumption", key.kind),
        "granularity": key.granularity,
        "data_period": ((series.starts[0], series.stop + 1),),
        "access_period": (NOW - DAY, None),
        "controllers": (Actor("City", "controller", party),),
        "recipients": (Actor("City", "recipient", party),),
        "retention": "P1Y",
        "storage": "in Lyon",
        "jurisdiction": "FR",
        "withdrawal_method": "press Withdraw",
        "rights": Rights(party, party, party),
        "authority": "CNIL",
        "dpo_contact": party,
        "stages": Stages(local=True, upload=True, transmit=True),
        "principal_role": "contract_holder",
    }
    return Terms(**{**fields, **changes})


def _key(source: random.Random) -> SigningKey:
    return SigningKey.from_seed(source.randbytes(32))


def _found(side: Side, turn: Turn) -> None:
    if side.number == 1:
        turn.register(side.genesis.entry)
    replica = turn.core.replica
    turn.register(certify(side.root, side.device, replica, turn.rows, 1, turn.now, turn.core.random_bytes))
    turn.state("genesis.accept", ("member", side.root.kid), {})


def _link(own: Party, other: Party, turn: Turn) -> None:
    word = "link.offer"
    turn.state(word, ("link", link_id(own, other)), {"from": list(own), "to": list(other)})
