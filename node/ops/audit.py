"""Operations on audits: hold every transfer of a period against a consent, and list the duties that are open.

How it works
    `run` works in the command's own process: it asks the node for the rows, page by page (`rows`), matches them
    (node/audit/auditing.py), and writes one file. The node goes on meanwhile. `rows` gives one such page to whoever
    audits with other tools.

What it does not do
    It sees what this node may see: its own vault, and of others what the ledger says. The file holds points and
    purposes out of the vault: keep it as you keep the vault. Nothing of it goes into logs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ledger.errors import LocalError, MailleError
from node.exits import OK, REFUSED, usage
from node.naming import find_party
from node.operation import Args, Local, Operation, Result, local_operation, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.governance.members import Party
    from node.audit.findings import Report
    from node.audit.linking import Linked, Wanted
    from node.core import Turn
    from node.daemon import Node

What = Literal["frame", "consents", "accounts", "statements", "proven"]
Form = Literal["json", "csv", "html", "pdf", "parquet"]
TENTHS = 10


class AuditArgs(Args, frozen=True):
    """What to audit, and how to write it."""

    period: Annotated[
        str, said("FROM..TO: days (both included) or moments, such as 2026-01-01..2026-03-31; an end may be left open.")
    ]
    point: Annotated[str, said("Transfers and consents of one point of measurement alone.")] = ""
    party: Annotated[str, said("Of one member or tenant alone, as holder or recipient.")] = ""
    purpose: Annotated[str, said("For one purpose alone, or one category of purposes.")] = ""
    subject: Annotated[
        str, said("Of one person alone: a wallet kept here, or the beginning of a consent's or a record's id.")
    ] = ""
    as_: Annotated[Form, said("How it is written. PDF and Parquet need the extra: pip install 'maille[audit]'.")] = (
        "json"
    )
    language: Annotated[Literal["en", "fr"], said("The language of what is printed.")] = "en"
    proofs: Annotated[
        str | None, said("With HTML: make the proofs of its lines in this new folder, to stand beside it.", path=True)
    ] = None
    mesh: Annotated[str, said(WHICH)] = ""


class RowsArgs(Args, frozen=True):
    """Which page."""

    what: Annotated[What, said("Which rows: frame, consents, accounts, statements or proven.")] = "frame"
    cursor: Annotated[str, said("Where to go on: `next` of the page before; empty: from the beginning.")] = ""
    since: Annotated[int, said("The period's beginning, unix seconds.")] = 0
    until: Annotated[int, said("The period's end, unix seconds, excluded.")] = 2**40
    party: Annotated[str, said("A member or tenant to name by its id.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class AuditPage(Result, frozen=True):
    """A page of what an audit is made of."""

    next: Annotated[str, said("Where the next page begins; empty: this was the last.")]
    party: Annotated[tuple[str, int] | None, said("The party that was named: its key's id and incarnation.")]
    rows: Annotated[bytes, said("The rows as JSON; base64 in JSON, empty when --to took it.", content=True)]


class Audited(Result, frozen=True):
    """An audit."""

    since: Annotated[datetime, said("Where the period begins.")]
    until: Annotated[datetime, said("Where it ends, excluded.")]
    transfers: Annotated[int, said("Transfers that were looked at.")]
    without_consent: Annotated[int, said("Of these, without a consent valid at their time.")]
    undecided: Annotated[int, said("Of these, such that it cannot be told.")]
    by_clear_fields: Annotated[int, said("Of these, allowed as far as the ledger tells; the rest is not known here.")]
    overdue: Annotated[int, said("Consents whose data are still here past their time.")]
    notices: Annotated[int, said("Consents in force whose notice carries them no more.")]
    unacknowledged: Annotated[int, said("Ends of consents that a party has not acknowledged.")]
    left_out: Annotated[int, said("Transfers of which the question cannot be asked here.")]
    sha256: Annotated[str, said("The report's hash.")]
    report: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]
    proofs: Annotated[int, said("Proofs that were made beside it.")] = 0


@operation("audit", "rows", permission="read")
async def audit_rows(node: Node, args: RowsArgs) -> AuditPage:
    """Give one page of what an audit is made of, as JSON; `maille audit run` reads them all."""
    from node.audit.gathering import page, write

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    try:
        bytes.fromhex(args.cursor)
    except ValueError:
        raise usage("A cursor is what `next` of the page before says.", "cursor") from None

    def look(turn: Turn) -> AuditPage:
        named = None
        if args.party:
            party = find_party(turn.core.replica.members, args.party, "party", flows.tenants)
            named = (party[0].hex(), party[1])
        rows, following = page(turn, flows, args.what, args.cursor, args.since, args.until)
        return AuditPage(following, named, write(rows))

    return await mesh.engine.read(look)


@local_operation("audit", "run", permission="read", exit_of=lambda made: REFUSED if made.without_consent else OK)
def audit_run(local: Local, args: AuditArgs) -> Audited:
    """Audit a period: access without consent first, then open duties, then the register of processing (art. 30).

    Exit code 1: access without consent was found. The report holds personal data where this node's vault does; so do
    the proofs of --proofs FOLDER, to which the lines of an HTML page then link: write the page beside that folder.
    """
    import hashlib
    import time

    from node.audit.auditing import audit
    from node.audit.gathering import collect
    from node.audit.rows import Question

    since, until = period_of(args.period, int(time.time()))
    check_form(args.as_)
    folder = _folder(args)
    asking = _Asking(local, args, since, until)
    tell = _progress(sys.stderr.isatty(), local.say)
    rows = collect(asking, lambda count: tell("{} rows read", count, 0))
    question = Question(since, until, args.point, asking.party, args.purpose, args.subject)
    report = audit(rows, question, lambda done, total: tell("{} of {} transfers matched", done, total))
    linked = asking.link(report, folder, tell) if folder is not None else None
    data = written(report, args.as_, args.language, linked)
    counts = report.counts
    return Audited(
        report.since,
        report.until,
        counts.transfers,
        counts.without_consent,
        counts.undecided,
        counts.clear,
        len(report.overdue),
        len(report.notices),
        len(report.unacknowledged),
        counts.left_out,
        hashlib.sha256(data).hexdigest(),
        data,
        len(set(linked.hrefs.values())) if linked is not None else 0,
    )


def _folder(args: AuditArgs) -> Path | None:
    """Make the folder for proofs. Raises LocalError USAGE for another form than HTML, FOLDER_TAKEN."""
    if args.proofs is None:
        return None
    if args.as_ != "html":
        raise usage("Proofs go beside an HTML page: add --as html.", "proofs")
    folder = Path(args.proofs)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        told = f"{folder} cannot be made ({error.strerror}); name a folder that does not exist yet"
        raise LocalError("FOLDER_TAKEN", told, field="proofs") from None
    return folder


class _Asking:
    """Asks the running node for pages. `party`: what the node says of the party that is asked for."""

    def __init__(self, local: Local, args: AuditArgs, since: int, until: int) -> None:
        from node.client import Client
        from node.config import socket_path

        self._client, self._args = Client(socket_path(local.data_dir)), args
        self._since, self._until = since, until
        self.party: Party | None = None

    def __call__(self, what: What, cursor: str) -> tuple[bytes, str]:
        party = self._args.party if what == "frame" else ""
        asked = RowsArgs(what, cursor, self._since, self._until, party, self._args.mesh)
        answer = self._client.call(audit_rows, asked)
        assert isinstance(answer, AuditPage)
        if answer.party is not None:
            self.party = bytes.fromhex(answer.party[0]), answer.party[1]
        return answer.rows, answer.next

    def link(self, report: Report, folder: Path, tell: Callable[[str, int, int], None]) -> Linked:
        """Have the node make the proofs of a report's lines, write them, and return the links to them."""
        from node.audit.linking import linked, wanted
        from node.cli.terminal import write_new

        made, _ = wanted(report)
        failed = set()
        for done, (command, one) in enumerate(made.items(), 1):
            proof = self._proof(one)
            if proof is None:
                failed.add(command)
            else:
                write_new(folder / one.file, proof)
            tell("{} of {} proofs made", done, len(made))
        return linked(report, made, failed, folder.name)

    def _proof(self, one: Wanted) -> bytes | None:
        """Return a proof; None where this node cannot make it. Where no tick is that old, the newest one speaks."""
        from node.ops.proof import ConductArgs, MakeArgs, proof_conduct, proof_make

        mesh = self._args.mesh
        tries: list[tuple[Operation, Args]] = []
        if one.member:
            tries.append((proof_conduct, ConductArgs(one.member, mesh)))
        else:
            tries += [(proof_make, MakeArgs(one.consent, mesh, at=one.at))] if one.at is not None else []
            tries.append((proof_make, MakeArgs(one.consent, mesh, transfers=True)))
        for making, asked in tries:
            try:
                answer = self._client.call(making, asked)
            except MailleError as error:
                if error.code in ("NODE_UNREACHABLE", "NODE_STOPPING"):
                    raise
                continue
            proof: bytes = answer.proof
            return proof
        return None


