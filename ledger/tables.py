"""Where each fact of the ledger stands in the rows: the keys and the fixed encodings.

How it works
    Feeds get a local number (4 bytes) in the order in which they are first met; it appears in no hash. All
    integers are big-endian, so rows sort as they should.

    | table   | key                                       | value                                              |
    |---------|-------------------------------------------|----------------------------------------------------|
    | meta    | b"mesh"                                   | the genesis entry                                  |
    | meta    | b"tick"                                   | the newest tick the committed maps stand at        |
    | meta    | b"tick", boundary (8)                     | a tick remembered with its frontier                |
    | meta    | b"kept tick", boundary (8)                | an older tick, since a transfer receipt names it   |
    | meta    | b"move", b"move progress"                 | a move of the committed maps that is under way     |
    | meta    | b"vouched ", entry id (32)                | empty: a certificate verified here (`vouched`)     |
    | feeds   | feed (32)                                 | FeedRow: number, peaks, newest checkpoint          |
    | entries | number (4), index (8)                     | LeafRow: verdict, largest iat so far, id, body     |
    | ids     | entry id (32)                             | (number, index) of its first leaf in each feed     |
    | heads   | feed (32), time (8), size (8)             | root (32), signature (64): checkpoints kept        |
    | things  | b"g", number, index                       | empty: a governance entry stands there             |
    | things  | b"c", consent (32), number, index         | FactRow: an entry that names this grant or request |
    | things  | b"u", thing (32), number, index           | FactRow: an entry that rests on it, or joins a group |
    | things  | b"r", consent (32), number, index         | empty: a transfer receipt that names this grant    |
    | things  | b"w", feed (32), size (8), number, index  | empty: this entry names a head of another feed     |
    | things  | b"k", key id (32), number, index          | empty: signed by a key whose feed this is not      |
    | things  | b"d", document (16), number, index        | DOCUMENT_KINDS: an entry about this document       |
    | things  | b"t", boundary (8), number, index         | frontier digest (32), state root (32)              |
    | things  | b"p", member (32), number, index          | empty: a probe's result about this member          |
    | things  | b"f", frontier (32), number, index        | empty: a transfer receipt rests on this tick       |
    | nodes   | number (4), block (8)                     | root over 256 consecutive leaves                   |
    | maps    | map (1), bucket (2)                       | size (4), root (32)                                |
    | maps    | map (1), bucket (2), key (32)             | leaf hash (32), value                              |
    | cosigned| (see ledger/witnessing.py)                | cosignatures by witnesses                          |

What it does not do
    It reads and writes nothing: rows come from a store through `ledger.rows`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ledger.feed import SignedHead
from ledger.merkle import Peaks

GOVERNANCE: Final = b"g"
CONSENT: Final = b"c"
WAITING: Final = b"w"
RECEIPT: Final = b"r"
TICK: Final = b"t"
SIGNER: Final = b"k"
PROBE: Final = b"p"
NAMED: Final = b"f"
RESTS: Final = b"u"
DOCUMENT: Final = b"d"
DOCUMENT_BYTES: Final = 16  # of a document's id

DOCUMENT_KINDS: Final = {"document.open": b"o", "document.change": b"c", "document.adopt": b"a"}
"""What the row of an entry about a document holds, by kind."""

MESH_KEY: Final = b"mesh"
TICK_KEY: Final = b"tick"
VOUCHED_KEY: Final = b"vouched "
KEPT_KEY: Final = b"kept tick"
MOVE_KEY: Final = b"move"
PROGRESS_KEY: Final = b"move progress"

BLOCK: Final = 256  # leaves under one stored node
POSITION_BYTES: Final = 12

_LEAF: Final = struct.Struct(">BQ32s")
_POSITION: Final = struct.Struct(">IQ")
_FEED: Final = struct.Struct(">IQQ32sQ64s")
_HEAD: Final = struct.Struct(">32sQQ")

LEAF_SOUND: Final = 0
LEAF_VOID: Final = 1
LEAF_ELSEWHERE: Final = 2  # added when the body stands at the entry's first place


def position(number: int, index: int) -> bytes:
    """Return the 12-byte place of a leaf."""
    return _POSITION.pack(number, index)


def read_position(data: bytes) -> tuple[int, int]:
    """Return (feed number, index) from the last 12 bytes of a key."""
    number, index = _POSITION.unpack(data[-POSITION_BYTES:])
    return number, index


def read_positions(data: bytes) -> list[tuple[int, int]]:
    """Return every place an `ids` row lists, the first one first."""
    return [(number, index) for number, index in _POSITION.iter_unpack(data)]


def lists_feed(row: bytes, place: bytes) -> bool:
    """Say whether an `ids` row lists a leaf of the feed that a place is in.

    Further leaves of that feed are not listed: whoever repeats one entry would have this row written as many times.
    """
    return any(row.startswith(place[:4], at) for at in range(0, len(row), POSITION_BYTES))


@dataclass(frozen=True, slots=True)
class LeafRow:
    """One stored leaf. `flags`: LEAF_*; `iat_max`: largest iat of the feed up to here; `raw`: b"" if elsewhere."""

    flags: int
    iat_max: int
    entry_id: bytes
    raw: bytes

    @property
    def void(self) -> bool:
        """Whether the leaf is void by rule."""
        return bool(self.flags & LEAF_VOID)


def leaf_row(flags: int, iat_max: int, entry_id: bytes, raw: bytes) -> bytes:
    """Encode a leaf."""
    return _LEAF.pack(flags, iat_max, entry_id) + raw


def read_leaf(data: bytes) -> LeafRow:
    """Decode a leaf."""
    flags, iat_max, entry_id = _LEAF.unpack_from(data)
    return LeafRow(flags, iat_max, entry_id, data[_LEAF.size :])


def leaf_id(data: bytes) -> bytes:
    """Return the entry id of a leaf, without copying its body."""
    return data[_LEAF.size - 32 : _LEAF.size]


@dataclass(frozen=True, slots=True)
class FeedRow:
    """What is held of a feed: local number, tree, largest iat, and its owner's newest checkpoint, if any.

    While a long feed is being fetched the tree may be larger than the newest checkpoint that ends in it.
    """

    number: int
    peaks: Peaks
    iat_max: int
    signed: SignedHead | None

    def encode(self) -> bytes:
        """Return the row's bytes."""
        head = self.signed or SignedHead(0, bytes(32), 0, bytes(64))
        fixed = _FEED.pack(self.number, self.iat_max, head.size, head.root, head.time, head.signature)
        return fixed + self.peaks.encode()

    @classmethod
    def decode(cls, data: bytes) -> FeedRow:
        """Read a row from our own store."""
        number, iat_max, size, root, time, signature = _FEED.unpack_from(data)
        signed = SignedHead(size, root, time, signature) if time else None
        return cls(number, Peaks.decode(data[_FEED.size :]), iat_max, signed)


