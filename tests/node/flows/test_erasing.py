"""The duty to delete: data go, receipts and proofs stay, and both ends say so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.index import facts_of
from node.core import Turn
from node.flows import erasing
from node.tenants import Voice
from node.vaults.erasures import Erasure
from node.vaults.receipts import HOLDER, RECIPIENT
from tests.node.flows.world import LONG, Side, World, terms


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
