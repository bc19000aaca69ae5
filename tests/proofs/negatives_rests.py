"""Negatives about delegations, and what makers of negatives about what consents rest on share.

How it works
    As in `negatives`: one fault each, everything else sound and signed. What a lying witness would state is made by
    changing one value before the maps are moved. `DELEGATIONS` is the table.

What it does not do
    It verifies nothing: `test_negatives` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, Final

import pytest

from ledger import codec
from ledger.consent.bounds import Bounds
from ledger.consent.disclosure import Disclosures, slot_digest
from ledger.entry import Entry
from ledger.moves import Frontier
from ledger.schema import DAY
from proofs import reading, rested
from proofs.bundle import Bundle, Disclosure
from proofs.gather import Gathering
from proofs.reasons import Reason
from proofs.state import Refused
from tests.proofs.mesh import START, Grant
from tests.proofs.negatives import Made, Negative
from tests.proofs.rests import UNTIL, Chains, line

Bend = Callable[[Bundle], Bundle]
"""What is changed of a bundle before it is encoded."""
PAPER: Final = bytes(31) + b"\x07"
GAP: Final = 300
"""Seconds between a tick and a later one, where an end lies in between."""


def as_made(made: Bundle) -> Bundle:
    """Change nothing."""
    return made


@contextmanager
def lying(
    ident: Callable[[], bytes], change: Callable[[list[Any]], None], *, beyond: Mapping[bytes, int] | None = None
) -> Iterator[None]:
    """Let the maps hold another value of one entry, as witnesses who lie together would have it.

    `beyond`: only at frontiers larger than these sizes. The maker takes what it cannot read for nothing.
    """

    def committed(self: Frontier, asked: bytes) -> bytes | None:
        value = HONEST_VALUE(self, asked)
        larger = beyond is None or any(self.size(feed) > size for feed, size in beyond.items())
        if value is None or asked != ident() or not larger:
            return value
        told: Any = codec.decode(value)
        change(told)
        return codec.encode(told)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frontier, "committed", committed)
        for name in ("call_value", "consent_value", "delegation_value"):
            patch.setattr(rested, name, partial(lenient, getattr(rested, name)))
        yield


HONEST_VALUE: Final = Frontier.committed


def lenient(read: Callable[..., Any], *value: Any) -> Any:
    """Read a value; of one that does not fit, nothing."""
    try:
        return read(*value)
    except Refused:
        return SimpleNamespace(ended=False, decided_by=(), amended=(), signed=(), opened=bytes(32), refused=())


def told(mesh: Chains, grant: Grant, bend: Bend = as_made, **how: Any) -> Made:
    """Tick, make the bundle, bend it; the auditor asks for now, or for `at`."""
    at = how.pop("at", None)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    return bend(reading.decode(mesh.prove(grant, **how))).encode(), mesh.trust(at=at), mesh.now


def ended_later(mesh: Chains, grant: Grant, end: Callable[[], object], *, after: int, asked: int = 0) -> Made:
    """Tick, let something end the consent `after` seconds, tick again; she asks for `asked` after the first tick."""
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b, mesh.c).boundary
    mesh.now = first + after
    mesh.grant()
    end()
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    return mesh.prove(grant, first=first), mesh.trust(at=first + asked, max_age=60), mesh.now


def put(place: int, value: Any) -> Callable[[list[Any]], None]:
    """Put something at a place of a value."""

    def change(told_: list[Any]) -> None:
        told_[place] = value

    return change


# Delegations


def chained(
    names: tuple[str, ...] = ("mia", "noa", "ola"),
    bounds: Bounds | None = None,
    bend: Bend = as_made,
    *,
    signer: str = "",
    depth: int | None = None,
    until: int = UNTIL,
    nearest: Mapping[str, Any] | None = None,
    **grant: Any,
) -> Made:
    """Delegate from each to the next; the last consents."""
    mesh = Chains()
    links: list[Entry] = []
    for place, (giver, delegate) in enumerate(pairwise(names)):
        left = len(names) - 2 - place
        more: dict[str, Any] = {"depth": left if depth is None else depth, "valid_until": until}
        if not left:
            more.update(nearest or {})
        given = more.pop("bounds", bounds)
        links.insert(0, mesh.give(giver, delegate, given, links[0] if links else None, **more))
    consent = mesh.consent(signer or names[-1], delegation=links[0].id, **grant)
    return told(mesh, consent, bend)


def revoked(by: str = "mia", *, after: int, asked: int = 0) -> Made:
    """A link of the chain is revoked from above."""
    mesh = Chains()
    links = line(mesh, ("mia", "noa", "ola"))
    consent = mesh.consent("ola", delegation=links[0].id)
    return ended_later(mesh, consent, lambda: mesh.revoke_delegation(by, *links), after=after, asked=asked)


def revoked_before() -> Made:
    """The delegation was revoked before the only tick."""
    mesh = Chains()
    links = line(mesh, ("mia", "noa"))
    consent = mesh.consent("noa", delegation=links[0].id)
    mesh.revoke_delegation("slip of mia", *links)
    return told(mesh, consent)


def guarded(*words: str, by_holder: bool = True) -> Made:
    """A guardian consents; the holder says of the judgment what it found."""
    mesh = Chains()
    (given,) = line(mesh, ("mia", "noa"), role="guardian", evidence=[PAPER])
    consent = mesh.consent("noa", delegation=given.id)
    for word in words:
        mesh.now += 1
        mesh.check_paper(given, PAPER, word, mesh.a if by_holder else mesh.b)
    return told(mesh, consent)


def registered_late() -> Made:
    """The delegation is registered only after the tick that speaks."""
    mesh = Chains()
    twin = Chains()
    (given,) = line(twin, ("mia", "noa"))
    consent = mesh.consent("noa", delegation=given.id)
    mesh.contents.update(twin.contents)
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.log(mesh.a, given)
    mesh.sign(mesh.a)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return mesh.prove(consent, first=first), mesh.trust(at=first), mesh.now


def of_delegation(change: Callable[[list[Any]], None]) -> Made:
    """Witnesses state something else of a delegation."""
    mesh = Chains()
    (given,) = line(mesh, ("mia", "noa"))
    consent = mesh.consent("noa", delegation=given.id)
    with lying(lambda: given.id, change):
        return told(mesh, consent)


def rewritten(listed: tuple[tuple[int, tuple[Disclosure, ...]], ...], **values: Any) -> Any:
    """Return disclosures with other values, under the same salts."""
    ((entry, shown),) = listed
    return ((entry, tuple((salt, values.get(name, value), name) for salt, value, name in shown)),)


def without_kind(kind: str) -> Bend:
    """Leave the entries of one kind out, with all that names them."""

    def bend(made: Bundle) -> Bundle:
        gone = {at for at, item in enumerate(made.entries) if Entry.parse(item.raw).kind == kind}
        kept = [at for at in range(len(made.entries)) if at not in gone]
        follow = {at: new for new, at in enumerate(kept)}

        def renumbered(listed: tuple[tuple[int, Any], ...]) -> Any:
            return tuple((follow[at], held) for at, held in listed if at in follow)

        ticks = tuple(replace(tick, consents=renumbered(tick.consents)) for tick in made.ticks)
        opened = {"disclosures": renumbered(made.disclosures), "bounds": renumbered(made.bounds)}
        return replace(made, entries=tuple(made.entries[at] for at in kept), ticks=ticks, **opened)

    return bend


def not_shown(kind: str, *ticks: int) -> Bend:
    """Leave the state of the entries of one kind out of some ticks."""

    def bend(made: Bundle) -> Bundle:
        gone = {at for at, item in enumerate(made.entries) if Entry.parse(item.raw).kind == kind}
        changed = tuple(
            replace(tick, consents=tuple(each for each in tick.consents if each[0] not in gone or number not in ticks))
            for number, tick in enumerate(made.ticks)
        )
        return replace(made, ticks=changed)

    return bend


def opening_the_certificate(field: str) -> Bend:
    """Say that disclosures, or bounds, open an entry of another kind."""

    def bend(made: Bundle) -> Bundle:
        at = next(n for n, item in enumerate(made.entries) if Entry.parse(item.raw).kind == "device.certify")
        listed = made.bounds if field == "bounds" else made.disclosures
        more = tuple(sorted([*(each for each in listed if each[0] != at), (at, listed[0][1])]))
        return replace(made, bounds=more) if field == "bounds" else replace(made, disclosures=more)

    return bend


def out_of_shape() -> Made:
    """The delegation bounds by values that are none."""
    mesh = Chains()
    shown = {"points": (bytes(16), 5)}
    slots = slot_digest(*shown["points"], "points") + bytes(7 * 32)
    given = mesh.give("mia", "noa", slots=slots)
    mesh.contents[given.id] = Disclosures(shown)
    return told(mesh, mesh.consent("noa", delegation=given.id))


def taken_back() -> Made:
    """By a later tick the delegation was never revoked."""
    mesh = Chains()
    (given,) = line(mesh, ("mia", "noa"))
    consent = mesh.consent("noa", delegation=given.id)
    mesh.revoke_delegation("mia", given)
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 5
    mesh.revoke_delegation("slip of mia", given)  # so that its state is computed anew

    def change(value: list[Any]) -> None:
        value[0], value[2] = 1, [given.id]

    with lying(lambda: given.id, change, beyond=first.sizes):
        mesh.tick(mesh.a, mesh.b)
        return mesh.prove(consent, first=first.boundary), mesh.trust(), mesh.now


def hidden_bounds(made: Bundle) -> Bundle:
    """Withhold the bounds."""
    return replace(made, bounds=())


def beside(kind: str) -> Made:
    """An entry that nothing rests on, or that ends nothing here, travels along."""
    mesh = Chains()
    links = line(mesh, ("mia", "noa"))
    consent = mesh.consent("noa", delegation=links[0].id)
    other = mesh.give("pia", "noa")
    if kind == "delegation.revoke":
        other = mesh.revoke_delegation("pia", other)
    elif kind == "group.open":
        mesh.group("mia")
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return carry(mesh, consent, lambda entry: entry.kind == kind and entry.id != links[0].id)


def carry(mesh: Chains, consent: Grant, wanted: Callable[[Entry], bool]) -> Made:
    """Make the bundle with one more entry of Aube's feed, under the checkpoint of the tick."""
    honest = Gathering.attest

    def attest(self: Gathering, *args: Any) -> None:
        replica, feed = self.replica, mesh.a.device.kid
        found = (replica.leaf_entry(self.rows, feed, index) for index in range(self.ticks[0].heads[feed].size))
        self.log_below(next(entry.id for entry in found if wanted(entry)))
        honest(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gathering, "attest", attest)
        return mesh.prove(consent), mesh.trust(), mesh.now


