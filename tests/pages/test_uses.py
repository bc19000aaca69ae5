"""Uses of a consent as the pages tell them, and accesses that no consent allows: two nodes, one with pages."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from ledger.consent.acts import make_rekey
from ledger.consent.wallet import Wallet
from node.flows.custody import shown
from node.flows.passing import children_of
from node.pages.reading import UNSTATED_MAX
from node.pages.visit import Site
from node.pages.watching import Watch
from node.tenants import state
from node.vaults.receipts import RECIPIENT
from tests.node.nodes import do, make_home, running, until
from tests.node.test_audit_operations import forget
from tests.node.test_data_operations import state_of
from tests.pages.test_application import URL, post, visiting
from tests.pages.test_handing import written
from tests.pages.test_people import ENGLISH, OTHER, account, grant, take_away, text_of


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


def crowd(turn: Any, flows: Any) -> None:
    """Have accounts of many other consents wait for the day's batch, before hers in every list."""
    own = flows.receipts.unstated(turn.vault, RECIPIENT, 1)[0]
    for number in range(UNSTATED_MAX + 1):
        other = {"transfer": number.to_bytes(16, "big"), "grant": number.to_bytes(32, "big")}
        flows.receipts.close(turn.vault, replace(own, **other))


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
        unused = text_of(await client.get("/consents"))
        assert "Last access none declared yet Accesses 0 declared" in unused
        assert "Senders declare what they sent once a day" in unused
        french = text_of(await client.get("/consents", headers={"accept-language": "fr"}))
        assert "Dernier accès aucun déclaré pour l’instant Accès 0 déclaré" in french
        assert ("Actif" in french, "Active" in french) == (True, False)  # a consent is masculine
        assert "No transfer has been declared yet." in text_of(await client.get("/trail"))
        given = re.search(r"What happened (.*?) You allowed it", text_of(await client.get(f"/consents/{scene.made}")))
        assert given is not None
        assert re.fullmatch(r"\d+ \w+ \d{4}", given[1])  # the day alone: a grant is dated to the hour, on purpose
        assert (await do(scene.bob, "data send", consent=scene.made)).state == "done"
        await site.act(crowd)
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
        assert "none declared" not in shown
        assert "Sendings: 1, newest first" in text_of(await client.get("/trail"))
        assert "Host received data (96 values)" in text_of(await client.get(f"/consents/{scene.made}"))


ONWARD = json.dumps({"onward_sharing": {"mode": "depth", "depth": 1}}).encode()


@pytest.mark.covers("R101")
async def test_what_a_recipient_passed_on_is_shown_and_stopped_alone(tmp_path: Path) -> None:
    async with street(tmp_path, terms=ONWARD) as scene:
        client, own = scene.client, f"/consents/{scene.made}"
        assert "Host may pass your data on, and has not done so" in text_of(await client.get(own))
        assert (await do(scene.bob, "data send", consent=scene.made)).state == "done"
        passed = await do(scene.node, "consent pass-on", id=scene.made, recipient="bob", contact="dpo@bob.example")
        shown = text_of(await client.get("/trail"))
        assert ("Sendings: 1, newest first" in shown, "passed on by" in shown) == (True, False)
        shown = text_of(await client.get(own))
        assert f"Host decided to pass your data on to bob under consent {passed.id[:8]}" in shown
        assert "From Host to bob Active Host decided this under your consent." in shown
        assert "No sending is known here yet." in shown
        await until(lambda: state_of(scene.bob, passed.id) == "GRANTED")
        assert (await do(scene.node, "data send", consent=passed.id)).state == "done"
        page = await client.get("/trail")
        shown = text_of(page)
        assert "Sendings: 2, newest first" in shown
        assert "(96 values) Host Advice on heating passed on by Host, under consent" in shown
        assert page.text.count(f'href="{own}"') == 2  # both stand under her own consent
        assert f'href="{own}#onward-{passed.id}"' in page.text
        detail = await client.get(own)
        assert f"Host passed data on to bob under consent {passed.id[:8]} (96 values)" in text_of(detail)
        assert f'id="onward-{passed.id}"' in detail.text
        assert "Sendings: 1, the last on" in text_of(detail)
        stop = f"{own}/onward/{passed.id}/stop"
        assert f'href="{stop}"' in detail.text
        other = httpx.AsyncClient(transport=client._transport, base_url=URL, headers=ENGLISH)
        await account(other, scene.node, "bert", OTHER)
        for path in (stop, f"{own}/onward/{scene.made}/stop", f"{own}/onward/x/stop"):
            who = other if path == stop else client
            assert (await who.get(path)).status_code == 404, path
            assert (await post(who, path, {}, seen="/account")).status_code == 404, path
        asked = text_of(await client.get(stop))
        assert "Host passes your data on to bob." in asked
        assert "Your own consent stays: Host goes on receiving data." in asked
        assert state_of(scene.bob, passed.id) == "GRANTED"  # looking changes nothing
        done = await post(client, stop, {}, seen=stop)
        assert done.headers["location"] == f"{own}#onward"
        shown = text_of(await client.get(own))
        assert "You stopped what Host passed on to bob" in shown
        assert "From Host to bob Withdrawn by you" in shown
        assert "Withdraw this consent" in shown  # her own goes on
        assert (await client.get(stop)).status_code == 404
        await until(lambda: state_of(scene.bob, passed.id) == "WITHDRAWN")


