"""Documents in a ledger: who can open, change and adopt them, and what an expulsion or a fork does to that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ledger import fork
from ledger.documents import render
from ledger.documents import shelf as shelves
from ledger.documents.change import BASE_HASH
from ledger.documents.history import EFFECTIVE, document_id, version_id
from ledger.documents.shelf import UNCHECKED, Shelf, adoption_payload
from ledger.errors import LocalError
from tests.ledger.governance.polity import Polity
from tests.worlds import Member, Node, World, deliver_all, octets

pytest.importorskip("automerge.core", reason="automerge has no build for this Python")

OPEN = {"type": "charter", "title": "Charte", "language": "fr"}


def open_document(world: World, member: Member, **fields: Any) -> bytes:
    """Let a member open a document; return its id."""
    ident = document_id(member.scribe.feed, member.scribe.tree.size)
    world.write(member.scribe, "document.open", ("document", ident), {**OPEN, **fields})
    return ident


@contextmanager
def shelf(world: World) -> Iterator[Shelf]:
    """Open the documents of everything that is registered in a world."""
    node = Node(world.genesis)
    deliver_all(node, world.scribes())
    with node.store.read() as rows:
        yield Shelf.of(node.replica, rows)


def text(world: World, ident: bytes, heads: Sequence[bytes] | None = None) -> str:
    """Return the text of a document."""
    with shelf(world) as documents:
        return render.text(documents.history(ident), heads)


def edit(world: World, member: Member, ident: bytes, wanted: str) -> None:
    """Let a member make the text what it wants."""
    with shelf(world) as documents:
        raws = render.edit(documents.history(ident), member.scribe.feed, wanted)
    for raw in raws:
        world.write(member.scribe, "document.change", ("document", ident), {"change": raw})


def adopt(world: World, member: Member, ident: bytes, **changed: Any) -> bytes:
    """Let a member adopt the newest version, or something else; return the version's id."""
    with shelf(world) as documents:
        history = documents.history(ident)
        payload = adoption_payload(history, history.heads, render.text(history))
    entry = world.write(member.scribe, "document.adopt", ("document", ident), {**payload, **changed})
    return bytes(entry.payload["version"])


def adoptions(world: World, ident: bytes) -> list[str]:
    """Return what the adoptions of a document are worth."""
    with shelf(world) as documents:
        return [one.counts for one in documents.adoptions(documents.history(ident))]


def test_a_document_is_opened_changed_and_adopted() -> None:
    world = World("documents")
    alice, bob = world.members
    ident = open_document(world, alice)
    edit(world, alice, ident, "Article 1\n")
    edit(world, bob, ident, "Article 1\nArticle 2\n")
    version = adopt(world, bob, ident)
    edit(world, alice, ident, "Rien.\n")
    assert text(world, ident) == "Rien.\n"
    with shelf(world) as documents:
        (opened,) = documents.all()
        assert (opened.ident, opened.registration.entry.payload["title"]) == (ident, "Charte")
        history = documents.history(ident)
        (adopted,) = documents.adoptions(history)
        assert (adopted.counts, adopted.version) == ("", version)
        assert version == version_id(ident, adopted.heads)
        assert render.text(history, adopted.heads) == "Article 1\nArticle 2\n"
        assert documents.lives(version) == adopted
        assert documents.lives(bytes(32)) is None


def test_nobody_opens_the_document_of_another_place() -> None:
    world = World("usurped")
    alice, bob = world.members
    ident = open_document(world, alice)
    world.write(bob.scribe, "document.open", ("document", ident), {**OPEN, "title": "Usurped"})
    world.write(alice.scribe, "document.open", ("document", ident), {**OPEN, "title": "Again"})
    loose = document_id(bob.scribe.feed, 10**6)
    world.write(bob.scribe, "document.open", ("document", loose), OPEN)
    with shelf(world) as documents:
        assert [one.registration.entry.payload["title"] for one in documents.all()] == ["Charte"]
        assert documents.opened(loose) is None
        assert documents.opened(bytes(16)) is None


def test_documents_are_told_apart_and_listed_once() -> None:
    world = World("several")
    alice, bob = world.members
    idents = {open_document(world, member) for member in (alice, bob, alice)}
    for ident in idents:
        edit(world, bob, ident, ident.hex())
    with shelf(world) as documents:
        assert {one.ident for one in documents.all()} == idents
    assert all(text(world, ident) == ident.hex() for ident in idents)


def test_a_feed_fills_its_own_share_of_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("flooded")
    alice, bob = world.members
    ident = open_document(world, alice)
    others = [open_document(world, bob) for _ in range(3)]
    for _ in range(4):
        world.write(bob.scribe, "document.change", ("document", ident), {"change": b"\x00"})
        adopt(world, bob, ident)
    monkeypatch.setattr(shelves, "ENTRIES_MAX", 3)
    monkeypatch.setattr(shelves, "ADOPTIONS_MAX", 2)
    monkeypatch.setattr(shelves, "LISTED_MAX", 2)
    edit(world, alice, ident, "fine")
    assert text(world, ident) == "fine"
    assert adoptions(world, ident) == ["", ""]
    with shelf(world) as documents:
        assert len(documents.history(ident).verdicts) == 4
        assert len(list(documents.all())) == 3
        assert [next(documents.beginning(other.hex()[:12])).ident for other in others] == others


