"""Results of computations between two nodes: only the named one's result passes, at either end, exactly once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.consent.reasons import Reason
from ledger.entry import Entry
from ledger.errors import RemoteError
from node.adapters import senml
from node.compute.operations import reviewed, run
from node.compute.result import Result, is_result, read_result
from node.flows import wire
from node.flows.door import kind_of
from node.vaults.receipts import HOLDER, RECIPIENT
from node.vaults.transfers import Wanted
from tests.node.flows.probes import signed_pack
from tests.node.flows.world import SHORT, World, terms

SUM = reviewed("sum", {}, "")
MEAN = reviewed("mean", {}, "")
WINDOW = (SHORT.starts[0], SHORT.stop)


def result_of(using: Any = SUM, **changes: Any) -> Result:
    """Compute over the whole of the short curve."""
    key, found = SHORT.key, run(using, [SHORT], WINDOW)
    where = (using.hash, key.point, kind_of(key), key.granularity, WINDOW)
    made = Result(*where, found.value, found.unit, found.records, found.gaps, found.complete)
    return replace(made, **changes)


def scene(**changes: Any) -> tuple[World, Entry]:
    """Return a mesh whose holder has readings and a consent for the result of a sum."""
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT, **({"computation": SUM.hash} | changes)))
    world.pass_time(1)
    return world, grant


def offer(world: World, grant: Entry, *results: Result, computation: bytes = SUM.hash) -> tuple[bytes, Reason]:
    """Have the holder send results."""
    wanted = Wanted(world.holder.party, world.recipient.party, grant.id, computation=computation)
    packs = [one.encode() for one in results]
    started = world.holder.act(lambda turn: world.holder.flows.sending.begin(turn, wanted, results=packs))
    world.pump()
    return started.transfer, started.decision.reason


def test_the_result_arrives_with_receipts_at_both_ends_and_no_reading() -> None:
    world, grant = scene()
    transfer, reason = offer(world, grant, result_of())
    assert reason is Reason.ALLOWED
    (pack,) = world.recipient.packs(transfer)
    assert read_result(pack) == result_of()
    for side, role in ((world.holder, HOLDER), (world.recipient, RECIPIENT)):
        account = side.account(role, transfer)
        assert account is not None
        assert (account.state, account.tally.count, account.tally.window) == ("done", 1, WINDOW)
    assert world.holder.sent(transfer) is None
    assert world.holder.look(lambda turn: list(turn.vault.scan("outgoing", b"e", b"f"))) == []


def test_many_results_survive_a_restart_of_either_end() -> None:
    world, grant = scene()
    start = WINDOW[0]
    results = [result_of(window=(start + n, start + n + 1), value=str(n)) for n in range(20)]
    wanted = Wanted(world.holder.party, world.recipient.party, grant.id, computation=SUM.hash)
    packs = [one.encode() for one in results]
    transfer = world.holder.act(lambda turn: world.holder.flows.sending.begin(turn, wanted, results=packs)).transfer
    for side in (world.recipient, world.holder):
        for way in world.waiting()[:1]:
            world.step(way)
        world.restart(side)
    world.pump()
    for _ in range(6):
        world.pass_time(10)
    assert [read_result(pack) for pack in world.recipient.packs(transfer)] == results


@pytest.mark.covers("R120")
def test_readings_do_not_pass_under_it_at_either_end() -> None:
    world, grant = scene()
    assert world.send(grant=grant.id)[1].reason is Reason.COMPUTATION_ONLY
    transfer = world.ask(grant=grant.id)
    world.pump()
    row = world.recipient.received(transfer)
    assert row is not None
    assert (row.reason, world.recipient.packs(transfer)) == ("COMPUTATION_ONLY", [])
    forged = signed_pack(world.holder, world.recipient, b"t" * 16, grant.id, SHORT)
    world.holder.say(world.recipient, forged)
    world.pump()
    assert world.recipient.packs(b"t" * 16) == []
    assert world.recipient.refusals()[0].code == "COMPUTATION_ONLY"


@pytest.mark.covers("system:OPAL")
def test_the_result_of_another_computation_does_not_pass() -> None:
    world, grant = scene()
    assert offer(world, grant, result_of(MEAN), computation=MEAN.hash) == (b"", Reason.OTHER_COMPUTATION)
    transfer, reason = offer(world, grant, result_of(MEAN))  # it says one, and is the other
    assert reason is Reason.ALLOWED
    assert world.recipient.packs(transfer) == []
    assert world.holder.refusals()[0].code == "OTHER_COMPUTATION"
    plain, open_grant = scene(computation=None)
    assert offer(plain, open_grant, result_of()) == (b"", Reason.OTHER_COMPUTATION)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"point": "prm:99999999999999"}, "OTHER_POINT"),
        ({"granularity": "PT10M"}, "OTHER_GRANULARITY"),
        ({"window": (WINDOW[0] - 1, WINDOW[1])}, "OTHER_PERIOD"),
        ({"kind": kind_of(replace(SHORT.key, kind="daily", granularity="P1D", unit="Wh"))}, "OTHER_KIND"),
    ],
)
def test_a_result_over_what_was_not_granted_does_not_pass(changes: dict[str, Any], code: str) -> None:
    world, grant = scene()
    transfer, _ = offer(world, grant, result_of(**changes))
    assert world.recipient.packs(transfer) == []
    assert world.holder.refusals()[0].code == code


def test_after_a_withdrawal_no_result_passes() -> None:
    world, grant = scene()
    world.withdraw(grant)
    world.pump()
    assert offer(world, grant, result_of()) == (b"", Reason.WITHDRAWN)


def test_a_result_reads_back_and_is_no_pack_of_readings() -> None:
    for value in ("12.5", b"\x00\xff"):
        one = result_of(value=value)
        assert read_result(one.encode()) == one
        assert is_result(one.encode())
    assert not is_result(senml.encode_cbor(SHORT))
    assert not is_result(b"")


@pytest.mark.parametrize(
    "changes",
    [
        {"computation": b"short"},
        {"granularity": "half an hour"},
        {"window": (5, 5)},
        {"value": "x" * 65},
        {"value": bytes(1_025)},
        {"unit": "x" * 65},
        {"records": -1},
        {"gaps": True},
        {"complete": 1},
        {"value": 3},
    ],
)
def test_a_malformed_result_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RemoteError) as caught:
        read_result(result_of(**changes).encode())
    assert caught.value.code == "BAD_RESULT"


@given(
    st.recursive(
        st.none() | st.integers(-5, 5) | st.text("ab", max_size=3) | st.binary(max_size=3), st.lists, max_leaves=9
    )
)
def test_any_map_is_a_result_or_refused(value: Any) -> None:
    with pytest.raises(RemoteError):
        read_result(codec.encode({"result": value}))


def test_results_of_what_is_not_known_here_are_refused() -> None:
    world, grant = scene()
    wanted = Wanted(world.holder.party, world.recipient.party, grant.id, computation=SUM.hash)
    world.recipient.say(world.holder, wire.Ask(b"a" * 16, wanted))
    world.pump()
    assert world.holder.refusals()[0].code == "NO_SUCH_COMPUTATION"
    assert world.recipient.packs(b"a" * 16) == []
