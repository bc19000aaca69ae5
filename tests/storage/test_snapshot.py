"""Reading on a full disk: what a journaled store has gathered is seen, though no snapshot can be taken."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ledger.errors import LocalError
from storage.store import Store, snapshot
from tests.storage.stores import check_refused, opened


def fill_up(file: Path) -> None:
    """Take all the room that is left."""
    with suppress(OSError), file.open("wb", buffering=0) as ballast:
        while ballast.write(bytes(4_096)):
            pass


def put(store: Store, number: int) -> None:
    """Commit a row."""
    with store.write() as writer:
        writer.put("entries", number.to_bytes(8, "big"), bytes(200))


def test_what_was_gathered_is_read_on_a_full_disk_and_settles_afterwards(small_disk: Path) -> None:
    path, ballast, number = small_disk / "store", small_disk / "ballast", 0
    with opened(path, journal=True) as store:
        put(store, number)
        fill_up(ballast)
        for _ in range(100_000):  # rows go into the journal while it has room
            try:
                put(store, number + 1)
            except LocalError as error:
                assert error.code == "DISK_FULL"  # noqa: PT017 (the code is the point)
                break
            number += 1
        assert 0 < number < 100_000
        check_refused("DISK_FULL", store.read)
        for _ in range(2):
            with snapshot(store) as rows:
                assert rows.count("entries") == number + 1
        ballast.unlink()
        put(store, number + 1)
        with store.read() as rows:
            assert rows.count("entries") == number + 2
