"""One mesh of a node, sans-IO: ledger, ticks, gossip, admission and data flows behind one door.

How it works
    A driver (the trio engine, the whole-daemon test driver, the discrete-event world) owns the transactions and the
    clock. Inside one write transaction it calls `take(rows, vault, now_ms)` to open a `Turn`, gives the turn network
    events (`handle`) or runs one local act on it, and ends it with `finish`, which signs our feed once if it grew and
    returns every effect. The driver commits, and only then lets the effects out: what leaves is always durable.

        swarm says Ingest -> replica.ingest (inline, or after worker processes verified) -> swarm is told Accepted

    Timers are effects and come back as events. Times are milliseconds where a name says so, else unix seconds.

What it does not do
    It opens no socket, store or file and reads no clock. Encryption is the channel's, in the driver.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from gossip import events as gossip
from gossip.messages import Envelope
from gossip.swarm import Swarm
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.epochs import Epochs
from ledger.errors import LocalError
from ledger.governance.epoch import Policy
from ledger.governance.members import Party
from ledger.keys import SigningKey, thumbprint
from ledger.replica import Replica
from ledger.rows import Reader, Writer
from ledger.ticks import Ticker
from node.directory import Directory
from node.events import Effect, Event, MembershipMoved, Noted, Verified, Verify
from node.sealing import Sealer
from node.sight import Sight
from node.turn import Turn
from node.witness import Witness

__all__ = (
    "Core",
    "DataFamily",
    "Effect",
    "Event",
    "MembershipMoved",
    "Noted",
    "RandomBytes",
    "SealFamily",
    "Stranger",
    "Turn",
    "Verified",
    "Verify",
)

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Returns as many random bytes as asked for."""


class Stranger(Protocol):
    """What answers family 2 (applications of keys that are no members yet); node/admission.py."""

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Act on one message from a peer that may be a stranger."""

    def introduce(self, turn: Turn, peer: bytes) -> None:
        """Say who we are to a member whose channel came up, where it may not know."""


class DataFamily(Protocol):
    """What answers family 3 (transfers and disclosures between members); node/flows.py."""

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Act on one message from a member."""

    def peer_up(self, turn: Turn, peer: bytes) -> None:
        """A member's channel is up: send what waited for it."""

    def peer_down(self, turn: Turn, peer: bytes) -> None:
        """A member's channel is gone."""

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """New entries took effect: a consent began or ended."""

    def timer(self, turn: Turn, name: str) -> None:
        """A timer whose name begins with "data:" fired."""

    def partners(self, turn: Turn) -> frozenset[bytes]:
        """Return the devices to which this node wants a channel of its own, whatever gossip needs."""


class SealFamily(Protocol):
    """What answers family 4 and seals epochs; node/sealing.py."""

    def begin(self) -> None:
        """A turn opens."""

    def rolled_back(self) -> None:
        """What the last turn did was undone, or the node starts."""

    def start(self, turn: Turn) -> None:
        """Gossip begins, or begins anew."""

    def moved(self, turn: Turn) -> None:
        """Governance entries were taken in."""

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Act on one message from a member."""

    def peer_up(self, turn: Turn, peer: bytes) -> None:
        """A member's channel is up."""

    def peer_down(self, peer: bytes) -> None:
        """A member's channel is gone."""

    def timer(self, turn: Turn, name: str) -> None:
        """A timer whose name begins with "seal:" fired."""

    def check_leave(self, turn: Turn) -> None:
        """Raise LocalError SEAL_IN_PROGRESS where a `member.leave` would break a promise."""


