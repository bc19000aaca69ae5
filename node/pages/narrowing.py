"""Narrowing a consent: fewer meters, coarser steps, a shorter time, no passing on; in two steps, as giving is.

How it works
    The form offers only what is narrower than what stands. The second page says what changes, from what to what; one
    button then signs an amendment (ledger.md, consent.amend), which counts at once. Nothing is ticked beforehand.

What it does not do
    It widens nothing: that needs a new request. An amendment cannot be undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from ledger.consent.grant import day_before, wider_fields
from ledger.consent.granularity import covers, parse_duration
from ledger.consent.record import OnwardSharing, Terms
from ledger.consent.words import Parties
from ledger.errors import LocalError
from ledger.schema import DAY
from node.exits import not_found
from node.pages.asking import SHORTER_DAYS
from node.pages.contents import terms_now
from node.pages.dashboard import own_line
from node.pages.naming import names
from node.pages.reading import CONTESTED, Line, Unstated, card
from node.pages.visit import Visit
from node.pages.wording import day, duration, facets, masked

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

STEPS: Final = ("PT30M", "PT1H", "P1D", "P1M")
RETENTIONS: Final = ("P1M", "P3M", "P6M", "P1Y", "P2Y")
_MONTH: Final = 30 * DAY


@dataclass(frozen=True, slots=True)
class Options:
    """What is narrower than what stands now."""

    points: tuple[str, ...]
    steps: tuple[str, ...]
    days: tuple[int, ...]
    retentions: tuple[str, ...]
    past: bool
    onward: bool

    @property
    def any(self) -> bool:
        """Whether anything is left to narrow."""
        return bool(self.points or self.steps or self.days or self.retentions or self.past or self.onward)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changes, in words. `what`: points, step, until, retention, periods or onward."""

    what: str
    before: str
    after: str


def options_of(terms: Terms, line: Line, now: int) -> Options:
    """Return the ways in which a consent can be narrowed."""
    steps = [step for step in STEPS if step != terms.granularity and _fits(terms, replace_step(terms, step))]
    shorter = [one for one in RETENTIONS if one != terms.retention and _fits(terms, replace(terms, retention=one))]
    return Options(
        terms.points if len(terms.points) > 1 else (),
        tuple(steps),
        tuple(days for days in SHORTER_DAYS if now + (days + 1) * DAY < line.until),
        tuple(shorter),
        bool(terms.data_period) and terms.data_period[0][0] < today(now) < terms.data_period[-1][1],
        terms.onward_sharing.mode != "none",
    )


def today(now: int) -> int:
    """Return the beginning of the day of a time."""
    return now - now % DAY


def replace_step(terms: Terms, step: str) -> Terms:
    """Return terms with another step; as they are where theirs is no series, or the step is finer."""
    if terms.granularity is None or not covers(parse_duration(terms.granularity), parse_duration(step)):
        return terms
    return replace(terms, granularity=step)


def _fits(terms: Terms, narrower: Terms) -> bool:
    return narrower != terms and not wider_fields(narrower, terms)


def narrowed(terms: Terms, visit: Visit, options: Options) -> Terms:
    """Return the terms as the form narrows them. Raises LocalError NOTHING_LEFT."""
    out = set(visit.form.all("out"))
    points = tuple(point for number, point in enumerate(terms.points) if str(number) not in out)
    if not points:
        raise LocalError("NOTHING_LEFT", "no meter is left", field="out")
    step, retention = visit.form.one("step"), visit.form.one("retention")
    found = replace(terms, points=points if options.points else terms.points)
    if step in options.steps:
        found = replace(found, granularity=step)
    if retention in options.retentions:
        found = replace(found, retention=retention)
    if options.past and visit.form.one("past") == "yes":
        begins = today(visit.now)
        windows = tuple((max(start, begins), stop) for start, stop in terms.data_period if stop > begins)
        found = replace(found, data_period=windows)
    if options.onward and visit.form.one("onward") == "yes":
        found = replace(found, onward_sharing=OnwardSharing())
    return found


