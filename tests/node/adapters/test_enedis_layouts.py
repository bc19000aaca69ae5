"""The other layouts of Enedis exports: accounts of several points, daily totals, tables, encodings, delimiters."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import RemoteError
from node.adapters import enedis_csv, registry
from node.adapters.adapter import LeftOut, Parsed, Source
from node.adapters.enedis_tables import MEASURES
from node.readings import Reading, Series

PARIS = ZoneInfo("Europe/Paris")
LONG = (
    "Identifiant PRM;Type de donnees;Date de debut;Date de fin;"
    "Grandeur physique;Grandeur metier;Etape metier;Unite;Pas en minutes"
)
SHORT = "Identifiant PRM;Type de donnees;Date de debut;Date de fin"
TABLE = (
    "Date de la mesure;Heure de la mesure;Valeur;Statut de la mesure;PRM;Type de données;Date de début;Date de fin;"
    "Grandeur métier;Grandeur physique;Statut demandé;Unité;Pas en minutes"
)
ABOUT = "12345678901234;Courbe de charge;01/10/2021;01/11/2021;Consommation;Energie active;Brut;W;30"


def read(text: str, *, encoding: str = "utf-8", **source: Any) -> list[Series]:
    """Read a file as a node does, by its content."""
    data = text.encode(encoding)
    return [one.series for one in registry.read(data, Source(**source)) if isinstance(one, Parsed)]


def curve(point: str, *rows: str, step: str = "30") -> str:
    about = f"{point};Courbe de charge;20/10/2020;02/02/2022;Energie active;Consommation;Comptage Brut;W;{step}"
    return "\n".join([LONG, about, "Horodate;Valeur", *rows]) + "\n"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp())


ROWS = ("2021-01-07T14:00:00+01:00;1", "2021-01-07T14:30:00+01:00;", "2021-01-07T15:00:00+01:00;3")


def test_an_account_has_a_block_for_each_point() -> None:
    points = [f"1234567890{n:04}" for n in range(3)]
    found = read("\n".join(curve(point, *ROWS) for point in points))
    assert [one.key.point for one in found] == [f"prm:{point}" for point in points]
    assert all(one.values() == [1, None, 3] for one in found)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252", "iso-8859-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_encodings_line_ends_and_delimiters_say_the_same(encoding: str, newline: str, delimiter: str) -> None:
    text = curve("12345678901234", *ROWS).replace("donnees", "données").replace("debut", "début")
    (one,) = read(text.replace("\n", newline).replace(";", delimiter), encoding=encoding)
    assert [one] == read(curve("12345678901234", *ROWS))


@pytest.mark.parametrize(("step", "minutes"), [("60", 60), ("30", 30), ("15", 15), ("10", 10)])
def test_steps_as_declared_and_as_found(step: str, minutes: int) -> None:
    stamps = [at("2021-01-07T00:00:00") + 60 * minutes * (n + 1) for n in range(24)]
    rows = [f"{datetime.fromtimestamp(stamp, PARIS).isoformat()};{n}" for n, stamp in enumerate(stamps)]
    declared, found = (read(curve("12345678901234", *rows, step=said))[0] for said in (step, ""))
    assert declared == found
    assert declared.key.granularity == f"PT{minutes}M"
    assert (declared.starts[0], set(declared.durations)) == (at("2021-01-07T00:00:00"), {60 * minutes})


def test_a_row_that_stands_twice_counts_once_and_is_said() -> None:
    data = curve("12345678901234", *ROWS[:2], ROWS[1], ROWS[2], ROWS[2]).encode()
    (found,) = registry.read(data, Source())
    assert isinstance(found, Parsed)
    assert (found.repeated, found.series.values()) == (2, [1, None, 3])


def test_the_line_of_a_fault_is_right_after_repeated_rows() -> None:
    rows = (ROWS[0], ROWS[0], ROWS[1], ROWS[1], "2021-01-07T14:35:00+01:00;9")
    with pytest.raises(RemoteError) as error:
        read(curve("12345678901234", *rows, step="30"))
    assert error.value.field == "file, line 8, Horodate"


@pytest.mark.parametrize(
    ("header", "values", "wanted"),
    [
        ("Date;Valeur (en Wh)", ("12571", "", "9800"), [12571, None, 9800]),
        ("Date;Consommation (en kWh)", ("12,571", "NA", "9,8"), [12571, None, 9800]),
        ("Date;Valeur (en kWh)", ("12.5715", "0", "9"), [Decimal("12571.5"), 0, 9000]),
    ],
)
@pytest.mark.parametrize(
    "days", [("2021-10-30", "2021-10-31", "2021-11-01"), ("30/10/2021", "31/10/2021", "01/11/2021")]
)
def test_daily_totals(header: str, values: tuple[str, ...], wanted: list[object], days: tuple[str, ...]) -> None:
    rows = "".join(f"{day};{value}\n" for day, value in zip(days, values, strict=True))
    heading = f"{SHORT}\n12345678901234;Consommation quotidienne;30/10/2021;01/11/2021\n\n"
    (one,) = read(f"{heading}{header}\n{rows}")
    assert [one] == read(f"{header}\n{rows}", point="prm:12345678901234")
    assert (one.key.kind, one.key.unit, one.key.granularity) == ("daily", "Wh", "P1D")
    assert one.values() == wanted
    assert list(one.durations) == [86_400, 90_000, 86_400]
    assert one.starts[0] == at("2021-10-30T00:00:00")


def test_daily_injection_is_told_by_the_heading_or_the_header() -> None:
    rows = "2021-01-07;5\n"
    heading = f"{SHORT}\n12345678901234;Injection quotidienne;01/01/2021;01/02/2021\n"
    (one,) = read(f"{heading}Date;Valeur (en Wh)\n{rows}")
    (other,) = read(f"Date;Production (en Wh)\n{rows}", point="prm:12345678901234")
    (third,) = read(f"Date;Valeur (en Wh)\n{rows}", point="prm:12345678901234", direction="injection")
    assert one == other == third
    assert one.key.direction == "injection"


def test_a_day_that_stands_twice_counts_once_or_refuses() -> None:
    header = "Date;Valeur (en Wh)\n"
    (one,) = read(f"{header}2021-01-08;6\n2021-01-07;5\n2021-01-08;6\n", point="prm:12345678901234")
    assert one.values() == [5, 6]
    with pytest.raises(RemoteError) as error:
        read(f"{header}2021-01-07;5\n2021-01-08;6\n2021-01-07;7\n", point="prm:12345678901234")
    assert error.value.field == "file, line 4, time"


def table(*stamps: str, first: int = 0, about: str = ABOUT, often: bool = True) -> str:
    rows = []
    for number, stamp in enumerate(stamps, first):
        day, _, time = stamp.partition("T")
        rows.append(f"{day};{time};{number};Réelle;{about if often or number == first else ';' * 8}")
    return "\n".join([TABLE, *rows]) + "\n"


@pytest.mark.parametrize("often", [True, False])
@pytest.mark.parametrize(("day", "count"), [("2021-10-31", 50), ("2021-03-28", 46), ("2021-06-01", 48)])
@pytest.mark.parametrize("step", ["30", ""])
def test_a_table_of_local_times_over_the_change_of_the_hour(day: str, count: int, step: str, often: bool) -> None:
    midnight = at(f"{day}T00:00:00")
    stamps = [datetime.fromtimestamp(midnight + 1800 * (n + 1), PARIS) for n in range(count)]
    text = table(*(stamp.strftime("%d/%m/%YT%H:%M") for stamp in stamps), about=ABOUT[:-2] + step, often=often)
    (one,) = read(text)
    assert (one.starts[0], one.durations[0], len(one), one.jumps()) == (midnight, 1800, count, [])
    assert one.values() == list(range(count))
    assert [one] == read(text, encoding="windows-1252")


def test_a_stamp_told_twice_is_not_guessed() -> None:
    with pytest.raises(RemoteError, match="told twice") as error:
        read(table("31/10/2021T00:30", "31/10/2021T02:30", "31/10/2021T05:00"))
    assert error.value.field == "file, line 3, Heure de la mesure"
    with pytest.raises(RemoteError, match="put forward"):
        read(table("28/03/2021T02:30", "28/03/2021T05:00"))
    after_only = read(table("31/10/2021T02:30", "31/10/2021T03:00", "31/10/2021T03:30"))[0]
    assert next(iter(after_only)) == Reading(at("2021-10-31T03:00:00") - 3600, 1800, 0)


def test_a_table_of_several_points_and_kinds() -> None:
    daily = "12345678901234;Energie quotidienne;01/10/2021;01/11/2021;Production;EA;;kWh;"
    peaks = "99999999999999;Puissance maximale quotidienne;01/10/2021;01/11/2021;CONS;PMA;;kVA;"
    rows = [
        f"01/10/2021;00:30;5;R;{ABOUT}",
        f"01/10/2021;00:00;1,5;R;{daily}",
        f"01/10/2021;18:04:09;6;R;{peaks}",
    ]
    found = read("\n".join([TABLE, *rows]))
    assert [(one.key.kind, one.key.direction, one.key.unit, one.values()) for one in found] == [
        ("load_curve", "consumption", "W", [5]),
        ("daily", "injection", "Wh", [1500]),
        ("max_power", "consumption", "VA", [6000]),
    ]
    assert (found[1].starts[0], found[1].durations[0]) == (at("2021-10-01T00:00:00"), 86_400)
    assert MEASURES.count(";") == TABLE.count(";")


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("Date;Valeur (en Wh)\n2021-01-07;5\n2021-01-08;-5\n", 3, "Valeur"),
        ("Date;Valeur (en Wh)\n2021-01-07;5\n2021-02-30;5\n", 3, "Date"),
        ("Date;Valeur (en Wh)\n2021-01-07;5;\n", 2, "Valeur"),
        ("Date;Valeur (en Wh)\n", 1, "rows"),
        ("Date;Valeur (en Wh)\n2021-01-07;5\nTotal;5\n", 3, "Date"),
        ("Date;Valeur (en MWh)\n2021-01-07;5\n", 1, "header"),
        (f"{SHORT}\n12345678901234;Consommation mensuelle;01/01/2021;01/02/2021\n", 2, "Type de donnees"),
        (
            f"{SHORT}\n12345678901234;Consommation quotidienne;01/01/2021;01/02/2021\nDate;Production (en Wh)\n",
            3,
            "header",
        ),
        (table("01/10/2021T24:30"), 2, "Heure de la mesure"),
        (table("01/10/2021T00:30", about=ABOUT.replace(";W;", ";Wh;")), 2, "Unité"),
        (table("01/10/2021T00:30", about=ABOUT + ";"), 2, "line"),
        (table("01/10/2021T00:30", about=ABOUT[1:]), 2, "PRM"),
        (TABLE + "\n", 1, "rows"),
        (curve("12345678901234", "2021-01-07T14:00:00+01:00\t1"), 4, "Horodate"),
    ],
)
def test_a_bad_table_is_refused_and_its_line_named(text: str, line: int, column: str) -> None:
    with pytest.raises(RemoteError) as error:
        list(registry.read(text.encode(), Source(point="prm:12345678901234"), "enedis-csv"))
    assert error.value.code == "BAD_CSV"
    assert error.value.field == f"file, line {line}, {column}".replace("Unité", "Unite")


def test_calendars_are_said_to_be_left_out() -> None:
    from tests.shared import shared

    data = shared("data/enedis/hdm_c5_index.csv").read_bytes()
    assert list(registry.read(data, Source()))[-1] == LeftOut("calendars", 4)


@given(
    st.lists(st.tuples(st.integers(0, 17_000), st.integers(0, 9000) | st.none()), min_size=1, unique_by=lambda r: r[0])
)
def test_what_is_written_day_by_day_is_read_day_by_day(rows: list[tuple[int, int | None]]) -> None:
    """A gap never becomes a zero, a zero never a gap, and no day is lost, whatever the order."""
    days = [(datetime.fromordinal(730_000 + day).strftime("%Y-%m-%d"), value) for day, value in rows]
    text = "".join(f"{day};{'' if value is None else value}\n" for day, value in days)
    (one,) = enedis_csv._read(f"Date;Valeur (en Wh)\n{text}".encode(), Source(point="prm:12345678901234"))
    assert isinstance(one, Parsed)
    assert one.series.values() == [value for _, value in sorted(days)]
