"""How the operator pages are served: the table [console] of config.toml.

How it works
    Without any setting but the table itself they are on this machine alone, over plain HTTP. From elsewhere browsers
    come by HTTPS: with a certificate, or through a proxy that ends TLS (`behind_proxy`), as to the citizen pages.

What it does not do
    It opens no file: `service` does, when the node starts.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from node.pages.settings import Served
from node.shapes import Address


class Console(Served, frozen=True, forbid_unknown_fields=True):
    """The settings. `url`: origin by which browsers reach us; empty: http:// and where we listen."""

    TABLE: ClassVar[str] = "console"

    listen: Address = "127.0.0.1:9480"
    url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/?#@]+)?$",
            max_length=300,
            description="https://host, without a path",
            examples=["http://localhost:9480"],
        ),
    ] = ""

    @property
    def origin(self) -> str:
        """By what browsers reach us."""
        return self.url or f"{'https' if self.certificate else 'http'}://{self.listen}"

    def check(self) -> None:
        """As `Served`; an address that browsers cannot be sent to needs a url."""
        Served.check(self)
        if not self.url and (self.behind_proxy or self.listen.startswith(("0.0.0.0:", "[::]:"))):
            raise self.bad("url", "name the address by which browsers reach the pages")
