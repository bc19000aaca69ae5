"""Attacks on the ledger by members: forks, hidden withdrawals, old consents, false dates, invitations, lies, collusion.

How it works
    | attack               | what the led nodes do                                                              |
    |----------------------|------------------------------------------------------------------------------------|
    | equivocate           | each signs two feeds that part: one is shown to half of the mesh, one to the rest    |
    | withhold-revocation  | withdrawals stated at them stay there: they pass on nothing of their own feeds        |
    | replay-consent       | they register grants anew that were withdrawn since                                 |
    | backdate             | they state links dated a day before what they have seen                             |
    | sybil-invitation     | each invites twice as many guests as the policy allows in a day                     |
    | heartbeat-lies       | they sign heads dated an hour ahead, to seem fresh when they are cut off             |
    | collude              | they propose to expel the target, and all of them vote for it                       |

    `collude` below the threshold must change nothing; at it, it expels an honest member: no ledger prevents that, and
    a scenario that does it says so in `expect`.

What it does not do
    It forges no signature: with Ed25519 unbroken, everything a member can say is said with its own keys.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ledger.entry import Entry, sign_entry
from ledger.errors import MailleError
from ledger.governance.members import link_id
from ledger.schema import DAY
from node.core import Turn
from simulations.adversaries.stage import Censor, Plot
from simulations.engine import SECOND
from simulations.founding import copy_store
from simulations.people import person

HEARTBEAT_AHEAD: Final = 3_600
"""Seconds by which a lying heartbeat is dated ahead."""


@dataclass(frozen=True, slots=True)
class _OnlyTo:
    """Speaks and listens to some nodes alone."""

    friends: frozenset[int]

    def sends(self, target: int, message: bytes) -> bool:  # noqa: ARG002 (the interface has it)
        """Send to friends."""
        return target in self.friends

    def hears(self, source: int, message: bytes) -> bool:  # noqa: ARG002 (the interface has it)
        """Hear friends."""
        return source in self.friends


def _grant(plot: Plot, number: int, who: int) -> None:
    """Have somebody that the adversary made up consent at a led node."""
    world = plot.stage.world
    parties = [world.nodes[each].who.party for each in (0, 1)]
    with suppress(MailleError):  # a node that knows itself to be held for forking states nothing more
        world.act(number, lambda turn: person(plot.stage.seed, 10_000 + who).grant(turn, *parties))


def equivocate(plot: Plot) -> None:
    """Show one face to half of the mesh; then go back to an old copy, and show another face to the rest."""
    world = plot.stage.world
    others = [number for number in range(len(world.nodes)) if number not in plot.led]
    sides = (frozenset(others[::2]), frozenset(others[1::2]))

    def first() -> None:
        for number in plot.led:
            node = world.nodes[number]
            old = copy_store(node.store)
            world.behaviours[number] = _OnlyTo(sides[0])
            _grant(plot, number, number)
            world.at(world.now_us + 5 * SECOND, lambda number=number, old=old: second(number, old))  # type: ignore[misc]

    def second(number: int, old: object) -> None:
        world.crash(number)
        world.behaviours[number] = _OnlyTo(sides[1])
        world.restart(number, old)  # type: ignore[arg-type]
        _grant(plot, number, number + 1_000)

    plot.during(first, lambda: [world.behaviours.pop(number, None) for number in plot.led])


def withhold_revocation(plot: Plot) -> None:
    """Have persons withdraw at led nodes, which pass on nothing of their own feeds until the end."""
    stage, world = plot.stage, plot.stage.world

    def begin() -> None:
        for number in plot.led:
            world.behaviours[number] = Censor(world.nodes[number].kid)
        for place, (_, who, grant) in enumerate(list(stage.grants)):
            if place % 2 == 0:
                stage.withdraw(plot.led[place % len(plot.led)], who, grant)

    plot.during(begin, lambda: [world.behaviours.pop(number, None) for number in plot.led])


def replay_consent(plot: Plot) -> None:
    """Register anew whatever grants were made, when they may have been withdrawn since."""
    world = plot.stage.world

    def again() -> None:
        for number in plot.led:
            for _, _, grant in plot.stage.grants:
                with suppress(MailleError):
                    world.act(number, lambda turn, grant=grant: turn.register(grant))  # type: ignore[misc]

    world.at(plot.at_us, again)
    world.at(plot.until_us, again)


def backdate(plot: Plot) -> None:
    """State links dated a day before what was seen."""
    world = plot.stage.world

    def state(turn: Turn, number: int) -> Entry:
        core, replica = turn.core, turn.core.replica
        parties = (world.nodes[number].who.party, world.nodes[plot.spec.target].who.party)
        entry = sign_entry(
            core.device,
            "link.offer",
            ("link", link_id(*parties)),
            {"from": list(parties[0]), "to": list(parties[1])},
            iat=turn.now - DAY,
            cti=core.random_bytes(16),
            seen=[replica.position(core.device.kid)],
            mesh_id=replica.mesh_id,
            epoch=replica.members.epoch,
        )
        return turn.register(entry)

    def begin() -> None:
        for number in plot.led:
            with suppress(MailleError):
                world.act(number, lambda turn, number=number: state(turn, number))  # type: ignore[misc]

    world.at(plot.at_us, begin)


def sybil_invitation(plot: Plot) -> None:
    """Invite guest after guest, twice as many as a member may in a day."""
    world = plot.stage.world
    wanted = 2 * plot.stage.scenario.policy.invitations_a_day

    def begin() -> None:
        for number in plot.led:
            for _ in range(wanted):
                try:
                    world.join(number)
                except MailleError:
                    world.counts["invitations_refused"] += 1

    world.at(plot.at_us, begin)


def heartbeat_lies(plot: Plot) -> None:
    """Sign heads dated ahead, every ten seconds."""
    world = plot.stage.world

    def lie(number: int) -> None:
        if world.is_up(number):
            with suppress(MailleError):
                world.act(number, lambda turn: turn.heartbeat(turn.now + HEARTBEAT_AHEAD))

    for number in plot.led:
        for at in range(plot.at_us, plot.until_us, 10 * SECOND):
            world.at(at, lambda number=number: lie(number))  # type: ignore[misc]


def collude(plot: Plot) -> None:
    """Propose to expel the target and vote for it."""
    world = plot.stage.world
    target = world.nodes[plot.spec.target]

    def propose(turn: Turn) -> Entry:
        replica = turn.core.replica
        feeds = [feed for feed, device in replica.members.devices.items() if device.party == target.who.party]
        heads = [replica.position(feed) for feed in feeds]
        cut = [[head.feed, head.size, head.root] for head in heads]
        body = {"act": "expel", "target": list(target.who.party), "cut": cut, "reason": "it is in our way"}
        about = ("ballot", turn.core.random_bytes(16))
        return turn.state("proposal", about, {"deadline": replica.members.as_of + DAY, **body})

    def begin() -> None:
        proposal = world.act(plot.led[0], propose)
        for number in plot.led:
            world.at(world.now_us + 2 * SECOND, lambda number=number: vote(number, proposal.id))  # type: ignore[misc]

    def vote(number: int, proposal: bytes) -> None:
        if world.is_up(number):
            world.act(number, lambda turn: turn.state("vote", ("ballot", proposal), {"choice": "yes"}))

    world.at(plot.at_us, begin)


ATTACKS: Final[dict[str, Callable[[Plot], None]]] = {
    "equivocate": equivocate,
    "withhold-revocation": withhold_revocation,
    "replay-consent": replay_consent,
    "backdate": backdate,
    "sybil-invitation": sybil_invitation,
    "heartbeat-lies": heartbeat_lies,
    "collude": collude,
}
"""Attacks on the ledger by name."""
