"""A subject's wallet, as a pure value: one seed, a fresh pair of keys for each consent, and the acts of a person.

How it works
    Each consent has a random record id. Two keys derive from the wallet's seed and that id: one signs the
    grant, the other can only withdraw it. No two consents share a key, and only the seed can link them. A
    refusal is signed by a key derived from the request it answers.

    An entry's `iat` is rounded down to the hour, so that its time does not link it to anything. ledger.md §3 is
    stronger: `iat` may not lie before any `iat` in the closure of what the person was shown (`closure_iat`), so
    the rounding stops there; for a grant it also stops at the date of the notice, which must come first.

What it does not do
    It keeps nothing: `Wallet.with_grant` returns a new value, and `encode` leaves the seed to the keystore. It
    cannot know that the head it is shown is published; a withdrawal takes effect without it (ledger.md §3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ledger import codec
from ledger.checkpoint import Head
from ledger.consent.disclosure import Disclosures, RandomBytes, hide
from ledger.consent.grant import (
    Notice,
    Recipient,
    check_grant_against_request,
    check_informed,
    day_before,
    forbidden_names,
    grant_payload,
    purpose_names,
)
from ledger.consent.record import Terms
from ledger.consent.slip import PREFIX_BYTES, Slip
from ledger.consent.standing import carried_grant, handed
from ledger.consent.status import Party
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, RemoteError
from ledger.governance.epoch import Policy
from ledger.keys import SigningKey, derive_seed
from ledger.schema import DAY

HOUR: Final = 3_600  # seconds
RECORD_ID_BYTES: Final = 16
CTI_BYTES: Final = 16
WALLET_MAX: Final = 1_048_576
"""The largest encoded wallet, in bytes: about ten thousand consents."""

_CONSENT: Final = "maille consent"
_WITHDRAW: Final = "maille withdraw"
_REFUSE: Final = "maille refuse"
_DELEGATE: Final = "maille delegate"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class OwnConsent:
    """One consent of the wallet's owner: its record id, its grant's id, and its withdrawal's id once withdrawn."""

    record_id: bytes
    grant_id: bytes
    withdrawal_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wallet:
    """A person's seed (32 bytes) and the consents she has given, oldest first."""

    seed: bytes
    consents: tuple[OwnConsent, ...] = ()

    def __repr__(self) -> str:
        """Show how many consents there are, never the seed."""
        return f"Wallet({len(self.consents)} consents)"

    def consent_key(self, record_id: bytes) -> SigningKey:
        """Return the key of one consent. Raises LocalError BAD_SEED."""
        return SigningKey.from_seed(derive_seed(self.seed, _CONSENT, record_id))

    def withdraw_seed(self, record_id: bytes) -> bytes:
        """Return the seed of the key that can only withdraw this consent: what the slip prints."""
        return derive_seed(self.seed, _WITHDRAW, record_id)

    def refusal_key(self, request_id: bytes) -> SigningKey:
        """Return the key that refuses one request. Raises LocalError BAD_SEED."""
        return SigningKey.from_seed(derive_seed(self.seed, _REFUSE, request_id))

    def delegate_key(self) -> SigningKey:
        """Return the key to which others delegate: as a person who acts for them, or as a group."""
        return SigningKey.from_seed(derive_seed(self.seed, _DELEGATE, b""))

    def with_grant(self, grant: Entry, via: Sequence[Entry] = ()) -> Wallet:
        """Return the wallet with this consent of its own, kept once; `via`: rekeys by which it was handed to it.

        Raises LocalError NOT_YOUR_CONSENT.
        """
        self.check_own(grant, via)
        if any(own.grant_id == grant.id for own in self.consents):
            return self
        return replace(self, consents=(*self.consents, OwnConsent(grant.thing[1], grant.id)))

    def with_withdrawal(self, withdrawal: Entry) -> Wallet:
        """Return the wallet after this withdrawal of one of its consents. Raises LocalError NOT_YOUR_CONSENT."""
        grant_id = Entry.parse(withdrawal.payload["grant"]).id
        if all(own.grant_id != grant_id for own in self.consents):
            raise LocalError("NOT_YOUR_CONSENT", "the withdrawal is not of a consent of this wallet")
        marked = (
            replace(own, withdrawal_id=withdrawal.id) if own.grant_id == grant_id else own for own in self.consents
        )
        return replace(self, consents=tuple(marked))

    def check_own(self, grant: Entry, via: Sequence[Entry] = ()) -> None:
        """Refuse a grant that this wallet did not sign, nor got by these rekeys. Raises LocalError NOT_YOUR_CONSENT."""
        keys = (self.consent_key(grant.thing[1]).public, self.delegate_key().public)
        own = grant.kind == "consent.grant" and grant.signer in keys
        if not own and not (via and handed(grant, via, keys[0]) is not None):
            raise LocalError("NOT_YOUR_CONSENT", "the grant was not signed by this wallet; use the one that did")

    def slip(self, grant: Entry, via: Sequence[Entry] = ()) -> Slip:
        """Return the withdrawal slip of one's own consent. Raises LocalError NOT_YOUR_CONSENT."""
        self.check_own(grant, via)
        return Slip(self.withdraw_seed(grant.thing[1]), grant.id[:PREFIX_BYTES])

    def encode(self) -> bytes:
        """Return the list of consents as CBOR, for the vault; never the seed. Raises LocalError WALLET_TOO_LARGE."""
        rows = [[own.record_id, own.grant_id, own.withdrawal_id] for own in self.consents]
        data = codec.encode([_VERSION, rows])
        if len(data) > WALLET_MAX:
            raise LocalError("WALLET_TOO_LARGE", f"a wallet's list has at most {WALLET_MAX} bytes; begin another")
        return data

    @classmethod
    def decode(cls, seed: bytes, data: bytes) -> Wallet:
        """Read what `encode` wrote. Raises RemoteError CBOR_*, WALLET_MALFORMED."""
        match codec.decode(data, max_bytes=WALLET_MAX):
            case [int(version), list(rows)] if version == _VERSION:
                return cls(seed, tuple(map(_own_consent, rows)))
            case _:
                raise RemoteError("WALLET_MALFORMED", f"a wallet's list is [{_VERSION}, rows]; restore a backup")


