"""The manual page maille(1), made from the table of operations.

What it does not do
    It says nothing that `--help` does not; the documentation explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from node.examples import example
from node.operation import FieldRow, Local, Nothing, Operation, Result, fields, local_operation, said


class Manual(Result, frozen=True):
    """The page."""

    page: Annotated[str, said("In troff, for man(1).")]


def _plain(text: str) -> str:
    """Return a text that troff takes as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))


def _option(row: FieldRow) -> str:
    name = row.name.upper() if "positional" in row.marks else f"--{row.name.replace('_', '-')}"
    if "secret" in row.marks:
        name += "-file"
    return f".TP\n.B {_plain(name)}\n{_plain(row.text)}"


def page(operations: Iterable[Operation], version: str) -> Iterator[str]:
    """Yield the parts of the page."""
    yield f'.TH MAILLE 1 "" "maille {version}"'
    yield ".SH NAME\nmaille \\- a node of a mesh in which energy data flow only under a consent anyone can verify"
    yield ".SH SYNOPSIS\n.B maille\n.I COMMAND\n[\\-\\-data\\-dir DIRECTORY] [\\-\\-json] ..."
    yield ".SH DESCRIPTION\nEvery command takes \\-\\-data\\-dir and \\-\\-json. Those that read keys take "
    yield "\\-\\-passphrase\\-file; those that cannot be undone ask, unless \\-\\-yes is given."
    yield ".SH COMMANDS"
    for operation in operations:
        yield f".SS {_plain('maille ' + operation.name)}\n{_plain(operation.help)}"
        yield from map(_option, fields(operation.args))
        if shown := example(operation.name):
            yield f".PP\nExample: {_plain(shown)}"
    yield ".SH EXIT STATUS"
    for code, meaning in (
        (0, "done, or nothing to do"),
        (1, "refused, or a check failed"),
        (2, "used wrongly"),
        (3, "no node answers"),
        (4, "a key is locked"),
        (5, "what was named is not there"),
        (75, "not now; the same command may work later"),
    ):
        yield f".TP\n.B {code}\n{_plain(meaning)}"
    yield ".SH ENVIRONMENT\n.TP\n.B MAILLE_DATA_DIR\nThe data directory, unless \\-\\-data\\-dir names one."


@local_operation(None, "man", permission="read", render=lambda found: found.page)
def man(local: Local, args: Nothing) -> Manual:  # noqa: ARG001 - it needs nothing
    """Print the manual page: maille man | man -l - or keep it as maille.1 where man(1) looks."""
    from importlib.metadata import version

    from node.operations import OPERATIONS

    return Manual("\n".join(page(OPERATIONS, version("maille"))))
