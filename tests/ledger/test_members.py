"""The membership fold: rule M4, order independence, and that nothing beyond a reach adds a right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import RemoteError
from ledger.feed import Registration
from ledger.governance.chain import fold
from ledger.governance.epoch import Policy, make_genesis
from ledger.governance.members import Party, edge, link_id
from tests.ledger.fold_cases import Below, Blind, prove_fork, rights, world
from tests.strategies import Act, acts, build
from tests.worlds import NOW, Everything, Member, Scribe, World, key, octets


@given(drawn=acts, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_registrations_does_not_matter(drawn: Sequence[Act], shuffle: Any) -> None:
    made = build(drawn)
    mixed = made.registrations() * 2
    shuffle.shuffle(mixed)
    assert fold(made.genesis, mixed, Everything()) == made.folded()


# M4: links and tenants


def statements(made: World, alice: Member, bob: Member, *kinds: str) -> str | None:
    """Let Alice and Bob state things of their edge in turn ("a:offer"), and return what it is."""
    for statement in kinds:
        who, kind = statement.split(":")
        source, target = (alice, bob) if who == "a" else (bob, alice)
        made.link(f"link.{kind}", source, target)
    return made.folded().links.get(edge(alice.party, bob.party))


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ([], None),
        (["a:offer"], "offered"),
        (["a:offer", "b:accept"], "up"),
        (["a:offer", "b:offer"], "up"),
        (["a:offer", "b:refuse"], "refused"),
        (["a:offer", "b:accept", "a:sever"], "severed"),
        (["a:offer", "b:accept", "b:sever"], "severed"),
        (["a:offer", "b:accept", "b:sever", "a:offer"], "severed"),
        (["a:offer", "b:accept", "b:sever", "b:accept"], "up"),
        (["a:offer", "a:accept"], "offered"),
    ],
)
def test_m4_an_edge_is_up_when_each_ends_newest_word_is_positive(kinds: list[str], state: str | None) -> None:
    assert statements(*world(), *kinds) == state


def test_m4_only_an_end_speaks_for_it() -> None:
    made, alice, bob = world()
    carol = made.join(alice)
    payload = {"from": list(bob.party), "to": list(alice.party)}
    made.link("link.offer", alice, bob)
    made.write(carol.scribe, "link.accept", ("link", link_id(alice.party, bob.party)), payload)
    made.write(bob.scribe, "link.accept", ("link", octets("another edge")), payload)
    assert made.folded().links == {edge(alice.party, bob.party): "offered"}


def test_m4_a_positive_word_beyond_reach_or_not_held_is_void_and_a_restrictive_one_counts() -> None:
    made, alice, bob = world()
    carol = made.join(alice)
    statements(made, alice, bob, "b:offer")
    prove_fork(made, carol.scribe, bob.scribe, len(bob.scribe.raws) - 1)
    assert statements(made, alice, bob, "a:offer", "b:accept") == "offered"
    assert statements(made, alice, bob, "b:sever") == "severed"
    made, alice, bob = world()
    assert statements(made, alice, bob, "a:offer", "b:accept") == "up"
    accept = made.registrations()[-1].entry
    assert made.folded(Blind(accept)).links == {edge(alice.party, bob.party): "offered"}


def test_m4_an_edge_needs_two_members() -> None:
    made, alice, bob = world()
    assert statements(made, alice, bob, "a:offer", "b:accept") == "up"
    made.write(bob.scribe, "member.leave", ("member", bob.root.kid), {})
    assert made.folded().links == {}
    assert made.folded().link_up(alice.party, alice.party)


def hosting(made: World, kind: str, member: Member, serial: int, *, by: Any, scribe: Scribe) -> None:
    """State something of hosting tenant T, by its key or a device's, in some feed."""
    tenant = key("members", "tenant")
    payload: dict[str, Any] = {"host": list(member.party), "serial": serial}
    if kind == "tenant.host":
        payload["terms"] = {"green_button": True}
    signer = tenant if by is None else by.device
    scribe.add(made.sign(signer, kind, ("tenant", tenant.kid), payload, seen=(scribe.head(),)).raw)


def hosts(made: World) -> set[Party]:
    """Return who hosts tenants."""
    return {tenancy.host for tenancy in made.folded().tenants.values()}


def test_m4_a_tenant_is_hosted_when_both_signed_and_moves_by_its_own_word() -> None:
    made, alice, bob = world()
    hosting(made, "tenant.host", alice, 1, by=alice.scribe, scribe=alice.scribe)
    assert hosts(made) == set()
    hosting(made, "tenant.host", alice, 1, by=None, scribe=bob.scribe)
    assert hosts(made) == {alice.party}
    hosting(made, "tenant.host", bob, 2, by=None, scribe=alice.scribe)
    assert hosts(made) == set()
    hosting(made, "tenant.host", bob, 1, by=bob.scribe, scribe=bob.scribe)
    assert hosts(made) == {bob.party}
    for scribe in (alice.scribe, bob.scribe):
        hosting(made, "tenant.host", alice, 1, by=None, scribe=scribe)
    assert hosts(made) == {bob.party}
    hosting(made, "tenant.unhost", bob, 2, by=None, scribe=alice.scribe)
    assert hosts(made) == set()
    hosting(made, "tenant.host", bob, 2, by=None, scribe=bob.scribe)
    assert hosts(made) == set()


