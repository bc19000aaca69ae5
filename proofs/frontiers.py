"""Ticks under examination: maps, frontier and attestations bind one another, and each tick extends the one before.

How it works
    `check_state` reads every tick of a bundle into a `TickEvidence`. A place in a map is held to the map's root, the
    roots and the frontier to what the attestations sign. Each grant, delegation and call lies below the first tick that
    shows it; what ends one is carried, every entry that a state names, and lies below a tick that says so. Amendments,
    signatures and rules of groups serve where a state names them. The owner of each checkpoint's feed is shown by every
    tick that counts it, else by some tick.

What it does not do
    It does not ask whose attestations count (policy).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from ledger.checkpoint import Head
from ledger.consent.status import Party, State
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.epoch import EVALUATOR_VERSION
from ledger.keys import thumbprint
from ledger.maps import state_root
from proofs.attested import raw_of
from proofs.bundle import Attestation, TickProof
from proofs.evidence import STATED, Evidence, refusal
from proofs.policy import Witness
from proofs.reasons import Reason
from proofs.resting import keys_of
from proofs.state import (
    CallValue,
    MemberValue,
    Refused,
    TickEvidence,
    call_value,
    check_presence,
    consent_value,
    delegation_value,
    digest_of,
    member_value,
)


def check_state(evidence: Evidence) -> None:
    """Check every tick, that they follow each other, and that all they speak of is carried. Raises Refused."""
    ticks = [_tick(evidence, number, proof) for number, proof in enumerate(evidence.bundle.ticks)]
    evidence.ticks = tuple(ticks)
    for older, newer in pairwise(ticks):
        check_extends(older, newer)
    for at, entry in enumerate(evidence.entries):
        if entry.kind in STATED:
            _check_stated(evidence, at, entry)
    added = defaultdict(list)
    for at, entry in enumerate(evidence.entries):
        if entry.kind in ("consent.amend", "consent.sign"):
            added[entry.payload["grant"]].append(at)
    for at, grant in enumerate(evidence.grants):
        evidence.use(at)
        _check_named(evidence, at, added[grant.id])
    for number, tick in enumerate(ticks):
        for at in tick.consents:
            for party in parties_of(evidence.grants[at]):
                evidence.shown.add((number, party[0]))
    _check_owners(evidence)


def parties_of(grant: Entry) -> list[Party]:
    """Return the holder and the recipient that a grant names; a class of recipients is nobody."""
    named = (grant.payload["holder"], grant.payload["recipient"])
    return [(party[0], party[1]) for party in named if len(party) == 2]


def _tick(evidence: Evidence, number: int, proof: TickProof) -> TickEvidence:
    version = proof.evaluator_version
    if version != evidence.genesis.evaluator_version or version > EVALUATOR_VERSION:
        raise Refused(Reason.BAD_STATE_PROOF, f"tick {number} was evaluated by rules that are not the mesh's")
    consents, delegations, calls = {}, {}, {}
    for at, presence in proof.consents:
        entry = evidence.entries[at]
        if entry.kind not in STATED:
            raise Refused(Reason.MALFORMED, f"tick {number} proves the state of a {entry.kind}, which has none")
        check_presence(entry.id, presence, proof.consent_map[1], f"tick {number}: the {entry.kind}")
        match entry.kind:
            case "delegation.give":
                delegations[at] = delegation_value(presence.value, entry)
            case "group.call":
                calls[at] = call_value(presence.value)
            case _:
                consents[at] = consent_value(presence.value, entry)
    members: dict[bytes, MemberValue] = {}
    for kid, presence in proof.members:
        check_presence(kid, presence, proof.member_map[1], f"tick {number}: member {kid.hex()[:16]}")
        members[kid] = member_value(presence.value)
    frontier = {head.feed: head for head in proof.frontier}
    for checkpoint in evidence.bundle.checkpoints:
        if frontier.get(checkpoint.head.feed) == checkpoint.head and checkpoint.time > proof.boundary:
            raise Refused(Reason.BAD_STATE_PROOF, f"tick {number} counts a checkpoint that is dated after it")
    digest = digest_of(proof.frontier)
    root = state_root(proof.member_map, proof.consent_map, proof.evaluator_version)
    nobody = frozenset[Witness]()
    told = (consents, members, nobody, nobody, delegations, calls)
    tick = TickEvidence(proof.boundary, frontier, digest, root, *told)
    witnesses, rooted = set(), set()
    for attestation in proof.attestations:
        witness, party = _attested(evidence, number, attestation, tick)
        witnesses.add(witness)
        if evidence.is_rooted(party, proof.boundary):
            rooted.add(witness)
    return replace(tick, witnesses=frozenset(witnesses), rooted=frozenset(rooted))


def _attested(evidence: Evidence, number: int, item: Attestation, tick: TickEvidence) -> tuple[Witness, Party]:
    """Return who attested the tick by this attestation, and when."""
    what = f"tick {number}: the attestation of {item.feed.hex()[:16]}"
    keyed = evidence.keyed(item.feed)
    raw = raw_of(item, keyed.public, evidence.genesis.mesh_id, tick.boundary, tick.digest, tick.root)
    try:
        Entry.decode(raw)
    except RemoteError as error:
        raise refusal(error, what) from None
    if item.iat < tick.boundary or all(head.feed != item.feed for head in item.seen):
        raise Refused(Reason.BAD_STATE_PROOF, f"{what} is dated before the tick, or names no place in its own feed")
    party = _owner(evidence, number, item.feed, tick.members)
    if not tick.members[party[0]].is_member:
        raise Refused(Reason.BAD_STATE_PROOF, f"{what} is by one who was not a member")
    return evidence.witness(keyed, item.iat), party


def _owner(evidence: Evidence, number: int, feed: bytes, members: dict[bytes, MemberValue]) -> Party:
    """Return whose feed it is under tick `number`: the proof of its key and the member map must agree."""
    party = evidence.keyed(feed).party
    member = members.get(party[0])
    if member is None or member.incarnation != party[1] or feed not in member.feeds:
        raise Refused(Reason.BAD_STATE_PROOF, f"tick {number} does not show whose feed {feed.hex()[:16]} is")
    evidence.shown.add((number, party[0]))
    return party


def check_extends(older: TickEvidence, newer: TickEvidence) -> None:
    """Refuse a tick whose feeds shrank or changed, or in which a consent's end is gone."""
    for feed, head in older.frontier.items():
        later = newer.frontier.get(feed)
        if later is None or later.size < head.size or (later.size == head.size and later.root != head.root):
            raise Refused(Reason.BAD_STATE_PROOF, f"a later tick takes back what feed {feed.hex()[:16]} held")
    for at, consent in older.consents.items():
        if consent.ended and at in newer.consents and not newer.consents[at].ended:
            raise Refused(Reason.BAD_STATE_PROOF, "a later tick takes back the end of the consent")
    for at, delegation in older.delegations.items():
        if delegation.ended and at in newer.delegations and not newer.delegations[at].ended:
            raise Refused(Reason.BAD_STATE_PROOF, "a later tick takes back the end of a delegation")


