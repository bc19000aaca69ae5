"""Reads a form that brings one file (multipart/form-data, RFC 7578), as browsers send it without scripts.

How it works
    The body is read up to UPLOAD_BYTES_MAX. Parts are split at the boundary of the header; a part is a text field, or
    the one file that it names. Anything else is refused whole.

What it does not do
    The file stays in memory, and its name is for the page alone.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from ledger.errors import RemoteError
from node.pages.forms import Form
from proofs.bundle import BUNDLE_BYTES_MAX

UPLOAD_BYTES_MAX: Final = BUNDLE_BYTES_MAX + 16 * 1024
"""A proof, and the fields around it."""
PARTS_MAX: Final = 20
FIELD_BYTES_MAX: Final = 4_000
_TYPE: Final = re.compile(r'multipart/form-data; *boundary="?([A-Za-z0-9\'()+_,./:=?-]{1,70})"?', re.IGNORECASE)
_NAME: Final = re.compile(rb'form-data; name="([a-z_]{1,40})"(; filename="([^"\r\n]{0,300})")?')


@dataclass(frozen=True, slots=True)
class Upload(Form):
    """A form with a file. `name`: as the browser calls it; both empty where no file was chosen."""

    name: str = ""
    data: bytes = b""


async def read_upload(request: Request) -> Upload:
    """Read a form with a file. Raises RemoteError FORM_TOO_LARGE, FORM_MALFORMED."""
    found = _TYPE.fullmatch(request.headers.get("content-type", ""))
    if found is None:
        raise RemoteError("FORM_MALFORMED", "the form is not of the type that our pages send")
    body = bytearray()
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            body += chunk
            if len(body) > UPLOAD_BYTES_MAX:
                raise RemoteError("FORM_TOO_LARGE", f"a form with a file has at most {UPLOAD_BYTES_MAX} bytes")
    return read_parts(bytes(body), found[1].encode())


def read_parts(body: bytes, boundary: bytes) -> Upload:
    """Split a body at its boundary. Raises RemoteError FORM_MALFORMED."""
    opening, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, PARTS_MAX + 2)
    if opening or len(parts) < 2 or len(parts) > PARTS_MAX or parts.pop() not in (b"--", b"--\r\n"):
        raise RemoteError("FORM_MALFORMED", "the form cannot be read")
    fields: list[tuple[str, str]] = []
    name, data, files = "", b"", 0
    for part in parts:
        head, gap, value = part.partition(b"\r\n\r\n")
        said = _NAME.search(head)
        if not gap or said is None:
            raise RemoteError("FORM_MALFORMED", "a part of the form cannot be read")
        if said[2] is not None:
            files, name, data = files + 1, said[3].decode("utf-8", "replace"), value
        elif len(value) > FIELD_BYTES_MAX:
            raise RemoteError("FORM_MALFORMED", "a field is too long", field=said[1].decode())
        else:
            fields.append((said[1].decode(), value.decode("utf-8", "replace")))
    if files > 1:
        raise RemoteError("FORM_MALFORMED", "the form brings more than one file")
    return Upload(tuple(fields), name, data)
