"""Calls of groups in the committed map: step by step as from scratch, whatever came first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.consent.group import REFUSALS_MAX, Outcome, Rules
from ledger.consent.kinds import BOUND_COUNT, SLOT_COUNT
from ledger.entry import Entry
from ledger.groups import called
from ledger.keys import SigningKey
from ledger.schema import DAY
from ledger.ticks import Ticker
from tests.worlds import NOW, Node, World, deliver_all, key, octets

PEOPLE = 3
OPENS, CLOSES = NOW + 100, NOW + 200


class Scene:
    """A group of three, a call, votes, a refusal and a revocation, each an entry that anybody may register."""

    def __init__(self) -> None:
        self.world = World("groups")
        self.group = key("group")
        about = ("group", self.group.kid)
        rules = {"name": "loop", "decides": "persons", "majority_percent": 50, "quorum_percent": 60, "critical_mass": 2}
        joined = [self._join(number) for number in range(PEOPLE)]
        self.call = self._sign(self.group, "group.call", about, self._called(), NOW + 50)
        said = [
            self._sign(key("person", at), "group.vote", about, {"call": self.call.id, "choice": choice}, OPENS + at)
            for at, choice in enumerate(("yes", "yes", "no"))
        ]
        admitted = {"delegations": [each.id for each in joined]}
        left = {"links": [joined[1].raw]}
        self.entries = [
            self._sign(self.group, "group.open", about, rules, NOW + 1),
            *joined,
            self._sign(self.group, "group.admit", about, admitted, NOW + 40),
            self.call,
            *said,
            self._sign(key("person", 2), "group.refuse", about, {"call": self.call.id}, OPENS + 20),
            self._sign(key("person", 1), "delegation.revoke", joined[1].thing, left, NOW + 90),
        ]

    def _sign(
        self, signer: SigningKey, kind: str, thing: tuple[str, bytes], payload: dict[str, Any], iat: int
    ) -> Entry:
        head = self.world.members[0].scribe.head()
        return self.world.sign(signer, kind, thing, payload, seen=[head], iat=iat)

    def _join(self, number: int) -> Entry:
        payload = {
            "delegate": self.group.public,
            "withdraw_key": key("slip", number).public,
            "role": "group",
            "valid_until": (NOW // DAY + 300) * DAY,
            "depth": 0,
            "slots": octets("bounds", number, size=32 * BOUND_COUNT),
        }
        thing = ("delegation", octets("joined", number, size=16))
        return self._sign(key("person", number), "delegation.give", thing, payload, NOW + 10 + number)

    def _called(self) -> dict[str, Any]:
        return {
            "title": "shall we?",
            "opens": OPENS,
            "closes": CLOSES,
            "recipient": list(self.world.members[1].party),
            "valid_until": (NOW // DAY + 100) * DAY,
            "notice": {"sha256": bytes(32), "dated": NOW},
            "slots": octets("terms", size=32 * SLOT_COUNT),
        }


def maps_of(node: Node) -> list[tuple[bytes, bytes]]:
    """Return every row of the committed maps."""
    with node.store.read() as rows:
        return list(rows.scan("maps", b""))


@given(
    order=st.permutations(range(11)),
    feeds=st.lists(st.integers(0, 1), min_size=11, max_size=11),
    ticks=st.sets(st.integers(0, 10), max_size=4),
    leaves=st.integers(1, 5),
)
def test_a_call_in_the_map_is_the_same_step_by_step_and_from_scratch(
    order: Sequence[int], feeds: Sequence[int], ticks: set[int], leaves: int
) -> None:
    scene = Scene()
    world, node = scene.world, Node(scene.world.genesis)
    ticker, at = Ticker(node.replica), world.now + 500
    for number, place in enumerate([*order, None]):
        if place is not None:
            world.members[feeds[number]].scribe.add(scene.entries[place].raw)
        if number in ticks or place is None:
            at += 1
            deliver_all(node, world.scribes(), at)
            with node.store.write() as rows:
                ticker.begin(rows, at)
                while ticker.step(rows, leaves) is None:
                    pass
            stepwise = maps_of(node)
            with node.store.write() as rows:
                assert Ticker(node.replica).rebuild(rows, at) == ticker.tick
            assert maps_of(node) == stepwise
    with node.store.read() as rows:
        value = ticker.consents.value(rows, scene.call.id)
        told = called(node.replica, rows, scene.call.id)
    assert value is not None
    assert told is not None
    committed: Any = codec.decode(value)
    opened, electors, yes, no, abstained, missing, refusals, named = committed
    assert (opened, refusals, named) == (scene.entries[0].id, 1, [[key("person", 2).kid, scene.entries[-2].id]])
    assert (electors, yes, no, abstained) == tuple(
        map(len, (told.outcome.electors, told.outcome.yes, told.outcome.no, told.outcome.abstain))
    )
    assert list(told.outcome.missing) == missing


def test_a_map_names_so_many_refusals_and_says_how_many_there_are() -> None:
    rules = Rules("loop", 50, 50, 1, {}, bytes(32))
    refusals = [(octets("kid", at), octets("id", at)) for at in range(REFUSALS_MAX + 3)]
    value = Outcome((), (), (), (), ("quorum",)).committed(rules, refusals)
    committed: Any = codec.decode(value)
    *_, count, named = committed
    assert (count, len(named)) == (REFUSALS_MAX + 3, REFUSALS_MAX)
    assert named == sorted(named)
    assert len(value) < 16_384