def _own_consent(row: object) -> OwnConsent:
    match row:
        case [bytes(record_id), bytes(grant_id), bytes() | None as withdrawal_id] if (
            len(record_id) == RECORD_ID_BYTES and len(grant_id) == 32 and len(withdrawal_id or bytes(32)) == 32
        ):
            return OwnConsent(record_id, grant_id, withdrawal_id)
        case _:
            raise RemoteError("WALLET_MALFORMED", "a row is [record id, grant id, withdrawal id or null]")


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request the person was shown: the entry, and its terms as its disclosures tell them."""

    entry: Entry
    terms: Terms


@dataclass(frozen=True, slots=True)
class Rests:
    """What a grant is given under, by entry id: a delegation, the consent it passes on, the call of a group."""

    delegation: bytes | None = None
    parent: bytes | None = None
    call: bytes | None = None


def subject_iat(now: int, *not_before: int) -> int:
    """Round `now` down to the hour, but not below any of `not_before`: that rule is the stronger one (ledger.md §3)."""
    return max((now - now % HOUR, *not_before))


def make_grant(
    wallet: Wallet,
    terms: Terms,
    *,
    holder: Party,
    recipient: Recipient,
    valid_until: int,
    notice: Notice,
    request: OpenRequest | None,
    head: Head,
    closure_iat: int,
    now: int,
    mesh_id: bytes,
    policy: Policy,
    random_bytes: RandomBytes,
    supersedes: bytes | None = None,
    rests: Rests | None = None,
    required_parties: Sequence[bytes] = (),
    required_quorum: int | None = None,
    transcribed: bool = False,
    evidence: Sequence[bytes] = (),
) -> tuple[Entry, Disclosures]:
    """Sign a grant; return it with its disclosures. Keep both: `with_grant` for the wallet, the vault for the rest.

    `rests`: what it is given under; under a delegation, the wallet's delegate key signs.

    `head`: the newest checkpoint she was shown; `closure_iat`: the largest `iat` or `as_of` in its closure.
    Times in unix seconds. Raises LocalError CONSENT_NOT_INFORMED (every item), FORBIDDEN_PURPOSE, TOO_LONG,
    REQUEST_EXPIRED, GRANT_WIDER, UNENCODABLE, and what sign_entry raises.
    """
    check_informed(terms, valid_until=day_before(valid_until), notice=notice, granted_at=now)
    check_policy(terms, valid_until, policy, now)
    record_id = random_bytes(RECORD_ID_BYTES)
    slots, disclosures = hide(terms, random_bytes)
    payload = grant_payload(
        holder=holder,
        recipient=recipient,
        valid_until=valid_until,
        notice=notice,
        slots=slots,
        withdraw_key=SigningKey.from_seed(wallet.withdraw_seed(record_id)).public,
        request=None if request is None else request.entry.id,
        supersedes=supersedes,
        delegation=rests.delegation if rests is not None else None,
        parent=rests.parent if rests is not None else None,
        call=rests.call if rests is not None else None,
        required_parties=required_parties,
        required_quorum=required_quorum,
        transcribed=transcribed,
        evidence=evidence,
    )
    if request is not None:
        check_grant_against_request(payload, terms, request.entry.payload, request.terms, now=now)
    delegated = rests is not None and rests.delegation is not None
    grant = sign_entry(
        wallet.delegate_key() if delegated else wallet.consent_key(record_id),
        "consent.grant",
        ("consent", record_id),
        payload,
        iat=subject_iat(now, closure_iat, notice.dated),
        cti=random_bytes(CTI_BYTES),
        seen=[head],
        mesh_id=mesh_id,
    )
    return grant, disclosures


def check_policy(terms: Terms, valid_until: int, policy: Policy, now: int) -> None:
    """Refuse at grant time what the gate would deny for ever. Raises LocalError FORBIDDEN_PURPOSE, TOO_LONG."""
    if forbidden_names(policy.forbidden_purposes) & purpose_names(terms):
        raise LocalError("FORBIDDEN_PURPOSE", "the mesh forbids this purpose; nobody can grant it", field="purpose")
    if day_before(valid_until) > now + policy.consent_days_max * DAY:
        days = policy.consent_days_max
        raise LocalError("TOO_LONG", f"a consent lasts at most {days} days; choose an earlier end", field="valid_until")


def make_refusal(
    wallet: Wallet,
    request: Entry,
    *,
    head: Head,
    closure_iat: int,
    now: int,
    mesh_id: bytes,
    random_bytes: RandomBytes,
    reason: str | None = None,
) -> Entry:
    """Sign a refusal of `request`. A reason may be given, none may be asked for (consent.md §2)."""
    payload: dict[str, object] = {"request": request.id}
    if reason is not None:
        payload["reason"] = reason
    return sign_entry(
        wallet.refusal_key(request.id),
        "consent.refuse",
        request.thing,
        payload,
        iat=subject_iat(now, closure_iat, request.iat),
        cti=random_bytes(CTI_BYTES),
        seen=[head],
        mesh_id=mesh_id,
    )


def make_withdrawal(
    by: Wallet | Slip,
    grant: Entry,
    *,
    via: Sequence[Entry] = (),
    head: Head,
    closure_iat: int,
    now: int,
    random_bytes: RandomBytes,
) -> Entry:
    """Sign a withdrawal with the key that can only withdraw: from the wallet, or from the paper slip alone.

    It carries its grant whole, so that any member can judge and register it. `via`: where the grant does not name this
    key, what makes it hers: rekeys of the consent, oldest first, or the delegation and those above it. Raises
    LocalError NOT_YOUR_CONSENT when the key may not withdraw it.
    """
    ident = via[-1].thing[1] if via and via[-1].kind == "delegation.give" else grant.thing[1]
    seed = by.withdraw_seed if isinstance(by, Slip) else by.withdraw_seed(ident)
    key = SigningKey.from_seed(seed)
    if grant.kind != "consent.grant" or (not via and key.public != grant.payload["withdraw_key"]):
        raise LocalError("NOT_YOUR_CONSENT", "this wallet or slip does not withdraw this consent; check which it is")
    withdrawal = sign_entry(
        key,
        "consent.withdraw",
        grant.thing,
        {"grant": grant.raw, **({"via": [entry.raw for entry in via]} if via else {})},
        # To the second, unlike a grant's: a withdrawal goes out at once, so that its time is seen anyway, and an hour's
        # blur would leave every transfer of that hour undecided between "before" and "after" (ledger.md §7).
        iat=max(now, closure_iat, grant.iat),
        cti=random_bytes(CTI_BYTES),
        seen=[head],
        mesh_id=grant.mesh_id,
    )
    try:
        carried_grant(withdrawal)
    except RemoteError as error:
        raise LocalError("NOT_YOUR_CONSENT", error.message) from None
    return withdrawal
