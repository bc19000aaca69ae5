"""Tenants by their operations, on whole nodes over real sockets: hosted, spoken for, moved without a new consent."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from ledger.errors import LocalError, MailleError
from node.config import Home
from node.keyfile import KeyFile, Wrapping
from node.keystore import Keystore
from node.operations import find
from tests.node.nodes import LIGHT, do, make_home, running, until

PERIOD = {"data_from": datetime(2010, 1, 1, tzinfo=UTC), "data_until": datetime(2030, 1, 1, tzinfo=UTC)}
WHAT = {"kind": "load_curve", "purpose": "Advice on insulation", "contact": "dpo@service.example"}


async def mesh_of(first: Any, *others: Any) -> None:
    """Make a mesh; the first node has a link to each other one."""
    await do(first, "mesh create", name="street")
    for other in others:
        ticket = await do(first, "invite create", to=other.root_key().did)
        assert (await do(other, "join", ticket=ticket.ticket)).answer == "ADMITTED"
        name = other.config.name
        await until(partial(at_home, other, first))
        await do(first, "link offer", member=name)
        await until(partial(has_an_offer, other))
        await do(other, "link accept", member=first.config.name)
    await until(lambda: list(first.mesh().core.replica.members.links.values()) == ["up"] * len(others))


def at_home(node: Any, first: Any) -> bool:
    """Say whether a node is a member, and connected to the first one."""
    core = node.mesh().core
    return core.replica.members.is_member(core.party) and core.device.kid in first.mesh().engine.connected


def has_an_offer(node: Any) -> bool:
    """Say whether a node knows of a link that was offered."""
    return "offered" in node.mesh().core.replica.members.links.values()


async def come_true(holds: Any) -> None:
    """Wait until an async question is answered with yes."""
    with trio.fail_after(20):
        while not await holds():
            await trio.sleep(0.02)


def host_of(node: Any, tenant: str) -> str:
    """Return the name of a tenant's host, as a node's fold has it; "" for none."""
    members = node.mesh().core.replica.members
    tenancy = members.tenants.get(bytes.fromhex(tenant))
    return members.members[tenancy.host[0]].name if tenancy is not None else ""


async def lines(node: Any, **values: Any) -> list[Any]:
    """Return the consents, or the requests, that a node lists."""
    return list((await do(node, "consent list", **values)).consents)


async def refused(node: Any, words: str, **values: Any) -> str:
    """Return the code with which an operation is refused."""
    with pytest.raises(MailleError) as caught:
        await do(node, words, **values)
    return caught.value.code


def elsewhere(node: Any, name: str) -> dict[str, Any]:
    """Return a tenant's key as it is carried to another node: sealed, with its passphrase."""
    wrapping = Wrapping.derive("carried about", LIGHT, os.urandom(16))
    secret = node.keys.secret(f"tenant-{name}")
    return {"key": KeyFile.make("tenant", secret, wrapping, os.urandom).encode(), "key_passphrase": "carried about"}


@pytest.mark.covers("R5", "R29")
async def test_a_tenant_asks_receives_and_moves_without_a_new_consent(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, name) for name in ("ada", "bob", "coop")]
    async with running(homes[0]) as ada, running(homes[1]) as bob, running(homes[2]) as coop:
        await mesh_of(ada, bob, coop)
        made = await do(bob, "tenant init", name="advice")
        assert (homes[1].keys / "tenant-advice.key").stat().st_mode & 0o777 == 0o600
        assert await refused(bob, "consent request", as_tenant="advice", holder="ada") == "TENANT_NOT_HOSTED"
        hosted = await do(bob, "tenant host", tenant="advice", tariff="free", storage_bytes=10**9)
        assert (hosted.tenant.state, hosted.tenant.host, hosted.tenant.here) == ("hosted", "bob", True)
        assert len(hosted.entries) == 2
        assert (await do(bob, "tenant host", tenant="advice")).entries == ()
        await until(lambda: host_of(ada, made.id) == "bob")

        await do(ada, "readings generate", seed=7, days=3)
        (series,) = (await do(ada, "readings list")).series
        await do(ada, "wallet create", name="anna")
        asked = await do(bob, "consent request", as_tenant="advice", holder="ada", point=(series.point,), **WHAT)
        assert any("advice (tenant" in sentence for sentence in asked.words)
        await come_true(lambda: lines_are(ada, 1, requests=True))
        given = await do(ada, "consent grant", wallet="anna", request=asked.id)
        assert given.words == asked.words
        await come_true(lambda: acknowledged(ada))
        (line,) = await lines(ada)
        assert line.recipient == f"tenant {made.id[:12]}, hosted by bob"

        got = await do(bob, "data request", consent=given.id)
        assert (got.state, got.records) == ("done", 144)
        assert (await do(bob, "data settle")).receipts == 1
        ack = next(r for r in registered(bob, "transfer.ack"))
        assert ack.kid.hex() == made.id
        assert ack.thing == ("transfers", ack.kid)

        await do(coop, "tenant init", name="advice", **elsewhere(bob, "advice"))
        moved = await do(coop, "tenant host", tenant="advice")
        assert (moved.tenant.state, moved.tenant.tariff) == ("hosted", "")
        await until(lambda: host_of(ada, made.id) == host_of(bob, made.id) == "coop")
        await come_true(lambda: lines_are(coop, 1))
        assert await refused(bob, "consent revoke", as_tenant="advice", id=given.id, why="error") == "TENANT_NOT_HOSTED"
        stopped = await do(bob, "data request", consent=given.id)
        assert (stopped.state, stopped.reason) == ("refused", "OTHER_RECIPIENT")
        again = await do(coop, "data request", as_tenant="advice", holder="ada", point=series.point, kind="load_curve")
        assert (again.state, again.records) == ("done", 144)
        (still,) = await lines(ada)
        assert (still.id, still.state, still.unacknowledged_by) == (given.id, "active", ())

        await do(coop, "consent revoke", as_tenant="advice", id=given.id, why="purpose_ended")
        await come_true(lambda: lines_are(ada, 1, state="revoked"))


