"""What a person asks of those who hold her data, and what they answer, each inside one turn.

How it works
    A request is signed by the key of one consent from a wallet kept here, registered in our feed, and its details are
    sealed to the party it is addressed to. The answer is registered there, and its details are sealed to whoever
    registered the request. `everywhere` addresses every party that holds a copy of the same points under any of her
    consents: a request each, signed by that consent's own key, so that no two of them can be linked by it.

    "Done" must be so: who answers an objection with it revokes the consent, and who answers a demand for erasure holds
    nothing any more of what it received.

What it does not do
    It corrects no readings: the corrections lie open before whoever must apply them. Time limits stand in
    ledger.consent.rights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.consent.rights import (
    Answer,
    Correction,
    Details,
    Standing,
    answer_payload,
    request_payload,
    standing,
)
from ledger.consent.standing import handed
from ledger.consent.status import Fact, State
from ledger.consent.wallet import CTI_BYTES, subject_iat
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, RemoteError
from ledger.governance.members import Party
from ledger.index import facts_of
from node.flows.custody import rekeys_of
from node.flows.disclosing import parties_of
from node.flows.letters import Letters
from node.tenants import Voice, state
from node.vaults.consents import GRANT, ConsentRows
from node.vaults.transfers import IncomingRows
from node.vaults.wallets import HostedWallet, WalletRows

if TYPE_CHECKING:
    from node.core import Turn

RIGHTS_ID_BYTES: Final = 16
REQUEST: Final = "rights.request"


@dataclass(frozen=True, slots=True)
class RightsRow:
    """The sealed half of a request or an answer. `wallet`: kept here, that asked; "" when it came from elsewhere."""

    entry: bytes
    wallet: str
    details: Details


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is known here. `asked`: when it was registered, unix seconds, as its feed's time shows."""

    entry: Entry
    row: RightsRow
    to: Party
    asked: int
    standing: Standing
    answer: RightsRow | None


def _since(turn: Turn, fact: Fact) -> int:
    """Return when an entry can have been registered at the earliest, unix seconds: the largest date below it.

    So no backdated request makes anyone late, and no backdated answer its signer punctual, unless a feed is held back.
    """
    replica = turn.core.replica
    return min(replica.leaf(turn.rows, feed, index).iat_max for feed, index in fact.places)


