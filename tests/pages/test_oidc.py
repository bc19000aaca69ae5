"""Logging in by an OpenID provider, from the first click to the session, against a provider that may lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.responses import JSONResponse, PlainTextResponse

from node.pages import oidc
from tests.node.nodes import do
from tests.pages.provider import ISSUER, SECRET, SETTINGS, Json, Provider
from tests.pages.test_application import PASSPHRASE, URL, post, visiting

CALLBACK = f"{URL}/oidc/callback"
REFUSED = "La réponse du fournisseur n’était pas sûre"


@asynccontextmanager
async def with_provider(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Any, Provider]]:
    """Run pages that know a provider; give a browser, the node and the provider."""
    async with visiting(tmp_path) as (client, node, site):
        provider = Provider(lambda: node.now)
        site.settings = msgspec.structs.replace(site.settings, oidc=SETTINGS)
        site.provider = oidc.Provider(SETTINGS, SECRET, CALLBACK, node.random_bytes, provider.client)
        yield client, node, provider


async def begin(client: httpx.AsyncClient, invitation: str = "") -> str:
    """Click on the provider's button; return where the browser is sent."""
    answer = await client.get(f"/oidc/start{f'?invitation={invitation}' if invitation else ''}")
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def invited(client: httpx.AsyncClient, node: Any, provider: Provider, name: str = "anna") -> httpx.Response:
    """Open an account with an identity of the provider."""
    code = (await do(node, "pages invite", name=name)).link.rpartition("/")[2]
    return await client.get(await provider.answer(await begin(client, code)))


async def is_in(client: httpx.AsyncClient) -> bool:
    """Say whether the browser has a session."""
    return (await client.get("/account")).status_code == 200


async def test_an_invitation_binds_an_identity_which_logs_in_from_then_on(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, node, provider):
        answer = await invited(client, node, provider)
        assert (answer.status_code, "Vous êtes connecté" in answer.text) == (200, True)
        assert 'http-equiv="refresh" content="0;url=/"' in answer.text  # a strict cookie needs a page of ours between
        assert "FranceConnect" in (await client.get("/account")).text
        (row,) = (await do(node, "pages people")).people
        assert (row.name, row.identity) == ("anna", ISSUER)
        (asked,) = provider.asked
        assert (asked["response_type"], asked["scope"], asked["acr_values"]) == ("code", "openid", "eidas1")
        assert (asked["code_challenge_method"], asked["redirect_uri"]) == ("S256", CALLBACK)
        assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
        await post(client, "/logout", {}, seen="/account")
        assert not await is_in(client)
        await client.get(await provider.answer(await begin(client)))
        assert await is_in(client)
        assert provider.asked[0]["state"] != provider.asked[1]["state"]
        assert provider.asked[0]["nonce"] != provider.asked[1]["nonce"]


async def test_the_cookie_of_a_log_in_is_bound_to_this_browser_and_ends_with_it(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, node, provider):
        answer = await client.get("/oidc/start")
        told = answer.headers["set-cookie"].lower()
        assert all(part in told for part in ("__host-maille-oidc=", "secure", "httponly", "samesite=lax", "path=/"))
        answer = await invited(client, node, provider)
        assert 'maille-oidc=""' in "".join(answer.headers.get_list("set-cookie"))


async def test_a_provider_that_wants_the_secret_in_a_header_gets_it_there(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, node, provider):
        provider.document = lambda told: told | {"token_endpoint_auth_methods_supported": ["client_secret_basic"]}
        await invited(client, node, provider)
        assert await is_in(client)


def another(claims: Json, **change: Any) -> Json:
    """Return other claims; None takes one out."""
    return {name: value for name, value in (claims | change).items() if value is not None}


