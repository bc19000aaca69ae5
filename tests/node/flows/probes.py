"""Probes for tests: a mesh in which each can be made, what comes of one, and answers that are signed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gossip.messages import DATA, Envelope
from ledger.consent.answer import SALT_BYTES, Answer, Evidence, content_digest, open_evidence
from ledger.consent.fault import Examined, Known, Wrong, examine, know, results
from ledger.entry import Entry
from node.adapters import household, senml
from node.flows import wire
from node.flows.contents import kinds_in, of_series, read_pack
from node.readings import Series
from node.vaults.probes import Probe
from node.vaults.transfers import Tally, chained
from tests.node.flows.world import SHORT, Side, World, terms

RIGHT = {"ended": "WITHDRAWN", "recipient": "OTHER_RECIPIENT", "kind": "OTHER_KIND", "imagined": "NO_CONSENT"}
OTHERS: tuple[dict[str, Any], ...] = (
    {},
    {"kind": "index", "register": "EAS T", "unit": "Wh"},
    {"kind": "max_power", "unit": "VA"},
)
PROVEN = {
    "ended": Wrong.WITHDRAWN,
    "recipient": Wrong.OTHER_RECIPIENT,
    "kind": None,
    "imagined": Wrong.NO_SUCH_GRANT,
}


def scene(*, turned: bool) -> tuple[World, Entry]:
    """Return a mesh in which every probe can be made by the recipient and by the third side; and a grant in force.

    Grants to the recipient: one in force, one withdrawn.
    """
    world = World(4, turned=turned)
    daily = household.daily_totals(1, SHORT.starts[0], 10)
    world.import_series(SHORT, *(replace(daily, key=replace(daily.key, **changes)) for changes in OTHERS))
    ended, _ = world.grant(terms(SHORT))
    world.withdraw(ended)
    world.pump()
    grant, _ = world.grant(terms(SHORT))
    world.pass_time(1)
    return world, grant


def prober(world: World, way: str) -> Side:
    """Return a side that can probe in a way: "recipient" is for one to whom the consents are not given."""
    return world.sides[2] if way == "recipient" else world.recipient


def probe(world: World, way: str, by: Side | None = None) -> Probe:
    """Probe the holder in one way, to the end."""
    side = by or prober(world, way)
    begun = side.act(lambda turn: side.flows.probing.ask(turn, world.holder.party, way))
    world.pump()
    return kept(side, begun.transfer)


def kept(side: Side, transfer: bytes) -> Probe:
    """Return what a side keeps of a probe."""
    found = side.look(lambda turn: side.flows.probing.rows.get(turn.vault, transfer))
    assert found is not None
    return found


def result(side: Side, done: Probe) -> Entry:
    """Return the result of a probe on the ledger of any side."""
    entry = side.entry(done.entry)
    assert entry is not None
    return entry


def examined(side: Side, entry: Entry) -> Examined:
    """Return what a side makes of a result."""
    return side.look(lambda turn: examine(turn.core.replica, turn.rows, entry))


def known(side: Side, evidence: Evidence) -> Known:
    """Return what a side's ledger knows about evidence."""
    return side.look(lambda turn: know(turn.core.replica, turn.rows, evidence))


def caught(world: World, way: str) -> tuple[Entry, Evidence, Known]:
    """Have the dishonest holder caught; return the result, the evidence and what the fourth side knows of it."""
    entry = result(world.sides[3], probe(world, way))
    evidence = open_evidence(entry.payload["evidence"], world.holder.core.replica.mesh_id)
    return entry, evidence, known(world.sides[3], evidence)


def all_results(side: Side) -> list[Entry]:
    """Return every result that a side's ledger holds."""
    return side.look(lambda turn: results(turn.core.replica, turn.rows))


def signed_pack(
    holder: Side, recipient: Side, transfer: bytes, grant: bytes, series: Series, /, **changes: Any
) -> wire.Chunk:
    """Return the first pack of a transfer, signed by a holder that asks no gate; `changes`: to what it signs."""
    pack, salt = senml.encode_cbor(series), bytes(SALT_BYTES)
    digest = content_digest(salt, chained(Tally.begin(transfer).chain, pack), kinds_in([of_series(series)]))
    answer = Answer(transfer, 0, grant, holder.party, recipient.party, holder.world.now, "", digest)
    signature = replace(answer, **changes).sign(holder.device, holder.core.replica.mesh_id)
    return wire.Chunk(transfer, 0, grant, pack, changes.get("at", answer.at), salt, signature)


def deliver(world: World, source: Side, target: Side) -> None:
    """Deliver what is on its way in one direction, and nothing else."""
    way = (source.device.kid, target.device.kid)
    while world.queues.get(way):
        world.step(way)


def served(world: World) -> Evidence:
    """Return what comes with the first pack that is on its way from the holder to the recipient."""
    on_the_way = world.queues[(world.holder.device.kid, world.recipient.device.kid)]
    messages = [wire.decode(Envelope.open(data)) for data in on_the_way if data[1] == DATA]
    return evidence_of(world, next(one for one in messages if isinstance(one, wire.Chunk)))


def evidence_of(world: World, chunk: wire.Chunk) -> Evidence:
    """Return the evidence that a pack from the holder to the recipient comes with."""
    kinds = kinds_in(read_pack(chunk.pack))
    digest = content_digest(chunk.salt, chained(Tally.begin(chunk.transfer).chain, chunk.pack), kinds)
    parties = (world.holder.party, world.recipient.party)
    answer = Answer(chunk.transfer, chunk.number, chunk.grant, *parties, chunk.at, "", digest)
    return Evidence(world.holder.device.public, chunk.signature, answer)
