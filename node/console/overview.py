"""The first page, with problems first, and the page of alerts: what the doctor finds, and what the log warned of.

How it works
    Findings come with why they matter and the command that mends them (`checks`). Events are those that the node
    keeps in memory; the log itself goes further back.

What it does not do
    It chooses no words: node/console/french.py does. Fields of events are the log's own, in English, and marked so.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from node.console.desk import Look
from node.operation import Nothing
from node.ops.events import NodeEventsArgs, node_events
from node.ops.node import Status, node_status
from node.ops.proposal import BallotsArgs, proposal_list

EVENTS_SHOWN: Final = 100


async def home(look: Look) -> Response:
    """Show how the node is: problems first."""
    status: Status = await look.run(node_status, Nothing())
    ballots = {
        state.mesh.name: len((await look.run(proposal_list, BallotsArgs(state.mesh.name))).proposals)
        for state in status.meshes
    }
    findings = await look.desk.checks.findings()
    look.desk.live.note(status, findings)
    return look.page("overview.html", status=status, findings=findings, ballots=ballots)


async def alerts(look: Look) -> Response:
    """Show every finding, and the newest events; warnings and errors alone unless all are asked for."""
    every = look.request.query_params.get("level") == "info"
    found = await look.run(node_events, NodeEventsArgs(level="info" if every else "warning"))
    events = tuple(reversed(found.events))[:EVENTS_SHOWN]
    checks = look.desk.checks
    return look.page("alerts.html", findings=await checks.findings(), looked=checks.looked, events=events, every=every)
