"""Shares of a loop: they sum to exactly 1, each day has one version, and nobody else's statement counts."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec, kinds
from ledger.consent.allocation import DENOMINATOR_MAX, POINTS_MAX, Shares, Statement, in_force, payload
from ledger.consent.status import Party
from ledger.errors import LocalError, RemoteError
from ledger.schema import DAY

PMO: Party = (b"\x01" * 32, 1)
OTHER: Party = (b"\x02" * 32, 1)
SALT = bytes(range(16))
THIRDS = Shares.of({f"prm:{number:014}": Fraction(1, 3) for number in range(3)})


def test_thirds_sum_to_one_and_open_their_statement() -> None:
    stated = payload(1, 20 * DAY, THIRDS, SALT)
    kinds.check("allocation.state", ("allocation", bytes(16)), codec.decode(codec.encode(stated)), has_epoch=False)
    statement = Statement(bytes(32), PMO, 1, 20 * DAY, stated["digest"])
    statement.check(Shares.read(codec.decode(codec.encode(THIRDS.value()))), SALT)
    assert THIRDS.share("prm:00000000000002") == Fraction(1, 3)
    assert THIRDS.share("prm:00000000000009") == 0
    for shares, salt in ((THIRDS, bytes(16)), (Shares.of({"prm:00000000000000": Fraction(1)}), SALT)):
        with pytest.raises(RemoteError) as refused:
            statement.check(shares, salt)
        assert refused.value.code == "DISCLOSURE_MISMATCH"


@pytest.mark.covers("R64", "system:PMO / ACC")
@pytest.mark.parametrize(
    "shares",
    [
        {},
        {"a": Fraction(1, 2), "b": Fraction(1, 3)},
        {"a": Fraction(3, 2), "b": Fraction(-1, 2)},
        {"a": Fraction(1, 3), "b": Fraction(2, 3) - Fraction(1, 10**12)},
        {str(number): Fraction(1, POINTS_MAX + 1) for number in range(POINTS_MAX + 1)},
    ],
)
def test_what_does_not_sum_to_one_is_refused(shares: dict[str, Fraction]) -> None:
    with pytest.raises(LocalError) as refused:
        Shares.of(shares)
    assert refused.value.code == "BAD_SHARES"


@pytest.mark.parametrize(
    "value",
    [None, [], [1], [2, {"a": 1}], [1, {"a": True}], [1, {1: 1}], [0, {}], [DENOMINATOR_MAX + 1, {"a": 1}], [1, []]],
)
def test_malformed_tables_are_refused(value: Any) -> None:
    with pytest.raises(RemoteError) as refused:
        Shares.read(value)
    assert refused.value.code == "BAD_SHARES"


@pytest.mark.covers("R64")
def test_a_version_holds_from_a_day_on() -> None:
    with pytest.raises(LocalError, match="beginning of a day"):
        payload(1, 20 * DAY + 1, THIRDS, SALT)
    with pytest.raises(LocalError, match="sum to 1/2"):
        payload(1, 20 * DAY, Shares({"a": 1}, 2), SALT)


PARTS = st.lists(st.integers(0, 1_000), min_size=1, max_size=20).filter(any)


@given(PARTS)
def test_any_division_of_a_whole_is_exact(parts: list[int]) -> None:
    whole = sum(parts)
    shares = Shares.of({str(number): Fraction(part, whole) for number, part in enumerate(parts)})
    assert sum(shares.share(str(number)) for number in range(len(parts))) == 1
    assert Shares.read(shares.value()) == shares


STATEMENTS = st.lists(
    st.builds(
        Statement,
        st.binary(min_size=32, max_size=32),
        st.sampled_from([PMO, OTHER]),
        st.integers(1, 3),
        st.integers(0, 5).map(lambda day: day * DAY),
        st.just(bytes(32)),
    ),
    max_size=8,
    unique_by=lambda one: one.entry,
)


@given(STATEMENTS, st.integers(0, 6 * DAY), st.randoms(use_true_random=False))
def test_each_day_has_one_version_in_any_order(statements: list[Statement], day: int, source: random.Random) -> None:
    found = in_force(statements, PMO, day)
    shuffled = [*statements, *statements]
    source.shuffle(shuffled)
    assert in_force(shuffled, PMO, day) == found
    may = [one for one in statements if one.by == PMO and one.effective <= day]
    if found is None:
        assert may == []
    else:
        assert found in may
        assert all((one.effective, one.version) <= (found.effective, found.version) for one in may)
