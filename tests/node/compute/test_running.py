"""Results over granted windows: of operations and of modules, and what bounds them."""

from __future__ import annotations

import pytest

from ledger.errors import LocalError, RemoteError
from node.adapters import household
from node.compute import running
from node.compute.computation import brought
from node.compute.operations import reviewed
from node.compute.running import results_of
from tests.node.compute.modules import COUNT

DAY = 86_400
START = 1_700_006_400  # a midnight, UTC
CURVE = household.load_curve(2, START, 6, gaps=1)
PIECES = list(CURVE.chunks(100))
GRANTED = ((START, START + 2 * DAY), (START + 3 * DAY, START + 4 * DAY))


def test_results_lie_in_granted_windows_alone() -> None:
    daily = results_of(reviewed("sum", {}, "P1D"), b"", PIECES, GRANTED, None)
    assert [one.window[0] for one in daily] == [START, START + DAY, START + 3 * DAY]
    assert len(results_of(reviewed("sum", {}, "P1D"), b"", PIECES, GRANTED, (START, START + DAY))) == 1
    assert len(results_of(reviewed("sum", {}, ""), b"", PIECES, GRANTED, None)) == 2
    assert results_of(reviewed("sum", {}, ""), b"", PIECES, ((START - DAY, START - DAY // 2),), None) == []
    assert results_of(reviewed("sum", {}, ""), b"", [], GRANTED, None) == []


def test_what_results_are_compared_with_must_be_granted_too() -> None:
    inside = reviewed("compared", {"reference_start": START, "reference_stop": START + DAY}, "P1D")
    assert len(results_of(inside, b"", PIECES, GRANTED, None)) == 3
    outside = reviewed("compared", {"reference_start": START + DAY, "reference_stop": START + 3 * DAY}, "P1D")
    with pytest.raises(LocalError) as caught:
        results_of(outside, b"", PIECES, GRANTED, None)
    assert caught.value.code == "REFERENCE_NOT_GRANTED"


def test_a_module_sees_one_window_at_a_time_and_all_runs_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wasmtime = pytest.importorskip("wasmtime", reason="the extra `compute` is not installed")
    module = bytes(wasmtime.wat2wasm(COUNT))
    counting = brought(module, "P1D", fuel=10_000, memory_bytes=1 << 20, output_bytes=4)
    found = results_of(counting, module, PIECES, GRANTED, None)
    assert [one.value for one in found] == [one.records.to_bytes(4, "little") for one in found]
    assert {one.records for one in found} == {48}
    monkeypatch.setattr(running, "ALL_SECONDS", 0)
    with pytest.raises(RemoteError) as caught:
        results_of(counting, module, PIECES, GRANTED, None)
    assert caught.value.code == "MODULE_TIME"
