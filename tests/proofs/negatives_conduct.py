"""Makers of negatives about conduct, classes of recipients, withdrawals that some knew early, and quorums that lie.

How it works
    As in `negatives`: one fault each, everything else sound and signed. `CONDUCT` is their table.

What it does not do
    It verifies nothing: `test_negatives` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any, Final

from ledger import codec
from ledger.consent.answer import After
from ledger.consent.disclosure import Disclosures, slot_digest
from ledger.consent.record import SLOTS
from ledger.entry import Entry
from ledger.keys import SigningKey, thumbprint
from proofs import reading
from proofs.bundle import Bundle, Voter
from proofs.policy import MemberQuorum
from proofs.reasons import Reason
from tests.proofs import findings as scenes
from tests.proofs.forge import NOW, Forge
from tests.proofs.mesh import Mesh, Party
from tests.proofs.negatives import Made, Negative, in_chain, resealed, step_of
from tests.proofs.test_flows import Case

# Findings


def accused(make: Callable[[Mesh], Entry], of: Callable[[Mesh], Party]) -> Made:
    """A finding is held against a party whom it does not convict."""
    mesh = Mesh()
    mesh.seal(mesh.a, mesh.b)
    finding = make(mesh)
    mesh.now += 5
    return scenes.conduct(mesh, of(mesh), [finding]), mesh.trust(), mesh.now


def sealed_by_another() -> Made:
    """Cime sealed twice, and Brume is accused of it."""
    return accused(lambda mesh: scenes.sealed_twice(mesh, mesh.c), lambda mesh: mesh.b)


def sealed_once() -> Made:
    """The two messages of Cime say the same."""
    return accused(lambda mesh: scenes.sealed_twice(mesh, mesh.c, agreeing=True), lambda mesh: mesh.c)


def sealed_elsewhere() -> Made:
    """Cime sealed twice as a voter of an epoch that is not carried."""
    return accused(lambda mesh: scenes.sealed_twice(mesh, mesh.c, epoch=bytes(32)), lambda mesh: mesh.c)


def probed_another() -> Made:
    """The result of a probe of Aube is told of Brume."""
    return accused(lambda mesh: scenes.result(mesh, mesh.a, {"outcome": "silent"}), lambda mesh: mesh.b)


def answered_by_another() -> Made:
    """Brume is said to have served what Cime's device signed."""

    def answered(mesh: Mesh) -> Entry:
        challenge = scenes.IMPOSSIBLE
        return scenes.answered(mesh, mesh.b, challenge.grant(), by=mesh.c, challenge=challenge)

    return accused(answered, lambda mesh: mesh.b)


def evidence_bent(bend: Callable[[Mesh], bytes]) -> Made:
    """The evidence of a probe of Brume is none."""
    mesh = Mesh()
    mesh.seal(mesh.a, mesh.b)
    good = scenes.result(mesh, mesh.b, {"outcome": "silent"})
    bad = scenes.result(mesh, mesh.b, {"outcome": "served", "evidence": bend(mesh)})
    made = reading.decode(scenes.conduct(mesh, mesh.b, [good]))
    return scenes.carrying(mesh, made, bad).encode(), mesh.trust(), mesh.now


def signed_otherwise(mesh: Mesh) -> bytes:
    """Return an answer a second older than the one that was signed."""
    signed = scenes.signed_answer(mesh, mesh.b, None)
    return replace(signed, answer=replace(signed.answer, at=signed.answer.at - 1)).encode()


def challenged_otherwise(mesh: Mesh) -> bytes:
    """Return an answer beside a challenge that was not put to it."""
    return scenes.signed_answer(mesh, mesh.b, bytes(32), challenge=scenes.IMPOSSIBLE).encode()


def asked_after(mesh: Mesh, *, transfer: bool = False, feed: bool = False, head: bool = False) -> bytes:
    """Return an answer to a request after a head of Brume's: of another transfer, another's feed, or not its head."""
    owner = mesh.a if feed else mesh.b
    held = mesh.replica.signed_head(owner.device.kid)
    assert held is not None
    held = replace(held, time=held.time + 1) if head else held
    challenge = After(bytes(16), bytes(32), owner.device.kid, held)
    signed = scenes.signed_answer(mesh, mesh.b, bytes(32), challenge=challenge)
    return (
        replace(signed, challenge=replace(challenge, nonce=bytes(15) + b"1")).encode() if transfer else signed.encode()
    )


def no_evidence(mesh: Mesh) -> bytes:
    """Return bytes that are no evidence."""
    return b"\x80"


# Withdrawals that some knew early


def known_early() -> Made:
    """By the cosigners the consent had ended long before the time asked for; no tick says so by then."""
    mesh = Mesh()
    bundle, at = scenes.withdrawn_early(mesh)
    return bundle, mesh.trust(at=at, max_age=10), mesh.now


def moved_after_the_end() -> Made:
    """By the cosigners the consent had ended long before the transfer, and before the tick that it names."""
    mesh, bundle = scenes.moved_after_the_end()
    return bundle, mesh.trust(max_age=30), mesh.now


