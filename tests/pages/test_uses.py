"""Uses of a consent as the pages tell them, and accesses that no consent allows: two nodes, one with pages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from node.pages.visit import Site
from node.pages.watching import Watch
from node.tenants import state
from tests.node.nodes import do, make_home, running, until
from tests.node.test_audit_operations import forget
from tests.node.test_data_operations import state_of
from tests.pages.test_application import URL, post, visiting
from tests.pages.test_people import ENGLISH, OTHER, account, grant, text_of


@dataclass(frozen=True, slots=True)
class Street:
    """Bob has the data of Anna's meter, and the node that serves her pages receives them under her consent."""

    client: httpx.AsyncClient
    node: Any
    site: Site
    bob: Any
    made: str


@asynccontextmanager
async def street(tmp_path: Path, **values: Any) -> AsyncIterator[Street]:
    """Run both nodes, with a consent of Anna's under which nothing has passed yet."""
    async with (
        visiting(tmp_path, mesh=False) as (client, node, site),
        running(make_home(tmp_path / "bob", "bob")) as bob,
    ):
        await do(node, "mesh create", name="street")
        ticket = await do(node, "invite create", to=str(bob.root_key().did))
        assert (await do(bob, "join", ticket=ticket.ticket)).answer == "ADMITTED"
        await until(lambda: bool(node.mesh().engine.connected) and bool(bob.mesh().engine.connected))
        await until(lambda: len(bob.mesh().core.replica.members.members) == 2)
        await do(bob, "link offer", member="Host")
        await until(lambda: "offered" in node.mesh().core.replica.members.links.values())
        await do(node, "link accept", member="bob")
        await do(bob, "readings generate", days=2)
        (series,) = (await do(bob, "readings list")).series
        client.headers.update(ENGLISH)
        await account(client, node, "anna", series.point)
        made = await grant(node, holder="bob", recipient="Host", point=(series.point,), **values)
        await until(lambda: state_of(bob, made) == "GRANTED")
        yield Street(client, node, site, bob, made)


async def test_uses_are_counted_as_their_holder_states_them_and_nobody_else(tmp_path: Path) -> None:
    async with street(tmp_path) as scene:
        client, site = scene.client, scene.site
        ident, holder = bytes.fromhex(scene.made), scene.bob.mesh().core.party

        def look(turn: Any, flows: Any) -> tuple[tuple[int, int], list[int]]:
            uses = flows.stated.uses_of(turn, ident, holder)
            return flows.stated.tally(turn, ident, holder), [use.at for use in uses]

        def state_another(turn: Any, flows: Any) -> None:
            said = {"receipts": [[b"t" * 16, ident, b"d" * 32, None]]}
            state(turn, flows.tenants.voice(turn, ""), "transfer.receipt", ("transfers", turn.core.device.kid), said)

        assert await site.read(look) == ((0, 0), [])
        assert "Last access never Accesses 0" in text_of(await client.get("/consents"))
        assert (await do(scene.bob, "data send", consent=scene.made)).state == "done"
        assert "Accesses 1" in text_of(await client.get("/consents"))  # by this node's own account, before it is stated
        await do(scene.bob, "data settle")
        with trio.fail_after(20):
            while not (await site.read(look))[1]:
                await trio.sleep(0.02)
        await site.act(state_another)
        (count, last), uses = await site.read(look)
        assert (count, len(uses), last >= uses[-1]) == (1, 1, True)
        shown = text_of(await client.get("/consents"))
        assert "Accesses 1" in shown
        assert "never" not in shown
        assert "Sendings: 1, newest first" in text_of(await client.get("/trail"))
        assert "Host received data (96 values)" in text_of(await client.get(f"/consents/{scene.made}"))


async def test_the_trail_shows_what_a_recipient_passed_on(tmp_path: Path) -> None:
    async with street(tmp_path, terms=json.dumps({"onward_sharing": {"mode": "depth", "depth": 1}}).encode()) as scene:
        assert (await do(scene.bob, "data send", consent=scene.made)).state == "done"
        passed = await do(scene.node, "consent pass-on", id=scene.made, recipient="bob", contact="dpo@bob.example")
        shown = text_of(await scene.client.get("/trail"))
        assert ("Sendings: 1, newest first" in shown, "passed on by" in shown) == (True, False)
        await until(lambda: state_of(scene.bob, passed.id) == "GRANTED")
        assert (await do(scene.node, "data send", consent=passed.id)).state == "done"
        page = await scene.client.get("/trail")
        shown = text_of(page)
        assert "Sendings: 2, newest first" in shown
        assert "bob load curve" in shown
        assert "Host Advice on heating passed on by its recipient" in shown
        assert page.text.count(f'href="/consents/{scene.made}"') == 2  # both stand under her own consent


@pytest.mark.covers("R101", "R103")
async def test_an_access_without_consent_is_found_and_shown_to_whom_it_concerns_alone(tmp_path: Path) -> None:
    async with street(tmp_path) as scene:
        client, node, site, made = scene.client, scene.node, scene.site, scene.made
        other = httpx.AsyncClient(transport=client._transport, base_url=URL, headers=ENGLISH)
        await account(other, node, "bert", OTHER)
        site.watch = Watch(site)
        assert "The first check has not ended yet" in text_of(await client.get("/alarms"))
        assert (await do(scene.bob, "data send", consent=made)).state == "done"
        await site.watch.look()
        assert "None was found" in text_of(await client.get("/alarms"))
        assert "without your consent" not in text_of(await client.get("/"))
        forget(node, made)  # now data of her meter are here, and no consent allows it
        await site.watch.look()
        home, page = text_of(await client.get("/")), text_of(await client.get("/alarms"))
        assert "1 time(s), your data were accessed without a consent" in home
        assert "You can complain to the organisation, or to the CNIL" in page
        assert "from bob" in page
        assert "None was found" in text_of(await other.get("/alarms"))
        assert "without your consent" not in text_of(await other.get("/"))
        await post(client, f"/consents/{made}/withdraw", {}, seen="/account")
        late_use(node, made)  # a use of her own consent, after she withdrew it
        await site.watch.look()
        assert "withdrawn" in text_of(await client.get("/alarms"))


def late_use(node: Any, grant: str) -> None:
    """Make every account of a node say that data passed two hours from now, under this consent."""
    mesh = node.mesh()
    with mesh.vault.write() as vault:
        for role in (b"a", b"r"):
            for one in list(mesh.flows.receipts.listing(vault, role)):
                at = {"began": one.began + 7_200, "ended": one.ended + 7_200}
                mesh.flows.receipts.put(vault, replace(one, grant=bytes.fromhex(grant), **at))
