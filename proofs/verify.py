"""The verifier: a bundle, what the auditor trusts, and a clock; the answer is a report (ledger.md §7).

How it works
    First the evidence is checked for itself, step by step (evidence); a step that fails refuses the bundle, and
    what comes after it is not looked at. Then come the questions that need the auditor: do the witnesses meet her
    quorum, what was consented to, who were the parties, was the consent active at time T, has it ended since.
      T: the time asked for, or now. Of the ticks, the newest not after T speaks for T, for at most `max_age`.
      An end of the consent that this tick does not know yet is *later* if its lower bound lies above T. The bound
      is the smaller of its `iat` and the time of each head it names as seen: that of the head's checkpoint where it
      is carried, else the boundary of the newest tick in whose frontier the feed was still shorter.
      The newest tick must be at most `max_age` old, or lie behind the consent's own end.
    Every question leaves a row, and the verdict follows from the rows (report).

What it does not do
    It opens no file or socket, and takes nothing from the bundle on trust: not the genesis, not a key, not a time.
    No argument skips a check. Transfers under the consent are not part of version 1: the row says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from ledger.checkpoint import origin
from ledger.consent import disclosure
from ledger.consent.disclosure import Disclosures
from ledger.consent.grant import plain
from ledger.consent.record import FIELDS
from ledger.consent.status import DECIDED_MAX, State
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import AHEAD_SECONDS_MAX
from ledger.keys import did_key
from ledger.kinds import DAY
from proofs.brackets import not_before
from proofs.bundle import Bundle
from proofs.evidence import Evidence, TickEvidence
from proofs.policy import LogPolicy, Policy, Witness, earliest
from proofs.report import Check, Level, Outcome, Reason, Report, utc
from proofs.state import Refused
from proofs.values import in_a_line, party, plain_value

CORE_FIELDS: Final = ("purpose", "pii_type")
"""What must be disclosed for the content of a consent to be shown: what for, and which data."""

_STEPS: Final = {
    "container": "the file is one well-formed bundle within its limits",
    "mesh": "the genesis is the pinned one",
    "entries": "every entry is well formed and signed, in this mesh",
    "keys": "every device key is certified by its member's root key",
    "checkpoints": "every checkpoint is signed by its feed's device",
    "inclusion": "every entry stands in its feed under a checkpoint",
    "state": "maps, frontiers and attestations of each tick bind one another",
    "references": "every item of the bundle serves a check",
}
_CLOCK: Final = "no time in the bundle lies ahead of the clock"
_LOG: Final = "the feed that holds the grant is one you accept"
_GRANT: Final = "the person consented: her own key signed the grant"
_CONTENT: Final = "what, for what, how long: the disclosed values are those she signed"
_RULES: Final = "the mesh's founding policy allows such a consent"
_ACTIVE: Final = "the consent was active at the time asked for, as the witnesses knew it"
_STATUS: Final = "the consent has not ended since"
_TRANSFERS: Final = "transfers made under the consent"


@dataclass(frozen=True, slots=True)
class Trust:
    """What the auditor brings: the genesis hash, her quorum, the time T asked for (None: now), the age Δ allowed.

    Times in unix seconds, `max_age` in seconds. Raises LocalError BAD_TRUST.
    """

    genesis: bytes
    policy: Policy
    at: int | None
    max_age: int

    def __post_init__(self) -> None:
        """Refuse inputs that could never be met."""
        if len(self.genesis) != 32 or self.max_age < 0 or (self.at is not None and self.at < 0):
            raise LocalError("BAD_TRUST", "pin a genesis hash of 32 bytes; times and ages are not negative")


def verify(bundle: bytes, trust: Trust, now: int) -> Report:
    """Verify a `.mailleproof` file offline. `now`: unix seconds. Bad input never raises: the report says what it is."""
    audit = _Audit(trust, now)
    facts: dict[str, Any] = {"bytes": len(bundle), "sha256": sha256(bundle).hexdigest()}
    evidence = audit.examine(bundle)
    if evidence is not None:
        audit.judge(evidence)
    echoed = {
        "genesis": trust.genesis.hex(),
        "policy": trust.policy.words(),
        "at": trust.at,
        "max_age_seconds": trust.max_age,
        "now": now,
    }
    return Report(echoed, facts, tuple(audit.rows), audit.passed_as, audit.level, audit.claims)


@dataclass(slots=True)
class _Audit:
    """One verification: the rows so far."""

    trust: Trust
    now: int
    rows: list[Check] = field(default_factory=list)
    passed_as: Reason = Reason.ACTIVE
    level: Level | None = None
    claims: dict[str, Any] = field(default_factory=dict)

    def passed(self, name: str, what: str, evidence: str = "", time: int | None = None) -> None:
        self.rows.append(Check(name, Outcome.PASSED, what, evidence, time))

    def failed(self, name: str, what: str, reason: Reason, evidence: str, time: int | None = None) -> None:
        self.rows.append(Check(name, Outcome.FAILED, what, evidence, time, reason))

    def skipped(self, name: str, what: str, evidence: str = "", reason: Reason | None = None) -> None:
        self.rows.append(Check(name, Outcome.NOT_LOOKED, what, evidence, None, reason))

    # The evidence by itself

    def examine(self, data: bytes) -> Evidence | None:
        """Run the steps of `_STEPS`; None when one of them refuses the bundle."""
        names = list(_STEPS)
        try:
            evidence = Evidence(Bundle.decode(data))
        except RemoteError as error:
            reason = Reason.UNREFERENCED_ITEM if error.code == "BUNDLE_UNREFERENCED" else Reason.MALFORMED
            self._refused(names, Refused(reason, str(error)))
            return None
        self.passed("container", _STEPS["container"])
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("mesh", lambda: evidence.check_mesh(self.trust.genesis)),
            ("entries", evidence.check_entries),
            ("keys", evidence.check_keys),
            ("checkpoints", evidence.check_checkpoints),
            ("inclusion", evidence.check_inclusion),
            ("state", evidence.check_state),
            ("references", evidence.check_references),
        )
        for name, step in steps:
            try:
                step()
            except Refused as refused:
                self._refused(names[names.index(name) :], refused)
                return None
            self.passed(name, _STEPS[name])
        return evidence

    def _refused(self, names: list[str], refused: Refused) -> None:
        self.failed(names[0], _STEPS[names[0]], refused.reason, refused.message)
        for name in names[1:]:
            self.skipped(name, _STEPS[name])

    # What needs the auditor

    def judge(self, evidence: Evidence) -> None:
        """Ask the questions of ledger.md §7, a to f."""
        grant = evidence.grant
        self._claim(evidence)
        shown = self._content(evidence)
        self._signature(grant)
        if not self._clock(evidence) or not self._witnesses(evidence):
            for name, what in (("holder", ""), ("recipient", ""), ("active", _ACTIVE), ("status", _STATUS)):
                self.skipped(name, what or f"the {name} was a member", "the state is not attested well enough")
        else:
            asked = self.trust.at
            if asked is None:
                asked = max(self.now, *(tick.boundary for tick in evidence.ticks))
            self.claims["asked_at"] = asked
            self._times(evidence, shown, asked)
        self.skipped("transfers", _TRANSFERS, "not part of this bundle")

    def _claim(self, evidence: Evidence) -> None:
        grant, payload = evidence.grant, evidence.grant.payload
        self.claims.update(
            mesh={"id": evidence.genesis.mesh_id.hex(), "name": evidence.genesis.name},
            grant=grant.id.hex(),
            record_id=grant.thing[1].hex(),
            principal=did_key(grant.signer),
            holder=party(payload["holder"]),
            recipient=party(payload["recipient"]),
            granted_at=grant.iat,
            valid_until=payload["valid_until"],
            notice_sha256=payload["notice"]["sha256"].hex(),
            ticks=[
                {
                    "boundary": tick.boundary,
                    "frontier": tick.digest.hex(),
                    "state_root": tick.root.hex(),
                    "witnesses": sorted({witness.member.hex() for witness in tick.witnesses}),
                }
                for tick in evidence.ticks
            ],
        )

    def _signature(self, grant: Entry) -> None:
        for name in ("delegation", "parent"):
            if name in grant.payload:
                words = f"it names a {name}, which this version cannot follow"
                self.failed("grant", _GRANT, Reason.UNSUPPORTED, words)
                return
        self.level = Level.SELF
        self.passed("grant", _GRANT, f"level S, entry {grant.id.hex()}", grant.iat)

    def _content(self, evidence: Evidence) -> dict[str, Any]:
        """Hold the disclosures to the grant; return the values shown."""
        grant, disclosed = evidence.grant, evidence.bundle.disclosures
        if disclosed is None:
            words = "no disclosure is left in the bundle"
            self.rows.append(Check("content", Outcome.ERASED, _CONTENT, words, None, Reason.CONTENT_ERASED))
            return {}
        try:
            disclosure.check(
                Disclosures({name: (salt, shown) for salt, shown, name in disclosed}), grant.payload["slots"]
            )
        except RemoteError as error:
            self.failed("content", _CONTENT, Reason.DISCLOSURE_MISMATCH, str(error))
            return {}
        values = {name: shown for _, shown, name in disclosed}
        wrong = [name for name, shown in values.items() if not FIELDS[name].shape.ok(shown)]
        forbidden = evidence.genesis.policy.forbidden_purposes
        core = (*CORE_FIELDS, "purpose_category") if forbidden else CORE_FIELDS
        missing = [name for name in core if name not in values]
        if wrong:
            self.failed("content", _CONTENT, Reason.MALFORMED, f"out of shape: {', '.join(wrong)}")
        elif missing:
            self.skipped("content", _CONTENT, f"withheld: {', '.join(missing)}", Reason.CONTENT_WITHHELD)
        else:
            self.passed("content", _CONTENT, f"{len(values)} of {len(FIELDS)} fields are disclosed")
        for name in FIELDS:
            if name in values:
                self.passed(f"content.{name}", "this value is the one she signed", in_a_line(values[name]))
            else:
                self.skipped(f"content.{name}", "this value is the one she signed", "withheld")
        self.claims["disclosed"] = {name: plain_value(value) for name, value in values.items()}
        self.claims["withheld"] = [name for name in FIELDS if name not in values]
        return {} if wrong else values

    def _clock(self, evidence: Evidence) -> bool:
        limit = self.now + AHEAD_SECONDS_MAX
        times = [tick.boundary for tick in evidence.ticks]
        times += [item.time for item in evidence.bundle.checkpoints]
        times += [entry.iat for entry in evidence.entries]
        newest = max(*times, self.trust.at or 0)
        if newest > limit:
            words = f"{utc(newest)} is ahead of the clock, {utc(self.now)}"
            self.failed("clock", _CLOCK, Reason.TIME_IN_FUTURE, words, newest)
            return False
        self.passed("clock", _CLOCK, f"the newest is {utc(newest)}", newest)
        return True

    def _witnesses(self, evidence: Evidence) -> bool:
        """Ask the policy about each tick, and about the feed of the grant."""
        met = True
        mesh_id, policy = evidence.genesis.mesh_id, self.trust.policy
        feed = evidence.checkpoint_of(0).head.feed
        if policy.listed(origin(mesh_id, feed), evidence.certificate(feed).payload["device"]):
            self.passed("log", _LOG, f"feed {feed.hex()}")
        else:
            self.failed("log", _LOG, Reason.INSUFFICIENT_WITNESSES, f"the policy does not list feed {feed.hex()}")
            met = False
        if isinstance(policy, LogPolicy) and policy.quorum == b"none":
            what = "someone you trust attested the state"
            self.failed("witnesses.1", what, Reason.NO_POE, "the policy asks for no witness, so nothing vouches for it")
            return False
        for number, tick in enumerate(evidence.ticks, 1):
            counted = self._counted(tick)
            what = f"your quorum attested the tick of {utc(tick.boundary)}"
            told = f"{len(counted)} witness(es) of {len({w.member for w in counted})} member(s); {policy.words()}"
            time = earliest(policy, counted, mesh_id)
            if time is None:
                self.failed(f"witnesses.{number}", what, Reason.INSUFFICIENT_WITNESSES, told)
                met = False
            else:
                self.passed(f"witnesses.{number}", what, told, time)
        return met

    def _counted(self, tick: TickEvidence) -> frozenset[Witness]:
        """Return who may count: listed keys speak for themselves, mere members must descend from the genesis."""
        return tick.witnesses if isinstance(self.trust.policy, LogPolicy) else tick.rooted

    def _times(self, evidence: Evidence, shown: dict[str, Any], asked: int) -> None:
        """Ask what was so at the time asked for, and what has been since."""
        speaking = [tick for tick in evidence.ticks if tick.boundary <= asked]
        self._rules(evidence, shown, asked)
        if not speaking:
            first = evidence.ticks[0].boundary
            words = f"asked for {utc(asked)}, the first tick is of {utc(first)}"
            for name in ("holder", "recipient"):
                self.skipped(name, f"the {name} was a member", words)
            self.failed("active", _ACTIVE, Reason.NO_POE, words, first)
            self.skipped("status", _STATUS, words)
            return
        tick = speaking[-1]
        for name in ("holder", "recipient"):
            self._member(name, evidence.grant.payload[name], tick)
        self._active(evidence, tick, shown, asked)
        self._status(evidence, tick, asked)

    def _rules(self, evidence: Evidence, shown: dict[str, Any], asked: int) -> None:
        payload, policy = evidence.grant.payload, evidence.genesis.policy
        names = {plain(shown[name]) for name in ("purpose", "purpose_category") if name in shown}
        words = ""
        if names & {plain(purpose) for purpose in policy.forbidden_purposes}:
            words = "its purpose is one the policy forbids"
        elif payload["notice"]["dated"] > evidence.grant.iat:
            words = f"its notice is of {utc(payload['notice']['dated'])}, after the grant of {utc(evidence.grant.iat)}"
        elif payload["valid_until"] > asked + policy.consent_days_max * DAY:
            words = (
                f"it ends {utc(payload['valid_until'])}, more than {policy.consent_days_max} days after {utc(asked)}"
            )
        if words:
            self.failed("rules", _RULES, Reason.AGAINST_POLICY, words)
        else:
            self.passed("rules", _RULES)

    def _member(self, name: str, party: list[Any], tick: TickEvidence) -> None:
        what = f"the {name} was a member"
        if len(party) != 2 or party[1] == 0:
            who = "a tenant" if len(party) == 2 else "a class of recipients"
            self.skipped(name, what, f"it is {who}", Reason.MEMBERSHIP_NOT_SHOWN)
            return
        member = tick.members.get(party[0])
        if member is None:
            words = f"tick {utc(tick.boundary)} carries no proof for {party[0].hex()}"
            self.failed(name, what, Reason.MEMBERSHIP_NOT_SHOWN, words)
        elif not member.is_member or member.incarnation != party[1]:
            self.failed(name, what, Reason.NOT_MEMBER, f"{party[0].hex()} as of {utc(tick.boundary)}", tick.boundary)
        else:
            self.passed(name, what, f"{party[0].hex()}, incarnation {party[1]}", tick.boundary)

    def _active(self, evidence: Evidence, tick: TickEvidence, shown: dict[str, Any], asked: int) -> None:
        boundary, max_age = tick.boundary, self.trust.max_age
        begins, until = shown.get("access_period", (0, None))
        end = min(evidence.grant.payload["valid_until"], until if until is not None else asked + 1)
        age = f"the tick is of {utc(boundary)}, asked for {utc(asked)}, {asked - boundary} s later"

        def failed(reason: Reason, words: str, time: int = boundary) -> None:
            self.failed("active", _ACTIVE, reason, words, time)

        if tick.consent.ended:
            failed(Reason.REVOKED, f"{tick.consent.state.name} as of {utc(boundary)}, asked for {utc(asked)}")
        elif tick.consent.state is State.INCOMPLETE:
            failed(Reason.NOT_ACTIVE, f"signatures were still missing as of {utc(boundary)}")
        elif asked >= end:
            failed(Reason.EXPIRED, f"it ended {utc(end)}, asked for {utc(asked)}", end)
        elif asked < begins:
            failed(Reason.NOT_ACTIVE, f"it begins {utc(begins)}, asked for {utc(asked)}", begins)
        elif asked - boundary > max_age:
            reason = Reason.TRY_LATER if self.trust.at is None else Reason.OUT_OF_BOUNDS
            failed(reason, f"{age}; allowed are {max_age} s")
        else:
            self.passed("active", _ACTIVE, age, boundary)

    def _status(self, evidence: Evidence, tick: TickEvidence, asked: int) -> None:
        newest, until = evidence.ticks[-1], evidence.grant.payload["valid_until"]
        boundary = newest.boundary
        self.claims["status"] = {"state": newest.consent.state.name, "as_of": boundary}
        if tick.consent.ended:
            self.skipped("status", _STATUS, f"it had ended by {utc(tick.boundary)} already")
        elif newest.consent.ended:
            self._ended_since(evidence, newest, asked)
        elif boundary >= until:
            self.passed("status", _STATUS, f"it ran to its own end, {utc(until)}, and was not withdrawn", boundary)
        elif self.now - boundary > self.trust.max_age:
            words = f"newest tick of {utc(boundary)}, now {utc(self.now)}, allowed are {self.trust.max_age} s"
            self.failed("status", _STATUS, Reason.TRY_LATER, words, boundary)
        else:
            self.passed("status", _STATUS, f"{self.now - boundary} s ago it stood", boundary)

    def _ended_since(self, evidence: Evidence, newest: TickEvidence, asked: int) -> None:
        """Place the end of the consent before, at, or after the time asked for."""
        named = [entry for entry in evidence.endings if entry.id in newest.consent.decided_by]
        complete = len(newest.consent.decided_by) < DECIDED_MAX  # else there may be more, and earlier ones
        after = min(not_before(evidence, entry) for entry in named) if complete else 0
        by = earliest(self.trust.policy, self._counted(newest), evidence.genesis.mesh_id) or newest.boundary
        state = newest.consent.state.name
        self.claims["ended"] = {"state": state, "not_before": after, "not_after": by}
        words = f"{state} between {utc(after)} and {utc(by)}, asked for {utc(asked)}"
        if after > asked:
            self.passed_as = Reason.WITHDRAWN_LATER
            self.passed("status", "the consent ended only after the time asked for", words, after)
        else:
            self.failed("status", _STATUS, Reason.CONCURRENT_WITHDRAWAL, words, after)