# Classes of recipients


def to_a_class(*, acked: bool) -> Made:
    """A transfer under a consent to whoever belongs to a class; somebody acknowledges it for the class."""
    case = Case()
    case.grant = case.mesh.grant(recipient=["balance responsible parties"])
    case.first = case.mesh.tick(case.mesh.a, case.mesh.b)
    bundle = case.prove(case.move(acked=acked))
    return bundle, case.mesh.trust(at=case.first.boundary), case.mesh.now


# Quorums that lie


def elected(voters: Callable[[tuple[Voter, ...]], tuple[Voter, ...]]) -> Made:
    """All voters certify a last step with other voters than the members chose."""

    def bend(made: Bundle) -> Bundle:
        chosen = voters(made.epochs[1].voters)
        listed = [[each.kid, each.incarnation, thumbprint(each.public), each.college] for each in chosen]

        def change(holder: list[Any]) -> None:
            holder[0]["voters_digest"] = sha256(codec.encode(listed)).digest()

        return step_of(resealed("Aube", "Brume", "Cime", change=change)(made), 1, voters=chosen)

    return in_chain(bend)


def as_they_are(voters: tuple[Voter, ...]) -> tuple[Voter, ...]:
    """Return the voters whom the members chose."""
    return voters


def two_incarnations(voters: tuple[Voter, ...]) -> tuple[Voter, ...]:
    """Let a member vote twice."""
    return (voters[0], replace(voters[0], incarnation=2, public=Mesh(9).a.device.public), *voters[1:])


def one_key(voters: tuple[Voter, ...]) -> tuple[Voter, ...]:
    """Let one key vote for two members."""
    return (voters[0], replace(voters[1], public=voters[0].public), *voters[2:])


def weak_key(voters: tuple[Voter, ...]) -> tuple[Voter, ...]:
    """Let a key of small order vote."""
    return (replace(voters[0], public=bytes([1, *bytes(31)])), *voters[1:])


# Values


def out_of_shape() -> Made:
    """She signed a value that its field cannot have."""
    forge = Forge()
    salt, _ = forge.disclosures.fields["access_period"]
    slots, at = forge.grant.payload["slots"], SLOTS["access_period"] * 32
    false = slots[:at] + slot_digest(salt, "always", "access_period") + slots[at + 32 :]
    subject = SigningKey.from_seed(bytes(32))
    raw = forge.entry(subject, "consent.grant", forge.grant.thing, {**forge.grant.payload, "slots": false})
    forge.grant = Entry.parse(raw)
    forge.leaves[0] = forge.carried[0] = raw
    forge.consent[3] = [forge.grant.id]
    forge.disclosures = Disclosures({**forge.disclosures.fields, "access_period": (salt, "always")})
    return forge.bundle(), forge.mesh.trust(policy=MemberQuorum(1)), NOW


TUF, OURS = "tuf-conformance", "ledger.md §7"
CONDUCT: Final = [
    Negative("a seal's evidence against another", OURS, Reason.BAD_STATE_PROOF, sealed_by_another),
    Negative("a seal's evidence that shows nothing", OURS, Reason.BAD_STATE_PROOF, sealed_once),
    Negative("a seal's evidence of an epoch that is not there", OURS, Reason.BAD_STATE_PROOF, sealed_elsewhere),
    Negative("a probe of another", OURS, Reason.BAD_STATE_PROOF, probed_another),
    Negative("an answer by another's device", OURS, Reason.BAD_STATE_PROOF, answered_by_another),
    *(
        Negative(name, OURS, Reason.BAD_STATE_PROOF, partial(evidence_bent, bend))
        for name, bend in (
            ("an answer that was not signed", signed_otherwise),
            ("an answer to another challenge", challenged_otherwise),
            ("an answer of no form", no_evidence),
            ("an answer of another transfer", partial(asked_after, transfer=True)),
            ("an answer after another's head", partial(asked_after, feed=True)),
            ("an answer after a head that is none", partial(asked_after, head=True)),
        )
    ),
    Negative("known to have ended long before", OURS, Reason.REVOKED, known_early),
    Negative("moved long after the end was known", OURS, Reason.REVOKED, moved_after_the_end),
    Negative("acknowledged for a class", OURS, Reason.TRANSFER_MISMATCH, partial(to_a_class, acked=True)),
    Negative("to a class", OURS, Reason.MEMBERSHIP_NOT_SHOWN, partial(to_a_class, acked=False)),
    Negative("a member elected twice", TUF + ": duplicate keys", Reason.BAD_EPOCH, partial(elected, two_incarnations)),
    Negative("one key elected twice", TUF + ": duplicate keys", Reason.BAD_EPOCH, partial(elected, one_key)),
    Negative("a weak key elected", TUF, Reason.BAD_EPOCH, partial(elected, weak_key)),
    Negative("a signed value out of shape", OURS, Reason.MALFORMED, out_of_shape),
]
"""The part of the catalogue that is made here."""
HONEST: Final = (partial(evidence_bent, asked_after), partial(elected, as_they_are))
"""The same, with nothing bent: they pass."""
