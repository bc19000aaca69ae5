"""Joining: what a newcomer is told, and what it refuses to sign."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from gossip import knock
from gossip.channel import Channel, Established, Received, Transmit
from gossip.knock import KnockAnswer
from ledger.checkpoint import Head
from ledger.errors import LocalError, RemoteError
from ledger.governance.epoch import Genesis, Policy
from node.admission import Admission, Welcome
from node.joining import ANSWER_SECONDS_MAX, Outcome, apply
from node.tickets import Ticket
from simulations.daemons import Daemons, address, now_ms, quiet
from simulations.founding import Persona, found, persona
from simulations.links import LAN
from simulations.memory_network import Host, Switchboard
from tests.node.sites import NOW, SEED, people

DOOR = Admission()
WHO = 60
"""The newcomer's number."""


@asynccontextmanager
async def mesh_of(count: int, policy: Policy | None = None) -> AsyncIterator[Daemons]:
    """Run a mesh of whole daemons in virtual time."""
    with quiet():
        async with trio.open_nursery() as nursery:
            mesh = Daemons(SEED, nursery, policy or Policy(), LAN.delay)
            await mesh.found(count)
            yield mesh
            nursery.cancel_scope.cancel()


async def invite(mesh: Daemons, bound_to: bytes | None, ttl: int = 600) -> Ticket:
    """Let the first daemon make a ticket."""
    return await mesh.nodes[0].engine.act(
        lambda turn: DOOR.invite(turn, [address(0)], ttl_seconds=ttl, bound_to=bound_to)
    )


async def test_a_ticket_by_text_is_enough_to_join(autojump_clock: MockClock) -> None:
    async with mesh_of(2) as mesh:
        ticket = Ticket.parse((await invite(mesh, persona(SEED, WHO).root.kid)).text())
        daemon = await mesh.join(WHO, ticket)
        assert await mesh.until(mesh.agree, 20)
        assert daemon.core.is_member_device(daemon.kid)
        assert len(daemon.core.replica.members.members) == 3


async def test_an_unbound_ticket_waits_for_approval(autojump_clock: MockClock) -> None:
    async with mesh_of(1) as mesh:
        ticket = await invite(mesh, None)
        assert (await mesh.knock(WHO, ticket)).code == "PENDING"
        (request,) = await mesh.nodes[0].engine.read(lambda turn: DOOR.requests(turn.rows))
        await mesh.nodes[0].engine.act(lambda turn: DOOR.approve(turn, request.id))
        assert (await mesh.knock(WHO, ticket)).code == "ADMITTED"


async def test_the_member_s_refusal_is_passed_on(autojump_clock: MockClock) -> None:
    async with mesh_of(1) as mesh:
        ticket = await invite(mesh, persona(SEED, WHO + 1).root.kid)
        with pytest.raises(LocalError) as caught:
            await mesh.join(WHO, ticket)
        assert caught.value.code == "TICKET_NOT_YOURS"
        assert (await mesh.knock(WHO, replace(ticket, secret=bytes(16)))).code == "TICKET_UNKNOWN"


async def test_a_lapsed_ticket_is_not_even_tried(autojump_clock: MockClock) -> None:
    async with mesh_of(1) as mesh:
        ticket = await invite(mesh, None, ttl=5)
        await trio.sleep(7)
        before = mesh.board.bytes
        with pytest.raises(LocalError) as caught:
            await mesh.knock(WHO, ticket)
        assert caught.value.code == "TICKET_EXPIRED"
        assert mesh.board.bytes == before


async def test_the_first_address_that_answers_is_taken(autojump_clock: MockClock) -> None:
    async with mesh_of(1) as mesh:
        ticket = await invite(mesh, None)
        elsewhere = replace(ticket, addresses=("n400:7000", *ticket.addresses))
        assert (await mesh.knock(WHO, elsewhere)).code == "PENDING"
        with pytest.raises(LocalError) as caught:
            await mesh.knock(WHO, replace(ticket, addresses=("n400:7000",)))
        assert caught.value.code == "UNREACHABLE"
        assert "n400:7000" in caught.value.message


