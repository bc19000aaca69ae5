"""Checkpoints: the signed tree heads of feeds, in the text form of C2SP, signed by owner and witnesses alike.

How it works
    A checkpoint is a C2SP signed note (tlog-checkpoint): origin, size and root, one a line, then one line for
    each signature. Every signature here is a `cosignature/v1` (tlog-cosignature), which signs the time too:
    "at this time, this is the largest consistent tree of this feed that I have seen". The feed's owner signs
    in the same form; the key name of its line is the origin. A witness' key name is the origin of its feed.
    Entries arrive in batches, each under one head: `sign_head` and `verify_head` go from values to a
    signature without building a note.

    Order of an owner's heads: its (time, size) pairs increase lexicographically. Times are whole seconds and
    a feed may publish several checkpoints in one, so a fork is shown by a smaller size at a time *strictly
    greater* than that of a larger size. (The "at a time ≥" of ledger.md §4 would make a fork of any two
    publications within one second: it may hold size 3 and size 5, and nobody can tell which came first.)

What it does not do
    It has no opinion on who may witness, how many are enough, or what time it is. It keeps no heads. It takes
    no extension lines, no other signature types and no names beyond ASCII: C2SP verifiers ignore unknown
    lines, we refuse them, since every item of a proof must be checked.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import LocalError, RemoteError
from ledger.keys import KEY_BYTES, SIGNATURE_BYTES, SigningKey, verify
from ledger.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

MAX_COSIGNATURES: Final = 64
"""The most signature lines that a note may have."""
MAX_NAME_CHARACTERS: Final = 255
"""The longest origin or key name, in characters."""
MAX_NOTE_BYTES: Final = 32_768
"""The longest note that `Checkpoint.parse` takes unless told otherwise, in bytes of UTF-8."""
MAX_TIME: Final = (1 << 63) - 1
"""The largest cosignature time (tlog-cosignature), in seconds since 1970."""
COSIGNATURE_TYPE: Final = 0x04
"""The signed-note signature type of an Ed25519 cosignature/v1."""

_KEY_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_LINE_BYTES: Final = _KEY_ID_BYTES + _TIME_BYTES + SIGNATURE_BYTES
_DASH: Final = "\u2014 "  # an em dash and a space open each signature line
_MAX_VKEY_CHARACTERS: Final = MAX_NAME_CHARACTERS + 1 + 8 + 1 + 44
_ORIGIN_PREFIX: Final = "maille"
_ID_HEX: Final = 64  # characters of a mesh id or a feed id


@dataclass(frozen=True, slots=True)
class Head:
    """A tree head: `feed` (32 bytes), `size` in leaves, `root` (32 bytes)."""

    feed: bytes
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Cosignature:
    """One signature line: `key_name`, `key_id` (4 bytes), `time` (unix seconds), `signature` (64 bytes)."""

    key_name: str
    key_id: bytes
    time: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A note: whose tree (`origin`), its `size` and `root`, the cosignatures in the order of their lines."""

    origin: str
    size: int
    root: bytes
    cosignatures: tuple[Cosignature, ...] = ()

    def body(self) -> bytes:
        """Return the three lines that every signature covers, as UTF-8."""
        return _body(self.origin, self.size, self.root)

    def text(self) -> str:
        """Return the whole note. `parse` gives this checkpoint back, or refuses what no note can say."""
        lines = [self.body().decode()]
        for line in self.cosignatures:
            blob = line.key_id + line.time.to_bytes(_TIME_BYTES, "big") + line.signature
            lines.append(f"{_DASH}{line.key_name} {_base64(blob)}")
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str, *, max_bytes: int = MAX_NOTE_BYTES) -> Checkpoint:
        """Return the checkpoint that the note `text` holds; only the spelling of `text()` is taken.

        It verifies no signature. Raises RemoteError BAD_CHECKPOINT, with the line as its field.
        """
        if len(text) > max_bytes or len(text.encode(errors="replace")) > max_bytes:
            raise _bad("note", f"The note is longer than {max_bytes} bytes.")
        lines = text.split("\n")
        if len(lines) < 6 or lines[3] or lines[-1]:
            raise _bad("note", "A note is three lines, an empty line and signature lines.")
        if len(lines) - 5 > MAX_COSIGNATURES:
            raise _bad("note", f"The note has more than {MAX_COSIGNATURES} signatures.")
        _check_name(lines[0], "origin")
        size = _parse_size(lines[1])
        root = _parse_base64(lines[2], HASH_BYTES, "root")
        if size == 0 and root != EMPTY_ROOT:
            raise _bad("root", "A tree of size 0 has only one root, and this is another.")
        signatures = lines[4:-1]
        if len(set(signatures)) != len(signatures):
            raise _bad("signatures", "A signature line stands there twice.")
        cosignatures = tuple(_parse_line(line, f"signature {at}") for at, line in enumerate(signatures, 1))
        return cls(lines[0], size, root, cosignatures)


