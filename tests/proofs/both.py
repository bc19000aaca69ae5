"""Both verifiers over one bundle: ours and the second one, which must come to the same verdict and reason code.

How it works
    `verify` has the shape of `proofs.verify.verify` and returns its report, once `second` has said the same of the same
    bytes. Tests of proofs call it, so that every bundle that one of them makes, golden, bent or false, is judged twice.

What it does not do
    It compares neither words nor rows.
"""

from __future__ import annotations

from base64 import b64encode

import proofs.verify
from ledger.errors import RemoteError
from proofs.policy import LogPolicy
from proofs.policy import Policy as OurPolicy
from proofs.report import Report
from proofs.trust import StampJudge, Trust
from tests.proofs.second import questions
from tests.proofs.second.policy import Quorum
from tests.proofs.second.verifier import second


def verify(bundle: bytes, trust: Trust, now: int) -> Report:
    """Verify with both; return our report."""
    report = proofs.verify.verify(bundle, trust, now)
    theirs = second(bytes(bundle), translated(trust, now))
    assert theirs == (report.exit_code, report.reason.name), f"the second verifier says {theirs}\n{report.as_text()}"
    return report


def translated(trust: Trust, now: int) -> questions.Trust:
    """Return what the auditor brings as the second verifier takes it."""
    told = (trust.genesis, _quorum(trust.policy), trust.at, trust.max_age, now, trust.epoch)
    judge = trust.stamps
    return questions.Trust(*told, trust.audience, trust.nonce, None if judge is None else _judge(judge))


def _quorum(policy: OurPolicy) -> Quorum:
    if not isinstance(policy, LogPolicy):
        return Quorum(members=policy.k)

    def key(name: str, public: bytes) -> str:
        return f"{name}+00000000+{b64encode(bytes([4]) + public).decode()}"

    lines = [f"log {key(name, public)}" for name, public in policy.logs.items()]
    lines += [f"witness {each.decode()} {key(*named)}" for each, named in policy.witnesses.items()]
    for name, group in policy.groups.items():
        members = " ".join(member.decode() for member in group.members)
        lines.append(f"group {name.decode()} {group.threshold} {members}")
    return Quorum(text="\n".join([*lines, f"quorum {policy.quorum.decode()}", ""]))


def _judge(judge: StampJudge) -> questions.Stamps:
    def judged(token: bytes, covered: bytes) -> int | None:
        try:
            return judge(token, covered)
        except RemoteError:
            return None

    return judged
