"""Forms with a file: whatever bytes the file has come through as they are, and what is no such form is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import RemoteError
from node.console.upload import PARTS_MAX, read_parts

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
fields = st.lists(st.tuples(st.sampled_from(["genesis", "members", "age"]), st.text(max_size=80)), max_size=5)


def part(name: str, value: bytes, more: bytes = b"") -> bytes:
    """Return one part as browsers write it."""
    head = b'Content-Disposition: form-data; name="' + name.encode() + b'"' + more
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


@given(fields, st.binary(max_size=500))
def test_a_form_comes_through(told: list[tuple[str, str]], data: bytes) -> None:
    if b"--" + BOUNDARY in data:
        return
    parts = [part(name, value.encode()) for name, value in told]
    file = part("proof", data, b'; filename="a b.mailleproof"\r\nContent-Type: application/octet-stream')
    found = read_parts(b"".join([*parts, file]) + b"--" + BOUNDARY + b"--\r\n", BOUNDARY)
    assert (list(found.fields), found.name, found.data) == (told, "a b.mailleproof", data)


@given(st.binary(max_size=300), st.booleans())
def test_any_other_bytes_are_refused_or_read_whole(body: bytes, framed: bool) -> None:
    framed_body = b"--" + BOUNDARY + b"\r\n" + body + b"\r\n--" + BOUNDARY + b"--\r\n" if framed else body
    found = None
    with suppress(RemoteError):
        found = read_parts(framed_body, BOUNDARY)
    assert found is None or (framed and len(found.fields) <= 1)


def test_what_browsers_do_not_send_is_refused() -> None:
    end = b"--" + BOUNDARY + b"--\r\n"
    file = part("proof", b"x", b'; filename="a"')
    for body in (
        b"",
        end,
        file,  # cut off
        b"preamble\r\n" + file + end,
        file + file + end,  # two files
        part("age", b"x" * 5_000) + end,
        part("Age", b"") + end,
        b"".join(part("age", b"") for _ in range(PARTS_MAX + 1)) + end,
        file + end + b"more",
    ):
        with pytest.raises(RemoteError) as caught:
            read_parts(body, BOUNDARY)
        assert caught.value.code == "FORM_MALFORMED"
