"""What a verdict says of a consent that rests on others: levels, rows, claims; periods; what the maker leaves out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.record import OnwardSharing
from ledger.entry import Entry
from proofs import reading
from proofs.make import Chosen, Extras, make_period
from proofs.reasons import Reason
from proofs.report import Level, Outcome, Report
from tests.proofs.both import verify
from tests.proofs.mesh import START
from tests.proofs.negatives_parents import LONG_AGO, passed_on_twice, passed_on_under, sent_under, sharing_hidden
from tests.proofs.negatives_rests import BELOW, told
from tests.proofs.rests import CLOSES, Chains, everything, line
from tests.proofs.test_selections import views


def rows(report: Report) -> dict[str, Any]:
    """Return the rows of a report by their ids."""
    return {row.id: row for row in report.checks}


def test_each_link_has_its_rows_and_says_what_it_allows() -> None:
    mesh = Chains()
    links = line(mesh, ("mia", "noa", "ola"), BELOW)
    report = verify(*told(mesh, mesh.consent("ola", delegation=links[0].id)))
    assert (report.reason, report.level) == (Reason.ACTIVE, Level.DELEGATED)
    found = rows(report)
    assert "as delegate until" in found["delegation.1"].evidence
    assert "bounded by points, granularity, sharing_depth" in found["delegation.1"].evidence
    assert {"delegation.2.active", "delegation.2.status"} <= found.keys()
    near, far = report.claims["rests_on"]
    assert (near["delegation"], far["delegation"]) == tuple(each.id.hex() for each in links)
    assert near["from"] == far["to"]
    assert near["bounds"]["points"] == ["prm:12345678901234"]


def test_a_consent_that_rests_on_everything_is_told_with_its_parent() -> None:
    mesh, child, how = everything()
    report = verify(mesh.prove(child, **how), mesh.trust(at=how["first"]), mesh.now)
    assert report.reason is Reason.WITHDRAWN_LATER, report.as_text()
    (parent,) = report.claims["parents"]
    assert report.claims["rests_on"] == [{"parent": parent["grant"]}]
    assert [next(iter(each)) for each in parent["rests_on"]] == ["delegation", "call"]
    assert (len(parent["amendments"]), len(parent["signed_by"])) == (1, 1)
    assert parent["transfers"][0]["covered"] is True
    found = rows(report)
    assert found["parent.1.call.active"].evidence.startswith("of 3 who may vote: 2 yes, 1 no, 0 abstained; 0 refused")
    assert found["parent.1.delegation.1.status"].evidence.startswith("REVOKED between")
    assert any("how each member of the group voted" in line_ for line_ in report.as_json()["not_shown"])


def test_a_transfer_before_an_amendment_keeps_the_older_window() -> None:
    """What was sent can never be made to look out of bounds later by shrinking a consent (consent.md §4)."""
    assert verify(*sent_under(LONG_AGO, first=True)).exit_code == 0
    assert verify(*sent_under(LONG_AGO, first=False)).reason is Reason.BEYOND_CONSENT


def test_what_was_passed_on_before_its_parent_was_narrowed_stays_lawful() -> None:
    found = rows(verify(*passed_on_twice()))
    assert {found[f"transfer.{at}"].reason for at in (1, 2)} == {None, Reason.SHARING_FORBIDDEN}
    assert "parent.active" not in found, "at the time asked for nothing was narrowed"


def test_whether_a_narrowed_parent_lets_go_on_is_told_as_not_looked_at_where_it_is_withheld() -> None:
    narrowed = OnwardSharing("depth", 1)
    assert rows(verify(*passed_on_under(narrowed, sent=False)))["parent.active"].status is Outcome.PASSED
    hidden = verify(*passed_on_under(narrowed, sharing_hidden, sent=False))
    assert rows(hidden)["parent.active"].status is Outcome.NOT_LOOKED


def test_a_withheld_account_says_that_nothing_was_compared() -> None:
    mesh, child, how = everything()
    data = mesh.prove(child, **how)
    made = reading.decode(data)
    (transfer,) = made.transfers
    assert transfer.ack is not None
    closed = replace(made, transfers=(replace(transfer, ack=replace(transfer.ack, account=None)),))
    report = verify(closed.encode(), mesh.trust(at=how["first"]), mesh.now)
    row = rows(report)["parent.1.transfer.1.ack"]
    assert row.status is Outcome.PASSED
    assert "the recipient's account is withheld" in row.evidence
    assert "ACCOUNTS_DIFFER" in row.evidence
    assert any("the same account" in line_ for line_ in report.as_json()["not_shown"])


def test_in_a_period_each_consent_has_its_rows_and_what_ticks_say_is_told() -> None:
    mesh = Chains()
    joined = mesh.group("mia", "noa", "ola")
    call = mesh.call()
    mesh.vote(call, mia="yes", noa="yes")
    mesh.now = CLOSES + 10
    consent = mesh.consent("group", delegation=joined[0].id, call=call.id)
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 60
    moved = mesh.move(consent, first.frontier)
    mesh.refuse("mia", call)
    mesh.now += 10
    mesh.tick(mesh.a, mesh.b)
    with mesh.store.read() as held:
        extras = Extras(transfers=[moved], contents=mesh.contents.get)
        chosen, shown = [Chosen(consent.entry.id, consent.disclosures)], views(mesh, held, [first.boundary])
        data = make_period(mesh.replica, shown, chosen, (START, mesh.now), extras)
    report = verify(data, mesh.trust(), mesh.now)
    found = rows(report)
    assert found["consent.1.call.status"].evidence.startswith("CALL_REFUSED: she had refused")
    assert found["consent.1.delegation.1.status"].status is Outcome.PASSED
    assert found["consent.1.transfer.1"].reason is Reason.CONCURRENT_WITHDRAWAL


@pytest.mark.parametrize("name", ["delegation", "call", "parent", "amendment"])
def test_what_the_maker_does_not_hold_leaves_a_doubt(name: str) -> None:
    mesh, child, how = everything()
    kinds = {"delegation": "delegation.give", "call": "group.call", "amendment": "consent.amend"}
    made = reading.decode(mesh.prove(child, **how))
    entries = [Entry.parse(item.raw) for item in made.entries]
    parent = child.entry.payload["parent"]
    gone = {entry.id for entry in entries if entry.kind == kinds.get(name) or (name == "parent" and entry.id == parent)}
    held = {ident: opened for ident, opened in mesh.contents.items() if ident not in gone}
    report = verify(mesh.prove(child, **{**how, "contents": held.get}), mesh.trust(at=how["first"]), mesh.now)
    codes = {"delegation": Reason.DELEGATION_HIDDEN, "call": Reason.CALL_HIDDEN, "amendment": Reason.AMENDMENT_HIDDEN}
    assert report.reason is codes.get(name, Reason.PARENT_HIDDEN), report.as_text()
    assert report.exit_code == 3


def test_nothing_is_opened_where_the_consent_itself_is_not() -> None:
    mesh, child, how = everything()
    data = mesh.prove(child, **{**how, "erased": True})
    made = reading.decode(data)
    assert (made.disclosures, made.bounds) == ((), ())
    assert verify(data, mesh.trust(at=how["first"]), mesh.now).reason is Reason.CONTENT_ERASED
