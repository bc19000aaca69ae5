"""Operations on requests: applications that wait for our answer.

How it works
    Somebody with an open ticket, or with none of ours, waits here until the operator has compared fingerprints.

What it does not do
    No request is approved by itself, however long it waits.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from ledger.keys import public_from_did_key
from node.exits import not_found
from node.naming import moment
from node.operation import Args, Result, operation, said
from node.ops.invite import ONE_MORE, admission, one_more
from node.ops.key import fingerprint
from node.ops.mesh import WHICH
from node.saying import beside, english, french

if TYPE_CHECKING:
    from node.admission import Admission, Request
    from node.core import Core, Turn
    from node.daemon import Node


class RequestsArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class RequestArgs(Args, frozen=True):
    """Which request."""

    id: Annotated[str, said("The request's id, or its beginning.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class RequestRow(Result, frozen=True, dict=True):
    """An application. It keeps its hint in French too (node/saying.py)."""

    id: Annotated[str, said("Names it in `requests approve` and `requests deny`.")]
    name: Annotated[str, said("As the applicant calls itself.")]
    did: Annotated[str, said("The did:key of the applicant's root key.")]
    fingerprint: Annotated[str, said("To compare with what `maille key fingerprint` shows the applicant.")]
    received: Annotated[datetime, said("When it came.")]
    hint: Annotated[str, said("What letting it in changes for sealing, where the voters are few; or empty.")] = ""


class Requests(Result, frozen=True):
    """The applications that wait."""

    requests: Annotated[tuple[RequestRow, ...], said("Each application.")]


def _row(request: Request) -> RequestRow:
    digits = fingerprint(public_from_did_key(request.did))
    return RequestRow(request.id.hex()[:16], request.name, request.did, digits, moment(request.received))


def hinted(row: RequestRow, core: Core) -> RequestRow:
    """Return an application with what letting it in changes for sealing, if it does."""
    few = one_more(core)
    if few is None:
        return row
    return beside(msgspec.structs.replace(row, hint=english(ONE_MORE, few)), hint=french(ONE_MORE, few))


def _find(door: Admission, turn: Turn, text: str) -> bytes:
    found = [request.id for request in door.requests(turn.rows) if text and request.id.hex().startswith(text)]
    if len(found) != 1:
        raise not_found(f"No request, or more than one, begins with {text!r}; see `maille requests list`.", "id")
    return found[0]


@operation("requests", "list", permission="read")
async def requests_list(node: Node, args: RequestsArgs) -> Requests:
    """List the applications that wait for an answer."""
    mesh = node.mesh(args.mesh)
    door = admission(mesh)
    return await mesh.engine.read(lambda turn: Requests(tuple(map(_row, door.waiting(turn)))))


@operation("requests", "approve", permission="operate")
async def requests_approve(node: Node, args: RequestArgs) -> RequestRow:
    """Admit an applicant. Compare the fingerprint first, by voice or face to face."""
    mesh = node.mesh(args.mesh)
    door = admission(mesh)

    def approve(turn: Turn) -> RequestRow:
        return hinted(_row(door.approve(turn, _find(door, turn, args.id))), mesh.core)

    return await mesh.engine.act(approve)


@operation("requests", "deny", permission="operate")
async def requests_deny(node: Node, args: RequestArgs) -> RequestRow:
    """Turn an applicant away. It may apply again."""
    mesh = node.mesh(args.mesh)
    door = admission(mesh)
    return await mesh.engine.act(lambda turn: _row(door.deny(turn, _find(door, turn, args.id))))
