"""Who is told what of the agreement on the next epoch: flooding, what peers lack, and what one of them may cost.

How it works
    A voter's message goes to some member neighbours; each that had not heard it verifies it and passes it on, once.
    What is lost is found by `Have`: now and then, and when a channel comes up, a node says which messages it holds,
    and is sent the others. A peer pays for what has to be verified, a voter for what is passed on in its name, so
    neither can make others send without end: an honest voter says three things a round.

What it does not do
    It verifies nothing and knows no seal: its caller says what was new and sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from gossip.events import Disconnect
from gossip.peers import Bucket, Recent
from gossip.seals import ROWS_MAX, Have, Message, Word, encode
from ledger.errors import RemoteError
from ledger.governance.certificate import EpochContext, Step
from ledger.governance.rounds import Message as Said
from ledger.governance.seal import ROUNDS_BEHIND

if TYPE_CHECKING:
    from node.core import Turn

WORK_RATE: Final = 200
"""Signatures (about) a second that one peer may have verified."""
WORK_BURST: Final = 2_000
ANSWER_RATE: Final = 1
"""Answers a second to one peer that asks what it lacks."""
ANSWER_BURST: Final = 4
VOTER_RATE: Final = 2
"""Messages a second that are passed on for one voter."""
VOTER_BURST: Final = 64
FAULTS_MAX: Final = 8
"""Messages that no honest member passes on, after which a channel ends."""
ANSWER_MESSAGES: Final = 512
"""Messages sent in one answer; the next Have brings the rest."""
ANSWER_BYTES: Final = 256 << 10
TOLD_MAX: Final = 8
"""Neighbours that one message is passed on to: of a thousand nodes it misses one by chance, and `Have` repairs that."""
HAVE_MS: Final = 1_000
"""A peer is told what we have no more often than this, unless it just came up."""
HEARD_MAX: Final = 4_096
"""Messages that are remembered as heard."""


@dataclass(slots=True)
class _Ear:
    """What one peer has cost, and when it was told what we have."""

    work: Bucket
    answers: Bucket
    faults: int = 0
    told_ms: int = -HAVE_MS


class Talk:
    """The talk about one epoch."""

    def __init__(self, context: EpochContext) -> None:
        self.context = context
        self._ears: dict[bytes, _Ear] = {}
        self._heard: Recent[bytes, Said] = Recent(HEARD_MAX)
        self._voters: dict[int, Bucket] = {}

    def _ear(self, turn: Turn, peer: bytes) -> _Ear:
        ear = self._ears.get(peer)
        if ear is None:
            work, answers = (WORK_RATE, WORK_BURST), (ANSWER_RATE, ANSWER_BURST)
            ear = self._ears[peer] = _Ear(Bucket(*work, turn.now_ms), Bucket(*answers, turn.now_ms))
        return ear

    def down(self, peer: bytes) -> None:
        """Forget a peer whose channel is gone."""
        self._ears.pop(peer, None)

    # What comes in

    def heard(self, raw: bytes) -> Said | None:
        """Return a message that was heard before, a proposal without its seal; else None."""
        return self._heard.get(sha256(raw).digest())

    def pays(self, turn: Turn, peer: bytes, signatures: int) -> bool:
        """Charge a peer for what it wants verified. False: drop it, it will be offered again."""
        return self._ear(turn, peer).work.take(signatures, turn.now_ms)

    def may_ask(self, turn: Turn, peer: bytes) -> bool:
        """Charge a peer for an answer."""
        return self._ear(turn, peer).answers.take(1, turn.now_ms)

    def may_say(self, turn: Turn, voter: int) -> bool:
        """Charge a voter for one more message. False: drop it."""
        bucket = self._voters.get(voter)
        if bucket is None:
            bucket = self._voters[voter] = Bucket(VOTER_RATE, VOTER_BURST, turn.now_ms)
        return bucket.take(1, turn.now_ms)

    def fault(self, turn: Turn, peer: bytes, error: RemoteError) -> None:
        """Count a message that no honest member passes on; end the channel of a peer that goes on."""
        ear = self._ear(turn, peer)
        ear.faults += 1
        turn.note("SEAL_MESSAGE_REFUSED", peer=peer.hex(), reason=error.code)
        if ear.faults >= FAULTS_MAX:
            ear.faults = 0
            turn.effects.append(
                Disconnect(peer, "BAD_SEALS", "It sends seal messages that no honest member passes on.")
            )

    # What goes out

    def hear(self, said: Said, raw: bytes) -> None:
        """Remember a sound message, to know its bytes again."""
        self._heard.set(sha256(raw).digest(), replace(said, seal=None, polka=None))

    def tell(self, turn: Turn, message: Message, source: bytes | None = None) -> None:
        """Send a message to member neighbours but its source: to all, or to TOLD_MAX drawn anew each time."""
        data = encode(message)
        peers = [peer for peer in turn.core.member_peers if peer != source]
        if len(peers) > TOLD_MAX:
            peers = turn.core.rng.sample(peers, TOLD_MAX)
        for peer in peers:
            turn.send(peer, data)

    def say_have(self, turn: Turn, held: Sequence[Said], round_: int, peers: Iterable[bytes], *, anew: bool) -> None:
        """Tell peers what we hold. `anew`: also those that were told a moment ago."""
        rows = _rows(held, self.context.size)
        near = sorted(rows, key=lambda row: (abs(row[0] - round_), row[0], row[1].value))[:ROWS_MAX]
        listed = tuple((number, step.value, rows[number, step]) for number, step in near)
        data = encode(Have(self.context.n, self.context.reference, round_, listed))
        for peer in peers:
            ear = self._ear(turn, peer)
            if anew or turn.now_ms - ear.told_ms >= HAVE_MS:
                ear.told_ms = turn.now_ms
                turn.send(peer, data)

    def answer(self, turn: Turn, peer: bytes, told: Have, held: Sequence[Said]) -> list[Said]:
        """Send a peer what it lacks, what decides first; return what was sent."""
        theirs = {(number, step): bits for number, step, bits in told.rows}
        lacking = [
            one
            for one in held
            if _matters(one.round, one.step.value, told.round)
            and not _has(theirs.get((one.round, one.step.value), b""), one.voter)
        ]
        order = (Step.PROPOSE, Step.COMMIT, Step.PREPARE)
        lacking.sort(key=lambda one: (-one.round, order.index(one.step), one.voter))
        sent: list[Said] = []
        size = 0
        for one in lacking[:ANSWER_MESSAGES]:
            raw = one.encode(self.context)
            size += len(raw)
            if sent and size > ANSWER_BYTES:
                break
            sent.append(one)
            turn.send(peer, encode(Word(self.context.n, raw)))
        return sent


def tells_more(told: Have, held: Sequence[Said], round_: int, voters: int) -> bool:
    """Say whether a peer has a message that we, being in `round_`, lack."""
    ours = {(number, step.value): bits for (number, step), bits in _rows(held, voters).items()}
    return any(
        _has(bits, voter) and not _has(ours.get((number, step), b""), voter)
        for number, step, bits in told.rows
        if _matters(number, step, round_)
        for voter in range(min(voters, 8 * len(bits)))
    )


def _matters(number: int, step: int, round_: int) -> bool:
    """Say whether a voter in `round_` still takes a message of another round (seal.Sealing)."""
    return number >= round_ or (number >= round_ - ROUNDS_BEHIND and step == Step.COMMIT.value)


def _rows(held: Sequence[Said], voters: int) -> dict[tuple[int, Step], bytes]:
    bits: dict[tuple[int, Step], int] = {}
    for one in held:
        bits[one.round, one.step] = bits.get((one.round, one.step), 0) | 1 << one.voter
    return {key: value.to_bytes((voters + 7) // 8, "little") for key, value in bits.items()}


def _has(bits: bytes, voter: int) -> bool:
    return voter // 8 < len(bits) and bool(bits[voter // 8] >> voter % 8 & 1)
