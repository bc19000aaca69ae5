"""Reads a page as a screen reader does: which words are said in French, though they are English.

How it works
    Text and spoken attributes are taken with the language that holds where they stand. Words that no French sentence
    has (`the`, `is`, `and`) give English away. Codes and commands (<code>, <pre>) have no language.

What it does not do
    It is no dictionary: English without any of these words is not seen.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

ENGLISH: Final = re.compile(
    r"\b(the|is|are|was|and|with|this|that|not|no|nothing|of|its?|yet|has|have|by|from|to)\b", re.I
)
_SPOKEN: Final = ("title", "aria-label", "data-label", "alt", "placeholder")
_SILENT: Final = ("code", "pre", "script", "style")
_VOID: Final = ("meta", "link", "input", "br", "img", "hr", "path", "circle", "line")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.langs = [("", "")]
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        lang = "" if tag in _SILENT else values.get("lang") or self.langs[-1][1]
        for name in _SPOKEN:
            self._read(values.get(name) or "", lang)
        if tag not in _VOID:
            self.langs.append((tag, lang))

    def handle_endtag(self, tag: str) -> None:
        while len(self.langs) > 1 and self.langs.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        self._read(data, self.langs[-1][1])

    def _read(self, words: str, lang: str) -> None:
        if lang == "fr" and ENGLISH.search(words):
            self.found.append(words.strip())


def english_in(page: str) -> list[str]:
    """Return what is English on a French page, and not marked as such."""
    reader = _Reader()
    reader.feed(page)
    return reader.found
