"""What a node does when a feed shows two faces: it makes the proof and registers it, once (ledger.md §4).

How it works
    The replica notices a contradiction (`ForkSeen`), or gossip has fetched the leaf hashes of another branch
    (`ForkCandidate`). Either way a payload is built and checked as everybody else will check it, and stated as a
    `fork.proof` in our own feed, unless a proof that holds the feed as low is known already. A device that is held can
    sign ever smaller sizes, each a proof of its own: of these the lowest is stated, now and then. Where a contradiction
    needs the other branch's leaves, gossip is told of the refusal and asks for them. A branch that a seal overrules is
    given up, and what restricts consents beyond a fork is told again, for no fork may hide it.

What it does not do
    It accuses nobody without both signatures, and never itself: a device that forked needs a successor.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from gossip.events import ForkCandidate
from ledger import branch, fork, tree, witnessing
from ledger.consent.kinds import CONSENT_KINDS
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.governance.roster import UNBOUNDED
from ledger.kinds import KINDS
from ledger.replica import ForkSeen, regression_payload
from ledger.schema import Signer

if TYPE_CHECKING:
    from node.core import Turn

RESTRICTING: Final = frozenset(
    kind for kind, row in KINDS.items() if row.restrictive and row.signer is not Signer.DEVICE
)
"""Kinds that count wherever they are found, must be found everywhere, and may stand in any feed."""
PERSONAL: Final = frozenset(kind for kind, row in CONSENT_KINDS.items() if row.signer in (Signer.SUBJECT, Signer.NAMED))
"""Kinds that a person signs, or a group of persons."""
TIMER_RESCUE: Final = "rescue"
RESCUE_MS: Final = 2_000
"""How long each further node waits before it looks for them beyond a fork."""
RESCUE_LEAVES: Final = 1_024
"""Leaves beyond forks that one turn looks at."""
PROOF_SECONDS: Final = 60
"""A smaller size of a feed that is held already is stated no more often than this."""
AGAIN_SECONDS: Final = 60
"""A branch is given up no more often than this while the sealed one is not there."""


def seen(turn: Turn, found: ForkSeen) -> None:
    """Prove a contradiction that needs no leaves (a smaller size signed later); note it where no fork is proven yet."""
    core, replica, feed = turn.core, turn.core.replica, found.feed
    if feed not in replica.members.forks:
        turn.note("FEED_FORKED", feed=feed.hex())
    payload = regression_payload(replica, found)
    if payload is not None and fork.hold_of(payload) < _held(turn, feed):
        core.lower[feed] = payload
        _state_lower(turn)


def _held(turn: Turn, feed: bytes) -> int:
    """Return where proofs hold a feed, those that wait included; 0 where all that is left is sealed."""
    core, replica = turn.core, turn.core.replica
    hold = min(
        replica.members.forks.get(feed, UNBOUNDED),
        fork.hold_of(core.lower[feed]) if feed in core.lower else UNBOUNDED,
    )
    return hold if hold > replica.chain.newest.floor(feed) else 0


def _state_lower(turn: Turn) -> None:
    """State the proofs that wait: of a feed that none is known of at once, else one in a while."""
    core, replica = turn.core, turn.core.replica
    for feed, payload in list(core.lower.items()):
        if feed not in replica.members.forks or turn.now >= core.proven.get(feed, 0) + PROOF_SECONDS:
            del core.lower[feed]
            core.proven[feed] = turn.now
            _register(turn, fork.check(payload, replica.mesh_id), payload)


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

    What persons say in them, what is said of consents and what restricts is registered in our feed, or it might be
    nowhere any more.
    """
    core = turn.core
    _state_lower(turn)
    _plan_rescue(turn)
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
            if entry.kind.startswith("consent.") or entry.kind in PERSONAL | RESTRICTING:
                _save(turn, entry)


def _plan_rescue(turn: Turn) -> None:
    """See to it that what restricts consents beyond a fork is registered again: others may hold the other branch.

    One node after another looks, so that the first registers and the others find it done.
    """
    core, replica = turn.core, turn.core.replica
    core.rescued = {feed: done for feed, done in core.rescued.items() if feed in replica.members.forks}
    for feed, hold in replica.members.forks.items():
        if replica.size(feed) <= max(hold, core.rescued.get(feed, 0)):
            continue
        devices = sorted((sha256(feed + kid).digest(), kid) for kid in replica.members.devices)
        place = next((rank for rank, (_, kid) in enumerate(devices) if kid == core.device.kid), None)
        if place is not None and not core.rescuing and core.device.kid not in replica.members.forks:
            core.rescuing = True
            turn.timer(TIMER_RESCUE, turn.now_ms + (1 + place) * RESCUE_MS)


def rescue(turn: Turn) -> None:
    """Register again what restricts consents beyond forks, where no other feed tells it (governance.md §4)."""
    core, replica = turn.core, turn.core.replica
    core.rescuing = False
    room = RESCUE_LEAVES
    for feed, hold in replica.members.forks.items():
        start = max(hold, core.rescued.get(feed, 0))
        stop = min(replica.size(feed), start + room)
        for index in range(start, stop):
            leaf = replica.leaf(turn.rows, feed, index)
            entry = None if leaf.void else Entry.kept(leaf.raw, leaf.entry_id)
            if entry is not None and entry.kind in RESTRICTING and not _stands(turn, entry):
                _save(turn, entry)
        room -= max(0, stop - start)
        core.rescued[feed] = max(stop, start)
    _plan_rescue(turn)


def _stands(turn: Turn, entry: Entry) -> bool:
    """Say whether an entry is registered where no fork hides it."""
    replica = turn.core.replica
    places = ((replica.feed_of(number), index) for number, index in replica.places(turn.rows, entry.id))
    return any(feed not in replica.members.forks or index < replica.members.forks[feed] for feed, index in places)


def _save(turn: Turn, entry: Entry) -> None:
    """Register an entry of a person or a tenant in our feed."""
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
