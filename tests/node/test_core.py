"""The core and its turns: what is stated, what is told to gossip, who may gossip, and what a rollback undoes."""

from __future__ import annotations

from typing import Any

import pytest

from gossip import events as gossip
from gossip.messages import Envelope
from gossip.vocabulary import Heads, Runs, Tick, decode, encode
from ledger.checkpoint import Head
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import AHEAD_SECONDS_MAX
from ledger.governance.epoch import Policy
from ledger.replica import RUN_LEAVES_MAX, Run, digest_of
from ledger.ticks import heads_at
from node.core import MembershipMoved, Noted, Turn, Verified, Verify
from node.turn import BULK_LEAVES_MIN, MARK_AHEAD_SECONDS, TIMER_HEARTBEAT, TIMER_TICK, TIMER_TICK_ASKED
from simulations.people import Person, person
from tests.node.sites import NOW, SEED, Site, newcomer, sites

POLICY = Policy(tick_seconds=60, heartbeat_seconds=20)


def grant(turn: Turn, who: Person | None = None) -> Entry:
    """State something small."""
    party = turn.core.party
    return (who or person(SEED, 1)).grant(turn, party, party)


def up(site: Site, *others: Site) -> None:
    """Tell a site that channels are up."""
    site.tell(*(gossip.PeerUp(other.kid, False) for other in others))


def entries(site: Site, kind: str) -> list[Entry]:
    """Return the sound entries of a kind in a site's own feed."""
    replica = site.core.replica
    with site.store.read() as rows:
        leaves = [replica.leaf(rows, site.kid, index) for index in range(replica.size(site.kid))]
    return [entry for leaf in leaves if not leaf.void and (entry := Entry.parse(leaf.raw)).kind == kind]


def boundary_of(site: Site) -> int | None:
    """Return the boundary that a site's committed maps stand at."""
    tick = site.core.ticker.tick
    return tick.boundary if tick is not None else None


def told(site: Site, peer: Site) -> list[Any]:
    """Return the gossip that the last turn sent to a peer."""
    return [decode(Envelope.open(data)) for data in site.sent(peer.kid)]


def test_start_signs_a_checkpoint_and_sets_the_timers() -> None:
    (site,) = sites(1, POLICY)
    site.now_ms = (NOW + 7) * 1_000
    site.act(lambda turn: turn.start())
    timers = site.timers()
    assert timers[TIMER_HEARTBEAT] == (NOW + 20) * 1_000
    assert timers[TIMER_TICK] == (NOW + 12) * 1_000
    assert "exchange" in timers
    head = site.core.replica.signed_head(site.kid)
    assert head is not None
    assert head.time == NOW + 7


def test_a_statement_is_signed_stored_and_pushed() -> None:
    one, two = sites(2)
    up(one, two)
    entry = one.act(grant)
    (runs,) = told(one, two)
    assert isinstance(runs, Runs)
    (run,) = runs.runs
    assert run.raws == (entry.raw,)
    assert run.head == one.core.replica.signed_head(one.kid)
    assert one.act(lambda turn: turn.register(entry)) == entry
    assert told(one, two) == []  # registered once


def test_a_subject_is_shown_a_head_that_others_can_hold() -> None:
    (site,) = sites(1)

    def state_two(turn: Turn) -> None:
        before = turn.shown_head()
        grant(turn)
        assert turn.shown_head() == before
        assert turn.core.replica.position(site.kid).size == before.size + 1

    site.act(state_two)
    fresh = newcomer(site)
    assert fresh.act(lambda turn: turn.shown_head()).size == 0


