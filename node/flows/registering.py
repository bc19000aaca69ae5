"""A person's withdrawals and refusals, registered by more members than the one she turned to (ledger.md §4).

How it works
    After a local one, up to SPREAD_TO other members are asked to register it in their feeds, so that no single host
    can hide it; who is away is asked when it comes, and what a crash kept from our own ledger is registered here again
    before. A member that is asked checks the entry by its own bytes (a
    withdrawal carries its grant) and registers it in its own feed, once for each grant, and passes nothing on. A
    refusal to go along with a group's call is registered once for each person who joined the group.

What it does not do
    It takes nothing that permits, and nothing that is not the person's own: those have other ways in.
"""

from __future__ import annotations

import random
from collections import Counter
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
"""Other members that are asked to register a person's restrictive entry."""
HOUR: Final = 3_600
HOURLY_MAX: Final = 1_000
"""Entries that one peer may have us register in an hour."""
SPREADING_MAX: Final = 1_000
"""Entries looked at when a peer comes up."""


class Registering:
    """See the module. `chooser` picks whom to ask."""

    def __init__(self, deliveries: DeliveryRows, chooser: random.Random) -> None:
        self._deliveries, self._chooser = deliveries, chooser
        self._hour = 0
        self._counts: Counter[bytes] = Counter()

    # Asking

    def spread(self, turn: Turn, entry: Entry) -> None:
        """Ask other members to register an entry that we have just registered."""
        self._ask(turn, Spread(entry.id, entry.raw, SPREAD_TO, ()), turn.core.member_peers)

    def _ask(self, turn: Turn, row: Spread, peers: list[bytes]) -> None:
        fresh = sorted(kid for kid in peers if kid not in row.asked)
        live = len([kid for kid in row.asked if kid in peers])
        for kid in self._chooser.sample(fresh, min(len(fresh), max(0, row.missing - live))):
            turn.send(kid, encode(Register(row.raw)))
            row = replace(row, asked=(*row.asked, kid))
        self._deliveries.spread(turn.vault, row)

    def send(self, turn: Turn, peer: bytes) -> None:
        """Ask a member that came up for what still needs members; one that was asked is asked again."""
        for row in self._deliveries.spreading(turn.vault, SPREADING_MAX):
            if not turn.core.replica.places(turn.rows, row.entry_id):  # the vault was durable, and the ledger not yet
                with suppress(RemoteError):  # dated ahead of our clock: later, then
                    turn.register(Entry.decode(row.raw))
            if peer in row.asked:
                turn.send(peer, encode(Register(row.raw)))
            elif len([kid for kid in row.asked if kid in turn.core.member_peers]) < row.missing:
                self._ask(turn, row, [peer])

    def taken(self, turn: Turn, peer: bytes, entry_id: bytes) -> None:
        """A member has registered it."""
        for row in self._deliveries.spreading(turn.vault, SPREADING_MAX):
            if row.entry_id == entry_id and peer in row.asked:
                asked = tuple(kid for kid in row.asked if kid != peer)
                self._deliveries.spread(turn.vault, replace(row, missing=row.missing - 1, asked=asked))

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
        if not any(entry.kind != "group.refuse" or row.kid == entry.kid for row in said):
            try:
                turn.register(entry)
            except LocalError as error:
                raise RemoteError(error.code, error.message, field=error.field) from None
        turn.send(peer, encode(Taken(entry.id)))


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
