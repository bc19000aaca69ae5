"""What people do with consents, delegations and groups, as it acts on the flow between two live nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.acts import make_group_refusal
from ledger.consent.bounds import Bounds
from ledger.consent.wallet import Rests
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.index import facts_of, resting_on
from ledger.schema import DAY
from node.core import Turn
from node.flows.consenting import Offer
from node.flows.custody import shown
from node.flows.wire import Register
from node.vaults.wallets import HostedWallet, WalletRows
from tests.ledger.consent.cases import NOTICE
from tests.node.flows.world import NOW, SHORT, Side, World, terms

UNTIL = NOW + 300 * DAY
POINT, OTHER = SHORT.key.point, "prm:98765432109876"


class Scene:
    """Two nodes; the first keeps the wallets and holds the data."""

    def __init__(self, *wallets: str, nodes: int = 2) -> None:
        self.world = World(nodes)
        self.world.import_series(SHORT)
        for name in wallets:
            self.act(lambda turn, name=name: self.ada.flows.acts.create_wallet(turn, name))

    @property
    def ada(self) -> Side:
        return self.world.holder

    def act(self, act: Any) -> Any:
        """Act at the first node, and let all that follows happen."""
        done = self.ada.act(act)
        self.world.pump()
        return done

    def offer(self, **changes: Any) -> Offer:
        """Return what is offered to the second node."""
        return Offer(self.ada.party, self.world.recipient.party, terms(SHORT, **changes), UNTIL, NOTICE)

    def delegate(self, wallet: str, to: str, role: str, **bounds: Any) -> Entry:
        """Let one wallet's owner act for another's."""

        def act(turn: Turn) -> Entry:
            key = self.ada.flows.life.wallet(turn, to).delegate_key().public
            life = self.ada.flows.life
            return life.delegate(turn, wallet, key, role, Bounds(**bounds), to=[], valid_until=UNTIL)

        found: Entry = self.act(act)
        return found

    def flows(self, grant: bytes) -> str:
        """Have the recipient ask; return "" when all came, else why not."""
        transfer = self.world.ask(grant=grant)
        self.world.pump()
        row, waits = self.world.recipient.received(transfer), self.ada.sent(transfer)
        assert row is not None
        reason = row.reason or (waits.reason if waits is not None else "")
        assert reason or row.tally.count
        return reason


def test_an_amendment_reaches_both_gates() -> None:
    scene = Scene("anna")
    life = scene.ada.flows.life
    offer = scene.offer(points=(POINT, OTHER))
    grant = scene.act(lambda turn: scene.ada.flows.acts.grant(turn, "anna", offer, NOTICE))[0]
    assert scene.flows(grant.id) == ""
    scene.act(lambda turn: life.amend(turn, grant, lambda held: replace(held, points=(POINT,)), None))
    assert scene.flows(grant.id) == ""
    scene.act(lambda turn: life.amend(turn, grant, lambda held: replace(held, points=(OTHER,)), None))
    assert scene.flows(grant.id) == "OTHER_POINT"


def test_what_is_granted_under_a_delegation_flows_until_that_ends() -> None:
    scene = Scene("mother", "daughter")
    life = scene.ada.flows.life
    given = scene.delegate("mother", "daughter", "delegate", points=frozenset({POINT}))
    rests = Rests(delegation=given.id)
    grant = scene.act(lambda turn: life.grant(turn, "daughter", scene.offer(), NOTICE, rests))
    assert scene.flows(grant.id) == ""
    wider = scene.act(lambda turn: life.grant(turn, "daughter", scene.offer(points=(OTHER,)), NOTICE, rests))
    assert scene.flows(wider.id) == "DELEGATION_WIDER"
    scene.act(lambda turn: life.revoke(turn, given, None))
    assert scene.flows(grant.id) == "DELEGATION_REVOKED"


def test_nothing_is_granted_beyond_the_end_of_what_it_rests_on() -> None:
    scene = Scene("mother", "daughter")
    life = scene.ada.flows.life
    given = scene.delegate("mother", "daughter", "delegate", points=frozenset({POINT}))
    rests, longer = Rests(delegation=given.id), replace(scene.offer(), valid_until=UNTIL + DAY)
    size = scene.ada.core.replica.size(scene.ada.core.device.kid)
    with pytest.raises(LocalError, match="OUTLIVES"):
        scene.ada.act(lambda turn: life.grant(turn, "daughter", longer, NOTICE, rests))
    assert scene.ada.core.replica.size(scene.ada.core.device.kid) == size
    scene.world.pass_time(301 * DAY)
    with pytest.raises(LocalError, match="OUTLIVES"):
        scene.ada.act(lambda turn: life.grant(turn, "daughter", scene.offer(), NOTICE, rests))


@pytest.mark.covers("R67", "system:MIDATA.coop")
def test_a_call_that_passed_is_carried_out_for_all_but_who_refused() -> None:
    scene = Scene("loop", "anna", "ben")
    life = scene.ada.flows.life
    rules = {"decides": "persons", "majority_percent": 50, "quorum_percent": 100, "critical_mass": 2}
    scene.act(lambda turn: life.say(turn, "loop", "group.open", {"name": "The loop", **rules}))
    joined = [
        scene.delegate(name, "loop", "group", points=frozenset({point}))
        for name, point in (("anna", POINT), ("ben", OTHER))
    ]
    ids = [entry.id for entry in joined]
    scene.act(lambda turn: life.say(turn, "loop", "group.admit", {"delegations": ids}))
    call = scene.act(lambda turn: life.call(turn, "loop", scene.offer(), NOTICE, "Shall we?", 7, []))
    for name in ("anna", "ben"):
        scene.act(lambda turn, name=name: life.vote(turn, call, "yes", name))
    with pytest.raises(LocalError, match="CALL_NOT_PASSED"):
        scene.act(lambda turn: life.carry(turn, "loop", call, scene.ada.party))
    scene.act(lambda turn: life.refuse(turn, call, None, "ben"))
    scene.act(lambda turn: life.calls.drop(turn.vault, call.id))  # by command, then
    scene.world.pass_time(7 * DAY + 1)
    (grant,) = scene.act(lambda turn: life.carry(turn, "loop", call, scene.ada.party))
    assert scene.act(lambda turn: life.carry(turn, "loop", call, scene.ada.party)) == []
    assert scene.flows(grant.id) == ""
    scene.act(lambda turn: life.refuse(turn, call, None, "anna"))
    assert scene.flows(grant.id) == "CALL_REFUSED"


def test_a_wallet_is_carried_to_another_node_by_its_seed() -> None:
    scene = Scene("anna")
    grant = scene.act(lambda turn: scene.ada.flows.acts.grant(turn, "anna", scene.offer(), NOTICE))[0]
    seed = scene.ada.look(lambda turn: scene.ada.flows.life.wallet(turn, "anna").seed)
    bob = scene.world.recipient
    taken = bob.act(lambda turn: bob.flows.life.import_wallet(turn, "hers", seed))
    assert [own.grant_id for own in taken.wallet.consents] == [grant.id]
    bob.act(lambda turn: bob.flows.acts.withdraw(turn, grant, "hers"))
    scene.world.pump()
    assert scene.flows(grant.id) == "WITHDRAWN"


def test_content_that_comes_after_its_wallet_was_brought_here_is_listed_as_hers() -> None:
    scene = Scene("anna")
    bob = scene.world.recipient
    grant = scene.ada.act(lambda turn: scene.ada.flows.acts.grant(turn, "anna", scene.offer(), NOTICE))[0]
    while lost := scene.world.data_messages():
        scene.world.lose(*lost[0])
    scene.world.pump()
    seed = scene.ada.look(lambda turn: scene.ada.flows.life.wallet(turn, "anna").seed)
    bob.act(lambda turn: bob.flows.life.import_wallet(turn, "hers", seed))
    assert bob.look(lambda turn: bob.flows.consents.get(turn.vault, grant.id)) is None
    scene.world.disconnect(bob)  # what was not taken is sent again when he is back
    scene.world.connect(bob)
    scene.world.pump()
    row = bob.look(lambda turn: bob.flows.consents.get(turn.vault, grant.id))
    assert row is not None
    assert row.wallet == "hers"
    assert bob.act(lambda turn: bob.flows.wallets.came(turn.vault, grant.id)) == ""  # it is expected no more


def test_a_node_that_keeps_many_wallets_does_not_try_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene("anna", "ben", "zoe")
    bob = scene.world.recipient
    bob.act(lambda turn: bob.flows.acts.create_wallet(turn, "cleo"))

    def listing(_rows: object, _vault: object) -> list[HostedWallet]:
        raise AssertionError("every wallet was read")

    monkeypatch.setattr(WalletRows, "listing", listing)
    grant = scene.act(lambda turn: scene.ada.flows.acts.grant(turn, "zoe", scene.offer(), NOTICE))[0]
    row = bob.look(lambda turn: bob.flows.consents.get(turn.vault, grant.id))
    assert row is not None
    assert row.wallet == ""
    name = scene.ada.look(lambda turn: scene.ada.flows.acts.wallet_of(turn, grant))
    scene.act(lambda turn: scene.ada.flows.acts.withdraw(turn, grant, name))
    assert scene.flows(grant.id) == "WITHDRAWN"


def test_who_delegated_ends_what_was_given_in_her_name() -> None:
    scene = Scene("mother", "daughter")
    life, acts = scene.ada.flows.life, scene.ada.flows.acts
    given = scene.delegate("mother", "daughter", "delegate", points=frozenset({POINT}))
    grant = scene.act(lambda turn: life.grant(turn, "daughter", scene.offer(), NOTICE, Rests(delegation=given.id)))
    scene.act(lambda turn: acts.withdraw(turn, grant, "mother"))
    assert scene.flows(grant.id) == "WITHDRAWN"
    status = scene.world.recipient.status(grant.id)
    assert status is not None
    assert status.state.name == "WITHDRAWN"


def group_of(scene: Scene, *members: tuple[str, str]) -> Entry:
    """Return a call of a group that these wallets joined for these points; all of them vote yes."""
    life = scene.ada.flows.life
    rules: dict[str, Any] = {"decides": "persons", "majority_percent": 50, "quorum_percent": 50, "critical_mass": 1}
    scene.act(lambda turn: life.say(turn, "loop", "group.open", {"name": "The loop", **rules}))
    joined = [scene.delegate(name, "loop", "group", points=frozenset({point})).id for name, point in members]
    scene.act(lambda turn: life.say(turn, "loop", "group.admit", {"delegations": joined}))
    call: Entry = scene.act(lambda turn: life.call(turn, "loop", scene.offer(), NOTICE, "Shall we?", 7, []))
    for name, _ in members:
        scene.act(lambda turn, name=name: life.vote(turn, call, "yes", name))
    return call


def carried(scene: Scene, call: Entry) -> list[Entry]:
    """Return the consents that rest on a call, as the recipient's ledger has them."""

    def look(turn: Turn) -> list[Entry]:
        replica = turn.core.replica
        facts = resting_on(turn.rows, call.id, replica.by_number, replica.size)
        found = [replica.entry(turn.rows, fact.row.entry_id) for fact in facts]
        return [entry for entry in found if entry is not None and entry.kind == "consent.grant"]

    return scene.world.recipient.look(look)


