"""The report as a whole: every transfer once, whatever the order; the register; its JSON and its schema."""

from __future__ import annotations

import json
import random
import re
import shlex
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.reasons import Reason
from ledger.errors import LocalError
from node.audit import words
from node.audit.findings import Report, Verdict, as_json, read_json, schema
from node.audit.page import as_html
from node.audit.register import SEPARATOR
from node.audit.rows import Question
from node.audit.table import as_csv
from node.operations import OPERATIONS
from tests.node.audit import cases
from tests.node.audit.cases import DAY, HOLDER, LATER, NOW, OTHER, RECIPIENT, TERMS

NAMES = ("a", "b", "c", "d")
GRANTS = (cases.GRANT, b"h" * 32, b"?" * 32)
PARTIES = (HOLDER, RECIPIENT, OTHER)
times = st.integers(NOW - 5 * DAY, NOW + 15 * DAY)
names = st.sampled_from(NAMES)
roles = st.sampled_from(["holder", "recipient"])
grants = st.sampled_from(GRANTS)
accounts = st.builds(
    lambda name, role, at, grant, records: cases.account(name, role, at, grant=grant, records=records),
    *(names, roles, times, grants, st.integers(1, 3)),
)
statements = st.builds(
    lambda name, role, at, signer, grant: cases.statement(
        name, role, at, signer=signer, grant=grant if role == "holder" else None, since=None
    ),
    *(names, roles, times, st.sampled_from(PARTIES), grants),
)
faults = st.builds(lambda name, at: cases.proven(name, at=at), names, times)
consents = st.sampled_from(
    [
        cases.consent(),
        cases.consent(terms=None),
        cases.ended(cases.end()),
        cases.ended(cases.end("revoked", NOW), cases.end()),
        cases.consent(valid_until=NOW + DAY, terms=replace(TERMS, retention="P1D")),
    ]
)
others = consents.map(lambda one: replace(one, id=GRANTS[1]))
everything = st.fixed_dictionaries(
    {
        "consents": st.tuples(consents, others),
        "accounts": st.lists(accounts, max_size=8, unique=True).map(tuple),
        "statements": st.lists(statements, max_size=8, unique=True).map(tuple),
        "proven": st.lists(faults, max_size=2, unique=True).map(tuple),
        "adoptions": st.just((cases.adoption(), cases.adoption(dated=NOW + 2 * DAY))),
    }
)


def transfers_of(rows: dict[str, Any]) -> set[str]:
    """Return the transfers that rows name."""
    return {row.transfer.hex() for kind in ("accounts", "statements", "proven") for row in rows[kind]}


@given(everything, st.sampled_from([cases.WHOLE, replace(cases.WHOLE, purpose=TERMS.purpose)]))
def test_every_transfer_stands_exactly_once(rows: dict[str, Any], question: Question) -> None:
    found = cases.report(question, **rows)
    listed = [one.transfer for part in (found.without_consent, found.undecided, found.consented) for one in part]
    assert len(set(listed)) == len(listed) == found.counts.transfers
    assert set(listed) <= transfers_of(rows)
    assert len(listed) + found.counts.left_out <= len(transfers_of(rows))
    if question is cases.WHOLE:
        assert set(listed) == transfers_of(rows)
    assert {one.verdict for one in found.without_consent} <= {Verdict.WITHOUT}
    assert not {one.verdict for one in found.consented} & {Verdict.WITHOUT, Verdict.UNDECIDED}
    counts = found.counts
    assert counts.transfers == counts.without_consent + counts.undecided + counts.clear + counts.consented


