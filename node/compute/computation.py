"""What is computed at the holder, named by a hash: a reviewed operation with its parameters, or a WASM module.

How it works
    A consent may name a computation (`Terms.computation`, 32 bytes): then only its result leaves. The hash is SHA-256
    over the deterministic CBOR of the description, and the description says everything that the result depends on:
        ["maille computation 1", "operation", name, version, [[parameter, value], ...], step]
        ["maille computation 1", "module", ABI, SHA-256 of the module, fuel, memory bytes, output bytes, step]
    `step` says over what one result is: "" the whole of a granted window; "P1D", "P1M", "P1Y" each day, month, year
    of the calendar (UTC) that lies in it whole. There is no finer step, and none that the recipient could shift:
    sums over windows that overlap at will would give the readings away.

What it does not do
    It computes nothing (operations, module). That a result tells little is for the person to judge who consents: a
    module may put as much of the readings into its output as that has bytes, so its limit is part of the hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from ledger import codec
from ledger.consent.record import Window
from ledger.errors import LocalError, RemoteError

FUEL_MAX: Final = 1_000_000_000
"""WASM instructions that one run may use, at most: about a second."""
MEMORY_BYTES_MAX: Final = 64 << 20
OUTPUT_BYTES_MAX: Final = 1_024
"""Bytes of one result, at most."""
DESCRIPTION_BYTES_MAX: Final = 2_048
PARAMETERS_MAX: Final = 8
STEPS: Final = ("", "P1D", "P1M", "P1Y")
"""Over what one result is; "" is a whole granted window."""
STEPS_MAX: Final = 4_000
"""Results of one series at a time: ten years of days."""
ABI: Final = 1
_MARK: Final = "maille computation 1"
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One of the closed set of operations (operations.OPERATIONS). `parameters`: in order of their names."""

    name: str
    version: int
    parameters: tuple[tuple[str, int], ...]
    step: str

    def encode(self) -> bytes:
        """Return the canonical description."""
        parameters: list[Any] = [list(pair) for pair in self.parameters]
        return codec.encode([_MARK, "operation", self.name, self.version, parameters, self.step])

    @property
    def hash(self) -> bytes:
        """The name by which a consent knows it: 32 bytes."""
        return hashlib.sha256(self.encode()).digest()


@dataclass(frozen=True, slots=True)
class Brought:
    """A WASM module that somebody brought. `sha256`: of its bytes; the limits are those of one run."""

    sha256: bytes
    fuel: int
    memory_bytes: int
    output_bytes: int
    step: str

    def encode(self) -> bytes:
        """Return the canonical description."""
        limits = [self.fuel, self.memory_bytes, self.output_bytes]
        return codec.encode([_MARK, "module", ABI, self.sha256, *limits, self.step])

    @property
    def hash(self) -> bytes:
        """The name by which a consent knows it: 32 bytes."""
        return hashlib.sha256(self.encode()).digest()


Computation: TypeAlias = Reviewed | Brought
"""Either kind."""


def brought(wasm: bytes, step: str, *, fuel: int, memory_bytes: int, output_bytes: int) -> Brought:
    """Describe a module. Raises LocalError BAD_COMPUTATION for limits or a step that there are not."""
    made = Brought(hashlib.sha256(wasm).digest(), fuel, memory_bytes, output_bytes, step)
    fault = _limits_fault(made)
    if fault:
        raise LocalError("BAD_COMPUTATION", fault[1], field=fault[0])
    return made


def read_computation(data: bytes) -> Computation:
    """Read a description, in shape; whether its operation exists is for operations.check. Raises BAD_COMPUTATION."""
    if len(data) > DESCRIPTION_BYTES_MAX:
        raise _bad("description", f"A description has at most {DESCRIPTION_BYTES_MAX} bytes.")
    value: Any = codec.decode(data)
    match value:
        case [str(mark), "operation", str(name), int(version), list(pairs), str(step)] if mark == _MARK:
            reviewed = Reviewed(name, version, tuple(_pair(pair) for pair in pairs), step)
            ordered = sorted({name for name, _ in reviewed.parameters})
            if len(pairs) > PARAMETERS_MAX or [name for name, _ in reviewed.parameters] != ordered:
                raise _bad("parameters", "Parameters stand once each, in order of their names.")
            if step not in STEPS:
                raise _bad("step", _STEP_WORDS)
            return reviewed
        case [str(mark), "module", int(abi), bytes(sha256), int(fuel), int(memory), int(output), str(step)] if (
            mark == _MARK and abi == ABI and len(sha256) == 32
        ):
            made = Brought(sha256, fuel, memory, output, step)
            fault = _limits_fault(made)
            if fault:
                raise _bad(*fault)
            return made
        case _:
            raise _bad("description", "This describes no computation that this version knows.")


_STEP_WORDS: Final = 'A step is "" (the whole window), P1D, P1M or P1Y.'


def _pair(value: Any) -> tuple[str, int]:
    match value:
        case [str(name), int(number)] if type(number) is int:
            return name, number
        case _:
            raise _bad("parameters", "A parameter is a name and a whole number.")


def _limits_fault(made: Brought) -> tuple[str, str] | None:
    if made.step not in STEPS:
        return "step", _STEP_WORDS
    for name, value, most in (
        ("fuel", made.fuel, FUEL_MAX),
        ("memory_bytes", made.memory_bytes, MEMORY_BYTES_MAX),
        ("output_bytes", made.output_bytes, OUTPUT_BYTES_MAX),
    ):
        if type(value) is not int or not 1 <= value <= most:
            return name, f"It lies between 1 and {most}."
    return None


def windows_of(step: str, granted: tuple[Window, ...], wanted: Window | None) -> list[Window]:
    """Return over which windows there are results: whole steps, inside a granted window and inside `wanted`.

    Raises LocalError TOO_MANY_STEPS.
    """
    found: list[Window] = []
    for window in granted:
        for start, stop in [window] if not step else _calendar(step, window):
            if wanted is None or (wanted[0] <= start and stop <= wanted[1]):
                found.append((start, stop))
                if len(found) > STEPS_MAX:
                    told = f"this asks for more than {STEPS_MAX} results; take a shorter window"
                    raise LocalError("TOO_MANY_STEPS", told, field="window")
    return found


def _calendar(step: str, window: Window) -> Iterator[Window]:
    """Yield the whole days, months or years (UTC) inside a window."""
    start, stop = window
    at = start - start % _DAY
    if step != "P1D":
        day = datetime.fromtimestamp(start, UTC)
        at = _unix(day.year, day.month if step == "P1M" else 1)
    while at < stop:
        after = _next(step, at)
        if at >= start and after <= stop:
            yield at, after
        at = after


def _next(step: str, at: int) -> int:
    if step == "P1D":
        return at + _DAY
    day = datetime.fromtimestamp(at, UTC)
    if step == "P1Y":
        return _unix(day.year + 1, 1)
    return _unix(day.year + day.month // 12, day.month % 12 + 1)


def _unix(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())


def _bad(field: str, message: str) -> RemoteError:
    return RemoteError("BAD_COMPUTATION", message, field=field)
