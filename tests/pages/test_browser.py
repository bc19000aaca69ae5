"""The citizen pages in Chromium, over real HTTPS, with four real nodes: every way through, in both languages.

Where there is no Chromium (MAILLE_CHROMIUM, else /usr/bin/chromium), these tests are skipped, and say so.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.pages.browsing import SMALL, enter, needs_chromium, serious, tab_to, visitor
from tests.pages.town import ADVISER, CITY, HOLDER, HOST, PASSPHRASE, Town

pytestmark = needs_chromium


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
        f"{own}/narrow",
        f"{own}/hand-on",
        f"/take-over?number={grant}",
        f"/rights/ask/{grant}",
        "/account/keys",
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


@pytest.mark.covers("R79", "R80")
@pytest.mark.parametrize("scripts", [True, False])
def test_a_person_is_asked_allows_a_part_and_withdraws(town: Town, browser: Browser, scripts: bool) -> None:
    name = f"berthe {scripts}"
    page = enter(town, visitor(browser, java_script_enabled=scripts), name)
    town.ask(f"Étude un {scripts}", by=CITY)
    town.ask(f"Étude deux {scripts}", kind="load_curve", by=CITY)
    page.goto(town.url + "/")
    page.locator("li.ask", has_text="Ville de Brest").get_by_role("link").click()
    expect(page.locator("input[type=checkbox]")).not_to_have_count(0)
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
    expect(page.locator("main")).to_contain_text("Retiré par vous")
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
    page.emulate_media(media="print")
    assert not page.locator("header, .custody, footer, .screen").evaluate_all("all => all.some(e => e.offsetParent)")
    drawn = page.locator("svg.qr").bounding_box()
    assert drawn is not None
    assert drawn["width"] >= 150  # 4 cm: a telephone reads it
    page.emulate_media(media="screen")
    code = page.locator("p.code").inner_text()
    stranger = visitor(browser, "en", java_script_enabled=False).new_page()
    stranger.goto(town.url + "/withdraw")
    stranger.fill("#code", code[:-1] + ("0" if code[-1] != "0" else "1"))
    stranger.click("main form button")
    expect(stranger.get_by_role("alert")).to_contain_text("mistyped")
    stranger.goto(f"{town.url}/withdraw?code={code.lower()}")
    stranger.click("main form button")
    expect(stranger.get_by_role("button", name="Yes, withdraw")).to_be_visible()
    assert "A secret purpose" not in stranger.content()
    stranger.click("main form button")
    expect(stranger.locator("h1")).to_have_text("It is withdrawn")
    page.goto(f"{town.url}/consents/{grant}")
    expect(page.locator(".status").first).to_contain_text("Withdrawn by you")


@pytest.mark.covers("R75", "R101")
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
    expect(page.locator(".meta")).not_to_contain_text("declared")
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


def test_every_page_fits_320_pixels(town: Town, browser: Browser) -> None:
    page = enter(town, visitor(browser, viewport=SMALL), "gina")
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