@given(everything, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(rows: dict[str, Any], shuffler: random.Random) -> None:
    mixed: dict[str, Any] = {name: tuple(shuffler.sample(found, len(found))) for name, found in rows.items()}
    mixed["consents"] = tuple(
        replace(one, ends=tuple(reversed(one.ends)), acknowledged=tuple(reversed(one.acknowledged)))
        for one in mixed["consents"]
    )
    assert cases.report(**mixed) == cases.report(**rows)


@given(everything)
def test_the_json_reads_back_and_is_what_the_schema_says(rows: dict[str, Any]) -> None:
    found = cases.report(**rows)
    assert read_json(as_json(found)) == found


def test_the_schema_names_every_field_and_is_kept() -> None:
    """Readers rely on these names: one may be added, none goes away within a version."""
    definitions = schema()["$defs"]
    fields = {name: sorted(found["properties"]) for name, found in definitions.items() if "properties" in found}
    assert set(fields) == {
        *("Report", "Counts", "Access", "Who", "Overdue", "OldNotice", "Unacknowledged", "Activity"),
    }
    assert definitions["Verdict"]["enum"] == sorted(one.value for one in Verdict)
    assert fields["Report"] == sorted(
        (
            *("version", "mesh", "made", "since", "until", "asked", "counts", "without_consent", "overdue", "notices"),
            *("unacknowledged", "undecided", "consented", "register", "not_shown"),
        )
    )
    assert fields["Access"] == sorted(
        (
            *("verdict", "code", "transfer", "consent", "holder", "recipient", "began", "ended", "seen", "records"),
            *("gaps", "data_from", "data_until", "purpose", "points", "kind", "granularity", "notes", "statements"),
            "proof",
        )
    )
    for found in definitions.values():
        assert found.get("required", []) == list(found.get("properties", {})), "every field is always written"


def test_what_breaks_the_schema_is_refused() -> None:
    whole = json.loads(as_json(cases.report(accounts=(cases.account(),))))
    changes: tuple[dict[str, Any], ...] = ({"counts": None}, {"made": "yesterday"}, {"without_consent": [{}]})
    for change in changes:
        with pytest.raises(msgspec.ValidationError):
            read_json(json.dumps(whole | change).encode())
    del whole["register"]
    with pytest.raises(msgspec.ValidationError):
        read_json(json.dumps(whole).encode())


@pytest.mark.covers("R77", "R99")
def test_access_without_consent_stands_first() -> None:
    names = list(json.loads(as_json(cases.report())))
    parts = [name for name in names if isinstance(getattr(cases.report(), name), tuple) and name != "asked"]
    assert parts[0] == "without_consent"


def test_an_empty_period_is_refused() -> None:
    with pytest.raises(LocalError) as caught:
        cases.report(Question(NOW, NOW))
    assert caught.value.code == "BAD_PERIOD"


# The register


@pytest.mark.covers("R59", "R60")
def test_the_register_joins_consents_that_say_the_same() -> None:
    points = ("prm:00000000000001", cases.POINT)
    two = cases.consent(id=b"h" * 32, terms=replace(TERMS, points=points, principal_role="organisation"))
    other = cases.consent(id=b"i" * 32, terms=replace(TERMS, retention="P2Y"))
    found = cases.report(consents=(cases.consent(), two, other), accounts=(cases.account(),)).register
    assert len(found) == 2
    (line,) = [one for one in found if one.retention == "P1Y"]
    assert (line.consents, line.in_force, line.points, line.transfers, line.records) == (2, 2, 3, 1, 960)
    assert line.controllers == ("City of Lyon (dpo@lyon.example)",)
    assert SEPARATOR.join(line.processors) == "Hosting Ltd → Backup Ltd"
    assert line.subjects == ("contract_holder", "organisation")
    assert (line.data, line.granularity) == ("electricity/consumption/load_curve", "PT30M")
    assert (line.storage, line.jurisdiction, line.legal_basis) == ("in Lyon, encrypted", "FR", "consent")


@pytest.mark.parametrize(
    ("changes", "lines", "force"),
    [
        ({"valid_until": NOW - 60 * DAY}, 1, 0),
        ({"valid_until": NOW - 100 * DAY}, 0, 0),
        ({"terms": None}, 0, 0),
        ({"state": ""}, 0, 0),
        ({"terms": replace(TERMS, access_period=(LATER + 1, None))}, 0, 0),
    ],
)
def test_the_register_is_of_the_period(changes: dict[str, Any], lines: int, force: int) -> None:
    found = cases.report(consents=(cases.consent(**changes),)).register
    assert [one.in_force for one in found] == [force] * lines


@pytest.mark.covers("R59", "R60")
@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (NOW - DAY, NOW + DAY, [("P1Y", 2, 2, 1, 2)]),
        (NOW - DAY, LATER, [("P1Y", 2, 2, 0, 2), ("P30D", 1, 1, 1, 1)]),
        (NOW + 2 * DAY, LATER, [("P30D", 1, 1, 1, 1)]),
    ],
)
def test_the_register_says_what_was_in_force_in_the_period(
    since: int, until: int, said: list[tuple[str, int, int, int, int]]
) -> None:
    """Of each line: retention, points, processors, consents in force at the end, transfers."""
    points = (cases.POINT, "prm:00000000000001")
    narrower = cases.amendment(NOW + DAY, retention="P30D", processors=TERMS.processors[:1], granularity="P1D")
    narrowed = cases.consent(terms=replace(TERMS, points=points), amendments=(narrower,))
    moments = (NOW, NOW + 60, NOW + 3 * DAY)
    accounts_ = tuple(cases.account(str(at), at=at) for at in moments if since <= at < until)
    found = cases.report(Question(since, until), consents=(narrowed,), accounts=accounts_)
    lines = sorted(found.register, key=lambda line: line.retention)
    told = [(one.retention, one.points, len(one.processors), one.in_force, one.transfers) for one in lines]
    assert told == said
    assert {one.granularity for one in lines if one.retention == "P30D"} <= {"P1D"}
    for forms in (as_json(found).decode(), as_csv(found).decode(), as_html(found)):
        assert ("P30D" in forms, "P1Y" in forms) == tuple(word in [one[0] for one in said] for word in ("P30D", "P1Y"))


