"""What people and parties do with consents: request, grant, refuse, withdraw, revoke, each inside one turn.

How it works
    A grant is signed by a wallet kept here, registered in our feed, its content kept in the vault and sent sealed to
    holder and recipient, and the wallet updated, all in one transaction; or it waits its time (node.flows.spreading). A
    withdrawal comes from a wallet or from a paper slip alone, at any member; other members are asked to register it
    too. Of a grant that still waits nobody else has heard: it is taken back, and nothing is signed.

What it does not do
    It prompts nobody and prints nothing: the operations show the person what she consents to (ledger.consent.words).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ledger.consent.disclosure import Evidence, hide
from ledger.consent.grant import Notice, Recipient, day_before, request_payload
from ledger.consent.record import Terms
from ledger.consent.slip import Slip
from ledger.consent.standing import handed
from ledger.consent.wallet import HOUR, RECORD_ID_BYTES, OpenRequest, make_grant, make_refusal, make_withdrawal
from ledger.consent.words import Parties, in_words
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.governance.members import Party
from ledger.keys import SigningKey
from ledger.rows import prefix_stop
from ledger.schema import DAY
from ledger.tables import CONSENT, FactRow
from node.compute.operations import in_words as computation_words
from node.flows.custody import hand, rekeys_of, whose
from node.flows.disclosing import Disclosing, parties_of
from node.flows.offers import terms_in_language
from node.flows.registering import Registering
from node.flows.spreading import Spreading
from node.tenants import Voice, state
from node.vaults.computations import ComputationRows
from node.vaults.consents import REQUEST, ConsentRows, wallet_of
from node.vaults.wallets import HostedWallet, WalletRows

if TYPE_CHECKING:
    from node.core import Turn

REQUEST_DAYS: Final = 30
"""How long a request is open unless it says otherwise."""
SEED_BYTES: Final = 32
REFERENCE_BYTES: Final = 16
SLIP_GRANTS_MAX: Final = 256
"""Grants looked at to find the one that a slip names."""
_GRANTED: Final = frozenset({"consent.grant", "consent.withdraw"})
"""What tells of a grant that there is: other kinds name whatever id their signer likes."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is to be consented to: parties, terms, the end (unix seconds), and the notice shown, if one was written.

    Without a notice, what the person is shown in plain words is the notice.
    """

    holder: Party
    recipient: Recipient
    terms: Terms
    valid_until: int
    notice: Notice | None = None


@dataclass(frozen=True, slots=True)
class Formalities:
    """What a grant needs or rests on beside the person's own signature.

    `required`: public keys that must sign too, all or `quorum` of them. `paper`: the signed paper that it transcribes.
    """

    required: tuple[bytes, ...] = ()
    quorum: int | None = None
    paper: Evidence | None = None


def words_of(offer: Offer, names: tuple[str, str], lang: str = "en", computation: str = "") -> list[str]:
    """Return an offer as the sentences that the person is shown. `names`: of holder and recipient.

    `computation`: what the one that is named gives, in words.
    """
    return in_words(
        terms_in_language(offer.terms, lang), Parties(*names, day_before(offer.valid_until), computation), lang
    )


class Consenting:
    """See the module. One for each mesh."""

    def __init__(
        self,
        wallets: WalletRows,
        consents: ConsentRows,
        disclosing: Disclosing,
        registering: Registering,
        computations: ComputationRows,
        spreading: Spreading,
    ) -> None:
        self._wallets, self._consents, self._computations = wallets, consents, computations
        self._disclosing, self._registering, self._spreading = disclosing, registering, spreading

    def notice(self, turn: Turn, offer: Offer, names: tuple[str, str]) -> Notice:
        """Return the notice: the one given, else the words she is shown, dated to the hour, as a grant is.

        Those words end with a random reference, or whoever guesses them could tell from the ledger that the guess is
        right. They are kept: the notice's hash shows that they are the ones.
        """
        if offer.notice is not None:
            return offer.notice
        reference = f"Reference {turn.core.random_bytes(REFERENCE_BYTES).hex()}"
        text = "\n".join([*self.words(turn, offer, names), reference]).encode()
        sha256 = hashlib.sha256(text).digest()
        self._consents.keep_notice(turn.vault, sha256, text)
        return Notice(sha256, turn.now - turn.now % HOUR)

    def words(self, turn: Turn, offer: Offer, names: tuple[str, str], lang: str = "en") -> list[str]:
        """Return an offer as the sentences that the person is shown, the computation that it names included."""
        return words_of(offer, names, lang, self.computation_in_words(turn, offer.terms, lang))

    def computation_in_words(self, turn: Turn, terms: Terms, lang: str = "en") -> str:
        """Return what the computation that terms name gives, in a sentence; "" for none, or one not known here."""
        found = None if terms.computation is None else self._computations.get(turn.vault, terms.computation)
        return "" if found is None else computation_words(found, lang)

    def create_wallet(self, turn: Turn, name: str) -> HostedWallet:
        """Begin a wallet that this node keeps for a person. Raises LocalError WALLET_EXISTS, BAD_NAME."""
        return self._wallets.create(turn.vault, name, turn.core.random_bytes(SEED_BYTES), turn.now)

    def request(
        self, turn: Turn, offer: Offer, notice: Notice, *, voice: Voice, days: int = REQUEST_DAYS, to: Party
    ) -> Entry:
        """Ask a person for a consent, as its holder or recipient (`voice`); `to`: the member that keeps her wallet.

        Raises LocalError NOT_A_PARTY, UNENCODABLE.
        """
        if voice.party not in (offer.holder, offer.recipient):
            raise LocalError("NOT_A_PARTY", "only the holder or the recipient asks for a consent", field="holder")
        slots, disclosures = hide(offer.terms, turn.core.random_bytes)
        payload = request_payload(
            holder=offer.holder,
            recipient=offer.recipient,
            valid_until=offer.valid_until,
            notice=notice,
            slots=slots,
            expires=turn.now + days * DAY,
        )
        entry = state(turn, voice, "consent.request", ("consent", turn.core.random_bytes(RECORD_ID_BYTES)), payload)
        self._disclosing.publish(turn, entry, disclosures, also=[to])
        return entry

    def open_request(self, turn: Turn, request_id: bytes) -> OpenRequest:
        """Return a request with its terms. Raises LocalError NOT_FOUND; RemoteError for content that is wrong."""
        entry = turn.core.replica.entry(turn.rows, request_id)
        row = self._consents.get(turn.vault, request_id)
        if entry is None or row is None or row.kind != REQUEST:
            raise LocalError("NOT_FOUND", "no request with this id is known here, or its content is not", field="id")
        return OpenRequest(entry, row.disclosures.terms())

    def grant(
        self,
        turn: Turn,
        wallet: str,
        offer: Offer,
        notice: Notice,
        request: OpenRequest | None = None,
        formal: Formalities | None = None,
    ) -> tuple[Entry, Slip]:
        """Grant from a wallet kept here; return the grant, which may wait to be published, and its withdrawal slip.

        Raises LocalError as make_grant, and TOO_MANY_WAIT.
        """
        hosted = self._wallets.get(turn.vault, wallet)
        due = self._spreading.due(turn, wallet, request.entry.payload["expires"] if request is not None else None)
        seen = self._spreading.shown(turn, due)
        formal = formal or Formalities()
        entry, disclosures = make_grant(
            hosted.wallet,
            offer.terms,
            holder=offer.holder,
            recipient=offer.recipient,
            valid_until=offer.valid_until,
            notice=notice,
            request=request,
            head=seen.head,
            closure_iat=seen.closure_iat,
            now=seen.now,
            mesh_id=seen.mesh_id,
            policy=turn.core.policy,
            random_bytes=turn.core.random_bytes,
            required_parties=formal.required,
            required_quorum=formal.quorum,
            transcribed=formal.paper is not None,
            evidence=() if formal.paper is None else (formal.paper.digest(),),
        )
        self._wallets.put(turn.vault, replace(hosted, wallet=hosted.wallet.with_grant(entry)))
        self._spreading.submit(turn, entry, disclosures, wallet, due)
        return entry, hosted.wallet.slip(entry)

    def refuse(self, turn: Turn, wallet: str, request: OpenRequest, reason: str | None = None) -> Entry:
        """Refuse a request. Nobody may ask for a reason. Raises LocalError NOT_FOUND."""
        hosted, head = self._wallets.get(turn.vault, wallet), turn.shown_head()
        entry = make_refusal(
            hosted.wallet,
            request.entry,
            head=head,
            closure_iat=turn.core.replica.closure_iat(turn.rows, [head]),
            now=turn.now,
            mesh_id=turn.core.replica.mesh_id,
            random_bytes=turn.core.random_bytes,
            reason=reason,
        )
        turn.register(entry)
        self._spreading.acted(turn, wallet)
        self._registering.spread(turn, entry)
        return entry

    def end(self, turn: Turn, grant: Entry, by: Slip | str) -> Entry | None:
        """Withdraw a consent, or take it back while it waits to be published (None): then nobody ever hears of it.

        Raises LocalError as withdraw.
        """
        row = self._spreading.waiting(turn, grant.id)
        if row is None:
            return self.withdraw(turn, grant, by)
        self._ending(turn, grant, by)
        self._spreading.take_back(turn, row)
        return None

    def _ending(self, turn: Turn, grant: Entry, by: Slip | str) -> tuple[Slip, tuple[Entry, ...]]:
        """Return the key that ends a consent, and what makes it the right one. Raises LocalError NOT_YOUR_CONSENT."""
        found = hand(turn, grant, by if isinstance(by, Slip) else self._wallets.get(turn.vault, by).wallet)
        if found is None:
            told = "this wallet or slip does not withdraw this consent; check which it is"
            raise LocalError("NOT_YOUR_CONSENT", told)
        return found

    def withdraw(self, turn: Turn, grant: Entry, by: Slip | str) -> Entry:
        """Withdraw a consent, with its slip or from the wallet of that name: its giver's, or whose it became since.

        Raises LocalError NOT_YOUR_CONSENT.
        """
        hosted = self._wallets.get(turn.vault, by) if isinstance(by, str) else None
        found, head = self._ending(turn, grant, by), turn.shown_head()
        entry = make_withdrawal(
            found[0],
            grant,
            via=found[1],
            head=head,
            closure_iat=turn.core.replica.closure_iat(turn.rows, [head]),
            now=turn.now,
            random_bytes=turn.core.random_bytes,
        )
        turn.register(entry)
        name = hosted.name if hosted is not None else wallet_of(turn.vault, grant.id)
        if name:
            self._spreading.acted(turn, name)
        if hosted is not None and any(own.grant_id == grant.id for own in hosted.wallet.consents):
            self._wallets.put(turn.vault, replace(hosted, wallet=hosted.wallet.with_withdrawal(entry)))
        self._registering.spread(turn, entry)
        return entry

    def wallet_of(self, turn: Turn, grant: Entry) -> str:
        """Return the name of the wallet kept here whose consent this is now. Raises LocalError NOT_YOUR_CONSENT."""
        return whose(turn, self._wallets, grant).name

    def revoke(self, turn: Turn, grant: Entry, voice: Voice, reason_code: str, reason: str = "") -> Entry:
        """Revoke a consent as its holder or recipient (`voice`), or leave it as one whose signature it needs.

        Raises LocalError NOT_A_PARTY, PAYLOAD_SHAPE.
        """
        key = voice.key or turn.core.device
        if voice.party not in parties_of(grant) and key.public not in grant.payload.get("required_parties", ()):
            told = "only its holder, its recipient, and who had to sign it revoke a consent; the person withdraws"
            raise LocalError("NOT_A_PARTY", told)
        payload: dict[str, Any] = {"grant": grant.id, "reason_code": reason_code}
        if reason:
            payload["reason"] = reason
        return state(turn, voice, "consent.revoke", grant.thing, payload)

    def find_by_slip(self, turn: Turn, slip: Slip) -> Entry:
        """Return the grant that a slip withdraws. Raises LocalError NOT_FOUND.

        Whoever names grants that do not exist, with ids that begin like hers, hides none: those are passed over.
        """
        public = SigningKey.from_seed(slip.withdraw_seed).public
        waits = (row.grant for row in self._spreading.all_waiting(turn, slip.grant_prefix))
        own = next((grant for grant in waits if handed(grant, (), public) is not None), None)
        if own is not None:
            return own
        prefix = CONSENT + slip.grant_prefix
        seen: set[bytes] = set()
        for key, value in turn.rows.scan("things", prefix, prefix_stop(prefix)):
            grant_id = key[len(CONSENT) : len(CONSENT) + 32]
            if grant_id in seen or FactRow.decode(value).kind not in _GRANTED:
                continue
            seen.add(grant_id)
            if len(seen) > SLIP_GRANTS_MAX:
                break
            grant = turn.core.replica.grant(turn.rows, grant_id)
            if grant is not None and handed(grant, rekeys_of(turn, grant_id), public) is not None:
                return grant
        raise LocalError("NOT_FOUND", "the consent of this slip is not known here; check the slip, or ask later")
