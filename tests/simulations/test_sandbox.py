"""The sandbox, as an integrator's tests use it: it flows, it ends, it expires, it is killed and cut off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.errors import LocalError
from simulations.sandbox import Sandbox, sandbox

NAMES = ("operator", "adviser", "cooperative")


@pytest.fixture
def mesh() -> Iterator[Sandbox]:
    """Run three nodes."""
    with sandbox(*NAMES) as running:
        yield running


@pytest.mark.covers("R151", "R152")
def test_readings_flow_until_she_withdraws(mesh: Sandbox) -> None:
    point = mesh.meter("operator", seed=7, days=10)
    anna = mesh.person("anna", at="cooperative")
    consent = anna.grant(holder="operator", recipient="adviser", point=point)
    with mesh.client("adviser") as node:
        assert node.wait_for(consent).state == "active"
        (series,) = node.fetch(consent)
        assert len(series) == 10
        assert series.key.point == point
        anna.withdraw(consent)
        with pytest.raises(LocalError) as caught:
            node.fetch(consent)
    assert caught.value.code == "WITHDRAWN"


def test_consents_expire_when_the_clock_is_put_on(mesh: Sandbox) -> None:
    point = mesh.meter("operator")
    consent = mesh.person("anna", at="cooperative").grant(holder="operator", recipient="adviser", point=point, days=30)
    with mesh.client("adviser") as node:
        node.wait_for(consent)
        mesh.advance(days=32)
        (ended,) = node.next_changes(node.next_changes(0).changes[0].number, wait="10s").changes
        assert (ended.kind, ended.consent, ended.reason) == ("consent.ended", consent, "EXPIRED")
        with pytest.raises(LocalError, match="expired"):
            node.wait_for(consent)


@pytest.mark.covers("R4")
def test_a_node_is_killed_and_comes_back(mesh: Sandbox) -> None:
    point = mesh.meter("operator")
    anna = mesh.person("anna", at="cooperative")
    mesh.kill("adviser")
    consent = anna.grant(holder="operator", recipient="adviser", point=point)
    mesh.start("adviser")
    assert mesh.client("adviser").wait_for(consent, timeout=20).state == "active"


def test_a_request_is_answered_or_refused(mesh: Sandbox) -> None:
    point = mesh.meter("operator")
    anna = mesh.person("anna", at="cooperative")
    with mesh.client("adviser") as node:
        asked = [
            node.request_consent(
                holder="operator",
                to="cooperative",
                points=[point],
                kind="daily",
                purpose="advice",
                contact="a@b.example",
            )
            for _ in range(2)
        ]
        consent = anna.answer(asked[0].id)
        assert node.wait_for(asked[0].id).id == consent
        anna.refuse(asked[1].id)
        with pytest.raises(LocalError, match="refused"):
            node.wait_for(asked[1].id)


def test_nodes_are_cut_off_and_heal(mesh: Sandbox) -> None:
    mesh.partition(["cooperative"])
    point = mesh.meter("operator")
    consent = mesh.person("anna", at="cooperative").grant(holder="operator", recipient="adviser", point=point)
    with pytest.raises(LocalError) as caught:
        mesh.client("adviser").wait_for(consent, timeout=0.3)
    assert caught.value.code == "TEMPORARY"
    mesh.heal()
    assert mesh.client("adviser").wait_for(consent, timeout=20).state == "active"