def test_what_nothing_is_left_of_is_in_the_register_no_more() -> None:
    elsewhere = cases.amendment(NOW + DAY, points=("prm:99999999999999",))
    amended = cases.consent(amendments=(elsewhere,))
    assert len(cases.report(Question(NOW, LATER), consents=(amended,)).register) == 1
    assert cases.report(Question(NOW + 2 * DAY, LATER), consents=(amended,)).register == ()
    asked = Question(NOW + 2 * DAY, LATER, point=cases.POINT)
    fewer = cases.amendment(NOW + DAY, points=("prm:00000000000001",))
    both = replace(TERMS, points=(cases.POINT, "prm:00000000000001"))
    assert cases.report(asked, consents=(cases.consent(terms=both, amendments=(fewer,)),)).register == ()


def test_an_amendment_that_is_not_known_here_is_said_to_be_so() -> None:
    hidden = replace(cases.amendment(NOW + DAY), terms=None)
    found = cases.report(consents=(cases.consent(amendments=(hidden,)), cases.consent(id=b"h" * 32)))
    (line,) = found.register
    assert (line.consents, line.unread, line.in_force) == (2, 1, 2)
    assert "narrowed in a way not known here" in as_html(found)


# Words and proofs


def full() -> Report:
    """Return a report with at least one line of every kind."""
    gone = replace(cases.ended(cases.end()), acknowledged=(), terms=replace(TERMS, retention="P1D"))
    document = replace(cases.NOTICE, document=b"d" * 16, heads=(b"1" * 32,))
    second = cases.consent(id=GRANTS[1], notice=document)
    accounts_ = (
        cases.account(at=NOW + 5 * DAY),
        cases.account("two", at=NOW + DAY - 60),
        cases.account("three", grant=second.id),
        cases.account("four", grant=GRANTS[2]),
    )
    rows: dict[str, Any] = {"accounts": accounts_, "statements": (cases.statement("five", grant=second.id),)}
    rows |= {"proven": (cases.proven("six"),), "adoptions": (cases.adoption(),)}
    return cases.report(consents=(gone, second), **rows)


def lines(found: Report) -> list[Any]:
    """Return every line of a report."""
    return [
        *(*found.without_consent, *found.overdue, *found.notices, *found.unacknowledged, *found.undecided),
        *(*found.consented, *found.register),
    ]


def test_every_line_has_a_proof_that_the_command_line_knows() -> None:
    found = full()
    kinds = {type(line).__name__ for line in lines(found)}
    assert kinds == {"Access", "Overdue", "OldNotice", "Unacknowledged", "Activity"}
    for line in lines(found):
        maille, noun, verb, *options = shlex.split(line.proof)
        operation = next(one for one in OPERATIONS if (one.noun, one.verb) == (noun, verb))
        known = {"--to", "--json", *(f"--{name.replace('_', '-')}" for name in operation.args.__struct_fields__)}
        assert maille == "maille"
        assert {option for option in options if option.startswith("--")} <= known


def test_what_the_dates_of_consents_do_not_show_is_told() -> None:
    backdated = cases.report(consents=(cases.consent(granted=cases.NOW - 40 * cases.DAY),), accounts=(cases.account(),))
    assert backdated.counts.consented == 1, "who signs a consent dates it"
    assert "CONSENT_DATES" in backdated.not_shown


def test_every_code_has_words_in_both_languages() -> None:
    from pathlib import Path

    folder = Path(words.__file__).parent
    source = "\n".join((folder / name).read_text("utf-8") for name in ("judging.py", "matching.py", "duties.py"))
    codes = set(re.findall(r'"([A-Z]{2,}(?:_[A-Z]+)*)"', source)) - {"BAD_PERIOD"}
    assert {"WITHDRAWN", "NO_RECEIPT", "RETENTION_PASSED", "CLEAR_FIELDS"} <= codes
    from ledger.consent.fault import Wrong
    from node.audit.auditing import NOT_SHOWN

    for code in codes | {wrong.value for wrong in Wrong} | set(NOT_SHOWN):
        assert code in words.CODES or code in Reason.__members__, code
        assert words.explained(code, "en") != words.explained(code, "fr") != code
