"""One Automerge change, as documents allow it: read with every bound checked before anything is expanded.

How it works
    A change chunk (Automerge's binary format) is magic, checksum, type, length, then: dependencies, actor, seq, first
    operation's number, time, message, other actors, columns of operations. `Change.read` takes a narrow profile of it:
      * the plain form: a deflated chunk is refused unopened, so nothing can swell, and one change has one form;
      * no time, no message: the entry that carries it says when, and history could not forget a name;
      * operations insert or delete one character each, in the one text of the document; nothing nests;
      * it inserts at most one run after any older character, and deletes a character once. An editor never does
        otherwise; and Automerge's time grows with the square of such operations.
    What passes can be checked against the document (`history`) without Automerge, which panics on some of what does
    not pass. Every document begins with the same change, BASE, which makes the empty text; nobody signs it.

What it does not do
    It does not know whose change it is or what it follows.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ledger.documents.columns import deltas, flags, malformed, runs, unsigned
from ledger.errors import RemoteError

CHANGE_BYTES_MAX: Final = 57_344  # of one change: it fits an entry
CHANGE_OPS_MAX: Final = 2_048  # characters inserted or deleted by one change
DEPENDENCIES_MAX: Final = 1_024  # changes that one names as directly before it: no more than there are writers
ACTORS_MAX: Final = 256  # others whose characters one change touches
ACTOR_BYTES: Final = 16

BASE_ACTOR: Final = hashlib.sha256(b"maille-document-base-v1").digest()[:ACTOR_BYTES]
BASE_OPS: Final = 1  # makes the text: operation 1 of BASE_ACTOR
TEXT_KEY: Final = "text"

_MAGIC: Final = b"\x85\x6f\x4a\x83"
_CHANGE, _DEFLATED = 1, 2
_INSERT, _DELETE = 1, 3  # Automerge's action numbers: set a value, delete
_STRING: Final = 6  # type of a value, in the low four bits of its description

_OBJECT_ACTOR, _OBJECT, _KEY_ACTOR, _KEY, _INSERTS, _ACTION = 0x01, 0x02, 0x11, 0x13, 0x34, 0x42
_VALUE_KIND, _VALUE, _BEFORE_COUNT, _BEFORE_ACTOR, _BEFORE = 0x56, 0x57, 0x70, 0x71, 0x73
_COLUMNS: Final = frozenset(
    {
        *(_OBJECT_ACTOR, _OBJECT, _KEY_ACTOR, _KEY, _INSERTS, _ACTION),
        *(_VALUE_KIND, _VALUE, _BEFORE_COUNT, _BEFORE_ACTOR, _BEFORE),
    }
)

REFUSED_CHARACTER: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)
"""Control characters but tab and line feed; invisible ones, and those that turn the direction of reading."""


def chunk(body: bytes) -> bytes:
    """Return a change chunk around its body."""
    length, size = bytearray(), len(body)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    rest = bytes((_CHANGE, *length, size)) + body
    return _MAGIC + hashlib.sha256(rest).digest()[:4] + rest


def _base() -> bytes:
    """Return the change that makes the empty text under TEXT_KEY: one operation of BASE_ACTOR, of action 4."""
    key = TEXT_KEY.encode()
    columns = (
        (0x15, bytes((0x7F, len(key))) + key),
        (_INSERTS, b"\x01"),
        (_ACTION, b"\x7f\x04"),
        (_VALUE_KIND, b"\x7f\x00"),
        (_BEFORE_COUNT, b"\x7f\x00"),
    )
    head = b"\x00" + bytes((ACTOR_BYTES,)) + BASE_ACTOR + b"\x01\x01\x00\x00\x00" + bytes((len(columns),))
    return chunk(head + b"".join(bytes((name, len(data))) for name, data in columns) + b"".join(d for _, d in columns))


BASE: Final = _base()
BASE_HASH: Final = hashlib.sha256(BASE[8:]).digest()

Element = tuple[int, int]
"""A character: index of its actor in `Change.actors`, number of the operation that inserted it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that keeps to the profile. Made by `read` only.

    `hash`: SHA-256 of the chunk behind its checksum. `first`: number of its first operation. `actors`: its own, then
    the others it names. `inserts`: one byte an operation, 1 where it inserts. `elements`: for each operation the
    character after which it inserts, or which it deletes; None: at the beginning. `text`: what it inserts, in order.
    """

    raw: bytes
    hash: bytes
    seq: int
    first: int
    dependencies: tuple[bytes, ...]
    actors: tuple[bytes, ...]
    inserts: bytes
    elements: tuple[Element | None, ...]
    text: str

    @property
    def actor(self) -> bytes:
        """Whose change it says it is."""
        return self.actors[0]

    @property
    def last(self) -> int:
        """The number of its last operation."""
        return self.first + len(self.inserts) - 1

    @classmethod
    def read(cls, raw: bytes) -> Change:
        """Read a change chunk. `raw`: any bytes.

        Raises RemoteError CHANGE_TOO_LARGE, CHANGE_COMPRESSED, CHANGE_MALFORMED, CHANGE_TOO_MANY_OPS (more than the
        bounds above), CHANGE_NOT_TEXT (an operation that is none on the characters of the text),
        CHANGE_CHARACTER (REFUSED_CHARACTER).
        """
        body = _open(raw)
        dependencies, at = _dependencies(body, 0)
        actor, at = _actor(body, at)
        seq, at = unsigned(body, at)
        first, at = unsigned(body, at)
        if seq == 0 or first == 0 or not dependencies:
            raise malformed("seq and operations count from 1, and a change follows another")
        if body[at : at + 2] != b"\x00\x00":
            raise RemoteError("CHANGE_MALFORMED", "a change carries no time and no message", field="change")
        others, at = _actors(body, at + 2)
        if actor in others:
            raise malformed("an actor is named twice")
        operations = _operations(_columns(body, at), (actor, *others), first)
        return cls(raw, hashlib.sha256(raw[8:]).digest(), seq, first, dependencies, (actor, *others), *operations)


def _open(raw: bytes) -> bytes:
    """Return what the chunk holds, once its frame is sound."""
    if len(raw) > CHANGE_BYTES_MAX:
        raise RemoteError("CHANGE_TOO_LARGE", f"a change has at most {CHANGE_BYTES_MAX} bytes", field="change")
    if len(raw) < 10 or raw[:4] != _MAGIC:
        raise malformed("it does not begin as one")
    if raw[8] == _DEFLATED:
        raise RemoteError("CHANGE_COMPRESSED", "a change is carried in its plain form", field="change")
    size, at = unsigned(raw, 9)
    if raw[8] != _CHANGE or at + size != len(raw):
        raise malformed("it is another chunk, or its length is another")
    if hashlib.sha256(raw[8:]).digest()[:4] != raw[4:8]:
        raise malformed("its checksum is wrong")
    return raw[at:]


def _take(body: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(body):
        raise malformed("it is cut short")
    return body[at : at + size], at + size


def _dependencies(body: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    count, at = unsigned(body, at)
    if count > DEPENDENCIES_MAX:
        told = f"a change follows at most {DEPENDENCIES_MAX} others"
        raise RemoteError("CHANGE_TOO_MANY_OPS", told, field="change")
    data, at = _take(body, at, count * 32)
    found = tuple(data[place : place + 32] for place in range(0, len(data), 32))
    if any(one >= other for one, other in pairwise(found)):
        raise malformed("its dependencies are not in order")
    return found, at


def _actor(body: bytes, at: int) -> tuple[bytes, int]:
    size, at = unsigned(body, at)
    if size != ACTOR_BYTES:
        raise malformed(f"an actor has {ACTOR_BYTES} bytes")
    return _take(body, at, size)


def _actors(body: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    count, at = unsigned(body, at)
    if count > ACTORS_MAX:
        raise RemoteError("CHANGE_TOO_MANY_OPS", f"a change names at most {ACTORS_MAX} actors", field="change")
    found: list[bytes] = []
    for _ in range(count):
        actor, at = _actor(body, at)
        if found and actor <= found[-1]:
            raise malformed("its actors are not in order")
        found.append(actor)
    return tuple(found), at


def _columns(body: bytes, at: int) -> dict[int, bytes]:
    """Return each column's bytes by its number; nothing may follow them."""
    count, at = unsigned(body, at)
    if count > len(_COLUMNS):
        raise RemoteError("CHANGE_NOT_TEXT", "the change has columns that text needs none of", field="change")
    named: list[tuple[int, int]] = []
    for _ in range(count):
        name, at = unsigned(body, at)
        size, at = unsigned(body, at)
        if named and name <= named[-1][0]:
            raise malformed("its columns are not in order")
        if name not in _COLUMNS:
            raise RemoteError("CHANGE_NOT_TEXT", f"the change has a column {name:#x}; text has none", field="change")
        if size == 0:
            raise malformed("an empty column is left out")
        named.append((name, size))
    columns: dict[int, bytes] = {}
    for name, size in named:
        columns[name], at = _take(body, at, size)
    if at != len(body):
        raise malformed("something follows its columns")
    return columns


