"""The aggregate door: thresholds at their edges, and an attacker with exact algebra over everything published."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.aggregate import (
    SENTENCES,
    Cell,
    Check,
    Material,
    Parts,
    dominates,
    judge_group,
    judge_release,
)
from ledger.consent.thresholds import LABEL, PROFILES, STRICTEST, Number, Profile, find_profile
from ledger.errors import LocalError
from tests.ledger.consent.attacker import bounds, derives, speaks_of

SMALL = replace(STRICTEST, name="small", min_holders=Number(3, "a test", "own"), min_points=Number(3, "a test", "own"))


def points(count: int, start: int = 0) -> frozenset[str]:
    return frozenset(f"p{n:02}" for n in range(start, start + count))


def one_each(amounts: dict[str, int], step: int = 0) -> Material:
    """Everybody has one point."""
    return Material({point: f"h{point}" for point in amounts}, {step: amounts})


def check_one(amounts: dict[str, int], profile: Profile = STRICTEST) -> Check:
    """Judge one cell that holds all."""
    (verdict,) = judge_release([Cell("all", {0: frozenset(amounts)})], [], one_each(amounts), profile)
    return verdict.check


def checks(cells: list[Cell], earlier: list[Parts], material: Material, **more: Any) -> dict[str, Check]:
    """Judge under the small profile."""
    return {one.cell: one.check for one in judge_release(cells, earlier, material, SMALL, **more)}


@pytest.mark.covers("R108", "R112", "system:INSEE")
@pytest.mark.parametrize(
    ("count", "profile", "found"),
    [
        (2, "insee-business", Check.FEW_HOLDERS),
        (3, "insee-business", Check.RELEASED),
        (9, "energy-residential", Check.FEW_HOLDERS),
        (10, "energy-residential", Check.RELEASED),
        (10, "strictest", Check.FEW_HOLDERS),
        (11, "strictest", Check.RELEASED),
        (10, "building-owner", Check.FEW_HOLDERS),
        (49, "wealth-tax", Check.FEW_HOLDERS),
        (50, "wealth-tax", Check.RELEASED),
    ],
)
def test_the_minimum_of_people(count: int, profile: str, found: Check) -> None:
    assert check_one(dict.fromkeys(points(count), 100), find_profile(profile)) is found


@pytest.mark.covers("R108", "system:INSEE")
@pytest.mark.parametrize(
    ("largest", "found"),
    [(8_499, Check.RELEASED), (8_500, Check.RELEASED), (8_501, Check.DOMINATED), (10_000, Check.DOMINATED)],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_dominance_is_exact_and_counts_absolute_values(largest: int, found: Check, sign: int) -> None:
    amounts = dict.fromkeys(points(11), 0)
    amounts["p00"] = sign * largest
    amounts["p01"] = 10_000 - largest  # injection or not, its size counts
    assert check_one(amounts) is found
    assert dominates(largest, 10_000, 85) is (found is Check.DOMINATED)


def test_dominance_is_of_people_and_not_of_points() -> None:
    material = Material(
        {point: "anna" if point < "p05" else point for point in points(16)}, {0: dict.fromkeys(points(16), 1)}
    )
    amounts = {0: {point: 100 if point < "p05" else 7 for point in points(16)}}
    cell = Cell("all", {0: points(16)})
    assert judge_release([cell], [], material, STRICTEST)[0].check is Check.RELEASED
    # 500 of 577 are hers, though no point has more than a fifth
    assert judge_release([cell], [], replace(material, amounts=amounts), STRICTEST)[0].check is Check.DOMINATED


def test_one_owner_of_many_points_is_one_person() -> None:
    holders = {point: "anna" if point < "p05" else point for point in points(14)}
    material = Material(holders, {0: dict.fromkeys(points(14), 1)})
    (verdict,) = judge_release([Cell("all", {0: points(14)})], [], material, STRICTEST)
    assert (verdict.check, verdict.missing) == (Check.FEW_HOLDERS, 1)
    two_on_one = Material({"p00": "a"}, {0: {"p00": 1}})
    few = replace(STRICTEST, min_holders=Number(1, "a test", "own"))
    assert judge_release([Cell("one", {0: points(1)})], [], two_on_one, few)[0].check is Check.FEW_POINTS


def test_empty_zero_and_unknown_cells_are_kept_back() -> None:
    assert judge_release([Cell("none", {})], [], Material({}, {}), STRICTEST)[0].check is Check.EMPTY
    assert judge_release([Cell("none", {0: frozenset()})], [], Material({}, {}), STRICTEST)[0].missing == 11
    assert check_one(dict.fromkeys(points(20), 0)) is Check.ALL_ZERO
    amounts = dict.fromkeys(points(11), 1)
    material = one_each(amounts)
    gone = {0: {point: amount for point, amount in amounts.items() if point != "p00"}}
    assert (
        judge_release([Cell("all", {0: points(11)})], [], replace(material, amounts=gone), STRICTEST)[0].check
        is Check.UNKNOWN_PART
    )


@pytest.mark.covers("R112")
def test_a_group_below_the_critical_mass_is_told_how_many_are_missing() -> None:
    material = one_each(dict.fromkeys(points(20), 1))
    assert (judge_group(points(8), material, STRICTEST).check, judge_group(points(8), material, STRICTEST).missing) == (
        Check.FEW_HOLDERS,
        3,
    )
    assert judge_group(points(11), material, STRICTEST).released


@pytest.mark.covers("R113")
def test_a_release_that_differs_by_too_few_is_refused() -> None:
    material = one_each(dict.fromkeys(points(20), 1))
    street = Cell("street", {0: points(12)})
    for other in (points(13), points(11), points(12, 1)):
        (verdict,) = judge_release([Cell("street", {0: other})], [street.parts], material, STRICTEST)
        assert verdict.check is Check.EARLIER_RELEASE
    assert judge_release([street], [street.parts], material, STRICTEST)[0].released
    assert judge_release(
        [Cell("later", {1: points(13)})],
        [street.parts],
        Material(material.holders, {0: material.amounts[0], 1: material.amounts[0]}),
        STRICTEST,
    )[0].released


def test_a_chain_of_releases_is_seen_as_well_as_a_pair() -> None:
    """Everybody, then two disjoint parts: no two of them differ by few, and the three do."""
    material = one_each(dict.fromkeys(points(8), 1))
    whole, left = {0: points(8)}, {0: points(4)}
    assert checks([Cell("right", {0: points(3, 4)})], [whole, left], material) == {"right": Check.EARLIER_RELEASE}
    assert checks([Cell("right", {0: points(4, 4)})], [whole, left], material) == {"right": Check.RELEASED}


def test_a_small_group_takes_the_smallest_other_with_it_and_the_margin_stands() -> None:
    amounts = dict.fromkeys(points(12), 10) | dict.fromkeys(points(3, 2), 9)
    cells = [
        Cell("few", {0: points(2)}),
        Cell("small", {0: points(3, 2)}),
        Cell("large", {0: points(7, 5)}),
        Cell("total", {0: points(12)}, rank=9),
    ]
    assert checks(cells, [], one_each(amounts)) == {
        "few": Check.FEW_HOLDERS,
        "small": Check.SECONDARY,
        "large": Check.RELEASED,
        "total": Check.RELEASED,
    }


def test_a_kept_back_cell_is_not_bounded_closely() -> None:
    """The union with the next cell would be published as total minus the rest: it must not be nearly the secret."""
    amounts = dict.fromkeys(points(12), 10) | {"p00": 1_000, "p01": 1, "p02": 1, "p03": 1, "p04": 1, "p05": 200}
    cells = [
        Cell("secret", {0: points(2)}),
        Cell("tiny", {0: points(3, 2)}),
        Cell("large", {0: points(7, 5)}),
        Cell("total", {0: points(12)}, rank=9),
    ]
    found = checks(cells, [], one_each(amounts))
    told = {"secret": Check.FEW_HOLDERS, "tiny": Check.RELEASED, "large": Check.SECONDARY, "total": Check.RELEASED}
    assert found == told


def test_what_was_kept_back_before_is_not_bounded_closely_by_what_comes_later() -> None:
    """51 is kept back beside a total of 61 over two steps; a part of the second step would leave at most 59 for it."""
    amounts = {
        0: dict.fromkeys(points(9), 0) | {"p07": 1, "p08": 50},
        1: dict.fromkeys(points(9), 0) | {"p04": 1, "p05": 3, "p06": 5, "p07": 1},
    }
    material = Material({point: point for point in points(9)}, amounts)
    secret, total = {0: points(9)}, {0: points(9), 1: points(9)}
    assert checks([Cell("secret", secret)], [total], material) == {"secret": Check.DOMINATED}
    part = Cell("part", {1: points(5) | {"p07"}})
    assert checks([part], [total], material) == {"part": Check.RELEASED}
    assert checks([part], [total], material, kept_back=[secret]) == {"part": Check.EARLIER_RELEASE}


def test_what_is_known_already_is_published_again_even_where_it_bounds_a_cell_closely() -> None:
    material = one_each({"p00": 1, "p01": 1, "p02": 0})
    cells = [Cell("few", {0: points(2)}), Cell("total", {0: points(3)}, rank=2)]
    assert checks(cells, [], material) == {"few": Check.FEW_HOLDERS, "total": Check.SECONDARY}
    assert checks(cells, [{0: points(3)}], material) == {"few": Check.FEW_HOLDERS, "total": Check.RELEASED}


def test_figures_of_other_readings_of_the_same_people_are_held_to_the_counts() -> None:
    material = one_each(dict.fromkeys(points(8), 1))
    related: list[Parts] = [{0: points(8)}]
    assert checks([Cell("c", {0: points(7)})], [], material, related=related) == {"c": Check.RELATED_RELEASE}
    assert checks([Cell("c", {0: points(5)})], [], material, related=related) == {"c": Check.RELEASED}
    assert checks([Cell("c", {0: points(8)})], [], material, related=related) == {"c": Check.RELEASED}


def test_bad_input_is_refused_whole() -> None:
    material = one_each(dict.fromkeys(points(3), 1))
    twice = [Cell("a", {0: points(3)}), Cell("a", {0: points(3)})]
    with pytest.raises(LocalError, match="name of its own") as caught:
        judge_release(twice, [], material, SMALL)
    assert caught.value.code == "BAD_RELEASE"
    with pytest.raises(LocalError, match="belongs to nobody"):
        judge_release([Cell("a", {0: points(4)})], [], material, SMALL)
    many = {step: points(3) for step in range(700_000)}
    with pytest.raises(LocalError, match="at most") as caught:
        judge_release([Cell("a", many)], [], material, SMALL)
    assert caught.value.code == "RELEASE_TOO_LARGE"


def test_every_number_has_a_source_and_a_profile_only_gets_stricter() -> None:
    assert {name for name, profile in PROFILES.items() if profile.name != name} == set()
    for profile in PROFILES.values():
        assert all(number.source and number.value > 0 for number in profile.numbers().values())
    assert (STRICTEST.min_holders.value, STRICTEST.min_points.value, STRICTEST.dominance_percent.value) == (11, 11, 85)
    stricter = STRICTEST.at_least(20, 5)
    assert (stricter.min_holders.value, stricter.min_points.value) == (20, 11)
    assert "anonym" not in LABEL
    assert set(SENTENCES) == set(Check)
    with pytest.raises(LocalError, match="no such profile"):
        find_profile("lax")
    with pytest.raises(LocalError, match="minimum"):
        STRICTEST.at_least(-1, 0)


# The attacker

PEOPLE = 9
STEPS = 2


@st.composite
def histories(draw: st.DrawFn) -> tuple[Material, list[list[Cell]]]:
    """Several tables over some people and steps: groups, totals of groups, of steps, of everything."""
    names = sorted(points(PEOPLE))
    owners = draw(st.lists(st.integers(0, PEOPLE - 1), min_size=PEOPLE, max_size=PEOPLE))
    own = draw(st.booleans())
    holders = {name: name if own else f"h{owner}" for name, owner in zip(names, owners, strict=True)}
    size = st.sampled_from([0, 1, 1, 2, 3, 5, 50])
    amounts = {step: {name: draw(size) for name in names} for step in range(STEPS)}
    tables = []
    for _ in range(draw(st.integers(1, 3))):
        group_of = {name: draw(st.sampled_from(["a", "b", "c", ""])) for name in names}
        groups = {g: frozenset(n for n in names if group_of[n] == g) for g in ("a", "b", "c")}
        everyone = frozenset(n for n in names if group_of[n])
        cells = [Cell(f"{g}{t}", {t: one}) for g, one in groups.items() for t in range(STEPS)]
        if draw(st.booleans()):
            cells += [Cell(f"{g}*", dict.fromkeys(range(STEPS), one), rank=1) for g, one in groups.items()]
        if draw(st.booleans()):
            cells += [Cell(f"*{t}", {t: everyone}, rank=2) for t in range(STEPS)]
        if draw(st.booleans()):
            cells.append(Cell("**", dict.fromkeys(range(STEPS), everyone), rank=3))
        tables.append(cells)
    return Material(holders, amounts), tables


def columns() -> list[tuple[int, str]]:
    return [(step, name) for step in range(STEPS) for name in sorted(points(PEOPLE))]


def row(parts: Parts) -> list[int]:
    return [int(name in parts.get(step, ())) for step, name in columns()]


def publish(material: Material, tables: list[list[Cell]]) -> tuple[list[Parts], list[tuple[Parts, int]]]:
    """Judge one table after another.

    Return what was published, and what was kept back for its own sake, each with how much was published before.
    """
    out: list[Parts] = []
    secret: list[tuple[Parts, int]] = []
    for cells in tables:
        before = len(out)
        verdicts = judge_release(cells, list(out), material, SMALL, kept_back=[parts for parts, _ in secret])
        out += [cell.parts for cell, verdict in zip(cells, verdicts, strict=True) if verdict.released]
        own = {Check.FEW_HOLDERS, Check.FEW_POINTS, Check.DOMINATED, Check.ALL_ZERO}
        secret += [(cell.parts, before) for cell, one in zip(cells, verdicts, strict=True) if one.check in own]
    return out, secret


def value_of(material: Material, vector: list[int]) -> int:
    """Return what a figure says."""
    return sum(one * material.amounts[step][name] for one, (step, name) in zip(vector, columns(), strict=True))


def test_the_attacker_finds_what_a_careless_publisher_tells() -> None:
    rows = [row({0: points(9)}), row({0: points(4)}), row({0: points(4, 4)})]
    assert derives(rows, row({0: points(1, 8)}))
    assert speaks_of(rows, {columns().index((0, "p08"))})
    assert not speaks_of(rows[:2], {columns().index((0, "p08"))})
    assert [int(one) for one in bounds(rows[:1], [50], rows[1])] == [0, 50]
    assert [int(one) for one in bounds(rows[1:], [20, 30], rows[0])] == [50, -1]


@given(histories())
def test_no_combination_of_figures_speaks_of_fewer_people_than_the_minimum(case: Any) -> None:
    material, tables = case
    out, _ = publish(material, tables)
    rows = [row(parts) for parts in out]
    people = sorted(set(material.holders.values()))
    for few in combinations(people, min(SMALL.min_holders.value - 1, len(people))):
        theirs = {n for n, (_, name) in enumerate(columns()) if material.holders[name] in few}
        assert not speaks_of(rows, theirs)


@given(histories())
def test_figures_of_two_kinds_of_readings_together_speak_of_no_fewer_people(case: Any) -> None:
    """Tables alternate between a load curve and daily totals of the same people, which an attacker can subtract."""
    material, tables = case
    published: tuple[list[Parts], list[Parts]] = ([], [])
    for number, cells in enumerate(tables):
        own, other = published[number % 2], published[1 - number % 2]
        verdicts = judge_release(cells, list(own), material, SMALL, related=list(other))
        own += [cell.parts for cell, verdict in zip(cells, verdicts, strict=True) if verdict.released]
    rows = [row(parts) for parts in (*published[0], *published[1])]
    people = sorted(set(material.holders.values()))
    for few in combinations(people, min(SMALL.min_holders.value - 1, len(people))):
        assert not speaks_of(rows, {n for n, (_, name) in enumerate(columns()) if material.holders[name] in few})


@given(histories())
def test_no_cell_that_was_kept_back_can_be_computed(case: Any) -> None:
    material, tables = case
    out, secret = publish(material, tables)
    rows = [row(parts) for parts in out]
    assert not [parts for parts, _ in secret if derives(rows, row(parts))]


@given(histories())
def test_no_cell_that_was_given_up_in_the_last_table_can_be_computed(case: Any) -> None:
    material, tables = case
    out, _ = publish(material, tables[:-1])
    verdicts = judge_release(tables[-1], list(out), material, SMALL)
    both = list(zip(tables[-1], verdicts, strict=True))
    rows = [row(parts) for parts in (*out, *(cell.parts for cell, one in both if one.released))]
    lost = [cell.parts for cell, one in both if one.check in (Check.SECONDARY, Check.EARLIER_RELEASE)]
    assert not [parts for parts in lost if derives(rows, row(parts))]


@given(histories())
def test_no_cell_that_was_kept_back_is_bounded_closely(case: Any) -> None:
    """The attacker knows that no part is negative, and has the least and the greatest value by linear programming.

    What bounded a cell before it was ever asked for is not the fault of the table that asks for it.
    """
    material, tables = case
    out, secret = publish(material, tables)
    rows = [row(parts) for parts in out]
    told = [value_of(material, one) for one in rows]
    for parts, before in secret:
        wanted = row(parts)
        if is_near(material, rows[:before], told[:before], wanted):
            continue
        assert not is_near(material, rows, told, wanted)


def is_near(material: Material, rows: list[list[int]], told: list[int], wanted: list[int]) -> bool:
    """Say whether the bounds that follow from the figures come too close to what is kept back."""
    amount = value_of(material, wanted)
    least, greatest = bounds(rows, told, wanted)
    return least * 100 > 85 * amount or least == greatest or 0 <= greatest * 85 < 100 * amount


@given(histories())
def test_what_was_published_may_be_published_again_in_any_table(case: Any) -> None:
    material, tables = case
    out: list[Parts] = []
    secret: list[Parts] = []
    for cells in tables:
        verdicts = judge_release(cells, list(out), material, SMALL, kept_back=list(secret))
        again = [verdict.check for cell, verdict in zip(cells, verdicts, strict=True) if cell.parts in out]
        assert set(again) <= {Check.RELEASED}
        out += [cell.parts for cell, verdict in zip(cells, verdicts, strict=True) if verdict.released]
        secret += [cell.parts for cell, one in zip(cells, verdicts, strict=True) if one.check is Check.DOMINATED]


@given(histories())
def test_the_same_table_may_be_published_again(case: Any) -> None:
    material, tables = case
    first = judge_release(tables[0], [], material, SMALL)
    out = [cell.parts for cell, one in zip(tables[0], first, strict=True) if one.released]
    again = judge_release(tables[0], out, material, SMALL)
    assert {one.cell for one in first if one.released} <= {one.cell for one in again if one.released}
