"""A member that attacks: floods, lies about clocks and versions, takes nothing, comes and goes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gossip.events import Message
from gossip.framing import frame
from gossip.messages import DATA, GOSSIP, PROTOCOL, SEALS, WITNESS, Envelope, Unsupported, seal
from gossip.peers import Limits
from gossip.vocabulary import Heads, Marks, Runs, Summary, Tick, Want, encode
from ledger import codec
from ledger.errors import LocalError
from ledger.feed import SignedHead
from node.engine import INBOX_MAX, OUTBOX_BYTES_MAX
from simulations.daemons import Daemons, now_ms
from tests.node.hostile.attackers import Rogue, held, mesh_of, spread

LATENCY_SECONDS = 1.0
"""Within which an entry is everywhere, in a quiet mesh on a local network: half a round trip and a turn or two."""


async def turned(mesh: Daemons, number: int = 3) -> Rogue:
    """Stop a daemon, and come to the first one with its keys."""
    await mesh.kill(number)
    await trio.sleep(1)
    return await Rogue.enter(mesh, mesh._dead[number].who.identity)


HOSTILE_VALUES: tuple[Any, ...] = (-1, 2**62, None, "", b"", [], [[]], {})
FLOODS = {
    "summaries": encode(Summary(1, bytes(32), 2, b"", 0, b"")),
    "wants of nothing": encode(Want(tuple((number.to_bytes(32, "big"), 0) for number in range(50)))),
    "heads that nobody signed": encode(
        Heads(tuple((number.to_bytes(32, "big"), SignedHead(9, bytes(32), 1, bytes(64))) for number in range(20)))
    ),
    "marks of another time": encode(Marks(2**40, True, ())),
    "ticks of all times": encode(Tick(1_900_000_000)),
    "an unknown kind": seal(GOSSIP, 1, 22, [bytes(100)]),
    "an unknown version": seal(GOSSIP, 9, 1, [bytes(100)]),
    "an unknown family": seal(17, 1, 1, [bytes(100)]),
    "no gossip at all": bytes(100),
    "votes": seal(SEALS, 1, 1, [0, bytes(200)]),
    "cosignatures": seal(WITNESS, 1, 1, [[]]),
    "data": seal(DATA, 1, 23, [bytes(16), 0]),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_is_dropped_and_nobody_else_waits(autojump_clock: MockClock, name: str) -> None:
    async with mesh_of(4) as mesh:
        quiet = await spread(mesh, 1, seconds=5, to=2)
        rogue = await turned(mesh)
        before = held(mesh.nodes[0])
        with trio.CancelScope() as flood:
            async with trio.open_nursery() as nursery:

                async def pour() -> None:
                    for _ in range(12):
                        await rogue.say([FLOODS[name]] * 100)
                    flood.cancel()

                nursery.start_soon(pour)
                assert await spread(mesh, 1, seconds=5, to=0) <= max(quiet, LATENCY_SECONDS)
                assert await spread(mesh, 0, seconds=5, to=2) <= max(quiet, LATENCY_SECONDS)
                await trio.sleep(5)
        after = held(mesh.nodes[0])
        assert after["inbox"] < INBOX_MAX
        assert after["outbox bytes"] <= OUTBOX_BYTES_MAX
        assert after["rows of peers"] - before["rows of peers"] < 3_000
        assert after["timers"] < 200
        assert await spread(mesh, 2, seconds=5, to=0) <= LATENCY_SECONDS  # alive, and answering


async def test_a_member_that_never_ends_its_flood_is_hung_up_on(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        rogue = await turned(mesh)
        most = Limits().messages_burst + Limits().dropped_max
        told = encode(Summary(1, bytes(32), 2, b"", 0, b""))
        with pytest.raises((trio.BrokenResourceError, LocalError)):  # noqa: PT012 - one flood
            for _ in range(2 * most // 500):
                await rogue.say([told] * 500)
                await trio.sleep(0.001)
        assert mesh.nodes[0].core.swarm.counters["over_rate"] > Limits().dropped_max
        assert await spread(mesh, 1, seconds=5, to=0) <= LATENCY_SECONDS


async def test_an_unknown_family_or_version_is_answered_once_and_ends_nothing(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        rogue = await turned(mesh)
        await rogue.say([FLOODS["an unknown version"]] * 5 + [FLOODS["an unknown kind"]] * 5)
        heard, code = await rogue.hear(3)
        assert code == ""
        refused = [Envelope.open(data) for data in heard if Envelope.open(data).family == PROTOCOL]
        assert [Unsupported.read(one.body()) for one in refused] == [Unsupported(GOSSIP, (1,))]
        await rogue.say([encode(Want(((mesh.nodes[0].kid, 0),)))])
        heard, code = await rogue.hear(3)
        assert [Envelope.open(data).kind for data in heard].count(Runs.KIND) >= 1
        assert code == ""


@pytest.mark.parametrize("size", [17, 40_000, 65_535])
async def test_a_frame_that_does_not_open_ends_the_channel_alone(autojump_clock: MockClock, size: int) -> None:
    async with mesh_of(4) as mesh:
        rogue = await turned(mesh)
        await rogue.raw(frame(bytes(size)))
        assert (await rogue.hear(5))[1] != ""
        await trio.sleep(1)
        assert mesh.nodes[0].core.peers.keys() == {mesh.nodes[1].kid, mesh.nodes[2].kid}


async def test_a_message_beyond_all_bounds_is_refused_on_its_length(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        rogue = await turned(mesh)
        for _ in range(3):
            await rogue.say([seal(20, 1, 1, [bytes(65_000)])])
        await rogue.say([b"\x84\x01\x01\x01" + bytes(1 << 20) + b"\x00"])  # beyond its family's bound
        heard, _ = await rogue.hear(3)
        assert held(mesh.nodes[0])["flying bytes"] == 0
        assert all(len(data) < 1 << 16 for data in heard)
        assert await spread(mesh, 1, seconds=5, to=0) <= LATENCY_SECONDS


async def test_a_peer_that_takes_nothing_costs_its_outbox_and_no_more(autojump_clock: MockClock) -> None:
    """It asks for much and reads nothing: a slow reader."""
    async with mesh_of(4) as mesh:
        rogue = await turned(mesh)
        wanted = encode(Want(tuple((daemon.kid, 0) for daemon in mesh.nodes.values())))
        with trio.move_on_after(30):
            while True:
                await rogue.say([wanted] * 20)
                await trio.sleep(0.1)
                assert held(mesh.nodes[0])["outbox bytes"] <= OUTBOX_BYTES_MAX
        assert await spread(mesh, 1, seconds=5, to=2) <= LATENCY_SECONDS


async def test_a_storm_of_reconnections_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        await mesh.kill(3)
        await trio.sleep(1)
        before = held(mesh.nodes[0])
        who = mesh._dead[3].who.identity
        for number in range(60):
            rogue = await Rogue.enter(mesh, who)
            if number % 3:
                await rogue.say([FLOODS["summaries"]])
            if number % 2:
                await trio.aclose_forcefully(rogue.visit._stream)
        assert await spread(mesh, 1, seconds=5, to=0) <= LATENCY_SECONDS
        await trio.sleep(120)
        after = held(mesh.nodes[0])
        assert after["connections"] <= before["connections"] + 1
        assert (after["unproven"], after["strangers"]) == (0, 0)
        assert after["rows of peers"] <= before["rows of peers"] + 200
        assert after["timers"] < before["timers"] + 50


@pytest.mark.parametrize("lie", [0, 5, 1_000_000_000, 2**40, 2**62])
async def test_a_lie_about_the_clock_moves_no_clock(autojump_clock: MockClock, lie: int) -> None:
    """A head dated far away, signed well by its own device: it is refused or kept, and nobody else's time moves."""
    async with mesh_of(4) as mesh:
        rogue = await turned(mesh)
        one, liar = mesh.nodes[0], mesh._dead[3]
        held_head = one.core.replica.signed_head(liar.kid)
        assert held_head is not None
        signed = SignedHead(held_head.size, held_head.root, lie, _sign(liar, held_head, lie))
        await rogue.say([encode(Heads(((liar.kid, signed),))), encode(Tick(lie)), encode(Marks(lie, True, ()))])
        await trio.sleep(130)
        now = now_ms() // 1_000
        for daemon in mesh.nodes.values():
            for feed in daemon.core.replica.feeds:
                head = daemon.core.replica.signed_head(feed)
                assert head is None or head.time <= now + 10 * 60
        assert await spread(mesh, 1, seconds=5, to=0) <= LATENCY_SECONDS


def _sign(liar: object, head: SignedHead, time: int) -> bytes:
    from ledger.checkpoint import cosigned_message
    from simulations.daemons import Daemon

    assert isinstance(liar, Daemon)
    mesh_id = liar.core.replica.mesh_id
    return liar.who.device.sign(cosigned_message(mesh_id, liar.kid, head.size, head.root, time))


async def test_hostile_values_in_every_message_end_no_daemon(autojump_clock: MockClock) -> None:
    from tests.fuzz.of_gossip import messages

    async with mesh_of(4) as mesh:
        await mesh.kill(3)
        await trio.sleep(1)
        kid = mesh._dead[3].kid
        rogue = await Rogue.enter(mesh, mesh._dead[3].who.identity)
        for data in messages():
            await mesh.nodes[0].engine.put(Message(kid, data))
            value = codec.decode(data)
            assert isinstance(value, list)
            for hostile in HOSTILE_VALUES:
                for place in range(3, len(value)):
                    changed = [*value[:place], hostile, *value[place + 1 :]]
                    await mesh.nodes[0].engine.put(Message(kid, codec.encode(changed)))
        await trio.sleep(5)
        assert rogue.visit is not None
        assert await spread(mesh, 1, seconds=5, to=0) <= LATENCY_SECONDS
