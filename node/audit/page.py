"""A report as one HTML page that prints well, in English or French; with the extra `audit` also as PDF.

How it works
    One file without scripts or outside resources: whoever opens it asks nobody, and its content policy forbids it to.
    Everything that comes from a finding is escaped. Access without consent stands first; each table has a caption,
    headed columns that repeat on every printed page, and each row the command that makes its proof, or a link to the
    proof, a file beside the page, where it was made (linking). At most
    `LINES_MAX` rows of one table are printed, and how many more there are is said.

What it does not do
    It judges nothing and leaves nothing out of the counts. It colours nothing that words do not also say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Final, TypeAlias
from urllib.parse import unquote

from node.audit.findings import Access, Activity, Report, Who
from node.audit.linking import FILES_MAX, Linked
from node.audit.register import SEPARATOR
from node.audit.table import missing
from node.audit.words import SECURITY, Language, explained, told, valued

LINES_MAX: Final = 2_000
"""Rows of one table on a page; JSON and CSV have all of them."""
ID_DIGITS: Final = 12
Links: TypeAlias = Mapping[str, str]
"""The command in a line -> its proof, by its place beside the page."""
POINTS_MAX: Final = 5
SECTIONS: Final = (
    *("without_consent", "overdue", "notices", "unacknowledged", "undecided", "register", "security", "consented"),
    "not_shown",
)
"""The sections of the page in their order, each an element with this id."""

STYLE: Final = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, "Liberation Sans", Arial, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 92rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 2px solid #1a1a1a; padding-bottom: .2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
.verdict { border: 2px solid #1a1a1a; padding: .6rem .9rem; margin: 1rem 0; font-weight: 600; }
.verdict.found { border-color: #a40000; color: #a40000; } .verdict.clean { border-color: #0b5d1e; color: #0b5d1e; }
.wide { overflow-x: auto; } .break { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
caption { text-align: left; color: #444; padding: .2rem 0; }
th, td { border: 1px solid #999; padding: .3rem .45rem; text-align: left; vertical-align: top; }
th { background: #eee; hyphens: auto; } td.number { text-align: right; white-space: nowrap; }
td.when { white-space: nowrap; } td.reason { min-width: 11rem; } td.proof { min-width: 11rem; }
#counts { width: auto; max-width: 100%; }
code { font: .8rem/1.35 ui-monospace, "Liberation Mono", monospace; overflow-wrap: anywhere; }
#without_consent th { background: #f8dddd; }
.note { color: #444; } ul { padding-left: 1.2rem; }
@page { size: A4 landscape; margin: 14mm 12mm; @bottom-right { content: counter(page) " / " counter(pages); } }
@media print { body { font-size: 9.5pt; max-width: none; padding: 0; } .wide { overflow: visible; }
  table { font-size: 7pt; } code { font-size: 6pt; } th, td { padding: 1pt 2pt; }
  td.reason, td.proof { min-width: 0; width: 14%; } thead { display: table-header-group; }
  tr, dl, .verdict { break-inside: avoid; } h2, caption { break-after: avoid; } }
"""


def as_html(report: Report, language: Language = "en", linked: Linked | None = None) -> str:
    """Return the report as one page. `linked`: the proofs beside it."""
    links = linked.hrefs if linked is not None else {}
    title = told("title", language)
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="{language}"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
        f"<h1>{escape(title)}</h1>",
        *_head(report, language),
        *_linked(linked, language),
        *_section("without_consent", language, _transfers(report.without_consent, "without_consent", language, links)),
        *_section("overdue", language, _overdue(report, language, links)),
        *_section("notices", language, _notices(report, language, links)),
        *_section("unacknowledged", language, _unacknowledged(report, language, links)),
        *_section("undecided", language, _transfers(report.undecided, "undecided", language, links)),
        *_section("register", language, _register(report, language, links)),
        *_section("security", language, _list(pair[language == "fr"] for pair in SECURITY)),
        *_section("consented", language, _transfers(report.consented, "consented", language, links)),
        *_section("not_shown", language, _list(explained(code, language) for code in report.not_shown)),
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def as_pdf(report: Report, language: Language = "en") -> bytes:
    """Return the page as PDF. Raises LocalError EXTRA_MISSING without the extra `audit`."""
    try:
        from weasyprint import HTML  # also an OSError, where a system library that it needs is absent
    except (ImportError, OSError):
        raise missing("PDF", "weasyprint") from None
    written: bytes = HTML(string=as_html(report, language), url_fetcher=_refuse).write_pdf()
    return written


def _refuse(url: str, *_: object, **__: object) -> dict[str, object]:
    raise ValueError(f"a report has no outside resources: {url}")


# Parts


