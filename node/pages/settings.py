"""How pages are served: the table [pages] of config.toml, what [console] shares with it, and what is refused in them.

How it works
    Browsers must reach the pages by HTTPS, since a session rests on cookies that travel no other way. So the table
    has either a certificate and its key, or `behind_proxy` with the addresses of the proxies that end TLS. Plain HTTP
    on a loopback address alone is allowed for a trial on one machine. Paths are relative to the data directory.

What it does not do
    It opens no file: `service` does, when the node starts.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from ledger.errors import LocalError
from node.shapes import Address, Certificate, FilePath, PrivateKey

Language = Literal["fr", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("fr", "en")
PROXIES_MAX: Final = 16

_Text = Annotated[str, Meta(min_length=1, max_length=300)]
_Url = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/?#@]+$",
        max_length=300,
        description="https://host, without a path; http:// for a trial on this machine alone",
        examples=["http://localhost:8443"],
    ),
]
_ProxyAddress = Annotated[str, Meta(description="an address or a network", examples=["10.0.0.0/8"])]


class Oidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another way to log in: an OpenID Connect provider (FranceConnect and others).

    `secret_file`: holds the client's secret. `name`: how people know the provider. `acr`: the level of assurance that
    is asked for, and must be answered.
    """

    issuer: Annotated[
        str,
        Meta(
            pattern=r"^https?://[^\s?#@]+$",
            max_length=300,
            description="the provider's address",
            examples=["https://idp.example.org"],
        ),
    ]
    client_id: Annotated[_Text, Meta(examples=["maille"])]
    secret_file: Annotated[FilePath, Meta(min_length=1, max_length=300, examples=["oidc-secret"])]
    name: _Text = "FranceConnect"
    scope: _Text = "openid"
    acr: Annotated[str, Meta(max_length=100, examples=["eidas1"])] = ""


class Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How pages for a browser are served. `url`: origin by which browsers reach us, without a path.

    `trusted_proxies`: addresses or networks whose X-Forwarded-For is believed. `TABLE`: of config.toml.
    """

    TABLE: ClassVar[str] = ""

    listen: Annotated[Address, Meta(examples=["127.0.0.1:8443"])]
    url: _Url
    certificate: Certificate = ""
    key: PrivateKey = ""
    behind_proxy: bool = False
    trusted_proxies: Annotated[tuple[_ProxyAddress, ...], Meta(max_length=PROXIES_MAX)] = ()
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

    mesh: Annotated[str, Meta(description="a mesh of this node, by name", examples=["rue"])] = ""
    contact: Annotated[str, Meta(max_length=300, examples=["contact@example.org"])] = ""
    oidc: Oidc | None = None
    time_zone: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_+/-]+$", max_length=60, description="a time zone, by its IANA name")
    ] = "Europe/Paris"

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
