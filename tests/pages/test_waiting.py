"""Consents that wait to be published, on the pages: said, listed, printed, taken back, by her account or her slip."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.errors import LocalError
from node.core import Turn
from node.pages.settings import Language
from tests.node.nodes import do
from tests.pages.test_application import post
from tests.pages.test_languages import faults
from tests.pages.test_people import OTHER, PRM, living, take_away, text_of

PURPOSES = ("Attic", "Cellar", "Garden")
WINDOW = 600


@asynccontextmanager
async def apart(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Any, str]]:
    """Run pages of a node that publishes consents apart, and have three things asked; give the screen's address too."""
    async with living(tmp_path) as (client, node, site):
        site.mesh.flows.spreading.seconds = WINDOW
        here = {"as_tenant": "advice", "holder": "Host", "contact": "a@b.example", "point": (PRM, OTHER)}
        for purpose in PURPOSES:
            await do(node, "consent request", purpose=purpose, kind="daily", **here)
        link = re.search(r'href="(/requests/[^"]+)"', (await client.get("/requests")).text)
        assert link is not None
        yield client, node, link[1]


async def ids_asked(client: httpx.AsyncClient, link: str) -> dict[str, str]:
    """Return the requests on the screen by their purposes."""
    page = (await client.get(link)).text
    found = re.findall(r'name="allow" value="([0-9a-f]{64})".*?switch-purpose">(\w+)<', page)
    return {purpose: ident for ident, purpose in found}


async def give(client: httpx.AsyncClient, link: str, purposes: tuple[str, ...], **more: Any) -> httpx.Response:
    """Answer with yes."""
    asked = await ids_asked(client, link)
    form = {"give": [asked[purpose] for purpose in purposes], **more}
    answer: httpx.Response = await post(client, f"{link}/answer", form, seen=link)
    assert answer.status_code == 200, text_of(answer)
    return answer


async def states(node: Any) -> list[str]:
    """Return how the consents stand."""
    return sorted(line.state for line in (await do(node, "consent list")).consents)


def waiting_in(page: httpx.Response) -> list[str]:
    """Return the addresses of what waits, as a page links to them."""
    return sorted(set(re.findall(r'href="(/waiting/[0-9a-f]{64})"', page.text)))


async def pass_window(node: Any) -> None:
    """Have all that waits be looked at as if the window had passed."""
    mesh = node.mesh("")

    def later(turn: Turn) -> None:
        turn.now_ms += WINDOW * 1_000
        turn.now += WINDOW
        mesh.flows.spreading.look(turn)

    for _ in PURPOSES:  # one of a wallet at a time
        await mesh.engine.act(later)


@pytest.mark.parametrize("lang", ["en", "fr"])
async def test_what_waits_is_said_listed_and_taken_back(tmp_path: Path, lang: Language) -> None:
    async with apart(tmp_path) as (client, node, link):
        client.headers["accept-language"] = lang
        answer = await give(client, link, PURPOSES)
        said = {"en": "will be published by", "fr": "sera publié au plus tard le"}[lang]
        assert text_of(answer).count(said) == 2
        assert await states(node) == ["active", "waiting", "waiting"]
        assert "/requests/" not in (await client.get("/requests")).text, "all three are answered"
        listed = await client.get("/consents")
        assert text_of(listed).count(said) == 2
        first, second = waiting_in(listed)
        assert waiting_in(answer) == [first, second]
        consent = first.replace("waiting", "consents")
        assert (await client.get(consent)).headers["location"] == first
        for path in (first, f"{consent}/slip", "/consents"):
            page = await client.get(path)
            assert page.status_code == 200
            assert faults(lang, path, page) == []
        for path in ("receipt", "narrow", "hand-on", "withdraw"):
            assert (await client.get(f"{consent}/{path}")).status_code == 404, path
        gone = await post(client, first, {}, seen=first)
        assert gone.headers["location"] == "/taken-back"
        page = await client.get("/taken-back")
        assert faults(lang, "/taken-back", page) == []
        assert {"en": "never published", "fr": "jamais été publié"}[lang] in text_of(page)
        assert await states(node) == ["active", "waiting"]
        asked = await ids_asked(client, link)
        assert len(asked) == 1, "what was taken back can be answered again"
        await pass_window(node)
        assert await states(node) == ["active", "active"]
        assert (await client.get(second)).headers["location"] == second.replace("waiting", "consents")
        late = await post(client, second, {}, seen="/consents")
        assert late.headers["location"] == second.replace("waiting", "consents") + "/withdraw"
        assert (await client.get(late.headers["location"])).status_code == 200


