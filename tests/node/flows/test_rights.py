"""Rights between nodes: asked under a consent, sealed to whom it concerns, answered by that party alone, and met."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ledger import codec
from ledger.consent.disclosure import seal_bytes
from ledger.consent.rights import Correction, Details, answer_payload, request_payload
from ledger.consent.status import State
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, RemoteError
from ledger.governance.members import Party, link_id
from ledger.schema import DAY
from node.core import Turn
from node.flows.consenting import Offer
from node.flows.rights import REQUEST, Asked
from node.flows.wire import Disclose, encode
from node.tenants import Voice
from tests.node.flows.test_disclosing import with_another_device
from tests.node.flows.test_erasing import erase
from tests.node.flows.test_tenants import PARTY, TENANT, host
from tests.node.flows.test_tenants import grant as grant_to_tenant
from tests.node.flows.world import LONG, SHORT, Side, World, terms

WRONG = (Correction(SHORT.key.point, SHORT.starts[0], "1.5"),)


def ask(
    world: World, grant: Entry, right: str = "access", to: Party | None = None, fixes: Sequence[Correction] = ()
) -> Entry:
    """Have anna, whose wallet is at the holder, ask the recipient (or `to`)."""
    side, party = world.holder, to or world.recipient.party
    entry = side.act(lambda turn: side.flows.rights.ask(turn, "anna", grant, right, party, "I ask.", fixes))
    world.pump()
    return entry


def answer(world: World, side: Side, request: Entry, outcome: str, text: str = "") -> Entry:
    """Have a side answer for itself."""
    made = side.act(lambda turn: side.flows.rights.answer(turn, request.id, Voice(side.party), outcome, text))
    world.pump()
    return made


def seen(side: Side, request: Entry) -> Asked:
    """Return a request as a side knows it."""
    return side.look(lambda turn: side.flows.rights.find(turn, request.id))


def unknown(side: Side, request: Entry) -> bool:
    """Say whether a side knows nothing of what a request says."""
    return request.id not in [one.entry.id for one in side.look(side.flows.rights.listing)]


def test_a_request_reaches_its_party_and_nobody_else_and_the_answer_comes_back() -> None:
    world = World(3)
    grant, _ = world.grant(terms(SHORT))
    request = ask(world, grant, "rectification", fixes=WRONG)
    there = seen(world.recipient, request)
    assert (there.row.details.text, there.row.details.corrections, there.row.wallet) == ("I ask.", WRONG, "")
    assert (there.standing.state, there.standing.late) == ("open", False)
    assert unknown(world.sides[2], request)
    assert b"I ask." not in request.raw
    assert SHORT.key.point.encode() not in request.raw
    answer(world, world.recipient, request, "done", "Mended.")
    here = seen(world.holder, request)
    assert here.standing.state == "done"
    assert here.answer is not None
    assert here.answer.details.text == "Mended."
    with pytest.raises(LocalError) as again:
        answer(world, world.recipient, request, "refused", "No.")
    assert again.value.code == "ANSWERED"


def test_only_the_party_that_was_asked_answers() -> None:
    world = World(3)
    grant, _ = world.grant(terms(SHORT))
    request = ask(world, grant)
    third = world.sides[2]
    with pytest.raises(LocalError) as refused:
        answer(world, world.holder, request, "done")
    assert refused.value.code == "NOT_A_PARTY"
    forged = {"request": request.id, "outcome": "done", "slots": bytes(32)}
    third.act(lambda turn: turn.state("rights.answer", request.thing, forged))
    world.pump()
    assert seen(world.holder, request).standing.state == "open"
    with pytest.raises(LocalError) as stranger:
        world.holder.act(lambda turn: world.holder.flows.rights.ask(turn, "anna", grant, "access", third.party, "", ()))
    assert stranger.value.code == "NOT_A_PARTY"


def test_who_is_not_the_person_asks_in_vain() -> None:
    world = World(3)
    grant, _ = world.grant(terms(SHORT))
    third = world.sides[2]

    def forge(turn: Turn) -> None:
        details = Details.make("Give me all.", (), turn.core.random_bytes)
        payload = request_payload(grant.id, "access", world.recipient.party, details)
        entry = turn.state("rights.request", ("rights", bytes(16)), payload)
        key = turn.core.replica.members.devices[world.recipient.device.kid].public
        plain = codec.encode([details.salt, details.value()])
        turn.send(
            world.recipient.device.kid,
            encode(Disclose(entry.raw, seal_bytes(plain, entry, [key], turn.core.random_bytes))),
        )

    third.act(forge)
    world.pump()
    assert world.recipient.look(world.recipient.flows.rights.listing) == []
    assert "NOT_A_PARTY" in [note.fields.get("code") for note in world.recipient.notes]


def test_details_that_are_not_the_entrys_are_not_kept() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    side = world.holder

    def forge(turn: Turn) -> None:
        request = side.flows.rights.ask(turn, "anna", grant, "access", side.party, "to myself", ())
        details = Details.make("something else", (), turn.core.random_bytes)
        key = turn.core.replica.members.devices[world.recipient.device.kid].public
        plain = codec.encode([details.salt, details.value()])
        blob = seal_bytes(plain, request, [key], turn.core.random_bytes)
        turn.send(world.recipient.device.kid, encode(Disclose(request.raw, blob)))

    side.act(forge)
    world.pump()
    assert world.recipient.look(world.recipient.flows.rights.listing) == []


@pytest.mark.covers("R73")
def test_an_objection_that_is_met_ends_the_consent() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    request = ask(world, grant, "objection")
    answer(world, world.recipient, request, "done")
    status = world.holder.status(grant.id)
    assert status is not None
    assert status.state is State.REVOKED
    _, decision = world.send(grant=grant.id)
    assert not decision.allowed


def test_erasure_is_not_done_while_the_data_are_there() -> None:
    world = World()
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    world.send(grant=grant.id)
    world.pump()
    request = ask(world, grant, "erasure")
    with pytest.raises(LocalError) as refused:
        answer(world, world.recipient, request, "done")
    assert refused.value.code == "NOT_DONE"
    assert seen(world.recipient, request).standing.state == "open", "a refusal changes nothing"
    erase(world.recipient, grant)
    answer(world, world.recipient, request, "done")
    assert seen(world.holder, request).standing.state == "done"


@pytest.mark.covers("R94")
def test_rectification_goes_to_everyone_who_may_hold_a_copy() -> None:
    world = World(3)
    first, _ = world.grant(terms(SHORT))
    third = world.sides[2]
    side = world.holder

    def second(turn: Turn) -> Entry:
        offer = Offer(world.holder.party, third.party, terms(SHORT, purpose="Research"), world.now + 300 * DAY)
        return side.flows.acts.grant(turn, "anna", offer, side.flows.acts.notice(turn, offer, ("a", "b")))[0]

    other = side.act(second)
    world.pump()
    targets = side.look(lambda turn: side.flows.rights.everywhere(turn, "anna", first))
    assert {party for _, party in targets} == {one.party for one in world.sides}
    by_party = {party: grant for grant, party in targets}
    assert by_party[third.party].id == other.id
    assert by_party[world.recipient.party].id == first.id
    requests = [ask(world, grant, "rectification", party, WRONG) for grant, party in targets]
    assert len({request.signer for request in requests}) == 2, "each is signed by the key of its own consent"
    assert seen(third, requests[[party for _, party in targets].index(third.party)]).row.details.corrections == WRONG


@pytest.mark.covers("R73")
def test_who_does_not_answer_is_late() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    request = ask(world, grant)
    for side in (world.holder, world.recipient):
        assert not seen(side, request).standing.late
    world.pass_time(32 * DAY)
    for side in (world.holder, world.recipient):
        assert seen(side, request).standing.late


def test_a_party_that_is_away_is_told_when_it_comes() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    world.leave(world.recipient)
    request = ask(world, grant)
    world.come_back(world.recipient)
    world.pump()
    assert seen(world.recipient, request).row.details.text == "I ask."


def test_one_persons_requests_are_found_without_reading_anybody_elses() -> None:
    world = World()
    side = world.holder
    grant, _ = world.grant(terms(SHORT))
    hers = ask(world, grant)
    side.act(lambda turn: side.flows.letters.rows.put(turn.vault, b"o" * 32, "rights.request", [], "ben"))
    side.act(lambda turn: turn.vault.put("receipts", b"b" + b"p" * 32, b"broken"))  # reading it would fail
    found = side.look(lambda turn: side.flows.rights.listing(turn, "anna"))
    assert [one.entry.id for one in found] == [hers.id]
    assert side.look(lambda turn: side.flows.rights.listing(turn, "nobody")) == []
    side.act(lambda turn: side.flows.letters.rows.erase(turn.vault, hers.id))
    assert side.look(lambda turn: side.flows.rights.listing(turn, "anna")) == []
    with pytest.raises(RemoteError):
        side.look(side.flows.rights.listing)


def test_a_backdated_request_makes_nobody_late() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    side, to, began = world.holder, world.recipient.party, world.now
    head = side.look(lambda turn: turn.shown_head())
    world.pass_time(60 * DAY)

    def forge(turn: Turn) -> Entry:
        key = side.flows.wallets.get(turn.vault, "anna").wallet.consent_key(grant.thing[1])
        details = Details.make("I ask.", (), turn.core.random_bytes)
        said, cti, mesh_id = request_payload(grant.id, "access", to, details), bytes(16), turn.core.replica.mesh_id
        turn.state("consent.acknowledge", grant.thing, {"grant": grant.id, "entry": grant.id})  # the feed is of today
        thing = ("rights", bytes(16))
        entry = sign_entry(key, REQUEST, thing, said, iat=began, cti=cti, seen=[head], mesh_id=mesh_id)
        turn.register(entry)
        side.flows.letters.keep(turn, entry, [details.salt, details.value()], [to], wallet="anna")
        return entry

    request = side.act(forge)
    world.pump()
    for one in world.sides:
        known = seen(one, request)
        assert (known.asked, known.standing.late) == (world.now, False)


def test_a_backdated_answer_of_a_service_is_late() -> None:
    world = World(3)
    host(world, world.recipient, 1)
    grant, _ = grant_to_tenant(world, world.holder)
    request = ask(world, grant, to=PARTY)
    dated, head = world.now, world.recipient.look(lambda turn: turn.shown_head())
    world.pass_time(60 * DAY)

    def forge(turn: Turn) -> None:
        details = Details.make("Done long ago.", (), turn.core.random_bytes)
        said, mesh_id = answer_payload(request.id, "done", details), turn.core.replica.mesh_id
        turn.state("consent.acknowledge", grant.thing, {"grant": grant.id, "entry": grant.id})
        turn.register(
            sign_entry(
                TENANT, "rights.answer", request.thing, said, iat=dated, cti=bytes(16), seen=[head], mesh_id=mesh_id
            )
        )

    world.recipient.act(forge)
    world.pump()
    standing = seen(world.holder, request).standing
    assert (standing.state, standing.late) == ("done", True)


@pytest.mark.parametrize("linked", [True, False])
def test_a_letter_reaches_the_device_that_took_the_place_of_the_one_it_was_sealed_for(linked: bool) -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    holder, asked = world.holder, world.recipient
    if not linked:
        ends = {"from": list(holder.party), "to": list(asked.party)}
        thing = ("link", link_id(holder.party, asked.party))
        holder.act(lambda turn: turn.state("link.sever", thing, ends))
        world.pump()
    world.leave(asked)
    request = ask(world, grant)
    sealed = holder.look(lambda turn: holder.flows.deliveries.blobs(turn.vault, asked.device.kid, 9))
    with_another_device(world, asked)
    assert seen(asked, request).row.details.text == "I ask."
    assert holder.look(lambda turn: list(turn.vault.scan("outgoing", b"d", b"e"))) == [], "sealed anew, once"
    assert [ident for ident, _ in sealed] == [request.id]
    answer(world, asked, request, "done", "Here.")
    told = seen(holder, request).answer
    assert told is not None
    assert told.details.text == "Here."