CLAIMS: dict[str, dict[str, Any] | Callable[[Json], Json]] = {
    "another nonce": {"nonce": "n" * 43},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "somebody-else"},
    "several audiences and no party": {"aud": ["maille-client", "somebody-else"]},
    "another authorized party": {"azp": "somebody-else"},
    "another issuer": {"iss": "https://evil.example"},
    "an issuer that begins alike": {"iss": f"{ISSUER}.evil.example"},
    "expired": lambda claims: claims | {"exp": claims["iat"] - 61},
    "made in the future": lambda claims: claims | {"iat": claims["iat"] + 61 + 60},
    "not valid yet": lambda claims: claims | {"nbf": claims["iat"] + 61 + 60},
    "no end": {"exp": None},
    "an end that is no number": {"exp": True},
    "an end that never comes": {"exp": float("nan")},
    "a lower level": {"acr": "eidas0"},
    "no level": {"acr": None},
    "nobody": {"sub": ""},
    "no subject": {"sub": None},
    "a subject without end": {"sub": "s" * 301},
}


async def test_a_token_with_wrong_claims_logs_in_nobody(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, node, provider):
        for name, change in CLAIMS.items():
            provider.claims = change if callable(change) else partial(another, **change)
            await check_refused(client, node, await invited(client, node, provider), name)


def forged(provider: Provider, claims: Json, how: str) -> str:
    """Return a token that is signed wrongly."""
    public = provider.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    match how:
        case "alg none":
            return jwt.encode(claims, "", "none")
        case "the client's secret":
            return jwt.encode(claims, SECRET, "HS256", {"kid": "key-2026"})
        case "the public key as a secret":
            # PyJWT refuses to make it; whoever attacks does not ask PyJWT.
            return jwt.encode(claims, public.hex(), "HS256", {"kid": "key-2026"})
        case "another key of that name":
            return provider.signed(claims, ec.generate_private_key(ec.SECP256R1()))
        case "a key that is not published":
            return provider.signed(claims, kid="key-2031")
        case "claims changed after signing":
            head, _, signature = provider.signed(claims).split(".")
            return f"{head}.{provider.signed(claims | {'sub': 'root'}).split('.')[1]}.{signature}"
        case "no signature":
            return provider.signed(claims).rpartition(".")[0] + "."
        case _:
            return "no token at all"


FORGERIES = (
    "alg none",
    "the client's secret",
    "the public key as a secret",
    "another key of that name",
    "a key that is not published",
    "claims changed after signing",
    "no signature",
    "rubbish",
)


async def test_a_token_that_the_provider_did_not_sign_logs_in_nobody(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, node, provider):
        for how in FORGERIES:
            provider.sign = partial(forged, provider, how=how)
            await check_refused(client, node, await invited(client, node, provider), how)


async def check_refused(client: httpx.AsyncClient, node: Any, answer: httpx.Response, case: str) -> None:
    """Hold an answer to: a sentence, no session, no account, the invitation still open."""
    told = (answer.status_code, REFUSED in answer.text, "OIDC_REFUSED" in answer.text)
    assert told == (409, True, True), (case, answer.text)
    assert not await is_in(client), case
    (row,) = (await do(node, "pages people")).people
    assert row.state == "invited", case


async def test_a_state_is_used_once_by_its_browser_and_in_time(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, node, provider):
        await invited(client, node, provider)
        await post(client, "/logout", {}, seen="/account")
        back = await provider.answer(await begin(client))
        stranger = httpx.AsyncClient(transport=client._transport, base_url=URL)
        for who, address in ((stranger, back), (client, back), (client, "/oidc/callback?code=a&state=b")):
            # Whoever tries a state with another browser uses it up: its owner begins again.
            answer = await who.get(address)
            assert (answer.status_code, REFUSED in answer.text) == (409, True), address
            assert not await is_in(who)
        back = await provider.answer(await begin(client))
        assert (await client.get(back)).status_code == 200
        await post(client, "/logout", {}, seen="/account")
        replayed = await client.get(back)
        assert (replayed.status_code, REFUSED in replayed.text) == (409, True)
        back = await provider.answer(await begin(client))
        clock = node.clock
        node.clock = lambda: clock() + 601_000
        late = await client.get(back)
        assert (late.status_code, REFUSED in late.text) == (409, True)
        assert not await is_in(client)


