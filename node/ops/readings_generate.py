"""The operation that makes up households: readings to try things out with, without anybody's data (R116).

How it works
    A seed is a household (`node.adapters.household`): the same seed gives the same readings on every machine. What is
    made up is kept like one's own readings, and marked as fictitious: lists and exports of every format say so.

What it does not do
    It makes no consent and no person. Readings of a real point are never made up: the points' numbers begin with eight
    zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from node.operation import Args, operation, said
from node.ops.mesh import WHICH
from node.ops.readings import Imported, keep

if TYPE_CHECKING:
    from node.daemon import Node
    from node.readings import Series

Made = Literal["load_curve", "daily", "all"]


class GenerateArgs(Args, frozen=True):
    """Which households to make up, and what of them."""

    seed: Annotated[Annotated[int, Meta(ge=0, le=999_999)], said("Another number, another household.")] = 1
    days: Annotated[Annotated[int, Meta(ge=1, le=3_660)], said("How many days, up to now.")] = 30
    kind: Annotated[Made, said("Half-hours, daily totals, or both.")] = "load_curve"
    gaps: Annotated[int, said("How many half-hours have no value.")] = 0
    solar: Annotated[bool, said("With panels on the roof: less is drawn, and the rest is injected.")] = False
    gas: Annotated[bool, said("With a gas meter: a total each gas day.")] = False
    households: Annotated[Annotated[int, Meta(ge=1, le=100)], said("How many, each with the next seed.")] = 1
    mesh: Annotated[str, said(WHICH)] = ""


@operation("readings", "generate", permission="operate")
async def readings_generate(node: Node, args: GenerateArgs) -> Imported:
    """Make up the readings of households, to try things out. Every export says that they are fictitious."""
    return await keep(node, args.mesh, made(args, node.now - args.days * 86_400))


def made(args: GenerateArgs, start: int) -> list[Series]:
    """Return the series that the arguments ask for, from a day on (UTC seconds). Raises LocalError BAD_HOUSEHOLD."""
    from node.adapters import household

    equipment = household.Equipment(args.solar, args.gas)
    found: list[Series] = []
    for seed in range(args.seed, args.seed + args.households):
        if args.kind != "daily":
            found.append(household.load_curve(seed, start, args.days, equipment, gaps=args.gaps))
            found += [household.injected(seed, start, args.days)] if args.solar else []
        if args.kind != "load_curve":
            found.append(household.daily_totals(seed, start, args.days, equipment))
        found += [household.gas_totals(seed, start, args.days)] if args.gas else []
    return found
