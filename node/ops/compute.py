"""Operations on computations: name one, run it on one's own readings, send its results under a consent, list those.

How it works
    A computation is defined once, by a reviewed operation with its parameters or by a WASM module with its limits;
    its hash goes into a consent (`consent grant --computation`). `send` finds such a consent, computes over the
    granted windows that are wanted, in a thread, and sends the results, which pass the gate one by one. `request` asks
    a holder for them.

What it does not do
    A recipient cannot check a result: it has no readings.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import trio
from msgspec import Meta

from ledger.errors import LocalError
from node.exits import not_found, usage
from node.naming import find_entry, member_name, moment, unix_of
from node.operation import Args, Result, operation, said
from node.ops.data import DataArgs, Transferred, _ended, _moved
from node.ops.data import _exit as exit_of_transfer
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.consent.gate import Scope
    from ledger.consent.record import Window
    from node.compute.computation import Computation
    from node.compute.result import Result as Computed
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows
    from node.flows.progress import Progress
    from node.readings import Series
    from node.vaults.transfers import Wanted

HASH = "Its hash, or the beginning of it."
Whole = Annotated[int, Meta(ge=1)]


class ComputeDefineArgs(Args, frozen=True):
    """A reviewed operation with its parameters, or a module with its limits."""

    operation: Annotated[str, said("A reviewed operation, as `compute operations` lists them.")] = ""
    parameter: Annotated[tuple[str, ...], said("One of its parameters: threshold=9000.")] = ()
    module: Annotated[bytes | None, said("A WASM module of the documented ABI, instead.", content=True)] = None
    fuel: Annotated[Whole, said("Instructions that one run of the module may use.")] = 50_000_000
    memory_bytes: Annotated[Whole, said("Memory it may use.")] = 16 << 20
    output_bytes: Annotated[Whole, said("Bytes of one result: what it could tell at most.")] = 16
    step: Annotated[str, said("Over what one result is: P1D, P1M, P1Y; empty for a whole granted window.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ComputeForgetArgs(Args, frozen=True):
    """Which computation."""

    computation: Annotated[str, said(HASH, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class ComputeArgs(Args, frozen=True):
    """Which computation, over which of one's own readings."""

    computation: Annotated[str, said(HASH, positional=True)]
    point: Annotated[str, said("A point of measurement.")]
    since: Annotated[datetime, said("Readings from this moment on.")]
    until: Annotated[datetime, said("Readings until this moment.")]
    mesh: Annotated[str, said(WHICH)] = ""


class ComputeSendArgs(Args, frozen=True):
    """Under which consent, over which part of what it grants."""

    consent: Annotated[str, said("The consent's id, or the beginning of it.", positional=True)]
    since: Annotated[datetime | None, said("Only windows from this moment on.")] = None
    until: Annotated[datetime | None, said("Only windows until this moment.")] = None
    wait: Annotated[str, said("How long to wait for the end: 30s, 2m.")] = "30s"
    mesh: Annotated[str, said(WHICH)] = ""


