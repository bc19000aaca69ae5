"""Laws of the ledger over whole lives of consents: delegations, groups, calls, keys handed on, shares, and adversaries.

How it works
    `Scene` signs what people do with consents, and what adversaries would: rekeys and withdrawals by keys that were
    never handed anything, a rival rekey, words of strangers, votes twice and too late, admissions by others. Each entry
    may stand in any of three feeds; the third is a member's whose device was retired, so nothing permissive in it
    counts. Hypothesis draws where each stands, in which order, and how it travels.

What it does not do
    It looks at no content: that is sealed, and the gate's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.consent.kinds import BOUND_COUNT, SLOT_COUNT
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.groups import called, group_members, refusals
from ledger.keys import SigningKey
from ledger.replica import Replica
from ledger.schema import DAY
from ledger.ticks import Ticker
from tests.ledger.replica_cases import state_root
from tests.strategies import deliver, deliveries
from tests.worlds import LATER, NOW, Node, World, deliver_all, grant_payload, key, octets

OPENS, CLOSES = NOW + 300, NOW + 400
UNTIL = (NOW // DAY + 300) * DAY
STRANGER = key("stranger")
EXAMPLES = 400 if os.environ.get("MAILLE_PROFILE") == "nightly" else 12
"""Of each law: one is a whole ledger of fifty entries, folded several times over."""


class Scene:
    """What people and adversaries say, each entry by a name; nothing is registered yet."""

    def __init__(self) -> None:
        self.world = World("laws")
        alice, bob = self.world.members
        mallory = self.world.join(alice)
        self.world.link("link.offer", mallory, bob)
        final = mallory.scribe.head()
        retired = {"final": [final.feed, final.size, final.root]}
        entry = self.world.sign(mallory.root, "device.retire", ("device", final.feed), retired, seen=[final])
        alice.scribe.add(entry.raw)
        self.head = alice.scribe.head()
        self.holder, self.recipient = alice.party, bob.party
        self.entries: dict[str, Entry] = {}
        self._delegations()
        self._group()
        self._consents()
        self._adversaries()
        device = alice.scribe.device
        for each in self.entries.values():
            if each.signer == device.public:  # a device speaks in its own feed, in order of time: at once, then
                alice.scribe.add(each.raw)
        self.names = [name for name, each in self.entries.items() if each.signer != device.public]

    def say(
        self, name: str, signer: SigningKey, kind: str, payload: dict[str, Any], about: Any = None, at: int = 0
    ) -> Entry:
        """Sign an entry about what another one is, about a thing, or about something new."""
        thing = (kind.partition(".")[0], octets(name, size=16)) if about is None else about
        thing = about.thing if isinstance(about, Entry) else thing
        iat = NOW + at if at else None
        self.entries[name] = self.world.sign(signer, kind, thing, payload, seen=[self.head], iat=iat)
        return self.entries[name]

    def _delegations(self) -> None:
        self.give("root link", key("anna"), key("ben"), depth=1)
        self.give("lower link", key("ben"), key("carl"), parent=self.entries["root link"].id)
        links = {"links": [self.entries["root link"].raw]}
        self.say("root revoked", key("anna"), "delegation.revoke", links, self.entries["root link"])

    def give(self, name: str, giver: SigningKey, to: SigningKey, *, role: str = "delegate", **more: Any) -> Entry:
        """Delegate."""
        payload = {
            "delegate": to.public,
            "withdraw_key": key(name, "slip").public,
            "role": role,
            "valid_until": UNTIL,
            "depth": 0,
            "slots": octets(name, "bounds", size=32 * BOUND_COUNT),
            **more,
        }
        return self.say(name, giver, "delegation.give", payload)

    def _group(self) -> None:
        group, about = key("group"), ("group", key("group").kid)
        rules = {"name": "loop", "decides": "persons", "majority_percent": 50, "quorum_percent": 50, "critical_mass": 1}
        self.say("opened", group, "group.open", rules, about, 1)
        joined = [self.give(f"joins {n}", key("person", n), group, role="group").id for n in range(3)]
        self.say("admitted", group, "group.admit", {"delegations": joined}, about, 100)
        call = {
            "title": "shall we?",
            "opens": OPENS,
            "closes": CLOSES,
            "recipient": list(self.recipient),
            "valid_until": UNTIL,
            "notice": {"sha256": bytes(32), "dated": NOW},
            "slots": octets("terms", size=32 * SLOT_COUNT),
        }
        said = self.say("call", group, "group.call", call, about, 200).id
        for n, choice in enumerate(("yes", "yes", "no")):
            self.say(f"votes {n}", key("person", n), "group.vote", {"call": said, "choice": choice}, about, 301 + n)
        again = {"call": said, "choice": "yes"}
        self.say("votes again", key("person", 2), "group.vote", again, about, 350)
        self.say("votes too late", key("person", 1), "group.vote", {"call": said, "choice": "no"}, about, 401)
        self.say("refuses", key("person", 2), "group.refuse", {"call": said}, about, 320)
        self.say("a stranger votes", STRANGER, "group.vote", {"call": said, "choice": "no"}, about, 310)
        self.say("a stranger admits", STRANGER, "group.admit", {"delegations": joined}, about, 5)
        self.say("a stranger opens", STRANGER, "group.open", {**rules, "quorum_percent": 0}, about, 1)

    def grant(self, name: str, signer: SigningKey, **more: Any) -> Entry:
        """Grant."""
        payload = {**grant_payload(self.holder, self.recipient, key(name, "slip").public), **more}
        return self.say(name, signer, "consent.grant", payload)

    def _consents(self) -> None:
        first = self.grant("grant", key("eve"), required_parties=[key("pmo").public])
        self.say("signed", key("pmo"), "consent.sign", {"grant": first.id}, first)
        self.rekey("handed on", first, key("eve"), key("heir"))
        self.rekey("handed on again", first, key("heir"), key("second heir"))
        self.rekey("a rival", first, key("eve"), key("rival"))
        slots = octets("narrower", size=32 * SLOT_COUNT)
        self.say("narrowed", key("heir"), "consent.amend", {"grant": first.id, "slots": slots}, first)
        via = [self.entries["handed on"].raw, self.entries["handed on again"].raw]
        self.say("heir withdraws", key("second heir"), "consent.withdraw", {"grant": first.raw, "via": via}, first)
        child = self.grant("child", key("eve"), parent=first.id)
        self.say("child revoked", self.world.members[0].scribe.device, "consent.revoke",
                 {"grant": child.id, "reason_code": "error"}, child)  # fmt: skip
        under = self.grant("under a delegation", key("carl"), delegation=self.entries["lower link"].id)
        links = [self.entries["lower link"].raw, self.entries["root link"].raw]
        payload = {"grant": under.raw, "via": links}
        self.say("anna withdraws", key("anna"), "consent.withdraw", payload, under)
        joined, call = self.entries["joins 0"].id, self.entries["call"].id
        self.grant("under the call", key("group"), delegation=joined, call=call)
        shares = {"version": 1, "effective": (NOW // DAY) * DAY, "digest": octets("shares")}
        self.say("shares", self.world.members[0].scribe.device, "allocation.state", shares)

    def rekey(self, name: str, grant: Entry, by: SigningKey, to: SigningKey) -> Entry:
        """Hand a consent on."""
        payload = {"grant": grant.id, "key": to.public, "withdraw_key": key(name, "slip").public}
        return self.say(name, by, "consent.rekey", payload, grant)

    def _adversaries(self) -> None:
        first, under = self.entries["grant"], self.entries["under a delegation"]
        forged = self.rekey("a stranger takes it", first, STRANGER, STRANGER)
        for name, grant, via in (
            ("a stranger withdraws", first, []),
            ("a stranger withdraws what it took", first, [forged.raw]),
            ("a stranger withdraws by another's link", under, [self.entries["joins 0"].raw]),
        ):
            payload = {"grant": grant.raw, **({"via": via} if via else {})}
            self.say(name, STRANGER, "consent.withdraw", payload, grant)
        about = {"links": [self.entries["root link"].raw]}
        self.say("a stranger revokes a link", STRANGER, "delegation.revoke", about, self.entries["root link"])
        slots = octets("nothing", size=32 * SLOT_COUNT)
        self.say("a stranger narrows", STRANGER, "consent.amend", {"grant": first.id, "slots": slots}, first)
        self.say("a stranger signs", STRANGER, "consent.sign", {"grant": first.id}, first)

    def add(self, place: int, feed: int) -> None:
        """Put one entry into a feed."""
        self.world.members[feed].scribe.add(self.entries[self.names[place]].raw)

    def register(self, order: Sequence[int], feeds: Sequence[int]) -> None:
        """Put entries into the feeds drawn for them, in the order drawn."""
        for place in order:
            self.add(place, feeds[place])
        self.world.now += 10
        for scribe in self.world.scribes():
            scribe.sign(self.world.now)


COUNT = len(Scene().names)
few = settings(max_examples=EXAMPLES)
orders = st.permutations(range(COUNT))
places = st.lists(st.integers(0, 2), min_size=COUNT, max_size=COUNT)


def said(node: Node, scene: Scene) -> list[Any]:
    """Return all that a node derives about the scene's consents, links, groups and calls."""
    replica, by = node.replica, scene.entries
    with node.store.read() as rows:
        grants = [replica.consent(rows, entry.id) for entry in by.values() if entry.kind == "consent.grant"]
        links = [
            replica.delegations.now(replica, rows, each.id) for each in by.values() if each.kind == "delegation.give"
        ]
        found = called(replica, rows, by["call"].id)
        members = sorted(group_members(replica, rows, key("group").kid, OPENS))
        left = refusals(replica, rows, by["call"], by["joins 2"])
    outcome = None if found is None else (found.outcome, found.rules, sorted(found.members))
    return [grants, links, outcome, members, left]


