"""Clocks apart: an honest node never writes what its epoch or what it has seen makes void."""

from __future__ import annotations

import pytest

from ledger.explained import explain_entry
from ledger.governance.epoch import Policy
from ledger.verdict import Verdict
from node.core import Turn
from simulations.world import SECOND, World

POLICY = Policy(tick_seconds=86_400, heartbeat_seconds=60, seal_seconds=20)
APART = ((0, -110), (110, 0), (60, -55))  # seconds: of the three that seal, and of one more


def stir(turn: Turn) -> None:
    """State something that waits to be sealed."""
    turn.state("vote.default", ("member", turn.core.party[0]), {"choice": "abstain"})


@pytest.mark.parametrize(("ahead", "behind"), APART)
def test_what_a_node_states_counts_whatever_its_clock_says(ahead: int, behind: int) -> None:
    world = World(5, policy=POLICY, skew_ms=lambda number: (behind if number == 3 else ahead) * 1_000)
    world.found(4)
    assert world.run_for(900 * SECOND, lambda: world.nodes[3].running.replica.members.n > 0)
    guest = world.join(3, [0, 1, 2])  # its application names the epoch, and no head that has seen its certificate
    for _ in range(4):
        world.act(3, stir)
        world.act(0, stir)
        world.run_for(30 * SECOND)
    assert world.run_for(600 * SECOND, world.agree)
    lifted = 0
    for node in world.nodes:
        replica = node.running.replica
        assert replica.members.is_member(world.nodes[guest].running.party)
        with node.store.read() as rows:
            for kind in ("vote.default", "seal.certificate", "member.apply"):
                for entry in node.entries(kind):
                    _, as_of = replica.chain.newest.known[entry.epoch or b""]
                    account = explain_entry(replica, rows, entry.id)
                    assert account.verdict in (Verdict.COUNTS, Verdict.SUPERSEDED), account
                    assert entry.iat >= as_of
                    lifted += entry.kid == world.nodes[3].kid and entry.iat == as_of > replica.genesis.entry.iat
    assert lifted, "the clock that is behind never mattered"
    assert world.nodes[0].running.replica.members.n > 2
