"""Both stores against a model: any sequence of steps, and a crash at every write."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.rows import TABLES, Reader, Writer
from simulations.crashing import Crash, CrashingStore
from storage.memory import MemoryStore
from storage.store import Store
from tests.storage.stores import MAKERS, rows_of

Model = dict[str, dict[bytes, bytes]]

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
        if kind != "memory":
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
        elif self.kind != "memory":
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


class JournaledMachine(StoreMachine):
    """The same with a journal, and a process that ends at any moment."""

    kind = "journaled"
    crashes = 0

    @rule()
    def crash(self) -> None:
        """What the files hold now is what there is: an open block is lost, and nothing that was acknowledged."""
        self.crashes += 1
        crashed = self.path / f"crashed-{self.crashes}"
        crashed.mkdir()
        shutil.copytree(self.path / "store", crashed / "store")
        with MAKERS[self.kind](crashed).read() as reader:
            assert {table: dict(rows_of(reader, table)) for table in TABLES} == self.committed


TestMemoryMachine = StoreMachine.TestCase
TestDiskMachine = DiskMachine.TestCase
TestJournaledMachine = JournaledMachine.TestCase
TestMemoryMachine.settings = settings(stateful_step_count=40)
TestDiskMachine.settings = settings(stateful_step_count=40)
TestJournaledMachine.settings = settings(stateful_step_count=40)
