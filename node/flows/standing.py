"""How a consent stands, in a word, with all that it rests on: what lists, web-hooks and erasure tell.

How it works
    A consent given on the ground of another ends with it. `standing_of` goes up from a consent to the person's own and
    takes the earliest end of all; where one above was withdrawn or revoked, the word is `PARENT_ENDED`, as the gate
    says it.

What it does not do
    It permits nothing: the gate judges each transfer itself (ledger.consent.gate). What is not known here ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ledger.consent.kinds import PARENTS_MAX
from ledger.consent.status import State

if TYPE_CHECKING:
    from ledger.consent.status import Status
    from node.core import Turn

ACTIVE: Final = "active"
EXPIRED: Final = "expired"
PARENT_ENDED: Final = "parent_ended"
ENDS: Final = frozenset({EXPIRED, "withdrawn", "revoked", PARENT_ENDED})
"""Words for a consent that has ended; it stays so."""


_CONTESTED: Final = {
    "en": "Somebody handed this consent on twice, to different keys; perhaps an old key was stolen. Nobody hands it on "
    "any more, and it goes on as granted. Whoever ever had it may withdraw it, and it can be given anew.",
    "fr": "Quelqu’un a remis ce consentement deux fois, à des clés différentes ; une ancienne clé a peut-être été "
    "volée. Personne ne le remet plus, et il continue tel que donné. Qui l’a eu un jour peut le retirer ; on peut "
    "ensuite le redonner.",
}


def contested_in_words(status: Status | None, lang: str) -> str:
    """Return what it means that a consent was handed on twice, to different keys (C7); "" where it was not."""
    return _CONTESTED[lang] if status is not None and status.contested is not None else ""


def above(turn: Turn, grant: bytes) -> Iterator[Status]:
    """Yield how each consent stands that a grant rests on, the nearest first, as far as the ledger here tells."""
    replica = turn.core.replica
    for _ in range(PARENTS_MAX):
        entry = replica.grant(turn.rows, grant)
        parent = entry.payload.get("parent") if entry is not None else None
        status = replica.consent(turn.rows, parent) if parent is not None else None
        if status is None:
            return
        yield status
        grant = status.grant


def standing_of(turn: Turn, status: Status) -> tuple[str, int]:
    """Return how a consent stands, and when it ends by itself (unix seconds).

    The word is one of `ENDS`, or active, or incomplete.
    """
    parents = list(above(turn, status.grant))
    until = min([status.valid_until, *(parent.valid_until for parent in parents)])
    if status.state is not State.GRANTED:
        return status.state.name.lower(), until
    if any(parent.state in (State.WITHDRAWN, State.REVOKED) for parent in parents):
        return PARENT_ENDED, until
    return ACTIVE if turn.now < until else EXPIRED, until
