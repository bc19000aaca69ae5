"""A consent as an ODRL 2.2 agreement with terms of the W3C Data Privacy Vocabulary, in JSON-LD.

How it works
    The assigner is the person (the key of this consent), the assignee the recipient; the holder has the data, the
    target. Purpose, period and the data's granularity are constraints; deletion at the end of retention is a duty. The
    same node is a `dpv:ConsentRecord` with its status, notice, legal basis and parties. The context stands inside: no
    reader has to fetch one.

What it does not do
    It is no contract and enforces nothing. Terms of energy data that DPV lacks stand under `maille:`.
"""

from __future__ import annotations

from typing import Any, Final

from proofs.exports.records import kind_of
from proofs.exports.shown import Shown, actor_id, party_id, utc

CONTEXT: Final = {
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "dpv": "https://w3id.org/dpv#",
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "maille": "urn:maille:vocab:",
    "id": "@id",
    "type": "@type",
}
"""Prefixes; none of them is fetched."""
STATUS: Final = {
    "GRANTED": "dpv:ConsentGiven",
    "INCOMPLETE": "dpv:ConsentRequested",
    "WITHDRAWN": "dpv:ConsentWithdrawn",
    "REVOKED": "dpv:ConsentRevoked",
}
"""What a consent's state is called in DPV; one to one."""
BASES: Final = {
    "consent": "dpv:Consent",
    "contract": "dpv:Contract",
    "legal_obligation": "dpv:LegalObligation",
    "vital_interests": "dpv:VitalInterest",
    "public_interest": "dpv:PublicInterest",
    "legitimate_interest": "dpv:LegitimateInterest",
}
"""Legal bases in DPV."""


def odrl(shown: Shown) -> dict[str, Any]:
    """Return the agreement as JSON-LD; what is not disclosed is not there. Raises LocalError EXPORT_NOT_JUDGED."""
    shown.need()
    claims, values, target = shown.claims, shown.values, f"{shown.grant}#data"
    permission: dict[str, Any] = {
        "odrl:target": {"id": target},
        "odrl:action": {"id": "odrl:use"},
        "odrl:constraint": _constraints(shown),
    }
    if "retention" in values:
        permission["odrl:duty"] = {
            "odrl:action": {"id": "odrl:delete"},
            "odrl:constraint": _constraint("odrl:delayPeriod", "odrl:eq", _typed(values["retention"], "xsd:duration")),
        }
    found: dict[str, Any] = {
        "@context": CONTEXT,
        "id": shown.grant,
        "type": ["odrl:Agreement", "dpv:ConsentRecord"],
        "odrl:uid": {"id": shown.grant},
        "dct:identifier": shown.record,
        "dct:issued": _typed(utc(claims["granted_at"]), "xsd:dateTime"),
        "dct:valid": _typed(utc(claims["valid_until"]), "xsd:dateTime"),
        "odrl:assigner": {"id": claims["principal"], "type": "dpv:DataSubject"},
        "odrl:assignee": {"id": party_id(claims["recipient"]), "type": "dpv:Recipient"},
        "odrl:permission": permission,
        "dpv:hasDataSubject": {"id": claims["principal"]},
        "dpv:hasRecipient": {"id": party_id(claims["recipient"])},
        "dpv:hasDataExporter": {"id": party_id(claims["holder"])},
        "dpv:hasNotice": {"id": shown.notice, "type": "dpv:ConsentNotice"},
        "maille:mesh": shown.mesh,
        "maille:bundle": {"id": f"urn:sha256:{shown.bundle}"},
        **_disclosed(shown, target),
    }
    if shown.state in STATUS:
        found["dpv:hasConsentStatus"] = {"id": STATUS[shown.state]}
    return found


def _constraints(shown: Shown) -> list[dict[str, Any]]:
    values = shown.values
    until = _typed(utc(shown.claims["valid_until"]), "xsd:dateTime")
    found = [_constraint("odrl:dateTime", "odrl:lt", until)]
    if "purpose" in values:
        found.append(_constraint("odrl:purpose", "odrl:eq", values["purpose"]))
    if values.get("granularity"):
        size = _typed(values["granularity"], "xsd:duration")
        found.append(_constraint("odrl:timeInterval", "odrl:gteq", size))
    return found


def _disclosed(shown: Shown, target: str) -> dict[str, Any]:
    values = shown.values
    found: dict[str, Any] = {}
    if "purpose" in values:
        kind = values.get("purpose_category", "")
        purpose = {"type": kind if kind.startswith("dpv:") else "dpv:Purpose", "rdfs:label": values["purpose"]}
        found["dpv:hasPurpose"] = purpose
    if "legal_basis" in values:
        found["dpv:hasLegalBasis"] = {"id": BASES[values["legal_basis"]]}
    if "controllers" in values:
        found["dpv:hasDataController"] = [
            {"id": actor_id(actor, f"{shown.grant}#controller-{at}"), "rdfs:label": actor["name"]}
            for at, actor in enumerate(values["controllers"], 1)
        ]
    data: dict[str, Any] = {"id": target, "type": ["odrl:Asset", "dpv:PersonalData"]}
    if values.get("pii_type"):
        data["rdfs:label"] = kind_of(values)
    if "points" in values:
        data["dct:identifier"] = values["points"]
    if "data_period" in values:
        data["maille:dataPeriod"] = [f"{utc(start)}/{utc(stop)}" for start, stop in values["data_period"]]
    found["dpv:hasPersonalData"] = data
    if "jurisdiction" in values:
        found["dpv:hasJurisdiction"] = {"rdfs:label": values["jurisdiction"]}
    return found


def _constraint(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"odrl:leftOperand": {"id": left}, "odrl:operator": {"id": operator}, "odrl:rightOperand": right}


def _typed(value: str, kind: str) -> dict[str, str]:
    return {"@value": value, "@type": kind}
