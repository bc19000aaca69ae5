"""The examples of the help: each is a command line that is understood, and no command that needs one is without."""

from __future__ import annotations

import pytest

from node.cli.app import build
from node.examples import EXAMPLES, example, words
from node.operation import fields
from node.operations import OPERATIONS
from node.ops.man import page

APP = build()
NAMES = {row.name for row in OPERATIONS}


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_understood(name: str) -> None:
    assert name in NAMES
    command, bound, _ = APP.parse_args([*name.split(), *words(name)], exit_on_error=False, print_error=False)
    assert command.__name__ == name.replace(" ", "_")
    assert bound.arguments


def test_each_command_that_needs_more_than_its_name_has_one() -> None:
    needing = {row.name for row in OPERATIONS if any(field.required for field in fields(row.args))}
    assert not needing - set(EXAMPLES)


@pytest.mark.parametrize("name", ["consent grant", "data send"])
def test_the_help_and_the_manual_show_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    APP([*name.split(), "--help"], exit_on_error=False, result_action="return_value")
    assert " ".join(example(name).split()) in " ".join(capsys.readouterr().out.split())
    assert f"Example: {example(name)}" in "\n".join(page(OPERATIONS, "1")).replace("\\-", "-")