class Core:
    """One mesh of a node. `device`: our device key, `party`: whom it acts for.

    `random_source` makes gossip's choices, `random_bytes` the ids of our entries, `gossip_bytes` the keys of
    reconciliation (by default `random_bytes`). `workers`: bulk runs are verified outside (`Verify`).
    """

    def __init__(
        self,
        replica: Replica,
        device: SigningKey,
        party: Party,
        *,
        random_source: random.Random,
        random_bytes: RandomBytes,
        gossip_bytes: RandomBytes | None = None,
        workers: bool = False,
    ) -> None:
        self.replica = replica
        self.ticker = Ticker(replica)
        self.device = device
        self.party = party
        self.random_bytes = random_bytes
        self.strangers: Stranger | None = None
        self.data: DataFamily | None = None
        self.sealing: SealFamily | None = Sealer(Epochs(replica, self.ticker))
        self.witness = Witness(random_source)
        self.directory = Directory()
        self.peers: dict[bytes, bool] = {}  # whose channel is up -> whether it may gossip
        self.vouched: set[bytes] = set()  # by our ticket, or a member's root key: they gossip before the ledger says so
        self.since = 0  # when this node began, unix seconds; 0: it has not
        self.boundaries: list[int] = []  # ticks on demand that wait, unix seconds
        self.verifying: Counter[bytes] = Counter()  # feed -> runs that worker processes have
        self.rescued: dict[bytes, int] = {}  # forked feed -> up to where what restricts consents was registered again
        self.rescuing = False  # a look at what lies beyond forks is planned
        self.lower: dict[bytes, dict[str, Any]] = {}  # forked feed -> a proof that holds it lower, to be stated
        self.proven: dict[bytes, int] = {}  # forked feed -> when we last stated such a proof, unix seconds
        self.dropped: dict[bytes, tuple[Head, int]] = {}  # feed -> the sealed head that it was given up for, and when
        self.workers = workers
        self.rng = random_source
        self._gossip_bytes = gossip_bytes or random_bytes
        self._policy = replica.genesis.policy
        self._rows: Reader | None = None
        self._told = False
        self.swarm = self._new_swarm()

    def _new_swarm(self) -> Swarm:
        return Swarm(
            own=self.device.kid,
            view=Sight(self.replica, self._open_rows),
            rng=self.rng,
            random_bytes=self._gossip_bytes,
        )

    def _open_rows(self) -> Reader:
        if self._rows is None:
            raise LocalError("NO_TURN", "the ledger is read inside a turn")
        return self._rows

    def load(self, rows: Reader) -> bool:
        """Read what memory mirrors from the rows: at start, and after a rolled-back transaction.

        True: gossip had been told what was rolled back, and begins anew; the driver then runs `Turn.start` and
        presents the peers that are connected.
        """
        self.replica.reload(rows)
        self.ticker.load(rows)
        if self.sealing is not None:
            self.sealing.rolled_back()
        self.rescued.clear()
        self.rescuing = False
        again, self._told = self._told, False
        if again:
            self._begin_anew()
        return again

    def _begin_anew(self) -> None:
        self.swarm = self._new_swarm()
        self.peers.clear()
        self.boundaries.clear()
        self.verifying.clear()

    def become(self, device: SigningKey, party: Party) -> None:
        """Go on as another incarnation, with its own device: inside a turn, which then runs `start`.

        Gossip begins anew; the driver presents the peers that are connected, and ends their channels, which were
        opened by the former device.
        """
        self.device, self.party, self.since = device, party, 0
        self._told = True
        self._begin_anew()

    def take(self, rows: Writer, vault: Any, now_ms: int) -> Turn:
        """Open a turn inside the caller's write transactions (`vault` may be None where no data flows)."""
        self._rows, self._told = rows, False
        if self.sealing is not None:
            self.sealing.begin()
        return Turn(self, rows, vault, now_ms)

    def tell(self, event: gossip.Event, now_ms: int) -> list[gossip.Effect]:
        """Hand an event to gossip, inside a turn."""
        self._told = True
        return self.swarm.handle(event, now_ms)

    def is_member_device(self, kid: bytes) -> bool:
        """Say whether a device may gossip: it speaks for a member; before the ledger says, a founder's or vouched.

        A retired or succeeded device does not; a forked one does, or it would never learn that it must be repaired.
        """
        members = self.replica.members
        device = members.devices.get(kid)
        if device is not None:
            return members.speaks(kid) or (kid in members.forks and members.belongs(device.party))
        return (kid in self.replica.founding and not self._is_expelled_founder(kid)) or kid in self.vouched

    def _is_expelled_founder(self, kid: bytes) -> bool:
        """Say whether a founder's first device is of one that was expelled before it ever accepted."""
        founding, expelled = self.replica.founding[kid], self.replica.members.expelled
        roots = (root for root, device in self.replica.genesis.founders if device == founding)
        return any((thumbprint(root), 1) in expelled for root in roots)

    @property
    def member_peers(self) -> list[bytes]:
        """The member devices whose channel is up."""
        return [kid for kid, member in self.peers.items() if member]

    @property
    def policy(self) -> Policy:
        """The policy in force: that of the genesis, with what the newest epoch's rules forbid."""
        forbidden = self.replica.members.forbidden_purposes
        if forbidden != self._policy.forbidden_purposes:
            self._policy = replace(self._policy, forbidden_purposes=forbidden)
        return self._policy
