"""Receipts and acknowledgements: the full account in the vault at once, its salted digest on the ledger once a day.

How it works
    `note` keeps the account of one end of a transfer up to date with each pack; `close` ends it. Closed accounts
    wait for the day's batch: a moment of each UTC day that this vault's secret picks, so that nobody outside can
    tell transfers from their time, and a restart does not change it. `state` states them now (a demo, an audit), and
    with them what an earlier batch stated and the ledger lost.
    What passed from or to a tenant whose key is here is stated with that key.

What it does not do
    It accounts for what passed, and decides nothing about it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ledger.consent.disclosure import SALT_BYTES
from ledger.consent.gate import Decision
from ledger.governance.members import Party
from ledger.schema import DAY
from ledger.ticks import attested
from node.tenants import Tenants, Voice, state
from node.vaults import Blind
from node.vaults.receipts import HOLDER, RECIPIENT, Receipt, ReceiptRows, Refusal
from node.vaults.transfers import DONE, STOPPED, WAITING, Tally, Wanted

if TYPE_CHECKING:
    from node.core import Turn

TIMER: Final = "data:receipts"
RECEIPTS_MAX: Final = 256  # in one transfer.receipt
ACKS_MAX: Final = 512  # in one transfer.ack
TICKS_LOOKED: Final = 16  # newest ticks looked at to find one that enough members attest


class Accounts:
    """See the module. `blind` also picks the moment of the day."""

    def __init__(self, rows: ReceiptRows, blind: Blind, tenants: Tenants) -> None:
        self._rows, self._blind, self._tenants = rows, blind, tenants

    def begin(self, turn: Turn, role: bytes, transfer: bytes, wanted: Wanted, tally: Tally, grant: bytes) -> None:
        """Open the account of a transfer under which nothing has passed yet."""
        parties = (wanted.holder, wanted.recipient)
        salt = turn.core.random_bytes(SALT_BYTES)
        opened = Receipt(role, transfer, grant, *parties, None, (), tally, turn.now, turn.now, WAITING, "", salt)
        self._rows.put(turn.vault, opened)

    def note(
        self, turn: Turn, role: bytes, transfer: bytes, wanted: Wanted, tally: Tally, decision: Decision, state: str
    ) -> None:
        """Keep the account of a transfer after a pack that `decision` let through."""
        grant = decision.consent or b""
        held = self._rows.get(turn.vault, role, transfer)
        began = held.began if held is not None and held.tally.count else turn.now
        salt = held.salt if held is not None else turn.core.random_bytes(SALT_BYTES)
        parties = (wanted.holder, wanted.recipient)
        rests = (attested_frontier(turn), decision.entries)
        self._rows.put(
            turn.vault, Receipt(role, transfer, grant, *parties, *rests, tally, began, turn.now, state, "", salt)
        )

    def settle(self, turn: Turn, role: bytes, transfer: bytes, tally: Tally) -> None:
        """Keep how much is sure to have passed, without a new decision."""
        held = self._rows.get(turn.vault, role, transfer)
        if held is not None and held.tally != tally:
            self._rows.put(turn.vault, replace(held, tally=tally))

    def closed(self, turn: Turn, role: bytes, transfer: bytes) -> Receipt | None:
        """Return the account of a transfer that has ended, or None."""
        held = self._rows.get(turn.vault, role, transfer)
        return held if held is not None and held.state in (DONE, STOPPED) else None

    def close(
        self, turn: Turn, role: bytes, transfer: bytes, tally: Tally, reason: str, *, handed: bool = False
    ) -> None:
        """End an account; without a record there is nothing to account for. `reason`: "" when all passed.

        `handed`: packs left, whatever the other end says of them. Then it is stated on the ledger also where nothing
        was acknowledged: who takes data and denies it does not thereby take them unseen.
        """
        held = self._rows.get(turn.vault, role, transfer)
        if held is None or held.state in (DONE, STOPPED):
            return
        closed = replace(held, tally=tally, state=STOPPED if reason else DONE, reason=reason)
        if tally.count or handed:
            self._rows.close(turn.vault, closed)
        else:
            self._rows.put(turn.vault, closed)

    def refused(self, turn: Turn, party: Party, grant: bytes | None, code: str, *, here: bool, outgoing: bool) -> None:
        """Count a refusal."""
        self._rows.refuse(turn.vault, Refusal(turn.now, here, outgoing, party, grant, code))
        turn.note("FLOW_REFUSED", reason=code, here=here, outgoing=outgoing)

    # The day's batch

    def plan(self, turn: Turn) -> None:
        """Ask for the next batch's timer."""
        day = turn.now // DAY
        due = next(at for at in map(self._moment, (day, day + 1)) if at > turn.now)
        turn.timer(TIMER, due * 1_000)

    def _moment(self, day: int) -> int:
        secret = self._blind(b"receipts" + day.to_bytes(8, "big"))
        return day * DAY + int.from_bytes(secret, "big") % DAY

    def state(self, turn: Turn) -> int:
        """State every closed account's digest on the ledger now; return how many."""
        total, replica = 0, turn.core.replica
        self._rows.confirm(turn.vault, lambda entry: bool(replica.places(turn.rows, entry)))
        voices = {voice.party: voice for voice in self._tenants.voices(turn)}
        own = voices[turn.core.party]
        while found := self._rows.unstated(turn.vault, HOLDER, RECEIPTS_MAX):
            voice = voices.get(found[0].holder, own)
            receipts = [one for one in found if voices.get(one.holder, own) is voice]
            rows = [[one.transfer, one.grant, one.digest(), one.frontier] for one in receipts]
            entry = state(turn, voice, "transfer.receipt", _thing(turn, voice), {"receipts": rows})
            total += self._stated(turn, receipts, entry.id)
        while found := self._rows.unstated(turn.vault, RECIPIENT, ACKS_MAX):
            voice = voices.get(found[0].recipient, own)
            acks = [one for one in found if voices.get(one.recipient, own) is voice]
            said = {"acks": [[one.transfer, one.digest()] for one in acks]}
            entry = state(turn, voice, "transfer.ack", _thing(turn, voice), said)
            total += self._stated(turn, acks, entry.id)
        return total

    def _stated(self, turn: Turn, accounts: list[Receipt], entry_id: bytes) -> int:
        for account in accounts:
            self._rows.stated(turn.vault, replace(account, stated=entry_id))
        return len(accounts)


def _thing(turn: Turn, voice: Voice) -> tuple[str, bytes]:
    """Return what a batch is about: the transfers of the key that signs."""
    return "transfers", (voice.key or turn.core.device).kid


def attested_frontier(turn: Turn) -> bytes | None:
    """Return the frontier digest of the newest tick that enough members attest (policy), or None.

    Of those computed here alone: anybody may attest a time to come, or a frontier that is none.
    """
    core = turn.core
    ticks = core.ticker.newest(turn.rows, TICKS_LOOKED)
    found = attested(turn.rows, core.replica, ticks, core.policy.attestation_quorum)
    return found.frontier if found is not None else None
