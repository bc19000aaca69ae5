"""Documents by their operations: opened from templates, edited on two nodes, adopted, shown as of any version."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from ledger.documents import render
from ledger.errors import LocalError
from ledger.kinds import DOCUMENT_TYPES
from node.cli.app import run
from node.operations import find
from node.templates import LANGUAGES, TYPES, templates
from tests.node.nodes import do, make_home, running, until
from tests.node.test_data_operations import pair

pytest.importorskip("automerge.core", reason="automerge has no build for this Python")

CHARTER = "# Charte\n\nArticle 1. La personne décide.\n\nArticle 2. Le retrait l’emporte.\n"


async def refused(node: Any, words: str, **values: Any) -> tuple[str, str | None]:
    """Run an operation that must be refused; return the code and the field."""
    with pytest.raises(LocalError) as caught:
        await do(node, words, **values)
    return caught.value.code, caught.value.field


async def text(node: Any, document: str, version: str = "") -> str:
    """Return a document's text."""
    return str((await do(node, "document show", document=document, version=version)).text)


@pytest.mark.covers("R37", "R40")
async def test_a_charter_from_file_to_adoption_and_back(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        assert (await do(ada, "document list")).documents == ()
        made = await do(
            ada, "document open", title="Charte", file=b"\xef\xbb\xbf" + CHARTER.replace("\n", "\r\n").encode()
        )
        assert len(made.entries) == 2
        assert await text(ada, "Charte") == CHARTER
        adopted = await do(ada, "document adopt", document=made.id[:8])
        assert adopted.version == made.version
        assert (await do(ada, "document adopt", document="Charte")).entries == ()

        edited = await do(ada, "document edit", document="Charte", file=CHARTER.replace("décide", "choisit").encode())
        assert (len(edited.entries), edited.version != made.version) == (1, True)
        assert (
            await do(ada, "document edit", document="Charte", file=(await text(ada, "Charte")).encode())
        ).entries == ()
        assert "choisit" in await text(ada, "Charte")
        shown = await do(ada, "document show", document="Charte", version=adopted.version[:10])
        assert (shown.text, shown.adopted_by) == (CHARTER, ("ada",))
        assert shown.sha256 == hashlib.sha256(CHARTER.encode()).hexdigest()
        assert (await do(ada, "document show", document="Charte")).adopted_by == ()

        (row,) = (await do(ada, "document list")).documents
        assert (row.title, row.type, row.language, row.changes, row.version) == (
            "Charte",
            "charter",
            "fr",
            2,
            edited.version,
        )
        first, second = (await do(ada, "document history", document="Charte")).changes
        assert (first.by, first.inserted, first.deleted, first.refused) == ("ada", len(CHARTER), 0, "")
        assert (second.inserted, second.deleted, second.version) == (7, 6, edited.version)
        assert await text(ada, "Charte", first.version) == CHARTER
        one, newest = (await do(ada, "document versions", document="Charte")).versions
        assert (one.version, one.counts, one.newest, one.adopted_by) == (made.version, True, False, "ada")
        assert (newest.version, newest.counts, newest.newest) == (edited.version, False, True)


@pytest.mark.covers("R136")
async def test_edits_on_two_nodes_merge(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        made = await do(ada, "document open", title="Charte", file=CHARTER.encode())
        ours, theirs = ada.mesh().core.replica, bob.mesh().core.replica
        await until(lambda: theirs.frontier_digest() == ours.frontier_digest())
        await do(bob, "document edit", document="Charte", file=CHARTER.replace("décide", "choisit").encode())
        late = CHARTER.replace("l’emporte", "l’emporte toujours").encode()
        await do(ada, "document edit", document="Charte", file=late, version=made.version)
        wanted = CHARTER.replace("décide", "choisit").replace("l’emporte", "l’emporte toujours")
        await until(lambda: theirs.frontier_digest() == ours.frontier_digest())
        await until(lambda: ours.frontier_digest() == theirs.frontier_digest())
        assert await text(ada, made.id) == await text(bob, made.id) == wanted
        version = (await do(bob, "document adopt", document=made.id)).version
        await until(lambda: theirs.frontier_digest() == ours.frontier_digest())
        assert (await do(ada, "document show", document=made.id, version=version)).adopted_by == ("bob",)


@pytest.mark.covers(
    "R40", "R46", "system:PrestaLibre charter", "system:SMILE / SEN chantier / Eway / ENSI / BDI / Pôle I&R / mégalis"
)
async def test_forks_name_their_parent_and_agreements_need_a_live_one(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        mother = await do(ada, "document open", title="Mère", type="agreement", file=b"one\n", licence="CC-BY-4.0")
        await do(ada, "document edit", document="Mère", file=b"two\n")
        daughter = await do(ada, "document open", title="Fille", fork="Mère", version=mother.version)
        assert await text(ada, "Fille") == "one\n"
        row = (await do(ada, "document show", document="Fille")).document
        assert (row.type, row.parent, row.licence) == ("agreement", mother.version, "CC-BY-4.0")
        assert await refused(ada, "document adopt", document="Fille") == ("PARENT_NOT_LIVE", None)
        await do(ada, "document adopt", document="Mère", version=mother.version)
        assert (await do(ada, "document show", document="Fille")).parent_live
        (entry,) = (await do(ada, "document adopt", document="Fille")).entries
        payload = (await do(ada, "entry show", id=entry)).payload
        assert (payload["parent"], payload["licence"]) == (mother.version, "CC-BY-4.0")
        assert daughter.version == payload["version"]


async def test_errors_name_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        made = await do(ada, "document open", title="Note", file=b"text\n")
        await do(ada, "document open", title="Note", type="notice")
        assert await refused(ada, "document show", document="Nope") == ("NOT_FOUND", "document")
        assert await refused(ada, "document show", document="Note") == ("NAME_UNCLEAR", "document")
        assert await refused(ada, "document show", document=made.id, version="beef") == ("NOT_FOUND", "version")
        assert await refused(ada, "document edit", document=made.id, file=b"a\n\xff") == ("TEXT_ENCODING", "line 2")
        assert await refused(ada, "document edit", document=made.id, file=b"a\x07") == ("TEXT_CHARACTER", "line 1")
        assert await refused(ada, "document open") == ("USAGE", "title")
        assert await refused(ada, "document open", title="a\nb") == ("PAYLOAD_SHAPE", "title")
        assert await refused(ada, "document open", template="charter", file=b"x") == ("USAGE", "file")
        assert await refused(ada, "document open", template="charter", language="de") == ("USAGE", "language")
        assert await refused(ada, "document open", title="x", version="beef") == ("USAGE", "version")

        def absent() -> Any:
            raise LocalError("DOCUMENTS_UNAVAILABLE", "no build for this Python")

        monkeypatch.setattr(render, "_automerge", absent)
        assert await refused(ada, "document show", document=made.id) == ("DOCUMENTS_UNAVAILABLE", None)
        assert await refused(ada, "document open", title="New", file=b"x") == ("DOCUMENTS_UNAVAILABLE", None)
        assert len((await do(ada, "document list")).documents) == 2  # a refusal changes nothing


@pytest.mark.covers("R44")
@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_template_can_be_opened(tmp_path: Path, language: str) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        for one in templates():
            if one.language == language:
                made = await do(ada, "document open", template=one.name, language=language)
                assert made.title == one.title
                shown = await do(ada, "document show", document=made.id)
                assert (shown.text, shown.document.type) == (one.text, one.type)
                assert shown.document.licence == "EUPL-1.2"


def parts(text: str) -> list[str]:
    """Return the skeleton of a text: its headings, numbered points, list items and table rows, without their words."""
    return [re.sub(r"[^#0-9|]", "", line) for line in text.splitlines() if re.match(r"#|\d+\.|\||\*", line)]


def test_templates_come_in_both_languages_with_the_same_parts() -> None:
    texts = {(one.name, one.language): one.text for one in templates()}
    assert set(texts) == {(name, language) for name in TYPES for language in LANGUAGES}
    assert set(TYPES.values()) <= set(DOCUMENT_TYPES)
    for name in TYPES:
        french, english = texts[name, "fr"], texts[name, "en"]
        assert parts(french) == parts(english)
        render.check_text(french)
        render.check_text(english)
        assert "RGPD" in french
        assert "GDPR" in english


@pytest.mark.covers("R45")
def test_templates_are_printed_without_a_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--data-dir", str(tmp_path)]
    assert run(["document", "template", "notice", "--language", "en", *place]) == 0
    printed = capsys.readouterr().out
    assert printed == next(one.text for one in templates() if (one.name, one.language) == ("notice", "en"))
    assert run(["document", "templates", *place]) == 0
    assert "processing" in capsys.readouterr().out
    assert run(["document", "template", "treaty", *place]) == 2
    assert find("document", "template") is not None


@pytest.mark.covers("R44")
def test_the_wheel_ships_the_templates() -> None:
    from hatchling.builders.wheel import WheelBuilder

    root = Path(__file__).resolve().parents[2]
    shipped = {Path(each.distribution_path).as_posix() for each in WheelBuilder(str(root)).recurse_included_files()}
    assert {f"node/templates/{one.language}/{one.name}.md" for one in templates()} <= shipped
