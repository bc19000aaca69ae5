"""The questions about one consent, a row each: who consented, to what, was it allowed, active at T, ended since?

How it works
    T: the time asked for, or now. Of the ticks, the newest not after T speaks for T, for at most `max_age`.
    An end of the consent that this tick does not know yet is *later* if its lower bound lies above T (brackets).
    The newest tick must be at most `max_age` old, or lie behind the consent's own end.
    In a bundle of a period or a conduct there is no T: each transfer has its own, and the state is told as it was at
    the newest tick. What amendments leave is what the tick that speaks knows of them: a later one changes nothing of
    what was sent before.

What it does not do
    It looks at no transfer (flows), at nothing that the consent rests on (chains) or that was added to it (additions),
    and asks nobody whether the ticks are attested well enough (verify).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger.consent.grant import plain
from ledger.consent.record import FIELDS
from ledger.consent.status import DECIDED_MAX, Party, State
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.keys import did_key
from ledger.schema import DAY
from proofs.brackets import Stamped, not_after, not_before
from proofs.evidence import Evidence
from proofs.reasons import Reason
from proofs.report import Level, Recorder, utc
from proofs.resting import Rests, check_slots, is_by_another, shown_values
from proofs.state import ConsentValue, TickEvidence
from proofs.trust import Trust
from proofs.values import in_a_line, party, plain_value

CORE_FIELDS: Final = ("purpose", "pii_type")
"""What must be disclosed for the content of a consent to be shown: what for, and which data."""

GRANT: Final = "the person consented: her own key signed the grant"
TRANSCRIBED: Final = "a signed paper was transcribed: the grant is signed by whoever did so, and names the paper"
DELEGATED: Final = "who signed the grant in the person's place, says who may: the rows of what it rests on"
UNSIGNED: Final = "that the person signed the paper from which a consent was transcribed"
CONTENT: Final = "what, for what, how long: the disclosed values are those she signed"
RULES: Final = "the mesh's policy allows such a consent"
ACTIVE: Final = "the consent was active at the time asked for, as the witnesses knew it"
STATUS: Final = "the consent has not ended since"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a consent, or what it rests on, ended: its state, and the bracket of the end (unix seconds; 0: unknown).

    `reason`: of what rests on it no more, long after the end.
    """

    state: str
    after: int
    by: int
    reason: Reason = Reason.REVOKED


