"""The verifier: a bundle, what the auditor trusts, and a clock; the answer is a report (ledger.md §7).

How it works
    First the evidence is checked for itself, step by step (evidence); a step that fails refuses the bundle, and
    what comes after it is not looked at. Then come the questions that need the auditor: is the epoch chain rooted in
    what she pinned, do the witnesses meet her quorum, and then, for each consent (consents) and each transfer (flows),
    the rows of ledger.md §7. A bundle about a conduct has its findings before them (conduct).
    Every question leaves a row, and the verdict follows from the rows (report).

What it does not do
    It opens no file or socket, and takes nothing from the bundle on trust: not the genesis, not a key, not a time.
    No argument skips a check.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from ledger.checkpoint import origin
from ledger.errors import RemoteError
from ledger.feed import AHEAD_SECONDS_MAX
from proofs import reading
from proofs.additions import audit_amended, audit_signed
from proofs.brackets import counted
from proofs.bundle import Selection
from proofs.chains import audit_standing, audit_structure, audit_told
from proofs.conduct import audit_knowledge, check_findings
from proofs.consents import ACTIVE, STATUS, ConsentAudit
from proofs.evidence import Evidence
from proofs.flows import audit_transfers
from proofs.frontiers import check_state, parties_of
from proofs.policy import LogPolicy, MemberQuorum, Witness, earliest
from proofs.presentation import audit_presentation, check_presentation
from proofs.reasons import Indication, Reason
from proofs.report import Check, Level, Outcome, Recorder, Report, utc
from proofs.resting import check_opened
from proofs.state import Refused
from proofs.transfers import Transfer, check_transfers
from proofs.trust import Trust

__all__ = ("STEPS", "Trust", "verify")

STEPS: Final = {
    "container": "the file is one well-formed bundle within its limits",
    "mesh": "the genesis is the pinned one",
    "entries": "every entry is well formed and signed, in this mesh",
    "epochs": "every step of the epoch chain is certified by the voters of the one before",
    "keys": "every device key is certified by its member's root key",
    "checkpoints": "every checkpoint and cosignature is signed by a proven device",
    "inclusion": "every entry stands in its feed under a checkpoint",
    "state": "maps, frontiers and attestations of each tick bind one another",
    "accounts": "what is opened is what was signed; receipts and acknowledgements are of these consents and parties",
    "findings": "every finding is borne out by the member's own signatures",
    "presenter": "the presenter's signature is over this very bundle",
    "references": "every item of the bundle serves a check",
}
_CLOCK: Final = "no time in the bundle lies ahead of the clock"
_LOG: Final = "the feed that holds the grant is one you accept"
_ROOT: Final = "the epoch chain begins at the pinned genesis, or passes through the epoch that you pinned"
_TRANSFERS: Final = "transfers made under the consent"
INVITED: Final = (
    "that {} who attested as members by invitation, not as founders or voters, are not one with who invited"
)
OWN_WORD: Final = "what the member's own signatures show"
OTHERS_WORD: Final = "what somebody else says of the member, and no signature of its own bears out"
_UNATTESTED: Final = "the state is not attested well enough"


def verify(bundle: bytes, trust: Trust, now: int) -> Report:
    """Verify a `.mailleproof` file offline. `now`: unix seconds. Bad input never raises: the report says what it is."""
    audit = _Audit(trust, now, bytes(bundle))
    evidence = audit.examine()
    if evidence is not None:
        audit.judge(evidence)
    note = audit.note
    levels = [each.get("level") for each in note.claims.get("consents", [note.claims])]
    level = Level(levels[0]) if len(levels) == 1 and levels[0] else None
    told = (note.passed_as, level, note.claims, tuple(note.unshown))
    return Report(trust.echo(now), audit.facts, tuple(note.rows), *told)


@dataclass(slots=True)
class _Audit:
    """One verification."""

    trust: Trust
    now: int
    data: bytes
    note: Recorder = field(default_factory=Recorder)
    facts: dict[str, Any] = field(default_factory=dict)
    transfers: tuple[Transfer, ...] = ()
    findings: tuple[dict[str, Any], ...] = ()
    presenter: str = ""
    stamped: dict[tuple[int, int], int] = field(default_factory=dict)

    # The evidence by itself

    def examine(self) -> Evidence | None:
        """Run the steps of `STEPS`; None when one of them refuses the bundle."""
        names = list(STEPS)
        self.facts.update(bytes=len(self.data), sha256=sha256(self.data).hexdigest(), selection=None)
        try:
            evidence = Evidence(reading.decode(self.data))
        except RemoteError as error:
            reason = Reason.UNREFERENCED_ITEM if error.code == "BUNDLE_UNREFERENCED" else Reason.MALFORMED
            self._refused(names, Refused(reason, str(error)))
            return None
        self.facts["selection"] = evidence.bundle.selection.value
        self.note.passed("container", STEPS["container"])
        steps: tuple[Callable[[], object], ...] = (
            lambda: evidence.check_mesh(self.trust.genesis),
            evidence.check_entries,
            evidence.check_epochs,
            evidence.check_keys,
            evidence.check_checkpoints,
            evidence.check_inclusion,
            lambda: check_state(evidence),
            lambda: self._accounts(evidence),
            lambda: self._findings(evidence),
            lambda: self._presenter(evidence),
            evidence.check_references,
        )
        for at, step in enumerate(steps, 1):
            try:
                step()
            except Refused as refused:
                self._refused(names[at:], refused)
                return None
            self.note.passed(names[at], STEPS[names[at]])
        return evidence

    def _accounts(self, evidence: Evidence) -> None:
        check_opened(evidence)
        self.transfers = check_transfers(evidence)

    def _findings(self, evidence: Evidence) -> None:
        self.findings = check_findings(evidence)

    def _presenter(self, evidence: Evidence) -> None:
        self.presenter = check_presentation(evidence)

    def _refused(self, names: list[str], refused: Refused) -> None:
        self.note.failed(names[0], STEPS[names[0]], refused.reason, refused.message)
        for name in names[1:]:
            self.note.skipped(name, STEPS[name])

    # What needs the auditor

    def judge(self, evidence: Evidence) -> None:
        """Ask the questions of ledger.md §7, a to f."""
        note, bundle = self.note, evidence.bundle
        self._claim(evidence)
        audit_presentation(note, self.trust, evidence, self.presenter)
        self._stamps(evidence)
        self._attachments(evidence)
        sound = self._root(evidence)
        sound = self._clock(evidence) and sound
        sound = sound and self._witnesses(evidence)
        self._tell_findings()
        single = bundle.selection is Selection.CONSENT
        consents: list[dict[str, Any]] = []
        if not single:
            note.passed_as = Reason.SHOWN
            note.claims["consents"] = consents
        line = evidence.line() if single else range(len(evidence.grants))
        for number, at in enumerate(line):
            claims: dict[str, Any] = note.claims if single and not number else {}
            consents.append(claims)
            note.prefix = f"consent.{at + 1}." if not single else f"parent.{number}." if number else ""
            self._consent(ConsentAudit(note, self.trust, self.now, evidence, at, self.stamped, claims), sound)
        note.prefix = ""
        if single and len(consents) > 1:
            note.claims["parents"] = consents[1:]

    def _consent(self, audit: ConsentAudit, sound: bool) -> None:
        note, evidence = self.note, audit.evidence
        audit.claim()
        mine = [transfer for transfer in self.transfers if transfer.grant == audit.at]
        judged = bool(mine) or evidence.bundle.selection is not Selection.CONDUCT
        shown = audit.content(judged=judged)
        audit.signature()
        if judged or shown:
            audit_structure(audit, shown)
        if not sound:
            for name, what in (("holder", ""), ("recipient", ""), ("active", ACTIVE), ("status", STATUS)):
                note.skipped(name, what or f"the {name} was a member", _UNATTESTED)
            note.skipped("transfers", _TRANSFERS, _UNATTESTED)
            return
        if evidence.bundle.selection is Selection.CONSENT:
            self._at_a_time(audit, shown)
        else:
            newest = audit.ticks[-1]
            audit_amended(audit, newest, shown)
            audit_signed(audit, newest)
            audit.rules(shown, newest.boundary)
            for name in ("holder", "recipient"):
                audit.member(name, newest)
            audit.told()
            audit_told(audit)
            audit_knowledge(audit)
        if not mine:
            note.skipped("transfers", _TRANSFERS, "none is in this bundle")
            return
        before = len(note.rows)
        audit.claims["transfers"] = audit_transfers(audit, mine, shown)
        if evidence.bundle.selection is Selection.CONDUCT:
            concerns = evidence.bundle.about in parties_of(audit.grant)
            note.rows[before:] = [_as_finding(row, concerns=concerns) for row in note.rows[before:]]

    def _at_a_time(self, audit: ConsentAudit, shown: dict[str, Any]) -> None:
        """Ask what was so at the time asked for, and what has been since."""
        asked = self.trust.at
        if asked is None:
            asked = max(self.now, *(tick.boundary for tick in audit.ticks))
        audit.claims["asked_at"] = asked
        speaking = [tick for tick in audit.ticks if tick.boundary <= asked]
        as_known = speaking[-1] if speaking else audit.ticks[-1]
        audit_amended(audit, as_known, shown)
        audit_signed(audit, as_known)
        audit.rules(shown, asked)
        if not speaking:
            first = audit.ticks[0].boundary
            words = f"asked for {utc(asked)}, the first tick is of {utc(first)}"
            for name in ("holder", "recipient"):
                self.note.skipped(name, f"the {name} was a member", words)
            self.note.failed("active", ACTIVE, Reason.NO_POE, words, first)
            self.note.skipped("status", STATUS, words)
            return
        for name in ("holder", "recipient"):
            audit.member(name, speaking[-1])
        audit.active(speaking[-1], shown, asked)
        audit.status(speaking[-1], asked)
        audit_standing(audit, speaking[-1], asked)

    def _claim(self, evidence: Evidence) -> None:
        genesis, about = evidence.genesis, evidence.bundle.about
        self.note.claims.update(
            mesh={"id": genesis.mesh_id.hex(), "name": genesis.name},
            ticks=[
                {
                    "boundary": tick.boundary,
                    "frontier": tick.digest.hex(),
                    "state_root": tick.root.hex(),
                    "witnesses": sorted({witness.member.hex() for witness in tick.witnesses}),
                }
                for tick in evidence.ticks
            ],
            epochs=[
                {"number": step.epoch.n, "hash": step.reference.hex(), "as_of": step.epoch.as_of}
                for step in evidence.chain
            ],
        )
        if about is not None:
            self.note.claims["about"] = [each.hex() if isinstance(each, bytes) else each for each in about]

    def _stamps(self, evidence: Evidence) -> None:
        """Ask the auditor's judge about each time stamp; without one they are told, and count for nothing."""
        bundle, names = evidence.bundle, ("tick", "checkpoint", "entry")
        for stamp in bundle.stamps:
            name, what = f"stamp.{names[stamp.what]}.{stamp.number}", "a time stamp is by an authority that you trust"
            if self.trust.stamps is None:
                self.note.skipped(name, what, "you named no authority, so it counts for nothing")
                continue
            try:
                time = self.trust.stamps(stamp.token, _stamped_hash(evidence, stamp.what, stamp.number))
            except RemoteError as error:
                self.note.failed(name, what, Reason.BAD_SIGNATURE, str(error))
            else:
                self.stamped[stamp.what, stamp.number] = time
                self.note.passed(name, what, utc(time), time)

    def _attachments(self, evidence: Evidence) -> None:
        """Tell of each document whether it is there; its hash was checked with the references."""
        what = "the document that is named is the one that is carried"
        for number, each in enumerate(evidence.bundle.attachments, 1):
            name, words = f"attachment.{number}", f"{each.media_type}, SHA-256 {each.sha256.hex()}"
            if each.content is None:
                self.note.skipped(name, what, f"withheld: {words}")
            else:
                self.note.passed(name, what, f"{len(each.content)} bytes, {words}")

    def _clock(self, evidence: Evidence) -> bool:
        bundle = evidence.bundle
        times = [self.trust.at or 0, *(tick.boundary for tick in evidence.ticks)]
        times += [time for item in bundle.checkpoints for time in (item.time, *(each.time for each in item.cosigned))]
        times += [entry.iat for entry in evidence.entries]
        times += [each.iat for tick in bundle.ticks for each in tick.attestations]
        times += [step.epoch.as_of for step in evidence.chain]
        times += [bundle.presentation.time] if bundle.presentation is not None else []
        newest = max(times)
        if newest > self.now + AHEAD_SECONDS_MAX:
            words = f"{utc(newest)} is ahead of the clock, {utc(self.now)}"
            self.note.failed("clock", _CLOCK, Reason.TIME_IN_FUTURE, words, newest)
            return False
        self.note.passed("clock", _CLOCK, f"the newest is {utc(newest)}, now {utc(self.now)}", newest)
        return True

    def _root(self, evidence: Evidence) -> bool:
        """Ask whether the epoch chain is rooted in what the auditor pinned."""
        chain, pinned = evidence.chain, self.trust.epoch
        if not chain and pinned is None:
            self.note.skipped("epoch", _ROOT, "the bundle carries no epochs: members are rooted by their admissions")
            return True
        words = f"epochs {', '.join(str(step.epoch.n) for step in chain)}" if chain else "it carries no epochs"
        bare = bool(evidence.bundle.epochs) and evidence.bundle.epochs[0].epoch is not None
        if (bare and pinned is None) or (pinned is not None and pinned not in {step.reference for step in chain}):
            told = "none" if pinned is None else pinned.hex()
            words += f"; the first is {chain[0].reference.hex()}" if chain else ""
            self.note.failed("epoch", _ROOT, Reason.EPOCH_NOT_PINNED, f"{words}; pinned is {told}")
            return False
        if bare and chain[0].reference != pinned:
            self.note.failed("epoch", _ROOT, Reason.EPOCH_NOT_PINNED, f"{words}; it begins before the pinned one")
            return False
        newest = chain[-1].epoch
        words += f"; {len(chain[-1].voters)} voters as of {utc(newest.as_of)}"
        self.note.passed("epoch", _ROOT, words, newest.as_of)
        return True

    def _witnesses(self, evidence: Evidence) -> bool:
        """Ask the policy about each tick, and about the feeds of the grants."""
        met, note = True, self.note
        mesh_id, policy = evidence.genesis.mesh_id, self.trust.policy
        feeds = sorted({evidence.checkpoint_of(at).head.feed for at in range(len(evidence.grants))})
        for number, feed in enumerate(feeds, 1):
            name = "log" if len(feeds) == 1 else f"log.{number}"
            if policy.listed(origin(mesh_id, feed), evidence.keyed(feed).public):
                note.passed(name, _LOG, f"feed {feed.hex()}")
            else:
                note.failed(name, _LOG, Reason.INSUFFICIENT_WITNESSES, f"the policy does not list feed {feed.hex()}")
                met = False
        if evidence.ticks and isinstance(policy, LogPolicy) and policy.quorum == b"none":
            what = "someone you trust attested the state"
            note.failed("witnesses.1", what, Reason.NO_POE, "the policy asks for no witness, so nothing vouches for it")
            return False
        if isinstance(policy, MemberQuorum):
            invited = evidence.invited & {each.member for tick in evidence.ticks for each in tick.rooted}
            note.unshown += [INVITED.format(len(invited))] if invited else []
            note.unshown.append(evidence.rules.unshown())
        for number, tick in enumerate(evidence.ticks, 1):
            counting = counted(policy, tick)
            what = f"your quorum attested the tick of {utc(tick.boundary)}"
            told = f"{len(counting)} witness(es) of {_members(counting)}; {policy.words()}"
            time = earliest(policy, counting, mesh_id)
            if time is None:
                note.failed(f"witnesses.{number}", what, Reason.INSUFFICIENT_WITNESSES, told)
                met = False
            else:
                note.passed(f"witnesses.{number}", what, told, time)
        return met

    def _tell_findings(self) -> None:
        if self.findings:
            self.note.claims["findings"] = list(self.findings)
        for number, finding in enumerate(self.findings, 1):
            what = OWN_WORD if finding["signed_by_member"] else OTHERS_WORD
            what = f"{what} ({finding['kind']})"
            self.note.passed(f"finding.{number}", what, finding["words"], finding["time"])


