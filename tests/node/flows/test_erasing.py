"""The duty to delete: data go, receipts and proofs stay, and both ends say so."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.index import facts_of
from ledger.schema import DAY
from node.core import Turn
from node.flows import erasing
from node.tenants import Voice
from node.vaults.erasures import Erasure
from node.vaults.receipts import HOLDER, RECIPIENT
from node.vaults.transfers import STOPPED
from tests.node.flows.losing import half_written
from tests.node.flows.test_disclosing import holds
from tests.node.flows.test_transfers import underway
from tests.node.flows.world import LONG, SHORT, Side, World, terms


def sent(world: World) -> tuple[Entry, bytes]:
    """Grant and send a long series; return the grant and the transfer."""
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    assert len(world.recipient.packs(transfer)) == 10
    return grant, transfer


def erase(side: Side, grant: Entry, *, content: bool = False) -> Erasure:
    """Destroy everything a side received under a grant."""
    while True:
        row = side.act(lambda turn: side.flows.erasing.erase(turn, grant, Voice(side.party), content=content))
        if row.entry:
            return row


def acknowledgements(world: World, grant: Entry) -> list[bytes]:
    """Return the acknowledgements of erasures under a grant, as the recipient holds them."""

    def look(turn: Turn) -> list[bytes]:
        replica = turn.core.replica
        feeds = [replica.feed_of(number) for number in range(len(replica.feeds))]
        return [
            fact.row.entry_id
            for fact in facts_of(turn.rows, grant.id, feeds, replica.size)
            if fact.row.kind == "erasure.ack"
        ]

    return world.recipient.look(look)


def told(world: World, row: Erasure) -> list[object]:
    """Return who has acknowledged an erasure, as the recipient knows it."""
    return list(world.recipient.look(lambda turn: world.recipient.flows.erasing.acknowledged(turn, row)))


@pytest.mark.covers("R144")
def test_packs_go_and_accounts_stay() -> None:
    world = World()
    grant, transfer = sent(world)
    before = world.recipient.account(RECIPIENT, transfer)
    row = erase(world.recipient, grant)
    assert (row.transfers, row.packs, row.records) == (1, 10, len(LONG))
    assert world.recipient.packs(transfer) == []
    kept = world.recipient.received(transfer)
    assert kept is not None
    assert (kept.series, kept.wanted.point, kept.wanted.window) == ((), None, None)
    assert world.recipient.account(RECIPIENT, transfer) == before
    assert world.holder.account(HOLDER, transfer) is not None
    entry = world.recipient.entry(row.entry)
    assert entry is not None
    assert entry.payload == {"grant": grant.id, "digest": row.digest()}
    assert replace(row, records=1).digest() != row.digest()
    world.pump()
    assert told(world, row) == [world.holder.party]


def test_the_holder_acknowledges_once_and_strangers_not_at_all() -> None:
    world = World(3)
    grant, _ = sent(world)
    third = world.sides[2]
    forged = {"grant": grant.id, "digest": bytes(32)}
    third.act(lambda turn: turn.state("erasure.state", grant.thing, forged))
    world.pump()
    row = erase(world.recipient, grant)
    world.pump()
    world.restart(world.holder)
    world.pump()
    assert told(world, row) == [world.holder.party]
    assert len(acknowledgements(world, grant)) == 1
    with pytest.raises(LocalError) as refused:
        third.act(lambda turn: third.flows.erasing.erase(turn, grant, Voice(third.party)))
    assert refused.value.code == "NOT_A_PARTY"


def test_a_crash_between_two_portions_is_taken_up_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "PACKS_AT_ONCE", 3)
    world = World()
    grant, transfer = sent(world)
    side = world.recipient
    first = side.act(lambda turn: side.flows.erasing.erase(turn, grant, Voice(side.party)))
    assert (first.packs, first.entry, len(side.packs(transfer))) == (3, b"", 7)
    world.restart(side)
    row = erase(side, grant)
    assert (row.transfers, row.packs, row.records) == (1, 10, len(LONG))
    with pytest.raises(LocalError) as refused:
        erase(side, grant)
    assert refused.value.code == "NOTHING_TO_ERASE"


def test_the_content_of_a_consent_goes_only_when_it_has_ended() -> None:
    world = World()
    grant, _ = sent(world)
    side = world.recipient
    with pytest.raises(LocalError) as refused:
        erase(side, grant, content=True)
    assert refused.value.code == "IN_FORCE"
    world.withdraw(grant)
    world.pump()
    assert erase(side, grant, content=True).content
    assert side.look(lambda turn: side.flows.consents.get(turn.vault, grant.id)) is None
    assert side.status(grant.id) == world.holder.status(grant.id)  # what the ledger says stays


def test_data_that_come_after_an_erasure_are_another_one() -> None:
    world = World()
    grant, _ = sent(world)
    first = erase(world.recipient, grant)
    world.import_series(LONG)
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    assert world.recipient.packs(transfer)
    second = erase(world.recipient, grant)
    assert second.entry != first.entry
    assert (second.transfers, second.records) == (1, len(LONG))


def test_what_is_still_being_received_is_ended_and_goes_too() -> None:
    world, grant, transfer = underway(2)
    side = world.recipient
    row = erase(side, grant)
    assert row.packs == 2
    world.pump()
    assert side.packs(transfer) == []
    kept, receipt = side.received(transfer), world.holder.account(HOLDER, transfer)
    assert kept is not None
    assert receipt is not None
    assert (kept.state, kept.reason, kept.tally) == (STOPPED, "ENDED_EARLY", receipt.tally)
    assert receipt.tally.packs == 2


def test_what_a_holder_that_is_gone_never_finished_goes_with_the_consent() -> None:
    world, grant, transfer = underway(2)
    world.leave(world.holder)
    world.pass_time(301 * DAY)  # nobody withdraws: it expires
    side = world.recipient
    assert erase(side, grant, content=True).packs == 2
    assert side.packs(transfer) == []
    assert not holds(side, grant)
    assert side.act(side.flows.accounts.state) == 1  # what had come is accounted for


@pytest.mark.parametrize("by_itself", [True, False])
def test_an_erasure_that_the_vault_alone_knows_of_is_stated_again(by_itself: bool) -> None:
    world = World()
    grant, transfer = sent(world)
    side = world.recipient
    lost = half_written(world, side, lambda turn: side.flows.erasing.erase(turn, grant, Voice(side.party)))
    assert lost.entry
    assert side.packs(transfer) == []
    assert side.entry(lost.entry) is None
    if by_itself:
        world.pass_time(2 * DAY)
    else:
        erase(side, grant)
        world.pump()
    (kept,) = side.look(lambda turn: list(side.flows.erasures.listing(turn.vault)))
    assert side.entry(kept.entry) is not None
    assert (kept.packs, kept.transfers, kept.records) == (lost.packs, lost.transfers, lost.records)
    assert told(world, kept) == [world.holder.party]
    with pytest.raises(LocalError) as refused:
        erase(side, grant)
    assert refused.value.code == "NOTHING_TO_ERASE"


def test_with_the_content_goes_what_is_sealed_for_others() -> None:
    world = World()
    world.leave(world.recipient)
    grant, _ = world.grant(terms(SHORT))
    side = world.holder
    until = world.now + 30 * DAY
    side.act(lambda turn: side.flows.life.amend(turn, grant, lambda held: held, until))
    world.withdraw(grant)
    assert len(side.look(lambda turn: list(turn.vault.scan("outgoing", b"d", b"e")))) == 2
    erase(side, grant, content=True)
    assert side.look(lambda turn: list(turn.vault.scan("outgoing", b"d", b"e"))) == []
    world.come_back(world.recipient)
    for _ in range(3):
        world.pass_time(15)
    assert not holds(world.recipient, grant)


def test_destroyed_content_that_is_sent_again_is_not_kept() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    narrowed = world.holder.act(lambda turn: world.holder.flows.life.amend(turn, grant, lambda held: held, None))
    world.pump()
    side, flows = world.recipient, world.holder.flows
    assert holds(side, grant)
    assert holds(side, narrowed)
    world.withdraw(grant)
    world.pump()
    erase(side, grant, content=True)

    def tell(entry: Entry, turn: Turn) -> None:
        row = flows.consents.get(turn.vault, entry.id)
        assert row is not None
        flows.disclosing.tell(turn, entry, row.disclosures, [side.party])

    for entry in (grant, narrowed):
        world.holder.act(partial(tell, entry))
        world.pump()
        assert not holds(side, entry)
    assert world.holder.look(lambda turn: list(turn.vault.scan("outgoing", b"d", b"e"))) == []  # and it is told so
