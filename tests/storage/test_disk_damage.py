"""Damaged data files: check_refused, or found by `check`; never the end of the process that checked.

A damaged page may end the process that opens it, so other processes do.
"""

from __future__ import annotations

import random
from pathlib import Path

from storage.disk import DiskStore
from storage.pages import check
from tests.storage.stores import check_refused, sample, victim

PAGE = 4096
"""Size of a page, in bytes."""


def test_a_data_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store"
    data = sample(path)
    for keep in (0, 1, 100, PAGE, 2 * PAGE - 1, 2 * PAGE, 3 * PAGE, len(data) // 2, len(data) - 3 * PAGE):
        (path / "data.mdb").write_bytes(data[:keep])
        done = victim("open", path)
        assert (done.stdout.strip(), done.returncode) == ("STORE_CORRUPT", 0), (keep, done.stderr)
    (path / "data.mdb").unlink()
    check_refused("STORE_MISSING", lambda: DiskStore(path, create=False))


def test_damaged_meta_pages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "store"
    data = sample(path)
    for damaged in (b"x" * len(data), bytes(len(data)), b"\0" * 2 * PAGE + data[2 * PAGE :], b"not a database"):
        (path / "data.mdb").write_bytes(damaged)
        done = victim("open", path)
        assert (done.stdout.strip(), done.returncode) == ("STORE_CORRUPT", 0), done.stderr
        assert check(path) != []


def test_check_finds_every_broken_page_without_ending_the_process(tmp_path: Path) -> None:
    """Zeroed and swapped pages are found by the walk; flips inside values are not, and are the ledger's to find."""
    path = tmp_path / "store"
    data = sample(path)
    assert check(path) == []
    live = live_pages(data, path)
    chance = random.Random(4)
    for at in chance.sample(live, 40):
        other = chance.choice([page for page in live if page != at])
        for page in (bytes(PAGE), data[other : other + PAGE]):
            (path / "data.mdb").write_bytes(data[:at] + page + data[at + PAGE :])
            assert check(path) != [], at


def live_pages(data: bytes, path: Path) -> list[int]:
    """Return where the pages are that the sample uses and that have a header."""
    found = []
    for at in range(2 * PAGE, len(data), PAGE):
        (path / "data.mdb").write_bytes(data[:at] + bytes(16) + data[at + 16 :])
        if check(path):
            found.append(at)
    (path / "data.mdb").write_bytes(data)
    return found


def test_flipped_bits_are_found_by_check_or_harm_nobody(tmp_path: Path) -> None:
    """A file that `check` passes can be opened, read to its end and written: it never ends the process."""
    path = tmp_path / "store"
    data = sample(path)
    chance = random.Random(5)
    passed = 0
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 1, 8])):
            # Half of them in headers and pointers, where they hurt.
            page = chance.randrange(len(data) // PAGE) * PAGE
            at = page + chance.randrange(64 if chance.random() < 0.5 else PAGE)
            damaged[at] ^= 1 << chance.randrange(8)
        (path / "data.mdb").write_bytes(damaged)
        if check(path) == []:
            passed += 1
            if passed <= 8:  # a process each
                done = victim("open", path)
                assert done.returncode == 0, done.stderr
    assert 0 < passed < 60
