"""The aggregate door: which sums over several people may be published, and which must be kept back (consent.md §3).

How it works
    A figure (`Cell`) is a sum over atoms: one point of measurement in one elementary step of time. `judge_release`
    gives a verdict on every cell of a table that is to be published, margins included, and on nothing else:
      1. a cell whose own atoms fall below a threshold is kept back: too few people, too few points, one person with
         more than the dominance share (by absolute value, in whole numbers), or a total of zero, which tells each part;
      2. what remains is held together with every figure that was ever published of the same readings. Those figures
         cut the atoms into classes: two atoms are in one class when the very same figures contain both. Every class
         must pass the thresholds too. Where one does not, a further cell is kept back (the one that is missed least of
         those that mend it), until all do;
      3. a cell kept back for its own sake must not be bounded closely by the classes it lies in (`nearness_percent`);
      4. a cell that was given up in step 2 and is, in the end, a sum of whole classes is published after all.

Why that is enough
    Whoever combines published figures linearly, whatever the coefficients, gets numbers in which all atoms of a class
    have the same weight: a combination of sums over classes, each of which could be published by itself. So neither
    differences between releases, nor margins, nor any longer chain of them tells of a smaller group. For figures of
    the same people from other readings (daily totals beside a load curve) the classes are held to the counts alone.

What it does not do
    It is stricter than need be: it also refuses classes that nobody could compute. It knows nothing of what outsiders
    know besides (a subscriber's own meter, a power limit), nor of the likeness of one month to the next where the
    group has changed by one: `aggregate check` reports those, and claims nothing. A cell that earlier figures bounded
    before it was asked for stays bounded. Output is called "threshold-checked", never anonymous.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from ledger.consent.thresholds import Profile
from ledger.errors import LocalError

ATOMS_MAX: Final = 2_000_000
"""Atoms of one release: points times elementary steps, counted once a cell."""
CANDIDATES_MAX: Final = 200
"""Classes that are looked at to mend one; with fewer, more cells may be given up than need be."""

Parts: TypeAlias = Mapping[int, frozenset[str]]
"""Elementary step (any whole number that names it) -> the points that are counted in it."""
_Signature: TypeAlias = tuple[int, ...]  # cells of this release count from 0 up, earlier figures from -1 down
_Block: TypeAlias = tuple[int, frozenset[str]]


class Check(Enum):
    """What was found for a cell. `value` is the code; it is for the holder of the data alone."""

    RELEASED = "RELEASED"
    EMPTY = "EMPTY"
    FEW_HOLDERS = "FEW_HOLDERS"
    FEW_POINTS = "FEW_POINTS"
    ALL_ZERO = "ALL_ZERO"
    DOMINATED = "DOMINATED"
    UNKNOWN_PART = "UNKNOWN_PART"
    SECONDARY = "SECONDARY"
    EARLIER_RELEASE = "EARLIER_RELEASE"
    RELATED_RELEASE = "RELATED_RELEASE"


SENTENCES: Final[dict[Check, str]] = {
    Check.RELEASED: "It meets the thresholds, also together with all that was published before.",
    Check.EMPTY: "Nobody is in it.",
    Check.FEW_HOLDERS: "Too few people are in it.",
    Check.FEW_POINTS: "Too few points of measurement are in it.",
    Check.ALL_ZERO: "Its total is zero, which would tell each part.",
    Check.DOMINATED: "One person makes up too much of it.",
    Check.UNKNOWN_PART: "Readings of something published earlier are no longer held, so it cannot be judged.",
    Check.SECONDARY: "With the other figures of this table, it would tell one that is kept back.",
    Check.EARLIER_RELEASE: "With a figure published earlier, it would tell of too small a group.",
    Check.RELATED_RELEASE: "With a figure published from other readings, it would tell of too small a group.",
}
"""Check -> one plain sentence, for the holder of the data."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure: its name, and the atoms it sums. `rank`: of two cells that could be given up, the lower one is."""

    name: str
    parts: Parts
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Material:
    """What the thresholds are held against. `holders`: point -> the person it belongs to (one may have several).

    `amounts`: step -> point -> what it adds, a whole number in one unit for all; injection may be negative.
    """

    holders: Mapping[str, str]
    amounts: Mapping[int, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found for one cell. All but `released` is for the holder of the data: it is never published.

    `missing`: how many people, or else points, it lacks to the minimum; 0 where counts are not what it lacks.
    """

    cell: str
    check: Check
    missing: int = 0

    @property
    def released(self) -> bool:
        """Whether the figure may be published."""
        return self.check is Check.RELEASED


def judge_release(
    cells: Sequence[Cell],
    earlier: Sequence[Parts],
    material: Material,
    profile: Profile,
    *,
    related: Sequence[Parts] = (),
    kept_back: Sequence[Parts] = (),
) -> list[Verdict]:
    """Return a verdict for each cell, in order; `released` ones may be published together.

    `earlier`: every figure published before that shares a step with these, of the same readings, whole, on the same
    elementary steps. `kept_back`: those that were kept back then for their own sake. `related`: published figures of
    the same people, energy and direction from other readings. The order of these does not matter. Raises LocalError
    BAD_RELEASE (a name twice, a point whose person is not known), RELEASE_TOO_LARGE.
    """
    _require(cells, [*earlier, *related, *kept_back], material)
    own = [_fault(_blocks_of(cell.parts), material, profile) for cell in cells]
    passed = {number for number, fault in enumerate(own) if fault is None}
    secret = [*kept_back, *(cell.parts for number, cell in enumerate(cells) if number not in passed)]
    table = _Table(cells, (earlier, related, secret), material, profile, passed)
    while table.give_up():
        pass
    table.restore()
    verdicts = []
    for number, (cell, fault) in enumerate(zip(cells, own, strict=True)):
        check = fault or (Check.RELEASED if number in table.published else table.why[number])
        verdicts.append(Verdict(cell.name, check, _missing(cell, check, material, profile)))
    return verdicts


def judge_group(points: Iterable[str], material: Material, profile: Profile) -> Verdict:
    """Say whether a group is large enough at all, and how many it lacks; its amounts are not looked at."""
    chosen = frozenset(points)
    check = _few([(0, chosen)], material, profile) or Check.RELEASED
    cell = Cell("group", {0: chosen})
    return Verdict(cell.name, check, _missing(cell, check, material, profile))


def fewest_people(figures: Sequence[Parts], material: Material) -> int:
    """Return how many people the smallest class has into which these figures cut their atoms; 0 without any."""
    classes = _Classes.of(enumerate(figures))
    people = (
        {material.holders[point] for _, points in blocks for point in points} for blocks in classes.blocks.values()
    )
    return min(map(len, people), default=0)


def shares_of(parts: Parts, material: Material) -> list[int]:
    """Return the absolute amount of each person in a figure, the largest first."""
    shares: dict[str, int] = defaultdict(int)
    for step, points in parts.items():
        for point in points:
            shares[material.holders[point]] += abs(material.amounts[step][point])
    return sorted(shares.values(), reverse=True)


def dominates(largest: int, total: int, percent: int) -> bool:
    """Say whether a part is more than `percent` of a total; exactly that share is not. Both are absolute values."""
    return largest * 100 > percent * total


def _require(cells: Sequence[Cell], before: Sequence[Parts], material: Material) -> None:
    if len({cell.name for cell in cells}) != len(cells):
        raise LocalError("BAD_RELEASE", "each cell of a release has a name of its own", field="cells")
    size = 0
    for parts in (*(cell.parts for cell in cells), *before):
        for points in parts.values():
            size += len(points)
            stranger = next((point for point in points if point not in material.holders), None)
            if stranger is not None:
                raise LocalError("BAD_RELEASE", "a point belongs to nobody that is known", field="holders")
    if size > ATOMS_MAX:
        told = f"a release is judged over at most {ATOMS_MAX} atoms, earlier figures included; take a shorter window"
        raise LocalError("RELEASE_TOO_LARGE", told, field="window")


def _missing(cell: Cell, check: Check, material: Material, profile: Profile) -> int:
    points = frozenset().union(*cell.parts.values())
    match check:
        case Check.EMPTY:
            return profile.min_holders.value
        case Check.FEW_HOLDERS:
            return profile.min_holders.value - len({material.holders[point] for point in points})
        case Check.FEW_POINTS:
            return profile.min_points.value - len(points)
        case _:
            return 0


def _blocks_of(parts: Parts) -> list[_Block]:
    return [(step, points) for step, points in parts.items() if points]


def _few(blocks: Sequence[_Block], material: Material, profile: Profile) -> Check | None:
    """Hold the counts of people and points against the minimum."""
    points = frozenset().union(*(one for _, one in blocks))
    if not points:
        return Check.EMPTY
    if len({material.holders[point] for point in points}) < profile.min_holders.value:
        return Check.FEW_HOLDERS
    return Check.FEW_POINTS if len(points) < profile.min_points.value else None


def _fault(blocks: Sequence[_Block], material: Material, profile: Profile) -> Check | None:
    """Hold the sum over some atoms against every threshold; None when it may be published by itself."""
    few = _few(blocks, material, profile)
    if few is not None:
        return few
    shares: dict[str, int] = defaultdict(int)
    for step, points in blocks:
        amounts = material.amounts.get(step, {})
        for point in points:
            amount = amounts.get(point)
            if amount is None:
                return Check.UNKNOWN_PART
            shares[material.holders[point]] += abs(amount)
    total = sum(shares.values())
    if total == 0:
        return Check.ALL_ZERO
    return Check.DOMINATED if dominates(max(shares.values()), total, profile.dominance_percent.value) else None


def _size(blocks: Iterable[_Block], material: Material) -> int:
    """Return the sum of absolute amounts; a part that is not known adds nothing."""
    return sum(abs(material.amounts.get(step, {}).get(point, 0)) for step, points in blocks for point in points)


@dataclass(slots=True)
class _Classes:
    """The classes into which published figures cut the atoms. `at`: step -> its blocks, each with its signature."""

    blocks: dict[_Signature, list[_Block]] = field(default_factory=lambda: defaultdict(list))
    at: dict[int, list[tuple[frozenset[str], _Signature]]] = field(default_factory=dict)

    @classmethod
    def of(cls, figures: Iterable[tuple[int, Parts]]) -> _Classes:
        """Cut; `figures` in the order of their numbers."""
        by_step: dict[int, list[tuple[int, frozenset[str]]]] = defaultdict(list)
        for number, parts in figures:
            for step, points in parts.items():
                if points:
                    by_step[step].append((number, points))
        made = cls()
        for step, sets in by_step.items():
            made.at[step] = _cut(sets)
            for points, signature in made.at[step]:
                made.blocks[signature].append((step, points))
        return made

    def meeting(self, parts: Parts) -> tuple[dict[_Signature, int], bool]:
        """Return the classes that share atoms with `parts`, with how many, and whether they cover all of it."""
        shared: dict[_Signature, int] = defaultdict(int)
        whole = True
        for step, points in parts.items():
            found = 0
            for block, signature in self.at.get(step, ()):
                both = len(block & points)
                if both:
                    shared[signature] += both
                    found += both
            whole = whole and found == len(points)
        return shared, whole

    def atoms(self, signature: _Signature) -> int:
        """Return how many atoms a class has."""
        return sum(len(points) for _, points in self.blocks[signature])


def _cut(sets: Sequence[tuple[int, frozenset[str]]]) -> list[tuple[frozenset[str], _Signature]]:
    """Cut the points of one step into the blocks that the sets tell apart."""
    blocks: list[tuple[frozenset[str], _Signature]] = []
    for number, points in sets:
        rest, finer = points, []
        for block, signature in blocks:
            both = block & rest
            if not both:
                finer.append((block, signature))
                continue
            finer.append((both, (*signature, number)))
            if len(both) < len(block):
                finer.append((block - both, signature))
            rest -= both
        if rest:
            finer.append((rest, (number,)))
        blocks = finer
    return blocks


def _choices(
    bad: Collection[_Signature],
    classes: _Classes,
    faulty: Callable[[Sequence[_Block]], bool],
    cost: Callable[[int], tuple[int, int, int]],
) -> dict[int, Check]:
    """Return, for classes that tell too much, the cells to give up: those missed least among those that mend one.

    A class is mended by joining it to one that more cells contain, once those are given up, or by giving up one that
    contains it itself.
    """
    containing: dict[int, list[_Signature]] = defaultdict(list)
    by_past: dict[_Signature, set[int]] = defaultdict(set)
    for sig in classes.blocks:
        by_past[tuple(number for number in sig if number < 0)].update(number for number in sig if number >= 0)
        for number in sig:
            containing[number].append(sig)
    chosen: dict[int, Check] = {}
    for sig in sorted(bad):
        blocks = classes.blocks[sig]
        near = min((containing[number] for number in sig), key=len)[:CANDIDATES_MAX]
        options = []
        for other in near:
            more = set(other) - set(sig)
            if more and min(more) >= 0 and set(sig) < set(other) and not faulty([*blocks, *classes.blocks[other]]):
                options.append(more)
        own = [number for number in sig if number >= 0]
        for number in own:
            rest = tuple(one for one in sig if one != number)
            if not rest or (rest in classes.blocks and not faulty([*blocks, *classes.blocks[rest]])):
                options.append({number})
        # Nothing mends it by itself: give up what contains it, or what split it off an earlier figure.
        options = options or [{number} for number in own or by_past[sig]]
        if options:
            least = min(options, key=lambda cells: sorted(map(cost, cells), reverse=True))
            chosen.update(dict.fromkeys(least, Check.SECONDARY))
    past = {number for sig in classes.blocks if sig[0] < 0 for number in sig}
    return {number: Check.EARLIER_RELEASE if number in past else check for number, check in chosen.items()}


class _Table:
    """The cells still to be published, while more and more are given up. `why`: for those that were."""

    def __init__(
        self,
        cells: Sequence[Cell],
        before: tuple[Sequence[Parts], Sequence[Parts], Sequence[Parts]],
        material: Material,
        profile: Profile,
        published: set[int],
    ) -> None:
        self._cells, self._material, self._profile = cells, material, profile
        earlier, related, secret = before
        self._earlier = [(-1 - n, parts) for n, parts in enumerate(earlier)]
        self._related = [(-1 - len(earlier) - n, parts) for n, parts in enumerate(related)]
        self.published = published
        self.why: dict[int, Check] = {}
        self._secret = [(parts, _size(_blocks_of(parts), material)) for parts in secret if any(parts.values())]
        self._amount = [_size(_blocks_of(cell.parts), material) for cell in cells]

    def _classes(self, before: Sequence[tuple[int, Parts]]) -> _Classes:
        own = ((n, self._cells[n].parts) for n in sorted(self.published))
        return _Classes.of([*before, *own])

    def give_up(self) -> bool:
        """Give up cells that, together with others, would tell too much; say whether there were any."""
        if not self.published:
            return False
        classes = self._classes(self._earlier)
        bad = {sig for sig, blocks in classes.blocks.items() if self._fault(blocks)}
        chosen = _choices(bad, classes, self._fault, self._cost) if bad else {}
        if not chosen and self._related:
            every = self._classes([*self._earlier, *self._related])
            few = {sig for sig, blocks in every.blocks.items() if self._few(blocks)}
            chosen = dict.fromkeys(_choices(few, every, self._few, self._cost), Check.RELATED_RELEASE)
        if not chosen:
            near = set(self._too_near(classes))
            chosen = _choices(near, classes, self._fault, self._cost)
        self.published -= chosen.keys()
        self.why.update(chosen)
        return bool(chosen)

    def _fault(self, blocks: Sequence[_Block]) -> bool:
        return _fault(blocks, self._material, self._profile) is not None

    def _few(self, blocks: Sequence[_Block]) -> bool:
        return _few(blocks, self._material, self._profile) is not None

    def _cost(self, number: int) -> tuple[int, int, int]:
        return self._cells[number].rank, self._amount[number], number

    def _too_near(self, classes: _Classes) -> Iterator[_Signature]:
        """Yield the classes by which a cell that was kept back for its own sake is bounded too closely."""
        nearness = self._profile.nearness_percent.value
        for parts, amount in self._secret:
            shared, whole = classes.meeting(parts)
            sizes = {sig: _size(classes.blocks[sig], self._material) for sig in shared}
            inside = {sig for sig, count in shared.items() if count == classes.atoms(sig)}
            if whole and sum(sizes.values()) * nearness < amount * 100:
                yield from shared.keys() - inside
            if sum(sizes[sig] for sig in inside) * 100 > nearness * amount > 0:
                yield from inside

    def restore(self) -> None:
        """Publish after all what is a sum of whole classes: it tells nothing that the rest does not."""
        tables = [self._classes(self._earlier)]
        if self._related:
            tables.append(self._classes([*self._earlier, *self._related]))
        for number in sorted(self.why):
            if all(_is_sum(classes, self._cells[number].parts) for classes in tables):
                self.published.add(number)


def _is_sum(classes: _Classes, parts: Parts) -> bool:
    shared, whole = classes.meeting(parts)
    return whole and all(count == classes.atoms(sig) for sig, count in shared.items())
