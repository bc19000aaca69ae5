"""What a person does on the pages, without a browser: her keys, rights, narrowing, points, notices and receipts.

One node keeps her wallet, holds the data and hosts a tenant that receives them.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import structlog

from ledger.consent.words import moment_in_words
from ledger.entry import Entry
from ledger.schema import DAY
from node.pages.visit import Site
from node.pages.wording import date
from node.seed_words import words_of_seed
from tests.node.nodes import do
from tests.pages.test_application import PASSPHRASE, URL, post, visiting

PRM, OTHER = "prm:00000000000001", "prm:00000000000002"
ENGLISH = {"accept-language": "en"}
PARIS = ZoneInfo("Europe/Paris")


@asynccontextmanager
async def living(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Any, Site]]:
    """Run pages with an account for Anna, who has two meters, and an adviser to whom she can consent."""
    async with visiting(tmp_path) as (client, node, site):
        client.headers.update(ENGLISH)
        await account(client, node, "anna", PRM, OTHER)
        await do(node, "tenant init", name="advice")
        await do(node, "tenant host", tenant="advice")
        yield client, node, site


async def account(client: httpx.AsyncClient, node: Any, name: str, *points: str) -> None:
    """Open an account."""
    link = (await do(node, "pages invite", name=name, point=points)).link.removeprefix(URL)
    await post(client, link, {"passphrase": PASSPHRASE, "again": PASSPHRASE}, seen=link)


async def grant(node: Any, **values: Any) -> str:
    """Give a consent from Anna's wallet; return its id."""
    what = {"point": (PRM, OTHER), "kind": "load_curve", "purpose": "Advice on heating", "contact": "a@b.example"}
    made = await do(node, "consent grant", **{"wallet": "anna", "recipient": "advice", **what, **values})
    return str(made.id)


def text_of(answer: httpx.Response) -> str:
    """Return the words of a page, in single spaces."""
    inside = re.sub(r"(?s)<(script|head).*?</\1>", " ", answer.text)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", inside)).split())


# Keys


async def words_shown(client: httpx.AsyncClient) -> list[str]:
    """Ask for the words."""
    answer = await post(client, "/account/keys/words", {"current": PASSPHRASE}, seen="/account/keys")
    return re.findall(r"<li>(\w+)</li>", answer.text)


async def take_away(client: httpx.AsyncClient, *, said: bool = True) -> str:
    """Write the words down, and take the keys away; return the words. `said`: the pages say so in English."""
    words = await words_shown(client)
    form = await client.get("/account/keys/check")
    places = [int(place) for place in re.findall(r'name="word-(\d+)"', form.text)]
    typed = {f"word-{place}": words[place] for place in places}
    answer = await post(client, "/account/keys/check", typed, seen="/account/keys/check")
    assert not said or "You have your words on paper" in text_of(answer)
    answer = await post(client, "/account/keys/take", {"words": " ".join(words)}, seen="/account/keys")
    assert not said or "has erased your keys" in text_of(answer)
    return " ".join(words)


async def test_words_are_shown_after_the_passphrase_until_they_are_checked(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, site):
        wrong = await post(client, "/account/keys/words", {"current": "not this one"}, seen="/account/keys")
        assert (wrong.status_code, "This is not your passphrase" in wrong.text) == (422, True)
        words = await words_shown(client)
        assert words == list((await do(node, "wallet words", name="anna")).words)
        assert await words_shown(client) == words  # not yet checked: she may look again
        form = await client.get("/account/keys/check")
        places = [int(place) for place in re.findall(r'name="word-(\d+)"', form.text)]
        assert len(places) == 3
        typed = {f"word-{place}": f" {words[place].upper()} " for place in places}
        bad = {**typed, f"word-{places[1]}": words[places[1] - 1]}
        answer = await post(client, "/account/keys/check", bad, seen="/account/keys/check")
        assert (answer.status_code, "not the words at these places" in answer.text) == (422, True)
        answer = await post(client, "/account/keys/check", typed, seen="/account/keys/check")
        assert "They will not be shown again" in text_of(answer)
        assert "You have them too, as words" in text_of(answer)
        again = await post(client, "/account/keys/words", {"current": PASSPHRASE}, seen="/account/keys")
        assert (again.status_code, words[0] in text_of(again).split()) == (409, False)
        (row,) = (await do(node, "pages people")).people
        assert row.custody.endswith("who has its words too")
        assert site.mesh.name == "street"


