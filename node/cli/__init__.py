"""The command line `maille NOUN VERB`, made from the table of operations.

How it works
    `main` is the entry point. `app` turns each operation into a command (cyclopts), `terminal` is what a command has
    around it (prompts, passphrases, sentences), `render` shows a result to a person.

What it does not do
    It decides nothing and opens no store: most commands ask the running node (node/client.py).
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    if sys.argv[1:] == ["--version"]:  # before anything is imported
        from importlib.metadata import version

        print(version("maille"))
        return
    from node.cli.app import run

    sys.exit(run(sys.argv[1:]))
