"""What the operations on documents are asked and answer.

How it works
    Plain Structs, from which the command line, the control API and its schemas are made (`node/operation.py`).

What it does not do
    It holds no operation: those are in `node/ops/document.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta

from node.operation import Args, Result, said
from node.ops.mesh import WHICH
from node.templates import Language, Name

DOCUMENT: Final = "The document: its title, or the beginning of its id."
FILE: Final = "The whole text as it shall be: Markdown in UTF-8. No personal data: the history cannot forget."
Type = Literal["agreement", "card", "charter", "glossary", "notice", "terms"]


class OpenArgs(Args, frozen=True):
    """What the document is, and what stands in it at first."""

    title: Annotated[Annotated[str, Meta(max_length=200)], said("Its title.", positional=True)] = ""
    type: Annotated[Type, said("What it is.")] = "charter"
    language: Annotated[Annotated[str, Meta(max_length=35)], said("Its language: fr, en, de-AT.")] = "fr"
    template: Annotated[Name | None, said("Begin with this template (`maille document templates`).")] = None
    file: Annotated[bytes | None, said(FILE, content=True)] = None
    fork: Annotated[str, said("Begin with this document, which the new one is forked from.")] = ""
    version: Annotated[str, said("With --fork: which version of it. Default: the newest.")] = ""
    licence: Annotated[Annotated[str, Meta(max_length=100)], said("Under which others may adapt it (SPDX).")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class DocumentsArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class DocumentArgs(Args, frozen=True):
    """Which document."""

    document: Annotated[str, said(DOCUMENT, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class VersionArgs(Args, frozen=True):
    """Which document, and which version of it."""

    document: Annotated[str, said(DOCUMENT, positional=True)]
    version: Annotated[str, said("The beginning of a version's id (`maille document versions`). Default: newest.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class EditArgs(Args, frozen=True):
    """Which document, and what it shall say."""

    document: Annotated[str, said(DOCUMENT, positional=True)]
    file: Annotated[bytes, said(FILE, content=True)]
    version: Annotated[str, said("The version that the file was made from, if not the newest: later edits stay.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class TemplateArgs(Args, frozen=True):
    """Which template."""

    name: Annotated[Name, said("Which one (`maille document templates`).", positional=True)]
    language: Annotated[Language, said("In which language.")] = "fr"


class DocumentRow(Result, frozen=True):
    """A document."""

    id: Annotated[str, said("Its id.")]
    type: Annotated[str, said("What it is: agreement, card, charter, glossary, notice or terms.")]
    title: Annotated[str, said("Its title.")]
    language: Annotated[str, said("Its language.")]
    opened_by: Annotated[str, said("The member that opened it.")]
    opened: Annotated[datetime, said("When it was opened.")]
    changes: Annotated[int, said("How many changes made it what it is.")]
    version: Annotated[str, said("Id of the newest version.")]
    parent: Annotated[str, said("Id of the version that it was forked from, if any.")] = ""
    licence: Annotated[str, said("Under which licence others may adapt it, if any.")] = ""


class DocumentRows(Result, frozen=True):
    """The documents of a mesh."""

    documents: Annotated[tuple[DocumentRow, ...], said("Each document.")]


class DocumentShown(Result, frozen=True):
    """A document as of one version."""

    document: Annotated[DocumentRow, said("The document.")]
    version: Annotated[str, said("Id of the version shown.")]
    heads: Annotated[tuple[str, ...], said("Hashes of its last changes: they name the version.")]
    sha256: Annotated[str, said("SHA-256 of the text in UTF-8.")]
    adopted_by: Annotated[tuple[str, ...], said("The members that adopted this version.")]
    parent_live: Annotated[bool, said("Whether a member goes by the version that it was forked from.")]
    text: Annotated[str, said("The text.")]


class DocumentStated(Result, frozen=True):
    """What was written or adopted."""

    id: Annotated[str, said("The document.")]
    title: Annotated[str, said("Its title.")]
    version: Annotated[str, said("Id of the version that it led to, or that was adopted.")]
    entries: Annotated[tuple[str, ...], said("Ids of the entries that say so; none if nothing had to be said.")]


class ChangeRow(Result, frozen=True):
    """One change of a document."""

    by: Annotated[str, said("Whose device made it.")]
    feed: Annotated[str, said("That device, which is a feed.")]
    index: Annotated[int, said("Its leaf in that feed, counted from 0.")]
    dated: Annotated[datetime, said("When it says it was made.")]
    inserted: Annotated[int, said("How many characters came.")]
    deleted: Annotated[int, said("How many characters went.")]
    version: Annotated[str, said("Id of the version that ends with this change.")]
    refused: Annotated[str, said("Why it has no effect, if it has none.")] = ""


class Changes(Result, frozen=True):
    """The history of a document."""

    changes: Annotated[tuple[ChangeRow, ...], said("Each change, behind those it follows; at the end, the refused.")]


class VersionRow(Result, frozen=True):
    """A version of a document that somebody adopted, or the newest one."""

    version: Annotated[str, said("Its id.")]
    newest: Annotated[bool, said("Whether it is the newest.")]
    adopted_by: Annotated[str, said("The member that adopted it, if one did.")]
    adopted: Annotated[datetime | None, said("When it was adopted.")]
    counts: Annotated[bool, said("Whether that adoption has effect.")]
    why: Annotated[str, said("Why not, if it has none.")]
    entry: Annotated[str, said("Id of the entry of that adoption.")]


class Versions(Result, frozen=True):
    """The versions of a document."""

    versions: Annotated[tuple[VersionRow, ...], said("Each adoption, and the newest version.")]


class TemplateRow(Result, frozen=True):
    """A template."""

    name: Annotated[str, said("Its name.")]
    language: Annotated[str, said("Its language.")]
    type: Annotated[str, said("What type of document it is for.")]
    title: Annotated[str, said("Its title.")]


class TemplateRows(Result, frozen=True):
    """The templates that come with the program."""

    templates: Annotated[tuple[TemplateRow, ...], said("Each template.")]


class TemplateShown(Result, frozen=True):
    """A template's text."""

    template: Annotated[TemplateRow, said("Which one.")]
    licence: Annotated[str, said("Under which licence it may be adapted.")]
    text: Annotated[str, said("The text; what is to be filled in stands in square brackets.")]
