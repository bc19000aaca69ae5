"""Members cosign each other's checkpoints: who, what, when, what is kept, and what peers may cost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gossip import events as gossip
from gossip.witness import Cosigned, Lacking, encode
from ledger import checkpoint, witnessing
from ledger.checkpoint import Head
from ledger.errors import RemoteError
from ledger.feed import SignedHead
from ledger.governance.epoch import Policy
from ledger.keys import SigningKey
from ledger.ticks import Tick
from ledger.verify import verify_ledger
from ledger.witnessing import Cosigned as Line
from node.turn import Turn
from node.witness import FAULTS_MAX, LINES_BURST
from simulations.founding import copy_store
from simulations.links import LAN, Link, uniform
from simulations.nodes import Node
from simulations.people import person
from simulations.world import SECOND, World

POLICY = Policy(tick_seconds=60, heartbeat_seconds=20, invitations_a_day=1_000)


def made(seed: int, count: int, dials: int = 8, link: Link = LAN) -> World:
    """Found a world and run it until its first ticks are attested."""
    world = World(seed, link=link, policy=POLICY, dials=dials)
    world.found(count)
    world.run_for(90 * SECOND)
    return world


def grant_at(world: World, number: int, who: int = 0) -> None:
    """Let a person grant at a node."""
    parties = [node.who.party for node in world.nodes[:2]]
    world.act(number, lambda turn: person(world.seed, who).grant(turn, *parties))


def tick_of(node: Node) -> Tick:
    """Return the tick that a node's maps stand at."""
    tick = node.running.ticker.tick
    assert tick is not None
    return tick


def newest(node: Node, feed: bytes) -> Head:
    """Return the newest head of a feed that was to be cosigned."""
    with node.store.read() as rows:
        found = witnessing.newest_of(rows, feed)
    assert found is not None
    return found.head


def witnesses(node: Node, feed: bytes, head: Head | None = None) -> set[bytes]:
    """Return whose cosignatures a node holds of a feed's head, by default its newest; each is verified anew."""
    head = head or newest(node, feed)
    replica = node.running.replica
    with node.store.read() as rows:
        held = witnessing.cosignatures(rows, feed, head)
    for device, time, signature in held:
        public = replica.feed_key(device)
        assert public is not None
        assert checkpoint.verify_head(public, replica.mesh_id, feed, head.size, head.root, time, signature)
    return {device for device, _, _ in held}


def others(world: World, number: int) -> set[bytes]:
    """Return the devices of all nodes but one."""
    return {node.kid for node in world.nodes if node.number != number}


def test_every_member_cosigns_every_other_at_a_tick() -> None:
    world = made(1, 5)
    for node in world.nodes:
        for other in world.nodes:
            assert witnesses(node, other.kid) == others(world, other.number)
            assert newest(node, other.kid) == newest(world.nodes[0], other.kid)
            assert newest(node, other.kid).size <= tick_of(node).heads[other.kid].size


def test_only_what_moved_is_cosigned_and_attestations_alone_do_not_move_a_feed() -> None:
    world = made(2, 4)
    world.run_for(120 * SECOND)
    before = {node.kid: newest(world.nodes[0], node.kid) for node in world.nodes}
    cosigned: list[bytes] = []
    world.on_deliver = lambda _, __, data: cosigned.append(data) if data[1] == 5 else None
    world.run_for(120 * SECOND)
    assert not cosigned
    grant_at(world, 2)
    world.run_for(120 * SECOND)
    assert len(cosigned) == 3 * 3  # each of the three others tells three neighbours; nobody has to ask
    after = {node.kid: newest(world.nodes[0], node.kid) for node in world.nodes}
    assert {kid for kid in after if after[kid] != before[kid]} == {world.nodes[2].kid}
    assert after[world.nodes[2].kid].size > before[world.nodes[2].kid].size
    for node in world.nodes:
        assert witnesses(node, world.nodes[2].kid) == others(world, 2)


def test_cosignatures_cross_a_sparse_and_lossy_mesh() -> None:
    rough = Link(uniform(10, 50), loss=0.10, duplication=0.05, reorder=True)
    world = made(3, 12, dials=2, link=rough)
    for number in (1, 5, 9):
        grant_at(world, number, number)
    world.run_for(120 * SECOND)
    for node in world.nodes:
        for number in (1, 5, 9):
            assert witnesses(node, world.nodes[number].kid) == others(world, number)


def test_who_was_away_fetches_the_newest_of_each_feed() -> None:
    world = made(4, 5)
    world.crash(4)
    grant_at(world, 1)
    world.run_for(120 * SECOND)
    world.restart(4)
    world.run_for(180 * SECOND)
    assert witnesses(world.nodes[4], world.nodes[1].kid) == others(world, 1)
    assert witnesses(world.nodes[0], world.nodes[1].kid) == others(world, 1)


