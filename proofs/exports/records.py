"""Consent records and receipts in JSON: ISO/IEC TS 27560:2023, and Kantara Consent Receipt 1.1.

How it works
    Both say what the claims of a verified bundle say, under the names of their format. Where a format demands what was
    withheld, the export is refused and says which fields to disclose. What the ledger does not know stands empty: the
    postal address and the telephone of a controller (Kantara), the language of the notice (left out).

What it does not do
    They are unsigned copies; `proof` names the bundle that proves what they say. They are made for one consent.
"""

from __future__ import annotations

from typing import Any, Final

from proofs.exports.shown import Shown, actor_id, party_id, utc

SCHEMA_27560: Final = "ISO/IEC TS 27560:2023"
KANTARA_VERSION: Final = "KI-CR-v1.1.0"
EVENT_STATES: Final = {
    "GRANTED": "given",
    "INCOMPLETE": "requested",
    "WITHDRAWN": "withdrawn",
    "REVOKED": "revoked",
}
"""What a consent's state is called in the events of a 27560 record."""

NEEDED_27560: Final = (
    "purpose",
    "pii_type",
    "controllers",
    "recipients",
    "retention",
    "storage",
    "jurisdiction",
    "withdrawal_method",
)
"""Fields that TS 27560 makes mandatory and that only a disclosure shows."""
NEEDED_KANTARA: Final = (
    "purpose",
    "purpose_category",
    "pii_type",
    "controllers",
    "onward_sharing",
    "retention",
    "jurisdiction",
)
"""The same for Kantara 1.1."""


def iso27560(shown: Shown) -> dict[str, Any]:
    """Return a consent record after ISO/IEC TS 27560. Raises LocalError EXPORT_WITHHELD."""
    shown.need(*NEEDED_27560)
    values = shown.values
    actors = [*values["controllers"], *values.get("processors", []), *values["recipients"]]
    parties = [_party(actor, number) for number, actor in enumerate(actors, 1)]
    ids = {role: [one["party_id"] for one in parties if one["party_role"] in roles] for role, roles in _ROLES.items()}
    return {
        "schema_version": SCHEMA_27560,
        "record_id": shown.record,
        "pii_principal_id": shown.claims["principal"],
        "pii_processing": {
            "privacy_notice": shown.notice,
            "purposes": [_purpose(shown, ids)],
        },
        "party_identification": parties,
        "event": _events(shown),
        "proof": {"mesh_id": shown.mesh, "entry": shown.grant, "bundle_sha256": shown.bundle},
    }


_ROLES: Final = {
    "controllers": ("controller", "joint_controller"),
    "processors": ("processor", "sub_processor"),
    "recipients": ("recipient", "category"),
}


def _party(actor: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "party_id": actor_id(actor, f"party-{number}"),
        "party_name": actor["name"],
        "party_role": actor["role"],
        "party_contact": actor["contact"],
    }


def _purpose(shown: Shown, ids: dict[str, list[str]]) -> dict[str, Any]:
    values, claims = shown.values, shown.claims
    found: dict[str, Any] = {
        "purpose": values["purpose"],
        "purpose_type": values.get("purpose_category"),
        "lawful_basis": values.get("legal_basis"),
        "pii_information": [{"pii_type": kind_of(values), "pii_attribute_id": values.get("points")}],
        "granularity": values.get("granularity"),
        "data_period": [[utc(start), utc(stop)] for start, stop in values.get("data_period", [])] or None,
        "pii_controllers": ids["controllers"],
        "pii_processors": ids["processors"],
        "recipient_third_parties": ids["recipients"],
        "storage_locations": values["storage"],
        "retention_period": values["retention"],
        "jurisdiction": values["jurisdiction"],
        "withdrawal_method": values["withdrawal_method"],
        "privacy_rights": values.get("rights"),
        "authority_party": values.get("authority"),
        "validity_duration": {"from": utc(claims["granted_at"]), "until": utc(claims["valid_until"])},
        "collection_method": shown.collection,
    }
    found = {name: value for name, value in found.items() if value is not None}
    found["pii_information"] = [
        {name: value for name, value in one.items() if value is not None} for one in found["pii_information"]
    ]
    return found


def _events(shown: Shown) -> list[dict[str, Any]]:
    principal = shown.claims["principal"]
    given = {"event_type": "explicit", "event_state": "given", "event_time": utc(shown.claims["granted_at"])}
    events = [{**given, "entity_id": principal}]
    status, ended = shown.claims.get("status"), shown.claims.get("ended")
    if ended:
        times = {"not_before": utc(ended["not_before"]), "not_after": utc(ended["not_after"])}
        events.append({"event_type": "explicit", "event_state": EVENT_STATES[ended["state"]], **times})
    elif status and status["state"] in EVENT_STATES and status["state"] != "GRANTED":
        state, by = EVENT_STATES[status["state"]], utc(status["as_of"])
        events.append({"event_type": "explicit", "event_state": state, "not_after": by})
    return events


def kantara(shown: Shown) -> dict[str, Any]:
    """Return a consent receipt after Kantara 1.1. Raises LocalError EXPORT_WITHHELD."""
    shown.need(*NEEDED_KANTARA)
    values, sharing = shown.values, shown.values["onward_sharing"]
    purpose: dict[str, Any] = {
        "purpose": values["purpose"],
        "purposeCategory": [values["purpose_category"]],
        "consentType": "EXPLICIT",
        "piiCategory": [kind_of(values)],
        "primaryPurpose": True,
        "termination": f"{utc(shown.claims['valid_until'])}, kept for {values['retention']} more",
        "thirdPartyDisclosure": sharing["mode"] != "none",
    }
    if sharing["mode"] != "none":
        names = ", ".join(actor["name"] for actor in sharing["listed"])
        purpose["thirdPartyName"] = names or f"along {sharing['depth']} more steps"
    return {
        "version": KANTARA_VERSION,
        "jurisdiction": values["jurisdiction"],
        "consentTimestamp": shown.claims["granted_at"],
        "collectionMethod": shown.collection,
        "consentReceiptID": shown.record,
        "publicKey": shown.claims["principal"],
        "piiPrincipalId": shown.claims["principal"],
        "piiControllers": [_controller(actor) for actor in values["controllers"]],
        "policyUrl": shown.notice,
        "services": [{"service": party_id(shown.claims["recipient"]), "purposes": [purpose]}],
        "sensitive": False,
        "spiCat": [],
    }


def _controller(actor: dict[str, Any]) -> dict[str, Any]:
    contact = actor["contact"]
    email = contact if "@" in contact and " " not in contact else ""
    return {"piiController": actor["name"], "contact": contact, "address": {}, "email": email, "phone": ""}


def kind_of(values: Any) -> str:
    """Return the category of data in words: "electricity consumption load_curve"."""
    kind = values["pii_type"]
    return " ".join(kind) if kind else "not said"
