"""What the steps of a scenario do on its stage, and what came of them against what was expected.

How it works
    `Acts` has one method for each kind of step. Each calls operations of the nodes as a user would, and returns an
    `Outcome`. Before each flow the mesh agrees on a state (`tick run`), so that a proof can show how things stood at
    that moment; after one that was allowed both ends state their accounts, and the auditor is given her bundles.

What it does not do
    It decides no flow: the gates of the nodes do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, assert_never

import trio

from ledger.errors import LocalError, MailleError
from simulations.scenario import (
    Consent,
    Do,
    Expel,
    Flow,
    Heal,
    Join,
    Partition,
    Start,
    Stop,
    Wait,
    Withdraw,
)
from simulations.scenario_auditor import Asked, Flown, Given, Verified, allowed, audit, refused
from simulations.scenario_names import Names, look
from simulations.scenario_stage import LOOK_SECONDS, Stage, operation_of

PATIENCE_SECONDS: Final = 60
"""For how long (virtual) a reading step is repeated until it shows what is expected."""
TICK_SECONDS: Final = 3
"""After a tick, so that what follows lies clearly behind it."""
CONTACT: Final = "data@example.org"
_CODES: Final = {"done": "allowed", "refused": "refused", "stopped": "refused"}
_GRANTING: Final = ("consent grant", "delegation grant")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step came to. `arrow`: from, to and label, for a diagram."""

    say: str
    expected: str
    found: str
    passed: bool
    arrow: tuple[str, str, str] = ("", "", "")


