"""Readings in the vault: kept once, merged in order, refused where they contradict; held against a plain model."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.adapters import enedis_csv, household
from node.readings import Reading, Series
from node.vaults.series import CHUNK_RECORDS, TABLE, SeriesRows
from storage.memory import MemoryStore
from storage.vault import VAULT_TABLES, Vault
from tests.node.series import CURVE, DAILY, INDEX, series
from tests.shared import shared

LONG = household.load_curve(3, 1_600_000_000, 300, gaps=4)


def vault() -> Vault:
    """Return an empty vault."""
    return Vault(MemoryStore(VAULT_TABLES), b"k" * 32, random.Random(1).randbytes)


def plain(one: Series) -> list[Reading]:
    """Return the records of a series."""
    return list(one)


def test_a_file_is_kept_in_chunks_and_comes_back_whole() -> None:
    held, rows = vault(), None
    rows = SeriesRows(held.blind)
    with held.write() as writer:
        assert rows.add(writer, LONG).new == len(LONG)
    with held.read() as reader:
        assert rows.load(reader, LONG.key) == LONG
        row = rows.row(reader, LONG.key)
        chunks = sum(1 for key, _ in reader.scan(TABLE, b"c", b"d"))
    assert row is not None
    assert (row.count, row.gaps, row.first, row.stop) == (len(LONG), 4, LONG.starts[0], LONG.stop)
    assert chunks == -(-len(LONG) // CHUNK_RECORDS)


def test_the_real_exports_are_kept_and_imported_again_without_effect() -> None:
    held = vault()
    rows = SeriesRows(held.blind)
    for name in ("hdm_c5_load_curve.csv", "hdm_c5_index.csv"):
        parsed = enedis_csv.parse(shared(f"data/enedis/{name}").read_bytes())
        with held.write() as writer:
            for one in parsed:
                assert rows.add(writer, one).new == len(one)
            for one in parsed:
                added = rows.add(writer, one)
                assert (added.new, added.same) == (0, len(one))
            for one in parsed:
                assert rows.load(writer, one.key) == one


def test_no_name_stands_in_clear_in_a_key() -> None:
    held = vault()
    rows = SeriesRows(held.blind)
    with held.write() as writer:
        rows.add(writer, LONG)
        keys = [key for key, _ in writer.scan(TABLE, b"")]
    assert keys
    for part in (LONG.key.point, LONG.key.point[4:], LONG.key.name):
        assert not any(part.encode() in key for key in keys)


@given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=6), st.sampled_from([CURVE, INDEX, DAILY]))
def test_parts_in_any_order_give_the_same_series(parts: list[list[int]], key: object) -> None:
    assert isinstance(key, type(CURVE))
    held = vault()
    rows = SeriesRows(held.blind)
    model: dict[int, Reading] = {}
    step = 0 if key.is_instant else 600
    for part in parts:
        readings = [Reading(1_600_000_000 + 600 * n, step, None if n % 7 == 3 else n * n) for n in sorted({*part})]
        with held.write() as writer:
            added = rows.add(writer, Series.from_readings(key, readings))
            fresh = [reading for reading in readings if reading.start not in model]
            assert (added.new, added.same) == (len(fresh), len(readings) - len(fresh))
            model.update({reading.start: reading for reading in fresh})
            expected = [model[start] for start in sorted(model)]
            if not expected:
                continue
            assert plain(rows.load(writer, key)) == expected
            row = rows.row(writer, key)
        assert row is not None
        assert row.count == len(model)
        assert row.gaps == sum(reading.value is None for reading in model.values())
        assert (row.first, row.last) == (expected[0].start, expected[-1].start)


@given(series(), st.integers(0, 40), st.integers(0, 40))
def test_pieces_of_a_window_are_the_window(one: Series, first: int, last: int) -> None:
    held = vault()
    rows = SeriesRows(held.blind)
    start = one.starts[min(first, len(one) - 1)]
    stop = one.starts[min(last, len(one) - 1)] + one.durations[min(last, len(one) - 1)] + 1
    with held.write() as writer:
        rows.add(writer, one)
        found: list[Reading] = []
        at = start
        while at < stop and (piece := rows.piece(writer, rows.name(one.key), at, stop)) is not None:
            found += piece
            at = max(piece.stop, piece.starts[-1] + 1)
    assert found == plain(one.window(start, stop))


@pytest.mark.parametrize("change", ["value", "gap", "overlap"])
def test_what_contradicts_is_refused_with_its_date(change: str) -> None:
    held = vault()
    rows = SeriesRows(held.blind)
    with held.write() as writer:
        rows.add(writer, LONG)
    readings = plain(LONG)
    spot = next(i for i in range(5_000, 6_000) if readings[i].value is not None)
    wrong = {
        "value": replace(readings[spot], value=-1),
        "gap": replace(readings[spot], value=None),
        "overlap": replace(readings[spot], start=readings[spot].start + 60, duration_s=60),
    }[change]
    new = Reading(LONG.stop, 1_800, 7)
    with pytest.raises(LocalError) as caught, held.write() as writer:
        rows.add(writer, Series.from_readings(LONG.key, [wrong, new]))
    assert caught.value.code == "READINGS_CONFLICT"
    assert str(caught.value.field).startswith("20")
    with held.read() as reader:
        assert rows.load(reader, LONG.key) == LONG


def test_series_are_listed_by_point() -> None:
    held = vault()
    rows = SeriesRows(held.blind)
    other = household.load_curve(4, 1_600_000_000, 2)
    daily = household.daily_totals(3, 1_600_000_000, 2)
    with held.write() as writer:
        for one in (LONG, other, daily):
            rows.add(writer, one)
        assert len(rows.listing(writer)) == 3
        assert {row.key for row in rows.listing(writer, LONG.key.point)} == {LONG.key, daily.key}
        assert rows.listing(writer, "prm:99999999999999") == []
        with pytest.raises(LocalError):
            rows.load(writer, replace(LONG.key, unit="W", granularity="PT10M"))
