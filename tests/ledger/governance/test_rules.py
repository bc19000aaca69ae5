"""Rules: ready frames, bounds, bytes; affiliation; how slowly voters are added."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.errors import LocalError, RemoteError
from ledger.governance.policy import AllOf, AnyOf, Authority, Bilateral, Charter, Sponsors, Threshold
from ledger.governance.rules import (
    BALLOT_DAYS_MAX,
    RULES_BYTES_MAX,
    College,
    Rules,
    endorsements_for_voter,
    new_voters_max,
    none,
    strong,
    voices,
    weak,
)
from tests.attacks.scene import digest

A, B, C, D, E = sorted(digest("member", n) for n in range(5))
CHARTER, KEY = digest("charter"), digest("key")
FULL = Rules(
    frame="weak",
    admission=AllOf((AnyOf((Bilateral(), Sponsors(2))), Charter(CHARTER))),
    invitations_a_day=3,
    forbidden_purposes=("profiling of children", "advertising"),
    colleges=(College("users", 50), College("producers", 30)),
    affiliations=((B, A), (D, C)),
    shares=(("policy", (2, 3)), ("evaluator", (3, 4))),
    ballot_days=21,
    suspenders=3,
    suspension_days=7,
)


@pytest.mark.parametrize("rules", [none(), weak(CHARTER), weak(CHARTER, 3), strong([KEY], (1, 9), [b"s"]), FULL])
def test_bytes_come_back(rules: Rules) -> None:
    assert Rules.decode(rules.encode()) == rules
    assert len(rules.encode()) < RULES_BYTES_MAX


def test_the_ready_frames() -> None:
    assert (none().frame, none().admission) == ("none", Bilateral())
    assert weak(CHARTER, 2).admission == AllOf((Sponsors(2), Charter(CHARTER)))
    assert strong([KEY]).admission == Authority((KEY,))


def test_sets_have_one_order() -> None:
    assert (
        replace(
            FULL,
            forbidden_purposes=("advertising", "profiling of children"),
            affiliations=((C, D), (A, B, A)),
            colleges=FULL.colleges[::-1],
            shares=FULL.shares[::-1],
        )
        == FULL
    )


def test_a_share_is_a_majority_unless_the_rules_say_more() -> None:
    assert (FULL.share("policy"), FULL.share("admit")) == ((2, 3), (1, 2))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"frame": "strong"}, "admission"),
        ({"admission": AnyOf((Bilateral(), Charter(CHARTER)))}, "admission"),
        ({"admission": Threshold(1, (Bilateral(), Charter(CHARTER)))}, "admission"),
        ({"frame": "anarchy"}, "frame"),
        ({"invitations_a_day": 0}, "invitations_a_day"),
        ({"forbidden_purposes": tuple(f"p{n}" for n in range(65))}, "forbidden_purposes"),
        ({"forbidden_purposes": ("a\nb",)}, "forbidden_purposes"),
        ({"colleges": (College("users", 0),)}, "colleges"),
        ({"colleges": (College("users", 1), College("users", 2))}, "colleges"),
        ({"affiliations": ((A,),)}, "affiliations"),
        ({"affiliations": ((A, B), (B, C))}, "affiliations"),
        ({"affiliations": (tuple(digest(n) for n in range(300)), tuple(digest(n) for n in range(300, 600)))}, None),
        ({"shares": (("expel", (1, 2)),)}, "shares"),
        ({"shares": (("policy", (1, 3)),)}, "shares.policy"),
        ({"shares": (("policy", (1, 2)), ("policy", (2, 3)))}, "shares"),
        ({"ballot_days": BALLOT_DAYS_MAX + 1}, "ballot_days"),
        ({"suspenders": 0}, "suspenders"),
        ({"suspension_days": 0}, "suspension_days"),
    ],
)
def test_rules_that_cannot_be(change: dict[str, Any], field: str | None) -> None:
    with pytest.raises(LocalError) as caught:
        replace(FULL, **change)
    assert caught.value.code == "BAD_POLICY"
    assert field in (None, caught.value.field)


def _form(**change: Any) -> bytes:
    form: Any = codec.decode(FULL.encode())
    return codec.encode({**form, **change})


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (_form(more=1), "BAD_POLICY"),
        (_form(version=2), "PAYLOAD_SHAPE"),
        (_form(ballot_days="x"), "PAYLOAD_SHAPE"),
        (_form(admission=["bilateral"]), "BAD_POLICY"),
        (_form(admission=["oracle"]), "BAD_POLICY"),
        (_form(forbidden_purposes=["b", "a"]), "POLICY_NOT_CANONICAL"),
        (_form(affiliations=[[B, A]]), "POLICY_NOT_CANONICAL"),
        (_form(shares=[["policy", [1, 3]]]), "BAD_POLICY"),
        (codec.encode({"version": 1}), "PAYLOAD_MISSING"),
        (codec.encode([]), "PAYLOAD_SHAPE"),
        (b"\xff", "CBOR_MALFORMED"),
    ],
)
def test_bytes_that_are_no_rules_are_refused(raw: bytes, code: str) -> None:
    with pytest.raises(RemoteError) as caught:
        Rules.decode(raw)
    assert caught.value.code == code


@given(st.binary(max_size=40), st.integers(0, 400))
def test_damaged_bytes_are_refused_or_read_as_they_stand(patch: bytes, at: int) -> None:
    raw = FULL.encode()
    damaged = raw[:at] + patch + raw[at + len(patch) :]
    try:
        rules = Rules.decode(damaged)
    except RemoteError:
        return
    assert rules.encode() == damaged


# Affiliation and new voters


def test_groups_that_share_a_member_are_one() -> None:
    assert voices([[E, D], [B, C], [C, D]]) == {B: B, C: B, D: B, E: B}
    assert voices([]) == {}
    assert voices([[A]]) == {A: A}


@given(
    st.lists(st.lists(st.sampled_from([A, B, C, D, E]), max_size=3), max_size=4).flatmap(
        lambda groups: st.tuples(st.just(groups), st.permutations(groups))
    )
)
def test_voices_do_not_depend_on_order(both: tuple[list[list[bytes]], list[list[bytes]]]) -> None:
    groups, shuffled = both
    found = voices(groups)
    assert found == voices(group[::-1] for group in shuffled)
    assert all(len({found[member] for member in group}) <= 1 for group in groups)
    assert all(found[each] == each for each in found.values())


@pytest.mark.parametrize(("voters", "endorsements", "a_day"), [(1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 2, 1), (9, 4, 3)])
def test_how_voters_are_added(voters: int, endorsements: int, a_day: int) -> None:
    assert (endorsements_for_voter(voters), new_voters_max(voters)) == (endorsements, a_day)


def test_traitors_alone_never_add_a_voter() -> None:
    assert all(endorsements_for_voter(n) > n // 3 for n in range(1, 500))
