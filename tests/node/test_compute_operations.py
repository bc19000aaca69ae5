"""Computations by their operations, on two whole nodes: defined, run, named in a consent, sent; and hostile modules."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import LocalError, MailleError
from tests.node.compute.modules import HOSTILE, PEAK
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import exit_code, pair

WHAT = {"recipient": "bob", "kind": "load_curve", "purpose": "Advice on insulation", "contact": "dpo@city.example"}


async def home_of(ada: Any) -> tuple[Any, dict[str, Any]]:
    """Have a node hold ten days of one home; return the series, and a granted period of six whole days inside."""
    await do(ada, "readings generate", seed=3, days=10)
    (series,) = (await do(ada, "readings list")).series
    start = (series.first + timedelta(days=2)).astimezone(UTC).replace(hour=0, minute=0)
    return series, {"data_from": start, "data_until": start + timedelta(days=6)}


@pytest.mark.covers("R117", "R120")
async def test_only_the_result_leaves_under_a_consent_that_names_a_computation(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        series, period = await home_of(ada)
        await do(ada, "wallet create", name="anna")
        sums = await do(ada, "compute define", operation="sum", step="P1D")
        assert sums == await do(bob, "compute define", operation="sum", step="P1D")
        grant = await do(
            ada, "consent grant", wallet="anna", point=(series.point,), computation=sums.computation, **WHAT, **period
        )
        assert any("computation" in sentence for sentence in grant.words)

        raw = await do(ada, "data send", consent=grant.id)
        assert (raw.state, raw.reason) == ("refused", "COMPUTATION_ONLY")
        asked = await do(bob, "data request", consent=grant.id)
        assert (asked.state, asked.reason) == ("refused", "COMPUTATION_ONLY")

        sent = await do(ada, "compute send", consent=grant.id)
        assert (sent.state, sent.reason, sent.records) == ("done", "", 6)
        assert exit_code("compute send", sent) == 0
        got = (await do(bob, "compute results", consent=grant.id)).results
        own = await do(
            ada, "compute run", computation=sums.computation[:10], point=series.point,
            since=period["data_from"], until=period["data_until"],
        )  # fmt: skip
        assert [(one.start, one.value, one.unit) for one in got] == [
            (one.start, one.value, one.unit) for one in own.results
        ]
        assert own.label == "identified"
        assert {one.sender for one in got} == {"ada"}
        assert all(one.complete and one.records == 48 for one in got)
        with pytest.raises(LocalError) as caught:
            await do(bob, "data export", consent=grant.id)
        assert caught.value.code == "NOT_FOUND"  # no reading has arrived

        assert "COMPUTATION_ONLY" not in {
            one.reason for one in (await do(bob, "data receipts")).receipts if one.records
        }
        part = {"since": period["data_from"] + timedelta(hours=1), "until": period["data_from"] + timedelta(days=3)}
        assert (await do(ada, "compute send", consent=grant.id, **part)).records == 2
        await do(ada, "consent withdraw", id=grant.id)
        ended = await do(ada, "compute send", consent=grant.id)
        assert (ended.state, ended.reason, exit_code("compute send", ended)) == ("refused", "WITHDRAWN", 1)


async def test_a_module_gives_its_few_bytes_and_hostile_ones_leave_the_node_at_work(tmp_path: Path) -> None:
    wasmtime = pytest.importorskip("wasmtime", reason="the extra `compute` is not installed")
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        series, period = await home_of(ada)
        await do(ada, "wallet create", name="anna")
        window = {"point": series.point, "since": period["data_from"], "until": period["data_until"]}
        for name in ("an import", "no exports"):
            with pytest.raises(MailleError) as caught:
                await do(ada, "compute define", module=bytes(wasmtime.wat2wasm(HOSTILE[name][0])))
            assert caught.value.code == HOSTILE[name][1]
        for name in ("an endless loop", "a memory bomb", "a trap", "a huge output"):
            module = bytes(wasmtime.wat2wasm(HOSTILE[name][0]))
            made = await do(ada, "compute define", module=module, fuel=1_000_000)
            with pytest.raises(MailleError) as caught:
                await do(ada, "compute run", computation=made.computation, **window)
            assert caught.value.code == HOSTILE[name][1]
            await do(ada, "compute forget", computation=made.computation)

        peak = await do(ada, "compute define", module=bytes(wasmtime.wat2wasm(PEAK)), output_bytes=8)
        assert [one.kind for one in (await do(ada, "compute list")).computations] == ["module"]
        grant = await do(
            ada, "consent grant", wallet="anna", point=(series.point,), computation=peak.computation, **WHAT, **period
        )
        assert (await do(ada, "compute send", consent=grant.id)).state == "done"
        (got,) = (await do(bob, "compute results")).results
        highest = await do(ada, "compute define", operation="maximum")
        (own,) = (await do(ada, "compute run", computation=highest.computation, **window)).results
        assert struct.unpack("<q", bytes.fromhex(got.value)) == (int(own.value),)


async def test_what_cannot_be_computed_is_said(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        series, period = await home_of(ada)
        await do(ada, "wallet create", name="anna")
        names = {one.operation for one in (await do(ada, "compute operations")).operations}
        assert {"sum", "mean", "maximum", "count_above", "load_factor", "compared", "maximum_below"} <= names
        for wrong, code in (
            ({"operation": "exec"}, "NO_SUCH_OPERATION"),
            ({"operation": "count_above"}, "BAD_COMPUTATION"),
            ({"operation": "count_above", "parameter": ("threshold=x",)}, "USAGE"),
            ({"operation": "sum", "step": "PT30M"}, "BAD_COMPUTATION"),
            ({}, "USAGE"),
        ):
            with pytest.raises(MailleError) as caught:
                await do(ada, "compute define", **wrong)
            assert caught.value.code == code
        start = int(period["data_from"].timestamp())
        outside = (f"reference_start={start - 86_400}", f"reference_stop={start}")
        compared = await do(ada, "compute define", operation="compared", parameter=outside)
        grants = {}
        for digest in (compared.computation, "ab" * 32, ""):
            more = {"computation": digest} if digest else {}
            point = {"point": (series.point,), **more}
            grants[digest] = (await do(ada, "consent grant", wallet="anna", **point, **WHAT, **period)).id
        for digest, code in (
            (compared.computation, "REFERENCE_NOT_GRANTED"),
            ("ab" * 32, "NO_SUCH_COMPUTATION"),
            ("", "NO_SUCH_COMPUTATION"),
        ):
            with pytest.raises(LocalError) as caught_here:
                await do(ada, "compute send", consent=grants[digest])
            assert caught_here.value.code == code
        day = datetime(2020, 1, 1, tzinfo=UTC)
        none = await do(
            ada,
            "compute run",
            computation=compared.computation,
            point=series.point,
            since=day,
            until=period["data_from"],
        )
        assert [one.value for one in none.results] == [""]
        with pytest.raises(MailleError) as caught:
            await do(ada, "compute forget", computation="ffff")
        assert caught.value.code == "NOT_FOUND"
