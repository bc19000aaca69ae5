"""WASM modules under limits: what they give, and the code with which each hostile one ends."""

from __future__ import annotations

import builtins
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError, RemoteError
from node.adapters import household
from node.compute.computation import MEMORY_BYTES_MAX, OUTPUT_BYTES_MAX, Brought, brought
from node.compute.module import WASM_BYTES_MAX, check_module, pack_readings, run_module
from tests.node.compute.modules import COUNT, HOSTILE, PEAK
from tests.node.series import series

wasmtime = pytest.importorskip("wasmtime", reason="the extra `compute` is not installed")

CURVE = household.load_curve(1, 1_700_000_000, 3, gaps=2)
DATA = pack_readings(CURVE)


def wasm(text: str) -> bytes:
    """Return a module's bytes. Some are refused as text already: then the text stands for them."""
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError:
        return text.encode()


def described(module: bytes, *, fuel: int = 2_000_000, output_bytes: int = 64) -> Brought:
    return brought(module, "", fuel=fuel, memory_bytes=4 << 20, output_bytes=output_bytes)


def run(text: str, **limits: Any) -> bytes:
    module = wasm(text)
    return run_module(described(module, **limits), module, DATA)


def test_a_module_computes_on_the_readings() -> None:
    assert struct.unpack("<I", run(COUNT)) == (len(CURVE),)
    values = [value for value in CURVE.values() if value is not None]
    assert struct.unpack("<q", run(PEAK)) == (max(values),)


@given(series())
def test_the_packed_readings_are_what_the_series_holds(one: Any) -> None:
    data = pack_readings(one)
    version, exponent, count, zero = struct.unpack_from("<IiII", data)
    rows = [struct.unpack_from("<qqII", data, 16 + 24 * n) for n in range(count)]
    assert (version, exponent, count, zero) == (1, one.exponent, len(one), 0)
    assert [(start, mantissa, seconds, gap) for start, mantissa, seconds, gap in rows] == list(
        zip(one.starts, one.mantissas, one.durations, one.gaps, strict=True)
    )


@pytest.mark.parametrize("what", HOSTILE)
def test_each_hostile_module_ends_with_its_code_and_nothing_else_happens(what: str) -> None:
    text, code = HOSTILE[what]
    with pytest.raises(RemoteError) as caught:
        run(text)
    assert caught.value.code == code
    assert struct.unpack("<I", run(COUNT)) == (len(CURVE),)  # the node goes on


def test_time_ends_what_has_fuel_left() -> None:
    module = wasm(HOSTILE["an endless loop"][0])
    with pytest.raises(RemoteError) as caught:
        run_module(described(module, fuel=1_000_000_000), module, DATA, seconds=0.05)
    assert caught.value.code in ("MODULE_TIME", "MODULE_FUEL")  # whichever this machine reaches first
    assert caught.value.field == "module"


@pytest.mark.parametrize("junk", [b"", b"\x00asm", b"\x00asm\x01\x00\x00\x00\xff", b"(module", bytes(100)])
def test_what_is_no_module_is_refused(junk: bytes) -> None:
    with pytest.raises(RemoteError) as caught:
        check_module(junk)
    assert caught.value.code in ("MODULE_MALFORMED", "MODULE_EXPORTS")


@given(st.binary(max_size=200), st.integers(0, 60))
def test_a_spoiled_module_never_raises_anything_else(junk: bytes, at: int) -> None:
    module = wasm(PEAK)
    spoiled = module[:at] + junk + module[at + len(junk) :]
    try:
        told = "" if len(run_module(described(spoiled), spoiled, DATA)) <= 64 else "too long"
    except RemoteError as error:
        told = error.code
    assert told == "" or told.startswith("MODULE_")


def test_a_module_is_the_one_that_was_named_and_small() -> None:
    with pytest.raises(RemoteError) as caught:
        run_module(described(wasm(COUNT)), wasm(PEAK), DATA)
    assert caught.value.code == "OTHER_MODULE"
    with pytest.raises(RemoteError) as caught:
        check_module(bytes(WASM_BYTES_MAX + 1))
    assert caught.value.code == "MODULE_TOO_LARGE"


def test_limits_are_part_of_the_hash_and_bounded() -> None:
    module = wasm(COUNT)
    hashes = {described(module, output_bytes=n).hash for n in (4, 8, OUTPUT_BYTES_MAX)}
    assert len(hashes) == 3
    for limits in ((0, 1, 1), (1, MEMORY_BYTES_MAX + 1, 1), (1, 1, OUTPUT_BYTES_MAX + 1)):
        with pytest.raises(LocalError) as caught:
            brought(module, "", fuel=limits[0], memory_bytes=limits[1], output_bytes=limits[2])
        assert caught.value.code == "BAD_COMPUTATION"


def test_without_wasmtime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **more: Any) -> Any:
        if name == "wasmtime":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(LocalError, match="compute") as caught:
        check_module(b"")
    assert caught.value.code == "COMPUTE_UNAVAILABLE"
