"""One request of an operator's browser: by which token she is here, and what she may have done.

How it works
    `Desk` is what all requests share. A session names a token by its id; the token is looked up at each request, so
    that revoking it, or its end, ends what it opened. `Look.run` runs an operation as its holder: the permission is
    held against the operation, as the control API does.

What it does not do
    A token for one tenant or one mesh alone opens no session: these pages show the whole node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request

from ledger.errors import LocalError
from node.console.audits import Audits
from node.console.checks import Checks
from node.console.french import in_language
from node.console.live import Live
from node.console.settings import Console
from node.console.wording import word
from node.exits import not_found
from node.guard import permit
from node.operation import Args, Operation, Permission
from node.pages import rendering
from node.pages.limits import Limits
from node.pages.rendering import Renderer
from node.pages.sessions import Sessions
from node.pages.visitor import Visitor
from node.tokens import RANK, Token

if TYPE_CHECKING:
    from pathlib import Path

    from node.daemon import Node
    from node.mesh import Mesh

COOKIE: Final = "__Host-maille-console"


def folders() -> tuple[Path, ...]:
    """Return where templates and static files are: ours, then those of the citizen pages."""
    from pathlib import Path

    return Path(__file__).parent, rendering.HERE


@dataclass(slots=True)
class Desk:
    """What all requests share."""

    node: Node
    settings: Console
    limits: Limits = field(default_factory=Limits)
    renderer: Renderer = field(default_factory=lambda: Renderer(folders()))
    cookie: str = COOKIE
    sessions: Sessions = field(init=False)
    live: Live = field(init=False)
    audits: Audits = field(init=False)
    checks: Checks = field(init=False)

    def __post_init__(self) -> None:
        """Make what needs the node."""
        self.sessions = Sessions(self.node.random_bytes)
        self.checks = Checks(self.node)
        self.live = Live(self.node, self.checks)
        self.audits = Audits(self.node)

    def token(self, ident: str) -> Token | None:
        """Return a token that still holds and opens these pages."""
        found = next((one for one in self.node.tokens.listing() if one.id == ident), None)
        return found if found is not None and opens(found) and self.node.now < found.expires else None


def opens(token: Token) -> bool:
    """Say whether a token opens these pages: one that is for the whole node."""
    return not token.tenant and not token.mesh


class Look(Visitor):
    """See the module. `token`: of who is logged in, or None."""

    def __init__(self, desk: Desk, request: Request) -> None:
        super().__init__(desk, request)
        self.desk, self.node = desk, desk.node
        self.token: Token | None = None
        if self.session is not None:
            self.token = desk.token(self.session.person)
            if self.token is None:
                self.log_out()

    def may_do(self, permission: Permission) -> bool:
        """Say whether whoever is logged in has a permission."""
        return self.token is not None and RANK[self.token.permission] >= RANK[permission]

    async def run(self, row: Operation, args: Args) -> Any:
        """Run an operation of the node as the holder of the token. Raises LocalError NOT_PERMITTED, and its own."""
        if self.token is None:
            raise LocalError("LOGIN_NEEDED", "log in first")
        return await row.handler(self.node, permit(self.token, row, args))

    @property
    def mesh(self) -> Mesh:
        """The mesh that is looked at: `?mesh=NAME`, else the first. Raises LocalError NOT_FOUND, NO_MESH."""
        named = self.request.query_params.get("mesh", "")
        names = sorted(self.node.meshes)
        if not names:
            raise LocalError("NO_MESH", "This node runs no mesh: `maille mesh create`, or `maille join`.")
        if named and named not in names:
            raise not_found(f"There is no mesh {named!r} here.", "mesh")
        return self.node.meshes[named or names[0]]

    def number(self, name: str, most: int) -> int:
        """Return a number of the query from 1 on; 1 where there is none."""
        text = self.request.query_params.get(name, "")
        return min(max(1, int(text)), most) if text.isdecimal() and len(text) < 10 else 1

    def known(self) -> dict[str, Any]:
        """Return what every template is given besides."""
        names = sorted(self.node.meshes)
        named = self.request.query_params.get("mesh", "")
        mesh = named if named in names else (names[0] if names else "")

        def to(path: str) -> str:
            more = f"{'&' if '?' in path else '?'}mesh={mesh}"
            return path + more if len(names) > 1 else path

        return {
            "bearer": self.token,
            "operates": self.may_do("operate"),
            "meshes": names,
            "mesh": mesh,
            "to": to,
            "word": lambda state: word(state, self.lang),
            **in_language(self.lang),
            "said": self.desk.live.sentence(self.lang),
            "code": "",
        }
