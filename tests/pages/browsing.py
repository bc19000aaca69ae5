"""How tests use Chromium: who visits, how an account is opened, what axe-core finds, and the keyboard.

What it does not do
    It starts no browser (conftest does).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from node.pages.limits import Limits
from tests.pages.town import PASSPHRASE, PRM, Town

CHROMIUM = os.environ.get("MAILLE_CHROMIUM", "/usr/bin/chromium")
AXE = Path(__file__).parent / "static" / "axe.min.js"
LOCALES = {"fr": "fr-FR", "en": "en-GB"}
FOCUSED = "([s, text]) => document.activeElement.matches(s) && document.activeElement.innerText.includes(text)"
SERIOUS = ("serious", "critical")
SMALL = {"width": 320, "height": 640}
"""A small telephone, or a large screen at 400 % (WCAG 1.4.10)."""
needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).is_file(), reason=f"no Chromium at {CHROMIUM}: apt install chromium"
)


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
    """Return what axe-core finds that is serious or critical, once the page is there.

    A click waits until the next page's first bytes are there, when it may not have one element yet.
    """
    page.wait_for_load_state()
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    return [f"{page.url} {one['id']}: {one['nodes'][0]['html'][:120]}" for one in found if one["impact"] in SERIOUS]


def look(page: Page) -> list[str]:
    """Return the serious faults of a page, and its width where that is too much."""
    found = serious(page)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [*found, *([f"{page.url}: {wide} pixels too wide"] if wide > 0 else [])]


def press(page: Page, selector: str, text: str = "", key: str = "Enter") -> None:
    """Reach an element by Tab and press a key on it."""
    tab_to(page, selector, text)
    page.keyboard.press(key)


def write(page: Page, selector: str, text: str) -> None:
    """Reach a field by Tab and type into it."""
    tab_to(page, selector, "")
    page.keyboard.type(text)


def tab_to(page: Page, selector: str, text: str) -> None:
    """Press Tab until an element has the focus."""
    page.wait_for_load_state()
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED, [selector, text]):
            return
    raise AssertionError(f"{selector} {text!r} is not reached by Tab")
