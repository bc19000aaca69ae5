"""What a report says is no more than what the bundle shows: whose key it was, by whose word, in which letters."""

from __future__ import annotations

from typing import Any

import pytest

from proofs.presentation import present
from proofs.reasons import Reason
from proofs.report import Level
from tests.proofs.both import verify
from tests.proofs.negatives_rests import told
from tests.proofs.rests import Chains, line, passed_on


def passed_on_by(key: str, *, transcribed: bool = False) -> tuple[Chains, bytes]:
    """Let one who consented in Mia's place, by a delegation or from a paper, pass the data on with the same key."""
    mesh = Chains()
    (given,) = line(mesh, ("mia", "noa"))
    rests: dict[str, Any] = {"transcribed": True, "evidence": [bytes(32)]} if transcribed else {"delegation": given.id}
    parent = mesh.consent(key, **({} if key == "mia" else rests))
    child = mesh.consent(key, passed_on(), holder=mesh.b, recipient=mesh.c, parent=parent.entry.id)
    data, trust, now = told(mesh, child)
    report = verify(data, trust, now)
    assert report.reason is Reason.ACTIVE, report.as_text()
    return mesh, data


@pytest.mark.parametrize(
    ("key", "transcribed", "level", "above"),
    [("mia", False, "S", "S"), ("noa", False, "D", "D"), ("noa", True, "D", "E")],
)
def test_what_goes_on_by_anothers_key_is_not_the_persons_own(
    key: str, transcribed: bool, level: str, above: str
) -> None:
    mesh, data = passed_on_by(key, transcribed=transcribed)
    report = verify(data, mesh.trust(), mesh.now)
    assert report.level is Level(level), report.as_text()
    assert report.claims["parents"][0]["level"] == above
    shown = verify(present(data, mesh.key(key), "cnil.example", b"", mesh.now), mesh.trust(), mesh.now)
    assert shown.claims["presented"]["by"].startswith("the person" if level == "S" else "who signed")
