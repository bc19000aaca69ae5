"""Logging in by an OpenID Connect provider, FranceConnect and others: authorization code, PKCE, nonce, signed id token.

How it works
    The browser is sent to the provider with a state, a nonce and a PKCE challenge, all kept here for ten minutes and
    bound to the browser by a cookie of its own (SameSite=Lax: the provider sends the browser back from elsewhere). The
    code that comes back is exchanged over TLS; the id token's signature is checked against the provider's published
    keys by PyJWT, with asymmetric algorithms alone, and issuer, audience, times, nonce and level are held to what was
    asked. Only issuer and subject are kept, as a binding of an account.

What it does not do
    It asks for no name and no address, and keeps no token. It needs the extra `pages-oidc`.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ledger.errors import LocalError, RemoteError
from node.pages.settings import Oidc

if TYPE_CHECKING:
    import httpx

COOKIE: Final = "__Host-maille-oidc"
PENDING_MAX: Final = 5_000
PENDING_SECONDS: Final = 600
CLOCK_SECONDS: Final = 60
"""So far may the provider's clock be off."""
ANSWER_BYTES_MAX: Final = 256 * 1024
TIMEOUT_SECONDS: Final = 10.0
METADATA_SECONDS: Final = 3_600
SUBJECT_MAX: Final = 300
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
"""Asymmetric ones alone: a token signed with the client's own secret proves nothing about its sender."""


@dataclass(frozen=True, slots=True)
class _Pending:
    browser: str
    nonce: str
    verifier: str
    invitation: str
    began: int


@dataclass(frozen=True, slots=True)
class _Metadata:
    authorize: str
    token: str
    keys: str
    basic: bool
    read_at: int