def test_an_adoption_that_does_not_recompute_has_no_effect() -> None:
    world = World("adoptions")
    alice, bob = world.members
    ident = open_document(world, alice)
    edit(world, alice, ident, "text")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"text": octets("other")}, "ADOPTION_WRONG_TEXT"),
        ({"version": octets("other")}, "ADOPTION_WRONG_ID"),
        ({"heads": [octets("other")]}, "ADOPTION_UNKNOWN_VERSION"),
        ({"heads": [BASE_HASH]}, "ADOPTION_WRONG_ID"),
    ]
    for changed, _ in wrong:
        adopt(world, bob, ident, **changed)
    adopt(world, bob, ident)
    assert adoptions(world, ident) == [*(code for _, code in wrong), ""]


def test_malformed_changes_of_a_member_stop_nobody() -> None:
    world = World("noise")
    alice, bob = world.members
    ident = open_document(world, alice)
    edit(world, alice, ident, "one\n")
    for noise in (b"\x00", octets("noise", size=5_000), b"\x85\x6f\x4a\x83" + octets("noise", size=400)):
        world.write(bob.scribe, "document.change", ("document", ident), {"change": noise})
    edit(world, bob, ident, "one\ntwo\n")
    edit(world, alice, ident, "one\ntwo\nthree\n")
    assert text(world, ident) == "one\ntwo\nthree\n"
    with shelf(world) as documents:
        verdicts = documents.history(ident).verdicts.values()
    assert sorted(verdicts) == [EFFECTIVE] * 3 + ["CHANGE_MALFORMED"] * 3


def test_an_expulsion_binds_adoptions_and_no_change() -> None:
    polity = Polity("documents")
    alice, traitor = polity.members[0], polity.members[3]
    ident = open_document(polity, alice)
    edit(polity, alice, ident, "one\n")
    cut = len(traitor.scribe.raws)
    edit(polity, traitor, ident, "one\ntwo\n")
    adopt(polity, traitor, ident)
    proposal = polity.expel(alice, traitor, cut=cut)
    polity.vote(polity.members[:3], proposal)
    members = polity.governed()
    assert (members.reach(traitor.scribe.feed), traitor.party in members.expelled) == (cut, True)
    assert members.writes(traitor.scribe.feed) > cut
    assert text(polity, ident) == "one\ntwo\n"
    assert adoptions(polity, ident) == ["ADOPTION_UNAUTHORISED"]
    edit(polity, alice, ident, "one\ntwo\nthree\n")
    assert text(polity, ident) == "one\ntwo\nthree\n"


def test_changes_beyond_a_fork_have_no_effect() -> None:
    world = World("forked")
    alice, bob = world.members
    ident = open_document(world, alice)
    edit(world, alice, ident, "one\n")
    size = len(bob.scribe.raws)
    twin = bob.scribe.branch(size)
    twin.add(b"another leaf")
    edit(world, bob, ident, "one\ntwo\n")
    first, second = bob.scribe.sign(world.now), twin.sign(world.now)
    proof = fork.prove_branches(bob.scribe.device.public, first, bob.scribe.leaves, second, twin.leaves)
    world.write(alice.scribe, "fork.proof", ("feed", bob.scribe.feed), proof)
    assert text(world, ident) == "one\n"
    with shelf(world) as documents:
        assert documents.history(ident).verdict(bob.scribe.feed, size) == "CHANGE_UNAUTHORISED"


def test_without_automerge_an_adoption_is_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("unchecked")
    alice, bob = world.members
    ident = open_document(world, alice)
    edit(world, alice, ident, "text")
    adopt(world, bob, ident)
    adopt(world, bob, ident, heads=[octets("other")])
    monkeypatch.setattr(render, "_automerge", _absent)
    assert adoptions(world, ident) == [UNCHECKED, "ADOPTION_UNKNOWN_VERSION"]


def _absent() -> Any:
    raise LocalError("DOCUMENTS_UNAVAILABLE", "no build for this Python")


def test_verification_knows_the_rows_of_documents() -> None:
    from ledger.tables import DOCUMENT
    from ledger.verify import verify_ledger

    world = World("verified")
    alice, _ = world.members
    ident = open_document(world, alice)
    edit(world, alice, ident, "text")
    node = Node(world.genesis)
    deliver_all(node, world.scribes())
    with node.store.read() as rows:
        assert verify_ledger(rows, lambda _done, _total: None).faults == ()
        (first, *_) = rows.scan("things", DOCUMENT, limit=1)
    for value in (b"a", None):
        with node.store.write() as rows:
            rows.put("things", first[0], value) if value else rows.delete("things", first[0])
        with node.store.read() as rows:
            (fault, *_) = verify_ledger(rows, lambda _done, _total: None).faults
        assert fault.code == "INDEX_ROW"
