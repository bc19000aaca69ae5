"""Sessions of logged-in people, and the token that a form must bring back.

How it works
    Each visitor has one cookie of 32 random bytes, `__Host-maille`: HttpOnly, Secure, SameSite=Strict. Whoever logs in
    gets a new one, and a session kept under its hash, in memory alone: a restart logs everybody out. The token in each
    form is a keyed hash of that cookie, so a page of somebody else cannot know it. Sessions end after 20 hours: beyond
    that, WCAG 2.2.1 asks for no warning; the log-out button ends them at once.

What it does not do
    It keeps nothing on disk and no passphrase.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

COOKIE: Final = "__Host-maille"
TOKEN_BYTES: Final = 32
SESSION_SECONDS: Final = 20 * 3_600
SESSIONS_MAX: Final = 20_000
SESSIONS_PERSON_MAX: Final = 10
"""Of one person: the oldest ends when another begins."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in. `person`: the plain login name; `began`: unix seconds."""

    person: str
    began: int


class Sessions:
    """See the module. `random_bytes`: secret."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random = random_bytes
        self._secret = random_bytes(TOKEN_BYTES)
        self._open: OrderedDict[bytes, Session] = OrderedDict()

    def new_cookie(self) -> str:
        """Return a cookie for a visitor who has none."""
        return urlsafe_b64encode(self._random(TOKEN_BYTES)).rstrip(b"=").decode()

    def find(self, cookie: str, now: int) -> Session | None:
        """Return the session of a cookie, or None."""
        key = _key(cookie)
        session = self._open.get(key)
        if session is not None and now - session.began >= SESSION_SECONDS:
            del self._open[key]
            return None
        return session

    def begin(self, person: str, now: int) -> str:
        """Log somebody in; return the new cookie."""
        own = [key for key, session in self._open.items() if session.person == person]
        for key in own[: max(0, len(own) - SESSIONS_PERSON_MAX + 1)]:
            del self._open[key]
        while len(self._open) >= SESSIONS_MAX:
            self._open.popitem(last=False)
        cookie = self.new_cookie()
        self._open[_key(cookie)] = Session(person, now)
        return cookie

    def end(self, cookie: str) -> None:
        """Log out."""
        self._open.pop(_key(cookie), None)

    def end_all(self, person: str, but: str = "") -> None:
        """Log a person out everywhere: a new passphrase was chosen, or the account ended. `but`: this cookie stays."""
        kept = _key(but) if but else b""
        for key in [key for key, session in self._open.items() if session.person == person and key != kept]:
            del self._open[key]

    def form_token(self, cookie: str) -> str:
        """Return what a form that is shown to this visitor must bring back."""
        return self.sign("form", cookie)

    def sign(self, what: str, text: str) -> str:
        """Return a keyed hash of a text, for links that only this process can have made."""
        return hmac.new(self._secret, f"{what}\x00{text}".encode(), hashlib.sha256).hexdigest()

    def is_token(self, cookie: str, token: str) -> bool:
        """Say whether a form came from a page that this visitor was shown."""
        return self.is_signed("form", cookie, token)

    def is_signed(self, what: str, text: str, signature: str) -> bool:
        """Say whether `sign` made this."""
        return hmac.compare_digest(self.sign(what, text).encode(), signature.encode())


def is_cookie(text: str) -> bool:
    """Say whether this could be a cookie of ours."""
    try:
        return len(text) == 43 and len(urlsafe_b64decode(text + "=")) == TOKEN_BYTES
    except ValueError:
        return False


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
