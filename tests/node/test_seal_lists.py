"""Frontier lists: kept, asked for, and sent in parts; a false or unasked list helps nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gossip import events as gossip
from gossip.messages import Envelope
from gossip.seals import Ask, Part, decode
from ledger.checkpoint import Head
from ledger.governance.certificate import EpochContext
from ledger.governance.sealing import frontier_digest
from ledger.kinds import FRONTIER_HEADS_MAX
from node.core import Turn
from node.seal_lists import ASK_MS, ASKERS_MAX, HEADS_MAX, LISTS_MAX, Lists
from tests.node.sites import Site, key, sites

T = TypeVar("T")
CONTEXT = EpochContext.of(b"m" * 32, b"r" * 32, 4, 0, {b"v" * 32: key(1).public})


def heads(count: int, size: int = 1, first: int = 0) -> dict[bytes, Head]:
    """Return made-up heads of so many feeds."""
    feeds = (number.to_bytes(32, "big") for number in range(first, first + count))
    return {feed: Head(feed, size, feed[::-1]) for feed in feeds}


BASE = heads(3)


class Desk:
    """A site with its lists. `peers` answer by hand."""

    def __init__(self, site: Site, base: dict[bytes, Head] | None = None) -> None:
        self.site = site
        with site.store.read() as rows:
            self.lists = Lists(CONTEXT, BASE if base is None else base, rows)

    def act(self, work: Callable[[Turn, Lists], T]) -> T:
        """Do something with the lists in a turn."""
        return self.site.act(lambda turn: work(turn, self.lists))

    def sent(self, peer: bytes) -> list[object]:
        """Return what the last turn sent to a peer."""
        return [decode(Envelope.open(data)) for data in self.site.sent(peer)]


def desks(count: int) -> list[Desk]:
    return [Desk(site) for site in sites(count)]


def test_a_list_travels_as_its_difference_in_parts() -> None:
    one, two = desks(2)
    whole = {**BASE, **heads(1_500, size=7, first=2)}
    digest = one.act(lambda turn, lists: lists.add(turn, whole))
    assert digest == frontier_digest(whole.values())
    two.act(lambda turn, lists: lists.seek(turn, digest, [one.site.kid]))
    assert two.sent(one.site.kid) == [Ask(4, digest)]
    one.act(lambda turn, lists: lists.serve(turn, two.site.kid, digest))
    parts = [told for told in one.sent(two.site.kid) if isinstance(told, Part)]
    assert [len(part.heads) for part in parts] == [FRONTIER_HEADS_MAX, FRONTIER_HEADS_MAX, 100]
    told = [two.act(lambda turn, lists, part=part: lists.take(turn, one.site.kid, part)) for part in reversed(parts)]  # type: ignore[misc]
    assert told == [None, None, True]
    assert two.lists.frontier(digest) == whole
    again = Desk(two.site)  # after a restart
    assert again.lists.frontier(digest) == whole


def test_an_unchanged_frontier_is_one_empty_part() -> None:
    (one,) = desks(1)
    digest = one.act(lambda turn, lists: lists.add(turn, BASE))
    assert one.lists.delta(digest) == [()]
    assert one.lists.delta(b"x" * 32) is None


def test_parts_that_were_not_asked_for_are_dropped_and_false_lists_cost_their_sender_the_question() -> None:
    me, two, three = desks(3)
    digest = frontier_digest({**BASE, **heads(2, size=9)}.values())
    false = Part(4, digest, 0, 1, tuple(heads(2, size=8).values()))
    peers = [two.site.kid, three.site.kid]
    assert me.act(lambda turn, lists: lists.take(turn, peers[0], false)) is None
    me.act(lambda turn, lists: lists.seek(turn, digest, peers))
    assert me.sent(peers[0]) == [Ask(4, digest)]
    assert me.act(lambda turn, lists: lists.take(turn, peers[1], false)) is None
    assert me.act(lambda turn, lists: lists.take(turn, peers[0], false)) is False
    me.act(lambda turn, lists: lists.seek(turn, digest, peers))
    assert me.sent(peers[1]) == [Ask(4, digest)]
    me.site.now_ms += ASK_MS
    me.act(lambda turn, lists: lists.seek(turn, digest, peers))
    assert (me.sent(peers[0]), me.sent(peers[1])) == ([], [Ask(4, digest)])  # never again the one that lied
    true = Part(4, digest, 0, 1, tuple(heads(2, size=9).values()))
    assert me.act(lambda turn, lists: lists.take(turn, peers[1], true)) is True


def test_a_silent_peer_is_followed_by_another_and_one_that_answers_is_waited_for() -> None:
    me, *others = desks(3)
    peers = [other.site.kid for other in others]
    digest = b"d" * 32
    me.act(lambda turn, lists: lists.seek(turn, digest, peers))
    assert len(me.sent(peers[0])) == 1
    me.site.now_ms += ASK_MS - 1
    me.act(lambda turn, lists: lists.seek(turn, digest, peers))
    assert me.site.effects == []
    me.act(lambda turn, lists: lists.take(turn, peers[0], Part(4, digest, 0, 2, ())))
    me.site.now_ms += ASK_MS - 1
    me.act(lambda turn, lists: lists.seek(turn, digest, peers))
    assert me.site.effects == []  # something came a moment ago
    me.site.now_ms += 1
    me.act(lambda turn, lists: lists.seek(turn, digest, peers))
    assert len(me.sent(peers[1])) == 1
    me.act(lambda turn, lists: lists.seek(turn, digest, peers[:1]))  # the second is gone
    assert len(me.sent(peers[0])) == 1


def test_who_asks_too_early_is_answered_later_and_not_too_often() -> None:
    me, *others = desks(2)
    peer = others[0].site.kid
    whole = {**BASE, **heads(2, size=9)}
    digest = frontier_digest(whole.values())
    me.act(lambda turn, lists: lists.serve(turn, peer, digest))
    assert me.site.effects == []  # nobody needs it: nothing is kept for whoever asks
    me.act(lambda turn, lists: lists.seek(turn, digest, [peer]))
    me.act(lambda turn, lists: lists.serve(turn, peer, digest))
    me.act(lambda turn, lists: lists.add(turn, whole))
    assert len(me.sent(peer)) == 1
    me.act(lambda turn, lists: lists.serve(turn, peer, digest))
    assert me.site.effects == []
    me.site.now_ms += 1_000
    me.act(lambda turn, lists: lists.serve(turn, peer, digest))
    assert len(me.sent(peer)) == 1


def test_so_many_may_wait_for_a_list_and_no_more() -> None:
    (me,) = desks(1)
    whole = {**BASE, **heads(2, size=9)}
    digest = frontier_digest(whole.values())
    askers = [number.to_bytes(32, "big") for number in range(ASKERS_MAX + 5)]
    me.act(lambda turn, lists: lists.seek(turn, digest, askers[:1]))
    for asker in askers:
        me.act(lambda turn, lists, asker=asker: lists.serve(turn, asker, digest))  # type: ignore[misc]
    me.act(lambda turn, lists: lists.add(turn, whole))
    assert [bool(me.sent(asker)) for asker in askers] == [True] * ASKERS_MAX + [False] * 5


def test_old_lists_are_forgotten_unless_they_are_needed() -> None:
    (me,) = desks(1)
    digests = [
        me.act(lambda turn, lists, size=size: lists.add(turn, {**BASE, **heads(1, size=size)}))  # type: ignore[misc]
        for size in range(2, LISTS_MAX + 6)
    ]
    me.act(lambda turn, lists: lists.keep(turn, {digests[0]}))
    kept = [digest for digest in digests if me.lists.frontier(digest) is not None]
    assert kept == [digests[0], *digests[-LISTS_MAX:]]
    again = Desk(me.site)
    assert {digest for digest in digests if again.lists.frontier(digest) is not None} == set(kept)


def test_where_too_much_has_changed_each_round_covers_another_part() -> None:
    (me,) = desks(1)
    many = heads(HEADS_MAX + 5, size=2)
    first, second = (me.lists.fitting(many, round_) for round_ in (0, 1))
    for frontier in (first, second):
        assert sum(BASE.get(feed) != head for feed, head in frontier.items()) == HEADS_MAX
        assert BASE.keys() <= frontier.keys()
    assert first.keys() | second.keys() <= many.keys()
    assert me.lists.fitting(BASE, 0) == BASE


def test_a_peer_is_a_member_that_is_up() -> None:
    one, two = desks(2)
    one.site.tell(gossip.PeerUp(two.site.kid, False))
    assert one.act(lambda turn, _: turn.core.member_peers) == [two.site.kid]
