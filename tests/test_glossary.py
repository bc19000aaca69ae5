"""The glossary: every word in two languages, and the names of the code are words of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.kinds import KINDS

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.covers("R155")
def test_every_word_has_two_languages_and_every_kind_of_entry_is_about_one() -> None:
    lines = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]
    assert len(rows) >= 30
    assert all(len(row) == 3 and all(row) for row in rows)
    words = {word.strip() for row in rows for word in row[0].split(",")}
    nouns = {kind.split(".")[0] for kind in KINDS}
    known = {noun for noun in nouns if any(noun in word.split() for word in words)}
    assert {"consent", "member", "link", "tenant", "delegation", "device"} <= known
