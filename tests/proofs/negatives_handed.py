"""Negatives about a consent that is passed on by a key to which its parent was handed (C7), or was not.

How it works
    As in `negatives`: one fault each, everything else sound and signed. Mia's consent to Brume is handed on by
    `consent.rekey`, from key to key; one of the keys signs that Brume may pass the data on to Cime. `HANDED` is the
    table.

What it does not do
    It verifies nothing: `test_negatives` does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from proofs.reasons import Reason as R
from tests.proofs.mesh import Grant
from tests.proofs.negatives import Made, Negative
from tests.proofs.rests import Chains, passed_on

OURS: Final = "consent.md, C7"
Step = tuple[str, str]
"""Who hands the consent on, and to whom, by name."""


def hand(mesh: Chains, consent: Grant, by: str, to: str) -> None:
    """Let somebody hand a consent on."""
    key, slip = mesh.key(to).public, mesh.key(f"slip of {to}").public
    payload = {"grant": consent.entry.id, "key": key, "withdraw_key": slip}
    mesh.state(by, "consent.rekey", payload, consent.entry.thing[1])


def handed(signer: str, *steps: Step, later: tuple[Step, ...] = ()) -> Made:
    """Somebody signs the child of a consent that took these steps; it takes those of `later` before another tick."""
    mesh = Chains()
    parent = mesh.consent("mia")
    for step in steps:
        hand(mesh, parent, *step)
    child = mesh.consent(signer, passed_on(), holder=mesh.b, recipient=mesh.c, parent=parent.entry.id)
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b, mesh.c).boundary
    if not later:
        return mesh.prove(child), mesh.trust(), mesh.now
    mesh.now += 60
    for step in later:
        hand(mesh, parent, *step)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    return mesh.prove(child, first=first), mesh.trust(), mesh.now


TO_NOA: Final = ("mia", "noa")
TO_OLA: Final = ("mia", "ola")
ON_TO_OLA: Final = ("noa", "ola")
ON_TO_PIA: Final = ("noa", "pia")
HANDED: Final = [
    Negative("by one to whom another handed nothing", OURS, R.PARENT_OTHER, partial(handed, "noa", ("eve", "noa"))),
    Negative("by one of two to whom she handed it", OURS, R.PARENT_OTHER, partial(handed, "noa", TO_NOA, TO_OLA)),
    Negative("by a stranger, of what was handed on", OURS, R.NOT_CARRIED, partial(handed, "eve", TO_NOA)),
    Negative("by a key in between that no tick names", OURS, R.NOT_CARRIED, partial(handed, "noa", TO_NOA, ON_TO_OLA)),
    Negative(
        "by one of two to whom it was handed on",
        OURS,
        R.NOT_CARRIED,
        partial(handed, "ola", TO_NOA, ON_TO_OLA, ON_TO_PIA),
    ),
    Negative("before she handed it on twice", OURS, R.NOT_CARRIED, partial(handed, "noa", TO_NOA, later=(TO_OLA,))),
]
HONEST: Final[tuple[Callable[[], Made], ...]] = (
    partial(handed, "noa", TO_NOA),
    partial(handed, "mia", TO_NOA),
    partial(handed, "ola", TO_NOA, ON_TO_OLA),
    partial(handed, "noa", TO_NOA, later=(ON_TO_OLA,)),
    partial(handed, "noa", TO_NOA, ON_TO_OLA, ON_TO_PIA),
)
