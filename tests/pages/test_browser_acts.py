"""What a person does with consents that she gave, in Chromium: narrowing, rights, keys; on a small screen."""

from __future__ import annotations

import re
import ssl

import httpx
import msgspec
from playwright.sync_api import Browser, expect

from node.pages import oidc
from tests.pages.browsing import SMALL, enter, look, needs_chromium, press, tab_to, visitor, write
from tests.pages.provider import SECRET, Provider
from tests.pages.provider import SETTINGS as OIDC
from tests.pages.town import ADVISER, CITY, HOLDER, HOST, PASSPHRASE, PRM, Town, free_port

pytestmark = needs_chromium


def test_a_consent_is_narrowed_by_keyboard_alone_on_a_small_screen(town: Town, browser: Browser) -> None:
    page = enter(town, visitor(browser, "en", viewport=SMALL, bypass_csp=True), "ines")
    grant = town.grant("ines", "Narrow advice", point=(PRM, "prm:00000000000002"), kind="load_curve")
    page.goto(f"{town.url}/consents/{grant}")
    tab_to(page, "a.button", "Narrow it")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Narrow this consent")
    faults = look(page)
    tab_to(page, "#out-1", "")
    page.keyboard.press("Space")
    tab_to(page, "#step", "")
    page.keyboard.type("1 day")
    tab_to(page, "main form button", "Continue")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Is this what you take back?")
    faults += look(page)
    tab_to(page, "main form button", "Yes, narrow it")
    page.keyboard.press("Enter")
    expect(page.locator(".timeline")).to_contain_text("You narrowed it")
    expect(page.locator("#says + p + dl")).not_to_contain_text("0002")
    assert faults == []


def test_a_right_is_asked_for_by_keyboard_alone_and_its_signed_answer_comes(town: Town, browser: Browser) -> None:
    name = "jules"
    context = visitor(browser, "en", java_script_enabled=False, viewport=SMALL)
    page = enter(town, context, name)
    grant = town.grant(name, "Rights advice")
    town.wait_known(grant, ADVISER)
    page.goto(town.url + "/rights")
    press(page, "main a", "Use a right")
    expect(page.locator("h1")).to_have_text("Use a right")
    assert page.locator("input:checked").count() == 0
    expect(page.locator("#at")).to_be_hidden()  # what only a correction asks for
    press(page, "#right-access", key="Space")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#right-rectification")).to_be_checked()
    expect(page.locator("#at")).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#at")).to_be_hidden()
    press(page, "#to-recipient", key="Space")
    write(page, "#text", "All of it, please.")
    press(page, "main form button", "Send the request")
    expect(page.locator("h1")).to_have_text("See my data")
    expect(page.locator("main")).to_contain_text("Waiting for an answer")
    request = page.url.rpartition("/")[2]
    town.wait_right(ADVISER, request)
    town.do(ADVISER, "rights answer", id=request, outcome="partly", text="Here is a part.")
    for _ in range(100):
        page.reload()
        if page.locator("text=Here is a part.").count():
            break
    expect(page.locator("main")).to_contain_text(f"Signed by {ADVISER} on")
    signed = context.request.get(f"{town.url}/rights/{request}/answer.cbor")
    assert (signed.ok, signed.headers["content-type"]) == (True, "application/cose")


def test_keys_are_written_down_taken_away_and_sign_by_words_by_keyboard_alone(town: Town, browser: Browser) -> None:
    name = "karl"
    page = enter(town, visitor(browser, "fr", java_script_enabled=False, viewport=SMALL), name)
    grant = town.grant(name, "Conseil")
    town.wait_known(grant, HOLDER, ADVISER)
    page.goto(town.url + "/account")
    press(page, "main a", "Voir ou changer qui les garde")
    expect(page.locator("h1")).to_have_text("Qui garde mes clés")
    write(page, "#current", PASSPHRASE)
    press(page, "main form button", "Afficher mes mots")
    expect(page.locator("ol.words")).to_be_visible()
    words = page.locator("ol.words li").all_inner_texts()
    assert len(words) == 24
    press(page, "main a", "Je les ai notés")
    expect(page.locator("input[name^=word-]")).to_have_count(3)
    for name_of in [str(place.get_attribute("name")) for place in page.locator("input[name^=word-]").all()]:
        write(page, f"input[name={name_of}]", words[int(name_of[5:])])
    press(page, "main form button", "Vérifier")
    expect(page.get_by_role("status")).to_contain_text("Ils ne seront plus affichés")
    write(page, "#words", " ".join(words))
    press(page, "main form button", "Effacer mes clés ici")
    expect(page.locator(".custody")).to_contain_text("Vous seul(e) gardez vos clés")
    (row,) = [one for one in town.do(HOST, "wallet list").wallets if one.name == name]
    assert row.custody.startswith("kept by the person alone")
    page.goto(f"{town.url}/consents/{grant}/withdraw")
    write(page, "#words", " ".join(["brouillon!", *words[1:]]))
    press(page, "main form button", "Oui, retirer")
    expect(page.get_by_role("alert")).to_contain_text("Pas dans la liste : mot 1.")
    assert page.title().startswith("Problème")
    press(page, "[role=alert] a")  # to the field, where the words are still
    expect(page.locator("#words")).to_have_attribute("aria-invalid", "true")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type(" ".join(words))
    press(page, "main form button", "Oui, retirer")
    expect(page.locator("h1")).to_have_text("C’est retiré")


