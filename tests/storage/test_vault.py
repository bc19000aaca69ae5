"""The vault: sealed at rest, over both stores; what erasing and rekeying do, shown on the bytes of the disk."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from simulations.crashing import Crash, CrashingStore
from storage import vault as module
from storage.disk import DiskStore
from storage.memory import MemoryStore
from storage.store import Store
from storage.vault import KEY_BYTES, ROWKEYS, SEAL_BYTES, VAULT_TABLES, Vault
from tests.storage.stores import check_refused

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
SECRET = b"PRM 30001642617347, 17.3 kWh"


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store with the tables of a vault."""
    made: Store = DiskStore(tmp_path / "vault", VAULT_TABLES) if request.param == "disk" else MemoryStore(VAULT_TABLES)
    yield made
    made.close()


def vault_of(store: Store, key: bytes = KEY, seed: int = 1) -> Vault:
    """Return a vault whose randomness repeats."""
    return Vault(store, key, random.Random(seed).randbytes)


def contents(store: Store) -> bytes:
    """Return everything a store holds, joined."""
    with store.read() as reader:
        return b"|".join(key + value for table in VAULT_TABLES for key, value in reader.scan(table, b""))


def test_rows_come_back_and_lie_sealed(store: Store) -> None:
    vault = vault_of(store)
    with vault.write() as writer:
        writer.put("disclosures", b"id", SECRET)
        writer.put("readings", b"s2", b"", append=True)
        writer.put("readings", b"s1", SECRET * 100, append=True)
        assert writer.get("disclosures", b"id") == SECRET
    with vault.read() as reader:
        assert reader.get("disclosures", b"id") == SECRET
        assert reader.get("disclosures", b"no") is None
        assert list(reader.scan("readings", b"s")) == [(b"s1", SECRET * 100), (b"s2", b"")]
        assert list(reader.scan("readings", b"s", b"t", limit=1, reverse=True)) == [(b"s2", b"")]
        assert reader.last("readings", b"s") == (b"s2", b"")
        assert reader.last("readings", b"x") is None
        assert reader.count("readings") == 2
    assert b"PRM" not in contents(store)
    with store.read() as raw:
        assert len(raw.get("disclosures", b"id") or b"") == len(SECRET) + SEAL_BYTES
        assert raw.count(ROWKEYS) == 3


def test_equal_values_are_sealed_differently(store: Store) -> None:
    vault = vault_of(store)
    with vault.write() as writer:
        writer.put("wallets", b"a", SECRET)
        writer.put("wallets", b"b", SECRET)
    with store.read() as raw:
        assert raw.get("wallets", b"a") != raw.get("wallets", b"b")


def test_an_exception_undoes_everything(store: Store) -> None:
    vault = vault_of(store)
    with vault.write() as writer:
        writer.put("receipts", b"a", b"1")
    before = contents(store)
    with suppress(ZeroDivisionError), vault.write() as writer:
        writer.put("receipts", b"a", b"2")
        writer.put("receipts", b"b", b"2")
        writer.erase("receipts", b"a")
        raise ZeroDivisionError
    assert contents(store) == before


def test_the_wrong_key_is_refused_at_opening(store: Store) -> None:
    vault_of(store)
    check_refused("VAULT_KEY", lambda: vault_of(store, OTHER_KEY))
    check_refused("VAULT_KEY", lambda: vault_of(store, KEY[:-1]))
    vault_of(store)


