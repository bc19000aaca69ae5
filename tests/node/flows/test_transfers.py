"""Readings that move under a consent, between cores: whole, once, and no further than granted."""

from __future__ import annotations

import pytest

from ledger.consent.reasons import Reason
from ledger.consent.slip import parse_slip
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.governance.epoch import Policy
from ledger.governance.members import link_id
from ledger.schema import DAY
from node.adapters import enedis_csv, household, senml
from node.flows.sending import NO_READINGS
from node.readings import Series
from node.vaults.transfers import DONE, OPEN, STOPPED, Incoming
from tests.node.flows.test_accounts import accounts, withdrawn_while_it_waits
from tests.node.flows.world import DAILY, LOAD_CURVE, LONG, SHORT, Side, World, terms
from tests.shared import shared


def received(side: Side, transfer: bytes) -> list[Series]:
    """Return what a side holds of a transfer."""
    return [series for pack in side.packs(transfer) for series in senml.decode_cbor(pack)]


def incoming(side: Side, transfer: bytes) -> Incoming:
    """Return where a transfer stands at its recipient."""
    row = side.received(transfer)
    assert row is not None
    return row


def records(pieces: list[Series]) -> list[tuple[int, int, object]]:
    """Return the records of series as plain values."""
    return [(r.start, r.duration_s, r.value) for piece in pieces for r in piece]


def test_a_real_load_curve_arrives_with_its_gaps_and_jumps() -> None:
    (curve,) = enedis_csv.parse(shared("data/enedis/hdm_c5_load_curve.csv").read_bytes())
    assert (len(curve) - curve.gap_count, curve.gap_count, len(curve.jumps())) == (17_852, 14, 3)
    world = World()
    world.import_series(curve)
    grant, _ = world.grant(terms(curve))
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    row = incoming(world.recipient, transfer)
    assert (row.state, row.tally.count, row.tally.gaps) == (DONE, 17_866, 14)
    pieces = received(world.recipient, transfer)
    assert records(pieces) == records([curve])
    whole = Series.from_readings(curve.key, (reading for piece in pieces for reading in piece))
    assert whole.jumps() == curve.jumps()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"kind": DAILY}, Reason.OTHER_KIND),
        ({"point": "prm:99999999999999"}, Reason.OTHER_POINT),
        ({"point": "prm:99999999999999", "kind": LOAD_CURVE}, Reason.OTHER_POINT),
        ({"granularity": "PT10M"}, Reason.OTHER_GRANULARITY),
        ({"window": (SHORT.starts[0] - 1, SHORT.stop)}, Reason.OTHER_PERIOD),
        ({"purpose": "Selling it on"}, Reason.OTHER_PURPOSE),
        ({"window": (5, 5)}, Reason.BAD_FLOW),
    ],
)
def test_what_was_not_granted_is_refused_with_its_reason(what: dict[str, object], reason: Reason) -> None:
    world = World()
    daily = household.daily_totals(1, SHORT.starts[0], 10)
    world.import_series(SHORT, daily)
    grant, _ = world.grant(terms(SHORT))
    for named in ({}, {"grant": grant.id}):
        transfer = world.ask(**what, **named)
        world.pump()
        row = incoming(world.recipient, transfer)
        assert (row.state, row.reason, row.tally.count) == (STOPPED, reason.value, 0)
        pushed, decision = world.send(**what, **named)
        assert (pushed, decision.reason) == (b"", reason)
    told = world.holder.refusals()
    assert {refusal.code for refusal in told} == {reason.value}
    assert len(told) == 4
    assert all(refusal.here and refusal.outgoing for refusal in told)
    (there, _) = world.recipient.refusals()
    assert (there.code, there.here, there.outgoing) == (reason.value, False, False)


@pytest.mark.covers("R98")
def test_without_any_consent_nothing_is_said_but_that() -> None:
    world = World()
    world.import_series(SHORT)
    transfer = world.ask(point=SHORT.key.point, kind=LOAD_CURVE)
    world.pump()
    assert incoming(world.recipient, transfer).reason == "NO_CONSENT"


