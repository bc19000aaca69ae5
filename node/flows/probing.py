"""Conformance probes: this node asks another for data, with and without consent, and states what it answered (R42).

How it works
    A probe is a request like any other (wire.Ask), so its holder cannot tell. Without consent it asks in one of these
    ways:
      ended      under a grant to us that was withdrawn, revoked, or has run out;
      recipient  under somebody else's grant;
      kind       under a grant to us, for another kind of data;
      imagined   under an id that no entry can have.
    With consent it is an ordinary request, and what comes is received as ever. The holder's answer is signed
    (`answers`); the result, with the answer as evidence, becomes an entry of the ledger (probe.result). The vault is
    durable before the ledger is: a result that a crash or a full disk kept from the ledger is stated again
    (`state_again`).

    What is served without consent is looked at once, to verify the signature, and dropped with the message: only the
    kinds of data are kept, in words, and the salt. We answer as a recipient whose own gate refuses.

    When `a_day` is not 0, a member that is connected is probed without consent now and then, at random.

What it does not do
    It expels nobody, and blames nobody without evidence: "silent" says that no answer came over an open channel.
    A result of a probe with consent holds no evidence when data came: the ledger would tell of a transfer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ledger.consent.answer import NONCE_BYTES, After, Challenge, Evidence, NoGrant
from ledger.consent.fault import endings
from ledger.consent.record import DataKind
from ledger.consent.status import State
from ledger.errors import LocalError, RemoteError
from ledger.governance.members import Party
from ledger.rows import prefix_stop
from ledger.schema import DAY
from ledger.tables import CONSENT
from node.flows.answers import UNSIGNED, refused, served
from node.flows.contents import kinds_in, read_pack
from node.flows.disclosing import parties_of
from node.flows.door import Door, parties_at
from node.flows.receiving import Receiving
from node.flows.wire import Ask, Chunk, Refuse, encode
from node.vaults.consents import ConsentRows
from node.vaults.probes import KEPT_DAYS, Probe, ProbeRows
from node.vaults.transfers import STOPPED, TRANSFER_BYTES, Tally, Wanted, chained

if TYPE_CHECKING:
    from node.core import Turn

CONSENTED: Final = "consented"
WAYS: Final = ("ended", "recipient", "kind", "imagined")
"""How one asks without consent."""
SERVED, REFUSED, SILENT, AWAY = "served", "refused", "silent", "away"
WAIT_SECONDS: Final = 60
"""After so long without an answer a member is silent."""
OPEN_MAX: Final = 16
"""Probes that wait for an answer at once."""
DAY_MAX: Final = 200
"""Probes in a day: each is an entry that every member keeps."""
LOOKED_MAX: Final = 2_000
"""Rows of the ledger's index that are looked at for a grant of somebody else's."""
PROBE_ID_BYTES: Final = 16
TIMER: Final = "data:probes"
TIMER_NEXT: Final = "data:probe-next"
_KINDS: Final = ("load_curve", "daily", "index", "max_power")

Target = tuple[Wanted, bytes, Challenge | None]
"""What to ask for, as which transfer, and the challenge that is in it."""


class Probing:
    """See the module. One for each mesh. `a_day`: probes that are made by themselves in a day, on average."""

    def __init__(
        self, door: Door, consents: ConsentRows, receiving: Receiving, chooser: random.Random, a_day: int = 0
    ) -> None:
        self.rows = ProbeRows()
        self._door, self._consents, self._receiving = door, consents, receiving
        self._chooser, self.a_day, self._next_ms = chooser, a_day, 0

    # Asking

    def ask(self, turn: Turn, member: Party, way: str = "", wait: int = WAIT_SECONDS) -> Probe:
        """Ask a member for data without consent, in one way, or ("") in any that there is; `wait`: seconds.

        Raises LocalError MEMBER_AWAY, TOO_MANY_PROBES, NOTHING_TO_PROBE (no grant for this way), PROBE_SELF.
        """
        peer = self._peer(turn, member)
        ways = [way] if way else self._chooser.sample(WAYS, len(WAYS))
        for chosen in ways:
            target = next(self._targets(turn, member, peer, chosen), None)
            if target is not None:
                wanted, transfer, challenge = target
                probe = self._begin(turn, member, peer, chosen, wanted, transfer, challenge, wait)
                turn.send(peer, encode(Ask(transfer, wanted)))
                return probe
        told = "there is no grant on the ledger that this member could be asked under in this way; choose another way"
        raise LocalError("NOTHING_TO_PROBE", told, field="way")

    def ask_consented(self, turn: Turn, member: Party, grant: bytes, wait: int = WAIT_SECONDS) -> Probe:
        """Ask a member for what a grant to us allows. Raises LocalError as `ask` does, NOT_A_PARTY, TOO_MANY_ASKS."""
        peer = self._peer(turn, member)
        parties, members = self._parties(turn, grant), turn.core.replica.members
        if parties is None or parties[0] not in parties_at(member, members):
            raise LocalError("NOT_A_PARTY", "this is no consent to that member's data", field="consented")
        if parties[1] not in parties_at(turn.core.party, members):
            raise LocalError("NOT_A_PARTY", "this is no consent to this node", field="consented")
        wanted = Wanted(*parties, grant)
        transfer = self._receiving.ask(turn, wanted)
        return self._begin(turn, member, peer, CONSENTED, wanted, transfer, None, wait)

    def _begin(
        self,
        turn: Turn,
        member: Party,
        peer: bytes,
        way: str,
        wanted: Wanted,
        transfer: bytes,
        challenge: Challenge | None,
        wait: int,
    ) -> Probe:
        name = turn.core.random_bytes(PROBE_ID_BYTES)
        probe = Probe(name, transfer, member, peer, way, wanted, challenge, turn.now, turn.now + wait)
        self.rows.put(turn.vault, probe)
        self.plan(turn)
        return probe

    def _peer(self, turn: Turn, member: Party) -> bytes:
        """Return the connected device to ask, if anything may be asked now."""
        if member == turn.core.party:
            raise LocalError("PROBE_SELF", "a node does not probe itself; name another member", field="member")
        recent = sum(probe.created > turn.now - DAY for probe in self.rows.listing(turn.vault))
        if recent >= DAY_MAX or len(self.rows.open(turn.vault)) >= OPEN_MAX:
            told = f"at most {OPEN_MAX} probes wait at once, and {DAY_MAX} are made in a day; let some time pass"
            raise LocalError("TOO_MANY_PROBES", told)
        members = turn.core.replica.members
        found = [kid for kid in turn.core.member_peers if members.party_of(kid) == member and members.speaks(kid)]
        if not found:
            raise LocalError("MEMBER_AWAY", "this member is not connected now; nothing could be learned from silence")
        return found[0]

    # What to ask for

    def _targets(self, turn: Turn, member: Party, peer: bytes, way: str) -> Iterator[Target]:
        """Yield requests without consent, of one kind, that can be made of a member now."""
        match way:
            case "imagined":
                imagined = NoGrant(turn.core.random_bytes(NONCE_BYTES))
                wanted = Wanted(member, turn.core.party, imagined.grant())
                yield wanted, turn.core.random_bytes(TRANSFER_BYTES), imagined
            case "recipient":
                yield from self._others(turn, member)
            case "ended":
                for holder, grant in self._ours(turn, member):
                    yield from self._ended(turn, holder, grant, peer)
            case "kind":
                for holder, grant in self._ours(turn, member):
                    yield from self._other_kind(turn, holder, grant)
            case _:
                raise LocalError("USAGE", f"there are the ways {', '.join(WAYS)}", field="way")

    def _ours(self, turn: Turn, member: Party) -> Iterator[tuple[Party, bytes]]:
        """Yield the grants to us, newest first, from a member's data or from those of its tenants."""
        for holder in parties_at(member, turn.core.replica.members):
            for grant in reversed(self._consents.between(turn.vault, holder, turn.core.party)):
                yield holder, grant

    def _ended(self, turn: Turn, holder: Party, grant: bytes, peer: bytes) -> Iterator[Target]:
        """Yield a request under a grant that has ended, if its holder has signed that it knows."""
        replica, own = turn.core.replica, turn.core.party
        entry, head = self._door.grant_entry(turn, grant), replica.signed_head(peer)
        if entry is None or head is None:
            return
        wanted = Wanted(holder, own, grant)
        ends, told = endings(replica, turn.rows, entry, peer)
        for ended in sorted(ends):
            if ended in told and told[ended] < head.size:
                after = After(turn.core.random_bytes(NONCE_BYTES), ended, peer, head)
                yield wanted, after.transfer(), after
        if not ends and entry.payload["valid_until"] <= turn.now:
            yield wanted, turn.core.random_bytes(TRANSFER_BYTES), None

    def _other_kind(self, turn: Turn, holder: Party, grant: bytes) -> Iterator[Target]:
        status, row = turn.core.replica.consent(turn.rows, grant), self._consents.get(turn.vault, grant)
        granted = row.disclosures.terms().pii_type if row is not None else None
        if status is None or status.state is not State.GRANTED or granted is None:
            return
        kind = self._chooser.choice([kind for kind in _KINDS if kind != granted.kind])
        wanted = Wanted(holder, turn.core.party, grant, kind=DataKind(granted.energy, granted.direction, kind))
        yield wanted, turn.core.random_bytes(TRANSFER_BYTES), None

    def _others(self, turn: Turn, member: Party) -> Iterator[Target]:
        """Yield requests under grants of a member's data to others, from a random place of the ledger on."""
        replica = turn.core.replica
        holders, own = parties_at(member, replica.members), parties_at(turn.core.party, replica.members)
        start = CONSENT + turn.core.random_bytes(32)
        spans = ((start, prefix_stop(CONSENT)), (CONSENT, start))
        grants = dict.fromkeys(
            key[1:33] for low, high in spans for key, _ in turn.rows.scan("things", low, high, limit=LOOKED_MAX)
        )
        for grant in grants:
            parties = self._parties(turn, grant)
            if parties is not None and parties[0] in holders and parties[1] not in own:
                wanted = Wanted(parties[0], turn.core.party, grant)
                yield wanted, turn.core.random_bytes(TRANSFER_BYTES), None

    def _parties(self, turn: Turn, grant: bytes) -> tuple[Party, Party] | None:
        """Return the holder and the recipient of a grant on the ledger; None without one, and for classes."""
        entry = self._door.grant_entry(turn, grant)
        holder, recipient = parties_of(entry) if entry is not None else (None, None)
        return None if holder is None or recipient is None else (holder, recipient)

    # Answers

    def chunk(self, turn: Turn, peer: bytes, chunk: Chunk) -> bool:
        """Take what was served without consent as evidence, and drop it. False: this transfer is no such probe."""
        probe = self.rows.get(turn.vault, chunk.transfer)
        if probe is None or probe.way == CONSENTED:
            return False
        if peer == probe.peer and not probe.outcome and chunk.number == 0:
            evidence, kinds = self._served(turn, probe, chunk)
            probe = replace(probe, salt=chunk.salt, kinds=tuple(kinds))
            self._state(turn, probe, SERVED, "" if evidence is not None else UNSIGNED, evidence)
        reason = self._door.judge(turn, probe.wanted).decision.reason.value
        nothing = Tally.begin(chunk.transfer)
        turn.send(peer, encode(Refuse(chunk.transfer, reason, True, 0, nothing.chain)))
        return True

    def _served(self, turn: Turn, probe: Probe, chunk: Chunk) -> tuple[Evidence | None, list[str]]:
        try:
            kinds = kinds_in(read_pack(chunk.pack))
            content = (chained(Tally.begin(chunk.transfer).chain, chunk.pack), kinds)
            return served(turn, probe.peer, probe.wanted, chunk, content, probe.challenge), kinds
        except RemoteError as error:
            turn.note("PROBE_UNSIGNED", probe=probe.probe.hex(), code=error.code)
            return None, []

    def refused(self, turn: Turn, peer: bytes, refuse: Refuse) -> bool:
        """Take a refusal as evidence. False: nobody else waits for it, or the transfer is no probe."""
        probe = self.rows.get(turn.vault, refuse.transfer)
        if probe is None:
            return False
        if peer == probe.peer and not probe.outcome and refuse.final:
            try:
                evidence = refused(turn, peer, probe.wanted, refuse, probe.challenge)
            except RemoteError as error:
                turn.note("PROBE_UNSIGNED", probe=probe.probe.hex(), code=error.code)
                evidence = None
            self._state(turn, probe, REFUSED, refuse.code, evidence)
        return probe.way != CONSENTED

    def look(self, turn: Turn, transfer: bytes) -> None:
        """See whether a request with consent has been served, after something came of it."""
        probe = self.rows.get(turn.vault, transfer)
        if probe is None or probe.outcome or probe.way != CONSENTED:
            return
        row = self._receiving.row(turn, transfer)
        if row is not None and row.tally.packs:
            self._state(turn, probe, SERVED, "", None)
        elif row is not None and row.state == STOPPED:
            self._state(turn, probe, SERVED, row.reason, None)  # our own gate, or its signature, refused the packs

    def _state(self, turn: Turn, probe: Probe, outcome: str, code: str, evidence: Evidence | None) -> None:
        """State the result of a probe on the ledger."""
        proof = evidence.encode() if evidence is not None else b""
        self._stated(turn, replace(probe, outcome=outcome, code=code, evidence=proof))
        turn.note("PROBE_ENDED", probe=probe.probe.hex(), outcome=outcome, code=code)

    def _stated(self, turn: Turn, probe: Probe) -> None:
        asked = CONSENTED if probe.way == CONSENTED else "unconsented"
        payload: dict[str, Any] = {"probe": probe.probe, "asked": asked, "outcome": probe.outcome}
        if probe.code:
            payload["code"] = probe.code
        if probe.evidence:
            payload["evidence"] = probe.evidence
        entry = turn.state("probe.result", ("member", probe.member[0]), payload)
        self.rows.put(turn.vault, replace(probe, entry=entry.id))

    def state_again(self, turn: Turn) -> None:
        """State once more the results that the ledger has lost."""
        for probe in list(self.rows.listing(turn.vault)):
            if probe.entry and not turn.core.replica.places(turn.rows, probe.entry):
                self._stated(turn, probe)

    # Time

    def plan(self, turn: Turn) -> None:
        """Ask for the timers: of the first silence, and of the next probe that is made by itself."""
        waiting = self.rows.open(turn.vault)
        if waiting:
            turn.timer(TIMER, min(probe.until for probe in waiting) * 1_000)
        if self.a_day and self._next_ms <= turn.now_ms:
            self._next_ms = turn.now_ms + round(self._chooser.expovariate(self.a_day / (DAY * 1_000)))
            turn.timer(TIMER_NEXT, self._next_ms)

    def timer(self, turn: Turn) -> None:
        """State the silence of those who did not answer in time over a channel that is open."""
        for probe in self.rows.open(turn.vault):
            if probe.until <= turn.now:
                if probe.peer in turn.core.member_peers:
                    self._state(turn, probe, SILENT, "", None)
                else:
                    self.rows.put(turn.vault, replace(probe, outcome=AWAY))
        for probe in list(self.rows.listing(turn.vault)):
            if probe.created < turn.now - KEPT_DAYS * DAY:
                self.rows.delete(turn.vault, probe.transfer)
        self.plan(turn)

    def by_itself(self, turn: Turn) -> None:
        """Probe somebody who is connected, at random."""
        members = turn.core.replica.members
        parties = sorted({members.party_of(kid) for kid in turn.core.member_peers if members.speaks(kid)})
        if parties:
            try:
                self.ask(turn, self._chooser.choice(parties))
            except LocalError as error:
                turn.note("PROBE_NOT_MADE", code=error.code)
        self.plan(turn)
