"""What an adversary is given: the world and those it leads; and the two ways in which it deviates.

How it works
    A node that an adversary leads is a real node whose core is honest code: its admission, its keys and its channels
    are genuine. It deviates by what it does not send and does not hear (`Silence`, `Censor`, `Drip`), by whom it has
    channels with, and by what it states (simulations.adversaries.ledger). That is the strongest position there is: an
    outsider gets no further than the door.

What it does not do
    No adversary is part of production code, and none can break a signature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from gossip.messages import GOSSIP
from gossip.vocabulary import Heads, Runs
from ledger.entry import Entry
from simulations.engine import SECOND
from simulations.nodes import Behaviour
from simulations.randomness import Seed
from simulations.records import Records
from simulations.spec import AdversarySpec, Scenario
from simulations.world import World


class Stage(Protocol):
    """What a run offers to its adversaries (simulations.mesh_run.MeshRun)."""

    scenario: Scenario
    seed: Seed
    world: World
    records: Records
    honest: set[int]
    grants: list[tuple[int, int, Entry]]

    def withdraw(self, number: int, who: int, grant: Entry) -> None:
        """Have a person withdraw at a node."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One adversary of a run. `led`: the nodes it leads; `begun_us`: when the run began."""

    stage: Stage
    spec: AdversarySpec
    led: tuple[int, ...]
    random: Random
    begun_us: int

    @property
    def at_us(self) -> int:
        """When it begins."""
        return self.begun_us + round(self.spec.at * SECOND)

    @property
    def until_us(self) -> int:
        """When it ends; the end of the scenario if nothing is said."""
        return self.begun_us + round((self.spec.until or self.stage.scenario.seconds) * SECOND)

    def during(self, begin: Callable[[], object], end: Callable[[], object]) -> None:
        """Do something at the beginning, and undo it at the end."""
        self.stage.world.at(self.at_us, begin)
        self.stage.world.at(self.until_us, end)

    def lead(self, behaviour: Behaviour) -> None:
        """Have the led nodes behave so from the beginning to the end."""
        world = self.stage.world
        self.during(
            lambda: world.behaviours.update((number, behaviour) for number in self.led),
            lambda: [world.behaviours.pop(number, None) for number in self.led],
        )


@dataclass(frozen=True, slots=True)
class Silence:
    """Keeps its channels and says nothing of gossip; `hears` nothing either, so that nobody learns what it holds."""

    def sends(self, target: int, message: bytes) -> bool:  # noqa: ARG002 (the interface has it)
        """Send all but gossip."""
        return message[1] != GOSSIP

    def hears(self, source: int, message: bytes) -> bool:  # noqa: ARG002 (the interface has it)
        """Hear nothing of gossip."""
        return message[1] != GOSSIP


@dataclass(frozen=True, slots=True)
class Censor:
    """Passes on nothing that comes from one feed, neither leaves nor heads."""

    feed: bytes

    def sends(self, target: int, message: bytes) -> bool:  # noqa: ARG002 (the interface has it)
        """Send what does not name the feed."""
        return message[1] != GOSSIP or self.feed not in message

    def hears(self, source: int, message: bytes) -> bool:  # noqa: ARG002 (the interface has it)
        """Hear everything."""
        return True


@dataclass(frozen=True, slots=True)
class Drip:
    """Passes on leaves and heads with a probability only, so that it never looks dead."""

    share: float
    random: Random

    def sends(self, target: int, message: bytes) -> bool:  # noqa: ARG002 (the interface has it)
        """Send some."""
        bears = message[1] == GOSSIP and message[3] in (Runs.KIND, Heads.KIND)
        return not bears or self.random.random() < self.share

    def hears(self, source: int, message: bytes) -> bool:  # noqa: ARG002 (the interface has it)
        """Hear everything."""
        return True
