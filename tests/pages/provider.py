"""A provider of log-ins to test against: OpenID Connect as FranceConnect speaks it, on a made-up host, in this process.

How it works
    An ASGI application with discovery, authorization (which logs in `subject` at once), token (client secret, redirect
    address, PKCE and the code's single use are checked) and keys. A test may bend what it answers: `claims` changes the
    id token's claims, `sign` how it is signed, `document` what discovery tells, `token` the token endpoint's answer.

What it does not do
    It shows no page and asks for no password.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from node.pages.settings import Oidc

ISSUER = "https://idp.example/api/v2"
SECRET = "a secret that the client shares with the provider"
KID = "key-2026"
SETTINGS = Oidc(ISSUER, "maille-client", "oidc.secret", acr="eidas1")
Json = dict[str, Any]


class Provider:
    """See the module. `now`: the time for its tokens, unix seconds."""

    def __init__(self, now: Callable[[], int], settings: Oidc = SETTINGS) -> None:
        self.settings, self.now = settings, now
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = "b6048e95bb134ec5b1d1e1fa69f287172e91722b9354d637a1bcf2ebb0fd2ef5v1"
        self.keys = [self.published(self.key)]
        self.claims: Callable[[Json], Json] = lambda claims: claims
        self.sign: Callable[[Json], str] = self.signed
        self.document: Callable[[Json], Json] = lambda document: document
        self.token: Callable[[str], Response] = lambda token: JSONResponse({"id_token": token, "token_type": "Bearer"})
        self.asked: list[Json] = []
        self._codes: dict[str, Json] = {}
        path = urlsplit(settings.issuer).path.rstrip("/")
        self.app = Starlette(
            routes=[
                Route(f"{path}/.well-known/openid-configuration", self._discovery),
                Route(f"{path}/authorize", self._authorize),
                Route(f"{path}/token", self._token, methods=["POST"]),
                Route(f"{path}/jwks", self._jwks),
            ]
        )

    @staticmethod
    def published(key: ec.EllipticCurvePrivateKey, kid: str = KID) -> Json:
        """Return a key as it stands among the published ones."""
        found: Json = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {**found, "kid": kid, "use": "sig", "alg": "ES256"}

    def signed(self, claims: Json, key: Any = None, kid: str = KID) -> str:
        """Return an id token."""
        return jwt.encode(claims, key or self.key, "ES256", {"kid": kid})

    def client(self) -> httpx.AsyncClient:
        """Return a client that reaches this provider, and nothing else."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app))

    async def answer(self, location: str, **change: str) -> str:
        """Follow the browser's way through the provider; return the address to which it is sent back."""
        async with self.client() as client:
            back = (await client.get(location)).headers["location"]
        parts = urlsplit(back)
        told = {name: values[0] for name, values in parse_qs(parts.query).items()} | change
        return f"{parts.path}?{urlencode(told)}"

    # Endpoints

    async def _discovery(self, _: Request) -> Response:
        issuer = self.settings.issuer
        document = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "acr_values_supported": ["eidas1", "eidas2", "eidas3"],
        }
        return JSONResponse(self.document(document))

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        code = f"code-{len(self.asked)}"
        self._codes[code] = asked
        told = urlencode({"code": code, "state": asked["state"], "iss": self.settings.issuer})
        return RedirectResponse(f"{asked['redirect_uri']}?{told}", 303)

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        told = request.headers.get("authorization", "")
        name, _, secret = b64decode(told.removeprefix("Basic ")).decode().partition(":")
        client = (unquote(name), unquote(secret)) if told else (form.get("client_id"), form.get("client_secret"))
        asked = self._codes.pop(form.get("code", ""), None)
        if client != (self.settings.client_id, SECRET):
            return JSONResponse({"error": "invalid_client"}, 401)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form.get("redirect_uri"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = self.now()
        claims = {
            "iss": self.settings.issuer,
            "sub": self.subject,
            "aud": self.settings.client_id,
            "exp": now + 60,
            "iat": now,
            "nonce": asked["nonce"],
            "acr": asked.get("acr_values", "eidas1"),
        }
        return self.token(self.sign(self.claims(claims)))

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": self.keys})
