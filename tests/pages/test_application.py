"""The pages without a browser: headers, hosts, origins, tokens, sessions, limits, and what hostile clients send."""

from __future__ import annotations

import hashlib
import random
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio
from starlette.requests import Request

from ledger.errors import LocalError, RemoteError
from node.config import as_toml, read_config
from node.keyfile import Cost
from node.pages.application import ROUTES, make_pages
from node.pages.forms import BODY_BYTES_MAX, FIELDS_MAX, read_form
from node.pages.guard import client_address
from node.pages.limits import Limit, Limits, network_of
from node.pages.rendering import HTMX_SHA384, read_static
from node.pages.sessions import SESSION_SECONDS, SESSIONS_PERSON_MAX, Sessions
from node.pages.settings import Oidc, Pages
from node.pages.visit import Site, local_path
from tests.node.nodes import do, make_home, running

URL = "https://pages.example"
SETTINGS = Pages("127.0.0.1:8480", URL, behind_proxy=True)
PASSPHRASE = "cheval agrafe pile correcte"


@asynccontextmanager
async def visiting(tmp_path: Path, *, mesh: bool = True) -> AsyncIterator[tuple[httpx.AsyncClient, Any, Site]]:
    """Run a node with pages in this process; give a client of them, the node and what the pages share."""
    async with running(make_home(tmp_path / "node", "Host")) as node:
        node.config = msgspec.structs.replace(node.config, pages=SETTINGS)
        if mesh:
            await do(node, "mesh create", name="street")
        site = Site(node, SETTINGS, Cost(1, 8_192))
        transport = httpx.ASGITransport(make_pages(site), client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            yield client, node, site


def token_in(page: httpx.Response) -> str:
    """Return the token of the first form of a page."""
    found = re.search(r'name="token" value="([0-9a-f]{64})"', page.text)
    assert found is not None, page.text[:2_000]
    return found[1]


async def post(
    client: httpx.AsyncClient, path: str, form: dict[str, Any], *, seen: str = "/login", **headers: str
) -> Any:
    """Send a form as a browser does that was shown the page `seen`."""
    token = token_in(await client.get(seen, follow_redirects=True))
    return await client.post(path, data={"token": token, **form}, headers={"origin": URL, **headers})


async def join(client: httpx.AsyncClient, node: Any, name: str = "anna") -> str:
    """Open an account; return the path of its invitation."""
    path = str((await do(node, "pages invite", name=name)).link.removeprefix(URL))
    answer = await post(client, path, {"passphrase": PASSPHRASE, "again": PASSPHRASE}, seen=path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
    return path


async def test_each_answer_has_its_headers_and_nothing_inline(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, node, _):
        await join(client, node)
        for path in ("/", "/login", "/withdraw", "/nowhere", "/consents", "/about", "/static/0/none.js"):
            answer = await client.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["strict-transport-security"].startswith("max-age=")
            assert answer.headers["cache-control"] == "no-store"
            assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text)


def test_htmx_is_the_file_that_is_named() -> None:
    static = read_static()
    assert b64encode(hashlib.sha384(static["htmx.min.js"].body).digest()).decode() == HTMX_SHA384
    axe = Path(__file__).parent / "static" / "axe.min.js"
    assert hashlib.sha256(axe.read_bytes()).hexdigest() == AXE_SHA256  # npm axe-core 4.14.1, MPL-2.0


AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"


async def test_static_files_are_kept_for_ever_and_pages_name_them_with_their_hash(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, _, site):
        page = (await client.get("/")).text
        for one in site.renderer.static.values():
            answer = await client.get(one.path)
            assert (answer.content, answer.headers["content-type"]) == (one.body, one.media_type)
            assert "immutable" in answer.headers["cache-control"]
        assert site.renderer.static["pages.css"].integrity in page


async def test_a_form_of_elsewhere_changes_nothing(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, _, _site):
        token = token_in(await client.get("/login"))
        form = {"token": token, "name": "anna", "passphrase": "x"}
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"referer": "https://pages.example.evil.example/login"},
            {},
        ):
            answer = await client.post("/login", data=form, headers=headers)
            assert (answer.status_code, "FORM_FOREIGN" in answer.text) == (403, True), headers
        for wrong in ("", "0" * 64, token[:-1], token + "0"):
            answer = await client.post("/login", data={**form, "token": wrong}, headers={"origin": URL})
            assert (answer.status_code, "FORM_OLD" in answer.text) == (403, True)
        other = httpx.AsyncClient(transport=client._transport, base_url=URL)  # another visitor with her token
        answer = await other.post("/login", data=form, headers={"origin": URL})
        assert "FORM_OLD" in answer.text


async def test_every_form_asks_for_its_token_and_every_page_for_a_login(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, _, _site):
        for row in ROUTES:
            path = re.sub(r"\{\w+\}", "0" * 64, row.path)
            if row.post:
                answer = await client.post(path, data={"a": "b"}, headers={"origin": URL})
                assert answer.status_code == 403, path
            elif row.login:
                answer = await client.get(path)
                assert (answer.status_code, answer.headers["location"][:12]) == (303, "/login?next="), path


