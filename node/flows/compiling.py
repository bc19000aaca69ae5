"""Consents as the gate takes them: compiled once from the ledger and the vault, brought up to date at every look.

How it works
    `candidate` gives a consent with all that it rests on. What was compiled is kept, bounded: content, bounds and the
    shape of the chain. What may change is looked up each time and compared: the status of the grant, and what the
    ledger says of each link. So a revocation three links up is seen by the next look, whoever forgot to say so.

    Compiled anew is what was compiled without something: an amendment that the ledger knows and the content has not
    taken in; and what `forget` names, or rests on it, when content came or was erased, or an entry came that a chain
    had been looking for.

What it does not do
    It decides nothing (door, gate).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ledger.consent.chain import Chain, Source, chain, delegation_stands, opened, parent_stands
from ledger.consent.disclosure import Disclosures, open_sealed
from ledger.consent.reasons import Reason
from ledger.consent.resting import RESTS, prepare
from ledger.consent.scope import Candidate, Link, Rest, Standing
from ledger.consent.status import Status, handing
from ledger.entry import Entry
from ledger.index import facts_of
from node.vaults.consents import ConsentRow, ConsentRows

if TYPE_CHECKING:
    from node.core import Turn

RESTED_ON: Final = "rested on"
"""Kind of the rows that hold the content of delegations, amendments and calls."""
TAKEN: Final = ("delegation.give", "consent.amend", "group.call")
"""Kinds of entries whose content is taken in here."""
CACHE_MAX: Final = 20_000
"""Compiled consents kept in memory; about 1 kB each."""


class Compiling:
    """See the module. One for each mesh; `rows`: the vault's disclosures."""

    def __init__(self, rows: ConsentRows) -> None:
        self._rows = rows
        self._cache: dict[bytes, Candidate] = {}
        self.call_stands: Callable[[Turn, Link], Standing | None] = lambda _turn, _link: None
        """What the ledger says of a group's call; nothing denies."""
        self._under: dict[bytes, set[bytes]] = {}  # entry that was looked for -> grants compiled with it, or without

    def forget(self, ident: bytes) -> None:
        """Drop what was compiled of a grant, or with any other entry, or without it when it was looked for."""
        for grant in {ident, *self._under.pop(ident, ())}:
            self._cache.pop(grant, None)

    def under(self, ident: bytes) -> set[bytes]:
        """Return the grants that were compiled with an entry, or without it when it was looked for."""
        return set(self._under.get(ident, ()))

    def take(self, turn: Turn, entry: Entry, blob: bytes) -> None:
        """Open and keep the content of what consents rest on, or are narrowed by. Raises RemoteError as open_sealed."""
        if not self._rows.holds(turn.vault, entry.id):
            found = open_sealed(blob, entry, turn.core.device)
            self._rows.put(turn.vault, ConsentRow(entry.id, RESTED_ON, "", turn.now, found), turn.core.party, None)
            self.forget(entry.id)

    def candidate(self, turn: Turn, grant: bytes) -> Candidate | None:
        """Return a consent as it stands now, or None while the ledger here does not hold it."""
        candidate = self._cache.get(grant)
        status = turn.core.replica.consent(turn.rows, grant)
        if candidate is None or (status is not None and not candidate.amended.issuperset(status.amended)):
            candidate = self._compiled(turn, grant, status)
            if candidate is None:
                return None
        now = candidate.as_of(status, lambda link: self._stands(turn, link))
        if any(link.standing is not None and link.standing.fault is Reason.PARENT_HIDDEN for link in _links(now)):
            anew = self._compiled(turn, grant, status)  # a parent was narrowed since
            if anew is not None:
                now = anew.as_of(status, lambda link: self._stands(turn, link))
        self._keep(grant, now)
        return now

    def _keep(self, grant: bytes, candidate: Candidate) -> None:
        if grant not in self._cache and len(self._cache) >= CACHE_MAX:
            del self._cache[next(iter(self._cache))]
        self._cache[grant] = candidate

    def _compiled(self, turn: Turn, grant: bytes, status: Status | None) -> Candidate | None:
        entry = turn.core.replica.grant(turn.rows, grant)
        if entry is None:
            return None
        told = self._content(turn, grant)
        amendments = []
        for ident in status.amended if status is not None else ():
            self._note(ident, grant)
            amendment = turn.core.replica.entry(turn.rows, ident)
            if amendment is not None:
                amendments.append((amendment, self._content(turn, ident)))
        rests = self._rests(turn, entry, told) if any(name in entry.payload for name in RESTS) else None
        return prepare(entry, status, told, amendments=amendments, rests=rests)

    def _rests(self, turn: Turn, grant: Entry, told: Disclosures | None) -> Chain | Reason:
        terms = opened(grant, told)
        if isinstance(terms, Reason):
            return Reason.CHAINED  # its own content is missing: that is said first
        return chain(grant, terms, self.source(turn, grant.id))

    def source(self, turn: Turn, grant: bytes) -> Source:
        """Return where the chain of a grant is found: ledger and vault. What is looked for is remembered."""
        replica = turn.core.replica

        def entry(ident: bytes) -> Entry | None:
            self._note(ident, grant)
            return replica.entry(turn.rows, ident) or replica.grant(turn.rows, ident)

        def amended(ident: bytes) -> tuple[bytes, ...]:
            status = replica.consent(turn.rows, ident)
            return status.amended if status is not None else ()

        def keys(ident: bytes) -> tuple[bytes, ...]:
            first, facts = replica.grant(turn.rows, ident), facts_of(turn.rows, ident, replica.by_number, replica.size)
            return () if first is None else handing(first.kid, facts, replica.members.reach).keys

        return Source(entry, lambda ident: self._content(turn, ident), amended, replica.members.party_of, keys)

    def _content(self, turn: Turn, ident: bytes) -> Disclosures | None:
        row = self._rows.get(turn.vault, ident)
        return row.disclosures if row is not None else None

    def _note(self, ident: bytes, grant: bytes) -> None:
        if ident not in self._under and len(self._under) >= CACHE_MAX:
            for dropped in self._under.pop(next(iter(self._under))):
                self._cache.pop(dropped, None)
        self._under.setdefault(ident, set()).add(grant)

    def _stands(self, turn: Turn, link: Link) -> Standing | None:
        replica = turn.core.replica
        match link.kind:
            case Rest.DELEGATION:
                return delegation_stands(link, replica.delegations.now(replica, turn.rows, link.entry))
            case Rest.PARENT:
                return parent_stands(link, replica.consent(turn.rows, link.entry))
            case Rest.CALL:
                return self.call_stands(turn, link)


def _links(candidate: Candidate) -> tuple[Link, ...]:
    return () if isinstance(candidate.links, Reason) else candidate.links
