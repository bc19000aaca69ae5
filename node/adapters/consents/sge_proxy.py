"""sge-tiers-proxy: its tables of consents and calls, as a zip of CSV files or as SQLite; read, checked, written.

How it works
    `read_tables` takes consents, consents_usage_points, consents_users and webservices_calls, and holds them to the
    constraints of its database: a consent begins before it expires, rows name consents that are there, and every
    logged call lies within its consent (point, user, period). `Tables.decide` answers a call as the proxy does, with
    its four denials, and `Tables.shrink` refuses to narrow a consent below a call that was logged under it.
    A SQLite file is opened in memory, read-only, with schema code untrusted and its work limited.

What it does not do
    The proxy keeps no purpose, no signature and no revocation: its consents are evidence that lacks those. `is_open`
    consents cover points that are not listed; ours never do, and the mark is told in the state.
"""

from __future__ import annotations

import csv
import io
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger.errors import LocalError
from node.adapters.adapter import Head, Source, refused
from node.adapters.archive import members
from node.adapters.consents.record import RECORDS_MAX, Foreign, Ours, Standing
from node.adapters.numbers import whole_number
from node.adapters.stamps import exact, in_utc
from node.adapters.strict_json import TEXT_MAX

SYSTEM: Final = "sge-tiers-proxy"
CODE: Final = "BAD_SGE_PROXY"
MAX_BYTES: Final = 16 << 20
"""Largest file, in bytes."""
CALLS_MAX: Final = 200_000
"""Logged calls in one file."""
JID_MAX: Final = 2_049
"""Characters of a user's bare JID, as its database has it."""
ISSUERS: Final = ("female", "male", "company")
COLUMNS: Final = {
    "consents": ("id", "issuer_name", "issuer_type", "begins_at", "expires_at", "created_at", "is_open"),
    "consents_usage_points": ("consent_id", "usage_point_id", "comment"),
    "consents_users": ("consent_id", "user_id"),
    "webservices_calls": (
        *("webservice", "usage_point_id", "user_id", "consent_id", "consent_begins_at", "consent_expires_at"),
        *("called_at", "status", "error"),
    ),
}
"""Table -> the columns that are read. `is_open`, `comment`, `error` may lack; calls may lack altogether."""
_OPTIONAL: Final = frozenset({"is_open", "comment", "error", "created_at"})
_STEPS_MAX: Final = 20_000_000  # of SQLite's machine, on one file
_WORK: Final = 10_000


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent of the proxy. Times are UTC seconds; `is_open`: it covers points that are not listed."""

    id: int
    issuer_name: str
    issuer_type: str
    begins_at: int
    expires_at: int
    created_at: int | None
    is_open: bool
    points: tuple[str, ...]
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A logged call. `status`: OK, FAILED or "" (not known how it ended)."""

    webservice: str
    point: str
    user: str
    consent: int
    called_at: int
    status: str
    error: str


@dataclass(frozen=True, slots=True)
class Tables:
    """The consents and the calls of one proxy."""

    consents: tuple[Consent, ...]
    calls: tuple[Call, ...]

    def decide(self, point: str, user: str, at: int) -> Consent:
        """Return the consent under which a user may call for a point at a moment.

        Raises LocalError SGE_NO_CONSENT (wrong point, or wrong user), SGE_NOT_YET, SGE_NO_LONGER.
        """
        found = [one for one in self.consents if user in one.users and (point in one.points or one.is_open)]
        if not found:
            where = "user" if any(point in one.points for one in self.consents) else "point"
            raise LocalError("SGE_NO_CONSENT", "No consent is registered for this point and user", field=where)
        begun = [one for one in found if one.begins_at <= at]
        if not begun:
            raise LocalError("SGE_NOT_YET", "The consent registered for this point is not valid yet", field="begins_at")
        valid = [one for one in begun if at < one.expires_at]
        if not valid:
            raise LocalError(
                "SGE_NO_LONGER", "The consent registered for this point is no longer valid", field="expires_at"
            )
        return valid[0]

    def shrink(self, consent: int, begins_at: int, expires_at: int) -> Tables:
        """Return the tables with another period of a consent. Raises LocalError SGE_BELOW_CALL, BAD_PERIOD."""
        if begins_at >= expires_at:
            raise LocalError("BAD_PERIOD", "A consent begins before it expires", field="begins_at")
        for call in self.calls:
            if call.consent == consent and not begins_at <= call.called_at < expires_at:
                told = "A call that was logged under this consent would lie outside of it"
                raise LocalError("SGE_BELOW_CALL", told, field="called_at")
        changed = [
            replace(one, begins_at=begins_at, expires_at=expires_at) if one.id == consent else one
            for one in self.consents
        ]
        return replace(self, consents=tuple(changed))


