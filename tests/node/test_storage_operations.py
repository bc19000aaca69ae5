"""Room on the disk: the quota and what it never refuses; compacting, and all that stays the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from ledger import witnessing
from ledger.consent.disclosure import SALT_BYTES
from ledger.consent.status import State
from ledger.errors import LocalError, MailleError
from ledger.rows import COSIGNED
from ledger.schema import DAY
from node.adapters import household
from node.checkup import look
from node.compacting import TRANSFER_DAYS, compact
from node.config import Config, Home, as_toml
from node.core import Turn
from node.keystore import VAULT, Keystore
from node.room import Room
from node.tables import Storage, as_tables
from node.vaults.deliveries import DeliveryRows
from node.vaults.erasures import Erasure, ErasureRows
from node.vaults.transfers import STOPPED, Incoming, IncomingRows, Tally, Wanted
from storage.disk import DiskStore
from storage.vault import VAULT_TABLES, Vault
from tests.node.nodes import LIGHT, command, do, make_home, running
from tests.node.test_data_operations import WHAT, pair
from tests.node.test_proof_operations import verified

START = 1_750_000_000 - 1_750_000_000 % DAY
PERIOD = {"data_from": datetime(2010, 1, 1, tzinfo=UTC), "data_until": datetime(2030, 1, 1, tzinfo=UTC)}
SOON = b'retention = "PT1S"\n'


def vault_key(home: Home) -> bytes:
    """Return the key of the vaults of a node whose keys are plain."""
    keys = Keystore(home.keys, bytes, LIGHT)
    keys.unlock(None)
    return keys.secret(VAULT)


def quota(node: Any, size: int) -> None:
    """Set a running node's quota."""
    node.config = msgspec.structs.replace(node.config, storage=Storage(size))


async def moved(ada: Any, bob: Any, days: int) -> str:
    """Have readings move from ada to bob, who may keep them for a second; return the consent's id."""
    curve = household.load_curve(1, START, days, gaps=3)
    await pair(ada, bob)
    await ada.mesh().engine.act(lambda turn: ada.mesh().flows.series.add(turn.vault, curve))
    await do(ada, "wallet create", name="anna")
    args = {"recipient": "bob", "point": (curve.key.point,), "granularity": "PT30M", **WHAT, **PERIOD}
    made = await do(ada, "consent grant", wallet="anna", terms=SOON, **args)
    assert (await do(ada, "data send", consent=made.id)).state == "done"
    return str(made.id)


def standing(turn: Turn, grant: str) -> State:
    """Return where a consent stands."""
    status = turn.core.replica.consent(turn.rows, bytes.fromhex(grant))
    assert status is not None
    return status.state


def facts(verified: Any) -> Any:
    """Return what `ledger verify` says that must not change."""
    return {name: verified[name] for name in ("sound", "feeds", "leaves", "checkpoints", "state_root")}


