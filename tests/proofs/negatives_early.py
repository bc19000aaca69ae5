"""Negatives about governance entries that are dated before the epoch that they name: they have no effect (M6).

How it works
    As in `negatives`: one fault each, everything else sound and signed. `EARLY` is the table; `HONEST` are the same
    bundles with the same entries dated at the very time of their epoch.

What it does not do
    It verifies nothing: `test_negatives` does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any, Final

from ledger import codec
from ledger.entry import Entry
from ledger.governance.certificate import Seal
from proofs.bundle import EpochProof, Voter
from proofs.policy import MemberQuorum
from proofs.reasons import Reason as R
from tests.proofs.forge import BOUNDARY, NOW, Forge
from tests.proofs.mesh import START, Party
from tests.proofs.negatives import Made, Negative, sealed

OURS: Final = "governance.md §2, M6"
EPOCH_TIME: Final = BOUNDARY - 60
"""When the epoch begins that the auditor pins, unix seconds."""


def own_certificate(early: int) -> Made:
    """Aube's device is certified under epoch 0, so many seconds before the mesh was founded."""
    forge = Forge()
    forge.leaves[1] = forge.carried[1] = forge.certify(forge.mesh.a, iat=START - early)
    return forge.bundle(), forge.mesh.trust(policy=MemberQuorum(1)), NOW


def certificate_of_epoch(early: int) -> Made:
    """Aube's new device is certified under a pinned epoch, under which she votes by her first one."""
    forge = Forge()
    first, forge.mesh.a.device = forge.mesh.a.device, Party("Aube", random.Random(9)).device
    root = forge.mesh.a.root.kid
    forge.members[root][3].append(forge.mesh.a.device.kid)
    voters = (Voter(root, 1, first.public, ""),)
    listed = codec.encode([[each.kid, each.incarnation, first.kid, each.college] for each in voters])
    certificate: Any = codec.decode(sealed()[3].epochs[-1].certificate or b"")
    like = Seal.decode(certificate[1]).epoch
    epoch = replace(like, as_of=EPOCH_TIME, voters_digest=sha256(listed).digest())
    named = forge.certify(forge.mesh.a, epoch=epoch.reference(), iat=EPOCH_TIME - early)
    forge.leaves[1] = forge.carried[1] = named
    made = replace(forge.parts(), epochs=(EpochProof(epoch.encode(), None, voters),))
    return made.encode(), forge.mesh.trust(policy=MemberQuorum(1), epoch=epoch.reference()), NOW


def let_in(applied: int, admitted: int) -> Made:
    """Ombre attests, whom Brume let in: so many seconds before the mesh was founded she applied, and was admitted."""
    forge = Forge()
    newcomer, inviter = Party("Ombre", random.Random(9)), forge.mesh.b
    forge.mesh.a.root, forge.mesh.a.device = newcomer.root, newcomer.device
    forge.leaves[1] = forge.carried[1] = forge.certify(newcomer)
    forge.members[newcomer.root.kid] = [1, True, True, [newcomer.device.kid]]
    forge.shown = sorted(forge.members)
    forge.carry(forge.certify(inviter))
    thing = ("member", newcomer.root.kid)
    said = {"incarnation": 1, "inviter": [inviter.root.kid, 1], "device": newcomer.device.kid, "expires": NOW}
    application = forge.entry(newcomer.root, "member.apply", thing, said, governs=True, iat=START - applied)
    forge.carry(application)
    let = {"application": Entry.parse(application).id, "incarnation": 1}
    forge.carry(forge.entry(inviter.device, "member.admit", thing, let, governs=True, iat=START - admitted))
    return forge.bundle(), forge.mesh.trust(policy=MemberQuorum(1)), NOW


EARLY: Final = [
    Negative("a certificate from before the mesh", OURS, R.BAD_SIGNATURE, partial(own_certificate, 1)),
    Negative("a certificate from before its epoch", OURS, R.BAD_SIGNATURE, partial(certificate_of_epoch, 1)),
    Negative("an application from before its epoch", OURS, R.UNREFERENCED_ITEM, partial(let_in, 1, 0)),
    Negative("an admission from before its epoch", OURS, R.UNREFERENCED_ITEM, partial(let_in, 0, 1)),
]
HONEST: Final[tuple[Callable[[], Made], ...]] = (
    partial(own_certificate, 0),
    partial(certificate_of_epoch, 0),
    partial(let_in, 0, 0),
)
