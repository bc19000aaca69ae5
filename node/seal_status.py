"""Where the agreement on the next epoch stands, in words for the operator.

How it works
    `status` reads an instance and the ledger; nothing changes.

What it does not do
    It does not say who is at fault: a voter that is silent may be cut off, and so may we.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.governance.certificate import EpochContext, quorum
from node.sealable import Pace, Sealable, SealingStatus

if TYPE_CHECKING:
    from node.seal_instance import Instance

_REASONS: Final = {
    "IDLE": "Nothing waits to be sealed.",
    "PACE": "Entries wait; the last seal is too recent.",
    "DECIDED": "The next epoch is certified; its certificate is on its way into the ledger.",
    "RECORD_DAMAGED": "The record of our part in sealing is damaged: we look on until the next epoch.",
    "LIST_MISSING": "We lack the frontier list of the proposed seal; neighbours are asked for it.",
    "ENTRIES_MISSING": "We lack entries that the proposed seal covers; they come by gossip.",
    "DISAGREES": "Our own ledger does not yield the proposed seal, or its time is not that of our clock.",
    "SEALING": "An agreement is under way.",
}


def status(ledger: Sealable, instance: Instance | None, pace: Pace, now: int, *, votes: bool) -> SealingStatus:
    """Return what this node knows of the agreement. `now`: unix seconds; `votes`: whether it is a voter."""
    context = ledger.epoch_context()
    if instance is not None and instance.context.reference != context.reference:
        instance = None
    waits = ledger.governance_waits()
    left, expelled = (tuple(gone) for gone in ledger.gone())
    needed = quorum(context.size, len(left), len(expelled))
    spoken = instance.spoken() if instance is not None else ()
    opened = instance is not None and instance.machine is not None
    code = _code(instance, len(spoken), needed) if instance is not None and opened else "PACE" if waits else "IDLE"
    at = pace.due_at(ledger, context.as_of)
    return SealingStatus(
        n=context.n,
        reference=context.reference,
        as_of=context.as_of,
        role="voter" if votes and not (instance is not None and instance.damaged) else "onlooker",
        open=opened,
        round=instance.round if instance is not None else 0,
        step=instance.step.name.lower() if instance is not None else "propose",
        proposer=context.voters[context.proposer(instance.round)][0] if instance is not None and opened else None,
        spoken=tuple(context.voters[place][0] for place in spoken),
        voters=context.size,
        needed=needed,
        waits=waits,
        next_at=max(at, now),
        code=code,
        reason=_sentence(code, context, spoken=len(spoken), needed=needed),
    )


def _code(instance: Instance, spoken: int, needed: int) -> str:
    obstacles = instance.obstacles
    if instance.decided is not None:
        return "DECIDED"
    if instance.damaged:
        return "RECORD_DAMAGED"
    if obstacles.missing_list is not None:
        return "LIST_MISSING"
    if obstacles.missing_entries:
        return "ENTRIES_MISSING"
    if obstacles.differs:
        return "DISAGREES"
    return "NO_QUORUM" if spoken < needed else "SEALING"


def _sentence(code: str, context: EpochContext, *, spoken: int, needed: int) -> str:
    if code == "NO_QUORUM":
        return f"{spoken} of {context.size} voters were heard in this round; {needed} must agree."
    return _REASONS[code]