def _operations(
    columns: dict[int, bytes], actors: tuple[bytes, ...], first: int
) -> tuple[bytes, tuple[Element | None, ...], str]:
    """Return `inserts`, `elements` and `text` of a change, once every operation is one of the profile's two."""
    actions = runs(columns.get(_ACTION, b""), CHANGE_OPS_MAX)
    count = len(actions)
    if not count or not set(actions) <= {_INSERT, _DELETE}:
        raise _not_text("it holds other operations than insertions and deletions, or none")
    inserts = bytes(action == _INSERT for action in actions)
    if flags(columns.get(_INSERTS, b""), count) != inserts:
        raise _not_text("a character is overwritten, or a deletion inserts")
    if BASE_ACTOR not in actors[1:]:
        raise _not_text("the text it works on is not the document's")
    text = actors.index(BASE_ACTOR)
    if _rows(columns, _OBJECT_ACTOR, count) != [text] * count or _rows(columns, _OBJECT, count) != [BASE_OPS] * count:
        raise _not_text("the text it works on is not the document's")
    elements = tuple(map(_element, _rows(columns, _KEY_ACTOR, count), _keys(columns, _KEY, count)))
    deleted = [element for element, insert in zip(elements, inserts, strict=True) if not insert]
    _once(deleted, [e for e, i in zip(elements, inserts, strict=True) if i and (e is None or e[0] or e[1] < first)])
    if None in deleted or not {e[0] for e in elements if e is not None} <= set(range(len(actors))) - {text}:
        raise _not_text("an operation names no character of the text")
    if {0, text} | {e[0] for e in elements if e is not None} != set(range(len(actors))):
        raise malformed("it names actors that it does not need")
    if _rows(columns, _BEFORE_COUNT, count) != [1 - insert for insert in inserts]:
        raise _not_text("a deletion names one character, an insertion none")
    named = map(_element, _rows(columns, _BEFORE_ACTOR, len(deleted)), _keys(columns, _BEFORE, len(deleted)))
    if list(named) != deleted:
        raise _not_text("a deletion names another character than it deletes")
    return inserts, elements, _text(columns, inserts)


