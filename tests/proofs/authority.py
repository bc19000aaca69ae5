"""A time-stamping authority for tests: RFC 3161 answers over any SHA-256, signed with a key that a root certified.

How it works
    `cryptography` makes keys, certificates and signatures; the few DER structures that it does not know (TSTInfo, the
    signed attributes, SignedData, TimeStampResp) are written here by hand, tag by tag (RFC 3161, RFC 5652, RFC 5035).

What it does not do
    It keeps no serial numbers and asks nobody for the time: the test says it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SHA256 = "2.16.840.1.101.3.4.2.1"
ECDSA_SHA256 = "1.2.840.10045.4.3.2"
SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.47"


def der(tag: int, *parts: bytes) -> bytes:
    """Return one DER value."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE."""
    return der(0x30, *parts)


def integer(value: int) -> bytes:
    """Return an INTEGER, not negative."""
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    first, second, *rest = map(int, dotted.split("."))
    out = bytearray((first * 40 + second,))
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        out += bytes(reversed(groups))
    return der(0x06, bytes(out))


class Authority:
    """A root and the key that it certified for time stamps. `at`: within the certificates' ten years, unix seconds."""

    def __init__(self, name: str, at: int) -> None:
        begun = datetime.fromtimestamp(at, UTC) - timedelta(days=365)
        self._key, root_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root_name, own = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {n}")]) for n in ("root", "unit"))

        def certify(
            subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: tuple[x509.ExtensionType, bool]
        ) -> x509.Certificate:
            built = x509.CertificateBuilder().subject_name(subject).issuer_name(root_name).public_key(key)
            built = built.serial_number(x509.random_serial_number())
            built = built.not_valid_before(begun).not_valid_after(begun + timedelta(days=3_650))
            for extension, critical in extensions:
                built = built.add_extension(extension, critical)
            return built.sign(root_key, hashes.SHA256())

        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        self.root = certify(root_name, root_key.public_key(), (x509.BasicConstraints(True, None), True))
        stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        self._unit = certify(own, self._key.public_key(), (usage, True), (stamping, True))

    def pem(self) -> bytes:
        """Return the root's certificate as PEM."""
        return self.root.public_bytes(Encoding.PEM)

    def stamp(self, digest: bytes, at: int, *, algorithm: str = SHA256) -> bytes:
        """Return the answer that covers a digest at a time, unix seconds."""
        when = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d%H%M%SZ").encode()
        imprint = sequence(sequence(oid(algorithm), der(0x05)), der(0x04, digest))
        info = sequence(integer(1), oid("1.2.3.4.1"), imprint, integer(at), der(0x18, when))
        unit = self._unit.public_bytes(Encoding.DER)
        named = sequence(sequence(sequence(der(0x04, sha256(unit).digest()))))
        attributes = sorted(
            sequence(oid(kind), der(0x31, value))
            for kind, value in (
                (CONTENT_TYPE, oid(TST_INFO)),
                (MESSAGE_DIGEST, der(0x04, sha256(info).digest())),
                (SIGNING_CERTIFICATE, named),
            )
        )
        signature = self._key.sign(der(0x31, *attributes), ec.ECDSA(hashes.SHA256()))
        signer = sequence(
            integer(1),
            sequence(self._unit.issuer.public_bytes(), integer(self._unit.serial_number)),
            sequence(oid(SHA256)),
            der(0xA0, *attributes),
            sequence(oid(ECDSA_SHA256)),
            der(0x04, signature),
        )
        content = sequence(oid(TST_INFO), der(0xA0, der(0x04, info)))
        signed = sequence(integer(3), der(0x31, sequence(oid(SHA256))), content, der(0xA0, unit), der(0x31, signer))
        return sequence(sequence(integer(0)), sequence(oid(SIGNED_DATA), der(0xA0, signed)))