def read(data: bytes, source: Source) -> Iterator[Foreign]:
    """Yield the consents in normal form. Raises as `read_tables` does."""
    for one in read_tables(data, source).consents:
        yield Foreign(
            system=SYSTEM,
            reference=str(one.id),
            state="open" if one.is_open else "registered",
            standing=Standing.GIVEN,
            points=tuple(f"prm:{point}" for point in one.points),
            valid_from=one.begins_at,
            valid_until=one.expires_at,
            subject=one.issuer_name,
            recipient=", ".join(one.users),
        )


def read_tables(data: bytes, source: Source) -> Tables:
    """Return the tables of a zip of CSV files, or of SQLite. Raises RemoteError BAD_SGE_PROXY, BAD_ZIP."""
    if len(data) > MAX_BYTES:
        raise refused(CODE, source, "file", f"The file has more than {MAX_BYTES} bytes")
    if data.startswith(b"SQLite format 3\x00"):
        return _tables(_of_sqlite(data, source), source)
    if Head.of(data).kind != "zip":
        raise refused(CODE, source, "file", "A zip of CSV files, or a SQLite file, was expected")
    return _tables(_of_csv(data, source), source)


Row = dict[str, str]


def _of_csv(data: bytes, source: Source) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for member, content in members(data, source):
        table = member.rpartition("/")[2].removesuffix(".csv")
        if table not in COLUMNS or table in found:
            raise refused(CODE, source, member, f"Each of {', '.join(COLUMNS)} was expected, once, as .csv")
        try:
            reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
            rows = [{name: value or "" for name, value in row.items() if name is not None} for row in reader]
        except (UnicodeDecodeError, csv.Error):
            raise refused(CODE, source, member, "This is no CSV in UTF-8") from None
        found[table] = rows
    return found


def _of_sqlite(data: bytes, source: Source) -> dict[str, list[Row]]:
    """Read the tables of a database of somebody else, in memory, without running what its schema may bring."""
    steps = [0]

    def work() -> int:
        steps[0] += _WORK
        return steps[0] > _STEPS_MAX

    try:
        with sqlite3.connect(":memory:") as database:
            database.deserialize(data)
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA query_only = ON")
            database.set_progress_handler(work, _WORK)
            database.row_factory = sqlite3.Row
            named = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            tables = [table for table in COLUMNS if table in {row["name"] for row in named}]
            found = {}
            for table in tables:
                rows = database.execute(f"SELECT * FROM {table} LIMIT {CALLS_MAX + 1}").fetchall()
                found[table] = [{name: _cell(row[name]) for name in row.keys()} for row in rows]  # noqa: SIM118 - Row
            return found
    except (sqlite3.Error, ValueError, OverflowError, MemoryError):
        raise refused(CODE, source, "file", "This SQLite file cannot be read, or asks for too much work") from None


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _tables(found: dict[str, list[Row]], source: Source) -> Tables:
    for table, columns in COLUMNS.items():
        rows = found.get(table)
        if rows is None and table != "webservices_calls":
            raise refused(CODE, source, table, "The table is missing")
        limit = CALLS_MAX if table == "webservices_calls" else RECORDS_MAX
        if rows and (len(rows) > limit or set(columns) - _OPTIONAL - rows[0].keys()):
            raise refused(CODE, source, table, f"It has the columns {', '.join(columns)} and at most {limit} rows")
    points, users = _lists(found["consents_usage_points"], "usage_point_id"), _lists(found["consents_users"], "user_id")
    consents: dict[int, Consent] = {}
    for number, row in enumerate(found["consents"], 1):
        own = row.get("id", "")
        one = _consent(row, points.get(own, []), users.get(own, []), source, f"consents, row {number}")
        if one.id in consents:
            raise refused(CODE, source, f"consents, row {number}, id", "Another row has this id")
        consents[one.id] = one
    for table in ("consents_usage_points", "consents_users"):
        for number, row in enumerate(found[table], 1):
            if _number(row, "consent_id", source, f"{table}, row {number}") not in consents:
                raise refused(CODE, source, f"{table}, row {number}, consent_id", "There is no such consent")
    calls = [
        _call(row, consents, source, f"webservices_calls, row {number}")
        for number, row in enumerate(found.get("webservices_calls", []), 1)
    ]
    if not consents:
        raise refused(CODE, source, "consents", "The table has no row")
    return Tables(tuple(consents.values()), tuple(calls))


