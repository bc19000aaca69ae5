"""The contract of `storage/store.py`, held against both stores: every test here runs on disk and in memory."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.errors import LocalError
from ledger.rows import MAX_KEY_BYTES, TABLES, Reader, Writer, prefix_stop
from storage.disk import DiskStore
from storage.memory import BLOCK_KEYS, MemoryStore
from storage.store import Store
from tests.storage.crashing import Crash, CrashingStore

Model = dict[str, dict[bytes, bytes]]

MAKERS: dict[str, Callable[[Path], Store]] = {
    "disk": lambda path: DiskStore(path / "store"),
    "memory": lambda _path: MemoryStore(),
}


@pytest.fixture(params=sorted(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Both stores, one after the other, empty."""
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


def rows_of(reader: Reader, table: str) -> list[tuple[bytes, bytes]]:
    """Return all rows of a table."""
    return list(reader.scan(table, b""))


def fill(store: Store, *keys: bytes, table: str = "things") -> None:
    """Put each key with itself reversed as value."""
    with store.write() as writer:
        for key in keys:
            writer.put(table, key, key[::-1])


def refused(code: str, call: Callable[[], object]) -> None:
    """Expect a `LocalError` with this code and a sentence."""
    with pytest.raises(LocalError) as caught:
        call()
    assert caught.value.code == code
    assert str(caught.value).rstrip("]").endswith(code)


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
    fill(store, b"a", b"c")
    with store.read() as before, store.write() as writer:
        scan = writer.scan("things", b"")
        assert next(scan)[0] == b"a"
        writer.put("things", b"b", b"new")
        assert next(scan)[0] == b"b"
        assert next(scan)[0] == b"c"
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
        refused("STORE_BUSY", lambda: store.write().__enter__())
        writer.put("meta", b"a", b"1")
    early = store.write()
    with store.write():
        refused("STORE_BUSY", early.__enter__)
    with early as writer:
        assert writer.get("meta", b"a") == b"1"


def test_nothing_closes_or_compacts_under_a_transaction(store: Store) -> None:
    with store.read():
        refused("STORE_BUSY", store.close)
        refused("STORE_BUSY", store.compact)
    with store.write():
        refused("STORE_BUSY", store.close)
        refused("STORE_BUSY", store.compact)
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
        refused("TRANSACTION_OVER", call)


def test_a_closed_store_is_closed(store: Store) -> None:
    store.close()
    store.close()
    refused("STORE_CLOSED", store.read)
    refused("STORE_CLOSED", store.write)
    refused("STORE_CLOSED", store.compact)


def test_bad_keys_and_tables_are_refused_and_change_nothing(store: Store) -> None:
    long = b"x" * (MAX_KEY_BYTES + 1)
    with store.write() as writer:
        writer.put("meta", b"good", b"1")
        writer.put("meta", long[:-1], b"longest")
        for key in (b"", long):
            refused("BAD_KEY", lambda key=key: writer.put("meta", key, b"1"))
            refused("BAD_KEY", lambda key=key: writer.put("meta", key, b"1", append=True))
        refused("BAD_KEY", lambda: writer.delete("meta", b""))
        refused("BAD_KEY", lambda: writer.get("meta", b""))
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
            refused("UNKNOWN_TABLE", call)
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


# Crash at every write.


def work(store: Store, acknowledged: list[int]) -> None:
    """Commit five transactions, each all-or-nothing, and note each when its block has ended."""
    for number in range(5):
        with store.write() as writer:
            writer.put("meta", b"newest", bytes([number]))
            writer.put("entries", bytes([number]), b"body")
            if number:
                writer.delete("outbox", bytes([number - 1]))
            writer.put("outbox", bytes([number]), b"to send")
        acknowledged.append(number)


def whole(reader: Reader) -> int:
    """Return how many of `work`'s transactions are there, and check that none is there in part."""
    entries = [key[0] for key, _ in reader.scan("entries", b"")]
    assert entries == list(range(len(entries)))
    newest = bytes([entries[-1]]) if entries else None
    assert reader.get("meta", b"newest") == newest
    assert [key for key, _ in reader.scan("outbox", b"")] == ([newest] if newest else [])
    return len(entries)


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_crash_at_every_write(kind: str, tmp_path: Path) -> None:
    counted = CrashingStore(MemoryStore())
    work(counted, [])
    assert counted.steps == 5 * (3 + 2) + 4
    for crash_at in range(counted.steps):
        inner = MAKERS[kind](tmp_path)
        crashing = CrashingStore(inner, crash_at)
        acknowledged: list[int] = []
        with pytest.raises(Crash):
            work(crashing, acknowledged)
        with pytest.raises(Crash), crashing.read():
            pass
        if kind == "disk":
            inner.close()
            inner = MAKERS[kind](tmp_path)
        with inner.read() as reader:
            # What was acknowledged is there; a commit may be there whose acknowledgement was cut off.
            assert whole(reader) - len(acknowledged) in (0, 1)
        crashing.close()
        inner.close()
        shutil.rmtree(tmp_path / "store", ignore_errors=True)


# Against a model.

KEYS = st.one_of(st.binary(min_size=1, max_size=2), st.sampled_from([b"\xff" * 511, b"k" * 500]))
SOME_TABLES = st.sampled_from(["meta", "things", "entries"])
BOUNDS = st.one_of(st.just(b""), KEYS)


