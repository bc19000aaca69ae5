"""The contract of `storage/store.py`, held against both stores: every test here runs on disk and in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from ledger.rows import MAX_KEY_BYTES
from storage.memory import BLOCK_KEYS
from storage.store import Store
from tests.storage.stores import MAKERS, check_refused, fill, rows_of


@pytest.fixture(params=sorted(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Both stores, one after the other, empty."""
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


# Rows.


def test_a_row_is_read_back_and_replaced_and_deleted(store: Store) -> None:
    with store.write() as writer:
        writer.put("meta", b"a", b"1")
        assert writer.get("meta", b"a") == b"1"
        writer.put("meta", b"a", b"")
        writer.put("meta", b"b", b"2")
        writer.delete("meta", b"b")
        writer.delete("meta", b"never there")
        assert writer.count("meta") == 1
    with store.read() as reader:
        assert reader.get("meta", b"a") == b""
        assert reader.get("meta", b"b") is None
        assert reader.get("ids", b"a") is None
        assert (reader.count("meta"), reader.count("ids")) == (1, 0)


def test_keys_sort_as_unsigned_bytes(store: Store) -> None:
    keys = [b"\x00", b"\x00\x00", b"\x7f", b"\x80", b"\xff", b"\xff\x00", b"a", b"ab", b"b"]
    fill(store, *random.Random(1).sample(keys, len(keys)))
    with store.read() as reader:
        assert [key for key, _ in rows_of(reader, "things")] == sorted(keys)


@pytest.mark.parametrize(
    ("start", "stop", "limit", "reverse", "expected"),
    [
        (b"", None, None, False, "bcdf"),
        (b"", None, None, True, "fdcb"),
        (b"c", b"f", None, False, "cd"),
        (b"c", b"f", None, True, "dc"),
        (b"a", b"e", None, False, "bcd"),
        (b"e", b"z", None, True, "f"),
        (b"e", b"f", None, False, ""),
        (b"e", b"f", None, True, ""),
        (b"d", b"d", None, False, ""),
        (b"f", b"b", None, False, ""),
        (b"f", b"b", None, True, ""),
        (b"g", None, None, False, ""),
        (b"g", None, None, True, ""),
        (b"", b"a", None, True, ""),
        (b"", b"", None, False, ""),
        (b"", b"", None, True, ""),
        (b"", None, 2, False, "bc"),
        (b"", None, 2, True, "fd"),
        (b"", None, 0, False, ""),
    ],
)
def test_scan_bounds(  # the table above: start inclusive, stop exclusive, reverse from the end downwards
    store: Store, start: bytes, stop: bytes | None, limit: int | None, reverse: bool, expected: str
) -> None:
    fill(store, b"b", b"c", b"d", b"f")
    with store.write() as writer:
        inside = [key for key, _ in writer.scan("things", start, stop, limit=limit, reverse=reverse)]
    with store.read() as reader:
        outside = [key for key, _ in reader.scan("things", start, stop, limit=limit, reverse=reverse)]
    assert inside == outside == [bytes([byte]) for byte in expected.encode()]


def test_last_of_a_prefix(store: Store) -> None:
    fill(store, b"a1", b"a2", b"b", b"\xff", b"\xff\xff", b"\xff\xff\x01")
    with store.read() as reader:
        assert reader.last("things", b"a") == (b"a2", b"2a")
        assert reader.last("things", b"b") == (b"b", b"b")
        assert reader.last("things", b"c") is None
        assert reader.last("things", b"A") is None
        assert reader.last("things", b"a10") is None
        assert reader.last("things", b"\xff\xff") == (b"\xff\xff\x01", b"\x01\xff\xff")
        assert reader.last("things", b"") == (b"\xff\xff\x01", b"\x01\xff\xff")
        assert reader.last("ids", b"") is None


