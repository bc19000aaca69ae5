"""The fold of the open epoch, gone on with: what a new entry adds, without a look at all the others.

How it works
    `members.advance` folds an open epoch over the tables of its base, and costs as much as the epoch is long. Most
    entries only add to what it found: a vote, a standing instruction, a word about a link or a tenant, a newcomer's
    application, certificate and admission. `Onward.take` adds these to the last result, and mends the `Members` that it
    meant where they touch it. What cannot count yet sleeps (`waiting`) until what it waits for has come, and costs
    nothing until then. Anything else has it return None, and the caller folds anew from the base:
      O1 another kind of entry, also among those that are woken; a certificate of a successor or in the device's own
         feed; a word against a link that is woken, for it stood against the link from outside its end's reach;
      O2 a device, a newcomer or an application of which something was said before: what counts first, counts;
      O3 an invitation beyond its day's number;
      O4 a ballot that expels, suspends or admits somebody, once its outcome moves.
    What is left has the same effect in any order, so the result is that of a fold from the base.

What it does not do
    It decides nothing by itself: every rule is in `members` and the modules it names. It is no use where epochs are
    rivals, and not for views that end earlier than the one before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Final

from ledger import keys
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance import edges, voting
from ledger.governance.ballots import Act
from ledger.governance.epoch import Genesis
from ledger.governance.growth import ENDORSEMENTS, Growth
from ledger.governance.members import (
    ABOUT,
    VOTING,
    Counting,
    Folded,
    Inputs,
    begin,
    device_of,
    end,
    member_of,
    revoked_by,
)
from ledger.governance.roster import Members, Party, View, edge
from ledger.governance.state import Base
from ledger.governance.voting import Count
from ledger.governance.waiting import Waiting, causes, is_mute

_INSTRUCTIONS: Final = ("vote.delegate", "vote.default")
_VOICES: Final = frozenset({"vote", *_INSTRUCTIONS})
_ANY_ORDER: Final = _VOICES.union(ABOUT)
_NEWCOMERS: Final = frozenset({"device.certify", "member.apply", *ENDORSEMENTS})
_AGAINST: Final = edges.LINKS - edges.POSITIVE


class Onward:
    """A fold that goes on. `tip`: the base it began from; `folded`, which it changes from now on, and its `members`.

    `waiting`: what is asleep, beside what the fold left over.
    """

    def __init__(
        self, genesis: Genesis, tip: Base, folded: Folded, members: Members, view: View, waiting: Waiting
    ) -> None:
        self.tip, self.members = tip, members
        self._genesis, self._folded = genesis, folded
        self._founders = {(keys.thumbprint(root), 1) for root, _ in genesis.founders}
        work = folded.base
        self._suspends = _suspends(folded.count)
        self._inside = {party[0] for party in (*work.found, *work.voters, *work.cuts)}
        self._asked = Counter(each.kid for each in work.applications.values())
        self._voices = {*work.governing.values(), *(found.first for found in work.found.values())}
        claims = work.reaches.claims.values()
        self._claimed = {feed for claim in claims for feed in (claim.heir, claim.predecessor)}
        self.waiting, self._read = waiting, set[tuple[bytes, int]]()
        self._put_back(view)

    def take(self, fresh: Iterable[Registration], view: View, grown: Iterable[bytes] | None = None) -> Members | None:
        """Add registrations, each the last of its feed so far; None where all must be folded anew.

        `grown`: the feeds of which more is held than before, by default any. After None this value is spent: some of
        its tables may have changed.
        """
        work = self._folded.base
        woken = self.waiting.held(view.size, grown)
        batch = [*woken, *fresh]
        while batch:
            self._read = {(r.feed, r.index) for r in woken}
            owned, active = len(work.reaches.owners), len(work.active)
            if not self._add(batch, view):
                return None
            news = {*islice(work.reaches.owners, owned, None), *islice(work.active, active, None)}
            batch = woken = self.waiting.counting(sorted(news))
        return self.members

    @property
    def forks(self) -> dict[bytes, int]:
        """Where feeds with a proven fork are held."""
        return self._folded.base.reaches.forks

    def _put_back(self, view: View) -> None:
        """Let what is left over wait for what it needs."""
        work = self._folded.base
        for registration in work.pending:
            mute = is_mute(work, registration) and not view.holds(registration.entry, work.reaches.forks)
            self.waiting.put(registration, *causes(work, registration, view), mute=mute)
        work.pending = ()

    def _add(self, batch: Iterable[Registration], view: View) -> bool:
        """Add statements to the tables; False where all must be folded anew."""
        work = self._folded.base
        inputs = Inputs.of(batch, work.evaluator)
        if not self._only_adds(inputs) or any(r.index >= view.size(r.feed) for r in inputs.all):
            return False
        found, active, admitted = len(work.found), len(work.active), work.admitted
        done = begin(work, inputs)
        counting = Counting(work, view)
        done |= voting.take(work, inputs.of_kinds(VOTING), counting.held)
        if not self._ballots_stand(inputs):
            return False
        growth = Growth(self._genesis, work, inputs.by_feed, counting.inside, {}, work.suspended)
        growth.go_on()
        newcomers = set(islice(work.found, found, None))
        if growth.capped or not self._inside.isdisjoint(party[0] for party in newcomers):
            return False
        done |= growth.done
        if newcomers:
            work.admitted |= newcomers
        end(work, inputs, counting, done)
        self._put_back(view)
        self._asked.update(r.entry.kid for r in inputs.by_kind.get("member.apply", ()))
        self._inside.update(party[0] for party in newcomers)
        self._voices.update(work.found[party].first for party in newcomers)
        if inputs.by_kind.keys() - _VOICES:
            self._mend(inputs, newcomers, list(islice(work.active, active, None)), work.admitted - admitted)
        return True

    def _only_adds(self, inputs: Inputs) -> bool:
        """Say whether these statements have the same effect in any order (O1, O2)."""
        if any((r.feed, r.index) in self._read for r in inputs.of_kinds(sorted(_AGAINST))):
            return False
        if inputs.by_kind.keys() <= _ANY_ORDER:
            return self._are_new(r.entry.id for r in inputs.all)
        return (
            inputs.by_kind.keys() <= _ANY_ORDER | _NEWCOMERS
            and self._are_new(r.entry.id for r in inputs.all)
            and _differ(r.entry.thing[1] for r in inputs.by_kind.get("device.certify", ()))
            and _differ(r.entry.kid for r in inputs.by_kind.get("member.apply", ()))
            and _differ(r.entry.payload["application"] for r in inputs.of_kinds(sorted(ENDORSEMENTS)))
            and all(self._is_first(r) for r in inputs.of_kinds(sorted(_NEWCOMERS)))
        )

    def _are_new(self, idents: Iterable[bytes]) -> bool:
        listed, work = list(idents), self._folded.base
        return _differ(listed) and work.votes.keys().isdisjoint(listed) and work.standing.keys().isdisjoint(listed)

    def _is_first(self, registration: Registration) -> bool:
        """Say whether nothing was said before of what a statement about a newcomer is about (O2)."""
        entry, work = registration.entry, self._folded.base
        match entry.kind:
            case "device.certify":
                return self._is_first_of(entry, registration)
            case "member.apply":
                asked = any(each.subject == entry.id for each in work.proposals.values())
                endorsed = len(work.endorsements.get(entry.id, ())) > 1  # the first that suffice are named
                heard = entry.kid in self._inside or entry.kid in self._asked or entry.kid in work.credentials
                return not (asked or endorsed or heard)
            case _:
                about = work.applications.get(entry.payload["application"])
                alone = about is None or self._asked[about.kid] == 1
                return alone and entry.payload["application"] not in work.endorsements

    def _is_first_of(self, entry: Entry, registration: Registration) -> bool:
        feed, work = entry.thing[1], self._folded.base
        waited = (registration.feed, registration.index) in self._read  # to no other effect than the owner's name
        return (
            "predecessor" not in entry.payload
            and feed != registration.feed
            and feed not in work.certificates
            and feed not in self._voices
            and feed not in self._claimed
            and (waited or feed not in work.reaches.owners)
            and (entry.kid, entry.payload["incarnation"]) not in self._folded.count.resolution.expelled
        )

    def _ballots_stand(self, inputs: Inputs) -> bool:
        """Say whether what was just said in ballots changes nothing yet (O4)."""
        work, count = self._folded.base, self._folded.count
        about = [work.proposals.get(r.entry.thing[1]) for r in inputs.by_kind.get("vote", ())]
        acts = {each.act for each in about if each is not None}
        if Act.ADMIT in acts or any(kind in inputs.by_kind for kind in _INSTRUCTIONS):
            subjects = {each.subject for each in work.proposals.values() if each.act is Act.ADMIT}
            if not subjects.isdisjoint(work.applications):
                return False
        acts &= {Act.EXPEL, Act.SUSPEND}
        if not acts:
            return True
        now = voting.count(work, acts=acts)
        return (Act.EXPEL not in acts or now.resolution.expelled == count.resolution.expelled) and (
            Act.SUSPEND not in acts or _suspends(now) == self._suspends
        )

    def _mend(self, inputs: Inputs, newcomers: set[Party], active: list[bytes], admitted: frozenset[Party]) -> None:
        """Change what the members are where these statements touch it; nothing else is made anew."""
        work, members = self._folded.base, self.members
        certified = {r.entry.thing[1] for r in inputs.by_kind.get("device.certify", ())}
        if newcomers:
            feeds: dict[Party, list[bytes]] = defaultdict(list)
            for feed in sorted(active):
                feeds[work.reaches.owners[feed]].append(feed)
            revoked = revoked_by(work.rules.admission)
            new = {p[0]: member_of(self._folded, p, tuple(feeds[p]), revoked) for p in newcomers}
            members = replace(members, members=dict(sorted({**members.members, **new}.items())))
        about = {party[0] for party in newcomers | admitted}  # with the devices of their other incarnations
        touched = {*certified, *active}
        if about:
            touched.update(feed for feed, owner in work.reaches.owners.items() if owner[0] in about)
        if touched:
            owned = {feed: work.reaches.owners[feed] for feed in sorted(touched)}
            devices = {feed: device_of(work, feed) for feed, owner in owned.items() if owner[0] in members.members}
            taken = {f: work.reaches.publics[f] for f, p in owned.items() if p in work.admitted or p in self._founders}
            members = replace(members, devices={**members.devices, **devices}, feeds={**members.feeds, **taken})
        self.members = self._mend_edges(members, inputs, newcomers)

    def _mend_edges(self, members: Members, inputs: Inputs, newcomers: set[Party]) -> Members:
        work = self._folded.base
        said = [r.entry.payload for r in inputs.of_kinds(sorted(edges.LINKS))]
        pairs = {edge((one[0], one[1]), (other[0], other[1])) for one, other in ((p["from"], p["to"]) for p in said)}
        if newcomers:
            known = (*work.links, *work.stopped)
            pairs.update(pair for pair in known if pair[0] in newcomers or pair[1] in newcomers)
        spoken = (pair for pair in sorted(pairs) if pair in work.links or pair in work.stopped)
        links = {pair: edges.state(work, pair) for pair in spoken if all(map(members.belongs, pair))}
        if links:
            members = replace(members, links={**members.links, **links})
        if newcomers or any(kind in inputs.by_kind for kind in edges.TENANTS):
            members = replace(members, tenants=edges.tenants(work, members.belongs))
        return members


def _suspends(count: Count) -> frozenset[bytes]:
    return frozenset(each.proposal.id for each in count.passed(Act.SUSPEND))


def _differ(values: Iterable[bytes]) -> bool:
    listed = list(values)
    return len(set(listed)) == len(listed)
