"""The alarm: accesses to a person's data that no consent allows, as the audit finds them.

How it works
    Every few minutes, in the background, all transfers that this node knows are matched to their consents by the same
    code as `maille audit run` (node.audit), a page of rows at a time, the matching in a thread. A person is shown the
    findings about her consents and her points. The pages say when the last look was.

What it does not do
    It sees what this node sees: statements on the ledger, this node's own accounts, and what probes have proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, get_args

import structlog
import trio
from starlette.responses import Response

from ledger.errors import MailleError
from ledger.schema import DAY
from node.audit.auditing import audit
from node.audit.findings import Access
from node.audit.gathering import Page, What, page
from node.audit.rows import Question, Rows
from node.audit.words import explained
from node.pages.visit import Visit

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows
    from node.pages.visit import Site

EVERY_SECONDS: Final = 600
FIRST_SECONDS: Final = 5
PERIOD_DAYS: Final = 400
"""How far back is looked."""
SHOWN_MAX: Final = 200
_PARTS: Final[tuple[What, ...]] = get_args(What)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One access without consent. `why`: a sentence; `undecided`: it could not be told."""

    at: int
    holder: str
    recipient: str
    purpose: str
    points: tuple[str, ...]
    records: int | None
    why: str


class Watch:
    """See the module. `checked`: when the last look ended, unix seconds; 0: not yet."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._found: tuple[Access, ...] = ()
        self.checked = 0

    async def run(self) -> None:
        """Look again and again."""
        await trio.sleep(FIRST_SECONDS)
        while True:
            try:
                await self.look()
            except MailleError as error:
                structlog.get_logger("pages").warning("accesses not checked", code=error.code)
            await trio.sleep(EVERY_SECONDS)

    async def look(self) -> None:
        """Match everything once."""
        now = self._site.node.now
        since, until = now - PERIOD_DAYS * DAY, now + DAY
        parts: dict[str, list[Any]] = {}
        frame = None
        for what in _PARTS:
            cursor = ""
            while True:
                rows, cursor = await self._site.read(partial(_page, what, cursor, since, until))
                frame = rows.frame
                for name in ("consents", "accounts", "statements", "proven", "adoptions"):
                    parts.setdefault(name, []).extend(getattr(rows, name))
                if not cursor:
                    break
        assert frame is not None
        gathered = Rows(frame, **{name: tuple(rest) for name, rest in parts.items()})
        report = await trio.to_thread.run_sync(lambda: audit(gathered, Question(since, until)))
        self._found, self.checked = report.without_consent, now

    async def of(self, visit: Visit) -> list[Alarm]:
        """Return what concerns the person of a visit, newest first."""
        if not self._found:
            return []
        own = await visit.site.read(visit.own)
        points = set(own.points) | set(visit.who.points)  # also where she lived, when something happened
        grants = {grant.hex() for grant in own.grants}
        mine = [one for one in self._found if one.consent in grants or set(one.points) & points]
        return _alarms(mine, visit)


def _page(what: What, cursor: str, since: int, until: int, turn: Turn, flows: Flows) -> Page:
    return page(turn, flows, what, cursor, since, until)


def _alarms(found: Sequence[Access], visit: Visit) -> list[Alarm]:
    ordered = sorted(found, key=lambda one: one.ended, reverse=True)[:SHOWN_MAX]
    return [
        Alarm(
            int(one.ended.timestamp()),
            one.holder.name if one.holder is not None else "",
            one.recipient.name if one.recipient is not None else "",
            one.purpose,
            one.points,
            one.records,
            explained(one.code, visit.lang),
        )
        for one in ordered
    ]


async def alarms(visit: Visit) -> Response:
    """Show accesses without consent."""
    watch = visit.site.watch
    found = await watch.of(visit) if watch is not None else []
    return visit.page("alarms.html", alarms=found, checked=watch.checked if watch is not None else 0)
