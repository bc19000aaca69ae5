"""Two textbook rules for concurrent removals, as short models: strong removal, and seniority.

How it works
    A group is a set of `Op`s, each signed by one member alone and naming every op in its past (`after`, transitive).
    * Strong removal (p2panda-auth): whatever a removed member did concurrently with its removal is dropped; removals
      that remove each other's authors all stand. What rests on a dropped addition is dropped too.
    * Seniority (Keyhive, Matrix): ops are replayed along their causes; of those that are ready, the one whose author
      joined first goes first, and the smaller id breaks a tie. An op whose author is not in has no effect.

What it does not do
    It models rules only: neither signatures, nor how ops travel. Each returns a `Group`: who is in, which ops stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Op:
    """An author adds, removes, or does something else ("act") to a target, having seen `after`."""

    id: str
    author: str
    act: str
    target: str
    after: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """Who is in, and which ops stand."""

    members: frozenset[str]
    ops: frozenset[str]


Textbook: TypeAlias = Callable[[Mapping[str, int], Iterable[Op]], Group]
"""A rule: founders with their rank (0 is the most senior, equals share one), and ops in any order."""


def strong_removal(founders: Mapping[str, int], ops: Iterable[Op]) -> Group:
    """Drop what the removed did concurrently; mutual removals all stand."""
    known = {op.id: op for op in ops}
    removals = [op for op in known.values() if op.act == "remove"]

    def attacks(removal: Op, op: Op) -> bool:
        concurrent = removal.id not in op.after and op.id not in removal.after
        return removal.target == op.author and concurrent and removal.id != op.id

    def leads(start: Op, end: Op) -> bool:
        seen, heads = {start.id}, [start]
        while heads:
            head = heads.pop()
            for op in removals:
                if attacks(head, op) and op.id not in seen:
                    seen.add(op.id)
                    heads.append(op)
        return end.id in seen

    def holds(op: Op, standing: frozenset[str]) -> bool:
        cutting = [r for r in removals if r.id in standing and attacks(r, op)]
        if any(not (op.act == "remove" and leads(op, r)) for r in cutting):
            return False
        additions = [o.id for o in known.values() if o.act == "add" and o.target == op.author]
        return op.author in founders or not standing.isdisjoint(additions)

    standing = frozenset(known)
    for _ in known:  # beside mutual removals, which are exempt, dropping runs along the causes: this settles
        standing = frozenset(op.id for op in known.values() if holds(op, standing))
    added_in = {known[i].target for i in standing if known[i].act == "add"}
    removed = {known[i].target for i in standing if known[i].act == "remove"}
    return Group((frozenset(founders) | added_in) - removed, standing)


def seniority(founders: Mapping[str, int], ops: Iterable[Op]) -> Group:
    """Replay along the causes, the senior first, the smaller id in a tie."""
    waiting = {op.id: op for op in ops}
    ranks = dict(founders)
    members, done, standing = set(founders), set[str](), set[str]()
    while waiting:
        ready = [op for op in waiting.values() if op.after & waiting.keys() == frozenset()]
        op = min(ready, key=lambda o: (ranks.get(o.author, 2**31), o.id))
        del waiting[op.id]
        done.add(op.id)
        if op.author not in members:
            continue
        standing.add(op.id)
        if op.act == "add" and op.target not in members:
            members.add(op.target)
            ranks.setdefault(op.target, max(ranks.values()) + 1)
        elif op.act == "remove":
            members.discard(op.target)
    return Group(frozenset(members), frozenset(standing))
