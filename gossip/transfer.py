"""Leaves on their way: what we asked for, what the engine is checking, and what we send, with windows on both sides.

How it works
    * A run that begins where we end (or where the runs being checked will end) becomes an `Ingest`; one that we hold
      costs a compare of its head; one beyond a gap becomes a Want from our size.
    * A Want names feeds and indices. The sender answers with batches of about BATCH_BYTES, small runs of many feeds
      in one message and long feeds in pieces, feed after feed in turn. A window of batches is on its way at once;
      the receiver grants the next by a Got once the engine has dealt with a batch: memory stays bounded on both sides.
      The window of a peer that answers quickly widens, so that its verifier never waits for the network and its store
      takes in much at once; on a slow link it stays narrow, or a batch would be given up before it has arrived.
    * Each wanted feed is asked of one peer at a time. If nothing comes of it in WANT_MS, or a run is refused, another
      peer that is known to have it is asked at once. So a peer that promises and does not deliver costs seconds.
    * A run or a head of a feed that we do not know yet is not kept: who has it is, and it is asked for again
      when membership changes.

What it does not do
    It verifies nothing and stores no leaf. It does not choose peers for exchanges, nor whom to push to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gossip.branches import Branches
from gossip.events import Accepted, Disconnect, Effect, Ingest, LedgerView, Observe, Refused, Send, SetTimer
from gossip.peers import BAN_MS, STUCK_MS, WINDOW_BATCHES, WINDOW_BATCHES_MAX, Peer, Peers, Recent, Sent
from gossip.vocabulary import HEADS_MAX, RUNS_MAX, WANTS_MAX, Got, Heads, Runs, Want, encode
from ledger.feed import Run, SignedHead

BATCH_BYTES: Final = 256 << 10
"""Leaves in one batch, in bytes; the last leaf may go beyond (by 64 KiB at most)."""
RUN_OVERHEAD: Final = 256
"""What a run costs beside its leaves, about: so many tiny runs do not make a long message."""
WANT_MS: Final = 5_000
"""How long a peer may take to make progress with what we asked it for."""
SWEEP_MS: Final = 1_000
"""How often wants are looked at while there are any."""
SENT_MS: Final = 30_000
"""A batch that is not acknowledged for so long ends what we were sending to that peer."""
FLIGHT_MS: Final = 60_000
"""A run that the engine has not answered for so long counts as lost."""
SEEN_HEADS: Final = 8_192
"""Signed heads that are remembered as dealt with."""
WANTS_TIMER: Final = "wants"
"""The timer of the sweep."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A run that the engine is checking."""

    source: bytes
    start: int
    stop: int
    size: int  # bytes
    head: SignedHead
    token: int
    at_ms: int


@dataclass(slots=True)
class _Wanted:
    """A feed that we asked a peer for: up to which size, and when it last moved."""

    peer: bytes
    size: int
    at_ms: int


