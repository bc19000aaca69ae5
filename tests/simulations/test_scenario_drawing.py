"""Diagrams: what happened in a play, in order, and the fields of a consent; and who has which role by the ledger."""

from __future__ import annotations

import pytest

from simulations.scenario import load
from simulations.scenario_drawing import model, sequence
from simulations.scenario_play import play


@pytest.mark.covers("R54", "R156")
def test_a_play_is_drawn_as_it_happened_and_its_roles_come_from_the_ledger() -> None:
    played = play("trusted-platform", load("trusted-platform"))
    lines = sequence(played).splitlines()
    assert lines[0] == "sequenceDiagram"
    assert sum("participant" in line for line in lines) == 1 + len({line for line in lines if " as " in line})
    steps = [step for step in played.steps if step.from_]
    drawn = [line for line in lines if "->>" in line or "-x" in line]
    assert [int(line.split(": ", 1)[1].partition(".")[0]) for line in drawn] == [step.number for step in steps]
    assert sum("-x" in line for line in drawn) == played.refused
    assert any("TOTAL-PASSED" in line for line in lines)
    roles = {one.party: one.roles for one in played.roles}
    assert roles["holder"] == ("holder", "linked", "member", "voter")
    assert roles["platform"] == ("host", "linked", "member")
    assert roles["certified"] == ("recipient", "tenant")
    assert set(roles["newcomer"]) >= {"linked", "member", "recipient"}


@pytest.mark.covers("R54")
def test_the_model_holds_every_field_of_the_record() -> None:
    drawn = model()
    assert drawn.startswith("classDiagram\n")
    for name in (
        "purpose str",
        "points tuple",
        "data_period",
        "Terms --> Rights : rights",
        "Terms --> Stages : stages",
    ):
        assert name in drawn
