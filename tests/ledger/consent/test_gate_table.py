"""The gate against the naive one over drawn cases, and its decision table against what it does.

`MAILLE_PROFILE=nightly` draws 10^6 cases instead of 500. A case that fails is named by its number and the seed.
"""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from ledger.consent import gate
from ledger.consent.gate import LABELS, permit
from ledger.consent.reasons import SENTENCES, Reason
from tests.conftest import PROFILE
from tests.ledger.consent.gate_cases import SPOILS, drawn, usual
from tests.ledger.consent.oracle import candidates_of, context_of, expected, flow_of

CASES = {"ci": 500, "nightly": 1_000_000}[PROFILE]


@pytest.mark.covers("R98")
def test_the_gate_says_what_the_naive_one_says(request: pytest.FixtureRequest) -> None:
    seed = int(request.config.getoption("hypothesis_seed"))
    source, seen = random.Random(seed), Counter[Reason]()
    for number in range(CASES):
        case = drawn(source)
        flow, context, candidates = flow_of(case), context_of(case), candidates_of(case)
        decision = permit(flow, context, candidates, case.now)
        assert (decision.reason, decision.consent) == expected(case), f"case {number} of seed {seed}: {case}"
        assert decision.allowed is (decision.reason is Reason.ALLOWED)
        if decision.allowed:
            assert (decision.window, decision.granularity) == (flow.window, flow.granularity)
            assert decision.label == LABELS[flow.door]
            assert (decision.consent is None) == (decision.label != "")
        source.shuffle(candidates)
        assert permit(flow, context, [*candidates, *candidates[:1]], case.now) == decision
        seen[decision.reason] += 1
    assert seen[Reason.ALLOWED] > CASES // 10
    assert len(seen) > len(Reason) // 2


@pytest.mark.covers("R74", "R76", "R86", "R98")
@pytest.mark.parametrize("number", range(len(SPOILS)), ids=lambda n: f"{SPOILS[n][0].value}-{n}")
def test_each_spoil_brings_about_its_reason_alone(number: int) -> None:
    reason, spoil = SPOILS[number]
    case = usual()
    spoil(case, case.given[0])
    decision = permit(flow_of(case), context_of(case), candidates_of(case), case.now)
    assert decision.reason is reason
    assert expected(case) == (decision.reason, decision.consent)


ROW = re.compile(r"^    \|[^|]*\|[^|]*\|\s*([A-Z_]{3,})\s*\|$", re.MULTILINE)


def test_the_table_in_the_docstring_is_the_rule() -> None:
    """Each reason stands in the table; each is reachable; the order is that of `Reason`, by which reasons rank."""
    rows = ROW.findall(gate.__doc__ or "")
    assert rows == [reason.value for reason in Reason]
    assert {reason for reason, _ in SPOILS} == set(Reason)


def test_each_reason_has_a_sentence_in_both_languages() -> None:
    assert set(SENTENCES) == set(Reason)
    assert all(en.endswith(".") and fr.endswith(".") and en != fr for en, fr in SENTENCES.values())
    assert len({en for en, _ in SENTENCES.values()}) == len(Reason) == len({fr for _, fr in SENTENCES.values()})
