"""Diagrams as Mermaid text: the sequence of a play, and the model of a consent (R54).

How it works
    `sequence` draws what happened in a play, not what its file says: each step that has an arrow, with what came of
    it, and the auditor's verdict below each flow. `model` reads the fields of the consent's record and of what stands
    in it out of their classes (ledger/consent/record.py). Mermaid is text: GitHub, GitLab and mkdocs draw it.

What it does not do
    It draws no picture itself.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any, Final, get_args, get_type_hints

from ledger.consent.record import Actor, DataKind, OnwardSharing, Rights, Stages, Terms
from simulations.scenario_play import Played

AUDITOR: Final = "auditor"
MODEL: Final = (Terms, DataKind, Actor, OnwardSharing, Rights, Stages)


def sequence(played: Played) -> str:
    """Return the sequence diagram of a play."""
    arrows = [(step, step.from_, step.to) for step in played.steps if step.from_]
    names = list(dict.fromkeys(name for _, one, other in arrows for name in (one, other)))
    ids = {name: f"p{number}" for number, name in enumerate(names)}
    lines = ["sequenceDiagram", f"  title {_plain(played.title)}"]
    lines += [f"  participant {ids[name]} as {_plain(name)}" for name in names]
    lines.append(f"  participant {AUDITOR}")
    verdicts = {proof.step: proof for proof in played.proofs}
    for step, one, other in arrows:
        arrow = "-x" if step.found.startswith("refused") else "->>"
        lines.append(f"  {ids[one]}{arrow}{ids[other]}: {step.number}. {_plain(step.label)}")
        if step.number in verdicts:
            lines.append(f"  Note over {AUDITOR}: {_plain(verdicts[step.number].verdict)}")
    return "\n".join(lines) + "\n"


def model(classes: Iterable[type[Any]] = MODEL) -> str:
    """Return the class diagram of a consent's record."""
    listed = list(classes)
    lines, edges = ["classDiagram"], []
    for each in listed:
        hints = get_type_hints(each)
        own = [field.name for field in dataclasses.fields(each)] if dataclasses.is_dataclass(each) else list(hints)
        lines.append(f"  class {each.__name__} {{")
        for name in own:
            lines.append(f"    {name} {_type(hints[name])}")
            held = [other for other in listed if other in _inside(hints[name])]
            edges += [f"  {each.__name__} --> {other.__name__} : {name}" for other in held]
        lines.append("  }")
    return "\n".join([*lines, *edges]) + "\n"


def _inside(hint: Any) -> set[Any]:
    return {hint}.union(*(_inside(each) for each in get_args(hint)))


def _type(hint: Any) -> str:
    shown = getattr(hint, "__name__", str(hint)) if not get_args(hint) else str(hint)
    return re.sub(r"[^\w|, .]+", "~", re.sub(r"[\w.]+\.(\w+)", r"\1", shown)).strip("~")


def _plain(text: str) -> str:
    """Return a text without what Mermaid would read as its own."""
    return re.sub(r"[;#\n<>{}]+", " ", text)