async def test_a_yes_given_with_a_no_waits(tmp_path: Path) -> None:
    async with apart(tmp_path) as (client, node, link):
        asked = await ids_asked(client, link)
        await give(client, link, ("Attic",), refuse=asked["Cellar"])
        assert await states(node) == ["waiting"], "it would stand beside the refusal"


async def test_her_slip_takes_back_what_waits(tmp_path: Path) -> None:
    async with apart(tmp_path) as (client, node, link):
        (path,) = waiting_in(await give(client, link, PURPOSES[:2]))
        page = await client.get(path.replace("waiting", "consents") + "/slip")
        code = re.search(r'<p class="mono code">([^<]+)</p>', page.text)
        assert code is not None
        nobody = httpx.AsyncClient(transport=client._transport, base_url=client.base_url)
        shown = await post(nobody, "/withdraw", {"code": code[1]}, seen="/withdraw")
        assert shown.status_code == 200, text_of(shown)
        gone = await post(nobody, "/withdraw/confirm", {"code": code[1]}, seen="/withdraw")
        assert gone.headers["location"] == "/taken-back"
        assert await states(node) == ["active"]
        await pass_window(node)
        assert await states(node) == ["active"]


async def test_everything_of_one_organisation_includes_what_waits(tmp_path: Path) -> None:
    async with apart(tmp_path) as (client, node, link):
        await give(client, link, PURPOSES)
        party = link.rpartition("/")[2]
        page = await client.get(f"/organisations/{party}/withdraw")
        assert all(purpose in text_of(page) for purpose in PURPOSES)
        gone = await post(client, f"/organisations/{party}/withdraw", {}, seen=f"/organisations/{party}/withdraw")
        assert gone.headers["location"] == f"/organisations/{party}/ended"
        assert await states(node) == ["withdrawn"]


async def test_who_has_her_keys_alone_takes_back_by_her_words(tmp_path: Path) -> None:
    async with apart(tmp_path) as (client, node, link):
        words = await take_away(client)
        (path,) = waiting_in(await give(client, link, PURPOSES[:2], words=words))
        wrong = await post(client, path, {"words": "un deux"}, seen=path)
        assert (wrong.status_code, "There are 2 words" in text_of(wrong)) == (422, True)
        gone = await post(client, path, {"words": words}, seen=path)
        assert gone.headers["location"] == "/taken-back"
        assert await states(node) == ["active"]
        await give(client, link, PURPOSES[2:], words=words)
        await pass_window(node)
        assert await states(node) == ["active", "active"]


async def test_the_commands_say_by_when_and_take_back(tmp_path: Path) -> None:
    async with apart(tmp_path) as (_, node, _link):
        what = {"wallet": "anna", "recipient": "advice", "kind": "daily", "contact": "a@b.example"}
        first = await do(node, "consent grant", point=(PRM,), purpose="Attic", **what)
        assert (first.publishes, first.waits) == (None, "")
        second = await do(node, "consent grant", point=(PRM,), purpose="Cellar", lang="fr", **what)
        assert second.publishes is not None
        assert f"publié au plus tard à {second.publishes:%H:%M} UTC" in second.waits
        (line,) = [one for one in (await do(node, "consent list", wallet="anna")).consents if one.state == "waiting"]
        assert (line.id, line.publishes, line.purpose) == (second.id, second.publishes, "Cellar")
        shown = await do(node, "consent show", id=second.id[:10])
        assert (shown.line, "never published" in shown.waits, shown.decided_by) == (line, True, ())
        assert "Cellar" in shown.notice
        told = (await do(node, "consent list", as_tenant="advice")).consents
        assert [one.id for one in told] == [first.id], "the recipient hears of it when all do, also at this host"
        with pytest.raises(LocalError, match="No entry"):
            await do(node, "consent show", id=second.id, as_tenant="advice")
        with pytest.raises(LocalError, match="waits to be published") as caught:
            await do(node, "consent amend", id=second.id[:10], days=30)
        assert caught.value.code == "WAITS"
        gone = await do(node, "consent withdraw", id=second.id[:10])
        assert (gone.state, gone.entry) == ("never_published", "")
        third = await do(node, "consent grant", point=(PRM,), purpose="Garden", **what)
        assert (await do(node, "consent withdraw", slip=third.slip)).state == "never_published"
        assert await states(node) == ["active"]
