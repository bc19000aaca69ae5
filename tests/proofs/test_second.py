"""The second verifier is one: it shares no code with ours, and its Ed25519 gives libsodium's verdict on every vector.

That both say the same of every bundle is asserted wherever a test verifies one (`tests.proofs.both`).
"""

from __future__ import annotations

import ast
import json
import random
from functools import cache
from pathlib import Path

import pycddl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec, keys, kinds, merkle
from ledger.consent.bounds import FIELDS as BOUNDS
from ledger.consent.bounds import SLOTS as BOUND_SLOTS
from ledger.consent.record import FIELDS, SLOTS
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.certificate import _EPOCH_FIELDS
from ledger.kinds import KINDS
from proofs import reading
from tests.proofs.second import cbor, curve, entries, shapes
from tests.proofs.second.chain import _EPOCH as second_epoch
from tests.shared import shared

FOLDER = Path(__file__).resolve().parent / "second"
LIBRARIES = {"__future__", "base64", "collections", "dataclasses", "functools", "hashlib", "itertools", "re"}
LIBRARIES |= {"typing", "unicodedata", "cryptography"}


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_it_shares_no_code_with_ours() -> None:
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) > 8
    for path in files:
        for module in imported(path):
            own = module.startswith("tests.proofs.second")
            assert own or module.partition(".")[0] in LIBRARIES, f"{path.name} imports {module}"


def test_its_signatures_are_judged_by_the_same_rule() -> None:
    vectors = json.loads(shared("vectors/ed25519_cctv.json").read_text())
    taken = 0
    for each in vectors:
        public, signature = bytes.fromhex(each["key"]), bytes.fromhex(each["sig"])
        message = each["msg"].encode()
        good = curve.verify(public, message, signature)
        assert good == keys.verify(public, message, signature), each
        taken += good
        assert curve.is_sound_key(public) == is_sound(public), each
    assert (len(vectors), taken) == (914, 43)


def is_sound(public: bytes) -> bool:
    """Say whether our code admits a key."""
    try:
        keys.check_public_key(public)
    except RemoteError:
        return False
    return True


@given(st.binary(min_size=32, max_size=32))
def test_it_admits_the_same_keys(public: bytes) -> None:
    assert curve.is_sound_key(public) == is_sound(public)
    assert curve.of_did(curve.did(public)) == public
    assert curve.did(public) == keys.did_key(public)


VALUES = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40) | st.text(max_size=12) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(0, 300) | st.integers(-90_000, -1), inner, max_size=3)
        | st.dictionaries(st.text("abcdé", max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


def read_by_ours(data: bytes) -> object:
    """Return what our codec reads, or the class of its refusal."""
    try:
        return repr(codec.decode(data))
    except RemoteError:
        return RemoteError


def read_by_it(data: bytes) -> object:
    """Do the same with the second reader."""
    try:
        value = cbor.read(data)
    except cbor.BadBytes:
        return RemoteError
    assert cbor.write(value) == data
    return repr(value)


@given(st.one_of(st.binary(max_size=60), VALUES.map(cbor.write)), st.integers(0, 2**20))
def test_it_reads_the_same_bytes(data: bytes, turn: int) -> None:
    assert read_by_it(data) == read_by_ours(data)
    if data:
        turned = bytearray(data)
        turned[turn % len(data)] ^= 1 << turn % 8
        assert read_by_it(bytes(turned)) == read_by_ours(bytes(turned))


@pytest.mark.parametrize("depth", [16, 17])
def test_it_reads_as_deep(depth: int) -> None:
    data = b"\x81" * depth + b"\x00"
    assert read_by_it(data) == read_by_ours(data)
    assert (read_by_it(data) is RemoteError) == (depth == 17)


@given(st.integers(1, 70), st.data())
def test_its_trees_are_ours(size: int, data: st.DataObject) -> None:
    rng = random.Random(size)
    leaves = [rng.randbytes(32) for _ in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_path(leaves, index)
    assert entries.root_of(leaves[index], index, size, path) == merkle.root_of(leaves)
    other = data.draw(st.integers(0, 2 * size))
    wrong = data.draw(st.integers(0, 2 * size))
    theirs = entries.root_of(leaves[index], other, wrong, path)
    try:
        assert theirs == merkle.root_from_inclusion(leaves[index], other, wrong, path)
    except RemoteError:
        assert theirs is None


def test_it_knows_the_same_kinds_and_fields() -> None:
    assert shapes.SLOT == SLOTS
    assert list(shapes.FIELDS) == list(FIELDS)
    assert shapes.BOUND == BOUND_SLOTS
    for kind, (thing, _, governs, _) in shapes.KINDS.items():
        row = KINDS[kind]
        assert (thing, governs) == (row.thing, row.governance and kind != "genesis")


ENTRIES = Path(__file__).resolve().parents[2] / "proofs" / "entries.cddl"


def published() -> str:
    """Return what proofs/entries.cddl must say: the payloads that a bundle may carry, the sealed fields, an epoch."""
    wanted = {kind.replace(".", "-") for kind in shapes.KINDS} | {"recipient", "frontier-digest"}
    payloads = [line for line in kinds.cddl().splitlines() if line.partition(" = ")[0] in wanted]
    fields = [
        f"slot-{slot}-{name.replace('_', '-')} = {unwrapped(FIELDS[name].shape.cddl)}" for name, slot in SLOTS.items()
    ]
    bounds = [
        f"bound-{slot}-{name.replace('_', '-')} = {unwrapped(BOUNDS[name].shape.cddl)}"
        for name, slot in BOUND_SLOTS.items()
    ]
    epoch = [f"{name}: {field.shape.cddl}" for name, field in _EPOCH_FIELDS.items()]
    parts = [
        "; Payloads of the entries that a bundle may carry (proofs/RULES.md tells what CDDL cannot), by kind.",
        *payloads,
        "; The disclosed values of schema 1: the n-th field is hidden in slot n. A point is prm: or pce: and 14",
        "; digits, or water: or heat: and 1 to 32 of [0-9A-Za-z._-]. A duration is P and 1 to 5 digits (the first not",
        "; 0) and one of YMWD, or PT and such digits and one of HMS.",
        *fields,
        "; The bounds of a delegation: the n-th field is hidden in slot n.",
        *bounds,
        "; An epoch, whose SHA-256 is its reference.",
        "epoch = { " + ", ".join(epoch) + " }",
    ]
    return "\n".join(parts) + "\n"


def unwrapped(cddl: str) -> str:
    """Return a choice without the parentheses around it, at which a parser stumbles."""
    return cddl[1:-1] if cddl.startswith("(") else cddl


def test_the_published_schema_is_the_one_in_force() -> None:
    assert ENTRIES.read_text() == published()
    assert list(_EPOCH_FIELDS) == list(second_epoch)


def test_golden_bundles_carry_what_is_published() -> None:
    seen = set()
    for path in sorted((ENTRIES.parents[1] / "tests" / "golden" / "proofs").glob("*.mailleproof")):
        for item in reading.decode(path.read_bytes()).entries:
            entry = Entry.parse(item.raw)
            name = entry.kind.replace(".", "-")
            schema(name).validate_cbor(codec.encode(dict(entry.payload)))
            seen.add(entry.kind)
    assert {"consent.grant", "consent.withdraw", "transfer.receipt", "transfer.ack", "fork.proof"} <= seen


@cache
def schema(name: str) -> pycddl.Schema:
    """Return one rule of the published file as a schema."""
    return pycddl.Schema(f"root = {name}\n{ENTRIES.read_text()}")
