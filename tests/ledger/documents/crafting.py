"""Changes made by hand, byte by byte, and the text they make by a few lines of another algorithm.

`craft` writes a change chunk from operations, right or wrong, with an encoder of its own. `woven` orders the characters
of a set of changes as a replicated growable array does: each after the one it follows, later writers first. It shares
no code with the project and asks no Automerge.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from ledger.documents.change import BASE_ACTOR, BASE_HASH, Change, chunk
from ledger.documents.history import Written, actor_id, document_id

FEEDS = tuple(bytes([number]) * 32 for number in range(1, 6))
DOCUMENT = document_id(FEEDS[0], 7)

Ref = tuple[bytes, int] | None
"""A character by its actor and operation number; None: the beginning."""


@dataclass(frozen=True, slots=True)
class Insert:
    """Put a character after another."""

    after: Ref
    character: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Take a character out."""

    element: Ref


Op = Insert | Delete


def always(_feed: bytes, _index: int) -> bool:
    """Authorise every change."""
    return True


def uleb(value: int) -> bytes:
    """Write an unsigned LEB128 number."""
    found = b""
    while value >= 0x80:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def sleb(value: int) -> bytes:
    """Write a signed LEB128 number."""
    found = b""
    while not -64 <= value < 64:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value & 0x7F])


def rle(values: Iterable[int | None], put: Callable[[int], bytes] = uleb) -> bytes:
    """Code a column by runs; one of nulls alone is empty."""
    listed = list(values)
    if not any(value is not None for value in listed):
        return b""
    found, literal = b"", []
    for value, group in groupby(listed):
        count = len(list(group))
        if value is not None and count == 1:
            literal.append(value)
            continue
        found += _literal(literal, put)
        literal = []
        found += sleb(count) + put(value) if value is not None else b"\x00" + uleb(count)
    return found + _literal(literal, put)


def _literal(values: Sequence[int], put: Callable[[int], bytes]) -> bytes:
    return sleb(-len(values)) + b"".join(map(put, values)) if values else b""


def delta(values: Iterable[int | None]) -> bytes:
    """Code a column by differences."""
    before, steps = 0, []
    for value in values:
        steps.append(None if value is None else value - before)
        before = before if value is None else value
    return rle(steps, sleb)


def boolean(values: Iterable[bool]) -> bytes:
    """Code a column of booleans, false first."""
    found, expected = b"", False
    for value, group in groupby(values):
        if value != expected:
            found += uleb(0)
        found += uleb(len(list(group)))
        expected = not value
    return found


def columns_of(actors: Sequence[bytes], ops: Sequence[Op]) -> dict[int, bytes]:
    """Return the columns of operations by number, empty ones too."""
    keys = [op.after if isinstance(op, Insert) else op.element for op in ops]
    gone = [op.element for op in ops if isinstance(op, Delete)]
    texts = [op.character.encode() if isinstance(op, Insert) else None for op in ops]
    base = actors.index(BASE_ACTOR)
    return {
        0x01: rle([base] * len(ops)),
        0x02: rle([1] * len(ops)),
        0x11: rle(None if key is None else actors.index(key[0]) for key in keys),
        0x13: delta(0 if key is None else key[1] for key in keys),
        0x34: boolean(isinstance(op, Insert) for op in ops),
        0x42: rle(1 if isinstance(op, Insert) else 3 for op in ops),
        0x56: rle(0 if text is None else len(text) << 4 | 6 for text in texts),
        0x57: b"".join(text or b"" for text in texts),
        0x70: rle(0 if isinstance(op, Insert) else 1 for op in ops),
        0x71: rle(None if key is None else actors.index(key[0]) for key in gone),
        0x73: delta(0 if key is None else key[1] for key in gone),
    }


def actors_of(actor: bytes, ops: Sequence[Op]) -> tuple[bytes, ...]:
    """Return the actors that a change names: its own, then the others in order."""
    named = {key[0] for op in ops if (key := op.after if isinstance(op, Insert) else op.element) is not None}
    return (actor, *sorted((named | {BASE_ACTOR}) - {actor}))


def craft(
    actor: bytes,
    seq: int,
    first: int,
    dependencies: Iterable[bytes],
    ops: Sequence[Op],
    *,
    columns: dict[int, bytes] | None = None,
    others: Sequence[bytes] | None = None,
    middle: bytes = b"\x00\x00",
    extra: bytes = b"",
) -> bytes:
    """Return a change chunk. `columns` replaces some; `others`: the other actors; `middle`: time and message."""
    actors = actors_of(actor, ops)
    listed = {name: data for name, data in sorted({**columns_of(actors, ops), **(columns or {})}.items()) if data}
    depended = sorted(dependencies)
    named = actors[1:] if others is None else others
    body = uleb(len(depended)) + b"".join(depended) + uleb(len(actor)) + actor + uleb(seq) + uleb(first) + middle
    body += uleb(len(named)) + b"".join(uleb(len(other)) + other for other in named)
    body += uleb(len(listed)) + b"".join(uleb(name) + uleb(len(data)) for name, data in listed.items())
    return chunk(body + b"".join(listed.values()) + extra)


def hash_of(raw: bytes) -> bytes:
    """Return the hash of a change chunk."""
    return hashlib.sha256(raw[8:]).digest()


def me(number: int) -> bytes:
    """Return the actor of a feed in the test document."""
    return actor_id(FEEDS[number], DOCUMENT)


def hello(number: int = 0, text: str = "hello") -> bytes:
    """Return a first change of a feed that writes a text into the empty document."""
    ops = [Insert((me(number), place + 1) if place else None, letter) for place, letter in enumerate(text)]
    return craft(me(number), 1, 2, [BASE_HASH], ops)


def at(feed: int, *raws: bytes, start: int = 0) -> list[Written]:
    """Return changes as leaves of a feed."""
    return [Written(FEEDS[feed], start + place, raw) for place, raw in enumerate(raws)]


def woven(changes: Iterable[Change]) -> str:
    """Return the text of a set of changes that is closed under dependencies."""
    children: dict[Ref, list[tuple[int, bytes, str]]] = defaultdict(list)
    gone: set[Ref] = set()
    for change in changes:
        characters = iter(change.text)
        for place, (insert, element) in enumerate(zip(change.inserts, change.elements, strict=True)):
            key: Ref = None if element is None else (change.actors[element[0]], element[1])
            if insert:
                children[key].append((change.first + place, change.actor, next(characters)))
            else:
                gone.add(key)
    found: list[str] = []
    stack: list[tuple[Ref, str]] = [(None, "")]
    while stack:
        key, character = stack.pop()
        if key not in gone:
            found.append(character)
        stack += [((actor, number), value) for number, actor, value in sorted(children[key])]
    return "".join(found)
