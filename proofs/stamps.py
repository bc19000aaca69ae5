"""RFC 3161 time stamps: an authority outside the mesh says by when something existed (extra `timestamp`).

How it works
    A bundle may carry tokens over a tick's frontier, a checkpoint's note or an entry. `stampable` names what can be
    stamped, with the SHA-256 that a request must carry; `with_stamps` puts tokens in. Whether a token is good is the
    auditor's to say: `judge_of` makes a judge from the certificates of authorities that she trusts. A token that she
    cannot judge counts for nothing, and the report says so.

What it does not do
    It opens no connection: the caller fetches tokens. The library is loaded when a judge is made, and only then, so
    that a verifier without it verifies all the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from ledger.errors import LocalError, RemoteError
from proofs import reading
from proofs.bundle import Stamp
from proofs.trust import StampJudge

SHA256_OID: Final = "2.16.840.1.101.3.4.2.1"


def stampable(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return (what, number, SHA-256) of the ticks and entries of a bundle. Raises RemoteError as `reading.decode`."""
    from ledger.replica import digest_of

    bundle = reading.decode(data)
    found = [(0, number, digest_of(tick.frontier)) for number, tick in enumerate(bundle.ticks)]
    return found + [(2, number, item.id) for number, item in enumerate(bundle.entries)]


def with_stamps(data: bytes, stamps: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return the bundle with these time stamps, (what, number, token), instead of any; unsigned for an audience."""
    listed = tuple(Stamp(*each) for each in sorted(stamps))
    made = replace(reading.decode(data), stamps=listed, presentation=None).encode()
    reading.decode(made)
    return made


def judge_of(certificates: bytes) -> StampJudge:
    """Return what judges tokens by the authorities of a PEM file, roots or issuers.

    Raises LocalError NO_TIMESTAMP_LIBRARY, BAD_AUTHORITY.
    """
    try:
        from cryptography import x509
        from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response
    except ImportError:
        told = "time stamps need the extra `timestamp`: pip install 'maille[timestamp]'"
        raise LocalError("NO_TIMESTAMP_LIBRARY", told, field="authority") from None
    try:
        roots = x509.load_pem_x509_certificates(certificates)
    except ValueError:
        raise LocalError("BAD_AUTHORITY", "this is no PEM file of certificates", field="authority") from None

    def judge(token: bytes, digest: bytes) -> int:
        try:
            response: Any = decode_timestamp_response(token)
            builder = VerifierBuilder()
            for root in roots:
                builder = builder.add_root_certificate(root)
            builder.build().verify(response, digest)
            info = response.tst_info
            hashed, time = info.message_imprint.hash_algorithm.dotted_string, int(info.gen_time.timestamp())
        except (VerificationError, ValueError, TypeError, AttributeError) as error:
            raise RemoteError("BAD_STAMP", f"the time stamp is not good: {error}") from None
        if hashed != SHA256_OID:
            raise RemoteError("BAD_STAMP", "the time stamp is not over a SHA-256")
        return time

    return judge
