"""Evidence of faults: what was altered, forged or replayed proves nothing, and nobody can be framed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.consent.answer import After, NoGrant, open_evidence
from ledger.consent.fault import Fault, Wrong, check_fault
from ledger.errors import LocalError, RemoteError
from ledger.schema import DAY
from node.flows import wire
from tests.node.flows.probes import caught, deliver, evidence_of, examined, known, scene, served, signed_pack
from tests.node.flows.world import SHORT, World, terms


@pytest.mark.parametrize("way", ["ended", "recipient", "imagined"])
def test_every_bit_of_the_evidence_counts(way: str) -> None:
    world, _ = scene(turned=True)
    entry, _, knows = caught(world, way)
    mesh_id, data = entry.mesh_id, entry.payload["evidence"]
    assert mesh_id is not None
    assert isinstance(check_fault(data, mesh_id, knows), Fault)
    for place in range(len(data)):
        for bit in range(8):
            flipped = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            with pytest.raises(RemoteError) as refused:
                open_evidence(flipped, mesh_id)
            assert refused.value.code in {"EVIDENCE_MALFORMED", "EVIDENCE_SIGNATURE", "EVIDENCE_CHALLENGE"}
    with pytest.raises(RemoteError, match="did not sign"):
        open_evidence(data, bytes(32))


@given(st.recursive(st.none() | st.integers() | st.binary(max_size=40) | st.text(max_size=9), st.lists, max_leaves=16))
def test_no_value_passes_for_evidence(value: Any) -> None:
    try:
        data = codec.encode(value)
    except LocalError:
        return
    with pytest.raises(RemoteError) as refused:
        open_evidence(data, bytes(32))
    assert refused.value.code == "EVIDENCE_MALFORMED"


def test_another_holders_signature_proves_nothing() -> None:
    world, _ = scene(turned=True)
    entry, evidence, knows = caught(world, "imagined")
    other = world.sides[1].device
    mesh_id = world.holder.core.replica.mesh_id
    for forged, code in [
        (replace(evidence, public=other.public), "EVIDENCE_SIGNATURE"),
        (replace(evidence, signature=evidence.answer.sign(other, mesh_id)), "EVIDENCE_SIGNATURE"),
    ]:
        with pytest.raises(RemoteError) as refused:
            check_fault(forged.encode(), mesh_id, knows)
        assert refused.value.code == code
    # A member who signs such an answer itself convicts itself alone: the result names another.
    own = replace(evidence, public=other.public, signature=evidence.answer.sign(other, mesh_id))
    said = {**entry.payload, "evidence": own.encode()}
    slander = world.recipient.act(lambda turn: turn.state("probe.result", entry.thing, said))
    assert examined(world.recipient, slander).code == "EVIDENCE_OTHER"
    root = world.sides[3].root
    stranger = replace(own, public=root.public, signature=evidence.answer.sign(root, mesh_id))
    with pytest.raises(RemoteError) as refused:
        check_fault(stranger.encode(), mesh_id, known(world.sides[3], stranger))
    assert refused.value.code == "EVIDENCE_DEVICE"


def test_an_old_transfer_with_consent_is_no_fault_after_the_withdrawal() -> None:
    """The replay: the recipient kept a real answer, waits for the withdrawal, and tries every challenge on it."""
    world, grant = scene(turned=False)
    world.ask(grant=grant.id)
    deliver(world, world.recipient, world.holder)
    evidence = served(world)
    world.pump()
    third, mesh_id = world.sides[3], world.holder.core.replica.mesh_id
    with pytest.raises(RemoteError) as refused:
        check_fault(evidence.encode(), mesh_id, known(third, evidence))
    assert refused.value.code == "NO_FAULT"
    withdrawal = world.withdraw(grant)
    world.pump()
    world.pass_time(1)
    head = third.core.replica.signed_head(world.holder.device.kid)
    assert head is not None
    after = After(bytes(16), withdrawal.id, world.holder.device.kid, head)
    for challenge, code in [(None, "NO_FAULT"), (after, "EVIDENCE_CHALLENGE"), (NoGrant(b""), "EVIDENCE_MALFORMED")]:
        replayed = replace(evidence, challenge=challenge)
        with pytest.raises(RemoteError) as refused:
            check_fault(replayed.encode(), mesh_id, known(third, replayed))
        assert refused.value.code == code
    said = {"probe": bytes(16), "asked": "unconsented", "outcome": "served", "evidence": evidence.encode()}
    slander = world.recipient.act(lambda turn: turn.state("probe.result", ("member", world.holder.root.kid), said))
    seen = examined(world.recipient, slander)
    assert (seen.fault, seen.code) == (None, "NO_FAULT")


def test_a_holder_that_could_not_know_of_a_withdrawal_cannot_be_framed() -> None:
    """The recipient learns of a withdrawal first, keeps it from the holder, and asks with a challenge that names it."""
    world = World(3)
    world.import_series(SHORT)
    grant, slip = world.grant(terms(SHORT))
    side, third = world.recipient, world.sides[2]
    withdrawal = world.withdraw(grant, slip, at=third)
    deliver(world, third, side)
    with pytest.raises(LocalError) as caught:  # an honest node does not ask: the holder has not said that it knows
        side.act(lambda turn: side.flows.probing.ask(turn, world.holder.party, "ended"))
    assert caught.value.code == "NOTHING_TO_PROBE"
    head = side.core.replica.signed_head(world.holder.device.kid)
    assert head is not None
    after = After(bytes(16), withdrawal.id, world.holder.device.kid, head)
    world.queues[(side.device.kid, world.holder.device.kid)].clear()
    side.say(world.holder, wire.Ask(after.transfer(), world.wanted(grant=grant.id)))
    deliver(world, side, world.holder)
    evidence = replace(served(world), challenge=after)
    world.pass_time(1)
    world.pass_time(20)
    knows, mesh_id = known(third, evidence), world.holder.core.replica.mesh_id
    assert knows.ends == {withdrawal.id: "consent.withdraw"}
    assert knows.told[withdrawal.id] >= head.size
    assert knows.head_held
    with pytest.raises(RemoteError) as refused:
        check_fault(evidence.encode(), mesh_id, knows)
    assert refused.value.code == "NO_FAULT"
    # The rule, at its border: the leaf must lie below the checkpoint, which must be of the feed that is held.
    below = {withdrawal.id: head.size - 1}
    changes: list[dict[str, Any]] = [
        {"told": {withdrawal.id: head.size}},
        {"told": below, "head_held": False},
        {"told": below, "ends": {}},
    ]
    for changed in changes:
        with pytest.raises(RemoteError) as refused:
            check_fault(evidence.encode(), mesh_id, replace(knows, **changed))
        assert refused.value.code == "NO_FAULT"
    assert check_fault(evidence.encode(), mesh_id, replace(knows, told=below)).wrong is Wrong.WITHDRAWN


def test_serving_past_the_end_by_ones_own_clock_is_a_fault() -> None:
    world, grant = scene(turned=True)
    world.pass_time(DAY)
    pack = signed_pack(world.holder, world.recipient, bytes(16), grant.id, SHORT, at=grant.payload["valid_until"])
    evidence = evidence_of(world, pack)
    fault = check_fault(evidence.encode(), world.holder.core.replica.mesh_id, known(world.sides[2], evidence))
    assert fault.wrong is Wrong.EXPIRED
    pack = signed_pack(world.holder, world.recipient, bytes(16), grant.id, SHORT, at=grant.payload["valid_until"] - 1)
    evidence = evidence_of(world, pack)
    with pytest.raises(RemoteError) as refused:
        check_fault(evidence.encode(), world.holder.core.replica.mesh_id, known(world.sides[2], evidence))
    assert refused.value.code == "NO_FAULT"
