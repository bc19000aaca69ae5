"""Reads the form that a browser sends: small, of one type, each field once unless it may repeat.

How it works
    The body is read up to `BODY_BYTES_MAX` and no further, must be application/x-www-form-urlencoded in UTF-8, and has
    at most `FIELDS_MAX` fields. `origin_fault` says why a form does not come from our own page: browsers tell its
    origin in one of three headers.

What it does not do
    It takes no files: no page asks for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from ledger.errors import RemoteError

BODY_BYTES_MAX: Final = 64 * 1024
FIELDS_MAX: Final = 300
VALUE_CHARACTERS_MAX: Final = 4_000
_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, in order."""

    fields: tuple[tuple[str, str], ...]

    def one(self, name: str) -> str:
        """Return a field that may be given once; "" when it is not. Raises RemoteError FORM_MALFORMED."""
        found = self.all(name)
        if len(found) > 1:
            raise RemoteError("FORM_MALFORMED", "a field came twice", field=name)
        return found[0] if found else ""

    def all(self, name: str) -> list[str]:
        """Return a field that may repeat, such as a switch."""
        return [value for key, value in self.fields if key == name]


async def read_form(request: Request) -> Form:
    """Read a form. Raises RemoteError FORM_TOO_LARGE, FORM_MALFORMED."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise RemoteError("FORM_MALFORMED", "the form is not of the type that our pages send")
    body = bytearray()
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise RemoteError("FORM_TOO_LARGE", f"a form has at most {BODY_BYTES_MAX} bytes")
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        raise RemoteError("FORM_MALFORMED", "the form cannot be read") from None
    for name, value in pairs:
        if len(value) > VALUE_CHARACTERS_MAX or len(name) > 200 or "\x00" in value:
            raise RemoteError("FORM_MALFORMED", "a field is too long", field=name[:40])
    return Form(tuple(pairs))


def origin_fault(headers: Mapping[str, str], origin: str) -> str:
    """Return why a form does not come from a page of `origin`; "" when it does."""
    told = headers.get("origin")
    if told is not None:
        return "" if told.lower() == origin.lower() else "another origin"
    site = headers.get("sec-fetch-site")
    if site is not None:
        return "" if site == "same-origin" else "another site"
    referrer = headers.get("referer")
    if referrer is not None:
        parts = urlsplit(referrer)
        return "" if f"{parts.scheme}://{parts.netloc}".lower() == origin.lower() else "another referrer"
    return "no origin is told"
