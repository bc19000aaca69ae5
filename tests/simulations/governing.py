"""What operators do in simulated meshes that govern themselves: acts for the turns of both drivers.

How it works
    Each function runs inside a turn of the node that speaks, and states what an operator's command would. `Standing`
    is what a node believes: its epoch, who is in, who is out.

What it does not do
    It checks no right to speak: a traitor states what it likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.governance.members import Party
from ledger.keys import SigningKey
from ledger.schema import DAY
from node.core import Core, Turn
from node.mesh import certify
from node.sealing import Sealer


def state_proposal(turn: Turn, act: str, fields: dict[str, object], days: int = 7) -> Entry:
    """Propose something, to be decided within so many days of governance time."""
    deadline = turn.core.replica.members.as_of + days * DAY
    about = ("ballot", turn.core.random_bytes(16))
    return turn.state("proposal", about, {"act": act, "deadline": deadline, **fields})


def propose_expulsion(turn: Turn, target: Party, cut: Sequence[Head] | None = None) -> Entry:
    """Propose to expel a member, each of its feeds cut where it is held here unless told otherwise."""
    replica = turn.core.replica
    if cut is None:
        cut = [replica.position(feed) for feed, device in replica.members.devices.items() if device.party == target]
    heads = [[head.feed, head.size, head.root] for head in cut]
    return state_proposal(turn, "expel", {"target": list(target), "cut": heads, "reason": "it turned"})


def cast_vote(turn: Turn, proposal: bytes, choice: str = "yes") -> Entry:
    """Vote on a proposal."""
    return turn.state("vote", ("ballot", proposal), {"choice": choice})


def sponsor(turn: Turn, application: bytes, guest: Party) -> Entry:
    """Endorse an application, so that its member may become a voter."""
    payload = {"application": application, "incarnation": guest[1]}
    return turn.state("member.sponsor", ("member", guest[0]), payload)


def leave(turn: Turn) -> Entry:
    """Leave the mesh."""
    if isinstance(turn.core.sealing, Sealer):
        turn.core.sealing.check_leave(turn)
    return turn.state("member.leave", ("member", turn.core.party[0]), {})


def succeed(turn: Turn, root: SigningKey, device: SigningKey, former: bytes) -> Entry:
    """Register, at another member, the certificate of a device that succeeds `former`."""
    core = turn.core
    party = core.replica.members.party_of(former)
    entry = certify(root, device, core.replica, turn.rows, party[1], turn.now, core.random_bytes, former)
    return turn.register(entry)


voting = partial(partial, cast_vote)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a node believes. `members`, `voters`: parties; `expelled`: parties that are out."""

    n: int
    epoch: bytes
    members: frozenset[Party]
    voters: tuple[Party, ...]
    expelled: frozenset[Party]


def standing(core: Core) -> Standing:
    """Return what a node believes now."""
    found = core.replica.members
    inside = frozenset(member.party for member in found.members.values() if member.state == "member")
    return Standing(found.n, found.epoch, inside, found.voters, frozenset(found.expelled))


def application_of(core: Core, party: Party) -> bytes:
    """Return the id of the application by which a member came in."""
    applications = (r.entry for r in core.replica.registrations if r.entry.kind == "member.apply")
    return next(entry.id for entry in applications if entry.kid == party[0])
