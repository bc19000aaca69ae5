"""Lines of an Enedis export, a block at a time, whatever its encoding and its delimiter.

How it works
    The text is UTF-8, with or without a byte order mark, UTF-16 with one, or Windows-1252, which spreadsheets write.
    Cells stand between ";": where the first line has tabs or commas instead, these are taken, and a ";" is refused.
    Lines are cut from the text a block at a time, so that a file of a million rows never stands there as a million
    strings. `stretch` gives the rows of data that follow, up to the end of the block, a heading or an empty line.

What it does not do
    It knows no quotes: no export has them. It knows no meaning of a cell.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import RemoteError
from node.adapters.adapter import Source, refused

MAX_FILE_BYTES: Final = 64 << 20
"""Largest file, in bytes."""
MAX_ROWS: Final = 2_000_000
"""Lines in one file."""
MAX_LINE_CHARS: Final = 4096
"""Characters in one line."""
CODE: Final = "BAD_CSV"
"""The code of every refusal."""

_BLOCK: Final = 1 << 20  # characters
_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


class Lines:
    """The lines of a file, one block of them at a time. `number`: index, from 0, of the line that comes next."""

    __slots__ = ("_at", "_block", "_from", "_text", "number", "source")

    def __init__(self, data: bytes, source: Source) -> None:
        """Decode the bytes. Raises RemoteError BAD_CSV: too large, no text."""
        self.source, self.number = source, 0
        self._text = self._one_delimiter(self._decoded(data))
        self._from = 0  # where in the text the next block begins
        self._block: list[str] = []
        self._at = 0  # place in the block

    def bad(self, index: int, column: str, message: str) -> RemoteError:
        """Return the error for line `index` (from 0; the error counts from 1) and a column."""
        return refused(CODE, self.source, f"line {index + 1}, {column}", message)

    def peek(self) -> str | None:
        """Return the line that comes next, without taking it; None at the end."""
        if self._at >= len(self._block) and not self._next_block():
            return None
        return self._block[self._at]

    def take(self) -> str:
        """Return the line that comes next, "" at the end."""
        line = self.peek()
        if line is None:
            return ""
        self._at += 1
        self.number += 1
        return line

    def stretch(self) -> list[str]:
        """Return the lines that follow and begin with a digit, up to the end of the block; [] if the next does not."""
        if self.peek() is None:
            return []
        rest = self._block[self._at :] if self._at else self._block
        end = next((i for i, line in enumerate(rest) if line[:1] not in _DIGITS), len(rest))
        if end < len(rest):
            rest = rest[:end]
        self._at += end
        self.number += end
        return rest

    def _next_block(self) -> bool:
        text, start = self._text, self._from
        if start >= len(text):
            return False
        end = text.find("\n", min(start + _BLOCK, len(text)))
        stop = len(text) if end < 0 else end
        self._block, self._at, self._from = text[start:stop].split("\n"), 0, stop + 1
        if self.number + len(self._block) > MAX_ROWS:
            raise self.bad(MAX_ROWS, "file", f"The file has more than {MAX_ROWS} lines; export fewer days at a time")
        if max(map(len, self._block)) > MAX_LINE_CHARS:
            index = next(i for i, line in enumerate(self._block, self.number) if len(line) > MAX_LINE_CHARS)
            raise self.bad(index, "line", f"The line has more than {MAX_LINE_CHARS} characters")
        return True

    def _decoded(self, data: bytes) -> str:
        if len(data) > MAX_FILE_BYTES:
            told = f"The file has more than {MAX_FILE_BYTES} bytes; export fewer days at a time"
            raise self.bad(0, "file", told)
        try:
            if data.startswith(_MARKS):
                return data.decode("utf-16").removeprefix("\ufeff").replace("\r\n", "\n")
            return data.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            marked = data.startswith((b"\xef\xbb\xbf", *_MARKS))
            line = data.count(b"\n", 0, error.start)
        try:
            if not marked and b"\0" not in data:
                return data.decode("windows-1252").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start)
        raise self.bad(line, "encoding", "The file is no text in UTF-8, UTF-16 or Windows-1252; export it again as CSV")

    def _one_delimiter(self, text: str) -> str:
        first = text[:MAX_LINE_CHARS].lstrip("\n").partition("\n")[0]
        if ";" in first:
            return text
        for delimiter in "\t,":
            if delimiter in first:
                if ";" in text:
                    index = text.count("\n", 0, text.index(";"))
                    raise self.bad(
                        index, "line", 'The cells of one file stand between the same character, ";" or another'
                    )
                return text.replace(delimiter, ";")
        return text


_DIGITS: Final = frozenset("0123456789")