async def test_an_answer_of_another_issuer_or_without_a_code_logs_in_nobody(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, _, provider):
        mixed = await client.get(await provider.answer(await begin(client), iss="https://evil.example"))
        assert REFUSED in mixed.text
        for change in ({"error": "access_denied"}, {"code": ""}):
            answer = await client.get(await provider.answer(await begin(client), **change))
            assert (answer.status_code, "Vous avez arrêté, ou le fournisseur a dit non." in answer.text) == (409, True)
        stolen = await client.get(await provider.answer(await begin(client), code="code-1"))
        assert REFUSED in stolen.text  # PKCE: the code was given for another log-in
        assert not await is_in(client)


async def test_an_identity_without_account_and_one_that_is_taken_are_told_so(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, node, provider):
        unknown = await client.get(await provider.answer(await begin(client)))
        assert (unknown.status_code, "Personne n’est connu ici sous cette identité" in unknown.text) == (409, True)
        await invited(client, node, provider)
        taken = await invited(httpx.AsyncClient(transport=client._transport, base_url=URL), node, provider, "bert")
        assert (taken.status_code, "Cette identité a déjà un compte" in taken.text) == (409, True)
        states = {row.name: row.state for row in (await do(node, "pages people")).people}
        assert states == {"anna": "account", "bert": "invited"}


LIES: dict[str, Callable[[Json], Json]] = {
    "another name": lambda told: told | {"issuer": "https://evil.example"},
    "no name": lambda told: another(told, issuer=None),
    "keys without TLS": lambda told: told | {"jwks_uri": "http://idp.example/jwks"},
    "no token endpoint": lambda told: another(told, token_endpoint=None),
    "an endpoint that is no text": lambda told: told | {"authorization_endpoint": 7},
}


async def test_a_provider_that_describes_itself_wrongly_gets_no_visitors(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, _, provider):
        for name, lie in LIES.items():
            provider.document = lie
            answer = await client.get("/oidc/start")
            assert (answer.status_code, REFUSED in answer.text) == (409, True), name


async def test_answers_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    async with with_provider(tmp_path) as (client, _, provider):
        for answer in (JSONResponse({}), JSONResponse({"id_token": 7}), JSONResponse([]), JSONResponse({}, 500)):
            provider.token = lambda _, answer=answer: answer  # type: ignore[misc]
            refused = await client.get(await provider.answer(await begin(client)))
            assert REFUSED in refused.text
        provider.token = lambda _: PlainTextResponse("<html>")
        broken = await client.get(await provider.answer(await begin(client)))
        assert "Le fournisseur ne répond pas" in broken.text
        provider.token = lambda token: JSONResponse({"id_token": token})
        for keys in ([], provider.keys * 2, [{"kty": "EC", "kid": "key-2026"}]):
            provider.keys = keys
            refused = await client.get(await provider.answer(await begin(client)))
            assert REFUSED in refused.text


async def test_a_provider_that_is_away_leaves_the_passphrase(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, node, site):

        async def away(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("nobody there", request=request)

        def lonely() -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=httpx.MockTransport(away))

        site.provider = oidc.Provider(SETTINGS, SECRET, CALLBACK, node.random_bytes, lonely)
        answer = await client.get("/oidc/start")
        assert (answer.status_code, "Le fournisseur ne répond pas" in answer.text) == (409, True)
        path = (await do(node, "pages invite", name="anna")).link.removeprefix(URL)
        await post(client, path, {"passphrase": PASSPHRASE, "again": PASSPHRASE}, seen=path)
        assert await is_in(client)


async def test_without_a_provider_there_is_no_such_door(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (client, _, _site):
        for path in ("/oidc/start", "/oidc/callback?code=a&state=b"):
            assert (await client.get(path)).status_code == 404


async def test_log_ins_that_were_begun_are_kept_for_ten_minutes_and_not_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "PENDING_MAX", 3)
    async with with_provider(tmp_path) as (client, node, provider):
        await invited(client, node, provider)
        first = await begin(client)
        state = parse_qs(urlsplit(first).query)["state"][0]
        for _ in range(3):
            await begin(client)
        pushed = await client.get(await provider.answer(first))
        assert (REFUSED in pushed.text, len(state)) == (True, 43)
