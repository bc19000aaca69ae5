"""Where the agreement on the next epoch stands, in words for the operator.

How it works
    `status` reads an instance and the ledger; nothing changes.

What it does not do
    It does not say who is at fault: a voter that is silent may be cut off, and so may we.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.governance.certificate import quorum
from node.saying import Pair
from node.sealable import Pace, Sealable, SealingStatus

if TYPE_CHECKING:
    from node.seal_instance import Instance

_REASONS: Final[dict[str, Pair]] = {
    "IDLE": ("Nothing waits to be sealed.", "Rien n’attend d’être scellé."),
    "PACE": (
        "Entries wait; the last seal is too recent.",
        "Des inscriptions attendent ; le dernier sceau est trop récent.",
    ),
    "DECIDED": (
        "The next epoch is certified; its certificate is on its way into the ledger.",
        "La prochaine époque est certifiée ; son certificat est en route vers le registre.",
    ),
    "RECORD_DAMAGED": (
        "The record of our part in sealing is damaged: we look on until the next epoch.",
        "Le relevé de notre part au scellement est abîmé : nous regardons jusqu’à la prochaine époque.",
    ),
    "LIST_MISSING": (
        "We lack the frontier list of the proposed seal; neighbours are asked for it.",
        "Il nous manque la liste de frontière du sceau proposé ; nous la demandons aux voisins.",
    ),
    "ENTRIES_MISSING": (
        "We lack entries that the proposed seal covers; they come by gossip.",
        "Il nous manque des inscriptions que couvre le sceau proposé ; elles arrivent par les pairs.",
    ),
    "DISAGREES": (
        "Our own ledger does not yield the proposed seal, or its time is not that of our clock.",
        "Notre propre registre ne donne pas le sceau proposé, ou son heure n’est pas celle de notre horloge.",
    ),
    "NO_QUORUM": (
        "{spoken} of {size} voters were heard in this round; {needed} must agree.",
        "{spoken} votants sur {size} ont été entendus à ce tour ; {needed} doivent être d’accord.",
    ),
    "SEALING": ("An agreement is under way.", "Un accord est en cours."),
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
        reason=_REASONS[code][0].format(spoken=len(spoken), size=context.size, needed=needed),
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


def in_french(code: str, *, spoken: int, size: int, needed: int) -> str:
    """Return the sentence of a code in French. `spoken`, `size`, `needed`: voters heard, all, and how many must agree.

    In English it is the `reason` of the status.
    """
    return _REASONS[code][1].format(spoken=spoken, size=size, needed=needed)
