"""Reading a `.mailleproof`: shapes, limits, one order for each list, and a hash table without idle hashes.

How it works
    `decode` is the inverse of `Bundle.encode`. It resolves every hash by its number and remembers which were named; a
    hash that nothing names refuses the file, as do a key that version 1 does not know, a list out of order, an item
    twice, a number that points nowhere.

What it does not do
    It verifies nothing but the form (evidence). What it cannot know, since it reads no entry, is left to `evidence`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, NoReturn, TypeVar

from ledger import codec, merkle
from ledger.checkpoint import Head
from ledger.consent.bounds import SLOTS as BOUND_SLOTS
from ledger.consent.record import SLOTS
from ledger.errors import RemoteError
from proofs import bundle as limits
from proofs.bundle import (
    SALT_BYTES,
    VERSION,
    Account,
    Attachment,
    Attestation,
    Bundle,
    Cosigned,
    Disclosure,
    EpochProof,
    Logged,
    Presence,
    Presentation,
    Selection,
    SignedCheckpoint,
    Stamp,
    Statement,
    TickProof,
    TransferProof,
    Voter,
)

_HASH: Final = merkle.HASH_BYTES
_SIGNATURE: Final = 64
_UINT32: Final = 2**32 - 1
_TIME: Final = 2**40
_COUNT: Final = 2**53
_T = TypeVar("_T")


def decode(data: bytes) -> Bundle:
    """Read a file's bytes. Raises RemoteError BUNDLE_MALFORMED, BUNDLE_UNREFERENCED (an unnamed hash), CBOR_*."""
    return _Reading(codec.decode(data, max_bytes=limits.BUNDLE_BYTES_MAX)).bundle()


