"""The duty to delete: what was received under a consent is destroyed, and its party says so (consent.md §4, §5).

How it works
    `erase` destroys every pack that a party received under a grant, and which points they were of; with `content`,
    what the consent itself says as well, and with the last consent that rests on them here what its parents say. It
    does so in portions, each in a turn of its own, and is begun again where a crash cut it off. What is still being
    received is ended first; content that is sent once more later is not taken in. With the last portion the party
    states `erasure.state`: a salted digest, so that nobody learns how much there was. The holder, and the host of a
    party, answer with `erasure.ack` when they see it. The vault is durable before the ledger is: a statement that a
    crash or a full disk kept from the ledger is made again (`state_again`), since nothing is left by which it would be
    missed.

What it does not do
    The receipts stay: they say that data passed, not what the data were, and proofs rest on them. Rows are gone from
    the vault at once; old pages of the disk, and backups, are the subject of storage/vault.py and of
    `maille key rekey-vault`. A copy that somebody made elsewhere is beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ledger.consent.disclosure import SALT_BYTES
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.governance.members import Party
from ledger.index import facts_of
from node.flows.compiling import RESTED_ON
from node.flows.disclosing import Disclosing, parties_of
from node.flows.passing import descendants
from node.flows.standing import ACTIVE, ENDS, above, standing_of
from node.tenants import Tenants, Voice, state
from node.vaults.consents import GRANT, ConsentRows
from node.vaults.erasures import Erasure, ErasureRows
from node.vaults.transfers import DONE, STOPPED, IncomingRows

if TYPE_CHECKING:
    from node.core import Turn

PACKS_AT_ONCE: Final = 500
"""Packs destroyed in one turn: some tens of milliseconds."""


class Erasing:
    """See the module. One for each mesh."""

    def __init__(
        self,
        rows: ErasureRows,
        incoming: IncomingRows,
        consents: ConsentRows,
        disclosing: Disclosing,
        tenants: Tenants,
    ) -> None:
        self._rows, self._incoming, self._consents = rows, incoming, consents
        self._disclosing, self._tenants = disclosing, tenants
        self.stop: Callable[[Turn, bytes, Party], None] = lambda _turn, _grant, _party: None
        """Ends what a party is still receiving under a grant (node.flows.receiving)."""

    def erase(self, turn: Turn, grant: Entry, voice: Voice, *, content: bool = False) -> Erasure:
        """Destroy one portion of what `voice` received under `grant`; call again until the row's `entry` is set.

        `content`: destroy what the consent says too; whatever is still received under it is then refused. Raises
        LocalError NOT_A_PARTY, IN_FORCE (content of a consent that still permits), NOTHING_TO_ERASE.
        """
        holder, recipient = parties_of(grant)
        if voice.party not in (holder, recipient):
            raise LocalError("NOT_A_PARTY", "only a party of the consent erases what it received under it", field="id")
        if content and self._permits(turn, grant.id):
            told = "the consent is in force: withdraw or revoke it first, or erase the data alone"
            raise LocalError("IN_FORCE", told, field="content")
        held = self._rows.get(turn.vault, grant.id, voice.party)
        fresh = Erasure(grant.id, voice.party, turn.now, 0, 0, 0, content, turn.core.random_bytes(SALT_BYTES))
        lost = held is not None and self._is_lost(turn, held)
        row = replace(held, entry=b"") if held is not None and (lost or not held.entry) else fresh
        row = replace(row, content=content or row.content)
        self.stop(turn, grant.id, voice.party)
        packs, transfers, records = self._destroy(turn, grant.id, voice)
        row = replace(
            row,
            at=turn.now,
            packs=row.packs + packs,
            transfers=row.transfers + transfers,
            records=row.records + records,
        )
        if packs < PACKS_AT_ONCE:
            gone = row.content and self._disclosing.erase(turn, grant)
            if gone:
                self._forget_above(turn, grant)
            if not (row.packs or gone or lost):
                raise LocalError("NOTHING_TO_ERASE", "nothing received under this consent is held here", field="id")
            row = self._stated(turn, grant, voice, row)
        self._rows.put(turn.vault, row)
        return row

    def _stated(self, turn: Turn, grant: Entry, voice: Voice, row: Erasure) -> Erasure:
        said = {"grant": grant.id, "digest": row.digest()}
        entry = state(turn, voice, "erasure.state", grant.thing, said)
        turn.note("ERASED", grant=grant.id.hex())
        return replace(row, entry=entry.id)

    def _is_lost(self, turn: Turn, row: Erasure) -> bool:
        """Say whether the ledger does not hold the statement that the vault knows of."""
        return bool(row.entry) and not turn.core.replica.places(turn.rows, row.entry)

    def state_again(self, turn: Turn) -> None:
        """State once more what was destroyed here, where the ledger has lost the statement."""
        voices = {voice.party: voice for voice in self._tenants.voices(turn)}
        for row in [row for row in self._rows.listing(turn.vault) if self._is_lost(turn, row)]:
            grant, voice = turn.core.replica.grant(turn.rows, row.grant), voices.get(row.party)
            if grant is not None and voice is not None:
                self._rows.put(turn.vault, self._stated(turn, grant, voice, row))

    def is_erased(self, turn: Turn, entry: Entry) -> bool:
        """Say whether what an ended consent, or an amendment of it, says was destroyed here: it does not come back."""
        grant = entry.payload["grant"] if entry.kind == "consent.amend" else entry.id
        if entry.kind not in ("consent.grant", "consent.amend") or not self._rows.content_gone(turn.vault, grant):
            return False
        status = turn.core.replica.consent(turn.rows, grant)
        return status is not None and standing_of(turn, status)[0] in ENDS

    def _permits(self, turn: Turn, grant: bytes) -> bool:
        status = turn.core.replica.consent(turn.rows, grant)
        return status is not None and standing_of(turn, status)[0] == ACTIVE

    def _forget_above(self, turn: Turn, grant: Entry) -> None:
        """Destroy what the parents of an erased consent say, where it was kept for that consent alone.

        What another consent here rests on stays, and so does what this node has as a party of the parent.
        """
        for status in above(turn, grant.id):
            row, parent = self._consents.get(turn.vault, status.grant), turn.core.replica.grant(turn.rows, status.grant)
            if row is None or parent is None or row.kind != RESTED_ON:
                continue
            others = (self._consents.get(turn.vault, child.id) for child in descendants(turn, parent.id))
            if not any(other is not None and other.kind == GRANT for other in others):
                self._disclosing.erase(turn, parent)

    def _destroy(self, turn: Turn, grant: bytes, voice: Voice) -> tuple[int, int, int]:
        """Destroy up to `PACKS_AT_ONCE` packs; return how many, how many transfers ended with it, and their records."""
        packs = transfers = records = 0
        for transfer in self._incoming.under(turn.vault, grant):
            row = self._incoming.get(turn.vault, transfer)
            if row is None or row.wanted.recipient != voice.party or row.state not in (DONE, STOPPED):
                continue
            packs += self._incoming.drop_packs(turn.vault, transfer, PACKS_AT_ONCE - packs)
            if packs >= PACKS_AT_ONCE:
                break
            if row.series:
                wanted = replace(row.wanted, point=None, window=None)
                self._incoming.put(turn.vault, replace(row, series=(), wanted=wanted))
                transfers, records = transfers + 1, records + row.tally.count
        return packs, transfers, records

    # Being told

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """Acknowledge the erasures that others state under consents of ours."""
        for entry in entries:
            if entry.kind == "erasure.state":
                self._acknowledge(turn, entry)

    def _acknowledge(self, turn: Turn, entry: Entry) -> None:
        replica = turn.core.replica
        grant = replica.grant(turn.rows, entry.payload["grant"])
        if grant is None or not replica.members.is_member(turn.core.party):
            return
        parties = [party for party in parties_of(grant) if party is not None]
        by = replica.members.party_of(entry.kid)
        said = self._said(turn, grant.id, entry.id)
        for voice in self._tenants.voices(turn):
            if by in parties and voice.party in parties and voice.party not in (by, *said):
                state(turn, voice, "erasure.ack", grant.thing, {"grant": grant.id, "entry": entry.id})

    def acknowledged(self, turn: Turn, row: Erasure) -> list[Party]:
        """Return the parties of the consent that have acknowledged an erasure."""
        grant = turn.core.replica.grant(turn.rows, row.grant)
        parties = parties_of(grant) if grant is not None else ()
        return sorted(party for party in self._said(turn, row.grant, row.entry) if party in parties)

    def _said(self, turn: Turn, grant: bytes, entry: bytes) -> set[Party]:
        """Return who has acknowledged the erasure `entry`."""
        replica = turn.core.replica
        facts = (fact.row for fact in facts_of(turn.rows, grant, replica.by_number, replica.size))
        acks = (fact for fact in facts if fact.kind == "erasure.ack" and fact.about == entry)
        return {replica.members.party_of(fact.kid) for fact in acks}
