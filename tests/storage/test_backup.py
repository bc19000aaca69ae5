"""Backups: whole or not at all, verified by hashing, restored with a mark."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import LocalError, RemoteError
from storage import backup as module
from storage.backup import MANIFEST, Manifest, backup, clear_restored, is_restored, restore, verify_backup
from storage.disk import DiskStore
from storage.vault import VAULT_TABLES, Vault
from tests.storage.stores import check_refused, fill, rows_of

NOW = 1_790_000_000
KEY = bytes(32)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[DiskStore, DiskStore]]:
    """A ledger with 300 entries and a vault with one row, open."""
    ledger = DiskStore(tmp_path / "ledger")
    vault = DiskStore(tmp_path / "vault", VAULT_TABLES)
    with ledger.write() as writer:
        for index in range(300):
            writer.put("entries", index.to_bytes(4, "big"), random.Random(index).randbytes(900))
    with Vault(vault, KEY, random.Random(1).randbytes).write() as sealed:
        sealed.put("wallets", b"a", b"secret")
    yield ledger, vault
    ledger.close()
    vault.close()


@pytest.fixture
def made(stores: tuple[DiskStore, DiskStore], tmp_path: Path) -> Path:
    """A backup of both stores with one extra file."""
    backup(*stores, tmp_path / "backup", now=NOW, extra={"config.toml": b"name = 'x'\n"})
    return tmp_path / "backup"


def test_a_backup_holds_what_was_committed_and_says_so(stores: tuple[DiskStore, DiskStore], tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    manifest = backup(*stores, tmp_path / "b", lambda *step: told.append(step), now=NOW, extra={"note": b"hello"})
    assert (manifest.created, manifest.with_vault) == (NOW, True)
    ledger, vault, note = manifest.files
    assert (ledger.name, ledger.schema, dict(ledger.rows)["entries"]) == ("ledger.mdb", 1, 300)
    assert (vault.name, vault.schema, dict(vault.rows)["wallets"]) == ("vault.mdb", 1, 1)
    assert (note.name, note.size, note.schema) == ("extra-note", 5, None)
    assert verify_backup(tmp_path / "b") == manifest
    assert told[0] == ("ledger.mdb", 0, stores[0].size_bytes())
    assert ("vault.mdb", vault.size, vault.size) in told
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "b").iterdir()} == {0o600}
    for name in ("ledger", "vault"):
        assert b"secret" not in (tmp_path / "b" / f"{name}.mdb").read_bytes()


def test_a_backup_without_a_vault(stores: tuple[DiskStore, DiskStore], tmp_path: Path) -> None:
    manifest = backup(stores[0], None, tmp_path / "b", now=NOW)
    assert not manifest.with_vault
    restore(tmp_path / "b", tmp_path / "r", now=NOW)
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["ledger"]


def test_writing_goes_on_during_a_backup(stores: tuple[DiskStore, DiskStore], tmp_path: Path) -> None:
    """The backup is of one moment: that of its start."""
    ledger, vault = stores

    def write_more(_name: str, done: int, _total: int) -> None:
        fill(ledger, b"%d" % done)
        with vault.write() as writer:
            writer.put("wallets", b"%d" % done, b"later")

    manifest = backup(ledger, vault, tmp_path / "b", write_more, now=NOW)
    assert dict(manifest.files[0].rows)["things"] == 0
    assert dict(manifest.files[1].rows)["wallets"] == 1
    restore(tmp_path / "b", tmp_path / "r", now=NOW)
    restored = DiskStore(tmp_path / "r" / "ledger")
    with restored.read() as reader, ledger.read() as running:
        assert reader.count("things") == 0 < running.count("things")
    restored.close()


def test_restoring_gives_the_same_rows_and_the_mark(made: Path, stores: tuple[DiskStore, DiskStore]) -> None:
    target = made.parent / "target"
    target.mkdir()
    manifest = restore(made, target, now=NOW)
    assert manifest == verify_backup(made)
    assert (target / "config.toml").read_bytes() == b"name = 'x'\n"
    ledger, vault = DiskStore(target / "ledger"), DiskStore(target / "vault", VAULT_TABLES)
    with stores[0].read() as before, ledger.read() as after:
        assert rows_of(after, "entries") == rows_of(before, "entries")
        assert not is_restored(before)
        assert is_restored(after)
    with Vault(vault, KEY, random.Random(2).randbytes).read() as sealed:
        assert sealed.get("wallets", b"a") == b"secret"
    with ledger.write() as writer:
        clear_restored(writer)
        assert not is_restored(writer)
    assert target.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in target.parent.iterdir()) == ["backup", "ledger", "target", "vault"]
    ledger.close()
    vault.close()


def test_a_restored_store_stays_marked_in_its_own_backups(made: Path) -> None:
    restore(made, made.parent / "one", now=NOW)
    store = DiskStore(made.parent / "one" / "ledger")
    backup(store, None, made.parent / "again", now=NOW)
    store.close()
    restore(made.parent / "again", made.parent / "two", now=NOW + 1)
    twice = DiskStore(made.parent / "two" / "ledger")
    with twice.read() as reader:
        assert is_restored(reader)
    twice.close()


def test_nothing_is_overwritten(made: Path, stores: tuple[DiskStore, DiskStore]) -> None:
    check_refused("BACKUP_EXISTS", lambda: backup(*stores, made, now=NOW))
    target = made.parent / "target"
    target.mkdir()
    (target / "file").write_bytes(b"mine")
    check_refused("TARGET_NOT_EMPTY", lambda: restore(made, target, now=NOW))
    check_refused("TARGET_NOT_EMPTY", lambda: restore(made, target / "file", now=NOW))
    assert (target / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\n", "é", "x" * 65])
def test_extra_files_have_plain_names(stores: tuple[DiskStore, DiskStore], tmp_path: Path, name: str) -> None:
    check_refused("BAD_NAME", lambda: backup(*stores, tmp_path / "b", now=NOW, extra={name: b""}))
    assert not (tmp_path / "b").exists()


def test_there_must_be_a_backup(tmp_path: Path) -> None:
    check_refused("BACKUP_MISSING", lambda: verify_backup(tmp_path))
    check_refused("BACKUP_MISSING", lambda: restore(tmp_path / "none", tmp_path / "r", now=NOW))
    assert not (tmp_path / "r").exists()


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lengthen(path: Path) -> None:
    """Put something behind the end."""
    path.write_bytes(path.read_bytes() + b"more")


def link(path: Path) -> None:
    """Put a link in the file's place."""
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


