"""What a node brings to a proof: transfers with their accounts, the ticks that receipts name, cosignatures, findings.

How it works
    Each end of a transfer keeps its own account and opens its own digest: the holder the receipt, the recipient the
    acknowledgement. The other end's entry is looked up on the ledger, so that a proof shows both, one of them closed.
    A tick that a receipt names is rebuilt from the remembered one where it is still kept (proofs/past.py).

What it does not do
    It puts nothing together (proofs/make.py) and discloses nothing by itself: the operation says what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ledger.checkpoint import Head
from ledger.consent import fault
from ledger.entry import Entry
from ledger.governance.roster import Party
from ledger.governance.rounds import guilty
from ledger.rows import prefix_stop
from ledger.tables import RECEIPT, read_position
from ledger.view import HeldView
from ledger.witnessing import cosignatures
from node.flows.disclosing import parties_of
from node.vaults.receipts import HOLDER, RECIPIENT, Receipt
from proofs.bundle import Account, Cosigned
from proofs.make import Moved, find_ack
from proofs.past import View, view_at

if TYPE_CHECKING:
    from ledger.ticks import Tick
    from node.core import Turn
    from node.flows.family import Flows

TRANSFERS_MAX: Final = 256
"""Transfers in one bundle: the newest."""
VIEWS_MAX: Final = 8
"""Ticks that receipts name, in one bundle: each is rebuilt from all leaves. The others speak through earlier ones."""
_TRIES: Final = 16  # remembered ticks looked at to find the one a receipt names


def accounts(turn: Turn, flows: Flows, grants: Iterable[bytes]) -> list[Receipt]:
    """Return the accounts of this node of what its holder has stated of these consents, oldest first.

    Only those whose digest this node has stated, too.
    """
    found = []
    for ident in grants:
        grant = turn.core.replica.grant(turn.rows, ident)
        uses = flows.stated.uses_of(turn, ident, parties_of(grant)[0]) if grant is not None else []
        found += [flows.receipts.get(turn.vault, role, use.transfer) for use in uses for role in (HOLDER, RECIPIENT)]
    return in_order(one for one in found if one is not None)


def in_order(found: Iterable[Receipt]) -> list[Receipt]:
    """Return those of these accounts whose digest stands on the ledger, oldest first."""
    return sorted((one for one in found if one.stated is not None), key=lambda one: (one.ended, one.transfer))


def moved(turn: Turn, stated: Iterable[Receipt]) -> list[Moved]:
    """Return transfers for a bundle, each with both ends' entries as far as they are held."""
    by_transfer: dict[bytes, dict[bytes, Receipt]] = {}
    for one in stated:
        by_transfer.setdefault(one.transfer, {})[one.role] = one
    found = []
    for transfer, ends in list(by_transfer.items())[-TRANSFERS_MAX:]:
        sent, received = ends.get(HOLDER), ends.get(RECIPIENT)
        known = sent or received
        assert known is not None, "an account has a role"
        receipt = sent.stated if sent is not None else _receipt(turn, known)
        ack = received.stated if received is not None else _ack(turn, known)
        if receipt is not None:
            found.append(Moved(transfer, receipt, ack, _opened(sent), _opened(received)))
    return found


def _opened(one: Receipt | None) -> Account | None:
    if one is None:
        return None
    tally = one.tally
    who = (one.salt, one.transfer, one.grant, one.holder, one.recipient)
    what = (tally.chain, tally.count, tally.gaps, tally.window)
    return Account(*who, one.frontier, one.entries, *what, one.began, one.ended)


def _receipt(turn: Turn, known: Receipt) -> bytes | None:
    """Return the holder's entry that states a transfer of which we have the acknowledgement."""
    replica, prefix = turn.core.replica, RECEIPT + known.grant
    for key, _ in turn.rows.scan("things", prefix, prefix_stop(prefix)):
        number, index = read_position(key)
        entry = replica.leaf_entry(turn.rows, replica.feed_of(number), index)
        if any(row[0] == known.transfer for row in entry.payload["receipts"]):
            return entry.id
    return None


