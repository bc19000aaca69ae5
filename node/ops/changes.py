"""Operations on changes: what happened to consents and data, for programs that follow it.

How it works
    Changes have numbers that go up. Who has seen number N asks for what is behind N, and may wait for the first: one
    call at a time gives a program everything, once and in order, also after it was away. Web-hooks tell the same.

What it does not do
    It tells nothing personal: ids, states and reasons. `consent show` has the content.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import trio
from msgspec import Meta

from node.naming import moment, seconds_of
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import OF_TENANT
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows

BATCH: Final = 500
"""Changes in one answer."""
WAIT_SECONDS_MAX: Final = 60

Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class ChangesArgs(Args, frozen=True):
    """Which changes."""

    after: Annotated[Number | None, said("Those behind this number. Left out: those from now on.")] = 0
    wait: Annotated[str, said("How long to wait for the first one: 30s, at most 60s. Default: not at all.")] = ""
    as_tenant: Annotated[str, said(OF_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ConsentChange(Result, frozen=True):
    """Something that happened."""

    number: Annotated[int, said("Its number here: later ones are greater.")]
    id: Annotated[str, said("What it is told by: the same in web-hooks, and after a crash.")]
    kind: Annotated[str, said("consent.began, consent.changed, consent.ended or data.arrived.")]
    at: Annotated[datetime, said("When this node noticed.")]
    consent: Annotated[str, said("The consent's id.")]
    state: Annotated[str, said("How it stands: active, withdrawn, revoked, expired, parent_ended; of data: done.")]
    reason: Annotated[str, said("A stable code; empty when it began.")]
    transfer: Annotated[str, said("Of data: the transfer's id.")]


class ChangeList(Result, frozen=True):
    """What happened."""

    changes: Annotated[tuple[ConsentChange, ...], said("Each change, the oldest first.")]
    last: Annotated[int, said("Ask for what is behind this number next.")]
    lost: Annotated[bool, said("Whether older changes that were asked for are kept no more.")]


@operation("changes", "list", permission="read")
async def changes_list(node: Node, args: ChangesArgs) -> ChangeList:
    """List what happened to consents and data: began, ended, arrived.

    With --wait it answers as soon as something happens, or with nothing when the time is over.
    """
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    seconds = min(seconds_of(args.wait, "wait"), WAIT_SECONDS_MAX) if args.wait else 0
    after = args.after
    if after is None:
        after = await mesh.engine.read(lambda turn: flows.changing.rows.last(turn.vault))
    rung = mesh.bell.listen()
    found = await mesh.engine.read(lambda turn: _listed(turn, flows, args, after))
    with trio.move_on_after(seconds):
        while seconds and not found.changes:
            await rung.wait()
            rung = mesh.bell.listen()
            found = await mesh.engine.read(lambda turn: _listed(turn, flows, args, after))
    return found


def _listed(turn: Turn, flows: Flows, args: ChangesArgs, after: int) -> ChangeList:
    rows = flows.changing.rows
    party = flows.tenants.voice(turn, args.as_tenant).party[0] if args.as_tenant else b""
    found = rows.after(turn.vault, after, BATCH)
    told = tuple(
        ConsentChange(
            one.number,
            f"msg_{one.id.hex()}",
            one.kind,
            moment(one.at),
            one.grant.hex(),
            one.state,
            one.reason,
            one.transfer.hex(),
        )
        for one in found
        if not party or party in one.parties
    )
    oldest = rows.oldest(turn.vault)
    return ChangeList(told, found[-1].number if found else after, bool(oldest) and after + 1 < oldest)
