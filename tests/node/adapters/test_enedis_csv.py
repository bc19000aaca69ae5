"""Exports of the Enedis portal: the real files read to the last row, and everything else refused by its line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import RemoteError
from node.adapters import enedis_calendars, enedis_cells, enedis_csv, enedis_lines
from node.readings import Reading, Series
from node.series_key import SeriesKey
from tests.shared import shared

HEAD = (
    "Identifiant PRM;Type de donnees;Date de debut;Date de fin;"
    "Grandeur physique;Grandeur metier;Etape metier;Unite;Pas en minutes"
)
ABOUT = "12345678901234;Courbe de charge;20/10/2020;02/02/2022;Energie active;Consommation;Comptage Brut;W;"
INDEX_ABOUT = "12345678901234;Index;20/10/2020;02/02/2022;Energie active;Consommation;Comptage Brut;"
INDEX_HEAD = HEAD.removesuffix(";Pas en minutes")


def file(*rows: str, head: str = HEAD, about: str = ABOUT, header: str = "Horodate;Valeur") -> bytes:
    return ("\n".join([head, about, header, *rows]) + "\n").encode("utf-8-sig")


def only(data: bytes) -> Series:
    (series,) = enedis_csv.parse(data)
    return series


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.covers("R160", "system:Linky / Gazpar")
def test_the_real_load_curve_is_read_to_the_last_row() -> None:
    data = shared("data/enedis/hdm_c5_load_curve.csv").read_bytes()
    one = only(data)
    assert one.key == SeriesKey("prm:09111642617347", "electricity", "consumption", "load_curve", "PT30M", "W")
    lines = data.decode("utf-8-sig").splitlines()[3:]
    assert len(one) == len(lines) == 17_866
    assert [str(v) if v is not None else "" for v in one.values()] == [line.split(";")[1] for line in lines]
    ends = [start + duration for start, duration in zip(one.starts, one.durations, strict=True)]
    assert ends == [utc(line.split(";")[0]) for line in lines]
    assert (one.gap_count, sum(v is not None for v in one.values())) == (14, 17_852)
    assert [jump.apart_s for jump in one.jumps()] == [7200, 7200, 45_000]
    hourly = one.window(one.starts[0], utc("2021-02-12T12:00:00+01:00"))
    assert set(hourly.durations) == {3600}
    assert len(hourly) == 874
    assert set(one.window(hourly.stop, one.stop).durations) == {1800}


def test_the_real_index_is_read_with_its_three_blocks() -> None:
    data = shared("data/enedis/hdm_c5_index.csv").read_bytes()
    export = enedis_csv.read(data)
    lines = data.decode("utf-8-sig").splitlines()
    *registers, peak = export.series
    assert [r.key.register for r in registers] == lines[2].split(";")[2:]
    for column, register in enumerate(registers, 2):
        cells = [line.split(";")[column] for line in lines[3:474]]
        assert [str(v) if v is not None else "" for v in register.values()] == cells
        assert list(register.starts) == [utc(line.split(";")[0]) for line in lines[3:474]]
        assert (register.key.unit, set(register.durations)) == ("Wh", {0})
    assert (peak.key.kind, peak.key.unit, len(peak)) == ("max_power", "VA", 470)
    assert list(peak)[81:83] == [
        Reading(utc("2021-01-08T12:21:41+01:00"), 0, 7255),
        Reading(utc("2021-01-09T18:24:54+01:00"), 0, 6765),
    ]
    assert [str(v) if v is not None else "" for v in peak.values()] == [x.split(";")[1] for x in lines[480:]]
    assert [(c.owner, c.identifier, c.stop) for c in export.calendars] == [
        ("provider", "INCONNU", utc("2021-01-08T23:00:00+01:00")),
        ("distributor", "INCONNU", utc("2021-01-08T23:00:00+01:00")),
        ("provider", "FC000165", None),
        ("distributor", "DI000001", None),
    ]
    assert export.calendars[2].classes[0] == enedis_calendars.CalendarClass("BASE", "Base", "EAS F1")
    assert [len(c.classes) for c in export.calendars] == [10, 4, 10, 4]


def test_a_stamp_is_the_end_of_its_step_and_an_empty_value_is_a_gap() -> None:
    one = only(file("2021-01-07T14:00:00+01:00;1061", "2021-01-07T14:30:00+01:00;", "2021-01-07T15:00:00+01:00;0"))
    assert list(one) == [
        Reading(utc("2021-01-07T13:30:00+01:00"), 1800, 1061),
        Reading(utc("2021-01-07T14:00:00+01:00"), 1800, None),
        Reading(utc("2021-01-07T14:30:00+01:00"), 1800, 0),
    ]


@pytest.mark.parametrize(("day", "count"), [("2021-03-28", 46), ("2021-10-31", 50), ("2021-06-01", 48)])
def test_the_days_on_which_the_hour_changes_have_no_jump(day: str, count: int) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Paris")).timestamp()
    stamps = [
        datetime.fromtimestamp(midnight + 1800 * (i + 1), ZoneInfo("Europe/Paris")).isoformat() for i in range(count)
    ]
    one = only(file(*(f"{stamp};{i}" for i, stamp in enumerate(stamps))))
    assert one.jumps() == []
    assert (one.starts[0], len(one), one.values()) == (int(midnight), count, list(range(count)))
    after = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Paris")) + timedelta(days=1)
    assert one.stop == int(after.timestamp())


def test_the_declared_step_rules() -> None:
    one = only(file("2021-01-07T14:00:00+01:00;1", "2021-01-07T15:00:00+01:00;2", about=ABOUT + "10"))
    assert (set(one.durations), one.key.granularity, len(one.jumps())) == ({600}, "PT10M", 1)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_may_vary(newline: str, mark: str) -> None:
    data = file("2021-01-07T14:00:00+01:00;1", "2021-01-07T14:30:00+01:00;2")
    text = mark + data.decode("utf-8-sig").replace("\n", newline)
    assert only(text.encode()) == only(text.removesuffix(newline).encode()) == only(data)


def test_accents_and_injection_and_the_old_header_are_known() -> None:
    about = ABOUT.replace("Consommation", "Production").replace("Brut", "Corrigé").removesuffix(";")
    head = HEAD.replace("donnees", "données").removesuffix(";Pas en minutes")
    key = only(file(*GOOD, head=head, about=about)).key
    assert (key.direction, key.stage) == ("injection", "corrected")
    assert key.name.endswith("_production/power/active/corrected")


GOOD = ("2021-01-07T14:00:00+01:00;1", "2021-01-07T14:30:00+01:00;2")


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"", 1, "header"),
        (b"\xef\xbb\xbf", 1, "header"),
        (b"Date;Valeur (en Wh)\n01/01/2021;12\n", 1, "point"),
        (b"\xff\xfe\x00", 1, "encoding"),
        (file(*GOOD) + b"\xe9", 6, "encoding"),
        (b"\n" + file(*GOOD), 2, "header"),
        (file(*GOOD, head=HEAD + ";More"), 1, "header"),
        (file(), 3, "rows"),
        (file(*GOOD, header="Horodate;Valeurs"), 3, "header"),
        (file(*GOOD, about=ABOUT[1:]), 2, "Identifiant PRM"),
        (file(*GOOD, about=ABOUT + ";"), 2, "line"),
        (file(*GOOD, about=ABOUT.replace("Courbe de charge", "Courbe")), 2, "Type de donnees"),
        (file(*GOOD, about=ABOUT.replace("Energie active", "Energie reactive")), 2, "Grandeur physique"),
        (file(*GOOD, about=ABOUT.replace("Consommation", "Autre")), 2, "Grandeur metier"),
        (file(*GOOD, about=ABOUT.replace("Brut", "Net")), 2, "Etape metier"),
        (file(*GOOD, about=ABOUT.replace(";W;", ";kW;")), 2, "Unite"),
        (file(*GOOD, about=ABOUT.replace("20/10/2020", "20.10.2020")), 2, "Date de debut"),
        (file(*GOOD, about=ABOUT + "20"), 2, "Pas en minutes"),
        (file(*GOOD, about=ABOUT + "60"), 5, "Horodate"),
        (file(*GOOD, "2021-01-07T14:30:00+01:00;3"), 6, "Horodate"),
        (file(*GOOD, "2021-01-07T13:30:00+01:00;3"), 6, "Horodate"),
        (file(*GOOD, "2021-01-07T14:35:00+01:00;3"), 6, "Horodate"),
        (file("2021-01-07T14:00:00+01:00;1"), 4, "Horodate"),
        (file("1971-01-07T14:00:00+01:00;1", "1971-01-07T14:30:00+01:00;1"), 4, "Horodate"),
        (file(*GOOD, "", *GOOD), 7, "header"),
        (file(*GOOD, "2021-01-07T15:00:00;3"), 6, "Horodate"),
        (file(*GOOD, "2021-02-30T15:00:00+01:00;3"), 6, "Horodate"),
        (file(*GOOD, "2021-01-07T24:00:00+01:00;3"), 6, "Horodate"),
        (file(*GOOD, "2021-01-07 15:00:00+01:00;3"), 6, "Horodate"),
        (file(*GOOD, "２021-01-07T15:00:00+01:00;3"), 6, "Horodate"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00"), 6, "Horodate"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00,3"), 6, "Horodate"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00;-3"), 6, "Valeur"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00;3.5"), 6, "Valeur"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00;3;"), 6, "Valeur"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00; "), 6, "Valeur"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00;1_0"), 6, "Valeur"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00;٣"), 6, "Valeur"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00;" + "9" * 16), 6, "Valeur"),
        (file(*GOOD, "2021-01-07T15:00:00+01:00;" + "9" * 4096), 6, "line"),
        (file(*GOOD) + b"Periode;Identifiant\n", 6, "header"),
    ],
)
def test_a_bad_file_is_refused_and_its_line_named(data: bytes, line: int, column: str) -> None:
    with pytest.raises(RemoteError) as error:
        enedis_csv.parse(data, name="curve.csv")
    assert error.value.code == "BAD_CSV"
    assert error.value.field == f"curve.csv, line {line}, {column}"


def index(*rows: str, header: str = "Horodate;Type de releve;EAS F1;EAS T") -> bytes:
    return file(*rows, head=INDEX_HEAD, about=INDEX_ABOUT, header=header)


READ = "2021-01-07T00:00:00+01:00;Arrêté quotidien;1;2"


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (index(READ, header="Horodate;Valeur"), 3, "header"),
        (index(READ, header="Horodate;Type de releve;EAS F1;EAS F1"), 3, "header"),
        (index(READ, header="Horodate;Type de releve;EAS F1;EAS F11"), 3, "header"),
        (index(READ, header="Horodate;Type de releve;EAS F1;EAI T"), 3, "header"),
        (index(READ + ";"), 4, "line"),
        (index(READ.replace("quotidien", "mensuel")), 4, "Type de releve"),
        (index(READ, READ.replace(";1;", ";3;")), 5, "Horodate"),
        (index(READ, READ.replace("-07T", "-08T") + "x"), 5, "EAS T"),
        (index(READ) + b"Periode;Identifiant\n", 5, "header"),
        (index(READ) + f"{enedis_calendars.HEADER}\n".encode(), 5, "rows"),
        (index(READ) + f"{enedis_calendars.HEADER}\nDu hier au demain;\n".encode(), 6, "Periode"),
        (f"{enedis_calendars.HEADER}\nDu hier au demain;\n".encode(), 1, "header"),
    ],
)
def test_a_bad_index_is_refused_and_its_line_named(data: bytes, line: int, column: str) -> None:
    with pytest.raises(RemoteError) as error:
        enedis_csv.parse(data)
    assert error.value.field == f"file, line {line}, {column}"


def test_limits_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RemoteError, match="more than 67108864 bytes"):
        enedis_csv.parse(bytes(enedis_lines.MAX_FILE_BYTES + 1))
    with pytest.raises(RemoteError, match="more than 2000000 lines"):
        enedis_csv.parse(b"\n" * (enedis_lines.MAX_ROWS + 1))


def test_more_distinct_cells_than_are_remembered_are_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enedis_cells, "_REMEMBERED", 1)
    assert only(file(*GOOD)).values() == [1, 2]


@given(st.binary(max_size=300), st.integers(0, 5))
def test_any_bytes_are_series_or_a_remote_error(junk: bytes, kept: int) -> None:
    lines = file(*GOOD).split(b"\n")
    with pytest.raises(RemoteError):
        enedis_csv.parse(b"\n".join(lines[:kept]) + junk + b"\n;")


REAL = (
    HEAD,
    ABOUT,
    "Horodate;Valeur",
    *(f"2021-01-07T{h:02}:{m}:00+01:00;{h}" for h in range(24) for m in ("00", "30")),
)


@given(st.integers(0, len(REAL) - 1), st.data())
def test_one_changed_line_is_named_or_changes_no_other(at: int, data: st.DataObject) -> None:
    """Whatever one character of one line becomes: an error names that line (or the next), or only it changed."""
    line = REAL[at]
    place = data.draw(st.integers(0, len(line) - 1))
    character = data.draw(
        st.sampled_from(";-0123456789T+:é \t") | st.characters(exclude_characters="\r\n", codec="utf-8")
    )
    changed = [*REAL[:at], line[:place] + character + line[place + 1 :], *REAL[at + 1 :]]
    before = only("\n".join(REAL).encode())
    try:
        after = only("\n".join(changed).encode())
    except RemoteError as error:
        named = re.fullmatch(r"file, line ([0-9]+), .+", str(error.field))
    else:
        if at >= 3:
            rows = [[(r.start + r.duration_s, r.value) for r in series] for series in (before, after)]
            differing = [i for i, (a, b) in enumerate(zip(*rows, strict=True)) if a != b]
            assert differing in ([], [at - 3])
        return
    assert named is not None
    assert int(named[1]) in {at + 1, at + 2}