class Transfer:
    """All transfers of one node."""

    def __init__(self, view: LedgerView, peers: Peers, branches: Branches) -> None:
        self._view, self._peers, self._branches = view, peers, branches
        self._flights: dict[bytes, list[_Flight]] = {}
        self._wanted: dict[bytes, _Wanted] = {}
        self._sweeping = False
        self._seen: Recent[tuple[bytes, SignedHead], None] = Recent(SEEN_HEADS)

    # Receiving

    def expected(self, feed: bytes) -> int:
        """Return our size of a feed once the runs that are being checked are taken in."""
        size = self._view.size(feed)
        for flight in self._flights.get(feed, ()):
            if flight.start <= size < flight.stop:
                size = flight.stop
        return size

    def on_runs(self, peer: Peer, told: Runs, now_ms: int) -> list[Effect]:
        """Take a batch in: each run is ingested, skipped, or turned into a want."""
        token = told.token
        if token:
            if token in peer.batches or len(peer.batches) >= 2 * WINDOW_BATCHES_MAX:
                self._peers.counters["batch_unwanted"] += 1
                return []
            peer.batches[token] = (1, {run.feed for run in told.runs})
        effects: list[Effect] = []
        gaps: dict[bytes, int] = {}
        for run in told.runs:
            effects += self._take(peer, run, token, gaps, now_ms)
        if gaps:
            effects += self.want(peer, gaps, now_ms)
        return effects + self._credit(peer, token)

    def _take(self, peer: Peer, run: Run, token: int, gaps: dict[bytes, int], now_ms: int) -> list[Effect]:
        feed, counters = run.feed, self._peers.counters
        peer.knows(feed, run.head.size, run.head.time)
        if not self._view.accepts(feed):
            peer.deferred.set(feed, run.head.size)
            counters["feed_unknown"] += 1
            return []
        expected = self.expected(feed)
        if run.start > expected:
            gaps[feed] = run.head.size
            return []
        if run.stop <= expected:
            counters["run_held"] += 1
            return self.consider(peer, feed, run.head, now_ms) if run.stop == run.head.size else []
        size, limits = sum(map(len, run.raws)), self._peers.limits
        if peer.flying >= limits.flight_runs or peer.flying_bytes + size > limits.flight_bytes:
            counters["flight_full"] += 1
            return []
        peer.flying += 1
        peer.flying_bytes += size
        if token:
            left, feeds = peer.batches[token]
            peer.batches[token] = (left + 1, feeds)
        flight = _Flight(peer.kid, run.start, run.stop, size, run.head, token, now_ms)
        self._flights.setdefault(feed, []).append(flight)
        return [Ingest(peer.kid, run)]

    def consider(self, peer: Peer, feed: bytes, head: SignedHead, now_ms: int) -> list[Effect]:
        """Take a signed head without leaves: want what lies below it, keep it as a heartbeat, or find it strange."""
        if not self._view.accepts(feed):
            peer.deferred.set(feed, head.size)
            self._peers.counters["feed_unknown"] += 1
            return []
        peer.knows(feed, head.size, head.time)
        if head.size > self._view.size(feed):
            return self.want(peer, {feed: head.size}, now_ms)
        ours = self._view.signed_head(feed)
        if ours is not None:
            if ours.size == head.size and ours.root != head.root:
                return self._branches.suspect(peer, feed, head, now_ms)
            if ours.root == head.root and (head.size, head.time) <= (ours.size, ours.time):
                return []
        if (feed, head) in self._seen or not self._peers.verifies(peer, now_ms):
            return []
        self._seen.set((feed, head), None)
        return [Observe(peer.kid, feed, head)]

    def accepted(self, event: Accepted, now_ms: int) -> list[Effect]:
        """The engine stored a run: credit its batch, and see what is still wanted."""
        run = event.run
        self._seen.set((run.feed, run.head), None)
        wanted = self._wanted.get(run.feed)
        if wanted is not None and self._view.size(run.feed) >= wanted.size:
            del self._wanted[run.feed]
        if event.source is None:
            return []
        peer = self._peers.get(event.source)
        if peer is not None:
            peer.progress_ms = now_ms
        flight = self._land(event.source, run.feed, run.start)
        return self._credit(peer, flight.token) if peer is not None and flight is not None else []

    def refused(self, event: Refused, now_ms: int) -> list[Effect]:
        """The engine refused a run: find out why, and ask another peer."""
        feed, peer = event.feed, self._peers.get(event.source)
        flight = self._land(event.source, feed, None)
        self._peers.counters[f"refused_{event.code}"] += 1
        effects: list[Effect] = []
        wanted = self._wanted.get(feed)
        if wanted is not None and wanted.peer == event.source:
            del self._wanted[feed]
        if peer is not None and flight is not None:
            effects += self._why(peer, feed, flight.head, event.code, now_ms)
            effects += self._credit(peer, flight.token)
        if event.code not in {"DATED_AHEAD", "UNKNOWN_FEED"}:
            effects += self._elsewhere([feed], now_ms)
        return effects

    def _why(self, peer: Peer, feed: bytes, head: SignedHead, code: str, now_ms: int) -> list[Effect]:
        match code:
            case "FEED_GAP":
                return self.want(peer, {feed: head.size}, now_ms)
            case "UNKNOWN_FEED":
                peer.deferred.set(feed, head.size)
                return []
            case "FEED_FORKED" | "BAD_ROOT":
                peer.stuck.set(feed, now_ms + STUCK_MS)
                return self._branches.suspect(peer, feed, head, now_ms)
            case "DATED_AHEAD":
                peer.stuck.set(feed, now_ms + WANT_MS)
                return []
            case _:
                peer.stuck.set(feed, now_ms + STUCK_MS)
                return self.fault(peer, code)

    def fault(self, peer: Peer, code: str) -> list[Effect]:
        """Count what no honest node forwards, for it verifies first; too much of it ends the channel."""
        peer.faults += 1
        if peer.faults < self._peers.limits.faults_max:
            return []
        told = f"{peer.faults} of the runs or checkpoints it sent were wrong, the last with {code}."
        return [Disconnect(peer.kid, "BAD_RUNS", told)]

    def _land(self, source: bytes, feed: bytes, start: int | None) -> _Flight | None:
        """Remove the flight that the engine answered."""
        flights = self._flights.get(feed, [])
        of_source = [flight for flight in flights if flight.source == source]
        exact = [flight for flight in of_source if flight.start == start]
        for flight in exact[:1] or of_source[:1]:
            self._remove(feed, flight)
            return flight
        return None

    def _remove(self, feed: bytes, flight: _Flight) -> None:
        flights = self._flights[feed]
        flights.remove(flight)
        if not flights:
            del self._flights[feed]
        peer = self._peers.get(flight.source)
        if peer is not None and peer.flying:
            peer.flying -= 1
            peer.flying_bytes -= flight.size

    def _credit(self, peer: Peer, token: int) -> list[Effect]:
        """One part of a batch is dealt with; after the last, grant the next batch."""
        left, feeds = peer.batches.get(token, (0, set()))
        if left > 1:
            peer.batches[token] = (left - 1, feeds)
            return []
        if not left:
            return []
        del peer.batches[token]
        items = tuple((feed, self._view.size(feed)) for feed in sorted(feeds))
        return [Send(peer.kid, encode(Got(token, items)))]

    # Asking

    def want(
        self, peer: Peer, sizes: Mapping[bytes, int], now_ms: int, heads: Iterable[tuple[bytes, int]] = ()
    ) -> list[Effect]:
        """Ask a peer for feeds up to the sizes it is said to have, unless that is under way.

        `heads`: (feed, size) of which only the peer's signed head is wanted.
        """
        asked = list(heads)
        for feed, size in sizes.items():
            peer.knows(feed, size, 0)
            expected = self.expected(feed)
            if size <= expected or peer.is_stuck(feed, now_ms) or self._is_banned(peer, now_ms):
                continue
            if feed in self._wanted or len(self._wanted) >= self._peers.limits.wanted_feeds:
                continue
            self._wanted[feed] = _Wanted(peer.kid, size, now_ms)
            asked.append((feed, expected))
        effects: list[Effect] = [
            Send(peer.kid, encode(Want(tuple(asked[at : at + WANTS_MAX])))) for at in range(0, len(asked), WANTS_MAX)
        ]
        if self._wanted and not self._sweeping:
            self._sweeping = True
            effects.append(SetTimer(WANTS_TIMER, now_ms + SWEEP_MS))
        return effects

    def _is_banned(self, peer: Peer, now_ms: int) -> bool:
        return peer.banned_ms > now_ms and len(self._peers.members) > 1

    def sweep(self, now_ms: int) -> list[Effect]:
        """Give up on peers that make no progress, and ask others."""
        self._sweeping = False
        late = []
        for feed, wanted in list(self._wanted.items()):
            peer = self._peers.get(wanted.peer)
            if peer is None or now_ms - max(wanted.at_ms, peer.progress_ms) >= WANT_MS:
                del self._wanted[feed]
                if self.expected(feed) < wanted.size:
                    late.append(feed)
                    if peer is not None:
                        peer.banned_ms = now_ms + BAN_MS
        effects = self._elsewhere(late, now_ms)
        if self._wanted and not self._sweeping:
            self._sweeping = True
            effects.append(SetTimer(WANTS_TIMER, now_ms + SWEEP_MS))
        return effects

    def _elsewhere(self, feeds: Iterable[bytes], now_ms: int) -> list[Effect]:
        """Ask for each feed the first peer that is known to have more of it."""
        by_peer: dict[bytes, dict[bytes, int]] = {}
        for feed in feeds:
            expected = self.expected(feed)
            for peer in self._peers.members:
                size = (peer.known.get(feed) or (0, 0))[0]
                if size > expected and not peer.is_stuck(feed, now_ms) and not self._is_banned(peer, now_ms):
                    by_peer.setdefault(peer.kid, {})[feed] = size
                    break
        effects: list[Effect] = []
        for kid, sizes in by_peer.items():
            asked = self._peers.get(kid)
            if asked is not None:
                effects += self.want(asked, sizes, now_ms)
        return effects

    def members_changed(self, now_ms: int) -> list[Effect]:
        """Ask again for feeds that were unknown before."""
        effects: list[Effect] = []
        for peer in self._peers.members:
            peer.stuck.clear()
            ready = {feed: size for feed, size in peer.deferred.items() if self._view.accepts(feed)}
            for feed in ready:
                peer.deferred.pop(feed)
            effects += self.want(peer, ready, now_ms)
        return effects

    def peer_down(self, kid: bytes, now_ms: int) -> list[Effect]:
        """Ask others for what the peer that is gone was asked for."""
        feeds = [feed for feed, wanted in self._wanted.items() if wanted.peer == kid]
        for feed in feeds:
            del self._wanted[feed]
        return self._elsewhere(feeds, now_ms)

    # Sending

    def on_want(self, peer: Peer, told: Want, now_ms: int) -> list[Effect]:
        """Serve a peer: leaves under the window, or the head where no leaf lies beyond."""
        heads: list[tuple[bytes, SignedHead]] = []
        for feed, start in told.items:
            head = self._view.signed_head(feed)
            if head is None or start > head.size:
                self._peers.counters["want_out_of_range"] += 1
            elif start == head.size:
                heads.append((feed, head))
            elif feed in peer.sending or len(peer.sending) < self._peers.limits.sending_feeds:
                peer.sending[feed] = start
        effects: list[Effect] = [
            Send(peer.kid, encode(Heads(tuple(heads[at : at + HEADS_MAX])))) for at in range(0, len(heads), HEADS_MAX)
        ]
        return effects + self._pump(peer, now_ms)

    def push(self, peer: Peer, starts: Mapping[bytes, int], now_ms: int) -> list[Effect]:
        """Send a peer what it was found to lack, each feed from that index on."""
        under_way = {feed for sent in peer.outstanding.values() for feed in sent.stops}
        for feed, start in starts.items():
            fits = len(peer.sending) < self._peers.limits.sending_feeds and not peer.is_stuck(feed, now_ms)
            if fits and feed not in peer.sending and feed not in under_way:
                peer.sending[feed] = start
        return self._pump(peer, now_ms)

    def on_got(self, peer: Peer, told: Got, now_ms: int) -> list[Effect]:
        """A batch is dealt with: send the next. A feed that did not move is left alone for a while."""
        sent = peer.outstanding.pop(told.token, None)
        if sent is None:
            self._peers.counters["got_unasked"] += 1
            return []
        peer.answered(now_ms - sent.at_ms)
        for feed, size in told.items:
            if feed not in sent.stops:
                continue
            peer.knows(feed, size, 0)
            if size < sent.stops[feed]:
                peer.sending.pop(feed, None)
                peer.stuck.set(feed, now_ms + STUCK_MS)
        return self._pump(peer, now_ms)

    def _pump(self, peer: Peer, now_ms: int) -> list[Effect]:
        """Fill the window with batches of what is to be sent."""
        effects: list[Effect] = []
        while peer.sending and len(peer.outstanding) < peer.window:
            runs, stops = self._batch(peer)
            if runs:
                peer.token += 1
                peer.outstanding[peer.token] = Sent(stops, now_ms)
                effects.append(Send(peer.kid, encode(Runs(peer.token, tuple(runs)))))
        return effects

    def _batch(self, peer: Peer) -> tuple[list[Run], dict[bytes, int]]:
        runs: list[Run] = []
        stops: dict[bytes, int] = {}
        room = BATCH_BYTES
        for feed, start in list(peer.sending.items()):
            if room <= 0 or len(runs) >= RUNS_MAX:
                break
            del peer.sending[feed]
            run = self._view.run(feed, start, room)
            if run is None:
                continue
            runs.append(run)
            stops[feed] = run.stop
            room -= sum(map(len, run.raws)) + RUN_OVERHEAD
            if run.stop < run.head.size:
                peer.sending[feed] = run.stop  # now the last in turn
            else:
                peer.knows(feed, run.head.size, run.head.time)
        return runs, stops

    def stalled(self, now_ms: int) -> list[Effect]:
        """Forget batches that were never acknowledged (the peer asks again), and runs that were never answered."""
        effects: list[Effect] = []
        for peer in self._peers:
            if any(now_ms - sent.at_ms > SENT_MS for sent in peer.outstanding.values()):
                peer.outstanding.clear()
                peer.sending.clear()
                peer.window = WINDOW_BATCHES
                self._peers.counters["window_stalled"] += 1
        lost = [(f, x) for f, flights in self._flights.items() for x in flights if now_ms - x.at_ms > FLIGHT_MS]
        for feed, flight in lost:
            self._remove(feed, flight)
            self._peers.counters["flight_lost"] += 1
            owner = self._peers.get(flight.source)
            if owner is not None:
                effects += self._credit(owner, flight.token)
        return effects
