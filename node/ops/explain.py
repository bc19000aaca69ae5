"""The operation `explain`: why any entry counts or does not.

How it works
    The rule is given by its number; ledger/README.md lists the rules. The entries named can be explained in turn.

What it does not do
    It says what this node makes of what it holds; who holds more may say more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.operation import operation
from node.ops.entry import EntryArgs, Explained, drawn, explained

if TYPE_CHECKING:
    from node.daemon import Node


@operation(None, "explain", permission="read", render=drawn)
async def explain(node: Node, args: EntryArgs) -> Explained:
    """Say whether an entry counts here and now, by which rule, and which entries decided."""
    return await explained(node, args)
