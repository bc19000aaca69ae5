"""Fork proofs: both shapes hold the feed where it split, and nothing else passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import fork, merkle
from ledger.errors import LocalError, RemoteError
from ledger.feed import SignedHead
from ledger.kinds import KINDS
from ledger.shapes import check_fields
from tests.worlds import NOW, Scribe, key, octets

MESH = octets("mesh")


def scribe(size: int, label: str = "leaf") -> Scribe:
    """Return a feed of so many leaves."""
    made = Scribe(key("forked"), MESH)
    made.add(*(octets(label, i) for i in range(size)))
    return made


def branches(shared: int, mine: int, other: int) -> tuple[Scribe, Scribe]:
    """Return two branches that share so many leaves."""
    ours = scribe(shared)
    theirs = ours.branch(shared)
    ours.add(*(octets("ours", i) for i in range(mine)))
    theirs.add(*(octets("theirs", i) for i in range(other)))
    return ours, theirs


def proof(ours: Scribe, theirs: Scribe) -> dict[str, Any]:
    """Prove two branches."""
    return fork.prove_branches(ours.device.public, ours.sign(NOW), ours.leaves, theirs.sign(NOW), theirs.leaves)


def refused(payload: dict[str, Any], mesh: bytes = MESH) -> bool:
    """Say whether a proof is refused."""
    try:
        fork.check(payload, mesh)
    except RemoteError as error:
        return error.code == "BAD_FORK_PROOF"
    return False


@pytest.mark.covers("R95")
@given(st.integers(0, 40), st.integers(1, 20), st.integers(1, 20))
def test_two_branches_hold_the_feed_where_they_part(shared: int, mine: int, other: int) -> None:
    ours, theirs = branches(shared, mine, other)
    for payload in (proof(ours, theirs), proof(theirs, ours)):
        check_fields(KINDS["fork.proof"].fields, payload)
        assert fork.check(payload, MESH) == fork.Hold(ours.feed, shared)
        assert fork.hold_of(payload) == shared


@given(st.integers(0, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 60))
def test_no_other_index_is_proven(shared: int, mine: int, other: int, index: int) -> None:
    ours, theirs = branches(shared, mine, other)
    payload = proof(ours, theirs)
    assert refused({**payload, "index": index}) == (index != shared)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.data())
def test_an_honest_feed_is_never_proven_forked(shared: int, mine: int, other: int, data: st.DataObject) -> None:
    """Whatever is shown of one history: no index has two leaves, and equal prefixes differ nowhere."""
    whole = scribe(shared + mine + other + 1)
    heads = [whole.sign(NOW, shared + 1), whole.sign(NOW + 1, shared + mine + 1), whole.sign(NOW + 2)]
    first, second = data.draw(st.tuples(st.sampled_from(heads), st.sampled_from(heads)))
    index = data.draw(st.integers(0, min(first.size, second.size) - 1))
    other_index = data.draw(st.integers(0, min(first.size, second.size) - 1))
    leaves = whole.leaves
    payload = {
        "feed_key": whole.device.public,
        "first": first.as_list(),
        "second": second.as_list(),
        "index": index,
        "leaves": [
            [leaves[index], merkle.inclusion_path(leaves[: first.size], index)],
            [leaves[other_index], merkle.inclusion_path(leaves[: second.size], other_index)],
        ],
    }
    assert refused(payload)
    without = {name: payload[name] for name in ("feed_key", "first", "second")}
    assert refused(without)


def test_branches_that_part_earlier_cannot_be_proven_to_part_later() -> None:
    ours, theirs = branches(3, 6, 6)
    payload = proof(ours, theirs)
    for index in range(4, 9):
        later = {
            **payload,
            "index": index,
            "leaves": [[s.leaves[index], merkle.inclusion_path(s.leaves, index)] for s in (ours, theirs)],
        }
        assert refused(later)


def test_a_smaller_size_at_a_later_time_holds_the_feed_there() -> None:
    feed = scribe(9)
    larger, smaller = feed.sign(NOW), feed.sign(NOW + 1, 4)
    payload = fork.prove_regression(feed.device.public, larger, smaller)
    assert fork.check(payload, MESH) == fork.Hold(feed.feed, 4)
    assert fork.hold_of(payload) == 4
    assert refused(fork.prove_regression(feed.device.public, smaller, larger))
    same_second = feed.sign(NOW, 4)
    assert refused(fork.prove_regression(feed.device.public, larger, same_second))
    later = feed.sign(NOW + 1)
    assert refused(fork.prove_regression(feed.device.public, larger, later))


@pytest.mark.parametrize("name", ["first", "second", "feed_key", "mesh", "leaves", "one-sided"])
def test_every_part_of_a_proof_is_checked(name: str) -> None:
    ours, theirs = branches(5, 3, 4)
    payload = proof(ours, theirs)
    mesh = MESH
    match name:
        case "first" | "second":
            head = SignedHead(*payload[name])
            payload[name] = [head.size, head.root, head.time + 1, head.signature]
        case "feed_key":
            payload["feed_key"] = key("another").public
        case "mesh":
            mesh = octets("another mesh")
        case "leaves":
            payload["leaves"] = [payload["leaves"][0], payload["leaves"][0]]
        case _:
            del payload["leaves"]
    assert refused(payload, mesh)


def test_agreeing_branches_are_no_fork() -> None:
    ours = scribe(5)
    with pytest.raises(LocalError, match="NO_FORK"):
        fork.prove_branches(ours.device.public, ours.sign(NOW), ours.leaves, ours.sign(NOW, 3), ours.leaves[:3])
