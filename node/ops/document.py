"""Operations on documents: charters, terms, notices, agreements, cards and glossaries that several members write.

How it works
    A document is opened by one member and may be edited by all, at the same time; the edits merge. It is written as a
    plain file: `document show` prints it, `document edit --file` takes it back and states what differs. An adoption
    pins one exact version: that is what people adhere to, vote on and consent under, and it can be shown for ever.

What it does not do
    An adoption is the word of one member. Which charter a mesh goes by is decided by ballot. No personal data belongs
    in a document: its history cannot forget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ledger.documents import render
from ledger.documents.history import Counted, document_id, version_id
from ledger.documents.shelf import Adoption, adoption_payload
from ledger.errors import LocalError
from node.documents import Document, all_documents, find_document
from node.exits import usage
from node.naming import device_owner, moment
from node.operation import Local, Nothing, local_operation, operation
from node.ops.document_forms import (
    ChangeRow,
    Changes,
    DocumentArgs,
    DocumentRow,
    DocumentRows,
    DocumentsArgs,
    DocumentShown,
    DocumentStated,
    EditArgs,
    OpenArgs,
    TemplateArgs,
    TemplateRow,
    TemplateRows,
    TemplateShown,
    VersionArgs,
    VersionRow,
    Versions,
)
from node.templates import LICENCE, template, templates

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node

ADOPTED_HEADS_MAX: Final = 16  # of a version that can be adopted (ledger.kinds)
TOO_WIDE: Final = "Too many edits stand side by side; edit the document once, then adopt it."
NOT_LIVE: Final = "No member goes by the agreement that this one rests on; that must be adopted first."


def _text_of(data: bytes) -> str:
    """Return a file's text with line feeds alone. Raises LocalError TEXT_ENCODING, TEXT_TOO_LONG, TEXT_CHARACTER."""
    try:
        found = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LocalError("TEXT_ENCODING", "This is not UTF-8; save the file as UTF-8.", field=f"line {line}") from None
    render.check_text(found)
    return found


def _row(document: Document) -> DocumentRow:
    registration = document.opened.registration
    entry, members = registration.entry, document.turn.core.replica.members
    payload = entry.payload
    return DocumentRow(
        document.opened.ident.hex(),
        payload["type"],
        payload["title"],
        payload["language"],
        device_owner(members, registration.feed),
        moment(entry.iat),
        len(document.history.changes),
        document.newest,
        payload["parent"].hex() if "parent" in payload else "",
        payload.get("licence", ""),
    )


def _may_write(turn: Turn) -> None:
    if not turn.core.replica.members.speaks(turn.core.device.kid):
        raise LocalError("NOT_A_MEMBER", "This device speaks for no member now; what it wrote would not count.")


@operation("document", "open", permission="operate")
async def document_open(node: Node, args: OpenArgs) -> DocumentStated:
    """Open a document, from a template, a file or another document, or empty.

    Every member may then edit it. A fork names the version it comes from, and keeps its licence unless told otherwise.
    """
    sources = [args.template, args.file, args.fork or None]
    if sum(source is not None for source in sources) > 1:
        raise usage("A document begins with --template, --file or --fork; give one of them.", "file")
    if args.version and not args.fork:
        raise usage("--version says which version of --fork; name that document too.", "version")
    given = None if args.file is None else _text_of(args.file)
    mesh = node.mesh(args.mesh)

    def open_it(turn: Turn) -> DocumentStated:
        _may_write(turn)
        payload, text = _beginning(turn, args, given)
        replica, device = turn.core.replica, turn.core.device
        ident = document_id(device.kid, replica.size(device.kid))
        entry = turn.state("document.open", ("document", ident), payload)
        found = find_document(turn, ident.hex())
        written = found.write(text) if text else ()
        version = found.again().newest
        return DocumentStated(ident.hex(), payload["title"], version, (entry.id.hex(), *written))

    return await mesh.engine.act(open_it)


def _beginning(turn: Turn, args: OpenArgs, given: str | None) -> tuple[dict[str, Any], str]:
    """Return the payload that opens a document, and its first text."""
    payload: dict[str, Any] = {"type": args.type, "title": args.title, "language": args.language}
    text = given or ""
    if args.template is not None:
        if args.language not in ("fr", "en"):
            raise usage("The templates are in French (fr) and English (en).", "language")
        found = template(args.template, "fr" if args.language == "fr" else "en")
        text, payload["type"], payload["licence"] = found.text, found.type, LICENCE
        payload["title"] = args.title or found.title
    if args.fork:
        parent = find_document(turn, args.fork)
        heads = parent.heads(args.version)
        text = render.text(parent.history, heads)
        row = _row(parent)
        payload |= {"type": row.type, "title": args.title or row.title, "language": row.language}
        payload["parent"] = version_id(parent.opened.ident, heads)
        if row.licence:
            payload["licence"] = row.licence
    if args.licence:
        payload["licence"] = args.licence
    if not payload["title"]:
        raise usage("A document needs a title.", "title")
    return payload, text


@operation("document", "list", permission="read")
async def document_list(node: Node, args: DocumentsArgs) -> DocumentRows:
    """List the documents of a mesh."""

    def look(turn: Turn) -> DocumentRows:
        return DocumentRows(tuple(_row(one) for one in all_documents(turn)))

    return await node.mesh(args.mesh).engine.read(look)


