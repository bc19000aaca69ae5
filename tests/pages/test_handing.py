"""A consent is handed on and taken over on the pages: at one member, between two, with keys at home; and refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from ledger.consent.acts import make_rekey
from ledger.consent.wallet import Wallet
from node.flows.custody import shown
from node.keyfile import Cost
from node.pages.application import make_pages
from node.pages.own import look
from node.pages.reading import lines_of, notices
from node.pages.visit import Site
from tests.node.nodes import do, make_home, running, until
from tests.pages.test_application import SETTINGS, URL, post, visiting
from tests.pages.test_people import ENGLISH, account, grant, living, take_away, text_of

ON, OVER = "/consents/{}/hand-on", "/take-over"


def another(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Return another browser at the same pages."""
    return httpx.AsyncClient(transport=client._transport, base_url=URL, headers=ENGLISH)


def written(answer: httpx.Response) -> tuple[str, str]:
    """Return the text and the check number on a page of whoever takes over."""
    text = re.search(r"readonly>(heir1\.[\w-]+)</textarea>", answer.text)
    check = re.search(r"\d{4} \d{4} \d{4} \d{4}", answer.text)
    assert text is not None, text_of(answer)
    assert check is not None
    return text[1], check[0]


async def taken(client: httpx.AsyncClient, number: str, **more: str) -> tuple[str, str]:
    """Ask for the text with which a consent is taken over, and its check number."""
    return written(await post(client, OVER, {"number": number, **more}, seen=OVER))


