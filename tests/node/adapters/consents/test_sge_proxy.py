"""sge-tiers-proxy's tables: four denials, calls inside their consents, CSV and SQLite, and ours as its tables."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.adapters.adapter import Source
from node.adapters.consents import sge_proxy
from node.adapters.consents.record import Standing
from node.adapters.stamps import exact
from tests.node.adapters.consents.ours import ours, read, refusal, whole_or_refused

POINT, OTHER, USER = "30001610071843", "30001610071844", "ada@xmpp.example"
BEGINS, EXPIRES = exact("2021-01-01T00:00:00+00:00"), exact("2022-01-01T00:00:00+00:00")
CONSENTS = (
    "id,issuer_name,issuer_type,begins_at,expires_at,created_at,is_open\n"
    "1,Durand,female,2021-01-01 00:00:00+00,2022-01-01 00:00:00+00,2020-12-30 10:00:00+00,f\n"
)
POINTS = f"consent_id,usage_point_id,comment\n1,{POINT},\n"
USERS = f"consent_id,user_id\n1,{USER}\n"
CALLS = (
    "webservice,usage_point_id,user_id,consent_id,consent_begins_at,consent_expires_at,called_at,status,error\n"
    f"R4,{POINT},{USER},1,2021-01-01 00:00:00+00,2022-01-01 00:00:00+00,2021-06-01 12:00:00+00,OK,\n"
)
TABLES = {"consents": CONSENTS, "consents_usage_points": POINTS, "consents_users": USERS, "webservices_calls": CALLS}


def zipped(**change: str | None) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in (TABLES | change).items():
            if text is not None:
                archive.writestr(f"{name}.csv", text)
    return made.getvalue()


def sqlite(**change: str | None) -> bytes:
    with sqlite3.connect(":memory:") as database:
        for name, text in (TABLES | change).items():
            if text is None:
                continue
            head, *rows = text.strip().split("\n")
            database.execute(f"CREATE TABLE {name} ({head})")
            for row in rows:
                database.execute(f"INSERT INTO {name} VALUES ({','.join('?' * len(head.split(',')))})", row.split(","))
        database.commit()
        return bytes(database.serialize())


@pytest.mark.covers("R50", "system:sge-tiers-proxy")
@pytest.mark.parametrize("make", [zipped, sqlite])
def test_the_tables_are_records(make: Any) -> None:
    (one,) = read("sge-proxy", make())
    assert (one.reference, one.standing, one.points) == ("1", Standing.GIVEN, (f"prm:{POINT}",))
    assert (one.valid_from, one.valid_until, one.subject, one.recipient) == (BEGINS, EXPIRES, "Durand", USER)
    assert one.lacks == ("kinds", "granularity", "purpose")
    assert len(read("sge-proxy", make(webservices_calls=None))) == 1


@pytest.mark.covers("system:sge-tiers-proxy")
@pytest.mark.parametrize(
    ("point", "user", "at", "code", "field"),
    [
        (OTHER, USER, BEGINS, "SGE_NO_CONSENT", "point"),
        (POINT, "eve@xmpp.example", BEGINS, "SGE_NO_CONSENT", "user"),
        (POINT, USER, BEGINS - 1, "SGE_NOT_YET", "begins_at"),
        (POINT, USER, EXPIRES, "SGE_NO_LONGER", "expires_at"),
    ],
)
def test_its_four_denials(point: str, user: str, at: int, code: str, field: str) -> None:
    tables = sge_proxy.read_tables(zipped(), Source())
    assert tables.decide(POINT, USER, BEGINS).id == tables.decide(POINT, USER, EXPIRES - 1).id == 1
    with pytest.raises(LocalError) as error:
        tables.decide(point, user, at)
    assert (error.value.code, error.value.field) == (code, field)


def test_an_open_consent_covers_points_that_are_not_listed() -> None:
    tables = sge_proxy.read_tables(zipped(consents=CONSENTS.replace(",f\n", ",t\n")), Source())
    assert tables.decide(OTHER, USER, BEGINS).is_open


@pytest.mark.covers("system:sge-tiers-proxy")
def test_no_consent_shrinks_below_a_call() -> None:
    tables = sge_proxy.read_tables(zipped(), Source())
    called = tables.calls[0].called_at
    narrowed = tables.shrink(1, called, called + 1)
    assert narrowed.decide(POINT, USER, called).id == 1
    for begins, expires, code in (
        (called + 1, EXPIRES, "SGE_BELOW_CALL"),
        (BEGINS, called, "SGE_BELOW_CALL"),
        (EXPIRES, BEGINS, "BAD_PERIOD"),
    ):
        with pytest.raises(LocalError) as error:
            tables.shrink(1, begins, expires)
        assert error.value.code == code


@pytest.mark.parametrize("make", [zipped, sqlite])
@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"consents": None}, "consents"),
        ({"consents": CONSENTS.replace("issuer_type,", "", 1).replace("female,", "")}, "consents"),
        ({"consents": CONSENTS.replace("female", "robot")}, "consents, row 1, issuer_type"),
        ({"consents": CONSENTS.replace("2022-01-01 00", "2020-01-01 00")}, "consents, row 1, expires_at"),
        ({"consents": CONSENTS.replace("2022-01-01 00:00:00+00", "soon")}, "consents, row 1, expires_at"),
        ({"consents_usage_points": POINTS.replace(POINT, "12")}, "consents, row 1, usage points"),
        ({"consents_users": USERS.replace("\n1,", "\n7,")}, "consents_users, row 1, consent_id"),
        ({"webservices_calls": CALLS.replace(POINT, OTHER)}, "webservices_calls, row 1"),
        ({"webservices_calls": CALLS.replace("2021-06-01", "2022-06-01")}, "webservices_calls, row 1, called_at"),
        ({"webservices_calls": CALLS.replace("OK", "MAYBE")}, "webservices_calls, row 1, status"),
    ],
)
def test_what_breaks_its_constraints_is_refused(make: Any, change: dict[str, str | None], where: str) -> None:
    error = refusal("sge-proxy", make(**change))
    assert (error.code, error.field) == ("BAD_SGE_PROXY", f"file, {where}")


def test_a_database_that_works_too_hard_is_refused() -> None:
    with sqlite3.connect(":memory:") as database:
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"
        database.execute(f"CREATE VIEW consents AS {numbers}")
        database.commit()
        data = bytes(database.serialize())
    assert refusal("sge-proxy", data).code == "BAD_SGE_PROXY"


@pytest.mark.covers("system:sge-tiers-proxy")
def test_a_consent_of_ours_is_its_tables_with_the_calls() -> None:
    data = sge_proxy.write(ours())
    tables = sge_proxy.read_tables(data, Source())
    assert tables.consents[0].issuer_name == "Durand & fils"
    assert [(call.webservice, call.status) for call in tables.calls] == [("consumption/energy/active/daily", "OK")]
    assert tables.decide("12345678901234", "city@xmpp.example", tables.calls[0].called_at).id == 1
    ended = sge_proxy.read_tables(sge_proxy.write(ours(Standing.WITHDRAWN)), Source())
    with pytest.raises(LocalError, match="no longer"):
        ended.decide("12345678901234", "city@xmpp.example", ours(Standing.WITHDRAWN).ended_at or 0)


@given(st.binary(max_size=60), st.integers(0, 9_000), st.booleans())
def test_broken_files_are_read_or_refused(noise: bytes, at: int, database: bool) -> None:
    data = sqlite() if database else zipped()
    at %= len(data)
    assert whole_or_refused("sge-proxy", data[:at] + noise + data[at + len(noise) :])
