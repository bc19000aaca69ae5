"""The citizen pages in Chromium, over real HTTPS, with four real nodes: every way through, in both languages.

Where there is no Chromium (MAILLE_CHROMIUM, else /usr/bin/chromium), these tests are skipped, and say so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from node.pages.limits import Limits
from tests.pages.town import ADVISER, CITY, HOLDER, HOST, PASSPHRASE, PRM, Town

CHROMIUM = os.environ.get("MAILLE_CHROMIUM", "/usr/bin/chromium")
AXE = Path(__file__).parent / "static" / "axe.min.js"
LOCALES = {"fr": "fr-FR", "en": "en-GB"}
FOCUSED = "([s, text]) => document.activeElement.matches(s) && document.activeElement.innerText.includes(text)"
SERIOUS = ("serious", "critical")

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).is_file(), reason=f"no Chromium at {CHROMIUM}: apt install chromium")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")).living() as living:
        yield living


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def visitor(browser: Browser, lang: str = "fr", **options: Any) -> BrowserContext:
    """Return a fresh browser profile that fails on a refused resource or script fault."""
    return browser.new_context(ignore_https_errors=True, locale=LOCALES[lang], **options)


def enter(town: Town, context: BrowserContext, name: str) -> Page:
    """Accept an invitation; return the page of a person who is logged in."""
    town.site.limits = Limits()  # all these people come from one address
    page = context.new_page()
    page.goto(town.url + town.invite(name, PRM))
    page.fill("#passphrase", PASSPHRASE)
    page.fill("#again", PASSPHRASE)
    page.click("main form button")
    expect(page).to_have_url(town.url + "/")
    return page


def serious(page: Page) -> list[str]:
    """Return what axe-core finds that is serious or critical."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    return [f"{page.url} {one['id']}: {one['nodes'][0]['html'][:120]}" for one in found if one["impact"] in SERIOUS]


def pages_of(town: Town, grant: str) -> list[str]:
    """Return every page that a person can open by a link."""
    own = f"/consents/{grant}"
    plain = ["/", "/requests", "/consents", "/consents?tab=past", "/trail", "/alarms", "/rights", "/account"]
    return [
        *plain,
        own,
        f"{own}/receipt",
        f"{own}/slip",
        f"{own}/withdraw",
        "/withdraw",
        "/about",
        "/accessibility",
        "/x",
    ]


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_no_page_has_a_serious_fault_of_accessibility(town: Town, browser: Browser, lang: str) -> None:
    for scheme in ("light", "dark"):
        page = enter(town, visitor(browser, lang, color_scheme=scheme, bypass_csp=True), f"axe {lang} {scheme}")
        town.ask(f"Conseil {lang} {scheme}")
        grant = town.grant(f"axe {lang} {scheme}", "Isolation")
        faults = []
        for path in pages_of(town, grant):
            page.goto(town.url + path)
            assert page.locator("html").get_attribute("lang") == lang
            assert page.locator("h1").count() == 1, path
            faults += serious(page)
        page.goto(town.url + "/requests")
        page.locator("main .button").first.click()
        faults += serious(page)
        page.click("button[value=allow]")
        faults += serious(page)
        page.click("button[value=refuse]")
        faults += serious(page)
        assert faults == []


@pytest.mark.parametrize("scripts", [True, False])
def test_a_person_is_asked_allows_a_part_and_withdraws(town: Town, browser: Browser, scripts: bool) -> None:
    name = f"berthe {scripts}"
    page = enter(town, visitor(browser, java_script_enabled=scripts), name)
    town.ask(f"Étude un {scripts}", by=CITY)
    town.ask(f"Étude deux {scripts}", kind="load_curve", by=CITY)
    page.goto(town.url + "/")
    page.locator("li.ask", has_text="Ville de Brest").get_by_role("link").click()
    assert page.locator("input[type=checkbox]:checked").count() == 0  # nothing is ticked beforehand
    buttons = {
        value: page.locator(f"button[value={value}]").evaluate(
            "b => { const s = getComputedStyle(b), r = b.getBoundingClientRect(); "
            "return [r.width, r.height, s.backgroundColor, s.fontWeight, s.fontSize] }"
        )
        for value in ("refuse", "allow")
    }
    assert buttons["refuse"] == buttons["allow"]
    page.click("button[value=allow]")
    expect(page.get_by_role("alert")).to_contain_text("Rien n’est activé")
    page.locator("label.switch", has_text=f"Étude un {scripts}").click()
    page.click("button[value=allow]")
    expect(page.get_by_role("alert")).to_contain_text("Tout n’est pas activé")
    page.click("button[value=part]")
    expect(page.locator(".receipt-preview")).to_contain_text(f"Étude un {scripts}")
    page.click("main form button")
    expect(page.locator("h1")).to_contain_text("vous avez autorisé")
    page.get_by_role("link", name="Vers mes consentements").click()
    expect(page.locator("li.consent")).to_have_count(1)
    page.locator("li.consent h2 a").click()
    page.get_by_role("link", name="Retirer ce consentement").click()
    page.click("main form button")
    expect(page.locator("h1")).to_have_text("C’est retiré")
    if not scripts:
        for _ in range(50):
            if page.locator("text=Tout le monde a confirmé").count():
                break
            page.reload()
    expect(page.get_by_role("status")).to_contain_text("2 sur 2 ont confirmé")
    page.goto(town.url + "/consents?tab=past")
    expect(page.locator("main")).to_contain_text("Retirée par vous")
    expect(page.locator("main")).to_contain_text(f"Étude deux {scripts}")  # refused