def test_the_store_with_cosignatures_is_sound_and_each_changed_row_is_a_fault() -> None:
    world = made(5, 4)
    node = world.nodes[0]
    with node.store.read() as rows:
        report = verify_ledger(rows, lambda *_: None)
        lines = list(rows.scan("cosigned", b"c", b"d"))
    assert report.sound
    assert report.cosignatures == len(lines) == 4 * 3
    key, value = lines[0]
    other = node.store
    for changed_key, changed in ((key, value[:-1] + bytes((value[-1] ^ 1,))), (key[:-1] + b"\x00", value), (b"c", b"")):
        twin = copy_store(other)
        with twin.write() as rows:
            rows.put("cosigned", changed_key, changed)
        with twin.read() as rows:
            assert {fault.code for fault in verify_ledger(rows, lambda *_: None).faults} == {"COSIGNATURE"}


def test_a_smaller_or_diverging_head_is_never_cosigned() -> None:
    world = made(8, 3)
    node, feed = world.nodes[0], world.nodes[1].kid
    last = newest(node, feed)
    grant_at(world, 1)
    world.run_for(5 * SECOND)

    def cosign(turn: Turn, recorded: Head) -> tuple[Sequence[Line], Sequence[bytes]]:
        signed = SignedHead(recorded.size, recorded.root, 0, bytes(64))
        turn.rows.put("cosigned", b"n" + feed, witnessing.Newest(0, feed, signed, 0).encode())
        core = turn.core
        heads = {feed: core.replica.signed_head(feed)}
        tick = Tick(tick_of(node).boundary, heads, b"", b"", (0, b""), (0, b""))  # type: ignore[arg-type]
        made, diverged = witnessing.cosign(turn.rows, core.replica, tick, {}, core.device, turn.now)
        return [line for line in made if line.head.feed == feed], diverged

    assert world.act(0, lambda turn: cosign(turn, Head(feed, last.size, bytes(32)))) == ([], [feed])
    assert world.act(0, lambda turn: cosign(turn, Head(feed, 10**6, bytes(32)))) == ([], [])
    lines, diverged = world.act(0, lambda turn: cosign(turn, last))
    assert [line.device for line in lines] == [node.kid]
    assert not diverged


def lose(node: Node, feed: bytes) -> None:
    """Drop the cosignatures that a node holds of a feed."""
    with node.store.write() as rows:
        for key, _ in list(rows.scan("cosigned", b"c" + feed, b"c" + feed + b"\xff")):
            rows.delete("cosigned", key)


def hung_up(world: World, code: str) -> int:
    """Return how many channels were ended with a code."""
    return world.counts[f"disconnect_{code}"]


def codes(world: World, lines: Sequence[Line], target: int = 0) -> list[str]:
    """Return what comes of each cosignature at a node: "" for news, "held", or the code of its refusal."""

    def take(turn: Turn) -> list[str]:
        core, found = turn.core, []
        for line in lines:
            try:
                roll = witnessing.Witnesses(core.replica.members)
                news = witnessing.keep(turn.rows, core.replica, core.ticker.tick, roll, line, turn.now)
                found.append("" if news else "held")
            except RemoteError as error:
                found.append(error.code)
        return found

    return world.act(target, take)


def test_what_is_not_a_witness_word_is_refused_with_its_reason() -> None:
    world = made(9, 4)
    feed, device = world.nodes[1].kid, world.nodes[2].who.device
    mesh_id, now = world.nodes[0].running.replica.mesh_id, world.now_us // SECOND
    head = newest(world.nodes[0], feed)

    def line(key: SigningKey, head: Head, time: int = now) -> Line:
        return Line(key.kid, time, head, checkpoint.sign_head(key, mesh_id, head, time, key.kid))

    stranger = SigningKey.from_seed(bytes(32))
    held = line(device, head)
    assert codes(world, [held]) == ["held"]
    lose(world.nodes[0], feed)
    bad = Line(held.device, held.time, head, bytes(64))
    far = Head(feed, head.size + 50, bytes(32))
    with world.nodes[0].store.read() as rows:
        found = world.nodes[0].running.replica.head_at(rows, feed, 1)
    assert found is not None
    assert codes(
        world,
        [
            line(stranger, head),
            line(world.nodes[1].who.device, head),
            line(device, head, now + 1_000),
            line(device, far),
            line(device, found),
            bad,
            line(device, Head(feed, head.size, bytes(32))),
            held,
            held,
        ],
    ) == [
        "NOT_A_WITNESS",
        "NOT_A_WITNESS",
        "DATED_AHEAD",
        "HEAD_NOT_HELD",
        "HEAD_NOT_HELD",
        "BAD_COSIGNATURE",
        "OTHER_FACE",
        "",
        "held",
    ]


