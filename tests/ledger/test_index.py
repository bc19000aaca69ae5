"""The index of things: what an entry names is found again, below any extent."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Head
from ledger.feed import Registration
from ledger.index import document_places, documents, facts_of, index_rows, named_consents, resting_on, rests_on
from ledger.keys import thumbprint
from ledger.kinds import KINDS
from ledger.schema import Signer
from ledger.tables import (
    CONSENT,
    DOCUMENT,
    DOCUMENT_KINDS,
    GOVERNANCE,
    RECEIPT,
    SIGNER,
    TICK,
    WAITING,
    FactRow,
    position,
    read_leaf,
)
from storage.memory import MemoryStore
from tests.golden import samples
from tests.strategies import Act, acts, build, deliver
from tests.worlds import Node, octets, parsed

SAMPLES = samples()
PLACE = position(3, 9)
FEED = octets("registering feed")


@pytest.mark.parametrize("kind", SAMPLES)
def test_each_kind_leaves_the_rows_of_what_it_names(kind: str) -> None:
    entry, row = SAMPLES[kind], KINDS[kind]
    rows = dict(index_rows(Registration(entry, FEED, 9), PLACE, named_consents(entry)))
    assert all(key.endswith(PLACE) for key in rows)
    assert (GOVERNANCE + PLACE in rows) == row.governance
    assert (SIGNER + entry.kid + PLACE in rows) == (row.signer is Signer.DEVICE_OR_TENANT)
    heads = {WAITING + head.feed + head.size.to_bytes(8, "big") + PLACE for head in entry.seen if head.size}
    assert heads == {key for key in rows if key.startswith(WAITING)}
    facts = {key for key in rows if key.startswith(CONSENT)}
    assert facts == {CONSENT + consent + PLACE for consent in named_consents(entry)}
    assert len([key for key in rows if key.startswith(RECEIPT)]) == (kind == "transfer.receipt")
    assert len([key for key in rows if key.startswith(TICK)]) == (kind == "state.attestation")
    about = {DOCUMENT + entry.thing[1] + PLACE: DOCUMENT_KINDS[kind]} if kind in DOCUMENT_KINDS else {}
    assert about == {key: value for key, value in rows.items() if key.startswith(DOCUMENT)}


def test_an_entry_does_not_wait_for_its_own_feed_nor_for_an_empty_one() -> None:
    entry = SAMPLES["consent.refuse"]
    own = entry.seen[0].feed
    rows = index_rows(Registration(entry, own, 9), PLACE, named_consents(entry))
    assert [key for key, _ in rows if key.startswith(WAITING + own)] == []
    assert Head(own, 0, b"") not in entry.seen


def test_whom_a_consent_entry_names() -> None:
    grant = SAMPLES["consent.grant"]
    assert named_consents(grant) == [grant.id]
    for kind in ("consent.withdraw", "consent.revoke", "consent.acknowledge"):
        assert named_consents(SAMPLES[kind]) == [grant.id]
    assert named_consents(SAMPLES["consent.refuse"]) == [SAMPLES["consent.request"].id]
    assert named_consents(SAMPLES["transfer.receipt"]) == []


def test_documents_are_found_by_id_and_their_entries_by_kind() -> None:
    store = MemoryStore()
    idents = [bytes(16), octets("document", size=16), b"\xff" * 16]
    with store.write() as rows:
        rows.put("things", GOVERNANCE + PLACE, b"")
        for ident in idents:
            for index, kind in enumerate((*DOCUMENT_KINDS, "document.change")):
                rows.put("things", DOCUMENT + ident + position(3, index), DOCUMENT_KINDS[kind])
    with store.read() as rows:
        assert list(documents(rows)) == sorted(idents)
        for ident in idents:
            assert list(document_places(rows, ident, "document.open")) == [(3, 0)]
            assert list(document_places(rows, ident, "document.change")) == [(3, 1), (3, 3)]
        assert list(document_places(rows, octets("other", size=16), "document.open")) == []


def test_a_fact_survives_its_row() -> None:
    for fact in (FactRow("consent.grant", bytes(32), octets("k")), FactRow("consent.acknowledge", *[octets("a")] * 3)):
        assert FactRow.decode(fact.encode()) == fact


@given(drawn=acts, size=st.integers(0, 20))
def test_facts_are_the_sound_leaves_that_name_a_consent(drawn: Sequence[Act], size: int) -> None:
    world = build(drawn)
    node = Node(world.genesis)
    deliver(node, world, [])
    feeds = [node.replica.feed_of(number) for number in range(len(node.replica.feeds))]
    with node.store.read() as rows:
        for consent in world.consents:
            expected: dict[bytes, set[tuple[bytes, int]]] = {}
            for number, feed in enumerate(feeds):
                for index in range(min(size, node.replica.size(feed))):
                    leaf = read_leaf(rows.get("entries", position(number, index)) or b"")
                    entry = parsed(node.replica.leaf(rows, feed, index).raw)
                    if not leaf.void and entry is not None and consent.grant.id in named_consents(entry):
                        expected.setdefault(entry.id, set()).add((feed, index))
            facts = facts_of(rows, consent.grant.id, feeds, lambda _: size)
            assert {fact.row.entry_id: set(fact.places) for fact in facts} == expected


def test_what_rests_on_something_is_found_by_it() -> None:
    grant, give = SAMPLES["consent.grant"], SAMPLES["delegation.give"]
    names = ("request", "supersedes", "delegation", "parent")
    assert rests_on(grant) == {grant.payload[name] for name in names}
    assert rests_on(give) == {give.payload["parent"], thumbprint(give.payload["delegate"])}
    assert rests_on(SAMPLES["group.call"]) == {SAMPLES["group.call"].thing[1]}
    assert named_consents(SAMPLES["delegation.revoke"]) == [give.id] == named_consents(give)
    rows = index_rows(Registration(give, FEED, 9), PLACE, named_consents(give))
    store = MemoryStore()
    with store.write() as writer:
        for key, value in rows:
            writer.put("things", key, value)
    with store.read() as reader:
        for ident in rests_on(give):
            found = resting_on(reader, ident, [FEED] * 4, lambda _: 10)
            assert [fact.row.entry_id for fact in found] == [give.id]
            assert not resting_on(reader, ident, [FEED] * 4, lambda _: 9)
