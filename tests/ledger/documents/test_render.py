"""Texts by Automerge: the same as by another algorithm, whatever the order; edits merge; nothing makes it fail."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.documents import history, render
from ledger.documents.change import BASE_HASH
from ledger.documents.history import EFFECTIVE, History, Written, version_id
from ledger.documents.render import Pages, edit, splices, text
from ledger.errors import LocalError
from tests.golden import samples
from tests.golden.documents import TEXT
from tests.ledger.documents.crafting import DOCUMENT, FEEDS, always, at, hash_of, hello, woven
from tests.ledger.documents.test_history import world

pytest.importorskip("automerge.core", reason="automerge has no build for this Python")


def refusal(error: pytest.ExceptionInfo[LocalError]) -> tuple[str, str | None]:
    """Return code and field of an error."""
    return error.value.code, error.value.field


class Desk:
    """Three writers, each with what has reached it."""

    def __init__(self) -> None:
        self.seen: list[list[Written]] = [[], [], []]
        self.sizes = [0, 0, 0]

    def history(self, number: int) -> History:
        """Return the document as a writer sees it."""
        return History(DOCUMENT, self.seen[number], always)

    def text(self, number: int) -> str:
        """Return the text as a writer sees it."""
        return text(self.history(number))

    def write(self, number: int, wanted: str) -> None:
        """Let a writer make the text what it wants."""
        for raw in edit(self.history(number), FEEDS[number], wanted):
            self.seen[number].append(Written(FEEDS[number], self.sizes[number], raw))
            self.sizes[number] += 1

    def meet(self, one: int, other: int) -> None:
        """Let one writer learn what another knows."""
        self.seen[one] += [each for each in self.seen[other] if each not in self.seen[one]]


WORDS = ("été", "maison", "🎉", "a\nb", "consentement", "", " ", "\n\n", "l’énergie")
acts = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 3), st.sampled_from(WORDS), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


@given(acts, st.randoms(use_true_random=False))
def test_three_writers_in_any_order_make_one_text(
    drawn: list[tuple[int, int, int, str, int]], rng: random.Random
) -> None:
    desk = Desk()
    for number, place, gone, word, met in drawn:
        before = desk.text(number)
        wanted = before[: place % (len(before) + 1)] + word + before[place % (len(before) + 1) + gone :]
        desk.write(number, wanted)
        assert desk.text(number) == wanted
        desk.meet(met, number)
    for number in (1, 2, 1, 0):
        desk.meet(number, 0)
        desk.meet(0, number)
    desk.meet(1, 0)
    desk.meet(2, 0)
    found = desk.history(0)
    assert set(found.verdicts.values()) <= {EFFECTIVE}
    for number in (1, 2):
        rng.shuffle(desk.seen[number])
        desk.seen[number] += desk.seen[number][:3]
        assert (desk.history(number).heads, desk.text(number)) == (found.heads, desk.text(0))
    assert desk.text(0) == woven(node.change for node in found.changes)


@given(st.integers(0, 2**32))
@settings(max_examples=200)
def test_what_passes_never_troubles_automerge_and_reads_as_the_model_says(seed: int) -> None:
    found = History(DOCUMENT, world(seed, 4, 16), always)
    assert text(found) == woven(node.change for node in found.changes)
    pages = Pages(found)
    for node in found.changes[::3]:
        heads = (node.change.hash,)
        assert text(found, heads) == pages.text(heads) == woven(each.change for each in found.below(heads))


def test_the_golden_samples_are_a_document() -> None:
    found = samples()
    opened, changed, adopted = (found[f"document.{act}"] for act in ("open", "change", "adopt"))
    ident = opened.thing[1]
    golden = History(ident, [Written(changed.kid, 0, changed.payload["change"])], always)
    heads = tuple(adopted.payload["heads"])
    assert (golden.heads, version_id(ident, heads)) == (heads, adopted.payload["version"])
    assert text(golden) == TEXT
    assert render.text_hash(TEXT) == adopted.payload["text"]


def test_an_old_version_stays_what_it_was() -> None:
    desk = Desk()
    desk.write(0, "one\ntwo\nthree\n")
    old = desk.history(0).heads
    desk.meet(1, 0)
    desk.write(1, "one\nTWO\nthree\n")
    desk.meet(0, 1)
    desk.write(0, "")
    assert text(desk.history(0), old) == "one\ntwo\nthree\n"
    assert text(desk.history(0), [BASE_HASH]) == ""
    assert desk.text(0) == ""


def test_edits_of_different_words_and_lines_all_survive() -> None:
    desk = Desk()
    desk.write(0, "Le membre garde les données.\nIl les efface.\nFin.\n")
    desk.meet(1, 0)
    desk.meet(2, 0)
    desk.write(0, "Chaque membre garde les données.\nIl les efface.\nFin.\n")
    desk.write(1, "Le membre garde ses propres données.\nIl les efface.\nFin.\n")
    desk.write(2, "Le membre garde les données.\nIl les efface sous trente jours.\n")
    desk.meet(0, 1)
    desk.meet(0, 2)
    assert desk.text(0) == "Chaque membre garde ses propres données.\nIl les efface sous trente jours.\n"


def test_an_edit_of_an_old_version_keeps_what_changed_since() -> None:
    desk = Desk()
    desk.write(0, "one two three\n")
    old = desk.history(0).heads
    desk.write(0, "one two three\nfour\n")
    found = desk.history(0)
    places = at(0, *edit(found, FEEDS[0], "ONE two three\n", old), start=desk.sizes[0])
    after = History(DOCUMENT, [*desk.seen[0], *places], always)
    assert (text(after), after.heads) == ("ONE two three\nfour\n", (hash_of(places[-1].raw),))
    assert edit(found, FEEDS[0], "one two three\n", old) == ()
    with pytest.raises(LocalError, match="NO_SUCH_VERSION"):
        edit(found, FEEDS[0], "x", [bytes(32)])


def test_nothing_to_change_is_no_change() -> None:
    desk = Desk()
    desk.write(0, "same")
    assert edit(desk.history(0), FEEDS[1], "same") == ()
    assert edit(History(DOCUMENT, [], always), FEEDS[1], "") == ()


def test_a_long_text_is_written_in_pieces_that_fit_an_entry() -> None:
    long = "🎉é" * (render.TEXT_MAX // 2)
    raws = edit(History(DOCUMENT, [], always), FEEDS[0], long)
    assert len(raws) == render.TEXT_MAX // render.EDIT_OPS_MAX
    assert text(History(DOCUMENT, at(0, *raws), always)) == long
    with pytest.raises(LocalError, match="TEXT_TOO_LONG"):
        edit(History(DOCUMENT, [], always), FEEDS[0], long + "x")


def test_a_character_that_cannot_be_seen_is_refused_with_its_line() -> None:
    with pytest.raises(LocalError) as caught:
        edit(History(DOCUMENT, [], always), FEEDS[0], "one\ntwo\u202e\n")
    assert refusal(caught) == ("TEXT_CHARACTER", "line 2")


def test_unknown_versions_are_refused() -> None:
    found = History(DOCUMENT, at(0, hello()), always)
    for heads in ([], [bytes(32)], [BASE_HASH, *found.heads]):
        for ask in (text, lambda history, wanted: Pages(history).text(tuple(wanted))):
            with pytest.raises(LocalError, match="NO_SUCH_VERSION"):
                ask(found, heads)


def test_a_feed_whose_change_waits_cannot_write_on() -> None:
    lost = Desk()
    lost.write(0, "a")
    lost.meet(1, 0)
    lost.write(1, "ab")
    alone = [one for one in lost.seen[1] if one.feed == FEEDS[1]]
    with pytest.raises(LocalError, match="DOCUMENT_STUCK"):
        edit(History(DOCUMENT, alone, always), FEEDS[1], "c")


def test_a_feed_that_used_up_its_quota_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "OPS_MAX", 5)
    with pytest.raises(LocalError, match="DOCUMENT_QUOTA"):
        edit(History(DOCUMENT, [], always), FEEDS[0], "too long")


def test_a_document_that_grew_too_large_still_shows_its_old_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.write(0, "fine")
    old = desk.history(0).heads
    desk.write(0, "fine, and more")
    monkeypatch.setattr(render, "CHARACTERS_MAX", 8)
    with pytest.raises(LocalError, match="DOCUMENT_TOO_LARGE"):
        desk.text(0)
    assert text(desk.history(0), old) == Pages(desk.history(0)).text(old) == "fine"


def test_without_automerge_documents_are_sorted_out_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "automerge", None)
    found = History(DOCUMENT, at(0, hello()), always)
    assert not render.available()
    assert found.is_version(found.heads)
    for ask in (lambda: text(found), lambda: edit(found, FEEDS[0], "x")):
        with pytest.raises(LocalError, match="DOCUMENTS_UNAVAILABLE"):
            ask()


class PanicException(BaseException):
    """As pyo3 calls the panic of a Rust library; that class cannot be imported."""


def test_a_panic_of_automerge_is_an_error_of_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object) -> str:
        raise PanicException("index out of bounds")

    with monkeypatch.context() as broken:
        broken.setattr(render, "_read", panic)
        with pytest.raises(LocalError, match="DOCUMENT_UNREADABLE"):
            text(History(DOCUMENT, at(0, hello()), always))
    assert text(History(DOCUMENT, at(0, hello()), always)) == "hello"


def test_an_interruption_is_no_panic(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(render, "_read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        text(History(DOCUMENT, at(0, hello()), always))


@given(st.text("ab \né", max_size=40), st.text("ab \né", max_size=40))
def test_splices_turn_one_text_into_another(old: str, new: str) -> None:
    made, shift = old, 0
    for place, gone, come in splices(old, new):
        assert gone or come
        made = made[: place + shift] + come + made[place + shift + gone :]
        shift += len(come) - gone
    assert made == new


def test_splices_are_small() -> None:
    old = "".join(f"Article {number}: le membre répond.\n" for number in range(300))
    new = old.replace("Article 7: le membre", "Article 7: chaque membre").replace("Article 250: ", "")
    assert sum(gone + len(come) for _, gone, come in splices(old, new)) < 30


def test_texts_that_share_nothing_are_replaced_whole_and_soon() -> None:
    old, new = "a\n" * 3_000, "b\n" * 3_000
    assert splices(old, new) == [(0, len(old) - 1, new[:-1])]
