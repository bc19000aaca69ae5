"""Content of consents reaches its readers and nobody else; withdrawals reach more feeds than one."""

from __future__ import annotations

import pytest

from ledger.consent.disclosure import seal
from ledger.consent.grant import Notice
from ledger.consent.reasons import Reason
from ledger.consent.slip import parse_slip
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.governance.members import link_id
from ledger.keys import SigningKey
from ledger.schema import DAY
from node.core import Turn
from node.flows import wire
from node.flows.consenting import Formalities, Offer
from node.flows.registering import SPREAD_TO
from node.mesh import certify
from node.tenants import Voice
from node.vaults.consents import REQUEST
from tests.node.flows.world import LONG, NOW, SHORT, Side, World, terms

NEXT = SigningKey.from_seed(b"n" * 32)


def holds(side: Side, entry: Entry) -> bool:
    """Say whether a side has the content of an entry."""
    return side.look(lambda turn: side.flows.consents.holds(turn.vault, entry.id))


def feeds_with(world: World, entry: Entry) -> int:
    """Return in how many feeds an entry is registered, as the holder sees it."""
    return len(world.holder.look(lambda turn: world.holder.core.replica.places(turn.rows, entry.id)))


@pytest.mark.covers("R115", "R159")
def test_holder_and_recipient_get_the_content_and_nobody_else() -> None:
    world = World(4)
    host = world.sides[3]
    grant, _ = world.grant(terms(SHORT), at=host)
    assert [holds(side, grant) for side in world.sides] == [True, True, False, True]
    opened = world.recipient.look(lambda turn: world.recipient.flows.consents.get(turn.vault, grant.id))
    assert opened is not None
    assert opened.disclosures.terms() == terms(SHORT)
    assert host.look(lambda turn: list(turn.vault.scan("outgoing", b"d", b"e"))) == []


def test_a_channel_is_wanted_along_links_and_to_whoever_content_waits_for() -> None:
    world = World(4)
    holder, recipient, other, host = world.sides
    assert host.look(host.flows.partners) == {side.device.kid for side in (holder, recipient, other)}
    for side in (holder, recipient):
        ends = {"from": list(host.party), "to": list(side.party)}
        thing = ("link", link_id(host.party, side.party))
        host.act(lambda turn, thing=thing, ends=ends: turn.state("link.sever", thing, ends))  # type: ignore[misc]
    world.pump()
    assert host.look(host.flows.partners) == {other.device.kid}
    world.leave(recipient)
    world.grant(terms(SHORT), at=host)
    assert host.look(host.flows.partners) == {other.device.kid, recipient.device.kid}
    world.come_back(recipient)
    world.pump()
    assert host.look(host.flows.partners) == {other.device.kid}


def test_a_reader_that_is_away_gets_the_content_when_it_comes() -> None:
    world = World()
    world.leave(world.recipient)
    grant, _ = world.grant(terms(SHORT))
    world.restart(world.holder)
    assert not holds(world.recipient, grant)
    world.come_back(world.recipient)
    for _ in range(3):
        world.pass_time(15)
    assert holds(world.recipient, grant)
    assert world.holder.look(lambda turn: list(turn.vault.scan("outgoing", b"d", b"e"))) == []


def with_another_device(world: World, side: Side) -> None:
    """Have a side that is away come back with a device in the place of its own, which is lost."""
    old = side.device

    def succeed(turn: Turn) -> None:
        replica, draw = turn.core.replica, turn.core.random_bytes
        turn.register(certify(side.root, NEXT, replica, turn.rows, 1, turn.now, draw, old.kid))

    world.holder.act(succeed)  # another member registers the new one
    assert NEXT.kid in world.holder.look(world.holder.flows.partners), "a channel to it is wanted"
    side.device = NEXT
    side.load()
    side.act(lambda turn: turn.start())
    world.come_back(side)
    for _ in range(4):
        world.pass_time(15)


def test_a_reader_that_comes_with_another_device_gets_the_content_too() -> None:
    world = World()
    world.import_series(SHORT)
    side = world.recipient
    world.leave(side)
    grant, _ = world.grant(terms(SHORT))
    with_another_device(world, side)
    assert holds(side, grant)
    assert world.holder.look(lambda turn: list(turn.vault.scan("outgoing", b"d", b"e"))) == []
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    assert side.packs(transfer)


def test_content_that_comes_before_its_entry_waits_for_it() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT), pump=False)
    for way, index in reversed(world.data_messages()):
        world.step(way, index)
    assert not holds(world.recipient, grant)
    world.pump()
    assert holds(world.recipient, grant)


def test_false_content_is_refused_whole() -> None:
    world = World(3)
    host = world.sides[2]
    world.leave(world.recipient)
    grant, _ = world.grant(terms(SHORT), at=host)
    blobs = host.look(lambda turn: list(turn.vault.scan("outgoing", b"d" + world.recipient.device.kid)))
    ((_, blob), *_) = blobs
    host.act(lambda turn: turn.vault.delete("outgoing", b"d" + world.recipient.device.kid + grant.id))
    world.come_back(world.recipient)
    world.pump()
    host.say(world.recipient, wire.Disclose(grant.raw, blob[:-1] + bytes([blob[-1] ^ 1])))
    world.pump()
    assert not holds(world.recipient, grant)
    assert "DATA_REFUSED" in world.recipient.codes()
    host.say(world.recipient, wire.Disclose(grant.raw, blob))
    world.pump()
    assert holds(world.recipient, grant)


