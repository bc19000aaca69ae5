"""The journal: what was acknowledged is in the files at any moment, and what was refused never comes back."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.disk import DiskStore
from storage.journal import BURST_BYTES, JOURNAL_BYTES, JOURNAL_FILE, LARGE_BYTES, Change, left_behind, pack, unpack
from tests.storage.stores import check_refused, fill, opened, rows_of

CHANGES = st.lists(st.tuples(st.sampled_from(["meta", "things"]), st.binary(min_size=1), st.none() | st.binary()))


def crashed(store: DiskStore, to: Path) -> Path:
    """Return a copy of a store's files as they are now: what a process that ends here leaves behind."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(store.path, to)
    return to


def keys_in(path: Path, *, journal: bool = True, read_only: bool = False) -> list[bytes]:
    """Open a store and return the keys of its things."""
    with opened(path, journal=journal, read_only=read_only) as store, store.read() as reader:
        return [key for key, _ in rows_of(reader, "things")]


@given(changes=CHANGES)
def test_changes_are_read_back(changes: list[Change]) -> None:
    assert unpack(pack(changes)) == changes


@pytest.mark.parametrize("log_bytes", [LARGE_BYTES * 8, LARGE_BYTES * 3 // 2])
def test_a_crash_after_any_transaction_keeps_it_and_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_bytes: int
) -> None:
    """Small and large ones, bursts that fill the journal, records that it never holds, logs that outgrow memory."""
    monkeypatch.setattr("storage.gathered.LOG_BYTES_MAX", log_bytes)
    monkeypatch.setattr("storage.gathered.RECORD_BYTES_MAX", LARGE_BYTES * 2)
    monkeypatch.setattr("storage.journal.BURST_BYTES", JOURNAL_BYTES * 2)
    chance = random.Random(5)
    with opened(tmp_path / "store", journal=True) as store:
        model: dict[bytes, bytes] = {}
        for number in range(120):
            with store.write() as writer:
                for _ in range(chance.randint(0, 3)):
                    key, value = chance.randbytes(1), chance.randbytes(chance.choice([5, 3_000, LARGE_BYTES]))
                    writer.put("things", key, value)
                    model[key] = value
                    gone = chance.randbytes(1)
                    writer.delete("things", gone)
                    model.pop(gone, None)
            if number % 5 == 0:
                with suppress(ZeroDivisionError), store.write() as writer:
                    for each in range(number % 4):
                        writer.put("things", b"refused %d" % each, bytes(LARGE_BYTES))
                    raise ZeroDivisionError
            path = crashed(store, tmp_path / "copy")
            for _ in range(2):  # and a crash right after is no worse
                with opened(path, journal=True) as again, again.read() as reader:
                    assert rows_of(reader, "things") == sorted(model.items())


def test_it_is_committed_when_it_is_full(tmp_path: Path) -> None:
    with opened(tmp_path / "store", journal=True) as store:
        sizes = set()
        for number in range(3 * JOURNAL_BYTES // 3_000):
            with store.write() as writer:
                writer.put("entries", number.to_bytes(4, "big"), bytes(3_000))
            sizes.add(store.size_bytes())
        assert 3 <= len(sizes) <= 5
        assert (store.path / JOURNAL_FILE).stat().st_size == JOURNAL_BYTES


def test_large_records_share_a_commit_and_the_file_is_small_again_after_a_start(tmp_path: Path) -> None:
    with opened(tmp_path / "store", journal=True) as store:
        sizes = list[int]()
        for number in range(2 * BURST_BYTES // LARGE_BYTES):
            with store.write() as writer:
                writer.put("entries", number.to_bytes(4, "big"), bytes(LARGE_BYTES))
            sizes.append(store.size_bytes())
        assert 2 <= len(set(sizes)) <= 4
        grown = (store.path / JOURNAL_FILE).stat().st_size
        assert JOURNAL_BYTES < grown <= BURST_BYTES
        for number in range(
            JOURNAL_BYTES // 3_000 + 2
        ):  # what follows a burst goes where there is room, and no further
            with store.write() as writer:
                writer.put("things", number.to_bytes(4, "big"), bytes(3_000))
        path = crashed(store, tmp_path / "copy")
    with opened(path, journal=True) as again, again.read() as reader:
        assert len(rows_of(reader, "entries")) == len(sizes)
        assert len(rows_of(reader, "things")) == JOURNAL_BYTES // 3_000 + 2
        assert (path / JOURNAL_FILE).stat().st_size == JOURNAL_BYTES


@given(seed=st.integers(0, 2**32))
def test_a_torn_record_counts_for_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Any part of the last write may have reached the disk: the transaction is there as a whole, or not at all."""
    chance, folder = random.Random(seed), tmp_path_factory.mktemp("torn")
    with opened(folder / "store", journal=True) as store:
        fill(store, b"a")
        file = store.path / JOURNAL_FILE
        before = file.read_bytes()
        with store.write() as writer:
            for byte in range(chance.randint(1, 40)):
                writer.put("things", b"b" + bytes([byte]), chance.randbytes(chance.choice([3, 1_000])))
        after = file.read_bytes()
        path = crashed(store, folder / "copy")
    torn = bytearray(before)
    step = chance.choice([1, 512])
    changed = [at for at in range(0, len(after), step) if before[at : at + step] != after[at : at + step]]
    reached = chance.sample(changed, chance.randint(0, len(changed)))
    for at in reached:
        torn[at : at + step] = after[at : at + step]
    (path / JOURNAL_FILE).write_bytes(torn)
    assert (keys_in(path) != [b"a"]) == (len(reached) == len(changed))


def test_what_it_holds_never_comes_over_what_was_committed_since(tmp_path: Path) -> None:
    with opened(tmp_path / "store", journal=True) as store:
        fill(store, b"a")
        old = (store.path / JOURNAL_FILE).read_bytes()
        with store.write() as writer:
            writer.delete("things", b"a")
            writer.put("ids", b"large", bytes(JOURNAL_BYTES))
        store.compact()  # LMDB counts its transactions from the beginning again
        fill(store, b"b")
        path = crashed(store, tmp_path / "copy")
        (path / JOURNAL_FILE).write_bytes(old)
    assert keys_in(path) in ([], [b"b"])


def test_a_store_opened_without_one_takes_in_what_it_left(tmp_path: Path) -> None:
    with opened(tmp_path / "store", journal=True) as store:
        fill(store, b"a")
        path = crashed(store, tmp_path / "copy")
    assert keys_in(path, journal=False, read_only=True) == []  # a reader changes no file: it shows what was before
    assert keys_in(path, journal=False) == [b"a"]
    assert not (path / JOURNAL_FILE).exists()
    assert keys_in(path) == [b"a"]


def test_a_closed_store_needs_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with opened(path, journal=True) as store:
        fill(store, b"a")
    (path / JOURNAL_FILE).unlink()
    assert keys_in(path, journal=False, read_only=True) == [b"a"]
    assert keys_in(path) == [b"a"]


def test_a_journal_that_cannot_be_written_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "store", journal=True) as store:
        fill(store, b"a")
        assert store._gathered is not None
        journal = store._gathered._journal
        good, journal._descriptor = journal._descriptor, os.open(os.devnull, os.O_RDONLY)
        check_refused("DISK_IO", lambda: fill(store, b"b"))
        os.close(journal._descriptor)
        journal._descriptor = good
        path = crashed(store, tmp_path / "copy")
        fill(store, b"c")  # LMDB commits it: the journal is not trusted before it begins again
        with store.read() as reader:
            assert [key for key, _ in rows_of(reader, "things")] == [b"a", b"c"]
        assert left_behind(store.path, store._at.env.info()["last_txnid"]) == []
        fill(store, b"d")
        assert len(left_behind(store.path, store._at.env.info()["last_txnid"])) == 1
    assert keys_in(path) == [b"a"]
    assert keys_in(tmp_path / "store") == [b"a", b"c", b"d"]


def test_a_snapshot_inside_a_block_shows_what_was_acknowledged(tmp_path: Path) -> None:
    with opened(tmp_path / "store", journal=True) as store:
        fill(store, b"a", b"b")
        with store.write() as writer:
            writer.put("things", b"c", b"new")
            writer.delete("things", b"a")
            upward, downward = writer.scan("things", b""), writer.scan("things", b"", reverse=True)
            assert (next(upward)[0], next(downward)[0]) == (b"b", b"c")
            with store.read() as reader:
                assert [key for key, _ in rows_of(reader, "things")] == [b"a", b"b"]
            assert next(upward) == (b"c", b"new")
            assert next(downward)[0] == b"b"
        path = crashed(store, tmp_path / "copy")
    assert keys_in(path) == [b"b", b"c"]


def test_a_record_that_no_journal_wrote_ends_the_reading(tmp_path: Path) -> None:
    for body in (b"\x01\x00\x01\x00\x00\x00\x00\xffk", b"\x04me"):
        sealed = struct.pack(">QII", 3, 0, len(body)) + body
        (tmp_path / JOURNAL_FILE).write_bytes(hashlib.sha256(sealed).digest()[:16] + sealed)
        assert left_behind(tmp_path, 3) == []
