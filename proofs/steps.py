"""Putting the epoch chain of a bundle together: from the genesis or a pinned epoch to the newest, by the fewest steps.

How it works
    A step is needed where the voters changed, and at the end; what lies between two such has the same voters, and a
    verifier skips it (epochs). Certificates are looked up among the governance entries that are held. Where a successor
    of a voter's device signed, the certificates that lead to it go into the bundle too; where a voter left, its word.

What it does not do
    It chooses no root: the caller does. It verifies nothing beyond what this node followed itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from ledger import codec
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.governance.certificate import Certificate, EpochContext, Seal, unsigned, verify_certificate
from ledger.governance.chain import BASES_MAX
from ledger.governance.register import HEIRS_MAX
from ledger.governance.rules import Rules
from ledger.governance.state import Base
from ledger.keys import thumbprint, verify
from ledger.replica import Replica
from ledger.rows import Reader
from ledger.view import HeldView
from proofs.bundle import EPOCHS_MAX, EpochProof, Voter

STEPS_AUTO_MAX: Final = 16
"""A chain from the genesis is put into a bundle unasked where it has at most so many steps."""


class Steps:
    """The chain that goes into one bundle. `leavers`: (root key id, voting device) of those who left.

    `heirs`: for each of `proofs`, (index of a voter, id of the certificate of the device that signed for it); `lines`:
    all certificates that lead there, by id. `rules`: of the newest epoch, where they are others than the genesis'.
    """

    def __init__(self) -> None:
        """Begin with no chain at all."""
        self.proofs: tuple[EpochProof, ...] = ()
        self.voters: dict[bytes, tuple[bytes, int]] = {}  # device feed -> party
        self.leavers: list[tuple[bytes, bytes]] = []
        self.heirs: list[tuple[tuple[int, bytes], ...]] = []
        self.lines: dict[bytes, Entry] = {}
        self.rules: Rules | None = None

    @property
    def parties(self) -> set[tuple[bytes, int]]:
        """Those that vote under some step."""
        return set(self.voters.values())


def gather_steps(
    replica: Replica, rows: Reader, root: bytes | None, *, wanted: Collection[bytes] = (), most: int = EPOCHS_MAX
) -> Steps | None:
    """Return the chain to the newest epoch. `root`: the epoch that the auditor pinned, None: the genesis.

    `wanted`: epochs that must be steps themselves. None where it would have more than `most` steps.
    Raises LocalError NO_EPOCH for a root that is not in the chain that this node follows.
    """
    chain, view = replica.chain, HeldView(replica, rows)
    first, _ = chain.newest.known.get(root or replica.mesh_id, (0, 0))
    if most < EPOCHS_MAX and chain.newest.n - first > BASES_MAX:
        return None  # unasked, the tables of old epochs are not derived anew
    line = chain.line(chain.newest, view, first)
    at = next((number for number, base in enumerate(line) if base.reference == (root or replica.mesh_id)), None)
    if at is None:
        raise LocalError("NO_EPOCH", "no such epoch is in the chain that this node follows", field="epoch")
    line = line[at:]
    needed = [n for n in range(1, len(line)) if _voters(line[n]) != _voters(line[n - 1]) or line[n].reference in wanted]
    if len(line) > 1 and len(line) - 1 not in needed:
        needed.append(len(line) - 1)
    if len(needed) > most:
        return None
    steps, proofs = Steps(), []
    if root is not None and root != replica.mesh_id:
        proofs.append(EpochProof(_epoch(replica, line[0]), None, _voters(line[0])))
        steps.heirs.append(())
        _enter(steps, line[0])
    for number in needed:
        base, before = line[number], line[number - 1]
        certificate = _certificate(replica, base, before)
        proofs.append(EpochProof(None, certificate.encode(before.context.size), _voters(base)))
        steps.heirs.append(tuple(_heirs(replica, steps, certificate, before.context)))
        gone = (before.context.voters[place] for place in certificate.seal.left)
        steps.leavers += [(kid, thumbprint(public)) for kid, public in gone]
        _enter(steps, base)
    steps.proofs = tuple(proofs)
    if proofs and line[-1].rules != replica.genesis.rules:
        steps.rules = line[-1].rules
    return steps


def _enter(steps: Steps, base: Base) -> None:
    steps.voters.update({feed: party for party, feed in base.governing.items() if party in base.voters})


def _voters(base: Base) -> tuple[Voter, ...]:
    publics = dict(base.context.voters)
    return tuple(Voter(kid, inc, publics[kid], college) for (kid, inc), college in sorted(base.voters.items()))


def _certificate(replica: Replica, base: Base, before: Base) -> Certificate:
    """Return a certificate of an epoch that this node holds."""
    context = replica.registrations.heirs(before.context, replica.size)
    for sighting in replica.registrations.after(before.reference):
        try:
            certificate = Certificate.decode(sighting.registration.entry.payload["certificate"], context.size)
            verify_certificate(certificate, context)
        except RemoteError:
            continue
        if certificate.epoch.reference() == base.reference:
            return certificate
    raise _missing(base)


def _heirs(
    replica: Replica, steps: Steps, certificate: Certificate, context: EpochContext
) -> Iterator[tuple[int, bytes]]:
    """Yield who signed in whose stead, and note the certificates that lead there."""
    message = certificate.message(context)
    for place, signature in unsigned(certificate, context):
        kid, public = context.voters[place]
        line = next(
            line for line in _lines(replica, kid, public) if verify(line[-1].payload["device"], message, signature)
        )
        steps.lines.update({entry.id: entry for entry in line})
        yield place, line[-1].id


def _lines(replica: Replica, kid: bytes, public: bytes) -> Iterator[tuple[Entry, ...]]:
    """Yield the lines of certificates from a voter's device to each of its successors, the shortest first."""
    held = [
        each.entry for each in replica.registrations if each.entry.kind == "device.certify" and each.entry.kid == kid
    ]
    known, last = {thumbprint(public)}, [(thumbprint(public), tuple[Entry, ...]())]
    for _ in range(HEIRS_MAX):
        following = []
        for feed, line in last:
            for entry in held:
                if entry.payload.get("predecessor", [b""])[0] == feed and entry.thing[1] not in known:
                    known.add(entry.thing[1])
                    following.append((entry.thing[1], (*line, entry)))
        yield from (line for _, line in following)
        last = following


def _epoch(replica: Replica, base: Base) -> bytes:
    """Return the bytes of an epoch, from any certificate that holds it."""
    for registration in replica.registrations:
        entry = registration.entry
        if entry.kind == "seal.certificate" and entry.thing[1] == base.reference:
            match codec.decode(entry.payload["certificate"]):
                case [int(), bytes(seal), *_]:
                    epoch = Seal.decode(seal).epoch
                    if epoch.reference() == base.reference:
                        return epoch.encode()
    raise _missing(base)


def _missing(base: Base) -> LocalError:
    return LocalError("NO_CERTIFICATE", f"the certificate of epoch {base.n} is not held here; sync, then try again")
