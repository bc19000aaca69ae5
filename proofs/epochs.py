"""The chain of certified epochs in a bundle: from the genesis, or an epoch that the auditor pinned, to later voters.

How it works
    Each step leads to an epoch and shows the voters that follow from it: they are the preimage of its `voters_digest`.
    A step after the root is a certificate: the signatures of enough voters of the step before (governance.md §2).
    Steps may be left out while the voters stay the same: then a quorum of the very voters that were shown last signed
    a later epoch, and voters sign nothing but what follows the chain they hold. What lies between need not be shown.
    A seal counts voters that left only where their own `member.leave` is carried, else one traitor could certify
    alone that all others had gone. A voter that lost its device goes on with a successor that its root key certified
    (`EpochContext.heirs`): a step names the certificates of those that signed for a voter, and the line of certificates
    from the voter's device to theirs is carried. How entries show both is `Words`' to say (evidence).

What it does not do
    It folds nothing: whether an epoch is what the entries yield is what its voters vouch for. Who holds the old keys of
    voters long gone can write another chain from there; a recent epoch, pinned, is the defence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from ledger import codec, keys
from ledger.consent.status import Party
from ledger.errors import LocalError, RemoteError
from ledger.governance.certificate import Certificate, EpochContext, Seal, unsigned
from ledger.governance.epoch import Epoch, Genesis
from proofs.bundle import EpochProof, Voter
from proofs.reasons import Reason
from proofs.state import Refused


@dataclass(frozen=True, slots=True)
class Step:
    """An epoch of the chain and the voters it leads to. `signers`: how many voters of the step before signed it.

    `gone`: voters of the step before, [root key id, incarnation], that its seal counts as left or expelled.
    """

    epoch: Epoch
    reference: bytes
    voters: tuple[Voter, ...]
    signers: int
    gone: tuple[Party, ...] = ()


class Words(Protocol):
    """What the entries of a bundle say of voters."""

    def has_left(self, voter: Voter) -> bool:
        """Say whether a voter's own word that it left is carried."""

    def heir(self, voter: Voter, at: int) -> bytes:
        """Return the key of the device that entry `at` certifies as a successor of a voter's. Raises RemoteError."""


def follow(genesis: Genesis, chain: tuple[EpochProof, ...], words: Words) -> tuple[Step, ...]:
    """Follow a chain. Raises Refused.

    The first step of a chain that begins with a bare epoch is not checked against anything: its reference is the
    auditor's to compare.
    """
    context = EpochContext.of(genesis.mesh_id, genesis.mesh_id, 0, genesis.entry.iat, genesis.voters)
    voters = tuple(Voter(kid, 1, device, "") for kid, device in context.voters)
    steps: list[Step] = []
    for at, proof in enumerate(chain):
        try:
            if proof.epoch is not None:
                step = Step(_epoch(proof.epoch), sha256(proof.epoch).digest(), proof.voters, 0)
            else:
                step = _certified(proof, context, voters, words)
            _check_voters(step)
            context = _context(genesis, step)
        except (RemoteError, LocalError) as error:
            raise Refused(Reason.BAD_EPOCH, f"epoch step {at}: {error}") from None
        voters = step.voters
        steps.append(step)
    return tuple(steps)


def times_of(genesis: Genesis, chain: tuple[Step, ...]) -> dict[bytes, int]:
    """Return since when each epoch is that a chain shows, by reference, unix seconds; epoch 0 by the mesh id."""
    return {genesis.mesh_id: genesis.entry.iat, **{step.reference: step.epoch.as_of for step in chain}}


def _epoch(raw: bytes) -> Epoch:
    return Seal.decode(codec.encode([raw, [], [], []])).epoch


def _certified(proof: EpochProof, context: EpochContext, voters: tuple[Voter, ...], words: Words) -> Step:
    certificate = Certificate.decode(proof.certificate or b"", context.size)
    epoch = certificate.epoch
    if epoch.n > context.n + 1:  # epochs with these very voters lie between
        context = replace(context, reference=epoch.prev, n=epoch.n - 1)
    _check_heirs(proof, certificate, context, voters, words)
    for place in certificate.seal.left:
        if not words.has_left(voters[place]):
            raise RemoteError("CERTIFICATE_SEAL", "it counts a voter as gone whose own word is not carried")
    seal = certificate.seal
    gone = tuple((voters[place].kid, voters[place].incarnation) for place in (*seal.left, *seal.expelled))
    return Step(epoch, epoch.reference(), proof.voters, len(certificate.commits), gone)


def _check_heirs(
    proof: EpochProof, certificate: Certificate, context: EpochContext, voters: tuple[Voter, ...], words: Words
) -> None:
    """Hold what the voters' own devices did not sign to the heirs that are named: to all of them, and no others."""
    foreign, message = dict(unsigned(certificate, context)), certificate.message(context)
    if foreign.keys() != {place for place, _ in proof.heirs}:
        raise RemoteError("BAD_SIGNATURE", "a signature does not match the vote it is said to be", field="certificate")
    for place, at in proof.heirs:
        if not keys.verify(words.heir(voters[place], at), message, foreign[place]):
            raise RemoteError("BAD_SIGNATURE", "the successor of a voter's device did not sign", field="heirs")


def _check_voters(step: Step) -> None:
    """Hold the voters to the epoch's digest of them."""
    listed = [[each.kid, each.incarnation, keys.thumbprint(each.public), each.college] for each in step.voters]
    if sha256(codec.encode(listed)).digest() != step.epoch.voters_digest:
        raise RemoteError("BAD_VOTERS", "these are not the voters of the epoch", field="voters")
    for each in step.voters:
        keys.check_public_key(each.public)


def _context(genesis: Genesis, step: Step) -> EpochContext:
    devices = {voter.kid: voter.public for voter in step.voters}
    if len(devices) != len(step.voters):
        raise RemoteError("BAD_VOTERS", "a member votes once", field="voters")
    return EpochContext.of(genesis.mesh_id, step.reference, step.epoch.n, step.epoch.as_of, devices)
