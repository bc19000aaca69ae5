"""The operator pages in Chromium, with real nodes: every page, by keyboard alone, without scripts, small, and live.

Where there is no Chromium (MAILLE_CHROMIUM, else /usr/bin/chromium), these tests are skipped, and say so.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from node.operation import Permission
from node.pages.limits import Limits
from tests.console.reading import english_in
from tests.console.street import ADVISER, APPLICANT, CITY, HOLDER, SECRET_PURPOSE, Street
from tests.console.visiting import PATHS
from tests.pages.browsing import SMALL, look, needs_chromium, tab_to, visitor
from tests.pages.town import PRM

pytestmark = needs_chromium


def enter(street: Street, context: BrowserContext, permission: Permission = "operate") -> Page:
    """Log in with a new token."""
    street.desk.limits = Limits()  # all these operators come from one address
    page = context.new_page()
    page.goto(street.console + "/")
    expect(page).to_have_url(street.console + "/login?next=%2F")
    page.fill("#token", street.token(permission))
    page.click("main form button")
    expect(page).to_have_url(street.console + "/")
    return page


def every_page(street: Street, proposal: str) -> list[str]:
    """Return every page that one can open by a link."""
    members = {one.name: one.id for one in street.do(HOLDER, "member list").members}
    waiting = [f"/applications/{one.id}" for one in street.do(HOLDER, "requests list").requests]
    ballot = f"/proposals/{proposal}"
    return [*PATHS, *waiting, f"/members/{members[ADVISER]}", ballot, f"{ballot}/vote?choice=yes", "/nowhere"]


@pytest.mark.parametrize(("lang", "scheme"), [("fr", "dark"), ("en", "light")])
def test_no_page_has_a_serious_fault_nor_is_too_wide_at_320_pixels(
    street: Street, browser: Browser, lang: str, scheme: str
) -> None:
    street.apply(f"{lang} {APPLICANT}")
    proposal = street.propose("Late answers")
    page = enter(street, visitor(browser, lang, color_scheme=scheme, viewport=SMALL, bypass_csp=True))
    faults = []
    for path in every_page(street, proposal):
        page.goto(street.console + path)
        assert page.locator("html").get_attribute("lang") == lang
        assert page.locator("h1").count() == 1, path
        faults += look(page)
        faults += [f"{path}: {words}" for words in english_in(page.content())]
        small = page.locator("a.button, button, .tool, .main-nav a").evaluate_all(
            "all => all.filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 24).length"
        )
        assert small == 0, path
    assert faults == []


def test_no_page_tells_what_a_person_consented_to(street: Street, browser: Browser) -> None:
    page = enter(street, visitor(browser, "en"), "read")
    proposal = street.propose("Once more")
    for path in every_page(street, proposal):
        page.goto(street.console + path)
        text = page.content()
        assert SECRET_PURPOSE not in text, path
        assert PRM.removeprefix("prm:") not in text, path
    page.goto(street.console + "/consents")
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.locator("main")).to_contain_text("Withdrawn")
    page.goto(street.console + "/transfers")
    expect(page.locator("main")).to_contain_text("NO_CONSENT")


@pytest.mark.parametrize("scripts", [True, False])
def test_an_applicant_is_compared_and_admitted_or_turned_away(street: Street, browser: Browser, scripts: bool) -> None:
    name = f"{'with' if scripts else 'no'} scripts"
    street.apply(name)
    page = enter(street, visitor(browser, "en", java_script_enabled=scripts))
    page.locator(".main-nav").get_by_role("link", name="Members").click()
    page.locator("li.finding", has_text=name).get_by_role("link").click()
    (row,) = [one for one in street.do(HOLDER, "requests list").requests if one.name == name]
    expect(page.locator(".fingerprint code")).to_have_text(row.fingerprint)
    sizes = page.locator(".decide button").evaluate_all("all => all.map(b => [b.offsetWidth, b.offsetHeight])")
    assert sizes[0] == sizes[1]
    page.get_by_role("button", name="admit" if scripts else "Turn away").click()
    expect(page.locator("h1")).to_contain_text("is admitted" if scripts else "was turned away")
    assert name not in [one.name for one in street.do(HOLDER, "requests list").requests]


def test_a_vote_is_cast_by_keyboard_alone_and_without_scripts(street: Street, browser: Browser) -> None:
    proposal = street.propose("By keyboard")
    page = enter(street, visitor(browser, "en", java_script_enabled=False))
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    outline = page.locator(":focus").evaluate("e => getComputedStyle(e).outlineStyle")
    assert outline == "solid"
    tab_to(page, ".main-nav a", "Proposals")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Proposals")
    tab_to(page, f"a[href='/proposals/{proposal}']", "")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Suspend a member")
    tab_to(page, "input[type=radio]", "")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    tab_to(page, "main form button", "Continue")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Is this how you vote?")
    tab_to(page, "main form button", "Yes, cast this vote")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Your vote is cast")
    (vote,) = street.do(HOLDER, "proposal show", id=proposal).votes
    assert (vote.voter, vote.choice) == (HOLDER, "yes")


def test_a_proof_is_dropped_and_its_verdict_stands_first(street: Street, browser: Browser, tmp_path: Path) -> None:
    page = enter(street, visitor(browser, "en", java_script_enabled=False), "read")
    (active, *_) = [one.id for one in street.do(HOLDER, "consent list").consents if one.state == "active"]
    proof = street.do(HOLDER, "proof make", consent=active).proof
    for data, verdict in ((proof, "The proof holds"), (proof[:-9] + b"tampered!", "The proof does not hold")):
        (tmp_path / "one.mailleproof").write_bytes(data)
        page.goto(street.console + "/proof")
        page.set_input_files("#file", tmp_path / "one.mailleproof")
        page.click("main form button")
        assert verdict in page.locator("main section").first.inner_text()
        assert "maille proof verify" in page.locator("aside").inner_text()


def test_pages_move_by_themselves_without_taking_the_focus(street: Street, browser: Browser) -> None:
    page = enter(street, visitor(browser, "en"))
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(street.console + "/map")
    row = page.locator("tbody tr").filter(has=page.locator("th", has_text=CITY))
    expect(row).to_contain_text("Connected")
    link = page.locator("tbody th", has_text=ADVISER).get_by_role("link")
    link.focus()
    street.wait(lambda: street.desk.live.streams > 0)
    street.part(CITY)
    expect(row).to_contain_text("Not connected")
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"\d of \d devices connected"))
    expect(link).to_be_focused()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("You are logged out")
    street.wait(lambda: street.desk.live.streams == 0)
    assert told == []
