"""What makes a key another's: the entries that a withdrawal or a revocation carries, so that it is judged anywhere.

How it works
    A withdrawal carries its grant whole. Where another key than the grant's own signs, `via` carries the entries by
    which that key came to stand for the person: rekeys of the consent, each signed by a key it had before; and the
    delegation it was given under, with those above it. A revocation of a delegation carries the delegation and those
    above it, up to the signer's. Everything carried is verified, must be needed, and must be of the same mesh: so the
    verdict follows from the bytes alone, whatever a node holds.

What it does not do
    It reads no state. Old keys stay good for these acts for ever: they only take away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256

from ledger.consent.kinds import VIA_MAX
from ledger.entry import Entry
from ledger.errors import RemoteError

Verified = Callable[[bytes], bool]
"""Whether an entry with an id was verified here before, which spares doing it again."""


def _never(_: bytes) -> bool:
    return False


def _carried(raw: bytes, is_verified: Verified) -> Entry:
    ident = sha256(raw).digest()
    return Entry.vouched(raw, ident) if is_verified(ident) else Entry.decode(raw)


def carried_grant(withdrawal: Entry, is_verified: Verified = _never) -> Entry:
    """Return the grant a withdrawal carries, verified, if the withdrawal's signer may withdraw it.

    Raises RemoteError with the own fault of what is carried, or WITHDRAW_NOT_YOURS.
    """
    grant = _carried(withdrawal.payload["grant"], is_verified)
    if grant.kind != "consent.grant" or grant.thing != withdrawal.thing or grant.mesh_id != withdrawal.mesh_id:
        raise RemoteError("WITHDRAW_NOT_YOURS", "the entry carried is not the grant that is named", field="grant")
    via = [_carried(raw, is_verified) for raw in withdrawal.payload.get("via", ())]
    if withdrawal.signer not in _ending_keys(grant, via):
        raise RemoteError(
            "WITHDRAW_NOT_YOURS",
            "only the person's key or the withdraw key of this grant may withdraw it, or a key that it was handed to, "
            "or one above in its delegation; carry what shows it",
        )
    return grant


def _ending_keys(grant: Entry, via: list[Entry]) -> set[bytes]:
    """Return the keys (public) that may withdraw. Raises RemoteError WITHDRAW_NOT_YOURS for an entry of no use."""
    handed = {grant.signer}  # what may hand the consent on
    ending = {grant.signer, grant.payload["withdraw_key"]}
    above = grant.payload.get("delegation")
    for entry in via:
        payload = entry.payload
        same = entry.mesh_id == grant.mesh_id
        if same and entry.kind == "consent.rekey" and payload["grant"] == grant.id and entry.signer in handed:
            handed.add(payload["key"])
            ending |= {payload["key"], payload["withdraw_key"]}
        elif same and entry.kind == "delegation.give" and entry.id == above:
            above = payload.get("parent")
            ending |= {entry.signer, payload["withdraw_key"]}
        else:
            raise RemoteError("WITHDRAW_NOT_YOURS", "what is carried beside the grant gives no key to it", field="via")
    return ending


def handed(grant: Entry, rekeys: Iterable[Entry], key: bytes) -> tuple[Entry, ...] | None:
    """Return the rekeys, oldest first, that make a public key one of a grant's: what a withdrawal by it must carry.

    () where the grant itself names the key; None where nothing leads to it, or more than a withdrawal can carry.
    Of several ways the shortest, then the one of the smallest ids.
    """
    if key in (grant.signer, grant.payload["withdraw_key"]):
        return ()
    known = sorted((entry for entry in rekeys if entry.payload["grant"] == grant.id), key=lambda entry: entry.id)
    ways: dict[bytes, tuple[Entry, ...]] = {grant.signer: ()}
    for _ in range(VIA_MAX):
        fresh: dict[bytes, tuple[Entry, ...]] = {}
        for entry in known:
            if entry.signer not in ways:
                continue
            way = (*ways[entry.signer], entry)
            if key in (entry.payload["key"], entry.payload["withdraw_key"]):
                return way
            fresh.setdefault(entry.payload["key"], way)
        ways = fresh | ways
    return None


def carried_delegation(revocation: Entry, is_verified: Verified = _never) -> Entry:
    """Return the delegation a revocation carries, verified, if the revocation's signer may end it.

    Raises RemoteError with the own fault of what is carried, or REVOKE_NOT_YOURS.
    """
    links = [_carried(raw, is_verified) for raw in revocation.payload["links"]]
    first, above = links[0], links[0].id
    keys = {first.payload["delegate"]} if first.kind == "delegation.give" else set()
    for link in links:
        if link.kind != "delegation.give" or link.id != above or link.mesh_id != revocation.mesh_id:
            raise RemoteError("REVOKE_NOT_YOURS", "what is carried is not the delegation and those above it")
        above = link.payload.get("parent", b"")
        keys |= {link.signer, link.payload["withdraw_key"]}
    if first.thing != revocation.thing or revocation.signer not in keys:
        told = "only a key of this delegation, of one above it that is carried, or the delegate's may end it"
        raise RemoteError("REVOKE_NOT_YOURS", told)
    return first
