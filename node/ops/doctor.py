"""The doctor: everything that is amiss with a node, why it matters, and the exact command that mends it.

How it works
    It looks at the machine first (node/checkup.py), then asks the running node for its problems and its peers, if one
    runs. With --peer it looks into one member alone: what the node knows of it, and whether its addresses answer here.
    With --fix it mends what can do no harm, and looks again.

What it does not do
    It repairs no ledger and changes no setting. A member that cannot be reached is that member's operator's to mend.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

from ledger.errors import MailleError
from node.checkup import Finding, finding, look, mend
from node.config import Home, socket_path
from node.exits import OK, REFUSED
from node.network import is_relay
from node.operation import Args, Local, Nothing, Result, local_operation, operation, said
from node.saying import same_french
from node.troubles import TROUBLES

if TYPE_CHECKING:
    from node.daemon import Node
    from node.ops.node import Problem

SKEW_SECONDS_MAX: Final = 5
"""How far behind its peers a clock may be before it is told; a head is stamped in whole seconds, and takes its way."""
DIAL_SECONDS: Final = 3.0
MAP_USED_MAX: Final = 0.8
_RANK: Final = {"error": 0, "warning": 1, "note": 2}


class DoctorArgs(Args, frozen=True):
    """What to look at."""

    peer: Annotated[str, said("Look into this member alone: its name, did:key, or the beginning of its id.")] = ""
    mesh: Annotated[str, said("Of the member; needed in several meshes.")] = ""
    fix: Annotated[bool, said("Mend what can do no harm: modes of our files, a socket that a crash left.")] = False


class Diagnosis(Result, frozen=True):
    """What the doctor found, the gravest first."""

    findings: Annotated[tuple[Finding, ...], said("Each thing that is amiss; empty when all is well.")]
    mended: Annotated[tuple[str, ...], said("What --fix did, a sentence each.")]
    node_runs: Annotated[bool, said("Whether a running node was asked.")]


def _grave(found: Diagnosis) -> int:
    return REFUSED if any(one.severity == "error" for one in found.findings) else OK


def _drawn(found: Diagnosis) -> str:
    parts = [f"✓ {sentence}" for sentence in found.mended]
    mark = {"error": "✗", "warning": "!", "note": "·"}
    for one in found.findings:
        parts.append(f"{mark[one.severity]} {one.code}: {one.message}\n    {one.why}\n    → {one.fix}")
    if not found.findings:
        parts.append("Nothing is amiss.")
    if not found.node_runs:
        parts.append("No node runs on this data directory: its peers and meshes were not looked at.")
    return "\n".join(parts)


@local_operation(None, "doctor", permission="operate", exit_of=_grave, render=_drawn)
def doctor(local: Local, args: DoctorArgs) -> Diagnosis:
    """Find what is amiss with this node, say why it matters and what mends it. Exit code 1 on an error.

    It looks at files, keys, disk, limits, backups and certificates, then asks the running node for its meshes, peers,
    clock and state. With --peer it looks into one member.
    """
    from node.client import Client

    home = Home(local.data_dir)
    if not home.config_file.exists():
        home.config()  # which says that there is no node
    mended = tuple(mend(home)) if args.fix else ()
    client: Any = Client(socket_path(local.data_dir))
    runs, found = True, list[Finding]()
    try:
        if args.peer:
            found = list(_peer(client, args))
        else:
            found = list(look(home, int(time.time())))
            asked: Examined = client.call(node_examine, Nothing())
            codes = {one.code for one in found}
            found += [one for one in asked.findings if one.code not in codes]
            found += _same_release(asked.version)
    except MailleError as error:
        if error.code != "NODE_UNREACHABLE" or args.peer:
            raise
        runs = False
        found = found or list(look(home, int(time.time())))
    return Diagnosis(tuple(sorted(found, key=lambda one: _RANK[one.severity])), mended, runs)


def _same_release(running: str) -> list[Finding]:
    from importlib.metadata import version

    if running == version("maille"):
        return []
    return [finding("warning", "RESTART_DUE", running=running, installed=version("maille"))]


def _peer(client: Any, args: DoctorArgs) -> Iterator[Finding]:
    """Look into one member: what the node knows, and whether its addresses answer from here."""
    from node.ops.peers import WhyArgs, peers_why

    why = client.call(peers_why, WhyArgs(args.peer, args.mesh))
    if why.state == "connected":
        return
    yield finding("warning", "PEER_UNREACHABLE", member=why.member, error=why.reason, advice=why.advice)
    for row in why.peers:
        for address in filter(None, row.address.split(", ")):
            if is_relay(address):
                continue  # it leads through a member, over the channel to it
            yield _dial(address, args.peer)


def _dial(address: str, peer: str) -> Finding:
    """Dial an address once; return how that went."""
    host, _, port = address.rpartition(":")
    begun = time.perf_counter()
    try:
        with socket.create_connection((host.strip("[]"), int(port)), DIAL_SECONDS):
            ms = (time.perf_counter() - begun) * 1_000
            return finding("note", "PEER_ADDRESS.answers", address=address, ms=ms, peer=peer)
    except (OSError, ValueError) as error:
        return finding("warning", "PEER_ADDRESS", address=address, error=error)


class Examined(Result, frozen=True):
    """What the running node finds amiss with itself."""

    version: Annotated[str, said("Of the program that runs.")]
    findings: Annotated[tuple[Finding, ...], said("Each thing that is amiss.")]


@operation("node", "examine", permission="read")
async def node_examine(node: Node, args: Nothing) -> Examined:
    """Have the running node look at itself: its problems, its clock, its peers, its state. `maille doctor` shows it."""
    from node.ops.health import readiness
    from node.ops.node import node_status

    status = await node_status.handler(node, args)
    stuck = readiness(status)
    found = [_of_problem(one, grave=one.code in stuck) for one in status.problems]
    for state in status.meshes:
        name = state.mesh.name
        found += _late_clock(node.now, [row.head_time.timestamp() for row in state.peers if row.head_time is not None])
        out = [row for row in state.peers if row.state == "unreachable"]
        if state.mesh.connected and out:
            names = ", ".join(row.member for row in out)
            found.append(finding("note", "PEERS_AWAY", count=len(out), mesh=name, names=names, first=out[0].member))
        if state.stats.map_used > MAP_USED_MAX:
            found.append(finding("warning", "MAP_USED", mesh=name, share=state.stats.map_used))
        if state.mesh.members > 1 and len(state.roots.attested_by) == 1 and state.mesh.connected:
            found.append(finding("warning", "TICK_ALONE", mesh=name, tick=state.roots.tick))
        dialed = [row.dialed for row in state.peers if row.state == "connected"]
        if dialed and all(dialed) and node.addresses:
            found.append(finding("note", "NEVER_DIALED", mesh=name, addresses=", ".join(node.addresses)))
    return Examined(node.version, tuple(found))


def _late_clock(now: int, heads: list[float]) -> list[Finding]:
    ahead = max(heads, default=0) - now
    if ahead <= SKEW_SECONDS_MAX:
        return []
    return [finding("warning", "CLOCK_SKEW", ahead=ahead)]


def _of_problem(one: Problem, *, grave: bool) -> Finding:
    """Return a problem of the status as a finding, with why it matters."""
    why = TROUBLES[one.code].why[0]
    return same_french(one, Finding("error" if grave else "warning", one.code, one.message, why, one.fix))
