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

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from gossip.events import ForkCandidate
from ledger import branch, fork, tree, witnessing
from ledger.errors import LocalError, RemoteError
from ledger.kinds import KINDS, Signer
from ledger.replica import ForkSeen, regression_payload

if TYPE_CHECKING:
    from node.core import Turn

AGAIN_SECONDS: Final = 60
"""A branch is given up no more often than this while the sealed one is not there."""


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


def settle(turn: Turn) -> None:
    """Give up branches that a seal has overruled; gossip brings the sealed ones (ledger.branch).

    What persons have signed in them is registered in our feed, or it might be nowhere any more.
    """
    core = turn.core
    sealed = core.replica.announced(turn.rows)
    core.dropped = {feed: done for feed, done in core.dropped.items() if sealed.get(feed) == done[0]}
    for feed, (size, head) in branch.overruled(core.replica, turn.rows).items():
        before, at = core.dropped.get(feed, (None, 0))
        again = core.replica.size(feed) >= head.size or turn.now >= at + AGAIN_SECONDS
        if feed == core.device.kid or (before == head and not again):
            continue
        core.dropped[feed] = (head, turn.now)
        entries = core.replica.drop(turn.rows, feed, size)
        core.ticker.forget(turn.rows, feed, size)
        witnessing.forget(turn.rows, feed, size)
        turn.note("BRANCH_DROPPED", feed=feed.hex(), size=size, sealed=head.size, leaves=len(entries))
        for entry in entries:
            if entry.kind in KINDS and KINDS[entry.kind].signer is Signer.SUBJECT:
                with suppress(LocalError, RemoteError):  # it would be void in our feed, or is dated ahead
                    turn.register(entry)


def _register(turn: Turn, hold: fork.Hold, payload: dict[str, Any]) -> None:
    feed, core = hold.feed, turn.core
    if feed == core.device.kid:
        turn.note("OWN_FEED_FORKED", feed=feed.hex())
        return
    proofs = (r.entry for r in core.replica.registrations if r.entry.kind == "fork.proof")
    lower = any(proof.thing[1] == feed and fork.hold_of(proof.payload) <= hold.size for proof in proofs)
    if not lower and core.replica.members.is_member(core.party):
        turn.state("fork.proof", ("feed", feed), payload)
