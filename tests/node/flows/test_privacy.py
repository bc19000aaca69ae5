"""What an observer learns who has every byte of the ledger and no vault: nothing of what consents say (consent.md §5).

How it works
    The observer is a third member: it holds every feed whole and is no party of anything. What it has is searched for
    the words, for digests that follow from guesses, and compared between two worlds that differ only in what must not
    show. What does show is listed in ledger/README.md ("What leaks"), and held here too.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledger.consent.disclosure import DIGEST_BYTES, slot_digest
from ledger.consent.kinds import SLOT_COUNT
from ledger.consent.record import FIELDS, Terms
from ledger.consent.wallet import HOUR
from ledger.entry import Entry
from ledger.schema import DAY
from ledger.tables import read_leaf
from node.adapters import household
from node.core import Turn
from node.flows.consenting import Offer, words_of
from node.readings import Series
from node.tenants import Voice
from node.vaults.consents import ConsentRow, ConsentRows
from tests.node.flows.test_spreading import STEP, WINDOW, Apart, give
from tests.node.flows.world import NOW, World, terms

CURVE = household.load_curve(1, NOW - 100 * DAY, 10, gaps=3)
LONGER = household.load_curve(2, NOW - 100 * DAY, 40, gaps=9)
SALT_BYTES = 16


def observed(world: World) -> list[Entry]:
    """Return every entry that the observer holds."""

    def look(turn: Any) -> list[Entry]:
        return [Entry.parse(leaf.raw) for _, value in turn.rows.scan("entries", b"") if (leaf := read_leaf(value)).raw]

    return world.sides[2].look(look)


def live(series: Series, **changes: Any) -> tuple[World, list[Entry], Terms]:
    """Let a consent be given, data flow, a right be asked and answered, and all be withdrawn and destroyed."""
    world = World(3)
    world.import_series(series)
    said = terms(series, **changes)
    grant, _ = world.grant(said)
    world.send(grant=grant.id)
    world.pump()
    holder, recipient = world.holder, world.recipient
    request = holder.act(
        lambda turn: holder.flows.rights.ask(turn, "anna", grant, "access", recipient.party, said.purpose, ())
    )
    world.pump()
    voice = Voice(recipient.party)
    recipient.act(lambda turn: recipient.flows.rights.answer(turn, request.id, voice, "done", said.purpose))
    for side in (holder, recipient):
        side.act(side.flows.accounts.state)
    world.withdraw(grant)
    world.pump()
    while not recipient.act(lambda turn: recipient.flows.erasing.erase(turn, grant, voice)).entry:
        pass
    world.pump()
    return world, observed(world), said


def test_the_observer_holds_all_of_it() -> None:
    world, entries, _ = live(CURVE)
    kinds = {entry.kind for entry in entries}
    assert {"consent.grant", "consent.withdraw", "transfer.receipt", "transfer.ack", "rights.request"} <= kinds
    assert {"rights.answer", "erasure.state", "erasure.ack", "consent.acknowledge"} <= kinds
    sizes = [{n: side.core.replica.size(n) for n in side.core.replica.feeds} for side in world.sides]
    assert sizes[2] == sizes[0] == sizes[1]


@pytest.mark.covers("R102", "R115")
def test_no_word_of_it_stands_on_the_ledger() -> None:
    _, entries, said = live(CURVE)
    ledger = b"".join(entry.raw for entry in entries)
    words = [
        said.purpose,
        said.purpose_category,
        *said.points,
        "load_curve",
        "electricity",
        "PT30M",
        "anna",
        "dpo@city",
    ]
    for word in [*words, said.points[0].partition(":")[2]]:
        assert word.encode() not in ledger, word


def guesses(said: Terms) -> Iterator[tuple[str, Any]]:
    """Yield what an observer would try: the right values of every field, and some wrong ones."""
    yield from said.values().items()
    yield from (("purpose", text) for text in ("Research", "Billing"))
    yield from (("granularity", text) for text in ("P1D", "PT10M", None))


def test_no_digest_follows_from_a_guess() -> None:
    _, entries, said = live(CURVE)
    ledger = b"".join(entry.raw for entry in entries)
    (grant,) = [entry for entry in entries if entry.kind == "consent.grant"]
    slots = grant.payload["slots"]
    digests = {slots[at : at + DIGEST_BYTES] for at in range(0, len(slots), DIGEST_BYTES)}
    bare = {hashlib.sha256(repr(value).encode()).digest() for _, value in guesses(said)}
    bare |= {hashlib.sha256(str(value).encode()).digest() for _, value in guesses(said)}
    assert not any(digest in ledger for digest in bare)
    tried = [(name, value) for name, value in guesses(said) if name in ("purpose", "points", "pii_type", "granularity")]
    salts = {ledger[at : at + SALT_BYTES] for at in range(0, len(ledger) - SALT_BYTES, 3)} | {bytes(SALT_BYTES)}
    assert len(salts) > 1_000
    assert not any(slot_digest(salt, value, name) in digests for name, value in tried for salt in salts)


def shape(entries: Iterable[Entry]) -> Counter[tuple[str, int]]:
    """Return how many entries of which kind and length there are: what traffic analysis of the ledger sees."""
    return Counter((entry.kind, len(entry.raw)) for entry in entries)


CHANGES = [
    ("purpose", CURVE, {"purpose": "An altogether different and rather longer purpose, in more words than the other"}),
    ("category", CURVE, {"purpose_category": "dpv:ResearchAndDevelopment"}),
    ("point", LONGER, {}),
    ("count", household.load_curve(1, NOW - 100 * DAY, 80, gaps=3), {}),
    ("granularity", CURVE, {"granularity": "PT10M"}),
    ("kind", CURVE, {"retention": "P3Y", "storage": "elsewhere", "legal_basis": "contract"}),
]


@pytest.mark.parametrize(("what", "series", "changes"), CHANGES, ids=[what for what, _, _ in CHANGES])
def test_worlds_that_differ_in_it_look_the_same(what: str, series: Series, changes: dict[str, Any]) -> None:
    _, entries, _ = live(CURVE)
    _, others, _ = live(series, **changes)
    assert shape(entries) == shape(others), what


@pytest.mark.covers("R114")
def test_two_grants_of_one_person_share_no_key_no_salt_and_no_digest() -> None:
    world = World(3)
    first, _ = world.grant(terms(CURVE))
    second, _ = world.grant(terms(CURVE))
    one, other = (entry for entry in observed(world) if entry.kind == "consent.grant")
    assert {one.id, other.id} == {first.id, second.id}
    for name in ("signer", "kid", "thing", "cti"):
        assert getattr(one, name) != getattr(other, name)
    assert one.payload["withdraw_key"] != other.payload["withdraw_key"]
    cut = [entry.payload["slots"] for entry in (one, other)]
    sets = [{slots[at : at + DIGEST_BYTES] for at in range(0, len(slots), DIGEST_BYTES)} for slots in cut]
    assert len(sets[0]) == len(sets[1]) == SLOT_COUNT, "decoys are not told from digests by being equal"
    assert not sets[0] & sets[1]
    consents = world.holder.flows.consents
    rows = [world.holder.look(partial(_row, consents, entry.id)) for entry in (one, other)]
    salts = [{salt for salt, _ in row.disclosures.fields.values()} for row in rows if row is not None]
    assert len(salts[0]) == len(salts[1]) == len(FIELDS)
    assert not salts[0] & salts[1]


def _row(consents: ConsentRows, grant: bytes, turn: Turn) -> ConsentRow | None:
    return consents.get(turn.vault, grant)


def test_the_notice_does_not_confirm_a_guess() -> None:
    world = World(3)
    grant, _ = world.grant(terms(CURVE))
    sha256 = grant.payload["notice"]["sha256"]
    offer = Offer(world.holder.party, world.recipient.party, terms(CURVE), grant.payload["valid_until"])
    for lang in ("en", "fr"):
        shown = "\n".join(words_of(offer, ("holder", "recipient"), lang))
        assert hashlib.sha256(shown.encode()).digest() != sha256
    held: list[bytes | None] = []
    world.holder.look(lambda turn: held.append(world.holder.flows.consents.notice(turn.vault, sha256)))
    (text,) = held
    assert text is not None
    assert hashlib.sha256(text).digest() == sha256
    assert text.decode().splitlines()[:-1] == words_of(offer, ("holder", "recipient"))


def test_the_date_of_a_grant_is_rounded() -> None:
    world = World(3)
    world.pass_time(DAY)
    grant, _ = world.grant(terms(CURVE))
    assert grant.iat <= world.now
    assert grant.iat % 3_600 == 0 or grant.iat >= world.now - 3_600


PEOPLE = ("anna", "bert", "cleo", "dora", "emil", "fred", "gina", "hugo", "iris", "jean")
EACH = 3
CHANCE = (EACH - 1) / (EACH * len(PEOPLE) - 1)
"""How often a guess is right that knows nothing."""


def street(people: Sequence[str], kind: type[World]) -> tuple[list[Entry], list[int], list[str]]:
    """Let people of one host consent to three things each, one after the other; return what the observer saw.

    That is the grants, when each came into its host's feed, and whose each is, which the observer does not know.
    """
    world = kind(4)
    home, observer = world.sides[2:]
    world.pass_time(2 * HOUR)
    owner: dict[bytes, str] = {}
    came: dict[bytes, int] = {}
    todo = list(people)
    for _ in range((30 * len(people) + WINDOW) // STEP + 2):
        if todo and world.now % 30 < STEP:
            name = todo.pop(0)
            owner |= {give(world, home, name).id: name for _ in range(EACH)}
        for ident in owner.keys() - came.keys():
            if observer.entry(ident) is not None:
                came[ident] = world.now
        world.pass_time(STEP)
    assert owner.keys() == came.keys()
    entries = [entry for ident in came if (entry := observer.entry(ident)) is not None]
    return entries, [came[entry.id] for entry in entries], [owner[entry.id] for entry in entries]


def guessed_right(marks: Sequence[int], owners: Sequence[str]) -> float:
    """Return how often the nearest other grant is of the same person; of several equally near, one at random."""
    found = []
    for number, (mark, owner) in enumerate(zip(marks, owners, strict=True)):
        others = [
            (abs(mark - at), whose) for n, (at, whose) in enumerate(zip(marks, owners, strict=True)) if n != number
        ]
        nearest = [whose for far, whose in others if far == min(others)[0]]
        found.append(nearest.count(owner) / len(nearest))
    return sum(found) / len(found)


@pytest.mark.covers("R114")
@pytest.mark.parametrize(("kind", "least", "most"), [(World, 0.9, 1.0), (Apart, 0.0, 3 * CHANCE)])
def test_time_and_neighbours_do_not_tell_whose_grants_are_where_they_are_spread(
    kind: type[World], least: float, most: float
) -> None:
    entries, came, owners = street(PEOPLE, kind)
    best = max(guessed_right(marks, owners) for marks in (came, [entry.seen[0].size for entry in entries]))
    assert least <= best <= most
    if kind is Apart:
        assert len({(entry.iat, entry.seen) for entry in entries if entry.iat == entries[0].iat}) == 1


def test_spreading_hides_nobody_who_is_alone_at_her_host() -> None:
    _, came, owners = street(PEOPLE[:1], Apart)
    assert len(set(came)) == EACH
    assert guessed_right(came, owners) == 1.0


@pytest.mark.covers("R102")
def test_what_leaks_is_listed() -> None:
    text = (Path(__file__).parents[3] / "ledger" / "README.md").read_text()
    section = text.partition("## What leaks")[2].partition("\n## ")[0]
    clear = {"holder", "recipient", "valid_until", "notice", "withdraw_key", "supersedes", "delegation", "parent"}
    clear |= {"required_parties", "request", "evidence", "call", "transcribed"}
    named = set(re.findall(r"`([a-z_]+)`", section))
    assert clear <= named, clear - named
