"""The swarm: all of gossip behind one door, `handle(event, now_ms) -> list[Effect]`.

How it works
    It opens envelopes, charges their senders, sorts messages to the machines (transfer, broadcast, antientropy,
    branches, boundaries) and hands on what is not gossip: family 2 as `Stranger`, family 3 as `Data`, family 4 as
    `SealMessage`, family 5 as `WitnessMessage`. A peer that is not a member can say family 2 and nothing else.
    Unknown families and kinds are counted and ignored; an unknown version is answered once with what is spoken here;
    a malformed message ends the channel.

What it does not do
    It does no I/O, keeps no ledger, verifies nothing and admits nobody. Liveness never changes membership: a peer
    that is down is a channel that is gone.
"""

from __future__ import annotations

from random import Random
from typing import Final, assert_never

from gossip.antientropy import EXCHANGE_TIMER, AntiEntropy
from gossip.boundaries import Boundaries
from gossip.branches import Branches
from gossip.broadcast import ANNOUNCE_TIMER, Broadcast
from gossip.events import (
    Accepted,
    BoundaryPassed,
    Data,
    Disconnect,
    Effect,
    Event,
    ForkCandidate,
    HeadAccepted,
    HeadRefused,
    Ingest,
    LedgerView,
    MembersChanged,
    Message,
    Observe,
    PeerDown,
    PeerUp,
    Refused,
    SealMessage,
    Send,
    SetTimer,
    Stranger,
    TickAsked,
    TimerFired,
    WitnessMessage,
)
from gossip.messages import DATA, GOSSIP, KNOCK, PROTOCOL, SEALS, VERSION, WITNESS, Envelope, Unsupported
from gossip.peers import Limits, Peer, Peers, RandomBytes
from gossip.transfer import WANTS_TIMER, Transfer
from gossip.vocabulary import (
    Branch,
    Got,
    Heads,
    Leaves,
    Listed,
    Marks,
    More,
    Runs,
    Same,
    Summary,
    Symbols,
    Tick,
    Want,
    decode,
)
from ledger.errors import RemoteError

__all__ = (
    "Accepted",
    "BoundaryPassed",
    "Data",
    "Disconnect",
    "Effect",
    "Event",
    "ForkCandidate",
    "HeadAccepted",
    "HeadRefused",
    "Ingest",
    "LedgerView",
    "Limits",
    "MembersChanged",
    "Message",
    "Observe",
    "PeerDown",
    "PeerUp",
    "Refused",
    "SealMessage",
    "Send",
    "SetTimer",
    "Stranger",
    "Swarm",
    "TickAsked",
    "TimerFired",
    "WitnessMessage",
)

SPOKEN: Final = {GOSSIP: (VERSION,), KNOCK: (VERSION,), SEALS: (VERSION,), WITNESS: (VERSION,)}
"""The versions of each family that are spoken here; those of family 3 are its owner's to say."""


