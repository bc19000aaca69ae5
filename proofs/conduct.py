"""Findings of a member's conduct: what its own signatures prove against it, a row each (selection `conduct`).

How it works
    | entry         | finding                                                                                      |
    |---------------|----------------------------------------------------------------------------------------------|
    | fork.proof    | its feed showed two faces: both heads are signed by the feed's key (ledger/fork.py)            |
    | seal.evidence | as a voter of an epoch of the chain it signed two messages that contradict each other          |
    | probe.result  | it served data that it had no right to, by what its device signed (ledger/consent/fault.py)    |
    A finding is proven or the bundle is refused: nobody is accused by what shows nothing. A result of a probe without a
    provable fault is told as such, and one without any signature of the member's as somebody's word. Transfers under
    the grants that are carried are judged like anywhere (flows); what refutes such a transfer is a finding too, and no
    fault of the bundle; of a transfer between others it is said that it tells nothing of the member. Where a consent
    has ended, the member's own acknowledgement says since when it knew: a row tells between which times it was made.

What it does not do
    It punishes nobody, and it does not say how grave a finding is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ledger import fork
from ledger.checkpoint import Head
from ledger.consent.answer import After, open_evidence
from ledger.consent.answer import Evidence as Signed
from ledger.consent.fault import Known, judge
from ledger.consent.status import Party
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.certificate import EpochContext
from ledger.governance.rounds import guilty
from ledger.keys import did_key
from proofs.brackets import not_after, not_before
from proofs.bundle import Voter
from proofs.consents import ConsentAudit
from proofs.evidence import ENDINGS, FINDINGS, Evidence
from proofs.frontiers import parties_of
from proofs.reasons import Reason
from proofs.report import utc
from proofs.state import Refused

KNEW: Final = "the member signed that it knew of the end of the consent"


def check_findings(evidence: Evidence) -> tuple[dict[str, Any], ...]:
    """Check every finding of a bundle of selection `conduct`; return each as values for JSON. Raises Refused."""
    about = evidence.bundle.about
    if about is None or not isinstance(about[0], bytes):
        return ()
    party = (about[0], about[1])
    found = []
    for at, entry in enumerate(evidence.entries):
        if entry.kind not in FINDINGS:
            continue
        try:
            words = _finding(evidence, entry, party)
        except RemoteError as error:
            raise Refused(Reason.BAD_STATE_PROOF, f"entry {at}, a {entry.kind}, shows nothing: {error}") from None
        evidence.use(at)
        own = entry.kind != "probe.result" or "evidence" in entry.payload
        told = {"kind": entry.kind, "entry": entry.id.hex(), "time": entry.iat, "words": words}
        found.append({**told, "signed_by_member": own})
    for at, _ in acknowledgements(evidence, party):
        evidence.use(at)
    for number, tick in enumerate(evidence.ticks):
        if party[0] in tick.members:
            evidence.shown.add((number, party[0]))
    return tuple(found)


def acknowledgements(evidence: Evidence, party: Party) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the entry, id of the grant) where a party's device acknowledges an end that is carried."""
    ends = {(grant, evidence.entries[at].id) for at, grant in evidence.ended.items()}
    for at, entry in enumerate(evidence.entries):
        if entry.kind == "consent.acknowledge" and (entry.payload["grant"], entry.payload["entry"]) in ends:
            keyed = evidence.find_key(entry.kid)
            if keyed is not None and keyed.party == party:
                yield at, entry.payload["grant"]


def audit_knowledge(audit: ConsentAudit) -> None:
    """Say since when the member knew of the end of a consent, by its own signature."""
    evidence, about = audit.evidence, audit.evidence.bundle.about
    if about is None or not isinstance(about[0], bytes) or not audit.value(audit.ticks[-1]).ended:
        return
    told = [at for at, grant in acknowledgements(evidence, (about[0], about[1])) if grant == audit.grant.id]
    if not told:
        audit.note.skipped("acknowledged", KNEW, "no acknowledgement by this member is carried")
        return
    first = min(told, key=lambda at: (evidence.entries[at].iat, at))
    entry, after = evidence.entries[first], not_before(evidence, evidence.entries[first])
    by = not_after(evidence, first, audit.trust.policy, audit.stamped)
    shown = f"shown by {utc(by)}" if by is not None else "by when, no witness shows"
    words = f"entry {entry.id.hex()}, {utc(entry.iat)} by its own clock, not before {utc(after)}, {shown}"
    audit.note.passed("acknowledged", KNEW, words, entry.iat)
    audit.claims["acknowledged"] = {"entry": entry.id.hex(), "time": entry.iat, "not_before": after, "not_after": by}


