"""What only the store on disk can meet: kill -9, torn writes, a full disk, damage, migrations, growth."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import LocalError
from ledger.rows import TABLES, Writer
from storage.disk import MAP_BYTES, DiskStore
from storage.pages import check
from tests.storage.stores import PROJECT, SAMPLE_ROWS, check_refused, fill, opened, rows_of, sample, victim

PAGE = 4096
"""Size of a page, in bytes."""


# Crashes.


@pytest.mark.parametrize("command", ["count", "journal"])
def test_kill_9_loses_nothing_acknowledged(tmp_path: Path, command: str) -> None:
    path = tmp_path / "store"
    for kills in range(1, 6):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.victim", command, str(path)], cwd=PROJECT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20 * kills)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
        process.stdout.close()
        process.wait()
        reported = max(int(line) for line in lines if line.endswith(b"\n"))
        with opened(path) as store, store.read() as reader:
            entries = [int.from_bytes(key, "big") for key, _ in reader.scan("entries", b"")]
            assert entries == list(range(len(entries)))
            assert reader.get("meta", b"newest") == (len(entries) - 1).to_bytes(8, "big")
            assert all(value == key * 200 for key, value in reader.scan("entries", b""))
            assert len(entries) > reported
        assert check(path) == []


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_a_power_cut_before_the_meta_page_leaves_the_last_commit(seed: int) -> None:
    """Any part of a commit's data pages may have reached the disk: without its meta page none of it counts."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "store"
        with opened(path) as store:
            fill(store, *(bytes([byte]) for byte in range(200)), table="ids")
            before = (path / "data.mdb").read_bytes()
            with store.write() as writer:
                for _ in range(300):
                    writer.put("ids", chance.randbytes(1), chance.randbytes(chance.choice([10, 2000, 9000])))
                writer.put("meta", b"done", b"1")
            after = (path / "data.mdb").read_bytes()
            with store.read() as reader:
                expected_after = rows_of(reader, "ids")
        pages = [at for at in range(2 * PAGE, len(after), PAGE) if before[at : at + PAGE] != after[at : at + PAGE]]
        torn = bytearray(before)
        for at in chance.sample(pages, chance.randint(0, len(pages))):
            torn.extend(bytes(max(0, at + PAGE - len(torn))))
            torn[at : at + PAGE] = after[at : at + PAGE]
        (path / "data.mdb").write_bytes(torn)
        with opened(path) as store, store.read() as reader:
            assert reader.get("meta", b"done") is None
            assert rows_of(reader, "ids") == [(bytes([byte]), bytes([byte])) for byte in range(200)]
        (path / "data.mdb").write_bytes(after)
        with opened(path) as store, store.read() as reader:
            assert rows_of(reader, "ids") == expected_after