def period_of(text: str, now: int) -> tuple[int, int]:
    """Return the [since, until) in unix seconds that FROM..TO names; a day as TO is included whole.

    Raises LocalError USAGE.
    """
    first, dots, last = text.partition("..")
    if not dots:
        raise usage(f"{text!r} is no period; write FROM..TO, such as 2026-01-01..2026-03-31.", "period")
    since = _moment(first, whole_day=False) if first else 0
    until = _moment(last, whole_day=True) if last else now + 1
    if since >= until:
        raise usage("A period begins before it ends.", "period")
    return since, until


def _moment(text: str, *, whole_day: bool) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        told = f"{text!r} is no day and no moment; write 2026-01-31 or 2026-01-31T12:00:00Z."
        raise usage(told, "period") from None
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    if whole_day and len(text) == len("2026-01-31"):
        found += timedelta(days=1)
    return int(found.timestamp())


def check_form(form: Form) -> None:
    """Refuse a form whose library is not installed, before anything long begins. Raises LocalError EXTRA_MISSING."""
    from importlib.util import find_spec

    from node.audit.table import missing

    for name, library in (("pdf", "weasyprint"), ("parquet", "polars")):
        if form == name and find_spec(library) is None:
            raise missing(name.upper() if name == "pdf" else "Parquet", library)


def written(report: Report, form: Form, language: Literal["en", "fr"], linked: Linked | None = None) -> bytes:
    """Return a report in one form. `linked`: the proofs beside a page."""
    from node.audit import findings, page, table

    match form:
        case "json":
            return findings.as_json(report)
        case "csv":
            return table.as_csv(report, language)
        case "html":
            return page.as_html(report, language, linked).encode()
        case "pdf":
            return page.as_pdf(report, language)
        case "parquet":
            return table.as_parquet(report, language)


def _progress(terminal: bool, say: Callable[[str], None]) -> Callable[[str, int, int], None]:
    """Return what tells a person on a terminal of each tenth, or each 10 000 rows, that is done."""
    shown: dict[str, int] = {}

    def tell(words: str, done: int, total: int) -> None:
        step = done * TENTHS // total if total else done // 10_000
        if terminal and step > shown.get(words, 0):
            shown[words] = step
            say(words.format(done, total))

    return tell