@dataclass(slots=True)
class Acts:
    """The acts of one play. `number`: of the step that runs. `verified`: step -> a flow in words, the auditor on it."""

    stage: Stage
    number: int = 0
    given: list[Given] = field(default_factory=list)
    verified: dict[int, tuple[str, Verified]] = field(default_factory=dict)
    names: Names = field(init=False)
    _wallets: set[str] = field(default_factory=set)
    _first: dict[str, int] = field(default_factory=dict)  # consent -> when data were first sent under it

    def __post_init__(self) -> None:
        """Note when the play begins, and whose wallets are there."""
        self.names = Names(self.stage, self.stage.now)
        self._wallets = {party.name for party in self.stage.scenario.party if party.kind == "person"}

    # Who is where

    def node_of(self, name: str) -> str:
        """Return at whose node a party is: its own, or where it is hosted. Raises LocalError NOT_FOUND."""
        party = self.stage.parties.get(name)
        if party is None:
            raise LocalError("NOT_FOUND", f"{name!r} is nobody in this story")
        return name if party.has_node else self.homes.get(name, party.at)

    @property
    def homes(self) -> dict[str, str]:
        """Where people and services have moved to, by the story's steps."""
        return dict(self.names.saved.get("homes", {}))

    def _service(self, name: str) -> str:
        party = self.stage.parties.get(name)
        return name if party is not None and party.kind == "service" else ""

    def _called(self, name: str) -> str:
        """Return what an operation calls a party: a service by its key, as its name is its host's alone."""
        return self.stage.did(name) if self._service(name) else name

    # Steps

    async def consent(self, step: Consent) -> Outcome:
        """Give a consent from a wallet."""
        at = self.node_of(step.by)
        await self._wallet(step.by, at)
        values: dict[str, Any] = {"wallet": step.by, "days": step.days}
        if step.request:
            values["request"] = self.names.fill(step.request)
        else:
            values |= {
                "holder": self._called(step.holder),
                "recipient": self._called(step.recipient),
                "point": self.names.points(step.points),
                "kind": step.kind,
                "energy": step.energy,
                "direction": step.direction,
                "granularity": step.granularity,
                "purpose": step.purpose,
                "contact": CONTACT,
                "computation": self.names.fill(step.computation),
            }
        if step.terms:
            values["terms"] = json.dumps(self.names.fill(step.terms)).encode()
        if step.require:
            values["require"] = tuple([await self._key(name) for name in step.require])
        say = f"{_capital(step.by)} consents: {step.holder} may give {step.recipient} {_kind(step)} for {step.purpose}."
        arrow = (step.by, at, f"consents: {step.name}")
        try:
            made = await self.stage.do(at, "consent grant", **values)
        except MailleError as error:
            return Outcome(
                say, step.code or "a consent", f"{error.code}: {error.message}", error.code == step.code, arrow
            )
        self.names.saved[step.name] = made
        self.given.append(Given(made.id, step.holder, step.recipient, at, self.number))
        return Outcome(say, step.code or "a consent", "given", not step.code, arrow)

    async def _wallet(self, name: str, at: str) -> None:
        if name not in self._wallets:
            self._wallets.add(name)
            await self.stage.do(at, "wallet create", name=name)

    async def _key(self, name: str) -> str:
        at = self.node_of(name)
        await self._wallet(name, at)
        return str((await self.stage.do(at, "delegation key", wallet=name)).key)

    async def flow(self, step: Flow) -> Outcome:
        """Have data asked for, or sent, and hold the gate's answer against what is expected."""
        sends = step.by == "holder"
        speaker, other = (step.holder, step.recipient) if sends else (step.recipient, step.holder)
        at = self.node_of(speaker)
        await self._tick(at)
        values: dict[str, Any] = {"recipient" if sends else "holder": self._called(other), "purpose": step.purpose}
        values["as_tenant"] = self._service(speaker)
        for name in ("granularity", "kind", "energy", "direction"):
            values[name] = getattr(step, name)
        values["consent"] = self.names.id_of(step.consent) if step.consent else ""
        values["point"] = self.names.points((step.point,))[0] if step.point else ""
        if step.token:
            values["token"] = self.names.fill(step.token)
        if step.since:
            values |= {"since": self.names.time(step.since), "until": self.names.time(step.until)}
        moment = self.stage.now
        moved = await self.stage.do(at, "data send" if sends else "data request", **values)
        if step.save:
            self.names.saved[step.save] = moved
        found = _CODES.get(moved.state, "waiting")
        passed = found == step.expect and step.reason in ("", moved.reason)
        passed = passed and step.records in (None, moved.records)
        told = f"{found} {moved.reason}".strip() + (f", {moved.records} records" if found == "allowed" else "")
        wanted = f"{step.expect} {step.reason}".strip() + (f", {step.records} records" if step.records else "")
        what = step.point or (f"under {step.consent!r}" if step.consent else _kind(step) or "data")
        words = f"{step.holder} -> {step.recipient}, {what}"
        flown = Flown(self.number, words, step, moment, moved.consent, self._asked(step))
        if found != "refused":
            self._first.setdefault(moved.consent, moment)
        self.verified[self.number] = (words, await self._verified(flown, found))
        verb = f"sends {step.recipient} data" if sends else f"asks {step.holder} for data"
        say = f"{_capital(speaker)} {verb}, {what}: {told}."
        return Outcome(say, wanted, told, passed, (step.holder, step.recipient, told))

    def _asked(self, step: Flow) -> Asked:
        window = None
        if step.since:
            window = (int(self.names.time(step.since).timestamp()), int(self.names.time(step.until).timestamp()))
        kind = f"{step.energy}/{step.direction}/{step.kind}" if step.kind else ""
        point = self.names.points((step.point,))[0] if step.point else ""
        return Asked(point, kind, step.granularity, step.purpose, window)

    async def withdraw(self, step: Withdraw) -> Outcome:
        """Withdraw a consent."""
        given = next((one for one in self.given if one.id == self.names.id_of(step.consent)), None)
        if given is None:
            raise LocalError("NOT_FOUND", f"nobody gave a consent {step.consent!r}")
        if step.slip_at:
            at, values = step.slip_at, {"slip": self.names.saved[step.consent].slip}
        else:
            at, values = given.by, {"id": given.id}
        done = await self.stage.do(at, "consent withdraw", **values)
        how = f"with her slip, at {step.slip_at}" if step.slip_at else "in one act"
        return Outcome(
            f"The consent {step.consent!r} is withdrawn, {how}.",
            "withdrawn",
            done.state,
            done.state == "withdrawn",
            (at, at, f"withdraws: {step.consent}"),
        )

    async def do(self, step: Do) -> Outcome:
        """Run an operation; a reading one again and again, until it shows what is expected."""
        row = operation_of(step.run)
        args = self.names.arguments(step)
        wanted = self.names.fill(step.expect)
        expected = step.code or (_brief(wanted) if wanted else "done")
        arrow = (step.at, step.at, step.run)
        result, fault = None, "done"
        with trio.move_on_after(PATIENCE_SECONDS):
            while True:
                try:
                    result = await self.stage.do(step.at, step.run, **args)
                except MailleError as error:
                    result, fault = None, f"{error.code}: {error.message}"
                    if error.code == step.code or not row.reads:
                        return Outcome(step.say, expected, fault, error.code == step.code, arrow)
                if not row.reads or (result is not None and _shows(result, wanted)):
                    break
                await trio.sleep(LOOK_SECONDS)
        if result is not None:
            self._keep(step, args, result)
        passed = result is not None and _shows(result, wanted) and not step.code
        seen = _brief({path: look(result, path) for path in wanted}) if wanted and result is not None else fault
        return Outcome(step.say, expected, seen, passed, arrow)

    def _keep(self, step: Do, args: Mapping[str, Any], result: Any) -> None:
        if step.save:
            self.names.saved[step.save] = result
        if step.run in _GRANTING:
            called = {did: name for name, did in self.stage.dids.items()}
            holder, recipient = (str(args.get(end) or step.at) for end in ("holder", "recipient"))
            ends = (called.get(holder, holder), called.get(recipient, recipient))
            self.given.append(Given(result.id, *ends, step.at, self.number))
        if step.run == "group carry":
            for each in result.consents:
                self.given.append(Given(getattr(each, "id", each), step.at, "", step.at, self.number))
        if step.run == "tenant host":
            self.names.saved["homes"] = self.homes | {str(args["tenant"]): str(args.get("at") or step.at)}

    async def join(self, step: Join) -> Outcome:
        """Let a node join."""
        say = f"{_capital(step.node)} asks to join, with a ticket of {step.via}."
        arrow = (step.node, step.via, "asks to join")
        more = {"accept_charter": self.names.fill(step.accept_charter)} if step.accept_charter else {}
        try:
            joined = await self.stage.join(step.node, step.via, **more)
        except MailleError as error:
            found = f"{error.code}: {error.message}"
            return Outcome(say, step.code or step.answer, found, error.code == step.code, arrow)
        if joined.answer == "ADMITTED":
            await self.stage.until(lambda: self.stage.member_of(step.node))
            await self.stage.settle()
        return Outcome(say, step.code or step.answer, joined.answer, joined.answer == step.answer, arrow)

    async def expel(self, step: Expel) -> Outcome:
        """Have the other founders vote a member out."""
        target = self.stage.did(step.member)
        voters = [
            name for name in self.stage.scenario.mesh.founders if name != step.member and name in self.stage.nodes
        ]
        made = await self.stage.do(step.by, "proposal expel", member=target, reason=step.reason)
        await self.stage.settle()
        for name in voters:
            await self.stage.do(name, "vote cast", proposal=made.id, choice="yes")
            await self.stage.settle()
        kid = self.stage.nodes[step.member].root_key().kid

        def out() -> bool:
            found = [self.stage.nodes[name].mesh().core.replica.members.members.get(kid) for name in voters]
            return all(member is not None and member.state == "expelled" for member in found)

        is_out = await self.stage.until(out)
        say = f"{len(voters)} voters expel {step.member}: {step.reason}."
        return Outcome(
            say, "expelled", "expelled" if is_out else "still in", is_out, (step.by, step.member, "expelled")
        )

    async def weather(self, step: Wait | Partition | Heal | Stop | Start) -> Outcome:
        """Let happen what nobody decides: time, silence, nodes that end and come back."""
        stage = self.stage
        match step:
            case Wait():
                await stage.pass_time(step.days, step.seconds)
                return _happened(f"{step.days} days pass." if step.days else f"{step.seconds} seconds pass.")
            case Partition():
                stage.partition(step.groups)
                return _happened(
                    f"Nothing passes any more between {' and '.join(map(_list, step.groups))} and the rest."
                )
            case Heal():
                stage.heal()
                agreed = await stage.until(stage.agree, 300)
                return Outcome("Everything passes again.", "one ledger", "one ledger" if agreed else "several", agreed)
            case Stop():
                await stage.stop(step.node)
                return _happened(f"The node of {step.node} is switched off, without a word.")
            case Start():
                await stage.start(step.node)
                agreed = await stage.until(stage.agree, 300)
                say = f"The node of {step.node} comes back and catches up."
                return Outcome(say, "one ledger", "one ledger" if agreed else "several", agreed)
            case _:
                assert_never(step)

    # What the auditor is given

    async def _tick(self, at: str) -> None:
        """Have the mesh agree on a state; where it cannot, the play goes on and the auditor has less to see."""
        try:
            await self.stage.do(at, "tick run", wait="5s")
        except MailleError:
            return
        await trio.sleep(TICK_SECONDS)

    async def _verified(self, flown: Flown, found: str) -> Verified:
        """Have the auditor judge one flow by the bundles that the nodes make for her."""
        step = flown.step
        if found == "allowed":
            ends = {self.node_of(name) for name in (step.holder, step.recipient)}
            for name in sorted(ends & self.stage.nodes.keys()):
                await self.stage.do(name, "data settle")
            await self.stage.settle()
            await self._tick(sorted(ends & self.stage.nodes.keys())[0])
            report = await self._proof(flown.consent, flown)
            if report is None:
                return Verified(False, "NO-BUNDLE", "", "no node could make the proof")
            return allowed(report)
        if found == "waiting":
            return Verified(True, "NOTHING-TO-SHOW", "", "nothing has passed")
        near = (
            [self.names.id_of(step.consent)]
            if step.consent
            else [
                one.id
                for one in self.given
                if one.number < flown.number and one.holder == step.holder and one.recipient in (step.recipient, "")
            ]
        )
        reports = [await self._proof(consent, flown) for consent in near]
        return refused([report for report in reports if report is not None], flown.asked)

    async def _proof(self, consent: str, flown: Flown) -> Any:
        """Return the report on a consent's bundle, made by the first node that can, or None."""
        ends = [self.node_of(name) for name in (flown.step.holder, flown.step.recipient)]
        shown = flown.step.expect == "allowed"  # with its transfers, the first of them too
        moment = self._first.get(consent, flown.at) if shown else flown.at
        at = datetime.fromtimestamp(moment, UTC)
        for name in dict.fromkeys([*ends, *self.stage.nodes]):
            if not self.stage.member_of(name):
                continue
            try:
                made = await self.stage.do(name, "proof make", consent=consent, at=at, transfers=shown)
            except MailleError:
                continue
            mesh_id = bytes.fromhex(made.genesis)
            return audit(made.proof, mesh_id, self.stage.scenario.auditor, moment, self.stage.now)
        return None


def _happened(say: str) -> Outcome:
    return Outcome(say, "done", "done", True)


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _kind(step: Consent | Flow) -> str:
    return f"{step.kind.replace('_', ' ')} data ({step.energy})" if step.kind else ""


def _shows(result: Any, wanted: Mapping[str, Any]) -> bool:
    return all(_plain(look(result, path)) == value for path, value in wanted.items())


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _brief(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} = {_plain(value)!r}"[:200] for path, value in values.items())
