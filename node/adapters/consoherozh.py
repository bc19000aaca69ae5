"""Readings as the columns of Conso Herozh, the dashboard of the Consometers, made of the JSON twin of Quoalise.

How it works
    Conso Herozh keeps values of a device by moment and name. Each record of the twin becomes its rows:

        device,dateValue,name,value
        12345678901234,2021-01-07T13:00:00Z,,1061
        12345678901234,2021-01-07T13:00:00Z,baseinst,530.5

    The name is empty for the mean power in W, "baseinst" for the energy of that step in Wh, "basesum" for the energy
    of a day in Wh (m3 or l as they are), "baseindex" for a register, "max" for the day's peak. A device of what is of
    no real meter is called fictitious-….

What it does not do
    A gap has no row: the dashboard draws a value that is missing as none, and one that is there as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from node.adapters.adapter import Adapter, Parsed, Source
from node.adapters.numbers import plain
from node.adapters.quoalise import read_json, write_json
from node.adapters.stamps import in_utc
from node.readings import Series, Value

HEADER: Final = "device,dateValue,name,value"
"""The header line."""
_NAMES: Final = {"daily": "basesum", "index": "baseindex", "max_power": "max"}
_PER_KILO: Final = 1_000


def columns(twin: bytes) -> bytes:
    """Return the columns of what a JSON twin says. Raises RemoteError as `node.adapters.quoalise.read_json` does."""
    lines = [HEADER]
    for found in read_json(twin, Source("twin")):
        if isinstance(found, Parsed):
            lines += _rows(found.series)
    return ("\r\n".join(lines) + "\r\n").encode()


def write(series: Sequence[Series]) -> bytes:
    """Return series as the columns: by way of the twin, as the dashboard gets it. Raises LocalError NO_PLACE."""
    return columns(write_json(series))


def _rows(series: Series) -> Iterator[str]:
    key = series.key
    number = key.point.partition(":")[2]
    device = f"fictitious-{number}" if key.fictitious else number
    for reading in series:
        if reading.value is None:
            continue
        at = in_utc(reading.start)
        if key.kind == "load_curve":
            energy = Decimal(reading.value) * reading.duration_s / 3_600
            yield f"{device},{at},,{_text(reading.value)}"
            yield f"{device},{at},baseinst,{_text(plain(round(energy, 3)))}"
        else:
            kilo = key.unit == "kWh"
            value = plain(Decimal(reading.value) * _PER_KILO) if kilo else reading.value
            yield f"{device},{at},{_NAMES[key.kind]},{_text(value)}"


def _text(value: Value) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


ADAPTERS: Final = (Adapter("consoherozh", "Columns of Conso Herozh (CSV)", write=write),)
"""What `node.adapters.registry` lists of this module."""
