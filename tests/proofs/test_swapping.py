"""No item of a bundle can be left out, doubled, or be one of another bundle: all places, all items of a kind.

The other bundle is of the same mesh, and then of another. Each change is tried as it is, and with all lists put in
order again, as a forger would. A minimal bundle is gone through whole, always; three full
ones at night, by day in part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from ledger.entry import Entry
from ledger.errors import LocalError
from proofs import reading
from proofs.bundle import Bundle, Selection
from proofs.frontiers import parties_of
from proofs.policy import MemberQuorum
from proofs.report import Report
from proofs.trust import Trust
from proofs.verify import verify as verify_alone
from tests.proofs.both import verify
from tests.proofs.golden import FOLDER, SUFFIX, trusted
from tests.proofs.mesh import Mesh
from tests.proofs.swapping import Path, by_kind, kind_of, mended, places, put, without
from tests.proofs.test_golden_bundles import VERDICTS

NIGHTLY = os.environ.get("MAILLE_PROFILE") == "nightly"
STRIDE = 1 if NIGHTLY else 97
"""Of the changes of a full bundle, each is tried at night, and some by day."""
FULL = ("transfers.withdrawn", "conduct", "period", "collective", "rested")
SAME_MESH = {"transfers.withdrawn": "transfers", "conduct": "period", "period": "conduct"}
SAME_MESH |= {"collective": "delegated.revoked", "rested": "rested"}  # the last: each item in the place of another
OTHER_MESH = {"transfers.withdrawn": "successor", "conduct": "conduct.findings", "period": "period.presented"}
OTHER_MESH |= {"collective": "rested", "rested": "shared"}
"""Whose items are put into which bundle."""

Change = tuple[object, Callable[[], Bundle]]
"""What is done, in words, and how."""


@cache
def minimal(seed: int = 1) -> tuple[Bundle, Bundle, Trust, int]:
    """Return two bundles of one mesh, as small as they can be: of two consents, at two ticks."""
    mesh = Mesh(seed, attestation_quorum=1)
    one, other = mesh.grant(), mesh.grant()
    bundles = []
    for grant in (one, other):
        mesh.tick(mesh.a)
        bundles.append(reading.decode(mesh.prove(grant, fields=["purpose", "pii_type"])))
        mesh.now += 60
    return bundles[0], bundles[1], mesh.trust(policy=MemberQuorum(1)), mesh.now


def full(name: str) -> Bundle:
    """Return a golden bundle."""
    return reading.decode((FOLDER / f"{name}{SUFFIX}").read_bytes())


def replaced(made: Bundle, *others: Bundle) -> Iterator[Change]:
    """Yield each place of a bundle with each other value of its kind in these others."""
    kinds = by_kind(*others)
    for path, held in places(made):
        for item in kinds.get(kind_of(path), ()):
            if item != held:
                yield (path, item), lambda path=path, item=item: put(made, path, item)  # type: ignore[misc]


def shortened(made: Bundle) -> Iterator[Change]:
    """Yield the bundle without each item of a list, with it twice, and with each optional part gone."""
    for path, held in places(made):
        if isinstance(path[-1], int):
            yield (path, "left out"), lambda path=path: without(made, path)  # type: ignore[misc]
            yield (path, "twice"), lambda path=path: twice(made, path)  # type: ignore[misc]
        elif held is not None and held != ():
            gone: Any = () if isinstance(held, tuple) else None
            yield (path, "gone"), lambda path=path, gone=gone: put(made, path, gone)  # type: ignore[misc]


def twice(made: Bundle, path: Path) -> Bundle:
    """Return the bundle with one item of a list twice."""
    listed: Any = made
    for key in path[:-1]:
        listed = listed[key] if isinstance(listed, tuple) else getattr(listed, key)
    at = path[-1]
    changed: Bundle = put(made, path[:-1], (*listed[: at + 1], *listed[at:]))
    return changed


def encoded(change: Callable[[], Bundle]) -> Iterator[bytes]:
    """Yield the bytes of a change, as it is and mended; none where no bundle can be written with it."""
    for mend in (lambda made: made, mended):
        try:
            yield mend(change()).encode()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, LocalError):
            continue  # a value of another type, in a place where one cannot be written


def is_honest(made: Bundle, changed: bytes, before: Report, after: Report) -> bool:
    """Say whether a change that passes is what an honest maker could do, and the report tells it.

    It discloses less, or withholds what a recipient wrote down; ends its chain at an earlier epoch; says another time
    in a period that nobody presents; shows a conduct's member, or a party of a consent, at one tick more, where no
    question is asked of it.
    """
    told = reading.decode(changed)
    if told.epochs != made.epochs:
        fewer = len(after.claims["epochs"]) < len(before.claims["epochs"])
        return fewer and told.epochs == made.epochs[: len(told.epochs)]
    if told.transfers != made.transfers:
        return withheld(after) > withheld(before)
    if told.disclosures != made.disclosures:
        return len(str(after.claims)) < len(str(before.claims))
    if told.about != made.about:
        return made.selection is Selection.PERIOD and after.claims["about"] != before.claims["about"]
    shown = [
        {kid for kid, _ in one.members} ^ {kid for kid, _ in other.members}
        for one, other in zip(told.ticks, made.ticks, strict=True)
    ]
    moved = set[object]().union(*shown)
    if made.selection is Selection.CONDUCT:
        return made.about is not None and moved == {made.about[0]}
    entries = (Entry.parse(item.raw) for item in made.entries)
    grants = (entry for entry in entries if entry.kind == "consent.grant")
    return bool(moved) and moved <= {party[0] for grant in grants for party in parties_of(grant)}


def withheld(report: Report) -> int:
    """Return how many acknowledgements are told without the account that they hide."""
    return sum(row.id.endswith(".ack") and "withheld" in row.evidence for row in report.checks)


def try_all(made: Bundle, trust: Trust, now: int, changes: Iterator[Change], stride: int = 1) -> int:
    """Hold each change, or each of so many, to a refusal or a lower verdict; return how many were tried."""
    data, tried = made.encode(), 0
    before = verify(data, trust, now)
    assert before.exit_code == 0
    for number, (what, change) in enumerate(changes):
        if number % stride:
            continue
        for changed in set(encoded(change)) - {data}:
            tried += 1
            judge = verify if stride > 1 or tried % 11 == 0 else verify_alone
            after = judge(changed, trust, now)
            if after.exit_code == 0:
                assert is_honest(made, changed, before, after), f"{what}\n{after.as_text()}"
    return tried


@pytest.mark.parametrize("seed", [1, 2])
def test_no_item_of_a_minimal_bundle_can_be_another_ones(seed: int) -> None:
    made, _, trust, now = minimal()
    _, other, _, _ = minimal(seed)
    assert try_all(made, trust, now, replaced(made, other)) > 300


def test_no_item_of_a_minimal_bundle_can_be_left_out_or_doubled() -> None:
    made, _, trust, now = minimal()
    assert try_all(made, trust, now, shortened(made)) > 150


@pytest.mark.parametrize("others", [SAME_MESH, OTHER_MESH], ids=["same mesh", "other mesh"])
@pytest.mark.parametrize("name", FULL)
def test_no_item_of_a_full_bundle_can_be_another_ones(name: str, others: dict[str, str]) -> None:
    brought, made = VERDICTS[name], full(name)
    changes = replaced(made, full(others[name]))
    assert try_all(made, trusted(brought), brought["now"], changes, STRIDE) > 5_000 / STRIDE


@pytest.mark.parametrize("name", FULL)
def test_no_item_of_a_full_bundle_can_be_left_out_or_doubled(name: str) -> None:
    brought, made = VERDICTS[name], full(name)
    assert try_all(made, trusted(brought), brought["now"], shortened(made), STRIDE) > 500 / STRIDE
