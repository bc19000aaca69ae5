"""Bundles made from nothing by people who hold members' keys: each has exactly one fault, and one reason names it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from ledger import codec
from ledger.checkpoint import Head, sign_head
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.replica import digest_of
from proofs.bundle import HASHES_MAX, Bundle, SignedCheckpoint
from proofs.frontiers import check_extends
from proofs.report import Reason
from proofs.state import ConsentValue, Refused, TickEvidence
from tests.proofs.forge import BOUNDARY, NOW, Forge
from tests.proofs.mesh import Party


def test_the_forge_makes_good_bundles_until_it_is_bent() -> None:
    report = Forge().verify()
    assert report.reason is Reason.ACTIVE, report.as_text()


def other_mesh(forge: Forge) -> None:
    forge.carry(forge.entry(forge.mesh.c.root, "member.apply", *application(forge), mesh_id=bytes(32), governs=True))


def application(forge: Forge) -> tuple[tuple[str, bytes], dict[str, Any]]:
    payload = {
        "incarnation": 1,
        "inviter": [forge.mesh.a.root.kid, 1],
        "device": forge.mesh.c.device.kid,
        "expires": NOW,
    }
    return ("member", forge.mesh.c.root.kid), payload


def second_grant(forge: Forge) -> None:
    forge.carry(forge.mesh.grant().entry.raw)


def other_kind(forge: Forge) -> None:
    forge.carry(forge.entry(forge.mesh.a.device, "genesis.accept", ("member", forge.mesh.a.root.kid), {}, governs=True))


def unused_application(forge: Forge) -> None:
    forge.carry(forge.entry(forge.mesh.c.root, "member.apply", *application(forge), governs=True))


def unused_certificate(forge: Forge) -> None:
    forge.carry(forge.certify(forge.mesh.b))


def certified_twice(forge: Forge) -> None:
    forge.carry(forge.certify(forge.mesh.a))


def without_possession(forge: Forge) -> None:
    forge.leaves[1] = forge.carried[1] = forge.certify(forge.mesh.a, possession=bytes(64))


def by_another_root(forge: Forge) -> None:
    forge.leaves[1] = forge.carried[1] = forge.certify(forge.mesh.a, by=forge.mesh.b.root)


def without_certificate(forge: Forge) -> None:
    del forge.carried[1]


def unended(forge: Forge) -> None:
    """A withdrawal is carried that the state does not know."""
    payload = {"grant": forge.grant.raw}
    forge.carry(forge.entry(forge.withdraw_key, "consent.withdraw", forge.grant.thing, payload))


def end_not_carried(forge: Forge) -> None:
    forge.consent[0], forge.consent[3] = 3, [bytes(32)]


def withdrawn_by_a_stranger(forge: Forge) -> None:
    raw = forge.entry(forge.mesh.c.root, "consent.withdraw", forge.grant.thing, {"grant": forge.grant.raw})
    forge.consent[0], forge.consent[3] = 3, [Entry.parse(raw).id]
    forge.carry(raw)


def withdrawal_of_another_consent(forge: Forge) -> None:
    other = forge.mesh.grant()
    raw = forge.entry(other.withdraw, "consent.withdraw", other.entry.thing, {"grant": other.entry.raw})
    forge.consent[0], forge.consent[3] = 3, [Entry.parse(raw).id]
    forge.carry(raw)


def withdrawal(forge: Forge, seen: Head | None = None) -> bytes:
    """Return a sound withdrawal, and let the state know it."""
    payload = {"grant": forge.grant.raw}
    raw = forge.entry(forge.withdraw_key, "consent.withdraw", forge.grant.thing, payload, seen=seen)
    forge.consent[0], forge.consent[3] = 3, [Entry.parse(raw).id]
    return raw


def withdrawal_above_the_frontier(forge: Forge) -> None:
    forge.late.append(withdrawal(forge))


def checkpoint_of_nobody(forge: Forge) -> None:
    """What the withdrawal has seen is shown by the checkpoint of one who is no member."""
    stranger = Party("Ombre", random.Random(9))
    head = Head(stranger.device.kid, 9, bytes(32))
    forge.carry(withdrawal(forge, seen=head))
    forge.carry(forge.certify(stranger))
    signature = sign_head(stranger.device, forge.mesh_id, head, BOUNDARY, stranger.device.kid)
    forge.more_checkpoints.append(SignedCheckpoint(head, BOUNDARY, signature))


def revoked_by_a_stranger(forge: Forge) -> None:
    payload = {"grant": forge.grant.id, "reason_code": "error"}
    raw = forge.entry(forge.mesh.c.device, "consent.revoke", forge.grant.thing, payload)
    forge.consent[0], forge.consent[3] = 4, [Entry.parse(raw).id]
    forge.carry(raw)


def other_record(forge: Forge) -> None:
    forge.consent[1] = bytes(16)


def other_end(forge: Forge) -> None:
    forge.consent[2] += 86_400


def decided_by_another(forge: Forge) -> None:
    forge.consent[3] = [bytes(32)]


def unknown_state(forge: Forge) -> None:
    forge.consent[0] = 5


def member_of_another_shape(forge: Forge) -> None:
    forge.members[forge.mesh.b.root.kid] = [1, 1, True, []]


def attested_as_another(name: str, value: Any) -> Callable[[Forge], None]:
    def bend(forge: Forge) -> None:
        forge.told[name] = value

    return bend


def attested_too_early(forge: Forge) -> None:
    forge.attested_at = BOUNDARY - 1


def attested_from_elsewhere(forge: Forge) -> None:
    forge.attested_from = Head(forge.mesh.b.device.kid, 1, bytes(32))


def attested_by_one_who_left(forge: Forge) -> None:
    forge.members[forge.mesh.a.root.kid][1] = False


def feed_of_nobody(forge: Forge) -> None:
    forge.members[forge.mesh.a.root.kid][3] = []


def other_incarnation(forge: Forge) -> None:
    forge.members[forge.mesh.a.root.kid][0] = 2


def head_dated_after_the_boundary(forge: Forge) -> None:
    forge.head_time = BOUNDARY + 1


def rules_of_another_mesh(forge: Forge) -> None:
    forge.evaluator = 2


def grant_above_the_frontier(forge: Forge) -> None:
    forge.leaves.append(forge.leaves.pop(0))
    real = forge.parts

    def moved() -> Bundle:
        """Log the grant again after the tick, and show that place."""
        made = real()
        tick = made.ticks[0]
        elsewhere = Head(forge.mesh.a.device.kid, tick.frontier[0].size, bytes(32))
        return replace(made, ticks=(replace(tick, frontier=(elsewhere,)),))

    forge.parts = moved  # type: ignore[method-assign]
    forge.told["frontier"] = digest_of([Head(forge.mesh.a.device.kid, len(forge.leaves), bytes(32))])


def stranger_among_the_members(forge: Forge) -> None:
    forge.members[bytes(32)] = [1, True, False, []]
    forge.shown = sorted(forge.members)


FAULTS: Final[tuple[tuple[Callable[[Forge], None], Reason], ...]] = (
    (other_mesh, Reason.WRONG_MESH),
    (second_grant, Reason.MALFORMED),
    (other_kind, Reason.UNREFERENCED_ITEM),
    (unused_application, Reason.UNREFERENCED_ITEM),
    (unused_certificate, Reason.UNREFERENCED_ITEM),
    (certified_twice, Reason.UNREFERENCED_ITEM),
    (without_possession, Reason.BAD_SIGNATURE),
    (by_another_root, Reason.BAD_STATE_PROOF),
    (without_certificate, Reason.BAD_SIGNATURE),
    (unended, Reason.UNREFERENCED_ITEM),
    (end_not_carried, Reason.BAD_STATE_PROOF),
    (withdrawn_by_a_stranger, Reason.BAD_SIGNATURE),
    (withdrawal_of_another_consent, Reason.UNREFERENCED_ITEM),
    (withdrawal_above_the_frontier, Reason.BAD_INCLUSION),
    (checkpoint_of_nobody, Reason.BAD_STATE_PROOF),
    (revoked_by_a_stranger, Reason.BAD_STATE_PROOF),
    (other_record, Reason.BAD_STATE_PROOF),
    (other_end, Reason.BAD_STATE_PROOF),
    (decided_by_another, Reason.BAD_STATE_PROOF),
    (unknown_state, Reason.BAD_STATE_PROOF),
    (member_of_another_shape, Reason.BAD_STATE_PROOF),
    (attested_as_another("boundary", BOUNDARY + 1), Reason.BAD_SIGNATURE),
    (attested_as_another("frontier", bytes(32)), Reason.BAD_SIGNATURE),
    (attested_as_another("state_root", bytes(32)), Reason.BAD_SIGNATURE),
    (attested_too_early, Reason.BAD_STATE_PROOF),
    (attested_from_elsewhere, Reason.BAD_STATE_PROOF),
    (attested_by_one_who_left, Reason.BAD_STATE_PROOF),
    (feed_of_nobody, Reason.BAD_STATE_PROOF),
    (other_incarnation, Reason.BAD_STATE_PROOF),
    (head_dated_after_the_boundary, Reason.BAD_STATE_PROOF),
    (rules_of_another_mesh, Reason.BAD_STATE_PROOF),
    (grant_above_the_frontier, Reason.BAD_INCLUSION),
    (stranger_among_the_members, Reason.UNREFERENCED_ITEM),
)
"""How to bend the forge, and the one name of the fault; the catalogue of negatives takes these in."""


@pytest.mark.parametrize(("bend", "reason"), FAULTS)
def test_one_fault_has_one_name(bend: Callable[[Forge], None], reason: Reason) -> None:
    forge = Forge()
    bend(forge)
    report = forge.verify()
    assert report.reason is reason, report.as_text()
    assert not report.claims
    assert report.level is None


def test_nobody_who_was_never_let_in_counts() -> None:
    """A stranger makes a mesh state of her own below the true genesis: all fits, and nobody rooted attests it."""
    forge = Forge()
    stranger = Party("Ombre", random.Random(9))
    forge.mesh.a.root, forge.mesh.a.device = stranger.root, stranger.device
    forge.leaves[1] = forge.carried[1] = forge.certify(stranger)
    forge.members[stranger.root.kid] = [1, True, True, [stranger.device.kid]]
    forge.shown = sorted(forge.members)
    report = forge.verify()
    assert report.reason is Reason.INSUFFICIENT_WITNESSES, report.as_text()
    assert "status" not in report.claims


@pytest.mark.parametrize(
    "bend",
    [
        lambda made: replace(made, checkpoints=(*made.checkpoints, extra_checkpoint(made))),
        lambda made: replace(made, checkpoints=(extra_checkpoint(made), *made.checkpoints)),
        lambda made: replace(made, entries=made.entries[::-1]),
        lambda made: replace(made, disclosures=((0, made.disclosures[0][1][::-1]),)),
        lambda made: replace(made, disclosures=((0, (*made.disclosures[0][1], made.disclosures[0][1][-1])),)),
        lambda made: replace(made, disclosures=(*made.disclosures, *made.disclosures)),
        lambda made: replace(made, disclosures=((1, made.disclosures[0][1]),)),
        lambda made: replace(made, ticks=(replace(made.ticks[0], members=made.ticks[0].members[::-1]),)),
        lambda made: replace(made, ticks=(made.ticks[0], made.ticks[0])),
    ],
)
def test_there_is_one_order_and_nothing_stands_twice(bend: Callable[[Bundle], Bundle]) -> None:
    forge = Forge()
    report = forge.verify(bend(forge.parts()).encode())
    assert report.reason in (Reason.MALFORMED, Reason.BAD_STATE_PROOF, Reason.UNREFERENCED_ITEM), report.as_text()
    assert report.exit_code == 1


def extra_checkpoint(made: Bundle) -> SignedCheckpoint:
    """Return a checkpoint that is signed well and holds nothing."""
    forge = Forge()
    device = forge.mesh.a.device
    head = Head(device.kid, 9, bytes(32))
    assert device.kid == made.checkpoints[0].head.feed
    return SignedCheckpoint(head, BOUNDARY, sign_head(device, forge.mesh_id, head, BOUNDARY, device.kid))


def test_an_unnamed_hash_is_refused() -> None:
    forge = Forge()
    value: Any = codec.decode(forge.bundle(), max_bytes=1 << 20)
    value[3] = value[3] + b"\xff" * 32
    assert forge.verify(codec.encode(value)).reason is Reason.UNREFERENCED_ITEM


def renumbered(value: Any, number: Callable[[int], int]) -> None:
    """Rename every hash of a decoded bundle."""

    def path(nodes: list[int]) -> list[int]:
        return [number(node) for node in nodes]

    def place(held: list[Any]) -> list[Any]:
        return [*held[:3], path(held[3]), path(held[4])]

    value[5] = [[*item[:3], path(item[3])] for item in value[5]]
    value[6] = [[number(feed), size, number(root), *rest] for feed, size, root, *rest in value[6]]
    for tick in value[7]:
        tick[2] = [[number(feed), size, number(root)] for feed, size, root in tick[2]]
        tick[3][1], tick[4][1] = number(tick[3][1]), number(tick[4][1])
        tick[6] = [[grant, place(held)] for grant, held in tick[6]]
        tick[7] = [[number(kid), place(held)] for kid, held in tick[7]]
        for each in tick[8]:
            each[0] = number(each[0])
            each[3] = [[number(feed), size, number(root)] for feed, size, root in each[3]]


def test_the_table_of_hashes_has_one_order() -> None:
    forge = Forge()
    value: Any = codec.decode(forge.bundle(), max_bytes=1 << 20)
    table = [value[3][at : at + 32] for at in range(0, len(value[3]), 32)]
    renumbered(value, lambda at: at)
    assert forge.verify(codec.encode(value)).exit_code == 0
    value[3] = b"".join(reversed(table))
    renumbered(value, lambda at: len(table) - 1 - at)
    assert forge.verify(codec.encode(value)).reason is Reason.MALFORMED


@pytest.mark.parametrize("more", [b"\xff", b"".join(at.to_bytes(32, "big") for at in range(HASHES_MAX))])
def test_the_table_of_hashes_is_whole_and_bounded(more: bytes) -> None:
    forge = Forge()
    value: Any = codec.decode(forge.bundle(), max_bytes=1 << 20)
    report = forge.verify(codec.encode({**value, 3: value[3] + more}))
    assert report.reason is Reason.MALFORMED
    assert "hashes of 32 bytes" in report.message


def tick_of(sizes: dict[bytes, Head], state: State) -> TickEvidence:
    """Return a tick with a frontier and a state."""
    consent = ConsentValue(state, (bytes(32),), NOW)
    return TickEvidence(BOUNDARY, sizes, bytes(32), bytes(32), {0: consent}, {}, frozenset(), frozenset())


def test_a_second_tick_may_not_take_back() -> None:
    feed, other = bytes(32), b"\x01" * 32
    older = tick_of({feed: Head(feed, 5, bytes(32))}, State.GRANTED)
    for head in (Head(feed, 5, bytes(32)), Head(feed, 6, other)):
        check_extends(older, tick_of({feed: head}, State.GRANTED))
    for frontier in ({}, {feed: Head(feed, 4, bytes(32))}, {feed: Head(feed, 5, other)}):
        with pytest.raises(Refused, match="takes back what feed"):
            check_extends(older, tick_of(frontier, State.GRANTED))
    ended = tick_of({}, State.REVOKED)
    check_extends(ended, tick_of({}, State.WITHDRAWN))
    for state in (State.GRANTED, State.INCOMPLETE):
        with pytest.raises(Refused, match="takes back the end"):
            check_extends(ended, tick_of({}, state))


def test_a_party_without_its_proof_is_not_shown() -> None:
    forge = Forge()
    forge.shown = [forge.mesh.a.root.kid]
    report = forge.verify()
    assert report.reason is Reason.MEMBERSHIP_NOT_SHOWN, report.as_text()
    assert "recipient" in report.message
