"""A wallet's grants are published apart: what waits is durable, tells nobody, goes once, and can be taken back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from ledger.consent.grant import Notice
from ledger.consent.record import Actor, OnwardSharing
from ledger.consent.status import State
from ledger.consent.wallet import HOUR
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.keys import SigningKey
from ledger.schema import DAY
from node.core import Turn
from node.flows.consenting import Offer
from node.flows.spreading import WAITING_MAX, head_before
from node.tenants import Voice
from node.vaults.receipts import RECIPIENT
from tests.node.flows.losing import half_written
from tests.node.flows.world import SHORT, Side, World, terms

WINDOW = 600
STEP = 10


class Apart(World):
    """A world whose nodes publish a wallet's grants apart."""

    spread_seconds = WINDOW


def town() -> tuple[World, Side]:
    """Return a world with spreading, and the node that keeps the wallets: no party of what they grant."""
    world = Apart(3)
    world.pass_time(2 * HOUR)
    return world, world.sides[2]


def give(world: World, home: Side, wallet: str = "anna") -> Entry:
    """Grant from a wallet kept at a node, which is made where it is not there."""
    offer = Offer(world.holder.party, world.recipient.party, terms(SHORT), world.now + 300 * DAY)
    acts, wallets = home.flows.acts, home.flows.wallets

    def act(turn: Turn) -> Entry:
        if wallets.find(turn.vault, wallet) is None:
            acts.create_wallet(turn, wallet)
        notice = acts.notice(turn, offer, ("holder", "recipient"))
        return acts.grant(turn, wallet, offer, notice)[0]

    grant = home.act(act)
    world.pump()
    return grant


def waiting(home: Side) -> list[bytes]:
    """Return the grants that wait at a node."""
    return home.look(lambda turn: [row.grant.id for row in home.flows.spreading.all_waiting(turn)])


