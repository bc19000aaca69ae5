"""Making the next epoch out of an open one (governance.md §2).

How it works
    `compose` folds what lies below a frontier, closes the ballots that are due, lets passed ones take effect, moves the
    voters, and returns the `Seal` that voters agree on with the `Base` that follows it. It is a pure function of the
    entries below the frontier, the time and the list of silent voters, so a voter confirms a proposed seal by composing
    it itself, and everybody who follows a certificate does the same. The state root alone is taken from the caller: it
    covers consents, which no rule of governance reads.
    Who votes from then on is said by `seats`, under the rules that the seal leaves in force: of affiliated members one.

What it does not do
    It does not agree on anything (`seal`), and looks at no clock or heartbeat: its caller does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ledger import codec
from ledger.checkpoint import Head
from ledger.feed import Registration
from ledger.governance.ballots import Act, Electorate, Sealed
from ledger.governance.certificate import OPEN_PROPOSALS_MAX, VOTERS_MAX, EpochContext, Seal, expulsions_max, quorum
from ledger.governance.epoch import Epoch, Genesis
from ledger.governance.expulsion import Cut, threshold
from ledger.governance.members import Folded, advance
from ledger.governance.roster import UNBOUNDED, Party, View
from ledger.governance.rules import BALLOT_DAYS_MAX, Rules, endorsements_for_voter
from ledger.governance.seats import governing, seats
from ledger.governance.state import Base, Instant, Result
from ledger.governance.tally import Standing
from ledger.kinds import KINDS
from ledger.schema import DAY

SILENT_SECONDS: Final = 30 * DAY  # without a heartbeat, after which a seal may take a voter's vote
ENCODED_MAX: Final = 16_384  # items of an epoch's lists that are kept encoded; about 200 bytes each
RIVALS_SECONDS: Final = 30 * DAY  # of governance time, in which a rival certificate still counts


@dataclass(frozen=True, slots=True)
class Terms:
    """What a seal rests on beside the entries. `frontier`: heads by feed. `as_of`: unix seconds.

    `silent`: voters that it moves to non-voting. `state_root`: of the committed maps at the frontier.
    """

    frontier: Mapping[bytes, Head]
    as_of: int
    silent: tuple[Party, ...] = ()
    state_root: bytes = bytes(32)


def compose(
    genesis: Genesis, base: Base, fresh: Iterable[Registration], view: View, terms: Terms
) -> tuple[Seal, Base] | None:
    """Return the seal of this frontier and what stands after it; None where no seal can have this frontier.

    `view`: what is held; every head of the frontier must be held as named, and none may lie below a sealed one or
    beyond a proven fork.
    """
    sizes = {feed: head.size for feed, head in terms.frontier.items()}
    if terms.as_of <= base.as_of or any(sizes.get(feed, 0) < head.size for feed, head in base.frontier.items()):
        return None
    moved = (head for feed, head in terms.frontier.items() if head is not base.frontier.get(feed))  # the rest is sealed
    if any(view.root(head.feed, head.size) != head.root for head in moved):
        return None
    closing = Sealed(b"", terms.as_of, sizes)
    folded = advance(genesis, base, fresh, view.below(sizes), closing)
    if any(size > folded.base.reaches.forks.get(feed, UNBOUNDED) for feed, size in sizes.items()):
        return None
    if not set(terms.silent) <= set(base.voters):
        return None
    return _Composition(base, folded, terms, closing).result()


class _Composition:
    """The steps from a folded open epoch to the next base."""

    def __init__(self, before: Base, folded: Folded, terms: Terms, closing: Sealed) -> None:
        self._before, self._folded, self._terms, self._closing = before, folded, terms, closing
        self._left, self._expelled = removals(before, folded)

    def result(self) -> tuple[Seal, Base] | None:
        work, terms, before = self._folded.base, self._terms, self._before
        rules, charter, evaluator = self._effects()
        gone = {*self._left, *self._expelled, *terms.silent}
        seated = seats(before, self._folded, gone, self._closing, rules)
        voters = seated.voters
        if not 1 <= len(voters) <= VOTERS_MAX:
            return None
        work.frontier = dict(terms.frontier)
        self._settle()
        self._close()
        work.suspended = {party: held for party, held in work.suspended.items() if held[0] > terms.as_of}
        work.standing = _newest(work)
        speaking = {party: feed for party in voters if (feed := governing(before, work, party)) is not None}
        work.voters, work.governing = voters, speaking
        work.resting, work.added = seated.resting, seated.added
        work.rules, work.charter, work.evaluator = rules, charter, evaluator
        epoch = Epoch(
            n=before.n + 1,
            prev=before.reference,
            as_of=terms.as_of,
            members_digest=_digest(_encoded(*party, found.since) for party, found in sorted(work.found.items())),
            voters_digest=_digest(_encoded(*party, speaking[party], name) for party, name in sorted(voters.items())),
            frontier_digest=frontier_digest(terms.frontier.values()),
            cuts_digest=_digest(codec.encode(_listed(party, cut)) for party, cut in sorted(work.cuts.items())),
            state_root=terms.state_root,
            policy_digest=hashlib.sha256(rules.encode()).digest(),
            charter=charter,
            thresholds=(quorum(len(voters)), threshold(len(voters) - 1) or 0, endorsements_for_voter(len(voters))),
            evaluator_version=evaluator,
            open_proposals=tuple(sorted(work.proposals)[:OPEN_PROPOSALS_MAX]),
        )
        places = {party[0]: place for place, party in enumerate(sorted(before.voters))}
        left, expelled, silent = (
            tuple(sorted(places[party[0]] for party in parties))
            for parties in (self._left, self._expelled, set(terms.silent).difference(self._left, self._expelled))
        )
        seal = Seal(epoch, left, expelled, silent)
        self._enter(epoch)
        return (seal, work) if seal.fault(before.context) is None else None

    def _settle(self) -> None:
        """Keep the cuts of expulsions for good: also of voters whose vote only a later seal can take.

        Else their feeds, which the frontier goes on over, would count beyond the cut once they are sealed.
        """
        work = self._folded.base
        work.cuts = self._folded.count.resolution.settle(work.reaches.owners)

    def _effects(self) -> tuple[Rules, bytes | None, int]:
        """Return rules, charter and evaluator version as ballots that passed leave them."""
        work, count = self._folded.base, self._folded.count
        rules, charter, evaluator = work.rules, work.charter, work.evaluator
        if tally := count.winner(Act.POLICY):
            rules = Rules.decode(work.contents[tally.proposal.id].payload["rules"])
        if tally := count.winner(Act.CHARTER):
            charter = tally.proposal.subject
        if tally := count.winner(Act.EVALUATOR):
            evaluator = max(evaluator, work.contents[tally.proposal.id].payload["evaluator_version"])
        return rules, charter, evaluator

    def _close(self) -> None:
        """Close the ballots that are due, have taken effect, or were beaten by a better one of their act."""
        work, count = self._folded.base, self._folded.count
        winners = {act: tally for act in _AT_SEAL if (tally := count.winner(act))}
        applied = {tally.proposal.id for tally in winners.values()}
        over = {tally.proposal.id for act in winners for tally in count.passed(act)}
        over.update(ident for cut in work.cuts.values() for ident in cut.why)
        for ident, proposal in list(work.proposals.items()):
            if proposal.deadline > self._terms.as_of and ident not in over:
                continue
            ruling, tally = count.resolution.rulings.get(ident), count.tallies.get(ident)
            if ruling is not None:
                others = len(count.poll.electorate(proposal).others(proposal.target))
                result = Result(proposal, work.n + 1, ruling.yes, others, ruling.applies)
            elif tally is not None:
                took = tally.passed and (proposal.act not in _AT_SEAL or ident in applied)
                result = Result(proposal, work.n + 1, tally.yes, tally.of, took)
            else:
                result = Result(proposal, work.n + 1, 0, 0, passed=False)
            work.results[ident] = result
            del work.proposals[ident], work.contents[ident]
        work.votes = {ident: vote for ident, vote in work.votes.items() if vote.proposal in work.proposals}

    def _may_count(self, waiting: Registration) -> bool:
        """Say whether a sealed statement that waits may count one day.

        What a seal holds cannot name an epoch that comes after: its hash rests on the statement. So an epoch that is
        unknown now is one of nowhere, or of another branch. And a vote on what was never proposed waits no longer
        than a ballot can last.
        """
        kind, known = waiting.entry.kind, self._before.known.get(waiting.entry.epoch or b"")
        if known is None:
            return KINDS[kind].restrictive
        return kind != "vote" or known[1] + BALLOT_DAYS_MAX * DAY > self._terms.as_of

    def _enter(self, epoch: Epoch) -> None:
        """Make the tables those of the new epoch."""
        work, before = self._folded.base, self._before
        work.n, work.reference, work.as_of = epoch.n, epoch.reference(), epoch.as_of
        work.pending = tuple(each for each in work.pending if self._may_count(each))
        speaks = {each.feed for each in work.standing.values()}
        electorate = Electorate.of(
            work.reference,
            work.as_of,
            work.voters,
            {feed: head.size for feed, head in work.frontier.items() if feed in speaks},
            work.rules,
        )
        publics = {party[0]: work.reaches.publics.get(feed, b"") for party, feed in work.governing.items()}
        for ident, public in before.context.voters:  # a founder that never certified its device keeps the genesis' one
            if ident in publics and not publics[ident]:
                publics[ident] = public
        context = EpochContext.of(before.context.mesh_id, work.reference, work.n, work.as_of, publics)
        work.known[work.reference] = (work.n, work.as_of)
        work.history = {
            reference: instant
            for reference, instant in work.history.items()
            if instant.electorate.as_of + instant.electorate.rules.ballot_days * DAY > work.as_of
            or instant.electorate.as_of > work.as_of - RIVALS_SECONDS
        }
        work.history[work.reference] = Instant(electorate, context)


_AT_SEAL: Final = (Act.POLICY, Act.CHARTER, Act.EVALUATOR)


def removals(before: Base, folded: Folded) -> tuple[list[Party], list[Party]]:
    """Return the voters that the next seal removes: those that left, and those expelled, as many as it may."""
    voters = sorted(before.voters)
    left = [party for party in voters if party in folded.base.reaches.left]
    out = [party for party in voters if party in folded.count.resolution.expelled and party not in left]
    return left, out[: expulsions_max(len(voters), len(left))]


def frontier_digest(heads: Iterable[Head]) -> bytes:
    """Return the digest by which an epoch names its frontier: of the sorted list of [feed, size, root]."""
    return _digest(_encoded(*each) for each in sorted((head.feed, head.size, head.root) for head in heads))


def _listed(party: Party, cut: Cut) -> codec.Value:
    sizes: list[codec.Value] = [[feed, size] for feed, size in sorted(cut.sizes.items())]
    return [*party, sizes, list(cut.why)]


def _digest(items: Iterable[bytes]) -> bytes:
    """Return the hash of a list, of whose items most are those of the epoch before."""
    return hashlib.sha256(codec.encode_joined(list(items))).digest()


@lru_cache(maxsize=ENCODED_MAX)
def _encoded(*parts: codec.Value) -> bytes:
    return codec.encode(list(parts))


def _newest(work: Base) -> dict[bytes, Standing]:
    """Return each voter's newest standing instruction of each sort: what a seal holds of the others is over."""
    newest: dict[tuple[Party, type], Standing] = {}
    for each in work.standing.values():
        key = (each.voter, type(each))
        known = newest.get(key)
        order = (
            [feed for feed, _ in work.reaches.chain(work.found[each.voter].first)] if each.voter in work.found else []
        )
        if known is None or _at(order, known) < _at(order, each):
            newest[key] = each
    return {each.id: each for each in newest.values()}


def _at(order: list[bytes], each: Standing) -> tuple[int, int, bytes]:
    return (order.index(each.feed) if each.feed in order else -1, each.index, each.id)