def test_all_of_one_organisation_is_withdrawn_in_one_act(town: Town, browser: Browser) -> None:
    page = enter(town, visitor(browser, "en"), "carl")
    for number in range(3):
        town.wait_known(town.grant("carl", f"Advice {number}"), HOLDER, ADVISER)
    page.goto(town.url + "/consents")
    page.locator("li.consent h2 a").first.click()
    page.get_by_role("link", name="Withdraw everything from this organisation").click()
    page.click("main form button")
    expect(page.get_by_role("status")).to_contain_text("6 of 6 have confirmed")
    page.goto(town.url + "/consents")
    expect(page.locator("main")).to_contain_text("Nobody receives your data")
    assert [line.state for line in town.do(HOST, "consent list", wallet="carl").consents] == ["withdrawn"] * 3


def test_a_slip_withdraws_without_an_account(town: Town, browser: Browser) -> None:
    page = enter(town, visitor(browser, "en"), "dora")
    grant = town.grant("dora", "A secret purpose")
    page.goto(f"{town.url}/consents/{grant}/slip")
    assert page.locator("svg.qr").count() == 1
    code = page.locator("p.code").inner_text()
    stranger = visitor(browser, "en", java_script_enabled=False).new_page()
    stranger.goto(town.url + "/withdraw")
    stranger.fill("#code", code[:-1] + ("0" if code[-1] != "0" else "1"))
    stranger.click("main form button")
    expect(stranger.get_by_role("alert")).to_contain_text("mistyped")
    stranger.goto(f"{town.url}/withdraw?code={code.lower()}")
    stranger.click("main form button")
    assert "A secret purpose" not in stranger.content()
    stranger.click("main form button")
    expect(stranger.locator("h1")).to_have_text("It is withdrawn")
    page.goto(f"{town.url}/consents/{grant}")
    expect(page.locator(".status").first).to_contain_text("Withdrawn by you")


def test_uses_are_shown_and_the_files_of_a_consent_come(town: Town, browser: Browser) -> None:
    context = visitor(browser, "en")
    page = enter(town, context, "emma")
    grant = town.grant("emma", "Advice on heating")
    town.wait_known(grant, HOLDER, ADVISER)
    assert town.do(HOLDER, "data send", consent=grant).state == "done"
    town.do(HOLDER, "data settle")
    for _ in range(100):
        page.goto(f"{town.url}/consents/{grant}")
        if page.locator(".step-used").count():
            break
    expect(page.locator(".step-used")).to_contain_text("received data")
    page.goto(town.url + "/trail")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.goto(town.url + "/consents")
    expect(page.locator(".meta")).not_to_contain_text("never")
    signed = context.request.get(f"{town.url}/consents/{grant}/receipt.cbor")
    assert signed.headers["content-type"] == "application/cose"
    assert signed.ok
    town.do(HOLDER, "tick run")
    page.goto(f"{town.url}/consents/{grant}/receipt")
    expect(page.locator("main")).to_contain_text(grant)


def test_the_whole_way_by_keyboard_alone(town: Town, browser: Browser) -> None:
    page = enter(town, visitor(browser, "en"), "fred")
    town.ask("Keyboard advice", by=CITY)
    page.goto(town.url + "/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    tab_to(page, "a", "Look and decide")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("asks for your data")
    tab_to(page, "input[type=checkbox]", "")
    outline = page.locator(":focus").evaluate("e => getComputedStyle(e).outlineStyle")
    assert outline == "solid"  # focus is seen
    for box in page.locator("input[type=checkbox]").all():
        box.focus()
        page.keyboard.press("Space")
    tab_to(page, "button[value=allow]", "Allow")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Is this what you allow?")
    tab_to(page, "main form button", "Yes, I allow this")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("you have allowed it")


def tab_to(page: Page, selector: str, text: str) -> None:
    """Press Tab until an element has the focus."""
    page.wait_for_load_state()
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED, [selector, text]):
            return
    raise AssertionError(f"{selector} {text!r} is not reached by Tab")


def test_every_page_fits_320_pixels(town: Town, browser: Browser) -> None:
    page = enter(town, visitor(browser, viewport={"width": 320, "height": 640}), "gina")
    town.ask("Petit écran")
    grant = town.grant("gina", "Isolation")
    page.goto(town.url + "/requests")
    page.locator("main .button").first.click()
    for path in [page.url.removeprefix(town.url), *pages_of(town, grant)]:
        page.goto(town.url + path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 320, (path, wide)
        small = page.locator("a.button, button, .tool, .main-nav a").evaluate_all(
            "all => all.filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 24).length"
        )
        assert small == 0, path


def test_login_logout_and_no_script_is_ever_refused(town: Town, browser: Browser) -> None:
    context = visitor(browser, "en")
    page = enter(town, context, "hugo")
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    grant = town.grant("hugo", "Advice")
    for path in [path for path in pages_of(town, grant) if path != "/x"]:
        page.goto(town.url + path)
    (cookie,) = [one for one in context.cookies() if one["name"] == "__Host-maille"]
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    page.get_by_role("button", name="Log out").click()
    page.goto(town.url + "/consents")
    expect(page).to_have_url(re.compile("/login"))
    page.fill("#name", "HUGO")
    page.fill("#passphrase", "not this one at all")
    page.click("main form button")
    expect(page.get_by_role("alert")).to_be_visible()
    page.fill("#passphrase", PASSPHRASE)
    page.click("main form button")
    expect(page).to_have_url(town.url + "/consents")
    page.get_by_role("link", name="Français").click()
    expect(page.locator("h1")).to_have_text("Mes consentements")
    assert [one for one in told if "422" not in one] == []
