"""The steps `accounts`, `findings` and `presenter` of README.md.

How it works
    Transfers are held to the grants and to the digests on the ledger; what a member is accused of, to its own
    signatures; the presentation to the file without it. What fails raises Refused.

What it does not do
    It does not ask whether a consent covered a transfer (questions).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

from tests.proofs.second import cbor, curve
from tests.proofs.second.container import Statement
from tests.proofs.second.entries import Entry, Refused, is_signed, need, root_of
from tests.proofs.second.evidence import Evidence, Party
from tests.proofs.second.rests import opened
from tests.proofs.second.shapes import HASH, NULL, PARTY, SIGNED_HEAD, WHEN, either, number, octets, row, text, word


class Transfer(NamedTuple):
    """A transfer that was checked. Accounts as lists, their salt left out; `frontier`: the digest that it names."""

    grant: int
    receipt: int
    ack: int | None
    frontier: bytes | None
    sent: list[Any] | None
    received: list[Any] | None


def slot(salt: bytes, value: Any, name: str) -> bytes:
    """Return the digest that hides a value."""
    return sha256(cbor.write(cbor.write([salt, value, name]))).digest()


def transfers(evidence: Evidence) -> list[Transfer]:
    """Check what is opened beside the grants, and every transfer."""
    evidence.contents = opened(evidence)
    ids = [entry.id for entry in evidence.entries[: evidence.grants]]
    found, taken = [], set()
    for receipt, ack in evidence.bundle.transfers:
        ident, grant_id, digest, frontier = _stated(evidence, receipt, "transfer.receipt", "receipts")
        need(grant_id in ids and ident not in taken, "TRANSFER_MISMATCH", "its consent, or twice")
        taken.add(ident)
        payload = evidence.entries[ids.index(grant_id)].payload
        holder, recipient = payload["holder"], payload["recipient"]
        told = [ident, grant_id, holder, recipient]
        sent, received, acked = _opened(receipt, "transfer.receipt", digest, told), None, None
        need(sent is None or sent[4] == frontier, "TRANSFER_MISMATCH", "another tick")
        _by(evidence, receipt, holder)
        if ack is not None:
            same, digest = _stated(evidence, ack, "transfer.ack", "acks")
            need(same == ident, "TRANSFER_MISMATCH", "another transfer")
            received = _opened(ack, "transfer.ack", digest, told)
            need(len(recipient) == 2, "TRANSFER_MISMATCH", "a class of recipients")
            _by(evidence, ack, recipient)
            acked = ack.entry
        found.append(Transfer(ids.index(grant_id), receipt.entry, acked, frontier, sent, received))
    return found


def _stated(evidence: Evidence, statement: Statement, kind: str, name: str) -> list[Any]:
    entry = evidence.entries[statement.entry]
    rows: list[Any] = entry.payload[name] if entry.kind == kind else []
    need(statement.position < len(rows), "TRANSFER_MISMATCH", "no such row")
    evidence.used.add(statement.entry)
    stated: list[Any] = rows[statement.position]
    return stated


def _opened(statement: Statement, kind: str, digest: bytes, told: list[Any]) -> list[Any] | None:
    if statement.account is None:
        return None
    salt, *account = statement.account
    need(slot(salt, account, kind) == digest, "DISCLOSURE_MISMATCH", "an account")
    named = 3 if len(told[3]) == 1 else 4  # a class of recipients is anybody
    need(account[:named] == told[:named], "TRANSFER_MISMATCH", "an account of something else")
    return account


def _by(evidence: Evidence, statement: Statement, party: list[Any]) -> None:
    kid = evidence.entries[statement.entry].kid
    if party[1] == 0 and kid == party[0]:
        return
    for number_, tick in enumerate(evidence.ticks):
        person = tick.people.get(party[0])
        if party[1] and person is not None and person[0] == party[1] and kid in person[2]:
            evidence.people_used.add((number_, party[0]))
            return
    need(False, "TRANSFER_MISMATCH", "another signer")


# Findings


def _ensure(holds: object, words: str) -> None:
    need(holds, "BAD_STATE_PROOF", words)


def _value(raw: bytes) -> Any:
    try:
        return cbor.read(raw)
    except cbor.BadBytes as fault:
        raise Refused("BAD_STATE_PROOF", str(fault)) from None


def findings(evidence: Evidence) -> None:
    """Check what a bundle of selection `conduct` tells of its member."""
    if evidence.bundle.selection != "conduct" or evidence.bundle.about is None:
        return
    party = (evidence.bundle.about[0], evidence.bundle.about[1])
    checks = {"fork.proof": _fork, "seal.evidence": _sealed_twice, "probe.result": _probe}
    for at, entry in enumerate(evidence.entries):
        if entry.kind in checks:
            checks[entry.kind](evidence, entry, party)
            evidence.used.add(at)
    ends = {(grant, evidence.entries[at].id) for at, grant in evidence.ends.items()}
    for at, entry in enumerate(evidence.entries):
        if entry.kind == "consent.acknowledge" and (entry.payload["grant"], entry.payload["entry"]) in ends:
            known = evidence.key(entry.kid)
            if known is not None and known[1] == party:
                evidence.used.add(at)
    evidence.people_used.update((at, party[0]) for at, tick in enumerate(evidence.ticks) if party[0] in tick.people)


def _fork(evidence: Evidence, entry: Entry, party: Party) -> None:
    told = entry.payload
    feed = curve.key_id(told["feed_key"])
    (size, root, time, _), (second_size, second_root, second_time, _) = heads = told["first"], told["second"]
    for each in heads:
        good = is_signed(told["feed_key"], evidence.mesh, (feed, each[0], each[1]), each[2], each[3])
        _ensure(good, "a face that the feed's key did not sign")
    _ensure(("index" in told) == ("leaves" in told), "index and leaves belong together")
    if "index" not in told:
        _ensure(second_size < size and second_time > time, "a smaller size later")
    else:
        index, ((leaf, path), (other, other_path)) = told["index"], told["leaves"]
        roots = root_of(leaf, index, size, path), root_of(other, index, second_size, other_path)
        _ensure(roots == (root, second_root) and leaf != other, "different leaves below both")
        _ensure(_lefts(index, size, path) == _lefts(index, second_size, other_path), "the same prefix")
    _ensure(entry.thing[1] == feed, "another feed")
    _ensure(evidence.keyed(feed)[1] == party, "another member's feed")


def _lefts(index: int, size: int, path: list[bytes]) -> list[bytes]:
    """Pick the left siblings out of an inclusion path."""
    lefts, last = [], size - 1
    for sibling in path:
        if index & 1 or index == last:
            lefts.append(sibling)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    return lefts


def _sealed_twice(evidence: Evidence, entry: Entry, party: Party) -> None:
    named, said = entry.payload["epoch"], []
    voters, n = evidence.first, 0
    if named != evidence.mesh:
        step = next((step for step in evidence.chain if step.reference == named), None)
        _ensure(step is not None, "an epoch that is not carried")
        voters, n = (step.voters, step.n) if step is not None else (voters, n)
    for raw in entry.payload["messages"]:
        told = _value(raw)
        _ensure(type(told) is list and len(told) == 12 and told[:4] == [1, evidence.mesh, named, n], "another epoch")
        turn, step_, digest, valid, voter, signature, seal, polka = told[4:]
        _ensure(number(0, 2**31)(turn) and number(-1, turn - 1)(valid) and type(step_) is int, "numbers")
        _ensure(step_ in (1, 2) and seal is None and polka is None, "a prepare or a commit")
        _ensure(valid == -1 or (step_ == 1 and digest is not None), "a valid round")
        _ensure(
            number(0, len(voters) - 1)(voter) and either(HASH, NULL)(digest) and octets(64)(signature), "voter, digest"
        )
        signed = b"maille/seal/vote/v1\x00" + cbor.write(told[:8])
        _ensure(curve.verify(voters[voter].key, signed, signature), "a signature")
        said.append((voter, turn, step_, digest, valid))
    one, other = said
    if one[2] == other[2]:
        against = one[1] == other[1] and one != other
    else:
        commit, prepare = (one, other) if one[2] == 2 else (other, one)
        against = commit[3] is not None and prepare[3] not in (None, commit[3]) and prepare[4] < commit[1] < prepare[1]
    _ensure(against and one[0] == other[0], "no contradiction")
    _ensure((voters[one[0]].kid, voters[one[0]].incarnation) == party, "another member")


_ASKED = either(row(word("no-grant"), octets(16)), row(word("after"), octets(16), HASH, HASH, SIGNED_HEAD), NULL)
_ANSWER = row(
    *(number(1, 1), HASH, octets(64), octets(16), number(0, 1 << 24), either(HASH, NULL), PARTY, PARTY, WHEN),
    *(either(text(48), NULL), HASH, _ASKED),
)


def _probe(evidence: Evidence, entry: Entry, party: Party) -> None:
    _ensure(entry.thing[1] == party[0], "another member")
    if "evidence" not in entry.payload:
        return
    told = _value(entry.payload["evidence"])
    _ensure(_ANSWER(told), "no evidence")
    _, public, signature, transfer, _, grant, *_, asked = told
    signed = cbor.write(["maille answer 1", evidence.mesh, *told[3:11]])
    _ensure(curve.verify(public, signed, signature), "the device did not sign this answer")
    device = curve.key_id(public)
    if asked is not None and asked[0] == "no-grant":
        _ensure(sha256(cbor.write(["maille no grant 1", asked[1]])).digest() == grant, "another request")
    elif asked is not None:
        bound = sha256(cbor.write(["maille after 1", *asked])).digest()[:16]
        _ensure(bound == transfer and asked[3] == device, "another request")
        size, root, time, own = asked[4]
        _ensure(is_signed(public, evidence.mesh, (device, size, root), time, own), "a head of its own")
    _ensure(evidence.keyed(device)[1] == party, "another member's device")


# The presentation


def presenter(evidence: Evidence) -> None:
    """Check the presenter's signature, and look up who it is."""
    if evidence.bundle.presentation is None:
        return
    audience, nonce, time, public, signature = evidence.bundle.presentation
    digest = sha256(evidence.bundle.bare).digest()
    said = b"maille/presentation/v1\x00" + cbor.write([digest, audience, nonce, time, public])
    need(curve.is_sound_key(public) and curve.verify(public, said, signature), "BAD_SIGNATURE", "presentation")
    if public not in {entry.signer for entry in evidence.entries[: evidence.grants]}:
        evidence.key(curve.key_id(public))
