"""What of the ledger reads bytes of others: entries and what they carry, checkpoints, sealed content, votes, tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from ledger import checkpoint, codec, fork, header, keys, replica
from ledger.consent import disclosure, facts, fault, granularity, heir, slip, token, wallet
from ledger.consent.answer import Answer, Evidence, NoGrant, open_evidence
from ledger.documents.change import Change
from ledger.entry import Entry
from ledger.governance import certificate, policy, record, rounds
from ledger.governance.certificate import Certificate, Seal, Step
from ledger.governance.epoch import Genesis
from ledger.governance.rules import Rules
from ledger.merkle import Peaks
from tests.fuzz.case import Case, Parser, asked, text
from tests.golden import FOLDER
from tests.ledger.consent import test_disclosure, test_facts, test_slip, test_token
from tests.ledger.documents import crafting
from tests.ledger.governance.meshes import context_of, key_of, mesh_of, seal_of
from tests.worlds import NOW

_VOTERS: Final = 4
_CONTEXT: Final = context_of(_VOTERS)
_HEIR: Final = heir.Heir(bytes(32), key_of(1).public, key_of(2).public, (bytes(32), 1))


@cache
def _golden() -> Mapping[str, Entry]:
    """Return the golden entries, by the names of their files."""
    found = {}
    for path in sorted(FOLDER.glob("*.cbor")):
        data = path.read_bytes()
        if data[:1] == b"\xd2":
            found[path.stem] = Entry.parse(data)
    return found


def _entries() -> tuple[bytes, ...]:
    return tuple(entry.raw for entry in _golden().values())


def _code(data: bytes) -> object:
    value = codec.decode(data, max_bytes=codec.MAX_BYTES)
    assert codec.encode(value) == data
    return [value]


def _entry(data: bytes) -> object:
    entry = Entry.parse(data)
    assert entry.id == hashlib.sha256(data).digest()
    assert replica.decode(data) is not None
    if entry.kind == "fork.proof":
        fork.check(entry.payload, _golden()["genesis"].id)
    if entry.kind == "genesis":
        Genesis.read(entry)
    return entry


def _header(data: bytes) -> object:
    found = header.read_thoroughly(data)
    assert header.read_header(data) == found
    return found


def _headers() -> tuple[bytes, ...]:
    return tuple(codec.decode_sign1(data)[0] for data in _entries())  # type: ignore[misc]


def _checkpoint(data: bytes) -> object:
    note = checkpoint.Checkpoint.parse(text(data))
    assert note.text() == text(data)
    return note, checkpoint.parse_origin(note.origin)


def _vkey(data: bytes) -> object:
    name, public = checkpoint.parse_vkey(text(data))
    return checkpoint.parse_origin(name), public


def _vkeys() -> tuple[bytes, ...]:
    return (checkpoint.vkey(checkpoint.origin(bytes(32), bytes(32)), key_of(1).public).encode(),)


def _sealed(data: bytes) -> object:
    disclosure.sealed_for(data)
    return disclosure.open_sealed(data, test_disclosure.GRANT, test_disclosure.ANN)


def _resealed(data: bytes) -> object:
    """Read what a reader finds in a blob that its sender sealed well."""
    found = disclosure.Disclosures.decode(data)
    disclosure.check(found, test_disclosure.GRANT.payload["slots"])
    return found, found.terms()


def _evidence(data: bytes) -> object:
    mesh = _golden()["genesis"].id
    open_evidence(data, mesh)
    return fault.check_fault(data, mesh, fault.Known((bytes(32), 1), None, {}, {}, head_held=False))


def _evidences() -> tuple[bytes, ...]:
    """Return an answer that served under a grant that cannot be."""
    mesh, challenge, party = _golden()["genesis"].id, NoGrant(bytes(16)), (bytes(32), 1)
    served = Answer(bytes(16), 0, challenge.grant(), party, party, 5, "", bytes(32))
    return (Evidence(key_of(1).public, served.sign(key_of(1), mesh), served, challenge).encode(),)


def _showing(data: bytes) -> object:
    showing = facts.Showing.read(data)
    wanted = (test_facts.ISSUER.public,), test_facts.COUNTER, test_facts.NONCE, NOW
    return facts.check(showing, *wanted)


def _token(data: bytes) -> object:
    found = token.Token.decode(data)
    assert token.Token.decode(found.encode()) == found
    return token.verify(found, test_token.KEY)


def _change(data: bytes) -> object:
    """Read a change whose checksum is mended, as whoever writes one would."""
    return Change.read(data[:4] + hashlib.sha256(data[8:]).digest()[:4] + data[8:])


def _certificate(data: bytes) -> object:
    found = Certificate.decode(data, _VOTERS)
    certificate.verify_certificate(found, _CONTEXT)
    return found


def _certificates() -> tuple[bytes, ...]:
    seal = seal_of(_CONTEXT, 1)
    signed = certificate.vote_bytes(_CONTEXT, 0, Step.COMMIT, seal.digest(), -1)
    commits = tuple((voter, key_of(voter).sign(signed)) for voter in range(3))
    return (Certificate(seal, 0, commits).encode(_VOTERS),)


def _votes() -> tuple[bytes, ...]:
    seal = seal_of(_CONTEXT, 1)
    said = (
        rounds.Message(0, 0, Step.PROPOSE, seal.digest(), -1, b"", seal),
        rounds.Message(1, 0, Step.PREPARE, seal.digest(), -1, b""),
        rounds.Message(2, 3, Step.COMMIT, None, -1, b""),
    )
    return tuple(rounds.sign_message(key_of(one.voter).sign, _CONTEXT, one).encode(_CONTEXT) for one in said)


def _records() -> tuple[bytes, ...]:
    mesh = mesh_of(_VOTERS)
    while mesh.underway:
        to, message = mesh.underway.pop(0)
        mesh.give(to, rounds.Received(message))
    return (mesh.disks[0],)


def _record(data: bytes) -> object:
    return record.Record.decode(data, _CONTEXT, 0) or "of another instance"


def _predicates() -> tuple[bytes, ...]:
    return tuple(
        policy.encode(one) for one in (policy.Bilateral(), policy.AnyOf((policy.Sponsors(2), policy.Ballot((1, 2)))))
    )


def _peaks(data: bytes) -> object:
    found = Peaks.decode(data)
    assert found.encode() == data
    return found, found.root()


def _duration(data: bytes) -> object:
    found = granularity.parse_duration(text(data))
    assert granularity.later(1_800_000_000, text(data)) >= 1_800_000_000
    return found


def _wallets() -> tuple[bytes, ...]:
    own = wallet.OwnConsent(bytes(wallet.RECORD_ID_BYTES), bytes(32), None)
    return (wallet.Wallet(bytes(32), (own,)).encode(),)


def _typed(parse: Callable[[str], Any]) -> Parser:
    return asked(lambda data: parse(text(data)))


CASES: Final[Mapping[str, Case]] = {
    "ledger-cbor": Case(_code, lambda: (codec.encode([1, "é", {"a": b"b", "b": None}, [True, -5]]),)),
    "ledger-sign1": Case(codec.decode_sign1, _entries),
    "ledger-entry": Case(_entry, _entries),
    "ledger-header": Case(_header, _headers),
    "ledger-genesis": Case(lambda data: Genesis.read(Entry.parse(data)), lambda: (_golden()["genesis"].raw,)),
    "ledger-checkpoint": Case(_checkpoint, lambda: ((FOLDER / "checkpoint.txt").read_bytes(),)),
    "ledger-verifier-key": Case(_vkey, _vkeys),
    "ledger-did": Case(
        lambda data: keys.public_from_did_key(text(data)), lambda: (keys.did_key(key_of(1).public).encode(),)
    ),
    "ledger-sealed": Case(_sealed, lambda: (test_disclosure.BLOB,)),
    "ledger-disclosures": Case(_resealed, lambda: (test_disclosure.DISCLOSED.encode(),)),
    "ledger-evidence": Case(_evidence, _evidences),
    "ledger-slip": Case(_typed(slip.parse_slip), lambda: (test_slip.CODE.encode(), test_slip.SLIP.code().encode())),
    "ledger-heir": Case(_typed(heir.parse_heir), lambda: (_HEIR.code().encode(),)),
    "ledger-wallet": Case(lambda data: wallet.Wallet.decode(bytes(32), data), _wallets),
    "ledger-duration": Case(_duration, lambda: (b"P1M", b"PT30M", b"P10Y", b"P1D")),
    "ledger-peaks": Case(_peaks, lambda: tuple(Peaks(0, ()).extend([bytes(32)] * size).encode() for size in (0, 5))),
    "ledger-showing": Case(_showing, lambda: (test_facts.SHOWN.encode(),)),
    "ledger-token": Case(_token, lambda: (test_token.TOKEN.encode(),)),
    "ledger-change": Case(_change, lambda: (crafting.hello(), crafting.hello(1, "Été"))),
    "ledger-seal": Case(
        Seal.decode, lambda: (seal_of(_CONTEXT, 1).encode(), seal_of(_CONTEXT, 2, (1,), (2,)).encode())
    ),
    "ledger-certificate": Case(_certificate, _certificates),
    "ledger-vote": Case(lambda data: rounds.open_message(data, _CONTEXT), _votes),
    "ledger-seal-record": Case(asked(_record), _records),
    "ledger-rules": Case(Rules.decode, lambda: (_golden()["proposal"].payload["rules"], Rules().encode())),
    "ledger-predicate": Case(policy.decode, _predicates),
}
"""Name -> parser and seeds."""
