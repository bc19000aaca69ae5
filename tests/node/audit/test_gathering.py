"""What is read from a node: whole meshes audited by holder, recipient and a third member; pages; what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.schema import DAY
from node.audit import gathering
from node.audit.auditing import audit
from node.audit.findings import Report
from node.audit.gathering import collect, page, read, write
from node.audit.rows import Question, Rows
from node.core import Turn
from node.vaults.consents import ConsentRow
from tests.node.audit import cases
from tests.node.flows.probes import probe, prober, scene
from tests.node.flows.world import NOW, SHORT, Side, World, terms


def gathered(side: Side, since: int = NOW - DAY, until: int = NOW + 900 * DAY) -> Rows:
    """Return all rows of a side, read as the command reads them."""

    def ask(what: Any, cursor: str) -> tuple[bytes, str]:
        rows, following = side.look(lambda turn: page(turn, side.flows, what, cursor, since, until))
        return write(rows), following

    return collect(ask)


def audited(side: Side, **asked: Any) -> Report:
    """Audit a side's whole time, or a part."""
    question = Question(NOW - DAY, side.world.now + 1)
    return audit(gathered(side), replace(question, **asked))


def sent(world: World, grant: Entry) -> bytes:
    """Have the holder send all of a consent, to the end."""
    transfer, decision = world.send(grant=grant.id)
    assert decision.allowed
    world.pump()
    return transfer


def stated(world: World) -> None:
    """Have both ends put their digests on the ledger."""
    for side in world.sides:
        side.act(side.flows.accounts.state)
    world.pump()


@pytest.fixture
def moved() -> tuple[World, Entry, bytes]:
    """Return a mesh of three with a transfer that both ends have stated."""
    world = World(3)
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    transfer = sent(world, grant)
    stated(world)
    return world, grant, transfer


def test_each_end_sees_its_transfer_and_a_third_member_what_the_ledger_says(moved: tuple[World, Entry, bytes]) -> None:
    world, grant, transfer = moved
    for side, seen in ((world.holder, "sent-here"), (world.recipient, "received-here")):
        access = cases.only(audited(side))
        assert (access.verdict.value, access.transfer, access.consent) == ("consented", transfer.hex(), grant.id.hex())
        assert access.seen == tuple(sorted(("acknowledgement", "receipt", seen)))
        assert (access.records, access.gaps, access.points) == (len(SHORT), 3, (SHORT.key.point,))
        assert access.notes == ()
        assert access.purpose == "Advice on insulation"
    other = audited(world.sides[2])
    access = cases.only(other)
    assert (access.verdict.value, access.code) == ("consented-by-clear-fields", "DISCLOSURE_MISSING")
    assert (access.records, access.points, access.purpose, access.kind) == (None, (), "", "")
    assert access.seen == ("acknowledgement", "receipt")
    assert (other.counts.unreadable, other.register) == (1, ())
    assert audited(world.sides[2], point=SHORT.key.point).counts.left_out == 1


def test_the_subject_is_found_by_her_wallet_and_her_record(moved: tuple[World, Entry, bytes]) -> None:
    world, grant, _ = moved
    assert audited(world.holder, subject="anna").counts.transfers == 1
    assert audited(world.recipient, subject="anna").counts.transfers == 0, "the wallet is kept elsewhere"
    assert audited(world.recipient, subject=grant.thing[1].hex()).counts.transfers == 1


def test_a_turned_holder_is_found_out_by_the_recipient(moved: tuple[World, Entry, bytes]) -> None:
    """A node that lets out what was withdrawn: its own accounts tell."""
    world, grant, _ = moved
    world.withdraw(grant)
    world.pump()
    world.pass_time(DAY)
    rows = gathered(world.recipient)
    late = replace(rows.accounts[0], transfer=b"late" * 4, began=world.now, ended=world.now)
    found = audit(replace(rows, accounts=(*rows.accounts, late)), Question(NOW - DAY, world.now + 1))
    assert [(one.code, one.transfer) for one in found.without_consent] == [("WITHDRAWN", (b"late" * 4).hex())]
    assert found.counts.transfers == 2


