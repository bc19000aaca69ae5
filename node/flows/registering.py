"""A person's withdrawals and refusals, registered by more members than the one she turned to (ledger.md §4).

How it works
    After a local one, so many other members are asked to register it in their feeds that half of the voters' feeds
    have it (the freshness of the gate bounds what half of them have), SPREAD_TO at least and SPREAD_MAX at most. So no
    single host can hide it. Only what stands in their feeds counts, not their word. Who has not done so after ANSWER_MS
    is not waited for: another is asked; who is away is asked when it comes. What a crash kept from our own ledger is
    registered here again before.

    A member that is asked checks the entry by its own bytes (a withdrawal carries its grant) and registers it in its
    own feed, once for each grant, and passes nothing on. A refusal to go along with a group's call is registered once
    for each person who joined the group, and the leaving of a consent once for each who had to sign it.

What it does not do
    It takes nothing that permits, and nothing that is not the person's own: those have other ways in.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ledger.consent.standing import carried_delegation, carried_grant
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import AHEAD_SECONDS_MAX
from ledger.groups import asking
from ledger.index import facts_of
from node.flows.wire import Register, Taken, encode
from node.vaults.deliveries import DeliveryRows, Spread

if TYPE_CHECKING:
    from node.core import Turn

SPREAD_TO: Final = 2
"""Other members at least that are asked to register a person's restrictive entry."""
SPREAD_MAX: Final = 15
"""And at most: with our own feed, half of those of 32 voters."""
ANSWER_MS: Final = 30_000
"""Whoever was asked and has not registered it for so long is not waited for any more: another is asked as well."""
AGAIN_MS: Final = 600_000
"""After so long a member that stays connected and has not registered it is asked once more."""
HOUR: Final = 3_600
HOURLY_MAX: Final = 1_000
"""Entries that one peer may have us register in an hour."""
ASKED_MAX: Final = 20_000
"""Asks whose time is remembered."""
SPREADING_MAX: Final = 1_000
"""Entries looked at when a peer comes up."""


_EACH: Final = frozenset({"group.refuse", "consent.revoke"})
"""Kinds that are registered once for each who says so; the others once for what they are about."""


class Registering:
    """See the module. `chooser` picks whom to ask."""

    def __init__(self, deliveries: DeliveryRows, chooser: random.Random) -> None:
        self._deliveries, self._chooser = deliveries, chooser
        self.look_later: Callable[[Turn], None] = lambda _turn: None
        """Has what waits looked at soon (node.flows.family)."""
        self._asked_ms: dict[tuple[bytes, bytes], tuple[int, int]] = {}  # (entry, device) -> first and last asked
        self._taken: set[tuple[bytes, bytes]] = set()  # (entry, device) that says that it has it: not asked again
        self._hour = 0
        self._counts: Counter[bytes] = Counter()

    # Asking

    def spread(self, turn: Turn, entry: Entry) -> None:
        """Ask other members to register an entry that we have just registered."""
        self._ask(turn, Spread(entry.id, entry.raw, others_to_ask(turn), ()), turn.core.member_peers)
        self.look_later(turn)

    def _ask(self, turn: Turn, row: Spread, peers: list[bytes]) -> None:
        """Ask as many of these peers as are missing, voters first: freshness counts their feeds."""
        members, held = turn.core.replica.members, self._held(turn, row)
        fresh = sorted(kid for kid in peers if kid not in row.asked and kid not in held)
        voting = [kid for kid in fresh if members.party_of(kid) in members.voters]
        missing = max(0, self._missing(turn, row, held))
        chosen = self._chooser.sample(voting, min(len(voting), missing))
        others = [kid for kid in fresh if kid not in voting]
        chosen += self._chooser.sample(others, min(len(others), missing - len(chosen)))
        for kid in chosen:
            self._say(turn, row, kid)
        self._deliveries.spread(turn.vault, replace(row, asked=(*row.asked, *chosen)))

    def _say(self, turn: Turn, row: Spread, peer: bytes) -> None:
        if len(self._asked_ms) >= ASKED_MAX:
            del self._asked_ms[next(iter(self._asked_ms))]
        first, _ = self._asked_ms.get((row.entry_id, peer), (turn.now_ms, 0))
        self._asked_ms[row.entry_id, peer] = (first, turn.now_ms)
        turn.send(peer, encode(Register(row.raw)))

    def _held(self, turn: Turn, row: Spread) -> set[bytes]:
        """Return the feeds of others in which an entry stands, as far as they are held here."""
        replica = turn.core.replica
        feeds = {replica.feed_of(number) for number, _ in replica.places(turn.rows, row.entry_id)}
        return {feed for feed in feeds if replica.members.party_of(feed) != turn.core.party}

    def _missing(self, turn: Turn, row: Spread, held: set[bytes]) -> int:
        """Return how many more must be asked: of those that were, who is here has ANSWER_MS to register it."""
        asked = (kid for kid in row.asked if kid in turn.core.member_peers and kid not in held)
        return row.wanted - len(held) - sum(self._is_recent(turn, row, kid) for kid in asked)

    def _is_recent(self, turn: Turn, row: Spread, peer: bytes) -> bool:
        first, _ = self._asked_ms.get((row.entry_id, peer), (turn.now_ms, 0))
        return turn.now_ms - first < ANSWER_MS

    def send(self, turn: Turn, peer: bytes, *, again: bool) -> bool:
        """Ask a member for what still needs members; say whether an answer of it is awaited.

        Who was asked is asked once more when it comes up (`again`), else every AGAIN_MS. What is to be registered by
        others is registered here in any case.
        """
        waits = False
        for row in self._deliveries.spreading(turn.vault, SPREADING_MAX):
            if not turn.core.replica.places(turn.rows, row.entry_id):  # the vault was durable, and the ledger not yet
                with suppress(RemoteError):  # dated ahead of our clock: later, then
                    turn.register(Entry.decode(row.raw))
            held = self._held(turn, row)
            if len(held) >= row.wanted:
                self._deliveries.spread(turn.vault, replace(row, wanted=0))
            elif peer in held:
                continue
            elif (row.entry_id, peer) in self._taken:
                waits |= self._is_recent(turn, row, peer)  # its feed does not show it yet
            elif peer in row.asked:
                _, last = self._asked_ms.get((row.entry_id, peer), (0, 0))
                if again or turn.now_ms - last >= AGAIN_MS:
                    self._say(turn, row, peer)
                waits |= self._is_recent(turn, row, peer)
            elif self._missing(turn, row, held) > 0:
                self._ask(turn, row, [peer])
                waits = True
        return waits

    def taken(self, turn: Turn, peer: bytes, entry_id: bytes) -> None:
        """A member says that it has registered it: it is not asked again. Its feed will show."""
        if len(self._taken) >= ASKED_MAX:
            self._taken.clear()
        if any(row.entry_id == entry_id for row in self._deliveries.spreading(turn.vault, SPREADING_MAX)):
            self._taken.add((entry_id, peer))

    # Being asked

    def received(self, turn: Turn, peer: bytes, message: Register) -> None:
        """Register what another member was told by a person. Raises RemoteError for what is not hers."""
        if turn.now // HOUR != self._hour:
            self._hour = turn.now // HOUR
            self._counts.clear()
        self._counts[peer] += 1
        if self._counts[peer] > HOURLY_MAX:
            return  # it asks again later
        entry = Entry.decode(message.entry)
        replica = turn.core.replica
        if entry.mesh_id != replica.mesh_id:
            raise RemoteError("WRONG_MESH", "the entry belongs to another mesh", field="mesh_id")
        if entry.iat > turn.now + AHEAD_SECONDS_MAX:
            raise RemoteError("DATED_AHEAD", "the entry is dated ahead of our clock", field="iat")
        about = _about(turn, entry)
        own = turn.core.device.kid
        facts = facts_of(turn.rows, about, replica.by_number, lambda feed: (1 << 62) if feed == own else 0)
        said = (fact.row for fact in facts if fact.row.kind == entry.kind)
        if not any(entry.kind not in _EACH or row.kid == entry.kid for row in said):
            try:
                turn.register(entry)
            except LocalError as error:
                raise RemoteError(error.code, error.message, field=error.field) from None
        turn.send(peer, encode(Taken(entry.id)))


