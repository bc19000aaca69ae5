"""What operations on governance share: the newest epoch with its open ballots, names for them, and what we may say.

How it works
    `Scene` is one fold of what is held, inside a turn. `propose` and `vote` sign for our node after they have checked
    all that would make the entry void: an operator hears of it before, not from `explain` afterwards.

What it does not do
    It decides nothing: the fold does (ledger/governance).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.governance.ballots import Act
from ledger.governance.chain import Chain
from ledger.governance.explain_ballots import closed
from ledger.governance.growth import APPLICATIONS
from ledger.governance.members import Folded, Members, Party
from ledger.governance.policy import voice
from ledger.governance.rules import first_of_each, voices
from ledger.governance.scene import Ledger
from ledger.governance.scene import Scene as Branch
from ledger.governance.state import Base
from ledger.governance.voting import OPEN_A_VOTER_MAX, Count, read_proposal, refusal
from ledger.schema import DAY
from ledger.view import HeldView
from node.exits import not_found, usage
from node.naming import PREFIX_DIGITS_MIN, SHORT_DIGITS, member_name

if TYPE_CHECKING:
    from node.core import Turn

STALE_SECONDS: Final = 3_600  # a ballot that would close sooner than this is not opened
REASON_MAX: Final = 500


class Scene:
    """What is held of governance, folded once. `base`: the newest epoch with what lies beyond its frontier."""

    def __init__(self, turn: Turn) -> None:
        replica = turn.core.replica
        self.turn, self.replica = turn, replica
        self.members: Members = replica.members
        self.chain: Chain = replica.chain
        self.tip: Base = replica.chain.newest
        self.view = HeldView(replica, turn.rows)
        self.ledger = Ledger(replica.genesis, replica.registrations, replica.chain, self.view)
        self.folded: Folded = replica.chain.open(self.tip, self.view)
        self.base: Base = self.folded.base
        self._closed: dict[int, Count | None] = {}

    def entry(self, ident: bytes) -> Entry | None:
        """Return an entry by id."""
        return self.replica.entry(self.turn.rows, ident)

    def closed_by(self, n: int) -> Count | None:
        """Return the poll as the seal of epoch `n` closed it."""
        if n not in self._closed:
            self._closed[n] = closed(Branch(self.ledger, self.tip), n)[0]
        return self._closed[n]

    def line(self) -> list[Base]:
        """Return every epoch on the way to the newest one."""
        return self.chain.line(self.tip, self.view)

    def epoch(self, text: str) -> Base:
        """Return an epoch by its number or the beginning of its reference. Raises LocalError EPOCH_UNKNOWN."""
        if not text:
            return self.tip
        line = self.line()
        found = [base for base in line if text.isdecimal() and base.n == int(text)]
        if not found and len(text) >= PREFIX_DIGITS_MIN:
            found = [base for base in line if base.reference.hex().startswith(text.lower())]
        if len(found) != 1:
            told = f"No epoch {text!r} is known here; `maille epoch list` shows them."
            raise LocalError("EPOCH_UNKNOWN", told, field="epoch")
        return found[0]

    def members_at(self, base: Base) -> Members:
        """Return who was in when an epoch was sealed."""
        return self.chain.at(base, self.view)

    def proposal(self, text: str) -> bytes:
        """Return the id of the proposal that begins with `text`. Raises LocalError NOT_FOUND, NAME_UNCLEAR, USAGE."""
        if not re.fullmatch(r"[0-9a-f]{4,64}", text.lower()):
            raise usage(f"{text!r} is no proposal's id; `maille proposal list` shows them.", "proposal")
        known = {*self.base.proposals, *self.base.results}
        found = [ident for ident in sorted(known) if ident.hex().startswith(text.lower())]
        if len(found) == 1:
            return found[0]
        if found:
            raise LocalError("NAME_UNCLEAR", f"{len(found)} proposals begin with {text}; give more digits.")
        raise not_found(f"No proposal {text} counts here; `maille proposal list --all` shows them.", "proposal")

    def application(self, text: str) -> Entry:
        """Return an application that the ledger holds: by its id, or its applicant's name or did:key.

        Raises LocalError NOT_FOUND, NAME_UNCLEAR.
        """
        named = [entry for entry in self.base.applications.values() if _is_named(entry, text)]
        waiting = [entry for entry in named if _party(entry) not in self.base.found]
        found = waiting or [entry for entry in named if self.base.found[_party(entry)].application == entry.id]
        if len(found) == 1:
            return found[0]
        if not found:
            told = f"No application of {text!r} is in the ledger; `maille member list --applicants` shows them."
            raise not_found(told, "application")
        if len({_party(entry) for entry in found}) == 1:  # one applicant that applied again: its newest word
            return max(found, key=lambda entry: (entry.iat, entry.id))
        ids = ", ".join(entry.id.hex()[:SHORT_DIGITS] for entry in found)
        told = f"{text!r} has several applications: {ids}. Name one by the beginning of its id."
        raise LocalError("NAME_UNCLEAR", told, field="application")


def _party(application: Entry) -> Party:
    return application.kid, application.payload["incarnation"]


def _is_named(application: Entry, text: str) -> bool:
    from ledger.keys import did_key

    digits = text.lower() if len(text) >= PREFIX_DIGITS_MIN else "-"
    ids = (application.id.hex(), application.kid.hex())
    return text in (application.payload.get("name"), did_key(application.signer)) or any(
        ident.startswith(digits) for ident in ids
    )


def check_voice(scene: Scene) -> None:
    """Refuse to speak in governance where it could not count.

    Raises LocalError GOVERNANCE_HALTED, GOVERNANCE_FORKED, NOT_A_MEMBER, SUSPENDED, DEVICE_NOT_GOVERNING.
    """
    members, core = scene.members, scene.turn.core
    if members.halted:
        raise LocalError("GOVERNANCE_HALTED", f"This node decides nothing: {members.halted}.")
    if members.branches:
        told = "Two seals of one epoch contradict each other; choose a branch with `maille epoch choose` first."
        raise LocalError("GOVERNANCE_FORKED", told)
    own = members.members.get(core.party[0])
    if own is not None and own.party == core.party and own.state == "suspended":
        raise LocalError("SUSPENDED", "This node is suspended, and says nothing in governance until that lapses.")
    if not members.is_member(core.party):
        raise LocalError("NOT_A_MEMBER", "This node is no member of the mesh now.")
    if not members.speaks(core.device.kid):
        told = "Another device speaks for us now, or this one was retired; `maille device list` shows which."
        raise LocalError("DEVICE_NOT_GOVERNING", told)


def check_voter(scene: Scene) -> None:
    """Refuse to open a ballot without a vote. Raises LocalError NOT_A_VOTER, and as `check_voice`."""
    check_voice(scene)
    if scene.turn.core.party not in scene.tip.voters:
        raise LocalError("NOT_A_VOTER", why_no_vote(scene.tip, scene.members, scene.turn.core.party))


def why_no_vote(tip: Base, members: Members, party: Party) -> str:
    """Say why a member has no vote, and what gives it one. `party`: no voter of the epoch."""
    told, groups = f"This node is a member and has no vote in epoch {tip.n}", voices(tip.rules.affiliations)
    other = first_of_each(tip.voters, groups).get(voice(party, groups))
    if other is not None:
        return f"{told}: its affiliate {member_name(members, other)} has the one vote of their group."
    if party in tip.resting:
        return f"{told}: its vote rested, and comes back with one of the next seals."
    return f"{told}; voters can endorse it with `maille member sponsor`, and the next seal gives it one."


def propose(scene: Scene, act: Act, days: int, reason: str, **payload: Any) -> Entry:
    """Open a ballot. `days`: until its deadline, from the newest epoch on; 0: as long as the rules allow.

    Raises LocalError EPOCH_STALE, TOO_MANY_PROPOSALS, BAD_PROPOSAL, and as `check_voter`.
    """
    check_voter(scene)
    tip, turn = scene.tip, scene.turn
    if days > tip.rules.ballot_days:
        raise usage(f"A ballot is open for at most {tip.rules.ballot_days} days here.", "days")
    deadline = tip.as_of + (days or tip.rules.ballot_days) * DAY
    if deadline < turn.now + STALE_SECONDS:
        told = f"Epoch {tip.n} is so old that the ballot would be closed at once; propose again after the next seal."
        raise LocalError("EPOCH_STALE", told)
    fields = {"act": act.value, "deadline": deadline, **payload, **({"reason": reason} if reason else {})}
    entry = turn.state("proposal", ("ballot", turn.core.random_bytes(16)), fields)
    if entry.id not in Scene(turn).base.proposals:
        read = read_proposal(entry)
        fault = refusal(scene.base, read, turn.core.party) if read is not None else "it lacks what its act needs"
        code = "TOO_MANY_PROPOSALS" if fault and str(OPEN_A_VOTER_MAX) in fault else "BAD_PROPOSAL"
        raise LocalError(code, f"This proposal would have no effect: {fault or 'it does not count here'}.")
    return entry


def applications(scene: Scene) -> list[Entry]:
    """Return the applications in the ledger whose applicants are not in."""
    held = scene.base.applications.values()
    return [entry for entry in held if entry.kind in APPLICATIONS and _party(entry) not in scene.base.found]