def test_an_entry_that_would_stop_our_feed_elsewhere_is_refused() -> None:
    (site,) = sites(1)
    size = site.core.replica.position(site.kid).size
    signer, head = person(SEED, 1), site.core.replica.position(site.kid)
    entry = site.act(grant)
    for iat, error in ((NOW + AHEAD_SECONDS_MAX + 1, RemoteError), (1, LocalError)):
        odd = sign_entry(
            signer.wallet.consent_key(entry.thing[1]),
            "consent.grant",
            entry.thing,
            entry.payload,
            iat=iat,
            cti=bytes(16),
            seen=[head],
            mesh_id=entry.mesh_id,
        )
        with pytest.raises(error):
            site.act(lambda turn, odd=odd: turn.register(odd))  # type: ignore[misc]
    with site.store.read() as rows:
        site.core.load(rows)
    assert site.core.replica.position(site.kid).size == size + 1


def test_a_large_batch_is_told_to_gossip_in_runs_that_peers_can_take() -> None:
    one, two = sites(2)
    up(one, two)
    count = RUN_LEAVES_MAX + 5
    entry = one.act(grant)

    def many(turn: Turn) -> None:
        for number in range(count):
            head = turn.core.replica.position(one.kid)
            payload = {"reports": number}
            turn.register(
                sign_entry(
                    one.who.device,
                    "later.kind",
                    ("consent", entry.id),
                    payload,
                    iat=turn.now,
                    cti=bytes(16),
                    seen=[head],
                    mesh_id=turn.core.replica.mesh_id,
                )
            )

    one.act(many)
    (told_last,) = told(one, two)  # the last piece or its head: whoever gets it asks for what lies before
    assert (told_last.runs[0].head if isinstance(told_last, Runs) else told_last.heads[0][1]) == (
        one.core.replica.signed_head(one.kid)
    )
    size = one.core.replica.position(one.kid).size
    start = two.core.replica.position(one.kid).size
    with one.store.read() as rows:
        while start < size:
            run = one.core.replica.run(rows, one.kid, start, 1 << 30)
            assert run is not None
            assert len(run.raws) <= RUN_LEAVES_MAX
            two.act(lambda turn, run=run: two.core.replica.ingest(turn.rows, run, turn.now))  # type: ignore[misc]
            start = run.stop
    assert two.core.replica.position(one.kid) == one.core.replica.position(one.kid)


def test_heartbeats_stand_on_whole_intervals_and_pass_on() -> None:
    one, two = sites(2, POLICY)
    up(one, two)
    one.now_ms = (NOW + 20) * 1_000 + 3
    one.tell(gossip.TimerFired(TIMER_HEARTBEAT))
    head = one.core.replica.signed_head(one.kid)
    assert head is not None
    assert head.time == NOW + 20
    assert one.timers()[TIMER_HEARTBEAT] == (NOW + 40) * 1_000
    one.tell(gossip.TimerFired("announce"))
    assert told(one, two) == [Heads(((one.kid, head),))]


# Who may gossip


def test_a_driver_cannot_make_a_stranger_a_member() -> None:
    one, two = sites(2)
    stranger = newcomer(one)
    one.tell(gossip.PeerUp(stranger.kid, True), gossip.PeerUp(two.kid, False))
    assert one.core.member_peers == [two.kid]
    assert one.core.peers == {stranger.kid: False, two.kid: True}
    one.tell(gossip.PeerDown(two.kid))
    assert one.core.member_peers == []


def test_a_vouched_device_may_gossip_until_the_ledger_knows_it() -> None:
    one, two = sites(2)
    fresh = newcomer(one)
    other = newcomer(one, 51)
    assert not fresh.core.is_member_device(other.kid)
    fresh.core.vouched.add(other.kid)
    assert fresh.core.is_member_device(other.kid)
    one.core.vouched.add(two.kid)
    two.act(lambda turn: turn.state("member.leave", ("member", two.who.root.kid), {"reason": "moved"}))
    with two.store.read() as rows:
        run = two.core.replica.run(rows, two.kid, 0, 1 << 20)
    assert run is not None
    one.act(lambda turn: one.core.replica.ingest(turn.rows, run, turn.now))
    assert not one.core.is_member_device(two.kid)


