"""The auditor's questions of README.md, each a row, in the order in which their reasons decide.

How it works
    `Auditor.rows` holds (name, reason or None); a row without a reason stands in nobody's way. `Trust` is what she
    brings.

What it does not do
    It words nothing: rows have no evidence and no times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from tests.proofs.second import cbor, standing
from tests.proofs.second.entries import note
from tests.proofs.second.evidence import Evidence
from tests.proofs.second.flows import Transfer, slot
from tests.proofs.second.policy import Quorum
from tests.proofs.second.shapes import DAY, FIELDS, SLOT
from tests.proofs.second.state import Tick, Witness
from tests.proofs.second.within import hull, plain

Stamps = Callable[[bytes, bytes], int | None]
"""(token, SHA-256 that it must cover) -> unix seconds, or None for one that she does not trust."""
AHEAD: Final = 120
ENDED: Final = (3, 4)
DECIDED: Final = 8
FAILED: Final = (
    *("MALFORMED", "WRONG_MESH", "BAD_SIGNATURE", "BAD_INCLUSION", "BAD_STATE_PROOF", "BAD_EPOCH"),
    *("UNREFERENCED_ITEM", "DISCLOSURE_MISMATCH", "TRANSFER_MISMATCH", "REVOKED", "EXPIRED", "NOT_ACTIVE"),
    *("NOT_MEMBER", "AGAINST_POLICY", "BEYOND_CONSENT", "WRONG_AUDIENCE", "NOTHING_LEFT"),
    *("DELEGATION_NOT_YOURS", "DELEGATION_TOO_DEEP", "DELEGATION_WIDER", "DELEGATION_EXPIRED", "DELEGATION_REVOKED"),
    *("PARENT_OTHER", "SHARING_FORBIDDEN", "PARENT_WIDER", "CALL_OTHER", "CALL_WIDER", "CALL_OPEN", "CALL_REFUSED"),
    *("QUORUM_SHORT", "MAJORITY_SHORT", "CRITICAL_MASS_SHORT"),
)
"""The codes that refute; the others that stand in the way leave a doubt."""


@dataclass(frozen=True)
class Trust:
    """What the auditor brings; times in unix seconds. `at` None: now is asked for."""

    genesis: bytes
    quorum: Quorum
    at: int | None
    age: int
    now: int
    epoch: bytes | None = None
    audience: str | None = None
    nonce: bytes | None = None
    stamps: Stamps | None = None


class Auditor:
    """One audit of evidence that stands by itself."""

    def __init__(self, trust: Trust, evidence: Evidence, transfers: list[Transfer]) -> None:
        self.trust, self.evidence, self.transfers = trust, evidence, transfers
        self.rows: list[tuple[str, str | None]] = []
        self.passed = "ACTIVE" if evidence.bundle.selection == "consent" else "SHOWN"
        self.stamped: dict[tuple[int, int], int] = {}
        rules = evidence.genesis.payload["policy"].get("rules")
        own = evidence.genesis.payload["policy"].get("forbidden_purposes", [])
        self.forbidden: list[str] = cbor.read(rules)["forbidden_purposes"] if rules is not None else own
        self._presentation()
        self._stamps()
        sound = self._root()
        sound = self._clock() and sound
        sound = sound and self._witnesses()
        for grant in self._order():
            self._consent(grant, sound)

    def row(self, name: str, reason: str | None = None) -> bool:
        """Add a row; say whether it stands in nobody's way."""
        self.rows.append((name, reason))
        return reason is None

    def _presentation(self) -> None:
        shown, trust = self.evidence.bundle.presentation, self.trust
        if trust.audience is None:
            return
        if shown is None:
            self.row("presentation", "NOT_PRESENTED")
        elif shown[0] != trust.audience or trust.nonce not in (None, shown[1]):
            self.row("presentation", "WRONG_AUDIENCE")

    def _stamps(self) -> None:
        evidence, bundle = self.evidence, self.evidence.bundle
        for what, number, token in bundle.stamps if self.trust.stamps is not None else ():
            covered = [
                lambda at: evidence.ticks[at].digest,
                lambda at: sha256(note(evidence.mesh, bundle.checkpoints[at].head)).digest(),
                lambda at: evidence.entries[at].id,
            ][what](number)
            time = self.trust.stamps(token, covered) if self.trust.stamps is not None else None
            self.row(f"stamp.{what}.{number}", "BAD_SIGNATURE" if time is None else None)
            if time is not None:
                self.stamped[what, number] = time

    def _clock(self) -> bool:
        evidence, bundle = self.evidence, self.evidence.bundle
        times = [self.trust.at or 0, *(tick.boundary for tick in evidence.ticks)]
        times += [time for item in bundle.checkpoints for time in (item.time, *(each.time for each in item.others))]
        times += [entry.iat for entry in evidence.entries]
        times += [each.iat for tick in bundle.ticks for each in tick.attestations]
        times += [step.as_of for step in evidence.chain]
        times += [bundle.presentation[2]] if bundle.presentation is not None else []
        return self.row("clock", "TIME_IN_FUTURE" if max(times) > self.trust.now + AHEAD else None)

    def _root(self) -> bool:
        chain, pinned = self.evidence.chain, self.trust.epoch
        references = [step.reference for step in chain]
        is_bare = bool(chain) and self.evidence.bundle.epochs[0].epoch is not None
        good = pinned in references if pinned is not None else not is_bare
        return self.row("epoch", None if good and not (is_bare and references[0] != pinned) else "EPOCH_NOT_PINNED")

    def _witnesses(self) -> bool:
        evidence, quorum, good = self.evidence, self.trust.quorum, True
        for feed in sorted({evidence.under(at).feed for at in range(evidence.grants)}):
            listed = quorum.takes_log(evidence.mesh, feed, evidence.keyed(feed)[0])
            good = self.row("log", None if listed else "INSUFFICIENT_WITNESSES") and good
        if evidence.ticks and quorum.is_nobody:
            return self.row("witnesses", "NO_POE")
        for tick in evidence.ticks:
            reason = "INSUFFICIENT_WITNESSES" if self._met(tick.witnesses) is None else None
            good = self.row("witnesses", reason) and good
        return good

    def _met(self, witnesses: Iterable[Witness]) -> int | None:
        """Return the first time at which witnesses meet the quorum."""
        return self.trust.quorum.met(self.evidence.mesh, witnesses)

    def _order(self) -> list[int]:
        """Return the grants in the order of their rows."""
        evidence = self.evidence
        if evidence.bundle.selection == "consent":
            return [evidence.main, *standing.above(evidence, evidence.main)]
        return list(range(evidence.grants))

    # One consent

    def _consent(self, at: int, sound: bool) -> None:
        payload = self.evidence.entries[at].payload
        shown = self._content(at)
        paperless = "NO_PAPER" if "transcribed" in payload and "evidence" not in payload else None
        self.row("grant", paperless)
        judged = self.evidence.bundle.selection != "conduct" or any(each.grant == at for each in self.transfers)
        self.rows += standing.structure(self.evidence, at, shown) if judged or shown else []
        if not sound:
            return
        ticks = [tick for tick in self.evidence.ticks if at in tick.grants]
        if self.evidence.bundle.selection == "consent":
            self._at_a_time(at, shown, ticks)
        else:
            self.rows += standing.added(self.evidence, at, shown, ticks[-1], ticks[-1])
            self._rules(at, shown, ticks[-1].boundary)
            self._members(at, ticks[-1])
        before = len(self.rows)
        for transfer in self.transfers:
            if transfer.grant == at:
                self._transfer(at, shown, ticks, transfer)
        if self.evidence.bundle.selection == "conduct":
            self.rows[before:] = [(name, None if why in FAILED else why) for name, why in self.rows[before:]]

    def _content(self, at: int) -> dict[str, Any]:
        slots = self.evidence.entries[at].payload["slots"]
        disclosed = dict(self.evidence.bundle.disclosed).get(at)
        if disclosed is None:
            idle = self.evidence.bundle.selection == "conduct" and all(each.grant != at for each in self.transfers)
            self.row("content", None if idle else "CONTENT_ERASED")
            return {}
        for salt, value, name in disclosed:
            if slot(salt, value, name) != slots[32 * SLOT[name] : 32 * SLOT[name] + 32]:
                self.row("content", "DISCLOSURE_MISMATCH")
                return {}
        shown = {name: value for _, value, name in disclosed}
        if not all(FIELDS[name](value) for name, value in shown.items()):
            self.row("content", "MALFORMED")
            return {}
        core = {"purpose", "pii_type"} | ({"purpose_category"} if self.forbidden or self.evidence.forbidden else set())
        self.row("content", None if core <= shown.keys() else "CONTENT_WITHHELD")
        return shown

    def _at_a_time(self, at: int, shown: dict[str, Any], ticks: list[Tick]) -> None:
        asked = self.trust.at
        if asked is None:
            asked = max(self.trust.now, *(tick.boundary for tick in ticks))
        speaking = [tick for tick in ticks if tick.boundary <= asked]
        self.rows += standing.added(self.evidence, at, shown, (speaking or ticks)[-1], ticks[-1])
        self._rules(at, shown, asked)
        if not speaking:
            self.row("active", "NO_POE")
            return
        self._members(at, speaking[-1])
        late = "TRY_LATER" if self.trust.at is None else "OUT_OF_BOUNDS"
        late_ = late if asked - speaking[-1].boundary > self.trust.age else None
        self.row("active", self.why_not(at, shown, speaking[-1], asked, asked) or late_)
        self.row("status", self._since(at, speaking[-1], ticks[-1], asked))
        self.rows += standing.stood(self, at, speaking[-1], ticks[-1], asked)

    def _rules(self, at: int, shown: dict[str, Any], asked: int) -> None:
        entry, policy = self.evidence.entries[at], self.evidence.genesis.payload["policy"]
        names = {plain(shown[name]) for name in ("purpose", "purpose_category") if name in shown}
        bad = bool(names & {plain(each) for each in self.evidence.forbidden})
        bad = bad or entry.payload["notice"]["dated"] > entry.iat
        bad = bad or entry.payload["valid_until"] > asked + policy["consent_days_max"] * DAY
        self.row("rules", "AGAINST_POLICY" if bad else None)

    def _members(self, at: int, tick: Tick) -> None:
        for name in ("holder", "recipient"):
            party = self.evidence.entries[at].payload[name]
            person = tick.people.get(party[0]) if len(party) == 2 and party[1] else None
            if person is None:
                self.row(name, "MEMBERSHIP_NOT_SHOWN")
            else:
                self.row(name, None if person[:2] == (party[1], True) else "NOT_MEMBER")

    def _outsider(self, at: int, tick: Tick) -> str | None:
        for name in ("holder", "recipient"):
            party = self.evidence.entries[at].payload[name]
            if len(party) == 2 and party[1]:
                person = tick.people.get(party[0])
                if person is None:
                    return "MEMBERSHIP_NOT_SHOWN"
                if person[:2] != (party[1], True):
                    return "NOT_MEMBER"
        return None

    def why_not(self, at: int, shown: dict[str, Any], tick: Tick, asked: int, began: int) -> str | None:
        """Say why the consent by itself does not cover a time by what a tick knew; None where it does."""
        if at not in tick.grants:
            return "NO_POE"
        state, until = tick.grants[at].state, tick.grants[at].until
        told = [each.get("access_period", (0, None)) for each in (shown, *standing.narrowing(self.evidence, at, tick))]
        begins, ends = max(one for one, _ in told), min((end for _, end in told if end is not None), default=None)
        if state in ENDED:
            return "REVOKED"
        if state == 2:
            return "NOT_ACTIVE"
        if asked >= until or (ends is not None and asked >= ends):
            return "EXPIRED"
        if began < begins:
            return "NOT_ACTIVE"
        return None

    def _since(self, at: int, speaking: Tick, newest: Tick, asked: int) -> str | None:
        until = newest.grants[at].until
        if speaking.grants[at][0] in ENDED:
            return None
        if newest.grants[at][0] not in ENDED:
            fresh = newest.boundary >= until or self.trust.now - newest.boundary <= self.trust.age
            return None if fresh else "TRY_LATER"
        return self.placed((*self.end(at, newest), "REVOKED"), asked)

    def placed(self, end: standing.End, asked: int) -> str | None:
        """Place an end before, beside or after the time asked for."""
        after, by, code = end
        if after > asked:
            self.passed = "WITHDRAWN_LATER"
            return None
        return code if by < asked - self.trust.age else "CONCURRENT_WITHDRAWAL"

    # Times

    def end(self, at: int, newest: Tick) -> tuple[int, int]:
        """Return the bracket of the end of a consent, as the newest tick names it."""
        return self.bracket(newest.grants[at].decided, newest)

    def bracket(self, decided: list[bytes], newest: Tick, *, complete: bool = False) -> tuple[int, int]:
        """Return the bracket of an end by the entries that decided; of eight, there may be others."""
        evidence = self.evidence
        ends = [place for place in evidence.ends if evidence.entries[place].id in decided]
        after = min(self._lower(place) for place in ends) if complete or len(decided) < DECIDED else 0
        uppers = [time for place in ends if (time := self._upper(place)) is not None]
        return after, min(uppers, default=newest.boundary)

    def _lower(self, at: int) -> int:
        evidence, entry = self.evidence, self.evidence.entries[at]
        times = [entry.iat]
        for head in entry.seen:
            item = next((item for item in evidence.bundle.checkpoints if item.head == head), None)
            if item is not None:
                times.append(min(item.time, *(each.time for each in item.others), item.time))
                continue
            sizes = [(tick.boundary, tick.frontier.get(head[0], head)[1]) for tick in evidence.ticks]
            absent = [tick.boundary for tick in evidence.ticks if head[0] not in tick.frontier and head[1]]
            shorter = [boundary for boundary, size in sizes if size < head[1]] + absent
            times.append(max(shorter) + 1 if shorter else 0)
        return min(times)

    def _upper(self, at: int) -> int | None:
        evidence, number = self.evidence, self.evidence.bundle.entries[at].under
        head = evidence.under(at).head
        times = [self.stamped.get((2, at)), self.stamped.get((1, number)), self._met(evidence.cosigners[head])]
        for nth, tick in enumerate(evidence.ticks):
            if tick.holds(head):
                times += [self._met(tick.witnesses), self.stamped.get((0, nth))]
        return min((time for time in times if time is not None), default=None)

    # Transfers

    def _transfer(self, at: int, shown: dict[str, Any], ticks: list[Tick], transfer: Transfer) -> None:
        sent = transfer.sent
        if sent is None:
            self.row("transfer", "CONTENT_WITHHELD")
        else:
            self.row("transfer", self._covered(at, shown, ticks, transfer, sent))
            before = [tick for tick in ticks if tick.boundary <= sent[11]]
            named = [tick for tick in before if tick.digest == transfer.frontier]
            narrowing = standing.narrowing(self.evidence, at, (named or before)[-1]) if before else []
            hulls = [hull(each["data_period"]) for each in (shown, *narrowing) if "data_period" in each]
            if "data_period" in shown and sent[7]:
                inside = max(one for one, _ in hulls) <= sent[9][0] <= sent[9][1] <= min(one for _, one in hulls)
                self.row("transfer.window", None if inside else "BEYOND_CONSENT")
        if transfer.ack is None:
            self.row("transfer.ack", "NOT_ACKNOWLEDGED")
        elif sent is not None and transfer.received is not None:
            self.row("transfer.ack", None if sent[6:10] == transfer.received[6:10] else "ACCOUNTS_DIFFER")

    def _covered(
        self, at: int, shown: dict[str, Any], ticks: list[Tick], transfer: Transfer, sent: list[Any]
    ) -> str | None:
        began, ended = min(sent[10:12]), sent[11]
        before = [tick for tick in ticks if tick.boundary <= ended]
        named = [tick for tick in before if tick.digest == transfer.frontier]
        if not before:
            return "NO_POE"
        tick = (named or before)[-1]
        why = self.why_not(at, shown, tick, ended, began)
        if why is None and ended - tick.boundary > self.trust.age:
            why = "OUT_OF_BOUNDS"
        if why is None and ended > self.trust.now + AHEAD:
            why = "TIME_IN_FUTURE"
        why = why or self._outsider(at, tick) or standing.doubt(self, at, tick, began, ended)
        if why is not None:
            return why
        upper = self._upper(transfer.receipt)
        for after, by, code in standing.ends(self, at, ticks[-1]):
            if by < ended - self.trust.age:
                return code
            if upper is None or after <= upper:
                return "CONCURRENT_WITHDRAWAL"
        return None
