"""The text of a document, and edits of it: the one module that talks to Automerge.

How it works
    `text` hands the changes of a version, which `history` has judged, to a fresh Automerge document, in one sync
    message: load() of saved bytes with a change behind them takes a hundred times as long. Then the document's heads
    must be the version's. `edit` finds what differs between two texts (lines, then words, as far as that is cheap)
    and has Automerge make the changes, as the feed's actor, in pieces that fit an entry. What is made is read again by
    `history`, so nothing is signed that others would not count.

    Automerge (Rust) is imported when first used. It has no wheels for Python 3.13 and later: there, documents are
    stored and relayed, and what needs their text raises LocalError DOCUMENTS_UNAVAILABLE. It panics on some malformed
    changes; none of those passes `change` and `history`. Should it panic all the same, that is caught and reported
    (DOCUMENT_UNREADABLE), and the next document is not touched. Its memory is bounded by CHARACTERS_MAX, about 400
    bytes for each character ever typed.

What it does not do
    It signs nothing, and merges nothing that `history` has not passed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from types import ModuleType
from typing import Any, Final, TypeVar

from ledger.documents.change import ACTOR_BYTES, BASE, REFUSED_CHARACTER, TEXT_KEY
from ledger.documents.history import EFFECTIVE, Counted, History, Written, actor_id
from ledger.errors import LocalError

T = TypeVar("T")

CHARACTERS_MAX: Final = 1 << 19  # ever typed in a version that is rendered: about 200 MB
TEXT_MAX: Final = 100_000  # characters of a text that is written
EDIT_OPS_MAX: Final = 2_000  # characters inserted or deleted by one change that we make: it fits an entry
_MATCH_MAX: Final = 1_000_000  # pairs of lines or words that are compared; beyond, a block is replaced whole
_WORDS: Final = re.compile(r"\w+|\s|[^\w\s]")
_SYNC_MESSAGE: Final = 0x42
_ASIDE: Final = hashlib.sha256(b"maille-document-aside-v1").digest()[:ACTOR_BYTES]  # makes changes that nobody keeps

Splice = tuple[int, int, str]
"""At a place of the old text: how many characters go, and what comes instead."""


def _automerge() -> ModuleType:
    try:
        from automerge import core
    except ImportError:
        raise LocalError(
            "DOCUMENTS_UNAVAILABLE",
            "This node stores and relays documents, and cannot show or edit them: the automerge library has no build "
            "for this version of Python. Run the node on Python 3.11 or 3.12.",
        ) from None
    found: ModuleType = core
    return found


def available() -> bool:
    """Say whether this Python can render and edit documents."""
    try:
        _automerge()
    except LocalError:
        return False
    return True


def text(history: History, heads: Sequence[bytes] | None = None) -> str:
    """Return the text of a document as of `heads` (32 bytes each, sorted); of its newest version by default.

    Raises LocalError NO_SUCH_VERSION (not the heads of a version whose every change is here), DOCUMENT_TOO_LARGE,
    DOCUMENTS_UNAVAILABLE, DOCUMENT_UNREADABLE.
    """
    wanted = history.heads if heads is None else tuple(heads)
    if not history.is_version(wanted):
        raise LocalError("NO_SUCH_VERSION", "This is no version of the document, or its changes are not all here yet.")
    core = _automerge()
    made = _guarded(lambda: _made(core, history.below(wanted), wanted))
    return _guarded(lambda: _read(core, made))


class Pages:
    """The texts of many versions of one document: it is made once, and each is read from it."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._made: Any = None
        self._hashes: dict[tuple[bytes, ...], bytes] = {}

    def text(self, heads: tuple[bytes, ...]) -> str:
        """Return the text as of a version. Raises as `text` does."""
        if self._history.size > CHARACTERS_MAX or not self._history.is_version(heads):
            return text(self._history, heads)
        core = _automerge()
        if self._made is None:
            self._made = _guarded(lambda: _made(core, self._history.changes, self._history.heads))
        return _guarded(lambda: _read(core, self._made, heads))

    def hash(self, heads: tuple[bytes, ...]) -> bytes:
        """Return the `text_hash` of a version. Raises as `text` does."""
        if heads not in self._hashes:
            self._hashes[heads] = text_hash(self.text(heads))
        return self._hashes[heads]


