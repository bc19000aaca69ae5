"""One document inside a turn: found by what people call it, and its versions by the beginning of their ids.

How it works
    A document is named by its title or the beginning of its id. A version is named by the beginning of its id, and may
    be the newest, an adopted one, or the one that ends with any one change.

What it does not do
    It renders nothing and decides nothing: `ledger.documents` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.documents import render
from ledger.documents.history import History, version_id
from ledger.documents.shelf import Opened, Shelf
from ledger.errors import LocalError
from node.exits import not_found
from node.naming import PREFIX_DIGITS_MIN
from node.turn import Turn


@dataclass(frozen=True, slots=True)
class Document:
    """One document, as it stands in a turn."""

    turn: Turn
    shelf: Shelf
    opened: Opened
    history: History

    def version(self, heads: Sequence[bytes]) -> str:
        """Return the id of a version in hexadecimal."""
        return version_id(self.opened.ident, heads).hex()

    @property
    def newest(self) -> str:
        """The id of the newest version in hexadecimal."""
        return self.version(self.history.heads)

    def heads(self, text: str) -> tuple[bytes, ...]:
        """Return the heads of the version that `text` names, "" being the newest.

        Raises LocalError NOT_FOUND, NAME_UNCLEAR.
        """
        if not text:
            return self.history.heads
        known: dict[str, tuple[bytes, ...]] = {}
        for one in self.history.changes:
            known[self.version([one.change.hash])] = (one.change.hash,)
        for adoption in self.shelf.adoptions(self.history):
            if not adoption.counts:
                known[adoption.version.hex()] = adoption.heads
        known[self.newest] = self.history.heads
        found = [ident for ident in known if ident.startswith(text.lower())] if len(text) >= PREFIX_DIGITS_MIN else []
        if len(found) == 1:
            return known[found[0]]
        if found:
            raise LocalError("NAME_UNCLEAR", f"{len(found)} versions begin with {text}; give more.", field="version")
        raise not_found(f"There is no version {text} here; `maille document versions` shows them.", "version")

    def state(self, kind: str, payload: dict[str, Any]) -> str:
        """State something about it; return the entry's id."""
        return self.turn.state(kind, ("document", self.opened.ident), payload).id.hex()

    def write(self, wanted: str, base: Sequence[bytes] | None = None) -> tuple[str, ...]:
        """State the changes that make its text what it shall be; return their entries' ids. See `render.edit`."""
        raws = render.edit(self.history, self.turn.core.device.kid, wanted, base)
        return tuple(self.state("document.change", {"change": raw}) for raw in raws)

    def again(self) -> Document:
        """Return it as it stands after what was stated."""
        return Document(self.turn, self.shelf, self.opened, self.shelf.history(self.opened.ident))


def all_documents(turn: Turn) -> Iterator[Document]:
    """Yield every document that was opened."""
    shelf = Shelf.of(turn.core.replica, turn.rows)
    return (Document(turn, shelf, one, shelf.history(one.ident)) for one in shelf.all())


def find_version(turn: Turn, text: str, field: str = "charter") -> bytes:
    """Return the version of a charter that `text` names: all its 64 digits, or the beginning of one adopted here.

    A version that no document here has is taken as it is, if it is given whole: the document may be on its way.
    Raises LocalError NOT_FOUND, NAME_UNCLEAR.
    """
    if re.fullmatch(r"[0-9a-f]{64}", text.lower()):
        return bytes.fromhex(text)
    known = {
        adoption.version
        for document in all_documents(turn)
        for adoption in document.shelf.adoptions(document.history)
        if not adoption.counts and adoption.version.hex().startswith(text.lower())
    }
    if len(text) < PREFIX_DIGITS_MIN or not known:
        told = (
            f"No adopted version begins with {text!r}; `maille document versions` shows them, `document adopt` adopts."
        )
        raise not_found(told, field)
    if len(known) > 1:
        raise LocalError("NAME_UNCLEAR", f"{len(known)} versions begin with {text}; give more.", field=field)
    return known.pop()


def find_document(turn: Turn, text: str, field: str = "document") -> Document:
    """Return the document that `text` names. Raises LocalError NOT_FOUND, NAME_UNCLEAR."""
    shelf = Shelf.of(turn.core.replica, turn.rows)
    found = list(shelf.beginning(text.lower())) if len(text) >= PREFIX_DIGITS_MIN else []
    found = found or [one for one in shelf.all() if one.registration.entry.payload["title"] == text]
    if len(found) == 1:
        return Document(turn, shelf, found[0], shelf.history(found[0].ident))
    if found:
        raise LocalError("NAME_UNCLEAR", f"{len(found)} documents are called {text!r}; give an id.", field=field)
    raise not_found(f"No document is called {text!r}; `maille document list` shows them.", field)
