"""A town to test the pages in: three whole nodes over real sockets, one of which serves pages over real TLS.

How it works
    The nodes run under trio in a thread of their own; tests, which drive a browser and block, call into it with
    `Town.do` (an operation) and `Town.run` (any async function). The certificate is made for the day. Argon2id
    is as cheap as it can be.

What it does not do
    It sleeps nowhere: `until` polls with a limit.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve

from ledger.governance.members import edge
from node.config import Home, as_toml
from node.daemon import Node
from node.pages.service import make_site, serve
from node.pages.settings import Oidc, Pages
from node.pages.visit import Site
from tests.node.nodes import LIGHT, WAIT_SECONDS_MAX, do, make_home, running, until

T = TypeVar("T")
PASSPHRASE = "quatre mots bien choisis"
PRM = "prm:00000000000001"
OTHER_PRM = "prm:00000000000002"
HOLDER, HOST, ADVISER, CITY = "Réseau électrique", "Coopérative des Maillons", "Conseil Énergie", "Ville de Brest"
NAMES = (HOLDER, ADVISER, CITY, HOST)
CONTACT = "donnees@conseil.example"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(folder: Path) -> None:
    """Write a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(pem)


def pages_home(path: Path, name: str, *, oidc: Oidc | None = None, contact: str = "aide@maillons.example") -> Home:
    """Make a node that has pages in its settings, with certificate and key."""
    home = make_home(path, name)
    make_certificate(path)
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    pages = Pages(f"127.0.0.1:{port}", url, "cert.pem", "key.pem", contact=contact, oidc=oidc)
    config = msgspec.structs.replace(home.config(), pages=pages)
    home.config_file.write_text(as_toml(config), "utf-8")
    return home


