"""A published table as it is handed to another member, and what its recipient holds it to before keeping it.

How it works
    `Table` is what anyone may read of a release: its lines with a value or none, the thresholds with the source of each
    number, and its window; neither points nor counts, nor why a line was kept back. `fault` is the recipient's check,
    made from the table alone: the thresholds are at least as strict as its own, no line is named after a point of
    measurement, each line stands once and inside the window, and no line that was kept back follows from the others:
    where a total is given, not exactly one of its parts may be missing. `differences` compares a table with those
    that came from the same holder before.

What it does not do
    It cannot count people again: the recipient has no readings. The holder signs the table with its thresholds, and
    answers for them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.granularity import is_duration
from ledger.consent.record import DATE_MAX, ENERGIES, KINDS_OF_DATA, DataKind, Window
from ledger.consent.thresholds import Profile
from ledger.errors import LocalError, RemoteError
from node.vaults.releases import Release, Source

TABLE_BYTES_MAX: Final = 1 << 20
"""Bytes of a table that is handed over: some thirty thousand lines."""
TEXT_MAX: Final = 300
_VERSION: Final = 1
_POINT: Final = re.compile(r"(?:prm|pce|water|heat):|\d{14}")
_VALUE: Final = re.compile(r"-?\d{1,30}(?:\.\d{1,12})?", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_AT_LEAST: Final = frozenset({"min_holders", "min_points"})
Line = tuple[str, Window, str]
"""Group ("" for all), [start, stop) in unix seconds, value ("" where it was kept back)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A published table. `id`: of the release; `numbers`: [name, value, source, confidence] of its thresholds."""

    id: bytes
    name: str
    at: int
    source: Source
    unit: str
    step: str
    window: Window
    profile: str
    numbers: tuple[tuple[str, int, str, str], ...]
    lines: tuple[Line, ...]

    @property
    def kind(self) -> DataKind:
        """The category of data that was summed, in the words of consents."""
        direction = "production" if self.source.direction == "injection" else "consumption"
        return DataKind(self.source.energy, direction, self.source.kind)

    @property
    def place(self) -> str:
        """What the gate is told that this is of: its name, else "all"."""
        return self.name or "all"

    @classmethod
    def of(cls, release: Release) -> Table:
        """Return what anyone may read of a release."""
        lines = tuple((one.group, one.window, one.value if one.released else "") for one in release.figures)
        what = (release.id, release.name, release.at, release.source, release.unit, release.step, release.window)
        return cls(*what, release.profile, release.numbers, lines)

    def encode(self) -> bytes:
        """Return its bytes. Raises LocalError RELEASE_TOO_LARGE."""
        what = [self.id, self.name, self.at, self.source.value(), self.unit, self.step, list(self.window)]
        lines = [[group, list(window), value] for group, window, value in self.lines]
        data = codec.encode([_VERSION, *what, self.profile, [list(number) for number in self.numbers], lines])
        if len(data) > TABLE_BYTES_MAX:
            told = f"a table that is handed over has at most {TABLE_BYTES_MAX} bytes; publish a shorter window"
            raise LocalError("RELEASE_TOO_LARGE", told)
        return data

    @classmethod
    def decode(cls, data: bytes) -> Table:
        """Read what another node wrote. Raises RemoteError CBOR_*, BAD_TABLE."""
        match codec.decode(data, max_bytes=TABLE_BYTES_MAX):
            case [
                1,
                bytes(ident),
                str(name),
                int(at),
                [str(energy), str(direction), str(kind), str(granularity), str(unit_of), bool(fictitious)],
                str(unit),
                str(step),
                [int(since), int(until)],
                str(profile),
                list(numbers),
                list(lines),
            ] if len(ident) == 16:
                source = Source(energy, direction, kind, granularity, unit_of, fictitious)
                what = (ident, name, at, source, unit, step, (since, until), profile)
                made = cls(*what, tuple(map(_number, numbers)), tuple(map(_line, lines)))
            case _:
                raise _bad("it is no table of this version")
        if max(map(len, (name, unit, step, profile, granularity, unit_of))) > TEXT_MAX:
            raise _bad(f"a text in it has more than {TEXT_MAX} characters")
        known = energy in ENERGIES and direction in ("consumption", "injection") and kind in KINDS_OF_DATA
        if not known or not is_duration(granularity) or (step and not is_duration(step)):
            raise _bad("the readings that it sums, or its step, are unknown here")
        if not 0 <= since < until <= DATE_MAX or not 0 <= at <= DATE_MAX:
            raise _bad("its window, or the time when it was made, is none")
        said = (name, unit, profile, unit_of, *(group for group, _, _ in made.lines))
        if any(map(_CONTROL.search, (*said, *(text for one in made.numbers for text in (one[0], one[2], one[3]))))):
            raise _bad("a text in it has a control character, which would break the lines of a file")
        return made


def _number(value: Any) -> tuple[str, int, str, str]:
    match value:
        case [str(name), int(number), str(source), str(confidence)] if type(number) is int and (
            max(map(len, (name, source, confidence))) <= TEXT_MAX
        ):
            return name, number, source, confidence
        case _:
            raise _bad("a threshold is [name, number, source, confidence]")


def _line(value: Any) -> Line:
    match value:
        case [str(group), [int(start), int(stop)], str(figure)] if (
            0 <= start < stop <= DATE_MAX and len(group) <= TEXT_MAX
        ):
            if figure and not _VALUE.fullmatch(figure):
                raise _bad("a value is a decimal number")
            return group, (start, stop), figure
        case _:
            raise _bad("a line is [group, [start, stop], value]")


def _bad(why: str) -> RemoteError:
    return RemoteError("BAD_TABLE", f"the table that was sent cannot be kept: {why}", field="table")


def fault(table: Table, own: Profile) -> str:
    """Return why a table does not pass, as a stable code; "" when it does. `own`: the recipient's thresholds."""
    told = {name: value for name, value, _, _ in table.numbers}
    for name, number in own.numbers().items():
        value = told.get(name)
        if value is None or (value < number.value if name in _AT_LEAST else value > number.value):
            return "THRESHOLDS_WEAKER"
    if any(_POINT.search(text) for text in (table.name, *(group for group, _, _ in table.lines))):
        return "PERSONAL_POINT"
    places = [(group, window) for group, window, _ in table.lines]
    inside = all(table.window[0] <= start and stop <= table.window[1] for _, (start, stop) in places)
    if len(set(places)) != len(places) or not inside:
        return "BAD_TABLE"
    if not any(value for _, _, value in table.lines):
        return "RELEASE_REFUSED"
    return "KEPT_BACK_FOLLOWS" if _follows(table) else ""