@pytest.mark.covers("R145")
async def test_compacting_gives_room_back_and_changes_no_root_and_no_proof(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homes = make_home(tmp_path / "ada", "ada"), make_home(tmp_path / "bob", "bob")
    async with running(homes[0]) as ada, running(homes[1]) as bob:
        grant = await moved(ada, bob, 700)
        await do(ada, "consent withdraw", id=grant)
        with trio.fail_after(20):
            while not (await do(bob, "erasure due")).overdue:
                await trio.sleep(0.05)
        await do(bob, "erasure run", due=True)
        await do(bob, "tick run")
        before = await do(bob, "ledger root")
        shown = (await do(bob, "proof make", consent=grant)).proof
        genesis = (await do(bob, "trust export")).genesis
    home = homes[1]
    code, sound = command(home, "ledger", "verify", capsys=capsys)
    assert (code, sound["sound"]) == (0, True)
    command(home, "storage", "compact", "--dry-run", capsys=capsys)  # what the journal held is in its place from now on
    _, held = command(home, "storage", "show", capsys=capsys)
    assert held["meshes"][0]["free_bytes"] > 100_000
    code, planned = command(home, "storage", "compact", "--dry-run", capsys=capsys)
    assert (code, planned["rehearsed"]) == (0, True)
    assert command(home, "storage", "show", capsys=capsys)[1] == held

    code, done = command(home, "storage", "compact", capsys=capsys)
    (row,) = done["meshes"]
    assert (code, done["rehearsed"]) == (0, False)
    assert done["before_bytes"] - done["after_bytes"] > 100_000
    assert abs(done["after_bytes"] - planned["after_bytes"]) < 0.1 * done["after_bytes"]
    assert [row[name] == planned["meshes"][0][name] for name in ("frontier", "state_root")] == [True, True]
    assert facts(command(home, "ledger", "verify", capsys=capsys)[1]) == facts(sound)
    assert command(home, "storage", "show", capsys=capsys)[1]["meshes"][0]["free_bytes"] < 65_536

    async with running(home) as bob:
        after = await do(bob, "ledger root")
        assert (after.tick, after.state_root) == (before.tick, before.state_root)
        assert (await do(bob, "erasure list")).erasures[0].consent == grant
        again = (await do(bob, "proof make", consent=grant)).proof
    verdicts = []
    for name, proof in (("before", shown), ("after", again)):
        (tmp_path / name).write_bytes(proof)
        verdict = verified([tmp_path / name], genesis=genesis)
        verdicts.append((verdict.verdict, verdict.reason, [(check.name, check.outcome) for check in verdict.checks]))
    assert verdicts[0] == verdicts[1]


async def test_compacting_waits_until_the_node_is_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = make_home(tmp_path / "ada", "ada")
    async with running(home) as ada:
        await do(ada, "mesh create", name="street")
        with home.lock():  # as `maille node run` holds it
            code, refused = command(home, "storage", "compact", capsys=capsys)
            assert code != 0
            assert "NODE_RUNNING" in refused


async def test_what_waits_in_vain_goes_and_nothing_else(tmp_path: Path) -> None:
    home = make_home(tmp_path / "ada", "ada")
    async with running(home) as ada:
        await do(ada, "mesh create", name="street")
        party = ada.mesh().core.party
    path, now = home.mesh("street"), START
    gone, kept = b"\x01" * 32, b"\x02" * 32
    store = DiskStore(path / "vault", VAULT_TABLES)
    vault = Vault(store, vault_key(home), lambda n: b"\x07" * n)
    incoming, old = IncomingRows(), now - TRANSFER_DAYS * DAY
    with vault.write() as rows:
        for grant, content in ((gone, True), (kept, False)):
            done = Erasure(grant, party, now, 1, 1, 1, content, bytes(SALT_BYTES), b"\x03" * 32)
            ErasureRows().put(rows, done)
            DeliveryRows().disclose(rows, b"\x04" * 32, grant, b"sealed")
        for number, created in ((1, old), (2, now)):
            transfer = bytes([number]) * 16
            row = Incoming(
                transfer, Wanted(party, party), None, created, STOPPED, "NO_ANSWER", Tally.begin(transfer), ()
            )
            incoming.put(rows, row)
    vault.close()
    rehearsed = compact(path, vault_key(home), now, rehearse=True)
    assert (rehearsed.disclosures, rehearsed.transfers) == (1, 1)
    assert (compact(path, vault_key(home), now).disclosures, compact(path, vault_key(home), now).transfers) == (1, 0)
    vault = Vault(DiskStore(path / "vault", VAULT_TABLES), vault_key(home), bytes)
    with vault.read() as rows:
        assert [row.transfer[:1] for row in incoming.listing(rows)] == [b"\x02"]
        assert DeliveryRows().readers(rows, kept)
        assert not DeliveryRows().readers(rows, gone)
    vault.close()


async def test_superseded_cosignatures_go_and_a_changed_root_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "ada", "ada")
    async with running(home) as ada:
        await do(ada, "mesh create", name="street")
        await do(ada, "tick run")
        feed = ada.mesh().core.device.kid
    path = home.mesh("street")
    store = DiskStore(path / "ledger")
    line = feed + (1).to_bytes(8, "big") + bytes(32)
    with store.write() as rows:
        rows.put(COSIGNED, b"c" + line + bytes(32), bytes(72))
        rows.put(COSIGNED, b"o" + (1).to_bytes(8, "big") + feed, (0).to_bytes(8, "big") + line[32:])
    store.close()

    def spoil(rows: Any) -> None:
        prefix = next(iter(rows.scan("meta", b"")))[0]
        rows.delete("meta", prefix)

    with monkeypatch.context() as patched:
        patched.setattr(witnessing, "prune", spoil)
        with pytest.raises(MailleError):
            compact(path, vault_key(home), START)
    found = compact(path, vault_key(home), START)
    assert found.cosignatures == 2
    assert compact(path, vault_key(home), START).cosignatures == 0


@pytest.mark.covers("R145")
async def test_at_the_quota_readings_are_refused_and_a_withdrawal_passes(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        grant = await moved(ada, bob, 5)
        quota(ada, 1)
        quota(bob, 1)
        for words, args in (("readings generate", {}), ("readings import", {"file": b"x"})):
            with pytest.raises(LocalError) as refused:
                await do(ada, words, **args)
            assert refused.value.code == "QUOTA_FULL"
        more = household.load_curve(1, START + 5 * DAY, 5)
        await ada.mesh().engine.act(lambda turn: ada.mesh().flows.series.add(turn.vault, more))
        waits = await do(ada, "data send", consent=grant, wait="1s")
        assert (waits.state, waits.reason) == ("waiting", "QUOTA_FULL")
        quota(bob, 0)
        while await ada.mesh().engine.read(lambda turn: ada.mesh().flows.outgoing.any(turn.vault)):
            await trio.sleep(0.1)
        quota(bob, 1)
        await do(ada, "consent withdraw", id=grant)
        for node in (ada, bob):
            with trio.fail_after(20):
                while await node.mesh().engine.read(lambda turn: standing(turn, grant)) is State.GRANTED:
                    await trio.sleep(0.05)
        (problem,) = [one for one in (await do(bob, "node status")).problems if one.code.startswith("QUOTA")]
        assert problem.code == "QUOTA_FULL"
        assert "compact" in problem.fix


def test_the_doctor_warns_before_the_quota_is_reached(tmp_path: Path) -> None:
    home = make_home(tmp_path / "node", "Ours")
    (home.mesh("street") / "ledger").mkdir(parents=True)
    (home.mesh("street") / "ledger" / "data.mdb").write_bytes(bytes(1_000))
    for size, code, severity in (
        (0, "", ""),
        (2_000, "", ""),
        (1_250, "QUOTA_NEAR", "warning"),
        (900, "QUOTA_FULL", "error"),
    ):
        home.config_file.write_text(as_toml(msgspec.structs.replace(home.config(), storage=Storage(size))))
        found = [one for one in look(home, START) if one.code.startswith("QUOTA")]
        assert [(one.code, one.severity) for one in found] == ([(code, severity)] if code else [])
        assert Room(home, lambda size=size: size).full == (code == "QUOTA_FULL")  # type: ignore[misc]


def test_tables_are_written_as_they_are_read(tmp_path: Path) -> None:
    home = Home(tmp_path / "node")
    home.create(Config(name="Ours"))
    assert "# quota_bytes" in home.config_file.read_text()
    assert as_tables(storage=Storage(5)) == "\n[storage]\nquota_bytes = 5\n"
