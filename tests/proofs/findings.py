"""Scenes of conduct: a voter that seals twice, devices that sign what they served, withdrawals that some knew early.

How it works
    Each maker lets somebody sign, with its real key, what its verdict rests on, and logs it in the mesh of the test.

What it does not do
    It makes no fork (`test_selections` has one), and bends no bundle (`negatives_conduct`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ledger.checkpoint import Head, sign_head
from ledger.consent.answer import NOTHING, After, Answer, Challenge, NoGrant
from ledger.consent.answer import Evidence as Signed
from ledger.entry import Entry
from ledger.governance.certificate import Step
from ledger.governance.rounds import Message, sign_message
from proofs.bundle import Bundle, Cosigned
from proofs.evidence import FINDINGS, GRANT
from proofs.gather import Cosignatures, Gathering
from proofs.make import Chosen, Extras, make_conduct, make_period
from proofs.steps import Steps
from tests.proofs.mesh import START, Grant, Mesh, Party
from tests.proofs.test_selections import views

IMPOSSIBLE = NoGrant(bytes(range(16)))
"""A request under a consent that cannot exist."""


def accuse(mesh: Mesh, kind: str, thing: tuple[str, bytes], payload: dict[str, Any], *, governs: bool) -> Entry:
    """Let Aube log an entry about somebody."""
    device = mesh.a.device
    if governs:
        entry = mesh.govern(device, kind, thing, payload)
    else:
        entry = mesh._sign(device, kind, thing, payload, device.kid)
    mesh.log(mesh.a, entry)
    mesh.sign(mesh.a)
    return entry


def sealed_twice(mesh: Mesh, party: Party, *, epoch: bytes | None = None, agreeing: bool = False) -> Entry:
    """Prove that a voter of the newest epoch committed to two seals, or to one. `epoch`: another one is named."""
    context = mesh.replica.chain.newest.context
    if epoch is not None:
        context = replace(context, reference=epoch)
    voter = context.index(party.root.kid)
    assert voter is not None
    digests = (bytes(32), bytes(32)) if agreeing else (None, bytes(32))
    said = [Message(voter, 0, Step.COMMIT, digest, -1, b"") for digest in digests]
    raws = [sign_message(party.device.sign, context, each).encode(context) for each in said]
    payload = {"epoch": context.reference, "messages": raws}
    return accuse(mesh, "seal.evidence", ("feed", party.device.kid), payload, governs=True)


def signed_answer(
    mesh: Mesh,
    party: Party,
    grant: bytes | None,
    *,
    by: Party | None = None,
    recipient: Party | None = None,
    at: int | None = None,
    code: str = "",
    challenge: Challenge | None = None,
) -> Signed:
    """Return what a party's device answers to a request. `by`: another one's device signs it."""
    signer = by or party
    told = (mesh.now if at is None else at, code, NOTHING if code else mesh.random.randbytes(32))
    transfer = challenge.transfer() if isinstance(challenge, After) else mesh.random.randbytes(16)
    answer = Answer(transfer, 0, grant, (party.root.kid, 1), ((recipient or mesh.b).root.kid, 1), *told)
    return Signed(signer.device.public, answer.sign(signer.device, mesh.genesis.mesh_id), answer, challenge)


def answered(mesh: Mesh, party: Party, grant: bytes | None, **how: Any) -> Entry:
    """Log the result of a probe of a party, with what its device signed (`signed_answer`)."""
    signed = signed_answer(mesh, party, grant, **how)
    code = signed.answer.code
    said = {"outcome": "refused", "code": code} if code else {"outcome": "served"}
    return result(mesh, party, {**said, "evidence": signed.encode()})


def result(mesh: Mesh, party: Party, said: dict[str, Any]) -> Entry:
    """Log the result of a probe of a party."""
    payload = {"probe": mesh.random.randbytes(16), "asked": "unconsented", **said}
    return accuse(mesh, "probe.result", ("member", party.root.kid), payload, governs=False)


def conduct(
    mesh: Mesh,
    party: Party,
    findings: Sequence[Entry],
    grants: Sequence[Grant] = (),
    ticks: Sequence[int] | None = None,
) -> bytes:
    """Make the bundle of findings about a party. `ticks`: boundaries beside the newest; None: no tick at all."""
    chosen = [Chosen(grant.entry.id, grant.disclosures) for grant in grants]
    with mesh.store.read() as rows:
        shown = [] if ticks is None else views(mesh, rows, ticks)
        about, ids = (party.root.kid, 1), [entry.id for entry in findings]
        return make_conduct(rows, mesh.replica, shown, about, ids, chosen, Extras())


def carrying(mesh: Mesh, made: Bundle, entry: Entry, *, instead: Collection[str] = FINDINGS) -> Bundle:
    """Return a bundle with one more entry of Aube's feed, sound or not. `instead`: kinds that are left out for it."""
    with mesh.store.read() as rows:
        gathering = Gathering(rows, mesh.replica, [], Steps())
        assert gathering.log_anywhere(entry.id) is not None
        (head,) = gathering.checkpoints
        signed = gathering.checkpoint(head, lambda _: ())
        logged = gathering.item(entry.id, [head])
    carried = [(item, made.checkpoints[item.checkpoint]) for item in made.entries]
    carried = [each for each in carried if Entry.parse(each[0].raw).kind not in instead]
    carried.append((logged, signed))
    ordered = sorted(carried, key=lambda each: (Entry.parse(each[0].raw).kind != GRANT, each[0].id))
    unique = {each.head: each for _, each in carried}
    heads = sorted(unique, key=lambda each: (each.feed, each.size, each.root))
    entries = tuple(replace(item, checkpoint=heads.index(under.head)) for item, under in ordered)
    return replace(made, entries=entries, checkpoints=tuple(unique[each] for each in heads))