def test_a_member_that_leaves_is_hung_up_on_and_its_leaving_is_kept() -> None:
    one, two = sites(2)
    up(one, two)
    up(two, one)
    two.act(lambda turn: turn.state("member.leave", ("member", two.who.root.kid), {"reason": "moved"}))
    (data,) = two.sent(one.kid)
    effects = one.tell(gossip.Message(two.kid, data))
    assert [e.code for e in effects if isinstance(e, gossip.Disconnect)] == ["NOT_A_MEMBER"]
    assert MembershipMoved() in effects
    assert one.core.member_peers == []
    again = one.tell(gossip.Message(two.kid, data))
    assert not any(isinstance(e, gossip.Disconnect) for e in again)


# Workers


def long_run(site: Site, count: int) -> list[Run]:
    """Return one long run and one short run that follows it, as the site's peers would get them."""
    start = site.core.replica.position(site.kid).size

    def several(turn: Turn) -> None:
        for number in range(count):
            grant(turn, person(SEED, number))

    site.act(several)
    with site.store.read() as rows:
        run = site.core.replica.run(rows, site.kid, start, 1 << 30)
    site.act(grant)
    with site.store.read() as rows:
        last = site.core.replica.run(rows, site.kid, start + count, 1 << 30)
    assert run is not None
    assert last is not None
    return [run, last]


def test_long_runs_go_to_the_workers_and_later_ones_of_the_feed_wait_behind_them() -> None:
    one = sites(2)[0]
    two = sites(2, workers=True)[1]
    up(two, one)
    first, second = long_run(one, BULK_LEAVES_MIN)
    effects = two.tell(*(gossip.Message(one.kid, encode(Runs(0, (run,)))) for run in (first, second)))
    asked = [effect for effect in effects if isinstance(effect, Verify)]
    assert [effect.run.start for effect in asked] == [first.start, second.start]
    for effect in asked:
        two.act(
            lambda turn, effect=effect: turn.handle(  # type: ignore[misc]
                Verified(effect.source, effect.run, [Entry.parse(raw) for raw in effect.run.raws])
            )
        )
    assert two.core.replica.position(one.kid).size == second.stop
    assert not +two.core.verifying
    third = long_run(one, 1)[0]
    assert not any(isinstance(e, Verify) for e in two.tell(gossip.Message(one.kid, encode(Runs(0, (third,))))))


# Ticks


def test_a_far_boundary_is_not_signed_ahead_of_time() -> None:
    one, two = sites(2)
    up(one, two)
    boundary = NOW + 100
    one.tell(gossip.Message(two.kid, encode(Tick(boundary))))
    head = one.core.replica.signed_head(one.kid)
    assert head is not None
    assert head.time <= NOW  # or a peer could push our clock by two minutes
    assert one.timers()[TIMER_TICK_ASKED] == boundary * 1_000
    one.now_ms = boundary * 1_000
    one.tell(gossip.TimerFired(TIMER_TICK_ASKED))
    assert one.core.replica.signed_head(one.kid) is not None
    marked = one.core.replica.signed_head(one.kid)
    assert marked is not None
    assert marked.time == boundary


def test_a_near_boundary_is_marked_at_once_and_attested_when_it_has_passed() -> None:
    (site,) = sites(1)
    boundary = NOW + MARK_AHEAD_SECONDS
    site.act(lambda turn: turn.ask_tick(boundary))
    head = site.core.replica.signed_head(site.kid)
    assert head is not None
    assert head.time == boundary
    site.now_ms = (boundary + 1) * 1_000
    site.tell(gossip.TimerFired(TIMER_TICK_ASKED))
    assert boundary_of(site) == boundary
    assert site.act(lambda turn: turn.attest(boundary)) is None  # once