class Provider:
    """See the module. `redirect`: our callback's address. `client`: makes an HTTP client; tests bring their own."""

    def __init__(
        self,
        settings: Oidc,
        secret: str,
        redirect: str,
        random_bytes: Callable[[int], bytes],
        client: Callable[[], httpx.AsyncClient] | None = None,
    ) -> None:
        self._settings, self._secret, self._redirect = settings, secret, redirect
        self._random, self._client = random_bytes, client or _client
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._metadata: _Metadata | None = None

    # The way there

    async def start(self, now: int, invitation: str) -> Response:
        """Send the browser to the provider. Raises RemoteError OIDC_UNREACHABLE, OIDC_REFUSED."""
        metadata = await self._read_metadata(now)
        state, nonce, verifier, browser = (self._draw() for _ in range(4))
        while self._pending and (len(self._pending) >= PENDING_MAX or self._oldest() < now - PENDING_SECONDS):
            self._pending.popitem(last=False)
        self._pending[state] = _Pending(browser, nonce, verifier, invitation, now)
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect,
            "scope": self._settings.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **({"acr_values": self._settings.acr} if self._settings.acr else {}),
        }
        join = "&" if "?" in metadata.authorize else "?"
        response = RedirectResponse(f"{metadata.authorize}{join}{urlencode(asked)}", 303)
        response.set_cookie(COOKIE, browser, PENDING_SECONDS, secure=True, httponly=True, samesite="lax")
        return response

    def _oldest(self) -> int:
        return next(iter(self._pending.values())).began

    def _draw(self) -> str:
        return urlsafe_b64encode(self._random(32)).rstrip(b"=").decode()

    # The way back

    async def finish(self, request: Request, now: int) -> tuple[str, str, str]:
        """Return (issuer, subject, the invitation's code or ""). Raises RemoteError OIDC_REFUSED, OIDC_UNREACHABLE."""
        told = request.query_params
        pending = self._pending.pop(told.get("state", ""), None)
        if pending is None or now - pending.began > PENDING_SECONDS:
            raise _refused("the answer belongs to no log-in that was begun here, or came too late")
        if not hmac.compare_digest(pending.browser.encode(), request.cookies.get(COOKIE, "").encode()):
            raise _refused("the answer came to another browser than the one that began")
        if "error" in told or not told.get("code"):
            raise LocalError("OIDC_CANCELLED", "the provider did not log in anybody")
        if "iss" in told and told["iss"] != self._settings.issuer:  # RFC 9207
            raise _refused("the answer names another issuer")
        metadata = await self._read_metadata(now)
        token = await self._exchange(metadata, told["code"], pending.verifier)
        claims = await self._claims(metadata, token, pending.nonce, now)
        return self._settings.issuer, claims["sub"], pending.invitation

    def forget(self, response: Response) -> Response:
        """Delete the cookie of the log-in."""
        response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
        return response

    async def _exchange(self, metadata: _Metadata, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": verifier,
        }
        credentials = (self._settings.client_id, self._secret) if metadata.basic else None
        if credentials is None:
            form |= {"client_id": self._settings.client_id, "client_secret": self._secret}
        answer = await self._call("POST", metadata.token, form, credentials)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _refused("the provider gave no id token")
        return token

    async def _claims(self, metadata: _Metadata, token: str, nonce: str, now: int) -> dict[str, Any]:
        import jwt

        keys = await self._call("GET", metadata.keys)
        try:
            header = jwt.get_unverified_header(token)
            key = _key(jwt.PyJWKSet.from_dict(keys), header.get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._settings.client_id,
                issuer=self._settings.issuer,
                leeway=CLOCK_SECONDS,
                options={
                    "require": ["iss", "sub", "aud", "exp", "iat", "nonce"],
                    "verify_exp": False,  # held to the node's own clock below
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.PyJWTError as error:
            raise _refused(f"the id token does not hold ({type(error).__name__})") from None
        fault = self._fault(claims, nonce, now)
        if fault:
            raise _refused(fault)
        return claims

    def _fault(self, claims: dict[str, Any], nonce: str, now: int) -> str:
        if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            return "the id token has another nonce"
        times = [claims["exp"], claims["iat"], claims.get("nbf", 0)]
        if not all(type(time) in (int, float) and math.isfinite(time) for time in times):
            return "the id token's times are no numbers"
        if now >= times[0] + CLOCK_SECONDS or max(times[1:]) > now + CLOCK_SECONDS:
            return "the id token is not of now"
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != self._settings.client_id:
            return "the id token was made for another client"
        if self._settings.acr and claims.get("acr") != self._settings.acr:
            return "the log-in has another level than was asked for"
        if not isinstance(claims["sub"], str) or not 1 <= len(claims["sub"]) <= SUBJECT_MAX:
            return "the id token names nobody"
        return ""

    # What the provider publishes

    async def _read_metadata(self, now: int) -> _Metadata:
        if self._metadata is not None and now - self._metadata.read_at < METADATA_SECONDS:
            return self._metadata
        issuer = self._settings.issuer
        found = await self._call("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise _refused("the provider calls itself by another name")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        places = [found.get(name) for name in names]
        scheme = urlsplit(issuer).scheme
        if not all(isinstance(place, str) and urlsplit(place).scheme in ("https", scheme) for place in places):
            raise _refused("the provider's addresses are missing or no HTTPS")
        methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        authorize, token, keys = map(str, places)
        self._metadata = _Metadata(authorize, token, keys, "client_secret_basic" in methods, now)
        return self._metadata

    async def _call(
        self, method: str, url: str, form: dict[str, str] | None = None, auth: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        import httpx

        try:
            async with self._client() as client:
                answer = await client.request(
                    method, url, data=form, auth=auth or httpx.USE_CLIENT_DEFAULT, follow_redirects=False
                )
                body = answer.json() if len(answer.content) <= ANSWER_BYTES_MAX else None
        except (httpx.HTTPError, ValueError):
            raise RemoteError("OIDC_UNREACHABLE", "the provider does not answer; try again later") from None
        if answer.status_code != 200 or not isinstance(body, dict):
            raise _refused(f"the provider answered with status {answer.status_code}")
        return body


def _key(keys: Any, kid: str | None) -> Any:
    chosen = [key for key in keys.keys if kid is None or key.key_id == kid]
    if len(chosen) != 1:
        import jwt

        raise jwt.InvalidKeyError("no one key fits")
    return chosen[0]


def _client() -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(timeout=TIMEOUT_SECONDS)


def _refused(why: str) -> RemoteError:
    return RemoteError("OIDC_REFUSED", why)


def require_extra() -> None:
    """Refuse to go on without the libraries. Raises LocalError EXTRA_MISSING."""
    try:
        import httpx
        import jwt
    except ImportError:
        told = "Logging in by OpenID Connect needs more: pip install 'maille[pages-oidc]'."
        raise LocalError("EXTRA_MISSING", told, field="pages.oidc") from None
    assert httpx.AsyncClient is not None
    assert jwt.PyJWKSet is not None