def _look(visit: Visit, turn: Turn, flows: Flows) -> tuple[Line, Terms, Options]:
    line = own_line(visit, turn, flows)
    terms = terms_now(turn, flows, line.id)
    if not line.current or line.state == CONTESTED or terms is None:
        raise not_found("This consent has ended, or what it says was erased.")
    return line, terms, options_of(terms, line, turn.now)


async def form(visit: Visit) -> Response:
    """Show in which ways it can be narrowed."""
    await visit.site.keep_up()
    return await _form(visit)


async def _form(visit: Visit, status: int = 200, error: str = "") -> Response:
    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        line, terms, options = _look(visit, turn, flows)
        shown = card(turn, flows, line, Unstated(()), visit.lang)
        return {
            "shown": shown,
            "options": options,
            "points": [(number, masked(point, visit.lang)) for number, point in enumerate(options.points)],
            "steps": [(step, duration(step, visit.lang)) for step in options.steps],
            "retentions": [(one, duration(one, visit.lang)) for one in options.retentions],
            "retention_now": duration(terms.retention, visit.lang),
        }

    return visit.page("narrow.html", status, error=error, **await visit.site.read(look))


def _days(visit: Visit, options: Options) -> int:
    told = visit.form.one("days")
    return int(told) if told.isdecimal() and len(told) < 6 and int(told) in options.days else 0


async def choose(visit: Visit) -> Response:
    """Show what would change, and ask to confirm it."""

    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        line, terms, options = _look(visit, turn, flows)
        days = _days(visit, options)
        after = narrowed(terms, visit, options)
        until = min(line.until, day_before(turn.now + days * DAY)) if days else line.until
        shown = card(turn, flows, line, Unstated(()), visit.lang)
        ends = names(turn, visit.lang, terms).ends(line.holder, line.recipient)
        return {"shown": shown, "changes": _changes(visit, ends, (terms, line.until), (after, until))}

    try:
        found = await visit.site.read(look)
    except LocalError as error:
        if error.code != "NOTHING_LEFT":
            raise
        return await _form(visit, 422, "points")
    if not found["changes"]:
        return await _form(visit, 422, "none")
    kept = [(name, value) for name, value in visit.form.fields if name not in ("token", "words")]
    return visit.page("narrow_confirm.html", kept=kept, **found)


def _changes(visit: Visit, ends: tuple[str, str], before: tuple[Terms, int], after: tuple[Terms, int]) -> list[Change]:
    lang = visit.lang
    old, new = (facets(terms, Parties(*ends, until), lang) for terms, until in (before, after))

    def points(terms: Terms) -> str:
        return ", ".join(masked(point, lang) for point in terms.points)

    pairs: Sequence[tuple[str, str, str]] = (
        ("points", points(before[0]), points(after[0])),
        ("step", old.step, new.step),
        ("until", day(before[1] - 1, lang), day(after[1] - 1, lang)),
        ("periods", ", ".join(old.periods), ", ".join(new.periods)),
        ("retention", old.retention, new.retention),
        ("onward", old.onward, new.onward),
    )
    return [Change(what, was, will) for what, was, will in pairs if was != will]


async def narrow(visit: Visit) -> Response:
    """Narrow the consent as confirmed."""

    def act(turn: Turn, flows: Flows) -> str:
        line, terms, options = _look(visit, turn, flows)
        days, after = _days(visit, options), narrowed(terms, visit, options)
        grant = turn.core.replica.grant(turn.rows, line.id)
        if grant is None or (after == terms and not days):
            raise not_found("There is nothing to narrow.")
        with visit.signing(turn, flows):
            flows.life.amend(turn, grant, lambda _: after, turn.now + days * DAY if days else None)
        flows.retry_later(turn)
        return line.id.hex()

    return visit.go(f"/consents/{await visit.site.act(act)}")
