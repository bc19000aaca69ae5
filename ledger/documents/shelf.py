"""Documents as they stand in a ledger: opened, changed, adopted (governance.md §5).

How it works
    The index leads to the entries about a document. It is open if one of them opens it by the id of its own place
    (`history.document_id`): nobody else can open it under other terms. Its changes make its history. An adoption
    counts when it names a version (heads whose every change is effective), by the right id, and the text of those heads
    has the hash that it says. So whoever adopts, or agrees to what was adopted, means one exact text, and it can be
    shown years later.

What it does not do
    An adoption says what one member stands by. What a mesh as a whole goes by is decided by ballot, and is in the
    epoch. Nothing here is cached: a document is read anew each time, in milliseconds for some hundred changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ledger.documents import render
from ledger.documents.history import ENTRIES_MAX, Authorised, History, Written, document_id, version_id
from ledger.errors import LocalError
from ledger.feed import Registration
from ledger.held import Held
from ledger.index import document_places, documents
from ledger.rows import Reader

ADOPTIONS_MAX: Final = 64  # of one feed about one document that are read
LISTED_MAX: Final = 256  # documents of one feed that are listed; those beyond are found by id
UNCHECKED: Final = "ADOPTION_UNCHECKED"  # its version is known, and this Python cannot make its text


@dataclass(frozen=True, slots=True)
class Adoption:
    """A version that a member adopted. `counts`: "" when it does, else the code of why not."""

    registration: Registration
    counts: str

    @property
    def version(self) -> bytes:
        """The version's id (`history.version_id`)."""
        found: bytes = self.registration.entry.payload["version"]
        return found

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The heads of the version, sorted."""
        return tuple(self.registration.entry.payload["heads"])


@dataclass(frozen=True, slots=True)
class Opened:
    """A document that was opened: its id, and the entry that opened it with type, title and language."""

    ident: bytes
    registration: Registration


class Shelf:
    """The documents of a ledger.

    `writes(feed, index)`: whether a change there counts (D1 of `history`). `adopts(feed, index)`: whether an adoption
    there does; cuts by expulsion bind it, and no change.
    """

    def __init__(self, held: Held, rows: Reader, writes: Authorised, adopts: Authorised) -> None:
        self._held, self._rows, self._writes, self._adopts = held, rows, writes, adopts

    @classmethod
    def of(cls, held: Held, rows: Reader) -> Shelf:
        """Return the documents of a ledger, as its own members may write and adopt them."""
        members = held.members
        return cls(
            held,
            rows,
            lambda feed, index: index < members.writes(feed),
            lambda feed, index: index < members.reach(feed),
        )

    def _entries(self, ident: bytes, kind: str, most: int) -> Iterator[Registration]:
        """Yield the entries of one kind about a document, of each feed the first `most`."""
        read: Counter[int] = Counter()
        for number, index in document_places(self._rows, ident, kind):
            read[number] += 1
            if read[number] > most:
                continue
            feed = self._held.feed_of(number)
            yield Registration(self._held.leaf_entry(self._rows, feed, index), feed, index)

    def opened(self, ident: bytes) -> Opened | None:
        """Return how a document was opened, or None if it was not."""
        for number, index in document_places(self._rows, ident, "document.open"):
            feed = self._held.feed_of(number)
            if document_id(feed, index) == ident and self._writes(feed, index):
                return Opened(ident, Registration(self._held.leaf_entry(self._rows, feed, index), feed, index))
        return None

    def all(self) -> Iterator[Opened]:
        """Yield the documents that were opened, by id; of each feed at most LISTED_MAX."""
        listed: Counter[bytes] = Counter()
        for ident in documents(self._rows):
            found = self.opened(ident)
            if found is not None:
                listed[found.registration.feed] += 1
                if listed[found.registration.feed] <= LISTED_MAX:
                    yield found

    def beginning(self, digits: str) -> Iterator[Opened]:
        """Yield the documents whose ids in hexadecimal begin with `digits`."""
        for ident in documents(self._rows):
            found = self.opened(ident) if ident.hex().startswith(digits) else None
            if found is not None:
                yield found

    def history(self, ident: bytes) -> History:
        """Return the changes of a document."""
        entries = self._entries(ident, "document.change", ENTRIES_MAX)
        return History(ident, (Written(r.feed, r.index, r.entry.payload["change"]) for r in entries), self._writes)

    def adoptions(self, history: History) -> tuple[Adoption, ...]:
        """Return the adoptions of a document's versions, those that count and those that do not, by their dates."""
        pages = render.Pages(history)
        entries = self._entries(history.document, "document.adopt", ADOPTIONS_MAX)
        found = [Adoption(r, self._adoption(history, r, pages)) for r in entries]
        return tuple(sorted(found, key=lambda one: (one.registration.entry.iat, one.registration.entry.id)))

    def lives(self, version: bytes) -> Adoption | None:
        """Return an adoption of a version, of whatever document, that counts: an agreement may rest on it."""
        for ident in documents(self._rows):
            entries = self._entries(ident, "document.adopt", ADOPTIONS_MAX)
            named = [r for r in entries if r.entry.payload["version"] == version]
            if named and self.opened(ident) is not None:
                history = self.history(ident)
                pages = render.Pages(history)
                found = (Adoption(r, self._adoption(history, r, pages)) for r in named)
                counting = next((one for one in found if not one.counts), None)
                if counting is not None:
                    return counting
        return None

    def _adoption(self, history: History, registration: Registration, pages: render.Pages) -> str:
        payload = registration.entry.payload
        heads = tuple(payload["heads"])
        if not self._adopts(registration.feed, registration.index):
            return "ADOPTION_UNAUTHORISED"
        if not history.is_version(heads):
            return "ADOPTION_UNKNOWN_VERSION"
        if payload["version"] != version_id(history.document, heads):
            return "ADOPTION_WRONG_ID"
        try:
            return "" if pages.hash(heads) == payload["text"] else "ADOPTION_WRONG_TEXT"
        except LocalError as error:
            return UNCHECKED if error.code == "DOCUMENTS_UNAVAILABLE" else error.code


def adoption_payload(history: History, heads: tuple[bytes, ...], text: str) -> dict[str, object]:
    """Return the payload of a document.adopt that pins a version and its text."""
    version = version_id(history.document, heads)
    return {"heads": list(heads), "version": version, "text": render.text_hash(text)}
