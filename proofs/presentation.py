"""Presenting a bundle: its presenter signs it for one audience and one nonce, so that it is no bearer token.

How it works
    The signature is over a domain of its own and CBOR [digest, audience, nonce, time, key], where the digest is SHA-256
    of the file without the presentation. Who presents is told as far as the bundle proves the key: a device of a
    member, the person's own key of the consent, or the key of whoever signed it in her place.

What it does not do
    It does not say that the presenter may present: whoever holds a file can sign it with some key, and is then named.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ledger import codec, keys
from ledger.errors import LocalError, RemoteError
from ledger.keys import SigningKey
from proofs import reading
from proofs.bundle import NONCE_BYTES_MAX, TEXT_MAX, Presentation
from proofs.evidence import Evidence
from proofs.reasons import Reason
from proofs.report import Recorder, utc
from proofs.resting import is_by_another
from proofs.state import Refused
from proofs.trust import Trust

DOMAIN: Final = b"maille/presentation/v1\x00"
PRESENTED: Final = "the bundle is signed for you, with the nonce that you gave, if you gave one"


def message(digest: bytes, audience: str, nonce: bytes, time: int, public: bytes) -> bytes:
    """Return the bytes that a presenter signs. `digest`: of the file without its presentation."""
    return DOMAIN + codec.encode([digest, audience, nonce, time, public])


def present(data: bytes, key: SigningKey, audience: str, nonce: bytes, now: int) -> bytes:
    """Return the bundle signed for an audience. Raises LocalError BAD_AUDIENCE, RemoteError as `reading.decode`."""
    if not 0 < len(audience) <= TEXT_MAX or len(nonce) > NONCE_BYTES_MAX:
        told = f"an audience has 1 to {TEXT_MAX} characters, a nonce at most {NONCE_BYTES_MAX} bytes"
        raise LocalError("BAD_AUDIENCE", told, field="audience")
    bundle = replace(reading.decode(data), presentation=None)
    signature = key.sign(message(bundle.digest(), audience, nonce, now, key.public))
    return replace(bundle, presentation=Presentation(audience, nonce, now, key.public, signature)).encode()


def check_presentation(evidence: Evidence) -> str:
    """Check the presenter's signature; return who presents, or "" when nobody does. Raises Refused."""
    shown = evidence.bundle.presentation
    if shown is None:
        return ""
    try:
        keys.check_public_key(shown.public)
    except RemoteError as error:
        raise Refused(Reason.BAD_SIGNATURE, f"presentation: {error}") from None
    signed = message(evidence.bundle.digest(), shown.audience, shown.nonce, shown.time, shown.public)
    if not keys.verify(shown.public, signed, shown.signature):
        raise Refused(Reason.BAD_SIGNATURE, "presentation: its signature is not over this bundle")
    hers = [at for at, grant in enumerate(evidence.grants) if grant.signer == shown.public]
    if hers:
        own = any(not is_by_another(evidence, at) for at in hers)
        return "the person, with the key of her consent" if own else "who signed the consent in the person's place"
    keyed = evidence.find_key(keys.thumbprint(shown.public))
    return f"member {keyed.party[0].hex()}" if keyed is not None else f"an unknown key, {keys.did_key(shown.public)}"


def audit_presentation(note: Recorder, trust: Trust, evidence: Evidence, who: str) -> None:
    """Ask whether the bundle was meant for this auditor."""
    shown = evidence.bundle.presentation
    if shown is None:
        if trust.audience is not None:
            note.skipped("presentation", PRESENTED, "it is signed for nobody", Reason.NOT_PRESENTED)
        return
    words = f"by {who}, for {shown.audience!r} at {utc(shown.time)}"
    note.claims["presented"] = {"by": who, "audience": shown.audience, "time": shown.time, "nonce": shown.nonce.hex()}
    if trust.audience is None:
        note.passed("presentation", "who presents the bundle; you named no audience", words, shown.time)
    elif trust.audience != shown.audience or (trust.nonce is not None and trust.nonce != shown.nonce):
        note.failed("presentation", PRESENTED, Reason.WRONG_AUDIENCE, words, shown.time)
    else:
        words += "; you gave no nonce, so it may have been signed for another occasion" if trust.nonce is None else ""
        note.passed("presentation", PRESENTED, words, shown.time)
