"""A person who had to sign somebody else's consent leaves it on her pages, by one act, in her language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from node.pages.settings import Language
from tests.node.nodes import do
from tests.pages.test_application import post
from tests.pages.test_languages import faults
from tests.pages.test_people import grant, living, take_away, text_of

YES: dict[Language, str] = {"en": "Leave this consent?", "fr": "Quitter ce consentement ?"}
LEFT: dict[Language, str] = {"en": "You left this consent", "fr": "Vous avez quitté ce consentement"}
GONE: dict[Language, str] = {"en": "You left it.", "fr": "Vous l’avez quitté."}


async def signed(node: Any, **values: Any) -> str:
    """Give a consent from bert's wallet that needs anna's signature, and have her sign it; return its id."""
    await do(node, "wallet create", name="bert")
    key = (await do(node, "delegation key", wallet="anna")).key
    made = await grant(node, wallet="bert", require=(key,), **values)
    assert (await do(node, "consent sign", id=made, wallet="anna")).state == "granted"
    return made


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("own", [False, True])
async def test_she_leaves_by_one_act(tmp_path: Path, lang: Language, own: bool) -> None:
    async with living(tmp_path) as (client, node, _):
        assert 'href="/signed"' not in (await client.get("/consents")).text
        assert "You have signed nothing" in text_of(await client.get("/signed"))
        made = await signed(node)
        form = {"words": await take_away(client)} if own else {}
        client.headers["accept-language"] = lang
        consents = await client.get("/consents")
        assert 'href="/signed"' in consents.text
        listed, path = await client.get("/signed"), f"/signed/{made}"
        assert f'href="{path}"' in listed.text
        asked = await client.get(path)
        assert YES[lang] in text_of(asked)
        assert "heating" not in asked.text, "what it says is sealed"
        if own:
            wrong = await post(client, path, {"words": "abandon " * 24}, seen=path)
            assert wrong.status_code == 422
            assert await state(node, made) == "active"
        done = await post(client, path, form, seen=path)
        assert done.headers["location"] == path
        assert await state(node, made) == "revoked"
        after = await client.get(path)
        assert LEFT[lang] in text_of(after)
        assert '<form method="post" action="/signed' not in after.text
        again = await client.get("/signed")
        assert GONE[lang] in text_of(again)
        found = [fault for page in (consents, listed, asked, after, again) for fault in faults(lang, path, page)]
        assert found == []


async def state(node: Any, consent: str) -> str:
    """Return how a consent stands."""
    (line,) = [one for one in (await do(node, "consent list")).consents if one.id == consent]
    return str(line.state)


async def test_nobody_leaves_what_she_did_not_have_to_sign(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        made = await grant(node)
        for answer in (await client.get(f"/signed/{made}"), await post(client, f"/signed/{made}", {}, seen="/account")):
            assert isinstance(answer, httpx.Response)
            assert answer.status_code == 404
        assert await state(node, made) == "active"


async def test_an_operator_has_a_wallet_leave(tmp_path: Path) -> None:
    async with living(tmp_path) as (_, node, _):
        made = await signed(node)
        left = await do(node, "consent leave", id=made[:12], wallet="anna", reason="I moved")
        assert (left.id, left.state) == (made, "revoked")
        assert await state(node, made) == "revoked"
