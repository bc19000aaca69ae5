"""The study of withdrawals: bounded by the home, not by the quorum, while a partition lasts; rows repeat themselves."""

from __future__ import annotations

import pytest

from simulations.withdrawal_study import MODES, Case, Row, study


@pytest.fixture(scope="module")
def cut() -> list[Row]:
    """A partition that lasts longer than the bound."""
    return study(Case(8, 0.05, 300, 150))


def of(rows: list[Row], mode: str) -> list[Row]:
    """Return the rows of a mode."""
    return [row for row in rows if row.mode == mode]


def test_the_home_bounds_what_flows_under_a_partition_and_the_quorum_does_not(cut: list[Row]) -> None:
    home, quorum = (of(cut, mode) for mode in MODES)
    assert len(home) == len(quorum) > 0
    assert all(80 < row.last_flow_s <= 150 for row in home)
    assert all(300 <= row.last_flow_s < 310 for row in quorum)
    assert all(10 * row.leaked <= row.last_flow_s < 10 * (row.leaked + 1) for row in cut)


def test_without_a_partition_it_takes_a_few_hops() -> None:
    rows = study(Case(8, 0.05, 0, 600))
    assert all(0 <= row.last_flow_s < 5 for row in rows)
    assert {row.leaked for row in rows} == {0}
    assert rows == study(Case(8, 0.05, 0, 600))
    assert rows != study(Case(8, 0.05, 0, 600, seed=2))
