"""One change: Automerge's own are read whole; everything outside the profile is refused by name."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.documents.change import (
    ACTORS_MAX,
    BASE,
    BASE_ACTOR,
    BASE_HASH,
    CHANGE_BYTES_MAX,
    CHANGE_OPS_MAX,
    DEPENDENCIES_MAX,
    TEXT_KEY,
    Change,
    chunk,
)
from ledger.errors import RemoteError
from tests.ledger.documents.crafting import Delete, Insert, Op, craft, hash_of, hello, me, sleb, uleb

automerge: Any = pytest.importorskip("automerge.core", reason="automerge has no build for this Python")

FIRST = [Insert(None, "h"), Insert((me(0), 2), "é")]


def first(**changed: Any) -> bytes:
    """Return a small change, with some of its parts replaced."""
    return craft(me(0), 1, 2, [BASE_HASH], FIRST, **changed)


def refusal(raw: bytes) -> str:
    """Return the code with which a change is refused."""
    with pytest.raises(RemoteError) as caught:
        Change.read(raw)
    return caught.value.code


def test_the_base_is_what_automerge_makes() -> None:
    document = automerge.Document(BASE_ACTOR)
    with document.transaction() as transaction:
        transaction.put_object(automerge.ROOT, TEXT_KEY, automerge.ObjType.Text)
    (made,) = document.get_changes([])
    assert (made.raw_bytes, document.get_heads()) == (BASE, [BASE_HASH])
    assert (
        BASE_HASH.hex() == "72c4bdeba464edeafebcc9b0706c4d80282270726addf477a54eefc72bcc53a4"
    )  # in every document for ever


SEED = "".join(chr(ord("a") + place % 26) for place in range(60))


@given(st.dictionaries(st.integers(0, 50), st.tuples(st.integers(0, 3), st.text("ab\n\té€🎉", max_size=9)), min_size=1))
def test_what_automerge_makes_is_read_whole(splices: dict[int, tuple[int, str]]) -> None:
    document = automerge.Document(me(0))
    message = b"\x42\x00\x00\x00\x01" + bytes([len(BASE)]) + BASE
    document.receive_sync_message(automerge.SyncState(), automerge.Message.decode(message))
    _, text = document.get(automerge.ROOT, TEXT_KEY)
    with document.transaction() as transaction:
        for place, character in enumerate(SEED):
            transaction.insert(text, place, automerge.ScalarType.Str, character)
    (seed,) = document.get_changes([BASE_HASH])
    document.set_actor(me(1))
    with document.transaction() as transaction:
        transaction.insert(text, len(SEED), automerge.ScalarType.Str, "z")
        for place, (gone, come) in sorted(splices.items(), reverse=True):
            for offset, character in enumerate(come):
                transaction.insert(text, place + offset, automerge.ScalarType.Str, character)
            if gone:
                transaction.delete(text, place + len(come))
    (made,) = document.get_changes([seed.hash])
    change = Change.read(made.raw_bytes)
    assert (change.hash, change.seq, change.first, change.last) == (made.hash, 1, made.start_op, made.max_op)
    assert (change.actor, change.dependencies) == (made.actor_id, (seed.hash,))
    ops: list[Op] = []
    characters = iter(change.text)
    for comes, element in zip(change.inserts, change.elements, strict=True):
        ref = None if element is None else (change.actors[element[0]], element[1])
        ops.append(Insert(ref, next(characters)) if comes else Delete(ref))
    assert craft(me(1), 1, change.first, [seed.hash], ops) == made.raw_bytes  # our encoder, theirs: one form


def deflated(raw: bytes) -> bytes:
    """Return a change in its compressed form, as `Change.bytes` of Automerge is for long ones."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(raw[10:]) + packer.flush()
    return raw[:8] + b"\x02" + uleb(len(body)) + body


