"""A ledger's side of sealing for tests: simple rules over a real replica, and worlds of nodes that seal by them.

How it works
    `Electorate` answers `node.sealable.Sealable` from the entries that a replica holds. Its first epoch has a name of
    its own, so the real chain of epochs takes no notice of what is sealed here. All founders vote; a leave removes a
    voter, and any proposal to expel counts as an expulsion at once. It fails where two seals of one epoch are
    certified: that must never be.

What it does not do
    It is no model of governance: tests of the ledger have that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gossip.messages import SEALS, Envelope
from gossip.seals import Word, decode
from ledger import codec, keys
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.governance.certificate import Certificate, EpochContext, Seal, verify_certificate
from ledger.governance.epoch import Epoch, Policy
from ledger.governance.sealing import SILENT_SECONDS, frontier_digest
from ledger.replica import Replica
from ledger.rows import Reader
from node.core import Core, Turn
from node.sealable import Pace
from node.sealing import Sealer
from simulations.links import LAN, Link
from simulations.world import SECOND, World

PACE = Pace(least_seconds=10, most_seconds=100_000)
LEAST = PACE.least_seconds * SECOND
POLICY = Policy(tick_seconds=86_400, heartbeat_seconds=3_600)


@dataclass(frozen=True)
class Step:
    """One epoch: what judges the next, its frontier, and the certificate that made it."""

    context: EpochContext
    frontier: Mapping[bytes, Head]
    certificate: Certificate | None


class Electorate:
    """Sealable by simple rules, over what a replica holds."""

    def __init__(self, replica: Replica, *, silent_seconds: int = SILENT_SECONDS) -> None:
        self.replica, self._silent_seconds = replica, silent_seconds
        genesis = replica.genesis
        voters = {keys.thumbprint(root): device for root, device in genesis.founders}
        reference = hashlib.sha256(b"simple rules" + genesis.mesh_id).digest()
        first = EpochContext.of(genesis.mesh_id, reference, 0, genesis.entry.iat, voters)
        self.steps = [Step(first, {}, None)]
        self.lapse: int | None = None
        self._read = 0

    def _newest(self) -> Step:
        if self._read != len(self.replica.registrations):
            self._read = len(self.replica.registrations)
            self.steps = self.steps[:1]
            while (step := self._after(self.steps[-1])) is not None:
                self.steps.append(step)
        return self.steps[-1]

    def _entries(self, kind: str) -> list[Entry]:
        return [r.entry for r in self.replica.registrations if r.entry.kind == kind]

    def _after(self, step: Step) -> Step | None:
        context = step.context
        found: dict[bytes, Certificate] = {}
        for sighting in self.replica.registrations.after(context.reference):
            certificate = Certificate.decode(sighting.registration.entry.payload["certificate"], context.size)
            verify_certificate(certificate, context)
            found[certificate.seal.digest()] = certificate
        assert len(found) <= 1, "two seals of one epoch"
        for certificate in found.values():
            frontier = self._frontier(step, certificate.epoch.frontier_digest)
            if frontier is not None:
                seal, epoch = certificate.seal, certificate.epoch
                out = {*seal.left, *seal.expelled, *seal.silent}
                voters = dict(pair for place, pair in enumerate(context.voters) if place not in out)
                after = EpochContext.of(context.mesh_id, epoch.reference(), epoch.n, epoch.as_of, voters)
                return Step(after, frontier, certificate)
        return None

    def _frontier(self, step: Step, digest: bytes) -> Mapping[bytes, Head] | None:
        parts: dict[tuple[bytes, int], Entry] = {}
        for entry in self._entries("seal.frontier"):
            if entry.payload["digest"] == digest:
                parts[entry.kid, entry.payload["part"]] = entry
        for signer in {kid for kid, _ in parts}:
            listed = [entry for (kid, _), entry in parts.items() if kid == signer]
            if len(listed) == listed[0].payload["parts"]:
                heads = [Head(*head) for entry in listed for head in entry.payload["heads"]]
                frontier = {**step.frontier, **{head.feed: head for head in heads}}
                assert frontier_digest(frontier.values()) == digest
                return frontier
        return None

    # Sealable

    def epoch_context(self) -> EpochContext:
        """Return what judges the next epoch."""
        return self._newest().context

    def governance_waits(self) -> bool:
        """Say whether anything but seals lies beyond the frontier."""
        frontier = self._newest().frontier
        return any(
            not r.entry.kind.startswith("seal.") and (r.feed not in frontier or r.index >= frontier[r.feed].size)
            for r in self.replica.registrations
        )

    def lapses_at(self) -> int | None:
        """Return what the test has set, until a seal has passed it."""
        return self.lapse if self.lapse is not None and self.lapse > self._newest().context.as_of else None

    def sealed_frontier(self) -> Mapping[bytes, Head]:
        """Return the newest frontier."""
        return self._newest().frontier

    def heads_now(self) -> Mapping[bytes, Head]:
        """Return every feed's checkpoint."""
        return {feed: head for feed, head in self.replica.frontier().items() if head.size}

    def ungrounded(self, rows: Reader) -> Entry | None:
        """Return nothing: no feed is held at a fork here."""
        del rows
        return None

    def anything_waits(self, rows: Reader) -> bool:
        """Say whether a feed has moved."""
        del rows
        return dict(self.heads_now()) != dict(self.sealed_frontier())

    def next_seal(self, rows: Reader, frontier: Mapping[bytes, Head], as_of: int, silent: Sequence[int]) -> Seal | None:
        """Return the seal of a frontier."""
        step = self._newest()
        if any(feed not in frontier or frontier[feed].size < head.size for feed, head in step.frontier.items()):
            return None
        if as_of <= step.context.as_of or not self.replica.holds(rows, frontier.values()):
            return None
        below = [r.entry for r in self.replica.registrations if r.feed in frontier and r.index < frontier[r.feed].size]
        left, expelled = self._gone(below)
        listed = [*left, *expelled, *silent]
        names = [list(pair) for place, pair in enumerate(step.context.voters) if place not in listed]
        governing = sorted(entry.id for entry in below if not entry.kind.startswith("seal."))
        epoch = Epoch(
            n=step.context.n + 1,
            prev=step.context.reference,
            as_of=as_of,
            members_digest=hashlib.sha256(codec.encode(governing)).digest(),
            voters_digest=hashlib.sha256(codec.encode(names)).digest(),
            frontier_digest=frontier_digest(frontier.values()),
            cuts_digest=bytes(32),
            state_root=bytes(32),
            policy_digest=bytes(32),
            charter=None,
            thresholds=(1,),
            evaluator_version=1,
            open_proposals=(),
        )
        return Seal(epoch, left, expelled, tuple(silent))

    def silent_voters(self, rows: Reader, as_of: int) -> Sequence[int]:
        """Return the voters whose newest checkpoint is old."""
        del rows
        voters = self._newest().context.voters
        heads = [self.replica.signed_head(keys.thumbprint(public)) for _, public in voters]
        return [
            place
            for place, head in enumerate(heads)
            if (head.time if head is not None else self.replica.genesis.entry.iat) <= as_of - self._silent_seconds
        ]

    def gone(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return who is gone by all that is held."""
        return self._gone(r.entry for r in self.replica.registrations)

    def omits_expulsion(self, rows: Reader, seal: Seal) -> bool:
        """Say whether somebody whom we know to be expelled is not in the seal."""
        del rows
        return not set(self.gone()[1]) <= set(seal.expelled)

    def _gone(self, entries: Iterable[Entry]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        context = self._newest().context
        left: set[int | None] = set()
        expelled: set[int | None] = set()
        for entry in entries:
            if entry.kind == "member.leave":
                left.add(context.index(entry.thing[1]))
            elif entry.kind == "proposal" and entry.payload["act"] == "expel":
                expelled.add(context.index(entry.payload["target"][0]))
        places = sorted(place for place in left if place is not None)
        return tuple(places), tuple(sorted(place for place in expelled - left if place is not None))


def sealer(core: Core) -> Sealer:
    """Make what seals at a node of a world (World's `sealing`)."""
    return Sealer(Electorate(core.replica), pace=PACE)


def sealer_of(world: World, number: int) -> Sealer:
    """Return what seals at a node."""
    found = world.nodes[number].running.sealing
    assert isinstance(found, Sealer)
    return found


def electorate_of(world: World, number: int) -> Electorate:
    """Return the ledger's side at a node."""
    found = sealer_of(world, number)._ledger
    assert isinstance(found, Electorate)
    return found


def epochs(world: World) -> list[int]:
    """Return the number of the newest epoch of each running node."""
    return [electorate_of(world, node.number).epoch_context().n for node in world.alive()]


def sealed(world: World, n: int) -> bool:
    """Say whether every running node holds epoch n, the same one."""
    steps = [electorate_of(world, node.number) for node in world.alive()]
    return all(each.epoch_context().n >= n for each in steps) and (
        len({each.steps[n].context.reference for each in steps}) == 1
    )


def world_of(count: int, seed: int = 1, link: Link = LAN) -> World:
    """Return a mesh of founders, all connected, whose acceptances wait to be sealed."""
    world = World(seed, link=link, policy=POLICY, sealing=sealer, silence_us=10 * SECOND)
    world.found(count)
    return world


def stir(turn: Turn) -> None:
    """State something that waits to be sealed."""
    turn.state("vote.default", ("member", turn.core.party[0]), {"choice": "abstain"})


def certificates(world: World) -> int:
    """Return how many certificates one node holds."""
    return len(world.alive()[0].entries("seal.certificate"))


def words(message: bytes) -> Word | None:
    """Return a voter's message on its way."""
    envelope = Envelope.open(message)
    told = decode(envelope) if envelope.family == SEALS else None
    return told if isinstance(told, Word) else None