def test_what_a_crash_left_while_creating_is_swept_away(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.mkdir()
    (path / "new.mdb").write_bytes(b"half a file")
    with opened(path) as store:
        fill(store, b"a")
        assert sorted(file.name for file in path.iterdir()) == ["data.mdb", "lock.mdb"]


# A full disk, a read-only one.


def test_a_file_that_may_not_grow_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    done = victim("fill", tmp_path / "store")
    assert done.stdout.split()[0] in ("DISK_FULL", "DISK_IO"), done.stderr  # a write cut short is reported as EIO
    assert done.stdout.split()[1:] == ["True"]
    assert done.returncode == 0
    with opened(tmp_path / "store") as store, store.read() as reader:
        assert reader.get("meta", b"room") == b"again"
    assert check(tmp_path / "store") == []


def test_disk_full_is_an_error_and_changes_nothing(small_disk: Path) -> None:
    path, ballast = small_disk / "store", small_disk / "ballast"
    with opened(path) as store:
        ballast.write_bytes(bytes(400_000))
        number = full_at(store)
        with store.read() as reader:
            assert reader.count("entries") == number
        assert full_at(store, number) == number  # still full
        check_refused("DISK_FULL", store.compact)
        ballast.unlink()
        assert full_at(store, number) > number  # and it goes on by itself when there is room
        with store.read() as reader:
            rows = reader.count("entries")
    assert check(path) == []
    with opened(path) as store, store.read() as reader:
        assert reader.count("entries") == rows
    check_refused("DISK_FULL", lambda: DiskStore(small_disk / "another"))


def test_a_read_only_file_system_is_an_error(small_disk: Path) -> None:
    path = small_disk / "store"
    with opened(path) as store:
        fill(store, b"a")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    check_refused("READ_ONLY", lambda: DiskStore(path))
    check_refused("READ_ONLY", lambda: DiskStore(small_disk / "another"))
    with opened(path, read_only=True) as store, store.read() as reader:
        assert rows_of(reader, "things") == [(b"a", b"a")]


def test_every_commit_is_synced(tmp_path: Path) -> None:
    """No test can cut the power; so at least nobody turns syncing off unseen."""
    with opened(tmp_path / "store") as store:
        store.compact()
        flags = store._at.env.flags()
    assert (flags["sync"], flags["metasync"], flags["writemap"]) == (True, True, False)


def full_at(store: DiskStore, number: int = 0) -> int:
    """Commit ten rows at a time until DISK_FULL; return how many are there."""
    while True:
        try:
            with store.write() as writer:
                for index in range(10):
                    writer.put("entries", (number + index).to_bytes(8, "big"), bytes(5000))
        except LocalError as error:
            assert error.code == "DISK_FULL"  # noqa: PT017 (the code is the point)
            return number
        number += 10


def test_a_transaction_larger_than_the_map_is_refused_and_a_swallowed_error_is_not_committed(tmp_path: Path) -> None:
    with opened(tmp_path / "store", map_bytes=400_000, map_limit_bytes=400_000) as store:
        fill(store, b"a")

        def swallow() -> None:
            with store.write() as writer:
                writer.put("things", b"b", b"1")
                check_refused("DISK_FULL", lambda: write_much(writer))

        check_refused("DISK_FULL", swallow)
        with store.read() as reader:
            assert rows_of(reader, "things") == [(b"a", b"a")]
        fill(store, b"c")


def write_much(writer: Writer) -> None:
    """Write 900 kB."""
    for index in range(100):
        writer.put("ids", bytes([index]), bytes(9000))


def ten_rows(store: DiskStore, number: int) -> None:
    """Commit ten rows of 3 000 bytes."""
    with store.write() as writer:
        for index in range(10):
            writer.put("entries", bytes([number, index]), bytes(3000))


def test_the_map_grows_before_it_is_full(tmp_path: Path) -> None:
    with opened(tmp_path / "store", map_bytes=1024**2, map_limit_bytes=64 * 1024**2) as store:
        for number in range(200):
            ten_rows(store, number)
            assert store.map_used_ratio() < 0.9
        assert store.size_bytes() > 4 * 1024**2


def test_the_map_does_not_move_under_a_snapshot(tmp_path: Path) -> None:
    with opened(tmp_path / "store", map_bytes=1024**2, map_limit_bytes=64 * 1024**2) as store:
        fill(store, b"a")
        with store.read() as snapshot:
            scan = snapshot.scan("things", b"")
            number = full_at(store)
            assert list(scan) == [(b"a", b"a")]
        ten_rows(store, 0)  # the snapshot is gone: the map grows, and what did not fit does
        with store.read() as reader:
            assert reader.count("entries") == number + 10


def test_a_store_larger_than_its_first_map_opens(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store, store.write() as writer:
        for number in range(200):
            writer.put("entries", bytes([number]), bytes(20_000))
    with opened(tmp_path / "store", map_bytes=1024**2) as store:
        assert store.map_used_ratio() < 0.9
        fill(store, b"a")


def test_a_map_that_the_system_refuses_is_an_error(tmp_path: Path) -> None:
    check_refused("MAP_REFUSED", lambda: DiskStore(tmp_path / "store", map_bytes=1 << 60, map_limit_bytes=1 << 60))


def test_a_directory_of_somebody_else_is_read_only() -> None:
    place = Path(tempfile.mkdtemp(prefix="maille-read-only-"))
    try:
        sample(place / "store")
        place.chmod(0o755)
        (place / "store").chmod(0o555)
        for file in (place / "store").iterdir():
            file.chmod(0o444)
        done = victim("unprivileged", place / "store")
        assert done.stdout.split() == ["READ_ONLY", str(SAMPLE_ROWS - len(range(0, SAMPLE_ROWS, 7))), "READ_ONLY"], (
            done.stderr
        )
    finally:
        (place / "store").chmod(0o700)
        shutil.rmtree(place)


def test_read_only_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    check_refused("STORE_MISSING", lambda: DiskStore(path, read_only=True))
    assert not path.exists()
    before = sample(path)
    with opened(path, read_only=True) as store:
        check_refused("READ_ONLY", store.write)
        check_refused("READ_ONLY", store.compact)
        with store.read() as reader:
            assert reader.count("things") == 1
    assert (path / "data.mdb").read_bytes() == before


# Opening.


def test_a_store_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with opened(path) as store:
        fill(store, b"a")
    assert path.stat().st_mode & 0o777 == 0o700
    path.chmod(0o755)
    for file in path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        file.chmod(0o644)
    with opened(path) as store:
        store.compact()
        assert path.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o600}


def test_a_store_is_open_once_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "store"
    other = tmp_path / "other name"
    with opened(path) as store:
        other.symlink_to(path)
        check_refused("STORE_OPEN", lambda: DiskStore(path))
        check_refused("STORE_OPEN", lambda: DiskStore(other, read_only=True))
        fill(store, b"a")
    with opened(other) as store, store.read() as reader:
        assert reader.count("things") == 1


def test_the_parent_must_be_there(tmp_path: Path) -> None:
    check_refused("STORE_MISSING", lambda: DiskStore(tmp_path / "no" / "store"))
    check_refused("STORE_MISSING", lambda: DiskStore(tmp_path / "store", create=False))
    (tmp_path / "file").write_bytes(b"")
    check_refused("STORE_MISSING", lambda: DiskStore(tmp_path / "file" / "store"))


def test_an_environment_of_another_program_is_refused(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path / "store"), max_dbs=2).close()
    check_refused("STORE_CORRUPT", lambda: DiskStore(tmp_path / "store"))


