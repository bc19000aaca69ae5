"""Simulated persons: they grant and withdraw, with the keys and the rules of real ones.

How it works
    A `Person` is a wallet whose seed derives from the run's. Grants carry opaque slots instead of sealed terms: what
    the ledger does depends on the clear half alone.

What it does not do
    Nothing is disclosed to anybody, so no gate would let data pass on these grants.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.consent.grant import Notice, grant_payload
from ledger.consent.kinds import SLOT_COUNT
from ledger.consent.wallet import RECORD_ID_BYTES, Wallet, make_withdrawal, subject_iat
from ledger.entry import Entry, sign_entry
from ledger.governance.members import Party
from ledger.keys import SigningKey
from ledger.schema import DAY
from node.core import RandomBytes, Turn
from simulations.randomness import Seed

CONSENT_DAYS = 365
"""How long a simulated consent lasts."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a wallet. Made by `person`."""

    wallet: Wallet
    random_bytes: RandomBytes

    def grant(self, turn: Turn, holder: Party, recipient: Party) -> Entry:
        """Sign a grant and register it in the feed of the turn's node."""
        record_id, head = self.random_bytes(RECORD_ID_BYTES), turn.shown_head()
        notice = Notice(bytes(32), turn.now - DAY)
        payload = grant_payload(
            holder=holder,
            recipient=recipient,
            valid_until=turn.now + CONSENT_DAYS * DAY,
            notice=notice,
            slots=self.random_bytes(32 * SLOT_COUNT),
            withdraw_key=SigningKey.from_seed(self.wallet.withdraw_seed(record_id)).public,
        )
        entry = sign_entry(
            self.wallet.consent_key(record_id),
            "consent.grant",
            ("consent", record_id),
            payload,
            iat=subject_iat(turn.now, turn.core.replica.closure_iat(turn.rows, [head]), notice.dated),
            cti=self.random_bytes(16),
            seen=[head],
            mesh_id=turn.core.replica.mesh_id,
        )
        return turn.register(entry)

    def withdraw(self, turn: Turn, grant: Entry) -> Entry:
        """Sign a withdrawal and register it in the feed of the turn's node, whichever that is."""
        head = turn.shown_head()
        iat = turn.core.replica.closure_iat(turn.rows, [head])
        entry = make_withdrawal(
            self.wallet, grant, head=head, closure_iat=iat, now=turn.now, random_bytes=self.random_bytes
        )
        return turn.register(entry)


def person(seed: Seed, number: int) -> Person:
    """Return person `number` of a run."""
    return Person(Wallet(seed.bytes(number, "wallet")), seed.stream(number, "person").randbytes)
