"""Conformance probes: honest holders pass, a dishonest one signs the proof of its fault, nothing personal is kept."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from gossip import events as gossip
from ledger.consent.answer import EVIDENCE_BYTES_MAX
from ledger.consent.fault import results
from ledger.errors import LocalError
from ledger.schema import DAY
from node.core import Turn
from node.flows import wire
from node.flows.answers import sign_refusal
from node.flows.probing import DAY_MAX, OPEN_MAX, TIMER, TIMER_NEXT, WAYS
from node.vaults.probes import Probe
from node.vaults.transfers import INCOMING
from tests.node.flows.losing import half_written
from tests.node.flows.probes import (
    PROVEN,
    RIGHT,
    all_results,
    deliver,
    examined,
    kept,
    probe,
    prober,
    result,
    scene,
    signed_pack,
)
from tests.node.flows.world import LONG, SHORT, Side, World


@pytest.mark.covers("R42")
@pytest.mark.parametrize("way", WAYS)
def test_an_honest_holder_refuses_what_is_not_consented_to_and_signs_that(way: str) -> None:
    world, _ = scene(turned=False)
    done = probe(world, way)
    assert (done.way, done.outcome, done.code) == (way, "refused", RIGHT[way])
    entry = result(world.sides[3], done)
    assert entry.thing == ("member", world.holder.root.kid)
    assert (entry.payload["asked"], entry.payload["outcome"]) == ("unconsented", "refused")
    seen = examined(world.sides[3], entry)
    assert seen.evidence is not None
    assert seen.evidence.answer.code == RIGHT[way]
    assert (seen.code, seen.fault) == ("NOT_SERVED", None)


def test_an_honest_holder_serves_what_is_consented_to() -> None:
    world, grant = scene(turned=False)
    side = world.recipient
    begun = side.act(lambda turn: side.flows.probing.ask_consented(turn, world.holder.party, grant.id))
    world.pump()
    done = kept(side, begun.transfer)
    assert (done.outcome, done.code) == ("served", "")
    row = side.received(begun.transfer)
    assert row is not None
    assert row.tally.count == len(SHORT)
    payload = result(world.sides[3], done).payload
    assert payload.keys() == {"probe", "asked", "outcome"}  # the ledger tells of no transfer


def test_a_holder_that_refuses_what_is_consented_to_has_signed_that() -> None:
    world, grant = scene(turned=False)
    world.holder.act(lambda turn: world.holder.flows.disclosing.erase(turn, grant))
    side = world.recipient
    begun = side.act(lambda turn: side.flows.probing.ask_consented(turn, world.holder.party, grant.id))
    world.pump()
    done = kept(side, begun.transfer)
    assert (done.outcome, done.code) == ("refused", "DISCLOSURE_MISSING")
    seen = examined(world.sides[3], result(world.sides[3], done))
    assert seen.evidence is not None
    assert (seen.evidence.answer.grant, seen.evidence.answer.code) == (grant.id, "DISCLOSURE_MISSING")


@pytest.mark.covers("R42")
@pytest.mark.parametrize("way", WAYS)
def test_a_dishonest_holder_is_caught_and_a_third_member_verifies_it(way: str) -> None:
    world, _ = scene(turned=True)
    done = probe(world, way)
    assert done.outcome == "served"
    third = world.sides[3]
    entry = result(third, done)
    seen = examined(third, entry)
    assert seen.evidence is not None
    assert len(entry.payload["evidence"]) <= EVIDENCE_BYTES_MAX
    if PROVEN[way] is None:
        assert (seen.fault, seen.code) == (None, "NO_FAULT")  # what kind was granted is sealed: between the parties
        assert done.wanted.kind is not None
        assert done.kinds == (f"electricity/consumption/{done.wanted.kind.kind}/P1D",)
        return
    assert seen.fault is not None
    assert seen.fault.wrong is PROVEN[way]
    assert seen.fault.member == world.holder.party
    assert seen.fault.device == world.holder.device.kid
    assert seen.fault.transfer == done.transfer
    assert seen.fault.sentence()
    for side in world.sides:
        assert examined(side, entry).fault == seen.fault


@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_was_served_without_consent_is_kept_or_told(way: str) -> None:
    world, _ = scene(turned=True)
    side = prober(world, way)
    done = probe(world, way)
    assert side.packs(done.transfer) == []
    assert side.received(done.transfer) is None
    rows = side.look(lambda turn: list(turn.vault.scan(INCOMING, b"")))
    point = SHORT.key.point
    held = [value for _, value in rows] + [result(side, done).raw]
    told = [str(note.fields) for one in world.sides for note in one.notes]
    assert not any(secret in value for value in held for secret in (point.encode(), point[4:].encode()))
    assert not any(point[4:] in text for text in told)
    assert not any(b"load_curve" in entry.raw for entry in all_results(side))


def test_results_are_listed_by_member() -> None:
    world, _ = scene(turned=True)
    for way in WAYS:
        probe(world, way)
    side, holder = world.sides[3], world.holder.root.kid
    of_holder = side.look(lambda turn: results(turn.core.replica, turn.rows, holder))
    assert of_holder == all_results(side)
    assert len(of_holder) == len(WAYS)
    assert side.look(lambda turn: results(turn.core.replica, turn.rows, side.root.kid)) == []


# What goes wrong on the way


def test_an_unsigned_answer_is_told_as_such_and_proves_nothing() -> None:
    world, _ = scene(turned=False)
    side = world.recipient
    begun = side.act(lambda turn: side.flows.probing.ask(turn, world.holder.party, "imagined"))
    grant = begun.wanted.grant
    assert grant is not None
    pack = signed_pack(world.holder, side, begun.transfer, grant, SHORT)
    world.drop(world.holder)
    world.holder.say(side, replace(pack, signature=bytes(64)))
    world.pump()
    done = kept(side, begun.transfer)
    assert (done.outcome, done.code) == ("served", "UNSIGNED")
    seen = examined(side, result(side, done))
    assert (seen.evidence, seen.code, seen.fault) == (None, "NO_EVIDENCE", None)


def test_others_cannot_answer_for_the_one_who_was_asked() -> None:
    world, _ = scene(turned=False)
    side, liar = world.recipient, world.sides[2]
    begun = side.act(lambda turn: side.flows.probing.ask(turn, world.holder.party, "imagined"))
    world.drop(world.holder)
    grant = begun.wanted.grant
    assert grant is not None
    liar.say(side, signed_pack(liar, side, begun.transfer, grant, SHORT))
    liar.act(partial(_refuse, side, begun))
    world.pump()
    assert kept(side, begun.transfer).outcome == ""


def _refuse(side: Side, begun: Probe, turn: Turn) -> None:
    turn.send(side.device.kid, wire.encode(sign_refusal(turn, begun.transfer, begun.wanted, "NO_CONSENT")))


def test_a_second_answer_changes_nothing() -> None:
    world, _ = scene(turned=True)
    side = world.recipient
    done = probe(world, "imagined")
    grant = done.wanted.grant
    assert grant is not None
    world.holder.say(side, signed_pack(world.holder, side, done.transfer, grant, SHORT))
    world.holder.act(partial(_refuse, side, done))
    world.pump()
    assert kept(side, done.transfer) == done
    assert len(all_results(side)) == 1


def test_a_dishonest_holder_stops_when_its_pack_is_refused() -> None:
    world, _ = scene(turned=True)
    world.import_series(LONG)
    done = probe(world, "imagined")
    assert done.outcome == "served"
    assert world.holder.look(lambda turn: world.holder.flows.outgoing.any(turn.vault)) is False


def test_silence_over_an_open_channel_is_stated_and_absence_is_not() -> None:
    world, _ = scene(turned=False)
    side = world.recipient
    for away, outcome in ((False, "silent"), (True, "away")):
        begun = side.act(lambda turn: side.flows.probing.ask(turn, world.holder.party, "imagined", 10))
        world.drop(world.holder)
        if away:
            world.leave(world.holder)
        assert side.timers[TIMER] == begun.until * 1_000
        world.now += 11
        side.handle(gossip.TimerFired(TIMER))
        done = kept(side, begun.transfer)
        assert done.outcome == outcome
        assert bool(done.entry) != away
    assert result(side, kept(side, all_probes(side)[0])).payload["outcome"] == "silent"
    world.now += 40 * DAY
    side.handle(gossip.TimerFired(TIMER))
    assert all_probes(side) == []


def all_probes(side: Side) -> list[bytes]:
    """Return the transfers of the probes that a side keeps, those with a result first."""
    found = side.look(lambda turn: list(side.flows.probing.rows.listing(turn.vault)))
    return [one.transfer for one in sorted(found, key=lambda one: not one.entry)]


def test_what_cannot_be_probed_is_said() -> None:
    world = World(3)
    world.leave(world.sides[2])
    side = world.recipient

    def asks(party: Any, way: str = "imagined") -> str:
        with pytest.raises(LocalError) as refused:
            side.act(lambda turn: side.flows.probing.ask(turn, party, way))
        return refused.value.code

    assert asks(side.party) == "PROBE_SELF"
    assert asks(world.sides[2].party) == "MEMBER_AWAY"
    assert asks(world.holder.party, "ended") == "NOTHING_TO_PROBE"
    assert asks(world.holder.party, "kind") == "NOTHING_TO_PROBE"
    assert asks(world.holder.party, "elsewhere") == "USAGE"
    with pytest.raises(LocalError) as refused:
        side.act(lambda turn: side.flows.probing.ask_consented(turn, world.holder.party, bytes(32)))
    assert refused.value.code == "NOT_A_PARTY"
    for _ in range(OPEN_MAX):
        side.act(lambda turn: side.flows.probing.ask(turn, world.holder.party, "imagined"))
    assert asks(world.holder.party) == "TOO_MANY_PROBES"
    world.pump()
    for _ in range(DAY_MAX - OPEN_MAX):
        probe(world, "imagined", side)
    assert asks(world.holder.party) == "TOO_MANY_PROBES"
    world.now += DAY
    assert probe(world, "imagined", side).outcome == "refused"


def test_a_node_probes_by_itself_only_where_it_is_told_to() -> None:
    world, _ = scene(turned=True)
    side = world.recipient
    assert TIMER_NEXT not in side.timers
    side.flows.probing.a_day = 24
    side.act(side.flows.probing.plan)
    due = side.timers[TIMER_NEXT]
    assert due > world.now * 1_000
    world.now = due // 1_000 + 1
    for _ in range(12):
        side.handle(gossip.TimerFired(TIMER_NEXT))
        world.pump()
        world.now += 3_600
    done = all_results(side)
    assert len(done) == 12
    assert {entry.thing[1] for entry in done} == {one.root.kid for one in world.sides if one is not side}
    assert side.timers[TIMER_NEXT] > due


@pytest.mark.parametrize("turned", [False, True])
def test_a_result_that_the_ledger_lost_is_stated_again_with_its_evidence(turned: bool) -> None:
    world, _ = scene(turned=turned)
    side = prober(world, "recipient")
    begun = side.act(lambda turn: side.flows.probing.ask(turn, world.holder.party, "recipient"))
    deliver(world, side, world.holder)
    answer = world.queues[world.holder.device.kid, side.device.kid].popleft()
    half_written(world, side, lambda turn: turn.handle(gossip.Message(world.holder.device.kid, answer)))
    world.pump()
    lost = kept(side, begun.transfer)
    assert lost.outcome == ("served" if turned else "refused")
    assert side.entry(lost.entry) is None, "the vault knows of it, and the ledger does not"

    world.pass_time(2 * DAY)
    stated = kept(side, begun.transfer)
    entry = result(world.sides[3], stated)
    assert replace(stated, entry=lost.entry) == lost
    seen = examined(world.sides[3], entry)
    assert seen.evidence is not None
    wrong = seen.fault.wrong if seen.fault is not None else None
    assert (seen.code, wrong) == (("", PROVEN["recipient"]) if turned else ("NOT_SERVED", None))
    world.pass_time(2 * DAY)
    assert all_results(side) == [entry], "once"
