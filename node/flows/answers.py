"""Answers that are signed: how a holder says "here it is" and "no", and what a recipient demands of it.

How it works
    Every pack goes out with the holder's signature on (grant, transfer, number, parties, time, salted digest of the
    pack), and every refusal of a request with one on its code. A recipient takes in no pack whose signature it cannot
    keep as evidence (ledger.consent.answer): so whoever serves without consent has signed the proof of its own fault.
    The time must be near our own, so that nobody signs yesterday's answer today.

What it does not do
    It decides nothing: `door` does. It keeps nothing: `probing` keeps answers to probes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ledger.consent.answer import NOTHING, SALT_BYTES, Answer, Challenge, Evidence, content_digest
from ledger.errors import RemoteError
from node.flows.contents import kind_of_piece
from node.flows.wire import Chunk, Refuse
from node.vaults.transfers import Outgoing, Piece, Wanted

if TYPE_CHECKING:
    from node.core import Turn

CLOCKS_SECONDS_MAX: Final = 600
"""An answer dated further from our clock than this is refused."""
UNSIGNED: Final = "UNSIGNED"


def sign_served(turn: Turn, row: Outgoing, piece: Piece, pack: bytes) -> Chunk:
    """Return a pack as it leaves, signed."""
    salt = turn.core.random_bytes(SALT_BYTES)
    digest = content_digest(salt, piece.chain, [kind_of_piece(piece)])
    parties = (row.wanted.holder, row.wanted.recipient)
    answer = Answer(row.transfer, piece.number, row.grant, *parties, turn.now, "", digest)
    signature = answer.sign(turn.core.device, turn.core.replica.mesh_id)
    return Chunk(row.transfer, piece.number, row.grant, pack, turn.now, salt, signature)


def sign_refusal(turn: Turn, transfer: bytes, wanted: Wanted, code: str) -> Refuse:
    """Return a holder's refusal of what was wanted, signed."""
    answer = Answer(transfer, 0, wanted.grant, wanted.holder, wanted.recipient, turn.now, code, NOTHING)
    signature = answer.sign(turn.core.device, turn.core.replica.mesh_id)
    return Refuse(transfer, code, final=True, at=turn.now, signature=signature)


def served(
    turn: Turn,
    peer: bytes,
    wanted: Wanted,
    chunk: Chunk,
    content: tuple[bytes, Sequence[str]],
    challenge: Challenge | None = None,
) -> Evidence:
    """Return the evidence that a pack comes with. `content`: the chain up to it, and the kinds of data in it.

    Raises RemoteError UNSIGNED: without a good signature of the peer, of now, nothing is taken in.
    """
    digest = content_digest(chunk.salt, *content)
    parties = (wanted.holder, wanted.recipient)
    answer = Answer(chunk.transfer, chunk.number, chunk.grant, *parties, chunk.at, "", digest)
    return _evidence(turn, peer, answer, chunk.signature, challenge)


def refused(turn: Turn, peer: bytes, wanted: Wanted, refuse: Refuse, challenge: Challenge | None = None) -> Evidence:
    """Return the evidence that a refusal comes with. Raises RemoteError UNSIGNED."""
    parties = (wanted.holder, wanted.recipient)
    answer = Answer(refuse.transfer, 0, wanted.grant, *parties, refuse.at, refuse.code, NOTHING)
    return _evidence(turn, peer, answer, refuse.signature, challenge)


def _evidence(turn: Turn, peer: bytes, answer: Answer, signature: bytes, challenge: Challenge | None) -> Evidence:
    public = turn.core.replica.feed_key(peer)
    near = abs(answer.at - turn.now) <= CLOCKS_SECONDS_MAX
    if public is None or not near or not answer.signed_by(public, turn.core.replica.mesh_id, signature):
        raise RemoteError(UNSIGNED, "this answer is not signed by its sender, or not now", field="signature")
    return Evidence(public, signature, answer, challenge)
