"""Making bundles from a replica: pure assembly, no file is written and no clock is read.

How it works
    `make` proves one consent and what flowed under it; `make_conduct` shows what a member did; `make_period` the
    consents and transfers of a time. All three name grants, transfers and findings, and leave the rest to `gather`,
    which follows what the verifier will ask, and to `rested`, which adds what consents rest on. Each tick gets the
    member proofs of the parties, its witnesses and the owners of the checkpoints it counts. Only what the verifier
    uses goes in, since it refuses everything else.

What it does not do
    It does not decide what to disclose: the caller names the fields. It makes no tick and no attestation: where one
    is missing it says which command makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from ledger.checkpoint import Head
from ledger.consent.answer import After, open_evidence
from ledger.consent.disclosure import Disclosures
from ledger.consent.record import SLOTS
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.governance.roster import Party
from ledger.keys import thumbprint
from ledger.replica import Replica
from ledger.rows import Reader
from ledger.ticks import Tick, Ticker
from proofs.bundle import (
    BUNDLE_BYTES_MAX,
    RULES_TYPE,
    Account,
    Attachment,
    Bundle,
    Disclosure,
    EpochProof,
    Selection,
    SignedCheckpoint,
    Statement,
    TickProof,
    TransferProof,
)
from proofs.evidence import FINDINGS
from proofs.frontiers import parties_of
from proofs.gather import TICK, Cosignatures, Gathering, presence
from proofs.past import View
from proofs.rested import Rested
from proofs.steps import STEPS_AUTO_MAX, Steps, gather_steps


@dataclass(frozen=True, slots=True)
class Chosen:
    """A consent to prove. `disclosures`: None when they are erased; `fields`: which to disclose, None for all."""

    grant: bytes
    disclosures: Disclosures | None
    fields: Iterable[str] | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """A transfer to show: its id, the entries with receipt and acknowledgement (None: none), the accounts opened."""

    transfer: bytes
    receipt: bytes
    ack: bytes | None = None
    sent: Account | None = None
    received: Account | None = None


@dataclass(frozen=True, slots=True)
class Extras:
    """What may go in beside the consents. `witnesses`: how many members' attestations each tick gets; None: the quorum.

    `epoch`: the epoch that the auditor has pinned, the mesh id for the genesis; None: from the genesis, if it is short.
    `cosignatures`: those held of a head. `attachments`: documents that a grant names; rules come by themselves.
    `contents`: what opens an entry that a consent rests on, or is narrowed by; None where it is not held.
    """

    witnesses: int | None = None
    epoch: bytes | None = None
    transfers: Sequence[Moved] = ()
    cosignatures: Cosignatures = field(default=lambda _: ())
    attachments: Sequence[Attachment] = ()
    contents: Callable[[bytes], Disclosures | None] = field(default=lambda _: None)


def make(
    rows: Reader,
    replica: Replica,
    ticker: Ticker,
    grant_id: bytes,
    disclosures: Disclosures | None,
    fields: Iterable[str] | None = None,
    *,
    newer: View | None = None,
    between: Sequence[View] = (),
    witnesses: int | None = None,
    extras: Extras | None = None,
) -> bytes:
    """Return the `.mailleproof` of one consent at the tick where `ticker` stands, and what flowed under it.

    `rows`: hold the maps of `ticker` (its own store, or a `past.View`'s). `newer`: a later tick, for what has been
    since; `between`: ticks that receipts name. `witnesses`: short for that of `extras`.
    Raises LocalError NO_TICK, NOT_ATTESTED, GRANT_NOT_IN_TICK, NOT_A_MEMBER, TICKS_ORDER, NO_FIELDS, NO_EPOCH,
    DISCLOSURE_MISSING, NOT_NAMED (an attachment), PROOF_TOO_LARGE, each with what to do.
    """
    views = [View(rows, ticker), *between, *([] if newer is None else [newer])]
    work = _Making(views[-1].rows, replica, views, extras or Extras(witnesses), Selection.CONSENT)
    return work.bundle([Chosen(grant_id, disclosures, fields)])


def make_period(
    replica: Replica, views: Sequence[View], consents: Sequence[Chosen], period: tuple[int, int], extras: Extras
) -> bytes:
    """Return the bundle of the consents and transfers of a period (unix seconds, first and last). Raises as `make`.

    `views`: the ticks that it rests on, oldest first.
    """
    return _Making(views[-1].rows, replica, views, extras, Selection.PERIOD, period).bundle(consents)


def make_conduct(
    rows: Reader,
    replica: Replica,
    views: Sequence[View],
    member: Party,
    findings: Sequence[bytes],
    consents: Sequence[Chosen],
    extras: Extras,
) -> bytes:
    """Return the bundle of what a member did. `findings`: ids of fork.proof, seal.evidence and probe.result entries.

    `views`: may be empty where the findings need no consent. Raises as `make`; LocalError NO_FINDING.
    """
    work = _Making(rows, replica, views, extras, Selection.CONDUCT, member, _epochs(rows, replica, findings))
    work.take_findings(member, findings)
    return work.bundle(consents)


def _epochs(rows: Reader, replica: Replica, findings: Sequence[bytes]) -> list[bytes]:
    """Return the epochs whose voters findings are about."""
    entries = [replica.entry(rows, entry_id) for entry_id in findings]
    return [each.payload["epoch"] for each in entries if each is not None and each.kind == "seal.evidence"]


class _Making:
    """One bundle while it is put together."""

    def __init__(
        self,
        rows: Reader,
        replica: Replica,
        views: Sequence[View],
        extras: Extras,
        selection: Selection,
        about: Party | tuple[int, int] | None = None,
        epochs: Sequence[bytes] = (),
    ) -> None:
        self._replica, self._extras, self._selection, self._about = replica, extras, selection, about
        most = {} if extras.epoch is not None or epochs else {"most": STEPS_AUTO_MAX}
        steps = gather_steps(replica, rows, extras.epoch, wanted=epochs, **most) or Steps()
        self._gathering = Gathering(rows, replica, views, steps)
        self._gathering.take_words()
        self._grants: list[Entry] = []
        self._stated: list[tuple[int, Entry]] = []  # delegations and calls, with their numbers
        self._accused: Party | None = None
        self._asked: list[tuple[bytes, After]] = []  # grants and challenges of the probes among the findings

    def take_findings(self, member: Party, findings: Sequence[bytes]) -> None:
        """Take in the findings, the keys that they are held against, and what shows since when the member knew."""
        gathering, self._accused = self._gathering, member
        for entry_id in findings:
            entry = gathering.log_below(entry_id) or gathering.log_anywhere(entry_id)
            if entry is None or entry.kind not in FINDINGS:
                raise LocalError(
                    "NO_FINDING", f"{entry_id.hex()[:16]} is no finding that is held here under a checkpoint"
                )
            if entry.kind == "fork.proof":
                gathering.certify(thumbprint(entry.payload["feed_key"]))
            elif entry.kind == "probe.result" and "evidence" in entry.payload:
                shown = open_evidence(entry.payload["evidence"], self._replica.mesh_id)
                gathering.certify(shown.device)
                if isinstance(shown.challenge, After) and shown.answer.grant is not None:
                    self._asked.append((shown.answer.grant, shown.challenge))

    def bundle(self, consents: Sequence[Chosen]) -> bytes:
        """Gather all, and return the encoded bundle. Raises LocalError PROOF_TOO_LARGE."""
        gathering, extras = self._gathering, self._extras
        chosen = {each.grant: _chosen(each) for each in consents}
        rested = Rested(gathering, extras.contents)
        for grant_id, open_ in [(each.grant, bool(chosen[each.grant])) for each in consents]:
            for parent, shown in rested.take(self._grant(grant_id), opened=open_).items():
                chosen.setdefault(parent, shown)
        asked = {each.grant for each in consents}
        self._grants = [self._grant(grant_id, above=grant_id not in asked) for grant_id in sorted(chosen)]
        parties = {party[0] for grant in self._grants for party in parties_of(grant)}
        quorum = self._replica.genesis.policy.attestation_quorum
        for number in range(len(gathering.ticks)):
            gathering.attest(number, quorum if extras.witnesses is None else extras.witnesses, parties)
        self._endings()
        rested.take_stated(self._grants, {ident: [name for *_, name in shown] for ident, shown in chosen.items()})
        transfers = [each for each in extras.transfers if self._take(each)]
        gathering.close_over_keys()
        heads = sorted(gathering.checkpoints, key=lambda head: (head.feed, head.size, head.root))
        ids = [grant.id for grant in self._grants]
        ids += sorted(gathering.logged.keys() - set(ids))
        self._stated = [(ids.index(entry.id), entry) for entry in rested.stated]
        opened = {ids.index(ident): shown for ident, shown in (*chosen.items(), *rested.terms.items()) if shown}
        checkpoints = tuple(gathering.checkpoint(head, extras.cosignatures) for head in heads)
        made = Bundle(
            self._replica.genesis.entry.raw,
            tuple(gathering.item(entry_id, heads) for entry_id in ids),
            checkpoints,
            tuple(self._tick(number, checkpoints) for number in range(len(gathering.ticks))),
            tuple(sorted(opened.items())),
            self._selection,
            tuple(self._epochs(ids)),
            tuple(sorted((self._transfer(each, ids) for each in transfers), key=_place)),
            attachments=self._attached(),
            about=self._about,
            bounds=tuple(sorted((ids.index(given), shown) for given, shown in rested.bounds.items())),
        )
        data = made.encode()
        if len(data) > BUNDLE_BYTES_MAX:
            raise LocalError("PROOF_TOO_LARGE", f"a bundle has at most {BUNDLE_BYTES_MAX} bytes; disclose fewer fields")
        return data

    def _epochs(self, ids: list[bytes]) -> Iterator[EpochProof]:
        """Yield the steps of the chain, each with the numbers of the certificates by which successors signed."""
        steps = self._gathering.steps
        for proof, heirs in zip(steps.proofs, steps.heirs, strict=True):
            yield replace(proof, heirs=tuple((place, ids.index(entry_id)) for place, entry_id in heirs))

    def _attached(self) -> tuple[Attachment, ...]:
        """Return the documents: those asked for, and the rules of the newest epoch where they are not the genesis'."""
        listed, rules = {each.sha256: each for each in self._extras.attachments}, self._gathering.steps.rules
        named = {digest for grant in self._grants for digest in grant.payload.get("evidence", ())}
        named.update(grant.payload["notice"]["sha256"] for grant in self._grants)
        for _, entry in self._stated:
            named.update(entry.payload.get("evidence", ()))
            named.update(notice["sha256"] for notice in [entry.payload.get("notice")] if notice is not None)
        content = (rules or self._replica.genesis.rules).encode()
        in_force = Attachment(sha256(content).digest(), RULES_TYPE, content)
        stray = next((digest for digest in listed if digest not in {*named, in_force.sha256}), None)
        if stray is not None:
            told = f"no consent in this proof names the document with the hash {stray.hex()}; leave it out"
            raise LocalError("NOT_NAMED", told, field="notice")
        if rules is not None:
            listed.setdefault(in_force.sha256, in_force)
        return tuple(listed[digest] for digest in sorted(listed))

    # What it is about

    def _grant(self, grant_id: bytes, *, above: bool = False) -> Entry:
        """Take in a grant; the one that a consent is about at the first tick, one `above` it wherever it is shown."""
        showing = [number for number in range(len(self._gathering.ticks)) if self._shows(number, grant_id)]
        last = 0 if self._selection is Selection.CONSENT and not above else next(iter(showing), -1)
        grant = self._gathering.log_below(grant_id, last) if last >= 0 else None
        if grant is None or grant.kind != "consent.grant":
            hint = f"register it, then {TICK}" if grant is None else "name a grant"
            raise LocalError("GRANT_NOT_IN_TICK", f"no such grant stands below the tick; {hint}", field="grant")
        return grant

    def _shows(self, number: int, grant_id: bytes) -> bool:
        view = self._gathering.views[number]
        return view.ticker.consents.value(view.rows, grant_id) is not None

    def _endings(self) -> None:
        gathering = self._gathering
        ends: dict[tuple[bytes, bytes], None] = {}
        for number, frontier in enumerate(gathering.frontiers):
            for grant in self._grants:
                status = frontier.consent(grant.id)
                if status is None or status.state not in (State.WITHDRAWN, State.REVOKED):
                    continue
                for entry_id in status.decided_by:
                    ending = gathering.log_below(entry_id, last=number)
                    for head in ending.seen if ending is not None else ():
                        gathering.show_published(head)
                    ends[grant.id, entry_id] = None
        for grant_id, asked in self._asked:
            if (grant_id, asked.ended) in ends:
                gathering.log_told(grant_id, asked)
        if self._accused is not None:
            for grant_id, ended in ends:
                gathering.log_acknowledged(grant_id, ended, self._accused)

    def _take(self, moved: Moved) -> bool:
        """Take in the entries of a transfer; False where the receipt lies below no tick yet."""
        if self._gathering.log_below(moved.receipt) is None:
            return False
        if moved.ack is not None:
            self._gathering.log_below(moved.ack)
        return True

    def _transfer(self, moved: Moved, ids: list[bytes]) -> TransferProof:
        receipt = self._statement(moved.receipt, "receipts", moved.transfer, moved.sent, ids)
        ack = None
        if moved.ack is not None and moved.ack in self._gathering.logged:
            ack = self._statement(moved.ack, "acks", moved.transfer, moved.received, ids)
        return TransferProof(receipt, ack)

    def _statement(
        self, entry_id: bytes, name: str, transfer: bytes, account: Account | None, ids: list[bytes]
    ) -> Statement:
        rows = Entry.parse(self._gathering.logged[entry_id][0]).payload.get(name, ())
        position = next((at for at, row in enumerate(rows) if row[0] == transfer), None)
        if position is None:
            told = f"entry {entry_id.hex()[:16]} does not speak of transfer {transfer.hex()}"
            raise LocalError("NO_TRANSFER", told, field="transfer")
        return Statement(ids.index(entry_id), position, account)

    # The ticks

    def _tick(self, number: int, checkpoints: Sequence[SignedCheckpoint]) -> TickProof:
        gathering = self._gathering
        view, tick = gathering.views[number], gathering.ticks[number]
        frontier = tuple(
            Head(feed, *tick.cuts.get(feed, (held.size, held.root))) for feed, held in sorted(tick.heads.items())
        )
        shown = [at for at, grant in enumerate(self._grants) if self._shows(number, grant.id)]
        stated = [(at, self._grants[at].id) for at in shown]
        stated += [(at, entry.id) for at, entry in self._stated if self._shows(number, entry.id)]
        needed = set(gathering.witnesses[number])
        for at in shown:
            needed.update(party[0] for party in parties_of(self._grants[at]) if party[1])
        heads = [checkpoint.head for checkpoint in checkpoints]
        counting = [head for head in heads if head in frontier]
        if number == len(gathering.views) - 1:  # whose checkpoint it is that no tick counts, the newest tick shows
            counting += [head for head in heads if not any(_counts(other, head) for other in gathering.ticks)]
        needed.update(gathering.owner(head.feed)[0] for head in counting)
        members, consents = view.ticker.members, view.ticker.consents
        return TickProof(
            tick.boundary,
            frontier,
            tick.members,
            tick.consents,
            self._replica.genesis.evaluator_version,
            tuple((at, presence(view.rows, consents, ident, "GRANT_NOT_IN_TICK")) for at, ident in sorted(stated)),
            tuple((kid, presence(view.rows, members, kid, "NOT_A_MEMBER")) for kid in sorted(needed)),
            tuple(sorted(gathering.witnesses[number].values(), key=lambda each: each.feed)),
        )


def _chosen(consent: Chosen) -> tuple[Disclosure, ...]:
    if consent.disclosures is None:
        return ()
    chosen = consent.disclosures if consent.fields is None else consent.disclosures.only(consent.fields)
    if not chosen.fields:
        raise LocalError("NO_FIELDS", "name at least one field to disclose: purpose and pii_type are always needed")
    return tuple((*chosen.fields[name], name) for name in sorted(chosen.fields, key=lambda name: SLOTS[name]))


def _counts(tick: Tick, head: Head) -> bool:
    held = tick.heads.get(head.feed)
    return held is not None and head.feed not in tick.cuts and (held.size, held.root) == (head.size, head.root)


def _place(transfer: TransferProof) -> tuple[int, int]:
    return transfer.receipt.entry, transfer.receipt.position


def find_ack(rows: Reader, replica: Replica, transfer: bytes, feeds: Iterable[bytes]) -> bytes | None:
    """Return the id of the entry in these feeds that acknowledges a transfer; None where none does."""
    for feed in feeds:
        for index in reversed(range(replica.size(feed))):
            leaf = replica.leaf(rows, feed, index)
            if leaf.void or transfer not in leaf.raw or b"transfer.ack" not in leaf.raw:
                continue
            try:
                entry = Entry.parse(leaf.raw)
            except RemoteError:
                continue
            if entry.kind == "transfer.ack" and any(row[0] == transfer for row in entry.payload["acks"]):
                return entry.id
    return None
