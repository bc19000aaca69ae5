"""Which requirements and which systems of the founding documents something that ran bears out (`scenario matrix`).

How it works
    simulations/cover.toml names every requirement and every system by the number or name it has in
    ../shared/reference, with a title in our own words, and excuses those that name no behaviour, each with its reason.
    Scenarios say what they bear out (`covers`), tests by the marker `covers`. A row counts as covered only by something
    that has run and passed: a scenario played now, or a line of a record that `pytest --cover=FILE` wrote
    (tests/covering.py). A record says of which commit it is and when it was made.

What it does not do
    It believes no list: a name in a scenario or marker that is no row is refused, and a test that was not run counts
    for nothing. Whether a marker is true is for a reader to judge.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import LocalError, RemoteError

TABLE: Final = Path(__file__).parent / "cover.toml"
SYSTEM: Final = "system:"
"""What stands before a system's name in `covers`."""
RECORD_BYTES_MAX: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows: name -> title; and why some are excused: name -> reason. Systems begin with `system:`."""

    requirements: Mapping[str, str]
    systems: Mapping[str, str]
    excused: Mapping[str, str]

    def check(self, names: Iterable[str], where: str) -> None:
        """Raise LocalError UNKNOWN_ROW for a name that is no row."""
        for name in names:
            if name not in self.requirements and name not in self.systems:
                raise LocalError("UNKNOWN_ROW", f"{where} covers {name!r}, which simulations/cover.toml does not list")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ran and passed: name of a test -> the rows it bears out. `commit`: "" where it is not known."""

    commit: str
    made: str
    tests: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Row -> what bears it out, by name; and what nothing does, excused or not."""

    requirements: Mapping[str, tuple[str, ...]]
    systems: Mapping[str, tuple[str, ...]]
    uncovered: tuple[str, ...]
    excused: Mapping[str, str]


def rows() -> Rows:
    """Return the rows. Raises LocalError COVER_DAMAGED."""
    try:
        table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
        systems = {SYSTEM + name: title for name, title in table["systems"].items()}
        found = Rows(table["requirements"], systems, table["excused"])
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise LocalError("COVER_DAMAGED", f"{TABLE.name} cannot be read: {error}") from None
    found.check(found.excused, "the table of excuses")
    return found


def read_record(path: Path) -> Record:
    """Read what a run of the tests has left. Raises LocalError NOT_FOUND, RemoteError BAD_RECORD."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(RECORD_BYTES_MAX), type=Record)
    except OSError as error:
        raise LocalError("NOT_FOUND", f"{path} cannot be read: {error.strerror}", field="record") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RemoteError("BAD_RECORD", f"{path} is no record of `pytest --cover`: {error}") from None


def matrix(table: Rows, passed: Mapping[str, Iterable[str]]) -> Matrix:
    """Return what bears out each row. `passed`: name of a scenario or test that ran and passed -> its rows.

    Raises LocalError UNKNOWN_ROW. An excuse of a row that something covers is not shown.
    """
    found: dict[str, list[str]] = {name: [] for name in (*table.requirements, *table.systems)}
    for who, covered in sorted(passed.items()):
        names = tuple(covered)
        table.check(names, who)
        for name in names:
            found[name].append(who)
    bare = [name for name, by in found.items() if not by]
    return Matrix(
        {name: tuple(found[name]) for name in table.requirements},
        {name: tuple(found[name]) for name in table.systems},
        tuple(name for name in bare if name not in table.excused),
        {name: reason for name, reason in table.excused.items() if name in bare},
    )
