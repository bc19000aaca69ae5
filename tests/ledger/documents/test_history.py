"""Which changes make up a document: any order gives one answer, and each rule refuses what breaks it alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.documents import history
from ledger.documents.change import BASE_ACTOR, BASE_HASH, Change
from ledger.documents.history import EFFECTIVE, WAITING, History, Written, actor_id, document_id, version_id
from tests.ledger.documents.crafting import (
    DOCUMENT,
    FEEDS,
    Delete,
    Insert,
    Op,
    Ref,
    always,
    at,
    craft,
    hash_of,
    hello,
    me,
    woven,
)


def told(written: Sequence[Written], feed: int = 0, index: int = 0) -> str | None:
    """Return the verdict on one leaf."""
    return History(DOCUMENT, written, always).verdict(FEEDS[feed], index)


def reply(
    number: int, *before: bytes, seq: int = 1, ops: Sequence[Op] | None = None, first: int | None = None
) -> bytes:
    """Return a change of a feed that follows others, with the right number of its first operation."""
    last = max(Change.read(raw).last for raw in before)
    return craft(
        me(number), seq, last + 1 if first is None else first, map(hash_of, before), ops or [Insert(None, "x")]
    )


HELLO = hello()


def test_ids() -> None:
    assert document_id(FEEDS[0], 7) != document_id(FEEDS[0], 8) != document_id(FEEDS[1], 8)
    assert actor_id(FEEDS[0], DOCUMENT).hex() == "f3880f1dfe2b897113265922278f76ac"  # SHA-256(feed || document)[:16]
    heads = [hash_of(HELLO), BASE_HASH]
    assert version_id(DOCUMENT, heads) == version_id(DOCUMENT, heads[::-1])
    assert version_id(DOCUMENT, heads).hex() == "4eef9a796d6e16f08ef0b242dfa97ad03df2709c95b226aa43f4676f7ee37087"
    assert version_id(DOCUMENT, heads[:1]) != version_id(document_id(FEEDS[0], 8), heads[:1])


def test_an_empty_document_has_a_version() -> None:
    empty = History(DOCUMENT, [], always)
    assert (empty.heads, empty.changes, empty.size) == ((BASE_HASH,), (), 0)
    assert empty.is_version([BASE_HASH])
    assert empty.below([BASE_HASH]) == ()
    assert empty.next_seq(FEEDS[0]) == 1


def test_a_change_of_another_feed_or_document_has_no_effect() -> None:
    assert told(at(0, HELLO)) == EFFECTIVE
    assert told(at(1, HELLO), 1) == "CHANGE_WRONG_ACTOR"
    other = History(document_id(FEEDS[0], 8), at(0, HELLO), always)
    assert other.verdict(FEEDS[0], 0) == "CHANGE_WRONG_ACTOR"
    assert other.heads == (BASE_HASH,)


def test_unauthorised_changes_have_no_effect_and_take_no_seq() -> None:
    again = hello(text="again")
    found = History(DOCUMENT, [*at(0, again), *at(0, HELLO, start=1)], lambda _, index: index > 0)
    assert found.verdict(FEEDS[0], 0) == "CHANGE_UNAUTHORISED"
    assert found.verdict(FEEDS[0], 1) == EFFECTIVE
    assert found.verdict(FEEDS[0], 2) is None


def test_the_first_of_two_changes_with_one_seq_counts_whatever_comes_first() -> None:
    twin = hello(text="other")
    for written in (at(0, HELLO, twin), at(0, HELLO, twin)[::-1]):
        assert told(written) == EFFECTIVE
        assert told(written, index=1) == "CHANGE_WRONG_SEQ"
    assert told(at(0, twin, HELLO), index=1) == "CHANGE_WRONG_SEQ"


def test_seq_follows_the_feed_without_holes_and_names_the_change_before() -> None:
    second = reply(0, HELLO, seq=2)
    assert told(at(0, HELLO, second), index=1) == EFFECTIVE
    assert told(at(0, second)) == "CHANGE_WRONG_SEQ"
    assert told(at(0, HELLO, reply(0, HELLO, seq=3)), index=1) == "CHANGE_WRONG_SEQ"
    apart = craft(me(0), 2, 7, [BASE_HASH], [Insert(None, "x")])
    assert told(at(0, HELLO, apart), index=1) == "CHANGE_WRONG_SEQ"


def test_malformed_leaves_between_do_no_harm() -> None:
    written = at(0, b"\x00", HELLO, HELLO[:-1], reply(0, HELLO, seq=2))
    found = History(DOCUMENT, written, always)
    assert [found.verdict(FEEDS[0], index) for index in range(4)] == [
        *("CHANGE_MALFORMED", EFFECTIVE, "CHANGE_MALFORMED", EFFECTIVE)
    ]


def test_a_change_waits_for_what_it_follows() -> None:
    answer = reply(1, HELLO, ops=[Insert((me(0), 3), "é")])
    assert told(at(1, answer), 1) == WAITING
    late = History(DOCUMENT, at(1, answer), always)
    assert (late.heads, late.next_seq(FEEDS[1])) == ((BASE_HASH,), None)
    both = History(DOCUMENT, [*at(1, answer), *at(0, HELLO)], always)
    assert both.verdict(FEEDS[1], 0) == EFFECTIVE
    assert (both.heads, both.next_seq(FEEDS[1])) == ((hash_of(answer),), 2)


def test_what_follows_an_unauthorised_change_waits_for_ever() -> None:
    answer = reply(1, HELLO)
    found = History(DOCUMENT, [*at(0, HELLO), *at(1, answer)], lambda feed, _: feed != FEEDS[0])
    assert found.verdict(FEEDS[1], 0) == WAITING
    assert found.heads == (BASE_HASH,)


def test_nothing_is_deleted_that_was_deleted_below_it() -> None:
    gone = reply(0, HELLO, seq=2, ops=[Delete((me(0), 2))])
    beside = reply(1, HELLO, ops=[Delete((me(0), 2))])
    again = reply(2, gone, beside, ops=[Delete((me(0), 2))])
    found = History(DOCUMENT, [*at(0, HELLO, gone), *at(1, beside), *at(2, again)], always)
    assert (found.verdict(FEEDS[0], 1), found.verdict(FEEDS[1], 0)) == (EFFECTIVE, EFFECTIVE)
    assert found.verdict(FEEDS[2], 0) == "CHANGE_DELETED_BEFORE"
    assert woven(each.change for each in found.changes) == "ello"


def test_changes_stand_in_the_order_of_their_operations() -> None:
    late = [hello(number, "x" * (9 - number)) for number in range(4)]
    found = History(
        DOCUMENT, [*at(0, late[0], reply(0, *late, seq=2)), *(w for n in (3, 2, 1) for w in at(n, late[n]))], always
    )
    firsts = [each.change.first for each in found.changes]
    assert firsts == sorted(firsts)
    assert len(firsts) == 5


ELSEWHERE = [
    [Insert((me(0), 7), "x")],  # numbered beyond the change
    [Insert((me(0), 1), "x")],  # before it
    [Delete((me(2), 2))],  # of a writer that is not there
    [Insert((me(1), 7), "x")],  # itself
    [Insert((me(1), 8), "x"), Insert(None, "y")],  # a later one of its own
    [Delete((me(0), 2)), Insert((me(1), 7), "x")],  # after a deletion
]


@pytest.mark.parametrize("ops", ELSEWHERE)
def test_an_operation_on_a_character_that_is_not_there_kills_the_change(ops: Sequence[Op]) -> None:
    answer = reply(1, HELLO, ops=ops)
    follower = reply(2, answer)
    third = hello(3, "fine")
    found = History(DOCUMENT, [*at(0, HELLO), *at(1, answer), *at(2, follower), *at(3, third)], always)
    assert found.verdict(FEEDS[1], 0) == "CHANGE_UNKNOWN_CHARACTER"
    assert found.verdict(FEEDS[2], 0) == WAITING
    assert found.next_seq(FEEDS[1]) is None
    assert found.heads == tuple(sorted([hash_of(HELLO), hash_of(third)]))


def test_a_character_that_is_only_beside_it_is_unknown_to_a_change() -> None:
    beside = craft(me(1), 1, 2, [BASE_HASH], [Insert((me(0), 2), "x")])
    for written in ([*at(0, HELLO), *at(1, beside)], [*at(1, beside), *at(0, HELLO)]):
        assert told(written, 1) == "CHANGE_UNKNOWN_CHARACTER"


def test_a_character_that_was_a_deletion_is_none() -> None:
    gone = reply(0, HELLO, seq=2, ops=[Delete((me(0), 2))])
    for op in (Insert((me(0), 7), "x"), Delete((me(0), 7))):
        assert told([*at(0, HELLO, gone), *at(1, reply(1, gone, ops=[op]))], 1) == "CHANGE_UNKNOWN_CHARACTER"


@pytest.mark.parametrize("first", [2, 6, 8, 2**32 - 9])
def test_operations_are_numbered_on_from_what_is_followed(first: int) -> None:
    assert told([*at(0, HELLO), *at(1, reply(1, HELLO, first=first))], 1) == "CHANGE_WRONG_START"


def test_a_change_under_the_name_of_the_base_is_refused() -> None:
    ops: list[Op] = [Insert(None, "x")]
    forged = craft(BASE_ACTOR, 1, 2, [BASE_HASH], ops, others=[BASE_ACTOR])
    assert told(at(0, forged)) == "CHANGE_MALFORMED"


def test_a_writer_exhausts_its_own_quota_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    second, third = reply(0, HELLO, seq=2), hello(3, "fine")
    for name, most in (("CHANGES_MAX", 1), ("OPS_MAX", 5), ("BYTES_MAX", len(HELLO) + len(second) - 1)):
        with monkeypatch.context() as limits:
            limits.setattr(history, name, most)
            found = History(DOCUMENT, [*at(0, HELLO, second), *at(3, third)], always)
        assert found.verdict(FEEDS[0], 1) == "CHANGE_OVER_QUOTA"
        assert found.heads == tuple(sorted([hash_of(HELLO), hash_of(third)]))
    assert told(at(0, HELLO, second), index=1) == EFFECTIVE
    monkeypatch.setattr(history, "ENTRIES_MAX", 2)
    assert told(at(0, b"\x00", HELLO, second), index=2) is None


def test_versions() -> None:
    answer, aside = reply(1, HELLO), hello(2, "aside")
    found = History(DOCUMENT, [*at(0, HELLO), *at(1, answer), *at(2, aside)], always)
    one, two, three = map(hash_of, (HELLO, answer, aside))
    for heads in ([one], [two], [three], sorted([two, three]), sorted([one, three]), [BASE_HASH]):
        assert found.is_version(heads)
    for heads in (
        [],
        sorted([one, two]),
        sorted([two, three])[::-1],
        [one, one],
        [bytes(32)],
        sorted([BASE_HASH, one]),
    ):
        assert not found.is_version(heads)
    assert [node.change.hash for node in found.below([two])] == [one, two]
    assert found.heads == tuple(sorted([two, three]))
    assert found.size == 11


class Author:
    """One writer of a random world: sees some changes, and makes right and wrong ones."""

    def __init__(self, number: int) -> None:
        self.number, self.raws = number, list[bytes]()

    def write(self, rng: random.Random, seen: Sequence[bytes]) -> None:
        """Add a change that follows some of what was seen, and may be wrong in one way or another."""
        own = self.raws[-1:] if rng.random() < 0.95 else []
        others = rng.sample(seen, min(len(seen), rng.randrange(4)))
        before = {*own, *others}
        changes = [Change.read(raw) for raw in before]
        known: list[Ref] = [None]
        for change in map(Change.read, seen) if rng.random() < 0.3 else changes:
            known += [(change.actor, change.first + place) for place in range(len(change.inserts))]
        last = max((change.last for change in changes), default=1)
        first = last + 1 if rng.random() < 0.97 else rng.randrange(1, 30)
        ops: list[Op] = []
        used: set[Op | Ref] = set()  # what a change does once at most
        for _ in range(rng.randrange(1, 9)):
            key = rng.choice(known)
            if key is not None and rng.random() < 0.3 and Delete(key) not in used:
                ops.append(Delete(key))
                used.add(Delete(key))
            elif key not in used:
                ops.append(Insert(key, rng.choice("abé€🎉\n")))
                used |= {key} - {(me(self.number), number) for number in range(first, first + 9)}
            if ops and (isinstance(ops[-1], Insert) or rng.random() < 0.05):
                known.append((me(self.number), first + len(ops) - 1))
        seq = len(self.raws) + 1 if rng.random() < 0.97 else rng.randrange(1, 4)
        hashes = [change.hash for change in changes] or [BASE_HASH]
        self.raws.append(craft(me(self.number), seq, first, set(hashes), ops))


def world(seed: int, authors: int = 3, steps: int = 12) -> list[Written]:
    """Return what random authors wrote, each in its own feed."""
    rng = random.Random(seed)
    everyone = [Author(number) for number in range(authors)]
    for _ in range(steps):
        author = rng.choice(everyone)
        seen = [raw for other in everyone for raw in other.raws[: rng.randrange(len(other.raws) + 1)]]
        author.write(rng, seen)
    return [one for author in everyone for one in at(author.number, *author.raws)]


@given(st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_any_order_and_repetition_give_one_document(seed: int, rng: random.Random) -> None:
    written = world(seed)
    found = History(DOCUMENT, written, always)
    mixed = [*written, *rng.choices(written, k=4)]
    rng.shuffle(mixed)
    again = History(DOCUMENT, mixed, always)
    assert (again.heads, again.verdicts, again.size) == (found.heads, found.verdicts, found.size)
    assert woven(node.change for node in again.changes) == woven(node.change for node in found.changes)


@given(st.integers(0, 2**32), st.lists(st.integers(0, 12), min_size=3, max_size=3))
def test_what_counts_among_few_counts_among_more(seed: int, sizes: list[int]) -> None:
    written = world(seed)
    few = [one for one in written if one.index < sizes[FEEDS.index(one.feed)]]
    early, late = History(DOCUMENT, few, always), History(DOCUMENT, written, always)
    counted = {place for place, verdict in early.verdicts.items() if verdict == EFFECTIVE}
    assert all(late.verdicts[place] == EFFECTIVE for place in counted)
    refused = {place: verdict for place, verdict in early.verdicts.items() if verdict not in (EFFECTIVE, WAITING)}
    assert all(late.verdicts[place] == verdict for place, verdict in refused.items())
    assert late.is_version(early.heads)
    below = late.below(early.heads)
    assert {node.change.hash for node in below} == {node.change.hash for node in early.changes}


@given(st.integers(0, 2**32))
def test_every_effective_change_stands_on_effective_ones(seed: int) -> None:
    found = History(DOCUMENT, world(seed, 4, 16), always)
    known = {BASE_HASH}
    for node in found.changes:
        assert set(node.change.dependencies) <= known
        known.add(node.change.hash)
    pairs = [(node.feed, node.change.seq) for node in found.changes]
    assert len(set(pairs)) == len(pairs)