async def test_a_wallet_taken_away_signs_by_its_words_alone_and_they_are_kept_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with living(tmp_path) as (client, node, site):
        made, other = await grant(node), await grant(node, purpose="A second one")
        seed = await site.read(lambda turn, flows: flows.wallets.get(turn.vault, "anna").wallet.seed)
        with structlog.testing.capture_logs() as logs:
            words = await take_away(client)
            page = text_of(await client.get("/"))
            assert "You alone keep your keys" in page
            assert "Advice on heating" in text_of(await client.get("/consents"))
            (row,) = (await do(node, "wallet list")).wallets
            assert (row.custody[:27], row.consents) == ("kept by the person alone; t", 2)
            another, end = words_of_seed(bytes(32)), f"/consents/{made}/withdraw"
            for bad in ("", "hello", another, words + " more", " ".join(reversed(words.split()))):
                answer = await post(
                    client, f"/consents/{made}/withdraw", {"words": bad}, seen=f"/consents/{made}/withdraw"
                )
                assert answer.status_code == 422, bad
                assert "Nothing was changed" in text_of(answer)
                assert ('aria-invalid="true"' in answer.text, f">{bad}</textarea>" in answer.text) == (True, True)
                assert "Yes, withdraw" in text_of(answer)  # the same form again
            fault = " ".join(["xylo", *words.split()[1:4], "zug", *words.split()[5:]])
            form = {"right": "access", "to": "holder", "text": "Please.", "words": fault}
            slip = await post(client, f"/consents/{made}/slip", form, seen=f"/consents/{made}/slip")
            asked = await post(client, f"/rights/ask/{made}", form, seen=f"/rights/ask/{made}")
            for answer, button in ((slip, "Make the slip"), (asked, "Send the request")):
                assert (answer.status_code, button in text_of(answer)) == (422, True)
                assert "Not in the list: word 1, 5." in text_of(answer)
            assert "Please." in asked.text  # what else was typed is kept
            narrow = f"/consents/{made}/narrow"
            answer = await post(client, f"{narrow}/confirm", {"days": "30", "words": fault}, seen=narrow)
            assert (answer.status_code, "Yes, narrow it" in text_of(answer)) == (422, True)
            assert '<input type="hidden" name="days" value="30">' in answer.text
            assert 'type="hidden" name="words"' not in answer.text
            assert {line.state for line in (await do(node, "consent list")).consents} == {"active"}
            slip = await post(client, f"/consents/{made}/slip", {"words": words}, seen=f"/consents/{made}/slip")
            assert "Withdrawal slip" in text_of(slip)
            form = {"words": words.upper()}
            answer = await post(client, end, form, seen=end)
            assert answer.headers["location"] == f"/consents/{made}/ended"
            assert await site.read(lambda turn, flows: flows.wallets.away(turn.vault, "anna")) is not None
            with pytest.raises(Exception, match="No wallet of this name"):
                await do(node, "wallet words", name="anna")
        told = repr(logs) + "".join(capsys.readouterr())
        assert not any(
            found in told for found in (words, seed.hex(), repr(seed), words.split()[5] + " " + words.split()[6])
        )
        rows = await site.read(lambda turn, _: list(turn.vault.scan("wallets", b"", b"\xff" * 40)))
        assert not any(seed in value for _, value in rows)
        states = {line.id: line.state for line in (await do(node, "consent list")).consents}
        assert (states[made], states[other]) == ("withdrawn", "active")
        back = await post(client, "/account/keys/back", {"words": words}, seen="/account/keys")
        assert "keeps your keys again" in text_of(back)
        answer = await post(client, f"/consents/{other}/withdraw", {}, seen=f"/consents/{other}/withdraw")
        assert answer.status_code == 303


