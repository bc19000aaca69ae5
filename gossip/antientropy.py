"""Anti-entropy: two nodes compare their frontiers and give each other what is missing. This is the guarantee.

How it works
    Every 5 to 10 seconds with a random member neighbour (one not met for MEET_MS first), at once with a new one, and
    soon after membership changed. The asker sends a Summary. Equal digests: Same, and each side tells the heartbeats
    that the other may lack. Different ones: the answerer says how its set of heads (feed, size, root) differs,
    by the shortest of three ways:
      * the heads that changed since the digest on which the two last agreed, if both remember it;
      * all heads, when that is no longer than the symbols would be;
      * coded symbols (gossip.reconcile): FIRST_SYMBOLS, then twice as many, until all heads are shorter.
    The asker then has the difference, and in one volley asks for what it lacks and sends what the other lacks. So
    leaves arrive within two round trips. A head that differs at equal size is asked for: it may show a fork.
    When both open an exchange at once, that of the smaller device id goes on.

    Who changed what is kept in a short log of (feed, size before). A base is used once; if the digests then still
    differ, something else is the matter and the sets are compared in full.

What it does not do
    It trusts no claim: a difference only decides what to ask for and what to send. It moves no leaves itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from gossip.boundaries import Boundaries
from gossip.branches import Branches
from gossip.broadcast import tell
from gossip.events import Effect, LedgerView, Send, SetTimer
from gossip.peers import Exchange, Peer, Peers, Recent
from gossip.reconcile import ITEM_BYTES, MAX_SYMBOLS, SYMBOL_BYTES, Decoder, Encoder
from gossip.transfer import Transfer
from gossip.vocabulary import ITEMS_MAX, Listed, More, Same, Summary, Symbols, encode
from ledger.errors import RemoteError

EXCHANGE_TIMER: Final = "exchange"
"""The timer of the next exchange."""
EXCHANGE_MS: Final = (5_000, 10_000)
"""The pause between two exchanges, drawn anew each time."""
MEET_MS: Final = 540_000
"""A neighbour not met for so long goes first: each is met within 10 minutes."""
MEETINGS_MAX: Final = 4
"""Neighbours met at one time, when many are due."""
OPEN_MS: Final = 10_000
"""An exchange that has come to no end is given up after this."""
AFTER_CHANGE_MS: Final = 2_000
"""The least pause between exchanges that a change of membership asks for."""
FIRST_SYMBOLS: Final = 56
"""Symbols of the first answer: enough for 20 differences (10 feeds that moved on) in more than 98 of 100 cases."""
KEY_BYTES: Final = 16
"""Random bytes of the key under which symbols are made."""
ENCODER_MS: Final = 120_000
"""How long a key is used."""
LOG_MAX: Final = 16_384
"""Changes that are remembered."""
BASES_MAX: Final = 1_024
"""Peers, present or gone, of which we remember when we were equal."""
FEEDS_MAX: Final = 1 << 20
"""Heads that an answer may list."""
FRESH_MAX: Final = 2_048
"""Heartbeats told in one exchange."""


class AntiEntropy:
    """The exchanges of one node."""

    def __init__(
        self, view: LedgerView, peers: Peers, transfer: Transfer, branches: Branches, boundaries: Boundaries
    ) -> None:
        self._view, self._peers, self._transfer = view, peers, transfer
        self._branches, self._boundaries = branches, boundaries
        self._number = 0
        self._log: deque[tuple[bytes, int]] = deque(maxlen=LOG_MAX)  # (feed, size before)
        self._changes = 0  # entries of the log ever written
        self._bases: Recent[bytes, tuple[bytes, int]] = Recent(BASES_MAX)  # peer -> (digest, changes)
        self._fresh: dict[bytes, int] = {}  # feed -> when its head last changed, the newest last
        self._beats = 0
        self._told: Recent[bytes, int] = Recent(BASES_MAX)  # peer -> beats told
        self._encoder: tuple[bytes, int, bytes, Encoder] | None = None  # digest, made at, key, encoder
        self._after_change_ms = -AFTER_CHANGE_MS

    # When

    def schedule(self, now_ms: int) -> Effect:
        """Set the timer of the next exchange."""
        return SetTimer(EXCHANGE_TIMER, now_ms + self._peers.rng.randint(*EXCHANGE_MS))

    def due(self, now_ms: int) -> list[Effect]:
        """Open the exchanges whose time has come, and set the next time."""
        stalled = self._transfer.stalled(now_ms)
        members = [peer for peer in self._peers.members if not _is_open(peer, now_ms)]
        waited = [peer for peer in members if now_ms - peer.exchanged_ms >= MEET_MS]
        waited.sort(key=lambda peer: peer.exchanged_ms)
        chosen = waited[:MEETINGS_MAX] or (self._peers.rng.sample(members, 1) if members else [])
        effects = [self._begin(peer, now_ms) for peer in chosen]
        return [*stalled, *effects, self.schedule(now_ms)]

    def peer_up(self, peer: Peer, now_ms: int) -> list[Effect]:
        """Open an exchange with a new neighbour."""
        return [self._begin(peer, now_ms)] if peer.member else []

    def members_changed(self, now_ms: int) -> list[Effect]:
        """Open an exchange soon after membership changed: there may be feeds that we skipped."""
        members = [peer for peer in self._peers.members if not _is_open(peer, now_ms)]
        if not members or 0 <= now_ms - self._after_change_ms < AFTER_CHANGE_MS:
            return []
        self._after_change_ms = now_ms
        return [self._begin(self._peers.rng.choice(members), now_ms)]

    def moved(self, feed: bytes, before: int) -> None:
        """A feed grew; before, we held `before` leaves of it."""
        self._log.append((feed, before))
        self._changes += 1
        self.beat(feed)

    def beat(self, feed: bytes) -> None:
        """A feed's newest head changed."""
        self._beats += 1
        self._fresh.pop(feed, None)
        self._fresh[feed] = self._beats

    def _begin(self, peer: Peer, now_ms: int) -> Effect:
        self._number += 1
        digest = self._view.digest()
        base = self._bases.get(peer.kid)
        boundary, marks = self._boundaries.summary()
        count = len(self._view.signed_heads())
        said = Summary(self._number, digest, count, base[0] if base else b"", boundary, marks)
        peer.exchange = Exchange(self._number, now_ms, said, self._changes)
        peer.exchanged_ms = now_ms
        return Send(peer.kid, encode(said))

    # Answering

    def on_summary(self, peer: Peer, told: Summary, now_ms: int) -> list[Effect]:
        """Answer: equal, or how we differ."""
        if _is_open(peer, now_ms):
            if self._peers.own < peer.kid:
                return []  # ours goes on
            peer.exchange = None
        peer.exchanged_ms = now_ms
        digest = self._view.digest()
        if told.digest == digest:
            self._bases.set(peer.kid, (digest, self._changes))
            return [
                Send(peer.kid, encode(Same(told.exchange))),
                *self._tell_fresh(peer),
                *self._boundaries.compare(peer, told),
            ]
        base = self._bases.pop(peer.kid)
        changed = self._changed_since(base[1]) if base and told.base == base[0] else None
        if changed is not None:
            items = self._items(sorted(changed))
            effects = _listed(peer, told.exchange, items, since_base=True)
        else:
            effects = self._reconcile(peer, told, digest, now_ms)
        return effects + self._boundaries.compare(peer, told)

    def _reconcile(self, peer: Peer, told: Summary, digest: bytes, now_ms: int) -> list[Effect]:
        heads = self._view.signed_heads()
        first = max(FIRST_SYMBOLS, 3 * abs(len(heads) - told.count) // 2)
        if first > MAX_SYMBOLS or first * SYMBOL_BYTES >= len(heads) * ITEM_BYTES:
            return _listed(peer, told.exchange, self._items(sorted(heads)), since_base=False)
        made = self._encoder
        if made is None or made[0] != digest or now_ms - made[1] > ENCODER_MS:
            key = self._peers.random_bytes(KEY_BYTES)
            made = self._encoder = (digest, now_ms, key, Encoder(self._items(heads), key))
        peer.serving = (told.exchange, made[3], made[2], first)
        return [Send(peer.kid, encode(Symbols(told.exchange, made[2], 0, made[3].symbols(0, first))))]

    def on_more(self, peer: Peer, told: More) -> list[Effect]:
        """Send as many symbols again, or all heads once that is shorter."""
        serving = peer.serving
        if serving is None or told.exchange != serving[0] or told.start not in {0, serving[3]}:
            self._peers.counters["more_unasked"] += 1
            return []
        exchange, encoder, key, sent = serving
        heads = self._view.signed_heads()
        stop = min(2 * sent, MAX_SYMBOLS)
        if told.start == 0 or stop == sent or (stop - sent) * SYMBOL_BYTES >= len(heads) * ITEM_BYTES:
            peer.serving = None
            return _listed(peer, exchange, self._items(sorted(heads)), since_base=False)
        peer.serving = (exchange, encoder, key, stop)
        return [Send(peer.kid, encode(Symbols(exchange, key, sent, encoder.symbols(sent, stop))))]

    def _items(self, feeds: Iterable[bytes]) -> list[bytes]:
        heads = self._view.signed_heads()
        rows = ((feed, heads[feed]) for feed in feeds if feed in heads)
        return [feed + head.size.to_bytes(8, "big") + head.root for feed, head in rows]

    def _changed_since(self, changes: int) -> dict[bytes, int] | None:
        """Return the feeds that changed since, with their sizes then; None when the log does not reach back."""
        count = self._changes - changes
        if count > len(self._log):
            return None
        before: dict[bytes, int] = {}
        for at in range(len(self._log) - count, len(self._log)):
            feed, size = self._log[at]
            before.setdefault(feed, size)
        return before

    def _tell_fresh(self, peer: Peer) -> list[Effect]:
        """Tell the heads that changed since we last told this peer."""
        told = self._told.get(peer.kid) or 0
        self._told.set(peer.kid, self._beats)
        feeds: list[bytes] = []
        for feed, beat in reversed(self._fresh.items()):
            if beat <= told or len(feeds) >= FRESH_MAX:
                break
            feeds.append(feed)
        return tell(peer, self._view, feeds)

    # Asking

    def on_same(self, peer: Peer, told: Same) -> list[Effect]:
        """We are equal: remember it, and tell the heartbeats."""
        exchange = self._open(peer, told.exchange)
        if exchange is None:
            return []
        peer.exchange = None
        self._bases.set(peer.kid, (exchange.said.digest, exchange.changes))
        return self._tell_fresh(peer)

    def on_symbols(self, peer: Peer, told: Symbols, now_ms: int) -> list[Effect]:
        """Take symbols; come to the difference, or ask for more."""
        exchange = self._open(peer, told.exchange)
        if exchange is None:
            return []
        if told.start == 0 and exchange.decoder is None:
            exchange.decoder = Decoder(self._items(self._view.signed_heads()), told.key)
        if exchange.decoder is None or told.start != exchange.symbols:
            return self._unfit(peer)
        try:
            decoded = exchange.decoder.add(told.symbols)
        except RemoteError as error:
            self._peers.counters[error.code] += 1
            exchange.symbols = -1  # no symbols any more
            return [Send(peer.kid, encode(More(exchange.number, 0)))]
        exchange.symbols += len(told.symbols) // SYMBOL_BYTES
        if not decoded:
            start = exchange.symbols if exchange.symbols < MAX_SYMBOLS else 0
            return [Send(peer.kid, encode(More(exchange.number, start)))]
        difference = exchange.decoder.result()
        theirs = _heads(difference.only_theirs)
        lacking = {item[:32]: 0 for item in difference.only_mine if item[:32] not in theirs}
        return self._settle(peer, theirs, lacking, now_ms)

    def on_listed(self, peer: Peer, told: Listed, now_ms: int) -> list[Effect]:
        """Take a page of the peer's heads; after the last, come to the difference."""
        exchange = self._open(peer, told.exchange)
        if exchange is None:
            return []
        if told.page != exchange.pages or len(exchange.items) * ITEMS_MAX >= FEEDS_MAX:
            return self._unfit(peer)
        exchange.pages += 1
        exchange.items.append(told.items)
        if not told.last:
            return []
        items = b"".join(exchange.items)
        theirs = _heads(items[at : at + ITEM_BYTES] for at in range(0, len(items), ITEM_BYTES))
        if not told.since_base:
            lacking = {feed: 0 for feed in self._view.signed_heads() if feed not in theirs}
            return self._settle(peer, theirs, lacking, now_ms)
        base = self._bases.pop(peer.kid)
        ours = self._changed_since(base[1]) if base and base[0] == exchange.said.base else None
        if ours is None:
            return self._unfit(peer)
        lacking = {feed: size for feed, size in ours.items() if feed not in theirs}
        return self._settle(peer, theirs, lacking, now_ms)

    def _settle(
        self, peer: Peer, theirs: Mapping[bytes, tuple[int, bytes]], lacking: Mapping[bytes, int], now_ms: int
    ) -> list[Effect]:
        """Ask for what we lack and send what the peer lacks. `lacking`: feeds of ours, and how much it has of them."""
        peer.exchange = None
        wants: dict[bytes, int] = {}
        heads: list[tuple[bytes, int]] = []
        pushes = dict(lacking)
        for feed, (size, root) in sorted(theirs.items()):
            if self._branches.is_told(feed, size, root):
                continue
            if not self._view.accepts(feed):
                peer.deferred.set(feed, size)
                continue
            ours, held = self._view.signed_head(feed), self._view.size(feed)
            if ours is not None and (ours.size, ours.root) == (size, root):
                continue
            if size > held:
                wants[feed] = size
            elif ours is not None and size < ours.size:
                pushes[feed] = size
            else:
                heads.append((feed, size))  # the same size with another root, or leaves whose head we lack
        effects = self._transfer.want(peer, wants, now_ms, heads)
        return effects + self._transfer.push(peer, dict(sorted(pushes.items())), now_ms)

    def _open(self, peer: Peer, number: int) -> Exchange | None:
        exchange = peer.exchange
        if exchange is None or exchange.number != number:
            self._peers.counters["answer_unasked"] += 1
            return None
        return exchange

    def _unfit(self, peer: Peer) -> list[Effect]:
        """Give up an exchange whose answers do not fit each other; the next one starts afresh."""
        peer.exchange = None
        self._peers.counters["answer_unfit"] += 1
        return []


def _is_open(peer: Peer, now_ms: int) -> bool:
    return peer.exchange is not None and 0 <= now_ms - peer.exchange.started_ms < OPEN_MS


def _listed(peer: Peer, exchange: int, items: list[bytes], *, since_base: bool) -> list[Effect]:
    pages = [items[at : at + ITEMS_MAX] for at in range(0, len(items), ITEMS_MAX)] or [[]]
    return [
        Send(peer.kid, encode(Listed(exchange, page, page == len(pages) - 1, since_base, b"".join(rows))))
        for page, rows in enumerate(pages)
    ]


def _heads(items: Iterable[bytes]) -> dict[bytes, tuple[int, bytes]]:
    """Read items into feed -> (size, root); of a feed named twice the larger head counts."""
    heads: dict[bytes, tuple[int, bytes]] = {}
    for item in items:
        feed, head = item[:32], (int.from_bytes(item[32:40], "big"), item[40:])
        heads[feed] = max(head, heads.get(feed, head))
    return heads