@dataclass(slots=True)
class ConsentAudit:
    """The audit of grant `at`. `shown`: the disclosed values, once `content` was asked; `claims`: of this consent."""

    note: Recorder
    trust: Trust
    now: int
    evidence: Evidence
    at: int
    stamped: Stamped
    claims: dict[str, Any]

    @property
    def grant(self) -> Entry:
        """The grant."""
        return self.evidence.grants[self.at]

    def value(self, tick: TickEvidence) -> ConsentValue:
        """Return what a tick says of the consent; it shows it from some tick on."""
        return tick.consents[self.at]

    @property
    def rests(self) -> Rests:
        """What it rests on, as far as it is carried."""
        return self.evidence.rests[self.at]

    def above(self) -> ConsentAudit | None:
        """Return the audit of its parent, where it is carried."""
        parent = self.rests.parent
        return None if parent is None else replace(self, at=parent, claims={})

    def values(self) -> dict[str, Any]:
        """Return the disclosed values, where all of them are those that were signed and in shape; else none."""
        return shown_values(self.evidence, self.at)

    @property
    def ticks(self) -> list[TickEvidence]:
        """The ticks that show the consent, oldest first; never none."""
        return [tick for tick in self.evidence.ticks if self.at in tick.consents]

    # What does not need the state

    def claim(self) -> None:
        """Say what the grant says in clear."""
        grant, payload = self.grant, self.grant.payload
        self.claims.update(
            grant=grant.id.hex(),
            record_id=grant.thing[1].hex(),
            principal=did_key(grant.signer),
            holder=party(payload["holder"]),
            recipient=party(payload["recipient"]),
            granted_at=grant.iat,
            valid_until=payload["valid_until"],
            notice_sha256=payload["notice"]["sha256"].hex(),
        )

    def signature(self) -> None:
        """Say who consented, and at which assurance level: herself, by another in her place (chains), on paper."""
        grant = self.grant
        self.claims["level"] = None
        if "transcribed" in grant.payload:
            self._transcribed()
            return
        level, what = (Level.DELEGATED, DELEGATED) if is_by_another(self.evidence, self.at) else (Level.SELF, GRANT)
        self.claims["level"] = level.value
        self.note.passed("grant", what, f"level {level.value}, entry {grant.id.hex()}{self._contested()}", grant.iat)

    def _transcribed(self) -> None:
        """Say that somebody wrote down what a paper says, and which paper: the paper alone shows a person's will."""
        grant = self.grant
        papers = grant.payload.get("evidence", [])
        if not papers:
            self.note.failed("grant", TRANSCRIBED, Reason.NO_PAPER, "level E: it names no paper")
            return
        carried = {each.sha256 for each in self.evidence.bundle.attachments if each.content is not None}
        told = [f"{digest.hex()} ({'carried' if digest in carried else 'not carried'})" for digest in papers]
        said = self.value(self.ticks[-1]).checked
        told += [f"{self._role(who)} says {state} of {digest.hex()[:16]}" for digest, who, state in said]
        self.claims["level"] = Level.EVIDENCE.value
        self.claims["papers"] = [digest.hex() for digest in papers]
        if UNSIGNED not in self.note.unshown:
            self.note.unshown.append(UNSIGNED)
        words = f"level E, entry {grant.id.hex()}, paper {', '.join(told)}{self._contested()}"
        self.note.passed("grant", TRANSCRIBED, words, grant.iat)

    def _contested(self) -> str:
        """Return a word on a consent that was handed on twice: it goes on as granted, and no key decides on it."""
        by = self.value(self.ticks[-1]).contested
        return "" if by is None else f"; key {by.hex()[:16]} handed it on to different keys, so none decides on it now"

    def _role(self, who: Party) -> str:
        """Return which end of the consent a party is."""
        return "the holder" if tuple(self.grant.payload["holder"]) == who else "the recipient"

    def content(self, *, judged: bool) -> dict[str, Any]:
        """Hold the disclosures to the grant; return the values shown. `judged`: whether something rests on them."""
        note, grant = self.note, self.grant
        disclosed = dict(self.evidence.bundle.disclosures).get(self.at)
        if disclosed is None and not judged:
            note.skipped("content", CONTENT, "nothing is disclosed, and nothing here rests on it")
            return {}
        if disclosed is None:
            note.erased("content", CONTENT, Reason.CONTENT_ERASED, "no disclosure is left in the bundle")
            return {}
        try:
            check_slots(grant, disclosed)
        except RemoteError as error:
            note.failed("content", CONTENT, Reason.DISCLOSURE_MISMATCH, str(error))
            return {}
        values = {name: shown for _, shown, name in disclosed}
        wrong = [name for name, value in values.items() if not FIELDS[name].shape.ok(value)]
        in_force = (self.evidence.genesis.rules, self.evidence.rules.rules)
        core = (*CORE_FIELDS, *(["purpose_category"] if any(each.forbidden_purposes for each in in_force) else []))
        missing = [name for name in core if name not in values]
        if wrong:
            note.failed("content", CONTENT, Reason.MALFORMED, f"out of shape: {', '.join(wrong)}")
        elif missing:
            note.skipped("content", CONTENT, f"withheld: {', '.join(missing)}", Reason.CONTENT_WITHHELD)
        else:
            note.passed("content", CONTENT, f"{len(values)} of {len(FIELDS)} fields are disclosed")
        for name in FIELDS:
            if name in values:
                shown = in_a_line(values[name]) if name in wrong else _shown(name, values[name])
                note.passed(f"content.{name}", "this value is the one she signed", shown)
            else:
                note.skipped(f"content.{name}", "this value is the one she signed", "withheld")
        self.claims["disclosed"] = {name: plain_value(value) for name, value in values.items()}
        self.claims["withheld"] = [name for name in FIELDS if name not in values]
        return {} if wrong else values

    # What the state says

    def rules(self, shown: dict[str, Any], asked: int) -> None:
        """Hold the grant to the policy of the mesh, at the time asked for."""
        payload, policy = self.grant.payload, self.evidence.genesis.policy
        names = {plain(shown[name]) for name in ("purpose", "purpose_category") if name in shown}
        known = self.evidence.rules  # what the genesis forbade stays so where the newest epoch's rules are not known
        words, hidden = "", [name for name in ("purpose", "purpose_category") if name not in shown]
        if names & {plain(purpose) for purpose in known.rules.forbidden_purposes}:
            words = "its purpose is one the policy forbids"
        elif payload["notice"]["dated"] > self.grant.iat:
            dated = utc(payload["notice"]["dated"])
            words = f"its notice is of {dated}, after the grant of {utc(self.grant.iat)}"
        elif payload["valid_until"] > asked + policy.consent_days_max * DAY:
            until, days = utc(payload["valid_until"]), policy.consent_days_max
            words = f"it ends {until}, more than {days} days after {utc(asked)}"
        if words:
            self.note.failed("rules", RULES, Reason.AGAINST_POLICY, words)
        elif hidden and known.rules.forbidden_purposes:
            self.note.skipped("rules", RULES, f"{known.words()} forbid purposes; not disclosed: {', '.join(hidden)}")
        else:
            self.note.passed("rules", RULES, known.words())

    def member(self, name: str, tick: TickEvidence) -> None:
        """Ask whether the holder or the recipient was a member."""
        note, what, named = self.note, f"the {name} was a member", self.grant.payload[name]
        if len(named) != 2 or named[1] == 0:
            who = "a tenant" if len(named) == 2 else "a class of recipients"
            note.skipped(name, what, f"it is {who}", Reason.MEMBERSHIP_NOT_SHOWN)
            return
        doubt = self.outsider(name, tick)
        if doubt is None:
            note.passed(name, what, f"{named[0].hex()}, incarnation {named[1]}", tick.boundary)
        else:
            note.failed(name, what, *doubt)

    def outsider(self, name: str, tick: TickEvidence) -> tuple[Reason, str, int | None] | None:
        """Return why the holder or the recipient was no member by a tick, or is not shown to be one, or None.

        Of a tenant or a class nothing is said: their own row tells that.
        """
        named, when = self.grant.payload[name], utc(tick.boundary)
        if len(named) != 2 or named[1] == 0:
            return None
        member = tick.members.get(named[0])
        if member is None:
            return Reason.MEMBERSHIP_NOT_SHOWN, f"tick {when} carries no proof for {named[0].hex()}", None
        if not member.is_member or member.incarnation != named[1]:
            return Reason.NOT_MEMBER, f"{named[0].hex()} as of {when}", tick.boundary
        return None

    def active(self, tick: TickEvidence, shown: dict[str, Any], asked: int) -> None:
        """Ask whether the consent was active at the time asked for."""
        boundary, max_age = tick.boundary, self.trust.max_age
        age = f"the tick is of {utc(boundary)}, asked for {utc(asked)}, {asked - boundary} s later"
        doubt = self.why_not(tick, shown, asked, asked)
        if doubt is not None:
            self.note.failed("active", ACTIVE, doubt[0], doubt[1], doubt[2])
        elif asked - boundary > max_age:
            reason = Reason.TRY_LATER if self.trust.at is None else Reason.OUT_OF_BOUNDS
            self.note.failed("active", ACTIVE, reason, f"{age}; allowed are {max_age} s", boundary)
        else:
            self.note.passed("active", ACTIVE, age, boundary)

    def why_not(self, tick: TickEvidence, shown: dict[str, Any], began: int, at: int) -> tuple[Reason, str, int] | None:
        """Return why the consent by itself does not cover what went from `began` to `at`, by a tick; None: it does."""
        boundary, when = tick.boundary, utc(at)
        consent = tick.consents.get(self.at)
        if consent is None:
            return Reason.NO_POE, f"the tick of {utc(boundary)} does not show the consent", boundary
        begins, end = self.period(tick, shown, at)
        if consent.ended:
            return Reason.REVOKED, f"{consent.state.name} as of {utc(boundary)}, asked for {when}", boundary
        if consent.state is State.INCOMPLETE:
            return Reason.NOT_ACTIVE, f"signatures were still missing as of {utc(boundary)}, asked for {when}", boundary
        if at >= end:
            return Reason.EXPIRED, f"it ended {utc(end)}, asked for {when}", end
        if began < begins:
            return Reason.NOT_ACTIVE, f"it begins {utc(begins)}, asked for {utc(began)}", begins
        return None

    def period(self, tick: TickEvidence, shown: dict[str, Any], asked: int) -> tuple[int, int]:
        """Return when the consent begins and ends by a tick, as far as that is disclosed."""
        told = [each["access_period"] for each in (shown, *self.narrowing(tick)) if "access_period" in each]
        begins = max((begin for begin, _ in told), default=0)
        until = min((end for _, end in told if end is not None), default=asked + 1)
        return begins, min(self.value(tick).until, until)

    def narrowing(self, tick: TickEvidence) -> list[dict[str, Any]]:
        """Return the opened content of the amendments that narrow it by a tick, and its parents."""
        found: list[dict[str, Any]] = []
        line: ConsentAudit | None = self
        while line is not None:
            found += line.amendments(tick)
            line = line.above()
        return found

    def amendments(self, tick: TickEvidence) -> list[dict[str, Any]]:
        """Return the opened content of its own amendments by a tick, as far as they are carried."""
        amended = tick.consents[self.at].amended if self.at in tick.consents else ()
        numbers = self.evidence.numbers
        places = sorted({numbers[ident] for ident in amended if ident in numbers})
        return [self.evidence.contents.get(place, {}) for place in places]

    def row(self, name: str, what: str, doubt: tuple[Reason, str] | None, words: str, time: int | None = None) -> None:
        """Note a check that passes in these words, unless there is a doubt."""
        if doubt is None:
            self.note.passed(name, what, words, time)
        else:
            self.note.failed(name, what, doubt[0], doubt[1])

    def stood(
        self,
        name: str,
        what: str,
        doubt: tuple[Reason, str, int] | None,
        boundary: int,
        words: str = "",
        *,
        told: bool = False,
    ) -> None:
        """Note whether something that the consent rests on stood by a tick. `told`: only say so."""
        as_of = f"as of {utc(boundary)}"
        if doubt is None:
            self.note.passed(name, what, f"{words}, {as_of}" if words else as_of, boundary)
        elif told:
            self.note.passed(name, what, f"{doubt[0].name}: {doubt[1]}", boundary)
        else:
            self.note.failed(name, what, doubt[0], doubt[1], doubt[2])

    def status(self, tick: TickEvidence, asked: int) -> None:
        """Ask what has been since the time asked for, and how fresh that is."""
        note, newest = self.note, self.ticks[-1]
        boundary, consent = newest.boundary, self.value(newest)
        until = consent.until
        self.claims["status"] = {"state": consent.state.name, "as_of": boundary}
        if self.value(tick).ended:
            note.skipped("status", STATUS, f"it had ended by {utc(tick.boundary)} already")
        elif consent.ended:
            self.since("status", STATUS, self.ended(), asked)
        elif boundary >= until:
            note.passed("status", STATUS, f"it ran to its own end, {utc(until)}, and was not withdrawn", boundary)
        elif self.now - boundary > self.trust.max_age:
            words = f"newest tick of {utc(boundary)}, now {utc(self.now)}, allowed are {self.trust.max_age} s"
            note.failed("status", STATUS, Reason.TRY_LATER, words, boundary)
        else:
            note.passed("status", STATUS, f"{self.now - boundary} s ago it stood", boundary)

    def told(self) -> None:
        """Say what the newest tick says, where no time is asked for."""
        newest = self.ticks[-1]
        consent, ended = self.value(newest), self.ended()
        self.claims["status"] = {"state": consent.state.name, "as_of": newest.boundary}
        words = f"{consent.state.name} as of {utc(newest.boundary)}"
        if ended is not None:
            self.claims["ended"] = {"state": ended.state, "not_before": ended.after, "not_after": ended.by}
            words += f"; it ended between {utc(ended.after)} and {utc(ended.by)}"
        self.note.passed("status", "what the newest tick says of the consent", words, newest.boundary)

    def ended(self) -> Ended | None:
        """Return how the consent ended, as far as the newest tick knows; None while it stands."""
        newest, evidence = self.ticks[-1], self.evidence
        consent = self.value(newest)
        if not consent.ended:
            return None
        named = [at for at in evidence.endings(self.grant.id) if evidence.entries[at].id in consent.decided_by]
        return Ended(consent.state.name, *bracket(self, named, len(consent.decided_by) < DECIDED_MAX))

    def since(
        self,
        name: str,
        what: str,
        ended: Ended | None,
        asked: int,
        changed: tuple[Reason, str, int] | None = None,
    ) -> None:
        """Place the end of the consent, or of what it rests on, before, at, or after the time asked for.

        `changed`: why it no longer stands where nothing ended it.
        """
        if changed is not None:
            self.note.failed(name, what, *changed)
            return
        if ended is None:
            self.note.passed(name, what, f"as of {utc(self.ticks[-1].boundary)}", self.ticks[-1].boundary)
            return
        if name == "status":
            self.claims["ended"] = {"state": ended.state, "not_before": ended.after, "not_after": ended.by}
        words = f"{ended.state} between {utc(ended.after)} and {utc(ended.by)}, asked for {utc(asked)}"
        if ended.after > asked:
            self.note.passed_as = Reason.WITHDRAWN_LATER
            self.note.passed(name, "it ended only after the time asked for", words, ended.after)
        elif ended.by < asked - self.trust.max_age:
            self.note.failed(name, what, ended.reason, words, ended.by)
        else:
            self.note.failed(name, what, Reason.CONCURRENT_WITHDRAWAL, words, ended.after)


def bracket(audit: ConsentAudit, named: Sequence[int], complete: bool) -> tuple[int, int]:
    """Return the bracket of an end, by the entries that the newest tick names. `complete`: there are no others."""
    evidence = audit.evidence
    after = min(not_before(evidence, evidence.entries[at]) for at in named) if complete else 0
    bounds = (not_after(evidence, at, audit.trust.policy, audit.stamped) for at in named)
    return after, min((by for by in bounds if by is not None), default=audit.ticks[-1].boundary)


def _shown(name: str, value: Any) -> str:
    """Return a disclosed value of the right shape in a line for people: times as such, the rest by `in_a_line`."""
    if name not in ("data_period", "access_period"):
        return in_a_line(value)
    windows = value if name == "data_period" else [value]
    return ", ".join(f"{utc(start)} to {'its end' if stop is None else utc(stop)}" for start, stop in windows)
