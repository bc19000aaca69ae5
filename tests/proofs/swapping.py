"""Items of one bundle in the place of another's: every value of a kind, at every place of that kind.

How it works
    A decoded bundle is a tree of values. `places` walks it; a place's kind is its path without the numbers of list
    items, so that every entry, path, signature, time or size can stand where another one did. `mended` then does what
    a forger would: lists are put in order and numbers of entries and checkpoints follow, so that nothing is refused
    merely because it stands in a wrong order.

What it does not do
    It signs nothing, and verifies nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from proofs.bundle import Bundle, Logged

Path = tuple[Any, ...]
"""Names of fields and numbers of items, from the bundle down."""
GRANT = b"consent.grant"


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every value inside a bundle with its path."""
    if is_dataclass(value) and not isinstance(value, type):
        inner: list[tuple[Any, Any]] = [(each.name, getattr(value, each.name)) for each in fields(value)]
    elif isinstance(value, tuple):
        inner = list(enumerate(value))
    else:
        return
    for key, held in inner:
        yield (*path, key), held
        yield from places(held, (*path, key))


def kind_of(path: Path) -> Path:
    """Return what kind of place it is: an entry of some number, a path of any length, the second hash of it."""
    return tuple("*" if isinstance(key, int) else key for key in path)


def by_kind(*bundles: Bundle) -> dict[Path, list[Any]]:
    """Return the different values that stand at each kind of place in these bundles."""
    found: dict[Path, list[Any]] = defaultdict(list)
    for bundle in bundles:
        for path, held in places(bundle):
            kind = kind_of(path)
            if held not in found[kind]:
                found[kind].append(held)
    return found


def put(value: Any, path: Path, item: Any) -> Any:
    """Return a bundle, or a value inside it, with an item at a place."""
    if not path:
        return item
    key, rest = path[0], path[1:]
    if isinstance(value, tuple):
        return (*value[:key], put(value[key], rest, item), *value[key + 1 :])
    return replace(value, **{key: put(getattr(value, key), rest, item)})


def without(value: Any, path: Path) -> Any:
    """Return a bundle, or a value inside it, without one item of a list."""
    key, rest = path[0], path[1:]
    if isinstance(value, tuple):
        return (*value[:key], *value[key + 1 :]) if not rest else put(value, (key,), without(value[key], rest))
    return replace(value, **{key: without(getattr(value, key), rest)})


def mended(made: Bundle) -> Bundle:
    """Put the lists of a bundle in order, and let the numbers of what was moved follow."""
    heads = sorted({(c.head.feed, c.head.size, c.head.root): c for c in made.checkpoints}.items())
    places_ = {key: at for at, (key, _) in enumerate(heads)}
    numbers = [places_[c.head.feed, c.head.size, c.head.root] for c in made.checkpoints]

    def moved(item: Logged) -> Logged:
        return replace(item, checkpoint=numbers[item.checkpoint]) if item.checkpoint < len(numbers) else item

    order = sorted({item.id: at for at, item in enumerate(made.entries)}.items())
    order.sort(key=lambda each: GRANT not in made.entries[each[1]].raw[:400])
    follows = {at: new for new, (ident, _) in enumerate(order) for at, e in enumerate(made.entries) if e.id == ident}
    ticks = tuple(
        replace(
            tick,
            frontier=tuple(sorted(set(tick.frontier), key=lambda head: (head.feed, head.size, head.root))),
            consents=tuple(sorted((follows.get(at, at), place) for at, place in tick.consents)),
            members=tuple(sorted(tick.members, key=lambda each: each[0])),
            attestations=tuple(sorted(tick.attestations, key=lambda each: each.feed)),
        )
        for tick in sorted(made.ticks, key=lambda tick: tick.boundary)
    )
    return replace(
        made,
        entries=tuple(moved(made.entries[at]) for _, at in order),
        checkpoints=tuple(item for _, item in heads),
        ticks=ticks,
        disclosures=tuple((follows.get(at, at), shown) for at, shown in made.disclosures),
        bounds=tuple((follows.get(at, at), shown) for at, shown in made.bounds),
    )
