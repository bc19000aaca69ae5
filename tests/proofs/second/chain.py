"""The epoch chain of README.md: certificates by the voters of the step before.

How it works
    `follow` begins with the founders (or a bare epoch) and takes one step after another. Every fault is BAD_EPOCH.

What it does not do
    It does not ask whether the root of the chain is the auditor's. What entries say of voters, `Words` tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Protocol

from tests.proofs.second import cbor, curve
from tests.proofs.second.container import Step, Voter
from tests.proofs.second.entries import Refused, need
from tests.proofs.second.shapes import COUNT, HASH, NULL, WHEN, either, many, number

_EPOCH: Final = {
    "n": COUNT,
    "prev": HASH,
    "as_of": WHEN,
    **dict.fromkeys(("members_digest", "voters_digest", "frontier_digest", "cuts_digest", "policy_digest"), HASH),
    "state_root": HASH,
    "charter": either(HASH, NULL),
    "thresholds": many(number(0, 2**31), 0, 16),
    "evaluator_version": COUNT,
    "open_proposals": many(HASH, 0, 256),
}


@dataclass(frozen=True, slots=True)
class Epoch:
    """A step that was followed: its number, reference, time, rules, voters."""

    n: int
    reference: bytes
    as_of: int
    policy: bytes
    voters: list[Voter]
    gone: tuple[tuple[bytes, int], ...] = ()


class Words(Protocol):
    """What entries say of voters."""

    def left(self, voter: Voter) -> bool:
        """Say whether a voter's own leave is carried."""

    def heir(self, voter: Voter, at: int) -> bytes:
        """Return the key of the successor that entry `at` certifies. Raises Refused."""


def own_rules(genesis: dict[str, Any]) -> dict[str, Any]:
    """Read the rules that a genesis sets."""
    policy = genesis["policy"]
    if "rules" not in policy:
        return {"forbidden_purposes": policy.get("forbidden_purposes", [])}
    form: dict[str, Any] = cbor.read(policy["rules"])
    return form


def form(content: bytes, otherwise: dict[str, Any]) -> dict[str, Any]:
    """Read rules that an epoch names; those that are none count for nothing."""
    try:
        read = cbor.read(content)
    except cbor.BadBytes:
        return otherwise
    named = type(read) is dict and {"forbidden_purposes", "affiliations"} <= read.keys()
    return read if named else otherwise


def first_voters(genesis: dict[str, Any]) -> list[Voter]:
    """Return who votes under epoch 0: the founders, but of each group that the genesis declares only the first."""
    voters = sorted(Voter(curve.key_id(root), 1, device, "") for root, device in genesis["founders"])
    for group in own_rules(genesis).get("affiliations", []):
        for other in [each for each in voters if each.kid in group][1:]:
            voters.remove(other)
    return voters


def follow(mesh: bytes, iat: int, first: list[Voter], steps: list[Step], words: Words) -> list[Epoch]:
    """Follow a chain. `first`: who votes under epoch 0. Raises Refused BAD_EPOCH."""
    last = Epoch(0, mesh, iat, b"", first)
    found: list[Epoch] = []
    for step in steps:
        gone: tuple[tuple[bytes, int], ...] = ()
        if step.epoch is not None:
            fields, reference = _bare(step.epoch)
        else:
            fields, reference, gone = _certified(mesh, step, last, words)
        listed = [[each.kid, each.incarnation, curve.key_id(each.key), each.college] for each in step.voters]
        _ensure(sha256(cbor.write(listed)).digest() == fields["voters_digest"], "the voters' digest")
        _ensure(all(curve.is_sound_key(each.key) for each in step.voters), "a voter's key")
        _ensure(len({each.kid for each in step.voters}) == len(step.voters), "a member votes once")
        _ensure(len({each.key for each in step.voters}) == len(step.voters), "a key votes once")
        last = Epoch(fields["n"], reference, fields["as_of"], fields["policy_digest"], step.voters, gone)
        found.append(last)
    return found


def _ensure(holds: object, words: str) -> None:
    need(holds, "BAD_EPOCH", words)


def _value(raw: bytes, most: int = 65_536) -> Any:
    try:
        return cbor.read(raw, most)
    except cbor.BadBytes as fault:
        raise Refused("BAD_EPOCH", str(fault)) from None


def _bare(raw: bytes) -> tuple[dict[str, Any], bytes]:
    fields = _value(raw)
    _ensure(type(fields) is dict and fields.keys() == _EPOCH.keys(), "the fields of an epoch")
    _ensure(all(shape(fields[name]) for name, shape in _EPOCH.items()), "a field of an epoch")
    return fields, sha256(raw).digest()


def _places(value: Any, voters: int) -> list[int]:
    _ensure(type(value) is list and all(type(at) is int and 0 <= at < voters for at in value), "indexes of voters")
    _ensure(value == sorted(set(value)), "indexes ascend")
    return list(value)


def _certified(
    mesh: bytes, step: Step, last: Epoch, words: Words
) -> tuple[dict[str, Any], bytes, tuple[tuple[bytes, int], ...]]:
    value, count = _value(step.certificate or b"", 56_000), len(last.voters)
    kinds = [int, bytes, int, bytes, bytes]
    _ensure(type(value) is list and [type(each) for each in value] == kinds and value[0] == 1, "a certificate")
    _, raw, turn, bitmap, signatures = value
    seal = _value(raw, 16_384)
    _ensure(0 <= turn <= 2**31 and type(seal) is list and len(seal) == 4 and type(seal[0]) is bytes, "a seal")
    fields, reference = _bare(seal[0])
    gone, expelled, silent = (_places(listed, count) for listed in seal[1:])
    _ensure(len({*gone, *expelled, *silent}) == len(gone) + len(expelled) + len(silent), "removed once")
    n, staying = fields["n"], count - len(gone)
    _ensure(n > last.n and fields["as_of"] > last.as_of, "number and time increase")
    _ensure(n > last.n + 1 or fields["prev"] == last.reference, "it follows the step before")
    _ensure(staying > 0 and len(expelled) <= (staying + 1) // 2 - 1, "too many are removed")
    bits = int.from_bytes(bitmap, "little")
    _ensure(len(bitmap) == (count + 7) // 8 and not bits >> count, "the bitmap")
    signers = [at for at in range(count) if bits >> at & 1]
    _ensure(len(signatures) == 64 * len(signers), "a signature for each signer")
    _ensure(not {*signers} & {*gone, *expelled}, "only those that remain sign")
    _ensure(len(signers) > max(2 * (staying - len(expelled)) // 3, staying // 2), "the quorum")
    digest = sha256(b"maille/seal/value/v1\x00" + raw).digest()
    said = b"maille/seal/vote/v1\x00" + cbor.write([1, mesh, fields["prev"], n - 1, turn, 2, digest, -1])
    heirs = dict(step.heirs)
    _ensure(heirs.keys() <= {*signers}, "an heir of one who did not sign")
    for nth, at in enumerate(signers):
        key = words.heir(last.voters[at], heirs[at]) if at in heirs else last.voters[at].key
        _ensure(curve.verify(key, said, signatures[64 * nth : 64 * nth + 64]), "a signature")
    _ensure(all(words.left(last.voters[at]) for at in gone), "a voter's own word that it left")
    removed = (last.voters[at] for at in (*gone, *expelled))
    return fields, reference, tuple((each.kid, each.incarnation) for each in removed)
