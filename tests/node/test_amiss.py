"""What the doctor and the status say: each sentence in both languages, with the same values, from one place."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest

from node.amiss import AMISS, Amiss
from node.checkup import finding
from node.ops.doctor import _of_problem
from node.ops.node import problem
from node.saying import beside, english, french, french_of
from node.troubles import TROUBLES
from tests.node.sayings import places, sample

ROOT = Path(__file__).resolve().parents[2]
EVERY = {**AMISS, **TROUBLES}


@pytest.mark.parametrize("key", sorted(EVERY))
def test_every_sentence_has_two_languages_and_the_same_places(key: str) -> None:
    said: Amiss = EVERY[key]
    for pair in said:
        assert all(pair), pair
        assert "(s)" not in pair[0] + pair[1]  # a count stands beside a plural that is right for any
        assert places(pair[0]) == places(pair[1])
        assert english(pair, sample(pair)) == pair[0].format(**sample(pair))


def test_a_finding_says_english_and_keeps_french_off_the_wire() -> None:
    found = finding("note", "BACKUP_OLD", mesh="coop", since=("never", "jamais"))
    assert found.message == "The mesh 'coop' was last backed up: never."
    kept = french_of(found, "message")
    assert kept is not None
    assert kept.template.format(**kept.values) == "Dernière sauvegarde de la maille « coop » : jamais."
    assert set(msgspec.json.decode(msgspec.json.encode(found))) == {"severity", "code", "message", "why", "fix"}
    assert french_of(msgspec.convert(msgspec.to_builtins(found), type(found)), "message") is None


def test_a_problem_goes_on_as_a_finding_with_its_french() -> None:
    one = problem("NO_PEERS", count=3, mesh="coop")
    found = _of_problem(one, grave=True)
    assert (found.severity, found.code, found.message, found.fix) == ("error", one.code, one.message, one.fix)
    assert found.why == TROUBLES["NO_PEERS"].why[0]
    for name in ("message", "why", "fix"):
        assert french_of(found, name) == french_of(one, name) is not None


def test_rows_that_keep_something_are_equal_to_those_that_do_not() -> None:
    one, other = (problem("NO_ADDRESS") for _ in range(2))
    assert beside(one, message=french(("a", "b"), {})) == other


def test_no_finding_and_no_problem_is_made_past_the_catalogue() -> None:
    made = []
    for path in sorted((ROOT / "node").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("Finding", "Problem")
            ):
                made.append(path.relative_to(ROOT).as_posix())
    assert sorted(made) == ["node/checkup.py", "node/ops/doctor.py", "node/ops/node.py"]