class Swarm:
    """Gossip of one node in one mesh. Call `start` once, then `handle` for everything that happens."""

    def __init__(
        self,
        view: LedgerView,
        *,
        own: bytes,
        rng: Random,
        random_bytes: RandomBytes,
        limits: Limits | None = None,
        data_versions: tuple[int, ...] = (VERSION,),
    ) -> None:
        """`own`: our device's thumbprint. `rng` picks neighbours and pauses; `random_bytes` makes keys."""
        self._view = view
        self._peers = Peers(own, limits or Limits(), rng, random_bytes)
        self._branches = Branches(view, self._peers)
        self._boundaries = Boundaries(view, self._peers)
        self._transfer = Transfer(view, self._peers, self._branches)
        self._broadcast = Broadcast(view, self._peers)
        self._exchanges = AntiEntropy(view, self._peers, self._transfer, self._branches, self._boundaries)
        self._versions = {**SPOKEN, DATA: data_versions}

    @property
    def counters(self) -> dict[str, int]:
        """What was dropped, ignored or refused so far, by name."""
        return dict(self._peers.counters)

    def members(self) -> list[bytes]:
        """Return the member neighbours whose channels are open."""
        return [peer.kid for peer in self._peers.members]

    def start(self, now_ms: int) -> list[Effect]:
        """Set the first timer."""
        return [self._exchanges.schedule(now_ms)]

    def tick(self, boundary: int, now_ms: int) -> list[Effect]:
        """Ask every node for a tick at `boundary` (unix seconds). Raises LocalError TICK_TOO_FAR (120 s)."""
        return self._boundaries.ask(boundary, now_ms)

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """Take one event. `now_ms`: unix milliseconds. Never raises on what a peer says."""
        match event:
            case Message(kid, data):
                peer = self._peers.get(kid)
                return self._message(peer, data, now_ms) if peer is not None else []
            case Accepted(run, _):
                self._boundaries.moved(run.head)
                self._exchanges.moved(run.feed, run.start)
                effects = self._broadcast.accepted(event, now_ms)  # first: others wait for it
                return effects + self._transfer.accepted(event, now_ms)
            case Refused():
                return self._transfer.refused(event, now_ms)
            case HeadAccepted(feed, head, _):
                self._boundaries.moved(head)
                if self._view.signed_head(feed) == head:
                    self._exchanges.beat(feed)
                return self._broadcast.head_accepted(event, now_ms)
            case HeadRefused():
                return self._head_refused(event, now_ms)
            case PeerUp(kid, member):
                self._broadcast.review()
                return self._exchanges.peer_up(self._peers.up(kid, member, now_ms), now_ms)
            case PeerDown(kid):
                self._peers.down(kid)
                self._broadcast.review()
                return self._transfer.peer_down(kid, now_ms)
            case MembersChanged():
                self._broadcast.review()
                return self._transfer.members_changed(now_ms) + self._exchanges.members_changed(now_ms)
            case BoundaryPassed(boundary):
                self._boundaries.passed(boundary)
                return []
            case TimerFired(name):
                return self._timer(name, now_ms)
            case _:
                assert_never(event)

    def _timer(self, name: str, now_ms: int) -> list[Effect]:
        if name == EXCHANGE_TIMER:
            return self._exchanges.due(now_ms)
        if name == ANNOUNCE_TIMER:
            return self._broadcast.flush()
        return self._transfer.sweep(now_ms) if name == WANTS_TIMER else []

    def _head_refused(self, event: HeadRefused, now_ms: int) -> list[Effect]:
        peer, code = self._peers.get(event.source), event.code
        if peer is None or not code:
            return []
        self._peers.counters[f"head_refused_{code}"] += 1
        if code == "FEED_FORKED":
            return self._branches.suspect(peer, event.feed, event.head, now_ms)
        return self._transfer.fault(peer, code) if code == "BAD_CHECKPOINT_SIGNATURE" else []

    # Messages

    def _message(self, peer: Peer, data: bytes, now_ms: int) -> list[Effect]:
        if not self._peers.admit(peer, len(data), now_ms):
            return self._rate_limited(peer)
        if self._broadcast.is_repeated(peer, data):
            return []
        try:
            return self._route(peer, Envelope.open(data), now_ms)
        except RemoteError as error:
            self._peers.counters[error.code] += 1
            return [Disconnect(peer.kid, error.code, str(error))]

    def _rate_limited(self, peer: Peer) -> list[Effect]:
        if not self._peers.persists(peer):
            return []
        told = f"It went on although {peer.dropped} of its messages were dropped for being too many."
        return [Disconnect(peer.kid, "RATE_LIMITED", told)]

    def _route(self, peer: Peer, envelope: Envelope, now_ms: int) -> list[Effect]:
        family, counters = envelope.family, self._peers.counters
        if family == PROTOCOL and envelope.version == VERSION and envelope.kind == Unsupported.KIND:
            told = Unsupported.read(envelope.body())
            counters[f"unsupported_{told.family}"] += 1
            return []
        spoken = self._versions.get(family)
        if spoken is None:
            counters["family_unknown"] += 1
            return []
        if not peer.member and family != KNOCK:
            counters["not_a_member"] += 1
            return []
        if envelope.version not in spoken:
            counters["version_unknown"] += 1
            if family in peer.refused_families:
                return []
            peer.refused_families.add(family)
            return [Send(peer.kid, Unsupported(family, spoken).encode())]
        if family == KNOCK:
            return [Stranger(peer.kid, envelope)]
        if family == DATA:
            return [Data(peer.kid, envelope)]
        if family == SEALS:
            return [SealMessage(peer.kid, envelope)]
        if family == WITNESS:
            return [WitnessMessage(peer.kid, envelope)]
        return self._gossip(peer, envelope, now_ms)

    def _gossip(self, peer: Peer, envelope: Envelope, now_ms: int) -> list[Effect]:
        told = decode(envelope)
        match told:
            case None:
                self._peers.counters["kind_unknown"] += 1
                return []
            case Runs():
                self._broadcast.hear(envelope.data, told)
                return self._transfer.on_runs(peer, told, now_ms)
            case Heads(heads):
                return [effect for feed, head in heads for effect in self._transfer.consider(peer, feed, head, now_ms)]
            case Same():
                return self._exchanges.on_same(peer, told)
            case Symbols():
                return self._exchanges.on_symbols(peer, told, now_ms)
            case Listed():
                return self._exchanges.on_listed(peer, told, now_ms)
            case Leaves():
                return self._branches.on_leaves(peer, told)
            case Tick():
                return self._boundaries.on_tick(peer, told, now_ms)
            case Want() | Got() | Summary() | More() | Branch() | Marks():
                if not peer.work.take(1, now_ms):
                    self._peers.drop(peer, now_ms)
                    return self._rate_limited(peer)
                return self._work(peer, told, now_ms)
            case _:
                assert_never(told)

    def _work(self, peer: Peer, told: Want | Got | Summary | More | Branch | Marks, now_ms: int) -> list[Effect]:
        """Messages whose answer costs reading or hashing."""
        match told:
            case Want():
                return self._transfer.on_want(peer, told, now_ms)
            case Got():
                return self._transfer.on_got(peer, told, now_ms)
            case Summary():
                return self._exchanges.on_summary(peer, told, now_ms)
            case More():
                return self._exchanges.on_more(peer, told)
            case Branch():
                return self._branches.serve(peer, told)
            case Marks():
                return self._boundaries.on_marks(peer, told)
            case _:
                assert_never(told)
