"""Why a proposal, a vote or a standing instruction counts or not (rules G4.1 to G4.12).

How it works
    What is open is judged by the poll that every fold holds. A ballot that a seal has closed is folded again from the
    epoch before that seal, with the seal as its end, and so judged once more as it was then.

What it does not do
    It counts nothing itself: `ballots`, `expulsion` and `tally` do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.feed import Registration
from ledger.governance.ballots import Act, Choice, Rule, Sealed
from ledger.governance.expulsion import WORDS, Outcome, Ruling
from ledger.governance.members import advance
from ledger.governance.roster import Party
from ledger.governance.tally import Default, Delegation, Tally
from ledger.governance.voting import Count, read_proposal, refusal
from ledger.verdict import Account, counts, superseded, void, waits

if TYPE_CHECKING:
    from ledger.governance.scene import Scene
    from ledger.governance.state import Base


def explain(scene: Scene, registration: Registration) -> Account:
    """Return the account of an entry of a ballot at one of its leaves."""
    owner = scene.reaches.owners.get(registration.feed)
    if owner is None:
        return waits("M1", "no certificate held here says whose device wrote it")
    match registration.entry.kind:
        case "proposal":
            return _proposal(scene, registration, owner)
        case "vote":
            return _vote(scene, registration)
        case _:
            return _standing(scene, registration, owner)


# Proposals


def _proposal(scene: Scene, registration: Registration, owner: Party) -> Account:
    entry, base = registration.entry, scene.base
    result = base.results.get(entry.id)
    if result is not None:
        count, seals = closed(scene, result.seal)
        return _outcome(scene, count, entry.id, (entry.id, *seals), done=result.passed)
    if entry.id in base.proposals:
        return _outcome(scene, scene.folded.count, entry.id, (entry.id,))
    if (account := scene.held(registration)) is not None:
        return account
    proposal = read_proposal(entry)
    if proposal is None:
        return void("G4.11", "it lacks what its act needs, or carries rules that are none", entry.id)
    return void("G4.11", refusal(_then(scene, registration), proposal, owner) or "it was not taken", entry.id)


def _then(scene: Scene, registration: Registration) -> Base:
    """Return the tables of the epoch under which a leaf was sealed, or those of now where it is not."""
    line = scene.ledger.chain.line(scene.tip, scene.ledger.view)
    sealed = (place for place, base in enumerate(line) if base.floor(registration.feed) > registration.index)
    place = next(sealed, 0)
    return line[place - 1] if place else scene.base


def _outcome(
    scene: Scene, count: Count | None, ident: bytes, why: tuple[bytes, ...], *, done: bool | None = None
) -> Account:
    """Return the account of a proposal. `done`: whether it took effect, once a seal has closed it."""
    ruling = count.resolution.rulings.get(ident) if count is not None else None
    if ruling is not None:
        return _expulsion(ruling, why, done)
    tally = count.tallies.get(ident) if count is not None else None
    if tally is None:
        told = "a seal closed it"
        return counts("G4.11", f"{told}, and it took effect", *why) if done else void("G4.11", told, *why)
    return _tallied(scene, tally, why, done)


def _expulsion(ruling: Ruling, why: tuple[bytes, ...], done: bool | None) -> Account:
    rule, needs = ruling.outcome.value, ruling.needs or "nothing"
    told = f"{WORDS[ruling.outcome]} ({ruling.yes} said yes, {needs} would do)"
    why = (*why, *ruling.why)
    if ruling.applies if done is None else done:
        return counts(rule, told, *why)
    if done is None and ruling.outcome is Outcome.SHORT:
        return waits(rule, told, *why)
    return void(rule, told, *why)


def _tallied(scene: Scene, tally: Tally, why: tuple[bytes, ...], done: bool | None) -> Account:
    yes = [each.vote.id for each in tally.votes if each.rule is Rule.COUNTS and each.vote.choice is Choice.YES]
    carried = [ident for each in tally.carried if each.choice is Choice.YES for ident in each.why]
    word = "reach" if tally.proposal.act is Act.SUSPEND else "exceed"
    told = f"{tally.yes} of {tally.of} voices say yes, and their part must {word} {tally.needs}"
    why = (*why, *yes, *carried)
    if tally.passed if done is None else done:
        target, suspended = tally.proposal.target, scene.base.suspended
        if tally.proposal.act is Act.SUSPEND and target is not None and target not in suspended:
            return superseded("G4.11", f"{told}; the suspension has lapsed", *why)
        if done is None and tally.proposal.act in _AT_SEAL:
            return counts("G4.11", f"{told}; it takes effect at the next seal", *why)
        return counts("G4.11", told, *why)
    if done is None:
        return waits("G4.11", told, *why)
    better = "; a ballot on the same act had more support" if tally.passed else ""
    return void("G4.11", f"{told}{better}; a seal closed it", *why)


_AT_SEAL = frozenset({Act.POLICY, Act.CHARTER, Act.EVALUATOR})


def closed(scene: Scene, n: int) -> tuple[Count | None, tuple[bytes, ...]]:
    """Return the poll as the seal of epoch `n` closed it, and the ids of that seal's certificates.

    None in place of the poll where the epoch cannot be derived any more.
    """
    ledger = scene.ledger
    line = {base.n: base for base in ledger.chain.line(scene.tip, ledger.view, since=n - 1)}
    before, after = line.get(n - 1), line.get(n)
    if before is None or after is None:
        return None, ()
    sizes = after.floors()
    ids = tuple(
        sighting.registration.entry.id
        for sighting in ledger.register.after(before.reference)
        if sighting.seal.epoch.reference() == after.reference
    )
    closing = Sealed(ids[0] if ids else b"", after.as_of, sizes)
    fresh = ledger.register.beyond(before.frontier)
    return advance(ledger.genesis, before, fresh, ledger.view.below(sizes), closing).count, ids


# Votes


def _vote(scene: Scene, registration: Registration) -> Account:
    entry, base = registration.entry, scene.base
    proposal = entry.thing[1]
    if (account := scene.held(registration)) is not None:
        return account
    result = base.results.get(proposal)
    if result is None and proposal not in base.proposals:
        return waits("G4.11", "the proposal that it names is not held, or has no effect", proposal)
    count, seals = (scene.folded.count, ()) if result is None else closed(scene, result.seal)
    if count is None:
        return waits("G4.2", "the ballot was closed, and its epoch cannot be derived any more", proposal)
    tally = count.tallies.get(proposal)
    votes = tally.votes if tally is not None else count.resolution.votes.values()
    for each in votes:
        if each.vote.id == entry.id:
            told, why = WORDS[each.rule], each.why or (entry.id,)
            return (
                counts(each.rule.value, told, entry.id)
                if each.rule is Rule.COUNTS
                else void(each.rule.value, told, *why)
            )
    return void("G4.2", WORDS[Rule.OPEN], proposal, *seals)


# Delegations and defaults


def _standing(scene: Scene, registration: Registration, owner: Party) -> Account:
    entry, base = registration.entry, scene.base
    if entry.thing[1] != owner[0]:
        return void("G4.12", "a member gives instructions for its own vote alone")
    if (account := scene.held(registration)) is not None:
        return account
    sort = Delegation if entry.kind == "vote.delegate" else Default
    found = base.found.get(owner)
    chain = [feed for feed, _ in scene.reaches.chain(found.first)] if found is not None else []
    if registration.feed not in chain:
        return waits("G4.1", "its member does not speak through the feed that it stands in")
    own = (each for each in base.standing.values() if each.voter == owner and isinstance(each, sort))
    newest = max(((chain.index(e.feed), e.index, e.id) for e in own if e.feed in chain), default=None)
    if newest is not None and newest[:2] > (chain.index(registration.feed), registration.index):
        return superseded("G4.12", "its signer has given a newer instruction of the same sort", newest[2])
    if registration.index >= scene.tip.floor(registration.feed):
        return waits("G4.12", "it counts for the ballots of epochs after the next seal", entry.id)
    return counts("G4.12", "it counts for the ballots of the epochs that have sealed it", entry.id)
