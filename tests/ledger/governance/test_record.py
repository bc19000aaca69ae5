"""The record of a voter: kept whole or refused; the lock."""

from __future__ import annotations

import pytest

from ledger.errors import LocalError
from ledger.governance.certificate import Step
from ledger.governance.record import Lock, Record
from ledger.governance.rounds import Message, Received, sign_message
from tests.ledger.governance.meshes import context_of, key_of, mesh_of


def test_a_record_is_kept_whole_or_refused() -> None:
    mesh = mesh_of(4, traitors=(1,))
    mesh.refused[2].add(mesh.candidate.digest())
    while mesh.underway:
        to, message = mesh.underway.pop(0)
        mesh.give(to, Received(message))
    lie = Message(1, 0, Step.PREPARE, mesh.candidate.digest(), -1, b"")
    for voter in (0, 3):
        mesh.give(voter, Received(sign_message(key_of(1).sign, mesh.context, lie)))
    raw = mesh.disks[0]
    record = Record.decode(raw, mesh.context, 0)
    assert record is not None
    assert record.encode(mesh.context, 0) == raw
    assert record.valid is not None
    assert (record.voted, record.locked) == (True, Lock(0, mesh.candidate.digest(), -1))
    assert Record.decode(raw, context_of(4, 1), 0) is None
    assert Record.decode(raw, context_of(4, 0, b"x" * 32), 0) is None
    for damaged in (raw[:-1], raw + b"\0", b"", raw.replace(b"m" * 32, b"m" * 31), b"\x80"):
        with pytest.raises(LocalError) as error:
            Record.decode(damaged, mesh.context, 0)
        assert error.value.code == "SEAL_RECORD"
    with pytest.raises(LocalError):
        Record.decode(raw, mesh.context, 1)
    signature = record.sent[0].signature
    with pytest.raises(LocalError):
        Record.decode(raw.replace(signature, bytes(64)), mesh.context, 0)


def test_a_lock_yields_to_a_later_polka_only() -> None:
    lock = Lock.on(b"a", 3, None)
    assert lock == Lock(3, b"a", -1)
    assert (lock.allows(b"a", -1), lock.allows(b"b", 2), lock.allows(b"b", 3)) == (True, False, True)
    moved = Lock.on(b"b", 5, lock)
    assert moved == Lock(5, b"b", 3)
    assert (moved.allows(b"b", 2), moved.allows(b"b", 3), moved.allows(b"a", 4)) == (False, True, False)
    assert Lock.on(b"b", 7, moved) == Lock(7, b"b", 3)