def test_m4_a_host_ends_hosting_for_good_and_permits_in_its_own_feed_alone() -> None:
    made, alice, bob = world()
    hosting(made, "tenant.host", bob, 1, by=None, scribe=alice.scribe)
    hosting(made, "tenant.host", bob, 1, by=bob.scribe, scribe=alice.scribe)
    assert hosts(made) == set()
    hosting(made, "tenant.host", bob, 1, by=bob.scribe, scribe=bob.scribe)
    assert hosts(made) == {bob.party}
    hosting(made, "tenant.unhost", bob, 1, by=bob.scribe, scribe=alice.scribe)
    hosting(made, "tenant.host", bob, 2, by=bob.scribe, scribe=bob.scribe)
    assert hosts(made) == set()


# Laws


def test_the_view_bounds_what_is_folded() -> None:
    made, alice, _ = world()
    carol = made.join(alice)
    below = Below(**{alice.scribe.feed.hex(): len(alice.scribe.raws) - 1})
    assert not made.folded(below).is_member(carol.party)


def _leave(made: World, member: Member, witness: Scribe) -> None:
    made.write(member.scribe, "member.leave", ("member", member.root.kid), {})


def _fork_end(made: World, member: Member, witness: Scribe) -> None:
    prove_fork(made, witness, member.scribe, len(member.scribe.raws) - 1)


def _retire(made: World, member: Member, witness: Scribe) -> None:
    feed = member.scribe.feed
    payload = {"final": [feed, len(member.scribe.raws), octets("root")]}
    witness.add(made.sign(member.root, "device.retire", ("device", feed), payload, seen=(witness.head(),)).raw)


ENDS: dict[str, Callable[[World, Member, Scribe], None]] = {"leave": _leave, "fork": _fork_end, "retire": _retire}
AFTER = ("join", "link", "grant", "tenant", "certificate", "again")


@given(
    drawn=acts,
    end=st.sampled_from(list(ENDS)),
    who=st.integers(0, 4),
    more=st.lists(st.tuples(st.sampled_from(AFTER), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8),
)
def test_entries_beyond_a_reach_never_add_a_right(
    drawn: Sequence[Act], end: str, who: int, more: Sequence[tuple[str, int, int]]
) -> None:
    made = build(drawn)
    member = made.members[who % len(made.members)]
    scribe = member.scribe
    witness = next(other.scribe for other in made.members if other is not member)
    if not scribe.raws:
        return
    ENDS[end](made, member, witness)
    before, reach = made.folded(), made.folded().reach(scribe.feed)
    if not 0 < reach <= len(scribe.raws):
        return  # the feed never counted (its certificate may still come), or its end does not: nothing lies beyond
    for name, i, j in more:
        other = made.members[j % len(made.members)]
        match name:
            case "join":
                made.join(member)
            case "link" if other is not member:
                made.link(("link.offer", "link.accept", "link.sever", "link.refuse")[i % 4], member, other)
            case "tenant":
                hosting(made, "tenant.host", member, i, by=scribe, scribe=scribe)
                hosting(made, "tenant.host", other, i, by=None, scribe=scribe)
            case "certificate":
                scribe.add(made.certificate(other, key("beyond", i), other.scribe.head()).raw)
            case "again":
                scribe.add(other.scribe.raws[i % len(other.scribe.raws)] if other.scribe.raws else b"")
            case _:
                made.grant(member.party, other.party, [scribe.head()])
    assert rights(made.folded()) <= rights(before)


@given(drawn=acts, at=st.integers(0, 40))
def test_the_feeds_taken_in_only_ever_grow(drawn: Sequence[Act], at: int) -> None:
    made = build(drawn)
    registrations = made.registrations()
    some = fold(made.genesis, registrations[:at], Everything())
    assert some.feeds.items() <= made.folded().feeds.items()


def test_a_genesis_lists_each_key_once_and_its_signer() -> None:
    root, device = key("genesis", "root"), key("genesis", "device")
    other = (key("genesis", "other").public, key("genesis", "other device").public)
    for founders in (
        [other],
        [(root.public, device.public)] * 2,
        [(root.public, device.public), (other[0], device.public)],
    ):
        with pytest.raises(RemoteError, match="NOT_A_GENESIS"):
            make_genesis(root, "x", founders, Policy(), now=NOW, random16=bytes(16))


def test_a_registration_is_a_value() -> None:
    made, alice, _ = world()
    assert made.registrations()[0] == Registration(made.genesis.entry, alice.scribe.feed, 0)
