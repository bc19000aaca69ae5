"""One rule at a time is taken out of the gate and out of the fold: the tests that claim it must turn red.

A rule whose removal nothing notices is either not tested or no rule. The gate's rules are its reasons, found in its
source; the fold's are those of governance.md, named here by their numbers.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

import pytest

from ledger.consent import chain, gate
from ledger.consent.reasons import Reason
from ledger.governance import ballots, expulsion, policy, rules, seats, tally
from ledger.governance.epoch import Genesis
from tests.ledger.consent import test_chain, test_gate_table, test_scope
from tests.ledger.consent.gate_cases import SPOILS
from tests.ledger.governance import (
    test_ballots,
    test_expulsion,
    test_policies,
    test_policy,
    test_rules,
    test_seats,
    test_tally,
    test_voters,
)
from tests.removal import fails, reason_removed, replaced, without

GATE_TOTAL: Final = ("_judge",)


def _stands_in(module: ModuleType, reason: Reason) -> bool:
    with reason_removed(module, reason.name, GATE_TOTAL) as places:
        return places > 0


ELSEWHERE: Final = {
    Reason.BAD_TERMS: "reading the terms refuses them (tests/ledger/consent/test_record.py)",
    Reason.CALL_OPEN: "the node says how a call stands (tests/node/flows/test_living.py)",
    Reason.CALL_REFUSED: "the node says how a call stands (tests/node/flows/test_living.py)",
}
"""Reasons that neither the gate nor a chain finds: who does, and which tests hold it."""
IN_GATE: Final = [reason for reason in Reason if reason is not Reason.ALLOWED and _stands_in(gate, reason)]
IN_CHAIN: Final = [
    reason for reason in Reason if reason not in (*IN_GATE, *ELSEWHERE, Reason.ALLOWED) and _stands_in(chain, reason)
]


def test_every_reason_is_a_rule_of_the_gate_or_of_what_it_rests_on() -> None:
    assert {*IN_GATE, *IN_CHAIN, *ELSEWHERE, Reason.ALLOWED} == set(Reason)
    assert len(IN_GATE) > 40


def _spoils(reason: Reason) -> None:
    """Run the cases of the gate's table that bring about one reason."""
    for number, (brought, _) in enumerate(SPOILS):
        if brought is reason:
            test_gate_table.test_each_spoil_brings_about_its_reason_alone(number)


@pytest.mark.parametrize("reason", IN_GATE, ids=lambda reason: reason.name)
def test_a_gate_without_one_rule_turns_its_own_case_red(reason: Reason) -> None:
    _spoils(reason)
    with reason_removed(gate, reason.name, GATE_TOTAL), pytest.raises((AssertionError, AttributeError, TypeError)):
        _spoils(reason)


@pytest.mark.parametrize("reason", IN_CHAIN, ids=lambda reason: reason.name)
def test_a_chain_without_one_rule_turns_a_case_red(reason: Reason) -> None:
    with reason_removed(chain, reason.name):
        assert fails(test_chain, test_scope)


