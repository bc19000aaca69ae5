"""Groups: who may vote, which votes count, when a call passes; whatever the order, whoever forges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.acts import Shown, make_delegation, make_group_refusal, make_revocation
from ledger.consent.bounds import Bounds
from ledger.consent.group import Outcome, Placed, Rules, members_of, outcome, refused, rules_of
from ledger.entry import Entry
from ledger.schema import DAY
from tests.ledger.consent.cases import HEAD, MESH, NOTICE, NOW, seeded, wallet

OPENS, CLOSES = NOW + DAY, NOW + 8 * DAY
SHOWN = Shown(HEAD, 0, NOW, MESH, seeded(3))
GROUP = wallet(50).delegate_key()
ABOUT = ("group", GROUP.kid)
PEOPLE = [wallet(number) for number in range(60, 65)]
JOINED = [
    make_delegation(
        person, GROUP.public, "group", Bounds(), SHOWN, valid_until=NOW + 300 * DAY, college="ab"[number % 2]
    )[0]
    for number, person in enumerate(PEOPLE)
]
KEYS = [person.consent_key(entry.thing[1]) for person, entry in zip(PEOPLE, JOINED, strict=True)]
OPENED = {"name": "g", "decides": "persons", "majority_percent": 50, "quorum_percent": 60, "critical_mass": 3}
ADMIT = SHOWN.sign(GROUP, "group.admit", ABOUT, {"delegations": [entry.id for entry in JOINED]})
CALL = SHOWN.sign(
    GROUP,
    "group.call",
    ABOUT,
    {
        **{"title": "t", "opens": OPENS, "closes": CLOSES, "recipient": ["linked"], "valid_until": 0},
        **{"notice": NOTICE.value(), "slots": bytes(32 * 24)},
    },
)
RULES = Rules("g", 50, 60, 3, {})


def placed(*entries: Entry, since: int = NOW) -> list[Placed]:
    return [Placed(entry, since) for entry in entries]


def members(*admitted: Entry, revoked: tuple[Entry, ...] = (), at: int = OPENS) -> dict[bytes, Entry]:
    return members_of(GROUP.kid, placed(*JOINED), placed(*(admitted or (ADMIT,))), revoked, at)


def vote(who: Any, choice: str, iat: int = OPENS + 1, call: bytes = CALL.id) -> Entry:
    shown = Shown(HEAD, 0, iat, MESH, seeded(iat))
    return shown.sign(who, "group.vote", ABOUT, {"call": call, "choice": choice}, exact=True)


def result(*votes: Entry, rules: Rules = RULES, since: int = NOW) -> Outcome:
    return outcome(CALL, rules, members(), placed(*votes, since=since))


def test_members_are_those_whom_the_group_admitted_and_who_had_not_left() -> None:
    assert set(members()) == {key.kid for key in KEYS}
    assert members(at=NOW - DAY) == {}
    forged = SHOWN.sign(PEOPLE[0].delegate_key(), "group.admit", ABOUT, {"delegations": [JOINED[0].id]})
    assert members(forged) == {}
    early = make_revocation(KEYS[0], [JOINED[0]], SHOWN)
    late = make_revocation(KEYS[1], [JOINED[1]], Shown(HEAD, 0, OPENS + 5, MESH, seeded(4)))
    assert set(members(revoked=(early, late))) == {key.kid for key in KEYS[1:]}
    assert members_of(GROUP.kid, placed(*JOINED, since=OPENS + 1), placed(ADMIT), (), OPENS) == {}
    assert members_of(GROUP.kid, placed(*JOINED), placed(ADMIT, since=OPENS + 1), (), OPENS) == {}


def test_the_groups_oldest_word_on_how_it_decides_stands() -> None:
    first = SHOWN.sign(GROUP, "group.open", ABOUT, OPENED)
    later = Shown(HEAD, 0, NOW + DAY, MESH, seeded(5)).sign(GROUP, "group.open", ABOUT, {**OPENED, "critical_mass": 1})
    forged = SHOWN.sign(KEYS[0], "group.open", ABOUT, {**OPENED, "name": "x"})
    assert rules_of(GROUP.kid, placed(later, first, forged)) == replace(RULES, opened=first.id)
    assert rules_of(GROUP.kid, placed(forged)) is None


@pytest.mark.covers("R122", "R139", "system:ODI: WRAP, London", "system:DATACT")
def test_a_call_passes_with_quorum_majority_and_critical_mass() -> None:
    assert result(*(vote(key, "yes") for key in KEYS[:3])).passed
    assert result(*(vote(key, "yes") for key in KEYS[:2])).missing == ("quorum",)
    assert result().missing == ("quorum", "majority")
    split = [*(vote(key, "yes") for key in KEYS[:2]), *(vote(key, "no") for key in KEYS[2:4])]
    assert result(*split).missing == ("majority",)
    assert result(*split, rules=Rules("g", 50, 60, 6, {})).missing == ("majority", "critical_mass")
    nearly = [*(vote(key, "yes") for key in KEYS[:4]), vote(KEYS[4], "no")]
    assert result(*nearly, rules=Rules("g", 100, 60, 3, {})).missing == ("majority",)
    assert result(*nearly[:4], rules=Rules("g", 100, 60, 3, {})).passed


@pytest.mark.covers("R136", "R138")
def test_colleges_weigh() -> None:
    votes = [vote(KEYS[0], "yes"), vote(KEYS[2], "yes"), vote(KEYS[4], "yes"), vote(KEYS[1], "no")]
    assert result(*votes, rules=Rules("g", 50, 60, 3, {"a": 2, "b": 1})).passed
    assert result(*votes, rules=Rules("g", 50, 60, 3, {"a": 1, "b": 2})).missing == ("majority",)
    assert result(*votes, rules=Rules("g", 50, 60, 3, {"other": 1})).missing == ("majority",)


@pytest.mark.covers("R133", "system:Portabilité citoyenne")
@pytest.mark.parametrize("iat", [OPENS - 1, CLOSES + 1])
def test_a_vote_outside_the_time_of_the_call_does_not_count(iat: int) -> None:
    assert not result(*(vote(key, "yes", iat) for key in KEYS)).yes
    assert not result(*(vote(key, "yes") for key in KEYS), since=CLOSES + 1).yes
    assert len(result(*(vote(key, "yes", CLOSES) for key in KEYS), since=CLOSES).yes) == len(KEYS)


@pytest.mark.covers("R123", "R141", "system:Digital Life Collective")
def test_strangers_and_second_votes_do_not_count() -> None:
    votes = [vote(key, "no") for key in KEYS[:3]]
    stuffed = [vote(PEOPLE[0].delegate_key(), "yes"), *(vote(key, "yes", OPENS + 2) for key in KEYS[:3])]
    elsewhere = [vote(key, "yes", OPENS, call=bytes(32)) for key in KEYS]
    assert result(*votes, *stuffed, *elsewhere) == result(*votes)


@pytest.mark.covers("R67", "system:MIDATA.coop")
def test_one_persons_refusal_is_hers_alone() -> None:
    refusals = [make_group_refusal(KEYS[0], CALL, SHOWN), make_group_refusal(PEOPLE[4].delegate_key(), CALL, SHOWN)]
    assert refused(CALL, JOINED[0], refusals) == (refusals[0].id,)
    assert refused(CALL, JOINED[1], refusals) == ()


CAST = [vote(key, choice, OPENS + when) for key in KEYS for choice in ("yes", "no", "abstain") for when in (0, 1)]


@given(st.lists(st.sampled_from(CAST)), st.randoms(use_true_random=False))
def test_order_and_duplicates_of_votes_do_not_matter(votes: list[Entry], shuffle: Any) -> None:
    mixed = [*votes, *votes[:2]]
    shuffle.shuffle(mixed)
    found = result(*votes)
    assert found == result(*mixed)
    assert len(found.yes) + len(found.no) + len(found.abstain) == len({each.kid for each in votes})
