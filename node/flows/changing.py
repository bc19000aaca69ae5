"""Notices when a consent begins or ends, and when data arrive: what web-hooks and `changes list` tell.

How it works
    After entries, contents or packs came in, the consents they concern are looked at: where one stands otherwise than
    was told last, that becomes a numbered change, in the same transaction. Consents are looked at only where their
    content is known here. What has ended stays ended. `expire` is called when the end of one has come.

    | kind | when |
    |---|---|
    | consent.began | registered, complete, and its content is here |
    | consent.changed | it, or a consent that it rests on, was narrowed, and it ends at another time |
    | consent.ended | withdrawn, revoked or expired; or one that it rests on was (PARENT_ENDED) |
    | data.arrived | a transfer to us is complete |

What it does not do
    It sends nothing, reads no clock but the turn's, and tells nothing personal: ids, states, reasons.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ledger.entry import Entry
from node.flows.disclosing import ended_grant
from node.flows.passing import descendants
from node.flows.standing import ACTIVE, ENDS, standing_of
from node.vaults.changes import Change, ChangeRows
from node.vaults.consents import GRANT, ConsentRows
from node.vaults.transfers import DONE, IncomingRows

if TYPE_CHECKING:
    from node.core import Turn

BEGAN: Final = "consent.began"
CHANGED: Final = "consent.changed"
ENDED: Final = "consent.ended"
ARRIVED: Final = "data.arrived"
KINDS: Final = (BEGAN, CHANGED, ENDED, ARRIVED)
"""The kinds of changes."""
NOTE: Final = "CHANGED"
"""Code of the note that says: there is a new change."""
EXPIRE_BATCH: Final = 256
_ID_BYTES: Final = 16
_ABOVE: Final = frozenset({"consent.withdraw", "consent.revoke", "consent.amend"})
"""What may end the consents that rest on the one it is about, too."""
_SILENT: Final = frozenset({"consent.request", "consent.refuse", "consent.acknowledge", "consent.remind"})


class Changing:
    """See the module. One for each mesh."""

    def __init__(self, rows: ChangeRows, consents: ConsentRows, incoming: IncomingRows) -> None:
        self.rows, self._consents, self._incoming = rows, consents, incoming

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """New entries took effect."""
        for entry in entries:
            grant = _grant_of(entry)
            if grant is not None:
                self.look(turn, grant)
                for child in descendants(turn, grant) if entry.kind in _ABOVE else ():
                    self.look(turn, child.id)

    def look(self, turn: Turn, grant: bytes) -> None:
        """Tell how a consent stands, if that is new."""
        row = self._consents.get(turn.vault, grant) if self._consents.holds(turn.vault, grant) else None
        status = turn.core.replica.consent(turn.rows, grant) if row is not None and row.kind == GRANT else None
        if status is None:
            return
        state, until = standing_of(turn, status)
        told = self.rows.told(turn.vault, grant)
        if told == (state, until) or (told is not None and told[0] in ENDS):
            return
        if state == ACTIVE:
            kind = BEGAN if told is None else CHANGED
        elif state in ENDS and told is not None:
            kind = ENDED
        elif state in ENDS:  # it had ended before we knew what it says: nobody was told that it began
            self.rows.tell(turn.vault, grant, state, until, expires=False)
            return
        else:
            return
        self.rows.tell(turn.vault, grant, state, until, expires=state == ACTIVE)
        reason = "" if state == ACTIVE else state.upper()
        parties = tuple(party[0] for party in (status.holder, status.recipient) if party is not None)
        self._add(turn, (kind, grant, state, reason, b"", parties), until if kind == CHANGED else 0)

    def arrived(self, turn: Turn, transfer: bytes) -> None:
        """Tell that a transfer is complete, if it is."""
        row = self._incoming.get(turn.vault, transfer)
        if row is not None and row.state == DONE and row.grant is not None:
            parties = (row.wanted.holder[0], row.wanted.recipient[0])
            self._add(turn, (ARRIVED, row.grant, DONE, "", transfer, parties))

    def expire(self, turn: Turn) -> None:
        """Tell of the consents whose end has come."""
        for until, grant in self.rows.expiring(turn.vault, EXPIRE_BATCH):
            if until <= turn.now:
                self.look(turn, grant)
                self.rows.looked_at(turn.vault, until, grant)  # of one whose content was erased, nothing is told

    def next_end(self, turn: Turn) -> int | None:
        """Return when the next consent expires, unix seconds; None: no active one is known."""
        found = self.rows.expiring(turn.vault, 1)
        return found[0][0] if found else None

    def _add(self, turn: Turn, what: tuple[str, bytes, str, str, bytes, tuple[bytes, ...]], more: int = 0) -> None:
        kind, grant, state, reason, transfer, parties = what
        name = b"\x00".join((kind.encode(), grant, state.encode(), transfer, str(more).encode()))
        identity = hashlib.sha256(name).digest()[:_ID_BYTES]
        change = Change(0, identity, kind, turn.now, grant, state, reason, transfer, parties)
        added = self.rows.add(turn.vault, change)
        if added is not None:
            turn.note(NOTE, kind=kind, number=added.number)


def _grant_of(entry: Entry) -> bytes | None:
    """Return the consent that an entry may have changed."""
    if entry.kind == "consent.grant":
        return entry.id
    if entry.kind in ("consent.withdraw", "consent.revoke"):
        return ended_grant(entry)
    if entry.kind.startswith("consent.") and entry.kind not in _SILENT:
        grant = entry.payload.get("grant")
        return grant if isinstance(grant, bytes) and len(grant) == hashlib.sha256().digest_size else None
    return None
