"""Each rule by which a transfer has, or lacks, a consent; each notes that can stand beside; statements of strangers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.record import OnwardSharing, Stages
from tests.ledger.consent.cases import LOAD_CURVE
from tests.node.audit import cases
from tests.node.audit.cases import DAY, GRANT, HOLDER, NOW, OTHER, RECIPIENT, STALE, TERMS, said

CONSENTED = ("consented", "ALLOWED")
CLEAR = ("consented-by-clear-fields", "CLEAR_FIELDS")
W = "without-consent"
U = "undecided"
POINT_ELSEWHERE = replace(cases.SERIES, point="prm:99999999999999")


def of(terms: Any) -> tuple[Any, ...]:
    """Return the one consent with other terms."""
    return (cases.consent(terms=terms),)


def test_a_transfer_under_a_consent_is_consented() -> None:
    assert said(accounts=(cases.account(),)) == CONSENTED
    assert said(accounts=(cases.account(role="holder"),)) == CONSENTED


@pytest.mark.covers("R99")
@pytest.mark.parametrize(
    ("consent", "account", "code"),
    [
        ({"state": ""}, {}, "UNREGISTERED"),
        ({"state": "incomplete"}, {}, "INCOMPLETE"),
        ({"holder": OTHER}, {}, "OTHER_HOLDER"),
        ({"recipient": OTHER}, {}, "OTHER_RECIPIENT"),
        ({}, {"grant": b"?" * 32}, "UNREGISTERED"),
        ({"valid_until": NOW + 10}, {}, "EXPIRED"),
        ({"granted": NOW + 1_000}, {}, "NOT_YET"),
        ({"terms": replace(TERMS, access_period=(NOW + 1, None))}, {}, "NOT_YET"),
        ({"terms": replace(TERMS, access_period=(0, NOW + 10))}, {}, "EXPIRED"),
        ({"terms": replace(TERMS, withdrawal_method="")}, {}, "NOT_INFORMED"),
        ({"terms": replace(TERMS, computation=b"c" * 32)}, {}, "COMPUTATION_ONLY"),
        ({"terms": replace(TERMS, stages=Stages(True, True, False))}, {}, "STAGE_OFF"),
        ({"terms": replace(TERMS, granularity="P1D")}, {}, "OTHER_GRANULARITY"),
        ({"terms": replace(TERMS, pii_type=LOAD_CURVE._replace(kind="index"))}, {}, "OTHER_KIND"),
        ({}, {"series": (POINT_ELSEWHERE,)}, "OTHER_POINT"),
        ({}, {"series": (cases.SERIES, POINT_ELSEWHERE)}, "OTHER_POINT"),
        ({}, {"window": (cases.WINDOW[0] - 1, cases.WINDOW[1])}, "OTHER_PERIOD"),
        ({}, {"window": (cases.WINDOW[0], cases.WINDOW[1] + 1)}, "OTHER_PERIOD"),
    ],
)
def test_access_without_consent(consent: dict[str, Any], account: dict[str, Any], code: str) -> None:
    found = cases.report(consents=(cases.consent(**consent),), accounts=(cases.account(**account),))
    assert [one.code for one in found.without_consent] == [code]
    assert (found.counts.without_consent, found.counts.consented, found.clean) == (1, 0, False)


@pytest.mark.parametrize(
    ("consent", "code"),
    [({"recipient": None}, "CLASS_RECIPIENT"), ({"chained": True}, "CHAINED")],
)
def test_what_this_version_cannot_judge_is_undecided(consent: dict[str, Any], code: str) -> None:
    assert said(consents=(cases.consent(**consent),), accounts=(cases.account(),)) == (U, code)


def test_without_terms_only_the_clear_fields_speak() -> None:
    assert said(consents=of(None), accounts=(cases.account(),))[1] == "DISCLOSURE_MISSING"
    assert said(consents=(cases.consent(terms=None, valid_until=NOW),), accounts=(cases.account(),))[1] == "EXPIRED"


def test_the_result_of_a_computation_may_come_where_readings_may_not() -> None:
    computed = cases.consent(terms=replace(TERMS, computation=b"c" * 32))
    assert said(consents=(computed,), accounts=(cases.account(series=()),))[1] == "ALLOWED"
    assert said(consents=(computed,), accounts=(cases.account(),))[1] == "COMPUTATION_ONLY"


def test_a_window_may_span_a_hole_between_granted_ones() -> None:
    wide = (TERMS.data_period[0][0], TERMS.data_period[2][1])
    assert said(accounts=(cases.account(window=wide),)) == CONSENTED


@pytest.mark.parametrize("kind", ["withdrawn", "revoked"])
@pytest.mark.parametrize("role", ["holder", "recipient"])
def test_what_passed_after_its_keeper_knew_of_the_end_is_without_consent(kind: str, role: Any) -> None:
    consents = (cases.ended(cases.end(kind)),)
    told = NOW + DAY + (5 if role == "holder" else 7)
    code = kind.upper()
    assert said(consents=consents, accounts=(cases.account(role=role, at=told),)) == (W, code)
    assert said(consents=consents, accounts=(cases.account(role=role, at=told - 10),)) == (U, "CONCURRENT_WITHDRAWAL")
    hour = NOW + DAY - (NOW + DAY) % 3_600
    assert said(consents=consents, accounts=(cases.account(role=role, at=hour - 10),)) == (U, "CONCURRENT_WITHDRAWAL")
    assert said(consents=consents, accounts=(cases.account(role=role, at=hour - 11),)) == CONSENTED


def test_who_never_said_that_it_knew_had_to_know_after_the_bound() -> None:
    consents = (cases.ended(cases.end(told=())),)
    bound = NOW + DAY + STALE
    assert said(consents=consents, accounts=(cases.account(at=bound - 10),)) == (U, "CONCURRENT_WITHDRAWAL")
    assert said(consents=consents, accounts=(cases.account(at=bound - 9),)) == (W, "WITHDRAWN")


def test_a_transfer_that_began_before_and_went_on_is_without_consent() -> None:
    long = cases.account(at=NOW, ended=NOW + 2 * DAY)
    assert said(consents=(cases.ended(cases.end()),), accounts=(long,)) == (W, "WITHDRAWN")


def test_an_earlier_revocation_counts_beside_a_later_withdrawal() -> None:
    both = cases.ended(cases.end("revoked", NOW + DAY), cases.end("withdrawn", NOW + 9 * DAY))
    assert said(consents=(both,), accounts=(cases.account(at=NOW + 3 * DAY),)) == (W, "REVOKED")


# Amendments


@pytest.mark.parametrize(
    ("narrow", "code"),
    [
        ({"points": ("prm:99999999999999",)}, "OTHER_POINT"),
        ({"granularity": "P1D"}, "OTHER_GRANULARITY"),
        ({"data_period": ((TERMS.data_period[0][0], TERMS.data_period[0][1]),)}, "OTHER_PERIOD"),
        ({"until": NOW}, "EXPIRED"),
        ({"access_period": (0, NOW)}, "EXPIRED"),
        ({"access_period": (NOW + 50 * DAY, None)}, "NOT_YET"),
        ({"stages": Stages(True, True, False)}, "STAGE_OFF"),
        ({"computation": b"c" * 32}, "COMPUTATION_ONLY"),
        ({"purpose": "Another purpose"}, "BAD_TERMS"),
    ],
)
def test_what_an_amendment_took_away_is_without_consent_once_it_had_to_be_known(
    narrow: dict[str, Any], code: str
) -> None:
    consents = (cases.consent(amendments=(cases.amendment(), cases.amendment(NOW + DAY, **narrow))),)
    bound = NOW + DAY + 60 + STALE
    assert said(consents=consents, accounts=(cases.account(at=bound - 9),)) == (W, code)
    assert said(consents=consents, accounts=(cases.account(at=bound - 10),)) == (U, "CONCURRENT_AMENDMENT")
    assert said(consents=consents, accounts=(cases.account(at=NOW + DAY - 10),)) == (U, "CONCURRENT_AMENDMENT")
    assert said(consents=consents, accounts=(cases.account(at=NOW + DAY - 11),)) == CONSENTED


def test_an_amendment_that_allows_a_transfer_changes_nothing() -> None:
    narrowed = cases.consent(amendments=(cases.amendment(NOW - DAY, NOW + 99 * DAY),))
    assert said(consents=(narrowed,), accounts=(cases.account(),)) == CONSENTED


def test_of_an_amendment_that_is_not_known_here_the_clear_fields_speak() -> None:
    hidden = replace(cases.amendment(NOW - DAY), terms=None)
    consents = (cases.consent(amendments=(hidden,)),)
    assert said(consents=consents, accounts=(cases.account(),)) == ("consented-by-clear-fields", "DISCLOSURE_MISSING")
    consents = (cases.consent(amendments=(replace(hidden, valid_until=NOW),)),)
    assert said(consents=consents, accounts=(cases.account(),)) == (W, "EXPIRED")
    assert said(consents=consents, statements=(cases.statement(since=NOW + 1),)) == (W, "EXPIRED")
    assert said(consents=consents, statements=(cases.statement(since=None),)) == (U, "CONCURRENT_AMENDMENT")


def test_an_end_says_more_than_an_amendment() -> None:
    narrowed = cases.ended(cases.end(), amendments=(cases.amendment(points=("prm:99999999999999",)),))
    assert said(consents=(narrowed,), accounts=(cases.account(at=NOW + 3 * DAY),)) == (W, "WITHDRAWN")
    chained = cases.consent(chained=True, amendments=(cases.amendment(NOW - DAY, points=("prm:99999999999999",)),))
    assert said(consents=(chained,), accounts=(cases.account(),)) == (W, "OTHER_POINT")


# What others state


def test_of_others_the_clear_fields_alone_are_said() -> None:
    stated = (cases.statement(), cases.statement(role="recipient"))
    access = cases.only(cases.report(statements=stated))
    assert (access.verdict.value, access.code) == CLEAR
    assert (access.records, access.data_from, access.notes) == (None, None, ())
    assert access.seen == ("acknowledgement", "receipt")
    assert access.holder is not None
    assert access.holder.name == "grid"


@pytest.mark.parametrize(
    ("consent", "since", "at", "said_so"),
    [
        ({"valid_until": NOW}, NOW + 5, NOW + DAY, (W, "EXPIRED")),
        ({"valid_until": NOW}, None, NOW + DAY, (U, "TIME_UNKNOWN")),
        ({"valid_until": NOW}, NOW - 900, NOW + DAY, (U, "TIME_UNKNOWN")),
        ({"valid_until": NOW}, None, NOW - 1, CLEAR),
        ({"granted": NOW + 2 * DAY}, None, NOW + DAY, (W, "NOT_YET")),
    ],
)
def test_when_others_moved_data_is_known_between_bounds(
    consent: dict[str, Any], since: int | None, at: int, said_so: tuple[str, str]
) -> None:
    stated = (cases.statement(at=at, since=since),)
    assert said(consents=(cases.consent(**consent),), statements=stated) == said_so


def test_others_after_a_withdrawal() -> None:
    consents = (cases.ended(cases.end()),)
    known = NOW + DAY + 5  # by the holder's own feed
    assert said(consents=consents, statements=(cases.statement(at=NOW + 3 * DAY, since=known + 1),))[1] == "WITHDRAWN"
    unclear = (U, "TIME_UNKNOWN")
    assert said(consents=consents, statements=(cases.statement(at=NOW + 3 * DAY, since=known),)) == unclear
    assert said(consents=consents, statements=(cases.statement(at=NOW + 3 * DAY, since=None),)) == unclear
    assert said(consents=consents, statements=(cases.statement(at=NOW + 3_600),)) == CLEAR


def test_others_without_a_consent() -> None:
    assert said(consents=(), statements=(cases.statement(),)) == (W, "UNREGISTERED")
    assert said(statements=(cases.statement(signer=OTHER),)) == (W, "OTHER_HOLDER")
    assert said(statements=(cases.statement(role="recipient"),)) == (U, "NO_RECEIPT")


def test_a_stranger_changes_nothing_by_naming_a_transfer() -> None:
    """Ids of transfers stand on the ledger: a hostile member could else make any transfer look wrong, or right."""
    strange = (
        cases.statement(signer=OTHER, at=NOW - 50 * DAY, entry=b"s" * 32, since=None),
        cases.statement(role="recipient", signer=OTHER, at=NOW - 60 * DAY, entry=b"t" * 32),
        cases.statement(signer=OTHER, grant=b"?" * 32, at=NOW - 70 * DAY, entry=b"u" * 32),
    )
    theirs = (cases.statement(), cases.statement(role="recipient"))
    plain = cases.only(cases.report(statements=theirs))
    access = cases.only(cases.report(statements=(*theirs, *strange)))
    assert access.notes == ("CLAIMED_BY_OTHER",)
    assert replace(access, notes=(), statements=()) == replace(plain, statements=())
    ours = cases.only(cases.report(accounts=(cases.account(),), statements=strange))
    assert ours.verdict.value == "consented"
    assert "CLAIMED_BY_OTHER" in ours.notes


def test_a_probe_that_proves_a_fault_is_access_without_consent() -> None:
    found = cases.report(proven=(cases.proven("probe"),), accounts=(cases.account(),))
    (access,) = found.without_consent
    assert (access.code, access.seen, access.proof) == (
        "WITHDRAWN",
        ("probe",),
        f"maille probe show {cases.ident('probe').hex()}",
    )
    assert len(found.consented) == 1
    both = cases.report(proven=(cases.proven(),), accounts=(cases.account(),))
    assert len(both.without_consent) == 1
    assert not both.consented


# What stands beside


@pytest.mark.parametrize(
    ("accounts", "statements", "note"),
    [
        (("recipient",), ("holder",), "NOT_STATED"),
        (("recipient",), ("recipient",), "NO_RECEIPT"),
        (("holder",), ("holder",), "NOT_ACKNOWLEDGED"),
        ((), ("holder",), "NOT_ACKNOWLEDGED"),
    ],
)
def test_notes(accounts: tuple[Any, ...], statements: tuple[Any, ...], note: str) -> None:
    rows: dict[str, Any] = {"accounts": tuple(cases.account(role=role) for role in accounts)}
    rows["statements"] = tuple(cases.statement(role=role) for role in statements)
    assert cases.only(cases.report(**rows)).notes == (note,)


def test_the_digest_on_the_ledger_must_be_of_our_account() -> None:
    both = (cases.statement(), cases.statement(role="recipient"))
    assert cases.only(cases.report(accounts=(cases.account(),), statements=both)).notes == ()
    other = (cases.statement(), cases.statement(role="recipient", digest=b"?" * 32))
    assert cases.only(cases.report(accounts=(cases.account(),), statements=other)).notes == ("DIGEST_DIFFERS",)


def test_both_ends_kept_here_must_count_alike() -> None:
    both = (cases.account(), cases.account(role="holder", records=961))
    assert "ACCOUNTS_DIFFER" in cases.only(cases.report(accounts=both)).notes
    same = (cases.account(), cases.account(role="holder"))
    assert "ACCOUNTS_DIFFER" not in cases.only(cases.report(accounts=same)).notes


# What is asked for


@pytest.mark.covers("R99")
def test_the_question_chooses() -> None:
    second = cases.consent(id=b"h" * 32, record=b"r" * 16, terms=replace(TERMS, purpose="Other", points=(cases.POINT,)))
    rows: dict[str, Any] = {
        "consents": (replace(cases.consent(), wallet="anna"), second),
        "accounts": (cases.account(), cases.account("two", grant=second.id)),
    }

    def transfers(**asked: Any) -> int:
        return cases.report(replace(cases.WHOLE, **asked), **rows).counts.transfers

    assert transfers() == 2
    assert transfers(purpose="advice  on INSULATION") == transfers(purpose="Other") == 1
    assert transfers(purpose="dpv:ServiceProvision") == transfers(point=cases.POINT) == 2
    assert transfers(point="prm:12345678901235") == transfers(subject="anna") == 1
    assert transfers(subject=GRANT.hex()[:8]) == transfers(subject=(b"r" * 16).hex()) == 1
    assert transfers(party=RECIPIENT) == transfers(party=HOLDER) == 2
    assert transfers(party=OTHER) == transfers(subject="bert") == transfers(purpose="Nothing") == 0
    assert transfers(since=NOW + 11) == 0
    assert transfers(since=NOW + 10) == 2
    assert transfers(until=NOW) == 0
    assert transfers(until=NOW + 1) == 2


def test_what_the_question_cannot_be_asked_of_is_counted() -> None:
    hidden: dict[str, Any] = {"consents": of(None), "statements": (cases.statement(),)}
    assert cases.report(replace(cases.WHOLE, purpose="x"), **hidden).counts.left_out == 1
    assert cases.report(replace(cases.WHOLE, point=cases.POINT), **hidden).counts.left_out == 1
    assert cases.report(**hidden).counts.left_out == 0
    came = cases.report(replace(cases.WHOLE, point=cases.POINT), consents=of(None), accounts=(cases.account(),))
    assert (came.counts.transfers, came.counts.left_out) == (1, 0)


def test_an_account_under_which_nothing_passed_is_no_transfer() -> None:
    assert cases.report(accounts=(cases.account(records=0),)).counts.transfers == 0


def test_onward_sharing_is_no_matter_of_the_transfer() -> None:
    assert said(consents=of(replace(TERMS, onward_sharing=OnwardSharing("depth", 2))), accounts=(cases.account(),)) == (
        CONSENTED
    )
