"""Tables over several people, built from readings: sums, steps, gaps, what was published before, and the files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.aggregate import Check
from ledger.consent.thresholds import STRICTEST, Number
from ledger.errors import LocalError
from node.aggregates.holders import joined
from node.aggregates.release import HEADER, publish, to_csv, to_json
from node.aggregates.table import Built, Request, build, concerned
from node.compute.operations import decimal
from node.readings import Reading, Series
from node.series_key import SeriesKey
from node.vaults.releases import Release, Source

START = 1_700_006_400  # a midnight, UTC
HALF = 1_800
DAY = 86_400
CURVES = Source("electricity", "consumption", "load_curve", "PT30M", "W", False)
DAILIES = Source("electricity", "consumption", "daily", "P1D", "Wh", False)
SMALL = replace(STRICTEST, min_holders=Number(3, "a test", "own"), min_points=Number(3, "a test", "own"))


def name(number: int) -> str:
    return f"prm:{number:014}"


def curve(point: str, values: Sequence[int | None], start: int = START) -> Series:
    key = SeriesKey(point, "electricity", "consumption", "load_curve", "PT30M", "W")
    return Series.from_readings(key, [Reading(start + HALF * n, HALF, value) for n, value in enumerate(values)])


def request(groups: dict[str, list[int]], step: str = "PT30M", *, halves: int = 2, **changes: Any) -> Request:
    named = {group: frozenset(map(name, numbers)) for group, numbers in groups.items()}
    everyone = frozenset().union(*named.values())
    holders = {point: f"h{point}" for point in everyone | set(map(name, range(1, 10)))}
    made = Request(named, holders, CURVES, step, (START, START + HALF * halves), margins=True)
    return replace(made, **changes)


def readings(values: Mapping[int, Sequence[int | None]]) -> dict[str, list[Series]]:
    return {name(number): [curve(name(number), row)] for number, row in values.items()}


def release(asked: Request, series: dict[str, list[Series]], before: list[Release] | None = None) -> Release:
    history = before or []
    built = build(asked, concerned(asked, history), series)
    made, _ = publish(asked, built, SMALL, history, ident=bytes([len(history)]) * 16, name="street", at=START)
    return made


def figures(made: Release) -> dict[tuple[str, int, int], str]:
    """Return group, start and stop in half-hours -> value."""
    return {
        (one.group, (one.window[0] - START) // HALF, (one.window[1] - START) // HALF): one.value for one in made.figures
    }


FOUR: dict[int, list[int | None]] = {n: [100 * n, 200] for n in range(1, 5)}


def test_a_load_curve_is_summed_as_energy_by_step_by_group_and_over_all() -> None:
    asked = request({"a": [1, 2, 3, 4], "b": [5, 6, 7]})
    made = release(asked, readings(FOUR | {5: [10, 20], 6: [10, 20], 7: [10, 20]}))
    assert made.unit == "Wh"
    assert figures(made) == {
        ("a", 0, 1): "500",
        ("a", 1, 2): "400",
        ("b", 0, 1): "15",
        ("b", 1, 2): "30",
        ("a", 0, 2): "900",
        ("b", 0, 2): "45",
        ("", 0, 1): "515",
        ("", 1, 2): "430",
        ("", 0, 2): "945",
    }


def test_a_point_counts_only_where_its_readings_are_whole() -> None:
    values: dict[int, list[int | None]] = {**{n: [100, 100] for n in range(1, 5)}, 5: [100, None]}
    asked = request({"a": [1, 2, 3, 4, 5]}, margins=False)
    built = build(asked, [], readings(values))
    assert [sorted(map(len, cell.parts.values())) for cell in built.cells] == [[5], [4]]
    assert built.left_out == 1
    whole = build(replace(asked, step=""), [], readings(values))
    assert [sum(map(len, cell.parts.values())) for cell in whole.cells] == [4]
    hours = build(request({"a": [1, 2, 3, 4, 5]}, "PT60M", halves=3), [], readings(values))
    assert len(hours.cells) == 1


def test_a_group_that_is_too_small_has_no_value_and_nothing_else_tells_it() -> None:
    asked = request({"a": [1, 2, 3, 4], "b": [5, 6], "c": [7, 8, 9]})
    values = FOUR | {5: [10, 20], 6: [10, 20], 7: [30, 30], 8: [30, 30], 9: [30, 30]}
    made = release(asked, readings(values))
    by_line = {(one.group, one.window): one for one in made.figures}
    for line, one in by_line.items():
        if line[0] == "b":
            assert (one.value, one.check) == ("", "FEW_HOLDERS")
        if line[0] == "c":
            assert (one.value, one.check) == ("", "SECONDARY")
    assert figures(made)["", 0, 1] == "555"


def test_the_files_say_the_label_the_thresholds_and_no_value_that_is_kept_back() -> None:
    asked = request({"a": [1, 2, 3, 4], "b": [5, 6], "c": [7, 8, 9]})
    values = FOUR | {5: [11, 23], 6: [10, 20], 7: [31, 37], 8: [30, 30], 9: [30, 30]}
    made = release(asked, readings(values))
    text = to_csv(made).decode()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "threshold-checked" in comments[0]
    assert any("85 (read" in line for line in comments)
    body = list(csv.DictReader(io.StringIO("\n".join(line for line in text.splitlines() if line[0] != "#"))))
    assert list(body[0]) == HEADER.split(",")
    told = json.loads(to_json(made))
    assert told["label"] == "aggregated, threshold-checked"
    assert {row["label"] for row in body} == {told["label"]}
    assert set(told["profile"]["numbers"]["min_holders"]) == {"value", "source", "confidence"}
    for rows in (body, told["lines"]):
        assert {(row["state"], bool(row["value"])) for row in rows} == {("released", True), ("kept back", False)}
    for secret in ("10.5", "21.5", "45.5", "48.5"):  # of b and c, by hand
        assert f",{secret}," not in text
    assert "FEW_HOLDERS" not in text + to_json(made).decode()
    assert "anonym" not in text.replace("no proof of anonymity", "")


def test_a_group_stays_one_cell_whatever_it_is_called() -> None:
    made = release(request({'a, "b"': [1, 2, 3]}), readings({1: [1, 2], 2: [3, 4], 3: [5, 6]}))
    body = [line for line in to_csv(made).decode().splitlines() if line[0] != "#"]
    assert {row["group"] for row in csv.DictReader(io.StringIO("\n".join(body)))} <= {'a, "b"', "(all)"}
    assert any('"a, ""b"""' in line for line in body)


