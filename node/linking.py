"""Links accepted by themselves: by a node's own rule, from members who stand by a charter or are on a list (R41).

How it works
    `[links]` of config.toml says whose offers are accepted without asking anybody: of members who accepted one exact
    version of a charter, in their application or by adopting it since, and of those whose keys are listed. Where both
    are given, both must hold. After news of offers or adoptions, each offer to us on which we have said nothing yet
    is held against the rule, and accepted with an entry of our own, as `link accept` does.

What it does not do
    It refuses nothing: other offers wait for the operator. It never answers where this node has had a word before:
    who was severed or refused is not let in again by a rule. It judges no conduct, only what members have signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ledger.documents.shelf import Shelf
from ledger.entry import Entry
from ledger.governance.members import Party, edge, link_id
from ledger.keys import public_from_did_key, thumbprint
from node.tables import Links

if TYPE_CHECKING:
    from node.core import Turn

TIMER: Final = "data:links"
NEWS: Final = frozenset({"link.offer", "document.adopt", "member.apply", "member.repair"})
"""Kinds of entries after which offers are looked at."""
_WORDS: Final = ("link.offer", "link.accept", "link.refuse", "link.sever")
_APPLIES: Final = ("member.apply", "member.repair")


class Linking:
    """See the module. One for each mesh."""

    def __init__(self, rule: Links | None = None) -> None:
        rule = rule or Links()
        self._charter = bytes.fromhex(rule.charter)
        self._listed = frozenset(thumbprint(public_from_did_key(did)) for did in rule.members)

    @property
    def by_itself(self) -> bool:
        """Whether any offer is accepted without asking."""
        return bool(self._charter or self._listed)

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """Ask for a look once the turn is over, if something came that may matter."""
        if self.by_itself and any(entry.kind in NEWS for entry in entries):
            turn.timer(TIMER, turn.now_ms)

    def look(self, turn: Turn) -> list[Party]:
        """Accept the offers that the rule allows; return from whom they were."""
        members, own = turn.core.replica.members, turn.core.party
        if not self.by_itself or not members.is_member(own):
            return []
        offered = [
            (set(ends) - {own}).pop() for ends, state in members.links.items() if state == "offered" and own in ends
        ]
        found = [other for other in offered if self._may(turn, other) and not _answered(turn, own, other)]
        for other in found:
            payload = {"from": list(own), "to": list(other)}
            turn.state("link.accept", ("link", link_id(own, other)), payload)
            turn.note("LINK_ACCEPTED", member=other[0].hex())
        return found

    def _may(self, turn: Turn, other: Party) -> bool:
        if not turn.core.replica.members.is_member(other) or (self._listed and other[0] not in self._listed):
            return False
        return not self._charter or accepts(turn, other, self._charter)


def _answered(turn: Turn, own: Party, other: Party) -> bool:
    """Say whether this node has said anything of a link before."""
    replica, thing = turn.core.replica, ("link", link_id(*edge(own, other)))
    said = (r for r in replica.registrations if r.entry.kind in _WORDS and r.entry.thing == thing)
    return any(replica.members.party_of(r.entry.kid) == own for r in said)


def accepts(turn: Turn, party: Party, version: bytes) -> bool:
    """Say whether a member accepted a version of a charter: in its application, or by an adoption that counts."""
    replica = turn.core.replica
    for registration in replica.registrations:
        entry = registration.entry
        own = entry.kind in _APPLIES and (entry.kid, entry.payload["incarnation"]) == party
        if own and entry.payload.get("charter") == version:
            return True
    shelf = Shelf.of(replica, turn.rows)
    return any(
        one.version == version and not one.counts and replica.members.party_of(one.registration.feed) == party
        for opened in shelf.all()
        for one in shelf.adoptions(shelf.history(opened.ident))
    )
