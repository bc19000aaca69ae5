"""Verifying a store: what was taken in is sound, and every changed row is found, named, and never raises."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.maps import CONSENTS
from ledger.tables import LEAF_ELSEWHERE, position
from ledger.ticks import Ticker
from ledger.verify import FAULTS_MAX, Report, verify_ledger
from tests.strategies import Act, acts, build, deliver, deliveries
from tests.worlds import LATER, NOW, Node, World

TABLES = ("meta", "entries", "ids", "feeds", "heads", "things", "maps", "nodes")


def verify(node: Node) -> Report:
    """Verify a node's rows."""
    with node.store.read() as rows:
        return verify_ledger(rows, lambda *_: None)


def sample() -> tuple[World, Node]:
    """Return a world with something of everything, and a node that holds it at a tick."""
    drawn: list[Act] = [
        ("join", 0, 0, 0),
        ("link", 0, 1, 0),
        ("link", 1, 0, 1),
        ("tenant", 0, 1, 0),
        *[("grant", i, i + 1, i) for i in range(6)],
        ("again", 1, 0, 2),
        ("withdraw", 2, 0, 1),
        ("acknowledge", 1, 1, 1),
        ("publish", 0, 0, 0),
        *[("bad", 1, 0, k) for k in range(14)],
    ]
    world = build(drawn, "verify")
    for i in range(300):
        world.members[0].scribe.add(b"filler %d" % i)
    world.members[0].scribe.sign(world.now + 1)
    node = Node(world.genesis)
    deliver(node, world, [])
    with node.store.write() as rows:
        Ticker(node.replica).move(rows, LATER)
    return world, node


WORLD, NODE = sample()
with NODE.store.read() as _rows:
    STORED = [(table, key, value) for table in TABLES for key, value in _rows.scan(table, b"")]


def copied() -> Node:
    """Return another node with the same rows."""
    node = Node(WORLD.genesis)
    with node.store.write() as rows:
        for table, key, value in STORED:
            rows.put(table, key, value)
    return node


def changed(table: str, key: bytes, value: bytes | None) -> Report:
    """Verify the sample with one row changed (None: removed)."""
    node = copied()
    with node.store.write() as rows:
        if value is None:
            rows.delete(table, key)
        else:
            rows.put(table, key, value)
    return verify(node)


def test_what_was_taken_in_is_sound() -> None:
    report = verify(NODE)
    assert report.faults == ()
    assert report.sound
    assert report.leaves == sum(len(scribe.raws) for scribe in WORLD.scribes())
    assert report.feeds == len(NODE.replica.feeds)
    assert report.checkpoints > report.feeds
    with NODE.store.read() as rows:
        ticker = Ticker(NODE.replica)
        ticker.load(rows)
    assert ticker.tick is not None
    assert report.state_root == ticker.tick.state_root


@given(drawn=acts, delivery=deliveries, seconds=st.integers(0, 60), whole=st.booleans())
def test_whatever_was_taken_in_is_sound(
    drawn: Sequence[Act], delivery: Sequence[int], seconds: int, whole: bool
) -> None:
    world = build(drawn)
    node = Node(world.genesis)
    deliver(node, world, delivery, whole=whole)
    with node.store.write() as rows:
        Ticker(node.replica).move(rows, NOW + seconds)
    deliver(node, world, delivery)
    assert verify(node).faults == ()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_move_of_the_maps_that_is_under_way_is_verified_as_well(damaged: bool) -> None:
    node = copied()
    with node.store.write() as rows:
        node.replica.reload(rows)
        ticker = Ticker(node.replica)
        ticker.rebuild(rows, NOW + 1)
        ticker.begin(rows, LATER)
        assert ticker.step(rows, 5) is None
        if damaged:
            rows.put("maps", CONSENTS + bytes(2) + bytes(32), bytes(40))
    assert verify(node).sound is not damaged


