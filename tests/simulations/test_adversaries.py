"""Adversaries: what each does to a mesh of real nodes, that no check breaks by it, and that checks can fail."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.consent.status import State
from ledger.errors import LocalError
from simulations import adversaries
from simulations.adversaries.stage import Plot
from simulations.checks import CHECKS, names
from simulations.engine import SECOND
from simulations.mesh_run import MeshRun
from simulations.signatures import remembered
from simulations.spec import AdversarySpec, ChecksSpec, FaultSpec, LoadSpec, OverlaySpec, PolicySpec, Scenario

QUIET = LoadSpec(count=4, every=5, withdraw=0.5, withdraw_after=8)
SOON = ChecksSpec(settle=10)


def run_of(*plots: AdversarySpec, nodes: int = 8, load: LoadSpec = QUIET, seconds: float = 35, **more: Any) -> MeshRun:
    """Run a small mesh with adversaries and return it."""
    more.setdefault("overlay", OverlaySpec(degree=3))
    scenario = Scenario(name="a", nodes=nodes, seconds=seconds, load=load, adversaries=plots, **more)
    with remembered():
        run = MeshRun(scenario, 1)
        run.run()
    return run


def told(run: MeshRun) -> set[str]:
    """Return the names of the checks that were broken."""
    return {one.check for one in run.watchman.violations.values()}


@pytest.mark.parametrize("kind", sorted(adversaries.gossip.ATTACKS))
def test_no_attack_on_gossip_outlasts_itself(kind: str) -> None:
    run = run_of(AdversarySpec(kind=kind, at=6, until=30, share=0.25, target=2))
    assert not run.watchman.violations
    assert run.summary()["reached"] == 1.0
    assert len(run.honest) == 6
    assert not run.world.behaviours
    assert run.world.counts["withheld"] > 0


def test_an_eclipse_hides_what_happens_for_as_long_as_it_lasts() -> None:
    calm, eclipsed = (
        run_of(*plots) for plots in ((), (AdversarySpec(kind="eclipse-single", at=4, until=32, target=2),))
    )
    assert calm.records.values("arrival_s")[-1] < 2
    late = [value for _, node, name, value in eclipsed.records.rows if name == "arrival_s" and value > 10]
    assert late
    nodes = {node for _, node, name, value in eclipsed.records.rows if name == "arrival_s" and value > 10}
    assert 2 in nodes or {one.node for one in eclipsed.records.publications.values()} >= {2}


@pytest.mark.covers("R95")
def test_a_fork_is_proven_by_all_and_its_author_is_held() -> None:
    run = run_of(AdversarySpec(kind="equivocate", at=8, until=20, nodes=(7,)))
    assert not run.watchman.violations
    forker = run.world.nodes[7].kid
    for node in run.watchman.running():
        assert forker in node.running.replica.members.forks
        assert node.entries("fork.proof")


def test_a_withdrawal_that_was_hidden_counts_once_it_is_seen() -> None:
    run = run_of(
        AdversarySpec(kind="withhold-revocation", at=12, until=30, nodes=(6, 7)),
        load=LoadSpec(count=3, every=2),
    )
    assert not run.watchman.violations
    hidden = [one for one in run.records.publications.values() if one.kind == "withdrawal"]
    assert hidden
    assert min(at - one.at_us for one in hidden for node, at in one.seen.items() if node in run.honest) > 10 * SECOND
    for node in run.watchman.running():
        with node.store.read() as rows:
            for one in hidden:
                status = node.running.replica.consent(rows, one.about)
                assert status is not None
                assert status.state is State.WITHDRAWN


def test_old_consents_and_false_dates_bring_nothing_back() -> None:
    load = LoadSpec(count=4, every=2, withdraw=1.0, withdraw_after=5)
    run = run_of(
        AdversarySpec(kind="replay-consent", at=20, until=30, share=0.2),
        AdversarySpec(kind="backdate", at=20, share=0.1, target=2),
        load=load,
    )
    assert not run.watchman.violations
    target = run.world.nodes[2].who.party
    backdated = [
        e for e in run.world.nodes[0].entries("link.offer") if list(target) in (e.payload["from"], e.payload["to"])
    ]
    assert not backdated  # void: dated before what it says to have seen


def test_invitations_are_bounded() -> None:
    run = run_of(
        AdversarySpec(kind="sybil-invitation", at=10, nodes=(5,)), policy=PolicySpec(invitations_a_day=2), nodes=6
    )
    assert not run.watchman.violations
    members = run.world.nodes[0].running.replica.members.members.values()
    assert sum(member.state == "member" for member in members) <= 6 + 2


@pytest.mark.covers("R13")
def test_collusion_needs_the_threshold() -> None:
    policy = PolicySpec(seal_seconds=30)
    load = LoadSpec(count=4, publishers=(0, 1))
    expelled = []
    for share in (0.4, 0.72):
        plot = AdversarySpec(kind="collude", at=10, until=100, share=share, target=2)
        run = run_of(plot, policy=policy, load=load, seconds=120, nodes=9, checks=SOON)
        expelled.append("no-honest-expelled" in told(run))
    assert expelled == [False, True]


@pytest.mark.covers("R98")
@pytest.mark.parametrize("freshness", ["home", "quorum"])
def test_data_stop_within_the_bound_even_behind_a_partition(freshness: str) -> None:
    """By `home` whatever happens, with a liar in the mesh; by the quorum once half of the voters know."""
    load = LoadSpec(count=2, publishers=(4, 5), withdraw=1.0, withdraw_after=40, data=freshness, every_ask=10)  # type: ignore[arg-type]
    liar = AdversarySpec(kind="heartbeat-lies", at=5, until=190, nodes=(3,))
    run = run_of(
        *((liar,) if freshness == "home" else ()),
        nodes=6,
        seconds=200,
        load=load,
        policy=PolicySpec(max_staleness_seconds=60),
        faults=(FaultSpec(kind="partition", mode="named", nodes=(4, 5), at=30, until=190),),
    )
    assert not run.watchman.violations
    assert run.trade is not None
    assert all(flow.packs and flow.withdrawn_us is not None for flow in run.trade.flows.values())
    last = max(run.records.values("refused_s"))
    assert last > 0  # while nobody on the holder's side can know, data do flow
    assert (last <= 61) == (freshness == "home")  # cut off from those who know, the quorum bounds nothing yet


def test_data_flow_under_each_consent_wherever_the_wallet_is_kept() -> None:
    """A host without a channel to the holder once told it nothing: no data flowed, which counted as none leaked."""
    load = LoadSpec(start=2, count=5, every=1, withdraw=1.0, withdraw_after=20, data="home", every_ask=5)
    run = run_of(nodes=12, seconds=45, load=load, overlay=OverlaySpec(kind="ring"))
    assert run.trade is not None
    homes = {flow.home for flow in run.trade.flows.values()}
    assert homes - {0, 1, 2, 11}  # some are no neighbours of the holder or the recipient on the ring
    asked = 2 * run.world.counts["asks"] / len(run.trade.flows)
    assert all(3 <= len(flow.packs) <= asked for flow in run.trade.flows.values())
    assert len(run.records.values("refused_s")) == 5
    assert "never_flowed" not in run.world.counts
    silent = run_of(nodes=4, seconds=20, load=LoadSpec(count=1, start=2, data="home", every_ask=30))
    assert silent.world.counts["never_flowed"] == 1
    assert not silent.records.values("refused_s")


def test_what_no_adversary_breaks_would_be_noticed() -> None:
    """Each in turn, by hand, after a run in which all held: a late pack, another state, a lost withdrawal, a right."""
    load = LoadSpec(start=2, count=2, every=1, withdraw=1.0, withdraw_after=10, data="home", every_ask=5)
    run = run_of(load=load, nodes=6, seconds=130)
    assert not run.watchman.violations
    watchman, trade, one = run.watchman, run.trade, run.world.nodes[1].running
    assert trade is not None
    flow = next(iter(trade.flows.values()))
    flow.packs.append((flow.withdrawn_us or 0) + 602 * SECOND)
    watchman.judge(trade, 600)
    assert told(run) == {"withdrawal-bound"}
    tick = one.ticker.tick
    assert tick is not None
    watchman._roots[tick.boundary, tick.frontier] = bytes(32)
    watchman.watch()
    assert told(run) == {"withdrawal-bound", "one-state"}
    next(each for each in run.records.publications.values() if each.kind == "withdrawal").about = b""
    watchman.judge(None, 600)
    assert told(run) == {"withdrawal-bound", "one-state", "status"}
    one.replica.members.expelled[run.world.nodes[2].who.party] = None  # type: ignore[index]
    watchman.watch()
    assert told(run) == {*CHECKS} - {"convergence", "durability", "receipts"}


def test_checks_can_fail() -> None:
    """Break each thing by hand, and see that its check says so."""
    run = run_of(seconds=30, load=LoadSpec(count=3, every=1, start=1))
    assert not run.watchman.violations
    watchman, world = run.watchman, run.world
    world.crash(1)
    with world.nodes[1].store.write() as rows:  # a disk that loses what was acknowledged
        for one in run.records.publications.values():
            rows.delete("ids", one.name)
    world.partition([[1]])
    world.restart(1)
    world.act(0, lambda turn: turn.state("member.leave", ("member", turn.core.party[0]), {}))
    world.run_for(2 * SECOND)
    watchman.judge(None, 600)
    assert {"convergence", "durability", "receipts"} <= told(run)
    unexpected, missing = names(watchman.violations.values(), ["convergence", "status"])
    assert "convergence" not in {one.check for one in unexpected}
    assert {one.check for one in unexpected} <= set(CHECKS)
    assert missing == ([] if "status" in told(run) else ["status"])


def test_an_adversary_is_brought_by_name() -> None:
    run = run_of(AdversarySpec(kind=f"{__name__}:vandal", at=20, nodes=(7,)))
    assert not run.world.is_up(7)
    with pytest.raises(LocalError) as caught:
        run_of(AdversarySpec(kind="nobody"))
    assert caught.value.code == "NO_ADVERSARY"


def vandal(plot: Plot) -> None:
    """Pull the plug."""
    plot.stage.world.at(plot.at_us, lambda: plot.stage.world.crash(plot.led[0]))