def _head(report: Report, language: Language) -> Iterator[str]:
    asked = [f"{told(name, language)}: {value}" for name, value in report.asked] or [told("whole", language)]
    facts = {
        "period": f"{_time(report.since)} – {_time(report.until)}",
        "asked": "; ".join(asked),
        "made": _time(report.made),
        "mesh": report.mesh,
    }
    yield "<dl>"
    yield from (f"<dt>{escape(told(name, language))}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    yield "</dl>"
    kind = "clean" if report.clean else "found"
    yield f'<p class="verdict {kind}">{escape(told(kind, language))}</p>'
    counts = report.counts
    rows = {
        "transfers": counts.transfers,
        "without_consent": counts.without_consent,
        "undecided": counts.undecided,
        "consented": counts.consented + counts.clear,
        "clear": counts.clear,
        "overdue": len(report.overdue),
        "notices": len(report.notices),
        "unacknowledged": len(report.unacknowledged),
        "consents": counts.consents,
        "unreadable": counts.unreadable,
        "left_out": counts.left_out,
    }
    yield f'<table id="counts"><caption>{escape(told("counts", language))}</caption><tbody>'
    for name, number in rows.items():
        yield f'<tr><th scope="row">{escape(told(name, language))}</th><td class="number">{number}</td></tr>'
    yield "</tbody></table>"
    yield f'<p class="note">{escape(told("private", language))}</p>'


def _linked(linked: Linked | None, language: Language) -> Iterator[str]:
    """Say how many lines link to their proof, and how many do not, and why."""
    if linked is None:
        return
    there = linked.lines - linked.failed - linked.beyond
    words = told("linked", language).format(there, linked.lines, linked.failed, linked.beyond, FILES_MAX)
    yield f'<p class="note" id="linked">{escape(words)}</p>'


def _section(name: str, language: Language, body: Iterable[str]) -> Iterator[str]:
    yield f'<section id="{name}"><h2>{escape(told(name, language))}</h2>'
    yield from body
    yield "</section>"


def _list(lines: Iterable[str]) -> Iterator[str]:
    yield "<ul>"
    yield from (f"<li>{escape(line)}</li>" for line in lines)
    yield "</ul>"


def _table(name: str, columns: Sequence[str], rows: Sequence[str], language: Language) -> Iterator[str]:
    """Lay out rows, whose cells are already HTML."""
    if not rows:
        yield f"<p>{escape(told('none', language))}</p>"
        return
    heads = "".join(f'<th scope="col">{escape(told(column, language))}</th>' for column in columns)
    yield f'<div class="wide"><table><caption>{escape(told(name, language))} ({len(rows)})</caption>'
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    yield from rows[:LINES_MAX]
    yield "</tbody></table></div>"
    if len(rows) > LINES_MAX:
        yield f'<p class="note">{escape(told("more", language).format(len(rows) - LINES_MAX))}</p>'


class _Rows(Sequence[str]):
    """Rows that are made when they are printed: a table of 100 000 prints the first ones alone."""

    def __init__(self, found: Sequence[Access], language: Language, links: Links) -> None:
        self._found, self._language, self._links = found, language, links

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int | slice) -> str | list[str]:  # type: ignore[override]
        if isinstance(index, slice):
            return [_transfer(one, self._language, self._links) for one in self._found[index]]
        return _transfer(self._found[index], self._language, self._links)


def _transfers(found: Sequence[Access], name: str, language: Language, links: Links) -> Iterator[str]:
    columns = (
        "reason",
        "when",
        "holder",
        "recipient",
        "purpose",
        "points",
        "data",
        "records",
        "seen",
        "proof",
    )
    return _table(name, columns, _Rows(found, language, links), language)


def _transfer(one: Access, language: Language, links: Links) -> str:
    reasons = [explained(code, language) for code in (one.code, *one.notes)]
    began = _time(one.began) if one.began is not None else "…"
    period = f"{_time(one.data_from)} – {_time(one.data_until)}" if one.data_from and one.data_until else ""
    cells = (
        f'<td class="reason">{"<br>".join(map(escape, reasons))} <code>{escape(one.code)}</code></td>',
        f'<td class="when">{escape(began)} –<br>{escape(_time(one.ended))}</td>',
        *map(_text, (_who(one.holder), _who(one.recipient), one.purpose, _points(one.points))),
        _lines((_spaced(one.kind), one.granularity, period)),
        _number(one.records),
        _text(", ".join(valued(value, language) for value in one.seen)),
        _proof(one.proof, links),
    )
    return f"<tr>{''.join(cells)}</tr>"


