"""Experiments hold, and a broken kernel turns its row red; theory is checked where it can be by hand."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from ledger.errors import LocalError
from simulations.kernels import cascades, rounds, rumors
from simulations.validation import mongering, theory
from simulations.validation.checks import Check, Experiment, at_least, at_most, near, row_of
from simulations.validation.table import EXPERIMENTS, chosen, validate

ISSUE = [f"V{number}" for number in (*range(1, 18), 20)]


def verdict(name: str) -> str:
    """Run one experiment, quickly, here."""
    (row,) = validate([name], quick=True)
    return str(row["verdict"])


def broken(kernel: Any, old: str, new: str) -> Callable[..., Any]:
    """Return a kernel compiled from its source with one piece replaced."""
    function = kernel.py_func
    source = inspect.getsource(function)
    assert source.count(old) >= 1
    namespace = dict(function.__globals__)
    body = "\n".join(line for line in source.splitlines() if not line.startswith("@"))
    exec(body.replace(old, new), namespace)
    made: Callable[..., Any] = numba.njit(namespace[function.__name__])
    made.__name__ = function.__name__
    return made


def test_the_table_is_the_one_that_was_asked_for() -> None:
    assert [experiment.id for experiment in EXPERIMENTS] == ISSUE
    assert all(experiment.source and experiment.title for experiment in EXPERIMENTS)
    assert [experiment.id for experiment in chosen(["v2", "V1"])] == ["V1", "V2"]
    with pytest.raises(LocalError, match="V99"):
        chosen(["V99"])


@pytest.mark.parametrize("name", ["V1", "V2", "V5", "V8", "V9", "V10", "V13", "V15", "V16", "V17"])
def test_an_experiment_holds(name: str) -> None:
    assert verdict(name) == "pass"


@pytest.mark.parametrize(
    ("name", "module", "kernel", "old", "new"),
    [
        ("V1", rounds, "spread", "range(known * pushes)", "range((known + 1) // 2 * pushes)"),
        ("V2", rounds, "spread", "place[target] < known", "place[target] < informed"),
        ("V5", rounds, "spread", "unit(state) < success", "unit(state) < success * success"),
        ("V6", mongering, "push_counter", "useless[node] + 1 if known else 0", "useless[node] + known"),
        ("V8", cascades, "cascade", "poisson(state, fanout)", "int(fanout)"),
        ("V16", cascades, "reunite", "before[node] != before[target]", "before[target] and not before[node]"),
        ("V17", cascades, "detect", "range(1, count)", "range(1, count // 2)"),
    ],
)
def test_a_broken_kernel_turns_its_row_red(
    name: str, module: Any, kernel: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = rumors if module is mongering else module
    monkeypatch.setattr(module, kernel, broken(getattr(source, kernel), old, new))
    assert verdict(name) == "fail"


def test_an_attack_without_teeth_turns_its_row_red(monkeypatch: pytest.MonkeyPatch) -> None:
    from simulations.validation import overlays

    monkeypatch.setattr(overlays, "SYBILS", 0)
    (row,) = validate(["V14"], quick=True)
    failed = {check["name"] for check in row["checks"] if check["verdict"] == "fail"}
    assert {name for name in failed if "unhardened" in name}
    assert not {name for name in failed if ", hardened" in name}


def test_a_row_says_what_came_nearest_to_failing() -> None:
    checks = [near("a", 1.0, 1.1, 0.2), near("b", 1.0, 1.19, 0.2), at_least("c", 0.5, 0.6), at_most("d", 3, 2)]
    experiment = Experiment("V0", "nothing", "nobody", lambda _seed, _quick: checks)
    row = row_of(experiment, 1, quick=True)
    assert (row["check"], row["verdict"]) == ("b", "pass")
    checks.append(at_most("e", 1, 1.5))
    assert row_of(experiment, 1, quick=True)["verdict"] == "fail"


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        (near("", 1, 1.5, 0.5), True),
        (near("", 1, 1.51, 0.5), False),
        (near("", 1, 1, 0), True),
        (near("", 1, math.nan, 9), False),
        (at_least("", 1, 1), True),
        (at_least("", 1, 0.99), False),
        (at_most("", 1, 1.01), False),
        (at_most("", 1, -9), True),
    ],
)
def test_what_holds(check: Check, holds: bool) -> None:
    assert check.holds is holds


def test_rounds_of_three_nodes_by_hand() -> None:
    # Push: one round informs one of two; then two callers each hit the last with 1/2: 4/3 rounds more.
    assert theory.expected_rounds(3, pushes=1) == pytest.approx(1 + 4 / 3)
    # Pull: with k of 3 informed each other one calls an informed node with k/2: all at once by 2 informed.
    both, one = 1 / 4, 1 / 2
    assert theory.expected_rounds(3, pulls=1) == pytest.approx((1 + one * 1) / (both + one))


def test_the_chain_is_close_to_its_limit_for_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = theory.expected_rounds(300, pushes=1)
    monkeypatch.setattr(theory, "EXACT_CALLS", 300)
    assert theory.expected_rounds(300, pushes=1) == pytest.approx(exact, abs=0.02)


def test_fixed_points_are_fixed() -> None:
    assert theory.coin_residue(1) == pytest.approx(0.2032, abs=1e-4)
    assert theory.cascade_reach(2) == pytest.approx(0.7968, abs=1e-4)
    assert theory.regular_component(5, 1.0) == pytest.approx(1.0)
    assert theory.regular_component(5, 0.2) == pytest.approx(0.0, abs=1e-6)
    assert theory.atomic(0) == pytest.approx(1 / math.e)
    assert theory.first_detection() == pytest.approx(1.582, abs=1e-3)


def test_two_processes_give_the_rows_of_one() -> None:
    names = ["V17", "V3"]
    alone, together = (validate(names, quick=True, workers=workers) for workers in (1, 2))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal([check["measured"] for check in one["checks"]], [c["measured"] for c in other["checks"]])
    assert [row["id"] for row in together] == ["V3", "V17"]
