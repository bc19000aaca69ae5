"""Negatives for checks that refuse several things at once, one for each; what must not be said of a state unattested.

How it works
    As in `negatives`: one fault each, everything else sound and signed. `ALTERNATIVES` is their table. Most are made in
    the forge, as members who hold real keys could make them.

What it does not do
    It verifies nothing: `test_negatives` does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, Final

from ledger.checkpoint import Head
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError
from ledger.governance.members import possession_message
from ledger.keys import SigningKey
from ledger.maps import state_root
from proofs import reading
from proofs.bundle import HASHES_MAX, Attestation, Bundle, Selection
from proofs.policy import MemberQuorum
from proofs.reasons import Reason
from proofs.state import digest_of
from tests.proofs import negatives_flows as flows
from tests.proofs.findings import carrying
from tests.proofs.forge import BOUNDARY, NOW, Forge
from tests.proofs.mesh import START, Mesh, Party
from tests.proofs.negatives import Made, Negative, bent, of_forge, raw, resealed, tick_of, under_policy
from tests.proofs.test_selections import forked

# The container


def in_place(path: tuple[int, ...], item: Any) -> Made:
    """Put something else at a place of the plain bundle's map."""

    def change(value: Any) -> None:
        for key in path[:-1]:
            value = value[key]
        value[path[-1]] = item

    return raw(change)


def too_many_hashes() -> Made:
    """The table of hashes is longer than it may be."""

    def change(value: Any) -> None:
        more = HASHES_MAX + 1 - len(value[3]) // 32
        value[3] += b"".join(b"\xff" * 28 + at.to_bytes(4, "big") for at in range(more))

    return raw(change)


# Who was let in


def let_in(*, expires: int = NOW, inviter: bytes | None = None) -> Made:
    """Cime attests beside Aube, who admitted her; both are asked for. The application had run out, or asks another."""
    forge = Forge()
    aube, cime = forge.mesh.a, forge.mesh.c
    thing, invited = ("member", cime.root.kid), [inviter or aube.root.kid, 1]
    applied = {"incarnation": 1, "inviter": invited, "device": cime.device.kid, "expires": expires}
    application = forge.entry(cime.root, "member.apply", thing, applied, governs=True)
    admitted = {"application": Entry.parse(application).id, "incarnation": 1}
    forge.carry(application)
    forge.carry(forge.entry(aube.device, "member.admit", thing, admitted, governs=True))
    forge.carry(forge.certify(cime))
    forge.members[cime.root.kid] = [1, True, False, [cime.device.kid]]
    forge.shown = sorted(forge.members)
    return attested_too(forge, cime).encode(), forge.mesh.trust(policy=MemberQuorum(2)), NOW


def attested_too(forge: Forge, party: Party) -> Bundle:
    """Return the forge's bundle with a second attestation."""
    made = forge.parts()
    (tick,) = made.ticks
    roots = state_root(tick.member_map, tick.consent_map, 1)
    payload = {"boundary": tick.boundary, "frontier": digest_of(tick.frontier), "state_root": roots}
    device, thing = party.device, ("tick", tick.boundary.to_bytes(8, "big"))
    seen = Head(device.kid, 1, bytes(32))
    entry = Entry.parse(forge.entry(device, "state.attestation", thing, payload, iat=forge.attested_at, seen=seen))
    told = (*tick.attestations, Attestation(device.kid, entry.iat, entry.cti, entry.seen, entry.signature))
    return replace(made, ticks=(replace(tick, attestations=tuple(sorted(told, key=lambda each: each.feed))),))


def never_let_in() -> Made:
    """A stranger states a mesh of her own below the true genesis, and attests it."""
    forge = Forge()
    stranger = Party("Ombre", Random(9))
    forge.mesh.a.root, forge.mesh.a.device = stranger.root, stranger.device
    forge.leaves[1] = forge.carried[1] = forge.certify(stranger)
    forge.members[stranger.root.kid] = [1, True, True, [stranger.device.kid]]
    forge.shown = sorted(forge.members)
    return forge.bundle(), forge.mesh.trust(policy=MemberQuorum(1)), NOW