def origin(mesh_id: bytes, feed: bytes) -> str:
    """Return the origin of a feed's checkpoints: `maille/<mesh hex>/<feed hex>` (ids of 32 bytes)."""
    return f"{_ORIGIN_PREFIX}/{mesh_id.hex()}/{feed.hex()}"


def parse_origin(text: str) -> tuple[bytes, bytes]:
    """Return (mesh_id, feed) of a name that `origin` wrote. Raises RemoteError BAD_CHECKPOINT."""
    parts = text.split("/")
    if len(parts) == 3 and len(parts[1]) == len(parts[2]) == _ID_HEX:
        try:
            mesh_id, feed = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
        except ValueError:
            mesh_id = feed = b""
        if origin(mesh_id, feed) == text:
            return mesh_id, feed
    raise _bad("origin", "An origin is maille/<mesh id>/<feed id>, the ids as 64 lower-case hex digits.")


def key_id(name: str, public: bytes, kind: int = COSIGNATURE_TYPE) -> bytes:
    """Return the 4-byte key id of `public` under the name `name` (signed-note; `kind`: the type byte)."""
    return sha256(name.encode() + b"\n" + bytes((kind,)) + public).digest()[:_KEY_ID_BYTES]


def cosigned_message(mesh_id: bytes, feed: bytes, size: int, root: bytes, time: int) -> bytes:
    """Return the bytes that a cosignature/v1 of a feed's head signs. `time` in unix seconds."""
    return b"cosignature/v1\ntime %d\nmaille/%b/%b\n%d\n%b" % (
        time,
        mesh_id.hex().encode(),
        feed.hex().encode(),
        size,
        b2a_base64(root),
    )


def sign_head(key: SigningKey, mesh_id: bytes, head: Head, time: int, signer_feed: bytes) -> bytes:
    """Return the signature (64 bytes) of `head` at `time` by the device whose feed is `signer_feed`.

    For the owner, `signer_feed` is `head.feed`; else this is a witness. The message does not name the signer,
    so a key must belong to one feed only: its own. Raises LocalError WRONG_KEY if it does not, BAD_HEAD for
    values that no note can carry.
    """
    if key.kid != signer_feed:
        raise LocalError("WRONG_KEY", "This key does not belong to the feed that is to sign.", field="signer_feed")
    if not _is_sound(mesh_id, head.feed, head.size, head.root, time):
        raise LocalError(
            "BAD_HEAD",
            "Ids and root have 32 bytes; size and time go from 0 to 2^63 - 1; an empty tree has one root.",
        )
    return key.sign(cosigned_message(mesh_id, head.feed, head.size, head.root, time))


def verify_head(
    public: bytes, mesh_id: bytes, feed: bytes, size: int, root: bytes, time: int, signature: bytes
) -> bool:
    """Say whether `signature` is a cosignature/v1 under `public` of that head of `feed` at `time`.

    Values that no note can carry are a bad signature, whoever signed them.
    """
    return _is_sound(mesh_id, feed, size, root, time) and verify(
        public, cosigned_message(mesh_id, feed, size, root, time), signature
    )


def verify_cosignature(checkpoint: Checkpoint, line: Cosignature, public: bytes) -> bool:
    """Say whether `line` is a cosignature/v1 of `checkpoint` by `public` under the key name of `line`.

    Whether a key of that name counts is the caller's question.
    """
    message = b"cosignature/v1\ntime %d\n%b" % (line.time, checkpoint.body())
    return line.key_id == key_id(line.key_name, public) and verify(public, message, line.signature)