def test_a_call_that_passed_is_carried_out_by_itself_once_even_after_a_restart() -> None:
    scene = Scene("loop", "anna", "ben")
    call = group_of(scene, ("anna", POINT), ("ben", OTHER))
    scene.act(lambda turn: scene.ada.flows.life.refuse(turn, call, None, "ben"))
    scene.world.pass_time(6 * DAY)
    assert carried(scene, call) == []
    scene.world.restart(scene.ada)
    scene.world.pass_time(DAY + 2)
    (grant,) = carried(scene, call)
    assert scene.flows(grant.id) == ""
    scene.world.pass_time(7_200)
    assert carried(scene, call) == [grant]
    assert "CALL_CARRIED" in scene.ada.codes()


def test_a_call_that_failed_is_not_carried_out_and_given_up() -> None:
    scene = Scene("loop", "anna", "ben", "zoe")
    life = scene.ada.flows.life
    call = group_of(scene, ("anna", POINT))
    other: Entry = scene.act(lambda turn: life.call(turn, "loop", scene.offer(), NOTICE, "And this?", 7, []))
    scene.act(lambda turn: life.vote(turn, other, "no", "anna"))
    scene.world.pass_time(7 * DAY + 1)
    assert len(carried(scene, call)) == 1
    assert carried(scene, other) == []
    scene.world.pass_time(31 * DAY)
    assert scene.ada.look(lambda turn: list(life.calls.listing(turn.vault))) == []


