"""Operations on proofs: make a file that proves one consent, and verify such a file anywhere, offline.

How it works
    `make` asks the running node for the grant, its disclosures and the evidence at the newest tick (proofs/make.py).
    `verify` and `inspect` need no node, no network and no keys: the auditor brings the genesis hash and says how many
    members' word is enough (proofs/verify.py).

Exit codes of `proof verify`
    0 the proof holds; 1 it does not; 3 it cannot be decided with what is there. For no other command does 3 mean this.

What it does not do
    A proof shows what the ledger says of a consent, and nothing of what a recipient did with the data.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from ledger.errors import LocalError, RemoteError
from node.exits import usage
from node.naming import find_entry, seconds_of
from node.operation import Args, Local, Result, local_operation, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node


class MakeArgs(Args, frozen=True):
    """Which consent, and what of it to disclose."""

    consent: Annotated[str, said("The grant's id, or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""
    field: Annotated[
        tuple[str, ...], said("A field to disclose, such as purpose; without any, all that are known.")
    ] = ()
    at: Annotated[
        datetime | None, said("Show the state at the newest tick before this moment, and what has been since.")
    ] = None
    none: Annotated[bool, said("Disclose no field: the proof then shows that there is a consent, not to what.")] = False


class ProofMade(Result, frozen=True):
    """A proof."""

    consent: Annotated[str, said("The grant's id.")]
    genesis: Annotated[str, said("The mesh's id, which the auditor must know from elsewhere.")]
    size: Annotated[int, said("The proof's size.")]
    sha256: Annotated[str, said("The proof's hash.")]
    disclosed: Annotated[tuple[str, ...], said("The fields it discloses.")]
    proof: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]


class ProofVerifyArgs(Args, frozen=True):
    """The proof, and what the auditor trusts."""

    proof: Annotated[bytes, said("The proof.", positional=True, content=True)]
    genesis: Annotated[str, said("The mesh's id, in hexadecimal, known from elsewhere.")]
    members: Annotated[int, said("How many members' attestations are enough.")] = 1
    policy: Annotated[bytes | None, said("A C2SP tlog-policy, instead of a number of members.", content=True)] = None
    at: Annotated[datetime | None, said("The time asked for: 2026-11-30T12:00:00Z. Default: now.")] = None
    max_age: Annotated[str, said("How old the newest tick may be: 1h, 7d.")] = "1d"


class CheckRow(Result, frozen=True):
    """One check of a verification."""

    name: Annotated[str, said("Which check.")]
    outcome: Annotated[str, said("passed, failed, not-looked or erased.")]
    what: Annotated[str, said("What was checked.")]
    evidence: Annotated[str, said("What was found.")] = ""


class Verdict(Result, frozen=True):
    """What a verification says."""

    verdict: Annotated[str, said("TOTAL-PASSED, TOTAL-FAILED or INDETERMINATE.")]
    reason: Annotated[str, said("Stable code of the reason.")]
    message: Annotated[str, said("The reason in a sentence.")]
    exit: Annotated[int, said("The exit code: 0, 1 or 3.")]
    checks: Annotated[tuple[CheckRow, ...], said("Every check, in order.")]
    report: Annotated[dict[str, Any], said("The whole report: trust, bundle, claims.")]
    text: Annotated[str, said("The report for a person.")]


class InspectArgs(Args, frozen=True):
    """The proof."""

    proof: Annotated[bytes, said("The proof.", positional=True, content=True)]


class Inspected(Result, frozen=True):
    """What a proof says of itself, unverified."""

    warning: Annotated[str, said("Nothing of this was verified.")]
    size: Annotated[int, said("Its size.")]
    sha256: Annotated[str, said("Its hash.")]
    genesis: Annotated[str, said("The mesh it says it belongs to.")]
    entries: Annotated[tuple[str, ...], said("The entries it carries, by kind.")]
    ticks: Annotated[int, said("The ticks it rests on.")]
    disclosed: Annotated[tuple[str, ...], said("The fields it discloses.")]


@operation("proof", "make", permission="operate")
async def proof_make(node: Node, args: MakeArgs) -> ProofMade:
    """Make the proof of one consent at the newest tick (`maille tick run` makes a newer one).

    With --at it shows the consent as it stood then, and beside it what the newest tick says: a withdrawal since.
    """
    from proofs.make import make
    from proofs.past import View, view_at

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> ProofMade:
        grant_id = find_entry(turn.rows, args.consent, "consent")
        held = mesh.flows.consents.get(turn.vault, grant_id)
        disclosures = held.disclosures if held is not None and not args.none else None
        fields = args.field or None
        replica, newest = mesh.core.replica, View(turn.rows, mesh.core.ticker)
        shown_at, newer = newest, None
        if args.at is not None:
            tick = newest.ticker.remembered(turn.rows, _seconds(args.at) or 0)
            if tick is None:
                told = "no tick before that moment is remembered here; ask a member that has run for longer"
                raise LocalError("NOT_FOUND", told, field="at")
            if newest.ticker.tick is not None and tick.boundary < newest.ticker.tick.boundary:
                shown_at, newer = view_at(turn.rows, replica, tick), newest
        proof = make(shown_at.rows, replica, shown_at.ticker, grant_id, disclosures, fields, newer=newer)
        shown = () if disclosures is None else tuple(fields or disclosures.fields)
        digest = hashlib.sha256(proof).hexdigest()
        return ProofMade(grant_id.hex(), mesh.mesh_id.hex(), len(proof), digest, shown, proof)

    return await mesh.engine.read(look)


def _render(verdict: Verdict) -> str:
    return verdict.text


def _seconds(at: datetime | None) -> int | None:
    if at is None:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


@local_operation("proof", "verify", permission="read", exit_of=lambda verdict: verdict.exit, render=_render)
def proof_verify(local: Local, args: ProofVerifyArgs) -> Verdict:  # noqa: ARG001 - a proof needs no surroundings
    """Verify a proof offline. Exit code 0: it holds; 1: it does not; 3: it cannot be decided.

    The mesh's id must come from elsewhere than the proof: from a member you trust, or a published page.
    """
    from proofs.policy import MemberQuorum, Policy, parse_policy
    from proofs.verify import Trust, verify

    try:
        genesis = bytes.fromhex(args.genesis)
    except ValueError:
        raise usage("A genesis hash is 64 hexadecimal digits.", "genesis") from None
    policy: Policy = parse_policy(args.policy) if args.policy is not None else MemberQuorum(args.members)
    try:
        trust = Trust(genesis, policy, _seconds(args.at), seconds_of(args.max_age, "max_age"))
    except LocalError as error:
        raise usage(error.message) from None
    report = verify(args.proof, trust, int(time.time()))
    checks = tuple(CheckRow(row.id, row.status.value, row.what, row.evidence) for row in report.checks)
    return Verdict(
        report.indication.value,
        report.reason.name,
        report.message,
        report.exit_code,
        checks,
        report.as_json(),
        report.as_text(),
    )


@local_operation("proof", "inspect", permission="read")
def proof_inspect(local: Local, args: InspectArgs) -> Inspected:  # noqa: ARG001 - a proof needs no surroundings
    """Show what is in a proof, without verifying anything."""
    from ledger.entry import Entry
    from proofs import reading

    bundle = reading.decode(args.proof)
    kinds = []
    for logged in bundle.entries:
        try:
            kinds.append(Entry.parse(logged.raw).kind)
        except RemoteError as error:
            kinds.append(f"not well formed ({error.code})")
    genesis = hashlib.sha256(bundle.genesis).hexdigest()
    shown = tuple(name for _, listed in bundle.disclosures for _, _, name in listed)
    digest = hashlib.sha256(args.proof).hexdigest()
    told = "Nothing of this was verified; `maille proof verify` does that."
    return Inspected(told, len(args.proof), digest, genesis, tuple(kinds), len(bundle.ticks), shown)