async def test_other_hosts_methods_and_sizes_are_refused(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, _, _site):
        assert (await client.get("/", headers={"host": "evil.example"})).status_code == 421
        assert (await client.request("PUT", "/")).status_code == 405
        assert (await client.request("DELETE", "/login")).status_code == 405
        assert (await client.get("/logout")).status_code == 405
        assert (await client.get("/" + "a" * 3_000)).status_code == 414
        assert (await client.get("/withdraw?code=" + "a" * 5_000)).status_code == 414
        long = {"origin": URL, "content-type": "application/x-www-form-urlencoded"}
        assert (await client.post("/login", content=b"a" * (BODY_BYTES_MAX + 1), headers=long)).status_code == 413


async def test_a_body_that_does_not_end_is_refused() -> None:
    async def receive() -> Any:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": b"a=" + b"b" * 8_000 + b"&", "more_body": True}

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    with pytest.raises(RemoteError) as caught:
        await read_form(Request({"type": "http", "method": "POST", "headers": headers}, receive))
    assert caught.value.code == "FORM_TOO_LARGE"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"&".join(b"a=b" for _ in range(FIELDS_MAX + 1)), "application/x-www-form-urlencoded"),
        (b"token=" + b"b" * 5_000, "application/x-www-form-urlencoded"),
        (b"token=%ff", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"token=a&token=b", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"token=a", "multipart/form-data; boundary=x"),
    ],
)
async def test_malformed_forms_are_refused_in_plain_words(tmp_path: Path, body: bytes, media_type: str) -> None:
    async with visiting(tmp_path) as (client, _, _site):
        answer = await client.post("/login", content=body, headers={"origin": URL, "content-type": media_type})
        assert (answer.status_code, "FORM_MALFORMED" in answer.text) == (400, True)


async def test_an_invitation_works_once_and_a_lost_passphrase_is_replaced(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, node, site):
        path = (await do(node, "pages invite", name="anna", point=("prm:00000000000001",))).link.removeprefix(URL)
        short = await post(client, path, {"passphrase": "short", "again": "short"}, seen=path)
        assert (short.status_code, "too short" in short.text or "trop courte" in short.text) == (422, True)
        await post(client, path, {"passphrase": PASSPHRASE, "again": PASSPHRASE}, seen=path)
        over = await client.get(path)
        assert (over.status_code, "INVITATION_OVER" in over.text) == (409, True)
        (row,) = (await do(node, "pages people")).people
        assert (row.name, row.wallet, row.points, row.state) == ("anna", "anna", ("prm:00000000000001",), "account")
        other = httpx.AsyncClient(transport=client._transport, base_url=URL)
        again = (await do(node, "pages invite", name="anna")).link.removeprefix(URL)
        chosen = "une autre phrase entière"
        await post(other, again, {"passphrase": chosen, "again": chosen}, seen=again)
        assert (await client.get("/consents")).status_code == 303  # the old session has ended
        assert (await other.get("/consents")).status_code == 200
        await do(node, "pages remove", name="Anna")
        assert (await other.get("/consents")).status_code == 303
        assert (await do(node, "wallet list")).wallets[0].name == "anna"
        assert site.mesh.name == "street"


async def test_login_renews_the_cookie_and_guessing_is_slowed(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, node, _):
        await join(client, node)
        await post(client, "/logout", {}, seen="/account")
        before = client.cookies["__Host-maille"]
        wrong = await post(client, "/login", {"name": "anna", "passphrase": "wrong"})
        nobody = await post(client, "/login", {"name": "nobody", "passphrase": "wrong"})
        told = re.compile(r"(?s)<div class=\"problem\".*?</div>")
        assert wrong.status_code == nobody.status_code == 422
        assert told.findall(wrong.text) == told.findall(nobody.text) != []
        right = await post(
            client, "/login", {"name": " ANNA ", "passphrase": PASSPHRASE, "following": "//evil.example"}
        )
        assert (right.status_code, right.headers["location"]) == (303, "/")
        assert client.cookies["__Host-maille"] != before
        set_cookie = right.headers["set-cookie"].lower()
        assert all(part in set_cookie for part in ("secure", "httponly", "samesite=strict", "path=/"))
        assert "domain" not in set_cookie
        other = httpx.AsyncClient(transport=client._transport, base_url=URL)
        answers = [await post(other, "/login", {"name": "anna", "passphrase": f"guess {n}"}) for n in range(9)]
        assert [answer.status_code for answer in answers].count(429) == 1


