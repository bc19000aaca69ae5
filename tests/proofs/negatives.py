"""The catalogue of negatives: bundles and trust with exactly one fault each, and the one code that names it.

How it works
    `CATALOGUE` is the table: name, the case elsewhere that it is modelled on, the code, and how it is made. Makers bend
    one thing of a bundle that passes, mostly with members' real keys: whoever colludes can do so too. Forgeries made
    from nothing come from `test_forgery`.

What it does not do
    It verifies nothing: `test_negatives` does, and `test_mutants` shows that each check is held by one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from hashlib import sha256
from typing import Any, Final

from ledger import codec
from ledger.checkpoint import Head, origin, sign_head, vkey
from ledger.entry import Entry
from ledger.keys import did_key, thumbprint
from ledger.maps import state_root
from proofs import reading
from proofs.bundle import Attestation, Bundle, Cosigned
from proofs.policy import MemberQuorum, parse_policy
from proofs.reasons import Reason
from proofs.state import digest_of
from proofs.trust import Trust
from tests.proofs.forge import NOW, Forge
from tests.proofs.mesh import START, Grant, Mesh, Party
from tests.proofs.test_flows import Case
from tests.proofs.test_forgery import FAULTS

Made = tuple[bytes, Trust, int]
"""A bundle, what the auditor brings, and her clock."""


@dataclass(frozen=True, slots=True)
class Negative:
    """One line of the catalogue."""

    name: str
    model: str
    reason: Reason
    make: Callable[[], Made]


@cache
def plain() -> tuple[Mesh, Grant, Bundle]:
    """A consent that stands, attested by both founders."""
    mesh = Mesh()
    grant = mesh.grant()
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return mesh, grant, reading.decode(mesh.prove(grant))


@cache
def moved() -> tuple[Case, Bundle]:
    """A consent with one transfer under it."""
    case = Case()
    return case, reading.decode(case.prove(case.move()))


@cache
def sealed() -> tuple[Mesh, Grant, tuple[bytes, ...], Bundle]:
    """Three epochs; Cime votes from the first on, and all three attest."""
    mesh = Mesh()
    grant = mesh.grant()
    references = (mesh.seal(mesh.a, mesh.b), *(mesh.seal(mesh.a, mesh.b, mesh.c) for _ in range(2)))
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    return mesh, grant, references, reading.decode(mesh.prove(grant, witnesses=3))


# Bending what is honest


def bent(bend: Callable[[Bundle], Bundle], **trust: Any) -> Made:
    """Bend the plain bundle."""
    mesh, _, made = plain()
    return bend(made).encode(), mesh.trust(**trust), mesh.now


def raw(change: Callable[[Any], None]) -> Made:
    """Change the decoded map of the plain bundle."""
    mesh, _, made = plain()
    value: Any = codec.decode(made.encode(), max_bytes=1 << 20)
    change(value)
    return codec.encode(value), mesh.trust(), mesh.now


def trusted(later: int = 0, **trust: Any) -> Made:
    """Ask otherwise of the plain bundle: nothing in it is changed."""
    mesh, _, made = plain()
    return made.encode(), mesh.trust(**trust), mesh.now + later


def first_of(made: Bundle, **changed: Any) -> Bundle:
    """Return the bundle with its first checkpoint changed."""
    return replace(made, checkpoints=(replace(made.checkpoints[0], **changed), *made.checkpoints[1:]))


def tick_of(made: Bundle, **changed: Any) -> Bundle:
    """Return the bundle with its last tick changed."""
    return replace(made, ticks=(*made.ticks[:-1], replace(made.ticks[-1], **changed)))


def other_signature(made: Bundle) -> Bundle:
    """Let the other founder sign a checkpoint that is not hers."""
    mesh, _, _ = plain()
    item = made.checkpoints[0]
    other = mesh.b if item.head.feed == mesh.a.device.kid else mesh.a
    signature = sign_head(other.device, mesh.replica.mesh_id, item.head, item.time, other.device.kid)
    return first_of(made, signature=signature)


def cosigned(time: int, *, own: bool = False, stranger: bool = False) -> Callable[[Bundle], Bundle]:
    """Add a cosignature to the first checkpoint; it is signed for the mesh's last second."""

    def bend(made: Bundle) -> Bundle:
        mesh, _, _ = plain()
        head = made.checkpoints[0].head
        owner, other = (mesh.a, mesh.b) if head.feed == mesh.a.device.kid else (mesh.b, mesh.a)
        party = owner if own else Party("Ombre", mesh.random) if stranger else other
        signature = sign_head(party.device, mesh.replica.mesh_id, head, mesh.now, party.device.kid)
        return first_of(made, cosigned=(Cosigned(party.device.kid, time, signature),))

    return bend