def _check_stated(evidence: Evidence, at: int, entry: Entry) -> None:
    """Hold the ticks that show a grant, a delegation or a call to what is carried of it."""
    ticks = evidence.ticks
    showing = [n for n, tick in enumerate(ticks) if at in tick.consents or at in tick.delegations or at in tick.calls]
    if not showing:
        raise Refused(Reason.BAD_STATE_PROOF, f"no tick shows the state of entry {at}, a {entry.kind}")
    if not _is_below(evidence, evidence.checkpoint_of(at).head, showing[0]):
        raise Refused(Reason.BAD_INCLUSION, f"entry {at} is not under the frontier of the first tick that shows it")
    if any(number not in showing for number in range(showing[0], len(ticks))):
        raise Refused(Reason.BAD_STATE_PROOF, f"a later tick does not show the state of entry {at}")
    for number in showing:
        kind, named = _ends_named(evidence, number, at)
        found = 0
        for place in evidence.endings(entry.id) if named else ():
            ending = evidence.entries[place]
            if ending.kind != kind or ending.id not in named:
                continue
            _serves_below(evidence, place, number)
            if kind == "consent.revoke":
                _check_revoker(evidence, number, place, entry)
            found += 1
        if found < len(set(named)):
            raise Refused(Reason.BAD_STATE_PROOF, f"tick {number} names an end of entry {at} that is not carried")


def _ends_named(evidence: Evidence, number: int, at: int) -> tuple[str, tuple[bytes, ...]]:
    """Return of which kind the ends are that a tick's state names of an entry, and their ids."""
    tick = evidence.ticks[number]
    if at in tick.calls:
        return "group.refuse", _refusals(evidence, at, tick.calls[at])
    if at in tick.delegations:
        delegation = tick.delegations[at]
        return "delegation.revoke", delegation.decided_by if delegation.ended else ()
    consent = tick.consents[at]
    kind = "consent.withdraw" if consent.state is State.WITHDRAWN else "consent.revoke"
    return kind, consent.decided_by if consent.ended else ()