def test_a_boundary_from_before_the_start_is_not_attested() -> None:
    (site,) = sites(1, POLICY)
    site.now_ms = (NOW + 30) * 1_000
    site.act(lambda turn: turn.start())
    assert boundary_of(site) is None
    site.now_ms = (NOW + 60) * 1_000
    site.tell(gossip.TimerFired(TIMER_TICK))
    assert site.timers()[TIMER_TICK] == (NOW + 72) * 1_000
    site.now_ms = (NOW + 72) * 1_000
    site.tell(gossip.TimerFired(TIMER_TICK))
    assert boundary_of(site) == NOW + 60
    assert site.timers()[TIMER_TICK] == (NOW + 120) * 1_000


def test_who_has_left_or_has_only_begun_computes_a_tick_and_attests_none() -> None:
    site, _ = sites(2, POLICY)
    began, gone = NOW + 90, NOW + 200

    def attested(at: int, boundary: int) -> int:
        site.now_ms = at * 1_000
        site.act(lambda turn: turn.attest(boundary))
        assert boundary_of(site) == boundary
        return sum(entry.payload["boundary"] == boundary for entry in entries(site, "state.attestation"))

    site.now_ms = began * 1_000
    site.act(lambda turn: turn.start())
    assert attested(began + 1, NOW + 60) == 0  # before it began it may have lacked what others held
    assert attested(began + 60, NOW + 120) == 1
    site.act(lambda turn: turn.state("member.leave", ("member", turn.core.party[0]), {}))
    assert attested(gone, NOW + 180) == 0


# Undoing


def test_a_rolled_back_turn_leaves_no_trace_in_memory() -> None:
    one, two = sites(2)
    up(one, two)
    held = one.core.replica.position(one.kid)

    def fails(turn: Turn) -> None:
        grant(turn)
        raise LocalError("DISK_FULL", "no room")

    with pytest.raises(LocalError):
        one.act(fails)
    with one.store.read() as rows:
        assert not one.core.load(rows)  # gossip was not told: it goes on
    assert one.core.replica.position(one.kid) == held
    assert one.core.member_peers == [two.kid]


def test_gossip_that_was_told_of_what_never_happened_begins_anew() -> None:
    one, two = sites(2)
    up(one, two)
    swarm = one.core.swarm

    def fails(turn: Turn) -> None:
        grant(turn)
        turn.finish()
        raise LocalError("DISK_FULL", "no room")

    with pytest.raises(LocalError):
        one.act(fails)
    with one.store.read() as rows:
        assert one.core.load(rows)
    assert one.core.swarm is not swarm
    assert one.core.peers == {}
    up(one, two)
    one.act(grant)
    assert told(one, two)


def test_gossip_reads_the_ledger_inside_a_turn_only() -> None:
    one, two = sites(2)
    one.core.swarm.handle(gossip.BoundaryPassed(NOW), 0)
    with pytest.raises(LocalError, match="inside a turn"):
        one.core.swarm.handle(gossip.PeerUp(two.kid, True), 0)


@pytest.mark.parametrize("late", [False, True])
def test_whoever_attests_another_state_of_the_same_entries_is_told_of(late: bool) -> None:
    one, two = sites(2, POLICY)
    up(one, two)
    boundary = NOW + 60
    one.now_ms = two.now_ms = (boundary + 30) * 1_000
    with one.store.read() as rows:
        frontier = digest_of(
            Head(feed, head.size, head.root) for feed, head in heads_at(one.core.replica, rows, boundary).items()
        )
    payload = {"boundary": boundary, "frontier": frontier, "state_root": bytes(32)}
    two.act(lambda turn: turn.state("state.attestation", ("tick", boundary.to_bytes(8, "big")), payload))
    with two.store.read() as rows:
        run = two.core.replica.run(rows, two.kid, one.core.replica.size(two.kid), 1 << 20)
    assert run is not None
    codes = []
    for lie in (False, True) if late else (True, False):
        if lie:
            one.tell(gossip.Message(two.kid, encode(Runs(0, (run,)))))
        else:
            one.act(lambda turn: turn.attest(boundary))
        codes.append([e.fields["feed"] for e in one.effects if isinstance(e, Noted) and e.code == "STATE_DIFFERS"])
    assert codes == [[], [two.kid.hex()]]
