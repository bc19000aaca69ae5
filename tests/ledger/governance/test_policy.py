"""Predicates: bytes, bounds, verdicts with reasons; monotone and blind to order."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.errors import LocalError, RemoteError
from ledger.governance.policy import (
    KEYS_MAX,
    PARTS_MAX,
    PREDICATE_DEPTH_MAX,
    AllOf,
    AnyOf,
    Authority,
    Ballot,
    Bilateral,
    Charter,
    Credential,
    Endorsement,
    Evidence,
    Outcome,
    Predicate,
    Sponsors,
    Threshold,
    admissible,
    decode,
    encode,
    form_of,
    requires,
)
from ledger.governance.rules import voices
from tests.attacks.scene import NOON, digest, party

KEY, OTHER, CHARTER, SERIAL = digest("key"), digest("other key"), digest("charter"), b"serial-1"

leaves: st.SearchStrategy[Predicate] = st.one_of(
    st.just(Bilateral()),
    st.builds(Sponsors, st.integers(1, 5)),
    st.builds(
        Authority,
        st.lists(st.sampled_from([KEY, OTHER]), min_size=1).map(tuple),
        st.sampled_from([(0, 2**40), (NOON, NOON + 5), (0, 5)]),
        st.lists(st.sampled_from([SERIAL, b"s"])).map(tuple),
    ),
    st.builds(Charter, st.sampled_from([CHARTER, KEY])),
    st.builds(Ballot, st.sampled_from([(1, 2), (2, 3), (3, 4)])),
)


def _combine(parts: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    some = st.lists(parts, min_size=1, max_size=4, unique_by=encode).map(tuple)
    threshold = some.flatmap(lambda found: st.builds(Threshold, st.integers(1, len(found)), st.just(found)))
    return st.one_of(st.builds(AllOf, some), st.builds(AnyOf, some), threshold)


level = _combine(leaves)
predicates = st.one_of(leaves, level, _combine(st.one_of(leaves, level)))

_endorsements = st.builds(
    Endorsement, st.sampled_from([digest(n) for n in range(6)]), st.sampled_from("abcd").map(party)
)
_credentials = st.builds(
    Credential,
    st.sampled_from([digest(n) for n in range(6, 9)]),
    st.sampled_from([KEY, OTHER, CHARTER]),
    st.sampled_from([SERIAL, b"t"]),
    st.sampled_from([(0, NOON), (NOON - 1, NOON + 1)]),
)
_ballots = st.builds(Outcome, st.sampled_from([digest(9), digest(10)]), st.fractions(0, 1, max_denominator=12))
evidences = st.builds(
    Evidence,
    st.just(digest("application")),
    st.sampled_from([None, CHARTER]),
    st.lists(_endorsements, max_size=5).map(tuple),
    st.lists(_credentials, max_size=3).map(tuple),
    st.lists(_ballots, max_size=2).map(tuple),
    st.sampled_from([NOON, 3]),
    st.just(voices([[party("a")[0], party("b")[0]]])),
)


def holds(predicate: Predicate, evidence: Evidence) -> bool:
    """Say what a policy means, without reasons: a second reading of governance.md §1."""
    match predicate:
        case Bilateral():
            return bool(evidence.endorsements)
        case Sponsors(k):
            return len({evidence.voices.get(e.member[0], e.member[0]) for e in evidence.endorsements}) >= k
        case Authority(keys, (start, end), revoked):
            return start <= evidence.as_of < end and any(
                c.authority in keys and c.serial not in revoked and c.valid[0] <= evidence.as_of < c.valid[1]
                for c in evidence.credentials
            )
        case Charter(version):
            return evidence.charter == version
        case Ballot((n, d)):
            return any(ballot.support * d > n for ballot in evidence.ballots)
        case AllOf(parts):
            return all(holds(part, evidence) for part in parts)
        case AnyOf(parts):
            return any(holds(part, evidence) for part in parts)
        case Threshold(k, parts):
            return sum(holds(part, evidence) for part in parts) >= k


@given(predicates)
def test_bytes_come_back(predicate: Predicate) -> None:
    raw = encode(predicate)
    assert decode(raw) == predicate
    assert encode(decode(raw)) == raw


@given(predicates, evidences)
def test_a_verdict_is_what_the_policy_means(predicate: Predicate, evidence: Evidence) -> None:
    verdict = admissible(predicate, evidence)
    assert verdict.holds == holds(predicate, evidence)
    assert verdict.why
    assert list(verdict.ids) == sorted(set(verdict.ids))


@given(predicates, evidences)
def test_the_ids_named_are_enough(predicate: Predicate, evidence: Evidence) -> None:
    """What holds, holds by the entries named alone."""
    verdict = admissible(predicate, evidence)
    named = replace(
        evidence,
        endorsements=tuple(e for e in evidence.endorsements if e.id in verdict.ids),
        credentials=tuple(c for c in evidence.credentials if c.id in verdict.ids),
        ballots=tuple(b for b in evidence.ballots if b.id in verdict.ids),
    )
    assert not verdict.holds or admissible(predicate, named).holds


@given(predicates, evidences, evidences)
def test_more_evidence_takes_nothing_back(predicate: Predicate, evidence: Evidence, more: Evidence) -> None:
    both = replace(
        evidence,
        charter=evidence.charter or more.charter,
        endorsements=evidence.endorsements + more.endorsements,
        credentials=evidence.credentials + more.credentials,
        ballots=evidence.ballots + more.ballots,
    )
    assert admissible(predicate, evidence).holds <= admissible(predicate, both).holds


def unique(evidence: Evidence) -> Evidence:
    """Return the evidence with one value an id: ids are hashes."""
    return replace(
        evidence,
        endorsements=tuple({e.id: e for e in evidence.endorsements}.values()),
        credentials=tuple({c.id: c for c in evidence.credentials}.values()),
        ballots=tuple({b.id: b for b in evidence.ballots}.values()),
    )


@given(predicates, evidences.map(unique), st.randoms(use_true_random=False))
def test_order_changes_nothing(predicate: Predicate, evidence: Evidence, rng: Random) -> None:
    shuffled = replace(
        evidence,
        endorsements=tuple(rng.sample(evidence.endorsements, len(evidence.endorsements))),
        credentials=tuple(rng.sample(evidence.credentials, len(evidence.credentials))),
        ballots=tuple(rng.sample(evidence.ballots, len(evidence.ballots))),
    )
    assert admissible(predicate, shuffled) == admissible(predicate, evidence)


@given(st.binary(max_size=60) | predicates.map(lambda predicate: encode(predicate)[:-1] + b"\x00"))
def test_hostile_bytes_are_refused_or_read_as_they_stand(raw: bytes) -> None:
    try:
        predicate = decode(raw)
    except RemoteError:
        return
    assert encode(predicate) == raw


# Verdicts


ANN = Endorsement(b"1", party("ann"))
BOB = Endorsement(b"2", party("bob"))
CREDENTIAL = Credential(b"3", KEY, SERIAL, (NOON, NOON + 9))


def test_sponsors_are_distinct_voices() -> None:
    two = Evidence(b"a", endorsements=(ANN, BOB))
    assert admissible(Sponsors(2), two).ids == (b"1", b"2")
    assert not admissible(Sponsors(2), Evidence(b"a", endorsements=(ANN, replace(ANN, id=b"9")))).holds
    affiliated = replace(two, voices=voices([[party("ann")[0], party("bob")[0]]]))
    verdict = admissible(Sponsors(2), affiliated)
    assert (verdict.holds, verdict.why[0].words) == (False, "1 of 2 endorsements by members with different voices")


@pytest.mark.parametrize(
    ("authority", "as_of", "words"),
    [
        (Authority((OTHER,)), NOON, "no listed authority"),
        (Authority((KEY,), revoked=(SERIAL,)), NOON, "revoked"),
        (Authority((KEY,), (NOON + 1, NOON + 2)), NOON, "keys are not valid"),
        (Authority((KEY,), (0, NOON)), NOON, "keys are not valid"),
        (Authority((KEY,)), NOON - 1, "credential is not valid"),
        (Authority((KEY,)), NOON + 9, "credential is not valid"),
    ],
)
def test_credentials_that_do_not_count(authority: Authority, as_of: int, words: str) -> None:
    verdict = admissible(authority, Evidence(b"a", credentials=(CREDENTIAL,), as_of=as_of))
    assert not verdict.holds
    assert words in verdict.why[0].words


def test_a_credential_that_counts_is_named() -> None:
    verdict = admissible(Authority((OTHER, KEY)), Evidence(b"a", credentials=(CREDENTIAL,), as_of=NOON))
    assert (verdict.holds, verdict.ids) == (True, (b"3",))
    assert "no credential" in admissible(Authority((KEY,)), Evidence(b"a")).why[0].words


def test_a_ballot_needs_strictly_more() -> None:
    evidence = Evidence(b"a", ballots=(Outcome(b"5", Fraction(2, 3)),))
    assert not admissible(Ballot((2, 3)), evidence).holds
    assert admissible(Ballot(), evidence).ids == (b"5",)


def test_the_deciding_leaves_are_named_by_their_place() -> None:
    policy = AllOf((AnyOf((Sponsors(3), Authority((KEY,)))), Charter(CHARTER)))
    evidence = Evidence(b"a", CHARTER, (ANN, BOB), (CREDENTIAL,), as_of=NOON)
    verdict = admissible(policy, evidence)
    assert (verdict.holds, verdict.ids) == (True, (b"3", b"a"))
    assert len(verdict.why) == 2
    assert {len(leaf.path) for leaf in verdict.why} == {1, 2}
    failed = admissible(policy, replace(evidence, charter=None))
    assert [leaf.words for leaf in failed.why] == [f"the application does not accept charter {CHARTER.hex()[:8]}"]
    unmet = admissible(policy, replace(evidence, credentials=()))
    assert len(unmet.why) == 2  # either would do


# Bounds and bytes


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sponsors(0),
        lambda: Sponsors(True),
        lambda: Authority(()),
        lambda: Authority((b"short",)),
        lambda: Authority(tuple(digest(n) for n in range(KEYS_MAX + 1))),
        lambda: Authority((KEY,), (5, 5)),
        lambda: Authority((KEY,), revoked=(bytes(17),)),
        lambda: Charter(b""),
        lambda: Ballot((1, 3)),
        lambda: Ballot((2, 2)),
        lambda: Ballot((1, 0)),
        lambda: AllOf(()),
        lambda: AnyOf((Bilateral(), Bilateral())),
        lambda: AnyOf(tuple(Sponsors(k) for k in range(1, PARTS_MAX + 2))),
        lambda: Threshold(3, (Bilateral(), Sponsors(2))),
        lambda: Threshold(0, (Bilateral(),)),
    ],
)
def test_what_means_nothing_cannot_be_made(make: object) -> None:
    assert callable(make)
    with pytest.raises(LocalError, match="BAD_POLICY"):
        make()


def test_depth_is_bounded_in_values_and_in_bytes() -> None:
    predicate: Predicate = Bilateral()
    for _ in range(PREDICATE_DEPTH_MAX - 1):
        predicate = AllOf((predicate,))
    assert decode(encode(predicate)) == predicate
    with pytest.raises(LocalError, match="levels deep"):
        AllOf((predicate,))
    with pytest.raises(RemoteError, match="levels deep"):
        decode(codec.encode(["all", [form_of(predicate)]]))


def test_the_largest_leaf_fits() -> None:
    keys, serials = tuple(digest(n) for n in range(KEYS_MAX)), tuple(digest("s", n)[:16] for n in range(512))
    large = Authority(keys, revoked=serials)
    assert decode(encode(large)) == large
    with pytest.raises(LocalError, match="bytes"):
        encode(AnyOf((large, replace(large, valid=(0, 5)))))


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (["bilateral", 1], "BAD_POLICY"),
        (["sponsors", 0], "BAD_POLICY"),
        (["sponsors", "2"], "BAD_POLICY"),
        (["authority", [1], [0, 5], []], "BAD_POLICY"),
        (["authority", [KEY], ["a", 5], []], "BAD_POLICY"),
        (["ballot", [[1], 2]], "BAD_POLICY"),
        (["charter", "x"], "BAD_POLICY"),
        (["threshold", None, [["bilateral"]]], "BAD_POLICY"),
        (["not", ["bilateral"]], "BAD_POLICY"),
        ("bilateral", "BAD_POLICY"),
        ({}, "BAD_POLICY"),
        (["all", [["sponsors", 2], ["bilateral"], ["sponsors", 2]]], "BAD_POLICY"),
        (["any", [["sponsors", 3], ["sponsors", 2]]], "POLICY_NOT_CANONICAL"),
        (["authority", sorted((KEY, OTHER), reverse=True), [0, 5], []], "POLICY_NOT_CANONICAL"),
    ],
)
def test_bytes_that_are_no_policy_are_refused(form: object, code: str) -> None:
    with pytest.raises(RemoteError) as caught:
        decode(codec.encode(form))
    assert caught.value.code == code


def test_parts_have_one_order() -> None:
    assert AnyOf((Sponsors(2), Bilateral())) == AnyOf((Bilateral(), Sponsors(2)))


@given(predicates, evidences)
def test_what_is_required_is_never_missing(predicate: Predicate, evidence: Evidence) -> None:
    if requires(predicate, Charter):
        assert not admissible(predicate, replace(evidence, charter=None)).holds
    if requires(predicate, Authority):
        assert not admissible(predicate, replace(evidence, credentials=())).holds