def test_append_is_only_a_hint(store: Store) -> None:
    keys = [b"b", b"d", b"a", b"c", b"d", b"e", b"b"]
    with store.write() as writer:
        for index, key in enumerate(keys):
            writer.put("entries", key, bytes([index]), append=True)
    with store.read() as reader:
        assert rows_of(reader, "entries") == sorted({key: bytes([i]) for i, key in enumerate(keys)}.items())


def test_many_rows_in_any_order(store: Store) -> None:
    chance = random.Random(2)
    model: dict[bytes, bytes] = {}
    with store.write() as writer:
        for _ in range(5 * BLOCK_KEYS):
            key = chance.randbytes(2)
            if chance.random() < 0.3:
                writer.delete("ids", key)
                model.pop(key, None)
            else:
                writer.put("ids", key, key)
                model[key] = key
    with store.read() as reader:
        assert rows_of(reader, "ids") == sorted(model.items())
        assert list(reader.scan("ids", b"", reverse=True)) == sorted(model.items(), reverse=True)
        assert reader.count("ids") == len(model)


# Scans that change what they scan.


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_may_delete_what_it_has_seen(store: Store, reverse: bool) -> None:
    keys = [bytes([byte]) for byte in range(200)]
    fill(store, *keys)
    seen = []
    with store.write() as writer:
        for key, _ in writer.scan("things", b"", reverse=reverse):
            seen.append(key)
            writer.delete("things", key)
        assert writer.count("things") == 0
    assert seen == sorted(keys, reverse=reverse)


def test_a_scan_sees_rows_put_ahead_and_not_those_deleted_ahead(store: Store) -> None:
    fill(store, b"b", b"d", b"f")
    with store.write() as writer:
        scan = writer.scan("things", b"")
        assert next(scan)[0] == b"b"
        writer.put("things", b"c", b"new")
        writer.put("things", b"a", b"behind")
        assert next(scan) == (b"c", b"new")
        writer.delete("things", b"d")
        writer.put("things", b"f", b"changed")
        assert next(scan) == (b"f", b"changed")
        assert next(scan, None) is None
        scan = writer.scan("things", b"", reverse=True)
        assert next(scan)[0] == b"f"
        writer.put("things", b"e", b"new")
        assert next(scan) == (b"e", b"new")
        writer.delete("things", b"c")
        assert next(scan)[0] == b"b"


def test_a_scan_of_a_writer_survives_a_snapshot_taken_meanwhile(store: Store) -> None:
    fill(store, b"a")
    with store.read() as before, store.write() as writer:
        scan = writer.scan("things", b"")
        assert next(scan)[0] == b"a"
        writer.put("things", b"b", b"new")
        assert next(scan)[0] == b"b"
        assert before.get("things", b"b") is None


# Transactions.


def test_snapshots_do_not_move(store: Store) -> None:
    fill(store, b"a")
    with store.read() as before:
        scan = before.scan("things", b"")
        with store.write() as writer:
            writer.put("things", b"a", b"changed")
            writer.put("things", b"b", b"new")
            writer.put("ids", b"b", b"new")
            with store.read() as during:
                assert rows_of(during, "things") == [(b"a", b"a")]
                assert during.count("ids") == 0
                writer.delete("things", b"a")
                assert during.get("things", b"a") == b"a"
            assert rows_of(writer, "things") == [(b"b", b"new")]
        with store.read() as after:
            assert rows_of(after, "things") == [(b"b", b"new")]
        assert list(scan) == [(b"a", b"a")]
        assert before.count("ids") == 0


@pytest.mark.parametrize("held", [False, True])
def test_an_exception_undoes_everything(store: Store, held: bool) -> None:
    fill(store, b"a", b"b")
    with store.read() as snapshot:
        before = rows_of(snapshot, "things")
        if held:
            undo_all(store)
            assert rows_of(snapshot, "things") == before
    if not held:
        undo_all(store)
    with store.read() as reader:
        assert rows_of(reader, "things") == before
        assert reader.count("ids") == 0
    fill(store, b"c")  # and the store goes on


