"""The closed set of reviewed operations over readings, in exact arithmetic.

How it works
    `OPERATIONS` is the table: what each operation is for, its parameters, its version, and two sentences that a
    person can read. `run` computes one result over the records of a window. A result says from how many records it
    was made, how many had no value, and whether the window was covered whole: nothing is filled in, and a predicate
    about readings that are not all there is "unknown" unless those that are there decide it.
    Values are exact fractions, written as decimals of at most six places (half to even).

What it does not do
    It reads no vault and judges no consent. A new operation, or another meaning of an old one, gets a new name or a
    new version, and so another hash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from ledger.consent.record import Window
from ledger.errors import LocalError
from node.compute.computation import PARAMETERS_MAX, STEPS, Computation, Reviewed
from node.readings import Series

PLACES: Final = 6
"""Decimal places of a value, at most."""
UNKNOWN: Final = "unknown"
_HOUR: Final = 3_600
_LIMIT: Final = 1 << 62  # of a parameter


@dataclass(frozen=True, slots=True)
class Read:
    """The records with a value in a window: (value, seconds). `complete`: nothing of the window is missing."""

    unit: str
    kind: str
    rows: tuple[tuple[Fraction, int], ...]
    records: int
    gaps: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation gives. `value`: a decimal, "yes", "no", "unknown", or "" where there is no such number."""

    value: str
    unit: str
    records: int
    gaps: int
    complete: bool


Run = Callable[[Read, dict[str, int], Read | None], tuple[str, str]]
"""(records, parameters, records of the reference window) -> value and unit."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table. `kinds`: of series it is for. `words`: English, French; {name} is a parameter."""

    name: str
    version: int
    kinds: tuple[str, ...]
    parameters: tuple[str, ...]
    words: tuple[str, str]
    run: Run


def _total(read: Read) -> tuple[Fraction, str]:
    """Return the sum: of a load curve its energy, watts times seconds."""
    if read.kind == "load_curve":
        return sum((value * seconds for value, seconds in read.rows), Fraction(0)) / _HOUR, "Wh"
    return sum((value for value, _ in read.rows), Fraction(0)), read.unit


def _average(read: Read) -> Fraction:
    """Return the mean, weighted by time where records last."""
    weights = sum(seconds for _, seconds in read.rows)
    if weights:
        return sum((value * seconds for value, seconds in read.rows), Fraction(0)) / weights
    return sum((value for value, _ in read.rows), Fraction(0)) / len(read.rows)


def _sum(read: Read, _: dict[str, int], __: Read | None) -> tuple[str, str]:
    total, unit = _total(read)
    return (decimal(total) if read.rows else ""), unit


def _mean(read: Read, _: dict[str, int], __: Read | None) -> tuple[str, str]:
    return (decimal(_average(read)) if read.rows else ""), read.unit


def _maximum(read: Read, _: dict[str, int], __: Read | None) -> tuple[str, str]:
    return (decimal(max(value for value, _ in read.rows)) if read.rows else ""), read.unit


def _count_above(read: Read, parameters: dict[str, int], _: Read | None) -> tuple[str, str]:
    return str(sum(value > parameters["threshold"] for value, _ in read.rows)), "records"


def _load_factor(read: Read, _: dict[str, int], __: Read | None) -> tuple[str, str]:
    peak = max((value for value, _ in read.rows), default=Fraction(0))
    return (decimal(100 * _average(read) / peak) if peak > 0 else ""), "%"


def _sum_below(read: Read, parameters: dict[str, int], _: Read | None) -> tuple[str, str]:
    total, _unit = _total(read)
    if not read.complete:  # what is missing may be more or, where values can be negative, less
        rising = all(value >= 0 for value, _ in read.rows) and total >= parameters["threshold"]
        return ("no" if rising else UNKNOWN), ""
    return ("yes" if total < parameters["threshold"] else "no"), ""


def _maximum_below(read: Read, parameters: dict[str, int], _: Read | None) -> tuple[str, str]:
    if any(value >= parameters["threshold"] for value, _ in read.rows):
        return "no", ""
    return ("yes" if read.complete else UNKNOWN), ""


def _compared(read: Read, _: dict[str, int], reference: Read | None) -> tuple[str, str]:
    base = _total(reference)[0] if reference is not None else Fraction(0)
    whole = reference is not None and reference.complete and read.complete
    return (decimal(100 * _total(read)[0] / base) if whole and base > 0 else ""), "%"


def _advance(read: Read, _: dict[str, int], __: Read | None) -> tuple[str, str]:
    return (decimal(read.rows[-1][0] - read.rows[0][0]) if len(read.rows) > 1 else ""), read.unit


