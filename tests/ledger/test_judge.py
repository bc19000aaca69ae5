"""The verdict on a leaf: rules F1 to F4, each a function of the entry's bytes and of its own feed alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from ledger.checkpoint import Head
from ledger.entry import Entry, sign_entry
from ledger.feed import start_of
from ledger.judge import SOUND, judge
from ledger.merkle import EMPTY_ROOT
from ledger.verdict import void_leaf
from tests.ledger.governance.polity import Polity
from tests.strategies import Act, acts, build, deliver
from tests.worlds import NOW, Node, World, key, octets, parsed

WORLD = World("judge")
ALICE, BOB = WORLD.members
FEED = ALICE.scribe.feed
HEAD = Head(FEED, 7, octets("root"))
TICK = {"boundary": NOW, "frontier": bytes(32), "state_root": bytes(32)}


def attest(**changes: Any) -> Entry:
    """Let Alice's device state something permissive at leaf 7 of its feed."""
    parts: dict[str, Any] = {"seen": (HEAD,), "iat": NOW, **changes}
    return WORLD.sign(ALICE.scribe.device, "state.attestation", ("tick", bytes(8)), TICK, **parts)


def leave(**changes: Any) -> Entry:
    """Let Alice's device leave at leaf 7 of its feed."""
    parts: dict[str, Any] = {"seen": (HEAD,), "iat": NOW, **changes}
    return WORLD.sign(ALICE.scribe.device, "member.leave", ("member", ALICE.root.kid), {}, **parts)


def verdict(entry: Entry, *, feed: bytes = FEED, index: int = 7, root: bytes = HEAD.root, iat_max: int = NOW) -> str:
    """Judge an entry as leaf 7 of Alice's feed, unless told otherwise."""
    return judge(entry, WORLD.mesh_id, feed, index, root, iat_max)


def test_a_sound_leaf() -> None:
    assert verdict(attest()) == verdict(leave()) == SOUND


def test_f1_an_entry_belongs_to_this_mesh() -> None:
    assert verdict(attest(mesh_id=octets("other"))) == "VOID_OTHER_MESH"
    assert verdict(World("other").genesis.entry) == "VOID_OTHER_MESH"
    assert verdict(WORLD.genesis.entry) == SOUND


def test_f2_a_device_states_only_in_its_own_feed() -> None:
    assert verdict(attest(), feed=BOB.scribe.feed) == "VOID_NOT_SELF_REGISTERED"
    assert verdict(leave(), feed=BOB.scribe.feed) == "VOID_NOT_SELF_REGISTERED"


@pytest.mark.parametrize("entry", [attest(), leave()], ids=["permissive", "restrictive"])
def test_f2_a_device_names_its_position(entry: Entry) -> None:
    for place in ({"index": 6}, {"index": 8}, {"root": EMPTY_ROOT}):
        changed: dict[str, Any] = place
        assert verdict(entry, **changed) == "VOID_WRONG_POSITION"


def test_f2_another_head_of_the_same_size_is_no_position() -> None:
    elsewhere = Head(BOB.scribe.feed, 7, HEAD.root)
    assert verdict(attest(seen=(elsewhere,))) == "VOID_WRONG_POSITION"
    assert verdict(attest(seen=(elsewhere, HEAD))) == SOUND


def test_f3_a_permissive_entry_is_not_dated_before_its_own_feed() -> None:
    assert verdict(attest(iat=NOW - 1)) == "VOID_BACKDATED"
    assert verdict(attest(), iat_max=NOW + 1) == "VOID_BACKDATED"


def test_f3_a_certificate_is_not_dated_before_its_epoch() -> None:
    polity = Polity("certified")
    polity.seal()
    sealer, ahead = polity.members[0].scribe, polity.as_of
    certificate = parsed(sealer.raws[-1])
    assert certificate is not None
    for early, told in ((0, SOUND), (1, "VOID_BEFORE_EPOCH")):
        said = sign_entry(
            sealer.device,
            certificate.kind,
            certificate.thing,
            certificate.payload,
            iat=ahead - early,
            cti=bytes(16),
            seen=(Head(sealer.feed, 7, HEAD.root),),
            mesh_id=polity.mesh_id,
            epoch=certificate.epoch,
        )
        assert judge(said, polity.mesh_id, sealer.feed, 7, HEAD.root, NOW) == told
    assert void_leaf("VOID_BEFORE_EPOCH").rule == "F3"


