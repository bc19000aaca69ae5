"""Time brackets: between which times an entry must have been made (ledger.md §7).

How it works
    The lower bound of an entry is the smaller of its `iat` and the time of each head that it names as seen. A
    cosignature proves that a head existed by a time, not since: the earliest one known counts. Where the bundle does
    not carry the head's checkpoint, a quorum's frontier helps: a feed that was still shorter there reached the head
    only after that boundary.
    The upper bound is the earliest time by which enough of the auditor's witnesses, or a time stamp that she trusts,
    covered the entry: by a tick whose frontier holds the checkpoint above it, or by cosigning that checkpoint.

What it does not do
    It judges no time stamp (stamps).
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.checkpoint import Head
from ledger.entry import Entry
from proofs.evidence import Evidence
from proofs.policy import LogPolicy, Policy, Witness, earliest
from proofs.state import TickEvidence

Stamped = Mapping[tuple[int, int], int]
"""(what, number) of a `bundle.Stamp` that the auditor accepts -> unix seconds."""


def counted(policy: Policy, tick: TickEvidence) -> frozenset[Witness]:
    """Return who may count: listed keys speak for themselves, mere members must descend from genesis or epochs."""
    return tick.witnesses if isinstance(policy, LogPolicy) else tick.rooted


def not_before(evidence: Evidence, entry: Entry) -> int:
    """Return the time before which an entry cannot have been made, as far as the bundle shows; 0 for unknown."""
    return min(entry.iat, *(_published(evidence, head) for head in entry.seen))


def _published(evidence: Evidence, head: Head) -> int:
    item = evidence.published.get(head)
    if item is not None:
        return min(item.time, *(each.time for each in item.cosigned), item.time)
    shorter = [tick.boundary for tick in evidence.ticks if _size(tick, head.feed) < head.size]
    return shorter[-1] + 1 if shorter else 0


def _size(tick: TickEvidence, feed: bytes) -> int:
    head = tick.frontier.get(feed)
    return head.size if head is not None else 0


def not_after(evidence: Evidence, at: int, policy: Policy, stamped: Stamped) -> int | None:
    """Return the time by which entry `at` is shown to have existed, to this auditor; None for never."""
    number = evidence.bundle.entries[at].checkpoint
    head = evidence.bundle.checkpoints[number].head
    times = [stamped.get((2, at)), stamped.get((1, number))]
    if head not in evidence.reached:
        evidence.reached[head] = _reached(evidence, head, policy)
    times.append(evidence.reached[head])
    times += [stamped.get((0, nth)) for nth, tick in enumerate(evidence.ticks) if tick.holds(head)]
    return min((time for time in times if time is not None), default=None)


def _reached(evidence: Evidence, head: Head, policy: Policy) -> int | None:
    """Return by when the quorum attested a tick that holds a head, or cosigned it; None for never."""
    listed, mesh_id = isinstance(policy, LogPolicy), evidence.genesis.mesh_id
    cosigners = frozenset(witness for witness, rooted in evidence.cosigners(head) if rooted or listed)
    times = [earliest(policy, cosigners, mesh_id)]
    for tick in evidence.ticks:
        if tick.holds(head):
            if tick.boundary not in evidence.reached:
                evidence.reached[tick.boundary] = earliest(policy, counted(policy, tick), mesh_id)
            times.append(evidence.reached[tick.boundary])
    return min((time for time in times if time is not None), default=None)
