"""Who gets in under each policy, and what a ballot on the rules changes: rule M3 over signed entries."""

from __future__ import annotations

import pytest

from ledger.entry import Entry
from ledger.governance.epoch import Policy
from ledger.governance.policy import AllOf, AnyOf, Authority, Ballot, Bilateral, Charter, Predicate, Sponsors, Threshold
from ledger.governance.rules import Rules, strong, weak
from ledger.schema import DAY
from tests.ledger.governance.honest import Cached
from tests.ledger.governance.polity import Polity
from tests.worlds import LATER, NOW, Member, Scribe, key, octets

CHARTER = octets("charter")
AUTHORITY = key("authority")


def mesh(rules: Rules | Predicate, founders: int = 4, name: str = "none") -> Cached:
    """Return a mesh that begins with these rules."""
    made = rules if isinstance(rules, Rules) else Rules(frame=name, admission=rules)
    return Cached(("policies", made.encode()), founders=founders, policy=Policy(frame=made.frame, rules=made.encode()))


def apply(
    world: Polity, inviter: Member, *, charter: bytes | None = None, expires: int = LATER
) -> tuple[Member, Entry]:
    """Let somebody apply, in the inviter's feed, with its device certified."""
    number = len(world.members)
    root, device = key(world.label, "root", number), key(world.label, "device", number, 1)
    member = Member(root, (root.kid, 1), [Scribe(device, world.mesh_id)])
    world.members.append(member)
    payload = {"incarnation": 1, "inviter": list(inviter.party), "device": device.kid, "expires": expires}
    if charter is not None:
        payload["charter"] = charter
    seen = (inviter.scribe.head(),)
    application = world.sign(root, "member.apply", ("member", root.kid), payload, seen=seen)
    inviter.scribe.add(application.raw, world.certificate(member, device).raw)
    return member, application


def credit(
    world: Polity,
    scribe: Scribe,
    kid: bytes,
    *,
    serial: bytes = b"1",
    by: object = None,
    valid: tuple[int, int] = (0, LATER),
) -> Entry:
    """Register a credential."""
    signer = AUTHORITY if by is None else key(by)
    payload = {"serial": serial, "valid": list(valid)}
    entry = world.sign(signer, "member.credential", ("member", kid), payload, seen=(scribe.head(),))
    scribe.add(entry.raw)
    return entry


def is_in(world: Cached, member: Member) -> bool:
    """Say whether somebody is a member; the open fold and a seal of it must agree."""
    return world.governed().is_member(member.party)


# Frames


@pytest.mark.covers("R37", "R126")
def test_m3_weak_takes_in_who_accepts_the_very_version_of_the_charter() -> None:
    world = mesh(weak(CHARTER))
    alice = world.members[0]
    for charter, expected in ((None, False), (octets("another version"), False), (CHARTER, True)):
        guest, application = apply(world, alice, charter=charter)
        world.admission(alice.scribe, application)
        assert is_in(world, guest) is expected


def test_m3_weak_may_ask_for_sponsors_beside_the_charter() -> None:
    world = mesh(weak(CHARTER, sponsors=2))
    alice, bob, *_ = world.members
    guest, application = apply(world, alice, charter=CHARTER)
    world.admission(alice.scribe, application)
    assert not is_in(world, guest)
    world.sponsor(bob, application.id, guest)
    assert is_in(world, guest)


@pytest.mark.covers("R33", "R34")
@pytest.mark.parametrize("fault", ["", "stranger", "late", "early", "revoked", "another's"])
def test_m3_strong_takes_in_whom_a_listed_authority_credits_in_time(fault: str) -> None:
    world = mesh(strong([AUTHORITY.public], revoked=[b"1"] if fault == "revoked" else []))
    alice, bob, *_ = world.members
    guest, _ = apply(world, alice)
    by = "a stranger" if fault == "stranger" else None
    valid = {"late": (0, NOW), "early": (NOW + DAY, LATER)}.get(fault, (0, LATER))
    kid = octets("another") if fault == "another's" else guest.root.kid
    credit(world, bob.scribe, kid, by=by, valid=valid)
    assert is_in(world, guest) is (fault == "")


def test_m3_a_credential_before_the_application_does_too_and_admission_alone_does_not() -> None:
    world = mesh(strong([AUTHORITY.public]))
    alice = world.members[0]
    number = len(world.members)
    credit(world, alice.scribe, key(world.label, "root", number).kid)
    guest, application = apply(world, alice)
    assert is_in(world, guest)
    other, application = apply(world, alice)
    world.admission(alice.scribe, application)
    assert not is_in(world, other)


def test_m3_a_credential_in_time_when_it_is_sealed_needs_no_renewal() -> None:
    world = mesh(strong([AUTHORITY.public]))
    alice = world.members[0]
    guest, _ = apply(world, alice)
    credit(world, alice.scribe, guest.root.kid, valid=(0, NOW + DAY))
    world.seal()
    world.seal(hours=72)
    assert is_in(world, guest)
    late, _ = apply(world, alice)
    credit(world, alice.scribe, late.root.kid, serial=b"2", valid=(0, NOW + DAY))
    assert not is_in(world, late), "governance time has passed its end"


