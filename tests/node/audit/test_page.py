"""The page: its structure, in both languages; nothing from outside; nothing unescaped; every finding on it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from node.audit import page, words
from node.audit.findings import Report
from node.audit.page import LINES_MAX, SECTIONS, as_html
from tests.node.audit import cases
from tests.node.audit.test_auditing import full

VOID = {"meta", "br", "link", "img", "input", "hr"}
STRUCTURE = """
main h1 dl dt dd p table caption tbody tr th td
section h2 div table caption thead tr th tbody td code
ul li
"""


class Outline(HTMLParser):
    """Reads a page: its tags and their attributes, that they close in order, and its text by section."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {}
        self.rows: dict[str, int] = {}
        self.columns: dict[str, int] = {}
        self.cells: list[int] = []
        self._section = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._section = str(dict(attrs)["id"])
            self.sections[self._section] = ""
        if self._section and tag == "tr" and "tbody" in self.open:
            self.rows[self._section] = self.rows.get(self._section, 0) + 1
            self.cells.append(0)
        if self._section and tag == "th":
            self.columns[self._section] = self.columns.get(self._section, 0) + 1
        if self._section and tag == "td":
            self.cells[-1] += 1
            assert self.columns[self._section] >= self.cells[-1]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "tr" and self._section and "tbody" in self.open:
            assert self.cells[-1] == self.columns[self._section], self._section
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if self._section:
            self.sections[self._section] += data


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_structure(language: Any) -> None:
    found = full()
    text = as_html(found, language)
    outline = Outline(text)
    assert text.startswith("<!DOCTYPE html>\n")
    assert ("html", {"lang": language}) in outline.tags
    assert tuple(outline.sections) == SECTIONS
    assert SECTIONS[0] == "without_consent"
    assert {tag for tag, _ in outline.tags} == {
        *("html", "head", "meta", "title", "style", "body", *STRUCTURE.split()),
    } | ({"br"} if "<br>" in text else set())
    assert [tag for tag, _ in outline.tags].count("h1") == 1
    counted = {"without_consent": len(found.without_consent), "overdue": 1, "notices": 1, "register": 2}
    counted |= {"unacknowledged": 2, "undecided": len(found.undecided), "consented": len(found.consented)}
    assert outline.rows == counted
    for tag, attributes in outline.tags:
        assert tag != "th" or attributes["scope"] in ("col", "row")
    tables = [tag for tag, _ in outline.tags].count("table")
    assert tables == [tag for tag, _ in outline.tags].count("caption") == 8


def test_nothing_comes_from_outside_and_nothing_runs() -> None:
    text = as_html(full())
    outline = Outline(text)
    attributes = {name for _, found in outline.tags for name in found}
    assert attributes <= {"lang", "charset", "name", "content", "http-equiv", "id", "class", "scope"}
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|//|url\(|@import|<script|javascript:", text)


def test_what_others_wrote_is_escaped() -> None:
    evil = "</td><script>alert(1)</script><img src=x onerror=alert(2)> & \"' =1"
    terms = replace(cases.TERMS, purpose=evil, storage=evil, jurisdiction="<b>FR</b>", dpo_contact=evil)
    terms = replace(terms, controllers=(replace(terms.controllers[0], name=evil),))
    frame = replace(cases.FRAME, names=((cases.HOLDER, evil),))
    question = replace(cases.WHOLE, purpose=evil)
    found = cases.report(question, frame, consents=(cases.consent(terms=terms),), accounts=(cases.account(),))
    text = as_html(found)
    assert found.counts.transfers == 1
    outline = Outline(text)
    assert not {"script", "img", "b"} & {tag for tag, _ in outline.tags}
    assert evil in outline.sections["consented"]
    assert evil in outline.sections["register"]
    assert text.count("&lt;script&gt;") >= 5


def test_it_prints() -> None:
    text = as_html(full())
    assert "@media print" in text
    assert "@page { size: A4 landscape" in text
    assert "thead { display: table-header-group; }" in text
    assert "break-inside: avoid" in text


@pytest.mark.parametrize(
    ("language", "found", "clean"), [("en", "was found", "No access"), ("fr", "été trouvés", "Aucun")]
)
def test_the_verdict_is_said_first(language: Any, found: str, clean: str) -> None:
    bad = as_html(full(), language)
    assert found in bad[: bad.index("<section")]
    good = as_html(cases.report(accounts=(cases.account(),)), language)
    assert clean in good[: good.index("<section")]
    assert words.TEXT["none"][language == "fr"] in Outline(good).sections["without_consent"]


def test_a_long_table_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LINES_MAX == 2_000
    monkeypatch.setattr(page, "LINES_MAX", 3)
    found: Report = cases.report(accounts=tuple(cases.account(str(number)) for number in range(5)))
    outline = Outline(as_html(found))
    assert outline.rows["consented"] == 3
    assert "2 more lines are in the JSON and CSV" in outline.sections["consented"]


def test_every_finding_shows_its_proof() -> None:
    found = full()
    sections = Outline(as_html(found)).sections
    for line in found.without_consent:
        assert line.proof in sections["without_consent"]
    assert all(duty.proof in sections["overdue"] for duty in found.overdue)
    assert all(notice.proof in sections["notices"] for notice in found.notices)
    assert all(end.proof in sections["unacknowledged"] for end in found.unacknowledged)