def test_a_release_reads_back_from_the_vault() -> None:
    made = release(request({"a": [1, 2, 3, 4], "b": [5, 6, 7]}), readings(FOUR | {n: [10, 20] for n in (5, 6, 7)}))
    assert Release.decode(made.encode()) == made


def test_figures_of_another_step_are_held_together_with_the_earlier_ones() -> None:
    values: dict[int, list[int | None]] = {n: [100, 200, 300, 400] for n in range(1, 9)}
    all_day = release(request({"a": list(range(1, 9))}, "", halves=4), readings(values))
    assert figures(all_day) == {("a", 0, 4): "4000"}
    # the same people by halves: fine. Seven of the eight: the eighth would be told.
    again = release(request({"a": list(range(1, 9))}, halves=4, margins=False), readings(values), [all_day])
    assert all(one.released for one in again.figures)
    fewer = release(request({"a": list(range(1, 8))}, "", halves=4), readings(values), [all_day])
    assert [one.check for one in fewer.figures] == ["EARLIER_RELEASE"]
    part = release(request({"a": list(range(1, 8))}, halves=2, margins=False), readings(values), [all_day, again])
    assert {one.check for one in part.figures} == {"EARLIER_RELEASE"}
    elsewhen = replace(request({"a": list(range(1, 8))}, ""), window=(START + 4 * HALF, START + 6 * HALF))
    later = {point: [curve(point, [5, 5], START + 4 * HALF)] for point in map(name, range(1, 8))}
    assert [one.check for one in release(elsewhen, later, [all_day]).figures] == ["RELEASED"]


def test_readings_that_were_erased_since_leave_nothing_to_judge_by() -> None:
    values: dict[int, list[int | None]] = {n: [100, 200] for n in range(1, 9)}
    first = release(request({"a": list(range(1, 9))}, ""), readings(values))
    del values[8]
    asked = request({"a": list(range(1, 6))}, "")
    asked = replace(asked, holders={**asked.holders, **{name(n): f"h{n}" for n in (6, 7, 8)}})
    made = release(asked, readings(values), [first])
    assert [one.released for one in made.figures] == [False]