@pytest.mark.parametrize(("hours", "admitted"), [(1, True), (3, False)])
def test_m3_an_application_that_lapsed_in_governance_time_is_let_in_by_no_credential_and_no_ballot(
    hours: int, admitted: bool
) -> None:
    world = mesh(AnyOf((Authority((AUTHORITY.public,)), Ballot())))
    alice = world.members[0]
    applied = [apply(world, alice, expires=NOW + 2 * 3_600) for _ in range(2)]
    world.seal(hours=hours)
    credit(world, alice.scribe, applied[0][0].root.kid)
    proposal = world.propose(alice, "admit", application=applied[1][1].id)
    world.vote(world.members[:3], proposal)
    assert [is_in(world, guest) for guest, _ in applied] == [admitted] * 2


def test_m3_a_credential_revoked_by_ballot_takes_the_membership() -> None:
    world = mesh(strong([AUTHORITY.public]))
    alice, *_ = world.members
    guest, _ = apply(world, alice)
    credit(world, alice.scribe, guest.root.kid)
    world.seal()
    assert is_in(world, guest)
    rules = strong([AUTHORITY.public], revoked=[b"1"])
    world.vote(world.members[:3], world.propose(alice, "policy", rules=rules.encode()))
    assert is_in(world, guest), "rules change at the next seal"
    world.seal()
    assert not is_in(world, guest)
    assert world.governed().members[guest.root.kid].state == "revoked"
    assert not world.governed().speaks(guest.scribe.feed)


def test_m3_a_credential_beyond_its_registrars_cut_is_void_until_registered_elsewhere() -> None:
    world = mesh(strong([AUTHORITY.public]))
    *others, dave = world.members
    cut = len(dave.scribe.raws)
    guest, _ = apply(world, others[0])
    credential = credit(world, dave.scribe, guest.root.kid)
    assert is_in(world, guest)
    world.vote(others, world.expel(others[0], dave, cut=cut))
    assert not is_in(world, guest)
    others[1].scribe.add(credential.raw)
    assert is_in(world, guest)


# Sponsors, ballots, combinations


def test_m3_sponsors_are_distinct_voices() -> None:
    world = mesh(Sponsors(2))
    alice, bob, *_ = world.members
    guest, application = apply(world, alice)
    for _ in range(2):
        world.sponsor(alice, application.id, guest)
    assert not is_in(world, guest)
    world.sponsor(bob, application.id, guest)
    assert is_in(world, guest)


def test_m3_affiliated_sponsors_have_one_voice() -> None:
    label = ("affiliates", 0)
    kids = [key(label, "root", i).kid for i in range(2)]
    rules = Rules(admission=Sponsors(2), affiliations=(tuple(kids),))
    world = Cached(label, policy=Policy(rules=rules.encode()))
    alice, bob, carol, _ = world.members
    guest, application = apply(world, alice)
    world.sponsor(alice, application.id, guest)
    world.sponsor(bob, application.id, guest)
    assert not is_in(world, guest)
    world.sponsor(carol, application.id, guest)
    assert is_in(world, guest)


def test_m3_who_keeps_fewer_than_k_sponsors_through_the_cuts_is_out_until_it_is_sealed() -> None:
    for sealed in (False, True):
        world = mesh(Sponsors(2))
        alice, bob, carol, dave = world.members
        cut = len(dave.scribe.raws)
        guest, application = apply(world, alice)
        world.sponsor(alice, application.id, guest)
        world.sponsor(dave, application.id, guest)
        if sealed:
            world.seal()
        world.vote((alice, bob, carol), world.expel(alice, dave, cut=cut))
        assert is_in(world, guest) is sealed, "a cut never reaches below the sealed frontier"


def test_m3_a_sponsor_names_the_applicant_and_no_former_self_vouches() -> None:
    world = mesh(Bilateral())
    alice, bob, *_ = world.members
    guest, application = apply(world, alice)
    world.sponsor(bob, application.id, Member(guest.root, (guest.root.kid, 2)))
    world.sponsor(bob, application.id, bob)
    assert not is_in(world, guest)
    again = world.join(bob, incarnation=2, again=bob)
    assert not is_in(world, again), "bob cannot take bob in"
    assert is_in(world, bob)


def test_m3_a_ballot_admits_at_once_and_for_its_share() -> None:
    world = mesh(Ballot((2, 3)))
    alice, bob, carol, _ = world.members
    guest, application = apply(world, alice)
    proposal = world.propose(alice, "admit", application=application.id)
    world.vote((alice, bob), proposal)
    assert not is_in(world, guest)
    world.vote((carol,), proposal)
    assert is_in(world, guest)
    assert world.seal().results == {}, "the ballot stays open until its deadline"
    assert is_in(world, guest)
    assert world.seal(hours=8 * 24).results[proposal.id].passed