def test_what_was_narrowed_is_read_with_its_time_and_held_against_what_came_later(
    moved: tuple[World, Entry, bytes],
) -> None:
    world, grant, _ = moved
    until = (world.now // DAY + 3) * DAY

    def narrow(turn: Turn) -> Entry:
        return world.holder.flows.life.amend(turn, grant, lambda held: held, until)

    amendment = world.holder.act(narrow)
    at = world.now
    world.pump()
    world.pass_time(5 * DAY)
    for side in world.sides:
        (consent,) = gathered(side).consents
        (found,) = consent.amendments
        assert (found.entry, found.claimed, found.valid_until) == (amendment.id, amendment.iat, until)
        assert at <= found.registered <= world.now
        assert (found.terms is None) == (side is world.sides[2])
    rows = gathered(world.recipient)
    late = replace(rows.accounts[0], transfer=b"late" * 4, began=until, ended=until)
    found_late = audit(replace(rows, accounts=(*rows.accounts, late)), Question(NOW - DAY, world.now + 1))
    assert [(one.code, one.transfer) for one in found_late.without_consent] == [("EXPIRED", (b"late" * 4).hex())]
    assert found_late.counts.consented == 1, "what passed before stays so"


def test_withdrawals_come_with_who_knows_of_them(moved: tuple[World, Entry, bytes]) -> None:
    world, grant, _ = moved
    recipient = world.recipient
    world.leave(recipient)
    withdrawal = world.withdraw(grant)
    world.pump()
    at = world.now
    world.pass_time(1_000)
    (consent,) = gathered(world.holder).consents
    (end,) = consent.ends
    assert (end.entry, end.kind, end.claimed) == (withdrawal.id, "withdrawn", withdrawal.iat)
    assert end.registered == at
    assert dict(end.told) == {world.holder.party: at}
    (open_end,) = audited(world.holder).unacknowledged
    assert (open_end.party.id, open_end.waiting) == (recipient.party[0].hex(), 1_000)
    world.come_back(recipient)
    world.pump()
    assert audited(world.holder).unacknowledged == ()
    ((end,),) = (one.ends for one in gathered(world.holder).consents)
    assert dict(end.told).keys() == {world.holder.party, recipient.party}


def test_what_is_still_here_past_its_time_is_overdue() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT, retention="P1D", access_period=(NOW - DAY, NOW + DAY)))
    sent(world, grant)
    world.now = NOW + 3 * DAY
    (one,) = audited(world.recipient, since=NOW + 2 * DAY).overdue
    assert (one.consent, one.records, one.days) == (grant.id.hex(), len(SHORT), 1)
    assert audited(world.holder).overdue == ()


@pytest.mark.parametrize("way", ["ended", "recipient", "imagined"])
def test_a_probe_that_proves_a_fault_is_in_everybodys_audit(way: str) -> None:
    world, _ = scene(turned=True)
    side = prober(world, way)
    done = probe(world, way)
    world.pump()
    for looking in (side, world.sides[3]):
        proven = [one for one in audited(looking).without_consent if one.seen == ("probe",)]
        assert [one.proof for one in proven] == [f"maille probe show {done.entry.hex()}"]


def test_an_honest_holder_is_not_accused() -> None:
    world, _ = scene(turned=False)
    probe(world, "ended")
    world.pump()
    assert audited(world.recipient).clean


def test_pages_hold_every_row_once(moved: tuple[World, Entry, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    world, *_ = moved
    for _ in range(4):
        grant, _ = world.grant(terms(SHORT))
        sent(world, grant)
    stated(world)
    whole = gathered(world.recipient)
    assert (len(whole.consents), len(whole.accounts), len(whole.statements)) == (5, 5, 10)
    for name in ("ACCOUNTS_MAX", "CONSENTS_MAX", "LEAVES_MAX", "PROBES_MAX"):
        monkeypatch.setattr(gathering, name, 1)
    assert gathered(world.recipient) == whole


def test_a_node_at_both_ends_is_read_at_both(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    sent(world, grant)
    holder, recipient = world.holder, world.recipient
    (ours,) = recipient.look(lambda turn: list(recipient.flows.receipts.listing(turn.vault, b"a")))
    holder.act(lambda turn: holder.flows.receipts.put(turn.vault, ours))
    for pages in (500, 1):
        monkeypatch.setattr(gathering, "ACCOUNTS_MAX", pages)
        assert sorted(one.role for one in gathered(holder).accounts) == ["holder", "recipient"]
    access = cases.only(audited(holder))
    assert access.seen == ("received-here", "sent-here")


def test_terms_that_are_not_the_signed_ones_are_not_believed(moved: tuple[World, Entry, bytes]) -> None:
    world, *_ = moved
    side = world.recipient
    (held,) = side.look(lambda turn: list(side.flows.consents.listing(turn.vault)))
    fields = dict(held.disclosures.fields)
    fields["purpose"] = (fields["purpose"][0], "Anything")
    forged = ConsentRow(held.entry_id, held.kind, "", 0, type(held.disclosures)(fields))
    side.act(lambda turn: side.flows.consents.put(turn.vault, forged, world.holder.party, side.party))
    (consent,) = gathered(side).consents
    assert consent.terms is None
    assert cases.only(audited(side)).code == "DISCLOSURE_MISSING"


def test_rows_travel_as_json() -> None:
    rows = Rows(
        cases.FRAME,
        (cases.ended(cases.end()), cases.consent(terms=None)),
        (cases.account(), cases.account(role="holder")),
        (cases.statement(), cases.statement(role="recipient")),
        (cases.proven(),),
        (cases.adoption(),),
    )
    assert read(write(rows)) == rows
    for data in (b"", b"{}", b'{"frame": 1}', b"\xff"):
        with pytest.raises(RemoteError) as caught:
            read(data)
        assert caught.value.code == "BAD_ANSWER"
