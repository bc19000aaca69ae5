"""Nothing about a bundle can be changed and still pass: every bit, every item, and whatever bytes anyone sends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_open

from ledger import codec
from ledger.errors import LocalError
from proofs import reading
from proofs.bundle import BUNDLE_BYTES_MAX
from proofs.policy import MemberQuorum
from proofs.report import Indication, Reason, Report
from proofs.verify import Trust
from proofs.verify import verify as verify_alone
from tests.proofs.both import verify
from tests.proofs.mesh import Mesh

Path = tuple[Any, ...]
NIGHTLY = os.environ.get("MAILLE_PROFILE") == "nightly"
SECOND_STRIDE = 1 if NIGHTLY else 101
"""Our verifier is asked about every bit, always; the second one about every bit at night, and about some by day."""

ITEMS_STRIDE = 1 if NIGHTLY else 5
"""Of the items of a bundle that is not minimal each is changed at night, and some by day."""


@cache
def minimal(seed: int = 1) -> tuple[bytes, Trust, int]:
    """The smallest passing bundle: one founder as witness, holder and keeper of the feed, two fields."""
    mesh = Mesh(seed, attestation_quorum=1)
    grant = mesh.grant()
    mesh.tick(mesh.a)
    bundle = mesh.prove(grant, fields=["purpose", "pii_type"])
    trust = mesh.trust(policy=MemberQuorum(1))
    assert verify(bundle, trust, mesh.now).exit_code == 0
    return bundle, trust, mesh.now


@cache
def full(seed: int = 1) -> tuple[bytes, Trust, int]:
    """A bundle with everything: two ticks, an admitted witness, a later withdrawal, three fields."""
    mesh = Mesh(seed)
    grant = mesh.grant()
    first = mesh.tick(mesh.a, mesh.c).boundary
    mesh.now += 30
    mesh.withdraw(grant, mesh.c, seen=mesh.a)
    mesh.tick(mesh.b, mesh.c)
    bundle = mesh.prove(grant, first=first, fields=["purpose", "pii_type", "granularity"])
    trust = mesh.trust(at=first)
    report = verify(bundle, trust, mesh.now)
    assert report.reason is Reason.WITHDRAWN_LATER, report.as_text()
    return bundle, trust, mesh.now


@cache
def whole(seed: int = 1) -> tuple[bytes, Trust, int]:
    """A bundle with an epoch chain, three ticks, a transfer with both accounts, and a withdrawal after it."""
    mesh = Mesh(seed)
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    mesh.seal(mesh.a, mesh.b, mesh.c)
    first = mesh.tick(mesh.a, mesh.c)
    mesh.now += 60
    moved = mesh.move(grant, first.frontier)
    mesh.now += 10
    second = mesh.tick(mesh.b, mesh.c)
    mesh.now += 30
    mesh.grant()
    mesh.withdraw(grant, mesh.c, seen=mesh.a)
    mesh.tick(mesh.b, mesh.c)
    shown: dict[str, Any] = {
        "first": first.boundary,
        "between": [second.boundary],
        "fields": ["purpose", "pii_type", "granularity"],
    }
    bundle = mesh.prove(grant, transfers=[moved], **shown)
    trust = mesh.trust(at=first.boundary)
    report = verify(bundle, trust, mesh.now)
    assert report.reason is Reason.WITHDRAWN_LATER, report.as_text()
    assert len(report.claims["epochs"]) == 2
    return bundle, trust, mesh.now


def check_lower(data: bytes, trust: Trust, now: int, what: object) -> Report:
    """Hold a tampered bundle to anything but a pass."""
    report = verify(data, trust, now)
    assert report.indication is not Indication.PASSED, f"{what}: {report.as_text()}"
    return report


@pytest.mark.covers("R100")
@pytest.mark.parametrize("part", range(8))
def test_every_flipped_bit_is_refused(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, trust, now = minimal()
    monkeypatch.setattr("ledger.keys.crypto_sign_open", lru_cache(maxsize=64)(crypto_sign_open))  # most stay the same
    for place in range(part, 8 * len(bundle), 8):
        flipped = bytearray(bundle)
        flipped[place // 8] ^= 1 << place % 8
        judge = verify if place % SECOND_STRIDE == 0 else verify_alone
        report = judge(bytes(flipped), trust, now)
        assert report.exit_code == 1, f"byte {place // 8}, bit {place % 8}: {report.as_text()}"


def test_cut_short_and_extended() -> None:
    bundle, trust, now = minimal()
    for at in range(0, len(bundle), 7):
        assert check_lower(bundle[:at], trust, now, at).reason is Reason.MALFORMED
    assert check_lower(bundle + b"\x00", trust, now, "extended").reason is Reason.MALFORMED
    assert check_lower(bytes(BUNDLE_BYTES_MAX + 1), trust, now, "long").reason is Reason.MALFORMED


# Items


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every item inside a value."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*path, key)
            yield from places(value[key], (*path, key))


def chosen(make: Any, bundle: bytes) -> list[Path]:
    """Return the paths of the items to change: of a minimal bundle all."""
    found = list(places(codec.decode(bundle, max_bytes=BUNDLE_BYTES_MAX)))
    return found if make is minimal else found[::ITEMS_STRIDE]


def at_path(value: Any, path: Path) -> Any:
    """Return the item at a path."""
    for key in path:
        value = value[key]
    return value


def changed(bundle: bytes, path: Path, how: str, other: Any = None) -> bytes | None:
    """Return the bundle with one item changed, or None when that cannot be encoded or changes nothing."""
    value: Any = codec.decode(bundle, max_bytes=BUNDLE_BYTES_MAX)
    holder, key = at_path(value, path[:-1]), path[-1]
    match how:
        case "removed":
            del holder[key]
        case "duplicated" if isinstance(holder, list):
            holder.insert(key, holder[key])
        case "swapped" if isinstance(holder, list) and key + 1 < len(holder):
            holder[key], holder[key + 1] = holder[key + 1], holder[key]
        case "replaced":
            holder[key] = other
        case _:
            return None
    try:
        data = codec.encode(value)
    except LocalError:
        return None
    return data if data != bundle else None


def is_optional_disclosure(bundle: bytes, path: Path, how: str) -> bool:
    """Say whether the change only withholds one more field: an honest, narrower bundle."""
    value: Any = codec.decode(bundle, max_bytes=BUNDLE_BYTES_MAX)
    return how == "removed" and len(path) == 4 and path[0] == 8 and at_path(value, path)[2] == "granularity"


@pytest.mark.parametrize("how", ["removed", "duplicated", "swapped"])
@pytest.mark.parametrize("make", [minimal, full, whole])
def test_every_item_removed_duplicated_or_swapped(make: Any, how: str) -> None:
    bundle, trust, now = make()
    count = 0
    for path in chosen(make, bundle):
        data = changed(bundle, path, how)
        if data is None:
            continue
        count += 1
        if how == "removed" and path == (9, 1):  # the newest epoch: no voter changed, so the rest is as recent
            assert len(verify(data, trust, now).claims["epochs"]) == 1
        elif is_optional_disclosure(bundle, path, how):
            before, after = verify(bundle, trust, now), verify(data, trust, now)
            assert after.claims["disclosed"].keys() < before.claims["disclosed"].keys()
        else:
            check_lower(data, trust, now, (how, path))
    assert count > 30


@pytest.mark.parametrize("make", [minimal, full, whole])
def test_every_item_replaced_by_that_of_another_mesh(make: Any) -> None:
    bundle, trust, now = make()
    other = codec.decode(make(2)[0], max_bytes=BUNDLE_BYTES_MAX)
    count = 0
    for path in chosen(make, bundle):
        try:
            item = at_path(other, path)
        except (IndexError, KeyError, TypeError):
            continue
        data = changed(bundle, path, "replaced", item)
        if data is not None:
            count += 1
            check_lower(data, trust, now, path)
    assert count > 30


@pytest.mark.parametrize("make", [minimal, full, whole])
def test_every_entry_removed_with_its_references_mended(make: Any) -> None:
    bundle, trust, now = make()
    made = reading.decode(bundle)
    for gone in range(1, len(made.entries)):
        kept = [at for at in range(len(made.entries)) if at != gone]
        entries = [made.entries[at] for at in kept]
        held = sorted({item.checkpoint for item in entries})
        mended = replace(
            made,
            entries=tuple(replace(item, checkpoint=held.index(item.checkpoint)) for item in entries),
            checkpoints=tuple(made.checkpoints[at] for at in held),
        )
        check_lower(mended.encode(), trust, now, made.entries[gone].raw[:200])


def test_the_second_tick_removed_shows_less() -> None:
    bundle, trust, now = full()
    made = reading.decode(bundle)
    check_lower(replace(made, ticks=made.ticks[1:]).encode(), trust, now, "first tick")
    check_lower(replace(made, ticks=made.ticks[:1]).encode(), trust, now, "second tick")
    check_lower(replace(made, ticks=made.ticks[::-1]).encode(), trust, now, "ticks turned round")


# Anything


@given(st.binary(max_size=400))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    _, trust, now = minimal()
    assert check_lower(data, trust, now, data).reason is Reason.MALFORMED


SCALARS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 30),
    st.binary(max_size=40),
    st.text("abc", max_size=4),
    st.booleans(),
    st.none(),
    st.just([]),
    st.just([0, 1, 2]),
    st.just({}),
    st.just({1: 1}),
)


@settings(max_examples=300)
@given(st.data())
def test_arbitrary_items_never_raise(data: st.DataObject) -> None:
    bundle, trust, now = whole()
    value: Any = codec.decode(bundle, max_bytes=BUNDLE_BYTES_MAX)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(value))))
        at_path(value, path[:-1])[path[-1]] = deepcopy(data.draw(SCALARS))  # else a list could come to hold itself
    try:
        encoded = codec.encode(value)
    except LocalError:
        return
    if encoded != bundle:
        check_lower(encoded, trust, now, value)


@given(st.binary(max_size=4).map(lambda extra: {15: extra}))
def test_a_key_that_nobody_knows_is_refused(extra: dict[int, bytes]) -> None:
    bundle, trust, now = minimal()
    value: Any = codec.decode(bundle, max_bytes=BUNDLE_BYTES_MAX)
    assert check_lower(codec.encode({**value, **extra}), trust, now, extra).reason is Reason.MALFORMED


def test_a_disclosure_made_up_is_named() -> None:
    bundle, trust, now = minimal()
    made = reading.decode(bundle)
    ((grant, ((salt, _, name), other)),) = made.disclosures
    report = verify(replace(made, disclosures=((grant, ((salt, "Marketing", name), other)),)).encode(), trust, now)
    assert report.reason is Reason.DISCLOSURE_MISMATCH
    assert "purpose" in report.message
    assert "disclosed" not in report.claims