def every_finding(mesh: Mesh, party: Party) -> bytes:
    """Make the bundle of a voter that sealed twice, served without consent, refused once, and was silent."""
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    mesh.seal(mesh.a, mesh.b, mesh.c)
    found = [
        sealed_twice(mesh, party),
        answered(mesh, party, IMPOSSIBLE.grant(), challenge=IMPOSSIBLE),
        answered(mesh, party, grant.entry.id),  # of what Aube holds
        answered(mesh, party, bytes(32)),  # of what nobody here has seen: no fault is shown
        answered(mesh, party, grant.entry.id, code="NOT_GRANTED"),
        result(mesh, party, {"outcome": "silent"}),
    ]
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    return conduct(mesh, party, found, [grant], [])


# Withdrawals that some knew early


def cosigned_by(mesh: Mesh, target: Head, time: int, *parties: Party) -> Cosignatures:
    """Return the cosignatures of one head by these parties."""
    kept = [
        Cosigned(each.device.kid, time, sign_head(each.device, mesh.replica.mesh_id, target, time, each.device.kid))
        for each in parties
    ]
    return lambda head: kept if head == target else []


def early(mesh: Mesh, grant: Grant, *, ahead: int) -> Cosignatures:
    """Withdraw now in the feed of Cime, whose clock is `ahead`; Aube and Brume cosign its head in this very second."""
    now, cime = mesh.now, mesh.c
    entry = mesh._sign(
        grant.withdraw, "consent.withdraw", grant.entry.thing, {"grant": grant.entry.raw}, mesh.a.device.kid
    )
    mesh.log(cime, entry)
    mesh.now += ahead
    mesh.sign(cime)
    mesh.now = now
    return cosigned_by(mesh, mesh.replica.position(cime.device.kid), now, mesh.a, mesh.b)


def withdrawn_early(mesh: Mesh, asked: int = 100) -> tuple[bytes, int]:
    """A consent that ended 5 s after its first tick, as cosigners show; asked for `asked` seconds after it."""
    grant = mesh.grant()
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.now += 5
    cosignatures = early(mesh, grant, ahead=0)
    mesh.now = first + asked + 100
    mesh.tick(mesh.a, mesh.b)
    return mesh.prove(grant, first=first, cosignatures=cosignatures), first + asked


def moved_after_the_end() -> tuple[Mesh, bytes]:
    """A period with a transfer under a tick that does not count the withdrawal, which others had long known."""
    mesh = Mesh()
    grant = mesh.grant()
    mesh.now += 5
    cosignatures = early(mesh, grant, ahead=115)
    mesh.now += 100
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 5
    moved = mesh.move(grant, first.frontier, began=mesh.now)
    mesh.now += 60
    mesh.tick(mesh.a, mesh.b)
    with mesh.store.read() as rows:
        shown, chosen = views(mesh, rows, [first.boundary]), [Chosen(grant.entry.id, grant.disclosures)]
        extras = Extras(transfers=[moved], cosignatures=cosignatures)
        return mesh, make_period(mesh.replica, shown, chosen, (START, mesh.now), extras)
