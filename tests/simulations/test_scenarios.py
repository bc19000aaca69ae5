"""Every scenario plays on real nodes as its file says, and its auditor agrees; and what is no scenario is refused."""

from __future__ import annotations

import pytest

from ledger.errors import LocalError
from simulations import scenario, scenario_play
from simulations.scenario import Flow, load, names, read

SERVICES = {
    *("toque-verte", "sortia-lyon", "my-smart-home", "ma-situation-sociale", "coach-co2", "mes-aides-directes"),
    *("par-4-chemins", "zeus-techno", "mobilites-partagees", "wemix", "mon-budget-mobilite", "dossier-social-partage"),
}
CASES = [pytest.param(name, id=name, marks=pytest.mark.covers(*load(name).covers)) for name in names()]
STORY = """title = "A story"
about = "Of two."
covers = ["R98"]
party = [
    { name = "holder", readings = [{ seeds = [1], days = 2 }] },
    { name = "adviser" },
    { name = "anna", kind = "person", at = "holder" },
]
links = [["holder", "adviser"]]
step = [
    { act = "consent", name = "c", by = "anna", holder = "holder", recipient = "adviser", points = ["meter:1"] },
    { act = "flow", holder = "holder", recipient = "adviser", consent = "c", expect = "allowed" },
    { act = "withdraw", consent = "c" },
    { act = "flow", holder = "holder", recipient = "adviser", consent = "c", expect = "refused", reason = "WITHDRAWN" },
]
"""


def test_the_twelve_services_are_there() -> None:
    assert set(names()) >= SERVICES


@pytest.mark.parametrize("name", CASES)
def test_a_scenario_plays(name: str) -> None:
    played = scenario_play.play(name, load(name))
    assert [step for step in played.steps if not step.passed] == []
    assert [proof for proof in played.proofs if not proof.passed] == []
    assert played.passed
    assert played.allowed >= 1
    assert played.refused >= 1
    flows = {number: step.expect for number, step in enumerate(load(name).step, 1) if isinstance(step, Flow)}
    told = {proof.step: proof.verdict for proof in played.proofs}
    assert told.keys() == flows.keys()
    if name in SERVICES:  # of these the auditor verifies an allowed and a refused flow, and does not only find nothing
        for wanted in ("allowed", "refused"):
            assert {told[n] for n, expect in flows.items() if expect == wanted} - {"NOTHING-TO-SHOW"}, wanted


def test_a_play_repeats_itself() -> None:
    story = read(STORY.encode(), "story.toml")
    assert scenario_play.play("story", story) == scenario_play.play("story", story)


@pytest.mark.parametrize(
    ("before", "after", "failing"),
    [
        ('expect = "allowed" }', 'expect = "allowed", records = 3 }', 2),
        ('reason = "WITHDRAWN"', 'reason = "EXPIRED"', 4),
        ('expect = "allowed" }', 'expect = "refused", reason = "NO_CONSENT" }', 2),
    ],
)
def test_a_story_that_expects_something_else_fails(before: str, after: str, failing: int) -> None:
    text = STORY.replace(before, after)
    if "allowed" not in text:
        text = text.replace(
            "step = [",
            'step = [\n    { act = "flow", holder = "holder", recipient = "adviser", '
            'point = "meter:9", kind = "daily", expect = "allowed" },',
            1,
        )
        failing = 1
    played = scenario_play.play("story", read(text.encode(), "story.toml"))
    assert not played.passed
    assert [step.number for step in played.steps if not step.passed] == [failing]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("title", "titel", "contains unknown field `titel`"),
        ('act = "withdraw", ', 'act = "vanish", ', "line 13, step[2]"),
        ('consent = "c" }', 'consent = "c", why = "so" }', "line 13, step[2]"),
        ('name = "adviser"', 'name = "holder"', "line 6, party[1].name"),
        ('at = "holder" }', 'at = "nobody" }', "line 7, party[2].at"),
        ('links = [["holder", "adviser"]]', 'links = [["holder", "anna"]]', "line 9, links[0]"),
        (', reason = "WITHDRAWN"', "", "line 14, step[3].reason"),
        ('expect = "allowed"', 'expect = "waiting"', "at least one allowed flow"),
        ('"meter:1"', "7", "line 11, step[0].points"),
        ("about = ", "about = = ", "line 2"),
        ('title = "A story"', 'title = "\\ud800"', "not TOML"),
    ],
)
def test_what_is_no_scenario_is_refused_with_file_line_and_key(before: str, after: str, told: str) -> None:
    with pytest.raises(LocalError) as caught:
        read(STORY.replace(before, after, 1).encode(), "story.toml")
    assert caught.value.code == "BAD_SCENARIO"
    assert caught.value.message.startswith("story.toml")
    assert told in caught.value.message


def test_a_file_that_is_too_long_or_not_there_is_refused() -> None:
    with pytest.raises(LocalError, match="at most"):
        read(b"#" * (scenario.FILE_BYTES_MAX + 1), "long.toml")
    with pytest.raises(LocalError) as caught:
        load("no-such-story")
    assert caught.value.code == "NOT_FOUND"
