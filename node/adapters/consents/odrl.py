"""ODRL agreements and the contract negotiation of data spaces (IDS, DSP): read as evidence, written as messages.

How it works
    `read` takes JSON-LD as `proof export --as odrl` writes it, and plain ODRL 2.2 (offers and agreements, prefixes or
    none), and DSP's ContractNegotiation and ContractAgreementMessage with their state. Purpose, period, granularity and
    target are taken from constraints and assets; a prohibition refuses the file, since it says what must not be and
    there is no place for that. `write` gives a DSP agreement message with its state; of a consent that has ended, the
    termination message with code and reason, which DSP alone does not oblige anybody to send.

What it does not do
    It fetches no context and follows no IRI. An agreement between a provider and a consumer is none of the person's:
    it is evidence for her consent, no more. ODRL with terms that are not known here is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from node.adapters.adapter import Source
from node.adapters.consents.record import RECORDS_MAX, Foreign, Ours, Standing
from node.adapters.enedis_time import midnight
from node.adapters.stamps import day_of, exact, in_utc
from node.adapters.strict_json import Fields, documents, encoded

SYSTEM: Final = "odrl"
CODE: Final = "BAD_ODRL"
MAX_BYTES: Final = 16 << 20
"""Largest file, in bytes."""
STATES: Final = {
    "REQUESTED": Standing.REQUESTED,
    "OFFERED": Standing.REQUESTED,
    "ACCEPTED": Standing.GIVEN,
    "AGREED": Standing.GIVEN,
    "VERIFIED": Standing.GIVEN,
    "FINALIZED": Standing.GIVEN,
    "TERMINATED": Standing.REVOKED,
}
"""State of a negotiation of DSP -> how a consent stands."""
TYPES: Final = {"Offer": Standing.REQUESTED, "Agreement": Standing.GIVEN, "Set": Standing.UNKNOWN}
DPV: Final = {
    "ConsentGiven": Standing.GIVEN,
    "ConsentRequested": Standing.REQUESTED,
    "ConsentWithdrawn": Standing.WITHDRAWN,
    "ConsentRevoked": Standing.REVOKED,
    "ConsentRefused": Standing.REFUSED,
    "ConsentExpired": Standing.EXPIRED,
    "ConsentInvalidated": Standing.INVALID,
    "ConsentUnknown": Standing.UNKNOWN,
}
"""Status of a dpv:ConsentRecord, which wins over the type."""
ACTIONS: Final = frozenset({"use", "read", "transfer", "distribute", "reproduce"})
CODES: Final = {
    Standing.WITHDRAWN: "consent-withdrawn",
    Standing.REVOKED: "consent-revoked",
    Standing.EXPIRED: "expired",
}
_OPERANDS: Final = frozenset({"dateTime", "purpose", "timeInterval", "elapsedTime", "delayPeriod", "spatial"})
_NODES: Final = ("agreement", "offer", "dataset")


def read(data: bytes, source: Source) -> Iterator[Foreign]:
    """Yield the agreements and offers of a file. Raises RemoteError BAD_ODRL, naming record and field."""
    for one in documents(data, source, CODE, MAX_BYTES, RECORDS_MAX):
        yield _policy(_plain(one))


def _policy(one: Fields) -> Foreign:
    state = one.text("state", "")
    if state and state not in STATES:
        raise one.bad("state", f"A state is one of {', '.join(STATES)}")
    inner = next((one.object(name) for name in _NODES if one.has(name)), one)
    types = [text.rpartition(":")[2] for text in _texts(inner, "type")]
    known = [TYPES[text] for text in types if text in TYPES]
    if not known:
        raise inner.bad("type", f"One of {', '.join(TYPES)} was expected")
    if inner.has("prohibition"):
        raise inner.bad("prohibition", "A prohibition has no place in a consent; it would be lost")
    permissions = _objects(inner, "permission")
    if not permissions:
        raise inner.bad("permission", "A policy has at least one permission")
    status = _id(inner, "hasConsentStatus")
    if status and status not in DPV:
        raise inner.bad("hasConsentStatus", f"A status is one of {', '.join(DPV)}")
    standing = DPV.get(status) or STATES.get(state) or known[0]
    said = _constraints(permissions)
    data = inner.object("hasPersonalData") if isinstance(inner.values.get("hasPersonalData"), dict) else None
    points = data.texts("identifier") if data is not None else ()
    return Foreign(
        system=SYSTEM,
        reference=_id(inner, "uid") or _id(inner, "id"),
        state=status or state or types[0],
        standing=standing,
        points=points,
        kinds=(data.text("label").replace(" ", "/"),) if data is not None and data.has("label") else (),
        granularity=str(said.get("timeInterval", "")),
        valid_from=_moment(inner, "issued") or _moment(inner, "timestamp"),
        valid_until=_moment(inner, "valid") or _until(permissions, said),
        purpose=str(said.get("purpose", "")),
        subject=_id(inner, "assigner"),
        recipient=_id(inner, "assignee"),
        reason=", ".join(_texts(one, "reason")),
    )


def _constraints(permissions: list[Fields]) -> dict[str, Any]:
    """Return what constraints say, by their left operand."""
    found: dict[str, Any] = {}
    for permission in permissions:
        if _id(permission, "action") not in ACTIONS:
            raise permission.bad("action", f"An action is one of {', '.join(sorted(ACTIONS))}")
        for constraint in _objects(permission, "constraint"):
            operand = _id(constraint, "leftOperand")
            if operand not in _OPERANDS:
                raise constraint.bad("leftOperand", f"What is constrained is one of {', '.join(sorted(_OPERANDS))}")
            right = constraint.values.get("rightOperand")
            value = right.get("@value") if isinstance(right, dict) else right
            if not isinstance(value, str):
                raise constraint.bad("rightOperand", "A text was expected")
            if operand in found and found[operand] != value:
                raise constraint.bad("leftOperand", "Two constraints say different things of it; take them apart")
            found[operand] = value
    return found


def _until(permissions: list[Fields], said: dict[str, Any]) -> int | None:
    if "dateTime" not in said:
        return None
    try:
        return _time(said["dateTime"])
    except (ValueError, OverflowError) as error:
        raise permissions[0].bad("constraint, dateTime", f"A time was expected: {error}") from None


def _plain(one: Fields) -> Fields:
    """Return the object with prefixes taken off the names, at every depth: "odrl:target" is "target"."""

    def strip(value: Any) -> Any:
        if isinstance(value, list):
            return [strip(each) for each in value]
        if not isinstance(value, dict):
            return value
        found: dict[str, Any] = {}
        for name, each in value.items():
            short = name if name in {"@value", "@context"} else name.rpartition(":")[2].removeprefix("@")
            if short in found:
                raise one.bad(short, "The object has this field twice, under two prefixes")
            found[short] = strip(each) if name != "@context" else None
        return found

    return Fields(strip(dict(one.values)), one.where, one.source, one.code)


def _objects(one: Fields, name: str) -> list[Fields]:
    value = one.values.get(name)
    return [one.of(value, name)] if isinstance(value, dict) else one.objects(name)


def _texts(one: Fields, name: str) -> tuple[str, ...]:
    value = one.values.get(name)
    return (value,) if isinstance(value, str) else one.texts(name)


def _id(one: Fields, name: str) -> str:
    """Return the last part of what a field names: a text, or an object with an id; "" where it is absent."""
    value = one.values.get(name)
    if isinstance(value, dict):
        value = value.get("id")
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 500:
        raise one.bad(name, "A name was expected")
    return value.removeprefix("odrl:").removeprefix("dpv:")


def _moment(one: Fields, name: str) -> int | None:
    value = one.values.get(name)
    text = value.get("@value") if isinstance(value, dict) else value
    return Fields({name: text}, one.where, one.source, one.code).moment(name, _time)


def _time(text: str) -> int:
    return midnight(day_of(text)) if len(text) == len("2021-01-31") else exact(text)


def write(consent: Ours) -> bytes:
    """Return a consent of ours as DSP's agreement message, or its termination message once it has ended."""
    context = ["https://w3id.org/dspace/2025/1/context.jsonld"]
    if consent.standing in CODES:
        reason = consent.reason or "no reason was given"
        return encoded(
            {
                "@context": context,
                "@type": "ContractNegotiationTerminationMessage",
                "providerPid": f"urn:uuid:{consent.record}",
                "consumerPid": f"urn:maille:entry:{consent.grant}",
                "state": "TERMINATED",
                "code": CODES[consent.standing],
                "reason": [reason],
            },
            indent=1,
        )
    terms = consent.terms
    constraints = [
        {"leftOperand": "dateTime", "operator": "lt", "rightOperand": in_utc(consent.valid_until)},
        {"leftOperand": "purpose", "operator": "eq", "rightOperand": terms.purpose},
    ]
    if terms.granularity:
        constraints.append({"leftOperand": "timeInterval", "operator": "gteq", "rightOperand": terms.granularity})
    agreement = {
        "@id": f"urn:maille:entry:{consent.grant}",
        "@type": "Agreement",
        "assigner": consent.holder,
        "assignee": consent.recipient,
        "target": f"urn:maille:entry:{consent.grant}#data",
        "timestamp": in_utc(consent.granted_at),
        "permission": [{"action": "use", "constraint": constraints}],
    }
    return encoded(
        {
            "@context": context,
            "@type": "ContractAgreementMessage",
            "providerPid": f"urn:uuid:{consent.record}",
            "consumerPid": f"urn:maille:entry:{consent.grant}",
            "state": "AGREED" if consent.standing is Standing.GIVEN else "REQUESTED",
            "agreement": agreement,
        },
        indent=1,
    )
