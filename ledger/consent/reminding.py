"""Reminders of a request: which of them count, a pure function of the entries that name it (rule C11).

How it works
    A reminder counts from whoever asked, dated while the request was open, and only the `REMINDERS_MAX` oldest of them
    (by date, then by id). More of them have no effect on any node: nobody is pressed by whoever signs without end.

What it does not do
    It prompts nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ledger.consent.status import Party
from ledger.entry import Entry

REMINDERS_MAX: Final = 3
"""Reminders of one request that count."""


def reminders(request: Entry, said: Iterable[Entry], party_of: Callable[[bytes], Party]) -> tuple[bytes, ...]:
    """Return the ids of the reminders that count, the oldest first. `said`: entries that name the request."""
    asker, expires = party_of(request.kid), request.payload["expires"]
    found = {
        entry.id: entry
        for entry in said
        if entry.kind == "consent.remind"
        and entry.payload["request"] == request.id
        and party_of(entry.kid) == asker
        and request.iat <= entry.iat <= expires
    }
    oldest = sorted(found.values(), key=lambda entry: (entry.iat, entry.id))
    return tuple(entry.id for entry in oldest[:REMINDERS_MAX])
