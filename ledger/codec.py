"""Deterministic CBOR: the one way in which maille turns values into signed bytes, and back.

How it works
    RFC 8949 §4.2.1 core deterministic form over a small data model (ledger.md §2): signed 64-bit integers,
    byte strings, NFC text, lists, maps whose keys are text or integers, booleans and null. `decode` lets
    `cbor2` parse, with indefinite lengths, repeated keys and every tag switched off, then walks the value
    once. The walk checks the data model and adds up the length of the deterministic encoding. No head can be
    shorter than its shortest form, so an input whose length equals that sum has shortest heads only and no
    trailing bytes; if its keys ascend too, it *is* the deterministic encoding. That is the verdict of
    re-encoding and comparing, at a third of the price; the tests hold the two against each other.

    cbor2's `canonical` sorts keys length-first (RFC 7049), where RFC 8949 wants them bytewise. `encode` and
    `decode` refuse every key set on which the two orders differ, so that they can never part.

What it does not do
    It knows no tag but 18 (COSE_Sign1), and that only at the top, through `encode_sign1` and `decode_sign1`.
    It holds no floats: SenML packs are opaque byte strings to the ledger. It checks no schema.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias

import cbor2

from ledger.errors import LocalError, RemoteError

MAX_DEPTH: Final = 16
"""Lists and maps within one another; a scalar has depth 0."""
MAX_BYTES: Final = 65_536
"""The largest encoded value that `decode` takes unless told otherwise, in bytes."""

Value: TypeAlias = "int | bytes | str | bool | list[Value] | dict[str | int, Value] | None"
"""What `decode` returns: exactly these types, never a subclass."""

_INT_LIMIT: Final = 1 << 63
_TWO_ORDERS: Final = "it holds a map whose keys sort differently by length and by bytes"
_LOOSE_DEPTH: Final = 400  # how deep a second look at a refused input goes, to name what is wrong with it
_SIGN1_TAG: Final = b"\xd2"  # tag 18 in its shortest form
_SIGN1_PARTS: Final = 4

# The tags that cbor2 6 would turn into Python objects by itself (dates, bignums, sets, shared references,
# regular expressions…). Each is overridden: hostile bytes could build huge or cyclic values in the parser.
# A test asks cbor2 for every tag up to 65 535, so that a new release cannot add one unseen.
_KNOWN_TAGS: Final = (
    *(0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43_000, 55_799),
)

# Pythons carry different Unicode tables, and text with a character that one table lacks may be NFC for one
# and not for another: nodes would disagree on what is valid. A character that Unicode 3.2 has is normalised
# alike for ever (Unicode's stability policy), and every Python carries those tables. Of later characters
# only ranges are taken that hold letters, symbols and emoji which neither combine nor decompose.
_FIRST_COMBINING: Final = "\u0300"  # no character below combines or decomposes: NFC leaves them alone
_UNSTABLE_CATEGORIES: Final = ("Cn", "Cs")  # unassigned; lone surrogates
_LATER_RANGES: Final = (
    ("\u10a0", "\u10ff"),  # Georgian
    ("\u1c90", "\u1cbf"),  # Georgian capitals
    ("\u1e9e", "\u1e9e"),  # capital sharp s
    ("\u20a0", "\u20cf"),  # currencies
    ("\u2190", "\u2bff"),  # arrows, mathematics, symbols
    ("\u2c60", "\u2c7f"),  # Latin Extended-C
    ("\ua720", "\ua7ff"),  # Latin Extended-D
    ("\U0001f000", "\U0001faff"),  # emoji
)


class _ModelError(Exception):
    """The value is outside the data model; the argument says how."""


class _OrderError(Exception):
    """The keys of a map do not ascend."""


def encode(value: object) -> bytes:
    """Return the deterministic CBOR of `value`.

    Takes exactly the types of `Value` (no tuple, no subclass). Map entries may stand in any order.
    Raises LocalError UNENCODABLE for anything else: floats, integers outside -2^63 … 2^63 - 1, text that is
    not NFC, key sets on which length-first and bytewise order differ, more than `MAX_DEPTH` levels.
    """
    try:
        try:
            _measure((value,), MAX_DEPTH, _sorted_keys)
        except _OrderError:
            _measure((value,), MAX_DEPTH, _keys_in_any_order)
            return cbor2.dumps(value, canonical=True)
    except _ModelError as error:
        raise LocalError("UNENCODABLE", f"The value cannot be encoded: {error}. Change the value.") from None
    return cbor2.dumps(value)  # its maps are in order already: half the time of sorting them again


def encode_joined(items: Sequence[bytes]) -> bytes:
    """Return the encoding of a list whose items are encoded already: whoever hashes a long list keeps its parts."""
    count = len(items)
    size = _head(count) - 1
    head = bytes((0x80 | count,)) if size == 0 else bytes((0x97 + size.bit_length(),)) + count.to_bytes(size, "big")
    return head + b"".join(items)


def decode(data: bytes, *, max_bytes: int = MAX_BYTES) -> Value:
    """Return the value whose deterministic CBOR is `data`; `max_bytes` bounds its length.

    Raises RemoteError CBOR_TOO_LARGE; CBOR_MALFORMED (not CBOR, or deeper than any second look goes);
    CBOR_TRAILING (bytes after the value); CBOR_NOT_DETERMINISTIC (longer heads than needed, indefinite
    lengths, unsorted keys); CBOR_MODEL (floats, tags, simple values, integers outside -2^63 … 2^63 - 1, text
    that is not NFC, forbidden or repeated keys, key sets that `encode` would refuse, too deep). Where several
    faults meet, one of them is named.
    """
    size = len(data)
    if size > max_bytes:
        raise RemoteError("CBOR_TOO_LARGE", f"The value has {size} bytes, the limit is {max_bytes}.")
    try:
        value: Value = cbor2.loads(
            data,
            tag_hook=_refuse_tag,
            semantic_decoders=_TAG_DECODERS,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
        measured = _measure((value,), MAX_DEPTH, _sorted_keys)
    except _ModelError as error:
        raise RemoteError("CBOR_MODEL", f"The value is outside the data model: {error}.") from None
    except _OrderError:
        raise _not_deterministic("the keys of a map are not in ascending order") from None
    except Exception as error:
        raise _explain(data, error) from None
    if measured != size:
        raise _wrong_length(data, value)
    return value


def encode_sign1(parts: list[Value]) -> bytes:
    """Return tag 18 around the list of four `parts` (COSE_Sign1, RFC 9052 §4.2).

    Raises LocalError UNENCODABLE, also when there are not exactly four parts.
    """
    if type(parts) is not list or len(parts) != _SIGN1_PARTS:
        raise LocalError("UNENCODABLE", "A COSE_Sign1 is a list of four parts. Pass exactly four.")
    return _SIGN1_TAG + encode(parts)


def decode_sign1(data: bytes) -> list[Value]:
    """Return the four parts of a COSE_Sign1: tag 18 around a list of four, at most `MAX_BYTES` in all.

    Raises RemoteError as `decode` does, and CBOR_MODEL when the tag or the list of four is not there.
    """
    if len(data) > MAX_BYTES:
        raise RemoteError("CBOR_TOO_LARGE", f"The value has {len(data)} bytes, the limit is {MAX_BYTES}.")
    if data[:1] != _SIGN1_TAG:
        raise RemoteError("CBOR_MODEL", "The bytes do not begin with tag 18: this is not a COSE_Sign1.")
    parts = decode(data[1:])
    if type(parts) is not list or len(parts) != _SIGN1_PARTS:
        raise RemoteError("CBOR_MODEL", "Tag 18 is not around a list of four: this is not a COSE_Sign1.")
    return parts


def _measure(values: Iterable[Any], depth: int, measure_keys: Callable[[Mapping[Any, Any]], int]) -> int:
    """Check `values` against the data model; return the length of their deterministic encodings together.

    `depth`: how many levels of lists and maps may still open. `measure_keys`: does the same for a map's keys.
    This is the hottest loop of the ledger, which is why the heads of short strings are counted in place.
    """
    total = 0
    for value in values:
        kind = type(value)
        if kind is bytes:
            size = len(value)
            total += size + (1 if size < 24 else 2 if size < 256 else _head(size))
        elif kind is str:
            size = len(value) if value.isascii() else _text_size(value)
            total += size + (1 if size < 24 else 2 if size < 256 else _head(size))
        elif kind is int:
            total += _head(value if value >= 0 else ~value)
        elif kind is list or kind is dict:
            if depth == 0:
                raise _ModelError(f"it is nested deeper than {MAX_DEPTH}")
            total += _head(len(value))
            if kind is dict:
                total += measure_keys(value)
                value = value.values()  # noqa: PLW2901 - a map counts as its keys and then its values
            total += _measure(value, depth - 1, measure_keys)
        elif kind is bool or value is None:
            total += 1
        else:
            raise _ModelError(f"it holds a value of type {kind.__name__}")
    return total


def _head(number: int) -> int:
    """Return the bytes of the shortest head that carries `number` (a length, or an integer's magnitude)."""
    if number < 24:
        return 1
    if number < 0x100:
        return 2
    if number < 0x1_0000:
        return 3
    if number < 0x1_0000_0000:
        return 5
    if number < _INT_LIMIT:
        return 9
    raise _ModelError("it holds an integer outside -2^63 … 2^63 - 1")


def _text_size(text: str) -> int:
    """Return the UTF-8 length of `text`. Raises _ModelError unless it is NFC, of characters that stay NFC."""
    if text and max(text) >= _FIRST_COMBINING:
        if not all(_is_stable(character) for character in text):
            raise _ModelError("it holds text with a character outside Unicode 3.2 and the listed later ranges")
        if not unicodedata.is_normalized("NFC", text):
            raise _ModelError("it holds text that is not in Unicode normal form C")
    return len(text.encode())


def _is_stable(character: str) -> bool:
    """Say whether every Unicode version normalises `character` alike."""
    if character < _FIRST_COMBINING or unicodedata.ucd_3_2_0.category(character) not in _UNSTABLE_CATEGORIES:
        return True
    return any(first <= character <= last for first, last in _LATER_RANGES)


def _sorted_keys(keys: Iterable[object]) -> int:
    """Check that `keys` ascend strictly, bytewise; return the length of their encodings together.

    Among text keys the shorter comes first, then code points decide (their order is that of UTF-8).
    """
    total, last_size, last = 0, -1, ""
    for key in keys:
        if type(key) is not str:
            return _sorted_labels(keys)
        size = len(key) if key.isascii() else _text_size(key)
        if size <= last_size and (size < last_size or key <= last):
            raise _OrderError
        total += size + (1 if size < 24 else 2 if size < 256 else _head(size))
        last_size, last = size, key
    return total


def _sorted_labels(keys: Iterable[object]) -> int:
    """Do as `_sorted_keys` does where some keys are integers: these come first, the negative ones last.

    Refuses key sets that length-first and bytewise order sort differently. Once the keys ascend bytewise, the
    two orders agree exactly if no encoding is shorter than the one before it.
    """
    total = last_size = 0
    last = -1
    texts: list[str] = []
    for key in keys:
        if type(key) is int and not texts:
            place = key if key >= 0 else _INT_LIMIT + ~key
            if place <= last:
                raise _OrderError
            size = _head(key if key >= 0 else ~key)
            if size < last_size:
                raise _ModelError(_TWO_ORDERS)
            total += size
            last_size, last = size, place
        elif type(key) is str:
            texts.append(key)
        elif type(key) is int:
            raise _OrderError
        else:
            raise _ModelError(f"it holds a map key of type {type(key).__name__}")
    if texts and _sorted_keys(texts[:1]) < last_size:
        raise _ModelError(_TWO_ORDERS)
    return total + _sorted_keys(texts)


def _keys_in_any_order(keys: Iterable[object]) -> int:
    """Do as `_sorted_keys` does, after sorting: the maps that `encode` is given may stand in any order."""
    return _sorted_keys(sorted(keys, key=_rank))


def _rank(key: object) -> tuple[int, int, str]:
    """Return what sorts as the encoded key does bytewise: major type, argument of the head, text."""
    if type(key) is str:
        return (3, _text_size(key), key)
    if type(key) is int:
        return (0, key, "") if key >= 0 else (1, ~key, "")
    raise _ModelError(f"it holds a map key of type {type(key).__name__}")


def _refuse_tag(*_: object) -> NoReturn:
    raise _ModelError("it holds a tag")


_TAG_DECODERS: Final = dict.fromkeys(_KNOWN_TAGS, _refuse_tag)


def _not_deterministic(reason: str) -> RemoteError:
    return RemoteError("CBOR_NOT_DETERMINISTIC", f"The bytes are not deterministic CBOR: {reason}.")


def _wrong_length(data: bytes, value: Value) -> RemoteError:
    """Say why `data` is longer than the encoding of `value`: bytes after it, or heads longer than needed."""
    if data.startswith(cbor2.dumps(value, canonical=True)):
        return RemoteError("CBOR_TRAILING", "Bytes follow the value.")
    return _not_deterministic("an integer or a length is longer than needed")


def _explain(data: bytes, error: Exception) -> RemoteError:
    """Name the fault of bytes that cbor2 refused with `error`, by letting it try again less strictly."""
    if isinstance(error.__cause__, _ModelError):
        return RemoteError("CBOR_MODEL", f"The value is outside the data model: {error.__cause__}.")
    if _parses(data, max_depth=MAX_DEPTH, allow_duplicate_keys=False):
        return _not_deterministic("a length is indefinite")
    if _parses(data, max_depth=_LOOSE_DEPTH, allow_duplicate_keys=False):
        return RemoteError("CBOR_MODEL", f"The value is nested deeper than {MAX_DEPTH}.")
    if _parses(data, max_depth=_LOOSE_DEPTH, allow_duplicate_keys=True):
        return RemoteError("CBOR_MODEL", "A map holds the same key twice.")
    return RemoteError("CBOR_MALFORMED", "The bytes are not CBOR, or end too early.")


def _parses(data: bytes, *, max_depth: int, allow_duplicate_keys: bool) -> bool:
    try:
        cbor2.loads(
            data,
            tag_hook=_refuse_tag,
            semantic_decoders=_TAG_DECODERS,
            max_depth=max_depth,
            allow_duplicate_keys=allow_duplicate_keys,
        )
    except Exception:
        return False
    return True
