"""Reads XML from strangers: piece by piece, with limits, and without anything that XML could reach for.

How it works
    The standard library's expat is fed the file in pieces. A document type declaration is refused as it opens, and
    with it every entity, external or expanding; no address is ever followed. Depth, the number of elements below a
    wanted one, attributes and text are limited. `elements` yields each element of a wanted name when it closes, with
    all that is below it, and keeps nothing else: memory goes with the largest wanted element, not with the file.
    Names are local names, without their namespace.

What it does not do
    It validates no schema: what an element must hold, its adapter says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from node.adapters.adapter import Source, refused

MAX_XML_BYTES: Final = 64 << 20
"""Largest file, in bytes."""
MAX_DEPTH: Final = 24
"""Elements within elements."""
MAX_BELOW: Final = 2_048
"""Elements below one that is yielded."""
MAX_TEXT_CHARS: Final = 8_192
"""Characters of one text, or of all attributes of one element."""
CODE: Final = "BAD_XML"
"""The code of every refusal of XML."""

_PIECE: Final = 1 << 16


@dataclass(slots=True)
class Element:
    """An element that has closed. `name`, `parent`: local names. `line`: where it opened, from 1. `text`: stripped."""

    name: str
    parent: str
    line: int
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def child(self, name: str) -> Element | None:
        """Return the first child of a name, or None."""
        return next((one for one in self.children if one.name == name), None)

    def said(self, name: str) -> str | None:
        """Return the text of the first child of a name; None where there is none."""
        child = self.child(name)
        return child.text if child is not None else None


class _Reader:
    """The handlers of one parse."""

    def __init__(self, source: Source, wanted: frozenset[str], below_max: int) -> None:
        self.source, self.wanted, self.below_max = source, wanted, below_max
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.opened
        self.parser.EndElementHandler = self.closed
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.declared
        self.names: list[str] = []
        self.open: list[Element] = []
        self.below = 0
        self.done: list[Element] = []

    def bad(self, message: str) -> Exception:
        return refused(CODE, self.source, f"line {self.parser.CurrentLineNumber}", message)

    def declared(self, *_: object) -> None:
        raise self.bad("A document type declaration is not read: it may name entities and other files")

    def opened(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if len(self.names) >= MAX_DEPTH:
            raise self.bad(f"The elements are nested more than {MAX_DEPTH} deep")
        if sum(len(key) + len(value) for key, value in attributes.items()) > MAX_TEXT_CHARS:
            raise self.bad(f"The attributes have more than {MAX_TEXT_CHARS} characters")
        if self.open or local in self.wanted:
            self.below += 1
            if self.below > self.below_max:
                raise self.bad(f"The element {self.open[0].name} holds more than {self.below_max} elements")
            parent = self.names[-1] if self.names else ""
            plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
            self.open.append(Element(local, parent, self.parser.CurrentLineNumber, plain))
        self.names.append(local)

    def text(self, text: str) -> None:
        if self.open:
            one = self.open[-1]
            one.text += text
            if len(one.text) > MAX_TEXT_CHARS:
                raise self.bad(f"The text of {one.name} has more than {MAX_TEXT_CHARS} characters")

    def closed(self, _: str) -> None:
        self.names.pop()
        if self.open:
            one = self.open.pop()
            one.text = one.text.strip()
            if self.open:
                self.open[-1].children.append(one)
            else:
                self.done.append(one)
                self.below = 0


def elements(data: bytes, source: Source, wanted: frozenset[str], below_max: int = MAX_BELOW) -> Iterator[Element]:
    """Yield each element whose local name is wanted, as it closes; one inside another comes with the outer.

    `below_max`: how many elements one that is yielded may hold.

    Raises RemoteError BAD_XML, whose field names the line.
    """
    if len(data) > MAX_XML_BYTES:
        raise refused(CODE, source, "line 1", f"The file has more than {MAX_XML_BYTES} bytes")
    reader = _Reader(source, wanted, below_max)
    for at in range(0, len(data) + _PIECE, _PIECE):
        try:
            reader.parser.Parse(data[at : at + _PIECE], at >= len(data))
        except expat.ExpatError as error:
            told = expat.ErrorString(error.code) or "not well-formed"
            raise refused(CODE, source, f"line {error.lineno}", f"This is not XML: {told}") from None
        except (ValueError, LookupError):
            raise refused(CODE, source, "line 1", "The encoding that the file names is not known") from None
        yield from reader.done
        reader.done.clear()
