"""Our rule holds against every attack; the textbook rules fall where governance.md §7 says; the table is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest

from tests.attacks.__main__ import main, table
from tests.attacks.table import ATTACKS, Attack, results
from tests.attacks.textbook import Op, Textbook, seniority, strong_removal

BOTH = {"strong-removal", "seniority"}
FALLS = {
    "expelled admin appends removals to the old head": BOTH,
    "expelled manager's backdated counter-removal": BOTH,
    "removal with ancient causes voids the target's history": BOTH,
    "junior honest member against a senior traitor": BOTH,
    "grinding a hash to win a tie": {"seniority"},
    "old, small electorate certifies for ever": BOTH,
    "double vote, fork of a feed at equal height": BOTH,
    "votes of the just-admitted": BOTH,
    "epochs sealed fast to starve a ballot": set[str](),  # falls with votes that lapse, below
    "withheld expulsion delivered after the target acted": {"seniority"},
    "new device certified after the cut": BOTH,
    "access list read as of now": set[str](),  # falls with access lists in order of arrival, below
}
"""Which textbook rules fall to which attack."""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_our_rule_holds(attack: Attack) -> None:
    assert attack.ours()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_textbook_result_shows(attack: Attack) -> None:
    rules: dict[str, Textbook] = {"strong-removal": strong_removal, "seniority": seniority}
    assert {name for name, rule in rules.items() if not attack.theirs(rule)} == FALLS[attack.name]


def test_votes_that_lapse_with_their_epoch_starve() -> None:
    def passes(events: list[str], needed: int) -> bool:
        votes = set[str]()
        for event in events:
            votes = set() if event == "seal" else votes | {event}
            if len(votes) >= needed:
                return True
        return False

    assert passes(["ann", "bob", "cyd"], 3)
    assert not passes(["ann", "seal", "bob", "seal", "cyd"], 3)


def test_an_access_list_in_order_of_arrival_does_not_converge() -> None:
    def received(order: tuple[str, ...]) -> frozenset[str]:
        members = {"ann", "tom"}
        for op in order:
            author, act, target = op.split()
            if author in members:
                members = members | {target} if act == "adds" else members - {target}
        return frozenset(members)

    assert len({received(order) for order in permutations(("ann removes tom", "tom adds sue"))}) == 2


def test_the_textbook_rules_do_what_they_are_for() -> None:
    """A removal that has seen everything removes, and nobody else; a member that saw it goes on."""
    add = Op("a", "ann", "add", "bob")
    removal = Op("r", "ann", "remove", "tom", frozenset("a"))
    after = Op("b", "bob", "add", "cyd", frozenset("ar"))
    for rule in (strong_removal, seniority):
        group = rule({"ann": 0, "tom": 1}, [after, removal, add])
        assert group.members == {"ann", "bob", "cyd"}
        assert group.ops == {"a", "b", "r"}


def test_strong_removal_drops_what_rests_on_a_dropped_addition() -> None:
    ops = [
        Op("r", "ann", "remove", "tom"),
        Op("a", "tom", "add", "sue"),
        Op("s", "sue", "add", "sid", frozenset("a")),
    ]
    assert strong_removal({"ann": 0, "tom": 1}, ops).members == {"ann"}


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [set(each) for each in listed] == [{"attack", "rule", "held"}] * 3 * len(ATTACKS)
    assert {each["rule"] for each in listed} == {"maille", *BOTH}
    assert {each["attack"] for each in listed} == FALLS.keys()
    assert all(each["held"] for each in listed if each["rule"] == "maille")
    assert main([]) == 0
    assert capsys.readouterr().out == table(results()) + "\n"
    assert main(["--html"]) == 2


def test_the_table_is_a_command() -> None:
    command = [sys.executable, "-m", "tests.attacks", "--json"]
    done = subprocess.run(command, cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3 * len(ATTACKS)
