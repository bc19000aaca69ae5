"""The result of a computation as it travels and is kept: one small CBOR map, in the place of a pack of readings.

How it works
    {"result": [1, computation, point, [energy, direction, kind], granularity, [start, stop], value, unit, records,
    gaps, complete]}, deterministic. Point, kind, granularity and window are of the readings it was computed on, so
    that the gate at either end holds it against the consent as it would them. A pack of readings is a CBOR list, a
    result a map: the first byte tells them apart.

What it does not do
    It carries no reading, and cannot show that the computation was done right: that rests on the holder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.granularity import is_duration
from ledger.consent.record import ENERGIES, DataKind, Window
from ledger.errors import RemoteError
from ledger.schema import TIME_MAX
from node.compute.computation import OUTPUT_BYTES_MAX

RESULT_BYTES_MAX: Final = 4_096
_TEXT_MAX: Final = 64
_COUNT_MAX: Final = 1 << 40
_MAP: Final = 5  # CBOR major type


@dataclass(frozen=True, slots=True)
class Result:
    """One result. `value`: a text (operations.Outcome), or the bytes that a module gave.

    `records`, `gaps`: of what it was computed on; `complete`: nothing of the window was missing.
    """

    computation: bytes
    point: str
    kind: DataKind
    granularity: str
    window: Window
    value: str | bytes
    unit: str
    records: int
    gaps: int
    complete: bool

    def encode(self) -> bytes:
        """Return the bytes that travel."""
        where: list[Any] = [self.point, list(self.kind), self.granularity, list(self.window)]
        what: list[Any] = [self.value, self.unit, self.records, self.gaps, self.complete]
        return codec.encode({"result": [1, self.computation, *where, *what]})


def is_result(pack: bytes) -> bool:
    """Say whether a pack is a result, and not readings."""
    return bool(pack) and pack[0] >> 5 == _MAP


def read_result(pack: bytes) -> Result:
    """Read a result. Raises RemoteError BAD_RESULT, or a code of the codec."""
    value: Any = codec.decode(pack, max_bytes=RESULT_BYTES_MAX)
    match value:
        case {"result": [1, bytes(computation), str(point), [str(), str(), str()] as kind, *rest], **more} if not more:
            pass
        case _:
            raise _bad("result", "This is no result of version 1.")
    match rest:
        case [str(granularity), [int(start), int(stop)], str() | bytes() as told, str(unit), records, gaps, complete]:
            pass
        case _:
            raise _bad("result", "This is no result of version 1.")
    if len(computation) != 32 or kind[0] not in ENERGIES or not is_duration(granularity):
        raise _bad("result", "Its computation, kind or granularity is none.")
    if not 0 <= start < stop <= TIME_MAX:
        raise _bad("window", "Its window ends before it begins.")
    if len(told) > (OUTPUT_BYTES_MAX if isinstance(told, bytes) else _TEXT_MAX) or max(len(unit), len(point)) > 64:
        raise _bad("value", "A value, unit or point is too long.")
    counts = [type(count) is int and 0 <= count <= _COUNT_MAX for count in (records, gaps)]
    if not all(counts) or type(complete) is not bool:
        raise _bad("records", "Its counts are not counts.")
    return Result(computation, point, DataKind(*kind), granularity, (start, stop), told, unit, records, gaps, complete)


def _bad(field: str, message: str) -> RemoteError:
    return RemoteError("BAD_RESULT", message, field=field)
