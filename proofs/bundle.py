"""The bundle: one `.mailleproof` file as values, and as bytes (ledger.md §7; the bytes are specified in README.md).

How it works
    A bundle is a deterministic CBOR map. Every 32-byte hash that may stand twice (feed, root, path node, key id) stands
    once, in a sorted table, and is named by its index: paths of one tree share most of their nodes. Lists have one
    order each, so equal contents are equal bytes. `Bundle.encode` writes, `reading.decode` is its inverse and checks
    shapes, orders, counts and the table. Nothing is derived twice: a tick's state root, a leaf's key, the bytes of an
    attestation, a key id of a signature line are all computed by whoever reads.

What it does not do
    It verifies nothing: no signature, no path (evidence). It gathers nothing (make).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import sha256
from typing import Any, Final

from ledger import codec, merkle
from ledger.checkpoint import Checkpoint, Head, cosignature, origin
from ledger.maps import MapProof, map_key

VERSION: Final = 1
BUNDLE_BYTES_MAX: Final = 1 << 20
HASHES_MAX: Final = 16_384
"""Hashes in the table; half a mebibyte."""
ENTRIES_MAX: Final = 1_024
GRANTS_MAX: Final = 256
CHECKPOINTS_MAX: Final = 512
COSIGNATURES_MAX: Final = 64
"""Cosignatures of one checkpoint by other members."""
TICKS_MAX: Final = 32
FEEDS_MAX: Final = 4_096
"""Feeds in one frontier."""
MEMBERS_MAX: Final = 256
"""Member proofs under one tick."""
ATTESTATIONS_MAX: Final = 64
EPOCHS_MAX: Final = 256
TRANSFERS_MAX: Final = 512
STAMPS_MAX: Final = 32
STAMP_BYTES_MAX: Final = 16_384
ATTACHMENTS_MAX: Final = 32
ACCOUNT_ENTRIES_MAX: Final = 64
"""Entries that one account of a transfer may rest on."""
PATH_MAX: Final = 63
VALUE_BYTES_MAX: Final = 65_536
"""The largest value of a committed map."""
SALT_BYTES: Final = 16
NONCE_BYTES_MAX: Final = 64
TEXT_MAX: Final = 500
"""Characters of an audience, a college."""
RULES_TYPE: Final = "application/vnd.maille.rules+cbor"
"""Media type of the rules of an epoch."""
MEDIA_TYPES: Final = (
    *("text/plain", "text/markdown", "text/html", "application/pdf", "image/png", "image/jpeg"),
    *("application/octet-stream", RULES_TYPE),
)
"""Those of attachments: nothing signs them, so no other text may stand there."""


class Selection(Enum):
    """What a bundle is about; the values stand in the file."""

    CONSENT = "consent"
    """One consent, and what flowed under it."""
    CONDUCT = "conduct"
    """What a member did: for a regulator or a court."""
    PERIOD = "period"
    """The consents and transfers of a time."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry (`raw`) and where it is logged: leaf `index` under the bundle's checkpoint number `checkpoint`."""

    raw: bytes
    checkpoint: int
    index: int
    path: tuple[bytes, ...]

    @property
    def id(self) -> bytes:
        """The entry's id: SHA-256 of its bytes."""
        return sha256(self.raw).digest()


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A cosignature/v1 of a checkpoint by another member's device: its feed, unix seconds, 64 bytes."""

    feed: bytes
    time: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A feed's head with its owner's cosignature/v1 (unix seconds, 64 bytes) and those of others, by feed."""

    head: Head
    time: int
    signature: bytes
    cosigned: tuple[Cosigned, ...] = ()

    def note(self, mesh_id: bytes, public: bytes) -> str:
        """Return it as the C2SP signed note it stands for. `public`: the device key of the feed."""
        line = cosignature(mesh_id, self.head.feed, public, self.time, self.signature)
        return Checkpoint(origin(mesh_id, self.head.feed), self.head.size, self.head.root, (line,)).text()


@dataclass(frozen=True, slots=True)
class Presence:
    """That a committed map holds `value`: leaf `index` of a bucket of `bucket_size`, and both inclusion paths."""

    value: bytes
    index: int
    bucket_size: int
    bucket_path: tuple[bytes, ...]
    top_path: tuple[bytes, ...]

    def proof(self, ident: bytes) -> MapProof:
        """Return the proof that the thing `ident` has this value. Raises RemoteError BAD_INCLUSION."""
        key = map_key(ident)
        leaf = merkle.leaf_hash(key + self.value)
        root = merkle.root_from_inclusion(leaf, self.index, self.bucket_size, self.bucket_path)
        return MapProof(self.bucket_size, root, self.top_path, ((self.index, key, self.value, self.bucket_path),))


@dataclass(frozen=True, slots=True)
class Attestation:
    """What of a `state.attestation` entry the tick does not say already: who, when, having seen what, and signed."""

    feed: bytes
    iat: int
    cti: bytes
    seen: tuple[Head, ...]
    signature: bytes


@dataclass(frozen=True, slots=True)
class TickProof:
    """One tick: its boundary (unix seconds) and frontier, both maps' (size, root), and what is proven below it.

    `consents`: (number of a grant, a delegation or a call in `Bundle.entries`, its place in the consent map).
    `members`: (root key id, place in the member map), by key id. `attestations`: by feed.
    """

    boundary: int
    frontier: tuple[Head, ...]
    member_map: tuple[int, bytes]
    consent_map: tuple[int, bytes]
    evaluator_version: int
    consents: tuple[tuple[int, Presence], ...]
    members: tuple[tuple[bytes, Presence], ...]
    attestations: tuple[Attestation, ...]


@dataclass(frozen=True, slots=True)
class Voter:
    """A voter of an epoch: root key id, incarnation, its governing device's public key, and its college or ""."""

    kid: bytes
    incarnation: int
    public: bytes
    college: str


