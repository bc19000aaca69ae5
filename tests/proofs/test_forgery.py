"""Bundles made from nothing by people who hold members' keys: each has exactly one fault, and one reason names it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ledger import codec
from ledger.checkpoint import Head, sign_head
from ledger.entry import Entry
from ledger.replica import digest_of
from proofs.bundle import Bundle, SignedCheckpoint
from proofs.report import Reason
from proofs.verify import verify
from tests.proofs.forge import BOUNDARY, NOW, Forge
from tests.proofs.mesh import Mesh, Party


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
    forge.carry(forge.entry(other.withdraw, "consent.withdraw", other.entry.thing, {"grant": other.entry.raw}))


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
    forge.attested_from = 0


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


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
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
        (revoked_by_a_stranger, Reason.BAD_STATE_PROOF),
        (other_record, Reason.BAD_STATE_PROOF),
        (other_end, Reason.BAD_STATE_PROOF),
        (decided_by_another, Reason.BAD_STATE_PROOF),
        (unknown_state, Reason.BAD_STATE_PROOF),
        (member_of_another_shape, Reason.BAD_STATE_PROOF),
        (attested_as_another("boundary", BOUNDARY + 1), Reason.BAD_STATE_PROOF),
        (attested_as_another("frontier", bytes(32)), Reason.BAD_STATE_PROOF),
        (attested_as_another("state_root", bytes(32)), Reason.BAD_STATE_PROOF),
        (attested_too_early, Reason.BAD_STATE_PROOF),
        (attested_from_elsewhere, Reason.BAD_STATE_PROOF),
        (attested_by_one_who_left, Reason.BAD_STATE_PROOF),
        (feed_of_nobody, Reason.BAD_STATE_PROOF),
        (other_incarnation, Reason.BAD_STATE_PROOF),
        (head_dated_after_the_boundary, Reason.BAD_STATE_PROOF),
        (rules_of_another_mesh, Reason.BAD_STATE_PROOF),
        (grant_above_the_frontier, Reason.BAD_INCLUSION),
        (stranger_among_the_members, Reason.UNREFERENCED_ITEM),
    ],
)
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
        lambda made: replace(made, checkpoints=(made.checkpoints[0], made.checkpoints[1], extra_checkpoint(made))),
        lambda made: replace(made, checkpoints=made.checkpoints[::-1]),
        lambda made: replace(made, entries=(made.entries[0], *made.entries[:0:-1])),
        lambda made: replace(made, disclosures=made.disclosures[::-1]),
        lambda made: replace(made, disclosures=(*made.disclosures, made.disclosures[-1])),
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


def test_a_second_tick_may_not_take_back() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    made = Bundle.decode(mesh.prove(grant, first=first))
    backwards = tuple(
        replace(tick, boundary=boundary)
        for tick, boundary in zip(made.ticks[::-1], (tick.boundary for tick in made.ticks), strict=True)
    )
    report = verify(replace(made, ticks=backwards).encode(), mesh.trust(), mesh.now)
    assert report.exit_code == 1