def test_daily_totals_beside_the_load_curve_of_the_same_people() -> None:
    values: dict[int, list[int | None]] = {n: [100] * 48 for n in range(1, 9)}
    key = SeriesKey(name(1), "electricity", "consumption", "daily", "P1D", "Wh")
    daily = {
        name(n): [Series.from_readings(replace(key, point=name(n)), [Reading(START, DAY, 2_400)])] for n in range(1, 9)
    }
    by_curve = release(request({"a": list(range(1, 9))}, "", halves=48), readings(values))
    asked = request({"a": list(range(1, 8))}, "", halves=48, source=DAILIES)
    asked = replace(asked, holders={**asked.holders, name(8): "h8"})
    assert [one.check for one in release(asked, daily, [by_curve]).figures] == ["RELATED_RELEASE"]
    same = request({"a": list(range(1, 9))}, "", halves=48, source=DAILIES)
    assert [one.check for one in release(same, daily, [by_curve]).figures] == ["RELEASED"]


def test_only_releases_that_bear_on_a_table_are_looked_at() -> None:
    values: dict[int, list[int | None]] = {n: [100, 200] for n in range(1, 9)}
    near = release(request({"a": [1, 2, 3, 4]}, ""), readings(values))
    through = release(request({"a": [4, 5, 6, 7]}, ""), readings(values))
    apart = release(request({"a": [6, 7, 8]}, "", source=replace(CURVES, direction="injection")), readings(values))
    assert concerned(request({"a": [1, 2, 3]}, ""), [apart, through, near]) == [near, through]
    assert concerned(request({"a": [8]}, ""), [near, through]) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"holders": {}}, "HOLDER_UNKNOWN"),
        ({"groups": {}}, "BAD_GROUPS"),
        ({"groups": {"a": frozenset()}}, "BAD_GROUPS"),
        ({"groups": {"a": frozenset({name(1)}), "b": frozenset({name(1)})}}, "BAD_GROUPS"),
        ({"source": replace(CURVES, kind="index")}, "NOT_FOR_KIND"),
        ({"step": "PT1H"}, "BAD_STEP"),
        ({"step": "PT1M", "window": (START, START + 30_000 * 60)}, "TOO_MANY_STEPS"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(LocalError) as caught:
        replace(request({"a": [1]}), **changes).check()
    assert caught.value.code == code


def test_people_who_meet_on_a_point_are_one() -> None:
    people = {"p1": {"anna", "bob"}, "p2": {"bob", "carl"}, "p3": {"dora"}, "p4": {"carl"}}
    found = joined(people)
    assert found["p1"] == found["p2"] == found["p4"] != found["p3"]


@given(st.data())
def test_every_value_is_the_sum_of_what_its_line_says_and_none_is_kept_back(data: st.DataObject) -> None:
    halves = data.draw(st.integers(1, 4))
    numbers = list(range(1, 10))
    group = {n: data.draw(st.sampled_from("ab")) for n in numbers}
    row = st.lists(st.none() | st.integers(0, 9), min_size=halves, max_size=halves)
    values = {n: data.draw(row) for n in numbers}
    groups = {g: [n for n in numbers if group[n] == g] for g in "ab" if g in group.values()}
    asked = request(groups, data.draw(st.sampled_from(["", "PT30M"])), halves=halves)
    built = build(asked, [], readings(values))
    made, verdicts = publish(asked, built, SMALL, [], ident=bytes(16), name="", at=0)
    for figure, verdict in zip(made.figures, verdicts, strict=True):
        assert bool(figure.value) == verdict.released == (verdict.check is Check.RELEASED)
        if verdict.released:
            assert figure.value == by_hand(built, asked, values, figure.group, figure.window)


def by_hand(
    built: Built, asked: Request, values: dict[int, list[int | None]], group: str, window: tuple[int, int]
) -> str:
    """Sum what a line says from the lists themselves."""
    first, last = (window[0] - START) // HALF, (window[1] - START) // HALF
    inside = [n for n in values if not group or name(n) in asked.groups[group]]
    steps = [(first, last)] if not asked.step else [(n, n + 1) for n in range(first, last)]
    total = Fraction(0)
    for start, stop in steps:
        for n in inside:
            part = values[n][start:stop]
            if None not in part:
                total += sum((Fraction(one or 0) for one in part), Fraction(0)) / 2
    assert built.scale == Fraction(1, 3_600)
    return decimal(total)
