"""Aggregates that were published, with whose readings went into each figure: the vault's table `releases`.

| key | value |
|---|---|
| "r", number (8) | a release (`Release`) |
| "N" | how many there ever were |

How it works
    A figure keeps which points were counted in which stretch of time, since what may be published next depends on it;
    it keeps its value only if it was published. Readings are not copied: what a figure sums is read anew.
    Releases are never forgotten by themselves: what was published stays published.

What it does not do
    It judges nothing (ledger.consent.aggregate). The points it names are personal data, sealed like all of the vault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.record import Window
from ledger.errors import LocalError
from ledger.rows import Reader, Writer, prefix_stop

TABLE: Final = "releases"
ROW_BYTES_MAX: Final = 32 << 20
"""Bytes of one release."""
_RELEASE, _COUNT = b"r", b"N"


@dataclass(frozen=True, slots=True)
class Source:
    """Which readings were summed: two releases are of the same readings if this is the same."""

    energy: str
    direction: str
    kind: str
    granularity: str
    unit: str
    fictitious: bool

    def value(self) -> list[Any]:
        """Return it as a CBOR list."""
        return [self.energy, self.direction, self.kind, self.granularity, self.unit, self.fictitious]


Run = tuple[int, int, tuple[int, ...]]
"""[start, stop) in Unix seconds, and the points counted in it, as places in the release's list."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `group`, `window`: what its line says, "" for all groups. `value`: "" where it was not published.

    `check`: the code of its verdict (ledger.consent.aggregate.Check). `runs`: what was counted.
    """

    group: str
    window: Window
    value: str
    check: str
    runs: tuple[Run, ...]

    @property
    def released(self) -> bool:
        """Whether it was published."""
        return self.check == "RELEASED"


@dataclass(frozen=True, slots=True)
class Release:
    """One table that was published. `profile`: name and numbers as they applied: [name, value, source, confidence].

    `holders`: whose the points are, in their order. `unit`: of the figures. `step`: of its lines, "" for the whole
    window. `report`: [test, question, finding] lines.
    """

    id: bytes
    name: str
    at: int
    source: Source
    unit: str
    step: str
    window: Window
    profile: str
    numbers: tuple[tuple[str, int, str, str], ...]
    points: tuple[str, ...]
    holders: tuple[str, ...]
    figures: tuple[Figure, ...]
    report: tuple[tuple[str, str, str], ...]

    def encode(self) -> bytes:
        """Return the row."""
        figures = [
            [one.group, list(one.window), one.value, one.check, [[a, b, list(who)] for a, b, who in one.runs]]
            for one in self.figures
        ]
        what = [self.id, self.name, self.at, self.source.value(), self.unit, self.step, list(self.window)]
        rules = [self.profile, [list(number) for number in self.numbers]]
        return codec.encode(
            [1, *what, *rules, list(self.points), list(self.holders), figures, [list(line) for line in self.report]]
        )

    @classmethod
    def decode(cls, data: bytes) -> Release:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data, max_bytes=ROW_BYTES_MAX)
        _, ident, name, at, source, unit, step, window, profile, numbers, points, holders, figures, report = fields
        read = tuple(
            Figure(group, (since, until), value, check, tuple((a, b, tuple(who)) for a, b, who in runs))
            for group, (since, until), value, check, runs in figures
        )
        what = (ident, name, at, Source(*source), unit, step, (window[0], window[1]), profile)
        return cls(*what, tuple(map(tuple, numbers)), tuple(points), tuple(holders), read, tuple(map(tuple, report)))


class ReleaseRows:
    """The rows of this module."""

    def add(self, vault: Writer, release: Release) -> None:
        """Keep a release. Raises LocalError RELEASE_TOO_LARGE."""
        row = release.encode()
        if len(row) > ROW_BYTES_MAX:
            raise LocalError("RELEASE_TOO_LARGE", "this table is too large to be kept; take a shorter window")
        number = self.count(vault)
        vault.put(TABLE, _RELEASE + number.to_bytes(8, "big"), row)
        vault.put(TABLE, _COUNT, codec.encode(number + 1))

    def count(self, vault: Reader) -> int:
        """Return how many releases there ever were."""
        found = vault.get(TABLE, _COUNT)
        count: Any = codec.decode(found) if found is not None else 0
        return int(count)

    def listing(self, vault: Reader) -> Iterator[Release]:
        """Yield every release, the oldest first."""
        return (Release.decode(value) for _, value in vault.scan(TABLE, _RELEASE, prefix_stop(_RELEASE)))

    def find(self, vault: Reader, ident: str) -> Release:
        """Return the release whose id begins so. Raises LocalError NOT_FOUND, AMBIGUOUS."""
        found = [one for one in self.listing(vault) if one.id.hex().startswith(ident.lower())]
        if not found:
            raise LocalError("NOT_FOUND", "there is no such release; `maille aggregate list` shows them", field="id")
        if len(found) > 1:
            raise LocalError("AMBIGUOUS", f"{len(found)} releases begin so; give more of the id", field="id")
        return found[0]
