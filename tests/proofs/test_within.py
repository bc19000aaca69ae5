"""What lies within what, on disclosed values: where all is disclosed, the gate and the second verifier say the same."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.consent import bounds as limits
from ledger.consent.bounds import Bounds
from ledger.consent.chain import may_pass_on
from ledger.consent.grant import OWN_INFORMATION, wider_fields
from ledger.consent.record import Actor, DataKind, OnwardSharing, Stages, Terms
from ledger.entry import Entry
from ledger.schema import DAY
from proofs.within import Compared, beyond, hull, nothing_left, passes_on, wider_bounds, wider_terms
from tests.proofs.mesh import START, terms
from tests.proofs.rests import Chains
from tests.proofs.second import within as second

KID = bytes(31) + b"\x01"
CIME = Actor("Cime", "recipient", "", (KID, 1))
DUNE = Actor("Dune", "recipient", "", (bytes(32), 1))
POINTS = ("prm:12345678901234", "prm:99999999999999")
WINDOWS = (
    ((START - 90 * DAY, START),),
    ((START - 60 * DAY, START - 30 * DAY),),
    ((START - 90 * DAY, START - 40 * DAY), (START - 40 * DAY, START)),
    ((START - 400 * DAY, START - 100 * DAY),),
)
SHARING = (
    OnwardSharing(),
    OnwardSharing("depth", 1),
    OnwardSharing("depth", 2, aggregate_only=True),
    OnwardSharing("depth", 2, source_contract="a loop"),
    OnwardSharing("listed", 0, (CIME,)),
    OnwardSharing("listed", 0, (CIME, DUNE)),
)
FIELDS: dict[str, tuple[Any, ...]] = {
    "purpose": ("Advice on shifting consumption", "Research"),
    "points": (POINTS[:1], POINTS),
    "granularity": ("PT30M", "P1D", "P1M", "PT10M", "P30D", "P1Y"),
    "data_period": WINDOWS,
    "access_period": ((0, None), (START, None), (0, START + DAY), (START, START + 2 * DAY)),
    "onward_sharing": SHARING,
    "retention": ("P1Y", "P2Y", "P30D", "P12M"),
    "processors": ((), (Actor("Dune", "processor"),)),
    "stages": (Stages(True, True, True), Stages(True, False, True)),
    "freshness": ((), (bytes(32),), (bytes(32), KID)),
    "computation": (None, bytes(32), KID),
    "storage": ("servers in France", "elsewhere"),
}
CURVE = DataKind("electricity", "consumption", "load_curve")
GAS = DataKind("gas", "consumption", "daily")


@st.composite
def drawn_terms(draw: st.DrawFn) -> Terms:
    """Return terms that differ from the plain ones in some fields."""
    names = draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=3))
    changed = {name: draw(st.sampled_from(FIELDS[name])) for name in sorted(names)}
    return replace(terms(START), **changed)


drawn_bounds = st.builds(
    Bounds,
    points=st.sampled_from((None, frozenset(POINTS[:1]), frozenset(POINTS), frozenset(POINTS[1:]))),
    kinds=st.sampled_from((None, frozenset({CURVE}), frozenset({GAS}))),
    purposes=st.sampled_from((None, frozenset({"advice on  SHIFTING consumption"}), frozenset({"Research", "other"}))),
    recipients=st.sampled_from((None, frozenset({(KID, 1)}), frozenset({(bytes(32), 1)}))),
    granularity=st.sampled_from((None, *FIELDS["granularity"])),
    data_period=st.sampled_from((None, *WINDOWS)),
    sharing_depth=st.sampled_from((None, 0, 1, 2)),
)


@given(drawn_terms(), drawn_terms(), st.booleans())
def test_terms_are_compared_as_by_the_gate(inner: Terms, outer: Terms, child: bool) -> None:
    spared = OWN_INFORMATION if child else frozenset()
    told = wider_terms(inner.values(), outer.values(), spared)
    assert set(told.wider) == set(wider_fields(inner, outer)) - spared
    assert told.hidden == ()
    assert second.terms(inner.values(), outer.values(), set(spared)) == (bool(told.wider), False)


@given(drawn_terms(), drawn_bounds, st.sampled_from(((KID, 1), (bytes(32), 2))))
def test_a_grant_is_held_to_bounds_as_by_the_gate(content: Terms, bounds: Bounds, recipient: tuple[bytes, int]) -> None:
    told = beyond(content.values(), list(recipient), bounds.values())
    assert set(told.wider) == set(limits.beyond(content, recipient, bounds))
    assert told.hidden == ()
    assert second.beyond(content.values(), list(recipient), bounds.values()) == (bool(told.wider), False)


@given(drawn_bounds, drawn_bounds)
def test_bounds_are_held_to_bounds_as_by_the_gate(inner: Bounds, outer: Bounds) -> None:
    told = wider_bounds(inner.values(), outer.values())
    assert set(told.wider) == set(limits.wider_bounds(inner, outer))
    assert second.attenuates(inner.values(), outer.values()) == (bool(told.wider), False)


@given(drawn_terms(), drawn_terms(), st.sampled_from((KID, bytes(32))))
def test_data_go_on_as_the_gate_lets_them(child: Terms, parent: Terms, recipient: bytes) -> None:
    grant = granted(recipient)
    told = passes_on(child.onward_sharing.value(), grant.payload["recipient"], parent.onward_sharing.value())
    assert told == may_pass_on(child, grant, parent)
    own, rule = child.onward_sharing.value(), parent.onward_sharing.value()
    assert told == second.passes_on(own, grant.payload["recipient"], rule)


@cache
def granted(recipient: bytes) -> Entry:
    """Return a grant to somebody."""
    mesh = Chains()
    payload = {**mesh.consent("mia").entry.payload, "recipient": [recipient, 1]}
    return mesh.state("mia", "consent.grant", payload)


@given(drawn_terms(), drawn_terms(), st.sets(st.sampled_from(sorted(FIELDS))))
def test_what_is_withheld_is_told_and_never_wider(inner: Terms, outer: Terms, withheld: set[str]) -> None:
    shown = {name: value for name, value in inner.values().items() if name not in withheld}
    told, whole = wider_terms(shown, outer.values(), ()), wider_terms(inner.values(), outer.values(), ())
    assert set(told.hidden) == withheld
    assert set(told.wider) == set(whole.wider) - withheld


def test_bounds_ask_for_the_fields_that_they_bound_alone() -> None:
    bounds = Bounds(granularity="P1D").values()
    assert beyond({}, [KID, 1], bounds) == Compared((), ("granularity",))
    assert beyond({"granularity": "P1D"}, [KID, 1], bounds) == Compared()
    assert beyond({"granularity": None}, [KID, 1], bounds) == Compared()
    assert "points" in beyond({}, [KID, 1], {}).hidden
    assert "recipients" in beyond({}, ["a class"], Bounds(recipients=frozenset({(KID, 1)})).values()).wider


def test_what_amendments_leave() -> None:
    values = terms(START).values()
    assert nothing_left(values, {}) == ()
    assert nothing_left(values, {"points": [POINTS[1]]}) == ("points",)
    assert nothing_left(values, {"points": list(POINTS), "purpose": "x"}) == ("purpose",)
    assert nothing_left(values, {"data_period": [[START, START + DAY]]}) == ("data_period",)
    assert hull([[1, 2], [5, 9]]) == (1, 9)