async def test_nobody_sees_the_consents_of_another(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, node, _):
        await join(client, node, "anna")
        await do(node, "tenant init", name="advice")
        await do(node, "tenant host", tenant="advice")
        made = await do(
            node,
            "consent grant",
            wallet="anna",
            recipient="advice",
            point=("prm:00000000000001",),
            kind="daily",
            purpose='<script>alert("x")</script>',
            contact="a@b.example",
        )
        own = await client.get(f"/consents/{made.id}")
        assert own.status_code == 200
        assert "<script>alert" not in own.text
        assert "&lt;script&gt;alert" in own.text
        other = httpx.AsyncClient(transport=client._transport, base_url=URL)
        await join(other, node, "bert")
        for end in ("", "/withdraw", "/receipt", "/receipt.cbor", "/receipt.json", "/slip", "/ended", "/ended/live"):
            assert (await other.get(f"/consents/{made.id}{end}")).status_code == 404, end
        stolen = await post(other, f"/consents/{made.id}/withdraw", {}, seen="/account")
        assert stolen.status_code == 404
        (line,) = (await do(node, "consent list")).consents
        assert line.state == "active"
        for path in ("/consents/zz", "/organisations/zz/withdraw", "/requests/x", f"/withdrawn/{made.id}/{'0' * 64}"):
            assert (await client.get(path)).status_code in (303, 404)


async def test_without_a_mesh_the_pages_say_so(tmp_path: Path) -> None:
    async with visiting(tmp_path, mesh=False) as (client, _, _site):
        answer = await client.get("/login")
        assert (answer.status_code, "NO_MESH" in answer.text) == (503, True)


async def test_the_language_follows_browser_and_choice(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, _, _site):
        assert '<html lang="fr">' in (await client.get("/", headers={"accept-language": "de, fr;q=0.5"})).text
        assert '<html lang="en">' in (await client.get("/", headers={"accept-language": "en-GB"})).text
        away = await client.get("/language/en?next=https://evil.example")
        assert away.headers["location"] == "/"
        assert '<html lang="en">' in (await client.get("/", headers={"accept-language": "fr"})).text


# The parts


def test_a_session_ends_by_time_by_number_and_by_hand() -> None:
    sessions = Sessions(random.Random(1).randbytes)
    cookies = [sessions.begin("anna", 100 + n) for n in range(SESSIONS_PERSON_MAX + 1)]
    assert sessions.find(cookies[0], 200) is None
    assert sessions.find(cookies[1], 200) is not None
    assert sessions.find(cookies[1], 101 + SESSION_SECONDS) is None
    sessions.end_all("anna", cookies[2])
    assert [cookie for cookie in cookies if sessions.find(cookie, 200)] == [cookies[2]]
    sessions.end(cookies[2])
    assert sessions.find(cookies[2], 200) is None


def test_a_bucket_fills_again_evenly() -> None:
    limits, limit = Limits(), Limit(3, 30)
    assert [limits.take(limit, "a", 0) for _ in range(4)] == [True, True, True, False]
    assert limits.take(limit, "b", 0)
    assert not limits.take(limit, "a", 9)
    assert limits.take(limit, "a", 11)
    assert not limits.take(limit, "a", 11)


def test_addresses_behind_proxies_are_believed_from_those_alone() -> None:
    def scope(peer: str, told: str) -> Any:
        return {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", told.encode())]}

    assert client_address(scope("203.0.113.9", "1.2.3.4"), ()) == "203.0.113.9"
    assert client_address(scope("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2"), ("10.0.0.0/8",)) == "1.2.3.4"
    assert client_address(scope("203.0.113.9", "1.2.3.4"), ("10.0.0.0/8",)) == "203.0.113.9"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") != network_of("2001:db8:1::1")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("rubbish\n") == "unknown"


@pytest.mark.parametrize("path", ["//evil", "/\\evil", "https://evil", "evil", "/a\nb", "", "/" + "a" * 600])
def test_only_our_own_paths_are_followed(path: str) -> None:
    assert local_path(path) == "/"
    assert local_path("/consents?tab=past") == "/consents?tab=past"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"certificate": "a"}, "certificate"),
        ({"behind_proxy": False}, "certificate"),
        ({"listen": "0.0.0.0:80"}, "trusted_proxies"),
        ({"behind_proxy": False, "listen": "0.0.0.0:80", "url": "http://a.example"}, "certificate"),
        ({"certificate": "a", "key": "b"}, "behind_proxy"),
        ({"trusted_proxies": ("here",)}, "trusted_proxies"),
        ({"oidc": Oidc("http://idp.example", "a", "b")}, "oidc"),
    ],
)
def test_unsafe_settings_are_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(LocalError) as caught:
        msgspec.structs.replace(SETTINGS, **change).check()
    assert caught.value.field == f"pages.{field}"


async def test_settings_are_written_and_read_again(tmp_path: Path) -> None:
    config = make_home(tmp_path / "n", "n").config()
    for pages in (SETTINGS, msgspec.structs.replace(SETTINGS, oidc=Oidc("https://idp.example/x", "id", "secret"))):
        with_pages = msgspec.structs.replace(config, pages=pages)
        assert read_config(as_toml(with_pages).encode(), "c") == with_pages
    await trio.lowlevel.checkpoint()