def test_f3_does_not_stop_what_only_restricts_nor_what_others_sign() -> None:
    assert verdict(leave(iat=NOW - 1)) == SOUND
    grant = WORLD.grant(ALICE.party, BOB.party, [start_of(FEED)], iat=NOW - 1).grant
    assert verdict(grant) == SOUND


def test_f4_a_withdrawal_carries_a_grant_of_its_signer() -> None:
    mine = WORLD.grant(ALICE.party, BOB.party, [HEAD])
    other = WORLD.grant(ALICE.party, BOB.party, [HEAD])
    assert verdict(WORLD.withdrawal(mine, [HEAD])) == SOUND
    assert verdict(WORLD.withdrawal(mine, [HEAD], by=mine.subject)) == SOUND
    assert verdict(WORLD.withdrawal(mine, [HEAD], by=other.withdraw)) == "VOID_WITHDRAWAL"
    raw, thing = mine.grant.raw, mine.grant.thing
    forged = raw[:-1] + bytes((raw[-1] ^ 1,))
    for carried in (b"\x00", forged, WORLD.withdrawal(mine, [HEAD]).raw, other.grant.raw):
        entry = WORLD.sign(mine.withdraw, "consent.withdraw", thing, {"grant": carried}, seen=[HEAD])
        assert verdict(entry) == "VOID_WITHDRAWAL"
    elsewhere = World("elsewhere").grant(ALICE.party, BOB.party, [HEAD])
    payload = {"grant": elsewhere.grant.raw}
    entry = WORLD.sign(elsewhere.withdraw, "consent.withdraw", elsewhere.grant.thing, payload, seen=[HEAD])
    assert verdict(entry) == "VOID_WITHDRAWAL"


def test_f4_a_fork_proof_proves_the_feed_it_names() -> None:
    scribe, twin = BOB.scribe, BOB.scribe.branch(1)
    twin.add(b"other")
    payload = {
        "feed_key": scribe.device.public,
        "first": scribe.sign(NOW).as_list(),
        "second": scribe.sign(NOW + 1, 1).as_list(),
    }
    for feed, good in ((scribe.feed, True), (FEED, False)):
        entry = WORLD.sign(ALICE.scribe.device, "fork.proof", ("feed", feed), payload, seen=(HEAD,), iat=NOW)
        assert verdict(entry) == (SOUND if good else "VOID_FORK_PROOF")
    swapped = {**payload, "first": payload["second"], "second": payload["first"]}
    entry = WORLD.sign(ALICE.scribe.device, "fork.proof", ("feed", scribe.feed), swapped, seen=(HEAD,), iat=NOW)
    assert verdict(entry) == "VOID_FORK_PROOF"


def test_f4_a_certificate_shows_that_the_device_agreed() -> None:
    device, other = key("judge", "new"), key("judge", "another")
    sound = WORLD.certificate(ALICE, device)
    assert verdict(sound) == SOUND
    for changes in (
        {"possession": other.sign(b"x")},
        {"device": other.public},
        {"incarnation": 2},
        {"device": bytes(32)},
    ):
        payload = {**sound.payload, **changes}
        entry = WORLD.sign(ALICE.root, "device.certify", ("device", device.kid), payload, seen=(HEAD,))
        assert verdict(entry) == "VOID_POSSESSION"
    elsewhere = WORLD.sign(ALICE.root, "device.certify", ("device", other.kid), sound.payload, seen=(HEAD,))
    assert verdict(elsewhere) == "VOID_POSSESSION"
    stolen = WORLD.sign(BOB.root, "device.certify", ("device", device.kid), sound.payload, seen=(HEAD,))
    assert verdict(stolen) == "VOID_POSSESSION"


@given(drawn=acts)
def test_void_leaves_keep_their_place_and_their_bytes(drawn: Sequence[Act]) -> None:
    world = build(drawn)
    node = Node(world.genesis)
    deliver(node, world, [])
    with node.store.read() as rows:
        for scribe in world.scribes():
            size = node.replica.size(scribe.feed)
            if not size:
                continue
            assert node.replica.position(scribe.feed) == scribe.head()
            assert node.replica.leaves(rows, scribe.feed, 0, 2**30) == tuple(scribe.raws)
            for index, raw in enumerate(scribe.raws):
                leaf = node.replica.leaf(rows, scribe.feed, index)
                assert leaf.raw == raw
                assert leaf.void or parsed(raw) is not None