def other_entry(made: Bundle) -> Bundle:
    """Claim the next place of the feed for an entry."""
    item = made.entries[0]
    return replace(made, entries=(replace(item, index=item.index - 1), *made.entries[1:]))


def twice(listed: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a list with its first item twice."""
    return (listed[0], *listed)


def weak_signer(made: Bundle) -> Bundle:
    """Name a signer of small order in the grant."""
    weak = bytes([1, *bytes(31)])
    item = made.entries[0]
    signer = Entry.parse(item.raw).signer
    changed = item.raw.replace(thumbprint(signer), thumbprint(weak)).replace(
        did_key(signer).encode(), did_key(weak).encode()
    )
    return replace(made, entries=(replace(item, raw=changed), *made.entries[1:]))


def unknown_algorithm(made: Bundle) -> Bundle:
    """Name the deprecated algorithm -8 in the grant."""
    item = made.entries[0]
    protected = item.raw.replace(b"\xa6\x01\x32\x04", b"\xa6\x01\x27\x04", 1)
    assert protected != item.raw
    return replace(made, entries=(replace(item, raw=protected), *made.entries[1:]))


# Ticks of a lying majority


def rolled_back() -> Made:
    """Two branches by the same keys: the second tick is later, and its feed shorter."""
    mesh, twin = Mesh(), Mesh()
    grants = [each.grant() for each in (mesh, twin)]
    mesh.grant()
    for each, more in ((mesh, 5), (twin, 8)):
        each.now += more
        each.tick(each.a, each.b)
    assert grants[0].entry.id == grants[1].entry.id
    one, other = (reading.decode(each.prove(grant)) for each, grant in zip((mesh, twin), grants, strict=True))
    return replace(one, ticks=(*one.ticks, *other.ticks)).encode(), mesh.trust(), twin.now


def end_taken_back() -> Made:
    """By the first tick the consent is revoked; by the second, of the same keys, it stands and the feeds are longer."""
    mesh, twin = Mesh(), Mesh()
    grants = [each.grant() for each in (mesh, twin)]
    mesh.revoke(grants[0], mesh.b)
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b)
    one = reading.decode(mesh.prove(grants[0]))
    for _ in range(6):
        twin.grant()
        twin.sign(twin.b)
    for party in (twin.b, twin.c):
        twin.log(party, twin.certify(party), twin.certify(party), twin.certify(party))
    twin.sign(twin.a, twin.b, twin.c)
    twin.now += 8
    twin.tick(twin.a, twin.b)
    other = reading.decode(twin.prove(grants[1]))
    return replace(one, ticks=(*one.ticks, *other.ticks)).encode(), mesh.trust(at=first.boundary + 3), twin.now


def later_tick_silent() -> Made:
    """The second tick, attested like the first, does not show the consent."""
    mesh = Mesh()
    grant = mesh.grant()
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    made = reading.decode(mesh.prove(grant, first=first))
    return tick_of(made, consents=()).encode(), mesh.trust(), mesh.now


def swapped_attestations() -> Made:
    """The attestations of one tick stand under another."""
    mesh = Mesh()
    grant = mesh.grant()
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    made = reading.decode(mesh.prove(grant, first=first))
    one, other = made.ticks
    return replace(made, ticks=(one, replace(other, attestations=one.attestations))).encode(), mesh.trust(), mesh.now


def mixed(name: str) -> Made:
    """Mix and match: one part of a tick is that of another tick."""
    mesh = Mesh()
    grant = mesh.grant()
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.grant()
    mesh.log(mesh.b, mesh.certify(mesh.c))
    mesh.log(mesh.b, mesh.govern(mesh.b.device, "member.leave", ("member", mesh.b.root.kid), {}))
    mesh.now += 5
    mesh.sign(mesh.b)
    mesh.tick(mesh.a, mesh.c)
    made = reading.decode(mesh.prove(grant, first=first))
    one, other = made.ticks
    return replace(made, ticks=(replace(one, **{name: getattr(other, name)}), other)).encode(), mesh.trust(), mesh.now


def shifted(made: Bundle) -> Bundle:
    """Date a tick a second later than it was attested."""
    return tick_of(made, boundary=made.ticks[0].boundary - 1)


def moved_place(made: Bundle) -> Bundle:
    """Show another value of the holder than the map holds."""
    kid, place = made.ticks[0].members[0]
    value: Any = codec.decode(place.value)
    told = codec.encode([value[0], value[1], not value[2], value[3]])
    return tick_of(made, members=((kid, replace(place, value=told)), *made.ticks[0].members[1:]))


# Witnesses


def written(text: str) -> Trust:
    """Return trust in a written policy over the devices of the plain mesh; {A} stands for Aube's key, and so on."""
    mesh, _, _ = plain()
    names = {"A": mesh.a, "B": mesh.b, "C": mesh.c}
    keys = {
        name: vkey(origin(mesh.genesis.mesh_id, party.device.kid), party.device.public) for name, party in names.items()
    }
    lines = [f"witness {name} {key}" for name, key in keys.items()]
    return mesh.trust(policy=parse_policy("\n".join([*lines, *text.format(**keys).split(" | "), ""])))


def under_policy(text: str) -> Made:
    """Verify the plain bundle, attested by A and B, under a written policy."""
    mesh, _, made = plain()
    return made.encode(), written(text), mesh.now


def two_devices() -> Made:
    """One member attests by two devices; two members are asked for."""
    forge = Forge()
    second = Party("Aube", forge.random)
    second.root = forge.mesh.a.root
    forge.carry(forge.certify(second))
    forge.members[second.root.kid][3].append(second.device.kid)
    made = forge.parts()
    (tick,) = made.ticks
    roots = state_root(tick.member_map, tick.consent_map, 1)
    payload = {"boundary": tick.boundary, "frontier": digest_of(tick.frontier), "state_root": roots}
    thing, seen = ("tick", tick.boundary.to_bytes(8, "big")), Head(second.device.kid, 1, bytes(32))
    entry = Entry.parse(
        forge.entry(second.device, "state.attestation", thing, payload, iat=forge.attested_at, seen=seen)
    )
    small = Attestation(second.device.kid, entry.iat, entry.cti, entry.seen, entry.signature)
    both = tuple(sorted([*tick.attestations, small], key=lambda each: each.feed))
    made = replace(made, ticks=(replace(tick, attestations=both),))
    return made.encode(), forge.mesh.trust(policy=MemberQuorum(2)), NOW


# Epochs


def in_chain(bend: Callable[[Bundle], Bundle], **trust: Any) -> Made:
    """Bend the bundle with the epoch chain, whose three voters the auditor asks for."""
    mesh, _, _, made = sealed()
    return bend(made).encode(), mesh.trust(policy=MemberQuorum(3), **trust), mesh.now


def step_of(made: Bundle, number: int, **changed: Any) -> Bundle:
    """Return the bundle with one step of its chain changed."""
    steps = [replace(step, **changed) if at == number else step for at, step in enumerate(made.epochs)]
    return replace(made, epochs=tuple(steps))


def resealed(*signers: str, change: Callable[[list[Any]], None] | None = None) -> Callable[[Bundle], Bundle]:
    """Certify the last step anew, by these of the voters; `change`: of [epoch, left, expelled, silent] before."""

    def bend(made: Bundle) -> Bundle:
        mesh, _, _, _ = sealed()
        value: Any = codec.decode(made.epochs[-1].certificate or b"")
        seal: Any = codec.decode(value[1])
        epoch: Any = codec.decode(seal[0])
        holder = [epoch, *seal[1:]]
        if change is not None:
            change(holder)
        packed = codec.encode([codec.encode(holder[0]), *holder[1:]])
        digest = sha256(b"maille/seal/value/v1\x00" + packed).digest()
        said = [1, mesh.genesis.mesh_id, epoch["prev"], epoch["n"] - 1, value[2], 2, digest, -1]
        voters = [voter.kid for voter in made.epochs[0].voters]
        parties = {party.root.kid: party for party in (mesh.a, mesh.b, mesh.c) if party.name in signers}
        places = [at for at, kid in enumerate(voters) if kid in parties]
        signed = b"".join(
            parties[voters[at]].device.sign(b"maille/seal/vote/v1\x00" + codec.encode(said)) for at in places
        )
        bitmap = sum(1 << at for at in places).to_bytes(1, "little")
        return step_of(made, 1, certificate=codec.encode([1, packed, value[2], bitmap, signed]))

    return bend


def renumbered(holder: list[Any]) -> None:
    """Give the last epoch the number of the one before the first step."""
    holder[0]["n"], holder[0]["prev"] = 1, holder[0]["prev"]


def older(holder: list[Any]) -> None:
    """Date the last epoch before the step before it."""
    holder[0]["as_of"] = START


def gone(holder: list[Any]) -> None:
    """Count a voter as gone whose own word is not there."""
    holder[1] = [0]


def expelled_half(holder: list[Any]) -> None:
    """Expel two of three."""
    holder[2] = [0, 1]


def of_forge(bend: Callable[[Forge], None]) -> Made:
    """Bend the forge."""
    forge = Forge()
    bend(forge)
    return forge.bundle(), forge.mesh.trust(policy=MemberQuorum(1)), NOW


FORGED: Final = [
    Negative(f"{bend.__name__} {at}", "forged by members", reason, partial(of_forge, bend))
    for at, (bend, reason) in enumerate(FAULTS)
]
"""What the forge makes, with one fault each."""