async def lines_are(node: Any, count: int, state: str = "", **values: Any) -> bool:
    found = await lines(node, **values)
    return len(found) == count and all(state in ("", line.state) for line in found)


async def acknowledged(node: Any) -> bool:
    found = await lines(node)
    return bool(found) and not any(line.unacknowledged_by for line in found)


def registered(node: Any, kind: str) -> list[Any]:
    """Return the entries of a kind in a node's own feed."""
    mesh = node.mesh()
    replica, feed = mesh.core.replica, mesh.core.device.kid
    with mesh.store.read() as rows:
        entries = [replica.leaf_entry(rows, feed, index) for index in range(replica.size(feed))]
    return [entry for entry in entries if entry.kind == kind]


async def test_a_tenant_whose_key_is_elsewhere_agrees_from_there(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, name) for name in ("ada", "bob")]
    async with running(homes[0]) as ada, running(homes[1]) as bob:
        await mesh_of(ada, bob)
        made = await do(ada, "tenant init", name="advice")
        offered = await do(bob, "tenant host", tenant=made.did, tariff="5 a month", requests_a_minute=60)
        assert (offered.tenant.state, offered.tenant.name, len(offered.entries)) == ("offered", "", 1)
        assert await refused(bob, "tenant host", tenant=made.did, at="ada") == "USAGE"
        await until(lambda: len(ada.mesh().core.replica.registrations) == len(bob.mesh().core.replica.registrations))
        assert await refused(ada, "tenant host", tenant="advice", at="bob", tariff="free") == "TERMS_DIFFER"
        agreed = await do(ada, "tenant host", tenant="advice", at="bob")
        assert (agreed.tenant.state, agreed.tenant.host, agreed.tenant.tariff) == ("hosted", "bob", "5 a month")
        await until(lambda: host_of(bob, made.id) == "bob")
        assert await refused(ada, "consent request", as_tenant="advice", recipient="advice") == "TENANT_NOT_HOSTED"

        await check_listing(bob, made.id)
        left = await do(ada, "tenant unhost", tenant="advice", reason="season over")
        assert left.tenant.state == "offered"
        await until(lambda: host_of(bob, made.id) == "")
        back = await do(ada, "tenant host", tenant="advice", at="bob")
        assert back.tenant.state == "hosted"
        await until(lambda: host_of(bob, made.id) == "bob")
        ended = await do(bob, "tenant unhost", tenant=made.id[:8])
        assert ended.tenant.state == "asked"
        await until(lambda: host_of(ada, made.id) == "")
        for node in (ada, bob):
            assert await refused(node, "tenant host", tenant=made.did, at="bob") == "TENANT_REFUSED"
        assert await refused(bob, "tenant unhost", tenant=made.did, by="tenant") == "USAGE"
        assert await refused(bob, "tenant unhost", tenant=made.did) == "TENANT_NOT_HOSTED"
        assert (await do(ada, "tenant host", tenant="advice")).tenant.here


async def check_listing(node: Any, tenant: str) -> None:
    """Hold what `tenant list --json` prints to its schema, field by field."""
    listed = await do(node, "tenant list")
    row = find("tenant", "list")
    assert row is not None
    text = msgspec.json.encode(listed)
    assert msgspec.json.decode(text, type=row.result) == listed
    (one,) = msgspec.json.decode(text)["tenants"]
    schema = msgspec.json.schema(row.result)["$defs"]["TenantRow"]
    assert set(one) == set(schema["properties"]) == set(schema["required"])
    assert (one["id"], one["state"], one["here"]) == (tenant, "hosted", True)
    assert (one["tariff"], one["storage_bytes"], one["requests_a_minute"]) == ("5 a month", None, 60)
    assert (await do(node, "tenant list", all=True)).tenants == listed.tenants