def test_a_peer_that_sends_bad_ones_is_hung_up_on_and_one_that_sends_too_many_is_not_heard() -> None:
    world = made(10, 4)
    feed, device = world.nodes[1].kid, world.nodes[2].kid
    head = newest(world.nodes[0], feed)
    lose(world.nodes[0], feed)
    bad = Line(device, 5, head, bytes(64))
    for _ in range(FAULTS_MAX - 1):
        world.act(0, lambda turn: turn.handle(gossip.Message(device, encode(Cosigned((bad,))))))
    assert hung_up(world, "BAD_COSIGNATURES") == 0
    world.act(0, lambda turn: turn.handle(gossip.Message(device, encode(Cosigned((bad,))))))
    assert hung_up(world, "BAD_COSIGNATURES") == 1
    many = encode(Cosigned((bad,) * 512))
    for _ in range(LINES_BURST // 512 + 5):
        world.act(0, lambda turn: turn.handle(gossip.Message(world.nodes[3].kid, many)))
    assert hung_up(world, "BAD_COSIGNATURES") <= 2 + LINES_BURST // 512
    world.act(0, lambda turn: turn.handle(gossip.Message(world.nodes[3].kid, b"\x84\x05\x01\x01\x00")))
    assert hung_up(world, "BAD_MESSAGE") == 1


def test_answers_hold_what_was_asked_for_and_no_more() -> None:
    world = made(11, 4)
    feed, asker = world.nodes[1].kid, world.nodes[3]
    head = newest(world.nodes[0], feed)
    got: list[bytes] = []
    world.on_deliver = lambda source, target, data: got.append(data) if (source, target) == (0, 3) else None
    roll = witnessing.Witnesses(world.nodes[0].running.replica.members).of(feed)
    one = 1 << roll.index(world.nodes[2].kid)
    for items in (((feed, head.size, one),), ((feed, head.size + 9, one),), ((bytes(32), 1, one),)):
        data = encode(Lacking(items))
        world.act(0, lambda turn, data=data: turn.handle(gossip.Message(asker.kid, data)))  # type: ignore[misc]
    world.run_for(SECOND // 2)
    answers = [data for data in got if data[1] == 5]
    assert len(answers) == 1
    assert answers[0].count(feed) == 1
    assert answers[0].count(world.nodes[2].kid) == 1


def test_old_ones_are_dropped_with_the_ticks_that_held_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.ticks.TICKS_KEPT", 3)
    world = made(12, 3)
    feed, first = world.nodes[1].kid, newest(world.nodes[0], world.nodes[1].kid)
    grant_at(world, 1)
    world.run_for(60 * SECOND)
    assert newest(world.nodes[0], feed) != first
    assert witnesses(world.nodes[0], feed, first)
    world.run_for(240 * SECOND)
    assert not witnesses(world.nodes[0], feed, first)
    assert witnesses(world.nodes[0], feed) == others(world, 1)
    with world.nodes[0].store.read() as rows:
        assert not list(rows.scan("cosigned", b"o", b"p"))
        assert verify_ledger(rows, lambda *_: None).sound


def test_a_tick_that_a_receipt_names_is_kept_with_its_cosignatures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.ticks.TICKS_KEPT", 3)
    world = made(13, 3)
    feed, first, tick = world.nodes[1].kid, newest(world.nodes[0], world.nodes[1].kid), tick_of(world.nodes[0])
    receipts = [[bytes(16), bytes(32), bytes(32), tick.frontier]]
    thing = ("transfers", feed)
    world.act(1, lambda turn: turn.state("transfer.receipt", thing, {"receipts": receipts}))
    world.run_for(400 * SECOND)
    assert newest(world.nodes[0], feed) != first
    assert witnesses(world.nodes[0], feed, first) == others(world, 1)
    with world.nodes[0].store.read() as rows:
        assert world.nodes[0].running.ticker.kept(rows, tick.boundary) == tick
        assert world.nodes[0].running.ticker.kept(rows, tick.boundary + 60) is None
        assert verify_ledger(rows, lambda *_: None).sound
        key, row = next(rows.scan("meta", b"kept tick", b"kept ticl"))
    twin = copy_store(world.nodes[0].store)
    with twin.write() as changed:
        changed.put("meta", key[:-1] + bytes((key[-1] ^ 1,)), row)
    with twin.read() as rows:
        assert {fault.code for fault in verify_ledger(rows, lambda *_: None).faults} == {"TICK_ROW"}


def test_a_feed_has_as_many_witnesses_as_a_note_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.witnessing.WITNESSES_MAX", 3)
    world = made(14, 6)
    chosen = [witnesses(world.nodes[0], node.kid) for node in world.nodes]
    assert {len(found) for found in chosen} == {3}
    assert len(set(map(frozenset, chosen))) > 1
    for node in world.nodes:
        assert [witnesses(node, other.kid) for other in world.nodes] == chosen


def test_who_was_away_at_a_tick_cosigns_when_it_is_back() -> None:
    world = made(15, 3)
    grant_at(world, 1)
    world.run_for(30 * SECOND)
    world.crash(2)
    world.run_for(60 * SECOND)
    assert witnesses(world.nodes[0], world.nodes[1].kid) == {world.nodes[0].kid}
    world.restart(2)
    world.run_for(120 * SECOND)
    assert witnesses(world.nodes[0], world.nodes[1].kid) == others(world, 1)