def test_only_what_was_granted_leaves() -> None:
    world = World()
    other = household.load_curve(2, SHORT.starts[0], 10)
    daily = household.daily_totals(1, SHORT.starts[0], 10)
    world.import_series(SHORT, other, daily)
    first, second = SHORT.starts[48], SHORT.starts[200]
    windows = ((first, first + DAY), (second, second + 3 * 1_800 + 7))
    grant, _ = world.grant(terms(SHORT, data_period=windows))
    transfer = world.ask(grant=grant.id)
    world.pump()
    expected = [*SHORT.window(*windows[0]), *SHORT.window(*windows[1])]
    assert records(received(world.recipient, transfer)) == [(r.start, r.duration_s, r.value) for r in expected]
    assert incoming(world.recipient, transfer).series == (SHORT.key,)
    # A part of what was granted may be asked for by itself.
    part = world.ask(point=SHORT.key.point, kind=LOAD_CURVE, window=(first, first + 3_600))
    world.pump()
    assert incoming(world.recipient, part).tally.count == 2


@pytest.mark.covers("R74")
def test_finer_readings_than_granted_stay() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT, granularity="PT60M"))
    transfer = world.ask(grant=grant.id)
    world.pump()
    row = incoming(world.recipient, transfer)
    assert (row.state, row.reason) == (STOPPED, "OTHER_GRANULARITY")


def test_a_consent_without_readings_says_so() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    transfer = world.ask(grant=grant.id)
    world.pump()
    assert incoming(world.recipient, transfer).reason == NO_READINGS


def step_until(world: World, transfer: bytes, packs: int) -> None:
    """Deliver messages until the recipient holds so many packs."""
    for _ in range(10_000):
        row = world.recipient.received(transfer)
        if row is not None and row.tally.packs >= packs:
            return
        world.step(world.waiting()[0])
    pytest.fail("the packs did not come")


def underway(packs: int) -> tuple[World, Entry, bytes]:
    """Return a world in which so many packs of a long series have come, its consent, and the transfer."""
    world = World()
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    transfer, _ = world.send(grant=grant.id)
    step_until(world, transfer, packs)
    return world, grant, transfer


def test_a_withdrawal_in_the_middle_stops_the_next_pack_at_the_holder() -> None:
    world, grant, transfer = underway(1)
    sent = 8  # the window: what was on its way when she withdrew
    world.withdraw(grant)
    world.pump()
    row = incoming(world.recipient, transfer)
    assert (row.state, row.reason) == (STOPPED, "WITHDRAWN")
    assert 1 <= row.tally.packs <= sent < 10
    receipt, ack = accounts(world, transfer)
    assert (receipt.state, receipt.reason, receipt.tally) == (STOPPED, "WITHDRAWN", row.tally)
    assert (ack.state, ack.reason, ack.tally) == (STOPPED, "WITHDRAWN", row.tally)
    again, decision = world.send(grant=grant.id)
    assert (again, decision.reason) == (b"", Reason.WITHDRAWN)


def test_a_withdrawal_known_at_the_recipient_alone_stops_it_there() -> None:
    world = World(3)
    world.import_series(LONG)
    grant, slip = world.grant(terms(LONG))
    third = world.sides[2]
    transfer, _ = world.send(grant=grant.id)
    step_until(world, transfer, 1)
    before = incoming(world.recipient, transfer).tally
    held_back = (third.device.kid, world.holder.device.kid)
    world.withdraw(grant, parse_slip(slip.code()), at=third)
    way = (third.device.kid, world.recipient.device.kid)
    while world.queues.get(way):
        world.step(way)
    assert incoming(world.recipient, transfer).reason == "WITHDRAWN"
    forward = (world.holder.device.kid, world.recipient.device.kid)
    while world.queues.get(forward):
        world.step(forward)
    assert incoming(world.recipient, transfer).tally == before  # packs came, and none was taken in
    assert world.queues[held_back]  # the holder has not heard of it yet
    world.pump()
    receipt, _ = accounts(world, transfer)
    assert (receipt.tally, receipt.reason) == (before, "WITHDRAWN")


@pytest.mark.covers("system:SEN / SEN1 POC")
def test_a_transfer_waits_for_a_recipient_that_is_away() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    world.leave(world.recipient)
    transfer, decision = world.send(grant=grant.id)
    assert decision.allowed
    world.pump()
    assert world.recipient.received(transfer) is None
    world.restart(world.holder)
    world.come_back(world.recipient)
    world.pump()
    assert incoming(world.recipient, transfer).tally.count == len(SHORT)


