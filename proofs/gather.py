"""Gathering what a bundle needs from a replica: entries with their places, checkpoints, certificates, admissions.

How it works
    Every entry needs a path under a checkpoint, every checkpoint the proof of its feed's device: the epoch chain, or a
    certificate, which needs a path in turn. This ends at the founders and voters. Only what the verifier uses goes in.

What it does not do
    It does not decide what a bundle is about (make). An entry that stands in a feed with a proven fork, and nowhere
    else, cannot be shown: such a feed is counted up to a head that its owner need not have signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from ledger import tree
from ledger.checkpoint import Head
from ledger.consent.answer import After
from ledger.consent.status import Fact
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.feed import SignedHead
from ledger.governance.roster import Members, Party
from ledger.governance.rules import voices
from ledger.index import facts_of
from ledger.keys import thumbprint
from ledger.maps import CommittedMap
from ledger.moves import Frontier
from ledger.replica import Replica
from ledger.rows import Reader, prefix_stop
from ledger.tables import read_head
from ledger.ticks import Tick, attestations
from proofs.attested import of_entry
from proofs.bundle import Attestation, Cosigned, Logged, Presence, SignedCheckpoint
from proofs.past import View
from proofs.steps import Steps

ADMISSIONS_MAX: Final = 64
"""Entries of the chain that let a witness in, at most."""
TICK: Final = "run `maille tick run`"

Cosignatures = Callable[[Head], Iterable[Cosigned]]
"""What others cosigned of a head: from the store of whoever gathers them."""


def tick_of(view: View) -> Tick:
    """Return the tick at which a view stands. Raises LocalError NO_TICK."""
    if view.ticker.tick is None:
        raise LocalError("NO_TICK", f"there is no tick yet to prove anything at; {TICK}")
    return view.ticker.tick


class Gathering:
    """The parts of one bundle while they are gathered. `views`: oldest first; `steps`: its epoch chain."""

    def __init__(self, rows: Reader, replica: Replica, views: Sequence[View], steps: Steps) -> None:
        self.replica, self.views, self.steps = replica, views, steps
        self.rows = rows  # it holds every leaf
        self.ticks = [tick_of(view) for view in views]
        if any(one.boundary >= other.boundary for one, other in pairwise(self.ticks)):
            raise LocalError("TICKS_ORDER", "the newer tick must have a later boundary than the first")
        self.frontiers = [Frontier(replica, v.rows, t.sizes) for v, t in zip(views, self.ticks, strict=True)]
        self.logged: dict[bytes, tuple[bytes, Head, int]] = {}  # entry id -> bytes, head above it, index
        self.checkpoints: dict[Head, SignedHead] = {}
        self.witnesses: list[dict[bytes, Attestation]] = [{} for _ in views]  # by member's key id
        self._keyed: set[bytes] = set()  # feeds whose device's key is gathered

    # Entries

    def log_below(self, entry_id: bytes, last: int | None = None) -> Entry | None:
        """Take in an entry at its first sound place below the ticks up to number `last`; None when there is none."""
        ticks = self.ticks if last is None else self.ticks[: last + 1]
        for tick in ticks:
            for number, index in self.replica.places(self.rows, entry_id):
                feed = self.replica.feed_of(number)
                head = tick.heads.get(feed)
                if head is None or index >= head.size or feed in tick.cuts:
                    continue  # a cut feed's head is nobody's checkpoint
                leaf = self.replica.leaf(self.rows, feed, index)
                if not leaf.void:
                    self.log(leaf.raw, entry_id, feed, index, head)
                    return Entry.parse(leaf.raw)
        return None

    def log_anywhere(self, entry_id: bytes) -> Entry | None:
        """Take in an entry under the earliest checkpoint that covers it, below a tick or not."""
        for number, index in self.replica.places(self.rows, entry_id):
            feed = self.replica.feed_of(number)
            leaf, signed = self.replica.leaf(self.rows, feed, index), self._signed_after(feed, index)
            if signed is not None and not leaf.void:
                self.log(leaf.raw, entry_id, feed, index, signed)
                return Entry.parse(leaf.raw)
        return None

    def log(self, raw: bytes, entry_id: bytes, feed: bytes, index: int, signed: SignedHead) -> None:
        """Take in an entry at a place, under a checkpoint of its feed."""
        head = Head(feed, signed.size, signed.root)
        held = self.checkpoints.get(head)
        if held is None or signed.time < held.time:
            self.checkpoints[head] = signed
        self.logged.setdefault(entry_id, (raw, head, index))

    def _signed_after(self, feed: bytes, index: int) -> SignedHead | None:
        """Return the earliest checkpoint held of a feed that covers leaf `index`."""
        held = (read_head(key, value) for key, value in self.rows.scan("heads", feed, prefix_stop(feed)))
        return next((signed for signed in held if signed.size > index), None)

    def show_published(self, head: Head) -> None:
        """Take in the checkpoint of a head that a withdrawal has seen, where it is still held: it bounds its time."""
        if head in self.checkpoints or not self.frontiers[-1].members.reach(head.feed):
            return
        for key, value in self.rows.scan("heads", head.feed, prefix_stop(head.feed)):
            signed = read_head(key, value)
            if (signed.size, signed.root) == (head.size, head.root):
                self.checkpoints[head] = signed
                return

    # What a member knew

    def log_told(self, grant: bytes, asked: After) -> None:
        """Take in where a probed device acknowledged an end, below its own checkpoint that the challenge names."""
        head = Head(asked.feed, asked.head.size, asked.head.root)
        if self.replica.held_iat(self.rows, head) is None:
            return  # another branch than the one that is held: it shows nothing
        own = [fact for fact in self._told(grant, asked.ended) if fact.row.kid == head.feed]
        places = ((feed, index, fact.row.entry_id) for fact in own for feed, index in fact.places)
        known = [(index, entry_id) for feed, index, entry_id in places if feed == head.feed and index < head.size]
        for index, entry_id in sorted(known)[:1]:
            self.log(self.replica.leaf(self.rows, head.feed, index).raw, entry_id, head.feed, index, asked.head)

    def log_acknowledged(self, grant: bytes, ended: bytes, member: Party) -> None:
        """Take in a member's first acknowledgement of what ended a grant, where one is held; by its own date."""
        members = self.frontiers[-1].members
        own = [fact for fact in self._told(grant, ended) if fact.row.kid in members.devices]
        found = [fact.row.entry_id for fact in own if members.party_of(fact.row.kid) == member]
        held = (self.replica.entry(self.rows, entry_id) for entry_id in found)
        entries = [entry for entry in held if entry is not None]
        if any(entry.id in self.logged for entry in entries):
            return
        for entry in sorted(entries, key=lambda entry: (entry.iat, entry.id))[:1]:
            if self.log_below(entry.id) or self.log_anywhere(entry.id):
                self.certify(entry.kid)

    def _told(self, grant: bytes, ended: bytes) -> list[Fact]:
        """Return who is known to have acknowledged an end of a grant."""
        replica = self.replica
        feeds = [replica.feed_of(number) for number in range(len(replica.feeds))]
        facts = facts_of(self.rows, grant, feeds, replica.size)
        return [each for each in facts if (each.row.kind, each.row.about) == ("consent.acknowledge", ended)]

    # Witnesses

    def attest(self, number: int, wanted: int, parties: Iterable[bytes]) -> None:
        """Gather so many members' attestations of a tick. `parties`: key ids that are proven anyway."""
        tick, members, known = self.ticks[number], self.frontiers[number].members, set(parties)
        found: dict[bytes, tuple[int, list[Entry], Attestation]] = {}
        for device, (feed, index) in attestations(self.rows, self.replica, tick).items():
            party = members.party_of(device)
            small = of_entry(self.replica.leaf_entry(self.rows, feed, index), feed)
            chain = self._admission(members, party) if members.is_member(party) else None
            if small is not None and chain is not None and self._has_key(party, feed):
                found.setdefault(party[0], (len(chain) + (feed not in self.steps.voters), chain, small))
        if len(found) < wanted:
            missing = f"{len(found)} of {wanted} members attested the tick of {tick.boundary}"
            raise LocalError("NOT_ATTESTED", f"{missing}; {TICK} on other members' nodes too, wait a minute, retry")
        # Voters need no certificate, founders no admission, and parties are proven anyway: the smallest bundle.
        best = sorted(found, key=lambda kid: (found[kid][0], kid not in known, kid))
        groups = voices((self.steps.rules or self.replica.genesis.rules).affiliations)
        first = {groups.get(kid, kid): kid for kid in reversed(best)}  # affiliates count once: others go before them
        for kid in sorted(best, key=lambda kid: kid not in first.values())[:wanted]:
            _, chain, small = found[kid]
            self.witnesses[number][kid] = small
            self.certify(small.feed)
            for entry in chain:
                self.log_below(entry.id)
                if entry.kind == "member.admit":
                    self.certify(entry.kid)

    def _has_key(self, party: Party, feed: bytes) -> bool:
        """Say whether the proof of a device's key names this very party."""
        return self.steps.voters.get(feed, party) == party

    def _admission(self, members: Members, party: Party) -> list[Entry] | None:
        """Return the admissions and applications that let a party in; None when they cannot be shown."""
        is_bare = (
            bool(self.steps.proofs) and self.steps.proofs[0].epoch is not None
        )  # then founders are rooted as voters
        founders = {thumbprint(root) for root, _ in self.replica.genesis.founders} if not is_bare else set()
        chain: list[Entry] = []
        while not (party in self.steps.parties or (party[1] == 1 and party[0] in founders)):
            member = members.members.get(party[0])
            if member is None or member.party != party or len(chain) >= ADMISSIONS_MAX:
                return None  # an inviter who has come back since: what let it in before is not remembered
            pair = [self.replica.entry(self.rows, entry_id) for entry_id in member.decided_by[:2]]
            admit = next((entry for entry in pair if entry is not None and entry.kind == "member.admit"), None)
            if admit is None:
                return None
            chain.extend(entry for entry in pair if entry is not None)
            party = members.party_of(admit.kid)
        return chain

    # Keys

    def close_over_keys(self) -> None:
        """Prove the device of every checkpoint, which may bring in more checkpoints."""
        while missing := {head.feed for head in self.checkpoints} - self._keyed:
            for feed in sorted(missing):
                self.certify(feed)

    def certify(self, feed: bytes) -> None:
        """Take in the certificate of a feed's device, unless the epoch chain proves its key."""
        if feed in self._keyed:
            return
        self._keyed.add(feed)
        if feed in self.steps.voters:
            return
        party = self._party_of(feed)
        for registration in self.replica.registrations:
            entry = registration.entry
            if (
                entry.kind == "device.certify"
                and entry.thing[1] == feed
                and party in (None, (entry.kid, entry.payload["incarnation"]))
                and not self._is_early(entry)
                and (self.log_below(entry.id) or (not self.ticks and self.log_anywhere(entry.id))) is not None
            ):
                return
        raise LocalError("NO_CERTIFICATE", f"no tick holds the certificate of feed {feed.hex()[:16]}; {TICK} again")

    def _is_early(self, entry: Entry) -> bool:
        """Say whether an entry is dated before the epoch that it names, and so has no effect (M6)."""
        _, as_of = self.replica.chain.newest.known.get(entry.epoch or b"", (0, 0))
        return entry.iat < as_of

    def is_keyed(self, feed: bytes) -> bool:
        """Say whether the bundle proves the key of a feed's device."""
        return feed in self._keyed or feed in self.steps.voters

    def _party_of(self, feed: bytes) -> Party | None:
        known = [frontier.members for frontier in reversed(self.frontiers)] or [self.replica.members]
        return next((members.devices[feed].party for members in known if feed in members.devices), None)

    def owner(self, feed: bytes) -> Party:
        """Return whose feed it is. Raises LocalError NO_CERTIFICATE."""
        party = self._party_of(feed)
        if party is not None:
            return party
        raise LocalError("NO_CERTIFICATE", f"feed {feed.hex()[:16]} belongs to no member at these ticks; {TICK} again")

    def take_words(self) -> None:
        """Take in what the epoch chain rests on: words of voters that left, certificates of devices that succeeded."""
        for entry in self.steps.lines.values():
            if not self._is_early(entry):
                self._keyed.add(entry.thing[1])
            self._carry(entry)
        certified = {(entry.kid, entry.thing[1]): entry for entry in self._governance("device.certify")}
        for kid, device in self.steps.leavers:
            words = [entry for entry in self._governance("member.leave") if entry.thing[1] == kid]
            for entry in sorted(words, key=lambda entry: (entry.kid != device, entry.id))[:1]:
                self._carry(entry)
                if entry.kid != device and entry.kid not in self._keyed:
                    self._keyed.add(entry.kid)
                    self._carry(certified[kid, entry.kid])

    def _carry(self, entry: Entry) -> None:
        if self.log_below(entry.id) is None and self.log_anywhere(entry.id) is None:
            told = f"entry {entry.id.hex()[:16]}, on which the epoch chain rests, is under no checkpoint"
            raise LocalError("NO_CERTIFICATE", f"{told}; {TICK} again")

    def _governance(self, kind: str) -> Iterator[Entry]:
        return (each.entry for each in self.replica.registrations if each.entry.kind == kind)

    # Items of the bundle

    def item(self, entry_id: bytes, heads: list[Head]) -> Logged:
        """Return an entry as it stands in the bundle. `heads`: of the bundle's checkpoints."""
        raw, head, index = self.logged[entry_id]
        path = tree.inclusion(self.rows, self.replica.number(head.feed), index, head.size)
        return Logged(raw, heads.index(head), index, tuple(path))

    def checkpoint(self, head: Head, cosignatures: Cosignatures) -> SignedCheckpoint:
        """Return a checkpoint as it stands in the bundle, with the cosignatures whose keys are proven."""
        signed = self.checkpoints[head]
        found = {each.feed: each for each in cosignatures(head) if each.feed != head.feed and self.is_keyed(each.feed)}
        return SignedCheckpoint(head, signed.time, signed.signature, tuple(found[feed] for feed in sorted(found)))


def presence(rows: Reader, held: CommittedMap, ident: bytes, code: str) -> Presence:
    """Return where a thing stands in a committed map. Raises LocalError with `code`."""
    value, proof = held.prove(rows, ident)
    if value is None:
        raise LocalError(code, f"{ident.hex()[:16]} does not stand in the state of this tick; {TICK} and try again")
    index, _, _, path = proof.leaves[0]
    return Presence(value, index, proof.bucket_size, path, proof.top_path)
