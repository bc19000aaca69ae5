"""Transfers under consents as W3C PROV-O, in JSON-LD: who sent what to whom, when, under which plan.

How it works
    A transfer is an activity: it used the holder's data and generated the recipient's copy, which is derived from them.
    The holder is associated with it, with the consent as the plan it followed; the recipient, where it acknowledged,
    too. Digests, counts and windows are there as far as the accounts are opened in the bundle.

What it does not do
    It knows no steps before or after the transfer, and no values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ledger.errors import LocalError
from proofs.exports.shown import Shown, party_id, utc

CONTEXT: Final = {
    "prov": "http://www.w3.org/ns/prov#",
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "maille": "urn:maille:vocab:",
    "id": "@id",
    "type": "@type",
}
"""Prefixes; none of them is fetched."""


def prov(*consents: Shown) -> dict[str, Any]:
    """Return the transfers under these consents as JSON-LD. Raises LocalError EXPORT_NOTHING where there are none."""
    moved = [shown for shown in consents if shown.claims.get("transfers")]
    if not moved:
        told = "this proof shows no transfer; make it with `maille proof make --transfers`"
        raise LocalError("EXPORT_NOTHING", told)
    agents = {party_id(shown.claims[name]): None for shown in moved for name in ("holder", "recipient")}
    graph: list[dict[str, Any]] = [{"id": agent, "type": "prov:Agent"} for agent in agents]
    for shown in moved:
        graph += _of_consent(shown)
    return {"@context": CONTEXT, "@graph": graph}


def _of_consent(shown: Shown) -> list[dict[str, Any]]:
    holder, recipient = (party_id(shown.claims[name]) for name in ("holder", "recipient"))
    graph: list[dict[str, Any]] = [
        {
            "id": shown.grant,
            "type": ["prov:Entity", "prov:Plan"],
            "prov:wasAttributedTo": {"id": shown.claims["principal"], "type": ["prov:Agent", "prov:Person"]},
            "prov:generatedAtTime": _time(shown.claims["granted_at"]),
            "maille:mesh": shown.mesh,
            "maille:bundle": {"id": f"urn:sha256:{shown.bundle}"},
        },
    ]
    for transfer in shown.claims["transfers"]:
        graph += _transfer(shown, transfer, holder, recipient)
    return graph


def _transfer(shown: Shown, transfer: Mapping[str, Any], holder: str, recipient: str) -> list[dict[str, Any]]:
    name = f"urn:maille:transfer:{transfer['id']}"
    sent, copy = f"{name}#sent", f"{name}#received"
    parties = [_association(holder, shown.grant)]
    if transfer["acknowledged"]:
        parties.append(_association(recipient, shown.grant))
    activity: dict[str, Any] = {
        "id": name,
        "type": "prov:Activity",
        "prov:used": {"id": sent},
        "prov:qualifiedAssociation": parties,
        "prov:wasAssociatedWith": [party["prov:agent"] for party in parties],
        "maille:acknowledged": transfer["acknowledged"],
    }
    data: dict[str, Any] = {"id": sent, "type": "prov:Entity", "prov:wasAttributedTo": {"id": holder}}
    received: dict[str, Any] = {
        "id": copy,
        "type": "prov:Entity",
        "prov:wasDerivedFrom": {"id": sent},
        "prov:wasGeneratedBy": {"id": name},
        "prov:wasAttributedTo": {"id": recipient},
    }
    if "ended" in transfer:  # the account is opened
        activity["prov:startedAtTime"], activity["prov:endedAtTime"] = map(
            _time, (transfer["began"], transfer["ended"])
        )
        start, stop = transfer["window"]
        data["maille:records"], data["maille:gaps"] = transfer["records"], transfer["gaps"]
        data["maille:dataPeriod"] = f"{utc(start)}/{utc(stop)}"
        data["dct:identifier"] = f"urn:maille:chain:{transfer['chain']}"
    return [activity, data, received]


def _association(agent: str, plan: str) -> dict[str, Any]:
    return {"type": "prov:Association", "prov:agent": {"id": agent}, "prov:hadPlan": {"id": plan}}


def _time(seconds: int) -> dict[str, str]:
    return {"@value": utc(seconds), "@type": "xsd:dateTime"}