@pytest.mark.parametrize(
    ("predicate", "needs"),
    [
        (AllOf((Bilateral(), Charter(CHARTER))), {"admit", "charter"}),
        (AnyOf((Charter(CHARTER), Authority((AUTHORITY.public,)))), {"credential"}),
        (Threshold(2, (Bilateral(), Charter(CHARTER), Authority((AUTHORITY.public,)))), {"charter", "credential"}),
    ],
)
def test_m3_combinations_hold_as_their_parts_do(predicate: Predicate, needs: set[str]) -> None:
    for left_out in (None, *sorted(needs)):
        world = mesh(predicate)
        alice = world.members[0]
        given = needs - {left_out}
        guest, application = apply(world, alice, charter=CHARTER if "charter" in given else None)
        if "admit" in given:
            world.admission(alice.scribe, application)
        if "credential" in given:
            credit(world, alice.scribe, guest.root.kid)
        assert is_in(world, guest) is (left_out is None), left_out


def test_m3_an_application_that_waited_is_judged_by_the_rules_of_the_epoch() -> None:
    world = mesh(Sponsors(2))
    alice, *_ = world.members
    guest, application = apply(world, alice)
    world.sponsor(alice, application.id, guest)
    world.vote(world.members[:3], world.propose(alice, "policy", rules=Rules().encode()))
    assert not is_in(world, guest)
    world.seal()
    assert is_in(world, guest), "one member's acceptance is enough now"


# Rules change by ballot, at the next seal, and nothing is reset


@pytest.mark.covers("R38", "R39")
def test_raising_the_frame_keeps_everybody_and_holds_newcomers_to_it() -> None:
    world = mesh(Rules())
    alice, bob, carol, _ = world.members
    before, application = apply(world, alice)
    world.admission(alice.scribe, application)
    world.link("link.offer", alice, bob)
    world.link("link.accept", bob, alice)
    world.seal()
    world.vote((alice, bob, carol), world.propose(bob, "policy", rules=weak(CHARTER).encode()))
    during, application = apply(world, alice)
    world.admission(alice.scribe, application)
    assert is_in(world, during), "the old rules hold until the seal"
    assert world.seal().rules == weak(CHARTER)
    after, application = apply(world, alice)
    world.admission(alice.scribe, application)
    members = world.governed()
    assert [members.is_member(each.party) for each in (before, during, after)] == [True, True, False]
    assert members.link_up(alice.party, bob.party)
    assert {m.party for m in world.members[:4]} == set(members.voters)


def test_a_ballot_without_its_share_changes_nothing() -> None:
    world = mesh(Rules(shares=(("policy", (3, 4)),)))
    proposal = world.propose(world.members[0], "policy", rules=weak(CHARTER).encode())
    world.vote(world.members[:3], proposal)
    assert world.seal().rules.frame == "none"
    world.vote(world.members[3:], proposal)
    assert world.seal().rules.frame == "weak"


def test_rules_that_are_none_open_no_ballot() -> None:
    world = mesh(Rules())
    proposal = world.propose(world.members[0], "policy", rules=b"\xa0")
    world.vote(world.members, proposal)
    after = world.seal()
    assert after.rules == Rules()
    assert proposal.id not in after.proposals


def test_charter_and_evaluator_change_at_the_next_seal_and_an_unknown_evaluator_halts() -> None:
    world = mesh(Rules())
    alice, *_ = world.members
    world.vote(world.members, world.propose(alice, "charter", charter=CHARTER))
    assert world.tip().charter is None
    assert world.seal().charter == CHARTER
    world.vote(world.members, world.propose(alice, "evaluator", evaluator_version=2))
    assert not world.governed().halted
    assert world.seal().evaluator == 2
    members = world.governed()
    assert "upgrade" in members.halted
    assert not members.link_up(alice.party, world.members[1].party)
    assert not members.link_up(alice.party, alice.party)


def test_of_two_ballots_on_one_act_the_better_supported_takes_effect_and_no_id_breaks_a_tie() -> None:
    for extra in (False, True):
        world = mesh(Rules(), founders=5)
        alice, bob, *_ = world.members
        first = world.propose(alice, "charter", charter=octets("one"))
        second = world.propose(bob, "charter", charter=octets("other"))
        world.vote(world.members[:3], first)
        world.vote(world.members[: 3 + extra], second)
        after = world.seal()
        assert after.charter == (octets("other") if extra else None)
        assert set(after.results) == ({first.id, second.id} if extra else set())
        assert world.seal(hours=200).charter == after.charter, "the ballot that was beaten never takes effect later"


# Invitations


def test_m3_invitations_are_counted_by_days_of_governance_time() -> None:
    world = mesh(Rules(invitations_a_day=2))
    alice = world.members[0]
    world.seal()
    guests = []
    for day in range(3):
        world.now += day * DAY  # the entry's own date is not asked
        guests.append(world.join(alice))
    assert [is_in(world, guest) for guest in guests] == [True, True, False]
    world.seal(hours=30)
    assert is_in(world, world.join(alice))


def test_m3_a_backdated_epoch_does_not_make_room_for_invitations() -> None:
    world = mesh(Rules(invitations_a_day=1))
    alice = world.members[0]
    first = world.epoch
    world.seal()
    world.join(alice)
    world.seal(hours=30)
    world.join(alice)
    world.epoch = first  # M7: alice has named a later one
    assert not is_in(world, world.join(alice))
