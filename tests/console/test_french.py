"""The operator pages in French: no sentence of ours is left in English, and what is not ours is marked as English."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from types import ModuleType

import pytest
from jinja2 import Environment, nodes

from ledger.consent.reasons import Reason as Refused
from node import governing, naming
from node.amiss import AMISS
from node.checkup import Finding, finding
from node.console import french
from node.console.proof_words import REASONS, asked
from node.ops import requests, vote
from node.ops.data import _SENTENCES, refusal_words
from node.ops.doctor import _of_problem
from node.ops.node import problem
from node.troubles import TROUBLES
from proofs.reasons import Reason
from proofs.verify import STEPS
from tests.console.reading import english_in
from tests.console.visiting import PATHS, visiting
from tests.node.nodes import do, until
from tests.node.sayings import FAULT, sample

ROOT = Path(__file__).resolve().parents[2]


def every_finding() -> Iterator[Finding]:
    """Return each finding and each problem that there can be."""
    for key, said in AMISS.items():
        yield finding("warning", key, **sample(*said))
    for code, said in TROUBLES.items():
        yield _of_problem(problem(code, **sample(*said)), grave=True)


async def test_no_finding_is_left_in_english_on_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = list(every_finding())

    async def found() -> list[Finding]:
        return every

    async with visiting(tmp_path) as visit:
        await visit.log_in()
        monkeypatch.setattr(visit.desk.checks, "findings", found)
        for path in ("/", "/alerts"):
            page = (await visit.get(path, **{"accept-language": "fr"})).text
            for one in every:
                assert f"<code>{one.code}</code>" in page
                sentences = {one.message, one.why} - {FAULT}
                assert [words for words in sentences if f">{escape(words)}<" in page] == [], one.code
            assert page.count(f'<span lang="en">{FAULT}</span>') >= 5
            assert english_in(page) == []
            english = (await visit.get(path)).text
            assert all(str(escape(one.message)).replace("&#x27;", "&#39;") in english for one in every)
            assert 'lang="en">' not in english.replace('<html lang="en">', "")


async def test_no_page_of_a_node_leaves_english_unmarked(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        await visit.log_in()
        await visit.post("/audits", {"since": "2026-01-01", "until": "2027-01-01"}, seen="/audits")
        await until(lambda: not visit.desk.audits.kept[0].runs)
        (member,) = (await do(visit.node, "member list")).members
        ballot = await do(visit.node, "proposal evaluator", version=2, reason="Plus vite")
        own = (f"/members/{member.id}", f"/proposals/{ballot.id}", f"/proposals/{ballot.id}/vote?choice=yes")
        visit.language = "fr"
        pages = {path: await visit.get(path) for path in (*PATHS, *own, "/audits/1", "/login")}
        for path in ("/nowhere", "/members/nobody", "/proposals/0", "/ledger?mesh=boulevard", "/audits/9"):
            pages[path] = await visit.get(path)
            assert pages[path].status_code in (404, 422), path
        files = {"proof": ("a.mailleproof", b"no proof\r\n--at all", "application/octet-stream")}
        form = {"genesis": visit.node.mesh().mesh_id.hex(), "members": "1", "age": "1d"}
        pages["verified"] = await visit.post("/proof", form, seen="/proof", files=files)
        assert "La preuve ne tient pas" in pages["verified"].text
        assert REASONS["MALFORMED"][0] in pages["verified"].text
        assert {path: found for path, page in pages.items() if (found := english_in(page.text))} == {}


async def test_an_event_has_french_words_and_its_own_beside_them(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        for name in ("wrong token", "FLOW_REFUSED", "made up by a plugin"):
            told = {"event": name, "level": "warning", "ts": "2026-03-04T05:06:07Z", "reason": "of the log"}
            visit.node.events.note(None, "warning", told)
        await visit.log_in()
        visit.language = "fr"
        page = (await visit.get("/alerts")).text
        assert "un jeton faux a été montré" in page
        for name in ("wrong token", "FLOW_REFUSED", "made up by a plugin"):
            assert f'<span lang="en">{name}</span>' in page
        assert english_in(page) == []


def test_the_reader_sees_english_that_is_not_marked() -> None:
    assert english_in('<html lang="fr"><p>Rien. <b lang="en">It is there</b> <code>is the</code></p>') == []
    assert english_in('<html lang="fr"><p title="This is it">Rien</p>') == ["This is it"]
    assert english_in('<html lang="fr"><p><i lang="en">The</i> and the rest</p>') == ["and the rest"]


def test_every_code_that_can_stand_on_a_page_has_its_sentence_in_french() -> None:
    assert set(REASONS) == {one.name for one in Reason}
    assert all(asked(name, what) for name, what in STEPS.items())
    for code in (*Refused.__members__, *_SENTENCES):
        assert all(refusal_words(code)), code
    console = [path for path in (ROOT / "node" / "console").glob("*.py") if path.name != "service.py"]  # at the start
    modules: tuple[ModuleType, ...] = (vote, requests, governing, naming)
    sources = [path.read_text("utf-8") for path in console] + [inspect.getsource(one) for one in modules]
    codes = {code for source in sources for code in errors_of(source)}
    assert {"USAGE", "NOT_FOUND", "ALREADY_VOTED", "BUSY"} <= codes
    assert codes - set(french.ERRORS) == set()


def errors_of(source: str) -> Iterator[str]:
    """Return the codes of the errors that a module raises."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            first = node.args[0] if node.args else None
            if node.func.id in ("LocalError", "RemoteError") and isinstance(first, ast.Constant):
                yield str(first.value)
            elif node.func.id in ("usage", "not_found"):
                yield node.func.id.upper()


def french_sentences() -> Iterator[str]:
    """Return what the pages can say in French: templates of both kinds of pages, findings, errors, reasons, events."""
    for folder in ("pages", "console"):
        for path in sorted((ROOT / "node" / folder / "templates").glob("*.html")):
            yield from (
                str(call.args[1].value)
                for call in Environment().parse(path.read_text("utf-8")).find_all(nodes.Call)
                if isinstance(call.node, nodes.Name)
                and call.node.name == "say"
                and isinstance(call.args[1], nodes.Const)
            )
    yield from (pair[1] for said in (*AMISS.values(), *TROUBLES.values()) for pair in said)
    yield from (words for pair in REASONS.values() for words in pair)
    yield from (*french.ERRORS.values(), *french.EVENTS.values())
    yield from (refusal_words(code)[1] for code in (*Refused.__members__, *_SENTENCES))


def test_french_uses_the_words_of_the_glossary() -> None:
    """A tick is a battement, a mesh is a maille; commands alone keep their English words."""
    said = list(french_sentences())
    assert any("battement" in one for one in said)
    plain = {one: re.sub(r"\bmaille (tick|mesh) [a-z]+|--mesh\b|\{\w+[^}]*\}", "", one) for one in said}
    assert [one for one, rest in plain.items() if re.search(r"(?i)\b(ticks?|maillages?|mesh)\b", rest)] == []


def test_every_event_of_the_log_has_french_words() -> None:
    names = set()
    for path in sorted((ROOT / "node").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first, to = node.args[0], ast.unparse(node.func.value)
                logs = node.func.attr in ("info", "warning", "error", "exception") and re.search(
                    r"\blog\b|_log|logger", to
                )
                noted = node.func.attr == "note" and to in ("turn", "self")
                if (logs or noted) and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    names.add(first.value)
    assert {"wrong token", "SEALED", "FLOW_REFUSED"} <= names
    assert names - set(french.EVENTS) == set()