def text_hash(value: str) -> bytes:
    """Return the SHA-256 of a text in UTF-8: what an adoption pins."""
    return hashlib.sha256(value.encode()).digest()


def edit(history: History, feed: bytes, wanted: str, base: Sequence[bytes] | None = None) -> tuple[bytes, ...]:
    """Return the changes by which a feed turns the newest version's text into `wanted`; none when it is that already.

    `base`: heads of the version that `wanted` was made from, if that is not the newest: what changed since stays.
    The changes are to be registered by that feed in this order, before any other of its own. Raises LocalError
    TEXT_TOO_LONG, TEXT_CHARACTER (with the line), DOCUMENT_STUCK (a change of this feed never took effect),
    DOCUMENT_QUOTA (this feed has used up what it may write here), and what `text` raises.
    """
    check_text(wanted)
    if base is not None and tuple(base) != history.heads:
        wanted = _merged(history, wanted, base)
    if history.next_seq(feed) is None:
        told = "An earlier change by this node has no effect here, so it cannot write on. Write with another device."
        raise LocalError("DOCUMENT_STUCK", told)
    core = _automerge()
    made = _guarded(lambda: _made(core, history.below(history.heads), history.heads))
    before = _guarded(lambda: _read(core, made))
    raws = _guarded(lambda: _changes(core, made, actor_id(feed, history.document), splices(before, wanted)))
    _check_own(history, feed, raws)
    return raws


def _merged(history: History, wanted: str, base: Sequence[bytes]) -> str:
    """Return the newest text with what turns the text of `base` into `wanted`, as if it had been done back then."""
    before = text(history, base)
    core = _automerge()
    old = _guarded(lambda: _made(core, history.below(base), base))
    raws = _guarded(lambda: _changes(core, old, _ASIDE, splices(before, wanted)))
    new = _guarded(lambda: _made(core, history.below(history.heads), history.heads))
    _guarded(lambda: _feed(core, new, raws))
    return _guarded(lambda: _read(core, new))


def check_text(wanted: str) -> None:
    """Refuse a text that no document can hold. Raises LocalError TEXT_TOO_LONG, TEXT_CHARACTER."""
    if len(wanted) > TEXT_MAX:
        raise LocalError("TEXT_TOO_LONG", f"A document has at most {TEXT_MAX} characters; this one has {len(wanted)}.")
    found = REFUSED_CHARACTER.search(wanted)
    if found:
        line = wanted.count("\n", 0, found.start()) + 1
        told = f"The character U+{ord(found[0]):04X} cannot be seen, or is no text; take it out."
        raise LocalError("TEXT_CHARACTER", told, field=f"line {line}")


# Automerge


def _guarded(work: Callable[[], T]) -> T:
    """Run something of Automerge's. A panic in it is a BaseException of a class that cannot be imported."""
    try:
        return work()
    except LocalError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        told = f"Automerge cannot read this document ({type(error).__name__}); say so to whoever maintains maille."
        raise LocalError("DOCUMENT_UNREADABLE", told) from None


def _made(core: ModuleType, nodes: Sequence[Counted], heads: Sequence[bytes]) -> Any:
    """Return an Automerge document of exactly these changes."""
    if sum(len(node.change.inserts) for node in nodes) > CHARACTERS_MAX:
        told = f"More than {CHARACTERS_MAX} characters were typed into this document; fork it from an adopted version."
        raise LocalError("DOCUMENT_TOO_LARGE", told)
    document = core.Document()
    _feed(core, document, [BASE, *(node.change.raw for node in nodes)])
    if sorted(document.get_heads()) != list(heads):
        raise LocalError(
            "DOCUMENT_UNREADABLE", "Automerge sees other heads than the ledger; tell who maintains maille."
        )
    return document


def _feed(core: ModuleType, document: Any, raws: Sequence[bytes]) -> None:
    """Hand changes to an Automerge document."""
    document.receive_sync_message(core.SyncState(), core.Message.decode(_sync_message(raws)))


def _sync_message(raws: Sequence[bytes]) -> bytes:
    """Return an Automerge sync message that brings changes, and asks for nothing."""
    parts = [bytes((_SYNC_MESSAGE, 0, 0, 0)), _length(len(raws))]
    for raw in raws:
        parts += (_length(len(raw)), raw)
    return b"".join(parts)