class _Reading:
    """One pass over the decoded map: resolves hashes by number and remembers which were named."""

    def __init__(self, value: Any) -> None:
        match value:
            case {1: int(version)} if type(version) is int and version != VERSION:
                _bad("version", f"this is version {version}; only {VERSION} is known here, get a newer verifier")
            case {1: 1, 2: str(), 3: bytes(table), 4: bytes(), 5: list(), 6: list(), 7: list()}:
                pass
            case _:
                told = "a bundle is a map of version 1, selection, hashes, genesis, entries, checkpoints, ticks"
                _bad("bundle", told)
        if type(value[1]) is not int or not value.keys() <= set(range(1, 16)):
            _bad("bundle", "it holds a key that version 1 does not know")
        self._value: dict[int, Any] = value
        if len(table) % _HASH or len(table) > limits.HASHES_MAX * _HASH:
            _bad("hashes", f"the table is at most {limits.HASHES_MAX} hashes of {_HASH} bytes")
        self._table = [table[at : at + _HASH] for at in range(0, len(table), _HASH)]
        _ascending("hashes", self._table)
        self._named = bytearray(len(self._table))

    def bundle(self) -> Bundle:
        value = self._value
        selection = next((each for each in Selection if each.value == value[2]), None)
        if selection is None:
            _bad("selection", "a bundle is about a consent, a conduct or a period")
        checkpoints = _list("checkpoints", value[6], 1, limits.CHECKPOINTS_MAX, self._checkpoint)
        _ascending("checkpoints", [(c.head.feed, c.head.size, c.head.root) for c in checkpoints])
        self._checkpoints = len(checkpoints)
        entries = _list("entries", value[5], 1, limits.ENTRIES_MAX, self._logged)
        self._entries = len(entries)
        ticks = _list("ticks", value[7], 0 if selection is Selection.CONDUCT else 1, limits.TICKS_MAX, self._tick)
        _ascending("ticks", [tick.boundary for tick in ticks])
        disclosures = self._optional(8, "disclosures", limits.GRANTS_MAX, self._disclosed)
        _ascending("disclosures", [grant for grant, _ in disclosures])
        bounds = self._optional(15, "bounds", limits.GRANTS_MAX, self._bounded)
        _ascending("bounds", [given for given, _ in bounds])
        epochs = self._optional(9, "epochs", limits.EPOCHS_MAX, self._epoch)
        if any(step.epoch is not None for step in epochs[1:]):
            _bad("epochs", "only the first step may be an epoch without its certificate")
        transfers = self._optional(10, "transfers", limits.TRANSFERS_MAX, self._transfer)
        _ascending("transfers", [(each.receipt.entry, each.receipt.position) for each in transfers])
        stamps = self._optional(12, "stamps", limits.STAMPS_MAX, _stamp)
        _ascending("stamps", [(stamp.what, stamp.number) for stamp in stamps])
        counts = (len(ticks), len(checkpoints), len(entries))
        if any(stamp.number >= counts[stamp.what] for stamp in stamps):
            _bad("stamps", "a time stamp names an item that is not there")
        attachments = self._optional(13, "attachments", limits.ATTACHMENTS_MAX, _attachment)
        _ascending("attachments", [each.sha256 for each in attachments])
        presentation = _presentation(value[11]) if 11 in value else None
        about = _about(selection, value.get(14), 14 in value)
        if not all(self._named):
            raise RemoteError("BUNDLE_UNREFERENCED", "no item names this hash", field=f"hashes {self._named.index(0)}")
        listed = (disclosures, selection, epochs, transfers, presentation, stamps, attachments, about, bounds)
        return Bundle(value[4], entries, checkpoints, ticks, *listed)

    def _optional(self, key: int, field: str, most: int, read: Callable[[Any], _T]) -> tuple[_T, ...]:
        """Read a list that is either absent or not empty."""
        return _list(field, self._value[key], 1, most, read) if key in self._value else ()

    def _hash(self, number: Any) -> bytes:
        at = _uint("hashes", number, len(self._table) - 1)
        self._named[at] = 1
        return self._table[at]

    def _path(self, value: Any) -> tuple[bytes, ...]:
        return _list("path", value, 0, limits.PATH_MAX, self._hash)

    def _head(self, value: Any) -> Head:
        match value:
            case [feed, size, root]:
                return Head(self._hash(feed), _uint("size", size, merkle.MAX_SIZE), self._hash(root))
            case _:
                return _bad("heads", "a head is [feed, size, root]")

    def _checkpoint(self, value: Any) -> SignedCheckpoint:
        match value:
            case [feed, size, root, time, bytes(signature), cosigned] if len(signature) == _SIGNATURE:
                others = _list("cosignatures", cosigned, 0, limits.COSIGNATURES_MAX, self._cosigned)
                _ascending("cosignatures", [each.feed for each in others])
                return SignedCheckpoint(self._head([feed, size, root]), _uint("time", time, _TIME), signature, others)
            case _:
                return _bad("checkpoints", "a checkpoint is [feed, size, root, time, signature, cosignatures]")

    def _cosigned(self, value: Any) -> Cosigned:
        match value:
            case [feed, time, bytes(signature)] if len(signature) == _SIGNATURE:
                return Cosigned(self._hash(feed), _uint("time", time, _TIME), signature)
            case _:
                return _bad("cosignatures", "a cosignature is [feed, time, signature]")

    def _logged(self, value: Any) -> Logged:
        match value:
            case [bytes(raw), checkpoint, index, path]:
                at = _uint("checkpoint", checkpoint, self._checkpoints - 1)
                return Logged(raw, at, _uint("index", index, merkle.MAX_SIZE), self._path(path))
            case _:
                return _bad("entries", "an entry is [bytes, checkpoint, index, path]")

    def _entry(self, value: Any) -> int:
        return _uint("entries", value, self._entries - 1)

    # Ticks

    def _tick(self, value: Any) -> TickProof:
        if type(value) is not dict or value.keys() != set(range(1, 9)):
            _bad("ticks", "a tick is a map with the keys 1 to 8")
        frontier = _list("frontier", value[2], 1, limits.FEEDS_MAX, self._head)
        _ascending("frontier", [head.feed for head in frontier])
        consents = _list("consents", value[6], 0, limits.GRANTS_MAX, self._consent)
        _ascending("consents", [grant for grant, _ in consents])
        members = _list("members", value[7], 0, limits.MEMBERS_MAX, self._member)
        _ascending("members", [kid for kid, _ in members])
        attestations = _list("attestations", value[8], 0, limits.ATTESTATIONS_MAX, self._attestation)
        _ascending("attestations", [each.feed for each in attestations])
        return TickProof(
            _uint("boundary", value[1], _TIME),
            frontier,
            self._map_head(value[3]),
            self._map_head(value[4]),
            _uint("evaluator version", value[5], _UINT32),
            consents,
            members,
            attestations,
        )

    def _map_head(self, value: Any) -> tuple[int, bytes]:
        match value:
            case [size, root]:
                return _uint("map size", size, merkle.MAX_SIZE), self._hash(root)
            case _:
                return _bad("maps", "a map is [size, root]")

    def _presence(self, value: Any) -> Presence:
        match value:
            case [bytes(held), index, size, bucket, top] if len(held) <= limits.VALUE_BYTES_MAX:
                count = _uint("bucket size", size, _UINT32)
                return Presence(held, _uint("index", index, _UINT32), count, self._path(bucket), self._path(top))
            case _:
                return _bad("state", "a place in a map is [value, index, bucket size, bucket path, top path]")

    def _consent(self, value: Any) -> tuple[int, Presence]:
        match value:
            case [grant, place]:
                return self._entry(grant), self._presence(place)
            case _:
                return _bad("consents", "a consent's proof is [grant, place]")

    def _member(self, value: Any) -> tuple[bytes, Presence]:
        match value:
            case [kid, place]:
                return self._hash(kid), self._presence(place)
            case _:
                return _bad("members", "a member proof is [key id, place]")

    def _attestation(self, value: Any) -> Attestation:
        match value:
            case [feed, iat, bytes(cti), seen, bytes(signature)] if len(cti) == 16 and len(signature) == _SIGNATURE:
                heads = _list("seen", seen, 1, 8, self._head)
                return Attestation(self._hash(feed), _uint("iat", iat, _TIME - 1), cti, heads, signature)
            case _:
                return _bad("attestations", "an attestation is [feed, iat, cti, seen, signature]")

    # The other parts

    def _disclosed(self, value: Any) -> tuple[int, tuple[Disclosure, ...]]:
        return self._opened("disclosures", value, SLOTS)

    def _bounded(self, value: Any) -> tuple[int, tuple[Disclosure, ...]]:
        return self._opened("bounds", value, BOUND_SLOTS)

    def _opened(self, field: str, value: Any, slots: Mapping[str, int]) -> tuple[int, tuple[Disclosure, ...]]:
        match value:
            case [entry, shown]:
                listed = _list(field, shown, 1, len(slots), lambda each: _disclosure(field, each, slots))
                _ascending(field, [slots[name] for _, _, name in listed])
                return self._entry(entry), listed
            case _:
                return _bad(field, "what opens an entry is [entry, [disclosure, …]]")

    def _epoch(self, value: Any) -> EpochProof:
        match value:
            case [bytes() | None as epoch, bytes() | None as certificate, voters, *rest] if (epoch is None) != (
                certificate is None
            ) and len(rest) <= (certificate is not None):
                listed = _list("voters", voters, 1, 512, self._voter)
                _ascending("voters", [(voter.kid, voter.incarnation) for voter in listed])
                heirs = _list("heirs", rest[0], 1, 512, self._heir) if rest else ()
                _ascending("heirs", [place for place, _ in heirs])
                return EpochProof(epoch, certificate, listed, heirs)
            case _:
                return _bad("epochs", "a step is [epoch, null, voters] or [null, certificate, voters], and heirs")

    def _heir(self, value: Any) -> tuple[int, int]:
        match value:
            case [place, entry]:
                return _uint("heirs", place, 511), self._entry(entry)
            case _:
                return _bad("heirs", "an heir is [index of a voter, number of its device's certificate]")

    def _voter(self, value: Any) -> Voter:
        match value:
            case [kid, incarnation, bytes(public), str(college)] if len(public) == 32 and len(college) <= _TEXT:
                return Voter(self._hash(kid), _uint("incarnation", incarnation, _UINT32), public, college)
            case _:
                return _bad("voters", "a voter is [key id, incarnation, device key, college]")

    def _transfer(self, value: Any) -> TransferProof:
        match value:
            case [receipt, None]:
                return TransferProof(self._statement(receipt), None)
            case [receipt, ack]:
                return TransferProof(self._statement(receipt), self._statement(ack))
            case _:
                return _bad("transfers", "a transfer is [receipt, acknowledgement or null]")

    def _statement(self, value: Any) -> Statement:
        match value:
            case [entry, position, None]:
                return Statement(self._entry(entry), _uint("position", position, _UINT32), None)
            case [entry, position, list(opened)]:
                return Statement(self._entry(entry), _uint("position", position, _UINT32), _account(opened))
            case _:
                return _bad("transfers", "a statement is [entry, position, account or null]")


