"""What goes into a mesh's core and what comes out of it, beyond gossip's own events and effects.

How it works
    Closed unions of frozen values (gossip.events has the rest). A driver hands events in and carries effects out.

What it does not do
    It holds no state and no rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gossip import events as gossip
from ledger.replica import Decoded, Run


@dataclass(frozen=True, slots=True)
class Verify:
    """Effect: verify this run's entries in worker processes, then hand `Verified` back, in the order asked."""

    source: bytes
    run: Run


@dataclass(frozen=True, slots=True)
class Verified:
    """Event: what worker processes made of a run's entries."""

    source: bytes
    run: Run
    decoded: Sequence[Decoded]


@dataclass(frozen=True, slots=True)
class MembershipMoved:
    """Effect: members, links or devices may differ from before; the driver looks for new neighbours."""


@dataclass(frozen=True, slots=True)
class Noted:
    """Effect: something an operator may want to know. `code` is stable; `fields` hold no personal data."""

    code: str
    fields: Mapping[str, Any]


Event: TypeAlias = gossip.Event | Verified
"""What the core is told."""
Effect: TypeAlias = gossip.Effect | Verify | MembershipMoved | Noted
"""What the core asks for. Of gossip's effects only Send, SetTimer and Disconnect leave it."""