def maps_of(node: Node) -> list[tuple[bytes, bytes]]:
    """Return every row of the committed maps."""
    with node.store.read() as rows:
        return list(rows.scan("maps", b""))


@few
@given(order=orders, feeds=places, one=deliveries, other=deliveries)
def test_neither_order_nor_repetition_nor_batching_matters(
    order: Sequence[int], feeds: Sequence[int], one: Sequence[int], other: Sequence[int]
) -> None:
    scene = Scene()
    scene.register(order, feeds)
    nodes = [Node(scene.world.genesis), Node(scene.world.genesis)]
    for node, delivery in zip(nodes, (one, other), strict=True):
        deliver(node, scene.world, delivery, whole=False)
        said(node, scene)  # what is remembered on the way must not stay
        deliver(node, scene.world, delivery)
    assert said(nodes[0], scene) == said(nodes[1], scene)
    assert state_root(nodes[0], LATER) == state_root(nodes[1], LATER)


@few
@given(order=orders, feeds=places, ticks=st.sets(st.integers(0, COUNT), max_size=4), leaves=st.integers(1, 7))
def test_step_by_step_is_as_from_scratch(
    order: Sequence[int], feeds: Sequence[int], ticks: set[int], leaves: int
) -> None:
    scene = Scene()
    world, node = scene.world, Node(scene.world.genesis)
    ticker, at = Ticker(node.replica), world.now + 500
    for number, place in enumerate([*order, None]):
        if place is not None:
            scene.add(place, feeds[place])
        if number in ticks or place is None:
            at += 1
            deliver_all(node, world.scribes(), at)
            with node.store.write() as rows:
                ticker.begin(rows, at)
                while ticker.step(rows, leaves) is None:
                    pass
            stepwise, remembered = maps_of(node), said(node, scene)
            with node.store.write() as rows:
                assert Ticker(node.replica).rebuild(rows, at) == ticker.tick
            assert maps_of(node) == stepwise
            fresh = Node(world.genesis)
            fresh.store = node.store
            with node.store.read() as rows:
                fresh.replica = Replica.load(rows)
            assert said(fresh, scene) == remembered