def _refusals(evidence: Evidence, call: int, value: CallValue) -> tuple[bytes, ...]:
    """Return the refusals of a call that leave out the person of a grant which rests on it: others' are theirs."""
    keys = {
        key
        for rests in evidence.rests
        if rests.call == call and rests.delegations
        for key in keys_of(evidence.entries[rests.delegations[0]])
    }
    return tuple(ident for kid, ident in value.refused if kid in keys)


def _serves_below(evidence: Evidence, at: int, number: int) -> None:
    """Let an entry serve that tick `number` names; it lies below it, or below one before."""
    if not _is_below(evidence, evidence.checkpoint_of(at).head, number):
        raise Refused(Reason.BAD_INCLUSION, f"entry {at} is not under the frontier of tick {number}")
    evidence.use(at)


def _check_named(evidence: Evidence, at: int, added: Iterable[int]) -> None:
    """Let what the states of a grant name serve: amendments, signatures, the rules by which its call was decided.

    `added`: numbers of the amendments and signatures of this grant.
    """
    call = evidence.rests[at].call
    rules = {entry.id: place for place, entry in enumerate(evidence.entries) if entry.kind == "group.open"}
    for number, tick in enumerate(evidence.ticks):
        value = tick.consents.get(at)
        named = frozenset[bytes]() if value is None else frozenset((*value.amended, *value.signed))
        for place in added:
            entry = evidence.entries[place]
            if (entry.id if entry.kind == "consent.amend" else entry.kid) in named:
                _serves_below(evidence, place, number)
        if call is not None and call in tick.calls and tick.calls[call].opened in rules:
            opened = rules[tick.calls[call].opened]
            _check_opened_group(tick.calls[call], evidence.entries[opened], evidence.entries[call])
            _serves_below(evidence, opened, number)


def _check_opened_group(value: CallValue, opened: Entry, call: Entry) -> None:
    """Hold what a state says of a call to the group's own rules, as far as counts tell: colleges are weighed apart."""
    rules, voted, said = opened.payload, value.voted, value.yes + value.no
    lacks = {
        "quorum": not voted or voted * 100 < rules["quorum_percent"] * value.electors,
        "critical_mass": value.electors < rules["critical_mass"],
    }
    if rules["decides"] == "persons":
        share, most = value.yes * 100, rules["majority_percent"] * said
        lacks["majority"] = not said or (share < most if rules["majority_percent"] == 100 else share <= most)
    fits = all((name in value.missing) is lacking for name, lacking in lacks.items())
    if not fits or opened.kid != call.kid or opened.thing != call.thing:
        raise Refused(Reason.BAD_STATE_PROOF, "the state of a call does not fit the rules of its group")


def _is_below(evidence: Evidence, head: Head, number: int) -> bool:
    """Say whether a head is the one of some tick up to a number."""
    return any(tick.holds(head) for tick in evidence.ticks[: number + 1])


def _check_revoker(evidence: Evidence, number: int, at: int, grant: Entry) -> None:
    kid = evidence.entries[at].kid
    for party in parties_of(grant):
        member = evidence.ticks[number].members.get(party[0])
        if kid == party[0] or (member is not None and kid in member.feeds):
            return
    if kid in map(thumbprint, grant.payload.get("required_parties", ())):
        return
    raise Refused(Reason.BAD_STATE_PROOF, f"entry {at} revokes, but is signed by no party of the consent")


def _check_owners(evidence: Evidence) -> None:
    """Every checkpoint's feed belongs to whom the state says: in each tick that counts it, else in any."""
    for at, item in enumerate(evidence.bundle.checkpoints):
        counting = [number for number, tick in enumerate(evidence.ticks) if tick.holds(item.head)]
        if not counting:
            kid = evidence.keyed(item.head.feed).party[0]
            counting = [number for number, tick in enumerate(evidence.ticks) if kid in tick.members][-1:]
        if not counting and evidence.ticks:
            raise Refused(Reason.BAD_STATE_PROOF, f"no tick shows whose checkpoint {at} is")
        for number in counting:
            _owner(evidence, number, item.head.feed, evidence.ticks[number].members)
