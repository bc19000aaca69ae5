"""Negatives about bundles that would say more than is true: by their order, by what they leave out, by who tells it.

How it works
    As in `negatives`: one fault each, everything else sound and signed. `TOLD` is the table.

What it does not do
    It verifies nothing: `test_negatives` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ledger.checkpoint import Head
from ledger.entry import Entry, sign_entry
from ledger.governance.rules import Rules
from ledger.maps import state_root
from proofs import reading
from proofs.bundle import Attestation, Bundle, TickProof
from proofs.policy import MemberQuorum
from proofs.reasons import Reason as R
from proofs.state import digest_of
from tests.proofs.mesh import START, Grant, Mesh, Party
from tests.proofs.negatives import Made, Negative, in_chain, resealed, sealed
from tests.proofs.negatives_parents import shared
from tests.proofs.test_flows import Case

OURS: Final = "ledger.md §7"
TUF: Final = "tuf-conformance"

# Order


def grants_last(*, turned: bool = False) -> Made:
    """A consent and the one that it passes on stand behind all other entries."""
    data, trust, now = shared()
    made = reading.decode(data)
    first, rest = made.entries[:2], made.entries[2:]
    return replace(made, entries=(*rest, *(first[::-1] if turned else first))).encode(), trust, now


# Who sent, and to whom


def sent_by_leaver(name: str, bend: Callable[[Bundle], Bundle] = lambda made: made, *, left: bool = True) -> Made:
    """Data are sent under a consent after its holder, or its recipient, has left; she asks for a time before."""
    mesh = Mesh()
    grant = mesh.grant()
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 60
    gone = {"holder": mesh.a, "recipient": mesh.b}[name]
    witnesses = [party for party in (mesh.a, mesh.b, mesh.c) if party is not gone]
    moved = None if left else mesh.move(grant, first.frontier)
    if left:
        mesh.log(gone, mesh.govern(gone.device, "member.leave", ("member", gone.root.kid), {}))
        mesh.sign(gone)
    mesh.now += 5
    second = mesh.tick(*witnesses)
    mesh.now += 20
    moved = moved or mesh.move(grant, second.frontier)
    mesh.now += 10
    mesh.tick(*witnesses)
    data = mesh.prove(grant, first=first.boundary, between=[second.boundary], transfers=[moved])
    return bend(reading.decode(data)).encode(), mesh.trust(at=first.boundary), mesh.now


def without_party(made: Bundle) -> Bundle:
    """Leave the recipient's place out of the tick that speaks for the transfer."""
    one, other, *more = made.ticks
    recipient = Entry.parse(made.entries[0].raw).payload["recipient"][0]
    kept = tuple(each for each in other.members if each[0] != recipient)
    assert len(kept) < len(other.members)
    return replace(made, ticks=(one, replace(other, members=kept), *more))


# Who attests


def attested_again(mesh: Mesh, tick: TickProof, party: Party) -> TickProof:
    """Return an old tick under a new date, attested by one party alone."""
    boundary, device = mesh.now, party.device
    roots = state_root(tick.member_map, tick.consent_map, tick.evaluator_version)
    own = next(head for head in tick.frontier if head.feed == device.kid)
    entry = sign_entry(
        device,
        "state.attestation",
        ("tick", boundary.to_bytes(8, "big")),
        {"boundary": boundary, "frontier": digest_of(tick.frontier), "state_root": roots},
        iat=boundary + 1,
        cti=bytes(16),
        seen=[Head(own.feed, own.size, own.root)],
        mesh_id=mesh.genesis.mesh_id,
    )
    small = Attestation(device.kid, entry.iat, entry.cti, entry.seen, entry.signature)
    return replace(tick, boundary=boundary, attestations=(small,))