def _finding(evidence: Evidence, entry: Entry, party: tuple[bytes, int]) -> str:
    match entry.kind:
        case "fork.proof":
            return _fork(evidence, entry, party)
        case "seal.evidence":
            return _sealed_twice(evidence, entry, party)
        case _:
            return _probe(evidence, entry, party)


def _fork(evidence: Evidence, entry: Entry, party: tuple[bytes, int]) -> str:
    hold = fork.check(entry.payload, evidence.genesis.mesh_id)
    if entry.thing[1] != hold.feed or evidence.keyed(hold.feed).party != party:
        raise RemoteError("EVIDENCE_OTHER", "the feed is not this member's")
    return f"feed {hold.feed.hex()} showed two faces; it counts below {hold.size} alone"


def _sealed_twice(evidence: Evidence, entry: Entry, party: tuple[bytes, int]) -> str:
    genesis, named = evidence.genesis, entry.payload["epoch"]
    if named == genesis.mesh_id:
        context = EpochContext.of(named, named, 0, genesis.entry.iat, genesis.voters)
        listed = tuple(Voter(kid, 1, device, "") for kid, device in context.voters)
    else:
        step = next((step for step in evidence.chain if step.reference == named), None)
        if step is None:
            raise RemoteError("EVIDENCE_EPOCH", "the epoch is not in the chain that is carried")
        listed = step.voters
        pairs = tuple((voter.kid, voter.public) for voter in listed)
        context = EpochContext(genesis.mesh_id, named, step.epoch.n, step.epoch.as_of, pairs)
    place = guilty(entry.payload["messages"], context)
    if place is None or (listed[place].kid, listed[place].incarnation) != party:
        raise RemoteError("NO_FAULT", "the messages do not convict this member")
    return f"as a voter of epoch {context.n} it signed two messages that contradict each other"


def _probe(evidence: Evidence, entry: Entry, party: tuple[bytes, int]) -> str:
    if entry.thing[1] != party[0]:
        raise RemoteError("EVIDENCE_OTHER", "the result is about another member")
    payload = entry.payload
    told = f"asked {payload['asked']}, it {payload['outcome']} {payload.get('code', '')}".rstrip()
    if "evidence" not in payload:
        return f"{told}; the word of {did_key(entry.signer)} alone"
    signed = open_evidence(payload["evidence"], evidence.genesis.mesh_id)
    if evidence.keyed(signed.device).party != party:
        raise RemoteError("EVIDENCE_OTHER", "another member's device signed it")
    try:
        fault = judge(signed, _known(evidence, signed, party))
    except RemoteError as error:
        if error.code not in ("NOT_SERVED", "NO_FAULT"):
            raise
        return f"{told}, by its own signature; no fault is shown ({error.code})"
    return f"{fault.wrong.value}: {fault.sentence()}"


def _known(evidence: Evidence, signed: Signed, party: tuple[bytes, int]) -> Known:
    """Return what the bundle shows about evidence: the grant, what ended it, and what the device knew."""
    grant = next((grant for grant in evidence.grants if grant.id == signed.answer.grant), None)
    if grant is None:
        return Known(party, None, {}, {}, head_held=False)
    challenge = signed.challenge
    head = Head(challenge.feed, challenge.head.size, challenge.head.root) if isinstance(challenge, After) else None
    ends, told = {}, {}
    plain = {signed.device, *(party[0] for party in parties_of(grant))}  # whose word it is, the device could not miss
    for at, entry in enumerate(evidence.entries):
        acknowledges = entry.kind == "consent.acknowledge" and entry.payload["grant"] == grant.id
        if entry.kind in ENDINGS and evidence.ended.get(at) == grant.id:
            ends[entry.id] = entry.kind
        if head is None or evidence.checkpoint_of(at).head != head:
            continue
        if acknowledges and entry.kid == signed.device:
            told[entry.payload["entry"]] = evidence.bundle.entries[at].index
        elif entry.id in ends and (ends[entry.id] != "consent.revoke" or entry.kid in plain):
            told[entry.id] = evidence.bundle.entries[at].index
    return Known(party, grant, ends, told, head_held=bool(told))
