"""A person's grants, published one by one, so that their time and place in our feed do not tell whose they are.

How it works
    A grant of a wallet that has not acted for `seconds` goes at once. Any other is signed at once, so that its id and
    its slip are there, and waits for a random time of its own within so many seconds. Until then nobody hears of it:
    it is in no feed, and its content goes to nobody. What ends or narrows goes at once, always. A grant that is
    withdrawn while it waits is never published.

    What is signed must not tell either: the hour of its `iat` is that of its publication, and it names as seen our feed
    as it stood an hour before that hour began, whether it waits or not. The newest checkpoint would say when it was
    signed, and two with the same one, that they were signed together.

    A grant that waits is in the vault until the ledger has it, durably: after kill -9 it is published again, as the
    same entry, which a feed takes once. What fell due while the node was down goes when it starts; of several of one
    wallet one does, and the others wait anew, or they would stand side by side after all.

What it does not do
    With `seconds` 0 nothing waits. It spreads no other kind, and no grant under a delegation, whose key shows anyway:
    ledger/README.md ("What leaks") has the list.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ledger.checkpoint import Head
from ledger.consent.acts import Shown
from ledger.consent.disclosure import Disclosures
from ledger.consent.status import State
from ledger.consent.wallet import HOUR
from ledger.entry import Entry
from ledger.errors import LocalError
from node.flows.custody import shown
from node.flows.disclosing import Disclosing, parties_of
from node.vaults.consents import ConsentRow, ConsentRows
from node.vaults.waiting import WAITING, Waiting, WaitingRows, waiting_grants
from node.vaults.wallets import WalletRows

if TYPE_CHECKING:
    from node.core import Turn

TIMER: Final = "data:waiting"
SECONDS_MAX: Final = HOUR
"""Longest time that a grant waits: what it names as seen must be past when it is signed."""
WAITING_MAX: Final = 64
"""Grants of one wallet that wait: more than stand on one screen of requests."""
ALL_WAITING_MAX: Final = 2_000
"""Grants of all wallets that wait."""
CLEAN_MS: Final = 1_000
"""So long after its publication a grant is looked at again: the ledger has it durably, and it waits no more."""
_DRAWN_BYTES: Final = 8


class Spreading:
    """See the module. `seconds`: 0 to SECONDS_MAX."""

    def __init__(
        self,
        rows: WaitingRows,
        consents: ConsentRows,
        wallets: WalletRows,
        disclosing: Disclosing,
        seconds: int,
    ) -> None:
        self._rows, self._consents, self._wallets, self._disclosing = rows, consents, wallets, disclosing
        self.seconds = seconds
        self.published: Callable[[Turn, Entry], None] = lambda _turn, _grant: None
        """Does what else follows from a grant that is published (node.flows.passing)."""

    # Grants

    def due(self, turn: Turn, wallet: str, latest: int | None = None) -> int | None:
        """Return when a grant of this wallet is to be published, unix milliseconds; None: at once.

        `latest`: by when it must be, unix seconds. Raises LocalError TOO_MANY_WAIT.
        """
        if not self.seconds:
            return None
        waiting = waiting_grants(turn.vault)
        own = [row for row in waiting if row.wallet == wallet]
        if not own and turn.now_ms - self._rows.acted(turn.vault, wallet) >= self.seconds * 1_000:
            return None
        if len(own) >= WAITING_MAX or len(waiting) >= ALL_WAITING_MAX:
            soon = datetime.fromtimestamp(min(row.by for row in own or waiting), UTC)
            told = f"{len(own or waiting)} consents wait to be published; try again after {soon:%H:%M} UTC"
            raise LocalError("TOO_MANY_WAIT", told)
        return self._draw(turn, latest)

    def _draw(self, turn: Turn, latest: int | None = None) -> int:
        ends = turn.now_ms + self.seconds * 1_000
        ends = ends if latest is None else min(ends, latest * 1_000)
        drawn = int.from_bytes(turn.core.random_bytes(_DRAWN_BYTES), "big")
        return turn.now_ms + drawn % max(1, ends - turn.now_ms)

    def shown(self, turn: Turn, due_ms: int | None) -> Shown:
        """Return what a grant is signed with that is published then."""
        if not self.seconds:
            return shown(turn)
        now = turn.now if due_ms is None else due_ms // 1_000
        replica = turn.core.replica
        head = head_before(turn, now - now % HOUR - HOUR)
        return Shown(head, replica.closure_iat(turn.rows, [head]), now, replica.mesh_id, turn.core.random_bytes)

    def submit(self, turn: Turn, grant: Entry, told: Disclosures, wallet: str, due_ms: int | None) -> None:
        """Publish a grant, or keep it until then. `told`: what it says."""
        if due_ms is None:
            self._publish(turn, grant, told, wallet)
            return
        self._rows.put(turn.vault, Waiting(grant, wallet, due_ms))
        self._consents.put(turn.vault, ConsentRow(grant.id, WAITING, wallet, turn.now, told), *parties_of(grant))
        self.plan(turn)

    def acted(self, turn: Turn, wallet: str) -> None:
        """A wallet has an entry in our feed from now: its next grant shall not stand beside it."""
        if self.seconds:
            self._rows.act(turn.vault, wallet, turn.now_ms)

    # What waits

    def waiting(self, turn: Turn, grant: bytes) -> Waiting | None:
        """Return a grant that waits, by its id; None for one that the ledger has."""
        row = self._rows.get(turn.vault, grant)
        return None if row is None or turn.core.replica.places(turn.rows, grant) else row

    def all_waiting(self, turn: Turn, prefix: bytes = b"") -> list[Waiting]:
        """Return the grants that wait, and whose ids begin so."""
        found = waiting_grants(turn.vault, prefix)
        return [row for row in found if not turn.core.replica.places(turn.rows, row.grant.id)]

    def grant(self, turn: Turn, ident: bytes) -> Entry | None:
        """Return a grant that the ledger has, or that waits here."""
        found = turn.core.replica.grant(turn.rows, ident)
        row = self.waiting(turn, ident) if found is None else None
        return found if row is None else row.grant

    def take_back(self, turn: Turn, row: Waiting) -> None:
        """Never publish a grant that waits, and destroy what it says. The caller has seen that its person says so."""
        self._rows.forget(turn.vault, row.grant.id)
        self._disclosing.erase(turn, row.grant)
        self._wallets.drop(turn.vault, row.wallet, row.grant.id)

    # Publishing

    def plan(self, turn: Turn) -> None:
        """Have what waits looked at when the first of it is due."""
        due = [row.due_ms for row in waiting_grants(turn.vault)]
        if due:
            turn.timer(TIMER, max(min(due), turn.now_ms + CLEAN_MS))

    def look(self, turn: Turn) -> None:
        """Publish what is due, and forget what the ledger has had since before this turn."""
        out = set[str]()
        for row in waiting_grants(turn.vault):
            if turn.core.replica.places(turn.rows, row.grant.id):
                self._rows.forget(turn.vault, row.grant.id)
            elif row.due_ms > turn.now_ms:
                continue
            elif row.wallet in out:
                self._rows.put(turn.vault, Waiting(row.grant, row.wallet, self._draw(turn)))
            else:
                self._release(turn, row)
                out.add(row.wallet)
        self.plan(turn)

    def _release(self, turn: Turn, row: Waiting) -> None:
        """Publish what waited; it is forgotten when the ledger has it durably.

        Never, where its content was erased, or the consent that it passes on from has ended, or this one, by what she
        took elsewhere; nor where our device is another since: the vault may have come back from a backup, older than
        her word that took it back.
        """
        content = self._consents.get(turn.vault, row.grant.id)
        resting = [ident for ident in (row.grant.payload.get("parent"), row.grant.id) if ident is not None]
        found = [turn.core.replica.consent(turn.rows, ident) for ident in resting]
        ended = any(status is not None and status.state is not State.GRANTED for status in found)
        if content is None or ended or row.grant.seen[0].feed != turn.core.device.kid:
            turn.note("GRANT_NOT_PUBLISHED", grant=row.grant.id.hex())
            self.take_back(turn, row)
        else:
            self._publish(turn, row.grant, content.disclosures, row.wallet)

    def _publish(self, turn: Turn, grant: Entry, told: Disclosures, wallet: str) -> None:
        turn.register(grant)
        self._disclosing.publish(turn, grant, told, wallet=wallet)
        self.published(turn, grant)
        self.acted(turn, wallet)


def head_before(turn: Turn, time: int) -> Head:
    """Return our feed as far as nothing in it is dated after `time` (unix seconds), and others hold it."""
    replica, feed = turn.core.replica, turn.core.device.kid
    low, high = 0, turn.shown_head().size
    while low < high:
        middle = (low + high) // 2
        if replica.leaf(turn.rows, feed, middle).iat_max <= time:
            low = middle + 1
        else:
            high = middle
    return replica.head_at(turn.rows, feed, low) or turn.shown_head()
