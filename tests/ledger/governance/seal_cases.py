"""What the tests of seals share: meshes with an edge, seals offered, certified, repeated, taken back."""

from __future__ import annotations

from ledger.governance.certificate import Seal
from ledger.governance.chain import Chain
from ledger.governance.register import Register
from ledger.governance.roster import Members
from ledger.governance.sealing import Terms
from ledger.governance.state import Base
from ledger.merkle import PeaksBuilder
from tests.ledger.governance.honest import Cached
from tests.worlds import Member, Scribe, octets

ROOTS = (octets("root", 0), octets("root", 1), octets("root", 2))


def linked(founders: int = 4) -> Cached:
    """Return a mesh in which the first two members share an edge."""
    world = Cached(founders=founders)
    alice, bob, *_ = world.members
    world.link("link.offer", alice, bob)
    world.link("link.accept", bob, alice)
    return world


def offer(world: Cached, before: Base, number: int, *, hours: int = 1) -> tuple[Seal, Base]:
    """Return one of the seals that a quorum could make of what is held now."""
    terms = Terms(world.frontier(), before.as_of + 3_600 * hours, (), ROOTS[number])
    composed = world.chain().compose(before, world.view(), terms)
    assert composed is not None
    return composed


def certify(
    world: Cached, before: Base, seal: Seal, signers: list[Member], *, round_: int = 0, by: Member | None = None
) -> None:
    """Register a certificate of a seal, with its frontier as it stands."""
    certificate = world.certify(seal, before, signers, round_=round_)
    world.publish((by or signers[0]).scribe, certificate, before, world.frontier())


def double(world: Cached, first: list[Member], second: list[Member], *, rounds: tuple[int, int] = (0, 0)) -> list[Base]:
    """Register two certified seals of the epoch that is open."""
    before = world.tip()
    made = [offer(world, before, number) for number in range(2)]
    parts = world.frontier()
    for (seal, _), signers, round_ in zip(made, (first, second), rounds, strict=True):
        world.publish(signers[0].scribe, world.certify(seal, before, signers, round_=round_), before, parts)
    return [after for _, after in made]


def says(world: Cached, *pins: bytes) -> Members:
    """Fold everything with some pins."""
    return Chain(world.genesis, Register(world.registrations()), pins).fold(world.view())


def unwrite(scribe: Scribe) -> None:
    """Take the last leaf of a feed back, before anybody has seen it."""
    scribe.raws.pop()
    scribe.tree = PeaksBuilder()
    scribe.tree.extend(scribe.leaves)
