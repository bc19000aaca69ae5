"""A statement of this node, or of whoever speaks through it, as its entry.

How it works
    What is said of governance names the epoch and the governance heads; else our device names its own place in our
    feed, which its signature fixes, and a tenant or a root key the newest checkpoint of it that others were shown. It
    is dated by our clock, and never before what it names (ledger.md §3).

What it does not do
    It registers nothing (node/turn.py). A person's statements are made in ledger.consent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ledger.entry import Entry, sign_entry
from ledger.keys import SigningKey
from ledger.kinds import KINDS

if TYPE_CHECKING:
    from node.turn import Turn

CTI_BYTES: Final = 16


def statement(
    turn: Turn, key: SigningKey, kind: str, thing: tuple[str, bytes], payload: Mapping[str, Any], not_before: int = 0
) -> Entry:
    """Sign a statement about our mesh with our device key, or another. `not_before`: its earliest date, unix seconds.

    Raises LocalError as `sign_entry`.
    """
    replica, device = turn.core.replica, turn.core.device
    epoch = replica.members.epoch if KINDS[kind].governance else None
    if epoch is not None:
        seen = replica.governance_heads(device.kid)
    else:
        seen = (replica.position(device.kid) if key is device else turn.shown_head(),)
    return sign_entry(
        key,
        kind,
        thing,
        payload,
        iat=max(turn.now, not_before, replica.closure_iat(turn.rows, seen, epoch)),
        cti=turn.core.random_bytes(CTI_BYTES),
        seen=seen,
        mesh_id=replica.mesh_id,
        epoch=epoch,
    )
