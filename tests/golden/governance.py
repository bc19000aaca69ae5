"""Golden samples of governance: ballots, seals, sponsors, credentials, repair, probes; and fields that came later.

How it works
    The seal is that of `tests.golden.epoch`, certified by both members of the golden world; the evidence convicts one
    of them. As in the package: samples of bytes, not a history.

What it does not do
    It writes no file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.entry import Entry
from ledger.governance.certificate import Certificate, EpochContext, Seal, Step, vote_bytes
from ledger.governance.epoch import Epoch
from ledger.governance.rounds import Message, sign_message
from ledger.governance.rules import Rules
from ledger.schema import DAY
from tests.worlds import NOW, World, key, octets

Sign = Callable[..., Entry]
"""sign(kind, thing, payload, signer): signs a sample and keeps it."""


def sign_governance(sign: Sign, world: World, epoch: Epoch) -> None:
    """Sign a sample of each kind of governance that came with epochs."""
    alice, bob = world.members
    root, device = alice.root, alice.scribe.device
    newcomer = key("golden", "newcomer")
    application = {
        "incarnation": 2,
        "inviter": list(bob.party),
        "device": key("golden", "third").kid,
        "expires": NOW + 3_600,
        "name": "Coopérative d’électricité",
        "charter": octets("charter"),
        "college": "producteurs",
        "fork": octets("fork proof"),
    }
    sign("member.repair", ("member", root.kid), application, root)
    endorsement = {"application": octets("application"), "incarnation": 1}
    sign("member.sponsor", ("member", newcomer.kid), endorsement, device)
    credential = {"serial": b"2026-0001", "valid": [NOW, NOW + 365 * DAY]}
    sign("member.credential", ("member", newcomer.kid), credential, key("golden", "authority"))
    proposed = {
        "act": "expel",
        "deadline": NOW + 14 * DAY,
        "target": list(bob.party),
        "cut": [[bob.scribe.feed, 1, octets("root")]],
        "application": octets("application"),
        "rules": Rules().encode(),
        "charter": octets("charter version"),
        "evaluator_version": 2,
        "reason": "served data without consent",
    }
    proposal = sign("proposal", ("ballot", octets("ballot", size=16)), proposed, device)
    sign("vote", ("ballot", proposal.id), {"choice": "yes"}, device)
    sign("vote.delegate", ("member", root.kid), {"to": list(bob.party)}, device)
    sign("vote.default", ("member", root.kid), {"choice": "abstain"}, device)
    _sign_seals(sign, world, epoch)
    probe = {
        "probe": octets("probe", size=16),
        "asked": "unconsented",
        "outcome": "served",
        "code": "NO_CONSENT",
        "evidence": b"what the member signed",
    }
    sign("probe.result", ("member", bob.root.kid), probe, device)


def _sign_seals(sign: Sign, world: World, epoch: Epoch) -> None:
    alice, bob = world.members
    devices = {member.root.kid: member.scribe.device for member in world.members}
    publics = {ident: device.public for ident, device in devices.items()}
    context = EpochContext.of(world.mesh_id, world.mesh_id, 0, NOW - 1, publics)
    about = ("epoch", epoch.reference())
    heads = [[member.scribe.feed, 2, octets("root")] for member in world.members]
    part = {"digest": epoch.frontier_digest, "part": 0, "parts": 1, "heads": sorted(heads)}
    sign("seal.frontier", about, part, alice.scribe.device)
    seal = Seal(epoch)
    signed = vote_bytes(context, 0, Step.COMMIT, seal.digest(), -1)
    commits = tuple((place, devices[ident].sign(signed)) for place, (ident, _) in enumerate(context.voters))
    certificate = Certificate(seal, 0, commits).encode(context.size)
    sign("seal.certificate", about, {"certificate": certificate}, alice.scribe.device)
    voter = context.index(bob.root.kid)
    assert voter is not None
    twice = [Message(voter, 0, Step.COMMIT, digest, -1, b"") for digest in (None, seal.digest())]
    raws = [sign_message(bob.scribe.device.sign, context, one).encode(context) for one in twice]
    evidence = {"epoch": context.reference, "messages": raws}
    sign("seal.evidence", ("feed", bob.scribe.feed), evidence, alice.scribe.device)


def sign_later(sign: Sign, world: World) -> None:
    """Sign a second sample of the kinds that were given a field after their first sample was decided."""
    alice, bob = world.members
    newcomer = key("golden", "newcomer")
    sign("genesis.accept", ("member", alice.root.kid), {"college": "consommateurs"}, alice.scribe.device)
    application: dict[str, Any] = {
        "incarnation": 1,
        "inviter": list(bob.party),
        "device": key("golden", "fourth").kid,
        "expires": NOW + 3_600,
        "college": "producteurs",
    }
    sign("member.apply", ("member", newcomer.kid), application, newcomer)
