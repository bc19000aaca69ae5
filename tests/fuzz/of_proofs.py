"""What of proofs reads bytes of others: bundles, read and verified, the auditor's policy and card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from ledger import codec
from ledger.errors import RemoteError
from proofs import reading, stamps
from proofs.policy import parse_policy
from proofs.trust import Card
from proofs.verify import verify
from tests.fuzz.case import Case, asked
from tests.proofs.golden import FOLDER, SUFFIX, trusted
from tests.proofs.test_policy import EXAMPLE

_SMALL_BYTES: Final = 6_000


@cache
def _verdicts() -> Mapping[str, Any]:
    told: dict[str, Any] = {}
    for path in sorted(FOLDER.glob("verdicts*.json")):
        told |= json.loads(path.read_text())
    return told


def _bundles() -> tuple[bytes, ...]:
    """Return the golden bundles, the small ones first."""
    return tuple(sorted((path.read_bytes() for path in sorted(FOLDER.glob(f"*{SUFFIX}"))), key=len))


def _small() -> tuple[bytes, ...]:
    return tuple(data for data in _bundles() if len(data) <= _SMALL_BYTES)


def _verified(data: bytes) -> object:
    """Verify a bundle as its auditor would: whatever the bytes are, she gets a report."""
    brought = _verdicts()["active"]
    report = verify(data, trusted(brought), brought["now"])
    assert report.exit_code in {0, 1, 3}
    assert report.as_text()
    return json.loads(json.dumps(report.as_json()))


def _restored(data: bytes) -> object:
    """Read a bundle of any values: bytes that are JSON-like CBOR reach further than turned bits do."""
    found = reading.decode(data)
    assert found.encode() == data
    return found, stamps.stampable(data)


def _nested(data: bytes) -> object:
    """Verify the value that two bytes point at in a bundle, changed to what the rest of the bytes say."""
    bundle: Any = codec.decode(_small()[0], max_bytes=codec.MAX_BYTES)
    places = list(_places(bundle))
    at, key = places[int.from_bytes(data[:2], "big") % len(places)]
    at[key] = codec.decode(data[2:])
    try:
        return _verified(codec.encode(bundle))
    except Exception as error:
        if type(error).__name__ == "LocalError":  # what cannot be encoded reaches nobody
            raise RemoteError("UNENCODABLE", str(error)) from error
        raise


def _places(value: Any) -> Any:
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in rows:
        yield value, key
        yield from _places(inner)


CASES: Final[Mapping[str, Case]] = {
    "proofs-bundle": Case(_restored, _bundles),
    "proofs-verify": Case(_verified, _small),
    "proofs-values": Case(_nested, lambda: tuple(bytes([0, n]) + codec.encode(n) for n in range(0, 250, 50))),
    "proofs-policy": Case(asked(parse_policy), lambda: (EXAMPLE.encode(), b"quorum none\n")),
    "proofs-card": Case(Card.decode, lambda: ((FOLDER / "card.json").read_bytes(),)),
}
"""Name -> parser and seeds."""