def test_a_transfer_that_waited_is_judged_again_when_it_goes() -> None:
    world, transfer = withdrawn_while_it_waits(SHORT)
    assert world.holder.sent(transfer) is None
    world.come_back(world.recipient)
    world.pump()
    assert world.recipient.received(transfer) is None
    refusals = world.holder.refusals()
    assert [refusal.code for refusal in refusals] == ["WITHDRAWN"]


def test_a_node_cut_off_stops_sending_and_goes_on_when_it_hears_of_the_mesh() -> None:
    world = World(3, policy=Policy(max_staleness_seconds=60))
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    for side in world.sides[1:]:
        world.leave(side)
    transfer, _ = world.send(grant=grant.id)
    world.pass_time(100)
    assert state_of(world, transfer) == ("waiting", "STALE")
    for side in world.sides[1:]:
        world.come_back(side)
    world.pass_time(1)
    world.pass_time(20)
    world.pass_time(20)
    assert incoming(world.recipient, transfer).state == DONE


def state_of(world: World, transfer: bytes) -> tuple[str, str]:
    """Return how a transfer stands at the holder."""
    world.holder.act(lambda turn: world.holder.flows.sending.go_on(turn, transfer))
    row = world.holder.sent(transfer)
    assert row is not None
    assert row.state in OPEN
    return row.state, row.reason


@pytest.mark.parametrize("end", ["holder", "recipient"])
def test_data_wait_while_either_end_does_not_know_the_time(end: str) -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    side: Side = getattr(world, end)
    side.flows.door.unsure = lambda: True
    transfer, _ = world.send(grant=grant.id)
    assert state_of(world, transfer)[0] in ("sending", "waiting")
    assert world.recipient.packs(transfer) == []
    side.flows.door.unsure = lambda: False
    world.pass_time(20)
    world.pass_time(20)
    assert incoming(world.recipient, transfer).state == DONE


def test_home_freshness_stops_when_the_home_is_silent() -> None:
    world = World(4, policy=Policy(max_staleness_seconds=60))
    world.import_series(SHORT)
    home = world.sides[3]
    grant, _ = world.grant(terms(SHORT, freshness=(home.device.kid,)))
    world.leave(home)
    world.pass_time(61)
    _, decision = world.send(grant=grant.id)
    assert decision.reason is Reason.STALE
    world.come_back(home)
    world.pass_time(1)
    _, decision = world.send(grant=grant.id)
    assert decision.reason is Reason.ALLOWED


def test_a_severed_link_stops_a_transfer() -> None:
    world, _, transfer = underway(1)
    one, other = world.holder.party, world.recipient.party
    edge = {"from": list(one), "to": list(other)}
    world.holder.act(lambda turn: turn.state("link.sever", ("link", link_id(one, other)), edge))
    world.pump()
    assert incoming(world.recipient, transfer).reason == "NO_LINK"
    assert incoming(world.recipient, transfer).tally.packs < 10


def test_many_transfers_wait_for_their_turn_and_all_arrive() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    world.leave(world.recipient)
    transfers = [world.send(grant=grant.id)[0] for _ in range(60)]
    world.come_back(world.recipient)
    world.pump()
    assert {incoming(world.recipient, transfer).state for transfer in transfers} == {DONE}


def test_a_request_waits_for_a_holder_that_is_away() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    world.leave(world.holder)
    transfer = world.ask(grant=grant.id)
    world.restart(world.recipient)
    world.come_back(world.holder)
    world.pump()
    assert incoming(world.recipient, transfer).state == DONE


def test_the_end_of_a_consent_is_acknowledged_by_both() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    both = tuple(sorted([world.holder.party, world.recipient.party]))
    for side in world.sides:
        status = side.status(grant.id)
        assert status is not None
        assert (status.state, status.acknowledged) == (State.GRANTED, both)
    world.withdraw(grant)
    world.pump()
    for side in world.sides:
        status = side.status(grant.id)
        assert status is not None
        assert (status.state, status.acknowledged) == (State.WITHDRAWN, both)


@pytest.mark.covers("R71")
def test_a_grant_that_does_not_inform_is_refused_whole() -> None:
    world = World()
    with pytest.raises(LocalError) as caught:
        world.grant(terms(SHORT, purpose=" ", withdrawal_method=""))
    assert caught.value.code == "CONSENT_NOT_INFORMED"
    assert "purpose" in str(caught.value.field)
    assert "withdrawal" in str(caught.value.field)
