"""What a hostile reader tried on sealing nodes."""

from __future__ import annotations

import pytest

from gossip.messages import SEALS, Envelope
from ledger.keys import SigningKey
from node import seal_talk
from simulations.world import MS, SECOND
from tests.simulations.governing import succeed
from tests.simulations.sealed import check, mesh, reach, standings, stir


def test_a_voter_that_certifies_one_device_after_another_makes_nobody_say_all_again() -> None:
    """Every new heir once made each node begin the agreement anew: it forgot what it had heard, and told all again."""
    world = mesh(5, 4)
    reach(world, 1)
    traitor, heard = world.nodes[3], list[int]()
    world.crash(3)
    n = standings(world, range(3))[0].n
    stir(world, 0)
    world.run_for(29 * SECOND)
    world.on_deliver = lambda _, __, message: heard.append(Envelope.open(message).family)

    def more(number: int) -> bool:
        device = SigningKey.from_seed(world.seed.bytes(3, f"device {number}"))
        world.act(number % 3, lambda turn: succeed(turn, traitor.who.root, device, traitor.kid))
        return world.run_for(30 * MS, until=lambda: min(each.n for each in standings(world, range(3))) > n)

    assert any(more(number) for number in range(200)), standings(world, range(3))
    assert heard.count(SEALS) < 60
    check(world)


def test_what_a_voter_says_is_passed_on_to_some_and_reaches_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each node once told every neighbour: with twenty of them a seal took some 13 000 messages."""
    monkeypatch.setattr(seal_talk, "TOLD_MAX", 3)
    world, heard = mesh(6, 10), list[int]()
    world.on_deliver = lambda _, __, message: heard.append(Envelope.open(message).family)
    reach(world, 1, seconds=60)
    stir(world, 4)
    reach(world, 2, seconds=60)
    assert heard.count(SEALS) < 2_000