def pass_on(town: Town, wallet: str) -> tuple[str, str]:
    """Have the adviser send the city what came under a consent of this wallet; return both consents' ids."""
    grant = town.grant(wallet, "Onward advice", terms=b'{"onward_sharing": {"mode": "depth", "depth": 1}}')
    town.wait_known(grant, HOLDER, ADVISER)
    assert town.do(HOLDER, "data send", consent=grant).state == "done"
    below = str(town.do(ADVISER, "consent pass-on", id=grant, recipient=CITY, contact="dpo@brest.example").id)
    town.wait_known(below, CITY)
    assert town.do(ADVISER, "data send", consent=below).state == "done"
    for name in (HOLDER, ADVISER):
        town.do(name, "data settle")
    return grant, below


def test_a_consent_is_handed_on_and_taken_over_by_keyboard_alone(town: Town, browser: Browser) -> None:
    giver = enter(town, visitor(browser, "en", viewport=SMALL, java_script_enabled=False), "nils")
    taker = enter(town, visitor(browser, "en", viewport=SMALL, java_script_enabled=False), "olga")
    grant = town.grant("nils", "Advice")
    town.wait_known(grant, HOLDER, ADVISER)
    giver.goto(f"{town.url}/consents/{grant}")
    press(giver, "a.button", "Hand it on")
    expect(giver.locator("h1")).to_have_text("Hand this consent on")
    number = giver.locator("p.code").first.inner_text()
    taker.goto(f"{town.url}/consents")
    press(taker, "main a", "Take over a consent")
    expect(taker.locator("h1")).to_have_text("Take over a consent")
    write(taker, "#number", number)
    press(taker, "main form button", "Continue")
    expect(taker.locator("h1")).to_have_text("Text for whoever hands it on")
    text, check = taker.locator("#heir").input_value(), taker.locator("p.big").inner_text()
    write(giver, "#heir", "heir1.nothing")
    press(giver, "main form button", "Continue")
    expect(giver.get_by_role("alert")).to_be_visible()
    press(giver, "[role=alert] a")  # to the field, where the text is still
    giver.keyboard.press("Tab")
    giver.keyboard.press("Shift+Tab")
    giver.keyboard.press("Control+A")
    giver.keyboard.type(text)
    press(giver, "main form button", "Continue")
    expect(giver.locator("h1")).to_have_text("Hand this consent on?")
    expect(giver.locator("main")).to_contain_text(check)
    assert giver.locator("input:checked").count() == 0
    press(giver, "main form button", "Yes, hand it on")
    expect(giver.locator(".status").first).to_have_text("Handed on to other keys")
    taker.goto(f"{town.url}/consents/{grant}")
    expect(taker.locator("a.button").first).to_be_visible()
    assert [one.id for one in town.do(HOST, "consent list", wallet="olga").consents] == [grant]


def test_pages_of_handing_on_and_passing_on_have_no_serious_fault_and_fit(town: Town, browser: Browser) -> None:
    name = "pia"
    page = enter(town, visitor(browser, color_scheme="dark", viewport=SMALL, bypass_csp=True), name)
    grant, below = pass_on(town, name)
    own, faults = f"{town.url}/consents/{grant}", list[str]()
    for _ in range(100):
        page.goto(own)
        if page.locator(".step-onward").count():
            break
    expect(page.locator(".step-onward")).to_contain_text(ADVISER)  # where no party of it is, by the ledger alone
    expect(page.locator(".step-onward")).to_contain_text(CITY)
    faults += look(page)
    page.goto(town.url + "/trail")
    faults += look(page)
    page.locator("tbody tr", has_text=CITY).locator("a").nth(1).click()
    expect(page).to_have_url(f"{own}#onward-{below}")
    for path in (f"/consents/{grant}/hand-on", "/take-over"):
        page.goto(town.url + path)
        faults += look(page)
        page.fill("#heir" if path != "/take-over" else "#number", "x")
        page.click("main form .button:not(.quiet)")
        expect(page.get_by_role("alert")).to_be_visible()
        faults += look(page)
    town.do(HOST, "wallet create", name=f"{name} 2")
    heir = town.do(HOST, "consent take-on", id=grant, wallet=f"{name} 2").heir
    page.goto(f"{own}/hand-on")
    page.fill("#heir", heir)
    page.click("main form .button:not(.quiet)")
    expect(page.locator("main")).to_contain_text(HOST)
    faults += look(page)
    page.goto(f"{town.url}/take-over")
    page.fill("#number", town.grant(f"{name} 2", "Another"))
    page.click("main form .button:not(.quiet)")
    expect(page.locator("#heir")).to_have_value(re.compile(r"heir1\."))
    faults += look(page)
    page.goto(f"{own}/onward/{below}/stop")
    faults += look(page)
    page.click("main form button")
    expect(page.locator(f"[id='onward-{below}'] .status")).to_have_class(re.compile("status-withdrawn"))
    faults += look(page)
    assert faults == []


