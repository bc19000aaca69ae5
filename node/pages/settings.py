"""How pages are served: the table [pages] of config.toml, what [console] shares with it, and what is refused in them.

How it works
    Browsers must reach the pages by HTTPS, since a session rests on cookies that travel no other way. So the table
    has either a certificate and its key, or `behind_proxy` with the addresses of the proxies that end TLS. Plain HTTP
    on a loopback address alone is allowed for a trial on one machine. Paths are relative to the data directory.

What it does not do
    It opens no file: `service` does, when the node starts.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from ledger.errors import LocalError

Language = Literal["fr", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("fr", "en")
PROXIES_MAX: Final = 16

_Text = Annotated[str, Meta(min_length=1, max_length=300)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s/?#@]+$", max_length=300)]
Listen = Annotated[str, Meta(pattern=r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$", max_length=128)]


_EXAMPLES: Final = {
    "pages.listen": "127.0.0.1:8443",
    "pages.url": "http://localhost:8443",
    "console.listen": "127.0.0.1:9480",
    "console.url": "http://localhost:9480",
    "pages.oidc.issuer": "https://idp.example.org",
    "pages.oidc.client_id": "maille",
    "pages.oidc.secret_file": "oidc-secret",
}
"""Field of a table -> a value that may stand there, for a trial on one machine."""


def plainly(told: str) -> str:
    """Return what msgspec says of a field of our tables in our words; what it says of others as it is."""
    found = re.fullmatch(r"Object missing required field `(?P<field>\w+)` - at `\$\.(?P<table>[\w.]+)`", told)
    what = "is missing"
    if found is None:
        found = re.fullmatch(r"Expected `str` matching regex .* - at `\$\.(?P<table>[\w.]+)\.(?P<field>\w+)`", told)
        what = "is not of the form that it must have"
    example = _EXAMPLES.get(f"{found['table']}.{found['field']}") if found is not None else None
    if found is None or example is None:
        return told
    return f'The field {found["field"]} of the table [{found["table"]}] {what}: write {found["field"]} = "{example}"'


class Oidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another way to log in: an OpenID Connect provider (FranceConnect and others).

    `secret_file`: holds the client's secret. `name`: how people know the provider. `acr`: the level of assurance that
    is asked for, and must be answered.
    """

    issuer: Annotated[str, Meta(pattern=r"^https?://[^\s?#@]+$", max_length=300)]
    client_id: _Text
    secret_file: _Text
    name: _Text = "FranceConnect"
    scope: _Text = "openid"
    acr: Annotated[str, Meta(max_length=100)] = ""


class Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How pages for a browser are served. `url`: origin by which browsers reach us, without a path.

    `trusted_proxies`: addresses or networks whose X-Forwarded-For is believed. `TABLE`: of config.toml.
    """

    TABLE: ClassVar[str] = ""

    listen: Listen
    url: Url
    certificate: str = ""
    key: str = ""
    behind_proxy: bool = False
    trusted_proxies: Annotated[tuple[str, ...], Meta(max_length=PROXIES_MAX)] = ()
    languages: Annotated[tuple[Language, ...], Meta(min_length=1, max_length=2)] = LANGUAGES

    @property
    def origin(self) -> str:
        """By what browsers reach us: scheme, host and port."""
        return self.url

    @property
    def secure(self) -> bool:
        """Whether browsers use HTTPS."""
        return self.origin.startswith("https://")

    @property
    def host(self) -> str:
        """What the Host header must say."""
        return urlsplit(self.origin).netloc.lower()

    def check(self) -> None:
        """Refuse what would be unsafe or cannot work. Raises LocalError PAGES_INVALID, naming the field."""
        if bool(self.certificate) != bool(self.key):
            raise self.bad("certificate", "a certificate goes with its key: name both files or neither")
        if self.certificate and self.behind_proxy:
            raise self.bad("behind_proxy", "either we end TLS with a certificate or a proxy does, not both")
        if self.trusted_proxies and not self.behind_proxy:
            raise self.bad("trusted_proxies", "they go with behind_proxy = true")
        for proxy in self.trusted_proxies:
            try:
                ip_network(proxy, strict=False)
            except ValueError:
                raise self.bad("trusted_proxies", f"{proxy!r} is no address or network") from None
        if self.certificate and not self.secure:
            raise self.bad("url", "with a certificate the address begins with https://")
        if not self.certificate and not self.behind_proxy and not (self._is_local and not self.secure):
            raise self.bad(
                "certificate", "name certificate and key, or set behind_proxy; plain HTTP is for 127.0.0.1 alone"
            )
        if self.behind_proxy and not self._is_local and not self.trusted_proxies:
            raise self.bad("trusted_proxies", "a proxy on another machine is named here by its address")
        if not self.secure and not self._is_local:
            raise self.bad("url", "people reach the pages by https://; plain HTTP is for a trial on 127.0.0.1 alone")

    def bad(self, field: str, why: str) -> LocalError:
        """Return the error of a field."""
        return LocalError("PAGES_INVALID", f"{why[0].upper()}{why[1:]}.", field=f"{self.TABLE}.{field}")

    @property
    def _is_local(self) -> bool:
        try:
            return ip_address(self.listen.rpartition(":")[0].strip("[]")).is_loopback
        except ValueError:
            return self.listen.rpartition(":")[0] == "localhost"


class Pages(Served, frozen=True, forbid_unknown_fields=True):
    """The settings of the citizen pages. `mesh`: of the people; "": the only one. `contact`: to whom people turn.

    `time_zone`: in which times of day are told, by its IANA name.
    """

    TABLE: ClassVar[str] = "pages"

    mesh: str = ""
    contact: Annotated[str, Meta(max_length=300)] = ""
    oidc: Oidc | None = None
    time_zone: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+/-]+$", max_length=60)] = "Europe/Paris"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone. Raises LocalError PAGES_INVALID for one that this machine does not know."""
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            told = "this machine knows no such time zone; write it as Europe/Paris, and install tzdata"
            raise self.bad("time_zone", told) from None

    def check(self) -> None:
        """As `Served`; the time zone and the provider of log-ins too."""
        Served.check(self)
        _ = self.zone
        if self.oidc is not None and not self.oidc.issuer.startswith("https://") and self.secure:
            raise self.bad("oidc", "the provider's issuer begins with https://")