ENDS: dict[str, Callable[[Scene, list[Any]], bool]] = {
    "heir withdraws": lambda _, told: told[0][0].state is State.WITHDRAWN,
    "child revoked": lambda _, told: told[0][1].state is State.REVOKED,
    "anna withdraws": lambda _, told: told[0][2].state is State.WITHDRAWN,
    "root revoked": lambda _, told: not told[1][0].live,
    "a rival": lambda _, told: (told[0][0].contested, told[0][0].key) == (key("eve").kid, None),
    "refuses": lambda scene, told: told[4] == (scene.entries["refuses"].id,),
}
"""A restrictive entry -> whether what it ends is ended. A rival hand-over takes the consent from both heirs."""


@pytest.mark.parametrize("name", sorted(ENDS))
@few
@given(order=orders, feeds=places)
def test_restrictive_beats_permissive_wherever_and_whenever_it_comes(
    name: str, order: Sequence[int], feeds: Sequence[int]
) -> None:
    scene = Scene()
    scene.register(order, feeds)
    node = Node(scene.world.genesis)
    deliver(node, scene.world, [])
    told = said(node, scene)
    assert ENDS[name](scene, told)
    again = [place for place in order if scene.names[place] != name]
    scene.register(again, [0] * COUNT)  # everything that permits is said once more, where it counts
    deliver(node, scene.world, [])
    assert ENDS[name](scene, said(node, scene))


@few
@given(order=orders, feeds=places)
def test_what_adversaries_say_changes_nothing(order: Sequence[int], feeds: Sequence[int]) -> None:
    found = []
    for ours in (True, False):
        scene = Scene()
        by_strangers = [n for n in order if scene.entries[scene.names[n]].signer == STRANGER.public]
        people = [n for n in range(COUNT) if n not in by_strangers and scene.names[n] not in {*ENDS, "a rival"}]
        # What is above an entry in a feed says how late it may be: nobody but its owner writes in a feed.
        people.sort(key=lambda n, scene=scene: (scene.entries[scene.names[n]].iat, n))  # type: ignore[misc]
        scene.register(people, [0] * COUNT)
        if not ours:
            scene.register(by_strangers, [1 + feed % 2 for feed in feeds])
        node = Node(scene.world.genesis)
        deliver(node, scene.world, [])
        found.append(said(node, scene))
    assert found[0] == found[1]
    status = found[0][0][0]
    assert (status.state, status.key) == (State.GRANTED, key("second heir").kid)
    assert len(found[0][2][0].yes) == 2