def test_a_failed_opening_can_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "store"
    data = sample(path)
    (path / "data.mdb").write_bytes(b"")
    for _ in range(2):
        check_refused("STORE_CORRUPT", lambda: DiskStore(path))
    (path / "data.mdb").write_bytes(data)
    with opened(path) as store:
        fill(store, b"a")


def test_the_map_is_address_space_only(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        fill(store, b"a")
        assert store.size_bytes() < 100 * PAGE
        assert store.map_used_ratio() * MAP_BYTES <= store.size_bytes()


def test_a_new_table_is_added_to_an_old_store(tmp_path: Path) -> None:
    with opened(tmp_path / "store", tables=("one",)) as store:
        fill(store, b"a", table="one")
    check_refused("STORE_CORRUPT", lambda: DiskStore(tmp_path / "store", ("one", "two"), read_only=True))
    with opened(tmp_path / "store", tables=("one", "two")) as store:
        fill(store, b"b", table="two")
        with store.read() as reader:
            assert (reader.count("one"), reader.count("two")) == (1, 1)


# Migrations.


def double(writer: Writer) -> None:
    """Version 1 to 2."""
    for key, value in writer.scan("things", b""):
        writer.put("things", key, value * 2)


def move(writer: Writer) -> None:
    """Version 2 to 3: from a table that is no longer declared."""
    for key, value in writer.scan("things", b""):
        writer.put("moved", key, value)
        writer.delete("things", key)


def fail(_writer: Writer) -> None:
    """Go wrong."""
    raise ZeroDivisionError


@pytest.mark.covers("R55")
def test_an_older_store_is_copied_and_migrated_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with opened(path) as store:
        fill(store, b"ab", b"cd")
        assert store.schema == 1
    with pytest.raises(ZeroDivisionError):
        DiskStore(path, migrations=(double, fail))
    check_refused("STORE_SCHEMA", lambda: DiskStore(path, migrations=(double,), read_only=True))
    with opened(path, migrations=None) as store, store.read() as reader:
        assert store.schema == 1
        assert rows_of(reader, "things") == [(b"ab", b"ba"), (b"cd", b"dc")]
    with opened(path, tables=("moved",), migrations=(double, move)) as store:
        assert (store.found_schema, store.schema) == (1, 3)
        with store.read() as reader:
            assert rows_of(reader, "moved") == [(b"ab", b"baba"), (b"cd", b"dcdc")]
            check_refused("UNKNOWN_TABLE", lambda: reader.get("things", b"ab"))
    check_refused("STORE_SCHEMA", lambda: DiskStore(path))
    check_refused("STORE_SCHEMA", lambda: DiskStore(path, migrations=(double,)))
    # The copy is the way back.
    shutil.copy(path / "before-schema-1.mdb", path / "data.mdb")
    with opened(path) as store, store.read() as reader:
        assert rows_of(reader, "things") == [(b"ab", b"ba"), (b"cd", b"dc")]


def test_a_migrated_store_is_not_migrated_again(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with opened(path) as store:
        fill(store, b"ab")
    for _ in range(2):
        with opened(path, migrations=(double,)) as store, store.read() as reader:
            assert rows_of(reader, "things") == [(b"ab", b"baba")]
    with opened(tmp_path / "new", migrations=(fail,)) as store:  # a new store starts at the newest version
        assert store.schema == 2
        assert store.tables == TABLES
