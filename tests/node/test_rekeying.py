"""A new key for the vaults: rows stay readable, the old key opens nothing, and a crash at any step loses nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ledger.errors import LocalError
from node import rekeying
from node.config import Home
from node.keystore import VAULT, VAULT_NEXT, Keystore
from storage.disk import DiskStore
from storage.vault import VAULT_TABLES, Vault
from tests.node.nodes import LIGHT, do, make_home, running

NAMES = ("one", "two")


def made(path: Path) -> Home:
    """Make a home with two vaults, each with a row."""
    home = make_home(path, "ada")
    key = opened(home).secret(VAULT)
    for name in NAMES:
        (home.mesh(name) / "ledger").mkdir(parents=True)
        store = DiskStore(home.mesh(name) / "vault", VAULT_TABLES)
        with Vault(store, key, os.urandom).write() as rows:
            rows.put("receipts", b"row", name.encode())
        store.close()
    return home


def opened(home: Home) -> Keystore:
    """Return the keys, unlocked."""
    keys = Keystore(home.keys, os.urandom, LIGHT)
    keys.unlock(None)
    return keys


def rows(home: Home, key: bytes) -> list[bytes | None]:
    """Read the row of each vault with a key."""
    found = []
    for name in NAMES:
        store = DiskStore(home.mesh(name) / "vault", VAULT_TABLES, create=False)
        try:
            with Vault(store, key, os.urandom).read() as held:
                found.append(held.get("receipts", b"row"))
        finally:
            store.close()
    return found


def test_every_vault_has_the_new_key_and_the_old_one_opens_nothing(tmp_path: Path) -> None:
    home = made(tmp_path / "ada")
    old = opened(home).secret(VAULT)
    said: list[str] = []
    assert rekeying.rekey(home, opened(home), said.append) == 2
    assert len(said) == 2
    new = opened(home).secret(VAULT)
    assert new != old
    assert rows(home, new) == [b"one", b"two"]
    assert not opened(home).has(VAULT_NEXT)
    with pytest.raises(LocalError) as refused:
        rows(home, old)
    assert refused.value.code == "VAULT_KEY"
    assert rekeying.finish(home, opened(home)) == 0


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_crash_between_two_vaults_is_taken_up(tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    home = made(tmp_path / "ada")
    real, count = rekeying._rekey, 0

    def crashing(path: Path, old: bytes, new: bytes) -> None:
        nonlocal count
        if count == steps:
            raise KeyboardInterrupt
        count += 1
        real(path, old, new)

    with monkeypatch.context() as patch:
        patch.setattr(rekeying, "_rekey", crashing)
        if steps < len(NAMES):
            with pytest.raises(KeyboardInterrupt):
                rekeying.rekey(home, opened(home))
        else:
            patch.setattr(Keystore, "rename", _stop)
            with pytest.raises(KeyboardInterrupt):
                rekeying.rekey(home, opened(home))
    assert opened(home).has(VAULT_NEXT)
    assert rekeying.finish(home, opened(home)) == 2
    assert rows(home, opened(home).secret(VAULT)) == [b"one", b"two"]


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


async def test_a_node_works_on_after_it(tmp_path: Path) -> None:
    home = make_home(tmp_path / "ada", "ada")
    async with running(home) as ada:
        await do(ada, "mesh create", name="street")
        await do(ada, "wallet create", name="anna")
    assert rekeying.rekey(home, opened(home)) == 1
    async with running(home) as ada:
        assert [row.name for row in (await do(ada, "wallet list")).wallets] == ["anna"]