@pytest.mark.parametrize("name", ["ledger.mdb", "vault.mdb", "extra-config.toml"])
@pytest.mark.parametrize("damage", [flip, link, Path.unlink, lambda path: os.truncate(path, 7), lengthen])
def test_a_damaged_file_is_named(made: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(made / name)
    with pytest.raises(RemoteError) as caught:
        verify_backup(made)
    assert (caught.value.code, caught.value.field) == ("BACKUP_DAMAGED", name)
    with pytest.raises(RemoteError):
        restore(made, made.parent / "r", now=NOW)
    assert not (made.parent / "r").exists()


def test_a_file_that_the_manifest_does_not_name_is_refused(made: Path) -> None:
    (made / "extra-more").write_bytes(b"")
    with pytest.raises(RemoteError) as caught:
        verify_backup(made)
    assert caught.value.field == "extra-more"


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Return what changes a manifest's fields."""

    def edit(data: bytes) -> bytes:
        raw = json.loads(data)
        change(raw)
        return json.dumps(raw).encode()

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data[:-1],
        lambda _data: b"",
        lambda _data: b"[]",
        lambda _data: b"[" * 200_000,
        lambda _data: b"\xff\xfe",
        lambda data: data + b" " * module.MANIFEST_MAX_BYTES,
        edited(lambda raw: raw.update(format=2)),
        edited(lambda raw: raw.update(format=True)),
        edited(lambda raw: raw.update(created="now")),
        edited(lambda raw: raw.update(more=1)),
        edited(lambda raw: raw.pop("files")),
        edited(lambda raw: raw["files"].clear()),
        edited(lambda raw: raw["files"].pop(0)),
        edited(lambda raw: raw["files"].append(raw["files"][0])),
        edited(lambda raw: raw["files"][0].update(name="../ledger.mdb")),
        edited(lambda raw: raw["files"][0].update(name="ledger.mdb/../ledger.mdb")),
        edited(lambda raw: raw["files"][2].update(name="extra-../../config.toml")),
        edited(lambda raw: raw["files"][2].update(name="extra-")),
        edited(lambda raw: raw["files"][2].update(schema=1)),
        edited(lambda raw: raw["files"][0].update(schema=None)),
        edited(lambda raw: raw["files"][0].update(sha256="0" * 64)),
        edited(lambda raw: raw["files"][0].update(sha256="xyz")),
        edited(lambda raw: raw["files"][0].update(size=-1)),
        edited(lambda raw: raw["files"][0].update(rows=[["meta"]])),
        edited(lambda raw: raw["files"][0].update(rows={})),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(made: Path, edit: Callable[[bytes], bytes]) -> None:
    path = made / MANIFEST
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(RemoteError, match="BACKUP_DAMAGED"):
        verify_backup(made)


def test_a_forged_hash_does_not_hide_a_broken_store(made: Path) -> None:
    """The structure is walked as well: a file whose hash fits but that would end the process is refused."""
    data = bytearray((made / "ledger.mdb").read_bytes())
    data[5 * 4096 : 6 * 4096] = bytes(4096)
    (made / "ledger.mdb").write_bytes(data)
    raw = json.loads((made / MANIFEST).read_bytes())
    raw["files"][0]["sha256"] = module._hash(made / "ledger.mdb", lambda *_: None)[1]
    (made / MANIFEST).write_text(json.dumps(raw))
    with pytest.raises(RemoteError, match="not a sound store"):
        verify_backup(made)


class Stop(Exception):
    """The work is interrupted."""


@pytest.mark.parametrize("at", range(6))
def test_an_interrupted_backup_leaves_nothing(stores: tuple[DiskStore, DiskStore], tmp_path: Path, at: int) -> None:
    steps = iter(range(100))

    def interrupt(_name: str, _done: int, _total: int) -> None:
        if next(steps) == at:
            raise Stop

    try:
        backup(*stores, tmp_path / "b", interrupt, now=NOW)
    except Stop:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger", "vault"]
    else:
        verify_backup(tmp_path / "b")
    fill(stores[0], b"a")
    stores[0].compact()  # no snapshot was left open


def test_an_interrupted_restore_leaves_nothing(made: Path) -> None:
    whole: list[None] = []
    restore(made, made.parent / "r", lambda *_: whole.append(None), now=NOW)
    shutil.rmtree(made.parent / "r")
    for at in range(len(whole)):
        left = [at]

        def interrupt(_name: str, _done: int, _total: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Stop

        with pytest.raises(Stop):
            restore(made, made.parent / "r", interrupt, now=NOW)
        assert sorted(path.name for path in made.parent.iterdir()) == ["backup", "ledger", "vault"]


def test_what_a_killed_backup_left_is_replaced(stores: tuple[DiskStore, DiskStore], tmp_path: Path) -> None:
    (tmp_path / ".b.partial").mkdir()
    (tmp_path / ".b.partial" / "ledger.mdb").write_bytes(b"half")
    manifest: Manifest = backup(*stores, tmp_path / "b", now=NOW)
    assert verify_backup(tmp_path / "b") == manifest
    assert not (tmp_path / ".b.partial").exists()


def test_a_file_that_changes_between_verifying_and_restoring_is_refused(made: Path) -> None:
    def change_late(name: str, done: int, total: int) -> None:
        if name == "extra-config.toml" and done == total:
            flip(made / "ledger.mdb")  # after it was verified, before it is copied

    with pytest.raises(RemoteError, match="changed while"):
        restore(made, made.parent / "r", change_late, now=NOW)
    assert not (made.parent / "r").exists()


def test_errors_of_the_system_have_sentences(stores: tuple[DiskStore, DiskStore], made: Path) -> None:
    call = partial(backup, *stores, made.parent / "no" / "where", now=NOW)
    with pytest.raises(LocalError) as caught:
        call()
    assert caught.value.code == "STORE_MISSING"
