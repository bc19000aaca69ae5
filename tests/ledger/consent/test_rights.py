"""Rights: what is asked and answered, sealed; who is late; no order of the answers matters."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec, kinds
from ledger.consent.granularity import later
from ledger.consent.kinds import RIGHTS, RIGHTS_OUTCOMES
from ledger.consent.rights import (
    CORRECTIONS_MAX,
    DUE,
    DUE_EXTENDED,
    TEXT_MAX,
    Answer,
    Correction,
    Details,
    answer_payload,
    request_payload,
    standing,
)
from ledger.consent.status import Party
from ledger.errors import LocalError, RemoteError
from ledger.schema import DAY

ASKED = 1_700_000_000
TO: Party = (b"\x01" * 32, 1)
OTHER: Party = (b"\x02" * 32, 1)
THING = ("rights", bytes(16))
DRAW = random.Random(7).randbytes
CORRECTIONS = (Correction("prm:12345678901234", 5, "1.5"), Correction("prm:12345678901234", 9, None))
DETAILS = Details.make("The meter was changed in May.", CORRECTIONS, DRAW)


@pytest.mark.parametrize("right", RIGHTS)
def test_payloads_are_what_the_kinds_say(right: str) -> None:
    details = DETAILS if right == "rectification" else Details.make("", (), DRAW)
    asked = request_payload(b"\x03" * 32, right, TO, details)
    kinds.check("rights.request", THING, codec.decode(codec.encode(asked)), has_epoch=False)
    details.check(asked)
    assert codec.decode(codec.encode(asked)) == asked
    for outcome in RIGHTS_OUTCOMES:
        answered = answer_payload(b"\x04" * 32, outcome, DETAILS)
        kinds.check("rights.answer", THING, codec.decode(codec.encode(answered)), has_epoch=False)


def test_details_open_their_own_entry_alone() -> None:
    asked = request_payload(b"\x03" * 32, "rectification", TO, DETAILS)
    Details.read(DETAILS.salt, codec.decode(codec.encode(DETAILS.value()))).check(asked)
    other = Details(DETAILS.salt, DETAILS.text + " ", DETAILS.corrections)
    resalted = Details(bytes(16), DETAILS.text, DETAILS.corrections)
    for wrong in (other, resalted, Details(DETAILS.salt)):
        with pytest.raises(RemoteError) as refused:
            wrong.check(asked)
        assert refused.value.code == "DISCLOSURE_MISMATCH"
    assert DETAILS.text not in repr(DETAILS)


@pytest.mark.parametrize(
    ("salt", "value"),
    [
        (b"short", {"text": "", "corrections": []}),
        (bytes(16), {"text": ""}),
        (bytes(16), {"text": "", "corrections": [], "more": 1}),
        (bytes(16), {"text": 1, "corrections": []}),
        (bytes(16), {"text": "", "corrections": [["prm", -1, None]]}),
        (bytes(16), {"text": "", "corrections": [["prm", 1]]}),
        (bytes(16), {"text": "x" * (TEXT_MAX + 1), "corrections": []}),
        (bytes(16), {"text": "", "corrections": [["p", 1, None]] * (CORRECTIONS_MAX + 1)}),
        (bytes(16), None),
    ],
)
def test_malformed_details_are_refused(salt: bytes, value: Any) -> None:
    with pytest.raises(RemoteError) as refused:
        Details.read(salt, value)
    assert refused.value.code in ("DETAILS_MALFORMED", "DETAILS_TOO_LARGE")


def test_what_makes_no_sense_is_not_signed() -> None:
    for right in ("", "forgetting"):
        with pytest.raises(LocalError, match="the rights are"):
            request_payload(bytes(32), right, TO, DETAILS)
    with pytest.raises(LocalError, match="only a request for rectification"):
        request_payload(bytes(32), "access", TO, DETAILS)
    with pytest.raises(LocalError, match="an answer is one of"):
        answer_payload(bytes(32), "later", DETAILS)
    for outcome in ("refused", "partly", "extended"):
        with pytest.raises(LocalError, match="say why"):
            answer_payload(bytes(32), outcome, Details.make("  ", (), DRAW))


def answer(outcome: str, at: int, by: Party = TO, entry: bytes = b"\x05" * 32) -> Answer:
    return Answer(entry, by, at, outcome)


@pytest.mark.covers("R73")
def test_one_month_to_answer_and_two_more_when_said_in_time() -> None:
    due, far = later(ASKED, DUE), later(ASKED, DUE_EXTENDED)
    assert far - due >= 59 * DAY
    assert standing(TO, ASKED, [], due).state == "open"
    assert not standing(TO, ASKED, [], due).late
    assert standing(TO, ASKED, [], due + 1).late
    extended = standing(TO, ASKED, [answer("extended", due)], due + 1)
    assert (extended.state, extended.due, extended.late) == ("extended", far, False)
    assert standing(TO, ASKED, [answer("extended", due)], far + 1).late
    too_late = standing(TO, ASKED, [answer("extended", due + 1)], due + 2)
    assert (too_late.state, too_late.due, too_late.late) == ("open", due, True)
    done = standing(TO, ASKED, [answer("done", due)], far)
    assert (done.state, done.late) == ("done", False)
    assert standing(TO, ASKED, [answer("done", due + 1)], far).late


def test_nobody_else_answers() -> None:
    assert standing(TO, ASKED, [answer("done", ASKED + 1, OTHER)], ASKED + 2).state == "open"
    assert standing(TO, ASKED, [answer("extended", ASKED + 1, OTHER)], ASKED + 40 * DAY).late


ANSWERS = st.lists(
    st.builds(
        answer,
        st.sampled_from(RIGHTS_OUTCOMES),
        st.integers(ASKED, ASKED + 120 * DAY),
        st.sampled_from([TO, OTHER]),
        st.binary(min_size=32, max_size=32),
    ),
    max_size=6,
    unique_by=lambda one: one.entry,
)


@given(ANSWERS, st.integers(ASKED, ASKED + 200 * DAY), st.randoms(use_true_random=False))
def test_order_and_duplicates_do_not_matter(answers: list[Answer], now: int, source: random.Random) -> None:
    shuffled = [*answers, *answers]
    source.shuffle(shuffled)
    assert standing(TO, ASKED, shuffled, now) == standing(TO, ASKED, answers, now)


@given(ANSWERS, st.integers(ASKED, ASKED + 200 * DAY), st.integers(0, 100 * DAY))
def test_late_stays_late_and_a_final_answer_stays_final(answers: list[Answer], now: int, more: int) -> None:
    before, after = standing(TO, ASKED, answers, now), standing(TO, ASKED, answers, now + more)
    assert after.late >= before.late
    assert (before.state in ("done", "partly", "refused")) == (after.state in ("done", "partly", "refused"))