@dataclass(frozen=True, slots=True)
class EpochProof:
    """A step of the epoch chain with the voters it leads to.

    Either `epoch` (the bytes of an epoch that the auditor pinned, the first step alone) or `certificate` is there.
    `heirs`: (index of a voter of the step before, number of the `device.certify` entry) where a successor of the
    voter's device signed in its stead; ascending.
    """

    epoch: bytes | None
    certificate: bytes | None
    voters: tuple[Voter, ...]
    heirs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """One end's account of a transfer, opened: what its salted digest on the ledger hides (node/vaults/receipts.py).

    `window`: unix seconds [start, stop). `began`, `ended`: of the first and the last pack. `chain`: over the packs.
    """

    salt: bytes
    transfer: bytes
    grant: bytes
    holder: tuple[bytes, int]
    recipient: tuple[bytes, int]
    frontier: bytes | None
    entries: tuple[bytes, ...]
    chain: bytes
    count: int
    gaps: int
    window: tuple[int, int]
    began: int
    ended: int

    def value(self) -> list[Any]:
        """Return what the digest is about, without the salt."""
        who = [self.transfer, self.grant, list(self.holder), list(self.recipient)]
        what = [self.chain, self.count, self.gaps, list(self.window)]
        return [*who, self.frontier, list(self.entries), *what, self.began, self.ended]


@dataclass(frozen=True, slots=True)
class Statement:
    """One end's word on a transfer: number of the entry, position in its list, and the account where it is opened."""

    entry: int
    position: int
    account: Account | None


@dataclass(frozen=True, slots=True)
class TransferProof:
    """A transfer: the holder's receipt, and the recipient's acknowledgement where there is one."""

    receipt: Statement
    ack: Statement | None


@dataclass(frozen=True, slots=True)
class Presentation:
    """Who hands the bundle to whom: `audience`, the audience's `nonce`, unix seconds, and the presenter's signature."""

    audience: str
    nonce: bytes
    time: int
    public: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Stamp:
    """An RFC 3161 time stamp (DER) over item `number` of `what`: 0 a tick's frontier, 1 a checkpoint, 2 an entry."""

    what: int
    number: int
    token: bytes


@dataclass(frozen=True, slots=True)
class Attachment:
    """A document that an entry names by its SHA-256: a notice, a scanned mandate, the rules. None: withheld."""

    sha256: bytes
    media_type: str
    content: bytes | None