def others_to_ask(turn: Turn) -> int:
    """Return how many others shall register an entry: with our own feed, half of the voters' (consent.md §3)."""
    members = turn.core.replica.members
    half = (len(members.voters) + 1) // 2 - (turn.core.party in members.voters)
    others = {device.party for kid, device in members.devices.items() if members.speaks(kid)} - {turn.core.party}
    return min(max(half, SPREAD_TO), SPREAD_MAX, len(others))


def _about(turn: Turn, entry: Entry) -> bytes:
    """Return the grant or the request that an entry restricts. Raises RemoteError NOT_RESTRICTIVE and others."""
    if entry.kind == "consent.withdraw":
        return carried_grant(entry).id
    if entry.kind == "delegation.revoke":
        return carried_delegation(entry).id
    if entry.kind == "consent.refuse":
        request: bytes = entry.payload["request"]
        if turn.core.replica.entry(turn.rows, request) is None:
            raise RemoteError("UNKNOWN_REQUEST", "the request that is refused is not known here", field="request")
        return request
    if entry.kind == "group.refuse":
        return _call_of(turn, entry)
    if entry.kind == "consent.revoke":
        grant = turn.core.replica.grant(turn.rows, entry.payload["grant"])
        if grant is None or entry.signer not in grant.payload.get("required_parties", ()):
            told = "only who had to sign a consent that is known here is helped to leave it"
            raise RemoteError("NOT_REQUIRED", told, field="grant")
        return grant.id
    raise RemoteError("NOT_RESTRICTIVE", "only a person's withdrawals and refusals are registered for others")


def _call_of(turn: Turn, refusal: Entry) -> bytes:
    """Return the call that somebody who joined its group refuses. Raises RemoteError UNKNOWN_CALL, NOT_A_MEMBER."""
    replica = turn.core.replica
    call = replica.entry(turn.rows, refusal.payload["call"])
    if call is None or call.kind != "group.call":
        raise RemoteError("UNKNOWN_CALL", "the call that is refused is not known here", field="call")
    given = (replica.entry(turn.rows, ident) for ident in asking(replica, turn.rows, call.kid))
    for delegation in given:
        if delegation is not None and refusal.signer in (delegation.signer, delegation.payload["withdraw_key"]):
            return call.id
    raise RemoteError("NOT_A_MEMBER", "who refuses has not joined the group that calls", field="signer")
