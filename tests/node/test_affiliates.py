"""One organisation with three nodes of four: its vote, on whole nodes over real sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.node.nodes import do, until
from tests.node.test_governing import ask, founders, members, refused, vote


def voting(node: Any, nodes: list[Any]) -> list[Any]:
    """Return which of these nodes vote in the newest epoch that one of them holds."""
    tip = node.mesh().core.replica.chain.newest
    return [each for each in nodes if each.mesh().core.party in tip.voters]


async def test_affiliated_nodes_have_one_vote_and_another_takes_it_when_the_voting_one_leaves(tmp_path: Path) -> None:
    async with founders(tmp_path) as nodes:
        *group, dan = nodes
        form = (await ask(dan, "policy show")).rules
        form["affiliations"] = [[node.mesh().core.party[0].hex() for node in group]]
        made = await ask(dan, "policy propose", file=json.dumps(form))
        await vote([*group[:2], dan], made.id)
        await until(lambda: all(len(voting(node, nodes)) == 2 for node in nodes))
        (first,) = voting(dan, group)
        assert all(voting(node, group) == [first] for node in nodes), "all derive the same"
        others = [node for node in group if node is not first]
        assert await refused(others[0], "policy propose", invitations_a_day=3) == "NOT_A_VOTER"
        assert len(members(others[0])) == 4
        await do(first, "mesh leave")
        await until(lambda: all(voting(node, others) for node in (*others, dan)))
        assert len(voting(dan, nodes)) == 2
