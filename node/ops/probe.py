"""Operations on conformance probes: ask a member with or without consent, and see who answered what (R42).

How it works
    `run` sends a request that its holder cannot tell from another, waits for the answer and states the result on the
    ledger, with what the holder signed. `list` and `show` read the results of all members and verify the evidence
    anew, here and now, with what this node's ledger knows.

What it does not do
    A result expels nobody: whoever wants a member out proposes it, and the mesh votes. Nothing shown here is personal:
    what was served without consent has not been kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import trio

from node.exits import OK, REFUSED, TEMPORARY, not_found, usage
from node.naming import device_owner, find_entry, find_member, member_name, moment, seconds_of
from node.operation import Args, Result, operation, said
from node.ops.link import MEMBER
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.fault import Examined
    from ledger.entry import Entry
    from node.core import Turn
    from node.daemon import Node
    from node.mesh import Mesh
    from node.vaults.probes import Probe

LOOK_SECONDS = 0.02
GRACE_SECONDS = 5  # after the time that an answer may take, until the result is stated
Way = Literal["", "ended", "recipient", "kind", "imagined"]


class RunArgs(Args, frozen=True):
    """Whom to ask, and how."""

    member: Annotated[str, said(MEMBER, positional=True)]
    consented: Annotated[str, said("Ask under this consent to us, which must be served: its id, or the start.")] = ""
    unconsented: Annotated[bool, said("Ask without consent. That is the default.")] = False
    way: Annotated[
        Way,
        said(
            "Without consent: under one that has ended, one for another recipient, for another kind of data, or one "
            "that is imagined. Default: any that there is."
        ),
    ] = ""
    wait: Annotated[str, said("How long an answer may take before it counts as silence: 30s, 2m.")] = "60s"
    mesh: Annotated[str, said(WHICH)] = ""


class ResultsArgs(Args, frozen=True):
    """Whose results."""

    member: Annotated[str, said(f"Probes of one member alone. {MEMBER}", positional=True)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ResultArgs(Args, frozen=True):
    """Which result."""

    entry: Annotated[str, said("The result's entry: its id, or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class ProbeRun(Result, frozen=True):
    """What came of a probe."""

    member: Annotated[str, said("Who was asked.")]
    asked: Annotated[str, said("consented or unconsented.")]
    way: Annotated[str, said("How it was asked without consent.")]
    outcome: Annotated[str, said("served, refused, silent; away: the member went, and nothing is stated.")]
    code: Annotated[str, said("Why it was refused, or what is wrong with what was served.")]
    conforms: Annotated[bool, said("Whether that is what an honest member does.")]
    entry: Annotated[str, said("Id of the result on the ledger.")]
    fault: Annotated[str, said("What the signed answer proves to anybody; empty: nothing.")]
    message: Annotated[str, said("The same in a sentence.")]


class ProbeLine(Result, frozen=True):
    """A result on the ledger."""

    entry: Annotated[str, said("Id of the entry.")]
    dated: Annotated[datetime, said("When its prober says it was.")]
    prober: Annotated[str, said("Who probed.")]
    member: Annotated[str, said("Who was probed.")]
    asked: Annotated[str, said("consented or unconsented.")]
    outcome: Annotated[str, said("served, refused or silent.")]
    code: Annotated[str, said("Why it was refused, or what is wrong with what was served.")]
    evidence: Annotated[str, said("verified; none; refused: it does not verify, and is worth nothing.")]
    fault: Annotated[str, said("What the evidence proves; empty: nothing.")]


class ProbeLines(Result, frozen=True):
    """Results on the ledger."""

    results: Annotated[tuple[ProbeLine, ...], said("Each result, oldest first.")]
    faults: Annotated[int, said("How many of them prove a fault.")]


class ProbeShown(Result, frozen=True):
    """A result with its evidence."""

    line: Annotated[ProbeLine, said("The result.")]
    why: Annotated[str, said("What the evidence proves, or why it proves nothing.")]
    device: Annotated[str, said("The device that signed the answer.")]
    signer: Annotated[str, said("Whose device that is.")]
    answered: Annotated[datetime | None, said("When, by that device's clock.")]
    grant: Annotated[str, said("The consent that was named.")]
    transfer: Annotated[str, said("The transfer that was asked for.")]
    digest: Annotated[str, said("The salted digest of what was served.")]
    decided_by: Annotated[tuple[str, ...], said("Ids of the entries that make it wrong.")]
    bytes: Annotated[int, said("The size of the evidence.")]
    kinds: Annotated[tuple[str, ...], said("Kinds of data that were served; known to the prober alone.")]


def _exit(done: ProbeRun) -> int:
    if done.outcome in ("silent", "away"):
        return TEMPORARY
    return OK if done.conforms else REFUSED


@operation("probe", "run", permission="operate", exit_of=_exit)
async def probe_run(node: Node, args: RunArgs) -> ProbeRun:
    """Ask a member for data, with or without consent, and state on the ledger what it answered.

    Exit code 0: it did what it must; 1: it did not; 75: no answer.
    """
    mesh = node.mesh(args.mesh)
    wait = seconds_of(args.wait, "wait")
    if args.consented and (args.unconsented or args.way):
        raise usage("A probe is either --consented or --unconsented.", "consented")

    def begin(turn: Turn) -> bytes:
        member = find_member(turn.core.replica.members, args.member).party
        if args.consented:
            grant = find_entry(turn.rows, args.consented, "consented")
            return mesh.flows.probing.ask_consented(turn, member, grant, wait).transfer
        return mesh.flows.probing.ask(turn, member, args.way, wait).transfer

    transfer = await mesh.engine.act(begin)

    def look(turn: Turn) -> ProbeRun | None:
        probe = mesh.flows.probing.rows.get(turn.vault, transfer)
        return _run(turn, probe) if probe is not None and probe.outcome else None

    with trio.move_on_after(wait + GRACE_SECONDS):
        while (done := await mesh.engine.read(look)) is None:
            await trio.sleep(LOOK_SECONDS)
        return done
    return await _unanswered(mesh, transfer)


async def _unanswered(mesh: Mesh, transfer: bytes) -> ProbeRun:
    def look(turn: Turn) -> ProbeRun:
        probe = mesh.flows.probing.rows.get(turn.vault, transfer)
        if probe is None:
            raise not_found("This probe is not kept any more.")
        return _run(turn, probe)

    return await mesh.engine.read(look)


def _run(turn: Turn, probe: Probe) -> ProbeRun:
    from ledger.consent.fault import examine

    replica = turn.core.replica
    result = replica.entry(turn.rows, probe.entry) if probe.entry else None
    asked = probe.way if probe.way == "consented" else "unconsented"
    right = "served" if asked == "consented" else "refused"
    fault, message = "", "There is no answer."
    if result is not None:
        seen = examine(replica, turn.rows, result)
        fault = seen.fault.wrong.value if seen.fault is not None else ""
        message = _message(seen, asked, probe.outcome, probe.code)
    return ProbeRun(
        member_name(replica.members, probe.member),
        asked,
        "" if asked == "consented" else probe.way,
        probe.outcome,
        probe.code,
        probe.outcome == right and not (asked == "consented" and probe.code),
        probe.entry.hex(),
        fault,
        message,
    )


def _message(seen: Examined, asked: str, outcome: str, code: str) -> str:
    if seen.fault is not None:
        return seen.fault.sentence()
    match asked, outcome:
        case "unconsented", "served":
            return "It served data without consent; the ledger alone does not prove it."
        case "unconsented", "refused":
            return f"It refused, as it must: {code}."
        case "consented", "served":
            return f"It served what was consented to{', but not as it must: ' + code if code else ''}."
        case "consented", "refused":
            return f"It refused what was consented to: {code}."
        case _:
            return "It did not answer over a channel that was open."


def _line(turn: Turn, result: Entry, seen: Examined) -> ProbeLine:
    members = turn.core.replica.members
    payload = result.payload
    probed = members.members.get(result.thing[1])
    none = "evidence" not in payload
    return ProbeLine(
        result.id.hex(),
        moment(result.iat),
        device_owner(members, result.kid),
        member_name(members, probed.party if probed is not None else (result.thing[1], 1)),
        payload["asked"],
        payload["outcome"],
        payload.get("code", ""),
        "none" if none else "verified" if seen.evidence is not None else "refused",
        seen.fault.wrong.value if seen.fault is not None else "",
    )


@operation("probe", "list", permission="read")
async def probe_list(node: Node, args: ResultsArgs) -> ProbeLines:
    """List the results of probes on the ledger, and whether their evidence verifies."""
    from ledger.consent.fault import examine, results

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> ProbeLines:
        replica = turn.core.replica
        member = find_member(replica.members, args.member).party[0] if args.member else b""
        found = results(replica, turn.rows, member)
        lines = tuple(_line(turn, result, examine(replica, turn.rows, result)) for result in found)
        return ProbeLines(lines, sum(bool(line.fault) for line in lines))

    return await mesh.engine.read(look)


@operation("probe", "show", permission="read")
async def probe_show(node: Node, args: ResultArgs) -> ProbeShown:
    """Show a result with what the probed member signed, and what that proves."""
    from ledger.consent.fault import examine

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> ProbeShown:
        replica = turn.core.replica
        result = replica.entry(turn.rows, find_entry(turn.rows, args.entry, "entry"))
        if result is None or result.kind != "probe.result":
            raise not_found("This entry is no result of a probe; `maille probe list` shows them.", "entry")
        seen = examine(replica, turn.rows, result)
        answer = seen.evidence.answer if seen.evidence is not None else None
        payload = result.payload
        kept = (one for one in mesh.flows.probing.rows.listing(turn.vault) if one.entry == result.id)
        return ProbeShown(
            _line(turn, result, seen),
            _why(seen, payload["asked"], payload["outcome"], payload.get("code", "")),
            seen.evidence.device.hex() if seen.evidence is not None else "",
            device_owner(replica.members, seen.evidence.device) if seen.evidence is not None else "",
            moment(answer.at) if answer is not None else None,
            answer.grant.hex() if answer is not None and answer.grant is not None else "",
            answer.transfer.hex() if answer is not None else "",
            answer.digest.hex() if answer is not None and not answer.code else "",
            tuple(one.hex() for one in seen.fault.decided_by) if seen.fault is not None else (),
            len(payload.get("evidence", b"")),
            next((probe.kinds for probe in kept), ()),
        )

    return await mesh.engine.read(look)


def _why(seen: Examined, asked: str, outcome: str, code: str) -> str:
    if seen.evidence is None and seen.code != "NO_EVIDENCE":
        return f"The evidence does not verify ({seen.code}): the result is its prober's word alone."
    return _message(seen, asked, outcome, code)
