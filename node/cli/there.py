"""Commands that our sentences name, so that they work as they are read: with the data directory that was given.

How it works
    Whatever the command line says to a person goes through `at`: results, hints, errors, what goes on, questions. It
    finds the commands of the table of operations in a text, and adds --data-dir where one was given by its option.

What it does not do
    It changes no result for a machine (--json), and no command of an auditor: that is run elsewhere.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

from node.operations import OPERATIONS, SHORT

ELSEWHERE: Final = frozenset(
    {"proof verify", "proof inspect", "proof explain", "join", "explain", "man", "demo", "completion"}
)
"""Commands without a data directory, or of somebody who has another."""
_HERE: Final = {*(row.name for row in OPERATIONS), *SHORT} - ELSEWHERE
_NAMES: Final = "|".join(sorted(_HERE, key=len, reverse=True))
_COMMANDS: Final = re.compile(rf"\bmaille (?:{_NAMES})(?![\w-])(?![^`;\n]* --data-dir )")
"""Commands as hints name them."""


def at(data_dir: str, text: str) -> str:
    """Return a text in which each command that it tells to run works with this data directory; "" changes nothing.

    Commands of an auditor stay as they are: they are run elsewhere. So does a command that has one already.
    """
    if not data_dir:
        return text
    option = f" --data-dir {shlex.quote(data_dir)}"
    return _COMMANDS.sub(lambda found: found[0] + option, text)
