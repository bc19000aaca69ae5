"""Proofs beside a report: which file shows each line of a page, and the links of the page to those files.

How it works
    Every line says which command makes its proof. `wanted` reads from the report what such a command would make, line
    by line in the page's order, each proof once, and no more than `FILES_MAX`: a file is named by the transfer, the
    consent or the member that it is about. Whoever makes them tells which were made, and `Linked` is what the page
    prints: the links, and how many lines have none and why.

What it does not do
    It makes no proof and writes no file (node/ops/audit.py). Some lines have none to be made: an account or a statement
    without a consent that is known here shows nothing by itself. They keep their command.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from node.audit.findings import Access, Report

FILES_MAX: Final = 500
"""Proofs that are made beside one page."""
SUFFIX: Final = ".mailleproof"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One proof: its file's name, and either the consent (id, and the time it is asked for) or a member's conduct."""

    file: str
    consent: str = ""
    at: datetime | None = None
    member: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """What a page needs: `hrefs`: the command in a line -> its proof. `lines`: how many lines of proofs there are.

    `failed`: lines whose proof could not be made; `beyond`: lines past the first `FILES_MAX` proofs.
    """

    hrefs: Mapping[str, str]
    lines: int = 0
    failed: int = 0
    beyond: int = 0


def wanted(report: Report) -> tuple[dict[str, Wanted], int]:
    """Return the proofs to make, by the command of their lines, and how many lines have proofs, made or not."""
    found: dict[str, Wanted] = {}
    taken: set[str] = set()
    lines = 0
    for command, one in _lines(report):
        lines += 1
        if command in found or len(found) >= FILES_MAX:
            continue
        number = sum(1 for name in taken if name == one.file or name.startswith(f"{one.file}-"))
        name = f"{one.file}-{number + 1}" if number else one.file
        taken.add(name)
        found[command] = Wanted(name + SUFFIX, one.consent, one.at, one.member)
    return found, lines


def linked(report: Report, made: Mapping[str, Wanted], failed: Collection[str], folder: str) -> Linked:
    """Return the links to what was made. `made`: by command; `failed`: commands; `folder`: its name beside the page."""
    hrefs = {command: f"{quote(folder)}/{quote(one.file)}" for command, one in made.items() if command not in failed}
    commands = [command for command, _ in _lines(report)]
    return Linked(
        hrefs,
        len(commands),
        sum(command in failed for command in commands),
        sum(command not in hrefs and command not in failed for command in commands),
    )


def _lines(report: Report) -> Iterator[tuple[str, Wanted]]:
    """Yield the lines that a proof can show, in the page's order: (command, proof)."""
    yield from _accesses(report.without_consent)
    for late in report.overdue:
        yield late.proof, Wanted(late.consent, late.consent, report.made)
    for notice in report.notices:
        yield notice.proof, Wanted(notice.consent, notice.consent, report.made)
    for end in report.unacknowledged:
        yield end.proof, Wanted(end.consent, end.consent, report.made)
    yield from _accesses(report.undecided)
    for activity in report.register:
        if activity.example:
            yield activity.proof, Wanted(activity.example, activity.example)
    yield from _accesses(report.consented)


def _accesses(found: tuple[Access, ...]) -> Iterator[tuple[str, Wanted]]:
    for one in found:
        if one.proof.startswith("maille proof make "):
            yield one.proof, Wanted(one.transfer, one.consent, one.ended)
        elif one.proof.startswith("maille probe show ") and one.holder is not None:
            yield one.proof, Wanted(f"conduct-{one.holder.id}", member=one.holder.id)
