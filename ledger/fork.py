"""Fork proofs: evidence, signed by a feed's own key, that it showed two faces (ledger.md §4).

How it works
    Two shapes. *Two branches*: two checkpoints of one feed and one leaf index i, with different leaves included
    at i under each, and the same prefix below i. The inclusion path of leaf i holds, as its left neighbours,
    exactly the peaks of the prefix of size i, so two paths with equal left neighbours share their prefix: no
    further proof is needed. The feed is held at i. *Time regression*: a smaller size signed at a later time than
    a larger one. The feed is held at the smaller size. The smallest hold over all proofs of a feed wins.

    Times are whole seconds and a device may publish several checkpoints in one, so two sizes at the *same*
    second are no fault; a smaller size at a strictly later second is. (ledger.md §4 says "at a time >=", which
    would allow one publication a second and turn every burst of an honest node into a proof against it.)

What it does not do
    It finds no fork: a node that meets one asks for the other branch's leaves and calls `prove_branches`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger import checkpoint, keys, merkle
from ledger.errors import LocalError, RemoteError
from ledger.feed import SignedHead


@dataclass(frozen=True, slots=True)
class Hold:
    """What a sound proof says: `feed` counts below `size` alone."""

    feed: bytes
    size: int


def prove_branches(
    feed_key: bytes, ours: SignedHead, our_leaves: Sequence[bytes], theirs: SignedHead, their_leaves: Sequence[bytes]
) -> dict[str, Any]:
    """Return the payload of a fork.proof from both branches' leaf hashes (each from index 0 to its head's size).

    Raises LocalError NO_FORK when neither branch differs within the smaller size.
    """
    pairs = enumerate(zip(our_leaves, their_leaves, strict=False))
    index = next((i for i, (mine, other) in pairs if mine != other), None)
    if index is None:
        raise LocalError("NO_FORK", "the two branches agree as far as the shorter one goes")
    return {
        "feed_key": feed_key,
        "first": ours.as_list(),
        "second": theirs.as_list(),
        "index": index,
        "leaves": [
            [our_leaves[index], merkle.inclusion_path(our_leaves, index)],
            [their_leaves[index], merkle.inclusion_path(their_leaves, index)],
        ],
    }


def prove_regression(feed_key: bytes, larger: SignedHead, smaller_later: SignedHead) -> dict[str, Any]:
    """Return the payload of a fork.proof from a smaller size signed at a later time than a larger one."""
    return {"feed_key": feed_key, "first": larger.as_list(), "second": smaller_later.as_list()}


def check(payload: Mapping[str, Any], mesh_id: bytes) -> Hold:
    """Verify a fork.proof whose shape is sound. Raises RemoteError BAD_FORK_PROOF with what does not hold."""
    feed_key: bytes = payload["feed_key"]
    feed = keys.thumbprint(feed_key)
    first, second = SignedHead(*payload["first"]), SignedHead(*payload["second"])
    for name, head in (("first", first), ("second", second)):
        if not checkpoint.verify_head(feed_key, mesh_id, feed, head.size, head.root, head.time, head.signature):
            raise RemoteError("BAD_FORK_PROOF", "the feed's key did not sign this checkpoint", field=name)
    if ("index" in payload) != ("leaves" in payload):
        raise RemoteError("BAD_FORK_PROOF", "an index and its two leaves belong together", field="index")
    if "index" not in payload:
        if second.size < first.size and second.time > first.time:
            return Hold(feed, second.size)
        raise RemoteError("BAD_FORK_PROOF", "the later checkpoint must have the smaller size", field="second")
    return Hold(feed, _branches(payload, first, second))


def hold_of(payload: Mapping[str, Any]) -> int:
    """Return the size at which a sound proof holds its feed; nothing is verified."""
    branches = "index" in payload and "leaves" in payload
    size: int = payload["index"] if branches else payload["second"][0]
    return size


def _branches(payload: Mapping[str, Any], first: SignedHead, second: SignedHead) -> int:
    index: int = payload["index"]
    prefixes = []
    for name, head, (leaf, path) in zip(("first", "second"), (first, second), payload["leaves"], strict=True):
        if not merkle.verify_inclusion(leaf, index, head.size, path, head.root):
            raise RemoteError("BAD_FORK_PROOF", "the leaf is not included under this checkpoint", field=name)
        prefixes.append(_left_neighbours(index, head.size, path))
    if payload["leaves"][0][0] == payload["leaves"][1][0]:
        raise RemoteError("BAD_FORK_PROOF", "both branches hold the same leaf at this index", field="leaves")
    if prefixes[0] != prefixes[1]:
        raise RemoteError("BAD_FORK_PROOF", "the branches already differ below this index", field="index")
    return index


def _left_neighbours(index: int, size: int, path: Sequence[bytes]) -> list[bytes]:
    """Pick the left siblings out of an inclusion path (RFC 9162 §2.1.3.2), smallest subtree first."""
    lefts, node, last = [], index, size - 1
    for sibling in path:
        if node & 1 or node == last:
            lefts.append(sibling)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    return lefts
