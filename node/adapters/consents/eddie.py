"""EDDIE: permission requests of the European framework, their states and the steps between them; both ways.

How it works
    A file is JSON: one permission request or a list, each with `permissionId`, `connectionId`, `dataNeedId`, `status`,
    `created`, and where it is known `dataNeed` and `history` (statuses with their times). `STEPS` is the framework's
    state machine; a history that takes a step that is not there refuses the file. A consent of ours is written as the
    request with the path of legal steps that leads to where it stands.

What it does not do
    It talks to no region connector. The reference texts speak of fifteen states and name sixteen; all are known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from ledger.errors import LocalError
from node.adapters.adapter import Source
from node.adapters.consents.record import RECORDS_MAX, Foreign, Ours, Standing
from node.adapters.enedis_time import midnight
from node.adapters.stamps import day_of, exact, in_utc
from node.adapters.strict_json import Fields, documents, encoded

SYSTEM: Final = "eddie"
CODE: Final = "BAD_EDDIE"
MAX_BYTES: Final = 16 << 20
"""Largest file, in bytes."""
_ENDS: Final = frozenset({"TERMINATED", "FULFILLED", "UNFULFILLABLE"})
STEPS: Final[dict[str, frozenset[str]]] = {
    "CREATED": frozenset({"VALIDATED", "MALFORMED"}),
    "MALFORMED": frozenset(),
    "VALIDATED": frozenset({"SENT_TO_PERMISSION_ADMINISTRATOR", "UNABLE_TO_SEND"}),
    "UNABLE_TO_SEND": frozenset({"VALIDATED"}),
    "SENT_TO_PERMISSION_ADMINISTRATOR": frozenset({"ACCEPTED", "REJECTED", "INVALID", "TIMED_OUT"}),
    "REJECTED": frozenset(),
    "INVALID": frozenset(),
    "TIMED_OUT": frozenset(),
    "ACCEPTED": frozenset({"REVOKED", *_ENDS}),
    "REVOKED": frozenset(),
    **dict.fromkeys(sorted(_ENDS), frozenset({"REQUIRES_EXTERNAL_TERMINATION"})),
    "REQUIRES_EXTERNAL_TERMINATION": frozenset({"EXTERNALLY_TERMINATED", "FAILED_TO_TERMINATE"}),
    "FAILED_TO_TERMINATE": frozenset({"REQUIRES_EXTERNAL_TERMINATION"}),
    "EXTERNALLY_TERMINATED": frozenset(),
}
"""Status -> those that may follow it."""
STANDINGS: Final = {
    **dict.fromkeys(("CREATED", "VALIDATED", "UNABLE_TO_SEND", "SENT_TO_PERMISSION_ADMINISTRATOR"), Standing.REQUESTED),
    **dict.fromkeys(("MALFORMED", "INVALID", "UNFULFILLABLE"), Standing.INVALID),
    **dict.fromkeys(("TIMED_OUT", "FULFILLED"), Standing.EXPIRED),
    **dict.fromkeys(
        ("TERMINATED", "REQUIRES_EXTERNAL_TERMINATION", "FAILED_TO_TERMINATE", "EXTERNALLY_TERMINATED"),
        Standing.REVOKED,
    ),
    "ACCEPTED": Standing.GIVEN,
    "REJECTED": Standing.REFUSED,
    "REVOKED": Standing.WITHDRAWN,
}
"""Status -> how a consent stands: REVOKED there is the person's act, TERMINATED the eligible party's."""
PATHS: Final = {
    Standing.REQUESTED: ("CREATED", "VALIDATED", "SENT_TO_PERMISSION_ADMINISTRATOR"),
    Standing.GIVEN: ("CREATED", "VALIDATED", "SENT_TO_PERMISSION_ADMINISTRATOR", "ACCEPTED"),
    Standing.REFUSED: ("CREATED", "VALIDATED", "SENT_TO_PERMISSION_ADMINISTRATOR", "REJECTED"),
    Standing.WITHDRAWN: ("CREATED", "VALIDATED", "SENT_TO_PERMISSION_ADMINISTRATOR", "ACCEPTED", "REVOKED"),
    Standing.REVOKED: ("CREATED", "VALIDATED", "SENT_TO_PERMISSION_ADMINISTRATOR", "ACCEPTED", "TERMINATED"),
    Standing.EXPIRED: ("CREATED", "VALIDATED", "SENT_TO_PERMISSION_ADMINISTRATOR", "ACCEPTED", "FULFILLED"),
    Standing.INVALID: ("CREATED", "MALFORMED"),
}
"""Standing -> the statuses that a request has had when a consent stands so."""
_ENERGIES: Final = {"ELECTRICITY": "electricity", "NATURAL_GAS": "gas", "WATER": "water", "HEAT": "heat"}
_KNOWN: Final = {
    "permissionId",
    "connectionId",
    "dataNeedId",
    "status",
    "created",
    "dataNeed",
    "history",
    "start",
    "end",
}
_NEED: Final = {
    *("type", "id", "name", "description", "purpose", "policyLink", "duration", "energyType", "minGranularity"),
    "maxGranularity",
}


def check_step(before: str, after: str) -> None:
    """Raise LocalError ILLEGAL_STEP unless a request in the first status may come into the second."""
    if after not in STEPS.get(before, frozenset()):
        raise LocalError("ILLEGAL_STEP", f"A request that is {before} does not become {after}", field="status")


def read(data: bytes, source: Source) -> Iterator[Foreign]:
    """Yield the requests of a file. Raises RemoteError BAD_EDDIE, naming record and field."""
    for one in documents(data, source, CODE, MAX_BYTES, RECORDS_MAX):
        one.only(_KNOWN)
        yield _request(one)


def _request(one: Fields) -> Foreign:
    status = _status(one)
    steps = [_status(step) for step in one.objects("history")]
    for before, after in pairwise(steps):
        if after not in STEPS[before]:
            raise one.bad("history", f"A request that is {before} does not become {after}")
    if steps and (steps[0] != "CREATED" or steps[-1] != status):
        raise one.bad("history", "A history begins with CREATED and ends with the status")
    need = one.object("dataNeed")
    need.only(_NEED)
    duration = need.object("duration")
    energy = need.choice("energyType", _ENERGIES) if need.has("energyType") else ""
    standing = STANDINGS[status]
    times = [step.moment("at", exact) for step in one.objects("history")]
    return Foreign(
        system=SYSTEM,
        reference=one.text("permissionId"),
        state=status,
        standing=standing,
        kinds=(f"{energy}/consumption/{_kind(need)}",) if energy else (),
        granularity=need.text("minGranularity", ""),
        data_from=duration.moment("start", _day),
        data_until=duration.moment("end", _day),
        valid_from=one.moment("created", exact),
        purpose=need.text("purpose", ""),
        recipient=one.text("connectionId", ""),
        ended_at=times[-1] if times and standing not in {Standing.REQUESTED, Standing.GIVEN} else None,
    )


def _status(one: Fields) -> str:
    status = one.text("status")
    if status not in STEPS:
        raise one.bad("status", f"A status is one of {', '.join(STEPS)}")
    return status


def _kind(need: Fields) -> str:
    return "daily" if need.text("minGranularity", "P1D").startswith("P1") else "load_curve"


def _day(text: str) -> int:
    return midnight(day_of(text))


def write(consent: Ours) -> bytes:
    """Return a consent of ours as a permission request with its data need and its history."""
    return encoded(request(consent, PATHS.get(consent.standing, ("CREATED",))), indent=1)


def request(consent: Ours, path: Sequence[str]) -> dict[str, Any]:
    """Return the request whose statuses were those of `path`. Raises LocalError ILLEGAL_STEP."""
    for before, after in pairwise(path):
        check_step(before, after)
    terms = consent.terms
    energies = {ours: theirs for theirs, ours in _ENERGIES.items()}
    created, ended = in_utc(consent.granted_at), in_utc(consent.ended_at or consent.granted_at)
    last = len(path) - 1
    history = [
        {"status": status, "at": ended if at == last and status != "ACCEPTED" else created}
        for at, status in enumerate(path)
    ]
    need = {
        "type": "validated" if terms.granularity else "account",
        "id": f"{consent.grant}#need",
        "name": "/".join(terms.pii_type) if terms.pii_type is not None else "",
        "purpose": terms.purpose,
        "duration": {
            "type": "absoluteDuration",
            "start": in_utc(terms.data_period[0][0])[:10],
            "end": in_utc(terms.data_period[-1][1])[:10],
        },
        "energyType": energies[terms.pii_type.energy] if terms.pii_type is not None else None,
        "minGranularity": terms.granularity,
        "maxGranularity": terms.granularity,
    }
    return {
        "permissionId": consent.record,
        "connectionId": consent.recipient,
        "dataNeedId": f"{consent.grant}#need",
        "status": path[-1],
        "created": created,
        "dataNeed": need,
        "history": history,
    }