_SUMS: Final = ("load_curve", "daily")
OPERATIONS: Final[dict[str, Operation]] = {
    operation.name: operation
    for operation in (
        Operation("sum", 1, _SUMS, (), ("The total consumed or produced.", "Le total consommé ou produit."), _sum),
        Operation("mean", 1, _SUMS, (), ("The mean of the readings.", "La moyenne des relevés."), _mean),
        Operation(
            "maximum",
            1,
            (*_SUMS, "max_power"),
            (),
            ("The highest reading.", "Le relevé le plus élevé."),
            _maximum,
        ),
        Operation(
            "count_above",
            1,
            (*_SUMS, "max_power"),
            ("threshold",),
            ("How many readings lie above {threshold}.", "Combien de relevés dépassent {threshold}."),
            _count_above,
        ),
        Operation(
            "load_factor",
            1,
            ("load_curve",),
            (),
            ("The mean power as a share of the highest.", "La puissance moyenne rapportée à la plus élevée."),
            _load_factor,
        ),
        Operation(
            "sum_below",
            1,
            _SUMS,
            ("threshold",),
            (
                "Whether the total is below {threshold}: yes or no.",
                "Si le total est inférieur à {threshold} : oui ou non.",
            ),
            _sum_below,
        ),
        Operation(
            "maximum_below",
            1,
            (*_SUMS, "max_power"),
            ("threshold",),
            (
                "Whether every reading is below {threshold}: yes or no.",
                "Si tous les relevés sont inférieurs à {threshold} : oui ou non.",
            ),
            _maximum_below,
        ),
        Operation(
            "compared",
            1,
            _SUMS,
            ("reference_start", "reference_stop"),
            (
                "The total as a share of that of the time from {reference_start} to {reference_stop} (Unix seconds).",
                "Le total rapporté à celui du temps de {reference_start} à {reference_stop} (secondes Unix).",
            ),
            _compared,
        ),
        Operation(
            "advance",
            1,
            ("index",),
            (),
            ("How far the index has moved.", "De combien l'index a avancé."),
            _advance,
        ),
    )
}
"""Every reviewed operation by its name."""


def reviewed(name: str, parameters: dict[str, int], step: str) -> Reviewed:
    """Describe an operation. Raises LocalError NO_SUCH_OPERATION, BAD_COMPUTATION."""
    if name not in OPERATIONS:
        told = f"there is no such operation; there are {', '.join(OPERATIONS)}"
        raise LocalError("NO_SUCH_OPERATION", told, field="operation")
    made = Reviewed(name, OPERATIONS[name].version, tuple(sorted(parameters.items())), step)
    check(made)
    return made


def check(computation: Reviewed) -> Operation:
    """Return the operation that a description names. Raises LocalError NO_SUCH_OPERATION, BAD_COMPUTATION."""
    found = OPERATIONS.get(computation.name)
    if found is None or found.version != computation.version:
        raise LocalError("NO_SUCH_OPERATION", "this version knows no such operation", field="operation")
    names = tuple(name for name, _ in computation.parameters)
    if names != tuple(sorted(found.parameters)) or len(names) > PARAMETERS_MAX:
        wanted = ", ".join(found.parameters) or "none"
        raise LocalError("BAD_COMPUTATION", f"the parameters of {found.name} are: {wanted}", field="parameters")
    if any(abs(value) > _LIMIT for _, value in computation.parameters) or computation.step not in STEPS:
        raise LocalError("BAD_COMPUTATION", "a parameter is too large, or there is no such step", field="parameters")
    reference = reference_of(computation)
    if reference is not None and not 0 <= reference[0] < reference[1]:
        raise LocalError("BAD_COMPUTATION", "the reference period ends before it begins", field="reference_stop")
    return found


def reference_of(computation: Reviewed) -> Window | None:
    """Return the window that results are compared with, if any: it must be granted too."""
    values = dict(computation.parameters)
    if "reference_start" not in values or "reference_stop" not in values:
        return None
    return values["reference_start"], values["reference_stop"]


def words_of(computation: Reviewed, lang: str = "en") -> str:
    """Return what an operation does, in a sentence a person can read."""
    return check(computation).words[1 if lang == "fr" else 0].format(**dict(computation.parameters))


def in_words(computation: Computation, lang: str = "en") -> str:
    """Return what a computation gives, reviewed or brought, in a sentence a person can read."""
    if isinstance(computation, Reviewed):
        return words_of(computation, lang)
    if lang == "fr":
        return f"Ce que donne un module, au plus {computation.output_bytes} octets par résultat."
    return f"What a module gives: at most {computation.output_bytes} bytes a result."


def read_window(pieces: Sequence[Series], window: Window) -> Read:
    """Return the records of one series in a window. `pieces`: its chunks, in order."""
    rows: list[tuple[Fraction, int]] = []
    at, records, gaps, whole = window[0], 0, 0, True
    unit, kind, instants = "", "", False
    for piece in pieces:
        unit, kind, instants = piece.key.unit, piece.key.kind, piece.key.is_instant
        for reading in piece.window(*window):
            records += 1
            whole = whole and reading.start == at
            at = reading.start + reading.duration_s
            if reading.value is None:
                gaps += 1
            else:
                rows.append((Fraction(reading.value), reading.duration_s))
    covered = records > 0 if instants else whole and at == window[1]
    return Read(unit, kind, tuple(rows), records, gaps, covered and not gaps)


def run(computation: Reviewed, pieces: Sequence[Series], window: Window) -> Outcome:
    """Compute one result over a window of one series; `pieces` hold at least the window and the reference.

    Raises LocalError NOT_FOR_KIND where the operation is not for series of this kind.
    """
    operation = check(computation)
    if any(piece.key.kind not in operation.kinds for piece in pieces):
        told = f"{operation.name} is for series of kind {', '.join(operation.kinds)}"
        raise LocalError("NOT_FOR_KIND", told, field="kind")
    read = read_window(pieces, window)
    compared = reference_of(computation)
    reference = read_window(pieces, compared) if compared is not None else None
    value, unit = operation.run(read, dict(computation.parameters), reference)
    return Outcome(value, unit, read.records, read.gaps, read.complete)


def decimal(value: Fraction) -> str:
    """Write a fraction as a decimal: at most six places, half to even, no trailing zero."""
    scaled = round(value * 10**PLACES)
    whole, rest = divmod(abs(scaled), 10**PLACES)
    text = f"{whole}.{rest:0{PLACES}}".rstrip("0").rstrip(".")
    return f"-{text}" if scaled < 0 else text