def cosignature(mesh_id: bytes, signer_feed: bytes, public: bytes, time: int, signature: bytes) -> Cosignature:
    """Return the line for a signature that `sign_head` made with the key `public` of `signer_feed`."""
    name = origin(mesh_id, signer_feed)
    return Cosignature(name, key_id(name, public), time, signature)


def vkey(name: str, public: bytes) -> str:
    """Return the C2SP verifier key `<name>+<key id hex>+base64(0x04 ‖ public)`, as tlog-policy files hold."""
    return f"{name}+{key_id(name, public).hex()}+{_base64(bytes((COSIGNATURE_TYPE,)) + public)}"


def parse_vkey(text: str) -> tuple[str, bytes]:
    """Return (name, public) of a verifier key of type 0x04. Raises RemoteError BAD_VKEY."""
    parts = text.split("+", 2)  # base64 may hold a plus, a name may not
    if len(text) <= _MAX_VKEY_CHARACTERS and len(parts) == 3 and _is_name(parts[0]):
        try:
            public = a2b_base64(parts[2].encode("ascii"))[1:]
        except (Base64Error, UnicodeEncodeError):
            public = b""
        if len(public) == KEY_BYTES and vkey(parts[0], public) == text:
            return parts[0], public
    raise RemoteError("BAD_VKEY", "This is not a verifier key of type 4: <name>+<key id>+<base64 of the key>.")


def _body(name: str, size: int, root: bytes) -> bytes:
    return b"%b\n%d\n%b" % (name.encode(), size, b2a_base64(root))


def _is_sound(mesh_id: bytes, feed: bytes, size: int, root: bytes, time: int) -> bool:
    return (
        len(mesh_id) == len(feed) == len(root) == HASH_BYTES
        and 0 <= size <= MAX_SIZE
        and 0 <= time <= MAX_TIME
        and (size > 0 or root == EMPTY_ROOT)
        and 0 <= size <= MAX_SIZE
        and 0 <= time <= MAX_TIME
    )


def _parse_size(line: str) -> int:
    if not (line.isascii() and line.isdecimal()) or len(line) > len(str(MAX_SIZE)):
        raise _bad("size", "The tree size is not a decimal number.")
    size = int(line)
    if str(size) != line or size > MAX_SIZE:
        raise _bad("size", "The tree size has a leading zero, or is above 2^63 - 1.")
    return size


def _parse_line(line: str, field: str) -> Cosignature:
    if not line.startswith(_DASH):
        raise _bad(field, "A signature line begins with an em dash and a space.")
    name, _, blob_text = line.removeprefix(_DASH).partition(" ")
    _check_name(name, field)
    blob = _parse_base64(blob_text, _LINE_BYTES, field)
    time = int.from_bytes(blob[_KEY_ID_BYTES : _KEY_ID_BYTES + _TIME_BYTES], "big")
    if time > MAX_TIME:
        raise _bad(field, "The time is above 2^63 - 1.")
    return Cosignature(name, blob[:_KEY_ID_BYTES], time, blob[_KEY_ID_BYTES + _TIME_BYTES :])


def _parse_base64(text: str, size: int, field: str) -> bytes:
    """Return `size` bytes. Raises RemoteError BAD_CHECKPOINT unless their base64 is `text`, to the letter."""
    try:
        data = a2b_base64(text.encode("ascii"))
    except (Base64Error, UnicodeEncodeError):
        data = b""
    if len(data) != size or _base64(data) != text:
        raise _bad(field, f"This is not the standard base64 of {size} bytes.")
    return data


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def _is_name(name: str) -> bool:
    """Say whether `name` may be a key name or an origin: as signed-note has it, and ASCII."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isascii():
        return False
    return name.isprintable() and " " not in name and "+" not in name


def _check_name(name: str, field: str) -> None:
    if not _is_name(name):
        raise _bad(field, "A name is 1 to 255 printable ASCII characters without space or plus.")


def _bad(field: str, message: str) -> RemoteError:
    return RemoteError("BAD_CHECKPOINT", message, field=field)