_TEXT: Final = limits.TEXT_MAX


def _account(value: list[Any]) -> Account:
    if len(value) != 13:
        _bad("transfers", "an account is what the receipt's digest hides, its salt before it")
    match value[:7], value[7:]:
        case (
            [bytes(salt), bytes(transfer), bytes(grant), [holder, held], [recipient, got], frontier, list(entries)],
            [chain, count, gaps, [start, stop], began, ended],
        ) if len(salt) == len(transfer) == 16:
            pass
        case _:
            _bad("transfers", "an account is what the receipt's digest hides, its salt before it")
    hashes = [grant, holder, recipient, chain, *([] if frontier is None else [frontier]), *entries]
    if any(type(each) is not bytes or len(each) != _HASH for each in hashes) or (
        len(entries) > limits.ACCOUNT_ENTRIES_MAX
    ):
        _bad("transfers", "ids and hashes of an account have 32 bytes")
    parties = ((holder, _uint("incarnation", held, _UINT32)), (recipient, _uint("incarnation", got, _UINT32)))
    window = (_uint("window", start, _TIME), _uint("window", stop, _TIME))
    numbers = (_uint("count", count, _COUNT), _uint("gaps", gaps, _COUNT))
    times = (_uint("began", began, _TIME), _uint("ended", ended, _TIME))
    return Account(salt, transfer, grant, *parties, frontier, tuple(entries), chain, *numbers, window, *times)