Disclosure = tuple[bytes, Any, str]
"""(salt, value, field)"""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A whole bundle. `entries`: grants by id, then all others by id. `disclosures`: by number of the entry they open.

    `bounds`: what opens delegations, likewise.
    `about`: (root key id, incarnation) of a member whose conduct it is, (first, last) second of a period; else None.
    """

    genesis: bytes
    entries: tuple[Logged, ...]
    checkpoints: tuple[SignedCheckpoint, ...]
    ticks: tuple[TickProof, ...]
    disclosures: tuple[tuple[int, tuple[Disclosure, ...]], ...] = ()
    selection: Selection = Selection.CONSENT
    epochs: tuple[EpochProof, ...] = ()
    transfers: tuple[TransferProof, ...] = ()
    presentation: Presentation | None = None
    stamps: tuple[Stamp, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    about: tuple[bytes, int] | tuple[int, int] | None = None
    bounds: tuple[tuple[int, tuple[Disclosure, ...]], ...] = ()

    def encode(self) -> bytes:
        """Return the file's bytes. What `make` did not put in order is refused by `reading.decode`, not here."""
        table = sorted(set(self._hashes()))
        number = {value: at for at, value in enumerate(table)}
        value: dict[int, Any] = {
            1: VERSION,
            2: self.selection.value,
            3: b"".join(table),
            4: self.genesis,
            5: [[item.raw, item.checkpoint, item.index, [number[n] for n in item.path]] for item in self.entries],
            6: [_checkpoint(item, number) for item in self.checkpoints],
            7: [_tick(tick, number) for tick in self.ticks],
            8: [[grant, [list(each) for each in shown]] for grant, shown in self.disclosures],
            9: [_epoch(step, number) for step in self.epochs],
            10: [[_statement(each.receipt), _statement(each.ack)] for each in self.transfers],
            12: [[stamp.what, stamp.number, stamp.token] for stamp in self.stamps],
            13: [[each.sha256, each.media_type, each.content] for each in self.attachments],
            15: [[given, [list(each) for each in shown]] for given, shown in self.bounds],
        }
        value = {key: held for key, held in value.items() if key < 8 or held}
        if self.presentation is not None:
            shown = self.presentation
            value[11] = [shown.audience, shown.nonce, shown.time, shown.public, shown.signature]
        if self.about is not None:
            value[14] = list(self.about)
        return codec.encode(value)

    def digest(self) -> bytes:
        """Return SHA-256 of the file without its presentation: what a presenter signs, and names it by."""
        return sha256(replace(self, presentation=None).encode()).digest()

    def _hashes(self) -> Iterator[bytes]:
        """Yield every hash that goes by number, as often as it stands somewhere."""
        for item in self.entries:
            yield from item.path
        for checkpoint in self.checkpoints:
            yield from (checkpoint.head.feed, checkpoint.head.root)
            yield from (cosigned.feed for cosigned in checkpoint.cosigned)
        for tick in self.ticks:
            yield from _hashes_of_tick(tick)
        for step in self.epochs:
            yield from (voter.kid for voter in step.voters)


def _hashes_of_tick(tick: TickProof) -> Iterator[bytes]:
    yield from (tick.member_map[1], tick.consent_map[1])
    for head in (*tick.frontier, *(head for each in tick.attestations for head in each.seen)):
        yield from (head.feed, head.root)
    for held in (*(held for _, held in tick.consents), *(held for _, held in tick.members)):
        yield from (*held.bucket_path, *held.top_path)
    yield from (kid for kid, _ in tick.members)
    yield from (each.feed for each in tick.attestations)


def _checkpoint(item: SignedCheckpoint, number: dict[bytes, int]) -> list[Any]:
    cosigned = [[number[each.feed], each.time, each.signature] for each in item.cosigned]
    return [number[item.head.feed], item.head.size, number[item.head.root], item.time, item.signature, cosigned]


def _tick(tick: TickProof, number: dict[bytes, int]) -> dict[int, Any]:
    def heads(listed: tuple[Head, ...]) -> list[Any]:
        return [[number[head.feed], head.size, number[head.root]] for head in listed]

    place: Callable[[Presence], list[Any]] = lambda held: [  # noqa: E731 - one expression over `number`
        *(held.value, held.index, held.bucket_size),
        *([number[node] for node in path] for path in (held.bucket_path, held.top_path)),
    ]
    return {
        1: tick.boundary,
        2: heads(tick.frontier),
        3: [tick.member_map[0], number[tick.member_map[1]]],
        4: [tick.consent_map[0], number[tick.consent_map[1]]],
        5: tick.evaluator_version,
        6: [[grant, place(held)] for grant, held in tick.consents],
        7: [[number[kid], place(held)] for kid, held in tick.members],
        8: [[number[a.feed], a.iat, a.cti, heads(a.seen), a.signature] for a in tick.attestations],
    }


def _epoch(step: EpochProof, number: dict[bytes, int]) -> list[Any]:
    voters = [[number[voter.kid], voter.incarnation, voter.public, voter.college] for voter in step.voters]
    return [step.epoch, step.certificate, voters, *([[list(heir) for heir in step.heirs]] if step.heirs else [])]


def _statement(each: Statement | None) -> list[Any] | None:
    if each is None:
        return None
    opened = None if each.account is None else [each.account.salt, *each.account.value()]
    return [each.entry, each.position, opened]