OURS, R = "ledger.md §7", Reason
BELOW: Final = Bounds(points=frozenset({"prm:12345678901234"}), granularity="PT30M", sharing_depth=2)
DELEGATIONS: Final = [
    Negative("used by another", OURS, R.DELEGATION_NOT_YOURS, partial(chained, signer="eve")),
    Negative(
        "delegations without end", OURS, R.MALFORMED, partial(chained, tuple(f"p{at}" for at in range(18)), depth=8)
    ),
    Negative("one link too many", OURS, R.DELEGATION_TOO_DEEP, partial(chained, depth=0)),
    Negative(
        "a delegation that ends first", OURS, R.DELEGATION_EXPIRED, partial(chained, until=(START // DAY + 20) * DAY)
    ),
    *(
        Negative(
            f"beyond what was delegated: {name}", OURS, R.DELEGATION_WIDER, partial(chained, ("mia", "noa"), bounds)
        )
        for name, bounds in {
            "points": Bounds(points=frozenset({"prm:99999999999999"})),
            "purposes": Bounds(purposes=frozenset({"Research"})),
            "recipients": Bounds(recipients=frozenset({(bytes(32), 1)})),
            "granularity": Bounds(granularity="P1D"),
            "data_period": Bounds(data_period=((START - DAY, START),)),
            "sharing_depth": Bounds(sharing_depth=1),
        }.items()
    ),
    Negative(
        "a link wider than the one above",
        OURS,
        R.DELEGATION_WIDER,
        partial(chained, bounds=BELOW, nearest={"bounds": Bounds()}),
    ),
    Negative("bounds out of shape", OURS, R.MALFORMED, out_of_shape),
    Negative(
        "bounds out of order",
        OURS,
        R.MALFORMED,
        partial(chained, bend=lambda made: replace(made, bounds=made.bounds[::-1])),
    ),
    Negative("a revocation taken back", OURS, R.BAD_STATE_PROOF, taken_back),
    Negative("bounds withheld", OURS, R.DELEGATION_HIDDEN, partial(chained, ("mia", "noa"), BELOW, hidden_bounds)),
    Negative("a delegation left out", OURS, R.NOT_CARRIED, partial(chained, bend=without_kind("delegation.give"))),
    Negative("revoked before the tick", OURS, R.DELEGATION_REVOKED, revoked_before),
    Negative("revoked, and long known", OURS, R.DELEGATION_REVOKED, partial(revoked, after=5, asked=100)),
    Negative("revoked beside", OURS, R.CONCURRENT_WITHDRAWAL, partial(revoked, after=20, asked=22)),
    Negative("a guardian unproven", OURS, R.DELEGATION_UNPROVEN, guarded),
    Negative("a guardian's paper found wanting", OURS, R.DELEGATION_UNPROVEN, partial(guarded, "checked_ko")),
    Negative(
        "a guardian's paper checked by another",
        OURS,
        R.DELEGATION_UNPROVEN,
        partial(guarded, "checked_ok", by_holder=False),
    ),
    Negative("a delegation registered late", OURS, R.DELEGATION_NOT_SHOWN, registered_late),
    Negative("a delegation with another end", OURS, R.BAD_STATE_PROOF, partial(of_delegation, put(1, UNTIL - DAY))),
    Negative("a delegation decided by another", OURS, R.BAD_STATE_PROOF, partial(of_delegation, put(2, [bytes(32)]))),
    Negative("a revocation that is not carried", OURS, R.BAD_STATE_PROOF, partial(of_delegation, put(0, 0))),
    Negative(
        "bounds made up",
        OURS,
        R.DISCLOSURE_MISMATCH,
        partial(
            chained, ("mia", "noa"), BELOW, lambda made: replace(made, bounds=rewritten(made.bounds, sharing_depth=8))
        ),
    ),
    Negative("bounds of a grant", OURS, R.MALFORMED, partial(chained, bend=opening_the_certificate("bounds"))),
    Negative(
        "disclosures of a certificate", OURS, R.MALFORMED, partial(chained, bend=opening_the_certificate("disclosures"))
    ),
    Negative(
        "a delegation that no tick shows",
        OURS,
        R.BAD_STATE_PROOF,
        partial(chained, bend=not_shown("delegation.give", 0)),
    ),
    Negative("a delegation beside", OURS, R.BAD_STATE_PROOF, partial(beside, "delegation.give")),
    Negative("a revocation of another", OURS, R.UNREFERENCED_ITEM, partial(beside, "delegation.revoke")),
    Negative("rules of a group beside", OURS, R.UNREFERENCED_ITEM, partial(beside, "group.open")),
]
"""The part of the catalogue that is made here."""
HONEST: Final[tuple[Callable[[], Made], ...]] = (
    chained,
    partial(chained, ("mia", "noa", "ola", "pia"), BELOW),
    partial(revoked, after=GAP),
    partial(guarded, "checked_ok"),
)
"""The same, with nothing wrong: each passes."""
