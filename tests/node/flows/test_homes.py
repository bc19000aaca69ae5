"""Homes: the feeds that a grant wants heard lately; she and they may move on without anybody being asked again."""

from __future__ import annotations

from ledger.consent.reasons import Reason
from ledger.entry import Entry
from ledger.governance.epoch import Policy
from ledger.keys import SigningKey
from node.core import Turn
from node.mesh import certify
from tests.node.flows.world import SHORT, Side, World, terms

BOUND = 60
NEW = SigningKey.from_seed(b"n" * 32)


def at_home() -> tuple[World, Side, Entry]:
    """Return a mesh in which the gate wants the fourth node heard; that node; the grant that says so."""
    world = World(5, policy=Policy(max_staleness_seconds=BOUND))
    world.import_series(SHORT)
    home = world.sides[3]
    grant, _ = world.grant(terms(SHORT, freshness=(home.device.kid,)))
    assert reason(world, grant) is Reason.ALLOWED
    return world, home, grant


def reason(world: World, grant: Entry) -> Reason:
    """Return what the holder's gate says."""
    return world.send(grant=grant.id)[1].reason


def test_she_names_another_home_when_hers_is_dead() -> None:
    world, home, grant = at_home()
    other, side = world.sides[4], world.holder
    world.leave(home)
    world.pass_time(BOUND + 1)
    assert reason(world, grant) is Reason.STALE
    side.act(lambda turn: side.flows.acts.create_wallet(turn, "anna's next"))
    side.act(lambda turn: side.flows.life.rekey(turn, grant, "anna's next", other.party))
    world.pump()
    assert reason(world, grant) is Reason.ALLOWED
    world.leave(other)
    world.pass_time(BOUND + 1)
    assert reason(world, grant) is Reason.STALE


def test_whoever_says_so_without_her_key_moves_no_home() -> None:
    world, home, grant = at_home()
    side = world.holder
    world.leave(home)
    world.pass_time(BOUND + 1)
    heir = {"grant": grant.id, "key": b"k" * 32, "withdraw_key": b"w" * 32, "host": list(side.party)}
    side.act(lambda turn: turn.state("consent.rekey", grant.thing, heir))
    world.pump()
    assert reason(world, grant) is Reason.STALE


def test_a_home_that_changes_its_device_stays_one_and_is_still_wanted() -> None:
    world, home, grant = at_home()
    old = home.device.kid

    def succeed(turn: Turn) -> None:
        replica, draw = turn.core.replica, turn.core.random_bytes
        turn.register(certify(home.root, NEW, replica, turn.rows, 1, turn.now, draw, old))

    home.act(succeed)
    world.pump()
    world.disconnect(home)
    home.device = NEW
    world.restart(home)
    world.pump()
    world.pass_time(BOUND + 1)
    world.pass_time(10)
    assert not world.holder.core.replica.members.speaks(old)
    assert reason(world, grant) is Reason.ALLOWED
    world.leave(home)
    world.pass_time(BOUND + 1)
    assert reason(world, grant) is Reason.STALE