@operation("document", "show", permission="read", render=lambda shown: shown.text.removesuffix("\n"))
async def document_show(node: Node, args: VersionArgs) -> DocumentShown:
    """Print a document: its newest text, or that of any version, however old."""

    def look(turn: Turn) -> DocumentShown:
        found = find_document(turn, args.document)
        heads = found.heads(args.version)
        text = render.text(found.history, heads)
        version, members = version_id(found.opened.ident, heads), turn.core.replica.members
        adopted = [one for one in found.shelf.adoptions(found.history) if one.version == version and not one.counts]
        parent = found.opened.registration.entry.payload.get("parent")
        return DocumentShown(
            _row(found),
            version.hex(),
            tuple(head.hex() for head in heads),
            render.text_hash(text).hex(),
            tuple(dict.fromkeys(device_owner(members, one.registration.feed) for one in adopted)),
            parent is not None and found.shelf.lives(parent) is not None,
            text,
        )

    return await node.mesh(args.mesh).engine.read(look)


@operation("document", "edit", permission="operate")
async def document_edit(node: Node, args: EditArgs) -> DocumentStated:
    """Make a document say what a file says. Only what differs is stated, so that edits by several members merge."""
    wanted = _text_of(args.file)

    def write(turn: Turn) -> DocumentStated:
        _may_write(turn)
        found = find_document(turn, args.document)
        entries = found.write(wanted, found.heads(args.version) if args.version else None)
        title = found.opened.registration.entry.payload["title"]
        version = found.again().newest
        return DocumentStated(found.opened.ident.hex(), title, version, entries)

    return await node.mesh(args.mesh).engine.act(write)


@operation("document", "adopt", permission="admin")
async def document_adopt(node: Node, args: VersionArgs) -> DocumentStated:
    """Adopt one exact version of a document, for this member: all will see that it goes by this text."""

    def adopt(turn: Turn) -> DocumentStated:
        _may_write(turn)
        found = find_document(turn, args.document)
        heads, opening = found.heads(args.version), found.opened.registration.entry.payload
        version, party = version_id(found.opened.ident, heads), turn.core.party
        told = DocumentStated(found.opened.ident.hex(), opening["title"], version.hex(), ())
        members = turn.core.replica.members
        for one in found.shelf.adoptions(found.history):
            if one.version == version and not one.counts and members.party_of(one.registration.feed) == party:
                return told
        if len(heads) > ADOPTED_HEADS_MAX:
            raise LocalError("VERSION_TOO_WIDE", TOO_WIDE)
        parent = opening.get("parent")
        if opening["type"] == "agreement" and parent is not None and found.shelf.lives(parent) is None:
            raise LocalError("PARENT_NOT_LIVE", NOT_LIVE)
        payload = adoption_payload(found.history, heads, render.text(found.history, heads))
        payload |= {name: opening[name] for name in ("parent", "licence") if name in opening}
        return DocumentStated(told.id, told.title, told.version, (found.state("document.adopt", payload),))

    return await node.mesh(args.mesh).engine.act(adopt)


@operation("document", "history", permission="read")
async def document_history(node: Node, args: DocumentArgs) -> Changes:
    """List the changes of a document: who wrote what, when; and what has no effect, with the reason."""

    def look(turn: Turn) -> Changes:
        found = find_document(turn, args.document)
        replica, history = turn.core.replica, found.history

        def row(feed: bytes, index: int, one: Counted | None, refused: str) -> ChangeRow:
            dated = moment(replica.leaf_entry(turn.rows, feed, index).iat)
            inserted = sum(one.change.inserts) if one is not None else 0
            deleted = len(one.change.inserts) - inserted if one is not None else 0
            version = found.version([one.change.hash]) if one is not None else ""
            owner = device_owner(replica.members, feed)
            return ChangeRow(owner, feed.hex(), index, dated, inserted, deleted, version, refused)

        rows = [row(one.feed, one.index, one, "") for one in history.changes]
        refused = sorted((place, verdict) for place, verdict in history.verdicts.items() if verdict)
        return Changes((*rows, *(row(feed, index, None, verdict) for (feed, index), verdict in refused)))

    return await node.mesh(args.mesh).engine.read(look)


@operation("document", "versions", permission="read")
async def document_versions(node: Node, args: DocumentArgs) -> Versions:
    """List the versions of a document that members adopted, and the newest one."""

    def look(turn: Turn) -> Versions:
        found = find_document(turn, args.document)
        members, newest = turn.core.replica.members, found.newest

        def row(one: Adoption) -> VersionRow:
            entry, feed = one.registration.entry, one.registration.feed
            version = one.version.hex()
            dated, owner = moment(entry.iat), device_owner(members, feed)
            return VersionRow(version, version == newest, owner, dated, not one.counts, one.counts, entry.id.hex())

        rows = [row(one) for one in found.shelf.adoptions(found.history)]
        if not any(one.newest for one in rows):
            rows.append(VersionRow(newest, True, "", None, False, "", ""))
        return Versions(tuple(rows))

    return await node.mesh(args.mesh).engine.read(look)


@local_operation("document", "templates", permission="read")
def document_templates(local: Local, args: Nothing) -> TemplateRows:  # noqa: ARG001 - it needs no surroundings
    """List the templates that come with the program, in French and English. They are no legal advice."""
    return TemplateRows(tuple(TemplateRow(one.name, one.language, one.type, one.title) for one in templates()))


@local_operation("document", "template", permission="read", render=lambda shown: shown.text.removesuffix("\n"))
def document_template(local: Local, args: TemplateArgs) -> TemplateShown:  # noqa: ARG001 - as above
    """Print a template, to be adapted and then opened as a document."""
    one = template(args.name, args.language)
    return TemplateShown(TemplateRow(one.name, one.language, one.type, one.title), LICENCE, one.text)
