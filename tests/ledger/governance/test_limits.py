"""What a member may pile up: what cannot count any more is not kept, and no instruction is followed for ever."""

from __future__ import annotations

import pytest

from ledger.governance.certificate import Step
from ledger.governance.rounds import Message, sign_message
from ledger.governance.tally import DELEGATION_STEPS_MAX
from ledger.governance.voting import OPEN_A_VOTER_MAX
from tests.ledger.governance.honest import Cached
from tests.worlds import octets


def pending(world: Cached) -> list[str]:
    """Return the kinds of what the newest epoch keeps looking at."""
    return sorted(each.entry.kind for each in world.tip().pending)


def test_a_sealed_statement_under_an_epoch_of_nowhere_is_not_looked_at_again() -> None:
    world = Cached()
    alice, *_, dave = world.members
    world.epoch = octets("nowhere")
    for _ in range(10):
        world.link("link.offer", dave, alice)
    world.vote([dave] * 3, world.propose(dave, "charter", charter=octets("text")))
    world.epoch = world.mesh_id
    world.seal()
    assert pending(world) == []


def test_a_vote_on_what_was_never_proposed_waits_no_longer_than_a_ballot_can_last() -> None:
    world = Cached()
    for _ in range(3):
        world.write(world.members[3].scribe, "vote", ("ballot", octets("no proposal")), {"choice": "yes"})
    world.seal()
    assert pending(world) == ["vote"] * 3
    world.seal(hours=24 * 91)
    assert pending(world) == []


def test_evidence_that_shows_nothing_is_looked_at_once() -> None:
    world = Cached()
    before, dave = world.tip(), world.members[3]
    place = before.context.index(dave.party[0])
    assert place is not None
    unsigned = Message(place, 0, Step.PREPARE, octets("seal"), -1, b"")
    raw = sign_message(dave.scribe.device.sign, before.context, unsigned).encode(before.context)
    for messages in ([raw, raw], [raw, b"garbage"]):
        payload = {"epoch": before.reference, "messages": messages}
        world.write(dave.scribe, "seal.evidence", ("feed", dave.scribe.feed), payload)
    payload = {"epoch": octets("nowhere"), "messages": [raw, raw]}
    world.write(dave.scribe, "seal.evidence", ("feed", dave.scribe.feed), payload)
    world.seal()
    assert pending(world) == ["seal.evidence"]
    assert not world.governed().forks


@pytest.mark.parametrize("steps", [DELEGATION_STEPS_MAX, DELEGATION_STEPS_MAX + 1])
def test_a_delegation_is_followed_so_many_steps(steps: int) -> None:
    world = Cached(founders=steps + 1)
    for member, to in zip(world.members, world.members[1:], strict=False):
        payload = {"to": list(to.party)}
        world.write(member.scribe, "vote.delegate", ("member", member.root.kid), payload)
    world.seal()
    proposal = world.propose(world.members[0], "charter", charter=octets("text"))
    world.vote([world.members[-1]], proposal)
    count = world.chain().open(world.tip(), world.view()).count
    assert len(count.tallies[proposal.id].carried) == min(steps, DELEGATION_STEPS_MAX)


def test_delegations_in_a_circle_carry_nothing() -> None:
    world = Cached()
    for member, to in zip(world.members[:3], [*world.members[1:3], world.members[0]], strict=True):
        world.write(member.scribe, "vote.delegate", ("member", member.root.kid), {"to": list(to.party)})
    world.seal()
    proposal = world.propose(world.members[0], "charter", charter=octets("text"))
    world.vote([world.members[3]], proposal)
    count = world.chain().open(world.tip(), world.view()).count
    assert count.tallies[proposal.id].yes == 1
    assert count.tallies[proposal.id].carried == ()


def test_proposals_beyond_the_cap_are_not_kept() -> None:
    world = Cached()
    for number in range(5 * OPEN_A_VOTER_MAX):
        world.propose(world.members[3], "charter", charter=octets(number))
    assert len(world.seal().proposals) == OPEN_A_VOTER_MAX
    assert pending(world) == []
