"""What the ledger holds, in pages that read no more rows than they show: ticks, consents, accounts of transfers.

How it works
    Ticks are read from the newest attestation downwards; consents from a cursor on, each with the word of the ledger on
    it. How many there are says the committed map: nothing is counted. Accounts are sorted by time where there are at
    most SORTED_MAX, else read by id from a cursor on.

What it does not do
    Of a consent it shows what every member sees on the ledger: no purpose, no point, no wallet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.consent.status import State
from ledger.index import facts_of
from ledger.rows import distinct, prefix_stop
from ledger.tables import CONSENT, TICK, read_position
from node.flows.disclosing import parties_of
from node.naming import device_owner, member_name
from node.vaults.receipts import HOLDER, RECIPIENT, TABLE, Receipt

if TYPE_CHECKING:
    from node.core import Turn

TICKS_SHOWN: Final = 8
ATTESTATIONS_LOOKED_MAX: Final = 500
CONSENTS_SHOWN: Final = 50
ACCOUNTS_SHOWN: Final = 50
SORTED_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class StateRow:
    """One state that was attested at a tick, and by whom. Root and frontier in hexadecimal."""

    root: str
    frontier: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TickRow:
    """A boundary, unix seconds, and the states that were attested there: more than one is a divergence."""

    boundary: int
    states: tuple[StateRow, ...]


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """A consent as the ledger has it. `granted`, `until`: unix seconds. `missing`: who has not acknowledged."""

    id: str
    state: str
    holder: str
    recipient: str
    granted: int
    until: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One end's account of a transfer."""

    transfer: str
    sent: bool
    consent: str
    other: str
    records: int
    gaps: int
    ended: int
    state: str
    reason: str
    stated: bool


def ticks(turn: Turn) -> list[TickRow]:
    """Return the newest ticks that somebody attested, the newest first."""
    replica = turn.core.replica
    found: dict[int, dict[bytes, set[str]]] = {}
    rows = turn.rows.scan("things", TICK, prefix_stop(TICK), limit=ATTESTATIONS_LOOKED_MAX, reverse=True)
    for key, value in rows:
        boundary = int.from_bytes(key[len(TICK) : len(TICK) + 8], "big")
        if boundary not in found and len(found) == TICKS_SHOWN:
            break
        number, index = read_position(key)
        feed = replica.feed_of(number)
        if index < replica.members.reach(feed):
            found.setdefault(boundary, {}).setdefault(value, set()).add(device_owner(replica.members, feed))
    return [
        TickRow(
            boundary,
            tuple(
                StateRow(value[32:].hex(), value[:32].hex(), tuple(sorted(names)))
                for value, names in sorted(states.items(), key=lambda one: -len(one[1]))
            ),
        )
        for boundary, states in found.items()
    ]


def consents(turn: Turn, start: bytes) -> tuple[list[ConsentRow], str]:
    """Return the consents from an id on, in the order of ids, and the id at which the next page begins ("": none)."""
    found: list[ConsentRow] = []
    for ident in distinct(turn.rows, "things", CONSENT, 32, start):
        if len(found) == CONSENTS_SHOWN:
            return found, ident.hex()
        consent = _consent(turn, ident)
        found += [consent] if consent is not None else []
    return found, ""


def _consent(turn: Turn, ident: bytes) -> ConsentRow | None:
    replica = turn.core.replica
    grant = replica.grant(turn.rows, ident, facts_of(turn.rows, ident, replica.by_number, replica.size))
    if grant is None:
        return None
    holder, recipient = parties_of(grant)
    status = replica.consent(turn.rows, ident)
    told = status.acknowledged if status is not None else ()
    until = status.valid_until if status is not None else grant.payload["valid_until"]
    names = replica.members
    missing = [party for party in dict.fromkeys((holder, recipient)) if party is not None and party not in told]
    if status is None:
        state = "unregistered"
    elif status.state is State.GRANTED:
        state = "active" if turn.now < until else "expired"
    else:
        state = status.state.name.lower()
    return ConsentRow(
        ident.hex(),
        state,
        member_name(names, holder),
        member_name(names, recipient) if recipient is not None else "",
        grant.iat,
        until,
        tuple(member_name(names, party) for party in missing),
    )


def accounts(turn: Turn, start: bytes, number: int) -> tuple[list[AccountRow], str, int]:
    """Return accounts of transfers, where the next page begins by id ("": nowhere), and how many pages there are.

    Where there are few they are sorted by time, and `number` is the page from 1 on; else there are 0 pages, and
    `start` is b"" or what the page before said.
    """
    few: list[Receipt] = []
    for role in (HOLDER, RECIPIENT):
        rows = turn.vault.scan(TABLE, role, prefix_stop(role), limit=SORTED_MAX + 1)
        few += [Receipt.decode(value) for _, value in rows] if not start else []
    if not start and len(few) <= SORTED_MAX:
        few.sort(key=lambda one: (-one.ended, one.transfer))
        first = (number - 1) * ACCOUNTS_SHOWN
        shown = few[first : first + ACCOUNTS_SHOWN]
        return [_account(turn, one) for one in shown], "", max(1, -(-len(few) // ACCOUNTS_SHOWN))
    found: list[AccountRow] = []
    for role in (RECIPIENT, HOLDER):  # in the order of their keys
        if start[:1] > role:
            continue
        begin = start if start[:1] == role else role
        for key, value in turn.vault.scan(TABLE, begin, prefix_stop(role), limit=ACCOUNTS_SHOWN + 1 - len(found)):
            if len(found) == ACCOUNTS_SHOWN:
                return found, key.hex(), 0
            found.append(_account(turn, Receipt.decode(value)))
    return found, "", 0


def _account(turn: Turn, one: Receipt) -> AccountRow:
    sent = one.role == HOLDER
    return AccountRow(
        one.transfer.hex(),
        sent,
        one.grant.hex(),
        member_name(turn.core.replica.members, one.recipient if sent else one.holder),
        one.tally.count,
        one.tally.gaps,
        one.ended,
        one.state,
        one.reason,
        one.stated is not None,
    )