def _ack(turn: Turn, known: Receipt) -> bytes | None:
    """Return the recipient's entry that acknowledges a transfer of which we have the receipt."""
    members = turn.core.replica.members
    tenancy = members.tenants.get(known.recipient[0]) if known.recipient[1] == 0 else None
    member = members.members.get(tenancy.host[0] if tenancy is not None else known.recipient[0])
    return find_ack(turn.rows, turn.core.replica, known.transfer, member.feeds if member is not None else ())


def views(turn: Turn, newest: View, stated: Iterable[Receipt], first: Tick | None = None) -> list[View]:
    """Return the ticks for a bundle, oldest first: `first` where asked for, those that receipts name, the newest."""
    end = newest.ticker.tick
    if end is None:
        return [newest]
    wanted = {} if first is None else {first.boundary: first}
    for one in sorted(stated, key=lambda one: -one.ended):
        tick = _named(turn, newest, one)
        if tick is not None and tick.boundary < end.boundary and len(wanted) < VIEWS_MAX:
            wanted[tick.boundary] = tick
    ticks = [wanted[boundary] for boundary in sorted(wanted) if first is None or boundary >= first.boundary]
    return [*(view_at(turn.rows, turn.core.replica, tick) for tick in ticks if tick.boundary < end.boundary), newest]


def _named(turn: Turn, newest: View, one: Receipt) -> Tick | None:
    at = one.ended
    for _ in range(_TRIES):
        tick = newest.ticker.remembered(turn.rows, at)
        if tick is None or one.frontier is None or tick.frontier == one.frontier:
            return tick if one.frontier is not None else None
        at = tick.boundary - 1
    return None


def cosigned(turn: Turn, head: Head) -> list[Cosigned]:
    """Return the cosignatures of a head that this node holds."""
    return [Cosigned(*each) for each in cosignatures(turn.rows, head.feed, head)]


def findings(turn: Turn, member: Party) -> list[bytes]:
    """Return the entries that tell of a member's conduct: proven forks, seals signed twice, probes of it."""
    replica = turn.core.replica
    found: list[bytes] = []
    for registration in replica.registrations:
        entry = registration.entry
        if (entry.kind == "fork.proof" and replica.members.party_of(entry.thing[1]) == member) or (
            entry.kind == "seal.evidence" and _sealed_twice(turn, entry, member)
        ):
            found.append(entry.id)
    examined = ((result, fault.examine(replica, turn.rows, result)) for result in _probes(turn, member))
    return found + [result.id for result, seen in examined if seen.fault is not None]


def grants_of(turn: Turn, found: Iterable[bytes]) -> list[bytes]:
    """Return the grants that the faults among these findings are about, each once."""
    replica = turn.core.replica
    entries = (replica.entry(turn.rows, entry_id) for entry_id in found)
    probes = (entry for entry in entries if entry is not None and entry.kind == "probe.result")
    faults = (fault.examine(replica, turn.rows, entry).fault for entry in probes)
    named = (each for each in faults if each is not None and each.wrong is not fault.Wrong.NO_SUCH_GRANT)
    return list(dict.fromkeys(each.grant for each in named))


def _probes(turn: Turn, member: Party) -> list[Entry]:
    return fault.results(turn.core.replica, turn.rows, member[0])


def _sealed_twice(turn: Turn, entry: Entry, member: Party) -> bool:
    chain, view = turn.core.replica.chain, HeldView(turn.core.replica, turn.rows)
    base = next((b for b in chain.line(chain.newest, view) if b.reference == entry.payload["epoch"]), None)
    place = guilty(entry.payload["messages"], base.context) if base is not None else None
    return base is not None and place is not None and base.context.voters[place][0] == member[0]