@given(data=st.data())
def test_a_changed_or_moved_row_does_not_open(data: st.DataObject) -> None:
    store = MemoryStore(VAULT_TABLES)
    vault = vault_of(store)
    with vault.write() as writer:
        writer.put("disclosures", b"a", SECRET)
        writer.put("disclosures", b"b", SECRET)
        writer.put("wallets", b"a", SECRET)
    place = data.draw(st.sampled_from([("disclosures", b"a"), (ROWKEYS, b"\x0bdisclosuresa")]))
    with store.write() as raw:
        sealed = raw.get(*place)
        assert sealed is not None
        flipped = bytearray(sealed)
        flipped[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        twins = {
            "disclosures": [("disclosures", b"b"), ("wallets", b"a")],
            ROWKEYS: [(ROWKEYS, b"\x0bdisclosuresb"), (ROWKEYS, b"\x07walletsa")],
        }[place[0]]
        elsewhere = [raw.get(*twin) or b"" for twin in twins]
        raw.put(*place, data.draw(st.sampled_from([bytes(flipped), sealed[:-1], sealed[:30], b"", *elsewhere])))
    with vault.read() as reader:
        check_refused("VAULT_CORRUPT", partial(reader.get, "disclosures", b"a"))
        check_refused("VAULT_CORRUPT", lambda: list(reader.scan("disclosures", b"")))
        assert reader.get("disclosures", b"b") == SECRET
        assert reader.get("wallets", b"a") == SECRET


def test_a_row_without_its_key_is_damage_not_absence(store: Store) -> None:
    vault = vault_of(store)
    with vault.write() as writer:
        writer.put("wallets", b"a", SECRET)
    with store.write() as raw:
        raw.delete(ROWKEYS, b"\x07walletsa")
    with vault.read() as reader:
        check_refused("VAULT_CORRUPT", partial(reader.get, "wallets", b"a"))


def test_private_tables_and_bad_keys_are_refused(store: Store) -> None:
    vault = vault_of(store)
    with vault.write() as writer:
        writer.put("wallets", b"a", b"1")
        for table in (ROWKEYS, "vault", "nowhere"):
            check_refused("UNKNOWN_TABLE", partial(writer.get, table, b"blind"))
            check_refused("UNKNOWN_TABLE", partial(writer.put, table, b"blind", b""))
            check_refused("UNKNOWN_TABLE", partial(writer.erase, table, b"blind"))
            check_refused("UNKNOWN_TABLE", partial(writer.scan, table, b""))
        for key in (b"", b"x" * 505):
            check_refused("BAD_KEY", partial(writer.put, "wallets", key, b""))
        writer.put("wallets", b"x" * 503, b"longest")
    check_refused("TRANSACTION_OVER", partial(writer.get, "wallets", b"a"))
    check_refused("TRANSACTION_OVER", partial(writer.put, "wallets", b"a", b""))
    with vault.read() as reader:
        assert reader.count("wallets") == 2
    with store.read() as raw:
        assert raw.count(ROWKEYS) == 2


def test_erasing_takes_the_row_and_its_key(store: Store) -> None:
    vault = vault_of(store)
    with vault.write() as writer:
        writer.put("disclosures", b"a", SECRET)
        writer.put("disclosures", b"b", SECRET)
    with vault.write() as writer:
        for key, _ in writer.scan("disclosures", b"a", b"b"):
            writer.erase("disclosures", key)
        writer.erase("disclosures", b"never there")
        assert writer.get("disclosures", b"a") is None
    with vault.read() as reader:
        assert [key for key, _ in reader.scan("disclosures", b"")] == [b"b"]
    with store.read() as raw:
        assert [key for key, _ in raw.scan(ROWKEYS, b"")] == [b"\x0bdisclosuresb"]


def test_what_erasing_leaves_on_the_disk(tmp_path: Path) -> None:
    """The documentation holds: freed pages keep the sealed bytes, compacting drops them, rekeying makes them noise."""
    path = tmp_path / "vault"
    store = DiskStore(path, VAULT_TABLES)
    vault = vault_of(store)
    with vault.write() as writer:
        writer.put("disclosures", b"a", SECRET)
        writer.put("disclosures", b"b", b"stays")
    with store.read() as raw:
        sealed, wrapped = raw.get("disclosures", b"a"), raw.get(ROWKEYS, b"\x0bdisclosuresa")
    assert sealed is not None
    assert wrapped is not None
    with vault.write() as writer:
        writer.erase("disclosures", b"a")
    stale = (path / "data.mdb").read_bytes()
    assert sealed in stale
    assert wrapped in stale
    vault.rekey(OTHER_KEY)
    assert module._unseal(KEY, wrapped, b"key\x0bdisclosuresa") is not None
    assert module._unseal(OTHER_KEY, wrapped, b"key\x0bdisclosuresa") is None
    vault.compact()
    fresh = (path / "data.mdb").read_bytes()
    assert sealed not in fresh
    assert wrapped not in fresh
    with vault.read() as reader:
        assert list(reader.scan("disclosures", b"")) == [(b"b", b"stays")]
    vault.close()


def test_rekeying_keeps_every_row_and_locks_the_old_key_out(store: Store) -> None:
    vault = vault_of(store)
    rows = {bytes([index]): SECRET + bytes([index]) for index in range(200)}
    with vault.write() as writer:
        for key, value in rows.items():
            writer.put("readings", key, value)
    name = vault.blind(b"series")
    check_refused("VAULT_KEY", lambda: vault.rekey(b"short"))
    vault.rekey(OTHER_KEY)
    check_refused("VAULT_KEY", lambda: vault_of(store))
    for opened in (vault, vault_of(store, OTHER_KEY)):
        with opened.read() as reader:
            assert dict(reader.scan("readings", b"")) == rows
        assert opened.blind(b"series") == name


def test_a_crash_while_rekeying_leaves_one_key_that_opens_everything() -> None:
    """At each write of a rekeying."""
    steps, crashed = 0, True
    while crashed:
        store = MemoryStore(VAULT_TABLES)
        with vault_of(store).write() as writer:
            for index in range(5):
                writer.put("wallets", bytes([index]), SECRET)
        try:
            vault_of(CrashingStore(store, steps)).rekey(OTHER_KEY)
            crashed = False
        except Crash:
            steps += 1
        opening = []
        for key in (KEY, OTHER_KEY):
            try:
                opening.append(vault_of(store, key))
            except LocalError as error:
                assert error.code == "VAULT_KEY"  # noqa: PT017 (any other error fails)
        assert len(opening) == 1
        with opening[0].read() as reader:
            assert [value for _, value in reader.scan("wallets", b"")] == [SECRET] * 5
    assert steps == 5 + 1 + 2  # five rows, the secret, before and after the commit


def test_blind_names_are_stable_and_differ_between_vaults() -> None:
    store = MemoryStore(VAULT_TABLES)
    vault = vault_of(store)
    assert vault.blind(b"a") == vault_of(store, seed=2).blind(b"a") != vault.blind(b"b")
    assert vault.blind(b"a") != vault_of(MemoryStore(VAULT_TABLES), seed=2).blind(b"a")
    assert len(vault.blind(b"a")) == module.BLIND_BYTES


def test_every_row_has_its_own_data_key() -> None:
    drawn: list[bytes] = []

    def draw(count: int) -> bytes:
        drawn.append(random.Random(len(drawn)).randbytes(count))
        return drawn[-1]

    vault = Vault(MemoryStore(VAULT_TABLES), KEY, draw)
    drawn.clear()
    with vault.write() as writer:
        for _ in range(3):
            writer.put("wallets", b"a", SECRET)
    assert [len(piece) for piece in drawn].count(KEY_BYTES) == 3
    assert len(set(drawn)) == len(drawn)