def test_a_refusal_in_a_group_is_registered_by_others_too_and_only_by_who_joined() -> None:
    scene = Scene("loop", "anna", "ben", "eve", nodes=4)
    call = group_of(scene, ("anna", POINT), ("ben", OTHER))
    refusals = [scene.act(lambda turn, n=n: scene.ada.flows.life.refuse(turn, call, None, n)) for n in ("anna", "ben")]
    feeds = scene.ada.look(lambda turn: [_feeds_of(turn, call, refusal.id) for refusal in refusals])
    assert [len(places) for places in feeds] == [3, 3]  # ours, and two others
    bob = scene.world.recipient
    stranger = scene.ada.look(lambda turn: scene.ada.flows.life.wallet(turn, "eve")).delegate_key()
    forged = make_group_refusal(stranger, call, scene.ada.act(shown))
    scene.ada.say(bob, Register(forged.raw))
    scene.world.pump()
    assert bob.entry(forged.id) is None
    assert "DATA_REFUSED" in bob.codes()


def _feeds_of(turn: Turn, call: Entry, refusal: bytes) -> set[bytes]:
    replica = turn.core.replica
    facts = facts_of(turn.rows, call.id, replica.by_number, replica.size)
    return {feed for fact in facts if fact.row.entry_id == refusal for feed, _ in fact.places}