class ComputedArgs(Args, frozen=True):
    """Which results."""

    consent: Annotated[str, said("Those received under one consent alone.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class OperationRow(Result, frozen=True):
    """One reviewed operation."""

    operation: Annotated[str, said("Its name.")]
    version: Annotated[int, said("Its version.")]
    kinds: Annotated[tuple[str, ...], said("The kinds of readings it is for.")]
    parameters: Annotated[tuple[str, ...], said("Its parameters.")]
    words: Annotated[str, said("What it gives, in English.")]
    words_fr: Annotated[str, said("The same in French.")]


class OperationRows(Result, frozen=True):
    """The closed set of reviewed operations."""

    operations: Annotated[tuple[OperationRow, ...], said("Each operation.")]


class ComputationRow(Result, frozen=True):
    """One computation that is known here."""

    computation: Annotated[str, said("Its hash: what a consent names.")]
    kind: Annotated[str, said("operation or module.")]
    name: Annotated[str, said("The operation, or the SHA-256 of the module.")]
    step: Annotated[str, said("Over what one result is; empty: a whole granted window.")]
    words: Annotated[str, said("What it gives.")]
    description: Annotated[str, said("The canonical description in hexadecimal: its SHA-256 is the hash.")]


class ComputationRows(Result, frozen=True):
    """The computations known here."""

    computations: Annotated[tuple[ComputationRow, ...], said("Each computation.")]


class ComputedRow(Result, frozen=True):
    """One result."""

    computation: Annotated[str, said("The computation's hash.")]
    point: Annotated[str, said("The point of measurement.")]
    start: Annotated[datetime, said("Where its window begins.")]
    stop: Annotated[datetime, said("Where it ends.")]
    value: Annotated[str, said("The value; what a module gave, in hexadecimal.")]
    unit: Annotated[str, said("Its unit.")]
    records: Annotated[int, said("Readings in the window.")]
    gaps: Annotated[int, said("Readings among them without a value.")]
    complete: Annotated[bool, said("Whether nothing of the window is missing.")]
    sender: Annotated[str, said("Who sent it; empty for one's own.")] = ""


class Results(Result, frozen=True):
    """Results of computations."""

    label: Annotated[str, said("How near they are to a person.")]
    results: Annotated[tuple[ComputedRow, ...], said("Each result.")]


@operation("compute", "operations", permission="read")
async def compute_operations(node: Node, args: DataArgs) -> OperationRows:  # noqa: ARG001 (an operation's form)
    """List the reviewed operations that can be computed on readings."""
    from node.compute.operations import OPERATIONS

    rows = (OperationRow(one.name, one.version, one.kinds, one.parameters, *one.words) for one in OPERATIONS.values())
    return OperationRows(tuple(rows))


@operation("compute", "list", permission="read")
async def compute_list(node: Node, args: DataArgs) -> ComputationRows:
    """List the computations that are known here, by the hash that consents name."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    return await mesh.engine.read(
        lambda turn: ComputationRows(tuple(_row(one) for one in flows.computations.listing(turn.vault)))
    )


def _row(one: Computation) -> ComputationRow:
    from node.compute.computation import Reviewed
    from node.compute.operations import in_words

    description = one.encode().hex()
    if isinstance(one, Reviewed):
        return ComputationRow(one.hash.hex(), "operation", one.name, one.step, in_words(one), description)
    return ComputationRow(one.hash.hex(), "module", one.sha256.hex(), one.step, in_words(one), description)


@operation("compute", "define", permission="operate")
async def compute_define(node: Node, args: ComputeDefineArgs) -> ComputationRow:
    """Define a computation, and get the hash by which a consent names it. The same definition has the same hash."""
    from node.compute.computation import brought
    from node.compute.module import check_module
    from node.compute.operations import reviewed

    made: Computation
    mesh = node.mesh(args.mesh)
    flows, wasm = mesh.flows, args.module
    if (wasm is None) == (not args.operation):
        raise usage("Name an operation with --operation, or bring a module with --module FILE.", "operation")
    if wasm is None:
        made = reviewed(args.operation, dict(map(_parameter, args.parameter)), args.step)
    else:
        await trio.to_thread.run_sync(check_module, wasm)
        limits = {"fuel": args.fuel, "memory_bytes": args.memory_bytes, "output_bytes": args.output_bytes}
        made = brought(wasm, args.step, **limits)
    await mesh.engine.act(lambda turn: flows.computations.add(turn.vault, made, wasm or b""))
    return _row(made)


def _parameter(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    try:
        return name, int(value)
    except ValueError:
        raise usage(f"A parameter is NAME=WHOLE NUMBER; this is {text!r}.", "parameter") from None


@operation("compute", "forget", permission="operate")
async def compute_forget(node: Node, args: ComputeForgetArgs) -> ComputationRow:
    """Forget a computation. Consents that name it stand; nothing can be sent under them until it is defined again."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> ComputationRow:
        found = _find(flows, turn, args.computation)
        flows.computations.forget(turn.vault, found)
        return _row(found)

    return await mesh.engine.act(act)


def _find(flows: Flows, turn: Turn, text: str) -> Computation:
    found = [one for one in flows.computations.listing(turn.vault) if one.hash.hex().startswith(text.lower())]
    if len(found) != 1 or not text:
        raise not_found("No one computation here has this hash; `maille compute list` shows them.", "computation")
    return found[0]


@operation("compute", "run", permission="operate")
async def compute_run(node: Node, args: ComputeArgs) -> Results:
    """Run a computation on one's own readings, and look at what it gives. Nothing is sent."""
    from node.labels import Level

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    window = unix_of(args.since), unix_of(args.until)
    if window[0] >= window[1]:
        raise usage("The window ends before it begins.", "until")

    def look(turn: Turn) -> tuple[Computation, bytes, list[list[Series]]]:
        found = _find(flows, turn, args.computation)
        held = flows.series.listing(turn.vault, args.point)
        series = [list(flows.series.pieces(turn.vault, row.key)) for row in held]
        return found, _module(flows, turn, found), series

    from node.compute.answering import compute, is_for

    computation, wasm, series = await mesh.engine.read(look)
    fitting = [pieces for pieces in series if is_for(computation, pieces)]
    if not fitting:
        raise not_found("No readings of this point are held here that this computation is for.", "point")
    done = await trio.to_thread.run_sync(compute, computation, wasm, fitting, (window,), None)
    return Results(Level.IDENTIFIED.value, tuple(_result(one) for one in done))


def _module(flows: Flows, turn: Turn, computation: Computation) -> bytes:
    from node.compute.computation import Brought

    return flows.computations.module(turn.vault, computation) if isinstance(computation, Brought) else b""


def _result(one: Computed, sender: str = "") -> ComputedRow:
    value = one.value.hex() if isinstance(one.value, bytes) else one.value
    times = (moment(one.window[0]), moment(one.window[1]))
    counts = (one.records, one.gaps)
    return ComputedRow(one.computation.hex(), one.point, *times, value, one.unit, *counts, one.complete, sender)


@operation("compute", "send", permission="operate", exit_of=exit_of_transfer)
async def compute_send(node: Node, args: ComputeSendArgs) -> Transferred:
    """Compute what a consent names on what it grants, and send the results: nothing else leaves.

    Exit code 1: refused, with the reason; 75: it waits, and goes when it can.
    """
    from node.compute.answering import compute, is_for
    from node.flows.progress import REFUSED as NOT_AT_ALL
    from node.flows.progress import Progress, sent
    from node.vaults.transfers import Tally

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> tuple[Wanted, Scope | None, Computation | None, bytes, Sequence[Sequence[Series]]]:
        wanted, digest = _offered(flows, turn, args)
        scope = flows.door.judge(turn, wanted).scope
        if scope is None or digest is None:
            return wanted, None, None, b"", []
        found = flows.computations.get(turn.vault, digest)
        if found is None:
            told = f"the computation {digest.hex()[:12]} that this consent names is not known here: define it first"
            raise LocalError("NO_SUCH_COMPUTATION", told, field="consent")
        return wanted, scope, found, _module(flows, turn, found), flows.computing.granted(turn, wanted, scope)

    wanted, scope, computation, wasm, series = await mesh.engine.read(look)
    packs: list[bytes] = []
    if scope is not None and computation is not None:
        window = _window(args)
        fitting = [pieces for pieces in series if is_for(computation, pieces)]
        done = await trio.to_thread.run_sync(compute, computation, wasm, fitting, scope.windows, window)
        if not done:
            told = "there is nothing to compute: no whole window with readings of this kind is held here"
            raise LocalError("NO_READINGS", told, field="consent")
        packs = [one.encode() for one in done]

    def act(turn: Turn) -> Progress:
        started = flows.sending.begin(turn, wanted, results=packs)
        flows.retry_later(turn)
        if started.transfer:
            return sent(flows, turn, started.transfer)
        decision = started.decision
        return Progress(b"", decision.consent, NOT_AT_ALL, decision.reason.value, Tally.begin(b""))

    progress = await mesh.engine.act(act)
    if progress.ended:
        return _moved(progress)
    return await _ended(mesh, lambda turn: sent(flows, turn, progress.transfer), args.wait)


def _window(args: ComputeSendArgs) -> Window | None:
    if args.since is None and args.until is None:
        return None
    if args.since is None or args.until is None:
        raise usage("A window has two ends: give --since and --until, or neither.", "since")
    return unix_of(args.since), unix_of(args.until)


def _offered(flows: Flows, turn: Turn, args: ComputeSendArgs) -> tuple[Wanted, bytes | None]:
    """Return what a consent lets us offer, and the computation that its terms name."""
    from node.flows.disclosing import parties_of
    from node.vaults.transfers import Wanted

    grant = find_entry(turn.rows, args.consent, "consent")
    entry = turn.core.replica.grant(turn.rows, grant)
    if entry is None:
        raise not_found("This entry is no consent; `maille consent list` shows them.", "consent")
    holder, recipient = parties_of(entry)
    row = flows.consents.get(turn.vault, grant)
    digest = row.disclosures.terms().computation if row is not None else None
    if recipient is None or digest is None:
        told = "this consent names no computation, or its content is not known here; send readings with `data send`"
        raise LocalError("NO_SUCH_COMPUTATION", told, field="consent")
    return Wanted(holder, recipient, grant, computation=digest), digest


@operation("compute", "request", permission="operate", exit_of=exit_of_transfer)
async def compute_request(node: Node, args: ComputeSendArgs) -> Transferred:
    """Ask the holder for the results that a consent lets out, and wait for them: it computes them for this.

    Exit code 1: refused, with the reason; 75: the holder has not answered yet.
    """
    from node.flows.progress import received

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> bytes:
        wanted, _ = _offered(flows, turn, args)
        transfer = flows.receiving.ask(turn, replace(wanted, window=_window(args)))
        flows.retry_later(turn)
        return transfer

    transfer = await mesh.engine.act(act)
    return await _ended(mesh, lambda turn: received(flows, turn, transfer), args.wait)


@operation("compute", "results", permission="read")
async def compute_results(node: Node, args: ComputedArgs) -> Results:
    """List the results that were received."""
    from node.compute.result import is_result, read_result
    from node.labels import Level

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> Results:
        grant = find_entry(turn.rows, args.consent, "consent") if args.consent else None
        rows = []
        for row in sorted(flows.incoming.listing(turn.vault), key=lambda row: row.created):
            if grant in (None, row.grant):
                sender = member_name(turn.core.replica.members, row.wanted.holder)
                packs = flows.incoming.packs(turn.vault, row.transfer)
                rows += [_result(read_result(pack), sender) for pack in packs if is_result(pack)]
        return Results(Level.IDENTIFIED.value, tuple(rows))

    return await mesh.engine.read(look)