async def test_a_consent_goes_from_one_person_to_another_of_the_same_member(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        bea = another(client)
        await account(bea, node, "bea")
        made = await grant(node)
        on = ON.format(made)
        page = await client.get(f"/consents/{made}")
        assert f'href="{on}"' in page.text
        assert made in text_of(await client.get(on))
        assert 'href="/consents" aria-current="page"' in (await bea.get(OVER)).text
        text, check = await taken(bea, f" {made[:30].upper()}\n{made[30:]} ")
        shown = await post(client, on, {"heir": f"{text[:40]}\n {text[40:]}"}, seen=on)
        told = text_of(shown)
        assert (check in told, "Where they decide Host" in told) == (True, True)
        assert "checked" not in shown.text
        assert "Withdraw this consent" in text_of(await client.get(f"/consents/{made}"))  # nothing has changed yet
        done = await post(client, f"{on}/confirm", {"heir": text}, seen=on)
        assert done.headers["location"] == f"/consents/{made}"
        hers = text_of(await client.get(f"/consents/{made}"))
        assert "other keys than yours decide on it now" in hers
        assert "It was handed on, to somebody at Host" in hers
        for path in (on, f"{on}/confirm"):
            again = await post(client, path, {"heir": text}, seen="/account")
            assert again.status_code == 404
        theirs = text_of(await bea.get(f"/consents/{made}"))
        assert all(words in theirs for words in ("Withdraw this consent", "Advice on heating", "It was allowed"))
        assert "Taken over by bea" in text_of(await bea.get(f"/consents/{made}/receipt"))
        straight = await post(bea, OVER, {"number": made}, seen=OVER)
        assert straight.headers["location"] == f"/consents/{made}"  # hers already
        back, _ = await taken(client, made)
        assert (await post(bea, f"{on}/confirm", {"heir": back}, seen=on)).status_code == 303
        assert "Withdraw this consent" in text_of(await client.get(f"/consents/{made}"))
        assert "Given by anna" in text_of(await client.get(f"/consents/{made}/receipt"))


async def told_at_home(client: httpx.AsyncClient) -> str:
    """Return what a person is told under "Good to know" when she comes, or nothing."""
    home = text_of(await client.get("/"))
    return home[home.index("Good to know") : home.index("Your consents today")] if "Good to know" in home else ""


async def test_a_consent_that_changed_hands_lately_is_told_at_home(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, site):
        bea = another(client)
        await account(bea, node, "bea")
        made = await grant(node)
        for who in (client, bea):
            assert await told_at_home(who) == ""
        await do(node, "consent rekey", id=made, to="bea")
        gone = "This consent was handed on. Other keys than yours decide on it now"
        come = "This consent was handed on to you. You decide on it now: advice – Advice on heating"
        assert gone in await told_at_home(client)
        assert come in await told_at_home(bea)
        assert f'href="/consents/{made}"' in (await client.get("/")).text
        french = text_of(await client.get("/", headers={"accept-language": "fr"}))
        assert "D’autres clés que les vôtres en décident à présent" in french
        await do(node, "consent rekey", id=made, to="anna")
        assert come in await told_at_home(client)
        assert gone in await told_at_home(bea)

        def later(turn: Any, flows: Any) -> list[list[str]]:
            turn.now += 31 * 86_400
            persons = filter(None, (site.people.get(turn.vault, name) for name in ("anna", "bea")))
            owns = [look(turn, flows, site.people, person) for person in persons]
            return [[one.kind for one in notices(turn, flows, lines_of(turn, each), "en")] for each in owns]

        assert await site.read(later) == [[], []]
        await do(node, "consent revoke", id=made, as_tenant="advice", why="purpose_ended")
        assert "An organisation has ended this consent" in await told_at_home(client)
        assert gone not in await told_at_home(bea)


async def test_who_has_a_consent_that_was_handed_on_twice_is_told_and_withdraws_it(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        bea = another(client)
        await account(bea, node, "bea")
        made = await grant(node)
        mesh, on = node.mesh(), ON.format(made)
        seed = await mesh.engine.read(lambda turn: mesh.flows.life.wallet(turn, "anna").seed)
        await do(node, "consent rekey", id=made, to="bea")
        assert (await do(node, "consent show", id=made)).contested == ""

        def steal(turn: Any) -> None:
            """With a copy of anna's seed, hand it on once more."""
            found = turn.core.replica.grant(turn.rows, bytes.fromhex(made))
            by, thief = Wallet(seed).consent_key(found.thing[1]), Wallet(b"t" * 32)
            turn.register(make_rekey(by, found, thief, shown(turn)))

        await mesh.engine.act(steal)
        for who in (client, bea):
            assert "Somebody handed this consent on twice, to different keys." in await told_at_home(who)
            page = text_of(await who.get(f"/consents/{made}"))
            assert ("Perhaps an old key was stolen" in page, "Withdraw this consent" in page) == (True, True)
            assert all(act not in page for act in ("Narrow it", "Hand it on"))
            for path in (on, f"/consents/{made}/narrow"):
                assert (await who.get(path)).status_code >= 400
        french = {"accept-language": "fr"}
        assert "a remis ce consentement deux fois" in text_of(await bea.get("/", headers=french))
        assert "retirez-le et redonnez-le" in text_of(await bea.get(f"/consents/{made}", headers=french))
        assert "perhaps an old key was stolen" in (await do(node, "consent show", id=made)).contested
        assert "peut-être été volée" in (await do(node, "consent show", id=made, lang="fr")).contested
        carl = another(client)
        await account(carl, node, "carl")
        answer = await post(carl, OVER, {"number": made}, seen=OVER)
        assert (answer.status_code, "Nobody can take it over" in text_of(answer)) == (422, True)
        withdrawn = await post(bea, f"/consents/{made}/withdraw", {}, seen=f"/consents/{made}/withdraw")
        assert withdrawn.status_code == 303
        for who in (client, bea):
            assert "handed this consent on twice" not in await told_at_home(who)
        assert (await do(node, "consent show", id=made)).line.state == "withdrawn"


async def test_what_is_wrong_is_said_and_changes_nothing(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        bea = another(client)
        await account(bea, node, "bea")
        made, other = await grant(node), await grant(node, purpose="A second one")
        on = ON.format(made)
        text, _ = await taken(bea, made)
        elsewhere, _ = await taken(bea, other)
        for wrong, told in (
            ("", "This is not the text"),
            (text[:-3], "This is not the text"),
            ("x" * 600, "This is not the text"),
            (elsewhere, "This text was made for another consent"),
        ):
            answer = await post(client, on, {"heir": wrong}, seen=on)
            assert (answer.status_code, told in text_of(answer)) == (422, True), wrong
            assert 'aria-invalid="true"' in answer.text
            assert (await post(client, f"{on}/confirm", {"heir": wrong}, seen=on)).status_code == 409
        for number, told in (
            ("12ab", "too short or too long"),
            ("é" * 64, "too short or too long"),
            ("0" * 64, "No consent of this number is known here"),
        ):
            answer = await post(bea, OVER, {"number": number}, seen=OVER)
            assert (answer.status_code, told in text_of(answer)) == (422, True), number
        stolen = await post(bea, f"{on}/confirm", {"heir": text}, seen="/account")
        assert (stolen.status_code, (await bea.get(on)).status_code) == (404, 404)
        foreign = await client.post(f"{on}/confirm", data={"heir": text}, headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403
        assert {line.state for line in (await do(node, "consent list", wallet="anna")).consents} == {"active"}
        assert "Withdraw this consent" in text_of(await client.get(f"/consents/{made}"))
        await post(client, f"/consents/{made}/withdraw", {}, seen="/account")
        answer = await post(bea, OVER, {"number": made}, seen=OVER)
        assert (answer.status_code, "This consent has ended" in text_of(answer)) == (422, True)
        assert (await post(client, on, {"heir": text}, seen="/account")).status_code == 404


async def test_keys_at_home_hand_on_and_take_over_by_their_words(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, site):
        bea = another(client)
        await account(bea, node, "bea")
        made = await grant(node)
        on, hers = ON.format(made), await take_away(client)
        theirs = await take_away(bea)
        none = await post(bea, OVER, {"number": made, "words": "hello"}, seen=OVER)
        assert (none.status_code, made in none.text, "There are 1 words" in text_of(none)) == (422, True, True)
        text, check = await taken(bea, made, words=theirs)
        assert check in text_of(await post(client, on, {"heir": text}, seen=on))
        wrong = await post(client, f"{on}/confirm", {"heir": text, "words": theirs}, seen=on)
        assert (wrong.status_code, f'name="heir" value="{text}"' in wrong.text) == (422, True)
        done = await post(client, f"{on}/confirm", {"heir": text, "words": hers}, seen=on)
        assert done.status_code == 303
        assert (await bea.get(f"/consents/{made}")).status_code == 404  # nobody here can know that it is Bea's
        fetched = await post(bea, OVER, {"number": made, "words": theirs}, seen=OVER)
        assert fetched.headers["location"] == f"/consents/{made}"
        assert "Withdraw this consent" in text_of(await bea.get(f"/consents/{made}"))
        assert "other keys than yours" in text_of(await client.get(f"/consents/{made}"))
        assert await site.read(lambda turn, flows: flows.wallets.away(turn.vault, "bea")) is not None
        end = f"/consents/{made}/withdraw"
        assert (await post(bea, end, {"words": theirs}, seen=end)).status_code == 303


@asynccontextmanager
async def two(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Any, httpx.AsyncClient, Any]]:
    """Run pages at two members of one mesh; give a browser and the node of each."""
    async with (
        visiting(tmp_path) as (client, node, _),
        running(make_home(tmp_path / "bob", "bob")) as bob,
    ):
        ticket = await do(node, "invite create", to=str(bob.root_key().did))
        assert (await do(bob, "join", ticket=ticket.ticket)).answer == "ADMITTED"
        await until(lambda: bool(node.mesh().engine.connected) and bool(bob.mesh().engine.connected))
        bob.config = msgspec.structs.replace(bob.config, pages=SETTINGS)
        site = Site(bob, SETTINGS, Cost(1, 8_192))
        transport = httpx.ASGITransport(make_pages(site), client=("192.0.2.8", 1))
        async with httpx.AsyncClient(transport=transport, base_url=URL, headers=ENGLISH) as there:
            client.headers.update(ENGLISH)
            yield client, node, there, bob


@pytest.mark.covers("R49")
async def test_a_person_moves_a_consent_to_another_member(tmp_path: Path) -> None:
    async with two(tmp_path) as (client, node, there, bob):
        await account(client, node, "anna", "prm:00000000000001")
        await account(there, bob, "anna b")
        await do(node, "tenant init", name="advice")
        await do(node, "tenant host", tenant="advice")
        made = await grant(node, point=("prm:00000000000001",))
        narrow = f"/consents/{made}/narrow"
        assert (await post(client, f"{narrow}/confirm", {"step": "P1D"}, seen=narrow)).status_code == 303
        on = ON.format(made)
        with trio.fail_after(20):
            while (answer := await post(there, OVER, {"number": made}, seen=OVER)).status_code != 200:
                await trio.sleep(0.02)
        text, check = written(answer)
        told = text_of(await post(client, on, {"heir": text}, seen=on))
        assert (check in told, "Where they decide bob" in told, "bob can read what this consent says" in told) == (
            True,
            True,
            True,
        )
        assert (await post(client, f"{on}/confirm", {"heir": text}, seen=on)).status_code == 303
        with trio.fail_after(20):
            while "Finest step 1 day" not in text_of(page := await there.get(f"/consents/{made}")):
                await trio.sleep(0.02)  # what narrowed it came along
        assert "Advice on heating" in text_of(page)
        assert "Withdraw this consent" in text_of(page)
        assert "It was handed on, to somebody at bob" in text_of(await client.get(f"/consents/{made}"))
        assert (await post(there, f"{narrow}/confirm", {"step": "P1M"}, seen=narrow)).status_code == 303
        assert "Finest step 1 month" in text_of(await there.get(f"/consents/{made}"))

        def forget(turn: Any) -> None:
            (ident, *_) = turn.core.replica.consent(turn.rows, bytes.fromhex(made)).amended
            bob.mesh().flows.consents.erase(turn.vault, ident, turn.core.party, None)

        assert "How, is not known here" not in text_of(await there.get(f"/consents/{made}"))
        await bob.mesh().engine.act(forget)
        assert "How, is not known here" in text_of(await there.get(f"/consents/{made}"))
        assert (await post(there, f"/consents/{made}/withdraw", {}, seen="/account")).status_code == 303
        with trio.fail_after(20):
            while "Withdrawn" not in text_of(await client.get("/consents?tab=past")):
                await trio.sleep(0.02)