def _overdue(report: Report, language: Language, links: Links) -> Iterator[str]:
    columns = (
        "reason",
        "days",
        "holder",
        "recipient",
        "purpose",
        "points",
        "retention",
        "ended",
        "due",
        "records",
        "proof",
    )
    rows = [
        "<tr>"
        + f'<td class="reason">{escape(explained(one.code, language))} <code>{escape(one.code)}</code></td>'
        + _number(one.days)
        + "".join(map(_text, (_who(one.holder), _who(one.recipient), one.purpose, _points(one.points))))
        + "".join(map(_text, (one.retention, _time(one.ended), _time(one.due) if one.due else "")))
        + _number(one.records)
        + _proof(one.proof, links)
        + "</tr>"
        for one in report.overdue
    ]
    return _table("overdue", columns, rows, language)


def _notices(report: Report, language: Language, links: Links) -> Iterator[str]:
    columns = ("reason", "since", "dated", "holder", "recipient", "purpose", "consent", "proof")
    rows = [
        "<tr>"
        + f'<td class="reason">{escape(explained(one.code, language))} <code>{escape(one.code)}</code></td>'
        + "".join(map(_text, (_time(one.since), _time(one.dated), _who(one.holder), _who(one.recipient), one.purpose)))
        + _code(one.consent[:ID_DIGITS])
        + _proof(one.proof, links)
        + "</tr>"
        for one in report.notices
    ]
    return _table("notices", columns, rows, language)


def _unacknowledged(report: Report, language: Language, links: Links) -> Iterator[str]:
    columns = ("kind", "party", "since", "waiting", "consent", "proof")
    rows = [
        "<tr>"
        + "".join(map(_text, (told(one.kind, language), _who(one.party), _time(one.since))))
        + _text(_waiting(one.waiting, language))
        + _code(one.consent[:ID_DIGITS])
        + _proof(one.proof, links)
        + "</tr>"
        for one in report.unacknowledged
    ]
    return _table("unacknowledged", columns, rows, language)


def _register(report: Report, language: Language, links: Links) -> Iterator[str]:
    columns = (
        *(
            "controllers",
            "processors",
            "basis",
            "categories",
            "subjects",
            "recipients",
            "retention",
            "storage",
            "volume",
        ),
        "proof",
    )
    return _table("register", columns, [_activity(one, language, links) for one in report.register], language)


def _activity(one: Activity, language: Language, links: Links) -> str:
    basis = (one.purpose, one.category, valued(one.legal_basis, language))
    volume = (
        f"{one.consents} {told('consents', language)} ({one.in_force} {told('in_force', language)})",
        f"{one.points} {told('points', language)}",
        f"{one.transfers} {told('transfers', language)}",
        f"{one.records} {told('records', language)}",
        f"{one.unread} {told('unread', language)}" if one.unread else "",
    )
    cells = (
        _text("; ".join((*one.controllers, *one.dpo))),
        _text(SEPARATOR.join(one.processors)),
        *map(_lines, (basis, (_spaced(one.data), one.granularity))),
        _lines(valued(value, language) for value in one.subjects),
        _lines((*one.recipients, one.onward)),
        _text(one.retention),
        _lines((one.storage, one.jurisdiction)),
        _lines(volume),
        _proof(one.proof, links),
    )
    return f"<tr>{''.join(cells)}</tr>"


# Cells


def _text(value: str) -> str:
    return f"<td>{escape(value)}</td>"


def _lines(values: Iterable[str]) -> str:
    return f"<td>{'<br>'.join(escape(value) for value in values if value)}</td>"


def _code(value: str) -> str:
    return f"<td><code>{escape(value)}</code></td>"


def _proof(command: str, links: Links) -> str:
    href = links.get(command)
    shown = escape(command)
    if href is not None:
        shown = f'<a href="{escape(href)}">{escape(unquote(href).rpartition("/")[2])}</a>'
    return f'<td class="proof"><code>{shown}</code></td>'


def _number(value: int | None) -> str:
    return f'<td class="number">{"" if value is None else value}</td>'


def _who(party: Who | None) -> str:
    if party is None:
        return ""
    return f"{party.name} ({party.id[:ID_DIGITS]})" if party.name else party.id[:ID_DIGITS]


def _spaced(kind: str) -> str:
    """Return a kind of data so that a line may break in it."""
    return kind.replace("/", " / ")


def _points(points: Sequence[str]) -> str:
    more = f" +{len(points) - POINTS_MAX}" if len(points) > POINTS_MAX else ""
    return ", ".join(points[:POINTS_MAX]) + more


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _waiting(seconds: int, language: Language) -> str:
    days, rest = divmod(seconds, 86_400)
    hours, minutes = rest // 3_600, rest % 3_600 // 60
    return f"{days} {told('day', language)} {hours} h" if days else f"{hours} h {minutes} min"
