"""What of sealing enters the ledger: the certificate with its frontier list, and evidence against double voters.

How it works
    What was decided is a row first (`note_done`), so a restart forgets nothing. The voter that proposed registers it at
    once, the others one after another, in the order of proposers, unless the next epoch is there by then. A second
    copy of a certificate does no harm. Evidence is registered by whoever finds it, once a device.

What it does not do
    It verifies no certificate: the machine decided it, or node.sealing verified it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ledger import codec, keys
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import AHEAD_SECONDS_MAX
from ledger.governance.certificate import Certificate, EpochContext
from ledger.governance.rounds import Evidence, guilty
from ledger.governance.sealing import frontier_digest
from ledger.kinds import FRONTIER_HEADS_MAX
from ledger.rows import Reader

if TYPE_CHECKING:
    from node.core import Turn
    from node.seal_lists import Lists

STAGGER_MS: Final = 2_000
"""How long each further voter waits before it registers what was decided."""

_DONE: Final = b"seal/done"


@dataclass(frozen=True, slots=True)
class Done:
    """What was decided last. `n`, `reference`: of the epoch sealed; `raw`: the certificate; `published`: by us."""

    n: int
    reference: bytes
    published: bool
    raw: bytes

    def put(self, turn: Turn) -> None:
        """Write the row."""
        turn.rows.put("outbox", _DONE, codec.encode([self.n, self.reference, self.published, self.raw]))


def read_done(rows: Reader) -> Done | None:
    """Return what was decided last, or None."""
    row = rows.get("outbox", _DONE)
    if row is None:
        return None
    match codec.decode(row, max_bytes=len(row)):
        case [int(n), bytes(reference), bool(published), bytes(raw)]:
            return Done(n, reference, published, raw)
    raise LocalError("STORE_CORRUPT", "the row of the last seal is damaged; restore the store")


def decided_here(rows: Reader, context: EpochContext) -> Certificate | None:
    """Return the certificate that ended the agreement after this epoch, if it is over."""
    done = read_done(rows)
    if done is None or done.reference != context.reference:
        return None
    return Certificate.decode(done.raw, context.size)


def note_done(turn: Turn, context: EpochContext, certificate: Certificate) -> bool:
    """Keep what was decided. False: it is kept, and registered by us already."""
    done = read_done(turn.rows)
    if done is None or done.reference != context.reference:
        Done(context.n, context.reference, False, certificate.encode(context.size)).put(turn)
        return True
    return not done.published


def delay_ms(context: EpochContext, certificate: Certificate, own: int | None) -> int | None:
    """Return how long this voter waits before it registers a certificate; None if that is for others to do."""
    remaining = certificate.seal.remaining(context.size)
    if own not in remaining:
        return None
    first = context.proposer(certificate.round)
    order = sorted(remaining, key=lambda place: (place - first) % context.size)
    return order.index(own) * STAGGER_MS


def early_until(certificate: Certificate) -> int:
    """Return until when (unix seconds) others would not take in what is dated as its epoch is."""
    return certificate.epoch.as_of - AHEAD_SECONDS_MAX


def publish(turn: Turn, context: EpochContext, certificate: Certificate, lists: Lists) -> bool:
    """Register the frontier list and the certificate in our feed. False: the list is not here yet.

    The certificate is not dated before its epoch, or it would be void: `early_until` must have passed.
    """
    epoch = certificate.epoch
    parts = lists.delta(epoch.frontier_digest)
    if parts is None:
        return False
    thing = ("epoch", epoch.reference())
    for payload in _parts(epoch.frontier_digest, parts):
        turn.state("seal.frontier", thing, payload)
    raw = certificate.encode(context.size)
    turn.state("seal.certificate", thing, {"certificate": raw}, not_before=epoch.as_of)
    Done(context.n, context.reference, True, raw).put(turn)
    turn.note("SEALED", n=epoch.n, as_of=epoch.as_of, voters=len(certificate.commits))
    return True


def restate(turn: Turn, context: EpochContext, certificate: Entry, frontier: Mapping[bytes, Head]) -> None:
    """State anew what made our epoch, in our feed: its certificate, and its whole frontier."""
    heads = [head for _, head in sorted(frontier.items())]
    parts = [heads[at : at + FRONTIER_HEADS_MAX] for at in range(0, len(heads), FRONTIER_HEADS_MAX)]
    for payload in _parts(frontier_digest(heads), parts):
        turn.state("seal.frontier", certificate.thing, payload)
    turn.state("seal.certificate", certificate.thing, certificate.payload)
    turn.note("SEAL_RESTATED", n=context.n)


def _parts(digest: bytes, parts: Sequence[Sequence[Head]]) -> Iterator[dict[str, Any]]:
    """Yield the payloads that carry a frontier list."""
    for number, heads in enumerate(parts):
        listed = [[head.feed, head.size, head.root] for head in heads]
        yield {"digest": digest, "part": number, "parts": len(parts), "heads": listed}


def accuse(turn: Turn, context: EpochContext, found: Evidence) -> None:
    """Register two messages that convict a voter, unless its device is convicted already."""
    core = turn.core
    voter, public = context.voters[found.first.voter]
    feed = keys.thumbprint(public)
    turn.note("SEAL_DOUBLE_VOTE", voter=voter.hex(), round=found.second.round)
    if feed == core.device.kid or not core.replica.members.is_member(core.party):
        return
    known = (r.entry for r in core.replica.registrations if r.entry.kind == "seal.evidence")
    raws = [message.encode(context) for message in (found.first, found.second)]
    if guilty(raws, replace(context, heirs=())) is None:
        return  # a device and its successor signed them: the second may not have known of the first's vote
    if not any(entry.thing == ("feed", feed) for entry in known):
        turn.state("seal.evidence", ("feed", feed), {"epoch": context.reference, "messages": raws})


def is_foreign(error: RemoteError) -> bool:
    """Say whether a refusal only means that a rival epoch of this number is talked of: nobody's fault."""
    return error.code in {"SEAL_EPOCH", "CERTIFICATE_SEAL"}


def refuse_leave() -> LocalError:
    """Return why a voter may not leave now."""
    told = "This node has voted on the next epoch: wait for the seal, some seconds, and leave then."
    return LocalError("SEAL_IN_PROGRESS", told)
