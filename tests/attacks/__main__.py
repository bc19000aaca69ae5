"""Print the table of attacks: `python -m tests.attacks`, or as JSON with `--json`. Exit 1 where our rule fell."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from tests.attacks.table import TEXTBOOKS, Result, results


def table(found: list[Result]) -> str:
    """Return the results for people: one attack a line."""
    rules = ("maille", *TEXTBOOKS)
    held = {(each.attack, each.rule): "held" if each.held else "fell" for each in found}
    names = list(dict.fromkeys(each.attack for each in found))
    width = max(map(len, names))
    lines = ["  ".join(["attack".ljust(width), *(rule.ljust(14) for rule in rules)]).rstrip()]
    lines += [
        "  ".join([name.ljust(width), *(held[name, rule].ljust(14) for rule in rules)]).rstrip() for name in names
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print what was asked for; 2 for an argument that is not known."""
    if arguments not in ([], ["--json"]):
        print("usage: python -m tests.attacks [--json]", file=sys.stderr)
        return 2
    found = results()
    print(json.dumps([asdict(each) for each in found], indent=1) if arguments else table(found))
    return 0 if all(each.held for each in found if each.rule == "maille") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