def another_certified(forge: Forge) -> None:
    """The certificate says in its subject that it is for another device."""
    aube = forge.mesh.a
    held = aube.device.sign(possession_message(forge.mesh_id, aube.root.kid, 1))
    payload = {"device": aube.device.public, "incarnation": 1, "possession": held}
    told = forge.entry(aube.root, "device.certify", ("device", bytes(32)), payload, governs=True)
    forge.leaves[1] = forge.carried[1] = told


def owner_not_shown(made: Bundle) -> Bundle:
    """The tick proves no place of one who attests it."""
    mesh = Mesh()
    return tick_of(made, members=tuple(each for each in made.ticks[0].members if each[0] == mesh.a.root.kid))


# Rules of the state


def older_rules(forge: Forge) -> None:
    """The state is evaluated by rules before those of the mesh."""
    forge.evaluator = 0


def later_rules() -> Made:
    """A mesh whose genesis asks for rules that this version does not know."""
    forge = Forge()
    own, aube = forge.mesh.genesis.entry, forge.mesh.a
    told = {**own.payload, "evaluator_version": 2}
    cti = own.thing[1]
    genesis = sign_entry(aube.root, "genesis", own.thing, told, iat=own.iat, cti=cti, seen=(), mesh_id=None)
    forge.mesh_id, forge.evaluator = genesis.id, 2
    payload, subject = dict(forge.grant.payload), SigningKey.from_seed(bytes(32))
    granted = forge.entry(subject, "consent.grant", forge.grant.thing, payload)
    forge.grant = Entry.parse(granted)
    forge.consent[3] = [forge.grant.id]
    forge.leaves = [granted, forge.certify(aube)]
    forge.carried = list(forge.leaves)
    made = replace(forge.parts(), genesis=genesis.raw)
    return made.encode(), replace(forge.mesh.trust(policy=MemberQuorum(1)), genesis=genesis.id), NOW


# Ends


def withdrawals(forge: Forge) -> list[bytes]:
    """Carry two withdrawals."""
    signed = [
        forge.entry(forge.withdraw_key, "consent.withdraw", forge.grant.thing, {"grant": forge.grant.raw}) for _ in "ab"
    ]
    for each in signed:
        forge.carry(each)
    return [Entry.parse(each).id for each in signed]


def end_beside_an_end(forge: Forge) -> None:
    """Of two withdrawals the state names one."""
    forge.consent[0], forge.consent[3] = 3, withdrawals(forge)[:1]


def end_of_another_kind(forge: Forge) -> None:
    """The state says that a revocation withdrew the consent."""
    payload = {"grant": forge.grant.id, "reason_code": "error"}
    revoked = forge.entry(forge.mesh.a.device, "consent.revoke", forge.grant.thing, payload)
    forge.carry(revoked)
    forge.consent[0], forge.consent[3] = 3, [Entry.parse(revoked).id]


# Feeds from tick to tick


def twins(change: Callable[[Mesh, Mesh], None]) -> Made:
    """Two branches by the same keys: a tick of each stands in one bundle."""
    mesh, twin = Mesh(), Mesh()
    grants = [each.grant() for each in (mesh, twin)]
    assert grants[0].entry.id == grants[1].entry.id
    change(mesh, twin)
    for each, more in ((mesh, 5), (twin, 8)):
        each.now += more
        each.tick(each.a, each.b)
    one, other = (reading.decode(each.prove(grant)) for each, grant in zip((mesh, twin), grants, strict=True))
    return replace(one, ticks=(*one.ticks, *other.ticks)).encode(), mesh.trust(), twin.now


def vanished(mesh: Mesh, twin: Mesh) -> None:
    """A feed is there in the first tick alone."""
    dune = Party("Dune", Random(3))
    mesh.invite(mesh.a, dune)
    mesh.log(dune, mesh.certify(dune))
    mesh.sign(mesh.a, dune)
    for _ in "abcd":
        twin.grant()


