"""What a token of Warp 10 for one of our capability tokens looks like: its fields, and what they let through.

How it works
    A capability token narrows a consent (`ledger.consent.token`). `fields` says it in the fields that a Warp 10 read
    token has: when it was issued and expires (milliseconds), whose data, for which application, labels that every
    series must match, and attributes for what Warp 10 has no field for: windows and computation. `allows` answers as a
    store does that checks labels and attributes. Narrowing the capability never widens the fields.

What it does not do
    It signs nothing: whoever runs the store makes the token with its own keys, and must make it anew when a consent
    ends. Warp 10 alone checks no windows: a middleware that reads the attributes must (`windows`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger.consent.record import DataKind
from ledger.consent.token import Limits, as_coarse

READ: Final = "READ"
MILLISECONDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token does not say itself: the kind of data of its consent, and the ids of the parties, hexadecimal."""

    kind: DataKind
    producer: str
    owner: str
    application: str


def fields(limits: Limits, grant: Grant, issued: int) -> dict[str, Any]:
    """Return the fields of a read token. `issued`: UTC seconds."""
    labels = {"energy": grant.kind.energy, "direction": grant.kind.direction, "kind": grant.kind.kind}
    if limits.points is not None:
        labels["point"] = f"~^({'|'.join(sorted(limits.points))})$"
    if limits.granularity is not None:
        labels["granularity"] = limits.granularity
    attributes = {"grant": limits.grant.hex()}
    if limits.windows is not None:
        attributes["windows"] = ",".join(f"{start}/{stop}" for start, stop in limits.windows)
    if limits.aggregation is not None:
        attributes["computation"] = limits.aggregation
    return {
        "tokenType": READ,
        "issuanceTimestamp": issued * MILLISECONDS,
        "expiryTimestamp": limits.expires * MILLISECONDS,
        "producerId": grant.producer,
        "ownerId": grant.owner,
        "appName": grant.application,
        "labels": labels,
        "attributes": attributes,
    }


def allows(token: Mapping[str, Any], series: Mapping[str, str], window: tuple[int, int], now: int) -> bool:
    """Say whether a token's fields let a series through. `series`: point, energy, direction, kind, granularity."""
    labels, attributes = token["labels"], token["attributes"]
    if not token["issuanceTimestamp"] <= now * MILLISECONDS < token["expiryTimestamp"] or "computation" in attributes:
        return False
    if any(series[name] != labels[name] for name in ("energy", "direction", "kind")):
        return False
    if "point" in labels and series["point"] not in labels["point"].removeprefix("~^(").removesuffix(")$").split("|"):
        return False
    if "granularity" in labels and not as_coarse(series["granularity"], labels["granularity"]):
        return False
    spans = [tuple(map(int, span.split("/"))) for span in attributes.get("windows", "").split(",") if span]
    return "windows" not in attributes or any(start <= window[0] and window[1] <= stop for start, stop in spans)