FOLD: Final[dict[str, tuple[Any, str, str, tuple[ModuleType, ...]]]] = {
    "G4.1 only the electorate votes": (
        ballots._judge,
        "place[0] < 0 or voter not in electorate.voters or is_target",
        "place[0] < 0 or is_target",
        (test_ballots,),
    ),
    "G4.1 a target has no say": (
        ballots._judge,
        "place[0] < 0 or voter not in electorate.voters or is_target",
        "place[0] < 0 or voter not in electorate.voters",
        (test_ballots, test_expulsion),
    ),
    "G4.2 no vote after the seal of the deadline": (
        ballots._judge,
        "closing is not None and vote.index >= closing.frontier.get(vote.feed, 0)",
        "False",
        (test_ballots,),
    ),
    "G4.3 the first vote is the vote": (ballots._judge, "first[0] != place", "False", (test_ballots,)),
    "G4.4 none beyond a proven fork": (
        ballots._judge,
        "hold is not None and vote.index >= hold.size",
        "False",
        (test_ballots,),
    ),
    "G4.5 none beyond a cut": (
        ballots.under_cuts,
        "each.rule is Rule.COUNTS and cut is not None and (each.vote.index >= cut.size)",
        "False",
        (test_ballots, test_tally),
    ),
    "a ballot names a sealed epoch": (ballots.fault, "electorate is None", "False", (test_ballots,)),
    "a deadline lies within the days of the rules": (
        ballots.fault,
        "not electorate.as_of < proposal.deadline <= electorate.as_of + electorate.rules.ballot_days * DAY",
        "False",
        (test_ballots,),
    ),
    "G4.6 an expulsion takes more than two thirds": (
        expulsion.threshold,
        "2 * others // 3 + 1",
        "others // 2",
        (test_expulsion,),
    ),
    "two cannot expel each other": (expulsion.threshold, "others >= 2", "True", (test_expulsion,)),
    "a cut never lies below what is sealed": (
        expulsion.cut_size,
        "max(named, floor.get(feed, 0))",
        "named",
        (test_expulsion,),
    ),
    "the smallest of several cuts holds": (
        expulsion._resolution,
        "min(cut_size(proposal, feed, floor) for proposal in proposals)",
        "max(cut_size(proposal, feed, floor) for proposal in proposals)",
        (test_expulsion,),
    ),
    "what cuts a vote takes it away": (
        expulsion._cutters,
        "vote.index >= cut_size(q, vote.feed, floor)",
        "False",
        (test_expulsion,),
    ),
    "a suspension takes more than the traitors": (
        tally.suspension_threshold,
        "max(suspenders, others // 3 + 1)",
        "suspenders",
        (test_tally,),
    ),
    "nobody suspends by delegation": (tally.tally, "proposal.act is not Act.SUSPEND", "True", (test_tally,)),
    "a majority of the whole electorate": (tally.tally, "support > needs", "support >= needs", (test_tally,)),
    "affiliates are one voice": (
        policy.voice,
        "groups.get(party[0], party[0])",
        "party[0]",
        (test_policy, test_expulsion),
    ),
    "a third and one make a voter": (rules.endorsements_for_voter, "voters // 3 + 1", "1", (test_rules,)),
    "at most a third of the voters a day": (rules.new_voters_max, "max(1, voters // 3)", "voters", (test_rules,)),
    "M3 the exact version of the charter": (
        policy._leaf,
        "evidence.charter == version",
        "evidence.charter is not None",
        (test_policy, test_policies),
    ),
    "M3 a ballot needs more than its share": (
        policy._leaf,
        "ballot.support > Fraction(*share)",
        "True",
        (test_policy,),
    ),
    "M3 a listed authority alone": (policy._credited, "credential.authority not in leaf.keys", "False", (test_policy,)),
    "M3 a credential in its time": (
        policy._credited,
        "not credential.valid[0] <= evidence.as_of < credential.valid[1]",
        "False",
        (test_policy,),
    ),
    "M3 a revoked serial counts no more": (
        policy._credited,
        "credential.serial in leaf.revoked",
        "False",
        (test_policy,),
    ),
    "V2 one of each group votes": (
        rules.first_of_each,
        "voice(party, groups)",
        "party[0]",
        (test_seats,),
    ),
    "V2 one of each group of founders votes": (
        vars(Genesis)["voters"].fget,
        "voices(self.rules.affiliations)",
        "{}",
        (test_seats,),
    ),
    "V2 no dead node stands for a living one": (
        seats._Seating._rank,
        "(self._is_out(party), not moved, party)",
        "(self._is_out(party), party)",
        (test_seats,),
    ),
    "V2 no suspended node stands for another": (
        seats._Seating._rank,
        "(self._is_out(party), not moved, party)",
        "(not moved, party)",
        (test_seats,),
    ),
    "V2 the vote of who is expelled does not rest": (
        seats._Seating._may_rest,
        "not self._has_ended(party)",
        "True",
        (test_seats,),
    ),
    "V3 the next takes the place at once": (
        seats._Seating.result,
        "seated |= first_of_each(heirs, self._groups)",
        "seated |= {}",
        (test_seats,),
    ),
    "V3 nobody takes the place who has no feed": (
        seats._Seating._speaks,
        "governing(self._before, self._work, party) is not None",
        "True",
        (test_seats,),
    ),
    "V4 a vote that rested comes back": (
        seats._Seating._candidates,
        "party in resting or self._is_endorsed(party, each.application)",
        "self._is_endorsed(party, each.application)",
        (test_seats,),
    ),
    "V4 what comes back keeps the pace": (
        seats._Seating.result,
        "min(room, VOTERS_MAX - len(seated))",
        "VOTERS_MAX - len(seated)",
        (test_seats,),
    ),
    "V4 growth adds nobody beside its affiliate": (
        seats._Seating.result,
        "each not in seated",
        "True",
        (test_seats,),
    ),
    "V4 voters alone endorse a voter": (
        seats._Seating._is_endorsed,
        "by in before.voters and endorses(entry, by, party)",
        "endorses(entry, by, party)",
        (test_voters,),
    ),
    "M3 sponsors are distinct": (policy._sponsored, "len(ids) >= k", "len(evidence.endorsements) >= k", (test_policy,)),
}
"""Rule -> the function that holds it, what stands there, what stands there without it, and the tests that claim it."""


@pytest.mark.parametrize("rule", FOLD)
def test_a_fold_without_one_rule_turns_a_case_red(rule: str) -> None:
    function, before, after, tests = FOLD[rule]
    with without(function, replaced(before, after)):
        assert fails(*tests), f"nothing notices that {rule!r} is gone"
    assert function.__code__.co_filename.endswith(".py")


def test_a_rule_that_is_there_fails_nothing() -> None:
    assert fails(test_ballots, test_policy, test_rules, test_tally) == ""


def test_what_is_not_in_a_function_cannot_be_taken_out() -> None:
    with pytest.raises(AssertionError, match="stands 0 times"), without(expulsion.threshold, replaced("x > 1", "True")):
        pass
