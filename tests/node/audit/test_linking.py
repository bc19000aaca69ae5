"""Links of a page to the proofs beside it: which are made, each once, bounded; and what a page says of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.audit import linking
from node.audit.linking import Wanted, linked, wanted
from node.audit.page import as_html
from tests.node.audit.test_auditing import full
from tests.node.audit.test_page import Outline


def hrefs(text: str) -> list[str]:
    """Return where a page's links lead."""
    return [str(attrs["href"]) for tag, attrs in Outline(text).tags if tag == "a"]


def test_each_line_that_a_proof_shows_links_to_it() -> None:
    found = full()
    made, lines = wanted(found)
    assert len({one.file for one in made.values()}) == len(made)
    assert all(bool(one.consent) != bool(one.member) for one in made.values())
    links = linked(found, made, (), "the proofs")
    assert (links.lines, links.failed, links.beyond) == (lines, 0, 0)
    text = as_html(found, "en", links)
    assert len(hrefs(text)) == lines > len(found.overdue) + len(found.consented)
    assert set(hrefs(text)) == {f"the%20proofs/{one.file}" for one in made.values()}
    assert f"{lines} of {lines} lines link to theirs" in text
    assert not hrefs(as_html(found))


def test_what_could_not_be_made_keeps_its_command() -> None:
    found = full()
    made, lines = wanted(found)
    lost = found.overdue[0].proof
    links = linked(found, made, {lost}, "proofs")
    text = as_html(found, "fr", links)
    assert links.failed == sum(command == lost for command, _ in linking._lines(found)) > 0
    assert len(hrefs(text)) == lines - links.failed
    assert lost in Outline(text).sections["overdue"]
    assert f"Pour {links.failed} lignes elle n\u2019a pu" in text or f"Pour {links.failed} lignes" in text


def test_so_many_proofs_are_made_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "FILES_MAX", 2)
    found = full()
    made, lines = wanted(found)
    links = linked(found, made, (), "proofs")
    assert len(made) == 2
    assert links.beyond == lines - len(hrefs(as_html(found, "en", links))) > 0


def test_lines_without_a_consent_have_no_proof_to_be_made() -> None:
    found = full()
    kept = [one for one in found.without_consent if one.proof.startswith(("maille entry", "maille data"))]
    assert kept
    assert not {one.proof for one in kept} & wanted(found)[0].keys()


def test_a_probe_leads_to_the_file_about_the_holder() -> None:
    found = full()
    probed = next(one for one in found.without_consent if one.proof.startswith("maille probe show"))
    assert probed.holder is not None
    one = wanted(found)[0][probed.proof]
    assert one == Wanted(f"conduct-{probed.holder.id}.mailleproof", member=probed.holder.id)


def test_two_proofs_never_have_one_name() -> None:
    found = full()
    (one, *rest) = found.consented
    other = replace(one, proof=f"{one.proof} again")
    made, _ = wanted(replace(found, consented=(one, other, *rest)))
    assert made[other.proof].file == made[one.proof].file.replace(".mailleproof", "-2.mailleproof")