def test_pages_that_come_after_a_form_have_no_serious_fault(town: Town, browser: Browser) -> None:
    page = enter(town, visitor(browser, color_scheme="dark", viewport=SMALL, bypass_csp=True), "lea")
    grant, faults = town.grant("lea", "Conseil"), list[str]()
    page.goto(f"{town.url}/rights/ask/{grant}")
    page.get_by_label("Faire effacer mes données").check()
    page.get_by_label("qui envoie les données").check()
    page.get_by_role("button", name="Envoyer la demande").click()
    faults += look(page)
    page.goto(town.url + "/account/keys")
    page.fill("#current", "faux")
    page.get_by_role("button", name="Afficher mes mots").click()
    expect(page.get_by_role("alert")).to_be_visible()
    faults += look(page)
    page.fill("#current", PASSPHRASE)
    page.get_by_role("button", name="Afficher mes mots").click()
    faults += look(page)
    words = page.locator("ol.words li").all_inner_texts()
    page.get_by_role("link", name="Je les ai notés").click()
    page.fill("input[name^=word-] >> nth=0", "faux")
    page.eval_on_selector_all("input[name^=word-]", "all => all.forEach(e => e.required = false)")
    page.get_by_role("button", name="Vérifier").click()
    faults += look(page)
    for place in page.locator("input[name^=word-]").all():
        place.fill(words[int(str(place.get_attribute("name"))[5:])])
    page.get_by_role("button", name="Vérifier").click()
    faults += look(page)
    page.fill("#words", " ".join(words))
    page.get_by_role("button", name="Effacer mes clés ici").click()
    faults += look(page)
    for path in ("slip", "withdraw", "narrow"):
        page.goto(f"{town.url}/consents/{grant}/{path}")
        faults += look(page)
    page.goto(f"{town.url}/consents/{grant}/withdraw")
    page.fill("#words", "faux")
    page.get_by_role("button", name="Oui, retirer").click()
    expect(page.get_by_role("alert")).to_contain_text("il en faut 24")
    faults += look(page)
    assert faults == []


def test_somebody_comes_in_by_another_provider_and_comes_again(town: Town, browser: Browser) -> None:
    port = free_port()
    settings = msgspec.structs.replace(OIDC, issuer=f"https://127.0.0.1:{port}/api/v2")
    provider = Provider(lambda: town.nodes[HOST].now, settings)
    town.serve(provider.app, port)
    trusted = ssl.create_default_context(cafile=str(town.certificate))
    site = town.site
    site.settings = msgspec.structs.replace(site.settings, oidc=settings)
    site.provider = oidc.Provider(
        settings,
        SECRET,
        f"{town.url}/oidc/callback",
        site.node.random_bytes,
        lambda: httpx.AsyncClient(verify=trusted),
    )
    page = visitor(browser, "en", java_script_enabled=False).new_page()
    page.goto(town.url + town.invite("mia", PRM))
    page.get_by_role("link", name="Continue with FranceConnect").click()
    expect(page).to_have_url(town.url + "/")
    expect(page.locator("h1")).to_have_text("Hello, mia")
    page.get_by_role("button", name="Log out").click()
    page.goto(town.url + "/login")
    page.get_by_role("link", name="Log in with FranceConnect").click()
    expect(page.locator("h1")).to_have_text("Hello, mia")
    page.goto(town.url + "/account")
    expect(page.locator("main")).to_contain_text("FranceConnect")
    provider.claims = lambda claims: claims | {"nonce": "another"}
    stranger = visitor(browser, "en", java_script_enabled=False).new_page()
    stranger.goto(town.url + "/login")
    stranger.get_by_role("link", name="Log in with FranceConnect").click()
    expect(stranger.locator("h1")).to_have_text("You were not logged in")
    expect(stranger).to_have_url(re.compile("/oidc/callback"))
    assert [asked["acr_values"] for asked in provider.asked] == ["eidas1"] * 3
    site.provider, site.settings = None, msgspec.structs.replace(site.settings, oidc=None)
