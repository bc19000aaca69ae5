"""What no honest node does, in a world in turmoil.

How it works
    `ATTACKS` lists the acts: statements under old epochs or with old causes, forks, certificates that claim others had
    left, forged copies, rival seals, bogus parts of frontiers, evidence true and false, devices certified late.

What it does not do
    It has no opinion on what comes of an act.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ledger.checkpoint import Head
from ledger.governance.certificate import Certificate, Seal, Step
from ledger.governance.rounds import Message, sign_message
from ledger.governance.sealing import Terms
from tests.ledger.fold_cases import prove_fork
from tests.ledger.governance.honest import HONEST, MEMBERS_MAX, Act, Cached, pick, pick_entry
from tests.worlds import octets


def _retire(world: Cached, i: int, j: int, k: int) -> None:
    member, scribe = pick(world, i), pick(world, j).scribe
    old = member.scribes[0]
    final = [old.feed, min(k + 2, len(old.raws)), octets("root")]
    scribe.add(
        world.sign(member.root, "device.retire", ("device", old.feed), {"final": final}, seen=(scribe.head(),)).raw
    )


def _fork(world: Cached, i: int, j: int, k: int) -> None:
    scribe, witness = pick(world, i).scribe, pick(world, j).scribe
    if scribe is not witness and len(scribe.raws) > k + 3:
        prove_fork(world, witness, scribe, len(scribe.raws) - 1 - k % 3)


def _backdate(world: Cached, i: int, j: int, k: int) -> None:
    """Say something under an epoch of long ago, or of nowhere."""
    now, world.epoch = world.epoch, octets("nowhere") if k == 13 else world.epochs[j % len(world.epochs)]
    HONEST[("propose", "vote", "join", "link", "sponsor")[k % 5]](world, i, j, k)
    world.epoch = now


def _blind(world: Cached, i: int, j: int, k: int) -> None:
    """Say something that rests on what nobody holds."""
    member, other = pick(world, i), pick(world, j)
    head = Head(other.scribe.feed, len(other.scribe.raws) + k, octets("withheld"))
    proposal = pick_entry("proposal", world, k)
    if proposal is not None and member is not other:
        world.write(member.scribe, "vote", ("ballot", proposal.id), {"choice": "yes"}, head)


def _alone(world: Cached, i: int, j: int, k: int) -> None:
    """Certify alone that all others left."""
    traitor = pick(world, i)
    with contextlib.suppress(AssertionError, KeyError, StopIteration):
        seal, before, _, heads = world.compose(hours=1)
        place = next(at for at, (kid, _) in enumerate(before.context.voters) if kid == traitor.party[0])
        others = tuple(at for at in range(before.context.size) if at != place)
        claim = Seal(seal.epoch, left=others, silent=()) if k % 2 else Seal(seal.epoch, others[:1], others[1:2])
        world.publish(traitor.scribe, world.certify(claim, before, [traitor]), before, heads)


def _copy(world: Cached, i: int, j: int, k: int) -> None:
    """Publish a certificate again, whole or with a signature spoilt."""
    certificate = pick_entry("seal.certificate", world, j)
    if certificate is not None:
        raw = certificate.payload["certificate"]
        spoilt = raw if k % 2 else raw[:-1] + bytes((raw[-1] ^ 1,))
        world.write(pick(world, i).scribe, "seal.certificate", certificate.thing, {"certificate": spoilt})


def _double(world: Cached, i: int, j: int, k: int) -> None:
    """Let a quorum certify two seals of one epoch, in one round or in two; or do so of an epoch long sealed."""
    with contextlib.suppress(AssertionError, StopIteration):
        before, chain = world.tip(), world.chain()
        if k % 3 == 2:
            before = chain.line(before, world.view())[0]
        composed = []
        for hours in (1, 2):
            terms = Terms(world.frontier(), world.as_of + 3_600 * hours, (), octets("root", hours))
            made = chain.compose(before, world.view(), terms)
            assert made is not None
            composed.append(made)
        voters = [m for m in world.members if m.party in before.voters]
        for number, (seal, after) in enumerate(composed):
            remaining = seal.remaining(before.context.size)
            kids = {kid for place, (kid, _) in enumerate(before.context.voters) if place in remaining}
            signers = [m for m in voters if m.party[0] in kids]
            signers = signers[: seal.quorum(before.context.size)] if number and k % 2 else signers
            certificate = world.certify(seal, before, signers, round_=number * (j % 2))
            world.publish(pick(world, i + number).scribe, certificate, before, world.frontier())
            world.epochs.append(after.reference)
        world.as_of += 3_600 * 2
        world.now = max(world.now, world.as_of)


def _parts(world: Cached, i: int, j: int, k: int) -> None:
    """Publish parts of a frontier that are none."""
    certificate = pick_entry("seal.certificate", world, j)
    digest, prev = octets("no frontier"), octets("no epoch")
    if certificate is not None:
        seal = Certificate.decode(certificate.payload["certificate"], _voters_of(certificate)).seal
        digest, prev = seal.epoch.frontier_digest, seal.epoch.prev
    heads = [[octets("feed", n), n, octets("root", n)] for n in range(k % 3)]
    payload = {"digest": digest, "part": k % 2, "parts": 1 + k % 2, "heads": heads}
    world.write(pick(world, i).scribe, "seal.frontier", ("epoch", prev), payload)


def _voters_of(certificate: Any) -> int:
    """Return a number of voters that fits a certificate's bitmap and signatures."""
    for voters in range(1, 16):
        with contextlib.suppress(Exception):
            Certificate.decode(certificate.payload["certificate"], voters)
            return voters
    return 1


def _evidence(world: Cached, i: int, j: int, k: int) -> None:
    """Let a voter prepare two seals in one round, and somebody show it; or show what shows nothing."""
    before, guilty = world.tip(), pick(world, i)
    context = before.context
    place = context.index(guilty.party[0])
    if place is None or guilty.party not in before.governing:
        return
    device = next(s.device for s in world.scribes() if s.feed == before.governing[guilty.party])
    raws = []
    for number in range(2):
        digest = octets("seal", number if k % 3 else 0)
        unsigned = Message(place, 0, Step.PREPARE, digest, -1, b"", None, None)
        raws.append(sign_message(device.sign, context, unsigned).encode(context))
    payload = {"epoch": context.reference, "messages": raws}
    world.write(pick(world, j).scribe, "seal.evidence", ("feed", device.kid), payload)


def _late(world: Cached, i: int, j: int, k: int) -> None:
    """Certify a fresh device of a member, whatever became of it; it votes on what there is and admits a friend."""
    member = pick(world, i)
    if len(member.scribes) < 3:
        heir = world.succeed(member, pick(world, j).scribe)
        if k % 2:
            heir.add(world.certificate(member, heir.device).raw)
        proposal = pick_entry("proposal", world, k)
        if proposal is not None:
            world.write(heir, "vote", ("ballot", proposal.id), {"choice": "yes"})
        if len(world.members) < MEMBERS_MAX:
            world.join(member)


ATTACKS: dict[str, Act] = {
    "retire": _retire,
    "fork": _fork,
    "backdate": _backdate,
    "blind": _blind,
    "alone": _alone,
    "copy": _copy,
    "double": _double,
    "parts": _parts,
    "evidence": _evidence,
    "late": _late,
}
