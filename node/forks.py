"""What a node does when a feed shows two faces: it makes the proof and registers it, once (ledger.md §4).

How it works
    The replica notices a contradiction (`ForkSeen`), or gossip has fetched the leaf hashes of another branch
    (`ForkCandidate`). Either way a payload is built and checked as everybody else will check it, and stated as a
    `fork.proof` in our own feed, unless a proof that holds the feed as low is known already. Where a contradiction
    needs the other branch's leaves, gossip is told of the refusal and asks for them.

What it does not do
    It accuses nobody without both signatures, and never itself: a device that forked needs a successor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gossip.events import ForkCandidate
from ledger import fork, tree
from ledger.errors import LocalError, RemoteError
from ledger.replica import ForkSeen, regression_payload

if TYPE_CHECKING:
    from node.core import Turn


def seen(turn: Turn, found: ForkSeen) -> None:
    """Prove a contradiction that needs no leaves (a smaller size signed later); note it in any case."""
    turn.note("FEED_FORKED", feed=found.feed.hex())
    payload = regression_payload(turn.core.replica, found)
    if payload is not None:
        _register(turn, fork.check(payload, turn.core.replica.mesh_id), payload)


def candidate(turn: Turn, found: ForkCandidate) -> None:
    """Prove what gossip has found: the leaf hashes of another branch."""
    replica, feed = turn.core.replica, found.feed
    public, ours = replica.feed_key(feed), replica.signed_head(feed)
    if public is None or ours is None:
        return
    try:
        mine = tree.leaf_hashes(turn.rows, replica.number(feed), 0, ours.size)
        payload = fork.prove_branches(public, ours, mine, found.theirs, list(found.their_leaf_hashes))
        hold = fork.check(payload, replica.mesh_id)
    except (LocalError, RemoteError) as error:
        turn.note("FORK_NOT_PROVEN", feed=feed.hex(), reason=error.code)
        return
    _register(turn, hold, payload)


def _register(turn: Turn, hold: fork.Hold, payload: dict[str, Any]) -> None:
    feed, core = hold.feed, turn.core
    if feed == core.device.kid:
        turn.note("OWN_FEED_FORKED", feed=feed.hex())
        return
    if hold.size < core.replica.members.reach(feed) and core.replica.members.is_member(core.party):
        turn.state("fork.proof", ("feed", feed), payload)
