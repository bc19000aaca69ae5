"""A node that serves data without consent: the dishonest holder of tests and of the demo, never of anybody else.

How it works
    `OpenDoor` lets out whatever is asked for; everything else of the node is as ever: it keeps the ledger, acknowledges
    withdrawals, and signs what it serves. `TurnedNode` is a node whose outgoing door is that one. There is no
    setting for it, no option and no operation: it is a process of its own,

        python -m node.turncoat --data-dir PATH

    which runs on nothing but a node whose keys are unsealed and which listens on this machine alone, as the demo makes
    them, and which says in its log what it is.

What it does not do
    It takes nothing in that an honest node would refuse, and lies to nobody: it can so be found.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from ledger.consent.gate import Decision, Flow, Scope
from ledger.consent.granularity import parse_duration
from ledger.consent.reasons import Reason
from ledger.errors import LocalError, MailleError, RemoteError
from ledger.schema import TIME_MAX
from node.config import Home
from node.daemon import Node
from node.exits import exit_of
from node.flows.door import Door, Judged, kind_of
from node.mesh import Making
from node.process import run
from node.series_key import SeriesKey
from node.vaults.consents import ConsentRows
from node.vaults.series import SeriesRows
from node.vaults.transfers import Wanted

if TYPE_CHECKING:
    from node.core import Turn

UNNAMED: Final = bytes(32)
"""The grant that is named where a request names none."""


class OpenDoor(Door):
    """A door that lets everything out: of what is asked for, the first series that is held."""

    def __init__(self, rows: ConsentRows, series: SeriesRows) -> None:
        super().__init__(rows)
        self._held = series

    def decide(
        self,
        turn: Turn,  # noqa: ARG002 (it never looks)
        flow: Flow,
        grant: bytes | None = None,
        token: bytes | None = None,  # noqa: ARG002
    ) -> Decision:
        """Allow it."""
        return Decision(Reason.ALLOWED, grant or UNNAMED, (), flow.window, flow.granularity)

    def judge(self, turn: Turn, wanted: Wanted) -> Judged:
        """Allow it, on the terms of a consent that would grant just that."""
        allowed = Decision(Reason.ALLOWED, wanted.grant or UNNAMED)
        held = [row.key for row in self._held.listing(turn.vault, wanted.point)]
        chosen = next((key for key in held if wanted.kind in (None, kind_of(key))), None)
        return Judged(allowed, _all_of(chosen))


def _all_of(key: SeriesKey | None) -> Scope:
    granularity = key.granularity if key is not None else ""
    try:
        step = parse_duration(granularity)
    except RemoteError:
        step = None
    return Scope(
        points=frozenset({key.point} if key is not None else ()),
        pii_type=kind_of(key) if key is not None else None,
        purpose="",
        purpose_names=frozenset(),
        granularity_text=granularity,
        granularity=step,
        windows=((0, TIME_MAX),),
        begins=0,
        ends=TIME_MAX,
        transmit=True,
        computation=None,
        informed=True,
        home=(),
    )


class TurnedNode(Node):
    """A node whose outgoing door is open. Raises LocalError NOT_A_DEMO for a node that could be somebody's own."""

    def making(self) -> Making:
        """Return what meshes are opened with: an open door."""
        loopback = all(address.rpartition(":")[0] in ("127.0.0.1", "[::1]") for address in self.config.listen)
        if self.keys.sealed or not loopback or self.config.advertise:
            told = "only a demo's node turns: unsealed keys, and listening on this machine alone"
            raise LocalError("NOT_A_DEMO", told)
        structlog.get_logger("node").warning("TURNED", consequence="this node serves data without consent")
        return replace(super().making(), way_out=OpenDoor)


def main(arguments: list[str] | None = None) -> int:
    """Run a turned node until it is told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="node.turncoat", description="Run a dishonest node, for a demonstration.")
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        run(Home(given.data_dir.absolute()), lambda: None, TurnedNode)
    except MailleError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return exit_of(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
