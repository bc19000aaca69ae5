"""A street to test the operator pages in: real nodes over real sockets, the founder of which serves them on loopback.

How it works
    It is the town of the citizen pages, with a console at its holder, who founded the mesh and votes: consents, a
    transfer, a refusal, a ballot that is open, an applicant that waits, a member that is away.

What it does not do
    It sleeps nowhere: `until` polls with a limit.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import trio

from node.console.desk import Desk
from node.console.service import serve
from node.console.settings import Console
from node.operation import Permission
from tests.node.nodes import do, make_home, running
from tests.pages.town import ADVISER, CITY, HOLDER, HOST, PRM, Town, free_port

SECRET_PURPOSE = "A purpose that no page tells"
APPLICANT = "Ferme du Vent"


class Street(Town):
    """See the module. `console`: where the operator pages are; `desk`: what they share."""

    console: str
    desk: Desk

    def furnish(self) -> None:
        """Serve the pages, and have something to show."""
        node = self.nodes[HOLDER]
        settings = Console(f"127.0.0.1:{free_port()}")
        self.console, self.desk = settings.origin, Desk(node, settings)
        self.run(partial(self._nursery.start, serve, node, settings, self.desk))
        self.do(HOST, "wallet create", name="anna")
        grants = [self.grant("anna", f"{SECRET_PURPOSE} {number}") for number in range(3)]
        for grant in grants:
            self.wait_known(grant, HOLDER, ADVISER)
        self.do(HOLDER, "data send", consent=grants[0])
        self.do(HOLDER, "data settle")
        self.do(HOST, "consent withdraw", id=grants[1])
        self.do(CITY, "data request", holder=HOLDER, point=PRM, kind="daily", wait="5s")
        self.do(HOLDER, "tick run")

    def token(self, permission: Permission = "operate") -> str:
        """Return a token for the pages."""
        return str(self.do(HOLDER, "token make", name="Nora", permission=permission).token)

    def propose(self, reason: str, member: str = CITY) -> str:
        """Open a ballot; return its id."""
        return str(self.do(HOLDER, "proposal suspend", member=member, reason=reason).id)

    def apply(self, name: str = APPLICANT) -> None:
        """Have somebody ask to come in, with a ticket that lets wait."""

        async def ask() -> None:
            async with running(make_home(Path(self._folder / "applicants" / name[:5]), name)) as node:
                ticket = await do(self.nodes[HOLDER], "invite create", open=True)
                await do(node, "join", ticket=ticket.ticket)

        self.run(ask)

    def part(self, name: str) -> None:
        """Have a member stop, and wait until the holder knows."""
        node, holder = self.nodes[name], self.nodes[HOLDER].mesh()
        gone = node.mesh().core.device.kid
        self.run(self._stop_node, name)
        self.wait(lambda: gone not in holder.engine.connected)

    async def _stop_node(self, name: str) -> None:
        self.nodes[name].stop.set()
        await trio.lowlevel.checkpoint()


__all__ = ("ADVISER", "APPLICANT", "CITY", "HOLDER", "HOST", "SECRET_PURPOSE", "Street")
