"""Putting a bundle together from a replica: pure assembly, no file is written and no clock is read.

How it works
    `make` starts from the grant and the ticks it is given. It picks who attested each tick, and then follows what
    the verifier will ask: every entry needs a path under a checkpoint, every checkpoint the certificate of its
    feed's device, every certificate a path in turn, every witness that is no founder the admission that let it in.
    This ends at the founders. Then each tick gets the member proofs of the parties, its witnesses and the owners of
    the checkpoints it counts. Only what the verifier uses goes in, since it refuses everything else.

What it does not do
    It does not decide what to disclose: the caller names the fields. It makes no tick and no attestation: where one
    is missing it says which command makes it. An entry that stands in a feed with a proven fork, and nowhere else,
    cannot be shown: such a feed is counted up to a head that its owner need not have signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from ledger import tree
from ledger.checkpoint import Head
from ledger.consent.disclosure import Disclosures
from ledger.consent.record import SLOTS
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.feed import SignedHead
from ledger.governance.members import Members, Party
from ledger.keys import thumbprint
from ledger.maps import CommittedMap, MapProof
from ledger.moves import Frontier
from ledger.replica import Replica
from ledger.rows import Reader, prefix_stop
from ledger.tables import read_head
from ledger.ticks import Tick, Ticker, attestations
from proofs.bundle import BUNDLE_BYTES_MAX, Bundle, Logged, Presence, SignedCheckpoint, TickProof
from proofs.past import View

ADMISSIONS_MAX: Final = 64
"""Entries of the chain that let a witness in, at most."""

_TICK: Final = "run `maille tick`"


def make(
    rows: Reader,
    replica: Replica,
    ticker: Ticker,
    grant_id: bytes,
    disclosures: Disclosures | None,
    fields: Iterable[str] | None = None,
    *,
    newer: View | None = None,
    witnesses: int | None = None,
) -> bytes:
    """Return the `.mailleproof` of one consent at the tick where `ticker` stands.

    `rows`: hold the maps of `ticker` (its own store, or a `past.View`'s). `disclosures`: None when they are erased;
    `fields`: which of them to disclose, None for all. `newer`: a later tick, for what has been since. `witnesses`:
    how many members' attestations to carry for each tick, by default the quorum of the founding policy.
    Raises LocalError NO_TICK, NOT_ATTESTED, GRANT_NOT_IN_TICK, NOT_A_MEMBER, TICKS_ORDER, NO_FIELDS,
    DISCLOSURE_MISSING, PROOF_TOO_LARGE, each with what to do.
    """
    wanted = replica.genesis.policy.attestation_quorum if witnesses is None else witnesses
    views = [View(rows, ticker)] if newer is None else [View(rows, ticker), newer]
    assembly = _Assembly(replica, views, grant_id)
    chosen = _chosen(disclosures, fields)
    assembly.gather(wanted)
    return assembly.bundle(chosen)


def _chosen(disclosures: Disclosures | None, fields: Iterable[str] | None) -> Disclosures | None:
    if disclosures is None:
        return None
    chosen = disclosures if fields is None else disclosures.only(fields)
    if not chosen.fields:
        raise LocalError("NO_FIELDS", "name at least one field to disclose: purpose and pii_type are always needed")
    return chosen


class _Assembly:
    """The parts of one bundle while they are gathered."""

    def __init__(self, replica: Replica, views: Sequence[View], grant_id: bytes) -> None:
        self._replica, self._views, self._grant_id = replica, views, grant_id
        self._rows = views[-1].rows  # the newest: it holds every leaf
        self._ticks = [_tick_of(view) for view in views]
        if any(one.boundary >= other.boundary for one, other in pairwise(self._ticks)):
            raise LocalError("TICKS_ORDER", "the newer tick must have a later boundary than the first")
        self._members = [self._members_at(view, tick) for view, tick in zip(views, self._ticks, strict=True)]
        self._logged: dict[bytes, tuple[bytes, Head, int]] = {}  # entry id -> bytes, head above it, index
        self._checkpoints: dict[Head, SignedHead] = {}
        self._witnesses: list[dict[bytes, bytes]] = [{} for _ in views]  # member's key id -> attestation's entry id
        self._keyed: set[bytes] = set()  # feeds whose device's certificate is gathered

    def _members_at(self, view: View, tick: Tick) -> Members:
        return Frontier(self._replica, view.rows, tick.sizes).members

    # What goes in

    def gather(self, wanted: int) -> None:
        """Gather entries and checkpoints until every question of the verifier has its answer."""
        grant = self._log_below(self._grant_id, last=0)
        if grant is None or grant.kind != "consent.grant":
            hint = f"register it, then {_TICK}" if grant is None else "name a grant"
            raise LocalError("GRANT_NOT_IN_TICK", f"no such grant stands below the tick; {hint}", field="grant")
        self._grant = grant
        for number in range(len(self._views)):
            self._gather_attestations(number, wanted)
        self._gather_endings()
        self._close_over_keys()

    def _log_below(self, entry_id: bytes, last: int | None = None) -> Entry | None:
        """Take in an entry at its first sound place below the ticks up to number `last`; None when there is none."""
        ticks = self._ticks if last is None else self._ticks[: last + 1]
        for tick in ticks:
            for number, index in self._replica.places(self._rows, entry_id):
                feed = self._replica.feed_of(number)
                head = tick.heads.get(feed)
                if head is None or index >= head.size or feed in tick.cuts:
                    continue  # a cut feed's head is nobody's checkpoint
                leaf = self._replica.leaf(self._rows, feed, index)
                if not leaf.void:
                    self._log(leaf.raw, entry_id, feed, index, head)
                    return Entry.parse(leaf.raw)
        return None

    def _log(self, raw: bytes, entry_id: bytes, feed: bytes, index: int, signed: SignedHead) -> None:
        head = Head(feed, signed.size, signed.root)
        held = self._checkpoints.get(head)
        if held is None or signed.time < held.time:
            self._checkpoints[head] = signed
        self._logged.setdefault(entry_id, (raw, head, index))

    def _gather_attestations(self, number: int, wanted: int) -> None:
        tick, members = self._ticks[number], self._members[number]
        found: dict[bytes, tuple[int, list[Entry], bytes, int, SignedHead]] = {}
        for device, (feed, index) in attestations(self._rows, self._replica, tick).items():
            party = members.party_of(device)
            signed, chain = self._signed_after(feed, index), self._admission(members, party)
            if members.is_member(party) and signed is not None and chain is not None:
                found.setdefault(party[0], (len(chain), chain, feed, index, signed))
        if len(found) < wanted:
            missing = f"{len(found)} of {wanted} members attested the tick of {tick.boundary}"
            raise LocalError("NOT_ATTESTED", f"{missing}; {_TICK} on other members' nodes too, wait a minute, retry")
        parties = {party[0] for party in (self._grant.payload["holder"], self._grant.payload["recipient"])}
        # Founders need no admission, and the parties are proven anyway: they make the smallest bundle.
        for kid in sorted(found, key=lambda kid: (found[kid][0], kid not in parties, kid))[:wanted]:
            _, chain, feed, index, signed = found[kid]
            leaf = self._replica.leaf(self._rows, feed, index)
            self._log(leaf.raw, leaf.entry_id, feed, index, signed)
            self._witnesses[number][kid] = leaf.entry_id
            for entry in chain:
                self._log_below(entry.id)
                if entry.kind == "member.admit":
                    self._certify(entry.kid)

    def _admission(self, members: Members, party: Party) -> list[Entry] | None:
        """Return the admissions and applications from the founders to a party; None when they cannot be shown."""
        founders = {thumbprint(root) for root, _ in self._replica.genesis.founders}
        chain: list[Entry] = []
        while not (party[1] == 1 and party[0] in founders):
            member = members.members.get(party[0])
            if member is None or member.party != party or len(chain) >= ADMISSIONS_MAX:
                return None  # an inviter who has come back since: what let it in before is not remembered
            pair = [self._replica.entry(self._rows, entry_id) for entry_id in member.decided_by[:2]]
            admit = next((entry for entry in pair if entry is not None and entry.kind == "member.admit"), None)
            if admit is None:
                return None
            chain.extend(entry for entry in pair if entry is not None)
            party = members.party_of(admit.kid)
        return chain

    def _signed_after(self, feed: bytes, index: int) -> SignedHead | None:
        """Return the earliest checkpoint held of a feed that covers leaf `index`."""
        held = (read_head(key, value) for key, value in self._rows.scan("heads", feed, prefix_stop(feed)))
        return next((signed for signed in held if signed.size > index), None)

    def _gather_endings(self) -> None:
        for number, view in enumerate(self._views):
            status = Frontier(self._replica, view.rows, self._ticks[number].sizes).consent(self._grant_id)
            if status is None or status.state not in (State.WITHDRAWN, State.REVOKED):
                continue
            for entry_id in status.decided_by:
                ending = self._log_below(entry_id, last=number)
                for head in ending.seen if ending is not None else ():
                    self._show_published(head)

    def _show_published(self, head: Head) -> None:
        """Take in the checkpoint of a head that a withdrawal has seen, where it is still held: it bounds its time."""
        if head in self._checkpoints or not self._members[-1].reach(head.feed):
            return
        for key, value in self._rows.scan("heads", head.feed, prefix_stop(head.feed)):
            signed = read_head(key, value)
            if (signed.size, signed.root) == (head.size, head.root):
                self._checkpoints[head] = signed
                return

    def _close_over_keys(self) -> None:
        """Certify the device of every checkpoint, which may bring in more checkpoints."""
        while missing := {head.feed for head in self._checkpoints} - self._keyed:
            for feed in sorted(missing):
                self._certify(feed)

    def _certify(self, feed: bytes) -> None:
        if feed in self._keyed:
            return
        self._keyed.add(feed)
        party = self._owner(feed)
        for registration in self._replica.registrations:
            entry = registration.entry
            if (
                entry.kind == "device.certify"
                and entry.thing[1] == feed
                and (entry.kid, entry.payload["incarnation"]) == party
                and self._log_below(entry.id) is not None
            ):
                return
        raise LocalError("NO_CERTIFICATE", f"no tick holds the certificate of feed {feed.hex()[:16]}; {_TICK} again")

    def _owner(self, feed: bytes) -> Party:
        for members in reversed(self._members):
            if feed in members.devices:
                return members.devices[feed].party
        raise LocalError("NO_CERTIFICATE", f"feed {feed.hex()[:16]} belongs to no member at these ticks; {_TICK} again")

    # Putting it together

    def bundle(self, disclosures: Disclosures | None) -> bytes:
        """Return the encoded bundle. Raises LocalError PROOF_TOO_LARGE."""
        heads = sorted(self._checkpoints, key=lambda head: (head.feed, head.size, head.root))
        ids = [self._grant_id, *sorted(self._logged.keys() - {self._grant_id})]
        shown = None
        if disclosures is not None:
            names = sorted(disclosures.fields, key=lambda name: SLOTS[name])
            shown = tuple((*disclosures.fields[name], name) for name in names)
        bundle = Bundle(
            self._replica.genesis.entry.raw,
            tuple(self._item(entry_id, heads) for entry_id in ids),
            tuple(SignedCheckpoint(h, self._checkpoints[h].time, self._checkpoints[h].signature) for h in heads),
            tuple(self._tick(number, ids, heads) for number in range(len(self._views))),
            shown,
        )
        data = bundle.encode()
        if len(data) > BUNDLE_BYTES_MAX:
            raise LocalError("PROOF_TOO_LARGE", f"a bundle has at most {BUNDLE_BYTES_MAX} bytes; disclose fewer fields")
        return data

    def _item(self, entry_id: bytes, heads: list[Head]) -> Logged:
        raw, head, index = self._logged[entry_id]
        path = tree.inclusion(self._rows, self._replica.number(head.feed), index, head.size)
        return Logged(raw, heads.index(head), index, tuple(path))

    def _tick(self, number: int, ids: list[bytes], heads: list[Head]) -> TickProof:
        view, tick = self._views[number], self._ticks[number]
        frontier = tuple(
            Head(feed, *tick.cuts.get(feed, (held.size, held.root))) for feed, held in sorted(tick.heads.items())
        )
        needed = set(self._witnesses[number])
        for party in (self._grant.payload["holder"], self._grant.payload["recipient"]):
            if len(party) == 2 and party[1]:
                needed.add(party[0])
        counted = [head for head in heads if head in frontier]
        if number == len(self._views) - 1:  # whose checkpoint it is that no tick counts, the newest tick shows
            counted += [head for head in heads if not any(_counts(other, head) for other in self._ticks)]
        needed.update(self._owner(head.feed)[0] for head in counted)
        members = tuple((kid, _presence(view.rows, view.ticker.members, kid, "NOT_A_MEMBER")) for kid in sorted(needed))
        return TickProof(
            tick.boundary,
            frontier,
            tick.members,
            tick.consents,
            self._replica.genesis.evaluator_version,
            _presence(view.rows, view.ticker.consents, self._grant_id, "GRANT_NOT_IN_TICK"),
            members,
            tuple(sorted(ids.index(entry_id) for entry_id in self._witnesses[number].values())),
        )


def _tick_of(view: View) -> Tick:
    if view.ticker.tick is None:
        raise LocalError("NO_TICK", f"there is no tick yet to prove anything at; {_TICK}")
    if view.ticker.moving is not None:
        raise LocalError("TICK_MOVING", "the committed state is on its way to a new tick; try again in a minute")
    return view.ticker.tick


def _counts(tick: Tick, head: Head) -> bool:
    held = tick.heads.get(head.feed)
    return held is not None and head.feed not in tick.cuts and (held.size, held.root) == (head.size, head.root)


def _presence(rows: Reader, held: CommittedMap, ident: bytes, code: str) -> Presence:
    value, proof = held.prove(rows, ident)
    if value is None:
        raise LocalError(code, f"{ident.hex()[:16]} does not stand in the state of this tick; {_TICK} and try again")
    return _from_map_proof(value, proof)


def _from_map_proof(value: bytes, proof: MapProof) -> Presence:
    index, _, _, path = proof.leaves[0]
    return Presence(value, index, proof.bucket_size, path, proof.top_path)
