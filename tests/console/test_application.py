"""The operator pages without a browser: log-in, permissions, forms, headers, each page in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import trio

from ledger.errors import LocalError
from node.config import Config, as_toml, read_config
from node.console.application import ROUTES
from node.console.settings import Console
from node.console.upload import UPLOAD_BYTES_MAX
from tests.console.reading import english_in
from tests.console.visiting import PATHS, URL, token_in, visiting
from tests.node.nodes import do, make_home, running, until

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = "https://evil.example"


@pytest.mark.parametrize("lang", ["en", "fr"])
async def test_each_page_answers_in_both_languages_and_has_nothing_inline(tmp_path: Path, lang: str) -> None:
    async with visiting(tmp_path) as visit:
        await visit.log_in()
        for path in PATHS:
            answer = await visit.get(path, **{"accept-language": lang})
            assert answer.status_code == 200, (path, answer.text)
            assert f'<html lang="{lang}">' in answer.text
            assert answer.text.count("<h1") == 1, path
            assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text), path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["cache-control"] == "no-store"


async def test_who_is_not_logged_in_sees_nothing_and_no_form_goes_without_its_token(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        for row in ROUTES:
            path = re.sub(r"\{\w+\}", "0" * 16, row.path)
            if row.post:
                answer = await visit.send(path, {"a": "b"}, origin=URL)
                assert answer.status_code == (403 if row.needs is None else 303), path
            elif row.path == "/live":
                assert (await visit.get(path)).status_code == 401
            elif row.needs is not None:
                answer = await visit.get(path)
                assert (answer.status_code, answer.headers["location"][:7]) == (303, "/login?"), path
        await visit.log_in("admin")
        for row in ROUTES:
            if row.post:
                path = re.sub(r"\{\w+\}", "0" * 16, row.path)
                answer = await visit.send(path, {"a": "b"}, origin=URL)
                assert answer.status_code in (400, 403), path  # no token; or no file where one is expected


async def test_a_form_of_elsewhere_changes_nothing(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        made = await do(visit.node, "token make", name="Nora", permission="admin")
        form = {"token": token_in(await visit.get("/login")), "token_shown": made.token, "following": "/"}
        for headers in ({"origin": ELSEWHERE}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {}):
            answer = await visit.send("/login", form, **headers)
            assert (answer.status_code, "FORM_FOREIGN" in answer.text) == (403, True)
        answer = await visit.send("/login", {**form, "token": "0" * 64}, origin=URL)
        assert "FORM_OLD" in answer.text
        assert (await visit.get("/", host="evil.example")).status_code == 421
        assert (await visit.get("/")).status_code == 303


async def test_a_wrong_token_or_one_for_a_part_opens_nothing(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        bound = await do(visit.node, "token make", name="Street", permission="admin", mesh="street")
        for shown in ("", "maille_x", "maille_" + "0" * 12 + "_" + "A" * 43, bound.token):
            answer = await visit.post("/login", {"token_shown": shown}, seen="/login")
            assert (answer.status_code, 'role="alert"' in answer.text) == (422, True)
            assert "maille_0" not in answer.text  # what was typed is not shown again
        answers = [await visit.post("/login", {"token_shown": "x"}, seen="/login") for _ in range(40)]
        assert (answers[-1].status_code, "TOO_OFTEN" in answers[-1].text) == (429, True)


async def test_a_token_that_is_revoked_or_has_expired_ends_its_session(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        ident = await visit.log_in()
        cookie = visit.cookies["__Host-maille-console"]
        assert (await visit.get("/")).status_code == 200
        await do(visit.node, "token revoke", id=ident)
        assert (await visit.get("/")).status_code == 303
        assert visit.cookies["__Host-maille-console"] != cookie
        await visit.log_in()
        clock = visit.node.clock
        visit.node.clock = lambda: clock() + 91 * 86_400_000
        assert (await visit.get("/")).status_code == 303


async def test_the_cookie_is_its_own_and_kept_from_scripts(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        (cookie,) = (await visit.get("/login")).headers.get_list("set-cookie")
        assert cookie.startswith("__Host-maille-console=")
        for mark in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
            assert mark in cookie


async def test_who_may_look_alone_is_shown_no_button_and_can_send_no_form(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        await visit.log_in("read")
        for path in PATHS:
            forms = re.findall(r'<form[^>]*method="post" action="([^"]*)"', (await visit.get(path)).text)
            assert set(forms) <= {"/logout", "/proof"}, path
        for row in ROUTES:
            if row.needs == "operate":
                path = re.sub(r"\{\w+\}", "1", row.path)
                form = {"answer": "approve", "choice": "yes", "since": "2026-01-01", "until": "2026-01-02"}
                answer = await (visit.post(path, form, seen="/alerts") if row.post else visit.get(path))
                assert (answer.status_code, "NOT_PERMITTED" in answer.text) == (403, True), row.path


async def test_logging_out_ends_the_session(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        await visit.log_in()
        assert (await visit.post("/logout", {}, seen="/")).status_code == 200
        assert (await visit.get("/")).status_code == 303


async def test_a_node_without_a_mesh_has_an_overview_and_says_so_elsewhere(tmp_path: Path) -> None:
    async with visiting(tmp_path, mesh=False) as visit:
        await visit.log_in()
        assert (await visit.get("/")).status_code == 200
        answer = await visit.get("/map")
        assert (answer.status_code, "NO_MESH" in answer.text) == (503, True)


async def test_with_two_meshes_each_page_is_of_one(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        await do(visit.node, "mesh create", name="avenue")
        await visit.log_in()
        page = (await visit.get("/ledger?mesh=street")).text
        assert visit.node.mesh("street").core.replica.frontier_digest().hex() in page
        assert 'href="/consents?mesh=street"' in page
        assert (await visit.get("/ledger?mesh=boulevard")).status_code == 404


async def test_a_vote_is_shown_once_more_and_then_cast_once(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        made = await do(visit.node, "proposal evaluator", version=2)
        await visit.log_in()
        assert made.id in (await visit.get("/proposals")).text
        path = f"/proposals/{made.id}"
        assert (await visit.get(f"{path}/vote?choice=maybe")).status_code == 422
        confirm = await visit.get(f"{path}/vote?choice=no")
        assert "This node votes:" in confirm.text
        assert (await do(visit.node, "proposal show", id=made.id)).votes == ()  # looking casts nothing
        cast = await visit.post(f"{path}/vote", {"choice": "no"}, seen=f"{path}/vote?choice=no")
        assert cast.status_code == 200
        (vote,) = (await do(visit.node, "proposal show", id=made.id)).votes
        assert vote.choice == "no"
        again = await visit.post(f"{path}/vote", {"choice": "yes"}, seen="/alerts")
        assert (again.status_code, "ALREADY_VOTED" in again.text) == (409, True)
        assert "A vote is never taken back" in (await visit.get(path)).text


async def test_whoever_lets_somebody_in_is_told_first_what_sealing_will_ask(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit, running(make_home(tmp_path / "bob", "Bob")) as bob:
        ticket = await do(visit.node, "invite create", open=True)
        await do(bob, "join", ticket=ticket.ticket)
        (waiting,) = (await do(visit.node, "requests list")).requests
        await visit.log_in()
        path = f"/applications/{waiting.id}"
        assert "Of 2 voters 2 must be there to seal" in ticket.hint
        assert ticket.hint in (await visit.get(path)).text
        french = (await visit.get(path, **{"accept-language": "fr"})).text
        assert "Sur 2 votants, 2 doivent être là pour sceller" in french
        assert english_in(french) == []
        assert "pour sceller" not in (await visit.get("/members", **{"accept-language": "fr"})).text


def test_pages_have_no_plural_in_brackets() -> None:
    for folder in ("console", "pages"):
        for path in sorted((ROOT / "node" / folder / "templates").iterdir()):
            assert not re.search(r"\w\(s\)", path.read_text("utf-8")), path.name


async def test_an_audit_is_started_and_shown(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        await visit.log_in()
        wrong = await visit.post("/audits", {"since": "soon", "until": ""}, seen="/audits")
        assert (wrong.status_code, visit.desk.audits.kept) == (422, ())
        answer = await visit.post("/audits", {"since": "2026-01-01", "until": "2027-01-01"}, seen="/audits")
        assert (answer.status_code, answer.headers["location"]) == (303, "/audits/1")
        await until(lambda: not visit.desk.audits.kept[0].runs)
        page = (await visit.get("/audits/1")).text
        assert "No access without consent was found" in page
        report = await visit.get("/audits/1/report")
        assert report.headers["content-disposition"] == 'attachment; filename="audit-1.html"'
        assert (await visit.get("/audits/2")).status_code == 404


async def test_a_proof_gets_its_verdict_first_and_the_page_names_the_command(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visit:
        await visit.log_in("read")
        page = (await visit.get("/proof")).text
        assert "maille proof verify" in page
        assert "maille-verify" in page
        assert "This page is a convenience" in page
        form = {"genesis": visit.node.mesh().mesh_id.hex(), "members": "1", "age": "1d"}
        files = {"proof": ("a.mailleproof", b"no proof\r\n--at all", "application/octet-stream")}
        answer = await visit.post("/proof", form, seen="/proof", files=files)
        assert answer.status_code == 200
        assert answer.text.index("The proof does not hold") < answer.text.index("Every check")
        for wrong in ({"genesis": "00"}, {"members": "0"}, {"age": "soon"}):
            answer = await visit.post("/proof", {**form, **wrong}, seen="/proof", files=files)
            assert (answer.status_code, f'href="#{next(iter(wrong))}"' in answer.text) == (422, True)
        large = {"proof": ("a", bytes(UPLOAD_BYTES_MAX), "application/octet-stream")}
        answer = await visit.post("/proof", form, seen="/proof", files=large)
        assert answer.status_code == 413


async def test_the_settings_say_who_may_come(tmp_path: Path) -> None:
    assert Console().origin == "http://127.0.0.1:9480"
    config = Config(name="a", console=Console("0.0.0.0:443", "https://x.example", "c.pem", "k.pem"))
    assert read_config(as_toml(config).encode(), "config.toml") == config
    assert read_config(b'name = "a"\n[console]\n', "config.toml").console == Console()
    for console in (
        Console("0.0.0.0:9480"),
        Console("192.0.2.1:9480", "http://192.0.2.1:9480"),
        Console(certificate="c.pem"),
        Console("0.0.0.0:443", certificate="c.pem", key="k.pem"),
        Console(behind_proxy=True),
        Console(trusted_proxies=("10.0.0.1",)),
    ):
        with pytest.raises(LocalError) as caught:
            read_config(as_toml(Config(name="a", console=console)).encode(), "config.toml")
        assert (caught.value.code, str(caught.value.field)[:8]) == ("PAGES_INVALID", "console."), console


async def test_the_daemon_serves_them_and_stops_with_them(tmp_path: Path) -> None:
    from tests.node.nodes import make_home, running
    from tests.pages.town import free_port

    home = make_home(tmp_path / "node", "Host")
    settings = Console(f"127.0.0.1:{free_port()}")
    home.config_file.write_text(as_toml(msgspec.structs.replace(home.config(), console=settings)), "utf-8")
    async with running(home):
        host, _, port = settings.listen.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(f"GET /login HTTP/1.1\r\nhost: {settings.listen}\r\n\r\n".encode())
            assert b"200" in (await stream.receive_some(64))[:20]
