"""Judging RFC 3161 time stamps by the authorities that an auditor trusts (extra `timestamp`).

How it works
    `judge_of` reads their certificates and returns what `proofs.trust.Trust.stamps` asks for: the time in a token that
    covers a given SHA-256 and was signed by one of them. The library is loaded then, and only then.

What it does not do
    It opens no connection, and asks no authority whether a certificate was revoked since.
"""

from __future__ import annotations

from typing import Any, Final

from ledger.errors import LocalError, RemoteError
from proofs.trust import StampJudge

SHA256_OID: Final = "2.16.840.1.101.3.4.2.1"


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