def replaced(mesh: Mesh, twin: Mesh) -> None:
    """The feed of Aube is as long, and another."""
    mesh.grant()
    twin.random.randbytes(1)
    twin.grant()


# Voters that are said to have left


def declared_gone(tell: Callable[[Mesh], Entry]) -> Made:
    """A certified seal counts Aube as gone, and some other word than her own `member.leave` is carried."""
    mesh = Mesh()
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    mesh.seal(mesh.a, mesh.b, mesh.c)
    entry, honest = tell(mesh), mesh.grant().entry
    with suppress(LocalError):  # a node takes no stranger's word in; the false one stands where another entry does
        mesh.log(mesh.a, entry)
        honest = entry
    mesh.sign(mesh.a)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    made = carrying(mesh, reading.decode(mesh.prove(grant, witnesses=3)), honest, instead=())
    told = [replace(item, raw=entry.raw) if item.id == honest.id else item for item in made.entries]
    made = replace(made, entries=tuple(sorted(told, key=lambda item: (item.id != grant.entry.id, item.id))))
    place = [voter.kid for voter in made.epochs[0].voters].index(mesh.a.root.kid)

    def change(holder: list[Any]) -> None:
        holder[1] = [place]

    return resealed("Brume", "Cime", change=change)(made).encode(), mesh.trust(), mesh.now


def admitted_herself(mesh: Mesh) -> Entry:
    """Aube's device says something else of Aube than that she leaves."""
    thing = ("member", mesh.a.root.kid)
    return mesh.govern(mesh.a.device, "member.admit", thing, {"application": bytes(32), "incarnation": 1})


def left_for_another(mesh: Mesh) -> Entry:
    """Aube's device says that Brume leaves."""
    return mesh.govern(mesh.a.device, "member.leave", ("member", mesh.b.root.kid), {})


def told_by_a_stranger(mesh: Mesh) -> Entry:
    """A device that nobody certified says that Aube leaves."""
    stranger = Party("Ombre", Random(9))
    return mesh.govern(stranger.device, "member.leave", ("member", mesh.a.root.kid), {})


# What else


def other_subject() -> Made:
    """A fork of Brume's feed says in its subject that it is of Aube's."""
    forge = Forge()
    mesh, aube = forge.mesh, forge.mesh.a.device
    payload = dict(forked(mesh, mesh.b).payload)
    forge.carry(forge.entry(aube, "fork.proof", ("feed", aube.kid), payload, governs=True))
    forge.carry(forge.certify(mesh.b))
    made = replace(forge.parts(), selection=Selection.CONDUCT, about=(mesh.b.root.kid, 1))
    return made.encode(), mesh.trust(policy=MemberQuorum(1)), NOW


def period_of_nothing() -> Made:
    """A period without any consent: only the state, attested."""
    forge = Forge()
    forge.shown = [forge.mesh.a.root.kid]
    made = forge.parts()
    about, certificate = (START, NOW), made.entries[1:]
    ticks = (replace(made.ticks[0], consents=()),)
    made = replace(made, selection=Selection.PERIOD, about=about, entries=certificate, ticks=ticks, disclosures=())
    return made.encode(), forge.mesh.trust(policy=MemberQuorum(1)), NOW


def ended_otherwise(**trust: Any) -> Made:
    """The consent is revoked, by a state that the auditor has no reason to believe."""
    data, trusted_, now = flows.ended(100)
    later = trust.pop("later", 0)
    return data, replace(trusted_, **trust), now + later


def ended_before_the_pin() -> Made:
    """The same, in a chain that begins with a bare epoch before the pinned one."""
    mesh = Mesh()
    grant = mesh.grant()
    references = [mesh.seal(mesh.a, mesh.b), mesh.seal(mesh.a, mesh.b, mesh.c)]
    mesh.withdraw(grant, mesh.c)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return mesh.prove(grant, epoch=references[0]), mesh.trust(epoch=references[1]), mesh.now


