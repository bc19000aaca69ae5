"""Messages of sealing: what is refused, what a proposal must show, what convicts its signer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import RemoteError
from ledger.governance.certificate import EpochContext, Step
from ledger.governance.rounds import Message, Polka, convicts, open_message, sign_message
from tests.ledger.governance.meshes import context_of, key_of, seal_of, vote


def signed(context: EpochContext, message: Message, key: int | None = None) -> Message:
    return sign_message(key_of(message.voter if key is None else key).sign, context, message)


def code_of(raw: bytes, context: EpochContext) -> str:
    with pytest.raises(RemoteError) as error:
        open_message(raw, context)
    return error.value.code


def test_messages_that_are_refused() -> None:
    context = context_of(4)
    seal = seal_of(context, 1)
    prepare = Message(1, 0, Step.PREPARE, seal.digest(), -1, b"")
    proposal = Message(0, 0, Step.PROPOSE, seal.digest(), -1, b"", seal)
    for other in (replace(context, mesh_id=b"x" * 32), replace(context, reference=b"x" * 32), replace(context, n=1)):
        assert code_of(signed(other, prepare).encode(other), context) == "SEAL_EPOCH"
    codes = {
        "BAD_SIGNATURE": [signed(context, prepare, key=2), replace(prepare, signature=b"")],
        "SEAL_VOTER": [signed(context, replace(prepare, voter=4), key=4)],
        "SEAL_PROPOSER": [signed(context, replace(proposal, round=1)), signed(context, replace(proposal, voter=1))],
        "SEAL_REFUSED": [signed(context, replace(proposal, seal=(odd := seal_of(context, 0)), digest=odd.digest()))],
        "SEAL_MALFORMED": [
            signed(context, replace(prepare, round=-1)),
            signed(context, replace(prepare, round=2**31 + 1)),
            signed(context, replace(prepare, valid_round=0)),
            signed(context, replace(prepare, valid_round=-2)),
            signed(context, replace(prepare, digest=None, round=2, valid_round=1)),
            signed(context, replace(prepare, step=Step.COMMIT, round=2, valid_round=1)),
            signed(context, replace(prepare, digest=b"short")),
            signed(context, replace(prepare, seal=seal)),
            signed(context, replace(proposal, seal=None)),
            signed(context, replace(proposal, digest=None)),
            signed(context, replace(proposal, digest=bytes(32))),
            signed(context, replace(proposal, round=4, valid_round=1)),
        ],
    }
    for code, messages in codes.items():
        assert [code_of(one.encode(context), context) for one in messages] == [code] * len(messages)
    good = signed(context, prepare).encode(context)
    assert len(good) < 220
    assert open_message(good, context) == signed(context, prepare)
    assert code_of(good + b"\0", context).startswith("CBOR_")


def test_a_proposal_shows_its_polka() -> None:
    context = context_of(4)
    seal = seal_of(context, 1)
    prepares = [signed(context, Message(voter, 1, Step.PREPARE, seal.digest(), -1, b"")) for voter in range(4)]
    names = tuple((one.voter, one.signature) for one in prepares)

    def proposal(polka: Polka) -> bytes:
        message = Message(0, 4, Step.PROPOSE, seal.digest(), 1, b"", seal, polka)
        return signed(context, message).encode(context)

    assert open_message(proposal(Polka(1, -1, names[:3])), context).polka == Polka(1, -1, names[:3])
    assert code_of(proposal(Polka(1, -1, names[:2])), context) == "CERTIFICATE_SIGNERS"
    assert code_of(proposal(Polka(1, 0, names[:3])), context) == "BAD_SIGNATURE"
    assert code_of(proposal(Polka(1, 1, names[:3])), context) == "SEAL_MALFORMED"
    assert code_of(proposal(Polka(1, -1, (*names[:2], (3, names[2][1])))), context) == "BAD_SIGNATURE"


@given(st.data())
def test_no_changed_bit_is_taken(data: st.DataObject) -> None:
    context = context_of(4)
    seal = seal_of(context, 1)
    raw = bytearray(signed(context, Message(0, 0, Step.PROPOSE, seal.digest(), -1, b"", seal)).encode(context))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RemoteError):
        open_message(bytes(raw), context)


def test_what_convicts() -> None:
    one, two = b"1" * 32, b"2" * 32
    commit = vote(1, 3, Step.COMMIT, one)
    assert convicts(commit, vote(1, 3, Step.COMMIT, None))
    assert convicts(vote(1, 5, Step.PREPARE, two, 2), commit)
    assert convicts(vote(1, 3, Step.PREPARE, two, 1), vote(1, 3, Step.PREPARE, two, 2))
    innocent = [
        (commit, commit),
        (commit, replace(commit, signature=bytes(63) + b"x")),
        (commit, vote(2, 3, Step.COMMIT, two)),
        (commit, vote(1, 4, Step.COMMIT, two)),  # a polka of round 4 may have come between
        (commit, vote(1, 5, Step.PREPARE, two, 3)),
        (commit, vote(1, 5, Step.PREPARE, one, -1)),
        (commit, vote(1, 5, Step.PREPARE, None)),
        (commit, vote(1, 3, Step.PREPARE, two)),
        (commit, vote(1, 3, Step.PROPOSE, two)),
    ]
    assert not any(convicts(*pair) or convicts(*reversed(pair)) for pair in innocent)