def of_the_gone(*, bare: bool, early: bool = False) -> Made:
    """A voter leaves; the epochs say so; later it attests the state in which it was a member, alone.

    `bare`: it is a founder, and the auditor has pinned the epoch after it left. `early`: the tick is of before.
    """
    mesh = Mesh()
    gone, other = (mesh.a, mesh.c) if bare else (mesh.c, mesh.a)
    grant: Grant = mesh.grant(recipient=[(mesh.c if bare else mesh.b).root.kid, 1])
    mesh.seal(mesh.a, mesh.b)
    mesh.now += 5
    first = mesh.tick(gone, other)
    mesh.now += 30
    mesh.log(gone, mesh.govern(gone.device, "member.leave", ("member", gone.root.kid), {}))
    mesh.sign(gone)
    pinned = mesh.seal(mesh.b, other)
    mesh.now += 5
    mesh.tick(mesh.b, other)
    more: dict[str, Any] = {"epoch": pinned} if bare else {}
    made = reading.decode(mesh.prove(grant, first=first.boundary, witnesses=1 if bare else 2, **more))
    mesh.now += 60
    old = made.ticks[0] if early else attested_again(mesh, made.ticks[0], gone)
    mesh.now += 5
    trust = mesh.trust(policy=MemberQuorum(1), at=old.boundary, max_age=10_000, **more)
    return replace(made, ticks=(old,)).encode(), trust, mesh.now


def of_the_expelled() -> Made:
    """The last step of the chain expels Cime, whose word is the third of three that she asks for."""
    mesh, _, _, made = sealed()
    place = [voter.kid for voter in made.epochs[0].voters].index(mesh.c.root.kid)

    def change(holder: list[Any]) -> None:
        holder[2] = [place]

    return in_chain(resealed("Aube", "Brume", change=change))


# Accounts and rules


def accounted(**other: Any) -> Made:
    """The holder's account tells what cannot be."""
    access = other.pop("access", None)
    case = Case()
    if access is not None:
        case.grant = case.mesh.grant(access=access)
        case.first = case.mesh.tick(case.mesh.a, case.mesh.b)
        case.mesh.now += 60
    gap = other.pop("gap", 60)
    bundle = case.prove(case.move(**other), gap=gap)
    asked = case.mesh.now if access is not None else case.first.boundary
    return bundle, case.mesh.trust(at=asked), case.mesh.now


def category_hidden() -> Made:
    """A ballot forbids a category; the rules go along, and the grant's category is withheld."""
    mesh = Mesh(41)
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    mesh.resolve(Rules(forbidden_purposes=("dpv:ServiceProvision",)), mesh.a, mesh.b)
    mesh.seal(mesh.a, mesh.b, mesh.c)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return mesh.prove(grant, fields=["purpose", "pii_type"]), mesh.trust(), mesh.now


TOLD: Final = [
    Negative("grants behind other entries", OURS, R.MALFORMED, grants_last),
    Negative("grants behind other entries, turned", OURS, R.MALFORMED, partial(grants_last, turned=True)),
    Negative("sent by one who had left", OURS, R.NOT_MEMBER, partial(sent_by_leaver, "holder")),
    Negative("sent to one who had left", OURS, R.NOT_MEMBER, partial(sent_by_leaver, "recipient")),
    Negative(
        "sent to one who is not shown then",
        OURS,
        R.MEMBERSHIP_NOT_SHOWN,
        partial(sent_by_leaver, "recipient", without_party),
    ),
    Negative(
        "a witness that left, by the chain",
        TUF + ": freeze",
        R.INSUFFICIENT_WITNESSES,
        partial(of_the_gone, bare=False),
    ),
    Negative(
        "a witness that was expelled, by the chain", TUF + ": root chain", R.INSUFFICIENT_WITNESSES, of_the_expelled
    ),
    Negative(
        "a founder from before the pinned epoch",
        TUF + ": root chain",
        R.INSUFFICIENT_WITNESSES,
        partial(of_the_gone, bare=True),
    ),
    Negative(
        "a window turned round", OURS, R.BEYOND_CONSENT, partial(accounted, window=(START - 100, START - 80_000_000))
    ),
    Negative("a transfer ahead of the clock", OURS, R.TIME_IN_FUTURE, partial(accounted, ended=START + 500, gap=10)),
    Negative(
        "a beginning behind the end",
        OURS,
        R.NOT_ACTIVE,
        partial(accounted, access=(START + 300, None), began=START + 400, ended=START + 70),
    ),
    Negative("a category withheld that a ballot forbids", OURS, R.CONTENT_WITHHELD, category_hidden),
]
"""The part of the catalogue that is made here."""
HONEST: Final[tuple[Callable[[], Made], ...]] = (
    partial(of_the_gone, bare=False, early=True),
    partial(sent_by_leaver, "recipient", left=False),
)
"""The same, with nothing wrong: each passes."""