def test_a_node_that_is_no_party_keeps_nothing_it_is_sent() -> None:
    world = World(3)
    third = world.sides[2]
    grant, _ = world.grant(terms(SHORT))
    row = world.holder.look(lambda turn: world.holder.flows.consents.get(turn.vault, grant.id))
    assert row is not None
    blob = seal(row.disclosures, grant, [third.device.public], world.holder.random.randbytes)
    world.holder.say(third, wire.Disclose(grant.raw, blob))
    world.pump()
    assert not holds(third, grant)


def test_each_party_acknowledges_once() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    withdrawal = world.withdraw(grant)
    world.pump()
    world.restart(world.recipient)
    world.pump()
    for side in world.sides:
        assert acknowledged(side, grant) == {grant.id: 2, withdrawal.id: 2}


def acknowledged(side: Side, grant: Entry) -> dict[bytes, int]:
    """Return how many acknowledgements a side's ledger holds, by what they acknowledge."""
    from ledger.index import facts_of

    def look(turn: Turn) -> dict[bytes, int]:
        replica = turn.core.replica
        feeds = [replica.feed_of(number) for number in range(len(replica.feeds))]
        found: dict[bytes, int] = {}
        for fact in facts_of(turn.rows, grant.id, feeds, replica.size):
            if fact.row.kind == "consent.acknowledge":
                found[fact.row.about] = found.get(fact.row.about, 0) + 1
        return found

    return side.look(look)


def test_a_withdrawal_is_registered_by_others_too() -> None:
    world = World(5)
    grant, slip = world.grant(terms(SHORT))
    withdrawal = world.withdraw(grant, parse_slip(slip.code()), at=world.sides[4])
    world.pump()
    assert feeds_with(world, withdrawal) == 1 + SPREAD_TO
    for side in world.sides:
        status = side.status(grant.id)
        assert status is not None
        assert status.state is State.WITHDRAWN
    assert world.sides[4].look(lambda turn: list(turn.vault.scan("outgoing", b"d", b"e"))) == []


def test_a_withdrawal_at_a_lonely_host_is_registered_by_others_when_they_come() -> None:
    world = World(4)
    grant, _ = world.grant(terms(SHORT))
    world.leave(world.holder)
    withdrawal = world.withdraw(grant)
    world.restart(world.holder)
    world.come_back(world.holder)
    for _ in range(3):
        world.pass_time(15)
    assert feeds_with(world, withdrawal) == 1 + SPREAD_TO


def test_a_withdrawal_asked_for_twice_is_registered_once() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    withdrawal = world.withdraw(grant)
    world.pump()
    before = feeds_with(world, withdrawal)
    world.holder.say(world.recipient, wire.Register(withdrawal.raw))
    again = world.withdraw(grant)
    world.holder.say(world.recipient, wire.Register(again.raw))
    world.pump()
    assert feeds_with(world, withdrawal) == before
    assert feeds_with(world, again) == 1


@pytest.mark.parametrize("kind", ["consent.grant", "consent.acknowledge"])
def test_nothing_that_permits_is_registered_for_others(kind: str) -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    entry: Entry = grant
    if kind != grant.kind:
        payload = {"grant": grant.id, "entry": grant.id}
        entry = world.holder.act(lambda turn: turn.state(kind, grant.thing, payload))
    before = feeds_with(world, entry)
    world.holder.say(world.recipient, wire.Register(entry.raw))
    world.pump()
    assert feeds_with(world, entry) == before
    assert "DATA_REFUSED" in world.recipient.codes()


def ask(world: World, days: int = 30) -> Entry:
    """Have the recipient ask for a consent, of a person whose wallet the holder keeps."""
    offer = Offer(world.holder.party, world.recipient.party, terms(SHORT), NOW + 90 * DAY)
    side = world.recipient

    def act(turn: Turn) -> Entry:
        notice = side.flows.acts.notice(turn, offer, ("holder", "recipient"))
        return side.flows.acts.request(turn, offer, notice, voice=Voice(side.party), days=days, to=world.holder.party)

    entry = side.act(act)
    world.pump()
    return entry


def test_a_request_is_answered_by_a_grant_that_may_only_be_narrower() -> None:
    world = World()
    world.import_series(SHORT)
    request = ask(world)
    side = world.holder
    row = side.look(lambda turn: side.flows.consents.get(turn.vault, request.id))
    assert row is not None
    assert row.kind == REQUEST
    side.act(lambda turn: side.flows.acts.create_wallet(turn, "anna"))

    def answer(turn: Turn, days: int) -> Entry:
        opened = side.flows.acts.open_request(turn, request.id)
        offer = Offer(side.party, world.recipient.party, opened.terms, NOW + days * DAY)
        return side.flows.acts.grant(turn, "anna", offer, Notice.read(opened.entry.payload["notice"]), opened)[0]

    with pytest.raises(LocalError) as caught:
        side.act(lambda turn: answer(turn, 91))
    assert caught.value.code == "GRANT_WIDER"
    grant = side.act(lambda turn: answer(turn, 60))
    assert grant.payload["request"] == request.id
    world.pump()
    _, decision = world.send(grant=grant.id)
    assert decision.reason is Reason.ALLOWED


