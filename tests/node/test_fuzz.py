"""Every operation of the control API, fuzzed by its own OpenAPI over TCP against a whole node: no answer is a fault.

Each answer is held against the description: its status is one that is named there, its body fits the schema.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Stage

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis")

import httpx
import msgspec

from node.openapi import Refusal
from node.operations import OPERATIONS
from simulations.sandbox import Sandbox, sandbox
from tests.conftest import PROFILE

EXAMPLES = {"ci": 12, "nightly": 200}[PROFILE]
WAITING = {
    "data send",
    "data request",
    "probe run",
    "changes list",
    "tick run",
    "join",
    "compute request",
    "backup create",
}
"""These may rightly wait for others, for as long as they are told, or write where they are told."""


@pytest.fixture(scope="module")
def mesh() -> Iterator[Sandbox]:
    """Run one node."""
    with sandbox("node", api=True) as running:
        yield running


def test_no_answer_is_a_fault(mesh: Sandbox) -> None:
    token = mesh.token("node", "admin", days=1)
    headers = {"authorization": f"Bearer {token}"}
    document = httpx.get(mesh.url("node") + "/openapi.json", headers=headers, trust_env=False).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=mesh.url("node"))
    by_path = {row.path: row for row in OPERATIONS}
    slow = {row.path for row in OPERATIONS if row.name in WAITING}
    faults: list[str] = []
    seen = 0
    with httpx.Client(headers=headers, trust_env=False, timeout=30) as client:
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path in slow:
                continue

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                phases=[Stage.generate],
            )
            def ask(case: Any) -> None:
                nonlocal seen
                seen += 1
                sent = case.as_transport_kwargs(headers=headers)
                answer = client.request(
                    sent["method"], sent["url"], params=sent.get("params"), json=sent.get("json"), headers=headers
                )
                told = f"{case.method} {case.path} {str(sent.get('json'))[:200]} -> {answer.status_code}"
                if (
                    answer.status_code == 500
                    or str(answer.status_code) not in document["paths"][case.path][case.method.lower()]["responses"]
                ):
                    faults.append(f"{told} {answer.text[:200]}")
                    return
                kind = by_path[case.path].result if answer.status_code == 200 else Refusal
                try:
                    msgspec.json.decode(answer.content, type=kind)
                except msgspec.MsgspecError as error:
                    faults.append(f"{told}: {error}")

            given(case=operation.as_strategy())(ask)()
    assert not faults, "\n".join(faults[:20])
    assert seen > len(OPERATIONS)
    assert mesh.call("node", "node status").node.name == "node"