def ended_unwitnessed() -> Made:
    """The same, under a policy that asks for no witness."""
    data, told, now = flows.ended(100)
    return data, replace(told, policy=under_policy("quorum none")[1].policy), now


TUF, SIG, OURS = "tuf-conformance", "sigstore-conformance", "ledger.md §7"
R = Reason
ALTERNATIVES: Final = [
    Negative("true is no version", SIG, R.MALFORMED, partial(in_place, (1,), True)),
    Negative("true is no time", SIG, R.MALFORMED, partial(in_place, (6, 0, 3), True)),
    Negative("a number for a list", SIG, R.MALFORMED, partial(in_place, (7, 0, 2), 5)),
    Negative("a list for a tick", SIG, R.MALFORMED, partial(in_place, (7, 0), [1])),
    Negative("too many hashes", SIG, R.MALFORMED, too_many_hashes),
    Negative("an account of too many entries", OURS, R.MALFORMED, partial(flows.told, entries=(bytes(32),) * 65)),
    Negative(
        "an account of another recipient", OURS, R.TRANSFER_MISMATCH, partial(flows.told, recipient=(bytes(32), 1))
    ),
    Negative("an application that had run out", OURS, R.UNREFERENCED_ITEM, partial(let_in, expires=BOUNDARY - 51)),
    Negative("an application to another", OURS, R.UNREFERENCED_ITEM, partial(let_in, inviter=bytes(32))),
    Negative("a witness who was never let in", TUF, R.INSUFFICIENT_WITNESSES, never_let_in),
    Negative("another device in the subject", SIG, R.BAD_SIGNATURE, partial(of_forge, another_certified)),
    Negative("a witness whose place is not shown", OURS, R.BAD_STATE_PROOF, partial(bent, owner_not_shown)),
    Negative("older rules of the state", TUF + ": rollback", R.BAD_STATE_PROOF, partial(of_forge, older_rules)),
    Negative("rules that nobody knows yet", TUF + ": spec version", R.BAD_STATE_PROOF, later_rules),
    Negative("an end beside an end", OURS, R.UNREFERENCED_ITEM, partial(of_forge, end_beside_an_end)),
    Negative("an end of another kind", OURS, R.BAD_STATE_PROOF, partial(of_forge, end_of_another_kind)),
    Negative("a feed is gone", TUF + ": rollback", R.BAD_STATE_PROOF, partial(twins, vanished)),
    Negative("a feed is another", TUF + ": rollback", R.BAD_STATE_PROOF, partial(twins, replaced)),
    Negative("another word than a leave", OURS, R.BAD_EPOCH, partial(declared_gone, admitted_herself)),
    Negative("a leave of another", OURS, R.BAD_EPOCH, partial(declared_gone, left_for_another)),
    Negative("a leave by a stranger", OURS, R.BAD_EPOCH, partial(declared_gone, told_by_a_stranger)),
    Negative("a fork of another subject", OURS, R.BAD_STATE_PROOF, other_subject),
    Negative("a period of nothing", OURS, R.MALFORMED, period_of_nothing),
    Negative("an end ahead of the clock", OURS, R.TIME_IN_FUTURE, partial(ended_otherwise, later=-10_000)),
    Negative("an end in another chain", OURS, R.EPOCH_NOT_PINNED, partial(ended_otherwise, epoch=bytes(32))),
    Negative("an end before the pin", OURS, R.EPOCH_NOT_PINNED, ended_before_the_pin),
    Negative(
        "an end that too few saw", TUF, R.INSUFFICIENT_WITNESSES, partial(ended_otherwise, policy=MemberQuorum(3))
    ),
    Negative("an end for nobody", TUF, R.NO_POE, ended_unwitnessed),
]
"""The part of the catalogue that is made here."""
HONEST: Final = (let_in,)
"""The same, with nothing bent: it passes."""