class Rights:
    """See the module. One for each mesh."""

    def __init__(
        self,
        letters: Letters,
        wallets: WalletRows,
        consents: ConsentRows,
        incoming: IncomingRows,
    ) -> None:
        self._letters, self._wallets, self._consents, self._incoming = letters, wallets, consents, incoming
        letters.guards[REQUEST] = self._hers

    # Asking

    def ask(
        self, turn: Turn, wallet: str, grant: Entry, right: str, to: Party, text: str, corrections: Iterable[Correction]
    ) -> Entry:
        """Ask for a right under one consent. Raises LocalError NOT_YOUR_CONSENT, NOT_A_PARTY, UNKNOWN_RIGHT."""
        hosted = self._wallets.get(turn.vault, wallet)
        hosted.wallet.check_own(grant, rekeys_of(turn, grant.id))
        if to not in parties_of(grant):
            told = "only the holder or the recipient of the consent owes an answer under it"
            raise LocalError("NOT_A_PARTY", told, field="to")
        details = Details.make(text, corrections, turn.core.random_bytes)
        head, replica = turn.shown_head(), turn.core.replica
        entry = sign_entry(
            hosted.wallet.consent_key(grant.thing[1]),
            "rights.request",
            ("rights", turn.core.random_bytes(RIGHTS_ID_BYTES)),
            request_payload(grant.id, right, to, details),
            iat=subject_iat(turn.now, replica.closure_iat(turn.rows, [head]), grant.iat),
            cti=turn.core.random_bytes(CTI_BYTES),
            seen=[head],
            mesh_id=replica.mesh_id,
        )
        turn.register(entry)
        self._keep(turn, entry, details, [to], wallet)
        return entry

    def everywhere(self, turn: Turn, wallet: str, grant: Entry) -> list[tuple[Entry, Party]]:
        """Return where copies of the points of a consent may lie: (grant, party), each party once."""
        hosted = self._wallets.get(turn.vault, wallet)
        points = self._points(turn, grant.id)
        holder, recipient = parties_of(grant)
        found = {party: grant for party in (holder, recipient) if party is not None}
        for own in self._own(turn, hosted):
            if points & self._points(turn, own.id):
                for party in parties_of(own):
                    if party is not None:
                        found.setdefault(party, own)
        return [(entry, party) for party, entry in sorted(found.items())]

    def _own(self, turn: Turn, hosted: HostedWallet) -> Iterable[Entry]:
        for own in hosted.wallet.consents:
            entry = turn.core.replica.grant(turn.rows, own.grant_id)
            if entry is not None:
                yield entry

    def _points(self, turn: Turn, grant: bytes) -> set[str]:
        row = self._consents.get(turn.vault, grant)
        if row is None or row.kind != GRANT:
            return set()
        try:
            return set(row.disclosures.terms().points)
        except RemoteError:
            return set()

    # Answering

    def answer(self, turn: Turn, request: bytes, voice: Voice, outcome: str, text: str) -> Entry:
        """Answer a request that is addressed to `voice`.

        Raises LocalError NOT_FOUND, NOT_A_PARTY, ANSWERED, BAD_ANSWER, NOT_DONE.
        """
        known = self.find(turn, request)
        if known.to != voice.party:
            raise LocalError("NOT_A_PARTY", "this request is addressed to another party", field="id")
        if known.standing.state not in ("open", "extended"):
            raise LocalError("ANSWERED", f"this request has its answer: {known.standing.state}", field="id")
        grant = turn.core.replica.grant(turn.rows, known.entry.payload["grant"])
        if grant is None:
            raise LocalError("NOT_FOUND", "the consent of this request is not known here", field="id")
        details = Details.make(text, (), turn.core.random_bytes)
        payload = answer_payload(request, outcome, details)
        if outcome == "done":
            self._meet(turn, known.entry.payload["right"], grant, voice)
        entry = state(turn, voice, "rights.answer", known.entry.thing, payload)
        to = [turn.core.replica.members.party_of(feed) for feed, _ in self._places(turn, known.entry.id)]
        self._keep(turn, entry, details, to)
        return entry

    def _meet(self, turn: Turn, right: str, grant: Entry, voice: Voice) -> None:
        """Do what "done" says, or refuse to say it."""
        if right == "erasure":
            for transfer in self._incoming.under(turn.vault, grant.id):
                if next(self._incoming.packs(turn.vault, transfer), None) is not None:
                    told = f"data received under it are here; run `maille erasure run --consent {grant.id.hex()[:12]}`"
                    raise LocalError("NOT_DONE", told, field="outcome")
        elif right == "objection":
            status = turn.core.replica.consent(turn.rows, grant.id)
            if status is not None and status.state in (State.GRANTED, State.INCOMPLETE):
                said = {"grant": grant.id, "reason_code": "subject_request"}
                state(turn, voice, "consent.revoke", grant.thing, said)

    # Looking

    def find(self, turn: Turn, request: bytes) -> Asked:
        """Return a request that is known here, and how it stands. Raises LocalError NOT_FOUND."""
        row = self._row(turn, request)
        found = self._asked(turn, row) if row is not None else None
        if found is None:
            raise LocalError(
                "NOT_FOUND", "no request of this id is known here; `maille rights list` shows them", field="id"
            )
        return found

    def listing(self, turn: Turn, wallet: str = "") -> list[Asked]:
        """Return the requests made or received here, or those of one wallet kept here alone; oldest first."""
        letters = self._letters.rows
        if wallet:
            entries = letters.of_wallet(turn.vault, REQUEST, wallet)
        else:
            entries = [entry for entry, _ in letters.listing(turn.vault, REQUEST)]
        rows = (self._row(turn, entry) for entry in entries)
        found = (self._asked(turn, row) for row in rows if row is not None)
        return sorted((one for one in found if one is not None), key=lambda one: (one.asked, one.entry.id))

    def _asked(self, turn: Turn, row: RightsRow) -> Asked | None:
        replica = turn.core.replica
        entry = replica.entry(turn.rows, row.entry)
        if entry is None:
            return None
        to = (entry.payload["to"][0], entry.payload["to"][1])
        facts = facts_of(turn.rows, row.entry, replica.by_number, replica.size)
        asked = next((_since(turn, fact) for fact in facts if fact.row.kind == REQUEST), entry.iat)
        stands = standing(to, asked, list(self._answers(turn, facts)), turn.now)
        said = self._row(turn, stands.answer) if stands.answer is not None else None
        return Asked(entry, row, to, asked, stands, said)

    def _answers(self, turn: Turn, facts: Iterable[Fact]) -> Iterable[Answer]:
        replica = turn.core.replica
        for fact in facts:
            if fact.row.kind == "rights.answer":
                entry, at = replica.entry(turn.rows, fact.row.entry_id), _since(turn, fact)
                if entry is not None:
                    yield Answer(entry.id, replica.members.party_of(entry.kid), at, entry.payload["outcome"])

    def _places(self, turn: Turn, request: bytes) -> list[tuple[bytes, int]]:
        replica = turn.core.replica
        facts = facts_of(turn.rows, request, replica.by_number, replica.size)
        return [place for fact in facts if fact.row.kind == "rights.request" for place in fact.places]

    # Details

    def _keep(self, turn: Turn, entry: Entry, details: Details, to: Iterable[Party], wallet: str = "") -> None:
        """Keep details, and send them to those parties."""
        self._letters.keep(turn, entry, [details.salt, details.value()], to, wallet=wallet)

    def _row(self, turn: Turn, entry: bytes) -> RightsRow | None:
        """Return the sealed half of a request or an answer, or None."""
        value = self._letters.read(turn, entry)
        if value is None:
            return None
        return RightsRow(entry, self._letters.rows.wallet(turn.vault, entry), Details.read(*value))

    def _hers(self, turn: Turn, request: Entry) -> None:
        """Refuse the details of a request that is not the person's. Raises RemoteError NOT_A_PARTY."""
        if not self._is_hers(turn, request):
            raise RemoteError("NOT_A_PARTY", "the request is not signed by the person of its consent", field="signer")

    def _is_hers(self, turn: Turn, request: Entry) -> bool:
        grant = turn.core.replica.grant(turn.rows, request.payload["grant"])
        if grant is None:
            return False
        to = (request.payload["to"][0], request.payload["to"][1])
        way = handed(grant, rekeys_of(turn, grant.id), request.signer)
        if way is None or to not in parties_of(grant):
            return False
        return bool(request.signer == (way[-1].payload["key"] if way else grant.signer))
