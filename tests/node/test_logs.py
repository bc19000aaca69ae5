"""The log: what a fault of the program leaves there."""

from __future__ import annotations

import json

import pytest
import structlog

from node.logs import set_up


def fail() -> None:
    """Fail at something whose words quote a person's data."""
    raise ValueError("prm:12345678901234")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_fault_is_told_by_its_places_and_without_its_words(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[dict[str, object]] = []

    def keep(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        kept.append(dict(event))
        return event

    set_up(form, "info", keep)
    try:
        fail()
    except ValueError:
        structlog.get_logger("api").exception("operation failed", operation="consent list")
    told = capsys.readouterr().err
    assert "12345678901234" not in told + json.dumps(kept, default=str)
    assert "ValueError < test_logs.py" in told
    assert "fail < " in told
    assert kept[0]["operation"] == "consent list"
