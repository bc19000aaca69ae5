"""Statements that wait: whatever comes first, the fold is the one from scratch; who waits for nothing slows nobody."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.governance import waiting
from ledger.governance.chain import Chain
from ledger.governance.epoch import Policy
from ledger.governance.members import Party, link_id, possession_message
from ledger.governance.policy import Sponsors
from ledger.governance.register import Register
from ledger.governance.rules import Rules
from ledger.governance.waiting import MARKS_SPARE, Waiting
from tests.conftest import PROFILE
from tests.ledger.governance.polity import Polity, Whole
from tests.ledger.governance.test_onward import Follower, live
from tests.worlds import LATER, Member, Node, World, deliver_all, key, octets

TERMS = {"green_button": True}
FLOODS = (
    "offer nowhere",
    "offer later",
    "offer false",
    "offer unknown epoch",
    "vote",
    "sponsor",
    "heir",
    "retire",
    "leave",
    "unhost",
    "host",
    "repair",
    "accept",
    "delegate",
    "certify",
)


def flood(polity: Polity, hostile: Member, what: str, number: int) -> None:
    """Let a member say something that waits for what does not exist, or for what others have not said yet."""
    scribe, random32 = hostile.scribe, polity.random(32)
    other = next(each for each in polity.members if each is not hostile)
    later = Head(other.scribe.feed, len(other.scribe.raws) + 3 + number % 5, random32)
    link = ("link", link_id(hostile.party, (random32, 1)))
    ends = {"from": list(hostile.party), "to": [random32, 1]}
    match what:
        case "offer nowhere":
            polity.write(scribe, "link.offer", link, ends, Head(random32, 7, random32))
        case "offer later":
            polity.write(scribe, "link.offer", link, ends, later)
        case "offer false":
            polity.write(scribe, "link.offer", link, ends, Head(other.scribe.feed, 1, random32))
        case "offer unknown epoch":
            known, polity.epoch = polity.epoch, random32
            polity.write(scribe, "link.offer", link, ends)
            polity.epoch = known
        case "vote":
            polity.write(scribe, "vote", ("ballot", random32), {"choice": "yes"})
        case "sponsor":
            payload = {"application": random32, "incarnation": 1}
            polity.write(scribe, "member.sponsor", ("member", random32), payload, later)
        case "heir":
            heir = Head(key(random32).kid, 3, random32)
            scribe.add(polity.certificate(hostile, key("heir", random32), heir).raw)
        case "retire":
            payload = {"final": [random32, 3, random32]}
            seen = (Head(random32, 0, octets("x")),)
            scribe.add(polity.sign(hostile.root, "device.retire", ("device", random32), payload, seen=seen).raw)
        case "leave":
            polity.write(scribe, "member.leave", ("member", random32), {})
        case "unhost" | "host":
            payload = {"host": list(hostile.party), "serial": number, **({"terms": TERMS} if what == "host" else {})}
            polity.write(scribe, f"tenant.{what}", ("tenant", random32), payload, later)
        case "repair":
            payload = {
                "incarnation": 2,
                "inviter": list(other.party),
                "device": key(random32).public,
                "expires": polity.now + 10**6,
                "fork": random32,
            }
            seen = (scribe.head(),)
            scribe.add(polity.sign(hostile.root, "member.repair", ("member", hostile.root.kid), payload, seen=seen).raw)
        case "accept":
            polity.write(scribe, "genesis.accept", ("member", random32), {})
        case "delegate":
            payload = {"to": list(other.party)}
            polity.write(scribe, "vote.delegate", ("member", hostile.party[0]), payload, later)
        case "certify":
            scribe.add(polity.certificate(hostile, key("device", random32)).raw)
        case _:
            raise AssertionError(what)


def meet(polity: Polity, rng: random.Random) -> None:
    """Let two members agree, and each see what the other said: whoever gets one feed first, waits for the other."""
    one, other = rng.sample(polity.members, 2)
    for source, target, kind in ((one, other, "link.offer"), (other, one, "link.accept")):
        ends = {"from": list(source.party), "to": list(target.party)}
        heads = polity.others(source.scribe)[:3]
        polity.write(source.scribe, kind, ("link", link_id(source.party, target.party)), ends, *heads)


@settings(max_examples=300 if PROFILE == "nightly" else 6)
@given(st.integers(0, 2**32))
def test_causes_come_in_any_order_amid_a_flood(seed: int) -> None:
    rng = random.Random(seed)
    polity = Polity(seed)
    follower = Follower(polity)
    for _ in range(2):
        for _ in range(8):
            flood(polity, polity.members[-1], rng.choice(FLOODS), rng.randrange(9))
            meet(polity, rng)
            live(polity, rng, 1)
        follower.take_all(rng)
        if rng.random() < 0.6 and len(polity.tip().voters) == 4:
            polity.seal()
            follower.take_all(rng)
    assert follower.chain.live(polity.view()) == polity.governed()


@settings(max_examples=60 if PROFILE == "nightly" else 5)
@given(st.integers(0, 2**32))
def test_the_order_does_not_matter(seed: int) -> None:
    rng = random.Random(seed)
    polity = Polity(seed)
    for _ in range(6):
        guest = polity.join(rng.choice(polity.members))
        meet(polity, rng)
        flood(polity, guest, rng.choice(FLOODS), rng.randrange(9))
        polity.link("link.offer", guest, polity.members[0])
    followers = [Follower(polity) for _ in range(3)]
    for follower in followers:
        follower.take_all(random.Random(rng.random()))
    expected = polity.governed()
    assert [each.chain.fold(polity.view()) for each in followers] == [expected] * 3
    assert [each.chain._onward and each.chain._onward.members for each in followers] == [expected] * 3


class Counted(Whole):
    """A view that counts how often it is asked anything."""

    asked = 0

    def size(self, feed: bytes) -> int:
        """Return how many leaves lie below the frontier."""
        self.asked += 1
        return super().size(feed)

    def holds(self, entry: Entry, forks: Mapping[bytes, int]) -> bool:
        """Say whether what an entry has seen is held."""
        self.asked += 1
        return super().holds(entry, forks)


def asked_after(what: str, count: int) -> int:
    """Return how much is looked at for one honest entry, after so many statements that wait."""
    polity = Polity("flooded")
    for number in range(count):
        flood(polity, polity.members[3], what, number)
    register = Register(polity.registrations())
    chain = Chain(polity.genesis, register)
    chain.live(Counted(polity))
    polity.link("link.offer", polity.members[0], polity.members[1])
    for each in polity.registrations():
        register.add(each)
    view = Counted(polity)
    members = chain.live(view, [polity.members[0].scribe.feed])
    assert chain.went_on, "it is folded anew"
    assert members == polity.governed()
    return view.asked


@pytest.mark.parametrize("what", FLOODS)
def test_who_waits_for_nothing_slows_nobody(what: str) -> None:
    assert asked_after(what, 40) == asked_after(what, 2) < 10


@settings(max_examples=60 if PROFILE == "nightly" else 6)
@given(st.integers(0, 2**32))
def test_seals_that_park_what_waits_are_followed_alike(seed: int) -> None:
    rng = random.Random(seed)
    polity = Polity(seed)
    follower = Follower(polity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "WAITING_A_FEED_MAX", 2)
        patch.setattr(waiting, "WAITING_MAX", 3)
        for _ in range(3):
            for _ in range(5):
                flood(polity, polity.members[-1], rng.choice(FLOODS), rng.randrange(9))
                meet(polity, rng)
            follower.take_all(rng)
            polity.seal()
        follower.take_all(rng)
        kept = Counter(each.feed for each in follower.chain.newest.pending)
        assert max(kept.values(), default=0) <= 2
        assert kept.total() <= max(3, len(kept))
        assert follower.chain.live(polity.view()) == polity.governed()


def offer(polity: Polity, source: Member, target: Party, *seen: Head) -> Entry:
    """Let a member offer a link, in an entry that stands nowhere yet."""
    ends = {"from": list(source.party), "to": list(target)}
    return polity.sign(
        source.scribe.device,
        "link.offer",
        ("link", link_id(source.party, target)),
        ends,
        seen=(source.scribe.head(), *seen),
    )


def test_who_is_over_its_limit_parks_its_own_alone_and_loses_nothing() -> None:
    polity = Polity("parked")
    ada, bob, _, dan = polity.members
    missing = offer(polity, bob, ada.party)
    twin = bob.scribe.branch(len(bob.scribe.raws))
    twin.add(missing.raw)
    over, count = 40, waiting.WAITING_A_FEED_MAX + 40
    for number in range(count):
        dan.scribe.add(offer(polity, dan, (octets("target", number), 1), twin.head()).raw)
    ada.scribe.add(offer(polity, ada, bob.party, twin.head()).raw)
    after = polity.seal()
    assert Counter(each.feed for each in after.pending) == {dan.scribe.feed: count - over, ada.scribe.feed: 1}
    assert [each.index for each in after.parked] == list(range(len(dan.scribe.raws)))[-over:]
    bob.scribe.add(missing.raw)  # what all of them wait for
    assert polity.seal().parked == after.parked, "there was no room yet"
    tip = polity.seal()
    assert tip.pending == tip.parked == ()
    assert len(tip.links) == count + 1


def test_what_only_restricts_has_its_turn_before_permissions_that_wait_longer() -> None:
    polity = Polity("turns")
    before = len(polity.registrations())
    for what in ("offer nowhere", "offer later", "retire", "host"):
        flood(polity, polity.members[3], what, 1)
    parked = polity.registrations()[before:]
    base = replace(polity.tip(), parked=tuple(parked))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "WAITING_A_FEED_MAX", 1)
        assert [each.entry.kind for each in waiting.due(base)] == ["device.retire"]


def test_what_a_feed_registers_for_others_keeps_no_word_of_its_own_waiting() -> None:
    polity = Polity("for others")
    ada, bob = polity.members[:2]
    nowhere = Head(polity.random(32), 7, polity.random(32))
    for number in range(4):
        root, device = polity.members[3].root, key("successor", number)
        final = [polity.members[3].scribe.feed, 1, polity.random(32)]
        payload = {
            "device": device.public,
            "incarnation": 1,
            "possession": device.sign(possession_message(polity.mesh_id, root.kid, 1)),
            "predecessor": final,
        }
        ada.scribe.add(polity.sign(root, "device.certify", ("device", device.kid), payload, seen=(nowhere,)).raw)
    twin = bob.scribe.branch(len(bob.scribe.raws))
    later = offer(polity, bob, ada.party)
    twin.add(later.raw)
    own = offer(polity, ada, bob.party, twin.head())
    ada.scribe.add(own.raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "WAITING_A_FEED_MAX", 2)
        after = polity.seal()
        assert len(after.pending) == 2
        assert own in [each.entry for each in after.pending]
        assert len(after.parked) == 3
        bob.scribe.add(later.raw)
        assert polity.governed().link_up(ada.party, bob.party)


def test_what_a_fold_leaves_out_is_looked_at_once_its_head_is_held() -> None:
    world = World("left out", policy=Policy(rules=Rules(admission=Sponsors(2)).encode()), founders=3)
    ada, bob, cyd = world.members
    guest = world.join(ada)
    world.link("link.accept", bob, guest)
    application = next(r.entry for r in world.registrations() if r.entry.kind == "member.apply")
    node = Node(world.genesis)
    deliver_all(node, [ada.scribe, bob.scribe, cyd.scribe])
    bob.scribe.add(b"no entry at all")
    ends = {"from": list(guest.party), "to": list(bob.party)}
    world.write(guest.scribe, "link.offer", ("link", link_id(guest.party, bob.party)), ends, bob.scribe.head())
    deliver_all(node, [guest.scribe], LATER - 2)
    deliver_all(node, [bob.scribe], LATER + 1)  # what the offer waits for, and nothing of governance
    payload = {"application": application.id, "incarnation": 1}
    world.write(cyd.scribe, "member.sponsor", ("member", guest.party[0]), payload)
    deliver_all(node, [cyd.scribe], LATER + 2)
    members = node.replica.members
    assert members.is_member(guest.party)
    assert members.link_up(guest.party, bob.party)
    scratch = Node(world.genesis)
    deliver_all(scratch, world.scribes(), LATER + 3)
    assert scratch.replica.members == members


@pytest.mark.parametrize("what", ["offer nowhere", "offer later", "delegate", "host"])
def test_a_fold_from_the_base_leaves_out_what_has_no_effect(what: str) -> None:
    counts = []
    for count in (2, 40):
        polity = Polity("flooded")
        for number in range(count):
            flood(polity, polity.members[3], what, number)
        register = Register(polity.registrations())
        chain = Chain(polity.genesis, register)
        chain.live(polity.view())
        polity.propose(polity.members[0], "charter", charter=octets("charter"))
        for each in polity.registrations():
            register.add(each)
        view = Counted(polity)
        assert chain.live(view, [polity.members[0].scribe.feed]) == polity.governed()
        assert not chain.went_on
        assert chain.spared
        counts.append(view.asked)
    assert counts[0] == counts[1]


def test_an_entry_wakes_what_waits_for_it_alone() -> None:
    polity = Polity("waking")
    for number in range(30):
        flood(polity, polity.members[3], "offer nowhere", number)
        flood(polity, polity.members[2], "offer later", number)
    listed, asleep = polity.registrations(), Waiting()
    feed, other = polity.random(32), polity.random(32)
    for registration in listed[:10]:
        asleep.put(registration, [feed], None)
    for size, registration in enumerate(listed[10:20]):
        asleep.put(registration, [feed], (other, size))
    asleep.put(listed[20], [], None)
    assert len(asleep) == 20
    assert asleep.held({other: 4}.__getitem__, [other]) == listed[10:15]
    assert asleep.counting([other]) == []
    asleep.put(listed[10], [], (other, 9))
    assert asleep.counting([feed]) == [*listed[:10], *listed[15:20]]
    assert asleep.held(lambda _: 9) == [listed[10]]
    assert not len(asleep)


def test_folds_without_end_in_one_epoch_leave_no_marks_behind() -> None:
    polity = Polity("many folds")
    for number in range(12):
        flood(polity, polity.members[3], "offer nowhere", number)
    listed, asleep = polity.registrations(), Waiting()
    feed, other = polity.random(32), polity.random(32)
    asleep.put(listed[0], [feed], (other, 5), mute=True)
    for _ in range(3_000):
        for registration in listed[1:10]:
            asleep.put(registration, [feed], (other, 3))
        asleep.renew()
    kept = sum(len(marks) for marks in asleep._by_feed.values()) + sum(len(heap) for heap in asleep._by_head.values())
    assert kept <= 2 * (MARKS_SPARE + 20)
    assert asleep.held({other: 4}.__getitem__) == []
    assert asleep.held({other: 5}.__getitem__) == [listed[0]]