def head_key(feed: bytes, time: int, size: int) -> bytes:
    """Return the key of a kept checkpoint."""
    return _HEAD.pack(feed, time, size)


def read_head(key: bytes, value: bytes) -> SignedHead:
    """Return a kept checkpoint from its row; the feed is the key's first 32 bytes."""
    _, time, size = _HEAD.unpack(key)
    return SignedHead(size, value[:32], time, value[32:])


@dataclass(frozen=True, slots=True)
class FactRow:
    """An entry that names a consent: its kind's number (`FACT_KINDS`), id and signer's key id.

    `about`, by kind: of an acknowledgement, the entry it acknowledges; of a withdrawal, `VIA_MARK` where it carries
    what makes the key hers; of an amendment, its `valid_until` (8 bytes) if it has one; of a rekey, its iat (8), the
    thumbprints of both keys (64), and the host (32) with its incarnation (4) if there is one; of evidence, its iat (8),
    the evidence (32) and the state's place in `EVIDENCE_STATES` (1). b"" in other kinds.
    """

    kind: str
    entry_id: bytes
    kid: bytes
    about: bytes = b""

    def encode(self) -> bytes:
        """Return the row's bytes."""
        return fact_row(self.kind, self.entry_id, self.kid, self.about)

    @classmethod
    def decode(cls, data: bytes) -> FactRow:
        """Read a row from our own store."""
        return cls(FACT_KINDS[data[0]], data[1:33], data[33:65], data[65:])


FACT_KINDS: Final = (
    "consent.grant",
    "consent.refuse",
    "consent.acknowledge",
    "consent.withdraw",
    "consent.revoke",
    "consent.request",
    "consent.remind",
    "consent.sign",
    "consent.amend",
    "consent.rekey",
    "consent.evidence",
    "delegation.give",
    "delegation.revoke",
    "group.open",
    "group.call",
    "group.vote",
    "group.refuse",
    "rights.request",
    "rights.answer",
    "fact.attest",
    "fact.revoke",
    "identity.attest",
    "erasure.state",
    "erasure.ack",
    "group.admit",
)
"""Numbers are places in this list: they stand in stores and never change."""

_FACT_NUMBERS: Final = {kind: bytes((number,)) for number, kind in enumerate(FACT_KINDS)}


def fact_row(kind: str, entry_id: bytes, kid: bytes, about: bytes) -> bytes:
    """Encode a fact, as `FactRow` reads it."""
    return b"".join((_FACT_NUMBERS[kind], entry_id, kid, about))