def test_a_request_is_refused_without_a_reason() -> None:
    world = World(4)
    request = ask(world)
    side = world.holder
    side.act(lambda turn: side.flows.acts.create_wallet(turn, "anna"))
    refusal = side.act(
        lambda turn: side.flows.acts.refuse(turn, "anna", side.flows.acts.open_request(turn, request.id))
    )
    world.pump()
    assert "reason" not in refusal.payload
    assert feeds_with(world, refusal) == 1 + SPREAD_TO


def test_a_revocation_is_kept_apart_from_a_withdrawal() -> None:
    world = World(3)
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    acts = world.recipient.flows.acts
    world.recipient.act(lambda turn: acts.revoke(turn, grant, Voice(world.recipient.party), "purpose_ended"))
    world.pump()
    _, decision = world.send(grant=grant.id)
    assert decision.reason is Reason.REVOKED
    with pytest.raises(LocalError) as caught:
        world.sides[2].act(lambda turn: acts.revoke(turn, grant, Voice(world.sides[2].party), "error"))
    assert caught.value.code == "NOT_A_PARTY"


@pytest.mark.covers("R78")
def test_a_slip_finds_its_consent_at_any_member() -> None:
    world = World(3)
    grant, slip = world.grant(terms(SHORT))
    third = world.sides[2]
    found = third.look(lambda turn: third.flows.acts.find_by_slip(turn, parse_slip(slip.code().lower())))
    assert found.id == grant.id
    lonely = World(seed=9)
    with pytest.raises(LocalError) as caught:
        lonely.holder.look(lambda turn: lonely.holder.flows.acts.find_by_slip(turn, slip))
    assert caught.value.code == "NOT_FOUND"


def test_only_the_wallet_that_gave_it_withdraws_a_consent() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    world.holder.act(lambda turn: world.holder.flows.acts.create_wallet(turn, "bob"))
    with pytest.raises(LocalError) as caught:
        world.withdraw(grant, "bob")
    assert caught.value.code == "NOT_YOUR_CONSENT"
    assert world.holder.look(lambda turn: world.holder.flows.acts.wallet_of(turn, grant)) == "anna"
    with pytest.raises(LocalError) as caught:
        world.recipient.look(lambda turn: world.recipient.flows.acts.wallet_of(turn, grant))
    assert caught.value.code == "NOT_YOUR_CONSENT"


def test_erased_content_closes_the_gate() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    side = world.holder

    assert side.act(lambda turn: side.flows.disclosing.erase(turn, grant))
    assert not side.act(lambda turn: side.flows.disclosing.erase(turn, grant))
    _, decision = world.send(grant=grant.id)
    assert decision.reason is Reason.DISCLOSURE_MISSING
    assert side.look(lambda turn: list(turn.vault.scan("disclosures", b""))) == []


def test_names_of_consents_that_do_not_exist_hide_none_from_its_slip() -> None:
    world = World(3)
    grant, slip = world.grant(terms(SHORT))
    hostile = world.sides[2]

    def flood(turn: Turn) -> None:
        for number in range(300):
            fake = grant.id[:5] + number.to_bytes(27, "big")
            turn.state("consent.acknowledge", grant.thing, {"grant": fake, "entry": fake})

    hostile.act(flood)
    world.pump()
    side = world.recipient
    assert side.look(lambda turn: side.flows.acts.find_by_slip(turn, slip)).id == grant.id


def test_who_had_to_sign_leaves_alone() -> None:
    world = World(4)
    world.import_series(SHORT)
    side, third, stranger = world.holder, world.sides[2], world.sides[3]
    offer = Offer(side.party, world.recipient.party, terms(SHORT), NOW + 90 * DAY)

    def give(turn: Turn) -> Entry:
        acts = side.flows.acts
        acts.create_wallet(turn, "anna")
        formal = Formalities(required=(third.device.public,))
        return acts.grant(turn, "anna", offer, acts.notice(turn, offer, ("a", "b")), formal=formal)[0]

    grant = side.act(give)
    world.pump()
    assert world.send(grant=grant.id)[1].reason is Reason.INCOMPLETE
    third.act(lambda turn: third.flows.life.sign(turn, grant, ""))
    world.pump()
    assert world.send(grant=grant.id)[1].reason is Reason.ALLOWED

    def leave(one: Side) -> Entry:
        return one.act(lambda turn: one.flows.acts.revoke(turn, grant, Voice(one.party), "contract_ended"))

    with pytest.raises(LocalError, match="NOT_A_PARTY"):
        leave(stranger)
    leave(third)
    world.pump()
    assert world.send(grant=grant.id)[1].reason is Reason.REVOKED
