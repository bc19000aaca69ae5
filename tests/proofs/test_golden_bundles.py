"""Golden bundles are judged as they always were; no bit of them can be turned unseen."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from ledger.errors import RemoteError
from proofs import reading
from proofs.reasons import Reason
from proofs.trust import Card
from tests.proofs.both import verify
from tests.proofs.golden import FOLDER, SUFFIX, made, rows_of, trusted

VERDICTS: dict[str, Any] = {
    name: told for path in sorted(FOLDER.glob("verdicts*.json")) for name, told in json.loads(path.read_text()).items()
}
NIGHTLY = os.environ.get("MAILLE_PROFILE") == "nightly"
STRIDE = 1 if NIGHTLY else 997
"""Of the full bundles' bits every one is turned at night, and some by day; of a minimal one all, always (tampering)."""
FULL = ("transfers.withdrawn", "conduct", "period.presented", "rested")
"""A consent, a conduct, a period, and a consent that rests on others, each with all that it can hold."""
MORE = (
    "pinned",
    "affiliates",
    "conduct.findings",
    "conduct.probed",
    "successor",
    "transcribed",
    "delegated",
    "guardian",
)
"""What they do not hold: a bare epoch, other findings, acknowledgements, successors, papers, longer chains, words."""


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_a_golden_bundle_is_judged_as_it_was(name: str) -> None:
    brought = VERDICTS[name]
    data = (FOLDER / f"{name}{SUFFIX}").read_bytes()
    assert sha256(data).hexdigest() == brought["sha256"], "a golden bundle is never written again"
    report = verify(data, trusted(brought), brought["now"])
    assert report.reason.name == brought["reason"], report.as_text()
    told = {tuple(row) for row in rows_of(report)}
    assert {tuple(row) for row in brought["checks"]} <= told


def test_a_card_of_other_json_is_refused() -> None:
    raw = (FOLDER / "card.json").read_text()
    for told in (
        raw.replace('"policy": ""', '"policy": "\\ud800"'),
        raw.replace('"loop"', "5"),
        "[]",
        "{}",
        "5",
        '"x"',
    ):
        with pytest.raises(RemoteError, match="not a trust card"):
            Card.decode(told)


def test_every_golden_bundle_has_a_verdict_and_the_maker_still_makes_them() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(made())
    assert {path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")} == set(VERDICTS)
    assert {brought["reason"] for brought in VERDICTS.values()} >= {"ACTIVE", "WITHDRAWN_LATER", "SHOWN", "REVOKED"}
    card = Card.decode((FOLDER / "card.json").read_bytes())
    assert card.epoch.hex() == VERDICTS["pinned"]["epoch"]
    assert len(card.fingerprint()) == 24


@pytest.mark.parametrize("name", [*FULL, *MORE])
def test_a_turned_bit_is_refused(name: str) -> None:
    brought, data = VERDICTS[name], (FOLDER / f"{name}{SUFFIX}").read_bytes()
    trust = trusted(brought)
    for place in range(0, 8 * len(data), STRIDE):
        turned = bytearray(data)
        turned[place // 8] ^= 1 << place % 8
        report = verify(bytes(turned), trust, brought["now"])
        other_epoch = report.reason is Reason.EPOCH_NOT_PINNED  # of a bare epoch: another one than she knows
        assert report.exit_code == 1 or other_epoch, f"byte {place // 8}, bit {place % 8}: {report.as_text()}"


def test_the_bounds_of_a_period_are_its_makers_word_unless_they_are_presented() -> None:
    """No ledger says which time somebody asked about: without a presenter's signature it is told, not shown."""
    for name, reason in (("period", Reason.SHOWN), ("period.presented", Reason.BAD_SIGNATURE)):
        brought, data = VERDICTS[name], (FOLDER / f"{name}{SUFFIX}").read_bytes()
        made = reading.decode(data)
        assert made.about is not None
        first, last = (int(each) for each in made.about if not isinstance(each, bytes))
        wider = replace(made, about=(first - 1, last))
        report = verify(wider.encode(), trusted(brought), brought["now"])
        assert report.reason is reason, report.as_text()
        assert report.claims.get("about") != verify(data, trusted(brought), brought["now"]).claims["about"]
