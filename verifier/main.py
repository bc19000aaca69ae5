"""maille-verify: verify `.mailleproof` files where nothing but Python, cbor2 and PyNaCl is installed.

How it works
    This is the `__main__` of the zip application that `verifier/build.py` makes: the same verifier as in
    `maille proof verify`, with a command line of the standard library. It reads the files it is told to, the clock, and
    nothing else: no network, no store, no keys.
    Exit code 0 TOTAL-PASSED, 1 TOTAL-FAILED, 2 wrong usage, 3 INDETERMINATE; of several files the worst.

What it does not do
    It judges no RFC 3161 time stamps: they are told as not looked at. `maille proof verify --authority` does.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ledger.errors import MailleError
from proofs.bundle import BUNDLE_BYTES_MAX
from proofs.policy import MemberQuorum, Policy, parse_policy
from proofs.reasons import Reason
from proofs.report import Report
from proofs.trust import Card, Trust
from proofs.verify import verify

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parser() -> argparse.ArgumentParser:
    """Return what the command line may hold."""
    made = argparse.ArgumentParser(prog="maille-verify", description="Verify proofs of consent, offline.")
    made.add_argument("proof", nargs="*", help="a file, several, or a folder of *.mailleproof; - is standard input")
    made.add_argument("--genesis", help="the mesh's id, in hexadecimal, known from elsewhere")
    made.add_argument("--epoch", help="a recent epoch's hash, in hexadecimal, known from elsewhere")
    made.add_argument("--card", help="a trust card, instead of genesis, epoch and policy; compare its fingerprint")
    made.add_argument("--members", type=int, help="how many members' attestations are enough (1)")
    made.add_argument("--policy", help="a C2SP tlog-policy, instead of a number of members")
    made.add_argument("--at", help="the time asked for: 2026-11-30T12:00:00Z; now by default")
    made.add_argument("--max-age", default="1d", help="how old the newest tick may be: 1h, 7d (1d)")
    made.add_argument("--audience", help="for whom it must be signed: you")
    made.add_argument("--nonce", help="the nonce that you gave its presenter, in hexadecimal")
    made.add_argument("--json", action="store_true", help="print reports as JSON, one a line")
    made.add_argument("--explain", metavar="CODE", help="explain the code of a reason, and stop")
    return made


def trust_of(options: argparse.Namespace) -> Trust:
    """Return what the auditor trusts. Raises MailleError, ValueError, OSError."""
    card = Card.decode(Path(options.card).read_bytes()) if options.card else None
    genesis, epoch = (bytes.fromhex(text) if text else None for text in (options.genesis, options.epoch))
    policy: Policy = MemberQuorum(1 if options.members is None else options.members)
    named = Path(options.policy).read_bytes() if options.policy else None
    if card is not None:
        if genesis not in (None, card.genesis) or epoch not in (None, card.epoch):
            raise ValueError("the card is of another mesh or epoch than the one you named")
        genesis, epoch = card.genesis, card.epoch if card.epoch != card.genesis else None
        if card.policy and named is None:
            named = card.policy.encode()
        print(f"card of {card.mesh}: fingerprint {card.fingerprint()}", file=sys.stderr)
    if named is not None:
        if options.members is not None:
            raise ValueError("the policy, or the card, says whose word is enough: leave out --members, or them")
        policy = parse_policy(named)
    if genesis is None:
        raise ValueError("name the mesh with --genesis, or a --card")
    at = None if options.at is None else datetime.fromisoformat(options.at)
    asked = None if at is None else int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    nonce = bytes.fromhex(options.nonce) if options.nonce else None
    return Trust(genesis, policy, asked, seconds(options.max_age), epoch, options.audience, nonce)


def seconds(text: str) -> int:
    """Return the seconds of a duration such as 24h. Raises ValueError."""
    if len(text) < 2 or text[-1] not in UNITS or not text[:-1].isdecimal():
        raise ValueError(f"{text!r} is no duration; write 90s, 30m, 24h or 7d")
    return int(text[:-1]) * UNITS[text[-1]]


def contents(named: Sequence[str]) -> list[tuple[str, bytes]]:
    """Return (name, content) of all files; those of a folder by name. Raises OSError, ValueError."""
    found = []
    for name in named:
        path = Path(name)
        if name == "-":
            found.append((name, sys.stdin.buffer.read(BUNDLE_BYTES_MAX + 1)))
            continue
        inside = sorted(path.glob("*.mailleproof")) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"no file in {name} ends in .mailleproof")
        for each in inside:
            with each.open("rb") as file:
                found.append((str(each), file.read(BUNDLE_BYTES_MAX + 1)))
    if not found:
        raise ValueError("name at least one proof")
    return found


def show(name: str, report: Report, options: argparse.Namespace, many: bool) -> None:
    """Print one report: whole, as JSON, or in a line where there are several, the worst of which follows whole."""
    if options.json:
        print(json.dumps({"file": name, **report.as_json()}))
    elif many:
        print(f"{report.indication.value:<14} {report.reason.name:<24} {name}: {report.message}")
    else:
        print(report.as_text(), end="")


def explain(code: str) -> int:
    """Print what a code means."""
    found = [reason for reason in Reason if reason.name == code.upper()]
    for reason in found:
        print(f"{reason.name}  {reason.indication.value}\n  {reason.meaning}\n  {reason.advice}")
    return 0 if found else 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a purpose may hold letters that a terminal does not know
            stream.reconfigure(errors="backslashreplace")
    if options.explain:
        return explain(options.explain)
    try:
        trust, files = trust_of(options), contents(options.proof)
    except (MailleError, ValueError, OSError) as error:
        told = f"{error.filename} cannot be read: {error.strerror}" if isinstance(error, OSError) else error
        print(f"maille-verify: {told}", file=sys.stderr)
        return 2
    reports = [(name, verify(data, trust, int(time.time()))) for name, data in files]
    worst = min((report for _, report in reports), key=lambda report: (1, 3, 0).index(report.exit_code))
    for name, report in reports:
        show(name, report, options, len(reports) > 1)
    if len(reports) > 1 and not options.json:
        print(f"\n{worst.as_text()}", end="")
    return worst.exit_code


if __name__ == "__main__":
    sys.exit(main())
