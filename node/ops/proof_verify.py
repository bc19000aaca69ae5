"""The operation `proof verify`: one proof, several, or a folder of them, with what the auditor trusts.

How it works
    The auditor's trust comes as options, or from a card (`maille trust export`) whose fingerprint she compared with
    its maker on another channel. Each file gets its own report; of several, a line each and the worst one's whole.

What it does not do
    It asks no node and no network. An option never skips a check: without a quorum that is met, nothing passes.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from ledger.errors import LocalError
from node.exits import not_found, usage
from node.naming import seconds_of, unix_of
from node.operation import Args, Local, Result, local_operation, said

if TYPE_CHECKING:
    from proofs.report import Report
    from proofs.trust import Trust

SUFFIX: Final = ".mailleproof"
FILES_MAX: Final = 10_000
"""Files verified at once."""


class ProofVerifyArgs(Args, frozen=True):
    """The proof, and what the auditor trusts."""

    proof: Annotated[
        tuple[str, ...], said("The proof, several, or a folder of *.mailleproof; - is standard input.", positional=True)
    ]
    genesis: Annotated[str, said("The mesh's id, in hexadecimal, known from elsewhere.")] = ""
    members: Annotated[int | None, said("How many members' attestations are enough. Default: 1.")] = None
    policy: Annotated[bytes | None, said("A C2SP tlog-policy, instead of a number of members.", content=True)] = None
    at: Annotated[datetime | None, said("The time asked for: 2026-11-30T12:00:00Z. Default: now.")] = None
    max_age: Annotated[str, said("How old the newest tick may be: 1h, 7d.")] = "1d"
    epoch: Annotated[str, said("A recent epoch's hash, in hexadecimal, known from elsewhere.")] = ""
    card: Annotated[bytes | None, said("A trust card, instead of genesis, epoch and policy.", content=True)] = None
    audience: Annotated[str, said("For whom it must be signed: you.")] = ""
    nonce: Annotated[str, said("The nonce that you gave its presenter, in hexadecimal.")] = ""
    authority: Annotated[
        bytes | None, said("Certificates (PEM) of time-stamping authorities that you trust.", content=True)
    ] = None


class CheckRow(Result, frozen=True):
    """One check of a verification."""

    name: Annotated[str, said("Which check.")]
    outcome: Annotated[str, said("passed, failed, not-looked or erased.")]
    what: Annotated[str, said("What was checked.")]
    evidence: Annotated[str, said("What was found.")] = ""


class ProofFileRow(Result, frozen=True):
    """One file of several."""

    file: Annotated[str, said("Its name.")]
    verdict: Annotated[str, said("TOTAL-PASSED, TOTAL-FAILED or INDETERMINATE.")]
    reason: Annotated[str, said("Stable code of the reason.")]
    exit: Annotated[int, said("The exit code: 0, 1 or 3.")]


class Verdict(Result, frozen=True):
    """What a verification says; of several files, the worst one's."""

    verdict: Annotated[str, said("TOTAL-PASSED, TOTAL-FAILED or INDETERMINATE.")]
    reason: Annotated[str, said("Stable code of the reason.")]
    message: Annotated[str, said("The reason in a sentence.")]
    exit: Annotated[int, said("The exit code: 0, 1 or 3.")]
    checks: Annotated[tuple[CheckRow, ...], said("Every check, in order.")]
    report: Annotated[dict[str, Any], said("The whole report: trust, bundle, claims.")]
    text: Annotated[str, said("The report for a person.")]
    files: Annotated[tuple[ProofFileRow, ...], said("Every file, where there are several.")] = ()


def _render(verdict: Verdict) -> str:
    lines = [f"{row.verdict:<14} {row.reason:<24} {row.file}" for row in verdict.files]
    return "\n".join([*lines, "", verdict.text] if lines else [verdict.text])