def _length(value: int) -> bytes:
    """Return a number in unsigned LEB128."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def _text_object(core: ModuleType, document: Any) -> bytes:
    _, ident = document.get(core.ROOT, TEXT_KEY)
    found: bytes = ident
    return found


def _read(core: ModuleType, document: Any, heads: Sequence[bytes] | None = None) -> str:
    """Return the text, as of `heads` that are known to be there: of others, Automerge says that it was empty."""
    found: str = document.text(_text_object(core, document), None if heads is None else list(heads))
    return found


def _changes(core: ModuleType, document: Any, actor: bytes, wanted: Sequence[Splice]) -> tuple[bytes, ...]:
    """Splice, from the end to the beginning, so that places stay what they are; return the changes that do it."""
    document.set_actor(actor)
    ident = _text_object(core, document)
    raws: list[bytes] = []
    steps = list(_steps(wanted))
    for start in range(0, len(steps), EDIT_OPS_MAX):
        before = document.get_heads()
        with document.transaction() as transaction:
            for place, character in steps[start : start + EDIT_OPS_MAX]:
                if character is None:
                    transaction.delete(ident, place)
                else:
                    transaction.insert(ident, place, core.ScalarType.Str, character)
        raws += [change.raw_bytes for change in document.get_changes(before)]
    return tuple(raws)


def _steps(wanted: Sequence[Splice]) -> Iterator[tuple[int, str | None]]:
    """Yield single steps: delete the character at a place (None), or insert one there."""
    for place, gone, come in reversed(wanted):
        for _ in range(gone):
            yield place, None
        for offset, character in enumerate(come):
            yield place + offset, character


def _check_own(history: History, feed: bytes, raws: Sequence[bytes]) -> None:
    """Refuse to sign what others would not count."""
    known = [Written(node.feed, node.index, node.change.raw) for node in history.changes]
    after = max((one.index for one in known if one.feed == feed), default=-1) + 1
    places = [Written(feed, after + number, raw) for number, raw in enumerate(raws)]
    told = History(history.document, [*known, *places], lambda _feed, _index: True)
    for one in places:
        verdict = told.verdict(one.feed, one.index)
        if verdict == "CHANGE_OVER_QUOTA":
            raise LocalError("DOCUMENT_QUOTA", "This device has written as much here as one may; fork the document.")
        if verdict != EFFECTIVE:
            raise LocalError("DOCUMENT_UNREADABLE", f"Automerge made a change that cannot count ({verdict}).")


# What differs


def splices(old: str, new: str) -> list[Splice]:
    """Return splices that turn one text into another, in order, none touching the next; places are in the old text."""
    return [
        (start + inner, gone, come)
        for start, stop, other, end in _blocks(old.splitlines(keepends=True), new.splitlines(keepends=True))
        for inner, gone, come in _words(old[start:stop], new[other:end])
    ]


def _words(old: str, new: str) -> Iterator[Splice]:
    """Yield the splices inside a block of lines, by whole words: half-words of two writers would mix."""
    for start, stop, other, end in _blocks(_WORDS.findall(old), _WORDS.findall(new)):
        yield start, stop - start, new[other:end]


def _blocks(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Yield (start, stop, other start, other stop) in characters of each block of parts that differs."""
    low = 0
    while low < min(len(old), len(new)) and old[low] == new[low]:
        low += 1
    high = 0
    while high < min(len(old), len(new)) - low and old[-1 - high] == new[-1 - high]:
        high += 1
    ours, theirs = old[low : len(old) - high], new[low : len(new) - high]
    spans = [(0, len(ours), 0, len(theirs))]
    if len(ours) * len(theirs) <= _MATCH_MAX:
        codes = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
        spans = [(start, stop, other, end) for name, start, stop, other, end in codes if name != "equal"]
    places, others = _offsets(old), _offsets(new)
    for start, stop, other, end in spans:
        if start < stop or other < end:
            yield places[low + start], places[low + stop], others[low + other], others[low + end]


def _offsets(parts: Sequence[str]) -> list[int]:
    """Return where each part begins, in characters, and where the last one ends."""
    found = [0]
    for part in parts:
        found.append(found[-1] + len(part))
    return found