class PagesNode(Node):
    """A node whose pages are served by the test, with cheap hashes."""

    site: Site

    async def run(self, *, serve: bool = True, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run without the pages of the settings."""
        self.settings = self.config.pages
        self.config = msgspec.structs.replace(self.config, pages=None)
        await super().run(serve=serve, task_status=task_status)


class Town:
    """See the module."""

    def __init__(self, folder: Path, oidc: Oidc | None = None) -> None:
        self._folder, self._oidc = folder, oidc
        self.nodes: dict[str, Node] = {}
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop: trio.Event | None = None
        self._nursery: trio.Nursery
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self.site: Site

    @property
    def url(self) -> str:
        """Where the pages are."""
        return self.site.settings.url

    @contextmanager
    def living(self) -> Iterator[Town]:
        """Run the town for a with-block."""
        thread = threading.Thread(target=self._thread, name="town")
        thread.start()
        try:
            self._ready.wait()
            if self._failed is not None:
                raise self._failed
            yield self
        finally:
            if self._token is not None and self._stop is not None and self._failed is None:
                trio.from_thread.run_sync(self._stop.set, trio_token=self._token)
            thread.join()
        if self._failed is not None:
            raise self._failed

    def _thread(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # told by the thread that waits
            self._failed = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._token, self._stop = trio.lowlevel.current_trio_token(), trio.Event()
        homes = {name: make_home(self._folder / name[:2], name) for name in (HOLDER, ADVISER, CITY)}
        homes[HOST] = pages_home(self._folder / "host", HOST, oidc=self._oidc)
        if self._oidc is not None:
            (self._folder / "host" / self._oidc.secret_file).write_text("hush", "utf-8")
        async with (
            running(homes[HOLDER]) as holder,
            running(homes[ADVISER]) as adviser,
            running(homes[CITY]) as city,
            running(homes[HOST], kind=PagesNode) as host,
            trio.open_nursery() as nursery,
        ):
            assert isinstance(host, PagesNode)
            self.nodes = {HOLDER: holder, ADVISER: adviser, CITY: city, HOST: host}
            settings = host.settings
            assert settings is not None
            host.config = msgspec.structs.replace(host.config, pages=settings)
            self.site = make_site(host, settings)
            self.site.passphrases._cost = LIGHT
            self._nursery = nursery
            await self._found()
            await nursery.start(serve, host, settings, self.site)
            self._ready.set()
            await self._stop.wait()
            nursery.cancel_scope.cancel()

    async def _found(self) -> None:
        holder = self.nodes[HOLDER]
        await do(holder, "mesh create", name="energie")
        for name in (ADVISER, CITY, HOST):
            ticket = await do(holder, "invite create", to=str(self.nodes[name].root_key().did))
            assert (await do(self.nodes[name], "join", ticket=ticket.ticket)).answer == "ADMITTED"
        for node in self.nodes.values():
            await until(lambda node=node: len(node.mesh().core.replica.members.members) == 4)  # type: ignore[misc]
        with trio.fail_after(WAIT_SECONDS_MAX):  # addresses may come after the members they are of: look again
            while any(len(node.mesh().engine.connected) < len(NAMES) - 1 for node in self.nodes.values()):
                for node in self.nodes.values():
                    node.net.review(node.mesh().runtime)
                await trio.sleep(0.05)
        for name in (ADVISER, CITY):
            await self._link(holder, name)
        await self._link(self.nodes[ADVISER], CITY)
        await do(holder, "readings generate", days=20, kind="daily")

    async def _link(self, node: Node, name: str) -> None:
        await do(node, "link offer", member=name)
        mesh, own = self.nodes[name].mesh(), node.mesh().core.party
        link = edge(own, mesh.core.party)
        await until(lambda: mesh.core.replica.members.links.get(link) == "offered")
        await do(self.nodes[name], "link accept", member=node.config.name)

    # What tests call, from their own thread

    def run(self, act: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run an async function in the town."""
        return trio.from_thread.run(act, *args, trio_token=self._token)

    def do(self, who: str, words: str, **values: Any) -> Any:
        """Run an operation at a node."""

        async def act() -> Any:
            return await do(self.nodes[who], words, **values)

        return self.run(act)

    def serve(self, app: Any, port: int) -> None:
        """Serve another ASGI application over TLS, with the certificate of the pages, until the town ends."""
        how = Config()
        how.bind, how.accesslog, how.errorlog = [f"127.0.0.1:{port}"], None, None
        how.certfile, how.keyfile = (str(self._folder / "host" / name) for name in ("cert.pem", "key.pem"))
        self.run(self._nursery.start, partial(hypercorn_serve, app, how))

    @property
    def certificate(self) -> Path:
        """The certificate of the pages."""
        return self._folder / "host" / "cert.pem"

    def wait(self, check: Callable[[], bool]) -> None:
        """Wait until something is so."""
        self.run(until, check)

    def invite(self, name: str, *points: str) -> str:
        """Invite a person; return the path of the link."""
        link = self.do(HOST, "pages invite", name=name, point=points).link
        return str(link.removeprefix(self.url))

    def ask(self, purpose: str, kind: str = "daily", by: str = ADVISER, **values: Any) -> str:
        """Have an organisation ask for a consent; return the request's id once its content is at the host."""
        what = {"point": (PRM,), "kind": kind, "purpose": purpose, "contact": CONTACT, **values}
        made = self.do(by, "consent request", holder=HOLDER, to=HOST, **what)
        self.wait_content(made.id)
        return str(made.id)

    def wait_content(self, entry: str) -> None:
        """Wait until the host has the content of a request."""
        mesh = self.nodes[HOST].mesh()

        async def held() -> bool:
            return await mesh.engine.read(lambda turn: mesh.flows.consents.holds(turn.vault, bytes.fromhex(entry)))

        async def wait() -> None:
            with trio.fail_after(20):
                while not await held():
                    await trio.sleep(0.01)

        self.run(wait)

    def grant(self, wallet: str, purpose: str, **values: Any) -> str:
        """Grant from a wallet at the host; return the consent's id."""
        what = {
            "point": (PRM,),
            "kind": "daily",
            "purpose": purpose,
            "contact": CONTACT,
            "recipient": ADVISER,
            **values,
        }
        return str(self.do(HOST, "consent grant", wallet=wallet, holder=HOLDER, **what).id)

    def wait_known(self, grant: str, *names: str) -> None:
        """Wait until nodes have the content of a grant."""
        for name in names:
            mesh = self.nodes[name].mesh()

            async def wait(mesh: Any = mesh) -> None:
                with trio.fail_after(20):
                    ident = bytes.fromhex(grant)
                    while not await mesh.engine.read(lambda turn: mesh.flows.consents.holds(turn.vault, ident)):
                        await trio.sleep(0.01)

            self.run(wait)

    def wait_right(self, who: str, request: str) -> None:
        """Wait until a node has the content of a request for a right."""

        async def wait() -> None:
            with trio.fail_after(20):
                while all(one.id != request for one in (await do(self.nodes[who], "rights list")).requests):
                    await trio.sleep(0.01)

        self.run(wait)