def test_a_body_beside_its_entry_s_first_place_is_a_fault() -> None:
    elsewhere = [(key, value) for table, key, value in STORED if table == "entries" and value[0] & LEAF_ELSEWHERE]
    for key, value in elsewhere:
        assert {fault.code for fault in changed("entries", key, value + b"\x00").faults} >= {"LEAF_ROW"}
    assert elsewhere


def test_a_store_that_lists_every_leaf_of_an_entry_is_sound_and_a_false_place_is_a_fault() -> None:
    """Older stores list what a feed repeats as often as it is there."""
    world, node = sample()
    scribe = world.members[0].scribe
    scribe.add(b"filler 7", b"filler 7")
    assert node.ingest(scribe.run(len(scribe.raws) - 2, len(scribe.raws), scribe.sign(LATER))) == ""
    ident, number = hashlib.sha256(b"filler 7").digest(), node.replica.number(scribe.feed)
    every = b"".join(position(number, at) for at, raw in enumerate(scribe.raws) if raw == b"filler 7")
    assert verify(node).faults == ()
    for row, sound in (
        (every, True),
        (every[:12] + every[24:], True),
        (every[12:], False),
        (every + every[24:], False),
    ):
        with node.store.write() as rows:
            rows.put("ids", ident, row)
        assert verify(node).sound is sound


def test_progress_counts_leaves_to_the_total() -> None:
    calls: list[tuple[int, int]] = []
    with NODE.store.read() as rows:
        verify_ledger(rows, lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1] > 300
    assert calls == sorted(calls)


@settings(max_examples=150)
@given(st.sampled_from(STORED), st.data())
def test_any_changed_row_is_a_fault_and_never_an_exception(row: tuple[str, bytes, bytes], data: st.DataObject) -> None:
    table, key, value = row
    kind = data.draw(st.sampled_from(["flip", "cut", "longer", "remove", "random"]))
    if kind == "flip" and value:
        at = data.draw(st.integers(0, len(value) * 8 - 1))
        new: bytes | None = bytes(b ^ (1 << at % 8 if i == at // 8 else 0) for i, b in enumerate(value))
    elif kind == "cut" and value:
        new = value[: data.draw(st.integers(0, len(value) - 1))]
    elif kind == "random":
        new = data.draw(st.binary(max_size=120).filter(lambda b: b != value))
    elif kind == "remove":
        new = None
    else:
        new = value + b"\x00"
    report = changed(table, key, new)
    if table == "heads" and new is None:
        return  # checkpoints are pruned: a missing one is no fault
    if (table, key, new) == ("meta", b"tick", None):
        assert {fault.code for fault in report.faults} == {"MAPS"}
    assert not report.sound, (table, key, kind)


@pytest.mark.parametrize("table", [table for table in TABLES if table != "meta"])
def test_a_row_that_stands_there_for_nothing_is_a_fault(table: str) -> None:
    key = next(key for found, key, _ in STORED if found == table)
    value = next(value for found, _, value in STORED if found == table)
    other = key[:-1] + bytes((key[-1] ^ 0x55,)) if table != "maps" else key + b"\x00"
    assert not any((table, other) == (t, k) for t, k, _ in STORED)
    assert not changed(table, other, value).sound


def test_faults_say_where_and_are_bounded() -> None:
    table, key, value = next(row for row in STORED if row[0] == "entries" and row[1].endswith(b"\x04"))
    report = changed(table, key, value[:-1] + bytes((value[-1] ^ 1,)))
    first = report.faults[0]
    assert (first.code, first.index) == ("ENTRY_ID", 4)
    assert first.feed in NODE.replica.feeds
    node = copied()
    with node.store.write() as rows:
        for found, key, value in STORED:
            if found == "ids":
                rows.put(found, key, value[::-1])
    assert len(verify(node).faults) == FAULTS_MAX


def test_rows_of_nothing_are_a_fault() -> None:
    node = copied()
    with node.store.write() as rows:
        rows.delete("meta", b"mesh")
    assert [fault.code for fault in verify(node).faults] == ["GENESIS"]
