"""EDDIE's requests: every legal step can be told, every other is refused."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.adapters.consents import eddie
from node.adapters.consents.record import Standing
from tests.node.adapters.consents.ours import ours, read, refusal, whole_or_refused

LEGAL = [(before, after) for before, found in eddie.STEPS.items() for after in sorted(found)]


def path_to(status: str) -> list[str]:
    """Return the shortest legal history of a status."""
    paths = [["CREATED"]]
    while paths[0][-1] != status:
        first = paths.pop(0)
        paths += [[*first, after] for after in sorted(eddie.STEPS[first[-1]]) if after not in first]
    return paths[0]


def file(history: list[str]) -> bytes:
    return json.dumps(eddie.request(ours(), ["CREATED"]) | {"status": history[-1], "history": told(history)}).encode()


def told(history: list[str]) -> list[dict[str, str]]:
    return [{"status": status, "at": "2024-01-01T00:00:00Z"} for status in history]


def test_all_states_that_the_reference_names_are_known() -> None:
    assert len(eddie.STEPS) == 16
    assert set(eddie.STANDINGS) == set(eddie.STEPS)
    assert {after for found in eddie.STEPS.values() for after in found} | {"CREATED"} == set(eddie.STEPS)


@pytest.mark.covers("system:EDDIE")
@pytest.mark.parametrize(("before", "after"), LEGAL)
def test_every_legal_step_is_told_and_read(before: str, after: str) -> None:
    history = [*path_to(before), after]
    (one,) = read("eddie", file(history))
    assert (one.state, one.standing) == (after, eddie.STANDINGS[after])
    assert json.loads(json.dumps(eddie.request(ours(), history)))["status"] == after


@pytest.mark.covers("system:EDDIE")
@pytest.mark.parametrize(
    ("before", "after"), [step for step in product(eddie.STEPS, repeat=2) if step not in set(LEGAL)]
)
def test_every_other_step_is_refused(before: str, after: str) -> None:
    history = [*path_to(before), after]
    assert refusal("eddie", file(history)).field == "file, record 1, history"
    with pytest.raises(LocalError) as error:
        eddie.request(ours(), history)
    assert error.value.code == "ILLEGAL_STEP"


@pytest.mark.parametrize("standing", eddie.PATHS)
def test_a_consent_of_ours_is_a_request_that_is_read_as_it_stands(standing: Standing) -> None:
    (one,) = read("eddie", eddie.write(ours(standing)))
    assert one.standing is standing
    assert (one.purpose, one.kinds, one.granularity) == (
        'Advice on "insulation"',
        ("electricity/consumption/daily",),
        "P1D",
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": "GONE"}, "status"),
        ({"status": "VALIDATED"}, "history"),
        ({"history": told(["ACCEPTED"]), "status": "ACCEPTED"}, "history"),
        ({"permissionId": 5}, "permissionId"),
        ({"created": "today"}, "created"),
        ({"secret": 1}, ""),
        ({"dataNeed": {"energyType": "COAL"}}, "dataNeed, energyType"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str) -> None:
    error = refusal("eddie", json.dumps(json.loads(eddie.write(ours())) | change).encode())
    assert (error.code, error.field) == ("BAD_EDDIE", f"file, record 1{', ' if field else ''}{field}")


@given(
    st.dictionaries(
        st.sampled_from(["status", "created", "dataNeed", "history", "permissionId"]), st.none() | st.text()
    )
)
def test_any_request_is_read_or_refused(change: dict[str, Any]) -> None:
    assert whole_or_refused("eddie", json.dumps(json.loads(eddie.write(ours())) | change).encode())
