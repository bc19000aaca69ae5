"""The second verifier is one: it shares no code with ours, and its Ed25519 gives libsodium's verdict on every vector.

That both say the same of every bundle is asserted wherever a test verifies one (`tests.proofs.both`).
"""

from __future__ import annotations

import ast
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec, keys, merkle
from ledger.consent.record import FIELDS, SLOTS
from ledger.errors import RemoteError
from ledger.kinds import KINDS
from tests.proofs.second import cbor, curve, entries, shapes
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
    for kind, (thing, _, governs, _) in shapes.KINDS.items():
        row = KINDS[kind]
        assert (thing, governs) == (row.thing, row.governance and kind != "genesis")