async def test_an_inviter_that_is_cut_off_is_waited_for_so_long_and_no_longer(autojump_clock: MockClock) -> None:
    async with mesh_of(1) as mesh:
        ticket = await invite(mesh, None)
        mesh.board.partition([[0]])
        begun = trio.current_time()
        with pytest.raises(LocalError) as caught:
            await mesh.knock(WHO, ticket)
        assert caught.value.code == "UNREACHABLE"
        assert trio.current_time() - begun == pytest.approx(ANSWER_SECONDS_MAX, abs=0.1)


async def test_another_device_at_the_ticket_s_address_is_found_out(autojump_clock: MockClock) -> None:
    async with mesh_of(2) as mesh:
        ticket = await invite(mesh, None)
        with pytest.raises(LocalError) as caught:
            await mesh.knock(WHO, replace(ticket, addresses=(address(1),)))
        assert caught.value.code == "WRONG_KEY"


def _other_genesis(host: Persona, genesis: Genesis, welcome: Welcome) -> KnockAnswer:
    other, _ = found(SEED, people(1, first=host.number), Policy(tick_seconds=60), NOW)
    assert other.mesh_id != genesis.mesh_id
    return KnockAnswer("GENESIS", other.entry.raw, (welcome.encode(),))


LIES: dict[str, tuple[str, Callable[[Persona, Genesis, Welcome], KnockAnswer]]] = {
    "the genesis of another mesh": ("WRONG_GENESIS", _other_genesis),
    "no genesis": ("WRONG_GENESIS", lambda _, __, w: KnockAnswer("GENESIS", None, (w.encode(),))),
    "no welcome": ("WRONG_GENESIS", lambda _, g, __: KnockAnswer("GENESIS", g.entry.raw, ())),
    "a welcome of another shape": ("BAD_WELCOME", lambda _, g, __: KnockAnswer("GENESIS", g.entry.raw, (b"\x80",))),
    "a date far ahead": (
        "BAD_WELCOME",
        lambda _, g, w: KnockAnswer("GENESIS", g.entry.raw, (replace(w, closure_iat=NOW + 1_000).encode(),)),
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_member_that_lies_gets_no_signature(autojump_clock: MockClock, lie: str) -> None:
    code, make = LIES[lie]
    (host,) = people(1, first=70)
    genesis, _ = found(SEED, [host], Policy(), NOW)
    welcome = Welcome(Head(host.device.kid, 0, bytes(32)), genesis.mesh_id, host.party, NOW)
    heard: list[bytes] = []

    async def impostor(stream: trio.abc.Stream, _: str) -> None:
        channel = Channel.responder({genesis.mesh_id: host.identity}, SEED.stream(70, "impostor").randbytes)
        effects = list(channel.start(0))
        while effects or (data := await stream.receive_some()):
            effects = effects or list(channel.receive(bytes(data), 0))
            for effect in effects:
                match effect:
                    case Transmit(out):
                        await stream.send_all(out)
                    case Received(message):
                        heard.append(message)
                        for sealed in channel.send([knock.encode(make(host, genesis, welcome))]):
                            assert isinstance(sealed, Transmit)
                            await stream.send_all(sealed.data)
                    case Established():
                        pass
            effects = []
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        board = Switchboard(SEED, LAN.delay)
        await nursery.start(Host(board, 70).listen, address(70), impostor)
        ticket = Ticket(genesis.mesh_id, host.device.kid, (address(70),), NOW + 600, bytes(16), bound=True)
        with pytest.raises(RemoteError) as caught:
            await _apply(board, ticket)
        assert caught.value.code == code
        await trio.sleep(1)
        assert len(heard) == 1  # the question alone: no application
        nursery.cancel_scope.cancel()


async def _apply(board: Switchboard, ticket: Ticket) -> Outcome:
    who = persona(SEED, WHO)
    return await apply(
        Host(board, WHO),
        ticket,
        who.identity,
        who.root,
        name="Newcomer",
        incarnation=1,
        now=now_ms() // 1_000,
        random_bytes=SEED.stream(WHO, "knock").randbytes,
    )
