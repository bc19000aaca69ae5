"""Every page in French holds no English, and every page in English no French.

Two nets: the catalogue of the templates (each `say(english, french)` in them), and small words that stand in nearly
every sentence of one language and in none of the other. What parties wrote (names, purposes) is neither here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from jinja2 import Environment, nodes

from node.pages.application import ROUTES
from node.pages.rendering import HERE, Renderer
from node.pages.settings import LANGUAGES, Language
from node.seed_words import seed_of_words, words_of_seed
from tests.node.nodes import do
from tests.pages.test_application import PASSPHRASE, URL, post
from tests.pages.test_people import OTHER, PRM, grant, living, take_away, text_of

SMALL: Final[dict[Language, str]] = {
    "en": "the you your yours of with and from which this these is are was were have has not who what when by for will "
    "it they their must can may at to in if each every none nobody write see yes day days month year until since",
    "fr": "le la les un une des du de vous votre vos qui que quoi pour par dans avec sans est sont ont sur ne pas ce "
    "cette ces il elle et ou où chez leur leurs au aux jusqu depuis jour jours mois",
}
"""Words of one language that the other does not write."""
NAMES: Final = re.compile("English|Français|Défenseur des droits")
"""Names that are in their own language everywhere."""
CODES: Final = re.compile(r"\b[A-Z]+_[A-Z_]+\b")
"""Codes of errors, which operators look up."""
MACHINES: Final = re.compile(r"\S*\d\S*")
"""What holds a digit: dates, numbers, and drawn codes, of which two letters may be a word by chance (`G01SR-NE`)."""
FRAGMENT_MIN: Final = 10
"""Characters of a piece of a sentence that is looked for."""
FORMAT: Final = re.compile(r"%[sd]")


def catalogue() -> Iterator[tuple[str, str]]:
    """Yield each (English, French) of the templates."""
    environment = Environment()
    for path in sorted((HERE / "templates").iterdir()):
        for call in environment.parse(path.read_text("utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "say":
                english, french = (argument.value for argument in call.args if isinstance(argument, nodes.Const))
                yield english, french


@lru_cache(maxsize=2)
def pieces(lang: Language) -> set[str]:
    """Return the pieces of sentences of the other language that must not stand on a page of this one."""
    pairs = [pair if lang == "fr" else pair[::-1] for pair in catalogue()]
    own = " ".join(" ".join(own.split()) for _, own in pairs)
    found = {" ".join(piece.split()) for foreign, _ in pairs for piece in FORMAT.split(foreign)}
    return {piece for piece in found if len(piece) >= FRAGMENT_MIN and piece not in own}


def foreign_words(lang: Language, page: str) -> set[str]:
    """Return small words of the other language that stand on a page."""
    other: Language = "en" if lang == "fr" else "fr"
    return set(re.findall(r"\b[a-zàâçéèêëîïôûùü]+\b", MACHINES.sub(" ", page.casefold()))) & (
        set(SMALL[other].split()) - set(SMALL[lang].split())
    )


def faults(lang: Language, where: str, answer: httpx.Response) -> list[str]:
    """Return what is wrong with the language of a page."""
    page = CODES.sub("", NAMES.sub("", text_of(answer)))
    assert f'<html lang="{lang}"' in answer.text, where
    found = [f"{where}: {piece!r}" for piece in pieces(lang) if piece in page]
    for word in sorted(foreign_words(lang, page)):
        at = re.search(rf"(?i)\b{word}\b", page)
        found.append(f"{where}: {page[max(0, at.start() - 40) : at.end() + 40] if at is not None else word!r}")
    return found


def test_the_catalogue_is_whole_and_the_nets_catch() -> None:
    pairs = list(catalogue())
    assert len(pairs) > 300
    for english, french in pairs:
        assert FORMAT.findall(english) == FORMAT.findall(french), (english, french)
        assert english.strip(), french
        assert french.strip(), english
        assert "'" not in french, f"a French apostrophe is ’: {french}"
        assert not foreign_words("fr", NAMES.sub("", french)), (french, foreign_words("fr", NAMES.sub("", french)))
        assert not foreign_words("en", NAMES.sub("", english)), (english, foreign_words("en", NAMES.sub("", english)))
    assert foreign_words("fr", "Write to somebody") == {"write", "to"}
    assert foreign_words("en", "J5P-2RWME-8Z89H-G01SR-NE is the code, 30 jours") == {"jours"}
    assert "You need no account. The code stands on the slip that you received with your consent." in pieces("fr")


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_every_page_speaks_one_language(tmp_path: Path, lang: Language) -> None:
    async with living(tmp_path) as (client, node, _):
        client.headers["accept-language"] = lang
        found = [*(await before_login(client, node, lang)), *(await acts(client, node, lang))]
        crawled, more = await crawl(client, lang)
        words = await take_away(client, said=False)
        again, last = await crawl(client, lang)
        assert "\n".join(dict.fromkeys(found + more + last)) == ""
        assert len(seed_of_words(words)) == 32
        assert len(crawled) > 25
        assert "/account/keys" in again
        patterns = [re.compile(re.sub(r"\{\w+\}", "[^/]+", row.path) + "$") for row in ROUTES if not row.post]
        seen = {path.partition("?")[0] for path in crawled | again}
        missed = {one.pattern for one in patterns if not any(one.match(path) for path in seen)}
        assert missed <= ELSEWHERE


ELSEWHERE: Final = {
    *("/login$", "/join/[^/]+$", "/oidc/start$", "/oidc/callback$", "/account/keys/check$"),
    *(
        "/signed$",
        "/signed/[^/]+$",
        "/consents/[^/]+/ended/live$",
        "/organisations/[^/]+/ended$",
        "/organisations/[^/]+/ended/live$",
    ),
    *("/withdrawn/[^/]+/[^/]+$", "/withdrawn/[^/]+/[^/]+/live$", "/waiting/[^/]+$", "/taken-back$"),
}
"""Pages to which no link leads: those shown after a form, looked at by `acts` and `before_login`, and their pieces."""


async def crawl(client: httpx.AsyncClient, lang: Language) -> tuple[set[str], list[str]]:
    """Follow every link from the first page on; return the paths seen, and what is wrong."""
    seen, waiting, found = set[str](), ["/", "/withdraw", "/alarms", "/nowhere"], list[str]()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        answer = await client.get(path, follow_redirects=True)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        found += faults(lang, path, answer)
        links = re.findall(r'<a [^>]*href="(/[^"#]*)"', answer.text)
        waiting += [
            link
            for link in dict.fromkeys(links)
            if link not in seen | set(waiting) and not link.startswith("/language/")
        ]
    return seen, found


async def before_login(client: httpx.AsyncClient, node: Any, lang: Language) -> list[str]:
    """Look at what people see who are not logged in, and at every error."""
    stranger = httpx.AsyncClient(transport=client._transport, base_url=URL, headers={"accept-language": lang})
    link = (await do(node, "pages invite", name="bert")).link.removeprefix(URL)
    pages = [await stranger.get(path) for path in ("/", "/login", link, "/join/x", "/withdraw")]
    pages.append(await post(stranger, "/login", {"name": "bert", "passphrase": "x"}))
    for chosen in ("short", "motdepasse123", "a" * 201):
        pages.append(await post(stranger, link, {"passphrase": chosen, "again": chosen}, seen=link))
    pages.append(await post(stranger, link, {"passphrase": PASSPHRASE, "again": "x"}, seen=link))
    pages += [await post(stranger, "/withdraw", {"code": code}, seen="/withdraw") for code in ("", "U" * 70, "é")]
    pages.append(await stranger.post("/login", data={}))
    found = [fault for page in pages for fault in faults(lang, str(page.request.url), page)]
    source = (HERE / "templates" / "error.html").read_text("utf-8")
    for code in [*re.findall(r'^  "([A-Z_]+)":', source, re.MULTILINE), "WHATEVER"]:
        text = Renderer().page("error.html", lang, 0, **BARE, code=code)
        found += faults(lang, code, httpx.Response(200, text=text.replace(code, "")))
    return found


BARE: Final[dict[str, Any]] = {
    **{"person": None, "custody": "host", "host": "Host", "contact": "", "site_url": URL, "languages": LANGUAGES},
    **{"token": "", "path": "/", "here": "", "login_with": ""},
}


async def acts(client: httpx.AsyncClient, node: Any, lang: Language) -> list[str]:
    """Do what a person can do, looking at each page on the way."""
    found: list[str] = []

    async def send(path: str, form: dict[str, Any], seen: str) -> httpx.Response:
        answer: httpx.Response = await post(client, path, form, seen=seen)
        if answer.status_code == 303:
            answer = await client.get(answer.headers["location"])
        found.extend(faults(lang, f"POST {path} {sorted(form)}", answer))
        return answer

    here = {"as_tenant": "advice", "holder": "Host", "contact": "a@b.example", "point": (PRM, OTHER)}
    for purpose, kind in (("Xylo 1", "daily"), ("Xylo 2", "load_curve"), ("Xylo 3", "index")):
        await do(node, "consent request", purpose=purpose, kind=kind, **here)
    soon, kept, gone, over = [
        await grant(node, purpose=f"Xylo {number}", days=days) for number, days in ((4, 5), (5, 300), (6, 25), (7, 60))
    ]
    await do(node, "consent revoke", id=over, as_tenant="advice", why="purpose_ended")
    (link,) = set(re.findall(r'href="(/requests/[^"]+)"', (await client.get("/requests")).text))
    ids = re.findall(r'name="allow" value="([0-9a-f]{64})"', (await client.get(link)).text)
    await send(link, {"decision": "allow"}, link)
    await send(link, {"decision": "allow", "allow": ids[0]}, link)
    await send(link, {"decision": "part", "allow": ids[0], "days": "30"}, link)
    await send(link, {"decision": "refuse"}, link)
    await send(f"{link}/answer", {"give": ids[0], "refuse": ids[1], "days": "30"}, link)
    narrow = f"/consents/{kept}/narrow"
    for form in ({}, {"out": ["0", "1"]}, {"step": "P1D", "days": "91", "past": "yes", "out": "1", "retention": "P1M"}):
        await send(narrow, form, narrow)
    await send(f"{narrow}/confirm", {"step": "P1D", "days": "91", "past": "yes"}, narrow)
    ask = f"/rights/ask/{kept}"
    wrong: dict[str, Any] = {
        "right": "rectification",
        "to": "holder",
        "point": PRM,
        "at": "2026-01-31T00:00",
        "value": "x",
    }
    for form in ({}, {"right": "access"}, wrong, {**wrong, "value": "2"}, {"right": "erasure", "to": "everywhere"}):
        await send(ask, form, ask)
    asked = (await do(node, "rights list")).requests
    for one, outcome in zip(asked, ("partly", "refused", "extended"), strict=True):
        await do(node, "rights answer", id=one.id, outcome=outcome, text="Xylo", **tenant_of(one))
    shared = await grant(node, purpose="Xylo 8", terms=b'{"onward_sharing": {"mode": "depth", "depth": 1}}')
    handed = await grant(node, purpose="Xylo 9")
    pass_on = {"id": shared, "recipient": "Host", "contact": "a@b.example", "as_tenant": "advice"}
    stopped, _, _ = [await do(node, "consent pass-on", **pass_on) for _ in range(3)]
    await do(node, "consent pass-on", **{**pass_on, "as_tenant": "", "wallet": True})
    await send(f"/consents/{shared}/onward/{stopped.id}/stop", {}, f"/consents/{shared}/onward/{stopped.id}/stop")
    for number in ("x", "0" * 64, over, kept):
        await send("/take-over", {"number": number}, "/take-over")
    await do(node, "wallet create", name="bea")
    heir = (await do(node, "consent take-on", id=handed, wallet="bea")).heir
    for other, text in ((kept, heir), (handed, "x"), (handed, heir)):
        await send(f"/consents/{other}/hand-on", {"heir": text}, f"/consents/{other}/hand-on")
    await send(f"/consents/{handed}/hand-on/confirm", {"heir": heir}, f"/consents/{handed}/hand-on")
    await send("/take-over", {"number": handed}, "/take-over")
    await send(f"/consents/{gone}/withdraw", {}, f"/consents/{gone}/withdraw")
    slip = re.search(r'class="mono code">([^<]+)<', (await client.get(f"/consents/{soon}/slip")).text)
    assert slip is not None
    await send("/withdraw", {"code": slip[1]}, "/withdraw")
    for form in ({"current": "x"}, {"current": PASSPHRASE, "passphrase": "x", "again": "x"}):
        await send("/account/passphrase", form, "/account")
    await send("/account/keys/words", {"current": "x"}, "/account/keys")
    words = await post(client, "/account/keys/words", {"current": PASSPHRASE}, seen="/account/keys")
    text = re.sub(r'(?s)<ol class="words".*?</ol>', "", words.text)  # the words of a wallet are of both
    found.extend(faults(lang, "words", httpx.Response(200, text=text)))
    found.extend(faults(lang, "check", await client.get("/account/keys/check")))
    await send("/account/keys/check", {}, "/account/keys/check")
    await send("/account/keys/bring", {"words": words_of_seed(bytes(32))}, "/account/keys")
    return found


def tenant_of(request: Any) -> dict[str, str]:
    """Return as whom a request is answered."""
    return {"as_tenant": "advice"} if request.to == "advice" else {}


async def test_words_that_maille_put_into_a_consent_are_said_in_her_language(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        made = await grant(node)
        pages = [
            (await client.get(f"/consents/{made}/receipt", headers={"accept-language": lang})) for lang in LANGUAGES
        ]
        french, english = map(text_of, pages)
        for own, foreign in (
            ("at the recipient", "chez le destinataire"),
            ("write to a@b.example", "écrire à a@b.example"),
            ("with the paper slip at any member", "avec le bon en papier chez tout membre"),
        ):
            assert (own in english, foreign in english) == (True, False)
            assert (own in french, foreign in french) == (False, True)
        own_words = await grant(node, contact="Madame Xylo, rue du Port")
        assert "écrire à Madame Xylo, rue du Port" in text_of(
            await client.get(f"/consents/{own_words}/receipt", headers={"accept-language": "fr"})
        )
