"""What is done with a consent once it is given: narrow it, hand it to new keys, sign with others, pass on, delegate.

How it works
    Each function signs one entry, and refuses to sign what would have no effect elsewhere or allow more than was
    granted. `Shown` is what every act needs: the checkpoint the person was shown, the mesh, time and randomness.

What it does not do
    It keeps and sends nothing. Grants, refusals and withdrawals are in wallet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.checkpoint import Head
from ledger.consent.bounds import Bounds, wider_bounds
from ledger.consent.chain import Source, chain
from ledger.consent.disclosure import Disclosures, RandomBytes, hide, hide_bounds
from ledger.consent.grant import (
    Notice,
    Recipient,
    check_informed,
    day_before,
    grant_payload,
    read_party,
    wider_fields,
)
from ledger.consent.group import ROLE
from ledger.consent.heir import Heir, heir_of
from ledger.consent.reasons import Reason, sentence
from ledger.consent.record import Terms
from ledger.consent.standing import carried_delegation
from ledger.consent.status import Party
from ledger.consent.wallet import CTI_BYTES, RECORD_ID_BYTES, Wallet, check_policy, subject_iat
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, RemoteError
from ledger.governance.epoch import Policy
from ledger.keys import SigningKey, thumbprint


@dataclass(frozen=True, slots=True)
class Shown:
    """What an act is signed with. `head`: the newest checkpoint she was shown; times in unix seconds.

    `closure_iat`: the largest `iat` in that head's closure.
    """

    head: Head
    closure_iat: int
    now: int
    mesh_id: bytes
    random_bytes: RandomBytes

    def sign(
        self,
        key: SigningKey,
        kind: str,
        thing: tuple[str, bytes],
        payload: Mapping[str, Any],
        *,
        after: int = 0,
        exact: bool = False,
    ) -> Entry:
        """Sign an entry, dated to the hour but for `exact`, and not before `after`. Raises as sign_entry."""
        floors = (self.closure_iat, after)
        iat = max(self.now, *floors) if exact else subject_iat(self.now, *floors)
        cti = self.random_bytes(CTI_BYTES)
        return sign_entry(key, kind, thing, payload, iat=iat, cti=cti, seen=[self.head], mesh_id=self.mesh_id)


def make_amendment(
    key: SigningKey, grant: Entry, terms: Terms, narrower: Terms, shown: Shown, *, valid_until: int | None = None
) -> tuple[Entry, Disclosures]:
    """Sign an amendment that narrows a grant. `terms`: of the grant. `key`: one that the consent ever had.

    Return it with its disclosures. Raises LocalError AMENDMENT_WIDER, with every field: that needs a new grant.
    """
    wider = wider_fields(narrower, terms)
    ends = None if valid_until is None else day_before(valid_until)
    if ends is not None and ends > grant.payload["valid_until"]:
        wider = (*wider, "valid_until")
    if wider:
        told = "an amendment narrows; what is wider is a new consent, which supersedes the old one"
        raise LocalError("AMENDMENT_WIDER", told, field=", ".join(wider))
    slots, disclosures = hide(narrower, shown.random_bytes)
    payload: dict[str, Any] = {"grant": grant.id, "slots": slots}
    if ends is not None:
        payload["valid_until"] = ends
    return shown.sign(key, "consent.amend", grant.thing, payload, after=grant.iat, exact=True), disclosures


def make_signature(key: SigningKey, grant: Entry, shown: Shown) -> Entry:
    """Sign a grant as one of its required parties. Raises LocalError NOT_REQUIRED."""
    if key.public not in grant.payload.get("required_parties", ()):
        raise LocalError("NOT_REQUIRED", "the grant does not ask for a signature of this key", field="grant")
    return shown.sign(key, "consent.sign", grant.thing, {"grant": grant.id}, after=grant.iat)


def make_leaving(key: SigningKey, grant: Entry, shown: Shown, reason_code: str, reason: str = "") -> Entry:
    """Leave a grant as one of its required parties, signed or not: it is revoked where no quorum is left (C3).

    Raises LocalError NOT_REQUIRED, PAYLOAD_SHAPE.
    """
    if key.public not in grant.payload.get("required_parties", ()):
        raise LocalError("NOT_REQUIRED", "the grant does not ask for a signature of this key", field="grant")
    payload = {"grant": grant.id, "reason_code": reason_code, **({"reason": reason} if reason else {})}
    return shown.sign(key, "consent.revoke", grant.thing, payload, after=grant.iat, exact=True)


def make_rekey(key: SigningKey, grant: Entry, to: Wallet | Heir, shown: Shown, *, host: Party | None = None) -> Entry:
    """Hand a consent on to the keys that another wallet derives for it, and to the host that keeps them.

    `key`: the one in force, which does so once: a second rekey by it that differs takes the consent from both (C7).
    The old keys can withdraw and narrow for ever. Nobody is asked again. Raises LocalError OTHER_CONSENT for keys that
    were made for another one.
    """
    heir = to if isinstance(to, Heir) else heir_of(to, grant)
    if heir.grant != grant.id:
        raise LocalError("OTHER_CONSENT", "this text was made for another consent; ask for one for this", field="heir")
    payload: dict[str, Any] = {"grant": grant.id, "key": heir.key, "withdraw_key": heir.withdraw_key}
    if host is not None:
        payload["host"] = list(host)
    return shown.sign(key, "consent.rekey", grant.thing, payload, after=grant.iat, exact=True)


def make_child(
    key: SigningKey,
    parent: Entry,
    terms: Terms,
    shown: Shown,
    source: Source,
    *,
    recipient: Recipient,
    valid_until: int,
    notice: Notice,
    policy: Policy,
    withdraw_key: bytes,
) -> tuple[Entry, Disclosures]:
    """Consent that what came under `parent` goes on to `recipient`; return the child with its disclosures.

    `key`: of the parent's recipient, or the parent's own key in force. `withdraw_key`: the person's, so that she ends
    the child alone as she ends the parent. `source`: where all that the parent rests on is found. Raises LocalError
    with the gate's own code for a child that does not lie within its parent, and as make_grant.
    """
    until = day_before(valid_until)
    check_informed(terms, valid_until=until, notice=notice, granted_at=shown.now)
    check_policy(terms, until, policy, shown.now)
    slots, disclosures = hide(terms, shown.random_bytes)
    payload = grant_payload(
        holder=read_party(parent.payload["recipient"]),
        recipient=recipient,
        valid_until=until,
        notice=notice,
        slots=slots,
        withdraw_key=withdraw_key,
        parent=parent.id,
    )
    thing = ("consent", shown.random_bytes(RECORD_ID_BYTES))
    child = shown.sign(key, "consent.grant", thing, payload, after=max(parent.iat, notice.dated))
    found = chain(child, terms, source)
    if isinstance(found, Reason):
        raise LocalError(found.value, sentence(found, "en"), field="parent")
    return child, disclosures


def make_delegation(
    wallet: Wallet,
    delegate: bytes,
    role: str,
    bounds: Bounds,
    shown: Shown,
    *,
    valid_until: int,
    depth: int = 0,
    parent: tuple[Entry, Bounds] | None = None,
    college: str | None = None,
    evidence: Sequence[bytes] = (),
) -> tuple[Entry, Disclosures]:
    """Let another key (public) consent in one's name, within bounds, until a day; return it with its disclosures.

    Each delegation has keys of its own; further down a chain (`parent`, with its bounds), the delegate's key signs.
    Raises LocalError DELEGATION_WIDER, with every field.
    """
    ident = shown.random_bytes(RECORD_ID_BYTES)
    payload: dict[str, Any] = {
        "delegate": delegate,
        "withdraw_key": SigningKey.from_seed(wallet.withdraw_seed(ident)).public,
        "role": role,
        "valid_until": day_before(valid_until),
        "depth": depth,
    }
    key = wallet.consent_key(ident)
    if parent is not None:
        above, limits = parent
        key = wallet.delegate_key()
        _check_link(above, key, payload, wider_bounds(bounds, limits))
        payload["parent"] = above.id
    slots, disclosures = hide_bounds(bounds, shown.random_bytes)
    payload["slots"] = slots
    if college is not None:
        payload["college"] = college
    if evidence:
        payload["evidence"] = list(evidence)
    after = parent[0].iat if parent is not None else 0
    return shown.sign(key, "delegation.give", ("delegation", ident), payload, after=after), disclosures


def _check_link(above: Entry, key: SigningKey, payload: Mapping[str, Any], wider: tuple[str, ...]) -> None:
    if above.payload["delegate"] != key.public:
        raise LocalError("DELEGATION_NOT_YOURS", "the delegation above was given to another key", field="parent")
    if payload["valid_until"] > above.payload["valid_until"]:
        wider = (*wider, "valid_until")
    if payload["depth"] >= above.payload["depth"]:
        wider = (*wider, "depth")
    if wider:
        told = "a link lies within the one above it, ends no later and allows fewer links"
        raise LocalError("DELEGATION_WIDER", told, field=", ".join(wider))


def make_revocation(key: SigningKey, links: Sequence[Entry], shown: Shown, *, reason: str | None = None) -> Entry:
    """End a delegation. `links`: it, and those above it up to the signer's; by the delegate, it alone.

    Raises LocalError REVOKE_NOT_YOURS.
    """
    payload: dict[str, Any] = {"links": [link.raw for link in links]}
    if reason is not None:
        payload["reason"] = reason
    revocation = shown.sign(key, "delegation.revoke", links[0].thing, payload, after=links[0].iat, exact=True)
    try:
        carried_delegation(revocation)
    except RemoteError as error:
        raise LocalError(error.code, error.message) from None
    return revocation


def make_vote(key: SigningKey, call: Entry, choice: str, shown: Shown) -> Entry:
    """Vote on a call with the key that joined the group. Raises LocalError CALL_OVER outside its time."""
    if not call.payload["opens"] <= shown.now <= call.payload["closes"]:
        raise LocalError("CALL_OVER", "the call is not open for votes at this time", field="call")
    payload = {"call": call.id, "choice": choice}
    # To the second: rounded down, a vote in the first hour would lie before the call.
    return shown.sign(key, "group.vote", call.thing, payload, after=call.iat, exact=True)


def make_group_refusal(key: SigningKey, call: Entry, shown: Shown, *, reason: str | None = None) -> Entry:
    """Leave oneself out of what a call decides, at any time."""
    payload = {"call": call.id} if reason is None else {"call": call.id, "reason": reason}
    return shown.sign(key, "group.refuse", call.thing, payload, after=call.iat, exact=True)


def joins(delegation: Entry, group: bytes) -> bool:
    """Say whether a delegation joins the group with this kid."""
    payload = delegation.payload
    return delegation.kind == "delegation.give" and payload["role"] == ROLE and thumbprint(payload["delegate"]) == group
