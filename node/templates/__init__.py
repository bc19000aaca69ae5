"""Templates of documents in French and English: a charter, terms of use, a notice, a processing agreement.

How it works
    They are files beside this module, LANGUAGE/NAME.md, shipped with the program. The first line is the title. What is
    to be filled in stands in square brackets.

What it does not do
    They are no legal advice, and bind nobody before they are adapted and adopted.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, TypeAlias

Language: TypeAlias = Literal["fr", "en"]
Name: TypeAlias = Literal["charter", "hosting", "notice", "processing"]

LANGUAGES: Final[tuple[Language, ...]] = ("fr", "en")
LICENCE: Final = "EUPL-1.2"
"""Of the templates, as of the whole program: whoever forks a charter names it on."""

TYPES: Final[dict[Name, str]] = {
    "charter": "charter",
    "hosting": "terms",
    "notice": "notice",
    "processing": "agreement",
}
"""Each template, and the type of document it is for."""


@dataclass(frozen=True, slots=True)
class Template:
    """One template. `type`: of the document it is for (ledger.kinds.DOCUMENT_TYPES); `text`: Markdown."""

    name: Name
    language: Language
    type: str
    title: str
    text: str


def template(name: Name, language: Language) -> Template:
    """Return a template."""
    text = files(__name__).joinpath(language, f"{name}.md").read_text("utf-8")
    return Template(name, language, TYPES[name], text.partition("\n")[0].removeprefix("# "), text)


def templates() -> tuple[Template, ...]:
    """Return every template."""
    return tuple(template(name, language) for name in TYPES for language in LANGUAGES)