def undo_all(store: Store) -> None:
    """Change rows and leave by an exception."""
    with suppress(ZeroDivisionError), store.write() as writer:
        writer.put("things", b"a", b"changed")
        writer.put("things", b"a", b"changed again")
        writer.delete("things", b"b")
        writer.put("things", b"c", b"new")
        writer.delete("things", b"c")
        writer.put("ids", b"d", b"new")
        raise ZeroDivisionError


def test_a_second_writer_is_refused(store: Store) -> None:
    with store.write() as writer:
        check_refused("STORE_BUSY", lambda: store.write().__enter__())
        writer.put("meta", b"a", b"1")
    early = store.write()
    with store.write():
        check_refused("STORE_BUSY", early.__enter__)
    with early as writer:
        assert writer.get("meta", b"a") == b"1"


def test_nothing_closes_or_compacts_under_a_transaction(store: Store) -> None:
    with store.read():
        check_refused("STORE_BUSY", store.close)
        check_refused("STORE_BUSY", store.compact)
    with store.write():
        check_refused("STORE_BUSY", store.close)
        check_refused("STORE_BUSY", store.compact)
    fill(store, b"a")


def test_a_transaction_that_has_ended_is_dead(store: Store) -> None:
    fill(store, b"a", b"b", b"c")
    with store.read() as reader:
        scan = reader.scan("things", b"")
        unstarted = reader.scan("things", b"", reverse=True)
        next(scan)
    with store.write() as writer:
        inner = writer.scan("things", b"")
        next(inner)
    for call in (
        lambda: reader.get("things", b"a"),
        lambda: reader.count("things"),
        lambda: reader.last("things", b""),
        lambda: reader.scan("things", b""),
        lambda: next(scan),
        lambda: next(unstarted),
        lambda: next(inner),
        lambda: writer.get("things", b"a"),
        lambda: writer.put("things", b"a", b""),
        lambda: writer.delete("things", b"a"),
        lambda: store.read().get("things", b"a"),  # type: ignore[attr-defined]  # never entered
    ):
        check_refused("TRANSACTION_OVER", call)


def test_a_closed_store_is_closed(store: Store) -> None:
    store.close()
    store.close()
    check_refused("STORE_CLOSED", store.read)
    check_refused("STORE_CLOSED", store.write)
    check_refused("STORE_CLOSED", store.compact)


def test_bad_keys_and_tables_are_refused_and_change_nothing(store: Store) -> None:
    long = b"x" * (MAX_KEY_BYTES + 1)
    with store.write() as writer:
        writer.put("meta", b"good", b"1")
        writer.put("meta", long[:-1], b"longest")
        for key in (b"", long):
            check_refused("BAD_KEY", partial(writer.put, "meta", key, b"1"))
            check_refused("BAD_KEY", partial(writer.put, "meta", key, b"1", append=True))
        check_refused("BAD_KEY", lambda: writer.delete("meta", b""))
        check_refused("BAD_KEY", lambda: writer.get("meta", b""))
        assert writer.get("meta", long) is None
        writer.delete("meta", long)
        for call in (
            lambda: writer.put("nowhere", b"k", b""),
            lambda: writer.delete("nowhere", b"k"),
            lambda: writer.get("nowhere", b"k"),
            lambda: writer.scan("nowhere", b""),
            lambda: writer.last("nowhere", b""),
            lambda: writer.count("_storage"),
        ):
            check_refused("UNKNOWN_TABLE", call)
    with store.read() as reader:  # the refusals did not cost the transaction
        assert [key for key, _ in rows_of(reader, "meta")] == [b"good", long[:-1]]


def test_compact_keeps_the_rows(store: Store) -> None:
    keys = [index.to_bytes(4, "big") for index in range(2000)]
    fill(store, *keys)
    with store.write() as writer:
        for key in keys[100:]:
            writer.delete("things", key)
    before = store.size_bytes()
    assert store.compact() == before - store.size_bytes()
    with store.read() as reader:
        assert [key for key, _ in rows_of(reader, "things")] == keys[:100]
    fill(store, b"more")
    assert 0 <= store.map_used_ratio() < 0.01