def _members(counting: AbstractSet[Witness]) -> str:
    """Return how many members these witnesses are, and how many of them are affiliated."""
    members, voices = {each.member for each in counting}, {each.voice or each.member for each in counting}
    affiliated = f", {len(members) - len(voices)} of them affiliated to another" if len(voices) < len(members) else ""
    return f"{len(members)} member(s){affiliated}"


def _stamped_hash(evidence: Evidence, what: int, number: int) -> bytes:
    """Return the SHA-256 that a time stamp over an item must cover."""
    match what:
        case 0:
            return evidence.ticks[number].digest
        case 1:
            head = evidence.bundle.checkpoints[number].head
            public = evidence.keyed(head.feed).public
            note = evidence.bundle.checkpoints[number].note(evidence.genesis.mesh_id, public)
            return sha256(note.partition("\n\n")[0].encode() + b"\n").digest()
        case _:
            return evidence.entries[number].id


def _as_finding(row: Check, *, concerns: bool) -> Check:
    """Turn a transfer that is refuted into a finding: in a bundle about a conduct that is what it shows.

    `concerns`: whether the member is holder or recipient; a transfer between others tells nothing of it.
    """
    if row.reason is None or row.reason.indication is not Indication.FAILED:
        return row
    whose = "finding" if concerns else "finding about others, not about this member"
    return Check(row.id, Outcome.PASSED, f"{whose}: {row.reason.name}", row.evidence, row.time)