@local_operation("proof", "verify", permission="read", exit_of=lambda verdict: verdict.exit, render=_render)
def proof_verify(local: Local, args: ProofVerifyArgs) -> Verdict:  # noqa: ARG001 - a proof needs no surroundings
    """Verify proofs offline. Exit code 0: it holds; 1: it does not; 3: it cannot be decided.

    The mesh's id must come from elsewhere than the proof: from a member you trust, a published page, or a trust card.
    """
    from proofs.verify import verify

    trust, now = _trust(args), int(time.time())
    found = [(name, verify(data, trust, now)) for name, data in _files(args.proof)]
    _, worst = max(found, key=lambda each: (1, 3, 0).index(each[1].exit_code) * -1)
    rows = tuple(_row(name, report) for name, report in found) if len(found) > 1 else ()
    checks = tuple(CheckRow(row.id, row.status.value, row.what, row.evidence) for row in worst.checks)
    told = (worst.indication.value, worst.reason.name, worst.message, worst.exit_code)
    return Verdict(*told, checks, worst.as_json(), worst.as_text(), rows)


def _row(name: str, report: Report) -> ProofFileRow:
    return ProofFileRow(name, report.indication.value, report.reason.name, report.exit_code)


def _files(named: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Return (name, content) of every file that is named, those of folders by name."""
    from node.cli.terminal import unreadable
    from proofs.bundle import BUNDLE_BYTES_MAX

    paths: list[Path | None] = []
    for name in named:
        path = Path(name)
        if name == "-":
            paths.append(None)
        elif path.is_dir():
            inside = sorted(path.glob(f"*{SUFFIX}"))
            if not inside:
                raise not_found(f"No file in {name} ends in {SUFFIX}.", "proof")
            paths += inside
        else:
            paths.append(path)
    if not 1 <= len(paths) <= FILES_MAX:
        raise usage(f"Name 1 to {FILES_MAX} proofs.", "proof")
    found = []
    for each in paths:
        try:
            if each is None:
                found.append(("-", sys.stdin.buffer.read(BUNDLE_BYTES_MAX + 1)))
            else:
                with each.open("rb") as file:
                    found.append((str(each), file.read(BUNDLE_BYTES_MAX + 1)))
        except OSError as error:
            raise unreadable(each or Path("-"), error) from None
    return found


def _trust(args: ProofVerifyArgs) -> Trust:
    from node.stamping import judge_of
    from proofs.policy import MemberQuorum, Policy, parse_policy
    from proofs.trust import Card, Trust

    genesis, epoch = hash_of(args.genesis, "genesis"), hash_of(args.epoch, "epoch")
    policy: Policy = MemberQuorum(1 if args.members is None else args.members)
    named = args.policy
    if args.card is not None:
        card = Card.decode(args.card)
        if genesis not in (None, card.genesis) or epoch not in (None, card.epoch):
            raise usage("The card is of another mesh or epoch than the one you named.", "card")
        genesis, epoch = card.genesis, card.epoch if card.epoch != card.genesis else None
        if card.policy and named is None:
            named = card.policy.encode()
    if genesis is None:
        raise usage(
            "Say which mesh you trust: --genesis with its id (64 hexadecimal digits), or --card FILE.", "genesis"
        )
    if named is not None:
        if args.members is not None:
            raise usage("The policy, or the card, says whose word is enough: leave out --members, or them.", "members")
        policy = parse_policy(named)
    try:
        nonce = bytes.fromhex(args.nonce) if args.nonce else None
        return Trust(
            genesis,
            policy,
            None if args.at is None else unix_of(args.at),
            seconds_of(args.max_age, "max_age"),
            epoch,
            args.audience or None,
            nonce,
            None if args.authority is None else judge_of(args.authority),
        )
    except LocalError as error:
        raise usage(error.message, error.field or "") from None
    except ValueError:
        raise usage("A nonce is given in hexadecimal.", "nonce") from None


def hash_of(text: str, field: str) -> bytes | None:
    """Return a hash of 64 hexadecimal digits; None for "". Raises LocalError USAGE."""
    if not text:
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise usage("A hash is 64 hexadecimal digits.", field)
    return found
