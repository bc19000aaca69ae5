"""Committed maps: the same values give the same root, proofs verify, and no changed proof does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.maps import CONSENTS, MEMBERS, CommittedMap, MapProof, map_key, state_root, verify_value
from ledger.merkle import EMPTY_ROOT
from storage.memory import MemoryStore
from tests.worlds import octets


def colliding(count: int) -> list[bytes]:
    """Return ids that share one bucket, in the order of their keys."""
    wanted = int.from_bytes(map_key(b"")[:2], "big") >> 4
    found = (octets("id", i) for i in range(10**6))
    same = [ident for ident, _ in zip(_in_bucket(found, wanted), range(count), strict=False)]
    return sorted(same, key=map_key)


def _in_bucket(idents: Any, wanted: int) -> Any:
    return (ident for ident in idents if int.from_bytes(map_key(ident)[:2], "big") >> 4 == wanted)


IDS = [b"", *colliding(6), *(octets("free", i) for i in range(6))]
updates = st.lists(st.dictionaries(st.sampled_from(IDS), st.none() | st.binary(max_size=40)), max_size=6)


def built(values: Mapping[bytes, bytes | None], name: bytes = MEMBERS) -> tuple[MemoryStore, CommittedMap]:
    """Return a map of these values, written at once."""
    store, made = MemoryStore(), CommittedMap(name)
    with store.write() as rows:
        made.update(rows, values)
    return store, made


@given(updates)
def test_the_history_of_updates_does_not_matter(drawn: list[dict[bytes, bytes | None]]) -> None:
    store, grown = MemoryStore(), CommittedMap(MEMBERS)
    final: dict[bytes, bytes | None] = {}
    for values in drawn:
        final.update(values)
        with store.write() as rows:
            grown.update(rows, values)
    kept = {ident: value for ident, value in final.items() if value is not None}
    other, fresh = built(kept)
    assert grown.root() == fresh.root()
    assert grown.size == len(kept)
    with store.read() as rows, other.read() as others:
        assert list(rows.scan("maps", b"")) == list(others.scan("maps", b""))
        loaded = CommittedMap(MEMBERS)
        loaded.load(rows)
        assert loaded.root() == grown.root()
        for ident in IDS:
            assert loaded.value(rows, ident) == kept.get(ident)


@given(st.dictionaries(st.sampled_from(IDS), st.binary(max_size=40)), st.sampled_from(IDS))
def test_presence_and_absence_are_proven_and_nothing_else(values: dict[bytes, bytes], ident: bytes) -> None:
    store, made = built(values)
    with store.read() as rows:
        value, proof = made.prove(rows, ident)
    root = made.root()[1]
    assert value == values.get(ident)
    assert verify_value(ident, value, proof, root)
    assert not verify_value(ident, b"other", proof, root)
    assert not verify_value(ident, None if value is not None else b"", proof, root)
    assert not verify_value(ident, value, proof, octets("root"))


@given(updates, st.sampled_from(IDS))
def test_a_proof_is_of_the_map_as_it_is_now(drawn: list[dict[bytes, bytes | None]], ident: bytes) -> None:
    store, made = MemoryStore(), CommittedMap(MEMBERS)
    for values in drawn:
        with store.write() as rows:
            made.update(rows, values)
            value, proof = made.prove(rows, ident)
            assert verify_value(ident, value, proof, made.root()[1])
            assert made.copy().prove(rows, ident) == (value, proof)
            loaded = CommittedMap(MEMBERS)
            loaded.load(rows)
            assert loaded.prove(rows, ident) == (value, proof)


@given(st.dictionaries(st.sampled_from(IDS), st.binary(max_size=40)), st.sampled_from(IDS))
def test_no_mutated_proof_verifies(values: dict[bytes, bytes], ident: bytes) -> None:
    store, made = built(values)
    with store.read() as rows:
        value, proof = made.prove(rows, ident)
    for mutated in mutations(proof):
        assert not verify_value(ident, value, mutated, made.root()[1])


def flipped(value: bytes) -> bytes:
    """Change one bit."""
    return bytes((value[0] ^ 1,)) + value[1:] if value else b"\x00"


def mutations(proof: MapProof) -> list[MapProof]:
    """Return proofs that differ in one place."""
    found = [
        replace(proof, bucket_size=proof.bucket_size + 1),
        replace(proof, bucket_size=-1),
        replace(proof, bucket_size=2**32),
        replace(proof, bucket_root=flipped(proof.bucket_root)),
        replace(proof, bucket_root=proof.bucket_root + b"\x00"),
        replace(proof, top_path=proof.top_path[1:]),
        replace(proof, top_path=(*proof.top_path, octets("more"))),
        replace(proof, top_path=(flipped(proof.top_path[0]), *proof.top_path[1:])),
    ]
    for at, (index, key, value, path) in enumerate(proof.leaves):
        for leaf in (
            (index + 1, key, value, path),
            (index, flipped(key), value, path),
            (index, key, flipped(value), path),
            (index, key + value[:1], value[1:], path) if value else (index, key, b"x", path),
            (index, key[:-1], key[-1:] + value, path),
            (index, key, value, (*path, octets("more"))),
        ):
            found.append(replace(proof, leaves=(*proof.leaves[:at], leaf, *proof.leaves[at + 1 :])))
        rest = (*proof.leaves[:at], *proof.leaves[at + 1 :])
        if not (len(proof.leaves) == 2 and _enough(rest[0], proof)):
            found.append(replace(proof, leaves=rest))
        found.append(replace(proof, leaves=(*proof.leaves, proof.leaves[at])))
    return found


def _enough(leaf: tuple[int, bytes, bytes, tuple[bytes, ...]], proof: MapProof) -> bool:
    return leaf[0] in {0, proof.bucket_size - 1}


def test_absence_cannot_be_forged_by_cutting_a_leaf_elsewhere() -> None:
    """A leaf is key ‖ value under one hash: a longer "key" would sort behind the key that is there."""
    left, wanted = colliding(2)
    store, made = built({left: b"a", wanted: b"\x00value"})
    with store.read() as rows:
        _, before = made.prove(rows, left)
        value, present = made.prove(rows, wanted)
    index, key, _, path = present.leaves[0]
    assert value == b"\x00value"
    cut = (index, key + b"\x00", b"value", path)
    assert not verify_value(wanted, None, replace(present, leaves=(before.leaves[0], cut)), made.root()[1])


def test_a_neighbour_alone_shows_absence_only_at_an_end() -> None:
    one, two, three = colliding(3)
    store, made = built({one: b"1", three: b"3"})
    with store.read() as rows:
        _, proof = made.prove(rows, two)
    root = made.root()[1]
    assert verify_value(two, None, proof, root)
    assert not verify_value(two, None, replace(proof, leaves=proof.leaves[:1]), root)
    assert not verify_value(two, None, replace(proof, leaves=proof.leaves[1:]), root)
    assert not verify_value(two, None, replace(proof, leaves=proof.leaves[::-1]), root)


def test_neighbours_with_a_key_between_them_show_no_absence() -> None:
    one, two, three = colliding(3)
    store, made = built({one: b"1", two: b"2", three: b"3"})
    with store.read() as rows:
        proofs = [made.prove(rows, ident)[1] for ident in (one, three)]
    around = replace(proofs[0], leaves=(proofs[0].leaves[0], proofs[1].leaves[0]))
    assert not verify_value(two, None, around, made.root()[1])


def test_two_maps_share_a_table_and_do_not_meet() -> None:
    store = MemoryStore()
    members, consents = CommittedMap(MEMBERS), CommittedMap(CONSENTS)
    with store.write() as rows:
        members.update(rows, dict.fromkeys(IDS, b"m"))
        consents.update(rows, {IDS[0]: b"c"})
        consents.update(rows, {IDS[0]: None})
        assert members.size == len(IDS)
        assert consents.root() == CommittedMap(CONSENTS).root()
        assert members.root() == built(dict.fromkeys(IDS, b"m"))[1].root()


def test_the_state_root_binds_sizes_and_version() -> None:
    base = state_root((1, EMPTY_ROOT), (2, EMPTY_ROOT), 1)
    others = [
        state_root((2, EMPTY_ROOT), (1, EMPTY_ROOT), 1),
        state_root((1, EMPTY_ROOT), (2, EMPTY_ROOT), 2),
        state_root((1, octets("a")), (2, EMPTY_ROOT), 1),
        state_root((1, EMPTY_ROOT), (2, octets("a")), 1),
    ]
    assert len({base, *others}) == 5


@pytest.mark.parametrize("size", [0, 1, 5])
def test_an_empty_bucket_shows_absence(size: int) -> None:
    store, made = built(dict.fromkeys(IDS[7 : 7 + size], b"x"))
    with store.read() as rows:
        value, proof = made.prove(rows, b"")
    assert value is None
    assert proof.leaves == ()
    assert verify_value(b"", None, proof, made.root()[1])
    assert not verify_value(b"", b"", proof, made.root()[1])
