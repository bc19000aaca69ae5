"""The flat table: a row for each finding, cells that no spreadsheet runs, Parquet where its library is."""

from __future__ import annotations

import builtins
import csv
import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.audit.findings import Report
from node.audit.page import as_pdf
from node.audit.table import COLUMNS, as_csv, as_parquet, neutral, rows
from tests.node.audit import cases
from tests.node.audit.test_auditing import full, lines

SECTIONS = ("without_consent", "overdue", "notices", "unacknowledged", "undecided", "consented", "register")


def read(found: Report) -> list[dict[str, str]]:
    """Read the CSV of a report as a spreadsheet does."""
    text = as_csv(found).decode()
    assert text.count("\r\n") >= len(lines(found)) + 1
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_each_finding_is_one_row_with_the_gravest_first() -> None:
    found = full()
    table = read(found)
    assert len(table) == len(lines(found))
    order = [row["section"] for row in table]
    assert order == sorted(order, key=SECTIONS.index)
    assert set(order) == set(SECTIONS)
    assert all(row["proof"].startswith("maille ") for row in table)
    first = table[0]
    access = found.without_consent[0]
    assert (first["code"], first["transfer"]) == (access.code, access.transfer)
    assert first["ended"] == f"{access.ended:%Y-%m-%dT%H:%M:%SZ}"


def test_rows_use_the_columns_alone_and_each_column_is_used() -> None:
    used = {name for row in rows(full()) for name, value in row.items() if value not in (None, "")}
    assert used <= set(COLUMNS)
    assert set(COLUMNS) - used == set()
    for row in rows(full()):
        assert all(value is None or isinstance(value, COLUMNS[name]) for name, value in row.items())


def test_the_sentence_is_in_the_language_asked_for() -> None:
    english, french = ([row.get("sentence") for row in rows(full(), lang)] for lang in ("en", "fr"))
    assert "The person has withdrawn her consent." in english
    assert "La personne a retiré son consentement." in french


EVIL = ("=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://evil.example")', "  =1", "=cmd|' /C calc'!A0")


@pytest.mark.parametrize("text", EVIL)
def test_formulas_are_neutralised(text: str) -> None:
    terms = replace(cases.TERMS, purpose=text, storage=text)
    frame = replace(cases.FRAME, names=((cases.HOLDER, text),))
    found = cases.report(frame=frame, consents=(cases.consent(terms=terms),), accounts=(cases.account(),))
    table = read(found)
    assert [row["purpose"] for row in table] == [f"'{text}"] * 2
    assert table[1]["storage"] == f"'{text}"
    assert table[0]["holder"].startswith("'")


@pytest.mark.parametrize("text", ["\t=1", "\r=1", "\n=1", "\t", "\rx"])
def test_cells_do_not_begin_with_what_a_spreadsheet_skips(text: str) -> None:
    assert neutral(text) == f"'{text}"


@given(st.text(max_size=20))
def test_no_cell_begins_a_formula(text: str) -> None:
    cell = neutral(text)
    assert cell.lstrip()[:1] not in ("=", "+", "-", "@")
    assert cell in (text, f"'{text}")


@pytest.mark.parametrize("text", ["", "a", "1", "a=1", "Advice - on insulation", "'=1", "é"])
def test_plain_text_stays(text: str) -> None:
    assert neutral(text) == text


@pytest.mark.parametrize(("write", "library"), [(as_parquet, "polars"), (as_pdf, "weasyprint")])
def test_without_the_extra_the_command_to_install_it_is_said(
    write: Any, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(LocalError, match=r"pip install 'maille\[audit\]'") as caught:
        write(full())
    assert caught.value.code == "EXTRA_MISSING"
    assert library in caught.value.message


def test_parquet_holds_the_same_rows() -> None:
    polars = pytest.importorskip("polars", reason="the extra `audit` is not installed")
    found = full()
    frame = polars.read_parquet(io.BytesIO(as_parquet(found)))
    assert frame.columns == list(COLUMNS)
    expected = [{name: row.get(name) for name in COLUMNS} for row in rows(found)]
    assert frame.to_dicts() == expected


def test_pdf_is_a_pdf() -> None:
    pytest.importorskip("weasyprint", reason="the extra `audit` is not installed")
    assert as_pdf(full(), "fr").startswith(b"%PDF-")
