"""A crash between two commits: the vault, which is durable first, knows of an act, and the ledger does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from node.core import Turn
from simulations.crashing import CrashingStore
from tests.node.flows.world import Side, World

T = TypeVar("T")


def half_written(world: World, side: Side, act: Callable[[Turn], T]) -> T:
    """Have a side act, lose its power when the vault is durable and the ledger is not yet, and come up again."""
    real, losing = side.ledger, CrashingStore(side.ledger, remember=1)
    side.ledger = losing
    value = side.act(act)
    assert losing.lose(1)
    side.ledger = real
    world.restart(side)
    return value
