"""What a voter must not forget while it seals: its record, written before each of its messages is sent.

How it works
    One record holds all that a voter needs to go on: round, step, lock, the seal it may propose again with its
    polka, and its own messages of the round. Each replaces the one before. Whoever starts from its newest record
    cannot sign against itself, as every signature it gave is either in the record or of a round before.

What it does not do
    It writes no file. It cannot know whether a newer record was lost: a node restored from an old copy of its
    disk must not vote with its old device key (governance.md §3, device.certify).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.errors import LocalError, RemoteError
from ledger.governance.certificate import (
    SEAL_BYTES_MAX,
    VERSION,
    VOTERS_MAX,
    EpochContext,
    Seal,
    Step,
    check_signatures,
    pack,
    unpack,
    vote_bytes,
)
from ledger.governance.rounds import MESSAGE_BYTES_MAX, Message, Polka, open_message

RECORD_BYTES_MAX: Final = 2 * MESSAGE_BYTES_MAX + SEAL_BYTES_MAX + 65 * VOTERS_MAX


@dataclass(frozen=True, slots=True)
class Lock:
    """The seal a voter last committed to, and when. `released`: the last round it committed to another; -1."""

    round: int
    digest: bytes
    released: int

    @classmethod
    def on(cls, digest: bytes, round_: int, before: Lock | None) -> Lock:
        """Return the lock of a voter that commits to `digest` in this round, and held `before`."""
        if before is None:
            return cls(round_, digest, -1)
        return cls(round_, digest, before.released if before.digest == digest else before.round)

    def allows(self, digest: bytes | None, valid_round: int) -> bool:
        """Say whether a proposal may be prepared: it is the locked seal, or a polka since the lock carries it.

        The locked seal too must rest on a polka since the last commit to another, so that `rounds.convicts`
        never meets an honest voter.
        """
        return valid_round >= (self.released if digest == self.digest else self.round)


@dataclass(frozen=True, slots=True)
class Valid:
    """The seal of the newest polka seen: what this voter proposes when its turn comes."""

    digest: bytes
    seal: Seal
    polka: Polka


@dataclass(frozen=True, slots=True)
class Record:
    """All that must survive a crash. `voted`: for a seal, in any round. `sent`: own messages of `round`."""

    round: int
    step: Step
    voted: bool
    locked: Lock | None
    valid: Valid | None
    sent: tuple[Message, ...]

    def encode(self, context: EpochContext, own: int) -> bytes:
        """Return the bytes to keep; `own`: the voter's index."""
        locked: codec.Value = None
        if self.locked is not None:
            locked = [self.locked.round, self.locked.digest, self.locked.released]
        valid: codec.Value = None
        if self.valid is not None:
            polka = self.valid.polka
            valid = [self.valid.seal.encode(), polka.round, polka.valid_round, *pack(polka.prepares, context.size)]
        sent: codec.Value = [message.encode(context) for message in self.sent]
        return codec.encode(
            [
                *(VERSION, context.mesh_id, context.reference, context.n, own),
                *(self.round, self.step.value, self.voted, locked, valid, sent),
            ]
        )

    @classmethod
    def decode(cls, raw: bytes, context: EpochContext, own: int) -> Record | None:
        """Read a record; None if it is of another instance. Raises LocalError SEAL_RECORD if it is damaged."""
        try:
            match codec.decode(raw, max_bytes=RECORD_BYTES_MAX):
                case [version, mesh_id, reference, n, voter, *rest] if len(rest) == 6 and version == VERSION:
                    if (mesh_id, reference, n) != (context.mesh_id, context.reference, context.n):
                        return None
                    if voter == own:
                        return _read(rest, context, own)
        except (RemoteError, TypeError, ValueError):
            pass
        raise LocalError(
            "SEAL_RECORD",
            "the record of this voter's part in sealing is damaged: without it the voter could contradict itself. "
            "It looks on until the next epoch.",
        )


def _read(fields: list[Any], context: EpochContext, own: int) -> Record:
    """Read the part after the head; anything unexpected raises RemoteError, TypeError or ValueError."""
    round_, step, voted, locked, valid, sent = fields
    messages = tuple(open_message(raw, context) for raw in sent)
    if any((message.voter, message.round) != (own, round_) for message in messages):
        raise ValueError
    read = None
    if valid is not None:
        encoded, of, valid_round, bitmap, blob = valid
        seal = Seal.decode(encoded)
        polka = Polka(of, valid_round, unpack(bitmap, blob, context.size))
        read = Valid(seal.digest(), seal, polka)
        prepared = vote_bytes(context, of, Step.PREPARE, read.digest, valid_round)
        check_signatures(context, seal, prepared, polka.prepares)
    return Record(round_, Step(step), bool(voted), None if locked is None else Lock(*locked), read, messages)
