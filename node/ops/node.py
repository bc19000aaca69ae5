"""Operations on the node itself: make it, run it, see how it is.

How it works
    `init` and `run` happen in the command's own process; `status` asks the running node.

What it does not do
    It makes no mesh: `mesh create` and `join` do.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import msgspec

from ledger.feed import AHEAD_SECONDS_MAX
from node.clock import SteadyClock
from node.config import LISTEN, Config, Home
from node.naming import moment
from node.operation import Args, Local, Nothing, Result, local_operation, operation, said
from node.ops.epoch import Governed, governed
from node.ops.invite import admission
from node.ops.key import describe_key
from node.ops.ledger import Roots, Stats, ledger_stats_of, roots
from node.ops.mesh import MeshRow, mesh_row
from node.ops.peers import PeerRow, peer_rows
from node.saying import Value, beside, english, french
from node.seal_status import in_french
from node.shapes import out_of_bounds
from node.troubles import TROUBLES

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.mesh import Mesh

UNSEALED_MEANS = (
    "The keys are NOT sealed: whoever can read the files in {keys} can act as this node and read its personal data. "
    "Seal them with `maille key rotate-passphrase`."
)


class InitArgs(Args, frozen=True):
    """What the new node is."""

    name: Annotated[str, said("What other members see beside your key.")]
    listen: Annotated[tuple[str, ...], said(f"Where to accept peers, host:port. Default: {LISTEN}.")] = ()
    advertise: Annotated[tuple[str, ...], said("Where others reach you, if that differs, host:port.")] = ()
    unsealed: Annotated[bool, said("Leave the keys without a passphrase: whoever reads the files has them.")] = False


class Initialised(Result, frozen=True):
    """The node that was made."""

    data_dir: Annotated[str, said("Its directory.")]
    did: Annotated[str, said("The did:key of its root key: who it is.")]
    fingerprint: Annotated[str, said("The root key's fingerprint, to compare by voice.")]
    sealed: Annotated[bool, said("Whether the keys are sealed with a passphrase.")]


class Problem(Result, frozen=True, dict=True):
    """Something an operator should know of. Made by `problem`, it keeps its French sentences (node/saying.py)."""

    code: Annotated[str, said("Stable, in capital letters.")]
    message: Annotated[str, said("What is wrong, in a sentence.")]
    fix: Annotated[str, said("What to do.")]


def problem(code: str, **values: Value) -> Problem:
    """Return the problem of a code of `TROUBLES`. `values`: for the places of its sentences."""
    said = TROUBLES[code]
    found = Problem(code, english(said.message, values), english(said.fix, values))
    return beside(found, **{name: french(pair, values) for name, pair in said._asdict().items()})


class OwnState(Result, frozen=True):
    """The node itself."""

    name: Annotated[str, said("As others see it.")]
    version: Annotated[str, said("Of the program.")]
    process: Annotated[int, said("The process's number.")]
    up_seconds: Annotated[int, said("How long it runs.")]
    data_dir: Annotated[str, said("Its directory.")]
    listening: Annotated[tuple[str, ...], said("Where it accepts peers.")]
    reachable_at: Annotated[tuple[str, ...], said("What it tells others of where it can be reached.")]
    root_key_here: Annotated[bool, said("Whether the root key is on this machine.")]
    keys_sealed: Annotated[bool, said("Whether the keys need a passphrase.")]


class MeshState(Result, frozen=True):
    """One mesh of the node."""

    mesh: Annotated[MeshRow, said("Its row in `mesh list`.")]
    peers: Annotated[tuple[PeerRow, ...], said("The other members' devices.")]
    roots: Annotated[Roots, said("What two nodes compare.")]
    stats: Annotated[Stats, said("How large it is.")]
    requests: Annotated[int, said("Applications that wait for an answer.")]
    governed: Annotated[Governed, said("How it is governed.")]


class Status(Result, frozen=True):
    """How the node is: problems first."""

    problems: Annotated[tuple[Problem, ...], said("What an operator should know of; empty when all is well.")]
    node: Annotated[OwnState, said("The node itself.")]
    meshes: Annotated[tuple[MeshState, ...], said("Each mesh that runs.")]


class Stopped(Result, frozen=True):
    """How a run ended."""

    reason: Annotated[str, said("Why the node stopped.")]


@local_operation("node", "init", permission="admin", keys=True)
def node_init(local: Local, args: InitArgs) -> Initialised:
    """Make a node: its directory, its settings, its keys.

    The keys are sealed with a passphrase, which is asked for, read from --passphrase-file, or taken from the systemd
    credential `maille-passphrase`. There is no way back to the keys without it.
    """
    from node.keystore import Keystore, check_passphrase

    home = Home(local.data_dir)
    listen = args.listen or (LISTEN,)
    try:
        config = msgspec.convert({"name": args.name, "listen": listen, "advertise": args.advertise}, Config)
    except msgspec.ValidationError as error:
        raise out_of_bounds(error, Config) from None
    home.require_free()
    passphrase = None if args.unsealed else local.passphrase(new=True)
    check_passphrase(passphrase)  # before anything is made: a refusal leaves nothing behind
    home.create(config)
    with home.lock():
        Keystore.create(home.keys, passphrase, os.urandom)
    if args.unsealed:
        local.say(UNSEALED_MEANS.format(keys=home.keys))
    root = describe_key(home, "root")
    return Initialised(str(home.path), root.did, root.fingerprint, not args.unsealed)


@local_operation("node", "run", permission="admin", keys=True, render=lambda _: "")
def node_run(local: Local, args: Nothing) -> Stopped:  # noqa: ARG001 - an operation without arguments
    """Run the node in the foreground, until it is told to stop (Ctrl-C, SIGTERM)."""
    from node.process import run

    return Stopped(run(Home(local.data_dir), local.passphrase))


async def _mesh_state(node: Node, mesh: Mesh) -> MeshState:
    def look(turn: Turn) -> MeshState:
        waiting = len(admission(mesh).waiting(turn))
        peers = tuple(peer_rows(node, mesh, turn))
        stats = ledger_stats_of(turn, mesh)
        return MeshState(mesh_row(node, mesh.name), peers, roots(turn, mesh), stats, waiting, governed(turn))

    return await mesh.engine.read(look)


def governance_problems(mesh: str, state: Governed) -> list[Problem]:
    """Return what is wrong with how a mesh is governed, the worst first."""
    found = []
    if state.branches:
        found.append(problem("GOVERNANCE_FORKED", mesh=mesh))
    if state.halted:
        if "upgrade" in state.halted:
            halted = state.halted, "la maille suit des règles d’une version que ce nœud ne connaît pas"
            found.append(problem("UPGRADE", mesh=mesh, halted=halted))
        else:
            found.append(problem("GOVERNANCE_DISPUTED", mesh=mesh, error=state.halted))
    if state.silent:
        names = ", ".join(state.silent)
        found.append(problem("SILENT_VOTERS", count=len(state.silent), voters=state.voters, names=names))
    if state.sealing is not None and state.sealing.code in ("NO_QUORUM", "DISAGREES", "RECORD_DAMAGED"):
        heard, needed = len(state.sealing.heard), state.sealing.needed
        reason = state.sealing.reason, in_french(state.sealing.code, spoken=heard, size=state.voters, needed=needed)
        found.append(problem(f"SEAL_{state.sealing.code}", mesh=mesh, reason=reason))
    if state.expelled:
        names = ", ".join(state.expelled)
        found.append(problem("SEAL_WEAKER", epoch=state.n, names=names, provable=state.provable))
    return found


def _problems(node: Node, own: OwnState, meshes: tuple[MeshState, ...]) -> list[Problem]:
    found = [problem("MESH_RESTORED", mesh=name) for name in sorted(node.waiting)]
    for state in meshes:
        row = state.mesh
        if row.state in ("member", "suspended"):  # whoever is out, or not in yet, hears no seals
            found += governance_problems(row.name, state.governed)
        if state.roots.contradicted_by:
            names = ", ".join(state.roots.contradicted_by)
            found.append(problem("STATE_DIFFERS", mesh=row.name, names=names, tick=state.roots.tick))
        if row.state == "joining":
            found.append(problem("NOT_A_MEMBER", mesh=row.name))
        elif row.state == "left":
            found.append(problem("MESH_LEFT", mesh=row.name))
        elif row.state == "expelled":
            found.append(problem("EXPELLED", mesh=row.name))
        elif row.state in ("suspended", "revoked"):
            found.append(problem(row.state.upper(), mesh=row.name))
        elif row.members > 1 and not row.connected:
            found.append(problem("NO_PEERS", count=row.members - 1, mesh=row.name))
        if state.requests:
            found.append(problem("REQUESTS_WAIT", count=state.requests, mesh=row.name))
    found += _clock_problems(node)
    if not own.reachable_at and not node.config.relay.use:
        found.append(problem("NO_ADDRESS"))
    if (room := node.room.problem()) is not None:
        code, values = room
        found.append(problem(code, **values))
    if not own.keys_sealed and node.keys.names():  # keys that are not here are not open either
        found.append(problem("KEYS_UNSEALED"))
    return found


def _clock_problems(node: Node) -> list[Problem]:
    """Return what is wrong with the node's time (node/clock.py)."""
    if isinstance(node.clock, SteadyClock) and node.clock.behind:
        return [problem("CLOCK_BEHIND", seconds=-node.clock.held_ms // 1_000, moment=moment(node.now))]
    found = []
    for name, mesh in sorted(node.meshes.items()):
        if mesh.signed_at > node.now + AHEAD_SECONDS_MAX:
            found.append(problem("SIGNED_AHEAD", until=moment(mesh.signed_at), mesh=name))
    if isinstance(node.clock, SteadyClock) and node.clock.held_ms:
        found.append(problem("CLOCK_HELD", seconds=node.clock.held_ms // 1_000))
    return found


def _drawn(status: Status) -> str:
    from node.cli.render import lines

    found = [f"! {one.message}\n  {one.fix}" for one in status.problems] or ["All is well."]
    found += ["", *lines(status.node)]
    if not status.meshes and not any(one.code == "MESH_RESTORED" for one in status.problems):
        found += ["", "In no mesh yet: found one with `maille mesh create NAME`, or get in with `maille join TICKET`."]
    for state in status.meshes:
        row, figures, top = state.mesh, state.stats, state.roots
        tick = f"tick {top.tick:%Y-%m-%dT%H:%M:%SZ} state {top.state_root[:12]}" if top.tick else "no tick yet"
        found += [
            "",
            f"{row.name} ({row.title}): {row.state}, {row.members} member(s), {row.connected} connected",
            f"  {figures.entries} entries in {figures.feeds} feed(s), "
            f"{figures.consents} consent(s) given until the last tick; "
            f"ledger {figures.ledger_bytes // 1024} KiB, vault {figures.vault_bytes // 1024} KiB",
            f"  frontier {top.frontier[:12]}, {tick}, attested by {len(top.attested_by)}",
            f"  epoch {state.governed.n} as of {state.governed.as_of:%Y-%m-%dT%H:%M:%SZ}, "
            f"{state.governed.voters} voter(s){', this node too' if state.governed.voter else ''}, "
            f"{state.governed.open} open proposal(s)",
        ]
        found += [f"  {one.state:<11} {one.member:<20} {one.address} {one.why}".rstrip() for one in state.peers]
    return "\n".join(found)


@operation("node", "status", permission="read", render=_drawn)
async def node_status(node: Node, args: Nothing) -> Status:  # noqa: ARG001 - an operation without arguments
    """Show how the node is: problems first, then itself, its meshes, peers and roots."""
    own = OwnState(
        node.config.name,
        node.version,
        os.getpid(),
        (node.clock() - node.started_ms) // 1_000,
        str(node.home.path),
        tuple(node.net.listening),
        node.addresses,
        node.keys.has("root"),
        node.keys.sealed,
    )
    states = tuple([await _mesh_state(node, node.meshes[name]) for name in sorted(node.meshes)])
    return Status(tuple(_problems(node, own, states)), own, states)
