"""Witnessing in the running mesh: cosign at ticks, tell the others, and fetch what did not arrive (ledger.md §5).

How it works
    When the maps have moved to a tick, what moved is cosigned (ledger/witnessing.py) and goes to every member
    neighbour, all of a tick in as few messages as it takes. Nobody passes that on. A few seconds later, and again for
    a while, one neighbour chosen at random is told what we still lack of each feed's newest head, and sends it: so
    cosignatures also reach those who are no neighbours of each other, and those who were away. Where all is there,
    nothing is said.

    A cosignature over leaves that are not ours means that somebody showed two faces: the peer is sent our checkpoint,
    and with the checkpoints of both branches at hand gossip fetches the leaves and the fork is proven (node/forks.py).

    A peer pays for signatures that must be verified and for answers. What is over is dropped; it is asked for again.

What it does not do
    It decides nothing from cosignatures. It keeps no order: what comes before our own tick is taken in all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, assert_never

from gossip.events import Disconnect
from gossip.messages import Envelope
from gossip.peers import Bucket
from gossip.vocabulary import Heads
from gossip.vocabulary import encode as encode_gossip
from gossip.witness import LACKING_MAX, LINES_MAX, Cosigned, Lacking, decode, encode
from ledger import witnessing
from ledger.errors import RemoteError
from ledger.ticks import Tick
from ledger.witnessing import Cosigned as Line
from ledger.witnessing import Witnesses

if TYPE_CHECKING:
    from node.core import Turn

TIMER: Final = "witness"
FETCH_MS: Final = 5_000
"""Between a tick and the first question for what lacks, and between two questions."""
FETCHES: Final = 8
"""Questions after one tick."""
ANSWER_LINES: Final = 4 * LINES_MAX
"""Cosignatures in the answer to one question; the next brings the rest."""
LINES_RATE: Final = 200
"""Cosignatures a second that one peer may have verified."""
LINES_BURST: Final = 4 * ANSWER_LINES
ANSWERS_RATE: Final = 1
"""Answers a second to one peer."""
ANSWERS_BURST: Final = 4
FAULTS_MAX: Final = 8
"""Cosignatures that do not verify, after which a channel ends."""


@dataclass(slots=True)
class _Ear:
    """What one peer has cost."""

    lines: Bucket
    answers: Bucket
    faults: int = 0


class Witness:
    """What one node says and hears of cosignatures. `rng` chooses whom to ask."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._ears: dict[bytes, _Ear] = {}
        self._fetches = 0  # questions left for this tick
        self._shown: set[tuple[bytes, bytes]] = set()  # (peer, feed) whose face was shown since this tick

    def _ear(self, turn: Turn, peer: bytes) -> _Ear:
        ear = self._ears.get(peer)
        if ear is None:
            lines, answers = (
                Bucket(LINES_RATE, LINES_BURST, turn.now_ms),
                Bucket(ANSWERS_RATE, ANSWERS_BURST, turn.now_ms),
            )
            ear = self._ears[peer] = _Ear(lines, answers)
        return ear

    def peer_down(self, peer: bytes) -> None:
        """Forget a peer whose channel is gone."""
        self._ears.pop(peer, None)

    # At a tick

    def arrived(self, turn: Turn, tick: Tick) -> None:
        """Cosign what moved up to a tick, tell the neighbours, and begin to ask for what lacks."""
        core = turn.core
        former = core.ticker.remembered(turn.rows, tick.boundary - 1)
        before = former.sizes if former is not None else {}
        self._tell(turn, *witnessing.cosign(turn.rows, core.replica, tick, before, core.device, turn.now))
        witnessing.prune(turn.rows)
        self._fetches = FETCHES
        self._shown.clear()
        turn.timer(TIMER, turn.now_ms + FETCH_MS)

    def _tell(self, turn: Turn, made: Sequence[Line], diverged: Sequence[bytes]) -> None:
        for feed in diverged:
            turn.note("NOT_COSIGNED", feed=feed.hex())
        for data in _messages(made):
            for peer in turn.core.member_peers:
                turn.send(peer, data)

    def timer(self, turn: Turn) -> None:
        """Ask one neighbour for what lacks, as long as something does."""
        peers, lacking = turn.core.member_peers, self._lacking(turn)
        if not lacking or self._fetches <= 0:
            return
        self._fetches -= 1
        turn.timer(TIMER, turn.now_ms + FETCH_MS)
        if peers:
            turn.send(self._rng.choice(peers), encode(Lacking(lacking)))

    def _lacking(self, turn: Turn) -> tuple[tuple[bytes, int, int], ...]:
        witnesses, found = Witnesses(turn.core.replica.members), list[tuple[bytes, int, int]]()
        for newest in witnessing.newest(turn.rows):
            head = newest.head
            bits = witnessing.lacking(witnessing.cosignatures(turn.rows, head.feed, head), witnesses.of(head.feed))
            if bits and len(found) < LACKING_MAX:
                found.append((head.feed, head.size, bits))
        return tuple(found)

    # What comes in

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Act on one message from a member. Never raises for a peer's fault."""
        try:
            told = decode(envelope)
        except RemoteError as error:
            turn.effects.append(Disconnect(peer, error.code, str(error)))
            return
        match told:
            case None:
                return
            case Cosigned(lines):
                self._keep(turn, peer, lines)
            case Lacking(items):
                if self._ear(turn, peer).answers.take(1, turn.now_ms):
                    self._answer(turn, peer, items)
            case _:
                assert_never(told)

    def _keep(self, turn: Turn, peer: bytes, lines: Sequence[Line]) -> None:
        core, ear = turn.core, self._ear(turn, peer)
        if not ear.lines.take(len(lines), turn.now_ms):
            return
        witnesses, tick = Witnesses(core.replica.members), core.ticker.tick
        faces, beyond = set[bytes](), set[bytes]()
        for line in lines:
            try:
                if witnessing.keep(turn.rows, core.replica, tick, witnesses, line, turn.now):
                    beyond.add(line.head.feed)
            except RemoteError as error:
                if error.code == "OTHER_FACE":
                    faces.add(line.head.feed)
                elif error.code == "BAD_COSIGNATURE":
                    ear.faults += 1
        for feed in sorted(faces):
            self._show(turn, peer, feed)
        if tick is not None and core.replica.members.is_member(core.party):
            follows = [feed for feed in sorted(beyond) if witnessing.is_beyond(turn.rows, tick, feed)]
            self._tell(turn, *witnessing.follow(turn.rows, core.replica, tick, follows, core.device, turn.now))
        if ear.faults >= FAULTS_MAX:
            ear.faults = 0
            turn.effects.append(
                Disconnect(peer, "BAD_COSIGNATURES", "It sends cosignatures that no honest member passes on.")
            )

    def _show(self, turn: Turn, peer: bytes, feed: bytes) -> None:
        """Show a peer our face of a feed of which it, or somebody it knows, has seen another."""
        ours = turn.core.replica.signed_head(feed)
        if ours is not None and (peer, feed) not in self._shown:
            self._shown.add((peer, feed))
            turn.note("OTHER_FACE_COSIGNED", feed=feed.hex())
            turn.send(peer, encode_gossip(Heads(((feed, ours),))))

    def _answer(self, turn: Turn, peer: bytes, items: Sequence[tuple[bytes, int, int]]) -> None:
        witnesses, found = Witnesses(turn.core.replica.members), list[Line]()
        for feed, size, bits in items:
            if len(found) >= ANSWER_LINES:
                break
            wanted = {device for place, device in enumerate(witnesses.of(feed)) if bits >> place & 1}
            found += [line for line in witnessing.cosigned_at(turn.rows, feed, size) if line.device in wanted]
        found.sort(key=lambda line: (line.device, line.time))
        for data in _messages(found[:ANSWER_LINES]):
            turn.send(peer, data)


def _messages(lines: Sequence[Line]) -> list[bytes]:
    """Return the messages that carry these cosignatures."""
    return [encode(Cosigned(tuple(lines[at : at + LINES_MAX]))) for at in range(0, len(lines), LINES_MAX)]