def _disclosure(field: str, value: Any, slots: Mapping[str, int]) -> Disclosure:
    match value:
        case [bytes(salt), shown, str(name)] if len(salt) == SALT_BYTES and name in slots:
            return salt, shown, name
        case _:
            return _bad(field, "a disclosure is [salt, value, field], of a field of schema 1")


def _stamp(value: Any) -> Stamp:
    match value:
        case [what, number, bytes(token)] if 0 < len(token) <= limits.STAMP_BYTES_MAX:
            return Stamp(_uint("stamps", what, 2), _uint("stamps", number, _UINT32), token)
        case _:
            return _bad("stamps", "a time stamp is [what, number, token]")


def _attachment(value: Any) -> Attachment:
    match value:
        case [bytes(digest), str(media_type), bytes() | None as content] if (
            len(digest) == _HASH and media_type in limits.MEDIA_TYPES
        ):
            return Attachment(digest, media_type, content)
        case _:
            return _bad(
                "attachments", "an attachment is [SHA-256, media type, bytes or null], of a type that version 1 knows"
            )


def _presentation(value: Any) -> Presentation:
    match value:
        case [str(audience), bytes(nonce), time, bytes(public), bytes(signature)] if (
            len(audience) <= _TEXT
            and len(nonce) <= limits.NONCE_BYTES_MAX
            and len(public) == 32
            and len(signature) == _SIGNATURE
        ):
            return Presentation(audience, nonce, _uint("time", time, _TIME), public, signature)
        case _:
            return _bad("presentation", "a presentation is [audience, nonce, time, key, signature]")


def _about(selection: Selection, value: Any, is_there: bool) -> tuple[bytes, int] | tuple[int, int] | None:
    match selection, value:
        case Selection.CONSENT, None if not is_there:
            return None
        case Selection.CONDUCT, [bytes(kid), incarnation] if len(kid) == _HASH:
            return kid, _uint("about", incarnation, _UINT32)
        case Selection.PERIOD, [first, last] if _uint("about", first, _TIME) <= _uint("about", last, _TIME):
            return first, last
        case _:
            return _bad("about", "a conduct is of [key id, incarnation], a period [first, last]; a consent has neither")


def _list(field: str, value: Any, low: int, high: int, read: Callable[[Any], _T]) -> tuple[_T, ...]:
    if type(value) is not list or not low <= len(value) <= high:
        _bad(field, f"it is a list of {low} to {high}")
    return tuple([read(item) for item in value])


def _uint(field: str, value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        _bad(field, f"it is a whole number from 0 to {most}")
    return int(value)


def _ascending(field: str, keys: list[Any]) -> None:
    """Refuse a list whose keys do not rise: one order, and nothing twice."""
    if any(one >= other for one, other in pairwise(keys)):
        _bad(field, "they must stand in ascending order, each once")


def _bad(field: str, message: str) -> NoReturn:
    raise RemoteError("BUNDLE_MALFORMED", f"{message}; ask for the proof again", field=field)
