"""What Hypothesis draws for the ledger: worlds in which members, devices, tenants and subjects act, some of them badly.

How it works
    A world is drawn as a list of acts, each a name and a few small numbers that choose who and what; `build` carries
    them out. Shrinking a failing world therefore drops acts and lowers numbers. A delivery is a list of numbers too:
    which feed comes next, in how large a piece, with how many leaves that are held already.

What it does not do
    It never draws bytes of signatures: keys follow from labels, so a world is the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from ledger import fork
from ledger.checkpoint import Head
from ledger.feed import SignedHead
from ledger.governance.epoch import Policy
from tests.worlds import LATER, NOW, Consent, Member, Node, Scribe, World, key, octets

Act = tuple[str, int, int, int]

MEMBERS_MAX = 5
TERMS = {"green_button": True}


def _pick_member(world: World, i: int) -> Member:
    return world.members[i % len(world.members)]


def _pick_scribe(world: World, i: int) -> Scribe:
    scribes = world.scribes()
    return scribes[i % len(scribes)]


def _join(world: World, i: int, j: int, k: int) -> None:
    if len(world.members) < MEMBERS_MAX:
        world.join(_pick_member(world, i))


def _leave(world: World, i: int, j: int, k: int) -> None:
    member = _pick_member(world, i)
    world.write(member.scribe, "member.leave", ("member", member.root.kid), {})


def _link(world: World, i: int, j: int, k: int) -> None:
    source, target = _pick_member(world, i), _pick_member(world, j)
    if source is not target:
        world.link(("link.offer", "link.accept", "link.accept", "link.refuse", "link.sever")[k % 5], source, target)


def _grant(world: World, i: int, j: int, k: int) -> None:
    scribe, shown = _pick_scribe(world, k), _pick_scribe(world, i + j)
    consent = world.grant(_pick_member(world, i).party, _pick_member(world, j).party, [shown.head()])
    scribe.add(consent.grant.raw)


def _consent(world: World, i: int) -> Consent:
    if not world.consents:
        _grant(world, 0, 1, i)
    return world.consents[i % len(world.consents)]


def _again(world: World, i: int, j: int, k: int) -> None:
    _pick_scribe(world, k).add(_consent(world, i).grant.raw)


def _withdraw(world: World, i: int, j: int, k: int) -> None:
    consent, scribe = _consent(world, i), _pick_scribe(world, k)
    by = consent.subject if j % 2 else consent.withdraw
    scribe.add(world.withdrawal(consent, [scribe.head()], by=by).raw)


def _revoke(world: World, i: int, j: int, k: int) -> None:
    consent = _consent(world, i)
    payload = {"grant": consent.grant.id, "reason_code": "error"}
    world.write(_pick_member(world, j).scribe, "consent.revoke", consent.grant.thing, payload)


def _acknowledge(world: World, i: int, j: int, k: int) -> None:
    consent = _consent(world, i)
    payload = {"grant": consent.grant.id, "entry": consent.grant.id if k % 2 else octets("other")}
    world.write(_pick_member(world, j).scribe, "consent.acknowledge", consent.grant.thing, payload)


def _tenant(world: World, i: int, j: int, k: int) -> None:
    tenant, member, scribe = key(world.label, "tenant", i % 2), _pick_member(world, j), _pick_scribe(world, k)
    host, thing = list(member.party), ("tenant", tenant.kid)
    terms = {"host": host, "terms": TERMS, "serial": k}
    end = {"host": host, "serial": k}
    match k % 4:
        case 0 | 1:
            world.write(member.scribe, "tenant.host", thing, terms)
            scribe.add(world.sign(tenant, "tenant.host", thing, terms, seen=(scribe.head(),)).raw)
        case 2:
            scribe.add(world.sign(tenant, "tenant.unhost", thing, end, seen=(scribe.head(),)).raw)
        case _:
            world.write(member.scribe, "tenant.unhost", thing, end)


def _succeed(world: World, i: int, j: int, k: int) -> None:
    member = _pick_member(world, i)
    if len(member.scribes) < 3:
        world.succeed(member, _pick_scribe(world, j), claim=None if k % 2 else k)


def _retire(world: World, i: int, j: int, k: int) -> None:
    member = _pick_member(world, i)
    old, scribe = member.scribes[0], _pick_scribe(world, j)
    final = [old.feed, min(k, len(old.raws)), octets("root")]
    entry = world.sign(member.root, "device.retire", ("device", old.feed), {"final": final}, seen=(scribe.head(),))
    scribe.add(entry.raw)


def _publish(world: World, i: int, j: int, k: int) -> None:
    world.now += 1
    _pick_scribe(world, i).sign(world.now)


def _fork(world: World, i: int, j: int, k: int) -> None:
    """Fork a feed, and let somebody prove it: two branches, or a smaller size at a later time."""
    scribe, witness = _pick_scribe(world, i), _pick_member(world, j).scribe
    size = min(k + 3, len(scribe.raws) - 1)
    if size < 0 or scribe is witness:
        return
    ours = _signed(scribe, world.now)
    if k % 2:
        payload = fork.prove_regression(scribe.device.public, ours, _signed_at(scribe, size, world.now + 1))
    else:
        twin = scribe.branch(size)
        twin.add(octets("other branch"))
        theirs = _signed(twin, world.now)
        payload = fork.prove_branches(scribe.device.public, ours, scribe.leaves, theirs, twin.leaves)
    world.write(witness, "fork.proof", ("feed", scribe.feed), payload)


def _signed(scribe: Scribe, time: int) -> SignedHead:
    return _signed_at(scribe, len(scribe.raws), time)


def _signed_at(scribe: Scribe, size: int, time: int) -> SignedHead:
    scribe.sign(time, size)
    return scribe.heads.pop()  # shown to the witness alone


def _bad(world: World, i: int, j: int, k: int) -> None:
    """Register something that is void, useless or replayed."""
    scribe, other = _pick_scribe(world, i), _pick_scribe(world, j)
    member = _pick_member(world, i)
    grant = _consent(world, j).grant
    leave = ("member", member.root.kid)
    payload: dict[str, Any]
    match k % 14:
        case 0:  # forged signature
            scribe.add(grant.raw[:-1] + bytes((grant.raw[-1] ^ 1,)))
        case 1:  # another mesh
            sign = world.sign(scribe.device, "member.leave", leave, {}, seen=(scribe.head(),), mesh_id=octets("mesh"))
            scribe.add(sign.raw)
        case 2:  # truncated
            scribe.add(grant.raw[:-1])
        case 3:  # replayed from anywhere
            scribe.add(other.raws[j % len(other.raws)] if other.raws else b"\x00")
        case 4:  # an older position
            old = Head(scribe.feed, 0, octets("root"))
            scribe.add(world.sign(scribe.device, "member.leave", leave, {}, seen=(old,)).raw)
        case 5:  # backdated
            thing = ("tick", bytes(8))
            tick = {"boundary": 0, "frontier": bytes(32), "state_root": bytes(32)}
            head = scribe.head()
            scribe.add(world.sign(scribe.device, "state.attestation", thing, tick, seen=(head,), iat=NOW - 5).raw)
        case 6:  # no entry at all
            scribe.add(octets("garbage", i, j))
        case 7:  # a withdrawal of nothing
            payload = {"grant": octets("no grant")}
            entry = world.sign(key("stranger"), "consent.withdraw", grant.thing, payload, seen=(scribe.head(),))
            scribe.add(entry.raw)
        case 8:  # a withdrawal by a stranger
            payload = {"grant": grant.raw}
            entry = world.sign(key("stranger"), "consent.withdraw", grant.thing, payload, seen=(scribe.head(),))
            scribe.add(entry.raw)
        case 9:  # a fork proof that proves nothing
            twice = [_signed(other, world.now).as_list()] * 2
            payload = {"feed_key": other.device.public, "first": twice[0], "second": twice[1]}
            world.write(scribe, "fork.proof", ("feed", other.feed), payload)
        case 10:  # a grant whose seen nobody holds
            head = Head(other.feed, len(other.raws) + 1, octets("withheld"))
            scribe.add(world.grant(member.party, member.party, [head]).grant.raw)
        case 11:  # a grant dated before what it has seen
            early = world.grant(member.party, world.members[0].party, [other.head()], iat=NOW - 5)
            scribe.add(early.grant.raw)
        case 12:  # a device that never agreed
            stolen = world.certificate(member, other.device).raw
            scribe.add(stolen[:-1] + bytes((stolen[-1] ^ 1,)))
        case _:  # a kind of tomorrow
            thing = ("future", b"\x01")
            scribe.add(world.sign(key("tomorrow"), "future.kind", thing, {"a": 1}, seen=(other.head(),)).raw)


ACTS: dict[str, Callable[[World, int, int, int], None]] = {
    "join": _join,
    "leave": _leave,
    "link": _link,
    "grant": _grant,
    "again": _again,
    "withdraw": _withdraw,
    "revoke": _revoke,
    "acknowledge": _acknowledge,
    "tenant": _tenant,
    "succeed": _succeed,
    "retire": _retire,
    "publish": _publish,
    "fork": _fork,
    "bad": _bad,
}
"""What may happen, by name; the later ones undo or break more."""

BUSY = ("join", "link", "link", "grant", "grant", "acknowledge", "tenant", "publish", "publish")
"""Acts that come more often, so that there is something to undo."""
SMALL = st.integers(0, 13)
acts: st.SearchStrategy[list[Act]] = st.lists(
    st.tuples(st.sampled_from([*ACTS, *BUSY]), SMALL, SMALL, SMALL), min_size=1, max_size=25
)
"""Lists of acts."""
deliveries: st.SearchStrategy[list[int]] = st.lists(st.integers(0, 10**4), max_size=40)
"""Orders of arrival, for `deliver`."""


def build(drawn: Sequence[Act], label: object = 0) -> World:
    """Carry out acts in a new world of two founders and a third member; every feed signs a checkpoint at the end."""
    world = World(label, policy=Policy(invitations_a_day=2))
    world.join(world.members[0])
    for name, i, j, k in drawn:
        ACTS[name](world, i, j, k)
        if (i + k) % 2:
            _publish(world, j, 0, 0)
    world.now += 1
    for scribe in world.scribes():
        scribe.sign(world.now)
    return world


def deliver(node: Node, world: World, delivery: Sequence[int], *, whole: bool = True) -> None:
    """Bring a world to a node: pieces in the order drawn, then (if `whole`) all that is left, and every checkpoint."""
    scribes = [scribe for scribe in world.scribes() if scribe.raws]
    for number in delivery:
        scribe = scribes[number % len(scribes)]
        _piece(node, scribe, number // len(scribes))
    while whole:
        before = node.replica.frontier_digest()
        for scribe in scribes if len(delivery) % 2 else reversed(scribes):
            node.ingest(scribe.run(0, len(scribe.raws), scribe.heads[-1]))
            for head in scribe.heads:
                node.observe(scribe.feed, head)
        if node.replica.frontier_digest() == before:
            return


def _piece(node: Node, scribe: Scribe, number: int) -> None:
    held = node.replica.size(scribe.feed)
    start = max(0, held - number % 3)
    stop = min(len(scribe.raws), held + number // 3 % 6)
    heads = [head for head in scribe.heads if head.size >= stop]
    if stop > start and heads:
        node.ingest(scribe.run(start, stop, heads[number // 18 % len(heads)]))


__all__ = ("ACTS", "LATER", "Act", "acts", "build", "deliver", "deliveries")
