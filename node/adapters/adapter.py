"""What an adapter is: one named format of the outside world, read, written, or both.

How it works
    An adapter's `read` takes the bytes of one file and a `Source` (what the file is called, and what a person said
    of it beside), and yields `Parsed`: series in the normal form (`node.readings`: UTC, stamped at the start of the
    period, a gap is a record without a value). What the format holds and this node does not (reactive power,
    voltage) is yielded as `LeftOut`, so that it is said and never silent. A fault anywhere in the file raises
    RemoteError with the adapter's code, whose `field` names file, line (or place) and field; the caller keeps
    nothing until the iterator has ended, so a file is refused whole. Errors never quote a value.
    `sniff` looks at the `Head` of a file alone, and answers whether the file is of this format; of all adapters at
    most one may say yes. `write` takes series and returns a file.

What it does not do
    It opens no file and no network, keeps nothing, and knows no list: `node.adapters.registry` has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ledger.errors import RemoteError
from node.readings import Series

SNIFF_BYTES: Final = 1 << 16
"""How much of a file its format is recognised by, in bytes."""

_MEMBER: Final = re.compile(r'"([^"\\]{1,64})"\s*:')
_TAG: Final = re.compile(r"<(?![?!/])(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file comes from, for errors; and what the file itself may not say.

    `name`: what errors call the file. `point`: "prm:…", "pce:…"; for formats that name none. `direction`:
    consumption | injection, for formats that do not say. `declaration`: the customer's declared agreement, as the
    request to SGE carries it (`node.adapters.sge_accord`), or nothing.
    """

    name: str = "file"
    point: str = ""
    direction: str = "consumption"
    declaration: bytes = b""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One series of a file. `repeated`: records that stood there more than once, the same each time."""

    series: Series
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the file holds and this node does not: `what` ("reactive power"), and how many records of it."""

    what: str
    records: int


Found: TypeAlias = "Parsed | LeftOut"
"""What an adapter yields."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first SNIFF_BYTES of a file, and what can be seen of them at once.

    `kind`: xml | json | zip | text | binary. `text`: decoded, without byte order mark; "" for zip and binary. `root`:
    of XML, the local name of the root element. `tags`: of XML, local names of all elements in the head. `members`: of
    JSON, names of all members in the head.
    """

    data: bytes
    kind: str
    text: str = ""
    root: str = ""
    tags: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()

    @classmethod
    def of(cls, data: bytes) -> Head:
        """Look at a file's first bytes. Never raises."""
        head = bytes(data[:SNIFF_BYTES])
        if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
            return cls(head, "zip")
        text = decoded(head).lstrip(" \t\r\n")
        if "\0" in text or (head[:1] >= b"\x80" and not _is_text(head)):
            return cls(head, "binary")
        if text.startswith("<"):
            body = text[_after_prolog(text) :]
            root = _TAG.match(body)
            return cls(head, "xml", text, root[1] if root else "", frozenset(_TAG.findall(body)))
        if text.startswith(("{", "[")):
            return cls(head, "json", text, members=frozenset(_MEMBER.findall(text)))
        return cls(head, "text", text)


def decoded(head: bytes) -> str:
    """Return bytes as text: UTF-16 and UTF-8 by their marks, else UTF-8 as far as it goes. Never raises."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", errors="replace").removeprefix("\ufeff")
    return head.decode("utf-8", errors="replace").removeprefix("\ufeff")


def _after_prolog(text: str) -> int:
    """Return where the root element begins: after the declaration, comments and the like."""
    at = 0
    while True:
        at = len(text) - len(text[at:].lstrip())
        for opening, closing in (("<?", "?>"), ("<!--", "-->"), ("<!", "]>" if _subset(text, at) else ">")):
            if text.startswith(opening, at):
                end = text.find(closing, at)
                at = end + len(closing) if end >= 0 else len(text)
                break
        else:
            return at


def _subset(text: str, at: int) -> bool:
    """Return whether the declaration at a place holds others in brackets."""
    return "[" in text[at : text.find(">", at)]


def _is_text(head: bytes) -> bool:
    return head.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or not any(
        byte < 32 and byte not in b"\t\r\n\f" for byte in head[:256]
    )


Sniff: TypeAlias = Callable[[Head], bool]
Read: TypeAlias = Callable[[bytes, Source], Iterator[Found]]
Write: TypeAlias = Callable[[Sequence[Series]], bytes]


@dataclass(frozen=True, slots=True)
class Adapter:
    """One format. `name`: lower case with hyphens, as `--format` takes it. `title`: one line for people.

    `sniff`: None where the format cannot be told from others and must be named. `limits`: name with its unit
    ("bytes", "rows") -> the most that is read. `codes`: the codes of the errors that `read` raises.
    """

    name: str
    title: str
    sniff: Sniff | None = None
    read: Read | None = None
    write: Write | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    codes: tuple[str, ...] = ()


def refused(code: str, source: Source, where: str, message: str) -> RemoteError:
    """Return the error that refuses a file. `where`: "line 12, Valeur" or the like."""
    return RemoteError(code, f"{message}. Nothing was read.", field=f"{source.name}, {where}")