class StoreMachine(RuleBasedStateMachine):
    """Any sequence of steps on a store, beside dictionaries. `kind` is the store under test."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="maille-store-"))
        self.store = MAKERS[self.kind](self.path)
        self.committed: Model = {table: {} for table in TABLES}
        self.now: Model = {}
        self.context: Any = None
        self.writer: Writer | None = None
        self.snapshots: list[tuple[Any, Reader, Model]] = []

    @initialize(keys=st.lists(KEYS, max_size=8))
    def begin(self, keys: list[bytes]) -> None:
        with self.store.write() as writer:
            for key in keys:
                writer.put("things", key, b"first")
                self.committed["things"][key] = b"first"

    @precondition(lambda self: self.writer is None)
    @rule()
    def open_writer(self) -> None:
        self.context = self.store.write()
        self.writer = self.context.__enter__()
        self.now = {table: rows.copy() for table, rows in self.committed.items()}

    @precondition(lambda self: self.writer is not None)
    @rule(table=SOME_TABLES, key=KEYS, value=st.binary(max_size=3000), append=st.booleans())
    def put(self, table: str, key: bytes, value: bytes, append: bool) -> None:
        assert self.writer is not None
        self.writer.put(table, key, value, append=append)
        self.now[table][key] = value

    @precondition(lambda self: self.writer is not None)
    @rule(table=SOME_TABLES, key=KEYS)
    def delete(self, table: str, key: bytes) -> None:
        assert self.writer is not None
        self.writer.delete(table, key)
        self.now[table].pop(key, None)

    @precondition(lambda self: self.writer is not None)
    @rule(table=SOME_TABLES, start=BOUNDS, reverse=st.booleans(), every=st.integers(1, 3))
    def delete_while_scanning(self, table: str, start: bytes, reverse: bool, every: int) -> None:
        assert self.writer is not None
        expected = sorted((key for key in self.now[table] if key >= start), reverse=reverse)
        for index, (key, _) in enumerate(self.writer.scan(table, start, reverse=reverse)):
            assert key == expected[index]
            if index % every == 0:
                self.writer.delete(table, key)
                del self.now[table][key]

    @precondition(lambda self: self.writer is not None)
    @rule()
    def commit(self) -> None:
        self.context.__exit__(None, None, None)
        self.writer, self.committed = None, self.now

    @precondition(lambda self: self.writer is not None)
    @rule()
    def roll_back(self) -> None:
        self.context.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        self.writer = None

    @precondition(lambda self: len(self.snapshots) < 3)
    @rule()
    def open_snapshot(self) -> None:
        context = self.store.read()
        model = {table: rows.copy() for table, rows in self.committed.items()}
        self.snapshots.append((context, context.__enter__(), model))

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def end_snapshot(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.snapshots) - 1))
        self.snapshots.pop(index)[0].__exit__(None, None, None)

    @rule(table=SOME_TABLES, start=BOUNDS, stop=st.none() | BOUNDS, reverse=st.booleans())
    def scan(self, table: str, start: bytes, stop: bytes | None, reverse: bool) -> None:
        for reader, model in self.views():
            rows = sorted(model[table].items(), reverse=reverse)
            expected = [row for row in rows if row[0] >= start and (stop is None or row[0] < stop)]
            assert list(reader.scan(table, start, stop, reverse=reverse)) == expected
            assert list(reader.scan(table, start, stop, reverse=reverse, limit=2)) == expected[:2]

    @rule(table=SOME_TABLES, prefix=BOUNDS)
    def last(self, table: str, prefix: bytes) -> None:
        for reader, model in self.views():
            matching = [row for row in model[table].items() if row[0].startswith(prefix)]
            assert reader.last(table, prefix) == max(matching, default=None)

    @precondition(lambda self: self.writer is None and not self.snapshots)
    @rule(compact=st.booleans())
    def reopen(self, compact: bool) -> None:
        if compact:
            self.store.compact()
        elif self.kind == "disk":
            self.store.close()
            self.store = MAKERS[self.kind](self.path)

    @invariant()
    def agrees(self) -> None:
        for reader, model in self.views():
            for table in TABLES:
                assert reader.count(table) == len(model[table])
            for key, value in model["things"].items():
                assert reader.get("things", key) == value

    def views(self) -> list[tuple[Reader, Model]]:
        """Return every open reader with what it should see."""
        views: list[tuple[Reader, Model]] = [(reader, model) for _, reader, model in self.snapshots]
        return [*views, (self.writer, self.now)] if self.writer is not None else views

    def teardown(self) -> None:
        if self.writer is not None:
            self.context.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        for context, _, _ in self.snapshots:
            context.__exit__(None, None, None)
        with self.store.read() as reader:
            assert {table: dict(rows_of(reader, table)) for table in TABLES} == self.committed
        self.store.close()
        shutil.rmtree(self.path)


class DiskMachine(StoreMachine):
    """The same on disk."""

    kind = "disk"


TestMemoryMachine = StoreMachine.TestCase
TestDiskMachine = DiskMachine.TestCase
TestMemoryMachine.settings = settings(stateful_step_count=40)
TestDiskMachine.settings = settings(stateful_step_count=40)


@given(prefix=st.binary(max_size=3), key=st.binary(min_size=1, max_size=4))
def test_prefix_stop_bounds_exactly_the_prefix(prefix: bytes, key: bytes) -> None:
    stop = prefix_stop(prefix)
    assert key.startswith(prefix) == (key >= prefix and (stop is None or key < stop))
