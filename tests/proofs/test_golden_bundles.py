"""Golden bundles are judged as they always were; no bit of them can be turned unseen."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from proofs.policy import MemberQuorum
from proofs.reasons import Reason
from proofs.trust import Card, Trust
from tests.proofs.both import verify
from tests.proofs.golden import FOLDER, SUFFIX, made, rows_of
from tests.proofs.mesh import MAX_AGE

VERDICTS: dict[str, Any] = {
    name: told for path in sorted(FOLDER.glob("verdicts*.json")) for name, told in json.loads(path.read_text()).items()
}
NIGHTLY = os.environ.get("MAILLE_PROFILE") == "nightly"
STRIDE = 1 if NIGHTLY else 211
"""Of the full bundles' bits every one is turned at night, and some by day; of a minimal one all, always (tampering)."""


def trusted(brought: dict[str, Any]) -> Trust:
    """Return what the auditor of a golden bundle brings."""
    epoch, nonce = (bytes.fromhex(brought[name]) if brought[name] else None for name in ("epoch", "nonce"))
    genesis = bytes.fromhex(brought["genesis"])
    return Trust(genesis, MemberQuorum(2), brought["at"], MAX_AGE, epoch, brought["audience"], nonce)


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_a_golden_bundle_is_judged_as_it_was(name: str) -> None:
    brought = VERDICTS[name]
    report = verify((FOLDER / f"{name}{SUFFIX}").read_bytes(), trusted(brought), brought["now"])
    assert report.reason.name == brought["reason"], report.as_text()
    told = {tuple(row) for row in rows_of(report)}
    assert {tuple(row) for row in brought["checks"]} <= told


def test_every_golden_bundle_has_a_verdict_and_the_maker_still_makes_them() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(made())
    assert {path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")} == set(VERDICTS)
    assert {brought["reason"] for brought in VERDICTS.values()} >= {"ACTIVE", "WITHDRAWN_LATER", "SHOWN"}
    card = Card.decode((FOLDER / "card.json").read_bytes())
    assert card.epoch.hex() == VERDICTS["pinned"]["epoch"]
    assert len(card.fingerprint()) == 24


@pytest.mark.parametrize("name", ["pinned", "transfers.withdrawn", "conduct", "affiliates"])
def test_a_turned_bit_is_refused(name: str) -> None:
    brought, data = VERDICTS[name], (FOLDER / f"{name}{SUFFIX}").read_bytes()
    trust = trusted(brought)
    for place in range(0, 8 * len(data), STRIDE):
        turned = bytearray(data)
        turned[place // 8] ^= 1 << place % 8
        report = verify(bytes(turned), trust, brought["now"])
        other_epoch = report.reason is Reason.EPOCH_NOT_PINNED  # of a bare epoch: another one than she knows
        assert report.exit_code == 1 or other_epoch, f"byte {place // 8}, bit {place % 8}: {report.as_text()}"
