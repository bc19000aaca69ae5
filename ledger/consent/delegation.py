"""What the ledger says of one delegation: a pure function of the entries that name it.

How it works
    `resolve` takes the delegation, every entry that names it with its places, and how far each feed counts. Rule C9:
      it stands once it is registered, sound and with its `seen` held, within the reach of a feed;
      a revocation counts wherever it is found. It carries what shows that its signer may end it: a key of this link or
      of one above, or the delegate's (standing), and is not sound otherwise;
      of its evidence each party has a newest word, as of a consent (C8), of which the WORDS_MAX oldest count.
    Any member may say a word on any piece of evidence, so that no bound on one entry bounds how many there are; a value
    of a committed map, and so a proof, has room for that many. Words dated earlier go first, lest others that come
    later push out the holder's. One that is left out can only deny: what must have been found good then has not been.
    A link above that is revoked ends what rests on it, but not this one's status: chains are put together where they
    are judged (chain, gate), so that one entry changes one status.

What it does not do
    It opens no bounds and reads no clock: `valid_until` is the gate's to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger import codec
from ledger.consent.kinds import EVIDENCE_STATES
from ledger.consent.status import DECIDED_MAX, Checked, Fact, Party, Place
from ledger.entry import Entry

WORDS_MAX: Final = 800
"""Words on a delegation's evidence that count: a value of a committed map has room for as many."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """What the ledger knows of one delegation. `live`: registered, and not revoked.

    `decided_by`: ids of the revocations (the `DECIDED_MAX` smallest), else of the delegation itself. `checked`: the
    newest word of each party on each piece of evidence, at most WORDS_MAX.
    """

    id: bytes
    live: bool
    valid_until: int
    decided_by: tuple[bytes, ...]
    checked: tuple[Checked, ...] = ()

    def committed(self) -> bytes:
        """Return the value that stands for this delegation in a committed map."""
        words = [[each.evidence, *each.party, EVIDENCE_STATES.index(each.state)] for each in self.checked]
        return codec.encode([int(self.live), self.valid_until, list(self.decided_by), words])


def resolve(
    give: Entry,
    facts: Iterable[Fact],
    reach: Callable[[bytes], int],
    party_of: Callable[[bytes], Party],
    counts: Callable[[Entry, Sequence[Place]], bool],
) -> Delegation | None:
    """Return what is known of a delegation, or None while it does not count and nothing ends it.

    `reach`, `party_of`, `counts`: as for `status.resolve`.
    """
    by_kind: dict[str, list[Fact]] = {}
    for fact in facts:
        by_kind.setdefault(fact.row.kind, []).append(fact)
    revoked = sorted({fact.row.entry_id for fact in by_kind.get("delegation.revoke", ())})
    registered = tuple(place for fact in by_kind.get("delegation.give", ()) for place in fact.places)
    if not revoked and not (registered and counts(give, registered)):
        return None
    words = [
        fact.row
        for fact in by_kind.get("consent.evidence", ())
        if any(index < reach(feed) for feed, index in fact.places)
    ]
    evidence = give.payload.get("evidence", ())
    newest: dict[tuple[bytes, Party], tuple[bytes, int]] = {}
    for row in words:
        named, party = row.about[8:40], party_of(row.kid)
        if named in evidence:
            word = (row.about[:8], row.about[40])
            newest[named, party] = max(word, newest.get((named, party), word))
    oldest = sorted(newest, key=lambda place: (newest[place][0], place))[:WORDS_MAX]
    checked = tuple(Checked(*place, EVIDENCE_STATES[newest[place][1]]) for place in sorted(oldest))
    decided = tuple(revoked[:DECIDED_MAX]) or (give.id,)
    return Delegation(give.id, not revoked, give.payload["valid_until"], decided, checked)
