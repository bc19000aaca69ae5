"""Row e: epochs from the genesis or a pinned one, steps left out, voters as witnesses; each fault has one name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from ledger.errors import LocalError
from proofs import reading
from proofs.bundle import Bundle
from proofs.policy import MemberQuorum
from proofs.reasons import Reason
from tests.proofs.both import verify
from tests.proofs.mesh import Grant, Mesh


@cache
def sealed() -> tuple[Mesh, Grant, tuple[bytes, ...]]:
    """A mesh of three epochs, Cime being a voter from the first on; returns it with a grant and their references."""
    mesh = Mesh()
    grant = mesh.grant()
    references = [mesh.seal(mesh.a, mesh.b)]
    references += [mesh.seal(mesh.a, mesh.b, mesh.c) for _ in range(2)]
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    return mesh, grant, tuple(references)


def test_a_chain_from_the_genesis_leaves_out_what_changes_no_voter() -> None:
    mesh, grant, references = sealed()
    bundle = mesh.prove(grant, witnesses=3)
    report = verify(bundle, mesh.trust(policy=MemberQuorum(3)), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()
    assert [step["number"] for step in report.claims["epochs"]] == [1, 3]
    assert report.claims["epochs"][-1]["hash"] == references[2].hex()
    assert not any(b"device.certify" in item.raw for item in reading.decode(bundle).entries), "voters need none"


def test_a_pinned_epoch_spares_the_chain() -> None:
    mesh, grant, references = sealed()
    for at, numbers in ((0, [1, 3]), (2, [3])):
        bundle = mesh.prove(grant, epoch=references[at], witnesses=3)
        report = verify(bundle, mesh.trust(policy=MemberQuorum(3), epoch=references[at]), mesh.now)
        assert report.reason is Reason.ACTIVE, report.as_text()
        assert [step["number"] for step in report.claims["epochs"]] == numbers


def test_a_chain_must_pass_through_the_epoch_that_is_pinned() -> None:
    mesh, grant, references = sealed()
    whole, bare = mesh.prove(grant), mesh.prove(grant, epoch=references[2])
    older = mesh.prove(grant, epoch=references[0])
    for bundle, pinned, reason in (
        (whole, references[0], Reason.ACTIVE),
        (whole, references[2], Reason.ACTIVE),
        (whole, references[1], Reason.EPOCH_NOT_PINNED),
        (whole, bytes(32), Reason.EPOCH_NOT_PINNED),
        (bare, None, Reason.EPOCH_NOT_PINNED),
        (bare, references[1], Reason.EPOCH_NOT_PINNED),
        (older, references[2], Reason.EPOCH_NOT_PINNED),  # it begins before what is pinned, at nothing known
    ):
        report = verify(bundle, mesh.trust(epoch=pinned), mesh.now)
        assert report.reason is reason, report.as_text()
    with pytest.raises(LocalError, match="no such epoch"):
        mesh.prove(grant, epoch=bytes(32))


def bent(how: str) -> Bundle:
    """Return the bundle of `sealed` with one fault in its chain."""
    mesh, grant, _ = sealed()
    made = reading.decode(mesh.prove(grant, witnesses=3))
    first, last = made.epochs
    match how:
        case "the first step removed":
            return replace(made, epochs=(last,))
        case "the steps turned round":
            return replace(made, epochs=(last, first))
        case "a step twice":
            return replace(made, epochs=(first, first, last))
        case "a voter removed":
            return replace(made, epochs=(replace(first, voters=first.voters[1:]), last))
        case "a voter's key replaced":
            voters = (replace(first.voters[0], public=mesh.c.root.public), *first.voters[1:])
            return replace(made, epochs=(replace(first, voters=voters), last))
        case "a college made up":
            voters = (replace(first.voters[0], college="suppliers"), *first.voters[1:])
            return replace(made, epochs=(replace(first, voters=voters), last))
        case "a signature broken":
            raw = bytearray(last.certificate or b"")
            raw[-1] ^= 1
            return replace(made, epochs=(first, replace(last, certificate=bytes(raw))))
        case _:
            return replace(made, epochs=(first, replace(last, certificate=b"\x80")))


@pytest.mark.parametrize(
    "how",
    [
        "the first step removed",
        "the steps turned round",
        "a step twice",
        "a voter removed",
        "a voter's key replaced",
        "a college made up",
        "a signature broken",
        "no certificate",
    ],
)
def test_a_chain_with_a_fault_is_refused(how: str) -> None:
    mesh, _, _ = sealed()
    report = verify(bent(how).encode(), mesh.trust(policy=MemberQuorum(3)), mesh.now)
    assert report.reason is Reason.BAD_EPOCH, report.as_text()
    assert not report.claims


def test_without_its_chain_a_voter_needs_another_root() -> None:
    mesh, grant, _ = sealed()
    made = reading.decode(mesh.prove(grant, witnesses=3))
    report = verify(replace(made, epochs=()).encode(), mesh.trust(policy=MemberQuorum(3)), mesh.now)
    assert report.exit_code == 1, "nothing proves the devices' keys"


def test_a_voter_that_left_is_believed_on_its_own_word_alone() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    mesh.log(mesh.b, mesh.govern(mesh.b.device, "member.leave", ("member", mesh.b.root.kid), {}))
    mesh.sign(mesh.b)
    mesh.seal(mesh.a, mesh.c)  # two of the two that remain
    mesh.tick(mesh.a, mesh.c)
    bundle = mesh.prove(grant)
    made = reading.decode(bundle)
    assert any(b"member.leave" in item.raw for item in made.entries)
    report = verify(bundle, mesh.trust(), mesh.now)
    assert report.reason is Reason.NOT_MEMBER, report.as_text()  # the recipient is gone; the chain holds
    kept = tuple(item for item in made.entries if b"member.leave" not in item.raw)
    held = sorted({item.checkpoint for item in kept})
    kept = tuple(replace(item, checkpoint=held.index(item.checkpoint)) for item in kept)
    shorn = replace(made, entries=kept, checkpoints=tuple(made.checkpoints[at] for at in held))
    report = verify(shorn.encode(), mesh.trust(), mesh.now)
    assert report.reason is Reason.BAD_EPOCH, report.as_text()
