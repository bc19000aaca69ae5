"""Pages that check: audits of a period, and the verification of a proof that somebody brings.

How it works
    An audit runs in the background (`audits`); its page shows the verdict first. A proof comes as a file in a form, is
    verified by the same code as `maille proof verify` in a thread, and is kept nowhere. What is trusted stands in the
    form: the mesh's id is filled in, and the page says that it should come from elsewhere.

What it does not do
    An auditor should not rest on this page: it is a member that serves it. The page says so, and names the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from starlette.requests import Request
from starlette.responses import Response

from ledger.errors import LocalError, MailleError
from node.console import upload
from node.console.audits import written
from node.console.desk import Look
from node.exits import not_found, usage
from node.naming import seconds_of
from node.ops.proof_verify import hash_of

if TYPE_CHECKING:
    from proofs.report import Report
    from proofs.trust import Trust

FOUND_SHOWN: Final = 100
MEMBERS_MAX: Final = 100
PROOF_PATH: Final = "/proof"
AGE: Final = "1d"


async def audits(look: Look) -> Response:
    """List the audits that were started here, with the form for another."""
    return look.page("audits.html", audits=look.desk.audits.kept, error="")


async def start_audit(look: Look) -> Response:
    """Start an audit of a period."""
    if not look.may_do("operate"):
        raise LocalError("NOT_PERMITTED", "Audits are started with the permission 'operate'.")
    since, until = look.form.one("since").strip(), look.form.one("until").strip()
    try:
        started = look.desk.audits.start(look.mesh, f"{since}..{until}")
    except MailleError as error:
        return look.page("audits.html", 422, audits=look.desk.audits.kept, error=error.code)
    return look.go(f"/audits/{started.number}")


async def audit(look: Look) -> Response:
    """Show an audit: the verdict first."""
    from node.audit.words import explained

    number = look.request.path_params["number"]
    found = look.desk.audits.find(int(number)) if number.isdecimal() and len(number) < 10 else None
    if found is None:
        raise not_found("This audit is not kept any more; start another.", "number")

    def why(code: str) -> str:
        return explained(code, look.lang)

    return look.page("audit.html", audit=found, why=why, shown=FOUND_SHOWN)


async def audit_report(look: Look) -> Response:
    """Give the whole report as a file."""
    if not look.may_do("operate"):
        raise LocalError("NOT_PERMITTED", "The whole report may name points: it needs the permission 'operate'.")
    number = look.request.path_params["number"]
    found = look.desk.audits.find(int(number)) if number.isdecimal() and len(number) < 10 else None
    if found is None or found.report is None:
        raise not_found("This audit is not kept any more; start another.", "number")
    report = found.report
    body = await trio.to_thread.run_sync(lambda: written(report, look.lang))
    headers = {"content-disposition": f'attachment; filename="audit-{found.number}.html"'}
    return look.finish(Response(body, 200, headers, "text/html; charset=utf-8"))


# Proofs


async def proof(look: Look) -> Response:
    """Show the form to which a proof is given."""
    form = {"genesis": look.mesh.mesh_id.hex(), "members": "1", "age": AGE}
    return look.page("proof.html", form=form, report=None, error="", name="")


async def verify(look: Look) -> Response:
    """Verify a proof; show the verdict first. The file is kept nowhere."""
    form = {name: look.form.one(name).strip() for name in ("genesis", "members", "age")}
    assert isinstance(look.form, upload.Upload)
    file = look.form
    try:
        trust = _trust(form)
        if not file.data:
            raise LocalError("NO_FILE", "Choose the file of a proof.", field="proof")
    except MailleError as error:
        told = error.field or error.code
        return look.page("proof.html", 422, form=form, report=None, error=told, name="")
    report = await trio.to_thread.run_sync(_verified, file.data, trust, look.now)
    return look.page("proof.html", form=form, report=report, error="", name=file.name)


def _trust(form: dict[str, str]) -> Trust:
    from proofs.policy import MemberQuorum
    from proofs.trust import Trust

    genesis = hash_of(form["genesis"].lower(), "genesis")
    if genesis is None:
        raise usage("A mesh's id is 64 hexadecimal digits.", "genesis")
    members = form["members"]
    if not (members.isdecimal() and len(members) <= 3 and 1 <= int(members) <= MEMBERS_MAX):
        raise usage(f"Say how many members are enough: 1 to {MEMBERS_MAX}.", "members")
    return Trust(genesis, MemberQuorum(int(members)), None, seconds_of(form["age"], "age"), None, None, None, None)


def _verified(data: bytes, trust: Trust, now: int) -> Report:
    from proofs.verify import verify as verify_proof

    return verify_proof(data, trust, now)


async def read_form(request: Request) -> upload.Upload:
    """Read the form with its file. Raises RemoteError FORM_TOO_LARGE, FORM_MALFORMED."""
    return await upload.read_upload(request)