async def test_a_tenants_key_is_a_key_of_its_own(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        made = await do(ada, "tenant init", name="advice")
        assert (made.sealed, made.did) == (False, ada.tenants.keys()["advice"].did)
        for values, code in (
            ({"name": "advice"}, "KEY_EXISTS"),
            ({"name": "../advice"}, "BAD_NAME"),
            ({"name": "other", "key": (ada.home.keys / "root.key").read_bytes()}, "KEY_WRONG"),
            ({"name": "other", "key": b"no key"}, "KEY_DAMAGED"),
            ({"name": "other", **elsewhere(ada, "advice")}, "KEY_EXISTS"),
            ({"name": "other", **elsewhere(ada, "advice"), "key_passphrase": "another one"}, "KEY_LOCKED"),
        ):
            assert await refused(ada, "tenant init", **values) == code
        assert await refused(ada, "tenant host", tenant="nobody") == "NOT_FOUND"
        assert await refused(ada, "tenant host", tenant="advice", at="nobody") == "NOT_FOUND"
        assert [row.state for row in (await do(ada, "tenant list")).tenants] == ["none"]
        with pytest.raises(LocalError) as caught:
            await do(ada, "consent revoke", as_tenant="nobody", id=ada.mesh().mesh_id.hex(), why="error")
        assert caught.value.code == "NOT_FOUND"
    async with running(Home(tmp_path / "ada")) as ada:
        assert [row.name for row in (await do(ada, "tenant list")).tenants] == ["advice"]


async def test_a_sealed_key_is_in_the_backup(tmp_path: Path) -> None:
    home = make_home(tmp_path / "ada", "ada", passphrase="a passphrase")
    async with running(home, passphrase="a passphrase") as ada:
        await do(ada, "mesh create", name="street")
        made = await do(ada, "tenant init", name="advice")
        assert made.sealed
        assert "tenant-advice" in (await do(ada, "backup create", to=str(tmp_path / "backup"))).keys
    row = find("backup", "restore")
    assert row is not None

    class Place:
        data_dir = tmp_path / "again"

    restored = row.handler(Place(), row.args(directory=str(tmp_path / "backup"), local_name="street"))
    assert set(restored.keys) == {"root", "static", "vault", "tenant-advice"}
    assert Keystore(Home(tmp_path / "again").keys, os.urandom).file("tenant-advice").sealed
    async with running(Home(tmp_path / "again"), passphrase="a passphrase") as ada:
        assert ada.tenants.keys()["advice"].kid.hex() == made.id


@pytest.mark.covers("R29", "R161")
async def test_a_node_alone_hands_data_to_its_own_tenant(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street", attestation_quorum=1)
        await do(ada, "tenant init", name="advice")
        await do(ada, "tenant host", tenant="advice")
        await do(ada, "readings generate", seed=7, days=3)
        (series,) = (await do(ada, "readings list")).series
        await do(ada, "wallet create", name="anna")
        terms = {"point": (series.point,), "recipient": "advice", **WHAT, **PERIOD}
        given = await do(ada, "consent grant", wallet="anna", **terms)
        sent = await do(ada, "data send", consent=given.id, recipient="advice")
        assert (sent.state, sent.records) == ("done", 144)
        asked = await do(ada, "data request", consent=given.id, as_tenant="advice")
        assert (asked.state, asked.records) == ("done", 144)
        roles = sorted(row.role for row in (await do(ada, "data receipts")).receipts)
        assert roles == ["received", "received", "sent", "sent"]

        await do(ada, "consent withdraw", id=given.id)
        late = await do(ada, "data request", consent=given.id, as_tenant="advice")
        assert (late.state, late.reason) == ("refused", "WITHDRAWN")
        sent = await do(ada, "data send", consent=given.id, recipient="advice")
        assert (sent.state, sent.reason) == ("refused", "WITHDRAWN")


@pytest.mark.covers("R31")
async def test_what_was_agreed_with_a_tenant_is_enforced(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street", attestation_quorum=1)
        await do(ada, "tenant init", name="advice")
        agreed = {"tariff": "2 euros a month", "storage_bytes": 100, "requests_a_minute": 2}
        hosted = (await do(ada, "tenant host", tenant="advice", **agreed)).tenant
        assert {name: getattr(hosted, name) for name in agreed} == agreed
        await do(ada, "readings generate", seed=7, days=3)
        (series,) = (await do(ada, "readings list")).series
        await do(ada, "wallet create", name="anna")
        terms = {"point": (series.point,), "recipient": "advice", **WHAT, **PERIOD}
        given = await do(ada, "consent grant", wallet="anna", **terms)
        sent = await do(ada, "data send", consent=given.id, recipient="advice", wait="2s")
        assert (sent.state, sent.reason, sent.records) == ("waiting", "TENANT_FULL", 0)
        await do(ada, "tenant host", tenant="advice", **(agreed | {"storage_bytes": 10**6}))
        await come_true(lambda: received(ada, 144))

        for _ in range(2):
            await do(ada, "consent list", as_tenant="advice")
        assert await refused(ada, "consent list", as_tenant="advice") == "TENANT_RATE"
        assert (await do(ada, "consent list")).consents  # others are not concerned


async def received(node: Any, count: int) -> bool:
    """Say whether a node has an account of so many records received."""
    rows = (await do(node, "data receipts")).receipts
    return [row.records for row in rows if row.role == "received" and row.state == "done"] == [count]
