"""A consent of ours for Solid: an access control list (WAC) and a Data Grant (SAI), both in Turtle, written only.

How it works
    The list gives the recipient's WebID `acl:Read` on one container, and nothing else. The Data Grant says who granted
    what to whom, with the DPV terms of the purpose and a link to the grant on the ledger: access follows from consent,
    and the two stay apart. Access ends when the file is taken away: Solid knows no end by itself, so `valid_until`
    stands beside.

What it does not do
    A list without a purpose is no consent: it is exported as access alone (`acl`), and never read as consent. A consent
    whose purpose is not known here cannot be exported as a Data Grant.
"""

from __future__ import annotations

import re
from typing import Final

from ledger.errors import LocalError
from node.adapters.consents.record import DPV, Ours, Standing, no_place
from node.adapters.stamps import in_utc

_IRI: Final = re.compile(r"https?://[^\s<>\"{}|\\^`]{1,300}", re.ASCII)


def acl(consent: Ours) -> bytes:
    """Return a Web Access Control list. Raises LocalError NO_PLACE once the consent has ended, DETAIL_MISSING."""
    if consent.standing is not Standing.GIVEN:
        raise no_place("A list gives access; what has ended has none, take the file away")
    webid, container = (
        _iri(consent, "webid", "the recipient's WebID"),
        _iri(consent, "container", "the data's container"),
    )
    return (
        "@prefix acl: <http://www.w3.org/ns/auth/acl#> .\n\n"
        f"# valid until {in_utc(consent.valid_until)}, under urn:maille:entry:{consent.grant}\n"
        "<#consent> a acl:Authorization ;\n"
        f"  acl:agent <{webid}> ;\n"
        f"  acl:accessTo <{container}> ;\n"
        f"  acl:default <{container}> ;\n"
        "  acl:mode acl:Read .\n"
    ).encode()


def data_grant(consent: Ours) -> bytes:
    """Return a Data Grant. Raises LocalError NO_PURPOSE, DETAIL_MISSING."""
    if not consent.terms.purpose:
        raise LocalError(
            "NO_PURPOSE", "Access without a purpose is no consent; export it with --as solid-acl", field="purpose"
        )
    webid, container = (
        _iri(consent, "webid", "the recipient's WebID"),
        _iri(consent, "container", "the data's container"),
    )
    shape = (
        f"urn:maille:vocab:{'/'.join(consent.terms.pii_type)}" if consent.terms.pii_type else "urn:maille:vocab:data"
    )
    return (
        "@prefix interop: <http://www.w3.org/ns/solid/interop#> .\n"
        "@prefix acl: <http://www.w3.org/ns/auth/acl#> .\n"
        "@prefix dpv: <https://w3id.org/dpv#> .\n"
        "@prefix dct: <http://purl.org/dc/terms/> .\n"
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"
        "@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n\n"
        f"<urn:maille:entry:{consent.grant}#grant> a interop:DataGrant, dpv:ConsentRecord ;\n"
        f"  interop:grantee <{webid}> ;\n"
        f"  interop:hasDataRegistration <{container}> ;\n"
        f"  interop:registeredShapeTree <{shape}> ;\n"
        "  interop:scopeOfGrant interop:AllFromRegistry ;\n"
        "  interop:accessMode acl:Read ;\n"
        f"  dpv:hasConsentStatus {DPV[consent.standing]} ;\n"
        f"  dpv:hasPurpose [ a dpv:Purpose ; rdfs:label {_literal(consent.terms.purpose)} ] ;\n"
        f'  dct:issued "{in_utc(consent.granted_at)}"^^xsd:dateTime ;\n'
        f'  dct:valid "{in_utc(consent.valid_until)}"^^xsd:dateTime ;\n'
        f"  dct:source <urn:maille:entry:{consent.grant}> .\n"
    ).encode()


def _addresses(consent: Ours) -> tuple[str, str]:
    """Return the recipient's WebID and the container of the data."""
    return _iri(consent, "webid", "the recipient's WebID"), _iri(consent, "container", "the data's container")


def _iri(consent: Ours, name: str, what: str) -> str:
    text = consent.detail(name, what)
    if _IRI.fullmatch(text) is None:
        raise LocalError("DETAIL_MISSING", f"{what} is an address that begins with https://", field=name)
    return text


def _literal(text: str) -> str:
    """Return a text as Turtle quotes it."""
    escaped = "".join(_ESCAPES.get(c, c if c.isprintable() else f"\\u{ord(c) & 0xFFFF:04X}") for c in text)
    return f'"{escaped}"'


_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