async def test_a_wallet_taken_away_answers_requests_and_remembers_refusals(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        here = {"as_tenant": "advice", "holder": "Host", "contact": "a@b.example", "point": (PRM,), "kind": "daily"}
        for purpose in ("First", "Second", "Third"):
            await do(node, "consent request", purpose=purpose, **here)
        link = re.search(r'href="(/requests/[^"]+)"', (await client.get("/requests")).text)
        assert link is not None
        by_purpose = dict(
            reversed(pair)
            for pair in re.findall(
                r'name="allow" value="([0-9a-f]{64})".*?switch-purpose">(\w+)<', (await client.get(link[1])).text
            )
        )
        await post(client, f"{link[1]}/answer", {"refuse": by_purpose["First"]}, seen=link[1])
        words = await take_away(client)
        page = text_of(await client.get("/requests"))
        assert ("First" in page, "Second" in page) == (False, True)
        form = {"give": by_purpose["Second"], "refuse": by_purpose["Third"], "words": words}
        none = await post(client, f"{link[1]}/answer", {**form, "words": ""}, seen=link[1])
        assert (none.status_code, "There are 0 words; it takes 24." in text_of(none)) == (422, True)
        assert f'name="give" value="{by_purpose["Second"]}"' in none.text
        assert f'name="refuse" value="{by_purpose["Third"]}"' in none.text
        answer = await post(client, f"{link[1]}/answer", form, seen=link[1])
        assert "you have allowed it" in text_of(answer)
        assert "Nobody is waiting" in text_of(await client.get("/requests"))
        past = text_of(await client.get("/consents?tab=past"))
        assert all(purpose in past for purpose in ("First", "Third"))


async def test_a_wallet_from_elsewhere_is_brought_by_its_words(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, site):
        words = words_of_seed(bytes(range(32)), "french")
        bad = await post(client, "/account/keys/bring", {"words": "un deux trois"}, seen="/account/keys")
        assert (bad.status_code, "Check each word" in bad.text) == (422, True)
        answer = await post(client, "/account/keys/bring", {"words": words}, seen="/account/keys")
        assert "Your own wallet is in use here now" in text_of(answer)
        assert "You alone keep your keys" in text_of(answer)  # she did not say that it may be kept
        names = {row.name: row.custody for row in (await do(node, "wallet list")).wallets}
        assert set(names) == {"anna", "anna (before 1)"}
        await post(client, "/account/keys/back", {"words": words}, seen="/account/keys")
        await grant(node)
        twice = await post(client, "/account/keys/bring", {"words": words_of_seed(bytes(32))}, seen="/account/keys")
        assert (twice.status_code, "already in use" in twice.text) == (422, True)
        assert site.mesh.name == "street"


# Narrowing


async def test_a_consent_is_narrowed_in_two_steps(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        made = await grant(node)
        path = f"/consents/{made}/narrow"
        empty = await post(client, path, {}, seen=path)
        assert (empty.status_code, "You have chosen nothing yet" in empty.text) == (422, True)
        all_out = await post(client, path, {"out": ["0", "1"]}, seen=path)
        assert (all_out.status_code, "No meter would be left" in all_out.text) == (422, True)
        choice = {"out": "1", "step": "P1D", "days": "30", "past": "yes", "retention": "P3M"}
        asked = text_of(await post(client, path, choice, seen=path))
        assert all(words in asked for words in ("30 minutes", "1 day", "3 months", "ending in 0002"))
        assert (await client.get(f"/consents/{made}")).text.count("ending in 0002") == 1  # nothing has changed yet
        done = await post(client, f"{path}/confirm", choice, seen=path)
        assert done.headers["location"] == f"/consents/{made}"
        shown = text_of(await client.get(f"/consents/{made}"))
        assert "You narrowed it" in shown
        assert "ending in 0002" not in shown
        assert "Finest step 1 day" in shown
        assert "at most 3 months" in shown
        assert f"to {moment_in_words(node.now - node.now % DAY + 29 * DAY)}" in shown
        again = (await client.get(path)).text
        assert ('value="P1D"' in again, 'value="P1M"' in again, 'name="past"' in again) == (False, True, False)
        for wider in ({"step": "PT30M"}, {"days": "365"}, {"retention": "P2Y"}, {"days": "9" * 30}, {"out": "7"}):
            assert (await post(client, path, wider, seen=path)).status_code == 422, wider
            assert (await post(client, f"{path}/confirm", wider, seen=path)).status_code == 404, wider
        await post(client, f"/consents/{made}/withdraw", {}, seen=path)
        assert (await client.get(path)).status_code == 404


# Rights


async def test_a_right_is_asked_for_answered_and_marked_when_it_is_late(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        made = await grant(node)
        path = f"/rights/ask/{made}"
        page = (await client.get(path)).text
        assert "checked" not in page
        for missing in ({"to": "holder"}, {"right": "access"}, {"right": "all", "to": "holder"}):
            assert (await post(client, path, missing, seen=path)).status_code == 422
        wrong = {"right": "rectification", "to": "holder", "point": PRM, "at": "2026-01-31T00:00", "value": "much"}
        assert "needs a date and a number" in (await post(client, path, wrong, seen=path)).text
        asked = await post(client, path, {**wrong, "value": "1,5", "text": "It\r\nwas off."}, seen=path)
        request = asked.headers["location"].rpartition("/")[2]
        shown = text_of(await client.get(f"/rights/{request}"))
        assert "Waiting for an answer" in shown
        assert "ending in 0001, 31 January 2026 at 00:00 : 1.5" in shown
        (row,) = (await do(node, "rights list")).requests
        due = int(row.due.timestamp())
        assert f"Answer due by {date(due, 'en', PARIS)}" in shown
        assert (await do(node, "rights show", id=request)).text == "It\nwas off."
        await do(node, "rights answer", id=request, outcome="partly", text="We mended it.")
        answered = text_of(await client.get(f"/rights/{request}"))
        assert "Partly done" in answered
        assert "We mended it." in answered
        signed = await client.get(f"/rights/{request}/answer.cbor")
        entry = Entry.parse(signed.content)
        assert (entry.kind, entry.payload["outcome"]) == ("rights.answer", "partly")
        everybody = await post(client, path, {"right": "access", "to": "everywhere"}, seen=path)
        assert everybody.headers["location"] == "/rights"
        assert len((await do(node, "rights list")).requests) == 3
        open_one = (await post(client, path, {"right": "erasure", "to": "holder"}, seen=path)).headers["location"]
        engine = node.mesh().engine
        clock = engine._clock
        engine._clock = lambda: clock() + 40 * DAY * 1_000
        late, home = text_of(await client.get(open_one)), text_of(await client.get("/"))
        assert "The answer is overdue" in late
        assert "An answer is overdue" in home
        assert "Host – Have my data erased" in home
        rights = (await client.get("/rights")).text
        assert rights.count("Overdue") == 3  # that one, and the two to everybody


async def test_nobody_sees_what_another_asked_for(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        made = await grant(node)
        path = f"/rights/ask/{made}"
        asked = await post(client, path, {"right": "access", "to": "recipient", "text": "private words"}, seen=path)
        request = asked.headers["location"]
        other = httpx.AsyncClient(transport=client._transport, base_url=URL, headers=ENGLISH)
        await account(other, node, "bert")
        for hidden in (request, f"{request}/answer.cbor", path, f"/consents/{made}/narrow"):
            assert (await other.get(hidden)).status_code == 404, hidden
        stolen = await post(other, path, {"right": "access", "to": "recipient"}, seen="/account")
        narrowed = await post(other, f"/consents/{made}/narrow/confirm", {"days": "30"}, seen="/account")
        assert (stolen.status_code, narrowed.status_code) == (404, 404)
        assert "private words" not in (await other.get("/rights")).text
        none_yet = await client.get(f"{request}/answer.cbor")
        assert none_yet.status_code == 404


# Points, notices, files


async def test_points_come_from_the_register_where_she_lives(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        bert = httpx.AsyncClient(transport=client._transport, base_url=URL, headers=ENGLISH)
        await account(bert, node, "bert")  # no point is typed
        here = {"as_tenant": "advice", "holder": "Host", "contact": "a@b.example", "kind": "daily"}
        await do(node, "consent request", purpose="Attic", point=(PRM,), **here)
        await do(node, "consent request", purpose="Cellar", point=("prm:00000000000003",), **here)

        async def waiting(who: httpx.AsyncClient) -> set[str]:
            page = text_of(await who.get("/requests"))
            return {purpose for purpose in ("Attic", "Cellar") if purpose in page}

        assert (await waiting(client), await waiting(bert)) == ({"Attic"}, set())
        await do(node, "point add", point="prm:00000000000003", person="bert")
        assert await waiting(bert) == {"Cellar"}
        assert "ending in 0003" in text_of(await bert.get("/account"))
        await do(node, "point add", point=PRM, person="bert")  # the register knows better than what was typed for Anna
        assert (await waiting(client), await waiting(bert)) == (set(), {"Attic", "Cellar"})
        await do(node, "point move-out", point="prm:00000000000003", person="bert")
        assert await waiting(bert) == {"Attic"}
        await do(node, "point forget", point=PRM)
        assert (await waiting(client), await waiting(bert)) == ({"Attic"}, set())


async def test_a_consent_that_ends_soon_or_was_ended_is_told_at_home(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        for purpose, days in (("Soon", 5), ("Within a month", 25), ("Later", 60)):
            await grant(node, purpose=purpose, days=days)
        ended = await grant(node, purpose="Ended by them")
        await do(node, "consent revoke", id=ended, as_tenant="advice", why="purpose_ended")
        home = text_of(await client.get("/"))
        told = home[home.index("Good to know") : home.index("Your consents today")]
        assert "Ends within 7 days, in 4 days: advice – Soon" in told
        assert "Ends within 30 days, in 24 days: advice – Within a month" in told
        assert "An organisation has ended this consent: advice – Ended by them" in told
        assert "Later" not in told


async def test_the_receipt_comes_as_a_record_for_machines(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        made = await grant(node)
        await do(node, "tick run")
        for query in ("", "?form=kantara"):
            answer = await client.get(f"/consents/{made}/receipt.json{query}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            assert answer.headers["content-disposition"] == f'attachment; filename="consent-{made[:12]}.json"'
            assert "Advice on heating" in json.dumps(json.loads(answer.content))
        signed = await client.get(f"/consents/{made}/receipt.cbor")
        assert Entry.parse(signed.content).id.hex() == made


@pytest.mark.parametrize("away", [False, True])
async def test_what_was_handed_on_is_hers_no_more(tmp_path: Path, away: bool) -> None:
    async with living(tmp_path) as (client, node, _):
        made = await grant(node)
        await do(node, "wallet create", name="bea")
        words = await take_away(client) if away else ""
        if away:  # she signs by her words, at once handing it on
            await post(client, "/account/keys/back", {"words": words}, seen="/account/keys")
        await do(node, "consent rekey", id=made, to="bea")
        if away:
            await post(client, "/account/keys/take", {"words": words}, seen="/account/keys")
        assert "Advice on heating" not in text_of(await client.get("/consents"))
        past = text_of(await client.get("/consents?tab=past"))
        assert ("Advice on heating" in past, "Handed on to other keys" in past) == (True, True)
        page = text_of(await client.get(f"/consents/{made}"))
        assert "other keys than yours decide on it now" in page
        assert all(act not in page for act in ("Withdraw this consent", "Narrow it", "Use a right"))
        assert (await client.get(f"/consents/{made}/withdraw")).status_code == 303
        await do(node, "consent rekey", id=made, to="anna") if not away else None
        assert ("Withdraw this consent" in text_of(await client.get(f"/consents/{made}"))) is not away


async def test_a_computation_is_said_in_words(tmp_path: Path) -> None:
    async with living(tmp_path) as (client, node, _):
        peak = await do(node, "compute define", operation="maximum", step="P1D")
        (defined,) = (await do(node, "compute list")).computations
        made = await grant(node, computation=peak.computation)
        page = text_of(await client.get(f"/consents/{made}"))
        assert f"Only the result of a computation leaves. {defined.words}" in page
        await do(node, "compute forget", computation=peak.computation)
        assert "What it computes is not known here." in text_of(await client.get(f"/consents/{made}"))