def pass_window(world: World, seconds: int = WINDOW + 2 * STEP) -> None:
    """Let time pass in small steps, so that every timer fires when it is due."""
    for _ in range(seconds // STEP):
        world.pass_time(STEP)


def holds(side: Side, grant: Entry) -> bool:
    """Say whether a node has what a grant says."""
    return side.look(lambda turn: side.flows.consents.holds(turn.vault, grant.id))


def places(side: Side, grants: list[Entry]) -> list[int]:
    """Return where grants stand in the node's own feed, in order."""
    replica = side.core.replica
    found = side.look(lambda turn: [replica.places(turn.rows, grant.id) for grant in grants])
    return [index for several in found for number, index in several if replica.feed_of(number) == side.device.kid]


def test_a_wallets_first_grant_goes_at_once_and_the_others_each_after_a_time_of_its_own() -> None:
    world, home = town()
    grants = [give(world, home) for _ in range(4)]
    assert set(waiting(home)) == {grant.id for grant in grants[1:]}
    for side in world.sides:
        assert [side.entry(grant.id) is not None for grant in grants] == [True, False, False, False]
        assert [holds(side, grant) for grant in grants] == ([True] * 4 if side is home else [True, False, False, False])
    assert not any(side.status(grant.id) for side in world.sides for grant in grants[1:])
    pass_window(world)
    assert waiting(home) == []
    for side in world.sides:
        for grant in grants:
            status = side.status(grant.id)
            assert status is not None
            assert status.state is State.GRANTED
            assert set(status.acknowledged) == {world.holder.party, world.recipient.party}
    assert len(set(places(home, grants))) == 4


def test_nothing_flows_before_a_grant_is_published_not_even_where_its_host_holds_the_data() -> None:
    world, _ = town()
    world.import_series(SHORT)
    home = world.holder
    give(world, home)
    grant = give(world, home)
    assert not world.send(grant=grant.id)[1].allowed
    pass_window(world)
    transfer, decision = world.send(grant=grant.id)
    assert decision.allowed
    world.pump()
    account = world.recipient.account(RECIPIENT, transfer)
    assert account is not None
    assert account.grant == grant.id


def test_another_persons_grant_does_not_wait_for_hers() -> None:
    world, home = town()
    give(world, home)
    assert home.entry(give(world, home, "bert").id) is not None
    pass_window(world)
    assert home.entry(give(world, home).id) is not None, "the window is over"


def test_without_the_setting_nothing_waits() -> None:
    world = World(3)
    home = world.sides[2]
    assert all(home.entry(give(world, home).id) is not None for _ in range(3))
    assert home.look(lambda turn: home.flows.spreading.shown(turn, None).head) == home.look(
        lambda turn: turn.shown_head()
    )


def test_what_is_signed_tells_the_hour_of_its_publication_and_nothing_else() -> None:
    world, home = town()
    world.pass_time(HOUR - world.now % HOUR - 60)  # a minute before the hour
    grants = [give(world, home) for _ in range(12)]
    hours = set()
    for grant in grants:
        row = home.look(partial(home.flows.spreading.waiting, grant=grant.id))
        at = world.now if row is None else row.due_ms // 1_000
        hours.add(at // HOUR)
        assert grant.iat == at - at % HOUR
        assert list(grant.seen) == [home.look(partial(head_before, time=at - at % HOUR - HOUR))]
    assert len(hours) == 2
    pass_window(world)
    assert all(home.status(grant.id) for grant in grants)
    heads = {grant.seen for grant in grants if grant.iat == grants[0].iat}
    assert len(heads) == 1, "whether it waited or not"


@pytest.mark.parametrize("by_slip", [False, True])
def test_a_grant_that_is_withdrawn_while_it_waits_is_never_published(*, by_slip: bool) -> None:
    world, home = town()
    give(world, home)
    grant = give(world, home)
    slip = home.look(lambda turn: home.flows.wallets.get(turn.vault, "anna").wallet.slip(grant))
    if by_slip:
        assert home.look(lambda turn: home.flows.acts.find_by_slip(turn, slip)).id == grant.id
    size = home.core.replica.size(home.device.kid)
    assert home.act(lambda turn: home.flows.acts.end(turn, grant, slip if by_slip else "anna")) is None
    world.pump()
    assert home.core.replica.size(home.device.kid) == size
    pass_window(world)
    assert waiting(home) == []
    assert all(side.entry(grant.id) is None for side in world.sides)

    def left(turn: Turn) -> list[bool]:
        vault = turn.vault
        listed = home.flows.wallets.consents(vault, "anna")
        notice = home.flows.consents.notice(vault, grant.payload["notice"]["sha256"])
        held = home.flows.consents.holds(vault, grant.id)
        return [any(own.grant_id == grant.id for own in listed), held, notice is not None]

    assert home.look(left) == [False, False, False]


def test_a_grant_that_was_withdrawn_elsewhere_while_it_waits_is_never_published_nor_told() -> None:
    world, home = town()
    give(world, home)
    grant, other = give(world, home), world.recipient
    slip = home.look(lambda turn: home.flows.wallets.get(turn.vault, "anna").wallet.slip(grant))
    other.act(lambda turn: other.flows.acts.withdraw(turn, grant, slip))  # her wallet's file has the grant
    world.pump()
    pass_window(world)
    assert waiting(home) == []
    for side in world.sides:
        assert (side.entry(grant.id), holds(side, grant)) == (None, False)
        status = side.status(grant.id)
        assert status is not None
        assert status.state is State.WITHDRAWN


def test_nobody_else_takes_back_what_waits() -> None:
    world, home = town()
    give(world, home, "bert")
    give(world, home)
    grant = give(world, home)
    with pytest.raises(LocalError, match="does not withdraw"):
        home.act(lambda turn: home.flows.acts.end(turn, grant, "bert"))
    assert waiting(home) == [grant.id]


def test_a_wallet_that_its_person_takes_away_still_publishes_and_takes_back() -> None:
    world, home = town()
    give(world, home)
    kept, dropped = give(world, home), give(world, home)
    slip = home.look(lambda turn: home.flows.wallets.get(turn.vault, "anna").wallet.slip(dropped))
    home.act(lambda turn: home.flows.wallets.take_away(turn.vault, "anna"))
    home.act(lambda turn: home.flows.acts.end(turn, dropped, slip))
    pass_window(world)
    assert home.status(kept.id) is not None
    assert home.status(dropped.id) is None
    listed = home.look(lambda turn: home.flows.wallets.consents(turn.vault, "anna"))
    assert dropped.id not in {own.grant_id for own in listed}


def test_withdrawals_and_refusals_never_wait_and_a_grant_waits_after_them() -> None:
    world, home = town()
    first = give(world, home)
    give(world, home)
    assert home.act(lambda turn: home.flows.acts.end(turn, first, "anna")) is not None
    world.pump()
    status = world.recipient.status(first.id)
    assert status is not None
    assert status.state is State.WITHDRAWN
    pass_window(world, 2 * WINDOW)
    offer = Offer(world.holder.party, world.recipient.party, terms(SHORT), world.now + 300 * DAY)
    asker = world.recipient
    request = asker.act(
        lambda turn: asker.flows.acts.request(
            turn,
            offer,
            asker.flows.acts.notice(turn, offer, ("holder", "recipient")),
            voice=Voice(asker.party),
            to=home.party,
        )
    )
    world.pump()
    home.act(lambda turn: home.flows.acts.refuse(turn, "anna", home.flows.acts.open_request(turn, request.id)))
    grant = give(world, home)
    assert waiting(home) == [grant.id], "it would stand beside her refusal"


@pytest.mark.parametrize("act", ["amend", "rekey", "slip"])
def test_a_grant_waits_after_whatever_else_the_wallet_said(act: str) -> None:
    world, home = town()
    first = give(world, home)
    pass_window(world)
    slip = home.look(lambda turn: home.flows.wallets.get(turn.vault, "anna").wallet.slip(first))

    def say(turn: Turn) -> None:
        match act:
            case "amend":
                home.flows.life.amend(turn, first, lambda terms: terms, first.payload["valid_until"] - DAY)
            case "rekey":
                home.flows.acts.create_wallet(turn, "heir")
                home.flows.life.rekey(turn, first, "heir", None)
            case _:
                home.flows.acts.end(turn, first, slip)

    home.act(say)
    grant = give(world, home)
    assert waiting(home) == [grant.id], "it would stand beside it"


def test_what_waits_survives_a_crash_and_is_published_once() -> None:
    world, home = town()
    give(world, home)
    grants = [give(world, home) for _ in range(3)]
    world.restart(home)
    assert set(waiting(home)) == {grant.id for grant in grants}
    rows = home.look(home.flows.spreading.all_waiting)
    world.now = min(row.due_ms for row in rows) // 1_000 + 1
    half_written(world, home, home.flows.spreading.look)  # the vault says that it is out; the ledger lost it
    assert len(waiting(home)) == 3
    pass_window(world)
    for side in world.sides:
        assert all(side.status(grant.id) is not None for grant in grants)
    own = [leaf for grant in grants for leaf in places(home, [grant])]
    assert len(own) == len(set(own)) == 3
    assert home.look(home.flows.spreading.all_waiting) == []


def test_what_fell_due_while_the_node_was_down_does_not_come_out_side_by_side() -> None:
    world, home = town()
    give(world, home)
    grants = [give(world, home) for _ in range(4)]
    world.leave(home)
    world.now += DAY
    home.timers.clear()
    world.restart(home)
    world.come_back(home)
    world.pass_time(2)
    assert len(waiting(home)) == 3, "one goes at once"
    pass_window(world)
    assert waiting(home) == []
    assert all(world.holder.status(grant.id) is not None for grant in grants)


def test_a_clock_that_is_set_back_publishes_nothing_twice_and_loses_nothing() -> None:
    world, home = town()
    give(world, home)
    grant = give(world, home)
    row = home.look(lambda turn: home.flows.spreading.waiting(turn, grant.id))
    assert row is not None
    world.now -= HOUR
    assert home.look(lambda turn: home.flows.spreading.due(turn, "anna")) is not None
    home.act(home.flows.spreading.look)
    assert waiting(home) == [grant.id]
    world.now = row.due_ms // 1_000 + 1
    home.act(home.flows.spreading.look)
    world.pump()
    assert world.holder.status(grant.id) is not None


def test_no_more_wait_than_the_limit_and_a_refusal_changes_nothing() -> None:
    world, home = town()
    for _ in range(1 + WAITING_MAX):
        give(world, home)
    assert len(waiting(home)) == WAITING_MAX
    with pytest.raises(LocalError, match="try again after") as caught:
        give(world, home)
    assert caught.value.code == "TOO_MANY_WAIT"
    assert len(waiting(home)) == WAITING_MAX
    assert home.entry(give(world, home, "bert").id) is not None


def test_an_answer_is_published_before_its_request_expires() -> None:
    world, home = town()
    give(world, home)
    for _ in range(20):
        due = home.act(lambda turn: home.flows.spreading.due(turn, "anna", world.now + 5))
        assert due is not None
        assert world.now * 1_000 <= due < (world.now + 5) * 1_000


def test_a_grant_whose_content_was_erased_while_it_waited_is_not_published() -> None:
    world, home = town()
    give(world, home)
    grant = give(world, home)
    home.act(lambda turn: home.flows.disclosing.erase(turn, grant))
    pass_window(world)
    assert home.entry(grant.id) is None
    assert waiting(home) == []


def test_what_comes_back_from_a_backup_is_not_published() -> None:
    world, home = town()
    give(world, home)
    grant = give(world, home)
    world.leave(home)
    home.device = SigningKey.from_seed(b"d" * 32)  # as `device recover` certifies after a restore
    home.load()
    world.now += DAY
    home.act(home.flows.spreading.look)
    assert (waiting(home), home.entry(grant.id)) == ([], None)
    assert "GRANT_NOT_PUBLISHED" in home.codes()


def passed_on(world: World, parent: Entry) -> Entry:
    """Have Anna pass on what came under her consent, from her wallet at the holder."""
    home, third = world.holder, world.sides[2]
    to = (Actor("Third", "recipient", "dpo@third.example", third.party),)
    content = terms(SHORT, recipients=to, controllers=(replace(to[0], role="controller"),))
    until, notice = world.now + 100 * DAY, Notice(b"n" * 32, world.now - DAY)

    def act(turn: Turn) -> Entry:
        return home.flows.passing.pass_on(turn, parent, content, third.party, notice, until=until, by=None)

    child = home.act(act)
    world.pump()
    return child


@pytest.mark.parametrize("ended", [False, True])
def test_what_a_person_passes_on_waits_too_and_not_beyond_the_end_of_what_it_rests_on(*, ended: bool) -> None:
    world, third = town()
    parent, _ = world.grant(terms(SHORT, onward_sharing=OnwardSharing("depth", 1)))
    child = passed_on(world, parent)
    assert waiting(world.holder) == [child.id]
    assert third.entry(child.id) is None
    assert not third.look(lambda turn: third.flows.consents.holds(turn.vault, parent.id))
    if ended:
        world.withdraw(parent)
    pass_window(world)
    assert waiting(world.holder) == []
    assert (third.status(child.id) is None) == ended
    assert third.look(lambda turn: third.flows.consents.holds(turn.vault, parent.id)) == (not ended)
