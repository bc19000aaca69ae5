"""Zip archives: their files one after another, with limits that hold before anything is inflated.

How it works
    An export of an account, or a flow, comes as a zip of files in one of the formats known here. Each member is
    inflated alone, up to its limit, whatever size the archive claims. Folders are passed over. Only stored and
    deflated members are read; an encrypted one, an archive within, and a spreadsheet are refused.

What it does not do
    It writes nothing to disk and follows no name: the names of members are for errors alone.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

from ledger.errors import RemoteError
from node.adapters.adapter import Head, Source, refused

MAX_MEMBERS: Final = 1_000
"""Files in one archive."""
MAX_MEMBER_BYTES: Final = 64 << 20
"""Largest member once inflated, in bytes."""
MAX_TOTAL_BYTES: Final = 512 << 20
"""All members of one archive once inflated, in bytes."""
CODE: Final = "BAD_ZIP"
"""The code of every refusal."""

_NAME_CHARS: Final = 80
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN: Final = (  # what the standard library raises on archives that are not what they say
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, OverflowError, RuntimeError),
    *(LookupError, NotImplementedError),
)


def members(data: bytes, source: Source) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file, in the order of the archive's directory.

    Raises RemoteError BAD_ZIP, whose field names the member where there is one.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _BROKEN:
        raise refused(CODE, source, "directory", "This is no zip archive, or it is cut off") from None
    entries = [one for one in archive.infolist() if not one.filename.endswith("/")]
    if len(entries) > MAX_MEMBERS:
        raise refused(CODE, source, "directory", f"The archive holds more than {MAX_MEMBERS} files")
    if any(one.filename == "[Content_Types].xml" for one in entries):
        raise refused(CODE, source, "directory", "This is a spreadsheet; save its sheet as CSV and import that")
    total = 0
    for entry in entries:
        name = "".join(c if c.isprintable() else "?" for c in entry.filename[-_NAME_CHARS:])
        content = _inflated(archive, entry, name, source)
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            raise refused(CODE, source, name, f"The files have more than {MAX_TOTAL_BYTES} bytes together")
        if Head.of(content).kind == "zip":
            raise refused(CODE, source, name, "An archive within an archive is not read; unpack it first")
        yield name, content


def _inflated(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, source: Source) -> bytes:
    if entry.flag_bits & 1:
        raise _bad(source, name, "The file is encrypted; decrypt the archive first")
    if entry.compress_type not in _METHODS:
        raise _bad(source, name, "The file is compressed in a way that is not read; deflate it")
    try:
        with archive.open(entry) as file:
            content = file.read(MAX_MEMBER_BYTES + 1)
    except _BROKEN:
        raise _bad(source, name, "The file cannot be inflated, or its checksum is wrong") from None
    if len(content) > MAX_MEMBER_BYTES:
        raise _bad(source, name, f"The file has more than {MAX_MEMBER_BYTES} bytes")
    return content


def _bad(source: Source, name: str, message: str) -> RemoteError:
    return refused(CODE, source, name, message)