NOT_SO: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nothing": ("CHANGE_MALFORMED", lambda: b""),
    "other magic": ("CHANGE_MALFORMED", lambda: b"\x00" + first()[1:]),
    "a document": ("CHANGE_MALFORMED", lambda: first()[:8] + b"\x00" + first()[9:]),
    "wrong checksum": ("CHANGE_MALFORMED", lambda: first()[:4] + bytes(4) + first()[8:]),
    "cut short": ("CHANGE_MALFORMED", lambda: first()[:-1]),
    "something behind": ("CHANGE_MALFORMED", lambda: first(extra=b"\x00")),
    "too large": ("CHANGE_TOO_LARGE", lambda: first() + bytes(CHANGE_BYTES_MAX)),
    "deflated": ("CHANGE_COMPRESSED", lambda: deflated(first())),
    "a bomb": ("CHANGE_COMPRESSED", lambda: deflated(first()[:10] + bytes(2**25))),
    "no seq": ("CHANGE_MALFORMED", lambda: craft(me(0), 0, 2, [BASE_HASH], FIRST)),
    "operations from 0": ("CHANGE_MALFORMED", lambda: craft(me(0), 1, 0, [BASE_HASH], FIRST)),
    "seq beyond 32 bits": ("CHANGE_MALFORMED", lambda: craft(me(0), 2**40, 2, [BASE_HASH], FIRST)),
    "no dependency": ("CHANGE_MALFORMED", lambda: craft(me(0), 1, 2, [], FIRST)),
    "one dependency twice": ("CHANGE_MALFORMED", lambda: craft(me(0), 1, 2, [BASE_HASH] * 2, FIRST)),
    "too many dependencies": (
        "CHANGE_TOO_MANY_OPS",
        lambda: craft(me(0), 1, 2, [place.to_bytes(32, "big") for place in range(DEPENDENCIES_MAX + 1)], FIRST),
    ),
    "a time": ("CHANGE_MALFORMED", lambda: first(middle=b"\x01\x00")),
    "a message": ("CHANGE_MALFORMED", lambda: first(middle=b"\x00\x02hi")),
    "a short actor": ("CHANGE_MALFORMED", lambda: craft(b"me", 1, 2, [BASE_HASH], [Insert(None, "a")])),
    "an actor nobody needs": ("CHANGE_MALFORMED", lambda: first(others=[BASE_ACTOR, b"\xff" * 16])),
    "too many actors": ("CHANGE_TOO_MANY_OPS", lambda: first(others=[bytes(16)] * (ACTORS_MAX + 1))),
    "no text": ("CHANGE_NOT_TEXT", lambda: first(others=[])),
    "actors out of order": ("CHANGE_MALFORMED", lambda: first(others=[BASE_ACTOR, BASE_ACTOR])),
    "no operation": ("CHANGE_NOT_TEXT", lambda: craft(me(0), 1, 2, [BASE_HASH], [])),
    "a key of the root": ("CHANGE_NOT_TEXT", lambda: first(columns={0x15: b"\x7f\x01a"})),
    "an object made": ("CHANGE_NOT_TEXT", lambda: first(columns={0x42: b"\x02\x00"})),
    "a counter": ("CHANGE_NOT_TEXT", lambda: first(columns={0x42: b"\x02\x05"})),
    "a mark": ("CHANGE_NOT_TEXT", lambda: first(columns={0xA5: b"\x02\x01a"})),
    "a deflated column": ("CHANGE_NOT_TEXT", lambda: first(columns={0x5F: b"xx"})),
    "another object": ("CHANGE_NOT_TEXT", lambda: first(columns={0x02: b"\x02\x02"})),
    "the root": ("CHANGE_NOT_TEXT", lambda: first(columns={0x01: b"", 0x02: b""})),
    "an object of another": ("CHANGE_NOT_TEXT", lambda: first(columns={0x01: b"\x02\x00"})),
    "overwriting": ("CHANGE_NOT_TEXT", lambda: first(columns={0x34: b"\x02"})),
    "an element of nobody": ("CHANGE_NOT_TEXT", lambda: first(columns={0x11: b"\x00\x01\x7f\x09"})),
    "an element without number": ("CHANGE_NOT_TEXT", lambda: first(columns={0x13: b""})),
    "two characters at once": ("CHANGE_NOT_TEXT", lambda: first(columns={0x56: b"\x7e\x26\x16", 0x57: b"abc"})),
    "a number for a character": ("CHANGE_NOT_TEXT", lambda: first(columns={0x56: b"\x02\x14", 0x57: b"ab"})),
    "no value": ("CHANGE_NOT_TEXT", lambda: first(columns={0x56: b"\x02\x00", 0x57: b""})),
    "not UTF-8": ("CHANGE_MALFORMED", lambda: first(columns={0x56: b"\x02\x16", 0x57: b"\xc3\x28"})),
    "half a surrogate pair": (
        "CHANGE_MALFORMED",
        lambda: first(columns={0x56: b"\x7e\x16\x36", 0x57: b"a\xed\xa0\x80"}),
    ),
    "an insertion that replaces": ("CHANGE_NOT_TEXT", lambda: first(columns={0x70: b"\x02\x01", 0x71: b"\x02\x00"})),
    "a deletion of two": (
        "CHANGE_NOT_TEXT",
        lambda: craft(me(0), 2, 9, [hash_of(hello())], [Delete((me(0), 2))], columns={0x70: b"\x7f\x02"}),
    ),
    "a deletion of another": (
        "CHANGE_NOT_TEXT",
        lambda: craft(me(0), 2, 9, [hash_of(hello())], [Delete((me(0), 2))], columns={0x73: b"\x7f\x03"}),
    ),
    "a deletion of nothing": ("CHANGE_NOT_TEXT", lambda: craft(me(0), 2, 9, [hash_of(hello())], [Delete(None)])),
    "a deletion with a value": (
        "CHANGE_NOT_TEXT",
        lambda: craft(me(0), 2, 9, [hash_of(hello())], [Delete((me(0), 2))], columns={0x56: b"\x7f\x16"}),
    ),
    "billions of operations": ("CHANGE_TOO_MANY_OPS", lambda: first(columns={0x42: sleb(2**33 - 1) + b"\x03"})),
    "billions of nulls": ("CHANGE_TOO_MANY_OPS", lambda: first(columns={0x11: b"\x00" + uleb(2**32 - 1)})),
    "a null character": ("CHANGE_CHARACTER", lambda: hello(0, "a\x00")),
    "a carriage return": ("CHANGE_CHARACTER", lambda: hello(0, "a\r\n")),
    "reversed reading": ("CHANGE_CHARACTER", lambda: hello(0, "a\u202eb")),
}