def _lists(rows: list[Row], name: str) -> dict[str, list[str]]:
    """Return consent id -> what rows list under it."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.get("consent_id", ""), []).append(row.get(name, ""))
    return found


def _consent(row: Row, points: list[str], users: list[str], source: Source, where: str) -> Consent:
    begins, expires = (_time(row, name, source, where) for name in ("begins_at", "expires_at"))
    if begins >= expires:
        raise refused(CODE, source, f"{where}, expires_at", "A consent begins before it expires")
    if row.get("issuer_type") not in ISSUERS:
        raise refused(CODE, source, f"{where}, issuer_type", f"An issuer is {', '.join(ISSUERS)}")
    if any(len(point) != 14 or not (point.isascii() and point.isdecimal()) for point in points):
        raise refused(CODE, source, f"{where}, usage points", "A point has 14 digits")
    if len(row.get("issuer_name", "")) > TEXT_MAX or any(len(user) > JID_MAX for user in users):
        raise refused(CODE, source, where, f"Names have at most {TEXT_MAX} characters, users {JID_MAX}")
    return Consent(
        _number(row, "id", source, where),
        row.get("issuer_name", ""),
        row["issuer_type"],
        begins,
        expires,
        _time(row, "created_at", source, where) if row.get("created_at") else None,
        row.get("is_open", "").lower() in {"1", "t", "true"},
        tuple(points),
        tuple(users),
    )


def _call(row: Row, consents: dict[int, Consent], source: Source, where: str) -> Call:
    consent = consents.get(_number(row, "consent_id", source, where))
    at = _time(row, "called_at", source, where)
    point, user = row.get("usage_point_id", ""), row.get("user_id", "")
    if consent is None or user not in consent.users or not (point in consent.points or consent.is_open):
        raise refused(CODE, source, where, "The call's consent does not cover its point and its user")
    if not consent.begins_at <= at < consent.expires_at:
        raise refused(CODE, source, f"{where}, called_at", "The call lies outside the period of its consent")
    if row.get("status", "") not in {"", "OK", "FAILED"}:
        raise refused(CODE, source, f"{where}, status", "A status is OK, FAILED or nothing")
    return Call(row.get("webservice", ""), point, user, consent.id, at, row.get("status", ""), row.get("error", ""))


def _number(row: Row, name: str, source: Source, where: str) -> int:
    value = whole_number(row.get(name))
    if value is None:
        raise refused(CODE, source, f"{where}, {name}", "A whole number was expected")
    return value


def _time(row: Row, name: str, source: Source, where: str) -> int:
    try:
        return exact(_with_minutes(row.get(name, "")))
    except (ValueError, OverflowError) as error:
        raise refused(CODE, source, f"{where}, {name}", f"A time was expected: {error}") from None


def _with_minutes(text: str) -> str:
    """Return a stamp as PostgreSQL prints it ("+00") with the minutes of its offset."""
    return f"{text}:00" if len(text) > 3 and text[-3] in "+-" else text


def write(consent: Ours) -> bytes:
    """Return a consent of ours as the proxy's tables, with the transfers made under it as its log of calls."""
    points = [point.partition(":")[2] for point in consent.terms.points if point.startswith("prm:")]
    user = consent.detail("jid", "the bare JID of the recipient at the proxy")
    kind = dict(consent.details).get("issuer", "company")
    if kind not in ISSUERS:
        raise LocalError("DETAIL_MISSING", f"issuer is {', '.join(ISSUERS)}", field="issuer")
    name = consent.detail("name", "the name of who agreed")
    until = consent.ended_at or consent.valid_until
    begins, expires = in_utc(consent.granted_at), in_utc(until)
    common = {"consent_id": "1"}
    calls = [
        {
            **{"webservice": series, "usage_point_id": points[0] if points else "", "user_id": user, **common},
            **{"consent_begins_at": begins, "consent_expires_at": expires, "called_at": in_utc(at)},
            **{"status": status, "error": ""},
        }
        for at, _, series, status in consent.calls
        if consent.granted_at <= at < until
    ]
    return _zipped(
        {
            "consents": [
                {
                    **{"id": "1", "issuer_name": name, "issuer_type": kind, "begins_at": begins},
                    **{"expires_at": expires, "created_at": begins, "is_open": "f"},
                }
            ],
            "consents_usage_points": [{**common, "usage_point_id": one, "comment": ""} for one in points],
            "consents_users": [{**common, "user_id": user}],
            "webservices_calls": calls,
        }
    )


def _zipped(tables: dict[str, Iterable[Row]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for table, rows in tables.items():
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, COLUMNS[table])
            writer.writeheader()
            writer.writerows(rows)
            archive.writestr(zipfile.ZipInfo(f"{table}.csv"), text.getvalue())
    return made.getvalue()
