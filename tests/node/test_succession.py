"""A device that takes another's place while a peer is away: the two find together again, and the news gets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger.governance.members import link_id
from node.core import Turn
from node.net import LOOK_SECONDS
from tests.node.nodes import WAIT_SECONDS_MAX, do, make_home, running, until
from tests.node.test_data_operations import pair


def connected(node: Any) -> bool:
    """Whether a node has a channel to a member."""
    return bool(node.mesh().engine.core.member_peers)


def _say_something(turn: Turn) -> None:
    own, other = turn.core.party, (b"o" * 32, 1)
    turn.state("link.offer", ("link", link_id(own, other)), {"from": list(own), "to": list(other)})


async def test_a_device_is_replaced_while_its_only_peer_is_away(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, name) for name in ("ada", "bob")]
    async with running(homes[0]) as ada:
        async with running(homes[1]) as bob:
            await pair(ada, bob)
            await until(lambda: connected(ada) and connected(bob))
        for _ in range(3):  # news in the old feed, which bob has never seen
            await ada.mesh().engine.act(_say_something)
        for _ in range(2):  # and twice: each certificate stands in a feed that bob does not know that far
            await do(ada, "device certify")
        async with running(homes[1]) as bob:
            own = ada.mesh().core.device.kid
            await until(lambda: connected(ada) and own in bob.mesh().core.member_peers)
            size = ada.mesh().core.replica.size(own)
            await until(lambda: bob.mesh().core.replica.members.speaks(own))
            await until(lambda: bob.mesh().core.replica.size(own) >= size)
            assert bob.mesh().core.replica.members.party_of(own) == ada.mesh().core.party


async def test_whoever_learns_an_address_dials_at_once(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, name) for name in ("ada", "bob", "cyd")]
    async with running(homes[0]) as ada, running(homes[1]) as bob, running(homes[2]) as cyd:
        await pair(ada, bob)
        ticket = await do(ada, "invite create", to=str(cyd.root_key().did))
        assert (await do(cyd, "join", ticket=ticket.ticket)).answer == "ADMITTED"
        assert WAIT_SECONDS_MAX < LOOK_SECONDS  # else this test could not fail
        one, other = bob.mesh().core, cyd.mesh().core
        await until(lambda: other.device.kid in one.member_peers and one.device.kid in other.member_peers)