@pytest.mark.parametrize("what", NOT_SO)
def test_what_is_no_edit_of_text_is_refused(what: str) -> None:
    code, make = NOT_SO[what]
    raw = make()
    assert refusal(raw) == code
    assert len(raw) < 2 * CHANGE_BYTES_MAX


def test_a_change_has_a_bounded_number_of_operations() -> None:
    assert len(Change.read(hello(text="a" * CHANGE_OPS_MAX)).inserts) == CHANGE_OPS_MAX
    assert refusal(hello(text="a" * (CHANGE_OPS_MAX + 1))) == "CHANGE_TOO_MANY_OPS"


def test_a_change_does_nothing_twice_that_an_editor_does_once() -> None:
    one, other = (me(1), 2), (me(1), 3)
    twice: list[list[Op]] = [
        [Insert(None, "a"), Insert(None, "b")],
        [Insert(one, "a"), Insert(other, "b"), Insert(one, "c")],
        [Delete(one), Delete(other), Delete(one)],
    ]
    for ops in twice:
        assert refusal(craft(me(0), 1, 9, [BASE_HASH], ops)) == "CHANGE_NOT_TEXT"
    fine: list[Op] = [Insert(None, "a"), Insert(one, "b"), Insert(other, "c"), Delete(one), Delete(other)]
    assert Change.read(craft(me(0), 1, 9, [BASE_HASH], fine)).text == "abc"
    own: list[Op] = [Insert(None, "a"), Insert((me(0), 9), "b"), Insert((me(0), 9), "c"), Delete((me(0), 9))]
    assert Change.read(craft(me(0), 1, 9, [BASE_HASH], own)).last == 12


@given(st.data())
def test_any_bytes_are_read_or_refused_by_name(data: st.DataObject) -> None:
    body = bytearray(first()[10:])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
    raw = chunk(bytes(body[: data.draw(st.integers(len(body) - 4, len(body)))]))
    try:
        change = Change.read(raw)
    except RemoteError as error:
        refused = error.code
    else:
        refused = ""
        assert (change.raw, change.hash) == (raw, hash_of(raw))
        assert len(change.inserts) == len(change.elements) <= CHANGE_OPS_MAX
    assert refused == "" or refused.startswith("CHANGE_")
