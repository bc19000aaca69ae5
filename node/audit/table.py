"""A report as one flat table: CSV for spreadsheets, and Parquet with the extra `audit`.

How it works
    Each finding is one row, in the report's order, access without consent first; `section` says which part it is of.
    Columns that a section has no use for are empty. Text that a spreadsheet would take for a formula gets an
    apostrophe in front (`neutral`): purposes and names are written by others. Parquet, which runs nothing, keeps text
    as it is.

What it does not do
    It translates nothing but the sentence of the reason.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, TypeAlias

from ledger.errors import LocalError
from node.audit.findings import Access, Report, Who
from node.audit.words import Language, explained

Cell: TypeAlias = str | int | datetime | None
COLUMNS: Final[dict[str, type]] = {
    **{"section": str, "verdict": str, "code": str, "sentence": str, "consent": str, "transfer": str, "entry": str},
    **{"holder": str, "recipient": str, "party": str, "purpose": str, "points": str, "kind": str, "granularity": str},
    **{"began": datetime, "ended": datetime, "due": datetime, "days": int, "waiting_seconds": int},
    **{"records": int, "gaps": int, "data_from": datetime, "data_until": datetime, "seen": str, "notes": str},
    **{"controllers": str, "processors": str, "recipients": str, "subjects": str, "legal_basis": str},
    **{"retention": str, "storage": str, "jurisdiction": str, "onward": str, "consents": int, "in_force": int},
    **{"point_count": int, "transfers": int, "proof": str, "unread": int},
}
"""The columns in their order, with what is in them."""
FORMULA: Final = "=+-@"
INSTALL: Final = "pip install 'maille[audit]'"


def rows(report: Report, language: Language = "en") -> Iterator[dict[str, Cell]]:
    """Yield every finding as a row; columns that are missing are empty."""
    for access in report.without_consent:
        yield {"section": "without_consent", **_access(access, language)}
    for one in report.overdue:
        yield {
            **{"section": "overdue", "code": one.code, "sentence": explained(one.code, language)},
            **{"consent": one.consent, "holder": _who(one.holder), "recipient": _who(one.recipient)},
            **{"purpose": one.purpose, "points": " ".join(one.points), "retention": one.retention},
            **{"ended": one.ended, "due": one.due, "days": one.days, "transfers": one.transfers},
            **{"records": one.records, "proof": one.proof},
        }
    for notice in report.notices:
        yield {
            **{"section": "notices", "code": notice.code, "sentence": explained(notice.code, language)},
            **{"consent": notice.consent, "holder": _who(notice.holder), "recipient": _who(notice.recipient)},
            **{"purpose": notice.purpose, "entry": notice.newer, "began": notice.dated, "ended": notice.since},
            "proof": notice.proof,
        }
    for end in report.unacknowledged:
        yield {
            **{
                "section": "unacknowledged",
                "code": end.kind.upper(),
                "sentence": explained(end.kind.upper(), language),
            },
            **{"consent": end.consent, "entry": end.entry, "party": _who(end.party), "ended": end.since},
            **{"waiting_seconds": end.waiting, "proof": end.proof},
        }
    for access in report.undecided:
        yield {"section": "undecided", **_access(access, language)}
    for access in report.consented:
        yield {"section": "consented", **_access(access, language)}
    for line in report.register:
        yield {
            **{"section": "register", "consent": line.example, "purpose": line.purpose, "kind": line.data},
            **{"granularity": line.granularity, "controllers": "; ".join(line.controllers)},
            **{"processors": "; ".join(line.processors), "recipients": "; ".join(line.recipients)},
            **{"subjects": " ".join(line.subjects), "legal_basis": line.legal_basis, "retention": line.retention},
            **{"storage": line.storage, "jurisdiction": line.jurisdiction, "onward": line.onward},
            **{"consents": line.consents, "in_force": line.in_force, "point_count": line.points},
            **{"transfers": line.transfers, "records": line.records, "proof": line.proof, "unread": line.unread},
        }


def _access(one: Access, language: Language) -> dict[str, Cell]:
    return {
        **{"verdict": one.verdict.value, "code": one.code, "sentence": explained(one.code, language)},
        **{"consent": one.consent, "transfer": one.transfer, "entry": " ".join(one.statements)},
        **{"holder": _who(one.holder), "recipient": _who(one.recipient), "purpose": one.purpose},
        **{"points": " ".join(one.points), "kind": one.kind, "granularity": one.granularity, "began": one.began},
        **{"ended": one.ended, "records": one.records, "gaps": one.gaps, "data_from": one.data_from},
        **{"data_until": one.data_until, "seen": " ".join(one.seen), "notes": " ".join(one.notes), "proof": one.proof},
    }


def _who(party: Who | None) -> str:
    return "" if party is None else f"{party.name} {party.id}:{party.incarnation}".strip()


def neutral(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: an apostrophe before = + - @, tabs and line ends."""
    return f"'{text}" if text[:1] in ("\t", "\r", "\n") or text.lstrip()[:1] in tuple(FORMULA) else text


def _cell(value: Cell) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%SZ}"
        case int():
            return str(value)
        case _:
            return neutral(value)


def as_csv(report: Report, language: Language = "en") -> bytes:
    """Return the report as CSV (RFC 4180) in UTF-8, with a line of column names."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows(report, language):
        writer.writerow([_cell(row.get(name)) for name in COLUMNS])
    return out.getvalue().encode()


def as_parquet(report: Report, language: Language = "en") -> bytes:
    """Return the report as Parquet. Raises LocalError EXTRA_MISSING without the extra `audit`."""
    try:
        import polars
    except ImportError:
        raise missing("Parquet", "polars") from None
    types: dict[type, Any] = {str: polars.String, int: polars.Int64, datetime: polars.Datetime("us", "UTC")}
    found = list(rows(report, language))
    columns = {
        name: polars.Series(name, [row.get(name) for row in found], dtype=types[kind]) for name, kind in COLUMNS.items()
    }
    out = io.BytesIO()
    polars.DataFrame(columns).write_parquet(out)
    return out.getvalue()


def missing(form: str, library: str) -> LocalError:
    """Return the error of a form whose library is not installed."""
    return LocalError("EXTRA_MISSING", f"{form} needs the library {library}; run: {INSTALL}", field="as")
