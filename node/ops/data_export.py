"""The operation that exports what was received, as CSV or SenML.

How it works
    The packs of the transfers that are named are put together, each series once: what came later counts.

What it does not do
    It asks for nothing: what was received before a consent ended is still here, until it is erased.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from node.exits import usage
from node.naming import find_entry
from node.operation import Args, operation, said
from node.ops.consent_terms import OF_TENANT
from node.ops.mesh import WHICH
from node.ops.readings import ExportedReadings

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows
    from node.readings import Series
    from node.series_key import SeriesKey


class DataExportArgs(Args, frozen=True):
    """Which received data, and in which form."""

    consent: Annotated[str, said("Those received under one consent.")] = ""
    transfer: Annotated[str, said("Those of one transfer: its id, or the beginning of it.")] = ""
    point: Annotated[str, said("Those of one point of measurement.")] = ""
    format: Annotated[str, said("Its format, as `readings formats` names it.")] = "csv"
    as_tenant: Annotated[str, said(OF_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


@operation("data", "export", permission="read")
async def data_export(node: Node, args: DataExportArgs) -> ExportedReadings:
    """Export what was received, in one of the formats of `readings formats`: CSV by default."""
    from node.ops.readings import written

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    if not (args.consent or args.transfer or args.point):
        raise usage("Say which data: --consent, --transfer or --point.", "consent")
    return written(await mesh.engine.read(lambda turn: _received(flows, turn, args)), args.format)


def _received(flows: Flows, turn: Turn, args: DataExportArgs) -> list[Series]:
    """Return the series received that the arguments name, each once: what came later counts for its period."""
    from node.adapters import senml
    from node.compute.result import is_result
    from node.readings import Series

    grant = find_entry(turn.rows, args.consent, "consent") if args.consent else None
    own = flows.tenants.voice(turn, args.as_tenant).party if args.as_tenant else None
    found: dict[SeriesKey, list[Series]] = {}
    for row in sorted(flows.incoming.listing(turn.vault), key=lambda row: row.created):
        if grant not in (None, row.grant) or not row.transfer.hex().startswith(args.transfer.lower()):
            continue
        if own not in (None, row.wanted.recipient):
            continue
        for pack in flows.incoming.packs(turn.vault, row.transfer):
            for series in [] if is_result(pack) else senml.decode_cbor(pack):
                if args.point in ("", series.key.point):
                    found.setdefault(series.key, []).append(series)
    joined = []
    for pieces in found.values():
        readings = {reading.start: reading for piece in pieces for reading in piece}
        joined.append(Series.from_readings(pieces[0].key, (readings[start] for start in sorted(readings))))
    return joined
