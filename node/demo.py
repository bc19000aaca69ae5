"""`maille demo`: the main job from end to end, with real processes, sockets, encryption and stores.

How it works
    Each node is a process of its own (`maille node run`) in a throw-away directory, spoken to over its control
    socket as any user would. The play is told in plain sentences, act by act, and measured: what is counted at the
    end was counted by the nodes. The mesh's policy shortens the intervals, and ticks are asked for, so that nothing
    has to be waited for; the narration says so.

What it does not do
    It tests nothing in secret: where an act fails the demo ends with that error, and exit code 1. Its keys are
    unsealed and thrown away with its directory, unless the directory is kept.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ledger.errors import LocalError
from node.actors import Actor, Say, operation_of, until
from node.demo_governance import VOTERS, Governance

NAMES: Final = ("grid operator", "adviser", "cooperative", "town", "observer")
FICTITIOUS_DAYS: Final = 60


class Demo:
    """The play: actors, what was counted, and the acts in order."""

    def __init__(self, count: int, readings: Path | None, place: Path, say: Say) -> None:
        """`count`: nodes, at least 3. `readings`: an Enedis export, or None for a fictitious household."""
        self._say, self._readings = say, readings
        names = [*NAMES, *(f"member {i}" for i in range(len(NAMES) + 1, count + 1))][:count]
        self.actors = [Actor(name, place / name.replace(" ", "-")) for name in names]
        self.holder, self.recipient, self.host = self.actors[:3]
        self.told: dict[str, Any] = {"nodes": count, "refusals": []}
        self._kind = ""
        self._point = ""
        self._consent = ""
        self._active_at = datetime.fromtimestamp(0, UTC)
        self._mesh_id = ""

    def play(self) -> dict[str, Any]:
        """Play every act and return what was counted."""
        began = time.monotonic()
        try:
            for act in (
                self._found,
                self._import,
                self._consent_given,
                self._flow,
                self._refusals,
                self._crash,
                self._before,
                self._withdrawal,
                self._proof,
                self._roots,
                self._govern,
            ):
                act()
        finally:
            for actor in self.actors:
                actor.stop()
            for actor in self.actors:
                actor.join()
        self.told["seconds"] = round(time.monotonic() - began, 1)
        self._say(f"Done in {self.told['seconds']} seconds.")
        return self.told

    # Act 1

    def _found(self) -> None:
        self._say(
            f"1. {len(self.actors)} organisations each start a node: a process with its own key and its own store."
        )
        for actor in self.actors:
            actor.init()
        for actor in self.actors:
            actor.made()
            actor.start()
        for actor in self.actors:
            actor.ready()
        founder = self.holder
        voters = self.actors[1:VOTERS]
        prepared = tuple(actor.call("mesh", "prepare", name="demo").founder for actor in voters)
        made = founder.call("mesh", "create", name="demo", founder=prepared, **_SHORT)
        self._mesh_id = made.mesh_id
        self._say(
            f"   The {founder.name} and {len(voters)} others found a mesh, {made.mesh_id[:16]}…. For the demo its "
            f"policy is impatient: a sign of life every {_SHORT['heartbeat_seconds']} s instead of 60, a seal of what "
            f"was decided after {_SHORT['seal_seconds']} s instead of 600, and ticks on demand."
        )
        for actor in self.actors[1:]:
            ticket = founder.call("invite", "create", to=actor.did).ticket
            answer = actor.call(None, "join", ticket=ticket).answer
            how = "as one of the founders" if answer == "FOUNDER" else f"with a single-use ticket: {answer}"
            self._say(f"   The {actor.name} joins {how}.")
        until(self._all_know_all, "the mesh does not form")
        self.holder.call("link", "offer", member=self.recipient.did, reason="energy advice")
        until(lambda: self._link(self.recipient) == "offered", "the offered link does not arrive")
        self.recipient.call("link", "accept", member=self.holder.did)
        until(lambda: self._link(self.holder) == "up", "the accepted link does not arrive")
        self._say(
            f"   {self.holder.name} and {self.recipient.name} agree on a link: data may flow, once somebody consents."
        )

    def _all_know_all(self) -> bool:
        return all(len(actor.call("member", "list").members) == len(self.actors) for actor in self.actors)

    def _link(self, actor: Actor) -> str:
        links = actor.call("link", "list").links
        return str(links[0].state) if links else ""

    # Act 2

    def _import(self) -> None:
        if self._readings is not None:
            done = self.holder.call("readings", "import", file=self._readings.read_bytes())
            source = f"the real file {self._readings.name}"
        else:
            self.holder.call("readings", "generate", seed=1, days=FICTITIOUS_DAYS, kind="load_curve", gaps=3)
            done = self.holder.call("readings", "generate", seed=1, days=FICTITIOUS_DAYS, kind="daily")
            source = "a FICTITIOUS household (no real person; pass --readings FILE for real data)"
        rows = self.holder.call("readings", "list").series
        wanted = "load_curve" if self._readings is not None else "daily"
        chosen = [row for row in rows if row.kind.endswith(wanted)] or list(rows)
        self._kind, self._point = chosen[0].kind.rpartition("/")[2], chosen[0].point
        row = chosen[0]
        self.told["records_imported"] = row.count - row.gaps
        self.told["gaps_imported"] = row.gaps
        self.told["absences_imported"] = row.jumps
        self._say(
            f"2. The {self.holder.name} holds {source}: {row.count - row.gaps} values of one kind, "
            f"{_words(self._kind)}, {row.gaps} gaps between them, and "
            f"{_absent(row.jumps)}. Nothing is filled in."
        )
        if not done.series and not done.same:
            raise LocalError("DEMO_FAILED", "the file held no readings")

    # Act 3

    def _consent_given(self) -> None:
        self.host.call("wallet", "create", name="citizen")
        fields = {
            "holder": self.holder.did,
            "recipient": self.recipient.did,
            "point": (self._point,),
            "kind": self._kind,
            "granularity": _GRANULARITY[self._kind],
            "purpose": _PURPOSE,
            "contact": "data@adviser.example",
            "data_from": datetime(2015, 1, 1, tzinfo=UTC),
        }
        given = self.host.call("consent", "grant", wallet="citizen", **fields)
        self._consent = given.id
        self._say(f"3. A citizen, whose wallet the {self.host.name} keeps, consents. This is what she reads:")
        for sentence in given.words:
            self._say(f"     {sentence}")
        until(lambda: self._both("active"), "the consent does not reach holder and recipient")
        self._say("   Holder and recipient have received the consent and what it says, sealed for them alone.")

    def _both(self, state: str) -> bool:
        return all(self._state(actor) == state for actor in (self.holder, self.recipient))

    def _state(self, actor: Actor) -> str:
        lines = actor.call("consent", "list").consents
        return next((str(line.state) for line in lines if line.id == self._consent), "")

    # Act 4

    def _flow(self) -> None:
        sent = self.holder.call("data", "send", consent=self._consent, wait="60s")
        if sent.state != "done":
            raise LocalError("DEMO_FAILED", f"the data did not flow: {sent.state} {sent.reason} {sent.message}")
        received = until(self._received, "no receipt at the recipient")
        self.told["records_sent"] = sent.records - sent.gaps
        self.told["records_received"] = received.records - received.gaps
        self.told["gaps_preserved"] = received.gaps
        self._say(
            f"4. The readings flow over the encrypted channel: {sent.records - sent.gaps} values sent, "
            f"{received.records - received.gaps} received, {received.gaps} gaps kept as gaps. Both ends hold a receipt."
        )
        exported = self.recipient.call("data", "export", consent=self._consent)
        if exported.records != received.records:
            raise LocalError("DEMO_FAILED", "the recipient exports another number of records than it received")

    def _received(self) -> Any:
        rows = self.recipient.call("data", "receipts", consent=self._consent).receipts
        return next((row for row in rows if row.role == "received" and row.state == "done"), None)

    # Act 5

    def _refusals(self) -> None:
        self._say(f"5. The {self.recipient.name} asks for what no consent covers:")
        other = "load_curve" if self._kind != "load_curve" else "daily"
        self._refused("another kind of data", {"point": self._point, "kind": other, "granularity": _GRANULARITY[other]})
        asked = {"point": "prm:00000000000018", "kind": self._kind, "granularity": _GRANULARITY[self._kind]}
        self._refused("another point of measurement", asked)

    def _refused(self, step: str, fields: dict[str, Any]) -> None:
        fields = {"holder": self.holder.did, "purpose": _PURPOSE, "wait": "20s", **fields}
        answer = self.recipient.call("data", "request", **fields)
        if answer.state != "refused":
            raise LocalError("DEMO_FAILED", f"{step} was not refused: {answer.state} {answer.reason}")
        self.told["refusals"].append({"step": step, "reason": answer.reason})
        self._say(f"   {step[0].upper()}{step[1:]}: refused, {answer.reason} ({answer.message})")

    # Act 6

    def _crash(self) -> None:
        victim = self.actors[3] if len(self.actors) > 3 else self.host
        before = victim.call("ledger", "root").frontier
        victim.kill()
        self._say(f"6. The node of the {victim.name} is killed with -9. The others go on:")
        settled = self.holder.call("data", "settle").receipts + self.recipient.call("data", "settle").receipts
        self._say(f"   {settled} receipts of what flowed are stated on the ledger, as salted digests.")
        victim.start()
        victim.ready()
        same = until(self._same_frontier, "the node that was killed does not catch up")
        checked = victim.call("ledger", "root").frontier
        self.told["crash_recovered"] = bool(same) and checked != before
        self._say(f"   Restarted, the {victim.name} has caught up with every entry it missed.")

    def _same_frontier(self) -> bool:
        frontiers = {actor.call("ledger", "root").frontier for actor in self.actors}
        return len(frontiers) == 1

    # Act 7 to 10

    def _before(self) -> None:
        self._active_at = self._tick("7. A tick on demand")

    def _tick(self, what: str) -> datetime:
        done = self.host.call("tick", "run")
        until(lambda: self._one_root(done.state_root), "the nodes do not agree on a state root")
        self._say(f"{what}: every node computes the same state root, {done.state_root[:16]}….")
        boundary: datetime = done.boundary
        return boundary

    def _one_root(self, root: str) -> bool:
        shown = [actor.call("ledger", "root") for actor in self.actors]
        return all(one.state_root == root and len(one.attested_by) == len(self.actors) for one in shown)

    def _withdrawal(self) -> None:
        began = time.monotonic()
        self.host.call("consent", "withdraw", id=self._consent)
        until(lambda: self._both("withdrawn"), "the withdrawal does not reach holder and recipient")
        delay = (time.monotonic() - began) * 1_000
        pushed = self.holder.call("data", "send", consent=self._consent, wait="10s")
        asked = self.recipient.call("data", "request", consent=self._consent, wait="10s")
        for end, answer in ((self.holder, pushed), (self.recipient, asked)):
            if answer.state != "refused":
                raise LocalError("DEMO_FAILED", f"the {end.name} did not refuse after the withdrawal: {answer.state}")
            self.told["refusals"].append({"step": f"after the withdrawal, at the {end.name}", "reason": answer.reason})
        self.told["withdrawal_to_refusal_ms"] = round(delay, 1)
        self._say(
            f"8. The citizen withdraws, in one act at the {self.host.name}. {delay:.0f} ms later both ends "
            f"know, and both refuse: {pushed.reason}."
        )

    def _proof(self) -> None:
        self._tick("9. Another tick")
        made = self.host.call("proof", "make", consent=self._consent, at=self._active_at)
        verdict = self._verify(made.proof, "consent")
        flipped = bytearray(made.proof)
        flipped[len(flipped) // 2] ^= 1
        tampered = self._verify(bytes(flipped), "tampered")
        self.told["proof"], self.told["tampered_proof"] = verdict, tampered
        self.told["mesh_id"], self.told["proof_at"] = self._mesh_id, self._active_at
        self._say(
            f"   The proof of this consent is a file of {len(made.proof)} bytes. An auditor who knows the mesh's id "
            f"verifies it offline: {verdict['verdict']}, {verdict['reason']}."
        )
        self._say(f"   One byte changed: {tampered['verdict']}, {tampered['reason']}.")

    def _verify(self, proof: bytes, name: str) -> dict[str, str]:
        verify = operation_of("proof", "verify")
        file = self.holder.path.parent / f"{name}.mailleproof"
        file.write_bytes(proof)
        args = verify.args(proof=(str(file),), genesis=self._mesh_id, members=2, at=self._active_at)
        report = verify.handler(None, args)
        return {"verdict": report.verdict, "reason": report.reason}

    def _roots(self) -> None:
        shown = [actor.call("ledger", "root") for actor in self.actors]
        roots = {one.state_root for one in shown}
        self.told["state_roots_equal"] = len(roots) == 1 and "" not in roots
        self._say(
            f"10. State roots of all {len(shown)} nodes equal: {'yes' if self.told['state_roots_equal'] else 'NO'}."
        )

    # Act 11 to 13

    def _govern(self) -> None:
        Governance(self.actors[:VOTERS], self.actors[VOTERS:], self._say, self.told).play()


_SHORT: Final = {
    "tick_seconds": 3_600,
    "heartbeat_seconds": 2,
    "max_staleness_seconds": 120,
    "attestation_quorum": 2,
    "seal_seconds": 3,
}
_PURPOSE: Final = "advice on saving energy"
_GRANULARITY: Final = {"load_curve": "PT30M", "daily": "P1D", "index": "P1D"}


def _absent(jumps: int) -> str:
    return {0: "no rows are absent", 1: "rows are absent in one place"}.get(jumps, f"rows are absent in {jumps} places")


def _words(kind: str) -> str:
    return {"load_curve": "the load curve", "daily": "daily totals", "index": "index readings"}.get(kind, kind)


def run(count: int, readings: Path | None, keep: Path | None, say: Say) -> dict[str, Any]:
    """Run the demo and return what it counted. `keep`: a directory to keep the nodes in, or None for a passing one.

    Raises LocalError DEMO_FAILED with the act that failed, or TOO_FEW_NODES.
    """
    if count < 3:
        raise LocalError("TOO_FEW_NODES", "the demo needs a holder, a recipient and a host: at least 3 nodes")
    place = keep if keep is not None else Path(tempfile.mkdtemp(prefix="maille-demo-"))
    place.mkdir(parents=True, exist_ok=True)
    if any(place.iterdir()):
        raise LocalError("TARGET_NOT_EMPTY", f"{place} is not empty; name a directory that is", field="keep")
    try:
        os.chmod(place, 0o700)
        return Demo(count, readings, place, say).play()
    finally:
        if keep is None:
            shutil.rmtree(place, ignore_errors=True)
