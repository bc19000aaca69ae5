"""Certificates: the quorum and why two seals share a voter, signatures and sizes, rival certificates."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError, RemoteError
from ledger.governance.certificate import (
    CERTIFICATE_BYTES_MAX,
    VOTERS_MAX,
    Certificate,
    EpochContext,
    Seal,
    Step,
    expulsions_max,
    joined,
    least_double_voters,
    quorum,
    rivals,
    verify_certificate,
    vote_bytes,
)
from tests.conftest import PROFILE
from tests.ledger.governance.meshes import context_of, key_of, seal_of

VOTERS = 6 if PROFILE == "nightly" else 5  # all pairs of seals of so many voters are tried


def certify(context: EpochContext, seal: Seal, signers: tuple[int, ...], round_: int = 0) -> Certificate:
    signed = vote_bytes(context, round_, Step.COMMIT, seal.digest(), -1)
    return Certificate(seal, round_, tuple((voter, key_of(voter).sign(signed)) for voter in signers))


def refusal(certificate: Certificate, context: EpochContext) -> str:
    with pytest.raises(RemoteError) as error:
        verify_certificate(certificate, context)
    return error.value.code


def seals_of(context: EpochContext, name: int) -> list[Seal]:
    """Return a seal for every set of removals that may be."""
    seals = []
    for fates in product("+le", repeat=context.size):
        left, expelled = (tuple(i for i, fate in enumerate(fates) if fate == kind) for kind in "le")
        seal = seal_of(context, name, left, expelled)
        if seal.fault(context) is None:
            seals.append(seal)
    return seals


def test_quorums() -> None:
    assert [quorum(n) for n in range(1, 11)] == [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]
    assert quorum(3, expelled=1) == 2
    assert quorum(4, expelled=1) == 3
    assert quorum(6, expelled=2) == 4  # Q alone would be 3, and the other three could be a quorum too
    assert quorum(100, expelled=10) == 61
    assert quorum(6, left=5) == 1
    assert [expulsions_max(n, 0) for n in range(1, 8)] == [0, 0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("voters", range(1, 60))
def test_the_remaining_always_suffice(voters: int) -> None:
    for left in range(voters):
        for expelled in range(expulsions_max(voters, left) + 1):
            assert quorum(voters, left, expelled) <= voters - left - expelled


def test_two_seals_always_share_a_rule_breaker() -> None:
    """Every pair of seals, every smallest quorum of each: the bound is reached, never undercut, and at least 1."""
    context = context_of(VOTERS)
    for first, second in product(seals_of(context, 1), seals_of(context, 2)):
        common = set(first.left) & set(second.left)
        supports = [
            [
                set(signers) | (set(seal.left) - common)
                for signers in combinations(sorted(seal.remaining(VOTERS)), seal.quorum(VOTERS))
            ]
            for seal in (first, second)
        ]
        least = min(len(one & other) for one in supports[0] for other in supports[1])
        assert least == least_double_voters(VOTERS, first, second) >= 1


def test_traitors_within_the_bound_cannot_seal_twice_when_only_they_are_expelled() -> None:
    for voters in range(4, 41):
        context = context_of(voters)
        traitors = (voters - 1) // 3
        most = min(traitors, expulsions_max(voters, 0))
        for first, second in product(range(most + 1), repeat=2):
            for common in range(max(0, first + second - traitors), min(first, second) + 1):
                one = seal_of(context, 1, expelled=tuple(range(first)))
                other = seal_of(context, 2, expelled=tuple(range(first - common, first - common + second)))
                struck = len(set(one.expelled) | set(other.expelled))
                assert least_double_voters(voters, one, other) > traitors - struck


def test_q_alone_would_let_six_honest_voters_seal_twice() -> None:
    first, second = {0, 1, 2}, {3, 4, 5}  # of the four that remain when {4,5}, or {0,1}, are expelled
    q = 2 * 4 // 3 + 1
    assert len(first) == len(second) == q
    assert not first & second
    context = context_of(6)
    one, other = seal_of(context, 1, expelled=(4, 5)), seal_of(context, 2, expelled=(0, 1))
    assert (one.quorum(6), least_double_voters(6, one, other)) == (4, 2)


@pytest.mark.parametrize(
    "seal",
    [
        lambda c: seal_of(replace(c, n=1), 1),
        lambda c: seal_of(replace(c, reference=b"x" * 32), 1),
        lambda c: seal_of(c, 0),
        lambda c: seal_of(c, 1, left=(1, 0)),
        lambda c: seal_of(c, 1, left=(1, 1)),
        lambda c: seal_of(c, 1, left=(-1,)),
        lambda c: seal_of(c, 1, expelled=(4,)),
        lambda c: seal_of(c, 1, left=(1,), expelled=(1,)),
        lambda c: seal_of(c, 1, left=(0, 1, 2, 3)),
        lambda c: seal_of(c, 1, expelled=(0, 1)),
        lambda c: seal_of(c, 1, left=(2, 3), expelled=(1,)),
    ],
)
def test_seals_that_cannot_follow(seal: object) -> None:
    context = context_of(4)
    assert callable(seal)
    wrong = seal(context)
    assert wrong.fault(context)
    assert refusal(certify(context, wrong, (0, 1, 2, 3)), context) == "CERTIFICATE_SEAL"


def test_a_certificate_of_a_hundred_voters_is_small() -> None:
    context = context_of(100)
    seal = seal_of(context, 1, expelled=(7, 99), proposals=20)
    signers = tuple(sorted(seal.remaining(100)))[: seal.quorum(100)]
    certificate = certify(context, seal, signers)
    raw = certificate.encode(100)
    assert len(signers) == 66
    assert len(raw) <= 8_000
    assert (len(raw) - len(seal.encode())) / len(signers) <= 75
    assert len(certify(context, seal_of(context, 1), tuple(range(100))).encode(100)) <= 8_000
    decoded = Certificate.decode(raw, 100)
    assert decoded == certificate
    assert decoded.epoch.reference() == seal.epoch.reference()
    verify_certificate(decoded, context)
    most = 13 + 64 * VOTERS_MAX + 16_384 + 100
    assert most < CERTIFICATE_BYTES_MAX


def test_signers_are_counted_and_must_remain() -> None:
    context = context_of(6)
    seal = seal_of(context, 1, left=(0,), expelled=(5,))
    assert seal.quorum(6) == 3
    verify_certificate(certify(context, seal, (1, 2, 3)), context)
    verify_certificate(certify(context, seal, (1, 2, 3, 4)), context)
    for signers in ((1, 2), (0, 1, 2), (1, 2, 3, 5), (2, 1, 3), (1, 1, 2), (1, 2, 3, 4, 4)):
        assert refusal(certify(context, seal, signers), context) == "CERTIFICATE_SIGNERS"
    with pytest.raises(LocalError):
        EpochContext.of(b"m" * 32, b"r" * 32, 0, 0, {b"a" * 32: key_of(1).public, b"b" * 32: key_of(1).public})


def test_a_commit_vouches_for_one_thing_only() -> None:
    context = context_of(4)
    seal = seal_of(context, 1)
    certificate = certify(context, seal, (0, 1, 2))
    verify_certificate(certificate, context)
    fewer = replace(certificate, seal=replace(seal, expelled=(3,)))  # a smaller quorum than they signed
    assert refusal(fewer, context) == "BAD_SIGNATURE"
    assert refusal(replace(certificate, round=1), context) == "BAD_SIGNATURE"
    assert refusal(certificate, replace(context, mesh_id=b"x" * 32)) == "BAD_SIGNATURE"
    for step, valid_round in ((Step.PREPARE, -1), (Step.PROPOSE, -1), (Step.COMMIT, 0)):
        signed = vote_bytes(context, 0, step, seal.digest(), valid_round)
        other = Certificate(seal, 0, tuple((voter, key_of(voter).sign(signed)) for voter in range(3)))
        assert refusal(other, context) == "BAD_SIGNATURE"


@given(st.data())
def test_no_changed_bit_passes(data: st.DataObject) -> None:
    context = context_of(4)
    raw = bytearray(certify(context, seal_of(context, 1, expelled=(3,)), (0, 1, 2)).encode(4))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RemoteError):
        verify_certificate(Certificate.decode(bytes(raw), 4), context)


@given(st.binary(max_size=200))
def test_noise_is_refused(raw: bytes) -> None:
    with pytest.raises(RemoteError):
        Certificate.decode(raw, 4)


def test_rivals_of_one_round_convict_their_common_signers() -> None:
    context = context_of(4)
    first = certify(context, seal_of(context, 1), (0, 1, 2))
    second = certify(context, seal_of(context, 2), (1, 2, 3))
    assert rivals(first, joined(first, certify(context, first.seal, (3,))), context) is None
    found = rivals(first, second, context)
    assert found is not None
    assert found.double_voters == {context.voters[1][0], context.voters[2][0]}
    assert (found.unclear, found.stands) == (frozenset(), None)


def test_the_rival_that_keeps_its_quorum_stands() -> None:
    context = context_of(7)
    first = certify(context, seal_of(context, 1), (0, 1, 2, 3, 4))
    rest = certify(context, first.seal, (4, 5, 6))
    second = certify(context, seal_of(context, 2, expelled=(5, 6)), (0, 1, 3, 4))
    whole = joined(first, rest)
    assert len(whole.commits) == 7
    found = rivals(whole, second, context)
    assert found is not None
    assert (len(found.double_voters), found.stands) == (4, None)
    third = certify(context, seal_of(context, 3, expelled=(4, 5, 6)), (0, 1, 2, 3), round_=2)
    apart = rivals(whole, third, context)
    assert apart is not None
    assert (apart.double_voters, len(apart.unclear), apart.stands) == (frozenset(), 4, None)
    proven = rivals(whole, third, context, [context.voters[0][0], context.voters[1][0]])
    assert proven is not None
    assert proven.stands == whole
    with pytest.raises(LocalError):
        joined(first, second)