def _follows(table: Table) -> bool:
    """Say whether a line without a value follows from a total and the other lines."""
    value = {(group, window): figure for group, window, figure in table.lines}
    by_window: dict[Window, list[str]] = defaultdict(list)
    by_group: dict[str, list[str]] = defaultdict(list)
    for (group, window), figure in value.items():
        if group:
            by_window[window].append(figure)
        if window != table.window:
            by_group[group].append(figure)
    over_groups = (_one_missing(value.get(("", window), ""), parts) for window, parts in by_window.items())
    over_time = (_one_missing(value.get((group, table.window), ""), parts) for group, parts in by_group.items())
    return any(over_groups) or any(over_time)


def _one_missing(total: str, parts: Iterable[str]) -> bool:
    return bool(total) and sum(not part for part in parts) == 1


def differences(tables: Iterable[Table]) -> list[int]:
    """Return of each table of one holder, oldest first, how many lines tell more together with an earlier table.

    Either the same figure stands there with another value (the difference is of those who came or left: few, maybe
    one), or one of the two keeps back what the other tells. Only lines of the same readings, group and window are
    compared; what other sums would tell is not looked for.
    """
    seen: dict[tuple[Source, str, str, Window], set[str]] = defaultdict(set)
    found = []
    for table in tables:
        places = [((table.source, table.unit, group, window), value) for group, window, value in table.lines]
        found.append(sum(bool(seen[place] - {value}) for place, value in places))
        for place, value in places:
            seen[place].add(value)
    return found