async def test_what_only_claims_to_pass_on_or_to_hand_on_is_not_shown(tmp_path: Path) -> None:
    async with street(tmp_path, terms=ONWARD) as scene:
        client, own = scene.client, f"/consents/{scene.made}"
        before = text_of(await client.get(own))

        def claim(turn: Any, flows: Any) -> Any:
            """As the holder, pass on what came under her consent, and hand it on with keys that it never had."""
            parent = turn.core.replica.grant(turn.rows, bytes.fromhex(scene.made))
            voice = flows.tenants.voice(turn, "")
            payload = dict(parent.payload) | {"parent": parent.id, "holder": list(voice.party)}
            thief = Wallet(b"t" * 32)
            turn.register(make_rekey(thief.consent_key(parent.thing[1]), parent, thief, shown(turn)))
            return state(turn, voice, "consent.grant", ("consent", b"c" * 16), payload)

        mesh = scene.bob.mesh()
        made = await mesh.engine.act(lambda turn: claim(turn, mesh.flows))
        with trio.fail_after(20):
            while not await scene.site.read(lambda turn, _: turn.core.replica.grant(turn.rows, made.id) is not None):
                await trio.sleep(0.02)
        assert await scene.site.read(
            lambda turn, _: [one.id for one in children_of(turn, bytes.fromhex(scene.made))]
        ) == [made.id]
        assert text_of(await client.get(own)) == before


async def test_keys_at_home_stop_a_passing_on_and_what_began_before_a_hand_over_ends_with_the_whole(
    tmp_path: Path,
) -> None:
    async with street(tmp_path, terms=ONWARD) as scene:
        client, own = scene.client, f"/consents/{scene.made}"
        first, second = [
            (await do(scene.node, "consent pass-on", id=scene.made, recipient="bob", contact="dpo@bob.example")).id
            for _ in range(2)
        ]
        words = await take_away(client)
        stop = f"{own}/onward/{first}/stop"
        wrong = await post(client, stop, {"words": "hello"}, seen=stop)
        assert (wrong.status_code, "Yes, stop it" in wrong.text) == (422, True)
        assert (await post(client, stop, {"words": words}, seen=stop)).status_code == 303
        assert "You stopped what Host passed on to bob" in text_of(await client.get(own))
        bea = httpx.AsyncClient(transport=client._transport, base_url=URL, headers=ENGLISH)
        await account(bea, scene.node, "bea")
        text, _ = written(await post(bea, "/take-over", {"number": scene.made}, seen="/take-over"))
        form = {"heir": text, "words": words}
        assert (await post(client, f"{own}/hand-on/confirm", form, seen=f"{own}/hand-on")).status_code == 303
        shown = await bea.get(own)
        assert "It began before this consent was handed on to you" in text_of(shown)
        assert f"{second}/stop" not in shown.text
        assert "Stop this alone" not in text_of(await client.get(own))
        third = (await do(scene.node, "consent pass-on", id=scene.made, recipient="bob", contact="dpo@b.example")).id
        stop = f"{own}/onward/{third}/stop"
        assert (await post(bea, stop, {}, seen=stop)).status_code == 303
        narrow = f"{own}/narrow"
        assert (await post(bea, f"{narrow}/confirm", {"onward": "yes"}, seen=narrow)).status_code == 303
        after = text_of(await bea.get(own))
        assert "From Host to bob Not allowed by your consent" in after
        assert "Stop this alone" not in after
        assert (await do(scene.node, "data send", consent=second)).reason == "SHARING_FORBIDDEN"
        assert (await post(bea, f"{own}/withdraw", {}, seen=own)).status_code == 303
        assert "Ended with the other" in text_of(await bea.get(own))


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
        assert "1 time, your data were accessed without a consent" in home
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