def _once(deleted: list[Element | None], followed: list[Element | None]) -> None:
    if len(set(deleted)) < len(deleted) or len(set(followed)) < len(followed):
        raise _not_text("it deletes a character twice, or inserts twice after one")


def _not_text(what: str) -> RemoteError:
    return RemoteError("CHANGE_NOT_TEXT", f"the change is no edit of the text: {what}", field="change")


def _rows(columns: dict[int, bytes], name: int, count: int) -> list[int | None]:
    return _all(runs(columns.get(name, b""), count), count)


def _keys(columns: dict[int, bytes], name: int, count: int) -> list[int | None]:
    return _all(deltas(columns.get(name, b""), count), count)


def _all(values: list[int | None], count: int) -> list[int | None]:
    """Return one value a row; a column that is left out is all nulls."""
    if not values:
        return [None] * count
    if len(values) != count:
        raise malformed("a column has another number of rows")
    return values


def _element(actor: int | None, number: int | None) -> Element | None:
    if actor is None and number == 0:
        return None
    if actor is None or not number:
        raise _not_text("an operation names no place in the text")
    return actor, number


def _text(columns: dict[int, bytes], inserts: bytes) -> str:
    """Return the inserted characters: one each, described as a string of its length in UTF-8."""
    try:
        text = columns.get(_VALUE, b"").decode()
    except UnicodeDecodeError:
        raise malformed("its text is not UTF-8") from None
    if text.isascii():
        kinds: list[int | None] = [1 << 4 | _STRING] * len(text)
    else:
        kinds = [len(character.encode()) << 4 | _STRING for character in text]
    described = _rows(columns, _VALUE_KIND, len(inserts))
    if [kind for kind, insert in zip(described, inserts, strict=True) if insert] != kinds:
        raise _not_text("an insertion is not of one character")
    if any(kind for kind, insert in zip(described, inserts, strict=True) if not insert):
        raise _not_text("a deletion carries a value")
    found = REFUSED_CHARACTER.search(text)
    if found:
        raise RemoteError("CHANGE_CHARACTER", f"U+{ord(found[0]):04X} has no place in a document", field="change")
    return text
