"""Traitors, whom an honest quorum expels, and what they and their friends say after that.

How it works
    `betrayed` draws a world in which at least T honest voters expel each of f <= n - T traitors; `revenge` lets these
    say whatever they like; `beyond` lets one member go on speaking behind its cut.

What it does not do
    It decides nothing: tests do.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ledger.entry import Entry
from ledger.governance.roster import link_id
from ledger.governance.rules import Rules
from tests.ledger.governance.honest import CHARTER, HOURS, Cached
from tests.ledger.governance.turmoil import ACTS
from tests.worlds import Member, octets

ALONE = (
    "propose",
    "leave",
    "succeed",
    "delegate",
    "retire",
    "blind",
    "alone",
    "copy",
    "parts",
    "late",
    "join",
    "again",
)
"""Acts whose first number alone says who acts; the second may say in whose feed a root-signed entry is registered."""


def betrayed(random: Any) -> tuple[Cached, list[Member], list[Member]]:
    """Return a world in which T or more honest voters expel each of f <= n - T traitors, honest and traitors."""
    founders = random.randint(4, 8)
    needed = 2 * (founders - 1) // 3 + 1
    world = Cached(founders=founders)
    count = random.randint(1, founders - needed)
    honest, traitors = world.members[:-count], world.members[-count:]
    for traitor in traitors:
        _mischief(world, honest, traitor, random)  # before anybody knows
    for _ in range(random.randrange(2)):
        world.epochs.append(world.seal().reference)
    for traitor in traitors:
        if random.randrange(3):
            _mischief(world, honest, traitor, random)
        cut = random.randint(max(0, len(traitor.scribe.raws) - 4), len(traitor.scribe.raws))
        proposal = world.expel(random.choice(honest), traitor, cut=cut)
        world.vote(random.sample(honest, random.randint(needed, len(honest))), proposal)
    return world, honest, traitors


def revenge(world: Cached, honest: list[Member], traitors: list[Member], random: Any) -> None:
    """Let traitors, and friends whom they invite, say whatever they like; now and then the honest seal."""
    for _ in range(random.randint(1, 8)):
        _mischief(world, honest, random.choice(traitors), random)
        if random.randrange(4) == 0:
            with contextlib.suppress(AssertionError):
                world.epochs.append(world.seal(by=honest, hours=random.choice(HOURS[:4])).reference)


def _mischief(world: Cached, honest: list[Member], traitor: Member, random: Any) -> None:
    world.epoch = random.choice([*world.epochs, world.epochs[-1], octets("nowhere")])
    place, kind = world.members.index(traitor), random.randrange(4)
    victim = random.choice(honest)
    if kind == 0:  # out with an honest member, cut as low as can be, by all who stand with the traitor
        proposal = world.expel(traitor, victim, cut=random.randrange(3))
        friends = [m for m in world.members if m not in honest]
        world.vote(friends, proposal)
    elif kind == 1:
        proposal = world.propose(traitor, "suspend", target=list(victim.party))
        world.vote([m for m in world.members if m not in honest], proposal)
    elif kind == 2:
        proposals = [r.entry for r in world.registrations() if r.entry.kind == "proposal"]
        world.vote([traitor], random.choice(proposals or [traitor_says(world, traitor)]), random.choice(("yes", "no")))
    else:
        numbers = [random.randrange(14) for _ in range(3)]
        registrar = world.members.index(random.choice([traitor, victim]))
        ACTS[random.choice(ALONE)](world, place, registrar if numbers[2] % 2 else numbers[0], numbers[1])
    if random.randrange(6) == 0:
        ACTS["fork"](world, place, world.members.index(victim), random.randrange(3))
    world.epoch = world.epochs[-1]


def traitor_says(world: Cached, traitor: Member) -> Entry:
    """Return a proposal that nobody asked for."""
    return world.propose(traitor, "charter", charter=CHARTER)


def beyond(world: Cached, member: Member, random: Any) -> None:
    """Let a member's devices go on speaking, permissively and restrictively, about itself and others."""
    scribe = random.choice(member.scribes)
    other = random.choice(world.members)
    names = ("propose", "vote", "link", "join", "sponsor", "delegate", "leave", "unhost")
    now, world.epoch = world.epoch, random.choice([*world.epochs, world.epochs[-1]])
    entries = [r.entry for r in world.registrations()]
    match random.choice(names):
        case "propose":
            act = random.choice(("expel", "suspend", "charter", "policy"))
            fields: dict[str, Any] = {"charter": {"charter": CHARTER}, "policy": {"rules": Rules().encode()}}.get(
                act, {}
            )
            payload = {"act": act, "deadline": world.as_of + 7 * 86_400, **fields}
            if not fields:
                payload["target"] = list(other.party)
            world.write(scribe, "proposal", ("ballot", world.random(16)), payload)
        case "vote":
            proposals = [entry for entry in entries if entry.kind == "proposal"]
            if proposals:
                choice = random.choice(("yes", "no"))
                world.write(scribe, "vote", ("ballot", random.choice(proposals).id), {"choice": choice})
        case "link" if other is not member:
            kind = random.choice(("link.offer", "link.accept", "link.sever"))
            payload = {"from": list(member.party), "to": list(other.party)}
            world.write(scribe, kind, ("link", link_id(member.party, other.party)), payload)
        case "sponsor":
            applications = [entry for entry in entries if entry.kind == "member.apply"]
            if applications:
                asked = random.choice(applications)
                payload = {"application": asked.id, "incarnation": asked.payload["incarnation"]}
                kind = random.choice(("member.sponsor", "member.admit"))
                world.write(scribe, kind, ("member", asked.kid), payload)
        case "delegate":
            payload = {"to": list(other.party)}
            world.write(scribe, "vote.delegate", ("member", member.root.kid), payload)
        case "leave":
            world.write(scribe, "member.leave", ("member", member.root.kid), {})
        case _:
            pass
    world.epoch = now
